"""The sandbox's `kubernetes` provider, which sends every object to a real API server.

It behaves like the official provider (4.34.2, server-side apply) in names, ids, inputs, outputs, replacements
and dry runs at preview, with one difference: it doesn't wait until objects are ready, because there are no
nodes and pods stay pending. It only waits until the kind of a definition is served, and until deleted objects
are gone.
"""

# ruff: noqa: ARG002, N802 (the protocol and the base class define names and signatures)

from __future__ import annotations

import base64
import dataclasses
import hashlib
import importlib.metadata
import os
import secrets
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any

import yaml
from pulumi.runtime.proto import provider_pb2

from sandbox import values
from sandbox.construct import Component, ComponentProvider, Output
from sandbox.kubernetes import helm, manifests
from sandbox.kubernetes.client import ApiError, Cluster, Object, Unreachable, full_name
from sandbox.kubernetes.release import Releases
from sandbox.kubernetes.replacement import replaces, replacing_properties
from sandbox.rpc import (
    Call,
    CheckFailure,
    Difference,
    ProviderError,
    diff_response,
    from_struct,
    plain_difference,
    urn_type,
)
from sandbox.values import UNKNOWN, Properties

MISORDERED_TIMEOUT = 5
"""Seconds to wait for a kind or namespace that another resource of the same deployment creates."""

DELETE_TIMEOUT = 60
"""Seconds to wait until an object is deleted. A namespace is deleted with its contents."""

AUTONAMED = "pulumi.com/autonamed"
RELEASE = "kubernetes:helm.sh/v3:Release"

CREATOR = "pulumi-kubernetes"
"""Field manager of creations, which are plain POST requests. The first update transfers its fields."""

_IF_THE_CLUSTER_IS_GONE = (
    "If the cluster was deleted, you can remove this resource from Pulumi state by rerunning the operation "
    'with the PULUMI_K8S_DELETE_UNREACHABLE environment variable set to "true"'
)
"""The official provider's advice."""

_CONFIGURATION = {
    "clusterIdentifier",
    "context",
    "deleteUnreachable",
    "enableConfigMapMutable",
    "enableSecretMutable",
    "enableServerSideApply",
    "kubeconfig",
    "namespace",
    "suppressDeprecationWarnings",
    "suppressHelmHookWarnings",
}
_CHART_ARGUMENTS = {
    "chart",
    "name",
    "namespace",
    "repositoryOpts",
    "resourcePrefix",
    "skipAwait",
    "skipCrds",
    "values",
    "version",
}


