"""The cluster tier: the EKS cluster, its node pools, and what every workload needs."""

import json
from typing import Any

import pulumi
import pulumi_aws as aws
import pytest
import yaml

from components.common.access import Endpoint
from components.common.signals import Signal
from components.service.cluster import Cluster, ClusterArgs
from sandbox.aws import invokes
from settings import ClusterSettings
from settings.aws_limits import AUTO_MODE_NODE_HOURS
from tests.unit.harness import ROOT, Graph, context, deploy

FUNCTIONS = invokes._FUNCTIONS  # pyright: ignore[reportPrivateUsage]
CALLER = "aws:index/getCallerIdentity:getCallerIdentity"
CLUSTERS = "aws:eks/getClusters:getClusters"
NODE_CLASS = "kubernetes:eks.amazonaws.com/v1:NodeClass"
NODE_POOL = "kubernetes:karpenter.sh/v1:NodePool"
KEY = "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"


def cluster(**settings: object) -> tuple[Graph, list[Signal]]:
    signals: list[Signal] = []

    def program() -> None:
        provider = aws.Provider("aws-us-east-1", region="us-east-1")
        tier = Cluster(
            "cluster",
            ClusterArgs(
                context=context(provider=provider, key_arn=KEY, log_retention_days=30, protect=True),
                cluster_name="trading-test",
                vpc_id="vpc-0123456789abcdef0",
                vpc_cidr="10.0.0.0/16",
                private_subnet_ids=["subnet-0123456789abcdef0", "subnet-0123456789abcdef1"],
                settings=ClusterSettings.model_validate(settings),
                data_stores={
                    "brokers": Endpoint(security_group_id="sg-0123456789abcdef0", ports=(9098,)),
                    "cache": Endpoint(security_group_id="sg-0123456789abcdef1", ports=(6379, 6380)),
                },
            ),
            pulumi.ResourceOptions(provider=provider),
        )
        signals.extend(tier.signals)

    return deploy(program), signals


def test_api_is_private_unless_networks_are_named():
    private = cluster()[0].only("eks:index:Cluster").inputs
    assert private["endpointPrivateAccess"] is True
    assert private["endpointPublicAccess"] is False
    assert "publicAccessCidrs" not in private
    public = cluster(public_access_cidrs=["203.0.113.0/24"])[0].only("eks:index:Cluster").inputs
    assert public["endpointPublicAccess"] is True
    assert public["publicAccessCidrs"] == ["203.0.113.0/24"]


def test_no_role_is_made_for_nodes_that_auto_mode_does_not_have():
    eks = cluster()[0].only("eks:index:Cluster").inputs
    assert eks["autoMode"]["enabled"] is True
    assert eks["skipDefaultNodeGroup"] is True


def test_secrets_and_node_disks_and_logs_are_encrypted_with_our_key():
    graph, _ = cluster()
    assert graph.only("eks:index:Cluster").inputs["encryptionConfigKeyArn"] == KEY
    # A node of a built-in pool would have a disk with AWS's own key.
    assert graph.only("eks:index:Cluster").inputs["autoMode"]["computeConfig"]["nodePools"] == []
    for node_class in graph.of(NODE_CLASS):
        assert node_class.inputs["spec"]["ephemeralStorage"]["kmsKeyID"] == KEY
    groups = graph.of("aws:cloudwatch/logGroup:LogGroup")
    assert {(group.inputs["kmsKeyId"], group.inputs["retentionInDays"]) for group in groups} == {(KEY, 30)}


def test_log_groups_exist_before_what_writes_them():
    graph, _ = cluster()
    eks = graph.only("eks:index:Cluster")
    assert "cluster-control-plane-logs" in eks.depends_on
    assert graph.named("cluster-control-plane-logs").inputs["name"] == "/aws/eks/trading-test/cluster"
    assert len(eks.inputs["enabledClusterLogTypes"]) == 5
    agents = graph.named("cluster-cloudwatch").depends_on
    assert {
        f"cluster-pods-{kind}-logs" for kind in ("application", "dataplane", "host", "performance")
    } <= agents


