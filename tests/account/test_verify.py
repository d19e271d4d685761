"""Whole runs against a stack that is as it should be: AWS's answers are validated against botocore's models,
and everything else comes from hosts on this machine."""

from __future__ import annotations

import contextlib
import functools
import json
import re
import ssl
import subprocess
import threading
from base64 import b64encode
from collections.abc import Callable, Generator, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import boto3
import pytest
from botocore.credentials import Credentials

from account import dns
from account.__main__ import main
from account.policy import deployer
from account.question import EXCEPTIONS, OTHERS, READS, SENDING, Answer, Question, answers
from account.stack import Stack
from account.verify import metrics
from account.verify import questions as verify
from account.verify.cluster import CLOSED_PORT, CREDENTIALS, POLICY_ENDPOINTS, ZONE
from account.verify.https import Https
from account.verify.kubernetes import Kubernetes
from account.verify.orders import Given
from account.verify.prometheus import TEST_ALERT, Workspaces
from account.verify.questions import BY_HAND
from report.planned import UNKNOWN
from settings.aws_limits import MANAGED_POLICIES
from tests.account.cases import sent
from tests.account.deployed import deployed, deployed_state
from tests.account.loopback import Asked, Loopback, Reply, loopback
from tests.account.test_verify_edge import problem, right
from tests.account.test_verify_orders import token
from tests.functions.order_path_stub import OrderPathStub
from tests.functions.order_path_stub import Reply as OrderReply
from tests.policy.states import fixture_state
from tests.unit.harness import ROOT

BOTO: Any = boto3
NOW = datetime.now(UTC)
UNCALLED = {
    *("prometheus:QueryMetrics", "prometheus:ListRules", "prometheus:ListAlertManagerAlerts"),
    "prometheus:CreateAlertManagerAlerts",
}
"""What the SDK has no operations for."""
Json = Mapping[str, Any]


def of_each(stack: Stack, token: str, key: str) -> list[str]:
    return [item[key] for item in stack.deployed(token)]


