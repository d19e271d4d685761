"""Settings of the regions and their networks."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from settings.aws_limits import (
    BROKER_ZONES,
    LARGEST_BLOCK,
    LEAST_ZONES,
    ROUTE_TABLE_ID,
    SMALLEST_BLOCK,
    SUBNET_ID,
    VPC_ID,
)
from settings.aws_values import zones as zones_of
from settings.countries import Continent, LocatedCountry
from settings.model import Broken, Cidr, Model, refuse_duplicates, rule

_RFC_1918 = [ipaddress.IPv4Network(block) for block in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")]


def _vpc_cidr(value: str) -> str:
    try:
        network = ipaddress.IPv4Network(value)
    except ValueError as error:
        raise ValueError(f"must be an IPv4 network such as 10.0.0.0/16 ({error})") from error
    if not any(network.subnet_of(private) for private in _RFC_1918):
        raise ValueError("must be a private network (RFC 1918), such as 10.0.0.0/16")
    if not LARGEST_BLOCK <= network.prefixlen <= 20:
        raise ValueError(
            f"must be between /{LARGEST_BLOCK} (the largest VPC) and /20 (the smallest that holds the "
            f"subnets), not /{network.prefixlen}"
        )
    return value


Region = Literal[
    "us-east-1",
    "us-east-2",
    "us-west-2",
    "ca-central-1",
    "eu-central-1",
    "eu-west-1",
    "eu-west-2",
    "eu-west-3",
    "eu-north-1",
    "ap-southeast-1",
    "ap-southeast-2",
    "ap-northeast-1",
]
"""The regions in which data can be stored. Agree any addition with whoever is responsible for data residency.
Policies apply the same list to every resource."""
InterfaceService = Literal[
    "aps-workspaces", "ecr.api", "ecr.dkr", "eks-auth", "logs", "secretsmanager", "sts"
]
INTERFACE_SERVICES: tuple[InterfaceService, ...] = get_args(InterfaceService)
"""Services that nodes and pods call constantly: metric queries, images, Pod Identity, logs, secrets,
credentials. They have an interface endpoint with private DNS in each VPC. Other services are reached through
NAT, because every interface endpoint is billed per hour and zone."""
VpcCidr = Annotated[str, AfterValidator(_vpc_cidr)]


@dataclass(frozen=True)
class SubnetPlan:
    """The address blocks of one VPC's subnets. Each list has one block per zone."""

    public: tuple[str, ...]
    private: tuple[str, ...]
    isolated: tuple[str, ...]
    endpoint: tuple[str, ...]


class ExistingSubnet(Model):
    """A subnet of an existing VPC. The program derives fixed endpoint addresses from its block."""

    id: str = Field(pattern=SUBNET_ID, examples=["subnet-0123456789abcdef0"])
    """The subnet's id."""
    cidr: Cidr
    """The subnet's block, such as 10.0.0.0/24."""


class ExistingVpc(Model):
    """An existing VPC and its subnets. Each list has one subnet per zone, in the order of the zones."""

    id: str = Field(pattern=VPC_ID, examples=["vpc-0123456789abcdef0"])
    """The VPC's id."""
    public_subnets: list[ExistingSubnet]
    """Subnets with a route to the internet, for the public load balancer."""
    private_subnets: list[ExistingSubnet]
    """Subnets that reach the internet through NAT, for the nodes and the internal load balancer."""
    isolated_subnets: list[ExistingSubnet]
    """Subnets without a route to the internet, for the data stores."""
    endpoint_subnets: list[ExistingSubnet]
    """Subnets for interface endpoints, with 16 addresses or more. The ninth address of each must be free."""
    route_table_ids: list[
        Annotated[str, Field(pattern=ROUTE_TABLE_ID, examples=["rtb-0123456789abcdef0"])]
    ] = []
    """Route tables that get the S3 and DynamoDB gateway endpoints. Leave out those that have such endpoints
    already."""
    interface_endpoints: list[InterfaceService] = []
    """Services for which the VPC already has an interface endpoint with private DNS. The platform uses these
    endpoints instead of creating its own, because a VPC can have only one private DNS name for a service.
    Their security groups must allow HTTPS from the VPC's block."""

    @field_validator("interface_endpoints")
    @classmethod
    def _distinct_endpoints(cls, services: list[InterfaceService]) -> list[InterfaceService]:
        refuse_duplicates("service", services)
        return services

    @field_validator("route_table_ids")
    @classmethod
    def _distinct_route_tables(cls, tables: list[str]) -> list[str]:
        refuse_duplicates("route table", tables)
        return tables

    @rule
    def _distinct_subnets(self) -> Iterator[Broken]:
        seen: list[ExistingSubnet] = []
        for kind in ("public", "private", "isolated", "endpoint"):
            for index, subnet in enumerate(getattr(self, f"{kind}_subnets")):
                where = (f"{kind}Subnets", index)
                block = ipaddress.IPv4Network(subnet.cidr)
                if block.prefixlen > SMALLEST_BLOCK:
                    yield Broken(
                        f"{subnet.cidr}: a subnet must be a /{SMALLEST_BLOCK} or larger", (*where, "cidr")
                    )
                for other in seen:
                    if other.id == subnet.id:
                        yield Broken(f"{subnet.id} is given twice; each must be unique", (*where, "id"))
                    elif block.overlaps(ipaddress.IPv4Network(other.cidr)):
                        yield Broken(
                            f"{subnet.cidr} overlaps {other.cidr} of {other.id}; subnets must not overlap",
                            (*where, "cidr"),
                        )
                seen.append(subnet)


