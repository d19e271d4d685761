"""Each check with answers that pass and fail, validated against botocore's service models, and refused."""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from botocore.stub import Stubber

from account import checks, dns, prepared
from account.preflight import secrets_key, secrets_provider, secrets_region
from account.question import Answer, Question, WritingError, exit_status, table
from account.question import ask as build
from account.stack import Caller
from tests.account.cases import Case, Json, ask, new_client

OPTED_IN = {"Aurora": True, "DynamoDB": True}


def zone(name: str, identifier: str, state: str = "available") -> Json:
    return {"ZoneName": name, "ZoneId": identifier, "State": state}


ZONES: Json = {
    "HostedZones": [{"Id": "/hostedzone/Z1", "Name": "example.com.", "CallerReference": "1"}],
    "IsTruncated": False,
    "MaxItems": "100",
}


def zone_with(server: str) -> Json:
    return {
        "HostedZone": {"Id": "/hostedzone/Z1", "Name": "example.com.", "CallerReference": "1"},
        "DelegationSet": {"NameServers": [server]},
    }


@pytest.fixture(autouse=True)
def _network(monkeypatch: pytest.MonkeyPatch) -> None:  # pyright: ignore[reportUnusedFunction]
    """A resolver, and one host that accepts no connection."""

    def connect(host: str) -> None:
        if host.startswith("unreachable"):
            raise TimeoutError("timed out")

    def name_servers(zone: str) -> frozenset[str]:
        return frozenset({"ns-1.example.net"})

    monkeypatch.setattr(dns, "name_servers", name_servers)
    monkeypatch.setattr(dns, "connect", connect)
    monkeypatch.setattr(dns, "public_address", lambda: "198.18.0.1")


def parameter(name: str, kind: str = "dynamic", modifiable: bool = True) -> Json:
    return {"ParameterName": name, "ApplyType": kind, "IsModifiable": modifiable}


def defaults(*parameters: Json) -> Json:
    return {"EngineDefaults": {"Parameters": parameters}}


def quota(value: float) -> Json:
    return {"Quota": {"Value": value}}


def quotas_of(value: float) -> Any:
    """A client of Service Quotas for checks that compare what exists with a quota."""
    client = new_client("service-quotas")
    stub = Stubber(client)
    for _ in range(10):
        stub.add_response("get_service_quota", quota(value))
    stub.activate()
    return client


def listed_quotas(rules: float, groups: float) -> Json:
    return {
        "Quotas": [
            {"QuotaName": "Rules per rule group", "QuotaCode": "L-0000000A", "Value": rules},
            {"QuotaName": "Rule groups per workspace", "QuotaCode": "L-0000000B", "Value": groups},
        ]
    }


OUR_TAGS: Json = {"tags": {"platform": "trading-prod"}}


def existing_log_groups(*names: str) -> Json:
    arn = "arn:aws:logs:us-east-1:123456789012:log-group:{}:*"
    return {"logGroups": [{"logGroupName": name, "arn": arn.format(name)} for name in names]}


def vpcs(others: int) -> Json:
    ours = {"VpcId": "vpc-1", "Tags": [{"Key": "platform", "Value": "trading-prod"}]}
    return {"Vpcs": [ours, *({"VpcId": f"vpc-{number}"} for number in range(others))]}


def existing_alarms(others: int, *names: str) -> Json:
    found = [{"AlarmName": name} for name in (*names, *(f"other-{number}" for number in range(others)))]
    return {"MetricAlarms": found[1:], "CompositeAlarms": found[:1]}


def limit(total: int, free: int) -> Json:
    return {"AccountLimit": {"ConcurrentExecutions": total, "UnreservedConcurrentExecutions": free}}


def addresses(count: int) -> Json:
    return {"Addresses": [{"PublicIp": "192.0.2.1", "Tags": []}] * count}


def most_addresses(count: int) -> Json:
    values = [{"AttributeValue": str(count)}]
    return {"AccountAttributes": [{"AttributeName": "vpc-max-elastic-ips", "AttributeValues": values}]}


def role(**more: Any) -> Json:
    fields = {
        "Path": "/",
        "RoleName": "deploy",
        "RoleId": "A" * 16,
        "Arn": "arn:aws:iam::123456789012:role/deploy",
    }
    return {"Role": {**fields, "CreateDate": datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC), **more}}


def runtime(name: str, end: datetime.datetime | None = None) -> Json:
    return {"RuntimeVersions": [{"VersionName": name, **({"DeprecationDate": end} if end else {})}]}


def endpoint(private: bool, *tags: Json) -> Json:
    return {
        "VpcEndpoints": [
            {
                "VpcEndpointId": "vpce-1",
                "ServiceName": "com.amazonaws.us-east-1.sts",
                "PrivateDnsEnabled": private,
                "Tags": tags,
            }
        ]
    }


BUCKET = "trading-state-123456789012-us-east-1"
SUBJECT = "repo:example/trading:environment:dev"


def encrypted(kind: str) -> Json:
    rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": kind}}
    return {"ServerSideEncryptionConfiguration": {"Rules": [rule]}}


def blocked(value: bool) -> Json:
    names = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
    return {"PublicAccessBlockConfiguration": {**dict.fromkeys(names, True), names[0]: value}}


