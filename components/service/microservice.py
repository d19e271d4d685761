"""Tier 6, one microservice: its chart, its identity and its registration with the internal load balancer."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_kubernetes as k8s

from components.common.access import HTTPS_PORT, Access
from components.common.component import Component
from components.common.context import RegionContext
from components.common.signals import Signal
from components.common.workloads import ON_DEMAND, SPOT, scheduled_zones
from components.service.autoscaler import LOAD_METRIC
from components.service.pod_identity import pod_identity
from settings import WORKLOAD_NAMESPACE, ServiceSettings
from settings.aws_limits import SECRET_ARN_SUFFIX

UNKNOWN_CHECKSUM = "known-once-deployed"
"""The value that a preview shows instead of the checksum of endpoints that don't exist yet."""


@dataclass(frozen=True, kw_only=True)
class MicroserviceArgs:
    """Settings of one microservice."""

    context: RegionContext
    settings: ServiceSettings
    image: str
    """The service's image, or its copy in a mirror."""
    cluster_name: str
    cluster_arn: pulumi.Input[str]
    kubernetes: k8s.Provider
    target_group_arn: pulumi.Input[str]
    vpc_cidr: str
    zones: int
    """Number of zones with nodes."""
    access: Sequence[Access]
    """The access that each of the region's data stores grants the service."""
    calls: Mapping[str, int]
    """Service that this service calls → port."""
    workspace_endpoint: pulumi.Input[str]
    trigger_authentication: str
    callers: Sequence[str]
    """The services that call this service."""
    ready: list[pulumi.Resource]
    """Node pools, namespace and KEDA, and in the primary region the migrations."""


