"""Tier 1: what CloudFront serves, to whom, and which requests it forwards."""

from __future__ import annotations

import dataclasses
import functools
import json
import re
from pathlib import Path
from typing import Any

import pulumi
import pulumi_aws as aws
import pytest
import yaml

from components.load_balancer import ORIGIN_SECRET_HEADER
from components.web import SignIn, Web, WebArgs
from components.web.release import APP, app_files, release_name
from components.web.web import ORIGIN_KEEPALIVE_TIMEOUT, ORIGIN_READ_TIMEOUT
from settings import (
    ORDERS_PATH,
    ApiSettings,
    DomainSettings,
    JwtSettings,
    LoadBalancerSettings,
    RouteSettings,
    WebSettings,
)
from settings.schema import values_schema
from tests.unit.harness import SECRET, Graph, Registered, context, deploy

NAMES = DomainSettings(zone="example.com", host="trade.example.com")
LOGIN = "https://trade-example-com.auth.us-east-1.amazoncognito.com"
ROUTES = (RouteSettings(path="/api/accounts", service="accounts"),)
JWT = JwtSettings(issuer="https://login.example.com/realms/trading", audience="https://trade.example.com/api")


def ireland() -> aws.Provider:
    return aws.Provider("aws-eu-west-1", region="eu-west-1")


@functools.cache
def graph(
    *,
    allowed: tuple[str, ...] = (),
    blocked: tuple[str, ...] = (),
    shield: bool = False,
    routes: tuple[RouteSettings, ...] = ROUTES,
    sign_in: bool = True,
    copied: bool = False,
    owner: str = "",
) -> Graph:
    def program() -> None:
        provider = aws.Provider("aws", region="us-east-1")
        place = context(platform="trading-test", log_retention_days=30, protect=True)
        elsewhere = context(platform="trading-test", region="eu-west-1", protect=True, provider=ireland())
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
                context=dataclasses.replace(place, tags={"owner": owner}),
                copy_in=elsewhere if copied else None,
                names=NAMES,
                certificate_arn="arn:aws:acm:us-east-1:123456789012:certificate/12345678-1234-1234-1234-123456789012",
                origin_secret=pulumi.Output.secret("s" * 32),
                origins_ready=[rule],
                sign_in=SignIn(
                    login_url=pulumi.Output.from_input(LOGIN),
                    client_id="1example23456789",
                    scopes=["trading/accounts", "trading/orders"],
                )
                if sign_in
                else None,
                api=ApiSettings(routes=list(routes), jwt=None if sign_in else JWT),
                settings=WebSettings(
                    allowed_countries=list(allowed), blocked_countries=list(blocked), shield_advanced=shield
                ),
            ),
            pulumi.ResourceOptions(provider=provider),
        )

    return deploy(program)


def distribution() -> dict[str, Any]:
    return graph().only("aws:cloudfront/distribution:Distribution").inputs


def headers(name: str) -> dict[str, Any]:
    return graph().named(name, "aws:cloudfront/responseHeadersPolicy:ResponseHeadersPolicy").inputs


def app_objects() -> list[Registered]:
    return graph().of("aws:s3/bucketObjectv2:BucketObjectv2")


def release() -> str:
    """The release's name in the router's code."""
    code = graph().named("web-router", "aws:cloudfront/function:Function").inputs["code"]
    found = re.search(r"'/([0-9a-f]{12})'", code)
    assert found
    return found[1]


def paths_to_origins(routes: tuple[RouteSettings, ...]) -> list[tuple[str, str]]:
    inputs = graph(routes=routes).only("aws:cloudfront/distribution:Distribution").inputs
    return [(b["pathPattern"], b["targetOriginId"]) for b in inputs["orderedCacheBehaviors"]]


def origins() -> dict[str, dict[str, Any]]:
    return {origin["originId"]: origin for origin in distribution()["origins"]}


def rules(found: Graph) -> dict[str, dict[str, Any]]:
    return {rule["name"]: rule for rule in found.only("aws:wafv2/webAcl:WebAcl").inputs["rules"]}


def statements(token: str) -> list[dict[str, Any]]:
    return json.loads(graph().only(token).inputs["policy"])["Statement"]


def test_orders_go_to_the_write_origin_and_the_rest_of_the_api_to_the_nearest() -> None:
    assert paths_to_origins(ROUTES) == [
        ("/api/orders", "api-write"),
        ("/api/orders/*", "api-write"),
        ("/api/*", "api"),
    ]
    assert origins()["api-write"]["domainName"] == NAMES.write_origin
    assert origins()["api"]["domainName"] == NAMES.origin


def test_routes_that_write_go_to_the_write_origin_longest_path_first() -> None:
    """CloudFront uses the first pattern that matches."""
    routes = (
        RouteSettings(path="/api/accounts", service="accounts", writes=True),
        RouteSettings(path="/api/accounts/charts", service="charts"),
        RouteSettings(path="/api/accounts/limits", service="limits", writes=True),
        RouteSettings(path="/api/orders/history", service="history"),
        RouteSettings(path="/api/market-data", service="market-data"),
    )
    assert paths_to_origins(routes) == [
        ("/api/accounts/charts", "api"),
        ("/api/accounts/charts/*", "api"),
        ("/api/orders/history", "api"),
        ("/api/orders/history/*", "api"),
        ("/api/accounts", "api-write"),
        ("/api/accounts/*", "api-write"),
        ("/api/orders", "api-write"),
        ("/api/orders/*", "api-write"),
        ("/api/*", "api"),
    ]


def test_accounts_are_asked_in_the_primary_region_by_default() -> None:
    """A replica could return a balance from before the client's last order."""
    assert ApiSettings().edge_paths == {"/api/accounts": True, ORDERS_PATH: True}


def test_path_that_only_begins_like_one_that_writes_is_another() -> None:
    routes = (
        RouteSettings(path="/api/account", service="accounts", writes=True),
        RouteSettings(path="/api/accounts", service="accounts"),
    )
    assert "/api/accounts" not in dict(paths_to_origins(routes))


def test_api_origins_get_the_secret_header_over_https_only() -> None:
    for origin_id in ("api", "api-write"):
        origin = origins()[origin_id]
        assert origin["customHeaders"] == [{"name": ORIGIN_SECRET_HEADER, "value": SECRET}]
        assert origin["customOriginConfig"]["originProtocolPolicy"] == "https-only"
        assert origin["customOriginConfig"]["originSslProtocols"] == ["TLSv1.2"]


def test_secret_is_sent_only_once_the_load_balancers_accept_it() -> None:
    assert "accepts-the-secret" in graph().only("aws:cloudfront/distribution:Distribution").depends_on


def test_distribution_is_updated_only_when_every_edge_is() -> None:
    """Otherwise, an old secret would be refused while some edge locations still send it."""
    assert distribution()["waitForDeployment"] is True


def test_app_origin_does_not_get_the_secret() -> None:
    assert "customHeaders" not in origins()["app"]


def test_api_is_not_cached_and_gets_the_viewers_host() -> None:
    for behavior in distribution()["orderedCacheBehaviors"]:
        # CachingDisabled (it also keeps CloudFront from caching errors) and AllViewer.
        assert behavior["cachePolicyId"] == "4135ea2d-6df8-44a3-9df3-4b5a84be39ad"
        assert behavior["originRequestPolicyId"] == "216adef6-5c7f-47e4-b989-5492eafa07d3"
        assert "POST" in behavior["allowedMethods"]


def test_app_is_cached_and_compressed_and_only_read() -> None:
    behavior = distribution()["defaultCacheBehavior"]
    assert behavior["targetOriginId"] == "app"
    # CachingOptimized: gzip and brotli, no cookies, headers or query strings.
    assert behavior["cachePolicyId"] == "658327ea-f89d-4fab-a63d-7e88639e58f6"
    assert behavior["compress"] is True
    assert behavior["allowedMethods"] == ["GET", "HEAD"]
    assert "originRequestPolicyId" not in behavior


def test_bucket_is_asked_with_signed_requests_alone() -> None:
    control = graph().only("aws:cloudfront/originAccessControl:OriginAccessControl")
    assert origins()["app"]["originAccessControlId"] == control.id
    assert control.inputs["originAccessControlOriginType"] == "s3"
    assert control.inputs["signingBehavior"] == "always"
    assert control.inputs["signingProtocol"] == "sigv4"


def test_replacement_of_a_protected_distribution_is_refused_before_it_begins() -> None:
    assert graph().only("aws:cloudfront/distribution:Distribution").protect


def test_one_region_has_one_origin_of_the_app() -> None:
    assert "originGroups" not in distribution()
    assert distribution()["defaultCacheBehavior"]["targetOriginId"] == "app"
    assert [origin for origin in origins() if origin.startswith("app")] == ["app"]


def test_app_is_read_from_another_region_if_the_first_fails() -> None:
    found = graph(copied=True)
    inputs = found.only("aws:cloudfront/distribution:Distribution").inputs
    (group,) = inputs["originGroups"]
    assert inputs["defaultCacheBehavior"]["targetOriginId"] == group["originId"]
    assert [member["originId"] for member in group["members"]] == ["app", "app-copy"]
    # 403 and 404 are answers about a file. All others that an origin group knows are failures of the region.
    assert group["failoverCriteria"]["statusCodes"] == [500, 502, 503, 504]
    first, second = (o for o in inputs["origins"] if o["originId"].startswith("app"))
    assert first["originAccessControlId"] == second["originAccessControlId"]
    assert ".eu-west-1." in second["domainName"]


def test_copy_is_of_the_same_release_closed_and_encrypted_in_its_own_region() -> None:
    found = graph(copied=True)
    copies = [r for r in found.resources if r.name.startswith("web-app-eu-west-1")]
    assert {r.provider for r in copies if r.type.startswith("aws:")} == {"aws-eu-west-1"}
    objects = [r for r in copies if r.type == "aws:s3/bucketObjectv2:BucketObjectv2"]
    keys = {r.inputs["key"] for r in found.of("aws:s3/bucketObjectv2:BucketObjectv2")}
    assert {r.inputs["key"] for r in objects} == keys
    router = found.named("web-router", "aws:cloudfront/function:Function")
    assert {r.name for r in objects} <= router.depends_on
    arn = found.only("aws:cloudfront/distribution:Distribution").outputs["arn"]
    for token in ("aws:s3/bucketPolicy:BucketPolicy", "aws:kms/keyPolicy:KeyPolicy"):
        (policy,) = [json.loads(r.inputs["policy"])["Statement"] for r in copies if r.type == token]
        assert {
            statement["Condition"]["StringEquals"]["aws:SourceArn"]
            for statement in policy
            if statement["Principal"] == {"Service": "cloudfront.amazonaws.com"}
        } == {arn}


def test_tags_of_the_router_never_change_alone() -> None:
    comments = {
        graph(owner=owner).named("web-router", "aws:cloudfront/function:Function").inputs["comment"]
        for owner in ("a", "b")
    }
    assert len(comments) == 2


def test_log_delivery_whose_fields_change_is_replaced_and_the_old_one_goes_first() -> None:
    delivery = graph().only("aws:cloudwatch/logDelivery:LogDelivery")
    assert delivery.replace_on_changes == ("recordFields",)
    assert delivery.delete_before_replace


def test_viewers_have_http_2_and_3_and_ipv6() -> None:
    assert distribution()["httpVersion"] == "http2and3"
    assert distribution()["isIpv6Enabled"] is True


def test_api_errors_reach_the_client_as_they_are() -> None:
    """A custom error response would also apply to the API."""
    assert "customErrorResponses" not in distribution()
    assert "functionAssociations" in distribution()["defaultCacheBehavior"]
    guard = graph().named("web-api-guard").outputs["arn"]
    association = [{"eventType": "viewer-request", "functionArn": guard}]
    assert all(b["functionAssociations"] == association for b in distribution()["orderedCacheBehaviors"])


