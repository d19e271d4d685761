"""What a killed command has done is taken back, whatever interrupts the copying."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sandbox import folder, rollback

FILES = (
    "aws.sqlite",
    "clusters/trading/etcd/member/wal",
    "previewed/small",
    "state/.pulumi/stacks/small.json",
)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    folder.claim(tmp_path)
    write(tmp_path, "before")
    return tmp_path


def write(directory: Path, text: str) -> None:
    for name in FILES:
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def contents(directory: Path) -> dict[str, str]:
    """The files by name, without the marker and an incomplete copy, which the next command deletes."""
    ignored = (directory / folder.MARKER, directory / "before.part")
    files = [path for path in folder.files(directory) if not any(map(path.is_relative_to, ignored))]
    return {str(path.relative_to(directory)): path.read_text() for path in files}


def test_what_a_killed_command_did_is_taken_back(directory: Path) -> None:
    rollback.keep(directory)
    write(directory, "after")
    (directory / "aws.sqlite-wal").write_text("pages that only the killed command has written")
    (directory / "clusters" / "added").mkdir()
    assert rollback.restore(directory)
    assert contents(directory) == dict.fromkeys(FILES, "before")
    assert not (directory / "clusters" / "added").exists()
    assert not rollback.restore(directory)


def test_a_first_command_leaves_nothing(tmp_path: Path) -> None:
    folder.claim(tmp_path)
    rollback.keep(tmp_path)
    write(tmp_path, "after")
    assert rollback.restore(tmp_path)
    assert contents(tmp_path) == {}


def test_what_a_command_did_stays_when_it_has_ended(directory: Path) -> None:
    rollback.keep(directory)
    write(directory, "after")
    rollback.forget(directory)
    assert not rollback.restore(directory)
    assert contents(directory) == dict.fromkeys(FILES, "after")


class _Killed(BaseException):
    """Takes the place of a signal that ends the process."""


@pytest.mark.parametrize("step", [rollback.keep, rollback.restore, rollback.forget])
def test_every_step_can_be_interrupted(
    tmp_path: Path, step: Callable[[Path], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next command finds the old contents or the new ones, and never a mixture."""
    for last in range(100):
        directory = tmp_path / str(last)
        folder.claim(directory)
        write(directory, "before")
        if step is not rollback.keep:
            rollback.keep(directory)
            write(directory, "after")
        left = last

        def until_killed(function: Callable[..., Any]) -> Callable[..., Any]:
            def call(*arguments: Any, **options: Any) -> Any:
                nonlocal left
                left -= 1
                if left == -1:
                    raise _Killed
                return function(*arguments, **options)

            return call

        with monkeypatch.context() as patch:
            for owner, name in (
                (shutil, "copytree"),
                (shutil, "copy2"),
                (rollback, "remove"),
                (Path, "rename"),
            ):
                patch.setattr(owner, name, until_killed(getattr(owner, name)))
            with contextlib.suppress(_Killed):
                step(directory)
        rollback.restore(directory)
        found = contents(directory)
        assert found in (dict.fromkeys(FILES, "before"), dict.fromkeys(FILES, "after"))
        if left >= 0:
            assert last > 2
            return
    raise AssertionError("the step doesn't end")
