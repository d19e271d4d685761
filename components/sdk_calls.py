"""Registers resources without a thread for each call.

The SDK registers each resource in one of 32 threads (with two cores), which sends a call to the engine and
waits for the response. They compete for Python's lock with each other and with the thread that runs the
program. Here, the program's event loop sends the calls and gets the responses.
"""

# The SDK's and gRPC's members are private and untyped.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportPrivateUsage=false
from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
from grpc import aio  # pyright: ignore[reportAttributeAccessIssue]
from pulumi.runtime import resource, settings
from pulumi.runtime._grpc_settings import _GRPC_CHANNEL_OPTIONS
from pulumi.runtime.proto.resource_pb2 import RegisterResourceRequest
from pulumi.runtime.proto.resource_pb2_grpc import ResourceMonitorStub

register_in_thread: Any = resource.register_resource


def register_resource(*arguments: Any, **options: Any) -> None:
    """Registers a resource as the SDK does, after it has prepared the event loop for the call."""
    loop: Any = asyncio.get_event_loop()
    if not isinstance(loop.run_in_executor, _Calls):
        loop.run_in_executor = _Calls(loop.run_in_executor)
    register_in_thread(*arguments, **options)


class _Calls:
    """Takes the place of an event loop's `run_in_executor`, which the SDK uses for calls to the engine."""

    def __init__(self, run_in_executor: Callable[..., Awaitable[Any]]) -> None:
        self._run_in_executor = run_in_executor
        self._monitors: dict[bytes, Any] = {}

    def __call__(self, executor: Any, function: Callable[..., Any], *arguments: Any) -> Awaitable[Any]:
        call = _variable(function, "fn")
        request, monitor = _variable(call, "req"), _variable(call, "monitor")
        if isinstance(request, RegisterResourceRequest) and isinstance(monitor, ResourceMonitorStub):
            # Calls of a channel with interceptors, which the SDK uses for traces, don't know the address.
            address = getattr(monitor.RegisterResource, "_target", None)
            if address:
                return self._register(address, request)
        return self._run_in_executor(executor, function, *arguments)

    async def _register(self, address: bytes, request: RegisterResourceRequest) -> Any:
        if address not in self._monitors:
            channel = aio.insecure_channel(address.decode(), options=_GRPC_CHANNEL_OPTIONS)
            self._monitors[address] = ResourceMonitorStub(channel)
        try:
            return await self._monitors[address].RegisterResource(request)
        except grpc.RpcError as error:
            settings.handle_grpc_error(error)


def _variable(function: Any, name: str) -> Any:
    """The value of a variable that an inner function has from an outer one, or None."""
    code = getattr(function, "__code__", None)
    if code is None or name not in code.co_freevars:
        return None
    return function.__closure__[code.co_freevars.index(name)].cell_contents
