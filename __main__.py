"""The trading platform, tier by tier. This page is the architecture diagram; each tier is a module."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from components.api import Api, ApiArgs
from components.backup import BackupPlan, BackupPlanArgs, BackupVault, BackupVaultArgs
from components.database import Database, DatabaseArgs
from components.domain import Domain, DomainArgs
from components.event_streaming import EventStreaming, EventStreamingArgs
from components.foundation import Foundation, FoundationArgs
from components.identity import Identity, IdentityArgs
from components.internal_load_balancer import BackendService, InternalLoadBalancer, InternalLoadBalancerArgs
from components.load_balancer import LoadBalancer, LoadBalancerArgs
from components.monitoring import (
    BrokerMetrics,
    BrokerMetricsArgs,
    MetricsScraper,
    MetricsScraperArgs,
    MonitoredRegion,
    Monitoring,
    MonitoringArgs,
    OrderCanary,
    OrderCanaryArgs,
    ServiceAlerts,
    ServiceAlertsArgs,
)
from components.network import Network, NetworkArgs
from components.routing import RegionalOrigin, Routing, RoutingArgs
from components.service.autoscaler import Autoscaler, AutoscalerArgs
from components.service.cache import Cache, CacheArgs
from components.service.cluster import Cluster, ClusterArgs
from components.service.microservice import Backends, Microservice, MicroserviceArgs
from components.service.migrations import Migrations, MigrationsArgs
from components.service.table import Table, TableArgs, TableReplica, TableReplicaArgs
from components.web import SignIn, Web, WebArgs
from settings import IDEMPOTENCY_TABLE, RegionSettings, Settings, SettingsError

EDGE_REGION = "us-east-1"
"""Where CloudFront, its certificate, its web ACL and Route 53's metrics live (CloudFront Developer Guide)."""


def provider(name: str, region: str, settings: Settings) -> aws.Provider:
    """An AWS provider that puts the platform's tags on everything."""
    tags = {"environment": settings.environment, "platform": settings.platform, **settings.tags}
    return aws.Provider(name, region=region, default_tags={"tags": tags})


@dataclass(frozen=True, kw_only=True)
class PrimaryData:
    """The first region's data, which later regions replicate."""

    tables: Mapping[str, Table]
    database: Database


@dataclass(frozen=True, kw_only=True)
class DeployedRegion:
    """What there is once needs of a region."""

    provider: aws.Provider
    origin: RegionalOrigin
    """Where Route 53 sends requests to."""
    monitored: MonitoredRegion
    origin_rules: Sequence[pulumi.Resource]
    """The rules that let requests in."""
    backups: BackupVault
    primary: PrimaryData


