"""Previews, deployments and comparisons of a real stack, with stand-ins for the engine and the AWS CLI."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import real_stack

from tests.workflows.programs import Programs, stack_file

COMMIT = "c0ffee" * 6 + "abcd"
DIGEST: Any = {
    "steps": [
        {"op": "same", "urn": "urn:pulumi:prod::trading::a:b:C::kept"},
        {
            "op": "update",
            "urn": "urn:pulumi:prod::trading::a:b:C::changed",
            "oldState": {"id": "1", "inputs": {"size": 1}},
            "newState": {"inputs": {"size": 2}},
            "detailedDiff": {"size": {"kind": "update", "inputDiff": False}},
        },
    ],
    "changeSummary": {"same": 1, "update": 1},
}
REPORT = """
import pathlib, sys
out = pathlib.Path(sys.argv[sys.argv.index("--out") + 1])
given = dict(zip(sys.argv[1::2], sys.argv[2::2]))
text = pathlib.Path(given["--preview"]).read_text() + pathlib.Path(given["--events"]).read_text()
labels = [sys.argv[n + 1] for n, a in enumerate(sys.argv) if a == "--label"]
if STATUS != 2:
    (out / "report.md").write_text(f"{len(text) > 2} {labels}")
print("reported")
sys.exit(STATUS)
"""


class Job:
    """A job's checkout, with the engine, the CLI and the report as stand-ins."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.programs = folder, Programs(folder / "bin", monkeypatch)
        self._monkeypatch = monkeypatch
        self.judged = "True"
        monkeypatch.chdir(folder)
        for stack in ("dev", "prod"):
            stack_file(folder, stack)
        self.programs.add("aws")
        self.engine(DIGEST)
        self.report(0)
        self.account(0)
        self.event("pull_request", labels=["allow: replace database", "$(evil)"])
        monkeypatch.setenv("GITHUB_SHA", COMMIT)
        monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(folder / "summary.md"))

    def engine(self, digest: Any, status: int = 0, events: tuple[Any, ...] = (), up: str = "") -> None:
        lines = "".join(json.dumps(one) + "\n" for one in events)
        self.programs.add(
            "pulumi",
            "if rules := os.environ.get('TRADING_RULES_RESULT'):\n"
            "    done = dict(preview=arguments[0] == 'preview', rules=1, resources=2)\n"
            "    done |= dict(problems=0, excepted=0, waiting=0)\n"
            f"    {self.judged} and pathlib.Path(rules).write_text(json.dumps(done))\n"
            f"if arguments[0] == 'up':\n    {up or 'sys.exit(0)'}\n"
            "log = pathlib.Path(arguments[arguments.index('--event-log') + 1])\n"
            "assert os.environ['PULUMI_DEBUG_COMMANDS'] == 'true'\n"
            f"log.write_text({lines!r})\n"
            f"print('warning: a line before\\n' + {json.dumps(digest)!r})\n"
            f"sys.exit({status})\n",
        )

    def report(self, status: int) -> None:
        package = self.folder / "report"
        package.mkdir(exist_ok=True)
        (package / "__main__.py").write_text(REPORT.replace("STATUS", str(status)))

    def account(self, status: int, verified: int = 0) -> None:
        """The preflight, which must get all resources of the preview, and what is asked afterwards."""
        package = self.folder / "account"
        package.mkdir(exist_ok=True)
        (package / "__main__.py").write_text(
            "import json, pathlib, sys\n"
            "given = dict(zip(sys.argv[2::2], sys.argv[3::2]))\n"
            "if sys.argv[1] == 'verify':\n"
            "    print('verify', given['--stack'])\n"
            f"    sys.exit({verified})\n"
            "steps = json.loads(pathlib.Path(given['--preview']).read_text())['steps']\n"
            "print(sys.argv[1], given['--stack'], len(steps), 'steps')\n"
            f"sys.exit({status})\n"
        )

    def event(self, name: str, labels: list[str]) -> None:
        content = {"pull_request": {"labels": [{"name": label} for label in labels]}}
        path = self.folder / "event.json"
        path.write_text(json.dumps(content if name == "pull_request" else {}))
        self._monkeypatch.setenv("GITHUB_EVENT_PATH", str(path))
        self._monkeypatch.setenv("GITHUB_EVENT_NAME", name)

    def run(self, *arguments: str) -> int:
        return real_stack.main(arguments)

    def text(self, name: str) -> str:
        return (self.folder / "out" / name).read_text()


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Job:
    return Job(tmp_path, monkeypatch)


