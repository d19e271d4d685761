"""Tier 2: the tree of DNS records that leads from a name to a load balancer."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable
from typing import Any

import pulumi
import pulumi_aws as aws
import pytest

from components.load_balancer import TargetsAlarm
from components.routing import RegionalOrigin, Routing, RoutingArgs
from components.routing_tree import Client, Failover, Outage, origin_tree, resolve
from settings import DomainSettings, ServedLocations
from tests.operations.dns import assert_leads_where_planned, route53_of
from tests.operations.regions import ALIAS_TTL, connection_seconds
from tests.unit.harness import Graph, Registered, context, deploy, deploy_platform, stack_values

NAMES = DomainSettings(zone="example.com", host="trade.example.com")
US, EU, AP = REGIONS = ("us-east-1", "eu-west-1", "ap-southeast-1")
SERVES = {
    US: ServedLocations(),
    EU: ServedLocations(continents=["EU", "AF"], countries=["TR"]),
    AP: ServedLocations(continents=["OC"]),
}
CLIENTS = {
    "Berlin": Client(continent="EU", country="DE", nearest=[EU, US, AP]),
    "Lagos": Client(continent="AF", country="NG", nearest=[EU, US, AP]),
    "Istanbul": Client(continent="AS", country="TR", nearest=[EU, AP, US]),
    "Tokyo": Client(continent="AS", country="JP", nearest=[AP, US, EU]),
    "Sydney": Client(continent="OC", country="AU", nearest=[AP, US, EU]),
    "New York": Client(continent="NA", country="US", nearest=[US, EU, AP]),
    "São Paulo": Client(continent="SA", country="BR", nearest=[US, EU, AP]),
    "McMurdo": Client(continent="AN", country="AQ", nearest=[US, AP, EU]),
}
ZONE_ID = "Z0123456789ABCDEFGHIJ"


def dns_name(region: str) -> str:
    return f"alb.{region}.elb.amazonaws.com"


@functools.cache
def built(
    regions: int, *, zone_wide: bool = False, additional_hosts: tuple[str, ...] = ()
) -> tuple[Graph, Routing]:
    names = NAMES.model_copy(update={"dnssec": zone_wide, "query_logging": zone_wide})
    made: list[Routing] = []

    def program() -> None:
        provider = aws.Provider("aws", region="us-east-1")
        args = RoutingArgs(
            context=context(platform="trading-test", region="us-east-1", log_retention_days=30, protect=True),
            names=names,
            additional_hosts=additional_hosts,
            zone_id=ZONE_ID,
            distribution_domain_name="d111111abcdef8.cloudfront.net",
            distribution_zone_id="Z2FDTNDATAQYW2",
            origins=[
                RegionalOrigin(
                    region=region,
                    serves=SERVES[region],
                    dns_name=dns_name(region),
                    zone_id="Z35SXDOTRQ7X7K",
                    targets_alarm=TargetsAlarm(
                        name=pulumi.Output.from_input(f"alarm-{region}"),
                        arn=pulumi.Output.from_input(f"arn:aws:cloudwatch:{region}:alarm-{region}"),
                        compares={"TargetGroup": region, "threshold": "2"},
                    ),
                )
                for region in REGIONS[:regions]
            ],
        )
        made.append(Routing("routing", args, pulumi.ResourceOptions(provider=provider)))

    return deploy(program), made[0]


def graph(regions: int) -> Graph:
    return built(regions)[0]


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


def reads(regions: int, /, **outage: Iterable[str]) -> dict[str, str]:
    """Place → the region to which the reads of the client there go."""
    return {place: resolved(NAMES.origin, regions, client, **outage) for place, client in CLIENTS.items()}


def writes(regions: int, /, **outage: Iterable[str]) -> set[str]:
    """The regions to which the writes of all clients go."""
    return {resolved(NAMES.write_origin, regions, client, **outage) for client in CLIENTS.values()}


def resolved(name: str, regions: int, client: Client, /, **outage: Iterable[str]) -> str:
    tree = origin_tree(NAMES, {region: SERVES[region] for region in REGIONS[:regions]})
    return resolve(tree, name, client, Outage(**{kind: frozenset(value) for kind, value in outage.items()}))


# -- destinations of requests --------------------------------------------------------------------

kinds_of_outage = pytest.mark.parametrize("kind", ["regions", "load_balancers"])


def test_one_region_answers_everybody() -> None:
    assert set(reads(1).values()) == writes(1) == {US}


def test_two_regions_answer_their_own_places_and_the_rest_the_nearest() -> None:
    assert reads(2) == {
        "Berlin": EU,
        "Lagos": EU,
        "Istanbul": EU,
        "Tokyo": US,
        "Sydney": US,
        "New York": US,
        "São Paulo": US,
        "McMurdo": US,
    }
    assert writes(2) == {US}


def test_three_regions_answer_their_own_places_and_the_rest_the_nearest() -> None:
    assert reads(3) == reads(2) | {"Tokyo": AP, "Sydney": AP}
    assert writes(3) == {US}


def test_place_goes_before_latency_and_a_country_before_its_continent() -> None:
    far = Client(continent="OC", country="NZ", nearest=[US, EU, AP])
    assert resolved(NAMES.origin, 3, far) == AP
    serves = {US: ServedLocations(countries=["TR"]), EU: ServedLocations(continents=["AS"])}
    assert resolve(origin_tree(NAMES, serves), NAMES.origin, CLIENTS["Istanbul"], Outage()) == US
    assert resolve(origin_tree(NAMES, serves), NAMES.origin, CLIENTS["Tokyo"], Outage()) == EU


@kinds_of_outage
def test_primary_down_moves_its_reads_to_the_second_and_no_writes(kind: str) -> None:
    """The second region's database is read-only until somebody has moved the writer."""
    assert set(reads(2, **{kind: [US]}).values()) == {EU}
    assert reads(3, **{kind: [US]}) == {
        place: EU if region == US else region for place, region in reads(3).items()
    }
    assert writes(2, **{kind: [US]}) == writes(3, **{kind: [US]}) == {US}


