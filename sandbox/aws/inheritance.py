"""Values that a resource of RDS takes from another one instead of from its own inputs.

Instances take the engine version from their cluster, a global cluster takes it from its source when it is
created, and its members from the global cluster when that is upgraded (RDS API Reference, `CreateDBInstance`,
`CreateGlobalCluster`, `ModifyGlobalCluster`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from sandbox.aws.store import Row, Store

CLUSTER = "aws:rds/cluster:Cluster"
INSTANCE = "aws:rds/clusterInstance:ClusterInstance"
GLOBAL_CLUSTER = "aws:rds/globalCluster:GlobalCluster"

_OF_THE_CLUSTER = (
    "dbSubnetGroupName",
    "engineVersion",
    "kmsKeyId",
    "preferredBackupWindow",
    "storageEncrypted",
)
"""What an instance takes from its cluster."""
_OF_THE_SOURCE = ("databaseName", "engine", "engineVersion", "storageEncrypted")
"""What a global cluster takes from the cluster that it is created from."""


def version(row: Row) -> str:
    """The engine version that a cluster or a global cluster runs."""
    return str(row.outputs.get("engineVersion", ""))


def major(engine_version: str) -> str:
    """The major version of an engine version."""
    return engine_version.split(".")[0]


def instances(store: Store, cluster: Row) -> Iterator[Row]:
    """The instances of a cluster."""
    for row in store.all(INSTANCE):
        if row.region == cluster.region and row.inputs.get("clusterIdentifier") == cluster.id:
            yield row


def members(store: Store, global_cluster: Row) -> Iterator[Row]:
    """The clusters of a global cluster, the primary one first."""
    source = global_cluster.inputs.get("sourceDbClusterIdentifier")
    rows = store.all(CLUSTER)
    found = [row for row in rows if row.arn == source and row.outputs.get("globalClusterIdentifier") != ""]
    found += [row for row in rows if row.inputs.get("globalClusterIdentifier") == global_cluster.id]
    # Once the primary has moved, only the other members have a source (see `global_database.py`).
    yield from sorted(found, key=lambda row: bool(row.outputs.get("replicationSourceIdentifier")))


def inherited(store: Store, row: Row, *, created: bool) -> Row:
    """A resource with the values that it takes from others, when it is created or updated."""
    taken: dict[str, Any] = {}
    if row.type == INSTANCE:
        cluster = store.get(CLUSTER, row.region, str(row.inputs.get("clusterIdentifier")))
        taken = _taken(cluster, _OF_THE_CLUSTER)
    elif row.type == GLOBAL_CLUSTER and created:
        taken = _taken(store.owner(str(row.inputs.get("sourceDbClusterIdentifier"))), _OF_THE_SOURCE)
    outputs = {**row.outputs, **taken}
    # A refresh reports the actual values of inputs that AWS ignored.
    inputs = {**row.inputs, **{name: value for name, value in taken.items() if name in row.inputs}}
    if row.type in (CLUSTER, INSTANCE, GLOBAL_CLUSTER) and outputs.get("engineVersion"):
        outputs["engineVersionActual"] = outputs["engineVersion"]
    return replace(row, inputs=inputs, outputs=outputs)


def _taken(source: Row | None, names: tuple[str, ...]) -> dict[str, Any]:
    return {name: source.outputs[name] for name in names if name in source.outputs} if source else {}


def pass_on(store: Store, row: Row, before: Row | None) -> None:
    """Changes the resources that take values from one that was created or updated."""
    if row.type == CLUSTER:
        upgraded = before is not None and major(version(before)) != major(version(row))
        group = row.inputs.get("dbInstanceParameterGroupName")
        for instance in list(instances(store, row)):
            changed = {"dbParameterGroupName": group} if upgraded and group else {}
            store.put(inherited(store, _with(instance, changed), created=False))
    elif row.type == GLOBAL_CLUSTER and before is not None and version(before) != version(row):
        upgraded = major(version(before)) != major(version(row))
        default = f"default.{row.outputs.get('engine', '')}{major(version(row))}"
        for member in list(members(store, row)):
            changed = {"engineVersion": version(row)}
            if upgraded:
                # A major upgrade sets the default parameter groups (`ModifyGlobalCluster`).
                changed |= {"dbClusterParameterGroupName": default, "dbInstanceParameterGroupName": default}
            member_now = inherited(store, _with(member, changed), created=False)
            store.put(member_now)
            pass_on(store, member_now, member)


def _with(row: Row, changed: Mapping[str, Any]) -> Row:
    return replace(row, inputs={**row.inputs, **changed}, outputs={**row.outputs, **changed})


def pending(kind: str, outputs: Mapping[str, Any], new: Mapping[str, Any]) -> set[str]:
    """The inputs that AWS ignored when it created a resource, so that they are still to be applied.

    The provider compares inputs with the resource instead of with the previous inputs.
    """
    names = ("engineVersion",) if kind == GLOBAL_CLUSTER else ()
    return {name for name in names if new.get(name) and outputs.get(name) != new[name]}


_FOLLOWED = {
    CLUSTER: ("dbClusterParameterGroupName", "dbInstanceParameterGroupName", "engineVersion"),
    INSTANCE: ("dbParameterGroupName",),
}


def unchanged(current: Row | None, old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """The values that an update leaves as they are, because the program didn't change them.

    The provider only sends what has changed since the last deployment or refresh, so an update doesn't revert
    what a resource took from another one in the meantime.
    """
    names = _FOLLOWED.get(current.type, ()) if current else ()
    return {
        name: current.inputs[name]
        for name in names
        if current and name in current.inputs and old.get(name) == new.get(name)
    }