def test_viewers_need_tls_1_2() -> None:
    certificate = distribution()["viewerCertificate"]
    assert certificate["minimumProtocolVersion"] == "TLSv1.2_2025"
    assert certificate["sslSupportMethod"] == "sni-only"
    assert distribution()["defaultCacheBehavior"]["viewerProtocolPolicy"] == "redirect-to-https"
    # API requests are not redirected, because a client would first send its token without encryption.
    assert {b["viewerProtocolPolicy"] for b in distribution()["orderedCacheBehaviors"]} == {"https-only"}


def test_timeouts_lie_on_both_sides_of_the_load_balancers() -> None:
    field = LoadBalancerSettings.model_json_schema()["properties"]["idleTimeoutSeconds"]
    assert ORIGIN_KEEPALIVE_TIMEOUT < field["minimum"] <= field["maximum"] < ORIGIN_READ_TIMEOUT


@pytest.mark.parametrize("policy", ["web-headers", "web-api-headers"])
def test_answers_have_the_security_headers_whatever_the_origin_says(policy: str) -> None:
    found = headers(policy)["securityHeadersConfig"]
    assert all(each["override"] is True for each in found.values())
    assert found["strictTransportSecurity"]["accessControlMaxAgeSec"] >= 31_536_000
    assert found["strictTransportSecurity"]["includeSubdomains"] is True
    assert found["frameOptions"]["frameOption"] == "DENY"
    assert found["referrerPolicy"]["referrerPolicy"] == "no-referrer"
    assert "contentTypeOptions" in found
    csp = found["contentSecurityPolicy"]["contentSecurityPolicy"]
    assert "default-src 'none'" in csp
    assert "frame-ancestors 'none'" in csp
    assert "unsafe" not in csp


def test_app_and_api_have_headers_of_their_own() -> None:
    kind = "aws:cloudfront/responseHeadersPolicy:ResponseHeadersPolicy"
    app, api = (graph().named(name, kind).id for name in ("web-headers", "web-api-headers"))
    assert distribution()["defaultCacheBehavior"]["responseHeadersPolicyId"] == app
    assert {b["responseHeadersPolicyId"] for b in distribution()["orderedCacheBehaviors"]} == {api}


def test_page_may_connect_to_its_own_host_and_the_user_pool() -> None:
    csp = headers("web-headers")["securityHeadersConfig"]["contentSecurityPolicy"]["contentSecurityPolicy"]
    directives = dict(part.strip().split(" ", 1) for part in csp.split(";"))
    assert directives["connect-src"] == f"'self' {LOGIN}"
    assert directives["script-src"] == directives["style-src"] == "'self'"


def test_browsers_store_no_answer_of_the_api_unless_a_service_says_so() -> None:
    items = headers("web-api-headers")["customHeadersConfig"]["items"]
    assert {"header": "Cache-Control", "value": "no-store", "override": False} in items


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
    removed = [item["header"] for item in headers("web-headers")["removeHeadersConfig"]["items"]]
    assert "x-amz-server-side-encryption-aws-kms-key-id" in removed


def test_every_file_is_uploaded_into_the_release_after_encryption_is_on() -> None:
    files = {p.relative_to(APP).as_posix() for p in APP.rglob("*") if p.is_file()}
    assert {found.inputs["key"] for found in app_objects()} == {
        f"{release()}/{file}" for file in (*files, "config.json")
    }
    for found in app_objects():
        assert "web-app" in found.depends_on
        assert found.inputs["contentType"]


def test_edge_keeps_the_files_and_browsers_ask_each_time() -> None:
    assert {found.inputs["cacheControl"] for found in app_objects()} == {"s-maxage=31536000"}
    # Without this header, a proxy between client and edge would also cache the files for a year.
    items = headers("web-headers")["customHeadersConfig"]["items"]
    assert {"header": "Cache-Control", "value": "no-cache", "override": True} in items


