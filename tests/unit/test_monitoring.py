"""Alarms, composite alarms, dashboards, saved queries, and the scraper of Prometheus metrics."""

import dataclasses
import json
import re
from collections.abc import Sequence
from typing import Any

import pytest
import yaml

from components.common.signals import LogQuery, Objective, Signal
from components.monitoring import (
    MetricsScraper,
    MetricsScraperArgs,
    MonitoredRegion,
    Monitoring,
    MonitoringArgs,
)
from components.monitoring.scraping import SCRAPE_CONFIGURATION
from settings import MonitoringSettings, SlackSettings, SpendingSettings
from tests.unit.harness import Graph, context, deploy

CLUSTER_GROUP = "sg-0123456789abcdef0"
KEY = "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"

SIGNAL = Signal(
    name="errors",
    title="Requests fail",
    namespace="AWS/ApplicationELB",
    metric="HTTPCode_Target_5XX_Count",
    dimensions={"LoadBalancer": "app/public/50dc6c495c0c9188"},
    statistic="Sum",
    threshold=10,
    reason="More than a deployment's noise.",
    severity="critical",
)
LATENCY = dataclasses.replace(
    SIGNAL, name="latency", metric="TargetResponseTime", statistic="p99", threshold=0.5, severity="warning"
)


OBJECTIVE = Objective(
    name="order-availability",
    title="Too many orders fail",
    target=0.999,
    namespace="AWS/ApiGateway",
    dimensions={"ApiName": "api"},
    metrics={"requests": ("Count", "Sum"), "failed": ("5XXError", "Sum")},
    bad_share="failed / requests",
)


def _region(
    name: str,
    signals: Sequence[Signal],
    objectives: Sequence[Objective] = (),
    queries: Sequence[LogQuery] = (),
) -> MonitoredRegion:
    topic = f"arn:aws:sns:{name}:123456789012"
    return MonitoredRegion(
        region=name,
        signals=signals,
        objectives=objectives,
        queries=queries,
        critical_topic_arn=f"{topic}:critical",
        warning_topic_arn=f"{topic}:warning",
    )


def _monitoring(
    *regions: MonitoredRegion,
    edge: Sequence[Signal] = (),
    edge_queries: Sequence[LogQuery] = (),
    settings: MonitoringSettings = MonitoringSettings(),  # noqa: B008 - it is frozen
) -> Graph:
    return deploy(
        lambda: Monitoring(
            "monitoring",
            MonitoringArgs(
                context=context(platform="trading-test", region="us-east-1", protect=True),
                regions=regions,
                edge_signals=edge,
                edge_queries=edge_queries,
                settings=settings,
            ),
        )
    )


def _alarm(graph: Graph, name: str) -> dict[str, Any]:
    return graph.named(f"monitoring-{name}", "aws:cloudwatch/metricAlarm:MetricAlarm").inputs


def test_alarm_is_in_the_region_of_its_metric_and_its_topic() -> None:
    graph = _monitoring(_region("us-east-1", [SIGNAL]), _region("eu-west-1", [SIGNAL]))
    alarm = _alarm(graph, "eu-west-1-errors")
    assert alarm["region"] == "eu-west-1"
    assert alarm["name"] == "trading-test-eu-west-1-errors"
    assert alarm["alarmActions"] == alarm["okActions"] == ["arn:aws:sns:eu-west-1:123456789012:critical"]


def test_severity_decides_the_topic() -> None:
    graph = _monitoring(_region("eu-west-1", [SIGNAL, LATENCY]))
    assert _alarm(graph, "eu-west-1-errors")["alarmActions"] == [
        "arn:aws:sns:eu-west-1:123456789012:critical"
    ]
    assert _alarm(graph, "eu-west-1-latency")["alarmActions"] == [
        "arn:aws:sns:eu-west-1:123456789012:warning"
    ]


