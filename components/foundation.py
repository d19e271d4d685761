"""What a region's tiers stand on: the key, the log bucket, the alarm topics, the Prometheus workspace."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from components.tier import Tier


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

    Its policy lets log delivery write below `alb/` and `nlb/`."""
    critical_topic_arn: pulumi.Output[str]
    warning_topic_arn: pulumi.Output[str]
    workspace_arn: pulumi.Output[str]
    workspace_endpoint: pulumi.Output[str]
    """As AWS gives it, with a trailing slash."""

    def __init__(self, name: str, args: FoundationArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, opts)
        raise NotImplementedError
