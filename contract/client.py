"""Sends the requests of order intake, or parts of them, and reads the answers as they are.

Order intake's own client (`functions/order_intake/order_service.py`) rejects an answer that it can't trust.
This one reads such an answer too, so that each fault of a service shows up in the check for it only.
"""

from __future__ import annotations

import contextlib
import http.client
import io
import json
import select
import socket
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from functions.order_intake.order_service import MAX_ANSWER_BYTES
from functions.order_intake.validation import Order

PATH = "/api/orders"
_SHOWN = 48
"""Bytes of a body that are shown."""


class NoAnswerError(Exception):
    """Raised if no connection could be made, or if no whole answer arrived."""


@dataclass(frozen=True)
class Request:
    """An order as order intake sends it."""

    order: Order
    caller: str
    key: str
    request_id: str
    trace: str

    def encode(self, host: str, port: int) -> bytes:
        """The request's bytes."""
        recorder = _Recorder()
        connection = http.client.HTTPConnection(host, port)
        connection.sock = recorder
        connection.request("POST", PATH, self.order.payload(), dict(self._headers()))
        return bytes(recorder.data)

    def _headers(self) -> Mapping[str, str]:
        return {
            "X-Request-Id": self.request_id,
            "X-Caller-Subject": self.caller,
            "X-Amzn-Trace-Id": self.trace,
            "Content-Type": "application/json",
            "Idempotency-Key": self.key,
        }


@dataclass(frozen=True)
class Answer:
    """An answer of the order service."""

    status: int
    body: bytes
    has_length: bool
    """Whether it has a Content-Length or is chunked, so that a cut would be noticed."""
    closes: bool
    """Whether the service announced that it closes the connection."""

    @property
    def accepted(self) -> bool:
        """Whether the order was accepted."""
        return 200 <= self.status < 300

    def document(self) -> Any:
        """The body as JSON, or None."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None

    def __str__(self) -> str:
        body = self.body[:_SHOWN].decode(errors="replace")
        # Nothing is left that a terminal would interpret.
        body = body if body.isprintable() else ascii(body)
        return f"{self.status} {body}{'…' if len(self.body) > _SHOWN else ''}"


class Client:
    """A client of the service at a URL such as `https://host:port`.

    Args:
        url: the service's address.
        patience: seconds after which the client gives up waiting for an answer.

    Raises:
        ValueError: the URL has another form.
    """

    def __init__(self, url: str, patience: float) -> None:
        parts = urlsplit(url)
        if (
            parts.scheme not in ("http", "https")
            or not parts.hostname
            or not parts.port
            or url.rstrip("/") != f"{parts.scheme}://{parts.netloc}"
            or "@" in parts.netloc
        ):
            raise ValueError("must look like https://host:port")
        self._tls = ssl.create_default_context() if parts.scheme == "https" else None
        self.host, self.port = parts.hostname, parts.port
        self.patience = patience
        self.answers: list[Answer] = []
        """All answers so far."""
        self.slowest = 0.0
        """Seconds until the slowest answer had arrived, or until the client gave up."""

    def connect(self) -> Connection:
        """A new connection.

        Raises:
            NoAnswerError: the service can't be reached, or its certificate isn't trusted.
        """
        try:
            plain = socket.create_connection((self.host, self.port), self.patience)
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return Connection(
                self, self._tls.wrap_socket(plain, server_hostname=self.host) if self._tls else plain
            )
        except (OSError, ValueError) as error:
            raise NoAnswerError(f"cannot connect to {self.host}:{self.port}: {error}") from error

    def submit(self, request: Request) -> Answer:
        """Sends a request on a connection of its own.

        Raises:
            NoAnswerError: no whole answer arrived in time.
        """
        with self.connect() as connection:
            return connection.submit(request)


class Connection:
    """A connection to the order service. Use it in a `with` statement, which closes it."""

    def __init__(self, client: Client, connected: socket.socket) -> None:
        self._client = client
        self._socket = connected

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def send(self, data: bytes) -> None:
        """Sends a request or a part of one.

        Raises:
            NoAnswerError: the service has closed the connection or doesn't read.
        """
        try:
            self._socket.settimeout(self._client.patience)
            self._socket.sendall(data)
        except OSError as error:
            raise NoAnswerError(f"the request was not read: {error or repr(error)}") from error

    def submit(self, request: Request) -> Answer:
        """Sends a request and reads the answer.

        Raises:
            NoAnswerError: no whole answer arrived in time.
        """
        started = time.monotonic()
        try:
            self.send(request.encode(self._client.host, self._client.port))
            answer = self._answer(started + self._client.patience)
        finally:
            self._client.slowest = max(self._client.slowest, time.monotonic() - started)
        self._client.answers.append(answer)
        return answer

    def end(self, seconds: float) -> None:
        """Tells the service that nothing more will be sent, and waits until it closes the connection.

        Args:
            seconds: the longest wait.
        """
        reader = _Reader(self._socket, time.monotonic() + seconds)
        # The service may as well reset the connection or leave it open.
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)
            reader.read(MAX_ANSWER_BYTES)

    def is_quiet(self, seconds: float) -> bool:
        """Whether nothing arrives for some time, not even the connection's end."""
        if isinstance(self._socket, ssl.SSLSocket) and self._socket.pending():
            return False
        return not select.select([self._socket], [], [], seconds)[0]

    def _answer(self, deadline: float) -> Answer:
        reader = _Reader(self._socket, deadline)
        response = http.client.HTTPResponse(reader, method="POST")  # pyright: ignore[reportArgumentType] (it only uses makefile)
        try:
            response.begin()
            has_length = response.length is not None or response.chunked
            body = response.read(MAX_ANSWER_BYTES + 1)
        except TimeoutError as error:
            raise NoAnswerError(f"no whole answer within {self._client.patience:g} s") from error
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise NoAnswerError(f"a broken answer: {repr(error)[:80]}") from error
        if len(body) > MAX_ANSWER_BYTES:
            raise NoAnswerError(f"an answer of more than {MAX_ANSWER_BYTES} bytes")
        if response.length:
            raise NoAnswerError(f"an answer that lacks its last {response.length} bytes")
        return Answer(response.status, body, has_length, response.will_close)


class _Reader(io.RawIOBase):
    """Reads exactly what is asked for, so that bytes after an answer stay where `is_quiet` sees them."""

    def __init__(self, connected: socket.socket, deadline: float) -> None:
        self._socket = connected
        self._deadline = deadline

    def makefile(self, _mode: str) -> _Reader:
        """Passes for a socket."""
        return self

    def readable(self) -> bool:
        """Required by the base class."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fills the buffer unless the connection ends."""
        view, count = memoryview(buffer), 0
        while count < len(view):
            seconds = self._deadline - time.monotonic()
            if seconds <= 0:
                raise TimeoutError
            self._socket.settimeout(seconds)
            received = self._socket.recv_into(view[count:])
            if not received:
                break
            count += received
        return count


class _Recorder:
    """Passes for a socket and records what is sent."""

    def __init__(self) -> None:
        self.data = bytearray()

    def sendall(self, data: bytes) -> None:
        self.data += data