def tls(secure: str) -> Json:
    statement = {"Effect": "Deny", "Condition": {"Bool": {"aws:SecureTransport": secure}}}
    return {"Policy": json.dumps({"Statement": [statement]})}


def trusted(seconds: int, *subjects: str) -> Json:
    """A role that trusts GitHub's tokens with some subjects."""
    condition = {"StringEquals": {f"{prepared.ISSUER}:sub": [*subjects]}} if subjects else {}
    statement = {"Principal": {"Federated": prepared.ISSUER}, "Condition": condition}
    document = json.dumps({"Statement": [statement]})
    return role(MaxSessionDuration=seconds, AssumeRolePolicyDocument=document)


def linked(service: str) -> Json:
    return {**role()["Role"], "Path": f"/aws-service-role/{service}/"}


def offerings(zone: str, *types: str) -> Json:
    found = [{"InstanceType": name, "Location": zone} for name in types]
    return {"InstanceTypeOfferings": found}


def instances(*types: str, cluster: str = "other", life: str = "") -> Json:
    """Running instances with two vCPUs each, and a stopped one."""
    more = {"InstanceLifecycle": life} if life else {}
    return {
        "Reservations": [
            {
                "Instances": [
                    {
                        "InstanceType": name,
                        "State": {"Name": state},
                        "CpuOptions": {"CoreCount": 1, "ThreadsPerCore": 2},
                        "Tags": [{"Key": "eks:eks-cluster-name", "Value": cluster}],
                        **more,
                    }
                    for name, state in (*((name, "running") for name in types), ("c5.large", "stopped"))
                ]
            }
        ]
    }


def endpoints_of(others: int) -> Any:
    """A client of EC2 for a VPC with endpoints of others, and one of the stack's own."""
    client = new_client("ec2")
    stub = Stubber(client)
    ours = {"VpcEndpointId": "vpce-1", "Tags": [{"Key": "platform", "Value": "trading-prod"}]}
    found = [ours, *({"VpcEndpointId": f"vpce-{number}"} for number in range(others))]
    for _ in range(20):
        stub.add_response("describe_vpc_endpoints", {"VpcEndpoints": found})
    stub.activate()
    return client


