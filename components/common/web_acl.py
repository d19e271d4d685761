"""What the AWS WAF web ACLs of the distribution and the load balancers have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import pulumi
import pulumi_aws as aws

from components.common.component import Component
from components.common.context import RegionContext
from components.common.logs import log_delivery_policy, log_group
from components.common.signals import LogQuery
from settings import ORDERS_PATH
from settings.aws_limits import WAF_LOGS_PREFIX

REGIONAL_RULE_GROUPS: Mapping[str, Sequence[str]] = {
    "AWSManagedRulesCommonRuleSet": ["SizeRestrictions_BODY"],
    "AWSManagedRulesKnownBadInputsRuleSet": [],
    "AWSManagedRulesSQLiRuleSet": [],
}
"""AWS managed rule groups in order, each with its rules that count requests instead of blocking them.

They use most of the capacity units that the base price of a web ACL includes, which the policy pack checks
(`web-acl-fits`). Requests with large bodies are only counted, because batches of orders
exceed the rule's limit of 8 KB. The rule `large-body` then blocks them on all other paths."""

EDGE_RULE_GROUPS: Mapping[str, Sequence[str]] = {
    "AWSManagedRulesAmazonIpReputationList": [],
    # Many traders' programs run in data centres.
    "AWSManagedRulesAnonymousIpList": ["HostingProviderIPList"],
    **REGIONAL_RULE_GROUPS,
}
"""At the edge, there are also rule groups that check the client's address. They would have no effect at a
load balancer, whose clients are CloudFront's servers."""

LARGE_BODY_PRIORITY = 20
"""The rule must come after all rule groups, because it reads a label that one of them sets."""


BLOCKED_REQUESTS = """\
filter action = "BLOCK"
| stats count(*) as n by terminatingRuleId, httpRequest.clientIp, httpRequest.country, httpRequest.uri
| sort n desc
| limit 100"""
"""Log query for both web ACLs."""


def web_acl_rules(
    own: Mapping[str, aws.wafv2.WebAclRuleStatementArgsDict], groups: Mapping[str, Sequence[str]]
) -> list[aws.wafv2.WebAclRuleArgsDict]:
    """A web ACL's own blocking rules, then AWS's rule groups, which only see requests that ours don't block.

    Args:
        own: name → statement that the rule blocks.
        groups: rule groups, in the form of `EDGE_RULE_GROUPS`.
    """
    own_rules = [_block(name, priority, statement) for priority, (name, statement) in enumerate(own.items())]
    managed_rules: list[aws.wafv2.WebAclRuleArgsDict] = [
        {
            "name": group,
            "priority": priority,
            "statement": {
                "managed_rule_group_statement": {
                    "vendor_name": "AWS",
                    "name": group,
                    "rule_action_overrides": [
                        {"name": rule, "action_to_use": {"count": {}}} for rule in counted
                    ],
                }
            },
            "override_action": {"none": {}},
            "visibility_config": visibility(group),
        }
        for priority, (group, counted) in enumerate(groups.items(), start=10)
    ]
    # Normalized as API Gateway does it: /api/orders/../accounts isn't an order.
    plain = ("URL_DECODE", "NORMALIZE_PATH")
    order_paths: aws.wafv2.WebAclRuleStatementArgsDict = {
        "or_statement": {
            "statements": [
                path_matches("EXACTLY", ORDERS_PATH, plain),
                path_matches("STARTS_WITH", f"{ORDERS_PATH}/", plain),
            ]
        }
    }
    large_body: aws.wafv2.WebAclRuleStatementArgsDict = {
        "and_statement": {
            "statements": [
                {
                    "label_match_statement": {
                        "scope": "LABEL",
                        "key": "awswaf:managed:aws:core-rule-set:SizeRestrictions_Body",
                    }
                },
                {"not_statement": {"statement": order_paths}},
            ]
        }
    }
    return [*own_rules, *managed_rules, _block("large-body", LARGE_BODY_PRIORITY, large_body)]


def path_matches(
    constraint: str, path: str, transformations: Sequence[str] = ("NONE",)
) -> aws.wafv2.WebAclRuleStatementArgsDict:
    """Matches requests by their path. The constraint, such as `EXACTLY`, and the transformations are
    AWS's."""
    return {
        "byte_match_statement": {
            "field_to_match": {"uri_path": {}},
            "positional_constraint": constraint,
            "search_string": path,
            "text_transformations": [
                {"priority": priority, "type": kind} for priority, kind in enumerate(transformations)
            ],
        }
    }


def header_is_set(name: str) -> aws.wafv2.WebAclRuleStatementArgsDict:
    """Matches requests that have a header with a value. The name is in lower case."""
    return {
        "size_constraint_statement": {
            "field_to_match": {"single_header": {"name": name}},
            "comparison_operator": "GT",
            "size": 0,
            "text_transformations": [{"priority": 0, "type": "NONE"}],
        }
    }


