"""Tables and cache under the real engine: changes in place, values that scaling owns, and a second region.

A separate program creates only them. The tests of each group run in this order in one sandbox; each begins
with the state that the previous one left.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.engine.project import Project, Values

PROGRAM = """
import json
from pathlib import Path

import pulumi
import pulumi_aws as aws
from components.common.context import RegionContext
from components.service.cache import Cache, CacheArgs
from components.service.table import Table, TableArgs, TableReplica, TableReplicaArgs
from settings import CacheSettings, TableSettings

values = json.loads(Path("values.json").read_text())
protect = values["protect"]
first, *others = values["regions"]


def region(name):
    provider = aws.Provider(name, region=name)
    key = aws.kms.Key(f"key-{name}", opts=pulumi.ResourceOptions(provider=provider))
    return RegionContext(
        platform="test", region=name, log_retention_days=7, protect=protect, provider=provider,
        key_arn=key.arn,
    )


context = region(first)
opts = pulumi.ResourceOptions(provider=context.provider)
settings = TableSettings.model_validate(values["table"])
table = Table("quotes", TableArgs(context=context, settings=settings, peers=others), context.options)
for name in others:
    there = region(name)
    peers = [peer for peer in values["regions"] if peer != name]
    args = TableReplicaArgs(context=there, settings=settings, table=table, peers=peers)
    TableReplica(f"quotes-{name}", args, there.options)
if "cache" in values:
    vpc = aws.ec2.Vpc("vpc", cidr_block="10.0.0.0/16", opts=opts)
    subnets = [
        aws.ec2.Subnet(
            f"subnet-{zone}", vpc_id=vpc.id, cidr_block=f"10.0.{number}.0/24", availability_zone=first + zone,
            opts=opts,
        ).id
        for number, zone in enumerate("abc")
    ]
    args = CacheArgs(
        context=context, vpc_id=vpc.id, subnet_ids=subnets, users=["orders"],
        settings=CacheSettings.model_validate(values["cache"]),
    )
    Cache("cache", args, context.options)
"""
VALUES: Values = {
    "regions": ["us-east-1"],
    "protect": False,
    "table": {
        "name": "quotes",
        "hashKey": {"name": "symbol"},
        "rangeKey": {"name": "at", "type": "N"},
        "readCapacity": {"min": 5, "max": 50},
        "writeCapacity": {"min": 5, "max": 50},
    },
}
SCALED = ["quotes-read", "quotes-write"]


class Stores(Project):
    """The program above, with an account that a test can change without the engine's knowledge."""

    def write(self, values: Values) -> None:
        (self.folder / "values.json").write_text(json.dumps(values))

    def up(self, values: Values, *options: str, expect: int = 0) -> str:
        self.write(values)
        return self.pulumi("up", "--stack", "local", "--yes", "--skip-preview", *options, expect=expect)

    def operations(self, values: Values) -> dict[str, str]:
        """What a deployment of `values` would do."""
        self.write(values)
        return self.preview("local")

    def set(self, kind: str, values: Mapping[str, str | int]) -> None:
        """Sets properties of the account's only resource of a type, as auto-scaling or a person does."""
        with sqlite3.connect(self.sandbox / "aws.sqlite") as store:
            for path, value in values.items():
                for column in ("inputs", "outputs"):
                    statement = f"UPDATE resource SET {column} = json_set({column}, ?, ?) WHERE type = ?"
                    assert store.execute(statement, (f"$.{path}", value, f"aws:{kind}")).rowcount == 1
        store.close()

    def reverse(self, name: str) -> None:
        """Reverses a list of the table, as a refresh may find it."""
        with sqlite3.connect(self.sandbox / "aws.sqlite") as store:
            for column in ("inputs", "outputs"):
                statement = f"SELECT {column} FROM resource WHERE type = ?"
                ((text,),) = store.execute(statement, (f"aws:{TABLE}",)).fetchall()
                values = json.loads(text)
                values[name].reverse()
                update = f"UPDATE resource SET {column} = ? WHERE type = ?"
                store.execute(update, (json.dumps(values), f"aws:{TABLE}"))
        store.close()

    def get(self, kind: str) -> Values:
        """The properties in AWS of the only resource of a type."""
        with sqlite3.connect(self.sandbox / "aws.sqlite") as store:
            ((text,),) = store.execute(
                "SELECT outputs FROM resource WHERE type = ?", (f"aws:{kind}",)
            ).fetchall()
        store.close()
        return json.loads(text)


