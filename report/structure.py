"""How differences are shown: values side by side, and documents and long texts as the lines that differ."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import yaml

from policy.rule import is_list, is_map
from report.differences import ABSENT, UNKNOWN, Difference, compare
from report.preview import Change

SHORT = 100
"""Characters of a value that is shown within a line."""

_CONTEXT = 2
"""Unchanged lines around those that differ."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """A value that changes."""

    path: str
    old: str
    """The value before, on one line; empty if there was none."""
    new: str
    replaces: bool = False


@dataclass(frozen=True, kw_only=True)
class Block:
    """Lines that differ, each with a prefix: `+`, `-` or a space, or `@` for where they are."""

    path: str
    lines: Sequence[str]
    replaces: bool = False


Entry = Line | Block


def entries(change: Change, differences: Sequence[Difference]) -> list[Entry]:
    """How some differences of a change are shown.

    A Kubernetes object that is updated or replaced is shown as the difference between its manifests.
    """
    if is_manifest(change) and change.existed and change.remains:
        options = [difference for difference in differences if difference.path.startswith("(")]
        lines = text_diff(block(_manifest(change.old)), block(_manifest(change.new)))
        replaces = any(difference.replaces for difference in differences)
        manifest: list[Entry] = [Block(path="manifest", lines=lines, replaces=replaces)] if lines else []
        return [*manifest, *(entry for option in options for entry in _entries(option))]
    return [entry for difference in differences for entry in _entries(difference)]


def is_manifest(change: Change) -> bool:
    """Whether a resource is an object of Kubernetes."""
    return change.type.startswith("kubernetes:") and "apiVersion" in {**change.old, **change.new}


def _manifest(inputs: Mapping[str, Any]) -> Mapping[str, Any]:
    first = ("apiVersion", "kind", "metadata")
    return {key: inputs[key] for key in (*first, *sorted(inputs.keys() - {*first})) if key in inputs}


def _entries(difference: Difference) -> Iterator[Entry]:
    old, new, path, forces = difference.old, difference.new, difference.path, difference.replaces
    if old is ABSENT and new is ABSENT:
        return  # the engine names a property that only the provider knows
    documents = document(old), document(new)
    if documents[0] is not None and documents[1] is not None:
        # The parts of a document that stay the same are left out.
        for part in compare(*(by_id(item) for item in documents)):
            inner = f"{path} → {part.path}" if part.path else path
            yield from _entries(replace(part, path=inner, replaces=forces))
        return
    old, new = (_readable(value) for value in (old, new))
    if max(len(old), len(new)) <= SHORT and "\n" not in old + new:
        yield Line(path=path, old=old, new=new, replaces=forces)
    elif "\n" in old + new:
        yield Block(path=path, lines=text_diff(old, new), replaces=forces)
    else:
        yield Line(path=path, replaces=forces, **_excerpts(old, new))


def document(value: object) -> Any:
    """The value of a text that is a JSON object or list; otherwise None."""
    if isinstance(value, str) and value[:1] in ("{", "["):
        try:
            found = json.loads(value)
        except (ValueError, RecursionError):
            return None
        return found if is_map(found) or is_list(found) else None
    return None


def expanded(value: Any) -> Any:
    """A value with JSON documents in place of their texts."""
    found = document(value)
    if found is not None:
        return expanded(found)
    if is_map(value):
        return {key: expanded(item) for key, item in value.items()}
    return [expanded(item) for item in value] if is_list(value) else value


_IDS = ("Sid", "Id", "id", "name", "Name")


def by_id(value: Any) -> Any:
    """The document with lists of objects as objects by their own ID, as far as each has a different one.

    A statement of a policy, for example, is then compared with the statement that has the same `Sid`.
    """
    if is_map(value):
        return {key: by_id(item) for key, item in value.items()}
    if not is_list(value):
        return value
    for key in _IDS:
        ids = [item.get(key) if is_map(item) else None for item in value]
        if ids and all(isinstance(item, str) for item in ids) and len({*ids}) == len(ids):
            return {f"{key}={item[key]}": by_id(item) for item in value}
    return [by_id(item) for item in value]


def text_diff(old: str, new: str) -> list[str]:
    """The lines that differ between two texts, with some context."""
    found = difflib.unified_diff(old.splitlines(), new.splitlines(), lineterm="", n=_CONTEXT)
    lines = [line for line in found if not line.startswith(("---", "+++"))]
    return [re.sub(r"^@@ -(\d+).*", r"@ line \1", line) if line.startswith("@@") else line for line in lines]


def _readable(value: Any) -> str:
    """A value as text: on one line if it is short, and otherwise as YAML."""
    if value is ABSENT:
        return ""
    if isinstance(value, str):
        if (found := document(value)) is not None and len(value) > SHORT:
            return block(found)
        return value
    if is_map(value) or is_list(value):
        text = json.dumps(value, ensure_ascii=False)
        return text if len(text) <= SHORT else block(value)
    return json.dumps(value)


def shown(value: Any) -> str:
    """A value on one line, shortened if it is long."""
    text = "known after the deployment" if value == UNKNOWN else " ".join(_readable(value).split())
    return text if len(text) <= SHORT else f"{text[: SHORT - 1]}…"


def _excerpts(old: str, new: str) -> dict[str, str]:
    """The parts in which two long texts differ."""
    if not old or not new:
        return {"old": _shortened(old), "new": _shortened(new)}
    start = _common(old, new)
    end = _common(old[start:][::-1], new[start:][::-1])
    first, around = max(start - 20, 0), max(end - 20, 0)
    return {
        side: _shortened(f"{'…' if first else ''}{text[first : len(text) - around]}{'…' if around else ''}")
        for side, text in (("old", old), ("new", new))
    }


def _common(text: str, other: str) -> int:
    return next(
        (index for index, (a, b) in enumerate(zip(text, other, strict=False)) if a != b),
        min(len(text), len(other)),
    )


def _shortened(text: str) -> str:
    return text if len(text) <= 2 * SHORT else f"{text[:SHORT]}…{text[-SHORT:]}"


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as such, so that their lines can be compared."""


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    style = "|" if "\n" in value else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)  # pyright: ignore


_Dumper.add_representer(str, _text)


def block(value: Any) -> str:
    """A value as YAML."""
    plain = json.loads(json.dumps(value))
    return yaml.dump(plain, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=10_000).rstrip("\n")
