"""How differences are shown."""

from __future__ import annotations

import json
from typing import Any

from report.structure import Block, Entry, Line, entries, shown
from tests.report.changes import allow, policy, read, step
from tests.report.recordings import recorded


def shown_of(old: Any, new: Any, token: str = "aws:iam/rolePolicy:RolePolicy") -> list[Entry]:
    (change,) = read(step(token, {"p": old}, {"p": new})).changes
    return entries(change, change.differences)


def test_short_values_are_side_by_side() -> None:
    assert shown_of(1, 2) == [Line(path="p", old="1", new="2")]
    assert shown_of({"a": ["x"]}, {"a": ["x", "y"]}) == [Line(path="p.a[1]", old="", new="y")]
    assert shown_of("a", {"b": True}) == [Line(path="p", old="a", new='{"b": true}')]


def test_policies_are_compared_statement_by_statement() -> None:
    first, second = allow("s3:GetObject", Sid="First"), allow("s3:PutObject", Sid="Second")
    new = [second, {**first, "Action": ["s3:GetObject", "s3:ListBucket"]}]
    assert shown_of(policy(first, second), policy(*new)) == [
        Line(
            path='p → Statement["Sid=First"].Action',
            old="s3:GetObject",
            new='["s3:GetObject", "s3:ListBucket"]',
        )
    ]


def test_order_of_what_has_an_id_does_not_matter() -> None:
    first, second = allow("s3:GetObject", Sid="First"), allow("s3:PutObject", Sid="Second")
    assert shown_of(policy(first, second), policy(second, first)) == []


def test_texts_are_compared_line_by_line() -> None:
    old = "\n".join(f"line {number}" for number in range(20))
    (block,) = shown_of(old, old.replace("line 9", "line nine"))
    assert isinstance(block, Block)
    assert block.lines == ["@ line 8", " line 7", " line 8", "-line 9", "+line nine", " line 10", " line 11"]


def test_long_texts_of_one_line_show_the_parts_that_differ() -> None:
    (line,) = shown_of("x" * 300 + "old" + "y" * 300, "x" * 300 + "new" + "y" * 300)
    assert isinstance(line, Line)
    assert line.old == f"…{'x' * 20}old{'y' * 20}…"
    assert line.new == f"…{'x' * 20}new{'y' * 20}…"


def test_objects_of_kubernetes_are_shown_as_manifests() -> None:
    change = next(
        change
        for change in recorded("small-values").changes
        if change.type == "kubernetes:apps/v1:Deployment"
    )
    (block,) = entries(change, change.differences)
    assert isinstance(block, Block)
    assert "-            cpu: 100m" in block.lines
    assert "+            cpu: 200m" in block.lines
    assert len(block.lines) < 40


def test_config_maps_are_compared_by_the_lines_of_their_files() -> None:
    def config(text: str) -> dict[str, Any]:
        return {"apiVersion": "v1", "kind": "ConfigMap", "data": {"app.ini": text}}

    (change,) = read(step("kubernetes:core/v1:ConfigMap", config("a=1\nb=2\n"), config("a=1\nb=3\n"))).changes
    (block,) = entries(change, change.differences)
    assert isinstance(block, Block)
    assert [line for line in block.lines if line[0] in "+-"] == ["-    b=2", "+    b=3"]


def test_secrets_of_kubernetes_are_not_shown() -> None:
    def secret(text: str) -> dict[str, Any]:
        return {"apiVersion": "v1", "kind": "Secret", "stringData": {"password": text}}

    (change,) = read(
        step(
            "kubernetes:core/v1:Secret", secret("hunter2"), secret("hunter3"), detail={"stringData": "update"}
        )
    ).changes
    assert "hunter" not in json.dumps([str(item) for item in entries(change, change.differences)])


def test_values_within_a_sentence_are_short() -> None:
    assert shown("a\nb") == "a b"
    assert len(shown("x" * 1000)) == 100
    assert shown("[unknown]") == "known after the deployment"
