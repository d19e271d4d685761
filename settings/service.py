"""Tier 6: the microservices."""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from settings.model import DnsLabel, Model, Percent, Port, Range, refuse_duplicates
from settings.pinned import Image
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
        pattern=r"^(arn:aws:secretsmanager:[a-z0-9-]+:\d{12}:secret:)?[A-Za-z0-9/_+=.@-]{1,512}$",
        examples=["trading/partner-api-key"],
    ),
]
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
    cpu: str = Field(default="250m", pattern=r"^\d+m?$")
    memory: str = Field(default="256Mi", pattern=r"^\d+(Mi|Gi)$")
    health_path: str = Field(default="/healthz", pattern=r"^/")
    ready_path: str = Field(default="/readyz", pattern=r"^/")
    metrics_path: str = Field(default="/metrics", pattern=r"^/")
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

    @field_validator("produces", "consumes")
    @classmethod
    def _distinct_topics(cls, topics: list[str]) -> list[str]:
        refuse_duplicates("topic", topics)
        return topics

    @model_validator(mode="after")
    def _at_least_one_replica(self) -> Self:
        if self.replicas.min < 1:
            raise ValueError("replicas.min must be at least 1: the load balancer needs a healthy target")
        fallback = self.scaling.fallback_replicas
        if fallback and not self.replicas.min <= fallback <= self.replicas.max:
            raise ValueError(
                f"scaling.fallbackReplicas ({fallback}) must lie within replicas "
                f"({self.replicas.min} to {self.replicas.max})"
            )
        return self

    @model_validator(mode="after")
    def _tls_has_a_port_of_its_own(self) -> Self:
        if self.tls_port and self.tls_port in (self.port, self.metrics_port):
            raise ValueError(
                f"tlsPort {self.tls_port} is also a port of plain HTTP; give TLS its own, such as 8443"
            )
        return self

    @model_validator(mode="after")
    def _database_user_of_its_own(self) -> Self:
        if self.database_roles and not self.database:
            raise ValueError(
                "databaseRoles are for a service with `database: true`; add it, or leave them out"
            )
        refuse_duplicates("databaseRoles:", self.database_roles)
        if self.database and re.fullmatch(_RESERVED_ROLES, self.database_user):
            raise ValueError(
                f"name {self.name}: its database user would be {self.database_user}, a role that is not a "
                f"service's; rename the service, such as app-{self.name}"
            )
        return self

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