def test_preview_is_reported_with_the_labels_and_its_plan_saved(job: Job) -> None:
    assert job.run("preview", "prod", "out") == 0
    assert job.text("report.md") == "True ['allow: replace database', '$(evil)']"
    assert (job.folder / "summary.md").read_text().startswith("True")
    saved = json.loads(job.text("plan.json"))
    assert (saved["commit"], saved["stack"]) == (COMMIT, "prod")
    assert [(entry["operation"], entry["properties"]) for entry in saved["plan"]] == [("update", ["size"])]
    (call,) = job.programs.calls("pulumi")
    assert call[:6] == ["preview", "--stack", "prod", "--show-sames", "--policy-pack", "policy/pack"]
    assert {path.name for path in (job.folder / "out").iterdir()} == {"report.md", "plan.json"}


def test_blocked_change_fails_the_check_of_a_pull_request_only(job: Job) -> None:
    job.report(1)
    assert job.run("preview", "prod", "out") == 1
    job.event("push", [])
    assert job.run("preview", "prod", "out") == 0  # a reviewer of the environment decides


@pytest.mark.parametrize("event", ["pull_request", "push"])
def test_preview_that_can_not_be_reported_fails(job: Job, event: str) -> None:
    job.event(event, [])
    job.report(2)
    assert job.run("preview", "prod", "out") == 1
    assert "**The preview of prod failed.**\n\n```\nreported\n```" in job.text("report.md")
    assert not (job.folder / "out" / "plan.json").exists()


def test_failed_preview_is_reported_with_the_engines_reasons(job: Job) -> None:
    events = (
        {
            "diagnosticEvent": {
                "severity": "info",
                "message": "<{%reset%}>trading:domain is wrong<{%reset%}>\n",
            }
        },
        {"diagnosticEvent": {"severity": "debug", "message": "detail"}},
        {"diagnosticEvent": {"severity": "error", "message": "exit status 1", "urn": "urn:x"}},
        {"diagnosticEvent": {"severity": "info#err", "message": "Traceback\n"}},
        {"diagnosticEvent": {"severity": "info", "message": "a step", "ephemeral": True}},
        {
            "policyEvent": {
                "enforcementLevel": "mandatory",
                "policyName": "S3.1",
                "message": "bucket is public",
                "resourceUrn": "urn:y",
            }
        },
        {"policyEvent": {"enforcementLevel": "advisory", "policyName": "x", "message": "advice"}},
    )
    job.engine({}, status=255, events=events)
    job.report(2)
    assert job.run("preview", "prod", "out") == 1
    assert job.text("report.md") == (
        "**The preview of prod failed.**\n\n```\ntrading:domain is wrong\nurn:x exit status 1\nTraceback\n"
        "urn:y S3.1: bucket is public\npulumi preview ended with 255\n```\n"
    )


def test_preview_that_violates_a_policy_fails_though_its_changes_are_reported(job: Job) -> None:
    job.engine(DIGEST, status=1)
    job.report(1)
    assert job.run("preview", "prod", "out") == 1
    assert job.text("report.md").startswith("True")
    assert not (job.folder / "out" / "plan.json").exists()


def test_deployment_does_what_was_approved_while_the_heartbeat_runs(job: Job) -> None:
    job.run("preview", "prod", "out")
    job.engine(DIGEST, up="time.sleep(2); sys.exit(0)")
    assert job.run("deploy", "prod", "--approved", "out/plan.json") == 0
    _, preview, up = job.programs.calls("pulumi")
    assert preview[0] == "preview"
    assert up[:6] == ["up", "--stack", "prod", "--yes", "--skip-preview", "--non-interactive"]
    assert up[-2:] == ["--policy-pack", "policy/pack"]
    assert {call[3] for call in job.programs.calls("aws")} == {"us-east-1", "eu-west-1"}
    assert all("Value=trading-prod" in call[-1] for call in job.programs.calls("aws"))


@pytest.mark.parametrize("judged", ["False", "arguments[0] == 'preview'"])
def test_run_without_the_rules_fails(job: Job, capsys: pytest.CaptureFixture[str], judged: str) -> None:
    """The preview's result does not prove that the rules ran in the deployment."""
    job.judged = judged
    job.engine(DIGEST)
    assert job.run("deploy", "dev") == 1
    assert "the rules did not run in the " in capsys.readouterr().err


