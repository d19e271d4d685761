"""What every part of the settings is made of: the base model, and types that several parts share."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Annotated, Any, NamedTuple, Self, TypeGuard, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.alias_generators import to_camel
from pydantic_core import InitErrorDetails, PydanticCustomError

NAMESPACE = "trading"
"""What stands before every key of a stack file."""
LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
"""One part of a domain name, as a regular expression."""


def _fqdn(value: str) -> str:
    if len(value) > 253 or not re.fullmatch(rf"({LABEL}\.)+{LABEL}", value):
        raise ValueError("must be a fully qualified domain name in lower case, such as trade.example.com")
    return value


def is_the_internet(block: str) -> bool:
    """Whether an address block is everybody's. Policies let nobody in by such a block either.

    It is where it is public and larger than a /16 (IPv6: a /32), the most that a network of one's own has
    as a rule: a handful of larger ones would be the internet again.
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
        raise ValueError("must be a network of yours such as 203.0.113.0/24, not the internet")
    return value


Fqdn = Annotated[str, AfterValidator(_fqdn)]
Cidr = Annotated[str, AfterValidator(_cidr)]
DnsLabel = Annotated[str, Field(pattern=rf"^{LABEL}$", max_length=24, examples=["orders"])]
Port = Annotated[int, Field(ge=1, le=65535)]
Percent = Annotated[int, Field(ge=1, le=100)]


Location = tuple[str | int, ...]
"""Where a value stands: keys of mappings and positions in lists, from the outside in."""


class Broken(NamedTuple):
    """What a rule says of a model that breaks it."""

    text: str
    """What is wrong, and what would be accepted."""
    where: Location = ()
    """The value that it is about, from the model on; the model itself where nothing is given."""


_Rule = TypeVar("_Rule", bound=Callable[[Any], Iterator[Broken]])
_RULE = "__settings_rule__"


def rule(check: _Rule) -> _Rule:
    """Makes a method of a `Model` one of its rules: it yields what is wrong between the model's values.

    All rules of a model are tried, so that one run names every problem.
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
    """Pydantic's error of several problems: type, text, location and value of each."""
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
    """Camel-case keys, no unknown keys, no silent conversion (`written.py` converts what Pulumi writes)."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        extra="forbid",
        frozen=True,
        strict=True,
        allow_inf_nan=False,  # the engine cannot hand them over
        use_attribute_docstrings=True,  # an editor shows them, and so does the error of a missing key
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
        """Whether the stack file, or the default of the same name, says something about a field."""
        return field in self.model_fields_set


class Range(Model):
    """A lower and an upper bound of something that scales."""

    min: int = Field(ge=0)
    """The least, which is also where it starts."""
    max: int = Field(ge=1, le=2_147_483_647)
    """The most; AWS's and Kubernetes' counts have 32 bits."""

    @rule
    def _ordered(self) -> Iterator[Broken]:
        if self.min > self.max:
            yield Broken(f"min ({self.min}) must not be above max ({self.max})")


def duplicate(key: str, values: Iterable[object]) -> str | None:
    """What is wrong with a list that has a value twice, if it has; `key` says what the values are."""
    seen: set[object] = set()
    for value in values:
        if value in seen:
            return f"{key} {value} is given twice; each must be unique"
        seen.add(value)
    return None


def refuse_duplicates(key: str, values: Iterable[object]) -> None:
    """Refuses a list that has a value twice; `key` says what the values are.

    Raises:
        ValueError: it has.
    """
    if found := duplicate(key, values):
        raise ValueError(found)
