"""The base of a region's tiers: the provider, the key, the alarm topics and the network."""

from __future__ import annotations

import pulumi_aws as aws

from components.common.context import DeploymentContext, RegionContext
from components.foundation import Foundation, FoundationArgs
from components.network import Network, NetworkArgs
from settings import RegionSettings, Settings


def context(settings: Settings, place: str, region: str) -> DeploymentContext:
    """The context of a region. `place` is part of the provider's name, and so of the URNs that contain it."""
    tags = {"environment": settings.environment, "platform": settings.platform, **settings.tags}
    return DeploymentContext(
        platform=settings.platform,
        region=region,
        log_retention_days=settings.monitoring.log_retention_days,
        protect=settings.protect,
        permissions_boundary=settings.permissions_boundary,
        provider=aws.Provider(f"aws-{place}", region=region, default_tags={"tags": tags}),
        tags=tags,
    )


def foundation(settings: Settings, region: RegionSettings) -> Foundation:
    """The key, the log bucket, the alarm topics and the Prometheus workspace."""
    place = context(settings, region.name, region.name)
    return Foundation(
        f"foundation-{region.name}",
        FoundationArgs(
            context=place,
            bucket_log_retention_days=settings.load_balancer.log_retention_days,
            alarm_emails=settings.monitoring.alarm_emails,
        ),
        place.options,
    )


def network(region: RegionSettings, context: RegionContext) -> Network:
    """The VPC, which is new or the existing one in the settings."""
    return Network(
        f"network-{region.name}",
        NetworkArgs(
            context=context,
            cidr=region.cidr,
            availability_zones=region.availability_zones,
            plan=region.subnet_plan(),
            nat_gateways=region.nat_gateways,
            existing=region.existing_vpc,
        ),
        context.options,
    )
