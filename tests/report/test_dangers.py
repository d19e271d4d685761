"""Which changes are dangerous, and which are not."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from report import causes, dangers
from report.dangers import KINDS
from report.valuables import OF_TYPE, VALUABLES
from sandbox import values
from tests.report import kinds as kinds_page
from tests.report.changes import allow, dangers_of, kinds, policy, step, urn
from tests.report.recordings import recorded
from tests.unit.harness import ROOT, STACKS

GOLDEN = ROOT / "tests" / "unit" / "golden"
UNKNOWN = values.UNKNOWN
INGRESS = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
EGRESS = "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule"
GROUP = "aws:ec2/securityGroup:SecurityGroup"
ROLE = "aws:iam/role:Role"
ROLE_POLICY = "aws:iam/rolePolicy:RolePolicy"
BUCKET = "aws:s3/bucket:Bucket"
BUCKET_POLICY = "aws:s3/bucketPolicy:BucketPolicy"
CLUSTER = "aws:rds/cluster:Cluster"
ALARM = "aws:cloudwatch/metricAlarm:MetricAlarm"


def test_recorded_preview_has_each_danger_with_its_label() -> None:
    found = dangers.find(causes.explain(recorded("changes", policies=True).changes))
    assert [(item.kind, item.urn.rsplit("::", 1)[-1]) for item in found] == [
        ("replace table", "table"),
        ("make public", "office"),
        ("grant access", "objects"),
        ("remove protection", "table"),
        ("remove protection", "key"),
        ("shorten retention", "logs"),
        ("change secret", "value"),
        ("remove alarm", "latency"),
    ]
    assert {item.label for item in found} == {f"allow: {item.kind}" for item in found}
    texts = {item.kind: item.text for item in found}
    assert texts["replace table"].startswith("replaced because of hashKey: id → key. The new table is empty")
    assert "may now s3:PutObject on arn:aws:s3:::a/*" in texts["grant access"]
    assert "s3:GetObject" not in texts["grant access"]
    assert "tcp 443 from 0.0.0.0/0 (before: tcp 443 from 203.0.113.0/24)" in texts["make public"]


def test_page_has_all_kinds() -> None:
    """After an intended change, run `make golden`."""
    assert kinds_page.render(kinds_page.PAGE.read_text()) == kinds_page.PAGE.read_text()


def test_kinds_are_labels_of_their_own() -> None:
    nouns = [valuable.noun for valuable in VALUABLES]
    assert len({*nouns}) == len(nouns)
    assert {f"{verb} {noun}" for verb in ("delete", "replace") for noun in nouns} < KINDS.keys()
    assert len(OF_TYPE) == sum(len(valuable.types) for valuable in VALUABLES)
    assert all(len(f"allow: {kind}") <= 50 for kind in KINDS)  # the limit of a label's name on GitHub


@pytest.mark.parametrize(
    "token", ["aws:rds/cluster:Cluster", "aws:dynamodb/table:Table", "aws:lb/listener:Listener"]
)
def test_replacement_and_deletion_are_different_kinds(token: str) -> None:
    noun = OF_TYPE[token].noun
    replaced = step(token, {"name": "a"}, {"name": "b"}, operation="replace", replace_keys=["name"])
    assert kinds(replaced) == [f"replace {noun}"]
    assert kinds(step(token, {"name": "a"}, None)) == [f"delete {noun}"]
    assert kinds(step(token, {"name": "a"}, {"name": "b"})) == []


@pytest.mark.parametrize(
    ("token", "old", "new"),
    [
        (CLUSTER, {"engineVersion": "17.4"}, {"engineVersion": "17.5"}),
        ("aws:rds/clusterInstance:ClusterInstance", {"instanceClass": "a"}, {"instanceClass": "b"}),
        ("aws:elasticache/replicationGroup:ReplicationGroup", {"nodeType": "a"}, {"nodeType": "b"}),
        (
            "aws:msk/cluster:Cluster",
            {"brokerNodeGroupInfo": {"instanceType": "a"}},
            {"brokerNodeGroupInfo": {"instanceType": "b"}},
        ),
    ],
)
def test_change_that_interrupts_what_stays_is_a_restart(
    token: str, old: Mapping[str, Any], new: Mapping[str, Any]
) -> None:
    (found,) = dangers_of(step(token, old, new))
    assert found.kind == f"restart {OF_TYPE[token].noun}"
    assert "a → b" in found.text or "17.4 → 17.5" in found.text
    assert KINDS[found.kind]
    assert kinds(step(token, old, None)) == [f"delete {OF_TYPE[token].noun}"]


def test_everything_that_production_protects_is_valuable() -> None:
    """Whatever the platform protects holds data, so that losing it is a danger."""
    structural = ("eks:index:ServiceRole", "aws:iam/", "pulumi:providers:", "trading:")
    for stack in STACKS:
        lines = (GOLDEN / f"{stack}.txt").read_text().splitlines()
        protected = {line.split()[1] for line in lines if " protected" in line}
        assert {token for token in protected if not token.startswith(structural)} <= OF_TYPE.keys()


def test_renamed_resource_gets_a_hint_about_aliases() -> None:
    old = step("aws:dynamodb/table:Table", {"hashKey": "id"}, None, name="orders-table")
    new = step("aws:dynamodb/table:Table", None, {"hashKey": "id"}, name="orders")
    (danger,) = dangers_of(old, new)
    assert "orders is created: if that is a new name, an alias keeps the old resource" in danger.what


WEAKER: list[tuple[str, dict[str, Any], dict[str, Any], str]] = [
        (CLUSTER, {"deletionProtection": True}, {"deletionProtection": False}, "remove protection"),
        (CLUSTER, {"deletionProtection": True}, {}, "remove protection"),
        (CLUSTER, {"skipFinalSnapshot": False}, {"skipFinalSnapshot": True}, "remove protection"),
        (BUCKET, {}, {"forceDestroy": True}, "remove protection"),
        ("aws:kms/key:Key", {"deletionWindowInDays": 30}, {"deletionWindowInDays": 7}, "remove protection"),
        ("aws:cognito/userPool:UserPool", {"deletionProtection": "ACTIVE"},
         {"deletionProtection": "INACTIVE"}, "remove protection"),
        ("aws:s3/bucketVersioning:BucketVersioning", {"versioningConfiguration": {"status": "Enabled"}},
         {"versioningConfiguration": {"status": "Suspended"}}, "remove protection"),
        (CLUSTER, {"storageEncrypted": True}, {"storageEncrypted": False}, "remove encryption"),
        (CLUSTER, {"kmsKeyId": "arn:key"}, {}, "remove encryption"),
        (CLUSTER, {"kmsKeyId": "arn:key"}, {"kmsKeyId": "alias/aws/rds"}, "remove encryption"),
        ("aws:kms/key:Key", {"enableKeyRotation": True}, {"enableKeyRotation": False}, "remove encryption"),
        ("aws:msk/cluster:Cluster", {"encryptionInfo": {"encryptionInTransit": {"clientBroker": "TLS"}}},
         {"encryptionInfo": {"encryptionInTransit": {"clientBroker": "TLS_PLAINTEXT"}}}, "remove encryption"),
        ("aws:msk/cluster:Cluster", {"encryptionInfo": {"encryptionInTransit": {"inCluster": True}}}, {},
         "remove encryption"),
        ("aws:elasticache/replicationGroup:ReplicationGroup", {"transitEncryptionMode": "required"},
         {"transitEncryptionMode": "preferred"}, "remove encryption"),
        ("aws:lb/listener:Listener", {"sslPolicy": "ELBSecurityPolicy-TLS13-1-3-2021-06"},
         {"sslPolicy": "ELBSecurityPolicy-TLS-1-0-2015-04"}, "remove encryption"),
        ("aws:rds/clusterParameterGroup:ClusterParameterGroup",
         {"parameters": [{"name": "rds.force_ssl", "value": "1"}, {"name": "x", "value": "1"}]},
         {"parameters": [{"name": "x", "value": "1"}, {"name": "rds.force_ssl", "value": "0"}]},
         "remove encryption"),
        (CLUSTER, {"backupRetentionPeriod": 30}, {"backupRetentionPeriod": 1}, "reduce backups"),
        ("aws:elasticache/replicationGroup:ReplicationGroup", {"snapshotRetentionLimit": 7}, {},
         "reduce backups"),
        ("aws:dynamodb/table:Table", {"pointInTimeRecovery": {"enabled": True}},
         {"pointInTimeRecovery": {"enabled": False}}, "reduce backups"),
        ("aws:backup/plan:Plan", {"rules": [{"ruleName": "a", "lifecycle": {"deleteAfter": 35}}]},
         {"rules": [{"ruleName": "a", "lifecycle": {"deleteAfter": 7}}]}, "reduce backups"),
        ("aws:backup/plan:Plan", {"rules": [{"ruleName": "a"}, {"ruleName": "b"}]},
         {"rules": [{"ruleName": "b"}]}, "reduce backups"),
        ("aws:backup/selection:Selection", {"resources": ["a", "b"]}, {"resources": ["b"]},
         "reduce backups"),
        ("aws:cloudwatch/logGroup:LogGroup", {"retentionInDays": 30}, {"retentionInDays": 7},
         "shorten retention"),
        ("aws:cloudwatch/logGroup:LogGroup", {}, {"retentionInDays": 7}, "shorten retention"),
        ("aws:cloudwatch/logGroup:LogGroup", {"retentionInDays": 0}, {"retentionInDays": 7},
         "shorten retention"),
        (CLUSTER, {"publiclyAccessible": False}, {"publiclyAccessible": True}, "make public"),
        ("aws:lb/loadBalancer:LoadBalancer", {"internal": True}, {"internal": False}, "make public"),
        ("aws:ec2/subnet:Subnet", {}, {"mapPublicIpOnLaunch": True}, "make public"),
        ("aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock", {"blockPublicPolicy": True},
         {"blockPublicPolicy": False}, "make public"),
        ("aws:apigateway/restApi:RestApi", {"endpointConfiguration": {"types": "PRIVATE"}},
         {"endpointConfiguration": {"types": "REGIONAL"}}, "make public"),
        ("kubernetes:core/v1:Service", {"apiVersion": "v1", "spec": {"type": "ClusterIP"}},
         {"apiVersion": "v1", "spec": {"type": "LoadBalancer"}}, "make public"),
        ("aws:wafv2/webAcl:WebAcl", {"rules": [{"name": "a", "action": {"block": {}}}]}, {"rules": []},
         "remove protection"),
        ("aws:wafv2/webAcl:WebAcl", {"rules": [{"name": "a", "action": {"block": {}}}]},
         {"rules": [{"name": "a", "action": {"count": {}}}]}, "remove protection"),
        ("aws:eks/cluster:Cluster", {"vpcConfig": {"endpointPublicAccess": False}},
         {"vpcConfig": {"endpointPublicAccess": True}}, "make public"),
]  # fmt: skip


@pytest.mark.parametrize(("token", "old", "new", "kind"), WEAKER)
def test_property_that_protects_less(
    token: str, old: Mapping[str, Any], new: Mapping[str, Any], kind: str
) -> None:
    assert kinds(step(token, old, new)) == [kind]
    assert kinds(step(token, new, old)) == []


@pytest.mark.parametrize(
    ("token", "kind"),
    [
        ("aws:backup/vaultLockConfiguration:VaultLockConfiguration", "remove protection"),
        ("aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration",
         "remove encryption"),
        ("aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock", "make public"),
        ("kubernetes:networking.k8s.io/v1:NetworkPolicy", "open network"),
        (ALARM, "remove alarm"),
        ("aws:sns/topicSubscription:TopicSubscription", "remove alarm"),
    ],
)  # fmt: skip
def test_deletion_of_what_only_protects(token: str, kind: str) -> None:
    assert kinds(step(token, {"apiVersion": "v1"}, None)) == [kind]


def test_load_balancer_without_internal_is_public_from_the_start() -> None:
    assert kinds(step("aws:lb/loadBalancer:LoadBalancer", None, {"name": "a"})) == ["make public"]
    assert kinds(step("aws:lb/loadBalancer:LoadBalancer", None, {"internal": True})) == []


def rule(**more: Any) -> dict[str, Any]:
    inputs = {"securityGroupId": "sg-1", "ipProtocol": "tcp", "fromPort": 443, "toPort": 443}
    return {**inputs, "cidrIpv4": "10.0.0.0/16", **more}


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"cidrIpv4": "10.0.0.0/15"}, "open network"),
        ({"cidrIpv4": "203.0.113.0/24"}, "open network"),
        ({"cidrIpv4": "0.0.0.0/0"}, "make public"),
        ({"cidrIpv6": "::/0"}, "make public"),
        ({"fromPort": 0}, "open network"),
        ({"toPort": 8443}, "open network"),
        ({"ipProtocol": "-1"}, "open network"),
        ({"ipProtocol": "udp"}, "open network"),
        ({"cidrIpv4": UNKNOWN}, "open network"),
        ({"cidrIpv4": values.secret("10.0.0.0/24")}, "open network"),
        ({"prefixListId": "pl-1"}, "open network"),
        ({"cidrIpv4": "10.0.128.0/17"}, ""),
        ({"description": "web"}, ""),
    ],
)  # fmt: skip
def test_rule_that_admits_more(change: Mapping[str, Any], kind: str) -> None:
    assert kinds(step(INGRESS, rule(), rule(**change))) == ([kind] if kind else [])


def test_new_rule_of_an_existing_group_admits_more() -> None:
    assert kinds(step(INGRESS, None, rule())) == ["open network"]
    assert kinds(step(INGRESS, None, rule(cidrIpv4="0.0.0.0/0"))) == ["make public"]
    assert kinds(step(EGRESS, None, rule(cidrIpv4="0.0.0.0/0"))) == ["open network"]


def test_new_rule_of_a_new_group_admits_nothing_to_what_exists() -> None:
    group = step(GROUP, None, {"name": "new"}, name="group")
    sources = {"securityGroupId": [urn(GROUP, "group")]}
    own = rule(securityGroupId=UNKNOWN)
    assert kinds(group, step(INGRESS, None, own, sources=sources)) == []
    public = {**own, "cidrIpv4": "0.0.0.0/0"}
    assert kinds(group, step(INGRESS, None, public, sources=sources)) == ["make public"]


def test_rules_within_a_group_are_compared_with_each_other() -> None:
    def group(*blocks: str) -> dict[str, Any]:
        rules = [
            {"protocol": "tcp", "fromPort": 443, "toPort": 443, "cidrBlocks": [block]} for block in blocks
        ]
        return {"ingress": rules}

    assert kinds(step(GROUP, group("10.0.0.0/16"), group("10.0.1.0/24", "10.0.2.0/24"))) == []
    assert kinds(step(GROUP, group("10.0.0.0/16"), group("10.0.0.0/16", "10.1.0.0/16"))) == ["open network"]


def test_rule_from_a_group_that_is_replaced_admits_no_more() -> None:
    sources = {"referencedSecurityGroupId": [urn(GROUP, "source")]}
    group = step(GROUP, {"vpcId": "a"}, {"vpcId": "b"}, operation="replace", name="source")
    old, new = ({"securityGroupId": "sg-1", "referencedSecurityGroupId": peer} for peer in ("sg-2", UNKNOWN))
    assert kinds(group, step(INGRESS, old, new, sources=sources)) == ["replace network"]


def test_wider_network_of_the_clusters_endpoint() -> None:
    old, new = ({"vpcConfig": {"publicAccessCidrs": [block]}} for block in ("203.0.113.0/24", "203.0.0.0/16"))
    assert kinds(step("aws:eks/cluster:Cluster", old, new)) == ["open network"]
    assert kinds(step("aws:eks/cluster:Cluster", new, old)) == []


def test_network_policy_with_a_new_rule() -> None:
    def pods(*blocks: str) -> dict[str, Any]:
        rules = [{"from": [{"ipBlock": {"cidr": block}}]} for block in blocks]
        return {"apiVersion": "networking.k8s.io/v1", "spec": {"policyTypes": ["Ingress"], "ingress": rules}}

    token = "kubernetes:networking.k8s.io/v1:NetworkPolicy"
    assert kinds(step(token, pods("10.0.0.0/16"), pods("10.0.0.0/16", "10.1.0.0/16"))) == ["open network"]
    assert kinds(step(token, pods("10.0.0.0/16"), pods("0.0.0.0/0"))) == ["make public"]
    assert kinds(step(token, pods("10.0.0.0/16", "10.1.0.0/16"), pods("10.0.0.0/16"))) == []


READ = policy(allow("s3:GetObject"))
WITH_TLS = {"Bool": {"aws:SecureTransport": "true"}}


@pytest.mark.parametrize(
    ("new", "text"),
    [
        (policy(allow(["s3:GetObject", "s3:PutObject"])),
         "role orders may now s3:PutObject on arn:aws:s3:::a/*"),
        (policy(allow("s3:Get*")), "may now s3:Get*"),
        (policy(allow("s3:GetObject", "arn:aws:s3:::*")), "may now s3:GetObject on arn:aws:s3:::*"),
        (policy({"Effect": "Allow", "NotAction": "iam:*", "Resource": "*"}), "may now everything but iam:*"),
        (policy({"Effect": "Allow", "Action": "s3:GetObject", "NotResource": "x"}), "on everything but x"),
        (UNKNOWN, "its text is known only after the deployment"),
        (values.secret(READ), "policy is secret, so nobody can see what it allows"),
        (policy(allow("s3:GetObject"), allow("s3:DeleteObject", Condition=WITH_TLS)),
         'may now s3:DeleteObject on arn:aws:s3:::a/* if {"Bool": {"aws:SecureTransport": "true"}}'),
    ],
)  # fmt: skip
def test_policy_that_allows_more_says_who_may_do_what(new: Any, text: str) -> None:
    (danger,) = dangers_of(
        step(ROLE_POLICY, {"role": "orders", "policy": READ}, {"role": "orders", "policy": new})
    )
    assert danger.kind == "grant access"
    assert text in danger.what


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (policy(allow(["s3:GetObject", "s3:PutObject"])), READ),
        (policy(allow("s3:*")), READ),
        (policy(allow("S3:GETOBJECT", Sid="a")), policy(allow("s3:GetObject", Sid="b"))),
        (READ, policy(allow("s3:GetObject", Condition={"Bool": {"aws:SecureTransport": "true"}}))),
        (READ, policy(allow(["s3:GetObject"], "arn:aws:s3:::a/b"))),
    ],
)
def test_policy_that_allows_no_more(old: str, new: str) -> None:
    assert (
        kinds(step(ROLE_POLICY, {"role": "orders", "policy": old}, {"role": "orders", "policy": new})) == []
    )


def test_condition_that_disappears_allows_more() -> None:
    limited = policy(allow("s3:GetObject", Condition={"Bool": {"aws:SecureTransport": "true"}}))
    assert kinds(step(ROLE_POLICY, {"policy": limited}, {"policy": READ})) == ["grant access"]


def test_denial_that_disappears_allows_more() -> None:
    deny = policy({"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": "*"})
    (danger,) = dangers_of(step(BUCKET_POLICY, {"policy": deny}, {"policy": policy()}))
    assert danger.what == "policy: no longer denies * s3:*"
    assert kinds(step(BUCKET_POLICY, {"policy": deny}, None)) == ["grant access"]


def test_new_principal_of_a_resource_policy_is_named() -> None:
    def shared(*accounts: str) -> dict[str, str]:
        principals = {"AWS": [f"arn:aws:iam::{account}:root" for account in accounts]}
        return {"policy": policy(allow("s3:GetObject", Principal=principals))}

    (danger,) = dangers_of(
        step(BUCKET_POLICY, shared("111111111111"), shared("111111111111", "222222222222"))
    )
    assert danger.kind == "grant access"
    assert "arn:aws:iam::222222222222:root may now s3:GetObject" in danger.what


def test_policy_for_everyone_is_public() -> None:
    everyone = policy(allow("s3:GetObject", Principal="*"))
    assert kinds(step(BUCKET_POLICY, None, {"policy": everyone})) == ["make public", "grant access"]
    assert kinds(step(BUCKET_POLICY, {"policy": READ}, {"policy": everyone})) == [
        "make public",
        "grant access",
    ]


def test_new_role_of_new_resources_gets_no_access_to_what_exists() -> None:
    trust = policy(allow("sts:AssumeRole", Principal={"Service": "lambda.amazonaws.com"}))
    role = step(ROLE, None, {"assumeRolePolicy": trust}, name="role")
    queue = step("aws:sqs/queue:Queue", None, {}, name="queue")
    sources = {"role": [urn(ROLE, "role")], "policy": [urn("aws:sqs/queue:Queue", "queue")]}
    inputs = {"role": UNKNOWN, "policy": UNKNOWN}
    assert kinds(role, queue, step(ROLE_POLICY, None, inputs, sources=sources)) == []
    # The same policy also uses a table that exists.
    wider = {**sources, "policy": [*sources["policy"], urn("aws:dynamodb/table:Table", "orders")]}
    (danger,) = dangers_of(role, queue, step(ROLE_POLICY, None, inputs, sources=wider))
    assert (danger.kind, "which uses orders" in danger.what) == ("grant access", True)


def test_new_role_of_a_new_service_account_is_judged_by_its_own_policies() -> None:
    role = step(ROLE, None, {"name": "role"}, name="role")
    token = "aws:eks/podIdentityAssociation:PodIdentityAssociation"
    inputs = {"serviceAccount": "orders", "roleArn": UNKNOWN}
    assert kinds(role, step(token, None, inputs, sources={"roleArn": [urn(ROLE, "role")]})) == []
    assert kinds(step(token, None, {**inputs, "roleArn": "arn:existing"})) == ["grant access"]


def test_policy_of_a_new_resource_gives_no_access_to_what_exists() -> None:
    account = policy(allow("kms:*", "*", Principal={"AWS": "arn:aws:iam::123456789012:root"}))
    assert kinds(step("aws:kms/key:Key", None, {"policy": account})) == []
    bucket = step(BUCKET, None, {}, name="bucket")
    of_new = {"bucket": [urn(BUCKET, "bucket")], "policy": [urn(BUCKET, "bucket"), urn(BUCKET, "other")]}
    inputs = {"bucket": UNKNOWN, "policy": UNKNOWN}
    assert kinds(bucket, step(BUCKET_POLICY, None, inputs, sources=of_new)) == []
    of_other = {**of_new, "bucket": [urn(BUCKET, "other")]}
    assert kinds(bucket, step(BUCKET_POLICY, None, inputs, sources=of_other)) == ["grant access"]


def test_policy_of_a_new_endpoint_limits_and_of_an_existing_one_can_be_wider() -> None:
    token, ours = "aws:ec2/vpcEndpoint:VpcEndpoint", {"StringEquals": {"aws:ResourceAccount": "123456789012"}}
    narrow = {"policy": policy(allow("*", "*", Principal="*", Condition=ours))}
    wide = {"policy": policy(allow("*", "*", Principal="*"))}
    assert kinds(step(token, None, wide)) == []
    assert kinds(step(token, narrow, wide)) == ["grant access"]


def test_permission_to_call_a_new_function_gives_no_access_to_what_exists() -> None:
    token, function = "aws:lambda/permission:Permission", "aws:lambda/function:Function"
    inputs = {"function": UNKNOWN, "principal": "apigateway.amazonaws.com", "action": "lambda:InvokeFunction"}
    permission = step(token, None, inputs, sources={"function": [urn(function, "f")]})
    assert kinds(step(function, None, {}, name="f"), permission) == []
    assert kinds(permission) == ["grant access"]


def test_new_user_of_a_cache_gets_access_with_the_group() -> None:
    assert (
        kinds(step("aws:elasticache/user:User", None, {"userId": "a", "accessString": "on ~* +@all"})) == []
    )
    old, new = ({"userGroupId": "g", "userIds": users} for users in (["a"], ["a", "b"]))
    assert kinds(step("aws:elasticache/userGroup:UserGroup", old, new)) == ["grant access"]


def test_new_role_that_may_do_everything_is_dangerous() -> None:
    everything = {"role": "new", "policy": policy(allow("*", "*"))}
    assert kinds(step(ROLE_POLICY, None, everything)) == ["grant access"]


def test_role_that_another_account_may_assume() -> None:
    def trusted(principal: Mapping[str, str]) -> dict[str, str]:
        return {
            "assumeRolePolicy": policy(
                {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}
            )
        }

    assert kinds(step(ROLE, None, trusted({"Service": "lambda.amazonaws.com"}))) == []
    assert kinds(step(ROLE, None, trusted({"AWS": "arn:aws:iam::222222222222:root"}))) == ["grant access"]


@pytest.mark.parametrize(
    ("token", "old", "new"),
    [
        ("aws:iam/rolePolicyAttachment:RolePolicyAttachment", None, {"role": "a", "policyArn": "arn:b"}),
        ("aws:eks/accessEntry:AccessEntry", None, {"principalArn": "arn:a"}),
        (ROLE, {"name": "a"}, {"name": "a", "managedPolicyArns": ["arn:b"]}),
        ("aws:lambda/permission:Permission", None,
         {"principal": "sns.amazonaws.com", "action": "lambda:Invoke"}),
        ("aws:elasticache/user:User", {"userId": "a", "accessString": "on ~a* +get"},
         {"userId": "a", "accessString": "on ~a* +get +set"}),
        ("kubernetes:rbac.authorization.k8s.io/v1:ClusterRole", {"apiVersion": "v1", "rules": []},
         {"apiVersion": "v1", "rules": [{"verbs": ["*"], "resources": ["*"]}]}),
    ],
)  # fmt: skip
def test_grants_without_a_policy_document(
    token: str, old: Mapping[str, Any] | None, new: Mapping[str, Any]
) -> None:
    assert kinds(step(token, old, new)) == ["grant access"]


def test_dashboard_that_is_not_known_yet_grants_nothing() -> None:
    token = "aws:cloudwatch/dashboard:Dashboard"
    assert kinds(step(token, {"dashboardBody": '{"widgets": []}'}, {"dashboardBody": UNKNOWN})) == []


def test_operation_of_the_api_that_needs_no_token_any_more() -> None:
    def api(**security: Any) -> dict[str, str]:
        operations: dict[str, Any] = {"get": {"security": [{"token": []}]}, "post": security, "options": {}}
        return {"body": json.dumps({"security": [{"token": []}], "paths": {"/orders": operations}})}

    token = "aws:apigateway/restApi:RestApi"
    (danger,) = dangers_of(step(token, api(), api(security=[])))
    assert (danger.kind, danger.what) == ("make public", "body: callers need no token for POST /orders")
    assert kinds(step(token, api(), api(security=[{"token": []}, {}]))) == ["make public"]
    assert kinds(step(token, api(security=[]), api())) == []
    assert kinds(step(token, None, api(security=[]))) == []


def test_secret_that_changes() -> None:
    old, new = ({"passwords": values.secret(["[secret]"])} for _ in range(2))
    changed = step("aws:elasticache/user:User", old, new, detail={"passwords": "update"})
    assert kinds(changed) == ["change secret"]
    assert kinds(step("aws:elasticache/user:User", None, new)) == []


@pytest.mark.parametrize(
    ("old", "new", "dangerous"),
    [
        ({"actionsEnabled": True}, {"actionsEnabled": False}, True),
        ({}, {"actionsEnabled": False}, True),
        ({"alarmActions": ["a", "b"]}, {"alarmActions": ["a"]}, True),
        ({"alarmActions": ["a"]}, {}, True),
        ({"alarmActions": ["a"]}, {"alarmActions": ["b"]}, False),
        ({"alarmActions": ["a"]}, {"alarmActions": [UNKNOWN]}, False),
        ({"threshold": 1}, {"threshold": 2}, False),
    ],
)
def test_alarm_that_no_longer_notifies(old: Any, new: Any, dangerous: bool) -> None:
    assert kinds(step(ALARM, old, new)) == (["remove alarm"] if dangerous else [])


def test_alert_that_disappears_from_the_rules_of_prometheus() -> None:
    def rules(*names: str) -> dict[str, str]:
        return {"data": json.dumps({"groups": [{"name": "a", "rules": [{"alert": name} for name in names]}]})}

    token = "aws:amp/ruleGroupNamespace:RuleGroupNamespace"
    (danger,) = dangers_of(step(token, rules("Slow", "Down"), rules("Slow")))
    assert (danger.kind, danger.what) == ("remove alarm", "no longer has the alerts Down")


def test_what_follows_from_a_dangerous_replacement_names_its_cause() -> None:
    found = dangers.find(causes.explain(recorded("small-network").changes))
    topics = [item for item in found if item.kind == "replace topic"]
    assert len(topics) == 7
    assert {item.what for item in topics if item.cause} == {topics[0].what}
    assert "clusterArn comes from network-us-east-1" in topics[0].what
