"""Beneath the tiers: backups that outlive their resource and its region."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from components.common.component import Component
from components.common.context import RegionContext
from components.common.service_role import service_role
from components.common.signals import Signal
from components.service.table import DASHBOARD as TABLES_DASHBOARD

COMPLETION_MINUTES = 12 * 60


@dataclass(frozen=True, kw_only=True)
class BackupVaultArgs:
    """Settings of a region's vault."""

    context: RegionContext
    min_retention_days: int
    """Minimum number of days that a locked vault keeps every backup."""
    backups_a_day: int
    """Number of resources that the region's plan backs up into this vault every day."""


class BackupVault(Component):
    """A region's vault for its own backups and for copies from other regions.

    A protected vault is locked: nobody can delete a backup early or shorten its retention. The lock uses
    *governance* mode, so somebody with the required permission can remove it. In *compliance* mode, not even
    AWS can remove the lock, so backups with a wrong retention would have to be paid for until they expire.
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
        self._restore_role(name)
        self.vault_name = vault.name
        self.arn = vault.arn
        # Metrics from "Monitoring AWS Backup metrics with CloudWatch" (AWS Backup Developer Guide).
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
                    reason="There is one backup a day of each resource, so each failure leaves a day that "
                    "can't be restored from the vault.",
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
        self.report(
            Signal(
                name="backup-missing",
                # The threshold changes with the number of tables, and the region's dashboard must not.
                dashboard=TABLES_DASHBOARD,
                title="Fewer backups have been made than there should be, for two days",
                namespace="AWS/Backup",
                metric="NumberOfBackupJobsCompleted",
                dimensions={"BackupVaultName": vault.name},
                statistic="Sum",
                # Otherwise, CloudWatch considers values from earlier days before it treats data as
                # missing.
                expression="FILL(metric, 0)",
                comparison="below",
                threshold=args.backups_a_day,
                reason="There should be one backup a day of the database and of each table. A backup job "
                "that never starts doesn't fail either, so no other alarm reports it.",
                severity="warning",
                period_seconds=86400,
                periods=2,
                missing_data="breaching",
            )
        )
        self.register_outputs({"arn": self.arn})

    def _restore_role(self, name: str) -> None:
        """The role with which people restore from the vault. It exists beforehand, because IAM's control
        plane is in us-east-1, which may be the region that is lost."""
        service_role(
            self,
            f"{name}-restore",
            "backup.amazonaws.com",
            "arn:aws:iam::aws:policy/service-role/AWSBackupServiceRolePolicyForRestores",
        )


@dataclass(frozen=True, kw_only=True)
class BackupPlanArgs:
    """Settings of the plan."""

    vault_name: pulumi.Input[str]
    """Vault in the resources' region."""
    copy_to_vault_arns: Sequence[pulumi.Input[str]]
    """Vaults in other regions, which get a copy of every backup."""
    resource_arns: Sequence[pulumi.Input[str]]
    """Resources to back up."""
    daily_retention_days: int
    monthly_retention_days: int


class BackupPlan(Component):
    """A daily and a monthly backup of a region's database cluster and tables.

    Every region has a plan, because any region may become the primary one in a failover that no deployment
    follows at once. The first region's backups are also copied to the others.

    AWS Backup must be enabled for Aurora and DynamoDB in the account's settings of each region
    (docs/deployment.md). No stack manages these settings (`aws.backup.RegionSettings`): they are the same for
    all stacks of an account and region, and must name every service that AWS Backup supports there, or each
    preview would show the missing ones as a difference.

    These backups are snapshots. Point-in-time recovery uses the database's own automated backups. With
    `enable_continuous_backup`, AWS Backup would take over their window and retention.
    """

    def __init__(self, name: str, args: BackupPlanArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("trading:tier:BackupPlan", name, opts)
        # UTC, hours after the database's own backup and maintenance windows, during which a snapshot would
        # have to wait.
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
                    # Backups of Aurora can't be moved to cold storage.
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
        role, permission = service_role(
            self,
            name,
            "backup.amazonaws.com",
            "arn:aws:iam::aws:policy/service-role/AWSBackupServiceRolePolicyForBackup",
        )
        aws.backup.Selection(
            name,
            plan_id=plan.id,
            iam_role_arn=role.arn,
            resources=args.resource_arns,
            # The selection refers only to the role, but backups need its permissions.
            opts=self.child(depends_on=[permission]),
        )
        self.register_outputs({})
