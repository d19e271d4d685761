"""Tier 6, one microservice: its chart, its identity and its place behind the internal load balancer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws
import pulumi_kubernetes as k8s

from components.tier import Tier
from settings import ServiceSettings


@dataclass(frozen=True, kw_only=True)
class Backends:
    """The region's data stores. A service is told of, and let into, only those that its settings declare."""

    table_names: Mapping[str, pulumi.Input[str]]
    """Name in the settings → name in AWS."""
    table_arns: Mapping[str, pulumi.Input[str]]
    cache_address: pulumi.Input[str]
    cache_arn: pulumi.Input[str]
    cache_user_ids: Mapping[str, str]
    """Service → IAM user of the cache."""
    cache_user_arns: Mapping[str, pulumi.Input[str]]
    bootstrap_brokers: pulumi.Input[str]
    brokers_arn: pulumi.Input[str]
    database_writer: pulumi.Input[str]
    database_reader: pulumi.Input[str]
    database_name: str
    database_resource_id: pulumi.Input[str]
    key_arn: pulumi.Input[str]
    """The key that the stores are encrypted with."""


@dataclass(frozen=True, kw_only=True)
class MicroserviceArgs:
    """Settings of one microservice."""

    settings: ServiceSettings
    region: str
    cluster_name: str
    kubernetes: k8s.Provider
    target_group_arn: pulumi.Input[str]
    vpc_cidr: str
    backends: Backends
    workspace_endpoint: pulumi.Input[str]
    trigger_authentication: str
    ready: list[pulumi.Resource]
    """Node pools, namespace, KEDA."""


class Microservice(Tier):
    """A service's Deployment, Service, ServiceAccount, PodDisruptionBudget, network policy and scaling.

    The chart's values are plain, so that a preview shows every object. What comes from outputs (the
    ConfigMap of endpoints, the TargetGroupBinding, the scaled object with the workspace's address, the
    role's association) stands beside the chart.
    """

    role_arn: pulumi.Output[str]

    def __init__(self, name: str, args: MicroserviceArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, opts)
        raise NotImplementedError
