"""Signals that show whether the brokers and their consumers are healthy."""

from __future__ import annotations

import pulumi

from components.common.signals import Signal
from settings.aws_limits import BROKER_IAM_CONNECTIONS


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
            reason="A partition without a leader can be neither written nor read.",
            severity="critical",
            customer_impact=True,
        ),
    ]
    for broker in range(1, brokers + 1):
        of_broker = {**of_cluster, "Broker ID": str(broker)}
        signals += [
            _silence_signal(broker, of_broker),
            *_load_signals(broker, of_broker),
            *_replication_signals(broker, of_broker),
        ]
    return signals


def _silence_signal(broker: int, of_broker: dict[str, pulumi.Input[str]]) -> Signal:
    """A signal for a broker that is down, which must not depend on the controllers' metrics.

    In KRaft mode, only controllers report how many of them are active (KIP-1001), and MSK doesn't document
    whether it passes that on. A broker that is down doesn't report what it leads either.
    """
    return Signal(
        name=f"kafka-broker-{broker}-silent",
        runbook="kafka-broker-silent",
        title=f"Kafka broker {broker} reports no metrics",
        namespace="AWS/Kafka",
        metric="CpuUser",
        dimensions=of_broker,
        statistic="Average",
        comparison="below",
        # Only a missing value raises the alarm.
        threshold=0,
        missing_data="breaching",
        reason="A rolling update takes a broker down for up to a quarter of an hour. If several brokers are "
        "silent, partitions have no leader.",
        severity="critical",
        period_seconds=300,
        periods=4,
    )


def _load_signals(broker: int, of_broker: dict[str, pulumi.Input[str]]) -> list[Signal]:
    return [
        Signal(
            name=f"kafka-broker-{broker}-cpu",
            runbook="kafka-broker-cpu",
            title=f"Kafka broker {broker} has too little CPU left to take over from another broker",
            namespace="AWS/Kafka",
            metric="CpuUser",
            dimensions=of_broker,
            statistic="Average",
            expression="metric + system",
            others={"system": ("CpuSystem", "Average")},
            threshold=60,
            reason="The threshold is in per cent and is AWS's best practice for MSK. The rest is needed to "
            "lead another broker's partitions.",
            severity="warning",
            period_seconds=300,
        ),
        Signal(
            name=f"kafka-broker-{broker}-memory",
            runbook="kafka-broker-memory",
            title=f"Kafka broker {broker} is running out of heap memory",
            namespace="AWS/Kafka",
            metric="HeapMemoryAfterGC",
            dimensions=of_broker,
            statistic="Maximum",
            threshold=60,
            reason="The threshold is in per cent after a garbage collection and is AWS's best practice for "
            "MSK. A broker without free heap memory terminates.",
            severity="warning",
            period_seconds=300,
        ),
        Signal(
            name=f"kafka-broker-{broker}-connections",
            runbook="kafka-broker-connections",
            title=f"Kafka broker {broker} has almost reached its maximum number of connections",
            namespace="AWS/Kafka",
            metric="ConnectionCount",
            dimensions=of_broker,
            statistic="Maximum",
            threshold=0.8 * BROKER_IAM_CONNECTIONS,
            reason="The threshold is four fifths of the MSK quota for IAM connections, above which new "
            "connections are refused. A pod has only a few.",
            severity="warning",
            periods=5,
        ),
    ]


def _replication_signals(broker: int, of_broker: dict[str, pulumi.Input[str]]) -> list[Signal]:
    return [
        Signal(
            name=f"kafka-broker-{broker}-under-min-isr",
            runbook="kafka-broker-under-min-isr",
            title=f"Kafka broker {broker} leads partitions that reject writes",
            namespace="AWS/Kafka",
            metric="UnderMinIsrPartitionCount",
            dimensions=of_broker,
            statistic="Maximum",
            threshold=0,
            reason="When a partition has fewer in-sync replicas than min.insync.replicas, a producer with "
            "acks=all gets an error.",
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
            reason="A rolling update causes this for minutes. After half an hour, a broker isn't coming "
            "back.",
            severity="warning",
            period_seconds=300,
            periods=6,
        ),
        Signal(
            name=f"kafka-broker-{broker}-disk",
            runbook="kafka-broker-disk",
            title=f"Kafka broker {broker} is running out of disk space",
            namespace="AWS/Kafka",
            metric="KafkaDataLogsDiskUsed",
            dimensions=of_broker,
            statistic="Maximum",
            threshold=85,
            reason="The threshold is in per cent and is AWS's best practice for MSK. Auto scaling grows "
            "the volume at 60 per cent, so it hasn't helped.",
            severity="critical",
            period_seconds=300,
        ),
    ]


def consumer_signals(cluster_name: pulumi.Input[str], service: str, topic: str) -> list[Signal]:
    """Consumer lag of a service, which MSK reports at every monitoring level ("Monitor consumer lags").

    MSK reports no lag during a rebalance or before the group has committed an offset. If there are no
    consumers, the alarm on missing pods reports it. Service names contain no dot, so the names of signals are
    unique.
    """
    dimensions = {"Cluster Name": cluster_name, "Consumer Group": service, "Topic": topic}
    return [
        Signal(
            name=f"kafka-lag-{service}.{topic}",
            runbook="kafka-consumer-lag",
            title=f"The {service} service is more than five minutes behind in the topic {topic}",
            namespace="AWS/Kafka",
            metric="EstimatedMaxTimeLag",
            dimensions=dimensions,
            dashboard=service,
            statistic="Maximum",
            threshold=300,
            reason="The threshold is in seconds. Additional pods catch up with a burst within five "
            "minutes. Until then, orders and balances are out of date by this much.",
            severity="critical",
            periods=5,
        ),
        Signal(
            name=f"kafka-unread-{service}.{topic}",
            runbook="kafka-consumer-lag",
            title=f"The {service} service has more than 100,000 unread records in the topic {topic}",
            namespace="AWS/Kafka",
            metric="SumOffsetLag",
            dimensions=dimensions,
            dashboard=service,
            statistic="Maximum",
            threshold=100_000,
            reason="The number of records is reported even if the service reads nothing, when MSK has no "
            "rate to estimate a time lag from.",
            severity="warning",
            periods=15,
        ),
    ]


def dead_letter_signals(
    cluster_name: pulumi.Input[str], brokers: int, service: str, topic: str
) -> list[Signal]:
    """A signal per broker, because any broker may lead the topic's partition and each reports its own
    metric."""
    return [
        Signal(
            name=f"kafka-broker-{broker}-dead-letters-{topic}",
            runbook="kafka-dead-letters",
            title=f"A record has arrived in the dead-letter topic {topic}",
            namespace="AWS/Kafka",
            metric="MessagesInPerSec",
            dimensions={
                "Cluster Name": cluster_name,
                "Broker ID": str(broker),
                "Topic": topic,
            },
            dashboard=service,
            statistic="Maximum",
            # One record per minute is 0.016 per second. Kafka's rate decays slowly and isn't zero for hours.
            threshold=0.001,
            reason="A service couldn't process the record. Until it is replayed, an order or a balance is "
            "incomplete.",
            severity="warning",
            periods=1,
        )
        for broker in range(1, brokers + 1)
    ]
