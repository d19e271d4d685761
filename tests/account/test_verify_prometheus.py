"""Each check that asks Prometheus's own API, against a workspace on this machine."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.credentials import Credentials

from account.question import Answer, ask
from account.verify import prometheus
from account.verify.prometheus import Workspaces
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
    document: Any, check: Callable[..., Answer], *arguments: str, status: int = 200, signed: bool = True
) -> tuple[Answer, list[Asked]]:
    keys = Credentials("AKIDEXAMPLE", "secret", "session") if signed else None
    with loopback(lambda _: Reply(status, json.dumps(document).encode())) as host:
        client = Workspaces(lambda: keys, "us-east-1", host.https())
        return ask("check", "", "prometheus", "", check, ENDPOINT, *arguments).answer(client), host.asked


CASES = [
    (prometheus.targets, (), up("1", "1"), up("1", "0"), "1 of 2 targets are down: services 10.0.0.1:80"),
    (prometheus.targets, (), up("1"), up(), "nothing is scraped"),
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