def test_percentile_is_an_extended_statistic() -> None:
    graph = _monitoring(_region("eu-west-1", [SIGNAL, LATENCY]))
    latency, errors = _alarm(graph, "eu-west-1-latency"), _alarm(graph, "eu-west-1-errors")
    assert (latency.get("statistic"), latency["extendedStatistic"]) == (None, "p99")
    assert (errors["statistic"], errors.get("extendedStatistic")) == ("Sum", None)
    # With "ignore", the alarm would keep its state below 1,000 requests.
    assert latency["evaluateLowSampleCountPercentiles"] == "evaluate"


SHARE = dataclasses.replace(
    SIGNAL,
    name="share",
    expression="IF(metric >= 10, metric / requests, 0)",
    others={"requests": ("RequestCount", "Sum")},
    threshold=0.01,
)


def test_metric_math_is_compared_in_the_metrics_place() -> None:
    alarm = _alarm(_monitoring(_region("eu-west-1", [SHARE])), "eu-west-1-share")
    assert not alarm.keys() & {"metricName", "namespace", "statistic", "period", "dimensions"}
    compared, *operands = alarm["metricQueries"]
    assert (compared["expression"], compared["returnData"]) == (SHARE.expression, True)
    assert {
        query["id"]: (query["metric"]["metricName"], query["metric"]["stat"], query["metric"]["period"])
        for query in operands
    } == {"metric": (SIGNAL.metric, "Sum", 60), "requests": ("RequestCount", "Sum", 60)}
    assert {query["metric"]["dimensions"]["LoadBalancer"] for query in operands} == {
        "app/public/50dc6c495c0c9188"
    }


def test_description_names_the_runbook() -> None:
    alarm = _alarm(_monitoring(_region("eu-west-1", [SIGNAL])), "eu-west-1-errors")
    assert alarm["alarmDescription"] == (
        "Requests fail. More than a deployment's noise. Runbook: docs/operations.md#errors"
    )


def test_signals_of_a_kind_share_a_runbook() -> None:
    node = dataclasses.replace(SIGNAL, name="node-1-errors", runbook="node-errors", reason="A note.")
    alarm = _alarm(_monitoring(_region("eu-west-1", [node])), "eu-west-1-node-1-errors")
    assert alarm["alarmDescription"] == "Requests fail. A note. Runbook: docs/operations.md#node-errors"


def test_only_the_end_of_a_critical_alarm_is_notified() -> None:
    graph = _monitoring(_region("eu-west-1", [SIGNAL, LATENCY]))
    assert _alarm(graph, "eu-west-1-errors")["okActions"]
    assert not _alarm(graph, "eu-west-1-latency").get("okActions")


@pytest.mark.parametrize(
    ("comparison", "operator"), [("above", "GreaterThanThreshold"), ("below", "LessThanThreshold")]
)
def test_alarm_compares_as_the_signal_says(comparison: Any, operator: str) -> None:
    signal = dataclasses.replace(SIGNAL, comparison=comparison)
    alarm = _alarm(_monitoring(_region("eu-west-1", [signal])), "eu-west-1-errors")
    assert alarm["comparisonOperator"] == operator


def test_edge_alarms_ring_encrypted_topics_of_their_own_region() -> None:
    graph = _monitoring(edge=[SIGNAL])
    assert _alarm(graph, "us-east-1-errors")["region"] == "us-east-1"
    topics = graph.of("aws:sns/topic:Topic")
    assert len(topics) == 2
    assert all("kmsMasterKeyId" in topic.inputs for topic in topics)
    alarm = graph.named("monitoring-us-east-1-errors")
    assert "monitoring-alarms-critical" in alarm.depends_on


def test_two_signals_of_a_name_in_one_region_are_refused() -> None:
    with pytest.raises(ValueError, match="two signals of eu-west-1 are named errors"):
        _monitoring(_region("eu-west-1", [SIGNAL, SIGNAL]))


def test_edge_and_its_region_share_their_names() -> None:
    with pytest.raises(ValueError, match="two signals of us-east-1 are named errors"):
        _monitoring(_region("us-east-1", [SIGNAL]), edge=[SIGNAL])


