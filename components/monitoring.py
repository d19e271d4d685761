"""Tier 9, monitoring: alarms and a dashboard from the tiers' signals, and the scraper of pod metrics."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import pulumi
import pulumi_aws as aws

from components.foundation import AlarmTopics, AlarmTopicsArgs, EncryptionKey, EncryptionKeyArgs
from components.tier import Severity, Signal, Tier

T = TypeVar("T")

API_SERVER_PORT = 443
RUNBOOKS = "docs/operations.md"
WIDGET_LIMIT = 100
"""Alarms or metrics that one widget shows ("Dashboard Body Structure and Syntax")."""

SCRAPE_CONFIGURATION = """\
# The pods of our services that ask to be scraped, by the annotations that their chart puts on them.
global:
  scrape_interval: 30s # four samples in the two minutes that the scaling queries look back on
scrape_configs:
  - job_name: services
    kubernetes_sd_configs:
      - role: pod
        namespaces:
          names: [trading]
    relabel_configs:
      - source_labels: [__meta_kubernetes_pod_annotation_prometheus_io_scrape]
        action: keep
        regex: "true"
      - source_labels: [__meta_kubernetes_pod_phase]
        action: keep
        regex: Running
      # A pod is listed once per container port: all become the metrics port, and copies fall away.
      - source_labels: [__address__, __meta_kubernetes_pod_annotation_prometheus_io_port]
        target_label: __address__
        regex: ([^:]+)(?::\\d+)?;(\\d+)
        replacement: $1:$2
      - source_labels: [__meta_kubernetes_pod_annotation_prometheus_io_path]
        target_label: __metrics_path__
        regex: (.+)
      - source_labels: [__meta_kubernetes_namespace]
        target_label: namespace
      - source_labels: [__meta_kubernetes_pod_label_app_kubernetes_io_name]
        target_label: service
      - source_labels: [__meta_kubernetes_pod_name]
        target_label: pod
"""


@dataclass(frozen=True, kw_only=True)
class MetricsScraperArgs:
    """Settings of a region's scraper."""

    cluster_name: str
    cluster_arn: pulumi.Input[str]
    workspace_arn: pulumi.Input[str]
    subnet_ids: Sequence[pulumi.Input[str]]
    """Private subnets, in at least two zones."""
    cluster_security_group_id: pulumi.Input[str]
    metrics_ports: Sequence[int]
    """The pods' ports that serve metrics."""
    vpc_id: pulumi.Input[str]
    key_arn: pulumi.Input[str]
    log_retention_days: int


