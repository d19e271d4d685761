"""The platform's names: hosted zone, certificates, and the secret that CloudFront shows its origin."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws
import pulumi_random as random

from components.tier import Tier
from settings import DomainSettings


@dataclass(frozen=True, kw_only=True)
class DomainArgs:
    """Settings of the names."""

    names: DomainSettings
    regions: Sequence[str]
    """Regions that get a certificate for their load balancer and API."""


class Domain(Tier):
    """Looks the hosted zone up and issues DNS-validated certificates.

    Built with a provider of us-east-1, where CloudFront wants its certificate; the regional ones name
    their region. It has no load balancer's name in it: that is what keeps the platform free of circles.
    """

    zone_id: pulumi.Output[str]
    viewer_certificate_arn: pulumi.Output[str]
    """Validated, in us-east-1, for the viewer's host."""
    regional_certificate_arns: Mapping[str, pulumi.Output[str]]
    """Region → validated certificate for the viewer's host, the origin names and that region's name."""
    origin_secret: pulumi.Output[str]
    """Value of the header that CloudFront sends to its origin; a Pulumi secret."""

    def __init__(self, name: str, args: DomainArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, opts)
        raise NotImplementedError