def _composite(graph: Graph, name: str) -> dict[str, Any]:
    return graph.named(f"monitoring-{name}", "aws:cloudwatch/compositeAlarm:CompositeAlarm").inputs


RULE_NAME = re.compile(r'ALARM\("([^"]+)"\)')


def _watched(composite: dict[str, Any]) -> list[str]:
    """The names in a composite alarm's rule, without their common prefix."""
    return [name.removeprefix("trading-test-") for name in RULE_NAME.findall(composite["alarmRule"])]


def test_burn_rate_rings_while_both_of_its_windows_burn() -> None:
    graph = _monitoring(_region("eu-west-1", [], [OBJECTIVE]))
    windows = {"long": 3600, "short": 300}
    for length, seconds in windows.items():
        alarm = _alarm(graph, f"eu-west-1-order-availability-fast-{length}")
        assert alarm["threshold"] == pytest.approx(0.0144)
        queries = {query["id"]: query for query in alarm["metricQueries"]}
        assert queries["bad_share"]["expression"] == "IF(requests >= 70, failed / requests, 0)"
        assert {queries[i]["metric"]["period"] for i in ("requests", "failed")} == {seconds}
        assert not alarm.get("alarmActions"), "the alarm over both notifies"
    composite = _composite(graph, "eu-west-1-order-availability-fast")
    prefix = "trading-test-eu-west-1-order-availability-fast"
    assert composite["alarmRule"] == f'ALARM("{prefix}-long") AND ALARM("{prefix}-short")'
    assert composite["alarmActions"] == ["arn:aws:sns:eu-west-1:123456789012:critical"]
    assert composite["region"] == "eu-west-1"


def test_slow_burn_is_a_warning() -> None:
    graph = _monitoring(_region("eu-west-1", [], [OBJECTIVE]))
    slow = _composite(graph, "eu-west-1-order-availability-slow")
    assert slow["alarmActions"] == ["arn:aws:sns:eu-west-1:123456789012:warning"]


def test_customer_impact_is_what_fails_orders_and_nothing_else() -> None:
    failing = dataclasses.replace(SIGNAL, name="orders-fail", customer_impact=True)
    graph = _monitoring(_region("eu-west-1", [SIGNAL, failing], [OBJECTIVE]))
    impact = _composite(graph, "eu-west-1-customer-impact")
    composites = [f"eu-west-1-order-availability-{rate}" for rate in ("fast", "steady")]
    assert _watched(impact) == ["eu-west-1-orders-fail", *composites]
    assert impact["alarmRule"].count(" OR ") == 2
    assert impact["alarmActions"] == ["arn:aws:sns:eu-west-1:123456789012:critical"]


def test_no_deployment_silences_customer_impact() -> None:
    failing = dataclasses.replace(SIGNAL, customer_impact=True)
    impact = _composite(_monitoring(_region("eu-west-1", [failing])), "eu-west-1-customer-impact")
    assert "actionsSuppressor" not in impact


def test_composite_alarm_comes_after_the_alarms_of_its_rule() -> None:
    """The rule contains only names, and CloudWatch refuses a rule if one of its alarms does not exist."""
    failing = dataclasses.replace(SIGNAL, name="orders-fail", customer_impact=True)
    pods = dataclasses.replace(SIGNAL, name="pods", rings_in_deployments=True)
    graph = _monitoring(_region("eu-west-1", [failing, pods], [OBJECTIVE]))
    composites = graph.of("aws:cloudwatch/compositeAlarm:CompositeAlarm")
    assert len(composites) == 5
    for composite in composites:
        named = {f"monitoring-{name}" for name in _watched(composite.inputs)}
        assert named, composite.name
        assert named <= composite.depends_on, composite.name


def test_what_a_deployment_may_ring_notifies_only_while_none_runs() -> None:
    pods = dataclasses.replace(SIGNAL, name="pods", severity="warning", rings_in_deployments=True)
    graph = _monitoring(_region("eu-west-1", [SIGNAL, pods]))
    assert not _alarm(graph, "eu-west-1-pods").get("alarmActions")
    workload = _composite(graph, "eu-west-1-workload-warning")
    assert _watched(workload) == ["eu-west-1-pods"]
    assert workload["alarmActions"] == ["arn:aws:sns:eu-west-1:123456789012:warning"]
    assert workload["actionsSuppressor"]["alarm"] == "trading-test-eu-west-1-deployment-runs"


