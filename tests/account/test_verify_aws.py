"""Each check of a deployed stack that asks AWS, with answers that pass and fail, and refused."""

from __future__ import annotations

import dataclasses
import datetime
import inspect
from typing import Any

import pytest

from account import dns
from account.verify import data, edge, messages, metrics, prometheus
from account.verify.metrics import Metric
from tests.account.cases import Case, Json, ask
from tests.account.test_verify_edge import CHECKS as OF_THE_EDGE
from tests.account.test_verify_prometheus import CASES as OF_PROMETHEUS

NOW = datetime.datetime.now(datetime.UTC)
LONG_AGO = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
TOPIC = "arn:aws:sns:us-east-1:123456789012:alarms-critical"
TABLE = "arn:aws:dynamodb:us-east-1:123456789012:table/orders"


def days(count: int) -> datetime.datetime:
    return NOW + datetime.timedelta(days=count)


def alarm(metric: str, missing: str = "notBreaching", **dimensions: str) -> Json:
    return {
        "namespace": "AWS/Test",
        "metricName": metric,
        "dimensions": dimensions,
        "threshold": 5.0,
        "treatMissingData": missing,
    }


def listed(*dimensions: Json) -> Json:
    return {
        "Metrics": [{"Dimensions": [{"Name": k, "Value": v} for k, v in each.items()]} for each in dimensions]
    }


NO_VALUES: Json = {"Datapoints": []}


def rule(*conditions: Json, kind: str = "forward") -> Json:
    return {"Priority": "10", "Conditions": list(conditions), "Actions": [{"Type": kind}]}


def header(name: str, value: str = "x") -> Json:
    return {"Field": "http-header", "HttpHeaderConfig": {"HttpHeaderName": name, "Values": [value]}}


def host(*names: str) -> Json:
    return {"Field": "host-header", "HostHeaderConfig": {"Values": list(names)}}


def path(*patterns: str) -> Json:
    return {"Field": "path-pattern", "PathPatternConfig": {"Values": list(patterns)}}


def observed(*statuses: str) -> Json:
    return {
        "HealthCheckObservations": [
            {"StatusReport": {"Status": status, "CheckedTime": NOW}} for status in statuses
        ]
    }


def certificate(**more: Any) -> Json:
    usual = {"DomainName": "trade.example.com", "Status": "ISSUED", "InUseBy": ["x"], "NotAfter": days(200)}
    return {"Certificate": {**usual, **more}}


def record_sets(*names: str) -> Json:
    sets = [{"Name": f"{name}.", "Type": "A"} for name in names]
    return {"ResourceRecordSets": sets, "IsTruncated": False, "MaxItems": "300"}


def signing(status: str, tag: int) -> Json:
    return {
        "Status": {"ServeSignature": status},
        "KeySigningKeys": [{"Name": "key", "KeyTag": tag, "Status": "ACTIVE"}],
    }


def history(*summaries: str) -> Json:
    return {"AlarmHistoryItems": [{"AlarmName": "a", "HistorySummary": text} for text in summaries]}


def instance(name: str, zone: str, status: str = "available") -> Json:
    return {"DBInstanceIdentifier": name, "DBInstanceStatus": status, "AvailabilityZone": zone}


def target(state: str, **more: str) -> Json:
    return {
        "Targets": [
            {"Type": "TRACKED_CLUSTER"},
            {"Type": "RDS_INSTANCE", "RdsResourceId": "db-1", "TargetHealth": {"State": state, **more}},
        ]
    }


def member(region: str, status: str = "connected") -> Json:
    return {
        "DBClusterArn": f"arn:aws:rds:{region}:123456789012:cluster:database",
        "SynchronizationStatus": status,
    }


def cache(*zones: str, **more: Any) -> Json:
    members = [{"PreferredAvailabilityZone": zone} for zone in zones]
    usual = {"Status": "available", "AutomaticFailover": "enabled", "MultiAZ": "enabled"}
    shards = [{"NodeGroupId": "0001", "NodeGroupMembers": members}]
    return {"ReplicationGroups": [{**usual, "NodeGroups": shards, **more}]}


def secret(**more: Any) -> Json:
    return {"Name": "master", "RotationEnabled": True, **more}


def status(code: str, **more: str) -> Json:
    return {"statusCode": code, **more}


def namespace(code: str, **more: str) -> Json:
    when = {"createdAt": NOW, "modifiedAt": NOW}
    return {
        "ruleGroupsNamespace": {
            "arn": "arn:aws:aps:us-east-1:1:x",
            "name": "alerts",
            "status": status(code, **more),
            "data": b"",
            **when,
        }
    }


