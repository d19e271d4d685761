"""The schemas of resources and functions in the installed Pulumi SDKs: validation of inputs, and lookup.

The generated SDK classes contain the names, types and required inputs of a provider's schema. Reading them
takes half a minute, so `sandbox.sdk_classes` does it once for each version, and this module looks up what it
wrote. It needs neither the SDKs, gRPC nor an engine, and the unit tests' mocks use it too.
"""

from __future__ import annotations

import difflib
import functools
import json
import re
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pulumi

from sandbox import tools
from sandbox.values import SIGNATURE, UNKNOWN, is_dict, is_list

PACKAGES = {
    "aws": "pulumi_aws",
    "eks": "pulumi_eks",
    "kubernetes": "pulumi_kubernetes",
    "random": "pulumi_random",
}
"""Provider package → Python package of its SDK."""

# Matches "Valid values are `a`, `b` and `c`." as a whole sentence, because only then the list is complete.
_VALID_VALUES = re.compile(
    r"(?:valid|allowed|possible|accepted) (?:values?|options)(?: for \w+)?(?: are| is| include)?:?\s*"
    r"((?:one of|either|and|or|,|\s|`[^`]+`|\([^)]*\))+)(?:\.(?=\s|$)|$)",
    re.IGNORECASE,
)
_SECRET_NAME = re.compile(r"password|secret(?!.*(arn|id|name)s?\b)|token|privatekey|authkey", re.IGNORECASE)


class UnknownTypeError(LookupError):
    """Raised for an unknown resource type or function. The text names it and the most similar one."""


@dataclass(frozen=True)
class Problem:
    """A problem with an input.

    Attributes:
        path: the property, in Pulumi's path syntax.
        value: the given value, or `None` if there is none.
        message: the problem, and what would be accepted.
    """

    path: str
    value: Any
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}"


@dataclass(frozen=True)
class Type:
    """A property's type.

    `kind` is `string`, `number`, `boolean`, `any`, `asset`, `enum` (with `values`), `list` or `map` (with
    `item`), `object` (with `cls`, the name of the SDK class, for `properties`) or `union` (with `options`).
    """

    kind: str
    item: Type | None = None
    cls: str = ""
    values: tuple[Any, ...] = ()
    options: tuple[Type, ...] = ()

    def option(self, kind: str) -> Type | None:
        """The type itself, or the option of a union, that has the given kind."""
        return next((option for option in self.options or (self,) if option.kind == kind), None)

    def encoded(self) -> Any:
        """The type as JSON: its kind, or a list of its kind and what belongs to it."""
        match self.kind:
            case "list" | "map":
                return [self.kind, self.item.encoded() if self.item else "any"]
            case "object":
                return [self.kind, self.cls]
            case "enum":
                return [self.kind, *self.values]
            case "union":
                return [self.kind, *(option.encoded() for option in self.options)]
            case _:
                return self.kind

    @classmethod
    def decoded(cls, value: Any) -> Type:
        """The type that `encoded` wrote."""
        match value:
            case ["list" | "map" as kind, item]:
                return cls(kind, item=cls.decoded(item))
            case ["object", name]:
                return cls("object", cls=name)
            case ["enum", *values]:
                return cls("enum", values=tuple(values))
            case ["union", *options]:
                return cls("union", options=tuple(map(cls.decoded, options)))
            case _:
                return cls(value)

    def __str__(self) -> str:
        match self.kind:
            case "list" | "map":
                return f"{self.kind} of {self.item}"
            case "union":
                return " or ".join(str(option) for option in self.options)
            case "enum":
                return "one of " + ", ".join(map(str, self.values))
            case _:
                return self.kind


@dataclass(frozen=True)
class Property:
    """A property of a resource, of a nested object or of a function's arguments.

    Attributes:
        name: the wire name (camelCase).
        required: whether an input must be given, or whether an output always has a value.
        doc: the SDK's description, which mentions AWS's defaults and valid values.
    """

    name: str
    type: Type
    required: bool
    doc: str

    @functools.cached_property
    def values(self) -> tuple[str, ...]:
        """The values that the description lists as the only valid ones; empty if there is no such list."""
        # The list isn't complete if the description has phrases such as "For load balancers of type …, valid
        # values are …", "… are also valid" or "only applicable for actions related to …".
        several = re.search(
            r"valid values.*valid values|also valid|only applicable for", self.doc, re.IGNORECASE | re.DOTALL
        )
        match = None if several else _VALID_VALUES.search(self.doc)
        quoted = re.findall(r"`([^`]+)`", re.sub(r"\([^)]*\)", "", match[1])) if match else []
        found = tuple(value.strip('"') for value in quoted)
        return found if len(found) > 1 and not any(re.search(r"[\s\[*]", value) for value in found) else ()


