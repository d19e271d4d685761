"""The base of the sandbox's providers, which translates between gRPC and plain Python values.

A provider answers `Configure` without `acceptSecrets`, `acceptResources` and `acceptOutputs`. The engine then
removes those wrappers before a call, and restores secrets by property name after it, so providers work on
plain `dict`s. A value that isn't known yet is the string `UNKNOWN`. Source: `proto/pulumi/provider.proto`.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

import grpc
from google.protobuf import empty_pb2, json_format, struct_pb2
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc

from sandbox.folder import SandboxError
from sandbox.sdk_schema import names_secret
from sandbox.values import Properties

_MAX_MESSAGE_BYTES = 400 * 1024 * 1024
CHANNEL_OPTIONS = [
    ("grpc.max_receive_message_length", _MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", _MAX_MESSAGE_BYTES),
]
"""The engine's own limit (`rpcutil.GrpcChannelOptions`)."""

SERVER_THREADS = 64
"""Number of threads. A Construct call blocks its thread while the engine calls the same server back. Threads
are only started when needed."""

_T = TypeVar("_T")


@dataclass(frozen=True)
class CheckFailure:
    """A wrong input: the property's path, which can be empty, and the reason."""

    property: str
    reason: str


@dataclass
class Difference:
    """The result of a `Diff`.

    Attributes:
        changes: path (`tags.Name`, `rules[0].port`) → `add`, `delete` or `update`. The paths in
            `replaces` are reported with the corresponding `-replace` kind.
        replaces: the paths that force a replacement.
        delete_before_replace: whether the old resource must be deleted first, because a fixed name must be
            unique.
    """

    changes: dict[str, str] = field(default_factory=dict[str, str])
    replaces: set[str] = field(default_factory=set[str])
    delete_before_replace: bool = False


class ProviderError(Exception):
    """Raised for an operation that the real service would reject. The user sees the text unchanged."""


def from_struct(struct: struct_pb2.Struct) -> Properties:
    """Converts a protobuf struct to plain values. Whole numbers become `int`."""
    return {key: _from_value(value) for key, value in struct.fields.items()}


def _from_value(value: struct_pb2.Value) -> Any:
    match value.WhichOneof("kind"):
        case "number_value":
            number = value.number_value
            return int(number) if number.is_integer() else number
        case "string_value":
            return value.string_value
        case "bool_value":
            return value.bool_value
        case "struct_value":
            return from_struct(value.struct_value)
        case "list_value":
            return [_from_value(item) for item in value.list_value.values]
        case _:
            return None


def invoke_response(result: Mapping[str, Any]) -> provider_pb2.InvokeResponse:
    """The response to an invoke. Its field is named `return`, which can't be a keyword argument."""
    response = provider_pb2.InvokeResponse()
    getattr(response, "return").CopyFrom(to_struct(result))
    return response


def to_struct(properties: Mapping[str, Any]) -> struct_pb2.Struct:
    """Converts plain values to a protobuf struct."""
    return json_format.ParseDict(dict(properties), struct_pb2.Struct())


def urn_type(urn: str) -> str:
    """The resource's type token, which is the last `$`-separated part of the URN's types."""
    return urn.split("::")[2].rsplit("$", 1)[-1]


def urn_name(urn: str) -> str:
    """The resource's logical name."""
    return urn.split("::", 3)[3]


_KINDS = {
    "add": (provider_pb2.PropertyDiff.ADD, provider_pb2.PropertyDiff.ADD_REPLACE),
    "delete": (provider_pb2.PropertyDiff.DELETE, provider_pb2.PropertyDiff.DELETE_REPLACE),
    "update": (provider_pb2.PropertyDiff.UPDATE, provider_pb2.PropertyDiff.UPDATE_REPLACE),
}


@dataclass(frozen=True)
class Call:
    """An operation on one resource. Each kind of operation only sets some of the attributes.

    Attributes:
        config: the configuration that `Configure` received on the same connection.
        inputs: the new inputs; for `read` and `delete` the last inputs, which are empty for an import.
        outputs: the last outputs.
        seed: random bytes for names, which are the same at preview and deployment.
    """

    config: Properties
    urn: str
    id: str = ""
    inputs: Properties = field(default_factory=Properties)
    old_inputs: Properties = field(default_factory=Properties)
    outputs: Properties = field(default_factory=Properties)
    preview: bool = False
    seed: bytes = b""
    ignore_changes: tuple[str, ...] = ()

    @property
    def type(self) -> str:
        """The resource's type token."""
        return urn_type(self.urn)

    @property
    def name(self) -> str:
        """The resource's logical name."""
        return urn_name(self.urn)


