"""Knows whether the last deployment of a stack was made from the same program, so that it needs no preview.

A deployment begins with a preview, because rules over several resources are checked at its end, before
anything is created. If nothing that the program or the rules read has changed since the last successful
deployment, a preview would check the same resources again.
"""

from __future__ import annotations

import datetime
import hashlib
import importlib.metadata
import os
from collections.abc import Iterator
from pathlib import Path

from sandbox.project import Sandbox, write_file

FOLDER = "previewed"
"""Folder in the sandbox, with a file for each stack."""

_VARIABLES = ("AWS_", "KUBE", "PULUMI_", "TRADING_")
_LEFT_OUT = frozenset({"__pycache__", "docs", "tests"})


def last(sandbox: Sandbox, stack: str) -> str:
    """The digest of the stack's last successful deployment, or an empty string."""
    path = sandbox.directory / FOLDER / stack
    return path.read_text() if path.is_file() else ""


def remember(sandbox: Sandbox, stack: str, digest: str) -> None:
    """Stores the digest of a deployment that has succeeded. An empty string forgets the last one."""
    path = sandbox.directory / FOLDER / stack
    path.parent.mkdir(exist_ok=True)
    write_file(path, digest)


def digest(sandbox: Sandbox) -> str:
    """A digest of the program, the stack files, the rules, the packages, the environment and the date."""
    found = hashlib.sha256()
    parts = [datetime.datetime.now(datetime.UTC).date().isoformat()]  # exceptions to rules expire
    parts += sorted(f"{it.name}=={it.version}" for it in importlib.metadata.distributions())
    parts += sorted(f"{name}={value}" for name, value in os.environ.items() if name.startswith(_VARIABLES))
    for part in parts:
        found.update(part.encode(errors="surrogateescape") + b"\0")
    for path in sorted({*_files(sandbox.repository), *_files(sandbox.project), *_files(sandbox.program)}):
        found.update(f"{path}\0".encode(errors="surrogateescape"))
        found.update(hashlib.sha256(path.read_bytes()).digest())
    return found.hexdigest()


def _files(program: Path) -> Iterator[Path]:
    """The files of a program, without hidden ones and those that no program reads."""
    for top in [program] if program.is_file() else _visible(program):
        # The entries of the folder can be links, but links in them are not followed.
        if top.is_file():
            yield top
        for folder, folders, names in os.walk(top.resolve()):
            folders[:] = [name for name in folders if not _is_left_out(name)]
            found = (Path(folder, name) for name in names if not _is_left_out(name))
            yield from (path for path in found if path.is_file())


def _visible(folder: Path) -> Iterator[Path]:
    return (path for path in folder.iterdir() if not _is_left_out(path.name))


def _is_left_out(name: str) -> bool:
    return name.startswith(".") or name in _LEFT_OUT
