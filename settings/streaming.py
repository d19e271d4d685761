"""Settings of tier 7, event streaming."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, field_validator

from settings.aws_limits import (
    BROKER_PARTITIONS,
    BROKER_PARTITIONS_MOST,
    BROKER_SIZES,
    BROKER_VOLUME_GIB_MAX,
    BROKER_VOLUME_GIB_MIN,
    BROKER_ZONES,
    BROKERS,
    KAFKA_NAME_LENGTH,
)
from settings.by_name import ByName
from settings.model import Broken, Model, Range, rule


def _broker_size(value: str) -> str:
    if not re.fullmatch(BROKER_SIZES, value):
        raise ValueError(
            "must be a kafka.m5 or kafka.m7g size: large, xlarge, 2xlarge, 4xlarge, 8xlarge, 12xlarge, "
            "16xlarge, or kafka.m5.24xlarge (MSK takes no kafka.t3 for a new cluster)"
        )
    return value


BrokerSize = Annotated[str, Field(json_schema_extra={"pattern": BROKER_SIZES}), AfterValidator(_broker_size)]
KafkaTopic = Annotated[str, Field(pattern=r"^[a-zA-Z0-9][a-zA-Z0-9._-]*$", max_length=KAFKA_NAME_LENGTH)]
"""Name of a topic. It can't begin with an underscore, because Kafka's internal topics do."""


class TopicSettings(Model):
    """A Kafka topic."""

    name: KafkaTopic
    """Name by which services refer to the topic."""
    partitions: int = Field(default=12, ge=1, le=1000)
    """Number of partitions, which is the maximum number of consumers in a group. You can add partitions,
    which changes how keys are distributed from then on. Kafka can't remove partitions."""
    retention_hours: int = Field(default=168, ge=1)
    """Hours for which a record is kept. Not for compacted topics, which keep the last record of every key."""
    cleanup_policy: Literal["delete", "compact"] = "delete"
    dead_letter: bool = True
    """Whether each consuming service has a topic `NAME.SERVICE.dlq` for records that it cannot process."""

    @rule
    def _compaction_knows_no_age(self) -> Iterator[Broken]:
        if self.cleanup_policy == "compact" and "retention_hours" in self.model_fields_set:
            yield Broken(
                f"{self.name} has retentionHours ({self.retention_hours}), but a compacted topic always "
                "keeps the last record of every key: leave retentionHours out (`retentionHours: null` "
                "removes that of a default topic), or set cleanupPolicy to delete"
            )


DEFAULT_TOPICS = [
    TopicSettings(name="orders"),
    TopicSettings(name="executions"),
    TopicSettings(name="market-data", retention_hours=24),
    TopicSettings(name="balances", cleanup_policy="compact"),
]


class StreamingSettings(Model):
    """Amazon MSK."""

    kafka_version: str = Field(default="3.9.x.kraft", pattern=r"^(3\.[89]|4\.[0-9]+)\.x\.kraft$")
    """Version of Kafka, in MSK's notation. It must be a KRaft version, because an existing cluster can't
    change to KRaft. It must be 3.8 or newer, because before that, clients that use IAM can't end a
    transaction (MSK guide, "Semantics of IAM … actions")."""
    instance_type: BrokerSize = "kafka.m7g.large"
    brokers_per_zone: int = Field(default=1, ge=1, le=BROKERS // BROKER_ZONES)
    """Brokers in each zone. You can add brokers in place. Existing topics don't use them until their
    partitions are reassigned."""
    volume_gib: Range = Range(min=500, max=4000)
    """Initial size of each broker's volume, and the size up to which it grows; 16,384 at most (MSK
    quotas)."""
    dead_letter_retention_hours: int = Field(default=720, ge=1)
    """Hours for which a record that a service could not process is kept. It can't be shorter than the
    retention of the record's topic."""
    topics: Annotated[list[TopicSettings], ByName("name", DEFAULT_TOPICS)] = DEFAULT_TOPICS
    """Kafka topics, by name."""

    @property
    def broker_partitions(self) -> int:
        """Partitions of a broker, with all of their replicas, up to which MSK can update it."""
        return BROKER_PARTITIONS.get(self.instance_type.rsplit(".", 1)[-1], BROKER_PARTITIONS_MOST)

    def dead_letter_topic(self, topic: str, service: str) -> str | None:
        """The topic for records of `topic` that `service` cannot process, or None."""
        wanted = any(settings.dead_letter for settings in self.topics if settings.name == topic)
        return f"{topic}.{service}.dlq" if wanted else None

    @field_validator("volume_gib")
    @classmethod
    def _volume_limits(cls, volume: Range) -> Range:
        if volume.min < BROKER_VOLUME_GIB_MIN or volume.max > BROKER_VOLUME_GIB_MAX:
            raise ValueError(
                f"{volume.min} to {volume.max} must lie within {BROKER_VOLUME_GIB_MIN} and "
                f"{BROKER_VOLUME_GIB_MAX} GiB, MSK's limits"
            )
        return volume

    @field_validator("topics")
    @classmethod
    def _distinct_topics(cls, topics: list[TopicSettings]) -> list[TopicSettings]:
        for index, topic in enumerate(topics):
            if other := colliding_topic(topic.name, (topic.name for topic in topics[:index])):
                raise ValueError(
                    f"{topic.name} and {other} differ only in . and _, which Kafka rejects: rename one"
                )
        return topics

    @rule
    def _dead_letters_are_somewhere(self) -> Iterator[Broken]:
        if self.given("dead_letter_retention_hours") and not any(topic.dead_letter for topic in self.topics):
            yield Broken(
                "has no effect, because every topic has deadLetter: false: leave it out",
                ("deadLetterRetentionHours",),
            )

    @rule
    def _dead_letters_outlive_their_topics(self) -> Iterator[Broken]:
        for topic in self.topics:
            kept = topic.retention_hours if topic.cleanup_policy == "delete" else 0
            if topic.dead_letter and kept > self.dead_letter_retention_hours:
                yield Broken(
                    f"deadLetterRetentionHours ({self.dead_letter_retention_hours}) must not be below "
                    f"retentionHours ({kept}) of {topic.name}, or set its deadLetter to false"
                )


def colliding_topic(name: str, others: Iterable[str]) -> str | None:
    """The topic that collides with this name, or None. Kafka replaces `.` by `_` in the names of metrics."""
    return next((other for other in others if other.replace(".", "_") == name.replace(".", "_")), None)
