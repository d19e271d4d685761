"""Tier 3: who reaches the public load balancer, and what it forwards."""

from __future__ import annotations

import functools
from typing import Any

import pulumi
import pulumi_aws as aws

from components.load_balancer import ORIGIN_SECRET_HEADER, LoadBalancer, LoadBalancerArgs
from settings import LoadBalancerSettings
from tests.unit.harness import SECRET, Graph, Registered, deploy

ADDRESSES = ["10.0.96.8", "10.0.97.8", "10.0.98.8"]
INGRESS = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"


@functools.cache
def graph(*, protect: bool = True, secrets: tuple[int, ...] = (1,)) -> Graph:
    def program() -> None:
        provider = aws.Provider("aws", region="eu-west-1")
        LoadBalancer(
            "load-balancer-eu-west-1",
            LoadBalancerArgs(
                platform="trading-test",
                region="eu-west-1",
                vpc_id="vpc-0123456789abcdef0",
                public_subnet_ids=["subnet-0123456789abcdef0", "subnet-0123456789abcdef1"],
                certificate_arn="arn:aws:acm:eu-west-1:123456789012:certificate/12345678-1234-1234-1234-123456789012",
                viewer_host="trade.example.com",
                health_host="health-eu-west-1.origin.trade.example.com",
                origin_secrets={number: pulumi.Output.secret(str(number) * 32) for number in secrets},
                api_endpoint_addresses=ADDRESSES,
                api_endpoint_security_group_id="sg-0123456789abcdef0",
                log_bucket="logs-1234567",
                key_arn="arn:aws:kms:eu-west-1:123456789012:key/12345678-1234-1234-1234-123456789012",
                log_retention_days=30,
                settings=LoadBalancerSettings(),
                protect=protect,
            ),
            pulumi.ResourceOptions(provider=provider),
        )

    return deploy(program)


def listener(port: int) -> Registered:
    return next(found for found in graph().of("aws:lb/listener:Listener") if found.inputs["port"] == port)


def conditions(rule: str) -> dict[str, object]:
    found = graph().named(f"load-balancer-eu-west-1-{rule}", "aws:lb/listenerRule:ListenerRule")
    return {key: value for part in found.inputs["conditions"] for key, value in part.items()}


def test_only_aws_prefix_lists_are_admitted_each_in_a_group_of_its_own() -> None:
    admitted = [rule for rule in graph().of(INGRESS) if "prefixListId" in rule.inputs]
    assert len(admitted) == 2
    assert len({rule.inputs["securityGroupId"] for rule in admitted}) == 2
    assert len({rule.inputs["prefixListId"] for rule in admitted}) == 2
    assert all(rule.inputs["fromPort"] == rule.inputs["toPort"] == 443 for rule in graph().of(INGRESS))
    assert all("cidrIpv4" not in rule.inputs for rule in graph().of(INGRESS))


def test_alb_is_in_both_groups() -> None:
    groups = {rule.inputs["securityGroupId"] for rule in graph().of(INGRESS) if "prefixListId" in rule.inputs}
    assert set(graph().only("aws:lb/loadBalancer:LoadBalancer").inputs["securityGroups"]) == groups


def test_alb_may_connect_to_the_api_endpoint_and_nowhere_else() -> None:
    egress = graph().only("aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule")
    assert egress.inputs["referencedSecurityGroupId"] == "sg-0123456789abcdef0"
    ingress = graph().named("load-balancer-eu-west-1-from-load-balancer")
    assert ingress.inputs["securityGroupId"] == "sg-0123456789abcdef0"
    assert ingress.inputs["referencedSecurityGroupId"] == egress.inputs["securityGroupId"]


def test_https_listener_speaks_tls_1_3_and_answers_404_by_default() -> None:
    https = listener(443)
    assert https.inputs["sslPolicy"].startswith("ELBSecurityPolicy-TLS13-1-2-Res-")
    action = https.inputs["defaultActions"][0]
    assert action["type"] == "fixed-response"
    assert action["fixedResponse"]["statusCode"] == "404"


def test_http_is_redirected() -> None:
    action = listener(80).inputs["defaultActions"][0]
    assert (action["type"], action["redirect"]["protocol"]) == ("redirect", "HTTPS")


def test_api_is_forwarded_only_with_the_secret_header() -> None:
    found = conditions("api")
    assert found["hostHeader"] == {"values": ["trade.example.com"]}
    assert found["pathPattern"] == {"values": ["/api/*"]}
    header = found["httpHeader"]
    assert header == {"httpHeaderName": ORIGIN_SECRET_HEADER, "values": [SECRET]}


