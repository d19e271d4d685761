"""Draws a deployment as a Gantt chart: a lane for each tier, with the critical path highlighted."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal
from xml.sax.saxutils import escape

from report.schedule import Makespan, Step
from report.tiers import TIERS

_WIDTH = 1200
_LABELS = 230
"""Width of the tiers' names."""
_MARGIN = 24
_TOP = 88
_ROW = 22
_BAR = 16
_CHARACTER = 6.4
"""Width of a character, at most on average, of the labels' font."""

# The chart has a background of its own, so it stays readable where the page's theme isn't the system's.
_STYLE = """
svg { --back: #ffffff; --text: #1f2328; --faint: #59636e; --line: #d1d9e0; --lane: #f6f8fa;
      --bar: #0969da; --path: #d1242f; font: 12px system-ui, sans-serif }
@media (prefers-color-scheme: dark) {
  svg { --back: #0d1117; --text: #f0f6fc; --faint: #9198a1; --line: #3d444d; --lane: #151b23;
        --bar: #1f6feb; --path: #da3633 }
}
text { fill: var(--text) } .faint { fill: var(--faint) } .title { font-size: 16px; font-weight: 600 }
.back { fill: var(--back) } .lane { fill: var(--lane) } .grid { stroke: var(--line) }
.bar { fill: var(--bar) } .path { fill: var(--path) } .link { stroke: var(--path); stroke-width: 2 }
.on-path { font-weight: 600 } .inside { fill: #ffffff }
"""


@dataclass(frozen=True, kw_only=True)
class _Bar:
    """Operations of one tier on resources of one type, at the same time."""

    steps: Sequence[Step]
    on_path: bool

    @property
    def label(self) -> str:
        """Service and type, and how many there are: for example `msk Cluster`."""
        package, _, name = self.steps[0].resource.type.rpartition(":")
        module = package.partition(":")[2].partition("/")[0]
        count = f" ×{len(self.steps)}" if len(self.steps) > 1 else ""  # noqa: RUF001
        return f"{module} {name}{count}".removeprefix("index ")


def draw(makespan: Makespan, title: str, at_least: int = 30) -> str:
    """The chart as SVG.

    Args:
        makespan: the deployment.
        title: its heading, without the duration.
        at_least: shorter operations, in seconds, are left out unless they are on the critical path.
    """
    scale = (_WIDTH - _LABELS - 2 * _MARGIN) / max(makespan.seconds, 1)
    lanes: list[str] = []
    bars: list[str] = []
    places: dict[str, tuple[float, float, float]] = {}
    top = _TOP
    for number, tier in enumerate(TIERS):
        rows = _rows(list(_bars(makespan, tier, at_least)), scale)
        height = max(len(rows), 1) * _ROW + 8
        if number % 2 == 0:
            lanes.append(f'<rect class="lane" x="0" y="{top}" width="{_WIDTH}" height="{height}"/>')
        bars.append(f'<text x="{_MARGIN}" y="{top + height / 2 + 4:g}">{escape(tier)}</text>')
        for y, bar in ((top + 4 + row * _ROW, bar) for row, found in enumerate(rows) for bar in found):
            bars += _drawn(bar, y, scale)
            for step in bar.steps:
                places[step.resource.urn] = _x(step.start, scale), _x(step.end, scale), y + _BAR / 2
        top += height
    links = _links([places[step.resource.urn] for step in makespan.path if step.resource.urn in places])
    text = f"{title}: {makespan.seconds / 60:.0f} minutes"
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {top + 16}" role="img" '
            'aria-labelledby="title">',
            f'<title id="title">{escape(text)}</title>',
            f"<style>{_STYLE}</style>",
            f'<rect class="back" width="{_WIDTH}" height="{top + 16}"/>',
            f'<text class="title" x="{_MARGIN}" y="34">{escape(text)}</text>',
            f'<text class="faint" x="{_MARGIN}" y="54">Operations of at least {at_least} seconds by tier, '
            "with the critical path in red. Minutes since the start:</text>",
            *lanes,
            *_grid(makespan.seconds, scale, top),
            *links,
            *bars,
            "</svg>\n",
        ]
    )


def _x(seconds: int, scale: float) -> float:
    return _LABELS + _MARGIN + seconds * scale


def _grid(seconds: int, scale: float, bottom: int) -> Iterator[str]:
    """A line every five minutes."""
    for minutes in range(0, seconds // 60 + 1, 5):
        x = _x(minutes * 60, scale)
        yield f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" y2="{bottom}"/>'
        yield f'<text class="faint" text-anchor="middle" x="{x:.1f}" y="{_TOP - 8}">{minutes}</text>'


def _bars(makespan: Makespan, tier: str, at_least: int) -> Iterator[_Bar]:
    """A tier's bars, by start."""
    path = {step.resource.urn for step in makespan.path}
    shown = [step for step in makespan.steps if step.tier == tier and step.end - step.start >= at_least]

    def key(step: Step) -> tuple[int, int, str]:
        return step.start, step.end, step.resource.type

    for _, steps in itertools.groupby(sorted(shown, key=key), key=key):
        found = list(steps)
        yield _Bar(steps=found, on_path=any(step.resource.urn in path for step in found))


def _rows(bars: Sequence[_Bar], scale: float) -> list[list[_Bar]]:
    """The bars in as few rows as needed, so that neither bars nor labels overlap."""
    rows: list[list[_Bar]] = []
    ends: list[float] = []
    for bar in bars:
        start, end, _ = _place(bar, scale)
        row = next((row for row, used in enumerate(ends) if used <= start), len(rows))
        if row == len(rows):
            rows.append([])
            ends.append(0)
        rows[row].append(bar)
        ends[row] = end + 8
    return rows


def _place(bar: _Bar, scale: float) -> tuple[float, float, Literal["inside", "after", "before"]]:
    """The left and right end of a bar with its label, and where the label is."""
    start, end = _x(bar.steps[0].start, scale), _x(bar.steps[0].end, scale)
    width = len(bar.label) * _CHARACTER + 10
    if width <= end - start:
        return start, end, "inside"
    if end + width <= _WIDTH:
        return start, end + width, "after"
    return start - width, end, "before"


def _drawn(bar: _Bar, y: float, scale: float) -> Iterator[str]:
    first = bar.steps[0]
    start, end = _x(first.start, scale), _x(first.end, scale)
    names = ", ".join(step.resource.name for step in bar.steps)
    yield (
        f'<rect class="{"path" if bar.on_path else "bar"}" x="{start:.1f}" y="{y}" width="{end - start:.1f}" '
        f'height="{_BAR}" rx="3"><title>{escape(names)}: {first.end - first.start} s</title></rect>'
    )
    where = _place(bar, scale)[2]
    x = {"inside": start + 5, "after": end + 5, "before": start - 5}[where]
    anchor = "end" if where == "before" else "start"
    kind = f"{where} on-path" if bar.on_path else where
    yield (f'<text class="{kind}" text-anchor="{anchor}" x="{x:.1f}" y="{y + 12}">{escape(bar.label)}</text>')


def _links(places: Sequence[tuple[float, float, float]]) -> Iterator[str]:
    """Lines between the bars of the critical path."""
    for (_, end, y), (start, _, other) in itertools.pairwise(places):
        yield f'<line class="link" x1="{end:.1f}" y1="{y:g}" x2="{start:.1f}" y2="{other:g}"/>'
