"""The nine tiers of the architecture, and the tier of each resource."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

TYPE_PREFIX = "trading:tier:"

_COMPONENTS: Mapping[str, Sequence[str]] = {
    "CloudFront": ["Web", "AppCopy"],
    "Route 53": ["Domain", "Routing", "ZoneSigning", "QueryLog"],
    "ALB": ["LoadBalancer"],
    "API Gateway + Lambda": ["Api", "OrderIntake", "TokenAuthorizer", "Identity"],
    "NLB": ["InternalLoadBalancer"],
    "EKS + ElastiCache + DynamoDB": [
        "Cluster",
        "Autoscaler",
        "Microservice",
        "Migrations",
        "Cache",
        "Table",
        "TableReplica",
    ],
    "MSK": ["EventStreaming"],
    "Aurora PostgreSQL": ["Database", "DatabaseProxy", "SecretRotation"],
    "CloudWatch + Prometheus": [
        "Monitoring",
        "MetricsScraper",
        "BrokerMetrics",
        "ServiceAlerts",
        "SlackChannel",
        "OrderCanary",
        "Spending",
        "AlarmTopics",
    ],
}

SHARED = "Shared"
"""What all tiers use: networks, keys, log buckets, backups and providers."""

TIERS: Sequence[str] = [*_COMPONENTS, SHARED]
"""In the order of the architecture, from the edge to monitoring. `SHARED` is the last one."""

_TIER_OF = {component: tier for tier, components in _COMPONENTS.items() for component in components}


def tier_of(urn: str) -> str:
    """The tier of a resource, by the outermost component that contains it.

    Args:
        urn: for example `urn:pulumi:prod::platform::trading:tier:Cache$aws:kms/alias:Alias::cache-alias`.
    """
    types = urn.split("::")[2].split("$")
    components = (token.removeprefix(TYPE_PREFIX) for token in types if token.startswith(TYPE_PREFIX))
    return next((_TIER_OF[name] for name in components if name in _TIER_OF), SHARED)
