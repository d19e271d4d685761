"""Grows each list of a stack file until a quota of AWS stops it, and generates the table of these limits in
`docs/configuration.md`.

Run `python -m tests.unit.quotas` to update the table after an intended change.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, get_args

from settings import Region, Settings
from settings.aws_values import zones
from settings.errors import Problem
from tests.pages import filled, table
from tests.policy.stacks import all_findings, stack_of
from tests.unit.harness import ROOT, deploy_platform, stack_values, without_namespace

PAGE = ROOT / "docs" / "configuration.md"

Values = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Growing:
    """A list of a stack file that grows."""

    what: str
    """Its entries, as the table names them."""
    grow: Callable[[Values, int], None]
    """Gives the stack file's list this number of entries."""
    accepted: int
    """The most entries that are accepted."""
    rule: str = ""
    """The rule of the policy pack that rejects one more; empty if settings do."""
    resource: str = ""
    """Logical name of the resource that the rule rejects."""
    says: str
    """What the error says about one more: the value and the limit."""


def _part(values: Values, *path: str) -> Values:
    found = values.setdefault(f"trading:{path[0]}", {})
    for key in path[1:]:
        found = found.setdefault(key, {})
    return found


def _services(values: Values, count: int, **settings: Callable[[int], object]) -> None:
    services = _part(values, "services")
    for number in range(count - len(services)):
        services[f"service-{number}"] = {
            "listenerPort": 9000 + number,
            **{key: setting(number) for key, setting in settings.items()},
        }


def _services_with_ports(values: Values, count: int) -> None:
    _services(values, count, port=lambda number: 9000 + number)


def _routes(values: Values, count: int, writes: bool = False) -> None:
    routes = _part(values, "api", "routes")
    for number in range(count - 2):  # besides the defaults
        routes[f"/api/route-{number}"] = {"service": "accounts", "writes": writes}


def _writing_routes(values: Values, count: int) -> None:
    # One of the default routes writes.
    _routes(values, count + 1, writes=True)


def _routes_with_an_issuer(values: Values, count: int) -> None:
    _routes(values, count)
    _part(values, "api")["jwt"] = {"issuer": "https://login.example.com", "audience": "trading"}


def _exposed_services(values: Values, count: int) -> None:
    # The defaults expose orders, accounts and market-data.
    _services(values, count)
    routes = _part(values, "api", "routes")
    for number in range(count - 3):
        routes[f"/api/service-{number}"] = {"service": f"service-{number}"}


def _hosts(values: Values, count: int) -> None:
    _part(values, "loadBalancer")["rules"] = [
        {"priority": number, "hosts": [f"host-{number}.example.com"], "forward": "api"}
        for number in range(1, count + 1)
    ]


def _listener_rules(values: Values, count: int) -> None:
    _part(values, "loadBalancer")["rules"] = [
        {"priority": number, "paths": [f"/api/path-{number}"], "respond": {"status": 404}}
        for number in range(1, count + 1)
    ]


def _paths_of_a_rule(values: Values, count: int) -> None:
    paths = [f"/api/path-{number}" for number in range(count)]
    _part(values, "loadBalancer")["rules"] = [{"priority": 1, "paths": paths, "respond": {"status": 404}}]


def _tags(values: Values, count: int) -> None:
    tags = _part(values, "tags")
    for number in range(count - len(tags)):
        tags[f"tag-{number}"] = "x"


def _regions(values: Values, count: int) -> None:
    values["trading:regions"] = [
        {"name": name, "cidr": f"10.{number}.0.0/16", "availabilityZones": list(zones(name)[:2])}
        for number, name in enumerate(get_args(Region)[:count])
    ]
    values["trading:homeRegion"] = values["trading:regions"][0]["name"]


def _zones(values: Values, count: int) -> None:
    (region,) = values["trading:regions"]
    region["availabilityZones"] = list(zones(region["name"])[:count])


