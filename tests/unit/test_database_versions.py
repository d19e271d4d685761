"""How the sandbox's RDS treats versions and parameter groups of clusters, instances and global clusters."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sandbox.aws.inheritance import CLUSTER, GLOBAL_CLUSTER, INSTANCE
from sandbox.aws.provider import AwsProvider
from sandbox.rpc import Call, ProviderError

CLUSTER_GROUP = "aws:rds/clusterParameterGroup:ClusterParameterGroup"
INSTANCE_GROUP = "aws:rds/parameterGroup:ParameterGroup"


class Account:
    """An account in which each resource is identified by its logical name."""

    def __init__(self, directory: Path) -> None:
        self.aws = AwsProvider(directory)
        self.known: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {}

    def call(self, kind: str, name: str, inputs: dict[str, Any], region: str, **more: Any) -> Call:
        urn = f"urn:pulumi:test::test::{kind}::{name}"
        return Call({"region": region}, urn, inputs=inputs, **more)

    def create(self, kind: str, name: str, region: str = "us-east-1", /, **inputs: Any) -> dict[str, Any]:
        checked, failures = self.aws.check(self.call(kind, name, inputs, region, seed=b"seed"))
        assert not failures
        identifier, outputs = self.aws.create(self.call(kind, name, checked, region))
        self.known[name] = identifier, checked, outputs
        return outputs

    def update(self, kind: str, name: str, region: str = "us-east-1", /, **changed: Any) -> None:
        identifier, old, outputs = self.known[name]
        inputs = {key: value for key, value in {**old, **changed}.items() if value is not None}
        call = self.call(kind, name, inputs, region, id=identifier, old_inputs=old, outputs=outputs)
        self.known[name] = identifier, inputs, self.aws.update(call)

    def read(self, kind: str, name: str, region: str = "us-east-1") -> dict[str, Any]:
        """The properties that a refresh would find."""
        identifier, inputs, outputs = self.known[name]
        found = self.aws.read(self.call(kind, name, inputs, region, id=identifier, outputs=outputs))
        assert found
        return {**found[1], "inputs": found[0]}


@pytest.fixture
def account(tmp_path: Path) -> Generator[Account]:
    """An account with a cluster of version 17.5 and its instance."""
    made = Account(tmp_path)
    for version in (17, 18):
        for kind, name in ((CLUSTER_GROUP, "cluster"), (INSTANCE_GROUP, "instance")):
            made.create(
                kind, f"{name}-{version}", name=f"{name}-{version}", family=f"aurora-postgresql{version}"
            )
    cluster(made, "first")
    yield made
    made.aws.store.close()


def cluster(account: Account, name: str, region: str = "us-east-1", **more: Any) -> None:
    inputs: dict[str, Any] = {
        "clusterIdentifier": name,
        "engine": "aurora-postgresql",
        "engineVersion": "17.5",
        "allowMajorVersionUpgrade": True,
        "skipFinalSnapshot": True,
        **({"dbClusterParameterGroupName": "cluster-17"} if region == "us-east-1" else {}),
        **more,
    }
    account.create(CLUSTER, name, region, **inputs)
    account.create(
        INSTANCE,
        f"{name}-0",
        region,
        identifier=f"{name}-0",
        clusterIdentifier=name,
        engine="aurora-postgresql",
        instanceClass="db.serverless",
        **({"dbParameterGroupName": "instance-17"} if region == "us-east-1" else {}),
    )


def join(account: Account, **more: Any) -> None:
    """Adds the global cluster of the first cluster, and a secondary cluster in another region."""
    source = account.read(CLUSTER, "first")["arn"]
    account.create(
        GLOBAL_CLUSTER,
        "global",
        globalClusterIdentifier="global",
        sourceDbClusterIdentifier=source,
        forceDestroy=True,
        **more,
    )
    cluster(account, "second", "eu-west-1", globalClusterIdentifier="global")


def test_instances_have_the_version_of_their_cluster(account: Account) -> None:
    assert account.read(INSTANCE, "first-0")["engineVersion"] == "17.5"
    account.update(CLUSTER, "first", engineVersion="17.7")
    found = account.read(INSTANCE, "first-0")
    assert (found["engineVersion"], found["engineVersionActual"]) == ("17.7", "17.7")
    assert account.read(CLUSTER, "first")["engineVersionActual"] == "17.7"


def test_a_version_never_falls(account: Account) -> None:
    with pytest.raises(ProviderError, match=r"cannot downgrade from 17\.5 to 17\.4"):
        account.update(CLUSTER, "first", engineVersion="17.4")


MAJOR = {
    "engineVersion": "18.3",
    "dbClusterParameterGroupName": "cluster-18",
    "dbInstanceParameterGroupName": "instance-18",
}


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"allowMajorVersionUpgrade": False}, "The AllowMajorVersionUpgrade flag must be present"),
        (
            {"dbInstanceParameterGroupName": None},
            "The current DB instance parameter group instance-17 is custom",
        ),
        ({"dbInstanceParameterGroupName": "instance-17"}, "instance-17 with DBParameterGroupFamily"),
        ({"dbClusterParameterGroupName": "cluster-17"}, "cluster-17 with DBParameterGroupFamily"),
        ({"engineVersion": "17.7"}, "cluster-18 with DBParameterGroupFamily aurora-postgresql18"),
    ],
)
def test_a_major_upgrade_needs_everything_that_rds_demands(
    account: Account, changed: dict[str, Any], problem: str
) -> None:
    with pytest.raises(ProviderError, match=problem):
        account.update(CLUSTER, "first", **{**MAJOR, **changed})


def test_a_major_upgrade_sets_the_parameters_of_the_instances(account: Account) -> None:
    account.update(CLUSTER, "first", **MAJOR)
    found = account.read(INSTANCE, "first-0")
    assert (found["engineVersion"], found["dbParameterGroupName"]) == ("18.3", "instance-18")
    with pytest.raises(ProviderError, match="instance-17 with DBParameterGroupFamily aurora-postgresql17"):
        account.create(
            INSTANCE,
            "first-1",
            identifier="first-1",
            clusterIdentifier="first",
            engine="aurora-postgresql",
            instanceClass="db.serverless",
            dbParameterGroupName="instance-17",
        )


def test_a_global_cluster_has_the_version_of_its_source_at_first(account: Account) -> None:
    join(account, engineVersion="17.7")
    found = account.read(GLOBAL_CLUSTER, "global")
    assert (found["engine"], found["engineVersion"]) == ("aurora-postgresql", "17.5")
    identifier, inputs, outputs = account.known["global"]
    call = account.call(
        GLOBAL_CLUSTER, "global", inputs, "us-east-1", id=identifier, old_inputs=inputs, outputs=outputs
    )
    assert account.aws.diff(call).changes == {"engineVersion": "update"}
    account.update(GLOBAL_CLUSTER, "global")
    assert account.read(CLUSTER, "second", "eu-west-1")["engineVersion"] == "17.7"
    assert account.aws.diff(replace(call, outputs=account.known["global"][2])).changes == {}


def test_a_secondary_of_another_version_is_refused(account: Account) -> None:
    join(account)
    with pytest.raises(ProviderError, match=r"17\.7 of a secondary cluster .* global cluster global, 17\.5"):
        cluster(account, "third", "eu-west-2", globalClusterIdentifier="global", engineVersion="17.7")


def test_a_primary_is_upgraded_after_its_secondaries(account: Account) -> None:
    join(account)
    with pytest.raises(ProviderError, match=r"upgrade global replicas first: second in eu-west-1"):
        account.update(CLUSTER, "first", engineVersion="17.7")


def test_an_upgrade_of_the_global_cluster_reaches_all_members_and_stays(account: Account) -> None:
    join(account, engineVersion="17.5")
    account.update(GLOBAL_CLUSTER, "global", engineVersion="17.7")
    for name, region in (("first", "us-east-1"), ("second", "eu-west-1")):
        assert account.read(CLUSTER, name, region)["engineVersion"] == "17.7"
        assert account.read(CLUSTER, name, region)["inputs"]["engineVersion"] == "17.7"
        assert account.read(INSTANCE, f"{name}-0", region)["engineVersion"] == "17.7"
    # The program ignores the version of members, so the next update still contains the old one.
    account.update(CLUSTER, "first", backupRetentionPeriod=7)
    assert account.read(CLUSTER, "first")["engineVersion"] == "17.7"


def test_a_major_upgrade_of_the_global_cluster_sets_the_default_parameters(account: Account) -> None:
    join(account, engineVersion="17.5")
    account.update(GLOBAL_CLUSTER, "global", engineVersion="18.3")
    found = account.read(CLUSTER, "first")
    assert (found["engineVersion"], found["dbClusterParameterGroupName"]) == (
        "18.3",
        "default.aurora-postgresql18",
    )
    assert account.read(INSTANCE, "first-0")["dbParameterGroupName"] == "default.aurora-postgresql18"


@pytest.mark.parametrize(
    ("kind", "inputs", "problem"),
    [
        (
            CLUSTER_GROUP,
            {
                "family": "aurora-postgresql17",
                "parameters": [{"name": "lock_timeout", "value": "1000", "applyMethod": "immediate"}],
            },
            "Could not find parameter with name: lock_timeout",
        ),
        (
            INSTANCE_GROUP,
            {
                "family": "aurora-postgresql17",
                "parameters": [{"name": "shared_preload_libraries", "value": "pgaudit"}],
            },
            "cannot use immediate apply method for static parameter",
        ),
        (
            "aws:elasticache/parameterGroup:ParameterGroup",
            {"family": "valkey8", "parameters": [{"name": "save", "value": "60"}]},
            "Could not find parameter with name: save",
        ),
        (
            "aws:msk/configuration:Configuration",
            {"serverProperties": "log.dirs=/tmp\n"},
            "Unsupported configuration property: log.dirs",
        ),
    ],
)
def test_parameters_that_aws_does_not_know_are_refused(
    account: Account, kind: str, inputs: dict[str, Any], problem: str
) -> None:
    with pytest.raises(ProviderError, match=problem):
        account.create(kind, "group", **inputs)
