"""Rules for what AWS rejects: references to missing resources, and combinations that fail in a deployment.

Each rule is a function, registered with the types that it checks. A rule yields the property and the problem,
and skips values that a preview doesn't know. Rules that compare with existing resources don't run at preview,
because a resource and its replacement would both seem to exist.
"""

from __future__ import annotations

import functools
import ipaddress
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sandbox.aws import attributes, invokes
from sandbox.aws.store import ACCOUNT, ARN, PREFIXED_ID, Row, Store, strings
from sandbox.folder import CLUSTER_NAME
from sandbox.rpc import ProviderError
from sandbox.sdk_schema import shown, step
from sandbox.values import UNKNOWN
from settings.aws_limits import (
    ALIAS_VERSIONS,
    BALANCER_NAME,
    BALANCER_NAME_LENGTH,
    EDGE_REGION,
    LARGEST_BLOCK,
    LEAST_ZONES,
    RESERVED_BALANCER_PREFIX,
    RESERVED_FIRST_ADDRESSES,
    RESERVED_LAST_ADDRESSES,
    RULE_VALUES,
    SMALLEST_BLOCK,
)

Finding = tuple[str, str]
"""A property's path and the problem with it."""


@dataclass
class Change:
    """A creation or an update, before it is applied.

    Attributes:
        inputs: the inputs without the provider's internal values, which `given` includes.
        hint: the end of errors about resources that don't exist.
        planned: types and names of the resources that this preview creates.
        current: the resource before an update.
    """

    type: str
    name: str
    urn: str
    region: str
    inputs: Mapping[str, Any]
    given: dict[str, Any]
    default_tags: Mapping[str, str]
    preview: bool
    store: Store
    hint: str
    planned: set[tuple[str, str]]
    current: Row | None = None

    def get(self, name: str, default: Any = None) -> Any:
        """An input, or the default if it is missing or not known yet."""
        value = self.inputs.get(name)
        return default if value is None or value == UNKNOWN else value

    def exists(self, kind: str, name: str) -> bool:
        """Whether a resource of a type with an id or name exists, or is created in this preview."""
        if self.preview and (kind, name) in self.planned:
            return True
        return any(self.store.get(kind, place, name) for place in (self.region, ""))

    def others(self, kind: str, *, existing: bool = False) -> list[Row]:
        """All other deployed resources of a type. `existing` adds those that existed before."""
        rows = self.store.existing(kind) if existing else self.store.all(kind)
        return [row for row in rows if self.current is None or row.key != self.current.key]

    def owner(self, value: Any) -> Row | None:
        """The resource that a value refers to, if it exists in this change's region."""
        row = self.store.owner(str(value)) if value else None
        return row if row and row.region in ("", self.region) else None


Rule = Callable[[Change], Iterator[Finding]]
_RULES: list[tuple[frozenset[str], bool, Rule]] = []


def rule(*types: str, at_preview: bool = True) -> Callable[[Rule], Rule]:
    """Registers a rule for types such as `ec2/subnet:Subnet`, or for all types if none are given."""

    def register(function: Rule) -> Rule:
        _RULES.append((frozenset(f"aws:{kind}" for kind in types), at_preview, function))
        return function

    return register


def check(change: Change) -> None:
    """Raises the error with which AWS would reject a change.

    Raises:
        ProviderError: names the resource, each property and its value.
    """
    found = [
        f"{change.type} {change.name}: {path}: {message}"
        for types, at_preview, function in _RULES
        if (not types or change.type in types) and (at_preview or not change.preview)
        for path, message in function(change)
    ]
    if found:
        raise ProviderError("\n".join(found))


def forced_replacements(
    token: str, old: Mapping[str, Any], new: Mapping[str, Any], changed: set[str]
) -> set[str]:
    """The changes that force a replacement only under certain conditions, as in Terraform's provider."""
    forced: set[str] = set()
    if token.endswith(":LoadBalancer") and new.get("loadBalancerType") == "network":
        # A Network Load Balancer can't lose a subnet, and can't get its first security group.
        before: list[str] = old.get("subnets") or []
        after: Any = new.get("subnets") or []
        if isinstance(after, list) and set(before).difference(after):  # pyright: ignore[reportUnknownArgumentType]
            forced |= {path for path in changed if path.startswith("subnets")}
        if bool(old.get("securityGroups")) != bool(new.get("securityGroups")):
            forced |= {path for path in changed if path.startswith("securityGroups")}
    return forced


# -- references ----------------------------------------------------------------------------------

# Inputs that name a resource (by id, name or URL) whose type `_named_type` can't derive from the input's
# name.
_NAMED = {
    "cloudwatch/logDelivery:LogDelivery deliverySourceName": "cloudwatch/logDeliverySource:LogDeliverySource",
    "ec2/natGateway:NatGateway allocationId": "ec2/eip:Eip",
    "kms/alias:Alias targetKeyId": "kms/key:Key",
    "lambda/function:Function s3Bucket": "s3/bucket:Bucket",
    "rds/cluster:Cluster dbInstanceParameterGroupName": "rds/parameterGroup:ParameterGroup",
    "route53/hostedZoneDnsSec:HostedZoneDnsSec hostedZoneId": "route53/zone:Zone",
    "route53/keySigningKey:KeySigningKey hostedZoneId": "route53/zone:Zone",
}

