"""Implements components: reads a `Construct` request, and registers resources for it.

The official component providers use an SDK for this. Its resource options are resolved on an event loop, on
which a blocking call to the engine (which can call the same provider back) would hang. Plain calls don't.
"""

# The gRPC stubs have no types.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

import grpc
from pulumi.runtime.proto import provider_pb2, resource_pb2, resource_pb2_grpc

from sandbox import values
from sandbox.rpc import CHANNEL_OPTIONS, Provider, ProviderError, from_struct, to_struct
from sandbox.values import UNKNOWN, Properties


@dataclass(frozen=True)
class Output:
    """A value with the metadata that the engine needs.

    Attributes:
        value: a plain value, with `UNKNOWN` at any depth for values that aren't known yet.
        dependencies: URNs of the resources that the value comes from.
        secret: whether the value is or contains a secret.
    """

    value: Any
    dependencies: frozenset[str] = frozenset()
    secret: bool = False

    def map(self, function: Callable[[Any], Any]) -> Output:
        """The function's result, or unknown if any part of the value is unknown."""
        result = UNKNOWN if values.has_unknown(self.value) else function(self.value)
        return Output(result, self.dependencies, self.secret)

    def __getitem__(self, key: str) -> Output:
        """A property of an object, or `None` if it isn't set."""
        return Output(
            self.value.get(key) if values.is_dict(self.value) else self.value, self.dependencies, self.secret
        )


def combine(value: object) -> Output:
    """Combines a structure that contains outputs into one output. Properties that are `None` are left out."""
    if isinstance(value, Output):
        return value
    if values.is_dict(value):
        parts = {key: combine(item) for key, item in value.items()}
        outputs = list(parts.values())
        result: Any = {key: part.value for key, part in parts.items() if part.value is not None}
    elif isinstance(value, list | tuple):
        outputs = [combine(item) for item in value]  # pyright: ignore[reportUnknownArgumentType]
        result = [part.value for part in outputs]
    else:
        return Output(value)
    return Output(
        result,
        frozenset[str]().union(*(part.dependencies for part in outputs)),
        any(part.secret for part in outputs),
    )


@dataclass(frozen=True)
class Registered:
    """A resource that has been registered with the engine."""

    urn: str
    id: str
    _state: Properties = field(repr=False)
    _preview: bool = False

    def output(self, name: str) -> Output:
        """An output property. In a preview, it is unknown if the provider doesn't return it."""
        missing = UNKNOWN if self._preview else None
        raw = self._state.get(name, missing)
        return Output(values.plain(raw), frozenset({self.urn}), values.has_secret(raw))

    @property
    def reference(self) -> Output:
        """A reference to the resource, for an input of another one."""
        return Output(values.reference(self.urn, self.id or UNKNOWN), frozenset({self.urn}))


class ComponentProvider(Provider):
    """A provider with components, which must accept secrets and outputs from the engine."""

    def Handshake(self, request: Any, context: Any) -> provider_pb2.ProviderHandshakeResponse:  # noqa: N802
        """Tells the engine to send secrets and outputs wrapped."""
        response = super().Handshake(request, context)
        response.accept_secrets = True
        response.accept_outputs = True
        return response