def test_cluster_is_protected_in_pulumi_and_in_aws():
    eks = cluster()[0].only("eks:index:Cluster")
    assert eks.protect
    assert eks.inputs["deletionProtection"] is True


def test_administrators_get_access_entries():
    arn = "arn:aws:iam::123456789012:role/team/operators"
    eks = cluster(admin_role_arns=[arn])[0].only("eks:index:Cluster").inputs
    assert eks["authenticationMode"] == "API"
    assert eks["accessEntries"]["operators"]["principalArn"] == arn


def test_viewers_read_everything_and_change_nothing():
    arn = "arn:aws:iam::123456789012:role/preview"
    eks = cluster(viewer_role_arns=[arn])[0].only("eks:index:Cluster").inputs
    entry = eks["accessEntries"]["preview"]
    assert entry["principalArn"] == arn
    policies = [policy["policyArn"] for policy in entry["accessPolicies"].values()]
    assert policies == ["arn:aws:eks::aws:cluster-access-policy/AmazonEKSAdminViewPolicy"]


def test_people_on_call_are_in_the_group_of_the_operators_roles_and_have_no_policy():
    arn = "arn:aws:iam::123456789012:role/on-call"
    eks = cluster(operator_role_arns=[arn])[0].only("eks:index:Cluster").inputs
    assert eks["accessEntries"]["on-call"] == {"principalArn": arn, "kubernetesGroups": ["operators"]}
    bindings = [
        document
        for document in yaml.safe_load_all((ROOT / "k8s/manifests/operators.yaml").read_text())
        if document["kind"].endswith("Binding")
    ]
    assert bindings
    for binding in bindings:
        assert [subject["name"] for subject in binding["subjects"]] == ["operators"]


def test_role_that_creates_the_cluster_needs_no_entry(monkeypatch: pytest.MonkeyPatch):
    def answer(token: str, **outputs: object) -> None:
        monkeypatch.setitem(FUNCTIONS, token, (frozenset[str](), lambda _: outputs))

    arn = "arn:aws:iam::123456789012:role/deployers/pipeline"
    answer(CALLER, arn="arn:aws:sts::123456789012:assumed-role/pipeline/session", accountId="123456789012")
    with pytest.raises(pulumi.RunError, match="pipeline creates the cluster trading-test"):
        cluster(admin_role_arns=[arn])
    # A person has created the cluster, so the pipeline needs the entry.
    answer(CLUSTERS, names=["trading-test"])
    entries = cluster(admin_role_arns=[arn])[0].only("eks:index:Cluster").inputs["accessEntries"]
    assert entries["pipeline"]["principalArn"] == arn


def test_deployers_inside_the_network_are_let_in_before_anything_is_deployed():
    graph, _ = cluster(deployer_cidrs=["10.1.0.0/16", "10.2.0.0/24"])
    admitted = {
        rule.name: rule.inputs
        for rule in graph.of("aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule")
        if "cidrIpv4" in rule.inputs
    }
    assert [rule["cidrIpv4"] for rule in admitted.values()] == ["10.1.0.0/16", "10.2.0.0/24"]
    control_plane = graph.only("eks:index:Cluster").outputs["clusterSecurityGroupId"]
    for rule in admitted.values():
        assert (rule["fromPort"], rule["toPort"]) == (443, 443)
        assert rule["securityGroupId"] == control_plane
    assert admitted.keys() <= graph.only("pulumi:providers:kubernetes").depends_on


def test_version_is_supported_until_we_upgrade_it():
    assert cluster()[0].only("eks:index:Cluster").inputs["upgradePolicy"] == {"supportType": "EXTENDED"}
    standard = cluster(support="STANDARD")[0].only("eks:index:Cluster").inputs["upgradePolicy"]
    assert standard == {"supportType": "STANDARD"}


