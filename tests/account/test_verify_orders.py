"""Requests with the canary's account, against the order path on this machine."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import pytest
from botocore.stub import Stubber

from account.question import Answer, Question
from account.verify import orders
from account.verify.https import Https
from functions.order_canary.order_canary import Target
from tests.account.cases import new_client
from tests.functions.order_path_stub import OrderPathStub, Reply

SECRET = "arn:aws:secretsmanager:us-east-1:123456789012:secret:canary"
ASKED = f"/api/accounts/verify-{UUID(int=1).hex}"
GROUP = "/aws/containerinsights/trading/application"


@pytest.fixture
def stub() -> Iterator[OrderPathStub]:
    running = OrderPathStub()
    running.replies["unknown"] = Reply(403, {}, b"")
    yield running
    running.stop()


def target(stub: OrderPathStub) -> Target:
    return Target(stub.url, f"{stub.url}/oauth2/token", "client", "trading/orders", "canary", "ZVZZT")


def https(stub: OrderPathStub) -> Https:
    port = int(stub.url.rpartition(":")[2])
    return Https(stub.trust(), lambda host: (host, port))


def secrets(code: str = "") -> Any:
    client = new_client("secretsmanager")
    stubber = Stubber(client)
    if code:
        stubber.add_client_error("get_secret_value", code)
    else:
        stubber.add_response("get_secret_value", {"SecretString": "the-secret"})
    stubber.activate()
    return client


def asked(service: str, operation: str, client: Any, ask: Callable[[Any], Answer]) -> Answer:
    return Question("check", "", service, "us-east-1", (operation,), ask).answer(client)


def order(stub: OrderPathStub, code: str = "") -> Answer:
    return asked(
        "secretsmanager",
        "GetSecretValue",
        secrets(code),
        lambda client: orders.order(client, https(stub), target(stub), SECRET),
    )


def scope(stub: OrderPathStub, code: str = "") -> Answer:
    return asked(
        "secretsmanager",
        "GetSecretValue",
        secrets(code),
        lambda client: orders.scope(client, https(stub), target(stub), SECRET, "/api/accounts"),
    )


def path(stub: OrderPathStub, *lines: str, code: str = "", empty: int = 0) -> Answer:
    """`empty` answers of the service's log without lines, and then one with these."""
    client = new_client("logs")
    waits: list[float] = []
    with Stubber(client) as stubber:
        if code:
            stubber.add_client_error("filter_log_events", code)
        for _ in range(empty):
            stubber.add_response("filter_log_events", {"events": []})
        if lines:
            stubber.add_response("filter_log_events", {"events": [{"message": line} for line in lines]})
        arguments = (secrets(), https(stub), target(stub), SECRET, "/api/accounts", GROUP, waits.append)
        found = asked("logs", "FilterLogEvents", client, lambda client: orders.path(client, *arguments))
    assert len(waits) == empty
    return found


@pytest.fixture(autouse=True)
def _word(monkeypatch: pytest.MonkeyPatch) -> None:  # pyright: ignore[reportUnusedFunction]
    monkeypatch.setattr(orders, "uuid4", lambda: UUID(int=1))


def test_order_and_its_repetition_pass(stub: OrderPathStub, capsys: pytest.CaptureFixture[str]) -> None:
    answer = order(stub)
    assert answer.status == "pass", answer
    assert [item.step for item in stub.asked] == ["token", "app", "order", "replay"]
    assert capsys.readouterr().out == "", "the canary's line must not be in the answers"


def test_order_that_is_refused_fails(stub: OrderPathStub) -> None:
    stub.replies["order"] = Reply(503, {}, b"")
    answer = order(stub)
    assert answer.status == "fail"
    assert answer.found.startswith("step order: status 503, not 201")
    assert "order-canary" in answer.remedy


def test_token_without_the_scope_is_refused(stub: OrderPathStub) -> None:
    assert scope(stub) == Answer("pass", "/api/accounts answers 403 to a token with trading/orders")
    stub.replies["unknown"] = Reply(200, {}, b"[]")
    answer = scope(stub)
    assert (answer.status, answer.found) == (
        "fail",
        "/api/accounts answers 200 to a token with trading/orders",
    )


def test_secret_that_may_not_be_read_is_unknown(stub: OrderPathStub) -> None:
    for answer in (order(stub, "AccessDeniedException"), scope(stub, "AccessDeniedException")):
        assert answer.status == "unknown"
        assert answer.found == "not allowed to call secretsmanager:GetSecretValue"


def test_token_that_is_not_given_is_unknown(stub: OrderPathStub) -> None:
    stub.replies["token"] = Reply(400, {}, b"{}")
    assert scope(stub).status == "unknown"
    assert path(stub).status == "unknown"


def test_path_reaches_the_service_as_it_was_sent(stub: OrderPathStub) -> None:
    stub.replies["unknown"] = Reply(404, {}, b"")
    answer = path(stub, f"GET {ASKED} 404", empty=2)
    assert answer.status == "pass", answer
    assert answer.found == f"the service got {ASKED}"


def test_path_with_the_stage_fails(stub: OrderPathStub) -> None:
    stub.replies["unknown"] = Reply(404, {}, b"")
    answer = path(stub, f"GET /live{ASKED} 404")
    assert answer.status == "fail"
    assert f"GET /live{ASKED}" in answer.found


def test_path_that_no_line_has_is_unknown(stub: OrderPathStub) -> None:
    stub.replies["unknown"] = Reply(404, {}, b"")
    assert path(stub, empty=orders.ATTEMPTS).status == "unknown"
    assert path(stub, code="AccessDeniedException").found == "not allowed to call logs:FilterLogEvents"


def test_route_that_refuses_its_own_scope_fails(stub: OrderPathStub) -> None:
    assert path(stub).status == "fail"


def test_order_path_that_is_down_fails() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"https://127.0.0.1:{unused.getsockname()[1]}"
    gone = Target(url, f"{url}/oauth2/token", "client", "trading/orders", "canary", "ZVZZT")
    assert orders.order(secrets(), Https(), gone, SECRET).status == "fail"
