"""The way of a request: names, certificates, and what each hop refuses.

Requests come from this machine, so they can go only where any client on the internet can. What a hop behind
CloudFront refuses is read from its configuration.
"""

from __future__ import annotations

import json
import ssl
import warnings
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from account import dns
from account.question import Answer, Client, judged, pages, passed, some
from account.verify.https import Https, Response
from components.common.forged_requests import edge_function, reserved_headers
from settings import HEALTH_PATH

LEAST_DAYS = 30
"""Days for which a certificate must still be valid. ACM renews earlier ("Managed certificate renewal", ACM
User Guide)."""
OLD_VERSIONS = (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1)
UNKNOWN_HOST = "unknown.invalid"
"""A host that no distribution has: `.invalid` is reserved (RFC 2606)."""
REQUEST_ID = "x-amz-cf-id"
"""CloudFront's id of a request, which it adds to every response ("Request and response behavior for custom
origins", CloudFront Developer Guide)."""
SECURITY_HEADERS = ("strict-transport-security", "content-security-policy")
"""Headers that the distribution's policies add to every response (`components/web/web.py`)."""
UNAUTHORIZED = "/problems/unauthorized"
FORBIDDEN = "/problems/forbidden"
"""Types of the API's own answers to requests without a valid token, and without permission."""


def page(https: Https, host: str) -> Answer:
    """CloudFront serves the web app's page, with its security headers. The id of the request is
    CloudFront's, and the other headers are those of the distribution's policy."""
    response = https.send(host, "/")
    kind = response.headers.get("content-type", "")
    problems = [] if response.status == 200 else [f"https://{host}/ answers {_status(response)}"]
    if not problems and not kind.startswith("text/html"):
        problems.append(f"https://{host}/ is {kind or 'of an unknown type'}")
    if not problems:
        problems = [
            f"https://{host}/ has no {name}"
            for name in (REQUEST_ID, *SECURITY_HEADERS)
            if name not in response.headers
        ]
    return judged(
        problems,
        f"CloudFront answers 200 for https://{host}/",
        "see `web-5xx` in docs/operations.md, and deploy again",
    )


def certificate(https: Https, host: str) -> Answer:
    """The host's certificate is valid here: its names, its chain and its dates."""
    remedy = "see `certificate-expiry` in docs/operations.md"
    try:
        with https.connect(host, https.tls) as connection:
            found: Any = connection.getpeercert()
    except ssl.SSLCertVerificationError as error:
        return Answer("fail", f"{host}: {error.verify_message}", remedy)
    end = datetime.fromtimestamp(ssl.cert_time_to_seconds(found["notAfter"]), UTC)
    late = end - datetime.now(UTC) < timedelta(days=LEAST_DAYS)
    text = f"the certificate of {host} is valid until {end:%Y-%m-%d}"
    return judged([text] if late else [], text, remedy)


def old_tls(https: Https, host: str) -> Answer:
    """The host refuses TLS 1.0 and 1.1, and accepts what this machine offers otherwise. Without the second, a
    host that refuses everybody would pass."""
    https.connect(host, https.tls).close()
    accepted: list[str] = []
    for version in OLD_VERSIONS:
        try:
            https.connect(host, _only(version)).close()
            accepted.append(version.name)
        except ssl.SSLError as error:
            if error.reason == "NO_PROTOCOLS_AVAILABLE":
                return Answer(
                    "unknown",
                    f"this machine's OpenSSL doesn't offer {version.name}",
                    f"run `openssl s_client -tls1_1 -connect {host}:443` on another machine",
                )
        except ConnectionResetError:
            pass  # also a refusal
    return judged(
        [f"{host} accepts {name}" for name in accepted],
        f"{host} refuses TLS 1.0 and 1.1",
        "set `minimum_protocol_version` of the distribution in `components/web/web.py` and deploy",
    )


def _only(version: ssl.TLSVersion) -> ssl.SSLContext:
    """A context that offers one old version. Certificates don't matter here."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_ciphers("DEFAULT:@SECLEVEL=0")  # OpenSSL 3 offers these versions only at this level
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = context.maximum_version = version
    return context


def stranger(https: Https, host: str, path: str) -> Answer:
    """The API refuses a request without a token. The answer is the one of the API's own document, so the
    request has passed CloudFront, the load balancer and the API's endpoint, which the host alone selects."""
    response = https.send(host, path)
    if unauthorized(response):
        return passed(f"{path} answers 401 without a token")
    remedy = "see `api-server-errors` in docs/operations.md"
    reason = ""
    if response.status == 401:
        reason = ", which isn't the API's own answer"
    elif response.status == 403:
        reason = ": the load balancer's web ACL or the API's endpoint refuses it"
        remedy = (
            "within half an hour of the first deployment, wait for the private custom domain; otherwise see "
            "`api-client-errors` in docs/operations.md"
        )
    return Answer("fail", f"{path} answers {_status(response)} without a token{reason}", remedy)


