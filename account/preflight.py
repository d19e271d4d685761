"""The questions that a stack has for its account, from its resources and settings."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

import yaml

from account import certificates, checks, names, prepared, simulation
from account.policy import deployer
from account.prepared import DEPLOY_SECONDS
from account.question import Answer, Client, NewClient, Question, actions, ask, no_clients, unasked
from account.stack import Caller, Stack
from account.verify import questions as verify
from bootstrap.linked_roles import LINKED_ROLES
from policy.ours import OURS
from report.planned import UNKNOWN, region_of
from settings.aws_limits import CLOUDFRONT_PREFIX_LIST_WEIGHT, EDGE_REGION
from settings.images import mirror_of

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
    key = secrets_key(document) or ""
    own = key.split(":")[3] if key.startswith("arn:") else EDGE_REGION
    return dict(parse_qsl(query)).get("region", own)


def questions(stack: Stack, clients: NewClient) -> Iterator[Question]:
    """All questions, those about the account first."""
    yield from _account(stack, clients)
    yield _validation_records(stack, clients)
    for region in stack.settings.regions:
        yield from _region(region.name, region.availability_zones, stack.settings.api.manage_account)
        yield from _offers(stack, region.name, region.availability_zones)
        yield from _quotas(stack, region.name, clients)
        yield from _names(stack, region.name)
        yield from _network(stack, region.name)
    if EDGE_REGION not in [region.name for region in stack.settings.regions]:
        yield from _edge(stack)


def asked(stack: Stack) -> set[str]:
    """The IAM actions of all questions, so that a role that may deploy can also ask."""
    if stack.caller is None:
        stack = dataclasses.replace(stack, caller=_ANYBODY, secrets_key=prepared.secrets_alias("any"))
    return actions(questions(stack, no_clients))


_ANYBODY = Caller("123456789012", "arn:aws:sts::123456789012:assumed-role/deploy/anybody")
"""Takes the place of a caller whom the account doesn't tell."""


def _about_the_caller(found: Iterable[Question], caller: Caller | None) -> Iterator[Question]:
    """Questions that depend on who asks. They are listed, and unknown, if the account doesn't say."""

    def unanswered(_: Client) -> Answer:
        return Answer("unknown", "the account didn't say who asks", "see `identity`")

    for item in found:
        yield item if caller else dataclasses.replace(item, ask=unanswered)


