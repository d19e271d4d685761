"""What an account must have before a deployment. Each function asks one client of boto3.

The names and forms of requests and responses are those of botocore's service models.
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from account import dns, prepared
from account.hosted_zone import public_zone, public_zones
from account.question import Answer, Client, judged, pages, passed, taken, unless
from report.planned import AUTO_NAME
from settings.aws_limits import ALARMS, LOG_POLICIES, UNSUPPORTED_ZONES

ON_DEMAND_QUOTA = "L-1216C47A"
"""Code of the quota "Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances" in Service Quotas, in
vCPUs. A new account has 5 (AWS CLI User Guide, "Service Quotas examples using AWS CLI",
`get-aws-default-service-quota`, read 2026-11-27)."""
SPOT_QUOTA = "L-34B43A08"
"""Code of the quota "All Standard (A, C, D, H, I, M, R, T, Z) Spot Instance Requests" in Service Quotas, in
vCPUs (quota monitors in public repositories agree on it, read 2026-11-27; AWS's documents name only the
quota)."""
_STANDARD = re.compile(r"(a|c|d|h|i|im|is|m|r|t|z)\d")
"""Instance types that count for these quotas."""
ROLES_QUOTA = "L-FE177D64"
"""Code of the quota "Roles per account" in Service Quotas (IAM User Guide, "IAM and AWS STS quotas")."""
VPCS_QUOTA = "L-F678F1CE"
"""Code of the quota "VPCs per Region" in Service Quotas (VPC User Guide, "Amazon VPC quotas", whose link to
Service Quotas has it)."""


# -- the account and its regions -----------------------------------------------------------------------


def identity(sts: Client) -> Answer:
    """Someone other than the root user signs the requests."""
    arn = sts.get_caller_identity()["Arn"]
    if arn.endswith(":root"):
        return Answer("fail", arn, "sign in as a role: nothing limits the root user")
    return passed(arn)


def regions(ec2: Client, wanted: Sequence[str]) -> Answer:
    """The account may use the regions."""
    known = {
        item["RegionName"]: item["OptInStatus"] for item in ec2.describe_regions(AllRegions=True)["Regions"]
    }
    off = [
        f"{name} is {known.get(name, 'unknown')}"
        for name in wanted
        if known.get(name) in (None, "not-opted-in")
    ]
    return judged(off, ", ".join(wanted), "enable the regions in the account's settings")


def zones(ec2: Client, wanted: Sequence[str]) -> Answer:
    """The zones exist, work, and have everything that the platform puts into each."""
    found = {item["ZoneName"]: item for item in ec2.describe_availability_zones()["AvailabilityZones"]}
    problems: list[str] = []
    for name in wanted:
        if name not in found:
            problems.append(f"{name} doesn't exist")
        elif found[name]["State"] != "available":
            problems.append(f"{name} is {found[name]['State']}")
        elif lacking := _lacking(found[name]["ZoneId"]):
            problems.append(f"{name} is {found[name]['ZoneId']}, which lacks {' and '.join(lacking)}")
    others = sorted(
        name for name, item in found.items() if name not in wanted and not _lacking(item["ZoneId"])
    )
    text = ", ".join(f"{name} ({found[name]['ZoneId']})" for name in wanted if name in found)
    return judged(problems, text, f"name other zones in `regions`, such as {', '.join(others) or 'none'}")


def _lacking(zone: str) -> list[str]:
    """What the platform needs in each zone, and a zone doesn't have."""
    return [service for service, zones in UNSUPPORTED_ZONES.items() if zone in zones]


def hosted_zone(route53: Client, name: str) -> Answer:
    """Exactly one public hosted zone has the name."""
    found = public_zones(route53, name)
    if len(found) == 1:
        return passed(found[0])
    return Answer(
        "fail",
        f"{len(found)} public hosted zones are named {name}",
        "create the zone, and delegate to it from its parent zone"
        if not found
        else "delete the unused zones",
    )


def delegation(route53: Client, name: str) -> Answer:
    """The parent of a hosted zone delegates to it: everybody's name servers answer with the zone's own."""
    zone = route53.get_hosted_zone(Id=public_zone(route53, name))
    own = {server.rstrip(".") for server in zone["DelegationSet"]["NameServers"]}
    try:
        found = dns.name_servers(name)
    except OSError as error:
        return Answer("unknown", f"no name server answers here: {error}", f"run `dig NS {name}` elsewhere")
    if found and found <= own:
        return passed(f"{name} has {', '.join(sorted(found))}")
    return Answer(
        "fail",
        f"{name} has the name servers {', '.join(sorted(found)) or 'none'}, and the hosted zone has "
        f"{', '.join(sorted(own))}",
        f"at the registrar or in the parent zone, set the NS records of {name} to the hosted zone's",
    )


# -- what is on offer ------------------------------------------------------------------------------------


