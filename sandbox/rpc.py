"""The part that all stand-in providers share: gRPC on one side, plain Python values on the other.

A provider answers `Configure` without `acceptSecrets`, `acceptResources` and `acceptOutputs`. The
engine then strips those wrappers before a call and puts secrets back by property name after it, so
the code behind works on plain `dict`s. A value that is not known yet is the string `UNKNOWN`.
Source: `proto/pulumi/provider.proto`.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

import grpc
from google.protobuf import empty_pb2, json_format, struct_pb2
from pulumi.runtime.proto import (
    plugin_pb2,
    provider_pb2,
    provider_pb2_grpc,
)

UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
"""What the engine sends for a value that is known only after the deployment (`rpc.UnknownStringValue`)."""

MAX_MESSAGE_BYTES = 400 * 1024 * 1024
"""The engine's own limit (`rpcutil.GrpcChannelOptions`)."""

SERVER_THREADS = 64
"""A Construct holds its thread while the engine calls back on the same server; threads start lazily."""

Properties = dict[str, Any]
_T = TypeVar("_T")


@dataclass(frozen=True)
class CheckFailure:
    """One input that is wrong: the property's path (may be empty) and what is wrong with it."""

    property: str
    reason: str


@dataclass
class Difference:
    """What a `Diff` found, property path → kind of change.

    Attributes:
        changes: path (`tags.Name`, `rules[0].port`) → `add`, `delete` or `update`; the paths in
            `replaces` are reported with the matching `-replace` kind.
        replaces: those paths that force a replacement.
        delete_before_replace: the old one must go first (a fixed name can exist only once).
    """

    changes: dict[str, str] = field(default_factory=dict[str, str])
    replaces: set[str] = field(default_factory=set[str])
    delete_before_replace: bool = False


class ProviderError(Exception):
    """An operation that fails like the real service would; the text reaches the user as it is."""


def from_struct(struct: struct_pb2.Struct) -> Properties:
    """The plain value of a protobuf struct; whole numbers become `int`."""
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
    """The answer to an invoke; its field is called `return`, which no keyword argument can be."""
    response = provider_pb2.InvokeResponse()
    getattr(response, "return").CopyFrom(to_struct(result))
    return response


def to_struct(properties: Mapping[str, Any]) -> struct_pb2.Struct:
    """The protobuf struct of plain values."""
    return json_format.ParseDict(dict(properties), struct_pb2.Struct())


def urn_type(urn: str) -> str:
    """The resource's own type token: the last `$`-separated part of the URN's type chain."""
    return urn.split("::")[2].rsplit("$", 1)[-1]


def urn_name(urn: str) -> str:
    """The resource's logical name."""
    return urn.split("::", 3)[3]


_KINDS = {
    "add": (provider_pb2.PropertyDiff.ADD, provider_pb2.PropertyDiff.ADD_REPLACE),
    "delete": (provider_pb2.PropertyDiff.DELETE, provider_pb2.PropertyDiff.DELETE_REPLACE),
    "update": (provider_pb2.PropertyDiff.UPDATE, provider_pb2.PropertyDiff.UPDATE_REPLACE),
}


