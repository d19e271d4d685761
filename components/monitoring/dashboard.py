"""The dashboard: all alarms' states, and a graph of what each of them sees."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeVar

import pulumi_aws as aws

from components.tier import SEVERITIES, Signal

T = TypeVar("T")

WIDGET_LIMIT = 100
"""Alarms or metrics that one widget shows ("Dashboard Body Structure and Syntax")."""


def region_widgets(
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
        "metrics": [line for number, signal in enumerate(signals) for line in _lines(signal, number)],
        "annotations": {
            "horizontal": [
                {"label": comparison, "value": threshold, "fill": comparison}
                for comparison, threshold in dict.fromkeys((s.comparison, s.threshold) for s in signals)
            ]
        },
    }


def _lines(signal: Signal, number: int) -> Iterator[list[object]]:
    """A signal's metric; or its metric math, and hidden the metrics that it names.

    Their ids get the signal's number, for an id stands once in a graph.
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


def _batches(items: Sequence[T]) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), WIDGET_LIMIT):
        yield items[start : start + WIDGET_LIMIT]


def _heading(markdown: str) -> dict[str, object]:
    return _widget("text", 24, 1, {"markdown": markdown})


def _widget(kind: str, width: int, height: int, properties: Mapping[str, object]) -> dict[str, object]:
    return {"type": kind, "width": width, "height": height, "properties": properties}
