"""Tier 8: the Aurora cluster, who gets in, what it survives, and what it leaves behind."""

import json
from importlib import resources

import jsonschema
import pytest

from components.database import Database, DatabaseArgs
from components.tier import Signal
from settings import DatabaseSettings, Range, ServerlessCapacity
from tests.unit.harness import SECRET, Graph, deploy

KEY = "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
TOPIC = "arn:aws:sns:us-east-1:123456789012:warning"
ZONES = ["us-east-1a", "us-east-1b", "us-east-1c"]
CLUSTER = "aws:rds/cluster:Cluster"
INSTANCE = "aws:rds/clusterInstance:ClusterInstance"


def database(
    settings: DatabaseSettings, *, protect: bool = True, signals: list[Signal] | None = None
) -> Graph:
    def program() -> None:
        tier = Database(
            "database",
            DatabaseArgs(
                platform="trading-test",
                vpc_id="vpc-0123456789abcdef0",
                subnet_ids=[f"subnet-0123456789abcdef{zone}" for zone in range(3)],
                availability_zones=ZONES,
                key_arn=KEY,
                alarm_topic_arn=TOPIC,
                settings=settings,
                log_retention_days=30,
                protect=protect,
            ),
        )
        if signals is not None:
            signals.extend(tier.signals)

    return deploy(program)


@pytest.fixture(scope="module")
def graph() -> Graph:
    return database(DatabaseSettings())


def parameters(graph: Graph) -> dict[str, tuple[str, str]]:
    group = graph.only("aws:rds/clusterParameterGroup:ClusterParameterGroup").inputs
    return {item["name"]: (item["value"], item["applyMethod"]) for item in group["parameters"]}


def test_connections_are_tls_and_services_sign_in_with_iam(graph: Graph) -> None:
    assert parameters(graph)["rds.force_ssl"] == ("1", "immediate")
    assert graph.only(CLUSTER).inputs["iamDatabaseAuthenticationEnabled"] is True


def test_everything_at_rest_is_encrypted_with_our_key(graph: Graph) -> None:
    cluster = graph.only(CLUSTER).inputs
    assert (cluster["storageEncrypted"], cluster["kmsKeyId"]) == (True, KEY)
    assert cluster["performanceInsightsKmsKeyId"] == KEY
    assert graph.only("aws:secretsmanager/secret:Secret").inputs["kmsKeyId"] == KEY
    assert {group.inputs["kmsKeyId"] for group in graph.of("aws:cloudwatch/logGroup:LogGroup")} == {KEY}


def test_log_groups_exist_before_the_cluster_writes_to_them(graph: Graph) -> None:
    cluster = graph.only(CLUSTER)
    groups = graph.of("aws:cloudwatch/logGroup:LogGroup")
    assert {group.inputs["name"] for group in groups} == {
        f"/aws/rds/cluster/{cluster.inputs['clusterIdentifier']}/{log}"
        for log in cluster.inputs["enabledCloudwatchLogsExports"]
    }
    assert {group.name for group in groups} <= cluster.depends_on


def test_master_password_is_a_secret_of_ours_and_stays_one(graph: Graph) -> None:
    cluster = graph.only(CLUSTER).inputs
    assert cluster["masterPasswordWo"] == SECRET
    assert not cluster.keys() & {"masterPassword", "manageMasterUserPassword"}
    assert graph.only("aws:secretsmanager/secretVersion:SecretVersion").inputs["secretString"] == SECRET


def test_libraries_that_need_a_restart_say_so(graph: Graph) -> None:
    assert parameters(graph)["shared_preload_libraries"] == ("pg_stat_statements,pgaudit", "pending-reboot")


@pytest.mark.parametrize("instance_class", [DatabaseSettings().instance_class, "db.serverless"])
@pytest.mark.parametrize(
    "list_of_aws",
    [
        "aws_rds_dbcluster/engine_version",
        "aws_rds_dbcluster/engine_version_deprecated",
        "aws_rds_dbinstance/db_instance_class",
    ],
)
def test_default_version_is_offered_and_runs_both_kinds_of_instance(
    list_of_aws: str, instance_class: str
) -> None:
    schema = resources.files("cfnlint") / f"data/schemas/extensions/{list_of_aws}.json"
    database = {
        "Engine": "aurora-postgresql",
        "EngineVersion": DatabaseSettings().engine_version,
        "DBInstanceClass": instance_class,
    }
    jsonschema.validate(database, json.loads(schema.read_text()))


def test_a_major_upgrade_is_an_update_with_its_own_parameters() -> None:
    graph = database(DatabaseSettings(engine_version="18.1"))
    group = graph.only("aws:rds/clusterParameterGroup:ClusterParameterGroup")
    assert group.inputs["family"] == "aurora-postgresql18"
    assert graph.only(CLUSTER).inputs["allowMajorVersionUpgrade"] is True