@dataclass(frozen=True)
class Schema:
    """The inputs and outputs of a resource type or a function (an invoke), by wire name."""

    token: str
    inputs: Mapping[str, Property]
    outputs: Mapping[str, Property]


def package_of(token: str) -> str:
    """The package of a token, such as `aws` for `aws:ec2/vpc:Vpc` and `pulumi:providers:aws`."""
    parts = token.split(":")
    return parts[2] if parts[:2] == ["pulumi", "providers"] else parts[0]


@functools.cache
def schema(token: str) -> Schema:
    """The schema of a resource type, which can be a provider (`pulumi:providers:aws`).

    Raises:
        UnknownTypeError: the installed SDK doesn't have the type.
    """
    found = _row("SELECT inputs, outputs FROM resource WHERE token = ?", token)
    if not found:
        raise UnknownTypeError(f"unknown resource type: {token}{_nearest_token(token)}")
    inputs, outputs = found
    live = {name: prop for name, prop in properties(outputs).items() if name not in ("id", "urn")}
    return Schema(token, properties(inputs), live)


@functools.cache
def function(token: str) -> Schema:
    """The schema of a function such as `aws:ec2/getManagedPrefixList:getManagedPrefixList`.

    The SDK doesn't say which arguments are required, so none is marked as required.

    Raises:
        UnknownTypeError: the installed SDK doesn't have the function.
    """
    found = _row("SELECT inputs, outputs FROM function WHERE token = ?", token)
    if not found:
        raise UnknownTypeError(f"unknown function: {token}")
    inputs, outputs = found
    return Schema(token, properties(inputs), properties(outputs))


@functools.cache
def properties(cls: str) -> Mapping[str, Property]:
    """The properties of an SDK class (resource, arguments or nested type) by wire name."""
    (text,) = _row("SELECT properties FROM class WHERE name = ?", cls) or ("{}",)
    return {
        name: Property(name, Type.decoded(kind), required, doc)
        for name, (kind, required, doc) in json.loads(text).items()
    }


def validate(token: str, inputs: Mapping[str, Any]) -> list[Problem]:
    """The problems with a resource's inputs: unknown names at any depth, wrong types, missing inputs.

    Like the bridged providers, it accepts numbers and booleans as strings, and the reverse. Types of other
    packages (components) and custom resources of Kubernetes have no schema and are accepted.

    Raises:
        UnknownTypeError: the type belongs to a known package, but the package doesn't have it.
    """
    if package_of(token) not in PACKAGES or _is_custom_resource(token):
        return []
    given = dict(inputs)
    if token.startswith("pulumi:providers:"):
        given.pop("version", None)
        # The SDK passes a provider's structures as JSON. A kubeconfig is a string although it can be JSON.
        texts = {name for name, prop in schema(token).inputs.items() if prop.type.kind == "string"}
        given = {name: value if name in texts else _decoded(value) for name, value in given.items()}
    return list(_object_problems(schema(token).inputs, given, "", token))


def validate_function(token: str, args: Mapping[str, Any]) -> list[Problem]:
    """The problems with a function's arguments.

    Raises:
        UnknownTypeError: the installed SDK doesn't have the function.
    """
    return list(_object_problems(function(token).inputs, args, "", token))


def names_secret(path: str) -> bool:
    """Whether a property's name indicates that its value is a secret."""
    return _SECRET_NAME.search(path) is not None


def shown(path: str, value: Any) -> str:
    """A value for an error message: shortened, and hidden if the property's name indicates a secret."""
    if names_secret(path):
        return "[secret]"
    text = json.dumps(value, default=str)
    return text if len(text) <= 100 else text[:97] + "..."


def step(path: str, key: str) -> str:
    """The path of a property below `path`, in Pulumi's path syntax."""
    if not re.fullmatch(r"[\w-]+", key):
        return f'{path}["{key}"]'
    return f"{path}.{key}" if path else key


# -- values against types -----------------------------------------------------------------------


def _object_problems(
    known: Mapping[str, Property], value: Mapping[str, Any], path: str, owner: str
) -> Iterator[Problem]:
    for name, item in value.items():
        if item is None or name == "__defaults":
            continue
        here = step(path, name)
        if name not in known:
            yield Problem(here, item, f"unknown property of {owner}{_nearest(name, known)}")
        else:
            wrong = list(_problems(known[name].type, item, here))
            yield from wrong or _value_problems(known[name], item, here)
    for name, prop in known.items():
        if prop.required and value.get(name) is None:
            yield Problem(step(path, name), None, f"is required by {owner}")


