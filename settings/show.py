"""Implements `python -m settings check` and `show`, which need no engine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from settings.by_name import REMOVALS
from settings.errors import Problem, shown_key
from settings.model import NAMESPACE, Location, is_dict, is_list
from settings.namespaces import foreign_keys
from settings.schema import values_schema
from settings.stack import Settings
from settings.stack_file import StackFile
from settings.written import Schema, as_declared, child, options

DEFAULT = "default"
"""Source of a value that the stack file doesn't set."""


def problems(file: StackFile) -> list[Problem]:
    """All problems with a stack file.

    Encrypted values cannot be checked here, so problems with them, and with rules that involve them, are left
    out. Missing keys are left out if the file imports an ESC environment, which can provide them.
    """
    found = Settings.checked(file.values())
    ours = [
        problem
        for problem in (found if isinstance(found, list) else ())
        if not _about_a_secret(problem, file) and not (file.imports and problem.kind == "missing")
    ]
    odd = [problem for problem in file.problems if problem.where not in {other.where for other in ours}]
    every = [*foreign_keys(file.config), *odd, *ours]
    return sorted(every, key=lambda problem: file.line(problem.where) or 0)


def _about_a_secret(problem: Problem, file: StackFile) -> bool:
    if problem.kind in ("missing", "extra_forbidden"):
        return False
    at = problem.where
    return any(at[: len(secret)] == secret or secret[: len(at)] == at for secret in file.secrets)


def lines(file: StackFile) -> Iterator[str]:
    """The settings in force as YAML, with one value per line and the source of each."""
    for key, value in effective(file.values()).items():
        yield from _lines(file, f"{NAMESPACE}:{key}:", value, (key,), "")


def _lines(file: StackFile, label: str, value: Any, where: Location, indent: str) -> Iterator[str]:
    if is_dict(value) and value:
        yield f"{indent}{label}"
        for key, item in value.items():
            yield from _lines(file, f"{_flow(key)}:", item, (*where, key), f"{indent}  ")
    elif is_list(value) and any(is_dict(item) or is_list(item) for item in value):
        yield f"{indent}{label}"
        for index, item in enumerate(value):
            yield from _lines(file, "-", item, (*where, index), f"{indent}  ")
    else:
        yield f"{indent}{label} {_flow(value)}  # {_source(file, where)}"


def _flow(value: Any) -> str:
    """A value on one line of YAML."""
    if is_list(value):
        return f"[{', '.join(_flow(item) for item in value)}]"
    plain = str(value) if isinstance(value, str) else value
    text = yaml.safe_dump(plain, default_flow_style=True, width=10_000, allow_unicode=True)
    return text.removesuffix("\n").removesuffix("\n...")


def flat(file: StackFile) -> dict[str, dict[str, Any]]:
    """The settings in force for programs: key → value and source."""
    return {
        shown_key(where): {"value": value, "source": _source(file, where)}
        for where, value in _leaves(effective(file.values()), ())
    }


def effective(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values with all defaults, in the form of a stack file.

    It uses the JSON Schema and not `Settings`, because `Settings` rejects the placeholders of encrypted
    values.
    """
    schema = values_schema(Settings, described=False)
    return _with_defaults(as_declared(values, schema), schema, schema)


def _with_defaults(value: Any, node: Schema, schema: Schema) -> Any:
    choices = list(options(node, schema))
    if is_list(value):
        return [_with_defaults(item, child(choices, 0), schema) for item in value]
    if not is_dict(value):
        return value
    for choice in choices:
        if "propertyNames" in choice and "properties" in choice:
            return _with_default_entries(value, choice, schema)
        if "properties" in choice:
            return {
                key: _with_defaults(value[key], below, schema) if key in value else below["default"]
                for key, below in choice["properties"].items()
                if key in value or "default" in below
            }
    return value


def _with_default_entries(entries: dict[str, Any], node: Schema, schema: Schema) -> dict[str, Any]:
    """The entries of a mapping by name, merged into the defaults (see `by_name.py`)."""
    (added,) = options(node["additionalProperties"], schema)
    found: dict[str, Any] = {}
    for name, default in node["default"].items():
        entry = entries.get(name, {})
        if entry in REMOVALS:
            continue
        if not is_dict(entry):
            found[name] = entry
            continue
        found[name] = dict(default)
        for key, value in entry.items():
            below = added["properties"].get(key, {})
            nullable = any(choice.get("type") == "null" for choice in options(below, schema))
            taken = value is None and not nullable
            found[name][key] = below.get("default") if taken else _with_defaults(value, below, schema)
    for name in sorted(entries.keys() - node["default"].keys()):
        found[name] = _with_defaults(entries[name], added, schema)
    return found


def _leaves(value: Any, where: Location) -> Iterator[tuple[Location, Any]]:
    if value and (is_dict(value) or is_list(value)):
        for key, item in value.items() if is_dict(value) else enumerate(value):
            yield from _leaves(item, (*where, key))
    else:
        yield where, value


def _source(file: StackFile, where: Location) -> str:
    return file.place(where) if where in file.lines else DEFAULT