CASES = [
    Case(
        checks.identity,
        "sts",
        (),
        ["get_caller_identity"],
        [{"Arn": "arn:aws:sts::123456789012:assumed-role/deploy/me"}],
        [{"Arn": "arn:aws:iam::123456789012:root"}],
        ":root",
        "sign in as a role",
    ),
    Case(
        checks.regions,
        "ec2",
        (["us-east-1", "ap-east-1"],),
        ["describe_regions"],
        [
            {
                "Regions": [
                    {"RegionName": "us-east-1", "OptInStatus": "opt-in-not-required"},
                    {"RegionName": "ap-east-1", "OptInStatus": "opted-in"},
                ]
            }
        ],
        [
            {
                "Regions": [
                    {"RegionName": "us-east-1", "OptInStatus": "opt-in-not-required"},
                    {"RegionName": "ap-east-1", "OptInStatus": "not-opted-in"},
                ]
            }
        ],
        "ap-east-1 is not-opted-in",
        "enable the regions",
    ),
    Case(
        checks.zones,
        "ec2",
        (["us-east-1a", "us-east-1b"],),
        ["describe_availability_zones"],
        [{"AvailabilityZones": [zone("us-east-1a", "use1-az1"), zone("us-east-1b", "use1-az2")]}],
        [
            {
                "AvailabilityZones": [
                    zone("us-east-1a", "use1-az3"),
                    zone("us-east-1b", "use1-az2", "impaired"),
                    zone("us-east-1c", "use1-az4"),
                ]
            }
        ],
        "us-east-1a is use1-az3, which lacks VPC links of API Gateway and EKS's control plane and RDS Proxy; "
        "us-east-1b is impaired",
        "such as us-east-1c",
    ),
    Case(
        checks.hosted_zone,
        "route53",
        ("example.com",),
        ["list_hosted_zones_by_name"],
        [
            {
                "HostedZones": [
                    {"Id": "/hostedzone/Z1", "Name": "example.com.", "CallerReference": "1"},
                    {
                        "Id": "/hostedzone/Z2",
                        "Name": "example.com.",
                        "CallerReference": "2",
                        "Config": {"PrivateZone": True},
                    },
                ],
                "IsTruncated": False,
                "MaxItems": "100",
            }
        ],
        [{"HostedZones": [], "IsTruncated": False, "MaxItems": "100"}],
        "0 public hosted zones are named example.com",
        "delegate to it",
    ),
    Case(
        checks.delegation,
        "route53",
        ("example.com",),
        ["list_hosted_zones_by_name", "get_hosted_zone"],
        [ZONES, zone_with("ns-1.example.net")],
        [ZONES, zone_with("ns-2.example.net")],
        "example.com has the name servers ns-1.example.net, and the hosted zone has ns-2.example.net",
        "set the NS records of example.com",
    ),
    Case(
        checks.endpoint,
        "eks",
        ("trading-prod-us-east-1", ["198.18.0.0/15"]),
        ["describe_cluster"],
        ["ResourceNotFoundException"],
        [{"cluster": {"endpoint": "https://unreachable.example.com"}}],
        "unreachable.example.com can't be reached from here: timed out",
        "cluster.publicAccessCidrs",
    ),
    Case(
        checks.endpoint,
        "eks",
        ("trading-prod-us-east-1", ["198.18.0.0/15"]),
        ["describe_cluster"],
        [{"cluster": {"endpoint": "https://cluster.example.com"}}],
        [{"cluster": {"endpoint": "https://unreachable.example.com"}}],
        "can't be reached",
    ),
    Case(
        checks.endpoint,
        "eks",
        ("trading-prod-us-east-1", ["198.18.7.0/24"]),
        ["describe_cluster"],
        [{"cluster": {"endpoint": "https://cluster.example.com"}}],
        ["ResourceNotFoundException"],
        "198.18.7.0/24 doesn't contain 198.18.0.1",
        "add the address to `cluster.publicAccessCidrs`",
    ),
    Case(
        checks.endpoint,
        "eks",
        ("trading-prod-us-east-1", []),
        ["describe_cluster"],
        [{"cluster": {"endpoint": "https://cluster.example.com"}}],
        [{"cluster": {}}],
        "it will be private",
        "deploy from its VPC",
        unsure=True,
    ),
    Case(
        checks.state_bucket,
        "s3",
        (BUCKET,),
        ["get_bucket_versioning", "get_bucket_encryption", "get_public_access_block", "get_bucket_policy"],
        [{"Status": "Enabled"}, encrypted("aws:kms"), blocked(True), tls("false")],
        [{"Status": "Suspended"}, encrypted("AES256"), blocked(False), tls("true")],
        f"the versioning of {BUCKET} is Suspended; {BUCKET} isn't encrypted with a key of KMS; {BUCKET} "
        f"doesn't block public access; {BUCKET} accepts requests without TLS",
        "bootstrap",
    ),
    Case(
        checks.state_bucket,
        "s3",
        (BUCKET,),
        ["get_bucket_versioning", "get_bucket_encryption", "get_public_access_block", "get_bucket_policy"],
        [{"Status": "Enabled"}, encrypted("aws:kms:dsse"), blocked(True), tls("false")],
        [
            {"Status": "Enabled"},
            "ServerSideEncryptionConfigurationNotFoundError",
            "NoSuchPublicAccessBlockConfiguration",
            "NoSuchBucketPolicy",
        ],
        "isn't encrypted with a key of KMS",
    ),
    Case(
        checks.state_bucket,
        "s3",
        (BUCKET,),
        ["get_bucket_versioning", "get_bucket_encryption", "get_public_access_block", "get_bucket_policy"],
        [{"Status": "Enabled"}, encrypted("aws:kms"), blocked(True), tls("false")],
        ["NoSuchBucket"],
        "doesn't exist",
    ),
    Case(
        checks.identity_provider,
        "iam",
        ("arn:aws:iam::123456789012:oidc-provider/token.actions.githubusercontent.com", "sts.amazonaws.com"),
        ["get_open_id_connect_provider"],
        [{"ClientIDList": ["sts.amazonaws.com"]}],
        [{"ClientIDList": ["https://github.com/example"]}],
        "lacks the audience sts.amazonaws.com",
        "bootstrap",
    ),
    Case(
        checks.identity_provider,
        "iam",
        ("arn:aws:iam::123456789012:oidc-provider/token.actions.githubusercontent.com", "sts.amazonaws.com"),
        ["get_open_id_connect_provider"],
        [{"ClientIDList": ["sts.amazonaws.com"]}],
        ["NoSuchEntity"],
        "doesn't exist",
    ),
    Case(
        checks.pipeline_roles,
        "iam",
        ({"trading-deploy-dev": (7200, [SUBJECT]), "trading-read-dev": (3600, [SUBJECT])},),
        ["get_role", "get_role"],
        [trusted(7200, SUBJECT), trusted(3600, SUBJECT)],
        [trusted(3600, "repo:other/trading:environment:dev"), "NoSuchEntity"],
        "sessions of 3600 seconds, and the pipelines ask for 7200; trading-deploy-dev trusts "
        f"repo:other/trading:environment:dev, and not only {SUBJECT}; trading-read-dev doesn't exist",
        "`stacks` of the project `bootstrap`",
    ),
    Case(
        checks.pipeline_roles,
        "iam",
        ({"trading-deploy-dev": (7200, [SUBJECT])},),
        ["get_role"],
        [trusted(7200, SUBJECT)],
        [trusted(7200)],
        "trading-deploy-dev trusts {'Federated': ",
    ),
    Case(
        checks.linked_roles,
        "iam",
        (["spot.amazonaws.com", "eks.amazonaws.com"],),
        ["list_roles"],
        [{"Roles": [linked("spot.amazonaws.com"), linked("eks.amazonaws.com")]}],
        [{"Roles": [linked("eks.amazonaws.com")]}],
        "spot.amazonaws.com has no service-linked role",
        "create-service-linked-role --aws-service-name spot.amazonaws.com",
    ),
    Case(
        checks.disk_encryption,
        "ec2",
        (),
        ["get_ebs_encryption_by_default"],
        [{"EbsEncryptionByDefault": True}],
        [{"EbsEncryptionByDefault": False}],
        "new disks aren't encrypted by default",
        "bootstrap",
    ),
    Case(
        checks.cache_rules,
        "ecr",
        (["ghcr", "quay"],),
        ["describe_pull_through_cache_rules"],
        [{"pullThroughCacheRules": [{"ecrRepositoryPrefix": name} for name in ("ghcr", "quay")]}],
        [{"pullThroughCacheRules": [{"ecrRepositoryPrefix": "ghcr"}]}],
        "no rule has the prefix quay",
        "`imageCache`",
        unsure=True,
    ),
    Case(
        checks.instance_types,
        "ec2",
        ({"add-ons": {"category": ["c", "m"], "arch": ["amd64"], "generation": ["4"]}}, ["us-east-1a"]),
        ["describe_instance_type_offerings"],
        [offerings("us-east-1a", "m5.large")],
        # No x86, too old, and of another category.
        [offerings("us-east-1a", "m6g.large", "m4.large", "r5.large")],
        "us-east-1a has no instance type for the node pool add-ons",
        "name other zones",
    ),
    Case(
        checks.vcpus,
        "ec2",
        (quotas_of(16), checks.ON_DEMAND_QUOTA, 12, 532, "trading-prod-us-east-1"),
        ["describe_instances"],
        [instances("c5.large", "c5.large")],
        [instances("c5.large", "m6g.large", "t3.large")],
        "others use 6 of 16 vCPUs, and the stack's pods need up to 12 (the node pools end at 532)",
        "--service-code ec2 --quota-code L-1216C47A --desired-value 18",
    ),
    Case(
        checks.vcpus,
        "ec2",
        (quotas_of(12), checks.SPOT_QUOTA, 12, 500, "trading-prod-us-east-1"),
        ["describe_instances"],
        # On demand, of another quota, and the stack's own.
        [instances("c5.large", "p5.large", cluster="trading-prod-us-east-1", life="")],
        [instances("c5.large", life="spot")],
        "others use 2 of 12 vCPUs",
        "--quota-code L-34B43A08 --desired-value 14",
    ),
    Case(
        checks.interface_endpoints,
        "service-quotas",
        (endpoints_of(7), "vpc-1", 5, "trading-prod"),
        ["get_service_quota"],
        [quota(12)],
        [quota(11)],
        "others have 7 of 11 interface endpoints per VPC, and the stack needs 5",
        "--quota-code L-29B6F2EB --desired-value 12",
    ),
    Case(
        checks.interface_endpoints,
        "service-quotas",
        (None, None, 12, "trading-prod"),
        ["get_service_quota"],
        [quota(12)],
        [quota(11)],
        "others have 0 of 11",
    ),
    Case(
        checks.permissions_boundary,
        "iam",
        ("arn:aws:iam::123456789012:policy/trading-workloads",),
        ["get_policy"],
        [{"Policy": {"PolicyName": "trading-workloads"}}],
        ["NoSuchEntity"],
        "arn:aws:iam::123456789012:policy/trading-workloads doesn't exist",
        "deploy the project `bootstrap`",
    ),
    Case(
        checks.api_logs_role,
        "apigateway",
        (),
        ["get_account"],
        [{"cloudwatchRoleArn": "arn:aws:iam::123456789012:role/logs"}],
        [{}],
        "API Gateway has no role for logs in this region",
        "`api.manageAccount`",
    ),
    Case(
        checks.database_version,
        "rds",
        ("aurora-postgresql", "17.11", True),
        ["describe_db_engine_versions"],
        [{"DBEngineVersions": [{"EngineVersion": "17.11", "SupportsGlobalDatabases": True}]}],
        [{"DBEngineVersions": [{"EngineVersion": "17.11", "SupportsGlobalDatabases": False}]}],
        "supports no global database",
        "database.engineVersion",
    ),
    Case(
        checks.database_class,
        "rds",
        ("aurora-postgresql", "17.11", "db.r8g.large", ["us-east-1a", "us-east-1b"]),
        ["describe_orderable_db_instance_options"],
        [
            {
                "OrderableDBInstanceOptions": [
                    {"AvailabilityZones": [{"Name": "us-east-1a"}, {"Name": "us-east-1b"}]}
                ]
            }
        ],
        [{"OrderableDBInstanceOptions": [{"AvailabilityZones": [{"Name": "us-east-1a"}]}]}],
        "us-east-1b has no db.r8g.large",
        "database.instanceClass",
    ),
    Case(
        checks.cache_version,
        "elasticache",
        ("valkey", "8.1"),
        ["describe_cache_engine_versions"],
        [{"CacheEngineVersions": [{"EngineVersion": "8.1"}]}],
        [{"CacheEngineVersions": [{"EngineVersion": "8.0"}, {"EngineVersion": "8.10"}]}],
        "valkey 8.1 is not among 8.0, 8.10",
        "cache.engineVersion",
    ),
    Case(
        checks.cache_node,
        "elasticache",
        ("cache.r7g.large",),
        ["describe_reserved_cache_nodes_offerings"],
        [{"ReservedCacheNodesOfferings": [{"CacheNodeType": "cache.r7g.large"}]}],
        [{"ReservedCacheNodesOfferings": []}],
        "has no reservations",
        unsure=True,
    ),
    Case(
        checks.kafka_version,
        "kafka",
        ("3.9.x.kraft",),
        ["list_kafka_versions"],
        [{"KafkaVersions": [{"Version": "3.9.x.kraft", "Status": "ACTIVE"}]}],
        [{"KafkaVersions": [{"Version": "3.9.x.kraft", "Status": "DEPRECATED"}]}],
        "3.9.x.kraft is DEPRECATED",
    ),
    Case(
        checks.kubernetes_version,
        "eks",
        ("1.36",),
        ["describe_cluster_versions"],
        [{"clusterVersions": [{"clusterVersion": "1.36", "versionStatus": "STANDARD_SUPPORT"}]}],
        [{"clusterVersions": [{"clusterVersion": "1.36", "versionStatus": "UNSUPPORTED"}]}],
        "1.36 is UNSUPPORTED",
    ),
    Case(
        checks.addon,
        "eks",
        ("metrics-server", "v0.9.0-eksbuild.11", "1.36"),
        ["describe_addon_versions"],
        [{"addons": [{"addonVersions": [{"addonVersion": "v0.9.0-eksbuild.11"}]}]}],
        [{"addons": [{"addonVersions": [{"addonVersion": "v0.8.0-eksbuild.1"}]}]}],
        "is not among v0.8.0-eksbuild.1",
    ),
    Case(
        checks.canary_runtime,
        "synthetics",
        ("syn-python-selenium-14.0",),
        ["describe_runtime_versions"],
        [runtime("syn-python-selenium-14.0")],
        [runtime("syn-python-selenium-14.0", datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC))],
        "is deprecated since 2026-01-02",
    ),
    Case(
        checks.rule_groups,
        "wafv2",
        ("REGIONAL", ["AWSManagedRulesCommonRuleSet"]),
        ["list_available_managed_rule_groups"],
        [{"ManagedRuleGroups": [{"Name": "AWSManagedRulesCommonRuleSet"}]}],
        [{"ManagedRuleGroups": []}],
        "AWSManagedRulesCommonRuleSet is not on offer",
    ),
    Case(
        checks.database_parameters,
        "rds",
        (
            "cluster",
            "aurora-postgresql17",
            {"log_connections": "immediate", "rds.force_ssl": "pending-reboot"},
        ),
        ["describe_engine_default_cluster_parameters"],
        [defaults(parameter("log_connections"), parameter("rds.force_ssl", "static"))],
        [defaults(parameter("log_connections", "static"))],
        "log_connections is static, so it can't be set with `immediate`; rds.force_ssl doesn't exist",
    ),
    Case(
        checks.database_parameters,
        "rds",
        ("instance", "aurora-postgresql17", {"auto_explain.log_min_duration": "immediate"}),
        ["describe_engine_default_parameters"],
        [defaults(parameter("auto_explain.log_min_duration"))],
        [defaults(parameter("auto_explain.log_min_duration", modifiable=False))],
        "auto_explain.log_min_duration can't be modified",
    ),
    Case(
        checks.cache_parameters,
        "elasticache",
        ("valkey8", ["maxmemory-policy"]),
        ["describe_engine_default_parameters"],
        [defaults({"ParameterName": "maxmemory-policy", "IsModifiable": True})],
        [defaults()],
        "maxmemory-policy doesn't exist in valkey8",
    ),
    Case(
        checks.quota,
        "service-quotas",
        ("vpc", "L-29B6F2EB", 12, "interface endpoints per VPC"),
        ["get_service_quota"],
        [quota(12)],
        [quota(11)],
        "11 interface endpoints per VPC, and the stack needs 12",
        "--quota-code L-29B6F2EB --desired-value 12",
    ),
    Case(
        checks.named_quotas,
        "service-quotas",
        ("aps", {"Rules per rule group": 20, "Rule groups per workspace": 9}),
        ["list_service_quotas"],
        [listed_quotas(rules=20, groups=100)],
        [listed_quotas(rules=19, groups=100)],
        "19 Rules per rule group (20 needed), 100 Rule groups per workspace (9 needed)",
        "--service-code aps --quota-code L-0000000A --desired-value 20",
    ),
    Case(
        checks.named_quotas,
        "service-quotas",
        ("aps", {"Rules per workspace": 20}),
        ["list_service_quotas"],
        [{"Quotas": [{"QuotaName": "Rules per workspace", "QuotaCode": "L-0000000C", "Value": 2000}]}],
        [listed_quotas(rules=20, groups=100)],
        "Service Quotas doesn't list Rules per workspace",
        "the stack needs 20",
        unsure=True,
    ),
    Case(
        checks.networks,
        "ec2",
        (quotas_of(5), 1, "trading-prod"),
        ["describe_vpcs"],
        [vpcs(4)],
        [vpcs(5)],
        "others have 5 of 5 VPCs, and the stack needs 1",
        "--quota-code L-F678F1CE --desired-value 6",
    ),
    Case(
        checks.alarms,
        "cloudwatch",
        ({"monitoring-a", "monitoring-b"},),
        ["describe_alarms"],
        [existing_alarms(4998, "monitoring-a-0123abc", "monitoring-b")],
        [existing_alarms(4999, "monitoring-a-0123abc")],
        "others have 4999 alarms, and the stack needs 2, but a region has 5000 by default",
        "ask AWS Support",
        unsure=True,
    ),
    Case(
        checks.free_addresses,
        "ec2",
        (3, "trading-prod"),
        ["describe_account_attributes", "describe_addresses"],
        [most_addresses(5), addresses(2)],
        [most_addresses(5), addresses(3)],
        "others use 3 of 5 addresses, and the stack needs 3",
        "--desired-value 6",
    ),
    Case(
        checks.concurrency,
        "lambda",
        (500, ["intake"]),
        ["get_account_settings", "get_function_concurrency"],
        [limit(1000, 100), {"ReservedConcurrentExecutions": 500}],
        [limit(500, 500), "ResourceNotFoundException"],
        "500 of 500 executions are unreserved, and the stack reserves 500, but 100 must remain",
        "--desired-value 600",
    ),
    Case(
        checks.roles,
        "iam",
        ({"orders-role", "canary"},),
        ["get_account_summary", "list_roles"],
        [{"SummaryMap": {"Roles": 998, "RolesQuota": 1000}}],
        [{"SummaryMap": {"Roles": 999, "RolesQuota": 1000}}, {"Roles": [role(RoleName="other")["Role"]]}],
        "others have 999 of 1000 roles, and the stack needs 2",
        "--quota-code L-FE177D64 --desired-value 1001",
    ),
    Case(
        checks.roles,
        "iam",
        ({"orders-role", "canary"},),
        ["get_account_summary", "list_roles"],
        [
            {"SummaryMap": {"Roles": 1000, "RolesQuota": 1000}},
            {"Roles": [role(RoleName=name)["Role"] for name in ("orders-role-0123abc", "canary")]},
        ],
        [{"SummaryMap": {"Roles": 1000, "RolesQuota": 1000}}, {"Roles": []}],
        "others have 1000 of 1000 roles",
    ),
    Case(
        checks.log_policies,
        "logs",
        (["alb", "edge"],),
        ["describe_resource_policies"],
        [{"resourcePolicies": [{"policyName": f"other-{number}"} for number in range(8)]}],
        [{"resourcePolicies": [{"policyName": f"other-{number}"} for number in range(9)]}],
        "9 other resource policies exist, and the stack needs 2, but only 10 are possible",
    ),
    Case(
        checks.cluster_name,
        "eks",
        ("trading-prod-us-east-1", "trading-prod"),
        ["describe_cluster"],
        ["ResourceNotFoundException"],
        [{"cluster": {"tags": {"platform": "trading-old"}}}],
        "exists, and belongs to trading-old",
        "choose another `environment`",
    ),
    Case(
        checks.database_name,
        "rds",
        ("trading-prod", "trading-prod"),
        ["describe_db_clusters"],
        [{"DBClusters": [{"TagList": [{"Key": "platform", "Value": "trading-prod"}]}]}],
        [{"DBClusters": [{"TagList": []}]}],
        "exists, and belongs to nobody",
    ),
    Case(
        checks.database_name,
        "rds",
        ("trading-prod", "trading-prod"),
        ["describe_db_clusters"],
        ["DBClusterNotFoundFault"],
        [{"DBClusters": [{}]}],
        "exists",
    ),
    Case(
        checks.log_groups,
        "logs",
        (["/aws/eks/trading-prod/cluster"], "trading-prod"),
        ["describe_log_groups", "list_tags_for_resource"],
        [existing_log_groups("/aws/eks/trading-prod/cluster-2", "/aws/eks/trading-prod/cluster"), OUR_TAGS],
        [existing_log_groups("/aws/eks/trading-prod/cluster"), {"tags": {}}],
        "/aws/eks/trading-prod/cluster exists, and belongs to nobody",
        "delete the log groups",
    ),
    Case(
        checks.login_domain,
        "cognito-idp",
        ("trade-example-com", "123456789012"),
        ["describe_user_pool_domain"],
        [{"DomainDescription": {}}],
        [{"DomainDescription": {"AWSAccountId": "210987654321"}}],
        "trade-example-com belongs to account 210987654321",
    ),
    Case(
        checks.backup_opt_in,
        "backup",
        (),
        ["describe_region_settings"],
        [
            {
                "ResourceTypeOptInPreference": OPTED_IN,
                "ResourceTypeManagementPreference": {"DynamoDB": True},
            }
        ],
        [{"ResourceTypeOptInPreference": {"Aurora": False, "DynamoDB": True}}],
        "backups of Aurora are off; DynamoDB's backups have no features of AWS Backup",
        "aws backup update-region-settings",
    ),
    Case(
        checks.session_duration,
        "iam",
        ("trading-deploy-dev", True, 7200),
        ["get_role"],
        [role(MaxSessionDuration=7200)],
        [role(MaxSessionDuration=3600)],
        "trading-deploy-dev allows sessions of 3600 seconds, and the pipelines ask for 7200",
        "--max-session-duration 7200",
    ),
    Case(
        checks.session_duration,
        "iam",
        ("administrator", False, 7200),
        ["get_role"],
        [role(MaxSessionDuration=7200)],
        [role(MaxSessionDuration=3600)],
        "administrator allows sessions of 3600 seconds",
        "AWS_DEPLOY_ROLE_ARN",
        unsure=True,
    ),
    Case(
        checks.state_key,
        "kms",
        ("alias/pulumi",),
        ["describe_key"],
        [{"KeyMetadata": {"KeyId": "1", "KeyState": "Enabled"}}],
        ["NotFoundException"],
        "alias/pulumi doesn't exist in us-east-1",
        "correct `secretsprovider`",
    ),
    Case(
        checks.state_key,
        "kms",
        ("alias/pulumi",),
        ["describe_key"],
        [{"KeyMetadata": {"KeyId": "1", "KeyState": "Enabled"}}],
        [{"KeyMetadata": {"KeyId": "1", "KeyState": "PendingDeletion"}}],
        "alias/pulumi is PendingDeletion",
    ),
    Case(
        checks.existing_endpoints,
        "ec2",
        ("vpc-1", ["com.amazonaws.us-east-1.sts"], "trading-prod"),
        ["describe_vpc_endpoints"],
        [endpoint(True, {"Key": "platform", "Value": "trading-prod"})],
        [endpoint(True)],
        "vpce-1 of vpc-1 has private DNS for com.amazonaws.us-east-1.sts",
        "existingVpc.interfaceEndpoints",
    ),
    Case(
        checks.cost_tag,
        "ce",
        ("platform",),
        ["list_cost_allocation_tags"],
        [{"CostAllocationTags": [{"TagKey": "platform", "Type": "UserDefined", "Status": "Active"}]}],
        [{"CostAllocationTags": []}],
        "the tag platform is not known to the bill",
    ),
    Case(
        checks.shield,
        "shield",
        (),
        ["get_subscription_state"],
        [{"SubscriptionState": "ACTIVE"}],
        [{"SubscriptionState": "INACTIVE"}],
        "the subscription is INACTIVE",
    ),
]


