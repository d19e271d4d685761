"""Deploys the whole program with every fixture stack, and checks the graph."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from policy.rules.data import STATEFUL as DATA_STORES
from tests.run import ReadOnlyError
from tests.unit import golden
from tests.unit.harness import STACKS, Graph, Registered, deploy_platform, platform, stack_values

STATEFUL = {
    "aws:dynamodb/table:Table",
    "aws:elasticache/replicationGroup:ReplicationGroup",
    "aws:kms/key:Key",
    "aws:msk/cluster:Cluster",
    "aws:rds/cluster:Cluster",
    "aws:rds/clusterInstance:ClusterInstance",
    "aws:rds/globalCluster:GlobalCluster",
    "aws:backup/vault:Vault",
    "aws:s3/bucket:Bucket",
    "aws:amp/workspace:Workspace",
    "eks:index:Cluster",
}

every_stack = pytest.mark.parametrize("stack", STACKS)


def regions(stack: str) -> list[str]:
    return [region["name"] for region in stack_values(stack)["trading:regions"]]


def owner(graph: Graph, resource: Registered) -> str:
    """The tier to which a resource belongs, or an empty string. Of nested tiers, it is the outermost."""
    by_urn = {r.urn: r for r in graph.resources}
    tier = ""
    current: Registered | None = resource
    while current := by_urn.get(current.parent_urn):
        if current.type.startswith("trading:tier:"):
            tier = current.type.removeprefix("trading:tier:")
    return tier


@every_stack
def test_graph_is_the_golden_one(stack: str) -> None:
    change = golden.difference(platform(stack), golden.path(stack).read_text())
    assert not change, f"the graph has changed; if that is intended: make golden, and review\n{change}"


def test_golden_graph_tells_what_has_changed() -> None:
    graph = platform("small")
    topic, table, vpc = (
        next(r for r in graph.resources if r.type == f"aws:{kind}")
        for kind in ("sns/topic:Topic", "dynamodb/table:Table", "ec2/vpc:Vpc")
    )
    moved = replace(table, parent="elsewhere", protect=not table.protect)
    resized = replace(vpc, inputs={**vpc.inputs, "cidrBlock": "10.99.0.0/16"})
    added = replace(topic, name="another")
    others = [r for r in graph.resources if r not in (topic, table, vpc)]
    changed = Graph([*others, moved, resized, added])
    assert golden.difference(changed, golden.render(graph)).splitlines() == sorted(
        [
            f"{topic.name} (aws:sns/topic:Topic): is gone",
            "another (aws:sns/topic:Topic): is new",
            f"{table.name} (aws:dynamodb/table:Table): parent {table.parent} → elsewhere",
            f"{table.name} (aws:dynamodb/table:Table): protection unprotected → protected",
            f'{vpc.name} (aws:ec2/vpc:Vpc): cidrBlock has changed: "10.99.0.0/16"',
        ]
    )
    assert golden.difference(graph, golden.render(graph)) == ""


@every_stack
def test_everything_has_an_explicit_provider(stack: str) -> None:
    """The default provider would use the deployer's region, and no tags."""
    graph = platform(stack)
    astray = [
        r.name for r in graph.resources if r.type.startswith(("aws:", "kubernetes:")) and not r.provider
    ]
    assert astray == []


@every_stack
def test_every_resource_belongs_to_a_tier(stack: str) -> None:
    graph = platform(stack)
    astray = [
        r.name
        for r in graph.resources
        if not owner(graph, r) and not r.type.startswith(("pulumi:providers:", "trading:tier:"))
    ]
    assert astray == []


def test_stateful_resources_of_a_protected_stack_are_protected() -> None:
    stateful = [r for r in platform("full").resources if r.type in STATEFUL]
    assert len({r.type for r in stateful}) == len(STATEFUL)
    assert [r.name for r in stateful if not r.protect] == []


def test_nothing_is_protected_in_an_unprotected_stack() -> None:
    assert [r.name for r in platform("small").resources if r.protect] == []


@every_stack
def test_no_security_group_admits_the_internet(stack: str) -> None:
    graph = platform(stack)
    rules = graph.of("aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule")
    assert rules
    open_to_all = [
        r.name for r in rules if r.inputs.get("cidrIpv4") == "0.0.0.0/0" or r.inputs.get("cidrIpv6")
    ]
    assert open_to_all == []


@every_stack
def test_only_the_alb_is_internet_facing(stack: str) -> None:
    public = [
        lb for lb in platform(stack).of("aws:lb/loadBalancer:LoadBalancer") if not lb.inputs.get("internal")
    ]
    assert {lb.parent for lb in public} == {f"alb-{region}" for region in regions(stack)}


