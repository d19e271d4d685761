"""Tier 6, the cache: ElastiCache for Valkey."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws
import pulumi_random as random

from components.common.access import Access, Endpoint
from components.common.component import Component
from components.common.context import RegionContext
from components.common.logs import log_group
from components.common.maintenance import BACKUP_WINDOW, MAINTENANCE_WINDOW
from components.common.names import limited_name
from components.common.scaling import target_tracking
from components.common.signals import Signal
from settings import CacheSettings, ServiceSettings
from settings.aws_limits import CACHE_USER_ID_LENGTH, VENDED_LOGS_PREFIX

PORT = 6379

PARAMETERS = {
    "cluster-enabled": "yes",
    # All values can be recreated, so a full cache evicts the least recently used keys. ElastiCache's default
    # evicts only keys with a time to live, and rejects writes if there are none.
    "maxmemory-policy": "allkeys-lru",
    # Microseconds. A command takes well below one millisecond, and the engine runs one command at a time.
    # With the default of ten milliseconds, commands that delay all others wouldn't be logged.
    "slowlog-log-slower-than": "1000",
}
"""Valkey's parameters that differ from ElastiCache's defaults."""


@dataclass(frozen=True, kw_only=True)
class CacheArgs:
    """Settings of the cache."""

    context: RegionContext
    vpc_id: pulumi.Input[str]
    subnet_ids: Sequence[pulumi.Input[str]]
    settings: CacheSettings
    users: Sequence[str]
    """Services that may connect, each as its own user with IAM authentication."""


class Cache(Component):
    """A Valkey replication group in cluster mode: TLS, IAM users, shards with replicas in other zones.

    A service may use keys and channels that begin with its name and a colon, such as `orders:`.

    The number of replicas scales with their CPU if the node type supports it. The number of shards doesn't:
    moving slots uses CPU when it is already scarce, and clients have to follow redirections in the meantime.
    It requires a reviewed change instead.

    ElastiCache's events aren't published to a topic: ElastiCache supports only unencrypted topics ("Event
    Notifications and Amazon SNS"), and ours are encrypted. `aws elasticache describe-events` lists the events
    of the last two weeks.
    """

    address: pulumi.Output[str]
    """Host name of the configuration endpoint."""
    arn: pulumi.Output[str]
    user_arns: Mapping[str, pulumi.Output[str]]
    """Service → ARN of its user, for `elasticache:Connect`."""
    user_ids: Mapping[str, str]
    endpoint: Endpoint

    def __init__(self, name: str, args: CacheArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("trading:tier:Cache", name, opts)
        settings = args.settings
        users, user_group = self._users(name, args)
        security_group = aws.ec2.SecurityGroup(
            f"{name}-nodes",
            description="Valkey nodes",
            vpc_id=args.vpc_id,
            tags={"Name": name},
            opts=self.child(),
        )
        group = self._replication_group(name, args, user_group, security_group)
        if settings.scales:
            target_tracking(
                self,
                f"{name}-replicas",
                dimension="elasticache:replication-group:Replicas",
                resource_id=pulumi.Output.concat("replication-group/", group.replication_group_id),
                capacity=(settings.replicas.min, settings.replicas.max),
                metric="ElastiCacheReplicaEngineCPUUtilization",
                target=settings.replica_cpu_percent,
                # A new replica first copies its shard. With a shorter cooldown, another one would be added.
                scale_out_cooldown=600,
                scale_in_cooldown=900,
            )

        self.address = group.configuration_endpoint_address
        self.arn = group.arn
        self.user_arns = {service: user.arn for service, user in users.items()}
        self.endpoint = Endpoint(security_group_id=security_group.id, ports=(PORT,))
        self._watch(group, settings)
        self.register_outputs({"address": self.address, "arn": self.arn, "userArns": self.user_arns})

    def access(self, service: ServiceSettings) -> Access:
        """What a service needs to use the cache, if its settings say that it does."""
        if not service.cache:
            return Access()
        return Access(
            environment={
                "CACHE_ADDRESS": self.address,
                "CACHE_PORT": str(PORT),
                "CACHE_USER": self.user_ids[service.name],
            },
            statements=[
                {
                    "Effect": "Allow",
                    "Action": ["elasticache:Connect"],
                    "Resource": [self.arn, self.user_arns[service.name]],
                }
            ],
            ports=(PORT,),
        )

    def _users(
        self, name: str, args: CacheArgs
    ) -> tuple[dict[str, aws.elasticache.User], aws.elasticache.UserGroup]:
        # A user group with the engine `valkey` needs no user `default`, so only the listed users can connect.
        self.user_ids = {
            service: limited_name(f"{args.context.platform}-{service}", CACHE_USER_ID_LENGTH)
            for service in args.users
        }
        users = {
            service: aws.elasticache.User(
                f"{name}-user-{service}",
                engine="valkey",
                user_id=user_id,
                user_name=user_id,  # IAM authentication requires both to be the same
                access_string=_access_string(service),
                authentication_mode={"type": "iam"},
                opts=self.child(),
            )
            for service, user_id in self.user_ids.items()
        }
        user_group = aws.elasticache.UserGroup(
            f"{name}-users",
            engine="valkey",
            user_group_id=f"{args.context.platform}-cache",
            user_ids=[user.user_id for user in users.values()],
            opts=self.child(),
        )
        return users, user_group

    def _replication_group(
        self,
        name: str,
        args: CacheArgs,
        user_group: aws.elasticache.UserGroup,
        security_group: aws.ec2.SecurityGroup,
    ) -> aws.elasticache.ReplicationGroup:
        settings = args.settings
        subnet_group = aws.elasticache.SubnetGroup(
            f"{name}-subnets", subnet_ids=args.subnet_ids, opts=self.child()
        )
        parameter_group = aws.elasticache.ParameterGroup(
            f"{name}-parameters",
            family=f"valkey{settings.engine_version.split('.')[0]}",
            parameters=[{"name": key, "value": value} for key, value in PARAMETERS.items()],
            opts=self.child(),
        )
        log_groups = {
            # Log groups with this prefix need no entry of their own in the account's only resource policy for
            # log delivery.
            kind: log_group(
                self,
                f"{name}-{kind}",
                args.context,
                name_prefix=f"{VENDED_LOGS_PREFIX}elasticache/{name}-{kind}-",
            )
            for kind in ("engine-log", "slow-log")
        }
        final_snapshot = None
        if args.context.protect:
            unique = random.RandomId(f"{name}-final-snapshot", byte_length=4, opts=self.child())
            final_snapshot = pulumi.Output.concat(args.context.platform, "-", name, "-final-", unique.hex)
        return aws.elasticache.ReplicationGroup(
            f"{name}-nodes",
            description="Quotes, sessions and other values that can be had again",
            engine="valkey",
            engine_version=settings.engine_version,
            # The version changes only through the settings, in a reviewed change.
            auto_minor_version_upgrade=False,
            # A change takes effect when it is deployed, not in the next maintenance window.
            apply_immediately=True,
            node_type=settings.node_type,
            cluster_mode="enabled",
            num_node_groups=settings.shards,
            replicas_per_node_group=settings.replicas.min,
            automatic_failover_enabled=True,
            multi_az_enabled=settings.replicas.min > 0,
            port=PORT,
            parameter_group_name=parameter_group.name,
            subnet_group_name=subnet_group.name,
            security_group_ids=[security_group.id],
            user_group_ids=[user_group.user_group_id],
            transit_encryption_enabled=True,
            transit_encryption_mode="required",
            at_rest_encryption_enabled=True,
            kms_key_id=args.context.key_arn,
            log_delivery_configurations=[
                {
                    "destination": group.name,
                    "destination_type": "cloudwatch-logs",
                    "log_format": "json",
                    "log_type": kind,
                }
                for kind, group in log_groups.items()
            ],
            snapshot_retention_limit=settings.snapshot_retention_days,
            snapshot_window=BACKUP_WINDOW,
            maintenance_window=MAINTENANCE_WINDOW,
            final_snapshot_identifier=final_snapshot,
            opts=self.child(
                protect=args.context.protect,
                # Auto scaling manages the number, so a deployment must not remove its replicas.
                ignore_changes=["replicasPerNodeGroup"] if settings.scales else None,
            ),
        )

    def _watch(self, group: aws.elasticache.ReplicationGroup, settings: CacheSettings) -> None:
        """Reports signals of every node, because metrics are per node and any node may become its shard's
        primary.

        This includes nodes that auto scaling may add. A node that doesn't exist reports no values, and
        missing values don't raise an alarm.
        """
        for shard in range(1, settings.shards + 1):
            for node in range(1, settings.replicas.max + 2):
                # The format of node ids in cluster mode (ElastiCache User Guide).
                suffix = f"{shard:04}-{node:03}"
                of_node = {"CacheClusterId": pulumi.Output.concat(group.replication_group_id, "-", suffix)}
                self.report(
                    *[
                        Signal(
                            name=f"cache-{suffix}-{kind}",
                            runbook=f"cache-{kind}",
                            title=f"Cache node {suffix} {title}",
                            namespace="AWS/ElastiCache",
                            metric=metric,
                            dimensions=of_node,
                            statistic=statistic,
                            threshold=threshold,
                            reason=reason,
                            severity="warning",
                            periods=5,
                        )
                        for kind, metric, statistic, threshold, title, reason in _OF_A_NODE
                    ]
                )


_OF_A_NODE = (
    (
        *("cpu", "CPUUtilization", "Average", 90, "uses more than 90 per cent of its CPU"),
        "The threshold is in per cent of all cores, which snapshots, replication and TLS use as well as the "
        "engine. This is the metric to watch on nodes with two cores (ElastiCache User Guide, Which metrics "
        "should I monitor).",
    ),
    (
        *(
            "engine-cpu",
            "EngineCPUUtilization",
            "Average",
            90,
            "uses more than 90 per cent of its engine's CPU",
        ),
        "The engine runs commands on one thread, and latency rises steeply above 90 per cent of a core "
        "(ElastiCache User Guide, Which metrics should I monitor).",
    ),
    (
        *(
            "memory",
            "DatabaseMemoryUsagePercentage",
            "Average",
            90,
            "uses more than 90 per cent of its memory",
        ),
        "At 100 per cent, every write evicts a value that may still be needed.",
    ),
    (
        *("evictions", "Evictions", "Sum", 1000, "evicts more than 1,000 keys a minute"),
        "So many evictions mean that the values in use don't fit into the cache and have to be fetched again "
        "from the stores behind it.",
    ),
    (
        *("connections", "CurrConnections", "Maximum", 50_000, "has more than 50,000 connections"),
        "A node accepts 65,000 connections (its parameter maxclients), and services keep a few per pod.",
    ),
    (
        *("replication-lag", "ReplicationLag", "Average", 5, "is more than five seconds behind its primary"),
        "The threshold is in seconds. A failover to this node loses the writes of this time. A lag below a "
        "second is usual.",
    ),
)
"""Kind, metric, statistic, threshold, the end of the title, and the reason, for each signal of a node."""


def _access_string(service: str) -> str:
    """A service's permissions: to read and write keys with its own prefix, and to discover the cluster's
    topology.

    The string has the form in which ElastiCache returns it. Any other form would always show as a change.
    """
    return (
        f"on ~{service}:* resetchannels &{service}:* -@all +@read +@write +@connection +@transaction "
        "+@pubsub +@scripting -@dangerous +cluster|slots +cluster|shards +cluster|nodes +info"
    )