def test_each_accepted_secret_has_a_rule_of_its_own() -> None:
    """One rule with two values could drop the old one before CloudFront sends the new one."""
    rules = {
        rule.name.removeprefix("load-balancer-eu-west-1-"): rule.inputs
        for rule in graph(secrets=(1, 2)).of("aws:lb/listenerRule:ListenerRule")
    }
    assert set(rules) == {"health", "api", "api-2"}
    assert len({rule["priority"] for rule in rules.values()}) == 3
    header = {"httpHeader": {"httpHeaderName": ORIGIN_SECRET_HEADER, "values": [SECRET]}}
    assert header in rules["api"]["conditions"]
    assert rules["api-2"]["conditions"] == rules["api"]["conditions"]


def web_acl_rules() -> dict[str, dict[str, Any]]:
    return {rule["name"]: rule for rule in graph().only("aws:wafv2/webAcl:WebAcl").inputs["rules"]}


def test_web_acl_stands_before_the_alb() -> None:
    web_acl = graph().only("aws:wafv2/webAcl:WebAcl")
    assert web_acl.inputs["scope"] == "REGIONAL"
    association = graph().only("aws:wafv2/webAclAssociation:WebAclAssociation")
    assert ":loadbalancer/app/" in association.inputs["resourceArn"]
    assert ":regional/webacl/" in association.inputs["webAclArn"]


def test_web_acl_judges_requests_and_not_the_addresses_of_cloudfront() -> None:
    assert [name for name in web_acl_rules() if name.startswith("AWS")] == [
        "AWSManagedRulesCommonRuleSet",
        "AWSManagedRulesKnownBadInputsRuleSet",
        "AWSManagedRulesSQLiRuleSet",
    ]
    assert all("rateBasedStatement" not in rule["statement"] for rule in web_acl_rules().values())


def test_web_acl_blocks_what_has_no_origin_header_and_is_no_health_check() -> None:
    rule = web_acl_rules()["no-origin-header"]
    assert rule["action"] == {"block": {}}
    header, health = rule["statement"]["notStatement"]["statement"]["orStatement"]["statements"]
    field = header["sizeConstraintStatement"]["fieldToMatch"]
    assert field == {"singleHeader": {"name": ORIGIN_SECRET_HEADER.lower()}}
    assert health["byteMatchStatement"]["positionalConstraint"] == "EXACTLY"
    assert health["byteMatchStatement"]["searchString"] == "/healthz"


def test_origin_secret_shows_in_no_log_and_no_sample() -> None:
    name = ORIGIN_SECRET_HEADER.lower()
    logging = graph().only("aws:wafv2/webAclLoggingConfiguration:WebAclLoggingConfiguration").inputs
    assert {"singleHeader": {"name": name}} in logging["redactedFields"]
    protected = graph().only("aws:wafv2/webAcl:WebAcl").inputs["dataProtectionConfig"]["dataProtections"]
    assert name in protected[0]["field"]["fieldKeys"]


def test_web_acl_logs_to_an_encrypted_group() -> None:
    group = graph().only("aws:cloudwatch/logGroup:LogGroup").inputs
    assert group["name"].startswith("aws-waf-logs-")
    assert ":kms:" in group["kmsKeyId"]


def test_health_needs_no_secret_and_is_one_path_of_the_regions_own_name() -> None:
    assert conditions("health") == {
        "hostHeader": {"values": ["health-eu-west-1.origin.trade.example.com"]},
        "pathPattern": {"values": ["/healthz"]},
    }


def test_every_pinned_address_is_a_target() -> None:
    attachments = graph().of("aws:lb/targetGroupAttachment:TargetGroupAttachment")
    assert [a.inputs["targetId"] for a in attachments] == ADDRESSES
    target_group = graph().only("aws:lb/targetGroup:TargetGroup").inputs
    assert (target_group["targetType"], target_group["protocol"]) == ("ip", "HTTPS")
    assert target_group["healthCheck"]["matcher"] == "200,403"


def test_alb_is_hardened_and_logged() -> None:
    alb = graph().only("aws:lb/loadBalancer:LoadBalancer")
    assert alb.inputs["dropInvalidHeaderFields"] is True
    assert alb.inputs["desyncMitigationMode"] == "strictest"
    for logs in ("accessLogs", "connectionLogs"):
        assert alb.inputs[logs] == {"bucket": "logs-1234567", "prefix": "alb", "enabled": True}


def test_protection_follows_the_setting() -> None:
    for protect in (True, False):
        alb = graph(protect=protect).only("aws:lb/loadBalancer:LoadBalancer")
        assert (alb.protect, alb.inputs["enableDeletionProtection"]) == (protect, protect)


def test_names_leave_room_for_the_automatic_suffix() -> None:
    """AWS allows 32 characters; the provider appends eight."""
    for token in ("aws:lb/loadBalancer:LoadBalancer", "aws:lb/targetGroup:TargetGroup"):
        assert len(graph().only(token).name) <= 24