def test_silence_ends_with_the_deployments_words() -> None:
    pods = dataclasses.replace(SIGNAL, name="pods", rings_in_deployments=True)
    runs = _alarm(_monitoring(_region("eu-west-1", [pods])), "eu-west-1-deployment-runs")
    assert runs["treatMissingData"] == "notBreaching"
    assert runs["period"] * runs["evaluationPeriods"] == 60


def test_more_alarms_than_a_composite_takes_are_refused() -> None:
    failing = [
        dataclasses.replace(SIGNAL, name=f"errors-{n}", runbook="errors", customer_impact=True)
        for n in range(101)
    ]
    with pytest.raises(ValueError, match="has 101 alarms; at most 100"):
        _monitoring(_region("eu-west-1", failing))


def test_alarms_of_every_region_are_shown_in_the_channel() -> None:
    slack = SlackSettings(workspace_id="T0123ABCD", channel_id="C0123ABCD")
    graph = _monitoring(_region("eu-west-1", [SIGNAL]), settings=MonitoringSettings(slack=slack))
    channel = graph.only("aws:chatbot/slackChannelConfiguration:SlackChannelConfiguration").inputs
    topics = [topic.outputs["arn"] for topic in graph.of("aws:sns/topic:Topic")]
    regional = [f"arn:aws:sns:eu-west-1:123456789012:{severity}" for severity in ("critical", "warning")]
    assert sorted(channel["snsTopicArns"]) == sorted([*topics, *regional])


def test_channel_may_look_and_do_nothing() -> None:
    slack = SlackSettings(workspace_id="T0123ABCD", channel_id="C0123ABCD")
    graph = _monitoring(settings=MonitoringSettings(slack=slack))
    channel = graph.only("aws:chatbot/slackChannelConfiguration:SlackChannelConfiguration").inputs
    read_only = "arn:aws:iam::aws:policy/CloudWatchReadOnlyAccess"
    attached = [a.inputs["policyArn"] for a in graph.of("aws:iam/rolePolicyAttachment:RolePolicyAttachment")]
    assert channel["guardrailPolicyArns"] == attached == [read_only]


def test_spending_is_told_before_and_when_it_is_out_of_the_ordinary() -> None:
    spending = SpendingSettings(monthly_usd=20_000, anomaly_usd=250)
    graph = _monitoring(settings=MonitoringSettings(spending=spending))
    budget = graph.only("aws:budgets/budget:Budget").inputs
    assert (budget["limitAmount"], budget["timeUnit"]) == ("20000", "MONTHLY")
    assert [(n["notificationType"], n["threshold"]) for n in budget["notifications"]] == [
        ("ACTUAL", 80),
        ("FORECASTED", 100),
    ]
    anomalies = graph.only("aws:costexplorer/anomalySubscription:AnomalySubscription").inputs
    assert anomalies["thresholdExpression"]["dimension"]["values"] == ["250"]
    assert anomalies["frequency"] == "IMMEDIATE", "a topic takes no other"
    warning = graph.named("monitoring-alarms-warning", "aws:sns/topic:Topic").outputs["arn"]
    assert {anomalies["subscribers"][0]["address"]} == {warning}
    assert {arn for n in budget["notifications"] for arn in n["subscriberSnsTopicArns"]} == {warning}


def test_spending_is_that_of_this_platform_alone() -> None:
    graph = _monitoring(settings=MonitoringSettings(spending=SpendingSettings(monthly_usd=1)))
    (cost_filter,) = graph.only("aws:budgets/budget:Budget").inputs["costFilters"]
    assert cost_filter == {"name": "TagKeyValue", "values": ["user:platform$trading-test"]}
    monitor = graph.only("aws:costexplorer/anomalyMonitor:AnomalyMonitor").inputs
    specification = json.loads(monitor["monitorSpecification"])
    assert specification.pop("Tags") == {"Key": "platform", "MatchOptions": None, "Values": ["trading-test"]}
    # The provider reads back every key, and would replace the monitor for one that is missing.
    assert specification == dict.fromkeys(("And", "CostCategories", "Dimensions", "Not", "Or"))


