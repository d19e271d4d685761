"""The Prometheus workspaces: what they scrape, what they evaluate, and whom they notify."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest

from account.question import Answer, Client, UnansweredError, judged
from account.verify.https import Https

SERVICE = "aps"
"""Name of the service in signatures (Amazon Managed Service for Prometheus User Guide, "Query using
Prometheus-compatible APIs", read 2026-11-27)."""


class Workspaces:
    """Reads from the workspaces of a region by Prometheus's own API, with signed requests."""

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
        credentials = self._credentials()
        if credentials is None:
            raise UnansweredError("no AWS credentials", "sign in, or set AWS_PROFILE")
        request = AWSRequest("GET", f"{endpoint}{path}")
        SigV4Auth(credentials, SERVICE, self._region).add_auth(request)
        parts = urlsplit(endpoint)
        response = self._https.send(
            parts.hostname or "", f"{parts.path}{path}", dict(request.headers.items())
        )
        if response.status in (401, 403):
            raise UnansweredError(
                f"not allowed to call {path.partition('?')[0]} of {endpoint}",
                "allow aps:QueryMetrics, aps:ListRules and aps:ListAlertManagerAlerts, or check by hand",
            )
        if response.status != 200:
            raise UnansweredError(f"{path.partition('?')[0]} of {endpoint} answers {response.status}")
        return response.json()


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


def targets(workspaces: Workspaces, endpoint: str) -> Answer:
    """Every target that is scraped is up."""
    found = workspaces.get(endpoint, "api/v1/query?query=up")["data"]["result"]
    down = sorted(
        f"{item['metric'].get('job', '')} {item['metric'].get('instance', '')}".strip()
        for item in found
        if float(item["value"][1]) != 1
    )
    problems = [f"{len(down)} of {len(found)} targets are down: {', '.join(down[:5])}"] if down else []
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
    """The alert manager receives alerts: the one that always fires has arrived."""
    found = workspaces.get(endpoint, "alertmanager/api/v2/alerts")
    names = sorted({item["labels"].get("alertname", "") for item in found})
    return judged(
        []
        if watchdog in names
        else [f"the alert manager has no {watchdog}, but {', '.join(names) or 'nothing'}"],
        f"the alert manager has {', '.join(names)}",
        "see `alerts-not-evaluated` in docs/operations.md",
    )
