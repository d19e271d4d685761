"""Which changes the simulated Kubernetes provider treats as a replacement."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sandbox.kubernetes.provider import KubernetesProvider
from sandbox.rpc import Call
from sandbox.values import UNKNOWN

SELECTOR = {"matchLabels": {"app": "orders"}}
DEPLOYMENT = {"replicas": 1, "selector": SELECTOR, "template": {"spec": {"serviceAccountName": "orders"}}}


def replaced(tmp_path: Path, kind: str, old: dict[str, Any], new: dict[str, Any]) -> set[str]:
    urn = f"urn:pulumi:test::trading::kubernetes:{kind}::orders"
    api_version, name = kind.split(":")
    common = {
        "apiVersion": api_version,
        "kind": name,
        "metadata": {"name": "orders", "namespace": "trading"},
    }
    call = Call({}, urn, "trading/orders", inputs={**common, **new}, old_inputs={**common, **old})
    return KubernetesProvider(tmp_path).diff(call).replaces


@pytest.mark.parametrize(
    ("kind", "old", "new", "expected"),
    [
        ("apps/v1:Deployment", DEPLOYMENT, {**DEPLOYMENT, "replicas": 2}, set[str]()),
        (
            "apps/v1:Deployment",
            DEPLOYMENT,
            {**DEPLOYMENT, "selector": {"matchLabels": {"app": "x"}}},
            {"spec.selector.matchLabels.app"},
        ),
        ("apps/v1:Deployment", DEPLOYMENT, {**DEPLOYMENT, "template": UNKNOWN}, set[str]()),
        ("batch/v1:Job", DEPLOYMENT, {**DEPLOYMENT, "template": UNKNOWN}, {"spec.template"}),
    ],
)
def test_changed_specification(
    tmp_path: Path, kind: str, old: dict[str, Any], new: dict[str, Any], expected: set[str]
) -> None:
    assert replaced(tmp_path, kind, {"spec": old}, {"spec": new}) == expected


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("apps/v1:Deployment", {"spec"}),
        ("apps/v1:StatefulSet", {"spec"}),
        ("batch/v1:Job", {"spec"}),
        ("v1:Service", {"spec"}),
        ("policy/v1:PodDisruptionBudget", set[str]()),
    ],
)
def test_unknown_specification_counts_as_a_change_of_all_that_is_in_it(
    tmp_path: Path, kind: str, expected: set[str]
) -> None:
    """The engine sends an unknown specification to find out what the replacement of a ConfigMap replaces."""
    assert replaced(tmp_path, kind, {"spec": DEPLOYMENT}, {"spec": UNKNOWN}) == expected
