"""The CloudFront distribution: its behaviours, origins, web ACL, logs and signals."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from components.common.component import Component
from components.common.context import DeploymentContext
from components.common.forged_requests import edge_function
from components.common.iam import policy_document
from components.common.key import account_statement, log_groups_statement
from components.common.logs import log_group
from components.common.signals import FOLLOW_ONE_REQUEST, LogQuery, Signal
from components.common.web_acl import EDGE_RULE_GROUPS, log_refused_requests, web_acl
from components.load_balancer import ORIGIN_SECRET_HEADER
from components.web.bucket import (
    AppCopy,
    AppCopyArgs,
    admit_distribution,
    app_bucket,
    app_key,
    reads_with_key,
)
from components.web.release import VIEWER_CACHE_CONTROL, Release, current_release
from settings import ORDERS_PATH, ApiSettings, DomainSettings, WebSettings

ORIGIN_READ_TIMEOUT = 60
"""Number of seconds that CloudFront waits for the API. It is longer than the load balancer's idle timeout."""
ORIGIN_KEEPALIVE_TIMEOUT = 30
"""Number of seconds that CloudFront keeps an idle connection. It is shorter than the load balancer's idle
timeout, so that the load balancer doesn't close a connection while CloudFront sends a request on it."""

CONNECTION_ATTEMPTS = 2
CONNECTION_TIMEOUT = 3
"""Seconds for each attempt of CloudFront to connect to an origin."""

APP_CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self' {0}; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
"""`{0}` is the base URL of the user pool's OAuth endpoints, from which the page gets its tokens."""

API_CONTENT_SECURITY_POLICY = "default-src 'none'; frame-ancestors 'none'"
"""The policy for responses that aren't pages."""

PERMISSIONS_POLICY = "camera=(), geolocation=(), microphone=(), payment=(), usb=()"

# AWS's managed policies have the same id in every account (CloudFront Developer Guide, "Use managed
# cache policies" and "Use managed origin request policies").
CACHING_OPTIMIZED = "658327ea-f89d-4fab-a63d-7e88639e58f6"
CACHING_DISABLED = "4135ea2d-6df8-44a3-9df3-4b5a84be39ad"
ALL_VIEWER = "216adef6-5c7f-47e4-b989-5492eafa07d3"

DISCLOSING_HEADERS = (
    "x-amz-server-side-encryption",
    "x-amz-server-side-encryption-aws-kms-key-id",
    "x-amz-server-side-encryption-bucket-key-enabled",
    "x-amz-version-id",
)
"""Headers that S3 adds to its responses and that no viewer needs. The key's ARN contains the account id."""

ACCESS_LOG_FIELDS = (
    "date",
    "time",
    "x-edge-location",
    "x-edge-request-id",
    "c-ip",
    "c-country",
    "cs-method",
    "cs(Host)",
    "x-host-header",
    "cs-uri-stem",
    "cache-behavior-path-pattern",
    "cs-protocol",
    "cs-protocol-version",
    "ssl-protocol",
    "ssl-cipher",
    "cs(User-Agent)",
    "cs-bytes",
    "sc-status",
    "sc-content-type",
    "sc-bytes",
    "x-edge-result-type",
    "x-edge-response-result-type",
    "x-edge-detailed-result-type",
    "time-taken",
    "time-to-first-byte",
    "origin-fbl",
    "origin-lbl",
)
"""Fields that are logged for each request (CloudFront Developer Guide, "Standard logging reference" and
"Configure standard logging (v2)"). They don't include `cs(Cookie)`, which is part of the default set, and
`cs-uri-query`, which contains the authorization code of a sign-in. There is no field for the authorization
header."""


@dataclass(frozen=True, kw_only=True)
class SignIn:
    """How users sign in to the web app."""

    login_url: pulumi.Input[str]
    """Base URL of the user pool's OAuth endpoints."""
    client_id: pulumi.Input[str]
    """The web app's client in the user pool."""
    scopes: Sequence[str]
    """Scopes that the web app requests."""


