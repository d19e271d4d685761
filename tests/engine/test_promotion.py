"""The roles of two regions change in the account, and the program follows, under the real engine.

Each test changes the account as a procedure of docs/operations.md does, and deploys. The tests run in this
order in one sandbox; each begins with the state that the previous one left.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from policy.rules.data import STATEFUL
from sandbox.aws import global_database
from sandbox.aws.store import Store
from tests.engine.project import Project
from tests.engine.test_regions import FIRST, SECOND, add_second

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
    made.change("small", add_second)
    made.sandbox_command("up", "--stack", "small")
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


DASHBOARDS = {f"monitoring-{part}" for part in (FIRST, SECOND)} | {"monitoring"}


def up(project: Project) -> None:
    project.sandbox_command("up", "--stack", "small")
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
