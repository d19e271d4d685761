"""What a region's tiers stand on: the key, the log bucket, the alarm topics, the Prometheus workspace."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pulumi
import pulumi_aws as aws

from components.bucket import bucket_policy, private_bucket
from components.tier import Severity, Signal, Tier, policy_document

_PUBLISHERS = (
    "aps.amazonaws.com",
    "budgets.amazonaws.com",
    "cloudwatch.amazonaws.com",
    "costalerts.amazonaws.com",
    "events.rds.amazonaws.com",
)
"""Services that publish to the alarm topics: CloudWatch its alarms, Managed Prometheus its alerts,
RDS its events, billing its warnings."""


@dataclass(frozen=True, kw_only=True)
class EncryptionKeyArgs:
    """Settings of a KMS key."""

    alias: str
    """Without its `alias/`."""
    region: str
    protect: bool


class EncryptionKey(Tier):
    """A symmetric KMS key that IAM policies of the account, CloudWatch Logs and encrypted topics can use.

    It is a single-Region key: what is replicated between regions (Aurora, DynamoDB) takes a key of each
    region anyway.
    """

    arn: pulumi.Output[str]

    def __init__(
        self, name: str, args: EncryptionKeyArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__(name, opts)
        account = aws.get_caller_identity_output(opts=pulumi.InvokeOptions(parent=self)).account_id
        key = aws.kms.Key(
            name,
            description=f"Encrypts {args.alias}",
            enable_key_rotation=True,
            deletion_window_in_days=30,
            # Inline, not a KeyPolicy: whoever has the key's ARN may then rely on the policy.
            policy=policy_document(
                {
                    "Sid": "AccountByIamPolicies",
                    "Effect": "Allow",
                    "Principal": {"AWS": pulumi.Output.format("arn:aws:iam::{0}:root", account)},
                    "Action": "kms:*",
                    "Resource": "*",
                },
                {
                    "Sid": "LogGroupsOfThisAccount",
                    "Effect": "Allow",
                    "Principal": {"Service": f"logs.{args.region}.amazonaws.com"},
                    "Action": [
                        "kms:Encrypt*",
                        "kms:Decrypt*",
                        "kms:ReEncrypt*",
                        "kms:GenerateDataKey*",
                    ],
                    "Resource": "*",
                    "Condition": {
                        "ArnLike": {
                            "kms:EncryptionContext:aws:logs:arn": pulumi.Output.format(
                                "arn:aws:logs:{0}:{1}:*", args.region, account
                            )
                        }
                    },
                },
                {
                    "Sid": "PublishersToEncryptedTopics",
                    "Effect": "Allow",
                    "Principal": {"Service": list(_PUBLISHERS)},
                    "Action": ["kms:Decrypt", "kms:GenerateDataKey*"],
                    "Resource": "*",
                    "Condition": {"StringEquals": {"aws:SourceAccount": account}},
                },
            ),
            opts=self.child(protect=args.protect),
        )
        aws.kms.Alias(name, name=f"alias/{args.alias}", target_key_id=key.key_id, opts=self.child())
        self.arn = key.arn
        self.register_outputs({"arn": self.arn})


@dataclass(frozen=True, kw_only=True)
class AlarmTopicsArgs:
    """Settings of a region's alarm topics."""

    scope: Literal["regional", "edge"]
    """Whose alarms they carry; part of their signals' names."""
    key_arn: pulumi.Input[str]
    emails: Sequence[str]


class AlarmTopics(Tier):
    """An encrypted SNS topic for each severity, with its e-mail subscriptions."""

    critical_arn: pulumi.Output[str]
    warning_arn: pulumi.Output[str]

    def __init__(self, name: str, args: AlarmTopicsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, opts)
        self._account = aws.get_caller_identity_output(opts=pulumi.InvokeOptions(parent=self)).account_id
        self.critical_arn = self._topic(name, "critical", args)
        self.warning_arn = self._topic(name, "warning", args)
        self.register_outputs({"criticalArn": self.critical_arn, "warningArn": self.warning_arn})

    def _topic(self, name: str, severity: Severity, args: AlarmTopicsArgs) -> pulumi.Output[str]:
        """The topic's ARN, known once its publishers may publish: RDS tries when it is subscribed."""
        topic = aws.sns.Topic(f"{name}-{severity}", kms_master_key_id=args.key_arn, opts=self.child())
        policy = aws.sns.TopicPolicy(
            f"{name}-{severity}",
            arn=topic.arn,
            policy=policy_document(
                {
                    "Sid": "PublishersOfThisAccount",
                    "Effect": "Allow",
                    "Principal": {"Service": list(_PUBLISHERS)},
                    # The alert manager looks at a topic before it publishes ("Giving Amazon Managed Service
                    # for Prometheus permission to send alert messages to your Amazon SNS topic").
                    "Action": ["sns:Publish", "sns:GetTopicAttributes"],
                    "Resource": topic.arn,
                    "Condition": {"StringEquals": {"aws:SourceAccount": self._account}},
                },
                {
                    "Sid": "OnlyTls",
                    "Effect": "Deny",
                    "Principal": "*",
                    "Action": "sns:Publish",
                    "Resource": topic.arn,
                    "Condition": {"Bool": {"aws:SecureTransport": "false"}},
                },
            ),
            opts=self.child(),
        )
        for email in args.emails:
            aws.sns.TopicSubscription(
                f"{name}-{severity}-{email}",
                topic=topic.arn,
                protocol="email",
                endpoint=email,
                opts=self.child(),
            )
        self.signals.append(
            Signal(
                name=f"{args.scope}-{severity}-notifications-failed",
                runbook="notifications-failed",
                title=f"Notifications of {severity} alarms are not delivered",
                namespace="AWS/SNS",
                metric="NumberOfNotificationsFailed",
                dimensions={"TopicName": topic.name},
                statistic="Sum",
                threshold=0,
                reason="An alarm that nobody hears is none.",
                # The two topics fail apart as a rule, so each tells of the other.
                severity="warning" if severity == "critical" else "critical",
                period_seconds=300,
                periods=1,
            )
        )
        return policy.arn


