"""The deletion of a stack, against moto's account."""

# pyright: reportUnknownMemberType=false
# (boto3's stubs are installed for one service only)
from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from moto.kms import models as kms_models

from operations import teardown
from operations.procedure import WAITING, Procedure, ProcedureError, Runner
from operations.teardown import Stack, steps
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
from tests.unit.harness import ROOT, stack_values, without_namespace

HOME, OTHER = REGIONS = ("us-east-1", "eu-west-1")
PLATFORM = "trading-full"
NAMES = {region: f"{PLATFORM}-database-{region}" for region in REGIONS}


def copy(asked: Mapping[str, Any]) -> dict[str, Any]:
    """moto fails to copy a snapshot with a key."""
    names = ("SourceDBClusterSnapshotIdentifier", "TargetDBClusterSnapshotIdentifier")
    assert asked["KmsKeyId"] == "alias/kept"
    client("rds", HOME).copy_db_cluster_snapshot(**{name: asked[name] for name in names})
    return {}


FACTORY = answering({"rds:CopyDBClusterSnapshot": copy})


def create_cluster(name: str, region: str) -> None:
    client("rds", region).create_db_cluster(
        DBClusterIdentifier=name,
        Engine="aurora-postgresql",
        MasterUsername="administrator",
        MasterUserPassword="the-first-one",
        DeletionProtection=True,
    )


@dataclass
class Seeded:
    """The account, and what a person does in it."""

    done: list[str] = field(default_factory=list[str])

    def by_hand(self) -> None:
        """The two steps of a person, one after the other."""
        (self.destroy if self.done else self.unprotect)()

    def unprotect(self) -> None:
        self.done.append("unprotect")
        for region, name in NAMES.items():
            client("rds", region).modify_db_cluster(DBClusterIdentifier=name, DeletionProtection=False)

    def destroy(self) -> None:
        self.done.append("destroy")
        for region, name in NAMES.items():
            rds = client("rds", region)
            for instance in rds.describe_db_instances()["DBInstances"]:
                assert not instance["DBInstanceIdentifier"].startswith("application-autoscaling-"), "refused"
                rds.delete_db_instance(DBInstanceIdentifier=instance["DBInstanceIdentifier"])
            rds.delete_db_cluster(DBClusterIdentifier=name, SkipFinalSnapshot=True)
            client("kms", region).delete_alias(AliasName=f"alias/{PLATFORM}-{region}")


def key(region: str, alias: str, platform: str = "") -> None:
    kms = client("kms", region)
    tags = [{"TagKey": "platform", "TagValue": platform}] if platform else []
    made = kms.create_key(Tags=tags)["KeyMetadata"]["KeyId"]
    kms.create_alias(AliasName=f"alias/{alias}", TargetKeyId=made)


@pytest.fixture
def seeded(monkeypatch: pytest.MonkeyPatch) -> Any:
    # Moto computes a private key for each key, and only signatures use it.
    monkeypatch.setattr(kms_models, "generate_private_key", Mock())
    with account(monkeypatch):
        for region, name in NAMES.items():
            create_cluster(name, region)
            for instance in ("tf-1", "application-autoscaling-1"):
                client("rds", region).create_db_instance(
                    DBInstanceIdentifier=instance,
                    DBClusterIdentifier=name,
                    DBInstanceClass="db.r8g.xlarge",
                    Engine="aurora-postgresql",
                )
            key(region, f"{PLATFORM}-{region}", PLATFORM)
        create_cluster("trading-decoy-database-us-east-1", HOME)
        key(HOME, "trading-decoy-us-east-1", "trading-decoy")
        key(HOME, "kept")
        yield Seeded()


def procedure(key: str = "alias/kept", *, protect: bool = False) -> Procedure:
    return Procedure("teardown", "full", [*steps(Stack(PLATFORM, REGIONS, protect, key))])


def snapshots() -> list[str]:
    found = client("rds", HOME).describe_db_cluster_snapshots(SnapshotType="manual")["DBClusterSnapshots"]
    return [re.sub(r"\d{14}$", "TIME", one["DBClusterSnapshotIdentifier"]) for one in found]


def assert_destroyed() -> None:
    for region in REGIONS:
        clusters = client("rds", region).describe_db_clusters()["DBClusters"]
        assert not [one for one in clusters if one["DBClusterIdentifier"].startswith(PLATFORM)]
        assert client("rds", region).describe_db_instances()["DBInstances"] == []
    assert snapshots() == [f"{PLATFORM}-kept-TIME"]


def test_a_readable_copy_is_all_that_remains(seeded: Seeded, tmp_path: Path) -> None:
    finish(procedure(), tmp_path / "r", FACTORY, seeded.by_hand)
    assert_destroyed()
    assert seeded.done == ["unprotect", "destroy"]


