"""A stack is production by its setting `trading:protect`, not by its name."""

from __future__ import annotations

import json
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


NOT: dict[str, str] = {"trading:protect": "false", "trading:environment": "dev"}


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({}, True),
        ({"trading:protect": "true"}, True),
        (NOT, False),
        (NOT | {"trading:protect": "False"}, False),
        (NOT | {"trading:protect": "nonsense"}, True),
        (NOT | {"trading:protect": " false"}, True),
        (NOT | {"trading:protect": "no"}, True),
        (NOT | {"trading:protect": "0"}, True),
        ({"trading:environment": "dev"}, True),
        ({"trading:protect": "false"}, True),
        (NOT | {"trading:environment": " "}, True),
        (NOT | {"trading:environment": "live", "trading:protect": "true"}, True),
        *(
            (NOT | {"trading:environment": name}, True)
            for name in ("prod", "Prod", "PROD ", "production", "eu-prod", "prod_2", "prod2", "live", "prd")
        ),
        *(
            (NOT | {"trading:environment": name}, False)
            for name in ("product-tests", "reproduction", "liveness", "dev", "local", "small")
        ),
    ],
)
def test_configuration_that_does_not_say_otherwise_is_productions(
    config: dict[str, str], expected: bool
) -> None:
    assert production.by_configuration(config) is expected


@pytest.mark.parametrize(
    ("name", "tags", "expected"),
    [
        ("dev", {}, False),
        ("prod", {}, True),
        ("Production-eu", {}, True),
        ("dev", {"environment": "dev"}, False),
        ("dev", {"Environment ": "Live"}, True),
        ("dev", {"owner": "production"}, False),
    ],
)
def test_name_and_tags_of_a_stack_can_only_make_it_production(
    name: str, tags: dict[str, str], expected: bool
) -> None:
    assert production.by_configuration(NOT, name, tags) is expected
    assert production.by_configuration(NOT | {"trading:protect": "true"}, name, tags)


@pytest.mark.parametrize(
    ("name", "tags", "expected"),
    [
        ("dev", {}, False),
        ("dev", {"environment": "dev"}, False),
        ("dev", {"environment": "prod"}, True),
        ("dev", {" ENVIRONMENT": "Prod"}, True),
        ("prod", {}, True),
    ],
)
def test_state_of_a_stack_with_a_name_or_tag_of_production_is_productions(
    name: str, tags: dict[str, str], expected: bool
) -> None:
    item = {"urn": f"urn:pulumi:{name}::trading::pulumi:pulumi:Stack::x", "type": "pulumi:pulumi:Stack"}
    given = {"defaultTags": json.dumps({"tags": tags})}
    provider = {"urn": "provider", "type": "pulumi:providers:aws", "inputs": given}
    assert production.by_state([{**item, "outputs": {"protected": False}}, provider]) is expected


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
    provider: State = {**PROVIDER, "inputs": {"region": "eu-west-1"}}
    made = plan([*state, provider, resource("aws:sns/topic:Topic")])
    assert {it.is_production for it in made.resources.values()} == {expected}
