"""What a rule is: a pure function over one resource, or over a whole stack."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Resource:
    """A resource as a rule sees it: what the program asks for, before it is created."""

    type: str
    """Pulumi's type token, such as `aws:rds/cluster:Cluster`."""
    name: str
    """The logical name."""
    urn: str
    properties: Mapping[str, Any]
    """By wire name, such as `storageEncrypted`. Reading one that a preview does not know yet raises; the
    rule is then judged in the deployment."""
    provider: Mapping[str, Any]
    """Properties of its provider, such as `region` and `defaultTags`."""
    protect: bool
    refers_to: frozenset[str]
    """URNs of the resources whose outputs are among its properties."""


@dataclass(frozen=True)
class Stack:
    """All resources of a stack."""

    resources: Sequence[Resource]

    def of(self, *types: str) -> Iterator[Resource]:
        """The resources of these types."""
        return (resource for resource in self.resources if resource.type in types)

    def companions(self, resource: Resource, *types: str) -> Iterator[Resource]:
        """The resources of these types that refer to `resource`, such as a bucket's policy."""
        return (other for other in self.of(*types) if resource.urn in other.refers_to)


Finding = tuple[Resource, str]
"""A resource, and what is wrong with it and would do."""


@dataclass(frozen=True, kw_only=True)
class Rule:
    """A rule: what it asks, which controls ask the same, and the function that judges."""

    name: str
    title: str
    """What is asked, as a sentence."""
    controls: tuple[str, ...]
    """Ids in AWS Foundational Security Best Practices, such as `RDS.27`; none for a rule of our own."""
    types: tuple[str, ...]
    """The type tokens that it judges; none for all."""
    check: Callable[[Resource], Iterable[str]]

    def applies_to(self, resource: Resource) -> bool:
        """Whether the rule has anything to say about resources of this type."""
        return not self.types or resource.type in self.types


@dataclass(frozen=True, kw_only=True)
class StackRule:
    """A rule over resources together, such as a bucket and its policy; it is judged when all are known."""

    name: str
    title: str
    controls: tuple[str, ...]
    types: tuple[str, ...]
    """The type tokens that it is about."""
    check: Callable[[Stack], Iterable[Finding]]


def rule(
    title: str, *types: str, controls: Sequence[str] = ()
) -> Callable[[Callable[[Resource], Iterable[str]]], Rule]:
    """Makes a rule of a function that yields what is wrong with a resource; its name is the function's."""

    def decorate(check: Callable[[Resource], Iterable[str]]) -> Rule:
        return Rule(name=_name(check), title=title, controls=tuple(controls), types=types, check=check)

    return decorate


def stack_rule(
    title: str, *types: str, controls: Sequence[str] = ()
) -> Callable[[Callable[[Stack], Iterable[Finding]]], StackRule]:
    """Makes a rule of a function that yields what is wrong with a stack."""

    def decorate(check: Callable[[Stack], Iterable[Finding]]) -> StackRule:
        return StackRule(name=_name(check), title=title, controls=tuple(controls), types=types, check=check)

    return decorate


def _name(check: Callable[..., object]) -> str:
    return check.__name__.replace("_", "-")
