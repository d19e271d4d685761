"""Beneath the tiers: backups that do not go with what they are of, nor with its region."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from components.common.component import Component
from components.common.context import RegionContext
from components.common.iam import service_trust
from components.common.signals import Signal

COMPLETION_MINUTES = 12 * 60


@dataclass(frozen=True, kw_only=True)
class BackupVaultArgs:
    """Settings of a region's vault."""

    context: RegionContext
    min_retention_days: int
    """What a locked vault keeps every backup for."""
    daily: bool
    """Whether the plan makes backups here; otherwise there are copies of other regions' only."""


class BackupVault(Component):
    """Where a region keeps backups, of its own and of other regions.

    A protected one is locked: nobody deletes a backup before its time, nor shortens it. The lock is that of
    *governance* mode, which somebody with the right to it can take off; the other one, *compliance*, not even
    AWS can, so that a wrong retention would be paid for to its end.
    """

    vault_name: pulumi.Output[str]
    arn: pulumi.Output[str]

    def __init__(self, name: str, args: BackupVaultArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("trading:tier:BackupVault", name, opts)
        vault = aws.backup.Vault(
            name,
            kms_key_arn=args.context.key_arn,
            force_destroy=not args.context.protect,
            opts=self.child(protect=args.context.protect),
        )
        if args.context.protect:
            aws.backup.VaultLockConfiguration(
                name,
                backup_vault_name=vault.name,
                min_retention_days=args.min_retention_days,
                opts=self.child(),
            )
        self.vault_name = vault.name
        self.arn = vault.arn
        # Metrics of "Monitoring AWS Backup metrics with CloudWatch" (AWS Backup developer guide).
        self.report(
            *[
                Signal(
                    name=f"backup-{job}-failed",
                    runbook="backup-failed",
                    title=title,
                    namespace="AWS/Backup",
                    metric=metric,
                    dimensions={"BackupVaultName": vault.name},
                    statistic="Sum",
                    threshold=0,
                    reason="There is one backup a day, so each failure leaves a day that can't be restored "
                    "from the vault.",
                    severity="warning",
                    period_seconds=3600,
                    periods=1,
                )
                for job, metric, title in (
                    ("job", "NumberOfBackupJobsFailed", "A backup has failed"),
                    ("start", "NumberOfBackupJobsExpired", "A backup hasn't started within its start window"),
                    ("copy", "NumberOfCopyJobsFailed", "The copy of a backup to another region has failed"),
                )
            ]
        )
        if args.daily:
            self.report(
                Signal(
                    name="backup-missing",
                    title="No backup has been made for two days",
                    namespace="AWS/Backup",
                    metric="NumberOfBackupJobsCompleted",
                    dimensions={"BackupVaultName": vault.name},
                    statistic="Sum",
                    # Else CloudWatch looks for values of days further back before it takes them for missing.
                    expression="FILL(metric, 0)",
                    comparison="below",
                    threshold=1,
                    reason="There should be one backup a day. A backup job that never starts doesn't fail "
                    "either, so no other alarm reports it.",
                    severity="warning",
                    period_seconds=86400,
                    periods=2,
                    missing_data="breaching",
                )
            )
        self.register_outputs({"arn": self.arn})


@dataclass(frozen=True, kw_only=True)
class BackupPlanArgs:
    """Settings of the plan."""

    vault_name: pulumi.Input[str]
    """Vault of the resources' region."""
    copy_to_vault_arns: Sequence[pulumi.Input[str]]
    """Vaults of other regions, which get a copy of every backup."""
    resource_arns: Sequence[pulumi.Input[str]]
    """What is backed up."""
    daily_retention_days: int
    monthly_retention_days: int


class BackupPlan(Component):
    """A backup a day and one a month, each copied to the other regions.

    They are snapshots: going back to a second is the database's own automated backups' business, which AWS
    Backup would otherwise take over, with their window and their retention (`enable_continuous_backup`).
    """

    def __init__(self, name: str, args: BackupPlanArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("trading:tier:BackupPlan", name, opts)
        # UTC, hours after the database's own backup and its maintenance, which a snapshot would wait for.
        rules = (
            ("daily", "cron(0 12 * * ? *)", args.daily_retention_days),
            ("monthly", "cron(0 14 1 * ? *)", args.monthly_retention_days),
        )
        plan = aws.backup.Plan(
            name,
            rules=[
                {
                    "rule_name": rule,
                    "target_vault_name": args.vault_name,
                    "schedule": schedule,
                    "start_window": 60,
                    "completion_window": COMPLETION_MINUTES,
                    # Nothing of Aurora can go to cold storage.
                    "lifecycle": {"delete_after": days},
                    "copy_actions": [
                        {"destination_vault_arn": arn, "lifecycle": {"delete_after": days}}
                        for arn in args.copy_to_vault_arns
                    ],
                }
                for rule, schedule, days in rules
            ],
            opts=self.child(),
        )
        role = aws.iam.Role(name, assume_role_policy=service_trust("backup.amazonaws.com"), opts=self.child())
        permission = aws.iam.RolePolicyAttachment(
            name,
            role=role.name,
            policy_arn="arn:aws:iam::aws:policy/service-role/AWSBackupServiceRolePolicyForBackup",
            opts=self.child(),
        )
        aws.backup.Selection(
            name,
            plan_id=plan.id,
            iam_role_arn=role.arn,
            resources=args.resource_arns,
            # It names the role only, and backs up with its permissions.
            opts=self.child(depends_on=[permission]),
        )
        self.register_outputs({})
