"""What a client on the internet sees of the platform, against a host on this machine."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from typing import Any

import pytest

from account import dns
from account.question import Answer, ask
from account.verify import edge
from account.verify.edge import UNKNOWN_HOST
from account.verify.https import Https
from tests.account.loopback import HOST, Answering, Asked, Reply, loopback

PATH = "/api/accounts"
PAGE = {
    "Content-Type": "text/html",
    "Strict-Transport-Security": "max-age=1",
    "Content-Security-Policy": "default-src 'none'",
}


def right(asked: Asked) -> Reply:
    """The platform as it should be."""
    if asked.headers["host"] == UNKNOWN_HOST:
        return Reply(421)
    if "%2e" in asked.path:
        return Reply(400)
    return Reply(401) if asked.path.startswith("/api/") else Reply(200, b"<!doctype html>", PAGE)


def answering(status: int, **headers: str) -> Answering:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda _: Reply(status, b"", named)


def asked_of(check: Callable[..., Answer], *arguments: str, by: Answering = right) -> Answer:
    with loopback(by) as host:
        return ask("check", "", "https", "GET", check, HOST, *arguments).answer(host.https())


CHECKS = [
    (edge.page, ()),
    (edge.certificate, ()),
    (edge.old_tls, ()),
    (edge.stranger, (PATH,)),
    (edge.forged_subject, (PATH,)),
    (edge.encoded_dots, (PATH,)),
    (edge.unknown_host, ()),
]


@pytest.mark.parametrize(("check", "arguments"), CHECKS, ids=lambda item: getattr(item, "__name__", ""))
def test_platform_as_it_should_be_passes(
    check: Callable[..., Answer], arguments: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(edge, "LEAST_DAYS", 0)  # the test's certificate is valid for an hour
    answer = asked_of(check, *arguments)
    assert answer.status == "pass", answer


@pytest.mark.parametrize(
    ("check", "arguments", "by", "found"),
    [
        (edge.page, (), answering(503), "https://trade.example.com/ answers 503"),
        (edge.page, (), answering(200, Content_Type="text/plain"), "is text/plain"),
        (edge.page, (), answering(200, Content_Type="text/html"), "has no strict-transport-security"),
        (edge.stranger, (PATH,), answering(200), "answers 200"),
        (edge.stranger, (PATH,), answering(403), "web ACL or the API's endpoint refuses it"),
        (edge.stranger, (PATH,), answering(504, x_amzn_ErrorType="GatewayTimeout"), "504 (GatewayTimeout)"),
        (edge.forged_subject, (PATH,), answering(200), "answers 200"),
        (edge.encoded_dots, (PATH,), answering(401), "/api/accounts/%2e%2e/x answers 401"),
        (edge.unknown_host, (), answering(200), "CloudFront answers 200"),
        (edge.certificate, (), right, "is valid until"),
    ],
)
def test_platform_that_does_not_refuse_fails(
    check: Callable[..., Answer], arguments: tuple[str, ...], by: Answering, found: str
) -> None:
    answer = asked_of(check, *arguments, by=by)
    assert answer.status == "fail"
    assert found in answer.found
    assert answer.remedy


@pytest.mark.parametrize(("check", "arguments"), CHECKS, ids=lambda item: getattr(item, "__name__", ""))
def test_host_that_cannot_be_reached_is_unknown(check: Callable[..., Answer], arguments: Any) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    https = Https(address=lambda host: ("127.0.0.1", port))
    answer = ask("check", "", "https", "GET", check, HOST, *arguments).answer(https)
    assert answer.status == "unknown", answer
    assert "https doesn't answer" in answer.found


def test_headers_of_the_forger_are_sent() -> None:
    with loopback(right) as host:
        edge.forged_subject(host.https(), HOST, PATH)
    assert [item.headers["x-caller-subject"] for item in host.asked] == ["forged"]
    assert {item.method for item in host.asked} == {"GET"}


def test_certificate_of_another_name_fails() -> None:
    with loopback(right, name="other.example.com") as host:
        answer = edge.certificate(host.https(), HOST)
    assert answer.status == "fail"
    assert "Hostname mismatch" in answer.found


def test_old_version_that_is_accepted_fails() -> None:
    with loopback(right, oldest=ssl.TLSVersion.TLSv1) as host:
        answer = edge.old_tls(host.https(), HOST)
    assert answer.status == "fail"
    assert "accepts TLSv1" in answer.found


def test_load_balancer_that_accepts_connections_fails() -> None:
    with loopback(right) as host:
        assert edge.direct(host.https(), "alb.example.com").status == "fail"
    closed = ask("check", "", "https", "connect", edge.direct, "alb.example.com").answer(host.https())
    assert closed.status == "pass"
    assert "accepts no connection from here" in closed.found


def test_load_balancer_whose_name_is_not_found_is_unknown() -> None:
    https = Https()  # .invalid is never found
    assert ask("check", "", "https", "connect", edge.direct, UNKNOWN_HOST).answer(https).status == "unknown"


def test_host_is_found_or_not(monkeypatch: pytest.MonkeyPatch) -> None:
    def addresses(name: str) -> frozenset[str]:
        if name != HOST:
            raise socket.gaierror("not known")
        return frozenset({"192.0.2.1"})

    monkeypatch.setattr(dns, "addresses", addresses)
    assert edge.resolved(None, HOST) == Answer("pass", f"{HOST} is 192.0.2.1")
    assert edge.resolved(None, "other.example.com").status == "fail"
