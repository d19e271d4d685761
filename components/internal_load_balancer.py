"""Tier 5, the internal load balancer: an NLB between the API tier and the microservices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from components.common.component import Component
from components.common.context import RegionContext
from components.common.names import limited_name
from components.common.signals import Signal
from components.load_balancer import SSL_POLICY
from settings import BALANCER_NAME_LENGTH, InternalLoadBalancerSettings

LOG_PREFIX = "nlb"
DEREGISTRATION_SECONDS = 60
"""How long a pod that goes keeps its connections."""


@dataclass(frozen=True, kw_only=True)
class BackendService:
    """A microservice as the load balancer sees it; plain, because it decides the number of listeners."""

    name: str
    listener_port: int
    pod_port: int
    """Where requests and health checks go."""
    pod_tls: bool = False
    """Whether pods speak TLS there."""
    health_path: str


@dataclass(frozen=True, kw_only=True)
class InternalLoadBalancerArgs:
    """Settings of the internal load balancer."""

    context: RegionContext
    vpc_id: pulumi.Input[str]
    subnet_ids: Sequence[pulumi.Input[str]]
    """Private subnets, one a zone."""
    cluster_name: str
    """Plain name of the cluster, put on target groups as the tag that Auto Mode looks for."""
    pods_security_group_id: pulumi.Input[str]
    services: Sequence[BackendService]
    settings: InternalLoadBalancerSettings
    host_name: str
    """Name that clients connect to and find in the certificate, where listeners speak TLS."""
    zone_id: pulumi.Input[str]
    """Hosted zone of `host_name`."""
    certificate_arn: pulumi.Input[str]
    """Validated, of this region, for `host_name`."""
    log_bucket: pulumi.Input[str]


class InternalLoadBalancer(Component):
    """A network load balancer with a listener and a target group for each microservice.

    With `internalLoadBalancer.tls`, listeners end TLS with a public certificate for a name of ours, which
    both clients verify: API Gateway checks a private integration's certificate against the CAs that it
    knows and the name in `uri` ("Set up a private integration"), and order intake against the function's
    own CAs. A private CA would cost more, and API Gateway would refuse it. The name is a public record of
    private addresses, as the load balancer's own is.

    From there to the pods it is TLS anew for the services with a `tlsPort`, and plain for the others:
    pods must bring TLS, which a platform cannot do for their images. Their certificate may be anybody's,
    self-signed too: the load balancer does not verify it ("Target groups for your Network Load
    Balancers"), within a VPC where nobody else can take a pod's address. A service's pods must speak TLS 1.2
    beside 1.3, or they fail the health checks ("Health checks for Network Load Balancer target groups").

    Without it listeners are TCP, and pass what clients say through to the pods, in plain. Access logs are
    written for TLS listeners only.
    """

    arn: pulumi.Output[str]
    dns_name: pulumi.Output[str]
    security_group_id: pulumi.Output[str]
    """Has only the rules towards pods; whoever connects adds the rule that admits it."""
    target_group_arns: Mapping[str, pulumi.Output[str]]
    """Service → target group, which is bound to pods by a TargetGroupBinding."""
    listener_ports: Mapping[str, int]
    urls: Mapping[str, pulumi.Output[str]]
    """Service → where its clients connect to, such as `https://NAME:8081`."""

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
            limited_name(name, BALANCER_NAME_LENGTH),
            load_balancer_type="network",
            internal=True,
            subnets=args.subnet_ids,
            # From the start: adding the first group later replaces the load balancer.
            security_groups=[security_group.id],
            # A zone with few pods would otherwise get as much as one with many; costs bytes between
            # zones, and below a millisecond.
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
                    # There is no other answer: with no healthy pod, connections should fail at once.
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
            limited_name(f"{service.name}-{name}", BALANCER_NAME_LENGTH),
            vpc_id=args.vpc_id,
            target_type="ip",
            protocol="TLS" if service.pod_tls else "TCP",
            port=service.pod_port,
            # Pods' group then admits the load balancer alone, and a pod that calls its own service gets
            # an answer. Nothing is lost: the clients are the API tier's own network interfaces, and the
            # viewer's address is in X-Forwarded-For.
            preserve_client_ip="false",
            # A pod goes on serving for longer than this before it stops (its preStop hook).
            deregistration_delay=DEREGISTRATION_SECONDS,
            # Kept connections would otherwise last until the pod dies under a request.
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
            # EKS Auto Mode may register pods only in target groups that name the cluster
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
            # Towards pods it means TLS 1.0 to 1.3, whatever they choose.
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
                    title=f"The service {service} has no healthy pod",
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
                    title=f"The service {service} has unhealthy pods",
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
            self.report(
                *[
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
            )
