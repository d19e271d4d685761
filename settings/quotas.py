"""Rules between a stack's settings and the quotas of AWS that several parts of a stack use up together.

Quotas that a single setting can exceed are at that setting. Those that depend on more than settings, such as
the sizes of policies, are rules of the policy pack (`policy/rules/quotas.py`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from settings.api import HEALTH_PATH, OPENID_SCOPES, ORDERS_PATH
from settings.aws_limits import (
    API_RESOURCES,
    BALANCER_LISTENERS,
    CLIENT_SCOPES,
    RULE_GROUPS,
    RULES_PER_GROUP,
    SECONDARY_REGIONS,
    SECURITY_GROUP_RULES,
)
from settings.model import Broken

if TYPE_CHECKING:
    from settings.stack import Settings

_OTHER_POD_RULES = 2
"""Rules of the clusters' security group besides those that settings add: EKS's own, which lets its members
connect to each other, and that of the metrics' scraper for the API server."""


def exceeded_quotas(settings: Settings) -> Iterator[Broken]:
    """The quotas that a stack would exceed in each of its regions."""
    yield from _regions(settings)
    yield from _listeners(settings)
    yield from _rule_groups(settings)
    yield from _pods(settings)
    yield from _api(settings)
    yield from _scopes(settings)


def _regions(settings: Settings) -> Iterator[Broken]:
    if len(settings.regions) > 1 + SECONDARY_REGIONS:
        yield Broken(
            f"has {len(settings.regions)} regions, but Aurora's global database accepts only "
            f"{1 + SECONDARY_REGIONS}: remove some",
            ("regions",),
        )


def _listeners(settings: Settings) -> Iterator[Broken]:
    if len(settings.services) > BALANCER_LISTENERS:
        yield Broken(
            f"has {len(settings.services)} services, but the internal load balancer accepts only "
            f"{BALANCER_LISTENERS} listeners, one for each service: remove some",
            ("services",),
        )


def _rule_groups(settings: Settings) -> Iterator[Broken]:
    # A group of alerts for each service and one for the platform; each scaling query is one rule.
    services = len(settings.services)
    groups = services + 1 + math.ceil(services / RULES_PER_GROUP)
    if groups > RULE_GROUPS:
        yield Broken(
            f"has {services} services, whose alerts and scaling queries need {groups} rule groups, but a "
            f"Prometheus workspace accepts only {RULE_GROUPS}: remove some services",
            ("services",),
        )


def _pods(settings: Settings) -> Iterator[Broken]:
    requests = {service.tls_port or service.port for service in settings.services}
    metrics = {service.metrics_port or service.port for service in settings.services}
    deployers = settings.cluster.deployer_cidrs
    most = SECURITY_GROUP_RULES - _OTHER_POD_RULES
    if len(requests) + len(metrics) + len(deployers) > most:
        ports = len(requests) + len(metrics)
        yield Broken(
            f"the services have {len(requests)} different ports for requests and {len(metrics)} for metrics, "
            f"and cluster.deployerCidrs has {len(deployers)} networks. Each needs a rule in the pods' "
            f"security group, which has room for only {most}: use the same ports for several services, or "
            "fewer networks",
            ("services",) if ports > len(deployers) else ("cluster", "deployerCidrs"),
        )


def api_resources(paths: Iterable[str]) -> set[str]:
    """The resources that API Gateway has for paths: one for each part of a path, and the root."""
    return {path[:end] for path in paths for end, sign in enumerate(f"{path}/") if sign == "/"}


def _api(settings: Settings) -> Iterator[Broken]:
    routes = [path for route in settings.api.routes for path in (route.path, f"{route.path}/{{proxy+}}")]
    resources = api_resources([ORDERS_PATH, HEALTH_PATH, *routes])
    if len(resources) > API_RESOURCES:
        yield Broken(
            f"has {len(settings.api.routes)} routes, which need {len(resources)} resources of API Gateway, "
            f"but an API accepts only {API_RESOURCES}: remove some routes, or put them below fewer paths",
            ("api", "routes"),
        )


def _scopes(settings: Settings) -> Iterator[Broken]:
    most = CLIENT_SCOPES - len(OPENID_SCOPES)
    services = settings.api.services
    if not settings.api.jwt and len(services) > most:
        yield Broken(
            f"expose {len(services)} services, each with a scope of its own, but a client of the user pool "
            f"accepts only {most} besides {' and '.join(OPENID_SCOPES)}: expose fewer services, or use an "
            "external issuer (api.jwt)",
            ("api", "routes"),
        )