class KubernetesProvider(ComponentProvider):
    """Manages built-in kinds, custom resources, charts and manifests in the clusters of the kubeconfigs."""

    name = "kubernetes"
    version = importlib.metadata.version("pulumi_kubernetes")

    def __init__(self, program: Path) -> None:
        """`program` is the folder to which paths of charts and manifests are relative."""
        super().__init__()
        self._program = program
        self._clusters: dict[tuple[str, str | None], Cluster] = {}
        self._lock = threading.Lock()

    # -- provider configuration ----------------------------------------------------------------

    def check_config(self, news: Properties) -> list[CheckFailure]:
        """Rejects options that would be ignored."""
        failures = [
            CheckFailure(name, "the sandbox's kubernetes provider does not support this option")
            for name in news
            if name not in _CONFIGURATION and not name.startswith("__") and name != "version"
        ]
        if "enableServerSideApply" in news and not _flag(news, "enableServerSideApply"):
            failures.append(
                CheckFailure("enableServerSideApply", "the sandbox only supports server-side apply")
            )
        return failures

    def DiffConfig(self, request: Any, context: Any) -> provider_pb2.DiffResponse:
        """Replaces a provider, and thereby all its resources, if its cluster changes."""
        old = values.plain_properties(from_struct(request.old_inputs))
        new = values.plain_properties(from_struct(request.news))
        difference = plain_difference(old, new)
        identifiers = old.get("clusterIdentifier"), new.get("clusterIdentifier")
        if all(identifiers):
            replacing = {"clusterIdentifier"}
        else:
            another = values.has_unknown(new) or _active_cluster(old) != _active_cluster(new)
            replacing = {"kubeconfig", "context"} if another else set[str]()
        difference.replaces = difference.changes.keys() & replacing
        return diff_response(difference)

    def _cluster(self, config: Properties) -> Cluster:
        kubeconfig, context = _kubeconfig(config), values.plain(config.get("context"))
        with self._lock:
            key = (kubeconfig, context)
            if key not in self._clusters:
                self._clusters[key] = Cluster(kubeconfig, context)
            return self._clusters[key]

    def _contact(self, config: Properties) -> None:
        """Raises `Unreachable` if the cluster can't be reached."""
        self._cluster(config).version()

    def _releases(self, config: Properties) -> Releases:
        with _reported("Release"):
            cluster = self._cluster(config)
        return Releases(cluster, _kubeconfig(config), _namespace(config), self._program)

    # -- resources -----------------------------------------------------------------------------

    def check(self, call: Call) -> tuple[Properties, list[CheckFailure]]:
        """Adds a name and a namespace to the inputs, and converts a Secret's `stringData` to `data`."""
        old, new = values.plain_properties(call.old_inputs), values.plain_properties(call.inputs)
        if call.type == RELEASE:
            inputs, failures = self._releases(call.config).check(call.name, old, new)
            return values.mark_secrets(inputs, call.inputs), failures
        obj = _with_kind(deepcopy(new), call)
        if obj["kind"].endswith("List") or call.type.endswith("Patch"):
            raise ProviderError(f"the sandbox's kubernetes provider does not support {call.type}")
        if (metadata := obj.setdefault("metadata", {})) != UNKNOWN:
            if "generateName" in metadata:
                failure = CheckFailure("metadata.generateName", "not supported with server-side apply")
                return call.inputs, [failure]
            if not metadata.get("name"):
                _name(metadata, call, old.get("metadata", {}))
            if "namespace" in call.config and not metadata.get("namespace") and self._namespaced(call, obj):
                metadata["namespace"] = _namespace(call.config)
        if _is_secret(obj) and values.is_dict(texts := obj.get("stringData")):
            del obj["stringData"]
            encoded = {
                key: text if text == UNKNOWN else base64.b64encode(str(text).encode()).decode()
                for key, text in texts.items()
            }
            obj["data"] = {**obj.get("data", {}), **encoded}
        return _mark(obj, call.inputs), []

    def _namespaced(self, call: Call, obj: Object) -> bool:
        try:
            kind = self._cluster(call.config).kind(obj["apiVersion"], obj["kind"])
        except Unreachable:
            return True
        return kind is None or kind.namespaced

    def diff(self, call: Call) -> Difference:
        """Compares the inputs. After a refresh, the old inputs include changes made in the cluster."""
        old, new = values.plain_properties(call.old_inputs), values.plain_properties(call.inputs)
        release = call.type == RELEASE
        replacing = (
            ["name", "namespace"]
            if release
            else replacing_properties(
                _with_kind(new, call),
                _flag(call.config, "enableConfigMapMutable"),
                _flag(call.config, "enableSecretMutable"),
            )
        )
        difference = plain_difference(old, new)
        difference.changes = {
            path: kind
            for path, kind in difference.changes.items()
            if not any(replaces(path, ignored) for ignored in call.ignore_changes)
        }
        difference.replaces = {
            changed
            for changed in difference.changes
            if any(replaces(changed, path, unknown=values.at(new, changed) == UNKNOWN) for path in replacing)
        }
        before, after = old.get("metadata", {}), new.get("metadata", {})
        difference.delete_before_replace = not release and (
            after != UNKNOWN
            and AUTONAMED not in after.get("annotations", {})
            and all(before.get(key) == after.get(key) for key in ("name", "namespace"))
        )
        return difference

    def Diff(self, request: Any, context: Any) -> provider_pb2.DiffResponse:
        """Omits the list of changed properties, which the official provider only returns for releases."""
        response = super().Diff(request, context)
        if urn_type(request.urn) != RELEASE:
            del response.diffs[:]
        return response

    def create(self, call: Call) -> tuple[str, Properties]:
        """Creates the object, and never adopts an existing one. At preview, it tries a dry run."""
        new = values.plain_properties(call.inputs)
        if call.type == RELEASE:
            releases = self._releases(call.config)
            with _reported(f"Release {new['name']}"):
                outputs = releases.preview(new) if call.preview else releases.deploy(new, 1)
            identifier = "" if call.preview else f"{new['namespace']}/{new['name']}"
            return identifier, values.mark_secrets(outputs, call.inputs)
        obj = _to_api(_with_kind(new, call))
        if call.preview:
            found = None if values.has_unknown(new) else self._dry_run(call.config, obj)
            return "", _mark(_preview_outputs(found or new, {}), call.inputs)
        with _reported(_label(obj)):
            cluster = self._cluster(call.config)
            try:
                live = _retry_misordered(lambda: cluster.create(obj, CREATOR))
            except ApiError as error:
                if error.reason != "AlreadyExists":
                    raise
                raise ProviderError(
                    f"{_label(obj)}: {error}. The program does not adopt objects that it did not create: "
                    f"use `pulumi import`, or give the object another name"
                ) from error
            if obj["kind"] == "CustomResourceDefinition":
                live = cluster.wait_established(live)
        return full_name(live), _outputs(live, _field_manager(), obj["apiVersion"], call.inputs)

    def _dry_run(self, config: Properties, obj: Object) -> Object | None:
        """The object that would be created, or `None` if it can't be known before the deployment."""
        with _reported(_label(obj)):
            try:
                return self._cluster(config).create(obj, CREATOR, dry_run=True)
            except Unreachable:
                return None
            except ApiError as error:
                # The kind or namespace doesn't exist yet, or the object to be replaced still has the name.
                if error.status == 404 or error.reason in ("AlreadyExists", "Forbidden"):
                    return None
                raise

    def read(self, call: Call) -> tuple[Properties, Properties] | None:
        """Reads the live object. Inputs only change where the object has changed since the last
        deployment."""
        try:
            return self._read(call)
        except Unreachable as error:
            if _delete_unreachable(call.config):
                return None
            raise ProviderError(
                f"{_subject(call)}: failed to read resource state due to unreachable cluster. "
                f"{_IF_THE_CLUSTER_IS_GONE} ({error})"
            ) from error

    def _read(self, call: Call) -> tuple[Properties, Properties] | None:
        old, state = values.plain_properties(call.inputs), values.plain_properties(call.outputs)
        if call.type == RELEASE:
            self._contact(call.config)
            with _reported(_subject(call)):
                return (call.inputs, call.outputs) if self._releases(call.config).exists(old) else None
        obj = _named(old, call)
        try:
            live = self._cluster(call.config).get(obj)
        except ApiError as error:
            raise ProviderError(f"{_label(obj)}: {error}") from error
        if live is None:
            return None
        manager = state.get("__fieldManager") or _field_manager()
        initial = state.get("__initialApiVersion") or obj["apiVersion"]
        new_inputs = _drifted(old, state, _from_api(live)) if old else _imported(live)
        return _mark(new_inputs, call.inputs), _outputs(live, manager, initial, call.inputs)

    def update(self, call: Call) -> Properties:
        """Applies the object on the server side. A definition is replaced, which keeps its objects."""
        old, new = values.plain_properties(call.outputs), values.plain_properties(call.inputs)
        if call.type == RELEASE:
            releases = self._releases(call.config)
            with _reported(f"Release {call.id}"):
                revision = old["status"]["revision"] + 1
                outputs = releases.preview(new) if call.preview else releases.deploy(new, revision)
            return values.mark_secrets(outputs, call.inputs)
        obj = _to_api(_with_kind(new, call))
        if call.preview and values.has_unknown(new):
            return _mark(_preview_outputs(new, old), call.inputs)
        manager = old.get("__fieldManager") or _field_manager()
        with _reported(_label(obj)):
            try:
                live = self._apply(self._cluster(call.config), obj, manager, call.preview)
            except Unreachable:
                if call.preview:
                    return _mark(_preview_outputs(new, old), call.inputs)
                raise
        if call.preview:
            return _mark(_preview_outputs(live, old), call.inputs)
        return _outputs(live, manager, old.get("__initialApiVersion") or obj["apiVersion"], call.inputs)

    def _apply(self, cluster: Cluster, obj: Object, manager: str, preview: bool) -> Object:
        live = cluster.get(obj)
        if live is None:
            raise ProviderError(f"{_label(obj)} no longer exists: run `pulumi refresh`")
        if obj["kind"] == "CustomResourceDefinition":
            version = live["metadata"]["resourceVersion"]
            obj = {**obj, "metadata": {**obj["metadata"], "resourceVersion": version}}
            return cluster.replace(obj, manager, dry_run=preview)
        created = any(_is_creation(entry) for entry in live["metadata"].get("managedFields", []))
        if created and not preview:
            _hand_over(cluster, live, manager)
        return cluster.apply(obj, manager, force=created and preview, dry_run=preview)

    def take_back(self, call: Call, known: set[str]) -> None:
        """Deletes the object that an interrupted creation has created."""
        given = values.plain_properties(call.inputs)
        metadata = given.get("metadata") or given  # a release has name and namespace at the top level
        identifier = "/".join(part for part in (metadata.get("namespace"), metadata.get("name")) if part)
        if not known & {identifier, f"default/{identifier}"}:
            self.delete(dataclasses.replace(call, id=identifier))

    def delete(self, call: Call) -> None:
        """Deletes the object with background propagation, and waits until it is gone."""
        try:
            self._delete(call)
        except Unreachable as error:
            # The official provider doesn't give up a release without its cluster.
            if call.type == RELEASE:
                raise ProviderError(
                    f"can't delete Helm Release with unreachable cluster. Reason: {str(error)!r}"
                ) from error
            if not _delete_unreachable(call.config):
                raise ProviderError(
                    f"{_subject(call)}: configured Kubernetes cluster is unreachable. "
                    f"{_IF_THE_CLUSTER_IS_GONE} ({error})"
                ) from error

    def _delete(self, call: Call) -> None:
        new = values.plain_properties(call.inputs)
        if call.type == RELEASE:
            self._contact(call.config)
            with _reported(_subject(call)):
                self._releases(call.config).delete(new)
            return
        obj = _named(new, call)
        try:
            self._cluster(call.config).delete(obj, DELETE_TIMEOUT)
        except ApiError as error:
            if error.status != 404:  # 404: its kind no longer exists, and so neither does the object
                raise ProviderError(f"{_label(obj)}: {error}") from error
        except TimeoutError as error:
            raise ProviderError(f"{_label(obj)}: {error}") from error

    def invoke(self, config: Properties, token: str, args: Properties) -> Properties:
        """Rejects all functions, because only the older components use them."""
        raise ProviderError(
            f"the sandbox's kubernetes provider does not support {token}: use helm.v4.Chart instead of "
            f"helm.v3.Chart, and yaml.v2 instead of yaml"
        )

    # -- components ----------------------------------------------------------------------------

    def construct(
        self, config: Properties, request: provider_pb2.ConstructRequest
    ) -> provider_pb2.ConstructResponse:
        """Registers the objects of a chart or of manifests as the component's children."""
        render = {
            "kubernetes:helm.sh/v4:Chart": self._chart,
            "kubernetes:yaml/v2:ConfigGroup": self._manifests,
        }.get(request.type)
        if render is None:
            raise ProviderError(f"the sandbox's kubernetes provider does not support {request.type}")
        with Component(request) as component, _reported(f"{request.type} {request.name}"):
            arguments = {name: argument.value for name, argument in component.arguments.items()}
            # Like the official provider, register no children if any value is unknown.
            if values.has_unknown(arguments):
                return component.finish({"resources": Output(UNKNOWN)})
            namespace = arguments.get("namespace") or _namespace(config)
            try:
                cluster = self._cluster(config)
                objects = render(cluster, request.name, namespace, arguments)
            except Unreachable:
                if request.dryRun:
                    return component.finish({"resources": Output(UNKNOWN)})
                raise
            resources = manifests.register(
                component,
                objects,
                cluster=cluster,
                namespace=namespace,
                prefix=arguments.get("resourcePrefix", request.name),
                skip_await=arguments.get("skipAwait", False),
                version=self.version,
            )
            return component.finish({"resources": resources})

    def _chart(self, cluster: Cluster, name: str, namespace: str, arguments: Properties) -> list[Object]:
        if unknown := sorted(arguments.keys() - _CHART_ARGUMENTS):
            raise ProviderError(
                f"the sandbox's kubernetes provider does not support helm.v4.Chart's {unknown[0]}"
            )
        chart = arguments["chart"]
        if not helm.is_local(chart, arguments.get("repositoryOpts"), self._program):
            raise ProviderError(f"no chart at {self._program / chart}; the sandbox does not download charts")
        text = helm.template(
            cluster,
            chart,
            arguments.get("name", name),
            namespace,
            arguments.get("values", {}),
            arguments.get("skipCrds", False),
            self._program,
        )
        return manifests.parse(text, chart)

    def _manifests(self, cluster: Cluster, name: str, namespace: str, arguments: Properties) -> list[Object]:
        files: list[str] = arguments.get("files", [])
        objects = [item for pattern in files for item in manifests.read(pattern, self._program)]
        objects += manifests.parse(arguments.get("yaml", ""), f"{name}'s yaml")
        return objects + arguments.get("objs", [])


