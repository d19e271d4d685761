"""Everything that writes logs has an encrypted log group of ours, with a retention, before its first line.

If a service doesn't find its log group, it creates one without our key and with unlimited retention. Only one
group is left to AWS: `RDSOSMetrics`, which contains the operating system metrics of all databases of an
account and region (RDS User Guide, "Enhanced Monitoring"). All stacks share it, so no stack can own it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from components.api.api import access_log
from components.common.signals import FOLLOW_ONE_REQUEST
from components.web.web import ACCESS_LOG_FIELDS
from tests.unit.harness import ROOT, STACKS, Graph, Registered, platform, stack_values

LOG_GROUP = "aws:cloudwatch/logGroup:LogGroup"
CANARY = "aws:synthetics/canary:Canary"


def _of_arn(arn: str) -> str:
    return arn.split(":log-group:")[1].removesuffix(":*")


def _stage(r: Registered) -> list[str]:
    execution = f"API-Gateway-Execution-Logs_{r.inputs['restApi']}/{r.inputs['stageName']}"
    return [_of_arn(r.inputs["accessLogSettings"]["destinationArn"]), execution]


def _addon(r: Registered) -> list[str]:
    if r.inputs["addonName"] != "amazon-cloudwatch-observability":
        return []
    # "Send logs to CloudWatch Logs" and "Container Insights" (CloudWatch user guide).
    kinds = ("application", "dataplane", "host", "performance")
    return [f"/aws/containerinsights/{r.inputs['clusterName']}/{kind}" for kind in kinds]


WRITERS: dict[str, Callable[[Registered], Sequence[str]]] = {
    "aws:amp/scraperLoggingConfiguration:ScraperLoggingConfiguration": lambda r: [
        _of_arn(r.inputs["loggingDestination"]["cloudwatchLogs"]["logGroupArn"])
    ],
    "aws:amp/workspace:Workspace": lambda r: [
        _of_arn(configuration["logGroupArn"])
        # A workspace logs only failures of its rules. The brokers' workspace has no rules.
        for configuration in [r.inputs.get("loggingConfiguration")]
        if configuration
    ],
    "aws:apigateway/stage:Stage": _stage,
    "aws:cloudwatch/logDeliveryDestination:LogDeliveryDestination": lambda r: [
        _of_arn(r.inputs["deliveryDestinationConfiguration"]["destinationResourceArn"])
    ],
    "aws:ec2/flowLog:FlowLog": lambda r: [_of_arn(r.inputs["logDestination"])],
    "aws:eks/addon:Addon": _addon,
    "aws:elasticache/replicationGroup:ReplicationGroup": lambda r: [
        delivery["destination"] for delivery in r.inputs["logDeliveryConfigurations"]
    ],
    "aws:lambda/function:Function": lambda r: [r.inputs["loggingConfig"]["logGroup"]],
    "aws:msk/cluster:Cluster": lambda r: [
        r.inputs["loggingInfo"]["brokerLogs"]["cloudwatchLogs"]["logGroup"]
    ],
    "aws:rds/cluster:Cluster": lambda r: [
        f"/aws/rds/cluster/{r.inputs['clusterIdentifier']}/{kind}"
        for kind in r.inputs["enabledCloudwatchLogsExports"]
    ],
    "aws:route53/queryLog:QueryLog": lambda r: [_of_arn(r.inputs["cloudwatchLogGroupArn"])],
    "aws:wafv2/webAclLoggingConfiguration:WebAclLoggingConfiguration": lambda r: [
        _of_arn(arn) for arn in r.inputs["logDestinationConfigs"]
    ],
    "eks:index:Cluster": lambda r: [f"/aws/eks/{r.inputs['name']}/cluster"],
    # Here the group is created after the canary, because the name of the canary's function is not known
    # before. The canary's role is not allowed to create a group.
    CANARY: lambda r: [f"/aws/lambda/{r.outputs['engineArn'].split(':')[6]}"],
}
"""Type → the names of the log groups that a resource of it writes to."""

LOGGED_BY = {
    "aws:amp/scraper:Scraper": (
        "aws:amp/scraperLoggingConfiguration:ScraperLoggingConfiguration",
        "scraperId",
    ),
    "aws:cloudfront/distribution:Distribution": (
        "aws:cloudwatch/logDeliverySource:LogDeliverySource",
        "resourceArn",
    ),
    "aws:ec2/vpc:Vpc": ("aws:ec2/flowLog:FlowLog", "vpcId"),
    "aws:wafv2/webAcl:WebAcl": (
        "aws:wafv2/webAclLoggingConfiguration:WebAclLoggingConfiguration",
        "resourceArn",
    ),
}
"""Type that logs only if another resource turns its logs on → type of that resource, and the property that
names the logged resource."""

every_stack = pytest.mark.parametrize("stack", STACKS)


def regions(stack: str) -> list[str]:
    return [region["name"] for region in stack_values(stack)["trading:regions"]]


def groups(graph: Graph) -> list[Registered]:
    return graph.of(LOG_GROUP)


def writers(graph: Graph) -> list[tuple[Registered, str]]:
    """Each writer, with the name of a group to which it writes."""
    return [(r, name) for token, names in WRITERS.items() for r in graph.of(token) for name in names(r)]


def waits_for(graph: Graph, writer: Registered, group: Registered) -> bool:
    alone = [r.name for r in graph.resources].count(group.name) == 1
    return group.urn in writer.refers_to or (alone and group.name in writer.depends_on)


@every_stack
def test_log_groups_are_encrypted_with_our_key_and_forget(stack: str) -> None:
    graph = platform(stack)
    keys = {key.outputs["arn"] for key in graph.of("aws:kms/key:Key")}
    days = int(stack_values(stack)["trading:monitoring"].get("logRetentionDays", 365))
    assert groups(graph)
    for group in groups(graph):
        assert group.inputs.get("kmsKeyId") in keys, group.name
        assert group.inputs.get("retentionInDays") == days, group.name


@every_stack
def test_writers_find_their_log_group(stack: str) -> None:
    graph = platform(stack)
    named = {group.outputs["name"]: group for group in groups(graph)}
    found = writers(graph)
    assert {token for token in WRITERS if graph.of(token)} == {writer.type for writer, _ in found}
    for writer, name in found:
        assert name in named, f"{writer.name} writes to {name}, which it would make itself"
        if writer.type == CANARY:
            assert writer.urn in named[name].refers_to
        else:
            assert waits_for(graph, writer, named[name]), f"{writer.name} may come before {name}"


@every_stack
def test_no_log_group_is_left_that_nobody_writes_to(stack: str) -> None:
    graph = platform(stack)
    assert {group.outputs["name"] for group in groups(graph)} == {name for _, name in writers(graph)}


@every_stack
def test_nothing_that_can_log_is_silent(stack: str) -> None:
    graph = platform(stack)
    for token, (by, key) in LOGGED_BY.items():
        told = [str(r.inputs[key]) for r in graph.of(by)]
        for resource in graph.of(token):
            known: set[Any] = {resource.id, resource.outputs.get("arn")}
            assert known & set(told), f"nothing logs {resource.name}"


@every_stack
def test_control_plane_and_functions_keep_nothing_back(stack: str) -> None:
    graph = platform(stack)
    everything = {"api", "audit", "authenticator", "controllerManager", "scheduler"}
    for cluster in graph.of("eks:index:Cluster"):
        assert set(cluster.inputs["enabledClusterLogTypes"]) == everything
    for function in graph.of("aws:lambda/function:Function"):
        assert function.inputs["loggingConfig"]["logFormat"] == "JSON"


# Metric filters


FILTERS = {
    "api-{}-orders-throttled": ("api-{}-access", "api-orders-throttled"),
    "api-{}-order-intake-errors": ("api-{}-order-intake", "order-intake-error-lines"),
    "cluster-{}-application-errors": ("cluster-{}-pods-application-logs", "service-error-lines"),
    "database-{}-fatal": ("database-{}-postgresql", "database-fatal"),
    "database-{}-panic": ("database-{}-postgresql", "database-panic"),
}
"""Metric filter → its log group and its signal. `{}` is the region."""


@every_stack
def test_what_is_counted_in_logs_rings_and_two_stacks_of_an_account_do_not_add_up(stack: str) -> None:
    graph = platform(stack)
    filters = {f.name: f for f in graph.of("aws:cloudwatch/logMetricFilter:LogMetricFilter")}
    assert filters.keys() == {name.format(region) for region in regions(stack) for name in FILTERS}
    for region in regions(stack):
        for name, (group, signal) in FILTERS.items():
            found = filters[name.format(region)].inputs
            assert found["logGroupName"] == graph.named(group.format(region), LOG_GROUP).outputs["name"]
            counted = found["metricTransformation"]
            assert (counted["namespace"], counted["value"]) == ("Trading/Logs", "1")
            assert counted["name"].startswith(f"trading-{stack}-")
            alarm = graph.named(f"monitoring-{region}-{signal}").inputs
            assert (alarm["namespace"], alarm["metricName"]) == ("Trading/Logs", counted["name"])
            assert alarm["treatMissingData"] == "notBreaching"
            assert not alarm.get("dimensions")


def test_filters_match_the_lines_that_they_are_for() -> None:
    patterns = {
        f.name.rsplit("-", 1)[0]: f.inputs["pattern"]
        for f in platform("full").of("aws:cloudwatch/logMetricFilter:LogMetricFilter")
    }
    assert patterns["api-us-east-1-order-intake"] == '{ $.level = "ERROR" }'
    assert patterns["api-us-east-1-orders"] == '{ $.status = "429" && $.resource = "/api/orders" }'
    assert patterns["cluster-us-east-1-application"] == (
        '{ $.kubernetes.namespace_name = "trading" && $.log_processed.level = "ERROR" }'
    )


# Saved queries


def queries(graph: Graph) -> dict[tuple[str, str], dict[str, Any]]:
    found = [r.inputs for r in graph.of("aws:cloudwatch/queryDefinition:QueryDefinition")]
    return {(q["region"], q["name"]): q for q in found}


@every_stack
def test_usual_questions_are_saved_over_log_groups_that_exist(stack: str) -> None:
    graph = platform(stack)
    saved = queries(graph)
    questions = {
        *("blocked-by-waf", "failures-by-status-and-integration", "follow-one-request", "pod-errors"),
        *("slow-orders", "slow-statements"),
    }
    assert saved.keys() == {
        (region, f"trading-{stack}/{question}") for region in regions(stack) for question in questions
    }
    names = {group.outputs["name"] for group in groups(graph)}
    for query in saved.values():
        assert query["logGroupNames"]
        assert set(query["logGroupNames"]) <= names


def test_one_request_is_followed_from_the_edge_to_the_pods() -> None:
    graph = platform("full")
    followed = queries(graph)["us-east-1", "trading-full/follow-one-request"]
    assert followed["queryString"] == FOLLOW_ONE_REQUEST
    assert set(followed["logGroupNames"]) == {
        graph.named(name, LOG_GROUP).outputs["name"]
        for name in (
            "web-access-logs",
            "api-us-east-1-access",
            "api-us-east-1-order-intake",
            "cluster-us-east-1-pods-application-logs",
        )
    }


def test_queries_of_the_access_log_name_its_fields() -> None:
    fields = access_log("authorizer.principalId").keys()
    saved = queries(platform("full"))
    for question in ("slow-orders", "failures-by-status-and-integration"):
        text = saved["us-east-1", f"trading-full/{question}"]["queryString"]
        shown = re.search(r"(?:display @timestamp, |by )(.*)", text)
        assert shown
        assert set(shown[1].split(", ")) <= fields, question


# The id of a request


def test_access_log_function_and_services_call_the_request_the_same() -> None:
    access = access_log("authorizer.principalId")
    assert (access["request"], access["trace"]) == ("$context.requestId", "$context.xrayTraceId")
    function = (ROOT / "functions" / "order_intake" / "handler.py").read_text()
    # Lambda itself adds `requestId` to each line.
    assert '"requestId":' not in function
    assert '"request": request_id' in function
    assert '"X-Request-Id": log["request"]' in function
    assert {"trace", "edge"} <= set(re.findall(r'"(\w+)": _', function))
    shown = FOLLOW_ONE_REQUEST.split("display ")[1].split("\n")[0].split(", ")
    assert {"request", "trace", "edge"} <= set(shown)


@every_stack
def test_services_are_told_the_id_that_the_access_log_has(stack: str) -> None:
    private = [
        method["x-amazon-apigateway-integration"]
        for api in platform(stack).of("aws:apigateway/restApi:RestApi")
        for path in json.loads(api.inputs["body"])["paths"].values()
        for method in path.values()
        if method["x-amazon-apigateway-integration"]["type"] == "http_proxy"
    ]
    assert private
    for integration in private:
        parameters = integration["requestParameters"]
        assert parameters["integration.request.header.X-Request-Id"] == "context.requestId"


def test_edges_log_has_the_id_that_it_hands_on() -> None:
    # CloudFront adds X-Amz-Cf-Id to every request to an origin, and uses this name for it in its logs.
    assert "x-edge-request-id" in ACCESS_LOG_FIELDS


def test_gateway_and_function_take_part_in_the_trace() -> None:
    graph = platform("full")
    for stage in graph.of("aws:apigateway/stage:Stage"):
        assert stage.inputs["xrayTracingEnabled"] is True
    for function in graph.of("aws:lambda/function:Function"):
        assert function.inputs["tracingConfig"]["mode"] == "Active"


@pytest.mark.parametrize("field", ["request", "trace", "edge", "x-edge-request-id", "X-Request-Id"])
def test_procedure_names_the_fields(field: str) -> None:
    text = (ROOT / "docs" / "operations.md").read_text()
    assert f"`{field}`" in text.split("## Follow one request\n")[1].split("\n## ")[0]