def manager(code: str) -> Json:
    return {
        "alertManagerDefinition": {"status": status(code), "data": b"", "createdAt": NOW, "modifiedAt": NOW}
    }


def scraper(code: str, **more: str) -> Json:
    return {
        "scraper": {
            "alias": "pods",
            "scraperId": "s-1",
            "arn": "arn:aws:aps:us-east-1:1:scraper/s-1",
            "roleArn": "arn:aws:iam::1:role/x",
            "status": {"statusCode": code},
            "createdAt": NOW,
            "lastModifiedAt": NOW,
            "scrapeConfiguration": {"configurationBlob": b""},
            "source": {"vpcConfiguration": {"subnetIds": ["subnet-1"], "securityGroupIds": ["sg-1"]}},
            "destination": {"ampConfiguration": {"workspaceArn": "arn:aws:aps:us-east-1:1:workspace/x"}},
            **more,
        }
    }


CASES = [
    Case(
        edge.origin_secret,
        "elbv2",
        ("arn:aws:elasticloadbalancing:x", "X-Origin-Secret", "health-us-east-1.origin.example.com"),
        ["describe_rules"],
        [
            {
                "Rules": [
                    rule(header("x-origin-secret"), host("example.com")),
                    rule(host("health-us-east-1.origin.example.com"), path("/healthz")),
                    rule(kind="fixed-response"),
                ]
            }
        ],
        [{"Rules": [rule(host("example.com"))]}],
        "the rule with priority 10 forwards without X-Origin-Secret",
        "pulumi up --refresh",
    ),
    Case(
        edge.health_check,
        "route53",
        ("1234", "health-us-east-1.origin.example.com"),
        ["get_health_check_status"],
        [observed("Success: HTTP Status Code 200, OK", "Success: HTTP Status Code 200, OK")],
        [observed("Success: HTTP Status Code 200, OK", "Failure: HTTP Status Code 403, Forbidden.")],
        "1 of 2 checkers: Failure: HTTP Status Code 403",
        "private custom domain",
    ),
    Case(
        edge.issued,
        "acm",
        (["arn:aws:acm:us-east-1:1:certificate/1", "arn:aws:acm:us-east-1:1:certificate/2"],),
        ["describe_certificate", "describe_certificate"],
        [certificate(), certificate()],
        [certificate(InUseBy=[]), certificate(NotAfter=days(10))],
        "nothing uses the certificate of trade.example.com; the certificate of trade.example.com expires on",
        "certificate-expiry",
    ),
    Case(
        edge.records,
        "route53",
        ("Z1", [("trade.example.com", "A"), ("origin.trade.example.com", "A")]),
        ["list_resource_record_sets"],
        [record_sets("trade.example.com", "origin.trade.example.com")],
        [record_sets("trade.example.com")],
        "origin.trade.example.com has no record of type A",
        "pulumi up --refresh",
    ),
    Case(
        edge.dnssec,
        "route53",
        ("Z1", "example.com"),
        ["get_dnssec"],
        [signing("SIGNING", 7)],
        [signing("SIGNING", 8)],
        "the parent of example.com has the keys 7, and the zone is signed with 8",
        "dsRecord",
    ),
    Case(
        edge.dnssec,
        "route53",
        ("Z1", "example.com"),
        ["get_dnssec"],
        [signing("SIGNING", 7)],
        [signing("NOT_SIGNING", 7)],
        "the zone example.com is NOT_SIGNING",
    ),
    Case(
        edge.vpc_link,
        "apigatewayv2",
        ("abc",),
        ["get_vpc_link"],
        [{"VpcLinkStatus": "AVAILABLE"}],
        [{"VpcLinkStatus": "INACTIVE"}],
        "abc is INACTIVE",
        "call a route",
    ),
    Case(
        edge.custom_domains,
        "apigateway",
        ([("trade.example.com", "1")],),
        ["get_domain_name"],
        [{"domainNameStatus": "AVAILABLE"}],
        [{"domainNameStatus": "PENDING"}],
        "trade.example.com is PENDING",
        "half an hour",
    ),
    Case(
        metrics.exist,
        "cloudwatch",
        ({"errors": alarm("Errors", name="a"), "lag": alarm("Lag", "breaching", name="a")},),
        ["list_metrics", "list_metrics"],
        [listed(), listed({"name": "a"})],
        [listed({"name": "a"}), listed({"name": "b"})],
        "need them: lag (Lag)",
        "correct the signal's dimensions",
    ),
    Case(
        metrics.either,
        "cloudwatch",
        (
            {
                "by-cluster": Metric("AWS/RDS", "Lag", frozenset({("Cluster", "a")})),
                "by-region": Metric("AWS/RDS", "Lag", frozenset({("Region", "b")})),
            },
        ),
        ["list_metrics", "list_metrics"],
        [listed({"Region": "b"}), listed({"Region": "b"})],
        [listed({"Other": "b"}), listed({"Other": "b"})],
        "Lag has none of the dimensions of by-cluster, by-region",
        "list-metrics",
    ),
    Case(
        metrics.below,
        "cloudwatch",
        ([{"lag": alarm("Lag", name="a")}, {"b": alarm("Lag", name="b"), "c": alarm("Lag", name="c")}],),
        ["get_metric_statistics"] * 3,
        [{"Datapoints": [{"Maximum": 4.0}, {"Maximum": 1.0}]}, NO_VALUES, {"Datapoints": [{"Maximum": 1.0}]}],
        [{"Datapoints": [{"Maximum": 4.0}, {"Maximum": 6.0}]}, NO_VALUES, NO_VALUES],
        "lag was 6, above 5",
        "docs/operations.md",
    ),
    Case(
        metrics.states,
        "cloudwatch",
        (["trading-a", "trading-b", "trading-c"], "trading"),
        ["describe_alarms"],
        [
            {
                "MetricAlarms": [
                    {"AlarmName": "trading-a", "StateValue": "OK"},
                    {
                        "AlarmName": "trading-b",
                        "StateValue": "INSUFFICIENT_DATA",
                        "TreatMissingData": "ignore",
                    },
                    {"AlarmName": "trading-c", "StateValue": "OK"},
                    {"AlarmName": "trading-of-another-stack", "StateValue": "ALARM"},
                ]
            }
        ],
        [
            {
                "MetricAlarms": [
                    {"AlarmName": "trading-a", "StateValue": "ALARM"},
                    {"AlarmName": "trading-b", "StateValue": "INSUFFICIENT_DATA"},
                ]
            }
        ],
        "don't exist: trading-c; alarms that ring: trading-a; alarms that have no data: trading-b",
        "docs/operations.md",
    ),
    Case(
        metrics.logs,
        "logs",
        (["/aws/rds/cluster/a/postgresql", "aws-waf-logs-a"],),
        ["describe_log_streams", "describe_log_streams"],
        [{"logStreams": [{"lastEventTimestamp": 1}]}, {"logStreams": []}],
        [{"logStreams": [{"logStreamName": "empty"}]}, {"logStreams": []}],
        "log groups without events: /aws/rds/cluster/a/postgresql",
        "resource policy",
    ),
    Case(
        messages.subscriptions,
        "sns",
        (TOPIC,),
        ["list_subscriptions_by_topic"],
        [{"Subscriptions": [{"SubscriptionArn": f"{TOPIC}:1", "Endpoint": "a@example.com"}]}],
        [{"Subscriptions": [{"SubscriptionArn": "PendingConfirmation", "Endpoint": "a@example.com"}]}],
        "subscribers of alarms-critical that haven't confirmed: a@example.com",
        "open the link",
    ),
    Case(
        messages.subscriptions,
        "sns",
        (TOPIC,),
        ["list_subscriptions_by_topic"],
        [{"Subscriptions": [{"SubscriptionArn": f"{TOPIC}:1", "Endpoint": "a@example.com"}]}],
        [{"Subscriptions": []}],
        "alarms-critical has no subscriber",
    ),
    Case(
        messages.from_alarms,
        "cloudwatch",
        (TOPIC, "trading-edge-warning-notifications-failed"),
        ["describe_alarm_history"],
        [history(f"Successfully executed action {TOPIC}", "Successfully executed action arn:aws:sns:other")],
        [history(f"Failed to execute action {TOPIC}. Received error: no access to the key")],
        "no access to the key (1 of 1)",
        "cloudwatch.amazonaws.com",
    ),
    Case(
        messages.from_database,
        "rds",
        (["events"],),
        ["describe_event_subscriptions"],
        [{"EventSubscriptionsList": [{"Status": "active"}]}],
        [{"EventSubscriptionsList": [{"Status": "no-permission"}]}],
        "events is no-permission",
        "events.rds.amazonaws.com",
    ),
    Case(
        messages.anomalies,
        "ce",
        (["arn:aws:ce::1:anomalymonitor/1"],),
        ["get_anomaly_monitors"],
        [
            {
                "AnomalyMonitors": [
                    {"MonitorName": "costs", "MonitorType": "CUSTOM", "LastEvaluatedDate": "2026-11-27"}
                ]
            }
        ],
        [{"AnomalyMonitors": [{"MonitorName": "costs", "MonitorType": "CUSTOM"}]}],
        "costs has evaluated nothing yet",
        "cost allocation tag",
    ),
    Case(
        messages.dead_letters,
        "sqs",
        (["https://sqs.us-east-1.amazonaws.com/1/dead-letters"],),
        ["get_queue_attributes"],
        [{"Attributes": {"ApproximateNumberOfMessages": "0"}}],
        [{"Attributes": {"ApproximateNumberOfMessages": "2"}}],
        "dead-letters has 2 messages",
        "order-intake-dead-letters",
    ),
    Case(
        prometheus.scraper,
        "amp",
        ("s-1",),
        ["describe_scraper"],
        [scraper("ACTIVE")],
        [scraper("CREATION_FAILED", statusReason="no access entry")],
        "pods is CREATION_FAILED: no access entry",
        "metrics-ingestion",
    ),
    Case(
        prometheus.definitions,
        "amp",
        ("ws-1", ["alerts"]),
        ["describe_rule_groups_namespace", "describe_alert_manager_definition"],
        [namespace("ACTIVE"), manager("ACTIVE")],
        [namespace("UPDATE_FAILED", statusReason="bad rule"), manager("CREATION_FAILED")],
        "alerts is UPDATE_FAILED: bad rule; the alert manager is CREATION_FAILED: no reason",
        "correct the definition",
    ),
    Case(
        data.database,
        "rds",
        ("trading-database",),
        ["describe_db_clusters", "describe_db_instances"],
        [
            {"DBClusters": [{"Status": "available"}]},
            {"DBInstances": [instance("a", "us-east-1a"), instance("b", "us-east-1b")]},
        ],
        [
            {"DBClusters": [{"Status": "failing-over"}]},
            {"DBInstances": [instance("a", "us-east-1a"), instance("b", "us-east-1a", "rebooting")]},
        ],
        "is failing-over; b is rebooting; all instances of trading-database are in us-east-1a",
    ),
    Case(
        data.proxy,
        "rds",
        ("proxy",),
        ["describe_db_proxy_targets"],
        [target("AVAILABLE")],
        [target("UNAVAILABLE", Reason="AUTH_FAILURE")],
        "db-1 is UNAVAILABLE (AUTH_FAILURE)",
        "database-proxy-connections-failed",
    ),
    Case(
        data.proxy,
        "rds",
        ("proxy",),
        ["describe_db_proxy_targets"],
        [target("AVAILABLE")],
        [{"Targets": [{"Type": "TRACKED_CLUSTER"}]}],
        "proxy has no targets",
    ),
    Case(
        data.global_database,
        "rds",
        ("trading-database", ["us-east-1", "eu-west-1"]),
        ["describe_global_clusters"],
        [{"GlobalClusters": [{"GlobalClusterMembers": [member("us-east-1"), member("eu-west-1")]}]}],
        [{"GlobalClusters": [{"GlobalClusterMembers": [member("us-east-1", "pending-resync")]}]}],
        "trading-database has no member in eu-west-1; the member in us-east-1 is pending-resync",
        "database-global-lag",
    ),
    Case(
        data.table,
        "dynamodb",
        ("orders", ["eu-west-1"]),
        ["describe_table"],
        [
            {
                "Table": {
                    "TableStatus": "ACTIVE",
                    "Replicas": [{"RegionName": "eu-west-1", "ReplicaStatus": "ACTIVE"}],
                }
            }
        ],
        [{"Table": {"TableStatus": "UPDATING"}}],
        "orders is UPDATING; the replica of orders in eu-west-1 is missing",
        "table-replication-latency",
    ),
    Case(
        data.backups,
        "backup",
        ([TABLE], LONG_AGO),
        ["list_backup_jobs"],
        [{"BackupJobs": [{"State": "COMPLETED"}]}],
        [{"BackupJobs": []}],
        "no backup within 2 days of table/orders",
        "backup-missing",
    ),
    Case(
        data.backups,
        "backup",
        ([TABLE], NOW),
        ["list_backup_jobs"],
        [{"BackupJobs": [{"State": "COMPLETED"}]}],
        [{"BackupJobs": []}],
        "the plan is younger than 2 days",
        unsure=True,
    ),
    Case(
        data.rotation,
        "secretsmanager",
        ("arn:aws:secretsmanager:us-east-1:1:secret:master", days(-90)),
        ["describe_secret"],
        [secret(LastRotatedDate=days(-3), NextRotationDate=days(20))],
        [secret(LastRotatedDate=days(-33), NextRotationDate=days(-3))],
        "master should have been changed by",
        "database-rotation-failed",
    ),
    Case(
        data.rotation,
        "secretsmanager",
        ("arn:aws:secretsmanager:us-east-1:1:secret:master", days(-90)),
        ["describe_secret"],
        [secret(LastRotatedDate=days(-3))],
        [{"Name": "master"}],
        "the rotation of master is off",
    ),
    Case(
        data.brokers,
        "kafka",
        ("arn:aws:kafka:us-east-1:1:cluster/a",),
        ["describe_cluster_v2"],
        [{"ClusterInfo": {"ClusterName": "a", "State": "ACTIVE"}}],
        [{"ClusterInfo": {"ClusterName": "a", "State": "HEALING"}}],
        "a is HEALING",
        "kafka-broker-silent",
    ),
    Case(
        data.cache,
        "elasticache",
        ("nodes",),
        ["describe_replication_groups"],
        [cache("us-east-1a", "us-east-1b")],
        [cache("us-east-1a", "us-east-1a", MultiAZ="disabled")],
        "Multi-AZ of nodes is disabled; shard 0001 of nodes has nodes in us-east-1a only",
        "cache-replication-lag",
    ),
]

