"""Tier 8: the Aurora cluster, its access, its availability, and what remains after its deletion."""

import json
from collections.abc import Sequence
from typing import Any

import jsonschema
import pulumi
import pytest

from components.common.access import Endpoint
from components.common.signals import Signal
from components.database import Database, DatabaseArgs, GlobalDatabase
from sandbox.aws import cfn_lint
from settings import DatabaseSettings, Range, ServerlessCapacity
from settings.aws_parameters import database_parameters
from tests.unit.harness import SECRET, Graph, context, deploy

KEY = "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
TOPIC = "arn:aws:sns:us-east-1:123456789012:warning"
ROLE = "aws:iam/role:Role"
POLICY = "aws:iam/rolePolicy:RolePolicy"
ZONES = ["us-east-1a", "us-east-1b", "us-east-1c"]
CLUSTER = "aws:rds/cluster:Cluster"
INSTANCE = "aws:rds/clusterInstance:ClusterInstance"


GLOBAL = "aws:rds/globalCluster:GlobalCluster"
OTHERS = ["eu-west-1"]
PROXY = "aws:rds/proxy:Proxy"
EVENTS = "aws:rds/eventSubscription:EventSubscription"


def database(
    settings: DatabaseSettings,
    *,
    protect: bool = True,
    signals: list[Signal] | None = None,
    users: list[str] | None = None,
    others: Sequence[str] = (),
    secondary: bool = False,
    tiers: list[Database] | None = None,
) -> Graph:
    def program() -> None:
        joined = GlobalDatabase(
            id=pulumi.Output.from_input("trading-test"),
            engine_version=pulumi.Output.from_input("17.5"),
            source_region="us-west-2",
        )
        tier = Database(
            "database",
            DatabaseArgs(
                context=context(
                    platform="trading-test",
                    region="us-east-1",
                    key_arn=KEY,
                    log_retention_days=30,
                    protect=protect,
                ),
                vpc_id="vpc-0123456789abcdef0",
                subnet_ids=[f"subnet-0123456789abcdef{zone}" for zone in range(3)],
                availability_zones=ZONES,
                alarm_topic_arn=TOPIC,
                users=["orders", "accounts"] if users is None else users,
                other_regions=others,
                joins=joined if secondary else None,
                takes_writes=not secondary,
                settings=settings,
            ),
        )
        if signals is not None:
            signals.extend(tier.signals)
        if tiers is not None:
            tiers.append(tier)

    return deploy(program)


@pytest.fixture(scope="module")
def graph() -> Graph:
    return database(DatabaseSettings())


def parameters(graph: Graph) -> dict[str, tuple[str, str]]:
    group = graph.only("aws:rds/clusterParameterGroup:ClusterParameterGroup").inputs
    return {item["name"]: (item["value"], item["applyMethod"]) for item in group["parameters"]}


def effective(graph: Graph, name: str) -> str | None:
    """The value of a cluster's parameter, or its default."""
    group = graph.only("aws:rds/clusterParameterGroup:ClusterParameterGroup").inputs
    given = parameters(graph).get(name)
    return given[0] if given else database_parameters(group["family"])[name].default


@pytest.mark.parametrize("version", ["16.9", "17.11", "18.6"])
def test_connections_are_tls_and_services_sign_in_with_iam(version: str) -> None:
    graph = database(DatabaseSettings(engine_version=version))
    assert effective(graph, "rds.force_ssl") == "1"
    assert effective(graph, "ssl_min_protocol_version") == "TLSv1.2"
    assert graph.only(CLUSTER).inputs["iamDatabaseAuthenticationEnabled"] is True


def test_everything_at_rest_is_encrypted_with_our_key(graph: Graph) -> None:
    cluster = graph.only(CLUSTER).inputs
    assert (cluster["storageEncrypted"], cluster["kmsKeyId"]) == (True, KEY)
    assert cluster["performanceInsightsKmsKeyId"] == KEY
    assert graph.only("aws:secretsmanager/secret:Secret").inputs["kmsKeyId"] == KEY
    assert {group.inputs["kmsKeyId"] for group in graph.of("aws:cloudwatch/logGroup:LogGroup")} == {KEY}