def test_quota_that_may_not_be_asked_for_is_named() -> None:
    quotas = new_client("service-quotas")
    question = Question(
        "vpcs",
        "room",
        "ec2",
        "us-east-1",
        ("DescribeVpcs",),
        lambda ec2: checks.networks(ec2, quotas, 1, "trading-prod"),
        ("servicequotas:GetServiceQuota",),
    )
    with Stubber(quotas) as stub:
        stub.add_client_error("get_service_quota", "AccessDeniedException")
        assert question.answer(new_client("ec2")).remedy.startswith("allow servicequotas:GetServiceQuota")


every_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.ask.__name__)


@every_case
def test_check_passes(case: Case) -> None:
    assert ask(case, case.passing).status == "pass"


@every_case
def test_check_fails_and_says_what_to_do(case: Case) -> None:
    answer = ask(case, case.failing)
    assert answer.status == ("unknown" if case.unsure else "fail")
    assert case.found in answer.found
    assert case.remedy in answer.remedy
    assert answer.remedy


@every_case
@pytest.mark.parametrize("code", ["AccessDenied", "AccessDeniedException", "UnauthorizedOperation"])
def test_check_that_may_not_be_asked_is_unknown(case: Case, code: str) -> None:
    """Each of its operations is refused once, after the others have answered."""
    for number, operation in enumerate(case.operations):
        found = [
            ask(case, [*responses[:number], code])
            for responses in (case.passing, case.failing)
            if len(responses) > number
        ]
        refused = [answer for answer in found if answer.found.startswith("not allowed to call ")]
        assert refused, operation
        assert {answer.status for answer in refused} == {"unknown"}
        assert all(answer.remedy.startswith("allow ") for answer in refused)


