"""Tier 8, the database: Aurora PostgreSQL for orders, account balances and the ledger."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws
import pulumi_random as random

from components.common.access import Access, Endpoint
from components.common.component import Component
from components.common.context import RegionContext
from components.common.logs import count_lines, log_group
from components.common.maintenance import BACKUP_WINDOW, MAINTENANCE_WINDOW
from components.common.scaling import target_tracking
from components.common.service_role import ServiceRole, service_role
from components.common.signals import LOG_METRICS, LogQuery, Severity, Signal
from components.database.parameters import cluster_parameters, instance_parameters
from components.database.proxy import DatabaseProxy, DatabaseProxyArgs, database_user_arn
from components.database.secret_rotation import SecretRotation, SecretRotationArgs
from components.database.signals import cluster_signals
from settings import DatabaseSettings, ServiceSettings
from settings.aws_limits import ADVANCED_INSIGHTS_DAYS

DATABASE_NAME = "trading"
MASTER_USERNAME = "trading_admin"
PORT = 5432
MONITORING_INTERVAL_SECONDS = 15


SLOW_STATEMENTS = r"""
filter @message like /duration: /
| parse @message /duration: (?<duration>[0-9.]+) ms\s+(?<statement>[\s\S]+)/
| fields duration * 1 as milliseconds
| sort milliseconds desc
| display @timestamp, milliseconds, statement, @logStream
| limit 50""".lstrip()
"""Log query for the statements that `log_min_duration_statement` logged."""


@dataclass(frozen=True, kw_only=True)
class GlobalDatabase:
    """The global database that the other regions' clusters join."""

    id: pulumi.Output[str]
    engine_version: pulumi.Output[str]
    """The version that its members run, which can be older than the one in the settings."""
    source_region: str
    """The home region, from whose cluster the global database was created."""


@dataclass(frozen=True, kw_only=True)
class DatabaseArgs:
    """Settings of the database."""

    context: RegionContext
    vpc_id: pulumi.Input[str]
    subnet_ids: Sequence[pulumi.Input[str]]
    """Isolated subnets, one per Availability Zone."""
    availability_zones: Sequence[str]
    """The subnets' Availability Zones. The writer and the readers are assigned to them in turn."""
    alarm_topic_arn: pulumi.Input[str]
    """Topic for the failover and maintenance events."""
    users: Sequence[str]
    """Database users that sign in with IAM through the proxy."""
    settings: DatabaseSettings
    other_regions: Sequence[str] = ()
    """The other regions of the platform, whose clusters are members of the same global database."""
    joins: GlobalDatabase | None = None
    """The global database that this cluster was created in as a secondary; None in the home region. It says
    how the cluster began, and not which role it has today."""
    takes_writes: bool = True
    """Whether this is the primary region. Only the account can move the writer: a change of this setting
    follows a switchover or failover of the global database, and changes no cluster."""

    @property
    def owns_global_database(self) -> bool:
        """Whether the global database was created from this cluster."""
        return bool(self.other_regions) and self.joins is None


