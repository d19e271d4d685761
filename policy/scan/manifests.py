"""Converts the Kubernetes objects of a stack's state to manifests.

The state has every object that a program sends to a cluster, including those of rendered charts. It doesn't
have the objects of a Helm release, which Helm renders itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from policy import production
from policy.rule import Resource
from policy.scan.plan import State, logical_name
from policy.secrets import without_secrets


@dataclass(frozen=True)
class Manifests:
    """Manifests, and the resources that they stand for."""

    documents: Mapping[str, Mapping[str, Any]]
    """File name → object. Each has its own file, because objects of several clusters can have the same
    name."""
    resources: Mapping[str, Resource]
    """File name → resource."""


def manifests(state: Sequence[State]) -> Manifests:
    """Converts the Kubernetes objects of a stack to manifests."""
    is_production = production.by_state(state)
    documents: dict[str, Mapping[str, Any]] = {}
    resources: dict[str, Resource] = {}
    for item in state:
        inputs = item.get("inputs", {})
        # Charts, groups of manifests and releases aren't objects.
        if not item["type"].startswith("kubernetes:") or item.get("delete") or "apiVersion" not in inputs:
            continue
        file = f"object-{len(documents):04}.json"
        documents[file] = {
            name: value for name, value in without_secrets(inputs).items() if name != "__defaults"
        }
        resources[file] = Resource(
            type=item["type"],
            name=logical_name(item),
            urn=item["urn"],
            properties={},
            provider={},
            protect=item.get("protect", False),
            sources={},
            is_production=is_production,
        )
    return Manifests(documents, resources)
