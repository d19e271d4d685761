"""The boundary of the roles that stacks create: all that they need, and nothing that gives them more."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase, translate
from typing import Any

import pytest
from moto.iam.aws_managed_policies import aws_managed_policies_data

from account import authorization, prepared
from bootstrap.workloads import boundary, entries
from policy.rule import listed
from settings.aws_limits import MANAGED_POLICY_LENGTH
from tests.policy.evaluator import Request, allows
from tests.policy.states import fixture_state
from tests.unit.harness import ROOT, STACKS
from tests.unit.test_iam import parliament

ACCOUNT = "123456789012"
DOCUMENT = json.dumps({"Version": "2012-10-17", "Statement": boundary(ACCOUNT)}, separators=(",", ":"))

UNUSED = {
    "acm:*": "Auto Mode reads certificates for Ingress objects, which the platform doesn't have",
    "application-signals:*": "no service uses Application Signals",
    "backup-gateway:*": "there are no virtual machines",
    "cloudformation:*": "backups contain no CloudFormation stacks",
    "cloudwatch:CreateOneTimeDeepLinkCode": "the chat has its own links",
    "cloudtrail:*": "channels of Application Signals",
    "cognito-idp:*": "Auto Mode reads user pools for Ingress objects",
    "dsql:*": "there are no Aurora DSQL clusters",
    "ds:*": "there are no directories",
    "ebs:*": "backups contain no volumes",
    "ec2:CopyImage": "backups contain no instances",
    "ec2:CopySnapshot": "backups contain no volumes",
    "ec2:CreateImage": "backups contain no instances",
    "ec2:DeleteSnapshot": "backups contain no volumes",
    "ec2:DeleteTags": "backups contain no volumes",
    "ec2:DeregisterImage": "backups contain no instances",
    "ec2:GetCoipPoolUsage": "there are no Outposts",
    "ec2:ModifyImageAttribute": "backups contain no instances",
    "ec2:ModifySnapshot*": "backups contain no volumes",
    "ec2:RestoreSnapshotTier": "backups contain no volumes",
    "ec2:TerminateInstances": "backups contain no instances",
    "eks:*": "backups contain no clusters",
    "elasticfilesystem:*": "there are no file systems",
    "fsx:*": "there are no file systems",
    "guardduty:*": "backups aren't scanned for malware",
    "iam:GetRole": "backups contain no clusters; roles of Application Signals",
    "iam:ListAttachedRolePolicies": "backups contain no clusters",
    "oam:*": "accounts share no metrics",
    "observabilityadmin:*": "the platform has its own log groups",
    "rds:CopyDBSnapshot": "Aurora has snapshots of clusters",
    "rds:CreateDBInstance": "a restored cluster gets its instances from the operator",
    "rds:CreateDBSnapshot": "Aurora has snapshots of clusters",
    "rds:*TenantDatabase": "Aurora has no tenants",
    "rds:DeleteDBCluster": "nothing that assumes a role of a stack deletes a database",
    "rds:DeleteDBInstance*": "nothing that assumes a role of a stack deletes a database",
    "rds:DeleteDBSnapshot": "Aurora has snapshots of clusters",
    "rds:ModifyDBInstance": "continuous backups are settings of the cluster",
    "rds:ModifyDBSnapshotAttribute": "Aurora has snapshots of clusters",
    "rds:RestoreDBInstance*": "Aurora restores clusters",
    "redshift*:*": "there are no data warehouses",
    "resource-explorer-2:*": "views of Application Signals",
    "rum:*": "the web app isn't monitored in browsers",
    "servicequotas:*": "the chat shows no quotas",
    "shield:*": "Auto Mode protects load balancers of Ingress objects",
    "ssm*:*": "the agents' configuration is in their add-ons; backups contain no instances",
    "storagegateway:*": "there are no gateways",
    "timestream:*": "there are no such databases",
    "wafv2:*": "Auto Mode connects web ACLs with load balancers of Ingress objects",
    "xray:CancelTraceRetrieval": "the chat shows no traces",
    "xray:StartTraceRetrieval": "the chat shows no traces",
}
"""What AWS's managed policies allow and no role of the platform uses, with the reason."""

