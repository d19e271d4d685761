"""Tier 1, the web: CloudFront with the web app's bucket and the API as origins."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from components.tier import Tier
from settings import DomainSettings, WebSettings


@dataclass(frozen=True, kw_only=True)
class WebArgs:
    """Settings of the distribution."""

    platform: str
    names: DomainSettings
    certificate_arn: pulumi.Input[str]
    """In us-east-1."""
    origin_secret: pulumi.Input[str]
    settings: WebSettings
    log_retention_days: int
    protect: bool


class Web(Tier):
    """The distribution, its web ACL and the web app's bucket. Built with a provider of us-east-1."""

    distribution_id: pulumi.Output[str]
    distribution_domain_name: pulumi.Output[str]
    distribution_zone_id: pulumi.Output[str]
    """Hosted zone of CloudFront's names, for alias records."""
    bucket: pulumi.Output[str]

    def __init__(self, name: str, args: WebArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, opts)
        raise NotImplementedError
