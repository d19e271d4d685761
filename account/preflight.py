"""The questions that a stack has for its account, from its resources and settings."""

from __future__ import annotations

import dataclasses
import functools
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl

import yaml

from account import certificates, checks, prepared
from account.policy import deployer
from account.prepared import DEPLOY_SECONDS
from account.question import Answer, NewClient, Question, actions, ask, no_clients
from account.stack import Caller, Stack
from report.planned import UNKNOWN, region_of
from settings.aws_limits import CLOUDFRONT_PREFIX_LIST_WEIGHT, EDGE_REGION

_PAYER_REGION = "us-east-1"  # Cost Explorer has one endpoint (AWS General Reference, "AWS Billing endpoints")

SECRETS_PROVIDER = Question(
    "secrets-provider",
    "the stack's key, committed in its file",
    "none",
    "none",
    (),
    lambda _: Answer("pass", ""),
)
"""A question that the stack file answers."""


def secrets_provider(document: Mapping[str, Any]) -> Answer:
    """Whether the stack file has what `pulumi stack init` writes, which pipelines need.

    Args:
        document: the whole stack file.
    """
    if "encryptionsalt" in document:
        return Answer(
            "fail",
            "the stack file has a passphrase's salt",
            "run `pulumi stack change-secrets-provider awskms://…`, and commit the stack file",
        )
    missing = [key for key in ("secretsprovider", "encryptedkey") if key not in document]
    if missing:
        return Answer(
            "fail",
            f"the stack file has no {' and no '.join(missing)}",
            "run `pulumi stack init --secrets-provider=awskms://…`, and commit the stack file",
        )
    return Answer("pass", str(document["secretsprovider"]))


def secrets_key(document: Mapping[str, Any]) -> str | None:
    """The key in KMS that a stack file names."""
    scheme, _, key = str(document.get("secretsprovider", "")).partition("://")
    return key.partition("?")[0].lstrip("/") if scheme == "awskms" else None


def secrets_region(document: Mapping[str, Any]) -> str:
    """The region of the key that a stack file names."""
    _, _, query = str(document.get("secretsprovider", "")).partition("?")
    return dict(parse_qsl(query)).get("region", EDGE_REGION)


def questions(stack: Stack, clients: NewClient) -> Iterator[Question]:
    """All questions, those about the account first."""
    yield from _account(stack)
    yield _validation_records(stack, clients)
    for region in stack.settings.regions:
        yield from _region(region.name, region.availability_zones, stack.settings.api.manage_account)
        yield from _offers(stack, region.name, region.availability_zones)
        yield from _quotas(stack, region.name, clients)
        yield from _names(stack, region.name)
        yield from _network(stack, region.name)


def asked(stack: Stack) -> set[str]:
    """The IAM actions of all questions, so that a role that may deploy can also ask."""
    if stack.caller is None:
        anybody = Caller("123456789012", "arn:aws:iam::123456789012:role/deploy")
        key = prepared.secrets_alias("any")
        stack = dataclasses.replace(stack, caller=anybody, secrets_key=key)
    return actions(questions(stack, no_clients))


def _account(stack: Stack) -> Iterator[Question]:
    regions = [region.name for region in stack.settings.regions]
    yield ask("identity", "requests are signed by a role", "sts", "GetCallerIdentity", checks.identity)
    yield ask("regions", "the regions are enabled", "ec2", "DescribeRegions", checks.regions, regions)
    zone = stack.settings.domain.zone
    yield ask(
        "hosted-zone", f"one public zone {zone}", "route53", "ListHostedZonesByName", checks.hosted_zone, zone
    )
    yield ask(
        "delegation",
        f"the parent of {zone} delegates to the zone",
        "route53",
        ("ListHostedZonesByName", "GetHostedZone"),
        checks.delegation,
        zone,
    )
    yield ask(
        "spot-role",
        "EC2's role for Spot instances",
        "iam",
        "GetRole",
        checks.service_linked_role,
        "AWSServiceRoleForEC2Spot",
        "spot.amazonaws.com",
    )
    roles = stack.names("name", "aws:iam/role:Role")
    yield ask(
        "roles",
        f"room for {len(roles)} roles",
        "iam",
        ("GetAccountSummary", "ListRoles"),
        checks.roles,
        roles,
    )
    if stack.caller:
        yield from _caller(stack, stack.caller)
    if stack.secrets_key:
        key = stack.secrets_key
        yield ask("state-key", "the secrets provider's key", "kms", "DescribeKey", checks.state_key, key)
    if stack.caller and stack.prepared:
        yield from _prepared(stack, stack.caller)
    if boundary := stack.settings.permissions_boundary:
        yield ask(
            "permissions-boundary",
            "the policy that limits the stack's roles",
            "iam",
            "GetPolicy",
            checks.permissions_boundary,
            boundary,
        )
    if stack.settings.monitoring.spending:
        yield ask(
            "cost-tag",
            "the cost allocation tag platform",
            "ce",
            "ListCostAllocationTags",
            checks.cost_tag,
            "platform",
            region=_PAYER_REGION,
        )
    if stack.settings.web.shield_advanced:
        yield ask(
            "shield", "a subscription to Shield Advanced", "shield", "GetSubscriptionState", checks.shield
        )


