"""Replacements of the SDK's functions behave as they do and cost less; the other costs are avoided."""

# The SDK's functions are private and untyped.
# pyright: reportPrivateUsage=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false
from __future__ import annotations

import asyncio
import contextvars
import enum
import gc
import subprocess
import sys
import typing
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pulumi
import pulumi_aws as aws
import pytest
from google.protobuf import struct_pb2
from pulumi import _types
from pulumi._utils import ContextProperty
from pulumi.runtime import rpc

from components import sdk_costs, sdk_outputs
from components.sdk_costs import ORIGINALS, REPLACEMENTS, Replacement
from components.sdk_outputs import stack as sdk

Wait = Callable[[], Awaitable[None]]
BOTH: list[Wait] = [ORIGINALS["wait_for_rpcs"], sdk_outputs.wait_for_rpcs]


class _Output(asyncio.Future[Any]):
    """An output that counts how often something starts to wait for it."""

    waits = 0

    def add_done_callback(self, *args: Any, **kwargs: Any) -> None:
        type(self).waits += 1
        super().add_done_callback(*args, **kwargs)


def _add(output: asyncio.Future[Any]) -> None:
    sdk.SETTINGS.outputs.add(output)


@pytest.fixture(autouse=True)
def _no_outputs() -> None:  # pyright: ignore[reportUnusedFunction]
    sdk.SETTINGS.outputs.clear()
    sdk._get_rpc_manager().clear()


def waits(wait: Wait, count: int) -> int:
    """How often a wait for `count` outputs, which end one after the other, starts to wait for one of them."""

    async def run() -> int:
        _Output.waits = 0
        outputs = [_Output() for _ in range(count)]
        for output in outputs:
            _add(output)
        waiting = asyncio.ensure_future(wait())
        for output in outputs:
            await asyncio.sleep(0.001)
            output.set_result(None)
        await waiting
        return _Output.waits

    return asyncio.run(run())


def test_the_sdk_still_needs_the_replacement() -> None:
    assert waits(ORIGINALS["wait_for_rpcs"], 60) > 60 * 60 / 4, (
        "delete wait_for_rpcs: the SDK's wait is linear"
    )
    assert waits(sdk_outputs.wait_for_rpcs, 60) <= 2 * 60


@pytest.mark.parametrize("replacement", REPLACEMENTS, ids=lambda it: it.key)
def test_the_installed_version_is_replaced(replacement: Replacement) -> None:
    assert getattr(replacement.home, replacement.name) is replacement.ours


def test_another_version_is_left_unchanged(monkeypatch: pytest.MonkeyPatch) -> None:
    async def newer() -> None: ...

    messages: list[str] = []
    monkeypatch.setattr("pulumi.log.info", messages.append)
    for it in REPLACEMENTS:
        monkeypatch.setitem(ORIGINALS, it.key, newer)
        monkeypatch.setattr(it.home, it.name, newer)
    sdk_costs.replace()
    assert all(getattr(it.home, it.name) is newer for it in REPLACEMENTS)
    (message,) = messages
    assert all(it.key in message for it in REPLACEMENTS)


@pytest.mark.parametrize("wait", BOTH)
def test_an_error_is_raised_while_others_are_outstanding(wait: Wait) -> None:
    async def run() -> None:
        outstanding, failing = _Output(), _Output()
        _add(outstanding)
        _add(failing)
        waiting = asyncio.ensure_future(wait())
        await asyncio.sleep(0)
        failing.set_exception(ValueError("refused"))
        with pytest.raises(ValueError, match="refused"):
            await asyncio.wait_for(waiting, 5)

    asyncio.run(run())


@pytest.mark.parametrize("wait", BOTH)
@pytest.mark.parametrize("fails", [False, True])
def test_outputs_that_are_added_meanwhile_are_awaited(wait: Wait, fails: bool) -> None:
    async def run() -> None:
        first, second = _Output(), _Output()
        _add(first)
        waiting = asyncio.ensure_future(wait())
        await asyncio.sleep(0)
        _add(second)
        first.set_result(None)
        await asyncio.sleep(0.01)
        assert not waiting.done()
        if fails:
            second.set_exception(ValueError("refused"))
            with pytest.raises(ValueError, match="refused"):
                await waiting
        else:
            second.set_result(None)
            await waiting

    asyncio.run(run())


