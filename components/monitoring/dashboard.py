"""The dashboards: an overview of the states of all alarms, and dashboards with a graph of each alarm's
metric.

A preview prints the whole body of a dashboard if any part of it changes. If any part isn't known yet, it
shows the old body as deleted. Therefore, graphs of a microservice are on the service's own dashboard, and the
overview refers to alarms by values that are known before the alarms exist.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import pulumi
import pulumi_aws as aws

from components.common.signals import SEVERITIES, Signal
from settings.aws_limits import DASHBOARD_WIDGETS, WIDGET_METRICS

T = TypeVar("T")

Widget = dict[str, object]


@dataclass(frozen=True, kw_only=True)
class ShownAlarm:
    """An alarm and the place where it is shown."""

    place: str
    """`edge` or a region: the dashboard of signals that don't name another dashboard."""
    region: str
    signal: Signal
    alarm: aws.cloudwatch.MetricAlarm

    @property
    def dashboard(self) -> str:
        """The last part of the name of the dashboard with the alarm's graph."""
        return self.signal.dashboard or self.place


def overview(alarms: Sequence[ShownAlarm], account: pulumi.Input[str]) -> list[Widget]:
    """The states of all alarms, with a row for each severity of each dashboard that has their graphs."""
    widgets: list[Widget] = []
    for dashboard, here in _grouped(alarms, lambda shown: shown.dashboard).items():
        widgets.append(_heading(f"# {dashboard}"))
        for severity in SEVERITIES:
            arns = [_arn(shown, account) for shown in here if shown.signal.severity == severity]
            for batch in _batches(arns):
                height = 2 + len(batch) // 8  # about eight names fit in a row
                widgets.append(
                    _widget("alarm", 24, height, {"title": f"{dashboard}: {severity}", "alarms": [*batch]})
                )
    return _limited("the overview", widgets)


def graphs(alarms: Sequence[ShownAlarm]) -> dict[str, list[Widget]]:
    """Dashboard → graphs of its alarms' metrics, with a row for each AWS service in each region.

    The title of a graph is the runbook section of its signals. Widgets without coordinates flow from left to
    right over 24 columns, so a full-width widget starts a new row ("Dashboard Body Structure and Syntax").
    """
    return {
        dashboard: _limited(
            dashboard,
            [
                widget
                for place, of_place in _grouped(here, lambda shown: shown.place).items()
                for widget in _region_graphs(place, of_place)
            ],
        )
        for dashboard, here in _grouped(alarms, lambda shown: shown.dashboard).items()
    }


def _region_graphs(place: str, alarms: Sequence[ShownAlarm]) -> Iterator[Widget]:
    yield _heading(f"# {place}")
    for namespace, here in _grouped(alarms, lambda shown: shown.signal.namespace).items():
        yield _heading(f"## {namespace}")
        for anchor, family in _grouped(here, lambda shown: shown.signal.anchor).items():
            for batch in _batches([shown.signal for shown in family]):
                yield _widget("metric", 6, 5, _graph(anchor, family[0].region, batch))


def _arn(shown: ShownAlarm, account: pulumi.Input[str]) -> pulumi.Output[str]:
    """The alarm's ARN ("Actions, resources, and condition keys for Amazon CloudWatch").

    A preview knows the name of an alarm that doesn't exist yet, but not its output `arn`. The name is an
    output as well, so the dashboard is still created after the alarm.
    """
    return pulumi.Output.format("arn:aws:cloudwatch:{}:{}:alarm:{}", shown.region, account, shown.alarm.name)


def _graph(anchor: str, region: str, signals: Sequence[Signal]) -> dict[str, object]:
    """The signals' metrics as their alarms evaluate them, and the alarms' thresholds."""
    return {
        "title": anchor,
        "region": region,
        "view": "timeSeries",
        "yAxis": {"left": {"min": 0}},
        "metrics": [line for number, signal in enumerate(signals) for line in _lines(signal, number)],
        "annotations": {
            "horizontal": [
                {"label": comparison, "value": threshold, "fill": comparison}
                for comparison, threshold in dict.fromkeys((s.comparison, s.threshold) for s in signals)
            ]
        },
    }


def _lines(signal: Signal, number: int) -> Iterator[list[object]]:
    """A signal's metric, or its metric math together with hidden lines for the metrics that it uses.

    The signal's number is appended to their ids, because ids must be unique within a graph.
    """
    about = {"stat": signal.statistic, "period": signal.period_seconds}
    dimensions = [text for dimension in signal.dimensions.items() for text in dimension]
    if not signal.expression:
        yield [signal.namespace, signal.metric, *dimensions, {"label": signal.name, **about}]
        return
    operands = {"metric": (signal.metric, signal.statistic), **signal.others}
    names = re.compile(rf"\b({'|'.join(operands)})\b")
    yield [{"expression": names.sub(rf"\g<1>{number}", signal.expression), "label": signal.name}]
    for operand, (metric, statistic) in operands.items():
        hidden = {"id": f"{operand}{number}", "visible": False, **about, "stat": statistic}
        yield [signal.namespace, metric, *dimensions, hidden]


def _grouped(alarms: Sequence[ShownAlarm], key: Callable[[ShownAlarm], str]) -> dict[str, list[ShownAlarm]]:
    """The alarms grouped by key, in the order in which the keys first appear."""
    groups: dict[str, list[ShownAlarm]] = {}
    for shown in alarms:
        groups.setdefault(key(shown), []).append(shown)
    return groups


def _batches(items: Sequence[T]) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), WIDGET_METRICS):
        yield items[start : start + WIDGET_METRICS]


def _limited(dashboard: str, widgets: list[Widget]) -> list[Widget]:
    if len(widgets) > DASHBOARD_WIDGETS:
        raise ValueError(
            f"the dashboard {dashboard} has {len(widgets)} widgets; CloudWatch allows {DASHBOARD_WIDGETS}. "
            "Set another `dashboard` for some of its signals"
        )
    return widgets


def _heading(markdown: str) -> Widget:
    return _widget("text", 24, 1, {"markdown": markdown})


def _widget(kind: str, width: int, height: int, properties: Mapping[str, object]) -> Widget:
    return {"type": kind, "width": width, "height": height, "properties": properties}
