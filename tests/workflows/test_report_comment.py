"""The comment with a pull request's reports: found again, replaced whatever the runs' results, and never too
long."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import report_comment
from github_api import BODY_LIMIT, GitHubError
from report_comment import MARKER, SOURCES

from tests.unit.harness import ROOT
from tests.workflows.github_server import BOT, GitHubServer, Json, archive

HEAD, OLD = "c0ffee" + "0" * 34, "dead" + "0" * 36
REPORT, DEV, PROD = (source.path for source in SOURCES)


def repository(name: str) -> Json:
    owner = name.split("/")[0]
    return {"full_name": name, "owner": {"login": owner}}


def pull(
    number: int = 7, source: str = "octo-org/octo-repo", sha: str = HEAD, branch: str = "change"
) -> Json:
    head = {"sha": sha, "repo": repository(source), "label": f"{source.split('/')[0]}:{branch}"}
    return {
        "number": number,
        "state": "open",
        "head": head,
        "base": {"repo": repository("octo-org/octo-repo")},
    }


def run(number: int = 1, path: str = REPORT, **changes: Any) -> Json:
    return {
        "id": number,
        "run_number": number,
        "path": path,
        "event": "pull_request",
        "status": "completed",
        "conclusion": "success",
        "head_sha": HEAD,
        "head_branch": "change",
        "head_repository": repository("octo-org/octo-repo"),
        "pull_requests": [],
        **changes,
    }


@pytest.fixture
def post(server: GitHubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs the script for the event of a run."""

    def function(of_run: Json, action: str = "completed") -> str:
        (tmp_path / "event.json").write_text(json.dumps({"action": action, "workflow_run": of_run}))
        monkeypatch.setenv("GITHUB_EVENT_PATH", str(tmp_path / "event.json"))
        assert report_comment.main() == 0
        return server.comments[-1]["body"] if server.comments else ""

    return function


def test_report_becomes_a_comment_and_is_updated_in_place(server: GitHubServer, post: Any) -> None:
    server.pulls, server.runs = [pull()], [run()]
    server.artifact(1, "report-prod", archive(report__md="**2 replaced**"))
    body = post(run())
    assert body.startswith(f"{MARKER}\n### Previews of c0ffee0000\n")
    assert (
        "[In the sandbox, against the base](https://github.com/octo-org/octo-repo/actions/runs/1) | passed |"
        in body
    )
    assert "#### In the sandbox, against the base: prod\n\n**2 replaced**" in body

    server.runs.append(run(2))
    server.artifact(2, "report-prod", archive(report__md="nothing changes"))
    assert "nothing changes" in post(run(2))
    assert len(server.comments) == 1
    assert "**2 replaced**" not in server.comments[0]["body"]


def test_change_of_the_rules_or_the_workflows_is_reported_first(server: GitHubServer, post: Any) -> None:
    server.pulls, server.runs = [pull()], [run()]
    server.files = [
        {"filename": "components/web/web.py", "status": "modified"},
        {"filename": "policy/exceptions.yaml", "status": "modified"},
        {
            "filename": "other/checks.yaml",
            "status": "renamed",
            "previous_filename": ".github/workflows/checks.yaml",
        },
        {"filename": "tests/policy/stacks.py", "status": "added"},
    ]
    body = post(run())
    first, rest = body.split("| preview | result |")
    assert "**This pull request changes the rules or the workflows" in first
    assert "- `.github/workflows/checks.yaml`\n- `policy/exceptions.yaml`\n" in first
    assert "components/web" not in body
    assert "passed" in rest
    server.files = server.files[:1]
    assert "changes the rules" not in post(run())


def test_many_changed_rules_are_counted(server: GitHubServer, post: Any) -> None:
    server.pulls, server.runs = [pull()], [run()]
    server.files = [{"filename": f"policy/rules/{n:03}.py", "status": "added"} for n in range(250)]
    assert "policy/rules/019.py`\n- and 230 more\n" in post(run())


