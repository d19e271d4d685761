"""The rotation of the database's master secret with moto's Secrets Manager and RDS."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# (boto3's stubs for these services are not installed)
from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import boto3
import pytest
from moto import mock_aws

from functions.rotate_database_secret import handler as function
from functions.rotate_database_secret.handler import Rotation, RotationError

TOKEN = "11111111-2222-3333-4444-555555555555"
STEPS = ("createSecret", "setSecret", "testSecret", "finishSecret")
FIRST = {"engine": "postgres", "host": "db.example.com", "username": "admin", "password": "first"}


class Context:
    """A Lambda context with this many milliseconds remaining."""

    def __init__(self, remaining: int = 300_000) -> None:
        self.remaining = remaining

    def get_remaining_time_in_millis(self) -> int:
        return self.remaining


@dataclass
class Rds:
    """RDS with one cluster; a test sets its next descriptions."""

    states: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    passwords: list[str] = field(default_factory=list[str])

    def modify_db_cluster(self, **arguments: Any) -> None:
        assert arguments["DBClusterIdentifier"] == "one"
        assert arguments["ApplyImmediately"] is True
        self.passwords.append(arguments["MasterUserPassword"])

    def describe_db_clusters(self, **arguments: Any) -> dict[str, Any]:
        assert arguments == {"DBClusterIdentifier": "one"}
        return {"DBClusters": [self.states.pop(0) if self.states else {"Status": "available"}]}


@dataclass
class World:
    """A secret that is about to be rotated."""

    secrets: Any
    arn: str
    rds: Rds
    waited: list[float]

    def run(self, step: str, context: Context | None = None) -> None:
        Rotation(self.secrets, self.rds, "one", self.waited.append).run(
            step, self.arn, TOKEN, context or Context()
        )

    def value(self, stage: str) -> dict[str, str]:
        found = self.secrets.get_secret_value(SecretId=self.arn, VersionStage=stage)
        return json.loads(found["SecretString"])


class _Prepared:
    """Secrets Manager during a rotation: the new version has its label before it has a value."""

    def __init__(self, secrets: Any) -> None:
        self._secrets = secrets

    def __getattr__(self, operation: str) -> Any:
        return getattr(self._secrets, operation)

    def describe_secret(self, **arguments: Any) -> dict[str, Any]:
        found = self._secrets.describe_secret(**arguments)
        found["VersionIdsToStages"].setdefault(TOKEN, ["AWSPENDING"])
        return found


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with mock_aws():
        client: Any = boto3.client("secretsmanager", region_name="us-east-1")
        arn = client.create_secret(Name="master", SecretString=json.dumps(FIRST))["ARN"]
        yield World(_Prepared(client), arn, Rds(), [])


def test_a_rotation_gives_the_database_and_the_secret_the_same_new_password(world: World) -> None:
    for step in STEPS:
        world.run(step)
    current = world.value("AWSCURRENT")
    assert world.rds.passwords == [current["password"]]
    assert current["password"] != FIRST["password"]
    assert len(current["password"]) == 40
    assert current["password"].isalnum()
    assert {**current, "password": "first"} == FIRST, "whoever reads it finds all the rest as it was"
    assert world.value("AWSPREVIOUS") == FIRST


def test_every_step_may_be_called_again(world: World) -> None:
    for step in STEPS:
        world.run(step)
        world.run(step)
    assert set(world.rds.passwords) == {world.value("AWSCURRENT")["password"]}
    assert world.value("AWSPREVIOUS") == FIRST


def test_a_second_attempt_keeps_the_password_that_the_first_may_have_set(world: World) -> None:
    world.run("createSecret")
    world.run("setSecret")
    for step in STEPS:
        world.run(step)
    assert len(set(world.rds.passwords)) == 1


def test_a_secondary_cluster_keeps_the_primarys_password(world: World) -> None:
    """RDS refuses a new password for it, and a failure every month would hide the others."""
    world.rds.states = [{"Status": "available", "ReplicationSourceIdentifier": "arn:aws:rds:…"}]
    for step in STEPS:
        world.run(step)
    assert world.rds.passwords == []
    assert world.value("AWSCURRENT")["password"] != FIRST["password"]


def test_nothing_is_set_before_it_is_kept(world: World) -> None:
    with pytest.raises(Exception, match="ResourceNotFound"):
        world.run("setSecret")
    assert world.rds.passwords == []


def test_the_secret_turns_only_when_the_database_has_taken_the_password(world: World) -> None:
    world.run("createSecret")
    world.rds.states = [
        {"Status": "resetting-master-credentials"},
        {"Status": "available", "PendingModifiedValues": {"MasterUserPassword": "****"}},
    ]
    world.run("testSecret")
    assert world.rds.states == []
    assert world.waited == [30, 10, 10], "the change does not show at once"


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ({"Status": "upgrading"}, "upgrading"),
        ({"Status": "available", "PendingModifiedValues": {"MasterUserPassword": "****"}}, "pending"),
    ],
)
def test_a_database_that_is_not_ready_ends_the_step_in_time(
    world: World, state: dict[str, Any], said: str
) -> None:
    world.run("createSecret")
    world.rds.states = [state]
    with pytest.raises(RotationError, match=said):
        world.run("testSecret", Context(remaining=20_000))


def test_what_is_not_to_be_rotated_is_refused(world: World) -> None:
    with pytest.raises(RotationError, match="is not AWSPENDING"):
        Rotation(world.secrets, world.rds, "one").run("createSecret", world.arn, "0" * 36, Context())
    with pytest.raises(RotationError, match="dropSecret"):
        world.run("dropSecret")


def test_no_password_is_ever_logged(world: World, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("DEBUG", logger=function.logger.name):
        for step in STEPS:
            world.run(step)
    assert world.value("AWSCURRENT")["password"] not in caplog.text
    assert FIRST["password"] not in [
        word for record in caplog.records for word in record.getMessage().split()
    ]


def test_handler_reads_secrets_managers_event(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    rotation = Rotation(world.secrets, world.rds, "one", world.waited.append)
    monkeypatch.setattr(function, "_rotation", lambda: rotation)
    for step in STEPS:
        event = {"Step": step, "SecretId": world.arn, "ClientRequestToken": TOKEN}
        function.handler(event, Context())
    assert world.rds.passwords == [world.value("AWSCURRENT")["password"]]
