"""Rules about Kubernetes: the cluster, its nodes and its workloads."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from policy.rule import Resource, is_map, listed, must_be, must_be_set, rule
from policy.rules.access import must_be_our_key
from settings import (
    is_the_internet,
    oldest_version_in_standard_support,
    pinned_chart,
    pinned_image,
    reachable_image,
)

COMPONENT = "eks:index:Cluster"
CLUSTER = "aws:eks/cluster:Cluster"
ACCESS_ENTRY = "aws:eks/accessEntry:AccessEntry"
NODE_CLASS = "kubernetes:eks.amazonaws.com/v1:NodeClass"
RELEASE = "kubernetes:helm.sh/v3:Release"
CHART = "kubernetes:helm.sh/v4:Chart"
SCALED_OBJECT = "kubernetes:keda.sh/v1alpha1:ScaledObject"
WORKLOADS = (
    "kubernetes:apps/v1:Deployment",
    "kubernetes:apps/v1:StatefulSet",
    "kubernetes:apps/v1:DaemonSet",
    "kubernetes:batch/v1:Job",
)


@rule("A cluster's Kubernetes version is supported", CLUSTER, COMPONENT, controls=["EKS.2"])
def cluster_version_is_supported(cluster: Resource) -> Iterator[str]:
    if _is_shell(cluster):
        return
    version = str(cluster.get("version") or "")
    oldest = oldest_version_in_standard_support(datetime.now(UTC).date())
    if not version:
        yield f"version is not set: set it to {oldest} or newer"
    elif _order(version) < _order(oldest):
        yield f"version is {version}: use {oldest} or newer"


@rule("Kubernetes Secrets are encrypted with the platform's key", CLUSTER, COMPONENT, controls=["EKS.3"])
def cluster_secrets_are_encrypted(cluster: Resource) -> Iterator[str]:
    if not _is_shell(cluster):
        path = "encryptionConfig.provider.keyArn" if cluster.type == CLUSTER else "encryptionConfigKeyArn"
        yield from must_be_our_key(cluster, path)


@rule("A cluster writes an audit log", CLUSTER, COMPONENT, controls=["EKS.8"])
def cluster_is_audited(cluster: Resource) -> Iterator[str]:
    if not _is_shell(cluster) and "audit" not in listed(cluster.get("enabledClusterLogTypes")):
        yield "enabledClusterLogTypes does not contain audit: add it"


@rule("A cluster's endpoint only allows named networks", CLUSTER, COMPONENT)
def cluster_endpoint_is_not_open(cluster: Resource) -> Iterator[str]:
    if _is_shell(cluster):
        return
    place = "vpcConfig." if cluster.type == CLUSTER else ""
    # By default, the endpoint is public and allows every network.
    if cluster.get(f"{place}endpointPublicAccess") is False:
        return
    networks = listed(cluster.get(f"{place}publicAccessCidrs"))
    if not networks or any(map(is_the_internet, networks)):
        yield "publicAccessCidrs allows the whole internet: name the networks that you deploy from"


@rule("No role is in a group with all rights of the cluster", ACCESS_ENTRY)
def access_entry_names_no_masters(entry: Resource) -> Iterator[str]:
    for group in listed(entry.get("kubernetesGroups")):
        if str(group).startswith("system:"):
            yield f"kubernetesGroups contains {group}: use a group of your own, or an access policy"


@rule("Nodes' disks are encrypted with the platform's key", NODE_CLASS, controls=["EC2.3"])
def node_disks_are_encrypted(node_class: Resource) -> Iterator[str]:
    yield from must_be_our_key(node_class, "spec.ephemeralStorage.kmsKeyID")


@rule("Traffic that no network policy allows is denied", NODE_CLASS)
def nodes_deny_by_default(node_class: Resource) -> Iterator[str]:
    yield from must_be(node_class, "spec.networkPolicy", "DefaultDeny")


@rule("Third-party charts have a pinned version", RELEASE, CHART)
def chart_is_pinned(chart: Resource) -> Iterator[str]:
    if not _is_shell(chart) and not str(chart.get("chart") or "").startswith((".", "/")):
        version = chart.get("version")
        if not version:
            yield "version is not set: set it"
        else:
            yield from _refusal(pinned_chart, "version", version)


@rule("Images have a pinned version", CHART, *WORKLOADS)
def image_is_pinned(resource: Resource) -> Iterator[str]:
    for image in _images(resource):
        yield from _refusal(pinned_image, "image", image)


@rule("Nodes can pull images from their registry", CHART, *WORKLOADS)
def image_is_reachable(resource: Resource) -> Iterator[str]:
    for image in _images(resource):
        yield from _refusal(reachable_image, "image", image)


@rule("Containers have no privileges", *WORKLOADS)
def containers_have_no_privileges(workload: Resource) -> Iterator[str]:
    pod = _map(workload.get("spec.template.spec.securityContext"))
    for container in _containers(workload):
        context = _map(container.get("securityContext"))
        name = container.get("name")
        if context.get("privileged"):
            yield f"container {name} is privileged: remove privileged"
        if context.get("allowPrivilegeEscalation") is not False:
            yield f"container {name}: allowPrivilegeEscalation is not false: set it to false"
        own = context.get("runAsNonRoot")
        if not (own if own is not None else pod.get("runAsNonRoot")):
            yield f"container {name}: runAsNonRoot is not true, for the container or the pod: set it to true"


@rule("Containers have resource requests and a memory limit", *WORKLOADS)
def containers_have_limits(workload: Resource) -> Iterator[str]:
    for container in _containers(workload):
        resources = _map(container.get("resources"))
        for kind, name in (("requests", "cpu"), ("requests", "memory"), ("limits", "memory")):
            if not _map(resources.get(kind)).get(name):
                yield f"container {container.get('name')}: resources.{kind}.{name} is not set: set it"


@rule("Autoscaling doesn't scale down when metrics are missing", SCALED_OBJECT)
def scaling_survives_missing_metrics(scaled: Resource) -> Iterator[str]:
    triggers = [trigger for trigger in listed(scaled.get("spec.triggers")) if is_map(trigger)]
    prometheus = [trigger for trigger in triggers if trigger.get("type") == "prometheus"]
    for trigger in prometheus:
        metadata = trigger.get("metadata")
        # By default, KEDA takes a failed exporter for zero load, and scales down.
        if not is_map(metadata) or metadata.get("ignoreNullValues") != "false":
            yield 'a prometheus trigger\'s ignoreNullValues is not "false": set it to "false"'
    if prometheus:
        yield from must_be_set(
            scaled, "spec.fallback", "set the number of replicas for when metrics are missing"
        )


def _order(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))


def _refusal(check: Callable[[str], str], what: str, value: str) -> Iterator[str]:
    try:
        check(value)
    except ValueError as error:
        yield f"{what} {value} {error}"


def _is_shell(component: Resource) -> bool:
    """Whether it is a component that its provider registers without inputs. Its children are checked
    instead."""
    return component.type in (COMPONENT, CHART) and not component.properties


def _map(value: object) -> Mapping[str, Any]:
    return value if is_map(value) else {}


def _images(resource: Resource) -> Iterator[str]:
    images = [resource.get("values.image")] if resource.type == CHART else []
    images += [container.get("image") for container in _containers(resource)]
    yield from (image for image in images if isinstance(image, str))


def _containers(workload: Resource) -> list[Mapping[str, Any]]:
    pod = workload.get("spec.template.spec")
    if not is_map(pod):
        return []
    found = [*listed(pod.get("initContainers")), *listed(pod.get("containers"))]
    return [container for container in found if is_map(container)]
