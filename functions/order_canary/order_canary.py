"""Tests the order path as a trader's program would use it, and reports the first step that fails.

The steps are: read the client's secret, get a token from the user pool, load the web app, place an order, and
place the same order again, which must return the first answer (`Idempotent-Replayed`). All requests use the
public names and verified TLS. CloudWatch Synthetics calls `handler`. An exception fails the run, and its text
is shown to operators.

The order can't cause a trade: its account and symbol only exist for this test (`docs/operations.md`, section
order-canary), and its limit price keeps it from executing even if a market accepted it.
"""

from __future__ import annotations

import base64
import http.client
import json
import os
import re
import ssl
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast
from urllib.parse import urlencode, urlsplit

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

DEADLINE_SECONDS = 40.0
"""Deadline of a whole run. It is below the canary's own timeout, so that a slow step is reported and not
killed."""
SECRET_TIMEOUTS = Config(
    connect_timeout=2, read_timeout=3, retries={"mode": "standard", "total_max_attempts": 2}
)
MAX_ANSWER_BYTES = 1 << 20
QUANTITY = "1"
LIMIT_PRICE = "0.01"
"""A buyer's limit at the smallest tick, for which nobody sells."""


class StepError(Exception):
    """Raised if a step fails."""


@dataclass(frozen=True)
class Target:
    """The URLs to test, and the client, account and symbol to use."""

    app_url: str
    """URL of the viewers' host, such as `https://trade.example.com`."""
    token_url: str
    client_id: str
    scope: str
    account_id: str
    symbol: str

    @classmethod
    def from_environment(cls) -> Target:
        """Reads the environment variables that `components/monitoring/canary.py` sets."""
        return cls(**{name: os.environ[name.upper()] for name in cls.__dataclass_fields__})


