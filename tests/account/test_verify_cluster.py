"""Each check that asks a cluster, against an API on this machine."""

from __future__ import annotations

import inspect
import json
import time
from base64 import b64encode
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from account.question import Answer, UnansweredError, ask
from account.verify import cluster
from account.verify.cluster import CLOSED_PORT, CREDENTIALS, POLICY_ENDPOINTS, ZONE
from account.verify.kubernetes import Kubernetes, cluster_token
from tests.account.loopback import HOST, Asked, Reply, loopback

Json = Mapping[str, Any]
Objects = Mapping[str, Any]
"""Path → an object, or the items of a list."""

DEPLOYMENTS = "/apis/apps/v1/namespaces/trading/deployments"
PODS = "/api/v1/namespaces/trading/pods"
NODES = "/api/v1/nodes"
CLASSES = "/apis/eks.amazonaws.com/v1/nodeclasses"
SCALED = "/apis/keda.sh/v1alpha1/namespaces/trading/scaledobjects"
SWITCH = "/api/v1/namespaces/kube-system/configmaps/amazon-vpc-cni"
POLICIES = "/apis/networking.k8s.io/v1/networkpolicies"
LABELS = {"app": "orders"}


def conditions(**found: str) -> Json:
    return {"conditions": [{"type": name, "status": value} for name, value in found.items()]}


def named(name: str, **more: Any) -> dict[str, Any]:
    return {"metadata": {"namespace": "trading", "name": name, "labels": LABELS}, **more}


def deployment(available: int, replicas: int = 3, domains: int = 3) -> Json:
    constraint = {"topologyKey": ZONE, "whenUnsatisfiable": "DoNotSchedule", "minDomains": domains}
    template = {"spec": {"topologySpreadConstraints": [constraint]}}
    spec = {"replicas": replicas, "selector": {"matchLabels": LABELS}, "template": template}
    return named("orders", spec=spec, status={"availableReplicas": available})


def node(name: str, zone: str, ready: str = "True") -> Json:
    return {"metadata": {"name": name, "labels": {ZONE: zone}}, "status": conditions(Ready=ready)}


def pod(node: str, *variables: str, account: str = "orders", ready: str = "True") -> Json:
    containers = [{"env": [{"name": name} for name in variables]}]
    spec = {"nodeName": node, "serviceAccountName": account, "containers": containers}
    return named(f"orders-{node}", spec=spec, status={"phase": "Running", **conditions(Ready=ready)})


def policy_endpoint(name: str) -> Json:
    return {"spec": {"policyRef": {"namespace": "trading", "name": name}}}


def listening(node: str = "a") -> Json:
    probe = {"readinessProbe": {"httpGet": {"path": "/readyz"}}, "ports": [{"containerPort": 8080}]}
    found = pod(node)
    return {**found, "spec": {**found["spec"], "containers": [probe]}}


POD = f"{PODS}/orders-a"
CLOSED = f"{POD}:{CLOSED_PORT}/proxy/"
REFUSED = Reply(503, b"dial tcp 10.0.0.1:65000: connect: connection refused")
DROPPED = Reply(503, b"dial tcp 10.0.0.1:65000: i/o timeout")
ZONES = [node("a", "us-east-1a"), node("b", "us-east-1b"), node("c", "us-east-1c")]
ENABLED = {"data": {"enable-network-policy-controller": "true"}}


def of(objects: Objects, check: Callable[..., Answer], *arguments: Any, status: int = 0) -> Answer:
    def answer(asked: Asked) -> Reply:
        assert asked.method == "GET"
        if asked.headers.get("authorization") != "Bearer token" or status:
            return Reply(status or 401)
        if isinstance(objects.get(asked.path), Reply):
            return objects[asked.path]
        if asked.path not in objects:
            return Reply(404)
        found = objects[asked.path]
        return Reply(200, json.dumps({"items": found} if isinstance(found, list) else found).encode())

    with loopback(answer, name="127.0.0.1.example.com") as host:
        api = Kubernetes("https://unused", b64encode(host.certificate.encode()).decode(), lambda: "token")
        api._https, api._host = host.https(), "127.0.0.1.example.com"  # pyright: ignore[reportPrivateUsage]
        return ask("check", "", "kubernetes", "get", check, *arguments).answer(api)


