"""Shares values between the processes of a test run.

pytest-xdist runs the tests in several processes. If a value is slow to create and read-only, the first
process that needs it creates it. The other processes read it from a folder that exists as long as the run.
"""

from __future__ import annotations

import fcntl
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import yaml

from sandbox.values import is_dict, is_list

T = TypeVar("T")

_folder: list[Path] = []


def share(folder: Path) -> None:
    """Sets the folder of this run. It must exist, and each run has its own."""
    _folder[:] = [folder]


def once(name: str, make: Callable[[], T]) -> T:
    """Returns the result of `make`. Only one process of the run calls it.

    A failed call isn't stored. Outside a test run, nothing is stored.
    """
    if not _folder:
        return make()
    path = _folder[0] / name
    with path.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if path.exists():
            return pickle.loads(path.read_bytes())
        made = make()
        path.write_bytes(pickle.dumps(made))
        return made


class ReadOnlyError(TypeError):
    """A test tried to change a value that other tests also read."""


def _refuse(*_: Any, **__: Any) -> Any:
    raise ReadOnlyError("other tests read this value too; change a copy of it (copy.deepcopy)")


class _Dict(dict[Any, Any]):
    """A read-only dictionary. A copy or a pickle of it is a plain dictionary."""

    __setitem__ = __delitem__ = __ior__ = clear = pop = popitem = setdefault = update = _refuse

    def __reduce__(self) -> tuple[Any, ...]:
        return dict, (dict(self),)


class _List(list[Any]):
    """A read-only list. A copy or a pickle of it is a plain list."""

    __setitem__ = __delitem__ = __iadd__ = __imul__ = _refuse
    append = clear = extend = insert = pop = remove = reverse = sort = _refuse

    def __reduce__(self) -> tuple[Any, ...]:
        return list, (list(self),)


# PyYAML writes only the types that it knows.
yaml.SafeDumper.add_representer(_Dict, yaml.SafeDumper.represent_dict)
yaml.SafeDumper.add_representer(_List, yaml.SafeDumper.represent_list)


def read_only(value: Any) -> Any:
    """A copy of the value in which all dictionaries and lists are read-only, including those in tuples."""
    if is_dict(value):
        return _Dict({key: read_only(item) for key, item in value.items()})
    if is_list(value):
        return _List(map(read_only, value))
    if isinstance(value, tuple):
        return tuple[Any, ...](map(read_only, cast(tuple[Any, ...], value)))
    return value
