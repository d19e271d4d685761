"""The engine's commands, with a stand-in for the engine."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from account.__main__ import main
from account.question import Answer, ask
from account.verify.engine import Engine, EngineError, unchanged


def stand_in(folder: Path, monkeypatch: pytest.MonkeyPatch, text: str, status: int = 0) -> Engine:
    """An engine that prints a text, and keeps its arguments."""
    (folder / "text").write_text(text)
    command = folder / "pulumi"
    command.write_text(f'#!/bin/sh\necho "$*" >>{folder}/calls\ncat {folder}/text\nexit {status}\n')
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    return Engine("dev")


def preview(*operations: str) -> str:
    steps = [{"op": item, "urn": f"urn:pulumi:dev::trading::x::{item}-1"} for item in operations]
    return "Previewing update (dev):\n" + json.dumps({"steps": steps})


def asked(engine: Engine) -> Answer:
    return ask("second-preview", "", "pulumi", "preview", unchanged).answer(engine)


def test_empty_preview_passes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = asked(stand_in(tmp_path, monkeypatch, preview("same", "read")))
    assert answer == Answer("pass", "a second preview is empty")
    assert (tmp_path / "calls").read_text() == "preview --json --non-interactive --stack dev\n"


def test_changes_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = asked(stand_in(tmp_path, monkeypatch, preview(*["update"] * 6, "delete")))
    assert answer.status == "fail"
    assert answer.found.startswith("a deployment would update update-1, ")
    assert answer.found.endswith(" and 2 others")


def test_preview_that_fails_is_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = asked(stand_in(tmp_path, monkeypatch, "error: no access to the state\n", status=255))
    assert answer.status == "unknown"
    assert "ended with 255: error: no access to the state" in answer.found


def test_engine_that_is_missing_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EngineError, match="pulumi can't be run: No such file"):
        Engine("dev").export()
    assert asked(Engine("dev")).remedy.startswith("install the Pulumi CLI")
    assert main(["verify", "--stack", "dev"]) == 2
    assert "No such file or directory: install the Pulumi CLI" in capsys.readouterr().err


def test_state_is_exported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert stand_in(tmp_path, monkeypatch, '{"deployment": {}}').export() == '{"deployment": {}}'
    assert (tmp_path / "calls").read_text() == "stack export --stack dev\n"
