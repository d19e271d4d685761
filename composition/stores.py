"""The data stores of a region: topics (tier 7), cache and tables (tier 6), the database (tier 8)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from components.backup import BackupPlan, BackupPlanArgs, BackupVault, BackupVaultArgs
from components.common.access import Access
from components.common.context import RegionContext
from components.database import Database, DatabaseArgs
from components.event_streaming import EventStreaming, EventStreamingArgs
from components.foundation import Foundation
from components.network import Network
from components.service.cache import Cache, CacheArgs
from components.service.table import Table, TableArgs, TableReplica, TableReplicaArgs, table_access
from settings import RegionSettings, ServiceSettings, Settings


@dataclass(frozen=True, kw_only=True)
class Stores:
    """The data stores of one region."""

    context: RegionContext
    network: Network
    streaming: EventStreaming
    cache: Cache
    tables: Mapping[str, Table | TableReplica]
    database: Database

    def access(self, service: ServiceSettings) -> list[Access]:
        """The access that each data store grants a service."""
        return [
            table_access(self.context, service, self.tables, self.network.dynamodb_endpoint),
            self.cache.access(service),
            self.streaming.access(service),
            self.database.access(service),
        ]


def event_streaming(settings: Settings, context: RegionContext, network: Network) -> EventStreaming:
    """Tier 7: the brokers and their topics."""
    return EventStreaming(
        f"event-streaming-{context.region}",
        EventStreamingArgs(
            context=context,
            vpc_id=network.vpc_id,
            subnet_ids=network.isolated_subnet_ids,
            settings=settings.streaming,
            services=settings.services,
        ),
        context.options,
    )


def cache(settings: Settings, context: RegionContext, network: Network) -> Cache:
    """Tier 6: the cache."""
    return Cache(
        f"cache-{context.region}",
        CacheArgs(
            context=context,
            vpc_id=network.vpc_id,
            subnet_ids=network.isolated_subnet_ids,
            settings=settings.cache,
            users=[service.name for service in settings.services if service.cache],
        ),
        context.options,
    )


def tables(
    settings: Settings, context: RegionContext, home: Stores | None
) -> dict[str, Table | TableReplica]:
    """Tier 6: name in the settings → table, or replica of the home region's table."""
    deployed: dict[str, Table | TableReplica] = {}
    for table in settings.tables:
        name = f"table-{table.name}-{context.region}"
        peers = [region.name for region in settings.regions if region.name != context.region]
        main = home.tables[table.name] if home else None
        deployed[table.name] = (
            TableReplica(
                name,
                TableReplicaArgs(context=context, settings=table, table=main, peers=peers),
                context.options,
            )
            if isinstance(main, Table)
            else Table(name, TableArgs(context=context, settings=table, peers=peers), context.options)
        )
    return deployed


def database(
    settings: Settings,
    region: RegionSettings,
    foundation: Foundation,
    network: Network,
    home: Stores | None,
) -> Database:
    """Tier 8: the database, which joins the home region's database in all other regions."""
    context = foundation.context
    return Database(
        f"database-{context.region}",
        DatabaseArgs(
            context=context,
            vpc_id=network.vpc_id,
            subnet_ids=network.isolated_subnet_ids,
            availability_zones=region.availability_zones,
            alarm_topic_arn=foundation.warning_topic_arn,
            users=[service.database_user for service in settings.services if service.database],
            settings=settings.database,
            other_regions=[other.name for other in settings.regions if other.name != context.region],
            joins=home.database.global_database if home else None,
            takes_writes=settings.is_primary(context.region),
        ),
        context.options,
    )


def backup_vault(settings: Settings, context: RegionContext) -> BackupVault:
    """The vault with the region's backups, and with copies of the primary region's backups."""
    return BackupVault(
        f"backups-{context.region}",
        BackupVaultArgs(
            context=context,
            min_retention_days=settings.database.backup_retention_days,
            backups_a_day=1 + len(settings.tables),  # the database cluster and each table
        ),
        context.options,
    )


def backup_plan(
    settings: Settings, stores: Stores, vault: BackupVault, others: Sequence[BackupVault]
) -> BackupPlan:
    """Backups of the region's database and tables. `others` are the vaults of the other regions, which get
    copies if the region is the primary one."""
    context = stores.context
    return BackupPlan(
        f"backup-plan-{context.region}",
        BackupPlanArgs(
            vault_name=vault.vault_name,
            copy_to_vault_arns=[other.arn for other in others if settings.is_primary(context.region)],
            resource_arns=[stores.database.cluster_arn, *(table.arn for table in stores.tables.values())],
            daily_retention_days=settings.database.backup_retention_days,
            monthly_retention_days=settings.database.monthly_backup_retention_days,
        ),
        context.options,
    )
