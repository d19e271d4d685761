"""Tier 6, the cluster: EKS in Auto Mode, its node pools and what every workload stands on."""

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
from components.common.iam import policy_document
from components.common.logs import count_lines, log_group
from components.common.signals import FOLLOW_ONE_REQUEST, LOG_METRICS, LogQuery, Signal
from components.common.workloads import NODE_TAINT, ON_DEMAND, SPOT, WORKLOAD_NAMESPACE
from components.service.pod_identity import pod_identity
from settings import ClusterSettings

SECRETS_STORE_NAMESPACE = "aws-secrets-manager"
"""Where the add-on `aws-secrets-store-csi-driver-provider` puts its pods."""
SERVICE_NETWORKS = ("10.100.0", "172.20.0")
"""EKS gives services 10.100.0.0/16 or 172.20.0.0/16: the API server has the first address, DNS the tenth."""
POD_IDENTITY_AGENT = "169.254.170.23/32"
ETCD_LIMIT_BYTES = 8 * 2**30
"""What the control plane's database may hold (EKS best practices, "etcd database size")."""


@dataclass(frozen=True, kw_only=True)
class ClusterArgs:
    """Settings of the cluster."""

    context: RegionContext
    cluster_name: str
    """Plain: the kubeconfig, the target groups' tag and the provider's identity name it."""
    vpc_id: pulumi.Input[str]
    vpc_cidr: str
    private_subnet_ids: Sequence[pulumi.Input[str]]
    settings: ClusterSettings
    data_stores: Mapping[str, Endpoint]
    """Data stores that pods connect to: name → where. The cluster adds the rules to their groups."""