def configuration(graph: Graph, addon: str) -> dict[str, Any]:
    return json.loads(graph.named(addon, "aws:eks/addon:Addon").inputs["configurationValues"])


def test_addons_have_the_versions_of_the_settings():
    graph, _ = cluster(
        addons={"cloudwatchObservability": "v7.0.0-eksbuild.1", "secretsStore": "v4.0.0-eksbuild.2"}
    )
    versions = {
        addon.inputs["addonName"]: addon.inputs["addonVersion"] for addon in graph.of("aws:eks/addon:Addon")
    }
    assert versions == {
        "amazon-cloudwatch-observability": "v7.0.0-eksbuild.1",
        "aws-secrets-store-csi-driver-provider": "v4.0.0-eksbuild.2",
    }


def test_agents_publish_what_alarms_read_and_stay_out_of_services_pods():
    values = configuration(cluster()[0], "cluster-cloudwatch")
    assert values["containerInsights"] == {"enabled": True}
    assert values["manager"]["applicationSignals"]["autoMonitor"] == {"monitorAllServices": False}


def test_secrets_provider_runs_on_tainted_nodes_and_reaches_what_it_asks():
    graph, _ = cluster()
    values = configuration(graph, "cluster-secrets-store")
    assert values["tolerations"] == [{"operator": "Exists"}]
    assert values["secrets-store-csi-driver"] == {"enableSecretRotation": True}
    policy = graph.only("kubernetes:networking.k8s.io/v1:NetworkPolicy")
    assert policy.inputs["metadata"]["namespace"] == "aws-secrets-manager"
    reached = {
        (peer["ipBlock"]["cidr"], port["port"])
        for rule in policy.inputs["spec"]["egress"]
        for peer in rule["to"]
        for port in rule["ports"]
    }
    assert {("10.0.0.0/16", 443), ("172.20.0.1/32", 443), ("172.20.0.10/32", 53)} <= reached
    assert ("169.254.170.23/32", 80) in reached
    assert not [cidr for cidr, _ in reached if cidr == "0.0.0.0/0"]
    addon = graph.named("cluster-secrets-store", "aws:eks/addon:Addon")
    assert "cluster-secrets-store" in addon.depends_on


def test_changed_kubeconfig_does_not_replace_the_provider():
    provider = cluster()[0].only("pulumi:providers:kubernetes").inputs
    assert provider["clusterIdentifier"] == "trading-test"


def test_every_data_store_port_admits_the_pods_group_alone():
    graph, _ = cluster()
    rules = graph.of("aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule")
    assert [(rule.inputs["securityGroupId"][-1], rule.inputs["fromPort"]) for rule in rules] == [
        ("0", 9098),
        ("1", 6379),
        ("1", 6380),
    ]
    for rule in rules:
        assert rule.inputs["toPort"] == rule.inputs["fromPort"]
        assert rule.inputs["referencedSecurityGroupId"].startswith("sg-")
        assert "cidrIpv4" not in rule.inputs


def test_nodes_deny_traffic_that_no_policy_names():
    graph, _ = cluster()
    policies = {
        node_class.inputs["metadata"]["name"]: node_class.inputs["spec"]["networkPolicy"]
        for node_class in graph.of(NODE_CLASS)
    }
    assert policies == {"trading": "DefaultDeny", "add-ons": "DefaultAllow"}
    for pool in graph.of(NODE_POOL):
        spec = pool.inputs["spec"]["template"]["spec"]
        denies = policies[spec["nodeClassRef"]["name"]] == "DefaultDeny"
        # Otherwise, an add-on without network policies could run on these nodes and have no network.
        assert denies == bool(spec.get("taints"))
        assert all(taint["effect"] == "NoSchedule" for taint in spec.get("taints", []))


