"""Settings of tier 8, the database."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from pydantic import Field, field_validator
from pydantic.alias_generators import to_camel

from settings.aws_limits import (
    AURORA_BACKUP_DAYS_MAX,
    AURORA_BACKUP_DAYS_MIN,
    AURORA_REPLICAS,
    SERVERLESS_UNITS_LEAST_MAX,
    SERVERLESS_UNITS_MAX,
    SERVERLESS_UNITS_MIN,
    SERVERLESS_UNITS_STEP,
    VAULT_DAYS_MAX,
)
from settings.aws_values import DatabaseVersion, InstanceClass
from settings.model import Broken, Model, Percent, Range, rule


class ServerlessCapacity(Model):
    """Range of Aurora Serverless v2 capacity units (about 2 GiB of memory each), in steps of 0.5."""

    min: float = Field(ge=SERVERLESS_UNITS_MIN, le=SERVERLESS_UNITS_MAX, multiple_of=SERVERLESS_UNITS_STEP)
    """The minimum. 0, at which an idle database pauses, isn't accepted: with the proxy's open connections the
    database is never idle."""
    max: float = Field(
        ge=SERVERLESS_UNITS_LEAST_MAX, le=SERVERLESS_UNITS_MAX, multiple_of=SERVERLESS_UNITS_STEP
    )
    """The maximum."""

    @rule
    def _ordered(self) -> Iterator[Broken]:
        if self.min > self.max:
            yield Broken(f"min ({self.min}) must not be above max ({self.max})")


class DatabaseSettings(Model):
    """Aurora PostgreSQL and its backups."""

    engine_version: DatabaseVersion = "17.11"
    instance_class: InstanceClass = "db.r8g.xlarge"
    serverless: ServerlessCapacity | None = None
    """Capacity of Serverless v2 instances, in place of `instanceClass`."""
    readers: Range = Range(min=2, max=8)
    """Number of read replicas: the stack creates `min`, and auto scaling adds more, up to `max`."""
    reader_cpu_percent: Percent = 60
    """Target for the readers' average CPU, in percent."""
    reader_connections: int | None = Field(default=None, ge=1)
    """Target for the average number of connections of a reader, in place of the CPU target."""
    backup_retention_days: int = Field(default=35, ge=AURORA_BACKUP_DAYS_MIN, le=AURORA_BACKUP_DAYS_MAX)
    """Days for which point-in-time recovery is possible, and for which daily backups stay in the vaults."""
    monthly_backup_retention_days: int = Field(default=365, ge=AURORA_BACKUP_DAYS_MAX, le=VAULT_DAYS_MAX)
    """Days for which the first backup of each month stays in the vaults: at least as long as daily backups
    can."""
    insights: Literal["standard", "advanced"] = "advanced"
    """Mode of Database Insights. The advanced mode keeps statements and plans for 15 months, for a charge."""

    @field_validator("readers")
    @classmethod
    def _aurora_limit(cls, readers: Range) -> Range:
        if readers.max > AURORA_REPLICAS:
            raise ValueError(
                f"max ({readers.max}) must not be above {AURORA_REPLICAS}, Aurora's maximum number of "
                "replicas"
            )
        return readers

    @rule
    def _one_kind_of_instance(self) -> Iterator[Broken]:
        if self.serverless and self.given("instance_class"):
            yield Broken(
                f"{self.instance_class} has no effect with serverless, whose instances have no class: give "
                "only one of them",
                ("instanceClass",),
            )

    @rule
    def _readers_that_do_not_scale_aim_at_nothing(self) -> Iterator[Broken]:
        for field in ("reader_cpu_percent", "reader_connections"):
            if self.readers.min == self.readers.max and self.given(field):
                yield Broken(
                    f"has no effect, because readers.min and readers.max are both {self.readers.max}: leave "
                    "it out, or let the readers scale",
                    (to_camel(field),),
                )

    @rule
    def _readers_scale_on_one_thing(self) -> Iterator[Broken]:
        if self.reader_connections and "reader_cpu_percent" in self.model_fields_set:
            yield Broken(
                "readerCpuPercent and readerConnections exclude each other, because the readers scale on one "
                "metric: give only one of them"
            )
