"""Tier 6, the network policies of add-ons: where their pods may connect."""

from __future__ import annotations

import ipaddress

import pulumi_kubernetes as k8s

from settings.aws_limits import POD_IDENTITY_AGENT, SERVICE_NETWORKS

EgressRule = k8s.networking.v1.NetworkPolicyEgressRuleArgsDict


def add_on_egress(vpc_cidr: str) -> list[EgressRule]:
    """Rules for the Kubernetes API, AWS services with an interface endpoint, DNS and the Pod Identity
    agent."""
    return [
        # The network interfaces of the API server and of the interface endpoints are in the VPC.
        _to(443, vpc_cidr, *_service_addresses(1)),
        *(_to(53, *_service_addresses(10), protocol=protocol) for protocol in ("UDP", "TCP")),
        _to(80, POD_IDENTITY_AGENT),
    ]


def _to(port: int, *cidrs: str, protocol: str = "TCP") -> EgressRule:
    return {
        "to": [{"ip_block": {"cidr": cidr}} for cidr in cidrs],
        "ports": [{"protocol": protocol, "port": port}],
    }


def _service_addresses(position: int) -> list[str]:
    """The address at this position of each network that EKS can give to Kubernetes Services."""
    return [f"{ipaddress.IPv4Network(network)[position]}/32" for network in SERVICE_NETWORKS]
