"""Changes that can lose data, stop traffic or open something, each with the label that allows its kind."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from policy.rule import SECRET
from report import alarms, grants, networks, protections
from report.causes import Explained
from report.differences import ABSENT, contains
from report.preview import Change, name_of
from report.protections import BACKUPS, ENCRYPTION, PROTECTION, PUBLIC, RETENTION
from report.structure import shown
from report.valuables import OF_TYPE, VALUABLES

NETWORK = "open network"
ACCESS = "grant access"
SECRET_CHANGE = "change secret"  # noqa: S105 (not a secret)
ALARM = "remove alarm"

KINDS: Mapping[str, str] = {
    **{f"delete {item.noun}": item.deleted for item in VALUABLES},
    **{f"replace {item.noun}": item.replaced for item in VALUABLES},
    **{f"restart {item.noun}": item.restarted for item in VALUABLES if item.restarts},
    PUBLIC: "Something that was not public can be reached by everyone.",
    ACCESS: "A principal may do more than before.",
    NETWORK: "A security group, or another list of networks, admits more than before.",
    ENCRYPTION: "Data is no longer encrypted as before, where it is stored or on its way.",
    PROTECTION: "What prevented a deletion, or recorded and limited access, is gone.",
    BACKUPS: "Fewer backups are kept, or fewer resources have any.",
    RETENTION: "Events and messages are deleted earlier than before.",
    SECRET_CHANGE: "Programs that have read the old value fail until they read the new one.",
    ALARM: "A failure may no longer be noticed.",
}
"""Kind → what it means, from the most to the least dangerous."""

_ORDER = {kind: number for number, kind in enumerate(KINDS)}


@dataclass(frozen=True, kw_only=True)
class Danger:
    """A danger of one resource."""

    urn: str
    kind: str
    """One of `KINDS`."""
    what: str
    """What happens, and which property causes it."""
    cause: str = ""
    """URN of another resource from whose change it follows, or an empty string."""

    @property
    def text(self) -> str:
        """What happens, and what it means."""
        return f"{self.what}. {KINDS[self.kind]}"

    @property
    def label(self) -> str:
        """The label of a pull request that allows dangers of this kind, and no others."""
        return f"allow: {self.kind}"


def find(explained: Sequence[Explained]) -> list[Danger]:
    """All dangers of a change, from the most to the least dangerous kind."""
    changes = [item.change for item in explained]
    found = [
        Danger(urn=item.change.urn, kind=kind, what=what, cause=_cause(item) if kind in _LOSSES else "")
        for item in explained
        for kind, what in dict.fromkeys(_all(item, changes))
    ]
    return sorted(found, key=lambda danger: _ORDER[danger.kind])


_LOSSES = frozenset(f"replace {item.noun}" for item in VALUABLES)


def _cause(item: Explained) -> str:
    """URN of the resource because of which a resource is replaced, unless it has a reason of its own."""
    if any(difference.replaces for difference in item.own):
        return ""
    causes = [
        cause for cause, differences in item.follows.items() if any(part.replaces for part in differences)
    ]
    return causes[0] if causes else ""


_Found = Iterator[tuple[str, str]]


def _all(item: Explained, changes: Sequence[Change]) -> _Found:
    change = item.change
    yield from _lost(item, changes)
    yield from _restarted(change)
    yield from protections.weakened(change)
    for public, text in networks.opened(change, changes):
        yield PUBLIC if public else NETWORK, text
    for text in grants.published(change):
        yield PUBLIC, text
    for text in grants.granted(change, changes):
        yield ACCESS, text
    for text in _secrets(change):
        yield SECRET_CHANGE, text
    for text in alarms.silenced(change):
        yield ALARM, text


def _lost(item: Explained, changes: Sequence[Change]) -> _Found:
    """The replacement or deletion of what holds data or serves traffic."""
    change = item.change
    valuable = OF_TYPE.get(change.type)
    if not valuable or change.operation not in ("replace", "delete"):
        return
    if change.operation == "replace":
        yield f"replace {valuable.noun}", f"replaced{_because(item)}"
        return
    twin = _twin(change, changes)
    renamed = f"; {twin} is created: if that is a new name, an alias keeps the old resource" if twin else ""
    yield f"delete {valuable.noun}", f"deleted{renamed}"


def _restarted(change: Change) -> _Found:
    """The interruption of what stays."""
    valuable = OF_TYPE.get(change.type)
    if valuable and change.operation == "update":
        for part in change.differences:
            if re.sub(r"\[\d+\]", "", part.path) in valuable.restarts:
                what = f"restarts because of {part.path}: {_side(part.old)} → {_side(part.new)}"
                yield f"restart {valuable.noun}", what


def _because(item: Explained) -> str:
    """The properties that force a replacement, or the resource from which they come."""
    if cause := _cause(item):
        keys = dict.fromkeys(d.top for ds in item.follows.values() for d in ds if d.replaces)
        return f" because {', '.join(keys)} comes from {name_of(cause)}, which changes"
    forcing = [difference for difference in item.own if difference.replaces] or [
        difference for difference in item.change.differences if difference.replaces
    ]
    texts = [f"{part.path}: {_side(part.old)} → {_side(part.new)}" for part in forcing]
    named = ", ".join(texts) or ", ".join(item.change.replace_keys)
    return f" because of {named}" if named else ""


def _side(value: object) -> str:
    return "nothing" if value is ABSENT else shown(value)


def _twin(change: Change, changes: Sequence[Change]) -> str:
    """The created resource of the same type whose name is most similar, or an empty string."""
    created = [other for other in changes if other.operation == "create" and other.type == change.type]
    if not created:
        return ""
    return max(created, key=lambda other: SequenceMatcher(None, change.name, other.name).ratio()).name


def _secrets(change: Change) -> Iterator[str]:
    """Secrets that change, in resources that stay."""
    if not change.existed or not change.remains:
        return
    for difference in change.differences:
        if contains(difference.old, SECRET):
            yield f"{difference.path} is a secret and changes"
