"""Whole runs against moto's account: what is wrong in it is found, and nothing in it is changed.

moto answers for the services that it has. For the others, responses are validated against botocore's models.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import math
import re
import threading
from collections.abc import Iterator, Mapping
from typing import Any

import boto3
import pytest
from moto import mock_aws

from account import dns, prepared, question
from account.preflight import SECRETS_PROVIDER, questions
from account.preflight import asked as preflight_actions
from account.question import READS, Answer, Question, answers, no_clients
from account.stack import Caller, Stack
from bootstrap.linked_roles import LINKED_ROLES
from bootstrap.workloads import boundary
from settings import Settings
from tests.account.cases import sent
from tests.functions.records import MOTO
from tests.policy.states import fixture_state
from tests.unit.harness import ROOT, stack_values, without_namespace

BOTO: Any = boto3
ACCOUNT = "123456789012"
REGIONS = ("us-east-1", "eu-west-1")
TRUST: Mapping[str, Any] = {"Version": "2012-10-17", "Statement": []}


@functools.cache
def stack(name: str = "full") -> Stack:
    values = without_namespace(stack_values(name))
    values["cluster"] = {**values["cluster"], "publicAccessCidrs": ["198.18.0.0/15"]}
    return Stack(
        settings=Settings.parse(values),
        resources=fixture_state(name),
        secrets_key=prepared.secrets_alias("prod"),
        caller=Caller(ACCOUNT, f"arn:aws:sts::{ACCOUNT}:assumed-role/deploy/me"),
    )


@functools.cache
def asked(name: str = "full") -> list[Question]:
    return [*questions(stack(name), no_clients)]


def values(name: str, token: str, *keys: str) -> list[tuple[Any, ...]]:
    return [found for region in REGIONS for found in stack(name).values(token, region, *keys)]


def stubbed() -> Mapping[str, Mapping[str, Any]]:
    """Service → operation → the response of an account in which everything is right, where moto has none."""
    state = stack()
    addons = [
        {"addonName": name, "addonVersions": [{"addonVersion": build}]}
        for name, build in values("full", "aws:eks/addon:Addon", "addonName", "addonVersion")
    ]
    zones = [{"Name": f"{region}{letter}"} for region in REGIONS for letter in "abc"]
    parameters = [
        {"ParameterName": item["name"], "ApplyType": "dynamic", "IsModifiable": True}
        for token in ("rds/clusterParameterGroup:ClusterParameterGroup", "rds/parameterGroup:ParameterGroup")
        for group in state.of(f"aws:{token}")
        for item in group["parameters"]
    ]
    cached = [
        {"ParameterName": item["name"], "IsModifiable": True}
        for group in state.of("aws:elasticache/parameterGroup:ParameterGroup")
        for item in group["parameters"]
    ]
    groups = [
        {"Name": rule["statement"]["managedRuleGroupStatement"]["name"]}
        for acl in state.of("aws:wafv2/webAcl:WebAcl")
        for rule in acl["rules"]
        if "managedRuleGroupStatement" in rule["statement"]
    ]
    offered = [
        {"InstanceType": kind, "Location": zone["Name"]}
        for zone in zones
        for kind in ("m7i.large", "m7g.large")
    ]
    (kafka,) = {version for (version,) in values("full", "aws:msk/cluster:Cluster", "kafkaVersion")}
    runtimes = values("full", "aws:synthetics/canary:Canary", "runtimeVersion")
    engine = {"EngineVersion": "17.11", "SupportsGlobalDatabases": True}
    most = [{"AttributeName": "vpc-max-elastic-ips", "AttributeValues": [{"AttributeValue": "5"}]}]
    return {
        "backup": {
            "DescribeRegionSettings": {
                "ResourceTypeOptInPreference": {"Aurora": True, "DynamoDB": True},
                "ResourceTypeManagementPreference": {"DynamoDB": True},
            }
        },
        "ce": {
            "ListCostAllocationTags": {
                "CostAllocationTags": [{"TagKey": "platform", "Type": "UserDefined", "Status": "Active"}]
            }
        },
        "cognito-idp": {"DescribeUserPoolDomain": {"DomainDescription": {}}},
        "eks": {
            "DescribeClusterVersions": {
                "clusterVersions": [{"clusterVersion": "1.36", "versionStatus": "STANDARD_SUPPORT"}]
            },
            "DescribeAddonVersions": {"addons": addons},
        },
        "chatbot": {"DescribeSlackChannelConfigurations": {"SlackChannelConfigurations": []}},
        "ec2": {
            "DescribeAccountAttributes": {"AccountAttributes": most},
            "DescribeInstanceTypeOfferings": {"InstanceTypeOfferings": offered},
            "GetEbsEncryptionByDefault": {"EbsEncryptionByDefault": True},
        },
        "elasticache": {
            "DescribeUsers": {"Users": []},
            "DescribeUserGroups": {"UserGroups": []},
            "DescribeCacheEngineVersions": {"CacheEngineVersions": [{"EngineVersion": "8.1"}]},
            "DescribeReservedCacheNodesOfferings": {
                "ReservedCacheNodesOfferings": [{"CacheNodeType": "cache.r7g.large"}]
            },
            "DescribeEngineDefaultParameters": {"EngineDefaults": {"Parameters": cached}},
        },
        "kafka": {"ListKafkaVersions": {"KafkaVersions": [{"Version": kafka, "Status": "ACTIVE"}]}},
        "lambda": {
            "GetAccountSettings": {
                "AccountLimit": {"ConcurrentExecutions": 1000, "UnreservedConcurrentExecutions": 1000}
            }
        },
        "rds": {
            "DescribeDBEngineVersions": {"DBEngineVersions": [engine]},
            "DescribeOrderableDBInstanceOptions": {
                "OrderableDBInstanceOptions": [{"AvailabilityZones": zones}]
            },
            "DescribeEngineDefaultClusterParameters": {"EngineDefaults": {"Parameters": parameters}},
            "DescribeEngineDefaultParameters": {"EngineDefaults": {"Parameters": parameters}},
        },
        "service-quotas": {
            "GetServiceQuota": {"Quota": {"Value": 600}},
            "ListServiceQuotas": {
                "Quotas": [
                    {"QuotaName": name, "QuotaCode": "L-00000000", "Value": 100}
                    for name in (
                        "Rule group namespaces per workspace",
                        "Rule groups per workspace",
                        "Rules per rule group",
                    )
                ]
            },
        },
        "shield": {"GetSubscriptionState": {"SubscriptionState": "ACTIVE"}},
        "synthetics": {
            "GetCanary": {
                "Canary": {"Tags": {"platform": state.platform}}
            },  # moto can't say that it is absent
            "DescribeRuntimeVersions": {"RuntimeVersions": [{"VersionName": name} for (name,) in runtimes]},
        },
        "wafv2": {"ListAvailableManagedRuleGroups": {"ManagedRuleGroups": groups}},
    }


class Account:
    """moto's account, and responses for what it lacks."""

    def __init__(self) -> None:
        self.stubs: dict[str, dict[str, Any]] = {name: dict(found) for name, found in stubbed().items()}
        self.calls: list[str] = []
        self.refused = ""
        """An operation, with its service, that the account may not call."""
        self.denied: set[str] = set()
        """Actions that the policy simulation denies."""
        self._lock = threading.Lock()

    def client(self, service: str, region: str) -> Any:
        if service == "none":
            return None
        client = BOTO.client(service, region_name=region)
        client.meta.events.register_first("before-call", functools.partial(self._answer, service, client))
        return client

    def _answer(self, service: str, client: Any, model: Any, params: Mapping[str, Any], **_: object) -> Any:
        with self._lock:
            self.calls.append(f"{service}:{model.name}")
        if self.refused == f"{service}:{model.name}":
            error = {"Error": {"Code": "AccessDenied", "Message": "no"}, "ResponseMetadata": {}}
            return type("Http", (), {"status_code": 403})(), error
        if model.name == "SimulatePrincipalPolicy":
            return sent(client, model.name, self._simulated(params["body"]))
        response = self.stubs.get(service, {}).get(model.name)
        if response is None:
            return None  # moto's turn
        return sent(client, model.name, response)

    def refusing(self, operation: str, question: Question, client: Any) -> bool:
        """Whether a question whose operation is refused says so, or doesn't call it."""
        self.refused, self.calls = operation, []
        answer = question.answer(client)
        return operation not in self.calls or answer.status == "unknown"

    def _simulated(self, body: Mapping[str, str]) -> Mapping[str, Any]:
        """The results for the members of a request's lists."""
        actions, resources = (
            [value for key, value in body.items() if key.startswith(f"{name}.member.")]
            for name in ("ActionNames", "ResourceArns")
        )
        return {
            "EvaluationResults": [
                {
                    "EvalActionName": action,
                    "EvalResourceName": "*",
                    "EvalDecision": decision,
                    "ResourceSpecificResults": [
                        {"EvalResourceName": name, "EvalResourceDecision": decision} for name in resources
                    ],
                }
                for action in actions
                for decision in ["implicitDeny" if action in self.denied else "allowed"]
            ]
        }


