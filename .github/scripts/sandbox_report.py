"""Reports what a pull request changes in a stack, in the sandbox: `sandbox_report.py STACK FOLDER`.

It compares the pull request with its base by `make diff`, with the labels of the pull request, and fails if
the gate blocks the change. There is a report in the folder in any case: if there is nothing to compare, it
has the reason.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from commands import fail, failed_report, streamed, summarize, write_report
from github_api import event

BASE = "HEAD^1"
"""The base: GitHub checks out a merge of the pull request into its base, whose first parent is the base."""


def labels(of_event: dict[str, Any]) -> list[str]:
    """The labels of the event's pull request."""
    return [label["name"] for label in of_event.get("pull_request", {}).get("labels", [])]


def main(arguments: list[str]) -> int:
    """Writes the report, and returns the exit status of the step."""
    stack, folder = arguments[0], Path(arguments[1])
    command = ["make", "--no-print-directory", "diff", f"BASE={BASE}", f"STACK={stack}", f"OUT={folder}"]
    # A variable of the environment, because a label may contain what Make or a shell would replace.
    status, lines = streamed(command, {"LABELS": "\n".join(labels(event()))})
    if not (folder / "report.md").exists():
        write_report(folder, failed_report(f"The changes to {stack} could not be previewed.", lines))
        status = status or 1
    summarize(folder)
    return fail(f"make diff ended with {status}: the report says why") if status else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
