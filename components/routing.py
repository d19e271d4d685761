"""Tier 2, routing: Route 53 records from the viewer's name to CloudFront, and from the origin's to a
region."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from components.common.component import Component
from components.common.context import DeploymentContext
from components.common.signals import Signal
from components.hosted_zone import QueryLog, QueryLogArgs, ZoneSigning, ZoneSigningArgs
from components.load_balancer import TargetsAlarm
from components.routing_tree import Failover, Geolocation, Latency, origin_tree
from settings import HEALTH_PATH, DomainSettings, ServedLocations


@dataclass(frozen=True, kw_only=True)
class RegionalOrigin:
    """One region's load balancer."""

    region: str
    serves: ServedLocations
    dns_name: pulumi.Input[str]
    zone_id: pulumi.Input[str]
    targets_alarm: TargetsAlarm
    """The alarm on too few healthy targets."""
    ready: Sequence[pulumi.Resource] = ()
    """What a region needs to answer whether it takes orders."""


@dataclass(frozen=True, kw_only=True)
class RoutingArgs:
    """Settings of the records."""

    context: DeploymentContext
    names: DomainSettings
    additional_hosts: Sequence[str] = ()
    """Other names, in addition to the host, that viewers use."""
    zone_id: pulumi.Input[str]
    distribution_domain_name: pulumi.Input[str]
    distribution_zone_id: pulumi.Input[str]
    origins: Sequence[RegionalOrigin]
    """The first is the primary region's."""