# -- configuration -------------------------------------------------------------------------------


def _flag(config: Properties, name: str) -> bool:
    # The SDK sends a provider's options as JSON strings.
    return values.plain(config.get(name)) in (True, "true")


def _delete_unreachable(config: Properties) -> bool:
    """Whether resources of a cluster that can't be reached are removed from the state (`provider.go`)."""
    if "deleteUnreachable" in config:
        return _flag(config, "deleteUnreachable")
    return os.environ.get("PULUMI_K8S_DELETE_UNREACHABLE") == "true"


def _namespace(config: Properties) -> str:
    return values.plain(config.get("namespace")) or "default"


def _kubeconfig(config: Properties) -> str:
    given = values.plain(config.get("kubeconfig")) or os.environ.get("KUBECONFIG", "")
    if given == UNKNOWN:
        raise Unreachable("the kubeconfig is not known yet")
    if not given:
        raise Unreachable("neither the provider's kubeconfig nor the environment's KUBECONFIG is set")
    if "\n" not in given and not given.lstrip().startswith("{"):
        try:
            return Path(given).read_text()
        except OSError as error:
            raise Unreachable(f"the kubeconfig can't be read: {error}") from error
    return given


def _active_cluster(config: Properties) -> Any:
    try:
        document = yaml.safe_load(_kubeconfig(config))
        current = config.get("context") or document.get("current-context")
        context = next(item["context"] for item in document["contexts"] if item["name"] == current)
        return next(item["cluster"] for item in document["clusters"] if item["name"] == context["cluster"])
    except (Unreachable, StopIteration, KeyError, TypeError, AttributeError, yaml.YAMLError):
        return None