@pytest.mark.parametrize("network", ["203.0.113.0/24", "198.51.100.7/32", "192.0.2.0/25"])
def test_example_network_is_no_place_to_deploy_from(network: str) -> None:
    answer = checks.endpoint(new_client("eks"), "trading-prod-us-east-1", ["198.18.0.0/15", network])
    assert (answer.status, network in answer.found) == ("fail", True)


def test_unknown_address_leaves_the_way_to_a_new_cluster_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable() -> str:
        raise OSError("no route")

    monkeypatch.setattr(dns, "public_address", unreachable)
    case = next(case for case in CASES if case.ask is checks.endpoint)
    answer = ask(case, ["ResourceNotFoundException"])
    assert (answer.status, "no route" in answer.found) == ("unknown", True)


def test_nobody_knows_the_pipelines_role_of_a_user() -> None:
    answer = checks.session_duration(new_client("iam"), None, False, 7200)
    assert (answer.status, "AWS_DEPLOY_ROLE_ARN" in answer.remedy) == ("unknown", True)


def test_type_of_brokers_is_unknown_and_says_where_to_look() -> None:
    answer = checks.broker_type(None, "kafka.m7g.large", "eu-west-3")
    assert (answer.status, "kafka.m7g.large in eu-west-3" in answer.remedy) == ("unknown", True)


