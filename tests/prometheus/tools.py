"""Runs Prometheus's own checkers on files that the test creates."""

from __future__ import annotations

import subprocess
from pathlib import Path

from sandbox.tools import tool


def run(directory: Path, program: str, *arguments: str) -> str:
    """The output of a checker that finds no errors.

    Raises:
        AssertionError: it finds errors; the message is its output.
    """
    result = subprocess.run(
        [tool(program), *arguments], cwd=directory, capture_output=True, text=True, timeout=120, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout
