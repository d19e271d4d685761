"""One stack's configuration, typed and validated.

`Settings.load()` reads every `trading:` key of the stack and either returns a `Settings` or raises
`SettingsError`, whose text names each wrong key, its value and what would be accepted. It runs before
any resource is registered. Defaults are those of a production stack; a stack file holds what differs.

`python settings.py` prints the JSON Schema of the stack files (see `settings.schema.json`).
"""

from __future__ import annotations

import difflib
import ipaddress
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pulumi.runtime.config import CONFIG, get_config_env
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic.alias_generators import to_camel

NAMESPACE = "trading"
REQUIRED_TAGS = ("owner", "cost-center")

_RFC_1918 = [ipaddress.IPv4Network(block) for block in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")]
_LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_RESERVED_ROLES = (
    r"pg_.*|rds.*|postgres|public|none|"
    r"trading_(admin|owner)|service_users|(accounts|ledger|orders)_(post|ro|rw)"
)
"""PostgreSQL's, RDS's and our own roles (`database/roles.sql`), which a service's user must not be."""
_BROKER_SIZES = r"^kafka\.(m5|m7g)\.(\d*x)?large$"
_SCALING_CACHE_NODES = r"cache\.(r5|r[678]g|r[678]gd|m5|m[678]g|c[78]gn)\.(large|xlarge|2xlarge)"
"""Node types whose replicas scale by themselves (ElastiCache User Guide, "Auto Scaling Valkey and Redis OSS
clusters")."""

KAFKA_NAME_LENGTH = 249
"""Characters in a topic's name, which is a folder's with a partition's number behind it (Kafka)."""


_ISO_3166_1 = """
AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV
BW BY BZ CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES
ET FI FJ FK FM FO FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE
IL IM IN IO IQ IR IS IT JE JM JO JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY
MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU
NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE RO RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM
SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW TZ UA UG UM US UY UZ VA VC VE
VG VI VN VU WF WS YE YT ZA ZM ZW
"""
COUNTRIES = frozenset(_ISO_3166_1.split())
"""Alpha-2 codes."""

COMMON_NAME_LIMIT = 64
"""Characters in the first name of a certificate (ACM API Reference, "RequestCertificate")."""

ORDERS_PATH = "/api/orders"
"""Where order intake listens (`api/openapi.yaml`); everything below it is an order's too."""

BEHAVIORS_LIMIT = 75
"""Cache behaviours of a distribution, the default one among them (CloudFront Developer Guide, "Quotas")."""

_NOWHERE = frozenset({"BV", "CX", "EH", "HM"})
"""Countries that Route 53 has no addresses of (Route 53 Developer Guide, "Geolocation routing")."""


class SettingsError(Exception):
    """The stack's configuration cannot be used; the text says which keys and what would do."""


def _fqdn(value: str) -> str:
    if len(value) > 253 or not re.fullmatch(rf"({_LABEL}\.)+{_LABEL}", value):
        raise ValueError("must be a fully qualified domain name in lower case, such as trade.example.com")
    return value


def _vpc_cidr(value: str) -> str:
    try:
        network = ipaddress.IPv4Network(value)
    except ValueError as error:
        raise ValueError(f"must be an IPv4 network such as 10.0.0.0/16 ({error})") from error
    if not any(network.subnet_of(private) for private in _RFC_1918):
        raise ValueError("must be a private network (RFC 1918), such as 10.0.0.0/16")
    if not 16 <= network.prefixlen <= 20:
        raise ValueError(
            f"must be between /16 (the largest VPC) and /20 (the smallest that holds the subnets), "
            f"not /{network.prefixlen}"
        )
    return value


def missing_tags(tags: Mapping[str, str], required: Sequence[str] = REQUIRED_TAGS) -> list[str]:
    """The required tags that have no value; policies hold every provider to the same."""
    return [tag for tag in required if not tags.get(tag)]


def _cidr(value: str) -> str:
    try:
        ipaddress.IPv4Network(value)
    except ValueError as error:
        raise ValueError(f"must be an IPv4 network such as 203.0.113.0/24 ({error})") from error
    return value


def _country(value: str) -> str:
    if value not in COUNTRIES:
        raise ValueError("must be a country as ISO 3166-1 alpha-2 writes it, such as CH")
    return value


def _located_country(value: str) -> str:
    if value not in COUNTRIES - _NOWHERE:
        raise ValueError("must be a country that Route 53 knows, as ISO 3166-1 alpha-2 writes it, such as GB")
    return value


def pinned_image(value: str) -> str:
    """The image, where its version does not move; policies hold running workloads to the same.

    Raises:
        ValueError: it names no version, or `latest`.
    """
    name = r"[^:@\s]+(:\d+/[^:@\s]+)?"
    if not re.fullmatch(rf"{name}(:[\w][\w.-]{{0,127}}|(:[\w.-]+)?@sha256:[0-9a-f]{{64}})", value):
        raise ValueError("must name a version, such as example/orders:1.4.2 or example/orders@sha256:…")
    if value.endswith(":latest"):
        raise ValueError("must name a version that does not move; 'latest' does")
    return value


def _broker_size(value: str) -> str:
    if not re.fullmatch(_BROKER_SIZES, value):
        raise ValueError("must be a kafka.m5 or kafka.m7g size (MSK takes no kafka.t3 for a new cluster)")
    return value


def _https_url(value: str) -> str:
    parts = urlsplit(value)
    name = parts.hostname or ""
    if parts.scheme != "https" or not re.fullmatch(rf"({_LABEL}\.)+{_LABEL}", name) or "@" in parts.netloc:
        raise ValueError("must be an https address with a host name")
    if parts.query or parts.fragment or re.search(r"\s", value):
        raise ValueError("must have no query, fragment or space")
    return value


def _refuse_duplicates(key: str, values: Iterable[object]) -> None:
    seen: set[object] = set()
    for value in values:
        if value in seen:
            raise ValueError(f"{key} {value} is given twice; each must be unique")
        seen.add(value)


def _colliding_topic(name: str, others: Iterable[str]) -> str | None:
    """The topic beside which Kafka refuses one of this name: metrics are named after it, with `_` for `.`."""
    return next((other for other in others if other.replace(".", "_") == name.replace(".", "_")), None)


Fqdn = Annotated[str, AfterValidator(_fqdn)]
VpcCidr = Annotated[str, AfterValidator(_vpc_cidr)]
Cidr = Annotated[str, AfterValidator(_cidr)]
Image = Annotated[str, AfterValidator(pinned_image)]
HttpsUrl = Annotated[str, AfterValidator(_https_url)]
BrokerSize = Annotated[str, Field(json_schema_extra={"pattern": _BROKER_SIZES}), AfterValidator(_broker_size)]
Continent = Literal["AF", "AN", "AS", "EU", "NA", "OC", "SA"]
Country = Annotated[str, AfterValidator(_country)]
LocatedCountry = Annotated[str, AfterValidator(_located_country)]
DnsLabel = Annotated[str, Field(pattern=rf"^{_LABEL}$", max_length=24, examples=["orders"])]
KafkaTopic = Annotated[str, Field(pattern=r"^[a-zA-Z0-9][a-zA-Z0-9._-]*$", max_length=KAFKA_NAME_LENGTH)]
"""Kafka's own topics begin with an underscore."""
Port = Annotated[int, Field(ge=1, le=65535)]
Percent = Annotated[int, Field(ge=1, le=100)]
AddonVersion = Annotated[
    str, Field(pattern=r"^v\d+\.\d+\.\d+-eksbuild\.\d+$", examples=["v0.9.0-eksbuild.11"])
]
SecretFile = Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]{0,62}$", examples=["PARTNER_API_KEY"])]
SecretId = Annotated[
    str,
    Field(
        # The characters of a secret's name (Secrets Manager, `CreateSecret`), or a whole ARN.
        pattern=r"^(arn:aws:secretsmanager:[a-z0-9-]+:\d{12}:secret:)?[A-Za-z0-9/_+=.@-]{1,512}$",
        examples=["trading/partner-api-key"],
    ),
]
RoleArn = Annotated[str, Field(pattern=r"^arn:aws:iam::\d{12}:role/.+")]
DatabaseRole = Literal["accounts_rw", "ledger_post", "ledger_ro", "orders_ro", "orders_rw"]
RetentionDays = Literal[
    1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653
]


