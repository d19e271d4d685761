"""Tier 9, monitoring: alarms and a dashboard from the tiers' signals, pods' and brokers' scrapers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypedDict, TypeVar

import pulumi
import pulumi_aws as aws

from components.chat import SlackChannel, SlackChannelArgs
from components.foundation import AlarmTopics, AlarmTopicsArgs, EncryptionKey, EncryptionKeyArgs
from components.objectives import BURN_RATES, BurnRate
from components.spending import Spending, SpendingArgs
from components.tier import Endpoint, LogQuery, Objective, Severity, Signal, Tier
from settings import MonitoringSettings

T = TypeVar("T")

SEVERITIES: tuple[Severity, ...] = ("critical", "warning")
DEPLOYMENTS_NAMESPACE = "Trading/Deployments"
"""Where the deployment pipeline says every minute that it runs; see `.github/actions/pulumi`."""
COMPOSITE_LIMIT = 100
"""Alarms under a composite alarm (CloudWatch API Reference, PutCompositeAlarm)."""

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
        _log_scraper(self, name, scraper, args.cluster_name, args.key_arn, args.log_retention_days)
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
class BrokerMetricsArgs:
    """Settings of a region's metrics of Kafka."""

    platform: str
    region: str
    vpc_id: pulumi.Input[str]
    subnet_ids: Sequence[pulumi.Input[str]]
    """The brokers' own, in at least two zones."""
    dns_name: pulumi.Input[str]
    """Has the addresses of all brokers."""
    exporters: Endpoint
    """Where brokers show Kafka's metrics, then their machines'."""
    key_arn: pulumi.Input[str]
    log_retention_days: int
    protect: bool