def _account(stack: Stack, clients: NewClient) -> Iterator[Question]:
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
    services = _linked_services(stack)
    yield ask(
        "service-roles",
        f"the service-linked roles of {', '.join(services)}",
        "iam",
        "ListRoles",
        checks.linked_roles,
        services,
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
    caller = stack.caller or _ANYBODY
    yield from _about_the_caller(_caller(stack, caller), stack.caller)
    yield from _about_the_caller(
        names.of_account(stack, caller, clients("route53", EDGE_REGION)), stack.caller
    )
    yield _state_key(stack)
    if stack.prepared:
        yield from _about_the_caller(_prepared(stack, caller), stack.caller)
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


def _state_key(stack: Stack) -> Question:
    """About the key of the secrets provider, in its own region."""
    key = stack.secrets_key
    needs, region = "the secrets provider's key", stack.secrets_region
    if key:
        return ask("state-key", needs, "kms", "DescribeKey", checks.state_key, key, region=region)
    return unasked("state-key", needs, "the stack file names no key of KMS", "see `secrets-provider`")


def _linked_services(stack: Stack) -> list[str]:
    """The services whose service-linked roles the stack needs."""
    types = {item["type"] for item in stack.resources}
    scaled = {item.get("serviceNamespace") for item in stack.of("aws:appautoscaling/target:Target")}
    suffix = ".application-autoscaling.amazonaws.com"
    return [
        service
        for service, role in LINKED_ROLES.items()
        if (not role.types or types & {*role.types})
        and (not service.endswith(suffix) or service.removesuffix(suffix) in scaled)
    ]


def _validation_records(stack: Stack, clients: NewClient) -> Question:
    """About the records that validate the stack's certificates, which it overwrites."""
    zone = stack.settings.domain.zone
    regions = sorted({EDGE_REGION, *(region.name for region in stack.settings.regions)})
    validated = sorted(
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
        validated,
        also=("acm:ListCertificates", "acm:DescribeCertificate"),
    )


def _prepared(stack: Stack, caller: Caller) -> Iterator[Question]:
    """About what the project `bootstrap` prepares, in an account whose stack uses its keys."""
    bucket = prepared.state_bucket(caller.account, stack.secrets_region)
    yield ask(
        "state-bucket",
        "the bucket for states: versioned, encrypted, private, TLS only",
        "s3",
        ("GetBucketVersioning", "GetBucketEncryption", "GetPublicAccessBlock", "GetBucketPolicy"),
        checks.state_bucket,
        bucket,
        region=stack.secrets_region,
    )
    provider = f"arn:aws:iam::{caller.account}:oidc-provider/{prepared.ISSUER}"
    yield ask(
        "identity-provider",
        "the issuer of the pipelines' tokens",
        "iam",
        "GetOpenIDConnectProvider",
        checks.identity_provider,
        provider,
        prepared.AUDIENCE,
    )
    ours = OURS.identity_providers.get(prepared.ISSUER, ())
    wanted = {
        prepared.role_name(kind, stack.prepared): (
            seconds,
            [name for name in ours if name.endswith(prepared.environment(kind, stack.prepared))],
        )
        for kind, seconds in prepared.SESSIONS.items()
    }
    yield ask("pipeline-roles", "the pipelines' roles", "iam", "GetRole", checks.pipeline_roles, wanted)
    for region in stack.settings.regions:
        yield ask(
            "disk-encryption",
            "encryption of all new disks",
            "ec2",
            "GetEbsEncryptionByDefault",
            checks.disk_encryption,
            region=region.name,
            named=True,
        )
        registry = f"{caller.account}.dkr.ecr.{region.name}.amazonaws.com/"
        mirrors = [
            mirror_of(name, stack.settings.cluster.image_mirrors, region.name)
            for name in stack.settings.cluster.image_mirrors
        ]
        prefixes = [name.removeprefix(registry) for name in mirrors if name.startswith(registry)]
        if prefixes:
            yield ask(
                "cache-rules",
                "the pull through cache rules of the mirrors",
                "ecr",
                "DescribePullThroughCacheRules",
                checks.cache_rules,
                prefixes,
                region=region.name,
                named=True,
            )


def _caller(stack: Stack, caller: Caller) -> Iterator[Question]:
    pipeline = prepared.role_name("deploy", stack.prepared) if stack.prepared else None
    yield ask(
        "session-duration",
        f"sessions of {DEPLOY_SECONDS} seconds, for pipelines",
        "iam",
        "GetRole",
        checks.session_duration,
        pipeline or caller.role,
        pipeline is not None,
        DEPLOY_SECONDS,
    )

    @functools.cache
    def needed() -> list[Mapping[str, Any]]:
        also = {*asked(stack), *verify.asked(stack)}
        found = deployer(stack.resources, also)
        return [statement for policy in found.policies for statement in policy["Statement"]]

    simulated = [("permissions", caller.role, caller.arn)]
    if pipeline and pipeline != caller.role:
        simulated.append((f"permissions {pipeline}", pipeline, ""))
    for check, role, principal in simulated:
        yield ask(
            check,
            "the permissions of a deployment and of its checks",
            "iam",
            ("GetRole", "SimulatePrincipalPolicy"),
            simulation.permissions,
            role,
            principal,
            needed,
            caller.account,
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
    brokers = {
        item["brokerNodeGroupInfo"]["instanceType"] for item in stack.of("aws:msk/cluster:Cluster", region)
    }
    for name in sorted(brokers):
        yield here("broker-type", f"{name} for brokers", "none", (), checks.broker_type, name, region)
    if pools := _node_pools(stack, region):
        yield here(
            "node-types",
            "instance types for the node pools in each zone",
            "ec2",
            "DescribeInstanceTypeOfferings",
            checks.instance_types,
            {name: pool.needs for name, pool in pools.items()},
            zones,
        )
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


@dataclass(frozen=True)
class _NodePool:
    """What a node pool asks for."""

    needs: Mapping[str, Sequence[str]]
    """`category`, `arch` and `generation` of its instances."""
    capacity: Sequence[str]
    """`on-demand`, `spot`, or both."""
    vcpus: int
    """Its limit."""


def _node_pools(stack: Stack, region: str) -> dict[str, _NodePool]:
    """Name of a node pool → what it asks for. Each region has the same ones, so those of any are used."""
    if not stack.of("aws:eks/cluster:Cluster", region):
        return {}
    found: dict[str, _NodePool] = {}
    for item in stack.of("kubernetes:karpenter.sh/v1:NodePool"):
        spec = item["spec"]
        values = {need["key"]: need["values"] for need in spec["template"]["spec"]["requirements"]}
        found[item["metadata"]["name"]] = _NodePool(
            needs={
                name: values[key]
                for name, key in (
                    ("category", "eks.amazonaws.com/instance-category"),
                    ("arch", "kubernetes.io/arch"),
                    ("generation", "eks.amazonaws.com/instance-generation"),
                )
                if key in values
            },
            capacity=values.get("karpenter.sh/capacity-type", ("on-demand",)),
            vcpus=int(spec.get("limits", {}).get("cpu", 0)),
        )
    return found


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
        parameters = [item["name"] for item in group["parameters"]]
        yield here(
            "cache-parameters",
            f"parameters of {group['family']}",
            "elasticache",
            "DescribeEngineDefaultParameters",
            checks.cache_parameters,
            group["family"],
            parameters,
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
    vpc = next((item.existing_vpc for item in stack.settings.regions if item.name == region), None)
    yield here(
        "interface-endpoints",
        f"{endpoints} interface endpoints in a VPC",
        "service-quotas",
        "GetServiceQuota",
        checks.interface_endpoints,
        clients("ec2", region),
        vpc.id if vpc else None,
        endpoints,
        stack.platform,
        also=("ec2:DescribeVpcEndpoints",),
    )
    rules = _most_rules(stack, region)
    yield here(
        "security-group-rules",
        f"{rules} inbound or outbound rules in a security group",
        "service-quotas",
        "GetServiceQuota",
        checks.quota,
        "vpc",
        "L-0EA8095F",
        rules,
        "rules per security group",
    )
    yield from _vcpus(stack, region, clients)
    functions = stack.of("aws:lambda/function:Function", region)
    reserved = sum(item.get("reservedConcurrentExecutions") or 0 for item in functions)
    known = [item["name"] for item in functions if isinstance(item.get("name"), str)]
    yield here(
        "lambda-concurrency",
        f"{reserved} executions to reserve",
        "lambda",
        ("GetAccountSettings", "GetFunctionConcurrency"),
        checks.concurrency,
        reserved,
        known,
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
    yield _log_policies(stack, region)


def _vcpus(stack: Stack, region: str, clients: NewClient) -> Iterator[Question]:
    """About the vCPUs of the nodes, which are the first quota of a new account that a deployment reaches."""
    pools = _node_pools(stack, region)
    zones = next(len(item.availability_zones) for item in stack.settings.regions if item.name == region)
    for (cluster,) in stack.values("aws:eks/cluster:Cluster", region, "name"):
        for kind, code in (("on-demand", checks.ON_DEMAND_QUOTA), ("spot", checks.SPOT_QUOTA)):
            ours = [pool for pool in pools.values() if kind in pool.capacity]
            if not ours:
                continue
            most = sum(pool.vcpus for pool in ours)
            spread = len(ours) * zones * _LEAST_VCPUS
            need = min(max(_pod_vcpus(stack, kind == "spot"), spread), most)
            yield ask(
                f"{kind}-vcpus",
                f"{need} vCPUs of {kind} capacity",
                "ec2",
                "DescribeInstances",
                checks.vcpus,
                clients("service-quotas", region),
                code,
                need,
                most,
                cluster,
                region=region,
                named=True,
                also=("servicequotas:GetServiceQuota",),
            )


_LEAST_VCPUS = 2
"""vCPUs of the smallest node, as an estimate: `large`, the smallest size of most families. Pods are spread
over all zones, so each pool has a node in each."""


def _pod_vcpus(stack: Stack, is_spot: bool) -> int:
    """The CPUs that all services' pods request at their maximum."""
    cores = [
        service.replicas.max * (float(cpu[:-1]) / 1000 if cpu.endswith("m") else float(cpu))
        for service in stack.settings.services
        for cpu in [service.cpu]
        if service.spot == is_spot
    ]
    return math.ceil(sum(cores))


def _log_policies(stack: Stack, region: str) -> Question:
    policies = [
        item["policyName"] for item in stack.of("aws:cloudwatch/logResourcePolicy:LogResourcePolicy", region)
    ]
    return ask(
        "log-policies",
        f"room for {len(policies)} resource policies of CloudWatch Logs",
        "logs",
        "DescribeResourcePolicies",
        checks.log_policies,
        policies,
        region=region,
        named=True,
    )


def _edge(stack: Stack) -> Iterator[Question]:
    """About the region of what CloudFront uses, for a stack that has no other resources there."""
    yield from _rule_groups(stack, EDGE_REGION)
    yield _alarms(stack, EDGE_REGION)
    yield _log_policies(stack, EDGE_REGION)
    yield from _names(stack, EDGE_REGION)


def _alarms(stack: Stack, region: str) -> Question:
    alarms = stack.names("name", "aws:cloudwatch/metricAlarm:MetricAlarm", region)
    alarms |= stack.names("alarmName", "aws:cloudwatch/compositeAlarm:CompositeAlarm", region)
    return ask(
        "alarms",
        f"room for {len(alarms)} alarms",
        "cloudwatch",
        "DescribeAlarms",
        checks.alarms,
        alarms,
        region=region,
        named=True,
    )


def _monitoring_quotas(stack: Stack, region: str) -> Iterator[Question]:
    here = functools.partial(ask, region=region, named=True)
    yield _alarms(stack, region)
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
    """The rules, in one direction, of the security group that has most. A prefix list counts with its
    weight."""
    rules: dict[tuple[str, str], int] = defaultdict(int)
    for item in stack.resources:
        if item["type"] in _RULES and region_of(item, stack.known) == region:
            group = str(item.get("propertyDependencies", {}).get("securityGroupId"))
            listed = "prefixListId" in item.get("inputs", {})
            rules[item["type"], group] += CLOUDFRONT_PREFIX_LIST_WEIGHT if listed else 1
    return max(rules.values(), default=0)


_RULES = (
    "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule",
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule",
)


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
        networks = stack.settings.cluster.public_access_cidrs
        yield here("endpoint", f"a way to {name}", "eks", "DescribeCluster", checks.endpoint, name, networks)
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
    yield from names.questions(stack, region)


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
