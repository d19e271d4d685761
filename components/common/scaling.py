"""Target tracking: keeps a metric of a resource near a target value by changing the resource's capacity."""

from __future__ import annotations

import pulumi_aws as aws
from pulumi import Input, Resource

from components.common.component import Component


def target_tracking(
    component: Component,
    name: str,
    *,
    dimension: str,
    resource_id: Input[str],
    capacity: tuple[Input[int], Input[int]],
    metric: str,
    target: float,
    scale_in_cooldown: int | None = None,
    scale_out_cooldown: int | None = None,
    scale_in: bool = True,
    suspended: bool = False,
    depends_on: list[Resource] | None = None,
) -> aws.appautoscaling.Policy:
    """Registers a scalable target and its policy as children of `component`, and returns the policy.

    Args:
        component: the parent of both.
        name: logical name of both.
        dimension: what scales, such as `rds:cluster:ReadReplicaCount`.
        resource_id: the resource, in the form that Application Auto Scaling requires for the dimension.
        capacity: minimum and maximum.
        metric: a predefined metric, such as `RDSReaderAverageCPUUtilization`.
        target: the target value in the metric's unit (a share for Lambda's concurrency, otherwise per cent).
        scale_in_cooldown: seconds to wait after scaling in.
        scale_out_cooldown: seconds to wait after scaling out.
        scale_in: whether capacity may be removed.
        suspended: whether scaling is suspended, so that the capacity stays as it is.
        depends_on: resources that must exist before the capacity is scaled.
    """
    configuration: aws.appautoscaling.PolicyTargetTrackingScalingPolicyConfigurationArgsDict = {
        "predefined_metric_specification": {"predefined_metric_type": metric},
        "target_value": target,
        "disable_scale_in": not scale_in,
    }
    if scale_in_cooldown is not None:
        configuration["scale_in_cooldown"] = scale_in_cooldown
    if scale_out_cooldown is not None:
        configuration["scale_out_cooldown"] = scale_out_cooldown
    scalable = aws.appautoscaling.Target(
        name,
        service_namespace=dimension.split(":")[0],
        scalable_dimension=dimension,
        resource_id=resource_id,
        min_capacity=capacity[0],
        max_capacity=capacity[1],
        suspended_state=(
            {"dynamic_scaling_in_suspended": True, "dynamic_scaling_out_suspended": True}
            if suspended
            else None
        ),
        opts=component.child(depends_on=depends_on),
    )
    return aws.appautoscaling.Policy(
        name,
        policy_type="TargetTrackingScaling",
        service_namespace=scalable.service_namespace,
        scalable_dimension=scalable.scalable_dimension,
        resource_id=scalable.resource_id,
        target_tracking_scaling_policy_configuration=configuration,
        opts=component.child(),
    )
