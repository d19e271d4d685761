"""Tier 9, monitoring: alarms, composite alarms and dashboards for the tiers' signals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypedDict

import pulumi
import pulumi_aws as aws

from components.common.alarm_topics import AlarmTopics, AlarmTopicsArgs
from components.common.component import Component
from components.common.context import DeploymentContext
from components.common.key import EncryptionKey, EncryptionKeyArgs
from components.common.names import limited_name
from components.common.signals import RUNBOOKS, SEVERITIES, LogQuery, Objective, Severity, Signal
from components.monitoring.chat import SlackChannel, SlackChannelArgs
from components.monitoring.dashboard import ShownAlarm, Widget, graphs, overview
from components.monitoring.objectives import BURN_RATES, BurnRate
from components.monitoring.spending import Spending, SpendingArgs
from settings import MonitoringSettings
from settings.aws_limits import ALARM_NAME_LENGTH, COMPOSITE_ALARM_CHILDREN

DEPLOYMENTS_NAMESPACE = "Trading/Deployments"
"""Namespace of the metric that the pipeline reports every minute while a deployment is running; see
`.github/scripts/heartbeat.py`."""


@dataclass(frozen=True, kw_only=True)
class MonitoredRegion:
    """The signals of one region and the topics for its alarms."""

    region: str
    signals: Sequence[Signal]
    objectives: Sequence[Objective]
    queries: Sequence[LogQuery]
    critical_topic_arn: pulumi.Input[str]
    warning_topic_arn: pulumi.Input[str]


@dataclass(frozen=True, kw_only=True)
class MonitoringArgs:
    """Settings of alarms and dashboards."""

    context: DeploymentContext
    regions: Sequence[MonitoredRegion]
    edge_signals: Sequence[Signal]
    """Signals of CloudFront, its web ACL and Route 53."""
    edge_queries: Sequence[LogQuery]
    """Queries for their logs."""
    settings: MonitoringSettings


class Monitoring(Component):
    """An alarm for every signal, in the signal's region, an overview of all alarms, and dashboards with
    graphs.

    The component uses a provider for the edge's region. An alarm must be in the region of its metric and its
    topic, so each alarm names its region. There are three kinds of composite alarms: a region's *customer
    impact*, which is the reason to wake somebody; one for each burn rate of each objective; and one for
    alarms that a healthy deployment may raise, which is suppressed while the pipeline reports a running
    deployment.

    The tiers' log queries become saved queries of CloudWatch Logs Insights in each region.

    Raises:
        ValueError: two signals of a region have the same name, or two different log queries do.
    """

    dashboard_name: str

    def __init__(self, name: str, args: MonitoringArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("trading:tier:Monitoring", name, opts)
        _refuse_duplicates(args)
        self._name, self._platform = name, args.context.platform
        key = EncryptionKey(
            f"{name}-key",
            EncryptionKeyArgs(alias=f"{args.context.platform}-edge-alarms", context=args.context),
            self.child(),
        )
        topics = AlarmTopics(
            f"{name}-alarms",
            AlarmTopicsArgs(scope="edge", key_arn=key.arn, emails=args.settings.alarm_emails),
            self.child(),
        )
        edge = MonitoredRegion(
            region=args.context.region,
            signals=[*args.edge_signals, *topics.signals],
            objectives=[],
            queries=args.edge_queries,
            critical_topic_arn=topics.critical_arn,
            warning_topic_arn=topics.warning_arn,
        )
        shown: list[ShownAlarm] = []
        for place, region in [("edge", edge), *((region.region, region) for region in args.regions)]:
            alarms = [(signal, self._alarm(region, signal)) for signal in region.signals]
            shown += [
                ShownAlarm(place=place, region=region.region, signal=signal, alarm=alarm)
                for signal, alarm in alarms
            ]
            burning = self._burn_rate_alarms(region)
            self._customer_impact(region, alarms, burning)
            self._outside_deployments(region, alarms)

        self._save_queries(args.context.platform, [edge, *args.regions])
        if args.settings.spending:
            Spending(
                f"{name}-spending",
                SpendingArgs(
                    context=args.context,
                    settings=args.settings.spending,
                    warning_topic_arn=topics.warning_arn,
                ),
                self.child(),
            )
        if args.settings.slack:
            SlackChannel(
                f"{name}-slack",
                SlackChannelArgs(
                    context=args.context,
                    settings=args.settings.slack,
                    topic_arns=[
                        arn
                        for region in (edge, *args.regions)
                        for arn in (region.critical_topic_arn, region.warning_topic_arn)
                    ],
                ),
                self.child(),
            )
        self.dashboard_name = args.context.platform
        self._dashboard(name, self.dashboard_name, overview(shown, self.account_id))
        for part, widgets in graphs(shown).items():
            self._dashboard(f"{name}-{part}", f"{self.dashboard_name}-{part}", widgets)
        self.register_outputs({"dashboardName": self.dashboard_name})

    def _dashboard(self, name: str, dashboard_name: str, widgets: list[Widget]) -> None:
        aws.cloudwatch.Dashboard(
            name,
            dashboard_name=dashboard_name,
            dashboard_body=pulumi.Output.json_dumps({"widgets": widgets}),
            opts=self.child(),
        )

    def _save_queries(self, platform: str, regions: Sequence[MonitoredRegion]) -> None:
        """Saves each query once per region, for the log groups of all tiers that report it."""
        asked: dict[tuple[str, str], list[LogQuery]] = {}
        for region in regions:
            for query in region.queries:
                asked.setdefault((region.region, query.name), []).append(query)
        for (region, question), queries in asked.items():
            if len({query.query for query in queries}) > 1:
                raise ValueError(f"tiers of {region} report different log queries with the name {question}")
            aws.cloudwatch.QueryDefinition(
                f"{self._name}-{region}-{question}",
                # The console shows the part before the slash as a folder.
                name=f"{platform}/{question}",
                region=region,
                query_string=queries[0].query,
                log_group_names=[group for query in queries for group in query.log_groups],
                opts=self.child(),
            )

    def _alarm(self, region: MonitoredRegion, signal: Signal) -> aws.cloudwatch.MetricAlarm:
        return aws.cloudwatch.MetricAlarm(
            f"{self._name}-{region.region}-{signal.name}",
            # A signal's name can contain long names, such as a topic's.
            name=limited_name(f"{self._platform}-{region.region}-{signal.name}", ALARM_NAME_LENGTH),
            region=region.region,
            alarm_description=(f"{signal.title}. {signal.reason} Runbook: {RUNBOOKS}#{signal.anchor}"),
            **_compared(signal),
            comparison_operator=(
                "GreaterThanThreshold" if signal.comparison == "above" else "LessThanThreshold"
            ),
            threshold=signal.threshold,
            evaluation_periods=signal.periods,
            datapoints_to_alarm=signal.periods,
            treat_missing_data=signal.missing_data,
            **_notify(region, None if signal.rings_in_deployments else signal.severity),
            opts=self.child(),
        )

    def _burn_rate_alarms(
        self, region: MonitoredRegion
    ) -> list[tuple[BurnRate, aws.cloudwatch.CompositeAlarm]]:
        """A composite alarm per burn rate of each objective. It is raised while both of its windows exceed
        the rate."""
        composites: list[tuple[BurnRate, aws.cloudwatch.CompositeAlarm]] = []
        for objective in region.objectives:
            for rate in BURN_RATES:
                part = f"{objective.name}-{rate.name}"
                windows = [
                    self._burning(f"{part}-{length}", region, objective, rate, seconds)
                    for length, seconds in (("long", rate.long_seconds), ("short", rate.short_seconds))
                ]
                composite = self._composite(
                    part,
                    region,
                    rate.severity,
                    description=f"{objective.title}. At the current rate, {rate.budget_share:.0%} of a "
                    "month's error "
                    f"budget is spent within {rate.long_seconds // 3600} h. "
                    f"Runbook: {RUNBOOKS}#{objective.name}",
                    rule=_rings("AND", [alarm.name for alarm in windows]),
                )
                composites.append((rate, composite))
        return composites

    def _burning(
        self,
        part: str,
        region: MonitoredRegion,
        objective: Objective,
        rate: BurnRate,
        seconds: int,
    ) -> aws.cloudwatch.MetricAlarm:
        """An alarm without notifications that is raised while the window of `seconds` exceeds `rate`."""
        least = rate.least_requests(objective.target)
        return aws.cloudwatch.MetricAlarm(
            f"{self._name}-{region.region}-{part}",
            name=f"{self._platform}-{region.region}-{part}",
            region=region.region,
            alarm_description=(
                f"{objective.title} in one of the two windows of a burn-rate alarm. The composite alarm over "
                f"both windows sends the notification. Runbook: {RUNBOOKS}#{objective.name}"
            ),
            metric_queries=_metric_queries(
                "bad_share",
                f"IF(requests >= {least}, {objective.bad_share}, 0)",
                f"{objective.name} in {seconds // 60} min",
                namespace=objective.namespace,
                dimensions=objective.dimensions,
                metrics=objective.metrics,
                period_seconds=seconds,
            ),
            comparison_operator="GreaterThanThreshold",
            threshold=rate.bad_share(objective.target),
            evaluation_periods=1,
            # Without requests, nothing fails. Other signals report that no requests arrive.
            treat_missing_data="notBreaching",
            opts=self.child(),
        )

    def _customer_impact(
        self,
        region: MonitoredRegion,
        alarms: Sequence[tuple[Signal, aws.cloudwatch.MetricAlarm]],
        burning: Sequence[tuple[BurnRate, aws.cloudwatch.CompositeAlarm]],
    ) -> None:
        """A composite alarm for failing orders: a signal of the order path or a critical burn rate is in
        alarm."""
        names = [alarm.name for signal, alarm in alarms if signal.customer_impact]
        names += [alarm.alarm_name for rate, alarm in burning if rate.severity == "critical"]
        if names:
            # Never suppressed, so that a deployment that breaks orders is reported.
            self._composite(
                "customer-impact",
                region,
                "critical",
                description="Customers' orders fail or are late. An alarm of the order path or a critical "
                "burn-rate "
                f"alarm is active. Runbook: {RUNBOOKS}#customer-impact",
                rule=_rings("OR", names),
            )

    def _outside_deployments(
        self,
        region: MonitoredRegion,
        alarms: Sequence[tuple[Signal, aws.cloudwatch.MetricAlarm]],
    ) -> None:
        """Composite alarms for signals that a healthy deployment may raise. They don't notify during a
        deployment."""
        quiet = [(signal, alarm) for signal, alarm in alarms if signal.rings_in_deployments]
        if not quiet:
            return
        deploying = aws.cloudwatch.MetricAlarm(
            f"{self._name}-{region.region}-deployment-runs",
            name=f"{self._platform}-{region.region}-deployment-runs",
            region=region.region,
            alarm_description=(
                "A deployment is running, which the deployment pipeline reports every minute. Alarms that a "
                f"healthy deployment may trigger send no notifications. Runbook: {RUNBOOKS}#deployment-runs"
            ),
            namespace=DEPLOYMENTS_NAMESPACE,
            metric_name="Running",
            dimensions={"Platform": self._platform},
            statistic="Maximum",
            comparison_operator="GreaterThanThreshold",
            threshold=0,
            period=60,
            evaluation_periods=1,
            treat_missing_data="notBreaching",
            opts=self.child(),
        )
        for severity in SEVERITIES:
            names = [alarm.name for signal, alarm in quiet if signal.severity == severity]
            if not names:
                continue
            self._composite(
                f"workload-{severity}",
                region,
                severity,
                description="Pods are unhealthy, reset connections or log errors, and no deployment is "
                "running. "
                f"Runbook: {RUNBOOKS}#workload",
                rule=_rings("OR", names),
                suppressor={
                    "alarm": deploying.name,
                    # A deployment may raise a pod's alarm before its own first report has been evaluated, and
                    # its pods need a few minutes after its last report.
                    "wait_period": 120,
                    "extension_period": 300,
                },
            )

    def _composite(
        self,
        part: str,
        region: MonitoredRegion,
        severity: Severity,
        *,
        description: str,
        rule: pulumi.Output[str],
        suppressor: aws.cloudwatch.CompositeAlarmActionsSuppressorArgsDict | None = None,
    ) -> aws.cloudwatch.CompositeAlarm:
        """A composite alarm of the region, which notifies instead of its alarms."""
        return aws.cloudwatch.CompositeAlarm(
            f"{self._name}-{region.region}-{part}",
            alarm_name=f"{self._platform}-{region.region}-{part}",
            region=region.region,
            alarm_description=description,
            alarm_rule=rule,
            actions_suppressor=suppressor,
            **_notify(region, severity),
            opts=self.child(),
        )


def _refuse_duplicates(args: MonitoringArgs) -> None:
    """Refuses duplicate names, because CloudWatch would silently overwrite the first alarm with the
    second."""
    seen: set[tuple[str, str]] = set()
    for region, signals in [
        (args.context.region, args.edge_signals),
        *((region.region, region.signals) for region in args.regions),
    ]:
        for signal in signals:
            if (region, signal.name) in seen:
                raise ValueError(
                    f"two signals of {region} are named {signal.name}; each needs a name of its own"
                )
            seen.add((region, signal.name))


class _Compared(TypedDict, total=False):
    namespace: str
    metric_name: str
    dimensions: Mapping[str, pulumi.Input[str]]
    statistic: str
    extended_statistic: str
    evaluate_low_sample_count_percentiles: str
    period: int
    metric_queries: list[aws.cloudwatch.MetricAlarmMetricQueryArgsDict]


def _compared(signal: Signal) -> _Compared:
    """What a signal's alarm compares with the threshold: the metric or the metric math."""
    if signal.expression:
        return {
            "metric_queries": _metric_queries(
                "compared",
                signal.expression,
                signal.name,
                namespace=signal.namespace,
                dimensions=signal.dimensions,
                metrics={"metric": (signal.metric, signal.statistic), **signal.others},
                period_seconds=signal.period_seconds,
            )
        }
    compared: _Compared = {
        "namespace": signal.namespace,
        "metric_name": signal.metric,
        "dimensions": signal.dimensions,
        "period": signal.period_seconds,
    }
    if signal.statistic.startswith("p"):
        # With `ignore`, an alarm on p99 would keep its last state while there are fewer than 1,000 requests
        # ("Percentile-based alarms and low data samples", CloudWatch User Guide, read in November 2026). With
        # few requests, a percentile is the value of a single one, but never for `periods` periods in a row.
        percentile: _Compared = {
            "extended_statistic": signal.statistic,
            "evaluate_low_sample_count_percentiles": "evaluate",
        }
        return {**compared, **percentile}
    return {**compared, "statistic": signal.statistic}


