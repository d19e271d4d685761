"""What the web ACLs (AWS WAF) of the distribution and of the load balancers have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pulumi
import pulumi_aws as aws

from components.common.component import Component
from settings import ORDERS_PATH

REGIONAL_RULE_GROUPS: Mapping[str, Sequence[str]] = {
    "AWSManagedRulesCommonRuleSet": ["SizeRestrictions_BODY"],
    "AWSManagedRulesKnownBadInputsRuleSet": [],
    "AWSManagedRulesSQLiRuleSet": [],
}
"""AWS's rule groups in order, each with those of its rules that count instead of blocking.

They take 1,100 of the 1,500 capacity units that a web ACL has at its base price (AWS WAF Developer Guide,
"AWS Managed Rules rule groups list"). Large bodies count only, because batches of orders exceed the
rule's 8 KB; `large-body` then blocks them everywhere else."""

EDGE_RULE_GROUPS: Mapping[str, Sequence[str]] = {
    "AWSManagedRulesAmazonIpReputationList": [],
    # Many traders' programs run in data centres.
    "AWSManagedRulesAnonymousIpList": ["HostingProviderIPList"],
    **REGIONAL_RULE_GROUPS,
}
"""At the edge also those that judge the client's address, which a load balancer does not see: its clients
are CloudFront's servers. They take 75 units more."""

LARGE_BODY_PRIORITY = 20
"""After every rule group: it reads a label that one of them sets."""


BLOCKED_REQUESTS = """\
filter action = "BLOCK"
| stats count(*) as n by terminatingRuleId, httpRequest.clientIp, httpRequest.country, httpRequest.uri
| sort n desc
| limit 100"""
"""Question of both web ACLs' logs."""


def web_acl_rules(
    own: Mapping[str, aws.wafv2.WebAclRuleStatementArgsDict], groups: Mapping[str, Sequence[str]]
) -> list[aws.wafv2.WebAclRuleArgsDict]:
    """A web ACL's own blocking rules, then AWS's groups: what ours refuse needs no further evaluation.

    Args:
        own: name → what the rule blocks.
        groups: as `EDGE_RULE_GROUPS`.
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
    # As API Gateway reads it: /api/orders/../accounts is no order.
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
    """Matches requests by their path; constraint and transformations are AWS's, such as `EXACTLY`."""
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


def visibility(metric_name: str) -> aws.wafv2.WebAclVisibilityConfigArgsDict:
    """Metrics and samples of a rule or a whole web ACL."""
    return {
        "metric_name": metric_name,
        "cloudwatch_metrics_enabled": True,
        "sampled_requests_enabled": True,
    }


def hidden_headers(*secret_headers: str) -> aws.wafv2.WebAclDataProtectionConfigArgsDict:
    """Keeps credentials, and the headers named, out of the web ACL's samples, logs and metrics."""
    return {
        "data_protections": [
            {
                "action": "SUBSTITUTION",
                "field": {"field_type": "SINGLE_HEADER", "field_keys": ["authorization", *secret_headers]},
            },
            {"action": "SUBSTITUTION", "field": {"field_type": "SINGLE_COOKIE"}},
        ]
    }


def log_refused_requests(
    component: Component,
    name: str,
    *,
    web_acl_arn: pulumi.Input[str],
    log_group_arn: pulumi.Input[str],
    secret_headers: Sequence[str] = (),
    may_deliver: Sequence[pulumi.Resource],
) -> None:
    """Logs the requests that a rule blocks or counts, without credentials; access logs have the others.

    Args:
        component: parent of the logging configuration.
        name: its logical name.
        web_acl_arn: the web ACL.
        log_group_arn: its name begins with `aws-waf-logs-`, or WAF refuses it.
        secret_headers: headers to hide beside `authorization` and `cookie`.
        may_deliver: what lets WAF write to the group, which no value shows.
    """
    aws.wafv2.WebAclLoggingConfiguration(
        name,
        resource_arn=web_acl_arn,
        log_destination_configs=[log_group_arn],
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
        opts=component.child(depends_on=[*may_deliver]),
    )


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