def test_more_files_than_github_lists_count_as_changed_rules(server: GitHubServer, post: Any) -> None:
    server.pulls, server.runs = [pull()], [run()]
    server.files = [{"filename": f"docs/{n}.md", "status": "added"} for n in range(3_000)]
    assert "- `policy/ and .github/ (too many files to list)`" in post(run())


def test_comment_that_stays_the_same_is_not_written(server: GitHubServer, post: Any) -> None:
    server.pulls, server.runs = [pull()], [run()]
    post(run())
    post(run())
    assert not [request for request in server.requests if request.startswith("PATCH")]


def test_comment_is_found_among_hundreds(server: GitHubServer, post: Any) -> None:
    server.pulls, server.runs = [pull()], [run()]
    others = [
        {"id": n, "issue": 7, "html_url": "", "body": f"comment {n}", "user": {"login": "a", "type": "User"}}
        for n in range(350)
    ]
    own: Json = {"id": 5000, "issue": 7, "html_url": "u", "body": MARKER, "user": BOT}
    server.comments = [*others, own]
    post(run())
    assert own["body"].startswith(f"{MARKER}\n### Previews of")
    assert len(server.comments) == 351


@pytest.mark.parametrize(
    "user",
    [
        {"login": "octocat", "type": "User"},
        {"login": "github-actions[bot]", "type": "User"},
        {"login": "dependabot[bot]", "type": "Bot"},
    ],
)
def test_marker_in_a_comment_of_somebody_else_means_nothing(
    server: GitHubServer, post: Any, user: Json
) -> None:
    server.pulls, server.runs = [pull()], [run()]
    server.comments = [{"id": 1, "issue": 7, "html_url": "", "body": f"{MARKER} mine", "user": user}]
    post(run())
    assert server.comments[0]["body"] == f"{MARKER} mine"
    assert len(server.comments) == 2


def test_marker_inside_another_comment_of_the_workflows_means_nothing(
    server: GitHubServer, post: Any
) -> None:
    server.pulls, server.runs = [pull()], [run()]
    server.comments = [{"id": 1, "issue": 7, "html_url": "", "body": f"quoted: {MARKER}", "user": BOT}]
    post(run())
    assert len(server.comments) == 2


@pytest.mark.parametrize(
    ("conclusion", "text"),
    [
        ("failure", "**failed**"),
        ("cancelled", "**cancelled**"),
        ("timed_out", "**timed out**"),
        ("startup_failure", "**could not start**"),
    ],
)
def test_run_without_a_report_replaces_the_green_one(
    server: GitHubServer, post: Any, conclusion: str, text: str
) -> None:
    server.pulls, server.runs = [pull()], [run()]
    server.artifact(1, "report-prod", archive(report__md="all is well"))
    assert "all is well" in post(run())
    newest = run(2, conclusion=conclusion)
    server.runs.append(newest)
    server.jobs[2] = [
        {
            "name": "Report (prod)",
            "conclusion": conclusion,
            "steps": [
                {"name": "Set up", "conclusion": "success"},
                {"name": "Compare", "conclusion": conclusion},
            ],
        }
    ]
    body = post(newest)
    assert f"| {text} |" in body
    assert f"- Report (prod): {text}, at the step *Compare*" in body
    assert "all is well" not in body


def test_failed_preview_shows_its_reason(server: GitHubServer, post: Any) -> None:
    failed = run(conclusion="failure")
    server.pulls, server.runs = [pull()], [failed]
    server.artifact(
        1, "report-prod", archive(report__md="The preview of prod failed:\n```\nno such zone\n```")
    )
    assert "no such zone" in post(failed)


def test_run_that_begins_marks_the_old_report_as_old(server: GitHubServer, post: Any) -> None:
    server.pulls, server.runs = [pull()], [run()]
    server.artifact(1, "report-prod", archive(report__md="all is well"))
    post(run())
    newest = run(2, status="queued", conclusion=None)
    server.runs.append(newest)
    body = post(newest, action="requested")
    assert "| is running |" in body
    assert "all is well" not in body


