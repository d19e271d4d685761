"""What may be deployed, and the exit status."""

from __future__ import annotations

import datetime
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from policy.exceptions import RuleException
from report import gate, model, output, page, preflight
from report.dangers import KINDS
from report.preview import Finding
from tests.report.changes import document, read, step
from tests.report.recordings import FOLDER, recorded
from tests.unit.harness import ROOT

REPLACED = step("aws:rds/cluster:Cluster", {"a": 1}, {"a": 2}, operation="replace", replace_keys=["a"])
LABEL = "allow: replace database"


def verdict(*labels: str) -> str:
    return model.build(read(REPLACED), labels).verdict


def test_danger_blocks_without_exactly_its_label() -> None:
    assert verdict() == gate.BLOCKED
    assert verdict(LABEL) == gate.PASS
    assert verdict(" Allow: Replace Database ") == gate.PASS
    others = [f"allow: {kind}" for kind in KINDS if f"allow: {kind}" != LABEL]
    assert verdict(*others, "allow", "allow: *", "allow: replace") == gate.BLOCKED


def test_reason_names_the_label() -> None:
    (reason,) = model.build(read(REPLACED)).reasons
    assert (reason.text, reason.label) == ("replace database: 1 time", LABEL)


@pytest.mark.parametrize(
    ("severity", "blocks"), [("mandatory", True), ("advisory", False), ("warning", False)]
)
def test_findings_block_if_the_deployment_would_fail(severity: str, blocks: bool) -> None:
    finding = Finding(source="policy pack", severity=severity, urn="", text="exceptions.yaml: … expired")
    reasons = gate.reasons([], [finding], [f"allow: {kind}" for kind in KINDS])
    assert bool(reasons) == blocks
    assert all(reason.label == "" for reason in reasons)


ENTRY = {
    "resources": ["aws:s3/bucket:Bucket::logs"],
    "reason": "they are right as they are",
    "owner": "team",
    "expires": "2026-01-31",
}


def test_exception_that_has_expired_blocks_also_if_it_is_from_a_check_of_checkov() -> None:
    entries = [
        RuleException.model_validate({"rule": rule, **ENTRY}) for rule in ("CKV_AWS_1", "bucket-is-encrypted")
    ]
    assert preflight.expired(entries, datetime.date(2026, 1, 31)) == []
    found = preflight.expired(entries, datetime.date(2026, 2, 1))
    assert [item.blocks for item in found] == [True, True]
    # The policy pack reports those from its own rules in the same words.
    preview = read(REPLACED)
    built = model.build(replace(preview, findings=found[1:]), [LABEL], more=found)
    assert len(built.findings) == 2
    assert built.verdict == gate.BLOCKED


def test_cost_is_estimated_if_unchanged_resources_are_shown() -> None:
    before, after = model.costs(recorded("all"))
    assert before
    assert after
    assert 0 < after.total < before.total  # one alarm less
    assert model.costs(recorded("changes", policies=True)) == (None, None)


def test_failure_of_the_report_itself_is_no_verdict(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: object) -> str:
        raise KeyError("x")

    monkeypatch.setattr(page, "render", broken)
    assert output.write(read(REPLACED), [LABEL], tmp_path) == gate.UNREADABLE
    assert json.loads((tmp_path / "report.json").read_text())["verdict"] == gate.BLOCKED


def report(preview: str, *options: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "report", "--preview", "-", "--out", str(folder), *options],
        cwd=ROOT,
        input=preview,
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize(
    ("preview", "options", "status", "printed"),
    [
        (document(REPLACED), [], 1, "**Blocked**"),
        (document(REPLACED), ["--label", LABEL], 0, "**Pass**"),
        ((FOLDER / "nothing.json").read_text(), [], 0, "touches no resource"),
        ((FOLDER / "broken.json").read_text(), [], 2, "there is no such region"),
        ((FOLDER / "changes.json").read_text(), [], 2, "--event-log FILE"),
        (
            (FOLDER / "changes.json").read_text(),
            ["--events", str(FOLDER / "changes.events")],
            1,
            "**Blocked**",
        ),
        ("", [], 2, "it is empty"),
        ("", ["--events", "/does/not/exist"], 2, "No such file"),
    ],
)
def test_exit_status_and_files(
    tmp_path: Path, preview: str, options: list[str], status: int, printed: str
) -> None:
    done = report(preview, *options, folder=tmp_path / "new" / "out")
    assert (done.returncode, printed in done.stdout + done.stderr) == (status, True), done
    written = json.loads((tmp_path / "new" / "out" / "report.json").read_text())
    assert written["verdict"] == ("pass" if status == 0 else "blocked")
    assert {"counts", "verdict", "dangers", "changes", "cost", "findings"} <= written.keys()
    assert (tmp_path / "new" / "out" / "report.html").read_text().startswith("<!doctype html>")
    markdown = (tmp_path / "new" / "out" / "report.md").read_text()
    assert markdown == done.stdout if status < 2 else done.stderr.split("\n")[0][7:40] in markdown


def test_json_has_dangers_changes_and_both_values_of_each_property(tmp_path: Path) -> None:
    report(document(REPLACED), folder=tmp_path)
    written = json.loads((tmp_path / "report.json").read_text())
    assert written["counts"] == {"replace": 1, "same": 0}
    (danger,) = written["dangers"]
    assert (danger["urn"], danger["kind"], danger["label"]) == (REPLACED["urn"], "replace database", LABEL)
    assert danger["text"].startswith("replaced because of a: 1 → 2. ")
    (change,) = written["changes"]
    assert change["properties"] == {"a": {"old": 1, "new": 2, "replaces": True}}
    assert written["cost"] == {"before": 0, "after": 0, "byTier": {}, "unpriced": [], "byTraffic": []}
