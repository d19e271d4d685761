"""Reads stack files (`Pulumi.<stack>.yaml`) as the engine does, and records the line of every value.

The engine reads YAML with Go's `yaml.v3`: booleans are those of YAML 1.2 (`yes` is a string), keys of a
mapping are unique, and `<<` merges mappings. The engine's reader of stack files is
`sdk/go/common/workspace/loaders.go`, and its `ProjectStack` (`project.go`) has the accepted top-level keys.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from settings.errors import SECRET, Problem, near
from settings.model import NAMESPACE, Location

KEYS = ("config", "secretsprovider", "encryptionsalt", "encryptedkey", "environment")
"""Top-level keys of a stack file. The engine ignores all others."""

_PLAIN = "tag:plain"
"""Tag of a scalar without quotes or a tag, whose type depends on its text."""
_TAG = "tag:yaml.org,2002:"
_WORDS: dict[str, Any] = {
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), math.nan),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), math.inf),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), -math.inf),
}
_BASES = {"0x": 16, "0b": 2, "0o": 8}
_INTEGER = r"[-+]?(0[xX][0-9a-fA-F]{1,64}|0[bB][01]{1,64}|0[oO]?[0-7]{1,64}|[1-9][0-9]{0,64}|0)"
"""Integers that don't fit into 64 bits are read as floating-point numbers, as in `yaml.v3`."""
_FLOAT = r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?"
_DATE = r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([Tt ][0-9]{1,2}:[0-9]{1,2}:[0-9]{1,2}.*)?"
_LIMIT = 100_000
"""Maximum number of values in one file, including those that aliases repeat. No real file has as many."""


class Secret(str):
    """Placeholder for a value that is encrypted in the file (`secure:`)."""

    __slots__ = ()


class StackFileError(Exception):
    """Raised for a file that cannot be read. The text names the file, the line if known, and the remedy."""


@dataclass
class StackFile:
    """The contents of a stack file."""

    name: str
    """The file's name in errors."""
    config: dict[str, Any] = field(default_factory=dict[str, Any])
    """Full key (`trading:cache`) → value. Encrypted values are a `Secret`."""
    lines: dict[Location, int] = field(default_factory=dict[Location, int])
    """Location, as in a `Problem` → line."""
    secrets: set[Location] = field(default_factory=set[Location])
    """Locations of the encrypted values."""
    problems: list[Problem] = field(default_factory=list[Problem])
    """Problems with values that the engine reads differently from how they look."""
    imports: bool = False
    """Whether the file imports more configuration from a Pulumi ESC environment."""

    def values(self) -> dict[str, Any]:
        """The platform's keys, in the form that `Settings.parse` accepts."""
        prefix = f"{NAMESPACE}:"
        return {
            key.removeprefix(prefix): value for key, value in self.config.items() if key.startswith(prefix)
        }

    def line(self, where: Location) -> int | None:
        """The line of a value, or of the innermost enclosing value that the file has."""
        while where and where not in self.lines:
            where = where[:-1]
        return self.lines.get(where)

    def place(self, where: Location) -> str:
        """File and line, such as `Pulumi.dev.yaml:12`, or only the file if it doesn't have the value."""
        line = self.line(where)
        return f"{self.name}:{line}" if line else self.name


class _Loader(yaml.SafeLoader):
    def resolve(self, kind: Any, value: Any, implicit: Any) -> str:
        if kind is yaml.ScalarNode and implicit[0]:
            return _PLAIN
        return str(super().resolve(kind, value, implicit))  # pyright: ignore


def stack_path(project: Path, stack: str) -> Path:
    """The file of a stack. The stack's name can start with an organization and a project."""
    return project / f"Pulumi.{stack.rsplit('/', 1)[-1]}.yaml"


