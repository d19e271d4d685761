"""The real engine's order of operations, which `report.makespan` takes from a preview."""

from __future__ import annotations

from report.makespan import plan_of
from report.schedule import Makespan
from tests.report.makespan import plan
from tests.unit.harness import ROOT, stack_values

WITH_CHARTS = "EKS + ElastiCache + DynamoDB"
"""The tier whose charts a preview of a new stack registers without their dependencies."""


def decisive(makespan: Makespan) -> tuple[int, list[str]]:
    """The duration, and the types of what decides it."""
    return makespan.seconds, [step.resource.type for step in makespan.path if step.end - step.start >= 60]


def test_preview_says_the_same_as_the_page() -> None:
    previewed, described = plan_of("small", stack_values("small"), ROOT), plan("small")
    assert decisive(previewed.down()) == decisive(described.down())
    up, expected = previewed.up(), described.up()
    assert decisive(up) == decisive(expected)
    tiers = {tier: (start, end) for tier, (start, end, _) in up.tiers().items() if tier != WITH_CHARTS}
    assert tiers == {tier: expected.tiers()[tier][:2] for tier in tiers}
    assert up.tiers()[WITH_CHARTS][1] >= 1395