# Inputs that seem to name a resource, but whose value isn't its id.
_OTHER = {"domainNameId", "policy", "stageName"}


@functools.cache
def _named_type(kind: str, name: str) -> str | None:
    """The type that an input such as `restApi`, `clusterName` or `dbSubnetGroupName` refers to."""
    if given := _NAMED.get(f"{kind.removeprefix('aws:')} {name}"):
        return f"aws:{given}"
    if name in _OTHER:
        return None
    word = re.sub(r"(Ids?|Names?|Identifier|Url)$", "", name)
    for form in (word, re.sub("^db(?=[A-Z])", "", word)):
        target = f"{kind.split('/')[0]}/{form[:1].lower()}{form[1:]}:{form[:1].upper()}{form[1:]}"
        if target != kind and target in attributes.forms():
            return target
    return None


# Services whose ARNs don't name resources that a program creates, such as alarm actions or schedules.
_VIRTUAL_SERVICES = {"autoscaling", "automate", "execute-api", "sts", "states", "ssm", "resource-groups"}


@rule()
def references_exist(change: Change) -> Iterator[Finding]:
    """Ids of a known form, ARNs of the account and names of other resources must exist."""
    missing: set[str] = set()
    for path, value in _references(change.inputs):
        if not _exists(change, value):
            missing.add(path)
            place = f" in {change.region}" if PREFIXED_ID.fullmatch(value) else ""
            yield path, f"{value} does not exist{place}{change.hint}"
    for name in change.inputs:
        target = _named_type(change.type, name)
        for path, value in _walk(change.inputs[name], name) if target else ():
            if value == UNKNOWN or value.startswith("default.") or invokes.exists(value, change.region):
                continue
            owner = change.owner(_function_name(value) if "lambda" in str(target) else value)
            found = change.exists(str(target), value) or (owner and owner.type == target)
            found = found or (str(target).endswith("/table:Table") and _has_replica(change, value))
            if not found and path not in missing:
                kind = str(target).split(":")[-1]
                yield path, f"{kind} {shown(path, value)} does not exist{change.hint}"


def _has_replica(change: Change, table: str) -> bool:
    """Whether a global table has a replica in the region, where it has the same name."""
    return change.owner(f"arn:aws:dynamodb:{change.region}:{ACCOUNT}:table/{table}") is not None


def _function_name(value: str) -> str:
    """The ARN or name of a function, without version or alias."""
    return re.sub(r"^(arn:aws:lambda:[^:]+:\d+:function:[^:]+):.*$", r"\1", value)


def _references(inputs: Any) -> Iterator[Finding]:
    for path, value in _walk({k: v for k, v in inputs.items() if k != "tags"}, ""):
        if PREFIXED_ID.fullmatch(value) or (ARN.fullmatch(value) and "*" not in value.removesuffix(":*")):
            yield path, value
        elif value.startswith("arn:aws:apigateway:") and "/functions/" in value:
            yield path, value.split("/functions/", 1)[1].removesuffix("/invocations")


def _walk(value: Any, path: str) -> Iterator[Finding]:
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, Mapping):
        for key, item in value.items():  # pyright: ignore[reportUnknownVariableType]
            yield from _walk(item, step(path, str(key)))  # pyright: ignore[reportUnknownArgumentType]
    elif isinstance(value, list):
        for index, item in enumerate(value):  # pyright: ignore[reportUnknownVariableType,reportUnknownArgumentType]
            yield from _walk(item, f"{path}[{index}]")


def _exists(change: Change, value: str) -> bool:
    if PREFIXED_ID.fullmatch(value):
        return change.owner(value) is not None or invokes.exists(value, change.region)
    match = ARN.fullmatch(value)
    if match is None:
        return True
    service, _, account, resource = match.groups()
    if account == "aws":
        return service != "iam" or re.fullmatch(r"(policy/)[\w+=,.@/-]+", resource) is not None
    if account not in ("", ACCOUNT) or service in _VIRTUAL_SERVICES:
        return True
    if service == "iam" and (resource == "root" or resource.startswith("role/aws-service-role/")):
        return True
    if (account == "" and service not in ("s3", "route53", "apigateway")) or invokes.exists(
        value, change.region
    ):
        return True
    # The ARN of a part, such as a table's index or a function's alias, begins with the resource's ARN.
    while True:
        if change.store.owner(value):
            return True
        shorter = re.sub(r"[:/][^:/]*$", "", value)
        if shorter.count(":") < 5:
            return False
        value = shorter


# -- deletions -----------------------------------------------------------------------------------

