"""The sandbox's folder: how to recognize, lock and delete it.

This module only uses Python's standard library, because `make clean` runs `python -m sandbox.folder` even if
there is no virtual environment.
"""

from __future__ import annotations

import fcntl
import os
import re
import shlex
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

DIRECTORY_VARIABLE = "TRADING_SANDBOX_DIR"

MARKER = ".trading-sandbox"
"""The first file that the sandbox writes into a folder. It only uses or deletes folders that contain it."""

_MARKER_TEXT = "Made by `python -m sandbox`, and deleted by `python -m sandbox reset`.\n"

ENTRIES = frozenset(
    {
        "aws.sqlite",
        "aws.sqlite-journal",
        "aws.sqlite-shm",
        "aws.sqlite-wal",
        "before",
        "before.part",
        "bin",
        "clusters",
        "kubeconfig",
        "lock",
        "previewed",
        "project",
        "pulumi-home",
        "rules",
        "state",
    }
)
"""All other entries that the sandbox creates in its folder."""

CLUSTER_NAME = re.compile(r"[0-9A-Za-z][0-9A-Za-z_-]{0,99}")
"""Valid names of clusters, which are also names of folders. It repeats `settings.aws_limits.CLUSTER_NAME`,
because this module must work without the packages that settings need."""

LOCK_SECONDS = 10
"""Seconds to wait for the processes of a killed command, which are killed too."""


class SandboxError(Exception):
    """Raised for a problem that the user can solve. The text says how."""


def is_sandbox(directory: Path) -> bool:
    """Whether a folder is a sandbox. A missing or empty folder isn't, but can become one.

    Raises:
        SandboxError: the folder contains something else, or it can't be read.
    """
    try:
        held = _names(directory)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise _unusable(directory, error) from None
    if not held:
        return False
    if _is_file(directory / MARKER) or _is_without_marker(directory, held):
        return True
    others = sorted(held - ENTRIES) or sorted(held)
    raise SandboxError(
        f"{directory} is not a sandbox: it contains {_listed(others)} and no {MARKER}. The sandbox only uses "
        f"and deletes folders that it created: set {DIRECTORY_VARIABLE} to a folder that is empty or does "
        "not exist, or delete this one yourself"
    )


def claim(directory: Path) -> None:
    """Creates the folder, and marks it as the sandbox's before anything else is written into it.

    Raises:
        SandboxError: the folder isn't the sandbox's, or it isn't writable.
    """
    is_sandbox(directory)
    links = [name for name in sorted(ENTRIES) if (directory / name).is_symlink()]
    if links:
        # Writing there would change files that the sandbox did not create.
        raise SandboxError(
            f"{directory / links[0]} is a symbolic link, which the sandbox does not follow: remove it"
        )
    if _is_file(directory / MARKER):
        return
    try:
        directory.mkdir(parents=True, exist_ok=True)
        (directory / MARKER).write_text(_MARKER_TEXT)
    except OSError as error:
        raise _unusable(directory, error) from None


def delete(directory: Path) -> list[str]:
    """Deletes what the sandbox created, and also the folder if nothing else is in it.

    Symbolic links are deleted and not followed.

    Returns:
        The names of the remaining entries in the folder.

    Raises:
        SandboxError: another command uses the folder, or it isn't the sandbox's.
    """
    with lock(directory, linked=True):
        # The marker is deleted last, so that an interrupted deletion can be repeated.
        for name in [*sorted(ENTRIES), MARKER]:
            remove(directory / name)
    left = sorted(_names(directory))
    if not left:
        directory.rmdir()
    return left


def deleted(directory: Path) -> str:
    """Deletes the folder with `delete`, and returns a one-line report.

    Raises:
        SandboxError: another command uses the folder, or it isn't the sandbox's.
    """
    if not is_sandbox(directory):
        return f"{directory} contains no sandbox: nothing to delete"
    left = delete(directory)
    if left:
        return f"deleted the sandbox in {directory}; kept what it did not create: {_listed(left)}"
    return f"deleted {directory}"


def cluster_folder(directory: Path, name: str) -> Path:
    """The folder of a cluster's data in the sandbox.

    Raises:
        SandboxError: the cluster's name is invalid.
    """
    folder = directory / "clusters" / name
    if not CLUSTER_NAME.fullmatch(name):
        raise SandboxError(
            f"{name!r} is not a valid cluster name: it must have up to 100 letters, digits, hyphens and "
            "underscores, and begin with a letter or digit"
        )
    if folder.is_symlink():
        raise SandboxError(f"{folder} is a symbolic link, which the sandbox does not follow: remove it")
    return folder


def files(directory: Path) -> Iterator[Path]:
    """All files below a folder, without following symbolic links to folders."""
    for folder, _, names in os.walk(directory):
        yield from (Path(folder, name) for name in names)


def lock_holder(directory: Path) -> str | None:
    """The command that is using the sandbox (`PID COMMAND`), or None."""
    try:
        with (directory / "lock").open(errors="replace") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return file.read()
    except FileNotFoundError:
        pass
    return None


def lock(directory: Path, *, linked: bool = False) -> IO[str]:
    """Locks the sandbox for this process. Closing the returned file releases the lock.

    With `linked`, it also locks a folder that contains symbolic links, which can be deleted but not used.

    Raises:
        SandboxError: another command uses the sandbox, or the folder isn't the sandbox's.
    """
    if not (linked and is_sandbox(directory)):
        claim(directory)
    try:
        file = open(directory / "lock", "a+", errors="replace", opener=_no_link)  # noqa: SIM115
    except OSError as error:
        raise _unusable(directory, error) from None
    # A killed command holds its lock until the last of its processes has ended.
    deadline = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            file.seek(0)
            holder = file.read()
            if _runs(holder) or time.monotonic() > deadline:
                file.close()
                raise SandboxError(
                    f"{directory} is in use by another command (process {holder}): wait until it ends, "
                    f"or set {DIRECTORY_VARIABLE} to use a second sandbox"
                ) from None
            time.sleep(0.1)
    file.truncate(0)
    file.write(f"{os.getpid()} {shlex.join(['python', *sys.orig_argv[1:]])}")
    file.flush()
    return file


def _runs(holder: str) -> bool:
    try:
        os.kill(int(holder.split()[0]), 0)
    except (ValueError, IndexError, OverflowError, ProcessLookupError):
        return False
    except PermissionError:
        return True
    return True


def _no_link(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW, 0o644)


def _names(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir()}


def _is_file(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()


def _is_without_marker(directory: Path, held: set[str]) -> bool:
    """Whether an earlier version, which wrote no marker, created the folder."""
    if held - ENTRIES or not {"aws.sqlite", "lock", "state"} <= held:
        return False
    # After a command was killed, the newest pages are only in the write-ahead log.
    found = [path for name in ("aws.sqlite", "aws.sqlite-wal") if _is_file(path := directory / name)]
    return any(b"CREATE TABLE identifier" in path.read_bytes() for path in found)


def remove(path: Path) -> None:
    """Deletes a file, or a folder with everything in it, without following symbolic links."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _listed(names: list[str]) -> str:
    shown = ", ".join(names[:5])
    return f"{shown} and {len(names) - 5} more" if len(names) > 5 else shown


def _unusable(directory: Path, error: OSError) -> SandboxError:
    return SandboxError(f"{directory} can't be used as the sandbox's folder: {error.strerror}")


def main() -> int:
    """Deletes the sandbox of the project in this folder, regardless of `TRADING_SANDBOX_DIR`."""
    try:
        print(deleted(Path(os.path.realpath(".sandbox"))))
    except (SandboxError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
