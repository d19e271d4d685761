"""Tags that every resource carries."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated

from pydantic import AfterValidator, Field

from settings.model import refused

REQUIRED_TAGS = ("owner", "cost-center")
OWN_TAGS = ("environment", "platform")
"""Tags that the program sets itself."""

_MOST = 8
"""An S3 object takes ten tags (S3 User Guide, "Categorizing your objects using tags"), ours among them."""
_KEY_LENGTH, _VALUE_LENGTH = 128, 256
_SIGNS = "_.:/=+-@"
"""Beside letters, digits and spaces of any script (S3 API Reference, "S3Tag")."""


def missing_tags(tags: Mapping[str, str], required: Sequence[str] = REQUIRED_TAGS) -> list[str]:
    """The required tags that have no value; policies hold every provider to the same."""
    return [tag for tag in required if not tags.get(tag)]


def _strange(text: str) -> list[str]:
    return [sign for sign in text if unicodedata.category(sign)[0] not in "LZN" and sign not in _SIGNS]


def _problems(tags: Mapping[str, str]) -> Iterator[tuple[tuple[str, ...], str]]:
    """What AWS refuses of them ("Tag naming limits and requirements", AWS Tagging Best Practices)."""
    missing = missing_tags(tags)
    if missing:
        yield (), f"lacks {', '.join(missing)}; every resource carries {', '.join(REQUIRED_TAGS)}"
    if len(tags) > _MOST:
        own = " and ".join(OWN_TAGS)
        yield (), f"has {len(tags)} tags, and an S3 object takes {_MOST} beside {own}: leave some out"
    seen: dict[str, str] = {}
    for key, value in tags.items():
        if key.lower() in OWN_TAGS:
            yield (key,), "is a tag that the platform sets itself: choose another key"
        elif (other := seen.setdefault(key.lower(), key)) != key:
            yield (key,), f"differs from {other} in case alone, which IAM refuses: choose another key"
        for what, text, most in (("key", key, _KEY_LENGTH), ("value", value, _VALUE_LENGTH)):
            if text.lower().startswith("aws:"):
                yield (key,), f"the {what} begins with aws:, which is AWS's own: choose another one"
            elif strange := _strange(text):
                yield (
                    (key,),
                    f"the {what} has {strange[0]!r}: letters, digits, spaces and {_SIGNS} are accepted",
                )
            elif len(text) > most or not key:
                yield (key,), f"the {what} has {len(text)} characters: 1 to {most} are accepted"


def _tags(tags: dict[str, str]) -> dict[str, str]:
    problems = [("value_error", text, where, tags) for where, text in _problems(tags)]
    if problems:
        raise refused("tags", problems)
    return tags


Tags = Annotated[
    dict[str, str], Field(json_schema_extra={"required": list(REQUIRED_TAGS)}), AfterValidator(_tags)
]
