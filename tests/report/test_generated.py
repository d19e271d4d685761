"""Generated changes of the fixture stacks' resources: none disappears from the JSON."""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from report import document, model
from sandbox.values import SIGNATURE, is_dict, is_list
from tests.report.changes import read, step
from tests.unit.harness import SECRET, Registered, deploy_platform

CHANGES = 50
SEED = 20260101


def paths(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The paths to all single values but those of files, which are compared by their digests."""
    if is_dict(value) and SIGNATURE in value:
        return
    if is_dict(value) or is_list(value):
        for key, item in value.items() if is_dict(value) else enumerate(value):
            yield from paths(item, (*path, key))
    elif path and value != SECRET:
        yield path


def changed(value: Any) -> Any:
    """Another value of the same type."""
    if isinstance(value, bool):
        return not value
    return value + 1 if isinstance(value, int | float) else f"{value}-changed"


def with_change(inputs: Mapping[str, Any], path: tuple[str | int, ...]) -> tuple[dict[str, Any], Any, Any]:
    """A copy of the inputs in which one value differs, the old value, and the new one."""
    copied = copy.deepcopy(dict(inputs))
    place: Any = copied
    for key in path[:-1]:
        place = place[key]
    old = place[path[-1]]
    place[path[-1]] = changed(old)
    return copied, old, place[path[-1]]


def generated(stack: str) -> list[tuple[Registered, tuple[str | int, ...]]]:
    source = random.Random(f"{SEED} {stack}")
    candidates = [item for item in deploy_platform(stack).resources if any(paths(item.inputs))]
    return [(item, source.choice(list(paths(item.inputs)))) for item in source.sample(candidates, CHANGES)]


@pytest.mark.parametrize("stack", ["small", "full"])
def test_no_generated_change_disappears(stack: str) -> None:
    chosen = generated(stack)
    steps: list[dict[str, Any]] = []
    expected: dict[str, tuple[str, Any, Any]] = {}
    for item, path in chosen:
        new, old_value, new_value = with_change(item.inputs, path)
        expected[item.urn] = (str(path[0]), old_value, new_value)
        sources = {key: sorted(urns) for key, urns in item.sources.items()}
        steps.append({**step(item.type, item.inputs, new, sources=sources), "urn": item.urn})
        for side in ("oldState", "newState"):
            steps[-1][side]["urn"] = item.urn
    written = document.document(model.build(read(*steps)))
    assert written["counts"]["update"] == CHANGES
    found = {change["urn"]: change["properties"] for change in written["changes"]}
    assert found.keys() == expected.keys()
    for urn, (top, old, new) in expected.items():
        (path, values) = next(iter(found[urn].items()))
        assert len(found[urn]) == 1, f"{urn}: one property changed, and the report has {list(found[urn])}"
        assert path.startswith(top)
        assert (values["old"], values["new"]) == (old, new) or str(old) in str(values["old"]), urn
