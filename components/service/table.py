"""Tier 6, a DynamoDB table with auto-scaled capacity."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import pulumi
import pulumi_aws as aws

from components.scaling import target_tracking
from components.tier import Signal, Tier
from settings import AttributeSettings, IndexSettings, Range, TableSettings


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
        settings = args.settings
        keys = [key for item in (settings, *settings.indexes) for key in _keys(item)]
        table = aws.dynamodb.Table(
            name,
            billing_mode="PROVISIONED",
            hash_key=settings.hash_key.name,
            range_key=settings.range_key.name if settings.range_key else None,
            attributes=[
                aws.dynamodb.TableAttributeArgs(name=key, type=kind)
                for key, kind in sorted({key.name: key.type for key in keys}.items())
            ],
            read_capacity=settings.read_capacity.min,
            write_capacity=settings.write_capacity.min,
            global_secondary_indexes=[
                aws.dynamodb.TableGlobalSecondaryIndexArgs(
                    name=index.name,
                    key_schemas=[
                        aws.dynamodb.TableGlobalSecondaryIndexKeySchemaArgs(
                            attribute_name=key.name, key_type=kind
                        )
                        for key, kind in zip(_keys(index), ("HASH", "RANGE"), strict=False)
                    ],
                    projection_type="ALL",
                    read_capacity=settings.read_capacity.min,
                    write_capacity=settings.write_capacity.min,
                )
                for index in settings.indexes
            ],
            ttl=(
                aws.dynamodb.TableTtlArgs(attribute_name=settings.ttl_attribute, enabled=True)
                if settings.ttl_attribute
                else None
            ),
            stream_enabled=settings.stream,
            stream_view_type="NEW_AND_OLD_IMAGES" if settings.stream else None,
            server_side_encryption=aws.dynamodb.TableServerSideEncryptionArgs(
                enabled=True, kms_key_arn=args.key_arn
            ),
            point_in_time_recovery=aws.dynamodb.TablePointInTimeRecoveryArgs(
                enabled=True, recovery_period_in_days=35
            ),
            deletion_protection_enabled=args.protect,
            opts=self.child(
                protect=args.protect,
                # The auto-scaling owns the capacities; a deployment must not throw them back to the minimum.
                ignore_changes=[
                    "readCapacity",
                    "writeCapacity",
                    "globalSecondaryIndexes[*].readCapacity",
                    "globalSecondaryIndexes[*].writeCapacity",
                ],
            ),
        )
        for index in (None, *settings.indexes):
            part = f"{name}-{index.name}" if index else name
            self._scale(part, table, index, "Read", settings.read_capacity, settings.target_utilization)
            self._scale(part, table, index, "Write", settings.write_capacity, settings.target_utilization)
            aws.dynamodb.ContributorInsights(
                part,
                table_name=table.name,
                index_name=index.name if index else None,
                # Names the keys that throttle, and is billed for those requests only.
                mode="THROTTLED_KEYS",
                opts=self.child(),
            )

        self.table_name = table.name
        self.arn = table.arn
        self._watch(table, settings)
        self.register_outputs({"tableName": self.table_name, "arn": self.arn})

    def _scale(
        self,
        part: str,
        table: aws.dynamodb.Table,
        index: IndexSettings | None,
        direction: Literal["Read", "Write"],
        capacity: Range,
        utilization: int,
    ) -> None:
        """Target tracking of one capacity of the table, or of one of its indexes."""
        target_tracking(
            self,
            f"{part}-{direction.lower()}",
            dimension=f"dynamodb:{'index' if index else 'table'}:{direction}CapacityUnits",
            resource_id=pulumi.Output.concat("table/", table.name, f"/index/{index.name}" if index else ""),
            capacity=(capacity.min, capacity.max),
            metric=f"DynamoDB{direction}CapacityUtilization",
            target=utilization,
            # Up at once; down slowly, because a table may be scaled down only so often in a day.
            scale_out_cooldown=0,
            scale_in_cooldown=900,
        )

    def _watch(self, table: aws.dynamodb.Table, settings: TableSettings) -> None:
        of_table = {"TableName": table.name}
        self.signals += [
            *(
                Signal(
                    name=f"table-{settings.name}-{direction.lower()}-throttled",
                    runbook="table-throttled",
                    title=f"Table {settings.name} throttles {direction.lower()}s",
                    namespace="AWS/DynamoDB",
                    metric=f"{direction}ThrottleEvents",
                    dimensions=of_table,
                    statistic="Sum",
                    threshold=0,
                    reason="auto-scaling needs a few minutes for a burst; throttling that outlasts them "
                    "means that the maximum is reached or one key is hot",
                    severity="warning",
                    periods=5,
                )
                for direction in ("Read", "Write")
            ),
            *(
                Signal(
                    name=f"table-{settings.name}-{index.name}-write-throttled",
                    runbook="table-throttled",
                    title=f"Index {index.name} of table {settings.name} holds back the table's writes",
                    namespace="AWS/DynamoDB",
                    metric="WriteThrottleEvents",
                    dimensions={**of_table, "GlobalSecondaryIndexName": index.name},
                    statistic="Sum",
                    threshold=0,
                    reason="an index that cannot keep up throttles the table it belongs to",
                    severity="warning",
                    periods=5,
                )
                for index in settings.indexes
            ),
            Signal(
                name=f"table-{settings.name}-system-errors",
                runbook="table-system-errors",
                title=f"DynamoDB fails writes to table {settings.name}",
                namespace="AWS/DynamoDB",
                metric="SystemErrors",
                dimensions={**of_table, "Operation": "PutItem"},
                statistic="Sum",
                threshold=10,
                reason="clients retry a few errors 500; more in each of three minutes is an outage at AWS",
                severity="critical",
            ),
        ]


def _keys(keyed: TableSettings | IndexSettings) -> Iterable[AttributeSettings]:
    """The hash key, then the range key if there is one."""
    return (keyed.hash_key, keyed.range_key) if keyed.range_key else (keyed.hash_key,)