def test_first_comment_waits_for_a_result(server: GitHubServer, post: Any) -> None:
    begun = run(status="queued", conclusion=None)
    server.pulls, server.runs = [pull()], [begun]
    assert post(begun, action="requested") == ""


def test_preview_that_waits_for_a_reviewer_does_not_delay_the_others(server: GitHubServer, post: Any) -> None:
    waiting = run(3, PROD, status="waiting", conclusion=None)
    server.pulls, server.runs = [pull()], [run(1), run(2, DEV), waiting]
    server.artifact(2, "report-dev", archive(report__md="dev's changes"))
    body = post(run(2, DEV))
    assert (
        "On AWS: prod](https://github.com/octo-org/octo-repo/actions/runs/3) | waits for a reviewer's" in body
    )
    assert "#### On AWS: dev: dev\n\ndev's changes" in body


def test_pull_request_of_a_fork_is_found_by_its_head(server: GitHubServer, post: Any) -> None:
    fork: dict[str, Any] = {"head_repository": repository("stranger/octo-repo")}
    server.pulls = [
        pull(6, sha=OLD),
        pull(8, "stranger/octo-repo"),
        pull(9, "stranger/octo-repo", branch="other"),
    ]
    server.runs = [run(**fork)]
    server.artifact(1, "report-prod", archive(report__md="of the fork"))
    assert "of the fork" in post(run(**fork))
    assert server.comments[0]["issue"] == 8


def test_other_repository_of_the_same_owner_is_not_the_head(server: GitHubServer, post: Any) -> None:
    server.pulls, server.runs = [pull(5, "octo-org/fork"), pull(7)], [run()]
    post(run())
    assert [one["issue"] for one in server.comments] == [7]


def test_newest_run_is_shown_in_whichever_order_they_are_listed(server: GitHubServer, post: Any) -> None:
    server.pulls, server.runs = [pull()], [run(2), run(1, conclusion="failure")]
    assert "| passed |" in post(run(1))


def test_fork_can_not_show_a_preview_on_aws(server: GitHubServer, post: Any) -> None:
    """Its pull request may contain a workflow of any name, which uploads what it likes."""
    fork: dict[str, Any] = {"head_repository": repository("stranger/octo-repo")}
    server.pulls = [pull(8, "stranger/octo-repo")]
    server.runs = [run(1, **fork), run(2, DEV, **fork), run(3, ".github/workflows/other.yaml", **fork)]
    for number in (2, 3):
        server.artifact(number, "report-dev", archive(report__md="forged"))
    assert "forged" not in post(run(2, DEV, **fork))
    assert "On AWS" not in server.comments[0]["body"]


def test_run_of_another_repository_with_the_same_commit_is_not_shown(server: GitHubServer, post: Any) -> None:
    server.pulls = [pull()]
    server.runs = [run(1), run(2, head_repository=repository("stranger/octo-repo"))]
    server.artifact(2, "report-prod", archive(report__md="forged"))
    assert "forged" not in post(run(1))


@pytest.mark.parametrize(
    "changes",
    [
        {"head_sha": OLD},  # a newer commit was pushed
        {"head_branch": "other"},
        {"head_repository": repository("stranger/octo-repo")},
        {"head_repository": None},  # the fork was deleted
        {"event": "push"},
    ],
)
def test_run_of_no_open_pull_request_writes_nothing(server: GitHubServer, post: Any, changes: Json) -> None:
    server.pulls, server.runs = [pull()], [run(**changes)]
    assert post(run(**changes)) == ""


def test_pull_requests_that_share_a_head_are_told_apart_by_the_event(server: GitHubServer, post: Any) -> None:
    server.pulls, server.runs = [pull(7), pull(8)], [run()]
    post(run(pull_requests=[{"number": 8}]))
    assert [one["issue"] for one in server.comments] == [8]
    with pytest.raises(GitHubError, match="#7, #8 have the same head"):
        post(run())


