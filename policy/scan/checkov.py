"""Runs Checkov on a plan, by itself: no network, no account of its vendor, no settings of the user's own."""

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


class CheckovError(Exception):
    """Checkov did not judge the plan; the text says what it said."""


@dataclass(frozen=True)
class Result:
    """What one check says of one resource."""

    check: str
    """Id, such as `CKV_AWS_18`."""
    title: str
    """What it asks for, such as `Ensure the S3 bucket has access logging enabled`."""
    address: str
    passed: bool
    attributes: Sequence[str]
    """What it looked at, in Terraform's names."""


@dataclass(frozen=True)
class Report:
    """What all checks say of a plan."""

    version: str
    results: Sequence[Result]


def judge(plan: Mapping[str, Any]) -> Report:
    """Every check on every resource that it is about.

    Raises:
        CheckovError: Checkov failed, or did not read the whole plan.
        sandbox.tools.ToolError: it can't be had.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "plan.json"
        # A line each: Checkov keeps the lines that a resource stands on, for every result.
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
    """Runs Checkov's own command in a folder, where it also keeps what it writes."""
    environment = {
        # Nothing else of the user's: CKV_… and BC_… are options, and HOME has a file of them.
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(folder),
        "PYTHONPATH": str(checkov()),
        "CKV_CACHE_DIR": str(folder),
        "CKV_SKIP_PACKAGE_UPDATE_CHECK": "true",
    }
    # Without site-packages: .venv has other versions of what it imports.
    command = [sys.executable, "-S", "-m", "checkov.main", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def _attributes(keys: Sequence[str]) -> list[str]:
    """Paths such as `rule/[0]/filter` as `rule.filter`, without what is no attribute."""
    paths = (
        ".".join(part for part in key.split("/") if not part.startswith("[") and part != "*") for key in keys
    )
    return sorted({path for path in paths if path not in ("", "resource_type", "networking")})
