"""Instance classes, node types, versions and zones that AWS offers, from `aws_values.json`.

The file names its sources and date; `tests/unit/aws_values.py` writes it. Anything that AWS has added since
must be added there, except versions: newer ones are accepted, because they come every few months.
"""

from __future__ import annotations

import difflib
import functools
import json
import re
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, Field

_FILE = Path(__file__).with_name("aws_values.json")


@functools.cache
def _lists() -> dict[str, Any]:
    return json.loads(_FILE.read_text())


def zones(region: str) -> list[str]:
    """The names of a region's zones. An account can have fewer."""
    return _lists()["zones"].get(region, [])


def regions_without(kind: str, value: str) -> list[str]:
    """The regions that don't offer an instance class (`databaseClasses`) or a node type (`cacheNodes`)."""
    return _lists()[kind].get(value, [])


def _listed(kind: str, value: str) -> str:
    known: dict[str, Any] = _lists()[kind]
    if value not in known:
        near = ", ".join(difflib.get_close_matches(value, known, n=3))
        raise ValueError(
            f"is not in AWS's list of {_lists()['date']} (settings/{_FILE.name})"
            f"{near and '; did you mean one of '}{near}"
        )
    return value


def _version(kind: str, value: str) -> str:
    """Accepts a version that is in the list, or newer than the newest one of a major version in the list."""
    known = [_numbers(version) for version in _lists()[kind] if re.fullmatch(r"[0-9]+\.[0-9]+", version)]
    newest = {major: (major, minor) for major, minor in sorted(known)}
    version = _numbers(value)
    if version not in known and version < newest.get(version[0], version):
        raise ValueError(_unlisted(known=[other for other in known if other[0] == version[0]]))
    if version[0] not in newest:
        raise ValueError(_unlisted(known=list(newest.values())))
    return value


def _unlisted(known: list[tuple[int, int]]) -> str:
    versions = ", ".join(f"{major}.{minor}" for major, minor in sorted(known))
    return (
        f"is not in AWS's list of {_lists()['date']} (settings/{_FILE.name}), whose versions are {versions}"
    )


def _numbers(version: str) -> tuple[int, int]:
    major, minor = version.split(".")[:2]
    return int(major), int(minor)


InstanceClass = Annotated[
    str,
    Field(pattern=r"^db\.[a-z0-9]+\.[a-z0-9]+$"),
    AfterValidator(lambda value: _listed("databaseClasses", value)),
]
NodeType = Annotated[
    str,
    Field(pattern=r"^cache\.[a-z0-9]+\.[a-z0-9]+$"),
    AfterValidator(lambda value: _listed("cacheNodes", value)),
]
DatabaseVersion = Annotated[
    str, Field(pattern=r"^[0-9]+\.[0-9]+$"), AfterValidator(lambda value: _version("databaseVersions", value))
]
CacheVersion = Annotated[
    str, Field(pattern=r"^[0-9]+\.[0-9]+$"), AfterValidator(lambda value: _version("cacheVersions", value))
]
