"""The autoscaler tier: KEDA and its permissions."""

import json

import pulumi
import pulumi_aws as aws
import pulumi_kubernetes as k8s
import yaml

from components.service.autoscaler import Autoscaler, AutoscalerArgs
from tests.unit.harness import Graph, deploy
from tests.unit.scheduler import schedule

CLUSTER = "arn:aws:eks:us-east-1:123456789012:cluster/trading-test"
WORKSPACE = "arn:aws:aps:us-east-1:123456789012:workspace/ws-12345678-1234-1234-1234-123456789012"


def autoscaler() -> Graph:
    def program() -> None:
        provider = aws.Provider("aws-us-east-1", region="us-east-1")
        kubernetes = k8s.Provider("kubernetes", kubeconfig="{}")
        Autoscaler(
            "autoscaler",
            AutoscalerArgs(
                cluster_name="trading-test",
                cluster_arn=CLUSTER,
                kubernetes=kubernetes,
                vpc_cidr="10.0.0.0/16",
                zones=3,
                image_registry="ghcr.io",
                chart_version="2.21.0",
                metrics_server_version="v0.9.0-eksbuild.11",
                workspace_arn=WORKSPACE,
                queries={"orders": 'sum(rate(orders_total{kind="limit"}[2m]))', "accounts": "vector(1)"},
                ready=[],
            ),
            pulumi.ResourceOptions(provider=provider),
        )

    return deploy(program)


def test_keda_is_pinned_and_starts_after_its_identity():
    release = autoscaler().only("kubernetes:helm.sh/v3:Release")
    assert release.inputs["version"] == "2.21.0"
    assert "autoscaler-identity" in release.depends_on


def test_kedas_images_come_from_the_mirror_of_their_registry():
    values = autoscaler().only("kubernetes:helm.sh/v3:Release").inputs["values"]
    assert values["global"]["image"]["registry"] == "ghcr.io"


def test_kedas_replicas_are_in_different_zones_and_on_different_nodes():
    values = autoscaler().only("kubernetes:helm.sh/v3:Release").inputs["values"]
    replicated = {
        part for part, value in values.items() if isinstance(value, dict) and "replicaCount" in value
    }
    assert replicated == {"operator", "metricsServer", "webhooks"} == set(values["topologySpreadConstraints"])
    for part in replicated:
        constraints = values["topologySpreadConstraints"][part]
        placed = schedule(constraints, values[part]["replicaCount"], zones=3)
        assert len({zone for zone, _ in placed}) == len(set(placed)) == 2


def test_keda_reaches_the_cluster_and_the_workspace_and_nothing_else():
    graph = autoscaler()
    policy = graph.only("kubernetes:networking.k8s.io/v1:NetworkPolicy")
    assert policy.inputs["metadata"]["namespace"] == "keda"
    assert policy.inputs["spec"]["podSelector"] == {}
    rules = policy.inputs["spec"]["egress"]
    cidrs = {peer["ipBlock"]["cidr"] for rule in rules for peer in rule["to"] if "ipBlock" in peer}
    assert "10.0.0.0/16" in cidrs, "the API server and the endpoint of Managed Prometheus"
    assert all(cidr.endswith("/32") for cidr in cidrs - {"10.0.0.0/16"})
    assert rules[-1] == {"to": [{"podSelector": {}}], "ports": [{"protocol": "TCP", "port": 9666}]}
    assert "autoscaler-policy" in graph.only("kubernetes:helm.sh/v3:Release").depends_on


def test_keda_reads_this_workspace_alone():
    policy = json.loads(autoscaler().only("aws:iam/rolePolicy:RolePolicy").inputs["policy"])
    (statement,) = policy["Statement"]
    assert statement["Resource"] == WORKSPACE
    assert all(action.startswith("aps:") and "*" not in action for action in statement["Action"])


def test_only_kedas_service_account_of_this_cluster_takes_on_the_role():
    graph = autoscaler()
    role = json.loads(graph.only("aws:iam/role:Role").inputs["assumeRolePolicy"])["Statement"][0]
    assert role["Principal"] == {"Service": "pods.eks.amazonaws.com"}
    assert role["Condition"]["StringEquals"] == {
        "aws:SourceAccount": "123456789012",
        "aws:RequestTag/eks-cluster-arn": CLUSTER,
        "aws:RequestTag/kubernetes-namespace": "keda",
        "aws:RequestTag/kubernetes-service-account": "keda-operator",
    }
    association = graph.only("aws:eks/podIdentityAssociation:PodIdentityAssociation").inputs
    assert association["clusterName"] == "trading-test"
    assert association["serviceAccount"] == "keda-operator"


def test_triggers_authenticate_as_keda_itself():
    graph = autoscaler()
    authentication = graph.only("kubernetes:keda.sh/v1alpha1:ClusterTriggerAuthentication")
    # `identityOwner` must not be set (kedacore/keda #6418).
    assert authentication.inputs["spec"] == {"podIdentity": {"provider": "aws"}}
    assert "autoscaler-keda" in authentication.depends_on


def test_cpu_triggers_have_a_metrics_server():
    addon = autoscaler().only("aws:eks/addon:Addon").inputs
    assert (addon["addonName"], addon["addonVersion"]) == ("metrics-server", "v0.9.0-eksbuild.11")


def test_every_services_query_is_recorded_under_its_name():
    rules = autoscaler().only("aws:amp/ruleGroupNamespace:RuleGroupNamespace").inputs
    assert rules["workspaceId"] == WORKSPACE.rsplit("/", 1)[-1]
    (group,) = yaml.safe_load(rules["data"])["groups"]
    assert group["interval"] == "30s"
    assert group["rules"] == [
        {
            "record": "trading:scaling_load",
            "expr": 'sum(rate(orders_total{kind="limit"}[2m]))',
            "labels": {"service": "orders"},
        },
        {"record": "trading:scaling_load", "expr": "vector(1)", "labels": {"service": "accounts"}},
    ]