def database_version(rds: Client, engine: str, version: str, is_global: bool) -> Answer:
    """The region has the engine's version, also for a global database if there is one."""
    found = rds.describe_db_engine_versions(Engine=engine, EngineVersion=version)["DBEngineVersions"]
    problems = [] if found else [f"{engine} {version} is not on offer"]
    if found and is_global and not found[0].get("SupportsGlobalDatabases"):
        problems.append(f"{engine} {version} supports no global database")
    return judged(problems, f"{engine} {version}", "set `database.engineVersion` to a version on offer")


def database_class(rds: Client, engine: str, version: str, name: str, wanted: Sequence[str]) -> Answer:
    """Each zone has the instance class."""
    offered = {
        zone["Name"]
        for option in pages(
            rds,
            "describe_orderable_db_instance_options",
            "OrderableDBInstanceOptions",
            Engine=engine,
            EngineVersion=version,
            DBInstanceClass=name,
        )
        for zone in option["AvailabilityZones"]
    }
    problems = [f"{zone} has no {name}" for zone in wanted if zone not in offered]
    return judged(
        problems, f"{name} in {', '.join(wanted)}", "set `database.instanceClass` to a class on offer"
    )


def cache_version(elasticache: Client, engine: str, version: str) -> Answer:
    """The region has the cache's engine version."""
    found = elasticache.describe_cache_engine_versions(Engine=engine)["CacheEngineVersions"]
    offered = sorted(item["EngineVersion"] for item in found)
    has = any(item == version or item.startswith(f"{version}.") for item in offered)
    problems = [] if has else [f"{engine} {version} is not among {', '.join(offered)}"]
    return judged(problems, f"{engine} {version}", "set `cache.engineVersion` to a version on offer")


def cache_node(elasticache: Client, name: str) -> Answer:
    """The region has the node type. AWS lists node types only with their reservations."""
    found = elasticache.describe_reserved_cache_nodes_offerings(CacheNodeType=name)
    if found["ReservedCacheNodesOfferings"]:
        return passed(name)
    return Answer(
        "unknown", f"{name} has no reservations, which is the only list", "look it up in the console"
    )


def instance_types(
    ec2: Client, pools: Mapping[str, Mapping[str, Sequence[str]]], wanted: Sequence[str]
) -> Answer:
    """Each zone has an instance type for each node pool.

    Args:
        ec2: the client.
        pools: name of a node pool → `category`, `arch` and the lowest `generation` of its instances.
        wanted: the zones.
    """
    offered: dict[str, set[str]] = {zone: set() for zone in wanted}
    for item in pages(
        ec2,
        "describe_instance_type_offerings",
        "InstanceTypeOfferings",
        LocationType="availability-zone",
        Filters=[{"Name": "location", "Values": list(wanted)}],
    ):
        if item["Location"] in offered:
            offered[item["Location"]].add(item["InstanceType"])
    problems = [
        f"{zone} has no instance type for the node pool {pool}"
        for pool, needs in pools.items()
        for zone, types in offered.items()
        if not any(_suits(name, needs) for name in types)
    ]
    return judged(
        problems, f"{len(pools)} node pools in {', '.join(wanted)}", "name other zones in `regions`"
    )


def _suits(name: str, needs: Mapping[str, Sequence[str]]) -> bool:
    """Whether an instance type is one of a node pool's. A `g` after the generation stands for Graviton (EC2
    User Guide, "Amazon EC2 instance type naming conventions", read 2026-11-27)."""
    found = re.match(r"([a-z]+)(\d+)(g?)", name)
    if not found:
        return False
    category, generation, graviton = found.groups()
    return (
        category in needs.get("category", (category,))
        and ("arm64" if graviton else "amd64") in needs.get("arch", ("amd64", "arm64"))
        and all(int(generation) > int(least) for least in needs.get("generation", ()))
    )


def broker_type(_: Client, name: str, region: str) -> Answer:
    """The region has the type of the brokers, of which AWS has no list for programs."""
    return Answer(
        "unknown",
        f"no API lists the broker types of {region}",
        f"look for {name} in {region} on the pricing page of Amazon MSK, or in the console, *Create cluster*",
    )


def kafka_version(kafka: Client, version: str) -> Answer:
    """The region has the version of Kafka."""
    found = {item["Version"]: item["Status"] for item in pages(kafka, "list_kafka_versions", "KafkaVersions")}
    problems = (
        [] if found.get(version) == "ACTIVE" else [f"{version} is {found.get(version, 'not on offer')}"]
    )
    return judged(problems, version, "set `streaming.kafkaVersion` to a version on offer")


def kubernetes_version(eks: Client, version: str) -> Answer:
    """The region has the version of Kubernetes, in standard or extended support."""
    found = eks.describe_cluster_versions(clusterVersions=[version])["clusterVersions"]
    status = found[0].get("versionStatus", "") if found else "not on offer"
    problems = [] if status in ("STANDARD_SUPPORT", "EXTENDED_SUPPORT") else [f"{version} is {status}"]
    return judged(problems, f"{version}: {status}", "set `cluster.version` to a version on offer")


