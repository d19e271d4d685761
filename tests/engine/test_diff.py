"""`make diff` with the real engine: a base that is deployed once, and changes on it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.engine.project import ROOT

PROGRAM = """
import pulumi, pulumi_aws as aws
tags = {"owner": "team", "cost-center": "1", "environment": "dev"}
provider = aws.Provider("ireland", region="eu-west-1", default_tags={"tags": tags})
opts = pulumi.ResourceOptions(provider=provider)
kept = pulumi.ResourceOptions(provider=provider, protect=True)
key = aws.kms.Key("key", enable_key_rotation=True, opts=kept)
for name in NAMES:
    aws.cloudwatch.LogGroup(name, name=name, retention_in_days=30, kms_key_id=key.arn, opts=opts)
"""


@dataclass
class Clone:
    """A clone of the project with a program that is small enough to read here."""

    folder: Path
    deployed: int = 0

    def program(self, *names: str) -> None:
        (self.folder / "__main__.py").write_text(PROGRAM.replace("NAMES", repr(names)))

    def git(self, *arguments: str) -> None:
        identity = ["-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "commit.gpgsign=false"]
        subprocess.run(["git", *identity, *arguments], cwd=self.folder, check=True, capture_output=True)

    def diff(self, expect: int, stack: str = "dev", labels: str = "") -> tuple[str, dict[str, Any]]:
        """Compares the working tree with HEAD: both outputs, and report.json."""
        command = [sys.executable, "-m", "report.diff", "--base", "HEAD", "--stack", stack]
        done = subprocess.run(
            [*command, "--out", "out"],
            cwd=self.folder,
            env={**os.environ, "LABELS": labels},
            capture_output=True,
            text=True,
        )
        assert done.returncode == expect, done.stdout + done.stderr
        self.deployed += done.stderr.count("\ndeployed") + done.stderr.startswith("deployed")
        return done.stdout + done.stderr, json.loads((self.folder / "out" / "report.json").read_text())


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    folder = tmp_path_factory.mktemp("clone") / "project"
    for name in ("sandbox", "settings", "report", "policy", "tools"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("requirements.txt", ".gitignore"):
        shutil.copy(ROOT / name, folder / name)
    (folder / "settings" / "__main__.py").unlink()  # the small program has no settings
    (folder / "Pulumi.yaml").write_text("{name: small, runtime: python}")
    (folder / "Pulumi.dev.yaml").write_text("config: {}")
    made = Clone(folder)
    made.program("orders", "trades")
    made.git("init", "--quiet")
    made.git("add", "--all")
    made.git("commit", "--quiet", "--message=base")
    (folder / ".tools").symlink_to(ROOT / ".tools")
    return made


def test_change_is_reported_and_the_base_deployed_once(clone: Clone) -> None:
    text, report = clone.diff(0)
    assert text.count("touches no resource of dev") == 1
    assert report["changes"] == []

    clone.program("orders", "trades", "quotes")
    text, report = clone.diff(0)
    assert report["counts"]["create"] == 1
    assert [change["name"] for change in report["changes"]] == ["quotes"]
    assert "`quotes`" in text

    clone.program("orders")
    text, report = clone.diff(1)
    assert report["verdict"] == "blocked"
    (danger,) = report["dangers"]
    assert danger["kind"] == "delete logs"
    assert danger["urn"].endswith("::trades")
    assert "Blocked" in text
    assert danger["label"] in text
    clone.diff(0, labels=f"bug\n{danger['label']}\n")
    assert clone.deployed == 1


def test_preview_that_fails_is_reported_with_its_reason(clone: Clone) -> None:
    (clone.folder / "__main__.py").write_text("raise ValueError('no topic has partitions')")
    text, report = clone.diff(2)
    assert "no topic has partitions" in text
    assert report["verdict"] == "blocked"
    assert "no topic has partitions" in (clone.folder / "out" / "report.md").read_text()


def test_new_stack_is_compared_with_nothing(clone: Clone) -> None:
    clone.program("orders")
    (clone.folder / "Pulumi.new.yaml").write_text("config: {}")
    _, report = clone.diff(0, stack="new")
    assert [change["operation"] for change in report["changes"]] == ["create"] * len(report["changes"])
    assert "orders" in {change["name"] for change in report["changes"]}
    (clone.folder / "Pulumi.new.yaml").unlink()
