"""moto's account behind an HTTP address, for programs in other languages than Python.

moto's own server needs packages that this project doesn't have. Clients are pointed at it with
AWS_ENDPOINT_URL; which service a request is for is in its signature.
"""

from __future__ import annotations

import contextlib
import re
import threading
from collections.abc import Generator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from botocore.awsrequest import AWSPreparedRequest
from moto import mock_aws
from moto.core.botocore_stubber import BotocoreStubber

_SCOPE = re.compile(r"Credential=[^/]+/\d+/([^/]+)/([^/]+)/aws4_request")


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        scope = _SCOPE.search(self.headers.get("Authorization", ""))
        region, service = scope.groups() if scope else ("us-east-1", "s3")
        url = f"https://{service}.{region}.amazonaws.com{self.path}"
        self.server.requests.append(f"{service} {self.command} {self.path.partition('?')[0]}")  # type: ignore[attr-defined]
        headers: Any = {name: value for name, value in self.headers.items() if name.lower() != "host"}
        found: Any = None
        request: Any = AWSPreparedRequest(self.command, url, headers, body, stream_output=False)
        with _LOCK, contextlib.suppress(ImportError, NotImplementedError):
            found = BotocoreStubber().process_request(request)
        answer: tuple[int, dict[str, Any], Any] = found or (501, {}, "")
        status, answered, content = answer
        data = content.encode() if isinstance(content, str) else bytes(content or b"")
        self.send_response(int(status))
        for name, value in answered.items():
            if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                self.send_header(name, str(value))
        length = answered.get("content-length") if self.command == "HEAD" else None
        self.send_header("Content-Length", str(length or len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = _answer  # noqa: N815 (the base class's names)

    def log_message(self, format: str, *args: Any) -> None:
        pass


_LOCK = threading.RLock()  # moto isn't thread-safe


@contextlib.contextmanager
def served() -> Generator[tuple[str, list[str]]]:
    """moto's empty account. Yields its address, and the requests that it gets: `SERVICE METHOD PATH`."""
    with mock_aws():
        server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        requests: list[str] = []
        server.requests = requests  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}", requests
        finally:
            server.shutdown()
            server.server_close()