def addon(eks: Client, name: str, version: str, kubernetes: str) -> Answer:
    """The region has the add-on's build for the cluster's version."""
    offered = [
        item["addonVersion"]
        for entry in pages(
            eks, "describe_addon_versions", "addons", addonName=name, kubernetesVersion=kubernetes
        )
        for item in entry["addonVersions"]
    ]
    problems = (
        [] if version in offered else [f"{name} {version} is not among {', '.join(offered[:3]) or 'any'}"]
    )
    return judged(problems, f"{name} {version}", "set `cluster.addons` to a build on offer")


def canary_runtime(synthetics: Client, name: str) -> Answer:
    """The region has the canary's runtime, and AWS still supports it."""
    found = {item["VersionName"]: item for item in _pages_of_runtimes(synthetics)}
    if name not in found:
        return Answer("fail", f"{name} is not on offer", "update the project: the canary's runtime is pinned")
    end = found[name].get("DeprecationDate")
    problems = [f"{name} is deprecated since {end:%Y-%m-%d}"] if end and end <= datetime.now(UTC) else []
    return judged(problems, name, "update the project: the canary's runtime is pinned")


def _pages_of_runtimes(synthetics: Client) -> Iterator[Any]:
    token: dict[str, str] = {}
    while True:
        page = synthetics.describe_runtime_versions(**token)
        yield from page["RuntimeVersions"]
        if "NextToken" not in page:
            return
        token = {"NextToken": page["NextToken"]}


def rule_groups(wafv2: Client, scope: str, wanted: Sequence[str]) -> Answer:
    """AWS WAF has the managed rule groups."""
    offered: set[str] = set()
    token: dict[str, str] = {}
    while True:
        page = wafv2.list_available_managed_rule_groups(Scope=scope, **token)
        offered |= {item["Name"] for item in page["ManagedRuleGroups"]}
        if "NextMarker" not in page:
            break
        token = {"NextMarker": page["NextMarker"]}
    problems = [f"{name} is not on offer" for name in wanted if name not in offered]
    return judged(problems, ", ".join(wanted), "update the project: the rule groups are pinned")


# -- parameter groups ------------------------------------------------------------------------------------


def database_parameters(rds: Client, of: str, family: str, wanted: Mapping[str, str]) -> Answer:
    """The parameters exist, can be set, and take effect as the program says.

    Args:
        rds: the client.
        of: `cluster` or `instance`.
        family: the parameter group's family.
        wanted: name of a parameter → its apply method.
    """
    arguments: dict[str, str] = {"DBParameterGroupFamily": family}
    known: dict[str, Any] = {}
    ask = (
        rds.describe_engine_default_cluster_parameters
        if of == "cluster"
        else rds.describe_engine_default_parameters
    )
    while True:
        page = ask(**arguments)["EngineDefaults"]
        known |= {item["ParameterName"]: item for item in page.get("Parameters", ())}
        if not page.get("Marker"):
            break
        arguments["Marker"] = page["Marker"]
    problems: list[str] = []
    for name, method in wanted.items():
        if name not in known:
            problems.append(f"{name} doesn't exist in {family}")
        elif not known[name].get("IsModifiable", False):
            problems.append(f"{name} can't be modified")
        elif known[name].get("ApplyType") == "static" and method == "immediate":
            problems.append(f"{name} is static, so it can't be set with `immediate`")
    remedy = "correct `components/database/parameters.py` and `settings/aws_parameters.json`"
    return judged(problems, f"{len(wanted)} parameters of {family}", remedy)


def cache_parameters(elasticache: Client, family: str, wanted: Iterable[str]) -> Answer:
    """The cache's parameters exist and can be set."""
    known = {
        item["ParameterName"]: item
        for page in elasticache.get_paginator("describe_engine_default_parameters").paginate(
            CacheParameterGroupFamily=family
        )
        for item in page["EngineDefaults"].get("Parameters", ())
    }
    names = list(wanted)
    problems = [
        f"{name} can't be modified" if name in known else f"{name} doesn't exist in {family}"
        for name in names
        if not known.get(name, {}).get("IsModifiable", False)
    ]
    return judged(problems, f"{len(names)} parameters of {family}", "correct `components/service/cache.py`")


# -- quotas ----------------------------------------------------------------------------------------------


def quota(quotas: Client, service: str, code: str, need: int, what: str) -> Answer:
    """A quota of the account is at least what the stack needs."""
    found = int(quotas.get_service_quota(ServiceCode=service, QuotaCode=code)["Quota"]["Value"])
    text = f"{found} {what}, and the stack needs {need}"
    return Answer("fail", text, _increase(service, code, need)) if found < need else passed(text)


def _increase(service: str, code: str, need: int) -> str:
    """The command that asks for a higher quota."""
    return (
        f"aws service-quotas request-service-quota-increase --service-code {service} --quota-code {code} "
        f"--desired-value {need}"
    )


