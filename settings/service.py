"""Tier 6: the microservices."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field, field_validator
from pydantic.alias_generators import to_camel

from settings.model import Broken, DnsLabel, Model, Percent, Port, Range, duplicate, refuse_duplicates, rule
from settings.pinned import Image
from settings.promql import promql_problem
from settings.streaming import KafkaTopic

_RESERVED_ROLES = (
    r"pg_.*|rds.*|postgres|public|none|"
    r"trading_(admin|owner)|service_users|(accounts|ledger|orders)_(post|ro|rw)"
)
"""PostgreSQL's, RDS's and our own roles (`database/roles.sql`), which a service's user must not be."""

SecretFile = Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]{0,62}$", examples=["PARTNER_API_KEY"])]
SecretId = Annotated[
    str,
    Field(
        # The characters of a secret's name (Secrets Manager, `CreateSecret`), or a whole ARN.
        pattern=r"^(arn:aws:secretsmanager:[a-z0-9-]+:[0-9]{12}:secret:)?[A-Za-z0-9/_+=.@-]{1,512}$",
        examples=["trading/partner-api-key"],
    ),
]
Path = Annotated[str, Field(pattern=r"^/[!-~]*$", max_length=1024)]
"""As a target group's health check takes it (Elastic Load Balancing API Reference, "CreateTargetGroup")."""
DatabaseRole = Literal["accounts_rw", "ledger_post", "ledger_ro", "orders_ro", "orders_rw"]


class ScalingSettings(Model):
    """When a service's pods scale, from a Prometheus query and from CPU."""

    query: str = 'sum(rate(http_requests_total{namespace="trading",service="SERVICE"}[2m]))'
    """PromQL; `SERVICE` stands for the service's name."""
    threshold: float = Field(default=100, gt=0)
    """The query's value for which one pod suffices."""
    cpu_percent: Percent = 70
    """Share of the requested CPU that the pods are held at."""
    scale_down_seconds: int = Field(default=300, ge=0, le=3600)
    """The most pods that were wanted in this time are kept, so that a burst finds them still there."""
    fallback_replicas: int | None = Field(default=None, ge=1)
    """The least number of pods while the query has no value; `replicas.min` where nothing is given."""


class ServiceAlertSettings(Model):
    """When a service's requests ring, by its own metrics: the counter `http_requests_total` with the label
    `status`, and the histogram `http_request_duration_seconds`."""

    error_percent: float = Field(default=1, gt=0, lt=100)
    """Share of requests that are answered with 5xx."""
    latency_ms: int = Field(default=500, ge=1, lt=10_000)
    """Milliseconds within which 99 of 100 requests are answered. The histogram's last bucket ends at 10 s by
    default: nothing is seen to be slower."""


