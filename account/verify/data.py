"""The data stores: whether they run in several zones, replicate, are backed up and change passwords."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from account.question import Answer, Client, judged, pages, passed

UNKNOWN_DATE = datetime.fromtimestamp(0, UTC)
"""Takes the place of a date that the state doesn't have."""
BACKUP_DAYS = 2
"""There is a backup every day, and it may take until the next one begins."""


def database(rds: Client, cluster: str) -> Answer:
    """The database runs, with its instances in several zones."""
    (found,) = rds.describe_db_clusters(DBClusterIdentifier=cluster)["DBClusters"]
    instances = list(
        pages(
            rds,
            "describe_db_instances",
            "DBInstances",
            Filters=[{"Name": "db-cluster-id", "Values": [cluster]}],
        )
    )
    problems = [] if found["Status"] == "available" else [f"{cluster} is {found['Status']}"]
    problems += [
        f"{item['DBInstanceIdentifier']} is {item['DBInstanceStatus']}"
        for item in instances
        if item["DBInstanceStatus"] != "available"
    ]
    used = {item["AvailabilityZone"] for item in instances if "AvailabilityZone" in item}
    if len(used) < min(2, len(instances)):
        problems.append(f"all instances of {cluster} are in {', '.join(used)}")
    return judged(
        problems,
        f"{len(instances)} instances of {cluster} run in {len(used)} zones",
        "see `database-connections` in docs/operations.md",
    )


def proxy(rds: Client, name: str) -> Answer:
    """The proxy reaches each instance, and can sign in."""
    found = [
        item
        for item in pages(rds, "describe_db_proxy_targets", "Targets", DBProxyName=name)
        if item["Type"] != "TRACKED_CLUSTER"
    ]
    problems = [
        f"{item['RdsResourceId']} is {item['TargetHealth']['State']} "
        f"({item['TargetHealth'].get('Reason', 'no reason')})"
        for item in found
        if item["TargetHealth"]["State"] != "AVAILABLE"
    ]
    if not found:
        problems.append(f"{name} has no targets")
    return judged(
        problems,
        f"{len(found)} targets of {name} are available",
        "see `database-proxy-connections-failed` in docs/operations.md",
    )


def global_database(rds: Client, name: str, regions: Sequence[str]) -> Answer:
    """The global database has a member in each region, and each is connected to the primary one."""
    (found,) = rds.describe_global_clusters(GlobalClusterIdentifier=name)["GlobalClusters"]
    members = {item["DBClusterArn"].split(":")[3]: item for item in found["GlobalClusterMembers"]}
    problems = [f"{name} has no member in {region}" for region in regions if region not in members]
    problems += [
        f"the member in {region} is {item.get('SynchronizationStatus')}"
        for region, item in sorted(members.items())
        if item.get("SynchronizationStatus", "connected") != "connected"
    ]
    return judged(
        problems,
        f"{name} is connected in {', '.join(sorted(members))}",
        "see `database-global-lag` in docs/operations.md",
    )


def table(dynamodb: Client, name: str, regions: Sequence[str]) -> Answer:
    """The table is active, with an active replica in each other region.

    Args:
        dynamodb: the client.
        name: the table.
        regions: regions of its replicas.
    """
    found = dynamodb.describe_table(TableName=name)["Table"]
    replicas = {
        item["RegionName"]: item.get("ReplicaStatus", "unknown") for item in found.get("Replicas", ())
    }
    problems = [] if found["TableStatus"] == "ACTIVE" else [f"{name} is {found['TableStatus']}"]
    problems += [
        f"the replica of {name} in {region} is {replicas.get(region, 'missing')}"
        for region in regions
        if replicas.get(region) != "ACTIVE"
    ]
    return judged(
        problems,
        f"{name} is active{f' in {len(regions)} other regions' if regions else ''}",
        "see `table-replication-latency` in docs/operations.md",
    )


