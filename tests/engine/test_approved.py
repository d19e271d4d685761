"""A deployment is held to the approved preview, and drift is found, by the real engine.

A small program has what makes previews differ or hides differences: a secret, values that are unknown before
the deployment, an archive, and a replacement. The tests run in this order in one sandbox.
"""

from __future__ import annotations

import json
import os
import re
import sqlite3
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.engine import session
from tests.engine.project import CHEAPER, Values
from tests.unit.harness import ROOT
from tests.workflows.programs import stack_file

PROGRAM = """
import json
from pathlib import Path

import pulumi
import pulumi_aws as aws
import pulumi_random as random

values = json.loads(Path("values.json").read_text())
opts = pulumi.ResourceOptions(provider=aws.Provider("aws", region="us-east-1"))
secret = random.RandomPassword("secret", length=40, special=False)
role = aws.iam.Role("role", assume_role_policy='{"Version": "2012-10-17", "Statement": []}', opts=opts)
aws.lambda_.Function(
    "object", name=values["key"], role=role.arn, handler="a.b", runtime="python3.13",
    code=pulumi.AssetArchive({"a.py": pulumi.StringAsset(values["text"])}), opts=opts,
)
# The secret is unknown inside a map before the deployment, as it is in the load balancers' listener rules.
stored = aws.secretsmanager.Secret("stored", tags={"digest": secret.result}, opts=opts)
aws.secretsmanager.SecretVersion("version", secret_id=stored.id, secret_string=secret.result, opts=opts)
aws.cloudwatch.LogGroup("logs", retention_in_days=values["days"], tags={"a": values["text"]}, opts=opts)
if values["more"]:
    aws.cloudwatch.LogGroup("more", opts=opts)
"""
VALUES: Values = {"key": "a", "text": "one", "days": 7, "more": False}
COMMIT = "c0ffee" * 6 + "abcd"


class Pipeline:
    """A project, and the commands of its pipeline."""

    def __init__(self, directory: Path) -> None:
        self.folder, self.sandbox = directory / "project", directory / "sandbox"
        for name in ("account", "policy/pack", "report"):
            (self.folder / name).mkdir(parents=True)
        (self.folder / "Pulumi.yaml").write_text("{name: small, runtime: python}")
        stack_file(self.folder, "local")
        (self.folder / "__main__.py").write_text(PROGRAM)
        (self.folder / "policy/pack/PulumiPolicy.yaml").write_text("{runtime: python}")
        (self.folder / "policy/pack/__main__.py").write_text(
            "import json, os, pathlib\n"
            "from pulumi_policy import PolicyPack, StackValidationPolicy\n"
            "def judge(*_):\n"
            "    path = pathlib.Path(os.environ['TRADING_RULES_RESULT'])\n"
            "    counts = dict(rules=1, resources=1, problems=0, excepted=0, waiting=0)\n"
            "    path.write_text(json.dumps(dict(counts, preview=not path.exists())))\n"
            "PolicyPack('small', [StackValidationPolicy('none', 'allows all', judge)])\n"
        )
        # Stand-ins for the preflight and for the report, which have tests of their own.
        (self.folder / "account/__init__.py").touch()
        (self.folder / "account/__main__.py").touch()
        (self.folder / "report/__init__.py").touch()
        (self.folder / "report/__main__.py").write_text(
            "import pathlib, sys\npathlib.Path(sys.argv[-1], 'report.md').write_text('report')\n"
        )
        (self.folder / "event.json").write_text("{}")

    def run(self, *arguments: str, expect: int = 0, **values: Any) -> str:
        """Runs a command of `real_stack.py` with the program's values, and returns its output."""
        (self.folder / "values.json").write_text(json.dumps({**VALUES, **values}))
        script = str(ROOT / ".github/scripts/real_stack.py")
        environment = {
            **os.environ,
            **CHEAPER,
            "PYTHONPATH": str(ROOT),
            "GITHUB_EVENT_PATH": str(self.folder / "event.json"),
            "GITHUB_EVENT_NAME": "push",
            "GITHUB_SHA": COMMIT,
        }
        opened = session.session(self.folder, self.sandbox, environment)
        status, output = opened.run(["env", "-C", str(self.folder), sys.executable, script, *arguments])
        assert status == expect, output[-6000:]
        return output

    def approve(self, **values: Any) -> list[str]:
        """Saves the plan of a preview, and returns its operations with their resources."""
        self.run("preview", "local", "out", **values)
        plan = json.loads((self.folder / "out/plan.json").read_text())["plan"]
        return [f"{entry['operation']} {entry['urn'].rsplit('::', 1)[-1]}" for entry in plan]

    def deploy(self, expect: int = 0, **values: Any) -> str:
        """Deploys what was approved."""
        return self.run("deploy", "local", "--approved", "out/plan.json", expect=expect, **values)

    def drift(self) -> dict[str, list[str]]:
        """What differs from the state."""
        self.run("drift", "local", "drift")
        changes = json.loads((self.folder / "drift/drift.json").read_text())["changes"]
        return {change["urn"].rsplit("::", 1)[-1]: change["properties"] for change in changes}

    def account(self, statement: str) -> None:
        """Changes the account without the engine's knowledge."""
        with sqlite3.connect(self.sandbox / "aws.sqlite") as store:
            assert store.execute(statement).rowcount == 1
        store.close()


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    return Pipeline(tmp_path_factory.mktemp("approved"))


