"""What the simulated Kubernetes provider does with the resources of a cluster that is gone."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import pytest

from sandbox.kubernetes.provider import KubernetesProvider
from sandbox.rpc import Call, ProviderError
from sandbox.values import Properties

VARIABLE = "PULUMI_K8S_DELETE_UNREACHABLE"
URN = "urn:pulumi:test::trading::kubernetes:{kind}::orders"
OBJECTS = ["apps/v1:Deployment", "core/v1:ConfigMap"]
RELEASE = "helm.sh/v3:Release"


def call(kind: str, **config: Any) -> Call:
    """A call about an object of a cluster at whose address nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"https://127.0.0.1:{free.getsockname()[1]}"
    kubeconfig = {
        "current-context": "gone",
        "clusters": [{"name": "gone", "cluster": {"server": address}}],
        "contexts": [{"name": "gone", "context": {"cluster": "gone", "user": "gone"}}],
        "users": [{"name": "gone", "user": {"token": "t"}}],
    }
    inputs: Properties = {
        "metadata": {"name": "orders", "namespace": "trading"},
        "name": "orders",
        "chart": "keda",
    }
    settings = {name: json.dumps(value) for name, value in config.items()}
    return Call(
        {"kubeconfig": json.dumps(kubeconfig), **settings},
        URN.format(kind=kind),
        "trading/orders",
        inputs=inputs,
    )


@pytest.mark.parametrize("kind", [*OBJECTS, RELEASE])
def test_resource_stays_in_the_state_and_the_error_says_how_to_remove_it(tmp_path: Path, kind: str) -> None:
    provider = KubernetesProvider(tmp_path)
    with pytest.raises(ProviderError, match=f"unreachable cluster.*{VARIABLE}"):
        provider.read(call(kind))
    with pytest.raises(
        ProviderError, match=r"unreachable" if kind == RELEASE else f"unreachable.*{VARIABLE}"
    ):
        provider.delete(call(kind))


@pytest.mark.parametrize("kind", OBJECTS)
def test_variable_removes_it_from_the_state(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, "true")
    provider = KubernetesProvider(tmp_path)
    assert provider.read(call(kind)) is None
    provider.delete(call(kind))


def test_release_is_removed_by_a_refresh_and_not_by_a_destroy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, "true")
    provider = KubernetesProvider(tmp_path)
    assert provider.read(call(RELEASE)) is None
    with pytest.raises(ProviderError, match="can't delete Helm Release with unreachable cluster"):
        provider.delete(call(RELEASE))


@pytest.mark.parametrize(
    ("variable", "option", "removed"), [("true", False, False), ("", True, True), ("1", None, False)]
)
def test_providers_own_option_comes_first(
    tmp_path: Path, variable: str, option: bool | None, removed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, variable)
    provider = KubernetesProvider(tmp_path)
    about = call(OBJECTS[0]) if option is None else call(OBJECTS[0], deleteUnreachable=option)
    assert provider.check_config(about.config) == []
    if removed:
        assert provider.read(about) is None
    else:
        with pytest.raises(ProviderError, match="unreachable"):
            provider.read(about)