@every_stack
@pytest.mark.parametrize(
    ("token", "path"),
    [
        ("aws:rds/cluster:Cluster", "kmsKeyId"),
        ("aws:dynamodb/table:Table", "serverSideEncryption.kmsKeyArn"),
        ("aws:elasticache/replicationGroup:ReplicationGroup", "kmsKeyId"),
        ("aws:msk/cluster:Cluster", "encryptionInfo.encryptionAtRestKmsKeyArn"),
        ("aws:cloudwatch/logGroup:LogGroup", "kmsKeyId"),
        ("aws:sns/topic:Topic", "kmsMasterKeyId"),
        ("aws:lambda/function:Function", "kmsKeyArn"),
        ("aws:secretsmanager/secret:Secret", "kmsKeyId"),
        ("eks:index:Cluster", "encryptionConfigKeyArn"),
    ],
)
def test_data_is_encrypted_with_our_key(stack: str, token: str, path: str) -> None:
    found = platform(stack).of(token)
    assert found
    for resource in found:
        value: Any = resource.inputs
        for part in path.split("."):
            value = value.get(part, {})
        assert ":kms:" in str(value), f"{resource.name}.{path} is {value!r}"


@every_stack
def test_every_log_group_forgets(stack: str) -> None:
    groups = platform(stack).of("aws:cloudwatch/logGroup:LogGroup")
    assert groups
    assert [group.name for group in groups if not group.inputs.get("retentionInDays")] == []


@every_stack
def test_every_region_carries_its_name(stack: str) -> None:
    """If a tier's name did not contain its region, it would conflict with the tier in a second region."""
    names = [r.name for r in platform(stack).resources if r.type.startswith("trading:tier:") and not r.parent]
    once = {"domain", "identity", "web", "routing", "monitoring"}
    assert [name for name in names if name not in once and not name.endswith(tuple(regions(stack)))] == []


def test_second_region_changes_nothing_of_the_first() -> None:
    """If a region is added to a stack file, all existing resources keep their URNs."""
    values = stack_values("full")
    first = deploy_platform("full", values | {"trading:regions": values["trading:regions"][:1]})
    wider = platform("full")
    before = {r.urn for r in first.resources}
    assert before <= {r.urn for r in wider.resources}


def test_what_is_new_changes_few_dashboards() -> None:
    """If any part of a dashboard changes, a preview prints the whole dashboard."""
    values = stack_values("small")
    values["trading:services"]["positions"] = {"listenerPort": 8084, "consumes": ["executions"]}
    values["trading:tables"] = {"positions": {"hashKey": {"name": "account", "type": "S"}}}
    before, after = (
        {it.name: it.inputs["dashboardBody"] for it in graph.of("aws:cloudwatch/dashboard:Dashboard")}
        for graph in (platform("small"), deploy_platform("small", values))
    )
    assert after.keys() - before.keys() == {"monitoring-positions"}
    assert {name for name in before if before[name] != after[name]} == {"monitoring", "monitoring-tables"}


@every_stack
def test_graph_can_not_be_changed(stack: str) -> None:
    """A graph must be read-only, because many tests share it."""
    graph = platform(stack)
    with pytest.raises(ReadOnlyError):
        graph.resources.clear()
    for part in (graph.looked_up, graph.exports, graph.looked_up[0][1]):
        with pytest.raises(ReadOnlyError):
            part.clear()
    for resource in graph.resources:
        for part in (resource.inputs, resource.outputs, resource.sources):
            with pytest.raises(ReadOnlyError):
                part.clear()


@every_stack
def test_nothing_is_ignored_by_its_position_in_a_list(stack: str) -> None:
    """Pulumi takes the old value at the same position, and a refresh may reorder what AWS has as a set."""
    ignored = {(r.name, path) for r in platform(stack).resources for path in r.ignore_changes}
    assert ignored
    assert {(name, path) for name, path in ignored if "[" in path or "*" in path} == set()


# -- roles of regions ----------------------------------------------------------------------------


def changes(**values: Any) -> list[str]:
    """What other values change of the graph of `full`: new and old resources, and properties that replace."""
    graph = deploy_platform("full", {**stack_values("full"), **values})
    return golden.difference(graph, golden.render(platform("full"))).splitlines()


def test_order_of_the_regions_has_no_meaning() -> None:
    assert changes(**{"trading:regions": stack_values("full")["trading:regions"][::-1]}) == []


def test_a_promotion_moves_what_writes_and_changes_no_data() -> None:
    found = changes(**{"trading:primaryRegion": "eu-west-1"})
    old, new = ([text for text in found if text.endswith(f": is {word}")] for word in ("gone", "new"))
    assert len(old) + len(new) == len(found), "nothing that stays has a property that replaces it"
    assert {text.replace("us-east-1", "eu-west-1").replace("gone", "new") for text in old} == set(new)
    moves = ("migrations-us-east-1", "database-us-east-1-readers")
    assert [text for text in old if not text.startswith(moves)] == []
    assert [text for text in found if any(kind in text for kind in (*DATA_STORES, *STATEFUL))] == []
