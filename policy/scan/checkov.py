"""Runs Checkov on a plan in isolation: without network, account or any of the user's settings."""

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

FRAMEWORK = "terraform_plan"

# `python -m checkov.main` without the garbage collector, which takes a quarter of a scan's time and finds
# nothing: a scan keeps all that it makes until it ends.
_MAIN = "import gc, runpy; gc.disable(); runpy.run_module('checkov.main', None, '__main__', True)"


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
    passed: bool
    attributes: Sequence[str]
    """The attributes that the check evaluated, with Terraform's names."""


@dataclass(frozen=True)
class Report:
    """The results of all checks for a plan."""

    version: str
    results: Sequence[Result]


def judge(plan: Mapping[str, Any]) -> Report:
    """Runs every check on every resource to which it applies.

    Raises:
        CheckovError: Checkov failed, or did not read the whole plan.
        sandbox.tools.ToolError: Checkov isn't available.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "plan.json"
        # One value per line, because Checkov copies the resource's lines into every result.
        path.write_text(json.dumps(plan, indent=1))
        options = ["--framework", FRAMEWORK, "--skip-download", "--compact", "--output", "json"]
        done = run(["--file", str(path), *options], Path(folder))
    try:
        document = json.loads(done.stdout)
    except ValueError:
        raise CheckovError(f"Checkov failed: {(done.stderr or done.stdout).strip()[-2000:]}") from None
    wanted = len(plan["planned_values"]["root_module"]["resources"])
    summary = document.get("summary", document)
    if summary["resource_count"] != wanted:
        raise CheckovError(f"Checkov read {summary['resource_count']} of the plan's {wanted} resources")
    found = document.get("results", {})
    return Report(
        summary["checkov_version"],
        [
            Result(
                check=record["check_id"],
                title=record["check_name"],
                address=record["resource_address"] or record["resource"],
                passed=passed,
                attributes=_attributes(record["check_result"].get("evaluated_keys") or []),
            )
            for group, passed in (("passed_checks", True), ("failed_checks", False))
            for record in found.get(group, [])
        ],
    )


def run(arguments: Sequence[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Runs Checkov's own command in a folder, in which it also stores its files."""
    environment = {
        # Nothing else of the user's environment: CKV_… and BC_… are options, and HOME can contain a
        # configuration file.
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(folder),
        "PYTHONPATH": str(checkov()),
        "CKV_CACHE_DIR": str(folder),
        "CKV_SKIP_PACKAGE_UPDATE_CHECK": "true",
    }
    # Without site-packages, because .venv has other versions of Checkov's dependencies.
    command = [sys.executable, "-S", "-c", _MAIN, *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def _attributes(keys: Sequence[str]) -> list[str]:
    """Converts paths such as `rule/[0]/filter` to `rule.filter`, and removes those that aren't attributes."""
    paths = (
        ".".join(part for part in key.split("/") if not part.startswith("[") and part != "*") for key in keys
    )
    return sorted({path for path in paths if path not in ("", "resource_type", "networking")})
