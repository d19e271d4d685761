"""Checks every IAM policy document that the platform sends to AWS with the linter `parliament`.

The linter knows the actions, resource types and condition keys of AWS's service authorization reference. Ids
and ARNs in the documents have the same form as on AWS.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import sys
import types
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from sandbox.values import is_dict, is_list
from tests.unit.harness import STACKS, Graph, deploy_platform, stack_values


def _resource_filename(package: str, name: str) -> str:
    spec = importlib.util.find_spec(package)
    assert spec
    assert spec.origin
    return str(Path(spec.origin).parent / name)


# parliament 1.6 uses this one function of `pkg_resources`, which setuptools 82 no longer contains.
sys.modules.setdefault("pkg_resources", types.ModuleType("pkg_resources"))
sys.modules["pkg_resources"].__dict__["resource_filename"] = _resource_filename

parliament: Any = importlib.import_module("parliament")


@dataclass(frozen=True)
class Document:
    """A policy document and where it is used."""

    resource: str
    """Logical name."""
    kind: str
    """The resource's type and the property, such as `Role.assumeRolePolicy`."""
    policy: dict[str, Any]


@dataclass(frozen=True)
class Accepted:
    """A false positive, and why."""

    kind: str
    """Beginning of the document's kind."""
    issue: str
    detail: str
    """Part of the finding's detail."""
    reason: str


ACCEPTED = [
    Accepted(
        kind="Key",
        issue="RESOURCE_STAR",
        detail="kms:",
        reason="In a key's policy `*` is that key alone (KMS Developer Guide, 'Key policies').",
    ),
    Accepted(
        kind="Key",
        issue="MISMATCHED_TYPE",
        detail="ArnLike requires a value of type Arn but given String",
        reason="The encryption context is text to the linter; CloudWatch Logs puts the log group's ARN there "
        "('Encrypt log data in CloudWatch Logs', CloudWatch Logs user guide, has the same condition).",
    ),
    Accepted(
        kind="RestApi.body",
        issue="INVALID_ARN",
        detail="Does not have 6 parts",
        reason="The policy is part of the API's definition, and API Gateway completes its resource.",
    ),
    Accepted(
        kind="RolePolicy.policy",
        issue="RESOURCE_STAR",
        detail="ec2:CreateNetworkInterface",
        reason="A function's interfaces in the VPC exist only once it runs: Lambda wants them for every "
        "resource ('Giving Lambda functions access to resources in an Amazon VPC', Lambda guide).",
    ),
]


def graph(stack: str) -> Graph:
    """A stack's graph, with a service that uses every kind of store."""
    values = stack_values(stack)
    orders = values.setdefault("trading:services", {}).setdefault("orders", {})
    orders |= {
        "tables": ["orders-idempotency"],
        "produces": ["orders"],
        "consumes": ["executions"],
        "cache": True,
        "database": True,
        "secrets": {"PARTNER_KEY": "trading/partner"},
    }
    return deploy_platform(stack, values)


def documents(graph: Graph) -> Iterator[Document]:
    """Every policy document in the resources' inputs, whatever the property."""
    for resource in graph.resources:
        token = resource.type.rsplit(":", 1)[-1]
        for path, policy in _within(resource.inputs):
            yield Document(resource.name, f"{token}.{path}", policy)


def _within(value: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    if is_dict(value):
        if "Statement" in value:
            yield path, value
        for key, item in value.items():
            yield from _within(item, path or key)
    elif is_list(value):
        for item in value:
            yield from _within(item, path)
    elif isinstance(value, str) and '"Statement"' in value:
        yield from _within(json.loads(value), path)


def findings(document: Document) -> Iterator[tuple[str, str]]:
    """Issue and detail of each of the linter's findings."""
    policy = json.loads(json.dumps(document.policy))
    for statement in policy["Statement"]:
        if document.kind == "Role.assumeRolePolicy":
            # A trust policy names no resource, because it belongs to a role. The linter requires a resource.
            assert "Resource" not in statement
            statement["Resource"] = "arn:aws:iam::123456789012:role/this"
    for finding in parliament.analyze_policy_string(json.dumps(policy)).findings:
        yield str(finding.issue), str(finding.detail)


def is_accepted(document: Document, issue: str, detail: str) -> bool:
    return any(
        document.kind.startswith(item.kind) and issue == item.issue and item.detail in detail
        for item in ACCEPTED
    )


@pytest.mark.parametrize("stack", STACKS)
def test_linter_finds_nothing_in_any_policy(stack: str) -> None:
    found = list(documents(graph(stack)))
    kinds = {document.kind for document in found}
    assert kinds >= {"Role.assumeRolePolicy", "RolePolicy.policy", "Key.policy"}
    problems = [
        f"{document.resource} ({document.kind}): {issue}: {detail}"
        for document in found
        for issue, detail in findings(document)
        if not is_accepted(document, issue, detail)
    ]
    assert problems == []


def test_every_accepted_finding_is_found() -> None:
    found = [(d, *finding) for d in documents(graph("full")) for finding in findings(d)]
    for item in ACCEPTED:
        assert [
            issue
            for document, issue, detail in found
            if document.kind.startswith(item.kind) and issue == item.issue and item.detail in detail
        ], f"{item.issue} of {item.kind} is not found any more: take it from the list"


@pytest.mark.parametrize(
    ("statement", "issue"),
    [
        ({"Action": "s3:GetObjekt", "Resource": "*"}, "UNKNOWN_ACTION"),
        ({"Action": "s3:GetObject", "Resource": "arn:aws:s3:::bucket"}, "RESOURCE_MISMATCH"),
        ({"Action": "dynamodb:GetItem", "Resource": "arn:aws:dynamodb"}, "INVALID_ARN"),
    ],
)
def test_linter_knows_wrong_policies(statement: dict[str, str], issue: str) -> None:
    policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **statement}]}
    assert issue in {found for found, _ in findings(Document("a", "RolePolicy.policy", policy))}