def _value_problems(prop: Property, value: Any, path: str) -> Iterator[Problem]:
    if not prop.values:
        return
    for item in value if is_list(value) else [value]:
        if not isinstance(item, str | int) or isinstance(item, bool) or item in ("", UNKNOWN):
            continue
        # In such lists, `5XX` stands for all statuses of that class.
        forms = (re.escape(form).replace("XX", r"(XX|\d\d)") for form in prop.values)
        if not re.fullmatch("|".join(forms), str(item), re.IGNORECASE):
            yield Problem(path, value, f"{shown(path, item)} is not one of {', '.join(prop.values)}")


def _problems(kind: Type, value: Any, path: str) -> Iterator[Problem]:
    if value is None or value == UNKNOWN or kind.kind == "any":
        return
    if kind.kind == "union":
        attempts = [list(_problems(option, value, path)) for option in kind.options]
        if all(attempts):
            # Report the problems of the option whose structure is closest to the value's.
            yield from max(attempts, key=lambda found: max(len(problem.path) for problem in found))
    elif kind.kind == "list" and is_list(value):
        for index, item in enumerate(value):
            yield from _problems(kind.item or Type("any"), item, f"{path}[{index}]")
    elif kind.kind == "map" and is_dict(value):
        for key, item in value.items():
            yield from _problems(kind.item or Type("any"), item, step(path, key))
    elif kind.kind == "object" and is_dict(value):
        name = kind.cls.rsplit(".", 1)[-1].removesuffix("Args")
        yield from _object_problems(properties(kind.cls), value, path, name)
    elif not _is_scalar_of(kind, value):
        expected = "object" if kind.kind == "object" else str(kind)
        yield Problem(path, value, f"expected {expected}, got {_shape(value)} {shown(path, value)}")


def _is_scalar_of(kind: Type, value: Any) -> bool:
    match kind.kind:
        case "string":
            return isinstance(value, str | int | float)
        case "number":
            if isinstance(value, str):
                return re.fullmatch(r"-?\d+(\.\d+)?", value) is not None
            return isinstance(value, int | float) and not isinstance(value, bool)
        case "boolean":
            return isinstance(value, bool) or value in ("true", "false")
        case "enum":
            return value in kind.values
        case "asset":
            if is_dict(value):
                return SIGNATURE in value
            return isinstance(value, pulumi.Asset | pulumi.Archive)
        case _:
            return False


def _shape(value: Any) -> str:
    if is_dict(value):
        return "object"
    if is_list(value):
        return "list"
    names = {"bool": "boolean", "int": "number", "float": "number", "str": "string"}
    return names.get(value.__class__.__name__, "value")


def _nearest(name: str, known: Mapping[str, Any]) -> str:
    lowered = {candidate.lower(): candidate for candidate in known}
    close = difflib.get_close_matches(name.lower().replace("_", ""), lowered, n=1, cutoff=0.6)
    return f"; did you mean {lowered[close[0]]}?" if close else f"; it has {', '.join(sorted(known))}"


def _decoded(value: Any) -> Any:
    """Decodes a provider's structured settings, which are passed as JSON."""
    if isinstance(value, str):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value


# -- lookup --------------------------------------------------------------------------------------

_LOCK = threading.Lock()


@functools.cache
def _database() -> sqlite3.Connection:
    return sqlite3.connect(f"{tools.schemas().as_uri()}?mode=ro", uri=True, check_same_thread=False)


def _row(query: str, *arguments: str) -> tuple[str, ...] | None:
    with _LOCK:
        return _database().execute(query, arguments).fetchone()


def _nearest_token(token: str) -> str:
    with _LOCK:
        rows = _database().execute(
            "SELECT token FROM resource WHERE token GLOB ?", (f"{package_of(token)}:*",)
        )
        every = [known for (known,) in rows]
    close = difflib.get_close_matches(token, every, n=1, cutoff=0.6)
    return f"; did you mean {close[0]}?" if close else ""


def _is_custom_resource(token: str) -> bool:
    if package_of(token) != "kubernetes" or token.startswith("pulumi:providers:"):
        return False
    return not _has_group(token.split(":")[1].split("/")[0])


@functools.cache
def _has_group(group: str) -> bool:
    return _row("SELECT token FROM resource WHERE token GLOB ?", f"kubernetes:{group}/*") is not None