class Provider(provider_pb2_grpc.ResourceProviderServicer):
    """A resource provider over plain values. Subclasses override the lower-case methods.

    All provider resources of a program, such as one for each region and cluster, attach to the same server,
    each with its own connection.
    """

    name: str
    version: str

    def __init__(self) -> None:
        self._configs: dict[str, Properties] = {}

    # -- methods for subclasses ----------------------------------------------------------------

    def check_config(self, news: Properties) -> list[CheckFailure]:
        """Validates the provider's own inputs."""
        return []

    def check(self, call: Call) -> tuple[Properties, list[CheckFailure]]:
        """Returns the inputs with defaults and automatic names, and the problems with them."""
        raise NotImplementedError

    def diff(self, call: Call) -> Difference:
        """Returns the changes, and which of them force a replacement."""
        raise NotImplementedError

    def create(self, call: Call) -> tuple[str, Properties]:
        """Creates the resource and returns its id and outputs.

        At preview, the id is empty, and outputs that aren't known yet are `UNKNOWN`.
        """
        raise NotImplementedError

    def read(self, call: Call) -> tuple[Properties, Properties] | None:
        """Returns the current inputs and outputs, or `None` if the resource no longer exists."""
        raise NotImplementedError

    def update(self, call: Call) -> Properties:
        """Updates the resource and returns its outputs. At preview, unknown outputs are `UNKNOWN`."""
        raise NotImplementedError

    def delete(self, call: Call) -> None:
        """Deletes the resource. It isn't an error if it is already deleted."""
        raise NotImplementedError

    def take_back(self, call: Call, known: set[str]) -> None:
        """Undoes a `create` whose response never reached the engine, because everything was killed.

        The resource may not exist. `known` are the ids that the state has for the URN, which must be kept.
        """

    def invoke(self, config: Properties, token: str, args: Properties) -> Properties:
        """Calls a function and returns its result."""
        raise NotImplementedError

    def construct(
        self, config: Properties, request: provider_pb2.ConstructRequest
    ) -> provider_pb2.ConstructResponse:
        """Registers a component and its children."""
        raise NotImplementedError

    # -- the protocol --------------------------------------------------------------------------

    def _config(self, context: grpc.ServicerContext) -> Properties:
        return self._configs.get(context.peer(), {})

    def _call(self, request: Any, context: grpc.ServicerContext, **values: Any) -> Call:
        for key, value in values.items():
            if isinstance(value, struct_pb2.Struct):
                values[key] = from_struct(value)
        return Call(self._config(context), request.urn, **values)

    def _guard(self, context: grpc.ServicerContext, work: Callable[[], _T]) -> _T:
        try:
            return work()
        except (ProviderError, SandboxError) as error:
            context.abort(grpc.StatusCode.UNKNOWN, str(error))
        except Exception as error:
            # A bug in the sandbox must be recognizable, and not look like an error from AWS.
            context.abort(
                grpc.StatusCode.INTERNAL,
                f"sandbox {self.name} provider failed: {error!r}\n{traceback.format_exc()}",
            )
        raise AssertionError("context.abort raises")

    def Handshake(self, request: Any, context: Any) -> provider_pb2.ProviderHandshakeResponse:
        return provider_pb2.ProviderHandshakeResponse()

    def Attach(self, request: Any, context: Any) -> empty_pb2.Empty:
        return empty_pb2.Empty()

    def Cancel(self, request: Any, context: Any) -> empty_pb2.Empty:
        return empty_pb2.Empty()

    def GetPluginInfo(self, request: Any, context: Any) -> plugin_pb2.PluginInfo:
        return plugin_pb2.PluginInfo(version=self.version)

    def GetSchema(self, request: Any, context: Any) -> provider_pb2.GetSchemaResponse:
        return provider_pb2.GetSchemaResponse(schema="{}")

    def CheckConfig(self, request: Any, context: Any) -> provider_pb2.CheckResponse:
        failures = self._guard(context, lambda: self.check_config(from_struct(request.news)))
        return provider_pb2.CheckResponse(inputs=request.news, failures=_failures(failures))

    def DiffConfig(self, request: Any, context: Any) -> provider_pb2.DiffResponse:
        return diff_response(plain_difference(from_struct(request.old_inputs), from_struct(request.news)))

    def Configure(self, request: Any, context: Any) -> provider_pb2.ConfigureResponse:
        self._configs[context.peer()] = from_struct(request.args)
        return provider_pb2.ConfigureResponse(supportsPreview=True)

    def Check(self, request: Any, context: Any) -> provider_pb2.CheckResponse:
        call = self._call(
            request, context, old_inputs=request.olds, inputs=request.news, seed=request.randomSeed
        )
        inputs, failures = self._guard(context, lambda: self.check(call))
        return provider_pb2.CheckResponse(inputs=to_struct(inputs), failures=_failures(failures))

    def Diff(self, request: Any, context: Any) -> provider_pb2.DiffResponse:
        call = self._call(
            request,
            context,
            id=request.id,
            old_inputs=request.old_inputs,
            outputs=request.olds,
            inputs=request.news,
            ignore_changes=tuple(request.ignoreChanges),
        )
        return diff_response(self._guard(context, lambda: self.diff(call)))

    def Create(self, request: Any, context: Any) -> provider_pb2.CreateResponse:
        call = self._call(request, context, inputs=request.properties, preview=request.preview)
        identifier, outputs = self._guard(context, lambda: self.create(call))
        return provider_pb2.CreateResponse(id=identifier, properties=to_struct(outputs))

    def Read(self, request: Any, context: Any) -> provider_pb2.ReadResponse:
        call = self._call(request, context, id=request.id, inputs=request.inputs, outputs=request.properties)
        found = self._guard(context, lambda: self.read(call))
        if found is None:
            return provider_pb2.ReadResponse()
        inputs, outputs = map(to_struct, found)
        return provider_pb2.ReadResponse(id=request.id, inputs=inputs, properties=outputs)

    def Update(self, request: Any, context: Any) -> provider_pb2.UpdateResponse:
        call = self._call(
            request,
            context,
            id=request.id,
            old_inputs=request.old_inputs,
            outputs=request.olds,
            inputs=request.news,
            preview=request.preview,
        )
        outputs = self._guard(context, lambda: self.update(call))
        return provider_pb2.UpdateResponse(properties=to_struct(outputs))

    def Delete(self, request: Any, context: Any) -> empty_pb2.Empty:
        call = self._call(
            request, context, id=request.id, inputs=request.old_inputs, outputs=request.properties
        )
        self._guard(context, lambda: self.delete(call))
        return empty_pb2.Empty()

    def Invoke(self, request: Any, context: Any) -> provider_pb2.InvokeResponse:
        config, args = self._config(context), from_struct(request.args)
        return invoke_response(self._guard(context, lambda: self.invoke(config, request.tok, args)))

    def Construct(self, request: Any, context: Any) -> provider_pb2.ConstructResponse:
        config = self._config(context)
        return self._guard(context, lambda: self.construct(config, request))


