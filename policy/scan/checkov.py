"""Runs Checkov in isolation: without network, account or any of the user's settings."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from policy.rule import is_list
from sandbox.tools import checkov

PLANS = "terraform_plan"
MANIFESTS = "kubernetes"
"""Checkov's frameworks."""

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
    """The resource's address in the plan, or the file name of its manifest."""
    passed: bool
    attributes: Sequence[str]
    """The attributes that the check evaluated, with Terraform's names."""


@dataclass(frozen=True)
class Report:
    """The results of all checks."""

    version: str
    results: Sequence[Result]


def judge(plan: Mapping[str, Any], manifests: Mapping[str, Mapping[str, Any]] | None = None) -> Report:
    """Runs every check on every resource to which it applies.

    One run scans both, because Checkov takes seconds to start.

    Args:
        plan: a Terraform plan.
        manifests: file name → Kubernetes object.

    Raises:
        CheckovError: Checkov failed, or did not read everything.
        sandbox.tools.ToolError: Checkov isn't available.
    """
    files = {"plan.json": plan, **(manifests or {})}
    frameworks = [PLANS, *([MANIFESTS] if manifests else [])]
    with tempfile.TemporaryDirectory() as home, tempfile.TemporaryDirectory() as folder:
        for name, document in files.items():
            # One value per line, because Checkov copies the resource's lines into every result.
            (Path(folder) / name).write_text(json.dumps(document, indent=1))
        options = ["--framework", *frameworks, "--skip-download", "--compact", "--output", "json"]
        done = run(["--directory", folder, *options], Path(home))
    try:
        output: Any = json.loads(done.stdout)
    except ValueError:
        raise CheckovError(f"Checkov failed: {(done.stderr or done.stdout).strip()[-2000:]}") from None
    # A list if several frameworks have results, and only a summary if there are none.
    reports: Sequence[Mapping[str, Any]] = output if is_list(output) else [output]
    read = {report.get("check_type", PLANS): report.get("summary", report) for report in reports}
    _read_everything(plan, manifests or {}, read)
    return Report(
        next(iter(read.values()))["checkov_version"],
        [result for report in reports for result in _results(report)],
    )


def _read_everything(
    plan: Mapping[str, Any], manifests: Mapping[str, Mapping[str, Any]], read: Mapping[str, Mapping[str, Any]]
) -> None:
    wanted = len(plan["planned_values"]["root_module"]["resources"])
    count = read.get(PLANS, {}).get("resource_count", 0)
    if count != wanted:
        raise CheckovError(f"Checkov read {count} of the plan's {wanted} resources")
    # Checkov also counts the pods of workloads.
    objects = read.get(MANIFESTS, {})
    count, errors = objects.get("resource_count", 0), objects.get("parsing_errors", 0)
    if count < len(manifests) or errors:
        raise CheckovError(
            f"Checkov read {count} of {len(manifests)} Kubernetes objects, with {errors} errors"
        )


def _results(report: Mapping[str, Any]) -> Iterator[Result]:
    is_plan = report.get("check_type") == PLANS
    found = report.get("results", {})
    for group, passed in (("passed_checks", True), ("failed_checks", False)):
        for record in found.get(group, []):
            yield Result(
                check=record["check_id"],
                title=record["check_name"],
                address=(record["resource_address"] or record["resource"])
                if is_plan
                else Path(record["file_path"]).name,
                passed=passed,
                attributes=_attributes(record["check_result"].get("evaluated_keys") or []),
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