OF_REGISTRIES = {"ecr:CreateRepository"}
"""What the registry's policy allows the nodes, and no policy of a role."""


@functools.cache
def managed() -> Mapping[str, Any]:
    """AWS's managed policies, as moto has recorded them."""
    found: Any = aws_managed_policies_data
    return json.loads(found) if isinstance(found, str) else found


@functools.cache
def expanded(pattern: str) -> Sequence[str]:
    """The actions that a pattern covers."""
    covers = re.compile(translate(pattern.lower())).match
    return [action.name for name, action in authorization.actions().items() if covers(name)] or [pattern]


def statements(stack: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The statements of the stack's inline policies, with the name of each policy."""
    for item in fixture_state(stack):
        if item["type"] == "aws:iam/rolePolicy:RolePolicy":
            for statement in json.loads(item["inputs"]["policy"])["Statement"]:
                yield item["urn"].rpartition("::")[2], statement


def context(statement: Mapping[str, Any]) -> dict[str, str]:
    return {
        key.lower(): str(listed(value)[0])
        for keys in statement.get("Condition", {}).values()
        for key, value in keys.items()
    }


@pytest.mark.parametrize("stack", STACKS)
def test_every_statement_of_every_role_is_within_the_boundary(stack: str) -> None:
    beyond = [
        (name, action, resource)
        for name, statement in statements(stack)
        for pattern in listed(statement["Action"])
        for action in expanded(pattern)
        for resource in listed(statement["Resource"])
        if not allows(DOCUMENT, Request(action, resource, context=context(statement)))
    ]
    assert beyond == []


def test_managed_policies_are_within_the_boundary_but_for_what_nobody_uses() -> None:
    attached = {
        item["inputs"]["policyArn"].rpartition("/")[2]
        for item in fixture_state("full")
        if item["type"] == "aws:iam/rolePolicyAttachment:RolePolicyAttachment"
    }
    patterns = {
        pattern
        for name in attached
        for statement in managed()[name]["Document"]["Statement"]
        for pattern in listed(statement["Action"])
    }
    allowed = [
        action.lower()
        for it in boundary(ACCOUNT)
        if it["Effect"] == "Allow"
        for action in listed(it["Action"])
    ]

    def is_within(action: str) -> bool:
        return any(fnmatchcase(action.lower(), pattern) for pattern in allowed)

    beyond = {action for pattern in patterns for action in expanded(pattern) if not is_within(action)}
    explained = {action for action in beyond for it in UNUSED if fnmatchcase(action, it)}
    assert sorted(beyond - explained) == []
    assert sorted(it for it in UNUSED if not any(fnmatchcase(action, it) for action in beyond)) == []


@functools.cache
def needed() -> Mapping[str, frozenset[str]]:
    """Policy → the patterns of its actions. Inline policies have no region in their names."""
    found: dict[str, set[str]] = {}
    for stack in STACKS:
        for name, statement in statements(stack):
            plain = re.sub(r"-[a-z]{2}-[a-z]+-\d", "", name)
            found.setdefault(plain, set()).update(listed(statement["Action"]))
        for item in fixture_state(stack):
            if item["type"] == "aws:iam/rolePolicyAttachment:RolePolicyAttachment":
                name = item["inputs"]["policyArn"].rpartition("/")[2]
                document = managed()[name]["Document"]
                found[name] = {it for part in document["Statement"] for it in listed(part["Action"])}
    return {name: frozenset(patterns) for name, patterns in found.items()}


def needs(name: str, allowed: str) -> bool:
    """Whether a policy has an action that a pattern of the boundary allows."""
    return any(
        fnmatchcase(action.lower(), allowed.lower()) for it in needed()[name] for action in expanded(it)
    )


def test_boundary_has_no_action_without_somebody_who_needs_it() -> None:
    assert [*entries()] == [it["Sid"] for it in boundary(ACCOUNT) if it["Effect"] == "Allow"]
    for sid, found in entries().items():
        given = [action for entry in found for action in entry["actions"]]
        assert len(given) == len(set(given)), f"{sid} has an action twice"
        for entry in found:
            assert entry["why"].endswith("."), sid
            for action in entry["actions"]:
                assert action in OF_REGISTRIES or any(needs(name, action) for name in entry["for"]), (
                    f"{sid}: nobody needs {action}"
                )
            for name in entry["for"]:
                assert any(needs(name, action) for action in entry["actions"]), f"{sid}: {name} needs none"


def test_nodes_may_fill_a_cache_of_images() -> None:
    """docs/configuration.md lets the registry's policy allow it. A boundary limits what such a policy grants
    to a role (IAM User Guide, "Permissions boundaries for IAM entities", read 2026-11-27)."""
    text = (ROOT / "docs" / "configuration.md").read_text()
    for action in OF_REGISTRIES:
        assert f"(`{action}`, in the registry's policy)" in text
        assert allows(DOCUMENT, Request(action, f"arn:aws:ecr:us-east-1:{ACCOUNT}:repository/ghcr/a/b"))
        assert not allows(DOCUMENT, Request(action, "arn:aws:ecr:us-east-1:210987654321:repository/ghcr/a"))


@pytest.mark.parametrize(
    ("action", "resource", "keys"),
    [
        ("iam:CreateRole", f"arn:aws:iam::{ACCOUNT}:role/mine", {}),
        ("iam:PutRolePolicy", f"arn:aws:iam::{ACCOUNT}:role/mine", {}),
        ("iam:AttachRolePolicy", f"arn:aws:iam::{ACCOUNT}:role/mine", {}),
        ("iam:CreateAccessKey", f"arn:aws:iam::{ACCOUNT}:user/me", {}),
        ("iam:PassRole", f"arn:aws:iam::{ACCOUNT}:role/admin", {"iam:passedtoservice": "ec2.amazonaws.com"}),
        (
            "iam:PassRole",
            f"arn:aws:iam::{ACCOUNT}:role/cluster-a-node-1",
            {"iam:passedtoservice": "lambda.amazonaws.com"},
        ),
        ("sts:AssumeRole", f"arn:aws:iam::{ACCOUNT}:role/admin", {}),
        ("kms:PutKeyPolicy", f"arn:aws:kms:us-east-1:{ACCOUNT}:key/1", {}),
        ("kms:CreateGrant", f"arn:aws:kms:us-east-1:{ACCOUNT}:key/1", {}),
        ("kms:Decrypt", "arn:aws:kms:us-east-1:210987654321:key/1", {}),
        (
            "kms:Decrypt",
            f"arn:aws:kms:us-east-1:{ACCOUNT}:key/1",
            {"kms:resourcealiases": prepared.secrets_alias("prod")},
        ),
        (
            "s3:GetObject",
            f"arn:aws:s3:::{prepared.state_bucket(ACCOUNT, 'us-east-1')}/.pulumi/stacks/a.json",
            {},
        ),
        ("s3:DeleteObject", "arn:aws:s3:::any/thing", {}),
        (
            "secretsmanager:GetSecretValue",
            f"arn:aws:secretsmanager:us-east-1:{ACCOUNT}:secret:ecr-pullthroughcache/ghcr-a1b2c3",
            {},
        ),
        ("rds:ModifyDBCluster", f"arn:aws:rds:us-east-1:{ACCOUNT}:cluster:somebody-elses", {}),
        ("rds:DeleteDBCluster", f"arn:aws:rds:us-east-1:{ACCOUNT}:cluster:trading-prod", {}),
        ("lambda:UpdateFunctionCode", f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:a", {}),
        ("organizations:LeaveOrganization", "*", {}),
        ("cloudtrail:StopLogging", f"arn:aws:cloudtrail:us-east-1:{ACCOUNT}:trail/a", {}),
    ],
)
def test_nobody_gets_more_through_a_role(action: str, resource: str, keys: dict[str, str]) -> None:
    assert not allows(DOCUMENT, Request(action, resource, context=keys))


def test_boundary_fits_into_a_managed_policy() -> None:
    assert len(DOCUMENT) <= MANAGED_POLICY_LENGTH


def test_linter_knows_every_action_of_the_boundary() -> None:
    found = [
        item
        for item in parliament.analyze_policy_string(DOCUMENT).findings
        # parliament's data names the key for a few operations only.
        if item.issue != "RESOURCE_STAR" and "condition kms:ResourceAliases" not in str(item.detail)
    ]
    assert [(item.issue, item.detail) for item in found] == []
