"""Whose keys a stack file may have: ours, the engine's and those of the installed Pulumi packages."""

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
"""What a provider's Python package holds; the engine finds its plugin by it (`pulumi-language-python`)."""


@functools.cache
def known_namespaces() -> frozenset[str]:
    """What may stand before a key's colon. A provider's package that is added brings its own."""
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
    """A problem for each key whose namespace nobody has: nothing would read it."""
    known = sorted(known_namespaces())
    return [
        Problem(
            (key,),
            f"no such namespace {namespace}; {near(namespace, known, '{}:')}known are {', '.join(known)}",
            "namespace",
        )
        for key in sorted(keys)
        if (namespace := key.split(":")[0]) not in known
    ]