def test_billing_may_publish_to_the_encrypted_topics() -> None:
    graph = _monitoring(settings=MonitoringSettings(spending=SpendingSettings(monthly_usd=1)))
    key = graph.only("aws:kms/key:Key").inputs["policy"]
    policies = [key, *(policy.inputs["policy"] for policy in graph.of("aws:sns/topicPolicy:TopicPolicy"))]
    for service in ("budgets.amazonaws.com", "costalerts.amazonaws.com"):
        assert all(service in policy for policy in policies)


def _dashboard(graph: Graph, kind: str, part: str = "-eu-west-1") -> list[dict[str, Any]]:
    dashboard = graph.named(f"monitoring{part}", "aws:cloudwatch/dashboard:Dashboard").inputs
    assert dashboard["dashboardName"] == f"trading-test{part}"
    widgets = json.loads(dashboard["dashboardBody"])["widgets"]
    return [widget["properties"] for widget in widgets if widget["type"] == kind]


ORDERS = dataclasses.replace(SIGNAL, name="orders-pods", dashboard="orders")


def test_overview_shows_every_alarm_by_the_arn_that_it_has() -> None:
    graph = _monitoring(_region("eu-west-1", [SIGNAL, LATENCY, ORDERS]), edge=[SIGNAL])
    shown = [arn for states in _dashboard(graph, "alarm", "") for arn in states["alarms"]]
    alarms = graph.of("aws:cloudwatch/metricAlarm:MetricAlarm")
    assert sorted(shown) == sorted(alarm.outputs["arn"] for alarm in alarms)


def test_overview_has_a_row_for_each_dashboard_and_severity() -> None:
    graph = _monitoring(_region("eu-west-1", [SIGNAL, LATENCY, ORDERS]), edge=[SIGNAL])
    assert [states["title"] for states in _dashboard(graph, "alarm", "")] == [
        "edge: critical",
        "edge: warning",
        "eu-west-1: critical",
        "eu-west-1: warning",
        "orders: critical",
    ]
    assert _dashboard(graph, "metric", "") == []


def test_what_belongs_to_a_service_is_on_its_dashboard_for_every_region() -> None:
    regions = [_region(name, [SIGNAL, ORDERS]) for name in ("us-east-1", "eu-west-1")]
    graph = _monitoring(*regions)
    assert [shown["region"] for shown in _dashboard(graph, "metric", "-orders")] == ["us-east-1", "eu-west-1"]
    for region in ("us-east-1", "eu-west-1"):
        assert [shown["title"] for shown in _dashboard(graph, "metric", f"-{region}")] == ["errors"]


def test_new_service_leaves_the_graphs_of_regions_and_other_services_alone() -> None:
    positions = dataclasses.replace(ORDERS, name="positions-pods", dashboard="positions")

    def bodies(*signals: Signal) -> dict[str, str]:
        graph = _monitoring(_region("eu-west-1", signals))
        return {
            dashboard.name: dashboard.inputs["dashboardBody"]
            for dashboard in graph.of("aws:cloudwatch/dashboard:Dashboard")
        }

    before, after = bodies(SIGNAL, ORDERS), bodies(SIGNAL, ORDERS, positions)
    assert after.keys() - before.keys() == {"monitoring-positions"}
    assert [name for name in before if before[name] != after[name]] == ["monitoring"]


def test_more_widgets_than_a_dashboard_takes_are_refused() -> None:
    many = [dataclasses.replace(SIGNAL, name=f"errors-{n}") for n in range(500)]
    with pytest.raises(ValueError, match="the dashboard eu-west-1 has 502 widgets; CloudWatch allows 500"):
        _monitoring(_region("eu-west-1", many))


