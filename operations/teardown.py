"""`python -m operations.teardown`: deletes a stack, in the order in which nothing is lost by mistake.

It first copies the database to a key that stays, waits while a person takes the protection off, deletes what
would make AWS refuse the deletion, and waits while a person destroys the stack. Everything that the stack's
own keys encrypt is unreadable from the moment at which the keys are scheduled for deletion, also in snapshots
and backups outside the stack ("Deleting AWS KMS keys", AWS KMS Developer Guide, read in November 2026).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from botocore.exceptions import ClientError

from account.question import Answer
from operations import command, database
from operations.database import LEFT_OVER, SCALED
from operations.procedure import Account, Calls, Procedure, ProcedureError, Step
from settings import Settings

RECENT = timedelta(days=1)
"""A snapshot of an interrupted run counts for this time. After it, a new one is taken."""

Found = Mapping[str, Any]


@dataclass(frozen=True)
class Stack:
    """The names of what a stack has.

    Args:
        platform: prefix of the names.
        regions: the regions, beginning with the primary one.
        protect: whether the stack file still protects it.
        key: the KMS key of the copy that is kept; empty to keep nothing.
        now: the time in UTC.
    """

    platform: str
    regions: Sequence[str]
    protect: bool
    key: str
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    @property
    def primary(self) -> str:
        """The region whose database has the writer."""
        return self.regions[0]

    def cluster(self, region: str) -> str:
        """Identifier of a region's cluster."""
        return database.cluster(self.platform, region)

    def clusters(self, account: Account, region: str) -> dict[str, Found]:
        """The region's clusters, and what procedures have left of earlier ones, by name."""
        pages = account.client("rds", region).get_paginator("describe_db_clusters").paginate()
        own = self.cluster(region)
        names = {own, *(own + end for end in LEFT_OVER)}
        found = [cluster for page in pages for cluster in page["DBClusters"]]
        return {one["DBClusterIdentifier"]: one for one in found if one["DBClusterIdentifier"] in names}

    def scaled(self, account: Account, region: str) -> list[str]:
        """The readers that auto scaling has added, which the stack's state doesn't have."""
        pages = account.client("rds", region).get_paginator("describe_db_instances").paginate()
        return [
            instance["DBInstanceIdentifier"]
            for page in pages
            for instance in page["DBInstances"]
            if instance.get("DBClusterIdentifier") == self.cluster(region)
            and instance["DBInstanceIdentifier"].startswith(SCALED)
        ]

    def snapshots(self, account: Account, kind: str) -> list[Found]:
        """The recent snapshots of one kind (`last` or `kept`) in the primary region."""
        pages = account.client("rds", self.primary).get_paginator("describe_db_cluster_snapshots")
        return [
            snapshot
            for page in pages.paginate(SnapshotType="manual")
            for snapshot in page["DBClusterSnapshots"]
            if snapshot["DBClusterSnapshotIdentifier"].startswith(f"{self.platform}-{kind}-")
            and snapshot["SnapshotCreateTime"] >= self.now() - RECENT
        ]


def steps(stack: Stack) -> Iterator[Step]:
    """All steps, in their order."""
    if stack.key:
        yield _snapshot(stack)
        yield _copy(stack)
    yield _unprotect(stack)
    for region in stack.regions:
        yield _scale_in(stack, region)
    yield _destroy(stack)
    if stack.key:
        yield _delete_unreadable(stack)


_SNAPSHOTS = ("DescribeDBClusters", "DescribeDBClusterSnapshots")


def _is_destroyed(stack: Stack, account: Account) -> bool:
    return not stack.clusters(account, stack.primary)


