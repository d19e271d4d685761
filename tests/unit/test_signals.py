"""Every failure of a tier triggers an alarm in every region, and the metrics of alarms exist and are reported
often enough."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

import pytest

from tests.unit.documented_metrics import (
    ALSO_WITH,
    DIRECTORY,
    NAMESPACES,
    OTHER_STATISTICS,
    OURS,
    UNLISTED_STATISTICS,
)
from tests.unit.harness import STACKS, Graph, platform, platforms_with_everything, stack_values

EDGE_REGION = "us-east-1"


class Watched(NamedTuple):
    """A kind of failure, and the alarms that report it."""

    tier: str
    failure: str
    signal: str
    """Pattern of a whole signal name. There must be a signal for every alternative of a group. If the group
    begins with `?:`, a signal for one alternative is enough."""
    where: Literal["edge", "every region", "first region", "with others"] = "every region"
    """`with others` means every region of a stack that has several regions."""


WATCHED = [
    Watched("1 Web", "share of 5xx at the edge", "web-5xx", "edge"),
    Watched("1 Web", "latency at the edge", "web-latency", "edge"),
    Watched("1 Web", "spike of blocked requests", "web-blocked", "edge"),
    Watched("1 Web", "errors of the edge function", "web-router-errors", "edge"),
    Watched("1 Web", "expiry of the viewer's certificate", "viewer-certificate-expiry", "edge"),
    Watched("1 Web", "throttled sign-ins", "identity-sign-in-throttles", "edge"),
    Watched("2 Routing", "a region out of rotation", "health-check-{region}", "edge"),
    Watched("3 Load balancer", "share of its own 5xx", "alb-5xx"),
    Watched("3 Load balancer", "share of its targets' 5xx", "alb-target-5xx"),
    Watched("3 Load balancer", "latency", "alb-latency"),
    Watched("3 Load balancer", "requests that it refuses as malformed", "alb-noncompliant-requests"),
    Watched("3 Load balancer", "unhealthy hosts", "alb-unhealthy-targets"),
    Watched("3 Load balancer", "spike of blocked requests", "alb-blocked"),
    Watched("3 Load balancer", "expiry of the certificate", "certificate-expiry"),
    Watched("4 API", "share of 5xx", "api-server-errors"),
    Watched("4 API", "share of 4xx", "api-client-errors"),
    Watched("4 API", "throttled orders", "api-orders-throttled"),
    Watched("4 API", "latency", "api-latency"),
    Watched("4 API", "loss in its endpoint", "api-endpoint-packets-dropped"),
    Watched("4 API", "errors of the function", "order-intake-errors"),
    Watched("4 API", "throttles of the function", "order-intake-throttles"),
    Watched("4 API", "concurrency near its reservation", "order-intake-concurrency"),
    Watched("4 API", "duration against the time-out", "order-intake-duration"),
    Watched("4 API", "dead letters", "order-intake-dead-letters(-lost)?"),
    Watched("4 API", "spilled concurrency", "order-intake-spillover"),
    Watched("4 API", "ways out of the VPC", "nat-(port-allocation|packets-dropped)-.+"),
    Watched("5 Internal load balancer", "no healthy host", "internal-load-balancer-orders-no-healthy-pod"),
    Watched("5 Internal load balancer", "unhealthy hosts", "internal-load-balancer-orders-unhealthy-pods"),
    Watched("5 Internal load balancer", "resets", "internal-load-balancer-target-resets"),
    Watched("5 Internal load balancer", "TLS", "internal-load-balancer-(client|target)-tls-errors"),
    Watched("6 Service", "node health", "cluster-failed-nodes"),
    Watched("6 Service", "node CPU and memory", "cluster-node-(cpu|memory)"),
    Watched("6 Service", "nodes at their maximum", "cluster-unschedulable-pods"),
    Watched("6 Service", "pods at the quota", "cluster-pods-quota"),
    Watched("6 Service", "control plane", "cluster-(api-errors|database-size)"),
    Watched("6 Service", "pod health", "orders-pods-missing"),
    Watched("6 Service", "restarts", "orders-restarts"),
    Watched("6 Service", "crash loops", "orders-crash-loop"),
    Watched("6 Service", "pod memory", "orders-memory"),
    Watched("6 Service", "scaling at its maximum", "orders-pods-at-maximum"),
    Watched("6 Service", "the scaling itself", "autoscaler-operator-pods"),
    Watched("6 Service", "errors in logs", "service-error-lines"),
    Watched("6 Service", "cache CPU", "cache-0001-001-(engine-)?cpu"),
    Watched("6 Service", "cache memory", "cache-0001-001-memory"),
    Watched("6 Service", "cache evictions", "cache-0001-001-evictions"),
    Watched("6 Service", "cache replication lag", "cache-0001-001-replication-lag"),
    Watched("6 Service", "throttles of a table", "table-market-data-(read|write)-throttled"),
    Watched("6 Service", "throttles of an index", "table-market-data-by-venue-(read|write)-throttled"),
    Watched("6 Service", "table at its maximum", "table-orders-idempotency-(read|write)-at-maximum"),
    Watched("6 Service", "system errors of a table", "table-orders-idempotency-system-errors"),
    Watched("6 Service", "replication of a table", "table-market-data-replication-to-.+", "with others"),
    Watched("7 Event streaming", "a broker that is down", "kafka-broker-1-silent"),
    Watched("7 Event streaming", "offline partitions", "kafka-offline-partitions"),
    Watched("7 Event streaming", "under-replicated partitions", "kafka-broker-1-under-(replicated|min-isr)"),
    Watched("7 Event streaming", "disk", "kafka-broker-1-disk"),
    Watched("7 Event streaming", "CPU", "kafka-broker-1-cpu"),
    Watched("7 Event streaming", "memory", "kafka-broker-1-memory"),
    Watched("7 Event streaming", "connections", "kafka-broker-1-connections"),
    Watched("7 Event streaming", "consumer lag", r"kafka-(lag|unread)-orders\.executions"),
    Watched("7 Event streaming", "dead letters", r"kafka-broker-1-dead-letters-executions\.orders\.dlq"),
    Watched("8 Database", "CPU", "database-(writer|reader)-cpu"),
    # Instances of an instance class report memory. Serverless instances report a capacity.
    Watched("8 Database", "memory", "database-(?:memory|capacity)"),
    Watched("8 Database", "connections", "database-connections"),
    Watched("8 Database", "connections of the proxy", "database-proxy-(borrow-latency|connections-failed)"),
    Watched("8 Database", "refused sign-ins", "database-proxy-sign-in-failed"),
    Watched("8 Database", "replica lag", "database-replica-lag"),
    Watched("8 Database", "global lag", "database-global-lag", "with others"),
    Watched("8 Database", "deadlocks", "database-deadlocks"),
    Watched("8 Database", "storage", "database-volume"),
    Watched("8 Database", "transaction ids", "database-transaction-ids"),
    Watched("8 Database", "latency of commits", "database-commit-latency"),
    Watched("8 Database", "crashes", "database-(panic|fatal)"),
    Watched("8 Database", "rotation of the secret", "database-rotation-failed", "first region"),
    Watched("8 Database", "failed backups and copies", "backup-(job|start|copy)-failed"),
    Watched("8 Database", "backups that are not made", "backup-missing", "first region"),
    Watched("9 Monitoring", "metrics of pods and brokers", "(broker-)?metrics-ingestion"),
    Watched("9 Monitoring", "rules and alert manager", "alerts-not-(evaluated|delivered)"),
    Watched("9 Monitoring", "rules that fail", "rules-(scaling|platform|service-orders)-failed"),
    Watched("9 Monitoring", "undelivered alarms", "regional-(critical|warning)-notifications-failed"),
    Watched(
        "9 Monitoring",
        "undelivered alarms of the edge",
        "edge-(critical|warning)-notifications-failed",
        "edge",
    ),
    Watched("9 Monitoring", "orders fail", "order-availability-(fast|steady|slow)-(long|short)"),
    Watched("9 Monitoring", "orders are late", "order-latency-(fast|steady|slow)-(long|short)"),
]
"""The failures that each tier must report."""


def alarms(graph: Graph) -> Iterator[dict[str, Any]]:
    for alarm in graph.of("aws:cloudwatch/metricAlarm:MetricAlarm"):
        yield alarm.inputs


def names(graph: Graph, stack: str, region: str) -> set[str]:
    prefix = f"trading-{stack}-{region}-"
    found = (alarm.get("name", "") for alarm in alarms(graph))
    return {name.removeprefix(prefix) for name in found if name.startswith(prefix)}


def alternatives(pattern: str) -> list[str]:
    """The patterns without groups that a pattern with groups of alternatives is expanded to."""
    group = re.search(r"\((?!\?:)([^()]+)\)(\??)", pattern)
    if not group:
        return [pattern]
    choices = [*group[1].split("|"), *([""] if group[2] else [])]
    return [
        found
        for choice in choices
        for found in alternatives(pattern[: group.start()] + choice + pattern[group.end() :])
    ]


def unwatched(graph: Graph, stack: str, watched: Watched) -> list[tuple[str, str]]:
    """Regions and patterns that match no alarm."""
    regions = [region["name"] for region in stack_values(stack)["trading:regions"]]
    match watched.where:
        case "edge":
            asked = [(EDGE_REGION, watched.signal.format(region=region)) for region in regions]
        case "every region":
            asked = [(region, watched.signal) for region in regions]
        case "first region":
            asked = [(regions[0], watched.signal)]
        case "with others":
            asked = [(region, watched.signal) for region in regions if len(regions) > 1]
    return [
        (region, pattern)
        for region, signal in asked
        for pattern in alternatives(signal)
        if not any(re.fullmatch(pattern, name) for name in names(graph, stack, region))
    ]


@pytest.mark.parametrize("stack", STACKS)
@pytest.mark.parametrize("watched", WATCHED, ids=lambda watched: f"{watched.tier}: {watched.failure}")
def test_failure_rings_in_every_region_where_it_can_happen(watched: Watched, stack: str) -> None:
    assert unwatched(platform(stack), stack, watched) == []


def test_full_stack_is_told_of_what_only_settings_switch_on() -> None:
    graph = platform("full")
    assert "order-canary" in names(graph, "full", "us-east-1")
    budget = graph.only("aws:budgets/budget:Budget").inputs
    assert {notification["notificationType"] for notification in budget["notifications"]} == {
        "ACTUAL",
        "FORECASTED",
    }
    graph.only("aws:costexplorer/anomalySubscription:AnomalySubscription")


def compared(alarm: dict[str, Any]) -> Iterator[tuple[str, str, frozenset[str], int]]:
    """Namespace, metric, names of the dimensions and period of everything that an alarm compares."""
    if "metricName" in alarm:
        yield (
            alarm["namespace"],
            alarm["metricName"],
            frozenset(alarm.get("dimensions", {})),
            alarm["period"],
        )
    for query in alarm.get("metricQueries", ()):
        if metric := query.get("metric"):
            dimensions = frozenset(metric.get("dimensions", {}))
            yield metric["namespace"], metric["metricName"], dimensions, metric["period"]


@pytest.fixture(scope="module")
def every_alarm() -> list[dict[str, Any]]:
    return [alarm for graph in platforms_with_everything().values() for alarm in alarms(graph)]


def test_every_metric_is_documented_with_these_dimensions(every_alarm: list[dict[str, Any]]) -> None:
    unknown = {
        (namespace, metric, tuple(sorted(dimensions)))
        for alarm in every_alarm
        for namespace, metric, dimensions, _ in compared(alarm)
        if namespace not in OURS
        and metric
        not in {
            name: listed
            for together, listed in NAMESPACES[namespace].metrics.items()
            if frozenset(together) == dimensions
            for name in listed.split()
        }
    }
    assert unknown == set(), (
        "look them up in AWS's documentation, and add them to tests/unit/documented_metrics.py"
    )


def statistics(alarm: dict[str, Any]) -> Iterator[tuple[str, str, tuple[str, ...], str]]:
    """Namespace, metric, names of the dimensions and statistic of everything that an alarm compares."""
    if "metricName" in alarm:
        statistic = alarm.get("statistic") or alarm["extendedStatistic"]
        yield alarm["namespace"], alarm["metricName"], (*sorted(alarm.get("dimensions", {})),), statistic
    for query in alarm.get("metricQueries", ()):
        if metric := query.get("metric"):
            dimensions = (*sorted(metric.get("dimensions", {})),)
            yield metric["namespace"], metric["metricName"], dimensions, metric["stat"]


def test_metrics_have_the_dimensions_of_cloudwatchs_own_list(every_alarm: list[dict[str, Any]]) -> None:
    checked: set[tuple[str, str]] = set()
    for alarm in every_alarm:
        for namespace, metric, dimensions, _ in statistics(alarm):
            listed = DIRECTORY.get(namespace, {}).get(metric)
            if listed and ALSO_WITH.get((namespace, metric)) != dimensions:
                assert [*dimensions] in listed["dimensions"], (alarm["name"], metric)
                checked.add((namespace, metric))
    known = {(namespace, metric) for namespace, metrics in DIRECTORY.items() for metric in metrics}
    assert known - checked == ALSO_WITH.keys(), "the list has only what alarms compare"


def test_statistics_suit_what_the_metrics_are(every_alarm: list[dict[str, Any]]) -> None:
    used: set[tuple[str, str]] = set()
    for alarm in every_alarm:
        for namespace, metric, _, statistic in statistics(alarm):
            kind = statistic.split("(")[0]
            listed = DIRECTORY.get(namespace, {}).get(metric)
            if namespace in OURS or (listed and listed["statistic"] == kind):
                continue
            if listed:
                suitable = OTHER_STATISTICS.get((namespace, metric), "").split()
                assert kind in suitable, (alarm["name"], metric, statistic)
                used.add((namespace, metric))
            else:
                assert metric in UNLISTED_STATISTICS[kind].split(), (alarm["name"], metric, statistic)
    assert used == OTHER_STATISTICS.keys()


@pytest.mark.parametrize("stack", STACKS)
def test_dashboards_ask_for_what_alarms_compare(stack: str) -> None:
    graph = platform(stack)
    compared_by_alarms = {item for alarm in alarms(graph) for item in statistics(alarm)}
    asked: set[tuple[str, str, tuple[str, ...], str]] = set()
    for dashboard in graph.of("aws:cloudwatch/dashboard:Dashboard"):
        for widget in json.loads(dashboard.inputs["dashboardBody"])["widgets"]:
            for line in widget["properties"].get("metrics", ()):
                if isinstance(line[0], str):
                    namespace, metric, *dimensions, about = line
                    asked.add((namespace, metric, (*sorted(dimensions[::2]),), about["stat"]))
    assert asked
    assert asked - compared_by_alarms == set()


def test_nothing_is_documented_that_no_alarm_compares(every_alarm: list[dict[str, Any]]) -> None:
    used = {
        (namespace, metric, dimensions)
        for alarm in every_alarm
        for namespace, metric, dimensions, _ in compared(alarm)
    }
    listed = {
        (namespace, metric, frozenset(together))
        for namespace, documented in NAMESPACES.items()
        for together, metrics in documented.metrics.items()
        for metric in metrics.split()
    }
    assert listed - used == set()


def test_no_alarm_asks_more_often_than_a_metric_has_values(every_alarm: list[dict[str, Any]]) -> None:
    """Otherwise, missing values between the reported values would keep the alarm from ever triggering."""
    too_often = {
        (namespace, metric, period)
        for alarm in every_alarm
        for namespace, metric, _, period in compared(alarm)
        if namespace not in OURS
        and period < NAMESPACES[namespace].seldom.get(metric, NAMESPACES[namespace].seconds)
    }
    assert too_often == set()


def test_one_slow_request_among_few_raises_no_alarm(every_alarm: list[dict[str, Any]]) -> None:
    """With few requests, a percentile is the value of one of them. Alarms evaluate it nevertheless, because
    they would keep their last state otherwise."""
    percentiles = [alarm for alarm in every_alarm if "extendedStatistic" in alarm]
    assert {alarm["evaluateLowSampleCountPercentiles"] for alarm in percentiles} == {"evaluate"}
    assert min(alarm["datapointsToAlarm"] for alarm in percentiles) >= 3
    assert {alarm["treatMissingData"] for alarm in percentiles} == {"notBreaching"}


def test_metric_math_evaluates_no_percentile_of_few_requests(every_alarm: list[dict[str, Any]]) -> None:
    """The setting for few samples does not apply to metric math, so the expression has a minimum itself."""
    checked = 0
    for alarm in every_alarm:
        statistics = [
            query["metric"]["stat"] for query in alarm.get("metricQueries", ()) if "metric" in query
        ]
        if any(re.match(r"p\d|PR\(", statistic) for statistic in statistics):
            expression = alarm["metricQueries"][0]["expression"]
            assert re.fullmatch(r"IF\(requests >= \d+, .+, 0\)", expression), alarm["name"]
            checked += 1
    assert checked


def test_an_alarm_on_a_table_can_end(every_alarm: list[dict[str, Any]]) -> None:
    """CloudWatch ignores missing values of DynamoDB's metrics, and most are reported only on an event."""
    always_there = {"ProvisionedReadCapacityUnits", "ProvisionedWriteCapacityUnits"}
    checked = 0
    for alarm in every_alarm:
        for namespace, metric, _, period in compared(alarm):
            if namespace == "AWS/DynamoDB" and metric not in always_there:
                assert alarm["metricQueries"][0]["expression"] == "FILL(metric, 0)", alarm["name"]
                assert period >= 300, "the newest value is late: its zero must not stand for a whole period"
                checked += 1
    assert checked


