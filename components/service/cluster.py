"""Tier 6, the cluster: EKS in Auto Mode, its node pools and what every workload stands on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws
import pulumi_eks as eks
import pulumi_kubernetes as k8s

from components.tier import Endpoint, Tier
from settings import ClusterSettings

WORKLOAD_NAMESPACE = "trading"
"""Namespace of the microservices."""


@dataclass(frozen=True, kw_only=True)
class ClusterArgs:
    """Settings of the cluster."""

    cluster_name: str
    """Plain: the kubeconfig, the target groups' tag and the provider's identity name it."""
    provider: aws.Provider
    """The region's provider. `pulumi_eks.Cluster` takes no region and does not inherit it."""
    vpc_id: pulumi.Input[str]
    vpc_cidr: str
    private_subnet_ids: Sequence[pulumi.Input[str]]
    key_arn: pulumi.Input[str]
    settings: ClusterSettings
    data_stores: Mapping[str, Endpoint]
    """Data stores that pods connect to: name → where. The cluster adds the rules to their groups."""
    log_retention_days: int
    protect: bool


class Cluster(Tier):
    """EKS in Auto Mode with our node class and pools, namespace, quotas and default-deny network policies."""

    cluster_name: str
    arn: pulumi.Output[str]
    security_group_id: pulumi.Output[str]
    """The group that EKS makes for nodes and pods."""
    kubernetes: k8s.Provider
    """Provider of everything that runs in the cluster."""
    ready: list[pulumi.Resource]
    """Workloads depend on these (namespace, node pools, policies), so that a destroy drains in order."""

    def __init__(self, name: str, args: ClusterArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, opts)
        raise NotImplementedError