def test_no_version_changes_without_a_deployment(graph: Graph) -> None:
    for resource in (graph.only(CLUSTER), *graph.of(INSTANCE)):
        assert resource.inputs["autoMinorVersionUpgrade"] is False


def test_writer_and_readers_stand_in_different_zones_and_are_not_public(graph: Graph) -> None:
    instances = [resource.inputs for resource in graph.of(INSTANCE)]
    assert {instance["availabilityZone"] for instance in instances} == set(ZONES)
    assert not any(instance["publiclyAccessible"] for instance in instances)
    assert "availabilityZones" not in graph.only(CLUSTER).inputs


def test_declared_readers_take_over_before_auto_scaled_ones(graph: Graph) -> None:
    assert sorted(resource.inputs["promotionTier"] for resource in graph.of(INSTANCE)) == [0, 1, 1]


def test_replicas_scale_once_the_declared_ones_are_there() -> None:
    graph = database(DatabaseSettings(readers=Range(min=1, max=5)))
    target = graph.only("aws:appautoscaling/target:Target")
    assert (target.inputs["minCapacity"], target.inputs["maxCapacity"]) == (1, 5)
    instances = {resource.name for resource in graph.of(INSTANCE)}
    assert len(instances) == 2
    assert instances <= target.depends_on


def test_serverless_instances_take_their_capacity_from_the_cluster() -> None:
    signals: list[Signal] = []
    graph = database(DatabaseSettings(serverless=ServerlessCapacity(min=0.5, max=4)), signals=signals)
    assert graph.only(CLUSTER).inputs["serverlessv2ScalingConfiguration"] == {
        "minCapacity": 0.5,
        "maxCapacity": 4,
    }
    assert {resource.inputs["instanceClass"] for resource in graph.of(INSTANCE)} == {"db.serverless"}
    assert "ACUUtilization" in {signal.metric for signal in signals}


def test_a_protected_database_refuses_deletion_and_leaves_a_snapshot(graph: Graph) -> None:
    cluster = graph.only(CLUSTER)
    assert cluster.protect
    assert all(resource.protect for resource in graph.of(INSTANCE))
    assert cluster.inputs["deletionProtection"] is True
    assert cluster.inputs["skipFinalSnapshot"] is False
    assert cluster.inputs["deleteAutomatedBackups"] is False
    assert cluster.inputs["finalSnapshotIdentifier"].startswith("trading-test-database-final-")
    assert "database-final-snapshot" in cluster.depends_on, "the name is unique, for a second life's snapshot"


def test_an_unprotected_database_goes_without_a_trace() -> None:
    cluster = database(DatabaseSettings(), protect=False).only(CLUSTER)
    assert not cluster.protect
    assert cluster.inputs["deletionProtection"] is False
    assert cluster.inputs["skipFinalSnapshot"] is True


@pytest.mark.parametrize(("mode", "days"), [("advanced", 465), ("standard", 7)])
def test_insights_keep_what_their_mode_demands(mode: str, days: int) -> None:
    settings = DatabaseSettings.model_validate({"insights": mode})
    cluster = database(settings).only(CLUSTER).inputs
    assert (cluster["databaseInsightsMode"], cluster["performanceInsightsRetentionPeriod"]) == (mode, days)


def test_only_rds_of_this_account_takes_on_the_monitoring_role(graph: Graph) -> None:
    policy = json.loads(graph.only("aws:iam/role:Role").inputs["assumeRolePolicy"])
    (statement,) = policy["Statement"]
    assert statement["Principal"] == {"Service": "monitoring.rds.amazonaws.com"}
    assert statement["Condition"] == {"StringEquals": {"aws:SourceAccount": "123456789012"}}


def test_failovers_reach_the_alarm_topic(graph: Graph) -> None:
    events = graph.only("aws:rds/eventSubscription:EventSubscription").inputs
    assert events["snsTopic"] == TOPIC
    assert "failover" in events["eventCategories"]


def test_security_group_is_empty_and_lets_the_connecting_tier_add_rules(graph: Graph) -> None:
    group = graph.only("aws:ec2/securityGroup:SecurityGroup").inputs
    assert not group.keys() & {"ingress", "egress"}


def test_lag_deadlocks_and_the_writers_cpu_ring() -> None:
    signals: list[Signal] = []
    database(DatabaseSettings(), signals=signals)
    assert {signal.metric for signal in signals} >= {
        "AuroraReplicaLagMaximum",
        "CPUUtilization",
        "Deadlocks",
        "MaximumUsedTransactionIDs",
    }
