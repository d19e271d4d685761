"""Generates the table of alarms in `docs/operations.md` from the graph of the fixture stack `full`.

Run `python -m tests.unit.alarms` to update it after an intended change, and review its diff like code. The
part of the page that contains an alarm's runbook decides to which tier the alarm belongs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from tests import pages
from tests.unit.harness import Graph, platform, stack_values

PAGE = Path(__file__).parents[2] / "docs" / "operations.md"
STACK = "full"
EDGE = "edge"
METRIC_USD, COMPOSITE_USD = 0.10, 0.50
"""Monthly price of each metric that an alarm compares, and of a composite alarm (CloudWatch's prices)."""


class Alarm(NamedTuple):
    """What the table counts about one alarm."""

    place: str
    """Its region, or `edge`."""
    section: str
    """The section of its runbook."""
    severity: str
    """An empty string if another alarm notifies instead."""
    metrics: int
    """How many metrics it compares. It is 0 for a composite alarm."""


def alarms(graph: Graph) -> Iterator[Alarm]:
    """Every alarm, except the alarms that Route 53 reads."""
    topics = {
        topic.outputs["arn"]: (
            EDGE if topic.name.startswith("monitoring-") else "",
            topic.name.rsplit("-")[-1],
        )
        for topic in graph.of("aws:sns/topic:Topic")
    }
    for token in ("aws:cloudwatch/metricAlarm:MetricAlarm", "aws:cloudwatch/compositeAlarm:CompositeAlarm"):
        for alarm in graph.of(token):
            if alarm.parent != "monitoring":
                continue
            inputs = alarm.inputs
            place, severity = next((topics[arn] for arn in inputs.get("alarmActions", ())), ("", ""))
            yield Alarm(
                place or inputs["region"],
                inputs["alarmDescription"].rpartition("#")[2],
                severity,
                0 if "alarmRule" in inputs else _metrics(inputs),
            )


def parts(page: str) -> dict[str, list[str]]:
    """Heading of each tier's part of the page → its sections, in order."""
    found: dict[str, list[str]] = {}
    for level, heading in re.findall(
        r"^(##+) (.+)$", page.partition("\n# Procedures\n")[0], flags=re.MULTILINE
    ):
        if level == "##":
            found[heading] = []
        else:
            found[list(found)[-1]].append(heading)
    return found


def table(graph: Graph, page: str) -> str:
    """The number of alarms, the alarms of each tier, and how many alarms notify somebody in each region."""
    known = list(alarms(graph))
    places = [EDGE, *(region["name"] for region in stack_values(STACK)["trading:regions"])]
    head = ["tier", "alarms", *places]
    rows: list[list[str]] = []
    for heading, sections in parts(page).items():
        here = [alarm for alarm in known if alarm.section in sections]
        rung = {alarm.section for alarm in here}
        links = ", ".join(f"[{section}](#{section})" for section in sections if section in rung)
        rows.append([heading, links, *(_counted(here, place) for place in places)])
    rows.append(["all", "", *(_counted(known, place) for place in places)])
    composites = sum(not alarm.metrics for alarm in known)
    usd = METRIC_USD * sum(alarm.metrics for alarm in known) + COMPOSITE_USD * composites
    lines = [
        f"**Alarms by tier and region.** A stack in two regions with every option enabled "
        f"(`tests/stacks/{STACK}.yaml`) has {len(known)} alarms, of which {composites} are composite alarms. "
        f"They cost about USD {usd:.0f} a month.",
        "The table counts the alarms that notify somebody: critical + warnings. The others only feed these.",
    ]
    return "\n".join(lines) + "\n\n" + pages.table(head, rows)


def render(page: str, graph: Graph) -> str:
    """The page with its table updated.

    Raises:
        ValueError: the page doesn't have the part of the table.
    """
    return pages.filled(page, "alarms", f"\n{table(graph, page)}\n")


def main() -> None:
    """Updates the page."""
    PAGE.write_text(render(PAGE.read_text(), platform(STACK)))
    print(f"wrote {PAGE.relative_to(Path.cwd())}")


def _metrics(inputs: dict[str, Any]) -> int:
    return sum("metric" in query for query in inputs.get("metricQueries", ())) or 1


def _counted(found: list[Alarm], place: str) -> str:
    here = [alarm.severity for alarm in found if alarm.place == place]
    critical, warning = here.count("critical"), here.count("warning")
    return f"{critical} + {warning}" if critical or warning else ""


if __name__ == "__main__":
    main()
