"""`helm.v3.Release`: local charts are installed by the real helm, without waiting and without hooks (there
are no nodes to run them). A chart of a repository can't be downloaded: its inputs are recorded, and of
KEDA's the custom resource definitions are applied, which its users need.
"""

from __future__ import annotations

import json
import secrets
from pathlib import Path
from typing import Any

import yaml

from sandbox import tools, values
from sandbox.kubernetes import helm, manifests
from sandbox.kubernetes.client import Cluster, Object
from sandbox.rpc import (
    UNKNOWN,
    CheckFailure,
    Difference,
    Properties,
    ProviderError,
    plain_difference,
    urn_name,
)

DELETE_TIMEOUT = 60
"""Seconds for a custom resource definition to go, with all its objects."""

_DEFAULTS: Properties = {
    **dict.fromkeys(
        (
            "allowNullValues",
            "atomic",
            "cleanupOnFail",
            "createNamespace",
            "dependencyUpdate",
            "devel",
            "disableCRDHooks",
            "disableOpenapiValidation",
            "disableWebhooks",
            "forceUpdate",
            "lint",
            "recreatePods",
            "renderSubchartNotes",
            "replace",
            "resetValues",
            "reuseValues",
            "skipAwait",
            "skipCrds",
            "verify",
            "waitForJobs",
        ),
        False,
    ),
    **dict.fromkeys(("description", "keyring", "postrender"), ""),
    "values": {},
}


