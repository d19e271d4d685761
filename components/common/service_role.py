"""Roles that AWS's services assume, with one of AWS's own policies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import pulumi_aws as aws

from components.common.component import Component
from components.common.iam import service_trust


class ServiceRole(NamedTuple):
    """A role, and its permission. What refers only to the role must wait for the permission."""

    role: aws.iam.Role
    permission: aws.iam.RolePolicyAttachment


def service_role(
    component: Component,
    name: str,
    service: str,
    policy_arn: str,
    *,
    condition: Mapping[str, Any] | None = None,
    retain_on_delete: bool | None = None,
) -> ServiceRole:
    """A role that only the service, such as `backup.amazonaws.com`, may assume.

    Args:
        component: the component that contains the role.
        name: logical name of both resources.
        service: the service's name as a principal.
        policy_arn: ARN of AWS's policy.
        condition: the trust policy's condition.
        retain_on_delete: whether both stay when the stack is destroyed.
    """
    role = aws.iam.Role(
        name,
        assume_role_policy=service_trust(service, condition),
        opts=component.child(retain_on_delete=retain_on_delete),
    )
    permission = aws.iam.RolePolicyAttachment(
        name, role=role.name, policy_arn=policy_arn, opts=component.child(retain_on_delete=retain_on_delete)
    )
    return ServiceRole(role, permission)


def api_logs_role(component: Component, name: str) -> ServiceRole:
    """The role with which API Gateway writes logs. An account has one setting for it in each region, so the
    role stays when the stack is destroyed."""
    return service_role(
        component,
        name,
        "apigateway.amazonaws.com",
        "arn:aws:iam::aws:policy/service-role/AmazonAPIGatewayPushToCloudWatchLogs",
        retain_on_delete=True,
    )
