"""Reads the schemas of resources and functions from the installed Pulumi SDKs.

The generated SDK classes contain the names, types and required inputs of a provider's schema. A class is
imported and read when its token is first requested, and then cached. The module needs neither gRPC nor an
engine, so the unit tests' mocks use it too.
"""

# pyright: reportPrivateUsage=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false
# (the SDK keeps its token registry private, and its annotations are read as data)
from __future__ import annotations

import collections.abc
import difflib
import enum
import functools
import importlib
import inspect
import json
import keyword
import re
import sys
import threading
import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pulumi
from pulumi import _types as sdk_types
from pulumi.runtime import rpc as sdk_registry

from sandbox.values import SIGNATURE, UNKNOWN

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
# Names that the SDK's annotations use without an import (`Input[T]` is a string in `pulumi`).
_NAMES = {"Output": pulumi.Output, "T": types.NoneType}
_LOCK = threading.RLock()  # the SDK's lazily loaded modules are not safe to load from two threads


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
    `item`), `object` (with `cls`, whose properties `properties` returns) or `union` (with `options`).
    """

    kind: str
    item: Type | None = None
    cls: type | None = None
    values: tuple[Any, ...] = ()
    options: tuple[Type, ...] = ()

    def option(self, kind: str) -> Type | None:
        """The type itself, or the option of a union, that has the given kind."""
        return next((option for option in self.options or (self,) if option.kind == kind), None)

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
    with _LOCK:
        cls = _resource_class(token)
        namespace = vars(sys.modules[cls.__module__])
        args = namespace.get(f"{cls.__name__}InitArgs") or namespace[f"{cls.__name__}Args"]
        outputs = properties(cls)
        return Schema(token, properties(args), {k: v for k, v in outputs.items() if k not in ("id", "urn")})


@functools.cache
def function(token: str) -> Schema:
    """The schema of a function such as `aws:ec2/getManagedPrefixList:getManagedPrefixList`.

    The SDK doesn't say which arguments are required, so none is marked as required.

    Raises:
        UnknownTypeError: the installed SDK doesn't have the function.
    """
    package, module, name = token.split(":")
    folder = module.split("/")[0]
    with _LOCK:
        fqn = _sdk(package).__name__
        if folder != "index":
            fqn += "." + folder + ("_" if keyword.iskeyword(folder) else "")
        python_name = _snake(name)
        try:
            call = getattr(importlib.import_module(fqn), python_name)
        except (ImportError, AttributeError):
            raise UnknownTypeError(f"unknown function in {fqn}: {token}") from None
        home = sys.modules[call.__module__]
        result = getattr(home, name[0].upper() + name[1:] + "Result")
        wire = sdk_types._py_to_pulumi_names_from_py_properties(result)
        hints = typing.get_type_hints(call, vars(home), _NAMES)
        arguments = [p for p in inspect.signature(call).parameters if p != "opts"]
        inputs = {
            wire.get(p, _camel(p)): Property(wire.get(p, _camel(p)), _convert(hints[p]), False, "")
            for p in arguments
        }
        return Schema(token, inputs, properties(result))


@functools.cache
def properties(cls: type) -> Mapping[str, Property]:
    """The properties of an SDK class (resource, arguments or nested type) by wire name."""
    with _LOCK:
        module = vars(sys.modules[cls.__module__])
        required = {
            name
            for name, parameter in inspect.signature(cls.__init__).parameters.items()
            if parameter.default is inspect.Parameter.empty
        }
        is_input = sdk_types.is_input_type(cls)
        found: dict[str, Property] = {}
        for python_name, wire_name, prop in sdk_types._py_properties(cls):
            hints = typing.get_type_hints(prop.fget, module, _NAMES)
            hint = hints["return"]
            present = python_name in required if is_input else not _allows_none(hint)
            found[wire_name] = Property(wire_name, _convert(hint), present, inspect.getdoc(prop.fget) or "")
        return found


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
    for item in value if isinstance(value, list | tuple) else [value]:
        if (
            not prop.values
            or not isinstance(item, str | int)
            or isinstance(item, bool)
            or item in ("", UNKNOWN)
        ):
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
    elif kind.kind == "list" and isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _problems(kind.item or Type("any"), item, f"{path}[{index}]")
    elif kind.kind == "map" and isinstance(value, Mapping):
        for key, item in value.items():
            yield from _problems(kind.item or Type("any"), item, step(path, str(key)))
    elif kind.kind == "object" and isinstance(value, Mapping) and kind.cls is not None:
        name = re.sub("Args$", "", kind.cls.__name__)
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
            if isinstance(value, Mapping):
                return SIGNATURE in value
            return isinstance(value, pulumi.Asset | pulumi.Archive)
        case _:
            return False


def _shape(value: Any) -> str:
    if isinstance(value, Mapping):
        return "object"
    if isinstance(value, list | tuple):
        return "list"
    return {bool: "boolean", int: "number", float: "number", str: "string"}.get(type(value), "value")


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


# -- SDK classes to types ------------------------------------------------------------------------


def _sdk(package: str) -> types.ModuleType:
    try:
        return importlib.import_module(PACKAGES[package])
    except (KeyError, ImportError):
        raise UnknownTypeError(f"no SDK installed for package {package!r}") from None


def _resource_class(token: str) -> type:
    sdk = _sdk(package_of(token))
    if token.startswith("pulumi:providers:"):
        return sdk.Provider
    module = token.rsplit(":", 1)[0]
    for registered in sdk_registry._RESOURCE_MODULES.get(module, []):
        info: Mapping[str, Any] = getattr(registered, "mod_info", {})
        if token in info.get("classes", {}):
            return getattr(importlib.import_module(info["fqn"]), info["classes"][token])
    raise UnknownTypeError(f"unknown resource type: {token}{_nearest_token(token)}")


def _nearest_token(token: str) -> str:
    package = package_of(token)
    every = {
        known
        for key, modules in sdk_registry._RESOURCE_MODULES.items()
        if key.startswith(f"{package}:")
        for module in modules
        for known in getattr(module, "mod_info", {}).get("classes", {})
    }
    close = difflib.get_close_matches(token, every, n=1, cutoff=0.6)
    return f"; did you mean {close[0]}?" if close else ""


def _is_custom_resource(token: str) -> bool:
    if package_of(token) != "kubernetes" or token.startswith("pulumi:providers:"):
        return False
    _sdk("kubernetes")
    group = token.split(":")[1].split("/")[0]
    return not any(key.startswith(f"kubernetes:{group}/") for key in sdk_registry._RESOURCE_MODULES)


def _allows_none(hint: Any) -> bool:
    origin = typing.get_origin(hint)
    if origin is pulumi.Output:
        return _allows_none(typing.get_args(hint)[0])
    return origin in (typing.Union, types.UnionType) and types.NoneType in typing.get_args(hint)


def _convert(hint: Any) -> Type:
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in (pulumi.Output, collections.abc.Awaitable):
        return _convert(args[0])
    if origin in (typing.Union, types.UnionType):
        return _union(args)
    if origin is typing.Literal:
        return Type("enum", values=args)
    if origin in (collections.abc.Sequence, list):
        return Type("list", item=_convert(args[0]))
    if origin in (collections.abc.Mapping, dict):
        return Type("map", item=_convert(args[1]))
    if not isinstance(hint, type):
        return Type("any")
    if issubclass(hint, enum.Enum):
        return Type("enum", values=tuple(member.value for member in hint))
    for kind, name in ((bool, "boolean"), (str, "string"), (int, "number"), (float, "number")):
        if issubclass(hint, kind):
            return Type(name)
    if issubclass(hint, pulumi.Asset | pulumi.Archive):
        return Type("asset")
    if sdk_types.is_input_type(hint) or sdk_types.is_output_type(hint):
        return Type("object", cls=hint)
    return Type("any")


def _union(members: tuple[Any, ...]) -> Type:
    # `Input[T]` is `T | Awaitable[T] | Output[T]`. A nested input type also has a TypedDict variant.
    plain = [
        member
        for member in members
        if typing.get_origin(member) not in (pulumi.Output, collections.abc.Awaitable)
        and member is not types.NoneType
        and not (isinstance(member, type) and typing.is_typeddict(member))
    ]
    options = tuple(dict.fromkeys(_convert(member) for member in plain))
    kinds = {option.kind for option in options}
    if "string" in kinds and kinds <= {"string", "enum"}:
        return Type("string")  # an enum of known values that also accepts others
    return options[0] if len(options) == 1 else Type("union", options=options)


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", name).lower()


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)