def stubbed(stack: Stack) -> Mapping[str, Callable[[Json], Json]]:
    """Operation → its response to parameters, in an account in which everything is right."""
    alarms = [(item["name"], item.properties) for item in stack.deployed(verify.ALARM)]
    known = [metric for _, alarm in alarms for metric in metrics.metrics(alarm)]
    topics = of_each(stack, "aws:sns/topic:Topic", "arn")
    records = [
        {"Name": f"{item['fqdn'].rstrip('.')}.", "Type": item["type"]}
        for item in stack.deployed("aws:route53/record:Record")
    ]
    members = [
        {"DBClusterArn": f"arn:aws:rds:{region.name}:1:cluster:x", "SynchronizationStatus": "connected"}
        for region in stack.settings.regions
    ]
    when = {"createdAt": NOW, "modifiedAt": NOW}
    active = {"status": {"statusCode": "ACTIVE"}, "data": b"", **when}

    def always(response: Json) -> Callable[[Json], Json]:
        return lambda _: response

    def list_metrics(asked: Json) -> Json:
        return {
            "Metrics": [
                {"Dimensions": [{"Name": key, "Value": value} for key, value in metric.dimensions]}
                for metric in known
                if (metric.namespace, metric.name) == (asked["Namespace"], asked["MetricName"])
            ]
        }

    return {
        "ListResourceRecordSets": always(
            {"ResourceRecordSets": records, "IsTruncated": False, "MaxItems": "300"}
        ),
        "GetDNSSEC": always(
            {
                "Status": {"ServeSignature": "SIGNING"},
                "KeySigningKeys": [{"Name": "key", "KeyTag": 7, "Status": "ACTIVE"}],
            }
        ),
        "GetHealthCheckStatus": always(
            {"HealthCheckObservations": [{"StatusReport": {"Status": "Success: HTTP Status Code 200, OK"}}]}
        ),
        "GetSecretValue": always({"SecretString": "the-secret"}),
        "FilterLogEvents": lambda asked: {
            "events": [{"message": f"GET /api/accounts/{asked['filterPattern'].strip(chr(34))} 404"}]
        },
        "GetWebACLForResource": lambda asked: web_acl_of(stack, asked["ResourceArn"]),
        "DescribeRules": always(
            {
                "Rules": [
                    {
                        "Priority": "1",
                        "Conditions": [
                            {"HttpHeaderConfig": {"HttpHeaderName": "X-Origin-Secret", "Values": ["s"]}}
                        ],
                        "Actions": [{"Type": "forward"}],
                    }
                ]
            }
        ),
        "GetDomainName": always({"domainNameStatus": "AVAILABLE"}),
        "GetVpcLink": always({"VpcLinkStatus": "AVAILABLE"}),
        "DescribeCertificate": always(
            {
                "Certificate": {
                    "DomainName": "trade.example.com",
                    "Status": "ISSUED",
                    "InUseBy": ["x"],
                    "NotAfter": NOW + timedelta(days=300),
                }
            }
        ),
        "DescribeDBClusters": always({"DBClusters": [{"Status": "available"}]}),
        "DescribeDBInstances": always(
            {
                "DBInstances": [
                    {"DBInstanceIdentifier": zone, "DBInstanceStatus": "available", "AvailabilityZone": zone}
                    for zone in ("a", "b")
                ]
            }
        ),
        "DescribeDBProxyTargets": always(
            {"Targets": [{"Type": "RDS_INSTANCE", "TargetHealth": {"State": "AVAILABLE"}}]}
        ),
        "DescribeGlobalClusters": always({"GlobalClusters": [{"GlobalClusterMembers": members}]}),
        "DescribeEventSubscriptions": always({"EventSubscriptionsList": [{"Status": "active"}]}),
        "DescribeTable": always(
            {
                "Table": {
                    "TableStatus": "ACTIVE",
                    "Replicas": [
                        {"RegionName": region.name, "ReplicaStatus": "ACTIVE"}
                        for region in stack.settings.regions
                    ],
                }
            }
        ),
        "ListBackupJobs": always({"BackupJobs": [{"State": "COMPLETED"}]}),
        "DescribeSecret": always({"Name": "master", "RotationEnabled": True, "LastRotatedDate": NOW}),
        "DescribeClusterV2": always({"ClusterInfo": {"ClusterName": "brokers", "State": "ACTIVE"}}),
        "DescribeReplicationGroups": always(
            {
                "ReplicationGroups": [
                    {
                        "Status": "available",
                        "AutomaticFailover": "enabled",
                        "MultiAZ": "enabled",
                        "NodeGroups": [
                            {
                                "NodeGroupId": "1",
                                "NodeGroupMembers": [
                                    {"PreferredAvailabilityZone": zone} for zone in ("a", "b")
                                ],
                            }
                        ],
                    }
                ]
            }
        ),
        "DescribeScraper": always(
            {
                "scraper": {
                    "alias": "pods",
                    "scraperId": "s-1",
                    "arn": "arn:aws:aps:us-east-1:1:scraper/s-1",
                    "roleArn": "arn:aws:iam::1:role/x",
                    "status": {"statusCode": "ACTIVE"},
                    "createdAt": NOW,
                    "lastModifiedAt": NOW,
                    "scrapeConfiguration": {"configurationBlob": b""},
                    "source": {"vpcConfiguration": {"subnetIds": ["subnet-1"], "securityGroupIds": ["sg-1"]}},
                    "destination": {
                        "ampConfiguration": {"workspaceArn": "arn:aws:aps:us-east-1:1:workspace/x"}
                    },
                }
            }
        ),
        "DescribeRuleGroupsNamespace": always(
            {"ruleGroupsNamespace": {"arn": "arn:aws:aps:us-east-1:1:x", "name": "alerts", **active}}
        ),
        "DescribeAlertManagerDefinition": always({"alertManagerDefinition": active}),
        "ListMetrics": list_metrics,
        "GetMetricStatistics": always({"Datapoints": [{"Maximum": 1.0}]}),
        "DescribeAlarms": always(
            {"MetricAlarms": [{"AlarmName": name, "StateValue": "OK"} for name, _ in alarms]}
        ),
        "DescribeAlarmHistory": always(
            {
                "AlarmHistoryItems": [
                    {"HistorySummary": f"Successfully executed action {topic}"} for topic in topics
                ]
            }
        ),
        "SetAlarmState": always({}),
        "DescribeLogStreams": always({"logStreams": [{"lastEventTimestamp": 1}]}),
        "ListSubscriptionsByTopic": always(
            {
                "Subscriptions": [
                    {"SubscriptionArn": "arn:aws:sns:us-east-1:1:x:1", "Endpoint": "a@example.com"}
                ]
            }
        ),
        "GetQueueAttributes": always({"Attributes": {"ApproximateNumberOfMessages": "0"}}),
        "GetAnomalyMonitors": always(
            {
                "AnomalyMonitors": [
                    {"MonitorName": "costs", "MonitorType": "CUSTOM", "LastEvaluatedDate": "2026-11-27"}
                ]
            }
        ),
    }


