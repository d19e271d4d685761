"""The namespaces that a stack file can use: the platform's, the engine's and those of installed packages."""

from __future__ import annotations

import functools
import json
import pkgutil
from collections.abc import Iterable
from importlib.machinery import FileFinder
from pathlib import Path

from settings.errors import Problem, near
from settings.model import NAMESPACE

_PLUGIN = "pulumi-plugin.json"
"""File in a provider's Python package by which the engine finds its plugin (`pulumi-language-python`)."""


@functools.cache
def known_namespaces() -> frozenset[str]:
    """The known namespaces. Each installed provider package adds its own."""
    found = {NAMESPACE, "pulumi"}
    for module in pkgutil.iter_modules():
        if module.ispkg and isinstance(module.module_finder, FileFinder):
            plugin = Path(module.module_finder.path) / module.name / _PLUGIN
            if plugin.is_file():
                described = json.loads(plugin.read_text())
                if described.get("resource"):
                    found.add(described.get("name") or module.name.removeprefix("pulumi_").replace("_", "-"))
    return frozenset(found)


def foreign_keys(keys: Iterable[str]) -> list[Problem]:
    """Returns a problem for each key whose namespace is unknown, because nothing would read it."""
    known = sorted(known_namespaces())
    return [
        Problem(
            (key,),
            f"unknown namespace {namespace}; {near(namespace, known, '{}:')}known are {', '.join(known)}",
            "namespace",
        )
        for key in sorted(keys)
        if (namespace := key.split(":")[0]) not in known
    ]
