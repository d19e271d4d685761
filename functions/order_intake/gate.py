"""Whether this region takes orders: one item of the idempotency table, which every region has a copy of.

Orders may only go to the region whose database takes writes. The item names that region. DNS follows it, but
slowly, and connections that are already open don't follow DNS at all. Therefore, order intake asks before
every order, and a region that isn't named refuses. Routes with `writes` have only DNS and the database's own
refusal, so DNS leads them away as soon as orders pause, before the database moves.

    account_id = client_order_id = "#orders"    no account has such an id
    region       the region that takes orders, or `none` (`NOWHERE`) while the database moves
    evacuated    regions that report themselves as unhealthy, so that Route 53 sends their reads elsewhere

Without the item, the home region takes orders. `operations/failover.py` writes it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

KEY = "#orders"
"""Value of both attributes of the item's key."""
NOWHERE = "none"
"""Value of `region` while the database moves."""
CACHE_SECONDS = 1.0
"""How long an execution environment uses what it has read, so that a burst doesn't read one item too often
(DynamoDB reads one partition at most 3,000 times a second; "Burst and adaptive capacity", DynamoDB Developer
Guide)."""


@dataclass(frozen=True)
class Roles:
    """The roles of the regions, according to the item."""

    takes_orders: str
    evacuated: frozenset[str] = frozenset()


class OrderGate:
    """Reads the roles in this region's copy of the table.

    Args:
        client: a client of DynamoDB.
        table_name: the idempotency table.
        region: this region.
        home: the region that takes orders while there is no item.
        now: the time in seconds.
    """

    def __init__(
        self,
        client: DynamoDBClient,
        table_name: str,
        region: str,
        home: str,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._table_name = table_name
        self._region = region
        self._home = home
        self._now = now
        self._read: tuple[float, Roles] | None = None

    def takes_orders(self) -> bool:
        """Whether this region takes orders.

        Raises:
            ClientError, BotoCoreError: the table could not be reached in time.
        """
        return self._roles().takes_orders == self._region

    def others_are_closed(self) -> bool:
        """Whether no other region may take orders or other writes.

        While the database moves, this is true in every region.

        Raises:
            ClientError, BotoCoreError: the table could not be reached in time.
        """
        return self._roles().takes_orders in (self._region, NOWHERE)

    def is_evacuated(self) -> bool:
        """Whether this region is to get no requests at all.

        Raises:
            ClientError, BotoCoreError: the table could not be reached in time.
        """
        return self._region in self._roles().evacuated

    def _roles(self) -> Roles:
        now = self._now()
        if self._read and now < self._read[0] + CACHE_SECONDS:
            return self._read[1]
        key = {"account_id": {"S": KEY}, "client_order_id": {"S": KEY}}
        item = self._client.get_item(TableName=self._table_name, Key=key, ConsistentRead=True).get("Item", {})
        roles = Roles(
            item.get("region", {}).get("S", self._home), frozenset(item.get("evacuated", {}).get("SS", ()))
        )
        self._read = (now, roles)
        return roles
