"""The workspace's rules, checked with Prometheus's own `promtool`."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.monitoring.alerting import NAMESPACE, rules_file
from components.service.autoscaler import LOAD_METRIC, RULES, recording_rules
from settings import ServiceAlertSettings, ServiceSettings
from settings.aws_limits import RULES_PER_GROUP
from tests.prometheus.tools import run
from tests.unit.harness import STACKS, platform

CASES = Path(__file__).with_name("rules_test.yaml")
ORDERS = ServiceSettings(name="orders", listener_port=8081)


def rules(*services: ServiceSettings) -> list[dict[str, Any]]:
    groups = json.loads(rules_file(services, "orders", LOAD_METRIC, is_primary=True))["groups"]
    return [rule for group in groups for rule in group["rules"]]


@pytest.mark.parametrize("stack", STACKS)
def test_rules_of_every_stack_are_well_formed(stack: str, tmp_path: Path) -> None:
    namespaces = platform(stack).of("aws:amp/ruleGroupNamespace:RuleGroupNamespace")
    assert {namespace.inputs["name"] for namespace in namespaces} == {NAMESPACE, RULES}
    for namespace in namespaces:
        (tmp_path / f"{namespace.name}.yaml").write_text(namespace.inputs["data"])
    files = [path.name for path in tmp_path.iterdir()]
    run(tmp_path, "promtool", "check", "rules", "--lint=all", "--lint-fatal", *files)


def test_rules_record_and_ring_as_they_should(tmp_path: Path) -> None:
    (tmp_path / "alerts.yaml").write_text(rules_file([ORDERS], "orders", LOAD_METRIC, is_primary=True))
    (tmp_path / "scaling.yaml").write_text(recording_rules({ORDERS.name: ORDERS.scaling_query}))
    shutil.copy(CASES, tmp_path)
    assert "SUCCESS" in run(tmp_path, "promtool", "test", "rules", CASES.name)


def test_every_rule_has_a_case_and_every_alert_one_in_which_it_is_silent() -> None:
    tests = yaml.safe_load(CASES.read_text())["tests"]
    alerts = [case for test in tests for case in test.get("alert_rule_test", ())]
    rings = {case["alertname"] for case in alerts if case.get("exp_alerts")}
    silent = {case["alertname"] for case in alerts if not case.get("exp_alerts")}
    asked = " ".join(case["expr"] for test in tests for case in test.get("promql_expr_test", ()))
    named = {rule["alert"] for rule in rules(ORDERS) if "alert" in rule}
    assert rings == named
    assert silent == named - {"Watchdog"}
    recorded = {rule["record"] for rule in rules(ORDERS) if "record" in rule} | {LOAD_METRIC}
    assert [record for record in recorded if record not in asked] == []


MANY = [ServiceSettings(name=f"s{number}", listener_port=9000 + number) for number in range(45)]


def test_no_group_has_more_rules_than_a_workspace_accepts() -> None:
    alerts = json.loads(rules_file(MANY, "s0", LOAD_METRIC, is_primary=True))["groups"]
    scaling = json.loads(recording_rules({service.name: service.scaling_query for service in MANY}))["groups"]
    assert [group["name"] for group in scaling] == ["scaling", "scaling-2", "scaling-3"]
    assert {rule["labels"]["service"] for group in scaling for rule in group["rules"]} == {
        service.name for service in MANY
    }
    assert max(len(group["rules"]) for group in (*alerts, *scaling)) <= RULES_PER_GROUP


def test_rules_use_only_what_their_group_has_recorded_before_them() -> None:
    """There is no order between groups. Only the load comes from another one, and its absence is told of
    after ten minutes."""
    used = 0
    for group in json.loads(rules_file(MANY, "s0", LOAD_METRIC, is_primary=True))["groups"]:
        recorded: set[tuple[str, str]] = set()
        for rule in group["rules"]:
            service = rule.get("labels", {}).get("service", "")
            for series in set(re.findall(r"trading:[\w:]+", rule["expr"])) - {LOAD_METRIC}:
                assert (series, service) in recorded, rule
                used += 1
            if "record" in rule:
                recorded.add((rule["record"], service))
    assert used


def test_only_failing_orders_wake_somebody() -> None:
    other = ServiceSettings(name="accounts", listener_port=8082)
    critical = {
        (rule["alert"], rule["labels"]["service"])
        for rule in rules(ORDERS, other)
        if rule.get("labels", {}).get("severity") == "critical"
    }
    assert critical == {("ServiceRequestErrors", "orders")}


def test_limits_are_the_services_own() -> None:
    slow = ORDERS.model_copy(update={"alerts": ServiceAlertSettings(error_percent=2.5, latency_ms=1500)})
    expressions = {rule["alert"]: rule["expr"] for rule in rules(slow) if "alert" in rule}
    assert expressions["ServiceRequestErrors"].endswith("> 0.025")
    assert expressions["ServiceRequestLatency"].endswith("> 1.5")


def test_service_without_such_metrics_is_not_watched_by_them() -> None:
    silent = ORDERS.model_copy(update={"alerts": None})
    alerts = {rule["alert"] for rule in rules(silent) if "alert" in rule}
    assert alerts == {"ServiceNotScraped", "ServiceScalingLoadMissing", "ServiceOpenFiles", "Watchdog"}


def test_region_that_gets_no_writes_is_not_asked_for_counted_requests() -> None:
    text = rules_file([ORDERS], "orders", LOAD_METRIC, is_primary=False)
    assert "ServiceRequestsUncounted" not in text
    assert "ServiceRequestErrors" in text


def test_texts_need_no_escape_in_the_message() -> None:
    texts = [text for rule in rules(ORDERS) for text in rule.get("annotations", {}).values()]
    assert texts
    assert [text for text in texts if json.dumps(text) != f'"{text}"'] == []


@pytest.mark.parametrize("stack", STACKS)
def test_rules_wait_for_what_they_watch_and_for_who_is_told(stack: str) -> None:
    graph = platform(stack)
    for rules in graph.of("aws:amp/ruleGroupNamespace:RuleGroupNamespace"):
        if rules.inputs["name"] == NAMESPACE:
            region = rules.name.removeprefix("service-alerts-")
            manager = graph.named(rules.name, "aws:amp/alertManagerDefinition:AlertManagerDefinition")
            assert manager.name in rules.depends_on
            assert manager.inputs["workspaceId"] == rules.inputs["workspaceId"]
            assert {f"orders-{region}-chart", f"metrics-scraper-{region}"} <= rules.depends_on
