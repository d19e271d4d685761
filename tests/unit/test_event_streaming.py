"""Tier 7: the brokers, their configuration and storage, and the topics."""

import json
from collections.abc import Sequence

import pulumi
import pytest

from components.common.signals import Signal
from components.event_streaming import EventStreaming, EventStreamingArgs
from settings import Range, ServiceSettings, StreamingSettings, TopicSettings
from tests.unit.harness import Graph, context, deploy

KEY = "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
CLUSTER = "aws:msk/cluster:Cluster"
TOPIC = "aws:msk/topic:Topic"
SERVICES = [
    ServiceSettings(name="orders", listener_port=8081, consumes=["executions", "balances"]),
    ServiceSettings(name="accounts", listener_port=8082, consumes=["executions"]),
]


def streaming(
    settings: StreamingSettings,
    zones: int = 3,
    services: Sequence[ServiceSettings] = (),
    tiers: list[EventStreaming] | None = None,
) -> Graph:
    def program() -> None:
        tier = EventStreaming(
            "streaming",
            EventStreamingArgs(
                context=context(key_arn=KEY, log_retention_days=30, protect=True),
                vpc_id="vpc-0123456789abcdef0",
                subnet_ids=[f"subnet-0123456789abcdef{zone}" for zone in range(zones)],
                settings=settings,
                services=services,
            ),
        )
        if tiers is not None:
            tiers.append(tier)

    return deploy(program)


@pytest.fixture(scope="module")
def graph() -> Graph:
    return streaming(StreamingSettings())


def properties(graph: Graph) -> dict[str, str]:
    text = graph.only("aws:msk/configuration:Configuration").inputs["serverProperties"]
    return dict(line.split("=") for line in text.splitlines())


def test_clients_come_with_iam_over_tls_only(graph: Graph) -> None:
    cluster = graph.only(CLUSTER).inputs
    assert cluster["clientAuthentication"] == {"sasl": {"iam": True}, "unauthenticated": False}
    assert cluster["encryptionInfo"]["encryptionInTransit"] == {"clientBroker": "TLS", "inCluster": True}


def test_records_and_logs_are_encrypted_with_our_key(graph: Graph) -> None:
    cluster = graph.only(CLUSTER)
    assert cluster.inputs["encryptionInfo"]["encryptionAtRestKmsKeyArn"] == KEY
    log_group = graph.only("aws:cloudwatch/logGroup:LogGroup")
    assert log_group.inputs["kmsKeyId"] == KEY
    assert log_group.name in cluster.depends_on


def test_security_group_is_empty_and_lets_the_connecting_tier_add_rules(graph: Graph) -> None:
    group = graph.only("aws:ec2/securityGroup:SecurityGroup").inputs
    assert not group.keys() & {"ingress", "egress"}
    assert not graph.of("aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule")


def test_no_acknowledged_record_is_lost_with_a_broker(graph: Graph) -> None:
    assert properties(graph) | {
        "default.replication.factor": "3",
        "min.insync.replicas": "2",
        "transaction.state.log.min.isr": "2",
        "unclean.leader.election.enable": "false",
        "auto.create.topics.enable": "false",
    } == properties(graph)


@pytest.mark.parametrize(
    ("zones", "per_zone", "brokers", "replicas", "in_sync"),
    [(3, 1, 3, 3, 2), (3, 2, 6, 3, 2), (2, 1, 2, 2, 1), (2, 2, 4, 2, 1)],
)
def test_topics_have_a_replica_in_each_zone_and_more_brokers_change_none(
    zones: int, per_zone: int, brokers: int, replicas: int, in_sync: int
) -> None:
    graph = streaming(StreamingSettings(brokers_per_zone=per_zone), zones)
    assert graph.only(CLUSTER).inputs["numberOfBrokerNodes"] == brokers
    assert {topic.inputs["replicationFactor"] for topic in graph.of(TOPIC)} == {replicas}
    assert properties(graph)["default.replication.factor"] == str(replicas)
    assert properties(graph)["min.insync.replicas"] == str(in_sync)


