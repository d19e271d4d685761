"""The configuration of the brokers and of the topics."""

from __future__ import annotations

import json

from settings import TopicSettings

MESSAGE_BYTES = 1024 * 1024 + 12
"""The largest batch of records: a client's default maximum and 12 bytes of overhead (Kafka's default)."""

REMEMBERED_HOURS = 14 * 24
"""How long brokers keep the offsets of consumers and the markers of deleted keys: enough for a long weekend
and a repair."""


def server_properties(replicas: int) -> str:
    """The configuration of brokers with `replicas` replicas of each partition."""
    properties = {
        # A misspelled topic name is an error instead of creating a topic without settings.
        "auto.create.topics.enable": "false",
        # A replica of every partition in every Availability Zone, including the internal topics for
        # consumers' offsets and transactions.
        "default.replication.factor": replicas,
        "offsets.topic.replication.factor": replicas,
        "transaction.state.log.replication.factor": replicas,
        # With acks=all, a record is acknowledged when at least this number of brokers have it.
        "min.insync.replicas": _in_sync(replicas),
        "transaction.state.log.min.isr": _in_sync(replicas),
        # A broker that missed records never becomes a leader: Kafka prefers a partition without a leader to a
        # ledger with missing records.
        "unclean.leader.election.enable": "false",
        # The same limit everywhere, so that no broker accepts a record that a consumer or replica can't
        # fetch.
        "message.max.bytes": MESSAGE_BYTES,
        # Brokers keep the producers' compression and spend no CPU on it.
        "compression.type": "producer",
        # A week, for topics without their own retention.
        "log.retention.hours": 7 * 24,
        "offsets.retention.minutes": REMEMBERED_HOURS * 60,
        # Consumers that read committed records wait for a hanging transaction, but no longer than this.
        "transaction.max.timeout.ms": 60_000,
    }
    return "".join(f"{key}={value}\n" for key, value in properties.items())


def _in_sync(replicas: int) -> int:
    """The value of `min.insync.replicas`. One broker may be down in a failure or a rolling update without
    stopping writes."""
    return max(replicas - 1, 1)


def topic_configs(topic: TopicSettings, replicas: int) -> str:
    """A topic's own configuration, as the JSON object that `aws.msk.Topic` takes."""
    configs = {
        "cleanup.policy": topic.cleanup_policy,
        # Set for each topic, so that its guarantees don't depend on the brokers' defaults.
        "min.insync.replicas": str(_in_sync(replicas)),
        "max.message.bytes": str(MESSAGE_BYTES),
        "compression.type": "producer",
    }
    if topic.cleanup_policy == "delete":
        configs["retention.ms"] = _milliseconds(topic.retention_hours)
    else:
        # A consumer that was down for this long still learns that a key was deleted.
        configs["delete.retention.ms"] = _milliseconds(REMEMBERED_HOURS)
    return json.dumps(configs)


def _milliseconds(hours: int) -> str:
    return str(hours * 60 * 60 * 1000)