def web_acl_of(stack: Stack, balancer: str) -> Json:
    """The web ACL of a load balancer, from the stack's own resources, as WAF returns it. Of its rules, it has
    those that name headers: WAF's names of the others aren't those of the provider in another case."""
    (acl,) = [
        acl
        for item in stack.deployed("aws:wafv2/webAclAssociation:WebAclAssociation")
        for acl in stack.deployed("aws:wafv2/webAcl:WebAcl")
        if (item["resourceArn"], item["webAclArn"]) == (balancer, acl["arn"])
    ]
    rules = [as_waf(rule) for rule in acl["rules"] if rule["name"] == "reserved-headers"]
    seen = {"SampledRequestsEnabled": True, "CloudWatchMetricsEnabled": True, "MetricName": "x"}
    known: Json = {"Name": "x", "Id": "1", "ARN": acl["arn"], "DefaultAction": {"Allow": {}}}
    return {"WebACL": {**known, "VisibilityConfig": seen, "Rules": rules}}


def as_waf(value: Any) -> Any:
    """A part of a web ACL in a state, with the names of WAF's API."""
    if isinstance(value, list):
        return [as_waf(item) for item in value]  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, dict):
        names = {name: f"{name[0].upper()}{name[1:]}" for name in value}  # pyright: ignore
        names["cloudwatchMetricsEnabled"] = "CloudWatchMetricsEnabled"
        return {names[name]: as_waf(item) for name, item in value.items()}  # pyright: ignore
    return value


def cluster_objects() -> Mapping[str, Any]:
    """Path → the items of a list, or an object, in a cluster in which everything is right."""
    labels, ready = {"app": "x"}, {"conditions": [{"type": "Ready", "status": "True"}]}
    constraint = {"topologyKey": ZONE, "whenUnsatisfiable": "DoNotSchedule"}
    deployment = {
        "metadata": {"namespace": "trading", "name": "orders"},
        "spec": {
            "replicas": 3,
            "selector": {"matchLabels": labels},
            "template": {"spec": {"topologySpreadConstraints": [constraint]}},
        },
        "status": {"availableReplicas": 3},
    }
    pods = [
        {
            "metadata": {"namespace": "trading", "name": zone, "labels": labels},
            "spec": {
                "nodeName": zone,
                "serviceAccountName": "orders",
                "containers": [{"env": [{"name": CREDENTIALS}], "ports": [{"containerPort": 8080}]}],
            },
            "status": {"phase": "Running", **ready},
        }
        for zone in "abc"
    ]
    found: dict[str, Any] = {
        "/api/v1/nodes": [{"metadata": {"name": z, "labels": {ZONE: z}}, "status": ready} for z in "abc"],
        "/apis/keda.sh/v1alpha1/namespaces/trading/scaledobjects": [
            {"metadata": {"namespace": "trading", "name": "orders"}, "status": ready}
        ],
        "/api/v1/namespaces/kube-system/configmaps/amazon-vpc-cni": {
            "data": {"enable-network-policy-controller": "true"}
        },
        "/apis/networking.k8s.io/v1/networkpolicies": [
            {"metadata": {"namespace": "trading", "name": "deny"}}
        ],
        POLICY_ENDPOINTS: [{"spec": {"policyRef": {"namespace": "trading", "name": "deny"}}}],
    }
    for zone in "abc":
        reach = f"/api/v1/namespaces/trading/pods/{zone}"
        found[f"{reach}:8080/proxy/"] = {}
        found[f"{reach}:{CLOSED_PORT}/proxy/"] = Reply(503, b"i/o timeout")
    for namespace in verify.NAMESPACES:
        found[f"/apis/apps/v1/namespaces/{namespace}/deployments"] = [deployment]
        found[f"/api/v1/namespaces/{namespace}/pods"] = pods
    return found