class Releases:
    """The `Release` resources of one cluster; all values are plain."""

    def __init__(self, cluster: Cluster, kubeconfig: str, namespace: str, program: Path) -> None:
        self._cluster = cluster
        self._kubeconfig = kubeconfig
        self._namespace = namespace
        self._program = program

    def check(self, urn: str, olds: Properties, news: Properties) -> tuple[Properties, list[CheckFailure]]:
        """Inputs with every default, as the official provider records them; the chart's own version."""
        inputs = {**_DEFAULTS, "namespace": self._namespace, **news}
        inputs.pop("compat", None)  # the SDK's own mark
        inputs.setdefault("timeout", 0 if inputs["skipAwait"] else 300)
        inputs.setdefault("name", olds.get("name") or f"{urn_name(urn)}-{secrets.token_hex(4)}")
        chart = inputs.get("chart", "")
        if values.has_unknown({key: inputs.get(key) for key in ("chart", "repositoryOpts", "version")}):
            return inputs, []
        if helm.is_local(chart, inputs.get("repositoryOpts"), self._program):
            inputs["version"] = helm.metadata(chart, self._program)["version"]
        elif not inputs.get("repositoryOpts") and "://" not in chart:
            return inputs, [CheckFailure("chart", f"no chart at {self._program / chart}")]
        elif not inputs.get("version"):
            return inputs, [
                CheckFailure(
                    "version", f"the chart {chart} comes from a repository and needs a pinned version"
                )
            ]
        return inputs, []

    def diff(self, old_inputs: Properties, news: Properties) -> Difference:
        """Name and namespace replace, everything else is an upgrade."""
        difference = plain_difference(old_inputs, news)
        difference.replaces = difference.changes.keys() & {"name", "namespace"}
        return difference

    def _is_local(self, inputs: Properties) -> bool:
        return helm.is_local(inputs["chart"], inputs.get("repositoryOpts"), self._program)

    def preview(self, inputs: Properties) -> Properties:
        """What is known before the deployment."""
        return {**inputs, "resourceNames": UNKNOWN, "status": UNKNOWN}

    def deploy(self, inputs: Properties, revision: int) -> Properties:
        """Installs revision 1 of a release or upgrades to a later one, and returns its outputs."""
        if self._is_local(inputs):
            return self._deploy_chart(inputs, "upgrade" if revision > 1 else "install")
        if inputs["createNamespace"]:
            namespace: Object = {
                "apiVersion": "v1",
                "kind": "Namespace",
                "metadata": {"name": inputs["namespace"]},
            }
            if self._cluster.get(namespace) is None:
                self._cluster.create(namespace, "helm")
        definitions = _definitions(inputs)
        for definition in definitions:
            self._cluster.apply(definition, "helm", force=True)
        for definition in definitions:
            self._cluster.wait_established(definition)
        return _outputs(
            inputs, definitions, revision, {"name": inputs["chart"], "version": inputs["version"]}
        )

    def _deploy_chart(self, inputs: Properties, verb: str) -> Properties:
        chart = helm.metadata(inputs["chart"], self._program)
        with helm.kubeconfig_file(self._kubeconfig) as kubeconfig:
            answer = helm.run(
                verb,
                inputs["name"],
                inputs["chart"],
                f"--namespace={inputs['namespace']}",
                "--values=-",
                "--no-hooks",
                "--output=json",
                *(["--create-namespace"] if inputs["createNamespace"] else []),
                *(["--skip-crds"] if inputs["skipCrds"] else []),
                kubeconfig,
                program=self._program,
                given=helm.merged_values(inputs["values"], inputs.get("valueYamlFiles", []), self._program),
            )
        release = json.loads(answer)
        objects = manifests.parse(release["manifest"], inputs["chart"])
        return _outputs(inputs, objects, release["version"], chart)

    def read(self, inputs: Properties, outputs: Properties) -> tuple[Properties, Properties] | None:
        """The release as it is; `None` where it is gone."""
        if not inputs:
            raise ProviderError("the sandbox does not import Helm releases")
        if self._is_local(inputs):
            with helm.kubeconfig_file(self._kubeconfig) as kubeconfig:
                found = helm.run(
                    "list",
                    "--all-namespaces",
                    f"--filter=^{inputs['name']}$",
                    "--output=json",
                    kubeconfig,
                    program=self._program,
                )
            if not any(item["namespace"] == inputs["namespace"] for item in json.loads(found)):
                return None
        elif any(self._cluster.get(definition) is None for definition in _definitions(inputs)):
            return None
        return inputs, outputs

    def delete(self, inputs: Properties) -> None:
        """Uninstalls; as with helm, a namespace that it created stays."""
        if not self._is_local(inputs):
            for definition in _definitions(inputs):
                self._cluster.delete(definition, DELETE_TIMEOUT)
            return
        with helm.kubeconfig_file(self._kubeconfig) as kubeconfig:
            helm.run(
                "uninstall",
                inputs["name"],
                f"--namespace={inputs['namespace']}",
                "--no-hooks",
                "--ignore-not-found",
                kubeconfig,
                program=self._program,
            )


def _definitions(inputs: Properties) -> list[Object]:
    if inputs["chart"].rstrip("/").rpartition("/")[2] != "keda":
        return []
    return [
        yaml.safe_load(path.read_text())
        for path in sorted(tools.keda_crds().glob("*.yaml"))
        if not path.name.startswith("kustom")
    ]


def _outputs(inputs: Properties, objects: list[Object], revision: int, chart: Object) -> Properties:
    names: dict[str, list[str]] = {}
    for item in objects:
        group = item["apiVersion"].rpartition("/")[0]
        key = f"{item['kind']}{f'.{group}' if group else ''}/{item['apiVersion']}"
        metadata: dict[str, Any] = item["metadata"]
        namespace = metadata.get("namespace")
        names.setdefault(key, []).append(f"{namespace}/{metadata['name']}" if namespace else metadata["name"])
    return {
        **inputs,
        "__inputs": values.secret(inputs),
        "resourceNames": {key: sorted(found) for key, found in names.items()},
        "status": {
            "appVersion": str(chart.get("appVersion", "")),
            "chart": chart["name"],
            "name": inputs["name"],
            "namespace": inputs["namespace"],
            "revision": revision,
            "status": "deployed",
            "version": chart["version"],
        },
    }
