"""Property values as plain data, and the parts in which two of them differ."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

from policy.rule import SECRET, is_list, is_map
from policy.rules.access import SECRET_NAME
from sandbox import values

UNKNOWN = "[unknown]"
"""Placeholder for a value that is known only after the deployment."""


class _Absent:
    def __repr__(self) -> str:
        return "ABSENT"


ABSENT: Any = _Absent()
"""The value of a property that is not there."""


_UNKNOWN = frozenset(
    {
        "1c4a061d-8072-4f0a-a4cb-0ff528b18fe7",
        "3eeb2bf0-c639-47a8-9e75-3b44932eb421",
        "04da6b54-80e4-46f7-96ec-b56ff0331ba9",
        "6a19a0b0-7e62-4c92-b797-7f8e31da9cc2",
        "030794c1-ac77-496b-92df-f27374a8bd58",
        "e48ece36-62e2-4504-bad9-02848725956a",
        "dd056dcd-154b-4c76-9bd3-c8f88648b5ff",
    }
)
"""Boolean, number, string, list, asset, archive and object (pulumi/pulumi v3.255.0, `sdk/go/common/resource/
plugin/rpc.go`)."""

_ASSETS = frozenset({"c44067f5952c0a294b673a41bacd8c17", "0def7320c3a5731c473e5ecbe6d01bc7"})
"""Signatures of assets and archives (`sdk/go/common/resource/sig`)."""

_INTERNAL = frozenset(
    {"__fieldManager", "__initialApiVersion", "__inputs", "__internal", "__meta", "__provider"}
)
"""Properties in which providers keep notes of their own, beside `__defaults`, which objects within a resource
have, too."""


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A property that changes."""

    path: str
    """Such as `ingress[0].cidrBlocks[1]`, or `(protect)` for a resource option."""
    old: Any
    """The value before: plain data with `SECRET` and `UNKNOWN`, or `ABSENT`."""
    new: Any
    replaces: bool = False
    """Whether this difference forces the replacement of the resource."""
    generated: bool = False
    """Whether both values are names that the engine generated."""

    @property
    def top(self) -> str:
        """The property that contains the path."""
        return re.split(r"[.\[]", self.path, maxsplit=1)[0] or self.path

    @property
    def is_secret(self) -> bool:
        """Whether a part of the value is a secret, before or after."""
        return contains(self.old, SECRET) or contains(self.new, SECRET)

    @property
    def is_unknown(self) -> bool:
        """Whether a part of the new value is known only after the deployment."""
        return contains(self.new, UNKNOWN)


def compare(old: Any, new: Any, path: str = "") -> Iterator[Difference]:
    """The parts of a value that differ, each with its path. Equal elements of lists are aligned."""
    if is_map(old) and is_map(new):
        for key in dict.fromkeys([*old, *new]):
            yield from compare(old.get(key, ABSENT), new.get(key, ABSENT), _below(path, key))
    elif is_list(old) and is_list(new) and old and new:
        yield from _compare_lists(old, new, path)
    elif not same(old, new):
        yield Difference(path=path, old=old, new=new)


def _compare_lists(old: Sequence[Any], new: Sequence[Any], path: str) -> Iterator[Difference]:
    before, after = ([json.dumps(item, sort_keys=True) for item in items] for items in (old, new))
    matcher = SequenceMatcher(None, before, after, autojunk=False)
    for kind, first, last, start, end in matcher.get_opcodes():
        if kind == "equal":
            continue
        pairs = min(last - first, end - start)
        for offset in range(pairs):
            yield from compare(old[first + offset], new[start + offset], f"{path}[{start + offset}]")
        for index in range(first + pairs, last):
            yield Difference(path=f"{path}[{index}]", old=old[index], new=ABSENT)
        for index in range(start + pairs, end):
            yield Difference(path=f"{path}[{index}]", old=ABSENT, new=new[index])


def same(old: Any, new: Any) -> bool:
    """Whether two values are equal. A boolean is not equal to a number, unlike in Python."""
    return json.dumps(_encodable(old), sort_keys=True) == json.dumps(_encodable(new), sort_keys=True)


def _encodable(value: Any) -> Any:
    return {"absent": []} if value is ABSENT else value


def _below(path: str, key: str) -> str:
    if re.fullmatch(r"[\w$-]+", key):
        return f"{path}.{key}" if path else key
    return f"{path}[{json.dumps(key)}]"


def overlap(path: str, other: str) -> bool:
    """Whether one path is equal to the other, or contains it."""
    shorter, longer = sorted((path, other), key=len)
    return longer.startswith(shorter) and longer[len(shorter) : len(shorter) + 1] in ("", ".", "[")


def is_internal(path: str) -> bool:
    """Whether a path belongs to the bookkeeping of the engine or of a provider, such as `__defaults`."""
    parts = re.split(r"[.\[]", path)
    return parts[0] in _INTERNAL or "__defaults" in parts


def at(value: Any, path: str) -> Any:
    """The part of a plain value at a path, or `ABSENT`."""
    for quoted, index, name in re.findall(r'\["((?:[^"\\]|\\.)*)"\]|\[(\d+)\]|([^.\[\]]+)', path):
        if index:
            if not is_list(value) or int(index) >= len(value):
                return ABSENT
            value = value[int(index)]
        elif not is_map(value) or (key := quoted or name) not in value:
            return ABSENT
        else:
            value = value[key]
    return value


def properties(found: object) -> Mapping[str, Any]:
    """The inputs or outputs of a resource as plain data."""
    if not is_map(found):
        return {}
    plain = {key: clean(item) for key, item in found.items() if key not in _INTERNAL and key != "__defaults"}
    if found.get("kind") == "Secret" and "apiVersion" in found:
        # Encoding in base 64 hides nothing, and a program can forget to mark the values.
        plain |= dict.fromkeys(plain.keys() & {"data", "stringData"}, SECRET)
    return plain


def clean(value: Any) -> Any:
    """A value in the engine's form as plain data, without bookkeeping.

    Secrets are `SECRET`, also those that a program has not marked, and values that are known only after the
    deployment are `UNKNOWN`. Files are their digest.
    """
    if is_map(value):
        signature = value.get(values.SIGNATURE)
        if signature == values.SECRET:
            return SECRET
        if signature in _ASSETS:
            return f"sha256:{value.get('hash', '')}"
        if signature == values.OUTPUT:
            return SECRET if value.get("secret") else clean(value.get("value", UNKNOWN))
        if signature == values.RESOURCE:
            return value.get("urn", "")
        return {
            key: SECRET if _is_sensitive(key, item) else clean(item)
            for key, item in value.items()
            if key != "__defaults"
        }
    if is_list(value):
        return [clean(item) for item in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)  # the engine has no integers
    return UNKNOWN if _is_unknown(value) else value


def _is_sensitive(key: str, value: Any) -> bool:
    texts = value if is_list(value) else [value]
    name = re.sub("[_-]", "", key.lower()).removesuffix("s")
    return bool(
        texts
        and all(isinstance(text, str) and text and not _is_unknown(text) for text in texts)
        and SECRET_NAME.search(name)
    )


def _is_unknown(value: object) -> bool:
    return isinstance(value, str) and value in _UNKNOWN


def contains(value: Any, marker: str) -> bool:
    """Whether a marker, `SECRET` or `UNKNOWN`, is a part of a value."""
    if is_map(value):
        return any(contains(item, marker) for item in value.values())
    return any(contains(item, marker) for item in value) if is_list(value) else value == marker