def test_every_check_has_a_case() -> None:
    functions = {
        name
        for name, value in vars(checks).items()
        if callable(value)
        and getattr(value, "__module__", "") == checks.__name__
        and not name.startswith("_")
    }
    # No API answers what a broker's type is.
    assert functions - {"broker_type"} == {case.ask.__name__ for case in CASES}


def test_other_errors_are_unknown() -> None:
    answer = ask(CASES[0], ["ThrottlingException"])
    assert answer == Answer("unknown", answer.found, "try again, or check by hand")
    assert "ThrottlingException" in answer.found


def test_check_cannot_call_what_it_does_not_declare_or_what_writes() -> None:
    client = new_client("sns")

    def question(*operations: str) -> Question:
        return Question("check", "", "sns", "us-east-1", operations, lambda sns: sns.create_topic(Name="x"))

    for operations in ((), ("CreateTopic",)):
        with pytest.raises(WritingError, match="sns:CreateTopic"):
            question(*operations).answer(client)


def test_check_cannot_call_what_it_does_not_declare_of_another_service() -> None:
    """The clients of other services are guarded too, also those in mappings."""

    def check(sts: Any, sns: Any, more: Mapping[str, Any]) -> Answer:
        (more.get("acm") or sns).list_topics()
        return Answer("pass", "")

    def asked(*also: str, **more: Any) -> Answer:
        question = build("check", "", "sts", "GetCallerIdentity", check, new_client("sns"), more, also=also)
        return question.answer(new_client("sts"))

    with pytest.raises(WritingError, match="check calls sns:ListTopics"):
        asked("sns:GetTopicAttributes")
    with pytest.raises(WritingError, match="check calls sns:ListTopics"):
        asked(acm=new_client("sns"))


