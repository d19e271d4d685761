"""The report as Markdown: what it says, its length, and that nothing from a pull request acts in it."""

from __future__ import annotations

import re
from decimal import Decimal

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from report import markdown, model
from report.cost import Estimate, Unpriced
from report.model import Report
from report.tiers import TIERS
from tests.report.changes import read, step
from tests.report.recordings import recorded

HOSTILE = (
    "</details><script>alert(1)</script> @somebody <!-- `code` ``` ~~~~ [link](https://example.com) "
    "![image](//example.com/a.png) #1 | **bold** \u202e www.example.com org/repo#2 &lt; \\` \n# Title\n- item"
)


def report(*labels: str) -> Report:
    return model.build(recorded("changes", policies=True), labels)


def test_dangers_come_before_the_tiers_and_the_tiers_before_the_findings() -> None:
    text = markdown.render(report())
    heads = re.findall(r"^#+ (\S+)", text, re.MULTILINE)
    assert heads == ["`local`:", "Dangers", "Shared:", "Findings"]
    assert text.index("**Blocked**") < text.index("### Dangers") < text.index("**Replace table**")


def test_tiers_are_in_the_order_of_the_architecture() -> None:
    text = markdown.render(model.build(recorded("small-values")))
    titles = re.findall(r"^### (.+): ", text, re.MULTILINE)
    assert titles == [tier for tier in TIERS if tier in titles]
    assert len(titles) > 5


def test_labels_are_named_and_allow() -> None:
    assert "label `allow: replace table`" in markdown.render(report())
    allowed = markdown.render(report("allow: replace table"))
    assert "Allowed by the label `allow: replace table`" in allowed
    assert "- replace table:" not in allowed


def test_change_that_touches_nothing_is_one_line() -> None:
    text = markdown.render(model.build(recorded("nothing")))
    assert text.count("\n") == 1
    assert "touches no resource" in text


def test_cost_before_and_after() -> None:
    def costs(total: int, *unpriced: Unpriced) -> Estimate:
        return Estimate(
            Decimal(total), {"MSK": Decimal(total)}, [], unpriced, {"aws:a/a:A": 1} if unpriced else {}
        )

    volume = Unpriced("volume gp9", "MSK", "us-east-1", None, "report/prices.yaml has no price for it")
    text = markdown.render(
        model.build(recorded("small-values"), (), costs(1000, volume), costs(1200, volume))
    )
    assert "Fixed monthly cost: 1,000 → 1,200 USD (+200: MSK +200)." in text
    assert "not in these sums: volume gp9 in us-east-1." in text
    assert "Fixed monthly cost: not estimated." in markdown.render(report())


def test_price_that_is_missing_on_one_side_makes_nothing_cheaper() -> None:
    before = Estimate(Decimal(1000), {"MSK": Decimal(1000)}, [], [], {})
    volume = Unpriced("volume gp9", "MSK", "us-east-1", None, "there is no price")
    after = Estimate(Decimal(800), {"MSK": Decimal(800)}, [], [volume], {"aws:lambda/function:Function": 1})
    text = markdown.render(model.build(recorded("small-values"), (), before, after))
    assert "Fixed monthly cost: 1,000 → 800 USD.\n" in text
    assert "-200" not in text
    assert "The difference is not known, because volume gp9 in us-east-1 is only on one side." in text
    assert "New, and paid by traffic: lambda Function." in text


def many(count: int, name: str = "resource") -> Report:
    created = [
        step("aws:iam/role:Role", None, {"name": "x" * 300, "n": number}, name=f"{name}-{number}")
        for number in range(count)
    ]
    updated = [
        step(
            "aws:sqs/queue:Queue",
            {"a": "o" * 90, "n": number},
            {"a": "n" * 90, "n": number + 1},
            name=f"q-{number}",
        )
        for number in range(count)
    ]
    replaced = step("aws:rds/cluster:Cluster", {"a": 1}, {"a": 2}, operation="replace", name="data")
    return model.build(read(replaced, *created, *updated))


