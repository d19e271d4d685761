"""Decides which stacks are production: those that protect their data, regardless of their name.

The setting is `trading:protect`. Its default is true, so a stack is production unless it sets `false`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from settings.model import NAMESPACE

SETTING = f"{NAMESPACE}:protect"
"""The setting's key in a stack file."""
OUTPUT = "protected"
"""The stack output with the setting's value, for the scan, which has a stack's state but no configuration."""


def by_configuration(config: Mapping[str, str]) -> bool:
    """Whether a stack with these configuration values is production."""
    return config.get(SETTING) not in ("false", "False")  # the strings that settings read as false


def by_state(state: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a stack with these resources, as `pulumi stack export` shows them, is production.

    A stack whose first deployment has not finished has no outputs yet, so it counts as production.
    """
    stacks = [item for item in state if item["type"] == "pulumi:pulumi:Stack"]
    return not any(item.get("outputs", {}).get(OUTPUT) is False for item in stacks)