def vcpus(ec2: Client, quotas: Client, code: str, need: int, most: int, cluster: str) -> Answer:
    """The region has room for the nodes' vCPUs, in addition to those of others.

    Args:
        ec2: the client.
        quotas: a client of Service Quotas.
        code: the quota of On-Demand or of Spot capacity.
        need: vCPUs of all pods at their maximum.
        most: the limits of the node pools, in vCPUs.
        cluster: the cluster whose own nodes don't count.
    """
    quota = int(quotas.get_service_quota(ServiceCode="ec2", QuotaCode=code)["Quota"]["Value"])
    is_spot = code == SPOT_QUOTA
    others = sum(
        item["CpuOptions"]["CoreCount"] * item["CpuOptions"]["ThreadsPerCore"]
        for reservation in pages(ec2, "describe_instances", "Reservations")
        for item in reservation["Instances"]
        if item["State"]["Name"] in ("pending", "running")
        and (item.get("InstanceLifecycle") == "spot") == is_spot
        and _STANDARD.match(item["InstanceType"])
        and {"Key": "eks:eks-cluster-name", "Value": cluster} not in item.get("Tags", [])
    )
    text = (
        f"others use {others} of {quota} vCPUs, and the stack's pods need up to {need} (the node pools end "
        f"at {most})"
    )
    if others + need <= quota:
        return passed(text)
    return Answer("fail", text, _increase("ec2", code, others + need))


def interface_endpoints(quotas: Client, ec2: Client, vpc: str | None, need: int, platform: str) -> Answer:
    """A VPC has room for the stack's interface endpoints, beside those that an existing VPC has.

    Args:
        quotas: the client of Service Quotas.
        ec2: a client for the endpoints.
        vpc: the id of an existing VPC; None for a new one.
        need: the stack's endpoints.
        platform: the tag of the stack's own endpoints.
    """
    code = "L-29B6F2EB"
    quota = int(quotas.get_service_quota(ServiceCode="vpc", QuotaCode=code)["Quota"]["Value"])
    ours = {"Key": "platform", "Value": platform}
    filters = [{"Name": "vpc-id", "Values": [vpc]}, {"Name": "vpc-endpoint-type", "Values": ["Interface"]}]
    found = pages(ec2, "describe_vpc_endpoints", "VpcEndpoints", Filters=filters) if vpc else ()
    others = sum(ours not in item.get("Tags", []) for item in found)
    text = f"others have {others} of {quota} interface endpoints per VPC, and the stack needs {need}"
    if others + need <= quota:
        return passed(text)
    return Answer("fail", text, _increase("vpc", code, others + need))


def named_quotas(quotas: Client, service: str, needs: Mapping[str, int]) -> Answer:
    """The quotas of a service, which Service Quotas lists by name, are at least what the stack needs."""
    found = {
        item["QuotaName"]: item
        for item in pages(quotas, "list_service_quotas", "Quotas", ServiceCode=service)
    }
    text = ", ".join(
        f"{found[name]['Value']:.0f} {name} ({need} needed)" for name, need in needs.items() if name in found
    )
    low = [name for name, need in needs.items() if name in found and found[name]["Value"] < need]
    if low:
        requests = (_increase(service, found[name]["QuotaCode"], needs[name]) for name in low)
        return Answer("fail", text, "; ".join(requests))
    absent = [name for name in needs if name not in found]
    if absent:
        return Answer(
            "unknown",
            f"Service Quotas doesn't list {', '.join(absent)}",
            f"look up the quotas of {service} in the console: the stack needs "
            f"{', '.join(str(needs[name]) for name in absent)}",
        )
    return passed(text)


def networks(ec2: Client, quotas: Client, need: int, platform: str) -> Answer:
    """The region has room for the stack's VPC, in addition to those of others."""
    most = int(quotas.get_service_quota(ServiceCode="vpc", QuotaCode=VPCS_QUOTA)["Quota"]["Value"])
    ours = {"Key": "platform", "Value": platform}
    others = sum(ours not in item.get("Tags", []) for item in pages(ec2, "describe_vpcs", "Vpcs"))
    text = f"others have {others} of {most} VPCs, and the stack needs {need}"
    if others + need <= most:
        return passed(text)
    return Answer("fail", text, _increase("vpc", VPCS_QUOTA, others + need))


def alarms(cloudwatch: Client, names: Collection[str]) -> Answer:
    """The region has room for the stack's alarms, in addition to those of others.

    Args:
        cloudwatch: the client.
        names: the names of the stack's alarms, without what the provider appends.
    """
    others = 0
    for page in cloudwatch.get_paginator("describe_alarms").paginate(
        AlarmTypes=["MetricAlarm", "CompositeAlarm"]
    ):
        found = [*page.get("MetricAlarms", ()), *page.get("CompositeAlarms", ())]
        others += sum(AUTO_NAME.sub("", item["AlarmName"]) not in names for item in found)
    text = f"others have {others} alarms, and the stack needs {len(names)}"
    if others + len(names) <= ALARMS:
        return passed(text)
    return Answer(
        "unknown",
        f"{text}, but a region has {ALARMS} by default, and Service Quotas doesn't list what yours has",
        "delete unused alarms, or ask AWS Support for a higher quota",
    )


