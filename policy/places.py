"""Places of resources in a stack: patterns of types, parents and names, with which exceptions and entries
name resources."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import Annotated

from pydantic import AfterValidator

LEAST_LITERALS = 3
"""Letters and digits that a pattern of a name must have, so that it names something."""


def place(urn: str) -> str:
    """The part of a URN that the program determines: the types of the parents and of the resource, and the
    name.

    The rest are the names of the stack and the project.
    """
    parts = urn.split("::", 2)
    return parts[2] if len(parts) > 2 else urn


def _pattern(text: str) -> str:
    types, separator, name = text.partition("::")
    if not separator or not types or not name:
        raise ValueError(
            f"{text!r} is not a place: write the types of the parents and of the resource, and the name, "
            "as in the URN: trading:tier:Cache$aws:elasticache/replicationGroup:ReplicationGroup::cache-*"
        )
    if re.search(r"[*?\[]", types):
        raise ValueError(f"{text!r} has a wildcard in the types: name them")
    if len(re.findall(r"[A-Za-z0-9]", re.sub(r"\[.*?\]", "", name))) < LEAST_LITERALS:
        raise ValueError(
            f"{text!r} holds for nearly every name: give at least {LEAST_LITERALS} letters of the name"
        )
    return text


Pattern = Annotated[str, AfterValidator(_pattern)]
"""A pattern of places: the exact types, `::`, and a name with the wildcards `*` and `?`."""


def type_of(pattern: str) -> str:
    """The type of the resources that a pattern names."""
    return pattern.split("::", 1)[0].rsplit("$", 1)[-1]


def covers(pattern: str, urn: str) -> bool:
    """Whether a pattern names the resource."""
    return fnmatchcase(place(urn), re.sub(r"\[", "[[]", pattern))
