"""Rules about the edge: CloudFront, load balancers, certificates and web ACLs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from policy.rule import (
    SECRET,
    Resource,
    Stack,
    is_map,
    listed,
    must_be,
    must_be_at_least,
    must_be_set,
    rule,
    stack_rule,
)
from settings.aws_limits import EDGE_REGION, LEAST_ZONES, STRONG_KEYS, VIEWER_TLS

DISTRIBUTION = "aws:cloudfront/distribution:Distribution"
LOG_DELIVERY_SOURCE = "aws:cloudwatch/logDeliverySource:LogDeliverySource"
ORIGIN_ACCESS_CONTROL = "aws:cloudfront/originAccessControl:OriginAccessControl"
CERTIFICATE = "aws:acm/certificate:Certificate"
LOAD_BALANCER = "aws:lb/loadBalancer:LoadBalancer"
LISTENER = "aws:lb/listener:Listener"
WEB_ACL = "aws:wafv2/webAcl:WebAcl"
WEB_ACL_ASSOCIATION = "aws:wafv2/webAclAssociation:WebAclAssociation"
RESPONSE_HEADERS = "aws:cloudfront/responseHeadersPolicy:ResponseHeadersPolicy"
LISTENER_RULE = "aws:lb/listenerRule:ListenerRule"
WEB_ACL_LOGGING = "aws:wafv2/webAclLoggingConfiguration:WebAclLoggingConfiguration"


_WILD = re.compile(r"[*?]")

WAF_STOPS = ("block", "captcha", "challenge")
"""Actions of a web ACL's rules that stop at least some requests."""

LEAST_HSTS_SECONDS = 31_536_000
"""Seconds for which a browser must remember to use HTTPS only: a year, as hstspreload.org requires."""

LEAST_SECRET = 16
"""Characters of a header's value that nobody guesses."""


@rule("CloudFront has a default root object", DISTRIBUTION, controls=["CloudFront.1"])
def cloudfront_has_default_root_object(distribution: Resource) -> Iterator[str]:
    yield from must_be_set(distribution, "defaultRootObject", "name one, such as index.html")


@rule("Viewers reach CloudFront over HTTPS", DISTRIBUTION, controls=["CloudFront.3"])
def cloudfront_viewers_use_https(distribution: Resource) -> Iterator[str]:
    behaviors = [distribution.get("defaultCacheBehavior"), *listed(distribution.get("orderedCacheBehaviors"))]
    for behavior in behaviors:
        policy = behavior.get("viewerProtocolPolicy") if is_map(behavior) else None
        if policy not in ("https-only", "redirect-to-https"):
            yield f"viewerProtocolPolicy is {policy}: set it to https-only or redirect-to-https"


@stack_rule("CloudFront's requests are logged", DISTRIBUTION, controls=["CloudFront.5"])
def cloudfront_is_logged(distribution: Resource, stack: Stack) -> Iterator[str]:
    if not distribution.get("loggingConfig") and not any(stack.companions(distribution, LOG_DELIVERY_SOURCE)):
        yield "has neither a LogDeliverySource nor loggingConfig: add a LogDeliverySource"


@rule("CloudFront has a web ACL", DISTRIBUTION, controls=["CloudFront.6"])
def cloudfront_has_web_acl(distribution: Resource) -> Iterator[str]:
    yield from must_be_set(distribution, "webAclId", "name a web ACL")


@rule(
    "Viewers get the platform's certificate, with SNI and modern TLS",
    DISTRIBUTION,
    controls=["CloudFront.7", "CloudFront.8", "CloudFront.15"],
)
def cloudfront_viewers_use_modern_tls(distribution: Resource) -> Iterator[str]:
    yield from must_be_set(
        distribution, "viewerCertificate.acmCertificateArn", f"name a certificate in {EDGE_REGION}"
    )
    yield from must_be(distribution, "viewerCertificate.sslSupportMethod", "sni-only")
    yield from must_be(distribution, "viewerCertificate.minimumProtocolVersion", *VIEWER_TLS)


@rule(
    "CloudFront reaches its origins over TLS 1.2",
    DISTRIBUTION,
    controls=["CloudFront.9", "CloudFront.10"],
)
def cloudfront_origins_use_tls(distribution: Resource) -> Iterator[str]:
    for origin in _origins(distribution):
        custom = origin.get("customOriginConfig")
        if not is_map(custom):
            continue
        name = origin.get("originId")
        if custom.get("originProtocolPolicy") != "https-only":
            yield f"origin {name}: originProtocolPolicy is not https-only: set it to https-only"
        if set(listed(custom.get("originSslProtocols"))) != {"TLSv1.2"}:
            yield f"origin {name}: originSslProtocols are not only TLSv1.2: set them to TLSv1.2"


