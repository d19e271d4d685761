"""Finds what can open a connection to what in a VPC, from the security groups, rules, routes, subnets and
endpoints of a resource graph.

The result is an upper bound. Everything in a subnet with a route to an internet gateway is assumed to have a
public address. Kubernetes' network policies are not read, because they only remove connections. A graph is
refused if it contains a type of resource that could allow connections that the walk would miss.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from sandbox.values import is_dict, is_list
from tests.unit.harness import Graph, Registered

INTERNET = "internet"
THROUGH_NAT = "internet through NAT"
"""Only a target, because a NAT gateway allows no incoming connections."""

_NAMES = {
    "aws:amp/scraper:Scraper": "metrics scraper",
    # The VPC link consists of the gateway's network interfaces in our VPC.
    "aws:apigatewayv2/vpcLink:VpcLink": "API Gateway",
    "aws:elasticache/replicationGroup:ReplicationGroup": "cache",
    "aws:msk/cluster:Cluster": "brokers",
    "aws:rds/cluster:Cluster": "database",
    "aws:rds/proxy:Proxy": "database proxy",
    "aws:rds/proxyEndpoint:ProxyEndpoint": "database proxy",
    # Nodes, pods and the API server's network interfaces are all in EKS's cluster security group.
    "eks:index:Cluster": "cluster",
    "kubernetes:eks.amazonaws.com/v1:NodeClass": "cluster",
}
_ENDPOINTS = {"execute-api": "API endpoint"}
_PREFIX_LISTS = {
    "origin-facing": "CloudFront",
    "route53-healthchecks": "Route 53 health checkers",
    "dynamodb": "DynamoDB",
    "s3": "S3",
}
_UNREAD = (
    "aws:ec2/defaultRouteTable:",
    "aws:ec2/egressOnlyInternetGateway:",
    "aws:ec2/mainRouteTableAssociation:",
    "aws:ec2/networkInterface:",
    "aws:ec2/peering",
    "aws:ec2/securityGroupRule:",
    "aws:ec2/vpcPeering",
    "aws:ec2transitgateway/",
    "aws:vpc/securityGroupVpcAssociation:",
)
_WITHOUT_A_GROUP = {
    "aws:ec2/natGateway:NatGateway",  # allows no incoming connections
    "aws:ec2/routeTableAssociation:RouteTableAssociation",
    "aws:elasticache/subnetGroup:SubnetGroup",
    "aws:rds/subnetGroup:SubnetGroup",
}


class Edge(NamedTuple):
    """`source` can open a connection to `target` at `port` (such as `443`, `udp 53`, `all`)."""

    source: str
    target: str
    port: str


class Unread(Exception):  # noqa: N818 - a refusal, not an error of the graph
    """The graph contains something that the walk does not understand, so its result could be wrong."""


@dataclass(frozen=True)
class Ports:
    """A protocol (`-1` is every protocol) and a range of its ports."""

    protocol: str
    first: int
    last: int

    @staticmethod
    def of(rule: dict[str, Any]) -> Ports:
        """The ports of a security group rule."""
        if rule["ipProtocol"] == "-1":
            return EVERYTHING
        return Ports(rule["ipProtocol"], rule["fromPort"], rule["toPort"])

    def common(self, other: Ports) -> Ports | None:
        """The ports that both allow, or None."""
        if "-1" not in (self.protocol, other.protocol) and self.protocol != other.protocol:
            return None
        first, last = max(self.first, other.first), min(self.last, other.last)
        protocol = other.protocol if self.protocol == "-1" else self.protocol
        return Ports(protocol, first, last) if first <= last else None

    def __str__(self) -> str:
        if self.protocol == "-1":
            return "all"
        ports = str(self.first) if self.first == self.last else f"{self.first}-{self.last}"
        return ports if self.protocol == "tcp" else f"{self.protocol} {ports}"


EVERYTHING = Ports("-1", 0, 65535)


@dataclass(frozen=True)
class Peer:
    """The other side of a rule: either a security group, a CIDR block or a prefix list."""

    group: str = ""
    block: str = ""
    prefix_list: str = ""


@dataclass(frozen=True)
class Rule:
    """One rule of a security group."""

    group: str
    inward: bool
    ports: Ports
    peer: Peer


@dataclass(frozen=True)
class Place:
    """Something with network interfaces, and their security groups and subnets."""

    name: str
    groups: frozenset[str]
    subnets: frozenset[str]


@dataclass(frozen=True)
class Route:
    """Where a subnet's traffic to a destination goes. `via` is an id, or `endpoint` for gateway endpoints."""

    destination: str
    via: str