def free_addresses(ec2: Client, need: int, platform: str) -> Answer:
    """The account has elastic IP addresses left, in addition to those of others."""
    attribute = "vpc-max-elastic-ips"
    attributes = {
        item["AttributeName"]: item["AttributeValues"][0]["AttributeValue"]
        for item in ec2.describe_account_attributes(AttributeNames=[attribute])["AccountAttributes"]
    }
    most = int(attributes[attribute])
    ours = {"Key": "platform", "Value": platform}
    others = sum(ours not in item.get("Tags", []) for item in ec2.describe_addresses()["Addresses"])
    text = f"others use {others} of {most} addresses, and the stack needs {need}"
    if others + need <= most:
        return passed(text)
    return Answer("fail", text, _increase("ec2", "L-0263D0A3", others + need))


def concurrency(client: Client, reserved: int, functions: Collection[str]) -> Answer:
    """Lambda can reserve the concurrency, and keep 100 executions for all other functions."""
    limit = client.get_account_settings()["AccountLimit"]
    total, free = limit["ConcurrentExecutions"], limit["UnreservedConcurrentExecutions"]
    ours = 0
    for name in functions:
        found = unless(
            "ResourceNotFoundException",
            lambda name=name: client.get_function_concurrency(FunctionName=name),
        )
        ours += found.get("ReservedConcurrentExecutions", 0) if found else 0
    text = f"{free + ours} of {total} executions are unreserved, and the stack reserves {reserved}"
    if free + ours - reserved >= _UNRESERVED:
        return passed(text)
    need = total - free - ours + reserved + _UNRESERVED
    return Answer(
        "fail",
        f"{text}, but {_UNRESERVED} must remain",
        _increase("lambda", "L-B99A9384", need),
    )


_UNRESERVED = 100
"""Executions that can't be reserved (Lambda Developer Guide, "Configuring reserved concurrency for a
function")."""


def roles(iam: Client, names: Collection[str]) -> Answer:
    """The account has room for the stack's roles, in addition to those of others.

    Args:
        iam: the client.
        names: the names of the stack's roles, without what the provider appends.
    """
    summary = iam.get_account_summary()["SummaryMap"]
    others, most, need = summary["Roles"], summary["RolesQuota"], len(names)
    if others + need > most:  # the stack's own roles may be among them
        others -= sum(
            AUTO_NAME.sub("", item["RoleName"]) in names for item in pages(iam, "list_roles", "Roles")
        )
    text = f"others have {others} of {most} roles, and the stack needs {need}"
    if others + need > most:
        return Answer(
            "fail",
            text,
            f"delete unused roles, or request more: {_increase('iam', ROLES_QUOTA, others + need)}",
        )
    return passed(text)


def log_policies(logs: Client, names: Collection[str]) -> Answer:
    """CloudWatch Logs has room for the stack's resource policies."""
    others = [
        item["policyName"]
        for item in pages(logs, "describe_resource_policies", "resourcePolicies")
        if not item["policyName"].startswith(tuple(names))
    ]
    text = f"{len(others)} other resource policies exist, and the stack needs {len(names)}"
    if len(others) + len(names) > LOG_POLICIES:
        return Answer(
            "fail", f"{text}, but only {LOG_POLICIES} are possible", "delete unused resource policies"
        )
    return passed(text)


# -- names that would collide ----------------------------------------------------------------------------


def cluster_name(eks: Client, name: str, platform: str) -> Answer:
    """No other cluster has the name."""
    found = unless("ResourceNotFoundException", lambda: eks.describe_cluster(name=name))
    if found is None:
        return passed(f"{name} is free")
    return _owner(name, found["cluster"].get("tags", {}).get("platform"), platform)


def database_name(rds: Client, name: str, platform: str) -> Answer:
    """No other database has the name."""
    found = unless("DBClusterNotFoundFault", lambda: rds.describe_db_clusters(DBClusterIdentifier=name))
    if found is None:
        return passed(f"{name} is free")
    (cluster,) = found["DBClusters"]
    tags = {tag["Key"]: tag["Value"] for tag in cluster.get("TagList", [])}
    return _owner(name, tags.get("platform"), platform)


def log_groups(logs: Client, names: Collection[str], platform: str) -> Answer:
    """No log group has one of the names, unless it is the stack's own. EKS creates that of a cluster again if
    it writes a log after the deletion."""
    foreign: dict[str, str | None] = {}
    for name in names:
        for item in pages(logs, "describe_log_groups", "logGroups", logGroupNamePrefix=name):
            if item["logGroupName"] == name:
                tags = logs.list_tags_for_resource(resourceArn=item["arn"].removesuffix(":*")).get("tags", {})
                if tags.get("platform") != platform:
                    foreign[name] = tags.get("platform")
    return judged(
        [taken(name, owner) for name, owner in foreign.items()],
        f"{len(names)} names are free or this stack's own",
        "delete the log groups, or import them into the stack",
    )