def prometheus(stack: Stack, asked: Asked) -> Reply:
    """A workspace in which everything is right."""
    if asked.method == "POST":
        return Reply()
    if asked.path.endswith("/alerts"):
        tests = [
            {"labels": {"alertname": TEST_ALERT, "severity": name}, "receivers": [{"name": name}]}
            for name in ("critical", "warning")
        ]
        return Reply(200, json.dumps([{"labels": {"alertname": verify.WATCHDOG}}, *tests]).encode())
    rules = [{"rules": [{"name": "rule", "health": "ok"}]}]
    up = [
        *({"job": "services", "service": service.name} for service in stack.settings.services),
        *({"job": f"brokers-{exporter}"} for exporter in ("jmx", "node")),
    ]
    data = {"result": [{"metric": labels, "value": [1, "1"]} for labels in up], "groups": rules}
    return Reply(200, json.dumps({"data": data}).encode())


class Platform:
    """A deployed stack: makes clients, and counts their calls."""

    def __init__(self, stack: Stack, host: Loopback, orders: OrderPathStub) -> None:
        self.stack, self.host, self.orders = stack, host, orders
        self.stubs = dict(stubbed(stack))
        self.objects = dict(cluster_objects())
        self.prometheus = prometheus
        self.changes: list[tuple[str, str]] = []
        self.calls: list[str] = []
        self._lock = threading.Lock()

    def answer(self, asked: Asked) -> Reply:
        """What the host answers, whichever part of the platform is asked."""
        if asked.path.startswith("/workspaces/"):
            return self.prometheus(self.stack, asked)
        bearer = asked.headers.get("authorization", "Bearer ").removeprefix("Bearer ")
        if asked.path.startswith("/api/accounts") and bearer:
            opened = "trading/accounts" in Given(bearer).scopes("scope")
            return Reply(404) if opened else problem(403, "/problems/forbidden")
        if bearer != "token":
            return right(asked)
        if asked.path not in self.objects:
            return Reply(404)
        found = self.objects[asked.path]
        if isinstance(found, Reply):
            return found
        return Reply(200, json.dumps({"items": found} if isinstance(found, list) else found).encode())

    def preview(self) -> list[tuple[str, str]]:
        return self.changes

    def __call__(self, service: str, region: str) -> Any:
        match service:
            case "https":
                return Https(_trusting(self.host, self.orders), self._address)
            case "dns" | "none":
                return None
            case "pulumi":
                return self
            case "kubernetes":
                api = Kubernetes(
                    "https://unused", b64encode(self.host.certificate.encode()).decode(), lambda: "token"
                )
                api._https, api._host = self.host.https(), self.stack.settings.domain.host  # pyright: ignore[reportPrivateUsage]
                return api
            case "prometheus":
                client = Workspaces(lambda: Credentials("x", "x"), region, self.host.https())
                return _Renamed(client, self.stack.settings.domain.host)
            case _:
                return self._aws(service, region)

    def _address(self, host: str) -> tuple[str, int]:
        if host.endswith(".elb.amazonaws.com"):
            raise TimeoutError("timed out")
        if host == "127.0.0.1":
            return host, int(self.orders.url.rpartition(":")[2])
        return "127.0.0.1", self.host.port

    def _aws(self, service: str, region: str) -> Any:
        client = BOTO.client(service, region_name=region, aws_access_key_id="x", aws_secret_access_key="x")
        parameters: list[Json] = []

        def built(params: Json, **_: object) -> None:
            parameters.append(params)

        client.meta.events.register("before-parameter-build", built)
        client.meta.events.register_first(
            "before-call", functools.partial(self._answer, service, client, parameters)
        )
        return client

    def _answer(self, service: str, client: Any, parameters: list[Json], model: Any, **_: object) -> Any:
        with self._lock:
            self.calls.append(f"{service}:{model.name}")
        return sent(client, model.name, self.stubs[model.name](parameters[-1]))


class _Renamed:
    """A client of workspaces whose endpoints all lead to one host."""

    def __init__(self, client: Workspaces, host: str) -> None:
        self._client, self._host = client, host

    def get(self, endpoint: str, path: str) -> Any:
        return self._client.get(self._here(endpoint), path)

    def post(self, endpoint: str, path: str, document: Any) -> None:
        self._client.post(self._here(endpoint), path, document)

    def _here(self, endpoint: str) -> str:
        return re.sub(r"//[^/]+/", f"//{self._host}/", endpoint)


