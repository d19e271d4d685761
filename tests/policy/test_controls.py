"""`docs/controls.md` is current, and every control for a service in use is covered or has a reason."""

from __future__ import annotations

import pytest

from policy.rules import RULES, STACK_RULES
from tests.policy.controls import PAGE, Controls, render, rules_of
from tests.policy.stacks import fixture
from tests.policy.states import whole
from tests.unit.harness import STACKS

CONTROLS = Controls.load()


def test_page_is_not_stale() -> None:
    page = render({stack: whole(stack) for stack in STACKS})
    assert PAGE.read_text() == page, "the rules or the graphs have changed: make golden, and review the diff"


@pytest.mark.parametrize("stack", STACKS)
def test_services_in_use_are_listed(stack: str) -> None:
    unknown = _services(stack) - set(CONTROLS.services)
    assert unknown == set(), "name them in policy/controls.yaml, with their controls"


def test_no_service_is_listed_for_nothing() -> None:
    used = {service for stack in STACKS for service in _services(stack)}
    assert set(CONTROLS.services) - used == set(), "remove them from policy/controls.yaml"


def test_each_service_has_controls_and_no_other_has() -> None:
    listed = {control.split(".")[0] for control in CONTROLS.titles}
    assert listed == {service for service in CONTROLS.services.values() if service}


@pytest.mark.parametrize("control", CONTROLS.titles)
def test_control_is_covered_or_has_its_reason(control: str) -> None:
    assert bool(rules_of(control)) != (control in CONTROLS.reasons), control


def test_rules_name_controls_that_exist() -> None:
    named = {control for rule in (*RULES, *STACK_RULES) for control in rule.controls}
    assert named - set(CONTROLS.titles) == set()


def _services(stack: str) -> set[str]:
    types = [item.type for item in fixture(stack).resources]
    return {type_.split(":")[1].split("/")[0] for type_ in types if type_.startswith("aws:")}
