"""The endpoint of a data store, and what a service needs to use it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pulumi

HTTPS_PORT = 443


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """The ports that a data store listens on, and its security group."""

    security_group_id: pulumi.Input[str]
    ports: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Access:
    """What a service needs to use a data store. It is empty if the service doesn't use the store."""

    environment: Mapping[str, pulumi.Input[str]] = field(default_factory=dict[str, pulumi.Input[str]])
    """Environment variables that tell the service where the store is and how to use it."""
    statements: Sequence[Mapping[str, Any]] = ()
    """IAM statements for the service's role."""
    ports: tuple[int, ...] = ()
    """TCP ports in the VPC that the service connects to."""