every_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.ask.__name__)


@pytest.fixture(autouse=True)
def _parent(monkeypatch: pytest.MonkeyPatch) -> None:  # pyright: ignore[reportUnusedFunction]
    def delegation_keys(name: str) -> frozenset[int]:
        return frozenset({7})

    monkeypatch.setattr(dns, "delegation_keys", delegation_keys)


@every_case
def test_check_passes(case: Case) -> None:
    answer = ask(case, case.passing)
    assert answer.status == "pass", answer


@every_case
def test_check_fails_and_says_what_to_do(case: Case) -> None:
    answer = ask(case, case.failing)
    assert answer.status == ("unknown" if case.unsure else "fail")
    assert case.found in answer.found
    assert case.remedy in answer.remedy
    assert answer.remedy


@every_case
@pytest.mark.parametrize("code", ["AccessDenied", "AccessDeniedException"])
def test_check_that_may_not_be_asked_is_unknown(case: Case, code: str) -> None:
    answer = ask(case, [code])
    assert answer.status == "unknown"
    assert answer.found.startswith("not allowed to call ")


@every_case
@pytest.mark.parametrize(
    "code", ["ResourceNotFoundException", "NoSuchHostedZone", "AWS.SimpleQueueService.NonExistentQueue"]
)
def test_deployed_resource_that_does_not_exist_is_a_failure(case: Case, code: str) -> None:
    answer = ask(case, [code], deployed=True)
    assert answer.status == "fail"
    assert "doesn't know a resource of the stack" in answer.found
    assert "pulumi up --refresh" in answer.remedy
    assert ask(case, ["ThrottlingException"], deployed=True).status == "unknown"


