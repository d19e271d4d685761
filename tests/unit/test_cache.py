"""Tier 6, the cache: how clients reach Valkey, who can use it, and its availability."""

import pytest

from components.common.signals import Signal
from components.service.cache import Cache, CacheArgs
from settings import CacheReplicas, CacheSettings
from tests.unit.harness import Graph, context, deploy

KEY = "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
GROUP = "aws:elasticache/replicationGroup:ReplicationGroup"
USER = "aws:elasticache/user:User"


def cache(
    settings: CacheSettings,
    users: tuple[str, ...] = ("orders", "market-data"),
    prefix: str = "trading-test",
    signals: list[Signal] | None = None,
    protect: bool = True,
) -> Graph:
    def program() -> None:
        tier = Cache(
            "cache",
            CacheArgs(
                context=context(key_arn=KEY, platform=prefix, log_retention_days=30, protect=protect),
                vpc_id="vpc-0123456789abcdef0",
                subnet_ids=["subnet-0123456789abcdef0", "subnet-0123456789abcdef1"],
                settings=settings,
                users=users,
            ),
        )
        if signals is not None:
            signals.extend(tier.signals)

    return deploy(program)


@pytest.fixture(scope="module")
def graph() -> Graph:
    return cache(CacheSettings())


def test_nodes_demand_tls_and_encrypt_with_our_key(graph: Graph) -> None:
    group = graph.only(GROUP).inputs
    assert (group["transitEncryptionEnabled"], group["transitEncryptionMode"]) == (True, "required")
    assert (group["atRestEncryptionEnabled"], group["kmsKeyId"]) == (True, KEY)


def test_nobody_connects_but_the_services_with_iam(graph: Graph) -> None:
    users = graph.of(USER)
    assert {user.inputs["userId"] for user in users} == {"trading-test-orders", "trading-test-market-data"}
    for user in users:
        assert user.inputs["authenticationMode"] == {"type": "iam"}
        assert user.inputs["userName"] == user.inputs["userId"]
    members = graph.only("aws:elasticache/userGroup:UserGroup").inputs["userIds"]
    assert set(members) == {user.inputs["userId"] for user in users}
    assert graph.only(GROUP).inputs["userGroupIds"] == ["trading-test-cache"]


def test_a_service_has_its_own_keys_and_nothing_dangerous(graph: Graph) -> None:
    rules = graph.named("cache-user-orders").inputs["accessString"].split()
    assert [rule for rule in rules if rule[0] in "~&"] == ["~orders:*", "&orders:*"]
    assert rules[:4] == ["on", "~orders:*", "resetchannels", "&orders:*"], "as ElastiCache gives it back"
    assert rules.index("-@all") < rules.index("+@write") < rules.index("-@dangerous")
    assert "+@all" not in rules
    assert "+@admin" not in rules


def test_long_user_ids_are_cut_and_stay_apart() -> None:
    prefix = f"trading-{'e' * 24}"
    graph = cache(CacheSettings(), ("market-data-of-americas-1", "market-data-of-americas-2"), prefix)
    ids = {user.inputs["userId"] for user in graph.of(USER)}
    assert len(ids) == 2
    assert all(len(user_id) <= 40 for user_id in ids)


def test_a_shard_survives_a_zone(graph: Graph) -> None:
    group = graph.only(GROUP).inputs
    assert (group["multiAzEnabled"], group["automaticFailoverEnabled"]) == (True, True)
    assert (group["numNodeGroups"], group["replicasPerNodeGroup"]) == (3, 2)


def test_without_replicas_there_is_no_zone_to_fail_over_to() -> None:
    alone = cache(CacheSettings(replicas=CacheReplicas(min=0, max=0)))
    assert alone.only(GROUP).inputs["multiAzEnabled"] is False