def test_graph_shows_what_the_alarm_sees() -> None:
    graph = _monitoring(_region("eu-west-1", [LATENCY]))
    (latency,) = [shown for shown in _dashboard(graph, "metric") if shown["title"] == "latency"]
    assert latency["region"] == "eu-west-1"
    assert latency["metrics"] == [
        [
            *("AWS/ApplicationELB", "TargetResponseTime", "LoadBalancer", "app/public/50dc6c495c0c9188"),
            {"label": "latency", "stat": "p99", "period": 60},
        ]
    ]
    assert latency["annotations"]["horizontal"] == [{"label": "above", "value": 0.5, "fill": "above"}]


def test_graph_shows_the_metric_math_and_hides_what_it_is_made_of() -> None:
    brokers = [dataclasses.replace(SHARE, name=f"{n}-share", runbook="share") for n in range(2)]
    graphs = _dashboard(_monitoring(_region("eu-west-1", brokers)), "metric")
    (shown,) = [shown for shown in graphs if shown["title"] == "share"]
    assert [line[-1].get("expression") for line in shown["metrics"] if "expression" in line[-1]] == [
        "IF(metric0 >= 10, metric0 / requests0, 0)",
        "IF(metric1 >= 10, metric1 / requests1, 0)",
    ]
    hidden = {line[-1]["id"]: line[1] for line in shown["metrics"] if line[-1].get("visible") is False}
    assert hidden == {
        name: metric
        for number in range(2)
        for name, metric in ((f"metric{number}", SIGNAL.metric), (f"requests{number}", "RequestCount"))
    }


def test_signals_of_a_kind_share_a_graph() -> None:
    nodes = [dataclasses.replace(SIGNAL, name=f"node-{n}-errors", runbook="node-errors") for n in range(3)]
    graphs = _dashboard(_monitoring(_region("eu-west-1", nodes)), "metric")
    assert [len(shown["metrics"]) for shown in graphs if shown["title"] == "node-errors"] == [3]


def test_no_widget_has_more_than_it_can_show() -> None:
    nodes = [dataclasses.replace(SIGNAL, name=f"node-{n}-errors", runbook="node-errors") for n in range(101)]
    graph = _monitoring(_region("eu-west-1", nodes))
    assert max(len(states["alarms"]) for states in _dashboard(graph, "alarm", "")) == 100
    assert max(len(shown["metrics"]) for shown in _dashboard(graph, "metric")) == 100


@pytest.fixture(scope="module")
def scraper() -> Graph:
    return deploy(
        lambda: MetricsScraper(
            "scraper",
            MetricsScraperArgs(
                context=context(key_arn=KEY, log_retention_days=30),
                cluster_name="trading-test-us-east-1",
                cluster_arn="arn:aws:eks:us-east-1:123456789012:cluster/trading-test-us-east-1",
                workspace_arn="arn:aws:aps:us-east-1:123456789012:workspace/ws-1234abcd-12ab-34cd-56ef-1234567890ab",
                subnet_ids=["subnet-0123456789abcdef0", "subnet-0123456789abcdef1"],
                cluster_security_group_id=CLUSTER_GROUP,
                metrics_ports=[9898],
                vpc_id="vpc-0123456789abcdef0",
            ),
        )
    )


def test_scraper_reaches_api_server_and_pods_and_nothing_else(scraper: Graph) -> None:
    egress = scraper.of("aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule")
    ingress = scraper.of("aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule")
    assert sorted(rule.inputs["fromPort"] for rule in egress) == [443, 9898]
    assert {rule.inputs["referencedSecurityGroupId"] for rule in egress} == {CLUSTER_GROUP}
    assert sorted(rule.inputs["fromPort"] for rule in ingress) == [443, 9898]
    assert {rule.inputs["securityGroupId"] for rule in ingress} == {CLUSTER_GROUP}


def test_scraper_writes_an_encrypted_log(scraper: Graph) -> None:
    log_group = scraper.only("aws:cloudwatch/logGroup:LogGroup").inputs
    assert log_group["kmsKeyId"] == KEY
    assert log_group["name"].startswith("/aws/vendedlogs/"), "what AMP may deliver to"


