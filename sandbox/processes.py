"""Child processes that never outlive the command that started them, even if the command is killed."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

# The guard's standard input closes when the command ends in any way. The guard then kills all remaining
# children immediately: an engine without its providers would record their operations as failed, although
# their result is unknown.
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
    """Starts processes, each in its own process group, and stops those that remain at the end.

    A guard process does this, because Linux's parent-death signal would tie a child to the *thread* that
    started it, and macOS has no such signal.
    """

    def __init__(self, hold: int) -> None:
        """`hold` is a file descriptor that stays open until the last child has ended, to keep a lock on
        it."""
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
        """Starts a command. `output` is passed to `Popen` for both standard output and standard error.

        Raises:
            OSError: the command can't be run.
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
        """Kills the processes that remain in the group of a process that has ended."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        self._tell(f"-{process.pid}")

    def close(self) -> None:
        """Kills all remaining children and waits for them."""
        self._guard.communicate()

    def _tell(self, line: str) -> None:
        # One unbuffered write for each line, because several threads start processes.
        with contextlib.suppress(BrokenPipeError):
            if self._guard.stdin:
                self._guard.stdin.write(f"{line}\n".encode())
