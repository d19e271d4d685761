"""What a service needs to produce to topics and consume from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pulumi

from components.common.access import Access
from settings import ServiceSettings

_PRODUCER = {
    # Together with the topics' min.insync.replicas, an acknowledged record survives the loss of a broker, and
    # is written once and in order.
    "KAFKA_ACKS": "all",
    "KAFKA_ENABLE_IDEMPOTENCE": "true",
    "KAFKA_MAX_IN_FLIGHT_REQUESTS_PER_CONNECTION": "5",
    # Retries are limited by the delivery timeout, not by their number. Two minutes outlast a leader election.
    "KAFKA_RETRIES": "2147483647",
    "KAFKA_REQUEST_TIMEOUT_MS": "30000",
    "KAFKA_DELIVERY_TIMEOUT_MS": "120000",
    "KAFKA_COMPRESSION_TYPE": "lz4",
}

_CONSUMER = {
    "KAFKA_ISOLATION_LEVEL": "read_committed",
    # The service commits an offset after it has processed the record. A new group reads all records.
    "KAFKA_ENABLE_AUTO_COMMIT": "false",
    "KAFKA_AUTO_OFFSET_RESET": "earliest",
    # Kafka's defaults: partitions of a dead pod are reassigned after 45 s, those of a stuck pod after 5 min.
    "KAFKA_SESSION_TIMEOUT_MS": "45000",
    "KAFKA_MAX_POLL_INTERVAL_MS": "300000",
}


def kafka_access(
    service: ServiceSettings,
    *,
    bootstrap_brokers: pulumi.Input[str],
    cluster_arn: pulumi.Output[str],
    dead_letter_topics: Mapping[str, str],
    port: int,
) -> Access:
    """What `service` needs for the topics that its settings declare.

    Args:
        service: the service.
        bootstrap_brokers: comma-separated list of `host:port`.
        cluster_arn: the MSK cluster.
        dead_letter_topics: topic that the service consumes → topic for records that it can't process.
        port: port of the brokers.
    """
    if not (service.produces or service.consumes):
        return Access()
    # A service reads its own dead letters to process them again.
    dead_letters = [*dead_letter_topics.values()]
    writes, reads = [*service.produces, *dead_letters], [*service.consumes, *dead_letters]
    return Access(
        environment={
            "KAFKA_BOOTSTRAP_BROKERS": bootstrap_brokers,
            "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
            "KAFKA_SASL_MECHANISM": "AWS_MSK_IAM",
            **_client_settings(service, dead_letter_topics),
        },
        statements=_statements(service, cluster_arn, writes, reads),
        ports=(port,),
    )


def _client_settings(service: ServiceSettings, dead_letter_topics: Mapping[str, str]) -> dict[str, str]:
    settings: dict[str, str] = {}
    if service.produces or dead_letter_topics:
        settings |= _PRODUCER
    if service.consumes:
        settings |= {"KAFKA_GROUP_ID": service.name, **_CONSUMER}
    if dead_letter_topics:
        settings["KAFKA_DEAD_LETTER_TOPICS"] = ",".join(map("=".join, dead_letter_topics.items()))
    if service.consumes and (service.produces or dead_letter_topics):
        # Records that it writes and offsets that it has read are committed in one transaction.
        settings["KAFKA_TRANSACTIONAL_ID_PREFIX"] = _transactional_ids(service)
    return settings


def _transactional_ids(service: ServiceSettings) -> str:
    """Prefix of the service's transactional ids, one per pod. The dot ends the prefix: no service's name has
    one."""
    return f"{service.name}."


def _statements(
    service: ServiceSettings, cluster_arn: pulumi.Output[str], writes: Sequence[str], reads: Sequence[str]
) -> list[dict[str, Any]]:
    def allow(actions: list[str], resources: list[pulumi.Output[str]]) -> dict[str, Any]:
        return {
            "Effect": "Allow",
            "Action": [f"kafka-cluster:{action}" for action in actions],
            "Resource": resources,
        }

    def within(kind: str, name: str) -> pulumi.Output[str]:
        # The ARN of a resource in a cluster is the cluster's ARN with another resource type ("IAM access
        # control", MSK Developer Guide).
        return cluster_arn.apply(lambda arn: f"{arn.replace(':cluster/', f':{kind}/')}/{name}")

    idempotent = ["WriteDataIdempotently"] if writes else []
    statements = [allow(["Connect", "DescribeCluster", *idempotent], [cluster_arn])]
    for action, topics in (("WriteData", writes), ("ReadData", reads)):
        if topics:
            statements.append(allow(["DescribeTopic", action], [within("topic", topic) for topic in topics]))
    if service.consumes:
        statements.append(allow(["DescribeGroup", "AlterGroup"], [within("group", service.name)]))
    if service.consumes and writes:
        transactions = within("transactional-id", f"{_transactional_ids(service)}*")
        statements.append(allow(["DescribeTransactionalId", "AlterTransactionalId"], [transactions]))
    return statements
