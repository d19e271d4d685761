"""Tier 1: what CloudFront serves, to whom, and what it passes on."""

from __future__ import annotations

import functools
import json
import re
from typing import Any

import pulumi
import pulumi_aws as aws

from components.load_balancer import ORIGIN_SECRET_HEADER
from components.web import APP, ORIGIN_KEEPALIVE_TIMEOUT, ORIGIN_READ_TIMEOUT, Web, WebArgs
from settings import DomainSettings, LoadBalancerSettings, WebSettings
from tests.unit.harness import SECRET, Graph, deploy

NAMES = DomainSettings(zone="example.com", host="trade.example.com")


@functools.cache
def graph(*, blocked: tuple[str, ...] = (), shield: bool = False) -> Graph:
    def program() -> None:
        provider = aws.Provider("aws", region="us-east-1")
        Web(
            "web",
            WebArgs(
                platform="trading-test",
                names=NAMES,
                certificate_arn="arn:aws:acm:us-east-1:123456789012:certificate/12345678-1234-1234-1234-123456789012",
                origin_secret=pulumi.Output.secret("s" * 32),
                settings=WebSettings(blocked_countries=list(blocked), shield_advanced=shield),
                log_retention_days=30,
                protect=True,
            ),
            pulumi.ResourceOptions(provider=provider),
        )

    return deploy(program)


def distribution() -> dict[str, Any]:
    return graph().only("aws:cloudfront/distribution:Distribution").inputs


def origins() -> dict[str, dict[str, Any]]:
    return {origin["originId"]: origin for origin in distribution()["origins"]}


def rules(found: Graph) -> dict[str, dict[str, Any]]:
    return {rule["name"]: rule for rule in found.only("aws:wafv2/webAcl:WebAcl").inputs["rules"]}


def statements(token: str) -> list[dict[str, Any]]:
    return json.loads(graph().only(token).inputs["policy"])["Statement"]


def test_orders_go_to_the_write_origin_and_the_rest_of_the_api_to_the_nearest() -> None:
    behaviors = [(b["pathPattern"], b["targetOriginId"]) for b in distribution()["orderedCacheBehaviors"]]
    assert behaviors == [("/api/orders*", "api-write"), ("/api/*", "api")]
    assert origins()["api-write"]["domainName"] == NAMES.write_origin
    assert origins()["api"]["domainName"] == NAMES.origin


def test_api_origins_get_the_secret_header_over_https_only() -> None:
    for origin_id in ("api", "api-write"):
        origin = origins()[origin_id]
        assert origin["customHeaders"] == [{"name": ORIGIN_SECRET_HEADER, "value": SECRET}]
        assert origin["customOriginConfig"]["originProtocolPolicy"] == "https-only"
        assert origin["customOriginConfig"]["originSslProtocols"] == ["TLSv1.2"]


def test_app_origin_does_not_get_the_secret() -> None:
    assert "customHeaders" not in origins()["app"]


def test_api_is_not_cached_and_gets_the_viewers_host() -> None:
    for behavior in distribution()["orderedCacheBehaviors"]:
        assert behavior["cachePolicyId"] == "4135ea2d-6df8-44a3-9df3-4b5a84be39ad"
        assert behavior["originRequestPolicyId"] == "216adef6-5c7f-47e4-b989-5492eafa07d3"
        assert "POST" in behavior["allowedMethods"]


def test_api_errors_reach_the_client_as_they_are() -> None:
    """A custom error response would hold for the API too."""
    assert "customErrorResponses" not in distribution()
    assert "functionAssociations" in distribution()["defaultCacheBehavior"]
    assert all("functionAssociations" not in b for b in distribution()["orderedCacheBehaviors"])


def test_viewers_need_tls_1_2() -> None:
    assert distribution()["viewerCertificate"]["minimumProtocolVersion"] == "TLSv1.2_2021"
    protocols = [
        behavior["viewerProtocolPolicy"]
        for behavior in (distribution()["defaultCacheBehavior"], *distribution()["orderedCacheBehaviors"])
    ]
    assert set(protocols) <= {"redirect-to-https", "https-only"}


def test_timeouts_lie_on_both_sides_of_the_load_balancers() -> None:
    field = LoadBalancerSettings.model_json_schema()["properties"]["idleTimeoutSeconds"]
    assert ORIGIN_KEEPALIVE_TIMEOUT < field["minimum"] <= field["maximum"] < ORIGIN_READ_TIMEOUT


def test_every_behaviour_sends_the_security_headers() -> None:
    for behavior in (distribution()["defaultCacheBehavior"], *distribution()["orderedCacheBehaviors"]):
        assert behavior["responseHeadersPolicyId"]
    headers = graph().only("aws:cloudfront/responseHeadersPolicy:ResponseHeadersPolicy").inputs
    assert set(headers["securityHeadersConfig"]) == {
        "strictTransportSecurity",
        "contentSecurityPolicy",
        "contentTypeOptions",
        "frameOptions",
        "referrerPolicy",
    }


