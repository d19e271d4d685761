"""Checkov's findings on the fixture stacks and on the stack files."""

from __future__ import annotations

import ast
import functools
import json
import re
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from policy import exceptions
from policy.rule import Resource, is_list, is_map
from policy.rules import NAMES
from policy.scan.checkov import FRAMEWORKS, Report, report, run, write
from policy.scan.manifests import Manifests, manifests
from policy.scan.plan import Plan, State, plan
from sandbox import tools
from tests.policy.stacks import TODAY, USERS_FILES, users_graph
from tests.policy.states import state_of
from tests.run import once

FORKS = Path(__file__).with_name("forks.py")


@dataclass(frozen=True)
class Scan:
    """A plan and manifests, and Checkov's findings on them."""

    plan: Plan
    manifests: Manifests
    report: Report

    def findings(self) -> list[tuple[str, Resource]]:
        """Check and resource of everything that fails, whether excepted or not."""
        resources = {**self.plan.resources, **self.manifests.resources}
        return [(r.check, resources[r.address]) for r in self.report.results if not r.passed]

    def failed(self) -> set[tuple[str, str]]:
        """Check and logical name of everything that fails."""
        return {(check, resource.name) for check, resource in self.findings()}

    def unexplained(self) -> list[str]:
        """Failures for which no valid exception exists."""
        entries = exceptions.load(known_rules=NAMES)
        return [
            f"{check}: {resource.type} {resource.name}"
            for check, resource in self.findings()
            if exceptions.judged(entries, check, resource, "", TODAY)
        ]


def scan(states: Mapping[str, list[State]]) -> dict[str, Scan]:
    """Runs Checkov on states, by name."""
    parts = {name: (plan(state), manifests(state)) for name, state in states.items()}
    with tempfile.TemporaryDirectory() as home, tempfile.TemporaryDirectory() as parent:
        folders = {name: Path(parent) / name for name in states}
        for name, (made, objects) in parts.items():
            folders[name].mkdir()
            write(folders[name], made.document, objects.documents)
        done = run([str(FORKS), str(FRAMEWORKS), *map(str, folders.values())], Path(home))
        assert done.returncode == 0, done.stderr
        found = {
            name: json.loads(folder.with_suffix(".json").read_text()) for name, folder in folders.items()
        }
    return {
        name: Scan(made, objects, report(found[name], made.document, objects.documents))
        for name, (made, objects) in parts.items()
    }


@functools.cache
def users_scans() -> dict[str, Scan]:
    """The scans of the project's stack files, by the name of the stack."""
    return once("users-scans", lambda: scan({stack: state_of(users_graph(stack)) for stack in USERS_FILES}))


@dataclass(frozen=True)
class Check:
    """One of Checkov's checks, for one Terraform type."""

    id: str
    type: str
    source: str
    """Path of its file in Checkov's repository, and also in `.tools/checkov`."""

    @property
    def is_of_one_resource(self) -> bool:
        """Whether it checks only a resource itself, and not its connections to other resources."""
        return "/checks/resource/" in self.source

    def attributes(self) -> set[str]:
        """The names of the Terraform attributes that it reads."""
        path = tools.checkov() / self.source
        text = path.read_text()
        names = _of_code(text) if path.suffix == ".py" else _of_query(json.loads(text), self.type)
        return {name for name in names if re.fullmatch("[a-z][a-z0-9_]*", name)}


def checks() -> list[Check]:
    """All checks of AWS resources, from `checkov --list`."""
    with tempfile.TemporaryDirectory() as folder:
        done = run(
            ["-m", "checkov.main", "--list", "--framework", "terraform", "--skip-download"], Path(folder)
        )
    rows = [[cell.strip() for cell in line.split("|")] for line in done.stdout.splitlines()]
    return [
        Check(row[2], row[4], row[7].partition("/blob/main/")[2])
        for row in rows
        if len(row) > 7 and row[4].startswith("aws_")
    ]


def _of_code(text: str) -> set[str]:
    """Strings that a Python check looks up: `conf.get("x")`, `conf["x"]`, `"x" in conf`, and its key."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(text)):
        match node:
            case ast.Call(func=ast.Attribute(attr="get"), args=[ast.Constant(value=str(name)), *_]):
                found.add(name)
            case ast.Subscript(slice=ast.Constant(value=str(name))):
                found.add(name)
            case ast.Compare(left=ast.Constant(value=str(name)), ops=[ast.In() | ast.NotIn()]):
                found.add(name)
            case ast.FunctionDef(name="get_inspected_key" | "get_excluded_key"):
                returns = [item.value for item in ast.walk(node) if isinstance(item, ast.Return)]
                for item in returns:
                    if isinstance(item, ast.Constant) and isinstance(item.value, str):
                        found.update(item.value.split("/"))
            case _:
                pass
    return found


def _of_query(query: Any, kind: str) -> Iterator[str]:
    """The attributes of one type that a check over several resources reads."""
    if is_map(query):
        if query.get("cond_type") == "attribute" and kind in query.get("resource_types", []):
            yield from str(query["attribute"]).split(".")
        for item in query.values():
            yield from _of_query(item, kind)
    elif is_list(query):
        for item in query:
            yield from _of_query(item, kind)
