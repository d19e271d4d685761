"""The report as Markdown, for the comment on a pull request and for the terminal.

Names and values come from the pull request, so nothing in them may act as Markdown or HTML, or mention anybody.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from report import gate
from report.causes import Explained, Group, grouped
from report.model import Estimate, Report
from report.preview import OPERATIONS, Finding, name_of, type_of
from report.structure import Entry, Line, entries

LIMIT = 65_000
"""Characters. GitHub refuses comments of more than 65,536; the rest is for the workflow's own lines."""

SIGNS = {"create": "+", "update": "~", "replace": "±", "delete": "−", "import": "↓", "discard": "×"}
PAST = {
    "create": "created",
    "update": "updated",
    "replace": "replaced",
    "delete": "deleted",
    "import": "imported",
    "discard": "discarded",
}

_NAMES = 12
"""Names that are listed of resources to which the same happens."""


@dataclass(frozen=True)
class _Piece:
    """A part of the report."""

    text: str
    short: str
    """The part without its details."""
    importance: int
    """Parts with a lower number lose their details first."""
    what: str
    """What is lost, for the note about it."""


def render(report: Report, limit: int = LIMIT) -> str:
    """The report as Markdown of at most `limit` characters."""
    if not report.preview.changes and not report.reasons and not report.findings:
        return f"**{escaped(report.preview.stack)}**: this change touches no resources.\n"
    pieces = list(_pieces(report))
    text = _joined(pieces, [])
    dropped: list[_Piece] = []
    for piece in sorted(pieces, key=lambda piece: piece.importance):
        if len(text) <= limit:
            return text
        if piece.short != piece.text:
            dropped.append(piece)
            pieces[pieces.index(piece)] = _Piece(piece.short, piece.short, piece.importance, piece.what)
            text = _joined(pieces, dropped)
    return text if len(text) <= limit else _cut(text, limit)


def failed(reason: str) -> str:
    """The report for a preview that can't be read."""
    return f"## Preview: blocked\n\nThere is nothing to judge:\n\n{fenced(reason[:20_000])}\n"


def _joined(pieces: Sequence[_Piece], dropped: Sequence[_Piece]) -> str:
    text = "\n\n".join(piece.text for piece in pieces if piece.text)
    if dropped:
        lost = ", ".join(dict.fromkeys(piece.what for piece in dropped))
        text += f"\n\n**Shortened:** {lost}. `report.html` and `report.json` have everything."
    return f"{text}\n"


def _cut(text: str, limit: int) -> str:
    note = "\n\n**Cut here.** `report.html` and `report.json` have everything.\n"
    return text[: text.rindex("\n", 0, limit - len(note))] + note


def _pieces(report: Report) -> Iterator[_Piece]:
    yield _whole(_headline(report))
    yield _whole(_dangers(report))
    for number, tier in enumerate(report.tiers):
        yield _whole(f"### {tier}\n\n{_counts(report.in_tier(tier))}")
        yield from _tier(report.in_tier(tier), 10 - number)
    yield _whole(_findings(report.findings))


def _whole(text: str) -> _Piece:
    return _Piece(text, text, 1000, "")


def _headline(report: Report) -> str:
    lines = [f"## {escaped(report.preview.stack)}: {_summary(report)}"]
    if report.reasons:
        lines += ["", f"**{gate.BLOCKED.capitalize()}** until each of these is fixed or allowed:", ""]
        lines += [f"- {escaped(reason)}" for reason in report.reasons]
    else:
        lines += ["", "**Pass**"]
    lines += ["", _cost(report.before, report.after)]
    return "\n".join(lines)


def _summary(report: Report) -> str:
    counts = report.preview.counts
    texts = [f"{counts[key]} {PAST[key]}" for key in OPERATIONS if key in counts]
    return f"{', '.join(texts) or 'nothing changes'}, {report.preview.unchanged} unchanged"


def _counts(items: Sequence[Explained]) -> str:
    found = [item.change.operation for item in items]
    return ", ".join(f"{found.count(key)} {PAST[key]}" for key in OPERATIONS if key in found)


def _cost(before: Estimate | None, after: Estimate | None) -> str:
    if not before or not after:
        return "Fixed monthly cost: not estimated."
    delta = after.total - before.total
    text = f"Fixed monthly cost: {before.total:,.0f} → {after.total:,.0f} USD ({delta:+,.0f})"
    unpriced = sorted({*before.unpriced, *after.unpriced})
    return text + (f", without {len(unpriced)} that have no known price" if unpriced else "") + "."


