"""Exceptions to the rules: `exceptions.yaml`, whose entries each have a reason, an owner and a last day."""

from __future__ import annotations

import datetime
import re
from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from policy import places
from policy.places import Pattern
from policy.rule import Resource
from policy.values import read_yaml

FILE = Path(__file__).with_name("exceptions.yaml")

MOST_DAYS = 366
"""Days for which an exception can apply before it is renewed."""

CHECKOV_ID = re.compile(r"CKV2?_(AWS|K8S)_\d+")
"""Id of one of Checkov's checks, which `python -m policy.scan` runs. The policy pack ignores these
entries."""


class ExceptionsError(Exception):
    """Raised for an invalid file of exceptions. The text names the entry and what would be accepted."""


class RuleException(BaseModel):
    """Exempts some resources from one rule, or from one of Checkov's checks."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rule: str
    """Name of the rule, or id of Checkov's check."""
    resources: list[Pattern] = Field(min_length=1)
    """Patterns of places: the types of the parents and of the resource, and its logical name. A name alone
    would cover any resource that somebody gives this name."""
    production: bool | None = None
    """Limits the exception to production stacks (`policy.production`), or to all others."""
    reason: str = Field(min_length=20)
    """Why the resources are right as they are, or not worth fixing."""
    owner: str = Field(min_length=1)
    """Who is responsible for the exception."""
    expires: datetime.date
    """The last day on which the exception applies."""

    def covers(self, rule: str, resource: Resource) -> bool:
        """Whether the exception applies to this rule and resource."""
        return (
            rule == self.rule
            and any(places.covers(pattern, resource.urn) for pattern in self.resources)
            and self.production in (None, resource.is_production)
        )


def judged(
    exceptions: Sequence[RuleException], rule: str, resource: Resource, problem: str, today: datetime.date
) -> str | None:
    """The text to report for a problem, or None if an exception applies. It mentions an expired exception."""
    for exception in exceptions:
        if exception.covers(rule, resource):
            if today <= exception.expires:
                return None
            return f"{problem} ({exception.owner}'s exception expired on {exception.expires})"
    return problem


def ended(exceptions: Sequence[RuleException], today: datetime.date) -> list[str]:
    """Says which entries have expired, and what to do."""
    return [
        f"{FILE.name}: exceptions[{index}] ({exception.rule}, {', '.join(exception.resources)}) expired on "
        f"{exception.expires}: {exception.owner} must fix the resources and delete the entry, or renew it"
        for index, exception in enumerate(exceptions)
        if today > exception.expires
    ]


def load(
    path: Path = FILE, known_rules: Sequence[str] = (), today: datetime.date | None = None
) -> list[RuleException]:
    """Reads the entries of the file.

    Raises:
        ExceptionsError: an entry is incomplete or invalid, names an unknown rule, or applies for too long.
    """
    entries = read_yaml(path)["exceptions"]
    exceptions: list[RuleException] = []
    last = (today or datetime.datetime.now(datetime.UTC).date()) + datetime.timedelta(days=MOST_DAYS)
    for index, entry in enumerate(entries):
        try:
            exception = RuleException.model_validate(entry)
        except ValidationError as error:
            first = error.errors()[0]
            key = ".".join(str(part) for part in first["loc"])
            raise ExceptionsError(f"{path.name}: exceptions[{index}].{key}: {first['msg']}") from None
        known = exception.rule in known_rules or CHECKOV_ID.fullmatch(exception.rule)
        if known_rules and not known:
            raise ExceptionsError(
                f"{path.name}: exceptions[{index}].rule: {exception.rule}: unknown rule; "
                "docs/controls.md lists the rules"
            )
        if exception.expires > last:
            raise ExceptionsError(
                f"{path.name}: exceptions[{index}].expires: {exception.expires} is over {MOST_DAYS} days "
                f"away: name a day until {last}, and renew the entry then"
            )
        exceptions.append(exception)
    return exceptions
