"""Tier 6, a DynamoDB table: its keys, its capacity, its protection and its replicas."""

import pulumi
import pulumi_aws as aws
import pytest

from components.common.signals import Signal
from components.service.table import Table, TableArgs, TableReplica, TableReplicaArgs
from settings import AttributeSettings, IndexSettings, Range, RequestUnits, TableSettings
from tests.unit.harness import Graph, context, deploy

KEY = "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
TABLE = "aws:dynamodb/table:Table"
REPLICA = "aws:dynamodb/tableReplica:TableReplica"
INSIGHTS = "aws:dynamodb/contributorInsights:ContributorInsights"
POLICY = "aws:appautoscaling/policy:Policy"
TARGET = "aws:appautoscaling/target:Target"
QUOTES = TableSettings(
    name="quotes",
    hash_key=AttributeSettings(name="symbol"),
    range_key=AttributeSettings(name="at", type="N"),
    indexes=[
        IndexSettings(
            name="by-venue",
            hash_key=AttributeSettings(name="venue"),
            range_key=AttributeSettings(name="at", type="N"),
        ),
        IndexSettings(name="by-day", hash_key=AttributeSettings(name="day")),
    ],
    ttl_attribute="expires_at",
    read_capacity=Range(min=50, max=50),
    write_capacity=Range(min=100, max=100),
)
"""A table with indexes, whose capacity is fixed."""
SCALED = TableSettings(
    name="quotes",
    hash_key=AttributeSettings(name="symbol"),
    range_key=AttributeSettings(name="at", type="N"),
    read_capacity=Range(min=5, max=50),
    write_capacity=Range(min=10, max=100),
)
"""A table without indexes, whose capacity follows the traffic."""


def table(
    settings: TableSettings,
    *,
    protect: bool = True,
    signals: list[Signal] | None = None,
    peers: tuple[str, ...] = (),
) -> Graph:
    def program() -> None:
        tier = Table(
            "quotes",
            TableArgs(
                context=context(key_arn=KEY, protect=protect),
                settings=settings,
                peers=peers,
            ),
        )
        if signals is not None:
            signals.extend(tier.signals)

    return deploy(program)


@pytest.fixture(scope="module")
def graph() -> Graph:
    return table(QUOTES)


def test_each_key_attribute_is_declared_once(graph: Graph) -> None:
    attributes = graph.only(TABLE).inputs["attributes"]
    assert {item["name"]: item["type"] for item in attributes} == {
        "at": "N",
        "day": "S",
        "symbol": "S",
        "venue": "S",
    }
    assert len(attributes) == 4


def test_an_index_without_range_key_has_a_hash_key_alone(graph: Graph) -> None:
    keys = {
        index["name"]: [(key["attributeName"], key["keyType"]) for key in index["keySchemas"]]
        for index in graph.only(TABLE).inputs["globalSecondaryIndexes"]
    }
    assert keys == {"by-venue": [("venue", "HASH"), ("at", "RANGE")], "by-day": [("day", "HASH")]}


def test_reads_and_writes_of_table_and_every_index_have_a_policy(graph: Graph) -> None:
    """DynamoDB adds a replica to a provisioned table only if there are policies, even for fixed capacity."""
    scaled = {
        (target.inputs["scalableDimension"], target.inputs["resourceId"].partition("/index/")[2])
        for target in graph.of(TARGET)
    }
    assert scaled == {
        ("dynamodb:table:ReadCapacityUnits", ""),
        ("dynamodb:table:WriteCapacityUnits", ""),
        ("dynamodb:index:ReadCapacityUnits", "by-venue"),
        ("dynamodb:index:WriteCapacityUnits", "by-venue"),
        ("dynamodb:index:ReadCapacityUnits", "by-day"),
        ("dynamodb:index:WriteCapacityUnits", "by-day"),
    }
    assert len(graph.of(POLICY)) == 6


def test_reads_scale_between_the_bounds_of_reads() -> None:
    bounds = {
        target.inputs["scalableDimension"].split(":")[2]: (
            target.inputs["minCapacity"],
            target.inputs["maxCapacity"],
        )
        for target in table(SCALED).of(TARGET)
    }
    assert bounds == {"ReadCapacityUnits": (5, 50), "WriteCapacityUnits": (10, 100)}


@pytest.mark.parametrize("settings", [QUOTES, SCALED])
def test_a_deployment_leaves_the_scaled_capacity_of_the_table_alone(settings: TableSettings) -> None:
    assert set(table(settings).only(TABLE).ignore_changes) == {"replicas", "readCapacity", "writeCapacity"}


def test_indexes_have_the_fixed_capacity_of_their_table(graph: Graph) -> None:
    capacities = {
        (index["readCapacity"], index["writeCapacity"])
        for index in graph.only(TABLE).inputs["globalSecondaryIndexes"]
    }
    assert capacities == {(50, 100)}


