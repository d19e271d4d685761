"""Tier 7: brokers, their configuration, their storage and the topics."""

import json

import pytest

from components.event_streaming import EventStreaming, EventStreamingArgs
from components.tier import Signal
from settings import Range, StreamingSettings, TopicSettings
from tests.unit.harness import Graph, deploy

KEY = "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
CLUSTER = "aws:msk/cluster:Cluster"
TOPIC = "aws:msk/topic:Topic"


def streaming(settings: StreamingSettings, zones: int = 3, signals: list[Signal] | None = None) -> Graph:
    def program() -> None:
        tier = EventStreaming(
            "streaming",
            EventStreamingArgs(
                vpc_id="vpc-0123456789abcdef0",
                subnet_ids=[f"subnet-0123456789abcdef{zone}" for zone in range(zones)],
                key_arn=KEY,
                settings=settings,
                log_retention_days=30,
                protect=True,
            ),
        )
        if signals is not None:
            signals.extend(tier.signals)

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
    [(3, 1, 3, 3, 2), (3, 2, 6, 3, 2), (2, 1, 2, 2, 1), (2, 2, 4, 3, 2)],
)
def test_replication_follows_from_the_number_of_brokers(
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
    assert json.loads(orders["configs"]) == {"cleanup.policy": "delete", "retention.ms": "7200000"}
    assert json.loads(balances["configs"]) == {"cleanup.policy": "compact"}


def test_brokers_and_topics_are_protected(graph: Graph) -> None:
    assert all(resource.protect for resource in (graph.only(CLUSTER), *graph.of(TOPIC)))


def test_every_broker_is_watched() -> None:
    signals: list[Signal] = []
    streaming(StreamingSettings(brokers_per_zone=2), signals=signals)
    watched = {signal.dimensions.get("Broker ID") for signal in signals}
    assert watched == {None, "1", "2", "3", "4", "5", "6"}
    assert {signal.metric for signal in signals} >= {
        "OfflinePartitionsCount",
        "ActiveControllerCount",
        "UnderMinIsrPartitionCount",
        "KafkaDataLogsDiskUsed",
    }
