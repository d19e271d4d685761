"""Helpers for the values that the engine sends."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard, TypeVar

import yaml
from pulumi_policy.proxy import UnknownValueError

_T = TypeVar("_T")

SECRET = "[secret]"  # noqa: S105 (not a secret)
"""Placeholder that rules see in place of a secret value."""


_SCALARS = (str, int, float, type(None))
"""Types of most values. Testing for one of them takes much less time than for an abstract class."""


def read_yaml(path: Path) -> Any:
    """The document in a YAML file. libyaml needs a tenth of the time of the parser in Python."""
    return yaml.load(path.read_text(), Loader=yaml.CSafeLoader)


def is_map(value: object) -> TypeGuard[Mapping[str, Any]]:
    """Whether the value is an object, which the engine can wrap in a proxy."""
    return not isinstance(value, _SCALARS) and isinstance(value, Mapping)


def is_list(value: object) -> TypeGuard[Sequence[Any]]:
    """Whether the value is a list, which the engine can wrap in a proxy."""
    return not isinstance(value, _SCALARS) and isinstance(value, Sequence)


def listed(value: Any) -> list[Any]:
    """The value as a list, because policy documents contain single values or lists."""
    if value is None:
        return []
    return list(value) if is_list(value) else [value]


@dataclass(frozen=True)
class Text:
    """A text in a resource's properties."""

    path: str
    """Where it is, such as `managedPolicyArns[0]`."""
    name: str
    """The last name in the path, such as `managedPolicyArns`."""
    value: str


def texts(properties: Mapping[str, Any]) -> Iterator[Text]:
    """The texts in a resource's properties, at any depth.

    Raises:
        UnknownValueError: a preview doesn't know a property yet. The texts in the others come first.
    """
    unknown: list[UnknownValueError] = []
    yield from _texts(properties, "", "", unknown)
    if unknown:
        raise unknown[0]


def _texts(value: Any, path: str, name: str, unknown: list[UnknownValueError]) -> Iterator[Text]:
    if isinstance(value, str):
        yield Text(path, name, value)
    for key, item in members(value, unknown):
        if isinstance(key, str):
            yield from _texts(item, f"{path}.{key}" if path else key, key, unknown)
        else:
            yield from _texts(item, f"{path}[{key}]", name, unknown)


def members(value: Any, unknown: list[UnknownValueError]) -> Iterator[tuple[str | int, Any]]:
    """The members of an object or list that a preview knows; adds the errors of the others to `unknown`."""
    container: Any = value
    keys: Iterable[Any] = container if is_map(value) else range(len(container)) if is_list(value) else ()
    for key in keys:
        try:
            yield key, container[key]
        except UnknownValueError as error:
            unknown.append(error)


def collected(items: Iterable[_T]) -> tuple[list[_T], UnknownValueError | None]:
    """The items that come before a value that a preview doesn't know, and the error, if any."""
    found: list[_T] = []
    try:
        found.extend(items)
    except UnknownValueError as error:
        return found, error
    return found, None
