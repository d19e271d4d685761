"""An order service on loopback that keeps its contract, but fails at any byte of a request or an answer.

It accepts a valid order once under a key, repeats its answers, refuses another order under a known key or
client order id, and checks whether the caller may trade for the account before it looks at either. Without
faults, it passes `python -m contract.order_service`.
"""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from functions.order_intake.problems import Problem
from functions.order_intake.validation import parse_order

FORBIDDEN = "eve"
"""The caller who may not trade."""


@dataclass(frozen=True)
class Fault:
    """What the service does with one request."""

    reads: str = "all"
    """How much of the request is read: `nothing`, `headers` or `all`."""
    accepts: bool = True
    """Whether the order is accepted before the answer, if it was read as a whole."""
    answer: str = "right"
    """`right`, a status such as `503`, `none`, `hang` (until the client gives up), `hang_then_accept`,
    `garbage`, or the part in which the answer is cut: `status`, `headers` or `body`."""
    after: str = "keep"
    """What happens to the connection after the answer: `keep`, `close`, or `garbage` (further bytes)."""
    reset: bool = False
    """Close connections with RST instead of FIN."""
    then_down: bool = False
    """Refuse all further connections until the service is healed."""


RIGHT = Fault()


@dataclass
class Accepted:
    """An accepted order."""

    body: bytes
    answer: bytes
    request: str


@dataclass
class FaultyOrderService:
    """Faults and gates are looked up by the request's id."""

    faults: Callable[[str], Fault]
    gate: Callable[[str, str], None]
    """Called with the request's id and `received` or `accepted`; it may block."""
    gave_up: Callable[[str], threading.Event]
    """Set when the client of a request has given up."""
    received: list[tuple[str, str, bytes]] = field(default_factory=list[tuple[str, str, bytes]])
    """Request id, key and body of each request that was read as a whole."""
    accepted: dict[str, Accepted] = field(default_factory=dict[str, Accepted])
    """Key → the order."""
    on_accept: Callable[[str, bytes], None] = lambda request, body: None

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._connections: set[socket.socket] = set()
        self._listener: socket.socket | None = None
        # Holds the port while the service is down. A socket that doesn't listen refuses connections.
        self._holder = _bound(0)
        self._port: int = self._holder.getsockname()[1]
        self.heal()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def heal(self) -> None:
        """Listens again on the same port."""
        if self._listener is None:
            self._listener = _listener(self._port)
            threading.Thread(target=self._listen, args=(self._listener,), daemon=True).start()

    def down(self) -> None:
        """Closes everything."""
        with self._lock:
            listener, self._listener = self._listener, None
            connections, self._connections = self._connections, set()
        if listener:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        for connection in connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Closes everything for good."""
        self.down()
        self._holder.close()

    def _listen(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with self._lock:
                self._connections.add(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError, ValueError), connection:
            while self._request(connection):
                pass
        with self._lock:
            self._connections.discard(connection)

    def _request(self, connection: socket.socket) -> bool:
        """Handles one request, and returns whether the connection is kept."""
        data = connection.recv(65536, socket.MSG_PEEK)
        if not data:
            return False
        head = b""
        while b"\r\n\r\n" not in head:
            more = connection.recv(65536, socket.MSG_PEEK)
            if not more:
                return False
            head = more
        headers = dict(
            line.split(": ", 1)
            for line in head.split(b"\r\n\r\n")[0].decode().split("\r\n")[1:]
            if ": " in line
        )
        request = headers["X-Request-Id"]
        fault = self.faults(request)
        if fault.reads == "nothing":
            return self._end(connection, fault)
        head_bytes = head.index(b"\r\n\r\n") + 4
        _read(connection, head_bytes)
        if fault.reads == "headers":
            return self._end(connection, fault)
        body = _read(connection, int(headers["Content-Length"]))
        self.received.append((request, headers["Idempotency-Key"], body))
        self.gate(request, "received")
        return self._answer(connection, fault, request, headers, body)

    def _answer(
        self, connection: socket.socket, fault: Fault, request: str, headers: dict[str, str], body: bytes
    ) -> bool:
        if fault.answer == "hang_then_accept":
            self.gave_up(request).wait()
            self._decide(request, headers, body)
            return self._end(connection, fault)
        # With 4xx, a service says that it did not accept the order. No client can protect itself from a lie.
        accepts = fault.accepts and not fault.answer.startswith("4")
        answer = self._decide(request, headers, body) if accepts else b""
        self.gate(request, "accepted")
        match fault.answer:
            case "hang":
                self.gave_up(request).wait()
                return self._end(connection, fault)
            case "none":
                return self._end(connection, fault)
            case "garbage":
                answer = b"nonsense\r\n\r\n"
            case "status" | "headers" | "body":
                answer = answer or _response(201, {})
                place = {"status": 5, "headers": answer.index(b"\r\n\r\n") - 3, "body": len(answer) - 2}
                connection.sendall(answer[: place[fault.answer]])
                return self._end(connection, fault)
            case "right":
                answer = answer or _response(503, {"title": "try again"})
            case status:
                answer = _response(int(status), {"title": "made up"})
        connection.sendall(answer + (b"HTTP/1.1 201 Created\r\n\r\n" if fault.after == "garbage" else b""))
        if fault.then_down or fault.after == "close" or fault.answer == "garbage":
            return self._end(connection, fault)
        return True

    def _end(self, connection: socket.socket, fault: Fault) -> bool:
        if fault.reset:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        if fault.then_down:
            self.down()
        return False

    def _decide(self, request: str, headers: dict[str, str], body: bytes) -> bytes:
        """The answer of a service without faults."""
        if headers["X-Caller-Subject"] == FORBIDDEN:
            return _response(403, {"title": "not your account"})
        try:
            order = parse_order(body, headers["Content-Type"])
        except Problem as problem:
            return _response(422, {"title": problem.title})
        key = headers["Idempotency-Key"]
        name = (order.account_id, order.client_order_id)
        with self._lock:
            known = self.accepted.get(key)
            if known:
                return known.answer if known.body == body else _response(422, {"title": "key used"})
            if any(name == _name(other.body) for other in self.accepted.values()):
                return _response(409, {"title": "client order id used"})
            answer = _response(201, {"order_id": f"o-{len(self.accepted)}"})
            self.accepted[key] = Accepted(body, answer, request)
        self.on_accept(request, body)
        return answer


def _bound(port: int) -> socket.socket:
    """A socket that may share its port with others, as long as none of them listens."""
    bound = socket.socket()
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind(("127.0.0.1", port))
    return bound


def _listener(port: int) -> socket.socket:
    """Listens on a port."""
    # The kernel frees a port when the thread that accepts connections has noticed the end.
    for _ in range(500):
        try:
            listener = _bound(port)
            listener.listen(64)
        except OSError:
            time.sleep(0.02)
        else:
            return listener
    raise OSError(f"cannot listen on {port}")


def _name(body: bytes) -> tuple[str, str]:
    order = json.loads(body)
    return order["account_id"], order["client_order_id"]


def _read(connection: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        more = connection.recv(count - len(data))
        if not more:
            raise ValueError("closed")
        data += more
    return data


def _response(status: int, body: Any) -> bytes:
    content = json.dumps(body).encode()
    return b"HTTP/1.1 %d Status\r\nContent-Length: %d\r\n\r\n%s" % (status, len(content), content)
