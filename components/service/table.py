"""Tier 6, a DynamoDB table with auto-scaled capacity."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from components.tier import Tier
from settings import TableSettings


@dataclass(frozen=True, kw_only=True)
class TableArgs:
    """Settings of one table."""

    settings: TableSettings
    key_arn: pulumi.Input[str]
    protect: bool


class Table(Tier):
    """A table whose read and write capacity, and that of every index, follow the traffic."""

    table_name: pulumi.Output[str]
    arn: pulumi.Output[str]

    def __init__(self, name: str, args: TableArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, opts)
        raise NotImplementedError
