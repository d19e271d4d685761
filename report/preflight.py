"""Checks that need neither a preview nor an account."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Sequence

from policy import exceptions
from policy.exceptions import RuleException
from report.preview import Finding


def expired(entries: Iterable[RuleException], today: datetime.date) -> list[Finding]:
    """A finding for each exception from a rule, or from one of Checkov's checks, that has expired.

    The policy pack knows only those from its own rules, and the scan comes after the deployment.
    """
    texts = exceptions.ended(list(entries), today)
    return [Finding(source="exceptions", severity="mandatory", urn="", text=text) for text in texts]


def findings() -> list[Finding]:
    """What is wrong with the repository itself.

    Raises:
        policy.exceptions.ExceptionsError: the file of exceptions is invalid.
    """
    return expired(exceptions.load(), datetime.datetime.now(datetime.UTC).date())


def joined(found: Sequence[Finding], more: Iterable[Finding]) -> list[Finding]:
    """Findings without those that another source reports in the same words."""
    known = {finding.text for finding in found}
    return [*found, *(finding for finding in more if finding.text not in known)]
