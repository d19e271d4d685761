"""Keeps one record for each order in DynamoDB, so that an order that is sent twice is submitted once.

A record is *pending* while an invocation holds its lease, and then *finished* with the answer that every
retry gets. Its key consists of the account and the client's order id. `expires_at` is the table's TTL
attribute. Because DynamoDB deletes late, this module treats an expired record as absent.

An invocation that crashes, or that never learns what the order service did, leaves its record pending. No
other invocation submits that order until the lease expires. Then a retry of the *same* order takes the record
over and submits it again with the same idempotency key, which the order service answers from its own record.
So this function can delay an order, but never duplicate it.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from .validation import Order

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef

LEASE_SECONDS = 30
"""Longer than the function's timeout, so the holder of an expired lease is certainly no longer running."""
RETENTION_SECONDS = 24 * 3600
"""How long a retry gets the stored answer. Client order ids are unique within a trading day."""


@dataclass(frozen=True)
class Claim:
    """The right to submit an order until the lease expires."""

    order: Order
    attempt: str


@dataclass(frozen=True)
class Finished:
    """The answer to an order that was answered before."""

    status: int
    body: str


@dataclass(frozen=True)
class InProgress:
    """Another invocation holds the order's lease."""

    seconds_left: int


@dataclass(frozen=True)
class Mismatch:
    """The key belongs to a different order."""


class IdempotencyStore:
    """The records in the table `table_name`."""

    def __init__(self, client: DynamoDBClient, table_name: str, now: Callable[[], float] = time.time) -> None:
        self._client = client
        self._table_name = table_name
        self._now = now

    def claim(self, order: Order, fingerprint: str) -> Claim | Finished | InProgress | Mismatch:
        """Writes a pending record, unless an existing record prevents it.

        Raises:
            ClientError, BotoCoreError: the table could not be reached in time. Nothing was submitted.
        """
        now = int(self._now())
        attempt = uuid.uuid4().hex
        try:
            self._client.put_item(
                TableName=self._table_name,
                Item={
                    **_key(order),
                    "state": {"S": "pending"},
                    "fingerprint": {"S": fingerprint},
                    "attempt": {"S": attempt},
                    "lease_until": {"N": str(now + LEASE_SECONDS)},
                    "expires_at": {"N": str(now + RETENTION_SECONDS)},
                },
                ConditionExpression=(
                    "attribute_not_exists(account_id) OR expires_at <= :now OR "
                    "(#state = :pending AND lease_until <= :now AND fingerprint = :fingerprint)"
                ),
                ExpressionAttributeNames={"#state": "state"},
                ExpressionAttributeValues={
                    ":now": {"N": str(now)},
                    ":pending": {"S": "pending"},
                    ":fingerprint": {"S": fingerprint},
                },
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except ClientError as error:
            if not _condition_failed(error):
                raise
            record: dict[str, AttributeValueTypeDef] = error.response.get("Item", {})  # pyright: ignore[reportAssignmentType] (the stubs lack Item)
        else:
            return Claim(order, attempt)
        if record["attempt"].get("S") == attempt:
            # The client library repeated a write whose first response was lost: the record is this attempt's.
            return Claim(order, attempt)
        if record["fingerprint"].get("S") != fingerprint:
            return Mismatch()
        if record["state"].get("S") == "pending":
            return InProgress(max(1, int(record["lease_until"].get("N", "0")) - now))
        return Finished(int(record["status"].get("N", "0")), record["body"].get("S", ""))

    def finish(self, claim: Claim, status: int, body: str) -> bool:
        """Stores the order service's answer. Returns false if another attempt has taken over the record."""
        return self._update(
            claim,
            "SET #state = :finished, #status = :status, body = :body",
            {"#state": "state", "#status": "status"},
            {":finished": {"S": "finished"}, ":status": {"N": str(status)}, ":body": {"S": body}},
        )

    def release(self, claim: Claim) -> bool:
        """Releases the key for any order, because this one was certainly not accepted."""
        return self._update(claim, "SET expires_at = :now", {}, {":now": {"N": str(int(self._now()))}})

    def check(self) -> None:
        """Reads a record, which need not exist, to check that the table responds.

        Raises:
            ClientError, BotoCoreError: the table doesn't respond.
        """
        key = {"account_id": {"S": "healthz"}, "client_order_id": {"S": "healthz"}}
        self._client.get_item(TableName=self._table_name, Key=key)

    def _update(
        self,
        claim: Claim,
        expression: str,
        names: dict[str, str],
        values: dict[str, AttributeValueTypeDef],
    ) -> bool:
        try:
            self._client.update_item(
                TableName=self._table_name,
                Key=_key(claim.order),
                UpdateExpression=expression,
                ConditionExpression="#attempt = :attempt",
                ExpressionAttributeNames={**names, "#attempt": "attempt"},
                ExpressionAttributeValues={**values, ":attempt": {"S": claim.attempt}},
            )
        except ClientError as error:
            if not _condition_failed(error):
                raise
            return False
        return True


def _key(order: Order) -> dict[str, AttributeValueTypeDef]:
    return {"account_id": {"S": order.account_id}, "client_order_id": {"S": order.client_order_id}}


def _condition_failed(error: ClientError) -> bool:
    return error.response.get("Error", {}).get("Code") == "ConditionalCheckFailedException"
