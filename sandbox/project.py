"""Where the sandbox keeps things, the engine's copy of the project, and what the stacks' states hold.

Everything lives in one folder, `.sandbox/` in the project's (`TRADING_SANDBOX_DIR` names another). The
engine works on a copy of `Pulumi.yaml` and of the stack files, whose `main` points to the real program, so
that nothing is ever written into the working tree.
"""

from __future__ import annotations

import functools
import json
import os
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from sandbox.folder import DIRECTORY_VARIABLE, SandboxError, cluster_folder, is_sandbox
from sandbox.values import is_dict

DUMMY_SECRET = "sandbox-dummy-secret"  # noqa: S105 (it is none)
"""Stands for every `secure:` value: only the user's own key opens those."""


@dataclass(frozen=True)
class Sandbox:
    """One sandbox: the project that it deploys and the folder that it keeps everything in."""

    project: Path
    directory: Path

    @classmethod
    def of(cls, project: Path) -> Sandbox:
        """The sandbox of the project in a folder.

        Raises:
            SandboxError: there is no project, or the sandbox's folder holds something else.
        """
        project = project.absolute()
        if not (project / "Pulumi.yaml").is_file():
            raise SandboxError(
                f"no Pulumi.yaml in {project}: run this in the project's folder, or name it with --project"
            )
        named = os.environ.get(DIRECTORY_VARIABLE, "").strip()
        # The real folder: a link to it may stay when it is deleted.
        sandbox = cls(project, Path(os.path.realpath(named or project / ".sandbox")))
        is_sandbox(sandbox.directory)
        return sandbox

    @property
    def copy(self) -> Path:
        """The folder that the engine takes for the project's."""
        return self.directory / "project"

    @property
    def backend(self) -> Path:
        """The engine's file backend."""
        return self.directory / "state"

    @functools.cached_property
    def settings(self) -> dict[str, Any]:
        """What `Pulumi.yaml` says.

        Raises:
            SandboxError: it is not the YAML that it should be.
        """
        _rewritten(self.project / "Pulumi.yaml", set(), {})
        return yaml.safe_load((self.project / "Pulumi.yaml").read_text())

    @property
    def program(self) -> Path:
        """The program's folder, or its file where `main` names one."""
        return Path(os.path.normpath(self.project / str(self.settings.get("main", "."))))

    def committed_stacks(self) -> list[str]:
        """The stacks that have a `Pulumi.<stack>.yaml`."""
        return sorted(
            path.name.split(".", 1)[1][: -len(".yaml")] for path in self.project.glob("Pulumi.*.yaml")
        )

    def configurations(self) -> dict[str, dict[str, Any]]:
        """Name → `config` of each stack file; that of a file which can't be read is empty."""
        files = [f"Pulumi.{stack}.yaml" for stack in self.committed_stacks()]
        return {name: _configuration(self.project / name) for name in files}

    def deployed_stacks(self) -> list[str]:
        """The stacks that the backend knows."""
        return sorted(path.stem for path in self._states().glob("*.json"))

    def deployment(self, stack: str) -> dict[str, Any]:
        """The stack's state, as `pulumi stack export` shows it; empty where there is none."""
        path = self._states() / f"{stack}.json"
        if not path.exists():
            return {}
        return json.loads(path.read_text()).get("checkpoint", {}).get("latest") or {}

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
        return self.backend / ".pulumi" / "stacks" / str(self.settings["name"])

    def write_copy(self) -> None:
        """Brings the engine's copy of `Pulumi.yaml` and the stack files up to date.

        Raises:
            SandboxError: a file is not the YAML that it should be.
        """
        self.copy.mkdir(parents=True, exist_ok=True)
        dropped = {"backend", "main", "stackConfigDir"}
        text = _rewritten(self.project / "Pulumi.yaml", dropped, {"main": str(self.program)})
        write_file(self.copy / "Pulumi.yaml", text)
        for stack in self.committed_stacks():
            copy = self.copy / f"Pulumi.{stack}.yaml"
            # The salt is the sandbox's own: the engine wrote it into the copy when it made the stack.
            kept = re.search(
                r"^encryptionsalt: (\S+)$", copy.read_text() if copy.exists() else "", re.MULTILINE
            )
            dropped = {"secretsprovider", "encryptionsalt", "encryptedkey", "environment"}
            added = {"encryptionsalt": kept[1].strip("'\"")} if kept else {}
            write_file(copy, _rewritten(self.project / copy.name, dropped, added))


def _configuration(path: Path) -> dict[str, Any]:
    try:
        found: Any = yaml.safe_load(path.read_text())["config"]
    except (OSError, ValueError, TypeError, KeyError, RecursionError, yaml.YAMLError):
        return {}
    return found if is_dict(found) else {}


def _rewritten(path: Path, dropped: set[str], added: Mapping[str, str]) -> str:
    """The file without some keys, with others, and with dummies in the place of secrets.

    Works on YAML nodes and not on values, as the engine's YAML is 1.2 and PyYAML's 1.1: `yes` stays `yes`.
    """
    try:
        document = yaml.compose(path.read_text(), Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        raise SandboxError(f"{path} is not valid YAML: {error}") from error
    if document is None:
        document = yaml.MappingNode("tag:yaml.org,2002:map", [])
    if not isinstance(document, yaml.MappingNode):
        raise SandboxError(f"{path} is not a mapping of keys to values")
    kept = [(key, _without_secrets(value)) for key, value in document.value if key.value not in dropped]
    document.value = kept + [(_scalar(key), _scalar(value)) for key, value in added.items()]
    return yaml.serialize(document)  # pyright: ignore[reportUnknownMemberType]


def _without_secrets(node: yaml.Node) -> yaml.Node:
    if isinstance(node, yaml.SequenceNode):
        node.value = [_without_secrets(item) for item in node.value]
    elif isinstance(node, yaml.MappingNode):
        if [key.value for key, _ in node.value] == ["secure"]:
            return _scalar(DUMMY_SECRET)
        node.value = [(key, _without_secrets(value)) for key, value in node.value]
    return node


def _scalar(value: str) -> yaml.ScalarNode:
    return yaml.ScalarNode("tag:yaml.org,2002:str", value)


def write_file(path: Path, text: str) -> None:
    """Writes at once or not at all: several commands of one session may do this at the same time."""
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