class ServiceSettings(Model):
    """One microservice."""

    name: DnsLabel
    """Name of its Kubernetes objects, its target group and its cache user."""
    image: Image = "stefanprodan/podinfo:6.9.2"
    """A public sample to replace by your own image."""
    port: Port = 9898
    """The container's HTTP port."""
    tls_port: Port | None = None
    """The container's HTTPS port, where it has one beside `port`: then the internal load balancer encrypts
    to the pods too, and `port` is left to Kubernetes' probes. Any certificate will do, the image's own or
    that of the Secret `NAME-tls`; TLS 1.2 must be among the versions. The container finds the port and
    the Secret's files (which may be missing) in `TLS_PORT`, `TLS_CERTIFICATE_FILE` and `TLS_KEY_FILE`."""
    listener_port: Port
    """The port of this service on the internal load balancer; one service each."""
    replicas: Range = Range(min=3, max=30)
    cpu: str = Field(default="250m", pattern=r"^[1-9][0-9]*m?$", examples=["250m"])
    """CPU that a pod requests: cores, or thousandths of one (`m`)."""
    memory: str = Field(default="256Mi", pattern=r"^[1-9][0-9]*(Mi|Gi)$")
    """Memory that a pod requests, which is its limit too."""
    health_path: Path = "/healthz"
    ready_path: Path = "/readyz"
    metrics_path: Path = "/metrics"
    metrics_port: Port | None = None
    """The container's port for metrics, where it is not the HTTP port."""
    spot: bool = False
    """Whether pods may run on spot capacity. Not for the order path."""
    arm64: bool = False
    """Whether the image is built for arm64 too: then pods may run on Graviton nodes."""
    scaling: ScalingSettings = ScalingSettings()
    alerts: ServiceAlertSettings | None = ServiceAlertSettings()
    """`null` for a service that has no such metrics: then nothing watches its requests."""
    tables: list[str] = []
    """DynamoDB tables that the service reads and writes."""
    produces: list[KafkaTopic] = []
    """Topics that the service writes."""
    consumes: list[KafkaTopic] = []
    """Topics that the service reads, in the consumer group that has its name."""
    cache: bool = False
    database: bool = False
    """Whether the service has a user in the database, which may sign in and what `databaseRoles` say."""
    database_roles: list[DatabaseRole] = []
    """What the user may do: the group roles of `database/roles.sql`, with `database: true`."""
    calls: list[str] = []
    """Other `services` that it calls, at `http://NAME:PORT`, which `SERVICE_NAME` in its environment says."""
    secrets: dict[SecretFile, SecretId] = {}
    """Secrets of Secrets Manager, by name or ARN: each is a file in `/mnt/secrets`, which `KEY_FILE` in the
    environment names. They exist already, encrypted with AWS's key or with ours."""

    @property
    def scaling_query(self) -> str:
        """The query that scales it, with its name in place of `SERVICE`."""
        return self.scaling.query.replace("SERVICE", self.name)

    @field_validator("produces", "consumes", "tables", "calls")
    @classmethod
    def _distinct_names(cls, names: list[str]) -> list[str]:
        refuse_duplicates("name", names)
        return names

    @rule
    def _at_least_one_replica(self) -> Iterator[Broken]:
        if self.replicas.min < 1:
            yield Broken("replicas.min must be at least 1: the load balancer needs a healthy target")
        fallback = self.scaling.fallback_replicas
        if fallback and not self.replicas.min <= fallback <= self.replicas.max:
            yield Broken(
                f"scaling.fallbackReplicas ({fallback}) must lie within replicas "
                f"({self.replicas.min} to {self.replicas.max})"
            )

    @rule
    def _pods_that_do_not_scale_aim_at_nothing(self) -> Iterator[Broken]:
        # The query is recorded and watched either way.
        for field in ("threshold", "cpu_percent", "scale_down_seconds", "fallback_replicas"):
            if self.replicas.min == self.replicas.max and self.scaling.given(field):
                yield Broken(
                    f"has no effect, because replicas.min and replicas.max are both {self.replicas.max}: "
                    "leave it out, or let the pods scale",
                    ("scaling", to_camel(field)),
                )

    @rule
    def _query_can_be_evaluated(self) -> Iterator[Broken]:
        if problem := promql_problem(self.scaling_query):
            yield Broken(problem, ("scaling", "query"))

    @rule
    def _tls_has_a_port_of_its_own(self) -> Iterator[Broken]:
        if self.tls_port and self.tls_port in (self.port, self.metrics_port):
            yield Broken(
                f"tlsPort {self.tls_port} is also a port of plain HTTP; give TLS its own, such as 8443"
            )

    @rule
    def _database_user_of_its_own(self) -> Iterator[Broken]:
        if self.database_roles and not self.database:
            yield Broken("databaseRoles are for a service with `database: true`; add it, or leave them out")
        if found := duplicate("databaseRoles:", self.database_roles):
            yield Broken(found)
        if self.database and re.fullmatch(_RESERVED_ROLES, self.database_user):
            yield Broken(
                f"name {self.name}: its database user would be {self.database_user}, a role that is not a "
                f"service's; rename the service, such as app-{self.name}"
            )

    @property
    def database_user(self) -> str:
        """The service's role in PostgreSQL, whose names have no hyphen unless they are quoted."""
        return self.name.replace("-", "_")


DEFAULT_SERVICES = [
    ServiceSettings(
        name="orders",
        listener_port=8081,
        tables=["orders-idempotency"],
        produces=["orders"],
        consumes=["executions"],
        cache=True,
        database=True,
        database_roles=["ledger_post", "orders_rw"],
    ),
    ServiceSettings(
        name="accounts",
        listener_port=8082,
        produces=["balances"],
        consumes=["executions"],
        database=True,
        database_roles=["accounts_rw", "ledger_post"],
    ),
    ServiceSettings(
        name="market-data",
        listener_port=8083,
        tables=["market-data"],
        consumes=["market-data"],
        cache=True,
        spot=True,
    ),
]
