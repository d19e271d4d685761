"""Signals that show whether the Aurora cluster is healthy."""

from __future__ import annotations

from collections.abc import Sequence

from components.common.signals import Signal
from settings import DatabaseSettings
from settings.aws_limits import (
    CONNECTION_BYTES,
    CONNECTIONS,
    CONNECTIONS_FROM_HALF_A_UNIT,
    DATABASE_VOLUME_BYTES,
    LARGE_INSTANCE_GIB,
    SERVERLESS_UNIT_GIB,
)

GIB = 2**30


def cluster_signals(
    identifier: str, settings: DatabaseSettings, *, other_regions: Sequence[str]
) -> list[Signal]:
    """Signals of one region's cluster ("Amazon CloudWatch metrics for Amazon Aurora", Aurora User Guide).

    `other_regions` are those of the other members of the global database, if there is one. A secondary
    cluster of a global database has only readers, and no values for the role `WRITER` until it is promoted.
    Each cluster reports the lag behind the primary while it is a secondary, so every member is monitored for
    it.
    """
    of_cluster = {"DBClusterIdentifier": identifier}
    of_writer = {**of_cluster, "Role": "WRITER"}
    of_readers = {**of_cluster, "Role": "READER"}
    signals = [
        *(
            _serverless(of_writer)
            if settings.serverless
            else _of_an_instance_class(of_cluster, of_writer, of_readers, settings)
        ),
        *_load(of_writer, of_readers, settings),
        *_data(of_cluster, of_readers),
    ]
    if other_regions:
        signals.append(_global_lag("database-global-lag", of_cluster))
    # AWS's pages disagree about the metric's dimensions: the cluster, or the primary cluster's region. An
    # alarm on a metric that doesn't exist stays silent.
    signals += [
        _global_lag(f"database-global-lag-from-{region}", {"SourceRegion": region})
        for region in other_regions
    ]
    return signals


def _global_lag(name: str, dimensions: dict[str, str]) -> Signal:
    return Signal(
        name=name,
        runbook="database-global-lag",
        title="The database of this region lags behind the database of the primary region",
        namespace="AWS/RDS",
        metric="AuroraGlobalDBReplicationLag",
        dimensions=dimensions,
        statistic="Maximum",
        threshold=5000,
        reason="The threshold is in milliseconds. A lag below a second is usual, and writes that aren't "
        "replicated yet are lost if the primary region is lost.",
        severity="critical",
        periods=5,
    )


def connection_limit(settings: DatabaseSettings) -> float:
    """The default of `max_connections`, calculated as if PostgreSQL had all of the instance's memory.

    The default is `LEAST({DBInstanceClassMemory/9531392},5000)`, where the memory excludes the system's
    share. It is lower for a serverless instance that may shrink to half a capacity unit ("Maximum connections
    to an Aurora PostgreSQL DB instance", "Maximum connections for Aurora Serverless v2").
    """
    from_half = settings.serverless and settings.serverless.min == 0.5
    most = CONNECTIONS_FROM_HALF_A_UNIT if from_half else CONNECTIONS
    return min(_memory_gib(settings) * GIB / CONNECTION_BYTES, most)


def _load(of_writer: dict[str, str], of_readers: dict[str, str], settings: DatabaseSettings) -> list[Signal]:
    return [
        Signal(
            name="database-writer-cpu",
            title="The database's writer uses more than 80 per cent of its CPU",
            namespace="AWS/RDS",
            metric="CPUUtilization",
            dimensions=of_writer,
            statistic="Average",
            threshold=80,
            reason="Readers scale automatically, but the writer doesn't. The remaining 20 per cent are "
            "needed in a failover.",
            severity="warning",
            periods=10,
        ),
        Signal(
            name="database-reader-cpu",
            title="The database's readers use more than 80 per cent of their CPU",
            namespace="AWS/RDS",
            metric="CPUUtilization",
            dimensions=of_readers,
            statistic="Average",
            threshold=80,
            reason="The threshold is in per cent, averaged over the readers. If readers scale "
            "automatically, they are added at a lower value, so their maximum number is already running.",
            severity="warning",
            periods=15,
        ),
        Signal(
            name="database-connections",
            title="The database's writer has almost reached its maximum number of connections",
            namespace="AWS/RDS",
            metric="DatabaseConnections",
            dimensions=of_writer,
            statistic="Maximum",
            threshold=0.75 * connection_limit(settings),
            reason="The threshold is three quarters of the connections that the instance's memory would "
            "allow if the system used none of it. The proxy uses at most nine tenths of the actual maximum "
            "and then makes clients wait.",
            severity="warning",
            periods=5,
        ),
        Signal(
            name="database-commit-latency",
            title="Commits to the database take longer than 50 milliseconds on average",
            namespace="AWS/RDS",
            metric="CommitLatency",
            dimensions=of_writer,
            statistic="Average",
            threshold=50,
            reason="The threshold is in milliseconds. A few are usual, and each order waits for at least "
            "one commit.",
            severity="warning",
            periods=5,
        ),
    ]


