"""Every stack file of the project can be previewed in the sandbox with the policy pack."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.engine.project import Project
from tests.unit.harness import ROOT

FILES = sorted(ROOT.glob("Pulumi.*.yaml"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_stack_file_previews(path: Path, tmp_path: Path) -> None:
    project = Project(ROOT, tmp_path / "sandbox")
    output = project.sandbox_command("preview", "--stack", path.name.split(".")[1])
    assert "trading:tier:Monitoring" in output