@rule("CloudFront signs its requests to buckets", DISTRIBUTION, controls=["CloudFront.13"])
def cloudfront_has_origin_access_control(distribution: Resource) -> Iterator[str]:
    for origin in _origins(distribution):
        if not is_map(origin.get("customOriginConfig")) and not origin.get("originAccessControlId"):
            yield f"origin {origin.get('originId')}: originAccessControlId is not set: set it"


@rule("An origin access control signs every request", ORIGIN_ACCESS_CONTROL, controls=["CloudFront.13"])
def origin_access_control_signs(control: Resource) -> Iterator[str]:
    yield from must_be(control, "signingBehavior", "always")


@rule("Responses make browsers use HTTPS only, and no other types and frames", RESPONSE_HEADERS)
def response_headers_protect_browsers(policy: Resource) -> Iterator[str]:
    headers = "securityHeadersConfig"
    yield from must_be_at_least(
        policy, f"{headers}.strictTransportSecurity.accessControlMaxAgeSec", LEAST_HSTS_SECONDS
    )
    yield from must_be(policy, f"{headers}.strictTransportSecurity.includeSubdomains", True)
    for header in ("contentTypeOptions", "frameOptions", "strictTransportSecurity"):
        # Otherwise the origin's header goes to the viewer.
        yield from must_be(policy, f"{headers}.{header}.override", True)


@rule("ACM can renew a certificate automatically", CERTIFICATE, controls=["ACM.1"])
def certificate_renews_itself(certificate: Resource) -> Iterator[str]:
    yield from must_be(certificate, "validationMethod", "DNS")


@rule("A certificate's key is strong", CERTIFICATE, controls=["ACM.2"])
def certificate_key_is_strong(certificate: Resource) -> Iterator[str]:
    yield from must_be(certificate, "keyAlgorithm", *STRONG_KEYS, unset=True)


@rule("No listener serves plain HTTP", LISTENER, controls=["ELB.1"])
def alb_redirects_http(listener: Resource) -> Iterator[str]:
    if listener.get("protocol") != "HTTP":
        return
    for action in listed(listener.get("defaultActions")):
        redirect = action.get("redirect")
        if not is_map(redirect) or redirect.get("protocol") != "HTTPS":
            yield "protocol is HTTP, and an action does not redirect to HTTPS: use a redirect"


@rule("Listeners use TLS 1.2 or newer", LISTENER, controls=["ELB.17"])
def listener_uses_modern_tls(listener: Resource) -> Iterator[str]:
    if listener.get("protocol") not in ("HTTPS", "TLS"):
        return
    policy = str(listener.get("sslPolicy") or "")
    # Policies with Ext in their names add ciphers without forward secrecy.
    if ("TLS13-1-2" not in policy and "TLS13-1-3" not in policy) or "Ext" in policy:
        yield f"sslPolicy is {policy or 'not set'}: set one such as ELBSecurityPolicy-TLS13-1-2-2021-06"


@rule("An application load balancer drops invalid headers", LOAD_BALANCER, controls=["ELB.4"])
def alb_drops_invalid_headers(balancer: Resource) -> Iterator[str]:
    if _is_application(balancer):
        yield from must_be(balancer, "dropInvalidHeaderFields", True)


@rule("A load balancer writes access logs", LOAD_BALANCER, controls=["ELB.5"])
def load_balancer_is_logged(balancer: Resource) -> Iterator[str]:
    yield from must_be(balancer, "accessLogs.enabled", True)


@rule("A load balancer in production has deletion protection", LOAD_BALANCER, controls=["ELB.6"])
def load_balancer_is_protected(balancer: Resource) -> Iterator[str]:
    if balancer.is_production:
        yield from must_be(balancer, "enableDeletionProtection", True)


@rule("An application load balancer mitigates desync attacks", LOAD_BALANCER, controls=["ELB.12"])
def alb_mitigates_desync(balancer: Resource) -> Iterator[str]:
    if _is_application(balancer):
        yield from must_be(balancer, "desyncMitigationMode", "defensive", "strictest", unset=True)


@rule("A load balancer is in several zones", LOAD_BALANCER, controls=["ELB.13"])
def load_balancer_spans_zones(balancer: Resource) -> Iterator[str]:
    if not balancer.get("subnetMappings"):
        yield from must_be_at_least(balancer, "subnets", LEAST_ZONES)