@pytest.mark.parametrize("wait", BOTH)
def test_a_failed_registration_does_not_end_the_program(wait: Wait) -> None:
    async def run() -> None:
        failed, later = _Output(), _Output()
        _add(failed)
        _add(later)
        waiting = asyncio.ensure_future(wait())
        failed.set_exception(sdk.ResourceRegistrationFailed())
        await asyncio.sleep(0.01)
        assert not waiting.done()
        later.set_result(None)
        await waiting

    asyncio.run(run())


@pytest.mark.parametrize("wait", BOTH)
def test_a_failed_call_is_raised_with_its_cause(wait: Wait) -> None:
    async def call() -> None:
        raise RuntimeError("the engine refused")

    async def run() -> None:
        manager = sdk._get_rpc_manager()
        manager.rpcs.append(asyncio.ensure_future(call()))
        manager.unhandled_exception = cause = KeyError("cause")
        with pytest.raises(RuntimeError, match="refused") as error:
            await wait()
        assert error.value.__cause__ is cause
        with pytest.raises(KeyError):
            await wait()

    asyncio.run(run())


@pytest.mark.parametrize("wait", BOTH)
def test_calls_that_outputs_start_are_awaited(wait: Wait) -> None:
    async def run() -> None:
        ended: list[str] = []

        async def call() -> None:
            await asyncio.sleep(0)
            ended.append("call")

        async def output() -> None:
            sdk._get_rpc_manager().rpcs.append(asyncio.ensure_future(call()))

        _add(asyncio.ensure_future(output()))
        await wait()
        assert ended == ["call"]

    asyncio.run(run())


@pytest.mark.parametrize("kept", [False, True])
def test_debug_messages_are_sent_only_on_request(monkeypatch: pytest.MonkeyPatch, kept: bool) -> None:
    sent: list[str] = []
    monkeypatch.setattr("pulumi.log.debug", sent.append)
    monkeypatch.setenv(sdk_costs.DEBUG_VARIABLE, "1" if kept else "")
    sdk_costs.avoid()
    pulumi.log.debug("registering resource")
    assert sent == (["registering resource"] if kept else [])


def test_the_program_collects_garbage_rarely() -> None:
    before = gc.get_threshold()
    try:
        sdk_costs.avoid()
        assert gc.get_threshold()[0] >= 1_000_000
    finally:
        gc.set_threshold(*before)