def test_storage_grows_and_a_deployment_does_not_shrink_it() -> None:
    graph = streaming(StreamingSettings(volume_gib=Range(min=100, max=900)))
    cluster = graph.only(CLUSTER)
    storage = cluster.inputs["brokerNodeGroupInfo"]["storageInfo"]["ebsStorageInfo"]
    assert storage["volumeSize"] == 100
    assert cluster.ignore_changes == ("brokerNodeGroupInfo.storageInfo.ebsStorageInfo.volumeSize",)
    assert graph.only("aws:appautoscaling/target:Target").inputs["maxCapacity"] == 900
    policy = graph.only("aws:appautoscaling/policy:Policy").inputs
    assert policy["targetTrackingScalingPolicyConfiguration"]["disableScaleIn"] is True


def test_topics_keep_records_as_their_settings_say() -> None:
    topics = [
        TopicSettings(name="orders", partitions=6, retention_hours=2),
        TopicSettings(name="balances", cleanup_policy="compact"),
    ]
    graph = streaming(StreamingSettings(topics=topics))
    orders, balances = (graph.named(f"streaming-topic-{topic.name}").inputs for topic in topics)
    assert (orders["name"], orders["partitionCount"]) == ("orders", 6)
    common = {
        "min.insync.replicas": "2",
        "max.message.bytes": properties(graph)["message.max.bytes"],
        "compression.type": "producer",
    }
    assert json.loads(orders["configs"]) == {
        **common,
        "cleanup.policy": "delete",
        "retention.ms": "7200000",
    }
    assert json.loads(balances["configs"]) == {
        **common,
        "cleanup.policy": "compact",
        "delete.retention.ms": str(14 * 24 * 60 * 60 * 1000),
    }


def test_brokers_and_topics_are_protected(graph: Graph) -> None:
    assert all(resource.protect for resource in (graph.only(CLUSTER), *graph.of(TOPIC)))


def test_brokers_run_kraft_and_log_where_we_keep_logs(graph: Graph) -> None:
    cluster = graph.only(CLUSTER).inputs
    assert cluster["kafkaVersion"].endswith(".kraft")
    logs = cluster["loggingInfo"]["brokerLogs"]["cloudwatchLogs"]
    assert logs == {"enabled": True, "logGroup": graph.only("aws:cloudwatch/logGroup:LogGroup").id}


def test_a_hung_transaction_holds_readers_up_for_a_minute_at_most(graph: Graph) -> None:
    assert int(properties(graph)["transaction.max.timeout.ms"]) <= 60_000


def test_consumer_that_was_away_for_two_weeks_goes_on_where_it_stopped(graph: Graph) -> None:
    assert int(properties(graph)["offsets.retention.minutes"]) == 14 * 24 * 60


def test_every_consumer_has_a_topic_for_dead_letters_that_keeps_them_longest() -> None:
    settings = StreamingSettings(
        topics=[TopicSettings(name="executions"), TopicSettings(name="balances", dead_letter=False)]
    )
    tiers: list[EventStreaming] = []
    graph = streaming(settings, services=SERVICES, tiers=tiers)
    topics = {topic.inputs["name"]: topic for topic in graph.of(TOPIC)}
    assert topics.keys() == {
        "executions",
        "balances",
        "executions.orders.dlq",
        "executions.accounts.dlq",
    }
    assert tiers[0].dead_letter_topics == {
        "orders": {"executions": "executions.orders.dlq"},
        "accounts": {"executions": "executions.accounts.dlq"},
    }
    dead_letters = topics["executions.orders.dlq"]
    assert dead_letters.protect
    configs = json.loads(dead_letters.inputs["configs"])
    assert (configs["cleanup.policy"], configs["min.insync.replicas"]) == ("delete", "2")
    kept = int(json.loads(topics["executions"].inputs["configs"])["retention.ms"])
    assert int(configs["retention.ms"]) > 4 * kept


