"""Tier 2: the tree of records that leads from a name to a load balancer."""

from __future__ import annotations

import functools
from typing import Any

import pulumi
import pulumi_aws as aws

from components.routing import RegionalOrigin, Routing, RoutingArgs
from settings import DomainSettings
from tests.unit.harness import Graph, Registered, deploy

NAMES = DomainSettings(zone="example.com", host="trade.example.com")
REGIONS = ("us-east-1", "eu-west-1", "ap-southeast-1")


def dns_name(region: str) -> str:
    return f"alb.{region}.elb.amazonaws.com"


@functools.cache
def graph(regions: int) -> Graph:
    def program() -> None:
        provider = aws.Provider("aws", region="us-east-1")
        Routing(
            "routing",
            RoutingArgs(
                names=NAMES,
                zone_id="Z0123456789ABCDEFGHIJ",
                distribution_domain_name="d111111abcdef8.cloudfront.net",
                distribution_zone_id="Z2FDTNDATAQYW2",
                origins=[
                    RegionalOrigin(region=region, dns_name=dns_name(region), zone_id="Z35SXDOTRQ7X7K")
                    for region in REGIONS[:regions]
                ],
            ),
            pulumi.ResourceOptions(provider=provider),
        )

    return deploy(program)


def records(regions: int, name: str) -> list[Registered]:
    return [r for r in graph(regions).of("aws:route53/record:Record") if r.inputs["name"] == name]


def target(record: Registered) -> str:
    return record.inputs["aliases"][0]["name"]


def failover(regions: int, name: str) -> dict[str, str]:
    return {
        r.inputs["failoverRoutingPolicies"][0]["type"]: target(r)
        for r in records(regions, name)
        if "failoverRoutingPolicies" in r.inputs
    }


def policies(record: Registered) -> list[str]:
    return [key for key in record.inputs if key.endswith(("RoutingPolicies", "RoutingPolicy"))]


def test_viewers_reach_cloudfront_over_ipv4_and_ipv6() -> None:
    viewer = {r.inputs["type"]: r for r in records(1, NAMES.host)}
    assert set(viewer) == {"A", "AAAA", "CAA"}
    assert target(viewer["A"]) == target(viewer["AAAA"]) == "d111111abcdef8.cloudfront.net"


def test_only_amazon_may_issue_certificates() -> None:
    caa = next(r for r in records(1, NAMES.host) if r.inputs["type"] == "CAA")
    assert caa.inputs["records"] == ['0 issue "amazon.com"']


def test_tree_is_geolocation_then_latency_then_failover() -> None:
    (origin,) = records(2, NAMES.origin)
    assert origin.inputs["geolocationRoutingPolicies"] == [{"country": "*"}]
    assert target(origin) == NAMES.latency_origin
    nearest = {
        r.inputs["latencyRoutingPolicies"][0]["region"]: target(r) for r in records(2, NAMES.latency_origin)
    }
    assert nearest == {region: NAMES.region_origin(region) for region in REGIONS[:2]}
    for own, peer in (REGIONS[:2], REGIONS[1::-1]):
        assert failover(2, NAMES.region_origin(own)) == {
            "PRIMARY": dns_name(own),
            "SECONDARY": dns_name(peer),
        }


def test_writes_go_to_the_first_region_and_fail_over_to_the_second() -> None:
    assert failover(3, NAMES.write_origin) == {
        "PRIMARY": dns_name("us-east-1"),
        "SECONDARY": dns_name("eu-west-1"),
    }
    assert {policy for r in records(3, NAMES.write_origin) for policy in policies(r)} == {
        "failoverRoutingPolicies"
    }


def test_every_load_balancer_in_the_tree_has_its_own_health_check() -> None:
    for record in graph(2).of("aws:route53/record:Record"):
        if "failoverRoutingPolicies" in record.inputs:
            (region,) = [region for region in REGIONS if target(record) == dns_name(region)]
            assert f"routing-{region}" in record.depends_on
            assert record.inputs["healthCheckId"]


def test_one_policy_a_record_and_an_identifier_with_each() -> None:
    for record in graph(2).of("aws:route53/record:Record"):
        assert len(policies(record)) <= 1
        assert bool(policies(record)) == ("setIdentifier" in record.inputs), record.name


def test_every_step_of_the_tree_evaluates_its_target() -> None:
    steered = [r for r in graph(2).of("aws:route53/record:Record") if policies(r)]
    assert steered
    assert all(r.inputs["aliases"][0]["evaluateTargetHealth"] is True for r in steered)


def test_health_check_asks_a_name_that_never_fails_over() -> None:
    """A name that it steers would answer with the peer once the region is down."""
    for check in graph(2).of("aws:route53/healthCheck:HealthCheck"):
        (record,) = records(2, check.inputs["fqdn"])
        assert policies(record) == []
        assert (check.inputs["type"], check.inputs["resourcePath"]) == ("HTTPS", "/healthz")
        assert check.inputs["enableSni"] is True


def test_one_region_has_the_whole_tree_and_more_regions_only_add() -> None:
    def by_name(regions: int) -> dict[str, Any]:
        """What every resource says, but for the ids of health checks, which are random in each run."""
        return {r.name: {**r.inputs, "healthCheckId": None} for r in graph(regions).resources}

    assert by_name(1).items() <= by_name(2).items()
    assert by_name(2).items() <= by_name(3).items()
    assert failover(1, NAMES.write_origin) == {"PRIMARY": dns_name("us-east-1")}