def deploy_region(
    settings: Settings,
    region: RegionSettings,
    domain: Domain,
    identity: Identity | None,
    primary: PrimaryData | None,
) -> DeployedRegion:
    """Tiers 3 to 8 in one region, and its part of tier 9, in the order in which they need each other.

    Args:
        settings: of the stack.
        region: the one to deploy.
        domain: names and certificates.
        identity: users and clients, unless an outside issuer has them.
        primary: the first region's data, for every later one.
    """
    at = region.name
    peers = [other.name for other in settings.regions if other.name != at]
    aws_provider = provider(f"aws-{at}", at, settings)
    opts = pulumi.ResourceOptions(provider=aws_provider)
    retention = settings.monitoring.log_retention_days
    cluster_name = f"{settings.platform}-{at}"
    host = settings.domain.host
    health_host = settings.domain.region_health(at)

    foundation = Foundation(
        f"foundation-{at}",
        FoundationArgs(
            platform=settings.platform,
            region=at,
            log_retention_days=retention,
            bucket_log_retention_days=settings.load_balancer.log_retention_days,
            alarm_emails=settings.monitoring.alarm_emails,
            protect=settings.protect,
        ),
        opts,
    )
    network = Network(
        f"network-{at}",
        NetworkArgs(
            region=at,
            cidr=region.cidr,
            availability_zones=region.availability_zones,
            plan=region.subnet_plan(),
            nat_gateways=region.nat_gateways,
            key_arn=foundation.key_arn,
            log_retention_days=retention,
            existing=region.existing_vpc,
        ),
        opts,
    )
    streaming = EventStreaming(
        f"event-streaming-{at}",
        EventStreamingArgs(
            vpc_id=network.vpc_id,
            subnet_ids=network.isolated_subnet_ids,
            key_arn=foundation.key_arn,
            settings=settings.streaming,
            services=settings.services,
            log_retention_days=retention,
            protect=settings.protect,
        ),
        opts,
    )
    cache = Cache(
        f"cache-{at}",
        CacheArgs(
            vpc_id=network.vpc_id,
            subnet_ids=network.isolated_subnet_ids,
            key_arn=foundation.key_arn,
            settings=settings.cache,
            users=[service.name for service in settings.services if service.cache],
            user_prefix=settings.platform,
            log_retention_days=retention,
            protect=settings.protect,
        ),
        opts,
    )
    main_tables: Mapping[str, Table] = {}
    tables: Mapping[str, Table | TableReplica]
    if primary is None:
        tables = main_tables = {
            table.name: Table(
                f"table-{table.name}-{at}",
                TableArgs(settings=table, key_arn=foundation.key_arn, peers=peers, protect=settings.protect),
                opts,
            )
            for table in settings.tables
        }
    else:
        tables = {
            table.name: TableReplica(
                f"table-{table.name}-{at}",
                TableReplicaArgs(
                    settings=table,
                    table_arn=primary.tables[table.name].arn,
                    write_scaling=primary.tables[table.name].write_scaling,
                    key_arn=foundation.key_arn,
                    peers=peers,
                    protect=settings.protect,
                ),
                opts,
            )
            for table in settings.tables
        }
    database = Database(
        f"database-{at}",
        DatabaseArgs(
            platform=settings.platform,
            region=at,
            vpc_id=network.vpc_id,
            subnet_ids=network.isolated_subnet_ids,
            availability_zones=region.availability_zones,
            key_arn=foundation.key_arn,
            alarm_topic_arn=foundation.warning_topic_arn,
            users=[service.database_user for service in settings.services if service.database],
            settings=settings.database,
            has_secondaries=primary is None and len(settings.regions) > 1,
            joins=primary.database.global_database if primary else None,
            log_retention_days=retention,
            protect=settings.protect,
        ),
        opts,
    )
    backups = BackupVault(
        f"backups-{at}",
        BackupVaultArgs(
            key_arn=foundation.key_arn,
            min_retention_days=settings.database.backup_retention_days,
            daily=primary is None,
            protect=settings.protect,
        ),
        opts,
    )
    cluster = Cluster(
        f"cluster-{at}",
        ClusterArgs(
            cluster_name=cluster_name,
            provider=aws_provider,
            vpc_id=network.vpc_id,
            vpc_cidr=network.cidr,
            private_subnet_ids=network.private_subnet_ids,
            key_arn=foundation.key_arn,
            settings=settings.cluster,
            data_stores={
                "brokers": streaming.endpoint,
                "cache": cache.endpoint,
                "database": database.endpoint,
                # Schema migrations and the runbooks' `sql`: the proxy knows no master user.
                "instances": database.instances,
            },
            log_retention_days=retention,
            protect=settings.protect,
        ),
        opts,
    )
    autoscaler = Autoscaler(
        f"autoscaler-{at}",
        AutoscalerArgs(
            cluster_name=cluster_name,
            cluster_arn=cluster.arn,
            kubernetes=cluster.kubernetes,
            chart_version=settings.cluster.keda_version,
            metrics_server_version=settings.cluster.addons.metrics_server,
            workspace_arn=foundation.workspace_arn,
            queries={service.name: service.scaling_query for service in settings.services},
            ready=cluster.ready,
        ),
        opts,
    )
    # AWS keeps names that begin with `internal-` for itself.
    internal_load_balancer = InternalLoadBalancer(
        f"nlb-{at}",
        InternalLoadBalancerArgs(
            vpc_id=network.vpc_id,
            subnet_ids=network.private_subnet_ids,
            cluster_name=cluster_name,
            pods_security_group_id=cluster.security_group_id,
            services=[
                BackendService(
                    name=service.name,
                    listener_port=service.listener_port,
                    pod_port=service.tls_port or service.port,
                    pod_tls=service.tls_port is not None,
                    health_path=service.ready_path,
                )
                for service in settings.services
            ],
            settings=settings.internal_load_balancer,
            host_name=settings.domain.region_internal(at),
            zone_id=domain.zone_id,
            certificate_arn=domain.regional_certificate_arns[at],
            log_bucket=foundation.log_bucket,
            protect=settings.protect,
        ),
        opts,
    )
    backends = Backends(
        table_names={name: table.table_name for name, table in tables.items()},
        table_arns={name: table.arn for name, table in tables.items()},
        tables_endpoint=network.dynamodb_endpoint,
        cache_address=cache.address,
        cache_arn=cache.arn,
        cache_ports=cache.endpoint.ports,
        cache_user_ids=cache.user_ids,
        cache_user_arns=cache.user_arns,
        bootstrap_brokers=streaming.bootstrap_brokers,
        brokers_arn=streaming.cluster_arn,
        brokers_ports=streaming.endpoint.ports,
        dead_letter_topics=streaming.dead_letter_topics,
        database_writer=database.writer_endpoint,
        database_reader=database.reader_endpoint,
        database_name=database.database_name,
        database_ports=database.endpoint.ports,
        database_resource_id=database.connect_resource_id,
        service_ports={service.name: service.port for service in settings.services},
        key_arn=foundation.key_arn,
    )
    # The other regions' databases are copies of the primary's, without a master user.
    migrations = (
        Migrations(
            f"migrations-{at}",
            MigrationsArgs(
                region=at,
                cluster_arn=cluster.arn,
                kubernetes=cluster.kubernetes,
                vpc_cidr=network.cidr,
                key_arn=foundation.key_arn,
                host=database.cluster_endpoint,
                port=database.instances.ports[0],
                database_name=database.database_name,
                secret_arn=database.secret_arn,
                users={
                    service.database_user: service.database_roles
                    for service in settings.services
                    if service.database
                },
                ready=[*cluster.ready, database],
            ),
            opts,
        )
        if database.secret_arn is not None
        else None
    )
    migrated = migrations.ready if migrations else []
    microservices = [
        Microservice(
            f"{service.name}-{at}",
            MicroserviceArgs(
                settings=service,
                region=at,
                cluster_name=cluster_name,
                cluster_arn=cluster.arn,
                kubernetes=cluster.kubernetes,
                target_group_arn=internal_load_balancer.target_group_arns[service.name],
                vpc_cidr=network.cidr,
                backends=backends,
                workspace_endpoint=foundation.workspace_endpoint,
                trigger_authentication=autoscaler.authentication,
                callers=settings.callers(service.name),
                ready=[*cluster.ready, *autoscaler.ready, *migrated],
            ),
            opts,
        )
        for service in settings.services
    ]
    api = Api(
        f"api-{at}",
        ApiArgs(
            platform=settings.platform,
            region=at,
            vpc_id=network.vpc_id,
            private_subnet_ids=network.private_subnet_ids,
            key_arn=foundation.key_arn,
            host_names=[host, *settings.additional_hosts, health_host],
            certificate_arn=domain.regional_certificate_arns[at],
            endpoint_id=network.api_endpoint_id,
            user_pool_arn=identity.user_pool_arn if identity else None,
            scopes=identity.scopes if identity else settings.api.jwt_scopes,
            load_balancer_arn=internal_load_balancer.arn,
            load_balancer_security_group_id=internal_load_balancer.security_group_id,
            listener_ports=internal_load_balancer.listener_ports,
            service_urls=internal_load_balancer.urls,
            order_service_ready_path=settings.service(settings.api.order_service).ready_path,
            idempotency_table=tables[IDEMPOTENCY_TABLE].table_name,
            idempotency_table_arn=tables[IDEMPOTENCY_TABLE].arn,
            dynamodb_prefix_list_id=network.dynamodb_prefix_list_id,
            settings=settings.api,
            objectives=settings.monitoring.objectives,
            log_retention_days=retention,
        ),
        opts,
    )
    load_balancer = LoadBalancer(
        f"alb-{at}",
        LoadBalancerArgs(
            platform=settings.platform,
            region=at,
            vpc_id=network.vpc_id,
            public_subnet_ids=network.public_subnet_ids,
            certificate_arn=domain.regional_certificate_arns[at],
            viewer_host=host,
            health_host=health_host,
            origin_secrets=domain.origin_secrets,
            api_endpoint_addresses=network.api_endpoint_addresses,
            api_endpoint_security_group_id=network.api_endpoint_security_group_id,
            log_bucket=foundation.log_bucket,
            key_arn=foundation.key_arn,
            log_retention_days=retention,
            settings=settings.load_balancer,
            protect=settings.protect,
        ),
        opts,
    )
    scraper = MetricsScraper(
        f"metrics-scraper-{at}",
        MetricsScraperArgs(
            cluster_name=cluster_name,
            cluster_arn=cluster.arn,
            workspace_arn=foundation.workspace_arn,
            subnet_ids=network.private_subnet_ids,
            cluster_security_group_id=cluster.security_group_id,
            metrics_ports=sorted({service.metrics_port or service.port for service in settings.services}),
            vpc_id=network.vpc_id,
            key_arn=foundation.key_arn,
            log_retention_days=retention,
        ),
        opts,
    )
    alerts = ServiceAlerts(
        f"service-alerts-{at}",
        ServiceAlertsArgs(
            region=at,
            workspace_arn=foundation.workspace_arn,
            services=settings.services,
            order_service=settings.api.order_service,
            is_primary=primary is None,
            load_metric=autoscaler.load_metric,
            scaling_rule_group=autoscaler.rule_group,
            critical_topic_arn=foundation.critical_topic_arn,
            warning_topic_arn=foundation.warning_topic_arn,
            ready=[*microservices, scraper],
        ),
        opts,
    )
    broker_metrics = BrokerMetrics(
        f"broker-metrics-{at}",
        BrokerMetricsArgs(
            platform=settings.platform,
            region=at,
            vpc_id=network.vpc_id,
            subnet_ids=network.isolated_subnet_ids,
            dns_name=streaming.dns_name,
            exporters=streaming.exporters,
            key_arn=foundation.key_arn,
            log_retention_days=retention,
            protect=settings.protect,
        ),
        opts,
    )

    canaries: list[OrderCanary] = []
    # Orders go to the first region, wherever they come from.
    if settings.monitoring.canary and identity and primary is None:
        canaries.append(
            OrderCanary(
                f"order-canary-{at}",
                OrderCanaryArgs(
                    platform=settings.platform,
                    region=at,
                    host=host,
                    login_url=identity.login_url,
                    client_id=identity.machine_client_id,
                    client_secret=identity.machine_client_secret,
                    scope=identity.scopes[settings.api.order_service],
                    key_arn=foundation.key_arn,
                    settings=settings.monitoring.canary,
                    log_retention_days=retention,
                    protect=settings.protect,
                ),
                opts,
            )
        )

    tiers = [
        *(foundation, network, streaming, cache, *tables.values(), database, backups, cluster, autoscaler),
        *(internal_load_balancer, *microservices, api, load_balancer, scraper, alerts, broker_metrics),
        *canaries,
    ]
    pulumi.export(f"clusterName-{at}", cluster_name)
    pulumi.export(f"loadBalancer-{at}", load_balancer.dns_name)
    pulumi.export(f"databaseWriter-{at}", database.writer_endpoint)
    pulumi.export(f"brokers-{at}", streaming.bootstrap_brokers)
    return DeployedRegion(
        provider=aws_provider,
        origin=RegionalOrigin(
            region=at,
            serves=region.serves,
            dns_name=load_balancer.dns_name,
            zone_id=load_balancer.zone_id,
            targets_alarm=load_balancer.targets_alarm,
        ),
        monitored=MonitoredRegion(
            region=at,
            signals=[*domain.regional_signals[at], *(signal for tier in tiers for signal in tier.signals)],
            objectives=[objective for tier in tiers for objective in tier.objectives],
            queries=[query for tier in tiers for query in tier.queries],
            critical_topic_arn=foundation.critical_topic_arn,
            warning_topic_arn=foundation.warning_topic_arn,
        ),
        origin_rules=load_balancer.origin_rules,
        backups=backups,
        primary=primary or PrimaryData(tables=main_tables, database=database),
    )


