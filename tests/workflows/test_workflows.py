"""The workflows: what they run is tested, what runs a pull request's code has no rights, and each job is held
back only by what must hold it back."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any

import preconditions
import pytest
import release_notes
import stack_names
from github_api import GitHub, GitHubError
from real_stack import main

from policy.values import read_yaml
from report.base import base_of
from tests.unit.harness import ROOT
from tests.workflows.github_server import GitHubServer

GITHUB = ROOT / ".github"
WORKFLOWS = {path.name: read_yaml(path) for path in sorted(GITHUB.glob("workflows/*.yaml"))}
ACTIONS = {
    f"{path.parent.name} (action)": read_yaml(path) for path in sorted(GITHUB.glob("actions/*/action.yaml"))
}
JOBS = {f"{file}: {name}": job for file, found in WORKFLOWS.items() for name, job in found["jobs"].items()}
"""Python's YAML reads the key `on` as true."""


def steps() -> Generator[tuple[str, dict[str, Any]]]:
    """All steps of the workflows and the composite actions, with the place of each."""
    for place, job in JOBS.items():
        for step in job.get("steps", []):
            yield place, step
    for place, action in ACTIONS.items():
        for step in action["runs"]["steps"]:
            yield place, step


RUNS = [(place, step["run"]) for place, step in steps() if "run" in step]


