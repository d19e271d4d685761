"""The platform's names: hosted zone, certificates, and the secret that CloudFront sends to its origin."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws
import pulumi_random as random

from components.common.component import Component
from components.common.signals import Signal
from settings import DomainSettings


@dataclass(frozen=True, kw_only=True)
class DomainArgs:
    """Settings of the names and certificates."""

    names: DomainSettings
    additional_hosts: Sequence[str] = ()
    """Other names, in addition to the host, that viewers use. Every certificate includes them."""
    regions: Sequence[str]
    """Regions that get a certificate for their load balancer and API, the home region first: its certificate
    names the record that proves the ownership of the origin's name."""
    origin_secrets: Sequence[int]
    """Numbers of the origin header's secrets: all of them are accepted, and the last one is sent."""


class Domain(Component):
    """Looks up the hosted zone and issues DNS-validated certificates.

    The component uses a provider for us-east-1, where CloudFront requires its certificate. The regional
    certificates name their region. The component doesn't depend on any load balancer's name, which avoids
    circular dependencies.
    """

    zone_id: pulumi.Output[str]
    viewer_certificate_arn: pulumi.Output[str]
    """Validated certificate in us-east-1 for the viewer's host."""
    regional_certificate_arns: Mapping[str, pulumi.Output[str]]
    """Region → validated certificate for the viewer's host, the origin names and the region's own name."""
    origin_secrets: Mapping[int, pulumi.Output[str]]
    """Number → value of the origin header that the load balancers accept, as a Pulumi secret."""
    origin_secret: pulumi.Output[str]
    """The value that CloudFront sends: the last of `origin_secrets`."""

    def __init__(self, name: str, args: DomainArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("trading:tier:Domain", name, opts)
        host, origin = args.names.host, args.names.origin
        self.zone_id = aws.route53.get_zone_output(
            name=args.names.zone, private_zone=False, opts=pulumi.InvokeOptions(parent=self)
        ).zone_id

        more = args.additional_hosts
        viewer = self._certificate(f"{name}-viewer", host, more)
        regional = {
            region: self._certificate(f"{name}-{region}", host, [origin, f"*.{origin}", *more], region)
            for region in args.regions
        }
        # ACM requires one record per name and account. All certificates for a name, in every region, share
        # it, and a wildcard uses the record of its parent ("DNS validation"). So each name's record is
        # created once.
        host_records = [
            self._validation_record(f"{name}-host", viewer, host),
            *(self._validation_record(f"{name}-{another}", viewer, another) for another in more),
        ]
        origin_record = self._validation_record(f"{name}-origin", regional[args.regions[0]], origin)

        self.viewer_certificate_arn = self._validated(f"{name}-viewer", viewer, host_records)
        self.regional_certificate_arns = {
            region: self._validated(f"{name}-{region}", certificate, [*host_records, origin_record], region)
            for region, certificate in regional.items()
        }
        self.report(
            _expiry("viewer-certificate-expiry", viewer),
            *(_expiry("certificate-expiry", certificate, region) for region, certificate in regional.items()),
        )
        self.origin_secrets = {
            number: random.RandomPassword(
                numbered(f"{name}-origin-secret", number),
                length=40,
                # A listener rule treats * and ? in a header's value as wildcards.
                special=False,
                opts=self.child(),
            ).result
            for number in args.origin_secrets
        }
        self.origin_secret = self.origin_secrets[args.origin_secrets[-1]]
        self.register_outputs(
            {
                "zoneId": self.zone_id,
                "viewerCertificateArn": self.viewer_certificate_arn,
                "regionalCertificateArns": self.regional_certificate_arns,
            }
        )

    def _certificate(
        self, name: str, domain: str, others: Sequence[str] = (), region: str | None = None
    ) -> aws.acm.Certificate:
        return aws.acm.Certificate(
            name,
            domain_name=domain,
            subject_alternative_names=list(others),
            # CloudFront, load balancers, private custom domain names and every client support RSA.
            key_algorithm="RSA_2048",
            validation_method="DNS",
            region=region,
            tags={"Name": domain},
            opts=self.child(),
        )

    def _validation_record(
        self, name: str, certificate: aws.acm.Certificate, domain: str
    ) -> aws.route53.Record:
        """The record that proves that we own `domain`. The number of records is known in a preview, but not
        their contents."""
        option = certificate.domain_validation_options.apply(
            lambda options: next(option for option in options if option.domain_name == domain)
        )
        return aws.route53.Record(
            f"{name}-validation",
            zone_id=self.zone_id,
            name=option.apply(lambda option: option.resource_record_name or ""),
            type=option.apply(lambda option: option.resource_record_type or ""),
            records=[option.apply(lambda option: option.resource_record_value or "")],
            ttl=300,
            # All certificates of the account for a name have the same record, so it may exist already, for
            # a certificate of another stack or one that was requested by hand. Its content is the same. The
            # record outlives the stack, because other certificates couldn't be renewed without it ("DNS
            # validation", ACM User Guide).
            allow_overwrite=True,
            opts=self.child(retain_on_delete=True),
        )

    def _validated(
        self,
        name: str,
        certificate: aws.acm.Certificate,
        records: Sequence[aws.route53.Record],
        region: str | None = None,
    ) -> pulumi.Output[str]:
        return aws.acm.CertificateValidation(
            name,
            certificate_arn=certificate.arn,
            validation_record_fqdns=[record.fqdn for record in records],
            region=region,
            opts=self.child(),
        ).certificate_arn


def numbered(name: str, number: int) -> str:
    """The logical name of a resource of an origin secret. For the first secret, it has no number."""
    return name if number == 1 else f"{name}-{number}"


def _expiry(name: str, certificate: aws.acm.Certificate, region: str = "") -> Signal:
    return Signal(
        name=name,
        runbook="certificate-expiry",
        title="A certificate is about to expire because its renewal has failed",
        namespace="AWS/CertificateManager",
        metric="DaysToExpiry",
        dimensions={"CertificateArn": certificate.arn},
        statistic="Minimum",
        comparison="below",
        threshold=30,
        reason="The threshold is in days. ACM renews a certificate more than a month before it expires as "
        "long as the validation record exists, so the renewal has failed.",
        severity="critical",
        # ACM reports twice a day.
        period_seconds=86400,
        periods=1,
        # ACM stops reporting when the certificate has expired, which the alarm must not treat as a recovery.
        # For a new certificate, missing data must not raise the alarm either.
        missing_data="ignore",
        region=region,
    )