def test_silence_is_heard_only_of_what_always_speaks(every_alarm: list[dict[str, Any]]) -> None:
    """A metric that is reported only when something happens is missing most of the time."""
    heartbeats = {
        "AlertManagerAlertsReceived",  # one alert is always firing
        "CpuUser",
        "HealthCheckStatus",
        "HealthyHostCount",
        "NumberOfBackupJobsCompleted",
        "ResourceCount",
        "SuccessPercent",
        "service_number_of_running_pods",
    }
    silent = {
        metric
        for alarm in every_alarm
        if alarm["treatMissingData"] == "breaching"
        for _, metric, _, _ in compared(alarm)
    }
    assert silent == heartbeats


def test_no_more_is_evaluated_than_cloudwatch_allows(every_alarm: list[dict[str, Any]]) -> None:
    """The limit is one week, or one day for periods below an hour ("PutMetricAlarm")."""
    for alarm in every_alarm:
        for _, _, _, period in compared(alarm):
            most = 7 * 86_400 if period >= 3600 else 86_400
            assert period * alarm["evaluationPeriods"] <= most, alarm["name"]


def _is_prose(text: str) -> bool:
    """Whether a text consists of sentences that start with a capital letter and end with one full stop."""
    return all(re.fullmatch(r"[A-Z].*[^.]\.", sentence) for sentence in re.split(r"(?<=\.) ", text))