class Model(BaseModel):
    """Camel-case keys, no unknown keys, no silent conversion (`"3"` is not a number)."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        extra="forbid",
        frozen=True,
        strict=True,
        use_attribute_docstrings=True,  # an editor shows them, and so does the error of a missing key
    )


class Range(Model):
    """A lower and an upper bound of something that scales."""

    min: int = Field(ge=0)
    """The least, which is also where it starts."""
    max: int = Field(ge=1)
    """The most."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.min > self.max:
            raise ValueError(f"min ({self.min}) must not be above max ({self.max})")
        return self


class DomainSettings(Model):
    """The public names. All lie in one Route 53 hosted zone that exists already."""

    zone: Fqdn
    """Name of the public hosted zone, looked up at deployment."""
    host: Fqdn
    """The name that browsers use; CloudFront answers it."""
    dnssec: bool = False
    """Signs the whole zone, so at most one of the stacks that share it says so. The stack's output
    `dsRecord` then goes into the parent zone, last; before this is taken back, it comes out first."""
    query_logging: bool = False
    """Logs every query for the whole zone, of which there is one log: at most one stack says so."""

    @model_validator(mode="after")
    def _zone_covers_host(self) -> Self:
        for word in ("aws", "amazon", "cognito"):
            if word in self.host:
                raise ValueError(f"host {self.host}: {word!r} may not be in Cognito's login domain")
        if len(self.host) > COMMON_NAME_LIMIT:
            raise ValueError(
                f"host {self.host} has {len(self.host)} characters, and a certificate's first name at most "
                f"{COMMON_NAME_LIMIT}: choose a shorter one, such as trade.{self.zone}"
            )
        if not self.host.endswith(f".{self.zone}"):
            raise ValueError(f"host {self.host} must lie below zone {self.zone}, such as trade.{self.zone}")
        return self

    @property
    def origin(self) -> str:
        """What CloudFront resolves for everything else: the geolocation → latency → failover tree."""
        return f"origin.{self.host}"

    @property
    def write_origin(self) -> str:
        """What CloudFront resolves for orders and `writes` routes: failover from the primary region only."""
        return f"write.{self.origin}"

    @property
    def latency_origin(self) -> str:
        """The region nearest to the client, for the locations that `origin` sends here."""
        return f"lat.{self.origin}"

    def region_origin(self, region: str) -> str:
        """The name of one region's load balancer, with its peer as the secondary."""
        return f"{region}.{self.origin}"

    def region_health(self, region: str) -> str:
        """The name of one region's load balancer alone, which its health check asks for.

        `region_origin` would not do: once it fails over it answers with the peer, and the check would
        judge the peer (Route 53 Developer Guide: a health check must not name the records it steers).
        """
        return f"health-{region}.{self.origin}"

    def region_internal(self, region: str) -> str:
        """The name of one region's internal load balancer: of private addresses, for the region's API tier.

        Below the origin's name, because the region's certificate has a wildcard for it.
        """
        return f"internal-{region}.{self.origin}"


@dataclass(frozen=True)
class SubnetPlan:
    """The address blocks of one VPC, a block a zone in each list."""

    public: tuple[str, ...]
    private: tuple[str, ...]
    isolated: tuple[str, ...]
    endpoint: tuple[str, ...]


