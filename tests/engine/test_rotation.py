"""The rotation of the origin's secret under the real engine: at no moment is a request refused.

The tests run in this order in one sandbox; each begins with the state that the previous one left.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest

from tests.engine.project import Project, Values

DISTRIBUTION = "aws:cloudfront/distribution:Distribution"
LISTENER_RULE = "aws:lb/listenerRule:ListenerRule"
PASSWORD = "random:index/randomPassword:RandomPassword"

_PHASES = {"resourcePreEvent": "begin", "resOutputsEvent": "end"}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The small stack with one service: it has the whole request path that is tested here, and no more."""

    def small(values: Values) -> None:
        values["trading:services"] |= {"accounts": None, "market-data": None}
        values["trading:api"]["routes"] = {"/api/accounts": None, "/api/market-data": None}

    made = Project.make(tmp_path_factory.mktemp("rotation"))
    made.change("small", small)
    return made


def rotate(project: Project, *numbers: int) -> tuple[list[str], str]:
    """Deploys with these secrets. Returns the engine's steps (`begin update web`) and its whole output."""

    def change(values: Values) -> None:
        values["trading:loadBalancer"] = {"originSecrets": list(numbers)}

    project.change("small", change)
    output = project.pulumi("up", "--stack", "small", "--yes", "--skip-preview", "--json")
    steps: list[str] = []
    for line in output.splitlines():
        event: Values = json.loads(line) if line.startswith('{"sequence"') else {}
        for key in _PHASES.keys() & event.keys():
            step: Values = event[key]["metadata"]
            if step["op"] != "same" and not step["type"].startswith("pulumi:"):
                steps.append(f"{_PHASES[key]} {step['op']} {step['urn'].rsplit('::', 1)[-1]}")
    return steps, output


@dataclass(frozen=True)
class Deployed:
    """The stack's state with its secrets decrypted."""

    secrets: dict[str, str]
    accepted: set[str]
    """The header's values that the load balancer accepts."""
    sent: set[str]
    """The header's values that CloudFront sends."""


def deployed(project: Project) -> Deployed:
    text = project.pulumi("stack", "export", "--stack", "small", "--show-secrets")
    resources: list[Values] = json.loads(text[text.index("{\n") :])["deployment"]["resources"]
    return Deployed(
        secrets={
            resource["urn"].rsplit("::", 1)[-1]: _open(resource["outputs"]["result"])
            for resource in resources
            if resource["type"] == PASSWORD and "origin-secret" in resource["urn"]
        },
        accepted={
            value
            for resource in resources
            if resource["type"] == LISTENER_RULE
            for condition in _open(resource["outputs"]["conditions"])
            for value in condition.get("httpHeader", {}).get("values", [])
        },
        sent={
            header["value"]
            for resource in resources
            if resource["type"] == DISTRIBUTION
            for origin in _open(resource["outputs"]["origins"])
            for header in origin.get("customHeaders", [])
        },
    )


def _open(value: Any) -> Any:
    """A property's value; the export wraps secrets."""
    return json.loads(value["plaintext"]) if "plaintext" in value else value


def test_one_secret_at_first(project: Project) -> None:
    project.deploy("small")
    found = deployed(project)
    assert found.sent == found.accepted == set(found.secrets.values())
    assert list(found.secrets) == ["domain-origin-secret"]


def test_new_secret_is_accepted_before_it_is_sent_and_the_old_one_stays(project: Project) -> None:
    old = deployed(project).secrets
    steps, output = rotate(project, 1, 2)
    assert steps == [
        *("begin create domain-origin-secret-2", "end create domain-origin-secret-2"),
        *("begin create alb-us-east-1-api-2", "end create alb-us-east-1-api-2"),
        *("begin update web", "end update web"),
    ]
    found = deployed(project)
    assert found.secrets == {**old, "domain-origin-secret-2": found.secrets["domain-origin-secret-2"]}
    assert found.sent == {found.secrets["domain-origin-secret-2"]}
    assert found.accepted == set(found.secrets.values())
    assert len(found.accepted) == 2
    shown = output + project.pulumi("stack", "export", "--stack", "small")
    assert [name for name, value in found.secrets.items() if value in shown] == []


def test_old_secret_goes_and_nothing_else_changes(project: Project) -> None:
    steps, _ = rotate(project, 2)
    assert steps == [
        *("begin delete alb-us-east-1-api", "end delete alb-us-east-1-api"),
        *("begin delete domain-origin-secret", "end delete domain-origin-secret"),
    ]
    found = deployed(project)
    assert list(found.secrets) == ["domain-origin-secret-2"]
    assert found.sent == found.accepted == set(found.secrets.values())


def test_one_step_is_as_safe_because_the_engine_deletes_last(project: Project) -> None:
    steps, _ = rotate(project, 3)
    order = [
        "end create alb-us-east-1-api-3",
        "begin update web",
        "end update web",
        "begin delete alb-us-east-1-api-2",
    ]
    assert [step for step in steps if step in order] == order
    assert not [step for step in steps if "replace" in step]
    found = deployed(project)
    assert list(found.secrets) == ["domain-origin-secret-3"]
    assert found.sent == found.accepted == set(found.secrets.values())
