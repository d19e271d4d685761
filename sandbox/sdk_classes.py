"""Reads the schemas of the installed Pulumi SDKs from their generated classes, for `sandbox.sdk_schema`.

`python -m sandbox.sdk_classes FILE` imports every module of the SDKs and writes an SQLite database.
"""

# pyright: reportPrivateUsage=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false
# (the SDK keeps its token registry private, and its annotations are read as data)
from __future__ import annotations

import collections.abc
import enum
import gc
import importlib
import inspect
import json
import re
import sqlite3
import sys
import types
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pulumi
from pulumi import _types as sdk_types
from pulumi.runtime import rpc as sdk_registry

from sandbox.sdk_schema import PACKAGES, Type

# Names that the SDK's annotations use without an import (`Input[T]` is a string in `pulumi`).
_NAMES = {"Output": pulumi.Output, "T": types.NoneType}

_INVOKE = re.compile(r"runtime\.invoke\('([^']+)'")

_TABLES = """
CREATE TABLE resource (token TEXT PRIMARY KEY, inputs TEXT, outputs TEXT) WITHOUT ROWID;
CREATE TABLE function (token TEXT PRIMARY KEY, inputs TEXT, outputs TEXT) WITHOUT ROWID;
CREATE TABLE class (name TEXT PRIMARY KEY, properties TEXT) WITHOUT ROWID;
"""
"""`inputs` and `outputs` are names in `class`. `properties` is a JSON object of wire name → type, whether it
is required, and description."""

_Property = tuple[Type, bool, str]
"""A property's type, whether it is required, and its description."""


class _Writer:
    """Writes classes, and the classes that their properties refer to."""

    def __init__(self, path: Path) -> None:
        self._database = sqlite3.connect(path)
        self._database.executescript(_TABLES)
        self._classes: dict[str, type] = {}
        self._todo: list[type] = []

    def resource(self, token: str, cls: type) -> None:
        namespace = vars(sys.modules[cls.__module__])
        arguments = namespace.get(f"{cls.__name__}InitArgs") or namespace[f"{cls.__name__}Args"]
        self._insert("resource", token, self._name(arguments), self._name(cls))

    def function(self, token: str, call: Any) -> None:
        home, name = vars(sys.modules[call.__module__]), token.rsplit(":", 1)[1]
        result = home[f"{name[0].upper()}{name[1:]}Result"]
        wire = sdk_types._py_to_pulumi_names_from_py_properties(result)
        hints = typing.get_type_hints(call, home, _NAMES)
        inputs = {
            wire.get(argument, _camel(argument)): (self._type(hints[argument]), False, "")
            for argument in inspect.signature(call).parameters
            if argument != "opts"
        }
        arguments = f"{call.__module__}.{call.__name__}"
        self._properties(arguments, inputs)
        self._insert("function", token, arguments, self._name(result))

    def close(self) -> None:
        while self._todo:
            cls = self._todo.pop()
            self._properties(self._name(cls), self._properties_of(cls))
        self._database.commit()
        self._database.close()

    def _name(self, cls: type) -> str:
        """The full name of a class, whose properties are written later."""
        name = f"{cls.__module__}.{cls.__qualname__}"
        if name not in self._classes:
            self._classes[name] = cls
            self._todo.append(cls)
        return name

    def _properties_of(self, cls: type) -> dict[str, _Property]:
        module = vars(sys.modules[cls.__module__])
        required = {
            name
            for name, parameter in inspect.signature(cls.__init__).parameters.items()
            if parameter.default is inspect.Parameter.empty
        }
        is_input = sdk_types.is_input_type(cls)
        found: dict[str, _Property] = {}
        for python_name, wire_name, prop in sdk_types._py_properties(cls):
            hint = typing.get_type_hints(prop.fget, module, _NAMES)["return"]
            present = python_name in required if is_input else not _allows_none(hint)
            found[wire_name] = self._type(hint), present, inspect.getdoc(prop.fget) or ""
        return found

    def _properties(self, name: str, properties: Mapping[str, _Property]) -> None:
        encoded = {key: (kind.encoded(), *others) for key, (kind, *others) in properties.items()}
        self._insert("class", name, json.dumps(encoded))

    def _insert(self, table: str, *values: str) -> None:
        marks = ", ".join("?" * len(values))
        self._database.execute(f"INSERT INTO {table} VALUES ({marks})", values)  # noqa: S608 (a constant)

    def _type(self, hint: Any) -> Type:
        origin, args = typing.get_origin(hint), typing.get_args(hint)
        if origin in (pulumi.Output, collections.abc.Awaitable):
            return self._type(args[0])
        if origin in (typing.Union, types.UnionType):
            return self._union(args)
        if origin is typing.Literal:
            return Type("enum", values=args)
        if origin in (collections.abc.Sequence, list):
            return Type("list", item=self._type(args[0]))
        if origin in (collections.abc.Mapping, dict):
            return Type("map", item=self._type(args[1]))
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
            return Type("object", cls=self._name(hint))
        return Type("any")

    def _union(self, members: tuple[Any, ...]) -> Type:
        # `Input[T]` is `T | Awaitable[T] | Output[T]`. A nested input type also has a TypedDict variant.
        plain = [
            member
            for member in members
            if typing.get_origin(member) not in (pulumi.Output, collections.abc.Awaitable)
            and member is not types.NoneType
            and not (isinstance(member, type) and typing.is_typeddict(member))
        ]
        options = tuple(dict.fromkeys(map(self._type, plain)))
        kinds = {option.kind for option in options}
        if "string" in kinds and kinds <= {"string", "enum"}:
            return Type("string")  # an enum of known values that also accepts others
        return options[0] if len(options) == 1 else Type("union", options=options)


def _allows_none(hint: Any) -> bool:
    origin = typing.get_origin(hint)
    if origin is pulumi.Output:
        return _allows_none(typing.get_args(hint)[0])
    return origin in (typing.Union, types.UnionType) and types.NoneType in typing.get_args(hint)


def _resources() -> Iterator[tuple[str, type]]:
    """Each resource type's token and class. The SDKs register them when they are imported."""
    for package, name in PACKAGES.items():
        yield f"pulumi:providers:{package}", importlib.import_module(name).Provider
    for registered in [module for modules in sdk_registry._RESOURCE_MODULES.values() for module in modules]:
        # The SDKs' own list; other entries, such as one of `pulumi` itself, have none.
        info: dict[str, Any] = getattr(registered, "mod_info", {})
        for token, name in info.get("classes", {}).items():
            yield token, getattr(importlib.import_module(info["fqn"]), name)


def _functions() -> Iterator[tuple[str, Any]]:
    """Each function's token, which only its source contains, and the Python function."""
    for name in PACKAGES.values():
        folder = Path(importlib.import_module(name).__path__[0])
        for path in sorted(folder.rglob("*.py")):
            for token in dict.fromkeys(_INVOKE.findall(path.read_text())):
                module = ".".join((name, *path.relative_to(folder).with_suffix("").parts))
                python_name = _snake(token.rsplit(":", 1)[1])
                yield token, getattr(importlib.import_module(module), python_name)


def write(path: Path) -> None:
    """Writes the schemas of all installed SDKs to a new file."""
    gc.disable()  # the classes stay until the process ends
    writer = _Writer(path)
    for token, cls in dict(_resources()).items():
        writer.resource(token, cls)
    for token, call in dict(_functions()).items():
        writer.function(token, call)
    writer.close()


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", name).lower()


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)


if __name__ == "__main__":
    write(Path(sys.argv[1]))
