"""Each list of a stack file grows until a quota stops it, and the error names the key and the limit."""

from __future__ import annotations

import json
import re
from typing import Any, get_args

import pytest

from settings import Region
from settings.aws_limits import ALARM_NAME_LENGTH, SUBJECT_LENGTH
from settings.quotas import api_resources
from tests.policy.stacks import findings, stack_of
from tests.unit.harness import deploy_platform
from tests.unit.quotas import GROWING, PAGE, Growing, errors, first_refused, grown, problems, render

BY_NAME = {growing.what: growing for growing in GROWING}
OF_SETTINGS = [growing for growing in GROWING if not growing.rule]
OF_RULES = [growing for growing in GROWING if growing.rule]

AT_THEIR_LIMITS = [
    [
        *("`services`", "services that `api.routes` expose", "`hosts` of `loadBalancer.rules`", "`tags`"),
        *("`cluster.publicAccessCidrs`", "`cluster.deployerCidrs`", "`indexes` of a table"),
    ],
    [growing.what for growing in OF_RULES],
]
"""Lists that can all be at their limits in one stack."""


def at_their_limits(names: list[str]) -> dict[str, Any]:
    return grown(*((BY_NAME[name].grow, BY_NAME[name].accepted) for name in names))


@pytest.mark.parametrize("growing", OF_SETTINGS, ids=lambda growing: growing.what)
def test_settings_reject_one_entry_more(growing: Growing) -> None:
    assert first_refused(growing) == growing.accepted + 1
    (problem,) = map(str, problems(grown((growing.grow, growing.accepted + 1))))
    assert growing.says in problem


@pytest.mark.parametrize("growing", OF_RULES, ids=lambda growing: growing.what)
def test_rule_rejects_one_entry_more(growing: Growing) -> None:
    assert problems(grown((growing.grow, growing.accepted + 1))) == []
    assert growing.says in errors()[growing.what]


@pytest.mark.parametrize("names", AT_THEIR_LIMITS, ids=["settings", "rules"])
def test_lists_at_their_limits_can_be_deployed(names: list[str]) -> None:
    values = at_their_limits(names)
    assert problems(values) == []
    assert findings(stack_of(deploy_platform("small", values))) == []


def test_resources_of_an_api_are_counted_like_its_paths() -> None:
    graph = deploy_platform("small", at_their_limits(AT_THEIR_LIMITS[0]))
    paths = json.loads(graph.only("aws:apigateway/restApi:RestApi").inputs["body"])["paths"]
    # Each of the 48 services has a path and what lies below it, except orders, whose path isn't a route.
    root, api, orders, health = 1, 1, 1, 1
    assert len(api_resources(paths)) == root + api + orders + health + 2 * 47


def test_alarm_of_a_long_name_has_a_name_that_cloudwatch_accepts() -> None:
    def long_index(values: dict[str, Any], length: int) -> None:
        values["trading:tables"] = {
            "quotes": {
                "hashKey": {"name": "id"},
                "billing": "onDemand",
                "indexes": [{"name": "i" * length, "hashKey": {"name": "key"}}],
            }
        }

    graph = deploy_platform("small", grown((long_index, 255)))
    alarms = graph.of("aws:cloudwatch/metricAlarm:MetricAlarm")
    names = [alarm.inputs["name"] for alarm in alarms if "iii" in alarm.name]
    assert len(names) == len(set(names)) > 0
    assert {len(name) for name in names} == {ALARM_NAME_LENGTH}


def test_subjects_of_alerts_fit() -> None:
    definition = deploy_platform("small").only("aws:amp/alertManagerDefinition:AlertManagerDefinition")
    subject = re.search(r'define "trading.subject" }}(.*?){{ end', definition.inputs["definition"])
    assert subject
    longest = (
        subject[1]
        .replace("{{ .Status | toUpper }}", "RESOLVED")
        .replace("{{ .CommonLabels.service }}", "s" * 24)
        .replace("us-east-1", max(get_args(Region), key=len))
    )
    assert "{{" not in longest
    assert len(longest) <= SUBJECT_LENGTH


def test_table_in_the_docs_is_not_stale() -> None:
    page = PAGE.read_text()
    assert render(page) == page, "the limits have changed: make golden, and review the diff"
