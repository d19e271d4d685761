"""Runs the real Checkov: it detects faults, and every finding on a fixture stack has a documented reason.

The stacks come from the mocks' graphs. The tests in `tests/engine` scan what the engine deployed.
"""

from __future__ import annotations

import copy
import functools
import itertools
import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatch
from typing import Any

import pytest

from policy import exceptions
from policy.exceptions import CHECKOV_ID
from policy.rules import NAMES
from policy.scan.names import attribute, terraform_type
from policy.scan.plan import State
from sandbox import sdk_schema
from sandbox.sdk_schema import Property, Type
from tests.policy.stacks import USERS_FILES, unneeded
from tests.policy.states import fixture_state, state_of
from tests.run import once
from tests.scan.scans import Check, Scan, checks, scan, users_scans
from tests.unit.harness import STACKS, platforms_with_everything

every_stack = pytest.mark.parametrize("stack", STACKS)
ISSUER = "issuer"
"""The small stack with an external issuer, whose tokens the authorizer function checks."""

EVERYTHING = json.dumps(
    {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
)


@dataclass(frozen=True)
class Break:
    """A change to a resource of the small stack, and the check that must fail because of it."""

    check: str
    type: str
    name: str
    inputs: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Path → value; None removes the value. Without any path, the resource is removed."""
    found_at: str = ""
    """The resource that has the finding, if it is another one."""

    @property
    def token(self) -> str:
        """The resource's type. It is a type of AWS, unless it names another package."""
        return self.type if self.type.startswith("kubernetes:") else f"aws:{self.type}"


BREAKS = [
    Break("CKV_AWS_2", "lb/listener:Listener", "nlb-us-east-1-orders", {"protocol": "HTTP"}),
    Break("CKV_AWS_7", "kms/key:Key", "web-key", {"enableKeyRotation": False}),
    Break(
        "CKV_AWS_24",
        "vpc/securityGroupIngressRule:SecurityGroupIngressRule",
        "alb-us-east-1-cloudfront",
        {"prefixListId": None, "cidrIpv4": "0.0.0.0/0", "fromPort": 22, "toPort": 22},
    ),
    Break("CKV_AWS_26", "sns/topic:Topic", "monitoring-alarms-critical", {"kmsMasterKeyId": None}),
    Break(
        "CKV_AWS_27", "sqs/queue:Queue", "api-us-east-1-order-intake-dead-letters", {"kmsMasterKeyId": None}
    ),
    Break(
        "CKV_AWS_28",
        "dynamodb/table:Table",
        "table-market-data-us-east-1",
        {"pointInTimeRecovery.enabled": False},
    ),
    Break(
        "CKV_AWS_29",
        "elasticache/replicationGroup:ReplicationGroup",
        "cache-us-east-1-nodes",
        {"atRestEncryptionEnabled": False},
    ),
    Break(
        "CKV_AWS_30",
        "elasticache/replicationGroup:ReplicationGroup",
        "cache-us-east-1-nodes",
        {"transitEncryptionEnabled": False},
    ),
    Break(
        "CKV_AWS_34",
        "cloudfront/distribution:Distribution",
        "web",
        {"defaultCacheBehavior.viewerProtocolPolicy": "allow-all"},
    ),
    Break(
        "CKV_AWS_38",
        "eks/cluster:Cluster",
        "cluster-us-east-1-eks-eksCluster",
        {"vpcConfig.publicAccessCidrs": ["0.0.0.0/0"]},
    ),
    Break(
        "CKV_AWS_54",
        "s3/bucketPublicAccessBlock:BucketPublicAccessBlock",
        "foundation-us-east-1-logs",
        {"blockPublicPolicy": False},
    ),
    Break(
        "CKV_AWS_58", "eks/cluster:Cluster", "cluster-us-east-1-eks-eksCluster", {"encryptionConfig": None}
    ),
    Break("CKV_AWS_62", "iam/rolePolicy:RolePolicy", "api-us-east-1-order-intake", {"policy": EVERYTHING}),
    Break("CKV_AWS_76", "apigateway/stage:Stage", "api-us-east-1", {"accessLogSettings": None}),
    Break(
        "CKV_AWS_81",
        "msk/cluster:Cluster",
        "event-streaming-us-east-1-brokers",
        {"encryptionInfo.encryptionInTransit.clientBroker": "PLAINTEXT"},
    ),
    Break("CKV_AWS_91", "lb/loadBalancer:LoadBalancer", "alb-us-east-1", {"accessLogs": None}),
    Break("CKV_AWS_96", "rds/cluster:Cluster", "database-us-east-1-cluster", {"storageEncrypted": False}),
    Break(
        "CKV_AWS_145",
        "s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration",
        "web-app",
        {"rules": [{"applyServerSideEncryptionByDefault": {"sseAlgorithm": "AES256"}}]},
    ),
    Break("CKV_AWS_149", "secretsmanager/secret:Secret", "database-us-east-1-master", {"kmsKeyId": None}),
    Break("CKV_AWS_158", "cloudwatch/logGroup:LogGroup", "web-access-logs", {"kmsKeyId": None}),
    Break("CKV_AWS_173", "lambda/function:Function", "api-us-east-1-order-intake", {"kmsKeyArn": None}),
    Break("CKV2_AWS_6", "s3/bucketPublicAccessBlock:BucketPublicAccessBlock", "web-app"),
    Break("CKV2_AWS_11", "ec2/flowLog:FlowLog", "network-us-east-1-flow-logs", found_at="network-us-east-1"),
    Break(
        "CKV2_AWS_28",
        "wafv2/webAclAssociation:WebAclAssociation",
        "alb-us-east-1-acl",
        found_at="alb-us-east-1",
    ),
    Break(
        "CKV2_AWS_61",
        "s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration",
        "foundation-us-east-1-logs",
    ),
    Break(
        "CKV_K8S_16",
        "kubernetes:batch/v1:Job",
        "migrations-us-east-1-job",
        {"spec.template.spec.containers.0.securityContext.privileged": True},
    ),
    Break(
        "CKV_K8S_20",
        "kubernetes:apps/v1:Deployment",
        "orders-us-east-1-chart:trading/orders",
        {"spec.template.spec.containers.0.securityContext.allowPrivilegeEscalation": True},
    ),
]

# -- what Checkov does not report, and why that is right ----------------------------------------------

SILENT: dict[tuple[str, str], str] = {
    ("CKV_AWS_70", "aws_s3_bucket"): "about a policy in the bucket itself; ours are resources, and judged",
    ("CKV_AWS_140", "aws_rds_global_cluster"): "it is made from a cluster, which is judged",
    ("CKV_AWS_143", "aws_s3_bucket"): "says nothing of a bucket without Object Lock",
    ("CKV_AWS_217", "aws_api_gateway_deployment"): "about Terraform's own lifecycle, which plans do not have",
    ("CKV_AWS_233", "aws_acm_certificate"): "about Terraform's own lifecycle, which plans do not have",
    ("CKV_AWS_237", "aws_api_gateway_rest_api"): "about Terraform's own lifecycle, which plans do not have",
    ("CKV_AWS_325", "aws_rds_cluster"): "about MySQL",
    ("CKV_AWS_326", "aws_rds_cluster"): "about MySQL",
}
"""Checks that give no result for any resource of their type."""

UNJUDGED = {"aws_lb_target_group.*-nlb-*": "the one check of target groups is about HTTP and HTTPS"}
"""Resources for which no check gives a result."""

FOREIGN: dict[str, set[tuple[str, str]]] = {
    "Terraform's own, of which plans know nothing": {
        (check, name)
        for check in ("CKV_AWS_217", "CKV_AWS_233", "CKV_AWS_237")
        for name in ("lifecycle", "create_before_destroy")
    },
    "Terraform has it no longer": {("CKV2_AWS_19", "vpc"), ("CKV2_AWS_35", "instance_id")},
    "of another type that the check is about too": {
        ("CKV_AWS_23", "type"),
        ("CKV_AWS_62", "inline_policy"),
        ("CKV_AWS_63", "inline_policy"),
        ("CKV_AWS_175", "rules"),
        ("CKV_AWS_274", "managed_policy_arn"),
        ("CKV_AWS_274", "managed_policy_arns"),
        ("CKV_AWS_274", "policy_arn"),
        ("CKV_AWS_342", "activated_rule"),
        ("CKV_AWS_342", "rules"),
    },
    "a value, or within a policy": {("CKV_AWS_286", "actions"), ("CKV_AWS_325", "audit")},
}
"""Names that checks read, but that are not attributes of the type in use."""


@pytest.fixture(scope="session")
def scans() -> Mapping[str, Scan]:
    """Checkov's findings, by stack. pytest's processes scan the stacks only once between them."""
    return once("scans", lambda: scan({stack: make() for stack, make in STATES.items()}))


@pytest.fixture(scope="session")
def known_checks() -> list[Check]:
    return once("checks", checks)


def broken_state() -> list[State]:
    state = copy.deepcopy(fixture_state("small"))
    for wrong in BREAKS:
        (found,) = (it for it in state if it["type"] == wrong.token and named(it) == wrong.name)
        if not wrong.inputs:
            state.remove(found)
        for path, value in wrong.inputs.items():
            *parents, last = path.split(".")
            block: Any = found["inputs"]
            for key in parents:
                block = block[int(key) if key.isdigit() else key]
            block[last] = value
    return state


def issuer_state() -> list[State]:
    return state_of(platforms_with_everything()["trading-small"])


STATES: dict[str, Callable[[], list[State]]] = {
    **{stack: functools.partial(fixture_state, stack) for stack in STACKS},
    ISSUER: issuer_state,
    "broken": broken_state,
}
"""What is scanned."""


def named(item: State) -> str:
    return item["urn"].rsplit("::", 1)[-1]


@pytest.mark.parametrize("stack", [*STACKS, ISSUER])
def test_every_finding_has_its_exception(stack: str, scans: Mapping[str, Scan]) -> None:
    assert scans[stack].unexplained() == [], "mend the tier, or say why in policy/exceptions.yaml"


def test_every_exception_is_needed(scans: Mapping[str, Scan]) -> None:
    """Each pattern covers something that Checkov finds in a fixture stack or in one of the stack files."""
    fixtures = (scans[stack] for stack in [*STACKS, ISSUER])
    of_users = (users_scans()[stack] for stack in USERS_FILES)
    found = (one.findings() for one in itertools.chain(fixtures, of_users))
    entries = [e for e in exceptions.load(known_rules=NAMES) if CHECKOV_ID.fullmatch(e.rule)]
    assert unneeded(entries, found) == [], "nothing is found there any more: delete it"


@pytest.mark.parametrize("wrong", BREAKS, ids=lambda wrong: wrong.check)
def test_what_is_broken_is_found(wrong: Break, scans: Mapping[str, Scan]) -> None:
    finding = (wrong.check, wrong.found_at or wrong.name)
    assert finding not in scans["small"].failed()
    assert finding in scans["broken"].failed()


@every_stack
def test_every_kubernetes_object_is_read(stack: str, scans: Mapping[str, Scan]) -> None:
    made = scans[stack]
    kinds = {document["kind"] for document in made.manifests.documents.values()}
    assert {"Deployment", "Job", "NetworkPolicy", "NodePool", "ScaledObject"} <= kinds
    judged = {result.address for result in made.report.results}
    workloads = {
        file
        for file, document in made.manifests.documents.items()
        if document["kind"] in ("Deployment", "Job", "Service", "ServiceAccount", "ConfigMap")
    }
    assert workloads <= judged


def test_every_check_of_a_type_in_use_says_something(
    scans: Mapping[str, Scan], known_checks: list[Check]
) -> None:
    """If the plan had a wrong name or block, a check would report nothing, which looks like a pass."""
    made = [scans[stack] for stack in STACKS]
    said = {(r.check, r.address.split(".")[0]) for it in made for r in it.report.results}
    used = {address.split(".")[0] for it in made for address in it.plan.resources}
    silent = {
        (check.id, check.type)
        for check in known_checks
        if check.is_of_one_resource and check.type in used and (check.id, check.type) not in said
    }
    assert silent == set(SILENT)


@every_stack
def test_every_resource_of_a_type_with_checks_is_judged(
    stack: str, scans: Mapping[str, Scan], known_checks: list[Check]
) -> None:
    made = scans[stack]
    by_type: dict[str, set[str]] = defaultdict(set)
    for check in known_checks:
        if check.is_of_one_resource and (check.id, check.type) not in SILENT:
            by_type[check.type].add(check.id)
    judged: dict[str, set[str]] = defaultdict(set)
    for result in made.report.results:
        judged[result.address].add(result.check)
    missing = [
        address
        for address in made.plan.resources
        if (wanted := by_type[address.split(".")[0]]) and not wanted & judged[address]
    ]
    assert [address for address in missing if not any(fnmatch(address, name) for name in UNJUDGED)] == []
    assert all(any(fnmatch(address, name) for address in missing) for name in UNJUDGED)


def test_types_in_use_have_names_that_checkov_knows(
    scans: Mapping[str, Scan], known_checks: list[Check]
) -> None:
    known = {check.type for check in known_checks}
    used = {address.split(".")[0] for stack in STACKS for address in scans[stack].plan.resources}
    # These are newer than Checkov's list. They were compared by hand with Terraform's documentation.
    new = {
        "aws_cognito_managed_login_branding",
        "aws_msk_topic",
        "aws_prometheus_scraper_logging_configuration",
    }
    assert used - known - {"aws"} == new


def test_attributes_that_checks_ask_for_are_names_that_the_plan_has(
    scans: Mapping[str, Scan], known_checks: list[Check]
) -> None:
    tokens = {
        terraform_type(item.type): item.type
        for stack in STACKS
        for item in scans[stack].plan.resources.values()
        if item.type.startswith("aws:")
    }
    unknown = {
        (check.id, name)
        for check in known_checks
        if check.type in tokens
        for name in check.attributes() - vocabulary(tokens[check.type])
    }
    assert unknown == set[tuple[str, str]]().union(*FOREIGN.values())


def vocabulary(token: str) -> set[str]:
    """All names that a plan can use for the properties of a type, at any depth."""
    found: set[str] = set()
    classes: set[str] = set()

    def read(properties: Mapping[str, Property]) -> None:
        for name, item in properties.items():
            found.add(attribute(terraform_type(token), name, item.type))
            for kind in parts(item.type):
                if kind.cls and kind.cls not in classes:
                    classes.add(kind.cls)
                    read(sdk_schema.properties(kind.cls))

    def parts(kind: Type) -> Iterator[Type]:
        yield kind
        for part in (*kind.options, *([kind.item] if kind.item else [])):
            yield from parts(part)

    read(sdk_schema.schema(token).inputs)
    return found
