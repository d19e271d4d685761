"""Settings of tier 6's cache."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated

from pydantic import Field

from settings.aws_limits import (
    CACHE_CPU_TARGET_MAX,
    CACHE_CPU_TARGET_MIN,
    CACHE_NODES,
    CACHE_REPLICAS,
    CACHE_SNAPSHOT_DAYS,
    SCALING_CACHE_NODES,
)
from settings.aws_values import CacheVersion, NodeType
from settings.model import Broken, Model, Range, rule


class CacheReplicas(Range):
    """Number of replicas of each shard. ElastiCache allows five."""

    max: int = Field(ge=0, le=CACHE_REPLICAS)
    """The maximum."""


class CacheSettings(Model):
    """ElastiCache for Valkey with cluster mode enabled."""

    node_type: NodeType = "cache.r7g.large"
    engine_version: CacheVersion = "8.1"
    shards: int = Field(default=3, ge=1, le=CACHE_NODES)
    """Number of shards that hold the keys. More shards hold more data and take more writes; ElastiCache
    moves the keys online."""
    replicas: CacheReplicas = CacheReplicas(min=2, max=4)
    """Replicas of each shard. Auto scaling starts at `min` and adds up to `max`; set both to the same number
    to switch it off."""
    replica_cpu_percent: Annotated[int, Field(ge=CACHE_CPU_TARGET_MIN, le=CACHE_CPU_TARGET_MAX)] = 60
    """Target for the replicas' average engine CPU, in percent (auto scaling accepts 35 to 70)."""
    snapshot_retention_days: int = Field(default=7, ge=0, le=CACHE_SNAPSHOT_DAYS)

    @property
    def scales(self) -> bool:
        """Whether the number of replicas follows the load."""
        return self.replicas.min < self.replicas.max

    @rule
    def _replicas_that_do_not_scale_aim_at_nothing(self) -> Iterator[Broken]:
        if not self.scales and self.given("replica_cpu_percent"):
            yield Broken(
                f"has no effect, because replicas.min and replicas.max are both {self.replicas.max}: leave "
                "it out, or let the replicas scale",
                ("replicaCpuPercent",),
            )

    @rule
    def _nodes_of_a_cluster(self) -> Iterator[Broken]:
        nodes = self.shards * (1 + self.replicas.max)
        if nodes > CACHE_NODES:
            yield Broken(
                f"{self.shards} shards with up to {self.replicas.max} replicas are {nodes} nodes, but a "
                f"cluster has at most {CACHE_NODES}: lower shards or replicas.max"
            )

    @rule
    def _nodes_that_scale(self) -> Iterator[Broken]:
        if not self.scales:
            return
        if not re.fullmatch(SCALING_CACHE_NODES, self.node_type):
            yield Broken(
                f"replicas.max ({self.replicas.max}) is above replicas.min ({self.replicas.min}), but "
                f"{self.node_type} does not support auto scaling: set both to the same number, or choose a "
                "nodeType that supports it, such as cache.r7g.large"
            )
        if self.replicas.min < 1:
            yield Broken(
                "replicas.min must be at least 1 if replicas scale, because they scale on their own CPU"
            )
