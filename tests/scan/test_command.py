"""`python -m policy.scan`: its output and exit status, and that nothing outside can influence them."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from policy.exceptions import RuleException
from policy.scan import __main__ as command
from policy.scan.checkov import Report, Result, judge
from policy.scan.plan import State, plan
from sandbox.project import DIRECTORY_VARIABLE
from tests.policy.stacks import TODAY
from tests.policy.test_plan import PROVIDER, resource

TOPIC = "aws:sns/topic:Topic"
ENCRYPTED = resource(TOPIC, {"kmsMasterKeyId": "1234"}, name="quiet")
PLAIN = resource(TOPIC, name="loud")


POD: State = {
    "urn": "urn:pulumi:test::trading::kubernetes:core/v1:Pod::shell",
    "type": "kubernetes:core/v1:Pod",
    "inputs": {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "shell", "namespace": "trading"},
        "spec": {
            "containers": [{"name": "shell", "image": "shell:1", "securityContext": {"privileged": True}}]
        },
    },
}


def exported(tmp_path: Path, *resources: State, provider: State = PROVIDER) -> str:
    path = tmp_path / "export.json"
    path.write_text(json.dumps({"version": 3, "deployment": {"resources": [provider, *resources]}}))
    return str(path)


def excepted(days: int) -> RuleException:
    return RuleException.model_validate(
        {
            "rule": "CKV_AWS_26",
            "resources": [f"trading:tier:Tier${TOPIC}::loud"],
            "reason": "it says nothing that is worth hiding",
            "owner": "team-data",
            "expires": TODAY.fromordinal(TODAY.toordinal() + days),
        }
    )


def test_what_fails_is_named_with_what_was_looked_at(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In a resource, in an object, and in credentials that are written into a provider."""
    inputs = {**PROVIDER["inputs"], "accessKey": "AKIAIOSFODNN7EXAMPLE"}
    state = exported(tmp_path, ENCRYPTED, PLAIN, POD, provider={**PROVIDER, "inputs": inputs})
    assert command.main(["--state", state]) == 1
    lines = capsys.readouterr().out.splitlines()
    topic = lines.index("CKV_AWS_26: Ensure all data stored in the SNS topic is encrypted")
    assert lines[topic + 1 : topic + 3] == [f"  {TOPIC} loud", "    evaluated kms_master_key_id"]
    provider = lines.index(
        "CKV_AWS_41: Ensure no hard coded AWS access key and secret key exists in provider"
    )
    assert lines[provider + 1] == "  pulumi:providers:aws aws-eu-west-1"
    privileged = lines.index("CKV_K8S_16: Container should not be privileged")
    assert lines[privileged + 1] == f"  {POD['type']} shell"
    assert "(2 AWS resources and 1 Kubernetes objects)" in lines[-2]
    assert lines[-1].startswith("Fix the resources in their tier, or explain in policy/exceptions.yaml")


@pytest.fixture
def passing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Checkov finds nothing. It takes seconds to start, so only tests about Checkov itself run it."""

    def report(*_: object) -> Report:
        return Report("3", [])

    monkeypatch.setattr(command, "judge", report)


@pytest.mark.usefixtures("passing")
def test_what_passes_ends_well(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--state", exported(tmp_path, ENCRYPTED)]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert "(1 AWS resources and 0 Kubernetes objects)" in line
    assert ", 0 failed, 0 excepted" in line


def test_stack_without_aws_passes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--state", exported(tmp_path)]) == 0
    assert "(0 AWS resources and 0 Kubernetes objects)" in capsys.readouterr().out


@pytest.mark.parametrize(("days", "status"), [(0, 0), (-1, 1)])
def test_exception_holds_until_it_ends(
    days: int,
    status: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def load(**_: Any) -> list[RuleException]:
        return [excepted(days)]

    def report(*_: object) -> Report:
        return Report(
            "3", [Result("CKV_AWS_26", "Ensure …", "aws_sns_topic.loud", passed=False, attributes=[])]
        )

    monkeypatch.setattr(command.exceptions, "load", load)
    monkeypatch.setattr(command, "judge", report)
    assert command.main(["--state", exported(tmp_path, PLAIN), "--json"]) == status
    verdict = json.loads(capsys.readouterr().out)
    assert verdict["excepted"] == 1 - status
    assert [finding["note"] for finding in verdict["failed"]] == [
        f"(team-data's exception expired on {excepted(days).expires})"
    ] * status


def test_stack_that_is_not_deployed_says_what_to_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(DIRECTORY_VARIABLE, str(tmp_path))
    assert command.main(["--stack", "prod"]) == 2
    error = capsys.readouterr().err
    assert error.startswith(
        "error: stack prod is not deployed in the sandbox: run `make up STACK=prod` first"
    )


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"deployment": null}'])
def test_file_that_is_no_state_is_named(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "export.json"
    path.write_text(text)
    assert command.main(["--state", str(path)]) == 2
    assert f"{path} is not the output of `pulumi stack export`" in capsys.readouterr().err


@pytest.mark.usefixtures("passing")
def test_state_comes_from_standard_input_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(Path(exported(tmp_path, PLAIN)).read_text()))
    assert command.main(["--state", "-", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["resources"] == 1


def test_users_own_settings_change_nothing_and_no_network_is_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".checkov.yaml").write_text("skip-check: [CKV_AWS_26]\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("CKV_SKIP_CHECK", "CKV_AWS_26")
    monkeypatch.setenv("BC_API_KEY", "not-a-key")
    unshare = shutil.which("unshare")
    alone = [str(unshare), "--net", "--map-root-user"]
    # Some machines don't let us take the network away from a process.
    if unshare and not subprocess.run([*alone, "true"], capture_output=True).returncode:
        python = tmp_path / "python"
        python.write_text(f'#!/bin/sh\nexec {" ".join(alone)} "{sys.executable}" "$@"\n')
        python.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(python))
    report = judge(plan([PROVIDER, PLAIN]).document)
    assert [result.check for result in report.results if not result.passed] == ["CKV_AWS_26"]


def test_scan_that_breaks_is_no_finding(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "state.json"
    path.write_text(json.dumps({"deployment": {"resources": [{}]}}))
    assert command.main(["--state", str(path)]) == 2
    assert "error: the scan failed: KeyError('type')" in capsys.readouterr().err
