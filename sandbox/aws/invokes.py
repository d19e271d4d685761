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

from sandbox.aws.attributes import EMPTY, stable
from sandbox.aws.store import ACCOUNT, Store
from sandbox.rpc import ProviderError
from sandbox.sdk_schema import function

RESERVED_DOMAINS = ("example.com", "example.net", "example.org", "example", "test")
"""Any zone of these names or below exists."""

_PREFIX_LISTS = (
    "com.amazonaws.global.cloudfront.origin-facing",
    "com.amazonaws.{region}.dynamodb",
    "com.amazonaws.{region}.ec2-instance-connect",
    "com.amazonaws.{region}.route53-healthchecks",
    "com.amazonaws.{region}.s3",
)

Result = dict[str, Any]


@dataclass(frozen=True)
class _Call:
    args: Mapping[str, Any]
    region: str
    store: Store


_Answer = Callable[[_Call], Result]
_FUNCTIONS: dict[str, tuple[frozenset[str], _Answer]] = {}


def call(token: str, args: Mapping[str, Any], region: str, store: Store) -> Result:
    """The result of a function; outputs that are not modelled are empty values of their type.

    Raises:
        ProviderError: the function or one of its arguments is not modelled, or AWS would find nothing.
    """
    if token not in _FUNCTIONS:
        raise ProviderError(f"{token} is an AWS function that the sandbox does not know yet")
    known, answer = _FUNCTIONS[token]
    given = {name: value for name, value in args.items() if value is not None}
    for name in given.keys() - known - {"region"}:
        raise ProviderError(f"{token}: {name}: an argument that the sandbox does not know yet")
    found = answer(_Call(given, region, store))
    outputs = {"id": str(found.get("id") or found.get("arn") or region), "region": region, **given, **found}
    schema = function(token).outputs
    for name, prop in schema.items():
        if name not in outputs and prop.required:
            outputs[name] = {} if prop.type.kind == "object" else EMPTY.get(prop.type.kind, "")
    return {name: value for name, value in outputs.items() if name in schema}


def exists(value: str, region: str) -> bool:
    """Whether an id belongs to what the account had before any program ran."""
    if value in {_prefix_list_id(name, region) for name in _names(region)}:
        return True
    vpc = _own_vpc(region)
    if value in (vpc["id"], vpc["arn"]):
        return True
    zone = re.fullmatch(r"(?:arn:aws:route53:::hostedzone/)?Z([A-Z0-9]{12})([A-Z0-9]{8})", value)
    return zone is not None and zone[2] == stable(8, "zone", zone[1], alphabet="up")


def _function(token: str, *arguments: str) -> Callable[[_Answer], _Answer]:
    def register(answer: _Answer) -> _Answer:
        _FUNCTIONS[f"aws:{token}"] = frozenset(arguments), answer
        return answer

    return register


@_function("index/getCallerIdentity:getCallerIdentity")
def _caller_identity(_: _Call) -> Result:
    return {
        "accountId": ACCOUNT,
        "arn": f"arn:aws:iam::{ACCOUNT}:user/sandbox",
        "id": ACCOUNT,
        "userId": "AIDASANDBOXSANDBOXXX1",
    }


def _names(region: str) -> list[str]:
    return [name.format(region=region) for name in _PREFIX_LISTS]


def _prefix_list_id(name: str, region: str) -> str:
    return f"pl-{stable(8, region, name, alphabet='hex')}"


@_function("ec2/getManagedPrefixList:getManagedPrefixList", "name")
def _prefix_list(call: _Call) -> Result:
    name = call.args.get("name", "")
    if name not in _names(call.region):
        raise ProviderError(f"name: no managed prefix list {name!r} in {call.region}")
    identifier = _prefix_list_id(name, call.region)
    return {
        "id": identifier,
        "arn": f"arn:aws:ec2:{call.region}:aws:prefix-list/{identifier}",
        "name": name,
        "addressFamily": "IPv4",
        "ownerId": "AWS",
        "maxEntries": 55 if "cloudfront" in name else 25,
    }


def _own_vpc(region: str) -> Result:
    """The VPC that the account has in each region."""
    identifier = f"vpc-{stable(17, region, 'vpc', alphabet='hex')}"
    return {
        "id": identifier,
        "arn": f"arn:aws:ec2:{region}:{ACCOUNT}:vpc/{identifier}",
        "cidrBlock": "10.200.0.0/16",
        "state": "available",
        "ownerId": ACCOUNT,
        "enableDnsSupport": True,
        "enableDnsHostnames": True,
        "tags": {"Name": "shared"},
    }


@_function("ec2/getVpc:getVpc", "id", "cidrBlock", "tags")
def _vpc(call: _Call) -> Result:
    made = [row for row in call.store.all("aws:ec2/vpc:Vpc") if row.region == call.region]
    every = [_own_vpc(call.region), *({**row.outputs, "id": row.id} for row in made)]
    found = [vpc for vpc in every if all(vpc.get(name) == value for name, value in call.args.items())]
    if len(found) != 1:
        raise ProviderError(
            f"{'no' if not found else 'more than one'} EC2 VPC matched {json.dumps(dict(call.args))}"
        )
    return found[0]


@_function("route53/getZone:getZone", "name", "privateZone")
def _zone(call: _Call) -> Result:
    name = str(call.args.get("name", "")).rstrip(".")
    if call.args.get("privateZone") or not any(
        f".{name}".endswith(f".{domain}") for domain in RESERVED_DOMAINS
    ):
        raise ProviderError(f"no matching Route 53 Hosted Zone found: {name}")
    part = stable(12, "zone", name, alphabet="up")
    identifier = f"Z{part}{stable(8, 'zone', part, alphabet='up')}"
    return {
        "id": identifier,
        "zoneId": identifier,
        "arn": f"arn:aws:route53:::hostedzone/{identifier}",
        "name": name,
        "nameServers": [f"ns-{256 * n}.awsdns-{n:02}.{top}" for n, top in enumerate(("com", "net", "org"))],
        "primaryNameServer": "ns-0.awsdns-00.com",
    }
