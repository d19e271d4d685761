"""`python -m operations.restore`: puts the whole database back to a moment, also if it is global.

A cluster is restored beside the current one and then takes its name, so endpoints and services stay as they
are. A global database accepts no existing cluster as a member ("Using Amazon Aurora Global Database", Amazon
Aurora User Guide). So it is deleted and created again from the restored cluster, with new secondary clusters.
The replaced clusters are kept, with `-broken` at the end of their names. To bring back a few rows, copy them
instead (docs/operations.md).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from account.question import Answer, unless
from operations import command
from operations.database import BROKEN, RESTORED, SCALED, cluster, global_database, master_secret
from operations.procedure import Account, Calls, Procedure, ProcedureError, Step
from settings import Settings

_COPIED = {
    "DBSubnetGroup": "DBSubnetGroupName",
    "KmsKeyId": "KmsKeyId",
    "DBClusterParameterGroup": "DBClusterParameterGroupName",
    "EnabledCloudwatchLogsExports": "EnableCloudwatchLogsExports",
    "IAMDatabaseAuthenticationEnabled": "EnableIAMDatabaseAuthentication",
    "CopyTagsToSnapshot": "CopyTagsToSnapshot",
    "Port": "Port",
}
"""What `DescribeDBClusters` calls a property → what requests call it."""

Found = Mapping[str, Any]


@dataclass(frozen=True)
class Database:
    """The names of a stack's clusters, and what the steps ask about them.

    Args:
        platform: the prefix of the names.
        primary: the region whose database takes the writes.
        others: the other regions.
        moment: to which the database goes back, in UTC.
        size: capacity of serverless instances (`MinCapacity`, `MaxCapacity`), or an empty mapping.
    """

    platform: str
    primary: str
    others: Sequence[str]
    moment: datetime
    size: Mapping[str, float]

    @property
    def world(self) -> str:
        """The identifier of the global database."""
        return global_database(self.platform)

    @property
    def restored(self) -> str:
        """The identifier of the restored cluster, until it takes the name of the current one."""
        return self.name(self.primary) + RESTORED

    def name(self, region: str) -> str:
        """The identifier of a region's cluster."""
        return cluster(self.platform, region)

    def cluster(self, account: Account, region: str, name: str) -> Found | None:
        """A cluster, or None if there is none of this name."""
        rds = account.client("rds", region)
        found = unless("DBClusterNotFoundFault", lambda: rds.describe_db_clusters(DBClusterIdentifier=name))
        return found["DBClusters"][0] if found else None

    def instances(self, account: Account, region: str, name: str) -> dict[str, Found]:
        """The instances of a cluster, by name."""
        pages = (
            account.client("rds", region)
            .get_paginator("describe_db_instances")
            .paginate(Filters=[{"Name": "db-cluster-id", "Values": [name]}])
        )
        return {item["DBInstanceIdentifier"]: item for page in pages for item in page["DBInstances"]}

    def members(self, account: Account) -> list[str] | None:
        """The ARNs of the members of the global database; None if there is no global database."""
        rds = account.client("rds", self.primary)
        found = unless(
            "GlobalClusterNotFoundFault",
            lambda: rds.describe_global_clusters(GlobalClusterIdentifier=self.world),
        )
        if not found or not found["GlobalClusters"]:
            return None
        return [member["DBClusterArn"] for member in found["GlobalClusters"][0]["GlobalClusterMembers"]]


def procedure(settings: Settings, options: argparse.Namespace) -> Procedure:
    """The procedure for a stack.

    Raises:
        ProcedureError: the moment is no time in UTC, or is too old.
    """
    moment = _moment(options.to, settings.database.backup_retention_days)
    serverless = settings.database.serverless
    database = Database(
        settings.platform,
        settings.primary,
        [region.name for region in settings.regions if not settings.is_primary(region.name)],
        moment,
        {"MinCapacity": serverless.min, "MaxCapacity": serverless.max} if serverless else {},
    )
    return Procedure("restore", options.stack, [*steps(database)])


