"""What every tier has in common: its place in the resource tree, its signals, and names with limits."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import pulumi
import pulumi_aws as aws

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
    """What has happened when the alarm rings, in a few words."""
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
    """Why the threshold is what it is."""
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
    """What has happened when an alarm rings, in a few words."""
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


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """Where a data store listens, and the security group that guards it."""

    security_group_id: pulumi.Input[str]
    ports: tuple[int, ...]


class Tier(pulumi.ComponentResource):
    """A component of the platform; its children have it as parent and inherit its providers.

    Attributes:
        signals: what tells that the tier is healthy.
        objectives: what its users were promised.
        queries: what people ask its logs.
    """

    signals: list[Signal]
    objectives: list[Objective]
    queries: list[LogQuery]

    def __init__(self, name: str, opts: pulumi.ResourceOptions | None = None) -> None:
        # The token is an interface: it is part of every child's URN.
        super().__init__(f"trading:tier:{type(self).__name__}", name, None, opts)
        self.signals = []
        self.objectives = []
        self.queries = []

    def child(
        self,
        *,
        protect: bool | None = None,
        depends_on: pulumi.Input[list[pulumi.Resource]] | None = None,
        ignore_changes: list[str] | None = None,
        delete_before_replace: bool | None = None,
        replace_on_changes: list[str] | None = None,
        additional_secret_outputs: list[str] | None = None,
    ) -> pulumi.ResourceOptions:
        """Options of a child. Nothing of the caller's own options is merged in."""
        return pulumi.ResourceOptions(
            parent=self,
            protect=protect,
            depends_on=depends_on,
            ignore_changes=ignore_changes,
            delete_before_replace=delete_before_replace,
            replace_on_changes=replace_on_changes,
            additional_secret_outputs=additional_secret_outputs,
        )

    def count_lines(self, name: str, metric: str, *, log_group_name: pulumi.Input[str], pattern: str) -> None:
        """Counts the log events that match `pattern` as `metric` in `Trading/Logs`.

        The metric has no dimensions, so its name must say whose it is ("Filter and pattern syntax").
        """
        aws.cloudwatch.LogMetricFilter(
            name,
            log_group_name=log_group_name,
            pattern=pattern,
            metric_transformation={"namespace": LOG_METRICS, "name": metric, "value": "1"},
            opts=self.child(),
        )

    def allow_connection(
        self,
        egress_name: str,
        ingress_name: str,
        *,
        port: int,
        client: pulumi.Input[str],
        client_is: str,
        server: pulumi.Input[str],
        server_is: str,
    ) -> None:
        """Lets the security group `client` connect to TCP `port` of the security group `server`.

        Called by the tier that connects; each side's rule says who the other is.
        """
        aws.vpc.SecurityGroupEgressRule(
            egress_name,
            security_group_id=client,
            referenced_security_group_id=server,
            description=server_is,
            ip_protocol="tcp",
            from_port=port,
            to_port=port,
            opts=self.child(),
        )
        aws.vpc.SecurityGroupIngressRule(
            ingress_name,
            security_group_id=server,
            referenced_security_group_id=client,
            description=client_is,
            ip_protocol="tcp",
            from_port=port,
            to_port=port,
            opts=self.child(),
        )


def policy_document(*statements: Mapping[str, Any]) -> pulumi.Output[str]:
    """An IAM or resource policy of these statements."""
    return pulumi.Output.json_dumps({"Version": "2012-10-17", "Statement": [*statements]})


def service_trust(service: str, condition: Mapping[str, Any] | None = None) -> pulumi.Output[str]:
    """Trust policy of a role that only the AWS service `service` (`lambda.amazonaws.com`) takes on."""
    statement: dict[str, Any] = {
        "Effect": "Allow",
        "Principal": {"Service": service},
        "Action": "sts:AssumeRole",
    }
    if condition:
        statement["Condition"] = condition
    return policy_document(statement)


AUTO_NAME_SUFFIX = len("-1234567")
"""What the AWS provider appends to a logical name to make a physical one."""


def limited_name(name: str, limit: int) -> str:
    """A logical name whose automatic physical name stays within AWS's `limit` of characters.

    Too long a name keeps its beginning and ends in a digest of the whole, so two long names that
    begin alike stay different.
    """
    room = limit - AUTO_NAME_SUFFIX
    if len(name) <= room:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:4]
    return f"{name[: room - 5].rstrip('-')}-{digest}"
