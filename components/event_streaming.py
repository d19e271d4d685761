"""Tier 7, event streaming: Apache Kafka on Amazon MSK."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from components.scaling import target_tracking
from components.tier import Endpoint, Signal, Tier
from settings import StreamingSettings, TopicSettings

IAM_PORT = 9098
"""Where brokers speak TLS with IAM authentication (MSK Developer Guide, *Port information*)."""


@dataclass(frozen=True, kw_only=True)
class EventStreamingArgs:
    """Settings of the brokers and topics."""

    vpc_id: pulumi.Input[str]
    subnet_ids: Sequence[pulumi.Input[str]]
    """One a zone; a plain list, because its length decides the number of brokers."""
    key_arn: pulumi.Input[str]
    settings: StreamingSettings
    log_retention_days: int
    protect: bool


class EventStreaming(Tier):
    """MSK brokers in every zone (KRaft, IAM and TLS only), their configuration, and topics.

    AWS creates the topics through the brokers with the deployer's own identity, which therefore needs
    `kafka-cluster:*Topic*` and `kafka-cluster:Connect` beside the `kafka:` actions.
    """

    cluster_arn: pulumi.Output[str]
    bootstrap_brokers: pulumi.Output[str]
    """Comma-separated `host:9098` for SASL/IAM."""
    endpoint: Endpoint

    def __init__(
        self, name: str, args: EventStreamingArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__(name, opts)
        settings = args.settings
        brokers = len(args.subnet_ids) * settings.brokers_per_zone
        replicas = min(brokers, 3)

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
            # Under-replicated partitions are reported from this level on; what a topic does comes from
            # open monitoring, which costs nothing, instead of from the levels above.
            enhanced_monitoring="PER_BROKER",
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
        for topic in settings.topics:
            aws.msk.Topic(
                f"{name}-topic-{topic.name}",
                name=topic.name,
                cluster_arn=cluster.arn,
                partition_count=topic.partitions,
                replication_factor=replicas,
                configs=_topic_configs(topic),
                # Two topics cannot have one name, not even during a replacement.
                opts=self.child(protect=args.protect, delete_before_replace=True),
            )

        self.cluster_arn = cluster.arn
        self.bootstrap_brokers = cluster.bootstrap_brokers_sasl_iam
        self.endpoint = Endpoint(security_group_id=security_group.id, ports=(IAM_PORT,))
        self._watch(cluster, brokers)
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


def _server_properties(replicas: int) -> str:
    in_sync = max(replicas - 1, 1)  # one broker may be down, for a failure or a rolling update
    properties = {
        "auto.create.topics.enable": "false",
        "default.replication.factor": replicas,
        "min.insync.replicas": in_sync,
        "offsets.topic.replication.factor": replicas,
        "transaction.state.log.replication.factor": replicas,
        "transaction.state.log.min.isr": in_sync,
        "unclean.leader.election.enable": "false",
        # A consumer that was down over a long week-end still finds where it stopped.
        "offsets.retention.minutes": 14 * 24 * 60,
    }
    return "".join(f"{key}={value}\n" for key, value in properties.items())


def _topic_configs(topic: TopicSettings) -> str:
    configs = {"cleanup.policy": topic.cleanup_policy}
    if topic.cleanup_policy == "delete":
        configs["retention.ms"] = str(topic.retention_hours * 60 * 60 * 1000)
    return json.dumps(configs)
