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

    - 2xx, and 400, 409 or 422 from the order service: final. Retries of the same order get the same answer.
    - 400, 413, 415 or 422 from this function: the request is wrong, and nothing was submitted.
    - 403: the caller can't use the account. 503 with `Retry-After`: overload. The order was not accepted.
    - 409 `order-in-progress` with `Retry-After`, or 409 `different-order`: the key is in use.
    - 504 (no answer in time) or 502 (a broken answer): *unknown*. The record stays pending. Until its lease
      expires, a retry gets 409 `order-in-progress`. After that, a retry submits the order again, safely.
    """

    def __init__(self, store: IdempotencyStore, order_service: OrderService, order_timeout: float) -> None:
        self._store = store
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
            problem = Problem(500, "internal", "Internal error", "the failure has been logged")
            return _problem(problem, request_id)

    def _route(self, event: Mapping[str, Any], context: Context, request_id: str) -> dict[str, Any]:
        match (event["httpMethod"], event["resource"]):
            case ("POST", "/api/orders"):
                return self._take_order(event, context, request_id)
            case ("GET", "/healthz"):
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
            record = self._store.claim(order, order.fingerprint(caller))
        except (ClientError, BotoCoreError) as error:
            logger.warning("table failed", extra={**log, "why": str(error)})
            raise overloaded("the order could not be recorded, and was not submitted") from error
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
                answer = self._submit(record, caller, context, log)
                return _response(answer.status, answer.body, request_id)
            case _:
                raise Problem(
                    409,
                    "different-order",
                    "Client order id already used",
                    f"{order.client_order_id} names a different order of this account",
                )

    def _submit(self, claim: Claim, caller: str, context: Context, log: Mapping[str, str]) -> Answer:
        left = context.get_remaining_time_in_millis() / 1000 - RESERVE_SECONDS
        if left < MIN_SUBMIT_SECONDS:
            self._release(claim, log)
            raise overloaded("there was too little time left to submit the order")
        order = claim.order
        try:
            answer = self._order_service.submit(
                order.payload(),
                f"{order.account_id}/{order.client_order_id}",
                {
                    "X-Request-Id": log["request"],
                    "X-Caller-Subject": caller,
                    # Lambda's header and not the client's, so that the service's segment is below Lambda's.
                    "X-Amzn-Trace-Id": os.environ.get("_X_AMZN_TRACE_ID", ""),
                },
                min(self._order_timeout, left),
            )
        except NotSentError as error:
            logger.warning("order service unreachable", extra={**log, "why": str(error)})
            self._release(claim, log)
            raise overloaded("the order service cannot be reached; the order was not submitted") from error
        except OutcomeUnknownError as error:
            logger.error("outcome unknown", extra={**log, "why": str(error)})  # noqa: TRY400 (known cause)
            raise _unknown(504 if error.timed_out else 502) from error

        if 200 <= answer.status < 300 or answer.status in REFUSED_FOR_GOOD:
            try:
                stored = self._store.finish(claim, answer.status, answer.body)
            except (ClientError, BotoCoreError) as error:
                # The order was placed, so the client gets the answer. Submitting a retry again is harmless.
                logger.warning("answer not stored", extra={**log, "why": str(error)})
                stored = False
            logger.info("answered", extra={**log, "status": answer.status, "stored": stored})
            return answer
        if answer.status >= 500 and answer.status != 503:
            logger.error("outcome unknown", extra={**log, "status": answer.status})
            raise _unknown(504 if answer.status == 504 else 502)
        logger.warning("not accepted", extra={**log, "status": answer.status})
        self._release(claim, log)
        if answer.status in (429, 503):
            # Retry-After can also be a date, for which the default is used.
            seconds = int(answer.retry_after) if re.fullmatch("[0-9]{1,4}", answer.retry_after) else 1
            raise overloaded("the order service is overloaded; the order was not accepted", seconds)
        if answer.status in (401, 403):
            raise Problem(403, "forbidden", "Forbidden", "the caller may not place orders for this account")
        raise Problem(502, "bad-gateway", "Bad gateway", "the order service did not accept the request")

    def _release(self, claim: Claim, log: Mapping[str, str]) -> None:
        try:
            self._store.release(claim)
        except (ClientError, BotoCoreError) as error:
            # The record is released when its lease expires.
            logger.warning("record not released", extra={**log, "why": str(error)})

    def _health(self, request_id: str) -> dict[str, Any]:
        try:
            self._store.check()
            table = True
        except (ClientError, BotoCoreError) as error:
            logger.warning("table failed", extra={"request": request_id, "why": str(error)})
            table = False
        checks = {"table": table, "orderService": self._order_service.ready(READY_TIMEOUT_SECONDS)}
        return _response(200 if all(checks.values()) else 503, json.dumps(checks), request_id)


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


def _unknown(status: int) -> Problem:
    return Problem(
        status,
        "outcome-unknown",
        "Outcome unknown",
        "the order may have been accepted; send the same order again to learn its outcome",
        retry_after=LEASE_SECONDS,
    )


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
    return OrderIntake(
        IdempotencyStore(dynamodb, os.environ["TABLE_NAME"]),
        OrderService(os.environ["ORDER_SERVICE_URL"], os.environ["ORDER_SERVICE_READY_PATH"]),
        float(os.environ["ORDER_SERVICE_TIMEOUT_SECONDS"]),
    )


def handler(event: Mapping[str, Any], context: Context) -> dict[str, Any]:
    """Lambda's entry point."""
    return _intake().handle(event, context)