class ExistingSubnet(Model):
    """A subnet of a VPC that is not ours. Its block is needed for the pinned endpoint address."""

    id: str = Field(pattern=r"^subnet-[0-9a-f]{8,17}$", examples=["subnet-0123456789abcdef0"])
    """The subnet's id."""
    cidr: Cidr
    """The subnet's block, such as 10.0.0.0/24."""


class ExistingVpc(Model):
    """A VPC that exists already: its subnets, one a zone in each list, in the order of the zones."""

    id: str = Field(pattern=r"^vpc-[0-9a-f]{8,17}$", examples=["vpc-0123456789abcdef0"])
    """The VPC's id."""
    public_subnets: list[ExistingSubnet]
    """Subnets with a route to the internet, for the public load balancer."""
    private_subnets: list[ExistingSubnet]
    """Subnets that reach the internet through NAT, for the nodes and the internal load balancer."""
    isolated_subnets: list[ExistingSubnet]
    """Subnets with no way out, for the data stores."""
    endpoint_subnets: list[ExistingSubnet]
    """Subnets for interface endpoints; the ninth address of each must be free."""
    route_table_ids: list[str] = []
    """Route tables that get the S3 and DynamoDB gateway endpoints."""


class ServedLocations(Model):
    """The places whose reads one region answers whatever the latency, while it is healthy.

    CloudFront asks for the origin's name, so a place is that of the edge location a viewer uses: near the
    viewer as a rule, and no proof of where anybody's data stay.
    """

    continents: list[Continent] = []
    """Route 53's codes: AF Africa, AN Antarctica, AS Asia, EU Europe, NA North America, OC Oceania,
    SA South America."""
    countries: list[LocatedCountry] = []
    """ISO 3166-1 alpha-2 codes; a country goes before its continent."""


class RegionSettings(Model):
    """One region of the platform. The first of the list is the primary: writes go there."""

    name: str = Field(pattern=r"^[a-z]{2}(-[a-z]+)+-\d$", examples=["us-east-1"])
    """AWS's name of the region."""
    cidr: VpcCidr
    """Block of the region's VPC, /16 to /20, such as 10.0.0.0/16; the regions' blocks lie apart."""
    availability_zones: list[str] = Field(min_length=2, max_length=3)
    """Zone names. Three in production: MSK and Aurora keep a copy in each. MSK takes no more."""
    nat_gateways: Literal["perZone", "one"] = "perZone"
    """One a zone survives the loss of a zone; one in all is cheaper. Interface endpoints follow."""
    existing_vpc: ExistingVpc | None = None
    serves: ServedLocations = ServedLocations()
    """Places that are this region's own. All others go to the region that is nearest by latency."""

    @field_validator("availability_zones")
    @classmethod
    def _distinct_zones(cls, zones: list[str], info: ValidationInfo) -> list[str]:
        region = info.data.get("name", "")
        for zone in zones:
            if not re.fullmatch(rf"{re.escape(region)}[a-z]", zone):
                raise ValueError(f"{zone} is not a zone of {region}; its zones are {region}a, {region}b, …")
        if len(set(zones)) != len(zones):
            raise ValueError("names a zone twice")
        return zones

    @model_validator(mode="after")
    def _one_existing_subnet_a_zone(self) -> Self:
        if self.existing_vpc:
            for kind in ("public", "private", "isolated", "endpoint"):
                subnets = getattr(self.existing_vpc, f"{kind}_subnets")
                if len(subnets) != len(self.availability_zones):
                    raise ValueError(
                        f"existingVpc.{kind}Subnets has {len(subnets)} subnets for "
                        f"{len(self.availability_zones)} zones; give one a zone"
                    )
        return self

    def subnet_plan(self) -> SubnetPlan:
        """Cuts the VPC's block into subnets.

        Eighths of the block: the first four are the zones' private subnets (pods live there, so they
        are the largest); the fifth and the sixth are cut in four for the public and the isolated
        subnets; the seventh holds a /28 (AWS's smallest) a zone for interface endpoints; the last is
        spare. The cut does not depend on the number of zones, so adding one moves nothing.
        """
        zones = len(self.availability_zones)
        eighths = list(ipaddress.IPv4Network(self.cidr).subnets(prefixlen_diff=3))

        def cut(block: ipaddress.IPv4Network, prefix: int) -> tuple[str, ...]:
            blocks = block.subnets(new_prefix=prefix)
            return tuple(str(next(blocks)) for _ in range(zones))

        return SubnetPlan(
            private=tuple(str(block) for block in eighths[:zones]),
            public=cut(eighths[4], eighths[4].prefixlen + 2),
            isolated=cut(eighths[5], eighths[5].prefixlen + 2),
            endpoint=cut(eighths[6], 28),
        )


class WebSettings(Model):
    """CloudFront and what stands before it."""

    price_class: Literal["PriceClass_100", "PriceClass_200", "PriceClass_All"] = "PriceClass_All"
    rate_limit: int = Field(default=2000, ge=10, le=2_000_000_000)
    """Requests per five minutes from one IP address before WAF blocks it."""
    allowed_countries: list[Country] = []
    """ISO 3166-1 alpha-2 codes of the only countries that are served; none means all."""
    blocked_countries: list[Country] = []
    """ISO 3166-1 alpha-2 codes of countries that are not served. Excludes `allowedCountries`."""
    shield_advanced: bool = False
    """AWS Shield Advanced costs 3,000 USD a month with a commitment of one year (AWS Shield pricing). The
    account must be subscribed to it already: this only puts the distribution under its protection."""

    @model_validator(mode="after")
    def _one_list_of_countries(self) -> Self:
        if self.allowed_countries and self.blocked_countries:
            raise ValueError(
                "allowedCountries and blockedCountries exclude each other: what is not allowed is blocked "
                "already; give one of them"
            )
        _refuse_duplicates("allowedCountries", self.allowed_countries)
        _refuse_duplicates("blockedCountries", self.blocked_countries)
        return self


