"""Writes the report of a preview."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path

from report import document, gate, markdown, model, page, preflight
from report.preview import Preview


def write(found: Preview, labels: Iterable[str] = (), out: Path | None = None) -> int:
    """Prints the report of a preview, and writes its files to the folder `out`.

    Args:
        found: what a deployment would change.
        labels: the labels of the pull request, such as `allow: replace database`.
        out: the folder for `report.md`, `report.json` and `report.html`; it is created.

    Returns:
        The exit status, as in `gate.STATUS`.
    """
    try:
        report = model.build(found, labels, *model.costs(found), preflight.findings())
        text, data, html = markdown.render(report), document.document(report), page.render(report)
    except Exception as error:  # status 1 would mean that the change is blocked
        return fail(f"the report failed: {error!r}", out)
    if out:
        _write(out, text, data, html)
    print(text, end="")
    return gate.STATUS[report.verdict]


def fail(reason: str, out: Path | None = None) -> int:
    """Reports that there is no preview that could be judged. Returns the exit status."""
    if out:
        _write(out, markdown.failed(reason), document.unreadable(reason), page.failed(reason))
    print(f"error: {reason}", file=sys.stderr)
    return gate.UNREADABLE


def _write(out: Path, text: str, data: object, html: str) -> None:
    out.mkdir(parents=True, exist_ok=True)
    (out / "report.md").write_text(text)
    (out / "report.json").write_text(json.dumps(data, indent=2, ensure_ascii=False) + "\n")
    (out / "report.html").write_text(html)
