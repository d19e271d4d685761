"""The report of a pull request in the sandbox, with a stand-in for `make`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import sandbox_report

from tests.workflows.programs import Programs


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Programs:
    monkeypatch.chdir(tmp_path)
    labels = [{"name": "allow: replace database"}, {"name": '"; $(touch evil) `x` $$'}]
    (tmp_path / "event.json").write_text(json.dumps({"pull_request": {"labels": labels}}))
    monkeypatch.setenv("GITHUB_EVENT_PATH", str(tmp_path / "event.json"))
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    return Programs(tmp_path / "bin", monkeypatch)


WRITE = "pathlib.Path('out').mkdir()\npathlib.Path('out/report.md').write_text(os.environ['LABELS'])\n"


@pytest.mark.parametrize("status", [0, 2])
def test_report_of_the_base_and_the_labels_is_kept(programs: Programs, tmp_path: Path, status: int) -> None:
    programs.add("make", f"{WRITE}sys.exit({status})\n")
    assert sandbox_report.main(["prod", "out"]) == bool(status)
    assert programs.calls("make") == [
        ["--no-print-directory", "diff", "BASE=HEAD^1", "STACK=prod", "OUT=out"]
    ]
    assert (tmp_path / "out/report.md").read_text() == 'allow: replace database\n"; $(touch evil) `x` $$'
    assert (tmp_path / "summary.md").read_text().startswith("allow: replace database")


@pytest.mark.parametrize("status", [0, 2])
def test_report_that_is_missing_is_replaced_by_the_reason(
    programs: Programs, tmp_path: Path, status: int
) -> None:
    programs.add("make", f"print('x\\n' * 100 + 'error: ``` no such base')\nsys.exit({status})\n")
    assert sandbox_report.main(["prod", "out"]) == 1
    text = (tmp_path / "out/report.md").read_text()
    assert text.startswith("**The changes to prod could not be previewed.**\n\n````\nx\n")
    assert text.endswith("error: ``` no such base\n````\n")
    assert text.count("x\n") == 59


def test_event_without_a_pull_request_has_no_labels() -> None:
    assert sandbox_report.labels({}) == []
