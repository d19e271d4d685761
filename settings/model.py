"""The base model of the settings, and types that several of its parts share."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Annotated, Any, NamedTuple, Self, TypeGuard, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.alias_generators import to_camel
from pydantic_core import InitErrorDetails, PydanticCustomError

NAMESPACE = "trading"
"""Namespace of the platform's keys in a stack file."""
LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
"""One part of a domain name, as a regular expression."""


def _fqdn(value: str) -> str:
    if len(value) > 253 or not re.fullmatch(rf"({LABEL}\.)+{LABEL}", value):
        raise ValueError("must be a fully qualified domain name in lower case, such as trade.example.com")
    return value


def is_the_internet(block: str) -> bool:
    """Whether an address block is so large that it counts as the internet. Policies use the same test.

    That is any public block larger than a /16 (IPv6: a /32). An organization's own network is rarely larger,
    and a few larger blocks together would cover the internet.
    """
    try:
        network = ipaddress.ip_network(block, strict=False)
    except ValueError:
        return False
    return not network.is_private and network.prefixlen < (16 if network.version == 4 else 32)


def _cidr(value: str) -> str:
    try:
        ipaddress.IPv4Network(value)
    except ValueError as error:
        raise ValueError(f"must be an IPv4 network such as 203.0.113.0/24 ({error})") from error
    if is_the_internet(value):
        raise ValueError("must be your own network, such as 203.0.113.0/24, and not the internet")
    return value


Fqdn = Annotated[str, AfterValidator(_fqdn)]
Cidr = Annotated[str, AfterValidator(_cidr)]
DnsLabel = Annotated[str, Field(pattern=rf"^{LABEL}$", max_length=24, examples=["orders"])]
Port = Annotated[int, Field(ge=1, le=65535)]
Percent = Annotated[int, Field(ge=1, le=100)]


Location = tuple[str | int, ...]
"""Path of a value: keys of mappings and indexes of lists, from the outermost to the innermost."""


class Broken(NamedTuple):
    """A violation of a model's rule."""

    text: str
    """What is wrong, and what would be accepted."""
    where: Location = ()
    """Path of the wrong value within the model. The default is the model itself."""


_Rule = TypeVar("_Rule", bound=Callable[[Any], Iterator[Broken]])
_RULE = "__settings_rule__"


def rule(check: _Rule) -> _Rule:
    """Marks a method of a `Model` as a rule: it yields each problem with the model's values.

    All rules of a model are checked, so that one run reports every problem.
    """
    setattr(check, _RULE, True)
    return check


def is_dict(value: Any) -> TypeGuard[dict[str, Any]]:
    """Whether a value is a mapping."""
    return isinstance(value, dict)


def is_list(value: Any) -> TypeGuard[list[Any]]:
    """Whether a value is a list."""
    return isinstance(value, list)


def refused(title: str, problems: Iterable[tuple[str, str, Location, Any]]) -> ValidationError:
    """Builds Pydantic's error from several problems, each with its type, text, location and value."""
    return ValidationError.from_exception_data(
        title,
        [
            InitErrorDetails(
                type=PydanticCustomError(kind, text),  # pyright: ignore[reportArgumentType] (no template)
                loc=where,
                input=value,
            )
            for kind, text, where, value in problems
        ],
    )


class Model(BaseModel):
    """Base of all settings: camel-case keys, no unknown keys, and no implicit conversion.

    `written.py` converts the forms in which Pulumi writes values.
    """

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        extra="forbid",
        frozen=True,
        strict=True,
        allow_inf_nan=False,  # the engine cannot pass them
    )

    @model_validator(mode="after")
    def _keeps_its_rules(self) -> Self:
        checks = [
            check for base in type(self).__mro__ for check in vars(base).values() if hasattr(check, _RULE)
        ]
        broken: list[Broken] = [problem for check in checks for problem in check(self)]
        if broken:
            problems = [("value_error", problem.text, problem.where, self) for problem in broken]
            raise refused(type(self).__name__, problems)
        return self

    def given(self, field: str) -> bool:
        """Whether the stack file, or the default of the same name, sets a field."""
        return field in self.model_fields_set


class Range(Model):
    """Lower and upper bound of something that scales."""

    min: int = Field(ge=0)
    """The minimum, which is also the initial value."""
    max: int = Field(ge=1, le=2_147_483_647)
    """The maximum. AWS and Kubernetes use 32-bit counts."""

    @rule
    def _ordered(self) -> Iterator[Broken]:
        if self.min > self.max:
            yield Broken(f"min ({self.min}) must not be above max ({self.max})")


def duplicate(key: str, values: Iterable[object]) -> str | None:
    """The problem with a list that contains a value twice, or None. `key` says what the values are."""
    seen: set[object] = set()
    for value in values:
        if value in seen:
            return f"{key} {value} is given twice; each must be unique"
        seen.add(value)
    return None


def refuse_duplicates(key: str, values: Iterable[object]) -> None:
    """Rejects a list that contains a value twice. `key` says what the values are.

    Raises:
        ValueError: a value is duplicated.
    """
    if found := duplicate(key, values):
        raise ValueError(found)
