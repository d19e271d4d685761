"""Avoids costs of Pulumi's SDK, which together were most of the program's time.

- Some functions do more than their results need, and one of them in a time that grows with the square of the
  number of outputs (`components.sdk_outputs`).
- The SDK sends the engine about ten debug messages for each resource, each in a call of its own. The engine
  drops them unless it runs with `--debug`, but doesn't tell the program whether it does.
- Python's garbage collector repeatedly examines the tasks and outputs of all resources, which live until the
  program ends, and once more at the end.
- The SDK imports all modules of a service (`components.lazy_sdk`).
"""

# The SDK's functions are private and untyped.
# pyright: reportPrivateUsage=false
from __future__ import annotations

import atexit
import gc
import hashlib
import inspect
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pulumi
from pulumi import _types, _utils, resource_hooks
from pulumi.runtime import resource, rpc, stack

from components import lazy_sdk, sdk_outputs


@dataclass(frozen=True)
class Replacement:
    """A function of the SDK, and what takes its place.

    Attributes:
        home: the SDK's module or class that has the function.
        ours: gives the same results.
        versions: start of the SHA-256 digest of the function's source → versions of the SDK that have it.
            Only these are replaced.
    """

    home: Any
    name: str
    ours: Callable[..., Any]
    versions: dict[str, str]

    @property
    def key(self) -> str:
        """The function's name, after that of its class."""
        return f"{self.home.__name__}.{self.name}" if isinstance(self.home, type) else self.name

    def is_known(self, function: Callable[..., Any]) -> bool:
        """Whether `ours` was compared with this version of the SDK's function."""
        return hashlib.sha256(inspect.getsource(function).encode()).hexdigest()[:16] in self.versions


REPLACEMENTS = [
    Replacement(
        stack,
        "wait_for_rpcs",
        sdk_outputs.wait_for_rpcs,
        {
            "c0f9027f85ad0925": "without ResourceRegistrationFailed, such as 3.250.0 and 3.272.0",
            "c92289a2f839f522": "with ResourceRegistrationFailed, such as 3.255.0",
        },
    ),
    Replacement(pulumi.Output, "_track", sdk_outputs.track, {"72569ad70fd52b20": "3.255.0"}),
    Replacement(rpc, "transfer_properties", sdk_outputs.transfer_properties, {"0e7c02ffa04ff20b": "3.255.0"}),
    Replacement(rpc, "resolve_outputs", sdk_outputs.resolve_outputs, {"934203d0cd406759": "3.255.0"}),
    Replacement(rpc, "resolve_properties", sdk_outputs.resolve_properties, {"843d1e60479ae9e9": "3.255.0"}),
    Replacement(
        rpc, "serialize_properties", sdk_outputs.serialize_properties, {"d101e72bd9ececa9": "3.255.0"}
    ),
    Replacement(rpc, "serialize_property", sdk_outputs.serialize_property, {"7e10fa58caa0d784": "3.255.0"}),
    Replacement(
        rpc, "deserialize_property", sdk_outputs.deserialize_property, {"662b333c8c26d270": "3.255.0"}
    ),
    Replacement(
        rpc,
        "translate_output_properties",
        sdk_outputs.translate_output_properties,
        {"3ec2501d581fd670": "3.255.0"},
    ),
    Replacement(resource, "create_urn", sdk_outputs.create_urn, {"b4efa209c920a83a": "3.255.0"}),
    Replacement(rpc, "contains_unknowns", sdk_outputs.contains_unknowns, {"1f1f335b6f48b960": "3.255.0"}),
    Replacement(pulumi.ResourceOptions, "_copy", sdk_outputs.copy_options, {"ff966ad7795c2d67": "3.255.0"}),
    Replacement(
        resource_hooks.ResourceHookBinding, "_copy", sdk_outputs.copy_options, {"18767d6602870c8d": "3.255.0"}
    ),
    Replacement(_utils.ContextProperty, "__get__", sdk_outputs.get_property, {"9ad2f80adadba86b": "3.255.0"}),
    Replacement(_types, "unwrap_type", sdk_outputs.unwrap_type, {"6ccd35036cb0b3d4": "3.255.0"}),
    Replacement(_types, "resource_types", sdk_outputs.resource_types, {"36ca79dc260ad3c1": "3.255.0"}),
    Replacement(
        _types, "resource_pulumi_to_py_names", sdk_outputs.resource_names, {"bcc13d05dd1d086b": "3.255.0"}
    ),
    Replacement(
        _types, "input_type_py_to_pulumi_names", sdk_outputs.input_names, {"c80765937c2c2bca": "3.255.0"}
    ),
    Replacement(resource, "_get_stack_trace", sdk_outputs.get_stack_trace, {"3943b22730169251": "3.255.0"}),
]

ORIGINALS: dict[str, Callable[..., Any]] = {it.key: getattr(it.home, it.name) for it in REPLACEMENTS}
"""The SDK's own functions, by `Replacement.key`."""

DEBUG_VARIABLE = "TRADING_SDK_DEBUG"
"""Environment variable that keeps the SDK's debug messages, for `pulumi up --debug`."""


def avoid() -> None:
    """Avoids the costs in this process. Call it before the SDK's modules are used."""
    gc.set_threshold(1_000_000, 50)
    # All objects are still there when Python ends, which would examine them again.
    atexit.register(gc.freeze)
    if not os.environ.get(DEBUG_VARIABLE):
        pulumi.log.debug = _drop
    replace()
    lazy_sdk.install()


def _drop(*_: Any, **__: Any) -> None:
    """Takes the place of `pulumi.log.debug`."""


def replace() -> None:
    """Replaces the SDK's functions that are known, and leaves the others unchanged."""
    unknown: list[str] = []
    for it in REPLACEMENTS:
        if it.is_known(ORIGINALS[it.key]):
            setattr(it.home, it.name, it.ours)
        else:
            unknown.append(it.key)
    if unknown:
        pulumi.log.info(
            f"components/sdk_costs.py doesn't know this version of {', '.join(unknown)} in Pulumi's SDK, so "
            "the program uses the SDK's own code. If that is fast enough, delete the replacement."
        )
