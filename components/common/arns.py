"""Parts of ARNs."""

from __future__ import annotations

import pulumi


def resource_name(arn: pulumi.Input[str]) -> pulumi.Output[str]:
    """The last part of an ARN that ends in `/NAME`, such as the name of an EKS cluster or the id of an Amazon
    Managed Service for Prometheus workspace."""
    return pulumi.Output.from_input(arn).apply(lambda text: text.rsplit("/", 1)[-1])
