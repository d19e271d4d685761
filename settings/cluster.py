"""Tier 6: the Kubernetes cluster."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field, field_validator

from settings.model import Broken, Cidr, Model, duplicate, refuse_duplicates, rule
from settings.pinned import ChartVersion

AddonVersion = Annotated[
    str, Field(pattern=r"^v[0-9]+\.[0-9]+\.[0-9]+-eksbuild\.[0-9]+$", examples=["v0.9.0-eksbuild.11"])
]
RoleArn = Annotated[str, Field(pattern=r"^arn:aws:iam::[0-9]{12}:role/.+")]


class AddonSettings(Model):
    """Versions of the EKS add-ons; what a cluster's version takes is listed by
    `aws eks describe-addon-versions --kubernetes-version 1.36 --addon-name NAME`."""

    metrics_server: AddonVersion = "v0.9.0-eksbuild.11"
    cloudwatch_observability: AddonVersion = "v6.7.0-eksbuild.1"
    secrets_store: AddonVersion = "v3.1.3-eksbuild.1"
    """The Secrets Store CSI driver with AWS's provider (`aws-secrets-store-csi-driver-provider`)."""


class ClusterSettings(Model):
    """EKS in Auto Mode."""

    version: str = Field(default="1.36", pattern=r"^1\.[0-9]{2}$")
    support: Literal["STANDARD", "EXTENDED"] = "EXTENDED"
    """What happens when the version's standard support ends, 14 months after its release: EXTENDED is paid
    for by the hour and leaves the day of the upgrade to you, STANDARD upgrades on AWS's day."""
    addons: AddonSettings = AddonSettings()
    public_access_cidrs: list[Cidr] = []
    """Networks that may reach the public endpoint; none switches it off. A deployer outside the VPC
    needs one, and so does everyone while the VPC is not there yet."""
    deployer_cidrs: list[Cidr] = []
    """Networks inside the VPC or peered with it that may reach the private endpoint."""
    admin_role_arns: list[RoleArn] = []
    """IAM roles that administer the cluster beside its creator."""
    viewer_role_arns: list[RoleArn] = []
    """IAM roles that read everything in the cluster, its Secrets too: those of previews."""
    keda_version: ChartVersion = "2.21.0"
    """Version of KEDA's Helm chart."""
    pods_quota: int = Field(default=500, ge=10)
    """The most pods in the services' namespace."""

    @field_validator("public_access_cidrs", "deployer_cidrs")
    @classmethod
    def _distinct_networks(cls, cidrs: list[str]) -> list[str]:
        refuse_duplicates("network", cidrs)
        return cidrs

    @rule
    def _one_kind_of_access_a_role(self) -> Iterator[Broken]:
        # A role's name is unique in its account; the access entries are told apart by it.
        names = [arn.rsplit("/", 1)[-1] for arn in (*self.admin_role_arns, *self.viewer_role_arns)]
        if found := duplicate("in adminRoleArns and viewerRoleArns the role", names):
            yield Broken(found)
