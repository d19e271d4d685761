"""The eks stand-in registers the same children as the official component.

The official component's children are in `recordings/eks-component-children.json`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from sandbox.aws.provider import AwsProvider
from sandbox.eks import EksProvider
from sandbox.kubernetes.provider import KubernetesProvider
from sandbox.rpc import Provider
from sandbox.values import is_dict, is_list
from tests.engine.test_kubernetes_provider import RECORDINGS, Engine, name, start

RECORDING: dict[str, Any] = json.loads((RECORDINGS / "eks-component-children.json").read_text())

NETWORK = """
import pulumi, pulumi_aws as aws, pulumi_eks as eks, pulumi_kubernetes as k8s
key = aws.kms.Key("key")
vpc = aws.ec2.Vpc("main", cidr_block="10.0.0.0/16")
def subnets(kind, first):
    return [
        aws.ec2.Subnet(
            f"{kind}-{i}",
            vpc_id=vpc.id,
            cidr_block=f"10.0.{first + i}.0/24",
            availability_zone=f"us-east-1{zone}",
        )
        for i, zone in enumerate("abc")
    ]
private, public = subnets("private", 0), subnets("public", 10)
ops = aws.iam.Role("ops", name="ops", assume_role_policy='{"Version":"2012-10-17","Statement":[]}')
"""

PROGRAM = (
    NETWORK
    + """
cluster = eks.Cluster(
    "cluster",
    name="trading",
    version="1.34",
    vpc_id=vpc.id,
    private_subnet_ids=[subnet.id for subnet in private],
    public_subnet_ids=[subnet.id for subnet in public],
    authentication_mode=eks.AuthenticationMode.API,
    auto_mode={"enabled": True},
    endpoint_private_access=True,
    endpoint_public_access=False,
    enabled_cluster_log_types=["api", "audit", "authenticator", "controllerManager", "scheduler"],
    encryption_config_key_arn=key.arn,
    deletion_protection=True,
    tags={"tier": "service"},
    access_entries={
        "ops": {
            "principal_arn": ops.arn,
            "access_policies": {
                "admin": {
                    "access_scope": {"type": "cluster"},
                    "policy_arn": "arn:aws:eks::aws:cluster-access-policy/AmazonEKSClusterAdminPolicy",
                }
            },
        }
    },
)
provider = k8s.Provider("k8s", kubeconfig=cluster.kubeconfig_json, cluster_identifier="trading")
namespace = k8s.core.v1.Namespace(
    "namespace", metadata={"name": "services"}, opts=pulumi.ResourceOptions(provider=provider)
)
pulumi.export("arn", cluster.eks_cluster.arn)
pulumi.export("security group", cluster.cluster_security_group_id)
pulumi.export("uid", namespace.metadata.uid)
"""
)


class Platform(Engine):
    """A session that also has AWS; the EKS cluster has a real API server."""

    def _providers(self) -> list[Provider]:
        aws = AwsProvider(self.sandbox.directory, self.api_servers)
        return [aws, EksProvider(), KubernetesProvider(self.project)]


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    platform = start(tmp_path_factory.mktemp("eks"), PROGRAM, Platform, config={"aws:region": "us-east-1"})
    with platform:
        platform.pulumi("preview")
        platform.up()
        yield platform


def readable(value: Any, names: dict[str, str]) -> Any:
    """Ids and ARNs in the form that the recording uses."""
    if is_dict(value):
        return {key: readable(item, names) for key, item in value.items()}
    if is_list(value):
        return [readable(item, names) for item in value]
    return names.get(value, value) if isinstance(value, str) else value


def test_children_are_those_of_the_official_component(deployed: Platform) -> None:
    state = {(item["type"], name(item["urn"])): item for item in deployed.state()}
    names: dict[str, str] = {}
    for (kind, resource), item in state.items():
        names[item.get("id", "")] = f"<{'ref' if kind == 'aws:iam/role:Role' else 'id of'} {resource}>"
        names[item.get("outputs", {}).get("arn", "")] = f"<arn of {resource}>"
    # The recording's program refers to this role by its ARN.
    names[state["aws:iam/role:Role", "ops"]["outputs"]["arn"]] = "arn:aws:iam::123456789012:role/ops"
    del names["trading"]
    wanted = {(item["type"], item["name"]): item for item in RECORDING["resources"]}
    below = {"cluster"}
    for (_, resource), item in state.items():
        if name(item.get("parent")) in below:
            below.add(resource)
    assert {key for key in state if key[1] in below} == wanted.keys()
    for key, item in wanted.items():
        found = state[key]
        assert name(found.get("parent")).replace("rec-rec", "proto-eks") == item["parent"], key
        assert sorted({name(urn) for urn in found.get("dependencies", [])} - {"ops"}) == item["dependsOn"], (
            key
        )
        # The `aws` provider adds these by itself; they do not come from the component.
        added = {"__defaults", "name", "region"} - item["inputs"].keys()
        inputs = {part: value for part, value in found.get("inputs", {}).items() if part not in added}
        if key[0] == "pulumi:providers:kubernetes":
            assert json.loads(inputs["kubeconfig"]).keys() == json.loads(item["inputs"]["kubeconfig"]).keys()
        else:
            assert readable(inputs, names) == item["inputs"], key


def test_nothing_changes_without_a_change_and_nothing_is_left(deployed: Platform) -> None:
    assert "unchanged" in (text := deployed.up())
    assert "updated" not in text
    assert "to update" not in deployed.pulumi("refresh", "--preview-only")
    program = deployed.project / "__main__.py"
    changed = "deletion_protection=False, upgrade_policy={'support_type': 'STANDARD'}"
    program.write_text(program.read_text().replace("deletion_protection=True", changed))
    deployed.up()
    cluster = next(item["inputs"] for item in deployed.state() if item["type"] == "aws:eks/cluster:Cluster")
    assert cluster["deletionProtection"] is False
    assert cluster["upgradePolicy"]["supportType"] == "STANDARD"
    deployed.pulumi("destroy", "--yes", "--skip-preview")
    assert deployed.api_servers.names() == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            "instance_type='m5.large', auto_mode={'enabled': True}",
            "does not support the argument instanceType",
        ),
        (
            "create_oidc_provider=True, auto_mode={'enabled': True}",
            "does not support the argument createOidcProvider",
        ),
        ("min_size=1", "does not support the argument minSize"),
        ("version='1.34'", "only supports Auto Mode"),
    ],
)
def test_unknown_arguments_are_refused(deployed: Platform, arguments: str, words: str) -> None:
    program = f"eks.Cluster('c', vpc_id=vpc.id, authentication_mode='API', {arguments})"
    (deployed.project / "__main__.py").write_text(NETWORK + program)
    assert words in deployed.pulumi("preview", fails=True)
