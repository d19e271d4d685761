"""Faster versions of functions of Pulumi's SDK that it calls for every output, property and resource.

Each gives the same results as the SDK's own function. `components.sdk_costs` uses them only in place of the
versions that they were compared with.
"""

# The SDK's functions are private and untyped.
# pyright: reportPrivateUsage=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false
from __future__ import annotations

import asyncio
import functools
import pathlib
import sys
from collections import deque
from collections.abc import Callable, Container, Mapping
from types import FrameType
from typing import Any, TypeVar

import pulumi
from google.protobuf import struct_pb2
from pulumi import _types as sdk_types
from pulumi import output as sdk_output
from pulumi.runtime import resource as sdk_resource
from pulumi.runtime import rpc as sdk_rpc
from pulumi.runtime import settings as sdk_settings
from pulumi.runtime import stack as sdk_stack
from pulumi.runtime.proto import source_pb2

_T = TypeVar("_T")

stack: Any = sdk_stack
_settings: Any = sdk_settings
_data: Any = sdk_output._OutputData


async def wait_for_rpcs(await_all_outstanding_tasks: bool = True) -> None:
    """Waits for all calls to the engine and all outputs, including those that are added meanwhile.

    After each output, the SDK starts to wait for all outstanding ones again, so its time grows with the
    square of their number.

    Raises:
        Exception: the first error of a call or an output.
    """
    manager = stack._get_rpc_manager()
    while True:
        while manager.rpcs:
            # Calls that were just added start only when the event loop runs.
            await asyncio.sleep(0)
            try:
                await manager.rpcs.pop()
            except Exception as error:
                if manager.unhandled_exception is not None:
                    raise error from _unhandled(manager)
                raise
        if manager.unhandled_exception is not None:
            raise _unhandled(manager)
        if await_all_outstanding_tasks:
            await _wait_for_outputs()
        if not manager.rpcs:
            return


def _unhandled(manager: Any) -> BaseException:
    return manager.unhandled_exception.with_traceback(manager.exception_traceback)


async def _wait_for_outputs() -> None:
    # Each output adds itself to the queue when it ends, so nothing waits for the same output twice.
    ended: deque[asyncio.Future[Any]] = deque()
    some_ended = asyncio.Event()

    def end(output: asyncio.Future[Any]) -> None:
        ended.append(output)
        some_ended.set()

    waiting = 0
    while True:
        with stack.SETTINGS.lock:
            new = list(stack.SETTINGS.outputs)
            stack.SETTINGS.outputs.clear()
        for output in new:
            output.add_done_callback(end)
        waiting += len(new)
        if not waiting:
            return
        some_ended.clear()
        if not ended:
            await some_ended.wait()
        while ended:
            waiting -= 1
            try:
                ended.popleft().result()
            except getattr(stack, "ResourceRegistrationFailed", ()):
                # An update that continues after errors reports them itself, and other resources go on.
                pass


def track(self: pulumi.Output[Any]) -> None:
    """Adds an output to those that the program waits for at its end.

    The SDK also adds those that already have a value.
    """
    data = self._data
    if data.done() and not data.cancelled() and data.exception() is None:
        return
    settings = _settings.SETTINGS
    with settings.lock:
        settings.outputs.add(data)
    data.add_done_callback(_untrack)


def _untrack(data: asyncio.Future[Any]) -> None:
    # One that failed remains, so that the end of the program finds it.
    if not data.cancelled() and data.exception() is None:
        settings = _settings.SETTINGS
        with settings.lock:
            settings.outputs.discard(data)


def _output(loop: asyncio.AbstractEventLoop) -> tuple[Any, asyncio.Future[Any]]:
    """An output that has no value yet, and the future that gives it one."""
    output: Any = object.__new__(pulumi.Output)
    data: asyncio.Future[Any] = asyncio.Future(loop=loop)
    output._data = data
    return output, data


def transfer_properties(res: Any, props: Mapping[str, Any], custom: bool) -> dict[str, Callable[..., None]]:
    """Gives a resource an output for each property, and returns the functions that resolve them.

    The SDK uses four futures and a task for each output, most of which no program reads. At the end of
    the program, it waits for all of them. Waiting for the call that resolves them is enough, which fails with
    the same error.
    """
    resolvers: dict[str, Callable[..., None]] = {}
    loop = asyncio.get_event_loop()
    for name in props:
        if name == "urn" or (name == "id" and custom):
            continue  # they are resolved elsewhere
        output, data = _output(loop)
        resolvers[name] = functools.partial(_resolve, res, data)
        res.__dict__[name] = output
    return resolvers


def _resolve(
    res: Any,
    data: asyncio.Future[Any],
    value: Any,
    is_known: bool,
    is_secret: bool,
    deps: set[Any] | None,
    failed: Exception | None,
) -> None:
    if failed is not None:
        data.set_exception(failed)
        data.exception()  # Otherwise, asyncio reports that nobody has seen it.
    else:
        data.set_result(_output_data({*deps, res} if deps else {res}, value, is_known, is_secret))


