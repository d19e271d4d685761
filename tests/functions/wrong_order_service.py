"""An order service on loopback that breaks its contract in one way, or in none."""

from __future__ import annotations

import contextlib
import json
import select
import socket
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from functions.order_intake.problems import Problem
from functions.order_intake.validation import Order, parse_order

STRANGER = "eve"
"""The caller who may not trade."""
WORK_SECONDS = 0.03
"""How long an order is in progress, for faults that show only meanwhile."""

Decision = tuple[int, Any]


@dataclass
class Known:
    """What the service knows under a key."""

    body: bytes
    request_id: str
    decision: Decision | None
    """None while the order is in progress."""


class Stop(Exception):  # noqa: N818 (an answer, rather than an error)
    """Ends a request with an answer that isn't remembered."""

    def __init__(self, status: int, document: Any = None) -> None:
        super().__init__(status)
        self.decision: Decision = (status, {"title": "refused"} if document is None else document)


@dataclass
class WrongOrderService:
    """Each fault is a word in one of the methods below. With an empty one, the service is right."""

    fault: str = ""
    known: dict[str, Known] = field(default_factory=dict[str, Known])
    names: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]])
    """Account and client order id of all accepted orders."""
    placed: int = 0

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._done = threading.Condition(self._lock)
        self._server = _Server(("127.0.0.1", 0), _handler(self))
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def decide(self, headers: Mapping[str, str], body: bytes) -> Decision:
        """The answer to a request."""
        late = self.fault in ("authorises after the key", "strangers take client order ids")
        if not late:
            self._authorise(headers)
        try:
            order = parse_order(body, headers["Content-Type"])
        except Problem:
            return self._invalid(headers, body)
        if self.fault == "wants a trace" and not headers["X-Amzn-Trace-Id"]:
            raise Stop(400)
        key = headers["Idempotency-Key"]
        with self._lock:
            decision = self._known(key, headers, body)
            if decision:
                return decision
            if self.fault == "strangers take client order ids":
                self._claim_name(order)
            if late:
                self._authorise(headers)
            if self.fault != "strangers take client order ids":
                self._claim_name(order)
            known = self.known[key] = Known(body, headers["X-Request-Id"], None)
            if self.fault == "race":
                del self.known[key]
                self.names.remove((order.account_id, order.client_order_id))
        # Requests under the key wait for the condition.
        time.sleep(WORK_SECONDS if "progress" in self.fault or self.fault == "race" else 0)
        with self._lock:
            self.placed += 1
            self.names.add((order.account_id, order.client_order_id))
            document: Any = {"order_id": f"o-{self.placed}", "status": "accepted"}
            if self.fault == "no JSON":
                document = "accepted"
            if self.fault != "race" or key not in self.known:
                self.known[key] = known
                known.decision = (201, document)
            self._done.notify_all()
            return 201, document

    def _authorise(self, headers: Mapping[str, str]) -> None:
        if headers["X-Caller-Subject"] != STRANGER or self.fault == "knows no strangers":
            return
        known = self.known.get(headers["Idempotency-Key"])
        if known and known.decision and self.fault == "shows strangers the first answer":
            raise Stop(403, known.decision[1])
        raise Stop(401 if known and self.fault == "tells strangers which keys are known" else 403)

    def _invalid(self, headers: Mapping[str, str], body: bytes) -> Decision:
        if self.fault == "accepts invalid orders":
            return 201, {"order_id": "o-0"}
        if self.fault == "remembers invalid orders, forgets why":
            self.known[headers["Idempotency-Key"]] = Known(body, headers["X-Request-Id"], (500, {}))
        return 422, {"title": "invalid"}

    def _known(self, key: str, headers: Mapping[str, str], body: bytes) -> Decision | None:
        known = self.known.get(key)
        if known is None or self.fault == "forgets keys":
            return None
        if known.body != body and known.decision != (500, {}):
            if self.fault == "ignores the order under a known key":
                return known.decision
            if self.fault == "another order replaces the first":
                known.decision = (201, {"order_id": "o-0"})
            raise Stop(400 if self.fault == "400 for another order" else 422)
        if known.request_id != headers["X-Request-Id"] and self.fault == "compares request ids":
            raise Stop(409)
        if known.decision is None and self.fault.endswith("in progress"):
            raise Stop(int(self.fault[:3]))
        self._done.wait_for(lambda: known.decision)
        assert known.decision
        status, document = known.decision
        return (200 if self.fault == "200 for a repeated order" else status), document

    def _claim_name(self, order: Order) -> None:
        name = (order.account_id, order.client_order_id)
        if name in self.names:
            if self.fault == "400 for another order":
                raise Stop(400)
            if self.fault != "client order ids are not unique":
                raise Stop(409)
        self.names.add(name)

    def remember(self, key: str, body: bytes, status: int) -> None:
        """Decides about a request without a reason."""
        with self._lock:
            self.known[key] = Known(body, "", (status, {"title": "refused"}))


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignores errors: clients that give up are part of the tests."""


def _handler(service: WrongOrderService) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            length, key = int(self.headers["Content-Length"]), self.headers["Idempotency-Key"]
            body = self.rfile.read(length)
            if len(body) < length:
                self.close_connection = True
                place = "in the body" if body else "after the headers"
                if service.fault == f"decides about requests cut {place}":
                    service.remember(key, body, 400)
                return
            if service.fault == "never answers":
                time.sleep(0.5)
                self.close_connection = True
                return
            try:
                decision = service.decide({name: str(value) for name, value in self.headers.items()}, body)
            except Stop as stop:
                decision = stop.decision
            if service.fault == "slow":
                time.sleep(0.1)
            if service.fault == "withdraws orders of clients that have gone" and self._client_gone():
                service.remember(key, body, 409)
            self._answer(*decision)

        def handle(self) -> None:
            if service.fault == "drips":
                with contextlib.suppress(OSError):
                    while True:
                        self.connection.sendall(b"H")
                        time.sleep(WORK_SECONDS)
            super().handle()

        def _client_gone(self) -> bool:
            time.sleep(WORK_SECONDS)
            readable = select.select([self.connection], [], [], 0)[0]
            return bool(readable) and not self.connection.recv(1, socket.MSG_PEEK)

        def _answer(self, status: int, document: Any) -> None:
            content = json.dumps(document).encode()
            self.send_response(status)
            if service.fault == "closes without length":
                self.close_connection = True
            elif service.fault == "chunked":
                self.send_header("Transfer-Encoding", "chunked")
                content = b"%x\r\n%s\r\n0\r\n\r\n" % (len(content), content)
            else:
                self.send_header("Content-Length", str(len(content) + (service.fault == "cuts answers")))
            if service.fault == "announces the end":
                self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(content + (b"HTTP/1.1" if service.fault == "further bytes" else b""))
            self.close_connection |= service.fault in ("closes silently", "cuts answers")

        def log_message(self, format: str, *args: Any) -> None:
            pass

    return Handler