def _validation_records(stack: Stack, clients: NewClient) -> Question:
    """About the records that validate the stack's certificates, which it overwrites."""
    zone = stack.settings.domain.zone
    regions = sorted({EDGE_REGION, *(region.name for region in stack.settings.regions)})
    names = sorted(
        {
            certificates.validated_name(name)
            for item in stack.of("aws:acm/certificate:Certificate")
            for name in (item["domainName"], *item.get("subjectAlternativeNames", ()))
        }
    )
    return ask(
        "validation-record",
        "no validation record that another certificate needs with another value",
        "route53",
        ("ListHostedZonesByName", "ListResourceRecordSets"),
        certificates.validation_records,
        {region: clients("acm", region) for region in regions},
        zone,
        names,
        also=("acm:ListCertificates", "acm:DescribeCertificate"),
    )


def _prepared(stack: Stack, caller: Caller) -> Iterator[Question]:
    """About what the project `bootstrap` prepares, in an account whose stack uses its keys."""
    bucket = prepared.state_bucket(caller.account, stack.secrets_region)
    yield ask(
        "state-bucket",
        f"the bucket {bucket}",
        "s3",
        "GetBucketVersioning",
        checks.state_bucket,
        bucket,
        region=stack.secrets_region,
    )
    durations = {
        prepared.role_name(kind, stack.prepared): seconds for kind, seconds in prepared.SESSIONS.items()
    }
    yield ask("pipeline-roles", "the pipelines' roles", "iam", "GetRole", checks.pipeline_roles, durations)


def _caller(stack: Stack, caller: Caller) -> Iterator[Question]:
    yield ask(
        "session-duration",
        f"sessions of {DEPLOY_SECONDS} seconds, for pipelines",
        "iam",
        "GetRole",
        checks.session_duration,
        caller.role,
        DEPLOY_SECONDS,
    )
    statements = [
        statement for policy in deployer(stack.resources).policies for statement in policy["Statement"]
    ]
    yield ask(
        "permissions",
        "the permissions of a deployment",
        "iam",
        "SimulatePrincipalPolicy",
        checks.permissions,
        caller.principal,
        statements,
    )
    for (domain,) in stack.values("aws:cognito/userPoolDomain:UserPoolDomain", EDGE_REGION, "domain"):
        yield ask(
            "login-domain",
            f"the user pool's domain {domain}",
            "cognito-idp",
            "DescribeUserPoolDomain",
            checks.login_domain,
            domain,
            caller.account,
        )


def _region(region: str, zones: Sequence[str], manages_account: bool) -> Iterator[Question]:
    here = functools.partial(ask, region=region, named=True)
    yield here("zones", "the zones", "ec2", "DescribeAvailabilityZones", checks.zones, zones)
    if not manages_account:
        yield here(
            "api-logs-role", "API Gateway's role for logs", "apigateway", "GetAccount", checks.api_logs_role
        )
    yield here("backup", "AWS Backup's opt-in", "backup", "DescribeRegionSettings", checks.backup_opt_in)


def _offers(stack: Stack, region: str, zones: Sequence[str]) -> Iterator[Question]:
    here = functools.partial(ask, region=region, named=True)
    is_global = bool(stack.of("aws:rds/globalCluster:GlobalCluster"))
    for engine, version in stack.values("aws:rds/cluster:Cluster", region, "engine", "engineVersion"):
        yield here(
            "database-version",
            f"{engine} {version}",
            "rds",
            "DescribeDBEngineVersions",
            checks.database_version,
            engine,
            version,
            is_global,
        )
        for (name,) in stack.values("aws:rds/clusterInstance:ClusterInstance", region, "instanceClass"):
            yield here(
                f"database-class {name}",
                f"{name} in every zone",
                "rds",
                "DescribeOrderableDBInstanceOptions",
                checks.database_class,
                engine,
                version,
                name,
                zones,
            )
    for engine, version, node in stack.values(
        "aws:elasticache/replicationGroup:ReplicationGroup", region, "engine", "engineVersion", "nodeType"
    ):
        yield here(
            "cache-version",
            f"{engine} {version}",
            "elasticache",
            "DescribeCacheEngineVersions",
            checks.cache_version,
            engine,
            version,
        )
        yield here(
            "cache-node", node, "elasticache", "DescribeReservedCacheNodesOfferings", checks.cache_node, node
        )
    for (version,) in stack.values("aws:msk/cluster:Cluster", region, "kafkaVersion"):
        yield here("kafka-version", version, "kafka", "ListKafkaVersions", checks.kafka_version, version)
    for (kubernetes,) in stack.values("aws:eks/cluster:Cluster", region, "version"):
        yield here(
            "kubernetes-version",
            f"Kubernetes {kubernetes}",
            "eks",
            "DescribeClusterVersions",
            checks.kubernetes_version,
            kubernetes,
        )
        for name, build in stack.values("aws:eks/addon:Addon", region, "addonName", "addonVersion"):
            yield here(
                f"addon {name}",
                f"the build {build}",
                "eks",
                "DescribeAddonVersions",
                checks.addon,
                name,
                build,
                kubernetes,
            )
    for (runtime,) in stack.values("aws:synthetics/canary:Canary", region, "runtimeVersion"):
        yield here(
            "canary-runtime", runtime, "synthetics", "DescribeRuntimeVersions", checks.canary_runtime, runtime
        )
    yield from _rule_groups(stack, region)
    yield from _parameters(stack, region)


