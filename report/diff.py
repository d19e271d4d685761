"""`make diff`: what the working tree would change in a stack as its base deploys it.

The base is deployed into a sandbox of its own, in which the real engine then previews the working tree.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from report.base import Base, BaseError, base_of, deploy
from sandbox.folder import DIRECTORY_VARIABLE


def preview_of_change(revision: str, stack: str, project: Path) -> str:
    """The output of `pulumi preview --json` for the working tree, on the stack as the base deploys it.

    If the preview fails, the output has the engine's errors among its diagnostics.

    Raises:
        BaseError: the base does not exist or can't be deployed, or the working tree has no such stack.
    """
    project = project.resolve()
    if not (project / f"Pulumi.{stack}.yaml").is_file():
        raise BaseError(f"STACK={stack}: the working tree has no Pulumi.{stack}.yaml")
    base = base_of(revision, stack, project)
    deploy(base, project)
    return _preview(base, project)


def _preview(base: Base, project: Path) -> str:
    print(f"previewing the working tree on {base.stack} of {base.revision[:12]}", file=sys.stderr, flush=True)
    done = subprocess.run(
        [sys.executable, "-m", "sandbox", "preview", "--stack", base.stack, "--json"],
        cwd=project,
        env={**os.environ, DIRECTORY_VARIABLE: str(base.sandbox)},
        stdout=subprocess.PIPE,
        text=True,
        errors="replace",
    )
    return done.stdout