def _owner(name: str, owner: str | None, platform: str) -> Answer:
    if owner == platform:
        return passed(f"{name} is this stack's own")
    return Answer(
        "fail",
        taken(name, owner),
        "choose another `environment`, or import the resource into the stack",
    )


def login_domain(cognito: Client, domain: str, account: str) -> Answer:
    """No other account has the user pool's domain."""
    found = cognito.describe_user_pool_domain(Domain=domain)["DomainDescription"]
    owner = found.get("AWSAccountId")
    if owner in (None, account):
        return passed(f"{domain} is {'ours' if owner else 'free'}")
    return Answer("fail", f"{domain} belongs to account {owner}", "choose another `domain.host`")


def endpoint(eks: Client, name: str, networks: Sequence[str]) -> Answer:
    """The cluster's API can be reached from here: Kubernetes objects are deployed through it.

    Args:
        eks: the client.
        name: the cluster's name.
        networks: the networks that may reach the public endpoint; none for a private one.
    """
    examples = [network for network in networks if _is_example(network)]
    if examples:
        return Answer(
            "fail",
            f"`cluster.publicAccessCidrs` has {', '.join(examples)}, which nobody has: it is an example of "
            "documentation",
            "set `cluster.publicAccessCidrs` to the network that you deploy from",
        )
    found = unless("ResourceNotFoundException", lambda: eks.describe_cluster(name=name))
    host = found["cluster"].get("endpoint", "").removeprefix("https://") if found else ""
    if not host:
        return _future_endpoint(name, networks)
    try:
        dns.connect(host)
    except OSError as error:
        return Answer(
            "fail",
            f"{host} can't be reached from here: {error}",
            "deploy from a network in `cluster.publicAccessCidrs`, or from the VPC of a private endpoint",
        )
    return passed(f"{host} accepts connections")


def _future_endpoint(name: str, networks: Sequence[str]) -> Answer:
    """Whether the endpoint of a cluster that doesn't exist yet will accept connections from here."""
    if not networks:
        return Answer(
            "unknown",
            f"{name} has no endpoint yet, and it will be private",
            "deploy from its VPC, or from a network that is peered with it",
        )
    try:
        address = ipaddress.ip_address(dns.public_address())
    except (OSError, ValueError) as error:
        return Answer(
            "unknown",
            f"{name} has no endpoint yet, and this machine's public address is unknown: {error}",
            f"see that it is in {', '.join(networks)} (`cluster.publicAccessCidrs`)",
        )
    if any(address in ipaddress.ip_network(network) for network in networks):
        return passed(f"{name} has no endpoint yet, and it will admit {address}")
    return Answer(
        "fail",
        f"{name} has no endpoint yet, and {', '.join(networks)} doesn't contain {address}, from which the "
        "internet sees this machine",
        "add the address to `cluster.publicAccessCidrs`, or deploy from one of these networks",
    )


def _is_example(network: str) -> bool:
    """Whether a network is in a block for documentation (RFC 5737)."""
    found = ipaddress.ip_network(network)
    return any(
        found.version == 4 and found.subnet_of(ipaddress.IPv4Network(block))
        for block in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24")
    )


# -- settings of the account -----------------------------------------------------------------------------


def backup_opt_in(backup: Client) -> Answer:
    """AWS Backup protects databases and tables, and tables with its own features."""
    found = backup.describe_region_settings()
    opted, managed = (
        found.get("ResourceTypeOptInPreference", {}),
        found.get("ResourceTypeManagementPreference", {}),
    )
    problems = [f"backups of {kind} are off" for kind in ("Aurora", "DynamoDB") if not opted.get(kind)]
    if not managed.get("DynamoDB"):
        problems.append("DynamoDB's backups have no features of AWS Backup")
    return judged(
        problems,
        "on for Aurora and DynamoDB",
        "aws backup update-region-settings --resource-type-opt-in-preference Aurora=true,DynamoDB=true "
        "--resource-type-management-preference DynamoDB=true",
    )


