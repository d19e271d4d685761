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
