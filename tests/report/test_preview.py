"""The documents of the real engine, and those that are none."""

from __future__ import annotations

import json
from typing import Any

import pytest

from policy.rule import SECRET
from report import preview
from report.differences import ABSENT, UNKNOWN
from report.preview import PreviewError, PreviewFailedError
from tests.report.changes import document, read, step
from tests.report.recordings import events, recorded, text

KEY = "aws:kms/key:Key"


def test_each_changed_resource_is_one_change() -> None:
    found = {change.name: change.operation for change in recorded("changes", policies=True).changes}
    assert found == {
        "key": "update",
        "logs": "update",
        "more-logs": "create",
        "table": "replace",
        "objects": "update",
        "errors": "update",
        "office": "update",
        "value": "replace",
        "latency": "delete",
    }


def test_steps_of_a_replacement_are_one_change() -> None:
    """With `--show-replacement-steps`, a replacement is three steps."""
    as_three = {change.urn: change for change in recorded("replacement-steps").changes}
    for change in recorded("changes", policies=True).changes:
        other = as_three.pop(change.urn)
        assert (other.operation, other.replace_keys) == (change.operation, change.replace_keys)
        assert [item.path for item in other.differences] == [item.path for item in change.differences]
    assert not as_three


def test_differences_have_old_and_new_values_and_say_what_forces_a_replacement() -> None:
    changes = {change.name: change for change in recorded("changes", policies=True).changes}
    table = {item.path: (item.old, item.new, item.replaces) for item in changes["table"].differences}
    name = table.pop("name")
    assert name[0] != name[1]
    assert table == {
        "attributes[0].name": ("id", "key", False),
        "deletionProtectionEnabled": (True, False, False),
        "hashKey": ("id", "key", True),
    }
    assert changes["table"].replace_keys == ["hashKey"]
    assert changes["more-logs"].differences[0].old is ABSENT
    assert changes["latency"].differences[0].new is ABSENT


def test_secret_that_changes_is_a_difference_although_both_values_are_masked() -> None:
    changes = {change.name: change for change in recorded("changes", policies=True).changes}
    (value,) = changes["value"].differences
    assert (value.path, value.old, value.new) == ("secretString", SECRET, SECRET)
    assert "first" not in json.dumps(changes["value"].old_state["inputs"])


def test_change_of_protection_is_a_difference() -> None:
    changes = {change.name: change for change in recorded("changes", policies=True).changes}
    assert [item.path for item in changes["key"].differences] == ["description", "(protect)"]


def test_change_of_protection_alone_is_a_change_although_the_engine_counts_none() -> None:
    same = step(KEY, {"enableKeyRotation": True}, {"enableKeyRotation": True}, operation="same", protect=True)
    found = read(same)
    assert [item.path for item in found.changes[0].differences] == ["(protect)"]
    assert (found.counts, found.unchanged) == ({"update": 1}, 0)


def test_resources_before_and_after_are_known_if_unchanged_ones_are_shown() -> None:
    found = recorded("all")
    assert found.before is not None
    assert found.after is not None
    names = [{preview.name_of(state["urn"]) for state in states} for states in (found.before, found.after)]
    assert names[0] - names[1] == {"latency"}
    assert names[1] - names[0] == {"more-logs"}
    assert len(names[0]) == len(found.before) == 15
    changed = recorded("changes", policies=True)
    assert changed.before is None
    assert (changed.unchanged, found.unchanged) == (7, 7)


def test_nothing_changes() -> None:
    found = recorded("nothing")
    assert (found.changes, found.counts, found.unchanged) == ([], {}, 15)


def test_findings_of_the_policy_pack_come_from_the_events() -> None:
    found = recorded("changes", policies=True).findings
    assert {item.severity for item in found} == {"mandatory"}
    (open_group,) = [item for item in found if item.urn.endswith("::office")]
    assert open_group.text.startswith("security-group-admits-no-internet [EC2.13")
    assert "cidrIpv4 allows 0.0.0.0/0" in open_group.text


def test_preview_that_failed_without_a_reason_in_its_document_asks_for_the_events() -> None:
    with pytest.raises(PreviewFailedError, match="--event-log FILE"):
        preview.read(text("changes"))


def test_failed_preview_gives_the_programs_error() -> None:
    with pytest.raises(PreviewFailedError, match="ValueError: there is no such region"):
        preview.read(text("broken"))


