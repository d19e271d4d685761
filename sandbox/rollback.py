"""Takes back what a killed command has done.

In the sandbox, the engine writes a stack's state only at the end of an operation (`PULUMI_SKIP_CHECKPOINTS`).
Writing it before and after each step takes most of the time of a first deployment. If a command is killed, no
state shows what it has created. Therefore each command first copies what the sandbox contains. If the command
doesn't reach its end, the next one continues from the copy.

After an operation that fails, or that Ctrl-C interrupts, the engine writes the state, and nothing is taken
back. This doesn't concern deployments to AWS, for which the engine writes the state at each step.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from sandbox.folder import remove

_BEFORE = "before"
_PART = "before.part"
_HELD = ("aws.sqlite", "aws.sqlite-wal", "aws.sqlite-shm", "clusters", "previewed", "state")


def keep(directory: Path) -> None:
    """Copies what the sandbox contains. Nothing may use it meanwhile."""
    part = directory / _PART
    remove(part)
    part.mkdir()
    _copy(directory, part)
    part.rename(directory / _BEFORE)


def forget(directory: Path) -> None:
    """Deletes the copy: the command has reached its end."""
    before = directory / _BEFORE
    if before.exists():
        # An incomplete copy must not look like a complete one.
        remove(directory / _PART)
        before.rename(directory / _PART)
    remove(directory / _PART)


def restore(directory: Path) -> bool:
    """Restores the copy if the last command left one. Returns whether it did."""
    before = directory / _BEFORE
    if not before.exists():
        return False
    for name in _HELD:
        remove(directory / name)
    _copy(before, directory)
    forget(directory)
    return True


def _copy(source: Path, target: Path) -> None:
    for name in _HELD:
        held = source / name
        if held.is_dir():
            shutil.copytree(held, target / name, symlinks=True)
        elif held.exists():
            shutil.copy2(held, target / name)
