"""Tier 2, routing: Route 53 from the viewer's name to CloudFront, and from the origin's to a region."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from components.tier import Signal, Tier
from settings import DomainSettings

HEALTH_PATH = "/healthz"
"""Answered by a real check of what the API depends on, never by a fixed response."""


@dataclass(frozen=True, kw_only=True)
class RegionalOrigin:
    """One region's load balancer."""

    region: str
    dns_name: pulumi.Input[str]
    zone_id: pulumi.Input[str]


@dataclass(frozen=True, kw_only=True)
class RoutingArgs:
    """Settings of the records."""

    names: DomainSettings
    zone_id: pulumi.Input[str]
    distribution_domain_name: pulumi.Input[str]
    distribution_zone_id: pulumi.Input[str]
    origins: Sequence[RegionalOrigin]
    """The first is the primary, where writes go."""


class Routing(Tier):
    """Viewer and origin records, and the health checks that steer them.

    The origin's names form a tree of aliases with one policy each (`HOST` is the viewer's name):

        origin.HOST         GEOLOCATION  any location → lat.origin.HOST
        lat.origin.HOST     LATENCY      nearest region → REGION.origin.HOST
        REGION.origin.HOST  FAILOVER     own load balancer, else the first other region's
        write.origin.HOST   FAILOVER     the first region's load balancer, else the second's

    `write` has no latency step: a conditional write to a global table does not deduplicate across
    regions, so orders go to one region as long as it lives. One region has the whole tree already, so a
    second one only adds records.

    The load balancers have IPv4 addresses only, which is what CloudFront and the health checkers come
    with by default, so the viewer's name alone has an AAAA record.
    """

    health_check_ids: list[pulumi.Output[str]]

    def __init__(self, name: str, args: RoutingArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, opts)
        names, zone_id = args.names, args.zone_id

        for record_type in ("A", "AAAA"):
            aws.route53.Record(
                f"{name}-viewer-{record_type.lower()}",
                zone_id=zone_id,
                name=names.host,
                type=record_type,
                # Route 53 does not evaluate the health of a distribution.
                aliases=[_alias(args.distribution_domain_name, args.distribution_zone_id, evaluate=False)],
                opts=self.child(),
            )
        # Certificate authorities climb from a name to its parents (RFC 8659), so this record holds for
        # the origin names too.
        aws.route53.Record(
            f"{name}-caa",
            zone_id=zone_id,
            name=names.host,
            type="CAA",
            ttl=3600,
            records=['0 issue "amazon.com"'],
            opts=self.child(),
        )

        checks = {origin.region: self._health_check(name, args, origin) for origin in args.origins}
        latency: list[aws.route53.Record] = []
        for origin in args.origins:
            others = [other for other in args.origins if other is not origin]
            failover = self._failover(
                f"{name}-{origin.region}",
                zone_id,
                names.region_origin(origin.region),
                [origin, *others],
                checks,
            )
            latency.append(
                aws.route53.Record(
                    f"{name}-latency-{origin.region}",
                    zone_id=zone_id,
                    name=names.latency_origin,
                    type="A",
                    set_identifier=origin.region,
                    latency_routing_policies=[{"region": origin.region}],
                    aliases=[_alias(failover.name, zone_id)],
                    opts=self.child(),
                )
            )
        aws.route53.Record(
            f"{name}-geolocation-default",
            zone_id=zone_id,
            name=names.origin,
            type="A",
            set_identifier="default",
            geolocation_routing_policies=[{"country": "*"}],
            aliases=[_alias(latency[0].name, zone_id)],
            opts=self.child(),
        )
        self._failover(f"{name}-write", zone_id, names.write_origin, args.origins, checks)

        self.health_check_ids = [check.id for check in checks.values()]
        self.signals += [
            Signal(
                name=f"health-check-{region}",
                title=f"Route 53 finds {region} unhealthy and sends its traffic to another region",
                namespace="AWS/Route53",
                metric="HealthCheckStatus",
                dimensions={"HealthCheckId": check.id},
                statistic="Minimum",
                comparison="below",
                threshold=1,
                reason="The metric is 1 while more than 18 % of the checkers get an answer, and 0 otherwise.",
                severity="critical",
                periods=1,
                missing_data="breaching",
            )
            for region, check in checks.items()
        ]
        self.register_outputs({"healthCheckIds": self.health_check_ids})

    def _health_check(self, name: str, args: RoutingArgs, origin: RegionalOrigin) -> aws.route53.HealthCheck:
        """A check of one region's API through its load balancer, under a name that never fails over."""
        record = aws.route53.Record(
            f"{name}-health-{origin.region}",
            zone_id=args.zone_id,
            name=args.names.region_health(origin.region),
            type="A",
            # Without it Route 53 answers even when every target is unhealthy, and the check can tell why.
            aliases=[_alias(origin.dns_name, origin.zone_id, evaluate=False)],
            opts=self.child(),
        )
        return aws.route53.HealthCheck(
            f"{name}-{origin.region}",
            type="HTTPS",
            fqdn=record.name,
            port=443,
            resource_path=HEALTH_PATH,
            enable_sni=True,
            # Three failures 10 s apart: traffic moves half a minute after an outage begins, not one and
            # a half. Checkers of all regions ask, so no single network decides.
            request_interval=10,
            failure_threshold=3,
            tags={"Name": f"{name}-{origin.region}"},
            opts=self.child(),
        )

    def _failover(
        self,
        name: str,
        zone_id: pulumi.Input[str],
        record_name: str,
        origins: Sequence[RegionalOrigin],
        checks: Mapping[str, aws.route53.HealthCheck],
    ) -> aws.route53.Record:
        """Failover records from the first region to the second, where there is one; returns the primary.

        Both have their check: when both are unhealthy, Route 53 answers with the primary.
        """
        records = [
            aws.route53.Record(
                f"{name}-{role.lower()}",
                zone_id=zone_id,
                name=record_name,
                type="A",
                set_identifier=role.lower(),
                failover_routing_policies=[{"type": role}],
                health_check_id=checks[origin.region].id,
                aliases=[_alias(origin.dns_name, origin.zone_id)],
                opts=self.child(),
            )
            for role, origin in zip(("PRIMARY", "SECONDARY"), origins, strict=False)
        ]
        return records[0]


def _alias(
    name: pulumi.Input[str], zone_id: pulumi.Input[str], *, evaluate: bool = True
) -> aws.route53.RecordAliasArgsDict:
    return {"name": name, "zone_id": zone_id, "evaluate_target_health": evaluate}
