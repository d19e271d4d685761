"""Parts of ARNs."""

from __future__ import annotations

import pulumi


def log_groups(
    account_id: pulumi.Input[str], region: pulumi.Input[str], resources: str = "*"
) -> pulumi.Output[str]:
    """Pattern for the ARNs of an account's log groups in a region, or of those that `resources` names."""
    return pulumi.Output.format("arn:aws:logs:{0}:{1}:{2}", region, account_id, resources)


def resource_name(arn: pulumi.Input[str]) -> pulumi.Output[str]:
    """The last part of an ARN that ends in `/NAME`, such as the name of an EKS cluster or the id of an Amazon
    Managed Service for Prometheus workspace."""
    return pulumi.Output.from_input(arn).apply(lambda text: text.rsplit("/", 1)[-1])