@pytest.mark.parametrize("regions", [2, 3])
def test_writes_go_to_the_second_once_it_takes_over_whatever_is_healthy(regions: int) -> None:
    for down in ([], [US], [EU], [US, EU]):
        assert writes(regions, regions=down, taking_over=[EU]) == {EU}
        assert writes(regions, load_balancers=down, taking_over=[EU]) == {EU}
        assert writes(regions, regions=down, taking_over=[US]) == {US}
    assert reads(regions, taking_over=[EU]) == reads(regions)


@kinds_of_outage
@pytest.mark.parametrize(("down", "next_region"), [(US, EU), (EU, AP), (AP, US)])
def test_next_region_of_three_takes_over_and_the_first_from_the_last(
    kind: str, down: str, next_region: str
) -> None:
    assert reads(3, **{kind: [down]}) == {
        place: next_region if region == down else region for place, region in reads(3).items()
    }
    assert writes(3, **{kind: [down]}) == {US}


@kinds_of_outage
def test_second_of_two_regions_down_moves_its_reads_to_the_primary_and_no_writes(kind: str) -> None:
    assert set(reads(2, **{kind: [EU]}).values()) == writes(2, **{kind: [EU]}) == {US}


@kinds_of_outage
def test_a_region_and_its_stand_in_down_leave_the_third_with_all_reads(kind: str) -> None:
    for left in REGIONS:
        down = [region for region in REGIONS if region != left]
        assert set(reads(3, **{kind: down}).values()) == {left}


def test_no_region_stands_in_for_two() -> None:
    """Otherwise, the failure of one region could overload another.

    That region would get the reads of two other regions in addition to its own.
    """
    tree = origin_tree(NAMES, SERVES)
    stand_ins = [
        record.load_balancer
        for record in tree
        if record.name in [NAMES.region_origin(region) for region in REGIONS]
        and record.policy == Failover("SECONDARY")
    ]
    assert sorted(stand_ins) == sorted(REGIONS)


@kinds_of_outage
def test_reads_survive_a_region_and_its_peer_and_writes_do_not_go_to_a_third(kind: str) -> None:
    assert set(reads(3, **{kind: [US, EU]}).values()) == {AP}
    assert writes(3, **{kind: [US, EU]}) == {US}


