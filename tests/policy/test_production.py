"""A stack is production by its setting `trading:protect`, not by its name."""

from __future__ import annotations

from typing import Any

import pytest

from policy import production
from policy.scan.plan import State, plan
from settings import Settings
from settings.model import NAMESPACE
from tests.policy.test_plan import PROVIDER, resource


def test_setting_is_one_that_a_stack_file_has_and_is_true_by_default() -> None:
    field = Settings.model_fields[production.SETTING.removeprefix(f"{NAMESPACE}:")]
    assert (field.annotation, field.default) == (bool, True)


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({}, True),
        ({"trading:protect": "true"}, True),
        ({"trading:protect": "false"}, False),
        ({"trading:protect": "False"}, False),
        ({"trading:protect": "nonsense"}, True),
        ({"trading:environment": "dev"}, True),
        ({"trading:environment": "live", "trading:protect": "true"}, True),
        ({"trading:environment": "prod", "trading:protect": "false"}, False),
    ],
)
def test_configuration_that_does_not_say_otherwise_is_productions(
    config: dict[str, str], expected: bool
) -> None:
    assert production.by_configuration(config) is expected


def stack(outputs: dict[str, Any] | None) -> State:
    item: State = {"urn": "stack", "type": "pulumi:pulumi:Stack"}
    return item if outputs is None else {**item, "outputs": outputs}


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ([], True),
        ([stack(None)], True),
        ([stack({"url": "https://example.com"})], True),
        ([stack({"protected": True})], True),
        ([stack({"protected": "false"})], True),
        ([stack({"protected": False})], False),
    ],
)
def test_state_that_does_not_say_otherwise_is_productions(state: list[State], expected: bool) -> None:
    assert production.by_state(state) is expected
    made = plan([*state, PROVIDER, resource("aws:sns/topic:Topic")])
    assert {it.is_production for it in made.resources.values()} == {expected}