class MetricsScraper(Tier):
    """Amazon Managed Service for Prometheus's scraper: reads the pods' metrics into the workspace.

    The cluster authenticates through its API, so the scraper makes its own access entry; one of ours
    would be refused ("Set up managed collectors for Amazon EKS").
    """

    def __init__(
        self, name: str, args: MetricsScraperArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__(name, opts)
        group = aws.ec2.SecurityGroup(
            name,
            description="Scraper of pod metrics",
            vpc_id=args.vpc_id,
            tags={"Name": name},
            opts=self.child(),
        )
        # To the API server, which knows the pods, and to the pods.
        for port in [API_SERVER_PORT, *args.metrics_ports]:
            self.allow_connection(
                f"{name}-{port}",
                f"{name}-{port}",
                port=port,
                client=group.id,
                client_is="Scraper of pod metrics",
                server=args.cluster_security_group_id,
                server_is="Pods that are scraped",
            )
        scraper = aws.amp.Scraper(
            name,
            alias=args.cluster_name,
            source=aws.amp.ScraperSourceArgs(
                eks=aws.amp.ScraperSourceEksArgs(
                    cluster_arn=args.cluster_arn,
                    subnet_ids=args.subnet_ids,
                    security_group_ids=[group.id],
                )
            ),
            destination=aws.amp.ScraperDestinationArgs(
                amp=aws.amp.ScraperDestinationAmpArgs(workspace_arn=args.workspace_arn)
            ),
            scrape_configuration=SCRAPE_CONFIGURATION,
            opts=self.child(),
        )
        logs = aws.cloudwatch.LogGroup(
            name,
            name=f"/aws/vendedlogs/prometheus/scraper/{args.cluster_name}",
            retention_in_days=args.log_retention_days,
            kms_key_id=args.key_arn,
            opts=self.child(),
        )
        aws.amp.ScraperLoggingConfiguration(
            name,
            scraper_id=scraper.id,
            logging_destination=aws.amp.ScraperLoggingConfigurationLoggingDestinationArgs(
                cloudwatch_logs=aws.amp.ScraperLoggingConfigurationLoggingDestinationCloudwatchLogsArgs(
                    log_group_arn=pulumi.Output.format("{0}:*", logs.arn)
                )
            ),
            opts=self.child(),
        )
        self.signals.append(
            Signal(
                name="metrics-ingestion",
                title="No pod metrics arrive",
                namespace="AWS/Usage",
                metric="ResourceCount",
                dimensions={
                    "Service": "Prometheus",
                    "Type": "Resource",
                    "Class": "None",
                    "Resource": "IngestionRate",
                    "ResourceId": pulumi.Output.from_input(args.workspace_arn).apply(
                        lambda arn: arn.rsplit("/", 1)[-1]
                    ),
                },
                statistic="Maximum",
                comparison="below",
                threshold=1,
                periods=5,
                reason="Samples a second. Without any, services run at their fallback number of pods.",
                severity="critical",
                missing_data="breaching",
            )
        )
        self.register_outputs({})


@dataclass(frozen=True, kw_only=True)
class MonitoredRegion:
    """The signals of one region and where its alarms are sent."""

    region: str
    signals: Sequence[Signal]
    critical_topic_arn: pulumi.Input[str]
    warning_topic_arn: pulumi.Input[str]


@dataclass(frozen=True, kw_only=True)
class MonitoringArgs:
    """Settings of alarms and dashboard."""

    platform: str
    regions: Sequence[MonitoredRegion]
    edge_region: str
    """Where the edge's metrics are, and hence its alarms and their topics: us-east-1."""
    edge_signals: Sequence[Signal]
    """Signals of CloudFront, its web ACL and Route 53."""
    alarm_emails: Sequence[str]
    protect: bool


class Monitoring(Tier):
    """An alarm for every signal, in the signal's region, and a dashboard of them all.

    Built with a provider of the edge's region; an alarm rings only in the region of its metric and its
    topic, so each names its own.

    Raises:
        ValueError: two signals of one region have the same name.
    """

    dashboard_name: str

    def __init__(self, name: str, args: MonitoringArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, opts)
        _refuse_duplicates(args)
        self._name = name
        key = EncryptionKey(
            f"{name}-key",
            EncryptionKeyArgs(
                alias=f"{args.platform}-edge-alarms", region=args.edge_region, protect=args.protect
            ),
            self.child(),
        )
        topics = AlarmTopics(
            f"{name}-alarms",
            AlarmTopicsArgs(scope="edge", key_arn=key.arn, emails=args.alarm_emails),
            self.child(),
        )
        edge = MonitoredRegion(
            region=args.edge_region,
            signals=[*args.edge_signals, *topics.signals],
            critical_topic_arn=topics.critical_arn,
            warning_topic_arn=topics.warning_arn,
        )
        widgets: list[dict[str, object]] = []
        for title, region in [("Edge", edge), *((region.region, region) for region in args.regions)]:
            alarms = [(signal, self._alarm(args.platform, region, signal)) for signal in region.signals]
            widgets += _widgets(title, region.region, alarms)

        self.dashboard_name = args.platform
        aws.cloudwatch.Dashboard(
            name,
            dashboard_name=self.dashboard_name,
            dashboard_body=pulumi.Output.json_dumps({"widgets": widgets}),
            opts=self.child(),
        )
        self.register_outputs({"dashboardName": self.dashboard_name})

    def _alarm(self, platform: str, region: MonitoredRegion, signal: Signal) -> aws.cloudwatch.MetricAlarm:
        percentile = signal.statistic.startswith("p")
        topic_arn = region.critical_topic_arn if signal.severity == "critical" else region.warning_topic_arn
        return aws.cloudwatch.MetricAlarm(
            f"{self._name}-{region.region}-{signal.name}",
            name=f"{platform}-{region.region}-{signal.name}",
            region=region.region,
            alarm_description=(
                f"{signal.title}. {_sentence(signal.reason)} Runbook: {RUNBOOKS}#{signal.anchor}"
            ),
            namespace=signal.namespace,
            metric_name=signal.metric,
            dimensions=signal.dimensions,
            statistic=None if percentile else signal.statistic,
            extended_statistic=signal.statistic if percentile else None,
            # With few requests a percentile is one request's value, and no reason to wake anybody.
            evaluate_low_sample_count_percentiles="ignore" if percentile else None,
            comparison_operator=(
                "GreaterThanThreshold" if signal.comparison == "above" else "LessThanThreshold"
            ),
            threshold=signal.threshold,
            period=signal.period_seconds,
            evaluation_periods=signal.periods,
            datapoints_to_alarm=signal.periods,
            treat_missing_data=signal.missing_data,
            alarm_actions=[topic_arn],
            # A critical alarm's end closes its incident; a warning's is a second e-mail that asks nothing.
            ok_actions=[topic_arn] if signal.severity == "critical" else [],
            opts=self.child(),
        )


def _refuse_duplicates(args: MonitoringArgs) -> None:
    """CloudWatch would let the second alarm of a name overwrite the first without a word."""
    seen: set[tuple[str, str]] = set()
    for region, signals in [
        (args.edge_region, args.edge_signals),
        *((region.region, region.signals) for region in args.regions),
    ]:
        for signal in signals:
            if (region, signal.name) in seen:
                raise ValueError(
                    f"two signals of {region} are named {signal.name}; each needs a name of its own"
                )
            seen.add((region, signal.name))


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:].rstrip('.')}."