def forged_subject(https: Https, balancers: Sequence[tuple[Client, str]], host: str, path: str) -> Answer:
    """A client can't send what only the platform adds, such as who it is.

    The web ACL of each load balancer refuses the headers. So if a request with one of them gets the API's own
    answer, as it does without, the edge has removed the header on the way. Without such a web ACL, the same
    answer would mean nothing.

    Args:
        https: sends the requests.
        balancers: a client of WAF, and the ARN of a public load balancer, for each region.
        host: the host.
        path: a path of the API.
    """
    remedy = (
        "see that `functions/edge/api_request.js` is deployed, which removes the headers, and run "
        "`pulumi up --refresh`, which restores the load balancers' web ACLs"
    )
    plain = https.send(host, path)
    if not unauthorized(plain):
        return Answer(
            "unknown", f"{path} answers {_status(plain)} without a forged header too", "see `stranger`"
        )
    removed: list[str] = []
    refused: list[str] = []
    for name in reserved_headers():
        response = https.send(host, path, {name: "forged"})
        if unauthorized(response):
            removed.append(name)
        elif response.status == 403:
            refused.append(name)
        else:
            return Answer("fail", f"{path} answers {_status(response)} to a forged {name}", remedy)
    rules = [(arn, _acl_rules(wafv2, arn)) for wafv2, arn in balancers] if removed else []
    problems = [
        f"the edge may pass on {some(lacking, 3)}: the web ACL of the load balancer in {arn.split(':')[3]} "
        "doesn't refuse it"
        for arn, found in rules
        if (lacking := [name for name in removed if not _refuses(found, name)])
    ]
    if removed and not balancers:
        return Answer("unknown", "the stack has no load balancer whose web ACL could refuse a header", remedy)
    texts = (
        (removed, "is removed before the load balancer, which would refuse it"),
        (refused, "is refused: 403, and 401 without it"),
    )
    return judged(problems, "; ".join(f"{some(names, 6)} {text}" for names, text in texts if names), remedy)


def _acl_rules(wafv2: Client, arn: str) -> Sequence[Mapping[str, Any]]:
    """The rules of the web ACL in front of a resource, in the order in which WAF evaluates them."""
    found = wafv2.get_web_acl_for_resource(ResourceArn=arn).get("WebACL", {})
    return sorted(found.get("Rules", ()), key=lambda rule: rule["Priority"])


def _refuses(rules: Sequence[Mapping[str, Any]], header: str) -> bool:
    """Whether the rules block every request that has a header with a value."""
    for rule in rules:
        action = rule.get("Action", {})
        if "Allow" in action:
            return False  # WAF evaluates no rule after it
        statement = rule["Statement"]
        choices = statement.get("OrStatement", {}).get("Statements", [statement])
        if "Block" in action and any(_has(choice, header) for choice in choices):
            return True
    return False


def _has(statement: Mapping[str, Any], header: str) -> bool:
    """Whether a statement matches requests that have the header (`header_is_set`)."""
    size = statement.get("SizeConstraintStatement", {})
    name = size.get("FieldToMatch", {}).get("SingleHeader", {}).get("Name", "")
    return name.lower() == header and (size["ComparisonOperator"], size["Size"]) == ("GT", 0)


def encoded_dots(https: Https, host: str, paths: Sequence[str]) -> Answer:
    """The edge refuses a path that services could understand in another way, for each of the API's paths:
    CloudFront may have a behavior for each.

    Only the text of the function's own answer shows that it has answered: the web ACLs refuse such paths with
    403, and API Gateway has nothing below most of them. A single encoded dot matches none of AWS's managed
    rules, which the edge evaluates before the function.
    """
    problems: list[str] = []
    for path in paths:
        ambiguous = f"{path}/verify%2ex"
        response = https.send(host, ambiguous)
        detail = _problem(response).get("detail", "")
        if response.status != 400 or not detail or json.dumps(detail) not in edge_function():
            problems.append(f"{ambiguous} answers {_status(response)}, which isn't the edge's own answer")
    return judged(
        problems,
        f"the edge's function answers 400 to encoded dots below {some(paths, 5)}",
        "see that `functions/edge/api_request.js` is deployed, and part of each behavior of the API",
    )


