"""Tier 8, the database: Aurora PostgreSQL for orders, account balances and the ledger."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws
import pulumi_random as random

from components.scaling import target_tracking
from components.tier import Endpoint, Signal, Tier, service_trust
from settings import DatabaseSettings

DATABASE_NAME = "trading"
MASTER_USERNAME = "trading_admin"
PORT = 5432
MONITORING_INTERVAL_SECONDS = 15

CLUSTER_PARAMETERS = {
    "rds.force_ssl": "1",
    "ssl_min_protocol_version": "TLSv1.2",
    # Who changed the schema or a right; the rows' own history is the ledger's business.
    "pgaudit.log": "ddl,role",
    "log_connections": "1",
    "log_disconnections": "1",
    "log_lock_waits": "1",
    "log_min_duration_statement": "1000",  # ms
    # A client that died inside a transaction must not keep balances locked (ms).
    "idle_in_transaction_session_timeout": "60000",
}
"""Dynamic parameters, which take effect at once."""

STATIC_CLUSTER_PARAMETERS = {"shared_preload_libraries": "pg_stat_statements,pgaudit"}
"""Parameters that take effect when an instance restarts."""


@dataclass(frozen=True, kw_only=True)
class DatabaseArgs:
    """Settings of the database."""

    platform: str
    vpc_id: pulumi.Input[str]
    subnet_ids: Sequence[pulumi.Input[str]]
    """Isolated subnets, one a zone."""
    availability_zones: Sequence[str]
    """The subnets' zones: writer and readers are dealt to them in turn."""
    key_arn: pulumi.Input[str]
    alarm_topic_arn: pulumi.Input[str]
    """Gets the cluster's failover and maintenance events."""
    settings: DatabaseSettings
    log_retention_days: int
    protect: bool


class Database(Tier):
    """An Aurora cluster: one writer, readers in the other zones, replica auto-scaling.

    Readers that the auto-scaling has added are unknown to the stack's state and keep the cluster from
    being destroyed: scale in first.
    """

    writer_endpoint: pulumi.Output[str]
    reader_endpoint: pulumi.Output[str]
    cluster_resource_id: pulumi.Output[str]
    """As IAM's `rds-db:connect` names it (`cluster-…`)."""
    database_name: str
    secret_arn: pulumi.Output[str]
    """Secret of the master user."""
    endpoint: Endpoint

    def __init__(self, name: str, args: DatabaseArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, opts)
        settings = args.settings
        # Fixed, because RDS derives the log groups' names from it, and they must exist before it does.
        identifier = f"{args.platform}-{name}"

        security_group = aws.ec2.SecurityGroup(
            f"{name}-instances",
            description="Aurora instances",
            vpc_id=args.vpc_id,
            tags={"Name": name},
            opts=self.child(),
        )
        subnet_group = aws.rds.SubnetGroup(f"{name}-subnets", subnet_ids=args.subnet_ids, opts=self.child())
        parameter_group = aws.rds.ClusterParameterGroup(
            f"{name}-parameters",
            family=f"aurora-postgresql{settings.engine_version.split('.')[0]}",
            parameters=[
                aws.rds.ClusterParameterGroupParameterArgs(name=key, value=value, apply_method=method)
                for method, parameters in (
                    ("immediate", CLUSTER_PARAMETERS),
                    ("pending-reboot", STATIC_CLUSTER_PARAMETERS),
                )
                for key, value in parameters.items()
            ],
            opts=self.child(),
        )
        log_groups = {
            kind: aws.cloudwatch.LogGroup(
                f"{name}-{kind}",
                name=f"/aws/rds/cluster/{identifier}/{kind}",
                kms_key_id=args.key_arn,
                retention_in_days=args.log_retention_days,
                opts=self.child(),
            )
            for kind in ("postgresql", "iam-db-auth-error")
        }
        monitoring_role, monitoring_permission = self._monitoring_role(name)
        # RDS's own master secret is not to be had in a global database, which this cluster may join.
        password = random.RandomPassword(
            f"{name}-master-password", length=40, special=False, opts=self.child()
        )
        final_snapshot = random.RandomId(f"{name}-final-snapshot", byte_length=4, opts=self.child())
        cluster = aws.rds.Cluster(
            f"{name}-cluster",
            cluster_identifier=identifier,
            engine=aws.rds.EngineType.AURORA_POSTGRESQL,
            engine_version=settings.engine_version,
            # A new major version is an update in place; the settings decide, in a reviewed change, which
            # takes effect when it is deployed.
            allow_major_version_upgrade=True,
            auto_minor_version_upgrade=False,
            apply_immediately=True,
            database_name=DATABASE_NAME,
            port=PORT,
            master_username=MASTER_USERNAME,
            master_password_wo=password.result,
            master_password_wo_version=1,
            iam_database_authentication_enabled=True,
            db_cluster_parameter_group_name=parameter_group.name,
            db_subnet_group_name=subnet_group.name,
            vpc_security_group_ids=[security_group.id],
            serverlessv2_scaling_configuration=(
                aws.rds.ClusterServerlessv2ScalingConfigurationArgs(
                    min_capacity=settings.serverless.min, max_capacity=settings.serverless.max
                )
                if settings.serverless
                else None
            ),
            storage_encrypted=True,
            kms_key_id=args.key_arn,
            backup_retention_period=settings.backup_retention_days,
            # UTC, after the American markets have closed; maintenance when they are closed for the day.
            preferred_backup_window="06:00-07:00",
            preferred_maintenance_window="sun:08:00-sun:09:00",
            copy_tags_to_snapshot=True,
            delete_automated_backups=not args.protect,
            skip_final_snapshot=not args.protect,
            final_snapshot_identifier=pulumi.Output.concat(identifier, "-final-", final_snapshot.hex),
            deletion_protection=args.protect,
            enabled_cloudwatch_logs_exports=list(log_groups),
            database_insights_mode=settings.insights,
            performance_insights_enabled=True,
            performance_insights_kms_key_id=args.key_arn,
            # What each mode demands, and what it includes without a charge.
            performance_insights_retention_period=465 if settings.insights == "advanced" else 7,
            monitoring_interval=MONITORING_INTERVAL_SECONDS,
            monitoring_role_arn=monitoring_role.arn,
            opts=self.child(
                protect=args.protect,
                # RDS would create the log groups itself, unencrypted and kept for ever; and it refuses a
                # monitoring role that may not do its work yet.
                depends_on=[*log_groups.values(), monitoring_permission],
                # Two clusters cannot have one identifier, not even during a replacement.
                delete_before_replace=True,
            ),
        )
        instances = [
            aws.rds.ClusterInstance(
                f"{name}-{index}",
                cluster_identifier=cluster.id,
                engine=aws.rds.EngineType.AURORA_POSTGRESQL,
                instance_class="db.serverless" if settings.serverless else settings.instance_class,
                availability_zone=args.availability_zones[index % len(args.availability_zones)],
                # These take over before the auto-scaling's readers (tier 15), and in serverless v2 are
                # kept as large as the writer.
                promotion_tier=min(index, 1),
                publicly_accessible=False,
                ca_cert_identifier="rds-ca-rsa2048-g1",
                auto_minor_version_upgrade=False,
                apply_immediately=True,
                copy_tags_to_snapshot=True,
                monitoring_interval=MONITORING_INTERVAL_SECONDS,
                monitoring_role_arn=monitoring_role.arn,
                opts=self.child(protect=args.protect),
            )
            for index in range(1 + settings.readers.min)
        ]
        target_tracking(
            self,
            f"{name}-readers",
            dimension="rds:cluster:ReadReplicaCount",
            resource_id=pulumi.Output.concat("cluster:", cluster.cluster_identifier),
            capacity=(settings.readers.min, settings.readers.max),
            metric="RDSReaderAverageCPUUtilization",
            target=settings.reader_cpu_percent,
            # A reader takes some ten minutes to come and has a cold cache: do not let it go at once.
            scale_in_cooldown=1800,
            scale_out_cooldown=300,
            # Before the declared readers are there, it would add readers of its own in their stead.
            depends_on=[*instances],
        )
        aws.rds.EventSubscription(
            f"{name}-events",
            sns_topic=args.alarm_topic_arn,
            source_type="db-cluster",
            source_ids=[cluster.cluster_identifier],
            event_categories=["deletion", "failover", "failure", "maintenance", "notification"],
            opts=self.child(),
        )
        secret = aws.secretsmanager.Secret(
            f"{name}-master",
            description=f"Master user of {identifier}; services sign in with IAM instead",
            kms_key_id=args.key_arn,
            recovery_window_in_days=30 if args.protect else 0,
            opts=self.child(protect=args.protect),
        )
        aws.secretsmanager.SecretVersion(
            f"{name}-master",
            secret_id=secret.id,
            # The keys that Secrets Manager's rotation of RDS passwords reads.
            secret_string=pulumi.Output.json_dumps(
                {
                    "engine": "postgres",
                    "host": cluster.endpoint,
                    "port": PORT,
                    "dbname": DATABASE_NAME,
                    "username": MASTER_USERNAME,
                    "password": password.result,
                }
            ),
            opts=self.child(),
        )

        self.writer_endpoint = cluster.endpoint
        self.reader_endpoint = cluster.reader_endpoint
        self.cluster_resource_id = cluster.cluster_resource_id
        self.database_name = DATABASE_NAME
        self.secret_arn = secret.arn
        self.endpoint = Endpoint(security_group_id=security_group.id, ports=(PORT,))
        self._watch(identifier, serverless=settings.serverless is not None)
        self.register_outputs(
            {
                "writerEndpoint": self.writer_endpoint,
                "readerEndpoint": self.reader_endpoint,
                "clusterResourceId": self.cluster_resource_id,
                "secretArn": self.secret_arn,
            }
        )

    def _monitoring_role(self, name: str) -> tuple[aws.iam.Role, aws.iam.RolePolicyAttachment]:
        """Lets RDS send the instances' operating-system metrics to CloudWatch Logs."""
        account = aws.get_caller_identity_output(opts=pulumi.InvokeOptions(parent=self)).account_id
        role = aws.iam.Role(
            f"{name}-monitoring",
            assume_role_policy=service_trust(
                "monitoring.rds.amazonaws.com", {"StringEquals": {"aws:SourceAccount": account}}
            ),
            opts=self.child(),
        )
        permission = aws.iam.RolePolicyAttachment(
            f"{name}-monitoring",
            role=role.name,
            policy_arn="arn:aws:iam::aws:policy/service-role/AmazonRDSEnhancedMonitoringRole",
            opts=self.child(),
        )
        return role, permission

    def _watch(self, identifier: str, *, serverless: bool) -> None:
        of_cluster = {"DBClusterIdentifier": identifier}
        of_writer = {**of_cluster, "Role": "WRITER"}
        memory = Signal(
            name="database-memory",
            title="The database's writer is short of memory",
            namespace="AWS/RDS",
            metric="FreeableMemory",
            dimensions=of_writer,
            statistic="Minimum",
            comparison="below",
            threshold=1024**3,
            reason="bytes; below 1 GiB the next large sort or burst of connections ends in a restart",
            severity="critical",
            periods=5,
        )
        capacity = Signal(
            name="database-capacity",
            title="The database's writer is at its largest capacity",
            namespace="AWS/RDS",
            metric="ACUUtilization",
            dimensions=of_writer,
            statistic="Average",
            threshold=90,
            reason="per cent of serverless.max; there is nothing left to scale to",
            severity="warning",
            periods=5,
        )
        self.signals += [
            capacity if serverless else memory,
            Signal(
                name="database-writer-cpu",
                title="The database's writer is at its CPU's limit",
                namespace="AWS/RDS",
                metric="CPUUtilization",
                dimensions=of_writer,
                statistic="Average",
                threshold=80,
                reason="readers scale by themselves and the writer does not; the rest carries a failover",
                severity="warning",
                periods=10,
            ),
            Signal(
                name="database-replica-lag",
                title="The database's readers are behind the writer",
                namespace="AWS/RDS",
                metric="AuroraReplicaLagMaximum",
                dimensions=of_cluster,
                statistic="Maximum",
                threshold=1000,
                reason="milliseconds; below 100 is usual, and a balance read a second late is a wrong one",
                severity="warning",
                periods=5,
            ),
            Signal(
                name="database-deadlocks",
                title="Transactions deadlock",
                namespace="AWS/RDS",
                metric="Deadlocks",
                dimensions=of_cluster,
                statistic="Maximum",
                threshold=0.1,
                reason="a second; transfers lock accounts in one order, so a steady rate is a fault",
                severity="warning",
                periods=5,
            ),
            Signal(
                name="database-transaction-ids",
                title="The database nears transaction-id wraparound",
                namespace="AWS/RDS",
                metric="MaximumUsedTransactionIDs",
                dimensions=of_cluster,
                statistic="Maximum",
                threshold=1_000_000_000,
                reason="vacuum has failed for long; PostgreSQL stops taking writes at about two billion",
                severity="critical",
                period_seconds=300,
            ),
        ]
