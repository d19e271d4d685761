"""What the operations on a global database change in the account, for tests of procedures that use them.

The program never calls these operations: a person or a script does, and the next refresh finds the result.
Each function leaves the resources as the provider then reads them (terraform-provider-aws,
`internal/service/rds/cluster.go` at 0168cf6 and `global_cluster.go` at 060c260): a cluster's
`replication_source_identifier` and `global_cluster_identifier`, and a global cluster's
`global_cluster_members`. The provider never reads a global cluster's `source_db_cluster_identifier`.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Any

from sandbox.aws.inheritance import GLOBAL_CLUSTER, members
from sandbox.aws.store import Row, Store
from sandbox.rpc import ProviderError

TABLE = "aws:dynamodb/table:Table"
REPLICA = "aws:dynamodb/tableReplica:TableReplica"

_USERS = ("databaseName", "masterUsername")


def promote(store: Store, region: str) -> None:
    """Makes the member in a region the primary one, as `SwitchoverGlobalCluster` and `FailoverGlobalCluster`
    do.

    Both keep all members ("Using switchover or failover in Amazon Aurora Global Database", Aurora User
    Guide): after a failover, Aurora rebuilds the old primary as a secondary, once its region has recovered.
    """
    (global_cluster,) = store.all(GLOBAL_CLUSTER)
    found = list(members(store, global_cluster))
    (target,) = (row for row in found if row.region == region)
    for row in found:
        _set(store, row, replicationSourceIdentifier="" if row is target else target.arn)
    _tell(store, global_cluster, found, target)


def remove(store: Store, region: str) -> None:
    """Makes the member in a region a cluster of its own, as `RemoveFromGlobalCluster` does."""
    (global_cluster,) = store.all(GLOBAL_CLUSTER)
    found = list(members(store, global_cluster))
    (removed,) = (row for row in found if row.region == region)
    # A member has the users of the cluster from which the global database was created.
    source = store.owner(str(global_cluster.inputs.get("sourceDbClusterIdentifier")))
    named = {name: source.inputs[name] for name in _USERS if name in source.inputs} if source else {}
    _set(store, removed, replicationSourceIdentifier="", globalClusterIdentifier="", **named)
    rest = [row for row in found if row is not removed]
    _tell(store, global_cluster, rest, rest[0] if rest else None)


def delete(store: Store) -> None:
    """Deletes a global database without members, as `DeleteGlobalCluster` does."""
    (global_cluster,) = store.all(GLOBAL_CLUSTER)
    if list(members(store, global_cluster)):
        raise ProviderError(f"InvalidGlobalClusterStateFault: {global_cluster.id} is not empty")
    store.remove(global_cluster)


def lose(store: Store, urns: Collection[str]) -> None:
    """Removes a lost region's resources, and makes the replicas of its tables tables of their own.

    What remains in the region can't be reached, which is the same for a program. A replica is a table of its
    region ("Global tables: how it works", DynamoDB Developer Guide), which the provider reads as one.
    """
    lost = [row for row in store.all() if row.urn in urns]
    tables = {row.id: row for row in lost if row.type == TABLE}
    for row in store.all(REPLICA):
        table = tables.get(row.arn.rsplit("/", 1)[-1])
        if table:
            key = {"enabled": True, "kmsKeyArn": row.inputs["kmsKeyArn"]}
            urn = row.urn.replace("TableReplica", "Table").replace("tableReplica", "table")
            inputs = {**table.inputs, "serverSideEncryption": key}
            outputs = {**table.outputs, "serverSideEncryption": key, "arn": row.arn, "region": row.region}
            store.remove(row)
            store.put(Row(TABLE, row.region, table.id, table.scope, row.arn, urn, inputs, outputs))
    for row in lost:
        store.remove(row)


def _tell(store: Store, global_cluster: Row, found: list[Row], primary: Row | None) -> None:
    told = [{"dbClusterArn": row.arn, "isWriter": row is primary} for row in found]
    outputs = {**global_cluster.outputs, "globalClusterMembers": told}
    store.put(replace(global_cluster, outputs=outputs))


def _set(store: Store, row: Row, **values: Any) -> None:
    """Changes the outputs of a cluster, and its inputs, which a refresh then reports as changed."""
    store.put(replace(row, inputs={**row.inputs, **values}, outputs={**row.outputs, **values}))