def make(directory: Path) -> Stores:
    return Stores.of_program(directory, PROGRAM, "components", "settings")


def changed(values: Values, **table: object) -> Values:
    return {**values, "table": {**values["table"], **table}}


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Stores:
    """Only the table, deployed."""
    made = make(tmp_path_factory.mktemp("tables"))
    made.up(VALUES)
    return made


TABLE = "dynamodb/table:Table"


def test_settings_of_the_scaling_change_in_place_and_leave_the_table_alone(stores: Stores) -> None:
    wider = changed(VALUES, readCapacity={"min": 10, "max": 80}, targetUtilization=60)
    assert stores.operations(wider) == dict.fromkeys(SCALED, "update")


def test_capacity_that_was_scaled_is_no_difference_after_a_refresh(stores: Stores) -> None:
    scaled = {"readCapacity": 37, "writeCapacity": 21}
    stores.set(TABLE, scaled)
    stores.write(VALUES)
    text = stores.pulumi("refresh", "--stack", "local", "--yes", "--skip-preview")
    assert "~ 1 updated" in text, "the test's own change was not seen"
    assert stores.operations(VALUES) == {}
    # A deployment that changes another property of the table does not reset the capacities either.
    expiring = changed(VALUES, ttlAttribute="expires_at")
    assert stores.operations(expiring) == {"quotes": "update"}
    stores.up(expiring)
    found = stores.get(TABLE)
    assert found["ttl"]["enabled"]
    assert (found["readCapacity"], found["writeCapacity"]) == (37, 21)
    stores.up(VALUES)


def test_another_key_of_a_protected_table_is_refused(stores: Stores) -> None:
    protected = {**VALUES, "protect": True}
    stores.up(protected)
    other = changed(protected, rangeKey={"name": "sequence", "type": "N"})
    text = stores.up(other, expect=1)
    assert "unable to replace resource" in text
    assert "::quotes" in text
    assert stores.get(TABLE)["rangeKey"] == "at"
    stores.up(VALUES)


def test_a_second_region_only_adds(stores: Stores) -> None:
    two = {**VALUES, "regions": ["us-east-1", "eu-west-1"]}
    operations = stores.operations(two)
    assert set(operations.values()) == {"create"}
    assert {"quotes-eu-west-1", "key-eu-west-1"} <= operations.keys()
    stores.up(two)
    replica = stores.get("dynamodb/tableReplica:TableReplica")
    table = stores.get(TABLE)
    assert replica["globalTableArn"] == table["arn"]
    assert replica["arn"] == table["arn"].replace("us-east-1", "eu-west-1", 1)
    assert stores.operations(two) == {}
    stores.pulumi("refresh", "--stack", "local", "--yes", "--skip-preview", "--expect-no-changes")


def test_a_change_of_the_scaling_leaves_the_replica_alone(stores: Stores) -> None:
    two = {**VALUES, "regions": ["us-east-1", "eu-west-1"]}
    wider = changed(two, writeCapacity={"min": 10, "max": 90}, targetUtilization=50)
    assert stores.operations(wider) == dict.fromkeys(SCALED, "update")


def test_a_region_leaves_with_its_replica_only(stores: Stores) -> None:
    operations = stores.operations(VALUES)
    assert set(operations.values()) == {"delete"}
    assert all("eu-west-1" in name for name in operations)
    stores.up(VALUES)


