"""The fixed monthly cost: whole stacks calculated by hand, the quantities of each type, what is unpriced."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from policy.scan.plan import State
from report import cost
from report.cost import Estimate, as_json, as_text, estimate
from report.planned import UNKNOWN
from report.price_classes import BY_TRAFFIC, FREE
from report.prices import Prices, PricesError, load
from report.tiers import SHARED, TIERS
from report.usage import USES, Resource, UnclearError, uses
from tests.policy.stacks import USERS_FILES, users_graph
from tests.policy.states import fixture_state
from tests.unit.harness import STACKS, platforms_with_everything

US, EU = "us-east-1", "eu-west-1"
CLOUDFRONT, ROUTE_53, ALB, API, NLB, SERVICE, MSK, AURORA, MONITORING = TIERS[:-1]

HOUR = Decimal(730)
SECOND = 730 * 3600 * Decimal(1)
MONTH = USE = Decimal(1)

Row = tuple[str, str, str, str, Decimal]
"""Tier, region, item, quantity, and USD a month."""


def row(tier: str, region: str, item: str, quantity: str, usd: str, period: Decimal) -> Row:
    return tier, region, item, quantity, Decimal(quantity) * Decimal(usd) * period


# In one region with one NAT gateway, and with the smallest sizes. Sources of the prices: report/prices.yaml.
SMALL = [
    row(CLOUDFRONT, US, "web-acl", "1", "5", MONTH),
    row(CLOUDFRONT, US, "web-acl-rule", "7", "1", MONTH),
    row(CLOUDFRONT, US, "kms-key", "1", "1", MONTH),  # of the alarms at the edge
    row(ROUTE_53, US, "health-check", "3", "0.50", MONTH),  # the endpoint, the targets and both together
    row(ROUTE_53, US, "health-check-option", "2", "1", MONTH),  # HTTPS and ten seconds
    row(ALB, US, "application-load-balancer", "1", "0.0225", HOUR),  # terrapod 977
    row(ALB, US, "public-ipv4", "3", "0.005", HOUR),  # in three zones
    row(ALB, US, "web-acl", "1", "5", MONTH),
    row(ALB, US, "web-acl-rule", "7", "1", MONTH),
    row(ALB, US, "alarm-metric", "1", "0.10", MONTH),
    row(API, US, "lambda-provisioned-gb arm64", "0.5", "0.0000033334", SECOND),  # 1 environment of 512 MiB
    row(NLB, US, "network-load-balancer", "1", "0.0225", HOUR),  # terrapod 977
    row(SERVICE, US, "eks-cluster", "1", "0.10", HOUR),  # infracost: 73.00 a month
    row(SERVICE, US, "valkey-node cache.t4g.small", "2", "0.0256", HOUR),  # 1 shard with 1 replica
    row(SERVICE, US, "dynamodb-read-capacity", "5", "0.00013", HOUR),  # cloudrift
    row(SERVICE, US, "dynamodb-write-capacity", "5", "0.00065", HOUR),  # infracost: 20 for 9.49 a month
    row(MSK, US, "msk-broker kafka.m7g.large", "3", "0.204", HOUR),
    row(MSK, US, "msk-storage", "30", "0.10", MONTH),  # 10 GiB for each broker
    row(AURORA, US, "aurora-acu", "1", "0.12", HOUR),  # 2 instances with at least 0.5 ACUs
    row(AURORA, US, "rds-proxy-acu", "8", "0.015", HOUR),  # more than the instances' 1 ACU
    row(AURORA, US, "secret", "1", "0.40", MONTH),
    row(MONITORING, US, "alarm-metric", "188", "0.10", MONTH),
    row(MONITORING, US, "composite-alarm", "8", "0.50", MONTH),
    row(MONITORING, US, "dashboard", "7", "3", MONTH),
    row(MONITORING, US, "kms-key", "1", "1", MONTH),
    row(SHARED, US, "interface-endpoint", "11", "0.01", HOUR),  # the API's in 3 zones, and 8 in one
    row(SHARED, US, "nat-gateway", "1", "0.045", HOUR),  # infracost: 32.85 a month
    row(SHARED, US, "public-ipv4", "1", "0.005", HOUR),  # of the NAT gateway
    row(SHARED, US, "kms-key", "1", "1", MONTH),
]

# In two regions with three NAT gateways each.
FULL = [
    row(CLOUDFRONT, US, "web-acl", "1", "5", MONTH),
    row(CLOUDFRONT, US, "web-acl-rule", "7", "1", MONTH),
    row(CLOUDFRONT, US, "kms-key", "1", "1", MONTH),
    row(CLOUDFRONT, EU, "kms-key", "1", "1", MONTH),
    row(ROUTE_53, US, "health-check", "8", "0.50", MONTH),  # four for each region
    # HTTPS and a fast interval, and for the check of orders also a string.
    row(ROUTE_53, US, "health-check-option", "10", "1", MONTH),
    row(ROUTE_53, US, "kms-key", "2", "1", MONTH),  # of the signature, and of the log of queries
    row(ALB, US, "application-load-balancer", "1", "0.0225", HOUR),
    row(ALB, EU, "application-load-balancer", "1", "0.0252", HOUR),  # 15.00 for 595 hours
    *(row(ALB, region, "public-ipv4", "3", "0.005", HOUR) for region in (US, EU)),
    *(row(ALB, region, "web-acl", "1", "5", MONTH) for region in (US, EU)),
    *(row(ALB, region, "web-acl-rule", "7", "1", MONTH) for region in (US, EU)),
    *(row(ALB, region, "alarm-metric", "1", "0.10", MONTH) for region in (US, EU)),
    row(API, US, "lambda-provisioned-gb arm64", "5", "0.0000033334", SECOND),  # 10 environments of 512 MiB
    row(NLB, US, "network-load-balancer", "1", "0.0225", HOUR),
    *(row(SERVICE, region, "eks-cluster", "1", "0.10", HOUR) for region in (US, EU)),
    row(SERVICE, US, "valkey-node cache.r7g.large", "9", "0.1752", HOUR),  # 3 shards with 2 replicas each
    row(SERVICE, EU, "valkey-node cache.r7g.large", "9", "0.1944", HOUR),
    row(SERVICE, US, "dynamodb-read-capacity", "5", "0.00013", HOUR),
    row(SERVICE, EU, "dynamodb-read-capacity", "5", "0.000147", HOUR),
    row(SERVICE, US, "dynamodb-replicated-write-capacity", "5", "0.00065", HOUR),
    row(MSK, US, "msk-broker kafka.m7g.large", "3", "0.204", HOUR),
    row(MSK, US, "msk-storage", "1500", "0.10", MONTH),  # 500 GiB for each broker
    row(AURORA, US, "aurora-instance db.r8g.xlarge", "3", "0.552", HOUR),
    row(AURORA, US, "rds-proxy-vcpu", "12", "0.015", HOUR),  # 3 instances with 4 vCPUs
    *(row(AURORA, region, "secret", "1", "0.40", MONTH) for region in (US, EU)),
    row(MONITORING, US, "alarm-metric", "287", "0.10", MONTH),
    row(MONITORING, EU, "alarm-metric", "270", "0.10", MONTH),
    *(row(MONITORING, region, "composite-alarm", "8", "0.50", MONTH) for region in (US, EU)),
    row(MONITORING, US, "dashboard", "8", "3", MONTH),
    row(MONITORING, US, "kms-key", "1", "1", MONTH),
    row(MONITORING, US, "canary-run", "43800", "0.0012", USE),  # each minute of 730 hours
    row(MONITORING, US, "secret", "1", "0.40", MONTH),  # of the canary
    row(SHARED, US, "interface-endpoint", "27", "0.01", HOUR),  # 9 in three zones
    row(SHARED, EU, "interface-endpoint", "27", "0.011", HOUR),
    row(SHARED, US, "nat-gateway", "3", "0.045", HOUR),
    row(SHARED, EU, "nat-gateway", "3", "0.048", HOUR),
    *(row(SHARED, region, "public-ipv4", "3", "0.005", HOUR) for region in (US, EU)),
    row(SHARED, US, "kms-key", "1", "1", MONTH),
    row(SHARED, EU, "kms-key", "1", "1", MONTH),
]

WITHOUT_PRICE = {
    "small": {"amp-collector", "cloudfront-additional-metrics", "rds-proxy-endpoint"},
    "full": {
        *("amp-collector", "cloudfront-additional-metrics", "rds-proxy-endpoint"),
        *("database-insights-advanced-vcpu", "aurora-instance db.r8g.xlarge", "rds-proxy-vcpu"),
        *("msk-broker kafka.m7g.large", "msk-storage", "network-load-balancer"),
        *("dynamodb-replicated-write-capacity", "lambda-provisioned-gb arm64"),
    },
}


def rows(made: Estimate) -> list[Row]:
    return [
        (it.tier, it.region, f"{it.item} {it.size}".rstrip(), f"{it.quantity.normalize():f}", it.monthly)
        for it in made.lines
    ]


@pytest.mark.parametrize(
    ("stack", "by_hand", "total"), [("small", SMALL, "977.96"), ("full", FULL, "5469.78")]
)
def test_cost_of_a_whole_stack(stack: str, by_hand: list[Row], total: str) -> None:
    made = estimate(fixture_state(stack))
    assert sorted(rows(made)) == sorted(by_hand)
    assert cost.cents(made.total) == cost.cents(sum((it[-1] for it in by_hand), Decimal(0))) == Decimal(total)
    for tier in TIERS:
        assert made.by_tier.get(tier, 0) == sum(it[-1] for it in by_hand if it[0] == tier)
    assert {it.what for it in made.unpriced} == WITHOUT_PRICE[stack]
    assert all(it.quantity and "has no price for it" in it.reason for it in made.unpriced)


def types_of_all_stacks() -> set[str]:
    graphs = [*platforms_with_everything().values(), *map(users_graph, USERS_FILES)]
    found = {it["type"] for stack in STACKS for it in fixture_state(stack)}
    return found | {it.type for graph in graphs for it in graph.resources}


def test_every_type_is_in_one_class() -> None:
    for kind in types_of_all_stacks():
        if kind.startswith("aws:"):
            classes = [name for name, kinds in _CLASSES.items() if kind in kinds]
            assert len(classes) == 1, f"{kind} is in {classes}"


def test_no_class_names_a_type_that_no_stack_has() -> None:
    known = types_of_all_stacks()
    assert {kind for kinds in _CLASSES.values() for kind in kinds} <= known


_CLASSES: Mapping[str, Mapping[str, object]] = {"priced": USES, "by traffic": BY_TRAFFIC, "free": FREE}


def made(kind: str, name: str, inputs: Mapping[str, Any], **sources: State) -> dict[str, Any]:
    """A resource in us-east-1, with the resources from which its inputs come."""
    return {
        "urn": f"urn:pulumi:prod::trading::{kind}::{name}",
        "type": kind,
        "inputs": {"region": US, **inputs},
        "propertyDependencies": {key: [item["urn"]] for key, item in sources.items()},
    }


def used(item: State, *others: State) -> dict[str, str]:
    """Item and size → quantity, of one resource of a stack."""
    stack = {it["urn"]: it for it in (item, *others)}
    return {
        f"{it.item} {it.size}".rstrip(): f"{it.quantity:f}"
        for it in uses(Resource(item, stack))
        if it.quantity
    }


def simple(kind: str, **inputs: Any) -> dict[str, str]:
    return used(made(kind, "it", inputs))


@pytest.mark.parametrize(
    ("kind", "item"),
    [
        ("aws:amp/scraper:Scraper", "amp-collector"),
        ("aws:cloudfront/monitoringSubscription:MonitoringSubscription", "cloudfront-additional-metrics"),
        ("aws:cloudwatch/compositeAlarm:CompositeAlarm", "composite-alarm"),
        ("aws:cloudwatch/dashboard:Dashboard", "dashboard"),
        ("aws:ec2/eip:Eip", "public-ipv4"),
        ("aws:ec2/natGateway:NatGateway", "nat-gateway"),
        ("aws:eks/cluster:Cluster", "eks-cluster"),
        ("aws:kms/key:Key", "kms-key"),
        ("aws:rds/proxyEndpoint:ProxyEndpoint", "rds-proxy-endpoint"),
    ],
)
def test_types_of_which_each_resource_costs_the_same(kind: str, item: str) -> None:
    assert simple(kind) == {item: "1"}


def test_interface_endpoints_cost_by_zone_and_gateway_endpoints_nothing() -> None:
    kind = "aws:ec2/vpcEndpoint:VpcEndpoint"
    assert simple(kind, vpcEndpointType="Interface", subnetIds=[UNKNOWN] * 3) == {"interface-endpoint": "3"}
    assert simple(kind, vpcEndpointType="Gateway") == {} == simple(kind)


def test_load_balancers_that_face_the_internet_have_addresses() -> None:
    kind, subnets = "aws:lb/loadBalancer:LoadBalancer", [UNKNOWN, UNKNOWN]
    public = simple(kind, loadBalancerType="application", internal=False, subnets=subnets)
    assert public == {"application-load-balancer": "1", "public-ipv4": "2"}
    inside = simple(kind, loadBalancerType="network", internal=True, subnets=subnets)
    assert inside == {"network-load-balancer": "1"}


def database(sizes: list[str], **inputs: Any) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """A cluster and its instances."""
    cluster = made("aws:rds/cluster:Cluster", "cluster", inputs)
    kind = "aws:rds/clusterInstance:ClusterInstance"
    return cluster, [
        made(kind, f"instance-{number}", {"instanceClass": size}, clusterIdentifier=cluster)
        for number, size in enumerate(sizes)
    ]


def test_instances_cost_by_class_and_serverless_ones_by_their_least_capacity() -> None:
    scaling = {"minCapacity": 0.5, "maxCapacity": 16}
    cluster, (fixed, serverless) = database(
        ["db.r8g.large", "db.serverless"], serverlessv2ScalingConfiguration=scaling
    )
    assert used(fixed, cluster) == {"aurora-instance db.r8g.large": "1"}
    assert used(serverless, cluster) == {"aurora-acu": "0.5"}


@pytest.mark.parametrize(
    ("size", "vcpus"),
    [("db.t4g.medium", "2"), ("db.r8g.large", "2"), ("db.r8g.xlarge", "4"), ("db.r8g.12xlarge", "48")],
)
def test_proxy_and_database_insights_cost_by_the_instances_vcpus(size: str, vcpus: str) -> None:
    cluster, instances = database([size], databaseInsightsMode="advanced")
    target = made("aws:rds/proxyTarget:ProxyTarget", "target", {}, dbClusterIdentifier=cluster)
    assert used(target, cluster, *instances) == {"rds-proxy-vcpu": vcpus}
    assert used(cluster, *instances) == {"database-insights-advanced-vcpu": vcpus}
    plain, instances = database([size], databaseInsightsMode="standard")
    assert used(plain, *instances) == {}


@pytest.mark.parametrize(("least", "acus"), [(0.5, "8"), (20, "40")])
def test_proxy_of_serverless_instances_pays_for_eight_acus_or_more(least: float, acus: str) -> None:
    scaling = {"minCapacity": least}
    cluster, instances = database(["db.serverless"] * 2, serverlessv2ScalingConfiguration=scaling)
    target = made("aws:rds/proxyTarget:ProxyTarget", "target", {}, dbClusterIdentifier=cluster)
    assert used(target, cluster, *instances) == {"rds-proxy-acu": acus}


def test_brokers_cost_by_type_and_volume() -> None:
    group = {"instanceType": "kafka.m7g.large", "storageInfo": {"ebsStorageInfo": {"volumeSize": 100}}}
    assert simple("aws:msk/cluster:Cluster", numberOfBrokerNodes=6, brokerNodeGroupInfo=group) == {
        "msk-broker kafka.m7g.large": "6",
        "msk-storage": "600",
    }


@pytest.mark.parametrize("engine", ["valkey", "redis"])
def test_nodes_are_shards_times_primary_and_replicas(engine: str) -> None:
    nodes = simple(
        "aws:elasticache/replicationGroup:ReplicationGroup",
        engine=engine,
        nodeType="cache.r7g.large",
        numNodeGroups=3,
        replicasPerNodeGroup=2,
    )
    assert nodes == {f"{engine}-node cache.r7g.large": "9"}


def test_provisioned_tables_cost_by_capacity_and_others_by_traffic() -> None:
    kind = "aws:dynamodb/table:Table"
    index = {"readCapacity": 1, "writeCapacity": 2}
    capacity = {"readCapacity": 5, "writeCapacity": 10, "globalSecondaryIndexes": [index]}
    provisioned = made(kind, "table", {"billingMode": "PROVISIONED", **capacity})
    assert used(provisioned) == {"dynamodb-read-capacity": "6", "dynamodb-write-capacity": "12"}
    assert simple(kind, billingMode="PAY_PER_REQUEST") == {}
    replica = made("aws:dynamodb/tableReplica:TableReplica", "replica", {}, globalTableArn=provisioned)
    replicated = {"dynamodb-read-capacity": "6", "dynamodb-replicated-write-capacity": "12"}
    assert used(provisioned, replica) == replicated == used(replica, provisioned)


@pytest.mark.parametrize(("architectures", "size"), [({"architectures": ["arm64"]}, "arm64"), ({}, "x86_64")])
def test_provisioned_concurrency_costs_by_memory(architectures: dict[str, Any], size: str) -> None:
    function = made("aws:lambda/function:Function", "function", {"memorySize": 512, **architectures})
    kind = "aws:lambda/provisionedConcurrencyConfig:ProvisionedConcurrencyConfig"
    config = made(kind, "config", {"provisionedConcurrentExecutions": 3}, functionName=function)
    assert used(config, function) == {f"lambda-provisioned-gb {size}": "1.5"}


def test_alarms_cost_by_metric_and_resolution() -> None:
    def alarm(**inputs: Any) -> dict[str, str]:
        return simple("aws:cloudwatch/metricAlarm:MetricAlarm", **inputs)

    metric = {"metric": {"period": 60}}
    assert alarm(period=300) == {"alarm-metric": "1"} == alarm()
    assert alarm(period=10) == {"alarm-metric-high-resolution": "1"}
    assert alarm(metricQueries=[metric, metric, {"expression": "a / b"}]) == {"alarm-metric": "2"}
    assert alarm(metricQueries=[{"metric": {"period": 30}}]) == {"alarm-metric-high-resolution": "1"}
    band = [metric, {"expression": "ANOMALY_DETECTION_BAND(m1)"}]
    assert alarm(metricQueries=band, thresholdMetricId="band") == {"alarm-metric": "3"}


@pytest.mark.parametrize(
    ("inputs", "options"),
    [
        ({"type": "CALCULATED"}, {}),
        ({"type": "HTTP"}, {}),
        ({"type": "HTTPS"}, {"health-check-option": "1"}),
        ({"type": "HTTPS", "requestInterval": 10}, {"health-check-option": "2"}),
        (
            {"type": "HTTPS_STR_MATCH", "requestInterval": 30, "measureLatency": True},
            {"health-check-option": "3"},
        ),
    ],
)
def test_health_checks_cost_by_option(inputs: dict[str, Any], options: dict[str, str]) -> None:
    assert simple("aws:route53/healthCheck:HealthCheck", **inputs) == {"health-check": "1", **options}


def test_web_acls_cost_by_rule_and_secrets_by_replica() -> None:
    assert simple("aws:wafv2/webAcl:WebAcl", rules=[{}, {}]) == {"web-acl": "1", "web-acl-rule": "2"}
    assert simple("aws:secretsmanager/secret:Secret") == {"secret": "1"}
    assert simple("aws:secretsmanager/secret:Secret", replicas=[{"region": EU}]) == {"secret": "2"}


@pytest.mark.parametrize(
    ("expression", "runs"),
    [("rate(1 minute)", "43800"), ("rate(5 minutes)", "8760"), ("rate(1 hour)", "730")],
)
def test_canaries_cost_by_run(expression: str, runs: str) -> None:
    assert simple("aws:synthetics/canary:Canary", schedule={"expression": expression}) == {"canary-run": runs}


@pytest.mark.parametrize(
    ("item", "reason"),
    [
        (made("aws:efs/fileSystem:FileSystem", "it", {}), "report/usage.py does not know this type"),
        (made("aws:lb/loadBalancer:LoadBalancer", "it", {}), "its loadBalancerType is not known"),
        (
            made(
                "aws:ec2/vpcEndpoint:VpcEndpoint",
                "it",
                {"vpcEndpointType": "Interface", "subnetIds": UNKNOWN},
            ),
            "its subnetIds is not known",
        ),
        (
            made("aws:rds/clusterInstance:ClusterInstance", "it", {"instanceClass": "db.serverless"}),
            "the resource that its clusterIdentifier names is not in the stack",
        ),
        (
            made("aws:msk/cluster:Cluster", "it", {"numberOfBrokerNodes": 3, "brokerNodeGroupInfo": {}}),
            "its brokerNodeGroupInfo has no instanceType or no volumeSize",
        ),
        (
            made("aws:synthetics/canary:Canary", "it", {"schedule": {"expression": "cron(0 * * * ? *)"}}),
            "the runs a month of the schedule 'cron(0 * * * ? *)' are not known",
        ),
        (
            made("aws:synthetics/canary:Canary", "it", {"schedule": "[secret]"}),
            "the runs a month of the schedule '' are not known",
        ),
        (made("aws:cloudwatch/metricAlarm:MetricAlarm", "it", {"period": "60"}), "its period is not known"),
        (
            made("aws:cloudwatch/metricAlarm:MetricAlarm", "it", {"metricQueries": "[secret]"}),
            "its metricQueries is not known",
        ),
    ],
)
def test_an_unknown_type_or_quantity_is_unpriced(item: dict[str, Any], reason: str) -> None:
    result = estimate([item])
    assert result.total == 0
    assert not result.lines
    assert [(it.what, it.quantity, it.reason) for it in result.unpriced] == [
        (f"{item['type']} it", None, reason)
    ]


def test_a_class_with_an_unknown_number_of_vcpus_is_unpriced() -> None:
    cluster, instances = database(["db.odd"])
    target = made("aws:rds/proxyTarget:ProxyTarget", "target", {}, dbClusterIdentifier=cluster)
    with pytest.raises(UnclearError, match=r"the number of vCPUs of db\.odd is not known"):
        used(target, cluster, *instances)


def test_a_missing_price_is_unpriced_with_its_quantity() -> None:
    """Also if the other items of the same resource have a price."""
    group = {"instanceType": "kafka.m9g.large", "storageInfo": {"ebsStorageInfo": {"volumeSize": 100}}}
    inputs = {"numberOfBrokerNodes": 3, "brokerNodeGroupInfo": group}
    result = estimate([made("aws:msk/cluster:Cluster", "it", inputs)])
    assert [(it.item, it.monthly) for it in result.lines] == [("msk-storage", Decimal(30))]
    assert [(it.what, it.quantity, it.reason) for it in result.unpriced] == [
        ("msk-broker kafka.m9g.large", 3, "report/prices.yaml has no price for it in us-east-1")
    ]
    assert "costs $30.00 a month, and what is unpriced below" in as_text(result, "It", load())
    assert as_json(result)["unpriced"][0]["quantity"] == "3"


def test_without_a_region_only_prices_of_all_regions_apply() -> None:
    items = [
        made("aws:kms/key:Key", "a", {"region": UNKNOWN}),
        made("aws:ec2/natGateway:NatGateway", "b", {}),
    ]
    items[1]["inputs"] = {}
    result = estimate(items)
    assert result.total == 1
    assert [it.reason for it in result.unpriced] == [
        "report/prices.yaml has no price for it in an unknown region"
    ]


def test_prices_differ_by_region() -> None:
    provider = {
        "urn": "urn:pulumi:prod::trading::pulumi:providers:aws::eu",
        "type": "pulumi:providers:aws",
        "inputs": {"region": EU},
    }
    gateway = made("aws:ec2/natGateway:NatGateway", "b", {})
    gateway |= {"inputs": {}, "provider": f"{provider['urn']}::1234"}
    assert estimate([provider, gateway]).total == Decimal("35.04")


def test_free_types_cost_nothing_and_others_are_named() -> None:
    items = [
        made("aws:iam/role:Role", "a", {}),
        made("aws:sqs/queue:Queue", "b", {}),
        made("aws:sqs/queue:Queue", "c", {}),
        made("random:index/randomId:RandomId", "d", {}),
    ]
    result = estimate(items)
    assert result == Estimate(Decimal(0), {}, [], [], {"aws:sqs/queue:Queue": 2})
    assert "2 x aws:sqs/queue:Queue: requests" in as_text(result, "It", load())


def test_every_price_is_of_an_item_that_is_used() -> None:
    """A wrong name of an item would leave its resources unpriced."""
    prices = load()
    items = {it.item for it in prices.prices}
    found = {line.item for stack in STACKS for line in estimate(fixture_state(stack)).lines}
    assert items - found == {"alarm-metric-high-resolution"}
    assert prices.sources.keys() == {it.source for it in prices.prices}


VALID: dict[str, Any] = {
    "checked": "2026-11-27",
    "sources": {"here": {"where": "a repository", "version": "2026"}},
    "prices": [{"item": "kms-key", "region": "all", "usd": "1.00", "per": "month", "source": "here"}],
}


def price_file(folder: Path, **changes: Any) -> Path:
    """A file with one price, whose keys are changed; `None` deletes a key."""
    price: dict[str, Any] = {**VALID["prices"][0], **changes}
    path = folder / "prices.yaml"
    document = {**VALID, "prices": [{key: value for key, value in price.items() if value is not None}]}
    path.write_text(json.dumps(document))
    return path


def test_prices_are_read_as_decimal_numbers(tmp_path: Path) -> None:
    prices = load(price_file(tmp_path, usd="0.1", per="hour"))
    assert prices.prices[0].monthly == Decimal("73.0")


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"usd": "0"}, r"prices\.0\.usd: Input should be greater than 0"),
        ({"usd": "free"}, r"prices\.0\.usd: Input should be a valid decimal"),
        ({"per": "day"}, r"prices\.0\.per: Input should be 'hour', 'second', 'month' or 'use'"),
        ({"item": None}, r"prices\.0\.item: Field required"),
        ({"colour": "red"}, r"prices\.0\.colour: Extra inputs are not permitted"),
        ({"source": "memory"}, "kms-key has the source 'memory'; the sources are: here"),
    ],
)
def test_invalid_prices_are_refused(tmp_path: Path, changes: dict[str, Any], problem: str) -> None:
    with pytest.raises(PricesError, match=problem):
        load(price_file(tmp_path, **changes))


def test_unreadable_and_ambiguous_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "prices.yaml"
    with pytest.raises(PricesError, match="can't be read"):
        load(path)
    path.write_text("{")
    with pytest.raises(PricesError, match="is not valid YAML"):
        load(path)
    path.write_text(json.dumps({**VALID, "prices": [*VALID["prices"], *VALID["prices"]]}))
    with pytest.raises(PricesError, match="kms-key has 2 prices in region all; it must have one"):
        load(path)


def test_command_reads_a_state_and_prints_text_or_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "state.json"
    key = made("aws:kms/key:Key", "key", {})
    path.write_text(json.dumps({"version": 3, "deployment": {"resources": [key]}}))
    assert cost.main(["--state", str(path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"The state costs $1.00 a month (list prices read on {load().checked})."
    assert lines[2].split() == ["Shared", "$1.00"]
    assert lines[3].split() == ["kms-key", US, "1", "x", "1.00", "a", "month", "1.00"]
    assert cost.main(["--state", str(path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "total": "1.00",
        "byTier": {"Shared": "1.00"},
        "lines": [
            {
                "item": "kms-key",
                "size": "",
                "tier": "Shared",
                "region": US,
                "quantity": "1",
                "usd": "1.00",
                "per": "month",
                "source": "kms-pricing",
                "monthly": "1.00",
            }
        ],
        "unpriced": [],
        "byTraffic": {},
    }


def test_command_lists_the_most_expensive_tier_first(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "state.json"
    state = [dict(it) for it in fixture_state("small") if it["urn"].count("::") >= 3]
    path.write_text(json.dumps({"deployment": {"resources": state}}, default=dict))
    assert cost.main(["--state", str(path)]) == 0
    output = capsys.readouterr().out
    tiers = [line.rsplit("$", 1)[0].strip() for line in output.splitlines() if line[:1] not in (" ", "")]
    assert [tier for tier in tiers if tier in TIERS] == [
        *(MSK, AURORA, SHARED, SERVICE, MONITORING, ALB, NLB, CLOUDFRONT, API, ROUTE_53)
    ]


@pytest.mark.parametrize("text", [None, "{}", "\udcff"])
def test_command_refuses_what_is_no_state(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str | None
) -> None:
    path = tmp_path / "state.json"
    if text is not None:
        path.write_text(text, errors="surrogateescape")
    assert cost.main(["--state", str(path)]) == 2
    assert capsys.readouterr().err.startswith(f"error: {path} ")


def test_missing_prices_fail_the_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken() -> Prices:
        raise PricesError("prices.yaml is odd")

    monkeypatch.setattr(cost, "load", broken)
    assert cost.main(["--stack", "local"]) == 2
    assert capsys.readouterr().err == "error: prices.yaml is odd\n"
