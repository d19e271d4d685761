"""Every switch of the fixture stacks is held by a rule, or listed with a reason why it needs none."""

from __future__ import annotations

from tests.policy.flips import HARMLESS, switches

LISTED = [name for names in HARMLESS.values() for name in names]


def test_every_switch_is_held_or_listed() -> None:
    found = switches()
    assert len(found) > 100
    loose = {switch.name for switch in found if not switch.is_held()}
    assert sorted(loose - set(LISTED)) == []
    assert sorted(set(LISTED) - loose) == [], "a rule holds these, or no stack has them: delete them"


def test_no_switch_is_listed_twice() -> None:
    assert len(LISTED) == len(set(LISTED))
