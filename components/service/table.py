"""Tier 6, a DynamoDB table, and its replica in another region."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import pulumi
import pulumi_aws as aws

from components.common.access import HTTPS_PORT, Access
from components.common.arns import resource_name
from components.common.component import Component
from components.common.context import RegionContext
from components.common.scaling import target_tracking
from components.common.signals import Signal
from settings import AttributeSettings, IndexSettings, Range, ServiceSettings, TableSettings

ZERO_WHEN_MISSING = "FILL(metric, 0)"
"""Metric math for metrics that are reported only when an event occurs. Alarms on DynamoDB's metrics always
ignore missing data, whatever their setting (CloudWatch API Reference, PutMetricAlarm), so an alarm would
never end.

The period must be longer than the delay of the metric. Otherwise, the last period would always be zero and
hide the ones before it (CloudWatch User Guide, "Using metric math")."""


DASHBOARD = "tables"
"""Dashboard with the graphs of all tables, so that adding a table doesn't change the region's dashboard."""


@dataclass(frozen=True, kw_only=True)
class TableArgs:
    """Settings of one table."""

    context: RegionContext
    settings: TableSettings
    peers: Sequence[str] = ()
    """The other regions, which have replicas."""


class Table(Component):
    """A table that either is billed per request, or whose read and write capacity are scaled with the
    traffic. A provisioned table with indexes has a fixed capacity.

    Its stream is always enabled: replicas need it, and it costs nothing while nobody reads it. Adding a
    second region therefore doesn't change the table.
    """

    table_name: pulumi.Output[str]
    arn: pulumi.Output[str]
    write_scaling: list[pulumi.Resource]
    """The scaling policies of the write capacity. Without all of them, AWS rejects a replica of a provisioned
    table ("Table write capacity should either be Pay-Per-Request or AutoScaled")."""

    def __init__(self, name: str, args: TableArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("trading:tier:Table", name, opts)
        settings = args.settings
        provisioned = settings.billing == "provisioned"
        keys = [key for item in (settings, *settings.indexes) for key in _keys(item)]
        most = settings.max_request_units
        table = aws.dynamodb.Table(
            name,
            billing_mode="PROVISIONED" if provisioned else "PAY_PER_REQUEST",
            hash_key=settings.hash_key.name,
            range_key=settings.range_key.name if settings.range_key else None,
            attributes=[
                {"name": key, "type": kind}
                for key, kind in sorted({key.name: key.type for key in keys}.items())
            ],
            read_capacity=settings.read_capacity.min if provisioned else None,
            write_capacity=settings.write_capacity.min if provisioned else None,
            on_demand_throughput=(
                {"max_read_request_units": most.read, "max_write_request_units": most.write} if most else None
            ),
            # DynamoDB knows no order of indexes, so moving one in the settings must not change anything.
            global_secondary_indexes=[
                _index(index, settings) for index in sorted(settings.indexes, key=lambda index: index.name)
            ],
            ttl=(
                {"attribute_name": settings.ttl_attribute, "enabled": True}
                if settings.ttl_attribute
                else None
            ),
            stream_enabled=True,
            stream_view_type="NEW_AND_OLD_IMAGES",
            server_side_encryption={"enabled": True, "kms_key_arn": args.context.key_arn},
            point_in_time_recovery={"enabled": True, "recovery_period_in_days": 35},
            deletion_protection_enabled=args.context.protect,
            opts=self.child(
                protect=args.context.protect,
                ignore_changes=[
                    # `TableReplica`s are separate resources, but a refresh adds them to this property.
                    "replicas",
                    # Auto scaling manages the capacities, so a deployment must not reset them to the minimum.
                    # On-demand tables don't ignore them: the capacities would stay in the inputs, and the
                    # provider rejects them for an on-demand table. The capacity of an index can't be ignored
                    # (Pulumi only knows it by its position, which a refresh may change), so the settings
                    # don't let it scale.
                    *(("readCapacity", "writeCapacity") if provisioned else ()),
                ],
            ),
        )
        self.write_scaling = []
        for index in (None, *settings.indexes):
            part = f"{name}-{index.name}" if index else name
            if provisioned:
                self._scale(part, table, index, "Read", settings.read_capacity, settings.target_utilization)
                self.write_scaling.append(
                    self._scale(
                        part, table, index, "Write", settings.write_capacity, settings.target_utilization
                    )
                )
            _contributor_insights(self, part, table.name, index)

        self.table_name = table.name
        self.arn = table.arn
        self.report(*_signals(settings, table.name, args.peers))
        self.register_outputs({"tableName": self.table_name, "arn": self.arn})

    def _scale(
        self,
        part: str,
        table: aws.dynamodb.Table,
        index: IndexSettings | None,
        direction: Literal["Read", "Write"],
        capacity: Range,
        utilization: int,
    ) -> pulumi.Resource:
        """Target tracking for the read or write capacity of the table or of an index."""
        return target_tracking(
            self,
            f"{part}-{direction.lower()}",
            dimension=f"dynamodb:{'index' if index else 'table'}:{direction}CapacityUnits",
            resource_id=pulumi.Output.concat("table/", table.name, f"/index/{index.name}" if index else ""),
            capacity=(capacity.min, capacity.max),
            metric=f"DynamoDB{direction}CapacityUtilization",
            target=utilization,
            # Scale out immediately, but scale in slowly, because the number of decreases per day is limited.
            scale_out_cooldown=0,
            scale_in_cooldown=900,
        )


@dataclass(frozen=True, kw_only=True)
class TableReplicaArgs:
    """Settings of a table's replica."""

    context: RegionContext
    settings: TableSettings
    """The table's settings. The signals are the same in every region."""
    table: Table
    """The table of the primary region."""
    peers: Sequence[str]
    """The other regions."""


