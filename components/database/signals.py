"""What tells that the Aurora cluster is healthy."""

from __future__ import annotations

from components.common.signals import Signal
from settings import DatabaseSettings

GIB = 2**30
VOLUME_LIMIT_BYTES = 128 * 1024 * GIB
"""What a volume may grow to in every version ("Quotas and constraints for Amazon Aurora"); newer ones take
more."""
BYTES_OF_A_CONNECTION = 9_531_392
MOST_CONNECTIONS = 5000
MOST_CONNECTIONS_FROM_HALF_A_UNIT = 2000
_LARGE_GIB = {"r": 16, "t": 8, "x": 32}
"""Letter of an instance class → memory of its size `large` ("Hardware specifications for DB instance
classes")."""


def cluster_signals(identifier: str, settings: DatabaseSettings, *, in_global_database: bool) -> list[Signal]:
    """Signals of one region's cluster ("Amazon CloudWatch metrics for Amazon Aurora", Aurora user guide).

    A secondary of a global database has readers alone, and no values under the role of a writer until it is
    promoted. The lag behind the primary is reported by whichever cluster is a secondary at the time, so each
    member is watched for it.
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
    if in_global_database:
        signals.append(
            Signal(
                name="database-global-lag",
                title="The region's database is behind the primary region's",
                namespace="AWS/RDS",
                metric="AuroraGlobalDBReplicationLag",
                dimensions=of_cluster,
                statistic="Maximum",
                threshold=5000,
                reason="milliseconds; below a second is usual, and what lags is lost with the primary",
                severity="critical",
                periods=5,
            )
        )
    return signals


def connection_limit(settings: DatabaseSettings) -> float:
    """What `max_connections` is by default, as if all of an instance's memory were PostgreSQL's.

    It is `LEAST({DBInstanceClassMemory/9531392},5000)`, of the memory without what the system has, and less
    where a serverless instance may shrink to half a unit ("Maximum connections to an Aurora PostgreSQL DB
    instance", "Maximum connections for Aurora Serverless v2").
    """
    from_half = settings.serverless and settings.serverless.min == 0.5
    most = MOST_CONNECTIONS_FROM_HALF_A_UNIT if from_half else MOST_CONNECTIONS
    return min(_memory_gib(settings) * GIB / BYTES_OF_A_CONNECTION, most)


def _load(of_writer: dict[str, str], of_readers: dict[str, str], settings: DatabaseSettings) -> list[Signal]:
    return [
        Signal(
            name="database-writer-cpu",
            title="The database's writer is at its CPU's limit",
            namespace="AWS/RDS",
            metric="CPUUtilization",
            dimensions=of_writer,
            statistic="Average",
            threshold=80,
            reason="readers scale by themselves and the writer does not; the rest carries a failover",
            severity="warning",
            periods=10,
        ),
        Signal(
            name="database-reader-cpu",
            title="The database's readers are at their CPU's limit",
            namespace="AWS/RDS",
            metric="CPUUtilization",
            dimensions=of_readers,
            statistic="Average",
            threshold=80,
            reason="per cent on average; where readers scale, more come at less: there are all that may be",
            severity="warning",
            periods=15,
        ),
        Signal(
            name="database-connections",
            title="The database's writer has nearly as many connections as it takes",
            namespace="AWS/RDS",
            metric="DatabaseConnections",
            dimensions=of_writer,
            statistic="Maximum",
            threshold=0.75 * connection_limit(settings),
            reason="three quarters of what its memory would allow without the system's share; the proxy has "
            "nine tenths of what is left, and then lets callers wait",
            severity="warning",
            periods=5,
        ),
        Signal(
            name="database-commit-latency",
            title="The database's commits are slow",
            namespace="AWS/RDS",
            metric="CommitLatency",
            dimensions=of_writer,
            statistic="Average",
            threshold=50,
            reason="milliseconds; a few are usual, and each order waits for at least one",
            severity="warning",
            periods=5,
        ),
    ]


def _data(of_cluster: dict[str, str], of_readers: dict[str, str]) -> list[Signal]:
    return [
        Signal(
            name="database-replica-lag",
            title="The database's readers are behind the writer",
            namespace="AWS/RDS",
            metric="AuroraReplicaLag",
            dimensions=of_readers,
            statistic="Maximum",
            threshold=1000,
            reason="milliseconds; below 100 is usual, and a balance read a second late is a wrong one",
            severity="warning",
            periods=5,
        ),
        Signal(
            name="database-deadlocks",
            title="Transactions deadlock",
            namespace="AWS/RDS",
            metric="Deadlocks",
            dimensions=of_cluster,
            statistic="Maximum",
            threshold=0.1,
            reason="a second; transfers lock accounts in one order, so a steady rate is a fault",
            severity="warning",
            periods=5,
        ),
        Signal(
            name="database-transaction-ids",
            title="The database nears transaction-id wraparound",
            namespace="AWS/RDS",
            metric="MaximumUsedTransactionIDs",
            dimensions=of_cluster,
            statistic="Maximum",
            threshold=1_000_000_000,
            reason="vacuum has failed for long; PostgreSQL stops taking writes at about two billion",
            severity="critical",
            period_seconds=300,
        ),
        Signal(
            name="database-volume",
            title="The database's volume nears the largest size that it can have",
            namespace="AWS/RDS",
            metric="VolumeBytesUsed",
            dimensions=of_cluster,
            statistic="Maximum",
            threshold=0.75 * VOLUME_LIMIT_BYTES,
            reason="bytes, three quarters of 128 TiB; the metric of what is left is MySQL's alone",
            severity="warning",
            period_seconds=3600,
            periods=1,
        ),
    ]


def _serverless(of_writer: dict[str, str]) -> list[Signal]:
    return [
        Signal(
            name="database-capacity",
            title="The database's writer is at its largest capacity",
            namespace="AWS/RDS",
            metric="ACUUtilization",
            dimensions=of_writer,
            statistic="Average",
            threshold=90,
            reason="per cent of serverless.max; there is nothing left to scale to",
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
    memory = "bytes; below 1 GiB the next large sort or burst of connections ends in a restart"
    return [
        Signal(
            name="database-memory",
            title="The database's writer is short of memory",
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
            title="A reader of the database is short of memory",
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
            title="An instance of the database runs out of room for temporary files",
            namespace="AWS/RDS",
            metric="FreeLocalStorage",
            dimensions=of_cluster,
            statistic="Minimum",
            comparison="below",
            # An instance has twice its memory ("Temporary storage limits for Aurora PostgreSQL").
            threshold=0.2 * 2 * _memory_gib(settings) * GIB,
            reason="bytes, a fifth of what there is; large sorts and new indexes fail when none is left",
            severity="warning",
            periods=5,
        ),
    ]


def _memory_gib(settings: DatabaseSettings) -> float:
    """Memory of an instance: two GiB a serverless unit, or what the instance class has."""
    if settings.serverless:
        return 2 * settings.serverless.max
    _, family, size = settings.instance_class.split(".")
    large = _LARGE_GIB.get(family[0], _LARGE_GIB["r"])
    if size.endswith("xlarge"):
        return 2 * large * int(size.removesuffix("xlarge") or 1)
    return large if size == "large" else large / 2
