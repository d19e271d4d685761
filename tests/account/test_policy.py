"""The deployer's policies: complete for every fixture stack, within IAM's limits, and no wider than said."""

from __future__ import annotations

import functools
import itertools
import json
import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Any

import botocore.session
import pytest

from account import authorization
from account.__main__ import generated
from account.permissions import (
    UnknownActionError,
    UnknownTypeError,
    data,
    exclusion,
    needed,
    schema_actions,
)
from account.policy import Deployer, PolicyError, compact, deployer
from policy.scan.plan import State
from sandbox import sdk_schema
from settings.aws_limits import MANAGED_POLICIES, MANAGED_POLICY_LENGTH
from tests.account.bootstrap import graph
from tests.account.deployed import deployed
from tests.policy.states import fixture_state
from tests.unit.harness import STACKS, platform, stack_values
from tests.unit.test_iam import parliament

every_stack = pytest.mark.parametrize("stack", STACKS)
PREFIXES = {"aps": "amp", "elasticloadbalancing": "elbv2"}
"""Prefix of actions → name of the service in botocore."""


@functools.cache
def of(stack: str) -> Deployer:
    """What `python -m account policy` prints for a fixture stack."""
    return generated(deployed(stack, fixture_state(stack)))


def statements(found: Deployer, effect: str = "Allow") -> Iterator[dict[str, Any]]:
    for policy in found.policies:
        yield from (item for item in policy["Statement"] if item["Effect"] == effect)


def allowing(found: Deployer, action: str) -> dict[str, Any]:
    (statement,) = (item for item in statements(found) if action in item["Action"])
    return statement


def types(stack: str) -> set[str]:
    return {item["type"] for item in fixture_state(stack) if item["type"].startswith("aws:")}


@every_stack
def test_policies_allow_every_action_of_every_type(stack: str) -> None:
    wanted = {
        action
        for token in types(stack)
        for action in {*schema_actions(token), *data()["calls"].get(token, {}).get("actions", ())}
        if exclusion(action) is None
    }
    if "trading:permissionsBoundary" in stack_values(stack):
        wanted.discard("iam:DeleteRolePermissionsBoundary")
    allowed = [action for statement in statements(of(stack)) for action in statement["Action"]]
    assert {action.lower() for action in wanted} <= {action.lower() for action in allowed}
    assert set(allowed) == set(of(stack).actions)
    assert not [action for action in allowed if "*" in action]


@every_stack
def test_policies_fit_into_a_role(stack: str) -> None:
    found = of(stack)
    assert len(found.policies) <= MANAGED_POLICIES
    assert max(found.sizes) <= MANAGED_POLICY_LENGTH
    assert found.sizes == [len(compact(policy)) for policy in found.policies]


def covered(found: Deployer, action: str, required: str) -> bool:
    """Whether a statement allows an action for resources of a format."""
    return any(
        name == "*" or fnmatchcase(name, required)
        for item in statements(found)
        if action in item["Action"]
        for name in item["Resource"]
    )


@every_stack
def test_linter_is_content(stack: str) -> None:
    found = of(stack)
    newer = {action.partition(":")[2] for action in data()["newer"]}
    limited = {
        name
        for effect in ("Allow", "Deny")
        for item in statements(found, effect)
        if re.search("aws:Re(source|quest)Tag", str(item))
        for name in item["Action"]
    }
    for policy in found.policies:
        for finding in parliament.analyze_policy_string(json.dumps(policy)).findings:
            if finding.issue == "RESOURCE_STAR":
                assert set(finding.detail) <= limited | {item.action for item in found.unlimited}
            elif finding.issue == "RESOURCE_MISMATCH":
                # Another statement has the resource types of the action that this one doesn't have.
                for lacking in finding.detail:
                    assert covered(found, lacking["action"], lacking["required_format"]), lacking
            elif finding.issue == "MISMATCHED_TYPE_BUT_USABLE":
                # AWS's documentation uses `StringEquals` too (IAM User Guide, "Permissions boundaries for IAM
                # entities", read 2026-11-27).
                assert "iam:PermissionsBoundary" in str(policy)
            else:
                assert finding.issue == "UNKNOWN_ACTION", f"{finding.issue}: {finding.detail}"
                assert any(name in finding.detail for name in newer), finding.detail


