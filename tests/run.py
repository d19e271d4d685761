"""What the processes of one test run share.

pytest-xdist runs the tests in several processes. What is slow to make and is only read is made by the first
process that asks for it, and the others take it from a folder that lives as long as the run.
"""

from __future__ import annotations

import fcntl
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

from sandbox.values import is_dict, is_list

T = TypeVar("T")

_folder: list[Path] = []


def share(folder: Path) -> None:
    """Names the folder of this run; it exists, and the run before had another."""
    _folder[:] = [folder]


def once(name: str, make: Callable[[], T]) -> T:
    """Returns what `make` returns, which one of all the processes of the run calls.

    Nothing is kept of a call that fails, nor outside a test run.
    """
    if not _folder:
        return make()
    path = _folder[0] / name
    with path.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            path.write_bytes(pickle.dumps(make()))
        return pickle.loads(path.read_bytes())


class ReadOnlyError(TypeError):
    """A test changed a value that other tests read as well."""


def _refuse(*_: Any, **__: Any) -> Any:
    raise ReadOnlyError("other tests read this value too; change a copy of it (copy.deepcopy)")


class _Dict(dict[Any, Any]):
    """A dictionary that can't be changed. A copy of it, or a pickle, is a plain dictionary."""

    __setitem__ = __delitem__ = __ior__ = clear = pop = popitem = setdefault = update = _refuse

    def __reduce__(self) -> tuple[Any, ...]:
        return dict, (dict(self),)


class _List(list[Any]):
    """A list that can't be changed. A copy of it, or a pickle, is a plain list."""

    __setitem__ = __delitem__ = __iadd__ = __imul__ = _refuse
    append = clear = extend = insert = pop = remove = reverse = sort = _refuse

    def __reduce__(self) -> tuple[Any, ...]:
        return list, (list(self),)


def read_only(value: Any) -> Any:
    """The value with every dictionary and list in it, tuples' too, replaced by one that can't be changed."""
    if is_dict(value):
        return _Dict({key: read_only(item) for key, item in value.items()})
    if is_list(value):
        return _List(map(read_only, value))
    if isinstance(value, tuple):
        return tuple[Any, ...](map(read_only, cast(tuple[Any, ...], value)))
    return value
