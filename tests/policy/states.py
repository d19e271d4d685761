"""The fixture stacks in the form of a state, as scans and checks of an account read it."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator, Sequence
from typing import Any

import yaml
from pulumi.runtime.proto import provider_pb2, resource_pb2

from policy import production
from policy.rule import Resource, Stack, is_list, is_map
from policy.scan.plan import State, logical_name
from policy.secrets import without_secrets
from sandbox import values
from sandbox.construct import Component
from sandbox.eks import _Cluster  # pyright: ignore[reportPrivateUsage]
from sandbox.kubernetes import helm
from sandbox.rpc import from_struct, to_struct
from settings import REQUIRED_TAGS
from tests.policy.stacks import boundary_of, stack_of, stack_state
from tests.run import once, read_only
from tests.unit.harness import ROOT, SECRET, Graph, Registered, platform

CHART = "kubernetes:helm.sh/v4:Chart"
CONFIG_GROUP = "kubernetes:yaml/v2:ConfigGroup"
EKS_CLUSTER = "eks:index:Cluster"

SECRET_VALUE = {values.SIGNATURE: values.SECRET, "ciphertext": "v1:AAAA:BBBB"}
"""The form of a secret in a state."""


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
    return with_children(platform(stack), fixture_state(stack), boundary_of(stack))


def with_children(graph: Graph, state: Sequence[State], permissions_boundary: str = "") -> Stack:
    """The resources of a graph, and those that only its state has: the children of other components."""
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
        for item in state
        if item["urn"] not in known
    ]
    return Stack([*stack_of(graph, permissions_boundary).resources, *children])
