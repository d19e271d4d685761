"""Tier 6, one microservice: its chart, its identity and its place behind the internal load balancer."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_kubernetes as k8s

from components.service.autoscaler import LOAD_METRIC
from components.service.cluster import ON_DEMAND, SPOT, WORKLOAD_NAMESPACE
from components.service.pod_identity import pod_identity
from components.tier import Signal, Tier
from settings import ServiceSettings

HTTPS_PORT = 443
UNKNOWN_CHECKSUM = "known-once-deployed"
"""What a preview shows in place of the checksum of endpoints that do not exist yet."""


@dataclass(frozen=True, kw_only=True)
class Backends:
    """The region's data stores and the services' ports.

    A service is told of, and let into, only those that its settings declare.
    """

    table_names: Mapping[str, pulumi.Input[str]]
    """Name in the settings → name in AWS."""
    table_arns: Mapping[str, pulumi.Input[str]]
    tables_endpoint: pulumi.Input[str]
    """URL of DynamoDB's interface endpoint in the VPC."""
    cache_address: pulumi.Input[str]
    cache_arn: pulumi.Input[str]
    cache_ports: tuple[int, ...]
    cache_user_ids: Mapping[str, str]
    """Service → IAM user of the cache."""
    cache_user_arns: Mapping[str, pulumi.Input[str]]
    bootstrap_brokers: pulumi.Input[str]
    brokers_arn: pulumi.Input[str]
    brokers_ports: tuple[int, ...]
    dead_letter_topics: Mapping[str, Mapping[str, str]]
    """Service → topic that it consumes → topic for the records that it cannot process."""
    database_writer: pulumi.Input[str]
    database_reader: pulumi.Input[str]
    database_name: str
    database_ports: tuple[int, ...]
    database_resource_id: pulumi.Input[str]
    """The proxy's: through it the services sign in."""
    service_ports: Mapping[str, int]
    """Service → the port at which other services call it."""
    key_arn: pulumi.Input[str]
    """The key that the stores are encrypted with."""


@dataclass(frozen=True, kw_only=True)
class MicroserviceArgs:
    """Settings of one microservice."""

    settings: ServiceSettings
    region: str
    cluster_name: str
    cluster_arn: pulumi.Input[str]
    kubernetes: k8s.Provider
    target_group_arn: pulumi.Input[str]
    vpc_cidr: str
    backends: Backends
    workspace_endpoint: pulumi.Input[str]
    trigger_authentication: str
    callers: Sequence[str]
    """The services that call this one."""
    ready: list[pulumi.Resource]
    """Node pools, namespace, KEDA; in the primary region the migrations."""


class Microservice(Tier):
    """A service's Deployment, Service, ServiceAccount, PodDisruptionBudget, network policy and scaling.

    The chart's values are plain, so that a preview shows every object. What comes from outputs (the
    ConfigMap of endpoints, the TargetGroupBinding, the scaled object with the workspace's address, the
    role's association) stands beside the chart. Of the endpoints it gets a checksum alone.
    """

    role_arn: pulumi.Output[str]

    def __init__(self, name: str, args: MicroserviceArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, opts)
        service = args.settings

        def in_cluster(depends_on: list[pulumi.Resource]) -> pulumi.ResourceOptions:
            return pulumi.ResourceOptions(parent=self, provider=args.kubernetes, depends_on=depends_on)

        role, identity = pod_identity(
            self,
            name,
            cluster_arn=args.cluster_arn,
            namespace=WORKLOAD_NAMESPACE,
            service_account=service.name,
            statements=_statements(args),
        )
        self.role_arn = role.arn
        endpoints = k8s.core.v1.ConfigMap(
            f"{name}-endpoints",
            metadata={"name": f"{service.name}-endpoints", "namespace": WORKLOAD_NAMESPACE},
            data=_environment(args),
            opts=in_cluster(args.ready),
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
            opts=pulumi.ResourceOptions.merge(
                in_cluster(args.ready),
                # Its controller refuses a change of these; and there is one binding of a name.
                pulumi.ResourceOptions(
                    replace_on_changes=["spec.targetGroupARN", "spec.targetType"], delete_before_replace=True
                ),
            ),
        )
        chart = k8s.helm.v4.Chart(
            f"{name}-chart",
            name=service.name,
            chart="./k8s/charts/microservice",
            namespace=WORKLOAD_NAMESPACE,
            values=_values(args),
            # Pods read the ConfigMap and take on the role as they start, and get their readiness gate only
            # where the binding is there already. A destroy ends the pods first, which drains their targets.
            opts=in_cluster([*args.ready, endpoints, identity, binding]),
        )
        k8s.apiextensions.CustomResource(
            f"{name}-scaling",
            api_version="keda.sh/v1alpha1",
            kind="ScaledObject",
            metadata={"name": service.name, "namespace": WORKLOAD_NAMESPACE},
            spec=_scaling(args),
            # KEDA refuses a CPU trigger on a Deployment that it cannot see.
            opts=in_cluster([chart]),
        )
        self.signals += _signals(args)
        self.register_outputs({"roleArn": self.role_arn})


