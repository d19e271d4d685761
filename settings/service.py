"""Settings of tier 6's microservices."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field, field_validator
from pydantic.alias_generators import to_camel

from settings.aws_limits import HEALTH_CHECK_PATH_LENGTH, RESERVED_DATABASE_ROLES, SECRET_NAME
from settings.model import Broken, DnsLabel, Model, Percent, Port, Range, duplicate, refuse_duplicates, rule
from settings.pinned import Image
from settings.promql import promql_problem
from settings.streaming import KafkaTopic

_OWN_ROLES = r"trading_(admin|owner)|service_users|(accounts|ledger|orders)_(post|ro|rw)"
"""Roles of the platform (`database/roles.sql`), which can't be a service's user."""

WORKLOAD_NAMESPACE = "trading"
"""Kubernetes namespace of the microservices (`k8s/manifests/namespace.yaml`)."""

SAMPLE_IMAGE = (
    "ghcr.io/stefanprodan/podinfo:6.15.0"
    "@sha256:ec73780a8425f59ea49f5bc8cdff0d598805a224fbaa1f86c67a244f250fa9da"
)
"""The digest is that of the index of all architectures. Several unrelated public repositories pin it (read in
November 2026)."""

SecretFile = Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]{0,62}$", examples=["PARTNER_API_KEY"])]
SecretId = Annotated[
    str,
    Field(
        pattern=rf"^(arn:aws:secretsmanager:[a-z0-9-]+:[0-9]{{12}}:secret:)?{SECRET_NAME}$",
        examples=["trading/partner-api-key"],
    ),
]
Path = Annotated[str, Field(pattern=r"^/[!-~]*$", max_length=HEALTH_CHECK_PATH_LENGTH)]
"""A path for health checks of a target group."""
DatabaseRole = Literal["accounts_rw", "ledger_post", "ledger_ro", "orders_ro", "orders_rw"]


class ScalingSettings(Model):
    """How a service's pods scale, by a Prometheus query and by CPU."""

    query: str = f'sum(rate(http_requests_total{{namespace="{WORKLOAD_NAMESPACE}",service="SERVICE"}}[2m]))'
    """PromQL query, in which `SERVICE` stands for the service's name."""
    threshold: float = Field(default=100, gt=0)
    """The query's value that one pod can handle."""
    cpu_percent: Percent = 70
    """Target for the pods' CPU, in percent of the requested CPU."""
    scale_down_seconds: int = Field(default=300, ge=0, le=3600)
    """Stabilization window for scaling down: the highest number of pods wanted within this time is kept, so
    that the next burst still finds them."""
    fallback_replicas: int | None = Field(default=None, ge=1)
    """Minimum number of pods while the query has no value; defaults to `replicas.min`."""


class ServiceAlertSettings(Model):
    """Thresholds of the alarms on a service's requests. The service must export the counter
    `http_requests_total` with the label `status`, and the histogram `http_request_duration_seconds`."""

    error_percent: float = Field(default=1, gt=0, lt=100)
    """Percentage of requests that are answered with 5xx."""
    latency_ms: int = Field(default=500, ge=1, lt=10_000)
    """Milliseconds within which 99 of 100 requests are answered. By default the histogram's last bucket ends
    at 10 s, so slower requests can't be measured."""


class ServiceSettings(Model):
    """One microservice."""

    name: DnsLabel
    """Name of the service, and of its Kubernetes objects, target group and cache user."""
    image: Image = SAMPLE_IMAGE
    """Container image, of a registry that nodes can pull from (`settings/images.py`) or that has a mirror in
    `cluster.imageMirrors`. The default is a public sample; replace it with your own image."""
    port: Port = 9898
    """The container's HTTP port."""
    tls_port: Port | None = None
    """The container's HTTPS port, if it has one in addition to `port`. The internal load balancer then
    encrypts to the pods too, and only Kubernetes' probes use `port`. The certificate can be any, either the
    image's own or that of the Secret `NAME-tls`. The container must support TLS 1.2. The environment
    variables `TLS_PORT`, `TLS_CERTIFICATE_FILE` and `TLS_KEY_FILE` name the port and the Secret's files,
    which can be missing."""
    listener_port: Port
    """The service's port on the internal load balancer. Each service needs a different one."""
    replicas: Range = Range(min=3, max=30)
    cpu: str = Field(default="250m", pattern=r"^[1-9][0-9]*m?$", examples=["250m"])
    """CPU request of a pod, in cores or millicores (`m`)."""
    memory: str = Field(default="256Mi", pattern=r"^[1-9][0-9]*(Mi|Gi)$")
    """Memory request of a pod, which is also its limit."""
    health_path: Path = "/healthz"
    ready_path: Path = "/readyz"
    metrics_path: Path = "/metrics"
    metrics_port: Port | None = None
    """The container's port for metrics; defaults to `port`."""
    spot: bool = False
    """Whether pods can run on Spot capacity. Don't use it for services that orders depend on."""
    arm64: bool = False
    """Whether the image also supports arm64, so that pods can run on Graviton nodes."""
    scaling: ScalingSettings = ScalingSettings()
    alerts: ServiceAlertSettings | None = ServiceAlertSettings()
    """Use `null` for a service without these metrics. Its requests then have no alarms."""
    tables: list[str] = []
    """DynamoDB tables that the service reads and writes."""
    produces: list[KafkaTopic] = []
    """Topics that the service writes to."""
    consumes: list[KafkaTopic] = []
    """Topics that the service reads from, in a consumer group with the service's name."""
    cache: bool = False
    database: bool = False
    """Whether the service has a database user, which can sign in and has the rights of `databaseRoles`."""
    database_roles: list[DatabaseRole] = []
    """Group roles of `database/roles.sql` that the user belongs to. Requires `database: true`."""
    calls: list[str] = []
    """Other `services` that it calls at `http://NAME:PORT`. The environment variable `SERVICE_NAME` has the
    URL."""
    secrets: dict[SecretFile, SecretId] = {}
    """Secrets in Secrets Manager, by name or ARN. Each becomes a file in `/mnt/secrets`, whose path is in the
    environment variable `KEY_FILE`. The secrets must exist, and be encrypted with AWS's key or the
    platform's key."""

    @property
    def scaling_query(self) -> str:
        """The query that scales the service, with the service's name in place of `SERVICE`."""
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
        # scaling.query isn't listed: it is also recorded and monitored for a service that doesn't scale.
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
                f"tlsPort {self.tls_port} is also used for plain HTTP; give TLS its own port, such as 8443"
            )

    @rule
    def _database_user_of_its_own(self) -> Iterator[Broken]:
        if self.database_roles and not self.database:
            yield Broken("databaseRoles requires `database: true`: add it, or leave databaseRoles out")
        if found := duplicate("databaseRoles:", self.database_roles):
            yield Broken(found)
        if self.database and re.fullmatch(f"{RESERVED_DATABASE_ROLES}|{_OWN_ROLES}", self.database_user):
            yield Broken(
                f"name {self.name}: the database user would be {self.database_user}, which is a reserved "
                f"role: rename the service, for example to app-{self.name}"
            )

    @property
    def database_user(self) -> str:
        """The service's role in PostgreSQL. Names with a hyphen would have to be quoted."""
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