def test_zone_that_does_not_exist_is_named() -> None:
    case = next(case for case in CASES if case.ask is checks.zones)
    assert "us-east-1a doesn't exist" in ask(case, [{"AvailabilityZones": []}]).found


@pytest.mark.parametrize(
    ("document", "status", "found"),
    [
        ({"secretsprovider": "awskms://alias/pulumi", "encryptedkey": "x"}, "pass", "awskms://alias/pulumi"),
        ({"secretsprovider": "awskms://alias/pulumi"}, "fail", "no encryptedkey"),
        ({}, "fail", "no secretsprovider and no encryptedkey"),
        ({"encryptionsalt": "v1:x"}, "fail", "a passphrase's salt"),
    ],
)
def test_secrets_provider_must_be_committed(document: Json, status: str, found: str) -> None:
    answer = secrets_provider(document)
    assert answer.status == status
    assert found in answer.found


def test_key_of_the_secrets_provider() -> None:
    assert secrets_key({"secretsprovider": "awskms://alias/pulumi?region=us-east-1"}) == "alias/pulumi"
    assert secrets_key({"secretsprovider": "awskms:///arn:aws:kms:x"}) == "arn:aws:kms:x"
    assert secrets_key({"secretsprovider": "passphrase"}) is None


def test_region_of_the_secrets_provider() -> None:
    assert secrets_region({"secretsprovider": "awskms:///alias/pulumi?region=eu-west-1"}) == "eu-west-1"
    key = "arn:aws:kms:eu-west-2:123456789012:key/1"
    assert secrets_region({"secretsprovider": f"awskms:///{key}"}) == "eu-west-2"
    assert secrets_region({"secretsprovider": "awskms://alias/pulumi"}) == "us-east-1"