def _widgets(
    title: str, region: str, alarms: Sequence[tuple[Signal, aws.cloudwatch.MetricAlarm]]
) -> list[dict[str, object]]:
    """A region's part of the dashboard: all alarms' states, then graphs, a row a service of AWS.

    A graph bears the name of the runbook section whose signals it shows. Without coordinates widgets
    flow from left to right over 24 columns, so a full-width one begins a row ("Dashboard Body Structure
    and Syntax").
    """
    widgets = [_heading(f"# {title}")]
    severities: tuple[Severity, ...] = ("critical", "warning")
    for severity in severities:
        arns = [alarm.arn for signal, alarm in alarms if signal.severity == severity]
        for batch in _batches(arns):
            height = 2 + len(batch) // 8  # about eight names stand in a row
            widgets.append(
                _widget("alarm", 24, height, {"title": f"{title}: {severity}", "alarms": list(batch)})
            )
    signals = [signal for signal, _ in alarms]
    for namespace in dict.fromkeys(signal.namespace for signal in signals):
        widgets.append(_heading(f"## {namespace}"))
        here = [signal for signal in signals if signal.namespace == namespace]
        for anchor in dict.fromkeys(signal.anchor for signal in here):
            family = [signal for signal in here if signal.anchor == anchor]
            widgets += [_widget("metric", 6, 5, _graph(anchor, region, batch)) for batch in _batches(family)]
    return widgets


def _graph(anchor: str, region: str, signals: Sequence[Signal]) -> dict[str, object]:
    """The signals' metrics as their alarms see them, and where they ring."""
    return {
        "title": anchor,
        "region": region,
        "view": "timeSeries",
        "yAxis": {"left": {"min": 0}},
        "metrics": [
            [
                signal.namespace,
                signal.metric,
                *(text for dimension in signal.dimensions.items() for text in dimension),
                {"label": signal.name, "stat": signal.statistic, "period": signal.period_seconds},
            ]
            for signal in signals
        ],
        "annotations": {
            "horizontal": [
                {"label": comparison, "value": threshold, "fill": comparison}
                for comparison, threshold in dict.fromkeys((s.comparison, s.threshold) for s in signals)
            ]
        },
    }


def _batches(items: Sequence[T]) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), WIDGET_LIMIT):
        yield items[start : start + WIDGET_LIMIT]


def _heading(markdown: str) -> dict[str, object]:
    return _widget("text", 24, 1, {"markdown": markdown})


def _widget(kind: str, width: int, height: int, properties: Mapping[str, object]) -> dict[str, object]:
    return {"type": kind, "width": width, "height": height, "properties": properties}
