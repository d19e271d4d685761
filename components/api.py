"""Tier 4, the API: a private REST API with order intake as a function and the rest through a VPC link."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from components.tier import Tier
from settings import ApiSettings


@dataclass(frozen=True, kw_only=True)
class ApiArgs:
    """Settings of the API tier."""

    region: str
    vpc_id: pulumi.Input[str]
    private_subnet_ids: Sequence[pulumi.Input[str]]
    key_arn: pulumi.Input[str]
    host_names: Sequence[str]
    """Names that the API answers: the viewer's host, and the region's own for health checks."""
    certificate_arn: pulumi.Input[str]
    endpoint_id: pulumi.Input[str]
    """The `execute-api` interface endpoint, the only way in."""
    load_balancer_arn: pulumi.Input[str]
    """The internal load balancer."""
    load_balancer_dns_name: pulumi.Input[str]
    load_balancer_security_group_id: pulumi.Input[str]
    listener_ports: Mapping[str, int]
    """Service → port of its listener."""
    idempotency_table: pulumi.Input[str]
    idempotency_table_arn: pulumi.Input[str]
    endpoints_security_group_id: pulumi.Input[str]
    dynamodb_prefix_list_id: pulumi.Input[str]
    settings: ApiSettings
    log_retention_days: int


class Api(Tier):
    """API Gateway (private REST) and the `order_intake` Lambda function."""

    rest_api_id: pulumi.Output[str]
    stage_name: str
    function_name: pulumi.Output[str]

    def __init__(self, name: str, args: ApiArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, opts)
        raise NotImplementedError
