"""Child processes that do not outlive the command that started them, not even when it is killed."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

# Its standard input ends when the command ends, however that happened; then it ends what is left. At once:
# an engine without its providers would take what they were doing for failed, where it is only unknown.
_GUARD = """
import os, signal, sys
groups = set()
for line in sys.stdin:
    (groups.add if line[0] == "+" else groups.discard)(int(line[1:]))
for group in groups:
    try:
        os.killpg(group, signal.SIGKILL)
    except OSError:
        pass
"""


class Children:
    """Starts processes, each in a process group of its own, and ends what is left of them.

    Linux's parent-death signal would tie a child to the *thread* that started it, and macOS has none:
    so a guard process watches instead.
    """

    def __init__(self, hold: int) -> None:
        """`hold` is a file descriptor that stays open until the last child is gone: a lock on it lasts."""
        self._guard = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _GUARD],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            bufsize=0,
            pass_fds=(hold,),
            start_new_session=True,
        )

    def start(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        *,
        folder: Path | None = None,
        stdin: int | None = None,
        output: int | None = None,
    ) -> subprocess.Popen[str]:
        """Starts a command; `output` is for standard output and standard error alike, as for `Popen`.

        Raises:
            OSError: it can't be run.
        """
        process = subprocess.Popen(
            command,
            env=environment,
            cwd=folder,
            stdin=stdin,
            stdout=output,
            stderr=output,
            text=True,
            errors="replace",
            process_group=0,
        )
        self._tell(f"+{process.pid}")
        return process

    def ended(self, process: subprocess.Popen[str]) -> None:
        """Ends what a process that has ended left behind in its group."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        self._tell(f"-{process.pid}")

    def close(self) -> None:
        """Ends every child that is left and waits for it."""
        self._guard.communicate()

    def _tell(self, line: str) -> None:
        # One write a line, unbuffered: several threads start processes.
        with contextlib.suppress(BrokenPipeError):
            if self._guard.stdin:
                self._guard.stdin.write(f"{line}\n".encode())
