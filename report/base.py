"""Deploys the base of a change, which is an earlier revision of the program, into a sandbox of its own.

Everything is in `.diff/` in the project's folder: for each base, the revision's files and a sandbox in which
they were deployed. The folder's name is a digest of what the deployment depends on, so a base is deployed
once, whichever revisions have it. A deployment that was interrupted starts again the next time.
"""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import subprocess
import sys
import tarfile
import time
from dataclasses import dataclass
from pathlib import Path

from sandbox.folder import DIRECTORY_VARIABLE, MARKER, SandboxError, deleted, remove

KEPT = 4
"""The number of bases that are kept, by their last use."""

_IRRELEVANT = ("tests/", "docs/", ".github/", ".ci/", "report/")
"""Files that a deployment does not depend on, besides Markdown."""

_FASTER = {
    # The engine writes the state at the end and not after each step, which takes most of the time.
    "PULUMI_SKIP_CHECKPOINTS": "true",
    "GOGC": "300",
}


class BaseError(Exception):
    """Raised if the base can't be deployed. The text says why, and what to do if that is known."""


@dataclass(frozen=True)
class Base:
    """A revision of the program whose stack is deployed, or will be."""

    revision: str
    """The commit's full id."""
    stack: str
    folder: Path

    @property
    def program(self) -> Path:
        """The revision's files."""
        return self.folder / "program"

    @property
    def sandbox(self) -> Path:
        """The sandbox's folder."""
        return self.folder / "sandbox"

    @property
    def has_stack(self) -> bool:
        """Whether the revision has the stack's file. Without it, everything is new."""
        return (self.program / f"Pulumi.{self.stack}.yaml").is_file()

    @property
    def is_deployed(self) -> bool:
        """Whether the deployment is complete."""
        return (self.folder / "deployed").is_file()


def base_of(revision: str, stack: str, project: Path) -> Base:
    """The base of the working tree, with its files: where the current branch left the branch `revision`.

    Args:
        revision: for example `origin/main`, a tag or a commit.
        stack: the name of a stack.
        project: the folder of `Pulumi.yaml`, in a Git repository.

    Raises:
        BaseError: there is no such revision, or it does not contain the program.
    """
    if not _git(project, "rev-parse", "--is-inside-work-tree", check=False):
        raise BaseError(f"{project} is not in a Git repository, from which the base could be taken")
    commit = _git(project, "rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}", check=False).strip()
    if not commit:
        raise BaseError(
            f"BASE={revision} is not a commit of this repository: fetch it (`git fetch origin`; in a shallow "
            "clone, `git fetch --unshallow`), or name a branch, tag or commit that exists"
        )
    commit = _git(project, "merge-base", commit, "HEAD", check=False).strip() or commit
    prefix = _git(project, "rev-parse", "--show-prefix").strip()
    tree = f"{commit}:{prefix}"
    entries = _git(project, "ls-tree", "-r", "-z", tree, check=False).split("\0")
    files = {path: entry for entry in entries if entry for path in [entry.split("\t", 1)[1]]}
    if "Pulumi.yaml" not in files:
        raise BaseError(
            f"BASE={revision}: commit {commit[:12]} contains no Pulumi.yaml: choose a later commit"
        )
    shaping = [e for path, e in sorted(files.items()) if not path.endswith(".md") if not _is_irrelevant(path)]
    digest = hashlib.sha256("\0".join([stack, *shaping]).encode()).hexdigest()[:16]
    base = Base(commit, stack, project / ".diff" / f"{stack}-{digest}")
    if not base.program.is_dir():
        _write_files(base, project, tree)
    return base


