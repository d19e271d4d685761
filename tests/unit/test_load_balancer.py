"""Tier 3: who can reach the public load balancer, and which requests it forwards."""

from __future__ import annotations

import functools
import json
import re
from typing import Any

import pulumi
import pulumi_aws as aws
import pytest

from components.load_balancer import ORIGIN_SECRET_HEADER, LoadBalancer, LoadBalancerArgs
from settings import LoadBalancerSettings, Settings
from settings.aws_limits import RULE_VALUES
from tests.unit.harness import SECRET, Graph, Registered, context, deploy, deploy_platform
from tests.unit.harness import stack_values as harness_values
from tests.unit.test_settings import stack_values

ADDRESSES = ["10.0.96.8", "10.0.97.8", "10.0.98.8"]
INGRESS = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"


RULES: list[dict[str, Any]] = [
    {"priority": 30, "hosts": ["api.example.com", "old.example.com"], "forward": "api"},
    {"priority": 5, "paths": ["/api/public/*", "/api/status"], "forward": "api"},
    {"priority": 10, "paths": ["/api/admin/*"], "respond": {"status": 403, "message": 'No "admin" here'}},
    {
        "priority": 20,
        "hosts": ["old.example.com"],
        "paths": ["/api/v1/*"],
        "redirect": {"host": "trade.example.com", "path": "/api/v2/#{path}", "permanent": True},
    },
    {"priority": 40, "hosts": ["old.example.com"], "redirect": {"host": "trade.example.com"}},
]
"""Rules in the form of a stack file, in no particular order."""
MADE: list[LoadBalancer] = []


@functools.cache
def graph(*, protect: bool = True, secrets: tuple[int, ...] = (1,), with_rules: bool = False) -> Graph:
    def program() -> None:
        provider = aws.Provider("aws", region="eu-west-1")
        MADE[:] = [
            LoadBalancer(
                "load-balancer-eu-west-1",
                LoadBalancerArgs(
                    context=context(
                        platform="trading-test",
                        region="eu-west-1",
                        key_arn="arn:aws:kms:eu-west-1:123456789012:key/12345678-1234-1234-1234-123456789012",
                        log_retention_days=30,
                        protect=protect,
                    ),
                    vpc_id="vpc-0123456789abcdef0",
                    public_subnet_ids=["subnet-0123456789abcdef0", "subnet-0123456789abcdef1"],
                    certificate_arn="arn:aws:acm:eu-west-1:123456789012:certificate/12345678-1234-1234-1234-123456789012",
                    viewer_host="trade.example.com",
                    health_host="health-eu-west-1.origin.trade.example.com",
                    origin_secrets={number: pulumi.Output.secret(str(number) * 32) for number in secrets},
                    api_endpoint_addresses=ADDRESSES,
                    api_endpoint_security_group_id="sg-0123456789abcdef0",
                    log_bucket="logs-1234567",
                    settings=LoadBalancerSettings.model_validate({"rules": RULES} if with_rules else {}),
                ),
                pulumi.ResourceOptions(provider=provider),
            )
        ]

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
    """A single rule with both values could lose the old value before CloudFront sends the new one."""
    rules = {
        rule.name.removeprefix("load-balancer-eu-west-1-"): rule.inputs
        for rule in graph(secrets=(1, 2)).of("aws:lb/listenerRule:ListenerRule")
    }
    assert set(rules) == {"health", "api", "api-2"}
    assert len({rule["priority"] for rule in rules.values()}) == 3
    header = {"httpHeader": {"httpHeaderName": ORIGIN_SECRET_HEADER, "values": [SECRET]}}
    assert header in rules["api"]["conditions"]
    assert rules["api-2"]["conditions"] == rules["api"]["conditions"]


def rules(*secrets: int) -> dict[str, dict[str, Any]]:
    """Name → inputs of each rule, in the load balancer's order. The settings contain `RULES`."""
    found = graph(secrets=secrets, with_rules=True).of("aws:lb/listenerRule:ListenerRule")
    return {
        rule.name.removeprefix("load-balancer-eu-west-1-"): rule.inputs
        for rule in sorted(found, key=lambda rule: rule.inputs["priority"])
    }