def _public_networks(values: Values, count: int) -> None:
    _part(values, "cluster")["publicAccessCidrs"] = [f"203.0.{number}.0/24" for number in range(count)]


def _deployers(values: Values, count: int) -> None:
    _part(values, "cluster")["deployerCidrs"] = [f"10.32.{number}.0/24" for number in range(count)]


def _indexes(values: Values, count: int) -> None:
    _part(values, "tables")["quotes"] = {
        "hashKey": {"name": "id"},
        "billing": "onDemand",
        "indexes": [
            {"name": f"by-{number}", "hashKey": {"name": f"key-{number}"}} for number in range(count)
        ],
    }


def _used_tables(values: Values, count: int) -> None:
    names = [f"table-{number:02}" for number in range(count)]
    _part(values, "tables").update({name: {"hashKey": {"name": "id"}} for name in names})
    _part(values, "services", "accounts")["tables"] = names


def _produced_topics(values: Values, count: int) -> None:
    names = [f"topic-{number:02}" for number in range(count)]
    _part(values, "streaming", "topics").update({name: {"partitions": 1} for name in names})
    _part(values, "services", "market-data")["produces"] = names


def _topics(values: Values, count: int) -> None:
    topics = _part(values, "streaming", "topics")
    for number in range(count - len(topics)):
        topics[f"topic-{number}"] = {}


def _secrets(values: Values, count: int) -> None:
    _part(values, "services", "orders")["secrets"] = {
        f"KEY_{number}": f"trading/key-{number:02}" for number in range(count)
    }


GROWING = [
    Growing(
        what="`services`",
        grow=_services,
        accepted=50,
        says="services: has 51 services, but the internal load balancer accepts only 50 listeners",
    ),
    Growing(
        what="`services` that each have a `port` of their own",
        grow=_services_with_ports,
        accepted=31,
        says="services: the services have 30 different ports for requests and 30 for metrics",
    ),
    Growing(
        what="`api.routes`",
        grow=_routes,
        accepted=148,
        says="api.routes: has 149 routes, which need 302 resources of API Gateway, but an API accepts only "
        "300",
    ),
    Growing(
        what="`api.routes` with `writes`",
        grow=_writing_routes,
        accepted=35,
        says="routes: 37 paths, including /api/orders, need their own cache behaviors because of writes, "
        "but a CloudFront distribution has room for 36",
    ),
    Growing(
        what="`api.routes` with `api.jwt`",
        grow=_routes_with_an_issuer,
        accepted=14,
        rule="function-environment-fits",
        resource="api-us-east-1-token-authorizer",
        says="environment.variables have 4,284 bytes, of which ROUTES has the most, but Lambda accepts 4,096",
    ),
    Growing(
        what="services that `api.routes` expose",
        grow=_exposed_services,
        accepted=48,
        says="api.routes: expose 49 services, each with a scope of its own, but a client of the user pool "
        "accepts only 48",
    ),
    Growing(
        what="`hosts` of `loadBalancer.rules`",
        grow=_hosts,
        accepted=7,
        says="loadBalancer.rules: name 8 hosts in addition to small.trade.example.com, but a region's "
        "certificate has room for only 7",
    ),
    Growing(
        what="`loadBalancer.rules`",
        grow=_listener_rules,
        accepted=48,
        says="loadBalancer.rules[48].priority: 49: must be less than or equal to 48",
    ),
    Growing(
        what="`paths` of one of `loadBalancer.rules`",
        grow=_paths_of_a_rule,
        accepted=5,
        says="priority 1 has 6 condition values (hosts, paths), but a listener rule can have only 5",
    ),
    Growing(
        what="`tags`",
        grow=_tags,
        accepted=7,
        says="tags: has 8 tags, but a Route 53 health check accepts only 7",
    ),
    Growing(
        what="`regions`",
        grow=_regions,
        accepted=11,
        says="regions: has 12 regions, but Aurora's global database accepts only 11",
    ),
    Growing(
        what="`availabilityZones` of a region",
        grow=_zones,
        accepted=3,
        says='"us-east-1d"]: must have at most 3 items after validation, not 4',
    ),
    Growing(
        what="`cluster.publicAccessCidrs`",
        grow=_public_networks,
        accepted=40,
        says="cluster.publicAccessCidrs: has 41 networks, but a cluster's public endpoint accepts only 40",
    ),
    Growing(
        what="`cluster.deployerCidrs`",
        grow=_deployers,
        accepted=56,
        says="cluster.deployerCidrs has 57 networks. Each needs a rule in the pods' security group, which "
        "has room for only 58",
    ),
    Growing(
        what="`indexes` of a table",
        grow=_indexes,
        accepted=20,
        says="must have at most 20 items after validation, not 21",
    ),
    Growing(
        what="`streaming.topics` with 12 partitions each",
        grow=_topics,
        accepted=119,
        says="streaming.topics: each broker would have 1,507 partitions",
    ),
    Growing(
        what="topics that a service `produces`",
        grow=_produced_topics,
        accepted=58,
        rule="inline-policies-fit",
        resource="market-data-us-east-1-policy",
        says="characters without white space, but IAM accepts 10,240",
    ),
    Growing(
        what="`tables` of a service",
        grow=_used_tables,
        accepted=47,
        rule="inline-policies-fit",
        resource="accounts-us-east-1-policy",
        says="characters without white space, but IAM accepts 10,240",
    ),
    Growing(
        what="`secrets` of a service",
        grow=_secrets,
        accepted=95,
        rule="inline-policies-fit",
        resource="orders-us-east-1-policy",
        says="characters without white space, but IAM accepts 10,240",
    ),
]
"""Every list that a quota of AWS limits, and how it ends."""


