"""Registers manifests as resources, for `helm.v4.Chart`, `yaml.v2.ConfigFile` and `ConfigGroup`.

Names, namespaces and dependencies are the same as in the official provider (`provider/pkg/provider/yaml/v2`).
"""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import yaml

from sandbox import values
from sandbox.construct import Component, Output
from sandbox.kubernetes.client import Cluster, Object, full_name
from sandbox.rpc import ProviderError

PARALLEL = 16
"""Maximum number of parallel registrations, the engine's default on a small machine."""


class _Loader(yaml.CSafeLoader):
    """Reads YAML as Kubernetes does: without timestamps, and with `=` as a string."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - PyYAML's own attribute
        first: [
            (tag, pattern)
            for tag, pattern in resolvers
            if tag not in ("tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:value")
        ]
        for first, resolvers in yaml.CSafeLoader.yaml_implicit_resolvers.items()
    }


def parse(text: str, source: str) -> list[Object]:
    """Parses the objects in a YAML text. `source` is used in error messages."""
    try:
        documents: list[Any] = list(yaml.load_all(text, _Loader))
    except yaml.YAMLError as error:
        raise ProviderError(f"{source}: {error}") from error
    objects = [document for document in documents if document]
    for document in objects:
        if not values.is_dict(document):
            raise ProviderError(f"{source}: not a Kubernetes object: {document!r}")
    return objects


def read(pattern: str, program: Path) -> list[Object]:
    """Reads the objects in the files that match a path or glob pattern, relative to the program."""
    if "://" in pattern:
        raise ProviderError(f"{pattern}: the sandbox only loads manifests from files")
    paths = sorted(program.glob(pattern)) if any(char in pattern for char in "*?[") else [program / pattern]
    try:
        return [item for path in paths for item in parse(path.read_text(), str(path))]
    except OSError as error:
        raise ProviderError(f"reading YAML file from disk: {error}") from error


def expand(objects: Iterable[Object]) -> list[Object]:
    """The objects, with lists replaced by their items."""
    result: list[Object] = []
    for item in objects:
        if str(item.get("kind", "")).endswith("List") and "items" in item:
            result += expand(item["items"])
        else:
            result.append(item)
    return result


def register(
    component: Component,
    objects: Iterable[Object],
    *,
    cluster: Cluster,
    namespace: str,
    prefix: str,
    skip_await: bool,
    version: str,
) -> Output:
    """Registers the objects as the component's children and returns the list of references to them.

    Args:
        component: the parent of the objects.
        objects: the objects. Lists are expanded.
        cluster: the cluster, which says which kinds are namespaced.
        namespace: namespace of namespaced objects that don't name one.
        prefix: prefix of the resources' names.
        skip_await: whether to add the annotation of that name.
        version: version of the provider.
    """
    items = expand(objects)
    definitions = {
        (item["spec"]["group"], item["spec"]["names"]["kind"]): item
        for item in items
        if item.get("kind") == "CustomResourceDefinition"
    }
    for item in items:
        _normalise(item, definitions, cluster, namespace, skip_await)

    waves: list[list[Object]] = [[], [], []]
    for item in items:
        waves[2 if _custom(item, definitions) else 0 if _is_base(item) else 1].append(item)
    urns: dict[tuple[str, str], str] = {}

    def one(item: Object) -> Output:
        group, name = _group(item), item["metadata"]["name"]
        needs = [("Namespace", item["metadata"].get("namespace", ""))]
        if definition := definitions.get((group, item["kind"])):
            needs.append(("CustomResourceDefinition", definition["metadata"]["name"]))
        annotations: Object = item["metadata"].get("annotations") or {}
        registered = component.register(
            _type_token(item),
            f"{prefix}:{full_name(item)}" if prefix else full_name(item),
            {
                # Secrets in charts and files aren't marked as secret.
                key: Output(value, secret=item["kind"] == "Secret" and key in ("data", "stringData"))
                for key, value in item.items()
            },
            version=version,
            depends_on=[urns[need] for need in needs if need in urns],
            retain_on_delete=annotations.get("helm.sh/resource-policy") == "keep",
        )
        urns[item["kind"], name] = registered.urn
        return registered.reference

    references: list[Output] = []
    with ThreadPoolExecutor(PARALLEL) as pool:
        for wave in waves:
            references += pool.map(one, wave)
    return Output(
        [reference.value for reference in references],
        frozenset[str]().union(*(reference.dependencies for reference in references)),
    )


def _normalise(
    item: Object,
    definitions: dict[tuple[str, str], Object],
    cluster: Cluster,
    namespace: str,
    skip_await: bool,
) -> None:
    if not item.get("kind") or not item.get("apiVersion"):
        raise ProviderError(f"Kubernetes resources require a kind and apiVersion: {item}")
    metadata = item.setdefault("metadata", {})
    if not metadata.get("name"):
        raise ProviderError(f"Kubernetes resources require a .metadata.name: {item}")
    if definition := definitions.get((_group(item), item["kind"])):
        namespaced = definition["spec"]["scope"] == "Namespaced"
    else:
        kind = cluster.kind(item["apiVersion"], item["kind"])
        # Objects of a kind that the cluster doesn't know yet are left as they are.
        namespaced = kind is not None and kind.namespaced
    if namespaced and not metadata.get("namespace"):
        metadata["namespace"] = namespace
    if skip_await:
        metadata["annotations"] = {**(metadata.get("annotations") or {}), "pulumi.com/skipAwait": "true"}


def _group(item: Object) -> str:
    return item["apiVersion"].rpartition("/")[0]


def _custom(item: Object, definitions: dict[tuple[str, str], Object]) -> bool:
    return (_group(item), item["kind"]) in definitions


def _is_base(item: Object) -> bool:
    return item["kind"] in ("Namespace", "CustomResourceDefinition")


def _type_token(item: Object) -> str:
    version = item["apiVersion"]
    return f"kubernetes:{version if '/' in version else f'core/{version}'}:{item['kind']}"