# Types that AWS refuses to delete while a resource of the given types uses them. `*` stands for any type.
_HELD = {
    "acm/certificate:Certificate": "lb/listener:Listener cloudfront/distribution:Distribution "
    "apigateway/domainName:DomainName",
    "apigateway/deployment:Deployment": "apigateway/stage:Stage",
    "cloudfront/cachePolicy:CachePolicy": "cloudfront/distribution:Distribution",
    "cloudfront/function:Function": "cloudfront/distribution:Distribution",
    "cloudfront/originAccessControl:OriginAccessControl": "cloudfront/distribution:Distribution",
    "cloudfront/originRequestPolicy:OriginRequestPolicy": "cloudfront/distribution:Distribution",
    "cloudfront/responseHeadersPolicy:ResponseHeadersPolicy": "cloudfront/distribution:Distribution",
    "ec2/eip:Eip": "ec2/natGateway:NatGateway lb/loadBalancer:LoadBalancer",
    "ec2/routeTable:RouteTable": "ec2/routeTableAssociation:RouteTableAssociation",
    "ec2/securityGroup:SecurityGroup": "*",
    "ec2/subnet:Subnet": "*",
    "ec2/vpc:Vpc": "*",
    "elasticache/parameterGroup:ParameterGroup": "elasticache/replicationGroup:ReplicationGroup",
    "elasticache/subnetGroup:SubnetGroup": "elasticache/replicationGroup:ReplicationGroup",
    "elasticache/user:User": "elasticache/userGroup:UserGroup",
    "elasticache/userGroup:UserGroup": "elasticache/replicationGroup:ReplicationGroup",
    "iam/role:Role": "iam/rolePolicyAttachment:RolePolicyAttachment iam/rolePolicy:RolePolicy "
    "iam/instanceProfile:InstanceProfile",
    "lb/loadBalancer:LoadBalancer": "apigatewayv2/vpcLink:VpcLink",
    "lb/targetGroup:TargetGroup": "lb/listener:Listener lb/listenerRule:ListenerRule",
    "rds/cluster:Cluster": "rds/clusterInstance:ClusterInstance",
    "rds/clusterParameterGroup:ClusterParameterGroup": "rds/cluster:Cluster",
    "rds/globalCluster:GlobalCluster": "rds/cluster:Cluster",
    "rds/parameterGroup:ParameterGroup": "rds/clusterInstance:ClusterInstance",
    "rds/subnetGroup:SubnetGroup": "rds/cluster:Cluster",
    "s3/bucket:Bucket": "s3/bucketObjectv2:BucketObjectv2",
    "wafv2/webAcl:WebAcl": "wafv2/webAclAssociation:WebAclAssociation cloudfront/distribution:Distribution",
}
# Inputs that protect a resource from deletion.
_PROTECTION = ("deletionProtection", "deletionProtectionEnabled", "enableDeletionProtection")


def final_snapshot(row: Row) -> str | None:
    """Name of the snapshot that the deletion of a resource makes, if it makes one."""
    name = row.inputs.get("finalSnapshotIdentifier")
    return None if row.inputs.get("skipFinalSnapshot") else name


def check_deletion(store: Store, row: Row) -> None:
    """Raises the error with which AWS would reject a deletion.

    Raises:
        ProviderError: the resource is protected or still used.
    """
    subject = f"{row.type} {row.name}"
    for name in _PROTECTION:
        if row.inputs.get(name) in (True, "true", "ACTIVE"):
            raise ProviderError(f"{subject}: {name}: deletion protection is on; {row.id} was not deleted")
    if row.type == "aws:rds/cluster:Cluster" and not (
        row.inputs.get("skipFinalSnapshot") or row.inputs.get("finalSnapshotIdentifier")
    ):
        raise ProviderError(
            f"{subject}: finalSnapshotIdentifier: set it or skipFinalSnapshot to delete {row.id}"
        )
    snapshot = final_snapshot(row)
    if snapshot and store.has_snapshot(row, snapshot):
        raise ProviderError(
            f"{subject}: finalSnapshotIdentifier: there is a snapshot {snapshot} already; {row.id} was not "
            "deleted"
        )
    holders = _HELD.get(row.type.removeprefix("aws:"))
    if not holders or row.inputs.get("forceDestroy"):
        return
    kinds = {f"aws:{kind}" for kind in holders.split()}
    names = store.identifiers(row)
    for user in store.all():
        if user.key == row.key or (holders != "*" and user.type not in kinds):
            continue
        used = names.intersection(strings(user.inputs))
        if row.region and user.region not in ("", row.region):
            # A resource in another region can have the same name; only an ARN is unambiguous.
            used = {name for name in used if ARN.fullmatch(name)}
        if used and user.inputs.get("securityGroupId") != row.id and not _goes_with(row, user):
            raise ProviderError(
                f"{subject}: DependencyViolation: {min(used)} is still used by {user.type} {user.name}"
            )


