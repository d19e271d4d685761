"""`make diff`: what the working tree would change in a stack as its base deploys it.

The base is deployed into a sandbox of its own, in which the real engine then previews the working tree.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from report.base import Base, BaseError, base_of, deploy
from sandbox.folder import DIRECTORY_VARIABLE


@dataclass(frozen=True)
class Previewed:
    """What the engine wrote during a preview."""

    document: str
    """The output of `pulumi preview --json`. If the preview failed, it has the errors as diagnostics."""
    events: str
    """The engine's events, which have the findings of the policy pack."""


def preview_of_change(revision: str, stack: str, project: Path) -> Previewed:
    """Previews the working tree on the stack as the base deploys it.

    Raises:
        BaseError: the base does not exist or can't be deployed, or the working tree's stack file is missing
            or wrong.
    """
    project = project.resolve()
    if not (project / f"Pulumi.{stack}.yaml").is_file():
        raise BaseError(f"STACK={stack}: the working tree has no Pulumi.{stack}.yaml")
    _check_settings(stack, project)
    base = base_of(revision, stack, project)
    deploy(base, project)
    return _preview(base, project)


def _check_settings(stack: str, project: Path) -> None:
    """Reports wrong settings before the base is deployed, which takes minutes."""
    if not (project / "settings" / "__main__.py").is_file():
        return
    command = [sys.executable, "-m", "settings", "check", "--stack", stack]
    checked = subprocess.run(command, cwd=project, capture_output=True, text=True, errors="replace")
    if checked.returncode:
        raise BaseError(checked.stderr.strip() or checked.stdout.strip())


def _preview(base: Base, project: Path) -> Previewed:
    print(f"previewing the working tree on {base.stack} of {base.revision[:12]}", file=sys.stderr, flush=True)
    events = base.folder / "events"
    events.unlink(missing_ok=True)
    preview = ["pulumi", "preview", "--stack", base.stack, "--json", "--show-sames"]
    pack = ["--policy-pack", str(project / "policy" / "pack"), "--event-log", str(events)]
    done = subprocess.run(
        [sys.executable, "-m", "sandbox", "exec", "--", *preview, *pack],
        cwd=project,
        env={
            **os.environ,
            DIRECTORY_VARIABLE: str(base.sandbox),
            "PULUMI_DEBUG_COMMANDS": "true",  # without it, there is no --event-log
        },
        stdout=subprocess.PIPE,
        text=True,
        errors="replace",
    )
    return Previewed(done.stdout, events.read_text(errors="replace") if events.exists() else "")