def test_text_of_the_artifact_can_not_act_in_the_comment(server: GitHubServer, post: Any) -> None:
    server.pulls, server.runs = [pull()], [run(conclusion="failure")]
    text = "@octocat <!-- --> <img src=x> [Approve](https://attacker.example) #1"
    server.artifact(1, "report-prod", archive(report__md=text))
    name = "x](https://attacker.example) @octocat `<!--"
    server.jobs[1] = [
        {"name": name, "conclusion": "failure", "steps": [{"name": name, "conclusion": "failure"}]}
    ]
    body = post(run(conclusion="failure"))
    for forbidden in ("@o", "<img", "](https://attacker", "#1", "\n\n<!--"):
        assert forbidden not in body.removeprefix(MARKER)


def test_names_of_artifacts_are_held_to_a_form(server: GitHubServer, post: Any) -> None:
    server.pulls, server.runs = [pull()], [run()]
    for name in ("report-", "report-../x", "report-A", "plan-prod", "report-" + "a" * 41, "xreport-dev"):
        server.artifact(1, name, archive(report__md="shown"))
    assert "shown" not in post(run())


def test_report_of_the_newest_attempt_is_shown(server: GitHubServer, post: Any) -> None:
    server.pulls, server.runs = [pull()], [run()]
    server.artifact(1, "report-prod", archive(report__md="second"), id=9100)
    server.artifact(1, "report-prod", archive(report__md="first"), id=9050)
    body = post(run())
    assert "second" in body
    assert "first" not in body


@pytest.mark.parametrize(
    ("content", "changes", "reason"),
    [
        (archive(report__md="x"), {"expired": True}, "the artifact has expired"),
        (
            archive(report__md="x"),
            {"size_in_bytes": 10_000_001},
            "the artifact has more than 10,000,000 bytes",
        ),
        (archive(report__md=b"0" * 1_000_001), {}, "report.md has more than 1,000,000 bytes"),
        (b"0" * 10_000_001, {"size_in_bytes": 1}, "more than 10,000,000 bytes"),
        (b"no archive", {}, "the artifact is not a readable archive"),
        (archive(other__txt="x"), {}, "the artifact has no report.md"),
    ],
)
def test_unreadable_artifact_is_replaced_by_the_reason(
    server: GitHubServer, post: Any, content: bytes, changes: Json, reason: str
) -> None:
    server.pulls, server.runs = [pull()], [run()]
    server.artifact(1, "report-prod", content, **changes)
    assert f"The report can't be shown: {reason}" in post(run()).replace(
        "GET actions/artifacts/9000/zip: ", ""
    )


def test_reports_share_the_room_of_a_comment(server: GitHubServer, post: Any) -> None:
    server.pulls, server.runs = [pull()], [run(1), run(2, DEV)]
    line = "- one more change of a resource\n"
    server.artifact(1, "report-dev", archive(report__md="short"))
    server.artifact(1, "report-prod", archive(report__md=line * 3_000))
    server.artifact(2, "report-dev", archive(report__md="<details>\n\n" + line * 3_000))
    body = post(run())
    assert BODY_LIMIT - 500 < len(body) <= BODY_LIMIT
    assert "\n\nshort\n\n" in body
    assert (
        body.count("it is in the run's artifacts](https://github.com/octo-org/octo-repo/actions/runs/") == 2
    )
    assert body.count("</details>") == 1


def test_many_long_reports_never_exceed_the_limit(server: GitHubServer, post: Any) -> None:
    server.pulls, server.runs = (
        [pull()],
        [run(number, path, conclusion="failure") for number, path in enumerate((REPORT, DEV, PROD))],
    )
    for number in range(3):
        server.jobs[number] = [
            {"name": f"job {n}" * 20, "conclusion": "failure", "steps": []} for n in range(500)
        ]
        for name in range(12):
            server.artifact(number, f"report-{name}", archive(report__md="x" * 40_000))
    assert len(post(run())) <= BODY_LIMIT


def test_sources_are_the_workflows_that_upload_reports() -> None:
    comment = (ROOT / ".github/workflows/comment.yaml").read_text()
    for source in SOURCES:
        name = (ROOT / source.path).read_text().split("\nname: ")[1].split("\n")[0]
        assert name in comment.split("workflows: [")[1].split("]")[0].split(", ")
