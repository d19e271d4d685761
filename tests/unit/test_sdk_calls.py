"""Resources are registered as the SDK registers them, but without a thread for each."""

# The SDK's functions are private and untyped.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# ruff: noqa: N802 (the protocol's names)
from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pulumi
import pulumi_aws as aws
import pytest
from google.protobuf import empty_pb2
from pulumi.runtime import Settings, configure
from pulumi.runtime.proto import resource_pb2, resource_pb2_grpc
from pulumi.runtime.settings import ROOT
from pulumi.runtime.stack import run_in_stack

from components import sdk_calls
from components.sdk_costs import ORIGINALS

COUNT = 12
THREADS = 3
"""Threads of the program's event loop."""


class _Engine(resource_pb2_grpc.ResourceMonitorServicer):
    """Registers everything except a queue named `refused`."""

    def __init__(self) -> None:
        self.wait_for_all = False
        self.most = 0
        """The most calls at the same time."""
        self._all = threading.Barrier(COUNT)
        self._lock = threading.Lock()
        self._active = 0

    def SupportsFeature(self, request: Any, context: Any) -> Any:
        return resource_pb2.SupportsFeatureResponse(hasSupport=True)

    def SignalAndWaitForShutdown(self, request: Any, context: Any) -> Any:
        return empty_pb2.Empty()

    def RegisterResourceOutputs(self, request: Any, context: Any) -> Any:
        return empty_pb2.Empty()

    def RegisterResource(self, request: Any, context: Any) -> Any:
        if request.custom:
            with self._lock:
                self._active += 1
                self.most = max(self.most, self._active)
            if self.wait_for_all:
                self._all.wait(timeout=60)
            with self._lock:
                self._active -= 1
        if request.name == "refused":
            context.abort(grpc.StatusCode.UNKNOWN, "the name is refused")
        urn = f"urn:pulumi:s::p::{request.type}::{request.name}"
        return resource_pb2.RegisterResourceResponse(urn=urn, id=f"id-{request.name}", object=request.object)


@pytest.fixture
def engine() -> _Engine:
    return _Engine()


@pytest.fixture
def address(engine: _Engine) -> Iterator[str]:
    server = grpc.server(ThreadPoolExecutor(COUNT + 4))
    resource_pb2_grpc.add_ResourceMonitorServicer_to_server(engine, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}"
    server.stop(grace=None).wait()


@pytest.fixture(params=["register_in_thread", "register_resource"], ids=["theirs", "ours"])
def register(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    function = getattr(sdk_calls, request.param)
    monkeypatch.setattr(pulumi.resource, "register_resource", function)
    return function


def run(monitor: Any, program: Callable[[], object]) -> None:
    """Runs a program as the language host does."""

    async def deploy() -> None:
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(THREADS))
        await run_in_stack(lambda: (program(), None)[1])

    def configured() -> None:
        ROOT.set(None)
        configure(Settings(project="p", stack="s", monitor=monitor, dry_run=False))
        asyncio.run(deploy())

    contextvars.copy_context().run(configured)


def test_the_sdks_function_is_the_other() -> None:
    assert sdk_calls.register_in_thread is ORIGINALS["register_resource"]


@pytest.mark.usefixtures("register")
def test_outputs_are_those_that_the_engine_sent(address: str) -> None:
    found: list[Any] = []

    def program() -> None:
        first = aws.sqs.Queue("first", name="orders")
        second = aws.sqs.Queue("second", name=first.name.apply(lambda name: f"{name}-2"))
        pulumi.Output.all(second.urn, second.id, second.name).apply(found.append)

    run(address, program)
    assert found == [["urn:pulumi:s::p::aws:sqs/queue:Queue::second", "id-second", "orders-2"]]


@pytest.mark.usefixtures("register")
def test_the_engines_error_ends_the_program(address: str) -> None:
    with pytest.raises(Exception, match=r"^the name is refused$") as raised:
        run(address, lambda: [aws.sqs.Queue(name) for name in ("a", "refused", "b")])
    assert type(raised.value) is Exception


@pytest.mark.usefixtures("register")
def test_the_error_of_a_resource_in_a_function_of_outputs_ends_the_program(address: str) -> None:
    with pytest.raises(Exception, match=r"^the name is refused$"):
        run(address, lambda: aws.sqs.Queue("first").urn.apply(lambda _: aws.sqs.Queue("refused")))


@pytest.mark.usefixtures("register")
def test_an_engine_that_has_ended_is_reported() -> None:
    with pytest.raises(pulumi.RunError, match="Resource monitor has terminated"):
        run("127.0.0.1:1", lambda: None)


def test_the_sdk_still_needs_a_thread_for_each_call(
    address: str, engine: _Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def program() -> None:
        for number in range(COUNT):
            aws.sqs.Queue(f"queue-{number}")

    monkeypatch.setattr(pulumi.resource, "register_resource", sdk_calls.register_in_thread)
    run(address, program)
    assert engine.most <= THREADS
    monkeypatch.setattr(pulumi.resource, "register_resource", sdk_calls.register_resource)
    engine.wait_for_all = True
    run(address, program)
    assert engine.most == COUNT


@pytest.mark.usefixtures("register")
def test_traces_contain_the_calls(address: str) -> None:
    """For traces, the SDK opens a channel that reports each call."""
    called: list[str] = []

    class Reports(grpc.UnaryUnaryClientInterceptor):  # pyright: ignore[reportMissingTypeArgument]
        def intercept_unary_unary(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
            called.append(client_call_details.method.rpartition("/")[2])
            return continuation(client_call_details, request)

    channel = grpc.intercept_channel(grpc.insecure_channel(address), Reports())
    run(resource_pb2_grpc.ResourceMonitorStub(channel), lambda: aws.sqs.Queue("queue"))
    assert called.count("RegisterResource") == 2
