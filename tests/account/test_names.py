"""Names that nobody else may have: each type of the graphs is asked about, or has a reason why not."""

from __future__ import annotations

import re
from typing import Any

import pytest
from botocore.stub import Stubber

from account import names
from report.planned import AUTO_NAME, UNKNOWN
from tests.account.cases import Case, ask, new_client
from tests.account.test_preflight import asked
from tests.policy.states import fixture_state

OURS = [{"Key": "platform", "Value": "trading-prod"}]
THEIRS = [{"Key": "platform", "Value": "trading-old"}]
ARN = "arn:aws:elasticache:us-east-1:123456789012:user:trading-prod-orders"

KEYS = re.compile(
    r"name|alias|aliases|domain|identifier|bucket|(alarm|canary|config|configuration|dashboard|domain|endpoint|"
    r"dbProxyEndpoint|function|policy|queue|replicationGroup|topic|user|userGroup|vault)(Name|Id)|"
    r"(cluster|globalCluster|dbProxy)Identifier|repositoryPrefix"
)
"""Inputs with the name of a resource itself."""
OTHERS = {
    ("aws:apigateway/basePathMapping:BasePathMapping", "domainName"),
    ("aws:ec2/eip:Eip", "domain"),
    ("aws:lambda/provisionedConcurrencyConfig:ProvisionedConcurrencyConfig", "functionName"),
    ("aws:lambda/alias:Alias", "functionName"),
    ("aws:rds/clusterInstance:ClusterInstance", "clusterIdentifier"),
    ("aws:rds/cluster:Cluster", "globalClusterIdentifier"),
}
"""Inputs that name another resource, or are no name."""


def chosen() -> set[str]:
    """The types of the fixture stacks that have a name of the program's choice."""
    return {
        item["type"]
        for stack in ("full", "small")
        for item in fixture_state(stack)
        if item["type"].startswith("aws:")
        for key, value in item.get("inputs", {}).items()
        if KEYS.fullmatch(key) and (item["type"], key) not in OTHERS
        if not (isinstance(value, str) and (AUTO_NAME.search(value) or UNKNOWN in value))
    }


def test_every_type_with_a_chosen_name_is_asked_about_or_has_a_reason() -> None:
    assert chosen() == {*names.ASKED, *names.NOT_ASKED}
    assert not {*names.ASKED} & {*names.NOT_ASKED}
    assert all(names.NOT_ASKED.values())


def test_checks_of_names_are_questions_of_the_preflight() -> None:
    assert {*names.ASKED.values()} <= {item.check.partition(" ")[0] for item in asked()}


def records(*found: Any) -> dict[str, Any]:
    return {"ResourceRecordSets": found, "IsTruncated": False, "MaxItems": "300"}


def alias(name: str, target: str) -> dict[str, Any]:
    address = {"HostedZoneId": "Z2FDTNDATAQYW2", "DNSName": target, "EvaluateTargetHealth": False}
    return {"Name": f"{name}.", "Type": "A", "AliasTarget": address}


def zone(*found: Any) -> Any:
    """A client of Route 53 for a hosted zone with some records."""
    client = new_client("route53")
    stub = Stubber(client)
    for _ in range(10):
        one = {"Id": "/hostedzone/Z1", "Name": "example.com.", "CallerReference": "1"}
        more = {"IsTruncated": False, "MaxItems": "100"}
        stub.add_response("list_hosted_zones_by_name", {"HostedZones": [one], **more})
        stub.add_response("list_resource_record_sets", records(*found))
    stub.activate()
    return client


def distributions(*hosts: str) -> dict[str, Any]:
    """A list with one distribution. The stub validates what a response has, and not what it lacks."""
    item = {
        "ARN": "arn:aws:cloudfront::123456789012:distribution/E1",
        "DomainName": "d1.cloudfront.net",
        "Aliases": {"Quantity": len(hosts), "Items": [*hosts]},
    }
    more = {"Marker": "", "MaxItems": 100, "IsTruncated": False, "Quantity": 1}
    return {"DistributionList": {**more, "Items": [{**REQUIRED, **item}]}}


REQUIRED: dict[str, Any] = {
    "Id": "E1",
    "Status": "Deployed",
    "LastModifiedTime": "2026-01-01",
    "Origins": {"Quantity": 1, "Items": [{"Id": "x", "DomainName": "x"}]},
    "DefaultCacheBehavior": {"TargetOriginId": "x", "ViewerProtocolPolicy": "https-only"},
    "CacheBehaviors": {"Quantity": 0},
    "CustomErrorResponses": {"Quantity": 0},
    "Comment": "",
    "PriceClass": "PriceClass_All",
    "Enabled": True,
    "ViewerCertificate": {},
    "Restrictions": {"GeoRestriction": {"RestrictionType": "none", "Quantity": 0}},
    "WebACLId": "",
    "HttpVersion": "http2",
    "IsIPV6Enabled": True,
    "Staging": False,
}
CHAT = "arn:aws:chatbot::123456789012:chat-configuration/slack-channel/trading-prod"
HOST = "trade.example.com"


def hosts(route53: Any) -> tuple[Any, ...]:
    found = [(HOST, "A"), (f"origin.{HOST}", "A")]
    return (route53, [HOST], found, "example.com", "trading-prod")