RULE_VALUES = 5
"""Values of all conditions of one listener rule, and as many wildcards; neither can be raised ("Quotas for
your Application Load Balancers")."""
CERTIFICATE_NAMES = 10
"""Names on one certificate by default (ACM User Guide, "Quotas")."""


class FixedResponseSettings(Model):
    """What the load balancer answers by itself."""

    status: int = Field(default=403, ge=200, le=599)
    """HTTP status: 2xx, 4xx or 5xx."""
    message: str = Field(default="Forbidden", min_length=1, max_length=200)
    """Text of the JSON answer."""

    @field_validator("status")
    @classmethod
    def _no_redirection(cls, status: int) -> int:
        if 300 <= status < 400:
            raise ValueError("must be 2xx, 4xx or 5xx; a rule with redirect sends elsewhere")
        return status


class RedirectSettings(Model):
    """Where the load balancer sends a client; always by HTTPS. For reads: many clients repeat no body."""

    host: Fqdn | None = None
    """None keeps the request's."""
    path: str | None = Field(default=None, pattern="^/", max_length=128, examples=["/api/v2/#{path}"])
    """None keeps the request's, which `#{path}` stands for. The query is kept."""
    permanent: bool = False
    """301, which clients remember, instead of 302."""

    @model_validator(mode="after")
    def _leads_elsewhere(self) -> Self:
        if self.host is None and self.path is None:
            raise ValueError("needs a host, a path or both: else it would lead back to itself")
        return self


class ListenerRuleSettings(Model):
    """A rule of the load balancer before the standard one, which forwards `/api/*` of `domain.host`.

    It has one action: `forward`, `respond` or `redirect`.
    """

    priority: int = Field(ge=1, le=48)
    """The lowest that matches decides. Unique; leave gaps, so that another rule fits between two."""
    hosts: list[Fqdn] = []
    """Names that it is for; none means `domain.host` where it forwards, and every name otherwise. A name
    beside `domain.host` is made one of the platform's: certificates, records, distribution, API."""
    paths: list[
        Annotated[str, Field(pattern=r"^/api/[\w.$/~@:+*?-]+$", max_length=128, examples=["/api/admin/*"])]
    ] = Field(default=["/api/*"], min_length=1)
    """Patterns of paths (`*` any characters, `?` one), case-sensitive. CloudFront passes on `/api/` only."""
    forward: Literal["api"] | None = None
    """To the API; only with the origin's secret, as ever."""
    respond: FixedResponseSettings | None = None
    redirect: RedirectSettings | None = None

    @model_validator(mode="after")
    def _one_action(self) -> Self:
        if [self.forward, self.respond, self.redirect].count(None) != 2:
            raise ValueError(
                f"priority {self.priority} must have one action: forward: api, respond: {{status: 403}} or "
                "redirect: {path: /api/v2/#{path}}"
            )
        return self

    @model_validator(mode="after")
    def _no_redirect_in_a_circle(self) -> Self:
        to = self.redirect
        if to and not to.path and (not self.hosts or to.host in self.hosts):
            raise ValueError(
                f"priority {self.priority} redirects {to.host} to itself: name in hosts those that are to go "
                "there, or give redirect a path"
            )
        return self

    @model_validator(mode="after")
    def _within_quotas(self) -> Self:
        _refuse_duplicates("host", self.hosts)
        _refuse_duplicates("path", self.paths)
        # A rule that forwards has a host and the secret header.
        values = len(self.paths) + (max(len(self.hosts), 1) + 1 if self.forward else len(self.hosts))
        if values > RULE_VALUES:
            secret = ", the origin's secret" if self.forward else ""
            raise ValueError(
                f"priority {self.priority} has {values} condition values (hosts, paths{secret}); a listener "
                f"rule holds {RULE_VALUES}: make two rules of it"
            )
        wildcards = sum(path.count("*") + path.count("?") for path in self.paths)
        if wildcards > RULE_VALUES:
            raise ValueError(
                f"priority {self.priority} has {wildcards} wildcards in its paths; a listener rule holds "
                f"{RULE_VALUES}: make two rules of it"
            )
        return self


class LoadBalancerSettings(Model):
    """The public load balancer."""

    idle_timeout_seconds: int = Field(default=40, ge=35, le=55)
    """Above API Gateway's 29 s and the 30 s that CloudFront keeps idle connections, so that CloudFront
    closes them first; below the 60 s that CloudFront waits for an answer."""
    log_retention_days: int = Field(default=365, ge=1)
    origin_secrets: list[Annotated[int, Field(ge=1, le=1000)]] = Field(
        default=[1], min_length=1, max_length=2
    )
    """Numbers of the secrets that prove a request came through our distribution. Each number is a secret
    of its own; all are accepted, the last is sent. To rotate: `[1, 2]`, deploy, then `[2]`, deploy."""
    rules: list[ListenerRuleSettings] = []
    """Host and path rules beside the standard one."""

    @field_validator("rules")
    @classmethod
    def _distinct_priorities(cls, rules: list[ListenerRuleSettings]) -> list[ListenerRuleSettings]:
        _refuse_duplicates("priority", (rule.priority for rule in rules))
        return rules

    @field_validator("origin_secrets")
    @classmethod
    def _distinct_secrets(cls, numbers: list[int]) -> list[int]:
        _refuse_duplicates("number", numbers)
        return numbers


class InternalLoadBalancerSettings(Model):
    """The load balancer between the API tier and the microservices."""

    tls: bool = True
    """Whether it ends TLS, and encrypts anew to services with a `tlsPort`. Without it connections pass
    through as plain TCP. The change refuses requests for about a minute: see the runbook."""


class RouteSettings(Model):
    """A path of the API that goes to a microservice through the internal load balancer."""

    path: str = Field(pattern=r"^/api/[a-z0-9/._-]*[a-z0-9]$", examples=["/api/accounts"])
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