def backups(backup: Client, arns: Sequence[str], since: datetime) -> Answer:
    """Each protected resource has been backed up within two days.

    Args:
        backup: the client.
        arns: the resources.
        since: when their plan was created.
    """
    start = datetime.now(UTC) - timedelta(days=BACKUP_DAYS)
    lacking = [
        arn
        for arn in arns
        if not any(
            pages(
                backup,
                "list_backup_jobs",
                "BackupJobs",
                ByResourceArn=arn,
                ByState="COMPLETED",
                ByCreatedAfter=start,
            )
        )
    ]
    names = ", ".join(arn.rpartition(":")[2] for arn in lacking)
    if lacking and since > start:
        return Answer(
            "unknown",
            f"no backup yet of {names}: the plan is younger than {BACKUP_DAYS} days",
            "ask again on the second day",
        )
    return judged(
        [f"no backup within {BACKUP_DAYS} days of {names}"] if lacking else [],
        f"{len(arns)} resources have been backed up",
        "see `backup-missing` in docs/operations.md. If only a secondary region has no backups, AWS Backup "
        "supports no secondary clusters: back up only the primary region",
    )


def rotation(secrets: Client, secret: str, since: datetime) -> Answer:
    """The secret changes on time.

    Args:
        secrets: the client.
        secret: the secret.
        since: when its rotation was set up; `UNKNOWN_DATE` if the state doesn't say.
    """
    found = secrets.describe_secret(SecretId=secret)
    name, now = found["Name"], datetime.now(UTC)
    remedy = "see `database-rotation-failed` in docs/operations.md"
    if not found.get("RotationEnabled"):
        return Answer("fail", f"the rotation of {name} is off", remedy)
    last = found.get("LastRotatedDate")
    begin = last or max(found.get("CreatedDate", since), since)
    period = found.get("RotationRules", {}).get("AutomaticallyAfterDays")
    next_date = found.get("NextRotationDate")
    if period and begin != UNKNOWN_DATE:
        due = begin + timedelta(days=period + 1)  # the date has no time of day
        next_date = min(next_date, due) if next_date else due
    # Secrets Manager rotates within a day of the date.
    if next_date and next_date + timedelta(days=1) < now:
        never = "" if last else ", and never was"
        return Answer("fail", f"{name} should have been changed by {next_date:%Y-%m-%d}{never}", remedy)
    if last:
        return passed(f"{name} was changed on {last:%Y-%m-%d}")
    when = f"{next_date:%Y-%m-%d}" if next_date else "a date that Secrets Manager doesn't say"
    return Answer(
        "unknown",
        f"{name} has never been changed; the first change is due on {when}",
        f"ask again then, or run `aws secretsmanager rotate-secret --secret-id {name}`, which changes the "
        "password now",
    )


def brokers(kafka: Client, arn: str) -> Answer:
    """The Kafka cluster works."""
    found = kafka.describe_cluster_v2(ClusterArn=arn)["ClusterInfo"]
    name, state = found["ClusterName"], found["State"]
    return judged(
        [] if state == "ACTIVE" else [f"{name} is {state}"],
        f"{name} is {state}",
        "UPDATING and MAINTENANCE end by themselves. Otherwise see `kafka-broker-silent` in "
        "docs/operations.md",
    )


def cache(elasticache: Client, group: str) -> Answer:
    """The cache works, and each shard has nodes in several zones."""
    (found,) = elasticache.describe_replication_groups(ReplicationGroupId=group)["ReplicationGroups"]
    problems = [] if found["Status"] == "available" else [f"{group} is {found['Status']}"]
    problems += [
        f"{what} of {group} is {found.get(key, 'unknown')}"
        for key, what in (("AutomaticFailover", "automatic failover"), ("MultiAZ", "Multi-AZ"))
        if found.get(key) != "enabled"
    ]
    problems += [
        f"shard {shard['NodeGroupId']} of {group} has nodes in {', '.join(_zones(shard)) or 'no zone'} only"
        for shard in found["NodeGroups"]
        if len(_zones(shard)) < 2
    ]
    return judged(
        problems,
        f"{len(found['NodeGroups'])} shards of {group} have nodes in several zones",
        "see `cache-replication-lag` in docs/operations.md",
    )


def _zones(shard: Mapping[str, Any]) -> list[str]:
    return sorted(
        {
            item["PreferredAvailabilityZone"]
            for item in shard.get("NodeGroupMembers", ())
            if "PreferredAvailabilityZone" in item
        }
    )