def _snapshot(stack: Stack) -> Step:
    region, name = stack.primary, stack.cluster(stack.primary)

    def check(account: Account) -> Answer:
        found = stack.clusters(account, region)
        if name not in found or found[name]["Status"] != "available":
            return Answer("fail", f"{name} is not available", "wait, or look for it in the console")
        return Answer("pass", f"{name} is available")

    def act(account: Account) -> None:
        if not stack.snapshots(account, "last"):
            account.client("rds", region).create_db_cluster_snapshot(
                DBClusterIdentifier=name,
                DBClusterSnapshotIdentifier=f"{stack.platform}-last-{stack.now():%Y%m%d%H%M%S}",
            )

    return Step(
        title="Take a last snapshot of the database",
        changes=f"a snapshot {stack.platform}-last-… in {region}; stop the writers before, or it lacks what "
        "they write afterwards",
        calls=(Calls("rds", region, (*_SNAPSHOTS, "CreateDBClusterSnapshot")),),
        check=check,
        done=lambda account: _is_destroyed(stack, account) or _available(stack.snapshots(account, "last")),
        act=act,
        minutes=120,
    )


def _available(snapshots: Sequence[Found]) -> bool:
    return any(snapshot["Status"] == "available" for snapshot in snapshots)


def _copy(stack: Stack) -> Step:
    region = stack.primary

    def check(account: Account) -> Answer:
        kms = account.client("kms", region)
        key = kms.describe_key(KeyId=stack.key)["KeyMetadata"]
        if key["KeyState"] != "Enabled" or key["KeyManager"] != "CUSTOMER":
            remedy = "give a customer managed key that is enabled"
            return Answer(
                "fail", f"{stack.key} is {key['KeyState']} and managed by {key['KeyManager']}", remedy
            )
        tags = kms.list_resource_tags(KeyId=key["KeyId"])["Tags"]
        if {"TagKey": "platform", "TagValue": stack.platform} in tags:
            return Answer("fail", f"{stack.key} is the stack's own and goes with it", "give a key that stays")
        return Answer("pass", f"{stack.key} is enabled and stays")

    def act(account: Account) -> None:
        if stack.snapshots(account, "kept"):
            return
        for snapshot in stack.snapshots(account, "last"):
            name = snapshot["DBClusterSnapshotIdentifier"]
            account.client("rds", region).copy_db_cluster_snapshot(
                SourceDBClusterSnapshotIdentifier=name,
                TargetDBClusterSnapshotIdentifier=name.replace("-last-", "-kept-"),
                KmsKeyId=stack.key,
                CopyTags=True,
            )

    return Step(
        title="Copy it to a key that stays",
        changes=f"a snapshot {stack.platform}-kept-… in {region}, which is readable without the stack",
        calls=(
            Calls("rds", region, (*_SNAPSHOTS, "CopyDBClusterSnapshot")),
            Calls("kms", region, ("DescribeKey", "ListResourceTags")),
        ),
        check=check,
        done=lambda account: _is_destroyed(stack, account) or _available(stack.snapshots(account, "kept")),
        act=act,
        minutes=240,
    )


def _unprotect(stack: Stack) -> Step:
    def check(account: Account) -> Answer:
        found = {name for region in stack.regions for name in stack.clusters(account, region)}
        more = sorted(found - {stack.cluster(region) for region in stack.regions})
        if more:
            remedy = "delete it with its instances first, or it stays and is billed"
            return Answer("fail", f"{', '.join(more)} is not in the stack's state", remedy)
        return Answer("pass", "all clusters are in the stack's state")

    def done(account: Account) -> bool:
        clusters = [one for region in stack.regions for one in stack.clusters(account, region).values()]
        return not stack.protect and not any(cluster["DeletionProtection"] for cluster in clusters)

    return Step(
        title="Take the protection off",
        changes="Pulumi and AWS allow the deletion; nothing is deleted yet. The vaults' locks are removed",
        calls=tuple(Calls("rds", region, ("DescribeDBClusters",)) for region in stack.regions),
        by_hand="# In the stack file: protect: false, and max of database.readers equal to min.\n"
        "# With domain.dnssec: two days before, remove the DS record from the parent zone.\n"
        "# Without the policy pack, which requires protection in production:\n"
        "pulumi up",
        check=check,
        done=done,
    )


