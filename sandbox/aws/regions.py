"""AWS's regions and the values that are fixed for each region.

Sources: cfn-lint (the list of regions); *AWS Regions and Availability Zones*; *Elastic Load Balancing
endpoints and quotas* (the load balancers' hosted zones).
"""

from __future__ import annotations

import functools
import re

from sandbox.aws import cfn_lint

# Letters of the zones, for regions in which an account doesn't have exactly a, b and c.
_ZONES = {
    "ap-northeast-1": "acd",
    "ap-northeast-2": "abcd",
    "ca-central-1": "abd",
    "us-east-1": "abcdef",
    "us-west-1": "ac",
    "us-west-2": "abcd",
}

# Region → hosted zones of Application and Classic Load Balancers, and of Network Load Balancers.
LOAD_BALANCER_ZONES = {
    "ap-northeast-1": ("Z14GRHDCWA56QT", "Z31USIVHYNEOWT"),
    "ap-northeast-2": ("ZWKZPGTI48KDX", "ZIBE1TIR4HY56"),
    "ap-south-1": ("ZP97RAFLXTNZK", "ZVDDRBQ08TROA"),
    "ap-southeast-1": ("Z1LMS91P8CMLE5", "ZKVM4W9LS7TM"),
    "ap-southeast-2": ("Z1GM3OXH4ZPM65", "ZCT6FZBF4DROD"),
    "ca-central-1": ("ZQSVJUPU6J1EY", "Z2EPGBW3API2WT"),
    "eu-central-1": ("Z215JYRZR1TBD5", "Z3F0SRJ5LGBH90"),
    "eu-north-1": ("Z23TAZ6LKFMNIO", "Z1UDT6IFJ4EJM"),
    "eu-west-1": ("Z32O12XQLNTSW2", "Z2IFOLAFXWLO4F"),
    "eu-west-2": ("ZHURV8PSTC4K8", "ZD4D7Y8KGAS4G"),
    "eu-west-3": ("Z3Q77PNBQS71R4", "Z1CMS0P5QUZ6D5"),
    "sa-east-1": ("Z2P70J7HTTTPLU", "ZTK26PT1VY4CU"),
    "us-east-1": ("Z35SXDOTRQ7X7K", "Z26RNL4JYFTOTI"),
    "us-east-2": ("Z3AADJGX6KTTL2", "ZLMOA37VPKANP"),
    "us-west-1": ("Z368ELLRRE2KJ0", "Z24FKFUX50B4VW"),
    "us-west-2": ("Z1H1FL5HABSF5", "Z18D5FSROUN65G"),
}


@functools.cache
def names() -> frozenset[str]:
    """The names of all commercial regions."""
    folder = cfn_lint.data() / "schemas" / "providers"
    found = (item.name.removesuffix(".json") for item in folder.iterdir())
    return frozenset(
        name for name in found if re.fullmatch(r"[a-z]{2}-[a-z]+-\d", name) and not name.startswith("cn-")
    )


def zones(region: str) -> list[str]:
    """The names of a region's Availability Zones, such as `eu-west-1a`."""
    return [f"{region}{letter}" for letter in _ZONES.get(region, "abc")]


def zone_id(zone: str) -> str:
    """The id of an Availability Zone, such as `euw1-az1` for `eu-west-1a`."""
    area, direction, number = zone[:-1].rsplit("-", 2)
    short = re.sub("(north|south|east|west|central)", lambda word: word[0][0], direction)
    position = zones(zone[:-1]).index(zone) + 1
    return f"{area.replace('-', '')}{short}{number}-az{position}"