def _metric_queries(
    identifier: str,
    expression: str,
    label: str,
    *,
    namespace: str,
    dimensions: Mapping[str, pulumi.Input[str]],
    metrics: Mapping[str, tuple[str, str]],
    period_seconds: int,
) -> list[aws.cloudwatch.MetricAlarmMetricQueryArgsDict]:
    """The expression that the alarm compares, and the metrics that it refers to by their ids."""
    return [
        {"id": identifier, "label": label, "expression": expression, "return_data": True},
        *(
            aws.cloudwatch.MetricAlarmMetricQueryArgsDict(
                id=operand,
                metric={
                    "namespace": namespace,
                    "metric_name": metric,
                    "dimensions": dimensions,
                    "stat": statistic,
                    "period": period_seconds,
                },
                return_data=False,
            )
            for operand, (metric, statistic) in metrics.items()
        ),
    ]


class _Actions(TypedDict):
    alarm_actions: list[pulumi.Input[str]]
    ok_actions: list[pulumi.Input[str]]


def _notify(region: MonitoredRegion, severity: Severity | None) -> _Actions:
    """The topics that an alarm notifies; none if a composite alarm notifies instead."""
    match severity:
        case "critical":
            # Notify when a critical alarm ends, which closes the incident, but not when a warning ends.
            return {"alarm_actions": [region.critical_topic_arn], "ok_actions": [region.critical_topic_arn]}
        case "warning":
            return {"alarm_actions": [region.warning_topic_arn], "ok_actions": []}
        case None:
            return {"alarm_actions": [], "ok_actions": []}


def _rings(operator: Literal["AND", "OR"], names: Sequence[pulumi.Output[str]]) -> pulumi.Output[str]:
    """Rule of a composite alarm for alarms of the same account and region.

    A rule accepts names as well as ARNs ("PutCompositeAlarm"), and a preview knows the name of an alarm that
    doesn't exist yet. The names are outputs of the alarms, which must exist first. Otherwise, CloudWatch
    fails with "Could not save the composite alarm as alarms [...] in the alarm rule do not exist".

    Raises:
        ValueError: there are more alarms than a rule may have ("PutCompositeAlarm").
    """
    if len(names) > COMPOSITE_ALARM_CHILDREN:
        raise ValueError(
            f"a composite alarm has {len(names)} alarms; at most {COMPOSITE_ALARM_CHILDREN} are allowed"
        )
    return pulumi.Output.all(*names).apply(
        lambda known: f" {operator} ".join(f'ALARM("{name}")' for name in known)
    )
