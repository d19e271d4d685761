"""Tier 7, event streaming: Apache Kafka on Amazon MSK."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from components.scaling import target_tracking
from components.tier import Endpoint, Signal, Tier
from settings import ServiceSettings, StreamingSettings, TopicSettings

IAM_PORT = 9098
"""Where brokers speak TLS with IAM authentication (MSK Developer Guide, *Port information*)."""

IAM_CONNECTIONS = 3000
"""Which a broker takes of clients that sign in with IAM (MSK Developer Guide, *MSK quota*)."""

EXPORTER_PORTS = (11001, 11002)
"""Where brokers show Kafka's metrics, then their machines' (MSK Developer Guide, *Open monitoring*)."""

MESSAGE_BYTES = 1024 * 1024 + 12
"""The largest batch of records: what a client sends at most by default, and its envelope (Kafka's own)."""

REMEMBERED_HOURS = 14 * 24
"""How long brokers remember where a consumer stopped, and what was deleted: a long week-end, and a repair."""


@dataclass(frozen=True, kw_only=True)
class EventStreamingArgs:
    """Settings of the brokers and topics."""

    vpc_id: pulumi.Input[str]
    subnet_ids: Sequence[pulumi.Input[str]]
    """One a zone; a plain list, because its length decides the number of brokers."""
    key_arn: pulumi.Input[str]
    settings: StreamingSettings
    services: Sequence[ServiceSettings]
    """Whose consumption is watched and has topics for dead letters."""
    log_retention_days: int
    protect: bool


class EventStreaming(Tier):
    """MSK brokers in every zone (KRaft, IAM and TLS only), their configuration, and topics.

    Volumes, brokers, their size and a topic's partitions grow in place. Fewer partitions are refused by
    Kafka at deployment: records stay where they are. Another number of zones, another key, and a topic of
    another name replace what they concern, which `protect` refuses.

    AWS creates the topics through the brokers with the deployer's own identity, which therefore needs
    `kafka-cluster:*Topic*` and `kafka-cluster:Connect` beside the `kafka:` actions.
    """

    cluster_arn: pulumi.Output[str]
    bootstrap_brokers: pulumi.Output[str]
    """Comma-separated `host:9098` for SASL/IAM, of three brokers at most."""
    endpoint: Endpoint
    dns_name: pulumi.Output[str]
    """Has the addresses of all brokers."""
    exporters: Endpoint
    """Kafka's metrics, then the machines'."""
    dead_letter_topics: Mapping[str, Mapping[str, str]]
    """Service → topic that it consumes → topic for the records that it cannot process."""

    def __init__(
        self, name: str, args: EventStreamingArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__(name, opts)
        settings = args.settings
        brokers = len(args.subnet_ids) * settings.brokers_per_zone
        # One in each zone. Not more where zones have several brokers: these are added in place, and another
        # number of replicas replaces a topic.
        replicas = len(args.subnet_ids)

        # Brokers replicate among themselves in MSK's own network: the group is for clients alone.
        security_group = aws.ec2.SecurityGroup(
            f"{name}-brokers",
            description="MSK brokers",
            vpc_id=args.vpc_id,
            tags={"Name": name},
            opts=self.child(),
        )
        log_group = aws.cloudwatch.LogGroup(
            f"{name}-brokers",
            # Under this prefix AWS needs no entry a group in the account's one policy of log delivery.
            name_prefix=f"/aws/vendedlogs/msk/{name}-",
            kms_key_id=args.key_arn,
            retention_in_days=args.log_retention_days,
            opts=self.child(),
        )
        configuration = aws.msk.Configuration(
            f"{name}-ledger",
            description="Durable before available: no acknowledged record is lost with a broker",
            server_properties=_server_properties(replicas),
            opts=self.child(),
        )
        cluster = aws.msk.Cluster(
            f"{name}-brokers",
            kafka_version=settings.kafka_version,
            number_of_broker_nodes=brokers,
            broker_node_group_info=aws.msk.ClusterBrokerNodeGroupInfoArgs(
                client_subnets=args.subnet_ids,
                instance_type=settings.instance_type,
                security_groups=[security_group.id],
                storage_info=aws.msk.ClusterBrokerNodeGroupInfoStorageInfoArgs(
                    ebs_storage_info=aws.msk.ClusterBrokerNodeGroupInfoStorageInfoEbsStorageInfoArgs(
                        volume_size=settings.volume_gib.min
                    )
                ),
            ),
            configuration_info=aws.msk.ClusterConfigurationInfoArgs(
                arn=configuration.arn, revision=configuration.latest_revision
            ),
            client_authentication=aws.msk.ClusterClientAuthenticationArgs(
                sasl=aws.msk.ClusterClientAuthenticationSaslArgs(iam=True), unauthenticated=False
            ),
            encryption_info=aws.msk.ClusterEncryptionInfoArgs(
                encryption_at_rest_kms_key_arn=args.key_arn,
                encryption_in_transit=aws.msk.ClusterEncryptionInfoEncryptionInTransitArgs(
                    client_broker="TLS", in_cluster=True
                ),
            ),
            # What lands in a topic for dead letters is reported from this level on. Beside the brokers' own
            # metrics, among them those of partitions that lack replicas, it costs one for each broker and
            # topic that is written to: some ten dollars a month for three brokers and ten topics. The level
            # above adds every partition, and nothing that is watched; lag is reported at all levels.
            enhanced_monitoring="PER_TOPIC_PER_BROKER",
            open_monitoring=aws.msk.ClusterOpenMonitoringArgs(
                prometheus=aws.msk.ClusterOpenMonitoringPrometheusArgs(
                    jmx_exporter=aws.msk.ClusterOpenMonitoringPrometheusJmxExporterArgs(
                        enabled_in_broker=True
                    ),
                    node_exporter=aws.msk.ClusterOpenMonitoringPrometheusNodeExporterArgs(
                        enabled_in_broker=True
                    ),
                )
            ),
            logging_info=aws.msk.ClusterLoggingInfoArgs(
                broker_logs=aws.msk.ClusterLoggingInfoBrokerLogsArgs(
                    cloudwatch_logs=aws.msk.ClusterLoggingInfoBrokerLogsCloudwatchLogsArgs(
                        enabled=True, log_group=log_group.name
                    )
                )
            ),
            opts=self.child(
                protect=args.protect,
                # The storage auto-scaling owns the size: it grows, and a volume never shrinks.
                ignore_changes=["brokerNodeGroupInfo.storageInfo.ebsStorageInfo.volumeSize"],
            ),
        )
        target_tracking(
            self,
            f"{name}-storage",
            dimension="kafka:broker-storage:VolumeSize",
            resource_id=cluster.arn,
            capacity=(1, settings.volume_gib.max),  # the least has no meaning: storage never shrinks
            metric="KafkaBrokerStorageUtilization",
            # MSK grows a volume at most once in six hours: what is left must last that long.
            target=60,
            scale_in=False,
        )
        self.dead_letter_topics = {
            service.name: {
                topic: dead_letters
                for topic in service.consumes
                if (dead_letters := settings.dead_letter_topic(topic, service.name))
            }
            for service in args.services
        }
        dead_letters = [
            TopicSettings(
                name=topic,
                # In the order in which the service gave up on them, whatever their keys.
                partitions=1,
                retention_hours=settings.dead_letter_retention_hours,
            )
            for topics in self.dead_letter_topics.values()
            for topic in topics.values()
        ]
        for topic in [*settings.topics, *dead_letters]:
            aws.msk.Topic(
                f"{name}-topic-{topic.name}",
                name=topic.name,
                cluster_arn=cluster.arn,
                partition_count=topic.partitions,
                replication_factor=replicas,
                configs=_topic_configs(topic, replicas),
                # Two topics cannot have one name, not even during a replacement.
                opts=self.child(protect=args.protect, delete_before_replace=True),
            )

        self.cluster_arn = cluster.arn
        self.bootstrap_brokers = cluster.bootstrap_brokers_sasl_iam
        self.endpoint = Endpoint(security_group_id=security_group.id, ports=(IAM_PORT,))
        # `b-2.platform.abc123.c4.kafka.us-east-1.amazonaws.com:9098` is a broker, and all are found without
        # its number ("Set up managed Prometheus collectors for Amazon MSK").
        self.dns_name = self.bootstrap_brokers.apply(
            lambda brokers: re.sub(r"^b-\d+\.|:\d+$", "", brokers.split(",")[0])
        )
        self.exporters = Endpoint(security_group_id=security_group.id, ports=EXPORTER_PORTS)
        self._watch(cluster, brokers)
        for service in args.services:
            for topic in service.consumes:
                self._watch_consumer(cluster, service.name, topic)
        for service, topics in self.dead_letter_topics.items():
            for topic in topics.values():
                self._watch_dead_letters(cluster, brokers, service, topic)
        self.register_outputs({"clusterArn": self.cluster_arn, "bootstrapBrokers": self.bootstrap_brokers})

    def _watch(self, cluster: aws.msk.Cluster, brokers: int) -> None:
        of_cluster = {"Cluster Name": cluster.cluster_name}
        self.signals += [
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
            self.signals += [
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

    def _watch_consumer(self, cluster: aws.msk.Cluster, service: str, topic: str) -> None:
        """Lag of a service, which MSK reports at every level ("Monitor consumer lags").

        Not while the group settles, nor before it has committed an offset: then there are no data, and the
        service's missing pods ring. A dot is in no service's name, so no two signals have one name.
        """
        dimensions = {"Cluster Name": cluster.cluster_name, "Consumer Group": service, "Topic": topic}
        self.signals += [
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

    def _watch_dead_letters(self, cluster: aws.msk.Cluster, brokers: int, service: str, topic: str) -> None:
        """Any broker may lead the topic's partition, and each reports for itself."""
        self.signals += [
            Signal(
                name=f"kafka-broker-{broker}-dead-letters-{topic}",
                runbook="kafka-dead-letters",
                title=f"A record landed in {topic}",
                namespace="AWS/Kafka",
                metric="MessagesInPerSec",
                dimensions={
                    "Cluster Name": cluster.cluster_name,
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


def _server_properties(replicas: int) -> str:
    properties = {
        # A misspelled topic is an error, not a new topic without settings.
        "auto.create.topics.enable": "false",
        # A copy of every partition in every zone, of what brokers keep about consumers and transactions too.
        "default.replication.factor": replicas,
        "offsets.topic.replication.factor": replicas,
        "transaction.state.log.replication.factor": replicas,
        # With acks=all a record is acknowledged once so many brokers have it.
        "min.insync.replicas": _in_sync(replicas),
        "transaction.state.log.min.isr": _in_sync(replicas),
        # A broker that missed records never leads: rather no leader than a ledger with holes.
        "unclean.leader.election.enable": "false",
        # One limit for everything, so that no broker accepts what a consumer or a replica cannot take.
        "message.max.bytes": MESSAGE_BYTES,
        # As producers compressed it: brokers spend no CPU on it.
        "compression.type": "producer",
        # Of topics that say nothing of their own: a week.
        "log.retention.hours": 7 * 24,
        "offsets.retention.minutes": REMEMBERED_HOURS * 60,
        # Consumers that read committed records wait for a transaction that hangs, no longer than this.
        "transaction.max.timeout.ms": 60_000,
    }
    return "".join(f"{key}={value}\n" for key, value in properties.items())


def _in_sync(replicas: int) -> int:
    """One broker may be down, for a failure or a rolling update, and writes go on."""
    return max(replicas - 1, 1)


def _topic_configs(topic: TopicSettings, replicas: int) -> str:
    configs = {
        "cleanup.policy": topic.cleanup_policy,
        # What a topic promises stays when the brokers' defaults change.
        "min.insync.replicas": str(_in_sync(replicas)),
        "max.message.bytes": str(MESSAGE_BYTES),
        "compression.type": "producer",
    }
    if topic.cleanup_policy == "delete":
        configs["retention.ms"] = _milliseconds(topic.retention_hours)
    else:
        # A consumer that was away as long still learns that a key is gone.
        configs["delete.retention.ms"] = _milliseconds(REMEMBERED_HOURS)
    return json.dumps(configs)


def _milliseconds(hours: int) -> str:
    return str(hours * 60 * 60 * 1000)
