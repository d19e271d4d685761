"""Settings of tier 6's DynamoDB tables."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field, field_validator
from pydantic.alias_generators import to_camel

from settings.aws_limits import (
    ATTRIBUTE_NAME_LENGTH,
    INDEX_NAME,
    NO_MAXIMUM,
    TABLE_CAPACITY,
    TABLE_INDEXES,
    UTILIZATION_TARGET_MAX,
    UTILIZATION_TARGET_MIN,
)
from settings.model import Broken, Model, Range, refuse_duplicates, rule

IDEMPOTENCY_TABLE = "orders-idempotency"
"""The table in which order intake records the orders that it has passed on."""


class AttributeSettings(Model):
    """A DynamoDB key attribute."""

    name: str = Field(min_length=1, max_length=ATTRIBUTE_NAME_LENGTH)
    """Name of the attribute in the items."""
    type: Literal["S", "N", "B"] = "S"


class IndexSettings(Model):
    """A global secondary index that projects every attribute."""

    name: str = Field(pattern=INDEX_NAME, examples=["by-venue"])
    """Name of the index, unique in its table."""
    hash_key: AttributeSettings
    range_key: AttributeSettings | None = None


class RequestUnits(Model):
    """Maximum throughput of an on-demand table, and of each of its indexes. DynamoDB throttles the rest."""

    read: int = Field(ge=NO_MAXIMUM)
    """Read request units per second; -1 removes a maximum that was set before."""
    write: int = Field(ge=NO_MAXIMUM)
    """Write request units per second; -1 removes a maximum that was set before."""

    @rule
    def _something_or_no_limit(self) -> Iterator[Broken]:
        for key in ("read", "write"):
            if getattr(self, key) == 0:
                yield Broken(f"{key} must be at least 1, or -1 to remove a maximum that was set before")


class TableSettings(Model):
    """A DynamoDB table. With several regions it is a global table, with a replica in each."""

    name: str = Field(pattern=r"^[a-z0-9-]{3,64}$", examples=["market-data"])
    """Name by which services refer to the table."""
    hash_key: AttributeSettings
    range_key: AttributeSettings | None = None
    indexes: list[IndexSettings] = Field(default=[], max_length=TABLE_INDEXES)
    """Global secondary indexes; DynamoDB's default quota is 20 per table."""
    ttl_attribute: str | None = Field(default=None, min_length=1, max_length=ATTRIBUTE_NAME_LENGTH)
    billing: Literal["provisioned", "onDemand"] = "provisioned"
    """Capacity that scales within bounds, or payment per request. A table with indexes is billed on demand or
    has a fixed capacity. See *Change how a table is billed* in docs/operations.md."""
    max_request_units: RequestUnits | None = None
    """Limits of an on-demand table. Without them, only the account's quotas apply."""
    read_capacity: Range = Range(min=5, max=1000)
    """Read units per second of a provisioned table, and of each of its indexes."""
    write_capacity: Range = Range(min=5, max=1000)
    """Write units per second of a provisioned table, and of each of its indexes."""
    target_utilization: Annotated[int, Field(ge=UTILIZATION_TARGET_MIN, le=UTILIZATION_TARGET_MAX)] = 70
    """Target utilization of the capacity, in percent (auto scaling accepts 20 to 90)."""

    @field_validator("indexes")
    @classmethod
    def _distinct_indexes(cls, indexes: list[IndexSettings]) -> list[IndexSettings]:
        refuse_duplicates("name", (index.name for index in indexes))
        return indexes

    @rule
    def _one_type_an_attribute(self) -> Iterator[Broken]:
        types: dict[str, str] = {}
        for keyed in (self, *self.indexes):
            if keyed.range_key and keyed.range_key.name == keyed.hash_key.name:
                yield Broken(f"{keyed.name}: hashKey and rangeKey are both {keyed.hash_key.name}")
            for key in (keyed.hash_key, keyed.range_key):
                if key and types.setdefault(key.name, key.type) != key.type:
                    yield Broken(
                        f"attribute {key.name} has type {key.type} in {keyed.name} and "
                        f"{types[key.name]} elsewhere: give it the same type everywhere"
                    )

    @rule
    def _capacity_for_everything(self) -> Iterator[Broken]:
        for key in ("read_capacity", "write_capacity"):
            if getattr(self, key).min < 1:
                yield Broken(f"{to_camel(key)}.min must be at least 1: provisioned capacity cannot be 0")
            if getattr(self, key).max > TABLE_CAPACITY:
                yield Broken(
                    f"{to_camel(key)}.max ({getattr(self, key).max}) must not be above {TABLE_CAPACITY}, "
                    "DynamoDB's default quota for a table"
                )

    @rule
    def _capacity_that_counts(self) -> Iterator[Broken]:
        capacities = (self.read_capacity, self.write_capacity)
        for field in ("read_capacity", "write_capacity", "target_utilization"):
            if self.billing == "onDemand" and self.given(field):
                yield Broken(
                    "has no effect with billing onDemand, which has no capacity: leave it out",
                    (to_camel(field),),
                )
        fixed = all(capacity.min == capacity.max for capacity in capacities)
        if self.billing == "provisioned" and fixed and self.given("target_utilization"):
            yield Broken(
                "has no effect, because neither readCapacity nor writeCapacity scales: leave it out",
                ("targetUtilization",),
            )

    @rule
    def _indexes_do_not_scale(self) -> Iterator[Broken]:
        if not self.indexes or self.billing == "onDemand":
            return
        for key in ("read_capacity", "write_capacity"):
            capacity: Range = getattr(self, key)
            if capacity.min < capacity.max:
                yield Broken(
                    f"{capacity.min} to {capacity.max} would scale the indexes too, whose capacity a later "
                    "deployment could reset: set billing to onDemand, or min and max to the same number",
                    (to_camel(key),),
                )

    @rule
    def _request_units_on_demand(self) -> Iterator[Broken]:
        if self.max_request_units and self.billing != "onDemand":
            yield Broken(
                "maxRequestUnits requires billing onDemand; readCapacity.max and writeCapacity.max limit a "
                "provisioned table"
            )


DEFAULT_TABLES = [
    TableSettings(
        name=IDEMPOTENCY_TABLE,
        hash_key=AttributeSettings(name="account_id"),
        range_key=AttributeSettings(name="client_order_id"),
        ttl_attribute="expires_at",
    ),
    TableSettings(
        name="market-data",
        hash_key=AttributeSettings(name="symbol"),
        range_key=AttributeSettings(name="at", type="N"),
        indexes=[
            IndexSettings(
                name="by-venue",
                hash_key=AttributeSettings(name="venue"),
                range_key=AttributeSettings(name="at", type="N"),
            )
        ],
        ttl_attribute="expires_at",
        billing="onDemand",
    ),
]