# -- objects -------------------------------------------------------------------------------------


@contextmanager
def _reported(label: str) -> Generator[None]:
    """Reports errors of the cluster as errors of the resource."""
    try:
        yield
    except Unreachable as error:
        raise ProviderError(f"{label}: configured Kubernetes cluster is unreachable: {error}") from error
    except (ApiError, TimeoutError) as error:
        raise ProviderError(f"{label}: {error}") from error


def _with_kind(obj: Object, call: Call) -> Object:
    """The object with `apiVersion` and `kind`, which are missing in an import."""
    _, api_version, kind = call.type.split(":")
    obj.setdefault("apiVersion", api_version.removeprefix("core/"))
    obj.setdefault("kind", kind)
    return obj


def _named(obj: Object, call: Call) -> Object:
    """The object with the name and namespace of the call's id."""
    namespace, _, name = call.id.rpartition("/")
    return _with_kind({**obj, "metadata": {"name": name, "namespace": namespace}}, call)


def _subject(call: Call) -> str:
    return f"{call.type.rsplit(':', 1)[-1]} {call.id}"


def _label(obj: Object) -> str:
    return f"{obj['kind']} {full_name(obj)}"


def _is_secret(obj: Object) -> bool:
    return obj["kind"] == "Secret" and obj["apiVersion"] == "v1"


