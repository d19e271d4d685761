"""Tier 7, event streaming: Apache Kafka on Amazon MSK."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from components.tier import Endpoint, Tier
from settings import StreamingSettings


@dataclass(frozen=True, kw_only=True)
class EventStreamingArgs:
    """Settings of the brokers and topics."""

    vpc_id: pulumi.Input[str]
    subnet_ids: Sequence[pulumi.Input[str]]
    """One a zone; a plain list, because its length decides the number of brokers."""
    key_arn: pulumi.Input[str]
    settings: StreamingSettings
    log_retention_days: int
    protect: bool


class EventStreaming(Tier):
    """MSK brokers in every zone (KRaft, IAM and TLS only), their configuration, and topics."""

    cluster_arn: pulumi.Output[str]
    bootstrap_brokers: pulumi.Output[str]
    """Comma-separated `host:9098` for SASL/IAM."""
    endpoint: Endpoint

    def __init__(
        self, name: str, args: EventStreamingArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__(name, opts)
        raise NotImplementedError
