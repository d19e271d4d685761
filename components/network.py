"""The network of one region: VPC, subnets over the zones, NAT, flow logs and endpoints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import pulumi
import pulumi_aws as aws

from components.tier import Tier
from settings import ExistingVpc, SubnetPlan


@dataclass(frozen=True, kw_only=True)
class NetworkArgs:
    """Settings of a region's network."""

    region: str
    cidr: str
    availability_zones: Sequence[str]
    plan: SubnetPlan
    nat_gateways: Literal["perZone", "one"]
    key_arn: pulumi.Input[str]
    log_retention_days: int
    """Days that flow logs are kept."""
    existing: ExistingVpc | None
    """Use this VPC and its subnets, and add endpoints only."""


class Network(Tier):
    """A VPC with public, private, isolated and endpoint subnets in every zone.

    Public subnets hold the load balancer and NAT gateways; private ones the pods, the function and the
    internal load balancer; isolated ones, which have no route out, the data stores; the small endpoint
    subnets the pinned addresses of the API's endpoint.
    """

    vpc_id: pulumi.Output[str]
    cidr: str
    public_subnet_ids: list[pulumi.Output[str]]
    private_subnet_ids: list[pulumi.Output[str]]
    isolated_subnet_ids: list[pulumi.Output[str]]
    api_endpoint_id: pulumi.Output[str]
    """The `execute-api` interface endpoint (private DNS off: the API has names of its own)."""
    api_endpoint_addresses: list[str]
    """Its pinned IPv4 addresses, one a zone, known before the deployment (the ninth address of each
    endpoint subnet: AWS reserves the first four and the last)."""
    api_endpoint_security_group_id: pulumi.Output[str]
    """Empty; whoever connects adds the rule."""
    endpoints_security_group_id: pulumi.Output[str]
    """Group of the other interface endpoints; admits HTTPS from the VPC."""
    s3_prefix_list_id: pulumi.Output[str]
    dynamodb_prefix_list_id: pulumi.Output[str]

    def __init__(self, name: str, args: NetworkArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, opts)
        raise NotImplementedError
