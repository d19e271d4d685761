"""The rule that refuses types which nobody has looked at."""

from __future__ import annotations

import functools
from collections.abc import Iterator

from policy import types
from policy.rule import Resource, Rule, StackRule, rule
from policy.rules import (
    access,
    api,
    cluster_access,
    data,
    documents,
    edge,
    kubernetes,
    network,
    operations,
    pods,
)
from policy.types import TypeEntry, carries_others

JUDGING = (network, edge, api, data, access, documents, operations, kubernetes, pods, cluster_access)
"""The modules whose rules count. Those about quotas only check sizes."""

CHECKED = frozenset(
    type_
    for module in JUDGING
    for item in vars(module).values()
    if isinstance(item, Rule | StackRule)
    for type_ in item.types
)
"""The types for which a rule exists."""

ENTRIES = types.load()


def entry_of(resource: Resource) -> TypeEntry | None:
    """The entry of `types.yaml` that names a resource."""
    found = (
        entry
        for entry in _entries(resource.type)
        if entry.covers(resource.urn, is_component=resource.is_component)
    )
    return next(found, None)


@functools.cache
def _entries(type_: str) -> list[TypeEntry]:
    return [entry for entry in ENTRIES if entry.names(type_)]


@rule("Every type has a rule, or an entry in policy/types.yaml that says why it needs none")
def type_is_known(resource: Resource) -> Iterator[str]:
    if entry_of(resource):
        return
    if carries_others(resource.type):
        yield (
            f"{resource.type} carries resources or code which no rule sees: use resources of their own "
            "types, or add an entry to policy/types.yaml with types, resources (the places of those that "
            f"are right, here {resource.place}), reason (who checks what they carry) and owner"
        )
    elif resource.type not in CHECKED:
        yield (
            f"no rule checks {resource.type}: write a rule for what a wrong setting of it can do, or add an "
            "entry to policy/types.yaml with types, reason (why no setting of it opens access, weakens "
            "encryption or loses data) and owner"
        )