def unknown_host(https: Https, host: str) -> Answer:
    """CloudFront serves the platform only under its own names.

    The only difference to a request that it serves is the host. Every answer of the platform's distribution
    has the headers of its policy, so another answer without them is CloudFront's own.
    """
    known = https.send(host, "/")
    if known.status != 200:
        return Answer("unknown", f"https://{host}/ answers {_status(known)}", "see `page`")
    response = https.send(host, "/", host_header=UNKNOWN_HOST)
    text = f"CloudFront answers {_status(response)} to the host {UNKNOWN_HOST}"
    ours = [name for name in SECURITY_HEADERS if name in response.headers]
    problems = [] if 400 <= response.status < 500 else [text]
    problems += [f"{text}, with the platform's {ours[0]}"] if ours else []
    return judged(problems, text, "remove other names from `aliases` of the distribution")


def direct(https: Https, balancer: str, host: str) -> Answer:
    """The load balancer accepts no connection from this machine, which isn't CloudFront.

    A security group drops packets, so the connection must time out. A failed handshake would mean that the
    load balancer has accepted it. CloudFront accepts a connection to the same port at the same time, so this
    machine's network lets it out.
    """
    https.open(host).close()
    try:
        https.open(balancer).close()
    except TimeoutError:
        return passed(f"{balancer} drops connections from here")
    return Answer(
        "fail",
        f"{balancer} accepts a connection from here",
        "remove what the deployment didn't add to the load balancer's security groups: run `pulumi up "
        "--refresh`",
    )


def origin_secret(elbv2: Client, listener: str, header: str, health_host: str) -> Answer:
    """The load balancer forwards only requests with the origin's secret, except for those of Route 53's
    health checks."""
    rules = list(pages(elbv2, "describe_rules", "Rules", ListenerArn=listener))
    forwarding = [rule for rule in rules if any(action["Type"] == "forward" for action in rule["Actions"])]
    open_rules = [
        rule["Priority"]
        for rule in forwarding
        if not _needs_secret(rule, header) and (_hosts(rule), _paths(rule)) != ({health_host}, {HEALTH_PATH})
    ]
    problems = [f"the rule with priority {priority} forwards without {header}" for priority in open_rules]
    return judged(
        problems if forwarding else ["no rule forwards"],
        f"{len(forwarding)} rules forward, with {header} or for {health_host}{HEALTH_PATH}",
        "remove the rules that the deployment didn't add: run `pulumi up --refresh`",
    )


def _needs_secret(rule: Mapping[str, Any], header: str) -> bool:
    """Whether a rule requires values of a header that aren't patterns."""
    found = [item["HttpHeaderConfig"] for item in rule["Conditions"] if "HttpHeaderConfig" in item]
    return any(
        item.get("HttpHeaderName", "").lower() == header.lower()
        and not any(mark in value for value in item["Values"] for mark in "*?")
        for item in found
    )


def _hosts(rule: Mapping[str, Any]) -> set[str]:
    return {
        host for item in rule["Conditions"] for host in item.get("HostHeaderConfig", {}).get("Values", ())
    }


def _paths(rule: Mapping[str, Any]) -> set[str]:
    return {
        path for item in rule["Conditions"] for path in item.get("PathPatternConfig", {}).get("Values", ())
    }


def health_check(route53: Client, identifier: str, host: str) -> Answer:
    """Route 53's checkers reach order intake through the load balancer and the API's endpoint, which the host
    alone selects: the load balancer connects without SNI. Order intake answers 200 only if a pod of the order
    service answers it through the internal load balancer."""
    found = route53.get_health_check_status(HealthCheckId=identifier)["HealthCheckObservations"]
    reports = [item["StatusReport"]["Status"] for item in found]
    failing = [report for report in reports if not report.startswith("Success")]
    if not reports:
        return Answer("unknown", f"nobody has checked {host} yet", "ask again in a minute")
    return judged(
        [f"{len(failing)} of {len(reports)} checkers: {failing[0]}"] if failing else [],
        f"{len(reports)} checkers reach {host}, and through it a pod of the order service",
        "403: within half an hour of the first deployment, wait for the private custom domain; otherwise see "
        "`health-check` in docs/operations.md",
    )


def issued(acm: Client, arns: Sequence[str]) -> Answer:
    """The certificates are issued, in use, and renewed by ACM."""
    problems: list[str] = []
    for arn in arns:
        found = acm.describe_certificate(CertificateArn=arn)["Certificate"]
        name = found["DomainName"]
        if found["Status"] != "ISSUED":
            problems.append(f"the certificate of {name} is {found['Status']}")
        elif not found.get("InUseBy"):
            problems.append(f"nothing uses the certificate of {name}")
        elif found["NotAfter"] - datetime.now(UTC) < timedelta(days=LEAST_DAYS):
            problems.append(f"the certificate of {name} expires on {found['NotAfter']:%Y-%m-%d}")
    return judged(
        problems, f"{len(arns)} certificates are in use", "see `certificate-expiry` in docs/operations.md"
    )


