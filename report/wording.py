"""The sentences that the Markdown and the page have in common, as plain text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal

from report.causes import Explained, Group
from report.cost import Estimate, Unpriced
from report.dangers import Danger
from report.model import Report
from report.preview import OPERATIONS, Change, name_of, type_of
from report.structure import block, expanded
from report.tiers import TIERS

PAST = {
    "create": "created",
    "update": "updated",
    "replace": "replaced",
    "delete": "deleted",
    "import": "imported",
    "discard": "discarded",
}
"""Operation → what it did."""

SIGNS = {"create": "+", "update": "~", "replace": "±", "delete": "-", "import": "↓", "discard": "x"}
"""Operation → its sign in the drawing."""


def is_nothing(report: Report) -> bool:
    """Whether there is nothing to say about a change."""
    return not report.preview.changes and not report.findings and not report.reasons


def nothing(report: Report) -> str:
    """The line about a change that touches nothing."""
    return f"This change touches no resource of {report.preview.stack}."


def summary(report: Report) -> str:
    """The counts of the whole stack."""
    counted = report.preview.counts
    texts = [f"{counted[key]} {PAST[key]}" for key in OPERATIONS if key in counted]
    return f"{', '.join(texts) or 'nothing changes'} ({report.preview.unchanged} unchanged)"


def counts(items: Iterable[Explained]) -> str:
    """The counts of some changes."""
    found = [item.change.operation for item in items]
    return ", ".join(f"{found.count(key)} {PAST[key]}" for key in OPERATIONS if key in found)


def cost(before: Estimate | None, after: Estimate | None) -> list[str]:
    """The lines about the fixed monthly cost."""
    if not before or not after:
        return ["Fixed monthly cost: not estimated."]
    lines = [f"Fixed monthly cost: {before.total:,.0f} → {after.total:,.0f} USD{_change(before, after)}."]
    sides = [{_place(item) for item in side.unpriced} for side in (before, after)]
    if unknown := sorted(sides[0] | sides[1]):
        lines += ["", f"Without a known price, and not in these sums: {', '.join(unknown)}."]
    if differing := sorted(sides[0] ^ sides[1]):
        reason = f"{', '.join(differing)} is only on one side"
        lines += ["", f"The difference is not known, because {reason}."]
    if by_traffic := sorted({*after.by_traffic} - {*before.by_traffic}):
        lines += ["", f"New, and paid by traffic: {', '.join(map(short_type, by_traffic))}."]
    return lines


def _change(before: Estimate, after: Estimate) -> str:
    """The difference between two costs, in all and by tier, if both leave out the same."""
    if {_place(item) for item in before.unpriced} != {_place(item) for item in after.unpriced}:
        return ""
    tiers = [
        f"{tier} {change:+,.0f}"
        for tier in TIERS
        if round(change := after.by_tier.get(tier, Decimal(0)) - before.by_tier.get(tier, Decimal(0)))
    ]
    return f" ({after.total - before.total:+,.0f}{': ' if tiers else ''}{', '.join(tiers)})"


def _place(item: Unpriced) -> str:
    return f"{item.what} in {item.region}" if item.region else item.what


def unpriced(item: Unpriced) -> str:
    """What has no known price, where, and why."""
    return f"{_place(item)}: {item.reason}"


def by_text(dangers: Sequence[Danger]) -> list[tuple[str, list[Danger]]]:
    """The dangers of one kind by what happens, with those that follow from one cause together."""
    found: dict[tuple[str, str], list[Danger]] = {}
    for danger in dangers:
        found.setdefault((danger.cause, "" if danger.cause else danger.what), []).append(danger)
    groups = sorted(found.values(), key=lambda items: items[0].cause != "")  # causes come first
    return [(items[0].what, items) for items in groups]


def folded(items: Iterable[Explained]) -> list[tuple[str, list[str]]]:
    """What is counted instead of listed: a line, and the names of the resources."""
    lines: list[tuple[str, list[str]]] = []
    by_cause: dict[str, list[Explained]] = {}
    counted: dict[str, list[Explained]] = {"digests": [], "tags": []}
    for item in items:
        if item.kind == "follows":
            by_cause.setdefault(item.cause, []).append(item)
        elif item.kind in counted:
            counted[item.kind].append(item)
    for cause, members in by_cause.items():
        names = [member.change.name for member in members]
        lines.append((f"{counts(members)}, which follows from {named(cause)}", names))
    if digests := counted["digests"]:
        lines.append(
            (f"{counts(digests)}: only digests of files or images", [d.change.name for d in digests])
        )
    if tags := counted["tags"]:
        lines.append((f"{counts(tags)}: only tags", []))
    return lines


def beside(group: Group) -> list[str]:
    """What changes in a listed resource beside its own differences."""
    lines = [
        f"{_properties(differences)} from {named(cause)}"
        for cause, differences in group.members[0].follows.items()
    ]
    for differences, what in (
        (group.members[0].digests, "only in a digest"),
        (group.members[0].names, "which is a generated name"),
    ):
        if differences:
            lines.append(f"{_properties(differences)}, {what}")
    if group.members[0].tags:
        lines.append("tags")
    return [f"also {line}" for line in lines]


def _properties(differences: Sequence[object]) -> str:
    tops = dict.fromkeys(getattr(difference, "top", "") for difference in differences)
    return ", ".join(tops)


def named(urn: str) -> str:
    """A resource's type and name."""
    return f"{short_type(type_of(urn))} {name_of(urn)}"


def short_type(token: str) -> str:
    """A type token without what it says twice: `rds Cluster`, `apps/v1 Deployment`."""
    parts = token.split(":")
    if len(parts) != 3:
        return token
    package, module, kind = parts
    if module == "providers":
        return f"{kind} provider"
    if package in ("kubernetes", "pulumi", "trading"):
        return f"{module} {kind}"
    return f"{module.split('/')[0] if package == 'aws' else package} {kind}"


def properties(change: Change) -> str:
    """The properties of a resource that is created or deleted, as YAML."""
    values = change.new or change.old
    return block(expanded(values)) if values else ""