def test_replicas_follow_their_cpu(graph: Graph) -> None:
    target = graph.only("aws:appautoscaling/target:Target")
    assert target.inputs["scalableDimension"] == "elasticache:replication-group:Replicas"
    assert target.inputs["serviceNamespace"] == "elasticache"
    assert target.inputs["resourceId"] == f"replication-group/{graph.only(GROUP).id}"
    assert (target.inputs["minCapacity"], target.inputs["maxCapacity"]) == (2, 4)
    policy = graph.only("aws:appautoscaling/policy:Policy").inputs["targetTrackingScalingPolicyConfiguration"]
    assert policy["predefinedMetricSpecification"] == {
        "predefinedMetricType": "ElastiCacheReplicaEngineCPUUtilization"
    }
    assert policy["targetValue"] == 60


def test_a_deployment_leaves_scaled_replicas_alone(graph: Graph) -> None:
    assert graph.only(GROUP).ignore_changes == ("replicasPerNodeGroup",)


def test_what_does_not_scale_is_the_settings_own() -> None:
    graph = cache(CacheSettings(node_type="cache.t4g.small", replicas=CacheReplicas(min=1, max=1)))
    assert graph.of("aws:appautoscaling/target:Target") == []
    assert graph.only(GROUP).ignore_changes == ()
    assert graph.only(GROUP).inputs["replicasPerNodeGroup"] == 1


def test_a_full_cache_evicts_instead_of_refusing_writes(graph: Graph) -> None:
    group = graph.only("aws:elasticache/parameterGroup:ParameterGroup").inputs
    assert group["family"] == "valkey8"
    parameters = {item["name"]: item["value"] for item in group["parameters"]}
    assert (parameters["cluster-enabled"], parameters["maxmemory-policy"]) == ("yes", "allkeys-lru")


def test_a_command_of_a_millisecond_is_logged_as_slow(graph: Graph) -> None:
    parameters = graph.only("aws:elasticache/parameterGroup:ParameterGroup").inputs["parameters"]
    assert {"name": "slowlog-log-slower-than", "value": "1000"} in parameters


def test_events_go_to_no_topic_because_ours_are_encrypted(graph: Graph) -> None:
    assert "notificationTopicArn" not in graph.only(GROUP).inputs


def test_slow_and_engine_logs_go_to_encrypted_log_groups(graph: Graph) -> None:
    logs = graph.only(GROUP).inputs["logDeliveryConfigurations"]
    assert {log["logType"] for log in logs} == {"slow-log", "engine-log"}
    assert {log["logFormat"] for log in logs} == {"json"}
    groups = graph.of("aws:cloudwatch/logGroup:LogGroup")
    assert len(groups) == 2
    assert {group.inputs["kmsKeyId"] for group in groups} == {KEY}


def test_every_node_that_there_may_be_is_watched() -> None:
    signals: list[Signal] = []
    cache(CacheSettings(shards=2, replicas=CacheReplicas(min=1, max=2)), signals=signals)
    watched = {signal.name for signal in signals}
    nodes = [f"{shard:04}-{node:03}" for shard in (1, 2) for node in (1, 2, 3)]
    kinds = ("engine-cpu", "cpu", "memory", "evictions", "connections", "replication-lag")
    assert watched == {f"cache-{node}-{kind}" for node in nodes for kind in kinds}


def test_a_node_that_is_not_there_does_not_ring() -> None:
    signals: list[Signal] = []
    cache(CacheSettings(), signals=signals)
    assert {signal.missing_data for signal in signals} == {"notBreaching"}


def test_evictions_are_counted_and_connections_measured_at_their_peak() -> None:
    signals: list[Signal] = []
    cache(CacheSettings(), signals=signals)
    statistics = {signal.metric: signal.statistic for signal in signals}
    assert (statistics["Evictions"], statistics["CurrConnections"]) == ("Sum", "Maximum")


def test_cache_is_protected_and_leaves_a_snapshot(graph: Graph) -> None:
    group = graph.only(GROUP)
    assert group.protect
    unique = graph.named("cache-final-snapshot").outputs["hex"]
    assert group.inputs["finalSnapshotIdentifier"] == f"trading-test-cache-final-{unique}"


def test_unprotected_cache_leaves_nothing() -> None:
    group = cache(CacheSettings(), protect=False).only(GROUP)
    assert not group.protect
    assert "finalSnapshotIdentifier" not in group.inputs
