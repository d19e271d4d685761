"""Stand-ins for the programs that the scripts call: each notes its arguments, and does what a test says."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from tests.unit.harness import ROOT


class Programs:
    """A folder that is the first of the PATH."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._folder = folder
        folder.mkdir()
        monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")

    def add(self, name: str, script: str = "") -> None:
        """Adds a program in Python. `arguments` has its arguments, `call` counts its calls from 1."""
        path = self._folder / name
        log = self._folder / f"{name}.log"
        path.write_text(
            f"#!{sys.executable}\n"
            "import json, os, pathlib, sys, time\n"
            f"arguments, log = sys.argv[1:], pathlib.Path({str(log)!r})\n"
            "with log.open('a') as file:\n"
            "    file.write(json.dumps(arguments) + '\\n')\n"
            "call = len(log.read_text().splitlines())\n" + script
        )
        path.chmod(0o755)

    def calls(self, name: str) -> list[list[str]]:
        """The arguments of all calls of a program."""
        log = self._folder / f"{name}.log"
        return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


def stack_file(folder: Path, name: str) -> None:
    """Writes the file of a stack with two regions."""
    regions = "[{name: us-east-1}, {name: eu-west-1}]"
    text = f"config:\n  trading:environment: {name}\n  trading:regions: {regions}\n"
    (folder / f"Pulumi.{name}.yaml").write_text(text)


SCRIPTS = ROOT / ".github" / "scripts"