def deploy(base: Base, project: Path) -> None:
    """Deploys the base, unless that has been done. Shows the engine's progress on standard error.

    Raises:
        BaseError: the deployment failed. The text contains the last lines of its output.
    """
    os.utime(base.folder)
    if base.is_deployed or not base.has_stack:
        return
    python = _python(base, project)
    _link_tools(base, project)
    deleted(base.sandbox)
    command = [*(str(python), "-m", "sandbox"), "up", "--stack", base.stack, "--no-policies"]
    started = time.monotonic()
    _say(f"deploying {base.stack} of commit {base.revision[:12]} in a sandbox (once for each base)")
    output = base.folder / "output"
    with output.open("w") as file:
        environment = {**os.environ, **_FASTER, DIRECTORY_VARIABLE: str(base.sandbox)}
        status = _progress(
            subprocess.Popen(command, cwd=base.program, env=environment, stdout=file, stderr=file)
        )
    if status:
        last = "\n".join(output.read_text(errors="replace").strip().splitlines()[-20:])
        raise BaseError(
            f"the base can't be deployed: `up` of stack {base.stack} at commit {base.revision[:12]} ended "
            f"with exit status {status}:\n{last}"
        )
    (base.folder / "deployed").touch()
    _say(f"deployed {base.stack} in {time.monotonic() - started:.0f} s")
    _remove_old(base)


def _git(folder: Path, *arguments: str, check: bool = True) -> str:
    try:
        done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True)
    except FileNotFoundError:
        raise BaseError("`make diff` needs git: install it") from None
    if done.returncode and check:
        raise BaseError(f"git {arguments[0]} failed: {done.stderr.strip()}")
    return done.stdout if not done.returncode else ""


def _is_irrelevant(path: str) -> bool:
    return path.startswith(_IRRELEVANT)


def _write_files(base: Base, project: Path, tree: str) -> None:
    """Writes the revision's files. A rename at the end shows that they are complete."""
    done = subprocess.run(["git", "archive", "--format=tar", tree], cwd=project, capture_output=True)
    if done.returncode:
        raise BaseError(f"git archive failed: {done.stderr.decode(errors='replace').strip()}")
    partial = base.folder / "program.partial"
    remove(partial)
    partial.mkdir(parents=True)
    try:
        with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
            archive.extractall(partial, filter="data")
    except tarfile.FilterError as error:
        raise BaseError(f"commit {base.revision[:12]} can't be written to {partial}: {error}") from None
    partial.rename(base.program)


def _python(base: Base, project: Path) -> Path:
    """An interpreter with the packages of the base, whose versions may differ from the project's."""
    wanted = (base.program / "requirements.txt").read_bytes()
    if wanted == (project / "requirements.txt").read_bytes():
        return Path(sys.executable)
    folder = base.folder.parent / f"venv-{hashlib.sha256(wanted).hexdigest()[:16]}"
    python = folder / "bin" / "python"
    if not (folder / "installed").is_file():
        _say("installing the packages of the base")
        remove(folder)
        requirements = str(base.program / "requirements.txt")
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        for command in (
            [sys.executable, "-m", "venv", str(folder)],
            [*pip, "--require-hashes", "-r", requirements],
        ):
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode:
                raise BaseError(f"the packages of the base can't be installed: {done.stderr.strip()}")
        (folder / "installed").touch()
    return python


def _link_tools(base: Base, project: Path) -> None:
    """Links the project's tools. If the base has other versions, it builds its own in place of a link."""
    for source in (project / ".tools", project / ".tools" / "bin"):
        target = base.program / source.relative_to(project)
        if target.exists() or not source.is_dir():
            continue
        target.mkdir(parents=True)
        for path in source.iterdir():
            if path.suffix == ".stamp":
                shutil.copy(path, target)
            elif path.suffix != ".lock" and path.name != "bin":
                (target / path.name).symlink_to(path)


def _progress(process: subprocess.Popen[bytes]) -> int:
    """Waits for a process and shows that time passes."""
    started = time.monotonic()
    try:
        while True:
            try:
                return process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                _say(f"… {time.monotonic() - started:.0f} s")
    except BaseException:
        process.terminate()
        process.wait()
        raise


def _remove_old(base: Base) -> None:
    """Removes the bases that were not used for the longest time."""
    bases = [path for path in base.folder.parent.iterdir() if (path / "sandbox" / MARKER).is_file()]
    for old in sorted(bases, key=lambda path: path.stat().st_mtime)[:-KEPT]:
        try:
            deleted(old / "sandbox")
        except SandboxError:
            continue  # another command uses it
        remove(old)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
