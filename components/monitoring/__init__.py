"""Tier 9, monitoring: alarms, objectives, dashboards, scrapers, alerts, a canary and a budget."""

from components.monitoring.alerting import ServiceAlerts, ServiceAlertsArgs
from components.monitoring.canary import OrderCanary, OrderCanaryArgs
from components.monitoring.monitoring import MonitoredRegion, Monitoring, MonitoringArgs
from components.monitoring.scraping import (
    BrokerMetrics,
    BrokerMetricsArgs,
    MetricsScraper,
    MetricsScraperArgs,
)

__all__ = [
    "BrokerMetrics",
    "BrokerMetricsArgs",
    "MetricsScraper",
    "MetricsScraperArgs",
    "MonitoredRegion",
    "Monitoring",
    "MonitoringArgs",
    "OrderCanary",
    "OrderCanaryArgs",
    "ServiceAlerts",
    "ServiceAlertsArgs",
]