@pytest.mark.parametrize(
    ("place", "command"), RUNS, ids=[f"{place} {command[:40]}" for place, command in RUNS]
)
def test_step_runs_one_command_that_tests_run_too(place: str, command: str) -> None:
    """A target of the Makefile, or a script or module: no shell program, which nothing tests."""
    assert "\n" not in command.strip()
    assert not re.search(r"[;&|<>`]|\$[({]", command), (
        "a shell program, or an expression that GitHub replaces"
    )
    program, *arguments = shlex.split(command)
    if program == "make":
        targets = [argument for argument in arguments if "=" not in argument]
        (phony,) = re.findall(r"^\.PHONY: (.+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
        assert len(targets) == 1
        assert targets[0] in phony.split()
    elif arguments[0] == "-m":
        assert (ROOT / arguments[1] / "__main__.py").exists()
        assert program == ".venv/bin/python"
    else:
        assert program in ("python3", ".venv/bin/python")
        script = ROOT / arguments[0]
        assert script.parent == GITHUB / "scripts"
        tests = "".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
        assert re.search(rf"\b(import {script.stem}|from {script.stem} import)\b", tests)


def test_scripts_run_without_packages_where_none_are_installed() -> None:
    """`python3` is the runner's own Python: what it runs needs its standard library only."""
    scripts = {shlex.split(command)[1] for _, command in RUNS if command.startswith("python3")}
    assert scripts
    for script in scripts:
        code = f"import runpy; runpy.run_path({script!r}, run_name='imported')"
        subprocess.run([sys.executable, "-I", "-S", "-c", code], cwd=ROOT, check=True)


def test_expressions_reach_commands_only_through_the_environment() -> None:
    for place, step in steps():
        assert "${{" not in step.get("run", ""), place


def test_every_variable_of_a_command_is_set() -> None:
    given = {"GITHUB_REF_NAME"}  # by GitHub
    for place, step in steps():
        used = set(re.findall(r"\$(\w+)", step.get("run", "")))
        assert used - given <= {*step.get("env", {})}, place


def test_jobs_that_run_a_pull_requests_code_without_an_environment_have_no_rights() -> None:
    """Forks run these. A job with an environment runs for branches of this repository only."""
    for file, workflow in WORKFLOWS.items():
        events: dict[str, Any] = workflow[True] or {}
        if "pull_request" not in events and "workflow_call" not in events:
            continue
        for name, job in workflow["jobs"].items():
            text = json.dumps(job)
            assert "secrets" not in text, f"{file}: {name}"
            write = [right for right, value in job.get("permissions", {}).items() if value == "write"]
            if "environment" in job:
                assert "github.event.pull_request.head.repo.full_name == github.repository" in job["if"]
            elif "aws-preview.yaml" not in job.get("uses", ""):
                assert write == [], f"{file}: {name}"
    assert not [
        file for file, workflow in WORKFLOWS.items() if "pull_request_target" in (workflow[True] or {})
    ]


def test_previews_on_aws_have_an_environment_and_a_role_each() -> None:
    job = WORKFLOWS["aws-preview.yaml"]["jobs"]["preview"]
    assert job["environment"] == "preview-${{ inputs.stack }}"
    assert {file for file, found in WORKFLOWS.items() if "aws-preview.yaml" in json.dumps(found)} == {
        "preview-dev.yaml",
        "preview-prod.yaml",
    }
    for stack in ("dev", "prod"):
        (caller,) = WORKFLOWS[f"preview-{stack}.yaml"]["jobs"].values()
        assert caller["with"] == {"stack": stack}


def test_job_that_comments_runs_nothing_of_the_pull_request() -> None:
    workflow = WORKFLOWS["comment.yaml"]
    assert [*workflow[True]] == ["workflow_run"]
    (job,) = workflow["jobs"].values()
    uses = [step["uses"].split("@")[0] for step in job["steps"] if "uses" in step]
    assert uses == ["actions/checkout"]
    assert job["steps"][0]["with"] == {"persist-credentials": False, "ref": "${{ github.sha }}"}
    assert job["permissions"] == {"actions": "read", "contents": "read", "pull-requests": "write"}


def test_reports_run_again_when_labels_change_and_checks_do_not() -> None:
    """A check that is skipped for a label would count as passed."""
    for file in ("report.yaml", "preview-dev.yaml", "preview-prod.yaml"):
        assert {"labeled", "unlabeled", "synchronize"} <= {*WORKFLOWS[file][True]["pull_request"]["types"]}
    assert WORKFLOWS["pull-request.yaml"][True] == {"pull_request": None}


def test_report_is_uploaded_whatever_the_result() -> None:
    uploads = [
        (place, step)
        for place, step in steps()
        if step.get("uses", "").startswith("actions/upload-artifact@")
    ]
    assert len(uploads) == 4
    for place, step in uploads:
        assert step["if"] == "${{ !cancelled() }}", place
        for path in step["with"]["path"].split():
            assert not (ROOT / path).parent.exists(), "a folder of the repository"


def test_environment_that_waits_for_a_reviewer_holds_back_only_itself() -> None:
    """Concurrency of a whole workflow would make dev wait for prod's reviewer."""
    deploy = WORKFLOWS["deploy.yaml"]
    assert "concurrency" not in deploy
    groups = {name: job["concurrency"] for name, job in deploy["jobs"].items() if "concurrency" in job}
    assert groups == {
        stack: {"group": f"deploy-{stack}", "cancel-in-progress": False} for stack in ("dev", "prod")
    }
    deploys = [place for place, job in JOBS.items() if '"command": "deploy"' in json.dumps(job)]
    assert deploys == ["deploy.yaml: dev", "deploy.yaml: prod"]


def test_runbook_freezes_every_workflow_that_deploys_with_the_runs_that_wait() -> None:
    """A disabled workflow goes on with runs that a reviewer approves later."""
    text = (ROOT / "docs" / "operations.md").read_text()
    section = text.split("\n## Freeze deployments\n")[1].split("\n## ")[0]
    deploying = {
        place.split(":")[0] for place, job in JOBS.items() if '"command": "deploy"' in json.dumps(job)
    }
    for verb in ("disable", "enable"):
        assert set(re.findall(rf"gh workflow {verb} (\S+)", section)) == deploying
    (statuses,) = re.findall(r"for status in (.+); do", section)
    assert {"in_progress", "queued", "pending", "waiting"} == set(statuses.split())


def test_prod_is_held_to_the_approved_plan() -> None:
    jobs = WORKFLOWS["deploy.yaml"]["jobs"]
    assert jobs["prod"]["needs"] == "preview-prod"
    upload = jobs["preview-prod"]["steps"][-1]["with"]
    download, deploy = (step["with"] for step in jobs["prod"]["steps"][1:])
    assert upload["name"] == download["name"]
    assert "out/plan.json" in upload["path"].split()
    assert deploy["approved"] == f"{download['path']}/plan.json"
    assert jobs["prod"]["environment"] == "prod"


PULUMI = [(place, step["with"]) for place, step in steps() if step.get("uses") == "./.github/actions/pulumi"]


@pytest.mark.parametrize(("place", "given"), PULUMI, ids=[place for place, _ in PULUMI])
def test_job_on_a_real_stack_says_what_it_needs(place: str, given: dict[str, Any]) -> None:
    action, job = ACTIONS["pulumi (action)"], JOBS[place]
    required = {name for name, found in action["inputs"].items() if found.get("required")}
    assert required <= {*given} <= {*action["inputs"]}
    assert given["environment"] == job["environment"]
    # A variable of the environment and its name, so that the first step can say which one is missing.
    assert given["role"] == f"${{{{ vars.{given['role-variable']} }}}}"
    assert given["runner"] == f"${{{{ vars.{given['runner-variable']} }}}}"
    assert job["runs-on"] == f"${{{{ vars.{given['runner-variable']} || 'ubuntu-24.04' }}}}"
    seconds = int(given.get("session-seconds", action["inputs"]["session-seconds"]["default"]))
    assert job["timeout-minutes"] * 60 < seconds, "the session ends before the job"
    assert seconds == preconditions.DEFAULT_SESSION or given["command"] == "deploy", (
        "a longer session needs a role that allows it"
    )


def test_action_checks_first_and_explains_a_refused_session() -> None:
    first, *others = ACTIONS["pulumi (action)"]["runs"]["steps"]
    assert first["run"] == "python3 .github/scripts/preconditions.py check"
    session = next(step for step in others if "configure-aws-credentials" in step.get("uses", ""))
    explains = others[others.index(session) + 1]
    assert session["continue-on-error"] is True
    assert explains["if"] == f"steps.{session['id']}.outcome != 'success'"
    assert explains["run"] == "python3 .github/scripts/preconditions.py session"
    assert session["with"]["role-duration-seconds"] == "${{ inputs.session-seconds }}"


@pytest.mark.parametrize("command", ["preview", "drift", "deploy"])
def test_commands_of_the_action_are_those_of_the_script(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = [step["run"] for step in ACTIONS["pulumi (action)"]["runs"]["steps"] if "run" in step]
    assert any(f"real_stack.py {command} " in run for run in runs)
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0
    assert command in capsys.readouterr().out


def test_documentation_names_every_environment_and_variable() -> None:
    page = (ROOT / "docs/deployment.md").read_text()
    texts = [path.read_text() for path in GITHUB.rglob("*.yaml")]
    for variable in {name for text in texts for name in re.findall(r"\bvars\.(\w+)", text)}:
        assert f"`{variable}`" in page
    for environment in ("dev", "prod", "preview-dev", "preview-prod", "read-dev", "read-prod"):
        assert f"`{environment}`" in page


def test_linters_of_the_workflows_load_nothing() -> None:
    recipe = (ROOT / "Makefile").read_text()
    assert "zizmor --offline --no-progress --quiet .github" in recipe
    assert ".tools/bin/actionlint -shellcheck= -pyflakes=" in recipe


def test_cache_has_the_folder_of_the_bases(tmp_path: Path) -> None:
    (cache,) = ACTIONS["bases (action)"]["runs"]["steps"]
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "Pulumi.yaml").touch()
    git = ["git", "-C", str(folder), "-c", "user.name=a", "-c", "user.email=a@example.com"]
    for command in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "--message", "base"]):
        subprocess.run([*git, *command], check=True)
    assert base_of("HEAD", "dev", folder).folder.parent == folder / cache["with"]["path"]


def test_stack_files_are_listed(tmp_path: Path) -> None:
    for name in ("Pulumi.yaml", "Pulumi.prod.yaml", "Pulumi.dev.yaml", "other.yaml"):
        (tmp_path / name).touch()
    assert stack_names.names(tmp_path) == ["dev", "prod"]


def test_release_is_created_for_a_tag_that_exists(server: GitHubServer) -> None:
    github = GitHub(server.repository, server.token, server.url, pause=0)
    assert release_notes.create(github, "v1.2.0", "notes").endswith("/releases/v1.2.0")
    assert server.requests == [
        f"GET /repos/{server.repository}/git/ref/tags/v1.2.0",
        f"POST /repos/{server.repository}/releases",
    ]
    server.failing = 9
    with pytest.raises(GitHubError):
        release_notes.create(github, "v1.2.0", "notes")
    assert "POST" not in server.requests[-1]
