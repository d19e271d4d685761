"""Stack files (`Pulumi.<stack>.yaml`), read as the engine reads them, with the line of every value.

The engine reads YAML with Go's `yaml.v3`: booleans are those of YAML 1.2 (`yes` is a text), a key stands in a
mapping once, and `<<` merges. The engine's own reader of stack files is `sdk/go/common/workspace/loaders.go`,
and its `ProjectStack` (`project.go`) has the keys that such a file may have.
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
"""What stands at the top of a stack file; the engine ignores everything else."""

_PLAIN = "tag:plain"
"""Tag of a scalar that has neither quotes nor a tag, whose type its text decides."""
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
"""What 64 bits do not hold is read as a floating-point number, as `yaml.v3` does."""
_FLOAT = r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?"
_DATE = r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([Tt ][0-9]{1,2}:[0-9]{1,2}:[0-9]{1,2}.*)?"
_LIMIT = 100_000
"""Values of one file, with those that aliases repeat; nobody writes a file with more."""


class Secret(str):
    """Stands for a value that is encrypted in the file (`secure:`)."""

    __slots__ = ()


class StackFileError(Exception):
    """The file cannot be read; the text names it, the line where there is one, and what would do."""


@dataclass
class StackFile:
    """What a stack file says."""

    name: str
    """The file's name, as errors say it."""
    config: dict[str, Any] = field(default_factory=dict[str, Any])
    """The values by whole key (`trading:cache`); what is encrypted is a `Secret`."""
    lines: dict[Location, int] = field(default_factory=dict[Location, int])
    """Where each value stands, by the location that a `Problem` gives it."""
    secrets: set[Location] = field(default_factory=set[Location])
    """Where the encrypted values are."""
    problems: list[Problem] = field(default_factory=list[Problem])
    """Values that the engine reads as something else than they look like."""
    imports: bool = False
    """Whether more configuration comes from a Pulumi ESC environment, which this file only names."""

    def values(self) -> dict[str, Any]:
        """Our keys, as `Settings.parse` takes them."""
        prefix = f"{NAMESPACE}:"
        return {
            key.removeprefix(prefix): value for key, value in self.config.items() if key.startswith(prefix)
        }

    def line(self, where: Location) -> int | None:
        """The line of a value, or of the nearest one around it that the file has."""
        while where and where not in self.lines:
            where = where[:-1]
        return self.lines.get(where)

    def place(self, where: Location) -> str:
        """`Pulumi.dev.yaml:12`, or the file alone where it does not have the value."""
        line = self.line(where)
        return f"{self.name}:{line}" if line else self.name


class _Loader(yaml.SafeLoader):
    def resolve(self, kind: Any, value: Any, implicit: Any) -> str:
        if kind is yaml.ScalarNode and implicit[0]:
            return _PLAIN
        return str(super().resolve(kind, value, implicit))  # pyright: ignore


def stack_path(project: Path, stack: str) -> Path:
    """The file of a stack, whose name may have an organization and a project before it."""
    return project / f"Pulumi.{stack.rsplit('/', 1)[-1]}.yaml"


