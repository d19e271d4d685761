"""What a client on the internet sees of the platform, against a host on this machine."""

from __future__ import annotations

import json
import re
import socket
import ssl
import threading
from collections.abc import Callable
from typing import Any

import pytest
from botocore.stub import Stubber

from account import dns
from account.question import Answer, ask
from account.verify import edge
from account.verify.edge import UNKNOWN_HOST
from account.verify.https import Https
from components.common.forged_requests import ambiguous_path, edge_function, reserved_headers
from tests.account.cases import Json, new_client
from tests.account.loopback import HOST, Answering, Asked, Reply, loopback

PATH = "/api/accounts"
PAGE = {
    "Content-Type": "text/html",
    "X-Amz-Cf-Id": "edge-1",
    "Strict-Transport-Security": "max-age=1",
    "Content-Security-Policy": "default-src 'none'",
}
POLICY = {name: PAGE[name] for name in ("Strict-Transport-Security", "Content-Security-Policy")}
ALLOW: Json = {
    "Action": {"Allow": {}},
    "Statement": {"GeoMatchStatement": {"CountryCodes": ["US"]}},
}
ELSEWHERE = Reply(200, b"", {"Content-Type": "text/html", **POLICY})
BALANCER = "arn:aws:elasticloadbalancing:us-east-1:1:loadbalancer/app/alb/1"
REFUSED = Reply(403, b"<html>403 Forbidden</html>", {"Content-Type": "text/html", **POLICY})
"""What a web ACL answers."""


def problem(status: int, kind: str, **more: str) -> Reply:
    """Problem details, as the API and the edge's function answer."""
    body = json.dumps({"type": kind, "requestId": "request-1", **more}).encode()
    return Reply(status, body, {"Content-Type": "application/problem+json", **POLICY})


NO_TOKEN = problem(401, "/problems/unauthorized")
NO_ROUTE = problem(403, "about:blank", title="Missing Authentication Token")
(DETAIL,) = re.findall(r'detail: "(.*)"', edge_function())


MALFORMED = problem(400, "/problems/malformed", detail="Invalid request body")
"""What API Gateway answers to a body that doesn't match its model."""


def behind(*, function: bool = True, acl: bool = True) -> Answering:
    """The platform, with the protection in front of the API that it has.

    Args:
        function: whether CloudFront runs the function.
        acl: whether the load balancer's web ACL has the platform's own rules.
    """

    def answer(asked: Asked) -> Reply:
        if asked.headers["host"] == UNKNOWN_HOST:
            return Reply(421)
        if not asked.path.startswith("/api/"):
            return Reply(200, b"<!doctype html>", PAGE)
        ambiguous = re.search(ambiguous_path(), asked.path.lower())
        if function and ambiguous:
            return problem(400, "/problems/malformed", detail=DETAIL)
        reserved = [] if function else [name for name in reserved_headers() if name in asked.headers]
        if acl and (ambiguous or reserved):
            return REFUSED
        return NO_ROUTE if ambiguous else NO_TOKEN

    return answer


right = behind()


def web_acl(*headers: str, action: str = "Block", before: Json | None = None) -> Json:
    """The response to `GetWebACLForResource`, with a rule on headers."""
    statements: list[Json] = [
        {
            "SizeConstraintStatement": {
                "FieldToMatch": {"SingleHeader": {"Name": name}},
                "ComparisonOperator": "GT",
                "Size": 0,
                "TextTransformations": [{"Priority": 0, "Type": "NONE"}],
            }
        }
        for name in headers
    ]
    seen: Json = {"SampledRequestsEnabled": True, "CloudWatchMetricsEnabled": True, "MetricName": "x"}
    rule: Json = {"Name": "reserved-headers", "Priority": 1, "Action": {action: {}}, "VisibilityConfig": seen}
    first: Json = {"Name": "first", "Priority": 0, "VisibilityConfig": seen, **(before or {})}
    rules: list[Json] = [
        {**rule, "Statement": {"OrStatement": {"Statements": statements}}},
        *([first] if before else []),
    ]
    acl = {"Name": "acl", "Id": "1", "ARN": "arn:aws:wafv2:us-east-1:1:regional/webacl/acl/1"}
    return {"WebACL": {**acl, "DefaultAction": {"Allow": {}}, "VisibilityConfig": seen, "Rules": rules}}


FULL_ACL = web_acl(*reserved_headers())


def wafv2(response: Json | str = FULL_ACL) -> Any:
    """A client of WAF, whose only answer this is, or the code of an error."""
    client = new_client("wafv2")
    stub = Stubber(client)
    if isinstance(response, str):
        stub.add_client_error("get_web_acl_for_resource", response)
    else:
        stub.add_response("get_web_acl_for_resource", dict(response), {"ResourceArn": BALANCER})
    stub.activate()
    return client