def test_every_check_has_a_case() -> None:
    """Those that ask others than AWS have their cases in other files."""
    elsewhere = {
        *(check.__name__ for check, _ in OF_THE_EDGE if check.__name__ != "forged"),
        *("forged_subject", "direct", "resolved"),
        *(check.__name__ for check, *_ in OF_PROMETHEUS),
        *("sent_by_alarm", "sent_by_alert_manager"),  # below, and beside those
    }
    functions = {
        name
        for module in (data, edge, messages, metrics, prometheus)
        for name, value in vars(module).items()
        if inspect.isfunction(value) and value.__module__ == module.__name__ and not name.startswith("_")
        if inspect.signature(value).return_annotation == "Answer"
    }
    assert functions == {case.ask.__name__ for case in CASES} | elsewhere


def test_metrics_never_seen_are_listed() -> None:
    case = next(case for case in CASES if case.ask is metrics.exist)
    found = ask(case, case.passing).found
    assert found == "1 of 2 metrics exist; never seen, and their alarms ignore missing data: errors (Errors)"


def test_alarm_without_a_metric_is_named() -> None:
    case = next(case for case in CASES if case.ask is metrics.either)
    assert "remove by-cluster, whose metric doesn't exist" in ask(case, case.passing).found


def test_metrics_of_expressions_are_found() -> None:
    query = {"namespace": "AWS/X", "metricName": "Requests", "dimensions": {"a": "b"}}
    found = list(
        metrics.metrics({"metricQueries": [{"id": "x", "expression": "1"}, {"id": "m", "metric": query}]})
    )
    assert found == [Metric("AWS/X", "Requests", frozenset({("a", "b")}))]


