"""The internal load balancer: its listeners, and who can connect to them."""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import Any

import pulumi

from components.internal_load_balancer import (
    DEREGISTRATION_SECONDS,
    BackendService,
    InternalLoadBalancer,
    InternalLoadBalancerArgs,
)
from settings import InternalLoadBalancerSettings
from tests.unit.harness import Graph, context, deploy

SERVICES = [
    BackendService(name="orders", listener_port=8081, pod_port=8443, pod_tls=True, health_path="/readyz"),
    BackendService(name="accounts", listener_port=8082, pod_port=9898, health_path="/readyz"),
    BackendService(name="market-data", listener_port=8083, pod_port=9090, health_path="/ready"),
]
PODS = "sg-0123456789abcdef0"
CERTIFICATE = "arn:aws:acm:us-east-1:123456789012:certificate/12345678-1234-1234-1234-123456789012"
NAME = "internal-us-east-1.origin.trade.example.com"


@functools.cache
def built(*, tls: bool = True) -> tuple[Graph, InternalLoadBalancer, dict[str, str]]:
    """The graph, the component, and the URLs of its services."""
    made: list[InternalLoadBalancer] = []
    urls: dict[str, str] = {}

    def program() -> None:
        args = InternalLoadBalancerArgs(
            context=context(protect=True),
            vpc_id="vpc-0123456789abcdef0",
            subnet_ids=["subnet-0123456789abcdef0", "subnet-0123456789abcdef1"],
            cluster_name="trading-test",
            pods_security_group_id=PODS,
            services=SERVICES if tls else [replace(service, pod_tls=False) for service in SERVICES],
            settings=InternalLoadBalancerSettings(tls=tls),
            host_name=NAME,
            zone_id="Z0123456789ABCDEFGHIJ",
            certificate_arn=CERTIFICATE,
            log_bucket="logs",
        )
        made.append(InternalLoadBalancer("nlb-us-east-1", args))
        pulumi.Output.all(**made[0].urls).apply(urls.update)

    return deploy(program), made[0], urls


def graph(*, tls: bool = True) -> Graph:
    return built(tls=tls)[0]


def target_group(service: str, *, tls: bool = True) -> dict[str, Any]:
    groups = graph(tls=tls).of("aws:lb/targetGroup:TargetGroup")
    return next(r.inputs for r in groups if r.inputs["tags"]["Name"] == f"nlb-us-east-1-{service}")


def test_load_balancer_is_internal_and_protected() -> None:
    load_balancer = graph().only("aws:lb/loadBalancer:LoadBalancer")
    assert load_balancer.inputs["internal"] is True
    assert load_balancer.inputs["loadBalancerType"] == "network"
    assert load_balancer.inputs["enableDeletionProtection"] is True
    assert load_balancer.protect


def test_load_balancer_has_its_security_group_from_the_start() -> None:
    load_balancer = graph().only("aws:lb/loadBalancer:LoadBalancer")
    assert len(load_balancer.inputs["securityGroups"]) == 1


def test_each_service_has_a_listener_of_its_own_that_forwards_to_its_target_group() -> None:
    listeners = {r.inputs["port"]: r for r in graph().of("aws:lb/listener:Listener")}
    assert sorted(listeners) == [8081, 8082, 8083]
    targets = [r.inputs["defaultActions"][0]["targetGroupArn"] for r in listeners.values()]
    assert len(set(targets)) == len(SERVICES)


def test_target_groups_carry_the_clusters_plain_name() -> None:
    for group in graph().of("aws:lb/targetGroup:TargetGroup"):
        assert group.inputs["tags"]["eks:eks-cluster-name"] == "trading-test"


def test_health_check_asks_each_service_at_its_own_path_as_its_pods_speak() -> None:
    checks = {service.name: target_group(service.name)["healthCheck"] for service in SERVICES}
    assert {name: (check["protocol"], check["path"]) for name, check in checks.items()} == {
        "orders": ("HTTPS", "/readyz"),
        "accounts": ("HTTP", "/readyz"),
        "market-data": ("HTTP", "/ready"),
    }
    assert {check["port"] for check in checks.values()} == {"traffic-port"}