def _goes_with(row: Row, user: Row) -> bool:
    """Whether a user only names a VPC or subnet, so that it doesn't prevent the deletion."""
    return user.type in (
        "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup",
        "aws:ec2/flowLog:FlowLog",
    ) or (row.type == "aws:ec2/subnet:Subnet" and user.type.endswith(":SubnetGroup"))


# -- rules over several resources ----------------------------------------------------------------


def _subnets(change: Change, values: Any) -> list[Row]:
    rows = [change.owner(value) for value in list[str](values or []) if value != UNKNOWN]
    return [row for row in rows if row]


def _too_few_zones(change: Change, path: str, values: Any) -> Iterator[Finding]:
    if not isinstance(values, list) or UNKNOWN in values:
        return
    rows = _subnets(change, values)
    zones = {str(row.outputs.get("availabilityZone")) for row in rows}
    if len(rows) == len(values) and len(zones) < LEAST_ZONES:  # pyright: ignore[reportUnknownArgumentType]
        wanted = f"subnets in at least {LEAST_ZONES} Availability Zones are required"
        yield path, f"{wanted}; these are in {sorted(zones)}"


@rule("ec2/subnet:Subnet")
def subnet_lies_in_its_vpc(change: Change) -> Iterator[Finding]:
    """A subnet's CIDR block must lie within its VPC's, and have a size that AWS supports."""
    vpc, block = change.owner(change.get("vpcId")), change.get("cidrBlock")
    if not block:
        return
    try:
        network = ipaddress.ip_network(block)
    except ValueError as error:
        yield "cidrBlock", str(error)
        return
    yield from _block_size(network)
    if vpc and not _inside(network, str(vpc.outputs.get("cidrBlock"))):
        yield "cidrBlock", f"{block} is outside {vpc.name}'s {vpc.outputs.get('cidrBlock')}"


def _inside(network: Any, block: str) -> bool:
    return block in ("", "None") or network.subnet_of(ipaddress.ip_network(block))


@rule("ec2/subnet:Subnet", at_preview=False)
def subnets_do_not_overlap(change: Change) -> Iterator[Finding]:
    """Subnets of a VPC must not overlap."""
    block = change.get("cidrBlock")
    for other in change.others(change.type, existing=True):
        if other.inputs.get("vpcId") != change.get("vpcId") or not block or not other.inputs.get("cidrBlock"):
            continue
        if ipaddress.ip_network(block).overlaps(ipaddress.ip_network(other.inputs["cidrBlock"])):
            yield "cidrBlock", f"{block} overlaps {other.inputs['cidrBlock']} of {other.name}"


@rule("ec2/vpcEndpoint:VpcEndpoint", at_preview=False)
def endpoint_is_the_only_one_of_its_service(change: Change) -> Iterator[Finding]:
    """A VPC has one private DNS name, and a route table one gateway endpoint, for each service."""
    service = change.get("serviceName")
    for other in change.others(change.type, existing=True):
        if (other.inputs.get("vpcId"), other.inputs.get("serviceName")) != (change.get("vpcId"), service):
            continue
        if change.get("privateDnsEnabled") and other.inputs.get("privateDnsEnabled"):
            yield (
                "privateDnsEnabled",
                "private-dns-enabled cannot be set because there is already a conflicting DNS domain for "
                f"{service} in the VPC {change.get('vpcId')} ({other.id})",
            )
        shared = set(change.get("routeTableIds", [])) & set(other.inputs.get("routeTableIds") or [])
        for table in sorted(shared):
            yield "routeTableIds", f"route table {table} already has a route to {service} ({other.id})"


@rule("ec2/vpcEndpoint:VpcEndpoint")
def endpoint_lies_in_its_subnets(change: Change) -> Iterator[Finding]:
    """An endpoint's subnets must be in its VPC, and its addresses must be free in its subnets."""
    for row in _subnets(change, change.get("subnetIds")):
        if change.get("vpcId") and row.outputs.get("vpcId") != change.get("vpcId"):
            yield "subnetIds", f"{row.id} is in {row.outputs.get('vpcId')}, not in {change.get('vpcId')}"
    configurations: list[Mapping[str, str]] = change.get("subnetConfigurations", [])
    for index, configuration in enumerate(configurations):
        subnet, address = change.owner(configuration.get("subnetId")), configuration.get("ipv4")
        if not subnet or not address or address == UNKNOWN or not subnet.outputs.get("cidrBlock"):
            continue
        block = ipaddress.ip_network(str(subnet.outputs["cidrBlock"]))
        position = int(ipaddress.ip_address(address)) - int(block.network_address)
        if not RESERVED_FIRST_ADDRESSES <= position < block.num_addresses - RESERVED_LAST_ADDRESSES:
            yield (
                f"subnetConfigurations[{index}].ipv4",
                f"{address} is not a free address of {subnet.name}, {block}",
            )


@rule("ec2/vpc:Vpc")
def vpc_size(change: Change) -> Iterator[Finding]:
    """A VPC's IPv4 block must have a size that AWS supports."""
    block = change.get("cidrBlock")
    if block:
        yield from _block_size(ipaddress.ip_network(block, strict=False))


