"""Tier 9, alerts: rules on the metrics of the services' pods, and the notifications of the alert manager."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws
import yaml

from components.common.arns import resource_name
from components.common.component import Component
from components.common.context import RegionContext
from components.common.signals import RUNBOOKS, Severity, Signal
from settings import WORKLOAD_NAMESPACE, ServiceSettings

NAMESPACE = "alerts"
"""Namespace of the rules in the workspace."""
PLATFORM_GROUP = "platform"
"""The group of the rules that don't belong to a service."""
EVALUATION_SECONDS = 60
REQUESTS = "trading:requests:rate5m"
ERRORS = "trading:request_errors:ratio_rate5m"
LATENCY = "trading:request_duration_seconds:p99_rate5m"
"""Series that the recording rules write for each service: requests per second, the share of requests that
ended in 5xx, and the 99th percentile of the latency in seconds, each over five minutes."""
_TEMPLATES = "trading"
"""Name of the template file in the definition."""
WATCHDOG = "Watchdog"
"""The alert that always fires and notifies nobody. As long as the alert manager receives it, other alerts
would arrive as well."""


@dataclass(frozen=True, kw_only=True)
class Alert:
    """An alerting rule of the workspace. The alert manager publishes the alert to the topic of its
    severity."""

    name: str
    """Name by Prometheus's convention, such as `ServiceNotScraped`. It is the same for all services."""
    service: str
    expression: str
    """PromQL expression. The alert fires while the expression returns a value."""
    minutes: int
    """How long the expression must return a value before the alert fires."""
    title: str
    """What has happened: a sentence that starts with a capital letter and has no full stop at the end. It is
    inserted into JSON without escaping, so it must not contain quotation marks."""
    reason: str
    """Why the limit and the time are what they are, in whole sentences. It must not contain quotation marks
    either."""
    severity: Severity
    runbook: str
    """Section of `docs/operations.md`."""

    def rule(self) -> dict[str, Any]:
        """The rule as it appears in a rules file."""
        return {
            "alert": self.name,
            "expr": self.expression,
            "for": f"{self.minutes}m",
            "labels": {"service": self.service, "severity": self.severity},
            "annotations": {
                "summary": self.title,
                "description": self.reason,
                "runbook": f"{RUNBOOKS}#{self.runbook}",
            },
        }


@dataclass(frozen=True, kw_only=True)
class ServiceAlertsArgs:
    """Settings of a region's alerts."""

    context: RegionContext
    workspace_arn: pulumi.Input[str]
    """The Prometheus workspace with the pods' metrics."""
    services: Sequence[ServiceSettings]
    order_service: str
    """The service whose failures are critical."""
    is_primary: bool
    """Whether this is the region that takes writes. In other regions, some services may receive no
    requests."""
    load_metric: str
    """The series that services scale on, with the label `service`."""
    scaling_rule_groups: Sequence[str]
    """The rule groups that write it, each as `NAMESPACE;GROUP`."""
    critical_topic_arn: pulumi.Input[str]
    warning_topic_arn: pulumi.Input[str]
    """Standard topics in this region that the alert manager may publish to."""
    ready: list[pulumi.Resource]
    """The services and their scraper. Before they exist, every alert would fire."""


