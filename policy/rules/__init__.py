"""All rules, with one module for each subject."""

from __future__ import annotations

from policy.rule import Rule, StackRule
from policy.rules import (
    access,
    api,
    cluster_access,
    data,
    documents,
    edge,
    known,
    kubernetes,
    network,
    operations,
    pods,
    quotas,
    secrets,
)

_MODULES = (
    *(network, edge, api, data, access, documents, operations, kubernetes, pods, cluster_access),
    secrets,
    *(quotas, known),
)

RULES: tuple[Rule, ...] = tuple(
    item for module in _MODULES for item in vars(module).values() if isinstance(item, Rule)
)
STACK_RULES: tuple[StackRule, ...] = tuple(
    item for module in _MODULES for item in vars(module).values() if isinstance(item, StackRule)
)
NAMES: tuple[str, ...] = tuple(rule.name for rule in (*RULES, *STACK_RULES))