def test_role_of_a_session() -> None:
    session = Caller("123456789012", "arn:aws:sts::123456789012:assumed-role/deploy/me")
    assert session.role == "deploy"
    assert Caller("123456789012", "arn:aws:iam::123456789012:user/me").role is None


@pytest.mark.parametrize(
    ("statuses", "expected"), [(("pass",), 0), (("pass", "unknown"), 3), (("unknown", "fail"), 1), ((), 0)]
)
def test_exit_status_is_that_of_the_worst_answer(statuses: Sequence[Any], expected: int) -> None:
    question = Question("check", "", "sts", "us-east-1", (), lambda _: Answer("pass", ""))
    assert exit_status([(question, Answer(status, "")) for status in statuses]) == expected


def test_table_says_what_is_needed_and_what_to_do() -> None:
    question = Question("zones", "the zones", "ec2", "us-east-1", (), lambda _: Answer("pass", ""))
    lines = table([(question, Answer("fail", "gone", "name others")), (question, Answer("pass", "here"))])
    assert [line.split() for line in lines] == [
        ["fail", "zones", "gone"],
        ["needs:", "the", "zones"],
        ["do:", "name", "others"],
        ["pass", "zones", "here"],
        ["1", "pass,", "1", "fail,", "0", "unknown"],
    ]


def test_answer_in_an_unexpected_form_is_unknown() -> None:
    """It must not keep the other answers from the reader."""
    answers: list[Answer] = []
    question = Question("x", "y", "ec2", "us-east-1", ("DescribeVpcs",), lambda _: answers.pop())
    answer = question.answer(new_client("ec2"))
    assert (answer.status, answer.remedy) == ("unknown", "check by hand")
    assert "unexpected form: IndexError" in answer.found