def test_no_garbage_is_collected_at_the_end() -> None:
    program = (
        "import components, gc, atexit\n"
        "gc.callbacks.append(lambda phase, info: print(phase, len(gc.get_objects())))\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert all(int(line.split()[1]) < 10_000 for line in ended.stdout.splitlines())


# -- functions that the SDK calls for each output, property or resource --------------------------


def _steps(work: Callable[[], Any]) -> int:
    """The number of Python functions that are called, also by the event loop, to do some work 20 times."""
    count = 0

    def count_call(_frame: Any, event: str, _argument: Any) -> None:
        nonlocal count
        count += event == "call"

    async def run() -> None:
        sys.setprofile(count_call)
        try:
            for _ in range(20):
                work()
            for _ in range(5):
                await asyncio.sleep(0)
        finally:
            sys.setprofile(None)

    asyncio.run(run())
    return count


class _Thing:
    """Takes the place of a resource."""


def _resolved(name: str, failed: Exception | None) -> Callable[[Callable[..., Any]], Any]:
    def work(transfer: Callable[..., Any]) -> Any:
        thing: Any = _Thing()
        resolvers = transfer(thing, {name: None, "urn": None, "id": None}, True)
        assert resolvers.keys() == {name} == vars(thing).keys()
        resolvers[name]("value", True, True, {"other"}, failed)
        return vars(thing)[name]._data

    return work


def _tracked(track: Callable[..., Any]) -> Any:
    output: Any = object.__new__(pulumi.Output)
    output._data = asyncio.Future()
    output._data.set_result(None)
    track(output)
    return output._data


_OPTIONAL = str | None


def _ignore(*_: Any) -> None:
    """Takes the place of a resolver."""


def _result(coroutine: Coroutine[Any, None, Any]) -> Any:
    """The result of a coroutine that has nothing to wait for."""
    with pytest.raises(StopIteration) as end:
        coroutine.send(None)
    return end.value.value


def _sent(serialize: Callable[..., Any], value: Any, **options: Any) -> Any:
    """What the engine gets for a value that needs no waiting."""
    return _result(serialize(value, [], "name", **options))


def _struct(properties: dict[str, Any]) -> struct_pb2.Struct:
    struct = struct_pb2.Struct()
    struct.update(properties)
    return struct


def _resolve_queue(
    resolve: Callable[..., None],
    resolvers: dict[str, Callable[..., None]],
    outputs: dict[str, Any],
    *,
    inputs: dict[str, Any] | None = None,
    deps: dict[str, Any] | None = None,
    by_type: bool = True,
) -> None:
    """Resolves the outputs of a queue with what the engine sent."""
    queue: Any = object.__new__(aws.sqs.Queue)
    queue._name = "orders"
    resolve(queue, _struct(inputs or {}), _struct(outputs), deps or {}, resolvers, True, by_type, True)


def _setting(get: Callable[..., Any]) -> Any:
    return get(vars(type(sdk.SETTINGS))["lock"], sdk.SETTINGS, None)


WORK: dict[str, Callable[[Callable[..., Any]], Any]] = {
    "Output._track": _tracked,
    "transfer_properties": _resolved("name", None),
    "resolve_outputs": lambda resolve: _resolve_queue(
        resolve, dict.fromkeys("abcde", _ignore), dict.fromkeys("abcde", "text")
    ),
    "resolve_properties": lambda resolve: resolve(
        dict.fromkeys("abcde", _ignore), dict.fromkeys("abcde", "text"), {}, True
    ),
    "serialize_properties": lambda serialize: _result(serialize({"name": "a", **dict.fromkeys("abcde")}, {})),
    "serialize_property": lambda serialize: _sent(serialize, "text"),
    "deserialize_property": lambda deserialize: [deserialize(rpc.UNKNOWN), deserialize("text")],
    "translate_output_properties": lambda translate: translate("text", str, _OPTIONAL, True),
    "create_urn": lambda create: create("queue", "aws:sqs/queue:Queue", "urn:pulumi:s::p::C::top")._data,
    "contains_unknowns": lambda contains: contains("text"),
    "ResourceOptions._copy": lambda copy: copy(pulumi.ResourceOptions(protect=True)),
    "ResourceHookBinding._copy": lambda copy: copy(pulumi.ResourceHookBinding()),
    "ContextProperty.__get__": _setting,
    "unwrap_type": lambda unwrap: unwrap(pulumi.Input[str]),
    "resource_types": lambda types: types(aws.sqs.Queue),
    "resource_pulumi_to_py_names": lambda names: names(aws.sqs.Queue),
    "input_type_py_to_pulumi_names": lambda names: names(aws.sqs.QueueArgs),
    "_get_stack_trace": lambda trace: trace(),
}
"""Function of the SDK → how it is mostly called."""


def test_every_replacement_is_measured() -> None:
    assert {*WORK, "wait_for_rpcs"} == ORIGINALS.keys()


@pytest.mark.parametrize("replacement", [it for it in REPLACEMENTS if it.key in WORK], ids=lambda it: it.key)
def test_the_sdk_still_does_more_than_it_needs(replacement: Replacement) -> None:
    work = WORK[replacement.key]
    idle = _steps(lambda: None)
    _steps(lambda: work(replacement.ours))  # fills caches
    theirs = _steps(lambda: work(ORIGINALS[replacement.key])) - idle
    ours = _steps(lambda: work(replacement.ours)) - idle
    assert theirs > 1.3 * ours, f"delete {replacement.key}: the SDK's takes {theirs} steps, and ours {ours}"


def both(key: str) -> Any:
    """Runs a test with the SDK's function and with ours."""
    (ours,) = (it.ours for it in REPLACEMENTS if it.key == key)
    return pytest.mark.parametrize("function", [ORIGINALS[key], ours], ids=["theirs", "ours"])


@both("transfer_properties")
def test_an_output_has_what_its_resolver_got(function: Callable[..., Any]) -> None:
    async def run() -> None:
        data = await _resolved("name", None)(function)
        assert (data.value, data.is_known, data.is_secret) == ("value", True, True)
        other, thing = sorted(data.resources, key=str, reverse=True)
        assert other == "other"
        assert isinstance(thing, _Thing)

    asyncio.run(run())


@both("transfer_properties")
def test_an_output_fails_with_its_resource(function: Callable[..., Any]) -> None:
    async def run() -> None:
        data = _resolved("name", ValueError("refused"))(function)
        with pytest.raises(ValueError, match="refused"):
            await data

    asyncio.run(run())


def test_a_property_that_fails_is_not_reported_twice(caplog: pytest.LogCaptureFixture) -> None:
    """The call that fails reports its error, so asyncio must not complain about the outputs."""

    async def run() -> None:
        _resolved("name", ValueError("refused here"))(sdk_outputs.transfer_properties)
        assert not sdk.SETTINGS.outputs
        gc.collect(0)  # the outputs are young; a full collection would visit all graphs of this process

    asyncio.run(run())
    assert "refused here" not in caplog.text  # It may have the errors of earlier tests.


@both("transfer_properties")
@pytest.mark.parametrize("custom", [False, True])
def test_urns_and_the_ids_of_custom_resources_are_left_out(
    function: Callable[..., Any], custom: bool
) -> None:
    async def run() -> None:
        thing: Any = _Thing()
        assert list(function(thing, {"urn": 1, "id": 2, "name": 3}, custom)) == ["id", "name"][custom:]
        # An unknown value makes the output unknown.
        function(thing, {"zone": None}, True)["zone"](pulumi.output.UNKNOWN, True, False, None, None)
        data = await vars(thing)["zone"]._data
        assert (data.is_known, data.resources) == (False, {thing})

    asyncio.run(run())


@both("Output._track")
def test_outputs_are_outstanding_until_they_succeed(function: Callable[..., Any]) -> None:
    async def run() -> None:
        outputs: list[Any] = [object.__new__(pulumi.Output) for _ in range(3)]
        succeeding, failing, cancelled = (asyncio.Future[None]() for _ in outputs)
        for output, output._data in zip(outputs, (succeeding, failing, cancelled), strict=True):
            function(output)
        assert sdk.SETTINGS.outputs == {succeeding, failing, cancelled}
        succeeding.set_result(None)
        failing.set_exception(ValueError("refused"))
        cancelled.cancel()
        await asyncio.sleep(0)
        assert sdk.SETTINGS.outputs == {failing, cancelled}
        # Those that have already failed or ended are the same.
        sdk.SETTINGS.outputs.clear()
        for output in outputs:
            function(output)
        await asyncio.sleep(0)
        assert sdk.SETTINGS.outputs == {failing, cancelled}

    asyncio.run(run())


def _recorder(*names: str) -> tuple[dict[str, Callable[..., None]], dict[str, Any]]:
    """Resolvers, and what they get."""
    resolved: dict[str, Any] = {}

    def resolver(name: str) -> Callable[..., None]:
        return lambda *arguments: resolved.update({name: arguments})

    return {name: resolver(name) for name in names}, resolved


@both("resolve_properties")
@pytest.mark.parametrize("dry_run", [False, True])
@pytest.mark.parametrize("custom", [False, True])
def test_properties_are_resolved(
    monkeypatch: pytest.MonkeyPatch, function: Callable[..., None], dry_run: bool, custom: bool
) -> None:
    monkeypatch.setattr(rpc.settings, "is_dry_run", lambda: dry_run)
    resolvers, resolved = _recorder("id", "plain", "none", "key", "absent")
    values = {"urn": "u", "id": "i", "plain": 1, "none": None, "other": 2, "key": rpc.wrap_rpc_secret("k")}
    function(resolvers, values, {"plain": {"a"}, "absent": {"b"}}, custom)
    assert resolved == {
        **({} if custom else {"id": ("i", True, False, None, None)}),
        "plain": (1, True, False, {"a"}, None),
        "none": (None, not dry_run, False, None, None),
        "key": ("k", True, True, None, None),
        "absent": (None, not dry_run, False, {"b"}, None),
    }


@both("resolve_outputs")
@pytest.mark.parametrize("dry_run", [False, True])
def test_outputs_are_resolved(
    monkeypatch: pytest.MonkeyPatch, function: Callable[..., None], dry_run: bool
) -> None:
    monkeypatch.setattr(rpc.settings, "is_dry_run", lambda: dry_run)
    resolvers, resolved = _recorder(
        "arn", "delay_seconds", "fifo_queue", "kms_master_key_id", "name", "policy", "region", "tags", "url"
    )
    _resolve_queue(
        function,
        resolvers,
        {
            "arn": rpc.UNKNOWN,
            "delaySeconds": 5,
            "fifoQueue": True,
            "name": "orders",
            "region": None,
            "tags": rpc.wrap_rpc_secret({"key": "k"}),
            "unrelated": {"a": ["text"]},
        },
        inputs={"policy": "{}", "name": "other", "tags": {"from": "inputs"}, "kmsMasterKeyId": None},
        deps={"delaySeconds": {"a"}, "policy": {"b"}},
    )
    arn = resolved.pop("arn")
    assert isinstance(arn[0], pulumi.output.Unknown)
    assert arn[1:] == (True, False, None, None)
    assert type(resolved["delay_seconds"][0]) is int
    absent = (None, not dry_run, False, None, None)
    assert resolved == {
        "delay_seconds": (5, True, False, {"a"}, None),
        "fifo_queue": (True, True, False, None, None),
        "kms_master_key_id": absent,
        "name": ("orders", True, False, None, None),
        # A deployment takes inputs for what the engine didn't send.
        "policy": (None if dry_run else "{}", not dry_run, False, {"b"}, None),
        "region": absent,
        "tags": ({"key": "k"}, True, True, None, None),
        "url": absent,
    }


@both("resolve_outputs")
def test_an_output_of_another_type_is_refused(function: Callable[..., None]) -> None:
    resolvers, resolved = _recorder("name", "url")
    with pytest.raises(AssertionError, match="resource `orders`, property `name`"):
        _resolve_queue(function, resolvers, {"url": "https://example.com", "name": {"a": "b"}})
    assert not resolved  # The SDK then gives all of them the error.


@both("resolve_outputs")
def test_outputs_are_resolved_without_types(function: Callable[..., None]) -> None:
    resolvers, resolved = _recorder("delaySeconds")
    _resolve_queue(function, resolvers, {"delaySeconds": 5}, by_type=False)
    assert resolved == {"delaySeconds": (5, True, False, None, None)}
    with pytest.raises(AssertionError, match="Unrecognized signature"):
        _resolve_queue(function, resolvers, {rpc._special_sig_key: "other"})


@both("serialize_properties")
def test_inputs_are_sent_under_their_names(function: Callable[..., Any]) -> None:
    args = {"delay_seconds": 5, "name": None, "policy": "{}"}
    deps: dict[str, Any] = {}
    sent = _result(function(args, deps, None, None, aws.sqs.QueueArgs))
    assert dict(sent) == {"delaySeconds": 5, "policy": "{}"}
    assert deps == {"delaySeconds": [], "policy": []}


@both("ResourceOptions._copy")
def test_options_are_copied(function: Callable[..., Any]) -> None:
    options = pulumi.ResourceOptions(protect=True, ignore_changes=["name"])
    copied = function(options)
    assert type(copied) is pulumi.ResourceOptions
    assert copied is not options
    assert vars(copied) == vars(options)
    copied.protect = False
    assert options.protect


@both("ResourceHookBinding._copy")
def test_hooks_are_copied(function: Callable[..., Any]) -> None:
    hooks = pulumi.ResourceHookBinding(before_create=[])
    copied = function(hooks)
    assert type(copied) is pulumi.ResourceHookBinding
    assert copied is not hooks
    assert vars(copied) == vars(hooks)


@pytest.mark.parametrize("name", ["resource_types", "resource_pulumi_to_py_names"])
def test_types_and_names_of_outputs(name: str) -> None:
    ours: Any = getattr(_types, name)
    for resource in (aws.sqs.Queue, aws.lambda_.Function, pulumi.ComponentResource, aws.sqs.Queue):
        assert ours(resource) == ORIGINALS[name](resource)
    assert ours(aws.sqs.Queue) is ours(aws.sqs.Queue)


def test_names_of_inputs() -> None:
    ours = _types.input_type_py_to_pulumi_names
    for arguments in (aws.sqs.QueueArgs, aws.lambda_.FunctionArgs, aws.sqs.QueueArgs):
        assert ours(arguments) == ORIGINALS["input_type_py_to_pulumi_names"](arguments)
    assert ours(aws.sqs.QueueArgs) is ours(aws.sqs.QueueArgs)


VALUES = [None, True, 1, 1.0, "text", rpc.UNKNOWN, ["a", 1.0], {"a": {"b": None}}, {"key": "text"}]


@both("serialize_property")
@pytest.mark.parametrize("value", [*VALUES, pulumi.output.UNKNOWN])
def test_inputs_that_are_sent(function: Callable[..., Any], value: Any) -> None:
    theirs = ORIGINALS["serialize_property"]
    for options in ({}, {"typ": typing.Any}, {"return_protobuf_value": True}):
        expected = _sent(theirs, value, **options)
        found = _sent(function, value, **options)
        assert (found, type(found)) == (expected, type(expected))


def test_inputs_that_cannot_be_sent_are_refused() -> None:
    with pytest.raises(ValueError, match="unexpected input of type set for name"):
        sdk_outputs.serialize_property({"a"}, [], "name").send(None)


@both("deserialize_property")
@pytest.mark.parametrize("dry_run", [False, True])
def test_values_that_are_received(
    monkeypatch: pytest.MonkeyPatch, function: Callable[..., Any], dry_run: bool
) -> None:
    monkeypatch.setattr(rpc.settings, "is_dry_run", lambda: dry_run)
    sent = _struct({"list": ["a", 1, True, None, rpc.UNKNOWN], "map": {"a": 1.5}, "text": "t", "none": None})
    found = function(sent)
    assert {"map": {"a": 1.5}, "text": "t"}.items() <= found.items()
    assert found["list"][:4] == ["a", 1, True, None]
    assert isinstance(found["list"][4], pulumi.output.Unknown) == dry_run
    assert isinstance(function(rpc.UNKNOWN, True), pulumi.output.Unknown)
    assert (function(rpc.UNKNOWN) is None) == (not dry_run)


class _Colour(enum.Enum):
    RED = "red"


@both("translate_output_properties")
def test_outputs_get_their_types(function: Callable[..., Any]) -> None:
    unknown = pulumi.output.UNKNOWN
    for value, typ, expected in (
        ("text", str | None, "text"),
        ("text", None, "text"),
        ("text", typing.Any, "text"),
        (True, bool, True),
        (2.0, int | None, 2),
        (2.0, float, 2.0),
        ("red", _Colour | None, _Colour.RED),
        (unknown, _Colour, unknown),
        (["red", unknown], list[_Colour], [_Colour.RED, unknown]),
        ({"a": 1.0}, dict[str, int] | None, {"a": 1}),
        (rpc.wrap_rpc_secret(3.0), int, rpc.wrap_rpc_secret(3)),
    ):
        for _ in range(2):
            found = function(value, str, typ, True)
            assert (found, type(found)) == (expected, type(expected))


@both("create_urn")
@pytest.mark.parametrize("parent", ["urn:pulumi:s::p::a:b:C::parent", "", None, "output"])
def test_urns(function: Callable[..., Any], parent: str | None) -> None:
    async def run() -> str:
        above = pulumi.Output.from_input("urn:pulumi:s::p::a:b:C::parent") if parent == "output" else parent
        data = await function("queue", "aws:sqs/queue:Queue", above, "p", "s")._data
        assert (data.is_known, data.is_secret, data.resources) == (True, False, set())
        return data.value

    above = {"": "$", None: "urn:pulumi:s::p::"}.get(parent, "urn:pulumi:s::p::a:b:C$")
    assert asyncio.run(run()) == f"{above}aws:sqs/queue:Queue::queue"


class Filter(dict[str, Any]):
    """As the SDK's types of outputs with a property that hides a method."""

    values = property(lambda self: self["values"])  # pyright: ignore


@both("contains_unknowns")
def test_unknown_values_are_found(function: Callable[..., bool]) -> None:
    unknown = pulumi.output.UNKNOWN
    for value in (unknown, [unknown], {"a": [1, {"b": unknown}]}, Filter(values=["a", unknown])):
        assert function(value)
    loop: list[Any] = []
    loop.append(loop)
    for value in ("", None, 0, [], {"a": [1, "04da6b54"]}, (unknown,), loop, Filter(values=["a"])):
        assert not function(value)


@both("ContextProperty.__get__")
def test_settings_are_those_of_the_context(function: Callable[..., Any]) -> None:
    class Settings:
        pass

    home, name = ContextProperty(name="name"), "a"
    home.__set__(None, name)
    settings = Settings()
    assert function(home, settings, Settings) == "a"
    assert function(home, None, Settings) is home
    contextvars.copy_context().run(home.__set__, None, "b")
    assert function(home, settings, Settings) == "a"
    home.__set__(None, {"key": 1})
    assert function(home, settings, Settings) is home


def test_types_are_unwrapped() -> None:
    theirs, ours = ORIGINALS["unwrap_type"], sdk_outputs.unwrap_type
    # typing counts these as equal, but the first type is the one that the SDK unwraps.
    awaited, output = Awaitable[int], pulumi.Output[int]
    in_order = typing.Union[int, awaited, output]  # noqa: UP007 (keeps the order)
    reversed_order = typing.Union[output, awaited, int]  # noqa: UP007
    wrapped = [in_order, reversed_order, str, str | None]
    for arguments in (aws.sqs.QueueArgs, aws.wafv2.WebAclRuleArgs, aws.lambda_.FunctionArgs):
        wrapped += _types.input_type_types(arguments).values()
    for _ in range(2):
        assert [ours(it) for it in wrapped] == [theirs(it) for it in wrapped]
    assert ours(in_order) is int


def test_stack_traces_are_those_of_the_sdk() -> None:
    theirs, ours = ORIGINALS["_get_stack_trace"], sdk_outputs.get_stack_trace

    class Base:
        def __init__(self) -> None:
            self.traces = [trace() for trace in (theirs, ours)]

    class Custom(Base):
        def __init__(self) -> None:
            super().__init__()

    class Queue(Custom):
        def __init__(self) -> None:
            self.again()

        def again(self) -> None:
            super().__init__()

    exec(compile("traces = Queue().traces", "<text>", "exec"), found := {"Queue": Queue})
    by_sdk, by_us = found["traces"]
    assert by_sdk == by_us
    assert not by_us.frames[0].HasField("pc")
    assert by_us.frames[1].pc.uri.endswith("/test_sdk_costs.py")
    # Without three constructors, nothing is known.
    assert Custom().traces == [type(by_us)()] * 2
