"""Tier 9: the monitoring of each region, and the alarms and dashboards for all regions."""

from __future__ import annotations

from collections.abc import Sequence

import pulumi

from components.common.context import DeploymentContext
from components.foundation import Foundation
from components.identity import Identity
from components.monitoring import (
    BrokerMetrics,
    BrokerMetricsArgs,
    MetricsScraper,
    MetricsScraperArgs,
    MonitoredRegion,
    Monitoring,
    MonitoringArgs,
    OrderCanary,
    OrderCanaryArgs,
    ServiceAlerts,
    ServiceAlertsArgs,
)
from components.network import Network
from components.service.autoscaler import Autoscaler
from components.service.cluster import Cluster
from components.service.microservice import Microservice
from composition.stores import Stores
from settings import Settings


def region_metrics(
    settings: Settings,
    foundation: Foundation,
    network: Network,
    stores: Stores,
    cluster: Cluster,
    autoscaler: Autoscaler,
    services: Sequence[Microservice],
) -> None:
    """The services' metrics, the alerts on them, and the brokers' metrics."""
    scraper = _metrics_scraper(settings, foundation, network, cluster)
    _service_alerts(settings, foundation, autoscaler, [*services, scraper])
    context = foundation.context
    BrokerMetrics(
        f"broker-metrics-{context.region}",
        BrokerMetricsArgs(
            context=context,
            vpc_id=network.vpc_id,
            subnet_ids=network.isolated_subnet_ids,
            dns_name=stores.streaming.dns_name,
            exporters=stores.streaming.exporters,
        ),
        context.options,
    )


def _metrics_scraper(
    settings: Settings, foundation: Foundation, network: Network, cluster: Cluster
) -> MetricsScraper:
    context = foundation.context
    return MetricsScraper(
        f"metrics-scraper-{context.region}",
        MetricsScraperArgs(
            context=context,
            cluster_name=cluster.cluster_name,
            cluster_arn=cluster.arn,
            workspace_arn=foundation.workspace_arn,
            subnet_ids=network.private_subnet_ids,
            cluster_security_group_id=cluster.security_group_id,
            metrics_ports=sorted({service.metrics_port or service.port for service in settings.services}),
            vpc_id=network.vpc_id,
        ),
        context.options,
    )


def _service_alerts(
    settings: Settings, foundation: Foundation, autoscaler: Autoscaler, ready: list[pulumi.Resource]
) -> None:
    context = foundation.context
    ServiceAlerts(
        f"service-alerts-{context.region}",
        ServiceAlertsArgs(
            context=context,
            workspace_arn=foundation.workspace_arn,
            services=settings.services,
            order_service=settings.api.order_service,
            is_primary=settings.is_primary(context.region),
            load_metric=autoscaler.load_metric,
            scaling_rule_groups=autoscaler.rule_groups,
            critical_topic_arn=foundation.critical_topic_arn,
            warning_topic_arn=foundation.warning_topic_arn,
            ready=ready,
        ),
        context.options,
    )


def order_canary(settings: Settings, foundation: Foundation, identity: Identity | None) -> None:
    """The canary, if the settings enable it and the platform manages the users.

    It runs in the home region. Its orders go to the primary region from wherever it runs, and moving it
    would delete its secret and its bucket.
    """
    context = foundation.context
    if not (settings.monitoring.canary and identity and context.region == settings.home):
        return
    OrderCanary(
        f"order-canary-{context.region}",
        OrderCanaryArgs(
            context=context,
            host=settings.domain.host,
            login_url=identity.login_url,
            client_id=identity.machine_client_id,
            client_secret=identity.machine_client_secret,
            scope=identity.scopes[settings.api.order_service],
            settings=settings.monitoring.canary,
        ),
        context.options,
    )


def monitoring(settings: Settings, edge: DeploymentContext, foundations: Sequence[Foundation]) -> Monitoring:
    """Alarms and dashboards for everything that the components report, at the edge and in each region."""
    return Monitoring(
        "monitoring",
        MonitoringArgs(
            context=edge,
            regions=[_monitored(edge, foundation) for foundation in foundations],
            edge_signals=[signal for signal in edge.signals if not signal.region],
            edge_queries=edge.queries,
            settings=settings.monitoring,
        ),
        edge.options,
    )


def _monitored(edge: DeploymentContext, foundation: Foundation) -> MonitoredRegion:
    context = foundation.context
    # An edge component issues the regional certificates, but their metrics are in the certificates' regions.
    from_edge = [signal for signal in edge.signals if signal.region == context.region]
    return MonitoredRegion(
        region=context.region,
        signals=[*from_edge, *context.signals],
        objectives=context.objectives,
        queries=context.queries,
        critical_topic_arn=foundation.critical_topic_arn,
        warning_topic_arn=foundation.warning_topic_arn,
    )