def _moment(text: str, days: int) -> datetime:
    moment = command.moment("--to", text)
    age = datetime.now(UTC) - moment
    if not 0 <= age.total_seconds() <= days * 86400:
        raise ProcedureError(
            f"--to is {text}: give a moment of the last {days} days (database.backupRetentionDays)"
        )
    return moment


def steps(database: Database) -> Iterator[Step]:
    """All steps, in their order."""
    primary = database.primary
    yield _restore(database)
    yield _first_instance(database)
    yield _password(database)
    for region in database.others:
        yield _detach(database, region)
    if database.others:
        yield _dissolve(database)
    for region in (primary, *database.others):
        yield from _set_aside(database, region)
    yield _take_the_name(database)
    yield _instances(database, primary)
    if database.others:
        yield _found_again(database)
    for region in database.others:
        yield _secondary(database, region)
        yield _instances(database, region)
    yield _deploy(database)


_CLUSTERS = ("DescribeDBClusters", "DescribeDBInstances")


def _rds(region: str, *operations: str) -> tuple[Calls, ...]:
    return (Calls("rds", region, (*_CLUSTERS, *operations)),)


def _is_replaced(database: Database, account: Account, region: str) -> bool:
    """Whether the region's current cluster is no longer the one that is to be replaced."""
    return database.cluster(account, region, database.name(region) + BROKEN) is not None


def _available(found: Found | None) -> bool:
    return found is not None and found["Status"] == "available"


def _restore(database: Database) -> Step:
    region, current = database.primary, database.name(database.primary)

    def check(account: Account) -> Answer:
        found = database.cluster(account, region, current)
        if found is None:
            return Answer("fail", f"there is no cluster {current} in {region}", "look for it in the console")
        earliest, latest = found.get("EarliestRestorableTime"), found.get("LatestRestorableTime")
        if earliest and latest and not earliest <= database.moment <= latest:
            return Answer(
                "fail", f"{current} can be restored from {earliest} to {latest}", "give a moment in between"
            )
        return Answer("pass", f"{current} is {found['Status']}")

    def act(account: Account) -> None:
        if database.cluster(account, region, database.restored) is not None:
            return
        account.client("rds", region).restore_db_cluster_to_point_in_time(
            DBClusterIdentifier=database.restored,
            SourceDBClusterIdentifier=current,
            RestoreToTime=database.moment,
            **_like(database, database.cluster(account, region, current) or {}),
        )

    def done(account: Account) -> bool:
        return _available(database.cluster(account, region, database.restored)) or _is_replaced(
            database, account, region
        )

    return Step(
        title=f"Restore a copy of the database to {database.moment:%Y-%m-%dT%H:%M:%SZ}",
        changes=f"{database.restored} exists in {region}; nothing uses it yet",
        calls=_rds(region, "RestoreDBClusterToPointInTime"),
        check=check,
        act=act,
        done=done,
        minutes=120,
    )


def _first_instance(database: Database) -> Step:
    region, name = database.primary, f"{database.restored}-0"

    def act(account: Account) -> None:
        if name not in database.instances(account, region, database.restored):
            model = _model(database, account, region)
            _create(account, region, name, database.restored, model)

    def done(account: Account) -> bool:
        if _is_replaced(database, account, region):
            return True
        found = database.instances(account, region, database.restored).get(name)
        return found is not None and found["DBInstanceStatus"] == "available"

    return Step(
        title="Give the copy an instance",
        changes=f"{name} answers; look at the data now, with sql and the copy's endpoint",
        calls=_rds(region, "CreateDBInstance"),
        act=act,
        done=done,
        minutes=30,
    )


