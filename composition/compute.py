"""Tier 6: the cluster and everything that runs in it."""

from __future__ import annotations

from collections.abc import Sequence

import pulumi

from components.common.context import RegionContext
from components.foundation import Foundation
from components.internal_load_balancer import InternalLoadBalancer
from components.network import Network
from components.service.autoscaler import IMAGE_REGISTRY, Autoscaler, AutoscalerArgs
from components.service.cluster import Cluster, ClusterArgs
from components.service.microservice import Microservice, MicroserviceArgs
from components.service.migrations import FETCH_IMAGE, IMAGE, Migrations, MigrationsArgs
from composition.stores import Stores
from settings import Settings


def cluster(settings: Settings, context: RegionContext, network: Network, stores: Stores) -> Cluster:
    """The EKS cluster, whose pods may connect to the data stores."""
    return Cluster(
        f"cluster-{context.region}",
        ClusterArgs(
            context=context,
            cluster_name=f"{context.platform}-{context.region}",
            vpc_id=network.vpc_id,
            vpc_cidr=network.cidr,
            private_subnet_ids=network.private_subnet_ids,
            settings=settings.cluster,
            data_stores={
                "brokers": stores.streaming.endpoint,
                "cache": stores.cache.endpoint,
                "database": stores.database.endpoint,
                # For schema migrations and the runbooks' `sql`, because the proxy doesn't know the master
                # user.
                "instances": stores.database.instances,
            },
        ),
        context.options,
    )


def autoscaler(settings: Settings, foundation: Foundation, network: Network, cluster: Cluster) -> Autoscaler:
    """KEDA, which scales the services on series that the Prometheus workspace records."""
    context = foundation.context
    return Autoscaler(
        f"autoscaler-{context.region}",
        AutoscalerArgs(
            cluster_name=cluster.cluster_name,
            cluster_arn=cluster.arn,
            kubernetes=cluster.kubernetes,
            vpc_cidr=network.cidr,
            zones=len(network.private_subnet_ids),
            chart_version=settings.cluster.keda_version,
            image_registry=settings.cluster.image_registry(IMAGE_REGISTRY, context.region),
            metrics_server_version=settings.cluster.addons.metrics_server,
            workspace_arn=foundation.workspace_arn,
            queries={service.name: service.scaling_query for service in settings.services},
            ready=cluster.ready,
        ),
        context.options,
    )


def migrations(
    settings: Settings, context: RegionContext, network: Network, stores: Stores, cluster: Cluster
) -> list[pulumi.Resource]:
    """The schema and the services' users. Returns the resources that the services must wait for.

    They are made in the primary region, whose database the databases of the other regions are copies of.
    """
    database = stores.database
    if not settings.is_primary(context.region):
        return []
    users = {
        service.database_user: service.database_roles for service in settings.services if service.database
    }
    return Migrations(
        f"migrations-{context.region}",
        MigrationsArgs(
            context=context,
            cluster_arn=cluster.arn,
            kubernetes=cluster.kubernetes,
            vpc_cidr=network.cidr,
            host=database.cluster_endpoint,
            port=database.instances.ports[0],
            database_name=database.database_name,
            secret_arn=database.secret_arn,
            users=users,
            image=settings.cluster.image(IMAGE, context.region),
            fetch_image=settings.cluster.image(FETCH_IMAGE, context.region),
            ready=[*cluster.ready, database],
        ),
        context.options,
    ).ready


def microservices(
    settings: Settings,
    foundation: Foundation,
    network: Network,
    stores: Stores,
    cluster: Cluster,
    autoscaler: Autoscaler,
    balancer: InternalLoadBalancer,
    migrated: Sequence[pulumi.Resource],
) -> list[Microservice]:
    """The services, each with the access that the data stores grant it."""
    context = foundation.context
    ports = {service.name: service.port for service in settings.services}
    return [
        Microservice(
            f"{service.name}-{context.region}",
            MicroserviceArgs(
                context=context,
                settings=service,
                image=settings.cluster.image(service.image, context.region),
                cluster_name=cluster.cluster_name,
                cluster_arn=cluster.arn,
                kubernetes=cluster.kubernetes,
                target_group_arn=balancer.target_group_arns[service.name],
                vpc_cidr=network.cidr,
                zones=len(network.private_subnet_ids),
                access=stores.access(service),
                calls={callee: ports[callee] for callee in service.calls},
                workspace_endpoint=foundation.workspace_endpoint,
                trigger_authentication=autoscaler.authentication,
                callers=settings.callers(service.name),
                ready=[*cluster.ready, *autoscaler.ready, *migrated],
            ),
            context.options,
        )
        for service in settings.services
    ]
