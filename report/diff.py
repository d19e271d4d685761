"""`make diff`: what the working tree would change in a stack as its base deploys it.

The base is deployed into a sandbox of its own, in which the real engine then previews the working tree.

Exit status: 0 if the change passes, 1 if it is blocked, 2 if there is no preview that could be judged.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from policy import switches
from report import output, preview
from report.base import Base, BaseError, base_of, deploy
from report.preview import PreviewError
from sandbox import tools
from sandbox.folder import DIRECTORY_VARIABLE, SandboxError

LABELS_VARIABLE = "LABELS"
"""Environment variable with the labels of a pull request, one in a line."""


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
    try:
        tools.build_sandbox()  # so that the base links them and builds none itself
    except SandboxError as error:
        raise BaseError(str(error)) from None
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
            **switches.without(os.environ),
            DIRECTORY_VARIABLE: str(base.sandbox),
            "PULUMI_DEBUG_COMMANDS": "true",  # without it, there is no --event-log
        },
        stdout=subprocess.PIPE,
        text=True,
        errors="replace",
    )
    return Previewed(done.stdout, events.read_text(errors="replace") if events.exists() else "")


def main(arguments: Sequence[str]) -> int:
    """Runs the command and returns its exit status."""
    options = _parser().parse_args(arguments)
    labels = [line for line in os.environ.get(LABELS_VARIABLE, "").splitlines() if line.strip()]
    try:
        found = preview_of_change(options.base, options.stack, Path())
        return output.write(preview.read(found.document, found.events), labels=labels, out=options.out)
    except (BaseError, PreviewError) as error:
        return output.fail(str(error), options.out)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="make diff", description=(__doc__ or "").split("\n")[0], allow_abbrev=False
    )
    parser.add_argument("--base", required=True, help="a branch, tag or commit, such as origin/main")
    parser.add_argument("--stack", required=True, help="a stack with a Pulumi.<stack>.yaml file")
    parser.add_argument("--out", type=Path, help="also write report.md, report.json and report.html there")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
