"""Everything that the documentation names exists: files, links, commands, settings and names in the code."""

from __future__ import annotations

import functools
import importlib.util
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from settings import Settings
from tests.unit.harness import ROOT, stack_values, without_namespace

PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for pattern in ("*.md", "docs/**/*.md", "database/*.md", ".github/*.md")
    for path in ROOT.glob(pattern)
)
LIVING = [page for page in PAGES if page != "CHANGELOG.md"]
"""All pages except for the changelog, which also names things that no longer exist."""
FOLDERS = "|".join(
    re.escape(path.name)
    for path in ROOT.iterdir()
    if path.is_dir() and path.name not in {".git", ".venv", ".tools", ".sandbox"}
)
WRITTEN = "bootstrap/deployer/"
"""A folder that only the commands of docs/deployment.md write, in a user's own repository."""
FENCE = re.compile(r"^ *```(\w*)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)


def text(page: str) -> str:
    return (ROOT / page).read_text()


def code(page: str) -> Iterator[str]:
    """The code of a page: its code blocks and its inline code."""
    for fence in FENCE.finditer(text(page)):
        yield fence[2]
    yield from spans(page)


def spans(page: str) -> list[str]:
    return re.findall(r"`([^`]+)`", FENCE.sub("", text(page)))


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub generates for a page's headings."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_to_pages_and_headings(page: str) -> None:
    broken: list[str] = []
    for link in re.findall(r"\]\((?!https?://)([^)\s]+)\)", FENCE.sub("", text(page))):
        path, _, anchor = link.partition("#")
        target = (ROOT / page).parent / path if path else ROOT / page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


@pytest.mark.parametrize("page", LIVING)
def test_paths_exist(page: str) -> None:
    links_removed = re.sub(r"\]\([^)]*\)", "]", text(page))
    paths = set(re.findall(rf"(?<![\w./$:-])((?:{FOLDERS})/[\w./*-]*[\w/*])", links_removed))
    beside = (ROOT / page).parent
    paths = {path for path in paths if not path.startswith(WRITTEN)}
    assert sorted(path for path in paths if not any(ROOT.glob(path)) and not any(beside.glob(path))) == []


@pytest.mark.parametrize("page", LIVING)
def test_commands_exist(page: str) -> None:
    targets = re.findall(r"^([a-z-]+):", text("Makefile"), re.MULTILINE)
    found = "\n".join(code(page))
    assert sorted(set(re.findall(r"\bmake ([a-z-]+)", found)) - {*targets}) == []
    modules = set(re.findall(r"\bpython -m ([\w.]+)", found))
    assert sorted(module for module in modules if not importlib.util.find_spec(module)) == []


@functools.cache
def schema() -> dict[str, Any]:
    return json.loads(text("settings.schema.json"))


def is_setting(key: str) -> bool:
    """Whether a stack file can contain the key, such as `cluster.publicAccessCidrs`."""

    def has(node: dict[str, Any], path: list[str]) -> bool:
        for choice in (node, *node.get("anyOf", ())):
            target = schema()["$defs"][choice["$ref"].rsplit("/", 1)[-1]] if "$ref" in choice else choice
            found = target.get("properties", {}).get(path[0])
            if found and (len(path) == 1 or has(found, path[1:])):
                return True
        return False

    first, *rest = key.split(".")
    return has(schema()["properties"]["config"], [f"trading:{first}", *rest])


def test_settings_exist() -> None:
    named = {
        (page, name)
        for page in LIVING
        for name in re.findall(r"`(?:trading:)?([a-z]\w+(?:\.[a-z]\w+)+)(?::[^`]*)?`", text(page))
        if is_setting(name.split(".")[0])
    }
    assert len(named) > 30
    assert sorted((page, name) for page, name in named if not is_setting(name)) == []


@pytest.mark.parametrize(
    "example", [part for kind, part in FENCE.findall(text("docs/configuration.md")) if kind == "yaml"]
)
def test_example_of_a_stack_file_is_accepted(example: str) -> None:
    values = stack_values("small")
    for key, value in yaml.safe_load(example).items():
        values[key] = {**values.get(key, {}), **value}
    assert Settings.parse(without_namespace(values))


def test_names_in_the_steps_for_contributors_exist() -> None:
    sources = "\n".join(
        path.read_text()
        for folder in ("components", "settings", "tests/unit")
        for path in (ROOT / folder).rglob("*.py")
    )
    names = [span for span in spans("CONTRIBUTING.md") if re.fullmatch(r"\w+", span)]
    assert "Signal" in names
    defined = r"\b(class|def) {0}\b|^{0}\b.*=|\.{0}\("
    missing = [
        name
        for name in names
        if not is_setting(name) and not re.search(defined.format(name), sources, re.MULTILINE)
    ]
    assert missing == []