class ServiceAlerts(Component):
    """Alerting rules of the workspace, and its alert manager, which publishes to the region's alarm topics.

    CloudWatch has no metrics of the requests to single services behind the internal load balancer. The alert
    manager combines the alerts of a service in one message, suppresses alerts that follow from another one,
    and repeats alerts that haven't been resolved.
    """

    def __init__(
        self, name: str, args: ServiceAlertsArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("trading:tier:ServiceAlerts", name, opts)
        workspace_id = resource_name(args.workspace_arn)
        manager = aws.amp.AlertManagerDefinition(
            name,
            workspace_id=workspace_id,
            definition=pulumi.Output.all(args.critical_topic_arn, args.warning_topic_arn).apply(
                lambda topics: alert_manager_definition(args.context.region, *topics)
            ),
            opts=self.child(),
        )
        rules = aws.amp.RuleGroupNamespace(
            name,
            name=NAMESPACE,
            workspace_id=workspace_id,
            data=rules_file(args.services, args.order_service, args.load_metric, is_primary=args.is_primary),
            # Alerts that fire before the alert manager exists would notify nobody.
            opts=self.child(depends_on=[manager, *args.ready]),
        )
        # The workspace id is taken from the rules, so that the alarm on missing alerts is created after the
        # rules and deleted before them.
        self.report(
            *_delivery_signals(rules.workspace_id),
            *(
                _rules_failed(rules.workspace_id, group)
                for group in (*args.scaling_rule_groups, f"{NAMESPACE};{PLATFORM_GROUP}")
            ),
            *(
                _rules_failed(rules.workspace_id, f"{NAMESPACE};{service_group(service.name)}", service.name)
                for service in args.services
            ),
        )
        self.register_outputs({})


def rules_file(
    services: Sequence[ServiceSettings], order_service: str, load_metric: str, *, is_primary: bool
) -> str:
    """The rules file. It is JSON, which is also valid YAML, so that no query can break the quoting.

    Each service has a group of its own, which has room for `RULES_PER_GROUP` rules. Its recording rules come
    first: the rules of a group are evaluated from top to bottom, so an alert uses what was recorded in the
    same evaluation. Between groups there is no order ("Using rules to modify or monitor metrics as they are
    received", AMP User Guide, read in November 2026).
    """
    rules: dict[str, list[dict[str, Any]]] = {
        service_group(service.name): [
            *_recording_rules(service.name),
            *(
                alert.rule()
                for alert in service_alerts(service, order_service, load_metric, is_primary=is_primary)
            ),
        ]
        for service in services
    }
    rules[PLATFORM_GROUP] = [
        {
            "alert": WATCHDOG,
            "expr": "vector(1)",
            "annotations": {"summary": "Rules are evaluated and reach the alert manager"},
        }
    ]
    groups = [
        {"name": group, "interval": f"{EVALUATION_SECONDS}s", "rules": of_group}
        for group, of_group in rules.items()
    ]
    return json.dumps({"groups": groups}, indent=2)


def service_group(service: str) -> str:
    """The rule group of a service."""
    return f"service-{service}"


def _recording_rules(service: str) -> list[dict[str, Any]]:
    pods = f'namespace="{WORKLOAD_NAMESPACE}",service="{service}"'
    requests = f"http_requests_total{{{pods}}}"
    failed = f'http_requests_total{{{pods},status=~"5.."}}'
    buckets = f"http_request_duration_seconds_bucket{{{pods}}}"
    recorded = f'{REQUESTS}{{service="{service}"}}'
    expressions = {
        REQUESTS: f"sum by (service) (rate({requests}[5m]))",
        ERRORS: f"sum by (service) (rate({failed}[5m])) / {recorded}",
        LATENCY: f"histogram_quantile(0.99, sum by (service, le) (rate({buckets}[5m])))",
    }
    # The label tells the rules of the services apart. The expressions already have it.
    return [
        {"record": record, "expr": expression, "labels": {"service": service}}
        for record, expression in expressions.items()
    ]


def service_alerts(
    service: ServiceSettings, order_service: str, load_metric: str, *, is_primary: bool
) -> Iterator[Alert]:
    """Alerts on a service. A rollout triggers none of them, because new pods are ready within these times."""
    name = service.name
    pods = f'{{namespace="{WORKLOAD_NAMESPACE}",service="{name}"}}'
    series = f'{{service="{name}"}}'
    limits = service.alerts
    yield Alert(
        name="ServiceNotScraped",
        service=name,
        # Without any pod, there is no series `up`. Both sides have the same labels, so they make one alert.
        expression=f"avg by (namespace, service) (up{pods}) < 0.5 or absent(up{pods})",
        minutes=10,
        title=f"Prometheus can scrape fewer than half of the pods of the {name} service",
        reason="Only the remaining pods' metrics are used to scale and to monitor the service. New pods "
        "are scraped within a minute.",
        severity="warning",
        runbook="service-not-scraped",
    )
    yield Alert(
        name="ServiceScalingLoadMissing",
        service=name,
        # A counter with labels appears with the first request, so new pods without requests have no load
        # value and don't need one.
        expression=f"absent({load_metric}{series})" + (f" and {REQUESTS}{series} > 0" if limits else ""),
        minutes=10,
        title=f"The scaling query of the {name} service returns no value",
        reason="Without the value, KEDA doesn't follow the load. It keeps the current pods or uses the "
        "fallback number of pods.",
        severity="warning",
        runbook="service-scaling-load-missing",
    )
    yield Alert(
        name="ServiceOpenFiles",
        service=name,
        expression=f"max(process_open_fds{pods} / process_max_fds{pods}) > 0.8",
        minutes=10,
        title=f"A pod of the {name} service uses more than 80 per cent of its file descriptors",
        reason="A pod with no file descriptors left accepts no connections. A burst is over in minutes, "
        "but a leak grows for hours.",
        severity="warning",
        runbook="service-open-files",
    )
    if limits is None:
        return
    yield Alert(
        name="ServiceRequestErrors",
        service=name,
        expression=f"{ERRORS}{series} > {limits.error_percent / 100:g}",
        minutes=10,
        title=f"The {name} service answers more than {limits.error_percent:g} per cent of its requests with "
        "5xx",
        reason="The share covers five minutes and must stay above the limit for ten, so that a single "
        "burst doesn't trigger the alert. The service's settings have the limit (alerts.errorPercent).",
        severity="critical" if name == order_service else "warning",
        runbook="service-request-errors",
    )
    yield Alert(
        name="ServiceRequestLatency",
        service=name,
        expression=f"{LATENCY}{series} > {limits.latency_ms / 1000:g}",
        minutes=10,
        title=f"More than one in a hundred requests to the {name} service take longer than "
        f"{limits.latency_ms} ms",
        reason="The percentile covers five minutes and must stay above the limit for ten. The service's "
        "settings have the limit (alerts.latencyMs). Slow orders also trigger the order-latency alarms.",
        severity="warning",
        runbook="service-request-latency",
    )
    if is_primary:
        uncounted = " or ".join(f"absent_over_time({metric}{series}[1d])" for metric in (REQUESTS, LATENCY))
        yield Alert(
            name="ServiceRequestsUncounted",
            service=name,
            # The recorded series have one sample a minute. Querying a day of all pods' buckets would bill
            # millions of samples every minute. A service that didn't exist a day ago is exempt.
            expression=f"({uncounted}) and on () count(up{pods} offset 1d)",
            minutes=60,
            title=f"The {name} service doesn't report its number of requests or their duration",
            reason="Without these metrics, nothing monitors the service's errors and latency. A day "
            "without a single request isn't expected.",
            severity="warning",
            runbook="service-requests-uncounted",
        )


def alert_manager_definition(region: str, critical_topic_arn: str, warning_topic_arn: str) -> str:
    """The alert manager's definition ("Create an alert manager configuration", AMP User Guide)."""

    def topic(name: str, arn: str, *, resolved: bool) -> dict[str, Any]:
        return {
            "name": name,
            "sns_configs": [
                {
                    "topic_arn": arn,
                    "sigv4": {"region": region},
                    "subject": '{{ template "trading.subject" . }}',
                    "message": '{{ template "trading.message" . }}',
                    "send_resolved": resolved,
                }
            ],
        }

    def explains(cause: str, effects: str) -> dict[str, Any]:
        return {
            "source_matchers": [f'alertname = "{cause}"'],
            "target_matchers": [f'alertname =~ "{effects}"'],
            "equal": ["service"],
        }

    configuration = {
        "templates": [_TEMPLATES],
        "route": {
            "receiver": "warning",
            # One message for all alerts of a service, which usually have the same cause.
            "group_by": ["service", "severity"],
            "group_wait": "30s",
            "group_interval": "5m",
            "repeat_interval": "24h",
            "routes": [
                {"receiver": "nobody", "matchers": [f'alertname = "{WATCHDOG}"']},
                {"receiver": "critical", "matchers": ['severity = "critical"'], "repeat_interval": "4h"},
            ],
        },
        "inhibit_rules": [
            explains("ServiceNotScraped", "ServiceScalingLoadMissing|ServiceRequestsUncounted"),
            explains("ServiceRequestErrors", "ServiceRequestLatency"),
        ],
        "receivers": [
            {"name": "nobody"},
            # As with alarms, notify when critical alerts are resolved, but not when warnings are.
            topic("critical", critical_topic_arn, resolved=True),
            topic("warning", warning_topic_arn, resolved=False),
        ],
    }
    # Literal blocks instead of escaped strings, so that people can read the definition in previews.
    return (
        f"alertmanager_config: |\n{_indented(yaml.safe_dump(configuration, sort_keys=False, width=200), 2)}"
        f"template_files:\n  {_TEMPLATES}: |\n{_indented(_templates(region), 4)}"
    )


def _indented(text: str, columns: int) -> str:
    return textwrap.indent(text, " " * columns)


def _templates(region: str) -> str:
    """A subject of at most `SUBJECT_LENGTH`, and a message that is readable in an e-mail and in the chat.

    The chat shows custom text only in this JSON format ("Custom notifications using Amazon Q Developer in
    chat applications"). The text comes from our own rules and contains nothing that must be escaped.
    """
    title = f"{{{{ .Status | toUpper }}}} {{{{ .CommonLabels.service }}}} in {region}"
    alert = "{{ .Annotations.summary }}. {{ .Annotations.description }} Runbook: {{ .Annotations.runbook }}"
    alerts = (
        r"{{ range $index, $alert := .Alerts }}{{ if $index }}\n{{ end }}"
        r"{{ if eq .Status `resolved` }}Resolved: {{ end }}" + alert + "{{ end }}"
    )
    return f"""\
{{{{ define "trading.subject" }}}}{title}{{{{ end }}}}
{{{{ define "trading.message" }}}}{{
  "version": "1.0",
  "source": "custom",
  "content": {{
    "textType": "client-markdown",
    "title": "{title}",
    "description": "{alerts}"
  }}
}}{{{{ end }}}}
"""


def _delivery_signals(workspace_id: pulumi.Output[str]) -> list[Signal]:
    """Signals of the alert manager. The metrics are documented in "Use CloudWatch metrics to monitor Amazon
    Managed Service for Prometheus resources"."""
    return [
        Signal(
            name="alerts-not-evaluated",
            title="Alerts on the services' metrics don't reach the alert manager",
            namespace="AWS/Prometheus",
            metric="AlertManagerAlertsReceived",
            dimensions={"Workspace": workspace_id},
            statistic="Sum",
            comparison="below",
            threshold=1,
            period_seconds=300,
            reason="The Watchdog alert always fires and is sent again every few minutes. If it doesn't "
            "arrive for 15 minutes, no other alert would arrive either.",
            severity="warning",
            missing_data="breaching",
        ),
        Signal(
            name="alerts-not-delivered",
            title="The alert manager can't publish an alert to its SNS topic",
            namespace="AWS/Prometheus",
            metric="AlertManagerNotificationsFailed",
            dimensions={"Workspace": workspace_id},
            statistic="Sum",
            threshold=0,
            period_seconds=300,
            periods=1,
            reason="Any failed notification is an alert that nobody received.",
            severity="critical",
        ),
    ]


def _rules_failed(workspace_id: pulumi.Output[str], group: str, dashboard: str = "") -> Signal:
    """The signal of a rule group, which is given as `NAMESPACE;GROUP`."""
    return Signal(
        name=f"rules-{group.split(';')[1]}-failed",
        runbook="rules-failed",
        title=f"The Prometheus workspace can't evaluate rules of the group {group}",
        namespace="AWS/Prometheus",
        metric="RuleEvaluationFailures",
        dimensions={"Workspace": workspace_id, "RuleGroup": group},
        statistic="Sum",
        threshold=0,
        period_seconds=300,
        reason="While a rule can't be evaluated, a recording rule writes no samples and an alerting rule "
        "triggers no alert.",
        severity="warning",
        dashboard=dashboard,
    )