def grown(*lists: tuple[Callable[[Values, int], None], int]) -> Values:
    """The keys of the small stack whose lists have grown to these numbers of entries."""
    values = copy.deepcopy(stack_values("small"))
    for grow, count in lists:
        grow(values, count)
    return values


def problems(values: Mapping[str, Any]) -> list[Problem]:
    """The problems that settings have with the keys of a stack file."""
    found = Settings.checked(without_namespace(values))
    return found if isinstance(found, list) else []


def first_refused(growing: Growing) -> int:
    """The fewest entries that settings reject."""
    accepted, refused = 0, 2 * growing.accepted + 10
    while refused - accepted > 1:
        middle = (accepted + refused) // 2
        found = problems(grown((growing.grow, middle)))
        # A list that is too short is rejected for other reasons.
        accepted, refused = (accepted, middle) if found and middle > 1 else (middle, refused)
    return refused


@functools.cache
def errors() -> dict[str, str]:
    """The error of each list with one entry too many."""
    too_long = [(growing.grow, growing.accepted + 1) for growing in GROWING if growing.rule]
    stack = stack_of(deploy_platform("small", grown(*too_long)))
    found = {
        (rule, resource.name): f"{resource.name}: {problem}"
        for rule, resource, problem in all_findings(stack)
    }
    return {
        growing.what: found.get((growing.rule, growing.resource), "nothing")
        if growing.rule
        else "; ".join(map(str, problems(grown((growing.grow, growing.accepted + 1)))))
        for growing in GROWING
    }


def render(page: str) -> str:
    """The page with the current table."""
    rows = [
        [
            growing.what,
            str(growing.accepted),
            f"`{growing.rule}`" if growing.rule else "settings",
            errors()[growing.what].replace("|", r"\|"),
        ]
        for growing in GROWING
    ]
    return filled(page, "limits", table(["List", "Entries", "Checked by", "Error for one more"], rows))


def main() -> None:
    """Writes the table."""
    PAGE.write_text(render(PAGE.read_text()))
    print(f"wrote {PAGE.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
