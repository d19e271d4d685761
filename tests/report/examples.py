"""Previews of example pull requests, with their rendered reports.

`python -m tests.report.examples` renews the reports, as `make golden` does. To add an example, run
`python -m tests.report.examples NAME --preview FILE [--events FILE]` with the output of
`pulumi preview --json` and the file of `--event-log`.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from report import document, markdown, model, preview
from report.model import Report
from tests.report.recordings import policy_events, trimmed

FOLDER = Path(__file__).with_name("examples")


def names() -> list[str]:
    """The examples, by name."""
    return sorted(path.parent.name for path in FOLDER.glob("*/preview.json"))


def report_of(name: str) -> Report:
    """The report of an example."""
    folder = FOLDER / name
    events = folder / "events"
    found = preview.read((folder / "preview.json").read_text(), events.read_text() if events.exists() else "")
    return model.build(found)


def rendered(name: str) -> dict[str, str]:
    """File name → its text, for the files that are generated of an example.

    The verdict file has what `report.json` says beside the changes, which the preview has already.
    """
    report = report_of(name)
    written = {key: value for key, value in document.document(report).items() if key != "changes"}
    text = markdown.render(report)
    written["length"] = len(text)
    return {"report.md": text, "verdict.json": json.dumps(written, indent=1, ensure_ascii=False) + "\n"}


def add(name: str, printed: str, events: str) -> None:
    """Adds an example, without what the report doesn't read."""
    whole: Mapping[str, Any] = json.loads(printed[printed.index("{\n") :])
    folder = FOLDER / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "preview.json").write_text(json.dumps(trimmed(whole), indent=1) + "\n")
    if found := policy_events(events):
        (folder / "events").write_text(found)


def main(arguments: Sequence[str]) -> None:
    """Adds an example, or renews the reports of all."""
    parser = argparse.ArgumentParser(prog="python -m tests.report.examples", description=__doc__)
    parser.add_argument("name", nargs="?", help="the example to add, such as wider-security-group")
    parser.add_argument("--preview", type=Path, metavar="FILE")
    parser.add_argument("--events", type=Path, metavar="FILE")
    options = parser.parse_args(arguments)
    if options.name:
        add(options.name, options.preview.read_text(), options.events.read_text() if options.events else "")
    for name in names():
        for file, text in rendered(name).items():
            (FOLDER / name / file).write_text(text)
        print(f"wrote {(FOLDER / name).relative_to(Path.cwd())}")


if __name__ == "__main__":
    main(sys.argv[1:])
