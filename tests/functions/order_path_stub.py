"""The order path's public hosts on loopback, over TLS: token endpoint, web app and API."""

from __future__ import annotations

import ipaddress
import json
import ssl
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cryptography import x509

from tests.functions.certificates import self_signed, server_context


@dataclass(frozen=True)
class Asked:
    """A request as received."""

    step: str
    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Reply:
    """The answer to a step; a test changes what it wants to be wrong."""

    status: int
    headers: dict[str, str]
    body: bytes
    hang: bool = False
    drip: bool = False
    """Send one byte at a time, without end."""
    cut: bool = False
    """Announce a longer body than is sent."""
    made: Callable[[bytes], bytes] | None = None
    """Makes the body from that of the request."""


def _json(status: int, document: object, **headers: str) -> Reply:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(status, {"Content-Type": "application/json", **named}, json.dumps(document).encode())


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignores errors: clients that give up or refuse the certificate are part of the tests."""


@dataclass
class OrderPathStub:
    """Answers every step correctly, except for what a test changes in `replies`."""

    replies: dict[str, Reply] = field(default_factory=dict[str, Reply])
    """Step → its answer."""
    asked: list[Asked] = field(default_factory=list[Asked])

    def __post_init__(self) -> None:
        order = {"order_id": "o-1", "status": "accepted"}
        self.replies = {
            "token": _json(200, {"access_token": "the-token", "token_type": "Bearer"}),
            "app": Reply(200, {"Content-Type": "text/html; charset=utf-8"}, b"<!doctype html>"),
            "order": _json(201, order, X_Request_Id="req-1", X_Amz_Cf_Id="edge-1"),
            "replay": _json(
                201, order, X_Request_Id="req-2", X_Amz_Cf_Id="edge-2", Idempotent_Replayed="true"
            ),
        }
        self._gone = threading.Event()
        stub = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._answer("app" if self.path == "/" else "unknown", b"")

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.path == "/oauth2/token":
                    self._answer("token", body)
                elif self.path == "/api/orders":
                    self._answer("replay" if "order" in [a.step for a in stub.asked] else "order", body)
                else:
                    self._answer("unknown", body)

            def _answer(self, step: str, body: bytes) -> None:
                stub.asked.append(Asked(step, self.command, self.path, dict(self.headers), body))
                reply = stub.replies[step]
                if reply.hang:
                    stub._gone.wait()
                    return
                self.send_response(reply.status)
                for name, value in reply.headers.items():
                    self.send_header(name, value)
                more = 1_000_000 if reply.drip or reply.cut else 0
                content = reply.made(body) if reply.made else reply.body
                self.send_header("Content-Length", str(len(content) + more))
                self.end_headers()
                self.wfile.write(content)
                while reply.drip and not stub._gone.wait(0.05):
                    self.wfile.write(b" ")

            def log_message(self, format: str, *args: Any) -> None:
                pass

        with tempfile.TemporaryDirectory() as directory:
            file = Path(directory, "server.pem")
            self.certificate = self_signed(x509.IPAddress(ipaddress.ip_address("127.0.0.1")), file)
            tls = server_context(file)
        self._server = _Server(("127.0.0.1", 0), Handler)
        self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self._server.server_port}"

    def trust(self) -> ssl.SSLContext:
        """A client's context that trusts this server, and is as strict as the default."""
        return ssl.create_default_context(cadata=self.certificate)

    def stop(self) -> None:
        """Stops the server."""
        self._gone.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