def session_duration(iam: Client, role: str | None, is_pipeline: bool, seconds: int) -> Answer:
    """The role of the pipelines allows sessions as long as they ask for.

    Args:
        iam: the client.
        role: the role that is asked about; None if the caller has none.
        is_pipeline: whether it is the pipelines' role. Another one needs no long session.
        seconds: the duration that the pipelines ask for.
    """
    by_hand = f"see that the role AWS_DEPLOY_ROLE_ARN of the pipelines allows {seconds} seconds"
    if role is None:
        return Answer("unknown", "the caller is no role, and the pipelines' role isn't known", by_hand)
    response = unless("NoSuchEntity", lambda: iam.get_role(RoleName=role))
    if response is None:
        return Answer("fail" if is_pipeline else "unknown", f"{role} doesn't exist", "see `pipeline-roles`")
    found = response["Role"].get("MaxSessionDuration", 3600)
    if found >= seconds:
        return passed(f"{role}: {found} seconds")
    text = f"{role} allows sessions of {found} seconds, and the pipelines ask for {seconds}"
    if not is_pipeline:
        return Answer("unknown", text, by_hand)
    return Answer("fail", text, f"aws iam update-role --role-name {role} --max-session-duration {seconds}")


def state_key(kms: Client, key: str) -> Answer:
    """The key of the secrets provider works."""
    found = unless("NotFoundException", lambda: kms.describe_key(KeyId=key))
    if found is None:
        return Answer(
            "fail",
            f"{key} doesn't exist in {kms.meta.region_name}",
            "correct `secretsprovider` in the stack file, or deploy the project `bootstrap`",
        )
    state = found["KeyMetadata"]["KeyState"]
    return judged([] if state == "Enabled" else [f"{key} is {state}"], f"{key} is {state}", "enable the key")


_BOOTSTRAP = "deploy the project `bootstrap`: docs/deployment.md has the commands"


def state_bucket(s3: Client, name: str) -> Answer:
    """The bucket with the states exists, keeps their versions, encrypts them with a key of KMS, and refuses
    the public and requests without TLS."""
    found = unless("NoSuchBucket", lambda: s3.get_bucket_versioning(Bucket=name))
    if found is None:
        return Answer("fail", f"{name} doesn't exist", _BOOTSTRAP)
    status = found.get("Status", "off")
    problems = [] if status == "Enabled" else [f"the versioning of {name} is {status}"]
    encryption = unless(
        "ServerSideEncryptionConfigurationNotFoundError", lambda: s3.get_bucket_encryption(Bucket=name)
    )
    rules: Sequence[Any] = encryption["ServerSideEncryptionConfiguration"]["Rules"] if encryption else ()
    kinds = [rule.get("ApplyServerSideEncryptionByDefault", {}).get("SSEAlgorithm") for rule in rules]
    if not any(str(kind).startswith("aws:kms") for kind in kinds):
        problems.append(f"{name} isn't encrypted with a key of KMS")
    block = unless("NoSuchPublicAccessBlockConfiguration", lambda: s3.get_public_access_block(Bucket=name))
    flags: Mapping[str, bool] = block["PublicAccessBlockConfiguration"] if block else {}
    if not (len(flags) == 4 and all(flags.values())):
        problems.append(f"{name} doesn't block public access")
    policy = unless("NoSuchBucketPolicy", lambda: s3.get_bucket_policy(Bucket=name))
    if policy is None or not _demands_tls(json.loads(policy["Policy"])):
        problems.append(f"{name} accepts requests without TLS")
    return judged(problems, f"{name} keeps versions, encrypted and private", _BOOTSTRAP)


def _demands_tls(policy: Mapping[str, Any]) -> bool:
    return any(
        statement["Effect"] == "Deny"
        and str(statement.get("Condition", {}).get("Bool", {}).get("aws:SecureTransport")).lower() == "false"
        for statement in policy["Statement"]
    )


def identity_provider(iam: Client, arn: str, audience: str) -> Answer:
    """The account trusts the issuer of the pipelines' tokens, for their audience."""
    found = unless("NoSuchEntity", lambda: iam.get_open_id_connect_provider(OpenIDConnectProviderArn=arn))
    if found is None:
        return Answer("fail", f"{arn} doesn't exist", _BOOTSTRAP)
    has = audience in found.get("ClientIDList", ())
    return judged([] if has else [f"{arn} lacks the audience {audience}"], arn, _BOOTSTRAP)


def pipeline_roles(iam: Client, wanted: Mapping[str, tuple[int, Collection[str]]]) -> Answer:
    """The roles of the pipelines exist, allow their sessions, and trust only their environment.

    Args:
        iam: the client.
        wanted: name of a role → duration of its sessions, in seconds, and the subjects of tokens that may
            assume it.
    """
    problems: list[str] = []
    for name, (seconds, subjects) in wanted.items():
        role = unless("NoSuchEntity", lambda name=name: iam.get_role(RoleName=name))
        if role is None:
            problems.append(f"{name} doesn't exist")
            continue
        if (found := role["Role"].get("MaxSessionDuration", 3600)) < seconds:
            problems.append(f"{name} allows sessions of {found} seconds, and the pipelines ask for {seconds}")
        trusted = _subjects(role["Role"].get("AssumeRolePolicyDocument", {}))
        if not trusted or not trusted <= set(subjects):
            problems.append(
                f"{name} trusts {', '.join(sorted(trusted)) or 'no pipeline'}, and not only "
                f"{', '.join(sorted(subjects)) or 'a repository in policy/ours.yaml'}"
            )
    return judged(
        problems, ", ".join(wanted), "add the stack to `stacks` of the project `bootstrap`, and deploy it"
    )


