"""Rules: pure functions that check one resource, alone or together with others of its stack."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pulumi_policy.proxy import UnknownValueError

from policy import places
from policy.documents.parse import Document, documents
from policy.types import canonical
from policy.values import SECRET, Text, collected, is_list, is_map, listed, texts

__all__ = ["SECRET", "is_list", "is_map", "listed"]


@dataclass(frozen=True, kw_only=True)
class Resource:
    """A resource as rules see it: its inputs, before it is created."""

    type: str
    """Pulumi's type token, such as `aws:rds/cluster:Cluster`. Other tokens of the type become this one."""
    name: str
    """The resource's logical name."""
    urn: str
    properties: Mapping[str, Any]
    """Inputs by wire name, such as `storageEncrypted`, with `SECRET` in place of secrets. Reading a value
    that a preview doesn't know yet raises an error; the rule is then checked during the deployment."""
    provider: Mapping[str, Any]
    """Properties of the resource's provider, such as `region` and `defaultTags`."""
    protect: bool
    sources: Mapping[str, frozenset[str]]
    """Property → URNs of the resources whose outputs are used in it. Empty for rules over one resource."""
    is_production: bool
    """Whether the rules for production apply to the stack; see `policy.production`."""
    environment: str = ""
    """The environment's name in the stack's settings; empty if it is not known."""
    permissions_boundary: str = ""
    """The ARN of the permissions boundary in the stack's settings; empty if there is none."""
    is_component: bool = False
    """Whether no provider creates it, so that it has nothing but children."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "type", canonical(self.type))

    def get(self, path: str) -> Any:
        """The property at a path such as `encryptionInfo.encryptionInTransit.inCluster`, or None."""
        value: Any = self.properties
        for key in path.split("."):
            if not is_map(value):
                return None
            value = value.get(key)
        return value

    @property
    def place(self) -> str:
        """The types of its parents, its type and its name, as in its URN."""
        return places.place(self.urn)

    @functools.cached_property
    def refers_to(self) -> frozenset[str]:
        """URNs of the resources whose outputs are used in the properties."""
        return frozenset[str]().union(*self.sources.values())

    def documents(self) -> Iterator[Document]:
        """The policy documents in the properties.

        Raises:
            UnknownValueError: a preview doesn't know a property yet. The documents in the others come first.
        """
        found, unknown = self._documents
        yield from found
        if unknown:
            raise unknown

    def texts(self) -> Iterator[Text]:
        """The texts in the properties, at any depth.

        Raises:
            UnknownValueError: a preview doesn't know a property yet. The texts in the others come first.
        """
        found, unknown = self._texts
        yield from found
        if unknown:
            raise unknown

    def reuse(self, other: Resource) -> None:
        """Takes the texts and documents that were found in another one, which has the same properties."""
        for name in ("_documents", "_texts"):
            if name in vars(other):
                vars(self)[name] = vars(other)[name]

    @functools.cached_property
    def _documents(self) -> tuple[list[Document], UnknownValueError | None]:
        return collected(documents(self.properties))

    @functools.cached_property
    def _texts(self) -> tuple[list[Text], UnknownValueError | None]:
        return collected(texts(self.properties))

    @property
    def default_tags(self) -> Mapping[str, str]:
        """The tags that the provider adds to the resource."""
        return default_tags(self.provider)


@dataclass(frozen=True)
class Stack:
    """All resources of a stack."""

    resources: Sequence[Resource]

    @functools.cached_property
    def by_type(self) -> Mapping[str, Sequence[Resource]]:
        """Type → the resources that have it, in their order."""
        found: dict[str, list[Resource]] = {}
        for resource in self.resources:
            found.setdefault(resource.type, []).append(resource)
        return found

    def companions(self, resource: Resource, *types: str) -> Iterator[Resource]:
        """The resources of the given types that refer to `resource`, such as a bucket's policy."""
        return (
            other
            for type_ in types
            for other in self.by_type.get(type_, ())
            if resource.urn in other.refers_to
        )

    def siblings(self, resource: Resource, key: str) -> list[Resource]:
        """The resources of the same type that belong to the same resource, including this one.

        The property `key` names the resource that they belong to. A preview compares where the property comes
        from, because it doesn't know the value yet.
        """
        owner = _owner(resource, key)
        return [other for other in self.by_type.get(resource.type, ()) if _owner(other, key) == owner]


