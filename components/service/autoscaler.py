"""Tier 6, the autoscaler: KEDA, which scales pods on Prometheus metrics, and the Metrics Server for CPU."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws
import pulumi_kubernetes as k8s

from components.common.arns import resource_name
from components.common.component import Component
from components.common.signals import Signal
from components.common.workloads import SCHEDULED_NODES, scheduled_zones
from components.service.egress import add_on_egress
from components.service.pod_identity import pod_identity
from settings.aws_limits import RULES_PER_GROUP

NAMESPACE = "keda"
OPERATOR = "keda-operator"
"""Name of KEDA's operator and of its service account in the chart."""
OPERATOR_PORT = 9666
"""Port on which the operator serves metrics to KEDA's metrics API (`values.yaml` in kedacore/charts)."""
IMAGE_REGISTRY = "ghcr.io"
"""Registry of the images of KEDA's chart (`values.yaml` in kedacore/charts). The chart's version determines
their tags. It doesn't pin digests."""
LOAD_METRIC = "trading:scaling_load"
"""Series that the recording rules write: the value of each service's scaling query, with the label
`service`."""
RULES = "scaling"
"""Name of the recording rules' namespace in the workspace, and of the first group in it."""
RULE_INTERVAL_SECONDS = 30
"""The scrape interval of the pods. A shorter interval would return the same values."""


@dataclass(frozen=True, kw_only=True)
class AutoscalerArgs:
    """Settings of KEDA."""

    cluster_name: str
    cluster_arn: pulumi.Input[str]
    kubernetes: k8s.Provider
    vpc_cidr: str
    zones: int
    """Number of zones with nodes."""
    chart_version: str
    image_registry: str
    """Registry of KEDA's images: `IMAGE_REGISTRY`, or its mirror."""
    metrics_server_version: str
    """Version of the EKS add-on."""
    workspace_arn: pulumi.Input[str]
    """The only Prometheus workspace that KEDA may read."""
    queries: Mapping[str, str]
    """Service → its scaling query, which the workspace evaluates and records."""
    ready: list[pulumi.Resource]
    """Node pools and other resources that must exist before pods."""


