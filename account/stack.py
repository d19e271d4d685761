"""A stack, and who asks about it."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from account import prepared
from account.question import Client
from policy.scan.plan import State, logical_name
from report.planned import AUTO_NAME, UNKNOWN, region_of
from settings import Settings
from settings.aws_limits import EDGE_REGION


@dataclass(frozen=True)
class Caller:
    """Who asks."""

    account: str
    arn: str

    @property
    def role(self) -> str | None:
        """The name of the role, if the caller has assumed one."""
        kind, _, rest = self.arn.rpartition(":")[2].partition("/")
        return rest.partition("/")[0] if kind == "assumed-role" else None


@dataclass(frozen=True)
class Deployed:
    """A resource in a stack's state."""

    name: str
    """Its logical name."""
    id: str
    properties: Mapping[str, Any]
    """Its inputs, and its outputs where it has been deployed."""
    created: str
    """When it was created, in ISO 8601; empty if the state doesn't say."""

    def __getitem__(self, key: str) -> Any:
        """A property; `UNKNOWN` if it is not known yet."""
        return self.properties.get(key, UNKNOWN)


@dataclass(frozen=True)
class Stack:
    """What the questions are about."""

    settings: Settings
    resources: Sequence[State]
    secrets_key: str | None
    """Key of the secrets provider in KMS, if the stack has such a provider."""
    caller: Caller | None
    """None if the account didn't say."""

    secrets_region: str = EDGE_REGION
    """Region of that key."""

    @property
    def prepared(self) -> str:
        """The stack's name in the project `bootstrap`; empty if the key isn't one of that project."""
        before, _, stack = (self.secrets_key or "").partition(prepared.secrets_alias(""))
        return "" if before else stack

    @functools.cached_property
    def known(self) -> Mapping[str, State]:
        """URN → resource."""
        return {item["urn"]: item for item in self.resources}

    @property
    def platform(self) -> str:
        """The value of the tag that all resources carry."""
        return self.settings.platform

    def _items(self, token: str, region: str | None) -> Iterator[State]:
        for item in self.resources:
            if item["type"] == token and region in (None, region_of(item, self.known)):
                yield item

    def of(self, token: str, region: str | None = None) -> list[Mapping[str, Any]]:
        """The inputs of the resources of a type, in one region if it is given."""
        return [item.get("inputs", {}) for item in self._items(token, region)]

    def names(self, key: str, token: str, region: str | None = None) -> set[str]:
        """The names of the resources of a type, in one region if it is given, without what the provider
        appends. `key` is the input with the name."""
        found = (
            str(item.get("inputs", {}).get(key) or logical_name(item)) for item in self._items(token, region)
        )
        return {AUTO_NAME.sub("", name) for name in found}

    def values(self, token: str, region: str, *keys: str) -> list[tuple[Any, ...]]:
        """The distinct values of inputs of the resources of a type in a region."""
        return sorted({tuple(item.get(key) for key in keys) for item in self.of(token, region)}, key=str)

    def deployed(self, token: str, region: str | None = None) -> list[Deployed]:
        """The resources of a type as they were deployed, in one region if it is given."""
        return [
            Deployed(
                logical_name(item),
                item.get("id", UNKNOWN),
                {**item.get("inputs", {}), **item.get("outputs", {})},
                item.get("created", ""),
            )
            for item in self._items(token, region)
        ]


def caller(sts: Client) -> Caller | None:
    """Who the account says asks; None if it doesn't say."""
    try:
        found = sts.get_caller_identity()
    except (BotoCoreError, ClientError):
        return None  # the question about the identity reports the reason
    return Caller(found["Account"], found["Arn"])