class BrokerMetrics(Tier):
    """What the brokers' exporters show, in a Prometheus workspace of its own.

    What is here is for people and their graphs; alarms are on CloudWatch's metrics of Kafka. A workspace
    costs nothing, its samples do. In the pods' workspace, from which services scale, the brokers' samples
    would hide that the pods' are missing.
    """

    def __init__(
        self, name: str, args: BrokerMetricsArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__(name, opts)
        # Not the platform's name first: AWS finds workspaces by the beginning of their alias.
        alias = f"brokers-{args.platform}-{args.region}"
        group = aws.ec2.SecurityGroup(
            name,
            description="Scraper of broker metrics",
            vpc_id=args.vpc_id,
            tags={"Name": name},
            opts=self.child(),
        )
        for port in args.exporters.ports:
            self.allow_connection(
                f"{name}-{port}",
                f"{name}-{port}",
                port=port,
                client=group.id,
                client_is="Scraper of broker metrics",
                server=args.exporters.security_group_id,
                server_is="MSK brokers that are scraped",
            )
        # AWS's own key: a workspace with a customer's takes no managed collector, for ever (AMP User Guide,
        # "Encryption at rest").
        workspace = aws.amp.Workspace(name, alias=alias, opts=self.child(protect=args.protect))
        scraper = aws.amp.Scraper(
            name,
            alias=alias,
            source=aws.amp.ScraperSourceArgs(
                vpc=aws.amp.ScraperSourceVpcArgs(subnet_ids=args.subnet_ids, security_group_ids=[group.id])
            ),
            destination=aws.amp.ScraperDestinationArgs(
                amp=aws.amp.ScraperDestinationAmpArgs(workspace_arn=workspace.arn)
            ),
            scrape_configuration=pulumi.Output.from_input(args.dns_name).apply(
                lambda dns_name: _broker_scrape_configuration(dns_name, args.exporters.ports)
            ),
            opts=self.child(),
        )
        _log_scraper(self, name, scraper, alias, args.key_arn, args.log_retention_days)
        self.signals.append(
            Signal(
                name="broker-metrics-ingestion",
                title="No metrics arrive from the brokers' exporters",
                namespace="AWS/Usage",
                metric="ResourceCount",
                dimensions={
                    "Service": "Prometheus",
                    "Type": "Resource",
                    "Class": "None",
                    "Resource": "IngestionRate",
                    "ResourceId": workspace.id,
                },
                statistic="Maximum",
                comparison="below",
                threshold=1,
                periods=15,
                reason="Samples a second. Kafka's alarms do not need them, whoever looks for a cause does.",
                severity="warning",
                missing_data="breaching",
            )
        )
        self.register_outputs({})


def _broker_scrape_configuration(dns_name: str, ports: Sequence[int]) -> str:
    """As in "Set up managed Prometheus collectors for Amazon MSK"; a job an exporter."""
    jobs = "".join(
        f"""\
  - job_name: brokers-{exporter}
    dns_sd_configs:
      - names: [{dns_name}]
        type: A
        port: {port}
"""
        for exporter, port in zip(("jmx", "node"), ports, strict=True)
    )
    return f"""\
global:
  scrape_interval: 60s # as often as CloudWatch has MSK's metrics; samples are what costs
scrape_configs:
{jobs}"""


def _log_scraper(
    tier: Tier,
    name: str,
    scraper: aws.amp.Scraper,
    alias: str,
    key_arn: pulumi.Input[str],
    log_retention_days: int,
) -> None:
    logs = aws.cloudwatch.LogGroup(
        name,
        name=f"/aws/vendedlogs/prometheus/scraper/{alias}",
        retention_in_days=log_retention_days,
        kms_key_id=key_arn,
        opts=tier.child(),
    )
    aws.amp.ScraperLoggingConfiguration(
        name,
        scraper_id=scraper.id,
        logging_destination=aws.amp.ScraperLoggingConfigurationLoggingDestinationArgs(
            cloudwatch_logs=aws.amp.ScraperLoggingConfigurationLoggingDestinationCloudwatchLogsArgs(
                log_group_arn=pulumi.Output.format("{0}:*", logs.arn)
            )
        ),
        opts=tier.child(),
    )


@dataclass(frozen=True, kw_only=True)
class MonitoredRegion:
    """The signals of one region and where its alarms are sent."""

    region: str
    signals: Sequence[Signal]
    objectives: Sequence[Objective]
    queries: Sequence[LogQuery]
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
    edge_queries: Sequence[LogQuery]
    """Questions to their logs."""
    settings: MonitoringSettings
    protect: bool


class Monitoring(Tier):
    """An alarm for every signal, in the signal's region, and a dashboard of them all.

    Built with a provider of the edge's region; an alarm rings only in the region of its metric and its
    topic, so each names its own. Three kinds of composite alarms stand over them: a region's *customer
    impact*, which is why somebody is woken; one for each burn rate of each objective; and, for what a
    healthy deployment may ring, one that keeps quiet while a deployment says that it runs.

    The tiers' questions to their logs become saved queries of CloudWatch Logs Insights in each region.

    Raises:
        ValueError: two signals of one region have the same name, or two questions that differ.
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
            AlarmTopicsArgs(scope="edge", key_arn=key.arn, emails=args.settings.alarm_emails),
            self.child(),
        )
        edge = MonitoredRegion(
            region=args.edge_region,
            signals=[*args.edge_signals, *topics.signals],
            objectives=[],
            queries=args.edge_queries,
            critical_topic_arn=topics.critical_arn,
            warning_topic_arn=topics.warning_arn,
        )
        widgets: list[dict[str, object]] = []
        for title, region in [("Edge", edge), *((region.region, region) for region in args.regions)]:
            alarms = [(signal, self._alarm(args.platform, region, signal)) for signal in region.signals]
            widgets += _widgets(title, region.region, alarms)
            burning = self._burn_rate_alarms(args.platform, region)
            self._customer_impact(args.platform, region, alarms, burning)
            self._outside_deployments(args.platform, region, alarms)

        self._save_queries(args.platform, [edge, *args.regions])
        if args.settings.spending:
            Spending(
                f"{name}-spending",
                SpendingArgs(
                    platform=args.platform,
                    settings=args.settings.spending,
                    warning_topic_arn=topics.warning_arn,
                ),
                self.child(),
            )
        if args.settings.slack:
            SlackChannel(
                f"{name}-slack",
                SlackChannelArgs(
                    platform=args.platform,
                    settings=args.settings.slack,
                    topic_arns=[
                        arn
                        for region in (edge, *args.regions)
                        for arn in (region.critical_topic_arn, region.warning_topic_arn)
                    ],
                ),
                self.child(),
            )
        self.dashboard_name = args.platform
        aws.cloudwatch.Dashboard(
            name,
            dashboard_name=self.dashboard_name,
            dashboard_body=pulumi.Output.json_dumps({"widgets": widgets}),
            opts=self.child(),
        )
        self.register_outputs({"dashboardName": self.dashboard_name})

    def _save_queries(self, platform: str, regions: Sequence[MonitoredRegion]) -> None:
        """Saves each question once a region, over the log groups of all tiers that ask it."""
        asked: dict[tuple[str, str], list[LogQuery]] = {}
        for region in regions:
            for query in region.queries:
                asked.setdefault((region.region, query.name), []).append(query)
        for (region, question), queries in asked.items():
            if len({query.query for query in queries}) > 1:
                raise ValueError(f"tiers of {region} ask different things under the name {question}")
            aws.cloudwatch.QueryDefinition(
                f"{self._name}-{region}-{question}",
                # Up to the slash it is the folder that the console shows.
                name=f"{platform}/{question}",
                region=region,
                query_string=queries[0].query,
                log_group_names=[group for query in queries for group in query.log_groups],
                opts=self.child(),
            )

    def _alarm(self, platform: str, region: MonitoredRegion, signal: Signal) -> aws.cloudwatch.MetricAlarm:
        percentile = signal.statistic.startswith("p")
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
            **_notify(region, None if signal.rings_in_deployments else signal.severity),
            opts=self.child(),
        )

    def _burn_rate_alarms(
        self, platform: str, region: MonitoredRegion
    ) -> list[tuple[BurnRate, aws.cloudwatch.CompositeAlarm]]:
        """An alarm a burn rate of each objective: it rings while both of its windows burn."""
        composites: list[tuple[BurnRate, aws.cloudwatch.CompositeAlarm]] = []
        for objective in region.objectives:
            for rate in BURN_RATES:
                part = f"{objective.name}-{rate.name}"
                windows = [
                    self._burning(f"{part}-{length}", platform, region, objective, rate, seconds)
                    for length, seconds in (("long", rate.long_seconds), ("short", rate.short_seconds))
                ]
                composite = aws.cloudwatch.CompositeAlarm(
                    f"{self._name}-{region.region}-{part}",
                    alarm_name=f"{platform}-{region.region}-{part}",
                    region=region.region,
                    alarm_description=(
                        f"{objective.title}: {rate.budget_share:.0%} of a month's error budget within "
                        f"{rate.long_seconds // 3600} h. Runbook: {RUNBOOKS}#{objective.name}"
                    ),
                    alarm_rule=pulumi.Output.all(*(alarm.arn for alarm in windows)).apply(
                        lambda arns: " AND ".join(f'ALARM("{arn}")' for arn in arns)
                    ),
                    **_notify(region, rate.severity),
                    opts=self.child(),
                )
                composites.append((rate, composite))
        return composites

    def _burning(
        self,
        part: str,
        platform: str,
        region: MonitoredRegion,
        objective: Objective,
        rate: BurnRate,
        seconds: int,
    ) -> aws.cloudwatch.MetricAlarm:
        """Rings, without a word to anybody, while the window of `seconds` burns at `rate`."""
        least = rate.least_requests(objective.target)
        return aws.cloudwatch.MetricAlarm(
            f"{self._name}-{region.region}-{part}",
            name=f"{platform}-{region.region}-{part}",
            region=region.region,
            alarm_description=(
                f"One window of a burn rate; the alarm over both notifies. "
                f"Runbook: {RUNBOOKS}#{objective.name}"
            ),
            metric_queries=[
                aws.cloudwatch.MetricAlarmMetricQueryArgs(
                    id="bad_share",
                    label=f"{objective.name} in {seconds // 60} min",
                    expression=f"IF(requests >= {least}, {objective.bad_share}, 0)",
                    return_data=True,
                ),
                *(
                    aws.cloudwatch.MetricAlarmMetricQueryArgs(
                        id=identifier,
                        metric=aws.cloudwatch.MetricAlarmMetricQueryMetricArgs(
                            namespace=objective.namespace,
                            metric_name=metric,
                            dimensions=objective.dimensions,
                            stat=statistic,
                            period=seconds,
                        ),
                        return_data=False,
                    )
                    for identifier, (metric, statistic) in objective.metrics.items()
                ),
            ],
            comparison_operator="GreaterThanThreshold",
            threshold=rate.bad_share(objective.target),
            evaluation_periods=1,
            # No requests, no failures; that none arrive is for other signals to tell.
            treat_missing_data="notBreaching",
            opts=self.child(),
        )

    def _customer_impact(
        self,
        platform: str,
        region: MonitoredRegion,
        alarms: Sequence[tuple[Signal, aws.cloudwatch.MetricAlarm]],
        burning: Sequence[tuple[BurnRate, aws.cloudwatch.CompositeAlarm]],
    ) -> None:
        """Orders fail: any of the order path's signals rings, or an objective burns at a critical rate."""
        arns = [alarm.arn for signal, alarm in alarms if signal.customer_impact]
        arns += [alarm.arn for rate, alarm in burning if rate.severity == "critical"]
        if arns:
            aws.cloudwatch.CompositeAlarm(
                f"{self._name}-{region.region}-customer-impact",
                alarm_name=f"{platform}-{region.region}-customer-impact",
                region=region.region,
                alarm_description=f"Orders fail or are late. Runbook: {RUNBOOKS}#customer-impact",
                alarm_rule=_any_rings(arns),
                # Never suppressed: a deployment that breaks orders is the one to hear about.
                **_notify(region, "critical"),
                opts=self.child(),
            )

    def _outside_deployments(
        self,
        platform: str,
        region: MonitoredRegion,
        alarms: Sequence[tuple[Signal, aws.cloudwatch.MetricAlarm]],
    ) -> None:
        """Notifies of what a healthy deployment may ring, but not while one says that it runs."""
        quiet = [(signal, alarm) for signal, alarm in alarms if signal.rings_in_deployments]
        if not quiet:
            return
        deploying = aws.cloudwatch.MetricAlarm(
            f"{self._name}-{region.region}-deployment-runs",
            name=f"{platform}-{region.region}-deployment-runs",
            region=region.region,
            alarm_description=(
                f"A deployment runs and says so every minute. Runbook: {RUNBOOKS}#deployment-runs"
            ),
            namespace=DEPLOYMENTS_NAMESPACE,
            metric_name="Running",
            dimensions={"Platform": platform},
            statistic="Maximum",
            comparison_operator="GreaterThanThreshold",
            threshold=0,
            period=60,
            evaluation_periods=1,
            treat_missing_data="notBreaching",
            opts=self.child(),
        )
        for severity in SEVERITIES:
            arns = [alarm.arn for signal, alarm in quiet if signal.severity == severity]
            if not arns:
                continue
            aws.cloudwatch.CompositeAlarm(
                f"{self._name}-{region.region}-workload-{severity}",
                alarm_name=f"{platform}-{region.region}-workload-{severity}",
                region=region.region,
                alarm_description=(
                    f"Pods, targets or nodes are unwell, and no deployment explains it. "
                    f"Runbook: {RUNBOOKS}#workload"
                ),
                alarm_rule=_any_rings(arns),
                actions_suppressor=aws.cloudwatch.CompositeAlarmActionsSuppressorArgs(
                    alarm=deploying.name,
                    # A deployment may ring a pod's alarm before its own first word has been evaluated, and
                    # its pods need a few minutes after its last.
                    wait_period=120,
                    extension_period=300,
                ),
                **_notify(region, severity),
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


class _Actions(TypedDict):
    alarm_actions: list[pulumi.Input[str]]
    ok_actions: list[pulumi.Input[str]]


def _notify(region: MonitoredRegion, severity: Severity | None) -> _Actions:
    """Whom an alarm tells; nobody, where another alarm watches it."""
    match severity:
        case "critical":
            # Its end closes its incident; the end of a warning is a second e-mail that asks nothing.
            return {"alarm_actions": [region.critical_topic_arn], "ok_actions": [region.critical_topic_arn]}
        case "warning":
            return {"alarm_actions": [region.warning_topic_arn], "ok_actions": []}
        case None:
            return {"alarm_actions": [], "ok_actions": []}


def _any_rings(arns: Sequence[pulumi.Input[str]]) -> pulumi.Output[str]:
    """Rule of a composite alarm over alarms of its own account and region.

    Raises:
        ValueError: they are more than a rule may have ("PutCompositeAlarm").
    """
    if len(arns) > COMPOSITE_LIMIT:
        raise ValueError(f"a composite alarm has {len(arns)} alarms; at most {COMPOSITE_LIMIT} are allowed")
    return pulumi.Output.all(*arns).apply(lambda known: " OR ".join(f'ALARM("{arn}")' for arn in known))


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
    for severity in SEVERITIES:
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
