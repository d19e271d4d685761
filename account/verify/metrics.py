"""What CloudWatch sees: the alarms' metrics, the alarms themselves, and the logs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from account.question import Answer, Client, judged, pages, passed, some

Properties = Mapping[str, Any]
Dimensions = frozenset[tuple[str, str]]

NEEDS_DATA = ("breaching", "missing")
"""Treatments of missing data that need a metric: the alarm rings, or never leaves INSUFFICIENT_DATA."""
SHOWN = 8
"""Names that an answer lists."""
QUIET_LOGS = (
    "aws-waf-logs-",
    "slow-log",
    "iam-db-auth-error",
    "master-rotation",
    "/prometheus/",
    "API-Gateway-Execution-Logs",
)
"""Parts of the names of log groups that get events only when something happens: a refused request, a slow
command, a rejected sign-in, a rotation, an error of a rule, a scraper or the API."""


@dataclass(frozen=True)
class Metric:
    """A metric, as an alarm names it."""

    namespace: str
    name: str
    dimensions: Dimensions


def metrics(alarm: Properties) -> Iterator[Metric]:
    """The metrics that an alarm compares, from its properties in the state."""
    queries = [query["metric"] for query in alarm.get("metricQueries") or () if query.get("metric")]
    for item in queries or [alarm]:
        if item.get("metricName"):
            dimensions: Mapping[str, str] = item.get("dimensions") or {}
            yield Metric(item["namespace"], item["metricName"], frozenset(dimensions.items()))


def exist(cloudwatch: Client, alarms: Mapping[str, Properties]) -> Answer:
    """The metric of each alarm has had values within the last two weeks, under our dimensions. Metrics of
    failures have none before the first failure, and their alarms ignore missing data."""
    known: dict[tuple[str, str], set[Dimensions]] = {}
    lacking: list[str] = []
    never: list[str] = []
    count = 0
    for name, alarm in sorted(alarms.items()):
        wanted = set(metrics(alarm))
        count += len(wanted)
        for metric in wanted:
            key = (metric.namespace, metric.name)
            if key not in known:
                known[key] = set(_listed(cloudwatch, *key))
            if metric.dimensions not in known[key]:
                needed = alarm.get("treatMissingData") in NEEDS_DATA
                (lacking if needed else never).append(f"{name} ({metric.name})")
    text = f"{count - len(lacking) - len(never)} of {count} metrics exist"
    if never:
        text += f"; never seen, and their alarms ignore missing data: {some(never, SHOWN)}"
    if lacking:
        return Answer(
            "fail",
            f"alarms whose metrics don't exist, and that need them: {some(lacking, SHOWN)}",
            "compare with `aws cloudwatch list-metrics --metric-name NAME`, and correct the signal's "
            "dimensions; within a day of the first deployment, ask again later",
        )
    return passed(text)


def _listed(cloudwatch: Client, namespace: str, name: str) -> Iterator[Dimensions]:
    for item in pages(cloudwatch, "list_metrics", "Metrics", Namespace=namespace, MetricName=name):
        yield frozenset((dimension["Name"], dimension["Value"]) for dimension in item["Dimensions"])


def either(cloudwatch: Client, choices: Mapping[str, Metric]) -> Answer:
    """One of several metrics exists, where AWS's documentation doesn't say which.

    Args:
        cloudwatch: the client.
        choices: alarm → its metric. They differ only in their dimensions.
    """
    metric = next(iter(choices.values()))
    name, known = metric.name, set(_listed(cloudwatch, metric.namespace, metric.name))
    found = [alarm for alarm, choice in sorted(choices.items()) if choice.dimensions in known]
    if not found:
        return Answer(
            "fail",
            f"{name} has none of the dimensions of {', '.join(sorted(choices))}",
            f"correct the alarms by the output of `aws cloudwatch list-metrics --metric-name {name}`",
        )
    idle = sorted(set(choices) - set(found))
    advice = f"; remove {', '.join(idle)}, whose metric doesn't exist" if idle else ""
    return passed(f"{name} exists for {', '.join(found)}{advice}")


def below(cloudwatch: Client, groups: Sequence[Mapping[str, Properties]]) -> Answer:
    """The highest value of the last hour is below each alarm's threshold.

    Args:
        cloudwatch: the client.
        groups: the alarms that watch the same, whose metrics differ in their dimensions. One metric of each
            group must have values.
    """
    problems: list[str] = []
    seen: list[str] = []
    silent: list[str] = []
    now = datetime.now(UTC)
    for alarms in groups:
        count = len(seen)
        compared = [(name, metric) for name in sorted(alarms) for metric in metrics(alarms[name])]
        for name, metric in compared:
            points = cloudwatch.get_metric_statistics(
                Namespace=metric.namespace,
                MetricName=metric.name,
                Dimensions=[{"Name": key, "Value": value} for key, value in sorted(metric.dimensions)],
                StartTime=now - timedelta(hours=1),
                EndTime=now,
                Period=300,
                Statistics=["Maximum"],
            )["Datapoints"]
            if points:
                most = max(point["Maximum"] for point in points)
                seen.append(f"{name} {most:g}")
                if most > alarms[name]["threshold"]:
                    problems.append(f"{name} was {most:g}, above {alarms[name]['threshold']:g}")
        if len(seen) == count:
            silent.append(" or ".join(sorted(alarms)))
    if silent and not problems:
        return Answer(
            "unknown",
            f"no values in the last hour of {some(silent, SHOWN)}",
            "ask again in an hour. Without a write in that time, a table reports no latency",
        )
    return judged(problems, f"at most: {some(seen, SHOWN)}", "see the alarm's section in docs/operations.md")


def states(cloudwatch: Client, names: Sequence[str], prefix: str) -> Answer:
    """No alarm rings, and each has data.

    Args:
        cloudwatch: the client.
        names: the stack's alarms in the region.
        prefix: what the names of most begin with. Alarms are listed with it.
    """
    found = {
        item["AlarmName"]: item
        for item in pages(cloudwatch, "describe_alarms", "MetricAlarms", AlarmNamePrefix=prefix)
    }
    ours = {name: found[name] for name in names if name in found}
    absent = sorted(name for name in names if name.startswith(prefix) and name not in found)
    ringing = sorted(name for name, item in ours.items() if item["StateValue"] == "ALARM")
    mute = sorted(
        name
        for name, item in ours.items()
        if item["StateValue"] == "INSUFFICIENT_DATA" and item.get("TreatMissingData") != "ignore"
    )
    problems = [
        f"alarms that {what}: {some(items, SHOWN)}"
        for what, items in (("don't exist", absent), ("ring", ringing), ("have no data", mute))
        if items
    ]
    remedy = "see the alarms' sections in docs/operations.md; within a day of the first deployment, ask again"
    return judged(problems, f"{len(ours)} alarms are quiet and have data", remedy)


def logs(client: Client, groups: Sequence[str]) -> Answer:
    """Each log group has received events, except for those that get some only when something happens."""
    silent = [name for name in groups if not _has_events(client, name)]
    lacking = [name for name in silent if not any(part in name for part in QUIET_LOGS)]
    quiet = sorted(set(silent) - set(lacking))
    text = f"{len(groups) - len(silent)} of {len(groups)} log groups have events"
    if quiet:
        text += f"; none yet, as nothing has happened: {some(quiet, SHOWN)}"
    return judged(
        [f"log groups without events: {some(lacking, SHOWN)}"] if lacking else [],
        text,
        "see that the service may write to them (their key and resource policy); shortly after a deployment, "
        "ask again later",
    )


def _has_events(client: Client, name: str) -> bool:
    streams = client.describe_log_streams(
        logGroupName=name, orderBy="LastEventTime", descending=True, limit=1
    )["logStreams"]
    return any("lastEventTimestamp" in stream or "lastIngestionTime" in stream for stream in streams)
