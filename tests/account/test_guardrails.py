"""The service control policies: known to AWS, within its limits, strict, and no obstacle to our stacks."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest

from account import authorization, prepared
from account.__main__ import main
from account.guardrails import Denial, denials, policies
from account.permissions import needed
from policy.rule import listed
from policy.rules import NAMES
from policy.scan.plan import State
from report.planned import region_of
from settings.aws_limits import CONTROL_POLICIES, CONTROL_POLICY_LENGTH, EDGE_REGION
from tests.account.guardrails import PAGE, REGIONS, render
from tests.policy.evaluator import Request, allows
from tests.policy.states import fixture_state
from tests.unit.harness import ROOT, STACKS

ACCOUNT = "123456789012"
ALLOWED = {"Effect": "Allow", "Action": "*", "Resource": "*"}
ALL = [denial for found in denials(REGIONS).values() for denial in found]
DOCUMENT = json.dumps({"Statement": [ALLOWED, *(denial.statement() for denial in ALL)]})

GLOBAL_KEYS = ("aws:PrincipalArn", "aws:RequestedRegion", "aws:SecureTransport")
"""Keys that AWS fills in for every request (IAM User Guide, "AWS global condition context keys")."""

DEPLOYER = f"arn:aws:iam::{ACCOUNT}:role/{prepared.role_name('deploy', 'prod')}"
SOMEBODY = f"arn:aws:iam::{ACCOUNT}:role/somebody"
ADMINISTRATOR = f"arn:aws:iam::{ACCOUNT}:role/OrganizationAccountAccessRole"


def request(action: str, resource: str = "*", **context: str) -> Request:
    usual = {
        "aws:principalarn": DEPLOYER,
        "aws:requestedregion": "us-east-1",
        "aws:securetransport": "true",
        "iam:permissionsboundary": prepared.workloads_arn(ACCOUNT),
    }
    keys = {key.replace("__", ":").lower(): value for key, value in context.items()}
    return Request(action, resource, context={**usual, **keys})


# -- the documents -------------------------------------------------------------------------------------


def test_documents_are_within_the_limits() -> None:
    found = policies(REGIONS)
    assert len(found) + 1 <= CONTROL_POLICIES, "with FullAWSAccess"
    for name, document in found.items():
        assert len(json.dumps(document, indent=2)) <= CONTROL_POLICY_LENGTH, name


@pytest.mark.parametrize("denial", ALL, ids=lambda denial: denial.sid)
def test_aws_knows_the_actions_and_the_condition_keys(denial: Denial) -> None:
    keys = {key for operator in denial.condition.values() for key in operator}
    for pattern in denial.actions:
        actions = [
            action for name, action in authorization.actions().items() if fnmatchcase(name, pattern.lower())
        ]
        assert actions, pattern
        for key in keys.difference(GLOBAL_KEYS):
            assert all(key in action.conditions for action in actions), (pattern, key)


def test_statements_have_names_of_their_own_and_hold_known_rules() -> None:
    assert len({denial.sid for denial in ALL}) == len(ALL)
    assert {rule for denial in ALL for rule in denial.rules} <= set(NAMES)
    assert all(denial.sid.isalnum() for denial in ALL)


# -- what they deny ------------------------------------------------------------------------------------

SNAPSHOT = "arn:aws:ec2:us-east-1::snapshot/snap-1"
VOLUME = f"arn:aws:ec2:us-east-1:{ACCOUNT}:volume/vol-1"
INSTANCE = f"arn:aws:ec2:us-east-1:{ACCOUNT}:instance/i-1"
NET = f"arn:aws:elasticloadbalancing:us-east-1:{ACCOUNT}:loadbalancer/net/a/1"
POLICY = "elasticloadbalancing__SecurityPolicy"
ADMIN_POLICY = "arn:aws:iam::aws:policy/AdministratorAccess"
SOMEBODY_IS: Mapping[str, str] = {"aws__PrincipalArn": SOMEBODY}

DENIED: Mapping[str, list[Request]] = {
    "StayInTheOrganization": [request("organizations:LeaveOrganization")],
    "NoRootUser": [request("s3:ListBucket", aws__PrincipalArn=f"arn:aws:iam::{ACCOUNT}:root")],
    "OnlyOurRegions": [
        request("ec2:RunInstances", aws__RequestedRegion="ap-south-1"),
        request("s3:CreateBucket", aws__RequestedRegion="ap-south-1"),
    ],
    "KeepTheRecords": [request("cloudtrail:StopLogging"), request("guardduty:DeleteDetector")],
    "NoUsers": [request("iam:CreateUser"), request("iam:CreateAccessKey")],
    "OnlyLimitedRoles": [
        request("iam:CreateRole", iam__PermissionsBoundary=""),
        request("iam:PutRolePolicy", iam__PermissionsBoundary=ADMIN_POLICY),
    ],
    "OnlyListedPolicies": [request("iam:AttachRolePolicy", iam__PolicyARN=ADMIN_POLICY)],
    "ShareOnlyWithUs": [request("ram:CreateResourceShare", ram__RequestedAllowsExternalPrincipals="true")],
    "NoPublicSecrets": [
        request("secretsmanager:PutResourcePolicy", secretsmanager__BlockPublicPolicy="false")
    ],
    "OnlyTls": [request("s3:GetObject", aws__SecureTransport="false")],
    "NoPublicLists": [Request("s3:PutObjectAcl", "*", context={"s3:x-amz-acl": "public-read"})],
    "OnlyPipelinesChangeProtection": [
        request("s3:PutBucketPublicAccessBlock", **SOMEBODY_IS),
        request("kms:ScheduleKeyDeletion", **SOMEBODY_IS),
        request("backup:DeleteBackupVaultLockConfiguration", **SOMEBODY_IS),
        request("ec2:DeleteFlowLogs", **SOMEBODY_IS),
    ],
    "EncryptedDatabases": [request("rds:CreateDBCluster", rds__StorageEncrypted="false")],
    "KeepSnapshots": [
        request("ec2:ModifySnapshotAttribute", SNAPSHOT),
        request("rds:ModifyDBClusterSnapshotAttribute"),
    ],
    "EncryptedCaches": [
        request("elasticache:CreateReplicationGroup", elasticache__AtRestEncryptionEnabled="false")
    ],
    "CachesUseTls": [
        request("elasticache:ModifyReplicationGroup", elasticache__TransitEncryptionEnabled="false")
    ],
    "PrivateBrokers": [request("kafka:UpdateConnectivity", kafka__publicAccessEnabled="true")],
    "EncryptedDisks": [request("ec2:CreateVolume", VOLUME, ec2__Encrypted="false")],
    "DisksStayEncrypted": [request("ec2:DisableEbsEncryptionByDefault")],
    "TokensForMetadata": [request("ec2:RunInstances", INSTANCE, ec2__MetadataHttpTokens="optional")],
    "ModernTls": [
        request("elasticloadbalancing:CreateListener", **{POLICY: "ELBSecurityPolicy-2016-08"}),
        request(
            "elasticloadbalancing:ModifyListener", **{POLICY: "ELBSecurityPolicy-TLS13-1-2-Ext2-2021-06"}
        ),
    ],
    "NoPublicNetworkBalancers": [
        request(
            "elasticloadbalancing:CreateLoadBalancer", NET, elasticloadbalancing__Scheme="internet-facing"
        )
    ],
    "NoPublicFunctions": [request("lambda:CreateFunctionUrlConfig", lambda__FunctionUrlAuthType="NONE")],
    "FunctionsKnowTheirCallers": [request("lambda:AddPermission", lambda__Principal="*")],
}
"""Statement → requests that it denies."""


@pytest.mark.parametrize("denial", ALL, ids=lambda denial: denial.sid)
def test_each_statement_denies_what_it_says(denial: Denial) -> None:
    own = json.dumps({"Statement": [ALLOWED, denial.statement()]})
    assert DENIED[denial.sid]
    for it in DENIED[denial.sid]:
        assert not allows(own, it), it


@pytest.mark.parametrize(
    "it",
    [
        request("iam:CreateRole"),
        request("iam:CreateRole", aws__PrincipalArn=SOMEBODY, iam__PermissionsBoundary=""),
        request("route53:GetHostedZone", aws__RequestedRegion="us-west-2"),
        request("iam:AttachRolePolicy", iam__PolicyARN="arn:aws:iam::aws:policy/AmazonEKSClusterPolicy"),
        request("kms:ScheduleKeyDeletion", aws__PrincipalArn=ADMINISTRATOR),
        request("cloudtrail:StopLogging", aws__PrincipalArn=ADMINISTRATOR),
        request(
            "rds:ModifyDBClusterSnapshotAttribute", aws__PrincipalArn=f"arn:aws:iam::{ACCOUNT}:role/backups-1"
        ),
        request("elasticloadbalancing:CreateListener"),
        request("ec2:RunInstances", INSTANCE, ec2__MetadataHttpTokens="required"),
        request("ec2:RunInstances", INSTANCE),
        request("s3:PutObject", **{"s3__x-amz-acl": "bucket-owner-full-control"}),
    ],
    ids=lambda it: it.action,
)
def test_what_is_right_is_not_denied(it: Request) -> None:
    assert allows(DOCUMENT, it)


# -- our own stacks ------------------------------------------------------------------------------------

_FROM_INPUTS: Mapping[str, Mapping[str, str]] = {
    "aws:rds/cluster:Cluster": {"rds:storageencrypted": "storageEncrypted"},
    "aws:elasticache/replicationGroup:ReplicationGroup": {
        "elasticache:atrestencryptionenabled": "atRestEncryptionEnabled",
        "elasticache:transitencryptionenabled": "transitEncryptionEnabled",
    },
    "aws:lb/listener:Listener": {"elasticloadbalancing:securitypolicy": "sslPolicy"},
    "aws:lambda/permission:Permission": {"lambda:principal": "principal"},
    "aws:iam/role:Role": {"iam:permissionsboundary": "permissionsBoundary"},
    "aws:iam/rolePolicyAttachment:RolePolicyAttachment": {"iam:policyarn": "policyArn"},
}
"""Type → condition key in lower case → the input from which the service fills it in."""

_NEVER = {token: {"iam:AttachRolePolicy"} for token in ("aws:iam/role:Role", "aws:msk/cluster:Cluster")}
"""Type → actions in AWS's schema that the provider doesn't call for the stacks' resources of the type."""


