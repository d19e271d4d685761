"""Tier 3, the load balancer: the ALB that receives CloudFront's requests."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from components.common.component import Component
from components.common.context import RegionContext
from components.common.forged_requests import refused_statements
from components.common.names import limited_logical_name
from components.common.signals import RUNBOOKS, Signal
from components.common.web_acl import (
    REGIONAL_RULE_GROUPS,
    header_is_set,
    log_refused_requests,
    path_matches,
    web_acl,
)
from components.domain import numbered
from settings import (
    HEALTH_PATH,
    RULE_PRIORITIES,
    FixedResponseSettings,
    LoadBalancerSettings,
    RedirectSettings,
)
from settings.aws_limits import (
    BALANCER_NAME_LENGTH,
    CLIENT_KEEP_ALIVE_MIN,
    CLOUDFRONT_PREFIX_LIST,
    HEALTH_CHECKERS_SERVICE,
    SERVICE_NAME,
)

ORIGIN_SECRET_HEADER = "X-Origin-Secret"  # noqa: S105 - the name of the header, not its value
"""Header that proves that a request came through our distribution."""

LOG_PREFIX = "alb"
"""Prefix of the access and connection logs in the log bucket."""

PRIORITY_STEP = 1000
"""Factor by which a rule's priority in the settings is multiplied."""
LAST_STEP = RULE_PRIORITIES + 1
"""Step of the standard rule. The maximum priority is 50,000 (Elastic Load Balancing API, CreateRule)."""

SSL_POLICY = "ELBSecurityPolicy-TLS13-1-2-Res-PQ-2025-09"
"""TLS 1.3 with post-quantum key exchange, and TLS 1.2 with forward-secret AEAD ciphers for clients without
TLS 1.3. AWS recommends this policy (Security policies for your Application Load Balancer)."""

LEAST_FAILURES = 10
"""Minimum number of failed requests a minute for which the share of failures is evaluated. At night, a single
failure may be a large share of all requests."""


@dataclass(frozen=True, kw_only=True)
class LoadBalancerArgs:
    """Settings of the public load balancer."""

    context: RegionContext
    vpc_id: pulumi.Input[str]
    public_subnet_ids: Sequence[pulumi.Input[str]]
    certificate_arn: pulumi.Input[str]
    viewer_host: str
    """Host header of the requests that CloudFront forwards."""
    health_host: str
    """Host header of Route 53's health checks for this region."""
    origin_secrets: Mapping[int, pulumi.Input[str]]
    """Number → value of the header that is accepted. The numbers are plain, because each has its own rule."""
    api_endpoint_addresses: Sequence[str]
    """Pinned addresses of the API's endpoint, which are the targets. They are plain strings, because their
    number determines the number of resources."""
    api_endpoint_security_group_id: pulumi.Input[str]
    log_bucket: pulumi.Input[str]
    settings: LoadBalancerSettings


@dataclass(frozen=True, kw_only=True)
class TargetsAlarm:
    """The alarm that a region's health check monitors."""

    name: pulumi.Output[str]
    arn: pulumi.Output[str]
    compares: Mapping[str, pulumi.Input[str]]
    """The alarm's dimensions and threshold. Route 53 keeps a copy of the alarm, which is updated when these
    change."""


