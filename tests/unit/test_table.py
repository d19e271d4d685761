"""Tier 6, a DynamoDB table: its keys, its capacity, and what guards it."""

import pytest

from components.service.table import Table, TableArgs
from components.tier import Signal
from settings import AttributeSettings, IndexSettings, Range, TableSettings
from tests.unit.harness import Graph, deploy

KEY = "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
TABLE = "aws:dynamodb/table:Table"
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
    read_capacity=Range(min=5, max=50),
    write_capacity=Range(min=10, max=100),
)


def table(settings: TableSettings, *, protect: bool = True, signals: list[Signal] | None = None) -> Graph:
    def program() -> None:
        tier = Table("quotes", TableArgs(settings=settings, key_arn=KEY, protect=protect))
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


def test_reads_and_writes_of_table_and_every_index_scale(graph: Graph) -> None:
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
    assert len(graph.of("aws:appautoscaling/policy:Policy")) == 6


def test_reads_scale_between_the_bounds_of_reads(graph: Graph) -> None:
    bounds = {
        target.inputs["scalableDimension"].split(":")[2]: (
            target.inputs["minCapacity"],
            target.inputs["maxCapacity"],
        )
        for target in graph.of(TARGET)
    }
    assert bounds == {"ReadCapacityUnits": (5, 50), "WriteCapacityUnits": (10, 100)}


def test_a_deployment_leaves_scaled_capacities_alone(graph: Graph) -> None:
    assert set(graph.only(TABLE).ignore_changes) == {
        "readCapacity",
        "writeCapacity",
        "globalSecondaryIndexes[*].readCapacity",
        "globalSecondaryIndexes[*].writeCapacity",
    }


def test_items_are_encrypted_with_our_key_and_can_be_restored(graph: Graph) -> None:
    inputs = graph.only(TABLE).inputs
    assert inputs["serverSideEncryption"] == {"enabled": True, "kmsKeyArn": KEY}
    assert inputs["pointInTimeRecovery"]["enabled"] is True


@pytest.mark.parametrize("protect", [True, False])
def test_protection_holds_in_pulumi_and_in_aws(protect: bool) -> None:
    resource = table(QUOTES, protect=protect).only(TABLE)
    assert (resource.protect, resource.inputs["deletionProtectionEnabled"]) == (protect, protect)


def test_stream_and_expiry_are_there_only_when_asked_for() -> None:
    bare = TableSettings(name="quotes", hash_key=AttributeSettings(name="symbol"))
    without = table(bare).only(TABLE).inputs
    assert "ttl" not in without
    assert "streamViewType" not in without
    full = bare.model_copy(update={"stream": True, "ttl_attribute": "expires_at"})
    inputs = table(full).only(TABLE).inputs
    assert inputs["ttl"] == {"attributeName": "expires_at", "enabled": True}
    assert (inputs["streamEnabled"], inputs["streamViewType"]) == (True, "NEW_AND_OLD_IMAGES")


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
        ("WriteThrottleEvents", "by-venue"),
        ("WriteThrottleEvents", "by-day"),
    }
