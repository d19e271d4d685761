"""The origin's names as a tree of Route 53 alias records: its declaration and its resolution.

This module has only plain data and pure functions: `Routing` registers the records that `origin_tree`
declares, and `resolve` follows the same records, so tests can find out without Route 53 where a client's
requests go.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from settings import DomainSettings, ServedLocations


@dataclass(frozen=True)
class Geolocation:
    """Answers clients in one place. The country `*` covers all places that no other record covers."""

    kind: Literal["continent", "country"]
    code: str


@dataclass(frozen=True)
class Latency:
    """Answers clients that have the lowest latency to this AWS region."""

    region: str


@dataclass(frozen=True)
class Failover:
    """Answers while it is healthy (primary), or while the primary is unhealthy (secondary)."""

    role: Literal["PRIMARY", "SECONDARY"]


Policy = Geolocation | Latency | Failover


@dataclass(frozen=True, kw_only=True)
class OriginRecord:
    """An alias A record, for a load balancer or for other records of the tree."""

    logical_name: str
    """Pulumi's logical name, without the tier's prefix."""
    name: str
    """Domain name, which all records of one policy share."""
    set_identifier: str
    """Identifier that is unique among the records with this name."""
    policy: Policy
    load_balancer: str = ""
    """Region of the load balancer that the record leads to."""
    alias: str = ""
    """Otherwise, the name of the records that the record is an alias for."""
    follows_health: bool = True
    """Whether a record that leads to a load balancer is healthy only while its region is. Otherwise, it is an
    alias for the region's own name, which is always healthy."""
    yields_to: str = ""
    """Region, if any, that takes over from this record: the record is unhealthy for as long as that region's
    order intake says that no other region may take writes."""


def origin_tree(names: DomainSettings, regions: Mapping[str, ServedLocations]) -> list[OriginRecord]:
    """The records from the origin's names down to the load balancers. Targets come before records that refer
    to them.

    Args:
        names: the platform's names.
        regions: region → the locations that it serves, beginning with the primary region.

    If a region fails, the next region in the list takes over its reads, and the first takes over from the
    last. So no region takes over from two others, and the order of the list determines which region replaces
    which.

    Writes follow the database and nothing else. They go to the first region, until the second one says that
    no other region may take them: a failure moves no write to a region whose database is read-only, and no
    recovery moves one back. What says so is an item that a procedure writes in the second region
    (`order_intake/gate.py`), so the switch needs neither Route 53's control plane nor the region that is
    lost. AWS calls this "standby takes over primary" ("Creating Disaster Recovery Mechanisms Using Amazon
    Route 53", AWS Networking & Content Delivery Blog; "Appendix B - Edge network global service guidance",
    AWS Fault Isolation Boundaries; both read in November 2026).

    The second region already says so while the procedure pauses orders. So writes leave the first region
    before the database does, and the second region's proxy refuses them until it has a writer. Otherwise,
    writes that order intake doesn't see could reach the first region's old writer after a failover that
    couldn't stop it.
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
        *_writes(names.write_origin, ring),
    ]


def _failover(prefix: str, name: str, regions: Sequence[str]) -> Iterator[OriginRecord]:
    """Failover records for the load balancers of the first region and, if there is one, the second."""
    roles: tuple[Literal["PRIMARY", "SECONDARY"], ...] = ("PRIMARY", "SECONDARY")
    for role, region in zip(roles, regions, strict=False):
        yield OriginRecord(
            logical_name=f"{prefix}-{role.lower()}",
            name=name,
            set_identifier=role.lower(),
            policy=Failover(role),
            load_balancer=region,
        )


def _writes(name: str, regions: Sequence[str]) -> Iterator[OriginRecord]:
    """Records that lead to the first region until the second one says that no other may take writes."""
    second = "".join(regions[1:2])
    for record in _failover("write", name, regions):
        is_primary = record.policy == Failover("PRIMARY")
        yield replace(record, follows_health=False, yields_to=second if is_primary else "")


@dataclass(frozen=True, kw_only=True)
class Client:
    """A DNS client. CloudFront resolves the origin's name, so this is the edge location that a viewer
    uses."""

    continent: str
    country: str
    nearest: Sequence[str]
    """All regions in ascending order of latency."""


@dataclass(frozen=True, kw_only=True)
class Outage:
    """What Route 53 sees. Each kind of failure makes it choose another region for reads."""

    regions: frozenset[str] = field(default_factory=frozenset[str])
    """Regions whose health check fails."""
    load_balancers: frozenset[str] = field(default_factory=frozenset[str])
    """Regions whose load balancer has no healthy target, which `evaluate_target_health` detects."""
    taking_over: frozenset[str] = field(default_factory=frozenset[str])
    """Regions whose order intake answers that no other region may take writes."""


def resolve(tree: Sequence[OriginRecord], name: str, client: Client, outage: Outage) -> str:
    """The region of the load balancer that `name` resolves to for `client`.

    The resolution follows Route 53's: among the records of a name, it selects the first healthy one in the
    policy's order, or the first one if none is healthy ("How Amazon Route 53 chooses records when health
    checking is configured"). For geolocation, the order is from the smallest place to the places that contain
    it.
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
    """Whether a record is healthy. An alias for records is healthy if any of them is."""
    if record.yields_to:
        return record.yields_to not in outage.taking_over
    if not record.follows_health:
        return True
    if record.load_balancer:
        return record.load_balancer not in outage.regions | outage.load_balancers
    return any(_healthy(tree, target, outage) for target in tree if target.name == record.alias)