def _password(database: Database) -> Step:
    region = database.primary
    marker = "The restored cluster has the password that was valid at that moment."

    def act(account: Account) -> None:
        arn = master_secret(account, database.platform, region)["ARN"]
        secrets = account.client("secretsmanager", region)
        value = json.loads(secrets.get_secret_value(SecretId=arn)["SecretString"])
        account.client("rds", region).modify_db_cluster(
            DBClusterIdentifier=database.restored, MasterUserPassword=value["password"], ApplyImmediately=True
        )
        account.client("rds", region).add_tags_to_resource(
            ResourceName=_arn(database, account, region, database.restored),
            Tags=[{"Key": "password", "Value": "current"}],
        )

    def done(account: Account) -> bool:
        if _is_replaced(database, account, region):
            return True
        tags = (database.cluster(account, region, database.restored) or {}).get("TagList", ())
        return any(tag["Key"] == "password" for tag in tags)

    return Step(
        title="Set the master user's current password",
        changes=f"{marker} It gets the one in the master secret",
        calls=(
            *_rds(region, "ModifyDBCluster", "AddTagsToResource"),
            Calls("secretsmanager", region, ("ListSecrets", "GetSecretValue")),
        ),
        act=act,
        done=done,
        minutes=10,
    )


def _detach(database: Database, region: str) -> Step:
    name = database.name(region)

    def act(account: Account) -> None:
        for arn in database.members(account) or ():
            if arn.endswith(f":{region}:{arn.split(':')[4]}:cluster:{name}"):
                account.client("rds", region).remove_from_global_cluster(
                    GlobalClusterIdentifier=database.world, DbClusterIdentifier=arn
                )

    def done(account: Account) -> bool:
        return not any(f":{region}:" in arn for arn in database.members(account) or ()) or _is_replaced(
            database, account, region
        )

    return Step(
        title=f"Remove the secondary cluster in {region} from the global database",
        changes=f"{name} stands alone: it gets no more data, and the region's reads are out of date",
        calls=(
            Calls("rds", database.primary, ("DescribeGlobalClusters",)),
            *_rds(region, "RemoveFromGlobalCluster"),
        ),
        act=act,
        done=done,
        loses=f"reads in {region} until the secondary cluster exists again, about an hour",
        minutes=30,
    )


def _dissolve(database: Database) -> Step:
    region = database.primary

    def is_old(account: Account) -> bool:
        """Whether the global database is still the old one, of which the restored cluster is no member."""
        return database.members(account) is not None and not _is_replaced(database, account, region)

    def act(account: Account) -> None:
        rds = account.client("rds", region)
        for arn in database.members(account) or ():
            rds.remove_from_global_cluster(GlobalClusterIdentifier=database.world, DbClusterIdentifier=arn)
        rds.modify_global_cluster(GlobalClusterIdentifier=database.world, DeletionProtection=False)
        rds.delete_global_cluster(GlobalClusterIdentifier=database.world)

    return Step(
        title="Delete the global database, which contains no data of its own",
        changes=f"{database.world} no longer exists; its clusters and their data stay",
        calls=_rds(
            region,
            *("DescribeGlobalClusters", "RemoveFromGlobalCluster"),
            *("ModifyGlobalCluster", "DeleteGlobalCluster"),
        ),
        act=act,
        done=lambda account: not is_old(account),
        minutes=30,
    )


