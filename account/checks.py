"""What an account must have before a deployment. Each function asks one client of boto3.

The names and forms of requests and responses are those of botocore's service models.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from account import dns
from account.hosted_zone import public_zones
from account.question import Answer, Client, judged, pages, passed, some, unless
from policy.rule import listed
from report.planned import AUTO_NAME
from settings.aws_limits import ALARMS, LOG_POLICIES, UNSUPPORTED_LINK_ZONES

ROLES_QUOTA = "L-FE177D64"
"""Code of the quota "Roles per account" in Service Quotas (IAM User Guide, "IAM and AWS STS quotas")."""
VPCS_QUOTA = "L-F678F1CE"
"""Code of the quota "VPCs per Region" in Service Quotas (VPC User Guide, "Amazon VPC quotas", whose link to
Service Quotas has it)."""

_SIMULATED = 50
"""Actions in one request of `SimulatePrincipalPolicy`."""


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
    problems = [
        f"{name} doesn't exist"
        if name not in found
        else f"{name} is {found[name]['State']}"
        if found[name]["State"] != "available"
        else f"{name} is {found[name]['ZoneId']}, where API Gateway has no VPC links"
        for name in wanted
        if name not in found
        or found[name]["State"] != "available"
        or found[name]["ZoneId"] in UNSUPPORTED_LINK_ZONES
    ]
    others = sorted(
        name
        for name, item in found.items()
        if name not in wanted and item["ZoneId"] not in UNSUPPORTED_LINK_ZONES
    )
    text = ", ".join(f"{name} ({found[name]['ZoneId']})" for name in wanted if name in found)
    return judged(problems, text, f"name other zones in `regions`, such as {', '.join(others) or 'none'}")


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
    zones = public_zones(route53, name)
    if len(zones) != 1:
        return Answer("unknown", f"{len(zones)} public hosted zones are named {name}", "see `hosted-zone`")
    own = {
        server.rstrip(".") for server in route53.get_hosted_zone(Id=zones[0])["DelegationSet"]["NameServers"]
    }
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
    foreign: dict[str, str] = {}
    for name in names:
        for item in pages(logs, "describe_log_groups", "logGroups", logGroupNamePrefix=name):
            if item["logGroupName"] == name:
                tags = logs.list_tags_for_resource(resourceArn=item["arn"].removesuffix(":*")).get("tags", {})
                if tags.get("platform") != platform:
                    foreign[name] = tags.get("platform", "nobody")
    return judged(
        [f"{name} exists, and belongs to {owner}" for name, owner in foreign.items()],
        f"{len(names)} names are free or this stack's own",
        "delete the log groups, or import them into the stack",
    )


def _owner(name: str, owner: str | None, platform: str) -> Answer:
    if owner == platform:
        return passed(f"{name} is this stack's own")
    return Answer(
        "fail",
        f"{name} exists, and belongs to {owner or 'nobody'}",
        "choose another `environment`, or import the resource into the stack",
    )


def login_domain(cognito: Client, domain: str, account: str) -> Answer:
    """No other account has the user pool's domain."""
    found = cognito.describe_user_pool_domain(Domain=domain)["DomainDescription"]
    owner = found.get("AWSAccountId")
    if owner in (None, account):
        return passed(f"{domain} is {'ours' if owner else 'free'}")
    return Answer("fail", f"{domain} belongs to account {owner}", "choose another `domain.host`")


def endpoint(eks: Client, name: str) -> Answer:
    """The cluster's API can be reached from here, if the cluster exists: Kubernetes objects are deployed
    through it."""
    found = unless("ResourceNotFoundException", lambda: eks.describe_cluster(name=name))
    if found is None:
        return passed(f"{name} doesn't exist yet")
    host = found["cluster"].get("endpoint", "").removeprefix("https://")
    if not host:
        return passed(f"{name} has no endpoint yet")
    try:
        dns.connect(host)
    except OSError as error:
        return Answer(
            "fail",
            f"{host} can't be reached from here: {error}",
            "deploy from a network in `cluster.publicAccessCidrs`, or from the VPC of a private endpoint",
        )
    return passed(f"{host} accepts connections")


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


