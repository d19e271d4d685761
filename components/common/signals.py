"""What a component reports about itself: its signals, its objectives and its log queries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import pulumi

Severity = Literal["critical", "warning"]
SEVERITIES: tuple[Severity, ...] = ("critical", "warning")
RUNBOOKS = "docs/operations.md"
"""The runbooks, with a section for every alarm and alert."""


@dataclass(frozen=True, kw_only=True)
class Signal:
    """A metric that shows whether a tier is healthy. `Monitoring` creates an alarm and a graph for it."""

    name: str
    """Unique within the platform and region; part of the alarm's name."""
    runbook: str = ""
    """Section of `docs/operations.md`. Defaults to `name`; set it if several signals share a section, such as
    those of each broker."""
    title: str
    """What has happened when the alarm is raised: a sentence that starts with a capital letter and has no
    full stop at the end."""
    namespace: str
    """CloudWatch namespace, such as `AWS/ApplicationELB`."""
    metric: str
    dimensions: Mapping[str, pulumi.Input[str]]
    statistic: str
    """`Sum`, `Average`, `Maximum`, `Minimum`, or a percentile such as `p99`. For a percentile, `periods` must
    be at least 3, so that a single slow request doesn't raise the alarm while there are few requests."""
    expression: str = ""
    """Metric math to compare instead of the metric. It refers to the metric as `metric`, and to `others` by
    their ids."""
    others: Mapping[str, tuple[str, str]] = field(default_factory=dict[str, tuple[str, str]])
    """Id → metric and statistic, with the same namespace and dimensions, that `expression` also uses."""
    comparison: Literal["above", "below"] = "above"
    threshold: float
    """Threshold in the unit of the metric or of `expression`. The alarm is raised when it is crossed."""
    reason: str
    """Why the threshold is what it is, in whole sentences."""
    severity: Severity
    period_seconds: int = 60
    """Must be at least the interval at which the metric is reported. Otherwise, periods without a value would
    prevent `periods` consecutive breaches."""
    periods: int = 3
    """Number of consecutive periods that must breach the threshold."""
    missing_data: Literal["notBreaching", "breaching", "ignore", "missing"] = "notBreaching"
    customer_impact: bool = False
    """Whether orders fail while the alarm is raised. If so, it is part of the region's customer-impact
    alarm."""
    dashboard: str = ""
    """Dashboard with the signal's graph, such as the name of the service that it belongs to. Defaults to the
    region's dashboard."""
    rings_in_deployments: bool = False
    """Whether a healthy deployment may raise the alarm. If so, it notifies only while no deployment is
    running."""
    region: str = ""
    """Region of the metric, if it differs from the component's region."""

    @property
    def anchor(self) -> str:
        """The runbook section for the alarm."""
        return self.runbook or self.name


@dataclass(frozen=True, kw_only=True)
class Objective:
    """The share of requests that must be good over 30 days. `Monitoring` creates burn-rate alarms for it."""

    name: str
    """Unique within the platform and region. It is also the name of the runbook section."""
    title: str
    """What has happened when an alarm is raised, in the same form as a signal's title."""
    target: float
    """Share of requests that are good, such as 0.999."""
    namespace: str
    dimensions: Mapping[str, pulumi.Input[str]]
    metrics: Mapping[str, tuple[str, str]]
    """Id → metric and statistic. The id `requests` must be the number of requests."""
    bad_share: str
    """Metric math that uses the ids: the share of bad requests, from 0 to 1."""


LOG_METRICS = "Trading/Logs"
"""CloudWatch namespace of the metrics that metric filters create."""

FOLLOW_ONE_REQUEST = """\
filter @message like "REQUEST-ID"
| sort @timestamp
| display @timestamp, @log, status, message, order, request, trace, edge, log_processed.message, @message
| limit 500"""
"""Query that every tier saves whose log lines contain the request id (`docs/operations.md`, "Follow one
request")."""


@dataclass(frozen=True, kw_only=True)
class LogQuery:
    """A log query. `Monitoring` saves it once, for the log groups of all tiers that report the same query."""

    name: str
    """Unique within the platform and region. Tiers that report the same query use the same name."""
    query: str
    """The query in the language of CloudWatch Logs Insights."""
    log_groups: tuple[pulumi.Input[str], ...]
    """Names of log groups in one region."""
