"""Components that exist once for all regions: names, users, the distribution and its DNS records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from components.common.context import DeploymentContext
from components.domain import Domain, DomainArgs
from components.identity import Identity, IdentityArgs
from components.load_balancer import LoadBalancer
from components.routing import RegionalOrigin, Routing, RoutingArgs
from components.service.microservice import Microservice
from components.web import SignIn, Web, WebArgs
from settings import Settings


def domain(settings: Settings, context: DeploymentContext) -> Domain:
    """Names, certificates and the secrets of the origin header."""
    return Domain(
        "domain",
        DomainArgs(
            names=settings.domain,
            additional_hosts=settings.additional_hosts,
            regions=[region.name for region in settings.home_first],
            origin_secrets=settings.load_balancer.origin_secrets,
        ),
        context.options,
    )


def identity(settings: Settings, context: DeploymentContext) -> Identity | None:
    """The user pool, unless an external issuer manages the users and clients."""
    if settings.api.jwt:
        return None
    return Identity(
        "identity",
        IdentityArgs(context=context, host=settings.domain.host, services=settings.api.services),
        context.options,
    )


def web(
    settings: Settings,
    context: DeploymentContext,
    domain: Domain,
    identity: Identity | None,
    balancers: Mapping[str, LoadBalancer],
    regions: Sequence[DeploymentContext],
) -> Web:
    """Tier 1: the distribution, which sends the origin secret once the load balancers accept it.

    A region that isn't the edge's gets a copy of the web app's files, if there is one. Also the only region
    gets one: it may be the one that is left of two, and the copy is what viewers read while us-east-1 fails.
    """
    elsewhere = [region for region in regions if region.region != context.region]
    sign_in = None
    if identity:
        sign_in = SignIn(
            login_url=identity.login_url,
            client_id=identity.web_client_id,
            scopes=list(identity.scopes.values()),
        )
    return Web(
        "web",
        WebArgs(
            context=context,
            names=settings.domain,
            additional_hosts=settings.additional_hosts,
            certificate_arn=domain.viewer_certificate_arn,
            origin_secret=domain.origin_secret,
            origins_ready=[rule for balancer in balancers.values() for rule in balancer.origin_rules],
            sign_in=sign_in,
            api=settings.api,
            copy_in=elsewhere[0] if elsewhere else None,
            settings=settings.web,
        ),
        context.options,
    )


def routing(
    settings: Settings,
    context: DeploymentContext,
    domain: Domain,
    web: Web,
    balancers: Mapping[str, LoadBalancer],
    services: Mapping[str, Sequence[Microservice]],
) -> Routing:
    """Tier 2: the records that lead viewers to the distribution, and the distribution to a region.

    `balancers` and `services` are the load balancers and the services by region.
    """
    return Routing(
        "routing",
        RoutingArgs(
            context=context,
            names=settings.domain,
            additional_hosts=settings.additional_hosts,
            zone_id=domain.zone_id,
            distribution_domain_name=web.distribution_domain_name,
            distribution_zone_id=web.distribution_zone_id,
            origins=[
                RegionalOrigin(
                    region=region.name,
                    serves=region.serves,
                    dns_name=balancers[region.name].dns_name,
                    zone_id=balancers[region.name].zone_id,
                    targets_alarm=balancers[region.name].targets_alarm,
                    ready=services[region.name],
                )
                for region in settings.primary_first
            ],
        ),
        context.options,
    )
