"""Tier 6, the cache: ElastiCache for Valkey."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from components.tier import Endpoint, Tier
from settings import CacheSettings


@dataclass(frozen=True, kw_only=True)
class CacheArgs:
    """Settings of the cache."""

    vpc_id: pulumi.Input[str]
    subnet_ids: Sequence[pulumi.Input[str]]
    key_arn: pulumi.Input[str]
    settings: CacheSettings
    users: Sequence[str]
    """Services that may connect, each as an IAM user of this name."""
    user_prefix: str
    """Put before user ids, which are unique in an account and region."""
    log_retention_days: int
    protect: bool


class Cache(Tier):
    """A Valkey replication group in cluster mode: TLS, IAM users, shards with replicas in other zones."""

    address: pulumi.Output[str]
    """Configuration endpoint's host name."""
    arn: pulumi.Output[str]
    user_arns: Mapping[str, pulumi.Output[str]]
    """Service → ARN of its user, for `elasticache:Connect`."""
    user_ids: Mapping[str, str]
    endpoint: Endpoint

    def __init__(self, name: str, args: CacheArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, opts)
        raise NotImplementedError
