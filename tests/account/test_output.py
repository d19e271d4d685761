"""The files that `python -m account` writes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from account import __main__ as command
from tests.policy.states import fixture_state


@pytest.fixture(autouse=True)
def _planned(monkeypatch: pytest.MonkeyPatch) -> None:  # pyright: ignore[reportUnusedFunction]
    monkeypatch.setattr(command, "planned", lambda stack: fixture_state("small"))  # pyright: ignore


def test_policies_are_written_into_a_new_folder(tmp_path: Path) -> None:
    path = tmp_path / "bootstrap" / "deployer" / "dev.json"
    assert command.main(["policy", "--stack", "dev", "--out", str(path)]) == 0
    assert json.loads(path.read_text())["policies"]


@pytest.mark.parametrize("arguments", [["policy", "--stack", "dev"], ["guardrails"]])
def test_path_that_cannot_be_written_is_an_error(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "file"
    file.write_text("")
    assert command.main([*arguments, "--out", str(file / "below")]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: --out: {file}/below")
    assert "can't be written (" in error