def test_no_message_of_an_alarm_is_unknown_and_names_the_command() -> None:
    case = next(case for case in CASES if case.ask is messages.from_alarms)
    answer = ask(case, [history()])
    assert answer.status == "unknown"
    assert "set-alarm-state --alarm-name trading-edge-warning-notifications-failed" in answer.remedy


@pytest.mark.parametrize(
    ("first", "second", "third", "silent"),
    [((), (1.0,), (), "lag"), ((1.0,), (), (), "b or c"), ((), (), (), "lag, b or c")],
)
def test_lag_without_values_is_unknown(first: Any, second: Any, third: Any, silent: str) -> None:
    case = next(case for case in CASES if case.ask is metrics.below)
    found = [{"Datapoints": [{"Maximum": value} for value in values]} for values in (first, second, third)]
    answer = ask(case, found)
    assert (answer.status, answer.found) == ("unknown", f"no values in the last hour of {silent}")


EVERY_30_DAYS = {"RotationRules": {"AutomaticallyAfterDays": 30}}


@pytest.mark.parametrize(
    ("since", "found", "status"),
    [
        (days(-3), {"CreatedDate": days(-3), "NextRotationDate": days(27)}, "unknown"),
        # The rotation may be younger than the secret.
        (days(-3), {"CreatedDate": days(-300), **EVERY_30_DAYS}, "unknown"),
        (days(-90), {"CreatedDate": days(-90), **EVERY_30_DAYS}, "fail"),
        (data.UNKNOWN_DATE, {"CreatedDate": days(-90), **EVERY_30_DAYS}, "fail"),
        # A date to come doesn't make up for one that has passed.
        (days(-90), {"NextRotationDate": days(20), **EVERY_30_DAYS}, "fail"),
        (data.UNKNOWN_DATE, {"NextRotationDate": days(-3)}, "fail"),
        (data.UNKNOWN_DATE, EVERY_30_DAYS, "unknown"),
        (data.UNKNOWN_DATE, {}, "unknown"),
    ],
)
def test_secret_that_was_never_changed_does_not_pass(
    since: datetime.datetime, found: Json, status: str
) -> None:
    case = next(case for case in CASES if case.ask is data.rotation)
    answer = ask(dataclasses.replace(case, arguments=("secret", since)), [secret(**found)])
    assert answer.status == status, answer
    assert "never" in answer.found
    assert answer.remedy


