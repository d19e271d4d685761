"""The brokers' configuration, and the topics'."""

from __future__ import annotations

import json

from settings import TopicSettings

MESSAGE_BYTES = 1024 * 1024 + 12
"""The largest batch of records: what a client sends at most by default, and its envelope (Kafka's own)."""

REMEMBERED_HOURS = 14 * 24
"""How long brokers remember where a consumer stopped, and what was deleted: a long week-end, and a repair."""


def server_properties(replicas: int) -> str:
    """The configuration of brokers that keep `replicas` copies of each partition."""
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


def topic_configs(topic: TopicSettings, replicas: int) -> str:
    """A topic's own configuration, as the JSON object that `aws.msk.Topic` takes."""
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
