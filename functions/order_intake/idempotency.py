"""Keeps one record for each order in DynamoDB, so that an order that is sent twice is accepted once.

A record's key consists of the account, the client's order id and the caller. Nobody can use or read the
record of another caller, because only the order service knows who may trade for the account.

A record is *pending* from the first attempt to submit the order until the order service has answered it, and
then *finished* with the answer that every retry gets.

- Each attempt holds a lease, so that only one submits the order at a time. An attempt that crashes, or that
  never learns what the order service did, leaves the record pending. When its lease has expired, a retry of
  the *same* order takes the record over and submits the order again with the same idempotency key.
- A pending record counts its attempts, because any attempt before the last one may have reached the order
  service. Only the first attempt can withdraw its record, and only while nobody has taken it over.
- Records of pending and of accepted orders never expire, and no other order can take their key. Without the
  record, a retry that can't reach the order service would be told that the order was not accepted.
- `expires_at`, the table's TTL attribute, is set when the order service has refused an order. Because
  DynamoDB deletes late, this module treats an expired record as absent.
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
"""Longer than the function's timeout, so the holder of an expired lease is normally no longer running."""
RETENTION_SECONDS = 24 * 3600
"""How long a retry gets the stored refusal. After that, the order service repeats it."""


@dataclass(frozen=True)
class Claim:
    """The right to submit an order until the lease expires."""

    order: Order
    caller: str
    attempt: str
    first: bool
    """Whether no earlier attempt can have reached the order service."""


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

    def claim(self, order: Order, caller: str) -> Claim | Finished | InProgress | Mismatch:
        """Writes a pending record or takes one over, unless an existing record prevents it.

        Raises:
            ClientError, BotoCoreError: the table could not be reached in time. This attempt submits nothing.
        """
        now = int(self._now())
        attempt = uuid.uuid4().hex
        fingerprint = order.fingerprint(caller)
        try:
            record = self._client.update_item(
                TableName=self._table_name,
                Key=_key(order, caller),
                UpdateExpression=(
                    "SET #state = :pending, fingerprint = :fingerprint, attempt = :attempt, "
                    "lease_until = :lease_until, attempts = if_not_exists(attempts, :none) + :one "
                    "REMOVE #status, body, expires_at"
                ),
                ConditionExpression=(
                    "attribute_not_exists(account_id) OR expires_at <= :now OR "
                    "(#state = :pending AND lease_until <= :now AND fingerprint = :fingerprint)"
                ),
                ExpressionAttributeNames={"#state": "state", "#status": "status"},
                ExpressionAttributeValues={
                    ":now": {"N": str(now)},
                    ":pending": {"S": "pending"},
                    ":fingerprint": {"S": fingerprint},
                    ":attempt": {"S": attempt},
                    ":lease_until": {"N": str(now + LEASE_SECONDS)},
                    ":none": {"N": "0"},
                    ":one": {"N": "1"},
                },
                ReturnValues="ALL_NEW",
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )["Attributes"]
        except ClientError as error:
            if not _condition_failed(error):
                raise
            record: dict[str, AttributeValueTypeDef] = error.response.get("Item", {})  # pyright: ignore[reportAssignmentType, reportRedeclaration] (the stubs lack Item)
        # The client library may have repeated a write whose first response was lost. The condition of the
        # second one fails, but the record is this attempt's.
        if record["attempt"].get("S") == attempt:
            return Claim(order, caller, attempt, first=record["attempts"].get("N") == "1")
        if record["fingerprint"].get("S") != fingerprint:
            return Mismatch()
        if record["state"].get("S") == "pending":
            return InProgress(max(1, int(record["lease_until"].get("N", "0")) - now))
        return Finished(int(record["status"].get("N", "0")), record["body"].get("S", ""))

    def finish(self, claim: Claim, status: int, body: str) -> bool:
        """Stores the order service's answer. Returns false if another attempt has taken over the record."""
        expression = "SET #state = :finished, #status = :status, body = :body"
        values: dict[str, AttributeValueTypeDef] = {
            ":finished": {"S": "finished"},
            ":status": {"N": str(status)},
            ":body": {"S": body},
        }
        if status >= 300:
            expression += ", expires_at = :expires_at"
            values[":expires_at"] = {"N": str(int(self._now()) + RETENTION_SECONDS)}
        names = {"#state": "state", "#status": "status"}
        return self._update(claim, f"{expression} REMOVE attempts", names, values)

    def end_lease(self, claim: Claim) -> bool:
        """Lets a retry take over at once, because this attempt has ended. Its outcome stays unknown."""
        return self._update(claim, "SET lease_until = :now", {}, {":now": {"N": str(int(self._now()))}})

    def withdraw(self, claim: Claim) -> bool:
        """Deletes the record, because the order service certainly has not accepted the order.

        Returns false if that isn't certain: an earlier or a later attempt may have submitted the order.
        """
        if not claim.first:
            return False
        try:
            self._client.delete_item(
                TableName=self._table_name,
                Key=_key(claim.order, claim.caller),
                ConditionExpression="attempt = :attempt",
                ExpressionAttributeValues={":attempt": {"S": claim.attempt}},
            )
        except ClientError as error:
            if not _condition_failed(error):
                raise
            return False
        return True

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
                Key=_key(claim.order, claim.caller),
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


def _key(order: Order, caller: str) -> dict[str, AttributeValueTypeDef]:
    # A client order id contains no slash, so no two pairs have the same text.
    return {
        "account_id": {"S": order.account_id},
        "client_order_id": {"S": f"{order.client_order_id}/{caller}"},
    }


def _condition_failed(error: ClientError) -> bool:
    return error.response.get("Error", {}).get("Code") == "ConditionalCheckFailedException"