def deployment(stack: str) -> Iterator[tuple[str, Request]]:
    """The requests with which a pipeline creates, changes and deletes a stack, with the resource's name."""
    state = fixture_state(stack)
    known = {item["urn"]: item for item in state}
    boundary = {"iam:permissionsboundary": prepared.workloads_arn(ACCOUNT)}
    for item in state:
        if not item["type"].startswith("aws:"):
            continue
        keys = {**boundary, **dict(_keys(item)), "aws:principalarn": DEPLOYER, "aws:securetransport": "true"}
        keys["aws:requestedregion"] = region_of(item, known) or EDGE_REGION
        own = {action for action, types in needed([item["type"]]).items() if item["type"] in types}
        for action in own - _NEVER.get(item["type"], set()):
            yield item["urn"].rpartition("::")[2], Request(action, _arn(item, action), context=keys)


def _keys(item: State) -> Iterator[tuple[str, str]]:
    inputs = item.get("inputs", {})
    for key, name in _FROM_INPUTS.get(item["type"], {}).items():
        if inputs.get(name) is not None:
            yield key, str(inputs[name]).lower() if isinstance(inputs[name], bool) else str(inputs[name])
    if item["type"] == "aws:lb/loadBalancer:LoadBalancer":
        yield "elasticloadbalancing:scheme", "internal" if inputs.get("internal") else "internet-facing"