def forged(https: Https, host: str, path: str, acl: Json | str = FULL_ACL) -> Answer:
    return edge.forged_subject(https, [(wafv2(acl), BALANCER)], host, path)


def always(reply: Reply) -> Answering:
    return lambda _: reply


def answering(status: int, body: bytes = b"", **headers: str) -> Answering:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda _: Reply(status, body, named)


def asked_of(check: Callable[..., Answer], *arguments: Any, by: Answering = right) -> Answer:
    also = ("wafv2:GetWebACLForResource",)
    with loopback(by) as host:
        question = ask("check", "", "https", "GET", check, HOST, *arguments, also=also)
        return question.answer(host.https())


CHECKS: list[tuple[Callable[..., Answer], tuple[Any, ...]]] = [
    (edge.page, ()),
    (edge.certificate, ()),
    (edge.old_tls, ()),
    (edge.stranger, (PATH,)),
    (forged, (PATH,)),
    (edge.encoded_dots, ([PATH, "/api/orders"],)),
    (edge.unknown_host, ()),
]


@pytest.mark.parametrize(("check", "arguments"), CHECKS, ids=lambda item: getattr(item, "__name__", ""))
def test_platform_as_it_should_be_passes(
    check: Callable[..., Answer], arguments: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(edge, "LEAST_DAYS", 0)  # the test's certificate is valid for an hour
    answer = asked_of(check, *arguments)
    assert answer.status == "pass", answer


def of_another(answer: Reply, host: Reply) -> Answering:
    """Answers the unknown host in one way, and everything else in another."""
    return lambda asked: host if asked.headers["host"] == UNKNOWN_HOST else answer


@pytest.mark.parametrize(
    ("check", "arguments", "by", "found"),
    [
        (edge.page, (), answering(503), "https://trade.example.com/ answers 503"),
        (edge.page, (), answering(200, Content_Type="text/plain"), "is text/plain"),
        (
            edge.page,
            (),
            answering(200, Content_Type="text/html", X_Amz_Cf_Id="1"),
            "has no strict-transport-security",
        ),
        # Another server of the same name, with the same headers.
        (edge.page, (), always(ELSEWHERE), "has no x-amz-cf-id"),
        (edge.stranger, (PATH,), answering(200), "answers 200"),
        (edge.stranger, (PATH,), answering(401), "401 without a token, which isn't the API's own answer"),
        (edge.stranger, (PATH,), answering(403), "web ACL or the API's endpoint refuses it"),
        (edge.stranger, (PATH,), answering(504, x_amzn_ErrorType="GatewayTimeout"), "504 (GatewayTimeout)"),
        # API Gateway has nothing at the path, the web ACL refuses it, or a request's body is malformed.
        (edge.encoded_dots, ([PATH],), behind(function=False, acl=False), "/verify%2ex answers 403"),
        (edge.encoded_dots, ([PATH],), behind(function=False), "/verify%2ex answers 403"),
        (edge.encoded_dots, ([PATH],), always(MALFORMED), "400, which isn't the edge's own answer"),
        (edge.encoded_dots, ([PATH],), answering(400, b"Bad Request"), "400, which isn't the edge's own"),
        (edge.unknown_host, (), always(Reply(200, b"", PAGE)), "CloudFront answers 200"),
        # The distribution serves the host, and S3 or the API answers.
        (edge.unknown_host, (), of_another(Reply(), Reply(404, b"", POLICY)), "with the platform's"),
        (edge.certificate, (), right, "is valid until"),
    ],
)
def test_platform_that_does_not_refuse_fails(
    check: Callable[..., Answer], arguments: tuple[Any, ...], by: Answering, found: str
) -> None:
    answer = asked_of(check, *arguments, by=by)
    assert answer.status == "fail", answer
    assert found in answer.found
    assert answer.remedy


def test_each_behavior_of_the_api_must_refuse_encoded_dots() -> None:
    def one_without(asked: Asked) -> Reply:
        return behind(function=not asked.path.startswith("/api/orders"))(asked)

    answer = asked_of(edge.encoded_dots, [PATH, "/api/orders"], by=one_without)
    assert answer.status == "fail"
    assert answer.found.startswith("/api/orders/verify%2ex answers 403")


@pytest.mark.parametrize(
    ("by", "acl", "status", "found"),
    [
        (behind(), FULL_ACL, "pass", "is removed before the load balancer"),
        # The load balancer's answer is evidence by itself: without the header, the API answers.
        (behind(function=False), "AccessDeniedException", "pass", "is refused: 403, and 401 without it"),
        # The API answers the same, whether the edge removes the header or passes it on.
        (behind(function=False, acl=False), {}, "fail", "the load balancer in us-east-1 doesn't refuse it"),
        (behind(acl=False), {}, "fail", "the load balancer in us-east-1 doesn't refuse it"),
        (behind(), web_acl(*reserved_headers(), action="Count"), "fail", "doesn't refuse it"),
        (behind(), web_acl(*reserved_headers()[1:]), "fail", "may pass on x-caller-subject: "),
        (behind(), web_acl(*reserved_headers(), before=ALLOW), "fail", "doesn't refuse it"),
        (behind(), "AccessDeniedException", "unknown", "not allowed to call wafv2:GetWebACLForResource"),
        (answering(401), FULL_ACL, "unknown", "answers 401 without a forged header too"),
        (answering(403), FULL_ACL, "unknown", "answers 403 without a forged header too"),
    ],
)
def test_forged_header_needs_evidence(by: Answering, acl: Json | str, status: str, found: str) -> None:
    answer = asked_of(forged, PATH, acl, by=by)
    assert answer.status == status, answer
    assert found in answer.found


def test_forged_header_that_changes_the_answer_fails() -> None:
    def served(asked: Asked) -> Reply:
        return Reply(200) if "x-caller-subject" in asked.headers else right(asked)

    answer = asked_of(forged, PATH, by=served)
    assert answer.status == "fail"
    assert "answers 200 to a forged x-caller-subject" in answer.found


@pytest.mark.parametrize(("check", "arguments"), CHECKS, ids=lambda item: getattr(item, "__name__", ""))
def test_host_that_cannot_be_reached_is_unknown(check: Callable[..., Answer], arguments: Any) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    https = Https(address=lambda host: ("127.0.0.1", port))
    answer = ask("check", "", "https", "GET", check, HOST, *arguments).answer(https)
    assert answer.status == "unknown", answer
    assert "https doesn't answer" in answer.found


def test_each_reserved_header_is_sent_by_itself() -> None:
    with loopback(right) as host:
        forged(host.https(), HOST, PATH)
    sent = [[name for name in reserved_headers() if name in item.headers] for item in host.asked]
    assert sent == [[], *([name] for name in reserved_headers())]
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


def dropping(host: Https, error: OSError) -> Https:
    """A client that reaches the host, and meets an error for any other."""

    def address(name: str) -> tuple[str, int]:
        if name != HOST:
            raise error
        return host.address(name)

    return Https(host.tls, address)


def direct(https: Https) -> Answer:
    return ask("check", "", "https", "connect", edge.direct, "alb.example.com", HOST).answer(https)


def test_load_balancer_that_accepts_connections_fails() -> None:
    with loopback(right) as host:
        assert direct(host.https()).status == "fail"


def test_load_balancer_that_accepts_a_connection_and_fails_the_handshake_fails() -> None:
    with loopback(right) as host, socket.create_server(("127.0.0.1", 0)) as silent:
        https, port = host.https(), silent.getsockname()[1]
        found = direct(
            Https(https.tls, lambda name: https.address(name) if name == HOST else ("127.0.0.1", port))
        )
    assert (found.status, found.found) == ("fail", "alb.example.com accepts a connection from here")


def test_load_balancer_that_drops_connections_passes() -> None:
    with loopback(right) as host:
        answer = direct(dropping(host.https(), TimeoutError("timed out")))
    assert (answer.status, answer.found) == ("pass", "alb.example.com drops connections from here")


@pytest.mark.parametrize("error", [ConnectionRefusedError("refused"), OSError(101, "Network is unreachable")])
def test_other_errors_say_nothing_about_the_load_balancer(error: OSError) -> None:
    with loopback(right) as host:
        assert direct(dropping(host.https(), error)).status == "unknown"


def test_network_that_lets_nothing_out_says_nothing_about_the_load_balancer() -> None:
    def address(name: str) -> tuple[str, int]:
        raise TimeoutError("timed out")

    assert direct(Https(address=address)).status == "unknown"


def test_host_that_refuses_everybody_says_nothing_about_old_versions() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closing:
        port = closing.getsockname()[1]

        def close() -> None:
            for _ in range(3):
                closing.accept()[0].close()

        threading.Thread(target=close, daemon=True).start()
        https = Https(address=lambda _: ("127.0.0.1", port))
        assert ask("check", "", "https", "GET", edge.old_tls, HOST).answer(https).status == "unknown"


def test_load_balancer_whose_name_is_not_found_is_unknown() -> None:
    https = Https()  # .invalid is never found
    assert (
        ask("check", "", "https", "connect", edge.direct, UNKNOWN_HOST, UNKNOWN_HOST).answer(https).status
        == "unknown"
    )


def test_host_is_found_or_not(monkeypatch: pytest.MonkeyPatch) -> None:
    def addresses(name: str) -> frozenset[str]:
        if name != HOST:
            raise socket.gaierror("not known")
        return frozenset({"192.0.2.1"})

    monkeypatch.setattr(dns, "addresses", addresses)
    assert edge.resolved(None, HOST) == Answer("pass", f"{HOST} is 192.0.2.1")
    assert edge.resolved(None, "other.example.com").status == "fail"