def test_half_failed_regions_are_failed_regions() -> None:
    """The health check of one region fails, and the load balancer of another."""
    assert set(reads(3, regions=[US], load_balancers=[EU]).values()) == {AP}


@kinds_of_outage
@pytest.mark.parametrize("regions", [1, 2, 3])
def test_with_everything_down_names_answer_as_if_all_were_well(kind: str, regions: int) -> None:
    assert reads(regions, **{kind: REGIONS}) == reads(regions)
    assert writes(regions, **{kind: REGIONS}) == {US}


# -- the records ---------------------------------------------------------------------------------


def test_viewers_reach_cloudfront_over_ipv4_and_ipv6() -> None:
    viewer = {r.inputs["type"]: r for r in records(1, NAMES.host)}
    assert set(viewer) == {"A", "AAAA", "CAA"}
    assert target(viewer["A"]) == target(viewer["AAAA"]) == "d111111abcdef8.cloudfront.net"


def test_only_amazon_may_issue_certificates() -> None:
    caa = next(r for r in records(1, NAMES.host) if r.inputs["type"] == "CAA")
    assert caa.inputs["records"] == ['0 issue "amazon.com"']


def test_additional_host_leads_to_cloudfront_too() -> None:
    found = built(1, additional_hosts=("api.example.com",))[0].of("aws:route53/record:Record")
    records = {r.inputs["type"]: r for r in found if r.inputs["name"] == "api.example.com"}
    assert set(records) == {"A", "AAAA", "CAA"}
    assert target(records["A"]) == target(records["AAAA"]) == "d111111abcdef8.cloudfront.net"


@pytest.mark.parametrize("regions", [1, 2, 3])
def test_what_is_resolved_is_what_is_registered(regions: int) -> None:
    registered = {
        (r.name, r.inputs["name"], r.inputs["setIdentifier"], target(r))
        for r in graph(regions).of("aws:route53/record:Record")
        if policies(r)
    }
    assert registered == {
        (
            f"routing-{record.logical_name}",
            record.name,
            record.set_identifier,
            record.alias
            or (dns_name if record.follows_health else NAMES.region_health)(record.load_balancer),
        )
        for record in origin_tree(NAMES, {region: SERVES[region] for region in REGIONS[:regions]})
    }


def test_tree_is_geolocation_then_latency_then_failover() -> None:
    places = {
        tuple(r.inputs["geolocationRoutingPolicies"][0].items()): target(r) for r in records(2, NAMES.origin)
    }
    assert places == {
        (("continent", "EU"),): NAMES.region_origin(EU),
        (("continent", "AF"),): NAMES.region_origin(EU),
        (("country", "TR"),): NAMES.region_origin(EU),
        (("country", "*"),): NAMES.latency_origin,
    }
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
        "PRIMARY": NAMES.region_health(US),
        "SECONDARY": NAMES.region_health(EU),
    }
    assert {policy for r in records(3, NAMES.write_origin) for policy in policies(r)} == {
        "failoverRoutingPolicies"
    }


def test_one_policy_a_record_and_an_identifier_with_each() -> None:
    for record in graph(2).of("aws:route53/record:Record"):
        assert len(policies(record)) <= 1
        assert bool(policies(record)) == ("setIdentifier" in record.inputs), record.name


def test_every_step_of_the_tree_evaluates_its_target() -> None:
    steered = [r for r in graph(2).of("aws:route53/record:Record") if policies(r)]
    assert steered
    assert all(r.inputs["aliases"][0]["evaluateTargetHealth"] is True for r in steered)


def by_name(regions: int) -> dict[str, Any]:
    """The inputs of each resource, without the ids of other resources, which are random in each run."""
    ids = {"healthCheckId": None, "childHealthchecks": None}
    return {f"{r.type} {r.name}": {**r.inputs, **ids} for r in graph(regions).resources}