class ServedLocations(Model):
    """Places whose reads always go to one region while it is healthy, regardless of latency.

    CloudFront resolves the origin's name, so a place is the location of the viewer's edge location. That is
    usually near the viewer, but it doesn't guarantee data residency.
    """

    continents: list[Continent] = []
    """Route 53's codes: AF Africa, AN Antarctica, AS Asia, EU Europe, NA North America, OC Oceania,
    SA South America."""
    countries: list[LocatedCountry] = []
    """ISO 3166-1 alpha-2 codes. A country takes precedence over its continent."""


class RegionSettings(Model):
    """One region of the platform."""

    name: Region = Field(examples=["us-east-1"])
    """AWS's name of the region."""
    cidr: VpcCidr
    """Block of the region's VPC, /16 to /20, such as 10.0.0.0/16. The regions' blocks must not overlap."""
    availability_zones: list[str] = Field(min_length=LEAST_ZONES, max_length=BROKER_ZONES)
    """Names of two or three zones. Use three in production: MSK and Aurora keep a copy in each. MSK supports
    no more than three."""
    nat_gateways: Literal["perZone", "one"] = "perZone"
    """One NAT gateway per zone survives the loss of a zone; a single one is cheaper. The number of interface
    endpoints follows it."""
    existing_vpc: ExistingVpc | None = None
    serves: ServedLocations = ServedLocations()
    """Places that this region serves. All other places use the region with the lowest latency."""

    @field_validator("availability_zones")
    @classmethod
    def _distinct_zones(cls, zones: list[str], info: ValidationInfo) -> list[str]:
        region: str = info.data.get("name", "")  # empty if the name itself is wrong
        for zone in zones if region else ():
            if zone not in zones_of(region):
                raise ValueError(
                    f"{zone} is not a zone of {region}; its zones are {', '.join(zones_of(region))}"
                )
        if len(set(zones)) != len(zones):
            raise ValueError("contains a zone twice; each must be unique")
        return zones

    @rule
    def _one_existing_subnet_a_zone(self) -> Iterator[Broken]:
        if self.existing_vpc:
            for kind in ("public", "private", "isolated", "endpoint"):
                subnets = getattr(self.existing_vpc, f"{kind}_subnets")
                if len(subnets) != len(self.availability_zones):
                    yield Broken(
                        f"existingVpc.{kind}Subnets has {len(subnets)} subnets for "
                        f"{len(self.availability_zones)} zones; give one subnet per zone"
                    )

    def subnet_plan(self) -> SubnetPlan:
        """Divides the VPC's block into subnets.

        The block has eight parts. The first four are for private subnets, which are the largest because pods
        run there. The fifth and the sixth are each divided by four, for public and isolated subnets. The
        seventh has one /28 (AWS's smallest subnet) per zone for interface endpoints. The last is a reserve.
        The result doesn't depend on the number of zones, so adding a zone changes no other subnet.
        """
        zones = len(self.availability_zones)
        eighths = list(ipaddress.IPv4Network(self.cidr).subnets(prefixlen_diff=3))

        def cut(block: ipaddress.IPv4Network, prefix: int) -> tuple[str, ...]:
            blocks = block.subnets(new_prefix=prefix)
            return tuple(str(next(blocks)) for _ in range(zones))

        return SubnetPlan(
            private=tuple(str(block) for block in eighths[:zones]),
            public=cut(eighths[4], eighths[4].prefixlen + 2),
            isolated=cut(eighths[5], eighths[5].prefixlen + 2),
            endpoint=cut(eighths[6], SMALLEST_BLOCK),
        )
