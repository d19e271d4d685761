"""The architecture as SVG: its tiers, and what changes in each."""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from report.tiers import SHARED, TIERS
from report.wording import SIGNS

Counts = Mapping[str, Mapping[str, int]]
"""Tier → operation → number of resources."""


@dataclass(frozen=True)
class _Box:
    tier: int
    """Index in `TIERS`."""
    x: int
    y: int
    width: int
    height: int
    lines: Sequence[str]


_CLOUDFRONT, _ROUTE_53, _ALB, _API, _NLB, _EKS, _MSK, _AURORA, _MONITORING, _SHARED = range(10)

_TITLES = {
    _API: ("API Gateway", "+ Lambda"),
    _EKS: ("EKS + ElastiCache", "+ DynamoDB"),
    _AURORA: ("Aurora", "PostgreSQL"),
}
"""Titles that need two lines in a narrow box."""


def drawing(counts: Counts, dangerous: frozenset[str]) -> str:
    """Two drawings: one for wide windows and one for narrow ones. The page's style shows one of them.

    Args:
        counts: what changes.
        dangerous: the titles of tiers with dangers that no label allows.
    """
    return "\n".join(
        _svg(name, size, boxes, edges, counts, dangerous)
        for name, size, boxes, edges in (("wide", *_wide()), ("narrow", *_narrow()))
    )


_Layout = tuple[tuple[int, int], Sequence[_Box], Sequence[Sequence[tuple[int, int]]]]


def _titles(tier: int) -> Sequence[str]:
    return _TITLES.get(tier, (TIERS[tier],))


def _wide() -> _Layout:
    width, height, step, middle = 150, 74, 174, 84
    row = [
        _Box(tier, number * step, middle, width, height, _titles(tier))
        for number, tier in enumerate((_CLOUDFRONT, _ALB, _API, _NLB, _EKS))
    ]
    right = 5 * step
    others = [
        _Box(_ROUTE_53, 0, 0, width, 62, _titles(_ROUTE_53)),
        _Box(_MSK, right, 40, width, 74, _titles(_MSK)),
        _Box(_AURORA, right, 128, width, 74, _titles(_AURORA)),
        _Box(_MONITORING, 0, 222, right + width, 50, _titles(_MONITORING)),
        _Box(_SHARED, 0, 286, right + width, 50, _titles(_SHARED)),
    ]
    center = middle + height // 2
    flow = [[(n * step + width, center), ((n + 1) * step, center)] for n in range(4)]
    end = 4 * step + width
    flow += [[(end, center - 10), (right, 77)], [(end, center + 10), (right, 165)]]
    flow.append([(width // 2, 62), (width // 2, middle)])
    return (right + width, 336), [*row, *others], flow


def _narrow() -> _Layout:
    width, height, step = 340, 50, 64
    column = [
        _Box(tier, 0, number * step, width, height, (" ".join(_titles(tier)),))
        for number, tier in enumerate((_ROUTE_53, _CLOUDFRONT, _ALB, _API, _NLB, _EKS))
    ]
    last, half = 6 * step, (width - 14) // 2
    others = [
        _Box(_MSK, 0, last, half, 66, _titles(_MSK)),
        _Box(_AURORA, width - half, last, half, 66, _titles(_AURORA)),
        _Box(_MONITORING, 0, last + 80, width, height, _titles(_MONITORING)),
        _Box(_SHARED, 0, last + 144, width, height, _titles(_SHARED)),
    ]
    flow = [[(width // 2, n * step + height), (width // 2, (n + 1) * step)] for n in range(5)]
    bottom = 5 * step + height
    flow += [
        [(half // 2, bottom), (half // 2, last)],
        [(width - half // 2, bottom), (width - half // 2, last)],
    ]
    return (width, last + 144 + height), [*column, *others], flow


def _svg(
    name: str,
    size: tuple[int, int],
    boxes: Sequence[_Box],
    edges: Sequence[Sequence[tuple[int, int]]],
    counts: Counts,
    dangerous: frozenset[str],
) -> str:
    width, height = size
    lines = [
        f'<svg class="{name}" viewBox="-2 -2 {width + 4} {height + 4}" role="img" '
        f'aria-label="The tiers of the architecture, with those that change">',
        f'<defs><marker id="arrow-{name}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
        'markerHeight="7" orient="auto"><path d="M0 0L8 4L0 8z"/></marker></defs>',
    ]
    for points in edges:
        path = "L".join(f"{x} {y}" for x, y in points)
        lines.append(f'<path class="edge" d="M{path}" marker-end="url(#arrow-{name})"/>')
    for box in boxes:
        lines += _box(box, counts.get(TIERS[box.tier], {}), TIERS[box.tier] in dangerous)
    return "\n".join([*lines, "</svg>"])


def _box(box: _Box, counts: Mapping[str, int], danger: bool) -> Iterator[str]:
    state = "danger" if danger else "changed" if counts else "same"
    rectangle = f'<rect x="{box.x}" y="{box.y}" width="{box.width}" height="{box.height}" rx="6"/>'
    flat = box.height <= 50
    yield f'<g class="tier {state}">'
    if counts:
        yield f'<a href="#{anchor(TIERS[box.tier])}">'
    yield rectangle
    if flat:
        middle = box.y + box.height // 2 + 5
        yield _text(box.x + 12, middle, "start", "title", box.lines[0])
        yield _text(box.x + box.width - 12, middle, "end", "count", _count(counts, danger))
    else:
        center = box.x + box.width // 2
        top = box.y + (box.height - 18 * (len(box.lines) + bool(counts))) // 2 + 14
        for number, line in enumerate(box.lines):
            yield _text(center, top + 18 * number, "middle", "title", line)
        if counts:
            yield _text(center, top + 18 * len(box.lines), "middle", "count", _count(counts, danger))
    if counts:
        yield "</a>"
    yield "</g>"


def _count(counts: Mapping[str, int], danger: bool) -> str:
    text = " ".join(f"{SIGNS[operation]}{count}" for operation, count in counts.items())
    return f"{'⚠ ' if danger else ''}{text}"


def _text(x: int, y: int, where: str, style: str, text: str) -> str:
    return f'<text x="{x}" y="{y}" text-anchor="{where}" class="{style}">{html.escape(text)}</text>'


def anchor(tier: str) -> str:
    """The ID of a tier's section."""
    return f"tier-{TIERS.index(tier) + 1}" if tier != SHARED else "shared"