def test_log_groups_exist_before_the_cluster_writes_to_them(graph: Graph) -> None:
    cluster = graph.only(CLUSTER)
    groups = [g for g in graph.of("aws:cloudwatch/logGroup:LogGroup") if "name" in g.inputs]
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
    assert parameters(graph)["shared_preload_libraries"] == (
        "pg_stat_statements,pgaudit,auto_explain",
        "pending-reboot",
    )


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
    schema = cfn_lint.data() / f"schemas/extensions/{list_of_aws}.json"
    database = {
        "Engine": "aurora-postgresql",
        "EngineVersion": DatabaseSettings().engine_version,
        "DBInstanceClass": instance_class,
    }
    # `jsonschema.validate` would first spend six seconds on validating cfn-lint's schema.
    judge: Any = jsonschema.Draft202012Validator(json.loads(schema.read_text()))
    judge.validate(database)


def test_a_major_upgrade_is_an_update_with_its_own_parameters() -> None:
    graph = database(DatabaseSettings(engine_version="18.3"))
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
    policy = json.loads(graph.named("database-monitoring", ROLE).inputs["assumeRolePolicy"])
    (statement,) = policy["Statement"]
    assert statement["Principal"] == {"Service": "monitoring.rds.amazonaws.com"}
    assert statement["Condition"] == {"StringEquals": {"aws:SourceAccount": "123456789012"}}


def test_failovers_reach_the_alarm_topic(graph: Graph) -> None:
    events = {e.inputs["sourceType"]: e.inputs for e in graph.of(EVENTS)}
    assert {e["snsTopic"] for e in events.values()} == {TOPIC}
    assert "failover" in events["db-cluster"]["eventCategories"]
    assert {"availability", "failure"} <= set(events["db-instance"]["eventCategories"])
    assert len(events["db-instance"]["sourceIds"]) == len(graph.of(INSTANCE))


def test_security_group_is_empty_and_lets_the_connecting_tier_add_rules(graph: Graph) -> None:
    for group in graph.of("aws:ec2/securityGroup:SecurityGroup"):
        assert not group.inputs.keys() & {"ingress", "egress"}


def test_lag_deadlocks_and_the_writers_cpu_ring() -> None:
    signals: list[Signal] = []
    database(DatabaseSettings(), signals=signals)
    assert {signal.metric for signal in signals} >= {
        "AuroraReplicaLag",
        "CPUUtilization",
        "Deadlocks",
        "MaximumUsedTransactionIDs",
    }


def test_readers_are_watched_as_the_writer_is() -> None:
    """A secondary region has only readers."""
    signals: list[Signal] = []
    database(DatabaseSettings(), signals=signals, secondary=True)
    for metric in ("CPUUtilization", "FreeableMemory"):
        assert {s.dimensions.get("Role") for s in signals if s.metric == metric} == {"WRITER", "READER"}


@pytest.mark.parametrize(
    ("settings", "documented"),
    [
        (DatabaseSettings(instance_class="db.r6g.large"), 1722),
        (DatabaseSettings(instance_class="db.r6g.xlarge"), 3479),
        (DatabaseSettings(instance_class="db.r6g.16xlarge"), 5000),
        (DatabaseSettings(instance_class="db.t4g.medium"), 405),
        (DatabaseSettings(serverless=ServerlessCapacity(min=1, max=1)), 189),
        (DatabaseSettings(serverless=ServerlessCapacity(min=1, max=16)), 3360),
        (DatabaseSettings(serverless=ServerlessCapacity(min=0.5, max=64)), 2000),
    ],
)
def test_connections_ring_before_the_proxy_lets_callers_wait(
    settings: DatabaseSettings, documented: int
) -> None:
    """The expected values are from "Maximum connections to an Aurora PostgreSQL DB instance"."""
    signals: list[Signal] = []
    database(settings, signals=signals)
    (connections,) = [signal for signal in signals if signal.name == "database-connections"]
    assert 0.7 * documented < connections.threshold < 0.9 * documented


