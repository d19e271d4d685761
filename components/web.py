"""Tier 1, the web: CloudFront with the web app's bucket and the API as origins."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import pulumi
import pulumi_aws as aws

from components.load_balancer import ORIGIN_SECRET_HEADER
from components.tier import Signal, Tier
from components.web_acl import visibility, web_acl_rules
from settings import DomainSettings, WebSettings

APP = Path(__file__).parents[1] / "web"
"""Folder of the web app's files."""

CONTENT_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".ico": "image/x-icon",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".webmanifest": "application/manifest+json",
    ".woff2": "font/woff2",
}
"""What a file of the web app may be. A table, because Python's own guess differs between machines."""

ORIGIN_READ_TIMEOUT = 60
"""Seconds that CloudFront waits for the API: longer than the load balancer's idle timeout."""
ORIGIN_KEEPALIVE_TIMEOUT = 30
"""Seconds that CloudFront keeps an idle connection: shorter than the load balancer's idle timeout, which
would otherwise close a connection just as CloudFront sends on it."""

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)

# AWS's managed policies have the same id in every account (CloudFront Developer Guide, "Use managed
# cache policies" and "Use managed origin request policies").
CACHING_OPTIMIZED = "658327ea-f89d-4fab-a63d-7e88639e58f6"
CACHING_DISABLED = "4135ea2d-6df8-44a3-9df3-4b5a84be39ad"
ALL_VIEWER = "216adef6-5c7f-47e4-b989-5492eafa07d3"

ROUTER = """\
// A path without an extension is a place in the single-page app, which index.html shows.
function handler(event) {
  var request = event.request;
  if (!request.uri.split('/').pop().includes('.')) {
    request.uri = '/index.html';
  }
  return request;
}
"""
"""CloudFront Function of the web app's behaviour alone. The usual way, a custom error response that turns
403 and 404 into index.html, holds for every behaviour and would replace the API's errors by a page."""


@dataclass(frozen=True, kw_only=True)
class WebArgs:
    """Settings of the distribution."""

    platform: str
    names: DomainSettings
    certificate_arn: pulumi.Input[str]
    """In us-east-1."""
    origin_secret: pulumi.Input[str]
    settings: WebSettings
    log_retention_days: int
    protect: bool


