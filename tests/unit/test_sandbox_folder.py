"""The sandbox uses and deletes only files that it created itself."""

# pyright: reportPrivateUsage=false
from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from sandbox import __main__ as command
from sandbox import folder, shims
from sandbox.apiserver import ApiServers
from sandbox.aws.store import Store
from sandbox.engine import Session
from sandbox.folder import DIRECTORY_VARIABLE, ENTRIES, MARKER, SandboxError
from sandbox.project import Sandbox

ROOT = Path(__file__).parents[2]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project in a folder that represents the user's folder. The sandbox is the project's `.sandbox`."""
    found = tmp_path / "home" / "project"
    (found / ".git").mkdir(parents=True)
    (found / ".git" / "HEAD").write_text("ref: refs/heads/main\n")
    (found / "Pulumi.yaml").write_text("{name: tiny, runtime: python}")
    (found / "Pulumi.local.yaml").write_text("config: {}")
    monkeypatch.delenv(DIRECTORY_VARIABLE, raising=False)
    return found


@pytest.fixture
def precious(tmp_path: Path) -> Path:
    """A folder of the user that contains a `project` and a `lock`, like the sandbox's folder."""
    found = tmp_path / "precious"
    (found / "project").mkdir(parents=True)
    (found / "project" / "Pulumi.yaml").write_text("name: somebody-elses\n")
    (found / "lock").touch()
    (found / "port").write_text("1")
    return found


def run(project: Path, *arguments: str) -> int:
    try:
        return command.main(["--project", str(project), *arguments])
    except SystemExit as end:
        return int(str(end.code))


def contents(path: Path) -> dict[str, bytes | str]:
    return {
        str(item): str(item.readlink()) if item.is_symlink() else item.read_bytes()
        for item in path.rglob("*")
        if item.is_file() or item.is_symlink()
    }


def used(directory: Path) -> Path:
    """A sandbox with content in every entry that it can have."""
    folder.claim(directory)
    for name in ENTRIES - {"lock", "aws.sqlite-shm", "aws.sqlite-wal", "aws.sqlite-journal"}:
        if "." in name or name == "kubeconfig":
            (directory / name).touch()
        else:
            (directory / name / "below").mkdir(parents=True)
            (directory / name / "below" / "file").touch()
    folder.lock(directory).close()
    return directory


