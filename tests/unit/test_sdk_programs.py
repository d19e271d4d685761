"""Whole programs do the same with the SDK's functions and with all replacements."""

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

from components.sdk_costs import ORIGINALS, REPLACEMENTS


class _Engine(resource_pb2_grpc.ResourceMonitorServicer):
    """Registers resources, but refuses `refused`, fails `failed`, and takes its time for `slow`."""

    def __init__(self) -> None:
        self.registered: list[str] = []
        self.ended = threading.Event()
        """Set when the program has ended."""
        self.patience = 20.0
        """Seconds for which `slow` waits for the program's end."""

    def SupportsFeature(self, request: Any, context: Any) -> Any:
        return resource_pb2.SupportsFeatureResponse(hasSupport=True)

    def SignalAndWaitForShutdown(self, request: Any, context: Any) -> Any:
        return empty_pb2.Empty()

    def RegisterResourceOutputs(self, request: Any, context: Any) -> Any:
        return empty_pb2.Empty()

    def RegisterResource(self, request: Any, context: Any) -> Any:
        if request.name == "refused":
            context.abort(grpc.StatusCode.UNKNOWN, "the name is refused")
        if request.name == "slow":
            self.ended.wait(self.patience)
        self.registered.append(request.name)
        return resource_pb2.RegisterResourceResponse(
            urn=f"urn:pulumi:s::p::{request.type}::{request.name}",
            id=f"id-{request.name}",
            object=request.object,
            result=resource_pb2.Result.FAIL if request.name == "failed" else resource_pb2.Result.SUCCESS,
        )


@pytest.fixture
def engine() -> _Engine:
    return _Engine()


@pytest.fixture(params=["theirs", "ours"])
def run(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, engine: _Engine
) -> Iterator[Callable[..., None]]:
    """Runs a program as the language host does."""
    if request.param == "theirs":
        for it in REPLACEMENTS:
            monkeypatch.setattr(it.home, it.name, ORIGINALS[it.key])
    server = grpc.server(ThreadPoolExecutor())
    resource_pb2_grpc.add_ResourceMonitorServicer_to_server(engine, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()

    async def deploy(program: Callable[[], object]) -> None:
        try:
            await run_in_stack(lambda: (program(), None)[1])
        finally:
            engine.ended.set()

    def configured(program: Callable[[], object], address: str) -> None:
        ROOT.set(None)
        configure(Settings(project="p", stack="s", monitor=address, dry_run=False))
        asyncio.run(deploy(program))

    def run_program(program: Callable[[], object], address: str = f"127.0.0.1:{port}") -> None:
        contextvars.copy_context().run(configured, program, address)

    yield run_program
    server.stop(grace=None).wait()


Run = Callable[..., None]


def test_outputs_are_those_that_the_engine_sent(run: Run) -> None:
    found: list[Any] = []

    def program() -> None:
        first = aws.sqs.Queue("first", name="orders")
        second = aws.sqs.Queue("second", name=first.name.apply(lambda name: f"{name}-2"))
        pulumi.Output.all(second.urn, second.id, second.name).apply(found.append)

    run(program)
    assert found == [["urn:pulumi:s::p::aws:sqs/queue:Queue::second", "id-second", "orders-2"]]


def test_the_engines_error_ends_the_program(run: Run) -> None:
    with pytest.raises(Exception, match=r"^the name is refused$") as raised:
        run(lambda: [aws.sqs.Queue(name) for name in ("a", "refused", "b")])
    assert type(raised.value) is Exception


def test_the_error_of_a_resource_in_a_function_of_outputs_ends_the_program(run: Run) -> None:
    with pytest.raises(Exception, match=r"^the name is refused$"):
        run(lambda: aws.sqs.Queue("first").urn.apply(lambda _: aws.sqs.Queue("refused")))


def test_an_engine_that_has_ended_is_reported(run: Run) -> None:
    with pytest.raises(pulumi.RunError, match="Resource monitor has terminated"):
        run(lambda: None, "127.0.0.1:1")


@pytest.mark.parametrize("first", ["refused", "wrong"])
def test_an_error_ends_the_program_at_once(run: Run, engine: _Engine, first: str) -> None:
    wrong: Any = {"a"} if first == "wrong" else None

    def program() -> None:
        aws.sqs.Queue(first, name=wrong)
        slow = aws.sqs.Queue("slow")
        aws.sqs.Queue("after", name=slow.urn)

    with pytest.raises(Exception, match=r"the name is refused|unexpected input of type set"):
        run(program)
    assert "after" not in engine.registered


def test_an_update_that_continues_after_errors_registers_all_others(run: Run, engine: _Engine) -> None:
    def program() -> None:
        slow = aws.sqs.Queue("slow")
        slow.urn.apply(lambda _: aws.sqs.Queue("after"))
        failed = aws.sqs.Queue("failed")
        aws.sqs.Queue("dependent", name=failed.urn)

    engine.patience = 0.5
    with pytest.raises(Exception, match="failed to register"):
        run(program)
    assert {"slow", "after"} <= set(engine.registered)
    assert "dependent" not in engine.registered
