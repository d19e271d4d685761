"""The report as Markdown, for the comment on a pull request and for the terminal.

Names and values come from the pull request, so nothing in them may act as Markdown or HTML, or mention
anybody.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from report import gate, wording
from report.causes import Explained, Group, grouped
from report.dangers import KINDS, Danger
from report.model import Report
from report.preview import OPERATIONS, Finding, name_of
from report.structure import Entry, Line, entries
from report.wording import PAST, short_type

LIMIT = 65_000
"""Characters. GitHub refuses comments of more than 65,536; the rest is for the workflow's own lines."""

_NAMES = 8
"""Names that are listed of several resources to which the same happens."""

_LINES = 12
"""Lines of a difference that are shown without a click."""

_MOST = 400
"""Lines of one difference. The page has all."""

_ELSEWHERE = "`report.html` and `report.json` have everything."


@dataclass
class _Piece:
    """A part of the report."""

    text: str
    short: str
    """The part without its details."""
    importance: int
    """Parts with a lower number lose their details first."""
    what: str = ""
    """What is lost, for the note about it."""


def render(report: Report, limit: int = LIMIT) -> str:
    """The report as Markdown of at most `limit` characters."""
    if wording.is_nothing(report):
        return f"{escaped(wording.nothing(report))}\n"
    pieces = [piece for piece in _pieces(report) if piece.text]
    room = limit - sum(len(piece.text) + 2 for piece in pieces)
    dropped: dict[str, int] = {}
    for piece in sorted(pieces, key=lambda piece: piece.importance):
        if room >= (_NOTE if dropped else 0):
            break
        if saved := len(piece.text) - len(piece.short):
            piece.text, room = piece.short, room + saved
            dropped[piece.what] = dropped.get(piece.what, 0) + 1
    text = "\n\n".join(piece.text for piece in pieces if piece.text)
    if dropped:
        lost = ", ".join(f"{what} ({count} times)" for what, count in dropped.items())
        text += f"\n\n**Shortened**, because comments are limited: without {lost}. {_ELSEWHERE}"
    return f"{text}\n" if len(text) < limit else _cut(text, limit)


_NOTE = 500
"""Characters that the note about what is left out needs."""


def failed(reason: str) -> str:
    """The report for a preview that can't be read."""
    return f"## Preview: blocked\n\nThere is no preview that could be judged:\n\n{fenced(reason[:20_000])}\n"


def _cut(text: str, limit: int) -> str:
    note = f"\n\n**Cut here**, because comments are limited. {_ELSEWHERE}\n"
    kept = text[: text.rindex("\n", 0, limit - len(note) - 200)]
    # The cut can be within a block of code or a part that opens with a click.
    fences = re.findall(r"^ *(`{3,})", kept, re.MULTILINE)
    closing = f"\n{fences[-1]}" if len(fences) % 2 else ""
    closing += "\n\n</details>" * (kept.count("<details>") - kept.count("</details>"))
    return kept + closing + note


def _pieces(report: Report) -> Iterator[_Piece]:
    yield _whole(_headline(report))
    yield from _dangers(report)
    for number, tier in enumerate(report.tiers):
        items = report.in_tier(tier)
        yield _whole(f"### {tier}: {wording.counts(items)}")
        yield from _tier(items, len(report.tiers) - number)
    yield from _findings(report.findings)


def _whole(text: str) -> _Piece:
    return _Piece(text, text, 10_000)


def _headline(report: Report) -> str:
    lines = [f"## {code(report.preview.stack)}: {wording.summary(report)}", ""]
    if report.reasons:
        lines += [
            f"**{gate.BLOCKED.capitalize()}** until each of these is fixed, or allowed by its label:",
            "",
        ]
        lines += [f"- {_reason(reason)}" for reason in report.reasons]
    else:
        lines.append("**Pass**: nothing dangerous changes without a label that allows it.")
    return "\n".join([*lines, "", *(escaped(line) for line in wording.cost(report.before, report.after))])


def _reason(reason: gate.Reason) -> str:
    return f"{escaped(reason.text)}{f' → label {code(reason.label)}' if reason.label else ''}"


def _dangers(report: Report) -> Iterator[_Piece]:
    if report.dangers:
        yield _whole("### Dangers")
    for kind, group in groupby(report.dangers, lambda danger: danger.kind):
        dangers = list(group)
        label = dangers[0].label
        allowed = gate.is_allowed(label, report.labels)
        state = "Allowed by the label" if allowed else "To allow it, add the label"
        title = f"**{kind[:1].upper()}{kind[1:]}** ({len(dangers)})"
        head = f"{title}: {escaped(KINDS[kind])} {state} {code(label)}."
        lines = [_danger(what, items) for what, items in wording.by_text(dangers)]
        text = "\n".join([head, "", *lines])
        yield _Piece(text, "\n".join([head, "", *lines[:20]]), 5_000, "dangers of the same kind")