def service_linked_role(iam: Client, name: str, service: str) -> Answer:
    """The account has the service-linked role."""
    found = unless("NoSuchEntity", lambda: iam.get_role(RoleName=name))
    return judged(
        [f"{name} doesn't exist"] if found is None else [],
        name,
        f"aws iam create-service-linked-role --aws-service-name {service}",
    )


def session_duration(iam: Client, role: str | None, seconds: int) -> Answer:
    """The role that deploys allows sessions as long as the pipelines ask for."""
    if role is None:
        return passed("the caller is no role")
    found = iam.get_role(RoleName=role)["Role"].get("MaxSessionDuration", 3600)
    if found < seconds:
        return Answer(
            "fail",
            f"{role} allows sessions of {found} seconds, and the pipelines ask for {seconds}",
            f"aws iam update-role --role-name {role} --max-session-duration {seconds}",
        )
    return passed(f"{role}: {found} seconds")


def permissions(iam: Client, principal: str, statements: Sequence[Mapping[str, Any]]) -> Answer:
    """The role that deploys may do what the generated policies allow."""
    denied: list[str] = []
    allowing = [statement for statement in statements if statement["Effect"] == "Allow"]
    for statement in allowing:
        context = [
            {"ContextKeyName": key, "ContextKeyType": "string", "ContextKeyValues": [value]}
            for key, value in _fulfilled(statement.get("Condition", {})).items()
        ]
        resource = statement["Resource"][0].replace("*", "x") if statement["Resource"] != ["*"] else "*"
        actions = statement["Action"]
        for start in range(0, len(actions), _SIMULATED):
            denied += [
                item["EvalActionName"]
                for item in pages(
                    iam,
                    "simulate_principal_policy",
                    "EvaluationResults",
                    PolicySourceArn=principal,
                    ActionNames=actions[start : start + _SIMULATED],
                    ResourceArns=[resource],
                    ContextEntries=context,
                )
                if item["EvalDecision"] != "allowed"
            ]
    count = sum(len(statement["Action"]) for statement in allowing)
    return judged(
        [f"{len(denied)} of {count} actions are denied: {some(denied, 5)}"] if denied else [],
        f"{count} actions are allowed",
        "attach the policies that `make deployer-policy` prints",
    )


def _fulfilled(condition: Mapping[str, Any]) -> dict[str, str]:
    """Keys and values of a request that fulfils a condition of the generated policies: those that it equals,
    and any value for a key that must be there."""
    present = {key: "any" for key, absent in condition.get("Null", {}).items() if absent == "false"}
    equal = condition.get("StringEquals", {})
    return {**present, **{key: str(listed(value)[0]) for key, value in equal.items()}}


def state_key(kms: Client, key: str) -> Answer:
    """The key of the secrets provider works."""
    state = kms.describe_key(KeyId=key)["KeyMetadata"]["KeyState"]
    return judged([] if state == "Enabled" else [f"{key} is {state}"], f"{key} is {state}", "enable the key")


def state_bucket(s3: Client, name: str) -> Answer:
    """The bucket with the states exists, and keeps their versions."""
    remedy = "deploy the project `bootstrap`: docs/deployment.md has the commands"
    found = unless("NoSuchBucket", lambda: s3.get_bucket_versioning(Bucket=name))
    if found is None:
        return Answer("fail", f"{name} doesn't exist", remedy)
    status = found.get("Status", "off")
    problems = [] if status == "Enabled" else [f"the versioning of {name} is {status}"]
    return judged(problems, f"{name} keeps versions", remedy)


def pipeline_roles(iam: Client, wanted: Mapping[str, int]) -> Answer:
    """The roles of the pipelines exist, and allow their sessions.

    Args:
        iam: the client.
        wanted: name of a role → duration of its sessions, in seconds.
    """
    problems: list[str] = []
    for name, seconds in wanted.items():
        role = unless("NoSuchEntity", lambda name=name: iam.get_role(RoleName=name))
        if role is None:
            problems.append(f"{name} doesn't exist")
        elif (found := role["Role"].get("MaxSessionDuration", 3600)) < seconds:
            problems.append(f"{name} allows sessions of {found} seconds, and the pipelines ask for {seconds}")
    return judged(
        problems, ", ".join(wanted), "add the stack to `stacks` of the project `bootstrap`, and deploy it"
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
