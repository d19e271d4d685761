"""A copy of the project with the fixture stacks as its stack files and its own sandbox."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, Self

import yaml

from sandbox.aws.store import Store
from sandbox.project import DIRECTORY_VARIABLE, Sandbox
from tests.engine import session
from tests.unit.harness import FIXTURES, ROOT

Values = dict[str, Any]

CHEAPER = {
    "PULUMI_OPTION_COLOR": "never",
    # The Go programs (engine, API server, etcd) collect garbage when the heap has grown to four times its
    # live size, not twice (Go's package `runtime`).
    "GOGC": "300",
}
"""Environment variables that change the cost of a deployment, but not its result."""

LEFT_BEHIND = re.compile(
    r"aws:(route53/record:Record::\S+-validation|apigateway/account:Account::\S+|"
    r"iam/(role:Role|rolePolicyAttachment:RolePolicyAttachment)::api-\S+-logs)"
)
"""What a stack leaves in the account, because other stacks may need it: the records that validate its
certificates, and the role for the logs of all APIs."""


@dataclass(frozen=True)
class Project:
    """The unchanged program with the test's own stack files."""

    folder: Path
    sandbox: Path

    @classmethod
    def make(cls, directory: Path) -> Project:
        """A project in `directory`: links to all files, and the fixture stacks as its stack files."""
        folder = directory / "project"
        folder.mkdir()
        for path in ROOT.iterdir():
            if not path.name.startswith(".") and not fnmatch(path.name, "Pulumi.*.yaml"):
                (folder / path.name).symlink_to(path)
        for path in FIXTURES.iterdir():
            (folder / f"Pulumi.{path.name}").write_text(path.read_text())
        return cls(folder, directory / "sandbox")

    @classmethod
    def of_program(cls, directory: Path, program: str = "", *linked: str) -> Self:
        """A project in `directory` with a program of its own, the stack `local` without settings, and links
        to folders of this one."""
        folder = directory / "project"
        folder.mkdir()
        (folder / "Pulumi.yaml").write_text("{name: small, runtime: python}")
        (folder / "Pulumi.local.yaml").write_text("config: {}")
        (folder / "__main__.py").write_text(program)
        for name in linked:
            (folder / name).symlink_to(ROOT / name)
        return cls(folder, directory / "sandbox")

    def change(self, stack: str, edit: Callable[[Values], None]) -> None:
        """Edits the keys of a stack file."""
        path = self.folder / f"Pulumi.{stack}.yaml"
        document = yaml.safe_load(path.read_text())
        edit(document["config"])
        path.write_text(yaml.safe_dump(document))

    def sandbox_command(self, *arguments: str, expect: int | None = 0) -> str:
        """Runs `python -m sandbox` and returns both of its outputs; `expect` is its exit status."""
        session.close()
        command = [sys.executable, "-m", "sandbox", "--project", str(self.folder), *arguments]
        done = subprocess.run(
            command,
            cwd=ROOT,
            env={**os.environ, **CHEAPER, DIRECTORY_VARIABLE: str(self.sandbox)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        return _expected(arguments, done.returncode, done.stdout, expect)

    def run(self, *command: str, expect: int | None = 0) -> str:
        """Runs a command in the sandbox, which then stays open, and returns both of its outputs."""
        opened = session.session(self.folder, self.sandbox, {**os.environ, **CHEAPER})
        return _expected(command, *opened.run(command), expect)

    def pulumi(self, *arguments: str, expect: int | None = 0) -> str:
        """Runs the engine in the sandbox."""
        return self.run("pulumi", *arguments, expect=expect)

    def deploy(self, stack: str) -> str:
        """Deploys with the rules, but without the preview with which `python -m sandbox up` begins: other
        tests show that one, and most that deploy have looked at a preview themselves."""
        pack = str(self.folder / "policy" / "pack")
        return self.pulumi("up", "--stack", stack, "--yes", "--skip-preview", "--policy-pack", pack)

    def preview(self, stack: str) -> dict[str, str]:
        """What a deployment would do: logical name → operation, except for `same`."""
        return {step["urn"].rsplit("::", 1)[-1]: step["op"] for step in self.steps(stack)}

    def steps(self, stack: str, *options: str) -> list[dict[str, Any]]:
        """The steps of a deployment, with more options, that are not `same`."""
        text = self.pulumi("preview", "--stack", stack, "--json", *options)
        return [step for step in json.loads(text[text.index("{\n") :])["steps"] if step["op"] != "same"]

    def resources(self, stack: str) -> list[dict[str, Any]]:
        """The resources of the stack's state."""
        return Sandbox(self.folder, self.sandbox).deployment(stack).get("resources", [])

    def state(self, stack: str) -> dict[str, Any]:
        """The data by which two deployments are compared: URN → the resource's id and inputs."""
        return {r["urn"]: (r.get("id"), _plain(r.get("inputs"))) for r in self.resources(stack)}

    def scan(self, *arguments: str, state: str = "") -> dict[str, Any]:
        """The output of `python -m policy.scan --json`; `state` is its standard input."""
        done = subprocess.run(
            [sys.executable, "-m", "policy.scan", "--json", *arguments],
            cwd=self.folder,
            env={**os.environ, DIRECTORY_VARIABLE: str(self.sandbox)},
            input=state,
            capture_output=True,
            text=True,
        )
        assert done.stdout, done.stderr
        return json.loads(done.stdout)

    def remaining(self) -> list[str]:
        """The types and names of the AWS resources that exist, without those that a stack leaves behind."""
        store = Store(self.sandbox)
        found = [f"{row.type}::{row.name}" for row in store.all()]
        store.close()
        return [resource for resource in found if not LEFT_BEHIND.fullmatch(resource)]

    def status(self) -> dict[str, Any]:
        """The resources that the sandbox holds."""
        return json.loads(self.sandbox_command("status", "--json"))


def _expected(command: Sequence[str], status: int, output: str, expect: int | None) -> str:
    """The output of a command that ended with the expected status."""
    assert expect is None or status == expect, f"{shlex.join(command)} ended with {status}:\n{output[-8000:]}"
    return output


def _plain(inputs: Any) -> str:
    """Inputs without the ciphertext of secrets, which differs with each deployment."""
    return re.sub(r'"ciphertext": "[^"]*"', "", json.dumps(inputs, sort_keys=True))