def test_scraper_makes_its_access_entry_itself(scraper: Graph) -> None:
    assert scraper.of("aws:eks/accessEntry:AccessEntry") == []


def _relabel(labels: dict[str, str]) -> dict[str, str] | None:
    """The target labels that Prometheus gives a discovered pod, or None if it drops the pod."""
    (job,) = yaml.safe_load(SCRAPE_CONFIGURATION)["scrape_configs"]
    labels = dict(labels)
    for rule in job["relabel_configs"]:
        value = ";".join(labels.get(name, "") for name in rule["source_labels"])
        found = re.fullmatch(rule.get("regex", "(.*)"), value)
        match rule.get("action", "replace"):
            case "keep":
                if not found:
                    return None
            case "replace" if found:
                replacement = re.sub(r"\$(\d)", r"\\\1", rule.get("replacement", "$1"))
                labels[rule["target_label"]] = found.expand(replacement)
            case _:
                pass
    return {name: value for name, value in labels.items() if not name.startswith("__meta_")}


POD = {
    "__address__": "10.0.1.2:9898",
    "__metrics_path__": "/metrics",
    "__meta_kubernetes_namespace": "trading",
    "__meta_kubernetes_pod_name": "orders-5d8f",
    "__meta_kubernetes_pod_phase": "Running",
    "__meta_kubernetes_pod_label_app_kubernetes_io_name": "orders",
    "__meta_kubernetes_pod_annotation_prometheus_io_scrape": "true",
    "__meta_kubernetes_pod_annotation_prometheus_io_port": "9797",
    "__meta_kubernetes_pod_annotation_prometheus_io_path": "/stats",
}


def test_scraped_series_carry_the_labels_that_scaling_queries_use() -> None:
    assert _relabel(POD) == {
        "__address__": "10.0.1.2:9797",
        "__metrics_path__": "/stats",
        "namespace": "trading",
        "service": "orders",
        "pod": "orders-5d8f",
    }


def test_pods_that_do_not_ask_for_it_are_not_scraped() -> None:
    asks = "__meta_kubernetes_pod_annotation_prometheus_io_scrape"
    assert _relabel({name: value for name, value in POD.items() if name != asks}) is None
    assert _relabel({**POD, "__meta_kubernetes_pod_phase": "Succeeded"}) is None


QUERY = LogQuery(name="slow-orders", query="sort latency desc", log_groups=("access",))


def test_question_is_saved_once_a_region_in_the_platforms_folder() -> None:
    graph = _monitoring(
        _region("us-east-1", [SIGNAL], queries=[QUERY]), _region("eu-west-1", [SIGNAL], queries=[QUERY])
    )
    saved = [r.inputs for r in graph.of("aws:cloudwatch/queryDefinition:QueryDefinition")]
    assert sorted((q["region"], q["name"]) for q in saved) == [
        ("eu-west-1", "trading-test/slow-orders"),
        ("us-east-1", "trading-test/slow-orders"),
    ]
    assert {q["queryString"] for q in saved} == {"sort latency desc"}


def test_tiers_that_ask_the_same_share_a_query_and_so_does_the_edge() -> None:
    graph = _monitoring(
        _region("us-east-1", [SIGNAL], queries=[QUERY, dataclasses.replace(QUERY, log_groups=("pods",))]),
        edge_queries=[dataclasses.replace(QUERY, log_groups=("distribution",))],
    )
    saved = graph.only("aws:cloudwatch/queryDefinition:QueryDefinition").inputs
    assert saved["logGroupNames"] == ["distribution", "access", "pods"]


def test_questions_of_one_name_must_be_the_same() -> None:
    other = dataclasses.replace(QUERY, query="sort status desc")
    with pytest.raises(ValueError, match="eu-west-1 report different log queries with the name slow-orders"):
        _monitoring(_region("eu-west-1", [SIGNAL], queries=[QUERY, other]))
