"""Keeps a sandbox open between the commands of a test.

Each `python -m sandbox` starts the sandbox's process and the API servers of all clusters, which takes as long
as many of the commands themselves.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from sandbox.project import DIRECTORY_VARIABLE
from tests.unit.harness import ROOT

_COMMANDS = """
import json, subprocess, sys
for line in sys.stdin:
    command, output = json.loads(line)
    with open(output, "wb") as file:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT)
    print(done.returncode, flush=True)
"""
"""Runs in the sandbox: each line of its input is a command and the file of its output. The answer is the exit
status."""


class Session:
    """An open sandbox, in which commands run one after the other.

    A sandbox reads at its start which resources the stack files require in the account. A test that adds such
    a requirement closes the session first.
    """

    def __init__(self, project: Path, sandbox: Path, environment: Mapping[str, str]) -> None:
        self.sandbox = sandbox
        self._output = sandbox.with_name(f"{sandbox.name}.output")
        self._messages = sandbox.with_name(f"{sandbox.name}.messages")
        command = [sys.executable, "-m", "sandbox", "--project", str(project)]
        with self._messages.open("wb") as messages:
            self._process = subprocess.Popen(
                [*command, "exec", "--", sys.executable, "-c", _COMMANDS],
                cwd=ROOT,
                env={**environment, DIRECTORY_VARIABLE: str(sandbox)},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=messages,
                text=True,
            )

    def run(self, command: Sequence[str]) -> tuple[int, str]:
        """Runs a command, and returns its exit status and both of its outputs.

        If the sandbox doesn't open or ends, they are those of the sandbox.
        """
        assert self._process.stdin
        assert self._process.stdout
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps([command, str(self._output)]) + "\n")
            self._process.stdin.flush()
        if status := self._process.stdout.readline():
            return int(status), self._output.read_text()
        return self._process.wait(), self._messages.read_text()

    @property
    def is_open(self) -> bool:
        """Whether the sandbox has not ended by itself."""
        return self._process.poll() is None

    def close(self) -> None:
        """Closes the sandbox, so that another process can use it."""
        with contextlib.suppress(BrokenPipeError):
            self._process.communicate()


_open: list[Session] = []
"""The session of this process. There is at most one, so that API servers don't pile up."""


def session(project: Path, sandbox: Path, environment: Mapping[str, str]) -> Session:
    """The open session of a sandbox. Another sandbox's session is closed."""
    if not (_open and _open[0].sandbox == sandbox and _open[0].is_open):
        close()
        _open.append(Session(project, sandbox, environment))
    return _open[0]


def close() -> None:
    """Closes the open session, if there is one."""
    while _open:
        _open.pop().close()


atexit.register(close)
