"""Requests with the canary's account, or with a token of the user, against the order path on this machine."""

from __future__ import annotations

import base64
import json
import socket
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qs
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
REFUSED = Reply(403, {}, b'{"type": "/problems/forbidden", "requestId": "1"}')
"""The API's own answer to a token that doesn't open a route."""
GROUP = "/aws/containerinsights/trading/application"


@pytest.fixture
def stub() -> Iterator[OrderPathStub]:
    running = OrderPathStub()
    running.replies["unknown"] = REFUSED
    yield running
    running.stop()


def token(**claims: object) -> str:
    """A token with these claims, and a signature that nobody verifies here."""
    parts = ({"alg": "none"}, claims)
    return ".".join(
        [*(base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts), "x"]
    )


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
        for _ in range(2):  # once for each token
            stubber.add_response("get_secret_value", {"SecretString": "the-secret"})
    stubber.activate()
    return client


def asked(
    service: str, operation: str, client: Any, ask: Callable[[Any], Answer], also: tuple[str, ...] = ()
) -> Answer:
    return Question("check", "", service, "us-east-1", (operation,), ask, also).answer(client)


def order(stub: OrderPathStub, code: str = "") -> Answer:
    return asked(
        "secretsmanager",
        "GetSecretValue",
        secrets(code),
        lambda client: orders.order(client, https(stub), target(stub), SECRET),
    )


OPENED, CLOSED = ("trading/accounts", "/api/accounts"), ("trading/orders", "/api/accounts")


def from_user_pool(stub: OrderPathStub, code: str = "") -> orders.Tokens:
    return orders.Tokens(secrets(code), https(stub), target(stub), SECRET)


def scope(stub: OrderPathStub, tokens: orders.NewToken, opened: int = 404) -> Answer:
    """Asks with tokens of the canary, or with the user's.

    Args:
        stub: the order path. Its step `unknown` answers the second request.
        tokens: gets tokens.
        opened: what the first request gets.
    """
    replies = [Reply(opened, {}, b""), stub.replies["unknown"]]

    class Api(Https):
        def send(self, host: str, path: str, *arguments: Any, **named: Any) -> Any:
            stub.replies["unknown"] = replies.pop(0)
            return super().send(host, path, *arguments, **named)

    found = https(stub)
    return asked(
        "https",
        "GET",
        Api(found.tls, found.address),
        lambda client: orders.scope(client, "127.0.0.1", tokens, OPENED, CLOSED),
        also=("secretsmanager:GetSecretValue",),
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
        arguments = (https(stub), "127.0.0.1", from_user_pool(stub), OPENED, GROUP, waits.append)
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
    stub.replies["unknown"] = REFUSED
    answer = scope(stub, from_user_pool(stub))
    assert answer.status == "pass", answer
    assert answer.found == (
        "/api/accounts answers 403 to a token with trading/orders, and /api/accounts answers 404 to one with "
        "trading/accounts"
    )
    scopes = [parse_qs(item.body.decode())["scope"] for item in stub.asked if item.step == "token"]
    assert scopes == [["trading/accounts"], ["trading/orders"]]


@pytest.mark.parametrize(
    ("reply", "found"),
    [
        (Reply(200, {}, b"[]"), "/api/accounts answers 200 to a token with trading/orders"),
        (Reply(403, {}, b"<html>"), "answers 403 to a token with trading/orders, which isn't the API's own"),
        (Reply(401, {}, b"{}"), "answers 401 to a token with trading/orders, which isn't the API's own"),
    ],
)
def test_route_that_the_api_does_not_refuse_fails(stub: OrderPathStub, reply: Reply, found: str) -> None:
    stub.replies["unknown"] = reply
    answer = scope(stub, from_user_pool(stub))
    assert answer.status == "fail"
    assert found in answer.found


@pytest.mark.parametrize("status", [401, 403])
def test_token_that_opens_nothing_says_nothing_about_scopes(stub: OrderPathStub, status: int) -> None:
    stub.replies["unknown"] = REFUSED
    answer = scope(stub, orders.Given("expired"), opened=status)
    assert answer.status == "unknown"
    assert "which should open it" in answer.found


def test_token_of_the_user_is_sent(stub: OrderPathStub) -> None:
    stub.replies["unknown"] = REFUSED
    assert scope(stub, orders.Given("a-token")).status == "pass"
    assert [item.headers["Authorization"] for item in stub.asked] == ["Bearer a-token"] * 2


def test_scopes_of_a_token_are_read() -> None:
    assert orders.Given(token(scope="trading/orders trading/accounts")).scopes("scope") == {
        "trading/orders",
        "trading/accounts",
    }
    assert orders.Given(token(scp=["a"])).scopes("scp") == {"a"}
    assert orders.Given(token()).scopes("scope") == frozenset()


@pytest.mark.parametrize("text", ["secret", "a.b", "a.bm8.c", "a.W10.c", "a.e30.c\r\nX-Other: 1"])
def test_token_that_is_none_is_refused_without_showing_it(text: str) -> None:
    with pytest.raises(ValueError, match=r"JSON|Expecting") as caught:
        orders.Given(text).scopes("scope")
    assert text not in str(caught.value)


def test_secret_that_may_not_be_read_is_unknown(stub: OrderPathStub) -> None:
    code = "AccessDeniedException"
    for answer in (order(stub, code), scope(stub, from_user_pool(stub, code))):
        assert answer.status == "unknown"
        assert answer.found == "not allowed to call secretsmanager:GetSecretValue"


def test_token_that_is_not_given_is_unknown(stub: OrderPathStub) -> None:
    stub.replies["token"] = Reply(400, {}, b"{}")
    assert scope(stub, from_user_pool(stub)).status == "unknown"
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
