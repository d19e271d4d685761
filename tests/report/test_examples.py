"""The reports of example pull requests are as committed."""

from __future__ import annotations

import pytest

from tests.report.examples import FOLDER, names, rendered


@pytest.mark.parametrize("name", names())
def test_report_is_as_committed(name: str) -> None:
    """After an intended change, run `make golden` and review the diff."""
    for file, text in rendered(name).items():
        assert (FOLDER / name / file).read_text() == text, f"{name}/{file}"
        assert file != "report.md" or len(text) < 65_536


def test_each_example_has_its_files() -> None:
    assert names()
    for name in names():
        files = {path.name for path in (FOLDER / name).iterdir()}
        assert files - {"events", "cost.json"} == {"preview.json", "report.md", "verdict.json"}
