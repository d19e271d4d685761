"""The resources that exist in the sandbox's account before any deployment: those that the stack files
require.

Stack files name existing resources: the public hosted zone, VPCs with their subnets and route tables, IAM
roles and secrets. In the sandbox they exist because a stack file names them. Other zones or VPCs don't exist,
and the sandbox rejects references to them as AWS would.

The program validates the settings. This module ignores everything in them that it doesn't understand.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sandbox.aws import regions
from sandbox.aws.attributes import NAME_SERVERS, stable
from sandbox.aws.store import ACCOUNT, ARN, PREFIXED_ID, Row, strings
from sandbox.values import is_dict, is_list
from settings.aws_limits import SERVICE_NAME

ZONE = "aws:route53/zone:Zone"
VPC = "aws:ec2/vpc:Vpc"
SUBNET = "aws:ec2/subnet:Subnet"
ROUTE_TABLE = "aws:ec2/routeTable:RouteTable"
ROUTE_TABLE_ASSOCIATION = "aws:ec2/routeTableAssociation:RouteTableAssociation"
INTERNET_GATEWAY = "aws:ec2/internetGateway:InternetGateway"
NAT_GATEWAY = "aws:ec2/natGateway:NatGateway"
VPC_ENDPOINT = "aws:ec2/vpcEndpoint:VpcEndpoint"
CLUSTER = "aws:eks/cluster:Cluster"
ROLE = "aws:iam/role:Role"
POLICY = "aws:iam/policy:Policy"
BUCKET = "aws:s3/bucket:Bucket"
BUCKET_POLICY = "aws:s3/bucketPolicy:BucketPolicy"
KEY = "aws:kms/key:Key"
ALIAS = "aws:kms/alias:Alias"
SERVICE_LINKED_ROLE = "aws:iam/serviceLinkedRole:ServiceLinkedRole"
IDENTITY_PROVIDER = "aws:iam/openIdConnectProvider:OpenIdConnectProvider"
CACHE_RULE = "aws:ecr/pullThroughCacheRule:PullThroughCacheRule"
SECRET = "aws:secretsmanager/secret:Secret"  # noqa: S105 (a type)

Values = dict[str, Any]


@dataclass(frozen=True)
class Account:
    """Resources that exist in the account without having been deployed.

    Attributes:
        files: names of the stack files from which the account was read, for errors.
    """

    resources: tuple[Row, ...] = ()
    files: tuple[str, ...] = ()

    @classmethod
    def of(cls, configurations: Iterable[Mapping[str, Any]], files: Iterable[str] = ()) -> Account:
        """The account that the stacks require.

        Args:
            configurations: the `config` mapping of each stack file.
            files: the stack files' names.
        """
        rows: dict[tuple[str, str, str, str], Row] = {}
        for configuration in configurations:
            values = _settings(configuration)
            for row in (*_zones(values), *_networks(values), *_secrets(values), *_named(values)):
                rows.setdefault(row.key, row)
        described = frozenset[str]().union(*(row.owned() for row in rows.values() if row.type))
        kept = (row for row in rows.values() if row.type or row.id not in described)
        return cls(tuple(kept), tuple(files))

    @property
    def hint(self) -> str:
        """The end of an error about a resource that doesn't exist; empty if no stack file was read."""
        if not self.files:
            return ""
        return f"; the sandbox only has deployed resources and those that {', '.join(self.files)} name"


NOTHING = Account()
"""An account in which only deployed resources exist."""


def _row(kind: str, region: str, identifier: str, arn: str, inputs: Values, **more: Any) -> Row:
    outputs = {**inputs, "id": identifier, "arn": arn, **more}
    return Row(kind, region, identifier, "", arn, f"account::{identifier}", inputs, outputs)


# -- reading ------------------------------------------------------------------------------------


def _settings(configuration: Mapping[str, Any]) -> Values:
    """Key without its namespace → value. Values that the engine stores as JSON are parsed."""
    return {str(key).rsplit(":", 1)[-1]: _value(value) for key, value in configuration.items()}


def _value(value: Any) -> Any:
    if isinstance(value, str) and value.lstrip().startswith(("{", "[")):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value


def _get(value: Any, *names: str) -> Any:
    for name in names:
        value = value.get(name) if is_dict(value) else None
    return value


def _items(value: Any) -> Iterator[Values]:
    """The items of a list, or of a mapping by name, each with its `name`."""
    if is_dict(value):
        value = [{"name": str(name), **item} for name, item in value.items() if is_dict(item)]
    yield from (item for item in value if is_dict(item)) if is_list(value) else ()


def _texts(value: Any) -> list[str]:
    return [item for item in value if isinstance(item, str)] if is_list(value) else []


# -- resources that the settings name -----------------------------------------------------------


def _zones(values: Values) -> Iterator[Row]:
    name = _get(values, "domain", "zone")
    if not isinstance(name, str) or not name:
        return
    name = name.rstrip(".")
    part = stable(12, "zone", name, alphabet="up")
    identifier = f"Z{part}{stable(8, 'zone', part, alphabet='up')}"
    arn = f"arn:aws:route53:::hostedzone/{identifier}"
    more = {"zoneId": identifier, "nameServers": list(NAME_SERVERS), "primaryNameServer": NAME_SERVERS[0]}
    yield _row(ZONE, "", identifier, arn, {"name": name}, **more)


def _networks(values: Values) -> Iterator[Row]:
    for region in _items(values.get("regions")):
        name, existing = region.get("name"), region.get("existingVpc")
        if isinstance(name, str) and is_dict(existing) and isinstance(existing.get("id"), str):
            yield from _Network(name, existing["id"]).rows(region, existing)


