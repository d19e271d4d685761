"""What a job on a real stack needs is checked first, and each message says what to set up."""

from __future__ import annotations

import re
from pathlib import Path

import preconditions
import pytest

from tests.unit.harness import ROOT

RIGHT = {
    "AWS_ROLE": "arn:aws:iam::123456789012:role/trading/deploy",
    "ENVIRONMENT": "prod",
    "GITHUB_REPOSITORY": "octo-org/octo-repo",
    "PULUMI_BACKEND_URL": "s3://state",
    "ROLE_VARIABLE": "AWS_DEPLOY_ROLE_ARN",
    "RUNNER_LABEL": "in-the-vpc",
    "RUNNER_VARIABLE": "DEPLOY_RUNNER",
    "SESSION_SECONDS": "7200",
}


@pytest.fixture(autouse=True)
def _environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("GITHUB_OUTPUT", str(tmp_path / "output"))
    for name, value in RIGHT.items():
        monkeypatch.setenv(name, value)


def test_job_that_has_everything_learns_the_engines_version(tmp_path: Path) -> None:
    assert preconditions.main(["check"]) == 0
    version = re.findall(r"^pulumi==(\S+)", (ROOT / "requirements.txt").read_text(), re.MULTILINE)[0]
    assert (tmp_path / "output").read_text() == f"engine={version}\n"


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        (
            "RUNNER_LABEL",
            "",
            "the repository's variable DEPLOY_RUNNER is not set: name a runner in one of the networks",
        ),
        ("AWS_ROLE", "", "the variable AWS_DEPLOY_ROLE_ARN of the environment prod is not set"),
        ("AWS_ROLE", "deploy", "is 'deploy'; expected an ARN such as arn:aws:iam::123456789012:role/deploy"),
        ("AWS_ROLE", "arn:aws:iam::12:role/x", "expected an ARN"),
        ("PULUMI_BACKEND_URL", "", "PULUMI_BACKEND_URL is ''; expected the address of a state backend"),
        ("PULUMI_BACKEND_URL", "my-bucket", "expected the address of a state backend such as s3://bucket"),
        ("SESSION_SECONDS", "899", "session-seconds is '899'; expected a number from 900 to 43,200"),
        ("SESSION_SECONDS", "43201", "expected a number from 900 to 43,200"),
        ("SESSION_SECONDS", "2h", "expected a number from 900 to 43,200"),
    ],
)
def test_what_is_missing_fails_the_job_with_one_message(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str, value: str, message: str
) -> None:
    monkeypatch.setenv(name, value)
    assert preconditions.main(["check"]) == 1
    first, last = capsys.readouterr().err.splitlines()
    assert message in first
    assert last.startswith("docs/deployment.md#")


@pytest.mark.parametrize(("seconds", "longer"), [("3600", False), ("7200", True)])
def test_refused_session_is_explained(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], seconds: str, longer: bool
) -> None:
    monkeypatch.setenv("SESSION_SECONDS", seconds)
    assert preconditions.main(["session"]) == 1
    text = capsys.readouterr().err
    assert "must allow the subject repo:octo-org/octo-repo:environment:prod" in text
    command = "aws iam update-role --role-name deploy --max-session-duration 7200"
    assert (command in text) is longer


def test_documentation_that_is_named_exists() -> None:
    path, _, anchor = preconditions.DOCUMENTATION.partition("#")
    headings = re.findall(r"^#+ (.+)$", (ROOT / path).read_text(), re.MULTILINE)
    assert anchor in {heading.lower().replace(" ", "-") for heading in headings}


def test_file_without_the_sdk_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "requirements.txt").write_text("pulumi-aws==7.51.1\n")
    monkeypatch.chdir(tmp_path)
    assert preconditions.main(["check"]) == 1