def visibility(metric_name: str) -> aws.wafv2.WebAclVisibilityConfigArgsDict:
    """Metrics and samples of a rule or a whole web ACL."""
    return {
        "metric_name": metric_name,
        "cloudwatch_metrics_enabled": True,
        "sampled_requests_enabled": True,
    }


def hidden_headers(*secret_headers: str) -> aws.wafv2.WebAclDataProtectionConfigArgsDict:
    """Keeps credentials and the given headers out of the web ACL's samples, logs and metrics."""
    return {
        "data_protections": [
            {
                "action": "SUBSTITUTION",
                "field": {"field_type": "SINGLE_HEADER", "field_keys": ["authorization", *secret_headers]},
            },
            {"action": "SUBSTITUTION", "field": {"field_type": "SINGLE_COOKIE"}},
        ]
    }


def web_acl(
    component: Component,
    name: str,
    *,
    scope: Literal["CLOUDFRONT", "REGIONAL"],
    own: Mapping[str, aws.wafv2.WebAclRuleStatementArgsDict],
    groups: Mapping[str, Sequence[str]],
    metric_name: str,
    secret_headers: Sequence[str] = (),
) -> aws.wafv2.WebAcl:
    """A web ACL that allows what no rule blocks.

    Args:
        component: its parent.
        name: prefix of its logical name.
        scope: whether it is for a distribution, or for a load balancer of its region.
        own: as for `web_acl_rules`.
        groups: as for `web_acl_rules`.
        metric_name: name of its metrics.
        secret_headers: headers to hide in addition to `authorization` and `cookie`.
    """
    return aws.wafv2.WebAcl(
        f"{name}-acl",
        scope=scope,
        default_action={"allow": {}},
        rules=web_acl_rules(own, groups),
        data_protection_config=hidden_headers(*secret_headers),
        visibility_config=visibility(metric_name),
        opts=component.child(),
    )


def log_refused_requests(
    component: Component,
    name: str,
    context: RegionContext,
    *,
    web_acl_arn: pulumi.Input[str],
    log_name: str,
    policy_name: str,
    also_delivered: Sequence[pulumi.Output[str]] = (),
    secret_headers: Sequence[str] = (),
    depends_on: list[pulumi.Resource] | None = None,
) -> aws.cloudwatch.LogResourcePolicy:
    """Logs the requests that a rule blocks or counts, without credentials. All others are in the access logs.

    Args:
        component: parent of the resources.
        name: prefix of their logical names.
        context: the context of the web ACL's region.
        web_acl_arn: the web ACL.
        log_name: name of the log group, after the prefix that WAF requires.
        policy_name: name of the policy that lets AWS deliver logs.
        also_delivered: other log groups that the policy includes.
        secret_headers: headers to hide in addition to `authorization` and `cookie`.
        depends_on: resources that must exist before the log group.

    Returns:
        The policy. A delivery to `also_delivered` needs it, although none of its values is an input there.
    """
    logs = log_group(
        component,
        f"{name}-acl-logs",
        context,
        name=f"{WAF_LOGS_PREFIX}{log_name}",
        depends_on=depends_on,
    )
    component.report(LogQuery(name="blocked-by-waf", query=BLOCKED_REQUESTS, log_groups=(logs.name,)))
    policy = aws.cloudwatch.LogResourcePolicy(
        f"{name}-log-delivery",
        policy_name=policy_name,
        policy_document=log_delivery_policy(component, [*also_delivered, logs.arn], region=context.region),
        opts=component.child(),
    )
    aws.wafv2.WebAclLoggingConfiguration(
        f"{name}-acl",
        resource_arn=web_acl_arn,
        log_destination_configs=[logs.arn],
        redacted_fields=[
            {"single_header": {"name": header}} for header in ("authorization", "cookie", *secret_headers)
        ],
        logging_filter={
            "default_behavior": "DROP",
            "filters": [
                {
                    "behavior": "KEEP",
                    "requirement": "MEETS_ANY",
                    "conditions": [
                        {"action_condition": {"action": "BLOCK"}},
                        {"action_condition": {"action": "COUNT"}},
                    ],
                }
            ],
        },
        # WAF needs the policy, which isn't an input.
        opts=component.child(depends_on=[policy]),
    )
    return policy


def _block(
    name: str, priority: int, statement: aws.wafv2.WebAclRuleStatementArgsDict
) -> aws.wafv2.WebAclRuleArgsDict:
    return {
        "name": name,
        "priority": priority,
        "statement": statement,
        "action": {"block": {}},
        "visibility_config": visibility(name),
    }