def _data(of_cluster: dict[str, str], of_readers: dict[str, str]) -> list[Signal]:
    return [
        Signal(
            name="database-replica-lag",
            title="A reader of the database lags behind the writer",
            namespace="AWS/RDS",
            metric="AuroraReplicaLag",
            dimensions=of_readers,
            statistic="Maximum",
            threshold=1000,
            reason="The threshold is in milliseconds. A lag below 100 is usual, and a balance that is a "
            "second old is wrong.",
            severity="warning",
            periods=5,
        ),
        Signal(
            name="database-deadlocks",
            title="Database transactions deadlock",
            namespace="AWS/RDS",
            metric="Deadlocks",
            dimensions=of_cluster,
            statistic="Maximum",
            threshold=0.1,
            reason="The threshold is in deadlocks per second. Transfers lock accounts in a fixed order, so "
            "a steady rate of deadlocks is a bug.",
            severity="warning",
            periods=5,
        ),
        Signal(
            name="database-transaction-ids",
            title="The database is approaching transaction ID wraparound",
            namespace="AWS/RDS",
            metric="MaximumUsedTransactionIDs",
            dimensions=of_cluster,
            statistic="Maximum",
            threshold=1_000_000_000,
            reason="One billion used transaction IDs mean that vacuum has failed for a long time. "
            "PostgreSQL stops accepting writes at about two billion.",
            severity="critical",
            period_seconds=300,
        ),
        Signal(
            name="database-volume",
            title="The database's storage volume is approaching its maximum size",
            namespace="AWS/RDS",
            metric="VolumeBytesUsed",
            dimensions=of_cluster,
            statistic="Maximum",
            threshold=0.75 * DATABASE_VOLUME_BYTES,
            reason="The threshold is in bytes: three quarters of 128 TiB. The metric of the space that is "
            "left exists only for Aurora MySQL.",
            severity="warning",
            period_seconds=3600,
            periods=1,
        ),
    ]


def _serverless(of_writer: dict[str, str]) -> list[Signal]:
    return [
        Signal(
            name="database-capacity",
            title="The database's writer has almost reached its maximum serverless capacity",
            namespace="AWS/RDS",
            metric="ACUUtilization",
            dimensions=of_writer,
            statistic="Average",
            threshold=90,
            reason="The threshold is in per cent of the setting serverless.max, above which the writer "
            "can't scale.",
            severity="warning",
            periods=5,
        )
    ]


def _of_an_instance_class(
    of_cluster: dict[str, str],
    of_writer: dict[str, str],
    of_readers: dict[str, str],
    settings: DatabaseSettings,
) -> list[Signal]:
    memory = (
        "The threshold is in bytes. With less than 1 GiB of free memory, the next large sort or burst of "
        "connections ends in a restart."
    )
    return [
        Signal(
            name="database-memory",
            title="The database's writer is running out of memory",
            namespace="AWS/RDS",
            metric="FreeableMemory",
            dimensions=of_writer,
            statistic="Minimum",
            comparison="below",
            threshold=GIB,
            reason=memory,
            severity="critical",
            periods=5,
        ),
        Signal(
            name="database-reader-memory",
            runbook="database-memory",
            title="A reader of the database is running out of memory",
            namespace="AWS/RDS",
            metric="FreeableMemory",
            dimensions=of_readers,
            statistic="Minimum",
            comparison="below",
            threshold=GIB,
            reason=memory,
            severity="warning",
            periods=5,
        ),
        Signal(
            name="database-local-storage",
            title="A database instance is running out of space for temporary files",
            namespace="AWS/RDS",
            metric="FreeLocalStorage",
            dimensions=of_cluster,
            statistic="Minimum",
            comparison="below",
            # The temporary storage is twice the instance's memory ("Temporary storage limits for Aurora
            # PostgreSQL").
            threshold=0.2 * 2 * _memory_gib(settings) * GIB,
            reason="The threshold is in bytes: a fifth of the instance's temporary storage. Large sorts "
            "and new indexes fail when none is left.",
            severity="warning",
            periods=5,
        ),
    ]


def _memory_gib(settings: DatabaseSettings) -> float:
    """Memory of an instance: 2 GiB per serverless capacity unit, or the memory of the instance class."""
    if settings.serverless:
        return SERVERLESS_UNIT_GIB * settings.serverless.max
    _, family, size = settings.instance_class.split(".")
    large = LARGE_INSTANCE_GIB.get(family[0], LARGE_INSTANCE_GIB["r"])
    if size.endswith("xlarge"):
        return 2 * large * int(size.removesuffix("xlarge") or 1)
    return large if size == "large" else large / 2
