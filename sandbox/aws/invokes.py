"""Functions (Terraform's data sources), answered like an account that exists.

The account has one VPC of its own, and owns every domain under the names that are reserved for examples
and tests (RFC 2606, RFC 6761).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sandbox.aws import regions
from sandbox.aws.attributes import EMPTY, stable
from sandbox.aws.store import ACCOUNT, Store
from sandbox.rpc import ProviderError
from sandbox.sdk_schema import Property, function

RESERVED_DOMAINS = ("example.com", "example.net", "example.org", "example", "test")
"""Any zone of these names or below exists."""

_PREFIX_LISTS = (
    "com.amazonaws.global.cloudfront.origin-facing",
    "com.amazonaws.{region}.dynamodb",
    "com.amazonaws.{region}.ec2-instance-connect",
    "com.amazonaws.{region}.route53-healthchecks",
    "com.amazonaws.{region}.s3",
)
# Amazon CloudFront Developer Guide: *Use managed cache policies*, *… origin request policies*, *… response
# headers policies*.
_CACHE_POLICIES = {
    "Managed-Amplify": "2e54312d-136d-493c-8eb9-b001f22f67d2",
    "Managed-CachingDisabled": "4135ea2d-6df8-44a3-9df3-4b5a84be39ad",
    "Managed-CachingOptimized": "658327ea-f89d-4fab-a63d-7e88639e58f6",
    "Managed-CachingOptimizedForUncompressedObjects": "b2884449-e4de-46a7-ac36-70bc7f1ddd6d",
    "UseOriginCacheControlHeaders": "83da9c7e-98b4-4e11-a168-04f0df8e2c65",
    "UseOriginCacheControlHeaders-QueryStrings": "4cc15a8a-d715-48a4-82b8-cc0b614638fe",
}
_ORIGIN_REQUEST_POLICIES = {
    "Managed-AllViewer": "216adef6-5c7f-47e4-b989-5492eafa07d3",
    "Managed-AllViewerAndCloudFrontHeaders-2022-06": "33f36d7e-f396-46d9-90e0-52428a34d9dc",
    "Managed-AllViewerExceptHostHeader": "b689b0a8-53d0-40ab-baf2-68738e2966ac",
    "Managed-CORS-CustomOrigin": "59781a5b-3903-41f3-afcb-af62929ccde1",
    "Managed-CORS-S3Origin": "88a5eaf4-2fd4-4709-b370-b4c650ea3fcf",
    "Managed-UserAgentRefererHeaders": "acba4595-bd28-49b8-b9fe-13317c0390fa",
}
_RESPONSE_HEADERS_POLICIES = {
    "Managed-CORS-and-SecurityHeadersPolicy": "e61eb60c-9c35-4d20-a928-2b84e02af89c",
    "Managed-CORS-With-Preflight": "5cc3b908-e619-4b99-88e5-2cf7f45965bd",
    "Managed-CORS-with-preflight-and-SecurityHeadersPolicy": "eaab4381-ed33-4a86-88ca-d9558dc6cd63",
    "Managed-SecurityHeadersPolicy": "67f7725c-6f97-4210-82d7-5512b31e9d03",
    "Managed-SimpleCORS": "60669652-455b-4ae9-85a4-c4c02393f86c",
}

Result = dict[str, Any]


@dataclass(frozen=True)
class _Call:
    args: Mapping[str, Any]
    region: str
    store: Store

    def get(self, name: str, default: Any = None) -> Any:
        value = self.args.get(name)
        return default if value is None else value

    def filtered(self, name: str) -> list[str] | None:
        """The values of a filter such as `tag:Name` or `vpc-id`."""
        for item in self.get("filters", []):
            if item["name"] == name:
                return item["values"]
        return None


_FUNCTIONS: dict[str, Callable[[_Call], Result]] = {}


def call(token: str, args: Mapping[str, Any], region: str, store: Store) -> Result:
    """The result of a function; outputs that are not modelled are empty values of their type.

    Raises:
        ProviderError: the function is not modelled, or AWS would find nothing.
    """
    answer = _FUNCTIONS.get(token)
    if answer is None:
        raise ProviderError(f"{token} is an AWS function that the sandbox does not know yet")
    found = answer(_Call(args, region, store))
    given = {**{name: value for name, value in args.items() if value is not None}, **found}
    outputs = {"id": str(found.get("id") or found.get("arn") or region), "region": region, **given}
    for name, prop in function(token).outputs.items():
        if name not in outputs and prop.required:
            outputs[name] = _empty(prop)
    return {name: value for name, value in outputs.items() if name in function(token).outputs}


def exists(value: str, region: str) -> bool:
    """Whether an id belongs to what the account had before any program ran."""
    if value in {_prefix_list_id(name, region) for name in _names(region)}:
        return True
    vpc, subnets = _own_vpc(region)
    if value in {vpc["id"], vpc["arn"], vpc["defaultSecurityGroupId"], *(subnet["id"] for subnet in subnets)}:
        return True
    zone = re.fullmatch(r"(?:arn:aws:route53:::hostedzone/)?Z([A-Z0-9]{12})([A-Z0-9]{8})", value)
    return zone is not None and zone[2] == stable(8, "zone", zone[1], alphabet="up")


def _function(*tokens: str) -> Callable[[Callable[[_Call], Result]], Callable[[_Call], Result]]:
    def register(answer: Callable[[_Call], Result]) -> Callable[[_Call], Result]:
        _FUNCTIONS.update({f"aws:{token}": answer for token in tokens})
        return answer

    return register


def _empty(prop: Property) -> Any:
    return {} if prop.type.kind == "object" else EMPTY.get(prop.type.kind, "")


# -- the account and its regions -----------------------------------------------------------------


@_function("index/getCallerIdentity:getCallerIdentity")
def _caller_identity(_: _Call) -> Result:
    return {
        "accountId": ACCOUNT,
        "arn": f"arn:aws:iam::{ACCOUNT}:user/sandbox",
        "id": ACCOUNT,
        "userId": "AIDASANDBOXSANDBOXXX1",
    }


@_function("index/getRegion:getRegion")
def _region(call: _Call) -> Result:
    name = call.get("name") or call.region
    if name not in regions.names():
        raise ProviderError(f"region: {name!r} is not an AWS region")
    return {"name": name, "id": name, "endpoint": f"ec2.{name}.amazonaws.com", "description": name}


@_function("index/getRegions:getRegions")
def _regions(_: _Call) -> Result:
    return {"names": sorted(regions.names())}


@_function("index/getPartition:getPartition")
def _partition(_: _Call) -> Result:
    return {
        "partition": "aws",
        "id": "aws",
        "dnsSuffix": "amazonaws.com",
        "reverseDnsPrefix": "com.amazonaws",
    }


@_function("index/getAvailabilityZones:getAvailabilityZones")
def _availability_zones(call: _Call) -> Result:
    excluded = {*call.get("excludeNames", []), *call.get("excludeZoneIds", [])}
    names = [zone for zone in regions.zones(call.region) if not excluded & {zone, regions.zone_id(zone)}]
    return {
        "id": call.region,
        "names": names,
        "zoneIds": [regions.zone_id(zone) for zone in names],
        "groupNames": [call.region],
    }


@_function("index/getDefaultTags:getDefaultTags")
def _default_tags(_: _Call) -> Result:
    return {"tags": {}}


@_function("elb/getServiceAccount:getServiceAccount")
def _elb_account(_: _Call) -> Result:
    return {"id": "127311923021", "arn": "arn:aws:iam::127311923021:root"}


@_function("lb/getHostedZoneId:getHostedZoneId")
def _elb_zone(call: _Call) -> Result:
    kinds = regions.LOAD_BALANCER_ZONES.get(call.region)
    if not kinds:
        raise ProviderError(f"region: no load balancer zone is known for {call.region}")
    return {"id": kinds[call.get("loadBalancerType") == "network"]}


# -- network -------------------------------------------------------------------------------------


def _names(region: str) -> list[str]:
    return [name.format(region=region) for name in _PREFIX_LISTS]


def _prefix_list_id(name: str, region: str) -> str:
    return f"pl-{stable(8, region, name, alphabet='hex')}"


@_function("ec2/getManagedPrefixList:getManagedPrefixList", "ec2/getPrefixList:getPrefixList")
def _prefix_list(call: _Call) -> Result:
    known = {_prefix_list_id(name, call.region): name for name in _names(call.region)}
    wanted = call.get("id") or call.get("prefixListId")
    named = call.get("name") or next(iter(call.filtered("prefix-list-name") or []), None)
    for identifier, name in known.items():
        if wanted == identifier or named == name:
            return {
                "id": identifier,
                "arn": f"arn:aws:ec2:{call.region}:aws:prefix-list/{identifier}",
                "name": name,
                "addressFamily": "IPv4",
                "ownerId": "AWS",
                "maxEntries": 55 if "cloudfront" in name else 25,
            }
    raise ProviderError(f"name: no managed prefix list {named or wanted} in {call.region}")


def _own_vpc(region: str) -> tuple[Result, list[Result]]:
    """The VPC that the account has in each region, with public and private subnets in three zones."""
    identifier = f"vpc-{stable(17, region, 'vpc', alphabet='hex')}"
    vpc = {
        "id": identifier,
        "arn": f"arn:aws:ec2:{region}:{ACCOUNT}:vpc/{identifier}",
        "cidrBlock": "10.200.0.0/16",
        "state": "available",
        "ownerId": ACCOUNT,
        "default": False,
        "enableDnsSupport": True,
        "enableDnsHostnames": True,
        "mainRouteTableId": f"rtb-{stable(17, region, 'rtb', alphabet='hex')}",
        "defaultSecurityGroupId": f"sg-{stable(17, region, 'sg', alphabet='hex')}",
        "tags": {"Name": "shared"},
    }
    subnets = [
        {
            "id": f"subnet-{stable(17, region, tier, zone, alphabet='hex')}",
            "vpcId": identifier,
            "availabilityZone": zone,
            "availabilityZoneId": regions.zone_id(zone),
            "cidrBlock": f"10.200.{16 * (3 * row + column)}.0/20",
            "state": "available",
            "ownerId": ACCOUNT,
            "mapPublicIpOnLaunch": tier == "public",
            "tags": {"Name": f"shared-{tier}-{zone}", "Tier": tier},
        }
        for row, tier in enumerate(("public", "private", "isolated"))
        for column, zone in enumerate(regions.zones(region)[:3])
    ]
    return vpc, subnets


def _matches(call: _Call, item: Result) -> bool:
    tags: Mapping[str, str] = item.get("tags") or {}
    wanted: Mapping[str, str] = call.get("tags", {})
    names = {"vpc-id": "vpcId", "subnet-id": "id", "availability-zone": "availabilityZone"}
    for entry in call.get("filters", []):
        name, values = str(entry["name"]), entry["values"]
        value = tags.get(name[4:]) if name.startswith("tag:") else item.get(names.get(name, name))
        if not any(_like(str(value), str(pattern)) for pattern in values):
            return False
    return all(tags.get(key) == value for key, value in wanted.items())


def _like(value: str, pattern: str) -> bool:
    return re.fullmatch(re.escape(pattern).replace(r"\*", ".*"), value) is not None


def _vpcs_and_subnets(call: _Call) -> tuple[list[Result], list[Result]]:
    vpc, subnets = _own_vpc(call.region)

    def made(kind: str) -> list[Result]:
        return [{**row.outputs, "id": row.id} for row in call.store.all(kind) if row.region == call.region]

    return [vpc, *made("aws:ec2/vpc:Vpc")], [*subnets, *made("aws:ec2/subnet:Subnet")]


@_function("ec2/getVpc:getVpc")
def _vpc(call: _Call) -> Result:
    found = [
        vpc
        for vpc in _vpcs_and_subnets(call)[0]
        if call.get("id", vpc["id"]) == vpc["id"]
        and call.get("cidrBlock", vpc["cidrBlock"]) == vpc["cidrBlock"]
        and _matches(call, {**vpc, "vpcId": vpc["id"]})
    ]
    if len(found) != 1:
        wanted = dict(call.args)
        raise ProviderError(f"{'no' if not found else 'more than one'} EC2 VPC matched {json.dumps(wanted)}")
    return found[0]


@_function("ec2/getSubnets:getSubnets")
def _subnets(call: _Call) -> Result:
    found = [item["id"] for item in _vpcs_and_subnets(call)[1] if _matches(call, item)]
    return {"ids": found, "id": call.region}


@_function("ec2/getSubnet:getSubnet")
def _subnet(call: _Call) -> Result:
    for item in _vpcs_and_subnets(call)[1]:
        if call.get("id", item["id"]) == item["id"] and _matches(call, item):
            return {**item, "arn": f"arn:aws:ec2:{call.region}:{ACCOUNT}:subnet/{item['id']}"}
    raise ProviderError(f"no EC2 Subnet matched {json.dumps(dict(call.args))}")


@_function("route53/getZone:getZone")
def _zone(call: _Call) -> Result:
    name = str(call.get("name", "")).rstrip(".")
    for row in call.store.all("aws:route53/zone:Zone"):
        if call.get("zoneId", row.id) == row.id and name in ("", str(row.outputs["name"]).rstrip(".")):
            return {**row.outputs, "id": row.id, "resourceRecordSetCount": 2}
    if not any(f".{name}".endswith(f".{domain}") for domain in RESERVED_DOMAINS):
        raise ProviderError(f"no matching Route 53 Hosted Zone found: {name or call.get('zoneId')}")
    part = stable(12, "zone", name, alphabet="up")
    identifier = f"Z{part}{stable(8, 'zone', part, alphabet='up')}"
    return {
        "id": identifier,
        "zoneId": identifier,
        "arn": f"arn:aws:route53:::hostedzone/{identifier}",
        "name": name,
        "nameServers": [f"ns-{256 * n}.awsdns-{n:02}.{top}" for n, top in enumerate(("com", "net", "org"))],
        "primaryNameServer": "ns-0.awsdns-00.com",
        "privateZone": False,
        "resourceRecordSetCount": 2,
    }


# -- services ------------------------------------------------------------------------------------


def _managed(kind: str, policies: Mapping[str, str]) -> None:
    @_function(f"cloudfront/get{kind}:get{kind}")
    def _(call: _Call) -> Result:
        for name, identifier in policies.items():
            if call.get("name") == name or call.get("id") == identifier:
                return {"id": identifier, "name": name, "etag": "E23ZP02F085DFQ"}
        raise ProviderError(f"name: no CloudFront {kind} {call.get('name') or call.get('id')!r}")


_managed("CachePolicy", _CACHE_POLICIES)
_managed("OriginRequestPolicy", _ORIGIN_REQUEST_POLICIES)
_managed("ResponseHeadersPolicy", _RESPONSE_HEADERS_POLICIES)


@_function("ssm/getParameter:getParameter")
def _parameter(call: _Call) -> Result:
    name = str(call.args["name"])
    row = call.store.get("aws:ssm/parameter:Parameter", call.region, name)
    if row:
        return {**row.outputs, "value": row.inputs.get("value", ""), "insecureValue": "", "id": name}
    if not name.startswith("/aws/service/"):
        raise ProviderError(f"name: couldn't find the parameter {name}")
    return {
        "id": name,
        "arn": f"arn:aws:ssm:{call.region}::parameter{name}",
        "type": "String",
        "value": f"ami-{stable(17, call.region, name, alphabet='hex')}",
        "version": 1,
    }


@_function("eks/getClusterVersions:getClusterVersions")
def _cluster_versions(_: _Call) -> Result:
    versions = [{"clusterVersion": f"1.{minor}", "status": "STANDARD_SUPPORT"} for minor in (36, 35, 34)]
    return {"clusterVersions": versions}


@_function("eks/getAddonVersion:getAddonVersion")
def _addon_version(call: _Call) -> Result:
    return {"version": "v1.0.0-eksbuild.1", "id": call.args["addonName"]}


@_function("rds/getEngineVersion:getEngineVersion")
def _engine_version(call: _Call) -> Result:
    engine = str(call.args["engine"])
    version = call.get("version") or next(iter(call.get("preferredVersions", [])), "17.6")
    family = f"{engine}{str(version).split('.')[0]}"
    return {
        "version": version,
        "versionActual": version,
        "parameterGroupFamily": family,
        "status": "available",
    }


# -- policy documents ----------------------------------------------------------------------------


@_function("iam/getPolicyDocument:getPolicyDocument")
def _policy_document(call: _Call) -> Result:
    """Statements merge by `sid`: those of the sources, then our own, then the overriding ones."""
    document: Result = {"Version": call.get("version", "2012-10-17")}
    if call.get("policyId"):
        document["Id"] = call.get("policyId")
    merged: dict[str, Result] = {}

    def add(statements: list[Result], *, override: bool) -> None:
        for statement in statements:
            sid = statement.get("Sid") or f"\0{len(merged)}"
            if sid in merged and not override:
                raise ProviderError(f"statements: duplicate Sid {sid!r}")
            merged[sid] = statement

    for text in [call.get("sourceJson"), *call.get("sourcePolicyDocuments", [])]:
        add(_statements(text), override=False)
    add([_statement(item) for item in call.get("statements", [])], override=True)
    for text in [*call.get("overridePolicyDocuments", []), call.get("overrideJson")]:
        add(_statements(text), override=True)
    document["Statement"] = list(merged.values())
    text = json.dumps(document, indent=2)
    return {"id": stable(10, text, alphabet="digits"), "json": text, "minifiedJson": json.dumps(document)}


def _statements(text: str | None) -> list[Result]:
    found: Any = json.loads(text).get("Statement", []) if text else []
    return found if isinstance(found, list) else [found]  # pyright: ignore[reportUnknownVariableType]


def _statement(item: Mapping[str, Any]) -> Result:
    statement: Result = {}
    if item.get("sid"):
        statement["Sid"] = item["sid"]
    statement["Effect"] = item.get("effect") or "Allow"
    for name, key in (("actions", "Action"), ("notActions", "NotAction")):
        if item.get(name):
            statement[key] = _one_or_many(item[name])
    for name, key in (("resources", "Resource"), ("notResources", "NotResource")):
        if item.get(name):
            statement[key] = _one_or_many(item[name])
    for name, key in (("principals", "Principal"), ("notPrincipals", "NotPrincipal")):
        if item.get(name):
            statement[key] = _principals(item[name])
    if item.get("conditions"):
        statement["Condition"] = _conditions(item["conditions"])
    return statement


def _principals(items: list[Mapping[str, Any]]) -> Any:
    if any(item["type"] == "*" for item in items):
        return "*"
    found: dict[str, list[str]] = {}
    for item in items:
        found.setdefault(item["type"], []).extend(item["identifiers"])
    return {kind: _one_or_many(names) for kind, names in sorted(found.items())}


def _conditions(items: list[Mapping[str, Any]]) -> Result:
    found: dict[str, dict[str, list[str]]] = {}
    for item in items:
        found.setdefault(item["test"], {}).setdefault(item["variable"], []).extend(item["values"])
    return {
        test: {variable: _one_or_many(values, keep_order=True) for variable, values in variables.items()}
        for test, variables in found.items()
    }


def _one_or_many(values: list[str], *, keep_order: bool = False) -> Any:
    """Terraform writes a single value as a string, and sorts sets downwards."""
    if len(values) == 1:
        return values[0]
    return list(values) if keep_order else sorted(set(values), reverse=True)
