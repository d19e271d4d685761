"""Moves the writer of the database, and orders with it, to another region.

Five procedures, each for one moment:

    planned        both regions work: orders pause, the database switches over, orders continue there
    unplanned      the primary region doesn't answer: the other region is promoted, and data may be lost
    fence          the lost region answers again, or in part: it must take no orders
    keep-snapshot  the lost region is back: keep Aurora's snapshot of what had not been replicated
    evacuate       requests leave a region that is ill, wherever the database is; `--undo` brings them back

The return is `planned`, with the other region. Orders follow one item of the idempotency table
(`functions/order_intake/gate.py`). No region takes orders from before the database moves until it has moved,
so an order meets the writer or is refused. Other writes follow DNS, which the same item moves: during the
pause they go to the new region, whose database proxy refuses them until it has a writer. `unplanned` and
everything in it uses services of the other region only: DynamoDB's data plane, and the control planes of RDS
and Secrets Manager there.

After `planned` and `unplanned`, set `primaryRegion` to the region and deploy.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from account.question import Answer
from functions.order_intake.gate import KEY as GATE
from functions.order_intake.gate import NOWHERE
from operations import command, database
from operations.procedure import Account, Calls, Procedure, ProcedureError, Step
from settings import Settings

DRAIN_SECONDS = 60
"""After this time, an order that was admitted before has its answer: order intake's function ends after 29 s,
and what it has read of the item is valid for a second."""
WRITES_DRAIN_SECONDS = 240
"""After this time, no write that order intake doesn't see can reach the old region any more. After the item
has changed, Route 53's check fails after 30 s, its answer is cached for 60 s, the load balancer and
CloudFront end a connection within 90 s, and a request takes at most 29 s."""
SNAPSHOT_PREFIX = "rds:unplanned-global-failover-"
"""Beginning of the names of the snapshots that Aurora takes of an old primary's volume, once its region has
recovered. They expire with the backups of the old cluster ("Using switchover or failover in Amazon Aurora
Global Database", Aurora User Guide, read in November 2026)."""
KINDS = ("planned", "unplanned", "fence", "keep-snapshot", "evacuate")


@dataclass(frozen=True)
class Move:
    """From where to where the writer moves, and the names of what moves.

    Args:
        old: the region that had the writer.
        new: the region that gets it.
        platform: prefix of the fixed names.
        table: the idempotency table's name, which is the same in both regions (output `ordersTable`).
        now: the time in seconds.
    """

    old: str
    new: str
    platform: str
    table: str
    now: Callable[[], float] = time.time

    @property
    def global_cluster(self) -> str:
        """Identifier of the global database."""
        return database.global_database(self.platform)

    def cluster(self, region: str) -> str:
        """Identifier of a region's cluster."""
        return database.cluster(self.platform, region)

    # -- the item --------------------------------------------------------------------------------

    def takes_orders(self, account: Account, region: str) -> str:
        """The region that takes orders, according to a region's copy of the item; empty without one."""
        return self._item(account, region).get("region", {}).get("S", "")

    def closed_at(self, account: Account) -> float:
        """When orders were paused, in seconds."""
        return float(self._item(account, self.new).get("since", {}).get("N", "0"))

    def evacuated(self, account: Account, region: str) -> bool:
        """Whether a region is evacuated, according to its own copy of the item."""
        return region in self._item(account, region).get("evacuated", {}).get("SS", [])

    def _item(self, account: Account, region: str) -> Any:
        client = account.client("dynamodb", region)
        return client.get_item(TableName=self.table, Key=_KEY, ConsistentRead=True).get("Item", {})

    def close(self, account: Account, region: str) -> None:
        """Lets no region take orders."""
        self._update(
            account,
            region,
            "SET #region = :nowhere, since = :now",
            {":nowhere": {"S": NOWHERE}, ":now": {"N": str(int(self.now()))}},
            {"#region": "region"},
        )

    def open(self, account: Account) -> None:
        """Lets the new region take orders."""
        self._update(
            account, self.new, "SET #region = :new", {":new": {"S": self.new}}, {"#region": "region"}
        )

    def evacuate(self, account: Account, region: str, *, undo: bool) -> None:
        """Adds a region to the evacuated ones, or removes it."""
        verb = "DELETE" if undo else "ADD"
        self._update(account, region, f"{verb} evacuated :regions", {":regions": {"SS": [region]}}, {})

    def _update(
        self, account: Account, region: str, expression: str, values: dict[str, Any], names: dict[str, str]
    ) -> None:
        more = {"ExpressionAttributeNames": names} if names else {}
        account.client("dynamodb", region).update_item(
            TableName=self.table,
            Key=_KEY,
            UpdateExpression=expression,
            ExpressionAttributeValues=values,
            **more,
        )

    # -- the database ----------------------------------------------------------------------------

    def target(self, account: Account) -> Any:
        """The description of the new region's cluster."""
        client = account.client("rds", self.new)
        return client.describe_db_clusters(DBClusterIdentifier=self.cluster(self.new))["DBClusters"][0]

    def roles(self, account: Account) -> dict[str, bool]:
        """ARN of a member of the global database → whether it is the primary cluster.

        A cluster that has left the global database isn't among them. It has a writer, but not our data.
        """
        found = account.client("rds", self.new).describe_global_clusters(
            GlobalClusterIdentifier=self.global_cluster
        )["GlobalClusters"]
        return {member["DBClusterArn"]: member["IsWriter"] for member in found[0]["GlobalClusterMembers"]}

    def has_moved(self, account: Account) -> bool:
        """Whether the new region's cluster is the primary one, and available."""
        cluster = self.target(account)
        return self.roles(account).get(cluster["DBClusterArn"], False) and cluster["Status"] == "available"

    def secret(self, account: Account) -> Any:
        """The description of the new region's master secret.

        Raises:
            ProcedureError: there is no such secret.
        """
        for secret in database.master_secrets(account, self.platform, self.new):
            return secret
        prefix = database.master_user(self.platform, self.new)
        raise ProcedureError(f"{self.new} has no secret whose description begins with {prefix!r}")


_DESCRIBES = ("DescribeDBClusters", "DescribeGlobalClusters")
_KEY = {"account_id": {"S": GATE}, "client_order_id": {"S": GATE}}


def steps(move: Move, *, planned: bool) -> list[Step]:
    """The steps of a planned or an unplanned move."""
    return [
        _pause(move, planned=planned),
        _drain(move, planned=planned),
        _switch_over(move) if planned else _fail_over(move),
        _resume(move, planned=planned),
        _rotate(move),
    ]


def _copies(move: Move, *, planned: bool) -> tuple[str, ...]:
    """The regions whose copies of the item are read. In a failover, only the new one is sure to answer."""
    return (move.new, move.old) if planned else (move.new,)


def _of_the_item(move: Move, copies: Sequence[str]) -> tuple[Calls, ...]:
    """The calls of a step that writes the item in the new region and reads its copies, and that looks at the
    new region's cluster."""
    return (
        Calls("dynamodb", move.new, ("GetItem", "UpdateItem")),
        *(Calls("dynamodb", region, ("GetItem",)) for region in copies if region != move.new),
        Calls("rds", move.new, _DESCRIBES),
    )


def _pause(move: Move, *, planned: bool) -> Step:
    """Orders stop before the database moves."""
    copies = _copies(move, planned=planned)
    return Step(
        title="Pause orders",
        changes="order intake refuses orders in every region that reads this, and clients send them again; "
        f"within two minutes, routes that write go to {move.new}, whose database refuses them",
        calls=_of_the_item(move, copies),
        check=lambda account: _is_available(move, account),
        done=lambda account: all(
            move.takes_orders(account, region) in (NOWHERE, move.new) for region in copies
        ),
        act=lambda account: move.close(account, move.new),
        minutes=5,
    )


def _is_available(move: Move, account: Account) -> Answer:
    cluster = move.target(account)
    if cluster["DBClusterArn"] not in move.roles(account):
        return Answer(
            "fail",
            f"{move.cluster(move.new)} is no member of {move.global_cluster}",
            "it has left the global database and can't take the writer (docs/operations.md, Reorder or "
            "remove a region)",
        )
    found = f"{move.cluster(move.new)} is {cluster['Status']}"
    if cluster["Status"] == "available":
        return Answer("pass", found)
    return Answer("fail", found, "wait until it is available, or look at its events")


def _drain(move: Move, *, planned: bool) -> Step:
    """In a failover, nothing is sure to stop the old writer, so all writes must have left its region. In a
    switchover, the database refuses them there as soon as it has moved."""
    seconds = DRAIN_SECONDS if planned else WRITES_DRAIN_SECONDS

    def done(account: Account) -> bool:
        is_open = move.takes_orders(account, move.new) == move.new
        return is_open or move.now() >= move.closed_at(account) + seconds

    what = "the orders" if planned else "the orders and other writes"
    return Step(
        title=f"Let {what} end that were admitted before",
        changes=f"nothing; after {seconds // 60} min, none of them is on its way to the database",
        calls=(Calls("dynamodb", move.new, ("GetItem",)),),
        done=done,
        act=lambda _: None,
        minutes=seconds // 60 + 1,
    )


def _switch_over(move: Move) -> Step:
    def act(account: Account) -> None:
        if not _is_moving(move, account, move.old):
            account.client("rds", move.old).switchover_global_cluster(
                GlobalClusterIdentifier=move.global_cluster,
                TargetDbClusterIdentifier=move.target(account)["DBClusterArn"],
            )

    return Step(
        title=f"Switch the database over to {move.new}",
        changes=f"{move.new} has the writer, and {move.old} a copy; nothing is lost",
        calls=(
            Calls("rds", move.new, _DESCRIBES),
            # "Specify the AWS Region of the primary cluster" (same page as above).
            Calls("rds", move.old, ("DescribeGlobalClusters", "SwitchoverGlobalCluster")),
        ),
        check=lambda account: _is_available(move, account),
        done=move.has_moved,
        act=act,
        minutes=30,
    )


def _fail_over(move: Move) -> Step:
    def act(account: Account) -> None:
        if not _is_moving(move, account, move.new):
            account.client("rds", move.new).failover_global_cluster(
                GlobalClusterIdentifier=move.global_cluster,
                TargetDbClusterIdentifier=move.target(account)["DBClusterArn"],
                AllowDataLoss=True,
            )

    return Step(
        title=f"Promote the database of {move.new}",
        changes=f"{move.new} has the writer; Aurora tries to stop the writer in {move.old}",
        loses=f"what had not been replicated to {move.new}: usually the last second of transactions, and "
        "more if the alarm database-global-lag rang. The idempotency table may still answer that such an "
        f"order was accepted. Once {move.old} is back, run keep-snapshot and operations.reconcile",
        calls=(Calls("rds", move.new, (*_DESCRIBES, "FailoverGlobalCluster")),),
        check=lambda account: _is_available(move, account),
        done=move.has_moved,
        act=act,
        minutes=30,
    )


def _is_moving(move: Move, account: Account, region: str) -> bool:
    """Whether a switchover or failover is under way, from an earlier run."""
    found = account.client("rds", region).describe_global_clusters(
        GlobalClusterIdentifier=move.global_cluster
    )["GlobalClusters"]
    return bool(found[0].get("FailoverState"))


def _resume(move: Move, *, planned: bool) -> Step:
    def check(account: Account) -> Answer:
        if move.has_moved(account):
            return Answer("pass", f"{move.new} has the writer")
        return Answer("fail", f"{move.new} has no writer", "run the same command again")

    copies = _copies(move, planned=planned)
    return Step(
        title=f"Take orders in {move.new}",
        changes=f"order intake in {move.new} takes orders; Route 53 has sent them there since they paused",
        calls=_of_the_item(move, copies),
        check=check,
        done=lambda account: all(move.takes_orders(account, region) == move.new for region in copies),
        act=move.open,
        minutes=5,
    )


def _rotate(move: Move) -> Step:
    """The secret of the new region has a password that the database doesn't know yet."""

    def done(account: Account) -> bool:
        rotated = move.secret(account).get("LastRotatedDate")
        return rotated is not None and rotated.timestamp() >= move.closed_at(account)

    return Step(
        title=f"Make the master secret of {move.new} valid",
        changes="the database's master user has a new password, which is in that secret",
        calls=(
            Calls("dynamodb", move.new, ("GetItem",)),
            Calls("secretsmanager", move.new, ("ListSecrets", "RotateSecret")),
        ),
        done=done,
        act=lambda account: account.client("secretsmanager", move.new).rotate_secret(
            SecretId=move.secret(account)["ARN"]
        ),
        minutes=15,
    )


def fence(move: Move) -> Step:
    """Stops orders in the lost region through its own endpoint, in case its copy isn't replicated to."""
    return Step(
        title=f"Let {move.old} take no orders",
        changes=f"order intake in {move.old} refuses every order, even on connections that are still open",
        calls=(Calls("dynamodb", move.old, ("GetItem", "UpdateItem")),),
        done=lambda account: move.takes_orders(account, move.old) in (NOWHERE, move.new),
        act=lambda account: move.close(account, move.old),
        minutes=1,
    )


def keep_snapshot(move: Move) -> Step:
    """Copies the snapshots of what had not been replicated, which expire with the old cluster's backups."""

    def snapshots(account: Account, kind: str, prefix: str) -> set[str]:
        pages = account.client("rds", move.old).get_paginator("describe_db_cluster_snapshots")
        found = pages.paginate(SnapshotType=kind)
        names = {one["DBClusterSnapshotIdentifier"] for page in found for one in page["DBClusterSnapshots"]}
        return {name.removeprefix(prefix) for name in names if name.startswith(prefix)}

    taken, kept = f"{SNAPSHOT_PREFIX}{move.cluster(move.old)}-", f"unreplicated-{move.old}-"

    def open_ones(account: Account) -> set[str]:
        return snapshots(account, "automated", taken) - snapshots(account, "manual", kept)

    def check(account: Account) -> Answer:
        if found := snapshots(account, "automated", taken):
            return Answer("pass", f"Aurora has taken {len(found)}")
        return Answer(
            "fail",
            f"no snapshot's name begins with {taken}",
            f"wait until {move.old} has recovered; if there is none then, Aurora couldn't take it",
        )

    def act(account: Account) -> None:
        for suffix in sorted(open_ones(account)):
            account.client("rds", move.old).copy_db_cluster_snapshot(
                SourceDBClusterSnapshotIdentifier=f"{taken}{suffix}",
                TargetDBClusterSnapshotIdentifier=f"{kept}{suffix}",
                CopyTags=True,
            )

    return Step(
        title="Keep the snapshot of what had not been replicated",
        changes=f"a manual snapshot unreplicated-{move.old}-…, which doesn't expire",
        calls=(Calls("rds", move.old, ("DescribeDBClusterSnapshots", "CopyDBClusterSnapshot")),),
        check=check,
        done=lambda account: bool(snapshots(account, "manual", kept)) and not open_ones(account),
        act=act,
        minutes=10,
    )


def evacuate(move: Move, *, undo: bool) -> Step:
    """Makes a region report itself as unhealthy, so that Route 53 sends its reads to the next one."""
    return Step(
        title=f"{'Bring requests back to' if undo else 'Send requests away from'} {move.old}",
        changes=f"/healthz of {move.old} {'follows its health again' if undo else 'answers 503'}; orders and "
        "routes that write stay where the database is",
        calls=(Calls("dynamodb", move.old, ("GetItem", "UpdateItem")),),
        done=lambda account: move.evacuated(account, move.old) != undo,
        act=lambda account: move.evacuate(account, move.old, undo=undo),
        minutes=1,
    )


def procedure(settings: Settings, options: argparse.Namespace) -> Procedure:
    """The procedure that the arguments name.

    Raises:
        ProcedureError: the regions don't fit the stack.
    """
    move = Move(*_regions(settings, options), settings.platform, options.orders_table)
    by_kind: dict[str, Callable[[], list[Step]]] = {
        "planned": lambda: steps(move, planned=True),
        "unplanned": lambda: steps(move, planned=False),
        "fence": lambda: [fence(move)],
        "keep-snapshot": lambda: [keep_snapshot(move)],
        "evacuate": lambda: [evacuate(move, undo=options.undo)],
    }
    return Procedure("failover", options.stack, by_kind[options.kind]())


def _regions(settings: Settings, options: argparse.Namespace) -> tuple[str, str]:
    """The old and the new region."""
    names = [region.name for region in settings.primary_first]
    given = {"--to": options.to, "--from": options.origin or settings.primary}
    for option, region in given.items():
        if region not in names:
            raise ProcedureError(f"{option} {region} is not a region of the stack: it has {', '.join(names)}")
    old, new = given["--from"], given["--to"]
    if old == new:
        raise ProcedureError(
            f"--to {new} is the primary region of Pulumi.{options.stack}.yaml: give another region, or with "
            "--from the region that it replaced"
        )
    if old == settings.primary and new != names[1]:
        raise ProcedureError(
            f"--to {new}: Route 53 can send orders only to the region after {old} in regions, which is "
            f"{names[1]}; to choose another one, first change their order and deploy"
        )
    return old, new


def arguments_parser() -> argparse.ArgumentParser:
    """The parser of the command's arguments."""
    parser = command.parser("failover", __doc__.split("\n", 1)[0] if __doc__ else None)
    parser.add_argument("kind", choices=KINDS, help="what to do (see docs/operations.md)")
    parser.add_argument("--to", required=True, metavar="REGION", help="the region that gets the writer")
    parser.add_argument(
        "--from",
        dest="origin",
        default="",
        metavar="REGION",
        help="the region that had it (default: the primary region of the stack file)",
    )
    parser.add_argument(
        "--orders-table", required=True, metavar="NAME", help="the stack's output ordersTable"
    )
    parser.add_argument("--undo", action="store_true", help="with evacuate: bring the requests back")
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Runs the command."""
    return command.execute(arguments_parser().parse_args(arguments), procedure)


if __name__ == "__main__":
    sys.exit(main())
