"""The microservice chart, rendered by Helm."""

import math
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.common.workloads import scheduled_zones
from sandbox import tools
from tests.unit.harness import ROOT
from tests.unit.scheduler import schedule

CHART = ROOT / "k8s" / "charts" / "microservice"
VALUES: dict[str, Any] = {
    "name": "orders",
    "image": "ghcr.io/example/orders:1.4.2",
    "port": 8080,
    "endpoints": {"configMap": "orders-endpoints", "checksum": "0a1b2c3d"},
    "cpu": "250m",
    "memory": "256Mi",
    "probes": {"health": "/healthz", "ready": "/readyz"},
    "metrics": {"path": "/metrics", "port": 9797},
    "nodePools": ["on-demand"],
    "spread": {"zones": 2, "podsPerNode": 2},
    "architectures": ["amd64"],
    "priorityClassName": "trading-critical",
    "vpcCidr": "10.0.0.0/16",
    "region": "us-east-1",
    "egress": [{"cidr": "10.0.0.0/16", "port": 5432}],
}


def helm(directory: Path, *arguments: str, **values: Any) -> subprocess.CompletedProcess[str]:
    path = directory / "values.yaml"
    path.write_text(
        yaml.safe_dump({key: value for key, value in (VALUES | values).items() if value is not None})
    )
    return subprocess.run(
        [str(tools.tool("helm")), *arguments, str(CHART), "--values", str(path), "--namespace", "trading"],
        capture_output=True,
        text=True,
        check=False,
    )


def render(directory: Path, **values: Any) -> dict[str, dict[str, Any]]:
    """Kind → the chart's object of that kind."""
    rendered = helm(directory, "template", "orders", **values)
    assert rendered.returncode == 0, rendered.stderr
    return {document["kind"]: document for document in yaml.safe_load_all(rendered.stdout) if document}


def test_helm_lints_the_chart(tmp_path: Path):
    linted = helm(tmp_path, "lint", "--strict")
    assert linted.returncode == 0, linted.stdout + linted.stderr


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("replicas", 3),  # the scaled object sets them
        ("name", "Orders"),
        ("image", "ghcr.io/example/orders"),
        ("image", None),
        ("port", 0),
        ("port", "8080"),
        ("cpu", "lots"),
        ("memory", "256MB"),
        ("probes", {"health": "/healthz"}),
        ("probes", {"health": "healthz", "ready": "/readyz"}),
        ("metrics", {"path": "/metrics", "port": 9797, "interval": "5s"}),
        ("nodePools", []),
        ("architectures", ["x86_64"]),
        ("priorityClassName", "system-node-critical"),
        ("vpcCidr", "10.0.0.0"),
        ("egress", [{"cidr": "10.0.0.0/16"}]),
        ("endpoints", {"configMap": "orders-endpoints"}),
        ("calls", [{"name": "Accounts", "port": 8080}]),
        ("callers", ["-"]),
        ("secrets", {"partner-key": "trading/partner"}),
        ("region", None),
        ("terminationGracePeriodSeconds", 60),  # shorter than the preStop hook
    ],
)
def test_wrong_values_are_refused_by_name(tmp_path: Path, key: str, value: Any):
    refused = helm(tmp_path, "template", "orders", **{key: value})
    assert refused.returncode != 0
    assert key in refused.stderr


def test_pulumi_waits_until_the_deployment_has_given_up(tmp_path: Path):
    deployment = render(tmp_path)["Deployment"]
    waits = int(deployment["metadata"]["annotations"]["pulumi.com/timeoutSeconds"])
    assert waits > deployment["spec"]["progressDeadlineSeconds"]


def test_pulumi_waits_as_long_for_the_service_as_for_its_pods(tmp_path: Path):
    """Pulumi waits for an endpoint of the Service, which the first pod of a new Deployment gives it."""
    objects = render(tmp_path)
    deployment, service = (objects[kind]["metadata"]["annotations"] for kind in ("Deployment", "Service"))
    assert service["pulumi.com/timeoutSeconds"] == deployment["pulumi.com/timeoutSeconds"] == "960"


def test_number_of_pods_is_the_scaled_objects(tmp_path: Path):
    assert "replicas" not in render(tmp_path)["Deployment"]["spec"]


