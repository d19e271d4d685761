"""The page: its structure, and that nothing from a pull request acts in it."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from report import drawing, model, page
from report.model import Report
from report.tiers import SHARED, TIERS
from tests.report.changes import read, step
from tests.report.recordings import recorded
from tests.report.test_markdown import HOSTILE

VOID = frozenset({"meta", "br", "hr", "img", "input", "link"})


class Parsed(HTMLParser):
    """The elements of a page, which must be closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID and not (self.get_starttag_text() or "").endswith("/>"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if not (self.get_starttag_text() or "").endswith("/>") or tag not in ("path", "rect"):
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))


def report() -> Report:
    return model.build(recorded("changes", policies=True))


@pytest.mark.parametrize("name", ["small-values", "small-network", "small-tags", "nothing"])
def test_page_is_well_formed_and_loads_nothing(name: str) -> None:
    text = page.render(model.build(recorded(name)))
    parsed = Parsed(text)
    assert parsed.open == []
    assert not {tag for tag, _ in parsed.elements} & {"script", "img", "link", "iframe", "object", "form"}
    links = [str(attrs["href"]) for _, attrs in parsed.elements if "href" in attrs]
    assert all(link.startswith("#") for link in links)
    assert not re.search(r"url\((?!#)|@import|https?://", text)
    (policy,) = [attrs["content"] for _, attrs in parsed.elements if "http-equiv" in attrs]
    assert str(policy).startswith("default-src 'none'")


def test_each_link_of_the_drawing_leads_to_a_tier() -> None:
    parsed = Parsed(page.render(model.build(recorded("small-values"))))
    ids = {attrs["id"] for _, attrs in parsed.elements if "id" in attrs}
    links = {str(attrs["href"]).removeprefix("#") for tag, attrs in parsed.elements if tag == "a"}
    assert links
    assert links <= ids


def test_drawing_has_all_tiers_twice_and_highlights_those_that_change() -> None:
    text = drawing.drawing({"MSK": {"update": 3}, SHARED: {"delete": 1}}, frozenset({SHARED}))
    shown = re.sub(r"</text>\s*<text[^>]*>", " ", text)
    for tier in TIERS:
        assert shown.count(f">{tier}") == 2, tier
    assert len(re.findall('class="tier changed"', text)) == 2
    assert len(re.findall('class="tier danger"', text)) == 2
    assert len(re.findall('class="tier same"', text)) == 16
    assert "⚠ -1" in text
    assert "~3" in text


def test_page_says_what_the_comment_says() -> None:
    text = Parsed(page.render(report())).text
    for part in (
        "blocked",
        "allow: replace table",
        "replaced because of hashKey: id → key",
        "may now s3:PutObject on arn:aws:s3:::a/*",
        "security-group-admits-no-internet",
        "Fixed monthly cost: not estimated",
    ):
        assert part in text


def test_nothing_from_a_pull_request_acts_in_the_page() -> None:
    steps = [
        step("aws:sqs/queue:Queue", {HOSTILE: "a", "b": HOSTILE}, {HOSTILE: "b", "b": "b"}, name=HOSTILE),
        step("aws:rds/cluster:Cluster", {"a": HOSTILE}, {"a": "b"}, operation="replace", name=HOSTILE),
        step("aws:iam/role:Role", None, {"a": HOSTILE}, name=f"{HOSTILE} 3"),
    ]  # fmt: skip
    text = page.render(model.build(read(*steps)))
    parsed = Parsed(text)
    assert parsed.open == []
    assert "script" not in {tag for tag, _ in parsed.elements}
    assert "alert(1)" in parsed.text
    assert "\u202e" not in text
    assert Parsed(page.failed(HOSTILE)).open == []


def test_both_color_schemes_define_the_same_colors() -> None:
    style = re.findall(r"(?s)<style>(.*?)</style>", page.render(report()))[0]
    light, dark = re.findall(r"(?s):root \{(.*?)\}", style)
    names = [set(re.findall(r"--[\w-]+(?=:)", part)) for part in (light, dark)]
    assert names[0] == names[1]
    assert set(re.findall(r"var\((--[\w-]+)\)", style)) <= names[0]