def own_servers(zone: str) -> frozenset[str]:
    """A resolver that answers with the name servers of moto's hosted zone."""
    route53 = BOTO.client("route53", region_name="us-east-1")
    (found,) = route53.list_hosted_zones()["HostedZones"]
    servers = route53.get_hosted_zone(Id=found["Id"])["DelegationSet"]["NameServers"]
    return frozenset(server.rstrip(".") for server in servers)


def reached(host: str) -> None:
    """A network in which every host accepts connections."""


def trust(subject: str) -> Mapping[str, Any]:
    """The trust policy of a pipeline's role."""
    condition = {"StringEquals": {f"{prepared.ISSUER}:sub": subject}}
    statement = {
        "Effect": "Allow",
        "Action": "sts:AssumeRoleWithWebIdentity",
        "Principal": {"Federated": prepared.ISSUER},
        "Condition": condition,
    }
    return {**TRUST, "Statement": [statement]}


def prepare(s3: Any, bucket: str) -> None:
    """Sets what the project `bootstrap` sets."""
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms"}}
    s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": [rule]})
    names = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
    s3.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=dict.fromkeys(names, True))
    statement = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": f"arn:aws:s3:::{bucket}/*",
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps({**TRUST, "Statement": [statement]}))


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[Account]:
    """An account in which everything is right."""
    for name, value in MOTO.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(dns, "name_servers", own_servers)
    monkeypatch.setattr(dns, "connect", reached)
    monkeypatch.setattr(dns, "public_address", lambda: "198.18.0.1")
    with mock_aws():
        client = functools.partial(BOTO.client, region_name="us-east-1")
        client("iam").create_role(
            RoleName="deploy", AssumeRolePolicyDocument=json.dumps(TRUST), MaxSessionDuration=7200
        )
        for number, service in enumerate(LINKED_ROLES):
            client("iam").create_role(
                RoleName=f"AWSServiceRole{number}",
                Path=f"/aws-service-role/{service}/",
                AssumeRolePolicyDocument=json.dumps(TRUST),
            )
        client("iam").create_open_id_connect_provider(
            Url=f"https://{prepared.ISSUER}", ClientIDList=[prepared.AUDIENCE], ThumbprintList=["a" * 40]
        )
        client("route53").create_hosted_zone(Name="example.com", CallerReference="1")
        key = client("kms").create_key()["KeyMetadata"]["KeyId"]
        client("kms").create_alias(AliasName=prepared.secrets_alias("prod"), TargetKeyId=key)
        for kind, seconds in prepared.SESSIONS.items():
            client("iam").create_role(
                RoleName=prepared.role_name(kind, "prod"),
                AssumeRolePolicyDocument=json.dumps(trust(prepared.subject(kind, "prod", "example/trading"))),
                MaxSessionDuration=seconds,
            )
        limits = {**TRUST, "Statement": boundary(ACCOUNT)}
        client("iam").create_policy(PolicyName=prepared.WORKLOADS, PolicyDocument=json.dumps(limits))
        bucket = prepared.state_bucket(ACCOUNT, "us-east-1")
        client("s3").create_bucket(Bucket=bucket)
        prepare(client("s3"), bucket)
        yield Account()


def run(account: Account) -> dict[str, Answer]:
    found = answers([*questions(stack(), account.client)], account.client)
    return {question.check: answer for question, answer in found}


def test_account_in_which_everything_is_right_passes(account: Account) -> None:
    found = run(account)
    unlisted = {f"broker-type {region}" for region in REGIONS}  # AWS has no list
    assert {check: answer for check, answer in found.items() if answer.status != "pass"}.keys() == unlisted
    assert len(found) == len(asked())


def test_ten_planted_problems_are_found(account: Account) -> None:
    iam, route53, kms = (BOTO.client(name, region_name="us-east-1") for name in ("iam", "route53", "kms"))
    iam.update_role(RoleName="trading-deploy-prod", MaxSessionDuration=3600)
    (zone,) = route53.list_hosted_zones()["HostedZones"]
    route53.delete_hosted_zone(Id=zone["Id"])
    kms.disable_key(KeyId=kms.describe_key(KeyId=prepared.secrets_alias("prod"))["KeyMetadata"]["KeyId"])
    for _ in range(3):
        BOTO.client("ec2", region_name="eu-west-1").allocate_address(Domain="vpc")
    logs = BOTO.client("logs", region_name="us-east-1")
    for number in range(10):
        logs.put_resource_policy(policyName=f"other-{number}", policyDocument="{}")
    account.stubs["backup"]["DescribeRegionSettings"] = {"ResourceTypeOptInPreference": {"Aurora": False}}
    account.stubs["kafka"]["ListKafkaVersions"] = {"KafkaVersions": []}
    account.stubs["lambda"]["GetAccountSettings"] = {
        "AccountLimit": {"ConcurrentExecutions": 10, "UnreservedConcurrentExecutions": 10}
    }
    account.stubs["ce"]["ListCostAllocationTags"] = {"CostAllocationTags": []}
    account.denied.add("rds:CreateDBCluster")
    failing = {check.partition(" ")[0] for check, answer in run(account).items() if answer.status == "fail"}
    assert failing == {
        *("session-duration", "pipeline-roles", "hosted-zone", "state-key", "elastic-ips", "log-policies"),
        *("backup", "kafka-version", "lambda-concurrency", "cost-tag", "permissions"),
    }


def test_validation_record_that_would_be_overwritten_is_found(account: Account) -> None:
    host = stack().settings.domain.host
    acm, route53 = BOTO.client("acm", region_name="eu-west-1"), BOTO.client("route53", "us-east-1")
    arn = acm.request_certificate(DomainName=f"*.{host}", ValidationMethod="DNS")["CertificateArn"]
    (option,) = acm.describe_certificate(CertificateArn=arn)["Certificate"]["DomainValidationOptions"]
    (zone,) = route53.list_hosted_zones()["HostedZones"]
    name = option["ResourceRecord"]["Name"].replace("*.", "")

    def put(value: str) -> Answer:
        record = {"Name": name, "Type": "CNAME", "TTL": 300, "ResourceRecords": [{"Value": value}]}
        changes = {"Changes": [{"Action": "UPSERT", "ResourceRecordSet": record}]}
        route53.change_resource_record_sets(HostedZoneId=zone["Id"], ChangeBatch=changes)
        asked = [item for item in questions(stack(), account.client) if item.check == "validation-record"]
        ((_, answer),) = answers(asked, account.client)
        return answer

    assert put("_1.x.acm-validations.aws.").status == "fail"
    shared = put(option["ResourceRecord"]["Value"])
    assert shared.status == "pass"
    assert f"is shared with {arn}, and the stack never deletes it" in shared.found


def test_run_only_reads(account: Account) -> None:
    run(account)
    declared = {f"{item.service}:{name}" for item in asked() for name in item.operations}
    declared |= {name for item in asked() for name in item.also}
    assert set(account.calls) <= declared
    assert {
        name.partition(":")[2] for name in declared if not name.partition(":")[2].startswith(READS)
    } == set()


def test_each_refused_operation_leaves_its_check_unknown(account: Account) -> None:
    """Unless the check needs no answer to it. In one account, because it takes long to prepare."""
    found = {item.check.partition(" ")[0]: item for item in questions(stack(), account.client)}
    passed = {
        (check, operation)
        for check, item in found.items()
        for operation in item.operations
        for client in [account.client(item.service, item.region)]
        if not account.refusing(f"{item.service}:{operation}", item, client)
    }
    assert passed == set()


def test_checks_are_listed_although_nobody_knows_who_asks() -> None:
    unknown = dataclasses.replace(stack(), caller=None)
    found = {item.check: item for item in questions(unknown, no_clients)}
    # The caller's role isn't the pipelines', so that both are simulated.
    assert found.keys() == {item.check for item in asked()}
    lacking = ("session-duration", "permissions", "login-domain", "state-bucket", "pipeline-roles")
    for check in (*lacking, "identity-provider", "budget-name", f"disk-encryption {REGIONS[0]}"):
        answer = found[check].answer(None)
        assert (answer.status, answer.remedy) == ("unknown", "see `identity`"), check


def test_key_of_states_is_listed_without_a_key_and_asked_in_its_own_region() -> None:
    def state_key(**changes: Any) -> Question:
        changed = dataclasses.replace(stack(), **changes)
        (found,) = (item for item in questions(changed, no_clients) if item.check == "state-key")
        return found

    assert state_key(secrets_region="eu-west-1").region == "eu-west-1"
    assert state_key(secrets_key=None).answer(None).status == "unknown"


def test_edge_has_questions_of_its_own_for_a_stack_elsewhere() -> None:
    values = without_namespace(stack_values("full"))
    (region,) = (item for item in values["regions"] if item["name"] == "eu-west-1")
    del values["homeRegion"]
    values["regions"] = [{key: value for key, value in region.items() if key != "serves"}]
    values["api"] = {}
    settings = Settings.parse(values)
    checks = {item.check for item in questions(dataclasses.replace(stack(), settings=settings), no_clients)}
    assert {name for name in checks if name.endswith(" us-east-1")} >= {
        *("alarms us-east-1", "log-groups us-east-1", "rule-groups cloudfront us-east-1"),
        *("log-policies us-east-1", "key-aliases us-east-1"),
    }
    assert "zones us-east-1" not in checks


def test_deployer_may_ask_what_the_preflight_asks() -> None:
    actions = preflight_actions(dataclasses.replace(stack(), caller=None, secrets_key=None))
    assert {
        *("cloudfront:ListDistributions", "iam:GetOpenIDConnectProvider", "s3:GetEncryptionConfiguration"),
        *("budgets:ViewBudget", "ec2:DescribeInstances", "kms:ListAliases", "apigateway:GET"),
    } <= actions


def elsewhere() -> set[str]:
    """The checks that the fixture stack doesn't need."""
    return {
        "cache-rules",  # only with mirrors in the account's own registry
        "existing-endpoints",  # only with an existing VPC
        "api-logs-role",  # only in an account whose stacks don't set it
        SECRETS_PROVIDER.check,
    }


def test_document_names_every_check_of_the_preflight() -> None:
    names = {item.check.partition(" ")[0] for item in asked()} | elsewhere()
    page = (ROOT / "docs" / "deployment.md").read_text()
    (table,) = re.findall(r"^\| check \| what it looks at \|.*?(?=\n\n)", page, re.MULTILINE | re.DOTALL)
    listed = [
        name for line in table.splitlines()[2:] for name in re.findall(r"`([\w-]+)`", line.split("|")[1])
    ]
    assert sorted(listed) == sorted(names)


def test_questions_have_distinct_names() -> None:
    names = [item.check for item in asked()]
    assert sorted(set(names)) == sorted(names)


def test_programs_get_a_list(account: Account) -> None:
    found = question.as_json(answers(asked()[:2], account.client))
    assert [set(item) for item in found] == [{"check", "status", "found", "remedy"}] * 2


def test_outbound_rules_of_a_security_group_count_too() -> None:
    provider = next(
        item["provider"] for item in stack().resources if "aws-eu-west-1::" in item.get("provider", "")
    )
    rules: list[Any] = [
        {
            "urn": f"urn:pulumi:stack::project::type::rule-{number}",
            "type": "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule",
            "provider": provider,
            "inputs": {},
            "propertyDependencies": {"securityGroupId": ["one"]},
        }
        for number in range(70)
    ]
    more = dataclasses.replace(stack(), resources=[*stack().resources, *rules])
    needs = {item.check: item.needs for item in questions(more, no_clients)}
    assert needs["security-group-rules eu-west-1"].startswith("70 ")


def test_vcpus_are_those_of_the_pods_and_of_a_node_in_each_zone() -> None:
    needs = {item.check: item.needs for item in asked()}
    pods = sum(s.replicas.max * int(s.cpu[:-1]) for s in stack().settings.services if not s.spot) / 1000
    assert (
        needs["on-demand-vcpus us-east-1"] == f"{max(math.ceil(pods), 2 * 3 * 2)} vCPUs of on-demand capacity"
    )