@pytest.mark.parametrize("count", [1, 100, 300, 1500])
def test_comment_is_below_the_limit_of_github(count: int) -> None:
    text = markdown.render(many(count))
    assert len(text.encode("utf-16-le")) // 2 < 65_536
    assert "**Replace database** (1)" in text
    assert text.count("<details>") == text.count("</details>")


def test_detail_is_dropped_from_the_least_dangerous_end() -> None:
    whole, text = (markdown.render(many(150), limit) for limit in (10**9, 20_000))
    assert "Shortened" not in whole
    assert "**Shortened**" in text
    assert "properties of what is updated" in text.rsplit("**Shortened**", 1)[1]
    assert "report.html" in text.rsplit("**Shortened**", 1)[1]
    (kept,) = re.findall(r"replaced\*\* rds Cluster `data`\n.*", text)
    assert "`a`: `1` → `2`" in kept


def test_least_of_all_room_leaves_the_verdict_and_says_what_is_missing() -> None:
    text = markdown.render(many(1500, "long" * 50), 3_000)
    assert len(text) <= 3_000
    assert "**Blocked**" in text
    assert "**Cut here**" in text


def outside_code(text: str) -> str:
    """The text that a renderer doesn't show as code (CommonMark, "Fenced code blocks" and "Code spans")."""
    kept: list[str] = []
    fence = ""
    for line in text.splitlines():
        found = re.match(" *(`{3,})([^`]*)$", line)
        if fence:
            fence = "" if found and found[1].startswith(fence) and not found[2].strip() else fence
        elif found:
            fence = found[1]
        else:
            kept.append(
                re.sub(
                    r"\\(.)|(?<!`)(`+)(?!`)(.+?)(?<!`)\2(?!`)", lambda m: f"\\{m[1]}" if m[1] else "", line
                )
            )
    assert not fence
    return "\n".join(kept)


def test_nothing_from_a_pull_request_acts_in_a_comment() -> None:
    steps = [
        step("aws:sqs/queue:Queue", {HOSTILE: "a", "b": HOSTILE}, {HOSTILE: "b", "b": "b"}, name=HOSTILE),
        step("aws:rds/cluster:Cluster", {"a": HOSTILE}, {"a": "b"}, operation="replace", name=HOSTILE,
             replace_keys=["a"]),
        step("aws:dynamodb/table:Table", {"a": HOSTILE}, None, name=f"{HOSTILE} 2"),
        step("aws:iam/role:Role", None, {"a": HOSTILE, "b": {"c": [HOSTILE]}}, name=f"{HOSTILE} 3"),
    ]  # fmt: skip
    text = markdown.render(model.build(read(*steps)))
    rest = outside_code(text)
    assert "Replace database" in rest
    assert "<script" not in rest
    assert not re.search(r"(?<!&)@\w|(?<!\\)\[link|(?<!\\)!\[|https://|#1|www\.|\*\*bold|\u202e", rest)
    assert rest.count("</details>") == rest.count("<details>")
    assert not re.search(r"^# Title|^- item", rest, re.MULTILINE)


@settings(max_examples=80, deadline=None)
@given(st.text(st.characters(codec="utf-8"), max_size=30))
@example("```\n</details>")
@example("`")
@example("``` ~~~")
@example(" ` `` ")
def test_code_ends_where_it_should(text: str) -> None:
    for language in ("", "diff"):
        lines = markdown.fenced(text, language).split("\n")
        fence = re.match("`+", lines[0])
        assert fence
        assert not any(line.strip().startswith(fence[0]) for line in lines[1:-1])
    code = markdown.code(text)
    assert "\n" not in code
    fence = re.match("`+", code)
    assert fence
    assert fence[0] not in re.sub(f"^{fence[0]} ?|{fence[0]}$", "", code)


def test_failed_preview_gives_its_reason() -> None:
    text = markdown.failed("the preview failed:\n```\n@somebody")
    assert "blocked" in text
    assert outside_code(text).count("somebody") == 0
