"""The origin's names as a tree of Route 53 alias records: how it is declared, and how it resolves.

Plain data and pure functions: `Routing` registers what `origin_tree` declares, and `resolve` follows the
same records, so where a client's requests go can be told without Route 53.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from settings import DomainSettings, ServedLocations


@dataclass(frozen=True)
class Geolocation:
    """Answers clients in one place; the country `*` is every place that no other record names."""

    kind: Literal["continent", "country"]
    code: str


@dataclass(frozen=True)
class Latency:
    """Answers clients to whom this AWS region is the nearest."""

    region: str


@dataclass(frozen=True)
class Failover:
    """Answers while it is healthy (primary), or while the primary is not (secondary)."""

    role: Literal["PRIMARY", "SECONDARY"]


Policy = Geolocation | Latency | Failover


@dataclass(frozen=True, kw_only=True)
class OriginRecord:
    """An alias A record, for a load balancer or for other records of the tree."""

    logical_name: str
    """Pulumi's name of it, without the tier's."""
    name: str
    """Its domain name, which all records of one policy share."""
    set_identifier: str
    """What tells it from the others of that name."""
    policy: Policy
    load_balancer: str = ""
    """Region of the load balancer that it is an alias for, under that region's health check."""
    alias: str = ""
    """Else the name of the records that it is an alias for."""


def origin_tree(names: DomainSettings, regions: Mapping[str, ServedLocations]) -> list[OriginRecord]:
    """The records from the origin's names down to the load balancers; targets before what refers to them.

    Args:
        names: the platform's names.
        regions: region → the locations that are its own. The first region is where writes go.

    The next region of the list takes over from one that fails, and the first from the last. So no
    region takes over from two, the order of the list says who stands in for whom, and the first region's
    reads fail over to where its writes do.
    """
    ring = list(regions)
    failover: list[OriginRecord] = []
    latency: list[OriginRecord] = []
    geolocation: list[OriginRecord] = []
    for index, (region, serves) in enumerate(regions.items()):
        name = names.region_origin(region)
        failover += _failover(region, name, ring[index:] + ring[:index])
        latency.append(
            OriginRecord(
                logical_name=f"latency-{region}",
                name=names.latency_origin,
                set_identifier=region,
                policy=Latency(region),
                alias=name,
            )
        )
        geolocation += [
            OriginRecord(
                logical_name=f"geolocation-{place.kind}-{place.code.lower()}",
                name=names.origin,
                set_identifier=f"{place.kind}-{place.code.lower()}",
                policy=place,
                alias=name,
            )
            for place in [
                *(Geolocation("continent", code) for code in serves.continents),
                *(Geolocation("country", code) for code in serves.countries),
            ]
        ]
    default = OriginRecord(
        logical_name="geolocation-default",
        name=names.origin,
        set_identifier="default",
        policy=Geolocation("country", "*"),
        alias=names.latency_origin,
    )
    return [
        *failover,
        *latency,
        *geolocation,
        default,
        *_failover("write", names.write_origin, ring),
    ]


def _failover(prefix: str, name: str, regions: Sequence[str]) -> Iterator[OriginRecord]:
    """From the first region's load balancer to the second's, where there is one."""
    roles: tuple[Literal["PRIMARY", "SECONDARY"], ...] = ("PRIMARY", "SECONDARY")
    for role, region in zip(roles, regions, strict=False):
        yield OriginRecord(
            logical_name=f"{prefix}-{role.lower()}",
            name=name,
            set_identifier=role.lower(),
            policy=Failover(role),
            load_balancer=region,
        )


@dataclass(frozen=True, kw_only=True)
class Client:
    """Who asks. CloudFront resolves the origin's name, so this is the edge location that a viewer uses."""

    continent: str
    country: str
    nearest: Sequence[str]
    """All regions, by rising latency."""


@dataclass(frozen=True, kw_only=True)
class Outage:
    """What fails. Each kind alone makes Route 53 turn away."""

    regions: frozenset[str] = field(default_factory=frozenset[str])
    """Regions whose health check fails."""
    load_balancers: frozenset[str] = field(default_factory=frozenset[str])
    """Regions whose load balancer has no healthy target, which `evaluate_target_health` sees."""


def resolve(tree: Sequence[OriginRecord], name: str, client: Client, outage: Outage) -> str:
    """The region whose load balancer a name of the tree leads a client to.

    As Route 53 does: of the records of a name it takes the first healthy one in the policy's order, and
    where none is healthy, the first ("How Amazon Route 53 chooses records when health checking is
    configured"; for geolocation, the smallest place first, then the places around it).
    """
    choices = sorted(
        (record for record in tree if record.name == name and _applies(record.policy, client)),
        key=lambda record: _preference(record.policy, client),
    )
    chosen = next((record for record in choices if _healthy(tree, record, outage)), choices[0])
    return chosen.load_balancer or resolve(tree, chosen.alias, client, outage)


def _applies(policy: Policy, client: Client) -> bool:
    match policy:
        case Geolocation(kind="continent", code=code):
            return code == client.continent
        case Geolocation(code=code):
            return code in ("*", client.country)
        case _:
            return True


def _preference(policy: Policy, client: Client) -> int:
    match policy:
        case Geolocation(kind="country", code="*"):
            return 2
        case Geolocation(kind=kind):
            return int(kind == "continent")
        case Latency(region=region):
            return client.nearest.index(region)
        case Failover(role=role):
            return int(role == "SECONDARY")


def _healthy(tree: Sequence[OriginRecord], record: OriginRecord, outage: Outage) -> bool:
    """An alias for records is as healthy as the best of them."""
    if record.load_balancer:
        return record.load_balancer not in outage.regions | outage.load_balancers
    return any(_healthy(tree, target, outage) for target in tree if target.name == record.alias)
