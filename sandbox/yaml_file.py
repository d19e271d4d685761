"""Reads `Pulumi.yaml` and the stack files, and reports each problem in a single line that names the file.

It works on YAML nodes instead of values, because the engine reads YAML 1.2 and PyYAML reads 1.1: `yes` stays
`yes`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

import yaml

from sandbox.folder import SandboxError

DUMMY_SECRET = "sandbox-dummy-secret"  # noqa: S105 (not a secret)
"""Placeholder for every `secure:` value, which only the user's own key can decrypt."""

MOST_VALUES = 100_000
"""Maximum number of values in a file after its aliases are expanded. The engine has a similar limit
("excessive aliasing")."""


def rewritten(path: Path, dropped: Collection[str], added: Mapping[str, str]) -> str:
    """The file's text with some keys removed, others added, and placeholders for secrets.

    Raises:
        SandboxError: the file can't be read or isn't valid.
    """
    document = _read(path)
    kept = [(key, _without_secrets(value)) for key, value in document.value if key.value not in dropped]
    document.value = kept + [(_scalar(key), _scalar(value)) for key, value in added.items()]
    return yaml.serialize(document)  # pyright: ignore[reportUnknownMemberType]


def texts(path: Path) -> dict[str, str]:
    """The top-level keys whose values are scalars, and their text.

    Raises:
        SandboxError: the file can't be read or isn't valid.
    """
    return {key.value: value.value for key, value in _read(path).value if isinstance(value, yaml.ScalarNode)}


def _read(path: Path) -> yaml.MappingNode:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise SandboxError(f"{path} can't be read: {error.strerror}") from None
    try:
        document = yaml.compose(content.decode(), Loader=yaml.CSafeLoader)
        if document is None:
            return yaml.MappingNode("tag:yaml.org,2002:map", [])
        _check(document, {}, set())
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise _invalid(path, line, f"byte 0x{content[error.start]:02x} is not UTF-8") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise _invalid(path, mark.line + 1 if mark else 1, error.problem or str(error)) from None
    except yaml.reader.ReaderError as error:
        line = content.decode().count("\n", 0, error.position) + 1
        raise _invalid(path, line, f"the character {error.character!r} is not allowed") from None
    except RecursionError:
        raise SandboxError(f"{path} is not valid YAML: its values are nested too deeply") from None
    if not isinstance(document, yaml.MappingNode):
        raise SandboxError(f"{path} is not a mapping of keys to values")
    return document


def _check(node: yaml.Node, sizes: dict[int, int], above: set[int]) -> int:
    """The number of values in a node after its aliases are expanded.

    Raises:
        yaml.MarkedYAMLError: the engine would reject the node without naming the file, or would never finish.
    """
    if id(node) in above:
        raise _problem(node, "an alias contains itself")
    if id(node) in sizes:
        return sizes[id(node)]
    size = 1
    above.add(id(node))
    if isinstance(node, yaml.MappingNode):
        _check_keys(node)
        size += sum(_check(value, sizes, above) for _, value in node.value)
    elif isinstance(node, yaml.SequenceNode):
        size += sum(_check(item, sizes, above) for item in node.value)
    above.discard(id(node))
    if size > MOST_VALUES:
        raise _problem(node, f"it has more than {MOST_VALUES} values after its aliases are expanded")
    sizes[id(node)] = size
    return size


def _check_keys(node: yaml.MappingNode) -> None:
    """Checks that keys are unique strings. The engine compares their text (`gopkg.in/yaml.v3`,
    `decode.go`)."""
    lines: dict[str, int] = {}
    for key, _ in node.value:
        if not isinstance(key, yaml.ScalarNode):
            raise _problem(key, "a key must be a string")
        if key.value in lines:
            raise _problem(key, f"the key {key.value!r} is given twice, first in line {lines[key.value]}")
        lines[key.value] = key.start_mark.line + 1


def _problem(node: yaml.Node, text: str) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=text, problem_mark=node.start_mark)


def _invalid(path: Path, line: int, problem: str) -> SandboxError:
    return SandboxError(f"{path} is not valid YAML: line {line}: {problem}")


def _without_secrets(node: yaml.Node) -> yaml.Node:
    if isinstance(node, yaml.SequenceNode):
        node.value = [_without_secrets(item) for item in node.value]
    elif isinstance(node, yaml.MappingNode):
        if [key.value for key, _ in node.value] == ["secure"]:
            return _scalar(DUMMY_SECRET)
        node.value = [(key, _without_secrets(value)) for key, value in node.value]
    return node


def _scalar(value: str) -> yaml.ScalarNode:
    return yaml.ScalarNode("tag:yaml.org,2002:str", value)