def plain_difference(old: Any, new: Any, path: str = "") -> Difference:
    """All paths at which two plain values differ, in Pulumi's path syntax."""
    difference = Difference()
    _compare(old, new, path, difference.changes)
    return difference


def _compare(old: Any, new: Any, path: str, changes: dict[str, str]) -> None:
    if old == new:
        return
    if isinstance(old, dict) and isinstance(new, dict):
        before, after = cast(dict[Any, Any], old), cast(dict[Any, Any], new)
        steps: dict[Any, str] = {
            key: f'["{key}"]' if "." in key or "/" in key else f".{key}" if path else key
            for key in {**before, **after}
        }
    elif isinstance(old, list) and isinstance(new, list):
        before: dict[Any, Any] = dict(enumerate(cast(list[Any], old)))
        after: dict[Any, Any] = dict(enumerate(cast(list[Any], new)))
        steps = {index: f"[{index}]" for index in {**before, **after}}
    else:
        changes[path] = "update"
        return
    for key, step in steps.items():
        if key not in after:
            changes[path + step] = "delete"
        elif key not in before:
            changes[path + step] = "add"
        else:
            _compare(before[key], after[key], path + step, changes)


def _failures(failures: Iterable[CheckFailure]) -> list[provider_pb2.CheckFailure]:
    # The engine shows the value of the property that a failure names, so secret ones are not named.
    return [
        provider_pb2.CheckFailure(property="" if names_secret(f.property) else f.property, reason=f.reason)
        for f in failures
    ]


def diff_response(difference: Difference) -> provider_pb2.DiffResponse:
    """Converts a difference to the protocol's response."""
    some, none = provider_pb2.DiffResponse.DIFF_SOME, provider_pb2.DiffResponse.DIFF_NONE
    response = provider_pb2.DiffResponse(
        changes=some if difference.changes else none,
        replaces=sorted(difference.replaces),
        diffs=sorted({path.split(".")[0].split("[")[0] for path in difference.changes}),
        deleteBeforeReplace=difference.delete_before_replace,
        hasDetailedDiff=True,
    )
    for path, kind in difference.changes.items():
        plain, replacing = _KINDS[kind]
        response.detailedDiff[path].kind = replacing if path in difference.replaces else plain
    return response


def serve(servicer: Any, add: Callable[[Any, grpc.Server], None]) -> tuple[grpc.Server, int]:
    """Starts a servicer on a free loopback port. The caller must stop the returned server."""
    server = grpc.server(  # pyright: ignore[reportUnknownMemberType]
        ThreadPoolExecutor(SERVER_THREADS), options=[*CHANNEL_OPTIONS, ("grpc.so_reuseport", 0)]
    )
    add(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    return server, port