@pytest.mark.parametrize(
    ("instance_class", "documented_gib"),
    [("db.r6g.large", 32), ("db.r6g.xlarge", 63), ("db.r6g.16xlarge", 1008), ("db.t4g.medium", 8.13)],
)
def test_local_storage_rings_at_a_fifth_of_what_there_is(instance_class: str, documented_gib: float) -> None:
    """The expected values are from "Temporary storage limits for Aurora PostgreSQL"."""
    signals: list[Signal] = []
    database(DatabaseSettings(instance_class=instance_class), signals=signals)
    (storage,) = [signal for signal in signals if signal.metric == "FreeLocalStorage"]
    assert storage.threshold / 2**30 == pytest.approx(0.2 * documented_gib, rel=0.05)


def test_readers_scale_on_connections_where_the_settings_say_so() -> None:
    def metric(settings: DatabaseSettings) -> tuple[str, float]:
        policy = database(settings).only("aws:appautoscaling/policy:Policy").inputs
        tracking = policy["targetTrackingScalingPolicyConfiguration"]
        return tracking["predefinedMetricSpecification"]["predefinedMetricType"], tracking["targetValue"]

    assert metric(DatabaseSettings()) == ("RDSReaderAverageCPUUtilization", 60)
    assert metric(DatabaseSettings(reader_connections=500)) == ("RDSReaderAverageDatabaseConnections", 500)


def test_a_commit_is_durable_and_no_session_holds_a_balance_for_long(graph: Graph) -> None:
    found = parameters(graph)
    assert effective(graph, "synchronous_commit") == "on"
    assert 0 < int(found["idle_in_transaction_session_timeout"][0]) <= 60_000
    assert "statement_timeout" not in found, "what is too long is each role's own to say"


@pytest.mark.parametrize(("version", "value"), [("17.11", "1"), ("18.6", "all")])
def test_connections_are_logged_in_every_version(version: str, value: str) -> None:
    graph = database(DatabaseSettings(engine_version=version))
    assert parameters(graph)["log_connections"][0] == value


def test_a_secondary_cluster_has_the_version_that_the_global_database_runs() -> None:
    graph = database(DatabaseSettings(engine_version="17.11"), secondary=True)
    assert graph.only(CLUSTER).inputs["engineVersion"] == "17.5"


def test_a_major_upgrade_of_the_cluster_names_the_instances_parameters(graph: Graph) -> None:
    group = graph.only("aws:rds/parameterGroup:ParameterGroup")
    assert graph.only(CLUSTER).inputs["dbInstanceParameterGroupName"] == group.outputs["name"]
    assert graph.only(CLUSTER).inputs["allowMajorVersionUpgrade"] is True


def test_slow_statements_and_waits_for_locks_are_logged(graph: Graph) -> None:
    # -1 logs no statement, and 0 logs all (PostgreSQL's documentation, "Error Reporting and Logging").
    found = parameters(graph)
    assert 0 < int(found["log_min_duration_statement"][0]) <= 5_000
    assert found["log_lock_waits"][0] == "1"


def test_plans_of_slow_statements_are_logged_on_every_declared_instance(graph: Graph) -> None:
    group = graph.only("aws:rds/parameterGroup:ParameterGroup")
    found = {item["name"]: item["value"] for item in group.inputs["parameters"]}
    assert int(found["auto_explain.log_min_duration"]) > 0
    assert "auto_explain.log_analyze" not in found, "its default is off"
    assert {i.inputs["dbParameterGroupName"] for i in graph.of(INSTANCE)} == {group.outputs["name"]}


# -- the proxy -----------------------------------------------------------------------------------


