"""Implements `helm.v3.Release`.

The real helm installs local charts, without waiting and without hooks, because there are no nodes to run
them. Charts in repositories aren't downloaded: only their inputs are recorded. For KEDA's chart, the custom
resource definitions are applied too, because other resources need them.
"""

from __future__ import annotations

import functools
import json
import secrets
import tempfile
from pathlib import Path

import yaml

from sandbox import sdk_schema, tools, values
from sandbox.kubernetes import helm, manifests
from sandbox.kubernetes.client import Cluster, Object, full_name
from sandbox.rpc import CheckFailure, ProviderError
from sandbox.values import UNKNOWN, Properties

DELETE_TIMEOUT = 60
"""Seconds to wait until a custom resource definition is deleted, with all its objects."""

_TEXTS = ("description", "keyring", "postrender")
"""Strings that the official provider records as empty if the program doesn't set them."""


@functools.cache
def _defaults() -> Properties:
    """The values, such as all flags, that the official provider records if the program doesn't set them."""
    inputs = sdk_schema.schema("kubernetes:helm.sh/v3:Release").inputs
    flags = {name for name, prop in inputs.items() if prop.type.kind == "boolean"} - {"takeOwnership"}
    return {**dict.fromkeys(flags, False), **dict.fromkeys(_TEXTS, ""), "values": {}}


class Releases:
    """The `Release` resources of one cluster, over plain values."""

    def __init__(self, cluster: Cluster, kubeconfig: str, namespace: str, program: Path) -> None:
        self._cluster = cluster
        self._kubeconfig = kubeconfig
        self._namespace = namespace
        self._program = program

    def check(self, resource: str, old: Properties, new: Properties) -> tuple[Properties, list[CheckFailure]]:
        """The inputs with all defaults, as the official provider records them, and with the chart's
        version."""
        inputs = {**_defaults(), "namespace": self._namespace, **new}
        inputs.pop("compat", None)  # set by the SDK
        inputs.setdefault("timeout", 0 if inputs["skipAwait"] else 300)
        inputs.setdefault("name", old.get("name") or f"{resource}-{secrets.token_hex(4)}")
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

    def _is_local(self, inputs: Properties) -> bool:
        return helm.is_local(inputs["chart"], inputs.get("repositoryOpts"), self._program)

    def preview(self, inputs: Properties) -> Properties:
        """The outputs that are known before the deployment."""
        return {**inputs, "resourceNames": UNKNOWN, "status": UNKNOWN}

    def deploy(self, inputs: Properties, revision: int) -> Properties:
        """Installs revision 1 of a release, or upgrades to a later one, and returns its outputs."""
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
        answer = self._helm(
            verb,
            inputs["name"],
            inputs["chart"],
            "--values=-",
            "--no-hooks",
            "--output=json",
            *(["--create-namespace"] if inputs["createNamespace"] else []),
            *(["--skip-crds"] if inputs["skipCrds"] else []),
            inputs=inputs,
        )
        release = json.loads(answer)
        objects = manifests.parse(release["manifest"], inputs["chart"])
        chart = helm.metadata(inputs["chart"], self._program)
        return _outputs(inputs, objects, release["version"], chart)

    def _helm(self, *arguments: str, inputs: Properties) -> str:
        """Runs a helm command on a release, with the values on standard input, and returns its output."""
        with tempfile.NamedTemporaryFile("w", suffix=".kubeconfig") as kubeconfig:
            kubeconfig.write(self._kubeconfig)
            kubeconfig.flush()
            return helm.run(
                *arguments,
                f"--namespace={inputs['namespace']}",
                f"--kubeconfig={kubeconfig.name}",
                program=self._program,
                given=json.dumps(inputs["values"]),
            )

    def exists(self, inputs: Properties) -> bool:
        """Whether the release still exists."""
        if not inputs:
            raise ProviderError("the sandbox does not import Helm releases")
        if not self._is_local(inputs):
            return all(self._cluster.get(definition) for definition in _definitions(inputs))
        found = self._helm("list", f"--filter=^{inputs['name']}$", "--output=json", inputs=inputs)
        return bool(json.loads(found))

    def delete(self, inputs: Properties) -> None:
        """Uninstalls the release. As with helm, a namespace that it created is kept."""
        if not self._is_local(inputs):
            for definition in _definitions(inputs):
                self._cluster.delete(definition, DELETE_TIMEOUT)
            return
        self._helm("uninstall", inputs["name"], "--no-hooks", "--ignore-not-found", inputs=inputs)


def _definitions(inputs: Properties) -> list[Object]:
    if inputs["chart"].rstrip("/").rpartition("/")[2] != "keda":
        return []
    return [
        yaml.load(path.read_text(), Loader=yaml.CSafeLoader)
        for path in sorted(tools.keda_crds().glob("*.yaml"))
        if not path.name.startswith("kustom")
    ]


def _outputs(inputs: Properties, objects: list[Object], revision: int, chart: Object) -> Properties:
    names: dict[str, list[str]] = {}
    for item in objects:
        group = item["apiVersion"].rpartition("/")[0]
        key = f"{item['kind']}{f'.{group}' if group else ''}/{item['apiVersion']}"
        names.setdefault(key, []).append(full_name(item))
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