def test_every_alarm_is_described_in_whole_sentences(every_alarm: list[dict[str, Any]]) -> None:
    """A description consists of the title, a full stop, the reason and the runbook, so it shows them all."""
    composite = [
        alarm.inputs
        for graph in platforms_with_everything().values()
        for alarm in graph.of("aws:cloudwatch/compositeAlarm:CompositeAlarm")
    ]
    for alarm in [*every_alarm, *composite]:
        text, runbook, _ = alarm["alarmDescription"].rpartition(" Runbook: ")
        assert runbook, alarm["alarmDescription"]
        assert _is_prose(text), text


def test_no_alarm_has_a_longer_description_than_cloudwatch_allows(every_alarm: list[dict[str, Any]]) -> None:
    """The limit is documented in the CloudWatch API Reference, PutMetricAlarm."""
    assert max(len(alarm["alarmDescription"]) for alarm in every_alarm) <= 1024


def test_every_alert_is_described_in_whole_sentences_without_quotation_marks() -> None:
    """The alert manager's message template inserts the texts into JSON without escaping them."""
    annotations = [
        rule["annotations"]
        for graph in platforms_with_everything().values()
        for namespace in graph.of("aws:amp/ruleGroupNamespace:RuleGroupNamespace")
        for group in json.loads(namespace.inputs["data"])["groups"]
        for rule in group["rules"]
        if "severity" in rule.get("labels", {})
    ]
    assert annotations
    for text in annotations:
        assert re.fullmatch(r"[A-Z].*[^.]", text["summary"]), text
        assert _is_prose(text["description"]), text
        assert not set('"\\') & {*text["summary"], *text["description"]}, text