def test_services_connect_to_the_proxy_and_the_proxy_alone_to_the_instances(graph: Graph) -> None:
    tiers: list[Database] = []
    database(DatabaseSettings(), tiers=tiers)
    (tier,) = tiers
    assert isinstance(tier.endpoint, Endpoint)
    groups = {g.name: g.id for g in graph.of("aws:ec2/securityGroup:SecurityGroup")}
    (ingress,) = graph.of("aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule")
    assert ingress.inputs["securityGroupId"] == groups["database-instances"]
    assert ingress.inputs["referencedSecurityGroupId"] == groups["database-proxy"]
    assert graph.only(PROXY).inputs["vpcSecurityGroupIds"] == [groups["database-proxy"]]
    assert graph.only(CLUSTER).inputs["vpcSecurityGroupIds"] == [groups["database-instances"]]
    assert (tier.endpoint.ports, tier.instances.ports) == ((5432,), (5432,))
    assert tier.endpoint.security_group_id is not tier.instances.security_group_id


def test_proxy_takes_iam_tokens_over_tls_and_knows_no_password(graph: Graph) -> None:
    proxy = graph.only(PROXY).inputs
    assert (proxy["defaultAuthScheme"], proxy["requireTls"]) == ("IAM_AUTH", True)
    assert "auths" not in proxy


def test_proxy_signs_in_as_the_services_users_and_no_other(graph: Graph) -> None:
    (statement,) = json.loads(graph.named("database-proxy", POLICY).inputs["policy"])["Statement"]
    resource_id = graph.only(CLUSTER).outputs["clusterResourceId"]
    assert statement["Action"] == "rds-db:connect"
    assert statement["Resource"] == [
        f"arn:aws:rds-db:us-east-1:123456789012:dbuser:{resource_id}/{user}"
        for user in ("orders", "accounts")
    ]
    trust = json.loads(graph.named("database-proxy", ROLE).inputs["assumeRolePolicy"])
    assert trust["Statement"][0]["Principal"] == {"Service": "rds.amazonaws.com"}
    assert "database-proxy" in graph.only(PROXY).depends_on, "its role, and what the role may do"


def test_without_a_service_that_wants_it_the_proxy_may_sign_in_as_nobody() -> None:
    names = [policy.name for policy in database(DatabaseSettings(), users=[]).of(POLICY)]
    assert "database-proxy" not in names


def test_services_are_told_of_the_proxy_and_migrations_of_the_cluster(graph: Graph) -> None:
    cluster = graph.only(CLUSTER)
    found = tier_outputs()
    assert ".proxy-" in found["writer"]
    assert ".endpoint.proxy-" in found["reader"]
    assert found["resource"].startswith("prx-")
    assert found["cluster"].split(".")[0] == cluster.inputs["clusterIdentifier"]
    assert ".proxy-" not in found["cluster"]
    assert found["secret"].startswith("arn:aws:secretsmanager:")


def tier_outputs(settings: DatabaseSettings | None = None, *, secondary: bool = False) -> dict[str, str]:
    """The values of the outputs that other tiers read."""
    found: dict[str, str] = {}

    def keep(name: str, output: pulumi.Output[str] | None) -> None:
        if output is not None:
            output.apply(lambda value: found.__setitem__(name, value))

    class Kept(list[Database]):
        def append(self, tier: Database, /) -> None:
            keep("writer", tier.writer_endpoint)
            keep("reader", tier.reader_endpoint)
            keep("resource", tier.connect_resource_id)
            keep("cluster", tier.cluster_endpoint)
            keep("secret", tier.secret_arn)

    database(settings or DatabaseSettings(), secondary=secondary, tiers=Kept())
    return found


def test_proxy_gets_its_target_when_the_writer_is_there_and_its_readers_after_that(graph: Graph) -> None:
    target = graph.only("aws:rds/proxyTarget:ProxyTarget")
    assert {instance.name for instance in graph.of(INSTANCE)} <= target.depends_on
    reader = graph.only("aws:rds/proxyEndpoint:ProxyEndpoint")
    assert reader.inputs["targetRole"] == "READ_ONLY"
    assert "database-proxy" in reader.depends_on


def test_without_readers_reads_go_to_the_writer() -> None:
    alone = DatabaseSettings(readers=Range(min=0, max=2))
    assert database(alone).of("aws:rds/proxyEndpoint:ProxyEndpoint") == []
    found = tier_outputs(alone)
    assert found["reader"] == found["writer"]


