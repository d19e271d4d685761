"""The resources that a stack would have, without a deployment.

`planned` lets the real engine preview the stack in a new, empty sandbox, so the result depends only on the
program and the stack file, and not on what is deployed anywhere.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from policy.rule import is_list, is_map
from policy.scan.plan import State
from sandbox import tools
from sandbox.folder import DIRECTORY_VARIABLE, SandboxError

UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
"""The value of an input that is known only after a deployment (pulumi/pulumi v3.255.0: `UnknownStringValue`
in `sdk/go/common/resource/plugin/rpc.go`)."""

AUTO_NAME = re.compile(r"-[0-9a-f]{7}$")
"""What the AWS provider appends to a logical name: a hyphen and seven hexadecimal digits."""

_REPOSITORY = Path(__file__).resolve().parent.parent

# The operations after which a resource is part of the stack (pulumi/pulumi v3.255.0: `pkg/resource/deploy/
# step.go`). A read resource belongs to someone else, and the other operations end a resource.
_KEPT = frozenset(
    ("same", "create", "update", "replace", "create-replacement", "import", "import-replacement")
)


class PlannedError(Exception):
    """Raised if the resources of a stack cannot be determined. The text names the reason."""


def planned(stack: str, project: Path = Path()) -> list[State]:
    """The resources that a first deployment of a stack would create, in the order of their creation.

    Each has at least `urn`, `type` and, as far as they apply, `inputs`, `parent`, `provider`, `dependencies`
    and `propertyDependencies`, as in `pulumi stack export`. Secrets are `[secret]`, and inputs that are known
    only after a deployment are `UNKNOWN`.

    Args:
        stack: a stack with a `Pulumi.<stack>.yaml` file.
        project: the folder of `Pulumi.yaml`.

    Raises:
        PlannedError: the preview failed. The text contains the engine's errors.
    """
    try:
        tools.build_sandbox()  # here, because the first build takes minutes and reports its progress
    except SandboxError as error:
        raise PlannedError(str(error)) from None
    with tempfile.TemporaryDirectory(prefix="trading-planned-") as folder:
        command = [*(sys.executable, "-m", "sandbox", "--project", str(project.absolute())), "preview"]
        done = subprocess.run(
            [*command, "--stack", stack, "--no-policies", "--json"],
            cwd=_REPOSITORY,
            env={**os.environ, DIRECTORY_VARIABLE: str(Path(folder, "sandbox"))},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
        )
    if done.returncode:
        raise PlannedError(f"the preview of stack {stack} failed:\n{_errors(done.stdout, done.stderr)}")
    return resources(done.stdout, f"the preview of stack {stack}")


def resources(text: str, source: str) -> list[State]:
    """The resources in the output of `pulumi preview --json --show-sames` or `pulumi stack export`.

    Args:
        text: the output.
        source: where it comes from, for errors.

    Raises:
        PlannedError: it is neither of them, or the preview failed or leaves out unchanged resources.
    """
    try:
        document: Any = json.loads(text)
    except (ValueError, RecursionError):
        document = None
    found: Any = None
    if is_map(document) and is_map(document.get("deployment")):
        found = document["deployment"].get("resources") or []
    elif is_map(document) and is_list(document.get("steps")):
        found = _after(document, source)
    if not is_list(found) or not all(map(_is_resource, found)):
        raise PlannedError(
            f"{source} is neither the output of `pulumi preview --json --show-sames` nor that of "
            "`pulumi stack export`"
        )
    return [item for item in found if not item.get("delete") and not item.get("external")]


def region_of(item: State, known: Mapping[str, State]) -> str | None:
    """The AWS Region of a resource: its own `region` input, or else its provider's.

    Args:
        item: the resource.
        known: URN → resource, with the providers.

    Returns:
        None if neither names a Region.
    """
    provider = known.get(item.get("provider", "").rpartition("::")[0], {})
    for inputs in (item.get("inputs", {}), provider.get("inputs", {})):
        if isinstance(region := inputs.get("region"), str) and region != UNKNOWN:
            return region
    return None


def _after(document: Mapping[str, Any], source: str) -> list[Any]:
    """The resources after a previewed deployment."""
    steps = _maps(document["steps"])
    if errors := _messages(document):
        raise PlannedError(f"{source} failed:\n{errors}")
    summary: Any = document.get("changeSummary")
    same = summary.get("same", 0) if is_map(summary) else 0
    shown = sum(step.get("op") == "same" for step in steps)
    if same > shown:
        raise PlannedError(
            f"{source} leaves out {same - shown} unchanged resources: run `pulumi preview --json` with "
            "`--show-sames`"
        )
    # A replacement has several steps with the same new state.
    return list({step.get("urn"): step.get("newState") for step in steps if step.get("op") in _KEPT}.values())


def _is_resource(item: object) -> bool:
    if not is_map(item) or not isinstance(item.get("type"), str):
        return False
    return str(item.get("urn")).count("::") >= 3 and is_map(item.get("inputs", {}))


def _errors(stdout: str, stderr: str) -> str:
    """The errors of a command that failed: those in the engine's JSON, and what else it printed."""
    try:
        document: Any = json.loads(stdout)
    except ValueError:
        document = None
    found = _messages(document) if is_map(document) else stdout.strip()
    return "\n".join(filter(None, (found, stderr.strip()))) or "the engine reported no reason"


def _messages(document: Mapping[str, Any]) -> str:
    """The error messages in the output of `pulumi preview --json`."""
    found = [item for item in _maps(document.get("diagnostics")) if item.get("severity") == "error"]
    return "\n".join(str(item.get("message")).strip() for item in found)


def _maps(value: object) -> list[Mapping[str, Any]]:
    """The objects in a list, or nothing if the value is not a list."""
    return [item for item in value if is_map(item)] if is_list(value) else []
