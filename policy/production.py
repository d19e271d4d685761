"""Which stacks are held to the rules of production: those that protect their data, whatever their name is.

The setting is `trading:protect`. Its default is true, so a stack is production unless it is known to have set
`false`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from settings.model import NAMESPACE

SETTING = f"{NAMESPACE}:protect"
"""The key in a stack file."""
OUTPUT = "protected"
"""The stack output that has the setting's value: the scan has a stack's state, and not its configuration."""


def by_configuration(config: Mapping[str, str]) -> bool:
    """Whether a stack with these configuration values is production."""
    return config.get(SETTING) not in ("false", "False")  # the texts that settings read as false


def by_state(state: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a stack with these resources, as `pulumi stack export` shows them, is production.

    A stack whose first deployment has not finished has no outputs yet, and so is production.
    """
    stacks = [item for item in state if item["type"] == "pulumi:pulumi:Stack"]
    return not any(item.get("outputs", {}).get(OUTPUT) is False for item in stacks)