@every_stack
def test_writing_actions_are_limited_or_listed(stack: str) -> None:
    found = of(stack)
    listed = {item.action for item in found.unlimited}
    for statement in statements(found):
        condition = json.dumps(statement.get("Condition", {}))
        everywhere = statement["Resource"] == ["*"] and not re.search("aws:Re(source|quest)Tag", condition)
        for name in statement["Action"] if everywhere else ():
            action = authorization.actions().get(name.lower())
            assert (name in listed) == (action is None or action.level not in ("Read", "List")), name
    assert all(item.reason for item in found.unlimited)


@every_stack
def test_only_configurations_that_the_resources_need_are_read_by_previews(stack: str) -> None:
    """The questions before and after a deployment also read logs and metrics."""
    found = of(stack)
    wanted = set(needed(types(stack))) & set(found.actions)
    of_previews = {name for policy in found.reads for item in policy["Statement"] for name in item["Action"]}
    of_refreshes = {
        name for policy in found.sensitive for item in policy["Statement"] for name in item["Action"]
    }
    assert of_previews | of_refreshes <= wanted < set(found.actions)
    assert "aps:QueryMetrics" in set(found.actions) - wanted
    assert of_refreshes == wanted & set(data()["sensitive"])


@every_stack
def test_names_of_every_resource_match(stack: str) -> None:
    """A pattern covers the names that the provider gives resources, and those that the program chooses."""
    patterns = [name.rpartition(":")[2] for item in statements(of(stack)) for name in item["Resource"]]
    for resource in platform(stack).resources:
        key = next(
            (kinds[resource.type] for kinds in data()["named"].values() if resource.type in kinds), None
        )
        if key is None:
            continue
        name = resource.inputs.get(key) or resource.outputs.get(key) or f"{resource.name}-1234567"
        assert any(
            fnmatchcase(f"{start}{name}{end}", pattern)
            for pattern in patterns
            for end in ("", "/x", "/x/x")
            for start in ("", *starts(pattern))
        ), (resource.type, name)


def starts(pattern: str) -> list[str]:
    """The beginnings of a pattern that end in a slash."""
    parts = pattern.split("/")
    return ["/".join(parts[:end]) + "/" for end in range(1, len(parts))]


def test_roles_are_passed_only_to_the_services_that_they_trust() -> None:
    statement = allowing(of("small"), "iam:PassRole")
    services = statement["Condition"]["StringEquals"]["iam:PassedToService"]
    assert {"lambda.amazonaws.com", "eks.amazonaws.com"} <= set(services)
    assert all(arn.startswith("arn:aws:iam::*:role/") for arn in statement["Resource"])
    assert not [arn for arn in statement["Resource"] if arn.endswith("role/*")]


BOUNDED: list[str] = data()["bounded"]


def test_only_roles_with_the_boundary_get_permissions() -> None:
    boundary = stack_values("full")["trading:permissionsBoundary"]
    for action in BOUNDED:
        condition = allowing(of("full"), action)["Condition"]["StringEquals"]
        assert condition["iam:PermissionsBoundary"] == boundary, action
    assert (
        "aws:ResourceTag/platform" in allowing(of("full"), "iam:PutRolePolicy")["Condition"]["StringEquals"]
    )
    assert "iam:DeleteRolePermissionsBoundary" not in of("full").actions
    assert "iam:PermissionsBoundary" not in json.dumps(of("small").policies)
    assert "iam:DeleteRolePermissionsBoundary" in of("small").actions


