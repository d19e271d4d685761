"""What every part of the settings is made of: the base model, and types that several parts share."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

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


class Model(BaseModel):
    """Camel-case keys, no unknown keys, no silent conversion (`"3"` is not a number)."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        extra="forbid",
        frozen=True,
        strict=True,
        use_attribute_docstrings=True,  # an editor shows them, and so does the error of a missing key
    )


class Range(Model):
    """A lower and an upper bound of something that scales."""

    min: int = Field(ge=0)
    """The least, which is also where it starts."""
    max: int = Field(ge=1)
    """The most."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.min > self.max:
            raise ValueError(f"min ({self.min}) must not be above max ({self.max})")
        return self


def refuse_duplicates(key: str, values: Iterable[object]) -> None:
    """Refuses a list that has a value twice; `key` says what the values are.

    Raises:
        ValueError: it has.
    """
    seen: set[object] = set()
    for value in values:
        if value in seen:
            raise ValueError(f"{key} {value} is given twice; each must be unique")
        seen.add(value)
