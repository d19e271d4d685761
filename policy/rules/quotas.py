"""Rules about AWS's quotas: a deployment that exceeds one fails halfway.

Settings check what they alone decide (`settings/quotas.py`). These rules check the rest, such as the sizes of
policies, and what later components add. AWS raises the quotas that `settings/aws_limits.py` calls default
quotas. For an account with a higher one, add an exception.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from policy.rule import Resource, Stack, is_map, listed, rule, stack_rule
from policy.rules.access import ATTACHMENT, KEY, KEY_POLICY, POLICY, ROLE, ROLE_POLICY
from policy.rules.api import DOMAIN_NAME, FUNCTION, REST_API, USER_POOL_CLIENT
from policy.rules.data import BROKERS, BUCKET_POLICY, CACHE, DB_CLUSTER, DB_PROXY, QUEUE_POLICY, TOPIC_POLICY
from policy.rules.edge import CERTIFICATE, DISTRIBUTION, LISTENER, LOAD_BALANCER, WEB_ACL
from policy.rules.kubernetes import CLUSTER
from policy.rules.network import ENDPOINT, INGRESS_RULE
from policy.rules.operations import COMPOSITE_ALARM, HEALTH_CHECK, METRIC_ALARM
from settings import aws_limits
from settings.tags import FEW_TAGS

EGRESS_RULE = "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule"
LISTENER_RULE = "aws:lb/listenerRule:ListenerRule"
LISTENER_CERTIFICATE = "aws:lb/listenerCertificate:ListenerCertificate"
TARGET = "aws:lb/targetGroupAttachment:TargetGroupAttachment"
NETWORK_ACL_RULE = "aws:ec2/networkAclRule:NetworkAclRule"
LOG_POLICY = "aws:cloudwatch/logResourcePolicy:LogResourcePolicy"
METRIC_FILTER = "aws:cloudwatch/logMetricFilter:LogMetricFilter"
DASHBOARD = "aws:cloudwatch/dashboard:Dashboard"
RESOURCE_SERVER = "aws:cognito/resourceServer:ResourceServer"
CACHE_USERS = "aws:elasticache/userGroup:UserGroup"
SECRET_POLICY = "aws:secretsmanager/secretPolicy:SecretPolicy"  # noqa: S105 (a type)
REPOSITORY_POLICY = "aws:ecr/repositoryPolicy:RepositoryPolicy"

_POLICIES: Mapping[str, tuple[str, int]] = {
    BUCKET_POLICY: ("policy", aws_limits.BUCKET_POLICY_BYTES),
    DOMAIN_NAME: ("policy", aws_limits.API_POLICY_BYTES),
    ENDPOINT: ("policy", aws_limits.ENDPOINT_POLICY_LENGTH),
    KEY: ("policy", aws_limits.KEY_POLICY_BYTES),
    KEY_POLICY: ("policy", aws_limits.KEY_POLICY_BYTES),
    LOG_POLICY: ("policyDocument", aws_limits.LOG_POLICY_LENGTH),
    POLICY: ("policy", aws_limits.MANAGED_POLICY_LENGTH),
    QUEUE_POLICY: ("policy", aws_limits.QUEUE_POLICY_BYTES),
    REPOSITORY_POLICY: ("policy", aws_limits.REPOSITORY_POLICY_LENGTH),
    REST_API: ("policy", aws_limits.API_POLICY_BYTES),
    ROLE: ("assumeRolePolicy", aws_limits.TRUST_POLICY_LENGTH),
    SECRET_POLICY: ("policy", aws_limits.SECRET_POLICY_LENGTH),
    TOPIC_POLICY: ("policy", aws_limits.TOPIC_POLICY_BYTES),
}
"""Type → the property that contains a policy document, and its largest size."""
_IAM = (POLICY, ROLE, ROLE_POLICY)

LISTS: Mapping[str, Sequence[tuple[str, int]]] = {
    BROKERS: [("brokerNodeGroupInfo.securityGroups", aws_limits.INTERFACE_SECURITY_GROUPS)],
    CACHE: [("securityGroupIds", aws_limits.INTERFACE_SECURITY_GROUPS)],
    CACHE_USERS: [("userIds", aws_limits.CACHE_USERS)],
    # The first name is a property of its own.
    CERTIFICATE: [("subjectAlternativeNames", aws_limits.CERTIFICATE_NAMES - 1)],
    CLUSTER: [("vpcConfig.publicAccessCidrs", aws_limits.PUBLIC_ACCESS_BLOCKS)],
    COMPOSITE_ALARM: [
        ("alarmActions", aws_limits.ALARM_ACTIONS),
        ("okActions", aws_limits.ALARM_ACTIONS),
    ],
    DB_CLUSTER: [("vpcSecurityGroupIds", aws_limits.INTERFACE_SECURITY_GROUPS)],
    DB_PROXY: [("vpcSecurityGroupIds", aws_limits.INTERFACE_SECURITY_GROUPS)],
    DISTRIBUTION: [
        ("aliases", aws_limits.DISTRIBUTION_NAMES),
        # The default behavior is a property of its own.
        ("orderedCacheBehaviors", aws_limits.CACHE_BEHAVIORS - 1),
        ("origins", aws_limits.DISTRIBUTION_ORIGINS),
    ],
    ENDPOINT: [("securityGroupIds", aws_limits.INTERFACE_SECURITY_GROUPS)],
    FUNCTION: [("vpcConfig.securityGroupIds", aws_limits.INTERFACE_SECURITY_GROUPS)],
    HEALTH_CHECK: [("childHealthchecks", aws_limits.CALCULATED_CHECKS)],
    LOAD_BALANCER: [("securityGroups", aws_limits.INTERFACE_SECURITY_GROUPS)],
    METRIC_ALARM: [
        ("alarmActions", aws_limits.ALARM_ACTIONS),
        ("okActions", aws_limits.ALARM_ACTIONS),
    ],
    RESOURCE_SERVER: [("scopes", aws_limits.SERVER_SCOPES)],
    USER_POOL_CLIENT: [("allowedOauthScopes", aws_limits.CLIENT_SCOPES)],
}
"""Type → properties that are lists, and their largest sizes."""

_TEXTS: Mapping[str, Sequence[tuple[str, int]]] = {
    COMPOSITE_ALARM: [
        ("alarmName", aws_limits.ALARM_NAME_LENGTH),
        ("alarmDescription", aws_limits.ALARM_DESCRIPTION_LENGTH),
        ("alarmRule", aws_limits.COMPOSITE_ALARM_RULE_LENGTH),
    ],
    METRIC_ALARM: [
        ("name", aws_limits.ALARM_NAME_LENGTH),
        ("alarmDescription", aws_limits.ALARM_DESCRIPTION_LENGTH),
    ],
}
"""Type → properties that are texts, and their most characters."""


class _Parts(NamedTuple):
    owner: str
    """Property of the part that names the resource that it belongs to."""
    most: int
    what: str
    """What the parts are called."""


_PARTS: Mapping[str, _Parts] = {
    ATTACHMENT: _Parts("role", aws_limits.MANAGED_POLICIES, "managed policies of the role"),
    LISTENER: _Parts("loadBalancerArn", aws_limits.BALANCER_LISTENERS, "listeners of the load balancer"),
    LISTENER_CERTIFICATE: _Parts(
        "listenerArn", aws_limits.BALANCER_CERTIFICATES, "certificates of the listener"
    ),
    LISTENER_RULE: _Parts("listenerArn", aws_limits.LISTENER_RULES, "rules of the listener"),
    METRIC_FILTER: _Parts("logGroupName", aws_limits.LOG_METRIC_FILTERS, "metric filters of the log group"),
    TARGET: _Parts("targetGroupArn", aws_limits.GROUP_TARGETS, "targets of the target group"),
}
"""Type → how many resources of it can belong to another resource."""


@rule("A policy document is within the size that AWS accepts", *_POLICIES)
def policy_fits(resource: Resource) -> Iterator[str]:
    key, most = _POLICIES[resource.type]
    size = _policy_size(resource, key)
    if size > most:
        yield f"{key} has {size:,} characters{_counted(resource)}, but AWS accepts {most:,}: shorten it"


@stack_rule("The inline policies of a role are within the size that IAM accepts", ROLE_POLICY)
def inline_policies_fit(policy: Resource, stack: Stack) -> Iterator[str]:
    policies = stack.siblings(policy, "role")
    if policies[0] is not policy:
        return  # reported once for each role
    size, most = sum(_policy_size(other, "policy") for other in policies), aws_limits.ROLE_POLICIES_LENGTH
    if size > most:
        yield (
            f"the inline policies of its role have {size:,} characters{_counted(policy)}, but IAM accepts "
            f"{most:,}: name fewer resources, or use patterns for them"
        )


@rule("A list is within the number of entries that AWS accepts", *LISTS)
def list_fits(resource: Resource) -> Iterator[str]:
    for path, most in LISTS[resource.type]:
        entries = listed(resource.get(path))
        if len(entries) > most:
            yield f"{path} has {len(entries)} entries, but AWS accepts {most}: remove some"


@rule("Names and other texts are within the length that AWS accepts", *_TEXTS)
def text_fits(resource: Resource) -> Iterator[str]:
    for path, most in _TEXTS[resource.type]:
        length = len(str(resource.get(path) or ""))
        if length > most:
            yield f"{path} has {length:,} characters, but AWS accepts {most:,}: shorten it"


@rule("A resource has no more tags than AWS accepts, including the provider's")
def tags_fit(resource: Resource) -> Iterator[str]:
    if not resource.type.startswith("aws:"):
        return
    tags = resource.get("tags")
    count = len({*resource.default_tags, *(tags if is_map(tags) else ())})
    most = FEW_TAGS.get(resource.type, aws_limits.RESOURCE_TAGS)
    if count > most:
        yield f"has {count} tags with the provider's defaultTags, but AWS accepts {most}: remove some"


@stack_rule("A resource has no more parts than AWS accepts", *_PARTS)
def parts_fit(part: Resource, stack: Stack) -> Iterator[str]:
    owner, most, what = _PARTS[part.type]
    yield from _too_many(part, stack.siblings(part, owner), most, what)


@stack_rule("A security group has no more rules than AWS accepts", INGRESS_RULE, EGRESS_RULE)
def security_group_has_room(entry: Resource, stack: Stack) -> Iterator[str]:
    entries = stack.siblings(entry, "securityGroupId")
    if entries[0] is not entry:
        return
    for version in (4, 6):
        count = sum(_weight(other, version) for other in entries)
        if count > aws_limits.SECURITY_GROUP_RULES:
            yield (
                f"its security group has IPv{version} rules that count as {count} in this direction, but AWS "
                f"accepts {aws_limits.SECURITY_GROUP_RULES}. A prefix list counts as "
                f"{aws_limits.CLOUDFRONT_PREFIX_LIST_WEIGHT}, the weight of AWS's largest one: divide the "
                "rules between two security groups"
            )


@stack_rule("A VPC has no more interface endpoints than AWS accepts", ENDPOINT)
def vpc_has_room_for_endpoints(endpoint: Resource, stack: Stack) -> Iterator[str]:
    if endpoint.get("vpcEndpointType") == "Interface":
        endpoints = [
            other
            for other in stack.siblings(endpoint, "vpcId")
            if other.get("vpcEndpointType") == "Interface"
        ]
        yield from _too_many(
            endpoint, endpoints, aws_limits.INTERFACE_ENDPOINTS, "interface endpoints of the VPC"
        )


@stack_rule("A network ACL has no more rules than AWS accepts", NETWORK_ACL_RULE)
def network_acl_has_room(entry: Resource, stack: Stack) -> Iterator[str]:
    entries = [
        other
        for other in stack.siblings(entry, "networkAclId")
        if (other.get("egress") or False) == (entry.get("egress") or False)
    ]
    # AWS's own last rule counts.
    yield from _too_many(entry, entries, aws_limits.NETWORK_ACL_RULES - 1, "rules of the network ACL")


@stack_rule("A region has no more resource policies for logs than AWS accepts", LOG_POLICY)
def region_has_room_for_log_policies(policy: Resource, stack: Stack) -> Iterator[str]:
    region = _region(policy)
    policies = [other for other in stack.resources if other.type == LOG_POLICY and _region(other) == region]
    yield from _too_many(policy, policies, aws_limits.LOG_POLICIES, f"resource policies for logs in {region}")


@rule("A composite alarm has no more alarms than CloudWatch accepts", COMPOSITE_ALARM)
def composite_alarm_fits(alarm: Resource) -> Iterator[str]:
    children = set(re.findall(r"""ALARM\(["']?([^"')]+)""", str(alarm.get("alarmRule") or "")))
    if len(children) > aws_limits.COMPOSITE_ALARM_CHILDREN:
        yield (
            f"alarmRule names {len(children)} alarms, but CloudWatch accepts "
            f"{aws_limits.COMPOSITE_ALARM_CHILDREN}: divide them between two composite alarms"
        )


@rule("An alarm's expression uses no more metrics than CloudWatch accepts", METRIC_ALARM)
def alarm_metrics_fit(alarm: Resource) -> Iterator[str]:
    metrics = sum(bool(query.get("metric")) for query in listed(alarm.get("metricQueries")))
    if metrics > aws_limits.ALARM_METRICS:
        yield f"metricQueries has {metrics} metrics, but CloudWatch accepts {aws_limits.ALARM_METRICS}"


@rule("A dashboard has no more widgets and metrics than CloudWatch accepts", DASHBOARD)
def dashboard_fits(dashboard: Resource) -> Iterator[str]:
    body = str(dashboard.get("dashboardBody") or "")
    widgets: list[Any] = json.loads(body).get("widgets", []) if body.startswith("{") else []
    if len(widgets) > aws_limits.DASHBOARD_WIDGETS:
        yield (
            f"dashboardBody has {len(widgets)} widgets, but CloudWatch accepts "
            f"{aws_limits.DASHBOARD_WIDGETS}: divide them between two dashboards"
        )
    # A line without a namespace is an expression.
    metrics = sum(
        isinstance(line[0], str) for widget in widgets for line in widget["properties"].get("metrics", ())
    )
    if metrics > aws_limits.DASHBOARD_METRICS:
        yield (
            f"dashboardBody has {metrics} metrics, but CloudWatch accepts "
            f"{aws_limits.DASHBOARD_METRICS}: divide them between two dashboards"
        )


@rule("A function's environment is within the size that Lambda accepts", FUNCTION)
def function_environment_fits(function: Resource) -> Iterator[str]:
    variables = function.get("environment.variables")
    if is_map(variables):
        size = len(json.dumps(dict(variables), ensure_ascii=False, separators=(",", ":")).encode())
        if size > aws_limits.FUNCTION_ENVIRONMENT_BYTES:
            largest = max(variables, key=lambda name: len(str(variables[name])))
            yield (
                f"environment.variables have {size:,} bytes, of which {largest} has the most, but Lambda "
                f"accepts {aws_limits.FUNCTION_ENVIRONMENT_BYTES:,}: shorten it"
            )


@rule("A web ACL is within the capacity that its base price includes", WEB_ACL)
def web_acl_fits(acl: Resource) -> Iterator[str]:
    units = 0
    for entry in listed(acl.get("rules")):
        group = entry["statement"].get("managedRuleGroupStatement")
        if is_map(group) and group.get("name") not in aws_limits.RULE_GROUP_UNITS:
            yield f"rule {entry.get('name')}: add its group's capacity to settings/aws_limits.py"
        units += statement_units(entry["statement"])
    if units > aws_limits.WEB_ACL_UNITS_INCLUDED:
        yield (
            f"rules use up to {units:,} capacity units, but the base price includes "
            f"{aws_limits.WEB_ACL_UNITS_INCLUDED:,} (WAF accepts {aws_limits.WEB_ACL_UNITS:,}): remove some"
        )


def statement_units(statement: Mapping[str, Any]) -> int:
    """The capacity units of a web ACL's statement at most.

    WAF counts equal transformations of the same part of a request only once, and some string matches less
    ("Using match rule statements in AWS WAF", AWS WAF Developer Guide).
    """
    units = 0
    for kind, what in statement.items():
        if not is_map(what):
            continue
        nested = [*listed(what.get("statements")), what.get("statement"), what.get("scopeDownStatement")]
        units += sum(statement_units(inner) for inner in nested if is_map(inner))
        units += _own_units(kind, what)
    return units


def _own_units(kind: str, what: Mapping[str, Any]) -> int:
    """The capacity units of a statement without those that it contains."""
    if kind == "managedRuleGroupStatement":
        return aws_limits.RULE_GROUP_UNITS.get(str(what.get("name")), 0)
    parts = what.get("fieldToMatch")
    base = aws_limits.STATEMENT_UNITS.get(kind, 0)
    if is_map(parts) and "jsonBody" in parts:
        base *= 2
    if is_map(parts) and "allQueryArguments" in parts:
        base += aws_limits.TRANSFORMATION_UNITS
    applied = [item for item in listed(what.get("textTransformations")) if item.get("type") != "NONE"]
    keys = len(listed(what.get("customKeys")))
    return base + len(applied) * aws_limits.TRANSFORMATION_UNITS + keys * aws_limits.AGGREGATION_KEY_UNITS


def _policy_size(resource: Resource, key: str) -> int:
    document = resource.get(key) or ""
    text = document if isinstance(document, str) else json.dumps(document, separators=(",", ":"))
    if resource.type in _IAM:
        return len(re.sub(r"\s", "", text))
    return len(text.encode())


def _counted(resource: Resource) -> str:
    return " without white space" if resource.type in _IAM else ""


def _too_many(part: Resource, parts: Sequence[Resource], most: int, what: str) -> Iterator[str]:
    """A problem of the first part if there are more than AWS accepts, so that it is reported only once."""
    if parts[0] is part and len(parts) > most:
        yield f"is one of {len(parts)} {what}, but AWS accepts {most}: remove some"


def _weight(entry: Resource, version: int) -> int:
    """As how many rules for an IP version a rule counts.

    A rule for a prefix list or a security group counts in both versions. Which list it is can't be seen.
    """
    if entry.get("prefixListId"):
        return aws_limits.CLOUDFRONT_PREFIX_LIST_WEIGHT
    return 0 if entry.get(f"cidrIpv{10 - version}") else 1


def _region(resource: Resource) -> str:
    return str(resource.get("region") or resource.provider.get("region"))
