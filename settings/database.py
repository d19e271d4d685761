"""Tier 8: database."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from settings.model import Model, Percent, Range


class ServerlessCapacity(Model):
    """Aurora Serverless v2 capacity units (about 2 GiB of memory each), in halves."""

    min: float = Field(ge=0.5, le=256, multiple_of=0.5)
    """The least. Not 0, at which an idle database pauses: the proxy's connections keep it from idling."""
    max: float = Field(ge=1, le=256, multiple_of=0.5)
    """The most."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.min > self.max:
            raise ValueError(f"min ({self.min}) must not be above max ({self.max})")
        return self


class DatabaseSettings(Model):
    """Aurora PostgreSQL."""

    engine_version: str = Field(default="17.11", pattern=r"^\d+\.\d+$")
    instance_class: str = Field(default="db.r8g.xlarge", pattern=r"^db\.[a-z0-9]+\.[a-z0-9]+$")
    serverless: ServerlessCapacity | None = None
    """Capacity of serverless v2 instances; then `instanceClass` does not count."""
    readers: Range = Range(min=2, max=8)
    """Read replicas: `min` are declared, the auto-scaling adds up to `max`."""
    reader_cpu_percent: Percent = 60
    """Average CPU of the readers that the auto-scaling aims at."""
    reader_connections: int | None = Field(default=None, ge=1)
    """Average number of connections of a reader that the auto-scaling aims at, instead of the CPU."""
    backup_retention_days: int = Field(default=35, ge=1, le=35)
    """How long any second can be restored, and each day's copy in the backup vaults is kept."""
    monthly_backup_retention_days: int = Field(default=365, ge=35, le=36_500)
    """How long each month's first copy in the backup vaults is kept."""
    insights: Literal["standard", "advanced"] = "advanced"
    """Mode of Database Insights: advanced keeps 15 months of statements and plans, for a charge."""

    @field_validator("readers")
    @classmethod
    def _aurora_limit(cls, readers: Range) -> Range:
        if readers.max > 15:
            raise ValueError(f"max ({readers.max}) must not be above 15, Aurora's limit of replicas")
        return readers

    @model_validator(mode="after")
    def _readers_scale_on_one_thing(self) -> Self:
        if self.reader_connections and "reader_cpu_percent" in self.model_fields_set:
            raise ValueError(
                "readerCpuPercent and readerConnections exclude each other: the readers scale on one of "
                "them; give one"
            )
        return self
