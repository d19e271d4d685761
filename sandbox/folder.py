"""The sandbox's folder: what shows that the sandbox made it, which command uses it, and how it is deleted.

Needs nothing but Python itself: `make clean` runs `python -m sandbox.folder` where there may be no virtual
environment.
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
"""The first file that the sandbox writes into a folder; only a folder that has it is used or deleted."""

_MARKER_TEXT = "Made by `python -m sandbox`, and deleted by `python -m sandbox reset`.\n"

ENTRIES = frozenset(
    {
        "aws.sqlite",
        "aws.sqlite-journal",
        "aws.sqlite-shm",
        "aws.sqlite-wal",
        "bin",
        "clusters",
        "kubeconfig",
        "lock",
        "project",
        "pulumi-home",
        "state",
    }
)
"""Everything else that the sandbox writes into its folder."""

CLUSTER_NAME = re.compile(r"[0-9A-Za-z][0-9A-Za-z_-]{0,99}")
"""Names of clusters, which are folders here (EKS API Reference, `CreateCluster`: alphanumeric characters,
hyphens and underscores, up to 100, the first one alphanumeric)."""

LOCK_SECONDS = 10
"""How long the processes of a command that was killed may need to end; they are killed too."""


class SandboxError(Exception):
    """A problem that the user can solve; the text says how."""


def is_sandbox(directory: Path) -> bool:
    """Whether a folder is a sandbox; a missing or empty folder is none, and may become one.

    Raises:
        SandboxError: the folder holds something else, or it can't be read.
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
        f"{directory} is not a sandbox: it holds {_listed(others)} and no {MARKER}. The sandbox uses and "
        f"deletes only a folder that it made itself: set {DIRECTORY_VARIABLE} to a folder that is empty or "
        "does not exist, or delete this one yourself"
    )


def claim(directory: Path) -> None:
    """Makes the folder, and marks it as the sandbox's before anything else is written into it.

    Raises:
        SandboxError: it is not the sandbox's, or it can't be written.
    """
    is_sandbox(directory)
    links = [name for name in sorted(ENTRIES) if (directory / name).is_symlink()]
    if links:
        # What is written there would change files that the sandbox did not make.
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
    """Deletes what the sandbox made, and the folder unless something else is in it.

    Symbolic links are deleted and not followed.

    Returns:
        The names of what is left in the folder.

    Raises:
        SandboxError: another command uses the folder, or it is not the sandbox's.
    """
    with lock(directory, linked=True):
        # The marker goes last, so that a deletion that was interrupted can be started again.
        for name in [*sorted(ENTRIES), MARKER]:
            remove(directory / name)
    left = sorted(_names(directory))
    if not left:
        directory.rmdir()
    return left


def deleted(directory: Path) -> str:
    """Deletes the folder as `delete` does, and says in one line what happened.

    Raises:
        SandboxError: another command uses the folder, or it is not the sandbox's.
    """
    if not is_sandbox(directory):
        return f"{directory} holds no sandbox: nothing to delete"
    left = delete(directory)
    if left:
        return f"deleted the sandbox in {directory}; left, as the sandbox did not make it: {_listed(left)}"
    return f"deleted {directory}"


def cluster_folder(directory: Path, name: str) -> Path:
    """Where the sandbox in a folder keeps a cluster's data.

    Raises:
        SandboxError: no cluster can have that name.
    """
    folder = directory / "clusters" / name
    if not CLUSTER_NAME.fullmatch(name):
        raise SandboxError(
            f"{name!r} is not a cluster's name, which has up to 100 letters, digits, hyphens and underscores "
            "and begins with a letter or digit"
        )
    if folder.is_symlink():
        raise SandboxError(f"{folder} is a symbolic link, which the sandbox does not follow: remove it")
    return folder


def files(directory: Path) -> Iterator[Path]:
    """Every file below a folder; symbolic links to folders are not followed."""
    for folder, _, names in os.walk(directory):
        yield from (Path(folder, name) for name in names)


def lock_holder(directory: Path) -> str | None:
    """The command that uses the sandbox now (`PID COMMAND`), if any."""
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
    """Takes the sandbox for this process; closing the file gives it back.

    `linked` also takes a folder with symbolic links in it, which can be deleted and not used.

    Raises:
        SandboxError: another command uses it, or the folder is not the sandbox's.
    """
    if not (linked and is_sandbox(directory)):
        claim(directory)
    try:
        file = open(directory / "lock", "a+", errors="replace", opener=_no_link)  # noqa: SIM115
    except OSError as error:
        raise _unusable(directory, error) from None
    # A command that was killed holds its lock until the last of its processes has ended.
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
                    f"{directory} is in use by another command (process {holder}): wait for its end "
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
    """Whether earlier versions, which wrote no marker, made the folder: nothing else, and all of these."""
    if held - ENTRIES or not {"aws.sqlite", "lock", "state"} <= held:
        return False
    # A command that was killed leaves the newest pages in the write-ahead log.
    found = [path for name in ("aws.sqlite", "aws.sqlite-wal") if _is_file(path := directory / name)]
    return any(b"CREATE TABLE identifier" in path.read_bytes() for path in found)


def remove(path: Path) -> None:
    """Deletes a file, or a folder with everything in it; a symbolic link is not followed."""
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
    """Deletes the sandbox of the project in this folder, whatever `TRADING_SANDBOX_DIR` says."""
    try:
        print(deleted(Path(os.path.realpath(".sandbox"))))
    except (SandboxError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
