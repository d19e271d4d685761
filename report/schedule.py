"""The order of a deployment's operations, and how long they take on AWS.

The engine's rules (pulumi/pulumi v3.255.0, `pkg/resource/deploy`, and `prepare_resource` in the Python SDK's
`runtime/resource.py`):

- A resource is created once everything it depends on is: the resources whose outputs its inputs contain,
  those in `depends_on`, and its provider. A dependency on a component is one on all resources in it. Its
  parent must be registered, which takes no time if that is a component.
- Deletions run in layers (`ScheduleDeletes`). A layer contains the resources that only deleted ones depend
  on, and begins when the whole layer before it is deleted.
- At most as many operations run at the same time as `--parallel` says (four per processor by default).

The typical durations are in `durations.yaml`.
"""

from __future__ import annotations

import graphlib
import heapq
from collections.abc import Collection, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from policy.values import read_yaml
from report.tiers import TIERS, tier_of

Operation = Literal["create", "update", "delete"]

SHORT = 5
"""Operations of at most this many seconds are calls that wait for nothing."""

DURATIONS = Path(__file__).with_name("durations.yaml")


@dataclass(frozen=True, kw_only=True)
class Resource:
    """A resource of a stack, as far as the order of operations depends on it."""

    urn: str
    type: str
    custom: bool
    """Whether a provider creates it. Components are not custom."""
    inputs: Mapping[str, Any]
    parent: str
    """URN; empty for the stack itself."""
    provider: str
    """URN; empty for a default provider."""
    dependencies: Set[str]
    """URNs of everything that it depends on."""
    by_value: Mapping[str, Set[str]]
    """Input → URNs of the resources whose outputs it contains."""
    retained: bool
    """Whether it stays on AWS when it is deleted from the stack."""

    @property
    def name(self) -> str:
        """Logical name."""
        return self.urn.rpartition("::")[2]


class Durations:
    """The typical durations of operations, in seconds."""

    def __init__(self, path: Path = DURATIONS) -> None:
        data: dict[str, Any] = read_yaml(path)
        self.default: int = data["default"]["seconds"]
        self.types: Mapping[str, Mapping[str, Any]] = data["types"]
        self.unmeasured: Mapping[str, str] = data["unmeasured"]

    def of(self, resource: Resource, operation: Operation) -> int:
        """The duration of an operation on a resource, or on a component.

        A component takes no time, unless the table has one for those whose resources are unknown.
        """
        known = self.types.get(resource.type, {})
        if not resource.custom or resource.type.startswith(("pulumi:", "random:")):
            return known.get(operation, 0)
        if operation == "delete" and resource.retained:
            return 0
        return known.get(operation, self.default)

    def wait(self, resource: Resource) -> tuple[str, int]:
        """The type of resources whose deletion this one's waits for, and for how many seconds after it."""
        after = self.types.get(resource.type, {}).get("deleteAfter", {"type": "", "seconds": 0})
        return after["type"], after["seconds"]


@dataclass(frozen=True, kw_only=True)
class Step:
    """One operation, in seconds since the deployment began."""

    resource: Resource
    start: int
    end: int
    slack: int
    """How much longer it could take without delaying the end of the deployment."""

    @property
    def tier(self) -> str:
        """The tier of its resource."""
        return tier_of(self.resource.urn)


@dataclass(frozen=True, kw_only=True)
class Makespan:
    """A schedule with as many operations at the same time as possible."""

    operation: str
    steps: Sequence[Step]
    """All operations that take time, by start."""
    path: Sequence[Step]
    """The operations that decide the duration, one after the other."""

    @cached_property
    def seconds(self) -> int:
        """Duration of the deployment."""
        return max((step.end for step in self.steps), default=0)

    def tiers(self) -> dict[str, tuple[int, int, int]]:
        """Tier → seconds until its first operation starts and its last one ends, and its slack.

        The slack is the least of its operations that wait for something: how much longer the tier could take.
        """
        found: dict[str, tuple[int, int, int]] = {}
        for tier in TIERS:
            steps = [step for step in self.steps if step.tier == tier]
            if steps:
                start, end = min(step.start for step in steps), max(step.end for step in steps)
                long = [step for step in steps if step.end - step.start > SHORT] or steps
                found[tier] = start, end, min(step.slack for step in long)
        return found


