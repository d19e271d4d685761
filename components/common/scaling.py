"""Target tracking: keeps a metric of a resource near a value by moving the resource's capacity."""

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
    """Registers a scalable target and its policy as children of `component`; from the policy on it scales.

    Args:
        component: the parent of both.
        name: logical name of both.
        dimension: what scales, such as `rds:cluster:ReadReplicaCount`.
        resource_id: whose it is, in the form that Application Auto Scaling gives the dimension.
        capacity: the least and the most.
        metric: a predefined metric, such as `RDSReaderAverageCPUUtilization`.
        target: the value to keep, in the metric's unit (a share of Lambda's concurrency, else per cent).
        scale_in_cooldown: seconds to wait after having scaled in.
        scale_out_cooldown: seconds to wait after having scaled out.
        scale_in: whether capacity is ever taken away.
        suspended: whether the capacity stays as it is for now.
        depends_on: what must exist before anything scales.
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