@pytest.mark.parametrize("value", ["", "  "])
def test_empty_variable_means_unset(project: Path, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv(DIRECTORY_VARIABLE, value)
    used(project / ".sandbox")
    before = contents(project / ".git")
    assert Sandbox.of(project).directory == project / ".sandbox"
    monkeypatch.chdir(project)
    assert run(project, "reset", "--yes") == 0
    assert contents(project / ".git") == before
    assert not (project / ".sandbox").exists()


COMMANDS = (["up"], ["preview"], ["down"], ["status"], ["reset", "--yes"], ["exec", "--", "true"])


@pytest.mark.parametrize("arguments", COMMANDS, ids=lambda arguments: arguments[0])
def test_folder_of_somebody_else_is_refused_before_anything_is_written(
    project: Path,
    precious: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
) -> None:
    monkeypatch.setenv(DIRECTORY_VARIABLE, str(precious))
    before = contents(precious)
    assert run(project, *arguments) == 2
    error = capsys.readouterr().err
    assert f"error: {precious} is not a sandbox: it contains port and no {MARKER}" in error
    assert len(error.splitlines()) == 1
    assert contents(precious) == before


@pytest.mark.parametrize("named", ["project", "home", "root"])
def test_clone_its_parents_and_the_root_are_no_sandbox(
    project: Path, monkeypatch: pytest.MonkeyPatch, named: str
) -> None:
    places = {"project": project, "home": project.parent, "root": Path("/")}
    monkeypatch.setenv(DIRECTORY_VARIABLE, str(places[named]))
    before = contents(project)
    assert run(project, "reset", "--yes") == 2
    assert contents(project) == before


def test_lock_file_is_no_proof(tmp_path: Path) -> None:
    (tmp_path / "lock").touch()
    with pytest.raises(SandboxError, match="is not a sandbox: it contains lock"):
        folder.deleted(tmp_path)
    assert (tmp_path / "lock").exists()


def test_marker_that_is_a_link_is_no_proof(tmp_path: Path) -> None:
    (tmp_path / MARKER).symlink_to(ROOT / "README.md")
    with pytest.raises(SandboxError, match="is not a sandbox"):
        folder.claim(tmp_path)


@pytest.mark.parametrize("exists", [False, True])
def test_missing_or_empty_folder_becomes_a_sandbox_and_goes_again(tmp_path: Path, exists: bool) -> None:
    directory = tmp_path / "a" / "b"
    if exists:
        directory.mkdir(parents=True)
    folder.claim(directory)
    assert [path.name for path in directory.iterdir()] == [MARKER]
    used(directory)
    assert folder.deleted(directory) == f"deleted {directory}"
    assert not directory.exists()


def test_reset_leaves_what_the_sandbox_did_not_make_and_names_it(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = used(project / ".sandbox")
    (directory / "notes.txt").write_text("mine")
    assert run(project, "reset", "--yes") == 0
    assert "kept what it did not create: notes.txt" in capsys.readouterr().out
    assert [path.name for path in directory.iterdir()] == ["notes.txt"]
    # From now on, the folder belongs to the user.
    assert run(project, "reset", "--yes") == 2
    assert (directory / "notes.txt").read_text() == "mine"


def test_deletion_that_was_interrupted_can_be_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = used(tmp_path / "sandbox")

    def fails_at_last(path: Path) -> None:
        if path.name == "state":
            raise OSError("interrupted")
        remove(path)

    remove = folder.remove
    with monkeypatch.context() as patch:
        patch.setattr(folder, "remove", fails_at_last)
        with pytest.raises(OSError, match="interrupted"):
            folder.delete(directory)
    assert folder.delete(directory) == []


def test_links_are_deleted_and_not_followed(tmp_path: Path, precious: Path) -> None:
    directory = used(tmp_path / "sandbox")
    before = contents(precious)
    (directory / "state" / "link").symlink_to(precious)
    for name in ("project", "kubeconfig"):
        folder.remove(directory / name)
        (directory / name).symlink_to(precious if name == "project" else precious / "port")
    assert folder.delete(directory) == []
    assert contents(precious) == before


@pytest.mark.parametrize("name", sorted(ENTRIES))
def test_nothing_is_written_through_a_link(tmp_path: Path, precious: Path, name: str) -> None:
    directory = tmp_path / "sandbox"
    folder.claim(directory)
    before = contents(precious)
    (directory / name).symlink_to(precious / "port")
    with pytest.raises(SandboxError, match=rf"{name} is a symbolic link"):
        folder.lock(directory)
    if name == "lock":
        with pytest.raises(SandboxError, match="can't be used"):
            folder.delete(directory)
    assert contents(precious) == before


def test_link_to_a_sandbox_stays_when_the_sandbox_goes(project: Path, tmp_path: Path) -> None:
    (project / ".sandbox").symlink_to(tmp_path / "disk")
    folder.claim(Sandbox.of(project).directory)
    used(tmp_path / "disk")
    assert run(project, "reset", "--yes") == 0
    assert not (tmp_path / "disk").exists()
    assert Sandbox.of(project).directory == tmp_path / "disk"


def old_sandbox(directory: Path) -> Path:
    """A sandbox in the form of versions that did not create the marker file."""
    Store(directory).close()
    (directory / "state" / ".pulumi").mkdir(parents=True)
    (directory / "project").mkdir()
    (directory / "lock").touch()
    return directory


def test_sandbox_of_the_version_before_is_used_and_marked(tmp_path: Path) -> None:
    directory = old_sandbox(tmp_path / "sandbox")
    folder.lock(directory).close()
    assert (directory / MARKER).is_file()
    assert folder.delete(directory) == []


def _more(directory: Path) -> None:
    (directory / "thesis.txt").touch()


def _no_account(directory: Path) -> None:
    (directory / "aws.sqlite").unlink()


def _no_lock(directory: Path) -> None:
    (directory / "lock").unlink()


def _no_database(directory: Path) -> None:
    (directory / "aws.sqlite").write_text("not ours")


def _another_database(directory: Path) -> None:
    (directory / "aws.sqlite").unlink()
    with sqlite3.connect(directory / "aws.sqlite") as database:
        database.execute("CREATE TABLE thesis (text TEXT)")
    database.close()


@pytest.mark.parametrize("change", [_more, _no_account, _no_lock, _no_database, _another_database])
def test_what_only_looks_like_a_sandbox_of_the_version_before_is_refused(
    tmp_path: Path, change: Callable[[Path], object]
) -> None:
    directory = old_sandbox(tmp_path / "sandbox")
    change(directory)
    before = contents(directory)
    with pytest.raises(SandboxError, match="is not a sandbox"):
        folder.lock(directory)
    with pytest.raises(SandboxError, match="is not a sandbox"):
        folder.deleted(directory)
    assert contents(directory) == before


def test_sandbox_that_is_in_use_is_not_deleted(tmp_path: Path) -> None:
    directory = used(tmp_path / "sandbox")
    with folder.lock(directory), pytest.raises(SandboxError, match="in use by another command"):
        folder.delete(directory)
    assert ENTRIES - {path.name for path in directory.iterdir()} <= {
        f"aws.sqlite-{n}" for n in ("journal", "shm", "wal")
    }


# Clusters


@pytest.mark.parametrize(
    "name", ["../../precious", "a/../../../precious", "/tmp/x", "..", ".", "", "a b", "-a"]
)
def test_cluster_of_another_name_than_eks_allows_reaches_no_folder(
    tmp_path: Path, precious: Path, name: str
) -> None:
    directory = tmp_path / "sandbox"
    folder.claim(directory)
    before = contents(tmp_path)
    servers = ApiServers(directory)
    for action in (servers.start, servers.remove, Sandbox(tmp_path, directory).token):
        with pytest.raises(SandboxError, match="is not a valid cluster name"):
            action(name)
    assert contents(tmp_path) == before


def test_cluster_that_is_a_link_is_not_followed(tmp_path: Path, precious: Path) -> None:
    directory = tmp_path / "sandbox"
    (directory / "clusters").mkdir(parents=True)
    (directory / "clusters" / "trading").symlink_to(precious)
    before = contents(precious)
    servers = ApiServers(directory)
    for action in (servers.start, servers.remove):
        with pytest.raises(SandboxError, match="is a symbolic link"):
            action("trading")
    assert contents(precious) == before


# Files that a session deletes and overwrites when it starts


def test_session_takes_stale_locks_away_and_follows_no_link(tmp_path: Path, precious: Path) -> None:
    directory = tmp_path / "sandbox"
    sandbox = Sandbox(tmp_path, directory)
    locks = sandbox.backend / ".pulumi" / "locks"
    (precious / "locks" / "organization").mkdir(parents=True)
    (precious / "locks" / "organization" / "theirs.json").write_text("{}")
    (precious / "empty.attrs").touch()
    before = contents(precious)

    locks.mkdir(parents=True)
    (locks / "stale.json").touch()
    (locks / "link").symlink_to(precious)
    (sandbox.backend / "empty.attrs").touch()
    (sandbox.backend / "full.attrs").write_text("x")
    (sandbox.backend / "linked.attrs").symlink_to(precious / "empty.attrs")
    Session(sandbox)._clean_backend()
    assert {path.name for path in sandbox.backend.rglob("*")} == {
        ".pulumi",
        "locks",
        "link",
        "full.attrs",
        "linked.attrs",
    }

    shutil.rmtree(sandbox.backend)
    sandbox.backend.mkdir()
    (sandbox.backend / ".pulumi").symlink_to(precious)
    Session(sandbox)._clean_backend()
    assert contents(precious) == before


def test_shims_and_copies_overwrite_nothing_behind_a_link(project: Path, precious: Path) -> None:
    sandbox = Sandbox.of(project)
    folder.claim(sandbox.directory)
    before = contents(precious)
    for name in ("bin/pulumi", "bin/aws", "project/Pulumi.yaml", "project/Pulumi.local.yaml"):
        path = sandbox.directory / name
        path.parent.mkdir(exist_ok=True)
        path.symlink_to(precious / "port")
    shims.write(sandbox)
    sandbox.write_copy(None)
    assert contents(precious) == before
    assert not (sandbox.directory / "bin" / "pulumi").is_symlink()


# make clean


def clean(tmp_path: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs `make clean` in a clone in which `.tools` and `.venv` are links."""
    clone, shared = tmp_path / "clone", tmp_path / "shared"
    clone.mkdir(exist_ok=True)
    shutil.copy(ROOT / "Makefile", clone)
    shutil.copytree(ROOT / "sandbox", clone / "sandbox")
    shared.mkdir()
    (shared / "tool").touch()
    for name in (".tools", ".venv"):
        (clone / name).symlink_to(shared)
    # There may be no virtual environment, so the command must work without site-packages.
    command = ["make", "clean", f"PYTHON={sys.executable} -S -E"]
    environment = {**os.environ, **environment}
    return subprocess.run(command, cwd=clone, env=environment, capture_output=True, text=True, check=False)


def test_make_clean_deletes_the_clones_sandbox_and_follows_no_link(tmp_path: Path) -> None:
    used(tmp_path / "clone" / ".sandbox")
    other = used(tmp_path / "other")
    before = contents(other)
    done = clean(tmp_path, **{DIRECTORY_VARIABLE: str(other)})
    assert done.returncode == 0, done.stderr
    assert {path.name for path in (tmp_path / "clone").iterdir()} == {"Makefile", "sandbox"}
    assert (tmp_path / "shared" / "tool").exists()
    assert contents(other) == before


def test_make_clean_deletes_nothing_where_the_sandbox_is_not_ours(tmp_path: Path) -> None:
    (tmp_path / "clone" / ".sandbox").mkdir(parents=True)
    (tmp_path / "clone" / ".sandbox" / "thesis.txt").touch()
    done = clean(tmp_path)
    assert done.returncode != 0
    assert "is not a sandbox: it contains thesis.txt" in done.stderr
    assert {path.name for path in (tmp_path / "clone").iterdir()} >= {".sandbox", ".tools", ".venv"}
    assert (tmp_path / "clone" / ".sandbox" / "thesis.txt").exists()
