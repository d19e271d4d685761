"""Service-level objectives: how fast a month's allowed failures may go before somebody is called."""

from __future__ import annotations

import math
from dataclasses import dataclass

from components.common.signals import Severity

PERIOD_DAYS = 30
"""Over which an objective holds, and its error budget is counted."""

_HOUR = 3600


@dataclass(frozen=True, kw_only=True)
class BurnRate:
    """A pace at which the error budget is spent, seen over a long and over a short window.

    The long window keeps a short burst of errors from ringing; the short one ends the alarm soon after
    the errors have ended ("The Site Reliability Workbook", chapter 5, "Alerting on SLOs": multiwindow,
    multi-burn-rate alerts).
    """

    name: str
    budget_share: float
    """Share of the period's error budget that is gone when the long window is full of such errors."""
    long_seconds: int
    short_seconds: int
    """A twelfth of the long window."""
    severity: Severity

    @property
    def factor(self) -> float:
        """How many times faster than even: at 1 the budget lasts exactly as long as its period."""
        return self.budget_share * PERIOD_DAYS * 24 * _HOUR / self.long_seconds

    def bad_share(self, target: float) -> float:
        """Share of bad requests, from 0 to 1, at which an objective of `target` burns at this pace.

        Settings keep targets above 0.95, so even the fastest pace stays below 1 and can be reached.
        """
        return self.factor * (1 - target)

    def least_requests(self, target: float) -> int:
        """Requests that a window must have had: with fewer, a single bad one would ring."""
        return math.floor(1 / self.bad_share(target)) + 1


BURN_RATES = (
    BurnRate(
        name="fast", budget_share=0.02, long_seconds=_HOUR, short_seconds=_HOUR // 12, severity="critical"
    ),
    BurnRate(
        name="steady",
        budget_share=0.05,
        long_seconds=6 * _HOUR,
        short_seconds=_HOUR // 2,
        severity="critical",
    ),
    # The book's third window is three days at a pace of one; a tenth of the budget in a day is seen within
    # the working day that it is for.
    BurnRate(
        name="slow", budget_share=0.10, long_seconds=24 * _HOUR, short_seconds=2 * _HOUR, severity="warning"
    ),
)
"""Two that wake somebody, and one for the working day."""