@dataclass(frozen=True)
class _Network:
    """An existing VPC in a region, with everything in it."""

    region: str
    vpc: str

    def rows(self, region: Values, existing: Values) -> Iterator[Row]:
        """The VPC, its internet gateway, its endpoints, and its subnets with the routes of their kind."""
        yield self._vpc(region.get("cidr"))
        yield from map(self._interface_endpoint, _texts(existing.get("interfaceEndpoints")))
        gateway = self._id("igw", "")
        yield self._row(INTERNET_GATEWAY, gateway, "internet-gateway")
        zones = _texts(region.get("availabilityZones"))
        given = iter(_texts(existing.get("routeTableIds")))
        nats: list[str] = []
        for kind in ("public", "private", "isolated", "endpoint"):
            for index, subnet in enumerate(_items(existing.get(f"{kind}Subnets"))):
                identifier = str(subnet.get("id", ""))
                yield self._subnet(identifier, subnet.get("cidr"), zones[index : index + 1])
                if kind == "public":
                    nats.append(self._id("nat", identifier))
                    yield self._row(NAT_GATEWAY, nats[-1], "natgateway", subnetId=identifier)
                # The given tables belong to the private subnets. They also get the gateway endpoints.
                table = next(given, "") if kind == "private" else ""
                targets = {
                    "public": {"gatewayId": gateway},
                    "private": {"natGatewayId": nats[min(index, len(nats) - 1)]} if nats else {},
                }.get(kind, {})
                yield from self._routes(identifier, table or self._id("rtb", identifier), targets)
        for table in given:
            yield self._table(table, {})

    def _vpc(self, block: Any) -> Row:
        table = self._id("rtb", "main")
        return _row(
            VPC,
            self.region,
            self.vpc,
            self._arn("vpc", self.vpc),
            {"cidrBlock": str(block or ""), "enableDnsHostnames": True, "enableDnsSupport": True},
            defaultRouteTableId=table,
            defaultSecurityGroupId=self._id("sg", "default"),
            instanceTenancy="default",
            mainRouteTableId=table,
            ownerId=ACCOUNT,
            state="available",
        )

    def _interface_endpoint(self, service: str) -> Row:
        return self._row(
            VPC_ENDPOINT,
            self._id("vpce", service),
            "vpc-endpoint",
            serviceName=SERVICE_NAME.format(region=self.region, service=service),
            vpcEndpointType="Interface",
            privateDnsEnabled=True,
            state="available",
        )

    def _subnet(self, identifier: str, block: Any, zones: Sequence[str]) -> Row:
        zone = zones[0] if zones else ""
        known = zone in regions.zones(self.region)
        return self._row(
            SUBNET,
            identifier,
            "subnet",
            availabilityZone=zone,
            availabilityZoneId=regions.zone_id(zone) if known else "",
            cidrBlock=str(block or ""),
            state="available",
        )

    def _routes(self, subnet: str, table: str, target: Values) -> Iterator[Row]:
        yield self._table(table, target)
        yield self._row(
            ROUTE_TABLE_ASSOCIATION, self._id("rtbassoc", subnet), subnetId=subnet, routeTableId=table
        )

    def _table(self, identifier: str, target: Values) -> Row:
        routes = [{"cidrBlock": "0.0.0.0/0", **target}] if target else []
        return self._row(ROUTE_TABLE, identifier, "route-table", routes=routes)

    def _row(self, kind: str, identifier: str, path: str = "", **inputs: Any) -> Row:
        arn = self._arn(path, identifier) if path else ""
        return _row(kind, self.region, identifier, arn, {"vpcId": self.vpc, **inputs}, ownerId=ACCOUNT)

    def _arn(self, path: str, identifier: str) -> str:
        return f"arn:aws:ec2:{self.region}:{ACCOUNT}:{path}/{identifier}"

    def _id(self, prefix: str, *parts: str) -> str:
        return f"{prefix}-{stable(17, self.region, self.vpc, *parts, alphabet='hex')}"


def _secrets(values: Values) -> Iterator[Row]:
    """The secrets that services use. A secret that is given by name exists in every region of its stack."""
    places = [str(region.get("name")) for region in _items(values.get("regions"))]
    for service in _items(values.get("services")):
        secrets = service.get("secrets")
        for name in _texts(list(secrets.values()) if is_dict(secrets) else secrets):
            for region in places if not name.startswith("arn:") else ():
                suffix = stable(6, region, name, alphabet="mixed")
                arn = f"arn:aws:secretsmanager:{region}:{ACCOUNT}:secret:{name}-{suffix}"
                yield _row(SECRET, region, arn, arn, {"name": name})


def _named(values: Values) -> Iterator[Row]:
    """The resources that the settings name by ARN, or by an id of a known form, at any place."""
    for text in strings(values):
        match = ARN.fullmatch(text)
        if match is None:
            if PREFIXED_ID.fullmatch(text):
                yield _row("", "", text, "", {})
            continue
        service, region, _, resource = match.groups()
        if service == "iam" and resource.startswith("role/"):
            yield _row(ROLE, "", resource.rsplit("/", 1)[-1], text, {"name": resource.rsplit("/", 1)[-1]})
        elif service == "secretsmanager":
            name = re.sub("-[A-Za-z0-9]{6}$", "", resource.removeprefix("secret:"))
            yield _row(SECRET, region, text, text, {"name": name})
        else:
            yield _row("", "", text, text, {})
