"""The origin's DNS records as the engine deployed them, for the resolver that also tests the plan."""

from __future__ import annotations

from typing import Any

from components.routing_tree import Failover, Geolocation, Latency, OriginRecord, Policy

Resource = dict[str, Any]

RECORD = "aws:route53/record:Record"
HEALTH_CHECK = "aws:route53/healthCheck:HealthCheck"
LOAD_BALANCER = "aws:lb/loadBalancer:LoadBalancer"
ALARM = "aws:cloudwatch/metricAlarm:MetricAlarm"


def deployed_tree(resources: list[Resource]) -> list[OriginRecord]:
    """The records with a routing policy in a stack's state.

    Raises:
        AssertionError: a record has no target, ignores its target's health, or uses a health check of
            another region than its target's.
    """
    load_balancers = {
        r["outputs"]["dnsName"]: _region(r) for r in resources if _is(r, LOAD_BALANCER, "application")
    }
    records = [r["outputs"] for r in resources if r["type"] == RECORD]
    names = {record["name"] for record in records}
    own = {
        record["name"]: load_balancers[alias["name"]]
        for record in records
        for alias in record.get("aliases") or ()
        if not record.get("setIdentifier") and alias["name"] in load_balancers
    }
    checks = {r["id"]: r["outputs"] for r in resources if r["type"] == HEALTH_CHECK}
    tree: list[OriginRecord] = []
    for record in records:
        if not record.get("setIdentifier"):
            continue
        (alias,) = record["aliases"]
        assert alias["evaluateTargetHealth"], record["name"]
        region = load_balancers.get(alias["name"], "")
        follows_health, yields_to = True, ""
        if alias["name"] in own:
            region, follows_health = own[alias["name"]], False
            yields_to = _region_that_takes_over(checks.get(record.get("healthCheckId") or ""), own)
        elif region:
            asked = _regions_asked(record["healthCheckId"], checks, records, load_balancers, resources)
            assert asked == {region}, f"{record['name']} leads to {region} while {asked} is well"
        else:
            assert alias["name"] in names, f"{record['name']} leads to {alias['name']}, which is nothing"
            assert not record.get("healthCheckId")
        tree.append(
            OriginRecord(
                logical_name="",
                name=record["name"],
                set_identifier=record["setIdentifier"],
                policy=_policy(record),
                load_balancer=region,
                alias="" if region else alias["name"],
                follows_health=follows_health,
                yields_to=yields_to,
            )
        )
    return tree


def _region_that_takes_over(check: Resource | None, own: dict[str, str]) -> str:
    """The region whose order intake an inverted check asks; empty without a check."""
    if check is None:
        return ""
    assert (check["type"], check["invertHealthcheck"]) == ("HTTPS_STR_MATCH", True)
    assert check["resourcePath"].endswith("?orders")
    return own[check["fqdn"]]


def _regions_asked(
    check_id: str,
    checks: dict[str, Resource],
    records: list[Resource],
    load_balancers: dict[str, str],
    resources: list[Resource],
) -> set[str]:
    """The regions that a health check tests, including those of its child checks."""
    check = checks[check_id]
    match check["type"]:
        case "CALCULATED":
            children = check["childHealthchecks"]
            assert check["childHealthThreshold"] == len(children) > 1
            found = [_regions_asked(child, checks, records, load_balancers, resources) for child in children]
            return {region for regions in found for region in regions}
        case "HTTPS":
            (record,) = [record for record in records if record["name"] == check["fqdn"]]
            assert not record.get("setIdentifier"), "a name that it steers would answer with the peer"
            return {load_balancers[record["aliases"][0]["name"]]}
        case _:
            (alarm,) = [
                r
                for r in resources
                if r["type"] == ALARM and r["outputs"]["name"] == check["cloudwatchAlarmName"]
            ]
            watched = alarm["outputs"]["dimensions"]["LoadBalancer"]
            regions = {
                _region(r)
                for r in resources
                if _is(r, LOAD_BALANCER, "application") and r["outputs"]["arnSuffix"] == watched
            }
            assert regions == {_region(alarm)} == {check["cloudwatchAlarmRegion"]}
            return regions


def _policy(record: Resource) -> Policy:
    if places := record.get("geolocationRoutingPolicies"):
        continent = places[0].get("continent")
        if continent:
            return Geolocation("continent", continent)
        return Geolocation("country", places[0]["country"])
    if latencies := record.get("latencyRoutingPolicies"):
        return Latency(latencies[0]["region"])
    return Failover(record["failoverRoutingPolicies"][0]["type"])


def _is(resource: Resource, token: str, load_balancer_type: str) -> bool:
    return resource["type"] == token and resource["inputs"].get("loadBalancerType") == load_balancer_type


def _region(resource: Resource) -> str:
    return resource["outputs"]["arn"].split(":")[3]
