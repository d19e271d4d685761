"""Errors that name the key, its value and what would be accepted."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError

from settings.model import NAMESPACE


class SettingsError(Exception):
    """The stack's configuration cannot be used; the text says which keys and what would do."""


def explain(error: ValidationError, schema: Mapping[str, Any]) -> str:
    """What is wrong, a line a key; `schema` is the JSON Schema of what was validated."""
    problems = error.errors(include_url=False)
    lines = [f"The stack's configuration has {len(problems)} problem{'s' if len(problems) > 1 else ''}:"]
    for problem in problems:
        location = problem["loc"]
        path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
        key = f"{NAMESPACE}:{path.removeprefix('.')}"
        message = problem["msg"].removeprefix("Value error, ").replace("Input should", "must")
        value = problem["input"]
        match problem["type"]:
            case "missing":
                meaning = _node(schema, location).get("description", "")
                lines.append(f"  {key}: is missing, and has no default{meaning and ': '}{meaning}")
            case "extra_forbidden":
                lines.append(f"  {key}: no such key (value {_short(value)}); {_known_keys(schema, location)}")
            case "value_error" if not path:
                lines.append(f"  {key}{message}")  # a rule over several keys names its own
            case "value_error" if isinstance(value, dict | list | BaseModel):
                lines.append(f"  {key}: {message}")
            case _:
                lines.append(f"  {key}: {_short(value)}: {message}{_example(schema, location)}")
    return "\n".join(lines)


def _short(value: Any) -> str:
    text = json.dumps(value, default=str)
    return text if len(text) <= 60 else f"{text[:57]}…"


def _node(schema: Mapping[str, Any], location: Sequence[str | int]) -> Mapping[str, Any]:
    """The JSON Schema at a key's place: its own words about the key over those about its type."""
    node: Mapping[str, Any] = schema
    for part in location:
        here: dict[str, Any] = node["items"] if isinstance(part, int) else _property(node, part)
        choices: list[dict[str, Any]] = [here, *here.get("anyOf", ())]
        models = [choice["$ref"].rsplit("/", 1)[-1] for choice in choices if "$ref" in choice]
        node = {**schema["$defs"][models[0]], **here} if models else here
    return node


def _property(node: Mapping[str, Any], key: str) -> dict[str, Any]:
    named = node.get("properties", {}).get(key)
    patterned = next(iter(node.get("patternProperties", {}).values()), None)
    return named or node.get("additionalProperties") or patterned or {}


def _known_keys(schema: Mapping[str, Any], location: Sequence[str | int]) -> str:
    """What the model at a misspelled key's place accepts."""
    known = sorted(_node(schema, location[:-1])["properties"])
    near = difflib.get_close_matches(str(location[-1]), known, n=1)
    return f"{f'did you mean {near[0]}? ' if near else ''}known keys here are {', '.join(known)}"


def _example(schema: Mapping[str, Any], location: Sequence[str | int]) -> str:
    """A value that would do, for keys whose pattern alone is hard to read."""
    node = _node(schema, location)
    examples = [value for value in (*node.get("examples", ()), node.get("default")) if isinstance(value, str)]
    return f", such as {examples[0]}" if examples else ""