def read(path: Path) -> StackFile:
    """Reads a stack file.

    Raises:
        StackFileError: it is missing, no valid YAML or no stack file.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        known = sorted(other.name for other in path.parent.glob("Pulumi.*.yaml"))
        raise StackFileError(
            f"{path.name}: there is no such file in {path.parent.absolute()}; stack files there: "
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
    """Reads the text of a stack file; `name` is what errors call it.

    Raises:
        StackFileError: as `read`.
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
    """Turns the nodes of one file into values."""

    def __init__(self, file: StackFile) -> None:
        self._file = file
        self._above: list[yaml.Node] = []
        self._count = 0

    def file(self, node: yaml.Node | None) -> StackFile:
        """The whole file."""
        if node is None or (isinstance(node, yaml.ScalarNode) and not node.value):
            raise StackFileError(f"{self._file.name}: is empty; it needs `config:` with the stack's settings")
        if not isinstance(node, yaml.MappingNode):
            raise self._error(node, "is not a mapping of keys to values; it begins with `config:`")
        top = self._entries(node)
        for key, (key_node, _) in top.items():
            if key not in KEYS:
                hint = near(key, KEYS)
                raise self._error(
                    key_node,
                    f"{key}: no such key, which the engine would ignore; {hint}known keys here are "
                    f"{', '.join(KEYS)}, and settings stand below config",
                )
        if "config" not in top:
            raise StackFileError(f"{self._file.name}: has no config, below which the stack's settings stand")
        key_node, config = top["config"]
        if not isinstance(config, yaml.MappingNode):
            raise self._error(key_node, "config is not a mapping of keys to values")
        self._file.imports = "environment" in top
        self._config(config)
        return self._file

    def _config(self, node: yaml.MappingNode) -> None:
        self._above.append(node)
        for written, (key_node, value_node) in self._entries(node).items():
            # As the engine: a key without a namespace is the project's, and `NAMESPACE:config:KEY` an older
            # form (`stackConfigNamespacedWithProject`, `config.ParseKey`).
            key = written if ":" in written else f"{NAMESPACE}:{written}"
            if (parts := key.split(":"))[1:2] == ["config"] and len(parts) == 3:
                key = f"{parts[0]}:{parts[2]}"
            if key.count(":") != 1:
                raise self._error(key_node, f"{key} is no key of the form NAMESPACE:KEY")
            if key in self._file.config:
                raise self._error(key_node, f"{key} is given twice")
            where = (key.removeprefix(f"{NAMESPACE}:"),)
            value = self._value(value_node, where, key_node)
            # The engine makes an empty text of a key without a value (`checkForEmptyConfig`).
            self._file.config[key] = "" if value is None else value

    def _value(self, node: yaml.Node, where: Location, key_node: yaml.Node | None = None) -> Any:
        self._file.lines[where] = (key_node or node).start_mark.line + 1
        self._count += 1
        if self._count > _LIMIT:
            raise self._error(node, "aliases repeat too many values")
        if node in self._above:
            raise self._error(key_node or node, "an alias leads back to what it stands in")
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
        """Key → the nodes of key and value, with what `<<` merges behind the mapping's own."""
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
                raise self._error(
                    key_node, f"{key} is given twice, in line {first} already: put both into one"
                )
            found[key] = (key_node, value)
        return {**merged, **found}

    def _merged(self, node: yaml.Node) -> Iterator[yaml.MappingNode]:
        for source in node.value if isinstance(node, yaml.SequenceNode) else [node]:
            if not isinstance(source, yaml.MappingNode) or source in self._above:
                raise self._error(node, "<< merges mappings, which do not hold themselves")
            yield source

    def _key(self, node: yaml.Node) -> str:
        value = self._plain(node) if isinstance(node, yaml.ScalarNode) else None
        if not isinstance(value, str):
            shown = f"{node.value}: " if isinstance(node, yaml.ScalarNode) else ""
            raise self._error(node, f"{shown}a key must be a text: put it in quotes")
        return value

    def _scalar(self, node: yaml.ScalarNode, where: Location) -> Any:
        value, text = self._plain(node), node.value
        if node.tag == _PLAIN and not text and len(where) > 1:
            self._refuse(where, "is empty: give it a value, or write null where that is meant")
        if node.tag == _PLAIN and re.fullmatch(_DATE, text):
            self._refuse(where, f"{text} is read as a date: put it in quotes")
            return text
        if type(value) is int and str(value) != text.removeprefix("+"):
            written = (
                f'{text} is read as the number {value}: write {value}, or "{text}" where a text is meant'
            )
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
            raise self._error(node, f"{node.value} is no !!{kind}")
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
    # A zero before other digits makes an octal number, as in YAML 1.1.
    return sign * int(digits, 8 if digits[0] == "0" else 10)
