"""Where a rule is not kept: `exceptions.yaml`, each entry with a reason, an owner and an end."""

from __future__ import annotations

import datetime
import re
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from policy.rule import Resource

FILE = Path(__file__).with_name("exceptions.yaml")

CHECKOV_ID = re.compile(r"CKV2?_AWS_\d+")
"""Names a check of Checkov's, which `python -m policy.scan` runs; the pack knows its own rules alone."""


class ExceptionsError(Exception):
    """The file of exceptions cannot be used; the text says which entry and what would do."""


class RuleException(BaseModel):
    """One rule, or check of Checkov's, that some resources need not keep."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rule: str
    """Name of the rule, or Checkov's id."""
    resources: list[str] = Field(min_length=1)
    """Logical names, with `*` and `?`."""
    production: bool | None = None
    """Narrows it to the stacks that are production (`policy.production`), or to those that are not."""
    reason: str = Field(min_length=20)
    """Why it is right, or not worth mending."""
    owner: str = Field(min_length=1)
    """Who answers for it."""
    expires: datetime.date
    """The last day on which it holds."""

    def covers(self, rule: str, resource: Resource) -> bool:
        """Whether it is about this rule and resource."""
        return (
            rule == self.rule
            and any(fnmatchcase(resource.name, pattern) for pattern in self.resources)
            and self.production in (None, resource.is_production)
        )


def judged(
    exceptions: Sequence[RuleException], rule: str, resource: Resource, problem: str, today: datetime.date
) -> str | None:
    """What to say of a problem: nothing where an exception holds, and so where one has ended."""
    for exception in exceptions:
        if exception.covers(rule, resource):
            if today <= exception.expires:
                return None
            return f"{problem} ({exception.owner}'s exception ended on {exception.expires})"
    return problem


def ended(exceptions: Sequence[RuleException], today: datetime.date) -> list[str]:
    """The entries that no longer hold, and what would do."""
    return [
        f"{FILE.name}: exceptions[{index}] ({exception.rule}, {', '.join(exception.resources)}) ended on "
        f"{exception.expires}: {exception.owner} must mend the resources and delete it, or renew it"
        for index, exception in enumerate(exceptions)
        if today > exception.expires
    ]


def load(path: Path = FILE, known_rules: Sequence[str] = ()) -> list[RuleException]:
    """The entries of the file.

    Raises:
        ExceptionsError: an entry lacks something, or names a rule that does not exist.
    """
    entries = yaml.safe_load(path.read_text())["exceptions"]
    exceptions: list[RuleException] = []
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
                f"{path.name}: exceptions[{index}].rule: {exception.rule}: no such rule; "
                "rules are listed in docs/controls.md"
            )
        exceptions.append(exception)
    return exceptions
