"""The foundation of a region's tiers: the key, the log bucket, the alarm topics, the Prometheus workspace."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws

from components.common.alarm_topics import AlarmTopics, AlarmTopicsArgs
from components.common.bucket import bucket_policy, expire_logs, private_bucket
from components.common.component import Component
from components.common.context import DeploymentContext, RegionContext
from components.common.key import EncryptionKey, EncryptionKeyArgs
from components.common.logs import all_streams, delivered_for, log_group
from settings.aws_limits import VENDED_LOGS_PREFIX


@dataclass(frozen=True, kw_only=True)
class FoundationArgs:
    """Settings of a region's foundation."""

    context: DeploymentContext
    bucket_log_retention_days: int
    """Number of days that the log bucket keeps objects."""
    alarm_emails: Sequence[str]


class Foundation(Component):
    """A region's KMS key, bucket for access logs, alarm topics and Prometheus workspace."""

    context: RegionContext
    """The context with the key, for the region's other components. CloudWatch Logs, SNS and alarms may use
    the key too."""
    log_bucket: pulumi.Output[str]
    """Bucket for the load balancers' logs. It is encrypted with S3's own key, because ALB supports no other
    key.

    The bucket policy lets log delivery write to `alb/` and `nlb/`. The name is known once the policy
    exists."""
    critical_topic_arn: pulumi.Output[str]
    warning_topic_arn: pulumi.Output[str]
    workspace_arn: pulumi.Output[str]
    workspace_endpoint: pulumi.Output[str]
    """Endpoint as AWS returns it, with a trailing slash."""

    def __init__(self, name: str, args: FoundationArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("trading:tier:Foundation", name, opts)
        region_name = f"{args.context.platform}-{args.context.region}"
        key = EncryptionKey(
            f"{name}-key",
            EncryptionKeyArgs(alias=region_name, context=args.context),
            self.child(),
        )
        topics = AlarmTopics(
            f"{name}-alarms",
            AlarmTopicsArgs(scope="regional", key_arn=key.arn, emails=args.alarm_emails),
            self.child(),
        )
        self.context = args.context.encrypted_with(key.arn)
        self.critical_topic_arn = topics.critical_arn
        self.warning_topic_arn = topics.warning_arn
        self.log_bucket = self._log_bucket(f"{name}-logs", args)

        workspace_logs = log_group(
            self,
            f"{name}-workspace",
            self.context,
            # AMP requires this prefix to deliver its logs (CloudWatch's vended logs).
            name=f"{VENDED_LOGS_PREFIX}prometheus/{region_name}",
        )
        workspace = aws.amp.Workspace(
            f"{name}-workspace",
            alias=region_name,
            # An AWS owned key: a workspace with a customer managed key can never use a managed collector (AMP
            # User Guide, "Encryption at rest").
            logging_configuration={"log_group_arn": all_streams(workspace_logs.arn)},
            opts=self.child(protect=args.context.protect),
        )
        self.workspace_arn = workspace.arn
        self.workspace_endpoint = workspace.prometheus_endpoint
        self.register_outputs(
            {
                "keyArn": key.arn,
                "logBucket": self.log_bucket,
                "criticalTopicArn": self.critical_topic_arn,
                "warningTopicArn": self.warning_topic_arn,
                "workspaceArn": self.workspace_arn,
                "workspaceEndpoint": self.workspace_endpoint,
            }
        )

    def _log_bucket(self, name: str, args: FoundationArgs) -> pulumi.Output[str]:
        """The bucket's name, taken from its policy, because a load balancer writes a test file when logging
        is enabled."""
        private = private_bucket(
            self,
            name,
            key_arn=None,
            lifecycle=expire_logs(args.bucket_log_retention_days),
            protect=args.context.protect,
        )
        statements = _log_delivery(private.bucket.arn, self.account_id, args.context.region)
        policy = bucket_policy(self, name, private, *statements)
        return policy.bucket


def _log_delivery(
    bucket_arn: pulumi.Output[str], account: pulumi.Output[str], region: str
) -> list[dict[str, Any]]:
    """Lets the load balancers of this account deliver their logs.

    Sources: "Enable access logs for your Application Load Balancer" (the service principal replaces the
        account ids per region, and the account in the path excludes other accounts) and "Enable access logs
        for your Network Load Balancer".
    """
    of_this_account = delivered_for(account, region)
    return [
        {
            "Sid": "ApplicationLoadBalancers",
            "Effect": "Allow",
            "Principal": {"Service": "logdelivery.elasticloadbalancing.amazonaws.com"},
            "Action": "s3:PutObject",
            "Resource": pulumi.Output.format("{0}/alb/AWSLogs/{1}/*", bucket_arn, account),
        },
        {
            "Sid": "NetworkLoadBalancers",
            "Effect": "Allow",
            "Principal": {"Service": "delivery.logs.amazonaws.com"},
            "Action": "s3:PutObject",
            "Resource": pulumi.Output.format("{0}/nlb/AWSLogs/{1}/*", bucket_arn, account),
            "Condition": {
                "StringEquals": {
                    "s3:x-amz-acl": "bucket-owner-full-control",
                    **of_this_account["StringEquals"],
                },
                "ArnLike": of_this_account["ArnLike"],
            },
        },
        {
            "Sid": "NetworkLoadBalancersLookFirst",
            "Effect": "Allow",
            "Principal": {"Service": "delivery.logs.amazonaws.com"},
            "Action": ["s3:GetBucketAcl", "s3:ListBucket"],
            "Resource": bucket_arn,
            "Condition": of_this_account,
        },
    ]
