"""Tier 5, the internal load balancer: an NLB between the API tier and the microservices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from components.tier import Tier, limited_name


@dataclass(frozen=True, kw_only=True)
class BackendService:
    """A microservice as the load balancer sees it; plain, because it decides the number of listeners."""

    name: str
    listener_port: int
    pod_port: int
    health_path: str


@dataclass(frozen=True, kw_only=True)
class InternalLoadBalancerArgs:
    """Settings of the internal load balancer."""

    vpc_id: pulumi.Input[str]
    subnet_ids: Sequence[pulumi.Input[str]]
    """Private subnets, one a zone."""
    cluster_name: str
    """Plain name of the cluster, put on target groups as the tag that Auto Mode looks for."""
    pods_security_group_id: pulumi.Input[str]
    services: Sequence[BackendService]
    log_bucket: pulumi.Input[str]
    protect: bool


class InternalLoadBalancer(Tier):
    """A network load balancer with a listener and a target group for each microservice."""

    arn: pulumi.Output[str]
    dns_name: pulumi.Output[str]
    security_group_id: pulumi.Output[str]
    """Has only the rules towards pods; whoever connects adds the rule that admits it."""
    target_group_arns: Mapping[str, pulumi.Output[str]]
    """Service → target group, which is bound to pods by a TargetGroupBinding."""
    listener_ports: Mapping[str, int]

    def __init__(
        self, name: str, args: InternalLoadBalancerArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__(name, opts)
        raise NotImplementedError
