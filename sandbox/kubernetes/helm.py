"""Runs the real `helm` for charts in local folders."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import yaml

from sandbox import tools
from sandbox.kubernetes.client import Cluster, Object
from sandbox.rpc import ProviderError

TIMEOUT = 120
"""Timeout of one run of helm, in seconds."""


def run(*arguments: str, program: Path, given: str | None = None) -> str:
    """Runs helm and returns its output. Raises `ProviderError` with helm's error message."""
    result = subprocess.run(
        [tools.tool("helm"), *arguments],
        cwd=program,
        input=given,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    if result.returncode:
        raise ProviderError(f"helm {arguments[0]}: {result.stderr.strip()}")
    return result.stdout


def is_local(chart: str, repository: object, program: Path) -> bool:
    """Whether a chart is a folder or archive of the program, and not from a repository."""
    return not repository and "://" not in chart and (program / chart).exists()


def metadata(chart: str, program: Path) -> Object:
    """The `Chart.yaml` of a local chart."""
    return yaml.safe_load(run("show", "chart", chart, program=program))


def template(
    cluster: Cluster,
    chart: str,
    name: str,
    namespace: str,
    chart_values: object,
    skip_crds: bool,
    program: Path,
) -> str:
    """Renders a chart without hooks, for the cluster's version and kinds. `lookup` returns nothing."""
    return run(
        "template",
        name,
        chart,
        f"--namespace={namespace}",
        "--values=-",
        "--no-hooks",
        *([] if skip_crds else ["--include-crds"]),
        f"--kube-version={cluster.version()}",
        f"--api-versions={','.join(cluster.api_versions())}",
        program=program,
        given=json.dumps(chart_values),
    )
