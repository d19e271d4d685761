"""`make bench`: how long the everyday commands take, and how that compares with the first deployment.

Prints, and asserts nothing: a machine's speed is no property of the project.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.engine.project import Project

COMMANDS: Sequence[tuple[str, Sequence[str]]] = (
    ("make up (first)", ("up", "--stack", "local")),
    ("make up (second)", ("up", "--stack", "local")),
    ("make preview", ("preview", "--stack", "local")),
    ("make preview STACK=prod", ("preview", "--stack", "prod")),
    ("pulumi refresh", ("exec", "--", "pulumi", "refresh", "--stack", "local", "--yes", "--skip-preview")),
    ("make down", ("down", "--stack", "local")),
)


def main() -> None:
    """Runs every command once on a sandbox of its own."""
    with tempfile.TemporaryDirectory() as directory:
        project = Project.make(Path(directory))
        first = 0.0
        for title, command in COMMANDS:
            start = time.perf_counter()
            project.sandbox_command(*command)
            seconds = time.perf_counter() - start
            first = first or seconds
            print(f"{title:<24} {seconds:6.1f} s  {seconds / first:5.2f} of the first", flush=True)


if __name__ == "__main__":
    main()
