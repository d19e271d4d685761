"""Settings of tier 4, the API."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, field_validator

from settings.aws_limits import (
    API_THROTTLE_BURST,
    API_THROTTLE_RATE,
    AUTHORIZATION_CACHE_SECONDS,
    CACHE_BEHAVIORS,
)
from settings.by_name import ByName
from settings.model import LABEL, Broken, Model, Range, rule

ORDERS_PATH = "/api/orders"
"""Path of order intake (`api/openapi.yaml`). Everything below it belongs to orders too."""
HEALTH_PATH = "/healthz"
"""Path of a health check that tests the API's dependencies (`api/openapi.yaml`). It isn't answered by a fixed
response."""
OPENID_SCOPES = ("openid", "email")
"""Scopes that the web app's client may ask for in addition to those of the services."""


def _https_url(value: str) -> str:
    try:
        parts = urlsplit(value)
        parts.port  # noqa: B018 (raises if the port is invalid)
    except ValueError as error:
        raise ValueError(f"must be an https address with a host name ({error})") from None
    name = parts.hostname or ""
    if parts.scheme != "https" or not re.fullmatch(rf"({LABEL}\.)+{LABEL}", name) or "@" in parts.netloc:
        raise ValueError("must be an https address with a host name")
    if parts.query or parts.fragment or re.search(r"\s", value):
        raise ValueError("must not contain a query, a fragment or whitespace")
    return value


HttpsUrl = Annotated[str, AfterValidator(_https_url)]


class RouteSettings(Model):
    """A path of the API that is routed to a microservice through the internal load balancer."""

    path: str = Field(pattern=r"^/api/([a-z0-9._-]+/)*[a-z0-9._-]*[a-z0-9]$", examples=["/api/accounts"])
    """Requests for this path and everything below it go to the service, with the path unchanged."""
    service: str
    """Name of one of `services`."""
    writes: bool = False
    """Whether the route changes data that only the primary region can change (the databases of the other
    regions are read-only replicas). If so, all its requests go to `write.origin`, which leads to the region
    that takes orders, healthy or not. Reads go there too, so that callers see their own writes. While the
    database moves, they go to the region that gets the writer, and writes fail until it has."""
    throttle_rate: int | None = Field(default=None, ge=1, le=API_THROTTLE_RATE)
    """Steady-state requests per second for this path; defaults to the stage's limit. API Gateway counts each
    method separately, and the path itself separately from the paths below it."""
    throttle_burst: int | None = Field(default=None, ge=1, le=API_THROTTLE_BURST)


class JwtSettings(Model):
    """An external issuer of JSON Web Tokens signed with RS256, in place of a Cognito user pool."""

    issuer: HttpsUrl = Field(examples=["https://login.example.com/realms/trading"])
    """The exact `iss` claim of the tokens."""
    audience: str = Field(min_length=1, examples=["https://trade.example.com/api"])
    """The name by which the issuer knows this API. The tokens' `aud` claim must equal or contain it."""
    jwks_url: HttpsUrl | None = Field(default=None, examples=["https://login.example.com/keys"])
    """URL of the issuer's keys. Without it, the URL comes from the issuer's
    `/.well-known/openid-configuration`."""
    scope_claim: str = Field(default="scope", min_length=1)
    """Claim that lists the token's scopes, as a space-separated string or as a list. It is `scp` for Entra ID
    and Okta, and `permissions` for Auth0."""
    scope_prefix: str = Field(default="trading/", pattern=r"^[!#-\[\]-~]*$")
    """Prefix that turns a service's name into its scope: `trading/` makes `trading/orders`."""
    cache_seconds: int = Field(default=60, ge=0, le=AUTHORIZATION_CACHE_SECONDS)
    """Seconds for which API Gateway caches an authorization. A key that the issuer has withdrawn can still
    open the API for as long."""
    reserved_concurrency: int = Field(default=100, ge=1)
    """Concurrent executions reserved for the authorizer, which are also its maximum."""


@dataclass(frozen=True)
class Canary:
    """A canary in one region: the stable version, and the percentage of requests for the newest version."""

    stable_version: int
    percent: int


class CanarySettings(Model):
    """Runs two versions of order intake: the newest gets a share of the requests, the stable one the rest.

    Keep it in the stack file while the canary runs. Once it is removed, the newest version gets everything.
    """

    stable_versions: dict[str, Annotated[int, Field(ge=1)]] = Field(min_length=1, examples=[{"us-east-1": 7}])
    """Region → stable version, for each region in which the canary runs. Each region numbers its versions
    separately."""
    percent: int = Field(ge=0, le=99)
    """Percentage of requests for the newest version. Set it to 0 to roll back."""