def test_the_order_of_indexes_in_the_settings_changes_nothing(graph: Graph) -> None:
    turned = QUOTES.model_copy(update={"indexes": QUOTES.indexes[::-1]})
    assert table(turned).only(TABLE).inputs == graph.only(TABLE).inputs


def test_items_are_encrypted_with_our_key_and_can_be_restored(graph: Graph) -> None:
    inputs = graph.only(TABLE).inputs
    assert inputs["serverSideEncryption"] == {"enabled": True, "kmsKeyArn": KEY}
    assert inputs["pointInTimeRecovery"]["enabled"] is True


@pytest.mark.parametrize("protect", [True, False])
def test_protection_holds_in_pulumi_and_in_aws(protect: bool) -> None:
    resource = table(QUOTES, protect=protect).only(TABLE)
    assert (resource.protect, resource.inputs["deletionProtectionEnabled"]) == (protect, protect)


def test_expiry_is_there_only_when_asked_for() -> None:
    bare = TableSettings(name="quotes", hash_key=AttributeSettings(name="symbol"))
    assert "ttl" not in table(bare).only(TABLE).inputs
    full = bare.model_copy(update={"ttl_attribute": "expires_at"})
    assert table(full).only(TABLE).inputs["ttl"] == {"attributeName": "expires_at", "enabled": True}


@pytest.mark.parametrize("peers", [(), ("eu-west-1",)])
def test_a_second_region_changes_nothing_of_the_table(graph: Graph, peers: tuple[str, ...]) -> None:
    """A replica needs the stream, so the table always has one."""
    inputs = table(QUOTES, peers=peers).only(TABLE).inputs
    assert inputs == graph.only(TABLE).inputs
    assert (inputs["streamEnabled"], inputs["streamViewType"]) == (True, "NEW_AND_OLD_IMAGES")


def test_a_deployment_leaves_the_replicas_to_their_own_resources(graph: Graph) -> None:
    assert "replicas" in graph.only(TABLE).ignore_changes


ON_DEMAND = QUOTES.model_copy(update={"billing": "onDemand"})


def test_an_on_demand_table_has_no_capacity_and_nothing_scales_it() -> None:
    graph = table(ON_DEMAND)
    inputs = graph.only(TABLE).inputs
    assert inputs["billingMode"] == "PAY_PER_REQUEST"
    for part in (inputs, *inputs["globalSecondaryIndexes"]):
        assert not {"readCapacity", "writeCapacity", "onDemandThroughput"} & part.keys()
    assert graph.of(TARGET) == graph.of(POLICY) == []


def test_a_switch_to_on_demand_is_not_held_back_by_the_capacities_of_before() -> None:
    """If the program ignored the capacity, the old one would remain in the inputs.

    The provider refuses a capacity for on-demand tables.
    """
    assert table(ON_DEMAND).only(TABLE).ignore_changes == ("replicas",)


def test_maximum_request_units_hold_for_table_and_every_index() -> None:
    limited = ON_DEMAND.model_copy(update={"max_request_units": RequestUnits(read=400, write=100)})
    inputs = table(limited).only(TABLE).inputs
    most = {"maxReadRequestUnits": 400, "maxWriteRequestUnits": 100}
    parts = (inputs, *inputs["globalSecondaryIndexes"])
    assert [part["onDemandThroughput"] for part in parts] == [most] * 3


@pytest.mark.parametrize("settings", [QUOTES, ON_DEMAND])
def test_keys_that_throttle_are_named_for_table_and_every_index(settings: TableSettings) -> None:
    insights = table(settings).of(INSIGHTS)
    assert {i.inputs.get("indexName") for i in insights} == {None, "by-venue", "by-day"}
    assert {i.inputs["mode"] for i in insights} == {"THROTTLED_KEYS"}


REPLICA_KEY = "arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"


def replicated(
    settings: TableSettings = QUOTES, *, protect: bool = True, signals: list[Signal] | None = None
) -> Graph:
    def program() -> None:
        source = Table(
            "quotes",
            TableArgs(
                context=context(key_arn=KEY, protect=protect),
                settings=settings,
                peers=["eu-west-1"],
            ),
        )
        opts = pulumi.ResourceOptions(provider=aws.Provider("aws-eu-west-1", region="eu-west-1"))
        tier = TableReplica(
            "quotes-eu",
            TableReplicaArgs(
                context=context(key_arn=REPLICA_KEY, protect=protect),
                settings=settings,
                table=source,
                peers=["us-east-1"],
            ),
            opts,
        )
        pulumi.export("arn", tier.arn)
        if signals is not None:
            signals.extend(tier.signals)

    return deploy(program)


@pytest.fixture(scope="module")
def pair() -> Graph:
    return replicated()