def deploy(settings: Settings) -> None:
    """The whole platform: names, then each region, then what there is once."""
    opts = pulumi.ResourceOptions(provider=provider("aws-edge", EDGE_REGION, settings))

    domain = Domain(
        "domain",
        DomainArgs(
            names=settings.domain,
            additional_hosts=settings.additional_hosts,
            regions=[region.name for region in settings.regions],
            origin_secrets=settings.load_balancer.origin_secrets,
        ),
        opts,
    )
    # An outside issuer has the users and the clients: then nothing of ours signs anybody in.
    identity = (
        None
        if settings.api.jwt
        else Identity(
            "identity",
            IdentityArgs(host=settings.domain.host, services=settings.api.services, protect=settings.protect),
            opts,
        )
    )
    deployed: list[DeployedRegion] = []
    for region in settings.regions:
        primary = deployed[0].primary if deployed else None
        deployed.append(deploy_region(settings, region, domain, identity, primary))
    first, *others = deployed
    BackupPlan(
        f"backup-plan-{settings.regions[0].name}",
        BackupPlanArgs(
            vault_name=first.backups.vault_name,
            copy_to_vault_arns=[other.backups.arn for other in others],
            resource_arns=[first.primary.database.cluster_arn],
            daily_retention_days=settings.database.backup_retention_days,
            monthly_retention_days=settings.database.monthly_backup_retention_days,
        ),
        pulumi.ResourceOptions(provider=first.provider),
    )
    web = Web(
        "web",
        WebArgs(
            platform=settings.platform,
            names=settings.domain,
            additional_hosts=settings.additional_hosts,
            certificate_arn=domain.viewer_certificate_arn,
            origin_secret=domain.origin_secret,
            origins_ready=[rule for region in deployed for rule in region.origin_rules],
            sign_in=SignIn(
                login_url=identity.login_url,
                client_id=identity.web_client_id,
                scopes=list(identity.scopes.values()),
            )
            if identity
            else None,
            api=settings.api,
            settings=settings.web,
            log_retention_days=settings.monitoring.log_retention_days,
            protect=settings.protect,
        ),
        opts,
    )
    routing = Routing(
        "routing",
        RoutingArgs(
            platform=settings.platform,
            edge_region=EDGE_REGION,
            names=settings.domain,
            additional_hosts=settings.additional_hosts,
            zone_id=domain.zone_id,
            distribution_domain_name=web.distribution_domain_name,
            distribution_zone_id=web.distribution_zone_id,
            origins=[region.origin for region in deployed],
            log_retention_days=settings.monitoring.log_retention_days,
            protect=settings.protect,
        ),
        opts,
    )
    Monitoring(
        "monitoring",
        MonitoringArgs(
            platform=settings.platform,
            regions=[region.monitored for region in deployed],
            edge_region=EDGE_REGION,
            edge_signals=[
                *domain.signals,
                *(identity.signals if identity else ()),
                *web.signals,
                *routing.signals,
            ],
            edge_queries=web.queries,
            settings=settings.monitoring,
            protect=settings.protect,
        ),
        opts,
    )
    if identity:
        pulumi.export("login", identity.login_url)
        pulumi.export("webClientId", identity.web_client_id)
    elif settings.api.jwt:
        pulumi.export("login", settings.api.jwt.issuer)
    pulumi.export("url", f"https://{settings.domain.host}")
    # The scan has a stack's state alone, and holds to more what is protected (`policy.production`).
    pulumi.export("protected", settings.protect)
    pulumi.export("distribution", web.distribution_domain_name)
    if routing.ds_record is not None:
        pulumi.export("dsRecord", routing.ds_record)


try:
    deploy(Settings.load())
except SettingsError as error:
    # A wrong stack file is the user's to mend: the text says how, a traceback would hide it.
    sys.exit(f"error: {error}")