class Database(Component):
    """An Aurora cluster behind a proxy: one writer, readers in the other Availability Zones, replica auto
    scaling.

    If there are several regions, the cluster is a member of a global database. Secondary clusters have only
    readers and get users, passwords and data from the primary. They have as many instances as the primary's
    minimum, because they may have to take its place, and Aurora Auto Scaling isn't available for secondary
    clusters. They don't forward writes (`enable_global_write_forwarding`): a transaction of the ledger would
    hold its locks for round trips between two regions, and orders go to the primary region anyway.

    Every region has a master secret, because the primary region may be lost with its own. While a cluster is
    a secondary, the password in its secret isn't valid, and the rotation changes only the secret. A rotation
    after the promotion makes it valid (`operations/failover.py`).

    Readers that auto scaling has added aren't in the stack's state and prevent the deletion of the cluster.
    Scale in before you destroy the stack.
    """

    writer_endpoint: pulumi.Output[str]
    """The proxy's endpoint for reads and writes. On a secondary cluster, it works once the cluster is
    promoted."""
    reader_endpoint: pulumi.Output[str]
    """The proxy's read-only endpoint, or `writer_endpoint` if there are no readers."""
    connect_resource_id: pulumi.Output[str]
    """Id of the resource that services sign in to, for IAM's `rds-db:connect`: the proxy (`prx-…`)."""
    endpoint: Endpoint
    """The proxy, which services connect to."""
    cluster_endpoint: pulumi.Output[str]
    """The writer itself, for schema migrations: they sign in as the master user, which the proxy doesn't
    know."""
    instances: Endpoint
    """The instances, which `cluster_endpoint` leads to."""
    cluster_arn: pulumi.Output[str]
    database_name: str
    secret_arn: pulumi.Output[str]
    """This region's secret of the master user, whose password is valid in the primary region."""
    global_database: GlobalDatabase | None
    """The global database that other regions join, in the home region and if there are other regions."""

    def __init__(self, name: str, args: DatabaseArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("trading:tier:Database", name, opts)
        # A fixed identifier: RDS derives the names of the log groups from it, and they must exist before the
        # cluster.
        identifier = f"{args.context.platform}-{name}"
        security_group = aws.ec2.SecurityGroup(
            f"{name}-instances",
            description="Aurora instances",
            vpc_id=args.vpc_id,
            tags={"Name": name},
            opts=self.child(),
        )
        monitoring = self._monitoring_role(name)
        # A master secret that RDS manages isn't available in a global database, which this cluster may join.
        password = random.RandomPassword(
            f"{name}-master-password", length=40, special=False, opts=self.child()
        )
        parameter_group = aws.rds.ParameterGroup(
            f"{name}-instance-parameters",
            family=_family(args.settings),
            parameters=instance_parameters(),
            opts=self.child(),
        )
        cluster = self._cluster(name, identifier, args, security_group, monitoring, parameter_group, password)
        instances = self._instances(name, args, cluster, parameter_group, monitoring.role)
        if args.takes_writes:
            self._scale_readers(name, cluster, instances, args.settings)
        self._publish_events(name, args.alarm_topic_arn, cluster, instances)
        self.global_database = (
            self._global_database(name, args, cluster, instances) if args.owns_global_database else None
        )
        self.secret_arn = self._master_secret(name, args, cluster, instances, password)
        self.instances = Endpoint(security_group_id=security_group.id, ports=(PORT,))
        proxy = DatabaseProxy(
            f"{name}-proxy",
            DatabaseProxyArgs(
                vpc_id=args.vpc_id,
                subnet_ids=args.subnet_ids,
                cluster_identifier=cluster.cluster_identifier,
                region=args.context.region,
                cluster_resource_id=cluster.cluster_resource_id,
                instances=self.instances,
                users=args.users,
                # A secondary cluster has only readers, and any cluster may become one.
                read_only=args.joins is not None or args.settings.readers.min > 0,
                ready=[*instances],
            ),
            self.child(),
        )

        self.writer_endpoint = proxy.endpoint
        self.reader_endpoint = proxy.read_only_endpoint or proxy.endpoint
        self.connect_resource_id = proxy.resource_id
        self.endpoint = Endpoint(security_group_id=proxy.security_group_id, ports=(PORT,))
        self.cluster_endpoint = cluster.endpoint
        self.cluster_arn = cluster.arn
        self.database_name = DATABASE_NAME
        self._region = args.context.region
        self.report(*cluster_signals(identifier, args.settings, other_regions=args.other_regions))
        self.register_outputs(
            {
                "writerEndpoint": self.writer_endpoint,
                "readerEndpoint": self.reader_endpoint,
                "connectResourceId": self.connect_resource_id,
                "clusterEndpoint": self.cluster_endpoint,
                "secretArn": self.secret_arn,
            }
        )

    def access(self, service: ServiceSettings) -> Access:
        """What a service needs to use the database, if its settings say that it does."""
        if not service.database:
            return Access()
        user = database_user_arn(
            self._region, self.account_id, self.connect_resource_id, service.database_user
        )
        return Access(
            environment={
                "DATABASE_WRITER": self.writer_endpoint,
                "DATABASE_READER": self.reader_endpoint,
                "DATABASE_PORT": str(PORT),
                "DATABASE_NAME": self.database_name,
                "DATABASE_USER": service.database_user,
                "DATABASE_SSL_MODE": "verify-full",
            },
            statements=[{"Effect": "Allow", "Action": ["rds-db:connect"], "Resource": [user]}],
            ports=(PORT,),
        )

    def _cluster(
        self,
        name: str,
        identifier: str,
        args: DatabaseArgs,
        security_group: aws.ec2.SecurityGroup,
        monitoring: ServiceRole,
        instance_parameter_group: aws.rds.ParameterGroup,
        password: random.RandomPassword,
    ) -> aws.rds.Cluster:
        settings = args.settings
        subnet_group = aws.rds.SubnetGroup(f"{name}-subnets", subnet_ids=args.subnet_ids, opts=self.child())
        parameter_group = aws.rds.ClusterParameterGroup(
            f"{name}-parameters",
            family=_family(settings),
            parameters=cluster_parameters(_family(settings)),
            opts=self.child(),
        )
        log_groups = {
            kind: log_group(
                self, f"{name}-{kind}", args.context, name=f"/aws/rds/cluster/{identifier}/{kind}"
            )
            for kind in ("postgresql", "iam-db-auth-error")
        }
        self._watch_log(name, identifier, log_groups["postgresql"])
        final_snapshot = random.RandomId(f"{name}-final-snapshot", byte_length=4, opts=self.child())
        return aws.rds.Cluster(
            f"{name}-cluster",
            cluster_identifier=identifier,
            engine=aws.rds.EngineType.AURORA_POSTGRESQL,
            # A secondary cluster must have the version that the global database runs. If a deployment adds
            # a region and changes the version in the settings, that is still the old one.
            engine_version=args.joins.engine_version if args.joins else settings.engine_version,
            # A new major version is an in-place upgrade. Versions change only through the settings, in a
            # reviewed change that takes effect when it is deployed.
            allow_major_version_upgrade=True,
            auto_minor_version_upgrade=False,
            apply_immediately=True,
            global_cluster_identifier=args.joins.id if args.joins else None,
            source_region=args.joins.source_region if args.joins else None,
            # A secondary cluster gets these from the primary.
            database_name=None if args.joins else DATABASE_NAME,
            master_username=None if args.joins else MASTER_USERNAME,
            master_password_wo=None if args.joins else password.result,
            master_password_wo_version=None if args.joins else 1,
            port=PORT,
            iam_database_authentication_enabled=True,
            db_cluster_parameter_group_name=parameter_group.name,
            # A major upgrade also needs the instances' new parameter group (`ModifyDBCluster`). RDS doesn't
            # report this property, and the provider leaves it out of other changes, so it causes no
            # differences (terraform-provider-aws, `internal/service/rds/cluster.go`).
            db_instance_parameter_group_name=instance_parameter_group.name,
            db_subnet_group_name=subnet_group.name,
            vpc_security_group_ids=[security_group.id],
            serverlessv2_scaling_configuration=(
                {"min_capacity": settings.serverless.min, "max_capacity": settings.serverless.max}
                if settings.serverless
                else None
            ),
            storage_encrypted=True,
            kms_key_id=args.context.key_arn,
            backup_retention_period=settings.backup_retention_days,
            preferred_backup_window=BACKUP_WINDOW,
            preferred_maintenance_window=MAINTENANCE_WINDOW,
            copy_tags_to_snapshot=True,
            delete_automated_backups=not args.context.protect,
            skip_final_snapshot=not args.context.protect,
            final_snapshot_identifier=pulumi.Output.concat(identifier, "-final-", final_snapshot.hex),
            deletion_protection=args.context.protect,
            enabled_cloudwatch_logs_exports=list(log_groups),
            database_insights_mode=settings.insights,
            performance_insights_enabled=True,
            performance_insights_kms_key_id=args.context.key_arn,
            # The retention that the mode requires (advanced) or includes free of charge (standard).
            performance_insights_retention_period=(
                ADVANCED_INSIGHTS_DAYS if settings.insights == "advanced" else 7
            ),
            monitoring_interval=MONITORING_INTERVAL_SECONDS,
            monitoring_role_arn=monitoring.role.arn,
            opts=self.child(
                protect=args.context.protect,
                # Otherwise, RDS creates the log groups itself, without encryption and retention. RDS also
                # rejects a monitoring role that doesn't have its permissions yet.
                depends_on=[*log_groups.values(), monitoring.permission],
                # Two clusters can't have the same identifier, even during a replacement.
                delete_before_replace=True,
                ignore_changes=_not_ours(args),
            ),
        )

    def _instances(
        self,
        name: str,
        args: DatabaseArgs,
        cluster: aws.rds.Cluster,
        parameter_group: aws.rds.ParameterGroup,
        monitoring_role: aws.iam.Role,
    ) -> list[aws.rds.ClusterInstance]:
        """The writer and the declared readers."""
        settings = args.settings
        return [
            aws.rds.ClusterInstance(
                f"{name}-{index}",
                cluster_identifier=cluster.id,
                engine=aws.rds.EngineType.AURORA_POSTGRESQL,
                instance_class="db.serverless" if settings.serverless else settings.instance_class,
                db_parameter_group_name=parameter_group.name,
                availability_zone=args.availability_zones[index % len(args.availability_zones)],
                # In a failover, these instances are promoted before the readers that auto scaling added
                # (tier 15). With Serverless v2, they have the same capacity as the writer.
                promotion_tier=min(index, 1),
                publicly_accessible=False,
                ca_cert_identifier="rds-ca-rsa2048-g1",
                auto_minor_version_upgrade=False,
                apply_immediately=True,
                copy_tags_to_snapshot=True,
                monitoring_interval=MONITORING_INTERVAL_SECONDS,
                monitoring_role_arn=monitoring_role.arn,
                opts=self.child(protect=args.context.protect),
            )
            for index in range(1 + settings.readers.min)
        ]

    def _monitoring_role(self, name: str) -> ServiceRole:
        """The role with which RDS sends the instances' operating system metrics to CloudWatch Logs."""
        return service_role(
            self,
            f"{name}-monitoring",
            "monitoring.rds.amazonaws.com",
            "arn:aws:iam::aws:policy/service-role/AmazonRDSEnhancedMonitoringRole",
            condition={"StringEquals": {"aws:SourceAccount": self.account_id}},
        )

    def _scale_readers(
        self,
        name: str,
        cluster: aws.rds.Cluster,
        instances: list[aws.rds.ClusterInstance],
        settings: DatabaseSettings,
    ) -> None:
        connections = settings.reader_connections
        target_tracking(
            self,
            f"{name}-readers",
            dimension="rds:cluster:ReadReplicaCount",
            resource_id=pulumi.Output.concat("cluster:", cluster.cluster_identifier),
            capacity=(settings.readers.min, settings.readers.max),
            metric=(
                "RDSReaderAverageDatabaseConnections" if connections else "RDSReaderAverageCPUUtilization"
            ),
            target=connections or settings.reader_cpu_percent,
            # A reader takes about ten minutes to start and has a cold cache, so don't remove it too soon.
            scale_in_cooldown=1800,
            scale_out_cooldown=300,
            # Before the declared readers exist, auto scaling would add its own readers instead of them.
            depends_on=[*instances],
        )

    def _publish_events(
        self,
        name: str,
        topic_arn: pulumi.Input[str],
        cluster: aws.rds.Cluster,
        instances: list[aws.rds.ClusterInstance],
    ) -> None:
        aws.rds.EventSubscription(
            f"{name}-events",
            sns_topic=topic_arn,
            source_type="db-cluster",
            source_ids=[cluster.cluster_identifier],
            event_categories=["deletion", "failover", "failure", "maintenance", "notification"],
            opts=self.child(),
        )
        aws.rds.EventSubscription(
            f"{name}-instance-events",
            sns_topic=topic_arn,
            source_type="db-instance",
            source_ids=[instance.identifier for instance in instances],
            event_categories=["availability", "failure", "low storage", "maintenance", "recovery"],
            opts=self.child(),
        )

    def _global_database(
        self,
        name: str,
        args: DatabaseArgs,
        cluster: aws.rds.Cluster,
        instances: list[aws.rds.ClusterInstance],
    ) -> GlobalDatabase:
        """The global database, created from the existing cluster. A stack with one region therefore has none,
        and adding a second region doesn't replace the cluster."""
        made = aws.rds.GlobalCluster(
            f"{name}-global",
            global_cluster_identifier=f"{args.context.platform}-database",
            source_db_cluster_identifier=cluster.arn,
            # At creation, Aurora takes the cluster's version instead (`CreateGlobalCluster`). Later, all
            # members are upgraded through this property.
            engine_version=args.settings.engine_version,
            deletion_protection=args.context.protect,
            # Required with a source cluster. Deleting the global database detaches the cluster and keeps it.
            force_destroy=True,
            # A cluster without a writer can't become a primary cluster.
            opts=self.child(protect=args.context.protect, depends_on=[*instances]),
        )
        return GlobalDatabase(
            id=made.id, engine_version=made.engine_version_actual, source_region=args.context.region
        )

    def _master_secret(
        self,
        name: str,
        args: DatabaseArgs,
        cluster: aws.rds.Cluster,
        instances: list[aws.rds.ClusterInstance],
        password: random.RandomPassword,
    ) -> pulumi.Output[str]:
        """This region's master secret. Once it is created, only the rotation changes its value."""
        secret = aws.secretsmanager.Secret(
            f"{name}-master",
            description=f"Master user of {args.context.platform}-{name}; services sign in with IAM instead",
            kms_key_id=args.context.key_arn,
            recovery_window_in_days=30 if args.context.protect else 0,
            opts=self.child(protect=args.context.protect),
        )
        version = aws.secretsmanager.SecretVersion(
            f"{name}-master",
            secret_id=secret.id,
            # The keys that Secrets Manager's rotation of RDS passwords expects.
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
            # Secrets Manager eventually deletes a version without a label. After a refresh, the next
            # deployment would then create it again as the current version. Therefore, this version keeps its
            # own label.
            version_stages=["AWSCURRENT", "initial"],
            # The rotation adds newer versions and moves the label AWSCURRENT to them.
            opts=self.child(ignore_changes=["secretString", "versionStages"]),
        )
        SecretRotation(
            f"{name}-master-rotation",
            SecretRotationArgs(
                context=args.context,
                secret_arn=secret.arn,
                cluster_identifier=cluster.cluster_identifier,
                cluster_arn=cluster.arn,
                ready=[version, *instances],
            ),
            self.child(),
        )
        return secret.arn

    def _watch_log(self, name: str, identifier: str, log_group: aws.cloudwatch.LogGroup) -> None:
        levels: list[tuple[str, str, int, Severity, str]] = [
            (
                "fatal",
                "The database terminates sessions",
                10,
                "warning",
                "More than ten FATAL log lines in five minutes mean rejected sign-ins or terminated "
                "sessions. A "
                "failover causes a burst of them, and an attack a steady stream.",
            ),
            (
                "panic",
                "The database has crashed",
                0,
                "critical",
                "Any PANIC log line means that all sessions end and the instance restarts.",
            ),
        ]
        for level, title, threshold, severity, reason in levels:
            metric = f"{identifier}-{level}"
            # PostgreSQL's severities, which follow the prefix in each log line.
            count_lines(
                self,
                f"{name}-{level}",
                metric,
                log_group_name=log_group.name,
                pattern=f'"{level.upper()}:"',
            )
            self.report(
                Signal(
                    name=f"database-{level}",
                    runbook="database-log-errors",
                    title=title,
                    namespace=LOG_METRICS,
                    metric=metric,
                    dimensions={},
                    statistic="Sum",
                    threshold=threshold,
                    period_seconds=300,
                    periods=1,
                    reason=reason,
                    severity=severity,
                )
            )
        self.report(LogQuery(name="slow-statements", query=SLOW_STATEMENTS, log_groups=(log_group.name,)))


def _family(settings: DatabaseSettings) -> str:
    return f"aurora-postgresql{settings.engine_version.split('.')[0]}"


def _not_ours(args: DatabaseArgs) -> list[str]:
    """Properties of the cluster that AWS, the secret's rotation or a failover changes after the creation.

    Those that say how the cluster was created never change again, although a cluster that began as a
    secondary can become the only one, whose arguments are those of a first cluster. The provider would
    replace the cluster for a changed `source_region`, `database_name` or `master_username`, promote it for a
    removed `replication_source_identifier`, detach it for a removed `global_cluster_identifier`, and refuse
    an added one (terraform-provider-aws, `internal/service/rds/cluster.go` at 0168cf6).
    """
    ignored = [
        # A global database sets the primary in this property of each member that is currently a secondary.
        "replicationSourceIdentifier",
        "sourceRegion",
        "databaseName",
        "masterUsername",
        # The global database is created from the home region's cluster, so the cluster can't refer to it.
        "globalClusterIdentifier",
        # The rotation changes the password: setting the first one again would invalidate the current one.
        "masterPasswordWo",
        "masterPasswordWoVersion",
    ]
    if args.joins or args.owns_global_database:
        # Members of a global database are upgraded through it, secondaries before the primary.
        ignored.append("engineVersion")
    return ignored
