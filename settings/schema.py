"""The JSON Schema of the stack files."""

from __future__ import annotations

from typing import Any

from settings.model import NAMESPACE
from settings.stack import Settings


def stack_schema() -> dict[str, Any]:
    """The JSON Schema of a `Pulumi.<stack>.yaml`, for editors and the tests."""
    schema = Settings.model_json_schema()
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