def _danger(what: str, dangers: Sequence[Danger]) -> str:
    names = _names([name_of(danger.urn) for danger in dangers])
    return f"- {escaped(what)}: {names}" if len(dangers) > 1 else f"- {names}: {escaped(what)}"


def _names(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMES} more" if len(names) > _NAMES else ""
    return ", ".join(code(name) for name in names[:_NAMES]) + more


def _tier(items: Sequence[Explained], rank: int) -> Iterator[_Piece]:
    own = [item for item in items if item.kind == "own"]
    for operation, members in groupby(own, lambda item: item.change.operation):
        importance = 100 * (len(OPERATIONS) - OPERATIONS.index(operation)) + rank
        what = f"the properties of what is {PAST[operation]}"
        for group in grouped(members):
            yield _Piece(_group(group), _heading(group), importance, what)
    if folded := wording.folded(items):
        text = "\n".join(
            f"- {escaped(line)}{f': {_names(names)}' if names else ''}" for line, names in folded
        )
        short = "\n".join(f"- {escaped(line)}" for line, _ in folded)
        yield _Piece(text, short, rank, "the names of what is only counted")


def _heading(group: Group) -> str:
    change, count = group.change, len(group.members)
    names = _names([member.change.name for member in group.members])
    many = f"{count} × " if count > 1 else ""  # noqa: RUF001 (the sign for times)
    return f"- **{many}{PAST[change.operation]}** {escaped(short_type(change.type))} {names}"


def _group(group: Group) -> str:
    lines = [_heading(group)]
    if group.change.operation in ("update", "replace"):
        shown = entries(group.change, group.members[0].own)
        if not shown and not group.members[0].change.differences:
            lines += ["  - no property differs in the preview"]
        for entry in shown:
            lines += [f"  {line}" if line else "" for line in _entry(entry)]
        lines += [f"  - {escaped(line)}" for line in wording.beside(group)]
    elif len(group.members) == 1 and (text := wording.properties(group.change)):
        lines += [f"  {line}" if line else "" for line in _folding("properties", text, "yaml")]
    return "\n".join(lines)


def _entry(entry: Entry) -> Iterator[str]:
    forces = " **forces the replacement**" if entry.replaces else ""
    if isinstance(entry, Line):
        old, new = (code(text) if text else "nothing" for text in (entry.old, entry.new))
        yield f"- {code(entry.path)}: {old} → {new}{forces}"
        return
    lines = list(entry.lines)
    if len(lines) > _MOST:
        lines = [*lines[:_MOST], f"@ {len(lines) - _MOST} more lines are in report.html"]
    yield f"- {code(entry.path)}:{forces}"
    if len(lines) > _LINES:
        yield from (
            f"  {line}" if line else "" for line in _folding(_changed(lines), "\n".join(lines), "diff")
        )
        return
    yield ""
    yield from (f"  {line}" if line else "" for line in fenced("\n".join(lines), "diff").splitlines())


def _changed(lines: Sequence[str]) -> str:
    added, removed = (sum(line.startswith(sign) for line in lines) for sign in "+-")
    return f"{removed} lines removed, {added} added"


def _folding(title: str, text: str, language: str) -> Iterator[str]:
    """A block of code that opens with a click."""
    yield ""
    yield f"<details><summary>{html.escape(title)}</summary>"
    yield ""
    yield from fenced(text, language).splitlines()
    yield ""
    yield "</details>"


def _findings(findings: Sequence[Finding]) -> Iterator[_Piece]:
    if findings:
        yield _whole("### Findings")
    for finding in sorted(findings, key=lambda finding: not finding.blocks):
        where = f"{code(name_of(finding.urn))}: " if finding.urn.count("::") >= 3 else ""
        head = f"- **{escaped(finding.severity)}** ({escaped(finding.source)})"
        text = f"{head} {where}{escaped(finding.text)}"
        yield _Piece(text, "", 6_000 if finding.blocks else 50, "findings")


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
    """A text in which nothing acts as Markdown or HTML, links or mentions anybody. It is part of a line."""
    line = html.escape(" ".join(visible(text).split()), quote=False)
    line = re.sub(r"([\\`*_\[\]|~])", r"\\\1", line)
    # An invisible character: GitHub looks for mentions and addresses in the text that is shown.
    return re.sub(r"(@|#|:(?=//)|\bwww(?=\.)|\bGH(?=-))", "\\1\u200b", line, flags=re.IGNORECASE)


def visible(text: str) -> str:
    """The text with control characters, and those that change the direction of a text, as their codes."""
    return re.sub(
        r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]",
        lambda found: f"\\u{ord(found[0]):04x}",
        text,
    )


def _longest_run(text: str) -> int:
    return max((len(run) for run in re.findall("`+", text)), default=0)
