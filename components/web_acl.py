"""The rules of a web ACL (AWS WAF)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pulumi_aws as aws

MANAGED_RULE_GROUPS: Mapping[str, Sequence[str]] = {
    "AWSManagedRulesAmazonIpReputationList": [],
    # Many traders' programs run in data centres.
    "AWSManagedRulesAnonymousIpList": ["HostingProviderIPList"],
    # Batches of orders exceed the rule's 8 KB.
    "AWSManagedRulesCommonRuleSet": ["SizeRestrictions_BODY"],
    "AWSManagedRulesKnownBadInputsRuleSet": [],
    "AWSManagedRulesSQLiRuleSet": [],
}
"""AWS's rule groups in order, each with those of its rules that count instead of blocking.

Together they take 1,175 of the 1,500 capacity units that a web ACL has at its base price (AWS WAF
Developer Guide, "AWS Managed Rules rule groups list")."""


def web_acl_rules(rate_limit: int, blocked_countries: Sequence[str]) -> list[aws.wafv2.WebAclRuleArgsDict]:
    """Our own rules, then AWS's rule groups: what ours refuse needs no further evaluation.

    Args:
        rate_limit: requests per five minutes that one IP address may send.
        blocked_countries: ISO 3166-1 alpha-2 codes; may be empty.
    """
    own: dict[str, aws.wafv2.WebAclRuleStatementArgsDict] = {
        "rate-limit": {
            "rate_based_statement": {
                "limit": rate_limit,
                "aggregate_key_type": "IP",
                "evaluation_window_sec": 300,
            }
        }
    }
    if blocked_countries:
        own["blocked-countries"] = {"geo_match_statement": {"country_codes": blocked_countries}}
    own_rules: list[aws.wafv2.WebAclRuleArgsDict] = [
        {
            "name": name,
            "priority": priority,
            "statement": statement,
            "action": {"block": {}},
            "visibility_config": visibility(name),
        }
        for priority, (name, statement) in enumerate(own.items())
    ]
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
        for priority, (group, counted) in enumerate(MANAGED_RULE_GROUPS.items(), start=10)
    ]
    return own_rules + managed_rules


def visibility(metric_name: str) -> aws.wafv2.WebAclVisibilityConfigArgsDict:
    """Metrics and samples of a rule or a whole web ACL."""
    return {
        "metric_name": metric_name,
        "cloudwatch_metrics_enabled": True,
        "sampled_requests_enabled": True,
    }
