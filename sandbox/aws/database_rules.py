"""Rules for what RDS, ElastiCache and MSK reject: parameters, and versions that don't fit together."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from sandbox.aws import inheritance
from sandbox.aws.inheritance import CLUSTER, GLOBAL_CLUSTER, major, version
from sandbox.aws.rules import Change, Finding, rule
from sandbox.aws.store import Row
from sandbox.values import UNKNOWN
from settings.aws_parameters import broker_problems, cache_problems, database_problems

_CLUSTER_GROUP = "aws:rds/clusterParameterGroup:ClusterParameterGroup"
_INSTANCE_GROUP = "aws:rds/parameterGroup:ParameterGroup"
_FAMILY = re.compile(r"aurora-postgresql[0-9]+")


@rule("rds/clusterParameterGroup:ClusterParameterGroup", "rds/parameterGroup:ParameterGroup")
def database_parameters(change: Change) -> Iterator[Finding]:
    """Parameters must exist in the family and be changeable in the given way."""
    family = str(change.get("family", ""))
    if not _FAMILY.fullmatch(family):
        return
    parameters: list[Mapping[str, Any]] = change.get("parameters", [])
    given = {
        str(item.get("name")): (str(item.get("value")), str(item.get("applyMethod") or "immediate"))
        for item in parameters
        if UNKNOWN not in item.values()
    }
    for problem in database_problems(family, given, instance=change.type == _INSTANCE_GROUP):
        yield "parameters", problem


@rule("elasticache/parameterGroup:ParameterGroup")
def cache_parameters(change: Change) -> Iterator[Finding]:
    """Parameters must exist in the family and be changeable."""
    parameters: list[Mapping[str, Any]] = change.get("parameters", [])
    if str(change.get("family", "")).startswith("valkey"):
        for problem in cache_problems({str(item.get("name")): str(item.get("value")) for item in parameters}):
            yield "parameters", problem


@rule("msk/configuration:Configuration")
def broker_properties(change: Change) -> Iterator[Finding]:
    """A configuration can only contain the properties that MSK lets users set."""
    for problem in broker_problems(str(change.get("serverProperties", ""))):
        yield "serverProperties", problem


@rule("rds/cluster:Cluster", "rds/globalCluster:GlobalCluster")
def versions_only_rise(change: Change) -> Iterator[Finding]:
    """A database can't return to an older version, and a new major version must be allowed."""
    old, new = _versions(change)
    if not new or old == new or _number(new) == _number(old):
        return
    if _number(new) < _number(old):
        yield "engineVersion", f"InvalidParameterCombination: cannot downgrade from {old} to {new}"
    elif (
        change.type == CLUSTER
        and major(new) != major(old)
        and not change.get("allowMajorVersionUpgrade", False)
    ):
        yield (
            "engineVersion",
            "InvalidParameterCombination: The AllowMajorVersionUpgrade flag must be present when upgrading "
            f"to a new major version, here from {old} to {new}",
        )


@rule("rds/cluster:Cluster")
def major_upgrade_names_instance_parameters(change: Change) -> Iterator[Finding]:
    """A major upgrade of instances with their own parameter group must name the new one."""
    old, new = _versions(change)
    if not change.current or not new or major(old) == major(new):
        return
    custom = {
        str(row.inputs.get("dbParameterGroupName") or "")
        for row in inheritance.instances(change.store, change.current)
    }
    given = change.inputs.get("dbInstanceParameterGroupName")
    for group in sorted(name for name in custom if name and not name.startswith("default.")):
        if not given:
            yield (
                "dbInstanceParameterGroupName",
                f"InvalidParameterCombination: The current DB instance parameter group {group} is custom. "
                "You must explicitly specify a new DB instance parameter group, either default or custom, "
                "for the engine version upgrade.",
            )
    yield from _family_fits(change, "dbInstanceParameterGroupName", _INSTANCE_GROUP, new)


@rule("rds/cluster:Cluster")
def cluster_parameters_fit_the_version(change: Change) -> Iterator[Finding]:
    """The parameter group of a cluster must be of the family of its version."""
    old, new = _versions(change)
    yield from _family_fits(change, "dbClusterParameterGroupName", _CLUSTER_GROUP, new or old)


@rule("rds/clusterInstance:ClusterInstance")
def instance_parameters_fit_the_version(change: Change) -> Iterator[Finding]:
    """The parameter group of an instance must be of the family of its cluster's version."""
    cluster = change.store.get(CLUSTER, change.region, str(change.get("clusterIdentifier")))
    # At preview, the cluster isn't upgraded yet.
    if cluster and not change.preview:
        yield from _family_fits(change, "dbParameterGroupName", _INSTANCE_GROUP, version(cluster))


def _family_fits(change: Change, path: str, kind: str, engine_version: str) -> Iterator[Finding]:
    name = change.get(path)
    group = change.store.get(kind, change.region, str(name))
    family = group.inputs.get("family") if group else str(name).removeprefix("default.")
    wanted = f"aurora-postgresql{major(engine_version)}"
    if name and engine_version and _FAMILY.fullmatch(str(family)) and family != wanted:
        yield (
            path,
            f"InvalidParameterCombination: The Parameter Group {name} with DBParameterGroupFamily {family} "
            f"cannot be used for version {engine_version}. Please use a Parameter Group with "
            f"DBParameterGroupFamily {wanted}",
        )


@rule("rds/cluster:Cluster")
def members_of_a_global_cluster_have_its_version(change: Change) -> Iterator[Finding]:
    """A secondary cluster must be created with the version of the global cluster, and a primary cluster can't
    be upgraded before its secondary clusters."""
    new = _versions(change)[1]
    if not new:
        return
    if change.current is None:
        owner = change.store.get(GLOBAL_CLUSTER, "", str(change.get("globalClusterIdentifier")))
        if owner and version(owner) != new:
            yield (
                "engineVersion",
                f"InvalidParameterValue: The engine version {new} of a secondary cluster must be the version "
                f"of the global cluster {owner.id}, {version(owner)}",
            )
        return
    for owner in change.store.all(GLOBAL_CLUSTER):
        found = list(inheritance.members(change.store, owner))
        if found and found[0].key == change.current.key and version(found[0]) != new:
            yield from _behind(found[1:], new)


def _behind(secondaries: list[Row], new: str) -> Iterator[Finding]:
    for secondary in secondaries:
        if _number(version(secondary)) < _number(new):
            yield (
                "engineVersion",
                "InvalidParameterValue: Unsupported version upgrade: upgrade global replicas first: "
                f"{secondary.id} in {secondary.region} has version {version(secondary)}",
            )


def _versions(change: Change) -> tuple[str, str]:
    """The version that a cluster runs (empty for a new one), and the one that it gets if that is known."""
    old = version(change.current) if change.current else ""
    return old, str(change.get("engineVersion", ""))


def _number(engine_version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", engine_version))
