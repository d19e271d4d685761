"""Rules about networks: security groups, flow logs, addresses and endpoints."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from ipaddress import IPv4Network, IPv6Network
from typing import Any

from policy.rule import Resource, Stack, is_map, listed, must_be, rule, stack_rule
from settings import is_the_internet

VPC = "aws:ec2/vpc:Vpc"
SECURITY_GROUP = "aws:ec2/securityGroup:SecurityGroup"
SECURITY_GROUP_RULE = "aws:ec2/securityGroupRule:SecurityGroupRule"
INGRESS_RULE = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
DEFAULT_SECURITY_GROUP = "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup"
ENDPOINT = "aws:ec2/vpcEndpoint:VpcEndpoint"
FLOW_LOG = "aws:ec2/flowLog:FlowLog"

BLOCKS = ("cidrIpv4", "cidrIpv6", "cidrBlocks", "ipv6CidrBlocks")
MOST_ADDRESSES = {4: 4 * 2**16, 6: 4 * 2**96}
"""Version of IP → public addresses that the rules of a security group may admit together: four of the largest
networks that `is_the_internet` accepts."""


@rule(
    "No security group allows the whole internet",
    INGRESS_RULE,
    SECURITY_GROUP,
    SECURITY_GROUP_RULE,
    controls=["EC2.13", "EC2.14", "EC2.18", "EC2.19"],
)
def security_group_admits_no_internet(group: Resource) -> Iterator[str]:
    for entry in _ingress(group):
        for key in BLOCKS:
            for block in listed(entry.get(key)):
                if is_the_internet(str(block)):
                    yield f"{key} allows {block}: use a security group, a prefix list or a smaller network"


def _ingress(holder: Resource) -> list[Mapping[str, Any]]:
    """What a security group or a rule of one admits."""
    if holder.type == SECURITY_GROUP:
        return [entry for entry in listed(holder.get("ingress")) if is_map(entry)]
    if holder.type == SECURITY_GROUP_RULE and holder.get("type") != "ingress":
        return []
    return [holder.properties]


@stack_rule("The rules of a security group together admit only a few networks", SECURITY_GROUP)
def security_group_rules_stay_small(group: Resource, stack: Stack) -> Iterator[str]:
    blocks = [
        ipaddress.ip_network(str(block), strict=False)
        for holder in (group, *stack.companions(group, INGRESS_RULE, SECURITY_GROUP_RULE))
        for entry in _ingress(holder)
        for key in BLOCKS
        for block in listed(entry.get(key))
    ]
    fourth = [it for it in blocks if isinstance(it, IPv4Network) and not it.is_private]
    sixth = [it for it in blocks if isinstance(it, IPv6Network) and not it.is_private]
    totals = {
        4: sum(it.num_addresses for it in ipaddress.collapse_addresses(fourth)),
        6: sum(it.num_addresses for it in ipaddress.collapse_addresses(sixth)),
    }
    for version, total in totals.items():
        most = MOST_ADDRESSES[version]
        if total > most:
            yield (
                f"its rules admit {total:,} public addresses of IPv{version} together, but at most {most:,} "
                "are accepted: use security groups, or fewer networks"
            )


@stack_rule("The default security group has no rules", VPC, controls=["EC2.2"])
def default_security_group_is_empty(vpc: Resource, stack: Stack) -> Iterator[str]:
    if not any(stack.companions(vpc, DEFAULT_SECURITY_GROUP)):
        yield "its default security group has AWS's rules: add a DefaultSecurityGroup without rules"


@rule("A default security group has no rules of its own", DEFAULT_SECURITY_GROUP, controls=["EC2.2"])
def default_security_group_admits_nobody(group: Resource) -> Iterator[str]:
    for key in ("ingress", "egress"):
        if listed(group.get(key)):
            yield f"has {key} rules: remove them"


@rule("A flow log records rejected traffic", FLOW_LOG, controls=["EC2.6"])
def flow_log_records_rejections(log: Resource) -> Iterator[str]:
    yield from must_be(log, "trafficType", "ALL", "REJECT")


@stack_rule("A VPC writes flow logs", VPC, controls=["EC2.6"])
def vpc_has_flow_logs(vpc: Resource, stack: Stack) -> Iterator[str]:
    if not any(stack.companions(vpc, FLOW_LOG)):
        yield "has no FlowLog: add one"


@rule("Subnets don't assign public addresses", "aws:ec2/subnet:Subnet", controls=["EC2.15"])
def subnet_assigns_no_public_addresses(subnet: Resource) -> Iterator[str]:
    for key in ("mapPublicIpOnLaunch", "assignIpv6AddressOnCreation"):
        yield from must_be(subnet, key, False, unset=True)


@stack_rule("An elastic IP address is in use", "aws:ec2/eip:Eip", controls=["EC2.12"])
def elastic_ip_is_in_use(address: Resource, stack: Stack) -> Iterator[str]:
    users = ("aws:ec2/natGateway:NatGateway", "aws:lb/loadBalancer:LoadBalancer")
    if not any(stack.companions(address, *users)):
        yield "is not in use: assign it to a NAT gateway, or remove it"


@stack_rule("A VPC has endpoints for the image registry", VPC, controls=["EC2.55", "EC2.56"])
def vpc_has_registry_endpoints(vpc: Resource, stack: Stack) -> Iterator[str]:
    services = [str(endpoint.get("serviceName")) for endpoint in stack.companions(vpc, ENDPOINT)]
    for service in ("ecr.api", "ecr.dkr"):
        if not any(name.endswith(f".{service}") for name in services):
            yield f"has no VpcEndpoint for {service}: add one"
