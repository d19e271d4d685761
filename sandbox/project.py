"""The sandbox of a project: its folder, the engine's copy of the project, and the states of the stacks.

Everything is in one folder, `.sandbox/` in the project's folder, or the one that `TRADING_SANDBOX_DIR` names.
The engine works with a copy of `Pulumi.yaml` and the stack files, whose `main` points to the real program, so
it never writes into the working tree.
"""

from __future__ import annotations

import functools
import json
import os
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sandbox import yaml_file
from sandbox.folder import DIRECTORY_VARIABLE, SandboxError, cluster_folder, is_sandbox
from sandbox.values import is_dict, is_list

PACK = Path("policy", "pack")
"""The policy pack, below the folder of the repository."""
NAME = re.compile(r"(?!\.{1,2}$)[A-Za-z0-9_.-]{1,100}")
NAME_FORM = "up to 100 letters, digits, hyphens, underscores and periods"
"""The engine's format of project and stack names (pulumi/pulumi: `sdk/go/common/tokens`)."""


@dataclass(frozen=True)
class Sandbox:
    """A sandbox: the project that it deploys, and the folder in which it stores everything."""

    project: Path
    directory: Path

    @classmethod
    def of(cls, project: Path) -> Sandbox:
        """The sandbox of the project in a folder.

        Raises:
            SandboxError: there is no project, or the sandbox's folder contains something else.
        """
        project = project.absolute()
        if not (project / "Pulumi.yaml").is_file():
            raise SandboxError(
                f"no Pulumi.yaml in {project}: run the command in the project's folder, or use --project"
            )
        named = os.environ.get(DIRECTORY_VARIABLE, "").strip()
        # Resolve links: when the folder is deleted, a link to it stays.
        sandbox = cls(project, Path(os.path.realpath(named or project / ".sandbox")))
        is_sandbox(sandbox.directory)
        return sandbox

    @property
    def copy(self) -> Path:
        """The engine's copy of the project's folder."""
        return self.directory / "project"

    @property
    def backend(self) -> Path:
        """The folder of the engine's file backend."""
        return self.directory / "state"

    @functools.cached_property
    def settings(self) -> dict[str, str]:
        """The values in `Pulumi.yaml` that are plain text, including a valid `name`.

        Raises:
            SandboxError: the file can't be read, isn't valid, or has no valid `name`.
        """
        path = self.project / "Pulumi.yaml"
        found = yaml_file.texts(path)
        if not NAME.fullmatch(found.get("name", "")):
            given = f"is {found['name']!r}" if found.get("name") else "is missing"
            raise SandboxError(f"{path}: `name` {given}: give the project a name of {NAME_FORM}")
        return found

    @property
    def program(self) -> Path:
        """The program's folder, or its file if `main` names one."""
        return Path(os.path.normpath(self.project / self.settings.get("main", ".")))

    @property
    def repository(self) -> Path:
        """The folder with the policy pack: the project's, or the one above if the project is a part of it."""
        above = self.project.parent
        own = (self.project / PACK).exists() or not (above / PACK).exists()
        return self.project if own else above

    def committed_stacks(self) -> list[str]:
        """The stacks that have a `Pulumi.<stack>.yaml` file."""
        return sorted(
            path.name.split(".", 1)[1][: -len(".yaml")] for path in self.project.glob("Pulumi.*.yaml")
        )

    def deployed_stacks(self) -> list[str]:
        """The stacks that exist in the backend."""
        return sorted(path.stem for path in self._states().glob("*.json"))

    def deployment(self, stack: str) -> dict[str, Any]:
        """The stack's state, as `pulumi stack export` shows it; empty if there is none.

        Raises:
            SandboxError: the state can't be read.
        """
        if stack not in self.deployed_stacks():
            return {}
        path = self._states() / f"{stack}.json"
        try:
            found: Any = json.loads(path.read_bytes())["checkpoint"].get("latest") or {}
        except OSError as error:
            raise SandboxError(f"{path} can't be read: {error.strerror}") from None
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            found = None
        if _is_deployment(found):
            return found
        raise SandboxError(
            f"{path} is not the state of a stack: delete the whole sandbox with `python -m sandbox reset`"
        )

    def token(self, cluster: str) -> str:
        """The bearer token of a cluster's administrator.

        Raises:
            SandboxError: there is no such cluster.
        """
        path = cluster_folder(self.directory, cluster) / "token"
        if not path.exists():
            raise SandboxError(f"no cluster found for name: {cluster}")
        return path.read_text()

    def _states(self) -> Path:
        return self.backend / ".pulumi" / "stacks" / self.settings["name"]

    def check(self, stack: str | None) -> None:
        """Checks the files that a command needs, including the stack's if a stack is given.

        Raises:
            SandboxError: the stack doesn't exist, or a file isn't valid.
        """
        self._project_file()
        if stack is None:
            return
        if stack not in self.committed_stacks():
            known = ", ".join(self.committed_stacks()) or "none"
            raise SandboxError(
                f"stack {stack!r}: no Pulumi.{stack}.yaml in {self.project}; the stacks there are: {known}"
            )
        if not NAME.fullmatch(stack):
            raise SandboxError(f"stack {stack!r}: rename Pulumi.{stack}.yaml: names must have {NAME_FORM}")
        self._stack_file(stack)

    def write_copy(self, stack: str | None) -> None:
        """Updates the engine's copy of `Pulumi.yaml` and the stack files.

        If a stack is given, errors in the files of other stacks are ignored, because the engine doesn't read
        them.

        Raises:
            SandboxError: a file can't be read or isn't valid.
        """
        text = self._project_file()
        self.copy.mkdir(parents=True, exist_ok=True)
        write_file(self.copy / "Pulumi.yaml", text)
        stacks = self.committed_stacks()
        for name in stacks:
            try:
                text = self._stack_file(name)
            except SandboxError:
                if stack == name or stack not in stacks:
                    raise
                continue
            write_file(self.copy / f"Pulumi.{name}.yaml", text)

    def write_environment(self, stack: str | None) -> None:
        """Stores this process's environment for the program of the stack, which the session starts.

        Without a stack the engine takes the selected one, which can be any of them: the stored environments
        are removed, and its program gets the session's.
        """
        if stack:
            write_file(environment_path(self.copy, stack), json.dumps(dict(os.environ)))
            return
        for path in self.copy.glob(environment_path(self.copy, "*").name):
            path.unlink(missing_ok=True)

    def _project_file(self) -> str:
        dropped = {"backend", "main", "stackConfigDir"}
        return yaml_file.rewritten(self.project / "Pulumi.yaml", dropped, {"main": str(self.program)})

    def _stack_file(self, stack: str) -> str:
        name = f"Pulumi.{stack}.yaml"
        copy = self.copy / name
        # Keep the sandbox's own salt, which the engine wrote into the copy when it created the stack.
        text = copy.read_text(errors="replace") if copy.exists() else ""
        kept = re.search(r"^encryptionsalt: (\S+)$", text, re.MULTILINE)
        dropped = {"secretsprovider", "encryptionsalt", "encryptedkey", "environment"}
        added = {"encryptionsalt": kept[1].strip("'\"")} if kept else {}
        return yaml_file.rewritten(self.project / name, dropped, added)


def _is_deployment(found: object) -> bool:
    """Whether a state has the structure that the commands rely on."""
    if not is_dict(found):
        return False
    resources, pending = found.get("resources", []), found.get("pending_operations", [])
    if not (is_list(resources) and is_list(pending)):
        return False
    return all(map(_is_resource, resources)) and all(map(_is_operation, pending))


def _is_operation(found: object) -> bool:
    return is_dict(found) and isinstance(found.get("type"), str) and _is_resource(found.get("resource"))


def _is_resource(found: object) -> bool:
    if not is_dict(found) or str(found.get("urn")).count("::") < 3 or not isinstance(found.get("type"), str):
        return False
    return all(
        isinstance(found.get(name, ""), str) for name in ("urn", "id", "parent", "provider", "created")
    )


def environment_path(copy: Path, stack: str) -> Path:
    """The file with the environment of the command that runs the engine for a stack."""
    return copy / f".environment.{stack}.json"


def write_file(path: Path, text: str) -> None:
    """Writes a file atomically, because several commands of a session can do so at the same time."""
    if path.exists() and path.read_bytes() == text.encode():
        return
    with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
        try:
            file.write(text)
            file.flush()
            Path(file.name).replace(path)
        except BaseException:
            Path(file.name).unlink()
            raise
