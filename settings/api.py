"""Tier 4: API."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, field_validator

from settings.by_name import ByName
from settings.model import LABEL, Broken, Model, Range, rule

ORDERS_PATH = "/api/orders"
"""Where order intake listens (`api/openapi.yaml`); everything below it is an order's too."""
INTEGRATION_TIMEOUT_SECONDS = 29
"""The most that API Gateway waits without a raised quota; below the load balancer's idle time-out."""
BEHAVIORS_LIMIT = 75
"""Cache behaviours of a distribution, the default one among them (CloudFront Developer Guide, "Quotas")."""


def _https_url(value: str) -> str:
    try:
        parts = urlsplit(value)
        parts.port  # noqa: B018 (raises where the port is no port)
    except ValueError as error:
        raise ValueError(f"must be an https address with a host name ({error})") from None
    name = parts.hostname or ""
    if parts.scheme != "https" or not re.fullmatch(rf"({LABEL}\.)+{LABEL}", name) or "@" in parts.netloc:
        raise ValueError("must be an https address with a host name")
    if parts.query or parts.fragment or re.search(r"\s", value):
        raise ValueError("must have no query, fragment or space")
    return value


HttpsUrl = Annotated[str, AfterValidator(_https_url)]


class RouteSettings(Model):
    """A path of the API that goes to a microservice through the internal load balancer."""

    path: str = Field(pattern=r"^/api/([a-z0-9._-]+/)*[a-z0-9._-]*[a-z0-9]$", examples=["/api/accounts"])
    """Everything below this path goes to the service; the path is passed on unchanged."""
    service: str
    """Name of one of `services`."""
    writes: bool = False
    """Whether the route changes data that only the primary region may change (the databases of the other
    regions are read-only replicas): its requests go to `write.origin`, to the next region only when the
    first fails. All of them, because a read may not lag behind the caller's own write either."""
    throttle_rate: int | None = Field(default=None, ge=1, le=10_000)
    """Steady requests a second of this path, if not the stage's. API Gateway counts each method apart, and
    the path itself apart from what lies below it."""
    throttle_burst: int | None = Field(default=None, ge=1, le=5_000)


class JwtSettings(Model):
    """An outside issuer of JSON Web Tokens, in place of a Cognito user pool. It signs them with RS256."""

    issuer: HttpsUrl = Field(examples=["https://login.example.com/realms/trading"])
    """The tokens' `iss`, to the letter."""
    audience: str = Field(min_length=1, examples=["https://trade.example.com/api"])
    """What the tokens' `aud` is, or has among others: the name by which the issuer knows this API."""
    jwks_url: HttpsUrl | None = Field(default=None, examples=["https://login.example.com/keys"])
    """Where the issuer's keys are. Without it the issuer's `/.well-known/openid-configuration` is asked."""
    scope_claim: str = Field(default="scope", min_length=1)
    """Claim that lists the token's scopes, as a text with spaces or as a list: `scp` at Entra ID and Okta,
    `permissions` at Auth0."""
    scope_prefix: str = Field(default="trading/", pattern=r"^[!#-\[\]-~]*$")
    """What stands before a service's name in its scope: `trading/` makes `trading/orders`."""
    cache_seconds: int = Field(default=60, ge=0, le=3600)
    """How long API Gateway keeps what a token allows, and so how long a key that the issuer has withdrawn
    may still open the API."""
    reserved_concurrency: int = Field(default=100, ge=1)
    """Concurrent executions kept for the authorizer, and the most that it may use."""


@dataclass(frozen=True)
class Canary:
    """A canary in one region: the version that stays, and the newest version's share in per cent."""

    stable_version: int
    percent: int


class CanarySettings(Model):
    """Two versions of order intake at once: the newest gets a share of the requests, the stable one the rest.

    Stays in the stack file while the canary runs; taken out, the newest version gets everything.
    """

    stable_versions: dict[str, Annotated[int, Field(ge=1)]] = Field(min_length=1, examples=[{"us-east-1": 7}])
    """Region → the version that keeps the rest, in the regions that the canary runs in. Versions are
    counted apart in each region."""
    percent: int = Field(ge=0, le=99)
    """Share of the newest version. With 0 it gets nothing: this is the way back."""


DEFAULT_ROUTES = [
    RouteSettings(path="/api/accounts", service="accounts", writes=True),
    RouteSettings(path="/api/market-data", service="market-data"),
]