def _dangers(report: Report) -> str:
    if not report.dangers:
        return ""
    lines = ["### Dangers"]
    for kind, group in groupby(
        sorted(report.dangers, key=lambda danger: danger.kind), lambda item: item.kind
    ):
        dangers = list(group)
        label = dangers[0].label
        state = "allowed by the label" if label in report.labels else "to allow, add the label"
        lines += ["", f"**{kind[:1].upper()}{kind[1:]}** ({state} {code(label)})", ""]
        lines += [f"- {code(name_of(danger.urn))} {escaped(danger.text)}" for danger in dangers]
    return "\n".join(lines)


def _tier(items: Sequence[Explained], rank: int) -> Iterator[_Piece]:
    for group in grouped(item for item in items if item.kind == "own"):
        operation = group.change.operation
        importance = 100 * (len(OPERATIONS) - OPERATIONS.index(operation)) + rank
        what = f"the properties of what is {PAST[operation]}"
        yield _Piece(_group(group), _heading(group), importance, what)
    yield from _folded(items, rank)


def _heading(group: Group) -> str:
    change, count = group.change, len(group.members)
    sign, type_token = SIGNS[change.operation], code(change.type)
    names = [code(member.change.name) for member in group.members]
    if count == 1:
        return f"- **{sign}** {names[0]} {type_token} {PAST[change.operation]}"
    more = f" and {count - _NAMES} more" if count > _NAMES else ""
    return f"- **{sign}** {count} × {type_token} {PAST[change.operation]}: {', '.join(names[:_NAMES])}{more}"


def _group(group: Group) -> str:
    change = group.change
    if change.operation in ("create", "delete", "import", "discard"):
        return _heading(group)
    lines = [_heading(group)]
    for entry in entries(change, group.members[0].own):
        lines += [f"  {line}" if line else "" for line in _entry(entry)]
    return "\n".join(lines)


def _entry(entry: Entry) -> Iterator[str]:
    forces = " **forces the replacement**" if entry.replaces else ""
    if isinstance(entry, Line):
        old, new = (code(text) if text else "nothing" for text in (entry.old, entry.new))
        yield f"- {code(entry.path)}: {old} → {new}{forces}"
        return
    yield f"- {code(entry.path)}:{forces}"
    yield ""
    yield from (f"  {line}" for line in fenced("\n".join(entry.lines), "diff").splitlines())


def _folded(items: Sequence[Explained], rank: int) -> Iterator[_Piece]:
    """What is counted, not listed."""
    by_cause: dict[str, list[Explained]] = {}
    for item in items:
        if item.kind == "follows":
            by_cause.setdefault(item.cause, []).append(item)
    lines = [
        f"- {_counts(members)} because {code(name_of(cause))} {code(type_of(cause))} changes"
        for cause, members in by_cause.items()
    ]
    for kind, text in (("tags", "of which only tags change"), ("digests", "of which only digests change")):
        count = sum(item.kind == kind for item in items)
        lines += [f"- {count} {text}"] if count else []
    if lines:
        text = "\n".join(lines)
        yield _Piece(text, text, rank, "")


def _findings(findings: Sequence[Finding]) -> str:
    if not findings:
        return ""
    lines = ["### Findings", ""]
    for finding in findings:
        where = f"{code(name_of(finding.urn))}: " if finding.urn.count("::") >= 3 else ""
        lines.append(f"- {finding.severity}, {finding.source}: {where}{escaped(finding.text)}")
    return "\n".join(lines)


def code(text: str) -> str:
    """A text of one line as code. Nothing in code acts as Markdown, and GitHub makes no mentions or links."""
    line = " ".join(visible(text).split()) or " "
    fence = "`" * (_longest_run(line) + 1)
    space = " " if line.startswith("`") or line.endswith("`") else ""
    return f"{fence}{space}{line}{space}{fence}"


def fenced(text: str, language: str = "") -> str:
    """A text of several lines as a block of code."""
    fence = "`" * max(3, _longest_run(text) + 1)
    return f"{fence}{language}\n{visible(text)}\n{fence}"


def escaped(text: str) -> str:
    """A text in which nothing acts as Markdown or HTML, links or mentions anybody."""
    line = html.escape(" ".join(visible(text).split()), quote=False)
    line = re.sub(r"([\\`*_{}\[\]()+\-!|~])", r"\\\1", line)
    # An invisible character: GitHub looks for mentions and addresses in the text that is shown.
    return re.sub(r"(@|#|://|\bwww\.|\bGH-)", "\\1\u200b", line, flags=re.IGNORECASE)


def visible(text: str) -> str:
    """The text with control characters, and those that change the direction of a text, as their codes."""
    return re.sub(
        r"[\x00-\x08\x0b-\x1f\x7f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]",
        lambda found: f"\\u{ord(found[0]):04x}",
        text,
    )


def _longest_run(text: str) -> int:
    return max((len(run) for run in re.findall("`+", text)), default=0)
