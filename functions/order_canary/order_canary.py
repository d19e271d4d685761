"""Walks the order path as a trader's program does, and fails with the step that does not answer as it must.

The steps: the client's secret, a token of the user pool, the web app, an order, and the same order again,
which must get the first answer (`Idempotent-Replayed`). All requests go to the public names over verified
TLS. CloudWatch Synthetics calls `handler`: an exception fails the run, and its text is what people read.

The order cannot trade: it is for an account and a symbol that exist for this alone (`docs/operations.md`,
section order-canary), and a limit keeps it from executing where a market should take it after all.
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
"""Of a whole run; below the canary's own time-out, so that a slow step is named instead of killed."""
SECRET_TIMEOUTS = Config(
    connect_timeout=2, read_timeout=3, retries={"mode": "standard", "total_max_attempts": 2}
)
MAX_ANSWER_BYTES = 1 << 20
QUANTITY = "1"
LIMIT_PRICE = "0.01"
"""A buyer's, at the smallest tick: nobody sells for it."""


class StepError(Exception):
    """A step of the walk did not answer as it must."""


@dataclass(frozen=True)
class Target:
    """What is walked, and as whom."""

    app_url: str
    """Of the viewer's host, such as `https://trade.example.com`."""
    token_url: str
    client_id: str
    scope: str
    account_id: str
    symbol: str

    @classmethod
    def from_environment(cls) -> Target:
        """As `components/monitoring/canary.py` sets it."""
        return cls(**{name: os.environ[name.upper()] for name in cls.__dataclass_fields__})


@dataclass(frozen=True)
class Answer:
    """An HTTP answer, read to its end."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> dict[str, Any]:
        """The body, a JSON object.

        Raises:
            ValueError: it is none.
        """
        document: object = json.loads(self.body)
        if not isinstance(document, dict):
            raise TypeError("the body is not a JSON object")
        return cast(dict[str, Any], document)

    @property
    def request(self) -> str:
        """API Gateway's id of the request, empty where it had not got there."""
        if known := self.headers.get("x-request-id"):
            return known
        try:
            return str(self.json().get("requestId", ""))
        except (TypeError, ValueError):
            return ""


@dataclass
class Walk:
    """One run: its steps take turns until one fails or the deadline has come."""

    target: Target
    tls: ssl.SSLContext
    deadline: float
    """On the monotonic clock."""
    trace: str = field(default_factory=lambda: f"1-{int(time.time()):08x}-{uuid.uuid4().hex[:24]}")
    """X-Ray's id of the trace that all requests of the run belong to."""
    durations: dict[str, int] = field(default_factory=dict[str, int])
    """Step → milliseconds, of the steps that were begun."""
    last: Answer | None = None
    """The answer to the step's request."""

    def step(self, name: str, action: Callable[[], Any]) -> Any:
        """Runs one step and measures it.

        Raises:
            StepError: it failed; the text names it and its request.
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
        """An access token, by the client's credentials."""
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
        # Neither here nor below may an error repeat a body: this one has the token in it.
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
        """The web app's page."""
        answer = self._send("GET", f"{self.target.app_url}/")
        if answer.status != 200:
            raise StepError(f"status {answer.status}, not 200")
        kind = answer.headers.get("content-type", "")
        if not kind.startswith("text/html"):
            raise StepError(f"content type {kind[:80]!r}, not text/html")

    def order(self, token: str, order: Mapping[str, str], first: Answer | None = None) -> Answer:
        """Places the order; with the answer to it from before, places it again."""
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
            raise StepError("a new order was answered as one from before")
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
            # The connection forgets its socket where the server will close it, and the answer is still there.
            socket = connection.sock
            socket.settimeout(self._left())
            connection.request(
                method,
                parts.path,
                body,
                {
                    # AWS's common rule set refuses requests without one.
                    "User-Agent": "trading-order-canary",
                    # Sampled at every hop; Synthetics itself traces no canary in Python.
                    "X-Amzn-Trace-Id": f"Root={self.trace};Sampled=1",
                    **(headers or {}),
                },
            )
            response = connection.getresponse()
            content = b""
            while True:
                # The socket's own time-out is for each read: an answer that drips would never meet it.
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
    """What a problem says of itself (RFC 9457); of other bodies nothing is repeated."""
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
        tls: whom to trust; else the certificate authorities that Python does.

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
        # Their texts name the secret, never its value.
        raise StepError(f"cannot be read: {error}") from error


def handler(event: object, context: object) -> str:  # noqa: ARG001 (Synthetics' own signature)
    """Synthetics' entry point."""
    durations = walk(Target.from_environment(), _client_secret)
    return f"all steps answered within {sum(durations.values())} ms"