DEFAULT_ROUTES = [
    RouteSettings(path="/api/accounts", service="accounts", writes=True),
    RouteSettings(path="/api/market-data", service="market-data"),
]


class ApiSettings(Model):
    """API Gateway and the order-intake function."""

    routes: Annotated[list[RouteSettings], ByName("path", DEFAULT_ROUTES)] = DEFAULT_ROUTES
    """Routes to microservices, by path."""
    order_service: str = "orders"
    """The microservice to which order intake passes valid orders."""
    throttle_rate: int = Field(default=5000, ge=1, le=API_THROTTLE_RATE)
    """Steady-state requests per second for the stage (the account's default quota is 10,000)."""
    throttle_burst: int = Field(default=2500, ge=1, le=API_THROTTLE_BURST)
    reserved_concurrency: int = Field(default=500, ge=1)
    """Concurrent executions reserved for order intake, which are also its maximum."""
    provisioned_concurrency: Range = Range(min=10, max=100)
    """Range of provisioned executions within which target tracking scales. A `min` of 0 switches it off."""
    manage_account: bool = True
    """Whether this stack sets API Gateway's CloudWatch role. An account has only one in each region. Several
    stacks may set it, because each one's role serves all APIs, and destroying a stack leaves its role. Set it
    to false in an account that the project `bootstrap` has prepared, or where something else manages it."""
    orders_throttle_rate: int | None = Field(default=None, ge=1, le=API_THROTTLE_RATE)
    """Steady-state requests per second for `/api/orders`; defaults to the stage's limit."""
    orders_throttle_burst: int | None = Field(default=None, ge=1, le=API_THROTTLE_BURST)
    jwt: JwtSettings | None = None
    """External issuer of the access tokens. Without it, this stack creates a Cognito user pool in us-east-1:
    while that region is lost, nobody can sign in, so other regions take over only if the issuer is external
    and outlives the region."""
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
        # Each path needs two, for itself and for what lies below it. The rest of the API and the web app need
        # one each.
        most = (CACHE_BEHAVIORS - 2) // 2
        if len(self.edge_paths) > most:
            yield Broken(
                f"routes: {len(self.edge_paths)} paths, including {ORDERS_PATH}, need their own cache "
                f"behaviors because of writes, but a CloudFront distribution has room for {most}: put the "
                "routes that write below fewer paths"
            )

    @property
    def edge_paths(self) -> dict[str, bool]:
        """Path → whether it and everything below it go to `write.origin`.

        The longest path comes first, because CloudFront uses the first match. Paths with the same target as
        the path above them are left out.
        """
        writes = {ORDERS_PATH: True, **{route.path: route.writes for route in self.routes}}

        def by_default(path: str) -> bool:
            above = [other for other in writes if path.startswith(f"{other}/")]
            return writes[max(above, key=len)] if above else False

        longest_first = sorted(writes, key=lambda path: (-len(path), path))
        return {path: writes[path] for path in longest_first if writes[path] != by_default(path)}

    @rule
    def _a_policy_can_tell_the_routes_apart(self) -> Iterator[Broken]:
        # A token's policy allows everything below a route. API Gateway requests and caches one policy for all
        # routes, so the policy cannot exclude a path of another service below that route.
        for route in self.routes if self.jwt else ():
            for other in self.routes:
                if other.path.startswith(f"{route.path}/") and other.service != route.service:
                    yield Broken(
                        f"routes: {other.path} ({other.service}) lies below {route.path} ({route.service}), "
                        "and jwt's authorizer cannot tell them apart, as the user pool's can: move it to "
                        "another path, or give both the same service"
                    )

    def canary_in(self, region: str) -> Canary | None:
        """The canary that runs in a region, or None."""
        if not self.canary or region not in self.canary.stable_versions:
            return None
        return Canary(self.canary.stable_versions[region], self.canary.percent)

    @property
    def jwt_scopes(self) -> dict[str, str]:
        """Service → the scope that it requires of an external issuer's token; empty without an issuer."""
        return {service: f"{self.jwt.scope_prefix}{service}" for service in self.services} if self.jwt else {}

    @property
    def services(self) -> list[str]:
        """Names of the services that the API exposes, without duplicates."""
        return sorted({self.order_service, *(route.service for route in self.routes)})

    @field_validator("routes")
    @classmethod
    def _order_intake_has_its_path(cls, routes: list[RouteSettings]) -> list[RouteSettings]:
        for route in routes:
            if route.path == ORDERS_PATH:
                raise ValueError(f"{ORDERS_PATH} is reserved for order intake; choose another path")
        return routes
