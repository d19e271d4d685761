"""The restore of the whole database, against moto's account, with an interruption after every write."""

# pyright: reportUnknownMemberType=false
# (boto3's stubs are installed for one service only)
from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from moto.rds.models import RDSBackend, rds_backends

from operations import restore
from operations.procedure import DONE, WAITING, Procedure, ProcedureError, Runner
from settings import Settings
from tests.operations.rehearsal import (
    account,
    answering,
    calls,
    client,
    continued_after_every_interruption,
    finish,
    run,
)
from tests.unit.harness import stack_values, without_namespace

HOME, OTHER = "us-east-1", "eu-west-1"
PLATFORM = "trading-full"
NAMES = {region: f"{PLATFORM}-database-{region}" for region in (HOME, OTHER)}
MOMENT = (datetime.now(UTC) - timedelta(hours=1)).replace(microsecond=0)
ENGINE = {"Engine": "aurora-postgresql", "EngineVersion": "17.11"}
ROLE = "database-us-east-1-proxy-role"


def settings(stack: str = "full") -> Settings:
    return Settings.parse(without_namespace(stack_values(stack)))


def procedure(stack: str = "full", to: str = f"{MOMENT:%Y-%m-%dT%H:%M:%SZ}") -> Procedure:
    return restore.procedure(settings(stack), argparse.Namespace(stack=stack, to=to))


def seed() -> Procedure:
    """A global database with three instances in each region, one of them added by auto scaling."""
    for region in (HOME, OTHER):
        rds = client("rds", region)
        master = {"MasterUsername": "administrator", "MasterUserPassword": "the-first-one"}
        rds.create_db_cluster(
            DBClusterIdentifier=NAMES[region],
            StorageEncrypted=True,
            DeletionProtection=False,
            **ENGINE,
            **(master if region == HOME else {"GlobalClusterIdentifier": f"{PLATFORM}-database"}),
        )
        if region == HOME:
            rds.create_global_cluster(
                GlobalClusterIdentifier=f"{PLATFORM}-database", SourceDBClusterIdentifier=arn(HOME)
            )
        for name in ("tf-1", "tf-2", "application-autoscaling-1"):
            rds.create_db_instance(
                DBInstanceIdentifier=name,
                DBClusterIdentifier=NAMES[region],
                DBInstanceClass="db.r8g.xlarge",
                Engine="aurora-postgresql",
            )
    # moto's clusters can be restored to the time of their creation.
    home: Any = rds_backends["123456789012"][HOME].clusters[NAMES[HOME]]
    home.earliest_restorable_time = MOMENT - timedelta(days=1)
    client("secretsmanager", HOME).create_secret(
        Name="database-us-east-1-master-1",
        Description=f"Master user of {NAMES[HOME]}; services sign in with IAM instead",
        SecretString=json.dumps({"password": "the-current-one"}),
    )
    client("iam", HOME).create_role(RoleName=ROLE, AssumeRolePolicyDocument="{}")
    deploy()
    return procedure()


def deploy() -> None:
    """What `pulumi up` does: the proxy's role names the current cluster."""
    resource = clusters(HOME)[NAMES[HOME]]["DbClusterResourceId"]
    statement = {
        "Effect": "Allow",
        "Action": "rds-db:connect",
        "Resource": f"arn:aws:rds-db:{HOME}:123456789012:dbuser:{resource}/*",
    }
    policy = {"Version": "2012-10-17", "Statement": [statement]}
    client("iam", HOME).put_role_policy(
        RoleName=ROLE, PolicyName="connect", PolicyDocument=json.dumps(policy)
    )


def clusters(region: str) -> dict[str, Any]:
    found = client("rds", region).describe_db_clusters()["DBClusters"]
    return {item["DBClusterIdentifier"]: item for item in found}


def instances(region: str) -> dict[str, set[str]]:
    found = client("rds", region).describe_db_instances()["DBInstances"]
    return {
        name: {i["DBInstanceIdentifier"] for i in found if i["DBClusterIdentifier"] == name}
        for name in clusters(region)
    }


def arn(region: str) -> str:
    return str(clusters(region)[NAMES[region]]["DBClusterArn"])


def assert_restored() -> None:
    for region in (HOME, OTHER):
        assert clusters(region).keys() == {NAMES[region], f"{NAMES[region]}-broken"}
        assert instances(region) == {
            NAMES[region]: {"tf-1", "tf-2"},
            f"{NAMES[region]}-broken": {"tf-1-broken", "tf-2-broken", "application-autoscaling-1"},
        }
        assert clusters(region)[NAMES[region]]["DeletionProtection"]
    (world,) = client("rds", HOME).describe_global_clusters()["GlobalClusters"]
    assert [member["DBClusterArn"] for member in world["GlobalClusterMembers"]] == [arn(HOME), arn(OTHER)]


def remove(self: Any, global_cluster_identifier: str, db_cluster_identifier: str) -> Any:
    """What AWS does, in any region. moto finds only members in the region of the call, and ignores others."""
    home: Any = rds_backends["123456789012"][HOME]
    world = home.global_clusters[global_cluster_identifier]
    (member,) = [item for item in world.members if item.db_cluster_arn == db_cluster_identifier]
    secondaries = [item for item in world.members if item.region != HOME]
    assert member in secondaries or not secondaries, "AWS removes the primary cluster last"
    world.members.remove(member)
    member.global_cluster_identifier = None
    return world