class ApiSettings(Model):
    """API Gateway and the order-intake function."""

    routes: list[RouteSettings] = [
        RouteSettings(path="/api/accounts", service="accounts", writes=True),
        RouteSettings(path="/api/market-data", service="market-data"),
    ]
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

    @model_validator(mode="after")
    def _provisioned_fits_reserved(self) -> Self:
        if self.provisioned_concurrency.max > self.reserved_concurrency:
            raise ValueError(
                f"provisionedConcurrency.max ({self.provisioned_concurrency.max}) must not be above "
                f"reservedConcurrency ({self.reserved_concurrency})"
            )
        return self

    @model_validator(mode="after")
    def _behaviors_fit_a_distribution(self) -> Self:
        # Each path twice, itself and what lies below; then the rest of the API, and the web app.
        most = (BEHAVIORS_LIMIT - 2) // 2
        if len(self.edge_paths) > most:
            raise ValueError(
                f"routes: {len(self.edge_paths)} paths, {ORDERS_PATH} among them, need cache behaviours of "
                f"their own because of writes, and a CloudFront distribution holds those of {most}: put the "
                "routes that write below fewer paths"
            )
        return self

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

    @model_validator(mode="after")
    def _a_policy_can_tell_the_routes_apart(self) -> Self:
        # A token's policy allows all that lies below a route. API Gateway asks for it once for all routes,
        # so it could not leave another service's out.
        for route in self.routes if self.jwt else ():
            for other in self.routes:
                if other.path.startswith(f"{route.path}/") and other.service != route.service:
                    raise ValueError(
                        f"routes: {other.path} ({other.service}) lies below {route.path} ({route.service}), "
                        "which only the user pool's authorizer can tell apart, not jwt's: give it a path of "
                        "its own, or the same service"
                    )
        return self

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
    def _distinct_paths(cls, routes: list[RouteSettings]) -> list[RouteSettings]:
        _refuse_duplicates("path", (route.path for route in routes))
        for route in routes:
            if route.path == ORDERS_PATH:
                raise ValueError(f"{ORDERS_PATH} is order intake's own path; choose another one")
        return routes


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
        _refuse_duplicates("topic", topics)
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
        _refuse_duplicates("databaseRoles:", self.database_roles)
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


class AddonSettings(Model):
    """Versions of the EKS add-ons; what a cluster's version takes is listed by
    `aws eks describe-addon-versions --kubernetes-version 1.36 --addon-name NAME`."""

    metrics_server: AddonVersion = "v0.9.0-eksbuild.11"
    cloudwatch_observability: AddonVersion = "v6.7.0-eksbuild.1"
    secrets_store: AddonVersion = "v3.1.3-eksbuild.1"
    """The Secrets Store CSI driver with AWS's provider (`aws-secrets-store-csi-driver-provider`)."""


class ClusterSettings(Model):
    """EKS in Auto Mode."""

    version: str = Field(default="1.36", pattern=r"^1\.\d{2}$")
    support: Literal["STANDARD", "EXTENDED"] = "EXTENDED"
    """What happens when the version's standard support ends, 14 months after its release: EXTENDED is paid
    for by the hour and leaves the day of the upgrade to you, STANDARD upgrades on AWS's day."""
    addons: AddonSettings = AddonSettings()
    public_access_cidrs: list[Cidr] = []
    """Networks that may reach the public endpoint; none switches it off. A deployer outside the VPC
    needs one, and so does everyone while the VPC is not there yet."""
    deployer_cidrs: list[Cidr] = []
    """Networks inside the VPC or peered with it that may reach the private endpoint."""
    admin_role_arns: list[RoleArn] = []
    """IAM roles that administer the cluster beside its creator."""
    viewer_role_arns: list[RoleArn] = []
    """IAM roles that read everything in the cluster, its Secrets too: those of previews."""
    keda_version: str = Field(default="2.21.0", pattern=r"^\d+\.\d+\.\d+$")
    """Version of KEDA's Helm chart."""
    pods_quota: int = Field(default=500, ge=10)
    """The most pods in the services' namespace."""

    @field_validator("public_access_cidrs", "deployer_cidrs")
    @classmethod
    def _distinct_networks(cls, cidrs: list[str]) -> list[str]:
        _refuse_duplicates("network", cidrs)
        return cidrs

    @model_validator(mode="after")
    def _one_kind_of_access_a_role(self) -> Self:
        # A role's name is unique in its account; the access entries are told apart by it.
        names = [arn.rsplit("/", 1)[-1] for arn in (*self.admin_role_arns, *self.viewer_role_arns)]
        _refuse_duplicates("in adminRoleArns and viewerRoleArns the role", names)
        return self


class CacheReplicas(Range):
    """How many replicas each shard has; more nodes than that ElastiCache does not take."""

    max: int = Field(ge=0, le=5)
    """The most."""


class CacheSettings(Model):
    """ElastiCache for Valkey, cluster mode."""

    node_type: str = Field(default="cache.r7g.large", pattern=r"^cache\.[a-z0-9]+\.[a-z0-9]+$")
    engine_version: str = Field(default="8.1", pattern=r"^\d+\.\d+$")
    shards: int = Field(default=3, ge=1, le=500)
    """Parts that the keys are spread over. More make room for data and writes; they are moved online."""
    replicas: CacheReplicas = CacheReplicas(min=2, max=4)
    """Replicas of each shard: `min` at first, the auto-scaling adds up to `max`; the same where it is off."""
    replica_cpu_percent: Annotated[int, Field(ge=35, le=70)] = 60
    """Average engine CPU of the replicas that the auto-scaling aims at (its own limits: 35 to 70)."""
    snapshot_retention_days: int = Field(default=7, ge=0, le=35)

    @property
    def scales(self) -> bool:
        """Whether replicas come and go with the load."""
        return self.replicas.min < self.replicas.max

    @model_validator(mode="after")
    def _nodes_that_scale(self) -> Self:
        if not self.scales:
            return self
        if not re.fullmatch(_SCALING_CACHE_NODES, self.node_type):
            raise ValueError(
                f"replicas.max ({self.replicas.max}) is above replicas.min ({self.replicas.min}), but "
                f"{self.node_type} does not scale by itself: give both the same, or a nodeType that does, "
                "such as cache.r7g.large"
            )
        if self.replicas.min < 1:
            raise ValueError(
                "replicas.min must be at least 1 where replicas scale: their CPU is what they follow"
            )
        return self