@dataclass(frozen=True, kw_only=True)
class FoundationArgs:
    """Settings of a region's foundation."""

    platform: str
    """Prefix of fixed names, such as `trading-prod`."""
    region: str
    log_retention_days: int
    """Days that CloudWatch keeps log groups of this region's foundation (workspace logs)."""
    bucket_log_retention_days: int
    """Days that the log bucket keeps objects."""
    alarm_emails: Sequence[str]
    protect: bool


class Foundation(Tier):
    """Our KMS key, the bucket of access logs, the alarm topics and the Prometheus workspace of a region."""

    key_arn: pulumi.Output[str]
    """Our key, which encrypts everything of the region; CloudWatch Logs, SNS and alarms may use it."""
    log_bucket: pulumi.Output[str]
    """Bucket of load-balancer access logs (encrypted by S3's own key: ALB accepts no other).

    Its policy lets log delivery write below `alb/` and `nlb/`; the name is known once it does."""
    critical_topic_arn: pulumi.Output[str]
    warning_topic_arn: pulumi.Output[str]
    workspace_arn: pulumi.Output[str]
    workspace_endpoint: pulumi.Output[str]
    """As AWS gives it, with a trailing slash."""

    def __init__(self, name: str, args: FoundationArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, opts)
        key = EncryptionKey(
            f"{name}-key",
            EncryptionKeyArgs(
                alias=f"{args.platform}-{args.region}", region=args.region, protect=args.protect
            ),
            self.child(),
        )
        topics = AlarmTopics(
            f"{name}-alarms",
            AlarmTopicsArgs(scope="regional", key_arn=key.arn, emails=args.alarm_emails),
            self.child(),
        )
        self.key_arn = key.arn
        self.critical_topic_arn = topics.critical_arn
        self.warning_topic_arn = topics.warning_arn
        self.signals += topics.signals
        self.log_bucket = self._log_bucket(f"{name}-logs", args)

        workspace_logs = aws.cloudwatch.LogGroup(
            f"{name}-workspace",
            # The prefix is AMP's condition for delivering its logs (CloudWatch's vended logs).
            name=f"/aws/vendedlogs/prometheus/{args.platform}-{args.region}",
            retention_in_days=args.log_retention_days,
            kms_key_id=self.key_arn,
            opts=self.child(),
        )
        workspace = aws.amp.Workspace(
            f"{name}-workspace",
            alias=f"{args.platform}-{args.region}",
            # AWS's own key: a workspace with a customer's takes no managed collector, for ever (AMP User
            # Guide, "Encryption at rest").
            logging_configuration=aws.amp.WorkspaceLoggingConfigurationArgs(
                log_group_arn=pulumi.Output.format("{0}:*", workspace_logs.arn)
            ),
            opts=self.child(protect=args.protect),
        )
        self.workspace_arn = workspace.arn
        self.workspace_endpoint = workspace.prometheus_endpoint
        self.register_outputs(
            {
                "keyArn": self.key_arn,
                "logBucket": self.log_bucket,
                "criticalTopicArn": self.critical_topic_arn,
                "warningTopicArn": self.warning_topic_arn,
                "workspaceArn": self.workspace_arn,
                "workspaceEndpoint": self.workspace_endpoint,
            }
        )

    def _log_bucket(self, name: str, args: FoundationArgs) -> pulumi.Output[str]:
        """The bucket's name, from its policy: a load balancer tries to write when logging is switched on."""
        account = aws.get_caller_identity_output(opts=pulumi.InvokeOptions(parent=self)).account_id
        private = private_bucket(
            self,
            name,
            key_arn=None,
            lifecycle={
                "id": "expire",
                "status": "Enabled",
                "filter": {"prefix": ""},
                "expiration": {"days": args.bucket_log_retention_days},
                # Log files are written once, so versions cost nothing, and a deletion can be undone.
                "noncurrent_version_expiration": {"noncurrent_days": 30},
            },
            protect=args.protect,
        )
        statements = _log_delivery(private.bucket.arn, account, args.region)
        policy = bucket_policy(self, name, private, *statements)
        return policy.bucket


def _log_delivery(
    bucket_arn: pulumi.Output[str], account: pulumi.Output[str], region: str
) -> list[dict[str, Any]]:
    """Lets the load balancers of this account deliver their logs.

    Sources: "Enable access logs for your Application Load Balancer" (its service principal replaces the
    account ids of regions; the account in the path is what keeps other accounts out) and "Enable access
    logs for your Network Load Balancer".
    """
    of_this_account = {
        "StringEquals": {"aws:SourceAccount": account},
        "ArnLike": {"aws:SourceArn": pulumi.Output.format("arn:aws:logs:{0}:{1}:*", region, account)},
    }
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
