"""Service-level objectives: how fast a month's error budget may be spent before an alarm is raised."""

from __future__ import annotations

import math
from dataclasses import dataclass

from components.common.signals import Severity

PERIOD_DAYS = 30
"""The period of an objective and its error budget."""

_HOUR = 3600


@dataclass(frozen=True, kw_only=True)
class BurnRate:
    """A rate at which the error budget is spent, measured over a long and a short window.

    The long window prevents short bursts of errors from raising the alarm. The short window ends the alarm
    soon after the errors have ended ("The Site Reliability Workbook", chapter 5, "Alerting on SLOs":
    multiwindow, multi-burn-rate alerts).
    """

    name: str
    budget_share: float
    """Share of the period's error budget that is spent if this rate lasts for the long window."""
    long_seconds: int
    short_seconds: int
    """One twelfth of the long window."""
    severity: Severity

    @property
    def factor(self) -> float:
        """The burn rate: at 1, the budget lasts exactly as long as its period."""
        return self.budget_share * PERIOD_DAYS * 24 * _HOUR / self.long_seconds

    def bad_share(self, target: float) -> float:
        """Share of bad requests, from 0 to 1, that spends the budget of an objective with `target` at this
        rate.

        The settings only accept targets above 0.95, so even for the fastest rate the share is below 1 and
        can be reached.
        """
        return self.factor * (1 - target)

    def least_requests(self, target: float) -> int:
        """Minimum number of requests in a window. With fewer, a single bad request would raise the alarm."""
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
    # The book's third window is three days at a burn rate of one. A tenth of the budget in a day is detected
    # on the same working day.
    BurnRate(
        name="slow", budget_share=0.10, long_seconds=24 * _HOUR, short_seconds=2 * _HOUR, severity="warning"
    ),
)
"""Two critical rates, and a warning to be handled on the next working day."""
