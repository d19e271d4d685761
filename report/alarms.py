"""Alarms that disappear, no longer act, or no longer see what they watch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from policy.rule import SECRET, is_map, listed
from report.differences import UNKNOWN
from report.preview import Change

_ALARMS = frozenset(
    {"aws:cloudwatch/metricAlarm:MetricAlarm", "aws:cloudwatch/compositeAlarm:CompositeAlarm"}
)

_PATHS = frozenset(
    {
        "aws:amp/alertManagerDefinition:AlertManagerDefinition",
        "aws:amp/ruleGroupNamespace:RuleGroupNamespace",
        "aws:amp/scraper:Scraper",
        "aws:budgets/budget:Budget",
        "aws:chatbot/slackChannelConfiguration:SlackChannelConfiguration",
        "aws:cloudwatch/logMetricFilter:LogMetricFilter",
        "aws:costexplorer/anomalyMonitor:AnomalyMonitor",
        "aws:costexplorer/anomalySubscription:AnomalySubscription",
        "aws:rds/eventSubscription:EventSubscription",
        "aws:route53/healthCheck:HealthCheck",
        "aws:sns/topicSubscription:TopicSubscription",
        "aws:synthetics/canary:Canary",
        "kubernetes:monitoring.coreos.com/v1:PrometheusRule",
    }
)
"""What an alarm needs to see something, or to reach somebody."""

_ACTIONS = ("alarmActions", "okActions", "insufficientDataActions")


def silenced(change: Change) -> Iterator[str]:
    """How a change makes an alarm disappear, or the way on which it reaches somebody."""
    if change.operation == "delete" and change.type in _ALARMS | _PATHS:
        what = "deleted" if change.type in _ALARMS else "deleted: alarms that need it no longer work"
        yield what
    if not change.existed or not change.remains:
        return
    if change.type in _ALARMS:
        yield from _muted(change)
    elif change.type == "aws:amp/ruleGroupNamespace:RuleGroupNamespace":
        gone = _alerts(change.old.get("data")) - _alerts(change.new.get("data"))
        if gone and change.new.get("data") not in (UNKNOWN, SECRET):
            yield f"no longer has the alerts {', '.join(sorted(gone))}"


def _muted(change: Change) -> Iterator[str]:
    if change.old.get("actionsEnabled", True) and change.new.get("actionsEnabled", True) is False:
        yield "actionsEnabled is false: it no longer notifies anybody"
    for key in _ACTIONS:
        old, new = (listed(inputs.get(key)) for inputs in (change.old, change.new))
        if UNKNOWN not in new and len(new) < len(old):
            yield f"{key} has {len(new)} of {len(old)} targets: {_lost(old, new)}"
    before, after = (str(inputs.get("alarmRule") or "") for inputs in (change.old, change.new))
    if before and after != UNKNOWN and before.count("ALARM(") > after.count("ALARM("):
        yield f"alarmRule names {after.count('ALARM(')} of {before.count('ALARM(')} alarms"


def _lost(old: list[Any], new: list[Any]) -> str:
    return f"{', '.join(str(item) for item in old if item not in new)} is not notified any more"


def _alerts(data: object) -> set[str]:
    """The names of the alerts in rules for Prometheus."""
    try:
        document: Any = yaml.safe_load(data) if isinstance(data, str) else None
    except yaml.YAMLError:
        return set()
    groups = document.get("groups") if is_map(document) else None
    rules: list[Mapping[str, Any]] = [
        rule
        for group in listed(groups)
        if is_map(group)
        for rule in listed(group.get("rules"))
        if is_map(rule)
    ]
    return {str(rule["alert"]) for rule in rules if "alert" in rule}