def _name(metadata: Object, call: Call, old: Object) -> None:
    """Sets an object's previous automatic name, or a new one of the form `name-<8 hex>`."""
    if AUTONAMED in old.get("annotations", {}):
        name = old["name"]
    else:
        name = f"{call.name}-{hashlib.sha256(call.seed or secrets.token_bytes()).hexdigest()[:8]}"
    metadata["name"] = name
    metadata["annotations"] = {**metadata.get("annotations", {}), AUTONAMED: "true"}


def _field_manager() -> str:
    return f"{CREATOR}-{secrets.token_hex(4)}"


def _is_creation(entry: Object) -> bool:
    return entry["manager"] == CREATOR and entry["operation"] == "Update" and not entry.get("subresource")


def _hand_over(cluster: Cluster, live: Object, manager: str) -> None:
    """Changes the field manager of the creation's fields. Otherwise fields that are removed later would
    stay."""
    fields = [
        {**entry, "manager": manager, "operation": "Apply"} if _is_creation(entry) else entry
        for entry in live["metadata"]["managedFields"]
    ]
    cluster.json_patch(
        live,
        [
            {"op": "test", "path": "/metadata/resourceVersion", "value": live["metadata"]["resourceVersion"]},
            {"op": "replace", "path": "/metadata/managedFields", "value": fields},
        ],
    )