def _values(args: MicroserviceArgs) -> dict[str, Any]:
    """Values of the chart, all known in a preview."""
    service, backends = args.settings, args.backends
    ports = [
        *(backends.cache_ports if service.cache else ()),
        *(backends.brokers_ports if service.produces or service.consumes else ()),
        *(backends.database_ports if service.database else ()),
    ]
    egress = [{"cidr": args.vpc_cidr, "port": port} for port in ports]
    if service.tables:
        egress.append({"cidr": args.vpc_cidr, "port": HTTPS_PORT})
    return {
        "name": service.name,
        "image": service.image,
        "port": service.port,
        "tlsPort": service.tls_port or 0,
        "endpoints": {"configMap": f"{service.name}-endpoints", "checksum": _checksum(_environment(args))},
        "cpu": service.cpu,
        "memory": service.memory,
        "probes": {"health": service.health_path, "ready": service.ready_path},
        "metrics": {"path": service.metrics_path, "port": service.metrics_port or service.port},
        "nodePools": [SPOT, ON_DEMAND] if service.spot else [ON_DEMAND],
        "architectures": ["amd64", "arm64"] if service.arm64 else ["amd64"],
        "priorityClassName": "trading-standard" if service.spot else "trading-critical",
        "vpcCidr": args.vpc_cidr,
        "egress": egress,
        "calls": [{"name": callee, "port": backends.service_ports[callee]} for callee in service.calls],
        "callers": list(args.callers),
        "secrets": dict(service.secrets),
        "region": args.region,
    }


def _dead_letter_topics(args: MicroserviceArgs) -> dict[str, str]:
    """Topic that the service consumes → topic for the records that it cannot process."""
    known = args.backends.dead_letter_topics.get(args.settings.name, {})
    return {topic: known[topic] for topic in args.settings.consumes if topic in known}


def _transactional_ids(service: ServiceSettings) -> str:
    """What the ids of its transactions begin with, a pod each; a dot is in no other service's name."""
    return f"{service.name}."


def _variable(name: str) -> str:
    return name.upper().replace("-", "_")