def test_teardown_continues_after_every_interruption(seeded: Seeded, tmp_path: Path) -> None:
    writes = continued_after_every_interruption(
        procedure(), assert_destroyed, tmp_path, FACTORY, seeded.by_hand
    )
    assert writes == 5


def test_copy_exists_before_the_protection_is_off(seeded: Seeded, tmp_path: Path) -> None:
    said: list[str] = []
    assert run(procedure(), tmp_path / "r", FACTORY, said=said) == WAITING
    assert snapshots() == [f"{PLATFORM}-last-TIME", f"{PLATFORM}-kept-TIME"]
    assert "Take the protection off" in "\n".join(said[-2:])
    assert seeded.done == []


def test_stack_file_that_still_protects_waits(seeded: Seeded, tmp_path: Path) -> None:
    """Clusters that somebody has unprotected by hand are not enough."""
    seeded.unprotect()
    assert run(procedure(protect=True), tmp_path / "r", FACTORY) == WAITING
    assert run(procedure(), tmp_path / "r", FACTORY) == WAITING
    scaled = client("rds", OTHER).describe_db_instances()["DBInstances"]
    assert [instance["DBInstanceIdentifier"] for instance in scaled] == ["tf-1"]


@pytest.mark.usefixtures("seeded")
def test_confirmation_says_what_is_lost(tmp_path: Path) -> None:
    said: list[str] = []
    runner = Runner(
        procedure(), FACTORY, tmp_path / "r", say=said.append, ask=lambda _: "", sleep=lambda _: None
    )
    with pytest.raises(ProcedureError, match="nothing was changed"):
        runner.run()
    (loss,) = [line for line in said if line.startswith("  - ")]
    for word in (
        *("every backup in the vaults of us-east-1, eu-west-1", "force_destroy", "monthly"),
        *("scheduled for deletion: from that moment, nothing", "cancel-key-deletion"),
        f"except for {PLATFORM}-kept-",
    ):
        assert word in loss
    assert snapshots() == []


@pytest.mark.parametrize(
    ("key", "text"),
    [
        (f"alias/{PLATFORM}-{HOME}", "is the stack's own and goes with it"),
        ("alias/none", "DescribeKey was refused with NotFoundException"),
    ],
)
@pytest.mark.usefixtures("seeded")
def test_key_that_does_not_stay_is_refused(key: str, text: str, tmp_path: Path) -> None:
    with pytest.raises(ProcedureError, match=text):
        run(procedure(key), tmp_path / "r", FACTORY)


@pytest.mark.parametrize("end", ["-broken", "-restored"])
@pytest.mark.usefixtures("seeded")
def test_cluster_that_a_restore_has_left_is_deleted_first(end: str, tmp_path: Path) -> None:
    create_cluster(NAMES[OTHER] + end, OTHER)
    with pytest.raises(ProcedureError, match=f"{NAMES[OTHER]}{end} is not in the stack's state: delete it"):
        run(procedure(), tmp_path / "r", FACTORY)


def test_keeping_nothing_takes_no_snapshot(seeded: Seeded, tmp_path: Path) -> None:
    finish(procedure(""), tmp_path / "r", FACTORY, seeded.by_hand)
    assert snapshots() == []


def test_every_declared_call_is_made(seeded: Seeded, tmp_path: Path) -> None:
    chosen = procedure()
    finish(chosen, tmp_path / "r", FACTORY, seeded.by_hand)
    declared: Callable[[Any], set[str]] = lambda step: {  # noqa: E731
        f"{item.service}:{operation} in {item.region}" for item in step.calls for operation in item.operations
    }
    made = {*calls(tmp_path / "r")}
    assert {call for step in chosen.steps for call in declared(step)} - made == set()


def test_teardown_needs_the_stacks_regions_and_keeps_or_drops_the_data_explicitly() -> None:
    values = without_namespace(stack_values("full"))
    parse = teardown.arguments_parser().parse_args
    for arguments, count in (["--key", "alias/kept"], 7), (["--keep-nothing"], 4):
        chosen = teardown.procedure(Settings.parse(values), parse([*arguments, "--stack", "full"]))
        assert (len(chosen.steps), chosen.depends_on) == (count, {HOME, OTHER})
    with pytest.raises(SystemExit):
        parse(["--stack", "full"])


def test_commands_of_the_runbook_are_accepted() -> None:
    text = (ROOT / "docs" / "operations.md").read_text()
    found = re.findall(r"^ *python -m operations\.teardown (.+)$", text, flags=re.MULTILINE)
    parsed = [teardown.arguments_parser().parse_args(shlex.split(line, comments=True)) for line in found]
    assert {bool(options.key) for options in parsed} == {True, False}
