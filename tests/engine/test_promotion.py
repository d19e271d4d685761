"""The roles of two regions change in the account, and the program follows, under the real engine.

Each test changes the account as a procedure of docs/operations.md does, and deploys. The tests run in this
order in one sandbox; each begins with the state that the previous one left.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from operations.forget_region import forget
from policy.rules.data import STATEFUL
from sandbox.aws import global_database
from sandbox.aws.store import Store
from tests.engine.project import Project, Values
from tests.engine.test_regions import FIRST, REGION, SECOND, add_second, only_orders

DATA = {
    *STATEFUL,
    "aws:backup/vault:Vault",
    "aws:dynamodb/tableReplica:TableReplica",
    "aws:rds/globalCluster:GlobalCluster",
    "aws:secretsmanager/secretVersion:SecretVersion",
}
"""Types of resources that hold data or keys."""

UPDATED = {
    *("backup-plan-us-east-1", "backup-plan-eu-west-1"),
    *("routing-write-primary", "routing-write-secondary"),
    *("service-alerts-us-east-1", "service-alerts-eu-west-1"),
}
"""What a promotion changes in place: the plan that copies backups, the records of the write origin, and the
alert on services that don't count their requests, which in the primary region always have some."""

MOVED = ("database-{}-readers", "migrations-{}")
"""What is deleted in the old primary region and created in the new one."""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    made = Project.make(tmp_path_factory.mktemp("promotion"))
    made.change("small", only_orders)
    made.change("small", add_second)
    made.deploy("small")
    return made


@pytest.fixture(scope="module")
def data(project: Project) -> dict[str, Any]:
    """The data stores of both regions before the first change: URN → id."""
    return data_stores(project)


def data_stores(project: Project) -> dict[str, Any]:
    types = {r["urn"]: r["type"] for r in project.resources("small")}
    return {urn: told for urn, told in ids(project).items() if types[urn] in DATA}


def ids(project: Project) -> dict[str, Any]:
    return {r["urn"]: r.get("id") for r in project.resources("small")}


def in_account(project: Project, *changes: Callable[[Store], None]) -> None:
    """Changes the account as a procedure does, and reads it into the state."""
    store = Store(project.sandbox)
    for change in changes:
        change(store)
    store.close()
    project.pulumi("refresh", "--stack", "small", "--yes", "--skip-preview")


def operations(project: Project) -> dict[str, set[str]]:
    """Operation → the logical names of the resources that a deployment would do it to."""
    found: dict[str, set[str]] = {}
    for step in project.steps("small"):
        found.setdefault(step["op"], set()).add(step["urn"].rsplit("::", 1)[-1])
    return found


def only_moves(project: Project, old: str, new: str) -> None:
    found = operations(project)
    assert found.keys() == {"create", "delete", "update"}
    assert found["update"] - DASHBOARDS == UPDATED
    for operation, region in (("create", new), ("delete", old)):
        prefixes = tuple(name.format(region) for name in MOVED)
        assert [name for name in found[operation] if not name.startswith(prefixes)] == []
    assert {name.replace(old, new) for name in found["delete"]} == found["create"]


SHARED = ("edge", "tables", "orders")
OF_TWO_REGIONS = {
    *("routing-eu-west-1-secondary", "routing-write-secondary", "routing-eu-west-1-orders"),
    *("routing-geolocation-continent-af", "routing-geolocation-continent-eu"),
    "monitoring-eu-west-1-database-global-lag",
}
"""What only a stack with several regions has, of the region that is left."""

TABLE = "aws:dynamodb/table:Table"
DASHBOARDS = {f"monitoring-{part}" for part in ("edge", FIRST, SECOND)} | {"monitoring"}


def up(project: Project) -> None:
    project.deploy("small")
    assert project.preview("small") == {}


def test_order_of_the_regions_changes_nothing(project: Project, data: dict[str, Any]) -> None:
    assert len(data) > 30
    project.change("small", lambda values: values["trading:regions"].reverse())
    assert project.preview("small") == {}