class AttributeSettings(Model):
    """A DynamoDB key attribute."""

    name: str = Field(min_length=1, max_length=255)
    """Name of the attribute in the items."""
    type: Literal["S", "N", "B"] = "S"


class IndexSettings(Model):
    """A global secondary index that projects every attribute."""

    name: str = Field(pattern=r"^[a-zA-Z0-9_.-]{3,255}$", examples=["by-venue"])
    """Name of the index, unique in its table."""
    hash_key: AttributeSettings
    range_key: AttributeSettings | None = None


class RequestUnits(Model):
    """The most that an on-demand table takes, and each of its indexes; beyond, requests are throttled."""

    read: int = Field(ge=-1)
    """Read request units a second; -1 lifts a maximum that was set."""
    write: int = Field(ge=-1)
    """Write request units a second; -1 lifts a maximum that was set."""

    @model_validator(mode="after")
    def _something_or_no_limit(self) -> Self:
        for key in ("read", "write"):
            if getattr(self, key) == 0:
                raise ValueError(f"{key} must be at least 1; -1 lifts a maximum that was set")
        return self


class TableSettings(Model):
    """A DynamoDB table. With several regions it is a global table, with a replica in each."""

    name: str = Field(pattern=r"^[a-z0-9-]{3,64}$", examples=["market-data"])
    """Name that services refer to it by."""
    hash_key: AttributeSettings
    range_key: AttributeSettings | None = None
    indexes: list[IndexSettings] = []
    ttl_attribute: str | None = None
    billing: Literal["provisioned", "onDemand"] = "provisioned"
    """Capacity that follows the traffic within bounds, or payment by request. On-demand to provisioned
    wants a step by hand: *Change how a table is billed* in docs/operations.md."""
    max_request_units: RequestUnits | None = None
    """Of an on-demand table; without it the account's quotas are the only limit."""
    read_capacity: Range = Range(min=5, max=1000)
    """Read units a second, of the table and of each index, where it is provisioned."""
    write_capacity: Range = Range(min=5, max=1000)
    """Write units a second, of the table and of each index, where it is provisioned."""
    target_utilization: Annotated[int, Field(ge=20, le=90)] = 70
    """Per cent of the capacity that auto-scaling aims at (its own limits: 20 to 90)."""

    @field_validator("indexes")
    @classmethod
    def _distinct_indexes(cls, indexes: list[IndexSettings]) -> list[IndexSettings]:
        _refuse_duplicates("name", (index.name for index in indexes))
        return indexes

    @model_validator(mode="after")
    def _one_type_an_attribute(self) -> Self:
        types: dict[str, str] = {}
        for keyed in (self, *self.indexes):
            if keyed.range_key and keyed.range_key.name == keyed.hash_key.name:
                raise ValueError(f"{keyed.name}: hashKey and rangeKey are both {keyed.hash_key.name}")
            for key in (keyed.hash_key, keyed.range_key):
                if key and types.setdefault(key.name, key.type) != key.type:
                    raise ValueError(
                        f"attribute {key.name} has type {key.type} in {keyed.name} and "
                        f"{types[key.name]} elsewhere; give it one type"
                    )
        return self

    @model_validator(mode="after")
    def _capacity_for_everything(self) -> Self:
        for key in ("read_capacity", "write_capacity"):
            if getattr(self, key).min < 1:
                raise ValueError(f"{to_camel(key)}.min must be at least 1: provisioned capacity is never 0")
        return self

    @model_validator(mode="after")
    def _request_units_on_demand(self) -> Self:
        if self.max_request_units and self.billing != "onDemand":
            raise ValueError(
                "maxRequestUnits is for billing onDemand; a provisioned table is bounded by the max of "
                "readCapacity and writeCapacity"
            )
        return self


class TopicSettings(Model):
    """A Kafka topic."""

    name: KafkaTopic
    """Name that services refer to it by."""
    partitions: int = Field(default=12, ge=1, le=1000)
    """The most consumers that share its work. More can be added, and keys are spread anew from then on;
    Kafka never takes one away."""
    retention_hours: int = Field(default=168, ge=1)
    """How long a record is kept. Not for compacted topics, which keep the last record of every key."""
    cleanup_policy: Literal["delete", "compact"] = "delete"
    dead_letter: bool = True
    """Whether each consuming service has a topic `NAME.SERVICE.dlq` for records that it cannot process."""

    @model_validator(mode="after")
    def _compaction_knows_no_age(self) -> Self:
        if self.cleanup_policy == "compact" and "retention_hours" in self.model_fields_set:
            raise ValueError(
                f"{self.name} has retentionHours ({self.retention_hours}), but a compacted topic keeps the "
                "last record of every key for ever: leave retentionHours out, or set cleanupPolicy to delete"
            )
        return self