def signals(settings: StreamingSettings, services: Sequence[ServiceSettings] = ()) -> list[Signal]:
    tiers: list[EventStreaming] = []
    streaming(settings, services=services, tiers=tiers)
    return tiers[0].signals


def test_every_broker_is_watched() -> None:
    found = signals(StreamingSettings(brokers_per_zone=2))
    assert {signal.dimensions.get("Broker ID") for signal in found} == {None, "1", "2", "3", "4", "5", "6"}
    assert {signal.metric for signal in found} >= {
        "OfflinePartitionsCount",
        "UnderMinIsrPartitionCount",
        "KafkaDataLogsDiskUsed",
    }


def test_a_silent_broker_rings_without_any_metric_of_a_controller() -> None:
    found = {s.name: s for s in signals(StreamingSettings())}
    silent = found["kafka-broker-2-silent"]
    assert (silent.missing_data, silent.comparison, silent.threshold) == ("breaching", "below", 0)
    assert "ActiveControllerCount" not in {signal.metric for signal in found.values()}


def test_a_brokers_cpu_is_that_of_user_and_system() -> None:
    cpu = next(s for s in signals(StreamingSettings()) if s.name == "kafka-broker-2-cpu")
    assert (cpu.metric, cpu.others, cpu.expression) == (
        "CpuUser",
        {"system": ("CpuSystem", "Average")},
        "metric + system",
    )
    assert cpu.threshold == 60, "AWS's best practice for MSK"


def test_lag_of_every_consumer_is_watched_in_time_and_in_records() -> None:
    found = [signal for signal in signals(StreamingSettings(), SERVICES) if "Lag" in signal.metric]
    assert {(s.metric, s.dimensions["Consumer Group"], s.dimensions["Topic"]) for s in found} == {
        (metric, service.name, topic)
        for metric in ("EstimatedMaxTimeLag", "SumOffsetLag")
        for service in SERVICES
        for topic in service.consumes
    }


def test_signals_of_similar_names_stay_apart() -> None:
    services = [
        ServiceSettings(name="orders", listener_port=8081, consumes=["eu-fills"]),
        ServiceSettings(name="orders-eu", listener_port=8082, consumes=["fills"]),
    ]
    names = [signal.name for signal in signals(StreamingSettings(), services)]
    assert len(set(names)) == len(names)


def test_a_dead_letter_rings_whichever_broker_it_lands_on() -> None:
    found = [s for s in signals(StreamingSettings(), SERVICES) if s.metric == "MessagesInPerSec"]
    assert {(s.dimensions["Topic"], s.dimensions["Broker ID"]) for s in found} == {
        (topic, broker)
        for topic in ("executions.orders.dlq", "balances.orders.dlq", "executions.accounts.dlq")
        for broker in ("1", "2", "3")
    }
    assert all(signal.threshold < 1 / 60 and signal.periods == 1 for signal in found)


def test_topics_are_measured_one_by_one(graph: Graph) -> None:
    assert graph.only(CLUSTER).inputs["enhancedMonitoring"] == "PER_TOPIC_PER_BROKER"


def test_brokers_have_one_name_and_show_their_metrics(graph: Graph) -> None:
    monitoring = graph.only(CLUSTER).inputs["openMonitoring"]["prometheus"]
    assert monitoring["jmxExporter"] == monitoring["nodeExporter"] == {"enabledInBroker": True}
    names: list[str] = []

    def program() -> None:
        tier = EventStreaming(
            "streaming",
            EventStreamingArgs(
                context=context(key_arn=KEY, log_retention_days=30, protect=True),
                vpc_id="vpc-0123456789abcdef0",
                subnet_ids=["subnet-0123456789abcdef0", "subnet-0123456789abcdef1"],
                settings=StreamingSettings(),
                services=[],
            ),
        )
        pulumi.Output.all(tier.dns_name, tier.bootstrap_brokers).apply(names.extend)

    deploy(program)
    dns_name, brokers = names
    assert brokers.startswith(f"b-1.{dns_name}:9098,b-2.{dns_name}:9098")