@dataclass(frozen=True)
class Answer:
    """A complete HTTP response."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> dict[str, Any]:
        """The body as a JSON object.

        Raises:
            ValueError: the body isn't JSON.
            TypeError: the body isn't a JSON object.
        """
        document: object = json.loads(self.body)
        if not isinstance(document, dict):
            raise TypeError("the body is not a JSON object")
        return cast(dict[str, Any], document)

    @property
    def request(self) -> str:
        """API Gateway's id of the request; empty if the request didn't reach it."""
        if known := self.headers.get("x-request-id"):
            return known
        try:
            return str(self.json().get("requestId", ""))
        except (TypeError, ValueError):
            return ""


@dataclass
class Walk:
    """One run, whose steps are executed until one fails or the deadline passes."""

    target: Target
    tls: ssl.SSLContext
    deadline: float
    """Time on the monotonic clock."""
    trace: str = field(default_factory=lambda: f"1-{int(time.time()):08x}-{uuid.uuid4().hex[:24]}")
    """X-Ray's id of the trace of all requests in this run."""
    durations: dict[str, int] = field(default_factory=dict[str, int])
    """Step → milliseconds, for the steps that were started."""
    last: Answer | None = None
    """The response to the step's request."""

    def step(self, name: str, action: Callable[[], Any]) -> Any:
        """Runs one step and measures it.

        Raises:
            StepError: the step failed. The text names the step and its request.
        """
        self.last = None
        begun = time.monotonic()
        try:
            return action()
        except TimeoutError as error:
            raise StepError(f"step {name}: no answer in time ({self._ids()})") from error
        except (StepError, OSError, ValueError, TypeError, http.client.HTTPException) as error:
            raise StepError(f"step {name}: {error or type(error).__name__} ({self._ids()})") from error
        finally:
            self.durations[name] = round((time.monotonic() - begun) * 1000)

    def _ids(self) -> str:
        headers: Mapping[str, str] = self.last.headers if self.last else {}
        return (
            f"request {self.last.request if self.last else ''}, edge {headers.get('x-amz-cf-id', '')}, "
            f"trace {self.trace}"
        )

    def token(self, client_secret: str) -> str:
        """Gets an access token with the client's credentials."""
        credentials = base64.b64encode(f"{self.target.client_id}:{client_secret}".encode()).decode()
        answer = self._send(
            "POST",
            self.target.token_url,
            urlencode({"grant_type": "client_credentials", "scope": self.target.scope}).encode(),
            {
                "Authorization": f"Basic {credentials}",
                "Content-Type": "application/x-www-form-urlencoded",
            },
        )
        # Errors must not contain a body, here or below: this one contains the token.
        document = answer.json() if answer.status in (200, 400) else {}
        if answer.status != 200:
            code = str(document.get("error", ""))
            known = f" ({code})" if re.fullmatch("[a-z_]{1,40}", code) else ""
            raise StepError(f"status {answer.status}{known}, not 200")
        token = document.get("access_token")
        if not isinstance(token, str) or not token:
            raise StepError("the answer has no access token")
        return token

    def app(self) -> None:
        """Loads the web app's page."""
        answer = self._send("GET", f"{self.target.app_url}/")
        if answer.status != 200:
            raise StepError(f"status {answer.status}, not 200")
        kind = answer.headers.get("content-type", "")
        if not kind.startswith("text/html"):
            raise StepError(f"content type {kind[:80]!r}, not text/html")

    def order(self, token: str, order: Mapping[str, str], first: Answer | None = None) -> Answer:
        """Places an order. With `first`, its first answer, checks that the answer is repeated."""
        answer = self._send(
            "POST",
            f"{self.target.app_url}/api/orders",
            json.dumps(order).encode(),
            {"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
        )
        if answer.status != 201:
            raise StepError(f"status {answer.status}{_title(answer)}, not 201")
        document = answer.json()
        if not answer.request:
            raise StepError("the answer has no X-Request-Id")
        replayed = answer.headers.get("idempotent-replayed")
        if first is None and replayed is not None:
            raise StepError("a new order was answered like an earlier one")
        if first is not None:
            if replayed != "true":
                raise StepError("the same order was placed twice: no Idempotent-Replayed")
            if document != first.json():
                raise StepError("the same order got another answer than the first time")
            if answer.request == first.request:
                raise StepError("two requests have the same id: something on the way has cached an order")
        return answer

    def _send(
        self, method: str, url: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        parts = urlsplit(url)
        connection = http.client.HTTPSConnection(
            parts.hostname or "", parts.port, timeout=self._left(), context=self.tls
        )
        try:
            connection.connect()
            # If the server will close the connection, it drops its socket, from which the answer is still
            # read.
            socket = connection.sock
            socket.settimeout(self._left())
            connection.request(
                method,
                parts.path,
                body,
                {
                    # AWS's common rule set blocks requests without a user agent.
                    "User-Agent": "trading-order-canary",
                    # Every hop samples the request. Synthetics itself doesn't trace Python canaries.
                    "X-Amzn-Trace-Id": f"Root={self.trace};Sampled=1",
                    **(headers or {}),
                },
            )
            response = connection.getresponse()
            content = b""
            while True:
                # The socket's own timeout applies to each read, so a slow stream of data would never hit it.
                socket.settimeout(self._left())
                chunk = response.read1(65_536)
                content += chunk
                if not chunk or len(content) > MAX_ANSWER_BYTES:
                    break
            complete = not response.length
        finally:
            connection.close()
        names = {name.lower(): value for name, value in response.getheaders()}
        self.last = Answer(response.status, names, content)
        if len(content) > MAX_ANSWER_BYTES:
            raise StepError(f"the answer is longer than {MAX_ANSWER_BYTES} bytes")
        if not complete:
            raise StepError("the answer broke off")
        return self.last

    def _left(self) -> float:
        seconds = self.deadline - time.monotonic()
        if seconds <= 0:
            raise TimeoutError
        return seconds


def _title(answer: Answer) -> str:
    """The title of a problem (RFC 9457). Other bodies are not quoted."""
    if not answer.headers.get("content-type", "").startswith(
        ("application/problem+json", "application/json")
    ):
        return ""
    try:
        title = answer.json().get("title")
    except (TypeError, ValueError):
        return ""
    return f" ({title[:80]})" if isinstance(title, str) else ""


def walk(
    target: Target,
    secret: Callable[[], str],
    tls: ssl.SSLContext | None = None,
    seconds: float = DEADLINE_SECONDS,
) -> dict[str, int]:
    """Runs all steps and writes one line of JSON about them.

    Args:
        secret: fetches the client's secret.
        tls: the certificate authorities to trust. Defaults to Python's.

    Returns:
        Step → milliseconds.

    Raises:
        StepError: a step failed.
    """
    run = Walk(target, tls or ssl.create_default_context(), time.monotonic() + seconds)
    order = {
        "account_id": target.account_id,
        "client_order_id": f"canary-{uuid.uuid4().hex}",
        "symbol": target.symbol,
        "side": "buy",
        "type": "limit",
        "quantity": QUANTITY,
        "limit_price": LIMIT_PRICE,
    }
    line: dict[str, Any] = {"level": "INFO", "message": "walked", "order": order["client_order_id"]}
    try:
        client_secret = run.step("secret", secret)
        token = run.step("token", lambda: run.token(client_secret))
        run.step("app", run.app)
        first = run.step("order", lambda: run.order(token, order))
        run.step("replay", lambda: run.order(token, order, first))
    except StepError as error:
        line |= {"level": "ERROR", "message": str(error)}
        raise
    finally:
        print(json.dumps({**line, "trace": run.trace, "milliseconds": run.durations}))
    return run.durations


def _client_secret() -> str:
    # boto3's stubs are installed for one service only.
    connect = cast(Callable[..., Any], boto3.client)  # pyright: ignore[reportUnknownMemberType]
    client = connect("secretsmanager", config=SECRET_TIMEOUTS)
    try:
        return str(client.get_secret_value(SecretId=os.environ["CLIENT_SECRET_ARN"])["SecretString"])
    except (ClientError, BotoCoreError) as error:
        # These errors name the secret, but never contain its value.
        raise StepError(f"cannot be read: {error}") from error


def handler(event: object, context: object) -> str:  # noqa: ARG001 (Synthetics defines the signature)
    """Synthetics' entry point."""
    durations = walk(Target.from_environment(), _client_secret)
    return f"all steps answered within {sum(durations.values())} ms"