class Walk:
    """The places in a graph's VPCs, and what each can reach according to rules and routes.

    Raises:
        Unread: the graph contains something that the walk does not understand.
    """

    def __init__(self, graph: Graph) -> None:
        refused = [r.name for r in graph.resources if r.type.startswith(_UNREAD)]
        refused += [
            group.name
            for kind in ("securityGroup:SecurityGroup", "defaultSecurityGroup:DefaultSecurityGroup")
            for group in graph.of(f"aws:ec2/{kind}")
            if group.inputs.get("ingress") or group.inputs.get("egress")
        ]
        if refused:
            raise Unread(f"the walk does not read {', '.join(refused)}")
        self._graph = graph
        self._prefix_lists: dict[str, str] = {
            result["id"]: result["name"].rsplit(".", 1)[-1]
            for token, result in graph.looked_up
            if token == "aws:ec2/getManagedPrefixList:getManagedPrefixList"
        }
        self._blocks = {
            subnet.id: ipaddress.IPv4Network(subnet.inputs["cidrBlock"])
            for subnet in graph.of("aws:ec2/subnet:Subnet")
        }
        self._vpc_blocks = {
            vpc.id: ipaddress.IPv4Network(vpc.inputs["cidrBlock"]) for vpc in graph.of("aws:ec2/vpc:Vpc")
        }
        self._vpc_of_group = dict(self._groups())
        self.routes = self._routes()
        self.rules = list(self._rules())
        self.places = list(self._places())

    def edges(self, vpc: str) -> frozenset[Edge]:
        """All connections that can be opened from, to or within a VPC."""
        places = [p for p in self.places if vpc in {self._vpc_of_group[group] for group in p.groups}]
        found: set[Edge] = set()
        for place in places:
            found.update(self._from_outside(vpc, place))
            found.update(self._to_outside(vpc, place))
            for target in places:
                found.update(Edge(place.name, target.name, str(p)) for p in self._between(place, target))
        return frozenset(found)

    def _groups(self) -> Iterator[tuple[str, str]]:
        """Security group → its VPC."""
        for group in self._graph.of("aws:ec2/securityGroup:SecurityGroup"):
            yield group.id, group.inputs["vpcId"]
        for cluster in self._graph.of("eks:index:Cluster"):
            yield cluster.outputs["clusterSecurityGroupId"], cluster.inputs["vpcId"]

    def _rules(self) -> Iterator[Rule]:
        for direction in ("Ingress", "Egress"):
            token = f"aws:vpc/securityGroup{direction}Rule:SecurityGroup{direction}Rule"
            for rule in self._graph.of(token):
                inputs = rule.inputs
                peer = Peer(
                    group=inputs.get("referencedSecurityGroupId", ""),
                    block=inputs.get("cidrIpv4", "") or inputs.get("cidrIpv6", ""),
                    prefix_list=inputs.get("prefixListId", ""),
                )
                group = inputs["securityGroupId"]
                if peer.group and self._vpc_of_group.get(peer.group) != self._vpc_of_group[group]:
                    raise Unread(f"{rule.name} refers to a group that is not in its VPC")
                yield Rule(group, direction == "Ingress", Ports.of(inputs), peer)
        for cluster in self._graph.of("eks:index:Cluster"):
            # EKS creates these rules ("View Amazon EKS security group requirements for clusters").
            group = cluster.outputs["clusterSecurityGroupId"]
            yield Rule(group, True, EVERYTHING, Peer(group=group))
            yield Rule(group, False, EVERYTHING, Peer(block="0.0.0.0/0"))

    def _places(self) -> Iterator[Place]:
        """Every resource that refers to a security group, whatever its type."""
        subnet_groups = {
            r.id: _ids(r.inputs, "subnet-") for r in self._graph.resources if "subnetGroup:" in r.type
        }
        groups: dict[str, set[str]] = {}
        subnets: dict[str, set[str]] = {}
        for resource in self._graph.resources:
            if resource.type.startswith("aws:vpc/securityGroup"):
                continue
            behind = _ids([resource.inputs, resource.outputs.get("clusterSecurityGroupId")], "sg-")
            inside = _ids(resource.inputs, "subnet-").union(
                *(subnet_groups.get(text, set()) for text in _texts(resource.inputs))
            )
            if inside and not behind and resource.type not in _WITHOUT_A_GROUP:
                raise Unread(f"{resource.name} is in subnets, behind no security group of ours")
            if behind:
                name = _name(resource)
                groups.setdefault(name, set()).update(behind)
                subnets.setdefault(name, set()).update(inside)
        # Two regions have places of the same name. The VPC of their security groups tells them apart.
        for name, behind in groups.items():
            for vpc in {self._vpc_of_group[group] for group in behind}:
                here = {group for group in behind if self._vpc_of_group[group] == vpc}
                yield Place(name, frozenset(here), frozenset(subnets[name] & self._subnets(vpc)))

    def _subnets(self, vpc: str) -> set[str]:
        return {s.id for s in self._graph.of("aws:ec2/subnet:Subnet") if s.inputs["vpcId"] == vpc}

    def _routes(self) -> dict[str, set[Route]]:
        """Subnet → its routes out of the VPC.

        A subnet without a route table of its own uses the VPC's main table, which has no such routes.
        """
        tables: dict[str, set[Route]] = {}
        for table in self._graph.of("aws:ec2/routeTable:RouteTable"):
            tables[table.id] = {_route(route) for route in table.inputs.get("routes", [])}
        for route in self._graph.of("aws:ec2/route:Route"):
            tables[route.inputs["routeTableId"]].add(_route(route.inputs))
        for endpoint in self._graph.of("aws:ec2/vpcEndpoint:VpcEndpoint"):
            for table_id in endpoint.inputs.get("routeTableIds", []):
                service = endpoint.inputs["serviceName"].rsplit(".", 1)[-1]
                tables[table_id].add(Route(service, "endpoint"))
        return {
            association.inputs["subnetId"]: tables[association.inputs["routeTableId"]]
            for association in self._graph.of("aws:ec2/routeTableAssociation:RouteTableAssociation")
        }

    def _between(self, source: Place, target: Place) -> Iterator[Ports]:
        for out in self._of(source, inward=False):
            for into in self._of(target, inward=True):
                if self._means(out.peer, target) and self._means(into.peer, source):
                    ports = out.ports.common(into.ports)
                    if ports:
                        yield ports

    def _of(self, place: Place, *, inward: bool) -> list[Rule]:
        return [rule for rule in self.rules if rule.group in place.groups and rule.inward == inward]

    def _means(self, peer: Peer, place: Place) -> bool:
        """Whether a rule's other side includes one of the place's network interfaces."""
        if peer.group:
            return peer.group in place.groups
        if not peer.block or ":" in peer.block:
            return False
        block = ipaddress.IPv4Network(peer.block)
        return any(block.overlaps(self._blocks[subnet]) for subnet in place.subnets)

    def _from_outside(self, vpc: str, place: Place) -> Iterator[Edge]:
        for rule in self._of(place, inward=True):
            source = self._outside(vpc, rule.peer)
            if source:
                gateways = {route.via for subnet in place.subnets for route in self.routes.get(subnet, ())}
                way = "" if any(via.startswith("igw-") for via in gateways) else " (no route in)"
                yield Edge(f"{source}{way}", place.name, str(rule.ports))

    def _to_outside(self, vpc: str, place: Place) -> Iterator[Edge]:
        routes = {route for subnet in place.subnets for route in self.routes.get(subnet, ())}
        endpoints = {route.destination for route in routes if route.via == "endpoint"}
        ways = {_way_out(route.via) for route in routes if route.via != "endpoint"}
        for rule in self._of(place, inward=False):
            ports = str(rule.ports)
            if rule.peer.prefix_list:
                service = self._prefix_lists[rule.peer.prefix_list]
                name = _PREFIX_LISTS.get(service, service)
                if service in endpoints:
                    yield Edge(place.name, name, ports)
                else:
                    yield from (Edge(place.name, f"{name}, {way}", ports) for way in ways)
            elif self._outside(vpc, rule.peer):
                yield from (Edge(place.name, way, ports) for way in ways)
                yield from (Edge(place.name, _PREFIX_LISTS.get(e, e), ports) for e in endpoints)

    def _outside(self, vpc: str, peer: Peer) -> str:
        """The name of a rule's other side outside of the VPC, or an empty string if it is in the VPC."""
        if peer.prefix_list:
            service = self._prefix_lists[peer.prefix_list]
            return _PREFIX_LISTS.get(service, service)
        if peer.block in ("0.0.0.0/0", "::/0"):
            return INTERNET
        within = (
            ":" not in peer.block
            and peer.block
            and vpc in self._vpc_blocks
            and ipaddress.IPv4Network(peer.block).subnet_of(self._vpc_blocks[vpc])
        )
        return "" if within else peer.block