def read(path: Path) -> StackFile:
    """Reads a stack file.

    Raises:
        StackFileError: the file is missing, isn't valid YAML or isn't a stack file.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        known = sorted(other.name for other in path.parent.glob("Pulumi.*.yaml"))
        raise StackFileError(
            f"{path.name}: no such file in {path.parent.absolute()}; the stack files there are: "
            f"{', '.join(known) or 'none'}"
        ) from None
    except OSError as error:
        raise StackFileError(f"{path.name}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise StackFileError(
            f"{path.name}:{line}: byte 0x{error.object[error.start]:02x} is not UTF-8: save the file as UTF-8"
        ) from None
    return parse(text, path.name)


def parse(text: str, name: str) -> StackFile:
    """Reads the text of a stack file, which errors call `name`.

    Raises:
        StackFileError: as for `read`.
    """
    try:
        node = yaml.compose(text, Loader=_Loader)  # type: ignore[arg-type]
        return _Reader(StackFile(name)).file(node)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"{name}:{mark.line + 1}" if mark else name
        what = " ".join(part for part in (error.context, error.problem) if part)
        raise StackFileError(f"{place}: is not valid YAML: {what}") from None
    except yaml.YAMLError as error:
        raise StackFileError(f"{name}: is not valid YAML: {str(error).splitlines()[0]}") from None
    except RecursionError:
        raise StackFileError(f"{name}: is nested too deeply") from None


class _Reader:
    """Converts the YAML nodes of one file to values."""

    def __init__(self, file: StackFile) -> None:
        self._file = file
        self._above: list[yaml.Node] = []
        self._count = 0

    def file(self, node: yaml.Node | None) -> StackFile:
        """Reads the whole file."""
        if node is None or (isinstance(node, yaml.ScalarNode) and not node.value):
            raise StackFileError(f"{self._file.name}: is empty; it needs `config:` with the stack's settings")
        if not isinstance(node, yaml.MappingNode):
            raise self._error(node, "is not a mapping of keys to values; it must begin with `config:`")
        top = self._entries(node)
        for key, (key_node, _) in top.items():
            if key not in KEYS:
                hint = near(key, KEYS)
                raise self._error(
                    key_node,
                    f"{key}: unknown key, which the engine would ignore; {hint}known keys here are "
                    f"{', '.join(KEYS)}; settings belong below config",
                )
        if "config" not in top:
            raise StackFileError(f"{self._file.name}: has no `config:` with the stack's settings")
        key_node, config = top["config"]
        if not isinstance(config, yaml.MappingNode):
            raise self._error(key_node, "config is not a mapping of keys to values")
        self._file.imports = "environment" in top
        self._config(config)
        return self._file

    def _config(self, node: yaml.MappingNode) -> None:
        self._above.append(node)
        for written, (key_node, value_node) in self._entries(node).items():
            # As in the engine, a key without a namespace belongs to the project, and `NAMESPACE:config:KEY`
            # is an older form (`stackConfigNamespacedWithProject`, `config.ParseKey`).
            key = written if ":" in written else f"{NAMESPACE}:{written}"
            if (parts := key.split(":"))[1:2] == ["config"] and len(parts) == 3:
                key = f"{parts[0]}:{parts[2]}"
            if key.count(":") != 1:
                raise self._error(key_node, f"{key}: a key must have the form NAMESPACE:KEY")
            if key in self._file.config:
                raise self._error(key_node, f"{key} is given twice")
            where = (key.removeprefix(f"{NAMESPACE}:"),)
            value = self._value(value_node, where, key_node)
            # The engine reads a key without a value as an empty string (`checkForEmptyConfig`).
            self._file.config[key] = "" if value is None else value

    def _value(self, node: yaml.Node, where: Location, key_node: yaml.Node | None = None) -> Any:
        self._file.lines[where] = (key_node or node).start_mark.line + 1
        self._count += 1
        if self._count > _LIMIT:
            raise self._error(node, "aliases repeat too many values")
        if node in self._above:
            raise self._error(key_node or node, "an alias refers to a value that contains it")
        self._above.append(node)
        try:
            if isinstance(node, yaml.SequenceNode):
                return [self._value(item, (*where, index)) for index, item in enumerate(node.value)]
            if isinstance(node, yaml.MappingNode):
                return self._mapping(node, where)
            assert isinstance(node, yaml.ScalarNode)  # noqa: S101 (there are three kinds)
            return self._scalar(node, where)
        finally:
            self._above.pop()

    def _mapping(self, node: yaml.MappingNode, where: Location) -> Any:
        entries = self._entries(node)
        if list(entries) == ["secure"] and isinstance(entries["secure"][1], yaml.ScalarNode):
            self._file.secrets.add(where)
            return Secret(SECRET)
        return {
            key: self._value(value, (*where, key), key_node) for key, (key_node, value) in entries.items()
        }

    def _entries(self, node: yaml.MappingNode) -> dict[str, tuple[yaml.Node, yaml.Node]]:
        """Key → the nodes of key and value. The mapping's own keys override those that `<<` merges."""
        found: dict[str, tuple[yaml.Node, yaml.Node]] = {}
        merged: dict[str, tuple[yaml.Node, yaml.Node]] = {}
        for key_node, value in node.value:
            if key_node.tag == _PLAIN and key_node.value == "<<":
                for source in self._merged(value):
                    merged = {**self._entries(source), **merged}
                continue
            key = self._key(key_node)
            if key in found:
                first = found[key][0].start_mark.line + 1
                raise self._error(key_node, f"{key} is given twice, first in line {first}: merge the two")
            found[key] = (key_node, value)
        return {**merged, **found}

    def _merged(self, node: yaml.Node) -> Iterator[yaml.MappingNode]:
        for source in node.value if isinstance(node, yaml.SequenceNode) else [node]:
            if not isinstance(source, yaml.MappingNode) or source in self._above:
                raise self._error(node, "<< can only merge mappings that don't contain it")
            yield source

    def _key(self, node: yaml.Node) -> str:
        value = self._plain(node) if isinstance(node, yaml.ScalarNode) else None
        if not isinstance(value, str):
            shown = f"{node.value}: " if isinstance(node, yaml.ScalarNode) else ""
            raise self._error(node, f"{shown}a key must be a string: put it in quotes")
        return value

    def _scalar(self, node: yaml.ScalarNode, where: Location) -> Any:
        value, text = self._plain(node), node.value
        if node.tag == _PLAIN and not text and len(where) > 1:
            self._refuse(where, "is empty: give it a value, or write null if you mean that")
        if node.tag == _PLAIN and re.fullmatch(_DATE, text):
            self._refuse(where, f"{text} is read as a date: put it in quotes")
            return text
        if type(value) is int and str(value) != text.removeprefix("+"):
            written = f'{text} is read as the number {value}: write {value}, or "{text}" if you mean a string'
            self._refuse(where, written)
        return value

    def _refuse(self, where: Location, text: str) -> None:
        self._file.problems.append(Problem(where, text))

    def _plain(self, node: yaml.ScalarNode) -> Any:
        """The value of a scalar, as `yaml.v3` resolves it (its `resolve.go`)."""
        kind = node.tag.removeprefix(_TAG)
        if kind == "str":
            return node.value
        if node.tag != _PLAIN and kind not in ("int", "float", "bool", "null"):
            raise self._error(node, f"tag {node.tag} has no meaning here: leave it out")
        value = _resolved(node.value)
        if isinstance(value, str) and node.tag != _PLAIN:
            raise self._error(node, f"{node.value} is not a valid !!{kind}")
        return float(value) if kind == "float" and value is not None else value

    def _error(self, node: yaml.Node, text: str) -> StackFileError:
        return StackFileError(f"{self._file.name}:{node.start_mark.line + 1}: {text}")


def _resolved(text: str) -> Any:
    if text in _WORDS:
        return _WORDS[text]
    plain = text.replace("_", "")
    if text[:1] in "+-0123456789" and re.fullmatch(_INTEGER, plain):
        number = _integer(plain)
        return number if -(2**63) <= number < 2**64 else float(number)
    if text[:1] in "+-.0123456789" and re.fullmatch(_FLOAT, plain):
        return float(plain)
    return text


def _integer(text: str) -> int:
    sign, digits = (-1 if text[0] == "-" else 1), text.lstrip("+-").lower()
    if digits[:2] in _BASES:
        return sign * int(digits[2:], _BASES[digits[:2]])
    # A leading zero makes a number octal, as in YAML 1.1.
    return sign * int(digits, 8 if digits[0] == "0" else 10)
