"""Where the platform's own workloads run in the cluster."""

from __future__ import annotations

ON_DEMAND = "on-demand"
"""Node pool for the order path and for all services that must not be interrupted."""
SPOT = "spot"
"""Node pool for services that tolerate interruptions."""

NODE_TAINT = {"key": "workload", "value": "trading", "effect": "NoSchedule"}
"""Taint of the nodes of both pools: only pods that tolerate it are scheduled there."""
TOLERATION = {**NODE_TAINT, "operator": "Equal"}
"""Toleration of `NODE_TAINT`."""

SCHEDULED_NODES = 2
"""Nodes that the replicas of a workload need at least (`minDomains` of the constraint on hostnames)."""


def scheduled_zones(zones: int) -> int:
    """Zones that the replicas of a workload need at least (`minDomains` of the constraint on zones).

    The scheduler only knows the zones that have nodes. With fewer zones than `minDomains`, each zone gets at
    most `maxSkew` pods, and the pods that stay pending make Auto Mode start nodes in other zones ("Pod
    Topology Spread Constraints", Kubernetes documentation). It is one less than the platform's zones, because
    otherwise the loss of a zone would limit the remaining ones in the same way, just when they take over.
    """
    return max(1, zones - 1)