def _block_size(block: ipaddress.IPv4Network | ipaddress.IPv6Network) -> Iterator[Finding]:
    if not LARGEST_BLOCK <= block.prefixlen <= SMALLEST_BLOCK:
        yield "cidrBlock", f"{block} must be between /{LARGEST_BLOCK} and /{SMALLEST_BLOCK}"


@rule("lb/loadBalancer:LoadBalancer", "lb/targetGroup:TargetGroup")
def load_balancer_names(change: Change) -> Iterator[Finding]:
    """Names of load balancers and target groups are short, and have letters, digits and hyphens."""
    name = change.get("name", "")
    if len(name) > BALANCER_NAME_LENGTH:
        yield "name", f"{name!r} has {len(name)} characters; AWS allows {BALANCER_NAME_LENGTH}"
    if name and not re.fullmatch(BALANCER_NAME, name):
        yield "name", f"{name!r} must only have letters, digits and hyphens, with no hyphen at either end"
    if name.startswith(RESERVED_BALANCER_PREFIX) and change.type.endswith(":LoadBalancer"):
        yield "name", f"{name!r} must not begin with {RESERVED_BALANCER_PREFIX!r}"


@rule("lb/loadBalancer:LoadBalancer")
def load_balancer_zones(change: Change) -> Iterator[Finding]:
    """An Application Load Balancer must be in two Availability Zones."""
    if change.get("loadBalancerType", "application") == "application":
        yield from _too_few_zones(change, "subnets", change.get("subnets"))


@rule("rds/subnetGroup:SubnetGroup")
def database_subnet_zones(change: Change) -> Iterator[Finding]:
    """A DB subnet group must cover two Availability Zones."""
    yield from _too_few_zones(change, "subnetIds", change.get("subnetIds"))


@rule("eks/cluster:Cluster")
def cluster_zones(change: Change) -> Iterator[Finding]:
    """An EKS control plane must have interfaces in two Availability Zones."""
    yield from _too_few_zones(change, "vpcConfig.subnetIds", change.get("vpcConfig", {}).get("subnetIds"))


@rule("eks/cluster:Cluster")
def cluster_name(change: Change) -> Iterator[Finding]:
    """A cluster's name can only have letters, digits, hyphens and underscores."""
    name = change.get("name", "")
    if name and not CLUSTER_NAME.fullmatch(name):
        yield (
            "name",
            f"{name!r} must have up to 100 letters, digits, hyphens and underscores, with no hyphen first",
        )


@rule("msk/cluster:Cluster")
def broker_zones(change: Change) -> Iterator[Finding]:
    """Brokers must be distributed evenly over two or three Availability Zones."""
    subnets = change.get("brokerNodeGroupInfo", {}).get("clientSubnets")
    yield from _too_few_zones(change, "brokerNodeGroupInfo.clientSubnets", subnets)
    brokers = change.get("numberOfBrokerNodes")
    if isinstance(subnets, list) and brokers and int(brokers) % len(subnets):  # pyright: ignore[reportUnknownArgumentType]
        yield "numberOfBrokerNodes", f"{brokers} is not a multiple of the {len(subnets)} client subnets"  # pyright: ignore[reportUnknownArgumentType]


@rule("msk/topic:Topic")
def topic_replicas(change: Change) -> Iterator[Finding]:
    """A topic can't have more replicas than its cluster has brokers."""
    cluster, factor = change.owner(change.get("clusterArn")), change.get("replicationFactor")
    if cluster and factor and int(factor) > int(cluster.inputs["numberOfBrokerNodes"]):
        yield (
            "replicationFactor",
            f"{factor} is more than {cluster.name}'s {cluster.inputs['numberOfBrokerNodes']} brokers",
        )


@rule("msk/topic:Topic")
def topic_keeps_its_partitions(change: Change) -> Iterator[Finding]:
    """Kafka can add partitions to a topic but can't remove any, because it would lose their records."""
    wanted, current = change.get("partitionCount"), change.current
    if current and wanted and int(wanted) < int(current.inputs["partitionCount"]):
        yield (
            "partitionCount",
            f"InvalidPartitions: {change.get('name')} has {current.inputs['partitionCount']} partitions, and "
            f"Kafka cannot remove any: keep the number, or write to a new topic with {wanted} and delete the "
            "old one once it has been read",
        )


@rule("cloudwatch/compositeAlarm:CompositeAlarm", at_preview=False)
def composite_alarm_rule(change: Change) -> Iterator[Finding]:
    """The alarms in a composite alarm's rule must exist in its region."""
    for name in re.findall(r'\b(?:ALARM|OK|INSUFFICIENT_DATA)\("?([^")]+)"?\)', change.get("alarmRule", "")):
        if change.owner(name) is None:
            yield "alarmRule", f"alarm {name} does not exist in {change.region}"