def _set_aside(database: Database, region: str) -> Iterator[Step]:
    """The cluster last: while it has its name, the instances that are still to be renamed are its members."""
    name = database.name(region)

    def remaining(account: Account) -> list[str]:
        found = database.instances(account, region, name)
        return [item for item in found if not item.endswith(BROKEN) and not item.startswith(SCALED)]

    def rename_instances(account: Account) -> None:
        for item in remaining(account):
            account.client("rds", region).modify_db_instance(
                DBInstanceIdentifier=item, NewDBInstanceIdentifier=item + BROKEN, ApplyImmediately=True
            )

    def rename_cluster(account: Account) -> None:
        account.client("rds", region).modify_db_cluster(
            DBClusterIdentifier=name, NewDBClusterIdentifier=name + BROKEN, ApplyImmediately=True
        )

    yield Step(
        title=f"Set the replaced instances in {region} aside",
        changes=f"their names end in {BROKEN}",
        calls=_rds(region, "ModifyDBInstance"),
        act=rename_instances,
        done=lambda account: _is_replaced(database, account, region) or not remaining(account),
        minutes=30,
    )
    yield Step(
        title=f"Set the replaced cluster in {region} aside",
        changes=f"{name} is called {name}{BROKEN}: nobody reaches it under the old name",
        calls=_rds(region, "ModifyDBCluster"),
        act=rename_cluster,
        done=lambda account: _is_replaced(database, account, region),
        loses=f"all writes to {name} after {database.moment:%Y-%m-%dT%H:%M:%SZ}, except in {name}{BROKEN}"
        if region == database.primary
        else "",
        minutes=30,
    )


def _take_the_name(database: Database) -> Step:
    region, name = database.primary, database.name(database.primary)

    def act(account: Account) -> None:
        if database.cluster(account, region, name) is None:
            account.client("rds", region).modify_db_cluster(
                DBClusterIdentifier=database.restored, NewDBClusterIdentifier=name, ApplyImmediately=True
            )

    return Step(
        title="Give the restored cluster the database's name",
        changes=f"{database.restored} is called {name}, and its endpoint answers under the old name",
        calls=_rds(region, "ModifyDBCluster"),
        act=act,
        done=lambda account: _available(database.cluster(account, region, name)),
        minutes=30,
    )


def _instances(database: Database, region: str) -> Step:
    """Its instances get the names of those that they replace, by which the stack's state knows them."""
    name = database.name(region)

    def wanted(account: Account) -> list[str]:
        replaced = database.instances(account, region, name + BROKEN)
        return sorted(item.removesuffix(BROKEN) for item in replaced if item.endswith(BROKEN))

    def act(account: Account) -> None:
        existing = database.instances(account, region, name)
        model = _model(database, account, region)
        missing = [item for item in wanted(account) if item not in existing]
        first = f"{database.restored}-0"
        if first in existing and missing:
            account.client("rds", region).modify_db_instance(
                DBInstanceIdentifier=first, NewDBInstanceIdentifier=missing.pop(0), ApplyImmediately=True
            )
        for item in missing:
            _create(account, region, item, name, model)

    def done(account: Account) -> bool:
        existing = database.instances(account, region, name)
        return all(
            item in existing and existing[item]["DBInstanceStatus"] == "available" for item in wanted(account)
        )

    return Step(
        title=f"Give the cluster in {region} its instances",
        changes="writer and readers exist, with the names that the stack's state knows",
        calls=_rds(region, "CreateDBInstance", "ModifyDBInstance"),
        act=act,
        done=done,
        minutes=60,
    )


def _found_again(database: Database) -> Step:
    region = database.primary

    def act(account: Account) -> None:
        account.client("rds", region).create_global_cluster(
            GlobalClusterIdentifier=database.world,
            SourceDBClusterIdentifier=_arn(database, account, region, database.name(region)),
            DeletionProtection=True,
        )

    return Step(
        title="Create the global database from the restored cluster",
        changes=f"{database.world} exists again; its primary cluster is in {region}",
        calls=_rds(region, "DescribeGlobalClusters", "CreateGlobalCluster"),
        act=act,
        done=lambda account: bool(database.members(account)),
        minutes=30,
    )


