"""The SNS topics that alarms and alerts are published to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import pulumi
import pulumi_aws as aws

from components.common.component import Component
from components.common.iam import deny_without_tls, policy_document
from components.common.key import PUBLISHERS
from components.common.signals import Severity, Signal


@dataclass(frozen=True, kw_only=True)
class AlarmTopicsArgs:
    """Settings of a region's alarm topics."""

    scope: Literal["regional", "edge"]
    """Whether the topics carry a region's alarms or those of the edge. It is part of their signals' names."""
    key_arn: pulumi.Input[str]
    emails: Sequence[str]


class AlarmTopics(Component):
    """An encrypted SNS topic for each severity, with its e-mail subscriptions."""

    critical_arn: pulumi.Output[str]
    warning_arn: pulumi.Output[str]

    def __init__(self, name: str, args: AlarmTopicsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("trading:tier:AlarmTopics", name, opts)
        self.critical_arn = self._topic(name, "critical", args)
        self.warning_arn = self._topic(name, "warning", args)
        self.register_outputs({"criticalArn": self.critical_arn, "warningArn": self.warning_arn})

    def _topic(self, name: str, severity: Severity, args: AlarmTopicsArgs) -> pulumi.Output[str]:
        """The topic's ARN, which is known only once publishers have permission: RDS tries to publish as soon
        as an event subscription is created."""
        topic = aws.sns.Topic(f"{name}-{severity}", kms_master_key_id=args.key_arn, opts=self.child())
        policy = aws.sns.TopicPolicy(
            f"{name}-{severity}",
            arn=topic.arn,
            policy=policy_document(
                {
                    "Sid": "PublishersOfThisAccount",
                    "Effect": "Allow",
                    "Principal": {"Service": list(PUBLISHERS)},
                    # The alert manager reads a topic's attributes before it publishes ("Giving Amazon Managed
                    # Service for Prometheus permission to send alert messages to your Amazon SNS topic").
                    "Action": ["sns:Publish", "sns:GetTopicAttributes"],
                    "Resource": topic.arn,
                    "Condition": {"StringEquals": {"aws:SourceAccount": self.account_id}},
                },
                deny_without_tls("sns:Publish", topic.arn),
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
        self.report(
            Signal(
                name=f"{args.scope}-{severity}-notifications-failed",
                runbook="notifications-failed",
                title=f"Amazon SNS can't deliver notifications of {severity} alarms",
                namespace="AWS/SNS",
                metric="NumberOfNotificationsFailed",
                dimensions={"TopicName": topic.name},
                statistic="Sum",
                threshold=0,
                reason="Any failed delivery may be an alarm that nobody received.",
                # The two topics usually don't fail at the same time, so each one reports the other's
                # failures.
                severity="warning" if severity == "critical" else "critical",
                period_seconds=300,
                periods=1,
            )
        )
        return policy.arn
