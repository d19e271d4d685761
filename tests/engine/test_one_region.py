"""What is done to one of two regions while the other serves, under the real engine.

The tests follow docs/operations.md, "Upgrade EKS" and "Reorder or remove a region". They run in this order in
one sandbox; each begins with the state that the previous one left.
"""

from __future__ import annotations

import re
from typing import Any

import pytest

from sandbox.aws import global_database
from sandbox.aws.store import Store
from tests.engine.project import Project
from tests.engine.test_regions import FIRST, SECOND, add_second, only_orders, remove_second
from tests.unit.harness import ROOT

CLUSTER = "aws:eks/cluster:Cluster"
OLD, NEW = "1.35", "1.36"


def targets(region: str) -> list[str]:
    """The options of the runbook's commands that choose a region."""
    text = (ROOT / "docs" / "operations.md").read_text().split("\n## Upgrade EKS\n")[1].split("\n## ")[0]
    (options,) = set(re.findall(r"^pulumi \w+ .*?(--target .+)$", text, re.MULTILINE))
    return options.replace('"', "").replace("$REGION", region).split()


def versions(project: Project) -> dict[str, str]:
    """Region → the version of its cluster."""
    clusters = [r["outputs"] for r in project.resources("small") if r["type"] == CLUSTER]
    return {outputs["arn"].split(":")[3]: outputs["version"] for outputs in clusters}


def elsewhere(steps: list[dict[str, Any]]) -> list[str]:
    """The resources that a deployment changes in the first region, or that both regions share."""
    return [step["urn"] for step in steps if SECOND not in step["urn"].rsplit("::", 1)[-1]]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    made = Project.make(tmp_path_factory.mktemp("upgrade"))
    made.change("small", only_orders)
    made.change("small", lambda values: values["trading:cluster"].update({"version": OLD}))
    made.change("small", add_second)
    made.deploy("small")
    return made


def test_preview_of_one_region_changes_nothing_in_the_other(project: Project) -> None:
    project.change("small", lambda values: values["trading:cluster"].update({"version": NEW}))
    steps = project.steps("small", *targets(SECOND))
    assert elsewhere(steps) == []
    assert [step["op"] for step in steps if step["newState"]["type"] == CLUSTER] == ["update"]
    assert {step["op"] for step in steps} == {"update"}


def test_one_region_is_upgraded_and_the_other_stays(project: Project) -> None:
    project.pulumi("up", "--stack", "small", "--yes", "--skip-preview", *targets(SECOND))
    assert versions(project) == {FIRST: OLD, SECOND: NEW}


def test_the_next_deployment_upgrades_the_other_region_only(project: Project) -> None:
    steps = project.steps("small")
    assert len(elsewhere(steps)) == len(steps) > 0
    project.deploy("small")
    assert versions(project) == {FIRST: NEW, SECOND: NEW}
    assert project.preview("small") == {}


def test_no_preview_shows_a_secondary_that_has_left_the_global_database(project: Project) -> None:
    """So the runbook says so, and nothing of it is replaced or attached again by accident."""
    store = Store(project.sandbox)
    global_database.remove(store, SECOND)
    store.close()
    project.pulumi("refresh", "--stack", "small", "--yes", "--skip-preview")
    assert project.preview("small") == {}


def test_its_region_can_be_removed(project: Project) -> None:
    project.change("small", remove_second)
    project.deploy("small")
    assert [urn for urn in project.remaining() if SECOND in urn] == []
    assert project.preview("small") == {}
