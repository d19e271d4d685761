"""The Lambda function behind `POST /api/orders` and `GET /healthz` (API Gateway proxy integration)."""

from __future__ import annotations

import base64
import functools
import json
import logging
import os
import re
from collections.abc import Mapping
from typing import Any, Protocol

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from .gate import OrderGate
from .idempotency import LEASE_SECONDS, Claim, Finished, IdempotencyStore, InProgress
from .order_service import Answer, NotSentError, OrderService, OutcomeUnknownError
from .problems import Problem, overloaded
from .validation import parse_order

RESERVE_SECONDS = 5.0
"""Time of the invocation that is reserved for storing the order service's answer (see `TABLE_TIMEOUTS`)."""
TABLE_TIMEOUTS = Config(
    connect_timeout=1, read_timeout=1, retries={"mode": "standard", "total_max_attempts": 2}
)
"""Two attempts of at most 2 s each, with a short pause between them. After that, the table counts as down."""
READY_TIMEOUT_SECONDS = 2.0
MIN_SUBMIT_SECONDS = 1.0
"""With less time left, an order isn't submitted, because its outcome would most likely be unknown."""
CLOSED_SECONDS = 5
"""After this time, a client should send an order again that met a region that takes no orders."""
REFUSED_FOR_GOOD = {400, 409, 422}
"""Statuses with which the order service rejects an order permanently. Retries get the same answer."""

logger = logging.getLogger("order_intake")