def _rule_groups(stack: Stack, region: str) -> Iterator[Question]:
    for scope in ("REGIONAL", "CLOUDFRONT"):
        wanted = sorted(
            {
                statement["name"]
                for acl in stack.of("aws:wafv2/webAcl:WebAcl", region)
                if acl.get("scope") == scope
                for rule in acl.get("rules", ())
                if (statement := rule["statement"].get("managedRuleGroupStatement"))
            }
        )
        if wanted:
            yield ask(
                f"rule-groups {scope.lower()}",
                "AWS's rule groups",
                "wafv2",
                "ListAvailableManagedRuleGroups",
                checks.rule_groups,
                scope,
                wanted,
                region=region,
                named=True,
            )


def _parameters(stack: Stack, region: str) -> Iterator[Question]:
    here = functools.partial(ask, region=region, named=True)
    for of, token, operation in (
        ("cluster", "clusterParameterGroup:ClusterParameterGroup", "DescribeEngineDefaultClusterParameters"),
        ("instance", "parameterGroup:ParameterGroup", "DescribeEngineDefaultParameters"),
    ):
        for group in stack.of(f"aws:rds/{token}", region):
            wanted = {item["name"]: item.get("applyMethod", "immediate") for item in group["parameters"]}
            yield here(
                f"{of}-parameters",
                f"parameters of {group['family']}",
                "rds",
                operation,
                checks.database_parameters,
                of,
                group["family"],
                wanted,
            )
    for group in stack.of("aws:elasticache/parameterGroup:ParameterGroup", region):
        names = [item["name"] for item in group["parameters"]]
        yield here(
            "cache-parameters",
            f"parameters of {group['family']}",
            "elasticache",
            "DescribeEngineDefaultParameters",
            checks.cache_parameters,
            group["family"],
            names,
        )


def _quotas(stack: Stack, region: str, clients: NewClient) -> Iterator[Question]:
    here = functools.partial(ask, region=region, named=True)
    addresses = len(stack.of("aws:ec2/eip:Eip", region))
    yield here(
        "elastic-ips",
        f"{addresses} elastic IP addresses",
        "ec2",
        ("DescribeAccountAttributes", "DescribeAddresses"),
        checks.free_addresses,
        addresses,
        stack.platform,
    )
    endpoints = sum(
        item.get("vpcEndpointType") == "Interface"
        for item in stack.of("aws:ec2/vpcEndpoint:VpcEndpoint", region)
    )
    yield here(
        "interface-endpoints",
        f"{endpoints} interface endpoints in a VPC",
        "service-quotas",
        "GetServiceQuota",
        checks.quota,
        "vpc",
        "L-29B6F2EB",
        endpoints,
        "interface endpoints per VPC",
    )
    rules = _most_rules(stack, region)
    yield here(
        "security-group-rules",
        f"{rules} inbound rules in a security group",
        "service-quotas",
        "GetServiceQuota",
        checks.quota,
        "vpc",
        "L-0EA8095F",
        rules,
        "rules per security group",
    )
    functions = stack.of("aws:lambda/function:Function", region)
    reserved = sum(item.get("reservedConcurrentExecutions") or 0 for item in functions)
    names = [item["name"] for item in functions if isinstance(item.get("name"), str)]
    yield here(
        "lambda-concurrency",
        f"{reserved} executions to reserve",
        "lambda",
        ("GetAccountSettings", "GetFunctionConcurrency"),
        checks.concurrency,
        reserved,
        names,
    )
    yield from _monitoring_quotas(stack, region)
    vpcs = len(stack.of("aws:ec2/vpc:Vpc", region))
    yield here(
        "vpcs",
        f"room for {vpcs} VPCs",
        "ec2",
        "DescribeVpcs",
        checks.networks,
        clients("service-quotas", region),
        vpcs,
        stack.platform,
        also=("servicequotas:GetServiceQuota",),
    )
    targets = stack.settings.cluster.pods_quota
    yield here(
        "load-balancer-targets",
        f"{targets} pods behind the internal load balancer, in each zone",
        "service-quotas",
        "GetServiceQuota",
        checks.quota,
        "elasticloadbalancing",
        "L-B211E961",
        targets,
        "targets per zone of a network load balancer",
    )
    policies = [
        item["policyName"] for item in stack.of("aws:cloudwatch/logResourcePolicy:LogResourcePolicy", region)
    ]
    yield here(
        "log-policies",
        f"room for {len(policies)} resource policies of CloudWatch Logs",
        "logs",
        "DescribeResourcePolicies",
        checks.log_policies,
        policies,
    )


