"""The users and clients of the API: a Cognito user pool, created once for all regions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from components.common.component import Component
from components.common.context import DeploymentContext
from components.common.signals import Signal
from settings import OPENID_SCOPES
from settings.aws_limits import LOGIN_DOMAIN_LENGTH

RESOURCE_SERVER = "trading"
"""Prefix of the API's scopes, such as `trading/orders`."""


@dataclass(frozen=True, kw_only=True)
class IdentityArgs:
    """Settings of the user pool."""

    context: DeploymentContext
    host: str
    """The viewer's host, to which users return after signing in."""
    services: Sequence[str]
    """Services that the API exposes. Each gets its own scope."""


class Identity(Component):
    """Users and machine clients, and the scopes that they may request.

    One pool serves every region, so that a token is valid in whichever region Route 53 selects. Each region's
    authorizer refers to the pool's ARN. Administrators create users: accounts are opened elsewhere, after the
    holder's identity has been verified.

    The pool is in us-east-1. While that region is lost, nobody can sign in, and access tokens end after 15
    minutes, so other regions serve no users of the pool. Cognito's replicas don't help: they don't support
    TOTP, which is our second factor, and pulumi_aws 7.51.1 has no resource for them ("Multi-Region
    replication for user pools", Cognito Developer Guide, November 2026). A platform that must outlive
    us-east-1 uses an external issuer (`api.jwt`).
    """

    user_pool_arn: pulumi.Output[str]
    scopes: Mapping[str, str]
    """Service → the scope that a token must have for it."""
    web_client_id: pulumi.Output[str]
    """Client for the web app: authorization code grant with PKCE, without a secret."""
    machine_client_id: pulumi.Output[str]
    """Client for programs: client credentials grant."""
    machine_client_secret: pulumi.Output[str]
    """Secret of the client for programs, as a Pulumi secret."""
    login_url: pulumi.Output[str]
    """Base URL of the OAuth endpoints."""

    def __init__(self, name: str, args: IdentityArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("trading:tier:Identity", name, opts)
        self.scopes = {service: f"{RESOURCE_SERVER}/{service}" for service in args.services}
        pool = self._user_pool(name, args)
        server = aws.cognito.ResourceServer(
            name,
            user_pool_id=pool.id,
            identifier=RESOURCE_SERVER,
            name="Trading API",
            scopes=[
                {"scope_name": service, "scope_description": f"Use the service {service}"}
                for service in args.services
            ],
            opts=self.child(),
        )
        # Taken from the server's output, because a client can't use a scope that doesn't exist yet.
        scopes = server.identifier.apply(lambda prefix: [f"{prefix}/{service}" for service in args.services])
        domain = aws.cognito.UserPoolDomain(
            name,
            user_pool_id=pool.id,
            # The prefix must be unique among all AWS accounts, which the host is.
            domain=args.host.replace(".", "-")[:LOGIN_DOMAIN_LENGTH].rstrip("-"),
            managed_login_version=2,
            opts=self.child(),
        )
        web = self._web_client(name, args, pool, scopes)
        machine = aws.cognito.UserPoolClient(
            f"{name}-machine",
            user_pool_id=pool.id,
            generate_secret=True,
            allowed_oauth_flows=["client_credentials"],
            allowed_oauth_flows_user_pool_client=True,
            allowed_oauth_scopes=scopes,
            access_token_validity=15,
            token_validity_units={"access_token": "minutes"},
            opts=self.child(additional_secret_outputs=["clientSecret"]),
        )

        self.user_pool_arn = pool.arn
        self.web_client_id = web.id
        self.machine_client_id = machine.id
        self.machine_client_secret = machine.client_secret
        self.login_url = pulumi.Output.format(
            "https://{0}.auth.{1}.amazoncognito.com", domain.domain, domain.region
        )
        self.report(
            Signal(
                name="identity-sign-in-throttles",
                title="Cognito throttles sign-ins to the web app",
                namespace="AWS/Cognito",
                metric="SignInThrottles",
                dimensions={"UserPool": pool.id, "UserPoolClient": web.id},
                statistic="Sum",
                threshold=0,
                reason="Users can't sign in. The cause is either a rush of users or somebody who guesses "
                "passwords.",
                severity="warning",
            )
        )
        self.register_outputs(
            {
                "userPoolArn": self.user_pool_arn,
                "webClientId": self.web_client_id,
                "machineClientId": self.machine_client_id,
                "loginUrl": self.login_url,
            }
        )

    def _user_pool(self, name: str, args: IdentityArgs) -> aws.cognito.UserPool:
        return aws.cognito.UserPool(
            name,
            username_attributes=["email"],
            username_configuration={"case_sensitive": False},
            auto_verified_attributes=["email"],
            admin_create_user_config={"allow_admin_create_user_only": True},
            account_recovery_setting={"recovery_mechanisms": [{"name": "verified_email", "priority": 1}]},
            password_policy={
                "minimum_length": 14,
                "require_lowercase": True,
                "require_uppercase": True,
                "require_numbers": True,
                "require_symbols": True,
                "password_history_size": 10,
                "temporary_password_validity_days": 1,
            },
            mfa_configuration="ON",
            software_token_mfa_configuration={"enabled": True},
            deletion_protection="ACTIVE" if args.context.protect else "INACTIVE",
            opts=self.child(protect=args.context.protect),
        )

    def _web_client(
        self,
        name: str,
        args: IdentityArgs,
        pool: aws.cognito.UserPool,
        scopes: pulumi.Output[list[str]],
    ) -> aws.cognito.UserPoolClient:
        web = aws.cognito.UserPoolClient(
            f"{name}-web",
            user_pool_id=pool.id,
            allowed_oauth_flows=["code"],
            allowed_oauth_flows_user_pool_client=True,
            allowed_oauth_scopes=scopes.apply(lambda scopes: [*OPENID_SCOPES, *scopes]),
            callback_urls=[f"https://{args.host}/"],
            logout_urls=[f"https://{args.host}/"],
            supported_identity_providers=["COGNITO"],
            # A stolen access token can't be revoked, so it is short-lived. The refresh token lasts for a
            # trading day.
            access_token_validity=15,
            id_token_validity=15,
            refresh_token_validity=12,
            token_validity_units={"access_token": "minutes", "id_token": "minutes", "refresh_token": "hours"},
            enable_token_revocation=True,
            prevent_user_existence_errors="ENABLED",
            opts=self.child(),
        )
        aws.cognito.ManagedLoginBranding(
            f"{name}-web",
            user_pool_id=pool.id,
            client_id=web.id,
            # Without a style, either Cognito's or a custom one, the login page is unavailable.
            use_cognito_provided_values=True,
            opts=self.child(),
        )
        return web
