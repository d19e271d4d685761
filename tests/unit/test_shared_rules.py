"""Rules that settings, policies and the sandbox share, and which parts of the program can import which."""

from __future__ import annotations

import ast
from collections.abc import Callable

import pytest

from settings import REQUIRED_TAGS, is_the_internet, missing_tags, pinned_chart, pinned_image
from tests.unit.harness import ROOT

KNOWS = {
    "settings": {"settings"},
    "components": {"components", "settings"},
    "composition": {"components", "composition", "settings"},
    "__main__.py": {"components", "composition", "settings"},
    # A kit for the order service's developers, who need neither the program nor its packages.
    "contract": {"contract", "functions"},
    "policy": {"policy", "settings"},
    # This command is for maintainers. It scans what the sandbox deployed.
    "policy/scan": {"policy", "sandbox", "settings"},
    # It runs the engine with the policy pack, and proves that the rules ran.
    "sandbox": {"policy", "sandbox", "settings"},
}
"""Part of the program → the parts that it can import."""


@pytest.mark.parametrize(
    ("pinned", "version"),
    [
        (pinned_image, "ghcr.io/example/orders:1.4.2"),
        (pinned_image, "registry.example.com:5000/orders@sha256:" + "0" * 64),
        (pinned_chart, "2.21.0"),
        (pinned_chart, "v1.14.0-rc.1+build.5"),
    ],
)
def test_version_that_stays_is_taken(pinned: Callable[[str], str], version: str) -> None:
    assert pinned(version) == version


@pytest.mark.parametrize(
    ("pinned", "version"),
    [
        (pinned_image, "ghcr.io/example/orders"),
        (pinned_image, "registry.example.com:5000/orders"),
        (pinned_image, "ghcr.io/example/orders:latest"),
        (pinned_chart, "2.x"),
        (pinned_chart, "2.21"),
        (pinned_chart, ">=2.21.0"),
        (pinned_chart, "2.21.0 || 2.22.0"),
    ],
)
def test_version_that_moves_is_refused(pinned: Callable[[str], str], version: str) -> None:
    with pytest.raises(ValueError, match="must"):
        pinned(version)


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        ("203.0.113.0/24", False),
        ("10.0.0.0/8", False),
        ("198.18.0.0/16", False),
        ("2600:1f00::/32", False),
        ("no network", False),
        ("0.0.0.0/0", True),
        ("128.0.0.0/1", True),
        ("52.0.0.0/8", True),
        ("::/0", True),
        ("2000::/3", True),
    ],
)
def test_internet_is_nobodys_network(block: str, expected: bool) -> None:
    assert is_the_internet(block) is expected


def test_tag_without_value_is_missing() -> None:
    tags: dict[str, str] = dict.fromkeys(REQUIRED_TAGS, "known")
    assert missing_tags(tags) == []
    assert missing_tags({**tags, "owner": ""}) == ["owner"]
    assert missing_tags(tags, (*REQUIRED_TAGS, "environment")) == ["environment"]


@pytest.mark.parametrize("part", KNOWS)
def test_part_imports_what_it_may_know(part: str) -> None:
    path = ROOT / part
    ours = {name.removesuffix(".py") for name in (*KNOWS, "functions", "tests", "tools")}
    found: set[str] = set()
    parts_of_their_own = [ROOT / other for other in KNOWS if other.startswith(f"{part}/")]
    for file in path.rglob("*.py") if path.is_dir() else [path]:
        if any(other in file.parents for other in parts_of_their_own):
            continue
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom):
                found.add(str(node.module).split(".")[0])
            elif isinstance(node, ast.Import):
                found |= {alias.name.split(".")[0] for alias in node.names}
    assert found & ours
    assert found & ours <= KNOWS[part]
