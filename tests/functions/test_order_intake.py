"""The order-intake function against a real HTTP server on loopback and moto's DynamoDB."""

# pyright: reportUnknownMemberType=false
# (boto3's stubs are installed for one service only)
from __future__ import annotations

import base64
import json
import re
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import boto3
import pytest
from botocore.exceptions import EndpointConnectionError
from moto import mock_aws
from mypy_boto3_dynamodb import DynamoDBClient

from functions.order_intake import handler as function
from functions.order_intake.gate import KEY, OrderGate
from functions.order_intake.handler import OrderIntake
from functions.order_intake.idempotency import LEASE_SECONDS, RETENTION_SECONDS, IdempotencyStore
from functions.order_intake.order_service import OrderService
from functions.order_intake.validation import MAX_BODY_BYTES
from tests.functions.order_service_stub import OrderServiceStub
from tests.functions.records import MOTO, TABLE, create_table

HOME = "us-east-1"
ORDER = {
    "account_id": "acc-1",
    "client_order_id": "c-1",
    "symbol": "BRK.B",
    "side": "buy",
    "type": "limit",
    "quantity": "10",
    "limit_price": "412.05",
}


@dataclass
class Context:
    """A Lambda context with this many milliseconds remaining."""

    remaining: int = 20_000

    def get_remaining_time_in_millis(self) -> int:
        return self.remaining


class OneWriterAtATime:
    """moto is not atomic between threads; DynamoDB's writes to one item are."""

    def __init__(self, client: DynamoDBClient) -> None:
        self._client = client
        self._lock = threading.Lock()

    def __getattr__(self, operation: str) -> Any:
        def call(**arguments: Any) -> Any:
            with self._lock:
                return getattr(self._client, operation)(**arguments)

        return call


@dataclass
class World:
    """A table, an order service, and a clock that a test can move."""

    client: Any
    service: OrderServiceStub
    now: float = 1_800_000_000
    region: str = "us-east-1"
    intakes: list[OrderIntake] = field(default_factory=list[OrderIntake])

    def environment(self, timeout: float = 5, url: str = "") -> OrderIntake:
        """A new execution environment with its own connections."""
        store = IdempotencyStore(self.client, TABLE, lambda: self.now)
        gate = OrderGate(self.client, TABLE, self.region, HOME, lambda: self.now)
        return OrderIntake(store, gate, OrderService(url or self.service.url, "/readyz"), timeout)

    def send(
        self, intake: OrderIntake | None = None, context: Context | None = None, **event: Any
    ) -> tuple[int, dict[str, Any], dict[str, str]]:
        """The status, body and headers of the answer to an order."""
        response = (intake or self.environment()).handle(post(**event), context or Context())
        return response["statusCode"], json.loads(response["body"]), response["headers"]

    def record(self, caller: str = "user-1") -> dict[str, Any]:
        key = {"account_id": {"S": "acc-1"}, "client_order_id": {"S": f"c-1/{caller}"}}
        return dict(self.client.get_item(TableName=TABLE, Key=key).get("Item", {}))


def post(order: object = None, *, caller: str = "user-1", **event: Any) -> dict[str, Any]:
    return {
        "httpMethod": "POST",
        "resource": "/api/orders",
        "headers": {"content-type": "application/json; charset=utf-8"},
        "body": json.dumps(ORDER if order is None else order),
        "isBase64Encoded": False,
        "requestContext": {"requestId": "req-1", "authorizer": {"claims": {"sub": caller}}},
        **event,
    }


@pytest.fixture(scope="module")
def session() -> boto3.Session:
    """One for all clients: it keeps what it has read of botocore's descriptions of the services."""
    return boto3.Session()


