"""Settings of tiers 3 and 5, the public and the internal load balancer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field, field_validator

from settings.aws_limits import (
    FIXED_RESPONSE_CLASSES,
    REDIRECT_HOST_LENGTH,
    REDIRECT_PATH_LENGTH,
    RULE_HOST_LENGTH,
    RULE_PATH_LENGTH,
    RULE_VALUES,
)
from settings.model import Broken, Fqdn, Location, Model, duplicate, refuse_duplicates, rule

RULE_PRIORITIES = 48
"""Highest priority of a configured rule. The standard rules come after it."""


class FixedResponseSettings(Model):
    """A response that the load balancer returns itself."""

    status: int = Field(default=403, ge=200, le=599)
    """HTTP status: 2xx, 4xx or 5xx."""
    message: str = Field(default="Forbidden", min_length=1, max_length=200)
    """Message in the JSON response."""

    @field_validator("status")
    @classmethod
    def _no_redirection(cls, status: int) -> int:
        if status // 100 not in FIXED_RESPONSE_CLASSES:
            raise ValueError("must be 2xx, 4xx or 5xx; use redirect for a redirection")
        return status


def _too_long(host: str, most: int, what: str, where: Location) -> Iterator[Broken]:
    if len(host) > most:
        yield Broken(f"{host} has {len(host)} characters, but {what} accepts only {most}: shorten it", where)


class RedirectSettings(Model):
    """Where the load balancer redirects a client, always with HTTPS. Use it for reads only, because many
    clients don't send the request's body again."""

    host: Fqdn | None = None
    """Host to redirect to; defaults to the request's host."""
    path: str | None = Field(
        default=None, pattern="^/", max_length=REDIRECT_PATH_LENGTH, examples=["/api/v2/#{path}"]
    )
    """Path to redirect to; defaults to the request's path, which `#{path}` stands for. The query is kept."""
    permanent: bool = False
    """Whether to answer with 301, which clients cache, instead of 302."""

    @rule
    def _leads_elsewhere(self) -> Iterator[Broken]:
        if self.host is None and self.path is None:
            yield Broken("needs a host, a path or both: otherwise it redirects to itself")

    @rule
    def _host_fits(self) -> Iterator[Broken]:
        if self.host:
            yield from _too_long(self.host, REDIRECT_HOST_LENGTH, "a redirection", ("host",))


class ListenerRuleSettings(Model):
    """A listener rule that is evaluated before the standard one, which forwards `/api/*` of `domain.host`.

    It has exactly one action: `forward`, `respond` or `redirect`.
    """

    priority: int = Field(ge=1, le=RULE_PRIORITIES)
    """Unique priority; the matching rule with the lowest number applies. Leave gaps for later rules."""
    hosts: list[Fqdn] = []
    """Host names that the rule matches. If empty, a rule that forwards matches `domain.host`, and any other
    rule matches every name. Each name other than `domain.host` gets certificates and DNS records, and is
    added to the distribution and the API."""
    paths: list[
        Annotated[
            str,
            Field(pattern=r"^/api/[\w.$/~@:+*?-]+$", max_length=RULE_PATH_LENGTH, examples=["/api/admin/*"]),
        ]
    ] = Field(default=["/api/*"], min_length=1)
    """Case-sensitive path patterns (`*` matches any characters, `?` matches one). CloudFront only forwards
    paths below `/api/`."""
    forward: Literal["api"] | None = None
    """Forwards to the API. As with the standard rule, the request must carry the origin's secret."""
    respond: FixedResponseSettings | None = None
    redirect: RedirectSettings | None = None

    @rule
    def _one_action(self) -> Iterator[Broken]:
        if [self.forward, self.respond, self.redirect].count(None) != 2:
            yield Broken(
                f"priority {self.priority} must have exactly one action, such as forward: api, respond: "
                "{status: 403} or redirect: {path: /api/v2/#{path}}"
            )

    @rule
    def _no_redirect_in_a_circle(self) -> Iterator[Broken]:
        to = self.redirect
        if to and not to.path and (not self.hosts or to.host in self.hosts):
            yield Broken(
                f"priority {self.priority} redirects {to.host} to itself: list the other names in hosts, or "
                "give redirect a path"
            )

    @rule
    def _within_quotas(self) -> Iterator[Broken]:
        for found in (duplicate("host", self.hosts), duplicate("path", self.paths)):
            if found:
                yield Broken(found)
        for index, host in enumerate(self.hosts):
            yield from _too_long(host, RULE_HOST_LENGTH, "a listener rule", ("hosts", index))
        # A rule that forwards always has a host condition and the secret header.
        values = len(self.paths) + (max(len(self.hosts), 1) + 1 if self.forward else len(self.hosts))
        if values > RULE_VALUES:
            secret = ", the origin's secret" if self.forward else ""
            yield Broken(
                f"priority {self.priority} has {values} condition values (hosts, paths{secret}), but a "
                f"listener rule can have only {RULE_VALUES}: split it into two rules"
            )
        wildcards = sum(path.count("*") + path.count("?") for path in self.paths)
        if wildcards > RULE_VALUES:
            yield Broken(
                f"priority {self.priority} has {wildcards} wildcards in its paths, but a listener rule can "
                f"have only {RULE_VALUES}: split it into two rules"
            )


class LoadBalancerSettings(Model):
    """The public load balancer."""

    idle_timeout_seconds: int = Field(default=40, ge=35, le=55)
    """Idle timeout. It is longer than API Gateway's 29 s, and than the 30 s for which CloudFront keeps idle
    connections, so that CloudFront closes them first. It is shorter than the 60 s for which CloudFront waits
    for a response."""
    log_retention_days: int = Field(default=365, ge=1)
    origin_secrets: list[Annotated[int, Field(ge=1, le=1000)]] = Field(
        default=[1], min_length=1, max_length=2
    )
    """Numbers of the secrets that prove that a request came through the platform's distribution. Each number
    identifies one secret. The load balancers accept all of them, and CloudFront sends the last. To rotate,
    deploy `[1, 2]` and then `[2]`."""
    rules: list[ListenerRuleSettings] = []
    """Host and path rules in addition to the standard one."""

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
    """Whether the load balancer terminates TLS, and encrypts again to services with a `tlsPort`. If false,
    connections pass through as plain TCP. After a change, requests fail for about a minute: see the
    runbook."""
