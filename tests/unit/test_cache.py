"""Tier 6, the cache: how Valkey is reached, by whom, and what it survives."""

import pytest

from components.service.cache import Cache, CacheArgs
from components.tier import Signal
from settings import CacheSettings
from tests.unit.harness import Graph, deploy

KEY = "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
GROUP = "aws:elasticache/replicationGroup:ReplicationGroup"
USER = "aws:elasticache/user:User"


def cache(
    settings: CacheSettings,
    users: tuple[str, ...] = ("orders", "market-data"),
    prefix: str = "trading-test",
    signals: list[Signal] | None = None,
) -> Graph:
    def program() -> None:
        tier = Cache(
            "cache",
            CacheArgs(
                vpc_id="vpc-0123456789abcdef0",
                subnet_ids=["subnet-0123456789abcdef0", "subnet-0123456789abcdef1"],
                key_arn=KEY,
                settings=settings,
                users=users,
                user_prefix=prefix,
                log_retention_days=30,
                protect=True,
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
    assert cache(CacheSettings(replicas_per_shard=0)).only(GROUP).inputs["multiAzEnabled"] is False


def test_a_full_cache_evicts_instead_of_refusing_writes(graph: Graph) -> None:
    group = graph.only("aws:elasticache/parameterGroup:ParameterGroup").inputs
    assert group["family"] == "valkey8"
    assert {item["name"]: item["value"] for item in group["parameters"]} == {
        "cluster-enabled": "yes",
        "maxmemory-policy": "allkeys-lru",
    }


def test_slow_and_engine_logs_go_to_encrypted_log_groups(graph: Graph) -> None:
    logs = graph.only(GROUP).inputs["logDeliveryConfigurations"]
    assert {log["logType"] for log in logs} == {"slow-log", "engine-log"}
    assert {log["logFormat"] for log in logs} == {"json"}
    groups = graph.of("aws:cloudwatch/logGroup:LogGroup")
    assert len(groups) == 2
    assert {group.inputs["kmsKeyId"] for group in groups} == {KEY}


def test_every_node_is_watched() -> None:
    signals: list[Signal] = []
    cache(CacheSettings(shards=2, replicas_per_shard=1), signals=signals)
    nodes = {signal.name for signal in signals if signal.metric == "EngineCPUUtilization"}
    assert nodes == {f"cache-{node}-engine-cpu" for node in ("0001-001", "0001-002", "0002-001", "0002-002")}


def test_cache_is_protected(graph: Graph) -> None:
    assert graph.only(GROUP).protect
