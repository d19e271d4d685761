"""The way of a request: names, certificates, and what each hop refuses.

Requests come from this machine, so they can go only where any client on the internet can. What a hop behind
CloudFront refuses is read from its configuration.
"""

from __future__ import annotations

import socket
import ssl
import warnings
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from account import dns
from account.question import Answer, Client, judged, pages, passed
from account.verify.https import Https, Response

LEAST_DAYS = 30
"""Days for which a certificate must still be valid. ACM renews earlier ("Managed certificate renewal", ACM
User Guide)."""
OLD_VERSIONS = (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1)
UNKNOWN_HOST = "unknown.invalid"
"""A host that no distribution has: `.invalid` is reserved (RFC 2606)."""


def page(https: Https, host: str) -> Answer:
    """CloudFront serves the web app's page, with its security headers."""
    response = https.send(host, "/")
    kind = response.headers.get("content-type", "")
    problems = [] if response.status == 200 else [f"https://{host}/ answers {_status(response)}"]
    if not problems and not kind.startswith("text/html"):
        problems.append(f"https://{host}/ is {kind or 'of an unknown type'}")
    if not problems:
        problems = [
            f"https://{host}/ has no {name}"
            for name in ("strict-transport-security", "content-security-policy")
            if name not in response.headers
        ]
    return judged(
        problems, f"https://{host}/ answers 200", "see `web-5xx` in docs/operations.md, and deploy again"
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
    """The host refuses TLS 1.0 and 1.1."""
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
    """The API refuses a request without a token. It is API Gateway that answers, so the request has passed
    CloudFront, the load balancer and the API's endpoint, which the host alone selects."""
    response = https.send(host, path)
    if response.status == 401:
        return passed(f"{path} answers 401 without a token")
    if response.status == 403:
        return Answer(
            "fail",
            f"{path} answers {_status(response)} without a token: the load balancer's web ACL or the API's "
            "endpoint refuses it",
            "within half an hour of the first deployment, wait for the private custom domain; otherwise see "
            "`api-client-errors` in docs/operations.md",
        )
    return Answer(
        "fail",
        f"{path} answers {_status(response)} without a token",
        "see `api-server-errors` in docs/operations.md",
    )


def forged_subject(https: Https, host: str, path: str) -> Answer:
    """A client can't say who it is: the edge removes its header, or the load balancer refuses it."""
    return _refused(
        https.send(host, path, {"x-caller-subject": "forged"}),
        (401, 403),
        lambda status: f"{path} answers {status} to a forged x-caller-subject",
        "see that `functions/edge/api_request.js` is deployed: it removes the header",
    )


def encoded_dots(https: Https, host: str, path: str) -> Answer:
    """The edge refuses a path that services could understand in another way."""
    ambiguous = f"{path}/%2e%2e/x"
    return _refused(
        https.send(host, ambiguous),
        (400, 403),
        lambda status: f"{ambiguous} answers {status}",
        "see that `functions/edge/api_request.js` is deployed: it answers 400",
    )


def unknown_host(https: Https, host: str) -> Answer:
    """CloudFront serves the platform only under its own names."""
    return _refused(
        https.send(host, "/", host_header=UNKNOWN_HOST),
        range(400, 500),
        lambda status: f"CloudFront answers {status} to the host {UNKNOWN_HOST}",
        "remove other names from `aliases` of the distribution",
    )


def _refused(
    response: Response, by: Collection[int], text: Callable[[int | str], str], remedy: str
) -> Answer:
    """Whether a request is refused with one of the statuses. `text` says what a status answers."""
    problems = [] if response.status in by else [text(_status(response))]
    return judged(problems, text(response.status), remedy)


def direct(https: Https, balancer: str) -> Answer:
    """The load balancer accepts no connection from this machine, which isn't CloudFront."""
    try:
        https.connect(balancer, _unverified()).close()
    except socket.gaierror:
        raise  # the name isn't found, which says nothing about the load balancer
    except OSError as error:
        return passed(f"{balancer} accepts no connection from here: {error}")
    return Answer(
        "fail",
        f"{balancer} accepts a connection from here",
        "remove what the deployment didn't add to the load balancer's security groups: run `pulumi up "
        "--refresh`",
    )


def _unverified() -> ssl.SSLContext:
    """A context for a name that its certificate doesn't contain."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def origin_secret(elbv2: Client, listener: str, header: str, health_host: str) -> Answer:
    """The load balancer forwards only requests with the origin's secret, except for those of Route 53's
    health checks."""
    rules = list(pages(elbv2, "describe_rules", "Rules", ListenerArn=listener))
    forwarding = [rule for rule in rules if any(action["Type"] == "forward" for action in rule["Actions"])]
    open_rules = [
        rule["Priority"]
        for rule in forwarding
        if header.lower() not in _headers(rule) and health_host not in _hosts(rule)
    ]
    return judged(
        [f"the rule with priority {priority} forwards without {header}" for priority in open_rules],
        f"{len(forwarding)} rules forward, with {header} or for {health_host}",
        "remove the rules that the deployment didn't add: run `pulumi up --refresh`",
    )


def _headers(rule: Mapping[str, Any]) -> set[str]:
    return {item.get("HttpHeaderConfig", {}).get("HttpHeaderName", "").lower() for item in rule["Conditions"]}


def _hosts(rule: Mapping[str, Any]) -> set[str]:
    return {
        host for item in rule["Conditions"] for host in item.get("HostHeaderConfig", {}).get("Values", ())
    }


def health_check(route53: Client, identifier: str, host: str) -> Answer:
    """Route 53's checkers reach order intake through the load balancer and the API's endpoint, which the host
    alone selects: the load balancer connects without SNI."""
    found = route53.get_health_check_status(HealthCheckId=identifier)["HealthCheckObservations"]
    reports = [item["StatusReport"]["Status"] for item in found]
    failing = [report for report in reports if not report.startswith("Success")]
    if not reports:
        return Answer("unknown", f"nobody has checked {host} yet", "ask again in a minute")
    return judged(
        [f"{len(failing)} of {len(reports)} checkers: {failing[0]}"] if failing else [],
        f"{len(reports)} checkers reach {host}",
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


def _status(response: Response) -> str:
    """The status, and who answered."""
    server = next(
        (response.headers[name] for name in ("x-amzn-errortype", "server") if name in response.headers), ""
    )
    return f"{response.status}{f' ({server})' if server else ''}"
