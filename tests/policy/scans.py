"""The fixture stacks in the form of a state, and Checkov's findings on them."""

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

import yaml
from pulumi.runtime.proto import provider_pb2, resource_pb2

from policy import exceptions, production
from policy.rule import Resource, Stack, is_list, is_map
from policy.rules import NAMES
from policy.scan.checkov import FRAMEWORKS, Report, report, run, write
from policy.scan.manifests import Manifests, manifests
from policy.scan.plan import Plan, State, logical_name, plan
from policy.secrets import without_secrets
from sandbox import tools, values
from sandbox.construct import Component
from sandbox.eks import _Cluster  # pyright: ignore[reportPrivateUsage]
from sandbox.kubernetes import helm
from sandbox.rpc import from_struct, to_struct
from settings import REQUIRED_TAGS
from tests.policy.stacks import TODAY, USERS_FILES, boundary_of, stack_of, stack_state, users_graph
from tests.run import once, read_only
from tests.unit.harness import ROOT, SECRET, Graph, Registered, platform

CHART = "kubernetes:helm.sh/v4:Chart"
CONFIG_GROUP = "kubernetes:yaml/v2:ConfigGroup"
EKS_CLUSTER = "eks:index:Cluster"

FORKS = Path(__file__).with_name("forks.py")

SECRET_VALUE = {values.SIGNATURE: values.SECRET, "ciphertext": "v1:AAAA:BBBB"}
"""The form of a secret in a state."""


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


@functools.cache
def fixture_state(stack: str) -> list[State]:
    """A fixture stack, read-only. It also contains the children that the simulated components register."""
    return read_only(once(f"state-{stack}", lambda: state_of(platform(stack))))


def state_of(graph: Graph) -> list[State]:
    """The parts of `pulumi stack export` that a scan reads, for a graph."""
    by_urn = {item.urn: item for item in graph.resources}
    providers = {item.name: f"{item.urn}::{item.id}" for item in graph.of("pulumi:providers:aws")}
    state: list[State] = [stack_state(graph)]
    state += [
        {
            "urn": item.urn,
            "type": item.type,
            "id": item.id,
            "provider": providers.get(item.provider, ""),
            "inputs": _sealed(item.inputs),
            "propertyDependencies": {name: sorted(urns) for name, urns in item.sources.items()},
        }
        for item in graph.resources
    ]
    for item in graph.of(EKS_CLUSTER):
        # The mocks do not show which provider a component passes to its children. It is the one of its VPC.
        neighbour = by_urn[min(item.sources["vpcId"])]
        component = _Children(item, providers[neighbour.provider])
        with component:
            _Cluster(component).build()
        state += component.state
    return [*state, *_children_of_charts(graph)]


def _children_of_charts(graph: Graph) -> Iterator[State]:
    """The objects that the Kubernetes provider registers for a chart or a group of files."""
    for item in graph.of(CHART):
        values = json.dumps(item.inputs["values"])
        given = (item.inputs["name"], item.inputs["chart"], f"--namespace={item.inputs['namespace']}")
        yield from _objects(item, helm.run("template", *given, "--values=-", program=ROOT, given=values))
    for item in graph.of(CONFIG_GROUP):
        for pattern in item.inputs["files"]:
            for path in sorted(ROOT.glob(pattern)):
                yield from _objects(item, path.read_text())


def _objects(parent: Registered, text: str) -> Iterator[State]:
    for document in filter(None, yaml.load_all(text, yaml.CSafeLoader)):
        metadata, version = document["metadata"], document["apiVersion"]
        token = f"kubernetes:{version if '/' in version else f'core/{version}'}:{document['kind']}"
        name = f"{metadata['namespace']}/{metadata['name']}" if "namespace" in metadata else metadata["name"]
        yield {
            "urn": f"{parent.urn.rpartition('::')[0]}${token}::{parent.name}:{name}",
            "type": token,
            "id": name,
            "inputs": document,
        }


class _Children(Component):
    """Records what the EKS component registers in a preview that knows no outputs."""

    def __init__(self, component: Registered, provider: str) -> None:
        self.state: list[State] = []
        self._urn, self._provider = component.urn, provider
        self._role_inputs = component.role_inputs
        super().__init__(
            provider_pb2.ConstructRequest(
                type=component.type,
                name=component.name,
                inputs=to_struct(component.inputs),
                dryRun=True,
                monitorEndpoint="localhost:0",  # nothing listens at this address, and nothing is sent
            )
        )

    def _register(
        self, request: resource_pb2.RegisterResourceRequest
    ) -> resource_pb2.RegisterResourceResponse:
        if request.type == EKS_CLUSTER:  # the component itself, which the graph has
            return resource_pb2.RegisterResourceResponse(urn=self._urn)
        urn = f"{request.parent.rpartition('::')[0]}${request.type}::{request.name}"
        item: State = {"urn": urn, "type": request.type}
        if request.custom:
            item = item | {
                "id": request.name,
                "provider": self._provider,
                "inputs": values.plain_properties(from_struct(request.object))
                | (self._role_inputs if request.type == "aws:iam/role:Role" else {}),
                "propertyDependencies": {
                    name: list(dependencies.urns)
                    for name, dependencies in request.propertyDependencies.items()
                },
            }
        self.state.append(item)
        return resource_pb2.RegisterResourceResponse(urn=urn, id=request.name)


def _sealed(value: Any) -> Any:
    """Inputs, with secrets in the form of a state."""
    if is_map(value):
        return {key: _sealed(item) for key, item in value.items()}
    if is_list(value):
        return [_sealed(item) for item in value]
    return SECRET_VALUE if value == SECRET else value


@functools.cache
def whole(stack: str) -> Stack:
    """A fixture stack with the resources that only the engine knows."""
    return with_children(platform(stack), boundary_of(stack))


def with_children(graph: Graph, permissions_boundary: str = "") -> Stack:
    """The resources of a graph, and those that only the engine knows: the children of other components."""
    known = {item.urn for item in graph.resources}
    is_production = production.by_state([stack_state(graph)])
    tags = {"defaultTags": {"tags": dict.fromkeys((*REQUIRED_TAGS, "environment"), "a")}}
    children = [
        Resource(
            type=item["type"],
            name=logical_name(item),
            urn=item["urn"],
            properties=without_secrets(item.get("inputs", {})),
            provider=tags,
            protect=False,
            sources={},
            is_production=is_production,
            permissions_boundary=permissions_boundary,
            is_component="id" not in item,
        )
        for item in state_of(graph)
        if item["urn"] not in known
    ]
    return Stack([*stack_of(graph, permissions_boundary).resources, *children])


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
