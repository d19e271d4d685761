"""`python -m report`: say what a deployment would change, and whether it may.

Exit status: 0 if the change passes, 1 if it is blocked, 2 if there is no preview that could be judged.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from report import document, gate, markdown, model, page, preview
from report.model import Estimate
from report.preview import Preview, PreviewError


def main(arguments: Sequence[str]) -> int:
    """Runs the command and returns its exit status."""
    options = _parser().parse_args(arguments)
    try:
        text = _text(options.preview)
        events = _text(options.events) if options.events else ""
        found = preview.read(text, events)
    except (OSError, PreviewError) as error:
        return fail(str(error), options.out)
    return write(found, labels=options.label, out=options.out)


def write(
    found: Preview,
    labels: Iterable[str] = (),
    before: Estimate | None = None,
    after: Estimate | None = None,
    out: Path | None = None,
) -> int:
    """Prints the report of a preview, and writes its files to the folder `out`. Returns the exit status."""
    report = model.build(found, labels, before, after)
    text = markdown.render(report)
    if out:
        _write(out, text, document.document(report), page.render(report))
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


def _text(path: str) -> str:
    return sys.stdin.read() if path == "-" else Path(path).read_text()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m report", description=__doc__, allow_abbrev=False)
    parser.add_argument(
        "--preview",
        required=True,
        metavar="FILE",
        help="the output of `pulumi preview --json`; - reads standard input",
    )
    parser.add_argument(
        "--events",
        metavar="FILE",
        help="the file of `pulumi preview --event-log`, which has the findings of the policy pack",
    )
    parser.add_argument(
        "--label",
        action="append",
        default=[],
        help="a label of the pull request, such as `allow: replace database`; can be given several times",
    )
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="also write report.md, report.json and report.html there"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
