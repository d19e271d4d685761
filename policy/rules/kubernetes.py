"""Rules about the Kubernetes cluster, its nodes, its charts and its autoscaling."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime

from policy.rule import Resource, is_map, listed, must_be, must_be_set, rule
from policy.rules.access import must_be_our_key
from settings import (
    is_the_internet,
    oldest_version_in_standard_support,
    pinned_chart,
)

COMPONENT = "eks:index:Cluster"
CLUSTER = "aws:eks/cluster:Cluster"
ACCESS_ENTRY = "aws:eks/accessEntry:AccessEntry"
NODE_CLASS = "kubernetes:eks.amazonaws.com/v1:NodeClass"
RELEASE = "kubernetes:helm.sh/v3:Release"
CHART = "kubernetes:helm.sh/v4:Chart"
SCALED_OBJECT = "kubernetes:keda.sh/v1alpha1:ScaledObject"


@rule("A cluster in production has deletion protection", CLUSTER, COMPONENT)
def cluster_is_protected(cluster: Resource) -> Iterator[str]:
    if cluster.is_production and not _is_shell(cluster):
        yield from must_be(cluster, "deletionProtection", True)


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