def records(route53: Client, zone: str, wanted: Sequence[tuple[str, str]]) -> Answer:
    """The zone has the deployed records.

    Args:
        route53: the client.
        zone: id of the hosted zone.
        wanted: name and type of each record.
    """
    found = {
        (item["Name"].rstrip("."), item["Type"])
        for item in pages(route53, "list_resource_record_sets", "ResourceRecordSets", HostedZoneId=zone)
    }
    problems = [f"{name} has no record of type {kind}" for name, kind in wanted if (name, kind) not in found]
    return judged(problems, f"{len(wanted)} names have their records", "run `pulumi up --refresh`")


def resolved(_: Client, host: str) -> Answer:
    """This machine's resolver finds the host."""
    try:
        found = sorted(dns.addresses(host))
    except OSError as error:
        return Answer(
            "fail",
            f"{host} isn't found here: {error}",
            "see that the parent zone delegates to the hosted zone (`make preflight`, `delegation`)",
        )
    return passed(f"{host} is {', '.join(found[:4])}")


def dnssec(route53: Client, zone: str, name: str) -> Answer:
    """The zone is signed, and its parent has the DS record of its key."""
    found = route53.get_dnssec(HostedZoneId=zone)
    status = found["Status"]["ServeSignature"]
    keys = [item for item in found["KeySigningKeys"] if item["Status"] == "ACTIVE"]
    if status != "SIGNING" or not keys:
        return Answer("fail", f"the zone {name} is {status}", "see `dnssec` in docs/operations.md")
    tags = {item["KeyTag"] for item in keys}
    try:
        parent = dns.delegation_keys(name)
    except OSError as error:
        return Answer("unknown", f"no name server answers here: {error}", f"run `dig DS {name}` elsewhere")
    text = (
        f"the parent of {name} has the keys {_numbers(parent)}, and the zone is signed with {_numbers(tags)}"
    )
    return judged(
        [] if parent & tags else [text],
        text,
        "give the stack output dsRecord to the owner of the parent zone",
    )


def _numbers(tags: set[int] | frozenset[int]) -> str:
    return ", ".join(map(str, sorted(tags))) or "none"


def vpc_link(apigatewayv2: Client, identifier: str) -> Answer:
    """The API's VPC link carries requests. Without any for 60 days, it is inactive."""
    status = apigatewayv2.get_vpc_link(VpcLinkId=identifier)["VpcLinkStatus"]
    return judged(
        [] if status == "AVAILABLE" else [f"{identifier} is {status}"],
        f"{identifier} is {status}",
        "INACTIVE: call a route of a service, and ask again after some minutes, before you send traffic to "
        "the region",
    )


def custom_domains(apigateway: Client, wanted: Sequence[tuple[str, str]]) -> Answer:
    """The API's private custom domain names are available, which takes about half an hour.

    Args:
        apigateway: the client.
        wanted: name and id of each.
    """
    problems: list[str] = []
    for name, identifier in wanted:
        status = apigateway.get_domain_name(domainName=name, domainNameId=identifier)["domainNameStatus"]
        if status != "AVAILABLE":
            problems.append(f"{name} is {status}")
    return judged(
        problems, f"{len(wanted)} custom domains are available", "ask again half an hour after the deployment"
    )


def _problem(response: Response) -> Mapping[str, Any]:
    """The problem details in a response (RFC 9457); empty if it has none."""
    try:
        found = response.json()
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}  # pyright: ignore[reportUnknownVariableType]


def unauthorized(response: Response) -> bool:
    """Whether it is the API's own answer to a request without a valid token (`api/openapi.yaml`), which no
    other hop gives."""
    return (response.status, _problem(response).get("type")) == (401, UNAUTHORIZED)


def denied(response: Response) -> bool:
    """Whether it is the API's own answer to a token that doesn't open a route. AWS's pages name both
    statuses."""
    return unauthorized(response) or (response.status, _problem(response).get("type")) == (403, FORBIDDEN)


def _status(response: Response) -> str:
    """The status, and who answered."""
    server = next(
        (response.headers[name] for name in ("x-amzn-errortype", "server") if name in response.headers), ""
    )
    return f"{response.status}{f' ({server})' if server else ''}"