def managed_edges(graph: Graph) -> frozenset[Edge]:
    """The connections outside of our VPCs. The configuration of AWS services allows them, not rules."""
    found: set[Edge] = set()
    for distribution in graph.of("aws:cloudfront/distribution:Distribution"):
        found.add(Edge(INTERNET, "CloudFront", "443"))
        if any(origin.get("originAccessControlId") for origin in distribution.inputs["origins"]):
            found.add(Edge("CloudFront", "web app's bucket", "443"))
    if graph.of("aws:cognito/userPoolDomain:UserPoolDomain"):
        found.add(Edge(INTERNET, "Cognito", "443"))
    endpoints = {e.id for e in graph.of("aws:ec2/vpcEndpoint:VpcEndpoint") if _name(e) == "API endpoint"}
    for api in graph.of("aws:apigateway/restApi:RestApi"):
        configuration = api.inputs["endpointConfiguration"]
        private = configuration["types"] == "PRIVATE" and endpoints.issuperset(
            configuration["vpcEndpointIds"]
        )
        found.add(Edge("API endpoint" if private else INTERNET, "API Gateway", "443"))
        if "order-intake" in api.inputs["body"]:
            found.add(Edge("API Gateway", "order intake", "443"))
    for cluster in graph.of("eks:index:Cluster"):
        if cluster.inputs.get("endpointPublicAccess"):
            blocks = cluster.inputs.get("publicAccessCidrs") or ["0.0.0.0/0"]
            found.update(Edge(INTERNET if b == "0.0.0.0/0" else b, "Kubernetes API", "443") for b in blocks)
    return frozenset(found)


