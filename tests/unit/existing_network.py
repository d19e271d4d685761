"""An existing VPC for a stack file. The CIDR blocks of its subnets are within the region's own block."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Any

KINDS = ("public", "private", "isolated", "endpoint")


def existing_vpc(region: Mapping[str, Any], number: int = 1) -> dict[str, Any]:
    """The `existingVpc` of a region's settings.

    There is one /24 subnet for each zone and kind, and one route table for each zone.
    """
    blocks = ipaddress.IPv4Network(str(region["cidr"])).subnets(new_prefix=24)
    zones = range(len(region["availabilityZones"]))
    vpc: dict[str, Any] = {"id": f"vpc-{number:017x}"}
    for kind in KINDS:
        vpc[f"{kind}Subnets"] = [
            {"id": f"subnet-{number:04x}{KINDS.index(kind):x}{zone:012x}", "cidr": str(next(blocks))}
            for zone in zones
        ]
    return vpc | {"routeTableIds": [f"rtb-{number:04x}{zone:013x}" for zone in zones]}