class StreamingSettings(Model):
    """Amazon MSK."""

    kafka_version: str = Field(default="3.9.x.kraft", pattern=r"^(3\.[89]|4\.\d+)\.x\.kraft$")
    """As MSK writes it. KRaft, which a cluster is created with or never has; 3.8 or newer, because before
    a client that signs in with IAM cannot end a transaction (MSK guide, "Semantics of IAM … actions")."""
    instance_type: BrokerSize = "kafka.m7g.large"
    brokers_per_zone: int = Field(default=1, ge=1, le=20)
    """Can grow in place. Topics stay where they are until their partitions are reassigned."""
    volume_gib: Range = Range(min=500, max=4000)
    """Size of each broker's volume at first, and up to which it grows; 16,384 at most (MSK quotas)."""
    dead_letter_retention_hours: int = Field(default=720, ge=1)
    """How long a record that a service could not process is kept: at least as long as in its topic."""
    topics: list[TopicSettings] = [
        TopicSettings(name="orders"),
        TopicSettings(name="executions"),
        TopicSettings(name="market-data", retention_hours=24),
        TopicSettings(name="balances", cleanup_policy="compact"),
    ]

    def dead_letter_topic(self, topic: str, service: str) -> str | None:
        """The topic of those records of `topic` that `service` cannot process, if it has one."""
        wanted = any(settings.dead_letter for settings in self.topics if settings.name == topic)
        return f"{topic}.{service}.dlq" if wanted else None

    @field_validator("volume_gib")
    @classmethod
    def _volume_limits(cls, volume: Range) -> Range:
        if volume.min < 1 or volume.max > 16_384:
            raise ValueError(f"{volume.min} to {volume.max} must lie within 1 and 16384 GiB, MSK's limits")
        return volume

    @field_validator("topics")
    @classmethod
    def _distinct_topics(cls, topics: list[TopicSettings]) -> list[TopicSettings]:
        _refuse_duplicates("name", (topic.name for topic in topics))
        for index, topic in enumerate(topics):
            if other := _colliding_topic(topic.name, (topic.name for topic in topics[:index])):
                raise ValueError(
                    f"{topic.name} and {other} differ in . and _ alone, which Kafka refuses; rename one"
                )
        return topics

    @model_validator(mode="after")
    def _dead_letters_outlive_their_topics(self) -> Self:
        for topic in self.topics:
            kept = topic.retention_hours if topic.cleanup_policy == "delete" else 0
            if topic.dead_letter and kept > self.dead_letter_retention_hours:
                raise ValueError(
                    f"deadLetterRetentionHours ({self.dead_letter_retention_hours}) must not be below "
                    f"retentionHours ({kept}) of {topic.name}, or set its deadLetter to false"
                )
        return self


class ServerlessCapacity(Model):
    """Aurora Serverless v2 capacity units (about 2 GiB of memory each), in halves."""

    min: float = Field(ge=0.5, le=256, multiple_of=0.5)
    """The least. Not 0, at which an idle database pauses: the proxy's connections keep it from idling."""
    max: float = Field(ge=1, le=256, multiple_of=0.5)
    """The most."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.min > self.max:
            raise ValueError(f"min ({self.min}) must not be above max ({self.max})")
        return self


class DatabaseSettings(Model):
    """Aurora PostgreSQL."""

    engine_version: str = Field(default="17.11", pattern=r"^\d+\.\d+$")
    instance_class: str = Field(default="db.r8g.xlarge", pattern=r"^db\.[a-z0-9]+\.[a-z0-9]+$")
    serverless: ServerlessCapacity | None = None
    """Capacity of serverless v2 instances; then `instanceClass` does not count."""
    readers: Range = Range(min=2, max=8)
    """Read replicas: `min` are declared, the auto-scaling adds up to `max`."""
    reader_cpu_percent: Percent = 60
    """Average CPU of the readers that the auto-scaling aims at."""
    reader_connections: int | None = Field(default=None, ge=1)
    """Average number of connections of a reader that the auto-scaling aims at, instead of the CPU."""
    backup_retention_days: int = Field(default=35, ge=1, le=35)
    """How long any second can be restored, and each day's copy in the backup vaults is kept."""
    monthly_backup_retention_days: int = Field(default=365, ge=35, le=36_500)
    """How long each month's first copy in the backup vaults is kept."""
    insights: Literal["standard", "advanced"] = "advanced"
    """Mode of Database Insights: advanced keeps 15 months of statements and plans, for a charge."""

    @field_validator("readers")
    @classmethod
    def _aurora_limit(cls, readers: Range) -> Range:
        if readers.max > 15:
            raise ValueError(f"max ({readers.max}) must not be above 15, Aurora's limit of replicas")
        return readers

    @model_validator(mode="after")
    def _readers_scale_on_one_thing(self) -> Self:
        if self.reader_connections and "reader_cpu_percent" in self.model_fields_set:
            raise ValueError(
                "readerCpuPercent and readerConnections exclude each other: the readers scale on one of "
                "them; give one"
            )
        return self


class ObjectiveSettings(Model):
    """What those who place orders may expect, over 30 days in each region."""

    availability: float = Field(default=0.999, gt=0.95, lt=1)
    """Share of orders that do not fail on our side."""
    latency: float = Field(default=0.99, gt=0.95, lt=1)
    """Share of orders that are answered within `latencyMs`."""
    latency_ms: int = Field(default=1000, ge=50, le=29_000)
    """Milliseconds, measured at API Gateway, which gives up after 29,000."""


class SlackSettings(Model):
    """A Slack channel, in a workspace that the account has authorized once in the console of Amazon Q
    Developer in chat applications."""

    workspace_id: str = Field(pattern=r"^T[A-Z0-9]{8,}$", examples=["T0123ABCD"])
    """Slack's id of the workspace."""
    channel_id: str = Field(pattern=r"^[CG][A-Z0-9]{8,}$", examples=["C0123ABCD"])
    """Slack's id of the channel; a private one must have invited the application."""


class SpendingSettings(Model):
    """What the platform may cost."""

    monthly_usd: int = Field(ge=1)
    """USD of a calendar month. A warning comes at 80 % of it, and when the forecast is above it."""
    anomaly_usd: int = Field(default=100, ge=1)
    """USD by which spending is out of the ordinary before it is told."""


