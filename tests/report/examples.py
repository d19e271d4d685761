"""Previews of example pull requests, with their rendered reports.

`python -m tests.report.examples` renews the reports, as `make golden` does. To add an example, run
`python -m tests.report.examples NAME --preview FILE [--events FILE]` with the output of
`pulumi preview --json --show-sames` and the file of `--event-log`. The cost is recorded, too, because an
example has only the resources that change.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from report import document, markdown, model, preview
from report.cost import Estimate, Unpriced
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
    costs = folder / "cost.json"
    sides: Mapping[str, Any] = json.loads(costs.read_text()) if costs.exists() else {}
    return model.build(found, (), _estimate(sides.get("before")), _estimate(sides.get("after")))


def _estimate(side: Mapping[str, Any] | None) -> Estimate | None:
    if side is None:
        return None
    by_tier = {tier: Decimal(usd) for tier, usd in side["by_tier"].items()}
    unpriced = [Unpriced(*item) for item in side["unpriced"]]
    return Estimate(Decimal(side["total"]), by_tier, [], unpriced, side["by_traffic"])


def _recorded(found: Estimate) -> dict[str, Any]:
    """An estimate without its lines, which the report doesn't read."""
    return {
        "total": str(found.total),
        "by_tier": {tier: str(usd) for tier, usd in found.by_tier.items()},
        "unpriced": [[it.what, it.tier, it.region, None, it.reason] for it in found.unpriced],
        "by_traffic": dict(found.by_traffic),
    }


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
    if findings := policy_events(events):
        (folder / "events").write_text(findings)
    before, after = model.costs(preview.read(printed, events))
    if before and after:
        costs = {"before": _recorded(before), "after": _recorded(after)}
        (folder / "cost.json").write_text(json.dumps(costs, indent=1) + "\n")


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