@pytest.mark.parametrize(
    ("damaged", "reason"),
    [
        ("", "it is empty"),
        ("error: no stack selected", "no JSON in it.*'error: no stack selected'"),
        (text("nothing")[:-20], "damaged or incomplete"),
        ("[1]", "no JSON in it"),
        ('{"version": 3}', "it has no steps"),
        ('{"sequence": 1, "stdoutEvent": {}}', "unset PULUMI_ENABLE_STREAMING_JSON_PREVIEW"),
        ('{"steps": [], "diagnostics": []}', "ended before its summary"),
        ('{"steps": {}, "changeSummary": {}}', "steps is not a list"),
        ('{"steps": [{"op": "same"}], "changeSummary": {}}', "no URN"),
        ('{"steps": [{"op": "same", "urn": "x"}], "changeSummary": {}}', "no URN"),
        (document(step(KEY, {}, {}, operation="upsert")), "operation 'upsert'; known are create"),
        (document(step(KEY, {}, {}) | {"oldState": "x"}), "oldState is not an object"),
        (
            document(step(KEY, {}, {})).replace('"update": 1', '"update": 2'),
            "1 of 2 steps with operation update",
        ),
        ("{" + '"a":' * 100_000, "damaged|nested too deeply"),
        ("{" + '"a":[' * 100_000, "damaged|nested too deeply"),
    ],
)
def test_what_is_no_preview_gives_one_clear_error(damaged: str, reason: str) -> None:
    with pytest.raises(PreviewError, match=reason):
        preview.read(damaged)


def test_damaged_events_give_one_clear_error() -> None:
    with pytest.raises(PreviewError, match="line 2 of the event log is not JSON"):
        preview.read(text("changes"), events("changes").replace("\n", "\n{", 1))


def test_order_of_the_engines_steps_does_not_matter() -> None:
    whole = json.loads(text("changes"))
    turned = json.dumps({**whole, "steps": whole["steps"][::-1]})
    assert preview.read(turned, events("changes")).changes == recorded("changes", policies=True).changes


def test_text_before_the_document_is_ignored() -> None:
    assert preview.read(f"warning: a new version is available\n{text('nothing')}").changes == []


def test_bookkeeping_of_providers_is_no_difference_and_a_programs_own_names_are() -> None:
    old: dict[str, Any] = {"__defaults": [], "environment": {"__defaults": [], "variables": {"__NAME": "a"}}}
    new: dict[str, Any] = {
        "__defaults": ["x"],
        "environment": {"__defaults": ["y"], "variables": {"__NAME": "b"}},
    }
    (change,) = read(step("aws:lambda/function:Function", old, new, detail={"__defaults": "update"})).changes
    assert [item.path for item in change.differences] == ["environment.variables.__NAME"]


def test_difference_that_only_the_provider_sees_is_kept() -> None:
    inputs = {"description": "as in the program"}
    changed = step(KEY, inputs, inputs, detail={"description": "update", "policy": "update"})
    changed["oldState"]["outputs"] = {"description": "as on AWS"}
    (change,) = read(changed).changes
    assert [(item.path, item.old, item.new) for item in change.differences] == [
        ("description", "as on AWS", "as in the program"),
        ("policy", ABSENT, UNKNOWN),
    ]


def test_reasons_of_the_engine_are_properties_or_paths() -> None:
    """`replaceReasons` can have whole paths. Some providers give nothing else."""
    (change,) = read(
        step(KEY, {"a": {"b": ["x"], "c": 1}}, {"a": {"b": ["y"], "c": 2}}, operation="replace",
             replace_keys=["a.b[0]", "d"])
    ).changes  # fmt: skip
    assert [(item.path, item.replaces) for item in change.differences] == [
        ("a.b[0]", True),
        ("a.c", False),
        ("d", True),
    ]


def test_position_in_a_set_that_no_side_has_is_no_difference() -> None:
    detail = {"origins[4].customHeaders": "delete", "description": "update"}
    (change,) = read(step(KEY, {"origins": ["a"]}, {"origins": ["a", "b"]}, detail=detail)).changes
    assert [item.path for item in change.differences] == ["origins[1]", "description"]


def test_computed_tags_are_left_out_beside_their_cause_only() -> None:
    detail = {"tags.team": "update", "tagsAll.team": "update"}
    (with_cause,) = read(step(KEY, {"tags": {"team": "a"}}, {"tags": {"team": "b"}}, detail=detail)).changes
    assert [item.path for item in with_cause.differences] == ["tags.team"]
    (alone,) = read(step(KEY, {}, {}, detail={"tagsAll.team": "update"})).changes
    assert [item.path for item in alone.differences] == ["tagsAll.team"]


def test_what_an_interrupted_deployment_has_left_is_no_deletion_of_the_resource() -> None:
    left = step(KEY, {"description": "old"}, None, operation="delete-replaced")
    same = step(KEY, {"description": "new"}, {"description": "new"}, operation="same")
    found = read(left, same)
    assert found.counts == {"discard": 1}
    update = step(KEY, {"description": "new"}, {"description": "newer"})
    assert read(left, update).counts == {"update": 1}


def test_reads_are_no_changes() -> None:
    assert read(step(KEY, None, {}, operation="read")).changes == []
