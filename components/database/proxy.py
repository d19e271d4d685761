"""The connection pool in front of the Aurora cluster: RDS Proxy with end-to-end IAM authentication."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from components.common.access import Endpoint
from components.common.component import Component
from components.common.iam import policy_document, service_trust
from components.common.signals import Signal

BORROW_TIMEOUT_SECONDS = 5
"""Half of the time that order intake waits for its service: a clear rejection is better than an order with an
unknown outcome."""


@dataclass(frozen=True, kw_only=True)
class DatabaseProxyArgs:
    """Settings of the proxy."""

    vpc_id: pulumi.Input[str]
    subnet_ids: Sequence[pulumi.Input[str]]
    cluster_identifier: pulumi.Input[str]
    region: str
    cluster_resource_id: pulumi.Input[str]
    instances: Endpoint
    """The instances that the proxy connects to."""
    users: Sequence[str]
    """Database users that sign in through the proxy. Each has the role `rds_iam`."""
    read_only: bool
    """Whether the cluster has readers for a read-only endpoint."""
    ready: list[pulumi.Resource]
    """The cluster's instances."""


def database_user_arn(
    region: str, account_id: pulumi.Input[str], resource_id: pulumi.Input[str], user: str
) -> pulumi.Output[str]:
    """The ARN of a database user for IAM's `rds-db:connect`.

    Args:
        region: the database's region.
        account_id: the database's account.
        resource_id: id of the resource that the client connects to: the cluster (`cluster-…`) or the proxy
            (`prx-…`).
        user: name of the user in the database.
    """
    return pulumi.Output.format(
        "arn:aws:rds-db:{0}:{1}:dbuser:{2}/{3}", region, account_id, resource_id, user
    )


class DatabaseProxy(Component):
    """A pool of TLS connections that survives a failover of the writer.

    A client signs in to the proxy with an IAM token, and the proxy signs in to the database as the same user,
    also with IAM (`IAM_AUTH`, "end-to-end IAM authentication" in the RDS Proxy guide). The alternative is a
    secret with a password for each service, which somebody has to create, rotate and keep the same in two
    places. Here, no service's user has a password.
    """

    endpoint: pulumi.Output[str]
    """Endpoint for reads and writes. On a secondary cluster of a global database, it returns an error until
    the cluster is promoted ("Using RDS Proxy with Aurora global databases")."""
    read_only_endpoint: pulumi.Output[str] | None
    resource_id: pulumi.Output[str]
    """Id of the proxy for IAM's `rds-db:connect` (`prx-…`)."""
    security_group_id: pulumi.Output[str]

    def __init__(
        self, name: str, args: DatabaseProxyArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("trading:tier:DatabaseProxy", name, opts)
        security_group = aws.ec2.SecurityGroup(
            name,
            description="Database proxy",
            vpc_id=args.vpc_id,
            tags={"Name": name},
            opts=self.child(),
        )
        (port,) = args.instances.ports
        self.allow_connection(
            f"{name}-to-instances",
            f"{name}-into-instances",
            port=port,
            client=security_group.id,
            client_is="Database proxy",
            server=args.instances.security_group_id,
            server_is="Aurora instances",
        )
        role, permissions = self._role(name, args)
        proxy = aws.rds.Proxy(
            name,
            engine_family="POSTGRESQL",
            default_auth_scheme="IAM_AUTH",
            require_tls=True,
            role_arn=role.arn,
            vpc_subnet_ids=args.subnet_ids,
            vpc_security_group_ids=[security_group.id],
            # The proxy refers only to the role, but needs its permissions as soon as it has a target.
            opts=self.child(depends_on=[*permissions]),
        )
        target_group = aws.rds.ProxyDefaultTargetGroup(
            name,
            db_proxy_name=proxy.name,
            connection_pool_config={
                # Per cent of the instance's max_connections. The rest is for connections that bypass the
                # proxy: schema migrations and people who investigate a problem.
                "max_connections_percent": 90,
                "max_idle_connections_percent": 30,
                "connection_borrow_timeout": BORROW_TIMEOUT_SECONDS,
            },
            opts=self.child(),
        )
        target = aws.rds.ProxyTarget(
            name,
            db_proxy_name=proxy.name,
            target_group_name=target_group.name,
            db_cluster_identifier=args.cluster_identifier,
            # A cluster without instances can't be a target.
            opts=self.child(depends_on=args.ready),
        )
        read_only = None
        if args.read_only:
            read_only = aws.rds.ProxyEndpoint(
                f"{name}-read-only",
                db_proxy_name=proxy.name,
                db_proxy_endpoint_name=pulumi.Output.concat(proxy.name, "-read-only"),
                target_role="READ_ONLY",
                vpc_subnet_ids=args.subnet_ids,
                vpc_security_group_ids=[security_group.id],
                # It requires a reader, which the proxy knows only through its target.
                opts=self.child(depends_on=[target]),
            )

        self.endpoint = proxy.endpoint
        self.read_only_endpoint = read_only.endpoint if read_only else None
        self.resource_id = proxy.arn.apply(lambda arn: arn.rsplit(":", 1)[-1])
        self.security_group_id = security_group.id
        self._watch(proxy)
        self.register_outputs({"endpoint": self.endpoint, "resourceId": self.resource_id})

    def _role(self, name: str, args: DatabaseProxyArgs) -> tuple[aws.iam.Role, list[aws.iam.RolePolicy]]:
        role = aws.iam.Role(name, assume_role_policy=service_trust("rds.amazonaws.com"), opts=self.child())
        if not args.users:
            return role, []  # A policy must name at least one resource.
        users = [
            database_user_arn(args.region, self.account_id, args.cluster_resource_id, user)
            for user in args.users
        ]
        permissions = aws.iam.RolePolicy(
            name,
            role=role.id,
            policy=policy_document(
                {
                    "Sid": "SignInAsTheServices",
                    "Effect": "Allow",
                    "Action": "rds-db:connect",
                    "Resource": users,
                }
            ),
            opts=self.child(),
        )
        return role, [permissions]

    def _watch(self, proxy: aws.rds.Proxy) -> None:
        """Reports signals ("Monitoring RDS Proxy metrics with Amazon CloudWatch", Aurora User Guide)."""
        dimensions = {"ProxyName": proxy.name}
        self.report(
            Signal(
                name="database-proxy-borrow-latency",
                title="Services wait longer than a second for a connection to the database",
                namespace="AWS/RDS",
                metric="DatabaseConnectionsBorrowLatency",
                dimensions=dimensions,
                statistic="Average",
                threshold=1_000_000,
                reason="The threshold is in microseconds. A free connection is available immediately, so a "
                "wait of a second means that all connections are in use.",
                severity="warning",
                periods=5,
            ),
            Signal(
                name="database-proxy-sign-in-failed",
                title="The database proxy rejects services that sign in",
                namespace="AWS/RDS",
                metric="ClientConnectionsSetupFailedAuth",
                dimensions=dimensions,
                statistic="Sum",
                threshold=10,
                reason="A service with an expired token is rejected once and then retries. More than ten "
                "rejections in each of three minutes mean that a service has lost its permission or its "
                "RDS certificates.",
                severity="warning",
            ),
            Signal(
                name="database-proxy-connections-failed",
                title="The database proxy can't sign in to the database",
                namespace="AWS/RDS",
                metric="DatabaseConnectionsSetupFailed",
                dimensions=dimensions,
                statistic="Sum",
                threshold=10,
                reason="A failover causes a few failures. More than ten in each of three minutes mean that "
                "a user or a permission is missing, or that the database is unavailable.",
                severity="critical",
            ),
        )