class Plan:
    """The resources of a stack, and what each waits for."""

    def __init__(self, resources: Iterable[Resource], durations: Durations | None = None) -> None:
        self.durations = durations or Durations()
        self.resources = {resource.urn: resource for resource in resources}
        self._children: dict[str, set[str]] = {}
        for resource in self.resources.values():
            self._children.setdefault(resource.parent, set()).add(resource.urn)

    def waits(self, resource: Resource, also: Collection[str] | None = None) -> set[str]:
        """URNs of what must exist before the resource is created.

        Args:
            resource: one of the stack's.
            also: what it depends on besides values, its provider and its parent; None for everything.
        """
        demanded = {urn for urns in resource.by_value.values() for urn in urns}
        demanded |= set(resource.dependencies if also is None else also)
        found = {urn for item in demanded for urn in self._expanded(item)} - {resource.urn}
        return (found | {resource.provider, resource.parent}) & self.resources.keys()

    def _expanded(self, urn: str) -> set[str]:
        """The resource, and everything inside it if it is a component."""
        known = self.resources.get(urn)
        if known is None or known.custom:
            return {urn}
        return {urn}.union(*(self._expanded(child) for child in self._children.get(urn, ())))

    def all_waits(self) -> dict[str, set[str]]:
        """URN → URNs of what must exist first."""
        return {urn: self.waits(resource) for urn, resource in self.resources.items()}

    def up(
        self, waits: Mapping[str, Set[str]] | None = None, operations: Mapping[str, Operation] | None = None
    ) -> Makespan:
        """A deployment.

        Args:
            waits: URN → URNs of what must exist first; everything by default.
            operations: URN → what happens to a resource. Resources that are not in it stay as they are. By
                default, all are created.
        """
        if operations is None:
            operations = dict.fromkeys(self.resources, "create")
        seconds = {
            urn: self._seconds(resource, operations[urn]) if urn in operations else 0
            for urn, resource in self.resources.items()
        }
        return self._schedule("up", waits or self.all_waits(), seconds)

    def add(self, before: Plan) -> Makespan:
        """The deployment that turns another state of the stack, for example without a region, into this one.

        A resource with other inputs is updated. None is replaced.
        """
        operations: dict[str, Operation] = {}
        for urn, resource in self.resources.items():
            known = before.resources.get(urn)
            if known is None:
                operations[urn] = "create"
            elif known.inputs != resource.inputs:
                operations[urn] = "update"
        return self.up(operations=operations)

    def _seconds(self, resource: Resource, operation: Operation) -> int:
        contains = not resource.custom and resource.urn in self._children
        return 0 if contains else self.durations.of(resource, operation)

    def _schedule(
        self, operation: str, waits: Mapping[str, Set[str]], seconds: Mapping[str, int]
    ) -> Makespan:
        """Each operation as early as possible, and by how much it could end later."""
        order = list(graphlib.TopologicalSorter(waits).static_order())
        start: dict[str, int] = {}
        for urn in order:
            start[urn] = max((start[other] + seconds[other] for other in waits[urn]), default=0)
        total = max((start[urn] + seconds[urn] for urn in order), default=0)
        latest = dict.fromkeys(order, total)
        for urn in reversed(order):
            for other in waits[urn]:
                latest[other] = min(latest[other], latest[urn] - seconds[urn])
        steps = {
            urn: Step(
                resource=self.resources[urn],
                start=start[urn],
                end=start[urn] + seconds[urn],
                slack=latest[urn] - start[urn] - seconds[urn],
            )
            for urn in order
        }
        return Makespan(operation=operation, steps=_sorted(steps.values()), path=_path(steps, waits))

    def layers(self) -> list[list[Resource]]:
        """The resources in the order of their deletion. A layer begins when the one before it is deleted."""
        waits = self.all_waits()
        depth: dict[str, int] = {}
        for urn in graphlib.TopologicalSorter(waits).static_order():
            depth[urn] = 1 + max((depth[other] for other in waits[urn]), default=-1)
        found: list[list[Resource]] = [[] for _ in range(1 + max(depth.values(), default=-1))]
        for urn, layer in depth.items():
            found[-1 - layer].append(self.resources[urn])
        return found

    def down(self) -> Makespan:
        """The destruction of all resources."""
        users: dict[str, set[str]] = {}
        for resource in self.resources.values():
            for urn in set[str]().union(*resource.by_value.values()):
                users.setdefault(urn, set()).add(resource.urn)
        ends: dict[str, int] = {}
        steps: list[Step] = []
        path: list[Step] = []
        now = 0
        for layer in self.layers():
            for resource in layer:
                ends[resource.urn] = self._deleted(resource, now, users.get(resource.urn, ()), ends)
            last = max(ends[resource.urn] for resource in layer)
            ended = [
                Step(resource=it, start=now, end=ends[it.urn], slack=last - ends[it.urn]) for it in layer
            ]
            steps += ended
            path.append(min((step for step in ended if not step.slack), key=lambda step: step.resource.urn))
            now = last
        return Makespan(operation="down", steps=_sorted(steps), path=_taking_time(path))

    def down_without_layers(self) -> int:
        """Seconds that the destruction would take if each deletion waited only for what depends on it.

        This is the length of the longest chain of deletions. Network interfaces of functions are left out.
        """
        waits = self.all_waits()
        longest: dict[str, int] = {}
        for urn in graphlib.TopologicalSorter(waits).static_order():
            before = max((longest[other] for other in waits[urn]), default=0)
            longest[urn] = before + self._seconds(self.resources[urn], "delete")
        return max(longest.values(), default=0)

    def _deleted(self, resource: Resource, start: int, users: Iterable[str], ends: Mapping[str, int]) -> int:
        """When a deletion that starts then ends."""
        token, seconds = self.durations.wait(resource)
        freed = [ends[urn] + seconds for urn in users if self.resources[urn].type == token]
        return max(start + self._seconds(resource, "delete"), *freed, 0)

    def with_workers(self, workers: int) -> int:
        """Seconds that a first deployment takes if at most this number of operations runs at the same time.

        Operations that have everything that they need start in the order in which they got it.
        """
        waits = self.all_waits()
        needed_by: dict[str, list[str]] = {urn: [] for urn in waits}
        for urn, others in waits.items():
            for other in others:
                needed_by[other].append(urn)
        missing = {urn: len(others) for urn, others in waits.items()}
        ready = [(0, urn) for urn, count in missing.items() if not count]
        heapq.heapify(ready)
        running: list[tuple[int, str]] = []
        now = 0
        while ready or running:
            while ready and len(running) < workers:
                _, urn = heapq.heappop(ready)
                heapq.heappush(running, (now + self._seconds(self.resources[urn], "create"), urn))
            now, ended = heapq.heappop(running)
            for urn in needed_by[ended]:
                missing[urn] -= 1
                if not missing[urn]:
                    heapq.heappush(ready, (now, urn))
        return now


def _sorted(steps: Iterable[Step]) -> list[Step]:
    return sorted(_taking_time(steps), key=lambda step: (step.start, step.end, step.resource.urn))


def _taking_time(steps: Iterable[Step]) -> list[Step]:
    return [step for step in steps if step.end > step.start]


def _path(steps: Mapping[str, Step], waits: Mapping[str, Set[str]]) -> list[Step]:
    """The chain of operations without a gap that ends last."""
    path: list[Step] = []
    found = max(steps.values(), key=lambda step: (step.end, step.resource.urn), default=None)
    while found is not None:
        path.append(found)
        before = (steps[urn] for urn in waits[found.resource.urn])
        found = max(before, key=lambda step: (step.end, step.resource.urn), default=None)
    return _taking_time(reversed(path))
