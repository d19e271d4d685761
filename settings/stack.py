"""Settings of a whole stack: its parts, and the rules between them."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Sequence
from typing import Annotated, Any

from pydantic import Field, field_validator
from pydantic.alias_generators import to_camel

from settings.api import ApiSettings
from settings.aws_limits import (
    CACHE_USERS,
    CERTIFICATE_NAMES,
    KAFKA_INTERNAL_PARTITIONS,
    KAFKA_NAME_LENGTH,
    POLICY_ARN,
)
from settings.aws_values import regions_without
from settings.by_name import ByName
from settings.cache import CacheSettings
from settings.cluster import ClusterSettings
from settings.database import DatabaseSettings
from settings.domain import DomainSettings
from settings.errors import Problem
from settings.images import reachable_image
from settings.load_balancer import InternalLoadBalancerSettings, LoadBalancerSettings
from settings.loading import StackModel
from settings.model import (
    Broken,
    DnsLabel,
    Location,
    refuse_duplicates,
    rule,
)
from settings.monitoring import MonitoringSettings
from settings.quotas import exceeded_quotas
from settings.regions import Region, RegionSettings
from settings.schema import file_schema, values_schema
from settings.service import DEFAULT_SERVICES, ServiceSettings
from settings.streaming import StreamingSettings, colliding_topic
from settings.table import DEFAULT_TABLES, IDEMPOTENCY_TABLE, TableSettings
from settings.tags import Tags
from settings.version import VERSION, upgrade
from settings.web import WebSettings


class Settings(StackModel):
    """All settings of a stack file."""

    settings_version: int = Field(examples=[VERSION], json_schema_extra={"const": VERSION})
    """Version of the settings' format. A release that changes the format can then say what to change."""
    environment: DnsLabel = Field(examples=["dev"])
    """Name of the environment, which is part of fixed names and a tag."""
    protect: bool = True
    """Whether stateful resources are protected from deletion, in Pulumi and in AWS."""
    tags: Tags
    """Tags of every resource, seven at most. `owner` and `cost-center` are required."""
    permissions_boundary: Annotated[str, Field(pattern=POLICY_ARN)] | None = Field(
        default=None, examples=["arn:aws:iam::123456789012:policy/trading-workloads"]
    )
    """ARN of the policy that limits every role of the stack, whatever the role's own policies allow. The
    project `bootstrap` creates one, and lets pipelines create only roles with it. The default limits
    nothing."""
    domain: DomainSettings
    regions: list[RegionSettings] = Field(min_length=1)
    """The regions that the platform runs in. If a region fails, the next in the list takes over its reads,
    and the first takes over from the last, so put nearby regions next to each other. Otherwise, the order has
    no meaning."""
    home_region: Region | None = Field(default=None, examples=["us-east-1"])
    """The region in which the stack's data began: the tables of the other regions are replicas of its tables,
    and the global database was created from its cluster. Required with several regions. It never changes
    while its region exists, whichever region is the primary one. With one region, it is that region."""
    primary_region: Region | None = Field(default=None, examples=["us-east-1"])
    """The region whose database takes the writes. The default is the home region. Change it after the
    database has moved (docs/operations.md, "Fail over a region and come back"): the region's readers then
    scale, and migrations, the rotation of the master secret and copies of backups begin there."""
    web: WebSettings = WebSettings()
    load_balancer: LoadBalancerSettings = LoadBalancerSettings()
    internal_load_balancer: InternalLoadBalancerSettings = InternalLoadBalancerSettings()
    api: ApiSettings = ApiSettings()
    services: Annotated[list[ServiceSettings], ByName("name", DEFAULT_SERVICES)] = DEFAULT_SERVICES
    """The microservices, by name."""
    cluster: ClusterSettings = ClusterSettings()
    cache: CacheSettings = CacheSettings()
    tables: Annotated[list[TableSettings], ByName("name", DEFAULT_TABLES)] = DEFAULT_TABLES
    """DynamoDB tables, by name."""
    streaming: StreamingSettings = StreamingSettings()
    database: DatabaseSettings = DatabaseSettings()
    monitoring: MonitoringSettings = MonitoringSettings()

    @property
    def platform(self) -> str:
        """Prefix of names that must be fixed in AWS, such as the cluster's."""
        return f"trading-{self.environment}"

    @property
    def additional_hosts(self) -> list[str]:
        """The host names of listener rules, without `domain.host`."""
        named = {host for rule in self.load_balancer.rules for host in rule.hosts}
        return sorted(named - {self.domain.host})

    def service(self, name: str) -> ServiceSettings:
        """The microservice of this name."""
        return next(service for service in self.services if service.name == name)

    def callers(self, name: str) -> list[str]:
        """The microservices that call this one."""
        return [service.name for service in self.services if name in service.calls]

    @property
    def home(self) -> str:
        """The home region's name."""
        return self.home_region or self.regions[0].name

    @property
    def primary(self) -> str:
        """The primary region's name."""
        return self.primary_region or self.home

    @property
    def home_first(self) -> list[RegionSettings]:
        """The regions in the order in which they need each other: the home region, then the others."""
        return sorted(self.regions, key=lambda region: region.name != self.home)

    @property
    def primary_first(self) -> list[RegionSettings]:
        """The regions in the order in which they take over from each other, beginning with the primary."""
        first = next(index for index, region in enumerate(self.regions) if self.is_primary(region.name))
        return [*self.regions[first:], *self.regions[:first]]

    def is_primary(self, region: str) -> bool:
        """Whether a region is the primary one."""
        return region == self.primary

    @field_validator("settings_version")
    @classmethod
    def _format_of_this_release(cls, version: int) -> int:
        if version < VERSION:
            raise ValueError(
                f"this release reads version {VERSION} (a file without settingsVersion has version 1); "
                f"{upgrade(version)}"
            )
        return version

    @field_validator("regions")
    @classmethod
    def _distinct_regions(cls, regions: list[RegionSettings]) -> list[RegionSettings]:
        refuse_duplicates("name", (region.name for region in regions))
        for index, region in enumerate(regions):
            for other in regions[:index]:
                if ipaddress.IPv4Network(region.cidr).overlaps(ipaddress.IPv4Network(other.cidr)):
                    raise ValueError(
                        f"{region.name}'s cidr {region.cidr} overlaps {other.name}'s {other.cidr}; "
                        "the regions' networks must not overlap"
                    )
        for kind in ("continents", "countries"):
            claims: dict[str, str] = {}
            for region in regions:
                for place in getattr(region.serves, kind):
                    if place in claims:
                        raise ValueError(
                            f"{region.name}'s serves.{kind} contains {place}, as does {claims[place]}'s; "
                            "give each place to only one region"
                        )
                    claims[place] = region.name
        return regions

    @field_validator("services")
    @classmethod
    def _distinct_listener_ports(cls, services: list[ServiceSettings]) -> list[ServiceSettings]:
        refuse_duplicates("listenerPort", (service.listener_port for service in services))
        return services

    @field_validator("tables")
    @classmethod
    def _order_intake_has_its_table(cls, tables: list[TableSettings]) -> list[TableSettings]:
        if IDEMPOTENCY_TABLE not in {table.name for table in tables}:
            raise ValueError(f"must contain {IDEMPOTENCY_TABLE}, which order intake writes to")
        return tables

    @rule
    def _order_intake_knows_its_tables_attributes(self) -> Iterator[Broken]:
        default, mine = (
            next(table for table in tables if table.name == IDEMPOTENCY_TABLE)
            for tables in (DEFAULT_TABLES, self.tables)
        )
        for field in ("hash_key", "range_key", "ttl_attribute"):
            if getattr(mine, field) != getattr(default, field):
                yield Broken(
                    "order intake needs the default's attributes (functions/order_intake): leave it out",
                    ("tables", IDEMPOTENCY_TABLE, to_camel(field)),
                )

    @rule
    def _names_refer_to_something(self) -> Iterator[Broken]:
        services = {service.name for service in self.services}
        tables = {table.name for table in self.tables}
        topics = {topic.name for topic in self.streaming.topics}
        for route in self.api.routes:
            where = ("api", "routes", route.path, "service")
            yield from _unknown(where, [route.service], services, "services")
        yield from _unknown(("api", "orderService"), [self.api.order_service], services, "services")
        if self.api.canary:
            regions = {region.name for region in self.regions}
            where = ("api", "canary", "stableVersions")
            yield from _unknown(where, list(self.api.canary.stable_versions), regions, "regions")
        for service in self.services:
            at = ("services", service.name)
            yield from _unknown((*at, "tables"), service.tables, tables, "tables")
            yield from _unknown((*at, "produces"), service.produces, topics, "streaming.topics")
            yield from _unknown((*at, "consumes"), service.consumes, topics, "streaming.topics")
            yield from _unknown(
                (*at, "calls"), service.calls, services - {service.name}, "the other services"
            )

    @rule
    def _nodes_can_pull_the_images(self) -> Iterator[Broken]:
        for service in self.services:
            try:
                reachable_image(self.cluster.image(service.image, self.regions[0].name))
            except ValueError as error:
                yield Broken(f"{service.image} {error}", ("services", service.name, "image"))

    @rule
    def _regions_have_what_is_wanted(self) -> Iterator[Broken]:
        wanted = [("cache", "nodeType", "cacheNodes", self.cache.node_type)]
        if not self.database.serverless:
            wanted.append(("database", "instanceClass", "databaseClasses", self.database.instance_class))
        for part, key, kind, value in wanted:
            lacking = set(regions_without(kind, value)) & {region.name for region in self.regions}
            if lacking:
                yield Broken(f"{value} is not offered in {', '.join(sorted(lacking))}", (part, key))

    @rule
    def _clients_trust_what_ends_tls(self) -> Iterator[Broken]:
        for service in self.services:
            if service.tls_port and not self.internal_load_balancer.tls:
                yield Broken(
                    f"{service.tls_port} requires internalLoadBalancer.tls, because clients don't trust a "
                    "pod's own certificate",
                    ("services", service.name, "tlsPort"),
                )

    @rule
    def _secrets_are_in_every_region(self) -> Iterator[Broken]:
        for service in self.services:
            for key, secret in service.secrets.items():
                for region in self.regions:
                    if secret.startswith("arn:") and secret.split(":")[3] != region.name:
                        yield Broken(
                            f"{secret} is not in {region.name}, where the service cannot start without it; "
                            "give the secret's name, and replicate it to every region",
                            ("services", service.name, "secrets", key),
                        )

    @rule
    def _dead_letter_topics_have_names(self) -> Iterator[Broken]:
        topics = [topic.name for topic in self.streaming.topics]
        for service in self.services:
            for topic in service.consumes:
                name = self.streaming.dead_letter_topic(topic, service.name)
                if name is None:
                    continue
                if len(name) > KAFKA_NAME_LENGTH:
                    yield Broken(
                        f"the dead-letter topic {name} has {len(name)} characters, but Kafka allows only "
                        f"{KAFKA_NAME_LENGTH}: shorten the topic's name, or set its deadLetter to false",
                        ("services", service.name, "consumes"),
                    )
                if other := colliding_topic(name, topics):
                    yield Broken(
                        f"{other} has the name of {service.name}'s dead-letter topic of {topic}: rename it, "
                        f"or set deadLetter of {topic} to false",
                        ("streaming", "topics", other),
                    )

    @rule
    def _brokers_hold_all_partitions(self) -> Iterator[Broken]:
        streaming = self.streaming
        dead_letters = sum(
            streaming.dead_letter_topic(topic, service.name) is not None
            for service in self.services
            for topic in service.consumes
        )
        partitions = sum(topic.partitions for topic in streaming.topics) + dead_letters
        # Each partition has a replica in each zone, so the brokers of a zone have one of every partition.
        of_a_broker = (partitions + KAFKA_INTERNAL_PARTITIONS) / streaming.brokers_per_zone
        if of_a_broker > streaming.broker_partitions:
            yield Broken(
                f"each broker would have {of_a_broker:,.0f} partitions, including dead-letter topics and the "
                f"{KAFKA_INTERNAL_PARTITIONS} of Kafka's own topics, but MSK can't reconfigure or upgrade a "
                f"{streaming.instance_type} with more than {streaming.broker_partitions:,}: lower the number "
                "of partitions, or choose a larger instanceType or brokersPerZone",
                ("streaming", "topics"),
            )

    @rule
    def _cache_admits_all_services(self) -> Iterator[Broken]:
        users = sum(service.cache for service in self.services)
        if users > CACHE_USERS:
            yield Broken(
                f"{users} services use the cache, but ElastiCache's default quota is {CACHE_USERS} users in "
                "a group: set cache to false for some",
                ("services",),
            )

    @rule
    def _additional_hosts_can_be_ours(self) -> Iterator[Broken]:
        names, where = self.domain, ("loadBalancer", "rules")
        for host in self.additional_hosts:
            below_origin = f".{host}".endswith(f".{names.origin}")
            if below_origin or not host.endswith(f".{names.zone}"):
                yield Broken(
                    f"host {host} must lie below zone {names.zone}, such as api.{names.zone}, and not below "
                    f"{names.origin}, whose names are used to route to regions",
                    where,
                )
        # A region's certificate also has the host, the origin's name and a wildcard below that name.
        most = CERTIFICATE_NAMES - 3
        if len(self.additional_hosts) > most:
            yield Broken(
                f"name {len(self.additional_hosts)} hosts in addition to {names.host}, but a region's "
                f"certificate has room for only {most}",
                where,
            )

    @rule
    def _quotas_suffice(self) -> Iterator[Broken]:
        yield from exceeded_quotas(self)

    @rule
    def _the_canary_can_sign_in(self) -> Iterator[Broken]:
        if self.monitoring.canary and self.api.jwt:
            yield Broken(
                "signs in with the platform's own user pool, which doesn't exist with api.jwt: give only one "
                "of them",
                ("monitoring", "canary"),
            )

    @rule
    def _roles_belong_to_regions(self) -> Iterator[Broken]:
        names = [region.name for region in self.regions]
        for key, role in (("homeRegion", self.home_region), ("primaryRegion", self.primary_region)):
            if role and role not in names:
                yield Broken(
                    f"{role} is not in regions; known are {', '.join(sorted(names))}. To give up a region "
                    'that has a role, follow docs/operations.md, "Lose a region for good"',
                    (key,),
                )
        if len(names) > 1 and self.home_region is None:
            yield Broken(
                "is required with several regions, because a wrong one would replace the tables by empty "
                "ones: give the region that the stack was first deployed to, which was the first of the list "
                f"in earlier releases ({names[0]})",
                ("homeRegion",),
            )

    @rule
    def _one_region_serves_all(self) -> Iterator[Broken]:
        region = self.regions[0]
        if len(self.regions) == 1 and region.given("serves"):
            yield Broken(
                f"has no effect: {region.name} is the only region, and serves every place; leave it out",
                ("regions", 0, "serves"),
            )

    @rule
    def _a_deployer_reaches_the_clusters(self) -> Iterator[Broken]:
        if self.cluster.public_access_cidrs:
            return
        where = ("cluster", "publicAccessCidrs")
        unreachable = "is empty, so the Kubernetes API is private, and "
        created = [region.name for region in self.regions if not region.existing_vpc]
        if created:
            yield Broken(
                f"{unreachable}{created[0]}'s VPC is created by this stack, so nobody could deploy into its "
                "cluster: give the networks that you deploy from, such as [203.0.113.0/24], or give each "
                "region an existing VPC (regions[].existingVpc) that you deploy from or that is peered with "
                "your network",
                where,
            )
        elif not self.cluster.deployer_cidrs:
            yield Broken(
                f"{unreachable}cluster.deployerCidrs is empty too: give the network inside the VPC, or "
                "peered with it, that you deploy from, such as [10.0.0.0/24]",
                where,
            )

    @classmethod
    def _of_this_release(cls, values: dict[str, Any]) -> dict[str, Any] | list[Problem]:
        read = {"settingsVersion": 1, **values}
        version = read["settingsVersion"]
        if isinstance(version, int) and version < 1:
            return [Problem(("settingsVersion",), f"{version}: must be {VERSION}")]
        if isinstance(version, int) and version > VERSION:
            # This release cannot check anything else in such a file.
            newer = f"{version}: this release supports versions up to {VERSION}: update the project"
            return [Problem(("settingsVersion",), newer)]
        return read


def stack_schema() -> dict[str, Any]:
    """The JSON Schema of a `Pulumi.<stack>.yaml` file, for editors and the tests."""
    return file_schema(values_schema(Settings))


def _unknown(where: Location, names: Sequence[str], known: set[str], place: str) -> Iterator[Broken]:
    for name in names:
        if name not in known:
            yield Broken(f"{name} is not in {place}; known are {', '.join(sorted(known))}", where)
