"""KMS keys: a customer managed key, and the statements that key policies have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws

from components.common.arns import log_groups
from components.common.component import Component
from components.common.context import DeploymentContext
from components.common.iam import policy_document

PUBLISHERS = (
    "aps.amazonaws.com",
    "budgets.amazonaws.com",
    "cloudwatch.amazonaws.com",
    "costalerts.amazonaws.com",
    "events.rds.amazonaws.com",
)
"""Services that publish to the alarm topics: CloudWatch publishes alarms, Managed Prometheus publishes
alerts, RDS publishes events, and the billing services publish warnings."""


def account_statement(account_id: pulumi.Input[str]) -> dict[str, Any]:
    """Lets the account's IAM policies control who may use and administer the key."""
    return {
        "Sid": "AccountByIamPolicies",
        "Effect": "Allow",
        "Principal": {"AWS": pulumi.Output.format("arn:aws:iam::{0}:root", account_id)},
        "Action": "kms:*",
        "Resource": "*",
    }


def log_groups_statement(
    account_id: pulumi.Input[str], region: pulumi.Input[str], resources: str = "*"
) -> dict[str, Any]:
    """Lets CloudWatch Logs encrypt this account's log groups ("Encrypt log data in CloudWatch Logs using AWS
    Key Management Service", CloudWatch Logs User Guide)."""
    return {
        "Sid": "LogGroupsOfThisAccount",
        "Effect": "Allow",
        "Principal": {"Service": pulumi.Output.format("logs.{0}.amazonaws.com", region)},
        "Action": ["kms:Encrypt*", "kms:Decrypt*", "kms:ReEncrypt*", "kms:GenerateDataKey*"],
        "Resource": "*",
        "Condition": {
            "ArnLike": {"kms:EncryptionContext:aws:logs:arn": log_groups(account_id, region, resources)}
        },
    }


def symmetric_key(
    component: Component,
    name: str,
    *,
    description: str,
    account_id: pulumi.Input[str],
    statements: Sequence[Mapping[str, Any]] = (),
    protect: bool,
    existing: str | None = None,
    retain: bool = False,
) -> aws.kms.Key:
    """A customer managed key that is rotated, and that the account's IAM policies and `statements` open.

    `existing` is the id of a key that is taken over. With `retain`, the key stays in the account when the
    resource is deleted or replaced.
    """
    return aws.kms.Key(
        name,
        description=description,
        enable_key_rotation=True,
        deletion_window_in_days=30,
        # Inline instead of a KeyPolicy, so the policy is in force for every resource that gets the key's ARN.
        policy=policy_document(account_statement(account_id), *statements),
        opts=component.child(protect=protect, import_=existing, retain_on_delete=retain),
    )


@dataclass(frozen=True, kw_only=True)
class EncryptionKeyArgs:
    """Settings of a KMS key."""

    alias: str
    """The key's alias, without the prefix `alias/`."""
    context: DeploymentContext


class EncryptionKey(Component):
    """A symmetric KMS key that the account's IAM policies, CloudWatch Logs and encrypted topics can use.

    It is a single-Region key: resources that are replicated between regions (Aurora, DynamoDB) use a separate
    key in each region.
    """

    arn: pulumi.Output[str]

    def __init__(
        self, name: str, args: EncryptionKeyArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("trading:tier:EncryptionKey", name, opts)
        key = symmetric_key(
            self,
            name,
            description=f"Encrypts {args.alias}",
            account_id=self.account_id,
            statements=[
                log_groups_statement(self.account_id, args.context.region),
                {
                    "Sid": "PublishersToEncryptedTopics",
                    "Effect": "Allow",
                    "Principal": {"Service": list(PUBLISHERS)},
                    "Action": ["kms:Decrypt", "kms:GenerateDataKey*"],
                    "Resource": "*",
                    # The context with which SNS encrypts, whoever publishes ("Setting up Amazon SNS topic
                    # encryption", Amazon SNS Developer Guide). `aws:SourceAccount` isn't documented for all
                    # of these services.
                    "Condition": {
                        "StringLike": {
                            "kms:EncryptionContext:aws:sns:topicArn": pulumi.Output.format(
                                "arn:aws:sns:{0}:{1}:*", args.context.region, self.account_id
                            )
                        }
                    },
                },
            ],
            protect=args.context.protect,
        )
        aws.kms.Alias(name, name=f"alias/{args.alias}", target_key_id=key.key_id, opts=self.child())
        self.arn = key.arn
        self.register_outputs({"arn": self.arn})
