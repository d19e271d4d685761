"""Whole runs against moto's account: what is wrong in it is found, and nothing in it is changed.

moto answers for the services that it has. For the others, responses are validated against botocore's models.
"""

from __future__ import annotations

import functools
import json
import re
import threading
from collections.abc import Iterator, Mapping
from typing import Any

import boto3
import pytest
from moto import mock_aws

from account import dns, prepared, question
from account.preflight import SECRETS_PROVIDER, questions
from account.question import READS, Answer, Question, answers, no_clients
from account.stack import Caller, Stack
from bootstrap.workloads import boundary
from settings import Settings
from tests.account.cases import sent
from tests.functions.records import MOTO
from tests.policy.scans import fixture_state
from tests.unit.harness import ROOT, stack_values, without_namespace

BOTO: Any = boto3
ACCOUNT = "123456789012"
REGIONS = ("us-east-1", "eu-west-1")
TRUST: Mapping[str, Any] = {"Version": "2012-10-17", "Statement": []}


@functools.cache
def stack(name: str = "full") -> Stack:
    values = without_namespace(stack_values(name))
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
        "ec2": {"DescribeAccountAttributes": {"AccountAttributes": most}},
        "elasticache": {
            "DescribeCacheEngineVersions": {"CacheEngineVersions": [{"EngineVersion": "8.1"}]},
            "DescribeReservedCacheNodesOfferings": {
                "ReservedCacheNodesOfferings": [{"CacheNodeType": "cache.r7g.large"}]
            },
            "DescribeEngineDefaultParameters": {"EngineDefaults": {"Parameters": cached}},
        },
        "iam": {"SimulatePrincipalPolicy": {"EvaluationResults": []}},
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
            "DescribeRuntimeVersions": {"RuntimeVersions": [{"VersionName": name} for (name,) in runtimes]}
        },
        "wafv2": {"ListAvailableManagedRuleGroups": {"ManagedRuleGroups": groups}},
    }


class Account:
    """moto's account, and responses for what it lacks."""

    def __init__(self) -> None:
        self.stubs: dict[str, dict[str, Any]] = {name: dict(found) for name, found in stubbed().items()}
        self.calls: list[str] = []
        self._lock = threading.Lock()

    def client(self, service: str, region: str) -> Any:
        client = BOTO.client(service, region_name=region)
        client.meta.events.register_first("before-call", functools.partial(self._answer, service, client))
        return client

    def _answer(self, service: str, client: Any, model: Any, **_: object) -> Any:
        with self._lock:
            self.calls.append(f"{service}:{model.name}")
        response = self.stubs.get(service, {}).get(model.name)
        if response is None:
            return None  # moto's turn
        return sent(client, model.name, response)


def own_servers(zone: str) -> frozenset[str]:
    """A resolver that answers with the name servers of moto's hosted zone."""
    route53 = BOTO.client("route53", region_name="us-east-1")
    (found,) = route53.list_hosted_zones()["HostedZones"]
    servers = route53.get_hosted_zone(Id=found["Id"])["DelegationSet"]["NameServers"]
    return frozenset(server.rstrip(".") for server in servers)


def reached(host: str) -> None:
    """A network in which every host accepts connections."""


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[Account]:
    """An account in which everything is right."""
    for name, value in MOTO.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(dns, "name_servers", own_servers)
    monkeypatch.setattr(dns, "connect", reached)
    with mock_aws():
        client = functools.partial(BOTO.client, region_name="us-east-1")
        client("iam").create_role(
            RoleName="deploy", AssumeRolePolicyDocument=json.dumps(TRUST), MaxSessionDuration=7200
        )
        client("iam").create_role(
            RoleName="AWSServiceRoleForEC2Spot", AssumeRolePolicyDocument=json.dumps(TRUST)
        )
        client("route53").create_hosted_zone(Name="example.com", CallerReference="1")
        key = client("kms").create_key()["KeyMetadata"]["KeyId"]
        client("kms").create_alias(AliasName=prepared.secrets_alias("prod"), TargetKeyId=key)
        for kind, seconds in prepared.SESSIONS.items():
            client("iam").create_role(
                RoleName=prepared.role_name(kind, "prod"),
                AssumeRolePolicyDocument=json.dumps(TRUST),
                MaxSessionDuration=seconds,
            )
        limits = {**TRUST, "Statement": boundary(ACCOUNT)}
        client("iam").create_policy(PolicyName=prepared.WORKLOADS, PolicyDocument=json.dumps(limits))
        bucket = prepared.state_bucket(ACCOUNT, "us-east-1")
        client("s3").create_bucket(Bucket=bucket)
        client("s3").put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
        yield Account()


def run(account: Account) -> dict[str, Answer]:
    found = answers([*questions(stack(), account.client)], account.client)
    return {question.check: answer for question, answer in found}


def test_account_in_which_everything_is_right_passes(account: Account) -> None:
    found = run(account)
    assert {check: answer for check, answer in found.items() if answer.status != "pass"} == {}
    assert len(found) == len(asked())


def test_ten_planted_problems_are_found(account: Account) -> None:
    iam, route53, kms = (BOTO.client(name, region_name="us-east-1") for name in ("iam", "route53", "kms"))
    iam.update_role(RoleName="deploy", MaxSessionDuration=3600)
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
    account.stubs["iam"]["SimulatePrincipalPolicy"] = {
        "EvaluationResults": [{"EvalActionName": "rds:CreateDBCluster", "EvalDecision": "implicitDeny"}]
    }
    failing = {check.partition(" ")[0] for check, answer in run(account).items() if answer.status == "fail"}
    assert failing == {
        *("session-duration", "hosted-zone", "state-key", "elastic-ips", "log-policies"),
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


def elsewhere() -> set[str]:
    """The checks that the fixture stack doesn't need."""
    return {
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
