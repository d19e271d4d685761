"""A token issuer on loopback: real keys and signatures, and a server for its key set."""

from __future__ import annotations

import base64
import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa


def encoded(content: bytes) -> str:
    """Base64url without padding."""
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def number(value: int) -> str:
    return encoded(value.to_bytes((value.bit_length() + 7) // 8, "big"))


def part(document: object) -> str:
    return encoded(json.dumps(document).encode())


@dataclass
class SigningKey:
    """An RSA key of the issuer."""

    id: str
    bits: int = 2048
    exponent: int = 65537

    def __post_init__(self) -> None:
        self.private = rsa.generate_private_key(self.exponent, self.bits)

    @property
    def numbers(self) -> rsa.RSAPublicNumbers:
        return self.private.public_key().public_numbers()

    def jwk(self, **more: object) -> dict[str, object]:
        public = {"n": number(self.numbers.n), "e": number(self.numbers.e)}
        return {"kty": "RSA", "use": "sig", "alg": "RS256", "kid": self.id, **public, **more}

    def signature(self, message: bytes) -> bytes:
        return self.private.sign(message, padding.PKCS1v15(), hashes.SHA256())

    def token(self, claims: object, **header: object) -> str:
        signed = f"{part({'alg': 'RS256', 'typ': 'at+jwt', 'kid': self.id, **header})}.{part(claims)}"
        return f"{signed}.{encoded(self.signature(signed.encode()))}"


@dataclass
class IssuerStub:
    """Serves what a test sets; a test may change each answer at any time."""

    keys: list[dict[str, object]] = field(default_factory=list[dict[str, object]])
    discovery: dict[str, Any] = field(default_factory=dict[str, Any])
    """Fields of the discovery document with values that differ from the right ones."""
    status: int = 200
    raw: bytes | None = None
    """Bytes to answer with instead of any document."""
    location: str = ""
    asked: list[str] = field(default_factory=list[str])
    """The paths of all requests."""

    def __post_init__(self) -> None:
        stub = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                stub.asked.append(self.path)
                right = {"issuer": stub.url, "jwks_uri": f"{stub.url}/keys"}
                document = {"keys": stub.keys} if self.path == "/keys" else {**right, **stub.discovery}
                content = json.dumps(document).encode() if stub.raw is None else stub.raw
                self.send_response(stub.status)
                if stub.location:
                    self.send_header("Location", stub.location)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def stop(self) -> None:
        """Stops the server; later connections are refused."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._server.server_close()
            self._thread.join()