def _owner(resource: Resource, key: str) -> object:
    return resource.sources.get(key) or resource.get(key)


@dataclass(frozen=True, kw_only=True)
class _Rule:
    name: str
    title: str
    """What the rule requires, as a sentence."""
    controls: tuple[str, ...]
    """Ids in AWS Foundational Security Best Practices, such as `RDS.27`. Empty for the platform's own
    rules."""
    types: tuple[str, ...]
    """The type tokens of the resources that the rule checks. Empty for all resources."""

    def applies_to(self, type_: str) -> bool:
        """Whether the rule checks resources of this type."""
        return not self.types or type_ in self.types


@dataclass(frozen=True, kw_only=True)
class Rule(_Rule):
    """A rule over one resource, which is checked before the resource is created."""

    check: Callable[[Resource], Iterable[str]]
    """Yields each problem and its remedy."""


@dataclass(frozen=True, kw_only=True)
class StackRule(_Rule):
    """A rule over a resource and its companions, which is checked when all are known, at a preview's end."""

    check: Callable[[Resource, Stack], Iterable[str]]


def rule(
    title: str, *types: str, controls: Sequence[str] = ()
) -> Callable[[Callable[[Resource], Iterable[str]]], Rule]:
    """Turns a function that yields a resource's problems into a rule with the function's name."""

    def decorate(check: Callable[[Resource], Iterable[str]]) -> Rule:
        return Rule(name=_name(check), title=title, controls=tuple(controls), types=types, check=check)

    return decorate


def stack_rule(
    title: str, *types: str, controls: Sequence[str] = ()
) -> Callable[[Callable[[Resource, Stack], Iterable[str]]], StackRule]:
    """Like `rule`, for a function that also checks the resource's companions."""

    def decorate(check: Callable[[Resource, Stack], Iterable[str]]) -> StackRule:
        return StackRule(name=_name(check), title=title, controls=tuple(controls), types=types, check=check)

    return decorate


def must_be(resource: Resource, path: str, *accepted: object, unset: bool = False) -> Iterator[str]:
    """Yields a problem if the property has none of the accepted values.

    With `unset`, a property without a value is accepted too, because AWS's default is.
    """
    value = resource.get(path)
    if value is None and unset:
        return
    if value not in accepted:
        wanted = " or ".join(_shown(item) for item in accepted)
        yield f"{path} is {'not set' if value is None else _shown(value)}: set it to {wanted}"


def must_be_set(resource: Resource, path: str, hint: str) -> Iterator[str]:
    """Yields a problem if the property has no value."""
    if not resource.get(path):
        yield f"{path} is not set: {hint}"


def must_be_at_least(resource: Resource, path: str, least: float) -> Iterator[str]:
    """Yields a problem if a number is below the minimum, or if a list is shorter."""
    value = resource.get(path)
    size: float = len(value) if is_list(value) else value or 0
    if size < least:
        what = "has" if is_list(value) else "is"
        wanted = (
            f"name at least {_number(least)}" if is_list(value) else f"set it to at least {_number(least)}"
        )
        yield f"{path} {'is not set' if value is None else f'{what} {_number(size)}'}: {wanted}"


def default_tags(provider: Mapping[str, Any]) -> Mapping[str, str]:
    """The default tags of a provider, which the engine stores as JSON."""
    value = provider.get("defaultTags")
    if isinstance(value, str) and value.startswith("{"):
        value = json.loads(value)
    tags = value.get("tags") if is_map(value) else None
    return tags if is_map(tags) else {}


def _shown(value: object) -> str:
    if isinstance(value, float):
        return _number(value)
    return json.dumps(value) if isinstance(value, str | bool | int) else "something else"


def _number(value: float) -> str:
    """The engine has no integers."""
    return str(int(value)) if value == int(value) else f"{value:g}"


def _name(check: Callable[..., object]) -> str:
    return check.__name__.replace("_", "-")
