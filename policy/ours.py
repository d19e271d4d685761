"""Whom the rules take for us: `ours.yaml`, with the accounts, networks and partners of the platform."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from policy.values import read_yaml
from settings import is_the_internet

FILE = Path(__file__).with_name("ours.yaml")


_PRIVATE = [
    ipaddress.ip_network(block) for block in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")
]
"""Networks that anybody can have."""


def _network(value: str) -> str:
    network = ipaddress.ip_network(value)
    if is_the_internet(value) or any(network.overlaps(private) for private in _PRIVATE):
        raise ValueError("must be a public network of your own, such as 203.0.113.0/24")
    return value


Account = Annotated[str, Field(pattern=r"^\d{12}$")]
Network = Annotated[str, AfterValidator(_network)]
NetworkId = Annotated[str, Field(pattern=r"^vpce?-[0-9a-f]+$")]
Registry = Annotated[str, Field(pattern=r"^[a-z0-9-]+(\.[a-z0-9-]+)+(:\d+)?$")]
Partner = Annotated[str, Field(pattern=r"^arn:aws[a-z-]*:(iam|sts)::[\w]+:[^*?]")]
ManagedPolicy = Annotated[str, Field(pattern=r"^arn:aws[a-z-]*:(iam|eks)::aws:[\w/.-]+$")]
Subject = Annotated[str, Field(pattern=r"^[^*?]{3}")]


class Ours(BaseModel):
    """The content of `ours.yaml`, which explains each value."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    accounts: tuple[Account, ...] = Field(min_length=1)
    organization: str | None = Field(pattern=r"^o-[a-z0-9]{10,32}$")
    partners: tuple[Partner, ...]
    networks: tuple[Network, ...]
    vpcs: tuple[NetworkId, ...] = ()
    registries: tuple[Registry, ...] = ()
    identity_providers: dict[str, tuple[Subject, ...]] = Field(alias="identityProviders")
    managed_policies: tuple[ManagedPolicy, ...] = Field(alias="managedPolicies")

    def has_network(self, block: str) -> bool:
        """Whether an address or block lies in one of the networks."""
        try:
            inner = ipaddress.ip_network(block)
        except ValueError:
            return False
        return any(
            inner.version == outer.version and inner.subnet_of(outer)  # pyright: ignore[reportArgumentType]
            for outer in map(ipaddress.ip_network, self.networks)
        )


def load(path: Path = FILE) -> Ours:
    """Reads the file.

    Raises:
        pydantic.ValidationError: a value is missing, unknown or too wide.
    """
    return Ours.model_validate(read_yaml(path))


OURS = load()