@stack_rule("A public load balancer has a web ACL", LOAD_BALANCER, controls=["ELB.16"])
def alb_has_web_acl(balancer: Resource, stack: Stack) -> Iterator[str]:
    if _is_application(balancer) and not any(stack.companions(balancer, WEB_ACL_ASSOCIATION)):
        yield "has no WebAclAssociation: add one"


@stack_rule("A public load balancer forwards only requests that prove where they come from", LISTENER)
def listener_forwards_only_proven_requests(listener: Resource, stack: Stack) -> Iterator[str]:
    balancers = [it for it in stack.resources if it.type == LOAD_BALANCER and it.urn in listener.refers_to]
    if not any(_is_application(it) and not it.get("internal") for it in balancers):
        return
    if _forwards(listener.get("defaultActions")):
        yield "defaultActions forward every request: answer it, and add rules that forward"
    for rule_ in stack.companions(listener, LISTENER_RULE):
        if rule_.get("conditions") == SECRET:
            continue  # the engine can pass a list that contains a secret as one secret
        if _forwards(rule_.get("actions")) and not any(map(_proves, listed(rule_.get("conditions")))):
            yield (
                f"{rule_.name} forwards requests of everybody: add a condition on a header with a secret "
                "value, or on paths without wildcards"
            )


def _forwards(actions: object) -> bool:
    return any(is_map(action) and action.get("type") == "forward" for action in listed(actions))


def _proves(condition: object) -> bool:
    """Whether a condition of a listener's rule is one that not everybody can satisfy for every path."""
    if not is_map(condition):
        return False
    header, paths = condition.get("httpHeader"), condition.get("pathPattern")
    values = listed(header.get("values")) if is_map(header) else []
    exact = listed(paths.get("values")) if is_map(paths) else []
    secret = all(
        it == SECRET or (len(str(it)) >= LEAST_SECRET and not _WILD.search(str(it))) for it in values
    )
    return (bool(values) and secret) or (bool(exact) and not any(_WILD.search(str(it)) for it in exact))


@rule("Only application load balancers face the internet", LOAD_BALANCER)
def only_albs_face_the_internet(balancer: Resource) -> Iterator[str]:
    if not _is_application(balancer):
        yield from must_be(balancer, "internal", True)


@rule("A web ACL has rules", WEB_ACL, controls=["WAF.10"])
def web_acl_has_rules(acl: Resource) -> Iterator[str]:
    yield from must_be_at_least(acl, "rules", 1)


@rule("A web ACL blocks requests, and doesn't only count them", WEB_ACL)
def web_acl_blocks(acl: Resource) -> Iterator[str]:
    blocks = is_map(acl.get("defaultAction")) and acl.get("defaultAction.block") is not None
    for entry in listed(acl.get("rules")):
        if _names(entry.get("overrideAction"), "count"):
            yield f"rule {entry.get('name')}: overrideAction only counts: set it to none"
        blocks = blocks or _names(entry.get("overrideAction"), "none")
        blocks = blocks or any(_names(entry.get("action"), kind) for kind in WAF_STOPS)
    if not blocks:
        yield "no rule blocks a request: add one whose action is block"


def _names(action: object, kind: str) -> bool:
    """Whether an action is of a kind. The block of most kinds is empty."""
    return is_map(action) and action.get(kind) is not None


@stack_rule("A web ACL writes logs", WEB_ACL, controls=["WAF.11"])
def web_acl_is_logged(acl: Resource, stack: Stack) -> Iterator[str]:
    if not any(stack.companions(acl, WEB_ACL_LOGGING)):
        yield "has no WebAclLoggingConfiguration: add one"


@rule("Every rule of a web ACL has metrics", WEB_ACL, controls=["WAF.12"])
def web_acl_rules_have_metrics(acl: Resource) -> Iterator[str]:
    for entry in listed(acl.get("rules")):
        visibility = entry.get("visibilityConfig")
        if not is_map(visibility) or visibility.get("cloudwatchMetricsEnabled") is not True:
            yield f"rule {entry.get('name')}: visibilityConfig.cloudwatchMetricsEnabled is not true: set it"


def _is_application(balancer: Resource) -> bool:
    return balancer.get("loadBalancerType") in (None, "application")


def _origins(distribution: Resource) -> Iterator[Mapping[str, Any]]:
    return (origin for origin in listed(distribution.get("origins")) if is_map(origin))
