"""An order service on loopback that answers what a test sets and records the requests."""

from __future__ import annotations

import json
import ssl
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Received:
    """A request as received."""

    path: str
    headers: dict[str, str]
    body: bytes
    connection: int
    """The number of the TCP connection on which it arrived."""


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignores errors: clients that give up are part of the tests."""


@dataclass
class OrderServiceStub:
    """An order service whose answer a test may change between requests, or from a thread during one."""

    status: int = 201
    body: Any = field(default_factory=lambda: {"order_id": "o-1", "status": "accepted"})
    headers: dict[str, str] = field(default_factory=dict[str, str])
    ready: int = 200
    hang_up: bool = False
    """Close the connection instead of answering."""
    close_after: bool = False
    """Close the connection after the answer without announcing it."""
    raw: bytes | None = None
    """Bytes to send as the whole answer."""
    received: list[Received] = field(default_factory=list[Received])
    arrived: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    """Released once for each order that arrives."""
    answer: threading.Event = field(default_factory=threading.Event)
    """Orders are answered only when this is set."""
    tls: ssl.SSLContext | None = None
    """If set, with a certificate, the server uses HTTPS."""

    def __post_init__(self) -> None:
        stub = self
        connections = iter(range(1_000_000))

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True  # it would delay the body, which follows in a packet of its own

            def setup(self) -> None:
                super().setup()
                self.number = next(connections)

            def do_GET(self) -> None:
                self._answer(stub.ready, {}, {})

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                stub.received.append(Received(self.path, dict(self.headers), body, self.number))
                stub.arrived.release()
                stub.answer.wait()
                if stub.hang_up:
                    self.close_connection = True
                elif stub.raw is not None:
                    self.wfile.write(stub.raw)
                    self.close_connection = True
                else:
                    # Once the answer has been sent, the test may set it for the next request.
                    close_after = stub.close_after
                    self._answer(stub.status, stub.headers, stub.body)
                    self.close_connection = close_after

            def _answer(self, status: int, headers: dict[str, str], body: Any) -> None:
                content = json.dumps(body).encode()
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.answer.set()
        self._server = _Server(("127.0.0.1", 0), Handler)
        if self.tls:
            self._server.socket = self.tls.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        if self.tls:
            return f"https://localhost:{self._server.server_port}"
        return f"http://127.0.0.1:{self._server.server_port}"

    def stop_listening(self) -> None:
        """Refuses later connections, and keeps those that are open."""
        self._server.shutdown()
        self._server.socket.close()

    def stop(self) -> None:
        """Stops the server; later connections are refused."""
        self.answer.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
