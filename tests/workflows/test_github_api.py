"""The client of GitHub's API."""

from __future__ import annotations

from pathlib import Path

import pytest
from github_api import GitHub, GitHubError, event, set_output

from tests.workflows.github_server import GitHubServer, archive


def client(server: GitHubServer) -> GitHub:
    return GitHub(server.repository, server.token, server.url, pause=0)


def test_all_pages_of_a_list_are_read(server: GitHubServer) -> None:
    server.page = 3
    server.comments = [
        {"id": n, "issue": 7, "html_url": "", "body": "", "user": {"login": "a", "type": "User"}}
        for n in range(100)
    ]
    assert [one["id"] for one in client(server).pages("issues/7/comments")] == list(range(100))


def test_next_page_on_another_host_gets_no_token(server: GitHubServer) -> None:
    server.page, server.next_page = 1, "http://attacker.example/repos"
    server.issues = [{"number": n, "state": "open", "body": "", "user": {"login": "a"}} for n in (1, 2)]
    with pytest.raises(GitHubError, match="is not an address of"):
        list(client(server).pages("issues", state="open"))


def test_list_without_end_is_given_up(server: GitHubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("github_api.MAX_PAGES", 3)
    server.page = 1
    server.issues = [{"number": n, "state": "open", "body": "", "user": {"login": "a"}} for n in range(9)]
    with pytest.raises(GitHubError, match="more than 3 pages"):
        list(client(server).pages("issues", state="open"))


def test_artifact_is_downloaded_without_the_token(server: GitHubServer) -> None:
    server.artifact(1, "report-dev", archive(report__md="text"))
    assert client(server).download("actions/artifacts/9000/zip", 10_000) == server.artifacts[1][0]["content"]
    # The server reports a token that its storage gets.


def test_download_stops_at_the_limit(server: GitHubServer) -> None:
    server.artifact(1, "report-dev", b"x" * 2_000)
    with pytest.raises(GitHubError, match="more than 1,000 bytes"):
        client(server).download("actions/artifacts/9000/zip", 1_000)


def test_reading_survives_a_server_that_fails_for_a_moment(server: GitHubServer) -> None:
    server.failing = 3
    assert list(client(server).pages("issues", state="open")) == []


def test_writing_is_not_repeated_because_it_may_have_worked(server: GitHubServer) -> None:
    server.failing = 1
    with pytest.raises(GitHubError, match="502 Server Error"):
        client(server).post("issues", {"title": "one"})
    assert server.requests == ["POST /repos/octo-org/octo-repo/issues"]


def test_refused_request_is_reported_with_githubs_words(server: GitHubServer) -> None:
    with pytest.raises(GitHubError, match="GET /repos/octo-org/octo-repo/issues: 401 Bad credentials"):
        GitHub(server.repository, "wrong", server.url, pause=0).get("issues")


def test_server_that_does_not_answer_is_reported() -> None:
    with pytest.raises(GitHubError, match="Connection refused"):
        GitHub("a/b", "token", "http://127.0.0.1:9", pause=0).get("issues")


def test_job_without_a_token_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GITHUB_TOKEN", raising=False)
    with pytest.raises(GitHubError, match=r"the environment has no .*GITHUB_TOKEN"):
        GitHub.of_job()


def test_event_and_outputs_are_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "event").write_text('{"action": "labeled"}')
    monkeypatch.setenv("GITHUB_EVENT_PATH", str(tmp_path / "event"))
    monkeypatch.setenv("GITHUB_OUTPUT", str(tmp_path / "output"))
    assert event() == {"action": "labeled"}
    set_output("names", '["a"]')
    assert (tmp_path / "output").read_text() == 'names=["a"]\n'
    with pytest.raises(ValueError, match="several lines"):
        set_output("names", "a\nother=b")
