"""Avoids costs of Pulumi's SDK, which together were most of the program's time.

- Before a program ends, the SDK waits for all of its outputs. After each output, it starts to wait for all
  outstanding ones again, so the time grows with the square of their number.
- The SDK sends the engine about ten debug messages for each resource, each in a call of its own. The engine
  drops them unless it runs with `--debug`, but doesn't tell the program whether it does.
- Python's garbage collector repeatedly examines the tasks and outputs of all resources, which live until the
  program ends.
- The SDK imports all modules of a service (`components.lazy_sdk`).
"""

from __future__ import annotations

import asyncio
import gc
import hashlib
import inspect
import os
from typing import Any

import pulumi
from pulumi.runtime import stack

from components import lazy_sdk

sdk: Any = stack  # its parts are private and untyped

QUADRATIC = {
    "c0f9027f85ad0925": "versions without ResourceRegistrationFailed, such as 3.250.0 and 3.272.0",
    "c92289a2f839f522": "versions with ResourceRegistrationFailed, such as 3.255.0",
}
"""Start of the SHA-256 digest of the source of `wait_for_rpcs` → the SDK's versions that have it. Only these
are replaced."""


original = sdk.wait_for_rpcs
"""The SDK's own function."""


DEBUG_VARIABLE = "TRADING_SDK_DEBUG"
"""Environment variable that keeps the SDK's debug messages, for `pulumi up --debug`."""


def avoid() -> None:
    """Avoids the costs in this process. Call it before the SDK's modules are used."""
    gc.set_threshold(100_000, 50)
    if not os.environ.get(DEBUG_VARIABLE):
        pulumi.log.debug = _drop
    replace_wait()
    lazy_sdk.install()


def _drop(*_: Any, **__: Any) -> None:
    """Takes the place of `pulumi.log.debug`."""


def replace_wait() -> None:
    """Replaces the SDK's function if it is one of `QUADRATIC`, and otherwise leaves it unchanged."""
    if hashlib.sha256(inspect.getsource(original).encode()).hexdigest()[:16] in QUADRATIC:
        sdk.wait_for_rpcs = wait_for_rpcs
    else:
        pulumi.log.info(
            "components/sdk_costs.py doesn't know how this version of Pulumi's SDK waits for outputs, so it "
            "uses the SDK's own code. If that is fast enough, delete the replacement."
        )


async def wait_for_rpcs(await_all_outstanding_tasks: bool = True) -> None:
    """Waits for all calls to the engine and all outputs, including those that are added meanwhile.

    Raises:
        Exception: the first error of a call or an output.
    """
    manager = sdk._get_rpc_manager()
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
    ended: asyncio.Queue[asyncio.Future[Any]] = asyncio.Queue()
    waiting = 0
    while True:
        with sdk.SETTINGS.lock:
            new = list(sdk.SETTINGS.outputs)
            sdk.SETTINGS.outputs.clear()
        for output in new:
            output.add_done_callback(ended.put_nowait)
        waiting += len(new)
        if not waiting:
            return
        output = await ended.get()
        waiting -= 1
        try:
            await output
        except getattr(sdk, "ResourceRegistrationFailed", ()):
            # An update that continues after errors reports them itself, and other resources go on.
            pass