def _trusting(host: Loopback, orders: OrderPathStub) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=host.certificate)
    context.load_verify_locations(cadata=orders.certificate)
    return context


def with_canary_at(url: str) -> Stack:
    """The fixture stack `full`, whose canary asks another host."""
    state = [dict(item) for item in deployed_state("full")]
    for item in state:
        if item["type"] == "aws:synthetics/canary:Canary":
            found = dict(item["outputs"])
            variables = {
                **found["runConfig"]["environmentVariables"],
                "APP_URL": url,
                "TOKEN_URL": f"{url}/oauth2/token",
            }
            item["outputs"] = {
                **found,
                "runConfig": {**found["runConfig"], "environmentVariables": variables},
            }
    return deployed("full", state)


def found_everywhere(name: str) -> frozenset[str]:
    return frozenset({"192.0.2.1"})


def delegated(name: str) -> frozenset[int]:
    return frozenset({7})


@contextlib.contextmanager
def running(of: Callable[[str], Stack]) -> Generator[Platform]:
    """A platform in which everything is right.

    Args:
        of: its stack, for the URL of the order path.
    """
    path = OrderPathStub()
    path.replies["token"] = OrderReply(200, {"Content-Type": "application/json"}, b"", made=user_pool)
    found: list[Platform] = []
    stack = of(path.url)
    with loopback(lambda asked: found[0].answer(asked), name=stack.settings.domain.host) as host:
        found.append(Platform(stack, host, path))
        yield found[0]
    path.stop()


def user_pool(body: bytes) -> bytes:
    """The answer to a request for a token."""
    (scope,) = parse_qs(body.decode())["scope"]
    return json.dumps({"access_token": token(scope=scope), "token_type": "Bearer"}).encode()


@pytest.fixture(autouse=True)
def _names(monkeypatch: pytest.MonkeyPatch) -> None:  # pyright: ignore[reportUnusedFunction]
    monkeypatch.setattr(dns, "addresses", found_everywhere)
    monkeypatch.setattr(dns, "delegation_keys", delegated)
    monkeypatch.setattr("account.verify.edge.LEAST_DAYS", 0)


@pytest.fixture
def platform() -> Iterator[Platform]:
    with running(with_canary_at) as found:
        yield found


@pytest.fixture
def small() -> Iterator[Platform]:
    """A stack without a canary."""
    with running(lambda _: deployed("small")) as found:
        yield found


def asked(platform: Platform, messages: bool = False, token: str = "") -> list[Question]:
    return [*verify.questions(platform.stack, platform, messages, token)]


def run(platform: Platform, messages: bool = False, token: str = "") -> dict[str, Answer]:
    return {found.check: answer for found, answer in answers(asked(platform, messages, token), platform)}


def test_platform_in_which_everything_is_right_passes(platform: Platform) -> None:
    found = run(platform)
    rest = {check: answer for check, answer in found.items() if answer.status != "pass"}
    assert {check.rpartition(" ")[0] for check in rest} == {"messages", "messages aps.amazonaws.com"}
    assert {check.split()[1] for check in rest} == {*BY_HAND, "aps.amazonaws.com"}
    assert len(found) == len(asked(platform))


OF_OTHER_STACKS = {
    "anomalies": "needs `monitoring.spending`",
    "dnssec": "needs `domain.dnssec`",
    "global-database": "needs a second region",
    "lag": "needs a second region",
    "lag-dimensions": "needs a second region",
}
"""Checks of the fixture stack `full` that aren't about the stack `small`, which promises nothing there."""


def test_checks_that_cannot_be_asked_are_listed(small: Platform) -> None:
    known = {item.check.partition(" ")[0] for item in verify.questions(deployed("full"), small)}
    here = {item.check.partition(" ")[0] for item in asked(small)}
    assert known - here == set(OF_OTHER_STACKS)