def _subjects(document: Any) -> set[str]:
    """The subjects of tokens that a trust policy admits, and principals without a subject."""
    # botocore decodes the document. Others, such as a stub, may leave it as text.
    policy = json.loads(document) if isinstance(document, str) else document
    found: set[str] = set()
    for statement in policy.get("Statement", ()):
        operators = statement.get("Condition", {}).values()
        subjects = [
            subject
            for operator in operators
            for key, values in operator.items()
            if key == f"{prepared.ISSUER}:sub"
            for subject in ([values] if isinstance(values, str) else values)
        ]
        found |= set(subjects) or {str(statement.get("Principal"))}
    return found


def linked_roles(iam: Client, services: Collection[str]) -> Answer:
    """The account has the service-linked roles that the stack's services use."""
    paths = {item["Path"] for item in pages(iam, "list_roles", "Roles", PathPrefix="/aws-service-role/")}
    absent = [name for name in services if f"/aws-service-role/{name}/" not in paths]
    return judged(
        [f"{name} has no service-linked role" for name in absent],
        f"{len(services)} service-linked roles",
        f"{_BOOTSTRAP}, or run "
        + "; ".join(f"aws iam create-service-linked-role --aws-service-name {name}" for name in absent),
    )


def disk_encryption(ec2: Client) -> Answer:
    """New disks are encrypted, also those for which nobody asks for it."""
    on = ec2.get_ebs_encryption_by_default()["EbsEncryptionByDefault"]
    return judged([] if on else ["new disks aren't encrypted by default"], "on", _BOOTSTRAP)


def cache_rules(ecr: Client, prefixes: Collection[str]) -> Answer:
    """The pull through cache rules of the stack's mirrors exist."""
    known = {
        item["ecrRepositoryPrefix"]
        for item in pages(ecr, "describe_pull_through_cache_rules", "pullThroughCacheRules")
    }
    absent = [name for name in prefixes if name not in known]
    if not absent:
        return passed(", ".join(sorted(prefixes)))
    return Answer(
        "unknown",
        f"no rule has the prefix {' or '.join(absent)}, so that only images are there that somebody copied",
        "add the prefix to `imageCache` of the project `bootstrap` and deploy it, or correct "
        "`cluster.imageMirrors`",
    )


def permissions_boundary(iam: Client, arn: str) -> Answer:
    """The policy exists that limits the stack's roles."""
    found = unless("NoSuchEntity", lambda: iam.get_policy(PolicyArn=arn))
    return judged(
        [f"{arn} doesn't exist"] if found is None else [],
        arn,
        "correct the account's number in `permissionsBoundary`, and deploy the project `bootstrap`",
    )


def api_logs_role(apigateway: Client) -> Answer:
    """API Gateway has a role with which it writes logs, because this stack doesn't set one."""
    role = apigateway.get_account().get("cloudwatchRoleArn")
    if role:
        return passed(role)
    return Answer(
        "fail",
        "API Gateway has no role for logs in this region, and stages with logging are refused",
        "add the region to the project `bootstrap` and deploy it, or set `api.manageAccount` to true",
    )


def existing_endpoints(ec2: Client, vpc: str, wanted: Sequence[str], platform: str) -> Answer:
    """An existing VPC has no interface endpoints with private DNS for services that get one."""
    found = pages(
        ec2, "describe_vpc_endpoints", "VpcEndpoints", Filters=[{"Name": "vpc-id", "Values": [vpc]}]
    )
    ours = {"Key": "platform", "Value": platform}
    problems = [
        f"{item['VpcEndpointId']} of {vpc} has private DNS for {item['ServiceName']}"
        for item in found
        if item.get("PrivateDnsEnabled")
        and item["ServiceName"] in wanted
        and ours not in item.get("Tags", [])
    ]
    remedy = "name the services in `existingVpc.interfaceEndpoints`"
    return judged(problems, f"none of {len(wanted)} in {vpc}", remedy)


def cost_tag(ce: Client, key: str) -> Answer:
    """The tag that budgets filter by is active in the bill."""
    found = ce.list_cost_allocation_tags(TagKeys=[key])["CostAllocationTags"]
    status = found[0]["Status"] if found else "not known to the bill"
    problems = [] if status == "Active" else [f"the tag {key} is {status}"]
    return judged(
        problems,
        f"{key} is active",
        f"activate the cost allocation tag {key} in the account that pays; it appears there a day after its "
        "first use",
    )


def shield(client: Client) -> Answer:
    """The account subscribes to Shield Advanced."""
    state = client.get_subscription_state()["SubscriptionState"]
    return judged(
        [] if state == "ACTIVE" else [f"the subscription is {state}"],
        "subscribed",
        "subscribe to Shield Advanced, or remove `web.shieldAdvanced`",
    )
