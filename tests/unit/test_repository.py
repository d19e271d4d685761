"""The repository's tooling: `make help`, commit hooks, workflows, updates and releases."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from policy.values import read_yaml
from tests.unit.harness import ROOT

GITHUB = ROOT / ".github"
WORKFLOWS = sorted([*GITHUB.glob("workflows/*.yaml"), *GITHUB.glob("actions/*/action.yaml")])
RELEASE_NOTES = GITHUB / "scripts" / "release_notes.py"


def read(path: str) -> Any:
    return read_yaml(ROOT / path)


def make(*arguments: str) -> str:
    return subprocess.run(
        ["make", "--no-print-directory", *arguments], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout


def test_help_lists_every_command_and_is_what_make_alone_does() -> None:
    makefile = (ROOT / "Makefile").read_text()
    (commands,) = re.findall(r"^\.PHONY: (.+)$", makefile, re.MULTILINE)
    listed = [line.split()[1] for line in make("help").splitlines()]
    assert sorted(listed) == sorted(commands.split())
    assert make() == make("help")


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.relative_to(GITHUB).as_posix())
def test_workflow_runs_only_actions_pinned_by_commit(path: Path) -> None:
    used = re.findall(r"uses: *(\S+.*)$", path.read_text(), re.MULTILINE)
    unpinned = [
        use for use in used if not re.fullmatch(r"\./.*|[\w./-]+@[0-9a-f]{40} # v[\d.]+", use.strip())
    ]
    assert unpinned == []


@pytest.mark.parametrize("path", sorted(GITHUB.glob("workflows/*.yaml")), ids=lambda path: path.name)
def test_workflow_has_no_permission_but_those_of_its_jobs(path: Path) -> None:
    assert read_yaml(path)["permissions"] in ({}, {"contents": "read"})


def test_updates_are_proposed_for_everything_that_is_pinned() -> None:
    updates = {update["package-ecosystem"]: update for update in read(".github/dependabot.yml")["updates"]}
    folders = {kind: {*update["directories"]} for kind, update in updates.items()}
    tools = [path for path in (ROOT / "tools").rglob("*") if path.is_file()]
    modules = {f"/{path.parent.relative_to(ROOT)}" for path in tools if path.name == "go.mod"}
    requirements = {
        f"/{path.parent.relative_to(ROOT)}" for path in tools if path.name.endswith("requirements.txt")
    }
    assert folders["gomod"] == modules
    assert folders["pip"] == {"/", *requirements}
    assert "/.github/actions/*" in folders["github-actions"]


def test_commit_hooks_run_the_projects_own_tools() -> None:
    configuration = read(".pre-commit-config.yaml")
    assert [repository["repo"] for repository in configuration["repos"]] == ["local"]
    hooks = configuration["repos"][0]["hooks"]
    assert {hook["language"] for hook in hooks} == {"system"}
    assert all(".venv/bin/" in hook["entry"] for hook in hooks)


@pytest.mark.parametrize(("key", "fails"), [("settingsVersion", False), ("nonsense", True)])
def test_commit_hook_checks_every_stack_file(tmp_path: Path, key: str, fails: bool) -> None:
    (hook,) = (h for h in read(".pre-commit-config.yaml")["repos"][0]["hooks"] if h["id"] == "stack-files")
    small = (ROOT / "tests/stacks/small.yaml").read_text()
    (tmp_path / "Pulumi.a.yaml").write_text(small.replace("trading:settingsVersion", f"trading:{key}"))
    (tmp_path / "Pulumi.b.yaml").write_text(small)
    for name in (".venv", "settings", "Pulumi.yaml"):
        (tmp_path / name).symlink_to(ROOT / name)
    command = shlex.split(hook["entry"])
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (result.returncode != 0, "Pulumi.a.yaml" in result.stderr) == (fails, fails)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "pyproject.toml").write_text('[project]\nversion = "1.2.0"\n')
    (tmp_path / "CHANGELOG.md").write_text(
        "# Changelog\n\n## 1.2.0 – 2026-03-04\n\n### Added\n\n- It.\n\n## 1.1.0 – 2026-01-01\n\n- Before.\n"  # noqa: RUF001
    )
    return tmp_path


def release_notes(tag: str, project: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, RELEASE_NOTES, tag], cwd=project, capture_output=True, text=True, check=False
    )


def test_notes_of_a_release_are_its_section_of_the_changelog(project: Path) -> None:
    assert release_notes("v1.2.0", project).stdout == "### Added\n\n- It.\n"


def test_release_whose_tag_is_not_the_version_is_refused(project: Path) -> None:
    result = release_notes("v1.1.0", project)
    assert result.returncode == 1
    assert result.stderr == (
        "error: the tag is v1.1.0, but the version in pyproject.toml is 1.2.0: tag v1.2.0\n"
    )


def test_release_without_a_dated_section_is_refused(project: Path) -> None:
    changelog = project / "CHANGELOG.md"
    changelog.write_text(changelog.read_text().replace("2026-03-04", "unreleased"))
    result = release_notes("v1.2.0", project)
    assert result.returncode == 1
    assert "no section for 1.2.0 with a date" in result.stderr


def test_changelog_begins_with_the_version_of_the_project() -> None:
    """Otherwise, the release of the current version would not find its section."""
    (heading, *_) = re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert f'version = "{heading}"' in (ROOT / "pyproject.toml").read_text()