def test_bucket_is_closed_and_read_by_this_distribution_alone() -> None:
    block = graph().only("aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock").inputs
    assert [value for key, value in block.items() if key != "bucket"] == [True] * 4
    allowed = [s for s in statements("aws:s3/bucketPolicy:BucketPolicy") if s["Effect"] == "Allow"]
    assert allowed
    for statement in allowed:
        assert statement["Principal"] == {"Service": "cloudfront.amazonaws.com"}
        assert ":distribution/" in statement["Condition"]["StringEquals"]["aws:SourceArn"]


def test_bucket_refuses_plaintext() -> None:
    denied = [s for s in statements("aws:s3/bucketPolicy:BucketPolicy") if s["Effect"] == "Deny"]
    assert [s["Condition"] for s in denied] == [{"Bool": {"aws:SecureTransport": "false"}}]


def test_key_is_usable_by_this_distribution_and_our_log_groups_alone() -> None:
    services = {
        s["Principal"]["Service"]: s["Condition"]
        for s in statements("aws:kms/keyPolicy:KeyPolicy")
        if "Service" in s["Principal"]
    }
    assert set(services) == {"cloudfront.amazonaws.com", "logs.us-east-1.amazonaws.com"}
    assert all(services.values())


def test_every_file_is_uploaded_after_encryption_is_on() -> None:
    objects = {r.inputs["key"]: r for r in graph().of("aws:s3/bucketObjectv2:BucketObjectv2")}
    assert set(objects) == {p.relative_to(APP).as_posix() for p in APP.rglob("*") if p.is_file()}
    for found in objects.values():
        assert "web-app" in found.depends_on
        assert found.inputs["contentType"]
    assert objects["index.html"].inputs["cacheControl"] == "no-cache"


def test_web_acl_blocks_with_every_managed_group_but_only_counts_large_bodies() -> None:
    managed = {name: rule for name, rule in rules(graph()).items() if name.startswith("AWSManagedRules")}
    assert len(managed) == 5
    assert all(rule["overrideAction"] == {"none": {}} for rule in managed.values())
    common = managed["AWSManagedRulesCommonRuleSet"]["statement"]["managedRuleGroupStatement"]
    assert common["ruleActionOverrides"] == [{"name": "SizeRestrictions_BODY", "actionToUse": {"count": {}}}]


def test_web_acl_limits_the_rate_of_one_address() -> None:
    rule = rules(graph())["rate-limit"]
    assert rule["action"] == {"block": {}}
    assert rule["statement"]["rateBasedStatement"]["limit"] == WebSettings().rate_limit


def test_blocking_countries_changes_no_other_rule() -> None:
    without, blocking = rules(graph()), rules(graph(blocked=("KP",)))
    assert "blocked-countries" not in without
    assert blocking.pop("blocked-countries")["statement"]["geoMatchStatement"] == {"countryCodes": ["KP"]}
    assert blocking == without


def test_web_acl_log_hides_credentials() -> None:
    logging = graph().only("aws:wafv2/webAclLoggingConfiguration:WebAclLoggingConfiguration").inputs
    hidden = [field["singleHeader"]["name"] for field in logging["redactedFields"]]
    assert "authorization" in hidden
    assert ":log-group:aws-waf-logs-" in logging["logDestinationConfigs"][0]


def test_access_logs_are_delivered_to_an_encrypted_group() -> None:
    source = graph().only("aws:cloudwatch/logDeliverySource:LogDeliverySource").inputs
    assert source["logType"] == "ACCESS_LOGS"
    assert ":distribution/" in source["resourceArn"]
    groups = graph().of("aws:cloudwatch/logGroup:LogGroup")
    assert len(groups) == 2
    for group in groups:
        assert ":kms:" in group.inputs["kmsKeyId"]
        assert "web-key" in group.depends_on


def test_shield_advanced_is_a_choice() -> None:
    assert graph().of("aws:shield/protection:Protection") == []
    assert len(graph(shield=True).of("aws:shield/protection:Protection")) == 1


def test_page_keeps_to_the_content_security_policy() -> None:
    """No inline script, style or handler, and nothing from another host."""
    html = (APP / "index.html").read_text()
    assert re.findall(r"<script(?![^>]*\bsrc=\"/)[^>]*>", html) == []
    assert re.findall(r"<style|\sstyle=|\son\w+=|https?://", html) == []


def test_page_names_only_files_that_are_there() -> None:
    html = (APP / "index.html").read_text()
    named = re.findall(r'(?:src|href)="/([^"]+)"', html)
    assert named
    assert [path for path in named if not (APP / path).is_file()] == []
