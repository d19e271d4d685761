"""Tier 6: the cache."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated

from pydantic import Field

from settings.aws_values import CacheVersion, NodeType
from settings.model import Broken, Model, Range, rule

_SCALING_CACHE_NODES = r"cache\.(r5|r[678]g|r[678]gd|m5|m[678]g|c[78]gn)\.(large|xlarge|2xlarge)"
"""Node types whose replicas scale by themselves (ElastiCache User Guide, "Auto Scaling Valkey and Redis OSS
clusters")."""


class CacheReplicas(Range):
    """How many replicas each shard has; more nodes than that ElastiCache does not take."""

    max: int = Field(ge=0, le=5)
    """The most."""


class CacheSettings(Model):
    """ElastiCache for Valkey, cluster mode."""

    node_type: NodeType = "cache.r7g.large"
    engine_version: CacheVersion = "8.1"
    shards: int = Field(default=3, ge=1, le=500)
    """Parts that the keys are spread over. More make room for data and writes; they are moved online."""
    replicas: CacheReplicas = CacheReplicas(min=2, max=4)
    """Replicas of each shard: `min` at first, the auto-scaling adds up to `max`; the same where it is off."""
    replica_cpu_percent: Annotated[int, Field(ge=35, le=70)] = 60
    """Average engine CPU of the replicas that the auto-scaling aims at (its own limits: 35 to 70)."""
    snapshot_retention_days: int = Field(default=7, ge=0, le=35)

    @property
    def scales(self) -> bool:
        """Whether replicas come and go with the load."""
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
    def _nodes_that_scale(self) -> Iterator[Broken]:
        if not self.scales:
            return
        if not re.fullmatch(_SCALING_CACHE_NODES, self.node_type):
            yield Broken(
                f"replicas.max ({self.replicas.max}) is above replicas.min ({self.replicas.min}), but "
                f"{self.node_type} does not scale by itself: give both the same, or a nodeType that does, "
                "such as cache.r7g.large"
            )
        if self.replicas.min < 1:
            yield Broken(
                "replicas.min must be at least 1 where replicas scale: their CPU is what they follow"
            )
