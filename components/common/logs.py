"""CloudWatch log groups, who may write to them, and metrics of what is in them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pulumi
import pulumi_aws as aws

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
    """A log group, encrypted with the context's key and kept for the context's number of days.

    Args:
        component: the parent.
        logical_name: in the stack.
        context: of the region.
        name: physical name, where a service prescribes it.
        name_prefix: beginning of the physical name, where a service prescribes that.
        depends_on: what must exist first.
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
    """ARN of everything in a log group, which is what permissions on its streams and events name."""
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
    """Counts the log events that match `pattern` as a metric.

    The metric has no dimensions, so its name must say whose it is ("Filter and pattern syntax").
    """
    aws.cloudwatch.LogMetricFilter(
        name,
        log_group_name=log_group_name,
        pattern=pattern,
        metric_transformation={"namespace": namespace, "name": metric, "value": "1"},
        opts=component.child(),
    )


def writes_logs(group: aws.cloudwatch.LogGroup) -> dict[str, Any]:
    """The statement that lets a role write to a log group."""
    return {
        "Sid": "OwnLogs",
        "Effect": "Allow",
        "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
        "Resource": all_streams(group.arn),
    }


def log_delivery_policy(
    component: Component, group_arns: Sequence[pulumi.Output[str]], *, region: pulumi.Input[str]
) -> pulumi.Output[str]:
    """Lets AWS's log delivery write to log groups, on behalf of this account only.

    Source: "Enabling logging from AWS services", CloudWatch Logs User Guide.
    """
    sources = pulumi.Output.format("arn:aws:logs:{0}:{1}:*", region, component.account_id)
    return policy_document(
        {
            "Effect": "Allow",
            "Principal": {"Service": "delivery.logs.amazonaws.com"},
            "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
            "Resource": [all_streams(arn) for arn in group_arns],
            "Condition": {
                "StringEquals": {"aws:SourceAccount": component.account_id},
                "ArnLike": {"aws:SourceArn": sources},
            },
        }
    )