def test_rules_of_the_settings_are_tried_in_their_order_after_health_and_before_the_standard_one() -> None:
    assert list(rules(1)) == ["health", "rule-5", "rule-10", "rule-20", "rule-30", "rule-40", "api"]


def test_every_rule_that_forwards_wants_a_host_and_the_secret_but_health() -> None:
    header = {"httpHeader": {"httpHeaderName": ORIGIN_SECRET_HEADER, "values": [SECRET]}}
    forwarding = {
        name: rule["conditions"]
        for name, rule in rules(1, 2).items()
        if rule["actions"][0]["type"] == "forward" and name != "health"
    }
    assert len(forwarding) == 6
    for conditions in forwarding.values():
        assert header in conditions
        assert any("hostHeader" in condition for condition in conditions)


def test_rule_without_hosts_forwards_the_viewers_host_only() -> None:
    assert {"hostHeader": {"values": ["trade.example.com"]}} in rules(1)["rule-5"]["conditions"]
    assert {"pathPattern": {"values": ["/api/public/*", "/api/status"]}} in rules(1)["rule-5"]["conditions"]


def test_additional_host_goes_to_the_api() -> None:
    target_group = graph(with_rules=True).only("aws:lb/targetGroup:TargetGroup").outputs["arn"]
    rule = rules(1)["rule-30"]
    assert {"hostHeader": {"values": ["api.example.com", "old.example.com"]}} in rule["conditions"]
    assert rule["actions"] == [{"type": "forward", "targetGroupArn": target_group}]


def test_each_secret_has_a_rule_of_each_that_forwards_and_no_two_share_a_priority() -> None:
    """This is true for any two numbers, because old and new rules exist together during an update."""
    for secrets in [(1, 2), (2, 1000), (999, 1000)]:
        found = rules(*secrets)
        assert len(found) == 1 + 3 + 2 * 3, "health, three that answer, and each secret's three"
        assert len({rule["priority"] for rule in found.values()}) == len(found)
        assert max(rule["priority"] for rule in found.values()) <= 50_000
    before, after = rules(1, 2), rules(2, 3)
    fresh = {rule["priority"] for name, rule in after.items() if name not in before}
    assert not fresh & {rule["priority"] for rule in before.values()}
    kept = before.keys() & after.keys()
    assert {name: before[name]["priority"] for name in kept} == {n: after[n]["priority"] for n in kept}


def test_path_is_refused_by_the_load_balancer_itself() -> None:
    rule = rules(1)["rule-10"]
    assert rule["conditions"] == [{"pathPattern": {"values": ["/api/admin/*"]}}]
    answer = rule["actions"][0]["fixedResponse"]
    assert (answer["statusCode"], answer["contentType"]) == ("403", "application/json")
    assert json.loads(answer["messageBody"]) == {"message": 'No "admin" here'}


def test_redirect_keeps_what_it_does_not_name() -> None:
    elsewhere, host = (rules(1)[name]["actions"][0]["redirect"] for name in ("rule-20", "rule-40"))
    assert elsewhere == {
        "protocol": "HTTPS",
        "port": "443",
        "host": "trade.example.com",
        "path": "/api/v2/#{path}",
        "statusCode": "HTTP_301",
    }
    assert (host["path"], host["statusCode"]) == ("/#{path}", "HTTP_302")


def test_most_rules_that_settings_accept_stay_within_the_load_balancers_hundred() -> None:
    """In the worst case, each rule forwards and two secrets are accepted during a rotation.

    The quota is documented in "Quotas for your Application Load Balancers".
    """
    values = stack_values("full") | {
        "loadBalancer": {
            "originSecrets": [1, 2],
            "rules": [{"priority": priority, "forward": "api"} for priority in range(1, 49)],
        }
    }
    settings = Settings.parse(values).load_balancer
    assert len(settings.origin_secrets) * (len(settings.rules) + 1) + 1 <= 100


def targets_alarm() -> Registered:
    return graph().only("aws:cloudwatch/metricAlarm:MetricAlarm")