@pytest.mark.parametrize("command", [("deploy", "dev"), ("preview", "dev", "out"), ("drift", "dev", "out")])
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PULUMI_OPTION_POLICY_PACK_CONFIG", "off.json"),
        ("PULUMI_OPTION_POLICY_PACK", "other"),
        ("PULUMI_OPTION_SKIP_PREVIEW", "true"),
        ("PULUMI_OPTION_CONFIG", "trading:protect=false"),
        ("PULUMI_OPTION_CONFIG_FILE", "other.yaml"),
        ("PULUMI_OPTION_TARGET", "urn"),
        ("PULUMI_OPTION_ANYTHING_NEW", "1"),
        ("PULUMI_DISABLE_PROVIDER_PREVIEW", "true"),
        ("PULUMI_CONTINUE_ON_ERROR", ""),
    ],
)
def test_environment_that_could_weaken_the_rules_is_refused(
    job: Job,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: tuple[str, ...],
    name: str,
    value: str,
) -> None:
    monkeypatch.setenv(name, value)
    assert job.run(*command) == 1
    assert f"the environment sets {name}, with which" in capsys.readouterr().err
    assert job.programs.calls("pulumi") == []


def test_deployment_fails_as_the_engine_does(job: Job) -> None:
    job.engine(DIGEST, up="sys.exit(3)")
    assert job.run("deploy", "dev") == 3


@pytest.mark.parametrize(("status", "ends"), [(0, 0), (3, 0), (1, 1), (2, 1)])
def test_account_is_asked_before_anything_changes(
    job: Job, capsys: pytest.CaptureFixture[str], status: int, ends: int
) -> None:
    """What the account doesn't answer (3) is no reason to stop."""
    job.account(status)
    assert job.run("deploy", "prod") == ends
    assert "preflight prod 2 steps" in capsys.readouterr().out
    calls = [call[0] for call in job.programs.calls("pulumi")]
    assert calls == (["preview"] if ends else ["preview", "up"])
    assert "--show-sames" in job.programs.calls("pulumi")[0]


@pytest.mark.parametrize(("verified", "warns"), [(0, False), (3, False), (1, True), (2, True)])
def test_deployed_stack_is_asked_and_problems_are_warnings(
    job: Job, capsys: pytest.CaptureFixture[str], verified: int, warns: bool
) -> None:
    job.account(0, verified)
    assert job.run("deploy", "dev") == 0
    text = capsys.readouterr().out
    assert "verify dev" in text
    assert ("::warning title=make verify STACK=dev::the deployment is done" in text) == warns


def test_stack_whose_deployment_fails_is_not_asked(job: Job, capsys: pytest.CaptureFixture[str]) -> None:
    job.engine(DIGEST, up="sys.exit(3)")
    assert job.run("deploy", "dev") == 3
    assert "verify dev" not in capsys.readouterr().out


def change(digest: Any, edit: str) -> Any:
    return json.loads(changed_text(json.dumps(digest), edit))


def changed_text(text: str, edit: str) -> str:
    old, new = edit.split(" => ")
    assert old in text
    return text.replace(old, new)


@pytest.mark.parametrize(
    ("edit", "line"),
    [
        (
            '"size": 2 => "size": 3',
            "update urn:pulumi:prod::trading::a:b:C::changed: has other values than approved",
        ),
        ('"size": 1 => "size": 5', "has other values than approved (size)"),
        ('"id": "1" => "id": "2"', "has other values than approved (size)"),
        (
            '"op": "update" => "op": "replace"',
            "replace urn:pulumi:prod::trading::a:b:C::changed: was not in the appr",
        ),
        (
            '"op": "update" => "op": "same"',
            "update urn:pulumi:prod::trading::a:b:C::changed: was approved, and would",
        ),
        (
            '"op": "same" => "op": "delete"',
            "delete urn:pulumi:prod::trading::a:b:C::kept: was not in the approved",
        ),
        (
            '"inputs": {"size": 2} => "protect": true, "inputs": {"size": 2}',
            "has other values than approved (size)",
        ),
    ],
)
def test_deployment_of_something_else_is_refused(
    job: Job, capsys: pytest.CaptureFixture[str], edit: str, line: str
) -> None:
    job.run("preview", "prod", "out")
    job.engine(change(DIGEST, edit))
    assert job.run("deploy", "prod", "--approved", "out/plan.json") == 1
    errors = capsys.readouterr().err
    assert "the deployment would not do what was approved; nothing was changed" in errors
    assert line in errors
    assert [call[0] for call in job.programs.calls("pulumi")] == ["preview", "preview"]


@pytest.mark.parametrize(
    "edit",
    [
        '"op": "same" => "op": "read"',
        '"inputs": {"size": 2} => "inputs": {"size": 2}, "outputs": {"arn": "x"}, "modified": "2026-11-27"',
    ],
)
def test_what_changes_nothing_is_not_compared(job: Job, edit: str) -> None:
    job.run("preview", "prod", "out")
    job.engine(change(DIGEST, edit))
    assert job.run("deploy", "prod", "--approved", "out/plan.json") == 0