class OrderCanarySettings(Model):
    """What the canary's orders are for. The order service must know both, and hand none of these orders on:
    `docs/operations.md`, section order-canary."""

    account_id: str = Field(pattern=r"^[A-Za-z0-9_-]{1,64}$", examples=["canary"])
    """An account of the canary's own, without buying power."""
    symbol: str = Field(pattern=r"^[A-Z0-9][A-Z0-9.-]{0,19}$", examples=["ZVZZT"])
    """A test symbol of the venue, in which nothing real is traded."""


class MonitoringSettings(Model):
    """Logs, metrics and alarms."""

    objectives: ObjectiveSettings = ObjectiveSettings()
    slack: SlackSettings | None = None
    """Where alarms are shown beside the e-mails."""
    spending: SpendingSettings | None = None
    """Without it nobody is told of what the platform costs."""
    canary: OrderCanarySettings | None = None
    """Places a test order every minute and tells whether it was accepted; without it nothing does."""
    log_retention_days: RetentionDays = 365
    alarm_emails: list[Annotated[str, Field(pattern=r"^[^@\s]+@[^@\s]+\.[^@\s]+$")]] = []
    """Addresses that every alarm is sent to; each must confirm once."""


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

IDEMPOTENCY_TABLE = "orders-idempotency"
"""The table in which order intake remembers which orders it has handed on."""

DEFAULT_TABLES = [
    TableSettings(
        name=IDEMPOTENCY_TABLE,
        hash_key=AttributeSettings(name="account_id"),
        range_key=AttributeSettings(name="client_order_id"),
        ttl_attribute="expires_at",
    ),
    TableSettings(
        name="market-data",
        hash_key=AttributeSettings(name="symbol"),
        range_key=AttributeSettings(name="at", type="N"),
        indexes=[
            IndexSettings(
                name="by-venue",
                hash_key=AttributeSettings(name="venue"),
                range_key=AttributeSettings(name="at", type="N"),
            )
        ],
        ttl_attribute="expires_at",
    ),
]


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
        _refuse_duplicates("name", (region.name for region in regions))
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
        _refuse_duplicates("name", (service.name for service in services))
        _refuse_duplicates("listenerPort", (service.listener_port for service in services))
        return services

    @field_validator("tables")
    @classmethod
    def _distinct_tables(cls, tables: list[TableSettings]) -> list[TableSettings]:
        _refuse_duplicates("name", (table.name for table in tables))
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
                if other := _colliding_topic(name, topics):
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
            raise SettingsError(_explain(error)) from None


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


def _explain(error: ValidationError) -> str:
    problems = error.errors(include_url=False)
    lines = [f"The stack's configuration has {len(problems)} problem{'s' if len(problems) > 1 else ''}:"]
    for problem in problems:
        location = problem["loc"]
        path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
        key = f"{NAMESPACE}:{path.removeprefix('.')}"
        message = problem["msg"].removeprefix("Value error, ").replace("Input should", "must")
        value = problem["input"]
        match problem["type"]:
            case "missing":
                meaning = _node(location).get("description", "")
                lines.append(f"  {key}: is missing, and has no default{meaning and ': '}{meaning}")
            case "extra_forbidden":
                lines.append(f"  {key}: no such key (value {_short(value)}); {_known_keys(location)}")
            case "value_error" if not path:
                lines.append(f"  {key}{message}")  # a rule over several keys names its own
            case "value_error" if isinstance(value, dict | list | BaseModel):
                lines.append(f"  {key}: {message}")
            case _:
                lines.append(f"  {key}: {_short(value)}: {message}{_example(location)}")
    return "\n".join(lines)


def _short(value: Any) -> str:
    text = json.dumps(value, default=str)
    return text if len(text) <= 60 else f"{text[:57]}…"


def _node(location: Sequence[str | int]) -> dict[str, Any]:
    """The JSON Schema at a key's place: its own words about the key over those about its type."""
    schema: dict[str, Any] = Settings.model_json_schema()
    node: dict[str, Any] = schema
    for part in location:
        here: dict[str, Any] = node["items"] if isinstance(part, int) else _property(node, part)
        choices: list[dict[str, Any]] = [here, *here.get("anyOf", ())]
        models = [choice["$ref"].rsplit("/", 1)[-1] for choice in choices if "$ref" in choice]
        node = {**schema["$defs"][models[0]], **here} if models else here
    return node


def _property(node: dict[str, Any], key: str) -> dict[str, Any]:
    named = node.get("properties", {}).get(key)
    patterned = next(iter(node.get("patternProperties", {}).values()), None)
    return named or node.get("additionalProperties") or patterned or {}


def _known_keys(location: Sequence[str | int]) -> str:
    """What the model at a misspelled key's place accepts."""
    known = sorted(_node(location[:-1])["properties"])
    near = difflib.get_close_matches(str(location[-1]), known, n=1)
    return f"{f'did you mean {near[0]}? ' if near else ''}known keys here are {', '.join(known)}"


def _example(location: Sequence[str | int]) -> str:
    """A value that would do, for keys whose pattern alone is hard to read."""
    node = _node(location)
    examples = [value for value in (*node.get("examples", ()), node.get("default")) if isinstance(value, str)]
    return f", such as {examples[0]}" if examples else ""


def stack_schema() -> dict[str, Any]:
    """The JSON Schema of a `Pulumi.<stack>.yaml`, for editors and the tests."""
    schema = Settings.model_json_schema()
    definitions = schema.pop("$defs")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Stack file of the trading platform",
        "type": "object",
        "properties": {
            "config": {
                "type": "object",
                "properties": {f"{NAMESPACE}:{key}": value for key, value in schema["properties"].items()},
                "required": [f"{NAMESPACE}:{key}" for key in schema["required"]],
                "patternProperties": {f"^(?!{NAMESPACE}:)": {}},
                "additionalProperties": False,
            }
        },
        "required": ["config"],
        "$defs": definitions,
    }


if __name__ == "__main__":
    print(json.dumps(stack_schema(), indent=2))
