"""Which connections are possible in the VPCs of the fixture stacks, and the walk that finds them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

import pytest

from tests.unit.harness import STACKS, Graph, Registered, deploy_platform, platform, stack_values
from tests.unit.reachability import (
    INTERNET,
    THROUGH_NAT,
    Edge,
    Unread,
    Walk,
    alias_targets,
    managed_edges,
    reachable,
)

ARCHITECTURE = """
internet → CloudFront: 443
internet → Cognito: 443
CloudFront → web app's bucket: 443
CloudFront → ALB: 443
Route 53 health checkers → ALB: 443
ALB → API endpoint: 443
API endpoint → API Gateway: 443
API Gateway → order intake: 443
order intake → DynamoDB: 443
order intake → NLB: 8081
API Gateway → NLB: 8082
API Gateway → NLB: 8083
NLB → cluster: 9898
cluster → cluster: all
cluster → brokers: 9098
cluster → cache: 6379
cluster → database proxy: 5432
cluster → database: 5432
database proxy → database: 5432
cluster → DynamoDB: all
cluster → S3: all
cluster → AWS endpoints: 443
cluster → internet through NAT: all
metrics scraper → cluster: 443
metrics scraper → cluster: 9898
metrics scraper → brokers: 11001
metrics scraper → brokers: 11002
"""
"""All possible connections in every region. The test fails if a line is missing or superfluous."""

FROM_THE_DEPLOYER = "203.0.113.0/24 → Kubernetes API: 443"
"""Exists only in stacks that are deployed from outside of their VPC."""

DATA_STORES = ["brokers", "cache", "database"]

VPC = "aws:ec2/vpc:Vpc"
INGRESS = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
EGRESS = "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule"

every_stack = pytest.mark.parametrize("stack", STACKS)


def expected(stack: str) -> set[Edge]:
    lines = ARCHITECTURE.strip().splitlines()
    if stack_values(stack).get("trading:cluster", {}).get("publicAccessCidrs"):
        lines.append(FROM_THE_DEPLOYER)
    edges: set[Edge] = set()
    for line in lines:
        way, port = line.split(": ")
        source, target = way.split(" → ")
        edges.add(Edge(source, target, port))
    return edges


def region_edges(graph: Graph) -> list[frozenset[Edge]]:
    """The possible connections of each region, including those at the edge."""
    walk, managed = Walk(graph), managed_edges(graph)
    return [walk.edges(vpc.id) | managed for vpc in graph.of(VPC)]


def only_region(graph: Graph) -> frozenset[Edge]:
    return region_edges(graph)[0]


# The platform


@every_stack
def test_each_tier_reaches_what_the_architecture_says_and_nothing_else(stack: str) -> None:
    regions = region_edges(platform(stack))
    assert len(regions) == len(stack_values(stack)["trading:regions"])
    for edges in regions:
        assert sorted(edges) == sorted(expected(stack))


def test_load_balancer_reaches_pods_at_their_tls_port_alone_where_they_have_one() -> None:
    values = stack_values("small")
    for service in values["trading:services"].values():
        service["tlsPort"] = 8443
    (edges,) = region_edges(deploy_platform("small", values))
    plain, tls = Edge("NLB", "cluster", "9898"), Edge("NLB", "cluster", "8443")
    assert edges == expected("small") - {plain} | {tls}


@every_stack
def test_internet_reaches_cloudfront_and_the_sign_in_alone(stack: str) -> None:
    for edges in region_edges(platform(stack)):
        assert {e.target for e in edges if e.source == INTERNET} == {"CloudFront", "Cognito"}


@every_stack
def test_only_the_nat_gateways_have_addresses_of_ours_on_the_internet(stack: str) -> None:
    graph = platform(stack)
    used = {nat.inputs["allocationId"] for nat in graph.of("aws:ec2/natGateway:NatGateway")}
    assert {address.id for address in graph.of("aws:ec2/eip:Eip")} == used
    subnets = graph.of("aws:ec2/subnet:Subnet")
    assert [s.name for s in subnets if s.inputs["mapPublicIpOnLaunch"] is not False] == []


@every_stack
def test_data_stores_stand_where_no_route_leads_out(stack: str) -> None:
    walk = Walk(platform(stack))
    for place in walk.places:
        if place.name in (*DATA_STORES, "API endpoint"):
            assert place.subnets
            assert {route for subnet in place.subnets for route in walk.routes[subnet]} == set()


@every_stack
def test_data_stores_admit_pods_and_the_proxy_alone_and_connect_to_nothing(stack: str) -> None:
    for edges in region_edges(platform(stack)):
        sources = {(e.source, e.port) for e in edges if e.target in DATA_STORES}
        # The brokers' exporters publish metrics of Kafka, but no data.
        exporters = {("metrics scraper", port) for port in ("11001", "11002")}
        assert exporters < sources
        assert {source for source, _ in sources - exporters} == {"cluster", "database proxy"}
        assert {e.source for e in edges if e.target == "database proxy"} == {"cluster"}
        assert {e for e in edges if e.source in DATA_STORES} == set()


@every_stack
@pytest.mark.parametrize("store", DATA_STORES)
@pytest.mark.parametrize("tier", ["CloudFront", "ALB", "API endpoint", "API Gateway", "NLB", "cluster"])
def test_no_way_from_the_internet_to_a_data_store_leaves_out_a_tier(
    stack: str, store: str, tier: str
) -> None:
    for edges in region_edges(platform(stack)):
        assert store in reachable(edges, INTERNET)
        assert store not in reachable(edges, INTERNET, without=[tier])


@every_stack
def test_each_origin_name_leads_to_our_load_balancers(stack: str) -> None:
    graph = platform(stack)
    albs = {
        balancer.outputs["dnsName"]
        for balancer in graph.of("aws:lb/loadBalancer:LoadBalancer")
        if not balancer.inputs["internal"]
    }
    distribution = graph.only("aws:cloudfront/distribution:Distribution")
    names = [o["domainName"] for o in distribution.inputs["origins"] if o.get("customOriginConfig")]
    assert names
    for name in names:
        assert alias_targets(graph, name) <= albs
    checks = [c.inputs for c in graph.of("aws:route53/healthCheck:HealthCheck") if c.inputs.get("fqdn")]
    # Each health check sends requests to one region's load balancer, wherever the other names lead.
    asked = [alias_targets(graph, check["fqdn"]) for check in checks]
    assert {len(targets) for targets in asked} == {1}
    assert set[str]().union(*asked) == albs


# Faults are found


def rule(token: str, group: str, **inputs: Any) -> Registered:
    defaults = {"ipProtocol": "tcp", "fromPort": 443, "toPort": 443, "securityGroupId": group}
    return resource(token, f"rule-{group}-{sorted(inputs.items())}", defaults | inputs)


def resource(token: str, name: str, inputs: dict[str, Any], identifier: str = "") -> Registered:
    return Registered(
        type=token,
        name=name,
        urn=name,
        parent="",
        parent_urn="",
        inputs=inputs,
        depends_on=frozenset(),
        dependencies=frozenset(),
        sources={},
        custom=True,
        protect=False,
        provider="",
        provider_urn="",
        ignore_changes=(),
        replace_on_changes=(),
        delete_before_replace=False,
        retain_on_delete=False,
        import_id="",
        id=identifier or name,
        outputs={},
    )


def with_more(graph: Graph, *more: Registered) -> Graph:
    return dataclasses.replace(graph, resources=[*graph.resources, *more])


def group_of(graph: Graph, place: str) -> str:
    return min(next(p.groups for p in Walk(graph).places if p.name == place))


@pytest.mark.parametrize("stack", ["small", "full"])
def test_every_rule_is_needed_and_missed_when_it_is_gone(stack: str) -> None:
    graph = platform(stack)
    before = region_edges(graph)
    rules = [*graph.of(INGRESS), *graph.of(EGRESS)]
    idle = [
        gone.name
        for gone in rules
        if region_edges(Graph([r for r in graph.resources if r is not gone], graph.looked_up)) == before
    ]
    assert rules
    assert idle == []


@pytest.mark.parametrize(
    ("place", "source"),
    [(store, "internet (no route in)") for store in DATA_STORES] + [("ALB", "internet")],
)
@pytest.mark.parametrize("block", [{"cidrIpv4": "0.0.0.0/0"}, {"cidrIpv6": "::/0"}])
def test_rule_that_admits_everybody_is_found(place: str, source: str, block: dict[str, str]) -> None:
    graph = platform("small")
    wider = with_more(graph, rule(INGRESS, group_of(graph, place), fromPort=22, toPort=22, **block))
    assert Edge(source, place, "22") in only_region(wider) - only_region(graph)


def test_route_out_of_the_isolated_subnets_is_found() -> None:
    graph = platform("small")
    table = graph.named("network-us-east-1-isolated", "aws:ec2/routeTable:RouteTable")
    nat = graph.of("aws:ec2/natGateway:NatGateway")[0]
    route = {"routeTableId": table.id, "destinationCidrBlock": "0.0.0.0/0", "natGatewayId": nat.id}
    leaky = with_more(graph, resource("aws:ec2/route:Route", "leak", route))
    places = {place.name: place for place in Walk(leaky).places}
    assert {r.via for subnet in places["database"].subnets for r in Walk(leaky).routes[subnet]} == {nat.id}
    open_out = rule(EGRESS, group_of(graph, "database"), cidrIpv4="0.0.0.0/0")
    assert Edge("database", THROUGH_NAT, "443") in only_region(with_more(leaky, open_out))


def test_public_api_is_found() -> None:
    graph = platform("small")
    public = {"endpointConfiguration": {"types": "REGIONAL"}, "body": ""}
    wider = with_more(graph, resource("aws:apigateway/restApi:RestApi", "another", public))
    assert Edge(INTERNET, "API Gateway", "443") in managed_edges(wider)


# The walk itself, in artificial graphs with a client and a server in subnets of one VPC


def two_places(*more: Registered, routes: Iterable[dict[str, str]] = ()) -> Graph:
    def subnet(name: str, block: str) -> Registered:
        return resource("aws:ec2/subnet:Subnet", f"subnet-{name}", {"vpcId": "vpc", "cidrBlock": block})

    def function(name: str) -> Registered:
        inside = {"securityGroupIds": [f"sg-{name}"], "subnetIds": [f"subnet-{name}"]}
        return resource("aws:lambda/function:Function", name, {"vpcConfig": inside})

    association = {"subnetId": "subnet-client", "routeTableId": "table"}
    return Graph(
        [
            resource(VPC, "vpc", {"cidrBlock": "10.0.0.0/16"}),
            resource("aws:ec2/securityGroup:SecurityGroup", "sg-client", {"vpcId": "vpc"}),
            resource("aws:ec2/securityGroup:SecurityGroup", "sg-server", {"vpcId": "vpc"}),
            subnet("client", "10.0.1.0/24"),
            subnet("server", "10.0.2.0/24"),
            resource("aws:ec2/routeTable:RouteTable", "table", {"routes": list(routes)}),
            resource("aws:ec2/routeTableAssociation:RouteTableAssociation", "association", association),
            function("client"),
            function("server"),
            *more,
        ],
        [("aws:ec2/getManagedPrefixList:getManagedPrefixList", {"id": "pl-1", "name": "com.amazonaws.r.s3"})],
    )


def edges_of(*more: Registered, routes: Iterable[dict[str, str]] = ()) -> frozenset[Edge]:
    return Walk(two_places(*more, routes=routes)).edges("vpc")


OUT = rule(EGRESS, "sg-client", referencedSecurityGroupId="sg-server")
IN = rule(INGRESS, "sg-server", referencedSecurityGroupId="sg-client")
TO_INTERNET = {"cidrBlock": "0.0.0.0/0"}


def test_connection_needs_a_rule_on_both_sides() -> None:
    assert edges_of(OUT) == edges_of(IN) == frozenset()
    assert edges_of(OUT, IN) == {Edge("client", "server", "443")}


@pytest.mark.parametrize(
    ("out", "port"),
    [
        ({"fromPort": 400, "toPort": 500}, "443"),
        ({"ipProtocol": "-1"}, "443"),
        ({"fromPort": 80, "toPort": 80}, None),
        ({"ipProtocol": "udp"}, None),
    ],
)
def test_connection_is_at_the_ports_that_both_sides_allow(out: dict[str, Any], port: str | None) -> None:
    rule_out = rule(EGRESS, "sg-client", referencedSecurityGroupId="sg-server", **out)
    assert edges_of(rule_out, IN) == ({Edge("client", "server", port)} if port else frozenset())


@pytest.mark.parametrize(("block", "admitted"), [("10.0.1.0/24", True), ("10.0.3.0/24", False)])
def test_block_within_the_vpc_means_the_subnets_that_it_covers(block: str, admitted: bool) -> None:
    found = edges_of(OUT, rule(INGRESS, "sg-server", cidrIpv4=block))
    assert found == ({Edge("client", "server", "443")} if admitted else frozenset())


def test_block_of_others_is_a_source_of_its_own() -> None:
    found = edges_of(rule(INGRESS, "sg-server", cidrIpv4="198.51.100.0/24"))
    assert found == {Edge("198.51.100.0/24 (no route in)", "server", "443")}


def test_rule_to_everywhere_leads_no_further_than_the_routes() -> None:
    everywhere = rule(EGRESS, "sg-client", cidrIpv4="0.0.0.0/0")
    assert edges_of(everywhere) == frozenset()
    for gateway, way in (
        ({"natGatewayId": "nat-1"}, THROUGH_NAT),
        ({"gatewayId": "igw-1"}, INTERNET),
        ({"transitGatewayId": "tgw-1"}, "through tgw-1"),
    ):
        assert edges_of(everywhere, routes=[TO_INTERNET | gateway]) == {Edge("client", way, "443")}


def test_aws_service_is_reached_by_its_gateway_endpoint_else_by_the_route_out() -> None:
    to_s3 = rule(EGRESS, "sg-client", prefixListId="pl-1")
    nat = [TO_INTERNET | {"natGatewayId": "nat-1"}]
    gateway = {"serviceName": "com.amazonaws.r.s3", "routeTableIds": ["table"]}
    endpoint = resource("aws:ec2/vpcEndpoint:VpcEndpoint", "s3", gateway)
    assert edges_of(to_s3) == frozenset()
    assert edges_of(to_s3, routes=nat) == {Edge("client", f"S3, {THROUGH_NAT}", "443")}
    assert edges_of(to_s3, endpoint, routes=nat) == {Edge("client", "S3", "443")}


@pytest.mark.parametrize(
    "hidden",
    [
        resource("aws:ec2/securityGroupRule:SecurityGroupRule", "old-style", {}),
        resource("aws:ec2/securityGroup:SecurityGroup", "inline", {"vpcId": "vpc", "ingress": [{}]}),
        resource("aws:ec2/vpcPeeringConnection:VpcPeeringConnection", "peering", {}),
        resource("aws:lb/loadBalancer:LoadBalancer", "groupless", {"subnets": ["subnet-client"]}),
        rule(INGRESS, "sg-server", referencedSecurityGroupId="sg-of-another-vpc"),
    ],
    ids=lambda hidden: hidden.name,
)
def test_what_could_open_a_way_unseen_is_refused(hidden: Registered) -> None:
    with pytest.raises(Unread):
        edges_of(hidden)