CASES: list[tuple[Any, ...]] = [
    (
        cluster.deployments,
        (["trading"],),
        {DEPLOYMENTS: [deployment(3)]},
        {DEPLOYMENTS: [deployment(1)]},
        "trading/orders has 1 of 3 replicas",
    ),
    (
        cluster.deployments,
        (["trading"],),
        {DEPLOYMENTS: [deployment(3)]},
        {DEPLOYMENTS: []},
        "trading have no Deployments",
    ),
    (
        cluster.zones,
        (["trading"], 3),
        {NODES: ZONES, DEPLOYMENTS: [deployment(3)], PODS: [pod("a"), pod("b"), pod("c")]},
        {NODES: ZONES, DEPLOYMENTS: [deployment(3)], PODS: [pod("a"), pod("b"), pod("c", ready="False")]},
        "trading/orders is ready in 2 of 3 zones",
    ),
    (
        cluster.zones,
        (["trading"], 2),
        {NODES: ZONES, DEPLOYMENTS: [deployment(2, domains=3)], PODS: [pod("a"), pod("b")]},
        {NODES: ZONES, DEPLOYMENTS: [deployment(2, domains=3)], PODS: [pod("a"), pod("a")]},
        "trading/orders is ready in 1 of 2 zones",
    ),
    (
        cluster.nodes,
        (),
        {NODES: ZONES, CLASSES: [named("trading", status=conditions(Ready="True"))]},
        {NODES: [node("a", "x", "False")], CLASSES: [named("trading", status=conditions(Ready="False"))]},
        "the node a isn't ready; the node class trading isn't ready",
    ),
    (cluster.nodes, (), {NODES: ZONES}, {NODES: []}, "the cluster has no nodes"),
    (
        cluster.scaled_objects,
        ("trading",),
        {SCALED: [named("orders", status=conditions(Ready="True", Active="False", Fallback="False"))]},
        {
            SCALED: [
                named("orders", status=conditions(Ready="False")),
                named("accounts", status=conditions(Ready="True", Fallback="True")),
            ]
        },
        "KEDA can't scale trading/orders; KEDA can't read the metrics of trading/accounts",
    ),
    (
        cluster.scaled_objects,
        ("trading",),
        {SCALED: [named("orders", status=conditions(Ready="True"))]},
        {},
        "trading has no ScaledObjects",
    ),
    (
        cluster.identities,
        ([("trading", "orders")],),
        {PODS: [pod("a", CREDENTIALS), pod("b", account="other")]},
        {PODS: [pod("a", CREDENTIALS), pod("b")]},
        "1 of 2 pods have no credentials: trading/orders-b",
    ),
    (
        cluster.network_policies,
        (),
        {SWITCH: ENABLED, POLICIES: [named("deny")], POLICY_ENDPOINTS: [policy_endpoint("deny")]},
        {
            SWITCH: ENABLED,
            POLICIES: [named("deny"), named("orders")],
            POLICY_ENDPOINTS: [policy_endpoint("deny")],
        },
        "nothing enforces trading/orders",
    ),
    (
        cluster.closed_ports,
        ("trading",),
        {PODS: [listening()], f"{POD}:8080/proxy/readyz": Reply(204), CLOSED: DROPPED},
        {PODS: [listening()], f"{POD}:8080/proxy/readyz": Reply(204), CLOSED: REFUSED},
        "a connection to port 65000 of trading/orders-a is refused",
    ),
    (
        cluster.network_policies,
        (),
        {SWITCH: ENABLED},
        {},
        "enable-network-policy-controller of the ConfigMap amazon-vpc-cni is not set",
    ),
]

every_case = pytest.mark.parametrize(
    ("check", "arguments", "passing", "failing", "found"),
    CASES,
    ids=lambda item: getattr(item, "__name__", ""),
)


