"""`python -m report`: say what a deployment would change, and whether it may.

Exit status: 0 if the change passes, 1 if it is blocked, 2 if there is no preview that could be judged.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from report import output, preview
from report.preview import PreviewError


def main(arguments: Sequence[str]) -> int:
    """Runs the command and returns its exit status."""
    options = _parser().parse_args(arguments)
    try:
        text = _text(options.preview)
        events = _text(options.events) if options.events else ""
        found = preview.read(text, events)
        return output.write(found, labels=options.label, out=options.out)
    except (OSError, UnicodeDecodeError, PreviewError) as error:
        return output.fail(str(error), options.out)
    except Exception as error:  # status 1 would mean that the change is blocked
        return output.fail(f"the report failed: {error!r}", options.out)


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