def _arn(item: State, action: str) -> str:
    if action == "elasticloadbalancing:CreateLoadBalancer":
        kind = "net" if item.get("inputs", {}).get("loadBalancerType") == "network" else "app"
        return f"arn:aws:elasticloadbalancing:us-east-1:{ACCOUNT}:loadbalancer/{kind}/a/1"
    return "arn:aws:any:us-east-1:123456789012:thing"


# The comparison knows only the keys above, and not what a service calls itself for the deployment.
@pytest.mark.parametrize("stack", STACKS)
def test_no_request_of_a_deployment_is_denied(stack: str) -> None:
    requests = list(deployment(stack))
    assert len(requests) > 1000
    assert {(name, it.action) for name, it in requests if not allows(DOCUMENT, it)} == set()


@pytest.mark.parametrize(
    ("token", "input_", "value"),
    [
        ("aws:rds/cluster:Cluster", "storageEncrypted", False),
        ("aws:elasticache/replicationGroup:ReplicationGroup", "transitEncryptionEnabled", False),
        ("aws:lb/listener:Listener", "sslPolicy", "ELBSecurityPolicy-2016-08"),
        ("aws:iam/role:Role", "permissionsBoundary", ADMIN_POLICY),
        ("aws:iam/rolePolicyAttachment:RolePolicyAttachment", "policyArn", ADMIN_POLICY),
    ],
)
def test_insecure_resource_of_a_stack_is_denied(token: str, input_: str, value: object) -> None:
    item: Any = {"type": token, "urn": "urn:x", "inputs": {input_: value}}
    keys = {**request("x").context, **dict(_keys(item))}
    assert [
        action
        for action in needed([token])
        if not allows(DOCUMENT, Request(action, "arn:aws:any:::x", context=keys))
    ]


@pytest.mark.parametrize("stack", STACKS)
def test_what_the_stacks_roles_do_is_not_denied(stack: str) -> None:
    for item in fixture_state(stack):
        if item["type"] != "aws:iam/rolePolicy:RolePolicy":
            continue
        name = item["urn"].rpartition("::")[2]
        for statement in json.loads(item["inputs"]["policy"])["Statement"]:
            for action in listed(statement["Action"]):
                it = request(action.replace("*", ""), aws__PrincipalArn=f"arn:aws:iam::{ACCOUNT}:role/{name}")
                assert allows(DOCUMENT, it), (name, action)


# -- the command and the documentation -----------------------------------------------------------------


def test_command_writes_the_policies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    assert main(["guardrails"]) == 0
    assert json.loads(capsys.readouterr().out) == policies(REGIONS)
    assert main(["guardrails", "--out", str(tmp_path)]) == 0
    for name, document in policies(REGIONS).items():
        assert json.loads((tmp_path / f"{name}.json").read_text()) == document
        assert f"{name}.json: " in capsys.readouterr().out or name != "trading-account"


def test_page_has_the_current_table() -> None:
    page = PAGE.read_text()
    assert "<!-- guardrails -->" in page
    assert render(page) == page, "run python -m tests.account.guardrails"