class Routing(Component):
    """Viewer and origin records, and the health checks that control them.

    The origin's names form a tree of aliases with one policy each (`HOST` is the viewer's name):

        origin.HOST         GEOLOCATION  a region's own places → REGION.origin.HOST
                                         any other place → lat.origin.HOST
        lat.origin.HOST     LATENCY      nearest region → REGION.origin.HOST
        REGION.origin.HOST  FAILOVER     own load balancer, else that of the next region of the list
        write.origin.HOST   FAILOVER     the first region's load balancer, until the second takes over

    `write` has no latency step: a conditional write to a global table doesn't deduplicate across regions, so
    orders go to a single region. Routes that write do the same, because only that region's database accepts
    writes. They don't follow health either, but only the second region's answer that no other region may
    take writes (`routing_tree.origin_tree`). A stack with one region already has the whole tree, so a second
    region only adds records.

    The load balancers only have IPv4 addresses, which CloudFront and the health checkers use by default, so
    only the viewer's name has an AAAA record.
    """

    health_check_ids: list[pulumi.Output[str]]
    """The calculated health check of each region."""
    ds_record: pulumi.Output[str] | None
    """DS record that the parent zone must have once this zone is signed; None without DNSSEC."""

    def __init__(self, name: str, args: RoutingArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("trading:tier:Routing", name, opts)
        self._viewer_records(name, args)
        own = {origin.region: self._own_record(name, args, origin) for origin in args.origins}
        checks = {
            origin.region: self._health_check(name, origin, own[origin.region]) for origin in args.origins
        }
        self._origin_records(name, args, own, checks)
        self.health_check_ids = [check.id for check in checks.values()]
        self.report(
            *[
                Signal(
                    name=f"health-check-{region}",
                    runbook="health-check",
                    title=f"Route 53 considers {region} unhealthy and sends its reads to another region",
                    namespace="AWS/Route53",
                    metric="HealthCheckStatus",
                    dimensions={"HealthCheckId": check.id},
                    statistic="Minimum",
                    comparison="below",
                    threshold=1,
                    reason="The metric is 1 while the region's API answers and its load balancer has "
                    "enough healthy targets.",
                    severity="critical",
                    periods=1,
                    missing_data="breaching",
                )
                for region, check in checks.items()
            ]
        )
        self.ds_record = self._zone_wide(name, args)
        self.register_outputs({"healthCheckIds": self.health_check_ids, "dsRecord": self.ds_record})

    def _viewer_records(self, name: str, args: RoutingArgs) -> None:
        prefixes = {args.names.host: name, **{host: f"{name}-{host}" for host in args.additional_hosts}}
        for host, prefix in prefixes.items():
            for record_type in ("A", "AAAA"):
                aws.route53.Record(
                    f"{prefix}-viewer-{record_type.lower()}",
                    zone_id=args.zone_id,
                    name=host,
                    type=record_type,
                    # Route 53 doesn't evaluate the health of a distribution.
                    aliases=[
                        _alias(args.distribution_domain_name, args.distribution_zone_id, evaluate=False)
                    ],
                    opts=self.child(),
                )
            # Certificate authorities check a name and then its parents (RFC 8659), so the host's record
            # also applies to the origin names.
            aws.route53.Record(
                f"{prefix}-caa",
                zone_id=args.zone_id,
                name=host,
                type="CAA",
                ttl=3600,
                records=['0 issue "amazon.com"'],
                opts=self.child(),
            )

    def _own_record(self, name: str, args: RoutingArgs, origin: RegionalOrigin) -> aws.route53.Record:
        """The region's own name, which leads to its load balancer and never to another."""
        return aws.route53.Record(
            f"{name}-health-{origin.region}",
            zone_id=args.zone_id,
            name=args.names.region_health(origin.region),
            type="A",
            # Not evaluated, so that Route 53 resolves the name even if every target is unhealthy, and the
            # check shows the reason.
            aliases=[_alias(origin.dns_name, origin.zone_id, evaluate=False)],
            opts=self.child(),
        )

    def _health_check(
        self, name: str, origin: RegionalOrigin, record: aws.route53.Record
    ) -> aws.route53.HealthCheck:
        """A check that is healthy while the region's API answers and its load balancer has enough targets."""
        endpoint = aws.route53.HealthCheck(
            f"{name}-{origin.region}",
            type="HTTPS",
            fqdn=record.name,
            port=443,
            resource_path=HEALTH_PATH,
            enable_sni=True,
            # Three failures at intervals of 10 s: traffic moves half a minute after an outage begins instead
            # of one and a half minutes. Checkers in all regions take part, so no single network decides.
            request_interval=10,
            failure_threshold=3,
            tags={"Name": f"{name}-{origin.region}"},
            opts=self.child(),
        )
        return aws.route53.HealthCheck(
            f"{name}-{origin.region}-calculated",
            type="CALCULATED",
            child_healthchecks=[endpoint.id, self._targets_check(name, origin).id],
            child_health_threshold=2,
            tags={"Name": f"{name}-{origin.region}-calculated"},
            opts=self.child(),
        )

    def _targets_check(self, name: str, origin: RegionalOrigin) -> aws.route53.HealthCheck:
        """A check of the load balancer's alarm, which is healthy while at least half of the targets are."""
        return aws.route53.HealthCheck(
            f"{name}-{origin.region}-targets",
            type="CLOUDWATCH_METRIC",
            cloudwatch_alarm_name=origin.targets_alarm.name,
            cloudwatch_alarm_region=origin.region,
            # CloudWatch may fail on its own. If the region fails, the endpoint's check detects it.
            insufficient_data_health_status="LastKnownStatus",
            # Route 53 keeps a copy of the alarm, which is updated only when the health check is.
            triggers=origin.targets_alarm.compares,
            tags={"Name": f"{name}-{origin.region}-targets"},
            opts=self.child(),
        )

    def _orders_check(self, name: str, region: str, record: aws.route53.Record) -> aws.route53.HealthCheck:
        """A check that is unhealthy while the region answers that no other region may take writes.

        Every region has one, although only the second region's is used. A new check counts as healthy until
        it has data ("How Amazon Route 53 determines whether a health check is healthy", Route 53 Developer
        Guide, read in November 2026), and so an inverted one as unhealthy: one that a promotion created would
        send orders away for half a minute.
        """
        return aws.route53.HealthCheck(
            f"{name}-{region}-orders",
            type="HTTPS_STR_MATCH",
            fqdn=record.name,
            port=443,
            resource_path=f"{HEALTH_PATH}?orders",
            search_string='"otherRegions": "closed"',
            invert_healthcheck=True,
            enable_sni=True,
            request_interval=10,
            failure_threshold=3,
            tags={"Name": f"{name}-{region}-orders"},
            opts=self.child(),
        )

    def _origin_records(
        self,
        name: str,
        args: RoutingArgs,
        own: Mapping[str, aws.route53.Record],
        checks: Mapping[str, aws.route53.HealthCheck],
    ) -> None:
        origins = {origin.region: origin for origin in args.origins}
        orders = {
            region: self._orders_check(name, region, record) for region, record in own.items() if len(own) > 1
        }
        tree = origin_tree(args.names, {region: origin.serves for region, origin in origins.items()})
        # Route 53 rejects an alias for a name that doesn't exist yet, so the name is a record's output.
        published: dict[str, pulumi.Output[str]] = {}
        for item in tree:
            policy = item.policy
            # For reads, both the primary and the secondary have a health check. If both fail, Route 53
            # returns the primary.
            check = orders.get(item.yields_to)
            if not item.load_balancer:
                alias = _alias(published[item.alias], args.zone_id)
            elif item.follows_health:
                origin = origins[item.load_balancer]
                alias, check = _alias(origin.dns_name, origin.zone_id), checks[origin.region]
            else:
                alias = _alias(own[item.load_balancer].name, args.zone_id)
            record = aws.route53.Record(
                f"{name}-{item.logical_name}",
                zone_id=args.zone_id,
                name=item.name,
                type="A",
                set_identifier=item.set_identifier,
                geolocation_routing_policies=(
                    [{"continent": policy.code} if policy.kind == "continent" else {"country": policy.code}]
                    if isinstance(policy, Geolocation)
                    else None
                ),
                latency_routing_policies=[{"region": policy.region}] if isinstance(policy, Latency) else None,
                failover_routing_policies=[{"type": policy.role}] if isinstance(policy, Failover) else None,
                health_check_id=check.id if check else None,
                aliases=[alias],
                # A new check of orders is unhealthy until it has data, so its region must answer first.
                opts=self.child(depends_on=[*origins[item.yields_to].ready] if item.yields_to else None),
            )
            published.setdefault(item.name, record.name)

    def _zone_wide(self, name: str, args: RoutingArgs) -> pulumi.Output[str] | None:
        if args.names.query_logging:
            QueryLog(
                f"{name}-query-log",
                QueryLogArgs(context=args.context, zone=args.names.zone, zone_id=args.zone_id),
                self.child(),
            )
        if not args.names.dnssec:
            return None
        signing = ZoneSigning(
            f"{name}-signing",
            ZoneSigningArgs(context=args.context, zone_id=args.zone_id),
            self.child(),
        )
        return signing.ds_record


def _alias(
    name: pulumi.Input[str], zone_id: pulumi.Input[str], *, evaluate: bool = True
) -> aws.route53.RecordAliasArgsDict:
    return {"name": name, "zone_id": zone_id, "evaluate_target_health": evaluate}
