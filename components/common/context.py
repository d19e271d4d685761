"""Values that the components of one region share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import pulumi
import pulumi_aws as aws

from components.common.component import Component
from components.common.signals import LogQuery, Objective, Signal

_ROLE = "aws:iam/role:Role"


@dataclass(frozen=True, kw_only=True)
class DeploymentContext:
    """Values that most components of a region need. It is created once per region and passed down."""

    platform: str
    """Prefix of fixed names, such as `trading-prod`."""
    region: str
    log_retention_days: int
    """Number of days that CloudWatch keeps logs."""
    protect: bool
    """Whether resources that hold data are protected from deletion."""
    provider: aws.Provider
    """The region's provider."""
    permissions_boundary: str | None = None
    """ARN of the policy that limits every role. None limits none."""
    tags: Mapping[str, str] = field(default_factory=dict[str, str])
    """The provider's default tags."""
    components: list[Component] = field(default_factory=list[Component], repr=False)
    """All components that were deployed with `options`, in order. `Monitoring` monitors what they report."""

    @property
    def options(self) -> pulumi.ResourceOptions:
        """Options of a component that is not part of another one. Its descendants inherit the
        transformations."""
        return pulumi.ResourceOptions(
            provider=self.provider, transformations=[self._record, self._limit_role]
        )

    @property
    def transforms(self) -> list[pulumi.ResourceTransform]:
        """Transforms of a component of another package. The package's provider registers its children, which
        transformations don't reach, but the engine applies transforms."""
        return [self._limit_role_of_package] if self.permissions_boundary else []

    @property
    def signals(self) -> list[Signal]:
        """Signals of all components."""
        return [signal for component in self.components for signal in component.signals]

    @property
    def objectives(self) -> list[Objective]:
        """Service-level objectives of all components."""
        return [objective for component in self.components for objective in component.objectives]

    @property
    def queries(self) -> list[LogQuery]:
        """Saved queries for the logs of every component."""
        return [query for component in self.components for query in component.queries]

    def _record(self, args: pulumi.ResourceTransformationArgs) -> None:
        # The SDK also calls this for every descendant, but those report to the component that contains them.
        if isinstance(args.resource, Component) and args.opts.parent is None:
            self.components.append(args.resource)

    def _limit_role(
        self, args: pulumi.ResourceTransformationArgs
    ) -> pulumi.ResourceTransformationResult | None:
        if args.type_ != _ROLE or not self.permissions_boundary:
            return None
        props = {**args.props, "permissions_boundary": self.permissions_boundary}
        return pulumi.ResourceTransformationResult(props, args.opts)

    def _limit_role_of_package(
        self, args: pulumi.ResourceTransformArgs
    ) -> pulumi.ResourceTransformResult | None:
        if args.type_ != _ROLE:
            return None
        props = {**args.props, "permissionsBoundary": self.permissions_boundary}
        return pulumi.ResourceTransformResult(props, args.opts)

    def encrypted_with(self, key_arn: pulumi.Input[str]) -> RegionContext:
        """The same context, with the key."""
        shared: dict[str, Any] = {each.name: getattr(self, each.name) for each in fields(DeploymentContext)}
        return RegionContext(**shared, key_arn=key_arn)


@dataclass(frozen=True, kw_only=True)
class RegionContext(DeploymentContext):
    """A context with the KMS key that components use to encrypt the data that they store."""

    key_arn: pulumi.Input[str]
    """ARN of the KMS key. CloudWatch Logs is allowed to use it as well."""
