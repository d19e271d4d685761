"""What a component reports about itself: its signals, its objectives and the questions to its logs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import pulumi

Severity = Literal["critical", "warning"]
SEVERITIES: tuple[Severity, ...] = ("critical", "warning")
RUNBOOKS = "docs/operations.md"
"""What to do about every alarm and alert, a section each."""


@dataclass(frozen=True, kw_only=True)
class Signal:
    """One thing that tells whether a tier is healthy. `Monitoring` makes an alarm of it and graphs it."""

    name: str
    """Unique within the platform and region; part of the alarm's name."""
    runbook: str = ""
    """Section of `docs/operations.md`, where several signals share one (a broker's each); else `name`."""
    title: str
    """What has happened when the alarm rings: a sentence with a capital letter and without its full stop."""
    namespace: str
    """CloudWatch namespace, such as `AWS/ApplicationELB`."""
    metric: str
    dimensions: Mapping[str, pulumi.Input[str]]
    statistic: str
    """`Sum`, `Average`, `Maximum`, `Minimum`, or a percentile such as `p99`."""
    expression: str = ""
    """Metric math that is compared in the metric's place; it calls the metric `metric`, and `others` by
    their ids."""
    others: Mapping[str, tuple[str, str]] = field(default_factory=dict[str, tuple[str, str]])
    """Id → metric and statistic, of the same namespace and dimensions, that `expression` names as well."""
    comparison: Literal["above", "below"] = "above"
    threshold: float
    """In the unit of the metric, or of `expression`; the alarm rings beyond it."""
    reason: str
    """Why the threshold is what it is, in whole sentences."""
    severity: Severity
    period_seconds: int = 60
    """At least as long as the time between two values of the metric: what is missing in between would keep
    `periods` in a row from ever being full."""
    periods: int = 3
    """How many periods in a row must be beyond the threshold."""
    missing_data: Literal["notBreaching", "breaching", "ignore", "missing"] = "notBreaching"
    customer_impact: bool = False
    """Whether orders fail while it rings: then it is part of the region's customer-impact alarm."""
    dashboard: str = ""
    """Dashboard that graphs it, such as the name of the service that it comes and goes with; defaults to its
    region's."""
    rings_in_deployments: bool = False
    """Whether a healthy deployment may ring it: then it notifies only while none runs."""
    region: str = ""
    """Region of the metric, where it is not the component's own."""

    @property
    def anchor(self) -> str:
        """The runbook section that says what to do."""
        return self.runbook or self.name


@dataclass(frozen=True, kw_only=True)
class Objective:
    """A share of requests that must be good over 30 days. `Monitoring` makes burn-rate alarms of it."""

    name: str
    """Unique within the platform and region; the runbook's section too."""
    title: str
    """What has happened when an alarm rings: a sentence with a capital letter and without its full stop."""
    target: float
    """Share of requests that are good, such as 0.999."""
    namespace: str
    dimensions: Mapping[str, pulumi.Input[str]]
    metrics: Mapping[str, tuple[str, str]]
    """Id → metric and statistic, of which `requests` is the number of requests."""
    bad_share: str
    """Metric math over the ids: the share of bad requests, from 0 to 1."""


LOG_METRICS = "Trading/Logs"
"""CloudWatch namespace of what metric filters count."""

FOLLOW_ONE_REQUEST = """\
filter @message like "REQUEST-ID"
| sort @timestamp
| display @timestamp, @log, status, message, order, request, trace, edge, log_processed.message, @message
| limit 500"""
"""Question of every tier whose log lines name the request (`docs/operations.md`, "Follow one request")."""


@dataclass(frozen=True, kw_only=True)
class LogQuery:
    """A question to logs. `Monitoring` saves it, over the log groups of all tiers that ask the same."""

    name: str
    """Unique within the platform and region, but for tiers that ask the same."""
    query: str
    """In the query language of CloudWatch Logs Insights."""
    log_groups: tuple[pulumi.Input[str], ...]
    """Names of the log groups, of one region."""
