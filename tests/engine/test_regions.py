"""A second region joins the deployed `local` stack, and leaves it again, through the real engine.

The tests run in this order on one sandbox; each leaves it for the next.
"""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from tests.engine.project import Project, Values

FIRST, SECOND = "us-east-1", "eu-west-1"
REGION: Values = {
    "name": SECOND,
    "cidr": "10.48.0.0/16",
    "availabilityZones": [f"{SECOND}a", f"{SECOND}b", f"{SECOND}c"],
    "natGateways": "one",
    "serves": {"continents": ["EU", "AF"]},
}
# What lists all regions, and so changes with their number.
LISTS_REGIONS = {"monitoring"}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return Project.make(tmp_path_factory.mktemp("regions"))


@pytest.fixture(scope="module")
def before(project: Project) -> dict[str, Any]:
    """The stack with one region: URN → the resource's id and inputs."""
    project.sandbox_command("up", "--stack", "local")
    return state(project)


def state(project: Project) -> dict[str, Any]:
    return {r["urn"]: (r.get("id"), plain(r.get("inputs"))) for r in project.resources("local")}


def plain(inputs: Any) -> str:
    """Inputs without the text of secrets, which each deployment encrypts anew."""
    return re.sub(r'"ciphertext": "[^"]*"', "", json.dumps(inputs, sort_keys=True))


def names(state: dict[str, Any]) -> set[str]:
    return {urn.rsplit("::", 1)[-1] for urn in state}


def test_preview_of_a_second_region_only_adds(project: Project, before: dict[str, Any]) -> None:
    project.change("local", lambda values: values["trading:regions"].append(REGION))
    operations = project.preview("local")
    changed = {name: operation for name, operation in operations.items() if operation != "create"}
    assert changed == dict.fromkeys(LISTS_REGIONS, "update")
    assert len(operations) > 200
    assert not names(before) & (set(operations) - LISTS_REGIONS)


def test_second_region_leaves_everything_of_the_first_as_it_was(
    project: Project, before: dict[str, Any]
) -> None:
    project.sandbox_command("up", "--stack", "local")
    after = state(project)
    touched = {urn for urn, resource in before.items() if after.get(urn) != resource}
    assert names(dict.fromkeys(touched)) == LISTS_REGIONS
    assert len(after) > 1.7 * len(before), "a region has most of a stack's resources"


def test_every_new_resource_is_of_the_second_region_or_leads_to_it(
    project: Project, before: dict[str, Any]
) -> None:
    added = [r for r in project.resources("local") if r["urn"] not in before]
    astray = [r["urn"] for r in added if SECOND not in f"{r['urn']} {r.get('parent')} {r.get('provider')}"]
    assert names(dict.fromkeys(astray)) == {
        "routing-geolocation-continent-eu",
        "routing-geolocation-continent-af",
        "routing-us-east-1-secondary",
        "routing-write-secondary",
    }


def test_up_with_two_regions_is_complete(project: Project) -> None:
    assert project.preview("local") == {}
    project.pulumi("refresh", "--stack", "local", "--yes", "--skip-preview", "--expect-no-changes")


def test_each_region_has_a_cluster_of_its_own(project: Project) -> None:
    assert len(project.status()["clusters"]) == 2


def test_region_leaves_with_its_resources_only(project: Project, before: dict[str, Any]) -> None:
    project.change("local", lambda values: values["trading:regions"].pop())
    operations = project.preview("local")
    changed = {name: operation for name, operation in operations.items() if operation != "delete"}
    assert changed == dict.fromkeys(LISTS_REGIONS, "update")
    assert not names(before) & (set(operations) - LISTS_REGIONS)
    project.sandbox_command("up", "--stack", "local")
    assert state(project) == before
    assert len(project.status()["clusters"]) == 1


def test_what_is_left_goes_down_to_nothing(project: Project) -> None:
    project.sandbox_command("down", "--stack", "local")
    assert project.status()["aws"] == {}
