"""Sends everything that the fixture stacks send to a cluster to a real API server."""

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.service.autoscaler import NAMESPACE as KEDA_NAMESPACE
from components.service.cluster import SECRETS_STORE_NAMESPACE
from sandbox.kubernetes.client import ApiError, Cluster
from tests.cluster.test_chart import helm
from tests.unit.harness import ROOT, STACKS, platform

COMPONENTS = (
    "kubernetes:helm.sh/v3:Release",
    "kubernetes:helm.sh/v4:Chart",
    "kubernetes:yaml/v2:ConfigGroup",
)


def manifests() -> list[dict[str, Any]]:
    return [
        document
        for path in sorted((ROOT / "k8s" / "manifests").glob("*.yaml"))
        for document in yaml.safe_load_all(path.read_text())
    ]


def charts(stack: str, directory: Path) -> Iterator[dict[str, Any]]:
    for chart in platform(stack).of("kubernetes:helm.sh/v4:Chart"):
        rendered = helm(directory, "template", chart.inputs["name"], **chart.inputs["values"])
        assert rendered.returncode == 0, rendered.stderr
        yield from (document for document in yaml.safe_load_all(rendered.stdout) if document)


@pytest.fixture(scope="module")
def cluster(api: Cluster) -> Cluster:
    """The API server with the manifests applied; their file's name puts namespaces first."""
    documents = manifests()
    for document in sorted(documents, key=lambda item: item["kind"] != "Namespace"):
        api.apply(document, "test", force=True)
    return api


def test_manifests_are_accepted(cluster: Cluster):
    for document in manifests():
        assert cluster.get(document), document["metadata"]["name"]


@pytest.mark.parametrize("stack", STACKS)
def test_every_object_of_the_stack_is_accepted(cluster: Cluster, stack: str):
    kinds: set[str] = set()
    for resource in platform(stack).resources:
        if resource.type.startswith("kubernetes:") and resource.type not in COMPONENTS:
            document: dict[str, Any] = {"metadata": {"name": resource.name}, **resource.inputs}
            if document["metadata"].get("namespace") in (KEDA_NAMESPACE, SECRETS_STORE_NAMESPACE):
                # The dry run has not created the namespaces of these names.
                document["metadata"] = {**document["metadata"], "namespace": "trading"}
            cluster.create(document, "test", dry_run=True)
            kinds.add(document["kind"])
    assert kinds == {
        *("ClusterTriggerAuthentication", "ConfigMap", "Job", "Namespace", "NetworkPolicy", "NodeClass"),
        *("NodePool", "ResourceQuota", "ScaledObject", "ServiceAccount", "TargetGroupBinding"),
    }


def test_node_that_would_outlive_auto_modes_limit_is_refused(cluster: Cluster):
    pool = platform("small").named("cluster-us-east-1-on-demand")
    document = copy.deepcopy(pool.inputs)
    spec = document["spec"]["template"]["spec"]
    for expires, grace in (("504h", "1h"), ("Never", "1h"), ("481h", None)):
        spec["expireAfter"] = expires
        spec.pop("terminationGracePeriod", None)
        if grace:
            spec["terminationGracePeriod"] = grace
        with pytest.raises(ApiError, match="may not exceed 21 days"):
            cluster.create(document, "test", dry_run=True)


@pytest.mark.parametrize("stack", STACKS)
def test_charts_objects_are_accepted(cluster: Cluster, stack: str, tmp_path: Path):
    kinds: set[str] = set()
    for document in charts(stack, tmp_path):
        cluster.create(document, "test", dry_run=True)
        kinds.add(document["kind"])
    assert kinds == {"Deployment", "NetworkPolicy", "PodDisruptionBudget", "Service", "ServiceAccount"}


def test_every_part_of_the_chart_is_accepted(cluster: Cluster, tmp_path: Path):
    rendered = helm(
        tmp_path,
        *("template", "orders"),
        secrets={"PARTNER_KEY": "trading/partner"},
        calls=[{"name": "accounts", "port": 8080}],
        callers=["positions"],
    )
    documents = {document["kind"]: document for document in yaml.safe_load_all(rendered.stdout) if document}
    assert "SecretProviderClass" in documents
    for document in documents.values():
        cluster.create(document, "test", dry_run=True)
    template = documents["Deployment"]["spec"]["template"]
    cluster.apply(documents["ServiceAccount"], "test", force=True)
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {**template["metadata"], "name": "with-secrets", "namespace": "trading"},
        "spec": template["spec"],
    }
    assert cluster.create(pod, "test", dry_run=True), "the restricted pod security admits the secrets' volume"


def test_pods_meet_the_restricted_pod_security(cluster: Cluster, tmp_path: Path):
    """A Deployment is always accepted; the namespace's pod security checks its pods."""
    documents = list(charts("small", tmp_path))
    for document in documents:
        if document["kind"] == "ServiceAccount":
            cluster.apply(document, "test")
    deployment = next(document for document in documents if document["kind"] == "Deployment")
    template = deployment["spec"]["template"]
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {**template["metadata"], "name": "pod", "namespace": "trading"},
        "spec": template["spec"],
    }
    assert cluster.create(pod, "test", dry_run=True)["spec"]["priority"] == 1000000
    template["spec"]["containers"][0]["securityContext"]["allowPrivilegeEscalation"] = True
    with pytest.raises(ApiError, match="violates PodSecurity"):
        cluster.create(pod, "test", dry_run=True)