class Provider(provider_pb2_grpc.ResourceProviderServicer):
    """A resource provider over plain values. Subclasses override the lower-case methods.

    Every provider resource of a program (one per region, one per cluster) attaches to the same
    server, each over a connection of its own; `config` is what was given to `Configure` on the
    connection that the call came over.
    """

    name: str
    version: str

    def __init__(self) -> None:
        self._configs: dict[str, Properties] = {}

    # -- what a subclass overrides -------------------------------------------------------------

    def check_config(self, news: Properties) -> list[CheckFailure]:
        """Validates the provider's own inputs."""
        return []

    def check(
        self, config: Properties, urn: str, olds: Properties, news: Properties, seed: bytes
    ) -> tuple[Properties, list[CheckFailure]]:
        """The inputs with defaults and automatic names filled in, and what is wrong with them."""
        raise NotImplementedError

    def diff(
        self,
        config: Properties,
        urn: str,
        identifier: str,
        old_inputs: Properties,
        old_outputs: Properties,
        news: Properties,
        ignore_changes: list[str],
    ) -> Difference:
        raise NotImplementedError

    def create(
        self, config: Properties, urn: str, inputs: Properties, preview: bool
    ) -> tuple[str, Properties]:
        """Id and outputs; at preview the id is empty and outputs not known yet are `UNKNOWN`."""
        raise NotImplementedError

    def read(
        self, config: Properties, urn: str, identifier: str, inputs: Properties, outputs: Properties
    ) -> tuple[Properties, Properties] | None:
        """Current inputs and outputs, or `None` where it is gone; `inputs` is empty for an import."""
        raise NotImplementedError

    def update(
        self,
        config: Properties,
        urn: str,
        identifier: str,
        old_inputs: Properties,
        old_outputs: Properties,
        news: Properties,
        preview: bool,
    ) -> Properties:
        raise NotImplementedError

    def delete(
        self, config: Properties, urn: str, identifier: str, inputs: Properties, outputs: Properties
    ) -> None:
        raise NotImplementedError

    def take_back(self, config: Properties, urn: str, inputs: Properties, known: set[str]) -> None:
        """Deletes what a `create` made whose answer the engine never got, because everything was killed.

        There may be nothing. `known` are the ids that the state has for the URN: those are not meant.
        """

    def invoke(self, config: Properties, token: str, args: Properties) -> Properties:
        raise NotImplementedError

    def construct(self, request: provider_pb2.ConstructRequest) -> provider_pb2.ConstructResponse:
        raise NotImplementedError

    # -- the protocol --------------------------------------------------------------------------

    def _config(self, context: grpc.ServicerContext) -> Properties:
        return self._configs.get(context.peer(), {})

    def _guard(self, context: grpc.ServicerContext, work: Callable[[], _T]) -> _T:
        try:
            return work()
        except ProviderError as error:
            context.abort(grpc.StatusCode.UNKNOWN, str(error))
        except Exception as error:
            # A bug of ours must be seen as one, with its place, and not as an answer from AWS.
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
        return _diff_response(plain_difference(from_struct(request.old_inputs), from_struct(request.news)))

    def Configure(self, request: Any, context: Any) -> provider_pb2.ConfigureResponse:
        self._configs[context.peer()] = from_struct(request.args)
        return provider_pb2.ConfigureResponse(supportsPreview=True)

    def Check(self, request: Any, context: Any) -> provider_pb2.CheckResponse:
        inputs, failures = self._guard(
            context,
            lambda: self.check(
                self._config(context),
                request.urn,
                from_struct(request.olds),
                from_struct(request.news),
                request.randomSeed,
            ),
        )
        return provider_pb2.CheckResponse(inputs=to_struct(inputs), failures=_failures(failures))

    def Diff(self, request: Any, context: Any) -> provider_pb2.DiffResponse:
        difference = self._guard(
            context,
            lambda: self.diff(
                self._config(context),
                request.urn,
                request.id,
                from_struct(request.old_inputs),
                from_struct(request.olds),
                from_struct(request.news),
                list(request.ignoreChanges),
            ),
        )
        return _diff_response(difference)

    def Create(self, request: Any, context: Any) -> provider_pb2.CreateResponse:
        identifier, outputs = self._guard(
            context,
            lambda: self.create(
                self._config(context), request.urn, from_struct(request.properties), request.preview
            ),
        )
        return provider_pb2.CreateResponse(id=identifier, properties=to_struct(outputs))

    def Read(self, request: Any, context: Any) -> provider_pb2.ReadResponse:
        found = self._guard(
            context,
            lambda: self.read(
                self._config(context),
                request.urn,
                request.id,
                from_struct(request.inputs),
                from_struct(request.properties),
            ),
        )
        if found is None:
            return provider_pb2.ReadResponse()
        inputs, outputs = found
        return provider_pb2.ReadResponse(
            id=request.id, inputs=to_struct(inputs), properties=to_struct(outputs)
        )

    def Update(self, request: Any, context: Any) -> provider_pb2.UpdateResponse:
        outputs = self._guard(
            context,
            lambda: self.update(
                self._config(context),
                request.urn,
                request.id,
                from_struct(request.old_inputs),
                from_struct(request.olds),
                from_struct(request.news),
                request.preview,
            ),
        )
        return provider_pb2.UpdateResponse(properties=to_struct(outputs))

    def Delete(self, request: Any, context: Any) -> empty_pb2.Empty:
        self._guard(
            context,
            lambda: self.delete(
                self._config(context),
                request.urn,
                request.id,
                from_struct(request.old_inputs),
                from_struct(request.properties),
            ),
        )
        return empty_pb2.Empty()

    def Invoke(self, request: Any, context: Any) -> provider_pb2.InvokeResponse:
        result = self._guard(
            context, lambda: self.invoke(self._config(context), request.tok, from_struct(request.args))
        )
        return invoke_response(result)

    def Construct(self, request: Any, context: Any) -> provider_pb2.ConstructResponse:
        return self._guard(context, lambda: self.construct(request))


