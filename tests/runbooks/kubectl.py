"""The requests to the Kubernetes API that a kubectl command makes, and what the operators' roles allow.

The requests are those of kubectl's own commands (`kubectl -v=8`, version 1.36).
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from tests.unit.harness import ROOT

GROUPS: Mapping[str, tuple[str, str]] = {
    name: (group, names[0])
    for group, *kinds in (
        (
            "",
            ("pods", "pod"),
            ("events",),
            ("nodes", "node"),
            ("resourcequotas", "resourcequota"),
            ("secrets",),
        ),
        ("apps", ("deployments", "deployment")),
        ("autoscaling", ("horizontalpodautoscalers", "hpa")),
        ("batch", ("jobs",)),
        ("keda.sh", ("scaledobjects", "scaledobject")),
        ("eks.amazonaws.com", ("targetgroupbindings",)),
        ("karpenter.sh", ("nodepools",), ("nodeclaims", "nodeclaim")),
        ("apiregistration.k8s.io", ("apiservices",)),
    )
    for names in kinds
    for name in names
}
"""A kind as kubectl accepts it → its group and its name in the API."""


@dataclass(frozen=True)
class Request:
    """One request. For a path that is no resource, `resource` is the path and `group` is `None`."""

    verb: str
    group: str | None
    resource: str
    name: str = ""
    namespace: str = ""


def requests(arguments: Sequence[str]) -> Iterator[Request]:
    """The requests of a command, whose arguments follow `kubectl`."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("-n", "--namespace", default="")
    for option in ("-l", "-p", "-o", "-c", "--field-selector", "--raw", "--cert", "--key"):
        parser.add_argument(option)
    known, rest = parser.parse_known_args([*arguments])
    words = [word for word in rest if not word.startswith("-")]
    namespace, verb = known.namespace, words[0]
    if verb == "get" and known.raw:
        yield Request("get", None, known.raw.partition("?")[0])
    elif verb == "logs":
        yield Request("get", "", "pods/log", namespace=namespace)
        if len(words) > 1 and words[1].startswith("deployment/"):
            yield Request("get", "apps", "deployments", words[1].partition("/")[2], namespace)
        yield Request("list", "", "pods", namespace=namespace)
    elif verb == "top":
        yield Request("list", "metrics.k8s.io", words[1], namespace=namespace)
    elif verb == "run":
        for item in ("create", "get", "watch", "delete"):
            yield Request(item, "", "pods", namespace=namespace)
        yield Request("create", "", "pods/attach", namespace=namespace)
    elif verb == "create":
        yield Request("create", "", "secrets", namespace=namespace)
    else:
        yield from _on_objects(verb, words[1:], namespace)


def _on_objects(verb: str, words: Sequence[str], namespace: str) -> Iterator[Request]:
    """The requests of commands that name kinds and objects."""
    if verb == "rollout":
        verb, words = f"rollout {words[0]}", words[1:]
    if verb == "cordon":
        words = ["nodes", *words]
    kinds, names = (
        words[0].split(","),
        [word for word in words[1:] if "=" not in word and not word.endswith("-")],
    )
    if "/" in words[0]:
        kinds, names = [words[0].partition("/")[0]], [words[0].partition("/")[2]]
    for kind in kinds:
        group, resource = GROUPS[kind]
        reads = ["get"] if names else ["list"]
        writes = {
            "get": [],
            "describe": [],
            "delete": ["delete"],
            "patch": ["patch"],
            "annotate": ["patch"],
            "cordon": ["patch"],
            "rollout restart": ["patch"],
            "rollout pause": ["patch"],
            "rollout resume": ["patch"],
        }[verb]
        for item in [*reads, *writes]:
            for name in names or [""]:
                yield Request(item, group, resource, name, namespace)
        if verb == "describe":
            yield Request("list", "", "events", namespace=namespace)


def rules() -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The namespace, or an empty string for all, and each rule of the operators' roles."""
    for document in yaml.safe_load_all((ROOT / "k8s/manifests/operators.yaml").read_text()):
        for rule in document.get("rules", ()):
            yield document["metadata"].get("namespace", ""), rule


def allows(namespace: str, rule: Mapping[str, Any], request: Request) -> bool:
    """Whether a rule in a namespace allows a request."""
    if request.group is None:
        return request.resource in rule.get("nonResourceURLs", ()) and request.verb in rule["verbs"]
    return (
        namespace in ("", request.namespace)
        and request.group in rule.get("apiGroups", ())
        and request.resource in rule["resources"]
        and request.verb in rule["verbs"]
        and ("resourceNames" not in rule or request.name in rule["resourceNames"])
    )
