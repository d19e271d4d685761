"""Property values in the engine's protocol, with their wrappers for secrets, outputs and references.

Sources: `sdk/go/common/resource/sig` and `properties.go` in pulumi/pulumi.
"""

from __future__ import annotations

import re
from typing import Any, TypeGuard, cast

Properties = dict[str, Any]

UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
"""Placeholder of the engine for a value of any type that is only known after the deployment."""

SIGNATURE = "4dabf18193072939515e22adb298388d"
SECRET = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105 - a marker, not a secret
OUTPUT = "d0e6a833031e9bbcd3f4e8bde6ca49a4"
RESOURCE = "5cf8f73096256a8f31e491e813e4eb8e"
"""Values of the key `SIGNATURE`, which marks an object as a wrapper."""


def is_dict(value: object) -> TypeGuard[Properties]:
    """Whether a value is an object, which can be a wrapper."""
    return isinstance(value, dict)


def is_list(value: object) -> TypeGuard[list[Any]]:
    """Whether a value is a list."""
    return isinstance(value, list)


def at(value: Any, path: str) -> Any:
    """The part of a plain value at a path of a difference, such as `rules[0].port`; None if there is none."""
    for quoted, index, name in re.findall(r'\["([^"]+)"\]|\[(\d+)\]|([^.\[\]]+)', path):
        if index:
            value = value[int(index)] if is_list(value) and int(index) < len(value) else None
        else:
            value = value.get(quoted or name) if is_dict(value) else None
    return value


def _children(value: object) -> list[Any]:
    if is_dict(value):
        return list(value.values())
    return value if is_list(value) else []


def plain(value: Any) -> Any:
    """The value without its wrappers. Values that aren't known yet are `UNKNOWN`."""
    if is_dict(value):
        if value.get(SIGNATURE) in (SECRET, OUTPUT):
            return plain(value.get("value", UNKNOWN))
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if is_list(value) else value


def plain_properties(properties: Properties) -> Properties:
    """Applies `plain` to all properties of a resource."""
    return cast(Properties, plain(properties))


def has_unknown(value: object) -> bool:
    """Whether any part of a value isn't known yet."""
    if is_dict(value) and value.get(SIGNATURE) == OUTPUT and "value" not in value:
        return True
    return value == UNKNOWN or any(has_unknown(item) for item in _children(value))


def has_secret(value: object) -> bool:
    """Whether any part of a value is a secret."""
    if is_dict(value) and (
        value.get(SIGNATURE) == SECRET or (value.get(SIGNATURE) == OUTPUT and value.get("secret"))
    ):
        return True
    return any(has_secret(item) for item in _children(value))


def dependencies(value: object) -> frozenset[str]:
    """URNs of the resources that a value comes from, as far as its wrappers name them."""
    own: list[str] = (
        value.get("dependencies", []) if is_dict(value) and value.get(SIGNATURE) == OUTPUT else []
    )
    return frozenset(own).union(*(dependencies(item) for item in _children(value)))


def secret(value: Any) -> Any:
    """The value marked as a secret."""
    return value if has_secret(value) else {SIGNATURE: SECRET, "value": value}


def reference(urn: str, identifier: str = "", version: str = "") -> Properties:
    """A reference to a resource. `identifier` is empty for components."""
    base: Properties = {SIGNATURE: RESOURCE, "urn": urn}
    return (
        base | ({"id": identifier} if identifier else {}) | ({"packageVersion": version} if version else {})
    )


def mark_secrets(outputs: Properties, inputs: Properties) -> Properties:
    """Marks outputs as secret if the inputs of the same name are secret.

    Objects are compared property by property. A list that contains a secret becomes a secret.
    """
    marked = dict(outputs)
    for key, given in inputs.items():
        if key not in outputs or not has_secret(given):
            continue
        found = outputs[key]
        if is_dict(found) and is_dict(given) and SIGNATURE not in given:
            marked[key] = mark_secrets(found, given)
        else:
            marked[key] = secret(found)
    return marked