def reachable(edges: Iterable[Edge], start: str, without: Collection[str] = ()) -> set[str]:
    """Everything that can be reached from `start`, hop by hop, without the places in `without`."""
    onward: dict[str, set[str]] = {}
    for edge in edges:
        onward.setdefault(edge.source, set()).add(edge.target)
    found, open_ends = {start}, [start]
    while open_ends:
        for target in onward.get(open_ends.pop(), set()) - found - set(without):
            found.add(target)
            open_ends.append(target)
    return found - {start}


def alias_targets(graph: Graph, name: str) -> set[str]:
    """The final targets of the alias records of `name`, through every branch of their tree."""
    aliases: dict[str, set[str]] = {}
    for record in graph.of("aws:route53/record:Record"):
        names = {alias["name"] for alias in record.inputs.get("aliases", [])}
        aliases.setdefault(record.inputs["name"], set()).update(names)
    if not aliases.get(name):
        return {name}
    return {end for alias in aliases[name] for end in alias_targets(graph, alias)}


def _name(resource: Registered) -> str:
    if resource.type == "aws:lb/loadBalancer:LoadBalancer":
        return "NLB" if resource.inputs["loadBalancerType"] == "network" else "ALB"
    if resource.type == "aws:ec2/vpcEndpoint:VpcEndpoint":
        return _ENDPOINTS.get(resource.inputs["serviceName"].rsplit(".", 1)[-1], "AWS endpoints")
    if resource.type == "aws:lambda/function:Function" and resource.name.endswith("-order-intake"):
        return "order intake"
    return _NAMES.get(resource.type, resource.name)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif is_dict(value):
        for item in value.values():
            yield from _texts(item)
    elif is_list(value):
        for item in value:
            yield from _texts(item)


def _ids(value: Any, prefix: str) -> set[str]:
    return {text for text in _texts(value) if text.startswith(prefix)}


def _route(inputs: dict[str, Any]) -> Route:
    """A route has one destination and one target. Which property contains them depends on their kind."""
    destinations = ("cidrBlock", "ipv6CidrBlock", "destinationCidrBlock", "destinationIpv6CidrBlock")
    lists = ("destinationPrefixListId",)
    destination = next(inputs[key] for key in (*destinations, *lists) if inputs.get(key))
    targets = [
        value for key, value in inputs.items() if key.endswith("Id") and key not in ("routeTableId", *lists)
    ]
    return Route(destination, next(iter(targets), "an unknown target"))


def _way_out(via: str) -> str:
    if via.startswith("nat-"):
        return THROUGH_NAT
    return INTERNET if via.startswith("igw-") else f"through {via}"
