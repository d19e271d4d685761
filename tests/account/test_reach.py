"""What the role that deploys a stack can do to another stack in its account, with equal automatic names."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

import pytest

from account import authorization
from account.permissions import data
from policy.rule import listed
from report.planned import AUTO_NAME, UNKNOWN
from tests.account.bootstrap import graph
from tests.account.test_policy import of
from tests.policy.evaluator import Request, allows
from tests.policy.states import fixture_state
from tests.unit.harness import STACKS

OTHERS = ("trading-other", "trading-account")
"""The tag of another stack, and of what the project `bootstrap` prepares."""

every_stack = pytest.mark.parametrize("stack", STACKS)


def own(stack: str) -> str:
    return f"trading-{stack}"


@functools.cache
def documents(stack: str) -> Sequence[Sequence[Mapping[str, Any]]]:
    """The statements of the role's policies, and those of its boundary. Each must allow a request."""
    policies = [item for policy in of(stack).policies for item in policy["Statement"]]
    return policies, json.loads(graph().named("pipelines-boundary").inputs["policy"])["Statement"]


@functools.cache
def about(stack: str, action: str) -> Sequence[str]:
    """The documents with only the statements about an action, because the evaluator is slow."""
    return [
        json.dumps({"Statement": [item for item in document if concerns(item, action)]})
        for document in documents(stack)
    ]


def concerns(statement: Mapping[str, Any], action: str) -> bool:
    patterns = listed(statement.get("Action", "*"))
    return action in patterns or any(fnmatchcase(action, it) for it in patterns if "*" in it)


def allowed(stack: str, action: str, arn: str, **context: str) -> bool:
    keys = {
        "aws:requestedregion": "us-east-1",
        "iam:passedtoservice": "lambda.amazonaws.com",
        "iam:permissionsboundary": "arn:aws:iam::123456789012:policy/trading-workloads",
        **{name.replace("__", "/").replace("_", ":", 1): value for name, value in context.items()},
    }
    return all(allows(document, Request(action, arn, context=keys)) for document in about(stack, action))


@functools.cache
def names(stack: str) -> Mapping[str, frozenset[str]]:
    """Resource type → names of another stack's resources. What differs after the environment is left out."""
    found: dict[str, set[str]] = {}
    for kind, owners in data()["named"].items():
        for item in fixture_state(stack):
            if item["type"] in owners:
                name = item["inputs"].get(owners[item["type"]]) or UNKNOWN
                name = item["urn"].rpartition("::")[2] + "-1234567" if UNKNOWN in name else name
                head, environment, _ = AUTO_NAME.sub("-1234567", name).partition(own(stack))
                found.setdefault(kind, set()).add(f"{head}{OTHERS[0]}-1" if environment else head)
    return {kind: frozenset(it) for kind, it in found.items()}


@functools.cache
def arns(stack: str, kind: str) -> frozenset[str]:
    """The ARNs of another stack's resources of a type. Those with a chosen name have another environment."""
    return frozenset(filled(kind, name) for name in names(stack).get(kind, {"x"}))


def filled(kind: str, name: str) -> str:
    """The ARN of a resource with a name."""
    known = {"${Partition}": "aws", "${Region}": "us-east-1", "${Account}": "123456789012"}
    text = re.sub(
        r"\$\{[^}]+\}", lambda it: known.get(it[0], it[0]), authorization.resource_types()[kind].arn
    )
    return re.sub(r"\$\{[^}]+\}", "x", re.sub(r"\$\{[^}]+\}", lambda _: name, text, count=1))


def requests(stack: str) -> Iterator[tuple[authorization.Action, str, str]]:
    """Every action that writes or returns data, with every resource of another stack that it accepts."""
    for name in of(stack).actions:
        action = authorization.actions().get(name.lower())
        if action and (action.level not in ("Read", "List") or name in data()["sensitive"]):
            for kind in action.resources:
                yield from ((action, kind, arn) for arn in arns(stack, kind))


def has_tags(kind: str) -> bool:
    return authorization.resource_types()[kind].has_tags


@every_stack
def test_resources_with_the_tag_of_others_are_out_of_reach(stack: str) -> None:
    reached = {
        (action.name, arn)
        for action, kind, arn in requests(stack)
        if has_tags(kind) and action.name not in data()["untagged"]
        for tag in OTHERS
        if allowed(stack, action.name, arn, **tags(tag, own(stack)))
    }
    assert reached == set()


def tags(of_resource: str | None, asked: str | None = None, key: str = "owner") -> dict[str, str]:
    """The context of a request about a resource with a tag, which sets the tag to what is asked."""
    found = {"aws_resourcetag__platform": of_resource, "aws_requesttag__platform": asked}
    keys = "platform" if asked else key
    return {"aws_tagkeys": keys, **{name: value for name, value in found.items() if value}}


