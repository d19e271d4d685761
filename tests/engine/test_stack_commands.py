"""What Pulumi's own commands write into a stack file, and what the engine passes to a program from it."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from sandbox.tools import tool
from settings import Settings
from settings.show import problems
from settings.stack_file import Secret, StackFile, read
from tests.engine.project import ROOT, Project

SMALL = (ROOT / "tests" / "stacks" / "small.yaml").read_text()
PROGRAM = """
import pulumi
from settings import Settings
pulumi.export("settings", Settings.load().model_dump(mode="json", by_alias=True))
"""


class Stack:
    """A stack file for the real engine's commands, with its own backend."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "state").mkdir()
        (folder / "Pulumi.yaml").write_text((ROOT / "Pulumi.yaml").read_text())
        (folder / "Pulumi.dev.yaml").write_text(SMALL)
        self.pulumi("stack", "init", "dev", "--secrets-provider=passphrase")

    def pulumi(self, *arguments: str) -> str:
        environment = {
            **os.environ,
            "PULUMI_BACKEND_URL": (self.folder / "state").as_uri(),
            "PULUMI_HOME": str(self.folder / "home"),
            "PULUMI_CONFIG_PASSPHRASE": "test",
            "PULUMI_SKIP_UPDATE_CHECK": "true",
        }
        command = [str(tool("pulumi")), *arguments]
        done = subprocess.run(command, cwd=self.folder, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def set(self, key: str, value: str, *options: str) -> None:
        self.pulumi("config", "set", "--path", *options, f"trading:{key}", value)

    def file(self) -> StackFile:
        return read(self.folder / "Pulumi.dev.yaml")

    def settings(self) -> Settings:
        return Settings.parse(self.file().values())


@pytest.fixture
def stack(tmp_path: Path) -> Stack:
    return Stack(tmp_path)


def test_new_stacks_file_means_the_same(stack: Stack, tmp_path: Path) -> None:
    text = (stack.folder / "Pulumi.dev.yaml").read_text()
    assert 'trading:protect: "false"' in text
    assert "\nencryptionsalt: " in text
    (tmp_path / "Pulumi.before.yaml").write_text(SMALL)
    assert stack.settings() == Settings.parse(read(tmp_path / "Pulumi.before.yaml").values())
    assert problems(stack.file()) == []


def test_values_that_are_set_are_read(stack: Stack) -> None:
    for key, value in (
        ("protect", "true"),
        ("cache.shards", "3"),
        ("database.serverless.min", "1.5"),
        ("domain.queryLogging", "true"),
        ("tags.cost-center", "1234"),
        ("tags.team", "0123"),
        ("services.positions.listenerPort", "8084"),
        ("services.positions.replicas.min", "2"),
        ("services.positions.replicas.max", "4"),
        ("services.market-data", "null"),
        ('api.routes["/api/market-data"]', "null"),
        ('api.routes["/api/positions"].service', "positions"),
        ("monitoring.alarmEmails[0]", "oncall@example.com"),
    ):
        stack.set(key, value)
    stack.set("database.readerConnections", "100", "--type=int")
    stack.set("environment", "dev", "--plaintext")
    stack.pulumi("config", "set", "trading:web", '{"rateLimit": 5000}')
    text = (stack.folder / "Pulumi.dev.yaml").read_text()
    for written in (
        'min: "1.5"',
        "cost-center: 1234",
        'team: "0123"',
        'market-data: "null"',
        "queryLogging: true",
    ):
        assert written in text
    settings = stack.settings()
    assert problems(stack.file()) == []
    assert (settings.protect, settings.cache.shards, settings.web.rate_limit) == (True, 3, 5000)
    assert settings.database.serverless is not None
    assert (settings.database.serverless.min, settings.database.reader_connections) == (1.5, 100)
    assert (settings.tags["cost-center"], settings.tags["team"]) == ("1234", "0123")
    assert [service.name for service in settings.services] == ["orders", "accounts", "positions"]
    assert [route.path for route in settings.api.routes] == ["/api/accounts", "/api/positions"]
    assert settings.monitoring.alarm_emails == ["oncall@example.com"]


def test_secrets_that_are_set_are_hidden(stack: Stack) -> None:
    stack.set("environment", "dev", "--secret")
    stack.set("monitoring.alarmEmails[0]", "oncall@example.com", "--secret")
    stack.pulumi("config", "set", "--secret", "trading:cache", '{"shards": 3}')
    file = stack.file()
    assert file.secrets == {("environment",), ("monitoring", "alarmEmails", 0), ("cache",)}
    assert isinstance(file.values()["environment"], Secret)
    assert problems(file) == []


def test_program_gets_what_the_file_says(tmp_path: Path) -> None:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "settings").symlink_to(ROOT / "settings")
    (folder / "__main__.py").write_text(PROGRAM)
    (folder / "Pulumi.yaml").write_text((ROOT / "Pulumi.yaml").read_text())
    (folder / "Pulumi.dev.yaml").write_text(
        SMALL.replace(
            "    market-data: { replicas: { min: 1, max: 3 }, cpu: 100m, memory: 128Mi }\n",
            "    market-data:\n",
        )
        .replace("serverless: { min: 0.5,", 'serverless: { min: "0.5",')
        .replace("protect: false", 'protect: "false"')
        .replace("cost-center: trading", "cost-center: 1234")
        .replace("  trading:api:\n", "  trading:api:\n    routes: { /api/market-data: ~ }\n")
    )
    project = Project(folder, tmp_path / "sandbox")
    project.pulumi("up", "--stack", "dev", "--yes", "--skip-preview")
    handed_over = json.loads(project.pulumi("stack", "output", "--stack", "dev", "--json"))["settings"]
    file = read(folder / "Pulumi.dev.yaml")
    expected = Settings.parse(file.values())
    assert [service.name for service in expected.services] == ["orders", "accounts"]
    assert handed_over == expected.model_dump(mode="json", by_alias=True)