def test_a_replica_is_in_its_region_and_of_the_table(pair: Graph) -> None:
    replica = pair.only(REPLICA)
    assert replica.provider == "aws-eu-west-1"
    assert replica.inputs["globalTableArn"] == pair.only(TABLE).outputs["arn"]


def test_a_replica_has_its_regions_key_and_can_be_restored(pair: Graph) -> None:
    inputs = pair.only(REPLICA).inputs
    assert (inputs["kmsKeyArn"], inputs["pointInTimeRecovery"]) == (REPLICA_KEY, True)


def test_a_replica_waits_for_the_scaling_of_all_writes(pair: Graph) -> None:
    """AWS refuses a replica before that, and no input of the replica implies this dependency."""
    writes = {"quotes-write", "quotes-by-venue-write", "quotes-by-day-write"}
    assert {policy.name for policy in pair.of(POLICY)} >= writes
    assert writes <= pair.only(REPLICA).depends_on


def test_a_replica_takes_no_value_from_a_policy(pair: Graph) -> None:
    """Such a value is unknown while the policy is replaced, so the preview would replace the replica."""
    names = {policy.outputs["arn"] for policy in pair.of(POLICY)}
    assert not names & set(map(str, pair.only(REPLICA).inputs.values()))


def test_scaling_in_the_replicas_region_is_left_to_dynamodb(pair: Graph) -> None:
    """DynamoDB copies the table's policies to the replica, and refuses a second policy for a metric."""
    assert {r.provider for r in (*pair.of(TARGET), *pair.of(POLICY))} == {""}


@pytest.mark.parametrize("protect", [True, False])
def test_protection_of_a_replica_holds_in_pulumi_and_in_aws(protect: bool) -> None:
    replica = replicated(protect=protect).only(REPLICA)
    assert (replica.protect, replica.inputs["deletionProtectionEnabled"]) == (protect, protect)
    assert replica.delete_before_replace


def test_keys_that_throttle_are_named_in_the_replicas_region_too(pair: Graph) -> None:
    insights = [i for i in pair.of(INSIGHTS) if i.provider == "aws-eu-west-1"]
    assert {i.inputs.get("indexName") for i in insights} == {None, "by-venue", "by-day"}
    for insight in insights:
        assert insight.inputs["tableName"] == pair.only(TABLE).id
        assert "quotes-eu" in insight.depends_on


def test_an_on_demand_table_has_a_replica_without_waiting() -> None:
    graph = replicated(ON_DEMAND)
    assert graph.only(REPLICA).depends_on == {"quotes"}


def test_late_replication_rings_in_the_region_that_was_written_to() -> None:
    signals: list[Signal] = []
    table(QUOTES, signals=signals, peers=("eu-west-1", "ap-southeast-1"))
    late = [signal for signal in signals if signal.metric == "ReplicationLatency"]
    assert {s.dimensions["ReceivingRegion"] for s in late} == {"eu-west-1", "ap-southeast-1"}
    assert {s.anchor for s in late} == {"table-replication-latency"}


def test_a_replica_is_watched_as_its_table() -> None:
    signals: list[Signal] = []
    there: list[Signal] = []
    table(QUOTES, signals=signals)
    replicated(signals=there)
    assert {s.name for s in there} == {s.name for s in signals} | {"table-quotes-replication-to-us-east-1"}


def test_a_capacity_that_cannot_grow_any_more_rings() -> None:
    signals: list[Signal] = []
    table(SCALED, signals=signals)
    at_maximum = {
        (s.metric, s.dimensions.get("GlobalSecondaryIndexName"), s.threshold)
        for s in signals
        if s.anchor == "table-at-maximum"
    }
    assert at_maximum == {
        (f"Provisioned{direction}CapacityUnits", None, most - 1)
        for direction, most in (("Read", 50), ("Write", 100))
    }


@pytest.mark.parametrize(
    "change",
    [{"billing": "onDemand"}, {"read_capacity": Range(min=5, max=5), "write_capacity": Range(min=5, max=5)}],
)
def test_a_capacity_that_does_not_scale_has_no_maximum(change: dict[str, object]) -> None:
    signals: list[Signal] = []
    table(QUOTES.model_copy(update=change), signals=signals)
    assert "table-at-maximum" not in {signal.anchor for signal in signals}


def test_throttling_of_table_and_indexes_rings() -> None:
    signals: list[Signal] = []
    table(QUOTES, signals=signals)
    throttled = {
        (signal.metric, signal.dimensions.get("GlobalSecondaryIndexName"))
        for signal in signals
        if "Throttle" in signal.metric
    }
    assert throttled == {
        ("ReadThrottleEvents", None),
        ("WriteThrottleEvents", None),
        ("ReadThrottleEvents", "by-venue"),
        ("ReadThrottleEvents", "by-day"),
        ("WriteThrottleEvents", "by-venue"),
        ("WriteThrottleEvents", "by-day"),
    }
