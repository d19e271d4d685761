"""Tier 6, the nodes of the cluster: their role, node classes and node pools."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pulumi
import pulumi_aws as aws
import pulumi_kubernetes as k8s

from components.common.arns import resource_name
from components.common.component import Component
from components.common.context import RegionContext
from components.common.iam import policy_document
from components.common.workloads import NODE_TAINT, ON_DEMAND, SPOT
from settings import MarketHours

ADD_ONS = "add-ons"
"""Node pool of EKS's add-ons and of KEDA, and the node class of its nodes."""
SERVICES = "trading"
"""Node class of the nodes of the services' pools."""

EXPIRE_AFTER_HOURS = 480
"""Age at which a node is replaced, whatever disruption budgets say. It is a day short of Auto Mode's limit,
so that a newer image, for which Auto Mode replaces nodes within the budgets, almost always comes first."""
TERMINATION_GRACE_HOURS = 1
"""Time after which a pod that doesn't terminate no longer blocks its node's removal. The default is a day."""
ADD_ONS_VCPUS = 32
"""Limit of the add-ons' pool, against runaway scaling. The add-ons request less than a quarter of it."""

_NODE_POLICIES = ("AmazonEKSWorkerNodeMinimalPolicy", "AmazonEC2ContainerRegistryPullOnly")
_DELETION_TIMEOUT = f"{60 * TERMINATION_GRACE_HOURS + 30}m"
"""A node class is deleted after its last node, whose pods can use their whole grace period."""


@dataclass(frozen=True, kw_only=True)
class NodePoolsArgs:
    """Settings of the nodes."""

    context: RegionContext
    cluster_arn: pulumi.Input[str]
    cluster_role_arn: pulumi.Input[str]
    """The role with which Auto Mode starts instances."""
    kubernetes: k8s.Provider
    subnet_ids: Sequence[pulumi.Input[str]]
    security_group_id: pulumi.Input[str]
    pods_quota: int
    market_hours: MarketHours | None


def node_pools(component: Component, name: str, args: NodePoolsArgs) -> list[pulumi.Resource]:
    """Two pools for the services and one for the add-ons, in place of Auto Mode's built-in pools.

    Nodes of a built-in pool have disks that are encrypted with AWS's key, and Auto Mode replaces them at any
    time of the day. They also outlive the deletion of the cluster's other resources, and their network
    interfaces then block the deletion of the VPC. Our node classes are deleted only once their nodes are
    gone, because Auto Mode holds them with a finalizer.
    """
    role, admitted = _node_role(component, name, args)
    disk_key = _disk_key(component, name, args)
    # Nodes can start only with the role's permissions and with the key, which no input expresses.
    ready = [*admitted, disk_key]
    # With DefaultAllow, a new pod could connect anywhere until its policies are enforced.
    services = _node_class(component, f"{name}-node-class", SERVICES, "DefaultDeny", role, args, ready)
    # Most add-ons come without network policies.
    add_ons = _node_class(component, f"{name}-add-ons-class", ADD_ONS, "DefaultAllow", role, args, ready)
    quota = args.pods_quota
    return [
        # Limits runaway scaling to one vCPU and 4 GiB for each pod of the quota.
        *(_node_pool(component, name, pool, args, quota, services) for pool in (ON_DEMAND, SPOT)),
        _node_pool(component, name, ADD_ONS, args, ADD_ONS_VCPUS, add_ons),
    ]


def _node_role(
    component: Component, name: str, args: NodePoolsArgs
) -> tuple[aws.iam.Role, list[pulumi.Resource]]:
    """The nodes' role, and what gives it its permissions in AWS and in the cluster.

    EKS only creates the access entry of a role that its built-in pools use ("Create a Node Class for Amazon
    EKS", EKS User Guide).
    """
    role = aws.iam.Role(
        f"{name}-node",
        description="Nodes of the EKS cluster",
        assume_role_policy=policy_document(
            {
                "Effect": "Allow",
                "Principal": {"Service": "ec2.amazonaws.com"},
                "Action": ["sts:AssumeRole", "sts:TagSession"],
            }
        ),
        opts=component.child(),
    )
    policies: list[pulumi.Resource] = [
        aws.iam.RolePolicyAttachment(
            f"{name}-node-{policy}",
            role=role.name,
            policy_arn=f"arn:aws:iam::aws:policy/{policy}",
            opts=component.child(),
        )
        for policy in _NODE_POLICIES
    ]
    entry = aws.eks.AccessEntry(
        f"{name}-node",
        cluster_name=resource_name(args.cluster_arn),
        principal_arn=role.arn,
        type="EC2",
        opts=component.child(),
    )
    association = aws.eks.AccessPolicyAssociation(
        f"{name}-node",
        cluster_name=resource_name(args.cluster_arn),
        principal_arn=role.arn,
        policy_arn="arn:aws:eks::aws:cluster-access-policy/AmazonEKSAutoNodePolicy",
        access_scope={"type": "cluster"},
        opts=component.child(depends_on=[entry]),
    )
    return role, [*policies, association]