def _output_data(resources: set[Any], value: Any, is_known: bool, is_secret: bool) -> Any:
    """What is known about an output. The SDK also searches texts and numbers for unknown values."""
    unknown = type(value) is sdk_output.Unknown
    if not unknown and type(value) not in _NOTHING_OR_SCALAR:
        return _data(resources=resources, value=value, is_known=is_known, is_secret=is_secret)
    data = object.__new__(_data)
    data.resources, data.value, data.is_secret = resources, value, is_secret
    data.is_known = is_known and not unknown
    return data


def resolve_properties(
    resolvers: Mapping[str, Callable[..., None]],
    all_properties: Mapping[str, Any],
    deps: Mapping[str, set[Any]],
    custom: bool,
) -> None:
    """Resolves a resource's outputs. The SDK asks for each of them whether this is a preview."""
    dry_run = sdk_rpc.settings.is_dry_run()
    for name, resolve in resolvers.items():
        if name not in all_properties:
            resolve(None, not dry_run, False, deps.get(name), None)
        elif name != "urn" and not (name == "id" and custom):
            value = all_properties[name]
            plain = value if type(value) in _SCALARS else sdk_rpc.unwrap_rpc_secret(value)
            known = plain is not None or not dry_run
            resolve(plain, known, plain is not value, deps.get(name), None)


_SCALARS = frozenset({bool, float, int, str})
_NOTHING_OR_SCALAR = _SCALARS | {type(None)}
serialize_any_property: Any = sdk_rpc.serialize_property


async def serialize_property(value: Any, deps: Any, property_key: Any, *rest: Any, **named: Any) -> Any:
    """An input as the engine receives it. The SDK tests each number for everything else that it could be."""
    if type(value) in _NOTHING_OR_SCALAR and not named.get("return_protobuf_value"):
        return value
    return await serialize_any_property(value, deps, property_key, *rest, **named)


serialize_any_properties: Any = sdk_rpc.serialize_properties


async def serialize_properties(inputs: Mapping[str, Any], *rest: Any, **named: Any) -> struct_pb2.Struct:
    """The inputs as the engine receives them. The SDK also prepares those that the program has not set."""
    known = {name: inputs[name] for name in inputs if inputs[name] is not None}
    return await serialize_any_properties(known, *rest, **named)


deserialize_any_property: Any = sdk_rpc.deserialize_property


def deserialize_property(
    value: Any, keep_unknowns: bool | None = None, keep_internal: bool | None = True
) -> Any:
    """A value that the engine sent. The SDK prepares each text for being a container."""
    if type(value) not in _SCALARS:
        return deserialize_any_property(value, keep_unknowns, keep_internal)
    if value != sdk_rpc.UNKNOWN:
        return value
    return sdk_output.Unknown() if keep_unknowns or sdk_rpc.settings.is_dry_run() else None


translate_any_output: Any = sdk_rpc.translate_output_properties


def translate_output_properties(
    output: Any, output_transformer: Any, typ: Any = None, *rest: Any, **named: Any
) -> Any:
    """An output's value with the type in the SDK. The SDK analyzes the type again for each text."""
    if _has_its_type(output, typ):
        return output
    return translate_any_output(output, output_transformer, typ, *rest, **named)


def _by_identity(function: Callable[[Any], _T]) -> Callable[[Any], _T]:
    """Remembers a function's results for types. They are compared by identity, because typing counts those in
    another order as equal."""
    known: dict[int, tuple[Any, _T]] = {}

    @functools.wraps(function)
    def remembered(typ: Any) -> _T:
        found = known.get(id(typ))
        if found is None:
            found = known[id(typ)] = (typ, function(typ))
        return found[1]

    return remembered


@_by_identity
def _is_plain(typ: Any) -> bool:
    """Whether texts and numbers of a type are as the engine sent them."""
    inner = sdk_types.unwrap_optional_type(typ) if typ else typ
    return inner in (None, str, bool, float)


def _has_its_type(value: Any, typ: Any) -> bool:
    """Whether a value that the engine sent is an output of this type as it is."""
    kind = type(value)
    return kind is sdk_output.Unknown or (kind in _SCALARS and _is_plain(typ))


resolve_any_outputs: Any = sdk_rpc.resolve_outputs