def plain_difference(old: Any, new: Any, path: str = "") -> Difference:
    """Every path at which two plain values differ, in Pulumi's path syntax."""
    difference = Difference()
    _compare(old, new, path, difference.changes)
    return difference


def _compare(old: Any, new: Any, path: str, changes: dict[str, str]) -> None:
    if old == new:
        return
    if isinstance(old, dict) and isinstance(new, dict):
        old, new = cast(Properties, old), cast(Properties, new)
        for key in {**old, **new}:
            step = f'["{key}"]' if "." in key or "/" in key else (f".{key}" if path else key)
            if key not in new:
                changes[path + step] = "delete"
            elif key not in old:
                changes[path + step] = "add"
            else:
                _compare(old[key], new[key], path + step, changes)
    elif isinstance(old, list) and isinstance(new, list):
        old, new = cast(list[Any], old), cast(list[Any], new)
        for index in range(max(len(old), len(new))):
            step = f"{path}[{index}]"
            if index >= len(new):
                changes[step] = "delete"
            elif index >= len(old):
                changes[step] = "add"
            else:
                _compare(old[index], new[index], step, changes)
    else:
        changes[path] = "update"


def _failures(failures: Iterable[CheckFailure]) -> list[provider_pb2.CheckFailure]:
    return [provider_pb2.CheckFailure(property=f.property, reason=f.reason) for f in failures]


def _diff_response(difference: Difference) -> provider_pb2.DiffResponse:
    response = provider_pb2.DiffResponse(
        changes=(
            provider_pb2.DiffResponse.DIFF_SOME if difference.changes else provider_pb2.DiffResponse.DIFF_NONE
        ),
        replaces=sorted(difference.replaces),
        diffs=sorted({path.split(".")[0].split("[")[0] for path in difference.changes}),
        deleteBeforeReplace=difference.delete_before_replace,
        hasDetailedDiff=True,
    )
    for path, kind in difference.changes.items():
        plain, replacing = _KINDS[kind]
        response.detailedDiff[path].kind = replacing if path in difference.replaces else plain
    return response


def serve(provider: provider_pb2_grpc.ResourceProviderServicer) -> tuple[grpc.Server, int]:
    """Starts a provider on a free loopback port; the caller stops the server."""
    server = grpc.server(  # pyright: ignore[reportUnknownMemberType]
        ThreadPoolExecutor(max_workers=SERVER_THREADS),
        options=[
            ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
            ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
            ("grpc.so_reuseport", 0),
        ],
    )
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(provider, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    return server, port
