"""Tier 6, the autoscaler: KEDA, which scales pods on Prometheus metrics."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws
import pulumi_kubernetes as k8s

from components.tier import Tier


@dataclass(frozen=True, kw_only=True)
class AutoscalerArgs:
    """Settings of KEDA."""

    cluster_name: str
    kubernetes: k8s.Provider
    chart_version: str
    region: str
    workspace_arn: pulumi.Input[str]
    """The Prometheus workspace that KEDA reads, and the only one it may."""
    ready: list[pulumi.Resource]
    """Node pools and the like that must be there before pods."""


class Autoscaler(Tier):
    """KEDA's release, its role on the Prometheus workspace (Pod Identity) and its triggers' authentication."""

    authentication: str
    """Name of the `ClusterTriggerAuthentication` that scaled objects refer to."""
    ready: list[pulumi.Resource]
    """Scaled objects depend on these (KEDA's CRDs come with the release)."""

    def __init__(self, name: str, args: AutoscalerArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, opts)
        raise NotImplementedError