def test_the_proxy_leaves_connections_for_migrations(graph: Graph) -> None:
    pool = graph.only("aws:rds/proxyDefaultTargetGroup:ProxyDefaultTargetGroup").inputs[
        "connectionPoolConfig"
    ]
    assert pool["maxConnectionsPercent"] < 100
    assert pool["connectionBorrowTimeout"] <= 5


# -- the global database -------------------------------------------------------------------------


def test_one_region_has_no_global_database(graph: Graph) -> None:
    assert graph.of(GLOBAL) == []


def test_global_database_is_made_from_the_cluster_when_its_writer_is_there() -> None:
    graph = database(DatabaseSettings(), others=OTHERS)
    made = graph.only(GLOBAL)
    assert made.inputs["sourceDbClusterIdentifier"] == graph.only(CLUSTER).outputs["arn"]
    assert {instance.name for instance in graph.of(INSTANCE)} <= made.depends_on
    assert made.inputs["forceDestroy"] is True, "required with a source"
    assert made.protect
    assert made.inputs["deletionProtection"] is True
    assert "globalClusterIdentifier" not in graph.only(CLUSTER).inputs


def test_joining_a_global_database_changes_no_input_of_the_primary(graph: Graph) -> None:
    before, after = graph, database(DatabaseSettings(), others=OTHERS)
    for resource in before.resources:
        assert after.named(resource.name, resource.type).inputs == resource.inputs
    assert {r.type for r in after.resources} - {r.type for r in before.resources} == {GLOBAL}
    assert "globalClusterIdentifier" in before.only(CLUSTER).ignore_changes


def test_engine_is_upgraded_through_the_global_database() -> None:
    primary = database(DatabaseSettings(engine_version="17.11"), others=OTHERS)
    assert primary.only(GLOBAL).inputs["engineVersion"] == "17.11"
    assert "engineVersion" in primary.only(CLUSTER).ignore_changes
    assert "engineVersion" in database(DatabaseSettings(), secondary=True).only(CLUSTER).ignore_changes


def test_engine_of_one_region_alone_is_upgraded_by_its_cluster(graph: Graph) -> None:
    assert "engineVersion" not in graph.only(CLUSTER).ignore_changes


def test_a_secondary_has_the_primarys_users_and_data_and_its_own_key() -> None:
    graph = database(DatabaseSettings(), secondary=True)
    cluster = graph.only(CLUSTER).inputs
    assert not cluster.keys() & {
        "masterUsername",
        "masterPasswordWo",
        "masterPasswordWoVersion",
        "databaseName",
    }
    assert (cluster["globalClusterIdentifier"], cluster["sourceRegion"]) == ("trading-test", "us-west-2")
    assert (cluster["storageEncrypted"], cluster["kmsKeyId"]) == (True, KEY)
    assert "enableGlobalWriteForwarding" not in cluster


def test_every_region_has_a_master_secret_that_is_rotated(graph: Graph) -> None:
    """The primary region may be lost, and its secret with it."""
    for one in (graph, database(DatabaseSettings(), secondary=True)):
        assert one.only("aws:secretsmanager/secret:Secret").protect
        assert one.only("aws:secretsmanager/secretVersion:SecretVersion")
        assert one.only("aws:secretsmanager/secretRotation:SecretRotation")
    assert "secret" in tier_outputs(secondary=True)


@pytest.mark.parametrize("secondary", [True, False])
def test_a_cluster_is_never_replaced_or_promoted_for_how_it_began(secondary: bool) -> None:
    """A cluster that was created as a secondary can become the only one, and its arguments change."""
    cluster = database(DatabaseSettings(), secondary=secondary, others=OTHERS).only(CLUSTER)
    assert {
        "databaseName",
        "globalClusterIdentifier",
        "masterPasswordWo",
        "masterPasswordWoVersion",
        "masterUsername",
        "replicationSourceIdentifier",
        "sourceRegion",
    } <= set(cluster.ignore_changes)


