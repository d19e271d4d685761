"""Tier 3, the load balancer: the ALB that CloudFront's requests arrive at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from components.tier import Tier, limited_name
from settings import LoadBalancerSettings

ORIGIN_SECRET_HEADER = "X-Origin-Secret"
"""Header that proves a request came through our distribution."""


@dataclass(frozen=True, kw_only=True)
class LoadBalancerArgs:
    """Settings of the public load balancer."""

    region: str
    vpc_id: pulumi.Input[str]
    public_subnet_ids: Sequence[pulumi.Input[str]]
    certificate_arn: pulumi.Input[str]
    host_names: Sequence[str]
    """Host headers that are forwarded: the viewer's host, and the region's own for health checks."""
    origin_secret: pulumi.Input[str]
    api_endpoint_addresses: Sequence[str]
    """Pinned addresses of the API's endpoint: the targets. Plain: their number shapes the graph."""
    api_endpoint_security_group_id: pulumi.Input[str]
    log_bucket: pulumi.Input[str]
    settings: LoadBalancerSettings
    protect: bool


class LoadBalancer(Tier):
    """An internet-facing ALB that admits CloudFront, with the secret header, and Route 53's checkers."""

    arn: pulumi.Output[str]
    dns_name: pulumi.Output[str]
    zone_id: pulumi.Output[str]
    """Hosted zone of the load balancer's own name, for alias records."""
    security_group_id: pulumi.Output[str]

    def __init__(self, name: str, args: LoadBalancerArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, opts)
        raise NotImplementedError
