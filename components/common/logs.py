"""CloudWatch log groups, permissions to write to them, and metrics of their contents."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pulumi
import pulumi_aws as aws

from components.common.arns import log_groups
from components.common.component import Component
from components.common.context import RegionContext
from components.common.iam import policy_document
from components.common.signals import LOG_METRICS


def log_group(
    component: Component,
    logical_name: str,
    context: RegionContext,
    *,
    name: pulumi.Input[str] | None = None,
    name_prefix: str | None = None,
    depends_on: list[pulumi.Resource] | None = None,
) -> aws.cloudwatch.LogGroup:
    """A log group that is encrypted with the context's key and keeps logs for the context's number of days.

    Args:
        component: the parent.
        logical_name: name in the stack.
        context: the region's context.
        name: physical name, if a service requires a certain one.
        name_prefix: prefix of the physical name, if a service requires a certain one.
        depends_on: resources that must exist first.
    """
    return aws.cloudwatch.LogGroup(
        logical_name,
        name=name,
        name_prefix=name_prefix,
        retention_in_days=context.log_retention_days,
        kms_key_id=context.key_arn,
        opts=component.child(depends_on=depends_on),
    )


def all_streams(log_group_arn: pulumi.Input[str]) -> pulumi.Output[str]:
    """ARN of everything in a log group, which is required in permissions on its streams and events."""
    return pulumi.Output.format("{0}:*", log_group_arn)


def count_lines(
    component: Component,
    name: str,
    metric: str,
    *,
    log_group_name: pulumi.Input[str],
    pattern: str,
    namespace: str = LOG_METRICS,
) -> None:
    """Counts the log events that match `pattern` in a metric.

    The metric has no dimensions, so its name must identify the log group ("Filter and pattern syntax").
    """
    aws.cloudwatch.LogMetricFilter(
        name,
        log_group_name=log_group_name,
        pattern=pattern,
        metric_transformation={"namespace": namespace, "name": metric, "value": "1"},
        opts=component.child(),
    )


def writes_logs(group: aws.cloudwatch.LogGroup) -> dict[str, Any]:
    """A statement that lets a role write to a log group."""
    return {
        "Sid": "OwnLogs",
        "Effect": "Allow",
        "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
        "Resource": all_streams(group.arn),
    }


def delivered_for(account_id: pulumi.Input[str], region: pulumi.Input[str]) -> dict[str, dict[str, Any]]:
    """The condition of a statement for the log delivery service: that it acts on behalf of this account."""
    return {
        "StringEquals": {"aws:SourceAccount": account_id},
        "ArnLike": {"aws:SourceArn": log_groups(account_id, region)},
    }


def log_delivery_policy(
    component: Component, group_arns: Sequence[pulumi.Output[str]], *, region: pulumi.Input[str]
) -> pulumi.Output[str]:
    """Lets the log delivery service of AWS write to log groups, on behalf of this account only.

    Source: "Enabling logging from AWS services", CloudWatch Logs User Guide.
    """
    return policy_document(
        {
            "Effect": "Allow",
            "Principal": {"Service": "delivery.logs.amazonaws.com"},
            "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
            "Resource": [all_streams(arn) for arn in group_arns],
            "Condition": delivered_for(component.account_id, region),
        }
    )
