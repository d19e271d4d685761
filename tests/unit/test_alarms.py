"""`docs/operations.md` lists the current alarms for each tier and region."""

from __future__ import annotations

from tests.unit.alarms import EDGE, PAGE, STACK, alarms, parts, render
from tests.unit.harness import platform, stack_values


def test_table_is_not_stale() -> None:
    page = PAGE.read_text()
    assert render(page, platform(STACK)) == page, (
        "the alarms have changed; if that is intended: make golden, and review the diff of docs/operations.md"
    )


def test_every_alarm_is_in_the_row_of_one_tier() -> None:
    rows = [section for sections in parts(PAGE.read_text()).values() for section in sections]
    assert len(set(rows)) == len(rows)
    assert {alarm.section for alarm in alarms(platform(STACK))} <= set(rows)


def test_every_alarm_notifies_or_is_watched_by_one_that_does() -> None:
    graph = platform(STACK)
    watched = {
        name
        for composite in graph.of("aws:cloudwatch/compositeAlarm:CompositeAlarm")
        for name in composite.inputs["alarmRule"].split('"')[1::2]
    }
    for alarm in graph.of("aws:cloudwatch/metricAlarm:MetricAlarm"):
        if alarm.parent == "monitoring" and not alarm.name.endswith("-deployment-runs"):
            assert alarm.inputs.get("alarmActions") or alarm.inputs["name"] in watched, alarm.name


def test_edge_and_every_region_have_alarms_of_both_severities() -> None:
    regions = [region["name"] for region in stack_values(STACK)["trading:regions"]]
    found = {(alarm.place, alarm.severity) for alarm in alarms(platform(STACK))}
    assert found >= {(place, severity) for place in (EDGE, *regions) for severity in ("critical", "warning")}