class ApiSettings(Model):
    """API Gateway and the order-intake function."""

    routes: Annotated[list[RouteSettings], ByName("path", DEFAULT_ROUTES)] = DEFAULT_ROUTES
    """Paths that lead to microservices, by path."""
    order_service: str = "orders"
    """The microservice that order intake hands valid orders to."""
    throttle_rate: int = Field(default=5000, ge=1, le=10_000)
    """Steady requests a second of the stage (the account's default quota is 10,000)."""
    throttle_burst: int = Field(default=2500, ge=1, le=5_000)
    reserved_concurrency: int = Field(default=500, ge=1)
    """Concurrent executions kept for order intake, and the most it may use."""
    provisioned_concurrency: Range = Range(min=10, max=100)
    """Warm executions, between which the target tracking moves; a `min` of 0 means none."""
    manage_account: bool = True
    """Whether this stack sets API Gateway's CloudWatch role, of which a region has only one."""
    orders_throttle_rate: int | None = Field(default=None, ge=1, le=10_000)
    """Steady requests a second of `/api/orders`, if not the stage's."""
    orders_throttle_burst: int | None = Field(default=None, ge=1, le=5_000)
    jwt: JwtSettings | None = None
    """Whose tokens open the API. Without it a Cognito user pool of this stack issues them."""
    canary: CanarySettings | None = None

    @rule
    def _provisioned_fits_reserved(self) -> Iterator[Broken]:
        if self.provisioned_concurrency.max > self.reserved_concurrency:
            yield Broken(
                f"provisionedConcurrency.max ({self.provisioned_concurrency.max}) must not be above "
                f"reservedConcurrency ({self.reserved_concurrency})"
            )

    @rule
    def _behaviors_fit_a_distribution(self) -> Iterator[Broken]:
        # Each path twice, itself and what lies below; then the rest of the API, and the web app.
        most = (BEHAVIORS_LIMIT - 2) // 2
        if len(self.edge_paths) > most:
            yield Broken(
                f"routes: {len(self.edge_paths)} paths, {ORDERS_PATH} among them, need cache behaviours of "
                f"their own because of writes, and a CloudFront distribution holds those of {most}: put the "
                "routes that write below fewer paths"
            )

    @property
    def edge_paths(self) -> dict[str, bool]:
        """Path → whether it and what lies below go to `write.origin`; longest first, as CloudFront compares.

        Paths that go where the path above them goes anyway are left out.
        """
        writes = {ORDERS_PATH: True, **{route.path: route.writes for route in self.routes}}

        def by_default(path: str) -> bool:
            above = [other for other in writes if path.startswith(f"{other}/")]
            return writes[max(above, key=len)] if above else False

        longest_first = sorted(writes, key=lambda path: (-len(path), path))
        return {path: writes[path] for path in longest_first if writes[path] != by_default(path)}

    @rule
    def _a_policy_can_tell_the_routes_apart(self) -> Iterator[Broken]:
        # A token's policy allows all that lies below a route. API Gateway asks for it once for all routes,
        # so it could not leave another service's out.
        for route in self.routes if self.jwt else ():
            for other in self.routes:
                if other.path.startswith(f"{route.path}/") and other.service != route.service:
                    yield Broken(
                        f"routes: {other.path} ({other.service}) lies below {route.path} ({route.service}), "
                        "which only the user pool's authorizer can tell apart, not jwt's: give it a path of "
                        "its own, or the same service"
                    )

    def canary_in(self, region: str) -> Canary | None:
        """What runs in a region, if a canary does."""
        if not self.canary or region not in self.canary.stable_versions:
            return None
        return Canary(self.canary.stable_versions[region], self.canary.percent)

    @property
    def jwt_scopes(self) -> dict[str, str]:
        """Service → the scope that an outside issuer's token must have for it; empty without an issuer."""
        return {service: f"{self.jwt.scope_prefix}{service}" for service in self.services} if self.jwt else {}

    @property
    def services(self) -> list[str]:
        """The services that the API opens, each once."""
        return sorted({self.order_service, *(route.service for route in self.routes)})

    @field_validator("routes")
    @classmethod
    def _order_intake_has_its_path(cls, routes: list[RouteSettings]) -> list[RouteSettings]:
        for route in routes:
            if route.path == ORDERS_PATH:
                raise ValueError(f"{ORDERS_PATH} is order intake's own path; choose another one")
        return routes
