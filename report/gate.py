"""Decides whether a change may be deployed without somebody having allowed its dangers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from report.dangers import Danger
from report.preview import Finding

PASS = "pass"  # noqa: S105 (not a password)
BLOCKED = "blocked"

STATUS = {PASS: 0, BLOCKED: 1}
"""Verdict → exit status."""

UNREADABLE = 2
"""Exit status if there is no preview that could be judged."""


@dataclass(frozen=True)
class Reason:
    """Why the gate is closed."""

    text: str
    label: str = ""
    """The label that opens it for this reason; empty if there is none."""


def is_allowed(label: str, labels: Collection[str]) -> bool:
    """Whether a danger's label is one of those of a pull request. Case doesn't matter, as on GitHub."""
    return label.lower() in {item.strip().lower() for item in labels}


def reasons(dangers: Sequence[Danger], findings: Sequence[Finding], labels: Collection[str]) -> list[Reason]:
    """What must be fixed or allowed before the change may be deployed. Empty if nothing must."""
    counts = Counter(danger.kind for danger in dangers if not is_allowed(danger.label, labels))
    needed = [
        Reason(f"{kind}: {count} {'time' if count == 1 else 'times'}", f"allow: {kind}")
        for kind, count in counts.items()
    ]
    if blocking := sum(finding.blocks for finding in findings):
        needed.append(
            Reason(f"{blocking} {'finding' if blocking == 1 else 'findings'}, which no label allows")
        )
    return needed
