"""Decides which stacks are production: all but those that say in every respect that they are not.

The setting is `trading:protect`, whose default is true. A stack that sets `false` still counts as production
if it doesn't name its environment, or if the environment, the stack's name or a tag is a name of production
environments. So the rules for production can't be escaped with one word, in whatever spelling.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from policy.rule import default_tags
from settings.model import NAMESPACE

SETTING = f"{NAMESPACE}:protect"
"""The setting's key in a stack file."""
ENVIRONMENT = f"{NAMESPACE}:environment"
"""The key of the environment's name, which is also a tag of every resource."""
OUTPUT = "protected"
"""The stack output with the setting's value, for the scan, which has a stack's state but no configuration."""
TAG = "environment"

_NAME = re.compile(r"prod(uction|uctive)?\d*|prd\d*|live\d*")
"""A word of a name, in lower case, that only production environments have."""


def is_production_name(name: object) -> bool:
    """Whether a name of a stack or an environment, such as `Prod` or `eu-production`, says production."""
    return any(_NAME.fullmatch(word) for word in re.split(r"[^a-z0-9]+", str(name).casefold()))


def environment_of(config: Mapping[str, str]) -> str:
    """The name of the environment in a stack's configuration; empty if there is none."""
    return config.get(ENVIRONMENT, "").strip()


def by_configuration(
    config: Mapping[str, str], stack: str = "", tags: Mapping[str, str] | None = None
) -> bool:
    """Whether a stack is production.

    Args:
        config: its configuration values.
        stack: its name.
        tags: its tags in the state backend.
    """
    names = [environment_of(config), stack, *_environments(tags or {})]
    is_loosened = config.get(SETTING) in ("false", "False")  # the strings that settings read as false
    return not is_loosened or not environment_of(config) or any(map(is_production_name, names))


def by_state(state: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a stack with these resources, as `pulumi stack export` shows them, is production.

    A stack whose first deployment has not finished has no outputs yet, so it counts as production.
    """
    stacks = [item for item in state if item["type"] == "pulumi:pulumi:Stack"]
    providers = (item.get("inputs", {}) for item in state if item["type"] == "pulumi:providers:aws")
    names = [name for inputs in providers for name in _environments(default_tags(inputs))]
    names += [part for item in stacks for part in item["urn"].split("::")[0].split(":")[2:]]
    is_loosened = any(item.get("outputs", {}).get(OUTPUT) is False for item in stacks)
    return not is_loosened or any(map(is_production_name, names))


def _environments(tags: Mapping[str, str]) -> Iterable[str]:
    return (value for key, value in tags.items() if key.strip().casefold() == TAG)
