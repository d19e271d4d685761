"""A client of the order service, over HTTPS or HTTP through the internal load balancer."""

from __future__ import annotations

import http.client
import select
import socket
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

CONNECT_TIMEOUT_SECONDS = 0.5
"""For each address of the load balancer, of which one can be dead. Within a region, a connection takes a few
milliseconds."""
MAX_ANSWER_BYTES = 64 * 1024
# Errors that occur if the peer has closed an idle connection.
_CLOSED = (BrokenPipeError, ConnectionResetError, http.client.RemoteDisconnected, ssl.SSLEOFError)


class NotSentError(Exception):
    """Raised if no byte of the request was sent, so the order service has certainly not received it."""


class OutcomeUnknownError(Exception):
    """Raised if a part of the request may have been sent, and no whole answer was received.

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
    resent: bool
    """Whether the request was sent twice, because the first connection was closed without an answer. The
    order service may have received the first one too."""


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
            NotSentError: no byte was sent.
            OutcomeUnknownError: the request may have been received.
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
        connection, kept = self._connected(deadline)
        # From here on, a part of the request may have been sent.
        try:
            try:
                return self._exchange(connection, method, path, body, headers, deadline, resent=False)
            except _CLOSED:
                self._close()
                if not kept:
                    raise
                # Reads can be repeated, and a repeated order has the same idempotency key.
                connection, _ = self._connected(deadline)
                return self._exchange(connection, method, path, body, headers, deadline, resent=True)
        except TimeoutError as error:
            self._close()
            raise OutcomeUnknownError(f"no answer within {timeout:.1f} s", timed_out=True) from error
        except (NotSentError, OSError, ValueError, http.client.HTTPException) as error:
            self._close()
            raise OutcomeUnknownError(repr(error), timed_out=False) from error

    def _connected(self, deadline: float) -> tuple[http.client.HTTPConnection, bool]:
        """A connection, and whether it was kept from an earlier request.

        Raises:
            NotSentError: none of the addresses accepts one in time.
        """
        if self._connection is not None and not _is_quiet(self._connection.sock):
            # The peer has closed it, or sent something that would be mistaken for the next answer.
            self._close()
        if self._connection is not None:
            return self._connection, True
        try:
            connection = http.client.HTTPConnection(self._host, self._port)
            connection.sock = self._dial(deadline)
        except (OSError, ValueError) as error:
            raise NotSentError(f"cannot connect to {self._host}:{self._port}: {error}") from error
        self._connection = connection
        return connection, False

    def _dial(self, deadline: float) -> socket.socket:
        failure: OSError = OSError("the host has no address")
        for family, kind, protocol, _, address in socket.getaddrinfo(
            self._host, self._port, type=socket.SOCK_STREAM
        ):
            plain = socket.socket(family, kind, protocol)
            try:
                plain.settimeout(min(CONNECT_TIMEOUT_SECONDS, _remaining(deadline)))
                plain.connect(address)
                # The body follows the headers in a packet of its own, which mustn't wait for their receipt.
                plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                return self._tls.wrap_socket(plain, server_hostname=self._host) if self._tls else plain
            except OSError as error:
                plain.close()
                failure = error
        raise failure

    def _exchange(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        path: str,
        body: bytes,
        headers: Mapping[str, str],
        deadline: float,
        *,
        resent: bool,
    ) -> Answer:
        connected = connection.sock
        connected.settimeout(_remaining(deadline))
        connection.request(method, path, body or None, dict(headers))
        connected.settimeout(_remaining(deadline))
        response = connection.getresponse()
        if response.length is None and not response.chunked:
            # It would end where the connection does, so an answer that was cut would pass for a whole one.
            raise ValueError("the answer has no length")
        content = b""
        while True:
            # The socket's own timeout applies to each read, so a slow stream of data would never hit it.
            connected.settimeout(_remaining(deadline))
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
        return Answer(response.status, content.decode(), response.headers.get("Retry-After", ""), resent)

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _is_quiet(connected: socket.socket | None) -> bool:
    """Whether nothing has arrived on an idle connection, not even its end."""
    if connected is None:
        return False
    if isinstance(connected, ssl.SSLSocket) and connected.pending():
        return False
    return not select.select([connected], [], [], 0)[0]


def _remaining(deadline: float) -> float:
    seconds = deadline - time.monotonic()
    if seconds <= 0:
        raise TimeoutError
    return seconds