def _environment(args: MicroserviceArgs) -> dict[str, pulumi.Input[str]]:
    """Environment of the containers: the data stores that the service declares, and how to reach them."""
    service, backends = args.settings, args.backends
    environment: dict[str, pulumi.Input[str]] = {"AWS_REGION": args.region}
    if service.tls_port:
        environment["TLS_PORT"] = str(service.tls_port)
        environment["TLS_CERTIFICATE_FILE"] = "/tls/tls.crt"
        environment["TLS_KEY_FILE"] = "/tls/tls.key"
    for callee in service.calls:
        environment[f"SERVICE_{_variable(callee)}"] = f"http://{callee}:{backends.service_ports[callee]}"
    if service.tables:
        # The endpoint has no private DNS: AWS's SDKs go there where this variable says so ("Service-specific
        # endpoints", AWS SDKs and Tools reference), and to the service's public addresses otherwise.
        environment["AWS_ENDPOINT_URL_DYNAMODB"] = backends.tables_endpoint
    for table in service.tables:
        environment[f"TABLE_{_variable(table)}"] = backends.table_names[table]
    if service.cache:
        environment["CACHE_ADDRESS"] = backends.cache_address
        environment["CACHE_PORT"] = str(backends.cache_ports[0])
        environment["CACHE_USER"] = backends.cache_user_ids[service.name]
    if service.produces or service.consumes:
        environment["KAFKA_BOOTSTRAP_BROKERS"] = backends.bootstrap_brokers
        environment["KAFKA_SECURITY_PROTOCOL"] = "SASL_SSL"
        environment["KAFKA_SASL_MECHANISM"] = "AWS_MSK_IAM"
    dead_letter_topics = _dead_letter_topics(args)
    if service.produces or dead_letter_topics:
        environment |= {
            # With the topics' min.insync.replicas, what is acknowledged survives a broker, once and in order.
            "KAFKA_ACKS": "all",
            "KAFKA_ENABLE_IDEMPOTENCE": "true",
            "KAFKA_MAX_IN_FLIGHT_REQUESTS_PER_CONNECTION": "5",
            # Time ends the attempts, not their number: two minutes outlast the change of a leader.
            "KAFKA_RETRIES": "2147483647",
            "KAFKA_REQUEST_TIMEOUT_MS": "30000",
            "KAFKA_DELIVERY_TIMEOUT_MS": "120000",
            "KAFKA_COMPRESSION_TYPE": "lz4",
        }
    if service.consumes:
        environment |= {
            "KAFKA_GROUP_ID": service.name,
            "KAFKA_ISOLATION_LEVEL": "read_committed",
            # An offset is committed once its record has had its effect; a new group misses nothing.
            "KAFKA_ENABLE_AUTO_COMMIT": "false",
            "KAFKA_AUTO_OFFSET_RESET": "earliest",
            # Kafka's own: a dead pod's partitions move after 45 s, those of a pod that is stuck after 5 min.
            "KAFKA_SESSION_TIMEOUT_MS": "45000",
            "KAFKA_MAX_POLL_INTERVAL_MS": "300000",
        }
    if dead_letter_topics:
        environment["KAFKA_DEAD_LETTER_TOPICS"] = ",".join(map("=".join, dead_letter_topics.items()))
    if service.consumes and (service.produces or dead_letter_topics):
        # What it writes and what it has read are committed together, or neither.
        environment["KAFKA_TRANSACTIONAL_ID_PREFIX"] = _transactional_ids(service)
    if service.database:
        environment["DATABASE_WRITER"] = backends.database_writer
        environment["DATABASE_READER"] = backends.database_reader
        environment["DATABASE_PORT"] = str(backends.database_ports[0])
        environment["DATABASE_NAME"] = backends.database_name
        environment["DATABASE_USER"] = service.database_user
        environment["DATABASE_SSL_MODE"] = "verify-full"
    return environment


def _checksum(environment: Mapping[str, pulumi.Input[str]]) -> pulumi.Output[str]:
    """Digest of the environment, which changes the pods, and so restarts them, when an endpoint does.

    Always known, for one unknown value would hide the whole chart from a preview: there an endpoint that is
    only made by the deployment gives `UNKNOWN_CHECKSUM`, so that the preview shows that pods will restart.
    """
    digest = pulumi.Output.json_dumps(environment, sort_keys=True).apply(
        lambda text: hashlib.sha256(text.encode()).hexdigest()[:16]
    )

    async def known() -> str:
        return await digest.future() or UNKNOWN_CHECKSUM

    return pulumi.Output.from_input(known())


