"""Tier 6, the cluster: EKS in Auto Mode, its node pools and everything that all workloads need."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws
import pulumi_eks as eks
import pulumi_kubernetes as k8s

from components.common.access import Endpoint
from components.common.arns import resource_name
from components.common.component import Component
from components.common.context import RegionContext
from components.common.logs import count_lines, log_group
from components.common.signals import FOLLOW_ONE_REQUEST, LOG_METRICS, LogQuery, Signal
from components.service.egress import add_on_egress
from components.service.node_pools import NodePoolsArgs, node_pools
from components.service.pod_identity import pod_identity
from settings import WORKLOAD_NAMESPACE, ClusterSettings
from settings.aws_limits import ETCD_LIMIT_BYTES

SECRETS_STORE_NAMESPACE = "aws-secrets-manager"
"""Namespace of the pods of the add-on `aws-secrets-store-csi-driver-provider`."""


@dataclass(frozen=True, kw_only=True)
class ClusterArgs:
    """Settings of the cluster."""

    context: RegionContext
    cluster_name: str
    """A plain string: the kubeconfig, the target groups' tag and the provider's identity contain it."""
    vpc_id: pulumi.Input[str]
    vpc_cidr: str
    private_subnet_ids: Sequence[pulumi.Input[str]]
    settings: ClusterSettings
    data_stores: Mapping[str, Endpoint]
    """Name of a data store → endpoint that pods connect to. The cluster adds rules to the security groups."""


class Cluster(Component):
    """EKS in Auto Mode with our node class and pools, namespace, quotas and default-deny network policies.

    Only the services run in the node pools with a taint, so their nodes can deny all traffic that no policy
    allows. Add-ons have a pool of their own. Auto Mode's built-in pools are off (`node_pools.py`). Auto Mode
    includes the node monitoring agent and replaces nodes that stay unhealthy, so there is nothing to enable.
    """

    cluster_name: str
    arn: pulumi.Output[str]
    security_group_id: pulumi.Output[str]
    """The security group that EKS creates for nodes and pods. It allows all outbound traffic, and inbound
    traffic from itself."""
    kubernetes: k8s.Provider
    """Provider for everything that runs in the cluster."""
    ready: list[pulumi.Resource]
    """Namespace, node pools and policies. Workloads depend on them, so that a destroy deletes the workloads
    first."""

    def __init__(self, name: str, args: ClusterArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("trading:tier:Cluster", name, opts)
        self._name = name
        self.cluster_name = args.cluster_name
        cluster = self._cluster(args)
        self.arn = cluster.eks_cluster.arn
        self.security_group_id = cluster.cluster_security_group_id
        self._admit_to_data_stores(args.data_stores)
        admitted = self._admit_deployers(args.settings.deployer_cidrs)
        self.kubernetes = k8s.Provider(
            f"{name}-kubernetes",
            kubeconfig=cluster.kubeconfig_json,
            # Without it, a changed kubeconfig would replace the provider and all of its resources.
            cluster_identifier=args.cluster_name,
            # Update a changed ConfigMap or Secret in place instead of replacing it.
            enable_config_map_mutable=True,
            enable_secret_mutable=True,
            # The rules give the deployer access, so they must be deleted after all resources in the cluster.
            opts=self.child(depends_on=admitted),
        )
        manifests = k8s.yaml.v2.ConfigGroup(
            f"{name}-manifests", files=["k8s/manifests/*.yaml"], opts=self.child(provider=self.kubernetes)
        )
        quota = k8s.core.v1.ResourceQuota(
            f"{name}-quota",
            metadata={"name": "services", "namespace": WORKLOAD_NAMESPACE},
            spec={
                "hard": {
                    "pods": str(args.settings.pods_quota),
                    # The load balancers are separate tiers.
                    "services.loadbalancers": "0",
                    "services.nodeports": "0",
                }
            },
            # The manifests include the namespace.
            opts=self.child(provider=self.kubernetes, depends_on=[manifests]),
        )
        pools = node_pools(
            self,
            name,
            NodePoolsArgs(
                context=args.context,
                cluster_arn=self.arn,
                cluster_role_arn=cluster.eks_cluster.role_arn,
                kubernetes=self.kubernetes,
                subnet_ids=args.private_subnet_ids,
                security_group_id=self.security_group_id,
                pods_quota=args.settings.pods_quota,
                market_hours=args.settings.market_hours,
            ),
        )
        # An add-on waits for its pods. A destroy deletes the add-ons first, so that their nodes can go.
        self.ready = [
            manifests,
            quota,
            *pools,
            *self._observability(args, pools),
            *self._secrets_store(args, pools),
        ]
        self.report(*_signals(args.cluster_name, args.settings.pods_quota))
        self.register_outputs({"arn": self.arn, "securityGroupId": self.security_group_id})

    def _cluster(self, args: ClusterArgs) -> eks.Cluster:
        logs = self._log_group("control-plane", f"/aws/eks/{args.cluster_name}/cluster", args)
        cidrs = args.settings.public_access_cidrs
        return eks.Cluster(
            f"{self._name}-eks",
            name=args.cluster_name,
            version=args.settings.version,
            vpc_id=args.vpc_id,
            private_subnet_ids=args.private_subnet_ids,
            authentication_mode=eks.AuthenticationMode.API,
            auto_mode={
                "enabled": True,
                # EKS refuses a role for the nodes of built-in pools if there are none.
                "create_node_role": False,
                "compute_config": {"node_pools": []},
            },
            # Auto Mode has no node group, so it needs no role, instance profile and access entry for one.
            skip_default_node_group=True,
            # Auto Mode runs DNS on every node.
            coredns_addon_options={
                "enabled": False,
                "resolve_conflicts_on_create": eks.ResolveConflictsOnCreate.OVERWRITE,
                "resolve_conflicts_on_update": eks.ResolveConflictsOnUpdate.OVERWRITE,
            },
            # The scraper of Managed Prometheus connects from inside the VPC.
            endpoint_private_access=True,
            endpoint_public_access=bool(cidrs),
            public_access_cidrs=cidrs or None,
            enabled_cluster_log_types=["api", "audit", "authenticator", "controllerManager", "scheduler"],
            encryption_config_key_arn=args.context.key_arn,
            deletion_protection=args.context.protect,
            upgrade_policy={"support_type": args.settings.support},
            access_entries=self._access_entries(args),
            opts=pulumi.ResourceOptions(
                parent=self,
                # The component has no region argument and doesn't inherit the provider.
                providers={"aws": args.context.provider},
                protect=args.context.protect,
                # Otherwise, EKS creates the log group itself, without a key and retention.
                depends_on=[logs],
                transforms=args.context.transforms,
            ),
        )

    def _access_entries(self, args: ClusterArgs) -> dict[str, eks.AccessEntryArgsDict]:
        operators: dict[str, eks.AccessEntryArgsDict] = {
            arn.rsplit("/", 1)[-1]: {
                "principal_arn": self._not_the_creator(arn),
                # k8s/manifests/operators.yaml gives the group its permissions.
                "kubernetes_groups": ["operators"],
            }
            for arn in args.settings.operator_role_arns
        }
        others: dict[str, eks.AccessEntryArgsDict] = {
            arn.rsplit("/", 1)[-1]: {
                "principal_arn": self._not_the_creator(arn),
                "access_policies": {
                    access: {
                        "access_scope": {"type": "cluster"},
                        "policy_arn": f"arn:aws:eks::aws:cluster-access-policy/{policy}",
                    }
                },
            }
            for access, policy, arns in (
                ("admin", "AmazonEKSClusterAdminPolicy", args.settings.admin_role_arns),
                # AmazonEKSViewPolicy doesn't cover custom resources, which previews have to read.
                ("view", "AmazonEKSAdminViewPolicy", args.settings.viewer_role_arns),
            )
            for arn in arns
        }
        return {**others, **operators}

    def _not_the_creator(self, role_arn: str) -> pulumi.Output[str]:
        """The role's ARN, unless the role is creating the cluster.

        EKS gives the creator an access entry as an administrator: pulumi-eks 4.4.0 always asks for it
        (`bootstrapClusterCreatorAdminPermissions` in `nodejs/eks/cluster/cluster.ts`). It refuses a second
        entry of the same role, which would fail in the middle of the first deployment.

        Raises:
            pulumi.RunError: the role deploys, and there is no cluster yet.
        """

        def checked(found: list[Any]) -> str:
            caller, clusters = found
            # The ARN of a session has the role's name without its path.
            is_caller = f":assumed-role/{role_arn.rsplit('/', 1)[-1]}/" in caller
            if is_caller and self.cluster_name not in clusters:
                raise pulumi.RunError(
                    f"trading:cluster: {role_arn} creates the cluster {self.cluster_name}, and so becomes "
                    "its administrator: remove it from the roles in the stack file, or let another role run "
                    "the first deployment"
                )
            return role_arn

        invoke = pulumi.InvokeOptions(parent=self)
        caller = aws.get_caller_identity_output(opts=invoke).arn
        clusters = aws.eks.get_clusters_output(opts=invoke).names
        return pulumi.Output.all(caller, clusters).apply(checked)

    def _log_group(self, name: str, path: str, args: ClusterArgs) -> aws.cloudwatch.LogGroup:
        return log_group(self, f"{self._name}-{name}-logs", args.context, name=path)

    def _admit_to_data_stores(self, data_stores: Mapping[str, Endpoint]) -> None:
        # Only the data stores need rules, because the cluster's security group allows all outbound traffic.
        for store, endpoint in data_stores.items():
            for port in endpoint.ports:
                aws.vpc.SecurityGroupIngressRule(
                    f"{self._name}-to-{store}-{port}",
                    security_group_id=endpoint.security_group_id,
                    referenced_security_group_id=self.security_group_id,
                    ip_protocol="tcp",
                    from_port=port,
                    to_port=port,
                    description="Pods",
                    opts=self.child(),
                )

    def _admit_deployers(self, cidrs: Sequence[str]) -> list[pulumi.Resource]:
        """Gives deployers access to the private endpoint, whose interfaces are in the cluster's security
        group."""
        return [
            aws.vpc.SecurityGroupIngressRule(
                f"{self._name}-from-{cidr.replace('/', '-')}",
                security_group_id=self.security_group_id,
                cidr_ipv4=cidr,
                ip_protocol="tcp",
                from_port=443,
                to_port=443,
                description="Deployers, to the Kubernetes API",
                opts=self.child(),
            )
            for cidr in cidrs
        ]

    def _watch_logs(self, cluster_name: str, log_group: aws.cloudwatch.LogGroup) -> None:
        metric = f"{cluster_name}-application-errors"
        count_lines(
            self,
            f"{self._name}-application-errors",
            metric,
            log_group_name=log_group.name,
            # If a line is JSON, the agent's Fluent Bit puts its fields under `log_processed`.
            pattern=f'{{ $.kubernetes.namespace_name = "{WORKLOAD_NAMESPACE}" '
            '&& $.log_processed.level = "ERROR" }',
        )
        self.report(
            Signal(
                name="service-error-lines",
                title="Services log errors",
                namespace=LOG_METRICS,
                metric=metric,
                dimensions={},
                statistic="Sum",
                threshold=20,
                periods=5,
                reason="More than twenty error lines a minute for five minutes aren't caused by isolated "
                "requests.",
                severity="warning",
                rings_in_deployments=True,
            )
        )
        for name, query in (("follow-one-request", FOLLOW_ONE_REQUEST), ("pod-errors", POD_ERRORS)):
            self.report(LogQuery(name=name, query=query, log_groups=(log_group.name,)))

    def _observability(self, args: ClusterArgs, pools: list[pulumi.Resource]) -> list[pulumi.Resource]:
        """Container logs and Container Insights.

        The agents use the host network of the nodes, so the default deny of our nodes doesn't affect them.
        """
        groups = [
            self._log_group(f"pods-{kind}", f"/aws/containerinsights/{args.cluster_name}/{kind}", args)
            for kind in ("application", "dataplane", "host", "performance")
        ]
        self._watch_logs(args.cluster_name, groups[0])
        _, identity = pod_identity(
            self,
            f"{self._name}-cloudwatch",
            cluster_arn=self.arn,
            namespace="amazon-cloudwatch",
            service_account="cloudwatch-agent",
            managed_policy_arns=["arn:aws:iam::aws:policy/CloudWatchAgentServerPolicy"],
        )
        # Otherwise, the agents create the log groups themselves, without a key and retention.
        return [
            self._addon(
                "cloudwatch",
                "amazon-cloudwatch-observability",
                args.settings.addons.cloudwatch_observability,
                {
                    # The alarms use the metrics of Container Insights, not those of its OpenTelemetry
                    # variant.
                    "containerInsights": {"enabled": True},
                    "otelContainerInsights": {"enabled": False},
                    # It would inject containers into services' pods, and our network policies would block
                    # them.
                    "manager": {"applicationSignals": {"autoMonitor": {"monitorAllServices": False}}},
                },
                [identity, *groups, *pools],
            )
        ]

    def _secrets_store(self, args: ClusterArgs, pools: list[pulumi.Resource]) -> list[pulumi.Resource]:
        """The Secrets Store CSI driver with AWS's provider, and a network policy for its outbound traffic.

        Neither of its two DaemonSets uses the host network (their charts' `hostNetwork`), so on our nodes
        they need a policy for the API server, Secrets Manager's VPC endpoint, DNS and the Pod Identity agent.
        From the agent, the provider gets the credentials of the pod that mounts a secret.
        """
        namespace = k8s.core.v1.Namespace(
            f"{self._name}-secrets-store",
            metadata={"name": SECRETS_STORE_NAMESPACE},
            opts=self.child(provider=self.kubernetes),
        )

        policy = k8s.networking.v1.NetworkPolicy(
            f"{self._name}-secrets-store",
            metadata={"name": "driver-and-provider", "namespace": SECRETS_STORE_NAMESPACE},
            spec={
                "pod_selector": {},
                "policy_types": ["Egress"],
                "egress": add_on_egress(args.vpc_cidr),
            },
            opts=self.child(provider=self.kubernetes, depends_on=[namespace]),
        )
        return [
            self._addon(
                "secrets-store",
                "aws-secrets-store-csi-driver-provider",
                args.settings.addons.secrets_store,
                {
                    # By default, the provider, unlike the driver, doesn't run on nodes with a taint, such as
                    # ours.
                    "tolerations": [{"operator": "Exists"}],
                    # Update the files of running pods when a secret is rotated.
                    "secrets-store-csi-driver": {"enableSecretRotation": True},
                },
                # Otherwise, EKS creates the namespace and the pods start before they may connect.
                [policy, *pools],
            )
        ]

    def _addon(
        self,
        name: str,
        addon: str,
        version: str,
        configuration: Mapping[str, Any],
        depends_on: list[pulumi.Resource],
    ) -> pulumi.Resource:
        return aws.eks.Addon(
            f"{self._name}-{name}",
            addon_name=addon,
            addon_version=version,
            cluster_name=resource_name(self.arn),
            configuration_values=json.dumps(configuration),
            resolve_conflicts_on_create="OVERWRITE",
            resolve_conflicts_on_update="OVERWRITE",
            opts=self.child(depends_on=depends_on),
        )


POD_ERRORS = f"""\
filter kubernetes.namespace_name = "{WORKLOAD_NAMESPACE}" and log_processed.level = "ERROR"
| stats count(*) as n, latest(log_processed.request) as request
  by kubernetes.container_name, kubernetes.pod_name, log_processed.message
| sort n desc
| limit 100"""


def _signals(cluster_name: str, pods_quota: int) -> list[Signal]:
    """Signals from metrics that EKS itself publishes ("Basic metrics in Amazon CloudWatch", EKS User Guide)
    and from Container Insights ("Enhanced Container Insights (Classic) metric reference", CloudWatch User
    Guide).

    With the cluster's name as the only dimension, the agent reports the values of all nodes, so the maximum
    is the value of the busiest node. A node with a full disk counts as failed. The disk metric isn't used
    because it includes the nodes' read-only disks.
    """
    dimensions = {"ClusterName": cluster_name}
    return [
        Signal(
            name="cluster-api-errors",
            title="The Kubernetes API server answers requests with 5xx",
            namespace="AWS/EKS",
            metric="apiserver_request_total_5XX",
            dimensions=dimensions,
            statistic="Sum",
            threshold=50,
            periods=5,
            reason="Clients retry a few errors a minute without consequences. More than fifty a minute for "
            "five minutes stop scaling.",
            severity="warning",
        ),
        Signal(
            name="cluster-unschedulable-pods",
            title="Pods can't be scheduled on any node",
            namespace="AWS/EKS",
            metric="scheduler_pending_pods_UNSCHEDULABLE",
            dimensions=dimensions,
            statistic="Sum",
            threshold=0,
            periods=10,
            reason="A new node takes about a minute. Ten minutes mean a limit, a quota or an Availability "
            "Zone without capacity.",
            severity="critical",
        ),
        Signal(
            name="cluster-failed-nodes",
            title="A node isn't ready",
            namespace="ContainerInsights",
            metric="cluster_failed_node_count",
            dimensions=dimensions,
            statistic="Maximum",
            threshold=0,
            periods=15,
            reason="EKS Auto Mode replaces a node that stays unhealthy. After 15 minutes, it hasn't.",
            severity="warning",
        ),
        *(
            Signal(
                name=f"cluster-node-{resource}",
                runbook="cluster-node-use",
                title=f"A node uses more than 90 per cent of its {what}",
                namespace="ContainerInsights",
                metric=f"node_{resource}_utilization",
                dimensions=dimensions,
                statistic="Maximum",
                threshold=90,
                periods=15,
                reason=reason,
                severity="warning",
            )
            for resource, what, reason in (
                ("cpu", "CPU", "Pods use more CPU than they request, and slow each other down."),
                ("memory", "memory", "Kubernetes evicts pods when a node has no memory left."),
            )
        ),
        Signal(
            name="cluster-pods-quota",
            title="The quota of pods is almost exhausted",
            namespace="ContainerInsights",
            metric="namespace_number_of_running_pods",
            dimensions={**dimensions, "Namespace": WORKLOAD_NAMESPACE},
            statistic="Maximum",
            threshold=0.9 * pods_quota,
            periods=5,
            reason="The threshold is nine tenths of the quota. Pods beyond the quota aren't created, so "
            "none is pending and services stop scaling unnoticed.",
            severity="warning",
        ),
        Signal(
            name="cluster-database-size",
            title="The control plane's etcd database is filling up",
            namespace="AWS/EKS",
            metric="apiserver_storage_size_bytes",
            dimensions=dimensions,
            statistic="Maximum",
            threshold=0.75 * ETCD_LIMIT_BYTES,
            period_seconds=300,
            reason="The threshold is in bytes: three quarters of the limit of 8 GiB, at which the cluster "
            "becomes read-only. The remaining quarter leaves time to find the cause.",
            severity="warning",
        ),
    ]