def test_listeners_end_tls_with_the_certificate_of_the_name_that_clients_use() -> None:
    for listener in graph().of("aws:lb/listener:Listener"):
        assert (listener.inputs["protocol"], listener.inputs["certificateArn"]) == ("TLS", CERTIFICATE)
        assert listener.inputs["sslPolicy"].startswith("ELBSecurityPolicy-TLS13-1-2-Res-")
    record = graph().only("aws:route53/record:Record").inputs
    load_balancer = graph().only("aws:lb/loadBalancer:LoadBalancer").outputs
    assert (record["name"], record["type"]) == (NAME, "A")
    assert record["aliases"][0]["name"] == load_balancer["dnsName"]
    assert built()[2] == {
        "orders": f"https://{NAME}:8081",
        "accounts": f"https://{NAME}:8082",
        "market-data": f"https://{NAME}:8083",
    }


def test_it_encrypts_anew_to_pods_that_speak_tls_and_to_no_other() -> None:
    groups = {service.name: target_group(service.name) for service in SERVICES}
    assert {name: (group["protocol"], group["port"]) for name, group in groups.items()} == {
        "orders": ("TLS", 8443),
        "accounts": ("TCP", 9898),
        "market-data": ("TCP", 9090),
    }


def test_without_tls_connections_pass_through_as_plain_tcp() -> None:
    for listener in graph(tls=False).of("aws:lb/listener:Listener"):
        assert listener.inputs["protocol"] == "TCP"
        assert not {"certificateArn", "sslPolicy"} & set(listener.inputs)
    assert {target_group(service.name, tls=False)["protocol"] for service in SERVICES} == {"TCP"}
    assert graph(tls=False).of("aws:route53/record:Record") == []
    dns_name = graph(tls=False).only("aws:lb/loadBalancer:LoadBalancer").outputs["dnsName"]
    assert built(tls=False)[2]["orders"] == f"http://{dns_name}:8081"


def test_pod_that_goes_drains_and_then_loses_its_connections() -> None:
    for service in SERVICES:
        group = target_group(service.name)
        assert group["deregistrationDelay"] == DEREGISTRATION_SECONDS
        assert group["connectionTermination"] is True


def test_pods_see_the_load_balancers_address_and_zones_share_the_pods() -> None:
    assert {target_group(service.name)["preserveClientIp"] for service in SERVICES} == {"false"}
    load_balancer = graph().only("aws:lb/loadBalancer:LoadBalancer").inputs
    assert load_balancer["enableCrossZoneLoadBalancing"] is True


def test_failed_handshakes_ring_where_there_are_any() -> None:
    def tls_metrics(*, tls: bool) -> set[str]:
        return {s.metric for s in built(tls=tls)[1].signals if "TLSNegotiation" in s.metric}

    assert tls_metrics(tls=True) == {"ClientTLSNegotiationErrorCount", "TargetTLSNegotiationErrorCount"}
    assert tls_metrics(tls=False) == set()


def test_names_are_ones_that_aws_accepts() -> None:
    names = [
        r.name
        for token in ("aws:lb/loadBalancer:LoadBalancer", "aws:lb/targetGroup:TargetGroup")
        for r in graph().of(token)
    ]
    assert len(set(names)) == 1 + len(SERVICES)
    assert max(len(name) for name in names) + len("-1234567") <= 32
    assert not any(name.startswith("internal-") for name in names)


def test_only_pods_are_reached_and_on_their_ports_alone() -> None:
    (group,) = graph().of("aws:ec2/securityGroup:SecurityGroup")
    egress = graph().of("aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule")
    assert {(r.inputs["referencedSecurityGroupId"], r.inputs["toPort"]) for r in egress} == {
        (PODS, 8443),
        (PODS, 9898),
        (PODS, 9090),
    }
    assert all(group.name in r.depends_on for r in egress)


def test_pods_admit_the_load_balancer_and_nobody_else_is_admitted_here() -> None:
    ingress = graph().of("aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule")
    assert {(r.inputs["securityGroupId"], r.inputs["fromPort"]) for r in ingress} == {
        (PODS, 8443),
        (PODS, 9898),
        (PODS, 9090),
    }
    assert all("cidrIpv4" not in r.inputs for r in ingress)


def test_every_service_has_a_critical_signal_for_no_healthy_pod() -> None:
    signals = built()[1].signals
    critical = {signal.name for signal in signals if signal.metric == "HealthyHostCount"}
    assert critical == {f"internal-load-balancer-{s.name}-no-healthy-pod" for s in SERVICES}
    assert len({signal.name for signal in signals}) == len(signals)