@rule("cloudfront/distribution:Distribution")
def edge_certificate(change: Change) -> Iterator[Finding]:
    """CloudFront's certificate must be in us-east-1, and its web ACL must have the scope CLOUDFRONT."""
    certificate = str(change.get("viewerCertificate", {}).get("acmCertificateArn") or "")
    if certificate.startswith("arn:") and f":{EDGE_REGION}:" not in certificate:
        yield "viewerCertificate.acmCertificateArn", f"{certificate} must be in {EDGE_REGION}"
    web_acl = str(change.get("webAclId", ""))
    if web_acl.startswith("arn:") and ":global/webacl/" not in web_acl:
        yield "webAclId", f"{web_acl} must have the scope CLOUDFRONT"


@rule("wafv2/webAcl:WebAcl")
def edge_scope(change: Change) -> Iterator[Finding]:
    """A web ACL for CloudFront must be created in us-east-1."""
    if change.get("scope") == "CLOUDFRONT" and change.region != EDGE_REGION:
        yield "scope", f"CLOUDFRONT is possible only in {EDGE_REGION}, not in {change.region}"


@rule("lb/listener:Listener")
def listener_certificate(change: Change) -> Iterator[Finding]:
    """A listener with TLS must have a certificate in its own region."""
    certificate = change.inputs.get("certificateArn")
    if change.get("protocol") in ("HTTPS", "TLS") and not certificate:
        yield "certificateArn", f"required by protocol {change.get('protocol')}"
    if str(certificate).startswith("arn:") and f":{change.region}:" not in str(certificate):
        yield "certificateArn", f"{certificate} must be in {change.region}"


@rule("lb/listenerRule:ListenerRule")
def listener_rule_values(change: Change) -> Iterator[Finding]:
    """A listener rule's conditions can't have more than `RULE_VALUES` values in total."""
    conditions: list[Mapping[str, Mapping[str, list[str]]]] = change.get("conditions", [])
    found = sum(len(kind.get("values", [])) for condition in conditions for kind in condition.values())
    if found > RULE_VALUES:
        yield "conditions", f"TooManyConditions: {found} values; a rule can have {RULE_VALUES}"


@rule("lb/listenerRule:ListenerRule", at_preview=False)
def listener_rule_priorities(change: Change) -> Iterator[Finding]:
    """Priorities must be unique on a listener."""
    for other in change.others(change.type):
        same = other.inputs.get("listenerArn") == change.get("listenerArn")
        if same and change.get("priority") and other.inputs.get("priority") == change.get("priority"):
            yield "priority", f"PriorityInUse: {change.get('priority')} is used by {other.name}"


# Types whose id isn't their name, and the properties that must be unique.
_UNIQUE = {
    "cloudfront/cachePolicy:CachePolicy": ("name",),
    "cloudfront/originAccessControl:OriginAccessControl": ("name",),
    "cloudfront/originRequestPolicy:OriginRequestPolicy": ("name",),
    "cloudfront/responseHeadersPolicy:ResponseHeadersPolicy": ("name",),
    "ec2/securityGroup:SecurityGroup": ("name", "vpcId"),
    "lb/loadBalancer:LoadBalancer": ("name",),
    "lb/targetGroup:TargetGroup": ("name",),
    "lb/listener:Listener": ("loadBalancerArn", "port"),
    "msk/cluster:Cluster": ("clusterName",),
    "msk/configuration:Configuration": ("name",),
    "s3/bucket:Bucket": ("bucket",),
    "secretsmanager/secret:Secret": ("name",),
    "sns/topic:Topic": ("name",),
    "sqs/queue:Queue": ("name",),
    "wafv2/webAcl:WebAcl": ("name", "scope"),
}


@rule(*_UNIQUE, at_preview=False)
def names_are_unique(change: Change) -> Iterator[Finding]:
    """Names must be unique in their region, and a bucket's name globally."""
    keys = _UNIQUE[change.type.removeprefix("aws:")]
    everywhere = change.type == "aws:s3/bucket:Bucket"
    for other in change.others(change.type):
        here = everywhere or other.region in ("", change.region)
        if here and all(other.inputs.get(key) == change.inputs.get(key) for key in keys):
            yield (
                keys[0],
                f"AlreadyExists: {shown(keys[0], change.inputs.get(keys[0]))} is taken by {other.name}",
            )


@rule("apigateway/deployment:Deployment", at_preview=False)
def private_api_has_its_policy(change: Change) -> Iterator[Finding]:
    """A private REST API needs a resource policy before a deployment. Its document can contain the policy."""
    api = change.store.get("aws:apigateway/restApi:RestApi", change.region, str(change.get("restApi")))
    endpoint: Mapping[str, str] = (api.inputs.get("endpointConfiguration") if api else None) or {}
    if api is None or endpoint.get("types") != "PRIVATE":
        return
    if not api.inputs.get("policy") and "x-amazon-apigateway-policy" not in str(api.inputs.get("body")):
        yield "restApi", "a private REST API needs its resource policy before it is deployed"