def test_nodes_have_their_permissions_in_aws_and_in_the_cluster_before_they_start():
    graph, _ = cluster()
    role = graph.named("cluster-node", "aws:iam/role:Role")
    entry = graph.only("aws:eks/accessEntry:AccessEntry").inputs
    assert (entry["principalArn"], entry["type"]) == (role.outputs["arn"], "EC2")
    association = graph.only("aws:eks/accessPolicyAssociation:AccessPolicyAssociation").inputs
    assert association["policyArn"].endswith("/AmazonEKSAutoNodePolicy")
    for node_class in graph.of(NODE_CLASS):
        assert node_class.inputs["spec"]["role"] == role.id
        assert {
            "cluster-node",
            "cluster-node-AmazonEKSWorkerNodeMinimalPolicy",
            "cluster-node-AmazonEC2ContainerRegistryPullOnly",
            "cluster-disk-key",
        } <= node_class.depends_on


def test_add_ons_go_before_their_nodes():
    graph, _ = cluster()
    for addon in graph.of("aws:eks/addon:Addon"):
        assert "cluster-add-ons" in addon.depends_on


def budgets(**settings: object) -> list[dict[str, Any]]:
    graph, _ = cluster(**settings)
    (found,) = {json.dumps(pool.inputs["spec"]["disruption"]["budgets"]) for pool in graph.of(NODE_POOL)}
    return json.loads(found)


def test_no_node_is_replaced_while_the_market_trades():
    always, *closed = budgets()
    assert always == {"nodes": "10%"}
    assert [(budget["nodes"], budget["schedule"], budget["duration"]) for budget in closed] == [
        ("0", "30 14 * * mon,tue,wed,thu,fri", "6h30m"),  # winter
        ("0", "30 13 * * mon,tue,wed,thu,fri", "6h30m"),  # daylight saving time
    ]
    assert all("Empty" not in budget["reasons"] for budget in closed), "an empty node disrupts nothing"
    assert budgets(market_hours=None) == [always]


def test_a_node_is_replaced_for_a_new_image_long_before_it_expires():
    graph, _ = cluster()
    for pool in graph.of(NODE_POOL):
        spec = pool.inputs["spec"]["template"]["spec"]
        hours = int(spec["expireAfter"].rstrip("h")) + int(spec["terminationGracePeriod"].rstrip("h"))
        assert AUTO_MODE_NODE_HOURS - 48 <= hours <= AUTO_MODE_NODE_HOURS


def test_on_demand_pool_buys_no_spot_capacity_and_is_limited():
    graph, _ = cluster(pods_quota=50)
    pools = {
        pool.inputs["metadata"]["name"]: pool for pool in graph.of("kubernetes:karpenter.sh/v1:NodePool")
    }
    add_ons = pools.pop("add-ons").inputs["spec"]["template"]["spec"]["requirements"]
    assert {"key": "karpenter.sh/capacity-type", "operator": "In", "values": ["on-demand"]} in add_ons
    assert set(pools) == {"on-demand", "spot"}
    for name, pool in pools.items():
        spec = pool.inputs["spec"]
        requirements = {item["key"]: item["values"] for item in spec["template"]["spec"]["requirements"]}
        assert requirements["karpenter.sh/capacity-type"] == [name]
        assert spec["limits"] == {"cpu": "50", "memory": "200Gi"}


def test_quota_holds_the_pods_and_refuses_load_balancers():
    quota = cluster(pods_quota=50)[0].only("kubernetes:core/v1:ResourceQuota").inputs["spec"]["hard"]
    assert quota == {"pods": "50", "services.loadbalancers": "0", "services.nodeports": "0"}


def test_cluster_says_what_healthy_means():
    _, signals = cluster()
    assert {signal.metric for signal in signals} >= {
        "scheduler_pending_pods_UNSCHEDULABLE",
        "cluster_failed_node_count",
    }
