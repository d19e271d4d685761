"""What tells that the brokers and their consumers are healthy."""

from __future__ import annotations

import pulumi

from components.common.signals import Signal

IAM_CONNECTIONS = 3000
"""Which a broker takes of clients that sign in with IAM (MSK Developer Guide, *MSK quota*)."""


def broker_signals(cluster_name: pulumi.Input[str], brokers: int) -> list[Signal]:
    """Signals of the cluster, and of each of its brokers."""
    of_cluster: dict[str, pulumi.Input[str]] = {"Cluster Name": cluster_name}
    signals = [
        Signal(
            name="kafka-offline-partitions",
            title="Kafka partitions have no leader",
            namespace="AWS/Kafka",
            metric="OfflinePartitionsCount",
            dimensions=of_cluster,
            statistic="Maximum",
            threshold=0,
            reason="a partition without a leader can be neither written nor read",
            severity="critical",
            customer_impact=True,
        ),
        Signal(
            name="kafka-no-controller",
            title="Kafka has no active controller",
            namespace="AWS/Kafka",
            metric="ActiveControllerCount",
            dimensions=of_cluster,
            statistic="Maximum",
            comparison="below",
            threshold=1,
            reason="without a controller no leader is elected when a broker fails",
            severity="critical",
        ),
    ]
    for broker in range(1, brokers + 1):
        of_broker = {**of_cluster, "Broker ID": str(broker)}
        signals += [*_load_signals(broker, of_broker), *_replication_signals(broker, of_broker)]
    return signals


def _load_signals(broker: int, of_broker: dict[str, pulumi.Input[str]]) -> list[Signal]:
    return [
        Signal(
            name=f"kafka-broker-{broker}-cpu",
            runbook="kafka-broker-cpu",
            title=f"Kafka broker {broker} has too little CPU to take over from another",
            namespace="AWS/Kafka",
            metric="CpuUser",
            dimensions=of_broker,
            statistic="Average",
            expression="metric + system",
            others={"system": ("CpuSystem", "Average")},
            threshold=60,
            reason="AWS's best practice for MSK, in per cent; the rest carries what another leads",
            severity="warning",
            period_seconds=300,
        ),
        Signal(
            name=f"kafka-broker-{broker}-memory",
            runbook="kafka-broker-memory",
            title=f"Kafka broker {broker} is short of heap",
            namespace="AWS/Kafka",
            metric="HeapMemoryAfterGC",
            dimensions=of_broker,
            statistic="Maximum",
            threshold=60,
            reason="AWS's best practice for MSK, in per cent after a garbage collection; a broker "
            "that has none left ends",
            severity="warning",
            period_seconds=300,
        ),
        Signal(
            name=f"kafka-broker-{broker}-connections",
            runbook="kafka-broker-connections",
            title=f"Kafka broker {broker} has nearly as many connections as it takes",
            namespace="AWS/Kafka",
            metric="ConnectionCount",
            dimensions=of_broker,
            statistic="Maximum",
            threshold=0.8 * IAM_CONNECTIONS,
            reason="four fifths of the quota, at which new connections are refused; a pod has a few",
            severity="warning",
            periods=5,
        ),
    ]


def _replication_signals(broker: int, of_broker: dict[str, pulumi.Input[str]]) -> list[Signal]:
    return [
        Signal(
            name=f"kafka-broker-{broker}-under-min-isr",
            runbook="kafka-broker-under-min-isr",
            title=f"Kafka broker {broker} leads partitions that refuse writes",
            namespace="AWS/Kafka",
            metric="UnderMinIsrPartitionCount",
            dimensions=of_broker,
            statistic="Maximum",
            threshold=0,
            reason="below min.insync.replicas a producer with acks=all gets an error",
            severity="critical",
        ),
        Signal(
            name=f"kafka-broker-{broker}-under-replicated",
            runbook="kafka-broker-under-replicated",
            title=f"Kafka broker {broker} leads partitions that lack a replica",
            namespace="AWS/Kafka",
            metric="UnderReplicatedPartitions",
            dimensions=of_broker,
            statistic="Maximum",
            threshold=0,
            reason="a rolling update does this for minutes; for longer a broker is not coming back",
            severity="warning",
            period_seconds=300,
            periods=6,
        ),
        Signal(
            name=f"kafka-broker-{broker}-disk",
            runbook="kafka-broker-disk",
            title=f"Kafka broker {broker} runs out of disk",
            namespace="AWS/Kafka",
            metric="KafkaDataLogsDiskUsed",
            dimensions=of_broker,
            statistic="Maximum",
            threshold=85,
            reason="AWS's best practice for MSK; the auto-scaling acts at 60 %, so it has not helped",
            severity="critical",
            period_seconds=300,
        ),
    ]


def consumer_signals(cluster_name: pulumi.Input[str], service: str, topic: str) -> list[Signal]:
    """Lag of a service, which MSK reports at every level ("Monitor consumer lags").

    Not while the group settles, nor before it has committed an offset: then there are no data, and the
    service's missing pods ring. A dot is in no service's name, so no two signals have one name.
    """
    dimensions = {"Cluster Name": cluster_name, "Consumer Group": service, "Topic": topic}
    return [
        Signal(
            name=f"kafka-lag-{service}.{topic}",
            runbook="kafka-consumer-lag",
            title=f"{service} is minutes behind in {topic}",
            namespace="AWS/Kafka",
            metric="EstimatedMaxTimeLag",
            dimensions=dimensions,
            dashboard=service,
            statistic="Maximum",
            threshold=300,
            reason="in seconds; more pods catch up with a burst within five minutes, and orders and "
            "balances are as old as this",
            severity="critical",
            periods=5,
        ),
        Signal(
            name=f"kafka-unread-{service}.{topic}",
            runbook="kafka-consumer-lag",
            title=f"{service} has a heap of unread records in {topic}",
            namespace="AWS/Kafka",
            metric="SumOffsetLag",
            dimensions=dimensions,
            dashboard=service,
            statistic="Maximum",
            threshold=100_000,
            reason="counts while nobody reads, too, when there is no speed to estimate a time from",
            severity="warning",
            periods=15,
        ),
    ]


def dead_letter_signals(
    cluster_name: pulumi.Input[str], brokers: int, service: str, topic: str
) -> list[Signal]:
    """Any broker may lead the topic's partition, and each reports for itself."""
    return [
        Signal(
            name=f"kafka-broker-{broker}-dead-letters-{topic}",
            runbook="kafka-dead-letters",
            title=f"A record landed in {topic}",
            namespace="AWS/Kafka",
            metric="MessagesInPerSec",
            dimensions={
                "Cluster Name": cluster_name,
                "Broker ID": str(broker),
                "Topic": topic,
            },
            dashboard=service,
            statistic="Maximum",
            # One record in a minute is 0.016 a second. Kafka's own rate fades, and is not zero for hours.
            threshold=0.001,
            reason="a service gave up on a record: an order or a balance lacks it until it is replayed",
            severity="warning",
            periods=1,
        )
        for broker in range(1, brokers + 1)
    ]