def _scale_in(stack: Stack, region: str) -> Step:
    def act(account: Account) -> None:
        rds = account.client("rds", region)
        for name in stack.scaled(account, region):
            try:
                rds.delete_db_instance(DBInstanceIdentifier=name, SkipFinalSnapshot=True)
            except ClientError as error:
                # It is being deleted, from an earlier run.
                if error.response.get("Error", {}).get("Code") != "InvalidDBInstanceState":
                    raise

    return Step(
        title=f"Delete the readers in {region} that auto scaling has added",
        changes="the cluster can be deleted: AWS refuses while it has instances that the state doesn't know",
        calls=(Calls("rds", region, ("DescribeDBInstances", "DeleteDBInstance")),),
        done=lambda account: not stack.scaled(account, region),
        act=act,
        minutes=30,
    )


def _destroy(stack: Stack) -> Step:
    def done(account: Account) -> bool:
        """Whether the stack's keys are gone: almost everything else needs one of them, and goes before."""
        return not any(
            alias["AliasName"] == f"alias/{stack.platform}-{region}"
            for region in stack.regions
            for page in account.client("kms", region).get_paginator("list_aliases").paginate()
            for alias in page["Aliases"]
        )

    kept = f"except for {stack.platform}-kept-…" if stack.key else "and no copy of it is kept"
    return Step(
        title="Destroy the stack",
        changes="nothing of the stack is left but what the runbook lists",
        calls=tuple(Calls("kms", region, ("ListAliases",)) for region in stack.regions),
        by_hand="pulumi destroy    # if it is interrupted or refused, read the error and run it again",
        done=done,
        loses=f"the database with its automated backups, {kept}; every backup in the vaults of "
        f"{', '.join(stack.regions)}, daily and monthly, of the database and of the tables (force_destroy); "
        "the tables, topics, logs and users. The stack's keys are scheduled for deletion: from that moment, "
        "nothing that they encrypt can be read, also outside the stack. For 30 days, "
        "aws kms cancel-key-deletion brings the keys back, and nothing else does",
    )


def _delete_unreadable(stack: Stack) -> Step:
    region = stack.primary

    def act(account: Account) -> None:
        if not _available(stack.snapshots(account, "kept")):
            raise ProcedureError(f"there is no recent snapshot {stack.platform}-kept-… in {region}")
        for snapshot in stack.snapshots(account, "last"):
            account.client("rds", region).delete_db_cluster_snapshot(
                DBClusterSnapshotIdentifier=snapshot["DBClusterSnapshotIdentifier"]
            )

    return Step(
        title="Delete the snapshot that nobody can read any more",
        changes=f"{stack.platform}-last-…, which the stack's own key encrypts, costs nothing any more",
        calls=(Calls("rds", region, ("DescribeDBClusterSnapshots", "DeleteDBClusterSnapshot")),),
        done=lambda account: not stack.snapshots(account, "last"),
        act=act,
        minutes=10,
    )


def procedure(settings: Settings, options: argparse.Namespace) -> Procedure:
    """The procedure for a stack."""
    regions = [region.name for region in settings.primary_first]
    stack = Stack(settings.platform, regions, settings.protect, options.key or "")
    return Procedure("teardown", options.stack, [*steps(stack)])


def arguments_parser() -> argparse.ArgumentParser:
    """The parser of the command's arguments."""
    parser = command.parser("teardown", (__doc__ or "").partition("\n")[0].partition(": ")[2])
    kept = parser.add_mutually_exclusive_group(required=True)
    kept.add_argument(
        "--key", metavar="KEY", help="the KMS key in the primary region for the copy that is kept"
    )
    kept.add_argument("--keep-nothing", action="store_true", help="keep no copy of the database")
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Runs the command."""
    return command.execute(arguments_parser().parse_args(arguments), procedure)


if __name__ == "__main__":
    sys.exit(main())
