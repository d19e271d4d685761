"""The real `helm`, for charts in local folders."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from sandbox import tools, values
from sandbox.kubernetes.client import Cluster, Object
from sandbox.rpc import ProviderError

TIMEOUT = 120
"""Seconds for one run of helm."""

_ASSET = "c44067f5952c0a294b673a41bacd8c17"
"""Signature of an asset (`sdk/go/common/resource/sig`)."""


def run(*arguments: str, program: Path, given: str | None = None) -> str:
    """Helm's output. Raises `ProviderError` with helm's own words."""
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
    """Whether a chart is a folder or archive of the program, and not one of a repository."""
    return not repository and "://" not in chart and (program / chart).exists()


def metadata(chart: str, program: Path) -> Object:
    """`Chart.yaml` of a local chart."""
    return yaml.safe_load(run("show", "chart", chart, program=program))


def merged_values(given: Mapping[str, Any], files: list[Any], program: Path) -> str:
    """Values as helm takes them on standard input: files first, literal values over them."""
    merged: dict[str, Any] = {}
    for file in files:
        document: dict[str, Any] = yaml.safe_load(_read_asset(file, program)) or {}
        merged = _merge(merged, document)
    return json.dumps(_merge(merged, _without_assets(dict(given), program)))


def _merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    result = dict(base)
    for key, value in over.items():
        old = result.get(key)
        result[key] = _merge(old, value) if values.is_dict(old) and values.is_dict(value) else value
    return result


def _read_asset(value: Any, program: Path) -> str:
    if value.get("text"):
        return value["text"]
    try:
        return (program / value["path"]).read_text()
    except (KeyError, OSError) as error:
        raise ProviderError(f"a values file must be a text or a file of the program: {error}") from error


def _without_assets(value: Any, program: Path) -> Any:
    if values.is_dict(value):
        if value.get(values.SIGNATURE) == _ASSET:
            return _read_asset(value, program)
        return {key: _without_assets(item, program) for key, item in value.items()}
    return [_without_assets(item, program) for item in value] if values.is_list(value) else value


def template(
    cluster: Cluster,
    chart: str,
    name: str,
    namespace: str,
    chart_values: str,
    skip_crds: bool,
    program: Path,
) -> str:
    """The chart's manifests without hooks, for the cluster's version and kinds. `lookup` finds nothing."""
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
        given=chart_values,
    )


@contextmanager
def kubeconfig_file(kubeconfig: str) -> Generator[str]:
    """Helm's option for a kubeconfig that is a string; the file has the owner's permissions only."""
    with tempfile.NamedTemporaryFile("w", suffix=".kubeconfig") as file:
        file.write(kubeconfig)
        file.flush()
        yield f"--kubeconfig={file.name}"
