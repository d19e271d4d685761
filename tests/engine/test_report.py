"""The report on a change of a small program, which the real engine previews."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from report import causes, dangers, preview
from report.preview import Preview
from tests.report.recordings import AFTER, Recorder, recorded


def seen(found: Preview) -> tuple[dict[str, tuple[str, list[str]]], list[tuple[str, str]]]:
    """The operation and paths of each resource, and the dangers."""
    changes = {
        change.name: (change.operation, [item.path for item in change.differences])
        for change in found.changes
    }
    judged = dangers.find(causes.explain(found.changes))
    return changes, [(item.kind, item.urn) for item in judged]


def test_engine_still_writes_what_the_recordings_have(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If not, run `python -m tests.report.recordings`, and review what differs."""
    monkeypatch.setenv("PULUMI_DEBUG_COMMANDS", "true")
    project = Recorder.start(tmp_path)
    log = tmp_path / "events"
    printed = project.document(AFTER, "--policy-pack", "policy/pack", "--event-log", str(log))
    found, known = preview.read(json.dumps(printed), log.read_text()), recorded("changes", policies=True)
    assert seen(found) == seen(known)
    assert {item.text for item in found.findings} == {item.text for item in known.findings}
