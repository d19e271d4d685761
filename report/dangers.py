"""Changes that can lose data, stop traffic or open something, each with the label that allows its kind."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from report import grants, networks
from report.preview import ABSENT, Change, Difference
from report.structure import shown
from report.valuables import OF_TYPE

PROTECTION = "remove protection"
ENCRYPTION = "remove encryption"
BACKUPS = "reduce backups"
NETWORK = "open network"
ACCESS = "grant access"
PUBLIC = "make public"
SECRET_CHANGE = "change secret"  # noqa: S105 (not a secret)
ALARM = "remove alarm"


@dataclass(frozen=True, kw_only=True)
class Danger:
    """A danger of one resource."""

    urn: str
    kind: str
    """Such as `replace database`."""
    text: str
    """What happens, which property causes it, and what it means."""

    @property
    def label(self) -> str:
        """The label of a pull request that allows dangers of this kind, and no others."""
        return f"allow: {self.kind}"


def find(changes: Sequence[Change]) -> list[Danger]:
    """All dangers, in the order of the changes."""
    return [
        Danger(urn=change.urn, kind=kind, text=text)
        for change in changes
        for kind, text in dict.fromkeys(_all(change, changes))
    ]


Found = Iterator[tuple[str, str]]


def _all(change: Change, changes: Sequence[Change]) -> Found:
    yield from _lost(change)
    yield from _weakened(change)
    yield from _secrets(change)
    yield from _alarms(change)
    for check, kind in ((networks.opened, NETWORK), (grants.granted, ACCESS), (grants.published, PUBLIC)):
        for text in check(change, changes):
            yield kind, text


def _lost(change: Change) -> Found:
    """The replacement or deletion of what holds data or serves traffic."""
    valuable = OF_TYPE.get(change.type)
    if not valuable or change.operation not in ("replace", "delete"):
        return
    meaning = valuable.replaced if change.operation == "replace" else valuable.deleted
    if not meaning:
        return
    if change.operation == "replace":
        forcing = [difference for difference in change.differences if difference.replaces]
        named = ", ".join(f"{item.path}: {_before(item)} → {_after(item)}" for item in forcing) or ", ".join(
            change.replace_keys
        )
        why = f" because of {named}" if named else ""
        yield f"replace {valuable.noun}", f"is replaced{why}. {meaning}"
    else:
        yield f"delete {valuable.noun}", f"is deleted. {meaning}"


def _before(item: Difference) -> str:
    return "nothing" if item.old is ABSENT else shown(item.old)


def _after(item: Difference) -> str:
    return "nothing" if item.new is ABSENT else shown(item.new)


def _weakened(change: Change) -> Found:
    yield from ()


def _secrets(change: Change) -> Found:
    yield from ()


def _alarms(change: Change) -> Found:
    yield from ()
