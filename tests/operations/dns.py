"""Route 53 as a stack's graph configures it: its records, its health checks, and what they answer.

The records and checks are those that the program registers, so this resolver knows nothing of how they were
meant. `components.routing_tree.resolve` follows the plan; a test compares both.
"""

from __future__ import annotations

import functools
import itertools
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import pulumi
import pulumi_aws as aws

from components.load_balancer import TargetsAlarm
from components.routing import RegionalOrigin, Routing, RoutingArgs
from components.routing_tree import Client, Outage, origin_tree, resolve
from settings import DomainSettings, ServedLocations
from tests.unit.harness import Graph, Registered, context, deploy

A, B = "us-east-1", "eu-west-1"
NAMES = DomainSettings(zone="example.com", host="trade.example.com")
SERVES = {A: ServedLocations(), B: ServedLocations(continents=["EU"])}
"""The regions of the fixture stack `full`."""
PLACES = (
    Client(continent="EU", country="DE", nearest=[A, B]),
    Client(continent="NA", country="US", nearest=[A, B]),
    Client(continent="AS", country="JP", nearest=[B, A]),
)
SUBSETS = [frozenset[str](), frozenset({A}), frozenset({B}), frozenset({A, B})]
CLOSED = '{"orders": "closed", "otherRegions": "closed"}'
OPEN = '{"orders": "closed", "otherRegions": "open"}'

HEALTH_CHECK = "aws:route53/healthCheck:HealthCheck"


@dataclass(frozen=True)
class Seen:
    """What health checkers and Route 53 see of the regions.

    Args:
        healthy: regions whose `/healthz` answers 200.
        targets: regions whose load balancer has enough healthy targets.
        answers: region → the body of `/healthz?orders`, if the region answers.
    """

    healthy: frozenset[str]
    targets: frozenset[str]
    answers: Mapping[str, str]


@dataclass(frozen=True)
class Route53:
    """The records and health checks of a graph.

    Args:
        graph: what the program registered.
        balancers: name of a public load balancer → its region.
        changed: logical name of a health check → properties that somebody has changed by hand.
    """

    graph: Graph
    balancers: Mapping[str, str]
    changed: Mapping[str, Mapping[str, Any]] = field(default_factory=dict[str, Mapping[str, Any]])

    def resolve(self, name: str, client: Client, seen: Seen) -> str:
        """The region that a name leads a client to.

        Among the records of a name, Route 53 takes the first healthy one in the order of their policy, or the
        first one if none is healthy ("How Amazon Route 53 chooses records when health checking is
        configured", Route 53 Developer Guide, read in November 2026).
        """
        choices = sorted(
            (record for record in self._records[name] if _order(record.inputs, client) is not None),
            key=lambda record: _order(record.inputs, client) or 0,
        )
        chosen = next((record for record in choices if self._is_healthy(record, seen)), choices[0])
        target = _alias(chosen)["name"]
        return self.balancers.get(target) or self.resolve(target, client, seen)

    def check(self, name: str) -> Mapping[str, Any]:
        """The properties of a health check, with what somebody has changed."""
        found = self.graph.named(name, HEALTH_CHECK)
        return {**found.inputs, **self.changed.get(name, {})}

    @cached_property
    def _records(self) -> Mapping[str, list[Registered]]:
        """Name → its records."""
        found = defaultdict[str, list[Registered]](list)
        for record in self.graph.of("aws:route53/record:Record"):
            if record.inputs["type"] == "A":
                found[record.inputs["name"]].append(record)
        return found

    @cached_property
    def _checks(self) -> Mapping[str, Mapping[str, Any]]:
        """Id of a health check → its properties."""
        return {found.id: self.check(found.name) for found in self.graph.of(HEALTH_CHECK)}

    def _is_healthy(self, record: Registered, seen: Seen) -> bool:
        """Whether a record is healthy. An alias is, if its check and what it leads to are."""
        check = record.inputs.get("healthCheckId")
        if check and not self._passes(check, seen):
            return False
        alias = _alias(record)
        if not alias["evaluateTargetHealth"]:
            return True
        if region := self.balancers.get(alias["name"]):
            return region in seen.targets
        return any(self._is_healthy(target, seen) for target in self._records[alias["name"]])

    def _passes(self, check_id: str, seen: Seen) -> bool:
        """The status of a check. A calculated one with a threshold above the number of its children always
        fails, and one with 0 always passes (`HealthThreshold` in `HealthCheckConfig`, Route 53 API
        Reference)."""
        check = self._checks[check_id]
        match check["type"]:
            case "CALCULATED":
                passing = [self._passes(child, seen) for child in check["childHealthchecks"]]
                passes = sum(passing) >= check["childHealthThreshold"]
            case "CLOUDWATCH_METRIC":
                passes = check["cloudwatchAlarmRegion"] in seen.targets
            case "HTTPS_STR_MATCH":
                passes = check["searchString"] in seen.answers.get(self._region(check["fqdn"]), "")
            case kind:
                assert kind == "HTTPS"
                passes = self._region(check["fqdn"]) in seen.healthy
        return passes != bool(check.get("invertHealthcheck"))

    def _region(self, name: str) -> str:
        """The region of a name that has one record and follows nothing."""
        (record,) = self._records[name]
        assert not record.inputs.get("setIdentifier"), f"{name} leads a checker to another region"
        return self.balancers[_alias(record)["name"]]