def _monitoring_quotas(stack: Stack, region: str) -> Iterator[Question]:
    here = functools.partial(ask, region=region, named=True)
    names = stack.names("name", "aws:cloudwatch/metricAlarm:MetricAlarm", region)
    names |= stack.names("alarmName", "aws:cloudwatch/compositeAlarm:CompositeAlarm", region)
    yield here(
        "alarms",
        f"room for {len(names)} alarms",
        "cloudwatch",
        "DescribeAlarms",
        checks.alarms,
        names,
    )
    needs = _rules_needed(stack.of("aws:amp/ruleGroupNamespace:RuleGroupNamespace", region))
    yield here(
        "prometheus-rules",
        "room for the rules of Prometheus",
        "service-quotas",
        "ListServiceQuotas",
        checks.named_quotas,
        "aps",
        needs,
    )


def _rules_needed(namespaces: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """Name of a quota in Service Quotas → what a workspace with these rules needs. Each region has one."""
    groups = [
        group
        for item in namespaces
        if isinstance(item["data"], str) and item["data"] != UNKNOWN
        for group in yaml.safe_load(item["data"])["groups"]
    ]
    return {
        "Rule group namespaces per workspace": len(namespaces),
        "Rule groups per workspace": len(groups),
        "Rules per rule group": max((len(group["rules"]) for group in groups), default=0),
    }


def _most_rules(stack: Stack, region: str) -> int:
    """The inbound rules of the security group that has most. A prefix list counts with its weight."""
    rules: dict[str, int] = defaultdict(int)
    for item in stack.resources:
        ours = item["type"] == "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
        if ours and region_of(item, stack.known) == region:
            group = str(item.get("propertyDependencies", {}).get("securityGroupId"))
            listed = "prefixListId" in item.get("inputs", {})
            rules[group] += CLOUDFRONT_PREFIX_LIST_WEIGHT if listed else 1
    return max(rules.values(), default=0)


def _names(stack: Stack, region: str) -> Iterator[Question]:
    here = functools.partial(ask, region=region, named=True)
    for (name,) in stack.values("aws:eks/cluster:Cluster", region, "name"):
        yield here(
            "cluster-name",
            f"the name {name} for the cluster",
            "eks",
            "DescribeCluster",
            checks.cluster_name,
            name,
            stack.platform,
        )
        yield here("endpoint", f"a way to {name}", "eks", "DescribeCluster", checks.endpoint, name)
    groups = [name for (name,) in stack.values("aws:cloudwatch/logGroup:LogGroup", region, "name") if name]
    yield here(
        "log-groups",
        "the names of the log groups",
        "logs",
        ("DescribeLogGroups", "ListTagsForResource"),
        checks.log_groups,
        [name for name in groups if UNKNOWN not in name],
        stack.platform,
    )
    for (name,) in stack.values("aws:rds/cluster:Cluster", region, "clusterIdentifier"):
        yield here(
            "database-name",
            f"the name {name} for the database",
            "rds",
            "DescribeDBClusters",
            checks.database_name,
            name,
            stack.platform,
        )


def _network(stack: Stack, region: str) -> Iterator[Question]:
    for item in stack.settings.regions:
        if item.name == region and item.existing_vpc:
            services = sorted(
                endpoint["serviceName"]
                for endpoint in stack.of("aws:ec2/vpcEndpoint:VpcEndpoint", region)
                if endpoint.get("privateDnsEnabled")
            )
            yield ask(
                "existing-endpoints",
                "no other interface endpoints with private DNS",
                "ec2",
                "DescribeVpcEndpoints",
                checks.existing_endpoints,
                item.existing_vpc.id,
                services,
                stack.platform,
                region=region,
                named=True,
            )