class Autoscaler(Component):
    """KEDA, its role for the Prometheus workspace and the authentication of its triggers; the Metrics Server.

    A metric leads to a node in these steps: the scraper reads the pods' metrics, a recording rule of the
    workspace turns them into one series per service, KEDA reads only that series (so an expensive query is
    evaluated once, however many clients read it) and scales the pods, and Auto Mode adds or removes nodes.
    """

    authentication: str
    """Name of the `ClusterTriggerAuthentication` that scaled objects refer to."""
    load_metric: str
    """The series that scaled objects read, with the label `service`."""
    rule_groups: Sequence[str]
    """The rule groups that write the series, in CloudWatch's form: `NAMESPACE;GROUP`."""
    ready: list[pulumi.Resource]
    """Scaled objects depend on these, because the Helm release installs KEDA's CRDs."""

    def __init__(self, name: str, args: AutoscalerArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("trading:tier:Autoscaler", name, opts)

        metrics_server = aws.eks.Addon(
            f"{name}-metrics-server",
            addon_name="metrics-server",
            addon_version=args.metrics_server_version,
            cluster_name=resource_name(args.cluster_arn),
            resolve_conflicts_on_create="OVERWRITE",
            resolve_conflicts_on_update="OVERWRITE",
            opts=self.child(),
        )
        namespace = k8s.core.v1.Namespace(
            f"{name}-namespace",
            metadata={
                "name": NAMESPACE,
                "labels": {
                    "pod-security.kubernetes.io/enforce": "restricted",
                    "pod-security.kubernetes.io/warn": "restricted",
                },
            },
            opts=self.child(provider=args.kubernetes, depends_on=args.ready),
        )
        policy = self._network_policy(name, args, namespace)
        _, identity = pod_identity(
            self,
            name,
            cluster_arn=args.cluster_arn,
            namespace=NAMESPACE,
            service_account=OPERATOR,
            statements=[
                {
                    "Effect": "Allow",
                    "Action": ["aps:QueryMetrics", "aps:GetLabels", "aps:GetSeries", "aps:GetMetricMetadata"],
                    "Resource": args.workspace_arn,
                }
            ],
        )
        release = k8s.helm.v3.Release(
            f"{name}-keda",
            name="keda",
            chart="keda",
            version=args.chart_version,
            namespace=namespace.metadata.name,
            repository_opts={"repo": "https://kedacore.github.io/charts"},
            values=_values(args),
            max_history=5,
            timeout=600,
            # A pod that starts before the association gets no credentials.
            opts=self.child(provider=args.kubernetes, depends_on=[identity, policy]),
        )
        self.authentication = "managed-prometheus"
        authentication = k8s.apiextensions.CustomResource(
            f"{name}-authentication",
            api_version="keda.sh/v1alpha1",
            kind="ClusterTriggerAuthentication",
            metadata={"name": self.authentication},
            # If `identityOwner` is set, even to its default, KEDA rejects the trigger (kedacore/keda #6418).
            spec={"podIdentity": {"provider": "aws"}},
            # The release installs the CRD of this kind.
            opts=self.child(provider=args.kubernetes, depends_on=[release]),
        )
        aws.amp.RuleGroupNamespace(
            f"{name}-rules",
            name=RULES,
            workspace_id=resource_name(args.workspace_arn),
            data=recording_rules(args.queries),
            opts=self.child(),
        )
        self.load_metric = LOAD_METRIC
        self.rule_groups = [f"{RULES};{group}" for group in _grouped(args.queries)]
        self.ready = [authentication, metrics_server]
        self.report(
            Signal(
                name="autoscaler-operator-pods",
                title="KEDA isn't running, so services don't scale on Prometheus metrics",
                namespace="ContainerInsights",
                metric="service_number_of_running_pods",
                dimensions={"ClusterName": args.cluster_name, "Namespace": NAMESPACE, "Service": OPERATOR},
                statistic="Minimum",
                comparison="below",
                threshold=1,
                periods=5,
                reason="One of the two operator pods is enough. Without any, services keep their number of "
                "pods.",
                severity="critical",
                missing_data="breaching",
            )
        )
        self.register_outputs({"authentication": self.authentication})

    def _network_policy(
        self, name: str, args: AutoscalerArgs, namespace: k8s.core.v1.Namespace
    ) -> k8s.networking.v1.NetworkPolicy:
        """Where KEDA's pods may connect.

        Inbound traffic stays open, because the API server calls the webhooks and the metrics API.
        """
        return k8s.networking.v1.NetworkPolicy(
            f"{name}-policy",
            metadata={"name": NAMESPACE, "namespace": namespace.metadata.name},
            spec={
                "pod_selector": {},
                "policy_types": ["Egress"],
                "egress": [
                    *add_on_egress(args.vpc_cidr),
                    # The metrics API asks the operator.
                    {"to": [{"pod_selector": {}}], "ports": [{"protocol": "TCP", "port": OPERATOR_PORT}]},
                ],
            },
            opts=self.child(provider=args.kubernetes),
        )


def recording_rules(queries: Mapping[str, str]) -> str:
    """The rules file. It is JSON, which is also valid YAML, so that no query can break the quoting."""
    groups = [
        {
            "name": group,
            "interval": f"{RULE_INTERVAL_SECONDS}s",
            "rules": [
                {"record": LOAD_METRIC, "expr": queries[service], "labels": {"service": service}}
                for service in services
            ],
        }
        for group, services in _grouped(queries).items()
    ]
    return json.dumps({"groups": groups}, indent=2)


def _grouped(services: Mapping[str, str]) -> dict[str, list[str]]:
    """Rule group → its services, one rule each, and no more than a group has room for."""
    names = list(services)
    batches = [names[start : start + RULES_PER_GROUP] for start in range(0, len(names), RULES_PER_GROUP)]
    return {RULES if not index else f"{RULES}-{index + 1}": batch for index, batch in enumerate(batches)}


def _values(args: AutoscalerArgs) -> dict[str, Any]:
    """Values of KEDA's chart. Its default security contexts already meet the `restricted` Pod Security
    Standard."""
    return {
        "clusterName": args.cluster_name,
        "global": {"image": {"registry": args.image_registry}},
        # The second replica of each is a standby that shortens a failover.
        **{part: {"replicaCount": 2} for part in ("operator", "metricsServer", "webhooks")},
        "topologySpreadConstraints": {
            part: _apart(app, args.zones)
            for part, app in (
                ("operator", OPERATOR),
                ("metricsServer", f"{OPERATOR}-metrics-apiserver"),
                ("webhooks", "keda-admission-webhooks"),
            )
        },
        "podDisruptionBudget": {
            part: {"maxUnavailable": 1} for part in ("operator", "metricServer", "webhooks")
        },
    }


def _apart(app: str, zones: int) -> list[dict[str, Any]]:
    """Constraints that keep the replicas of one of KEDA's Deployments in different zones and on different
    nodes."""
    shared: dict[str, Any] = {
        "maxSkew": 1,
        "whenUnsatisfiable": "DoNotSchedule",
        "nodeTaintsPolicy": "Honor",
        "matchLabelKeys": ["pod-template-hash"],
        "labelSelector": {"matchLabels": {"app": app}},
    }
    return [
        {"topologyKey": "topology.kubernetes.io/zone", "minDomains": scheduled_zones(zones), **shared},
        {"topologyKey": "kubernetes.io/hostname", "minDomains": SCHEDULED_NODES, **shared},
    ]