@dataclass(frozen=True, kw_only=True)
class WebArgs:
    """Settings of the distribution."""

    context: DeploymentContext
    names: DomainSettings
    additional_hosts: Sequence[str] = ()
    """Other names, in addition to the host, that the distribution answers to."""
    certificate_arn: pulumi.Input[str]
    """Certificate in us-east-1."""
    origin_secret: pulumi.Input[str]
    origins_ready: Sequence[pulumi.Resource]
    """The load balancers' rules that accept `origin_secret`. They must exist before it is sent."""
    sign_in: SignIn | None
    """None if an external issuer, `api.jwt`, manages the users. The page then shows the issuer's name and
    whether the API can be reached."""
    api: ApiSettings
    """The API's paths, and which of them use the write origin."""
    copy_in: DeploymentContext | None = None
    """Context of a second region, which gets a copy of the web app's files; None if there is only one."""
    settings: WebSettings


class Web(Component):
    """The distribution, its web ACL and the web app's bucket. The component uses a provider for us-east-1.

    Raises:
        ValueError: a file of the web app has an extension that isn't in `CONTENT_TYPES`.
    """

    distribution_id: pulumi.Output[str]
    distribution_domain_name: pulumi.Output[str]
    distribution_zone_id: pulumi.Output[str]
    """Hosted zone of CloudFront's DNS names, for alias records."""
    bucket: pulumi.Output[str]

    def __init__(self, name: str, args: WebArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("trading:tier:Web", name, opts)

        key = app_key(self, f"{name}-key", args.context, "Web app and edge logs of")
        release = current_release(_app_configuration(args))
        app, objects = app_bucket(
            self, f"{name}-app", key_arn=key.arn, release=release, protect=args.context.protect
        )
        copy = self._copy(name, args.copy_in, release)
        acl = web_acl(
            self,
            name,
            scope="CLOUDFRONT",
            own=_edge_statements(args.settings),
            groups=EDGE_RULE_GROUPS,
            metric_name=f"{args.context.platform}-web",
        )
        router = aws.cloudfront.Function(
            f"{name}-router",
            runtime="cloudfront-js-2.0",
            code=release.router,
            comment=f"Sends viewers to the web app's current release (tags {_digest(args.context.tags)})",
            # Viewers must be sent to the release only once all of its objects exist.
            opts=self.child(depends_on=[*objects, *(copy.objects if copy else ())]),
        )
        guard = aws.cloudfront.Function(
            f"{name}-api-guard",
            runtime="cloudfront-js-2.0",
            code=edge_function(),
            comment=f"Refuses forged requests to the API (tags {_digest(args.context.tags)})",
            opts=self.child(),
        )
        distribution = self._distribution(name, args, app.bucket, copy, acl, router, guard)
        key_policy = self._key_policy(name, key, distribution)
        admit_distribution(self, f"{name}-app", app, distribution.arn)
        if copy:
            copy.admit(distribution.arn)
        self._logs(name, args, key, key_policy, acl, distribution)
        if args.settings.shield_advanced:
            self._shield(name, distribution)

        self.distribution_id = distribution.id
        self.distribution_domain_name = distribution.domain_name
        self.distribution_zone_id = distribution.hosted_zone_id
        self.bucket = app.bucket.bucket
        self._watch(name, distribution, router, guard, metric_name=f"{args.context.platform}-web")
        self.register_outputs(
            {
                "distributionId": self.distribution_id,
                "distributionDomainName": self.distribution_domain_name,
                "distributionZoneId": self.distribution_zone_id,
                "bucket": self.bucket,
            }
        )

    def _copy(self, name: str, context: DeploymentContext | None, release: Release) -> AppCopy | None:
        if context is None:
            return None
        return AppCopy(
            f"{name}-app-{context.region}",
            AppCopyArgs(context=context, release=release),
            self.child(provider=context.provider),
        )

    def _distribution(
        self,
        name: str,
        args: WebArgs,
        bucket: aws.s3.Bucket,
        copy: AppCopy | None,
        acl: aws.wafv2.WebAcl,
        router: aws.cloudfront.Function,
        guard: aws.cloudfront.Function,
    ) -> aws.cloudfront.Distribution:
        access_control = aws.cloudfront.OriginAccessControl(
            f"{name}-app",
            origin_access_control_origin_type="s3",
            signing_behavior="always",
            signing_protocol="sigv4",
            opts=self.child(),
        )
        app_headers = self._headers(
            f"{name}-headers",
            comment="Headers of the web app",
            content_security_policy=pulumi.Output.format(
                APP_CONTENT_SECURITY_POLICY, args.sign_in.login_url if args.sign_in else ""
            ),
            cache_control={"header": "Cache-Control", "value": VIEWER_CACHE_CONTROL, "override": True},
        )
        api_headers = self._headers(
            f"{name}-api-headers",
            comment="Headers of the API",
            content_security_policy=API_CONTENT_SECURITY_POLICY,
            # Browsers must not store balances and orders on disk, unless a service explicitly allows it.
            cache_control={"header": "Cache-Control", "value": "no-store", "override": False},
        )
        return aws.cloudfront.Distribution(
            name,
            comment=args.context.platform,
            enabled=True,
            aliases=[args.names.host, *args.additional_hosts],
            http_version="http2and3",
            is_ipv6_enabled=True,
            price_class=args.settings.price_class,
            web_acl_id=acl.arn,
            default_root_object="index.html",
            viewer_certificate={
                "acm_certificate_arn": args.certificate_arn,
                "ssl_support_method": "sni-only",
                # The newest policy that still supports TLS 1.2, which traders' programs may need (CloudFront
                # Developer Guide, "Supported protocols and ciphers between viewers and CloudFront").
                "minimum_protocol_version": "TLSv1.2_2025",
            },
            # The web ACL blocks countries instead, because it logs and counts the blocked requests.
            restrictions={"geo_restriction": {"restriction_type": "none"}},
            origins=[
                _app_origin("app", bucket.bucket_regional_domain_name, access_control),
                *([_app_origin("app-copy", copy.origin, access_control)] if copy else []),
                _api_origin("api", args.names.origin, args.origin_secret),
                _api_origin("api-write", args.names.write_origin, args.origin_secret),
            ],
            origin_groups=[_failover("app-with-copy", "app", "app-copy")] if copy else None,
            default_cache_behavior={
                "target_origin_id": "app-with-copy" if copy else "app",
                "viewer_protocol_policy": "redirect-to-https",
                "allowed_methods": ["GET", "HEAD"],
                "cached_methods": ["GET", "HEAD"],
                "cache_policy_id": CACHING_OPTIMIZED,
                "response_headers_policy_id": app_headers.id,
                "compress": True,
                "function_associations": [{"event_type": "viewer-request", "function_arn": router.arn}],
            },
            # The first pattern that matches wins.
            ordered_cache_behaviors=[
                *(
                    _api_behavior(pattern, "api-write" if writes else "api", api_headers.id, guard.arn)
                    for path, writes in args.api.edge_paths.items()
                    for pattern in (path, f"{path}/*")
                ),
                _api_behavior("/api/*", "api", api_headers.id, guard.arn),
            ],
            # An old origin secret may be removed only when all edge locations send the new one.
            wait_for_deployment=True,
            # The secret has the same value before and after a rule accepts it, so it doesn't express this
            # dependency.
            # A replacement would fail in the middle of a deployment: a host can't be an alias of two
            # distributions ("CNAMEAlreadyExists", CloudFront API Reference, CreateDistribution).
            opts=self.child(depends_on=[*args.origins_ready], protect=args.context.protect),
        )

    def _headers(
        self,
        name: str,
        *,
        comment: str,
        content_security_policy: pulumi.Input[str],
        cache_control: aws.cloudfront.ResponseHeadersPolicyCustomHeadersConfigItemArgsDict,
    ) -> aws.cloudfront.ResponseHeadersPolicy:
        return aws.cloudfront.ResponseHeadersPolicy(
            name,
            comment=comment,
            security_headers_config={
                "strict_transport_security": {
                    # Two years, as recommended by the browsers' preload list.
                    "access_control_max_age_sec": 63_072_000,
                    "include_subdomains": True,
                    "override": True,
                },
                "content_security_policy": {
                    "content_security_policy": content_security_policy,
                    "override": True,
                },
                "content_type_options": {"override": True},
                "frame_options": {"frame_option": "DENY", "override": True},
                "referrer_policy": {"referrer_policy": "no-referrer", "override": True},
            },
            custom_headers_config={
                "items": [
                    {"header": "Permissions-Policy", "value": PERMISSIONS_POLICY, "override": True},
                    {"header": "Cross-Origin-Opener-Policy", "value": "same-origin", "override": True},
                    cache_control,
                ]
            },
            remove_headers_config={"items": [{"header": header} for header in DISCLOSING_HEADERS]},
            opts=self.child(),
        )

    def _key_policy(
        self, name: str, key: aws.kms.Key, distribution: aws.cloudfront.Distribution
    ) -> aws.kms.KeyPolicy:
        """The key's policy. It is a separate resource, because it names the distribution, which is created
        after the key."""
        return aws.kms.KeyPolicy(
            f"{name}-key",
            key_id=key.id,
            policy=policy_document(
                account_statement(self.account_id),
                reads_with_key(distribution.arn),
                log_groups_statement(self.account_id, key.region, "log-group:*"),
            ),
            opts=self.child(),
        )

    def _logs(
        self,
        name: str,
        args: WebArgs,
        key: aws.kms.Key,
        key_policy: aws.kms.KeyPolicy,
        acl: aws.wafv2.WebAcl,
        distribution: aws.cloudfront.Distribution,
    ) -> None:
        """The access logs of the distribution (standard logging v2) and the logs of the web ACL, in
        CloudWatch."""
        context = args.context.encrypted_with(key.arn)
        # CloudWatch rejects a key whose policy doesn't allow its use.
        usable: list[pulumi.Resource] = [key_policy]
        access = log_group(
            self,
            f"{name}-access-logs",
            context,
            name=f"/aws/cloudfront/{args.context.platform}",
            depends_on=usable,
        )
        self.report(LogQuery(name="follow-one-request", query=FOLLOW_ONE_REQUEST, log_groups=(access.name,)))
        may_deliver = log_refused_requests(
            self,
            name,
            context,
            web_acl_arn=acl.arn,
            log_name=args.context.platform,
            policy_name=f"{args.context.platform}-edge-log-delivery",
            also_delivered=[access.arn],
            depends_on=usable,
        )
        source = aws.cloudwatch.LogDeliverySource(
            f"{name}-access",
            log_type="ACCESS_LOGS",
            resource_arn=distribution.arn,
            opts=self.child(),
        )
        destination = aws.cloudwatch.LogDeliveryDestination(
            f"{name}-access",
            output_format="json",
            delivery_destination_configuration={"destination_resource_arn": access.arn},
            opts=self.child(),
        )
        aws.cloudwatch.LogDelivery(
            f"{name}-access",
            delivery_source_name=source.name,
            delivery_destination_arn=destination.arn,
            record_fields=list(ACCESS_LOG_FIELDS),
            opts=self.child(
                depends_on=[may_deliver],
                # The provider can't change the fields of a delivery to CloudWatch Logs, because it also sends
                # an S3 configuration, which AWS rejects (hashicorp/terraform-provider-aws #46108, January
                # 2026). A source can't have two deliveries to one destination, so the old one goes first.
                replace_on_changes=["recordFields"],
                delete_before_replace=True,
            ),
        )

    def _shield(self, name: str, distribution: aws.cloudfront.Distribution) -> None:
        aws.shield.Protection(f"{name}-shield", resource_arn=distribution.arn, opts=self.child())
        self.report(
            Signal(
                name="web-ddos",
                title="AWS Shield has detected an attack on the CloudFront distribution",
                namespace="AWS/DDoSProtection",
                metric="DDoSDetected",
                dimensions={"ResourceArn": distribution.arn},
                statistic="Maximum",
                threshold=0,
                reason="Shield mitigates the attack automatically. Its response team helps if you contact "
                "it during the attack.",
                severity="warning",
                periods=1,
            )
        )

    def _watch(
        self,
        name: str,
        distribution: aws.cloudfront.Distribution,
        router: aws.cloudfront.Function,
        guard: aws.cloudfront.Function,
        *,
        metric_name: str,
    ) -> None:
        # Eight additional metrics, at CloudWatch's price of USD 0.30 a month each ("Estimating cost for the
        # additional CloudFront metrics"), including the origins' latency and the shares of 502, 503 and 504.
        subscription = aws.cloudfront.MonitoringSubscription(
            name,
            distribution_id=distribution.id,
            monitoring_subscription={
                "realtime_metrics_subscription_config": {"realtime_metrics_subscription_status": "Enabled"}
            },
            opts=self.child(),
        )
        self.report(
            Signal(
                name="web-latency",
                title="More than one in a hundred requests to CloudFront wait longer than three seconds "
                "for the origin",
                namespace="AWS/CloudFront",
                metric="OriginLatency",
                # Taken from the subscription, without which this metric doesn't exist.
                dimensions={"DistributionId": subscription.distribution_id, "Region": "Global"},
                statistic="p99",
                threshold=3000,
                reason="The threshold is in milliseconds to the first byte of a response that isn't "
                "cached. A slow API takes two seconds, and the round trip to a distant region one second.",
                severity="warning",
                periods=5,
            ),
            Signal(
                name="web-5xx",
                title="More than one in a hundred requests to CloudFront fail with 5xx",
                namespace="AWS/CloudFront",
                metric="5xxErrorRate",
                dimensions={"DistributionId": distribution.id, "Region": "Global"},
                statistic="Average",
                threshold=1,
                reason="The threshold is in per cent of all requests, including those to the API. It is "
                "what viewers see, whichever tier is at fault.",
                severity="critical",
                periods=5,
            ),
            _function_fails(
                "web-router-errors",
                "The CloudFront function fails, so the web app is unavailable",
                router,
            ),
            _function_fails(
                "web-api-guard-errors",
                "The CloudFront function in front of the API fails, so requests to the API fail",
                guard,
            ),
            Signal(
                name="web-blocked",
                title="The web ACL at the edge blocks unusually many requests",
                namespace="AWS/WAFV2",
                metric="BlockedRequests",
                dimensions={"WebACL": metric_name, "Rule": "ALL"},
                statistic="Sum",
                threshold=5000,
                reason="The threshold is in requests per five minutes and is far above the noise of "
                "scanners. The cause is either an attack or a rule that blocks our own users.",
                severity="warning",
                period_seconds=300,
                periods=2,
            ),
        )


def _function_fails(name: str, title: str, function: aws.cloudfront.Function) -> Signal:
    return Signal(
        name=name,
        title=title,
        namespace="AWS/CloudFront",
        metric="FunctionExecutionErrors",
        dimensions={"FunctionName": function.name, "Region": "Global"},
        statistic="Sum",
        threshold=0,
        reason="No request should make the function fail.",
        severity="critical",
        periods=1,
    )


def _digest(tags: Mapping[str, str]) -> str:
    """Changes with the tags, so that the function isn't published without having been updated.

    The provider publishes a function whose tags change. CloudFront refuses that unless something else changes
    too (hashicorp/terraform-provider-aws #49572, August 2026).
    """
    return hashlib.sha256(json.dumps(tags, sort_keys=True).encode()).hexdigest()[:8]


def _edge_statements(settings: WebSettings) -> dict[str, aws.wafv2.WebAclRuleStatementArgsDict]:
    """Statements for the rules of the edge that come before AWS's rule groups."""
    blocked: dict[str, aws.wafv2.WebAclRuleStatementArgsDict] = {
        "rate-limit": {
            "rate_based_statement": {
                "limit": settings.rate_limit,
                "aggregate_key_type": "IP",
                "evaluation_window_sec": 300,
            }
        }
    }
    if settings.blocked_countries:
        blocked["blocked-countries"] = {"geo_match_statement": {"country_codes": settings.blocked_countries}}
    if settings.allowed_countries:
        allowed: aws.wafv2.WebAclRuleStatementArgsDict = {
            "geo_match_statement": {"country_codes": settings.allowed_countries}
        }
        blocked["other-countries"] = {"not_statement": {"statement": allowed}}
    return blocked


def _app_configuration(args: WebArgs) -> pulumi.Output[str]:
    """The contents of the web app's `config.json`."""
    return pulumi.Output.json_dumps(
        {
            "apiPaths": [ORDERS_PATH, *(route.path for route in args.api.routes)],
            "signIn": {
                "url": args.sign_in.login_url,
                "clientId": args.sign_in.client_id,
                "scopes": ["openid", *args.sign_in.scopes],
            }
            if args.sign_in
            else None,
            "issuer": args.api.jwt.issuer if args.api.jwt else None,
        },
        indent=2,
    )


def _app_origin(
    origin_id: str, domain_name: pulumi.Input[str], access_control: aws.cloudfront.OriginAccessControl
) -> aws.cloudfront.DistributionOriginArgsDict:
    return {
        "origin_id": origin_id,
        "domain_name": domain_name,
        "origin_access_control_id": access_control.id,
        # CloudFront tries the copy after 6 s instead of 30 s.
        "connection_attempts": CONNECTION_ATTEMPTS,
        "connection_timeout": CONNECTION_TIMEOUT,
    }


def _failover(origin_id: str, first: str, second: str) -> aws.cloudfront.DistributionOriginGroupArgsDict:
    """A group that reads from the second origin if the first fails ("Optimize high availability with
    CloudFront origin failover", CloudFront Developer Guide). A file that doesn't exist isn't a failure."""
    return {
        "origin_id": origin_id,
        "failover_criteria": {"status_codes": [500, 502, 503, 504]},
        "members": [{"origin_id": first}, {"origin_id": second}],
    }


def _api_origin(
    origin_id: str, domain_name: str, secret: pulumi.Input[str]
) -> aws.cloudfront.DistributionOriginArgsDict:
    return {
        "origin_id": origin_id,
        "domain_name": domain_name,
        "custom_headers": [{"name": ORIGIN_SECRET_HEADER, "value": secret}],
        # CloudFront gives up on a region that doesn't accept connections after 6 s instead of 30 s.
        "connection_attempts": CONNECTION_ATTEMPTS,
        "connection_timeout": CONNECTION_TIMEOUT,
        "custom_origin_config": {
            "http_port": 80,
            "https_port": 443,
            "origin_protocol_policy": "https-only",
            "origin_ssl_protocols": ["TLSv1.2"],
            "origin_read_timeout": ORIGIN_READ_TIMEOUT,
            "origin_keepalive_timeout": ORIGIN_KEEPALIVE_TIMEOUT,
        },
    }


def _api_behavior(
    path_pattern: str, origin_id: str, headers: pulumi.Input[str], guard: pulumi.Input[str]
) -> aws.cloudfront.DistributionOrderedCacheBehaviorArgsDict:
    """A behaviour that forwards requests to the API, including the Host header, and caches nothing.

    Only the function `guard` changes requests: it removes the headers that the platform itself sets.

    It doesn't cache errors either: with other policies, CloudFront caches them for seconds (CloudFront
    Developer Guide, "HTTP 4xx and 5xx status codes that CloudFront caches"). It can't compress responses,
    which requires a policy with caching, so the API has to compress them.
    """
    return {
        "path_pattern": path_pattern,
        "target_origin_id": origin_id,
        # With a redirect, clients could send an order and its token unencrypted first.
        "viewer_protocol_policy": "https-only",
        "allowed_methods": ["GET", "HEAD", "OPTIONS", "PUT", "POST", "PATCH", "DELETE"],
        "cached_methods": ["GET", "HEAD"],
        "cache_policy_id": CACHING_DISABLED,
        "origin_request_policy_id": ALL_VIEWER,
        "response_headers_policy_id": headers,
        "function_associations": [{"event_type": "viewer-request", "function_arn": guard}],
    }