@pytest.fixture
def world(session: boto3.Session, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    for name, value in MOTO.items():
        monkeypatch.setenv(name, value)
    service = OrderServiceStub()
    with mock_aws():
        client = session.client("dynamodb")
        create_table(client)
        yield World(OneWriterAtATime(client), service)
    service.stop()


# What reaches the order service, and what comes back


def test_accepted_order_is_answered_with_the_order_services_answer(world: World) -> None:
    status, body, headers = world.send()
    assert (status, body) == (201, {"order_id": "o-1", "status": "accepted"})
    assert headers["X-Request-Id"] == "req-1"
    assert headers["Cache-Control"] == "no-store"


def test_order_service_gets_order_idempotency_key_request_id_and_caller(world: World) -> None:
    world.send()
    (received,) = world.service.received
    assert received.path == "/api/orders"
    assert json.loads(received.body) == ORDER
    assert re.fullmatch("acc-1/c-1/[0-9a-f]{32}", received.headers["Idempotency-Key"])
    assert received.headers["X-Request-Id"] == "req-1"
    assert received.headers["X-Caller-Subject"] == "user-1"


def test_caller_is_known_from_a_lambda_authorizer_too(world: World) -> None:
    world.send(requestContext={"requestId": "req-1", "authorizer": {"principalId": "user-9", "scope": "x"}})
    (received,) = world.service.received
    assert received.headers["X-Caller-Subject"] == "user-9"


def test_base64_body_is_read(world: World) -> None:
    body = base64.b64encode(json.dumps(ORDER).encode()).decode()
    assert world.send(body=body, isBase64Encoded=True)[0] == 201


def test_connection_is_kept_from_one_invocation_to_the_next(world: World) -> None:
    intake = world.environment()
    for number in range(3):
        assert world.send(intake, order={**ORDER, "client_order_id": f"c-{number}"})[0] == 201
    assert {received.connection for received in world.service.received} == {0}


def test_kept_connection_that_the_peer_closed_is_replaced(world: World) -> None:
    intake = world.environment()
    world.service.close_after = True
    for number in range(3):
        assert world.send(intake, order={**ORDER, "client_order_id": f"c-{number}"})[0] == 201
    assert len({received.connection for received in world.service.received}) == 3


# Invalid requests


@pytest.mark.parametrize(
    ("change", "field_"),
    [
        ({"account_id": "a/b"}, "account_id"),
        ({"account_id": ""}, "account_id"),
        ({"client_order_id": "x" * 65}, "client_order_id"),
        ({"client_order_id": None}, "client_order_id"),
        ({"symbol": "brk"}, "symbol"),
        ({"symbol": "AAPL\n"}, "symbol"),
        ({"side": "hold"}, "side"),
        ({"type": "stop"}, "type"),
        ({"quantity": 10}, "quantity"),
        ({"quantity": "0.00"}, "quantity"),
        ({"quantity": "-1"}, "quantity"),
        ({"quantity": "1e3"}, "quantity"),
        ({"quantity": "٣"}, "quantity"),
        ({"quantity": "01"}, "quantity"),
        ({"quantity": "1.123456789"}, "quantity"),
        ({"quantity": "1234567890123"}, "quantity"),
        ({"limit_price": "0"}, "limit_price"),
        ({"type": "market"}, "limit_price"),
        ({"leverage": "5"}, "leverage"),
    ],
)
def test_invalid_field_is_named_and_nothing_is_submitted(
    world: World, change: dict[str, Any], field_: str
) -> None:
    status, body, headers = world.send(order={**ORDER, **change})
    assert (status, body["type"]) == (422, "/problems/invalid-order")
    assert [error["field"] for error in body["errors"]] == [field_]
    assert headers["Content-Type"] == "application/problem+json"
    assert world.service.received == []
    assert world.record() == {}


@pytest.mark.parametrize("missing", sorted(ORDER))
def test_missing_field_is_named(world: World, missing: str) -> None:
    status, body, _ = world.send(order={name: value for name, value in ORDER.items() if name != missing})
    assert (status, [error["field"] for error in body["errors"]]) == (422, [missing])


def test_market_order_has_no_limit_price(world: World) -> None:
    order = {name: value for name, value in ORDER.items() if name != "limit_price"}
    assert world.send(order={**order, "type": "market"})[0] == 201


@pytest.mark.parametrize(
    ("event", "status"),
    [
        ({"body": "{"}, 400),
        ({"body": "[]"}, 400),
        ({"body": None}, 400),
        ({"body": "[" * MAX_BODY_BYTES}, 400),
        ({"body": '{"side": "buy", "side": "sell"}'}, 400),
        ({"body": " " * (MAX_BODY_BYTES + 1)}, 413),
        ({"headers": {"Content-Type": "text/plain"}}, 415),
        ({"headers": None}, 415),
        ({"resource": "/api/other"}, 404),
    ],
)
def test_request_that_is_no_order_is_a_client_error(world: World, event: dict[str, Any], status: int) -> None:
    answered, body, _ = world.send(**event)
    assert (answered, body["status"], body["requestId"]) == (status, status, "req-1")
    assert world.service.received == []


# Idempotency


def test_retry_gets_the_stored_answer_and_is_not_submitted_again(world: World) -> None:
    first = world.send()
    world.service.body = {"order_id": "another"}
    second = world.send(order=dict(reversed(list(ORDER.items()))))
    assert second[:2] == first[:2]
    assert second[2]["Idempotent-Replayed"] == "true"
    assert len(world.service.received) == 1


def test_refusal_by_the_order_service_is_final(world: World) -> None:
    world.service.status, world.service.body = 422, {"title": "insufficient funds"}
    assert world.send()[:2] == (422, {"title": "insufficient funds"})
    world.service.status = 201
    assert world.send()[:2] == (422, {"title": "insufficient funds"})
    assert len(world.service.received) == 1


def test_different_order_under_the_same_id_is_a_conflict(world: World) -> None:
    world.send()
    status, body, _ = world.send(order={**ORDER, "quantity": "11"})
    assert (status, body["type"]) == (409, "/problems/different-order")
    assert len(world.service.received) == 1


def test_callers_neither_share_nor_see_records(world: World) -> None:
    world.service.status, world.service.body = 422, {"title": "insufficient funds"}
    world.send(caller="user-1")
    world.service.status, world.service.body = 201, {"order_id": "o-2"}
    status, body, headers = world.send(caller="user-2")
    assert (status, body) == (201, {"order_id": "o-2"})
    assert "Idempotent-Replayed" not in headers
    assert len({received.headers["Idempotency-Key"] for received in world.service.received}) == 2


def test_id_of_a_refused_order_may_be_used_again_after_a_day_but_under_another_key(world: World) -> None:
    world.service.status, world.service.body = 422, {"title": "insufficient funds"}
    world.send()
    world.service.status, world.service.body = 201, {"order_id": "o-2"}
    world.now += RETENTION_SECONDS
    assert world.send(order={**ORDER, "quantity": "11"})[0] == 201
    assert len({received.headers["Idempotency-Key"] for received in world.service.received}) == 2


def test_accepted_order_is_never_reported_as_not_accepted(world: World) -> None:
    world.send()
    world.now += 10 * RETENTION_SECONDS
    world.service.stop()
    assert world.send()[0] == 201
    assert world.send(order={**ORDER, "quantity": "11"})[1]["type"] == "/problems/different-order"


def test_order_of_unknown_outcome_never_expires(world: World) -> None:
    world.service.hang_up = True
    world.send()
    assert "expires_at" not in world.record()
    world.now += 10 * RETENTION_SECONDS
    assert world.send(order={**ORDER, "quantity": "11"})[0] == 409


@pytest.mark.parametrize(("status", "expires"), [(201, False), (400, True), (409, True), (422, True)])
def test_record_of_a_refused_order_expires_by_the_tables_ttl_attribute(
    world: World, status: int, expires: bool
) -> None:
    world.service.status = status
    world.send()
    found = world.record().get("expires_at")
    assert found == ({"N": str(int(world.now) + RETENTION_SECONDS)} if expires else None)


def test_same_order_sent_at_once_is_submitted_once(world: World) -> None:
    world.service.answer.clear()
    senders = 8
    with ThreadPoolExecutor(senders) as pool:
        futures = [pool.submit(world.send) for _ in range(senders)]
        world.service.arrived.acquire()
        # While the submitted order still waits, all others are answered.
        waiting = set(futures)
        answers: list[tuple[int, dict[str, Any], dict[str, str]]] = []
        while len(answers) < senders - 1:
            done = {future for future in waiting if future.done()}
            answers += [future.result() for future in done]
            waiting -= done
        world.service.answer.set()
        (last,) = waiting
        assert last.result()[0] == 201
    assert {(status, body["type"]) for status, body, _ in answers} == {(409, "/problems/order-in-progress")}
    assert {headers["Retry-After"] for _, _, headers in answers} == {str(LEASE_SECONDS)}
    assert len(world.service.received) == 1


def test_stale_pending_order_is_taken_over_under_the_same_idempotency_key(world: World) -> None:
    world.service.hang_up = True
    assert world.send()[0] == 502
    assert world.record()["state"] == {"S": "pending"}
    world.service.hang_up = False

    world.now += LEASE_SECONDS - 1
    assert world.send()[0] == 409
    world.now += 1
    assert world.send()[0] == 201
    assert len({received.headers["Idempotency-Key"] for received in world.service.received}) == 1
    assert len(world.service.received) == 2


def test_different_order_does_not_take_a_stale_pending_one_over(world: World) -> None:
    world.service.hang_up = True
    world.send()
    world.now += LEASE_SECONDS
    assert world.send(order={**ORDER, "side": "sell"})[0] == 409


def test_attempt_that_was_taken_over_does_not_overwrite_the_answer(world: World) -> None:
    world.service.answer.clear()
    with ThreadPoolExecutor(2) as pool:
        slow = pool.submit(world.send)
        world.service.arrived.acquire()
        world.now += LEASE_SECONDS
        quick = pool.submit(world.send)
        world.service.arrived.acquire()
        attempt = world.record()["attempt"]
        world.service.answer.set()
        assert (slow.result()[0], quick.result()[0]) == (201, 201)
    assert world.record()["attempt"] == attempt
    assert world.record()["state"] == {"S": "finished"}


def test_repeated_write_of_ones_own_claim_is_no_conflict(world: World) -> None:
    update = world.client.update_item

    class LostAnswer(OneWriterAtATime):
        def __getattr__(self, operation: str) -> Any:
            if operation != "update_item":
                return super().__getattr__(operation)

            def update_twice(**arguments: Any) -> Any:
                update(**arguments)
                return update(**arguments)

            return update_twice

    world.client = LostAnswer(world.client)
    assert world.send()[0] == 201


# Time-outs, overload and failures


def test_order_service_that_does_not_answer_is_a_timeout_of_unknown_outcome(world: World) -> None:
    world.service.answer.clear()
    status, body, headers = world.send(world.environment(timeout=0.2))
    assert (status, body["type"]) == (504, "/problems/outcome-unknown")
    assert headers["Retry-After"] == str(LEASE_SECONDS)
    assert world.record()["state"] == {"S": "pending"}


def test_invocation_with_little_time_left_cuts_the_deadline(world: World) -> None:
    world.service.answer.clear()
    left = int((function.RESERVE_SECONDS + function.MIN_SUBMIT_SECONDS) * 1000)
    assert world.send(world.environment(timeout=3600), Context(left))[0] == 504


def test_invocation_with_no_time_left_submits_nothing_and_withdraws_the_record(world: World) -> None:
    left = int(function.RESERVE_SECONDS * 1000)
    assert world.send(context=Context(left))[0] == 503
    assert world.service.received == []
    assert world.send()[0] == 201


def test_answer_that_drips_does_not_outlast_the_deadline(world: World) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        stopped = threading.Event()

        def drip() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(b"HTTP/1.1 201 Created\r\nContent-Length: 60000\r\n\r\n")
                while not stopped.wait(0.01):
                    try:
                        connection.sendall(b" ")
                    except OSError:
                        return

        thread = threading.Thread(target=drip)
        thread.start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        assert world.send(world.environment(timeout=0.3, url=url))[0] == 504
        stopped.set()
        thread.join()


@pytest.mark.parametrize(
    ("headers", "retry_after"),
    [({"Retry-After": "7"}, "7"), ({}, "1"), ({"Retry-After": "Wed, 1 Jul 2026"}, "1")],
)
def test_overloaded_order_service_is_503_with_retry_after(
    world: World, headers: dict[str, str], retry_after: str
) -> None:
    world.service.status, world.service.headers = 429, headers
    answered, body, received = world.send()
    assert (answered, body["type"]) == (503, "/problems/overloaded")
    assert received["Retry-After"] == retry_after
    world.service.status = 201
    assert world.send()[0] == 201


def test_unreachable_order_service_is_503_and_the_record_is_withdrawn(world: World) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        closed = f"http://127.0.0.1:{server.getsockname()[1]}"
    assert world.send(world.environment(url=closed))[0] == 503
    assert world.send(order={**ORDER, "quantity": "11"})[0] == 201


@pytest.mark.parametrize(("status", "answered"), [(301, 502), (500, 502), (502, 502), (503, 502), (504, 504)])
def test_failing_order_service_leaves_the_outcome_unknown_until_a_retry(
    world: World, status: int, answered: int
) -> None:
    world.service.status, world.service.headers = status, {"Retry-After": "3"}
    code, body, headers = world.send()
    assert (code, body["type"], headers["Retry-After"]) == (answered, "/problems/outcome-unknown", "3")
    assert world.record()["state"] == {"S": "pending"}
    world.service.status = 201
    # The attempt has ended, so a retry need not wait until its lease expires.
    assert world.send()[0] == 201


@pytest.mark.parametrize("status", [401, 403, 404, 429])
def test_unknown_outcome_stays_unknown_when_a_retry_is_refused(world: World, status: int) -> None:
    world.service.hang_up = True
    assert world.send()[0] == 502
    world.service.hang_up = False
    world.now += LEASE_SECONDS
    world.service.status = status
    answered, body, _ = world.send()
    assert (answered, body["type"]) == (403 if status in (401, 403) else 502, "/problems/outcome-unknown")
    assert world.send(order={**ORDER, "quantity": "11"})[0] == 409
    world.service.status = 201
    assert world.send()[0] == 201


def test_unknown_outcome_stays_unknown_when_a_retry_cannot_connect(world: World) -> None:
    world.service.hang_up = True
    world.send()
    world.now += LEASE_SECONDS
    with socket.create_server(("127.0.0.1", 0)) as server:
        closed = f"http://127.0.0.1:{server.getsockname()[1]}"
    status, body, _ = world.send(world.environment(url=closed))
    assert (status, body["type"]) == (502, "/problems/outcome-unknown")
    assert world.send(order={**ORDER, "quantity": "11"})[0] == 409


def test_order_that_a_kept_connection_lost_is_unknown_when_no_other_can_be_opened(world: World) -> None:
    intake = world.environment()
    assert world.send(intake, order={**ORDER, "client_order_id": "c-0"})[0] == 201
    world.service.hang_up = True
    world.service.stop_listening()
    status, body, _ = world.send(intake)
    assert (status, body["type"]) == (502, "/problems/outcome-unknown")
    assert len(world.service.received) == 2


def test_bytes_that_follow_an_answer_are_not_taken_for_the_next_one(world: World) -> None:
    intake = world.environment()
    world.service.raw = b"HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\n{}" * 2
    assert world.send(intake)[0] == 201
    world.service.raw = None
    _, body, _ = world.send(intake, order={**ORDER, "client_order_id": "c-2"})
    assert body == {"order_id": "o-1", "status": "accepted"}


@pytest.mark.parametrize(
    "raw",
    [
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 201 Created\r\nContent-Length: 9\r\n\r\n{}",
        b"HTTP/1.1 201 Created\r\nContent-Le",
        b"HTTP/1.1 201 Created\r\n\r\n{}",
    ],
)
def test_broken_answer_leaves_the_outcome_unknown(world: World, raw: bytes) -> None:
    world.service.raw = raw
    status, body, _ = world.send()
    assert (status, body["type"]) == (502, "/problems/outcome-unknown")


def test_forbidden_account_is_403_and_does_not_block_its_owner(world: World) -> None:
    world.service.status = 403
    assert world.send(caller="intruder")[0] == 403
    world.service.status = 201
    assert world.send()[0] == 201


def test_missing_route_of_the_order_service_is_a_bad_gateway(world: World) -> None:
    world.service.status = 404
    assert world.send()[0] == 502
    world.service.status = 201
    assert world.send()[0] == 201


class Broken:
    """A table for which some operations are unreachable, from a later call on."""

    def __init__(self, client: Any, *operations: str, after: int = 0) -> None:
        self._client = client
        self._operations = operations
        self._left = after

    def __getattr__(self, operation: str) -> Any:
        def fail(**arguments: Any) -> Any:
            raise EndpointConnectionError(endpoint_url="dynamodb")

        if operation not in self._operations:
            return getattr(self._client, operation)
        self._left -= 1
        return getattr(self._client, operation) if self._left >= 0 else fail


def test_unreachable_table_says_nothing_of_an_order_that_may_be_recorded(world: World) -> None:
    world.client = Broken(world.client, "update_item")
    status, body, headers = world.send()
    assert (status, body["type"], headers["Retry-After"]) == (502, "/problems/outcome-unknown", "1")
    assert world.service.received == []


def test_accepted_order_is_reported_even_if_its_answer_cannot_be_stored(world: World) -> None:
    whole, world.client = world.client, Broken(world.client, "update_item", after=1)
    assert world.send()[0] == 201
    world.client = whole
    world.now += LEASE_SECONDS
    # The order service repeats its answer.
    assert world.send()[0] == 201


def test_order_whose_record_cannot_be_withdrawn_is_unknown(world: World) -> None:
    world.client = Broken(world.client, "delete_item")
    world.service.status = 429
    status, body, _ = world.send()
    assert (status, body["type"]) == (502, "/problems/outcome-unknown")


def test_defect_is_logged_and_answered_without_its_details(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    status, body, _ = world.send(requestContext={"requestId": "req-1"})
    assert (status, body["type"]) == (500, "/problems/internal")
    assert "KeyError" in caplog.text
    assert "authorizer" not in json.dumps(body)


def test_logs_carry_the_request_id_and_never_the_amounts(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "order_intake")
    world.send()
    records = [record.__dict__ for record in caplog.records if record.name == "order_intake"]
    assert [record["msg"] for record in records] == ["received", "answered"]
    assert {record["request"] for record in records} == {"req-1"}
    assert ORDER["limit_price"] not in str(records)


TRACE = "1-5759e988-bd862e3fe1be46a994272793"


@pytest.mark.parametrize(
    ("headers", "trace", "edge"),
    [
        (
            {"X-Amzn-Trace-Id": f"Self=1-0-0;Root={TRACE};Sampled=1", "X-Amz-Cf-Id": "edge_1-x=="},
            TRACE,
            "edge_1-x==",
        ),
        ({"x-amzn-trace-id": "Root=what a client\u2028 made up"}, "", ""),
        ({}, "", ""),
    ],
)
def test_first_line_leads_from_the_edge_and_the_trace_to_the_request(
    world: World, caplog: pytest.LogCaptureFixture, headers: dict[str, str], trace: str, edge: str
) -> None:
    caplog.set_level("INFO", "order_intake")
    assert world.send(headers={"content-type": "application/json", **headers})[0] == 201
    received = next(record.__dict__ for record in caplog.records if record.msg == "received")
    assert (received["request"], received["trace"], received["edge"]) == ("req-1", trace, edge)


def test_order_services_part_of_the_trace_hangs_below_lambdas(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = f"Root={TRACE};Parent=53995c3f42cd8ad8;Sampled=1"
    monkeypatch.setenv("_X_AMZN_TRACE_ID", own)
    world.send(headers={"content-type": "application/json", "X-Amzn-Trace-Id": "Root=1-the-clients"})
    assert world.service.received[0].headers["X-Amzn-Trace-Id"] == own


# Health


def health(intake: OrderIntake) -> tuple[int, dict[str, Any]]:
    event = {"httpMethod": "GET", "resource": "/healthz", "requestContext": {"requestId": "req-1"}}
    response = intake.handle(event, Context())
    return response["statusCode"], json.loads(response["body"])


def test_health_is_200_when_table_and_order_service_answer(world: World) -> None:
    assert health(world.environment()) == (200, {"table": True, "orderService": True, "serves": True})


def test_health_is_503_when_the_order_service_is_not_ready(world: World) -> None:
    world.service.ready = 503
    assert health(world.environment()) == (503, {"table": True, "orderService": False, "serves": True})


def test_health_is_503_when_the_order_service_cannot_be_reached(world: World) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        closed = f"http://127.0.0.1:{server.getsockname()[1]}"
    assert health(world.environment(url=closed))[0] == 503


def test_health_is_503_when_the_table_does_not_answer(world: World) -> None:
    world.client = Broken(world.client, "get_item")
    assert health(world.environment()) == (503, {"table": False, "orderService": True, "serves": True})


# Which region takes orders


def name_region(world: World, region: str, *evacuated: str) -> None:
    """Writes the item that a procedure writes."""
    key = {"account_id": {"S": KEY}, "client_order_id": {"S": KEY}}
    more = {"evacuated": {"SS": list(evacuated)}} if evacuated else {}
    world.client.put_item(TableName=TABLE, Item={**key, "region": {"S": region}, **more})
    world.now += 2  # the cache expires


def told(intake: OrderIntake) -> dict[str, str]:
    """What Route 53 reads."""
    request = {"requestId": "req-1"}
    query = {"orders": ""}
    event = {"httpMethod": "GET", "resource": "/healthz", "queryStringParameters": query}
    response = intake.handle({**event, "requestContext": request}, Context())
    assert response["statusCode"] == 200
    return json.loads(response["body"])


def open_or_closed(intake: OrderIntake) -> str:
    return told(intake)["orders"]


def test_the_home_region_takes_orders_until_another_is_named(world: World) -> None:
    home = world.environment()
    world.region = "eu-west-1"
    other = world.environment()
    assert (open_or_closed(home), open_or_closed(other)) == ("open", "closed")
    name_region(world, "eu-west-1")
    assert (open_or_closed(home), open_or_closed(other)) == ("closed", "open")
    name_region(world, "none")
    assert (open_or_closed(home), open_or_closed(other)) == ("closed", "closed")


def test_a_region_says_whether_others_may_take_writes(world: World) -> None:
    """While the database moves, none may, so that DNS leads writes away before it has moved."""
    home = world.environment()
    world.region = "eu-west-1"
    other = world.environment()

    def others() -> tuple[str, str]:
        return told(home)["otherRegions"], told(other)["otherRegions"]

    assert others() == ("closed", "open")
    name_region(world, "none")
    assert others() == ("closed", "closed")
    name_region(world, "eu-west-1")
    assert others() == ("open", "closed")
    world.now += 2
    world.client = Broken(world.client, "get_item")
    assert told(world.environment()) == {"orders": "unknown", "otherRegions": "unknown"}


def test_a_region_that_takes_no_orders_submits_none_and_writes_no_record(world: World) -> None:
    """The other region's record of the same order must survive: the last writer wins."""
    name_region(world, "eu-west-1")
    status, body, headers = world.send()
    assert (status, body["type"], headers["Retry-After"]) == (502, "/problems/outcome-unknown", "5")
    assert world.service.received == []
    assert world.record() == {}


def test_a_gate_that_cannot_be_read_lets_nothing_through(world: World) -> None:
    world.client = Broken(world.client, "get_item")
    assert world.send()[0] == 502
    assert world.service.received == []
    assert open_or_closed(world.environment()) == "unknown"


def test_the_gate_is_read_at_most_once_a_second(world: World) -> None:
    intake = world.environment()
    assert open_or_closed(intake) == "open"
    key = {"account_id": {"S": KEY}, "client_order_id": {"S": KEY}}
    world.client.put_item(TableName=TABLE, Item={**key, "region": {"S": "none"}})
    assert open_or_closed(intake) == "open"
    world.now += 1
    assert open_or_closed(intake) == "closed"


def test_an_evacuated_region_reports_itself_as_unhealthy_wherever_orders_go(world: World) -> None:
    name_region(world, "us-east-1", "us-east-1")
    assert health(world.environment())[0] == 503
    assert world.send()[0] == 201
    world.region = "eu-west-1"
    assert health(world.environment())[0] == 200


def test_no_account_has_the_gates_key(world: World) -> None:
    assert world.send(body=json.dumps({**ORDER, "account_id": KEY}))[0] == 422


def test_entry_point_is_configured_by_its_environment(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TABLE_NAME", TABLE)
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    monkeypatch.setenv("HOME_REGION", "eu-west-1")
    monkeypatch.setenv("ORDER_SERVICE_URL", world.service.url)
    monkeypatch.setenv("ORDER_SERVICE_READY_PATH", "/readyz")
    monkeypatch.setenv("ORDER_SERVICE_TIMEOUT_SECONDS", "5")
    function._intake.cache_clear()  # pyright: ignore[reportPrivateUsage] (a new execution environment)
    assert function.handler(post(), Context())["statusCode"] == 201
    function._intake.cache_clear()  # pyright: ignore[reportPrivateUsage]


def test_health_answers_in_time_while_one_address_is_dead(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = socket.getaddrinfo("127.0.0.1", int(world.service.url.rsplit(":", 1)[1]), type=socket.SOCK_STREAM)
    with socket.socket() as listener, socket.socket() as first, socket.socket() as second:
        # A listener whose queue is full drops connections, as a dead host does.
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for filler in (first, second):
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        dead = [(*good[0][:4], listener.getsockname())]

        def addresses(host: str, port: int, **_: object) -> list[Any]:
            return [*dead, *dead, *good]

        monkeypatch.setattr(socket, "getaddrinfo", addresses)
        assert health(world.environment())[0] == 200
        assert world.send()[0] == 201


# Two regions, between which the last writer of a record wins


@pytest.fixture
def other_region(world: World, session: boto3.Session) -> World:
    """The same order service, with the other region's copy of the table."""
    client = session.client("dynamodb", region_name="eu-west-1")
    create_table(client)
    return World(OneWriterAtATime(client), world.service)


def test_same_order_in_two_regions_has_one_key(world: World, other_region: World) -> None:
    assert world.send()[0] == 201
    assert other_region.send()[0] == 201
    assert len({received.headers["Idempotency-Key"] for received in world.service.received}) == 1


def test_replicated_record_of_unknown_outcome_stays_unknown_in_the_other_region(
    world: World, other_region: World
) -> None:
    world.service.hang_up = True
    assert world.send()[0] == 502
    other_region.client.put_item(TableName=TABLE, Item=world.record())
    other_region.now += LEASE_SECONDS
    world.service.hang_up, world.service.status = False, 429
    assert other_region.send()[1]["type"] == "/problems/outcome-unknown"


def test_record_that_is_not_replicated_yet_is_not_seen_in_the_other_region(
    world: World, other_region: World
) -> None:
    """The limit that the decision 0005-orders-of-unknown-outcome states: clients keep the first answer."""
    world.service.hang_up = True
    assert world.send()[1]["type"] == "/problems/outcome-unknown"
    world.service.hang_up, world.service.status = False, 429
    assert other_region.send()[1]["type"] == "/problems/overloaded"