@every_stack
def test_automatic_names_of_others_are_out_of_reach_or_listed(stack: str) -> None:
    """Where AWS doesn't know the tags of a resource, only the name can tell whose it is."""
    listed_ones = {item.action: item.reason for item in of(stack).unlimited}
    reached = {
        action.name
        for action, kind, arn in requests(stack)
        if not has_tags(kind) or action.name in data()["untagged"]
        if allowed(stack, action.name, arn, **tags(None))
    }
    assert reached - set(listed_ones) - {"iam:CreateServiceLinkedRole"} == set()
    by_name = {name for name, reason in listed_ones.items() if "same automatic names" in reason}
    assert {"s3:DeleteBucket", "s3:DeleteObject", "iam:PassRole", "cloudfront:UpdateFunction"} <= by_name
    assert by_name <= reached


@every_stack
def test_no_single_call_changes_whose_a_resource_is(stack: str) -> None:
    """Otherwise, a second call would be allowed."""
    changed = {
        (action.name, arn)
        for action, kind, arn in requests(stack)
        if action.level == "Tagging" and has_tags(kind)
        for tag in (*OTHERS, own(stack))
        for asked, key in ((own(stack), "platform"), (OTHERS[0], "platform"), (None, "platform"))
        if (asked or is_untagging(action.name)) and asked != tag
        if allowed(stack, action.name, arn, **tags(tag, asked, key))
    }
    assert changed == set()


def is_untagging(action: str) -> bool:
    return re.search(":(Untag|RemoveTags|DeleteTags)", action) is not None


@every_stack
def test_only_new_resources_get_the_tag_where_the_service_tells(stack: str) -> None:
    for action, kind in (
        ("ec2:CreateTags", "ec2:vpc"),
        ("elasticloadbalancing:AddTags", "elasticloadbalancing:targetgroup"),
    ):
        (arn, *_) = arns(stack, kind)
        service = action.partition(":")[0]
        new = {f"{service}_createaction": "CreateVpc"}
        assert allowed(stack, action, arn, **tags(None, own(stack)), **new)
        assert not allowed(stack, action, arn, **tags(None, OTHERS[0]), **new)
        assert not allowed(stack, action, arn, **tags(None, own(stack))), "a resource without the tag"


@every_stack
def test_own_resources_are_within_reach(stack: str) -> None:
    """Each action is allowed for what has the stack's tag, or for what gets it."""
    kinds = {*data()["named"], *data()["tagged"]} - {*data()["unused"]}
    missing = {
        (action.name, arn)
        for action, kind, other in requests(stack)
        if kind in kinds and kind in reachable(stack) and not is_untagging(action.name)
        # The role that AWS creates isn't the stack's, and the boundary never lets a role lose its own.
        if action.name not in ("iam:CreateServiceLinkedRole", "iam:DeleteRolePermissionsBoundary")
        for arn in [other.replace(OTHERS[0], own(stack))]
        if not allowed(stack, action.name, arn, **tags(own(stack)))
        and not allowed(stack, action.name, arn, **tags(None, own(stack)))
    }
    assert missing == set()
    key = filled("kms:key", "x")
    assert allowed(stack, "kms:TagResource", key, **tags(own(stack)))
    assert allowed(stack, "kms:UntagResource", key, **tags(own(stack)))


@functools.cache
def reachable(stack: str) -> frozenset[str]:
    """The resource types of which the stack has resources."""
    used = {item["type"] for item in fixture_state(stack)}
    named = {kind for kind, owners in data()["named"].items() if used & {*owners}}
    return frozenset(named | {kind for kind, owner in data()["tagged"].items() if owner in used})


PARTS = {
    "dynamodb:index",
    "elasticache:cluster",
    "lambda:function alias",
    "lambda:function version",
    "logs:log-stream",
}
"""Parts of resources, which have no tags of their own or get them from AWS."""


def test_every_type_with_automatic_names_is_limited_by_tags() -> None:
    automatic = {kind for kind, found in names("full").items() if any(OTHERS[0] not in it for it in found)}
    assert len(automatic) > 20
    assert {kind for kind in automatic if has_tags(kind)} - PARTS <= set(data()["tagged"])


@every_stack
def test_actions_on_existing_resources_need_the_tag(stack: str) -> None:
    """Resources of others in the account have no tag of a stack, and may have such a name."""
    unlimited = {item.action for item in of(stack).unlimited}
    reached = {
        (action.name, arn)
        for action, kind, arn in requests(stack)
        if kind in data()["tagged"] and kind in reachable(stack) and action.name not in unlimited
        if action.name in data()["existing"] or not re.search(":(Create|Allocate|Request)", action.name)
        if action.name not in (*data()["creating"], *data()["untagged"])
        if allowed(stack, action.name, arn, **tags(None))
    }
    assert reached == set()
