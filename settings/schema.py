"""Builds the JSON Schema of the settings and of the stack files."""

from __future__ import annotations

import ast
import copy
import functools
import inspect
import itertools
import textwrap
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core.core_schema import ModelSchema

from settings.by_name import MARK
from settings.model import NAMESPACE

Node = dict[str, Any]

OVERRIDES = "Overrides"
"""Suffix of a definition that has the keys of a model, none of them required."""


class _Described(GenerateJsonSchema):
    """Describes the keys with the fields' docstrings, which editors and errors for missing keys show.

    Pydantic's `use_attribute_docstrings` would read the source of all models whenever they are imported.
    """

    def model_schema(self, schema: ModelSchema) -> JsonSchemaValue:
        """The JSON Schema of one model."""
        found, model = super().model_schema(schema), schema["cls"]
        for name, text in _docstrings(model).items():
            key = model.model_fields[name].alias or name
            found["properties"][key].setdefault("description", text)
        return found


def _docstrings(model: type[BaseModel]) -> dict[str, str]:
    """Field → docstring below it, also in the models that it inherits from."""
    found: dict[str, str] = {}
    for base in reversed(model.__mro__):
        if issubclass(base, BaseModel) and base.__module__.partition(".")[0] != "pydantic":
            (tree,) = ast.parse(textwrap.dedent(inspect.getsource(base))).body
            for field, below in itertools.pairwise(tree.body if isinstance(tree, ast.ClassDef) else []):
                match field, below:
                    case ast.AnnAssign(ast.Name(name)), ast.Expr(ast.Constant(str(text))):
                        found[name] = inspect.cleandoc(text)
                    case _:
                        pass
    return found


@functools.cache
def values_schema(model: type[BaseModel], *, described: bool = True) -> Node:
    """The JSON Schema of a model's values. The result is cached, so copy it before changing it.

    Without descriptions of the keys, it takes much less time.
    """
    schema: Node = model.model_json_schema(schema_generator=_Described if described else GenerateJsonSchema)
    for part in [schema, *schema.get("$defs", {}).values()]:
        for node in part.get("properties", {}).values():
            if MARK in node:
                _describe_entries(node, schema["$defs"])
    return schema


def _describe_entries(node: Node, definitions: Node) -> None:
    """Describes the entries of a `ByName` mapping: what defaults accept, and what additions accept."""
    mark = node.pop(MARK)
    name = node["additionalProperties"]["$ref"].rsplit("/", 1)[-1]
    added = definitions[name]
    key = added["properties"].pop(mark["key"], {})
    added["required"] = [required for required in added["required"] if required != mark["key"]]
    overrides = copy.deepcopy(added)
    overrides.pop("required")
    overrides["description"] = f"{overrides['description']}\n\nKeys that are not given keep their default."
    # Pydantic's default is a list, as in the program.
    node["default"] = {entry.pop(mark["key"]): entry for entry in copy.deepcopy(node["default"])}
    set_by_default = {given for entry in node["default"].values() for given in entry}
    for given, value in overrides["properties"].items():
        # It isn't the default of an override, but it is an accepted value.
        if isinstance(default := value.pop("default", None), str):
            value.setdefault("examples", [default])
        if given in set_by_default:
            overrides["properties"][given] = _or_null(value, "null removes this key from the default.")
    definitions[f"{name}{OVERRIDES}"] = overrides
    override = {"$ref": f"#/$defs/{name}{OVERRIDES}"}
    node["properties"] = {known: _or_null(override, "null removes this default.") for known in mark["names"]}
    node["propertyNames"] = {
        limit: value
        for limit, value in key.items()
        if limit in ("type", "pattern", "maxLength", "minLength", "examples")
    }


def _or_null(node: Node, meaning: str) -> Node:
    words = {word: node[word] for word in ("description", "examples") if word in node}
    return {"anyOf": [node, {"type": "null", "description": meaning}], **words}


def file_schema(values: Node) -> Node:
    """The JSON Schema of a `Pulumi.<stack>.yaml` file, from the JSON Schema of its values."""
    schema = copy.deepcopy(values)
    definitions = schema.pop("$defs")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Stack file of the trading platform",
        "type": "object",
        "properties": {
            "config": {
                "type": "object",
                "properties": {f"{NAMESPACE}:{key}": value for key, value in schema["properties"].items()},
                "required": [f"{NAMESPACE}:{key}" for key in schema["required"]],
                "patternProperties": {f"^(?!{NAMESPACE}:)": {}},
                "additionalProperties": False,
            }
        },
        "required": ["config"],
        "$defs": definitions,
    }
