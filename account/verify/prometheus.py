"""The Prometheus workspaces: what they scrape, what they evaluate, and whom they notify."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import yaml
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest

from account.question import Answer, Client, UnansweredError, judged
from account.verify.https import Https, Response

SERVICE = "aps"
"""Name of the service in signatures (Amazon Managed Service for Prometheus User Guide, "Query using
Prometheus-compatible APIs", read 2026-11-27)."""


TEST_ALERT = "DeliveryTest"
TEST_MINUTES = 5
"""How long the test alert lasts. The alert manager waits for 30 seconds before it sends a group's first
message."""
ATTEMPTS = 6
PAUSE_SECONDS = 5

SERVICES_JOB = "services"
"""The job that scrapes the pods of all services (`SCRAPE_CONFIGURATION`)."""

Labels = Mapping[str, str]


class Workspaces:
    """Asks the workspaces of a region by Prometheus's own API, with signed requests."""

    def __init__(self, credentials: Callable[[], Any], region: str, https: Https | None = None) -> None:
        """Makes a client.

        Args:
            credentials: the session's credentials, or None without any.
            region: the workspaces' region.
            https: sends the requests.
        """
        self._credentials, self._region, self._https = credentials, region, https or Https()

    def get(self, endpoint: str, path: str) -> Any:
        """The document that answers a request.

        Args:
            endpoint: the workspace's endpoint, with a slash at its end.
            path: what follows, such as `api/v1/rules`.

        Raises:
            UnansweredError: the caller may not read, or gets another answer.
            OSError: the workspace doesn't answer.
        """
        response = self._send("GET", endpoint, path, None)
        if response.status != 200:
            raise UnansweredError(f"{path.partition('?')[0]} of {endpoint} answers {response.status}")
        return response.json()

    def post(self, endpoint: str, path: str, document: Any) -> None:
        """Sends a document.

        Raises:
            UnansweredError: the caller may not send it, or it isn't accepted.
            OSError: the workspace doesn't answer.
        """
        response = self._send("POST", endpoint, path, json.dumps(document).encode())
        if response.status not in (200, 202):
            raise UnansweredError(f"{path} of {endpoint} answers {response.status}")

    def _send(self, method: str, endpoint: str, path: str, body: bytes | None) -> Response:
        credentials = self._credentials()
        if credentials is None:
            raise UnansweredError("no AWS credentials", "sign in, or set AWS_PROFILE")
        kind = {"Content-Type": "application/json"} if body else {}
        request = AWSRequest(method, f"{endpoint}{path}", kind, body)
        SigV4Auth(credentials, SERVICE, self._region).add_auth(request)
        parts = urlsplit(endpoint)
        response = self._https.send(
            parts.hostname or "",
            f"{parts.path}{path}",
            dict(request.headers.items()),
            method=method,
            body=body,
        )
        if response.status in (401, 403):
            actions = (
                "aps:CreateAlertManagerAlerts"
                if body
                else "aps:QueryMetrics, aps:ListRules and aps:ListAlertManagerAlerts"
            )
            raise UnansweredError(
                f"not allowed to call {path.partition('?')[0]} of {endpoint}",
                f"allow {actions}, or check by hand",
            )
        return response


def scraper(amp: Client, identifier: str) -> Answer:
    """The scraper is active."""
    found = amp.describe_scraper(scraperId=identifier)["scraper"]
    status = found["status"]["statusCode"]
    return judged(
        [f"{found['alias']} is {status}: {found.get('statusReason', 'no reason')}"]
        if status != "ACTIVE"
        else [],
        f"{found['alias']} is active",
        "see `metrics-ingestion` in docs/operations.md",
    )


def definitions(amp: Client, workspace: str, namespaces: Sequence[str]) -> Answer:
    """The workspace has accepted the rules and the alert manager's definition."""
    found: dict[str, Mapping[str, str]] = {
        name: amp.describe_rule_groups_namespace(workspaceId=workspace, name=name)["ruleGroupsNamespace"][
            "status"
        ]
        for name in namespaces
    }
    definition = amp.describe_alert_manager_definition(workspaceId=workspace)["alertManagerDefinition"]
    found["the alert manager"] = definition["status"]
    problems = [
        f"{name} is {status['statusCode']}: {status.get('statusReason', 'no reason')}"
        for name, status in found.items()
        if status["statusCode"] != "ACTIVE"
    ]
    return judged(problems, f"{', '.join(found)} are active", "correct the definition, and deploy again")


def targets(
    workspaces: Workspaces, endpoint: str, configurations: Sequence[str], services: Sequence[str]
) -> Answer:
    """Every target that is scraped is up, and everything that should be scraped is.

    Args:
        workspaces: the client.
        endpoint: the workspace's endpoint.
        configurations: the configurations of its scrapers. Each job must have a target.
        services: the services whose pods the job `SERVICES_JOB` scrapes. Each must have a target of that job.
    """
    jobs = [job["job_name"] for text in configurations for job in yaml.safe_load(text)["scrape_configs"]]
    wanted: list[Labels] = [{"job": job} for job in jobs]
    if SERVICES_JOB in jobs:
        wanted += [{"job": SERVICES_JOB, "service": service} for service in services]
    found = workspaces.get(endpoint, "api/v1/query?query=up")["data"]["result"]
    down = sorted(
        f"{item['metric'].get('job', '')} {item['metric'].get('instance', '')}".strip()
        for item in found
        if float(item["value"][1]) != 1
    )
    absent = [
        " ".join(f"{name} {value}" for name, value in labels.items())
        for labels in wanted
        if not any(labels.items() <= item["metric"].items() for item in found)
    ]
    problems = [f"{len(down)} of {len(found)} targets are down: {', '.join(down[:5])}"] if down else []
    problems += [f"nothing is scraped of {', '.join(absent)}"] if absent else []
    if not found:
        problems = ["nothing is scraped"]
    return judged(problems, f"{len(found)} targets are up", "see `metrics-ingestion` in docs/operations.md")


def rules(workspaces: Workspaces, endpoint: str) -> Answer:
    """Every rule has been evaluated without an error."""
    found = [
        rule
        for group in workspaces.get(endpoint, "api/v1/rules")["data"]["groups"]
        for rule in group["rules"]
    ]
    failing = [
        f"{rule['name']}: {rule.get('lastError') or rule['health']}"
        for rule in found
        if rule["health"] != "ok"
    ]
    problems = failing[:5] if found else ["the workspace has no rules"]
    return judged(problems, f"{len(found)} rules are evaluated", "see `rules-failed` in docs/operations.md")


def alert_manager(workspaces: Workspaces, endpoint: str, watchdog: str) -> Answer:
    """The alert manager receives alerts: the one that always fires has arrived. It notifies nobody, so this
    says nothing about messages."""
    found = workspaces.get(endpoint, "alertmanager/api/v2/alerts")
    names = sorted({item["labels"].get("alertname", "") for item in found})
    return judged(
        []
        if watchdog in names
        else [f"the alert manager has no {watchdog}, but {', '.join(names) or 'nothing'}"],
        f"{watchdog} has reached the alert manager; whether its messages arrive is the question of "
        "`messages aps.amazonaws.com`",
        "see `alerts-not-evaluated` in docs/operations.md",
    )


def sent_by_alert_manager(
    workspaces: Workspaces,
    endpoint: str,
    receivers: Mapping[str, str],
    wait: Callable[[float], None] = time.sleep,
) -> Answer:
    """Creates a test alert for each topic, which ends by itself, and sees that the alert manager has it for
    the topic's receiver. No API says whether a message has arrived, so people must look for it.

    Args:
        workspaces: the client.
        endpoint: the workspace's endpoint.
        receivers: severity → the receiver of its alerts.
        wait: waits for some seconds.
    """
    end = datetime.now(UTC) + timedelta(minutes=TEST_MINUTES)
    annotations = {
        "summary": "python -m account verify --messages tests the alert manager",
        "description": "Nothing is wrong. The alert ends by itself.",
        "runbook": "none",
    }
    alerts = [
        {
            "labels": {"alertname": TEST_ALERT, "service": "test", "severity": severity},
            "annotations": annotations,
            "endsAt": end.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        }
        for severity in receivers
    ]
    workspaces.post(endpoint, "alertmanager/api/v2/alerts", alerts)
    lacking: list[tuple[str, str]] = []
    for _ in range(ATTEMPTS):
        found = workspaces.get(endpoint, "alertmanager/api/v2/alerts")
        reached = {
            (item["labels"].get("severity"), receiver["name"])
            for item in found
            if item["labels"].get("alertname") == TEST_ALERT
            for receiver in item.get("receivers", ())
        }
        lacking = [name for name in receivers.items() if name not in reached]
        if not lacking:
            return Answer(
                "unknown",
                f"the alert manager has {TEST_ALERT} for {', '.join(receivers.values())}",
                "each topic's subscribers must get a message about the service `test` within two minutes. "
                "Otherwise see `alerts-not-delivered` in docs/operations.md",
            )
        wait(PAUSE_SECONDS)
    return Answer(
        "fail",
        f"the alert manager doesn't have {TEST_ALERT} for {', '.join(name for _, name in lacking)}",
        "see `definitions` of the same workspace",
    )