def test_stack_without_a_canary_says_what_to_set(small: Platform) -> None:
    found = run(small)
    for check in ("order", "scope", "path"):
        assert found[check].status == "unknown"
        assert found[check].found == "the stack has no canary"
        assert "set `monitoring.canary`" in found[check].remedy
        assert ("VERIFY_TOKEN" in found[check].remedy) == (check != "order")
    unknown = {check for check, answer in found.items() if answer.status != "pass"}
    assert {item for item in unknown if not item.startswith("messages ")} == {"order", "scope", "path"}
    assert not any("authorization" in item.headers for item in small.host.asked if "/api/a" in item.path)


@pytest.mark.parametrize(
    ("scopes", "statuses", "remedy"),
    [
        ("trading/accounts", ("pass", "pass"), ""),
        # Nothing shows that a token without the scope is refused.
        ("trading/accounts trading/market-data", ("unknown", "pass"), "and not of all"),
        ("openid", ("unknown", "unknown"), "with the scopes of some routes"),
    ],
)
def test_token_of_the_user_takes_the_place_of_the_canary(
    small: Platform, scopes: str, statuses: tuple[str, str], remedy: str
) -> None:
    given = token(scope=scopes)
    found = run(small, token=given)
    assert (found["scope"].status, found["path"].status) == statuses, found
    assert remedy in found["scope"].remedy
    assert found["order"].status == "unknown"
    assert given not in str(found)
    sent = {item.headers["authorization"] for item in small.host.asked if "verify-" in item.path}
    assert sent == ({f"Bearer {given}"} if statuses[1] == "pass" else set())


def test_token_that_is_none_is_unknown(small: Platform) -> None:
    found = run(small, token="a secret")
    assert found["path"].found == "VERIFY_TOKEN can't be read: it isn't a JSON Web Token"
    assert (found["path"].status, found["scope"].status) == ("unknown", "unknown")


def test_token_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    tokens: list[str] = []

    def questions(*arguments: Any) -> list[Question]:
        tokens.append(arguments[3])
        return []

    state = tmp_path / "state.json"
    state.write_text(json.dumps({"version": 3, "deployment": {"resources": []}}))
    monkeypatch.setattr(verify, "questions", questions)
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    for value, expected in (("the-token\n", "the-token"), ("", "")):
        monkeypatch.setenv("VERIFY_TOKEN", value)
        assert main(["verify", "--stack", "dev", "--state", str(state)]) == 0
        assert tokens.pop() == expected


def test_planted_problems_are_found(platform: Platform) -> None:
    platform.changes.append(("update", "alb-us-east-1"))
    platform.stubs["GetVpcLink"] = lambda _: {"VpcLinkStatus": "INACTIVE"}
    platform.stubs["ListBackupJobs"] = lambda _: {"BackupJobs": []}
    platform.stubs["DescribeLogStreams"] = lambda _: {"logStreams": []}
    platform.stubs["ListMetrics"] = lambda _: {"Metrics": []}
    platform.stubs["GetMetricStatistics"] = lambda asked: {
        "Datapoints": [{"Maximum": 60_000.0 if asked["MetricName"] == "ReplicationLatency" else 1.0}]
    }
    platform.stubs["GetWebACLForResource"] = lambda _: {}
    platform.objects[POLICY_ENDPOINTS] = []
    platform.orders.replies["order"] = OrderReply(503, {}, b"")
    failing = {check.partition(" ")[0] for check, answer in run(platform).items() if answer.status == "fail"}
    assert failing == {
        *("second-preview", "vpc-link", "backups", "logs", "alarm-metrics", "lag-dimensions", "lag"),
        *("offline-partitions", "network-policies", "order", "forged-subject"),
    }


@pytest.mark.parametrize("messages", [False, True])
def test_run_calls_only_what_it_declares(platform: Platform, messages: bool) -> None:
    run(platform, messages)
    questions = asked(platform, messages)
    declared = {
        f"{item.service}:{name}"
        for item in questions
        if item.service not in OTHERS
        for name in item.operations
    }
    declared |= {name for item in questions for name in item.also if not name.startswith("HTTPS ")}
    assert set(platform.calls) == declared - UNCALLED
    others = {name for name in declared if not name.partition(":")[2].startswith(READS)}
    assert others == (EXCEPTIONS if messages else EXCEPTIONS - SENDING)
    posted = [item.path.rpartition("/workspaces/")[2] for item in platform.host.asked if item.method != "GET"]
    workspaces = {item.split("/", 1)[1] for item in posted}
    assert workspaces == ({"alertmanager/api/v2/alerts"} if messages else set())
    sent = {f"HTTPS {item.method} {item.path}" for item in platform.orders.asked if item.method != "GET"}
    assert sent == {name for item in questions for name in item.also if name.startswith("HTTPS POST ")}


