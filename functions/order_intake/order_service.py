"""A client of the order service, over HTTPS or HTTP through the internal load balancer."""

from __future__ import annotations

import http.client
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

CONNECT_TIMEOUT_SECONDS = 2.0
MAX_ANSWER_BYTES = 64 * 1024
# Errors that occur if the peer has closed an idle connection.
_CLOSED = (BrokenPipeError, ConnectionResetError, http.client.RemoteDisconnected, ssl.SSLEOFError)


class NotSentError(Exception):
    """Raised if there was no connection, so the order service has certainly not received the request."""


class OutcomeUnknownError(Exception):
    """Raised if the request was sent but not answered, so it may or may not have taken effect.

    Attributes:
        timed_out: whether the deadline passed; otherwise the connection or the answer was broken.
    """

    def __init__(self, message: str, *, timed_out: bool) -> None:
        super().__init__(message)
        self.timed_out = timed_out


@dataclass(frozen=True)
class Answer:
    """The order service's answer."""

    status: int
    body: str
    retry_after: str


class OrderService:
    """A client that keeps its connection between invocations. It isn't safe to use from several threads."""

    def __init__(self, url: str, ready_path: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or not parts.port:
            raise ValueError(f"order service URL {url!r} must look like https://host:port")
        # The default context verifies the certificate and its host name.
        self._tls = ssl.create_default_context() if parts.scheme == "https" else None
        self._host, self._port = parts.hostname, parts.port
        self._ready_path = ready_path
        self._connection: http.client.HTTPConnection | None = None

    def submit(
        self, payload: bytes, idempotency_key: str, headers: Mapping[str, str], timeout: float
    ) -> Answer:
        """Submits an order.

        Args:
            payload: the order as JSON.
            idempotency_key: the order service accepts only one order with a key, however often it is sent.
            headers: additional headers.
            timeout: seconds within which the complete answer must arrive.

        Raises:
            NotSentError, OutcomeUnknownError: there is no answer.
        """
        headers = {**headers, "Content-Type": "application/json", "Idempotency-Key": idempotency_key}
        return self._request("POST", "/api/orders", payload, headers, timeout)

    def ready(self, timeout: float) -> bool:
        """Whether a pod behind the load balancer reports within `timeout` seconds that it is ready."""
        try:
            return self._request("GET", self._ready_path, b"", {}, timeout).status == http.client.OK
        except (NotSentError, OutcomeUnknownError):
            return False

    def _request(
        self, method: str, path: str, body: bytes, headers: Mapping[str, str], timeout: float
    ) -> Answer:
        deadline = time.monotonic() + timeout
        kept = self._connection is not None
        try:
            try:
                return self._exchange(self._connected(deadline), method, path, body, headers, deadline)
            except _CLOSED:
                self._close()
                if not kept:
                    raise
                # Reads can be repeated, and a repeated order has the same idempotency key.
                return self._exchange(self._connected(deadline), method, path, body, headers, deadline)
        except NotSentError:
            raise
        except TimeoutError as error:
            self._close()
            raise OutcomeUnknownError(f"no answer within {timeout:.1f} s", timed_out=True) from error
        except (OSError, ValueError, http.client.HTTPException) as error:
            self._close()
            raise OutcomeUnknownError(repr(error), timed_out=False) from error

    def _connected(self, deadline: float) -> http.client.HTTPConnection:
        if self._connection is None:
            limit = min(CONNECT_TIMEOUT_SECONDS, _remaining(deadline))
            connection = (
                http.client.HTTPSConnection(self._host, self._port, timeout=limit, context=self._tls)
                if self._tls
                else http.client.HTTPConnection(self._host, self._port, timeout=limit)
            )
            try:
                connection.connect()
            except OSError as error:
                raise NotSentError(f"cannot connect to {self._host}:{self._port}: {error}") from error
            self._connection = connection
        return self._connection

    def _exchange(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        path: str,
        body: bytes,
        headers: Mapping[str, str],
        deadline: float,
    ) -> Answer:
        socket = connection.sock
        socket.settimeout(_remaining(deadline))
        connection.request(method, path, body or None, dict(headers))
        socket.settimeout(_remaining(deadline))
        response = connection.getresponse()
        content = b""
        while True:
            # The socket's own timeout applies to each read, so a slow stream of data would never hit it.
            socket.settimeout(_remaining(deadline))
            chunk = response.read1(MAX_ANSWER_BYTES)
            if not chunk:
                break
            content += chunk
            if len(content) > MAX_ANSWER_BYTES:
                raise ValueError(f"the answer is longer than {MAX_ANSWER_BYTES} bytes")
        if response.length:
            raise http.client.IncompleteRead(content, response.length)
        response.close()  # read1 leaves the response open at its end, which would block the next request
        if response.will_close:
            self._close()
        return Answer(response.status, content.decode(), response.headers.get("Retry-After", ""))

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _remaining(deadline: float) -> float:
    seconds = deadline - time.monotonic()
    if seconds <= 0:
        raise TimeoutError
    return seconds
