"""The engine: what it has deployed, and what it would change."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from typing import Any

from account.question import Answer, UnansweredError, judged, some

KEPT = ("same", "read", "refresh")
"""Operations that change nothing (pulumi/pulumi v3.255.0: `pkg/resource/deploy/step.go`)."""
SHOWN = 5


class EngineError(UnansweredError):
    """Raised if the engine can't be run, or fails. The text says why."""


@dataclass(frozen=True)
class Engine:
    """Runs commands that change nothing."""

    stack: str

    def export(self) -> str:
        """The stack's state.

        Raises:
            EngineError: there is none.
        """
        return self._run("stack", "export")

    def preview(self) -> list[tuple[str, str]]:
        """Operation and logical name of everything that a deployment would change.

        Raises:
            EngineError: the preview failed.
        """
        document: Any = json.loads(self._run("preview", "--json", "--non-interactive"))
        return [
            (step["op"], step["urn"].rpartition("::")[2])
            for step in document["steps"]
            if step["op"] not in KEPT
        ]

    def _run(self, *arguments: str) -> str:
        command = ["pulumi", *arguments, "--stack", self.stack]
        try:
            done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        except OSError as error:
            remedy = "install the Pulumi CLI, or run this command with `python -m sandbox exec --`"
            raise EngineError(f"pulumi can't be run: {error.strerror}", remedy) from None
        if done.returncode:
            reason = (done.stderr or done.stdout).strip().splitlines()[-3:]
            raise EngineError(f"`{' '.join(command)}` ended with {done.returncode}: {' '.join(reason)}")
        return done.stdout[max(done.stdout.find("{"), 0) :]


def unchanged(engine: Engine) -> Answer:
    """A second deployment would change nothing."""
    found = engine.preview()
    changes = [f"{operation} {name}" for operation, name in found]
    return judged(
        [f"a deployment would {some(changes, SHOWN)}"] if found else [],
        "a second preview is empty",
        "deploy the working tree. If the difference stays, `pulumi preview --diff` shows the property that "
        "AWS returns in another form",
    )
