"""Tier 2, routing: Route 53 from the viewer's name to CloudFront, and from the origin's to a region."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from components.tier import Tier
from settings import DomainSettings


@dataclass(frozen=True, kw_only=True)
class RegionalOrigin:
    """One region's load balancer."""

    region: str
    dns_name: pulumi.Input[str]
    zone_id: pulumi.Input[str]


@dataclass(frozen=True, kw_only=True)
class RoutingArgs:
    """Settings of the records."""

    names: DomainSettings
    zone_id: pulumi.Input[str]
    distribution_domain_name: pulumi.Input[str]
    distribution_zone_id: pulumi.Input[str]
    origins: Sequence[RegionalOrigin]
    """The first is the primary, where writes go."""


class Routing(Tier):
    """Viewer and origin records, and the health checks that steer them.

    The origin's names form a tree of aliases with one policy each: geolocation → latency → failover.
    One region has the whole tree already, so a second one only adds records.
    """

    health_check_ids: list[pulumi.Output[str]]

    def __init__(self, name: str, args: RoutingArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, opts)
        raise NotImplementedError