def _statements(args: MicroserviceArgs) -> list[dict[str, Any]]:
    """What the service may do in AWS: to the data stores that it declares, and to no other."""
    service, backends = args.settings, args.backends
    statements: list[dict[str, Any]] = []

    def allow(actions: list[str], resources: list[Any], **condition: Any) -> None:
        statements.append({"Effect": "Allow", "Action": actions, "Resource": resources, **condition})

    if service.tables:
        arns = [pulumi.Output.from_input(backends.table_arns[table]) for table in service.tables]
        allow(
            [
                "dynamodb:BatchGetItem",
                "dynamodb:BatchWriteItem",
                "dynamodb:ConditionCheckItem",
                "dynamodb:DeleteItem",
                "dynamodb:DescribeTable",
                "dynamodb:GetItem",
                "dynamodb:PutItem",
                "dynamodb:Query",
                "dynamodb:UpdateItem",
            ],
            [*arns, *(arn.apply("{}/index/*".format) for arn in arns)],
        )
        via = {"StringEquals": {"kms:ViaService": f"dynamodb.{args.region}.amazonaws.com"}}
        allow(["kms:Decrypt"], [backends.key_arn], Condition=via)
    if service.cache:
        allow(["elasticache:Connect"], [backends.cache_arn, backends.cache_user_arns[service.name]])
    if service.produces or service.consumes:
        brokers = pulumi.Output.from_input(backends.brokers_arn)

        def within(kind: str, name: str) -> pulumi.Output[str]:
            # The ARN of what is in a cluster is the cluster's, of another kind ("IAM access control", MSK
            # guide).
            return brokers.apply(lambda arn: f"{arn.replace(':cluster/', f':{kind}/')}/{name}")

        dead_letter_topics = [*_dead_letter_topics(args).values()]
        # A service reads its own dead letters back when it is to try again.
        writes, reads = [*service.produces, *dead_letter_topics], [*service.consumes, *dead_letter_topics]
        idempotent = ["kafka-cluster:WriteDataIdempotently"] if writes else []
        allow(["kafka-cluster:Connect", "kafka-cluster:DescribeCluster", *idempotent], [brokers])
        for action, topics in (("WriteData", writes), ("ReadData", reads)):
            if topics:
                allow(
                    ["kafka-cluster:DescribeTopic", f"kafka-cluster:{action}"],
                    [within("topic", topic) for topic in topics],
                )
        if service.consumes:
            allow(
                ["kafka-cluster:DescribeGroup", "kafka-cluster:AlterGroup"],
                [within("group", service.name)],
            )
        if service.consumes and writes:
            allow(
                ["kafka-cluster:DescribeTransactionalId", "kafka-cluster:AlterTransactionalId"],
                [within("transactional-id", f"{_transactional_ids(service)}*")],
            )
    if service.database:
        account = pulumi.Output.from_input(args.cluster_arn).apply(lambda arn: arn.split(":")[4])
        user = pulumi.Output.concat(
            *("arn:aws:rds-db:", args.region, ":", account, ":dbuser:"),
            *(backends.database_resource_id, "/", service.database_user),
        )
        allow(["rds-db:connect"], [user])
    if service.secrets:
        allow(
            ["secretsmanager:GetSecretValue", "secretsmanager:DescribeSecret"],
            [_secret_arn(args, secret) for secret in sorted(set(service.secrets.values()))],
        )
        # Of the secrets that have our key; AWS's own needs no permission.
        via = {"StringEquals": {"kms:ViaService": f"secretsmanager.{args.region}.amazonaws.com"}}
        allow(["kms:Decrypt"], [backends.key_arn], Condition=via)
    return statements


def _secret_arn(args: MicroserviceArgs, secret: str) -> pulumi.Input[str]:
    """A secret's ARN from its name, to which AWS adds six characters ("Identity-based policies", Secrets
    Manager user guide: `-??????` matches no other secret, `-*` could)."""
    if secret.startswith("arn:"):
        return secret
    account = pulumi.Output.from_input(args.cluster_arn).apply(lambda arn: arn.split(":")[4])
    return pulumi.Output.concat(
        "arn:aws:secretsmanager:", args.region, ":", account, f":secret:{secret}-??????"
    )


