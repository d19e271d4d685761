"""The path of a request in a region: the ALB (tier 3), the API (tier 4) and the NLB (tier 5)."""

from __future__ import annotations

from components.api import Api, ApiArgs
from components.domain import Domain
from components.foundation import Foundation
from components.identity import Identity
from components.internal_load_balancer import BackendService, InternalLoadBalancer, InternalLoadBalancerArgs
from components.load_balancer import LoadBalancer, LoadBalancerArgs
from components.network import Network
from components.service.cluster import Cluster
from composition.stores import Stores
from settings import IDEMPOTENCY_TABLE, Settings


def internal_load_balancer(
    settings: Settings, foundation: Foundation, network: Network, domain: Domain, cluster: Cluster
) -> InternalLoadBalancer:
    """Tier 5: the NLB between the API and the pods."""
    context = foundation.context
    return InternalLoadBalancer(
        # AWS reserves names that begin with `internal-`.
        f"nlb-{context.region}",
        InternalLoadBalancerArgs(
            context=context,
            vpc_id=network.vpc_id,
            subnet_ids=network.private_subnet_ids,
            cluster_name=cluster.cluster_name,
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
            host_name=settings.domain.region_internal(context.region),
            zone_id=domain.zone_id,
            certificate_arn=domain.regional_certificate_arns[context.region],
            log_bucket=foundation.log_bucket,
        ),
        context.options,
    )


def api(
    settings: Settings,
    domain: Domain,
    identity: Identity | None,
    network: Network,
    stores: Stores,
    balancer: InternalLoadBalancer,
) -> Api:
    """Tier 4: API Gateway and order intake."""
    context = stores.context
    idempotency = stores.tables[IDEMPOTENCY_TABLE]
    health_host = settings.domain.region_health(context.region)
    return Api(
        f"api-{context.region}",
        ApiArgs(
            context=context,
            vpc_id=network.vpc_id,
            private_subnet_ids=network.private_subnet_ids,
            host_names=[settings.domain.host, *settings.additional_hosts, health_host],
            certificate_arn=domain.regional_certificate_arns[context.region],
            endpoint_id=network.api_endpoint_id,
            user_pool_arn=identity.user_pool_arn if identity else None,
            scopes=identity.scopes if identity else settings.api.jwt_scopes,
            load_balancer_arn=balancer.arn,
            load_balancer_security_group_id=balancer.security_group_id,
            listener_ports=balancer.listener_ports,
            service_urls=balancer.urls,
            order_service_ready_path=settings.service(settings.api.order_service).ready_path,
            home_region=settings.home,
            idempotency_table=idempotency.table_name,
            idempotency_table_arn=idempotency.arn,
            dynamodb_prefix_list_id=network.dynamodb_prefix_list_id,
            settings=settings.api,
            objectives=settings.monitoring.objectives,
        ),
        context.options,
    )


def load_balancer(
    settings: Settings, foundation: Foundation, network: Network, domain: Domain
) -> LoadBalancer:
    """Tier 3: the ALB that receives CloudFront's requests."""
    context = foundation.context
    return LoadBalancer(
        f"alb-{context.region}",
        LoadBalancerArgs(
            context=context,
            vpc_id=network.vpc_id,
            public_subnet_ids=network.public_subnet_ids,
            certificate_arn=domain.regional_certificate_arns[context.region],
            viewer_host=settings.domain.host,
            health_host=settings.domain.region_health(context.region),
            origin_secrets=domain.origin_secrets,
            api_endpoint_addresses=network.api_endpoint_addresses,
            api_endpoint_security_group_id=network.api_endpoint_security_group_id,
            log_bucket=foundation.log_bucket,
            settings=settings.load_balancer,
        ),
        context.options,
    )