def test_first_deployment_with_unknown_secrets_and_archives_is_as_approved(pipeline: Pipeline) -> None:
    assert "create stored" in pipeline.approve()
    output = pipeline.deploy()
    assert "as approved" in output
    assert re.search(r"\+ \d created", output)


def test_deployment_that_changes_nothing_is_as_approved(pipeline: Pipeline) -> None:
    assert pipeline.approve() == []
    assert "0 changes, as approved" in pipeline.deploy()


def test_update_and_replacement_are_as_approved(pipeline: Pipeline) -> None:
    approved = pipeline.approve(days=14, key="b")
    assert "update logs" in approved
    assert any(entry.endswith("object") and "replace" in entry for entry in approved)
    assert "as approved" in pipeline.deploy(days=14, key="b")


def test_deployment_of_anything_else_is_refused_before_it_begins(pipeline: Pipeline) -> None:
    assert pipeline.approve(days=30, key="b") == ["update logs"]
    others: dict[str, Values] = {
        "logs: has other values than approved (retentionInDays)": {"days": 60},
        "object: was not in the approved preview": {"days": 30, "text": "two"},
        "more: was not in the approved preview": {"days": 30, "more": True},
        "logs: was approved, and would not happen any more": {"days": 14},
    }
    for line, values in others.items():
        output = pipeline.deploy(expect=1, key="b", **values)
        assert line in output
        assert "nothing was changed" in output
    assert pipeline.approve(days=14, key="b") == []


def test_other_deployment_after_the_approval_is_noticed(pipeline: Pipeline) -> None:
    """The same change from another state isn't what was approved."""
    pipeline.approve(days=30, key="b")
    approved = (pipeline.folder / "out/plan.json").read_text()
    pipeline.approve(days=60, key="b")
    pipeline.deploy(days=60, key="b")
    (pipeline.folder / "out/plan.json").write_text(approved)
    assert "has other values than approved" in pipeline.deploy(expect=1, days=30, key="b")


def test_drift_is_found_and_nothing_is_written(pipeline: Pipeline) -> None:
    assert pipeline.drift() == {}
    columns = ", ".join(
        f"{column} = json_set({column}, '$.retentionInDays', 3)" for column in ("inputs", "outputs")
    )
    pipeline.account(f"UPDATE resource SET {columns} WHERE type LIKE 'aws:cloudwatch/logGroup%'")
    assert pipeline.drift() == {"logs": ["retentionInDays"]}
    # Changes that were merged and are not deployed yet are no drift.
    (pipeline.folder / "values.json").write_text(json.dumps({**VALUES, "more": True}))
    assert pipeline.drift() == {"logs": ["retentionInDays"]}
    assert pipeline.approve(days=60, key="b") == []  # the state was not changed


def test_deleted_resource_is_drift(pipeline: Pipeline) -> None:
    pipeline.account("DELETE FROM resource WHERE type LIKE 'aws:secretsmanager/secretVersion:%'")
    assert pipeline.drift() == {"logs": ["retentionInDays"], "version": []}