def resolve_outputs(
    res: Any,
    serialized_props: struct_pb2.Struct,
    outputs: struct_pb2.Struct,
    deps: Mapping[str, set[Any]],
    resolvers: dict[str, Callable[..., None]],
    custom: bool,
    transform_using_type_metadata: bool = False,
    keep_unknowns: bool = False,
) -> None:
    """Resolves a resource's outputs with what the engine sent, and otherwise with its inputs.

    The SDK copies everything twice before it reads it, and prepares the text of an error for each value.
    """
    if not transform_using_type_metadata or sdk_rpc._special_sig_key in outputs.fields:
        options = (transform_using_type_metadata, keep_unknowns)
        resolve_any_outputs(res, serialized_props, outputs, deps, resolvers, custom, *options)
        return
    types, names = sdk_types.resource_types(type(res)), sdk_types.resource_pulumi_to_py_names(type(res))
    values: dict[str, Any] = {}

    def add(
        properties: struct_pb2.Struct, keep_unknowns: bool | None, present: Container[str], **options: bool
    ) -> None:
        for key in properties.fields:
            field, name, typ = properties.fields[key], names.get(key) or key, types.get(key)
            form = field.WhichOneof("kind")
            if form is None or form == "null_value" or name in present:
                continue
            value = sdk_rpc.deserialize_property(getattr(field, form), keep_unknowns)
            if not _has_its_type(value, typ):
                path = sdk_rpc._Path(name, resource=f"{res._name}")
                value = sdk_rpc.translate_output_properties(value, str, typ, True, path=path, **options)
            if value is not None:
                values[name] = value

    add(outputs, keep_unknowns, present=())
    if not sdk_rpc.settings.is_dry_run() or sdk_rpc.settings.is_legacy_apply_enabled():
        add(serialized_props, None, present=set(values), return_none_on_dict_type_mismatch=True)
    known_deps = {names.get(key) or key: found for key, found in deps.items()}
    sdk_rpc.resolve_properties(resolvers, values, known_deps, custom)


create_urn_of_outputs: Any = sdk_resource.create_urn


@functools.wraps(create_urn_of_outputs)
def create_urn(
    name: Any, type_: Any, parent: Any = None, project: str | None = None, stack: str | None = None
) -> Any:
    """The URN of a resource. The SDK calls it with plain texts for each resource, and combines outputs."""
    if not (isinstance(name, str) and isinstance(type_, str) and isinstance(parent, str)):
        return create_urn_of_outputs(name, type_, parent, project, stack)
    urn = f"{parent[: parent.rfind('::')]}${type_}::{name}"
    output, data = _output(asyncio.get_event_loop())
    data.set_result(_output_data(set(), urn, is_known=True, is_secret=False))
    return output


def contains_unknowns(val: Any) -> bool:
    """Whether a value is or contains an unknown one. The SDK calls itself for each text and number, too."""
    if not isinstance(val, dict | list):
        return isinstance(val, sdk_output.Unknown)
    seen = {id(val)}
    left: list[Any] = [val]
    while left:
        part = left.pop()
        # Types of outputs are dictionaries, and some have a property `values`.
        for item in dict.values(part) if isinstance(part, dict) else part:
            if type(item) in _NOTHING_OR_SCALAR:
                continue
            if isinstance(item, sdk_output.Unknown):
                return True
            if isinstance(item, dict | list) and id(item) not in seen:
                seen.add(id(item))
                left.append(item)
    return False


def copy_options(self: Any) -> Any:
    """A copy of a resource's options. The SDK makes several for each resource, in a way that is slow."""
    copied = object.__new__(type(self))
    copied.__dict__.update(self.__dict__)
    return copied


def get_property(self: Any, obj: Any, _: Any) -> Any:
    """A setting's value in the current context. The SDK looks it up twice."""
    value = self.fget()
    return self if obj is None or isinstance(value, dict) else value


# The SDK analyzes annotations again for each value, and classes for each resource.
unwrap_type: Any = _by_identity(sdk_types.unwrap_type)
resource_types: Any = _by_identity(sdk_types.resource_types)
resource_names: Any = _by_identity(sdk_types.resource_pulumi_to_py_names)
input_names: Any = _by_identity(sdk_types.input_type_py_to_pulumi_names)


def get_stack_trace() -> source_pb2.StackTrace:
    """The calls that led to a resource, above the constructors of its classes.

    The SDK reads the source lines of all of them, and builds a path for each.
    """
    frame: FrameType | None = sys._getframe(1)
    constructors = 0
    while frame:
        constructors += frame.f_code.co_name == "__init__"
        if constructors == 3:
            break
        frame = frame.f_back
    calls: list[tuple[str, int]] = []
    while frame and (frame := frame.f_back):
        calls.append((frame.f_code.co_filename, frame.f_lineno))
    return _stack_trace(tuple(calls))


@functools.cache
def _stack_trace(calls: tuple[tuple[str, int], ...]) -> source_pb2.StackTrace:
    return source_pb2.StackTrace(frames=[_frame(file, line) for file, line in calls])


@functools.cache
def _frame(file: str, line: int) -> source_pb2.StackFrame:
    try:
        uri = pathlib.Path(file).as_uri()
    except ValueError:  # such as `<frozen runpy>`
        return source_pb2.StackFrame()
    return source_pb2.StackFrame(pc=source_pb2.SourcePosition(uri=uri, line=line))