@rule("apigateway/methodSettings:MethodSettings")
def method_path_is_encoded(change: Change) -> Iterator[Finding]:
    """The path of method settings must be `PATH/METHOD`, with each slash of the path encoded as `~1`."""
    path = change.get("methodPath", "")
    if path and path != "*/*" and not re.fullmatch(r"~1[^/]*/[A-Z]+", path):
        yield "methodPath", f"{path!r} must be */* or like ~1api~1accounts/GET"


@rule("lambda/alias:Alias", at_preview=False)
def alias_names_published_versions(change: Change) -> Iterator[Finding]:
    """An alias must point to published versions, and not twice to the same one."""
    function = change.store.get(
        "aws:lambda/function:Function", change.region, _function_name(str(change.get("functionName")))
    )
    newest = str(function.outputs.get("version")) if function else ""
    weights: Mapping[str, float] = change.get("routingConfig", {}).get("additionalVersionWeights") or {}
    first = str(change.get("functionVersion", ""))
    for path, version in [
        ("functionVersion", first),
        *((f"routingConfig.additionalVersionWeights.{version}", version) for version in weights),
    ]:
        if version.isdigit() and newest.isdigit() and int(version) > int(newest):
            yield path, f"version {version} does not exist; the newest is {newest}"
    if first in weights:
        yield (
            "routingConfig.additionalVersionWeights",
            f"version {first} is already the alias's functionVersion",
        )
    if 1 + len(weights) > ALIAS_VERSIONS:
        yield (
            "routingConfig.additionalVersionWeights",
            f"an alias can point to at most {ALIAS_VERSIONS} versions",
        )


@rule("lambda/provisionedConcurrencyConfig:ProvisionedConcurrencyConfig", at_preview=False)
def concurrency_waits_for_weights(change: Change) -> Iterator[Finding]:
    """The provisioned concurrency of an alias can't be set while the alias has weights."""
    for alias in change.store.all("aws:lambda/alias:Alias"):
        routing: Mapping[str, Any] = alias.inputs.get("routingConfig") or {}
        if (
            routing.get("additionalVersionWeights")
            and alias.region == change.region
            and alias.inputs.get("name") == change.get("qualifier")
            and alias.inputs.get("functionName") == change.get("functionName")
        ):
            yield "qualifier", "Alias with weights can not be used with Provisioned Concurrency"


@rule("appautoscaling/target:Target")
def scalable_target(change: Change) -> Iterator[Finding]:
    """The minimum must not be above the maximum, and the resource to scale must exist."""
    least, most = change.get("minCapacity"), change.get("maxCapacity")
    if least is not None and most is not None and int(least) > int(most):
        yield "minCapacity", f"{least} is more than maxCapacity {most}"
    kinds = {
        "table": "dynamodb/table:Table",
        "cluster": "rds/cluster:Cluster",
        "function": "lambda/function:Function",
        "replication-group": "elasticache/replicationGroup:ReplicationGroup",
    }
    match = re.match(rf"({'|'.join(kinds)})[/:]([^/:]+)", str(change.get("resourceId", "")))
    if match and not change.exists(f"aws:{kinds[match[1]]}", match[2]):
        yield "resourceId", f"{match[0]} does not exist"


@rule("appautoscaling/policy:Policy", at_preview=False)
def scaling_policy_has_target(change: Change) -> Iterator[Finding]:
    """The target of a scaling policy must be registered."""
    wanted = (change.get("resourceId"), change.get("scalableDimension"))
    targets = change.store.all("aws:appautoscaling/target:Target")
    if wanted not in {(row.inputs.get("resourceId"), row.inputs.get("scalableDimension")) for row in targets}:
        yield "resourceId", f"no scalable target is registered for {wanted[0]} and {wanted[1]}"


@rule("dynamodb/table:Table")
def table_attributes(change: Change) -> Iterator[Finding]:
    """The attributes must be exactly the keys of the table and its indexes."""
    defined: set[str] = {item.get("name") for item in change.get("attributes", [])}
    indexes: list[Mapping[str, Any]] = [
        *change.get("globalSecondaryIndexes", []),
        *change.get("localSecondaryIndexes", []),
    ]
    parts = [change.inputs, *indexes]
    used = {str(part[key]) for part in parts for key in ("hashKey", "rangeKey") if part.get(key)}
    for index in indexes:
        keys: list[Mapping[str, str]] = index.get("keySchemas") or []
        used |= {key["attributeName"] for key in keys}
    if UNKNOWN in defined | used:
        return
    for name in sorted(used - defined):
        yield "attributes", f"{name} is a key, but not among the attributes {sorted(defined)}"
    for name in sorted(defined - used):
        yield "attributes", f"{name} is not a key of the table or an index: all attributes must be indexed"