@every_case
def test_check_passes(
    check: Callable[..., Answer], arguments: Any, passing: Objects, failing: Objects, found: str
) -> None:
    answer = of(passing, check, *arguments)
    assert answer.status == "pass", answer


@every_case
def test_check_fails_and_says_what_to_do(
    check: Callable[..., Answer], arguments: Any, passing: Objects, failing: Objects, found: str
) -> None:
    answer = of(failing, check, *arguments)
    assert (answer.status, answer.found) == ("fail", found)
    assert answer.remedy


@every_case
def test_check_that_may_not_be_asked_is_unknown(
    check: Callable[..., Answer], arguments: Any, passing: Objects, failing: Objects, found: str
) -> None:
    answer = of(passing, check, *arguments, status=403)
    assert answer.status == "unknown"
    assert answer.found.startswith("not allowed to get /")
    assert "cluster.adminRoleArns" in answer.remedy


def test_every_check_has_a_case() -> None:
    functions = {
        name
        for name, value in vars(cluster).items()
        if inspect.isfunction(value) and value.__module__ == cluster.__name__ and not name.startswith("_")
    }
    assert functions == {check.__name__ for check, *_ in CASES}


def test_pods_that_do_not_run_say_nothing_about_credentials() -> None:
    assert of({PODS: []}, cluster.identities, [("trading", "orders")]).status == "unknown"


def test_pods_that_the_api_server_does_not_reach_say_nothing_about_policies() -> None:
    objects = {PODS: [listening()], f"{POD}:8080/proxy/readyz": DROPPED}
    answer = of(objects, cluster.closed_ports, "trading")
    assert (answer.status, "port 8080 of trading/orders-a is dropped" in answer.found) == ("unknown", True)
    assert of({PODS: []}, cluster.closed_ports, "trading").status == "unknown"


@pytest.mark.parametrize(
    ("nodes", "dropping", "status", "text"),
    [
        (
            "ab",
            "ab",
            "pass",
            "are dropped on 2 of 2 nodes with pods; connections between pods haven't been tried",
        ),
        ("ab", "a", "fail", "port 65000 of trading/orders-b is refused"),
        ("abcdefg", "abcdefg", "pass", "are dropped on 5 of 7 nodes with pods"),
    ],
)
def test_a_pod_of_each_node_is_tried(nodes: str, dropping: str, status: str, text: str) -> None:
    objects: dict[str, Any] = {PODS: [*map(listening, nodes), listening(nodes[0])]}
    for node in nodes:
        objects[f"{PODS}/orders-{node}:8080/proxy/readyz"] = Reply(204)
        objects[f"{PODS}/orders-{node}:{CLOSED_PORT}/proxy/"] = DROPPED if node in dropping else REFUSED
    answer = of(objects, cluster.closed_ports, "trading")
    assert answer.status == status
    assert text in answer.found


def test_connection_that_nobody_answers_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("account.verify.https.SECONDS", 0.2)

    def wait(_: Asked) -> Reply:
        time.sleep(0.5)
        return Reply(200)

    with loopback(wait) as host:
        api = Kubernetes("https://unused", b64encode(host.certificate.encode()).decode(), lambda: "token")
        api._https, api._host = host.https(), HOST  # pyright: ignore[reportPrivateUsage]
        assert api.reach("trading", "orders", CLOSED_PORT, "/") == "dropped"


def test_other_answers_are_unknown() -> None:
    answer = of({}, cluster.nodes, status=500)
    assert (answer.status, answer.found) == ("unknown", "/api/v1/nodes of the cluster answers 500")


def test_token_is_that_of_the_aws_cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = tmp_path / "aws"
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(UnansweredError, match="the AWS CLI can't be run"):
        cluster_token("trading", "us-east-1")
    command.write_text(
        "#!/bin/sh\n[ \"$*\" = '--region us-east-1 eks get-token --cluster-name trading --output json' ] &&\n"
        'echo \'{"status": {"token": "t"}}\'\n'
    )
    command.chmod(0o755)
    assert cluster_token("trading", "us-east-1") == "t"
    with pytest.raises(UnansweredError, match="no token for other"):
        cluster_token("other", "us-east-1")
