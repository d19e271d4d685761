"""Converts values from the forms in which Pulumi writes them to the types that the JSON Schema declares.

The engine's commands change types: `pulumi stack init` and `pulumi config set` write a top-level `false` as
`"false"`, and `pulumi config set --path` writes `0.5` as the string `"0.5"`, and a tag's `1234` as a number
(`config.Map` and its `coerce`, in the engine's `sdk/go/common/resource/config`). `pulumi.Config` converts
each value when it is read; this module converts all of them, according to the JSON Schema.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from settings.model import Location, is_dict, is_list

Schema = Mapping[str, Any]

_INTEGER = r"[-+]?[0-9]{1,64}"
_NUMBER = r"[-+]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?"
_BOOLEANS = {"true": True, "True": True, "false": False, "False": False}
"""The booleans that `pulumi.Config.get_bool` accepts."""


def as_declared(values: Mapping[str, Any], schema: Schema) -> dict[str, Any]:
    """The values, with booleans, numbers and strings converted to the declared types where possible.

    Args:
        values: the values from the stack file or the engine.
        schema: the JSON Schema of all of them.
    """
    return {key: _as_declared(of_key(value), child([schema], key), schema) for key, value in values.items()}


def of_key(value: Any) -> Any:
    """The value of a top-level key. The engine passes structures as JSON and scalars as strings."""
    if isinstance(value, str) and value[:1] in ("{", "["):
        try:
            return json.loads(value)
        except (ValueError, RecursionError):  # ValueError also for numbers with thousands of digits
            return value  # a plain string; the key's own type says what is accepted
    return value


def _as_declared(value: Any, node: Schema, schema: Schema) -> Any:
    choices = list(options(node, schema))
    if is_dict(value):
        return {key: _as_declared(item, child(choices, key), schema) for key, item in value.items()}
    if is_list(value):
        return [_as_declared(item, child(choices, 0), schema) for item in value]
    types = {choice.get("type") for choice in choices}
    if isinstance(value, str):
        return _of_text(value, types)
    if isinstance(value, int) and not isinstance(value, bool) and types & {"string"} == types - {"null"}:
        return str(value)
    return value


def _of_text(text: str, types: set[Any]) -> Any:
    if "string" in types:
        return text
    if "boolean" in types and text in _BOOLEANS:
        return _BOOLEANS[text]
    if types & {"integer", "number"} and re.fullmatch(_INTEGER, text):
        return int(text)
    if "number" in types and re.fullmatch(_NUMBER, text):
        return float(text)
    return text


def options(node: Schema, schema: Schema) -> Iterator[Schema]:
    """The alternatives that a node of the schema allows, with references resolved."""
    if "$ref" in node:
        node = {**schema["$defs"][node["$ref"].rsplit("/", 1)[-1]], **node, "$ref": ""}
        node = {key: value for key, value in node.items() if key != "$ref"}
    if "anyOf" in node:
        for choice in node["anyOf"]:
            yield from options(choice, schema)
    else:
        yield node


def child(choices: list[Schema], part: str | int) -> Schema:
    """The schema of a mapping's key or a list's element, from the alternatives of its parent."""
    for choice in choices:
        if isinstance(part, int) and "items" in choice:
            return choice["items"]
        named = choice.get("properties", {}).get(part)
        patterned = next(iter(choice.get("patternProperties", {}).values()), None)
        if found := named or choice.get("additionalProperties") or patterned:
            return found
    return {}


def declared(schema: Schema, where: Location) -> Schema:
    """The JSON Schema of a key. Its own description takes precedence over that of its type."""
    node = schema
    for part in where:
        node = child(list(options(node, schema)), part)
    models = [*node.get("anyOf", ()), node]
    for model in models:
        if "$ref" in model:
            return {**schema["$defs"][model["$ref"].rsplit("/", 1)[-1]], **node}
    return node