class Web(Tier):
    """The distribution, its web ACL and the web app's bucket. Built with a provider of us-east-1.

    Raises:
        ValueError: a file of the web app has an extension that is not in `CONTENT_TYPES`.
    """

    distribution_id: pulumi.Output[str]
    distribution_domain_name: pulumi.Output[str]
    distribution_zone_id: pulumi.Output[str]
    """Hosted zone of CloudFront's names, for alias records."""
    bucket: pulumi.Output[str]

    def __init__(self, name: str, args: WebArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, opts)
        self._account = aws.get_caller_identity_output(opts=pulumi.InvokeOptions(parent=self)).account_id

        key = aws.kms.Key(
            f"{name}-key",
            description=f"Web app and edge logs of {args.platform}",
            enable_key_rotation=True,
            opts=self.child(protect=args.protect),
        )
        aws.kms.Alias(
            f"{name}-key",
            name=f"alias/{args.platform}-web",
            target_key_id=key.id,
            opts=self.child(),
        )
        bucket = self._bucket(name, args, key)
        web_acl = aws.wafv2.WebAcl(
            f"{name}-acl",
            scope="CLOUDFRONT",
            default_action={"allow": {}},
            rules=web_acl_rules(args.settings.rate_limit, args.settings.blocked_countries),
            visibility_config=visibility(f"{args.platform}-web"),
            opts=self.child(),
        )
        router = aws.cloudfront.Function(
            f"{name}-router",
            runtime="cloudfront-js-2.0",
            code=ROUTER,
            comment="Serves index.html for the paths of the single-page app",
            opts=self.child(),
        )
        distribution = self._distribution(name, args, bucket, web_acl, router)
        key_policy = self._key_policy(name, key, distribution)
        self._bucket_policy(name, bucket, distribution)
        self._logs(name, args, key, key_policy, web_acl, distribution)
        if args.settings.shield_advanced:
            aws.shield.Protection(f"{name}-shield", resource_arn=distribution.arn, opts=self.child())

        self.distribution_id = distribution.id
        self.distribution_domain_name = distribution.domain_name
        self.distribution_zone_id = distribution.hosted_zone_id
        self.bucket = bucket.bucket
        self._watch(distribution, router, metric_name=f"{args.platform}-web")
        self.register_outputs(
            {
                "distributionId": self.distribution_id,
                "distributionDomainName": self.distribution_domain_name,
                "distributionZoneId": self.distribution_zone_id,
                "bucket": self.bucket,
            }
        )

    def _bucket(self, name: str, args: WebArgs, key: aws.kms.Key) -> aws.s3.Bucket:
        """The private bucket with the web app's files."""
        bucket = aws.s3.Bucket(
            f"{name}-app",
            # Old versions would keep an unprotected stack's bucket from being deleted.
            force_destroy=not args.protect,
            opts=self.child(protect=args.protect),
        )
        aws.s3.BucketPublicAccessBlock(
            f"{name}-app",
            bucket=bucket.id,
            block_public_acls=True,
            block_public_policy=True,
            ignore_public_acls=True,
            restrict_public_buckets=True,
            opts=self.child(),
        )
        aws.s3.BucketOwnershipControls(
            f"{name}-app",
            bucket=bucket.id,
            rule={"object_ownership": "BucketOwnerEnforced"},
            opts=self.child(),
        )
        encryption = aws.s3.BucketServerSideEncryptionConfiguration(
            f"{name}-app",
            bucket=bucket.id,
            rules=[
                {
                    "apply_server_side_encryption_by_default": {
                        "sse_algorithm": "aws:kms",
                        "kms_master_key_id": key.arn,
                    },
                    "bucket_key_enabled": True,
                }
            ],
            opts=self.child(),
        )
        versioning = aws.s3.BucketVersioning(
            f"{name}-app",
            bucket=bucket.id,
            versioning_configuration={"status": "Enabled"},
            opts=self.child(),
        )
        aws.s3.BucketLifecycleConfiguration(
            f"{name}-app",
            bucket=versioning.bucket,
            rules=[
                {
                    "id": "forget-old-versions",
                    "status": "Enabled",
                    "filter": {"prefix": ""},
                    "noncurrent_version_expiration": {"noncurrent_days": 90},
                }
            ],
            opts=self.child(),
        )
        for file in sorted(path for path in APP.rglob("*") if path.is_file()):
            path = file.relative_to(APP).as_posix()
            if file.suffix not in CONTENT_TYPES:
                raise ValueError(
                    f"web/{path}: no content type is known for this extension; "
                    f"known are {', '.join(CONTENT_TYPES)}"
                )
            aws.s3.BucketObjectv2(
                f"{name}-app/{path}",
                bucket=bucket.id,
                key=path,
                # A relative path, so that the state is the same on every machine.
                source=pulumi.FileAsset(os.path.relpath(file)),
                content_type=CONTENT_TYPES[file.suffix],
                # The page names files whose names do not change, so they may lag behind it by a minute.
                cache_control="no-cache" if file.suffix == ".html" else "public, max-age=60",
                # An object keeps the encryption and versioning of the moment it was written.
                opts=self.child(depends_on=[encryption, versioning]),
            )
        return bucket

    def _distribution(
        self,
        name: str,
        args: WebArgs,
        bucket: aws.s3.Bucket,
        web_acl: aws.wafv2.WebAcl,
        router: aws.cloudfront.Function,
    ) -> aws.cloudfront.Distribution:
        access_control = aws.cloudfront.OriginAccessControl(
            f"{name}-app",
            origin_access_control_origin_type="s3",
            signing_behavior="always",
            signing_protocol="sigv4",
            opts=self.child(),
        )
        headers = aws.cloudfront.ResponseHeadersPolicy(
            f"{name}-headers",
            comment="Security headers of the web app and the API",
            security_headers_config={
                "strict_transport_security": {
                    # Two years, as the browsers' preload list recommends.
                    "access_control_max_age_sec": 63_072_000,
                    "include_subdomains": True,
                    "override": True,
                },
                "content_security_policy": {
                    "content_security_policy": CONTENT_SECURITY_POLICY,
                    "override": True,
                },
                "content_type_options": {"override": True},
                "frame_options": {"frame_option": "DENY", "override": True},
                "referrer_policy": {"referrer_policy": "no-referrer", "override": True},
            },
            opts=self.child(),
        )
        return aws.cloudfront.Distribution(
            name,
            comment=args.platform,
            enabled=True,
            aliases=[args.names.host],
            http_version="http2and3",
            is_ipv6_enabled=True,
            price_class=args.settings.price_class,
            web_acl_id=web_acl.arn,
            default_root_object="index.html",
            viewer_certificate={
                "acm_certificate_arn": args.certificate_arn,
                "ssl_support_method": "sni-only",
                "minimum_protocol_version": "TLSv1.2_2021",
            },
            # The web ACL blocks countries: it logs and counts what it refuses.
            restrictions={"geo_restriction": {"restriction_type": "none"}},
            origins=[
                {
                    "origin_id": "app",
                    "domain_name": bucket.bucket_regional_domain_name,
                    "origin_access_control_id": access_control.id,
                },
                _api_origin("api", args.names.origin, args.origin_secret),
                _api_origin("api-write", args.names.write_origin, args.origin_secret),
            ],
            default_cache_behavior={
                "target_origin_id": "app",
                "viewer_protocol_policy": "redirect-to-https",
                "allowed_methods": ["GET", "HEAD"],
                "cached_methods": ["GET", "HEAD"],
                "cache_policy_id": CACHING_OPTIMIZED,
                "response_headers_policy_id": headers.id,
                "compress": True,
                "function_associations": [{"event_type": "viewer-request", "function_arn": router.arn}],
            },
            # The first pattern that matches wins.
            ordered_cache_behaviors=[
                _api_behavior("/api/orders*", "api-write", headers.id),
                _api_behavior("/api/*", "api", headers.id),
            ],
            opts=self.child(),
        )

    def _key_policy(
        self, name: str, key: aws.kms.Key, distribution: aws.cloudfront.Distribution
    ) -> aws.kms.KeyPolicy:
        """A resource of its own: it names the distribution, which is built after the key."""
        logs_arn = pulumi.Output.format("arn:aws:logs:{0}:{1}:log-group:*", key.region, self._account)
        return aws.kms.KeyPolicy(
            f"{name}-key",
            key_id=key.id,
            policy=pulumi.Output.json_dumps(
                {
                    "Version": "2012-10-17",
                    "Statement": [
                        {
                            "Sid": "DelegateToIam",
                            "Effect": "Allow",
                            "Principal": {
                                "AWS": pulumi.Output.format("arn:aws:iam::{0}:root", self._account)
                            },
                            "Action": "kms:*",
                            "Resource": "*",
                        },
                        {
                            "Sid": "DistributionReadsApp",
                            "Effect": "Allow",
                            "Principal": {"Service": "cloudfront.amazonaws.com"},
                            "Action": "kms:Decrypt",
                            "Resource": "*",
                            "Condition": {"StringEquals": {"aws:SourceArn": distribution.arn}},
                        },
                        {
                            "Sid": "EncryptLogGroups",
                            "Effect": "Allow",
                            "Principal": {
                                "Service": pulumi.Output.format("logs.{0}.amazonaws.com", key.region)
                            },
                            "Action": [
                                "kms:Encrypt*",
                                "kms:Decrypt*",
                                "kms:ReEncrypt*",
                                "kms:GenerateDataKey*",
                                "kms:Describe*",
                            ],
                            "Resource": "*",
                            "Condition": {"ArnLike": {"kms:EncryptionContext:aws:logs:arn": logs_arn}},
                        },
                    ],
                }
            ),
            opts=self.child(),
        )

    def _bucket_policy(
        self, name: str, bucket: aws.s3.Bucket, distribution: aws.cloudfront.Distribution
    ) -> None:
        objects = pulumi.Output.format("{0}/*", bucket.arn)
        reader = {
            "Effect": "Allow",
            "Principal": {"Service": "cloudfront.amazonaws.com"},
            "Condition": {"StringEquals": {"aws:SourceArn": distribution.arn}},
        }
        aws.s3.BucketPolicy(
            f"{name}-app",
            bucket=bucket.id,
            policy=pulumi.Output.json_dumps(
                {
                    "Version": "2012-10-17",
                    "Statement": [
                        {"Sid": "ReadApp", **reader, "Action": "s3:GetObject", "Resource": objects},
                        # With it S3 says 404 for a missing file, not 403. No viewer can list the bucket:
                        # the router gives / another path, and query strings are not forwarded.
                        {"Sid": "TellMissing", **reader, "Action": "s3:ListBucket", "Resource": bucket.arn},
                        {
                            "Sid": "RefusePlaintext",
                            "Effect": "Deny",
                            "Principal": "*",
                            "Action": "s3:*",
                            "Resource": [bucket.arn, objects],
                            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
                        },
                    ],
                }
            ),
            opts=self.child(),
        )

    def _logs(
        self,
        name: str,
        args: WebArgs,
        key: aws.kms.Key,
        key_policy: aws.kms.KeyPolicy,
        web_acl: aws.wafv2.WebAcl,
        distribution: aws.cloudfront.Distribution,
    ) -> None:
        """Access logs of the distribution (standard logging v2) and the web ACL's, in CloudWatch."""
        access, blocked = (
            aws.cloudwatch.LogGroup(
                f"{name}-{purpose}-logs",
                name=group,
                retention_in_days=args.log_retention_days,
                kms_key_id=key.arn,
                # CloudWatch refuses a key whose policy does not admit it.
                opts=self.child(depends_on=[key_policy]),
            )
            for purpose, group in (
                ("access", f"/aws/cloudfront/{args.platform}"),
                # WAF accepts only names with this beginning.
                ("acl", f"aws-waf-logs-{args.platform}"),
            )
        )
        delivery = aws.cloudwatch.LogResourcePolicy(
            f"{name}-log-delivery",
            policy_name=f"{args.platform}-edge-log-delivery",
            policy_document=pulumi.Output.json_dumps(
                {
                    "Version": "2012-10-17",
                    "Statement": [
                        {
                            "Effect": "Allow",
                            "Principal": {"Service": "delivery.logs.amazonaws.com"},
                            "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
                            "Resource": [pulumi.Output.format("{0}:*", g.arn) for g in (access, blocked)],
                            "Condition": {
                                "StringEquals": {"aws:SourceAccount": self._account},
                                "ArnLike": {
                                    "aws:SourceArn": pulumi.Output.format(
                                        "arn:aws:logs:{0}:{1}:*", key.region, self._account
                                    )
                                },
                            },
                        }
                    ],
                }
            ),
            opts=self.child(),
        )
        # Both deliveries need the policy, which none of their values shows.
        may_deliver: list[pulumi.Resource] = [delivery]
        aws.wafv2.WebAclLoggingConfiguration(
            f"{name}-acl",
            resource_arn=web_acl.arn,
            log_destination_configs=[blocked.arn],
            redacted_fields=[
                {"single_header": {"name": "authorization"}},
                {"single_header": {"name": "cookie"}},
            ],
            opts=self.child(depends_on=may_deliver),
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
            opts=self.child(depends_on=may_deliver),
        )

    def _watch(
        self, distribution: aws.cloudfront.Distribution, router: aws.cloudfront.Function, *, metric_name: str
    ) -> None:
        self.signals += [
            Signal(
                name="web-5xx",
                title="More than one viewer's request in a hundred fails",
                namespace="AWS/CloudFront",
                metric="5xxErrorRate",
                dimensions={"DistributionId": distribution.id, "Region": "Global"},
                statistic="Average",
                threshold=1,
                reason="Per cent of all requests, API included: what viewers see, whatever tier is at fault.",
                severity="critical",
                periods=5,
            ),
            Signal(
                name="web-router-errors",
                title="The edge function fails, and the web app with it",
                namespace="AWS/CloudFront",
                metric="FunctionExecutionErrors",
                dimensions={"FunctionName": router.name, "Region": "Global"},
                statistic="Sum",
                threshold=0,
                reason="The function has no input that may make it fail.",
                severity="critical",
                periods=1,
            ),
            Signal(
                name="web-blocked",
                title="The web ACL blocks unusually many requests",
                namespace="AWS/WAFV2",
                metric="BlockedRequests",
                dimensions={"WebACL": metric_name, "Rule": "ALL"},
                statistic="Sum",
                threshold=5000,
                reason="Far above the noise of scanners: an attack, or a rule that hits our own users.",
                severity="warning",
                period_seconds=300,
                periods=2,
            ),
        ]


def _api_origin(
    origin_id: str, domain_name: str, secret: pulumi.Input[str]
) -> aws.cloudfront.DistributionOriginArgsDict:
    return {
        "origin_id": origin_id,
        "domain_name": domain_name,
        "custom_headers": [{"name": ORIGIN_SECRET_HEADER, "value": secret}],
        # A region that does not accept connections is given up after 6 s, not after 30.
        "connection_attempts": 2,
        "connection_timeout": 3,
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
    path_pattern: str, origin_id: str, headers: pulumi.Input[str]
) -> aws.cloudfront.DistributionOrderedCacheBehaviorArgsDict:
    """Everything goes to the API as the viewer sent it, the Host header too, and nothing is cached."""
    return {
        "path_pattern": path_pattern,
        "target_origin_id": origin_id,
        # A redirect would invite clients to send an order, and its token, in the clear first.
        "viewer_protocol_policy": "https-only",
        "allowed_methods": ["GET", "HEAD", "OPTIONS", "PUT", "POST", "PATCH", "DELETE"],
        "cached_methods": ["GET", "HEAD"],
        "cache_policy_id": CACHING_DISABLED,
        "origin_request_policy_id": ALL_VIEWER,
        "response_headers_policy_id": headers,
        "compress": True,
    }