CASES = [
    Case(
        names.cache_users,
        "elasticache",
        (["trading-prod-orders"], ["trading-prod-cache"], "trading-prod"),
        ["describe_users", "list_tags_for_resource", "describe_user_groups", "list_tags_for_resource"],
        [{"Users": [{"ARN": ARN}]}, {"TagList": OURS}, {"UserGroups": [{"ARN": ARN}]}, {"TagList": OURS}],
        [{"Users": [{"ARN": ARN}]}, {"TagList": THEIRS}, {"UserGroups": [{"ARN": ARN}]}, {"TagList": []}],
        "trading-prod-cache exists, and belongs to nobody; trading-prod-orders exists, and belongs to "
        "trading-old",
        "choose another `environment`",
    ),
    Case(
        names.key_aliases,
        "kms",
        (["alias/trading-prod"], "trading-prod"),
        ["list_aliases", "list_resource_tags"],
        [
            {"Aliases": [{"AliasName": "alias/trading-prod", "TargetKeyId": "1"}]},
            {"Tags": [{"TagKey": "platform", "TagValue": "trading-prod"}]},
        ],
        [{"Aliases": [{"AliasName": "alias/trading-prod", "TargetKeyId": "1"}]}, {"Tags": []}],
        "alias/trading-prod exists, and belongs to nobody",
    ),
    Case(
        names.api_domains,
        "apigateway",
        ([HOST], "trading-prod"),
        ["get_domain_names"],
        [{"items": [{"domainName": HOST, "tags": {"platform": "trading-prod"}}]}],
        [{"items": [{"domainName": HOST}]}],
        f"{HOST} exists, and belongs to nobody",
    ),
    Case(
        names.global_database,
        "rds",
        ("trading-prod-database", "trading-prod"),
        ["describe_global_clusters"],
        ["GlobalClusterNotFoundFault"],
        [{"GlobalClusters": [{"TagList": THEIRS}]}],
        "belongs to trading-old",
    ),
    Case(
        names.canary,
        "synthetics",
        ("trading-prod-orders", "trading-prod"),
        ["get_canary"],
        ["ResourceNotFoundException"],
        [{"Canary": {"Tags": {"platform": "trading-old"}}}],
        "belongs to trading-old",
    ),
    Case(
        names.chat,
        "chatbot",
        ("trading-prod", "trading-prod"),
        ["describe_slack_channel_configurations"],
        [{"SlackChannelConfigurations": []}],
        [
            {
                "SlackChannelConfigurations": [
                    {
                        **dict.fromkeys(
                            (
                                "SlackTeamName",
                                "SlackTeamId",
                                "SlackChannelId",
                                "SlackChannelName",
                            ),
                            "x",
                        ),
                        "ChatConfigurationArn": CHAT,
                        "SnsTopicArns": [],
                        "IamRoleArn": "arn:aws:iam::123456789012:role/chat",
                        "ConfigurationName": "trading-prod",
                    }
                ]
            }
        ],
        "trading-prod exists, and belongs to nobody",
    ),
    Case(
        names.budget,
        "budgets",
        ("trading-prod", "123456789012", "trading-prod"),
        ["describe_budget", "list_tags_for_resource"],
        [
            {"Budget": {"BudgetName": "x", "TimeUnit": "MONTHLY", "BudgetType": "COST"}},
            {"ResourceTags": OURS},
        ],
        [{"Budget": {"BudgetName": "x", "TimeUnit": "MONTHLY", "BudgetType": "COST"}}, {"ResourceTags": []}],
        "trading-prod exists, and belongs to nobody",
    ),
    Case(
        names.host_names,
        "cloudfront",
        hosts(zone(alias(HOST, "d1.cloudfront.net."), alias(f"origin.{HOST}", "alb."))),
        ["list_distributions", "list_tags_for_resource"],
        [distributions(HOST), {"Tags": {"Items": OURS}}],
        [distributions(HOST), {"Tags": {"Items": THEIRS}}],
        f"{HOST} exists, and belongs to trading-old",
    ),
    Case(
        names.host_names,
        "cloudfront",
        hosts(zone(alias(HOST, "d2.cloudfront.net."))),
        ["list_distributions", "list_tags_for_resource"],
        [distributions(HOST), {"Tags": {"Items": OURS}}],
        [distributions("other.example.com")],
        f"{HOST} has the A record d2.cloudfront.net",
        "delete the records",
    ),
]
every_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.ask.__name__)


@every_case
def test_name_that_is_free_or_ours_passes(case: Case) -> None:
    if case is CASES[-1]:  # a record of the stack's own distribution's host leads elsewhere
        assert ask(case, case.passing).status == "fail"
        return
    assert ask(case, case.passing).status == "pass"


@every_case
def test_name_of_somebody_else_fails(case: Case) -> None:
    answer = ask(case, case.failing)
    assert answer.status == "fail"
    assert case.found in answer.found
    assert case.remedy in answer.remedy


@every_case
def test_each_refused_operation_is_unknown(case: Case) -> None:
    for number in range(len(case.failing)):
        answer = ask(case, [*case.failing[:number], "AccessDenied"])
        assert (answer.status, answer.found.startswith("not allowed to call ")) == ("unknown", True)


def test_absent_users_are_free() -> None:
    elasticache = new_client("elasticache")
    with Stubber(elasticache) as stub:
        stub.add_client_error("describe_users", "UserNotFound")
        stub.add_client_error("describe_user_groups", "UserGroupNotFound")
        assert names.cache_users(elasticache, *CASES[0].arguments).status == "pass"
