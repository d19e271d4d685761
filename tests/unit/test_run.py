"""Values that are shared between the processes of a test run, and read-only values."""

import copy
import json
import multiprocessing
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests import run
from tests.run import ReadOnlyError, once, read_only, share


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(run, "_folder", [])
    share(tmp_path)
    return tmp_path


def _made(folder: Path, name: str) -> str:
    """The value that a process gets. If the process creates the value itself, it adds a line to a file."""
    share(folder)

    def make() -> str:
        with (folder / "calls").open("a") as calls:
            calls.write("made\n")
        return f"{name}'s"

    return once("value", make)


def test_processes_of_a_run_make_a_value_once(folder: Path) -> None:
    arguments = [(folder, "first"), (folder, "second"), (folder, "third")]
    with multiprocessing.get_context("spawn").Pool(3) as processes:
        found = processes.starmap(_made, arguments)
    assert len(set(found)) == 1
    assert (folder / "calls").read_text() == "made\n"


def test_failure_is_not_kept(folder: Path) -> None:
    def fail() -> str:
        raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011 - raised above
        once("value", fail)
    assert once("value", lambda: "made") == "made"


CHANGES: list[Callable[[Any], Any]] = [
    lambda value: value.update(a=1),
    lambda value: value.pop("list"),
    lambda value: value.popitem(),
    lambda value: value.clear(),
    lambda value: value.setdefault("b", 1),
    lambda value: value.__setitem__("a", 1),
    lambda value: value.__delitem__("list"),
    lambda value: value.__ior__({"a": 1}),
    lambda value: value["list"].append(1),
    lambda value: value["list"].extend([1]),
    lambda value: value["list"].insert(0, 1),
    lambda value: value["list"].pop(),
    lambda value: value["list"].remove({"c": 1}),
    lambda value: value["list"].reverse(),
    lambda value: value["list"].sort(),
    lambda value: value["list"].clear(),
    lambda value: value["list"].__setitem__(0, 1),
    lambda value: value["list"].__delitem__(0),
    lambda value: value["list"].__iadd__([1]),
    lambda value: value["list"].__imul__(2),
    lambda value: value["list"][0].update(c=2),
]


@pytest.mark.parametrize("change", CHANGES)
def test_change_of_a_read_only_value_is_refused(change: Callable[[Any], Any]) -> None:
    plain = {"list": [{"c": 1}]}
    value = read_only(plain)
    with pytest.raises(ReadOnlyError, match="change a copy"):
        change(value)
    assert value == plain


def _unpickled(value: Any) -> Any:
    return pickle.loads(pickle.dumps(value))


@pytest.mark.parametrize("copied", [copy.deepcopy, _unpickled])
def test_copy_of_a_read_only_value_may_be_changed(copied: Callable[[Any], Any]) -> None:
    value = copied(read_only({"list": [{"c": 1}]}))
    value["list"][0]["c"] = 2
    value["list"].append(3)
    assert value == {"list": [{"c": 2}, 3]}


def test_read_only_value_is_written_as_a_plain_one() -> None:
    plain = {"list": [{"c": 1}], "text": "d"}
    assert yaml.safe_load(yaml.safe_dump(read_only(plain))) == plain
    assert json.loads(json.dumps(read_only(plain))) == plain
