"""Imports only those modules of the AWS and Kubernetes SDKs that the program uses, without their annotations.

`aws.ec2.Vpc` makes the SDK import all 182 modules of `pulumi_aws.ec2`. In total, this program would import
1,100 modules to use 120, which takes as long as everything else that it does. Two thirds of what those 120
still take evaluate type annotations, of which Pulumi reads few, and only later.
"""

from __future__ import annotations
import __future__

import ast
import importlib
import marshal
import os
import re
import struct
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from importlib.util import MAGIC_NUMBER, cache_from_source
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

_SDKS = ("pulumi_aws.", "pulumi_kubernetes.")

# All lines of a generated package that only collects its modules' names.
_LINE = re.compile(
    r"|#.*|import builtins as _builtins|import typing|from \.+ import (?:_utilities|outputs)"
    r"|from \.(\w+) import \*"
)
_EXPORTED = re.compile(r"^__all__ = \[([^\]]*)\]", re.MULTILINE)
_SHARED = ("_inputs", "_enums")
"""Modules with the types of all resources in the package. They are searched for names that no other has."""


def install() -> None:
    """Applies to packages that are imported after this call."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


class _Finder(MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if not fullname.startswith(_SDKS):
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec and type(spec.loader) is SourceFileLoader:
            kind = _Package if spec.submodule_search_locations else _Module
            spec.loader = kind(spec.loader.name, spec.loader.path)
        return spec


class _Package(SourceFileLoader):
    """Loads a package whose names are imported on first use.

    The SDK looks for all 250 packages, of which a program uses few. So the package is read only here.
    """

    def exec_module(self, module: ModuleType) -> None:
        folder = Path(module.__path__[0])
        lines = [_LINE.fullmatch(line) for line in Path(self.path).read_text().splitlines()]
        modules = [line[1] for line in lines if line and line[1]]
        if not all(lines) or not modules:
            super().exec_module(module)  # The package contains other statements.
            return
        homes: dict[str, str] = {}

        def find(name: str) -> Any:
            if name == "outputs" and (folder / "outputs.py").exists():
                return importlib.import_module(f"{module.__name__}.outputs")
            if not homes:
                homes.update(_names(folder, modules))
            candidates = [homes[name]] if name in homes else [m for m in _SHARED if m in modules]
            for candidate in candidates:
                found = importlib.import_module(f"{module.__name__}.{candidate}")
                if name in found.__all__:
                    value = getattr(found, name)
                    setattr(module, name, value)
                    return value
            raise AttributeError(f"module {module.__name__!r} has no attribute {name!r}")

        module.__getattr__ = find  # type: ignore[method-assign]


class _Module(SourceFileLoader):
    """Loads a module whose annotations stay text, as if it began with `from __future__ import annotations`.

    Pulumi evaluates an annotation when it needs the type (`typing.get_type_hints`), which can also be text.
    It never reads the fields of a `TypedDict`, which only serve type checkers, so these stay out.
    """

    def get_code(self, fullname: str) -> CodeType | None:
        """The compiled module, which is kept beside the one that Python itself would keep.

        It is kept even if PYTHONDONTWRITEBYTECODE is set, because these modules take seconds to compile. If
        the folder is read-only, the module is imported as usual.
        """
        source = Path(self.path)
        compiled = Path(cache_from_source(self.path, optimization="annotations"))
        status = source.stat()
        key = MAGIC_NUMBER + struct.pack("<qq", status.st_mtime_ns, status.st_size)
        if compiled.exists() and (data := compiled.read_bytes()).startswith(key):
            return marshal.loads(data[len(key) :])  # noqa: S302 (Python's own format of compiled modules)
        if not os.access(compiled.parent, os.W_OK):
            return super().get_code(fullname)
        flags = __future__.annotations.compiler_flag
        code = compile(_without_fields(source.read_bytes()), self.path, "exec", flags, dont_inherit=True)
        _replace(compiled, key + marshal.dumps(code))
        return code


def _without_fields(source: bytes) -> ast.Module:
    """The module with an empty body in each `TypedDict`."""
    tree = ast.parse(source)
    for it in tree.body:
        if isinstance(it, ast.ClassDef) and [ast.unparse(base) for base in it.bases] == ["TypedDict"]:
            it.body = [ast.copy_location(ast.Pass(), it)]
    return tree


def _replace(path: Path, data: bytes) -> None:
    """Writes a file that other processes may read or write at the same time."""
    own = path.with_suffix(f".{os.getpid()}")
    own.write_bytes(data)
    own.replace(path)


def _names(folder: Path, modules: list[str]) -> dict[str, str]:
    """Each exported name → the module that defines it."""
    found: dict[str, str] = {}
    for name in modules:
        if name not in _SHARED:
            with (folder / f"{name}.py").open() as file:
                start = file.read(4000)  # the list is above the first class
            exported = _EXPORTED.search(start)
            names = re.findall(r"'(\w+)'", exported[1]) if exported else []
            found |= dict.fromkeys(names, name)
    return found