def test_actions_that_give_permissions_accept_the_condition() -> None:
    for action in BOUNDED:
        assert "iam:PermissionsBoundary" in authorization.actions()[action.lower()].conditions, action


def test_role_without_the_boundary_of_the_others_is_refused() -> None:
    other: State = {"urn": "urn:x", "type": "aws:iam/role:Role", "inputs": {}}
    state = [*fixture_state("full"), other]
    with pytest.raises(PolicyError, match=r"different permissions boundaries .*trading:permissionsBoundary"):
        deployer(state)


def test_actions_on_an_existing_network_need_no_tag_of_ours() -> None:
    state = [item for item in fixture_state("small") if item["type"] != "aws:ec2/subnet:Subnet"]
    assert "ec2:DeleteSubnet" not in deployer(state).actions
    with_subnets = [item["Action"] for item in statements(of("small")) if "Condition" in item]
    assert "ec2:DeleteSubnet" in itertools.chain.from_iterable(with_subnets)


def test_regional_actions_without_another_limit_stay_in_the_regions_of_the_stack() -> None:
    condition = allowing(of("small"), "ec2:CreateNatGateway")["Condition"]
    assert condition == {"StringEquals": {"aws:RequestedRegion": ["us-east-1"]}}


def test_type_without_a_schema_is_refused() -> None:
    with pytest.raises(UnknownTypeError, match="add the IAM actions that its provider calls to `calls`"):
        needed(["aws:nothing/thing:Thing"])


def test_action_that_is_not_in_the_reference_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(data()["always"], "actions", ["ec2:DoNothing"])  # type: ignore[arg-type]
    with pytest.raises(UnknownActionError, match="ec2:DoNothing is not in the service authorization"):
        needed([])


def test_more_policies_than_a_role_accepts_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("account.policy.MANAGED_POLICIES", 2)
    with pytest.raises(PolicyError, match=r"needs \d managed policies of 6144 characters"):
        deployer(fixture_state("small"))


# -- the data file -----------------------------------------------------------------------------------


def test_every_pattern_excludes_an_action_of_a_schema() -> None:
    named = {action for stack in STACKS for token in types(stack) for action in schema_actions(token)}
    assert [
        pattern for pattern in data()["excluded"] if not any(fnmatchcase(it, pattern) for it in named)
    ] == []


def test_newer_actions_are_operations_of_the_sdk_and_not_in_the_reference() -> None:
    session = botocore.session.get_session()
    newer: list[str] = data()["newer"]
    for action in newer:
        prefix, _, name = action.partition(":")
        service = PREFIXES.get(prefix, str(prefix))
        assert name in session.get_service_model(service).operation_names, action
        assert action.lower() not in authorization.actions(), f"{action}: remove it from `newer`"


def test_every_name_and_tag_belongs_to_a_type_that_has_it() -> None:
    used = set[str]().union(*(types(stack) for stack in STACKS))
    for kind, owners in data()["named"].items():
        assert kind in authorization.resource_types(), kind
        for token, key in owners.items():
            assert token in used, token
            assert key in sdk_schema.schema(token).inputs, (token, key)
    for kind, token in data()["tagged"].items():
        assert authorization.resource_types()[kind].has_tags, kind
        assert "tags" in sdk_schema.schema(token).inputs, token
        assert token in used, token
    for kind in (*data()["unused"], *data()["static"], *data()["tagged_later"]):
        assert kind in authorization.resource_types(), kind


def test_every_call_belongs_to_a_type_of_the_stacks() -> None:
    bootstrap = {item.type for item in graph().resources if item.type.startswith("aws:")}
    used = bootstrap.union(*(types(stack) for stack in STACKS))
    assert set(data()["calls"]) <= used
    assert all(entry["source"] for entry in data()["calls"].values())
    for action in (*data()["untagged"], *data()["existing"], *data()["creating"], *data()["sensitive"]):
        assert any(action in of(stack).actions for stack in STACKS), action