@pytest.mark.parametrize(
    "rules",
    [
        [rule(header("x-origin-secret", "*"))],
        [rule(host("health-us-east-1.origin.example.com"))],
        [rule(host("health-us-east-1.origin.example.com"), path("/healthz", "/api/*"))],
        [rule(host("health-us-east-1.origin.example.com", "example.com"), path("/healthz"))],
        [rule(kind="fixed-response")],
    ],
)
def test_rule_that_forwards_more_than_it_should_fails(rules: list[Json]) -> None:
    case = next(case for case in CASES if case.ask is edge.origin_secret)
    assert ask(case, [{"Rules": rules}]).status == "fail"


def test_health_check_without_reports_is_unknown() -> None:
    case = next(case for case in CASES if case.ask is edge.health_check)
    assert ask(case, [observed()]).status == "unknown"


@pytest.mark.parametrize(
    ("summaries", "expected"),
    [
        ([(f"Successfully executed action {TOPIC}",)], "pass"),
        ([(), (f"Successfully executed action {TOPIC}",)], "pass"),
        ([(f"Failed to execute action {TOPIC}",)], "fail"),
        ([()] * messages.ATTEMPTS, "fail"),
    ],
)
def test_alarm_rings_and_always_ends(summaries: list[tuple[str, ...]], expected: str) -> None:
    waits: list[float] = []
    case = Case(
        messages.sent_by_alarm,
        "cloudwatch",
        (TOPIC, "alarm", waits.append),
        ["set_alarm_state", *["describe_alarm_history"] * len(summaries), "set_alarm_state"],
        [{}, *(history(*each) for each in summaries), {}],
        [],
        "",
    )
    assert ask(case, case.passing).status == expected
