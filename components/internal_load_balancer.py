"""Tier 5, the internal load balancer: an NLB between the API tier and the microservices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from components.common.component import Component
from components.common.context import RegionContext
from components.common.names import limited_logical_name
from components.common.signals import Signal
from components.load_balancer import SSL_POLICY
from settings import InternalLoadBalancerSettings
from settings.aws_limits import BALANCER_NAME_LENGTH

LOG_PREFIX = "nlb"
DEREGISTRATION_SECONDS = 60
"""How long a pod that is shutting down keeps its connections."""


@dataclass(frozen=True, kw_only=True)
class BackendService:
    """A microservice behind the load balancer. Its values are plain, because they determine the listeners."""

    name: str
    listener_port: int
    pod_port: int
    """Port for requests and health checks."""
    pod_tls: bool = False
    """Whether pods use TLS on this port."""
    health_path: str


@dataclass(frozen=True, kw_only=True)
class InternalLoadBalancerArgs:
    """Settings of the internal load balancer."""

    context: RegionContext
    vpc_id: pulumi.Input[str]
    subnet_ids: Sequence[pulumi.Input[str]]
    """Private subnets, one per Availability Zone."""
    cluster_name: str
    """Plain name of the cluster, for the tag that Auto Mode requires on target groups."""
    pods_security_group_id: pulumi.Input[str]
    services: Sequence[BackendService]
    settings: InternalLoadBalancerSettings
    host_name: str
    """Name that clients connect to and verify in the certificate, if listeners use TLS."""
    zone_id: pulumi.Input[str]
    """Hosted zone of `host_name`."""
    certificate_arn: pulumi.Input[str]
    """Validated certificate in this region for `host_name`."""
    log_bucket: pulumi.Input[str]


class InternalLoadBalancer(Component):
    """A network load balancer with a listener and a target group for each microservice.

    With `internalLoadBalancer.tls`, listeners terminate TLS with a public certificate for one of the
    platform's names, which both clients verify: API Gateway checks a private integration's certificate
    against the CAs that it trusts and the name in `uri` ("Set up a private integration"), and order intake
    checks it against the function's own CAs. A private CA would cost more, and API Gateway would reject it.
    The name is a public record with private addresses, like the load balancer's own DNS name.

    Connections from the load balancer to the pods use TLS for services with a `tlsPort`, and plain text for
    the others: the pods' images must support TLS, which the platform can't add. Any certificate is accepted,
    even a self-signed one, because the load balancer doesn't verify it ("Target groups for your Network Load
    Balancers"). In the VPC, nobody else can take a pod's address. A service's pods must support TLS 1.2
    besides 1.3, or they fail the health checks ("Health checks for Network Load Balancer target groups").

    Without `tls`, listeners use TCP and forward connections to the pods in plain text. Access logs are
    written only for TLS listeners.
    """

    arn: pulumi.Output[str]
    dns_name: pulumi.Output[str]
    security_group_id: pulumi.Output[str]
    """Security group with only the rules for traffic to pods. A component that connects adds its own rule."""
    target_group_arns: Mapping[str, pulumi.Output[str]]
    """Service → target group, which a TargetGroupBinding binds to pods."""
    listener_ports: Mapping[str, int]
    urls: Mapping[str, pulumi.Output[str]]
    """Service → URL that its clients connect to, such as `https://NAME:8081`."""

    def __init__(
        self, name: str, args: InternalLoadBalancerArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("trading:tier:InternalLoadBalancer", name, opts)
        security_group = aws.ec2.SecurityGroup(
            f"{name}-security-group",
            vpc_id=args.vpc_id,
            description="Internal load balancer",
            tags={"Name": name},
            opts=self.child(),
        )
        self._rules_to_pods(name, args, security_group)
        load_balancer = aws.lb.LoadBalancer(
            limited_logical_name(name, BALANCER_NAME_LENGTH),
            load_balancer_type="network",
            internal=True,
            subnets=args.subnet_ids,
            # Needed from the start: adding the first security group later replaces the load balancer.
            security_groups=[security_group.id],
            # Otherwise, a zone with few pods would get as many requests as a zone with many. The setting adds
            # charges for traffic between zones, and less than a millisecond of latency.
            enable_cross_zone_load_balancing=True,
            enable_zonal_shift=True,
            enable_deletion_protection=args.context.protect,
            access_logs={"bucket": args.log_bucket, "prefix": LOG_PREFIX, "enabled": True},
            tags={"Name": name},
            opts=self.child(protect=args.context.protect),
        )
        target_groups = {
            service.name: self._service(name, service, args, load_balancer) for service in args.services
        }

        self.arn = load_balancer.arn
        self.dns_name = load_balancer.dns_name
        self.security_group_id = security_group.id
        self.target_group_arns = {service: group.arn for service, group in target_groups.items()}
        self.listener_ports = {service.name: service.listener_port for service in args.services}
        scheme, host_name = "http", load_balancer.dns_name
        if args.settings.tls:
            scheme, host_name = "https", self._host_name(name, args, load_balancer)
        self.urls = {
            service: pulumi.Output.format("{0}://{1}:{2}", scheme, host_name, port)
            for service, port in self.listener_ports.items()
        }
        self._watch(load_balancer, target_groups, tls=args.settings.tls)
        self.register_outputs(
            {
                "arn": self.arn,
                "dnsName": self.dns_name,
                "securityGroupId": self.security_group_id,
                "targetGroupArns": self.target_group_arns,
                "urls": self.urls,
            }
        )

    def _host_name(
        self, name: str, args: InternalLoadBalancerArgs, load_balancer: aws.lb.LoadBalancer
    ) -> pulumi.Output[str]:
        return aws.route53.Record(
            name,
            zone_id=args.zone_id,
            name=args.host_name,
            type="A",
            aliases=[
                {
                    "name": load_balancer.dns_name,
                    "zone_id": load_balancer.zone_id,
                    # There is no alternative record. Without a healthy pod, connections should fail
                    # immediately.
                    "evaluate_target_health": False,
                }
            ],
            opts=self.child(),
        ).name

    def _rules_to_pods(
        self, name: str, args: InternalLoadBalancerArgs, security_group: aws.ec2.SecurityGroup
    ) -> None:
        for port in sorted({service.pod_port for service in args.services}):
            self.allow_connection(
                f"{name}-to-pods-{port}",
                f"{name}-pods-from-load-balancer-{port}",
                port=port,
                client=security_group.id,
                client_is="Internal load balancer: requests and health checks",
                server=args.pods_security_group_id,
                server_is="Pods: requests and health checks",
            )

    def _service(
        self,
        name: str,
        service: BackendService,
        args: InternalLoadBalancerArgs,
        load_balancer: aws.lb.LoadBalancer,
    ) -> aws.lb.TargetGroup:
        target_group = aws.lb.TargetGroup(
            limited_logical_name(f"{service.name}-{name}", BALANCER_NAME_LENGTH),
            vpc_id=args.vpc_id,
            target_type="ip",
            protocol="TLS" if service.pod_tls else "TCP",
            port=service.pod_port,
            # Then the pods' security group only needs to allow the load balancer, and a pod can call its own
            # service. No information is lost: the clients are the API tier's network interfaces, and the
            # viewer's address is in X-Forwarded-For.
            preserve_client_ip="false",
            # A pod continues to serve for longer than this before it stops (its preStop hook).
            deregistration_delay=DEREGISTRATION_SECONDS,
            # Otherwise, keep-alive connections would last until the pod terminates during a request.
            connection_termination=True,
            health_check={
                "protocol": "HTTPS" if service.pod_tls else "HTTP",
                "path": service.health_path,
                "port": "traffic-port",
                "matcher": "200",
                "interval": 10,
                "timeout": 5,
                "healthy_threshold": 2,
                "unhealthy_threshold": 2,
            },
            # EKS Auto Mode may register pods only in target groups that have the cluster's name in this tag
            # (aws/containers-roadmap #2508).
            tags={"Name": f"{name}-{service.name}", "eks:eks-cluster-name": args.cluster_name},
            opts=self.child(),
        )
        aws.lb.Listener(
            f"{name}-{service.name}",
            load_balancer_arn=load_balancer.arn,
            port=service.listener_port,
            protocol="TLS" if args.settings.tls else "TCP",
            certificate_arn=args.certificate_arn if args.settings.tls else None,
            # With this policy, connections to pods use TLS 1.0 to 1.3, depending on what the pods choose.
            ssl_policy=SSL_POLICY if args.settings.tls else None,
            default_actions=[{"type": "forward", "target_group_arn": target_group.arn}],
            opts=self.child(),
        )
        return target_group

    def _watch(
        self,
        load_balancer: aws.lb.LoadBalancer,
        target_groups: Mapping[str, aws.lb.TargetGroup],
        *,
        tls: bool,
    ) -> None:
        of_load_balancer = {"LoadBalancer": load_balancer.arn_suffix}
        for service, group in target_groups.items():
            of_service = {**of_load_balancer, "TargetGroup": group.arn_suffix}
            self.report(
                Signal(
                    name=f"internal-load-balancer-{service}-no-healthy-pod",
                    runbook="internal-load-balancer-no-healthy-pod",
                    title=f"The {service} service has no healthy pod",
                    namespace="AWS/NetworkELB",
                    metric="HealthyHostCount",
                    dimensions=of_service,
                    statistic="Maximum",
                    comparison="below",
                    threshold=1,
                    reason="Without a healthy pod, every request to the service fails.",
                    severity="critical",
                    missing_data="breaching",  # a target group without targets reports nothing
                    dashboard=service,
                ),
                Signal(
                    name=f"internal-load-balancer-{service}-unhealthy-pods",
                    runbook="internal-load-balancer-unhealthy-pods",
                    title=f"The {service} service has unhealthy pods",
                    namespace="AWS/NetworkELB",
                    metric="UnHealthyHostCount",
                    dimensions=of_service,
                    statistic="Maximum",
                    threshold=0,
                    reason="A pod that starts is unhealthy for seconds. A pod that is unhealthy for ten "
                    "minutes is broken.",
                    severity="warning",
                    rings_in_deployments=True,
                    periods=10,
                    dashboard=service,
                ),
            )
        self.report(
            Signal(
                name="internal-load-balancer-target-resets",
                title="Pods reset connections from the internal load balancer",
                namespace="AWS/NetworkELB",
                metric="TCP_Target_Reset_Count",
                dimensions=of_load_balancer,
                statistic="Sum",
                threshold=100,
                reason="Deployments reset some keep-alive connections. More than a hundred a minute come "
                "from crashing pods.",
                severity="warning",
                rings_in_deployments=True,
            ),
            Signal(
                name="internal-load-balancer-port-exhaustion",
                title="The internal load balancer has no ports left for connections to pods",
                namespace="AWS/NetworkELB",
                metric="PortAllocationErrorCount",
                dimensions=of_load_balancer,
                statistic="Sum",
                threshold=0,
                reason="Without client IP preservation, about 55,000 connections fit between a node of the "
                "load balancer and a pod (Network Load Balancer User Guide). Further connections fail.",
                severity="critical",
                customer_impact=True,
                periods=1,
            ),
        )
        if tls:
            self.report(*_tls_signals(of_load_balancer))


def _tls_signals(of_load_balancer: Mapping[str, pulumi.Input[str]]) -> list[Signal]:
    return [
        Signal(
            name=f"internal-load-balancer-{side}-tls-errors",
            runbook="internal-load-balancer-tls-errors",
            title=title,
            namespace="AWS/NetworkELB",
            metric=metric,
            dimensions=of_load_balancer,
            statistic="Sum",
            threshold=10,
            reason="A failed handshake is a failed request. More than ten a minute for three "
            "minutes aren't connections that broke by chance.",
            severity="critical",
        )
        for side, metric, title in (
            (
                "client",
                "ClientTLSNegotiationErrorCount",
                "TLS handshakes between the API tier and the internal load balancer fail",
            ),
            (
                "target",
                "TargetTLSNegotiationErrorCount",
                "TLS handshakes between the internal load balancer and pods fail",
            ),
        )
    ]
