"""Tier 7, event streaming: Apache Kafka on Amazon MSK."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from components.common.access import Access, Endpoint
from components.common.component import Component
from components.common.context import RegionContext
from components.common.logs import log_group
from components.common.scaling import target_tracking
from components.event_streaming.access import kafka_access
from components.event_streaming.configuration import server_properties, topic_configs
from components.event_streaming.signals import broker_signals, consumer_signals, dead_letter_signals
from settings import ServiceSettings, StreamingSettings, TopicSettings
from settings.aws_limits import BROKER_EXPORTER_PORTS, BROKER_IAM_PORT, VENDED_LOGS_PREFIX


@dataclass(frozen=True, kw_only=True)
class EventStreamingArgs:
    """Settings of the brokers and topics."""

    context: RegionContext
    vpc_id: pulumi.Input[str]
    subnet_ids: Sequence[pulumi.Input[str]]
    """One subnet per Availability Zone. A plain list, because its length determines the number of brokers."""
    settings: StreamingSettings
    services: Sequence[ServiceSettings]
    """Services whose consumer lag is monitored and that have dead-letter topics."""


class EventStreaming(Component):
    """MSK brokers in every Availability Zone (KRaft, IAM and TLS only), their configuration, and topics.

    Volumes, the number of brokers, their instance type and a topic's partitions can grow in place. Kafka
    rejects a smaller number of partitions at deployment, because records can't be moved. Changing the number
    of zones, the key or a topic's name replaces the resource, which `protect` prevents.

    AWS creates the topics through the brokers with the deployer's identity, which therefore needs
    `kafka-cluster:*Topic*` and `kafka-cluster:Connect` in addition to the `kafka:` actions.
    """

    cluster_arn: pulumi.Output[str]
    bootstrap_brokers: pulumi.Output[str]
    """Comma-separated list of `host:9098` for SASL/IAM, of at most three brokers."""
    endpoint: Endpoint
    dns_name: pulumi.Output[str]
    """DNS name that resolves to the addresses of all brokers."""
    exporters: Endpoint
    """Ports of the brokers' exporters: first for Kafka's metrics, then for the machines' metrics."""
    dead_letter_topics: Mapping[str, Mapping[str, str]]
    """Service → topic that it consumes → topic for records that it can't process."""

    def __init__(
        self, name: str, args: EventStreamingArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("trading:tier:EventStreaming", name, opts)
        settings = args.settings
        # One replica per Availability Zone, even if a zone has several brokers: brokers are added in place,
        # but changing the number of replicas replaces a topic.
        replicas = len(args.subnet_ids)

        # Replication between brokers uses MSK's own network, so the security group is only for clients.
        security_group = aws.ec2.SecurityGroup(
            f"{name}-brokers",
            description="MSK brokers",
            vpc_id=args.vpc_id,
            tags={"Name": name},
            opts=self.child(),
        )
        cluster = self._cluster(name, args, security_group, replicas)
        target_tracking(
            self,
            f"{name}-storage",
            dimension="kafka:broker-storage:VolumeSize",
            resource_id=cluster.arn,
            capacity=(1, settings.volume_gib.max),  # the minimum has no effect: storage never shrinks
            metric="KafkaBrokerStorageUtilization",
            # MSK expands a volume at most every six hours, so the remaining space must last that long.
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
        self._topics(name, args, cluster, replicas)

        self.cluster_arn = cluster.arn
        self.bootstrap_brokers = cluster.bootstrap_brokers_sasl_iam
        self.endpoint = Endpoint(security_group_id=security_group.id, ports=(BROKER_IAM_PORT,))
        # `b-2.platform.abc123.c4.kafka.us-east-1.amazonaws.com:9098` is one broker. The name without `b-2.`
        # resolves to all of them ("Set up managed Prometheus collectors for Amazon MSK").
        self.dns_name = self.bootstrap_brokers.apply(
            lambda brokers: re.sub(r"^b-\d+\.|:\d+$", "", brokers.split(",")[0])
        )
        self.exporters = Endpoint(security_group_id=security_group.id, ports=BROKER_EXPORTER_PORTS)
        self._watch(args, cluster)
        self.register_outputs({"clusterArn": self.cluster_arn, "bootstrapBrokers": self.bootstrap_brokers})

    def access(self, service: ServiceSettings) -> Access:
        """What a service needs for the topics that its settings declare."""
        return kafka_access(
            service,
            bootstrap_brokers=self.bootstrap_brokers,
            cluster_arn=self.cluster_arn,
            dead_letter_topics=self.dead_letter_topics.get(service.name, {}),
            port=BROKER_IAM_PORT,
        )

    def _cluster(
        self, name: str, args: EventStreamingArgs, security_group: aws.ec2.SecurityGroup, replicas: int
    ) -> aws.msk.Cluster:
        logs = log_group(
            self,
            f"{name}-brokers",
            args.context,
            # Log groups with this prefix need no entry of their own in the account's only resource policy for
            # log delivery.
            name_prefix=f"{VENDED_LOGS_PREFIX}msk/{name}-",
        )
        configuration = aws.msk.Configuration(
            f"{name}-ledger",
            description="Durable before available: no acknowledged record is lost with a broker",
            server_properties=server_properties(replicas),
            opts=self.child(),
        )
        return aws.msk.Cluster(
            f"{name}-brokers",
            kafka_version=args.settings.kafka_version,
            number_of_broker_nodes=_brokers(args),
            broker_node_group_info={
                "client_subnets": args.subnet_ids,
                "instance_type": args.settings.instance_type,
                "security_groups": [security_group.id],
                "storage_info": {"ebs_storage_info": {"volume_size": args.settings.volume_gib.min}},
            },
            configuration_info={"arn": configuration.arn, "revision": configuration.latest_revision},
            client_authentication={"sasl": {"iam": True}, "unauthenticated": False},
            encryption_info={
                "encryption_at_rest_kms_key_arn": args.context.key_arn,
                "encryption_in_transit": {"client_broker": "TLS", "in_cluster": True},
            },
            # Records in dead-letter topics are reported at this level and above. In addition to the brokers'
            # metrics, which include under-replicated partitions, one metric is billed for each broker and
            # topic with traffic: about ten dollars a month for three brokers and ten topics. The next level
            # adds metrics of every partition, which no alarm uses. Consumer lag is reported at all levels.
            enhanced_monitoring="PER_TOPIC_PER_BROKER",
            open_monitoring={
                "prometheus": {
                    "jmx_exporter": {"enabled_in_broker": True},
                    "node_exporter": {"enabled_in_broker": True},
                }
            },
            logging_info={"broker_logs": {"cloudwatch_logs": {"enabled": True, "log_group": logs.name}}},
            opts=self.child(
                protect=args.context.protect,
                # Storage auto scaling manages the size, and a volume never shrinks.
                ignore_changes=["brokerNodeGroupInfo.storageInfo.ebsStorageInfo.volumeSize"],
            ),
        )

    def _topics(self, name: str, args: EventStreamingArgs, cluster: aws.msk.Cluster, replicas: int) -> None:
        dead_letters = [
            TopicSettings(
                name=topic,
                # One partition keeps records in the order in which processing failed, whatever their keys.
                partitions=1,
                retention_hours=args.settings.dead_letter_retention_hours,
            )
            for topics in self.dead_letter_topics.values()
            for topic in topics.values()
        ]
        for topic in [*args.settings.topics, *dead_letters]:
            aws.msk.Topic(
                f"{name}-topic-{topic.name}",
                name=topic.name,
                cluster_arn=cluster.arn,
                partition_count=topic.partitions,
                replication_factor=replicas,
                configs=topic_configs(topic, replicas),
                # Two topics can't have the same name, even during a replacement.
                opts=self.child(protect=args.context.protect, delete_before_replace=True),
            )

    def _watch(self, args: EventStreamingArgs, cluster: aws.msk.Cluster) -> None:
        self.report(*broker_signals(cluster.cluster_name, _brokers(args)))
        for service in args.services:
            for topic in service.consumes:
                self.report(*consumer_signals(cluster.cluster_name, service.name, topic))
        for service, topics in self.dead_letter_topics.items():
            for topic in topics.values():
                self.report(*dead_letter_signals(cluster.cluster_name, _brokers(args), service, topic))


def _brokers(args: EventStreamingArgs) -> int:
    return len(args.subnet_ids) * args.settings.brokers_per_zone
