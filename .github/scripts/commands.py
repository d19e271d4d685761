"""Runs the commands of a job, and explains in a report what failed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path

TAIL = 60
"""Last lines of a failed command's output that its report shows."""

SUMMARY_BYTES = 900_000
"""Bytes of a report that the job's summary shows: GitHub accepts 1 MiB."""


def streamed(command: Sequence[str], environment: Mapping[str, str] | None = None) -> tuple[int, list[str]]:
    """Runs a command, shows its output as it comes, and returns its exit status and last lines."""
    print(f"$ {' '.join(command)}", flush=True)
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env={**os.environ, **(environment or {})},
    ) as process:
        lines: deque[str] = deque(maxlen=TAIL)
        for line in process.stdout or ():
            print(line, end="", flush=True)
            lines.append(line.rstrip("\n"))
    return process.returncode, list(lines)


def failed_report(title: str, lines: Sequence[str]) -> str:
    """A report that says why there is no other one."""
    text = "\n".join(re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", line) for line in lines) or "(no output)"
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall(r"`+", text)), default=0))
    return f"**{title}**\n\n{fence}\n{text}\n{fence}\n"


def write_report(folder: Path, text: str) -> None:
    """Writes `report.md`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.md").write_text(text, encoding="utf-8")


def summarize(folder: Path) -> None:
    """Shows `report.md` on the run's page."""
    report, page = folder / "report.md", os.environ.get("GITHUB_STEP_SUMMARY")
    if page and report.exists():
        text = report.read_bytes()[:SUMMARY_BYTES].decode("utf-8", errors="ignore")
        with Path(page).open("a", encoding="utf-8") as file:
            file.write(text + "\n")


def fail(message: str) -> int:
    """Prints an error, and returns the exit status of a failed step."""
    print(f"error: {message}", file=sys.stderr, flush=True)
    return 1
