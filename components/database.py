"""Tier 8, the database: Aurora PostgreSQL for orders, account balances and the ledger."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws
import pulumi_random as random

from components.tier import Endpoint, Tier
from settings import DatabaseSettings


@dataclass(frozen=True, kw_only=True)
class DatabaseArgs:
    """Settings of the database."""

    platform: str
    vpc_id: pulumi.Input[str]
    subnet_ids: Sequence[pulumi.Input[str]]
    """Isolated subnets, one a zone."""
    key_arn: pulumi.Input[str]
    alarm_topic_arn: pulumi.Input[str]
    """Gets the cluster's failover and maintenance events."""
    settings: DatabaseSettings
    log_retention_days: int
    protect: bool


class Database(Tier):
    """An Aurora cluster: one writer, readers in the other zones, replica auto-scaling."""

    writer_endpoint: pulumi.Output[str]
    reader_endpoint: pulumi.Output[str]
    cluster_resource_id: pulumi.Output[str]
    """As IAM's `rds-db:connect` names it (`cluster-…`)."""
    database_name: str
    secret_arn: pulumi.Output[str]
    """Secret of the master user."""
    endpoint: Endpoint

    def __init__(self, name: str, args: DatabaseArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, opts)
        raise NotImplementedError
