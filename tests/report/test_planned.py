"""The resources of a planned stack, from the documents that the engine prints."""

from __future__ import annotations

import json
from typing import Any

import pytest

from report.planned import PlannedError, region_of, resources

URN = "urn:pulumi:prod::trading::"


def state(name: str, **more: Any) -> dict[str, Any]:
    return {"urn": f"{URN}aws:s3/bucket:Bucket::{name}", "type": "aws:s3/bucket:Bucket", "inputs": {}, **more}


def step(operation: str, name: str, **more: Any) -> dict[str, Any]:
    made = {"op": operation, "urn": state(name)["urn"]}
    return made if operation in ("delete", "delete-replaced") else {**made, "newState": state(name, **more)}


def names(document: dict[str, Any]) -> list[str]:
    return [item["urn"].rsplit("::", 1)[-1] for item in resources(json.dumps(document), "the file")]


def test_a_preview_has_the_resources_after_the_deployment() -> None:
    operations = [
        *("same", "create", "update", "replace", "create-replacement", "import", "import-replacement"),
        *("delete", "delete-replaced", "read", "read-replacement", "discard", "discard-replaced"),
        *("refresh", "remove-pending-replace"),
    ]
    document = {"steps": [step(name, name) for name in operations], "changeSummary": {"same": 1}}
    assert names(document) == operations[:7]


def test_a_replaced_resource_counts_once() -> None:
    steps = [step("create-replacement", "a"), step("replace", "a"), step("delete-replaced", "a")]
    assert names({"steps": steps}) == ["a"]


def test_an_export_has_the_resources_that_the_stack_owns() -> None:
    held = [state("a"), state("old", delete=True), state("found", external=True)]
    assert names({"version": 3, "deployment": {"resources": held}}) == ["a"]
    assert names({"version": 3, "deployment": {}}) == []


def test_a_preview_without_its_unchanged_resources_is_refused() -> None:
    document = {"steps": [step("create", "a")], "changeSummary": {"create": 1, "same": 7}}
    with pytest.raises(PlannedError, match=r"leaves out 7 unchanged resources.*--show-sames"):
        names(document)


def test_a_failed_preview_is_refused() -> None:
    diagnostics = [
        {"severity": "warning", "message": "ignored"},
        {"severity": "error", "message": "no bucket\n"},
    ]
    with pytest.raises(PlannedError, match=r"the file failed:\nno bucket$"):
        names({"steps": [step("create", "a")], "diagnostics": diagnostics})


@pytest.mark.parametrize(
    "text",
    [
        *("", "[]", "7", "{", "{}", '{"steps": 1}', '{"deployment": {"resources": 3}}', "[" * 100_000),
        '{"deployment": {"resources": [{"urn": "x", "type": "t"}]}}',
        '{"steps": [{"op": "create", "urn": "x"}]}',
    ],
)
def test_other_documents_are_refused(text: str) -> None:
    with pytest.raises(PlannedError, match="the file is neither the output of `pulumi preview --json"):
        resources(text, "the file")


def test_region_is_the_resources_own_or_its_providers() -> None:
    urn = f"{URN}pulumi:providers:aws::eu"
    known = {urn: {"urn": urn, "inputs": {"region": "eu-west-1"}}}
    of = {"provider": f"{urn}::1234"}
    assert region_of(state("a", **of), known) == "eu-west-1"
    assert region_of(state("a", **of, inputs={"region": "us-east-1"}), known) == "us-east-1"
    assert region_of(state("a", provider=f"{URN}pulumi:providers:aws::other::1"), known) is None