def _disk_key(component: Component, name: str, args: NodePoolsArgs) -> aws.iam.RolePolicy:
    return aws.iam.RolePolicy(
        f"{name}-disk-key",
        role=resource_name(args.cluster_role_arn),
        # "Enable EBS Volume Encryption with Customer Managed KMS Keys for EKS Auto Mode", EKS User Guide.
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
        opts=component.child(),
    )


def _node_class(
    component: Component,
    resource: str,
    name: str,
    network_policy: str,
    role: aws.iam.Role,
    args: NodePoolsArgs,
    ready: list[pulumi.Resource],
) -> pulumi.Resource:
    return k8s.apiextensions.CustomResource(
        resource,
        api_version="eks.amazonaws.com/v1",
        kind="NodeClass",
        metadata={"name": name},
        spec={
            "role": role.name,
            "subnetSelectorTerms": [{"id": subnet} for subnet in args.subnet_ids],
            "securityGroupSelectorTerms": [{"id": args.security_group_id}],
            "networkPolicy": network_policy,
            "networkPolicyEventLogs": "Enabled",
            "ephemeralStorage": {"size": "80Gi", "kmsKeyID": args.context.key_arn},
        },
        opts=component.child(
            provider=args.kubernetes,
            depends_on=ready,
            custom_timeouts=pulumi.CustomTimeouts(delete=_DELETION_TIMEOUT),
        ),
    )


def _node_pool(
    component: Component,
    name: str,
    pool: str,
    args: NodePoolsArgs,
    vcpus: int,
    node_class: pulumi.Resource,
) -> pulumi.Resource:
    def one_of(key: str, *values: str) -> dict[str, Any]:
        return {"key": key, "operator": "In", "values": list(values)}

    add_ons = pool == ADD_ONS
    return k8s.apiextensions.CustomResource(
        f"{name}-{pool}",
        api_version="karpenter.sh/v1",
        kind="NodePool",
        metadata={"name": pool},
        spec={
            # If a service may use both pools, the cheaper one is preferred.
            "weight": 20 if pool == SPOT else 10,
            "limits": {"cpu": str(vcpus), "memory": f"{4 * vcpus}Gi"},
            "disruption": {
                "consolidationPolicy": "WhenEmptyOrUnderutilized",
                "consolidateAfter": "5m",
                "budgets": _budgets(args.market_hours),
            },
            "template": {
                "spec": {
                    "nodeClassRef": {
                        "group": "eks.amazonaws.com",
                        "kind": "NodeClass",
                        "name": ADD_ONS if add_ons else SERVICES,
                    },
                    # Only the services tolerate the taint, so that nothing without network policies runs on
                    # nodes that deny by default.
                    **({} if add_ons else {"taints": [NODE_TAINT]}),
                    "requirements": [
                        # A service's pool is named after its capacity type.
                        one_of("karpenter.sh/capacity-type", ON_DEMAND if add_ons else pool),
                        one_of("kubernetes.io/arch", "amd64", *(() if add_ons else ("arm64",))),
                        one_of("eks.amazonaws.com/instance-category", "c", "m", "r"),
                        {
                            "key": "eks.amazonaws.com/instance-generation",
                            "operator": "Gt",
                            "values": ["4"],
                        },
                    ],
                    "expireAfter": f"{EXPIRE_AFTER_HOURS}h",
                    "terminationGracePeriod": f"{TERMINATION_GRACE_HOURS}h",
                }
            },
        },
        opts=component.child(provider=args.kubernetes, depends_on=[node_class]),
    )


def _budgets(market_hours: MarketHours | None) -> list[dict[str, Any]]:
    """How many nodes may be replaced at a time: none while the market trades, otherwise a tenth of them.

    Where several budgets apply, the lowest counts. Budgets don't apply to nodes that expire, and empty nodes
    are removed at any time, because that disrupts no pod ("Disruption", Karpenter documentation).
    """
    windows = market_hours.utc(datetime.now(UTC).year) if market_hours else []
    return [
        {"nodes": "10%"},
        *(
            {
                "nodes": "0",
                "reasons": ["Drifted", "Underutilized"],
                "schedule": window.schedule,
                "duration": window.duration,
            }
            for window in windows
        ),
    ]
