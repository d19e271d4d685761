"""The report of a change, from which all renderings are made."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from report import causes, cost, dangers, gate, preflight
from report.causes import Explained
from report.cost import Estimate
from report.dangers import Danger
from report.preview import OPERATIONS, Finding, Preview
from report.tiers import TIERS


@dataclass(frozen=True, kw_only=True)
class Report:
    """A change, judged."""

    preview: Preview
    labels: frozenset[str]
    explained: Sequence[Explained]
    """The changes with their causes."""
    dangers: Sequence[Danger]
    findings: Sequence[Finding]
    before: Estimate | None
    """The cost before, if it was estimated."""
    after: Estimate | None

    @property
    def verdict(self) -> str:
        """`pass` or `blocked`."""
        return gate.BLOCKED if self.reasons else gate.PASS

    @cached_property
    def reasons(self) -> Sequence[gate.Reason]:
        """Why the gate is closed; empty if it is open."""
        return gate.reasons(self.dangers, self.findings, self.labels)

    def in_tier(self, tier: str) -> list[Explained]:
        """The changes of a tier, from the most to the least dangerous operation."""
        found = [item for item in self.explained if item.change.tier == tier]
        return sorted(found, key=lambda item: OPERATIONS.index(item.change.operation))

    @property
    def tiers(self) -> Sequence[str]:
        """The titles of the tiers that change, in their order."""
        return [tier for tier in TIERS if any(item.change.tier == tier for item in self.explained)]


def costs(preview: Preview) -> tuple[Estimate | None, Estimate | None]:
    """The fixed cost before and after, or nothing if the preview leaves out unchanged resources.

    Raises:
        report.prices.PricesError: the file of prices is invalid.
    """
    if preview.before is None or preview.after is None:
        return None, None
    return cost.estimate(preview.before), cost.estimate(preview.after)


def build(
    preview: Preview,
    labels: Iterable[str] = (),
    before: Estimate | None = None,
    after: Estimate | None = None,
    more: Iterable[Finding] = (),
) -> Report:
    """Judges a preview.

    Args:
        preview: what a deployment would change.
        labels: the labels of the pull request, such as `allow: replace database`.
        before: the cost of the stack before the change, if it is known.
        after: the cost of the stack after it.
        more: findings of other checks than those of the preview.
    """
    explained = causes.explain(preview.changes)
    return Report(
        preview=preview,
        explained=explained,
        labels=frozenset(labels),
        dangers=dangers.find(explained),
        findings=preflight.joined(preview.findings, more),
        before=before,
        after=after,
    )
