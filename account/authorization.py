"""AWS's service authorization reference, which the package parliament ships: what each IAM action accepts."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

RESOURCE_TAG = "aws:ResourceTag/${TagKey}"


@dataclass(frozen=True)
class ResourceType:
    """What a policy's `Resource` can name."""

    arn: str
    """Its ARN, with placeholders such as `${Region}`."""
    has_tags: bool
    """Whether a policy can limit actions to resources with a tag."""


@dataclass(frozen=True)
class Action:
    """An action of IAM."""

    name: str
    """Such as `rds:CreateDBCluster`."""
    level: str
    """`Read`, `List`, `Write`, `Tagging` or `Permissions management`."""
    resources: tuple[str, ...]
    """The resource types that it accepts, such as `rds:cluster`. Without any, only `*` is accepted."""
    conditions: frozenset[str]
    """The condition keys of its own that it accepts, such as `iam:PermissionsBoundary`, without AWS's global
    ones that the reference doesn't name."""


@functools.cache
def actions() -> Mapping[str, Action]:
    """Name in lower case → action. Names of actions don't depend on the case (IAM User Guide, "Action")."""
    found: dict[str, Action] = {}
    for service in _services():
        prefix = service["prefix"]
        for item in service["privileges"]:
            name = f"{prefix}:{item['privilege']}"
            types = (kind["resource_type"].rstrip("*") for kind in item["resource_types"])
            known = found.get(name.lower())
            found[name.lower()] = Action(
                name=name,
                level=item["access_level"],
                resources=tuple(
                    dict.fromkeys(
                        [*(known.resources if known else ()), *(f"{prefix}:{kind}" for kind in types if kind)]
                    )
                ),
                conditions=(known.conditions if known else frozenset[str]()).union(
                    *(kind["condition_keys"] for kind in item["resource_types"])
                ),
            )
    return found


@functools.cache
def resource_types() -> Mapping[str, ResourceType]:
    """`rds:cluster` and so on → resource type."""
    return {
        f"{service['prefix']}:{item['resource']}": ResourceType(
            arn=item["arn"], has_tags=RESOURCE_TAG in item["condition_keys"]
        )
        for service in _services()
        for item in service["resources"]
    }


def _services() -> list[dict[str, Any]]:
    # The package isn't imported, because it needs a part of setuptools that newer versions don't have.
    path = metadata.distribution("parliament").locate_file("parliament/iam_definition.json")
    return json.loads(Path(str(path)).read_text())
