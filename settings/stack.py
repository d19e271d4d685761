"""A whole stack: its parts, and what must agree between them."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Mapping, Sequence
from typing import Any, Self

from pulumi.runtime.config import CONFIG, get_config_env
from pydantic import Field, ValidationError, field_validator, model_validator

from settings.api import ApiSettings
from settings.cache import CacheSettings
from settings.cluster import ClusterSettings
from settings.database import DatabaseSettings
from settings.domain import DomainSettings
from settings.errors import SettingsError, explain
from settings.load_balancer import CERTIFICATE_NAMES, InternalLoadBalancerSettings, LoadBalancerSettings
from settings.model import NAMESPACE, DnsLabel, Model, refuse_duplicates
from settings.monitoring import MonitoringSettings
from settings.regions import RegionSettings
from settings.service import DEFAULT_SERVICES, ServiceSettings
from settings.streaming import KAFKA_NAME_LENGTH, StreamingSettings, colliding_topic
from settings.table import DEFAULT_TABLES, IDEMPOTENCY_TABLE, TableSettings
from settings.tags import REQUIRED_TAGS, missing_tags
from settings.web import WebSettings


class Settings(Model):
    """Everything that a stack file can say."""

    environment: DnsLabel = Field(examples=["dev"])
    """Name of the environment: part of fixed names, and a tag."""
    protect: bool = True
    """Whether stateful resources refuse deletion, in Pulumi and in AWS."""
    tags: dict[str, str] = Field(json_schema_extra={"required": list(REQUIRED_TAGS)})
    """Tags of every resource; `owner` and `cost-center` are required."""
    domain: DomainSettings
    regions: list[RegionSettings] = Field(min_length=1)
    """The regions it runs in, of which the first is the primary. The next of the list takes over from one
    that fails, and the first from the last: so neighbours in the list are best neighbours on the map."""
    web: WebSettings = WebSettings()
    load_balancer: LoadBalancerSettings = LoadBalancerSettings()
    internal_load_balancer: InternalLoadBalancerSettings = InternalLoadBalancerSettings()
    api: ApiSettings = ApiSettings()
    services: list[ServiceSettings] = DEFAULT_SERVICES
    cluster: ClusterSettings = ClusterSettings()
    cache: CacheSettings = CacheSettings()
    tables: list[TableSettings] = DEFAULT_TABLES
    streaming: StreamingSettings = StreamingSettings()
    database: DatabaseSettings = DatabaseSettings()
    monitoring: MonitoringSettings = MonitoringSettings()

    @property
    def platform(self) -> str:
        """Prefix of names that AWS wants fixed, such as the cluster's."""
        return f"trading-{self.environment}"

    @property
    def additional_hosts(self) -> list[str]:
        """The names beside `domain.host` that listener rules are for."""
        named = {host for rule in self.load_balancer.rules for host in rule.hosts}
        return sorted(named - {self.domain.host})

    def service(self, name: str) -> ServiceSettings:
        """The microservice of this name."""
        return next(service for service in self.services if service.name == name)

    def callers(self, name: str) -> list[str]:
        """The microservices that call this one."""
        return [service.name for service in self.services if name in service.calls]

    @field_validator("tags")
    @classmethod
    def _required_tags(cls, tags: dict[str, str]) -> dict[str, str]:
        missing = missing_tags(tags)
        if missing:
            raise ValueError(f"lacks {', '.join(missing)}; every resource carries {', '.join(REQUIRED_TAGS)}")
        return tags

    @field_validator("regions")
    @classmethod
    def _distinct_regions(cls, regions: list[RegionSettings]) -> list[RegionSettings]:
        refuse_duplicates("name", (region.name for region in regions))
        for index, region in enumerate(regions):
            for other in regions[:index]:
                if ipaddress.IPv4Network(region.cidr).overlaps(ipaddress.IPv4Network(other.cidr)):
                    raise ValueError(
                        f"{region.name}'s cidr {region.cidr} overlaps {other.name}'s {other.cidr}; "
                        "the regions' networks must be apart"
                    )
        for kind in ("continents", "countries"):
            claims: dict[str, str] = {}
            for region in regions:
                for place in getattr(region.serves, kind):
                    if place in claims:
                        raise ValueError(
                            f"{region.name}'s serves.{kind} has {place}, which {claims[place]}'s has "
                            "already; give each place to one region"
                        )
                    claims[place] = region.name
        return regions

    @field_validator("services")
    @classmethod
    def _distinct_services(cls, services: list[ServiceSettings]) -> list[ServiceSettings]:
        refuse_duplicates("name", (service.name for service in services))
        refuse_duplicates("listenerPort", (service.listener_port for service in services))
        return services

    @field_validator("tables")
    @classmethod
    def _distinct_tables(cls, tables: list[TableSettings]) -> list[TableSettings]:
        refuse_duplicates("name", (table.name for table in tables))
        if IDEMPOTENCY_TABLE not in {table.name for table in tables}:
            raise ValueError(f"lacks {IDEMPOTENCY_TABLE}, which order intake writes to")
        return tables

    @model_validator(mode="after")
    def _names_refer_to_something(self) -> Self:
        services = {service.name for service in self.services}
        tables = {table.name for table in self.tables}
        topics = {topic.name for topic in self.streaming.topics}
        for index, route in enumerate(self.api.routes):
            _refuse_unknown(f"api.routes[{index}].service", [route.service], services, "services")
        _refuse_unknown("api.orderService", [self.api.order_service], services, "services")
        if self.api.canary:
            regions = {region.name for region in self.regions}
            _refuse_unknown(
                "api.canary.stableVersions", list(self.api.canary.stable_versions), regions, "regions"
            )
        for index, service in enumerate(self.services):
            if service.tls_port and not self.internal_load_balancer.tls:
                raise ValueError(
                    f"services[{index}].tlsPort: {service.tls_port} needs internalLoadBalancer.tls: clients "
                    "do not trust a pod's own certificate"
                )
            _refuse_unknown(f"services[{index}].tables", service.tables, tables, "tables")
            _refuse_unknown(f"services[{index}].produces", service.produces, topics, "streaming.topics")
            _refuse_unknown(f"services[{index}].consumes", service.consumes, topics, "streaming.topics")
            others = services - {service.name}
            _refuse_unknown(f"services[{index}].calls", service.calls, others, "the other services")
            for secret in service.secrets.values():
                for region in self.regions:
                    if secret.startswith("arn:") and secret.split(":")[3] != region.name:
                        raise ValueError(
                            f"services[{index}].secrets: {secret} is not in {region.name}, which a service "
                            "cannot start without; give the secret's name, and replicate it to every region"
                        )
        return self

    @model_validator(mode="after")
    def _dead_letter_topics_have_names(self) -> Self:
        topics = [topic.name for topic in self.streaming.topics]
        for index, service in enumerate(self.services):
            for topic in service.consumes:
                name = self.streaming.dead_letter_topic(topic, service.name)
                if name is None:
                    continue
                if len(name) > KAFKA_NAME_LENGTH:
                    raise ValueError(
                        f"services[{index}].consumes: the dead-letter topic {name} has {len(name)} "
                        f"characters, and Kafka allows {KAFKA_NAME_LENGTH}; shorten the topic's name, or set "
                        "its deadLetter to false"
                    )
                if other := colliding_topic(name, topics):
                    raise ValueError(
                        f"streaming.topics: {other} has the name of {service.name}'s dead-letter topic of "
                        f"{topic}; rename it, or set deadLetter of {topic} to false"
                    )
        return self

    @model_validator(mode="after")
    def _additional_hosts_can_be_ours(self) -> Self:
        names = self.domain
        for host in self.additional_hosts:
            if (
                not host.endswith(f".{names.zone}")
                or host == names.origin
                or host.endswith(f".{names.origin}")
            ):
                raise ValueError(
                    f"loadBalancer.rules: host {host} must lie below zone {names.zone}, such as "
                    f"api.{names.zone}, and not below {names.origin}, whose names Route 53 leads to regions"
                )
        # Beside these a region's certificate has the host, the origin's name and a wildcard below it.
        most = CERTIFICATE_NAMES - 3
        if len(self.additional_hosts) > most:
            raise ValueError(
                f"loadBalancer.rules: name {len(self.additional_hosts)} hosts beside {names.host}; a "
                f"region's certificate has room for {most}"
            )
        return self

    @model_validator(mode="after")
    def _the_canary_can_sign_in(self) -> Self:
        if self.monitoring.canary and self.api.jwt:
            raise ValueError(
                "monitoring.canary signs in with the platform's own user pool, of which api.jwt leaves none; "
                "give one of the two"
            )
        return self

    @model_validator(mode="after")
    def _a_deployer_reaches_the_clusters(self) -> Self:
        if self.cluster.public_access_cidrs:
            return self
        unreachable = "cluster.publicAccessCidrs: is empty, which leaves the Kubernetes API private, and "
        for region in self.regions:
            if not region.existing_vpc:
                raise ValueError(
                    f"{unreachable}{region.name}'s VPC is only created by this stack, so that nobody could "
                    "deploy into its cluster: name the networks that you deploy from, such as "
                    "[203.0.113.0/24], or give each region a VPC that they are in or peered with "
                    "(regions[].existingVpc)"
                )
        if not self.cluster.deployer_cidrs:
            raise ValueError(
                f"{unreachable}cluster.deployerCidrs admits no network to it either: name the network inside "
                "the VPC, or peered with it, that you deploy from, such as [10.0.0.0/24]"
            )
        return self

    @classmethod
    def load(cls) -> Settings:
        """The current stack's settings.

        Raises:
            SettingsError: one or more keys are missing, unknown or have a value that cannot be used.
        """
        return cls.parse(
            {
                key.removeprefix(f"{NAMESPACE}:"): _plain(value)
                for key, value in {**get_config_env(), **CONFIG.get()}.items()
                if key.startswith(f"{NAMESPACE}:")
            }
        )

    @classmethod
    def parse(cls, values: Mapping[str, Any]) -> Settings:
        """The settings in `values`: the stack file's keys without their `trading:`.

        Raises:
            SettingsError: as `load`.
        """
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise SettingsError(explain(error, cls.model_json_schema())) from None


def _refuse_unknown(path: str, names: Sequence[str], known: set[str], where: str) -> None:
    for name in names:
        if name not in known:
            raise ValueError(f"{path}: {name} is not in {where}; known are {', '.join(sorted(known))}")


def _plain(text: str) -> Any:
    """The value of a configuration key: Pulumi hands structures over as JSON and scalars as text."""
    if text in ("true", "false") or text[:1] in ("{", "["):
        try:
            return json.loads(text)
        except json.JSONDecodeError:
            return text  # a text after all: the key's own type says what would do
    return text