def test_make_passes_the_flag_for_messages() -> None:
    for variables, flag in (([], False), (["MESSAGES=1"], True)):
        command = ["make", "-n", "verify", "STACK=dev", *variables]
        shown = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
        assert ("-m account verify --stack 'dev' --messages" in shown) == flag
        assert "-m account verify --stack 'dev'" in shown


def test_message_of_each_alert_manager_is_sent_on_demand(platform: Platform) -> None:
    for messages in (False, True):
        found = run(platform, messages)
        ours = [answer for check, answer in found.items() if check.startswith("messages aps.amazonaws.com")]
        assert len(ours) == len(platform.stack.settings.regions)
        assert {answer.status for answer in ours} == {"unknown"}
        text = "has DeliveryTest for critical, warning" if messages else "nothing has been sent"
        assert all(text in answer.found for answer in ours)
        assert messages or all("MESSAGES=1" in answer.remedy for answer in ours)


@pytest.mark.parametrize(
    ("missing", "problem"),
    [
        ({"job": "brokers-jmx"}, "nothing is scraped of job brokers-jmx"),
        ({"service": "market-data"}, "nothing is scraped of job services service market-data"),
    ],
)
def test_targets_of_the_scrapers_jobs_must_exist(
    platform: Platform, monkeypatch: pytest.MonkeyPatch, missing: Json, problem: str
) -> None:
    def without(stack: Stack, asked: Asked) -> Reply:
        document = json.loads(prometheus(stack, asked).body or b"[]")
        for item in [*document["data"]["result"]] if "query" in asked.path else []:
            if missing.items() <= item["metric"].items():
                document["data"]["result"].remove(item)
        return Reply(200, json.dumps(document).encode())

    monkeypatch.setattr(platform, "prometheus", without)
    failing = {
        answer.found
        for _, answer in answers(
            [item for item in asked(platform) if item.check.startswith("targets ")], platform
        )
        if answer.status == "fail"
    }
    assert failing == {problem}


def test_messages_end_in_the_state_in_which_they_began(platform: Platform) -> None:
    states: list[tuple[str, str]] = []
    platform.stubs["SetAlarmState"] = lambda asked: (
        states.append((asked["AlarmName"], asked["StateValue"])) or {}
    )
    run(platform, messages=True)
    topics = platform.stack.deployed("aws:sns/topic:Topic")
    assert len(states) == 2 * len(topics)
    rung = {name for name, _ in states}
    actions = [item["alarmActions"] for item in platform.stack.deployed(verify.ALARM) if item["name"] in rung]
    assert sorted(arn for each in actions for arn in each) == sorted(topic["arn"] for topic in topics)
    assert {name for name, value in states if value == "ALARM"} == {
        name for name, value in states if value == "OK"
    }


def test_every_question_is_about_what_is_deployed(platform: Platform) -> None:
    assert all(item.deployed for item in asked(platform))


def test_questions_have_distinct_names(platform: Platform) -> None:
    names = [item.check for item in asked(platform)]
    assert sorted(set(names)) == sorted(names)


def test_role_that_deploys_may_ask() -> None:
    """Its policies are made from a plan, which has no outputs, and doesn't know all inputs."""
    planned = [
        {**item, "inputs": {**item["inputs"], "scrapeConfiguration": UNKNOWN}}
        if item["type"] == "aws:amp/scraper:Scraper"
        else item
        for item in fixture_state("full")
    ]
    wanted = verify.asked(deployed("full", planned))
    assert wanted == verify.asked(deployed("full"))
    found = deployer(planned, wanted)
    assert len(found.policies) <= MANAGED_POLICIES
    allowed = {action.lower() for action in found.actions}
    assert {action for action in wanted if action.lower() not in allowed} == set()


def test_state_that_is_none_is_refused(tmp_path: Any, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "state.json"
    path.write_text("{}")
    assert main(["verify", "--stack", "dev", "--state", str(path)]) == 2
    assert "nor that of `pulumi stack export`" in capsys.readouterr().err