def test_a_switchover_alone_changes_nothing(project: Project, data: dict[str, Any]) -> None:
    """Whoever deploys before the setting follows does no harm."""
    in_account(project, lambda store: global_database.promote(store, SECOND))
    assert project.preview("small") == {}
    assert data_stores(project) == data


def test_a_promotion_moves_what_writes(project: Project, data: dict[str, Any]) -> None:
    project.change("small", lambda values: values.update({"trading:primaryRegion": SECOND}))
    only_moves(project, FIRST, SECOND)
    up(project)
    assert data_stores(project) == data


def test_the_return_moves_it_back(project: Project, data: dict[str, Any]) -> None:
    in_account(project, lambda store: global_database.promote(store, FIRST))
    assert project.preview("small") == {}
    project.change("small", lambda values: values.pop("trading:primaryRegion"))
    only_moves(project, SECOND, FIRST)
    up(project)
    assert data_stores(project) == data


def test_a_failover_without_the_first_region_changes_no_data(project: Project, data: dict[str, Any]) -> None:
    in_account(project, lambda store: global_database.promote(store, SECOND))
    project.change("small", lambda values: values.update({"trading:primaryRegion": SECOND}))
    only_moves(project, FIRST, SECOND)
    up(project)
    assert data_stores(project) == data


def test_the_home_region_is_lost_for_good(project: Project, data: dict[str, Any]) -> None:
    """Everything of the second region stays, and its replicas are now the tables."""
    exported = json.loads(project.pulumi("stack", "export", "--stack", "small"))
    changed = forget(exported, FIRST)
    before, after = ({r["urn"] for r in one["deployment"]["resources"]} for one in (exported, changed))
    path = project.folder / "state.json"
    path.write_text(json.dumps(changed))
    project.pulumi("stack", "import", "--stack", "small", "--file", str(path))

    def leave(store: Store) -> None:
        global_database.remove(store, FIRST)
        global_database.remove(store, SECOND)
        global_database.delete(store)
        # What belongs to a replica has another URN now, and stays.
        global_database.lose(store, {urn for urn in before - after if "TableReplica" not in urn})

    in_account(project, leave)
    project.change("small", only_second)
    found = operations(project)
    assert found.keys() == {"create", "delete", "update"}
    assert found["create"] == {f"table-orders-idempotency-{SECOND}-{kind}" for kind in ("read", "write")}
    assert {name for name in found["delete"] if FIRST not in name} == OF_TWO_REGIONS
    up(project)
    kept = {urn: told for urn, told in data_stores(project).items() if TABLE not in urn}
    assert kept == {urn: told for urn, told in data.items() if urn in kept}
    tables = {r["id"] for r in project.resources("small") if r["type"] == TABLE}
    assert tables == {told for urn, told in data.items() if f"{TABLE}::" in urn}


def only_second(values: Values) -> None:
    values["trading:regions"] = [{key: value for key, value in REGION.items() if key != "serves"}]
    for key in ("trading:homeRegion", "trading:primaryRegion"):
        del values[key]


def test_a_region_is_added_to_the_one_that_is_left(project: Project) -> None:
    """The new home region gets a global database, and the other region joins it."""
    project.change("small", add_first_again)
    found = operations(project)
    assert found.keys() == {"create", "update"}
    assert found["update"] - DASHBOARDS - {f"monitoring-{part}" for part in SHARED} == {
        "backup-plan-eu-west-1",
        "routing-write-primary",
        # Saved queries of the edge's region, which get that region's log groups.
        *("monitoring-us-east-1-blocked-by-waf", "monitoring-us-east-1-follow-one-request"),
    }
    assert {f"database-{SECOND}-global", f"database-{FIRST}-cluster"} <= found["create"]


def add_first_again(values: Values) -> None:
    values["trading:homeRegion"] = SECOND
    zones = [f"{FIRST}{zone}" for zone in "abc"]
    values["trading:regions"].append({"name": FIRST, "cidr": "10.32.0.0/16", "availabilityZones": zones})
