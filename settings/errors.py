"""Errors of the configuration, which name the key, its value and what would be accepted."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError

from settings.model import NAMESPACE, Location
from settings.written import declared, options

SECRET = "[secret]"  # noqa: S105 (not a secret)
"""Placeholder for the value of a secret in errors and output."""

_TYPES = {
    "model_type": "must be a mapping of keys to values",
    "dict_type": "must be a mapping of keys to values",
    "list_type": "must be a list",
    "bool_type": "must be true or false",
    "string_type": "must be a string",
    "int_type": "must be a valid integer",
    "float_type": "must be a valid number",
}


@dataclass(frozen=True)
class Problem:
    """A problem in the stack's configuration."""

    where: Location
    """The key below the namespace, such as `("cache", "shards")`. Keys of other namespaces include their
    namespace."""
    text: str
    """The value, and what would be accepted."""
    kind: str = "value_error"
    """Pydantic's type of the error."""

    def __str__(self) -> str:
        """One line of an error: the key and the problem."""
        return f"{shown_key(self.where)}: {self.text}" if self.where else f"{NAMESPACE}: {self.text}"


class SettingsError(Exception):
    """Raised for an invalid stack configuration. The text names each wrong key and what would be accepted."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = problems
        several = "s" if len(problems) > 1 else ""
        heading = f"The stack's configuration has {len(problems)} problem{several}:"
        super().__init__("\n".join([heading, *(f"  {problem}" for problem in problems)]))


def shown_key(where: Location) -> str:
    """A key as errors show it and `pulumi config set --path` accepts it."""
    first, *others = where
    text = str(first) if ":" in str(first) else f"{NAMESPACE}:{first}"
    for part in others:
        plain = isinstance(part, str) and re.fullmatch(r"[\w-]+", part)
        text += f".{part}" if plain else f"[{json.dumps(part)}]"
    return text


def explain(error: ValidationError, schema: Mapping[str, Any], secrets: Iterable[str] = ()) -> list[Problem]:
    """Turns Pydantic's error into problems, one for each key.

    Args:
        error: Pydantic's error.
        schema: the JSON Schema of the validated values.
        secrets: strings that must not appear in errors.
    """
    hidden = re.compile("|".join(rf"(?<!\w){re.escape(text)}(?!\w)" for text in secrets if text) or r"(?!)")
    return [
        Problem(
            problem["loc"],
            hidden.sub(
                SECRET, _text(problem["type"], problem["msg"], problem["loc"], problem["input"], schema)
            ),
            problem["type"],
        )
        for problem in error.errors(include_url=False)
    ]


def _text(kind: str, message: str, where: Location, value: Any, schema: Mapping[str, Any]) -> str:
    message = re.sub(r"^\w+ should ", "must ", message.removeprefix("Value error, "))
    match kind:
        case "missing":
            meaning = declared(schema, where).get("description", "")
            return f"is required and has no default{meaning and ': '}{' '.join(meaning.split())}"
        case "extra_forbidden":
            return f"unknown key (value {_short(value)}); {_known_keys(schema, where)}"
        case "value_error" if isinstance(value, dict | list | BaseModel) or not isinstance(
            value, str | int | float
        ):
            return message
        case "string_type" if isinstance(value, float):
            return f"{value}: must be a string: put it in quotes, because YAML reads 17.10 as the number 17.1"
        case "model_type" | "dict_type" | "list_type" if value in ("", None):
            return "is empty: give it a value, or leave the key out"
        case _:
            meaning = _TYPES.get(kind, message)
            return f"{_short(value)}: {meaning}{_example(schema, where, of_key=kind not in _TYPES)}"


def _short(value: Any) -> str:
    text = json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:57]}…"


def _known_keys(schema: Mapping[str, Any], where: Location) -> str:
    """The keys that are accepted in place of an unknown one."""
    known = sorted({key for option in options(declared(schema, where[:-1]), schema) for key in _keys(option)})
    return f"{near(str(where[-1]), known)}known keys here are {', '.join(known)}"


def _keys(node: Mapping[str, Any]) -> Iterable[str]:
    return node.get("properties", {})


def near(word: str, known: Sequence[str], form: str = "{}") -> str:
    """`did you mean …? ` if a known word is similar to this one, otherwise an empty string."""
    found = difflib.get_close_matches(word, known, n=1)
    return f"did you mean {form.format(found[0])}? " if found else ""


def _example(schema: Mapping[str, Any], where: Location, of_key: bool) -> str:
    """An example of an accepted value, because patterns are hard to read.

    With `of_key`, the example is the name of an entry if the wrong value is such a name.
    """
    node = declared(schema, where)
    if of_key and (names := declared(schema, where[:-1]).get("propertyNames")):
        node = names
    examples = [value for value in (*node.get("examples", ()), node.get("default")) if isinstance(value, str)]
    return f", such as {examples[0]}" if examples else ""
