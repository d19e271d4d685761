"""A second region is added to the deployed `small` stack and removed again, under the real engine.

The tests run in this order in one sandbox; each begins with the state that the previous one left.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from components.routing_tree import Client, OriginRecord, Outage, origin_tree, resolve
from settings import DomainSettings, ServedLocations
from tests.engine.deployed_tree import deployed_tree
from tests.engine.project import Project, Values

FIRST, SECOND = "us-east-1", "eu-west-1"
REGION: Values = {
    "name": SECOND,
    "cidr": "10.48.0.0/16",
    "availabilityZones": [f"{SECOND}a", f"{SECOND}b", f"{SECOND}c"],
    "natGateways": "one",
    "serves": {"continents": ["EU", "AF"]},
}
# Resources that list all regions and so change with their number: the plan that copies backups, the
# distribution, which reads the web app from a second region if the first one fails, the record of the write
# origin, which gives way once the second region takes over, and the dashboards. Those of the edge and of
# the first region show the second one's health and its database's lag.
DASHBOARDS = {
    "monitoring",
    *(f"monitoring-{part}" for part in ("edge", FIRST, "tables", "orders", "accounts", "market-data")),
}
LISTS_REGIONS = {"backup-plan-us-east-1", "routing-write-primary", "web", *DASHBOARDS}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return Project.make(tmp_path_factory.mktemp("regions"))


@pytest.fixture(scope="module")
def before(project: Project) -> dict[str, Any]:
    """The stack with one region: URN → the resource's id and inputs."""
    project.deploy("small")
    return project.state("small")


def add_second(values: Values) -> None:
    values["trading:homeRegion"] = FIRST
    values["trading:regions"].append(REGION)


def only_orders(values: Values) -> None:
    """A service is enough for tests of what regions do, and half as much to deploy."""
    values["trading:services"] |= {"accounts": None, "market-data": None}
    values["trading:api"]["routes"] = {"/api/accounts": None, "/api/market-data": None}


def remove_second(values: Values) -> None:
    values["trading:regions"].pop()


def names(state: dict[str, Any]) -> set[str]:
    return {urn.rsplit("::", 1)[-1] for urn in state}


def test_preview_of_a_second_region_only_adds(project: Project, before: dict[str, Any]) -> None:
    project.change("small", add_second)
    operations = project.preview("small")
    changed = {name: operation for name, operation in operations.items() if operation != "create"}
    assert changed == dict.fromkeys(LISTS_REGIONS, "update")
    assert len(operations) > 200
    assert not names(before) & (set(operations) - LISTS_REGIONS)


def test_second_region_leaves_everything_of_the_first_as_it_was(
    project: Project, before: dict[str, Any]
) -> None:
    project.deploy("small")
    after = project.state("small")
    touched = {urn for urn, resource in before.items() if after.get(urn) != resource}
    assert names(dict.fromkeys(touched)) == LISTS_REGIONS
    assert len(after) > 1.7 * len(before), "a region has most of a stack's resources"


def test_every_new_resource_is_of_the_second_region_or_leads_to_it(
    project: Project, before: dict[str, Any]
) -> None:
    added = [r for r in project.resources("small") if r["urn"] not in before]
    astray = [r["urn"] for r in added if SECOND not in f"{r['urn']} {r.get('parent')} {r.get('provider')}"]
    assert names(dict.fromkeys(astray)) == {
        "routing-geolocation-continent-eu",
        "routing-geolocation-continent-af",
        "routing-us-east-1-orders",
        "routing-us-east-1-secondary",
        "routing-write-secondary",
        "database-us-east-1-global",
        "monitoring-us-east-1-database-global-lag",
    }


def test_up_with_two_regions_is_complete(project: Project) -> None:
    assert project.preview("small") == {}
    project.pulumi("refresh", "--stack", "small", "--yes", "--skip-preview", "--expect-no-changes")


# Where requests go, according to the deployed records

NAMES = DomainSettings(zone="example.com", host="small.trade.example.com")
CLIENTS = {
    "Berlin": Client(continent="EU", country="DE", nearest=[SECOND, FIRST]),
    "Lagos": Client(continent="AF", country="NG", nearest=[FIRST, SECOND]),  # location before latency
    "Istanbul": Client(continent="AS", country="TR", nearest=[SECOND, FIRST]),
    "Tokyo": Client(continent="AS", country="JP", nearest=[FIRST, SECOND]),
    "New York": Client(continent="NA", country="US", nearest=[FIRST, SECOND]),
}
WELL = {"Berlin": SECOND, "Lagos": SECOND, "Istanbul": SECOND, "Tokyo": FIRST, "New York": FIRST}


@pytest.fixture(scope="module")
def tree(project: Project) -> list[OriginRecord]:
    """The records of both regions, as the engine deployed them."""
    return deployed_tree(project.resources("small"))


@pytest.mark.parametrize(
    ("down", "reads", "writes"),
    [
        ([], WELL, FIRST),
        ([FIRST], dict.fromkeys(CLIENTS, SECOND), FIRST),
        ([SECOND], dict.fromkeys(CLIENTS, FIRST), FIRST),
        ([FIRST, SECOND], WELL, FIRST),
    ],
    ids=["all-well", "first-down", "second-down", "both-down"],
)
@pytest.mark.parametrize("kind", ["regions", "load_balancers"])
def test_deployed_records_lead_away_from_what_is_down(
    tree: list[OriginRecord], kind: str, down: list[str], reads: dict[str, str], writes: str
) -> None:
    outage = Outage(**{kind: frozenset(down)})
    assert {place: resolve(tree, NAMES.origin, who, outage) for place, who in CLIENTS.items()} == reads
    assert {resolve(tree, NAMES.write_origin, who, outage) for who in CLIENTS.values()} == {writes}
    moved = replace(outage, taking_over=frozenset({SECOND}))
    assert {resolve(tree, NAMES.write_origin, who, moved) for who in CLIENTS.values()} == {SECOND}


def test_deployed_tree_is_the_planned_one(tree: list[OriginRecord]) -> None:
    """The results of the plan's own tests with three regions therefore apply to what the engine deploys."""
    serves = {FIRST: ServedLocations(), SECOND: ServedLocations.model_validate(REGION["serves"])}
    planned = [replace(record, logical_name="") for record in origin_tree(NAMES, serves)]
    assert set(tree) == set(planned)


def test_each_region_has_a_cluster_of_its_own(project: Project) -> None:
    assert len(project.status()["clusters"]) == 2


def test_region_leaves_with_its_resources_only(project: Project, before: dict[str, Any]) -> None:
    project.change("small", remove_second)
    operations = project.preview("small")
    changed = {name: operation for name, operation in operations.items() if operation != "delete"}
    assert changed == dict.fromkeys(LISTS_REGIONS, "update")
    assert not names(before) & (set(operations) - LISTS_REGIONS)
    project.deploy("small")
    assert project.state("small") == before
    assert len(project.status()["clusters"]) == 1


def test_what_is_left_goes_down_to_nothing(project: Project) -> None:
    project.sandbox_command("down", "--stack", "small")
    assert project.remaining() == []
