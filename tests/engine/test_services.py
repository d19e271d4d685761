"""A service is added to the deployed `small` stack and removed again, under the real engine.

The sandbox refuses what AWS would refuse: creating a listener before its target group, deleting a target
group that a listener still uses, or a security group that is in use. The tests run in this order in one
sandbox; each begins with the state that the previous one left.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import pytest

from sandbox.values import UNKNOWN
from tests.engine.project import Project, Values

SERVICE: Values = {
    "listenerPort": 8084,
    "tlsPort": 8443,
    "replicas": {"min": 1, "max": 2},
    "tables": ["market-data"],
    "consumes": ["executions"],
    "cache": True,
    "database": True,
}
ROUTES: Values = {"/api/positions": {"service": "positions"}}

UPDATES = {
    # A new route changes the API's document, so there is a new deployment, to which the stage is switched.
    "aws:apigateway/restApi:RestApi": "update",
    "aws:apigateway/deployment:Deployment": "replace",
    "aws:apigateway/stage:Stage": "update",
    # Resources that list all services or routes: scopes, the clients that may request them, the cache's
    # users, the web app's router (the app names the API's paths, so it is a new release), the dashboard of
    # all alarms.
    "aws:cloudfront/function:Function": "update",
    "aws:cognito/resourceServer:ResourceServer": "update",
    "aws:cognito/userPoolClient:UserPoolClient": "update",
    "aws:elasticache/userGroup:UserGroup": "update",
    "aws:cloudwatch/dashboard:Dashboard": "update",
    # Its recorded query, its pods' alarms, its database user: the proxy's permission to sign in as it, and a
    # run of the migrations' Job.
    "aws:amp/ruleGroupNamespace:RuleGroupNamespace": "update",
    "aws:cloudwatch/compositeAlarm:CompositeAlarm": "update",
    "aws:iam/rolePolicy:RolePolicy": "update",
    "kubernetes:batch/v1:Job": "replace",
}
"""Type → operation of each resource that is not new."""
UNKNOWN_INPUTS = {("aws:apigateway/stage:Stage", "deployment")}
"""Type and input of existing resources that the preview does not know: the id of the new deployment."""
PREVIEW_LINES = 4250
"""A bit more than the preview of one additional service has, which is 4,074. Half of these lines are the
API's document: if one line of a document changes, the engine prints the others too."""
RELEASED = "aws:s3/bucketObjectv2:BucketObjectv2"
"""The files of a release, whose keys contain the release's name."""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return Project.make(tmp_path_factory.mktemp("services"))


@pytest.fixture(scope="module")
def before(project: Project) -> dict[str, Any]:
    """The stack without the service: URN → the resource's id and inputs."""
    project.deploy("small")
    return project.state("small")


def steps(project: Project) -> Counter[tuple[str, str]]:
    """What a deployment would do: type and operation → how often, except for `same`."""
    return Counter((kind(step["urn"]), step["op"]) for step in project.steps("small"))


def kind(urn: str) -> str:
    return urn.split("::")[2].split("$")[-1]


def changed(before: dict[str, Any], after: dict[str, Any]) -> set[str]:
    """Types of existing resources that have changed, except for the web app's release."""
    return {kind(urn) for urn, resource in before.items() if after.get(urn) != resource} - {RELEASED}


def add(values: Values) -> None:
    values["trading:services"]["positions"] = SERVICE
    values["trading:api"]["routes"] = ROUTES


def remove(values: Values) -> None:
    del values["trading:services"]["positions"]
    del values["trading:api"]["routes"]


def test_preview_of_a_new_service_adds_and_replaces_nothing_but_the_apis_deployment(
    project: Project, before: dict[str, Any]
) -> None:
    project.change("small", add)
    found = steps(project)
    others = {token: op for token, op in found if op != "create"}
    assert others == {**UPDATES, RELEASED: "replace"}
    # Only the overview changes, and one is new: the graphs of regions, tables and other services do not
    # change.
    assert found["aws:cloudwatch/dashboard:Dashboard", "update"] == 1
    assert found["aws:cloudwatch/dashboard:Dashboard", "create"] == 1
    for token in (
        "aws:lb/targetGroup:TargetGroup",
        "aws:lb/listener:Listener",
        "kubernetes:eks.amazonaws.com/v1:TargetGroupBinding",
        "kubernetes:apps/v1:Deployment",
        "kubernetes:keda.sh/v1alpha1:ScaledObject",
    ):
        assert found[token, "create"] == 1


def test_preview_of_a_new_service_knows_what_becomes_of_all_else(
    project: Project, before: dict[str, Any]
) -> None:
    """One unknown ARN makes a whole document unknown, and a preview then prints the old one as deleted."""
    lost = {
        (kind(step["urn"]), name)
        for step in project.steps("small")
        if step["urn"] in before and "newState" in step
        for name, value in step["newState"].get("inputs", {}).items()
        if value == UNKNOWN
    }
    assert lost == UNKNOWN_INPUTS


def test_preview_of_a_new_service_can_be_read(project: Project, before: dict[str, Any]) -> None:
    text = project.pulumi("preview", "--stack", "small", "--diff")
    lines: Counter[str] = Counter()
    resource = "before the first resource"
    for line in text.splitlines():
        resource = urn[1].split("::", 2)[-1] if (urn := re.search(r"\[urn=(.*)\]", line)) else resource
        lines[resource] += 1
    assert lines.total() < PREVIEW_LINES, lines.most_common(20)


def test_new_service_leaves_everything_else_as_it_was(project: Project, before: dict[str, Any]) -> None:
    project.deploy("small")
    after = project.state("small")
    assert changed(before, after) == set(UPDATES)
    assert before.keys() < after.keys()
    assert steps(project) == Counter()


def test_load_balancer_encrypts_to_the_port_that_the_binding_registers(project: Project) -> None:
    resources = project.resources("small")
    group = next(
        r["outputs"]
        for r in resources
        if r["type"] == "aws:lb/targetGroup:TargetGroup" and "positions" in r["urn"]
    )
    assert (group["protocol"], group["port"]) == ("TLS", 8443)
    binding = next(
        r["inputs"]["spec"]
        for r in resources
        if r["type"].endswith(":TargetGroupBinding") and "positions" in r["urn"]
    )
    assert binding["targetGroupARN"] == group["arn"]
    assert binding["serviceRef"] == {"name": "positions", "port": 8443}
    ports = next(
        r["outputs"]["spec"]["ports"]
        for r in resources
        if r["type"] == "kubernetes:core/v1:Service" and "positions" in r["urn"]
    )
    assert {port["name"]: port["port"] for port in ports} == {"http": 9898, "https": 8443}


def test_service_leaves_with_its_resources_only(project: Project, before: dict[str, Any]) -> None:
    project.change("small", remove)
    project.deploy("small")
    after = project.state("small")
    assert after.keys() == before.keys()
    # The old document is deployed again, with another id.
    assert changed(before, after) == {
        "aws:apigateway/deployment:Deployment",
        "aws:apigateway/stage:Stage",
    }
    assert steps(project) == Counter()


def test_what_is_left_goes_down_to_nothing(project: Project) -> None:
    project.sandbox_command("down", "--stack", "small")
    assert project.remaining() == []