@rule("dynamodb/table:Table")
def table_capacity(change: Change) -> Iterator[Finding]:
    """Provisioned tables, and only they, must have capacity, for the table and for every index.

    When the billing mode changes, Terraform's provider sets the table's own capacity, but not that of
    indexes.
    """
    indexes: list[Mapping[str, Any]] = change.get("globalSecondaryIndexes", [])
    keys = ("readCapacity", "writeCapacity")
    if change.get("billingMode") == "PAY_PER_REQUEST":
        for key in keys:
            if change.get(key):
                yield key, f"{change.get(key)} conflicts with billingMode PAY_PER_REQUEST"
        return
    if change.get("onDemandThroughput"):
        yield "onDemandThroughput", "conflicts with billingMode PROVISIONED"
    switched = change.current is not None and change.current.inputs.get("billingMode") == "PAY_PER_REQUEST"
    if change.current is None:
        yield from (
            (key, "must be at least 1: the table is provisioned") for key in keys if not change.get(key)
        )
    if change.current is None or switched:
        for position, index in enumerate(indexes):
            for key in keys:
                if not index.get(key):
                    yield (
                        f"globalSecondaryIndexes[{position}].{key}",
                        f"ProvisionedThroughput must be specified for index {index['name']}",
                    )


@rule("dynamodb/tableReplica:TableReplica", at_preview=False)
def replica_of_a_table(change: Change) -> Iterator[Finding]:
    """A replica must be in another region, and its table must have a stream and write capacity that
    scales."""
    source = str(change.get("globalTableArn", ""))
    table = change.store.owner(source)
    if table is None or table.type != "aws:dynamodb/table:Table":
        yield "globalTableArn", f"{source} does not exist"
        return
    if table.region == change.region:
        yield "globalTableArn", f"{table.name} is in {change.region} already"
    if table.inputs.get("streamViewType") != "NEW_AND_OLD_IMAGES":
        yield "globalTableArn", f"{table.name} needs a stream of NEW_AND_OLD_IMAGES"
    key = str(change.get("kmsKeyArn", ""))
    if key and f":{change.region}:" not in key:
        yield "kmsKeyArn", f"{key} must be in {change.region}"
    if table.inputs.get("billingMode") == "PAY_PER_REQUEST":
        return
    parts = [f"table/{table.id}"]
    parts += [f"table/{table.id}/index/{i['name']}" for i in table.inputs.get("globalSecondaryIndexes", [])]
    scaled = {
        row.inputs.get("resourceId")
        for row in change.store.all("aws:appautoscaling/policy:Policy")
        if row.region == table.region and "WriteCapacity" in str(row.inputs.get("scalableDimension"))
    }
    for part in parts:
        if part not in scaled:
            yield (
                "globalTableArn",
                f"{part}: write capacity should either be Pay-Per-Request or AutoScaled",
            )


@rule("elasticache/replicationGroup:ReplicationGroup")
def cache_events(change: Change) -> Iterator[Finding]:
    """ElastiCache can't publish to an encrypted topic ("Event Notifications and Amazon SNS")."""
    topic = change.owner(change.get("notificationTopicArn"))
    if topic and topic.inputs.get("kmsMasterKeyId"):
        yield (
            "notificationTopicArn",
            f"{topic.name} is encrypted, and ElastiCache cannot publish to encrypted topics",
        )


@rule("rds/clusterInstance:ClusterInstance")
def instance_engine(change: Change) -> Iterator[Finding]:
    """An instance must have its cluster's engine."""
    cluster = change.store.get("aws:rds/cluster:Cluster", change.region, change.get("clusterIdentifier", ""))
    if cluster and change.get("engine") not in (None, cluster.inputs.get("engine")):
        yield (
            "engine",
            f"{change.get('engine')} is not the engine of {cluster.name}, {cluster.inputs.get('engine')}",
        )


@rule(
    "vpc/securityGroupIngressRule:SecurityGroupIngressRule",
    "vpc/securityGroupEgressRule:SecurityGroupEgressRule",
)
def security_group_rule_has_one_peer(change: Change) -> Iterator[Finding]:
    """A security group rule must name exactly one peer."""
    peers = [
        name
        for name in ("cidrIpv4", "cidrIpv6", "prefixListId", "referencedSecurityGroupId")
        if name in change.inputs
    ]
    if len(peers) != 1:
        yield (
            "cidrIpv4",
            "exactly one of cidrIpv4, cidrIpv6, prefixListId and referencedSecurityGroupId is required, not "
            f"{peers}",
        )


@rule(
    "vpc/securityGroupIngressRule:SecurityGroupIngressRule",
    "vpc/securityGroupEgressRule:SecurityGroupEgressRule",
    at_preview=False,
)
def security_group_rules_differ(change: Change) -> Iterator[Finding]:
    """Two rules of a security group must not be the same."""
    keys = ("securityGroupId", "ipProtocol", "fromPort", "toPort", "cidrIpv4", "cidrIpv6", "prefixListId")
    wanted = [change.inputs.get(key) for key in (*keys, "referencedSecurityGroupId")]
    for other in change.others(change.type):
        if [other.inputs.get(key) for key in (*keys, "referencedSecurityGroupId")] == wanted:
            yield "securityGroupId", f"InvalidPermission.Duplicate: {other.name} is the same rule"