def in_order(primary: str) -> dict[str, ServedLocations]:
    """The regions, beginning with the primary one."""
    return {region: SERVES[region] for region in (primary, {A: B, B: A}[primary])}


@functools.cache
def route53(primary: str) -> Route53:
    """The records and health checks of two regions of which one is deployed as the primary one."""

    def program() -> None:
        provider = aws.Provider("aws", region=A)
        args = RoutingArgs(
            context=context(platform="trading-test", region=A),
            names=NAMES,
            zone_id="Z0123456789ABCDEFGHIJ",
            distribution_domain_name="d111111abcdef8.cloudfront.net",
            distribution_zone_id="Z2FDTNDATAQYW2",
            origins=[
                RegionalOrigin(
                    region=region,
                    serves=serves,
                    dns_name=f"alb.{region}.elb.amazonaws.com",
                    zone_id="Z35SXDOTRQ7X7K",
                    targets_alarm=TargetsAlarm(
                        name=pulumi.Output.from_input(f"alarm-{region}"),
                        arn=pulumi.Output.from_input(f"arn:aws:cloudwatch:{region}:alarm-{region}"),
                        compares={},
                    ),
                )
                for region, serves in in_order(primary).items()
            ],
        )
        Routing("routing", args, pulumi.ResourceOptions(provider=provider))

    return Route53(deploy(program), {f"alb.{region}.elb.amazonaws.com": region for region in SERVES})


def route53_of(platform: Graph) -> Route53:
    """The records and health checks in the graph of a whole stack."""
    balancers = platform.of("aws:lb/loadBalancer:LoadBalancer")
    return Route53(platform, {r.outputs["dnsName"]: r.outputs["arn"].split(":")[3] for r in balancers})


def assert_leads_where_planned(found: Route53, primary: str) -> None:
    """Compares a graph with the plan (`components.routing_tree`), whatever fails.

    Raises:
        AssertionError: they lead a client to different regions.
    """
    tree = origin_tree(NAMES, in_order(primary))
    for down, without_targets, taking_over in itertools.product(SUBSETS, SUBSETS, SUBSETS):
        # A region takes over only if it answers.
        outage = Outage(regions=down, load_balancers=without_targets, taking_over=taking_over - down)
        answers = {name: CLOSED if name in taking_over else OPEN for name in {A, B} - down}
        seen = Seen(frozenset({A, B}) - down, frozenset({A, B}) - without_targets, answers)
        for name, client in itertools.product((NAMES.origin, NAMES.write_origin), PLACES):
            led = found.resolve(name, client, seen), resolve(tree, name, client, outage)
            assert len(set(led)) == 1, (name, client, outage, led)


def _alias(record: Registered) -> Mapping[str, Any]:
    (alias,) = record.inputs["aliases"]
    return alias


def _order(record: Mapping[str, Any], client: Client) -> int | None:
    """The place of a record in the order of its policy; None if it doesn't apply to the client."""
    if places := record.get("geolocationRoutingPolicies"):
        country, continent = places[0].get("country"), places[0].get("continent")
        order = {client.country: 0, "*": 2}.get(country) if country else None
        return 1 if continent == client.continent else order
    if latencies := record.get("latencyRoutingPolicies"):
        return client.nearest.index(latencies[0]["region"])
    if roles := record.get("failoverRoutingPolicies"):
        return ["PRIMARY", "SECONDARY"].index(roles[0]["type"])
    return 0
