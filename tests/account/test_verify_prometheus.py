"""Each check that asks Prometheus's own API, against a workspace on this machine."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.credentials import Credentials

from account.question import Answer, ask
from account.verify import prometheus
from account.verify.prometheus import Workspaces
from components.monitoring.scraping import SCRAPE_CONFIGURATION
from tests.account.loopback import HOST, Asked, Reply, loopback

ENDPOINT = f"https://{HOST}/workspaces/ws-1/"
WATCHDOG = "Watchdog"


def up(*values: str) -> Any:
    result = [
        {"metric": {"job": "services", "instance": f"10.0.0.{number}:80"}, "value": [1, value]}
        for number, value in enumerate(values)
    ]
    return {"status": "success", "data": {"resultType": "vector", "result": result}}


def rules(*health: str) -> Any:
    found = [{"name": f"rule-{number}", "health": item} for number, item in enumerate(health)]
    return {"status": "success", "data": {"groups": [{"name": "alerts", "rules": found}]}}


def alerts(*names: str) -> Any:
    return [{"labels": {"alertname": name}} for name in names]


def asked_of(
    document: Any, check: Callable[..., Answer], *arguments: Any, status: int = 200, signed: bool = True
) -> tuple[Answer, list[Asked]]:
    keys = Credentials("AKIDEXAMPLE", "secret", "session") if signed else None
    with loopback(lambda _: Reply(status, json.dumps(document).encode())) as host:
        client = Workspaces(lambda: keys, "us-east-1", host.https())
        return ask("check", "", "prometheus", "", check, ENDPOINT, *arguments).answer(client), host.asked


CASES: list[tuple[Callable[..., Answer], tuple[Any, ...], Any, Any, str]] = [
    (
        prometheus.targets,
        ([], []),
        up("1", "1"),
        up("1", "0"),
        "1 of 2 targets are down: services 10.0.0.1:80",
    ),
    (prometheus.targets, ([], []), up("1"), up(), "nothing is scraped"),
    (
        prometheus.targets,
        ([SCRAPE_CONFIGURATION], ["orders"]),
        {"data": {"result": [{"metric": {"job": "services", "service": "orders"}, "value": [1, "1"]}]}},
        {"data": {"result": [{"metric": {"job": "services", "service": "accounts"}, "value": [1, "1"]}]}},
        "nothing is scraped of job services service orders",
    ),
    (
        prometheus.targets,
        (["scrape_configs: [{job_name: services}, {job_name: brokers}]"], []),
        {
            "data": {
                "result": [{"metric": {"job": job}, "value": [1, "1"]} for job in ("services", "brokers")]
            }
        },
        up("1"),
        "nothing is scraped of job brokers",
    ),
    (prometheus.rules, (), rules("ok", "ok"), rules("ok", "err"), "rule-1: err"),
    (prometheus.rules, (), rules("ok"), rules(), "the workspace has no rules"),
    (
        prometheus.alert_manager,
        (WATCHDOG,),
        alerts("Other", WATCHDOG),
        alerts("Other"),
        "the alert manager has no Watchdog, but Other",
    ),
]

RECEIVERS = {"critical": "critical", "warning": "warning"}


def has(*severities: str, receiver: str = "") -> Any:
    """The alert manager's alerts, with the test alert of these severities."""
    return [
        *alerts(WATCHDOG),
        *(
            {
                "labels": {"alertname": prometheus.TEST_ALERT, "severity": severity},
                "receivers": [{"name": receiver or severity}],
            }
            for severity in severities
        ),
    ]


def sent(*found: Any, created: int = 200) -> tuple[Answer, list[Asked], list[float]]:
    """Creates the test alerts. The alert manager has these alerts, one list after the other."""
    left, waits = list(found), list[float]()

    def answer(asked: Asked) -> Reply:
        return Reply(created) if asked.method == "POST" else Reply(200, json.dumps(left.pop(0)).encode())

    with loopback(answer) as host:
        client = Workspaces(lambda: Credentials("AKIDEXAMPLE", "secret"), "us-east-1", host.https())
        check, arguments = prometheus.sent_by_alert_manager, (ENDPOINT, RECEIVERS, waits.append)
        return ask("check", "", "prometheus", "", check, *arguments).answer(client), host.asked, waits


def test_test_alerts_reach_each_receiver_and_end_by_themselves() -> None:
    answer, asked, waits = sent(has("warning"), has("critical", "warning"))
    assert (answer.status, len(waits)) == ("unknown", 1)
    assert answer.found == "the alert manager has DeliveryTest for critical, warning"
    assert "must get a message" in answer.remedy
    assert [item.method for item in asked] == ["POST", "GET", "GET"]
    assert "/us-east-1/aps/aws4_request" in asked[0].headers["authorization"]
    created = json.loads(asked[0].body)
    assert [item["labels"]["severity"] for item in created] == ["critical", "warning"]
    for item in created:
        end = datetime.fromisoformat(item["endsAt"]) - datetime.now(UTC)
        assert timedelta() < end <= timedelta(minutes=prometheus.TEST_MINUTES)
        assert "Nothing is wrong" in item["annotations"]["description"]


def test_test_alert_without_its_receiver_fails() -> None:
    everything = [has("critical", "warning", receiver="warning")] * prometheus.ATTEMPTS
    answer, _, _ = sent(*everything)
    assert answer.status == "fail"
    assert answer.found == "the alert manager doesn't have DeliveryTest for critical"


def test_test_alert_that_may_not_be_created_is_unknown() -> None:
    answer, asked, _ = sent(created=403)
    assert (answer.status, len(asked)) == ("unknown", 1)
    assert "aps:CreateAlertManagerAlerts" in answer.remedy
    assert sent(created=500)[0].status == "unknown"


every_case = pytest.mark.parametrize(
    ("check", "arguments", "passing", "failing", "found"),
    CASES,
    ids=lambda item: getattr(item, "__name__", ""),
)


@every_case
def test_check_passes_or_fails(
    check: Callable[..., Answer], arguments: Any, passing: Any, failing: Any, found: str
) -> None:
    assert asked_of(passing, check, *arguments)[0].status == "pass"
    answer, _ = asked_of(failing, check, *arguments)
    assert (answer.status, answer.found) == ("fail", found)
    assert answer.remedy


@every_case
def test_check_that_may_not_be_asked_is_unknown(
    check: Callable[..., Answer], arguments: Any, passing: Any, failing: Any, found: str
) -> None:
    answer, _ = asked_of(passing, check, *arguments, status=403)
    assert answer.status == "unknown"
    assert answer.found.startswith("not allowed to call ")
    assert asked_of(passing, check, *arguments, status=500)[0].status == "unknown"
    assert asked_of(passing, check, *arguments, signed=False)[0] == Answer(
        "unknown", "no AWS credentials", "sign in, or set AWS_PROFILE"
    )


@every_case
def test_requests_are_signed_and_only_read(
    check: Callable[..., Answer], arguments: Any, passing: Any, failing: Any, found: str
) -> None:
    _, (asked,) = asked_of(passing, check, *arguments)
    assert asked.method == "GET"
    assert asked.path.startswith("/workspaces/ws-1/")
    assert "/us-east-1/aps/aws4_request" in asked.headers["authorization"]
    assert asked.headers["x-amz-security-token"] == "session"


def test_watchdog_says_nothing_about_messages() -> None:
    answer, _ = asked_of(alerts(WATCHDOG), prometheus.alert_manager, WATCHDOG)
    assert "whether its messages arrive is the question of `messages aps" in answer.found
