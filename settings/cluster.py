"""Settings of tier 6's Kubernetes cluster."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Annotated, Literal

from pydantic import Field, field_validator

from settings.aws_limits import (
    ADDON_VERSION,
    BALANCER_TARGETS,
    CLUSTER_VERSION,
    CLUSTER_VERSIONS,
    PUBLIC_ACCESS_BLOCKS,
    ROLE_ARN,
)
from settings.images import Mirror, Registry, mirror_of, mirrored
from settings.market_hours import MarketHours
from settings.model import Broken, Cidr, Model, duplicate, refuse_duplicates, rule
from settings.pinned import ChartVersion

AddonVersion = Annotated[str, Field(pattern=ADDON_VERSION, examples=["v0.9.0-eksbuild.11"])]
RoleArn = Annotated[str, Field(pattern=ROLE_ARN)]


def _today() -> date:
    return datetime.now(UTC).date()


def oldest_version_in_standard_support(today: date) -> str:
    """The oldest Kubernetes version that EKS supports at no extra charge on a day."""
    return next(version for version, (standard, _) in CLUSTER_VERSIONS.items() if today <= standard)


class AddonSettings(Model):
    """Versions of the EKS add-ons. To list those that a cluster's version supports, run
    `aws eks describe-addon-versions --kubernetes-version 1.36 --addon-name NAME`."""

    metrics_server: AddonVersion = "v0.9.0-eksbuild.11"
    cloudwatch_observability: AddonVersion = "v6.7.0-eksbuild.1"
    secrets_store: AddonVersion = "v3.1.3-eksbuild.1"
    """The Secrets Store CSI driver with AWS's provider (`aws-secrets-store-csi-driver-provider`)."""


class ClusterSettings(Model):
    """EKS in Auto Mode."""

    version: str = Field(default="1.36", pattern=CLUSTER_VERSION)
    """Kubernetes version that EKS still supports."""
    support: Literal["STANDARD", "EXTENDED"] = "EXTENDED"
    """What happens when the version's standard support ends, 14 months after its release. With EXTENDED you
    pay by the hour and choose the day of the upgrade; with STANDARD AWS upgrades the cluster."""
    addons: AddonSettings = AddonSettings()
    public_access_cidrs: list[Cidr] = []
    """Networks that can reach the public endpoint. An empty list switches the endpoint off. You need it to
    deploy from outside the VPC, or into a VPC that the same run creates."""
    deployer_cidrs: list[Cidr] = []
    """Networks inside the VPC, or peered with it, that can reach the private endpoint."""
    admin_role_arns: list[RoleArn] = []
    """IAM roles that administer the cluster, in addition to the role that creates it. EKS gives that one an
    access entry itself, so it must not be listed in the first deployment."""
    viewer_role_arns: list[RoleArn] = []
    """IAM roles that can read everything in the cluster, including Secrets. Previews need such a role."""
    operator_role_arns: list[RoleArn] = []
    """IAM roles of the people on call. With kubectl, they may do what the runbooks need
    (`k8s/manifests/operators.yaml`), which excludes Secrets and changes of what the program deploys."""
    image_mirrors: dict[Registry, Mirror] = {}
    """Registry → address from which nodes pull its images instead, such as `ghcr.io:
    123456789012.dkr.ecr.REGION.amazonaws.com/ghcr`. `REGION` stands for the region's name. It can be an ECR
    pull through cache or any other copy."""
    keda_version: ChartVersion = "2.21.0"
    """Version of KEDA's Helm chart."""
    pods_quota: int = Field(default=500, ge=10, le=BALANCER_TARGETS)
    """Maximum number of pods in the services' namespace. The internal load balancer accepts 500 targets."""
    market_hours: MarketHours | None = MarketHours()
    """When nodes aren't replaced. With `null`, they can be replaced at any time."""

    @field_validator("version")
    @classmethod
    def _offered_version(cls, version: str) -> str:
        offered = [known for known, (_, extended) in CLUSTER_VERSIONS.items() if _today() <= extended]
        if version not in offered:
            raise ValueError(f"must be a version that EKS supports: {', '.join(offered)}")
        return version

    @rule
    def _version_is_not_upgraded_by_aws(self) -> Iterator[Broken]:
        standard, _ = CLUSTER_VERSIONS[self.version]
        if self.support == "STANDARD" and _today() > standard:
            yield Broken(
                f"version {self.version} left standard support on {standard}, so AWS upgrades a cluster with "
                f"support STANDARD: use {oldest_version_in_standard_support(_today())} or newer, or EXTENDED"
            )

    @field_validator("public_access_cidrs", "deployer_cidrs")
    @classmethod
    def _distinct_networks(cls, cidrs: list[str]) -> list[str]:
        refuse_duplicates("network", cidrs)
        return cidrs

    @field_validator("public_access_cidrs")
    @classmethod
    def _networks_fit_the_endpoint(cls, cidrs: list[str]) -> list[str]:
        if len(cidrs) > PUBLIC_ACCESS_BLOCKS:
            raise ValueError(
                f"has {len(cidrs)} networks, but a cluster's public endpoint accepts only "
                f"{PUBLIC_ACCESS_BLOCKS}: remove some, or join adjacent ones"
            )
        return cidrs

    @rule
    def _one_kind_of_access_a_role(self) -> Iterator[Broken]:
        # A role's name is unique in its account, so the access entries are named after it.
        roles = (*self.admin_role_arns, *self.viewer_role_arns, *self.operator_role_arns)
        names = [arn.rsplit("/", 1)[-1] for arn in roles]
        if found := duplicate("in adminRoleArns, viewerRoleArns and operatorRoleArns the role", names):
            yield Broken(found)

    def image(self, reference: str, region: str) -> str:
        """The image that a region's nodes pull: from the mirror of its registry, if there is one."""
        return mirrored(reference, self.image_mirrors, region)

    def image_registry(self, registry: str, region: str) -> str:
        """The address from which a region's nodes pull a registry's images."""
        return mirror_of(registry, self.image_mirrors, region)
