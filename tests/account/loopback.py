"""A host on this machine that answers over TLS, for checks that send requests themselves."""

from __future__ import annotations

import contextlib
import ssl
import tempfile
import threading
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cryptography import x509

from account.verify.https import Https
from tests.functions.certificates import self_signed, server_context

HOST = "trade.example.com"


@dataclass(frozen=True)
class Reply:
    """An answer."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True)
class Asked:
    """A request. The names of its headers are in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes = b""


Answering = Callable[[Asked], Reply]


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignores errors: clients that refuse the certificate are part of the tests."""


@dataclass(frozen=True)
class Loopback:
    """A running host."""

    port: int
    certificate: str
    asked: list[Asked]

    def https(self) -> Https:
        """A client that trusts the host, and finds every name here."""
        context = ssl.create_default_context(cadata=self.certificate)
        return Https(context, lambda host: ("127.0.0.1", self.port))


@contextlib.contextmanager
def loopback(
    answer: Answering, *, name: str = HOST, oldest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_2
) -> Generator[Loopback]:
    """Runs a host.

    Args:
        answer: answers requests.
        name: the name in its certificate.
        oldest: the oldest version of TLS that it accepts.
    """
    asked: list[Asked] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(b"")

        def do_POST(self) -> None:
            self._answer(self.rfile.read(int(self.headers["Content-Length"])))

        def _answer(self, body: bytes) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            request = Asked(self.command, self.path, headers, body)
            asked.append(request)
            reply = answer(request)
            self.send_response_only(reply.status)  # without the header `Server` of this class
            for name, value in {"Content-Length": str(len(reply.body)), **reply.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(reply.body)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory, "server.pem")
        certificate = self_signed(x509.DNSName(name), file)
        tls = server_context(file)
    if oldest < ssl.TLSVersion.TLSv1_2:
        tls.set_ciphers("DEFAULT:@SECLEVEL=0")
        tls.minimum_version = oldest
    server = _Server(("127.0.0.1", 0), Handler)
    server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield Loopback(server.server_port, certificate, asked)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