def named(suffix: str, text: str = "x") -> Any:
    """A preview that creates resources with automatic names, and a dashboard that contains the names."""
    bucket, config = f"logs-{suffix}", f"config-{suffix}q"
    metadata = {"name": config, "annotations": {"pulumi.com/autonamed": "true"}}
    created: dict[str, Any] = {
        "bucket": {"bucket": bucket, "__defaults": ["bucket", "acl"], "acl": "private"},
        "config": {"metadata": metadata, "data": {"bucket": bucket}},
        "dashboard": {"body": f'{{"{bucket}": "{config} {text}"}}', "__defaults": []},
    }
    steps = [
        {"op": "create", "urn": f"urn:x::y::z::{name}", "newState": {"inputs": inputs}}
        for name, inputs in created.items()
    ]
    return {"steps": steps, "changeSummary": {"create": 3}}


def test_automatic_names_of_new_resources_may_end_differently(
    job: Job, capsys: pytest.CaptureFixture[str]
) -> None:
    job.engine(named("1a2b3c4"))
    job.run("preview", "prod", "out")
    job.engine(named("9f8e7d6"))
    assert job.run("deploy", "prod", "--approved", "out/plan.json") == 0
    job.engine(named("9f8e7d6", text="other"))
    assert job.run("deploy", "prod", "--approved", "out/plan.json") == 1
    assert capsys.readouterr().err.count("has other values") == 1


def test_order_of_the_engine_means_nothing(job: Job) -> None:
    job.run("preview", "prod", "out")
    job.engine({**DIGEST, "steps": DIGEST["steps"][::-1]})
    assert job.run("deploy", "prod", "--approved", "out/plan.json") == 0


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (
            f"{COMMIT} => {'0' * 40}",
            f"is for commit {'0' * 40} and stack prod; expected format 1, commit {COMMIT}",
        ),
        ('"prod" => "dev"', "stack dev; expected"),
        ('"format": 1 => "format": 9', "has format 9"),
        ("{ => [", "the approved plan is not readable"),
    ],
)
def test_plan_of_something_else_is_refused(
    job: Job, capsys: pytest.CaptureFixture[str], edit: str, reason: str
) -> None:
    job.run("preview", "prod", "out")
    path = job.folder / "out" / "plan.json"
    path.write_text(changed_text(path.read_text(), edit))
    assert job.run("deploy", "prod", "--approved", "out/plan.json") == 1
    assert reason in capsys.readouterr().err


def test_deployment_without_the_approved_plan_or_a_preview_does_not_begin(
    job: Job, capsys: pytest.CaptureFixture[str]
) -> None:
    assert job.run("deploy", "prod", "--approved", "missing.json") == 1
    assert "missing.json" in capsys.readouterr().err
    job.engine({}, status=255)
    assert job.run("deploy", "dev") == 1
    job.engine("no document")
    assert job.run("deploy", "dev") == 1
    assert not [call for call in job.programs.calls("pulumi") if call[0] == "up"]


def test_drift_is_what_differs_from_the_state(job: Job) -> None:
    steps: list[Any] = [
        {"op": "refresh", "urn": "urn:pulumi:prod::trading::a:b:C::kept"},
        {"op": "update", "urn": "urn:pulumi:prod::trading::a:b:C::changed", "detailedDiff": {"size": {}}},
        {"op": "delete", "urn": "urn:pulumi:prod::trading::a:b:C::gone"},
    ]
    job.engine({"steps": steps, "changeSummary": {"same": 1, "update": 1, "delete": 1}})
    assert job.run("drift", "prod", "out") == 0
    assert json.loads(job.text("drift.json")) == {
        "stack": "prod",
        "error": "",
        "changes": [
            {"urn": steps[1]["urn"], "operation": "update", "properties": ["size"]},
            {"urn": steps[2]["urn"], "operation": "delete", "properties": []},
        ],
    }
    (call,) = job.programs.calls("pulumi")
    assert call[:4] == ["refresh", "--stack", "prod", "--preview-only"]


def test_drift_that_is_not_known_is_an_error(job: Job) -> None:
    job.engine(
        {}, status=255, events=({"diagnosticEvent": {"severity": "error", "message": "no credentials"}},)
    )
    assert job.run("drift", "prod", "out") == 255
    assert json.loads(job.text("drift.json"))["error"] == "no credentials\npulumi refresh ended with 255"
