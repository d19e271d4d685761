"""A VPC that a stack file may name: the ids and blocks of its subnets, cut from a region's own block."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Any

KINDS = ("public", "private", "isolated", "endpoint")


def existing_vpc(region: Mapping[str, Any], number: int = 1) -> dict[str, Any]:
    """The `existingVpc` of a region's settings: a /24 a zone and kind, and a route table a zone."""
    blocks = ipaddress.IPv4Network(str(region["cidr"])).subnets(new_prefix=24)
    zones = range(len(region["availabilityZones"]))
    vpc: dict[str, Any] = {"id": f"vpc-{number:017x}"}
    for kind in KINDS:
        vpc[f"{kind}Subnets"] = [
            {"id": f"subnet-{number:04x}{KINDS.index(kind):x}{zone:012x}", "cidr": str(next(blocks))}
            for zone in zones
        ]
    return vpc | {"routeTableIds": [f"rtb-{number:04x}{zone:013x}" for zone in zones]}
