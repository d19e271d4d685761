"""The IAM actions that a deployment of a stack needs, from the types of its resources.

AWS's CloudFormation resource schemas say which actions each type's create, read, update and delete need.
`permissions.yaml` adds what Pulumi's provider calls beyond them, and removes what this platform doesn't use.
"""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Iterable, Mapping, Set
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from account import authorization
from policy.values import read_yaml
from sandbox.aws import cloudformation

ALWAYS = "every deployment"
_HANDLERS = ("create", "read", "update", "delete")


class UnknownActionError(Exception):
    """Raised if AWS's schemas name an action that the service authorization reference doesn't know."""


class UnknownTypeError(Exception):
    """Raised if nothing says which actions a resource type needs."""


@functools.cache
def data() -> Mapping[str, Any]:
    """The content of `permissions.yaml`."""
    return read_yaml(Path(__file__).with_name("permissions.yaml"))


def needed(tokens: Iterable[str]) -> Mapping[str, Set[str]]:
    """The actions that resources of these types need, each with the types that need it.

    Args:
        tokens: types of Pulumi. Types of other packages than `aws` need nothing from AWS.

    Raises:
        UnknownTypeError: a type has neither a schema nor an entry in `permissions.yaml`.
        UnknownActionError: a schema names an action that neither the reference nor `permissions.yaml` has.
    """
    found: dict[str, set[str]] = defaultdict(set)
    for action in data()["always"]["actions"]:
        found[_spelled(action)].add(ALWAYS)
    for token in sorted({token for token in tokens if token.startswith("aws:")}):
        for action in sorted({*schema_actions(token), *data()["calls"].get(token, {}).get("actions", ())}):
            if exclusion(action) is None:
                found[_spelled(action)].add(token)
    return found


def schema_actions(token: str) -> frozenset[str]:
    """The actions in AWS's schema of a type, with those that the platform doesn't need."""
    type_name = cloudformation.resource_type(token)
    if type_name is None:
        if token not in data()["calls"]:
            raise UnknownTypeError(
                f"{token} has no CloudFormation schema: add the IAM actions that its provider calls to "
                "`calls` in account/permissions.yaml"
            )
        return frozenset()
    handlers = cloudformation.document(type_name).get("handlers", {})
    return frozenset(action for name in _HANDLERS for action in handlers.get(name, {}).get("permissions", ()))


def exclusion(action: str) -> str | None:
    """The pattern in `permissions.yaml` that excludes an action."""
    return next((pattern for pattern in data()["excluded"] if fnmatchcase(action, pattern)), None)


def _spelled(action: str) -> str:
    """The action in the reference's spelling."""
    known = authorization.actions().get(action.lower())
    if known:
        return known.name
    if action not in data()["newer"]:
        raise UnknownActionError(
            f"{action} is not in the service authorization reference: add it to `newer` in "
            "account/permissions.yaml if the service has such an operation, or to `excluded` otherwise"
        )
    return action