def _retry_misordered(call: Callable[[], Object]) -> Object:
    deadline = time.monotonic() + MISORDERED_TIMEOUT
    while True:
        try:
            return call()
        except ApiError as error:
            if error.status != 404 or time.monotonic() > deadline:
                raise
        time.sleep(0.2)


def _to_api(value: Any) -> Any:
    """Renames Pulumi's `x_kubernetes_…` properties of definitions to the API's names."""
    return _renamed(value, "x_kubernetes_", "_", "-")


def _from_api(value: Any) -> Any:
    return _renamed(value, "x-kubernetes-", "-", "_")


def _renamed(value: Any, prefix: str, old: str, new: str) -> Any:
    if values.is_dict(value):
        return {
            key.replace(old, new) if key.startswith(prefix) else key: _renamed(item, prefix, old, new)
            for key, item in value.items()
        }
    return [_renamed(item, prefix, old, new) for item in value] if values.is_list(value) else value


def _mark(obj: Object, inputs: Properties) -> Properties:
    """The object with its secrets marked: a Secret's data, and values that are secret in the inputs."""
    marked = values.mark_secrets(obj, inputs)
    if _is_secret(obj):
        for key in ("data", "stringData"):
            if key in marked:
                marked[key] = values.secret(marked[key])
    return marked


def _outputs(live: Object, manager: str, initial_version: str, inputs: Properties) -> Properties:
    state = _from_api(live)
    state["metadata"].pop("managedFields", None)
    state["__fieldManager"] = manager
    state["__initialApiVersion"] = initial_version
    return _mark(state, inputs)


def _preview_outputs(found: Object, old: Properties) -> Properties:
    """Outputs at preview. Values that the server sets are unknown, unless an existing object keeps them."""
    state = _from_api(found)
    if (metadata := state.get("metadata", {})) != UNKNOWN:
        metadata = {key: value for key, value in metadata.items() if key != "managedFields"}
        kept = old.get("metadata", {})
        for key in ("uid", "creationTimestamp"):
            metadata[key] = kept.get(key, UNKNOWN)
        state["metadata"] = {**metadata, "resourceVersion": UNKNOWN}
    if not old:
        state.pop("status", None)
        if state["kind"] == "Service" and values.is_dict(spec := state.get("spec")):
            # The deployment gets another address than the one that the dry run allocates.
            unknown = {"clusterIP": UNKNOWN, "clusterIPs": UNKNOWN} if spec.get("clusterIP") != "None" else {}
            state["spec"] = {**spec, **unknown}
    return state


_SERVER_SET = (
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "generation",
    "managedFields",
    "resourceVersion",
    "uid",
)


def _imported(live: Object) -> Properties:
    """The inputs of an imported live object."""
    inputs = {key: value for key, value in _from_api(live).items() if key != "status"}
    inputs["metadata"] = {key: value for key, value in live["metadata"].items() if key not in _SERVER_SET}
    return inputs


def _drifted(inputs: Any, state: Any, live: Any) -> Any:
    """The inputs, with live values where those differ from the last known state.

    A live value that differs from the input because the server normalized it (`1000m` to `1`) isn't drift.
    """
    if live == state:
        return inputs
    if values.is_dict(inputs) and values.is_dict(live):
        known = state if values.is_dict(state) else {}
        return {
            key: _drifted(value, known.get(key), live[key]) for key, value in inputs.items() if key in live
        }
    if values.is_list(inputs) and values.is_list(live) and len(inputs) == len(live):
        known_items = [*(state if values.is_list(state) else []), *[None] * len(live)]
        return [_drifted(*items) for items in zip(inputs, known_items, live, strict=False)]
    return live