_MODIFY: Any = RDSBackend.modify_db_cluster


def modify(self: Any, kwargs: dict[str, Any]) -> Any:
    """What AWS does: instances stay members of a cluster that is renamed."""
    old, new = kwargs["db_cluster_identifier"], kwargs.get("new_db_cluster_identifier")
    found = _MODIFY(self, kwargs)
    for instance in self.databases.values():
        if new and instance.db_cluster_identifier == old:
            instance.db_cluster_identifier = new
    return found


def unprotect(asked: Mapping[str, Any]) -> dict[str, Any]:
    home: Any = rds_backends["123456789012"][HOME]
    world = home.global_clusters[asked["GlobalClusterIdentifier"]]
    world.deletion_protection = asked["DeletionProtection"]
    return {"GlobalCluster": {"GlobalClusterIdentifier": asked["GlobalClusterIdentifier"]}}


def proxies(_: Mapping[str, Any]) -> dict[str, Any]:
    """moto's proxies need a network, which takes longer to make than all the rest."""
    role = f"arn:aws:iam::123456789012:role/{ROLE}"
    return {"DBProxies": [{"DBProxyName": f"database-{HOME}-proxy-1", "RoleArn": role}]}


FACTORY = answering({"rds:ModifyGlobalCluster": unprotect, "rds:DescribeDBProxies": proxies})


def nothing(*_: object) -> None:
    pass


@pytest.fixture(autouse=True)
def _removal(monkeypatch: pytest.MonkeyPatch) -> None:  # pyright: ignore[reportUnusedFunction]
    monkeypatch.setattr(RDSBackend, "remove_from_global_cluster", remove)
    monkeypatch.setattr(RDSBackend, "modify_db_cluster", modify)
    # Its names, which have the minute, would be used twice.
    monkeypatch.setattr(RDSBackend, "create_auto_cluster_snapshot", nothing)
    monkeypatch.setattr(RDSBackend, "create_auto_snapshot", nothing)


@pytest.fixture
def seeded(monkeypatch: pytest.MonkeyPatch) -> Any:
    with account(monkeypatch):
        yield seed()


def test_restored_clusters_have_the_names_and_are_one_global_database(
    seeded: Procedure, tmp_path: Path
) -> None:
    before = clusters(HOME)[NAMES[HOME]]["DbClusterResourceId"]
    assert run(seeded, tmp_path / "r", FACTORY) == WAITING
    assert_restored()
    assert clusters(HOME)[f"{NAMES[HOME]}-broken"]["DbClusterResourceId"] == before
    deploy()
    assert run(seeded, tmp_path / "r", FACTORY) == DONE


def test_restore_continues_after_an_interruption_at_every_write(seeded: Procedure, tmp_path: Path) -> None:
    writes = continued_after_every_interruption(seeded, assert_restored, tmp_path, FACTORY, deploy)
    assert writes > 15


def test_master_user_gets_the_password_of_the_secret(seeded: Procedure, tmp_path: Path) -> None:
    passwords: list[str] = []

    def watching(service: str, region: str) -> Any:
        made = FACTORY(service, region)

        def note(params: Any, model: Any, **_: Any) -> None:
            if model.name == "ModifyDBCluster" and "MasterUserPassword" in params:
                passwords.append(params["MasterUserPassword"])

        made.meta.events.register("before-parameter-build", note)
        return made

    finish(seeded, tmp_path / "r", watching, deploy)
    assert passwords == ["the-current-one"]
    assert "the-current-one" not in (tmp_path / "r").read_text()


def test_confirmation_names_the_writes_that_are_lost(seeded: Procedure, tmp_path: Path) -> None:
    said: list[str] = []
    runner = Runner(seeded, client, tmp_path / "r", say=said.append, ask=lambda _: "", sleep=lambda _: None)
    with pytest.raises(ProcedureError, match="nothing was changed"):
        runner.run()
    assert any(f"all writes to {NAMES[HOME]} after {MOMENT:%Y-%m-%d}" in line for line in said)
    assert clusters(HOME).keys() == {NAMES[HOME]}


def test_one_region_has_no_global_database_to_rebuild() -> None:
    titles = [step.title for step in procedure("small").steps]
    assert not any("global" in title or "secondary" in title for title in titles)


@pytest.mark.parametrize(
    "to", ["yesterday", "2026-01-31 14:05", "2020-01-31T14:05:00Z", "2999-01-31T14:05:00Z"]
)
def test_moment_that_cannot_be_restored_is_refused(to: str) -> None:
    with pytest.raises(ProcedureError, match="--to is"):
        procedure(to=to)


def test_every_declared_call_is_made(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """So the plan shows no call that isn't needed."""
    with account(monkeypatch):
        chosen = seed()
        finish(chosen, tmp_path / "r", FACTORY, deploy)
    made = {*calls(tmp_path / "r")}
    declared: Callable[[Any], set[str]] = lambda step: {  # noqa: E731
        f"{item.service}:{operation} in {item.region}" for item in step.calls for operation in item.operations
    }
    assert {call for step in chosen.steps for call in declared(step)} - made == set()


def test_restore_needs_the_regions_of_the_databases_and_iams_control_plane() -> None:
    assert procedure().depends_on == {HOME, OTHER}