class Cluster(Component):
    """EKS in Auto Mode with our node class and pools, namespace, quotas and default-deny network policies.

    Our pools are for the services alone (a taint keeps others off), so that their nodes can deny all
    traffic that no policy names. Add-ons run in Auto Mode's own `general-purpose` pool. Auto Mode brings
    the node monitoring agent and replaces a node that stays unwell; there is nothing to switch on.
    """

    cluster_name: str
    arn: pulumi.Output[str]
    security_group_id: pulumi.Output[str]
    """The group that EKS makes for nodes and pods. It lets everything out, and in from itself."""
    kubernetes: k8s.Provider
    """Provider of everything that runs in the cluster."""
    ready: list[pulumi.Resource]
    """Workloads depend on these (namespace, node pools, policies), so that a destroy drains in order."""

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
            # Without it, a changed kubeconfig would replace the provider and all that it made.
            cluster_identifier=args.cluster_name,
            # A changed value updates a ConfigMap or Secret in place, where it would be replaced.
            enable_config_map_mutable=True,
            enable_secret_mutable=True,
            # The rules let the deployer in, and must outlast all that it made there.
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
                    # Load balancers are tiers of their own.
                    "services.loadbalancers": "0",
                    "services.nodeports": "0",
                }
            },
            # The namespace is among the manifests.
            opts=self.child(provider=self.kubernetes, depends_on=[manifests]),
        )
        pools = self._node_pools(args, cluster)
        secrets = self._secrets_store(args)
        self.ready = [manifests, quota, *pools, *self._observability(args), *secrets]
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
                "create_node_role": True,
                "compute_config": {"node_pools": ["general-purpose"]},
            },
            # Auto Mode has no node group: no role, profile and access entry for one.
            skip_default_node_group=True,
            # Auto Mode answers DNS on every node.
            coredns_addon_options={
                "enabled": False,
                "resolve_conflicts_on_create": eks.ResolveConflictsOnCreate.OVERWRITE,
                "resolve_conflicts_on_update": eks.ResolveConflictsOnUpdate.OVERWRITE,
            },
            # The scraper of Managed Prometheus comes from within the VPC.
            endpoint_private_access=True,
            endpoint_public_access=bool(cidrs),
            public_access_cidrs=cidrs or None,
            enabled_cluster_log_types=["api", "audit", "authenticator", "controllerManager", "scheduler"],
            encryption_config_key_arn=args.context.key_arn,
            deletion_protection=args.context.protect,
            upgrade_policy={"support_type": args.settings.support},
            access_entries={
                arn.rsplit("/", 1)[-1]: {
                    "principal_arn": arn,
                    "access_policies": {
                        access: {
                            "access_scope": {"type": "cluster"},
                            "policy_arn": f"arn:aws:eks::aws:cluster-access-policy/{policy}",
                        }
                    },
                }
                for access, policy, arns in (
                    ("admin", "AmazonEKSClusterAdminPolicy", args.settings.admin_role_arns),
                    # The plain view policy knows no custom resources, of which previews are full.
                    ("view", "AmazonEKSAdminViewPolicy", args.settings.viewer_role_arns),
                )
                for arn in arns
            },
            opts=pulumi.ResourceOptions(
                parent=self,
                # The component takes no region, and does not inherit the provider.
                providers={"aws": args.context.provider},
                protect=args.context.protect,
                # EKS would make the log group itself, without key and retention.
                depends_on=[logs],
            ),
        )

    def _log_group(self, name: str, path: str, args: ClusterArgs) -> aws.cloudwatch.LogGroup:
        return log_group(self, f"{self._name}-{name}-logs", args.context, name=path)

    def _admit_to_data_stores(self, data_stores: Mapping[str, Endpoint]) -> None:
        # Only the stores' side needs a rule: the cluster's group lets everything out.
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
        """Opens the private endpoint, whose interfaces are in the cluster's own group."""
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

    def _node_pools(self, args: ClusterArgs, cluster: eks.Cluster) -> list[pulumi.Resource]:
        disk_key = aws.iam.RolePolicy(
            f"{self._name}-disk-key",
            role=resource_name(cluster.eks_cluster.role_arn),
            # "Enable EBS Volume Encryption with Customer Managed KMS Keys for EKS Auto Mode", EKS user guide.
            policy=policy_document(
                {
                    "Effect": "Allow",
                    "Action": [
                        "kms:Encrypt",
                        "kms:Decrypt",
                        "kms:ReEncrypt*",
                        "kms:GenerateDataKey*",
                        "kms:DescribeKey",
                    ],
                    "Resource": args.context.key_arn,
                },
                {
                    "Effect": "Allow",
                    "Action": ["kms:CreateGrant", "kms:ListGrants", "kms:RevokeGrant"],
                    "Resource": args.context.key_arn,
                    "Condition": {"Bool": {"kms:GrantIsForAWSResource": "true"}},
                },
            ),
            opts=self.child(),
        )
        node_class = k8s.apiextensions.CustomResource(
            f"{self._name}-node-class",
            api_version="eks.amazonaws.com/v1",
            kind="NodeClass",
            metadata={"name": "trading"},
            spec={
                # The role of the built-in pool has its access entry already.
                "role": cluster.auto_mode_node_role_name,
                "subnetSelectorTerms": [{"id": subnet} for subnet in args.private_subnet_ids],
                "securityGroupSelectorTerms": [{"id": self.security_group_id}],
                # Not DefaultAllow: a new pod would talk to anyone until its policies are in force.
                "networkPolicy": "DefaultDeny",
                "networkPolicyEventLogs": "Enabled",
                "ephemeralStorage": {"size": "80Gi", "kmsKeyID": args.context.key_arn},
            },
            # No value shows that nodes start only once the key may be used.
            opts=self.child(provider=self.kubernetes, depends_on=[disk_key]),
        )
        return [self._node_pool(pool, args.settings.pods_quota, node_class) for pool in (ON_DEMAND, SPOT)]

    def _node_pool(self, pool: str, pods: int, node_class: pulumi.Resource) -> pulumi.Resource:
        def one_of(key: str, *values: str) -> dict[str, Any]:
            return {"key": key, "operator": "In", "values": list(values)}

        return k8s.apiextensions.CustomResource(
            f"{self._name}-{pool}",
            api_version="karpenter.sh/v1",
            kind="NodePool",
            metadata={"name": pool},
            spec={
                # Where a service may use both, the cheaper comes first.
                "weight": 20 if pool == SPOT else 10,
                # Ends a runaway: no more than a whole vCPU and 4 GiB for each pod of the quota.
                "limits": {"cpu": str(pods), "memory": f"{4 * pods}Gi"},
                "disruption": {
                    "consolidationPolicy": "WhenEmptyOrUnderutilized",
                    "consolidateAfter": "5m",
                    "budgets": [{"nodes": "10%"}],
                },
                "template": {
                    "spec": {
                        "nodeClassRef": {
                            "group": "eks.amazonaws.com",
                            "kind": "NodeClass",
                            "name": "trading",
                        },
                        "taints": [NODE_TAINT],
                        "requirements": [
                            # A pool is named after the capacity that it buys.
                            one_of("karpenter.sh/capacity-type", pool),
                            one_of("kubernetes.io/arch", "amd64", "arm64"),
                            one_of("eks.amazonaws.com/instance-category", "c", "m", "r"),
                            {
                                "key": "eks.amazonaws.com/instance-generation",
                                "operator": "Gt",
                                "values": ["4"],
                            },
                        ],
                        # Two weeks, so that no node runs an image without the latest patches.
                        "expireAfter": "336h",
                        # A pod that does not end must not hold up a node for a day (the default).
                        "terminationGracePeriod": "1h",
                    }
                },
            },
            opts=self.child(provider=self.kubernetes, depends_on=[node_class]),
        )

    def _watch_logs(self, cluster_name: str, log_group: aws.cloudwatch.LogGroup) -> None:
        metric = f"{cluster_name}-application-errors"
        count_lines(
            self,
            f"{self._name}-application-errors",
            metric,
            log_group_name=log_group.name,
            # Where a line is JSON, the agent's Fluent Bit puts its fields below `log_processed`.
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

    def _observability(self, args: ClusterArgs) -> list[pulumi.Resource]:
        """Container logs and Container Insights.

        The agents run on every node's own network, so that our nodes' default deny does not reach them.
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
        # The agents would make the log groups themselves, without key and retention.
        return [
            self._addon(
                "cloudwatch",
                "amazon-cloudwatch-observability",
                args.settings.addons.cloudwatch_observability,
                {
                    # The alarms read the metrics of Container Insights, not those of its OpenTelemetry kind.
                    "containerInsights": {"enabled": True},
                    "otelContainerInsights": {"enabled": False},
                    # Would put its own containers into services' pods, which our network policies cut off.
                    "manager": {"applicationSignals": {"autoMonitor": {"monitorAllServices": False}}},
                },
                [identity, *groups],
            )
        ]

    def _secrets_store(self, args: ClusterArgs) -> list[pulumi.Resource]:
        """The Secrets Store CSI driver with AWS's provider, and its way out of nodes that deny all.

        Neither of its two DaemonSets is on the node's own network (their charts' `hostNetwork`), so that
        on our nodes they need a policy: for the API server, Secrets Manager's endpoint in the VPC, DNS and
        the Pod Identity agent, which the provider asks for the credentials of the pod that mounts.
        """
        namespace = k8s.core.v1.Namespace(
            f"{self._name}-secrets-store",
            metadata={"name": SECRETS_STORE_NAMESPACE},
            opts=self.child(provider=self.kubernetes),
        )

        def to(
            port: int, *cidrs: str, protocol: str = "TCP"
        ) -> k8s.networking.v1.NetworkPolicyEgressRuleArgsDict:
            return {
                "to": [{"ip_block": {"cidr": cidr}} for cidr in cidrs],
                "ports": [{"protocol": protocol, "port": port}],
            }

        policy = k8s.networking.v1.NetworkPolicy(
            f"{self._name}-secrets-store",
            metadata={"name": "driver-and-provider", "namespace": SECRETS_STORE_NAMESPACE},
            spec={
                "pod_selector": {},
                "policy_types": ["Egress"],
                "egress": [
                    to(443, args.vpc_cidr, *(f"{network}.1/32" for network in SERVICE_NETWORKS)),
                    *(
                        to(53, *(f"{network}.10/32" for network in SERVICE_NETWORKS), protocol=protocol)
                        for protocol in ("UDP", "TCP")
                    ),
                    to(80, POD_IDENTITY_AGENT),
                ],
            },
            opts=self.child(provider=self.kubernetes, depends_on=[namespace]),
        )
        return [
            self._addon(
                "secrets-store",
                "aws-secrets-store-csi-driver-provider",
                args.settings.addons.secrets_store,
                {
                    # By default the provider, unlike the driver, stays off tainted nodes, which ours are.
                    "tolerations": [{"operator": "Exists"}],
                    # A secret that is rotated reaches the files of pods that run.
                    "secrets-store-csi-driver": {"enableSecretRotation": True},
                },
                # EKS would make the namespace, and the pods would start before they may connect.
                [policy],
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
    """Of the metrics that EKS publishes itself ("Basic metrics in Amazon CloudWatch", EKS user guide) and of
    Container Insights ("Enhanced Container Insights (Classic) metric reference", CloudWatch user guide).

    Under the cluster's name alone the agent puts the values of all nodes, so that the largest is the fullest
    node's. Full disks are among what makes a node a failed one: the metric of disks has the nodes' read-only
    ones as well.
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
