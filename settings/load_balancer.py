"""Tiers 3 and 5: the public and the internal load balancer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field, field_validator

from settings.model import Broken, Fqdn, Model, duplicate, refuse_duplicates, rule

BALANCER_NAME_LENGTH = 32
"""Characters in the name of a load balancer or target group (Elastic Load Balancing API Reference)."""
RULE_PRIORITIES = 48
"""Rules that fit before the standard one."""
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

    @rule
    def _leads_elsewhere(self) -> Iterator[Broken]:
        if self.host is None and self.path is None:
            yield Broken("needs a host, a path or both: else it would lead back to itself")


class ListenerRuleSettings(Model):
    """A rule of the load balancer before the standard one, which forwards `/api/*` of `domain.host`.

    It has one action: `forward`, `respond` or `redirect`.
    """

    priority: int = Field(ge=1, le=RULE_PRIORITIES)
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

    @rule
    def _one_action(self) -> Iterator[Broken]:
        if [self.forward, self.respond, self.redirect].count(None) != 2:
            yield Broken(
                f"priority {self.priority} must have one action: forward: api, respond: {{status: 403}} or "
                "redirect: {path: /api/v2/#{path}}"
            )

    @rule
    def _no_redirect_in_a_circle(self) -> Iterator[Broken]:
        to = self.redirect
        if to and not to.path and (not self.hosts or to.host in self.hosts):
            yield Broken(
                f"priority {self.priority} redirects {to.host} to itself: name in hosts those that are to go "
                "there, or give redirect a path"
            )

    @rule
    def _within_quotas(self) -> Iterator[Broken]:
        for found in (duplicate("host", self.hosts), duplicate("path", self.paths)):
            if found:
                yield Broken(found)
        # A rule that forwards has a host and the secret header.
        values = len(self.paths) + (max(len(self.hosts), 1) + 1 if self.forward else len(self.hosts))
        if values > RULE_VALUES:
            secret = ", the origin's secret" if self.forward else ""
            yield Broken(
                f"priority {self.priority} has {values} condition values (hosts, paths{secret}); a listener "
                f"rule holds {RULE_VALUES}: make two rules of it"
            )
        wildcards = sum(path.count("*") + path.count("?") for path in self.paths)
        if wildcards > RULE_VALUES:
            yield Broken(
                f"priority {self.priority} has {wildcards} wildcards in its paths; a listener rule holds "
                f"{RULE_VALUES}: make two rules of it"
            )


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
        refuse_duplicates("priority", (rule.priority for rule in rules))
        return rules

    @field_validator("origin_secrets")
    @classmethod
    def _distinct_secrets(cls, numbers: list[int]) -> list[int]:
        refuse_duplicates("number", numbers)
        return numbers


class InternalLoadBalancerSettings(Model):
    """The load balancer between the API tier and the microservices."""

    tls: bool = True
    """Whether it ends TLS, and encrypts anew to services with a `tlsPort`. Without it connections pass
    through as plain TCP. The change refuses requests for about a minute: see the runbook."""
