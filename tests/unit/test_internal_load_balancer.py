"""The internal load balancer: what it opens, and towards whom."""

from __future__ import annotations

import functools

from components.internal_load_balancer import BackendService, InternalLoadBalancer, InternalLoadBalancerArgs
from components.tier import Signal
from tests.unit.harness import Graph, deploy

SERVICES = [
    BackendService(name="orders", listener_port=8081, pod_port=9898, health_path="/readyz"),
    BackendService(name="accounts", listener_port=8082, pod_port=9898, health_path="/readyz"),
    BackendService(name="market-data", listener_port=8083, pod_port=9090, health_path="/ready"),
]
PODS = "sg-0123456789abcdef0"
SIGNALS: list[Signal] = []


def program() -> None:
    tier = InternalLoadBalancer(
        "nlb-us-east-1",
        InternalLoadBalancerArgs(
            vpc_id="vpc-0123456789abcdef0",
            subnet_ids=["subnet-0123456789abcdef0", "subnet-0123456789abcdef1"],
            cluster_name="trading-test",
            pods_security_group_id=PODS,
            services=SERVICES,
            log_bucket="logs",
            protect=True,
        ),
    )
    SIGNALS[:] = tier.signals


@functools.cache
def graph() -> Graph:
    return deploy(program)


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


def test_health_check_asks_each_service_at_its_own_path() -> None:
    checks = [r.inputs["healthCheck"] for r in graph().of("aws:lb/targetGroup:TargetGroup")]
    assert sorted(check["path"] for check in checks) == ["/ready", "/readyz", "/readyz"]
    assert {check["protocol"] for check in checks} == {"HTTP"}


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
        (PODS, 9898),
        (PODS, 9090),
    }
    assert all(group.name in r.depends_on for r in egress)


def test_pods_admit_the_load_balancer_and_nobody_else_is_admitted_here() -> None:
    ingress = graph().of("aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule")
    assert {(r.inputs["securityGroupId"], r.inputs["fromPort"]) for r in ingress} == {
        (PODS, 9898),
        (PODS, 9090),
    }
    assert all("cidrIpv4" not in r.inputs for r in ingress)


def test_every_service_has_a_critical_signal_for_no_healthy_pod() -> None:
    graph()
    critical = {signal.name for signal in SIGNALS if signal.metric == "HealthyHostCount"}
    assert critical == {f"internal-load-balancer-{s.name}-no-healthy-pod" for s in SERVICES}
    assert len({signal.name for signal in SIGNALS}) == len(SIGNALS)