def test_viewers_are_sent_to_a_release_once_all_of_it_is_there() -> None:
    router = graph().named("web-router", "aws:cloudfront/function:Function")
    assert {found.name for found in app_objects()} <= router.depends_on


def test_release_changes_with_any_file_and_with_the_configuration_only() -> None:
    files = {"index.html": "one", "app.js": "two"}
    names = [
        release_name(files, "{}"),
        release_name(files, "{ }"),
        release_name({**files, "app.js": "three"}, "{}"),
        release_name({"other.html": "one", "app.js": "two"}, "{}"),
    ]
    assert len(set(names)) == 4
    assert release_name(dict(files), "{}") == names[0]


def test_file_of_an_unknown_kind_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("components.web.release.APP", tmp_path)
    (tmp_path / "notes.doc").write_text("")
    with pytest.raises(ValueError, match=r"web/notes\.doc"):
        app_files()


def test_page_learns_the_api_paths_and_the_sign_in_from_the_configuration() -> None:
    source = graph().named("web-app/config.json", "aws:s3/bucketObjectv2:BucketObjectv2").inputs["source"]
    assert json.loads(source["text"]) == {
        "apiPaths": [ORDERS_PATH, "/api/accounts"],
        "signIn": {
            "url": LOGIN,
            "clientId": "1example23456789",
            "scopes": ["openid", "trading/accounts", "trading/orders"],
        },
        "issuer": None,
    }


def test_page_of_an_outside_issuers_users_talks_to_its_own_host_alone() -> None:
    outside = graph(sign_in=False)
    source = outside.named("web-app/config.json", "aws:s3/bucketObjectv2:BucketObjectv2").inputs["source"]
    configuration = json.loads(source["text"])
    assert (configuration["signIn"], configuration["issuer"]) == (None, JWT.issuer)
    policy = outside.named(
        "web-headers", "aws:cloudfront/responseHeadersPolicy:ResponseHeadersPolicy"
    ).inputs["securityHeadersConfig"]["contentSecurityPolicy"]["contentSecurityPolicy"]
    assert "connect-src 'self' ;" in policy


def test_orders_path_is_the_apis() -> None:
    document = yaml.safe_load((APP.parent / "api" / "openapi.yaml").read_text())
    assert ORDERS_PATH in document["paths"]


def test_web_acl_blocks_with_every_managed_group_but_only_counts_large_bodies() -> None:
    managed = {name: rule for name, rule in rules(graph()).items() if name.startswith("AWSManagedRules")}
    assert set(managed) == {
        "AWSManagedRulesAmazonIpReputationList",
        "AWSManagedRulesAnonymousIpList",
        "AWSManagedRulesCommonRuleSet",
        "AWSManagedRulesKnownBadInputsRuleSet",
        "AWSManagedRulesSQLiRuleSet",
    }
    assert all(rule["overrideAction"] == {"none": {}} for rule in managed.values())
    common = managed["AWSManagedRulesCommonRuleSet"]["statement"]["managedRuleGroupStatement"]
    assert common["ruleActionOverrides"] == [{"name": "SizeRestrictions_BODY", "actionToUse": {"count": {}}}]


def test_large_bodies_are_blocked_but_for_orders() -> None:
    rule = rules(graph())["large-body"]
    label, other_than_orders = rule["statement"]["andStatement"]["statements"]
    assert rule["action"] == {"block": {}}
    assert label["labelMatchStatement"] == {
        "scope": "LABEL",
        "key": "awswaf:managed:aws:core-rule-set:SizeRestrictions_Body",
    }
    paths = [
        statement["byteMatchStatement"]
        for statement in other_than_orders["notStatement"]["statement"]["orStatement"]["statements"]
    ]
    assert [(path["positionalConstraint"], path["searchString"]) for path in paths] == [
        ("EXACTLY", "/api/orders"),
        ("STARTS_WITH", "/api/orders/"),
    ]
    for path in paths:
        # Otherwise, /api/orders/../accounts would allow a large body for other paths.
        transformations = [each["type"] for each in path["textTransformations"]]
        assert transformations == ["URL_DECODE", "NORMALIZE_PATH"]
    # The rule reads a label, so it comes after the rule group that sets the label.
    assert rule["priority"] == max(each["priority"] for each in rules(graph()).values())


