"""The scheduler's rule for topology spread constraints, in a cluster that starts nodes on demand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

Place = tuple[int, int]
"""Number of a zone, and of a node in it."""


def schedule(
    constraints: Sequence[Mapping[str, Any]],
    replicas: int,
    *,
    zones: int,
    lost: int = 0,
    others: Sequence[Place] = (),
) -> list[Place]:
    """The places of a workload's pods, if the scheduler puts as many as possible together.

    Each pod goes to the fullest node that the constraints allow, since nodes have room for all of them. For a
    pod that fits nowhere, a node is started in the first zone that the constraints allow.

    Args:
        constraints: the pod's `topologySpreadConstraints`.
        replicas: number of pods.
        zones: number of zones in which nodes can start.
        lost: how many of them, from the last, are lost. Their nodes don't count (`nodeTaintsPolicy`).
        others: nodes that already run other pods and have no room for this workload's.

    Raises:
        AssertionError: a pod stays pending.
    """
    pods: Counter[Place] = Counter()
    nodes: list[Place] = [(0, 0)]
    for number in range(replicas):
        new = [(zone, len(nodes)) for zone in range(zones - lost)]
        by_pods = sorted(nodes, key=lambda node: -pods[node])
        fitting = [node for node in by_pods if _fits(constraints, node, pods, [*nodes, *others])]
        starting = [node for node in new if _fits(constraints, node, pods, [*nodes, node, *others])]
        assert fitting or starting, f"pod {number + 1} of {replicas} stays pending"
        place = (fitting or starting)[0]
        if place not in nodes:
            nodes.append(place)
        pods[place] += 1
    return list(pods.elements())


def _fits(
    constraints: Sequence[Mapping[str, Any]], node: Place, pods: Counter[Place], nodes: Sequence[Place]
) -> bool:
    """Whether a pod may run on a node ("Pod Topology Spread Constraints", Kubernetes documentation)."""
    for constraint in constraints:
        assert constraint["nodeTaintsPolicy"] == "Honor"
        if constraint["whenUnsatisfiable"] != "DoNotSchedule":
            continue
        part = {"topology.kubernetes.io/zone": 0, "kubernetes.io/hostname": slice(None)}[
            constraint["topologyKey"]
        ]
        domains: Counter[Any] = Counter({each[part]: 0 for each in nodes})
        for place, count in pods.items():
            domains[place[part]] += count
        enough = len(domains) >= constraint.get("minDomains", 1)
        if domains[node[part]] + 1 - (min(domains.values()) if enough else 0) > constraint["maxSkew"]:
            return False
    return True