def test_pod_drains_for_longer_than_the_target_group(tmp_path: Path):
    pod = render(tmp_path)["Deployment"]["spec"]["template"]["spec"]
    sleep = pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert 60 < sleep < pod["terminationGracePeriodSeconds"]


def test_no_kubernetes_token_is_mounted(tmp_path: Path):
    objects = render(tmp_path)
    assert objects["Deployment"]["spec"]["template"]["spec"]["automountServiceAccountToken"] is False
    assert objects["ServiceAccount"]["automountServiceAccountToken"] is False


def test_pod_that_starts_before_its_association_still_gets_credentials(tmp_path: Path):
    """EKS's webhook only adds them to pods that start later, and leaves those alone that have them."""
    pod = render(tmp_path)["Deployment"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    environment = {item["name"]: item["value"] for item in container["env"]}
    assert environment["AWS_CONTAINER_CREDENTIALS_FULL_URI"] == "http://169.254.170.23/v1/credentials"
    volume = next(volume for volume in pod["volumes"] if volume["name"] == "eks-pod-identity-token")
    token = volume["projected"]["sources"][0]["serviceAccountToken"]
    assert token["audience"] == "pods.eks.amazonaws.com"
    mount = next(item for item in container["volumeMounts"] if item["name"] == volume["name"])
    assert environment["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"] == f"{mount['mountPath']}/{token['path']}"


def test_every_service_port_has_a_name(tmp_path: Path):
    """If a port has no name, the preview fails when the port changes."""
    ports = render(tmp_path)["Service"]["spec"]["ports"]
    assert {port["name"]: port["port"] for port in ports} == {"http": 8080, "metrics": 9797}
    same = render(tmp_path, metrics={"path": "/metrics", "port": 8080})["Service"]["spec"]["ports"]
    assert [port["name"] for port in same] == ["http"]


def constraints(directory: Path, zones: int, replicas: int) -> list[dict[str, Any]]:
    """The constraints of a service with this minimum of replicas, as `Microservice` sets them."""
    spread = {"zones": scheduled_zones(zones), "podsPerNode": math.ceil(replicas / 2)}
    return render(directory, spread=spread)["Deployment"]["spec"]["template"]["spec"][
        "topologySpreadConstraints"
    ]


@pytest.mark.parametrize(("zones", "replicas"), [(3, 2), (3, 3), (3, 10), (2, 2), (2, 3)])
def test_replicas_never_share_one_node_or_one_of_three_zones(tmp_path: Path, zones: int, replicas: int):
    placed = schedule(constraints(tmp_path, zones, replicas), replicas, zones=zones)
    assert max(Counter(placed).values()) <= math.ceil(replicas / 2)
    if zones == 3:
        assert len({zone for zone, _ in placed}) >= 2


@pytest.mark.parametrize(("zones", "replicas"), [(3, 3), (2, 3)])
def test_lost_zone_does_not_keep_pods_from_the_others(tmp_path: Path, zones: int, replicas: int):
    placed = schedule(constraints(tmp_path, zones, replicas), 10 * replicas, zones=zones, lost=1)
    assert len(placed) == 10 * replicas


def test_pods_scale_out_beside_a_node_that_has_no_room_for_them(tmp_path: Path):
    placed = schedule(constraints(tmp_path, 3, 3), 30, zones=3, others=[(0, 100), (1, 101), (2, 102)])
    assert len(placed) == 30
    assert len(set(placed)) <= 15, "more than one pod on each node"


def test_traffic_is_admitted_from_the_vpc_and_let_out_to_what_is_named(tmp_path: Path):
    spec = render(tmp_path)["NetworkPolicy"]["spec"]
    assert spec["policyTypes"] == ["Ingress", "Egress"]
    assert [port["port"] for port in spec["ingress"][0]["ports"]] == [8080, 9797]
    assert [rule["ports"][0]["port"] for rule in spec["egress"]] == [5432]
    assert "egress" not in render(tmp_path, egress=[])["NetworkPolicy"]["spec"]


def test_tls_port_is_a_port_of_container_and_service_with_the_secret_mounted(tmp_path: Path):
    objects = render(tmp_path, tlsPort=8443)
    pod = objects["Deployment"]["spec"]["template"]["spec"]
    container = pod["containers"][0]
    assert {"name": "https", "containerPort": 8443} in container["ports"]
    assert {"name": "https", "port": 8443, "targetPort": "https"} in objects["Service"]["spec"]["ports"]
    assert {"name": "tls", "mountPath": "/tls", "readOnly": True} in container["volumeMounts"]
    volume = next(volume for volume in pod["volumes"] if volume["name"] == "tls")
    assert volume["secret"] == {"secretName": "orders-tls", "optional": True}


def test_nobody_but_the_scraper_is_admitted_to_plain_ports_where_there_is_tls(tmp_path: Path):
    def admitted(**values: Any) -> list[int]:
        ingress = render(tmp_path, **values)["NetworkPolicy"]["spec"]["ingress"][0]
        return [port["port"] for port in ingress["ports"]]

    assert admitted(tlsPort=8443) == [8443, 9797]
    assert admitted(tlsPort=8443, metrics={"path": "/metrics", "port": 8080}) == [8443, 8080]
    assert "tls" not in str(render(tmp_path)["Deployment"]["spec"]["template"]["spec"]["volumes"])


def peers(rule: dict[str, Any], key: str) -> list[tuple[str, int]]:
    return [
        (peer["podSelector"]["matchLabels"]["app.kubernetes.io/name"], port["port"])
        for peer in rule[key]
        if "podSelector" in peer
        for port in rule["ports"]
    ]


def test_declared_calls_are_let_out_and_let_in(tmp_path: Path):
    caller = render(tmp_path, egress=[], calls=[{"name": "accounts", "port": 8081}])["NetworkPolicy"]["spec"]
    assert [peers(rule, "to") for rule in caller["egress"]] == [[("accounts", 8081)]]
    called = render(tmp_path, callers=["positions"])["NetworkPolicy"]["spec"]
    assert peers(called["ingress"][-1], "from") == [("positions", 8080)]


def annotations(directory: Path, **values: Any) -> dict[str, str]:
    return render(directory, **values)["Deployment"]["spec"]["template"]["metadata"]["annotations"]


def test_pods_change_with_what_they_read_as_they_start(tmp_path: Path):
    before = annotations(tmp_path, secrets={"KEY": "trading/one"})
    assert before["checksum/endpoints"] == "0a1b2c3d"
    after = annotations(tmp_path, secrets={"KEY": "trading/two"})
    assert before["checksum/secrets"] != after["checksum/secrets"]
    assert "checksum/secrets" not in annotations(tmp_path)


def test_secrets_are_files_read_with_the_pods_own_role(tmp_path: Path):
    objects = render(tmp_path, secrets={"PARTNER_KEY": "trading/partner"})
    provider = objects["SecretProviderClass"]["spec"]
    assert provider["provider"] == "aws"
    assert provider["parameters"]["usePodIdentity"] == "true"
    assert yaml.safe_load(provider["parameters"]["objects"]) == [
        {"objectName": "trading/partner", "objectType": "secretsmanager", "objectAlias": "PARTNER_KEY"}
    ]
    assert "secretObjects" not in provider, "no Kubernetes Secret is made of them"
    pod = objects["Deployment"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert {"name": "PARTNER_KEY_FILE", "value": "/mnt/secrets/PARTNER_KEY"} in container["env"]
    mount = next(item for item in container["volumeMounts"] if item["name"] == "secrets")
    assert (mount["mountPath"], mount["readOnly"]) == ("/mnt/secrets", True)
    volume = next(item for item in pod["volumes"] if item["name"] == "secrets")
    assert volume["csi"]["volumeAttributes"] == {
        "secretProviderClass": objects["SecretProviderClass"]["metadata"]["name"]
    }
    assert "SecretProviderClass" not in render(tmp_path)


@pytest.mark.parametrize(
    ("image", "policy"),
    [
        ("ghcr.io/example/orders:1.4.2", "Always"),
        (f"ghcr.io/example/orders:1.4.2@sha256:{'a' * 64}", "IfNotPresent"),
    ],
)
def test_image_without_a_digest_is_pulled_for_each_container(tmp_path: Path, image: str, policy: str) -> None:
    (container,) = render(tmp_path, image=image)["Deployment"]["spec"]["template"]["spec"]["containers"]
    assert container["imagePullPolicy"] == policy
