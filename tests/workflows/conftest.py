"""Makes the workflows' scripts importable, as they are for each other."""

from __future__ import annotations

import sys
from collections.abc import Generator

import pytest

from tests.unit.harness import ROOT

SCRIPTS = ROOT / ".github" / "scripts"
sys.path.insert(0, str(SCRIPTS))

from tests.workflows.github_server import GitHubServer  # noqa: E402


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Generator[GitHubServer]:
    """A GitHub with one repository, and the variables of a workflow's step in it."""
    with GitHubServer() as found:
        monkeypatch.setenv("GITHUB_API_URL", found.url)
        monkeypatch.setenv("GITHUB_REPOSITORY", found.repository)
        monkeypatch.setenv("GITHUB_TOKEN", found.token)
        monkeypatch.setenv("GITHUB_RUN_ID", "4711")
        yield found
        assert found.violations == []