class TableReplica(Component):
    """A table's replica in this region, in a global table of version 2019.11.21. It has the outputs of
    `Table`.

    DynamoDB copies keys, indexes, TTL, billing mode and capacity scaling from the table, and rejects a second
    scaling policy besides its own ("Throughput capacity planning for global tables": the write settings are
    replicated across Regions). Encryption, recovery, deletion protection and Contributor Insights are
    configured for each replica.

    If regions write the same item, the last writer wins. A condition is only checked in the region of the
    write.
    """

    table_name: pulumi.Output[str]
    arn: pulumi.Output[str]

    def __init__(self, name: str, args: TableReplicaArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("trading:tier:TableReplica", name, opts)
        replica = aws.dynamodb.TableReplica(
            name,
            global_table_arn=args.table.arn,
            kms_key_arn=args.context.key_arn,
            point_in_time_recovery=True,
            deletion_protection_enabled=args.context.protect,
            opts=self.child(
                protect=args.context.protect,
                # AWS requires write scaling, which no input expresses. An input from the policies would be
                # unknown while a policy is replaced, which would plan a replacement of the replica.
                depends_on=[*args.table.write_scaling],
                # A table can have only one replica in a region.
                delete_before_replace=True,
            ),
        )
        self.arn = replica.arn
        # Taken from the replica, so that resources that use the name wait for it.
        self.table_name = resource_name(replica.arn)
        for index in (None, *args.settings.indexes):
            part = f"{name}-{index.name}" if index else name
            _contributor_insights(self, part, self.table_name, index)
        self.report(*_signals(args.settings, self.table_name, args.peers))
        self.register_outputs({"tableName": self.table_name, "arn": self.arn})


def table_access(
    context: RegionContext,
    service: ServiceSettings,
    tables: Mapping[str, Table | TableReplica],
    endpoint_url: pulumi.Input[str],
) -> Access:
    """What a service needs for the tables that its settings declare.

    Args:
        context: the region's context.
        service: the service.
        tables: name in the settings → table in this region.
        endpoint_url: URL of DynamoDB's interface endpoint in the VPC.
    """
    if not service.tables:
        return Access()
    # The endpoint has no private DNS. With this variable, the AWS SDKs use it ("Service-specific endpoints",
    # AWS SDKs and Tools Reference Guide). Without it, they use the service's public addresses.
    environment: dict[str, pulumi.Input[str]] = {"AWS_ENDPOINT_URL_DYNAMODB": endpoint_url}
    for table in service.tables:
        environment[f"TABLE_{table.upper().replace('-', '_')}"] = tables[table].table_name
    arns = [tables[table].arn for table in service.tables]
    return Access(
        environment=environment,
        statements=[
            {
                "Effect": "Allow",
                "Action": [
                    "dynamodb:BatchGetItem",
                    "dynamodb:BatchWriteItem",
                    "dynamodb:ConditionCheckItem",
                    "dynamodb:DeleteItem",
                    "dynamodb:DescribeTable",
                    "dynamodb:GetItem",
                    "dynamodb:PutItem",
                    "dynamodb:Query",
                    "dynamodb:UpdateItem",
                ],
                "Resource": [*arns, *(arn.apply("{}/index/*".format) for arn in arns)],
            },
            {
                "Effect": "Allow",
                "Action": ["kms:Decrypt"],
                "Resource": [context.key_arn],
                "Condition": {"StringEquals": {"kms:ViaService": f"dynamodb.{context.region}.amazonaws.com"}},
            },
        ],
        ports=(HTTPS_PORT,),
    )


def _index(index: IndexSettings, table: TableSettings) -> aws.dynamodb.TableGlobalSecondaryIndexArgsDict:
    """A global secondary index with the table's capacity settings."""
    arguments: aws.dynamodb.TableGlobalSecondaryIndexArgsDict = {
        "name": index.name,
        "key_schemas": [
            {"attribute_name": key.name, "key_type": kind}
            for key, kind in zip(_keys(index), ("HASH", "RANGE"), strict=False)
        ],
        "projection_type": "ALL",
    }
    if table.billing == "provisioned":
        arguments["read_capacity"] = table.read_capacity.min
        arguments["write_capacity"] = table.write_capacity.min
    if most := table.max_request_units:
        arguments["on_demand_throughput"] = {
            "max_read_request_units": most.read,
            "max_write_request_units": most.write,
        }
    return arguments


def _contributor_insights(
    component: Component, part: str, table_name: pulumi.Output[str], index: IndexSettings | None
) -> None:
    """Reports the keys of a table or index that are throttled. Only throttled requests are billed."""
    aws.dynamodb.ContributorInsights(
        part,
        table_name=table_name,
        index_name=index.name if index else None,
        mode="THROTTLED_KEYS",
        opts=component.child(),
    )


def _signals(
    settings: TableSettings, table_name: pulumi.Output[str], peers: Sequence[str]
) -> Iterable[Signal]:
    """Signals that show whether a table is healthy in one region."""
    of_table = {"TableName": table_name}
    limit = "the maximum capacity" if settings.billing == "provisioned" else "a quota"
    for index in (None, *settings.indexes):
        part = f"{settings.name}-{index.name}" if index else settings.name
        what = f"Index {index.name} of table {settings.name}" if index else f"Table {settings.name}"
        for direction in ("Read", "Write"):
            more = " Meanwhile, writes to the table itself wait." if index and direction == "Write" else ""
            of_part = {**of_table, **({"GlobalSecondaryIndexName": index.name} if index else {})}
            yield Signal(
                name=f"table-{part}-{direction.lower()}-throttled",
                dashboard=DASHBOARD,
                runbook="table-throttled",
                title=f"{what} throttles {direction.lower()}s",
                namespace="AWS/DynamoDB",
                metric=f"{direction}ThrottleEvents",
                dimensions=of_part,
                statistic="Sum",
                expression=ZERO_WHEN_MISSING,
                threshold=0,
                reason="DynamoDB needs a few minutes to scale for a burst. Throttling that lasts longer "
                "means that "
                f"{limit} is reached or that one key is hot.{more}",
                severity="warning",
                period_seconds=300,
                periods=2,
            )
            capacity = settings.read_capacity if direction == "Read" else settings.write_capacity
            if settings.billing == "provisioned" and capacity.min < capacity.max:
                yield Signal(
                    name=f"table-{part}-{direction.lower()}-at-maximum",
                    dashboard=DASHBOARD,
                    runbook="table-at-maximum",
                    title=f"{what} has scaled its {direction.lower()} capacity to the maximum",
                    namespace="AWS/DynamoDB",
                    metric=f"Provisioned{direction}CapacityUnits",
                    dimensions=of_part,
                    statistic="Maximum",
                    threshold=capacity.max - 1,
                    reason="A burst passes within 15 minutes. A load that stays will be throttled.",
                    severity="warning",
                    period_seconds=300,
                )
    yield Signal(
        name=f"table-{settings.name}-system-errors",
        dashboard=DASHBOARD,
        runbook="table-system-errors",
        title=f"Writes to table {settings.name} fail with internal errors of DynamoDB",
        namespace="AWS/DynamoDB",
        metric="SystemErrors",
        dimensions={**of_table, "Operation": "PutItem"},
        statistic="Sum",
        expression=ZERO_WHEN_MISSING,
        threshold=30,
        reason="Clients retry a few HTTP 500 errors. More than thirty in five minutes mean an outage at AWS.",
        severity="critical",
        period_seconds=300,
        periods=1,
    )
    for peer in peers:
        yield Signal(
            name=f"table-{settings.name}-replication-to-{peer}",
            dashboard=DASHBOARD,
            runbook="table-replication-latency",
            title=f"Writes to table {settings.name} arrive late in {peer}",
            namespace="AWS/DynamoDB",
            metric="ReplicationLatency",
            # Reported in the region of the write, for each region that receives the item.
            dimensions={**of_table, "ReceivingRegion": peer},
            statistic="Average",
            expression=ZERO_WHEN_MISSING,
            threshold=10_000,
            reason="The threshold is in milliseconds, and a second or two is usual. After a failover, "
            "writes that haven't arrived are missing until this region is back.",
            severity="warning",
            # DynamoDB reports the metric every five minutes, with a delay.
            period_seconds=900,
            periods=1,
        )


def _keys(keyed: TableSettings | IndexSettings) -> Iterable[AttributeSettings]:
    """The hash key, then the range key if there is one."""
    return (keyed.hash_key, keyed.range_key) if keyed.range_key else (keyed.hash_key,)