def test_one_region_has_the_whole_tree_and_a_second_only_adds() -> None:
    one, two = by_name(1), by_name(2)
    assert {name: two[name] for name in one} == one, "except for the check of the write origin"
    assert failover(1, NAMES.write_origin) == {"PRIMARY": NAMES.region_health(US)}


def test_third_region_adds_and_becomes_the_stand_in_of_the_second() -> None:
    two, three = by_name(2), by_name(3)
    changed = [name for name in two if two[name] != three[name]]
    assert changed == [f"aws:route53/record:Record routing-{EU}-secondary"]
    moved = {key for key, value in two[changed[0]].items() if three[changed[0]][key] != value}
    assert moved == {"aliases"}, "an update in place: name, type and identifier are what they were"


@pytest.mark.parametrize("primary", [US, EU])
def test_records_and_checks_of_a_whole_stack_lead_where_the_plan_does(primary: str) -> None:
    """So the model of the procedures (`tests/operations/regions.py`) is about what is deployed."""
    values = stack_values("full")
    platform = deploy_platform("full", values if primary == US else values | {"trading:primaryRegion": EU})
    assert_leads_where_planned(route53_of(platform), primary)


def test_requests_have_left_a_region_when_the_procedures_expect_it() -> None:
    """`connection_seconds` is what the procedures' waits are compared with."""
    platform = deploy_platform("full")
    check = route53_of(platform).check(f"routing-{EU}-orders")
    balancers = platform.of("aws:lb/loadBalancer:LoadBalancer")
    (kept,) = {
        r.inputs["clientKeepAlive"] for r in balancers if r.inputs["loadBalancerType"] == "application"
    }
    origins = platform.only("aws:cloudfront/distribution:Distribution").inputs["origins"]
    (origin,) = [one for one in origins if one["domainName"] == NAMES.write_origin]
    bodies = [json.loads(api.inputs["body"]) for api in platform.of("aws:apigateway/restApi:RestApi")]
    (answered,) = {
        operation["x-amazon-apigateway-integration"]["timeoutInMillis"] // 1000
        for body in bodies
        for item in body["paths"].values()
        for operation in item.values()
    }
    idle = origin["customOriginConfig"]["originKeepaliveTimeout"]
    noticed = check["requestInterval"] * check["failureThreshold"]
    assert noticed + ALIAS_TTL + kept + idle + answered == connection_seconds()


# -- health checks -------------------------------------------------------------------------------


def checks(kind: str) -> dict[str, Registered]:
    found = graph(2).of("aws:route53/healthCheck:HealthCheck")
    return {check.name: check for check in found if check.inputs["type"] == kind}


def test_every_load_balancer_in_the_tree_has_its_regions_calculated_check() -> None:
    steered = [
        r
        for r in graph(2).of("aws:route53/record:Record")
        if "failoverRoutingPolicies" in r.inputs and r.inputs["name"] != NAMES.write_origin
    ]
    assert len(steered) == 4
    for record in steered:
        (region,) = [region for region in REGIONS if target(record) == dns_name(region)]
        assert f"routing-{region}-calculated" in record.depends_on
        assert record.inputs["healthCheckId"]


def test_region_is_healthy_only_if_its_api_answers_and_its_targets_are_there() -> None:
    for region in REGIONS[:2]:
        parent = checks("CALCULATED")[f"routing-{region}-calculated"]
        assert {f"routing-{region}", f"routing-{region}-targets"} <= parent.depends_on
        assert len(parent.inputs["childHealthchecks"]) == parent.inputs["childHealthThreshold"] == 2


def test_endpoint_check_asks_a_name_that_never_fails_over() -> None:
    """A name that the check controls would return the peer's address when the region is down."""
    assert len(checks("HTTPS")) == 2
    for check in checks("HTTPS").values():
        (record,) = records(2, check.inputs["fqdn"])
        assert policies(record) == []
        assert check.inputs["resourcePath"] == "/healthz"
        assert check.inputs["enableSni"] is True


