"""Backups: what is backed up, for how long, in which other regions, and who can delete it."""

import json

import pytest

from components.backup import BackupPlan, BackupPlanArgs, BackupVault, BackupVaultArgs
from components.common.signals import Signal
from tests.unit.harness import STACKS, Graph, context, deploy, platform

KEY = "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
OTHER = "arn:aws:backup:eu-west-1:123456789012:backup-vault:other"
CLUSTER = "arn:aws:rds:us-east-1:123456789012:cluster:one"
VAULT = "aws:backup/vault:Vault"
PLAN = "aws:backup/plan:Plan"
LOCK = "aws:backup/vaultLockConfiguration:VaultLockConfiguration"


def vault(*, protect: bool = True, signals: list[Signal] | None = None) -> Graph:
    def program() -> None:
        args = BackupVaultArgs(
            context=context(key_arn=KEY, protect=protect),
            min_retention_days=35,
            backups_a_day=3,
        )
        made = BackupVault("backups", args)
        if signals is not None:
            signals.extend(made.signals)

    return deploy(program)


def plan(copy_to: list[str]) -> Graph:
    def program() -> None:
        BackupPlan(
            "plan",
            BackupPlanArgs(
                vault_name="backups",
                copy_to_vault_arns=copy_to,
                resource_arns=[CLUSTER],
                daily_retention_days=35,
                monthly_retention_days=365,
            ),
        )

    return deploy(program)


def test_a_protected_vault_is_locked_and_encrypted_with_our_key() -> None:
    graph = vault()
    made, lock = graph.only(VAULT), graph.only(LOCK)
    assert made.inputs["kmsKeyArn"] == KEY
    assert made.protect
    assert made.inputs["forceDestroy"] is False
    assert lock.inputs["backupVaultName"] == made.outputs["name"]
    assert lock.inputs["minRetentionDays"] == 35
    assert "changeableForDays" not in lock.inputs, "with it nobody could ever take the lock off"


def test_a_vault_has_a_role_that_may_restore_from_it() -> None:
    graph = vault()
    (role,) = graph.of("aws:iam/role:Role")
    (attached,) = graph.of("aws:iam/rolePolicyAttachment:RolePolicyAttachment")
    assert "backup.amazonaws.com" in role.inputs["assumeRolePolicy"]
    assert attached.inputs["role"] == role.outputs["name"]
    assert attached.inputs["policyArn"].endswith("/AWSBackupServiceRolePolicyForRestores")


def test_an_unprotected_vault_goes_with_what_is_in_it() -> None:
    graph = vault(protect=False)
    assert graph.of(LOCK) == []
    assert graph.only(VAULT).inputs["forceDestroy"] is True


def test_failed_backups_and_copies_ring() -> None:
    signals: list[Signal] = []
    vault(signals=signals)
    assert {signal.metric for signal in signals} > {
        "NumberOfBackupJobsFailed",
        "NumberOfBackupJobsExpired",
        "NumberOfCopyJobsFailed",
    }


def test_a_backup_that_nobody_began_rings_where_one_is_made_every_day() -> None:
    signals: list[Signal] = []
    vault(signals=signals)
    (missing,) = [signal for signal in signals if signal.metric == "NumberOfBackupJobsCompleted"]
    assert (missing.comparison, missing.threshold, missing.missing_data) == ("below", 3, "breaching")
    assert missing.period_seconds * missing.periods == 2 * 24 * 3600


def test_a_backup_a_day_and_one_a_month() -> None:
    rules = {rule["ruleName"]: rule for rule in plan([]).only(PLAN).inputs["rules"]}
    assert {name: rule["lifecycle"]["deleteAfter"] for name, rule in rules.items()} == {
        "daily": 35,
        "monthly": 365,
    }
    assert rules["daily"]["schedule"].split()[2:4] == ["*", "*"]
    assert rules["monthly"]["schedule"].split()[2:4] == ["1", "*"]


def test_point_in_time_recovery_stays_the_databases_own() -> None:
    for rule in plan([]).only(PLAN).inputs["rules"]:
        assert "enableContinuousBackup" not in rule, "it would take over the cluster's retention and window"
        assert "coldStorageAfter" not in rule["lifecycle"], "nothing of Aurora can go there"


def test_every_backup_is_copied_to_the_other_region_and_kept_as_long() -> None:
    for rule in plan([OTHER]).only(PLAN).inputs["rules"]:
        (copy,) = rule["copyActions"]
        assert copy["destinationVaultArn"] == OTHER
        assert copy["lifecycle"] == rule["lifecycle"]


def test_only_backup_takes_on_the_role_and_backs_up_what_is_named() -> None:
    graph = plan([])
    trust = json.loads(graph.only("aws:iam/role:Role").inputs["assumeRolePolicy"])
    assert trust["Statement"][0]["Principal"] == {"Service": "backup.amazonaws.com"}
    selection = graph.only("aws:backup/selection:Selection")
    assert selection.inputs["resources"] == [CLUSTER]
    assert graph.only("aws:iam/rolePolicyAttachment:RolePolicyAttachment").name in selection.depends_on


def selections(graph: Graph) -> dict[str, set[str]]:
    """Region → the resources that its plan backs up."""
    return {
        selection.name.removeprefix("backup-plan-"): set(selection.inputs["resources"])
        for selection in graph.of("aws:backup/selection:Selection")
    }


@pytest.mark.parametrize("stack", STACKS)
def test_every_region_backs_up_its_own_database_and_tables(stack: str) -> None:
    """Whichever region takes writes after a failover, its data is in a vault."""
    graph = platform(stack)
    stores = [
        resource.outputs["arn"]
        for kind in ("rds/cluster:Cluster", "dynamodb/table:Table", "dynamodb/tableReplica:TableReplica")
        for resource in graph.of(f"aws:{kind}")
    ]
    found = selections(graph)
    assert set[str]().union(*found.values()) == set(stores)
    for region, arns in found.items():
        assert {arn.split(":")[3] for arn in arns} == {region}
        assert len(arns) == len(stores) / len(found)
        alarm = graph.named(f"monitoring-{region}-backup-missing").inputs
        assert alarm["threshold"] == len(arns)


def test_backups_of_the_primary_region_are_copied_to_the_others() -> None:
    graph = platform("full")
    there = graph.named("backups-eu-west-1", VAULT).outputs["arn"]
    copies = {
        plan.name: {
            copy["destinationVaultArn"] for rule in plan.inputs["rules"] for copy in rule["copyActions"]
        }
        for plan in graph.of(PLAN)
    }
    assert copies == {"backup-plan-us-east-1": {there}, "backup-plan-eu-west-1": set()}
    for rule in platform("small").only(PLAN).inputs["rules"]:
        assert not rule.get("copyActions")