def _secondary(database: Database, region: str) -> Step:
    name = database.name(region)

    def act(account: Account) -> None:
        if database.cluster(account, region, name) is not None:
            return
        old = database.cluster(account, region, name + BROKEN) or {}
        account.client("rds", region).create_db_cluster(
            DBClusterIdentifier=name,
            GlobalClusterIdentifier=database.world,
            Engine=old["Engine"],
            EngineVersion=old["EngineVersion"],
            StorageEncrypted=True,
            **_like(database, old),
        )

    return Step(
        title=f"Create the secondary cluster in {region}",
        changes=f"{name} copies the restored database",
        calls=_rds(region, "CreateDBCluster"),
        act=act,
        done=lambda account: _available(database.cluster(account, region, name)),
        minutes=120,
    )


def _deploy(database: Database) -> Step:
    region = database.primary

    def done(account: Account) -> bool:
        """Whether the proxy's role has the id of the restored cluster, which a deployment gives it."""
        cluster = database.cluster(account, region, database.name(region)) or {}
        pages = account.client("rds", region).get_paginator("describe_db_proxies").paginate()
        roles = {
            item["RoleArn"].rpartition("/")[2]
            for page in pages
            for item in page["DBProxies"]
            if item["DBProxyName"].startswith(f"database-{region}-proxy-")
        }
        iam = account.client("iam", region)
        return any(
            cluster.get("DbClusterResourceId", "none")
            in json.dumps(iam.get_role_policy(RoleName=role, PolicyName=policy)["PolicyDocument"])
            for role in roles
            for policy in iam.list_role_policies(RoleName=role)["PolicyNames"]
        )

    return Step(
        title="Deploy, which gives the proxies and the services access",
        changes="nobody can sign in before: the roles still name the resource id of the replaced cluster",
        calls=(
            Calls("rds", region, ("DescribeDBClusters", "DescribeDBProxies")),
            Calls("iam", region, ("ListRolePolicies", "GetRolePolicy")),
        ),
        by_hand="pulumi refresh\n"
        "pulumi preview --diff    # must replace and delete nothing but the migrations' Job\n"
        "pulumi up --replace \"$(pulumi stack --show-urns | grep -o 'urn:.*batch/v1:Job::.*migrations.*')\"",
        done=done,
    )


def _like(database: Database, cluster: Found) -> dict[str, Any]:
    """What a request for a new cluster takes from the one that it replaces."""
    request: dict[str, Any] = {to: cluster[name] for name, to in _COPIED.items() if name in cluster}
    if database.size:
        request["ServerlessV2ScalingConfiguration"] = {**database.size}
    groups = [group["VpcSecurityGroupId"] for group in cluster.get("VpcSecurityGroups", ())]
    return {**request, "VpcSecurityGroupIds": groups, "DeletionProtection": True}


def _model(database: Database, account: Account, region: str) -> Found:
    """The instance whose class new ones get: one of those that are replaced."""
    name = database.name(region)
    found = database.instances(account, region, name + BROKEN) or database.instances(account, region, name)
    if not found:
        raise ProcedureError(f"the cluster {name} in {region} has no instance to take the class from")
    return found[min(found)]


def _create(account: Account, region: str, name: str, cluster: str, model: Found) -> None:
    account.client("rds", region).create_db_instance(
        DBInstanceIdentifier=name,
        DBClusterIdentifier=cluster,
        DBInstanceClass=model["DBInstanceClass"],
        Engine=model["Engine"],
        PubliclyAccessible=False,
        AutoMinorVersionUpgrade=False,
        CopyTagsToSnapshot=True,
    )


def _arn(database: Database, account: Account, region: str, name: str) -> str:
    found = database.cluster(account, region, name)
    if found is None:
        raise ProcedureError(f"there is no cluster {name} in {region}")
    return str(found["DBClusterArn"])


def main() -> int:
    """Runs the command."""
    parser = command.parser("restore", (__doc__ or "").partition("\n")[0])
    parser.add_argument("--to", required=True, metavar="TIME", help="the moment in UTC: 2026-01-31T14:05:00Z")
    return command.execute(parser.parse_args(), procedure)


if __name__ == "__main__":
    sys.exit(main())
