"""The linear wait for outputs behaves as the SDK's own, which is quadratic; the other costs are avoided."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable
from typing import Any

import pulumi
import pytest

from components import sdk_costs
from components.sdk_costs import sdk

Wait = Callable[[], Awaitable[None]]
BOTH: list[Wait] = [sdk_costs.original, sdk_costs.wait_for_rpcs]


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
    assert waits(sdk_costs.original, 60) > 60 * 60 / 4, (
        "delete components/sdk_costs.py: the SDK's wait is linear"
    )
    assert waits(sdk_costs.wait_for_rpcs, 60) <= 2 * 60


def test_the_installed_version_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sdk, "wait_for_rpcs", sdk_costs.original)
    sdk_costs.replace_wait()
    assert sdk.wait_for_rpcs is sdk_costs.wait_for_rpcs


def test_another_version_is_left_unchanged(monkeypatch: pytest.MonkeyPatch) -> None:
    async def newer() -> None: ...

    messages: list[str] = []
    monkeypatch.setattr("pulumi.log.info", messages.append)
    monkeypatch.setattr(sdk_costs, "original", newer)
    monkeypatch.setattr(sdk, "wait_for_rpcs", newer)
    sdk_costs.replace_wait()
    assert sdk.wait_for_rpcs is newer
    assert len(messages) == 1


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
        assert gc.get_threshold()[0] >= 100_000
    finally:
        gc.set_threshold(*before)