def test_web_acl_limits_the_rate_of_one_address() -> None:
    rule = rules(graph())["rate-limit"]
    assert rule["action"] == {"block": {}}
    assert rule["statement"]["rateBasedStatement"] == {
        "limit": WebSettings().rate_limit,
        "aggregateKeyType": "IP",
        "evaluationWindowSec": 300,
    }


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


def test_web_acl_guards_the_distribution() -> None:
    acl = graph().only("aws:wafv2/webAcl:WebAcl")
    assert acl.inputs["scope"] == "CLOUDFRONT"
    assert distribution()["webAclId"] == acl.outputs["arn"]


def test_web_acl_shows_no_credentials_in_log_samples_or_metrics() -> None:
    acl = graph().only("aws:wafv2/webAcl:WebAcl")
    logging = graph().only("aws:wafv2/webAclLoggingConfiguration:WebAclLoggingConfiguration").inputs
    assert logging["resourceArn"] == acl.outputs["arn"]
    hidden = {field["singleHeader"]["name"] for field in logging["redactedFields"]}
    assert {"authorization", "cookie"} <= hidden
    assert ":log-group:aws-waf-logs-" in logging["logDestinationConfigs"][0]
    protections = acl.inputs["dataProtectionConfig"]["dataProtections"]
    fields = {each["field"]["fieldType"]: each["field"].get("fieldKeys") for each in protections}
    assert "authorization" in fields["SINGLE_HEADER"]
    assert fields["SINGLE_COOKIE"] is None, "every cookie"


def test_access_logs_are_delivered_to_an_encrypted_group() -> None:
    source = graph().only("aws:cloudwatch/logDeliverySource:LogDeliverySource").inputs
    assert source["logType"] == "ACCESS_LOGS"
    assert ":distribution/" in source["resourceArn"]
    destination = graph().only("aws:cloudwatch/logDeliveryDestination:LogDeliveryDestination").inputs
    arn = destination["deliveryDestinationConfiguration"]["destinationResourceArn"]
    assert ":log-group:/aws/cloudfront/trading-test" in arn
    assert destination["outputFormat"] == "json"
    groups = graph().of("aws:cloudwatch/logGroup:LogGroup")
    assert len(groups) == 2
    for group in groups:
        assert ":kms:" in group.inputs["kmsKeyId"]
        assert "web-key" in group.depends_on


def test_access_logs_say_who_asked_what_and_hold_no_credentials() -> None:
    delivery = graph().only("aws:cloudwatch/logDelivery:LogDelivery")
    fields = delivery.inputs["recordFields"]
    assert {"date", "time", "c-ip", "cs-method", "cs-uri-stem", "sc-status"} <= set(fields)
    # The query string contains the code of a sign-in, and the default set of fields contains cookies.
    assert not {"cs(Cookie)", "cs-uri-query", "cs(Referer)"} & set(fields)
    assert len(fields) == len(set(fields))
    assert "web-log-delivery" in delivery.depends_on, "nothing may be delivered without the policy"


def test_latency_is_watched_by_metrics_that_are_switched_on() -> None:
    subscription = graph().only("aws:cloudfront/monitoringSubscription:MonitoringSubscription").inputs
    assert subscription["distributionId"] == graph().only("aws:cloudfront/distribution:Distribution").id
    status = subscription["monitoringSubscription"]["realtimeMetricsSubscriptionConfig"]
    assert status == {"realtimeMetricsSubscriptionStatus": "Enabled"}


def test_shield_advanced_is_a_choice_that_says_its_price() -> None:
    assert graph().of("aws:shield/protection:Protection") == []
    protection = graph(shield=True).only("aws:shield/protection:Protection")
    assert ":distribution/" in protection.inputs["resourceArn"]
    assert "3,000 USD" in values_schema(WebSettings)["properties"]["shieldAdvanced"]["description"]
