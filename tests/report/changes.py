"""Previews of single changes, in the form in which the engine writes them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from report import causes, dangers, preview
from report.dangers import Danger
from report.preview import Preview

_HEAD = "urn:pulumi:prod::trading::"


def urn(token: str, name: str = "it", tier: str = "") -> str:
    """The URN of a resource, in a tier such as `Cache`."""
    return f"{_HEAD}{f'trading:tier:{tier}$' if tier else ''}{token}::{name}"


def step(
    token: str,
    old: Mapping[str, Any] | None,
    new: Mapping[str, Any] | None,
    *,
    operation: str = "",
    name: str = "it",
    tier: str = "",
    sources: Mapping[str, Sequence[str]] | None = None,
    replace_keys: Sequence[str] = (),
    detail: Mapping[str, str] | None = None,
    **options: object,
) -> dict[str, Any]:
    """A step of the engine.

    Args:
        token: the resource's type.
        old: its inputs before; None if it is created.
        new: its inputs after; None if it is deleted.
        operation: by default what follows from the inputs.
        name: its logical name.
        tier: see `urn`.
        sources: property → URNs of the resources whose outputs it uses, before and after.
        replace_keys: the properties that force a replacement.
        detail: path → kind of difference, as far as the provider names them.
        options: resource options after the change, such as `protect`.
    """
    operation = operation or ("create" if old is None else "delete" if new is None else "update")
    whole = urn(token, name, tier)

    def state(inputs: Mapping[str, Any] | None, more: Mapping[str, object]) -> dict[str, Any] | None:
        if inputs is None:
            return None
        base = {"urn": whole, "custom": True, "type": token, "propertyDependencies": dict(sources or {})}
        return {**base, "inputs": dict(inputs), "outputs": dict(inputs), **more}

    found = {
        "op": operation,
        "urn": whole,
        "oldState": state(old, {}),
        "newState": state(new, options),
        "replaceReasons": list(replace_keys),
        "detailedDiff": {path: {"kind": kind, "inputDiff": False} for path, kind in (detail or {}).items()},
    }
    return {key: value for key, value in found.items() if value is not None}


def document(*steps: Mapping[str, Any], **more: object) -> str:
    """The engine's document with some steps."""
    operations = [item["op"] for item in steps]
    summary = {key: operations.count(key) for key in operations}
    return json.dumps({"steps": list(steps), "changeSummary": summary, **more})


def read(*steps: Mapping[str, Any]) -> Preview:
    """The preview with some steps."""
    return preview.read(document(*steps))


def dangers_of(*steps: Mapping[str, Any]) -> list[Danger]:
    """The dangers of a preview with some steps."""
    return dangers.find(causes.explain(read(*steps).changes))


def kinds(*steps: Mapping[str, Any]) -> list[str]:
    """The kinds of the dangers, each once."""
    return list(dict.fromkeys(danger.kind for danger in dangers_of(*steps)))


def policy(*statements: Mapping[str, Any]) -> str:
    """A policy document."""
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def allow(action: str | Sequence[str], resource: str = "arn:aws:s3:::a/*", **more: object) -> dict[str, Any]:
    """A statement that allows something."""
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}
