"""The `small` stack under the real engine: deployed, unchanged, changed, replaced, destroyed.

The tests run in this order in one sandbox; each begins with the state that the previous one left.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest

from report.cost import estimate
from report.planned import planned
from tests.engine.project import Project, Values
from tests.policy.states import fixture_state
from tests.unit import golden

SYSTEM_NAMESPACES = {"default", "kube-node-lease", "kube-public", "kube-system"}

_LIST_NAMESPACES = """
import json, kubernetes
kubernetes.config.load_kube_config()
names = [item.metadata.name for item in kubernetes.client.CoreV1Api().list_namespace().items]
pods = kubernetes.client.AppsV1Api().list_deployment_for_all_namespaces().items
print(json.dumps({"namespaces": names, "deployments": [item.metadata.name for item in pods]}))
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return Project.make(tmp_path_factory.mktemp("small"))


def cluster_contents(project: Project) -> dict[str, list[str]]:
    output = project.run(sys.executable, "-c", _LIST_NAMESPACES)
    return json.loads(output.strip().splitlines()[-1])


def tiers(resources: list[dict[str, Any]]) -> set[str]:
    """The tiers that contain resources; of nested ones, only the outermost."""
    known = {resource["urn"]: resource for resource in resources}
    found: set[str] = set()
    for resource in resources:
        path: list[str] = []
        current: dict[str, Any] | None = resource
        while current := known.get(current.get("parent", "")):
            if current["type"].startswith("trading:tier:"):
                path.append(current["type"].removeprefix("trading:tier:"))
        found.update(path[-1:])
    return found


def test_planned_stack_costs_what_the_fixture_costs(project: Project) -> None:
    """So the tests of the cost, which use the fixture, hold for what the engine previews."""
    found, expected = estimate(planned("small", project.folder)), estimate(fixture_state("small"))
    assert found.lines == expected.lines
    assert (found.unpriced, found.by_traffic) == (expected.unpriced, expected.by_traffic)


def test_up_deploys_every_tier(project: Project) -> None:
    output = project.sandbox_command("up", "--stack", "small")
    assert "https://small.trade.example.com" in output
    lines = map(str.split, golden.path("small").read_text().splitlines())
    expected = {kind for _, kind, parent, *_ in lines if parent == "-" and kind.startswith("trading:tier:")}
    assert {f"trading:tier:{tier}" for tier in tiers(project.resources("small"))} == expected


def test_services_run_in_the_cluster(project: Project) -> None:
    contents = cluster_contents(project)
    assert {"trading", "keda"} <= set(contents["namespaces"])
    assert {"orders", "accounts", "market-data"} <= set(contents["deployments"])


def test_checkov_finds_nothing_that_is_not_explained(project: Project) -> None:
    verdict = project.scan("--stack", "small")
    assert verdict["failed"] == []
    assert verdict["passed"] > 700
    aws = [r for r in project.resources("small") if r["type"].startswith("aws:")]
    assert verdict["resources"] == len(aws)
    assert verdict["objects"] > 40
    # The origin's header is a secret, which makes the whole list that contains it secret.
    assert verdict["unseen"] == [
        "conditions of aws:lb/listenerRule:ListenerRule alb-us-east-1-api",
        "origins of aws:cloudfront/distribution:Distribution web",
    ]
    export = project.pulumi("stack", "export", "--stack", "small")
    assert project.scan("--state", "-", state=export[export.index("{\n") :]) == verdict


def test_second_up_changes_nothing(project: Project) -> None:
    assert project.preview("small") == {}
    project.pulumi("up", "--stack", "small", "--yes", "--skip-preview", "--expect-no-changes")


def test_refresh_finds_no_drift(project: Project) -> None:
    project.pulumi("refresh", "--stack", "small", "--yes", "--skip-preview", "--expect-no-changes")


def test_setting_changes_in_place(project: Project) -> None:
    def more(values: Values) -> None:
        values["trading:database"]["readers"]["max"] = 4
        values["trading:services"]["orders"]["replicas"]["max"] = 5
        values["trading:cache"]["snapshotRetentionDays"] = 2

    project.change("small", more)
    operations = project.preview("small")
    assert operations
    assert set(operations.values()) == {"update"}
    project.pulumi("up", "--stack", "small", "--yes", "--skip-preview")
    assert project.preview("small") == {}


def test_new_key_replaces_the_table_and_nothing_else_stateful(project: Project) -> None:
    def other_key(values: Values) -> None:
        values["trading:tables"] = {
            "market-data": {
                "hashKey": {"name": "instrument"},
                **dict.fromkeys(("rangeKey", "indexes", "ttlAttribute")),
            }
        }

    project.change("small", other_key)
    operations = project.preview("small")
    replaced = {name for name, operation in operations.items() if "replace" in operation}
    assert "table-market-data-us-east-1" in replaced
    # Its name is not known yet, but the preview still shows whose pods it restarts.
    assert operations["market-data-us-east-1-chart:trading/market-data"] == "update"
    assert "orders-us-east-1-chart:trading/orders" not in operations
    assert not [name for name in replaced if name.startswith(("database", "cache", "event", "cluster"))]
    project.pulumi("up", "--stack", "small", "--yes", "--skip-preview")
    assert project.preview("small") == {}


def test_destroy_empties_the_cluster_before_it_goes(project: Project) -> None:
    cluster = next(r for r in project.resources("small") if r["type"] == "aws:eks/cluster:Cluster")
    arguments = ["destroy", "--stack", "small", "--yes", "--skip-preview", "--exclude", cluster["urn"]]
    project.pulumi(*arguments)
    contents = cluster_contents(project)
    assert set(contents["namespaces"]) == SYSTEM_NAMESPACES
    assert contents["deployments"] == []


def test_destroy_leaves_nothing(project: Project) -> None:
    project.sandbox_command("down", "--stack", "small")
    status = project.status()
    assert status["stacks"]["small"]["resources"] == 0
    assert project.remaining() == []
    assert status["clusters"] == []
