"""The issue about drift: opened, updated and closed, and one at a time."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import drift_issue
import pytest
from drift_issue import MARKER, update
from github_api import BODY_LIMIT, GitHub

from tests.workflows.github_server import BOT, GitHubServer

LINK = "https://github.com/octo-org/octo-repo/actions/runs/4711"
URN = "urn:pulumi:prod::trading::trading:tier:Web$aws:s3/bucket:Bucket::web-assets"


def result(stack: str = "prod", error: str = "", *changes: dict[str, Any]) -> dict[str, Any]:
    return {"stack": stack, "changes": list(changes), "error": error}


def changed(operation: str = "update", *properties: str) -> dict[str, Any]:
    return {"urn": URN, "operation": operation, "properties": list(properties)}


def client(server: GitHubServer) -> GitHub:
    return GitHub(server.repository, server.token, server.url, pause=0)


def test_issue_is_opened_updated_and_closed(server: GitHubServer) -> None:
    github = client(server)
    assert update(github, [result("dev"), result()], LINK) == "nothing differs"
    assert server.issues == []

    assert (
        update(github, [result("dev"), result("prod", "", changed("update", "tags.owner"))], LINK)
        == "opened #1000"
    )
    (issue,) = server.issues
    assert issue["title"] == "The accounts differ from what was deployed"
    assert "### prod: 1 resources\n\n- `aws:s3/bucket:Bucket` **web-assets**: `tags.owner`" in issue["body"]
    assert "### dev" not in issue["body"]

    assert update(github, [result("dev", "", changed("delete")), result()], LINK) == "updated #1000"
    assert "### dev: 1 resources\n\n- `aws:s3/bucket:Bucket` **web-assets**: was deleted" in issue["body"]
    assert "### prod" not in issue["body"]

    assert update(github, [result("dev"), result()], LINK) == "closed #1000"
    assert (issue["state"], issue["state_reason"]) == ("closed", "completed")
    assert server.comments[0]["body"] == f"[Nothing differs any more]({LINK})."

    assert update(github, [result("prod", "", changed())], LINK) == "opened #1001"


def test_environment_that_can_not_be_checked_keeps_the_issue_open(server: GitHubServer) -> None:
    github = client(server)
    update(github, [result("prod", "", changed())], LINK)
    assert update(github, [result("prod", "no credentials ```")], LINK) == "updated #1000"
    assert "### prod: could not be checked\n\n```\nno credentials ` ` `\n```" in server.issues[0]["body"]


@pytest.mark.parametrize(
    "other",
    [
        {"user": {"login": "octocat", "type": "User"}},
        {"body": "another issue of the workflows"},
        {"body": None},
        {"pull_request": {"url": "x"}},
        {"state": "closed"},
    ],
)
def test_other_issues_are_left_alone(server: GitHubServer, other: dict[str, Any]) -> None:
    issue = {"number": 1, "state": "open", "user": BOT, "body": f"{MARKER} other", **other}
    server.issues = [dict(issue)]
    assert update(client(server), [result("prod", "", changed())], LINK).startswith("opened")
    assert server.issues[0] == issue


def test_issue_is_found_behind_hundreds_of_others(server: GitHubServer) -> None:
    others = [{"number": n, "state": "open", "user": BOT, "body": ""} for n in range(250)]
    server.issues = [*others, {"number": 900, "state": "open", "user": BOT, "body": MARKER}]
    assert update(client(server), [result("prod", "", changed())], LINK) == "updated #900"


def test_issue_is_never_too_long_and_mentions_nobody(server: GitHubServer) -> None:
    many = [changed("update", *[f"@octocat.tags[{n}]" for n in range(20)])] * 1_000
    update(client(server), [result("prod", "", *many)], LINK)
    body = server.issues[0]["body"]
    assert BODY_LIMIT - 1_000 < len(body) <= BODY_LIMIT
    assert "The rest did not fit into the issue" in body
    assert "@octocat" not in body


def test_job_that_left_no_result_is_listed(
    server: GitHubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, content in (("drift-dev", json.dumps(result("dev"))), ("drift-prod", "{broken")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "drift.json").write_text(content)
    folders = [str(tmp_path / name) for name in ("drift-dev", "drift-prod", "drift-test")]
    monkeypatch.setattr("sys.argv", ["drift_issue.py", *folders])
    assert drift_issue.main() == 0
    body = server.issues[0]["body"]
    assert "### prod: could not be checked\n\n```\nThe job ended without a result.\n```" in body
    assert "### test: could not be checked" in body
    assert "### dev" not in body
