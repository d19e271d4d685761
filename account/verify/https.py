"""Requests over HTTPS from this machine, as any client on the internet could send them."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

SECONDS = 10
"""How long a connection, and each read on it, may take."""
MAX_BYTES = 1 << 22
USER_AGENT = "trading-verify"
"""AWS's common rule set blocks requests without a user agent."""

Address = Callable[[str], tuple[str, int]]


def _public(host: str) -> tuple[str, int]:
    return host, 443


@dataclass(frozen=True)
class Response:
    """A response. The names of its headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """The body as JSON.

        Raises:
            ValueError: it isn't JSON.
        """
        return json.loads(self.body)


@dataclass(frozen=True)
class Https:
    """Sends requests over verified TLS. Each has a connection of its own."""

    tls: ssl.SSLContext = field(default_factory=ssl.create_default_context)
    address: Address = _public
    """Host → the address to connect to."""

    def send(
        self,
        host: str,
        path: str,
        headers: Mapping[str, str] | None = None,
        *,
        method: str = "GET",
        body: bytes | None = None,
        host_header: str = "",
    ) -> Response:
        """Sends a request. The path is sent as it is.

        Args:
            host: the host to connect to, whose certificate must be valid.
            path: path and query.
            headers: more headers.
            method: the method.
            body: the body.
            host_header: the header `Host`, if it isn't the host.

        Raises:
            OSError: nobody answers, or the certificate isn't valid.
        """
        sent = {"Host": host_header or host, "User-Agent": USER_AGENT, **(headers or {})}
        connection = http.client.HTTPSConnection(host, timeout=SECONDS, context=self.tls)
        try:
            connection.sock = self.connect(host, self.tls)
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            for name, value in {**sent, **({"Content-Length": str(len(body))} if body else {})}.items():
                connection.putheader(name, value)
            connection.endheaders(body)
            response = connection.getresponse()
            found = {name.lower(): value for name, value in response.getheaders()}
            return Response(response.status, found, response.read(MAX_BYTES))
        except http.client.HTTPException as error:
            raise OSError(f"{host} answers in an unexpected form: {error!r}") from None
        finally:
            connection.close()

    def open(self, host: str) -> socket.socket:
        """Opens a connection without TLS.

        Raises:
            TimeoutError: nothing answers.
            OSError: the host isn't found, or refuses the connection.
        """
        return socket.create_connection(self.address(host), timeout=SECONDS)

    def connect(self, host: str, tls: ssl.SSLContext) -> ssl.SSLSocket:
        """Opens a connection with a TLS context.

        Raises:
            OSError: the host doesn't accept it. For a failed handshake it is an `ssl.SSLError`.
        """
        plain = self.open(host)
        try:
            return tls.wrap_socket(plain, server_hostname=host)
        except BaseException:
            plain.close()
            raise