def test_billing_by_the_request_is_an_update_in_place(stores: Stores) -> None:
    keys = {key: value for key, value in VALUES["table"].items() if not key.endswith("Capacity")}
    units = {"read": 400, "write": 100}
    on_demand = {**VALUES, "table": {**keys, "billing": "onDemand", "maxRequestUnits": units}}
    assert stores.operations(on_demand) == {"quotes": "update", **dict.fromkeys(SCALED, "delete")}
    stores.up(on_demand)
    found = stores.get(TABLE)
    assert (found["billingMode"], found["onDemandThroughput"]["maxReadRequestUnits"]) == (
        "PAY_PER_REQUEST",
        400,
    )
    assert stores.operations(on_demand) == {}


FIXED: Values = {"readCapacity": {"min": 20, "max": 20}, "writeCapacity": {"min": 30, "max": 30}}


def index(name: str) -> Values:
    return {"name": name, "hashKey": {"name": name}}


def capacities(stores: Stores) -> dict[str, tuple[int, int]]:
    """Index in AWS → its capacity."""
    return {
        index["name"]: (index["readCapacity"], index["writeCapacity"])
        for index in stores.get(TABLE)["globalSecondaryIndexes"]
    }


def test_back_to_provisioned_is_an_update_in_place(stores: Stores) -> None:
    stores.up(changed(VALUES, **FIXED, indexes=[index("venue"), index("day")]))
    found = stores.get(TABLE)
    assert found["billingMode"] == "PROVISIONED"
    assert capacities(stores) == {"venue": (20, 30), "day": (20, 30)}
    assert stores.status()["aws"]["appautoscaling"] == 12


def test_order_of_indexes_is_no_difference(stores: Stores) -> None:
    """Neither another order in the settings nor the one in which a refresh finds them."""
    turned = changed(VALUES, **FIXED, indexes=[index("day"), index("venue")])
    assert stores.operations(turned) == {}
    stores.reverse("globalSecondaryIndexes")
    stores.pulumi("refresh", "--stack", "local", "--yes", "--skip-preview")
    assert stores.operations(turned) == {}


def test_an_index_that_is_added_first_leaves_the_others_their_capacity(stores: Stores) -> None:
    more = changed(VALUES, **FIXED, indexes=[index("country"), index("venue"), index("day")])
    operations = stores.operations(more)
    assert operations.pop("quotes") == "update"
    assert set(operations.values()) == {"create"}
    assert all("country" in name for name in operations)
    stores.up(more)
    assert capacities(stores) == dict.fromkeys(("country", "venue", "day"), (20, 30))
    stores.up(changed(VALUES, **FIXED))
    stores.up(VALUES)


CACHE = "elasticache/replicationGroup:ReplicationGroup"
WITH_CACHE: Values = {**VALUES, "cache": {"shards": 1, "replicas": {"min": 1, "max": 3}}}


def test_replicas_that_were_added_are_no_difference_after_a_refresh(stores: Stores) -> None:
    stores.up(WITH_CACHE)
    stores.set(CACHE, {"replicasPerNodeGroup": 3})
    text = stores.pulumi("refresh", "--stack", "local", "--yes", "--skip-preview")
    assert "~ 1 updated" in text, "the test's own change was not seen"
    assert stores.operations(WITH_CACHE) == {}


def test_bounds_of_the_replicas_change_in_place_and_leave_the_cache_alone(stores: Stores) -> None:
    wider = {**WITH_CACHE, "cache": {"shards": 1, "replicas": {"min": 2, "max": 4}}}
    assert stores.operations(wider) == {"cache-replicas": "update"}
    stores.up(wider)
    assert stores.get(CACHE)["replicasPerNodeGroup"] == 3


def test_everything_goes(stores: Stores) -> None:
    stores.sandbox_command("down", "--stack", "local")
    assert stores.status()["aws"] == {}
