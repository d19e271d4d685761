"""Runs Checkov's two frameworks on a folder, and writes what they found as JSON to standard output.

A Python with Checkov's packages and none of the project's runs this file. Checkov's own command imports more
than twenty frameworks before it starts, which takes seconds.

Arguments: the folder, and the names of the frameworks.
"""

from __future__ import annotations

import gc
import importlib
import json
import sys
from typing import Any

# A scan keeps all that it makes until it ends, so looking for garbage finds nothing.
gc.disable()


RUNNERS = {"terraform_plan": "checkov.terraform.plan_runner", "kubernetes": "checkov.kubernetes.runner"}


def main(folder: str, frameworks: list[str]) -> None:
    """Writes an object for each framework, with a summary and the results of all checks."""
    found: dict[str, Any] = {}
    for framework in frameworks:
        only = _module("checkov.runner_filter").RunnerFilter(framework=[framework])
        report = _module(RUNNERS[framework]).Runner().run(root_folder=folder, runner_filter=only)
        found[framework] = {
            "summary": report.get_summary(),
            "results": [
                {
                    "check": record.check_id,
                    "title": record.check_name,
                    "address": record.resource_address or record.resource,
                    "file": record.file_path,
                    "passed": passed,
                    "keys": record.check_result.get("evaluated_keys") or [],
                }
                for passed, records in ((True, report.passed_checks), (False, report.failed_checks))
                for record in records
            ],
        }
    # As one text, because one of Checkov's dependencies has replaced standard output by a slow object.
    sys.stdout.write(json.dumps(found))


def _module(name: str) -> Any:
    """A module of Checkov, which the project's own environment doesn't have."""
    return importlib.import_module(name)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
