"""Where the platform's own workloads run in the cluster."""

from __future__ import annotations

WORKLOAD_NAMESPACE = "trading"
"""Namespace of the microservices (`k8s/manifests/namespace.yaml`)."""

ON_DEMAND = "on-demand"
"""Node pool of the order path, and of every service that must not be interrupted."""
SPOT = "spot"
"""Node pool of services that tolerate an interruption."""

NODE_TAINT = {"key": "workload", "value": "trading", "effect": "NoSchedule"}
"""Taint of the nodes of both pools: only pods that tolerate it are scheduled there."""
TOLERATION = {**NODE_TAINT, "operator": "Equal"}
"""Toleration of `NODE_TAINT`."""
