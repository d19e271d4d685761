"""All rules, by what they are about."""

from __future__ import annotations

from policy.rule import Rule, StackRule
from policy.rules import data

_MODULES = (data,)

RULES: tuple[Rule, ...] = tuple(
    item for module in _MODULES for item in vars(module).values() if isinstance(item, Rule)
)
STACK_RULES: tuple[StackRule, ...] = tuple(
    item for module in _MODULES for item in vars(module).values() if isinstance(item, StackRule)
)
