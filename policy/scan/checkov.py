"""Runs Checkov in isolation: without network, account or any of the user's settings."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sandbox.tools import checkov

PLANS = "terraform_plan"
MANIFESTS = "kubernetes"
"""Checkov's frameworks."""

FRAMEWORKS = Path(__file__).with_name("frameworks.py")


class CheckovError(Exception):
    """Raised if Checkov could not scan the plan. The text has Checkov's output."""


@dataclass(frozen=True)
class Result:
    """The result of one check for one resource."""

    check: str
    """The check's id, such as `CKV_AWS_18`."""
    title: str
    """What the check requires, such as `Ensure the S3 bucket has access logging enabled`."""
    address: str
    """The resource's address in the plan, or the file name of its manifest."""
    passed: bool
    attributes: Sequence[str]
    """The attributes that the check evaluated, with Terraform's names."""


@dataclass(frozen=True)
class Report:
    """The results of all checks."""

    version: str
    results: Sequence[Result]


Documents = Mapping[str, Mapping[str, Any]]
"""File name → Kubernetes object."""


def judge(plan: Mapping[str, Any], manifests: Documents | None = None) -> Report:
    """Runs every check on every resource to which it applies.

    One run scans both, because Checkov takes seconds to start.

    Args:
        plan: a Terraform plan.
        manifests: file name → Kubernetes object.

    Raises:
        CheckovError: Checkov failed, or did not read everything.
        sandbox.tools.ToolError: Checkov isn't available.
    """
    frameworks = [PLANS, *([MANIFESTS] if manifests else [])]
    with tempfile.TemporaryDirectory() as home, tempfile.TemporaryDirectory() as folder:
        write(Path(folder), plan, manifests or {})
        done = run([str(FRAMEWORKS), folder, *frameworks], Path(home))
    try:
        found: Mapping[str, Any] = json.loads(done.stdout)
    except ValueError:
        raise CheckovError(f"Checkov failed: {(done.stderr or done.stdout).strip()[-2000:]}") from None
    return report(found, plan, manifests or {})


def write(folder: Path, plan: Mapping[str, Any], manifests: Documents) -> None:
    """Writes the files that Checkov reads."""
    for name, document in {"plan.json": plan, **manifests}.items():
        # One value per line, because Checkov copies the resource's lines into every result.
        (folder / name).write_text(json.dumps(document, indent=1))


def report(found: Mapping[str, Any], plan: Mapping[str, Any], manifests: Documents) -> Report:
    """Converts what `frameworks.py` found in the files.

    Raises:
        CheckovError: Checkov did not read everything.
    """
    _read_everything(plan, manifests, {name: results["summary"] for name, results in found.items()})
    return Report(
        found[PLANS]["summary"]["checkov_version"],
        [_result(name, result) for name, results in found.items() for result in results["results"]],
    )


def _read_everything(
    plan: Mapping[str, Any], manifests: Documents, read: Mapping[str, Mapping[str, Any]]
) -> None:
    wanted, count = len(plan["planned_values"]["root_module"]["resources"]), read[PLANS]["resource_count"]
    if count != wanted:
        raise CheckovError(f"Checkov read {count} of the plan's {wanted} resources")
    if not manifests:
        return
    # Checkov also counts the pods of workloads.
    count, errors = read[MANIFESTS]["resource_count"], read[MANIFESTS]["parsing_errors"]
    if count < len(manifests) or errors:
        raise CheckovError(
            f"Checkov read {count} of {len(manifests)} Kubernetes objects, with {errors} errors"
        )


def _result(framework: str, found: Mapping[str, Any]) -> Result:
    return Result(
        check=found["check"],
        title=found["title"],
        address=found["address"] if framework == PLANS else Path(found["file"]).name,
        passed=found["passed"],
        attributes=_attributes(found["keys"]),
    )


def run(arguments: Sequence[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Runs Python with Checkov's packages in a folder, in which Checkov also stores its files."""
    environment = {
        # Nothing else of the user's environment: CKV_… and BC_… are options, and HOME can contain a
        # configuration file.
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(folder),
        "PYTHONPATH": str(checkov()),
        "CKV_CACHE_DIR": str(folder),
        "CKV_SKIP_PACKAGE_UPDATE_CHECK": "true",
    }
    # Without site-packages, because .venv has other versions of Checkov's dependencies, and without the
    # folder of the script, in which this module has Checkov's name.
    command = [sys.executable, "-S", "-P", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def _attributes(keys: Sequence[str]) -> list[str]:
    """Converts paths such as `rule/[0]/filter` to `rule.filter`, and removes those that aren't attributes."""
    paths = (
        ".".join(part for part in key.split("/") if not part.startswith("[") and part != "*") for key in keys
    )
    return sorted({path for path in paths if path not in ("", "resource_type", "networking")})
