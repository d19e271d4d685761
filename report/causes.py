"""Tells what a change means in itself from what follows from the change of another resource."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from policy.rule import is_list, is_map
from report.differences import ABSENT, Difference, same
from report.preview import Change

_TAGS = frozenset({"tags", "tagsAll", "defaultTags"})

_DIGEST = re.compile(
    r"sha256:[0-9a-f]{64}|(?<![0-9A-Za-z])[0-9a-f]{64}(?![0-9A-Za-z])|(?<![0-9A-Za-z])[0-9a-f]{32}(?![0-9A-Za-z])|"
    r"(?<![0-9A-Za-z+/])[0-9A-Za-z+/]{43}=(?!=)"
)
"""SHA-256 in hexadecimal digits or base 64, and MD5 in hexadecimal digits."""


@dataclass(frozen=True, kw_only=True)
class Explained:
    """A change with its differences by what they come from."""

    change: Change
    own: Sequence[Difference]
    """What the change is about."""
    follows: Mapping[str, Sequence[Difference]]
    """URN of the resource whose change is the cause → what follows from it."""
    tags: Sequence[Difference]
    digests: Sequence[Difference]
    """Differences between files or images of which only the digest is known."""
    names: Sequence[Difference]
    """Generated names of resources that are replaced."""

    @property
    def kind(self) -> str:
        """`own`, or `follows`, `digests` or `tags` if the change is nothing else."""
        if self.own or self.change.operation not in ("update", "replace"):
            return "own"
        return "follows" if self.follows else "digests" if self.digests else "tags" if self.tags else "own"

    @property
    def cause(self) -> str:
        """URN of the resource from which the change follows, or an empty string."""
        return next(iter(self.follows), "") if self.kind == "follows" else ""


def explain(changes: Sequence[Change]) -> list[Explained]:
    """Finds out for each change where its differences come from, in the same order."""
    by_urn = {change.urn: change for change in changes}
    found = {change.urn: _explained(change, by_urn) for change in changes}
    return [_with_roots(explained, found) for explained in found.values()]


def _explained(change: Change, by_urn: Mapping[str, Change]) -> Explained:
    own: list[Difference] = []
    tags: list[Difference] = []
    digests: list[Difference] = []
    names: list[Difference] = []
    follows: dict[str, list[Difference]] = {}
    inert = change.operation in ("update", "replace")
    for difference in change.differences:
        if not inert:
            own.append(difference)
        elif difference.generated and change.operation == "replace":
            names.append(difference)
        elif difference.top in _TAGS:
            tags.append(difference)
        elif _is_digest(difference):
            digests.append(difference)
        elif cause := _cause(change, difference, by_urn):
            follows.setdefault(cause, []).append(difference)
        else:
            own.append(difference)
    return Explained(change=change, own=own, follows=follows, tags=tags, digests=digests, names=names)


def _is_digest(difference: Difference) -> bool:
    old, new = difference.old, difference.new
    return (
        isinstance(old, str)
        and isinstance(new, str)
        and bool(_DIGEST.search(old))
        and _DIGEST.sub("", old) == _DIGEST.sub("", new)
    )


def _cause(change: Change, difference: Difference, by_urn: Mapping[str, Change]) -> str:
    """URN of the changed resource that explains a difference, or an empty string."""
    sources = [by_urn[urn] for urn in change.sources(difference.top) if urn in by_urn and urn != change.urn]
    if difference.is_unknown and not difference.is_secret:
        # The new value can't be known yet, because the resource that gives it is new.
        makers = [source for source in sources if source.operation in ("create", "replace", "import")]
        return next((source.urn for source in makers or sources), "")
    return next((source.urn for source in sources if _explains(source, difference)), "")


def _explains(source: Change, difference: Difference) -> bool:
    """Whether the old value becomes the new one if the source's old values are replaced by its new ones."""
    if difference.old is ABSENT or difference.new is ABSENT:
        return False
    value = difference.old
    for item in source.differences:
        if isinstance(item.old, str) and isinstance(item.new, str) and len(item.old) > 2:
            value = _substituted(value, item.old, item.new)
    return not same(value, difference.old) and same(value, difference.new)


def _substituted(value: Any, old: str, new: str) -> Any:
    if isinstance(value, str):
        return value.replace(old, new)
    if is_map(value):
        return {key: _substituted(item, old, new) for key, item in value.items()}
    return [_substituted(item, old, new) for item in value] if is_list(value) else value


def _with_roots(explained: Explained, found: Mapping[str, Explained]) -> Explained:
    """Replaces each cause by the first one of its chain."""
    follows: dict[str, list[Difference]] = {}
    for cause, differences in explained.follows.items():
        follows.setdefault(_root(cause, found), []).extend(differences)
    return Explained(
        change=explained.change,
        own=explained.own,
        follows=follows,
        tags=explained.tags,
        digests=explained.digests,
        names=explained.names,
    )


def _root(urn: str, found: Mapping[str, Explained]) -> str:
    seen = {urn}
    while (explained := found.get(urn)) and explained.cause and explained.cause not in seen:
        urn = explained.cause
        seen.add(urn)
    return urn


@dataclass(frozen=True, kw_only=True)
class Group:
    """Resources of one type to which the same happens."""

    members: Sequence[Explained]

    @property
    def change(self) -> Change:
        """The first member's change."""
        return self.members[0].change


def grouped(explained: Iterable[Explained]) -> Iterator[Group]:
    """Joins resources of one type and operation whose own differences are equal, in the order of the first.

    Created and deleted resources are joined by their type alone.
    """
    groups: dict[object, list[Explained]] = {}
    for item in explained:
        change = item.change
        same_edit = (
            tuple((d.path, repr(d.old), repr(d.new), d.replaces) for d in item.own)
            if change.operation in ("update", "replace")
            else ()
        )
        groups.setdefault((change.operation, change.type, same_edit), []).append(item)
    for members in groups.values():
        yield Group(members=members)