def test_alarm_rings_when_fewer_than_half_of_the_targets_are_left() -> None:
    alarm = targets_alarm().inputs
    suffixes = {
        "LoadBalancer": graph().only("aws:lb/loadBalancer:LoadBalancer").outputs["arnSuffix"],
        "TargetGroup": graph().only("aws:lb/targetGroup:TargetGroup").outputs["arnSuffix"],
    }
    assert alarm["dimensions"] == suffixes
    assert (alarm["metricName"], alarm["comparisonOperator"]) == ("HealthyHostCount", "LessThanThreshold")
    assert alarm["threshold"] == 2, "of three"


def test_alarm_can_be_read_by_route_53() -> None:
    """Route 53 supports simple statistics at standard resolution (API Reference, AlarmIdentifier)."""
    alarm = targets_alarm().inputs
    assert alarm["statistic"] in ("Average", "Minimum", "Maximum", "Sum", "SampleCount")
    assert alarm["period"] >= 60
    assert not {"extendedStatistic", "metricQueries", "datapointsToAlarm"} & set(alarm)


def test_whoever_reads_the_alarm_learns_what_it_compares() -> None:
    graph.cache_clear()
    alarm, compares = targets_alarm().inputs, MADE[0].targets_alarm.compares
    assert set(compares) == {*alarm["dimensions"], "threshold"}
    assert compares["threshold"] == str(alarm["threshold"])


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


def test_web_acl_refuses_what_the_edge_removes_and_refuses() -> None:
    rules = web_acl_rules()
    assert [*rules][:3] == ["no-origin-header", "reserved-headers", "ambiguous-path"]
    headers = rules["reserved-headers"]["statement"]["orStatement"]["statements"]
    found = {h["sizeConstraintStatement"]["fieldToMatch"]["singleHeader"]["name"] for h in headers}
    assert found >= {"x-caller-subject", "x-request-id", "x-http-method-override", "x-apigw-api-id"}
    assert all(h["sizeConstraintStatement"]["comparisonOperator"] == "GT" for h in headers)
    path = rules["ambiguous-path"]["statement"]["regexMatchStatement"]
    assert path["fieldToMatch"] == {"uriPath": {}}
    # Not decoded, because what is encoded is the problem.
    assert [t["type"] for t in path["textTransformations"]] == ["LOWERCASE"]
    assert re.search(path["regexString"], "/api/accounts/%2e%2e/admin")


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
    """AWS allows 32 characters, and the provider appends eight."""
    for token in ("aws:lb/loadBalancer:LoadBalancer", "aws:lb/targetGroup:TargetGroup"):
        assert len(graph().only(token).name) <= 24


def test_host_of_a_rule_is_a_name_of_the_whole_platform() -> None:
    """A rule would never match if its host had no record to the load balancer or no certificate."""
    host = "api.example.com"
    values = harness_values("small")
    values["trading:loadBalancer"] = {"rules": [{"priority": 10, "hosts": [host], "forward": "api"}]}
    platform = deploy_platform("small", values)
    distribution = platform.only("aws:cloudfront/distribution:Distribution")
    assert host in distribution.inputs["aliases"]
    certificates = {c.outputs["arn"]: c for c in platform.of("aws:acm/certificate:Certificate")}
    listener = platform.named("alb-us-east-1-https", "aws:lb/listener:Listener")
    for arn in (
        distribution.inputs["viewerCertificate"]["acmCertificateArn"],
        listener.inputs["certificateArn"],
    ):
        assert host in certificates[arn].inputs["subjectAlternativeNames"]
    records = platform.of("aws:route53/record:Record")
    assert {r.inputs["type"] for r in records if r.inputs["name"] == host} == {"A", "AAAA", "CAA"}
    domains = platform.of("aws:apigateway/domainName:DomainName")
    assert host in [domain.inputs["domainName"] for domain in domains]


def test_sandbox_refuses_a_rule_of_more_values_than_aws_takes() -> None:
    def program() -> None:
        aws.lb.ListenerRule(
            "wide",
            listener_arn="arn:aws:elasticloadbalancing:us-east-1:123456789012:listener/app/alb/50dc6c495c0c9188/f2f7dc8efc522ab2",
            conditions=[{"path_pattern": {"values": [f"/{number}" for number in range(RULE_VALUES + 1)]}}],
            actions=[{"type": "fixed-response", "fixed_response": {"content_type": "text/plain"}}],
        )

    with pytest.raises(Exception, match="TooManyConditions: 6 values; a rule can have 5"):
        deploy(program, check_references=True)