class Context(Protocol):
    """The used part of the Lambda context."""

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until Lambda ends the invocation."""
        ...


class OrderIntake:
    """Handles requests. Every answer to an order is one of these:

    - 2xx, and 400, 409 or 422 from the order service: *final*. Retries of the same order get the same answer.
    - 400, 413, 415 or 422 with a problem of this function: the request is no order, and was not submitted.
    - 503 `overloaded`, 403 `forbidden` and 502 `bad-gateway`: *not accepted*. No attempt can have reached the
      order service, or the only one was refused by it. The client can send the order again, or another one.
    - 502, 504 and 403 `outcome-unknown`, and 500 `internal`: *unknown*. This attempt or an earlier one may
      have placed the order. A retry of the same order after `Retry-After` submits it again, safely. With
      403, the caller may not place orders for the account, or not any more, and so can't learn the outcome.
      A region that takes no orders submits nothing and answers 502, because an earlier attempt may have
      reached the order service through another region.
    - 409 `order-in-progress`: another attempt is submitting this order. A retry after `Retry-After` learns
      its outcome. 409 `different-order`: the client used the id for another order, which may be accepted.

    An outcome stays unknown, whatever later attempts meet, until the order service answers the order's key.
    """

    def __init__(
        self, store: IdempotencyStore, gate: OrderGate, order_service: OrderService, order_timeout: float
    ) -> None:
        self._store = store
        self._gate = gate
        self._order_service = order_service
        self._order_timeout = order_timeout

    def handle(self, event: Mapping[str, Any], context: Context) -> dict[str, Any]:
        """Answers one proxy event (payload format 1.0)."""
        request_id = str(event["requestContext"]["requestId"])
        try:
            return self._route(event, context, request_id)
        except Problem as problem:
            logger.info("refused", extra={"request": request_id, "kind": problem.kind, "why": str(problem)})
            return _problem(problem, request_id)
        except Exception:
            logger.exception("failed", extra={"request": request_id})
            detail = "the failure has been logged; send the same order again to learn its outcome"
            problem = Problem(500, "internal", "Internal error", detail, retry_after=LEASE_SECONDS)
            return _problem(problem, request_id)

    def _route(self, event: Mapping[str, Any], context: Context, request_id: str) -> dict[str, Any]:
        match (event["httpMethod"], event["resource"]):
            case ("POST", "/api/orders"):
                return self._take_order(event, context, request_id)
            case ("GET", "/healthz"):
                if "orders" in (event.get("queryStringParameters") or {}):
                    return self._tell_whether_open(request_id)
                return self._health(request_id)
            case _:
                raise Problem(404, "not-found", "Not found", "there is nothing at this path")

    def _take_order(self, event: Mapping[str, Any], context: Context, request_id: str) -> dict[str, Any]:
        order = parse_order(_body(event), _header(event, "content-type"))
        caller = _caller(event)
        log = {"request": request_id, "account": order.account_id, "order": order.client_order_id}
        # This line relates the ids of the edge and of the trace to all other lines.
        logger.info("received", extra={**log, "trace": _trace(event), "edge": _header(event, "x-amz-cf-id")})
        try:
            if not self._gate.takes_orders():
                # No record is written: the region that takes orders may have one, which it would overwrite.
                logger.info("closed", extra=log)
                raise _unknown(502, CLOSED_SECONDS)
            record = self._store.claim(order, caller)
        except (ClientError, BotoCoreError) as error:
            # This attempt submits nothing, but there may be a record of an earlier one that did.
            logger.warning("table failed", extra={**log, "why": str(error)})
            raise _unknown(502, 1) from error
        match record:
            case Finished(status, body):
                logger.info("replayed", extra={**log, "status": status})
                return _response(status, body, request_id, {"Idempotent-Replayed": "true"})
            case InProgress(seconds_left):
                raise Problem(
                    409,
                    "order-in-progress",
                    "Order in progress",
                    "this order is being submitted; send it again later to learn its outcome",
                    retry_after=seconds_left,
                )
            case Claim():
                answer = self._submit(record, context, log)
                return _response(answer.status, answer.body, request_id)
            case _:
                raise Problem(
                    409,
                    "different-order",
                    "Client order id already used",
                    f"{order.client_order_id} names a different order of this account",
                )

    def _submit(self, claim: Claim, context: Context, log: Mapping[str, str]) -> Answer:
        left = context.get_remaining_time_in_millis() / 1000 - RESERVE_SECONDS
        if left < MIN_SUBMIT_SECONDS:
            raise self._not_accepted(
                claim, log, overloaded("there was too little time left to submit the order")
            )
        order = claim.order
        try:
            answer = self._order_service.submit(
                order.payload(),
                order.idempotency_key(claim.caller),
                {
                    "X-Request-Id": log["request"],
                    "X-Caller-Subject": claim.caller,
                    # Lambda's header and not the client's, so that the service's segment is below Lambda's.
                    "X-Amzn-Trace-Id": os.environ.get("_X_AMZN_TRACE_ID", ""),
                },
                min(self._order_timeout, left),
            )
        except NotSentError as error:
            logger.warning("order service unreachable", extra={**log, "why": str(error)})
            problem = overloaded("the order service cannot be reached; the order was not submitted")
            raise self._not_accepted(claim, log, problem) from error
        except OutcomeUnknownError as error:
            # The order service may still be working on the order, so the lease isn't ended.
            logger.error("outcome unknown", extra={**log, "why": str(error)})  # noqa: TRY400 (known cause)
            raise _unknown(504 if error.timed_out else 502, LEASE_SECONDS) from error

        if 200 <= answer.status < 300 or answer.status in REFUSED_FOR_GOOD:
            self._finish(claim, answer, log)
            return answer
        # Retry-After can also be a date, for which the default is used.
        seconds = int(answer.retry_after) if re.fullmatch("[0-9]{1,4}", answer.retry_after) else 1
        if answer.resent or not 400 <= answer.status < 500:
            raise self._still_unknown(claim, log, answer.status, seconds)
        logger.warning("not accepted", extra={**log, "status": answer.status})
        raise self._not_accepted(claim, log, _refused(answer.status, seconds))

    def _finish(self, claim: Claim, answer: Answer, log: Mapping[str, str]) -> None:
        try:
            stored = self._store.finish(claim, answer.status, answer.body)
        except (ClientError, BotoCoreError) as error:
            # The client gets the answer. A retry submits the order again, and the order service repeats it.
            logger.warning("answer not stored", extra={**log, "why": str(error)})
            stored = False
        logger.info("answered", extra={**log, "status": answer.status, "stored": stored})

    def _not_accepted(self, claim: Claim, log: Mapping[str, str], problem: Problem) -> Problem:
        """The problem for an order that this attempt didn't place, if no other attempt can have placed it."""
        try:
            if self._store.withdraw(claim):
                return problem
        except (ClientError, BotoCoreError) as error:
            logger.warning("record not withdrawn", extra={**log, "why": str(error)})
        return self._still_unknown(claim, log, problem.status, problem.retry_after)

    def _still_unknown(
        self, claim: Claim, log: Mapping[str, str], status: int, seconds: int | None
    ) -> Problem:
        """The problem for an order whose outcome isn't known, after an attempt that has ended."""
        logger.error("outcome unknown", extra={**log, "status": status})
        try:
            self._store.end_lease(claim)
        except (ClientError, BotoCoreError) as error:
            # A retry has to wait until the lease expires.
            logger.warning("lease not ended", extra={**log, "why": str(error)})
        return _unknown(status if status in (403, 504) else 502, seconds)

    def _health(self, request_id: str) -> dict[str, Any]:
        serves = True
        try:
            self._store.check()
            serves = not self._gate.is_evacuated()
            table = True
        except (ClientError, BotoCoreError) as error:
            logger.warning("table failed", extra={"request": request_id, "why": str(error)})
            table = False
        ready = self._order_service.ready(READY_TIMEOUT_SECONDS)
        checks = {"table": table, "orderService": ready, "serves": serves}
        return _response(200 if all(checks.values()) else 503, json.dumps(checks), request_id)

    def _tell_whether_open(self, request_id: str) -> dict[str, Any]:
        """Whether this region takes orders, and whether the others do.

        Route 53's check of a region's orders compares `otherRegions` (`components/routing.py`). It says what
        the regions may do, and not whether they can: if it also depended on a region's health, orders would
        leave for a region with a read-only database.
        """
        try:
            orders = "open" if self._gate.takes_orders() else "closed"
            others = "closed" if self._gate.others_are_closed() else "open"
        except (ClientError, BotoCoreError) as error:
            logger.warning("table failed", extra={"request": request_id, "why": str(error)})
            orders = others = "unknown"
        return _response(200, json.dumps({"orders": orders, "otherRegions": others}), request_id)


