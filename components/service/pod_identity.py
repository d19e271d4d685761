"""Tier 6, EKS Pod Identity: the AWS role of a Kubernetes service account."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pulumi
import pulumi_aws as aws

from components.common.arns import resource_name
from components.common.component import Component
from components.common.iam import policy_document


def pod_identity(
    component: Component,
    name: str,
    *,
    cluster_arn: pulumi.Input[str],
    namespace: str,
    service_account: str,
    statements: Sequence[Mapping[str, Any]] = (),
    managed_policy_arns: Sequence[str] = (),
) -> tuple[aws.iam.Role, pulumi.Resource]:
    """A role with these permissions that only this service account of this cluster can assume.

    Returns the role and the association, which pods must wait for: a pod that starts before its association
    and its permissions exist gets no credentials.
    """
    role = aws.iam.Role(
        f"{name}-role",
        description=f"Pods of {namespace}/{service_account}",
        # EKS sets the session tags ("List of session tags added by EKS Pod Identity").
        assume_role_policy=policy_document(
            {
                "Effect": "Allow",
                "Principal": {"Service": "pods.eks.amazonaws.com"},
                "Action": ["sts:AssumeRole", "sts:TagSession"],
                "Condition": {
                    "StringEquals": {
                        "aws:SourceAccount": component.account_id,
                        "aws:RequestTag/eks-cluster-arn": cluster_arn,
                        "aws:RequestTag/kubernetes-namespace": namespace,
                        "aws:RequestTag/kubernetes-service-account": service_account,
                    }
                },
            }
        ),
        opts=component.child(),
    )
    permissions: list[pulumi.Resource] = [
        aws.iam.RolePolicyAttachment(
            f"{name}-{arn.rsplit('/', 1)[-1]}", role=role.name, policy_arn=arn, opts=component.child()
        )
        for arn in managed_policy_arns
    ]
    if statements:
        permissions.append(
            aws.iam.RolePolicy(
                f"{name}-policy",
                role=role.name,
                policy=policy_document(*statements),
                opts=component.child(),
            )
        )
    association = aws.eks.PodIdentityAssociation(
        f"{name}-identity",
        cluster_name=resource_name(cluster_arn),
        namespace=namespace,
        service_account=service_account,
        role_arn=role.arn,
        # The role must have its permissions before a pod uses it, which no input expresses.
        opts=component.child(depends_on=permissions),
    )
    return role, association
