"""The canary against a real HTTPS server on loopback."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# (boto3's stubs are installed for one service only)
from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs

import boto3
import pytest
from botocore.stub import Stubber

from functions.order_canary import order_canary
from functions.order_canary.order_canary import StepError, Target, walk
from functions.order_intake.validation import parse_order
from tests.functions.order_path_stub import OrderPathStub

SECRET = "the-client-secret"
ENVIRONMENT = {
    "CLIENT_ID": "client-1",
    "SCOPE": "trading/orders",
    "ACCOUNT_ID": "canary",
    "SYMBOL": "ZVZZT",
    "CLIENT_SECRET_ARN": "arn:aws:secretsmanager:us-east-1:123456789012:secret:canary-a1b2c3",
}


@pytest.fixture
def path(monkeypatch: pytest.MonkeyPatch) -> Iterator[OrderPathStub]:
    stub = OrderPathStub()
    urls = {"APP_URL": stub.url, "TOKEN_URL": f"{stub.url}/oauth2/token"}
    for name, value in {**ENVIRONMENT, **urls, "AWS_DEFAULT_REGION": "us-east-1"}.items():
        monkeypatch.setenv(name, value)
    yield stub
    stub.stop()


def run(path: OrderPathStub, seconds: float = 10) -> dict[str, int]:
    return walk(Target.from_environment(), lambda: SECRET, path.trust(), seconds)


def failure(path: OrderPathStub, seconds: float = 10) -> str:
    with pytest.raises(StepError) as raised:
        run(path, seconds)
    return str(raised.value)


# A healthy path


def test_every_step_is_taken_in_order_and_measured(path: OrderPathStub) -> None:
    durations = run(path)
    assert [asked.step for asked in path.asked] == ["token", "app", "order", "replay"]
    assert list(durations) == ["secret", "token", "app", "order", "replay"]


def test_token_is_asked_for_with_the_clients_credentials_and_one_scope(path: OrderPathStub) -> None:
    run(path)
    asked = path.asked[0]
    assert base64.b64decode(asked.headers["Authorization"].removeprefix("Basic ")).decode() == (
        f"client-1:{SECRET}"
    )
    assert parse_qs(asked.body.decode()) == {
        "grant_type": ["client_credentials"],
        "scope": ["trading/orders"],
    }


def test_order_is_one_that_order_intake_takes_and_no_market_executes(path: OrderPathStub) -> None:
    run(path)
    order = parse_order(path.asked[2].body, path.asked[2].headers["Content-Type"])
    assert path.asked[2].headers["Authorization"] == "Bearer the-token"
    assert dict(order.fields) | {"client_order_id": ""} == {
        "account_id": "canary",
        "client_order_id": "",
        "symbol": "ZVZZT",
        "side": "buy",
        "type": "limit",
        "quantity": "1",
        "limit_price": "0.01",
    }


def test_the_same_order_is_sent_again_and_another_one_in_the_next_run(path: OrderPathStub) -> None:
    run(path)
    first, again = path.asked[2:]
    assert (first.path, first.body) == (again.path, again.body)
    path.asked.clear()
    run(path)
    assert path.asked[2].body != first.body


def test_all_requests_belong_to_one_sampled_trace_and_say_who_sends_them(path: OrderPathStub) -> None:
    run(path)
    (trace,) = {asked.headers["X-Amzn-Trace-Id"] for asked in path.asked}
    assert trace.startswith("Root=1-")
    assert trace.endswith(";Sampled=1")
    assert {asked.headers["User-Agent"] for asked in path.asked} == {"trading-order-canary"}


# Each step that fails


@pytest.mark.parametrize(
    ("step", "change", "why"),
    [
        ("token", {"status": 503}, "status 503, not 200"),
        (
            "token",
            {"status": 400, "body": b'{"error": "invalid_client"}'},
            "400 (invalid_client)",
        ),
        ("token", {"body": b"{}"}, "no access token"),
        ("token", {"body": b"<html>"}, "Expecting value"),
        ("app", {"status": 404}, "status 404, not 200"),
        ("app", {"headers": {"Content-Type": "application/xml"}}, "not text/html"),
        (
            "order",
            {"status": 401, "body": b'{"title": "Unauthorized"}'},
            "(Unauthorized)",
        ),
        ("order", {"status": 503, "body": b'{"title": "Service overloaded"}'}, "503 (Service overloaded)"),
        ("order", {"status": 200}, "status 200, not 201"),
        ("order", {"body": b"[]"}, "not a JSON object"),
        ("order", {"body": b"accepted"}, "Expecting value"),
        ("order", {"headers": {}}, "no X-Request-Id"),
        (
            "order",
            {"headers": {"X-Request-Id": "req-1", "Idempotent-Replayed": "true"}},
            "a new order was answered like an earlier one",
        ),
        ("replay", {"status": 409}, "status 409, not 201"),
        ("replay", {"headers": {"X-Request-Id": "req-2"}}, "placed twice"),
        ("replay", {"body": b'{"order_id": "o-2", "status": "accepted"}'}, "another answer"),
        (
            "replay",
            {"headers": {"X-Request-Id": "req-1", "Idempotent-Replayed": "true"}},
            "two requests have the same id",
        ),
        ("order", {"cut": True}, "broke off"),
    ],
)
def test_failure_names_its_step(path: OrderPathStub, step: str, change: dict[str, Any], why: str) -> None:
    for name, value in change.items():
        setattr(path.replies[step], name, value)
    text = failure(path)
    assert text.startswith(f"step {step}: ")
    assert why in text
    assert path.asked[-1].step == step, "nothing is asked after a failure"


def test_failure_names_the_request_at_the_edge_in_the_api_and_in_the_trace(path: OrderPathStub) -> None:
    path.replies["order"].status = 502
    trace = failure(path).split("trace ")[1].rstrip(")")
    assert path.asked[-1].headers["X-Amzn-Trace-Id"] == f"Root={trace};Sampled=1"
    path.asked.clear()
    assert "(request req-1, edge edge-1, trace 1-" in failure(path)


def test_request_id_of_a_gateways_own_answer_is_in_its_body(path: OrderPathStub) -> None:
    path.replies["order"].status = 429
    path.replies["order"].headers = {"X-Amz-Cf-Id": "edge-1"}
    path.replies["order"].body = b'{"title": "Too many requests", "requestId": "req-9"}'
    assert "(request req-9, edge edge-1" in failure(path)


@pytest.mark.parametrize("step", ["token", "app", "order", "replay"])
@pytest.mark.parametrize("fault", ["hang", "drip"])
def test_run_ends_at_its_deadline(path: OrderPathStub, step: str, fault: str) -> None:
    setattr(path.replies[step], fault, True)
    begun = time.monotonic()
    assert failure(path, 1).startswith(f"step {step}: no answer in time")
    assert time.monotonic() - begun < 3


def test_long_answer_is_not_read_to_its_end(path: OrderPathStub) -> None:
    path.replies["app"].body = b" " * (order_canary.MAX_ANSWER_BYTES + 100_000)
    assert "longer than" in failure(path)


def test_redirect_is_not_followed(path: OrderPathStub) -> None:
    path.replies["order"].status = 307
    path.replies["order"].headers["Location"] = "/elsewhere"
    assert "status 307" in failure(path)


def test_certificate_is_verified(path: OrderPathStub) -> None:
    with pytest.raises(StepError, match=r"step token: .*CERTIFICATE_VERIFY_FAILED"):
        walk(Target.from_environment(), lambda: SECRET)
    assert path.asked == []


def test_certificate_of_another_name_is_refused(path: OrderPathStub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN_URL", f"{path.url}/oauth2/token".replace("127.0.0.1", "localhost"))
    assert "Hostname mismatch" in failure(path)
    assert path.asked == []


def test_path_that_is_down_fails_the_step(path: OrderPathStub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APP_URL", "https://127.0.0.1:1")
    assert failure(path).startswith("step app: [Errno 111]")


# What it logs


def test_run_is_one_line_of_json(path: OrderPathStub, capsys: pytest.CaptureFixture[str]) -> None:
    run(path)
    line = json.loads(capsys.readouterr().out)
    assert (line["level"], line["message"]) == ("INFO", "walked")
    assert line["milliseconds"].keys() == {"secret", "token", "app", "order", "replay"}
    assert line["order"] == json.loads(path.asked[2].body)["client_order_id"]
    assert f"Root={line['trace']};" in path.asked[2].headers["X-Amzn-Trace-Id"]


@pytest.mark.parametrize("step", ["token", "app", "order", "replay"])
def test_neither_secret_nor_token_is_said(
    path: OrderPathStub, step: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path.replies[step].status = 400
    # A server that echoes what it received.
    path.replies[step].body = json.dumps({"error": f"{SECRET} the-token"}).encode()
    said = failure(path) + capsys.readouterr().out
    assert json.loads(said[said.index("{") :])["level"] == "ERROR"
    assert SECRET not in said
    assert "the-token" not in said


# Synthetics' entry point


def secrets_manager(monkeypatch: pytest.MonkeyPatch) -> Any:
    session = boto3.session.Session(aws_access_key_id="x", aws_secret_access_key="x")
    client: Any = session.client("secretsmanager")

    def the_client(*_: object, **__: object) -> Any:
        return client

    monkeypatch.setattr(boto3, "client", the_client)
    return client


def test_handler_reads_the_secret_and_walks(path: OrderPathStub, monkeypatch: pytest.MonkeyPatch) -> None:
    client = secrets_manager(monkeypatch)
    trusted = path.trust()
    monkeypatch.setattr(order_canary.ssl, "create_default_context", lambda: trusted)
    with Stubber(client) as stubber:
        stubber.add_response(
            "get_secret_value",
            {"SecretString": SECRET},
            {"SecretId": ENVIRONMENT["CLIENT_SECRET_ARN"]},
        )
        assert order_canary.handler({}, None).startswith("all steps answered within")
        stubber.assert_no_pending_responses()
    assert base64.b64encode(f"client-1:{SECRET}".encode()).decode() in path.asked[0].headers["Authorization"]


def test_secret_that_cannot_be_read_fails_its_step(
    path: OrderPathStub, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = secrets_manager(monkeypatch)
    with Stubber(client) as stubber:
        stubber.add_client_error("get_secret_value", "AccessDeniedException")
        with pytest.raises(StepError, match=r"step secret: cannot be read: .*AccessDenied"):
            order_canary.handler({}, None)
    assert path.asked == []