def _caller(event: Mapping[str, Any]) -> str:
    """The subject that the authorizer verified: a user, or the client id of a machine client."""
    authorizer: Mapping[str, Any] = event["requestContext"]["authorizer"]
    # API Gateway's own authorizer passes the token's claims, and the Lambda authorizer only the subject.
    return str(authorizer["claims"]["sub"] if "claims" in authorizer else authorizer["principalId"])


def _header(event: Mapping[str, Any], wanted: str) -> str:
    headers: Mapping[str, str] = event.get("headers") or {}
    return next((value for name, value in headers.items() if name.lower() == wanted), "")


def _trace(event: Mapping[str, Any]) -> str:
    """The trace's id in the format of API Gateway and X-Ray."""
    found = re.search(r"Root=(1-[0-9a-f]{8}-[0-9a-f]{24})", _header(event, "x-amzn-trace-id"))
    return found[1] if found else ""


def _body(event: Mapping[str, Any]) -> bytes:
    body = str(event.get("body") or "")
    return base64.b64decode(body) if event.get("isBase64Encoded") else body.encode()


def _unknown(status: int, seconds: int | None) -> Problem:
    detail = "the order may have been accepted; send the same order again to learn its outcome"
    if status == 403:
        detail = "the caller may not place orders for this account; an earlier request may have been accepted"
        seconds = None
    return Problem(status, "outcome-unknown", "Outcome unknown", detail, retry_after=seconds)


def _refused(status: int, seconds: int) -> Problem:
    """The problem for an order that the order service did not accept, but could accept later."""
    if status == 429:
        return overloaded("the order service is overloaded; the order was not accepted", seconds)
    if status in (401, 403):
        return Problem(403, "forbidden", "Forbidden", "the caller may not place orders for this account")
    detail = "the order service did not accept the request"
    return Problem(502, "bad-gateway", "Bad gateway", detail, retry_after=seconds)


def _problem(problem: Problem, request_id: str) -> dict[str, Any]:
    headers = {"Content-Type": "application/problem+json"}
    if problem.retry_after is not None:
        headers["Retry-After"] = str(problem.retry_after)
    return _response(problem.status, json.dumps(problem.body(request_id)), request_id, headers)


def _response(
    status: int, body: str, request_id: str, headers: Mapping[str, str] | None = None
) -> dict[str, Any]:
    return {
        "statusCode": status,
        "headers": {
            "Content-Type": "application/json",
            "Cache-Control": "no-store",
            "X-Request-Id": request_id,
            **(headers or {}),
        },
        "body": body,
        "isBase64Encoded": False,
    }


@functools.cache
def _intake() -> OrderIntake:
    # Cached for each execution environment, so that clients and connections are reused.
    dynamodb = boto3.client("dynamodb", config=TABLE_TIMEOUTS)  # pyright: ignore[reportUnknownMemberType] (only one service has stubs)
    table = os.environ["TABLE_NAME"]
    return OrderIntake(
        IdempotencyStore(dynamodb, table),
        OrderGate(dynamodb, table, os.environ["AWS_REGION"], os.environ["HOME_REGION"]),
        OrderService(os.environ["ORDER_SERVICE_URL"], os.environ["ORDER_SERVICE_READY_PATH"]),
        float(os.environ["ORDER_SERVICE_TIMEOUT_SECONDS"]),
    )


def handler(event: Mapping[str, Any], context: Context) -> dict[str, Any]:
    """Lambda's entry point."""
    return _intake().handle(event, context)