def test_a_secondary_does_not_scale_its_readers_but_has_as_many_as_the_primary() -> None:
    graph = database(DatabaseSettings(readers=Range(min=2, max=8)), secondary=True)
    assert graph.of("aws:appautoscaling/target:Target") == [], "not to be had for a secondary"
    assert len(graph.of(INSTANCE)) == 3


def test_a_secondarys_reads_go_to_its_readers_even_if_the_primary_has_none() -> None:
    graph = database(DatabaseSettings(readers=Range(min=0, max=1)), secondary=True)
    assert graph.only("aws:rds/proxyEndpoint:ProxyEndpoint").inputs["targetRole"] == "READ_ONLY"


def test_what_a_global_database_writes_into_its_members_is_no_difference() -> None:
    for graph in (database(DatabaseSettings()), database(DatabaseSettings(), secondary=True)):
        assert "replicationSourceIdentifier" in graph.only(CLUSTER).ignore_changes


@pytest.mark.parametrize("secondary", [True, False])
def test_lag_behind_the_primary_region_rings_whichever_region_is_the_secondary(secondary: bool) -> None:
    """And whichever of AWS's pages is right about the dimensions of the metric."""
    signals: list[Signal] = []
    database(DatabaseSettings(), secondary=secondary, others=["eu-west-1", "us-west-2"], signals=signals)
    lag = [dict(s.dimensions) for s in signals if s.metric == "AuroraGlobalDBReplicationLag"]
    assert lag == [
        {"DBClusterIdentifier": "trading-test-database"},
        {"SourceRegion": "eu-west-1"},
        {"SourceRegion": "us-west-2"},
    ]


def test_a_single_region_has_no_lag() -> None:
    signals: list[Signal] = []
    database(DatabaseSettings(), signals=signals)
    assert "AuroraGlobalDBReplicationLag" not in {signal.metric for signal in signals}


# -- the master secret's rotation ----------------------------------------------------------------


def test_master_secret_rotates_every_month_by_our_function(graph: Graph) -> None:
    rotation = graph.only("aws:secretsmanager/secretRotation:SecretRotation")
    function = graph.only("aws:lambda/function:Function")
    assert rotation.inputs["rotationLambdaArn"] == function.outputs["arn"]
    assert rotation.inputs["rotationRules"] == {"automaticallyAfterDays": 30}
    assert rotation.inputs["rotateImmediately"] is False
    assert function.inputs["handler"] == "rotate_database_secret.handler.handler"
    assert function.inputs["kmsKeyArn"] == KEY
    assert "vpcConfig" not in function.inputs
    permission = graph.only("aws:lambda/permission:Permission")
    assert permission.inputs["principal"] == "secretsmanager.amazonaws.com"
    assert permission.inputs["sourceAccount"] == "123456789012"
    assert {permission.name, *(i.name for i in graph.of(INSTANCE))} <= rotation.depends_on


def test_rotation_may_touch_one_secret_and_one_cluster(graph: Graph) -> None:
    policy = json.loads(graph.named("database-master-rotation", POLICY).inputs["policy"])
    resources = {statement["Sid"]: statement["Resource"] for statement in policy["Statement"]}
    assert resources["TheSecret"] == graph.only("aws:secretsmanager/secret:Secret").outputs["arn"]
    assert resources["TheMasterPassword"] == graph.only(CLUSTER).outputs["arn"]
    assert [sid for sid, resource in resources.items() if resource == "*"] == [
        "RandomPasswordsAndTracesKnowNoResource"
    ]


def test_a_rotated_password_is_never_thrown_back(graph: Graph) -> None:
    version = graph.only("aws:secretsmanager/secretVersion:SecretVersion")
    assert set(version.ignore_changes) == {"secretString", "versionStages"}
    assert "initial" in version.inputs["versionStages"], "without a label it would go, and be made again"
    assert {"masterPasswordWo", "masterPasswordWoVersion"} <= set(graph.only(CLUSTER).ignore_changes)