class Microservice(Component):
    """A service's Deployment, Service, ServiceAccount, PodDisruptionBudget, network policy and scaling.

    The chart's values are plain, so that a preview shows every object. Resources that need outputs (the
    ConfigMap of endpoints, the TargetGroupBinding, the scaled object with the workspace's address, the role's
    association) are separate from the chart. The chart only gets a checksum of the endpoints.
    """

    role_arn: pulumi.Output[str]

    def __init__(self, name: str, args: MicroserviceArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("trading:tier:Microservice", name, opts)
        service = args.settings

        role, identity = pod_identity(
            self,
            name,
            cluster_arn=args.cluster_arn,
            namespace=WORKLOAD_NAMESPACE,
            service_account=service.name,
            statements=_statements(self.account_id, args),
        )
        self.role_arn = role.arn
        endpoints = k8s.core.v1.ConfigMap(
            f"{name}-endpoints",
            metadata={"name": f"{service.name}-endpoints", "namespace": WORKLOAD_NAMESPACE},
            data=_environment(args),
            opts=self.child(provider=args.kubernetes, depends_on=args.ready),
        )
        binding = k8s.apiextensions.CustomResource(
            f"{name}-binding",
            api_version="eks.amazonaws.com/v1",
            kind="TargetGroupBinding",
            metadata={"name": service.name, "namespace": WORKLOAD_NAMESPACE},
            spec={
                "targetGroupARN": args.target_group_arn,
                "targetType": "ip",
                "serviceRef": {"name": service.name, "port": service.tls_port or service.port},
            },
            opts=self.child(
                provider=args.kubernetes,
                depends_on=args.ready,
                # Its controller rejects changes of these properties, and a name can have only one binding.
                replace_on_changes=["spec.targetGroupARN", "spec.targetType"],
                delete_before_replace=True,
            ),
        )
        chart = k8s.helm.v4.Chart(
            f"{name}-chart",
            name=service.name,
            chart="./k8s/charts/microservice",
            namespace=WORKLOAD_NAMESPACE,
            values=_values(args),
            # Pods read the ConfigMap and assume the role at startup, and get their readiness gate only if the
            # binding already exists. A destroy deletes the pods first, which drains their targets.
            opts=self.child(provider=args.kubernetes, depends_on=[*args.ready, endpoints, identity, binding]),
        )
        k8s.apiextensions.CustomResource(
            f"{name}-scaling",
            api_version="keda.sh/v1alpha1",
            kind="ScaledObject",
            metadata={"name": service.name, "namespace": WORKLOAD_NAMESPACE},
            spec=_scaling(args),
            # KEDA rejects a CPU trigger for a Deployment that doesn't exist.
            opts=self.child(provider=args.kubernetes, depends_on=[chart]),
        )
        self.report(*_signals(args))
        self.register_outputs({"roleArn": self.role_arn})


def _values(args: MicroserviceArgs) -> dict[str, Any]:
    """Values of the chart, all of which are known in a preview."""
    service = args.settings
    ports = [port for access in args.access for port in access.ports]
    # DynamoDB's endpoint comes last.
    ports.sort(key=lambda port: port == HTTPS_PORT)
    return {
        "name": service.name,
        "image": args.image,
        "port": service.port,
        "tlsPort": service.tls_port or 0,
        "endpoints": {"configMap": f"{service.name}-endpoints", "checksum": _checksum(_environment(args))},
        "cpu": service.cpu,
        "memory": service.memory,
        "probes": {"health": service.health_path, "ready": service.ready_path},
        "metrics": {"path": service.metrics_path, "port": service.metrics_port or service.port},
        "nodePools": [SPOT, ON_DEMAND] if service.spot else [ON_DEMAND],
        "spread": {
            "zones": scheduled_zones(args.zones),
            # The loss of a node costs at most half of the minimum. A higher limit would put more at risk; one
            # pod for each node would need as many nodes as pods.
            "podsPerNode": math.ceil(service.replicas.min / 2),
        },
        "architectures": ["amd64", "arm64"] if service.arm64 else ["amd64"],
        "priorityClassName": "trading-standard" if service.spot else "trading-critical",
        "vpcCidr": args.vpc_cidr,
        "egress": [{"cidr": args.vpc_cidr, "port": port} for port in ports],
        "calls": [{"name": callee, "port": port} for callee, port in args.calls.items()],
        "callers": list(args.callers),
        "secrets": dict(service.secrets),
        "region": args.context.region,
    }


def _environment(args: MicroserviceArgs) -> dict[str, pulumi.Input[str]]:
    """Environment of the containers: how to reach the services and data stores that the service declares."""
    service = args.settings
    environment: dict[str, pulumi.Input[str]] = {"AWS_REGION": args.context.region}
    if service.tls_port:
        environment["TLS_PORT"] = str(service.tls_port)
        environment["TLS_CERTIFICATE_FILE"] = "/tls/tls.crt"
        environment["TLS_KEY_FILE"] = "/tls/tls.key"
    for callee, port in args.calls.items():
        environment[f"SERVICE_{callee.upper().replace('-', '_')}"] = f"http://{callee}:{port}"
    for access in args.access:
        environment |= access.environment
    return environment


def _checksum(environment: Mapping[str, pulumi.Input[str]]) -> pulumi.Output[str]:
    """Digest of the environment. It is part of the pods, so a changed endpoint restarts them.

    The value is always known, because a single unknown value would hide the whole chart in a preview. If the
    deployment has yet to create an endpoint, the preview uses `UNKNOWN_CHECKSUM` and so shows that the pods
    will restart.
    """
    digest = pulumi.Output.json_dumps(environment, sort_keys=True).apply(
        lambda text: hashlib.sha256(text.encode()).hexdigest()[:16]
    )

    async def known() -> str:
        return await digest.future() or UNKNOWN_CHECKSUM

    return pulumi.Output.from_input(known())


def _statements(account_id: pulumi.Output[str], args: MicroserviceArgs) -> list[Mapping[str, Any]]:
    """IAM statements for the data stores and secrets that the service declares."""
    statements = [statement for access in args.access for statement in access.statements]
    secrets = sorted(set(args.settings.secrets.values()))
    if not secrets:
        return statements
    return [
        *statements,
        {
            "Effect": "Allow",
            "Action": ["secretsmanager:GetSecretValue", "secretsmanager:DescribeSecret"],
            "Resource": [_secret_arn(args.context.region, account_id, secret) for secret in secrets],
        },
        # For secrets that are encrypted with our key; the AWS managed key needs no permission.
        {
            "Effect": "Allow",
            "Action": ["kms:Decrypt"],
            "Resource": [args.context.key_arn],
            "Condition": {
                "StringEquals": {"kms:ViaService": f"secretsmanager.{args.context.region}.amazonaws.com"}
            },
        },
    ]


def _secret_arn(region: str, account_id: pulumi.Output[str], secret: str) -> pulumi.Input[str]:
    """A secret's ARN from its name, to which AWS adds six characters. `-??????` matches no other secret, but
    `-*` could ("Identity-based policies", Secrets Manager User Guide)."""
    if secret.startswith("arn:"):
        return secret
    return pulumi.Output.concat(
        "arn:aws:secretsmanager:", region, ":", account_id, f":secret:{secret}-{'?' * SECRET_ARN_SUFFIX}"
    )


def _scaling(args: MicroserviceArgs) -> dict[str, Any]:
    """Specification of the scaled object. The trigger, query or CPU, that requires more pods determines their
    number."""
    service = args.settings
    return {
        "scaleTargetRef": {"name": service.name},
        "pollingInterval": 15,
        "minReplicaCount": service.replicas.min,
        "maxReplicaCount": service.replicas.max,
        # If the workspace can't be read, no pod is removed and at least this number is kept.
        "fallback": {
            "failureThreshold": 3,
            "replicas": service.scaling.fallback_replicas or service.replicas.min,
            "behavior": "currentReplicasIfHigher",
        },
        "advanced": {
            "horizontalPodAutoscalerConfig": {
                "name": service.name,
                "behavior": {
                    "scaleUp": {
                        "stabilizationWindowSeconds": 0,
                        "policies": [{"type": "Percent", "value": 100, "periodSeconds": 15}],
                    },
                    # Trading comes in bursts, so recently needed pods are kept and removed slowly.
                    "scaleDown": {
                        "stabilizationWindowSeconds": service.scaling.scale_down_seconds,
                        "policies": [{"type": "Percent", "value": 20, "periodSeconds": 60}],
                    },
                },
            }
        },
        "triggers": [
            {
                "type": "prometheus",
                "metricType": "AverageValue",
                "metadata": {
                    # The workspace's endpoint ends in a slash, and the path that KEDA appends starts with
                    # one.
                    "serverAddress": pulumi.Output.from_input(args.workspace_endpoint).apply(
                        lambda endpoint: endpoint.rstrip("/")
                    ),
                    "query": f'{LOAD_METRIC}{{service="{service.name}"}}',
                    "threshold": f"{service.scaling.threshold:g}",
                    "awsRegion": args.context.region,
                    # By default, missing data counts as zero, so a failed exporter would scale the service
                    # down. A query without a value isn't recorded, so its series ends immediately.
                    "ignoreNullValues": "false",
                },
                "authenticationRef": {
                    "kind": "ClusterTriggerAuthentication",
                    "name": args.trigger_authentication,
                },
            },
            {
                "type": "cpu",
                "metricType": "Utilization",
                "metadata": {"value": str(service.scaling.cpu_percent)},
            },
        ],
    }


def _signals(args: MicroserviceArgs) -> list[Signal]:
    """Signals from Container Insights ("Enhanced Container Insights metric reference", CloudWatch User
    Guide)."""
    service = args.settings
    dimensions = {"ClusterName": args.cluster_name, "Namespace": WORKLOAD_NAMESPACE}
    return [
        Signal(
            name=f"{service.name}-pods-missing",
            dashboard=service.name,
            runbook="service-pods-missing",
            title=f"The {service.name} service has fewer pods than its minimum",
            namespace="ContainerInsights",
            metric="service_number_of_running_pods",
            dimensions={**dimensions, "Service": service.name},
            statistic="Minimum",
            comparison="below",
            threshold=service.replicas.min,
            periods=10,
            reason="A lost pod and its node are replaced within minutes. After ten minutes, something "
            "prevents it.",
            severity="critical",
            missing_data="breaching",
        ),
        Signal(
            name=f"{service.name}-pods-at-maximum",
            dashboard=service.name,
            runbook="service-pods-at-maximum",
            title=f"The {service.name} service has scaled to its maximum number of pods",
            namespace="ContainerInsights",
            metric="service_number_of_running_pods",
            dimensions={**dimensions, "Service": service.name},
            statistic="Maximum",
            threshold=service.replicas.max - 1,
            periods=15,
            reason="A burst passes within 15 minutes. A load that stays needs a higher maximum.",
            severity="warning",
        ),
        Signal(
            name=f"{service.name}-memory",
            dashboard=service.name,
            runbook="service-memory",
            title=f"A pod of the {service.name} service is about to run out of memory",
            namespace="ContainerInsights",
            metric="pod_memory_utilization_over_pod_limit",
            dimensions={**dimensions, "PodName": service.name},
            statistic="Maximum",
            threshold=90,
            periods=5,
            reason="The threshold is in per cent of the memory limit. A container that reaches the limit "
            "is killed.",
            severity="warning",
        ),
        Signal(
            name=f"{service.name}-restarts",
            dashboard=service.name,
            runbook="service-restarts",
            title=f"Containers of the {service.name} service restart repeatedly",
            namespace="ContainerInsights",
            metric="pod_number_of_container_restarts",
            dimensions={**dimensions, "PodName": service.name},
            statistic="Sum",
            threshold=3,
            period_seconds=300,
            periods=2,
            reason="The threshold is in restarts per five minutes. A single restart is an accident, but a "
            "crash loop continues.",
            severity="warning",
        ),
        Signal(
            name=f"{service.name}-crash-loop",
            dashboard=service.name,
            runbook="service-crash-loop",
            title=f"A container of the {service.name} service is in a crash loop",
            namespace="ContainerInsights",
            metric="pod_container_status_waiting_reason_crash_loop_back_off",
            dimensions={**dimensions, "PodName": service.name},
            statistic="Maximum",
            threshold=0,
            periods=3,
            reason="Kubernetes waits longer before each restart, up to five minutes, so restarts soon "
            "become too rare for the alarm on restarts. Between restarts, the container may run for a "
            "minute.",
            severity="warning",
        ),
    ]