def test_writes_leave_only_while_the_second_region_says_that_no_other_takes_them() -> None:
    """Route 53 reads the answer of the region that stays, and nothing else."""
    primary, secondary = sorted(records(2, NAMES.write_origin), key=lambda record: record.name)
    assert primary.inputs["healthCheckId"]
    assert f"routing-{EU}-orders" in primary.depends_on
    assert "healthCheckId" not in secondary.inputs
    check = checks("HTTPS_STR_MATCH")[f"routing-{EU}-orders"].inputs
    assert check["invertHealthcheck"] is True
    assert (check["fqdn"], check["resourcePath"]) == (NAMES.region_health(EU), "/healthz?orders")
    assert json.dumps({"orders": "closed", "otherRegions": "closed"}).find(check["searchString"]) > 0


def test_every_region_has_its_check_of_orders_before_it_is_needed() -> None:
    assert set(checks("HTTPS_STR_MATCH")) == {f"routing-{region}-orders" for region in REGIONS[:2]}
    assert graph(1).of("aws:route53/healthCheck:HealthCheck") != []
    assert "HTTPS_STR_MATCH" not in {
        check.inputs["type"] for check in graph(1).of("aws:route53/healthCheck:HealthCheck")
    }


def test_alarm_check_reads_the_alarm_of_the_regions_load_balancer() -> None:
    for region in REGIONS[:2]:
        check = checks("CLOUDWATCH_METRIC")[f"routing-{region}-targets"].inputs
        assert (check["cloudwatchAlarmName"], check["cloudwatchAlarmRegion"]) == (f"alarm-{region}", region)


def test_route_53_is_told_when_the_alarm_it_copied_changes() -> None:
    check = checks("CLOUDWATCH_METRIC")["routing-us-east-1-targets"]
    assert check.inputs["triggers"] == {"TargetGroup": US, "threshold": "2"}


# -- the whole zone ------------------------------------------------------------------------------


def test_zone_is_left_alone_unless_told() -> None:
    graph, routing = built(1)
    types = {r.type.split("/")[-1] for r in graph.resources}
    assert not types & {
        "keySigningKey:KeySigningKey",
        "hostedZoneDnsSec:HostedZoneDnsSec",
        "queryLog:QueryLog",
    }
    assert routing.ds_record is None


def test_zone_is_signed_by_a_key_that_only_route_53_uses_for_it() -> None:
    graph, routing = built(1, zone_wide=True)
    key = graph.named("routing-signing", "aws:kms/key:Key")
    assert (key.inputs["customerMasterKeySpec"], key.inputs["keyUsage"]) == ("ECC_NIST_P256", "SIGN_VERIFY")
    statements = json.loads(key.inputs["policy"])["Statement"][1:]
    assert [statement["Principal"]["Service"] for statement in statements] == [
        "dnssec-route53.amazonaws.com"
    ] * 2
    for statement in statements:
        arn = statement["Condition"]["ArnEquals"]["aws:SourceArn"]
        assert arn == f"arn:aws:route53:::hostedzone/{ZONE_ID}"
    signing_key = graph.named("routing-signing", "aws:route53/keySigningKey:KeySigningKey")
    zone = graph.named("routing-signing", "aws:route53/hostedZoneDnsSec:HostedZoneDnsSec")
    assert signing_key.name in zone.depends_on
    assert all(resource.protect for resource in (key, signing_key, zone))
    assert {"dnssec-internal-failure", "dnssec-key-needs-action"} <= {s.name for s in routing.signals}
    assert routing.ds_record is not None


def test_query_log_is_written_by_route_53_for_this_zone_only() -> None:
    graph, _ = built(1, zone_wide=True)
    logs = graph.only("aws:cloudwatch/logGroup:LogGroup").inputs
    assert logs["name"] == "/aws/route53/example.com"
    assert logs["retentionInDays"] == 30
    assert ":kms:" in logs["kmsKeyId"]
    policy = graph.only("aws:cloudwatch/logResourcePolicy:LogResourcePolicy")
    (statement,) = json.loads(policy.inputs["policyDocument"])["Statement"]
    assert statement["Principal"] == {"Service": "route53.amazonaws.com"}
    assert statement["Condition"]["ArnEquals"]["aws:SourceArn"].endswith(ZONE_ID)
    assert policy.name in graph.only("aws:route53/queryLog:QueryLog").depends_on
