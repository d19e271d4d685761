"""The report of a change, from which all renderings are made."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import Protocol

from report import causes, dangers, gate, preflight
from report.causes import Explained
from report.dangers import Danger
from report.preview import OPERATIONS, Finding, Preview
from report.tiers import TIERS


class Estimate(Protocol):
    """The fixed monthly cost of a stack, as `report.cost` estimates it."""

    @property
    def total(self) -> Decimal:
        """USD a month."""
        ...

    @property
    def by_tier(self) -> Mapping[str, Decimal]:
        """The tier's title → USD a month."""
        ...

    @property
    def unpriced(self) -> Iterable[object]:
        """What has a fixed cost that isn't known, which the total leaves out. Each has a text (`str`)."""
        ...

    @property
    def by_traffic(self) -> Iterable[str]:
        """What costs by traffic, which the total leaves out."""
        ...


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