class LoadBalancer(Component):
    """An internet-facing ALB that accepts requests from CloudFront with the secret header, and Route 53's
    health checks."""

    arn: pulumi.Output[str]
    dns_name: pulumi.Output[str]
    zone_id: pulumi.Output[str]
    """Hosted zone of the load balancer's DNS name, for alias records."""
    security_group_id: pulumi.Output[str]
    """The security group that may connect to the API's endpoint."""
    targets_alarm: TargetsAlarm
    """The alarm that is raised while fewer than half of the targets are healthy."""
    origin_rules: list[pulumi.Resource]
    """The listener rules that accept an origin secret."""

    def __init__(self, name: str, args: LoadBalancerArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("trading:tier:LoadBalancer", name, opts)
        cloudfront = self._client_group(f"{name}-cloudfront", args, CLOUDFRONT_PREFIX_LIST, "CloudFront")
        # A separate security group, because CloudFront's prefix list counts as 55 of the 60 rules that a
        # group may have by default (CloudFront Developer Guide, "Use the CloudFront managed prefix list").
        checkers = self._client_group(
            f"{name}-health-checkers",
            args,
            SERVICE_NAME.format(region=args.context.region, service=HEALTH_CHECKERS_SERVICE),
            "Route 53 health checkers",
        )
        self.allow_connection(
            f"{name}-to-api",
            f"{name}-from-load-balancer",
            port=443,
            client=cloudfront.id,
            client_is="Public load balancer",
            server=args.api_endpoint_security_group_id,
            server_is="API endpoint",
        )

        load_balancer = aws.lb.LoadBalancer(
            limited_logical_name(name, BALANCER_NAME_LENGTH),
            load_balancer_type="application",
            internal=False,
            # CloudFront and the health checkers connect over IPv4. Viewers' IPv6 connections end at the edge.
            ip_address_type="ipv4",
            subnets=args.public_subnet_ids,
            security_groups=[cloudfront.id, checkers.id],
            drop_invalid_header_fields=True,
            # Its only clients are CloudFront and the health checkers, whose requests comply with RFC 7230. If
            # that is wrong, the alarm `alb-noncompliant-requests` reports it.
            desync_mitigation_mode="strictest",
            # The host selects the API's custom domain name, so it must be forwarded unchanged.
            preserve_host_header=True,
            # CloudFront adds the viewer's address, and the ALB appends CloudFront's.
            xff_header_processing_mode="append",
            enable_http2=True,
            enable_zonal_shift=True,
            idle_timeout=args.settings.idle_timeout_seconds,
            # CloudFront keeps busy connections and asks DNS only for new ones. By default, a connection would
            # lead to a region for an hour after writes have left it.
            client_keep_alive=CLIENT_KEEP_ALIVE_MIN,
            enable_deletion_protection=args.context.protect,
            access_logs={"bucket": args.log_bucket, "prefix": LOG_PREFIX, "enabled": True},
            connection_logs={"bucket": args.log_bucket, "prefix": LOG_PREFIX, "enabled": True},
            opts=self.child(protect=args.context.protect),
        )
        target_group = self._target_group(name, args)
        self.origin_rules = self._listeners(name, args, load_balancer, target_group)
        metric_name = f"{args.context.platform}-{name}"
        self._web_acl(name, args, load_balancer, metric_name)

        self.arn = load_balancer.arn
        self.dns_name = load_balancer.dns_name
        self.zone_id = load_balancer.zone_id
        self.security_group_id = cloudfront.id
        self.targets_alarm = self._targets_alarm(name, args, load_balancer, target_group)
        self._watch(load_balancer, target_group, acl={"WebACL": metric_name, "Region": args.context.region})
        self.register_outputs(
            {
                "arn": self.arn,
                "dnsName": self.dns_name,
                "zoneId": self.zone_id,
                "securityGroupId": self.security_group_id,
                "targetsAlarmName": self.targets_alarm.name,
                "targetsAlarmArn": self.targets_alarm.arn,
            }
        )

    def _client_group(
        self, name: str, args: LoadBalancerArgs, prefix_list: str, client: str
    ) -> aws.ec2.SecurityGroup:
        """A security group that allows HTTPS from the addresses in one of AWS's prefix lists.

        No security group allows port 80.
        """
        group = aws.ec2.SecurityGroup(
            name,
            vpc_id=args.vpc_id,
            description=f"HTTPS from {client} to the public load balancer",
            tags={"Name": name},
            opts=self.child(),
        )
        addresses = aws.ec2.get_managed_prefix_list_output(
            name=prefix_list, opts=pulumi.InvokeOptions(parent=self)
        )
        aws.vpc.SecurityGroupIngressRule(
            name,
            security_group_id=group.id,
            prefix_list_id=addresses.id,
            description=client,
            ip_protocol="tcp",
            from_port=443,
            to_port=443,
            opts=self.child(),
        )
        return group

    def _target_group(self, name: str, args: LoadBalancerArgs) -> aws.lb.TargetGroup:
        target_group = aws.lb.TargetGroup(
            limited_logical_name(f"{name}-api", BALANCER_NAME_LENGTH),
            vpc_id=args.vpc_id,
            target_type="ip",
            port=443,
            protocol="HTTPS",
            # The API's maximum response time (API Gateway's integration timeout is 29 s).
            deregistration_delay=30,
            health_check={
                "protocol": "HTTPS",
                "path": "/",
                # The host of this check is an address, which selects no API, so the endpoint answers with
                # 403. Route 53 checks whether the API works, with the host that selects it.
                "matcher": "200,403",
                "interval": 10,
                "timeout": 5,
                "healthy_threshold": 2,
                "unhealthy_threshold": 2,
            },
            opts=self.child(),
        )
        for index, address in enumerate(args.api_endpoint_addresses):
            aws.lb.TargetGroupAttachment(
                f"{name}-api-{index}",
                target_group_arn=target_group.arn,
                target_id=address,
                port=443,
                opts=self.child(),
            )
        return target_group

    def _targets_alarm(
        self,
        name: str,
        args: LoadBalancerArgs,
        load_balancer: aws.lb.LoadBalancer,
        target_group: aws.lb.TargetGroup,
    ) -> TargetsAlarm:
        """The alarm that is raised while fewer than half of the targets are healthy.

        Elastic Load Balancing considers a load balancer healthy as long as one target is. Unlike errors, the
        number of healthy targets doesn't depend on traffic. An alarm on errors would end in a region without
        traffic, so the region would get its traffic back and fail again.
        """
        targets = len(args.api_endpoint_addresses)
        needed = (targets + 1) // 2
        dimensions = {"LoadBalancer": load_balancer.arn_suffix, "TargetGroup": target_group.arn_suffix}
        alarm = aws.cloudwatch.MetricAlarm(
            f"{name}-targets",
            alarm_description=f"Fewer than {needed} of {targets} API addresses are healthy in "
            f"{args.context.region}. The region's Route 53 health check becomes unhealthy as well. "
            f"Runbook: {RUNBOOKS}#health-check",
            # Route 53 reads the metric itself, and supports only simple statistics at standard resolution
            # (Route 53 API Reference, AlarmIdentifier). The maximum is the largest number that any node
            # reports.
            namespace="AWS/ApplicationELB",
            metric_name="HealthyHostCount",
            dimensions=dimensions,
            statistic="Maximum",
            comparison_operator="LessThanThreshold",
            threshold=needed,
            period=60,
            evaluation_periods=2,
            treat_missing_data="missing",
            opts=self.child(),
        )
        return TargetsAlarm(name=alarm.name, arn=alarm.arn, compares={**dimensions, "threshold": str(needed)})

    def _listeners(
        self,
        name: str,
        args: LoadBalancerArgs,
        load_balancer: aws.lb.LoadBalancer,
        target_group: aws.lb.TargetGroup,
    ) -> list[pulumi.Resource]:
        """Creates the listeners and their rules, and returns the rules that accept an origin secret."""
        # CloudFront uses only HTTPS and no security group allows port 80. The redirect is a safeguard.
        aws.lb.Listener(
            f"{name}-http",
            load_balancer_arn=load_balancer.arn,
            port=80,
            protocol="HTTP",
            default_actions=[
                {
                    "type": "redirect",
                    "redirect": {"protocol": "HTTPS", "port": "443", "status_code": "HTTP_301"},
                }
            ],
            opts=self.child(),
        )
        https = aws.lb.Listener(
            f"{name}-https",
            load_balancer_arn=load_balancer.arn,
            port=443,
            protocol="HTTPS",
            certificate_arn=args.certificate_arn,
            ssl_policy=SSL_POLICY,
            routing_http_response_server_enabled=False,
            default_actions=[
                {
                    "type": "fixed-response",
                    "fixed_response": {
                        "content_type": "application/json",
                        "message_body": json.dumps({"message": "Not found"}),
                        "status_code": "404",
                    },
                }
            ],
            opts=self.child(),
        )
        forward: aws.lb.ListenerRuleActionArgsDict = {
            "type": "forward",
            "target_group_arn": target_group.arn,
        }
        self._answering_rules(name, args, https)
        aws.lb.ListenerRule(
            f"{name}-health",
            listener_arn=https.arn,
            priority=10,
            # Route 53 can't send a header. The path only returns the health status.
            conditions=[
                {"host_header": {"values": [args.health_host]}},
                {"path_pattern": {"values": [HEALTH_PATH]}},
            ],
            actions=[forward],
            opts=self.child(),
        )
        # One rule per secret instead of one rule with two values: the engine deletes resources last, so
        # whatever changes, the new rule exists before CloudFront uses its secret, and the old rule is deleted
        # afterwards. A step has room for all numbers that a secret may have, so no two rules use the same
        # priority.
        forwarding = [
            (f"{name}-rule-{rule.priority}", rule.priority, rule.hosts or [args.viewer_host], rule.paths)
            for rule in args.settings.rules
            if rule.forward
        ]
        return [
            aws.lb.ListenerRule(
                numbered(rule_name, number),
                listener_arn=https.arn,
                priority=step * PRIORITY_STEP + number,
                conditions=[
                    {"host_header": {"values": hosts}},
                    {"path_pattern": {"values": paths}},
                    # The prefix list covers every customer's distributions, but only ours sends the secret.
                    {"http_header": {"http_header_name": ORIGIN_SECRET_HEADER, "values": [secret]}},
                ],
                actions=[forward],
                opts=self.child(),
            )
            for number, secret in args.origin_secrets.items()
            for rule_name, step, hosts, paths in [
                *forwarding,
                (f"{name}-api", LAST_STEP, [args.viewer_host], ["/api/*"]),
            ]
        ]

    def _answering_rules(self, name: str, args: LoadBalancerArgs, https: aws.lb.Listener) -> None:
        """Creates the rules from the settings that the load balancer answers itself."""
        for rule in args.settings.rules:
            if rule.respond:
                action = _respond(rule.respond)
            elif rule.redirect:
                action = _redirect(rule.redirect)
            else:
                continue
            conditions: list[aws.lb.ListenerRuleConditionArgsDict] = [
                {"path_pattern": {"values": rule.paths}}
            ]
            if rule.hosts:
                conditions.append({"host_header": {"values": rule.hosts}})
            aws.lb.ListenerRule(
                f"{name}-rule-{rule.priority}",
                listener_arn=https.arn,
                priority=rule.priority * PRIORITY_STEP,
                conditions=conditions,
                actions=[action],
                opts=self.child(),
            )

    def _web_acl(
        self, name: str, args: LoadBalancerArgs, load_balancer: aws.lb.LoadBalancer, metric_name: str
    ) -> None:
        """Filters requests again after the edge, because requests from other distributions haven't passed our
        web ACL.

        It doesn't limit rates, because all requests come from CloudFront's addresses.
        """
        secret_header = ORIGIN_SECRET_HEADER.lower()
        # Checks only that the header exists; the listener's rules compare its value. The secret therefore
        # isn't part of the web ACL, and its rotation doesn't depend on the order of updates here.
        has_header = header_is_set(secret_header)
        bypass: aws.wafv2.WebAclRuleStatementArgsDict = {
            "not_statement": {
                "statement": {
                    "or_statement": {"statements": [has_header, path_matches("EXACTLY", HEALTH_PATH)]}
                }
            }
        }
        acl = web_acl(
            self,
            name,
            scope="REGIONAL",
            own={"no-origin-header": bypass, **refused_statements()},
            groups=REGIONAL_RULE_GROUPS,
            metric_name=metric_name,
            secret_headers=[secret_header],
        )
        aws.wafv2.WebAclAssociation(
            f"{name}-acl", resource_arn=load_balancer.arn, web_acl_arn=acl.arn, opts=self.child()
        )
        log_refused_requests(
            self,
            name,
            args.context,
            web_acl_arn=acl.arn,
            log_name=f"{args.context.platform}-{name}",
            policy_name=f"{args.context.platform}-{name}-log-delivery",
            secret_headers=[secret_header],
        )

    def _watch(
        self,
        load_balancer: aws.lb.LoadBalancer,
        target_group: aws.lb.TargetGroup,
        *,
        acl: Mapping[str, str],
    ) -> None:
        dimensions = {"LoadBalancer": load_balancer.arn_suffix}
        namespace = "AWS/ApplicationELB"
        requests = {"requests": ("RequestCount", "Sum")}
        self.report(
            Signal(
                name="alb-5xx",
                title="The public load balancer answers requests with its own 5xx errors",
                namespace=namespace,
                metric="HTTPCode_ELB_5XX_Count",
                dimensions=dimensions,
                statistic="Sum",
                # RequestCount includes only requests that had a target. If none had, it has no value.
                expression=f"IF(metric >= {LEAST_FAILURES}, metric / (metric + FILL(requests, 0)), 0)",
                others=requests,
                threshold=0.01,
                reason="The load balancer returns its own 5xx errors if no target is healthy or a target "
                "times out. Replacing a target causes a few of them, but not for one request in a hundred "
                "over three minutes.",
                severity="critical",
                customer_impact=True,
            ),
            Signal(
                name="alb-target-5xx",
                title="The API answers requests from the public load balancer with 5xx",
                namespace=namespace,
                metric="HTTPCode_Target_5XX_Count",
                dimensions=dimensions,
                statistic="Sum",
                expression=f"IF(metric >= {LEAST_FAILURES}, metric / requests, 0)",
                others=requests,
                threshold=0.01,
                reason="More than one request in a hundred fails. Isolated failures come from pods "
                "shutting down.",
                severity="critical",
            ),
            Signal(
                name="alb-latency",
                title="More than one in a hundred requests to the public load balancer take longer than a "
                "second",
                namespace=namespace,
                metric="TargetResponseTime",
                dimensions=dimensions,
                statistic="p99",
                threshold=1,
                reason="The threshold is in seconds. A warm order intake function answers in tens of "
                "milliseconds, so a second means that requests queue.",
                severity="warning",
                periods=5,
            ),
            Signal(
                name="alb-noncompliant-requests",
                title="The public load balancer refuses requests that don't comply with RFC 7230",
                namespace=namespace,
                metric="DesyncMitigationMode_NonCompliant_Request_Count",
                dimensions=dimensions,
                statistic="Sum",
                threshold=10,
                reason="The threshold is in requests per five minutes. CloudFront forwards only well-formed "
                "requests, so either something bypasses it, or the strictest mode refuses our own clients.",
                severity="warning",
                period_seconds=300,
                periods=2,
            ),
            Signal(
                name="alb-unhealthy-targets",
                title="An address of the API's endpoint is unhealthy",
                namespace=namespace,
                metric="UnHealthyHostCount",
                dimensions={**dimensions, "TargetGroup": target_group.arn_suffix},
                statistic="Maximum",
                threshold=0,
                reason="The endpoint has one address per Availability Zone, so losing one means losing the "
                "zone's share of the capacity.",
                severity="warning",
                periods=5,
            ),
            Signal(
                name="alb-blocked",
                runbook="web-blocked",
                title="The load balancer's web ACL blocks unusually many requests",
                namespace="AWS/WAFV2",
                metric="BlockedRequests",
                dimensions={**acl, "Rule": "ALL"},
                statistic="Sum",
                threshold=100,
                reason="The threshold is in requests per five minutes. The web ACL at the edge has already "
                "blocked the noise of scanners, so these requests either bypass our distribution or come "
                "from our own users.",
                severity="warning",
                period_seconds=300,
                periods=2,
            ),
        )


def _respond(response: FixedResponseSettings) -> aws.lb.ListenerRuleActionArgsDict:
    return {
        "type": "fixed-response",
        "fixed_response": {
            "content_type": "application/json",
            "message_body": json.dumps({"message": response.message}),
            "status_code": str(response.status),
        },
    }


def _redirect(redirect: RedirectSettings) -> aws.lb.ListenerRuleActionArgsDict:
    return {
        "type": "redirect",
        "redirect": {
            "protocol": "HTTPS",
            "port": "443",
            "host": redirect.host or "#{host}",
            "path": redirect.path or "/#{path}",
            "status_code": "HTTP_301" if redirect.permanent else "HTTP_302",
        },
    }
