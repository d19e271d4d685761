"""Decides whether a change may be deployed without somebody having allowed its dangers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence

from report.dangers import Danger
from report.preview import Finding

PASS = "pass"  # noqa: S105 (not a password)
BLOCKED = "blocked"

STATUS = {PASS: 0, BLOCKED: 1}
"""Verdict → exit status."""

UNREADABLE = 2
"""Exit status if there is no preview that could be judged."""


def reasons(dangers: Sequence[Danger], findings: Sequence[Finding], labels: Collection[str]) -> list[str]:
    """What must be fixed or allowed before the change may be deployed. Empty if nothing must."""
    allowed = {label.strip().lower() for label in labels}
    counts = Counter(danger.label for danger in dangers if danger.label.lower() not in allowed)
    blocking = [finding for finding in findings if finding.blocks]
    needed = [
        f"{count} {'danger' if count == 1 else 'dangers'} of the kind “{label.removeprefix('allow: ')}” "
        f"without the label “{label}”"
        for label, count in counts.items()
    ]
    if blocking:
        some = "finding" if len(blocking) == 1 else "findings"
        needed.append(f"{len(blocking)} {some} of the policy pack, for which there is no label")
    return needed
