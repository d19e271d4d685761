"""The trading platform, tier by tier. This module is the architecture diagram.

Each call creates a tier or a part of one. `composition/` passes the arguments, and `components/` contains the
implementation.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

import pulumi

from components.backup import BackupVault
from components.domain import Domain
from components.foundation import Foundation
from components.identity import Identity
from components.load_balancer import LoadBalancer
from components.service.microservice import Microservice
from composition import base, compute, edge, observability, request_path, stores
from composition.stores import Stores
from settings import IDEMPOTENCY_TABLE, RegionSettings, Settings, SettingsError
from settings.aws_limits import EDGE_REGION


@dataclass(frozen=True, kw_only=True)
class DeployedRegion:
    """What later regions, and the components that exist once, need from a region."""

    foundation: Foundation
    stores: Stores
    backups: BackupVault
    load_balancer: LoadBalancer
    services: list[Microservice]


def deploy_region(
    settings: Settings,
    region: RegionSettings,
    domain: Domain,
    identity: Identity | None,
    home: Stores | None,
) -> DeployedRegion:
    """Deploys tiers 3 to 8 and the regional part of tier 9 in one region, in the order of their dependencies.

    Args:
        settings: the stack's settings.
        region: the region to deploy.
        domain: names and certificates.
        identity: users and clients; None if an external issuer manages them.
        home: the home region's data stores; None for the home region.
    """
    foundation = base.foundation(settings, region)
    context = foundation.context
    network = base.network(region, context)

    # Tiers 7, 6 and 8: the data stores.
    streaming = stores.event_streaming(settings, context, network)
    cache = stores.cache(settings, context, network)
    tables = stores.tables(settings, context, home)
    database = stores.database(settings, region, foundation, network, home)
    backups = stores.backup_vault(settings, context)
    data = Stores(
        context=context, network=network, streaming=streaming, cache=cache, tables=tables, database=database
    )

    # Tier 6: the cluster and its services, behind tier 5.
    cluster = compute.cluster(settings, context, network, data)
    autoscaler = compute.autoscaler(settings, foundation, network, cluster)
    nlb = request_path.internal_load_balancer(settings, foundation, network, domain, cluster)
    migrated = compute.migrations(settings, context, network, data, cluster)
    services = compute.microservices(settings, foundation, network, data, cluster, autoscaler, nlb, migrated)

    # Tiers 4 and 3: the API and the load balancer in front of it.
    request_path.api(settings, domain, identity, network, data, nlb)
    alb = request_path.load_balancer(settings, foundation, network, domain)

    # Tier 9: monitoring.
    observability.region_metrics(settings, foundation, network, data, cluster, autoscaler, services)
    observability.order_canary(settings, foundation, identity)

    pulumi.export(f"clusterName-{region.name}", cluster.cluster_name)
    pulumi.export(f"loadBalancer-{region.name}", alb.dns_name)
    pulumi.export(f"databaseWriter-{region.name}", database.writer_endpoint)
    pulumi.export(f"brokers-{region.name}", streaming.bootstrap_brokers)
    return DeployedRegion(
        foundation=foundation, stores=data, backups=backups, load_balancer=alb, services=services
    )


def deploy(settings: Settings) -> None:
    """Deploys the whole platform: names and users, then each region, then the components that exist once."""
    context = base.context(settings, "edge", EDGE_REGION)
    domain = edge.domain(settings, context)
    identity = edge.identity(settings, context)

    regions: list[DeployedRegion] = []
    for region in settings.home_first:
        home = regions[0].stores if regions else None
        regions.append(deploy_region(settings, region, domain, identity, home))
    for region in regions:
        vaults = [other.backups for other in regions if other is not region]
        stores.backup_plan(settings, region.stores, region.backups, vaults)

    # Tiers 1, 2 and 9.
    balancers = {region.foundation.context.region: region.load_balancer for region in regions}
    contexts = [region.foundation.context for region in regions]
    web = edge.web(settings, context, domain, identity, balancers, contexts)
    services = {region.foundation.context.region: region.services for region in regions}
    routing = edge.routing(settings, context, domain, web, balancers, services)
    observability.monitoring(settings, context, [region.foundation for region in regions])

    if identity:
        pulumi.export("login", identity.login_url)
        pulumi.export("webClientId", identity.web_client_id)
    elif settings.api.jwt:
        pulumi.export("login", settings.api.jwt.issuer)
    pulumi.export("url", f"https://{settings.domain.host}")
    # The scan only has a stack's state, and applies more rules to protected stacks (`policy.production`).
    pulumi.export("protected", settings.protect)
    pulumi.export("distribution", web.distribution_domain_name)
    # `operations/failover.py` needs its name while the home region may not answer.
    pulumi.export("ordersTable", regions[0].stores.tables[IDEMPOTENCY_TABLE].table_name)
    if routing.ds_record is not None:
        pulumi.export("dsRecord", routing.ds_record)


try:
    deploy(Settings.load())
except SettingsError as error:
    # The user must fix an invalid stack file. The message explains how, and a traceback would hide it.
    sys.exit(f"error: {error}")
