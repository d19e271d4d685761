"""The database tier under the real engine: changes in place, refused changes, and drift that is no change.

The tests run in this order in one sandbox; each begins with the state that the previous one left.
"""

from __future__ import annotations

import sqlite3
from dataclasses import replace

import pytest

from sandbox.aws.inheritance import GLOBAL_CLUSTER, pass_on
from sandbox.aws.store import Store
from tests.engine.project import Project

PROGRAM = """
import pulumi, pulumi_aws as aws
from components.common.context import RegionContext
from components.database import Database, DatabaseArgs
from settings import DatabaseSettings

SETTINGS, PROTECT, REGIONS, PLATFORM = {settings!r}, {protect}, {regions}, {platform!r}

def deploy(at, **more):
    provider = aws.Provider(at, region=at)
    opts = pulumi.ResourceOptions(provider=provider)
    vpc = aws.ec2.Vpc(f"vpc-{{at}}", cidr_block="10.0.0.0/16", opts=opts)
    zones = [at + zone for zone in "abc"]
    subnets = [
        aws.ec2.Subnet(
            f"subnet-{{zone}}", vpc_id=vpc.id, cidr_block=f"10.0.{{n}}.0/24", availability_zone=zone,
            opts=opts,
        )
        for n, zone in enumerate(zones)
    ]
    context = RegionContext(
        platform=PLATFORM, region=at, log_retention_days=30, protect=PROTECT, provider=provider,
        key_arn=aws.kms.Key(f"key-{{at}}", opts=opts).arn,
    )
    args = DatabaseArgs(
        context=context,
        vpc_id=vpc.id,
        subnet_ids=[subnet.id for subnet in subnets],
        availability_zones=zones,
        alarm_topic_arn=aws.sns.Topic(f"topic-{{at}}", opts=opts).arn,
        users=["orders"],
        settings=DatabaseSettings.model_validate(SETTINGS),
        **more,
    )
    return Database(f"database-{{at}}", args, context.options)

primary = deploy("us-east-1", other_regions=["eu-west-1"][: REGIONS - 1])
if REGIONS > 1:
    deploy("eu-west-1", joins=primary.global_database, takes_writes=False, other_regions=["us-east-1"])
"""
SERVERLESS = {"serverless": {"min": 0.5, "max": 2.0}, "readers": {"min": 1, "max": 2}}
CLUSTER = "database-us-east-1-cluster"
PARAMETER_GROUPS = {"database-us-east-1-parameters", "database-us-east-1-instance-parameters"}


class Account(Project):
    """A project whose program creates only the database tier."""

    def write(
        self, *, protect: bool = False, regions: int = 1, platform: str = "trading-test", **settings: object
    ) -> None:
        values = {**SERVERLESS, "engineVersion": "17.5", **settings}
        text = PROGRAM.format(settings=values, protect=protect, regions=regions, platform=platform)
        path = self.folder / "__main__.py"
        path.unlink(missing_ok=True)
        path.write_text(text)

    def up(self, *options: str, expect: int = 0) -> str:
        return self.pulumi("up", "--stack", "small", "--yes", "--skip-preview", *options, expect=expect)

    def set_outside(self, kind: str, path: str, value: str) -> None:
        """Changes a property (JSON) of an existing resource, both in the program and in AWS."""
        statement = (
            "UPDATE resource SET outputs = json_set(outputs, :path, json(:value)), "
            "inputs = CASE WHEN json_type(inputs, :path) IS NULL THEN inputs "
            "ELSE json_set(inputs, :path, json(:value)) END WHERE type = :kind"
        )
        with sqlite3.connect(self.sandbox / "aws.sqlite") as store:
            assert store.execute(statement, {"path": path, "value": value, "kind": kind}).rowcount == 1
        store.close()

    def versions(self) -> set[str]:
        """The versions that the clusters and their instances run."""
        with sqlite3.connect(self.sandbox / "aws.sqlite") as store:
            found = store.execute(
                "SELECT json_extract(outputs, '$.engineVersion') FROM resource "
                "WHERE type IN ('aws:rds/cluster:Cluster', 'aws:rds/clusterInstance:ClusterInstance')"
            ).fetchall()
        store.close()
        return {version for (version,) in found}

    def upgrade_global_database(self, version: str) -> None:
        """What `aws rds modify-global-cluster --engine-version … --allow-major-version-upgrade` does."""
        store = Store(self.sandbox)
        (before,) = store.all(GLOBAL_CLUSTER)
        changed = {"engineVersion": version, "engineVersionActual": version}
        now = replace(
            before,
            inputs={**before.inputs, "engineVersion": version},
            outputs={**before.outputs, **changed},
        )
        store.put(now)
        pass_on(store, now, before)
        store.close()

    def refresh(self) -> None:
        self.pulumi("refresh", "--stack", "small", "--yes", "--skip-preview")


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Account:
    made = Account.make(tmp_path_factory.mktemp("database"))
    return Account(made.folder, made.sandbox)


def test_deployment_is_complete_and_a_refresh_finds_no_drift(account: Account) -> None:
    account.write()
    account.up()
    account.pulumi("refresh", "--stack", "small", "--yes", "--skip-preview", "--expect-no-changes")
    assert account.preview("small") == {}