def _scaling(args: MicroserviceArgs) -> dict[str, Any]:
    """Specification of the scaled object: the largest of what the query and the CPU ask for."""
    service = args.settings
    return {
        "scaleTargetRef": {"name": service.name},
        "pollingInterval": 15,
        "minReplicaCount": service.replicas.min,
        "maxReplicaCount": service.replicas.max,
        # When the workspace cannot be read: no pod is taken away, and there are at least so many.
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
                    # Trading comes in bursts: what was needed minutes ago is kept, and goes slowly.
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
                    # The workspace's endpoint ends in a slash, and KEDA appends the path with one.
                    "serverAddress": pulumi.Output.from_input(args.workspace_endpoint).apply(
                        lambda endpoint: endpoint.rstrip("/")
                    ),
                    "query": f'{LOAD_METRIC}{{service="{service.name}"}}',
                    "threshold": f"{service.scaling.threshold:g}",
                    "awsRegion": args.region,
                    # By default no data counts as zero: a dead exporter would scale the service down. A
                    # query without a value is not recorded, and its series ends at once.
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
    """Of Container Insights ("Enhanced Container Insights metric reference", CloudWatch user guide)."""
    service = args.settings
    dimensions = {"ClusterName": args.cluster_name, "Namespace": WORKLOAD_NAMESPACE}
    return [
        Signal(
            name=f"{service.name}-pods-missing",
            dashboard=service.name,
            runbook="service-pods-missing",
            title=f"{service.name} has fewer pods than its least",
            namespace="ContainerInsights",
            metric="service_number_of_running_pods",
            dimensions={**dimensions, "Service": service.name},
            statistic="Minimum",
            comparison="below",
            threshold=service.replicas.min,
            periods=10,
            reason="A pod and its node are back within minutes; after ten, something holds them back.",
            severity="critical",
            missing_data="breaching",
        ),
        Signal(
            name=f"{service.name}-pods-at-maximum",
            dashboard=service.name,
            runbook="service-pods-at-maximum",
            title=f"{service.name} has scaled to its end",
            namespace="ContainerInsights",
            metric="service_number_of_running_pods",
            dimensions={**dimensions, "Service": service.name},
            statistic="Maximum",
            threshold=service.replicas.max - 1,
            periods=15,
            reason="A burst passes in a quarter of an hour; a load that stays needs a higher maximum.",
            severity="warning",
        ),
        Signal(
            name=f"{service.name}-memory",
            dashboard=service.name,
            runbook="service-memory",
            title=f"{service.name} is about to run out of memory",
            namespace="ContainerInsights",
            metric="pod_memory_utilization_over_pod_limit",
            dimensions={**dimensions, "PodName": service.name},
            statistic="Maximum",
            threshold=90,
            periods=5,
            reason="In per cent of the limit, at which the container is killed.",
            severity="warning",
        ),
        Signal(
            name=f"{service.name}-restarts",
            dashboard=service.name,
            runbook="service-restarts",
            title=f"Containers of {service.name} restart again and again",
            namespace="ContainerInsights",
            metric="pod_number_of_container_restarts",
            dimensions={**dimensions, "PodName": service.name},
            statistic="Sum",
            threshold=3,
            period_seconds=300,
            periods=2,
            reason="Restarts in five minutes: one is an accident, a loop goes on.",
            severity="warning",
        ),
        Signal(
            name=f"{service.name}-crash-loop",
            dashboard=service.name,
            runbook="service-crash-loop",
            title=f"A container of {service.name} crashes whenever it starts",
            namespace="ContainerInsights",
            metric="pod_container_status_waiting_reason_crash_loop_back_off",
            dimensions={**dimensions, "PodName": service.name},
            statistic="Maximum",
            threshold=0,
            periods=3,
            reason="Kubernetes waits longer before each restart, up to five minutes: soon they are too few "
            "for the alarm on restarts. In between the container may run for a minute.",
            severity="warning",
        ),
    ]