class Component:
    """The component of a `Construct` request. As a context manager, it closes its connection to the engine.

    Attributes:
        arguments: the component's inputs by name.
        urn: the component's URN.
    """

    def __init__(self, request: provider_pb2.ConstructRequest) -> None:
        """Registers the component itself, without its children."""
        self.request = request
        self.name: str = request.name
        self.preview: bool = request.dryRun
        raw = from_struct(request.inputs)
        self.arguments = {
            name: Output(
                values.plain(value),
                frozenset(request.inputDependencies[name].urns if name in request.inputDependencies else ())
                | values.dependencies(value),
                values.has_secret(value),
            )
            for name, value in raw.items()
        }
        self._channel = grpc.insecure_channel(request.monitorEndpoint, options=CHANNEL_OPTIONS)
        self._monitor = resource_pb2_grpc.ResourceMonitorStub(self._channel)
        self.urn: str = self._register(
            resource_pb2.RegisterResourceRequest(
                type=request.type,
                name=request.name,
                parent=request.parent,
                dependencies=request.dependencies,
                providers=request.providers,
                protect=request.protect,
                retainOnDelete=request.retainOnDelete,
                deletedWith=request.deletedWith,
                aliases=request.aliases,
            )
        ).urn

    def __enter__(self) -> Component:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._channel.close()

    def argument(self, name: str) -> Output:
        """An input of the component. Its value is `None` if the program doesn't set it."""
        return self.arguments.get(name, Output(None))

    def register(
        self,
        type_token: str,
        name: str,
        inputs: Mapping[str, object],
        *,
        parent: str = "",
        version: str = "",
        depends_on: Iterable[str] = (),
        ignore_changes: Iterable[str] = (),
        retain_on_delete: bool = False,
    ) -> Registered:
        """Registers a resource below the component and waits until the engine has done its work.

        Args:
            type_token: the resource's type. It uses the component's provider for the type's package.
            name: the resource's logical name.
            inputs: can contain `Output`s at any depth. Properties that are `None` are left out.
            parent: URN of the parent, if it isn't the component.
            version: the SDK's version, for the default provider.
            depends_on: URNs, in addition to the dependencies of the inputs.
            ignore_changes: like the resource option.
            retain_on_delete: like the resource option.
        """
        package = type_token.split(":")[0]
        outputs = {key: combine(value) for key, value in inputs.items()}
        outputs = {key: output for key, output in outputs.items() if output.value is not None}
        every = frozenset(depends_on).union(*(output.dependencies for output in outputs.values()))
        answer = self._register(
            resource_pb2.RegisterResourceRequest(
                type=type_token,
                name=name,
                parent=parent or self.urn,
                custom=True,
                object=to_struct({key: _wrap(output) for key, output in outputs.items()}),
                dependencies=sorted(every),
                propertyDependencies={
                    key: resource_pb2.RegisterResourceRequest.PropertyDependencies(
                        urns=sorted(output.dependencies)
                    )
                    for key, output in outputs.items()
                },
                provider="" if package == "pulumi" else self.request.providers.get(package, ""),
                version=version,
                protect=self.request.protect,
                ignoreChanges=list(ignore_changes),
                retainOnDelete=retain_on_delete,
            )
        )
        return Registered(answer.urn, answer.id, from_struct(answer.object), self.preview)

    def register_component(self, type_token: str, name: str) -> str:
        """Registers a component below this one and returns its URN."""
        return self._register(
            resource_pb2.RegisterResourceRequest(
                type=type_token, name=name, parent=self.urn, protect=self.request.protect
            )
        ).urn

    def _register(
        self, request: resource_pb2.RegisterResourceRequest
    ) -> resource_pb2.RegisterResourceResponse:
        request.acceptSecrets = True
        request.acceptResources = True
        request.supportsPartialValues = True
        try:
            return self._monitor.RegisterResource(request)
        except grpc.RpcError as error:
            detail = error.details() if isinstance(error, grpc.Call) else error
            raise ProviderError(f"{request.type} {request.name}: {detail}") from error

    def finish(self, outputs: Mapping[str, object]) -> provider_pb2.ConstructResponse:
        """Registers the component's outputs and returns the response to the request."""
        combined = {name: combine(value) for name, value in outputs.items()}
        state = to_struct(
            {name: _wrap(output) for name, output in combined.items() if output.value is not None}
        )
        self._monitor.RegisterResourceOutputs(
            resource_pb2.RegisterResourceOutputsRequest(urn=self.urn, outputs=state)
        )
        return provider_pb2.ConstructResponse(
            urn=self.urn,
            state=state,
            stateDependencies={
                name: provider_pb2.ConstructResponse.PropertyDependencies(urns=sorted(output.dependencies))
                for name, output in combined.items()
            },
        )


def _wrap(output: Output) -> Any:
    return values.secret(output.value) if output.secret else output.value