def test_capacity_and_scaling_change_in_place(account: Account) -> None:
    account.write(serverless={"min": 1.0, "max": 8.0}, readers={"min": 1, "max": 4}, readerConnections=200)
    assert account.preview("small") == {
        CLUSTER: "update",
        "database-us-east-1-readers": "update",
    }
    account.up()


def test_readers_that_the_scaling_adds_are_no_difference(account: Account) -> None:
    members = '["one", "two", "application-autoscaling-three"]'
    account.set_outside("aws:rds/cluster:Cluster", "$.clusterMembers", members)
    account.refresh()
    account.write(serverless={"min": 1.0, "max": 8.0}, readers={"min": 1, "max": 4}, readerConnections=200)
    assert account.preview("small") == {}


def test_rotated_secret_is_no_difference(account: Account) -> None:
    account.set_outside("aws:secretsmanager/secretVersion:SecretVersion", "$.versionStages", '["initial"]')
    account.refresh()
    assert account.preview("small") == {}


def test_a_minor_version_is_an_update_of_the_cluster_alone(account: Account) -> None:
    account.write(engineVersion="17.6")
    account.up()
    account.write(engineVersion="17.7")
    assert account.preview("small") == {CLUSTER: "update"}


def test_a_major_version_is_an_update_with_new_parameter_groups(account: Account) -> None:
    account.write(engineVersion="18.3")
    operations = account.preview("small")
    assert operations[CLUSTER] == "update"
    replaced = {name for name, operation in operations.items() if "replace" in operation}
    assert replaced == PARAMETER_GROUPS
    instances = {name: operation for name, operation in operations.items() if name[-2:] in ("-0", "-1")}
    assert set(instances.values()) == {"update"}
    account.up()


def test_a_second_region_only_adds(account: Account) -> None:
    account.write(engineVersion="18.3", regions=2)
    operations = account.preview("small")
    assert set(operations.values()) == {"create"}
    assert {"database-us-east-1-global", "database-eu-west-1-cluster"} <= operations.keys()


def test_a_second_region_and_a_new_version_follow_each_other(account: Account) -> None:
    account.write(engineVersion="18.4", regions=2)
    account.up()
    assert account.versions() == {"18.3"}, "the second region joins with the version that runs"
    assert account.preview("small") == {"database-us-east-1-global": "update"}
    account.up()
    assert account.versions() == {"18.4"}
    account.refresh()
    assert account.preview("small") == {}


def test_a_region_does_not_leave_with_a_new_version(account: Account) -> None:
    account.write(engineVersion="18.6")
    assert "upgrade global replicas first" in account.up(expect=1)
    assert account.versions() == {"18.4"}


def test_a_region_leaves_with_the_global_database(account: Account) -> None:
    account.write(engineVersion="18.4")
    operations = account.preview("small")
    assert operations.pop(CLUSTER, "update") == "update"
    assert set(operations.values()) == {"delete"}
    assert not [name for name in operations if name.startswith("database-us") and name[-6:] != "global"]
    account.up()


def test_replacing_a_protected_database_is_refused_and_nothing_changes(account: Account) -> None:
    account.write(engineVersion="18.4", protect=True)
    account.up()
    before = {r["urn"]: r.get("id") for r in account.resources("small")}
    account.write(engineVersion="18.4", protect=True, platform="trading-other")
    # A deployment would first replace what isn't protected.
    output = account.pulumi("preview", "--stack", "small", expect=1)
    assert "unable to replace resource" in output
    assert CLUSTER in output
    assert {r["urn"]: r.get("id") for r in account.resources("small")} == before


def test_an_unprotected_database_goes_and_leaves_nothing(account: Account) -> None:
    account.write(engineVersion="18.4")
    account.up()
    account.pulumi("destroy", "--stack", "small", "--yes", "--skip-preview")
    assert account.status()["aws"] == {}


@pytest.fixture(scope="module")
def regions(tmp_path_factory: pytest.TempPathFactory) -> Account:
    """Two regions with the last version but one."""
    made = Account.make(tmp_path_factory.mktemp("regions"))
    account = Account(made.folder, made.sandbox)
    account.write(engineVersion="17.7", regions=2)
    account.up()
    return account


def test_a_major_version_of_several_regions_is_refused_in_one_deployment(regions: Account) -> None:
    regions.write(engineVersion="18.3", regions=2)
    assert "with DBParameterGroupFamily aurora-postgresql18 cannot be used" in regions.up(expect=1)
    assert regions.versions() == {"17.7"}


def test_a_deployment_completes_a_major_upgrade_of_the_global_database(regions: Account) -> None:
    """The procedure in docs/operations.md."""
    regions.upgrade_global_database("18.3")
    regions.up("--refresh")
    assert regions.versions() == {"18.3"}
    assert regions.preview("small") == {}
    groups = {
        resource["inputs"].get("dbClusterParameterGroupName", "")
        for resource in regions.resources("small")
        if resource["type"] == "aws:rds/cluster:Cluster"
    }
    assert not [group for group in groups if group.startswith("default.")]
