"""What each type of resource uses all the time, in the items of `prices.yaml`.

Groups that scale count with their minimum size.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from policy.rule import is_list, is_map
from policy.scan.plan import State
from report.planned import UNKNOWN
from report.prices import HOURS_A_MONTH


@dataclass(frozen=True)
class Use:
    """A quantity of an item. The price's period says what a quantity of 1 is."""

    item: str
    quantity: Decimal
    size: str = ""


class UnclearError(Exception):
    """Raised if the quantity is not known. The text is the reason."""


@dataclass(frozen=True)
class Resource:
    """A resource, and the stack that it belongs to."""

    item: State
    stack: Mapping[str, State]
    """URN → resource."""

    @property
    def inputs(self) -> Mapping[str, Any]:
        """The values that the program requests."""
        return self.item.get("inputs", {})

    def get(self, key: str) -> Any:
        """The value of an input that must be known."""
        value = self.inputs.get(key)
        if value is None or value == UNKNOWN:
            raise UnclearError(f"its {key} is not known")
        return value

    def number(self, key: str) -> Decimal:
        """The value of an input that is a number."""
        return _number(key, self.get(key))

    def count(self, key: str) -> Decimal:
        """The number of elements of an input that must have some."""
        self.get(key)
        return Decimal(len(self.items(key)))

    def items(self, key: str) -> list[Any]:
        """The elements of an input that is a list, or nothing if it has no value."""
        value = self.inputs.get(key)
        if value is None:
            return []
        if not is_list(value):
            raise UnclearError(f"its {key} is not known")
        return list(value)

    def source(self, key: str) -> Resource:
        """The one resource from which the value of an input comes."""
        urns = self.item.get("propertyDependencies", {}).get(key, [])
        found = [self.stack[urn] for urn in urns if urn in self.stack]
        if len(found) != 1:
            raise UnclearError(f"the resource that its {key} names is not in the stack")
        return Resource(found[0], self.stack)

    def users(self, kind: str, key: str) -> list[Resource]:
        """The resources of a type whose input takes its value from this one."""
        return [
            Resource(it, self.stack)
            for it in self.stack.values()
            if it["type"] == kind and self.item["urn"] in it.get("propertyDependencies", {}).get(key, [])
        ]


_CLUSTER_INSTANCE = "aws:rds/clusterInstance:ClusterInstance"
_SERVERLESS = "db.serverless"
_PROXY_ACUS = Decimal(8)
"""The least number of ACUs that a proxy pays for (source `proxy-acu` of `prices.yaml`)."""

_RATE = re.compile(r"rate\((\d+) (minute|hour)s?\)")


def _one(item: str) -> Callable[[Resource], Iterator[Use]]:
    """The use of a type of which each resource costs the same."""

    def use(_: Resource) -> Iterator[Use]:
        yield Use(item, Decimal(1))

    return use


def _endpoint(resource: Resource) -> Iterator[Use]:
    """Interface endpoints pay for each Availability Zone; gateway endpoints are free."""
    if resource.inputs.get("vpcEndpointType", "Gateway") == "Interface":
        yield Use("interface-endpoint", resource.count("subnetIds"))


def _load_balancer(resource: Resource) -> Iterator[Use]:
    """One that faces the internet also has a public IPv4 address in each of its subnets."""
    yield Use(f"{resource.get('loadBalancerType')}-load-balancer", Decimal(1))
    if not resource.inputs.get("internal"):
        yield Use("public-ipv4", resource.count("subnets"))


def _cluster_instance(resource: Resource) -> Iterator[Use]:
    size = resource.get("instanceClass")
    if size == _SERVERLESS:
        yield Use("aurora-acu", _least_acus(resource.source("clusterIdentifier")))
    else:
        yield Use("aurora-instance", Decimal(1), size)


def _cluster(resource: Resource) -> Iterator[Use]:
    """The instances are resources of their own. Only the advanced mode of Database Insights costs extra."""
    if resource.inputs.get("databaseInsightsMode") == "advanced":
        vcpus, acus = _capacity(resource)
        yield Use("database-insights-advanced-vcpu", vcpus)
        yield Use("database-insights-advanced-acu", acus)


def _proxy_target(resource: Resource) -> Iterator[Use]:
    """A proxy pays for the capacity of all instances behind it."""
    vcpus, acus = _capacity(resource.source("dbClusterIdentifier"))
    yield Use("rds-proxy-vcpu", vcpus)
    yield Use("rds-proxy-acu", max(acus, _PROXY_ACUS) if acus else acus)


def _capacity(cluster: Resource) -> tuple[Decimal, Decimal]:
    """The vCPUs and the least ACUs of all instances of an Aurora cluster."""
    sizes = [it.get("instanceClass") for it in cluster.users(_CLUSTER_INSTANCE, "clusterIdentifier")]
    serverless = sizes.count(_SERVERLESS)
    vcpus = sum((_vcpus(size) for size in sizes if size != _SERVERLESS), Decimal(0))
    return vcpus, serverless * _least_acus(cluster) if serverless else Decimal(0)


def _least_acus(cluster: Resource) -> Decimal:
    scaling = cluster.get("serverlessv2ScalingConfiguration")
    least = scaling.get("minCapacity") if is_map(scaling) else None
    return _number("serverlessv2ScalingConfiguration.minCapacity", least)


def _vcpus(size: str) -> Decimal:
    """The vCPUs of an instance class: 2 of medium and large, and 4 for each xlarge (Aurora User Guide,
    "Hardware specifications for DB instance classes for Aurora")."""
    step = size.rpartition(".")[2]
    if step in ("medium", "large"):
        return Decimal(2)
    if step == "xlarge":
        return Decimal(4)
    if found := re.fullmatch(r"(\d+)xlarge", step):
        return Decimal(found[1]) * 4
    raise UnclearError(f"the number of vCPUs of {size} is not known")


def _msk_cluster(resource: Resource) -> Iterator[Use]:
    brokers, group = resource.number("numberOfBrokerNodes"), resource.get("brokerNodeGroupInfo")
    try:
        size, volume = group["instanceType"], group["storageInfo"]["ebsStorageInfo"]["volumeSize"]
    except (KeyError, TypeError):
        raise UnclearError("its brokerNodeGroupInfo has no instanceType or no volumeSize") from None
    yield Use("msk-broker", brokers, size)
    yield Use("msk-storage", brokers * _number("volumeSize", volume))


def _replication_group(resource: Resource) -> Iterator[Use]:
    nodes = resource.number("numNodeGroups") * (1 + resource.number("replicasPerNodeGroup"))
    yield Use(f"{resource.get('engine')}-node", nodes, resource.get("nodeType"))


def _table(resource: Resource) -> Iterator[Use]:
    """Writes of a table that has replicas are replicated writes, also in its own Region."""
    replicas = resource.users("aws:dynamodb/tableReplica:TableReplica", "globalTableArn")
    yield from _table_capacity(resource, replicated=bool(replicas))


def _table_replica(resource: Resource) -> Iterator[Use]:
    yield from _table_capacity(resource.source("globalTableArn"), replicated=True)


def _table_capacity(table: Resource, *, replicated: bool) -> Iterator[Use]:
    """The capacity of a table and its indexes. With capacity on demand, a table costs by traffic."""
    if table.inputs.get("billingMode", "PROVISIONED") != "PROVISIONED":
        return
    indexes = table.items("globalSecondaryIndexes")
    write = "dynamodb-replicated-write-capacity" if replicated else "dynamodb-write-capacity"
    for item, key in (("dynamodb-read-capacity", "readCapacity"), (write, "writeCapacity")):
        yield Use(item, table.number(key) + sum(_number(key, index.get(key)) for index in indexes))


def _provisioned_concurrency(resource: Resource) -> Iterator[Use]:
    function = resource.source("functionName")
    gigabytes = function.number("memorySize") / 1024
    architecture = [*function.items("architectures"), "x86_64"][0]
    executions = resource.number("provisionedConcurrentExecutions")
    yield Use("lambda-provisioned-gb", executions * gigabytes, architecture)


def _metric_alarm(resource: Resource) -> Iterator[Use]:
    """An alarm pays for each metric that it evaluates. Anomaly detection evaluates three for each."""
    metrics = [it["metric"] for it in resource.items("metricQueries") if it.get("metric")]
    periods = [it.get("period") for it in metrics] or [resource.inputs.get("period")]
    count = len(periods) * (3 if resource.inputs.get("thresholdMetricId") else 1)
    is_fast = any(period is not None and _number("period", period) < 60 for period in periods)
    yield Use(f"alarm-metric{'-high-resolution' if is_fast else ''}", Decimal(count))


def _health_check(resource: Resource) -> Iterator[Use]:
    """HTTPS, string matching, a short interval and latency graphs are options. Our endpoints are in AWS."""
    kind = resource.get("type")
    options = (
        kind.startswith("HTTPS"),
        kind.endswith("_STR_MATCH"),
        resource.inputs.get("requestInterval") == 10,
        bool(resource.inputs.get("measureLatency")),
    )
    yield Use("health-check", Decimal(1))
    yield Use("health-check-option", Decimal(sum(options)))


def _web_acl(resource: Resource) -> Iterator[Use]:
    """A managed rule group costs as much as a rule."""
    yield Use("web-acl", Decimal(1))
    yield Use("web-acl-rule", resource.count("rules"))


def _secret(resource: Resource) -> Iterator[Use]:
    yield Use("secret", Decimal(1 + len(resource.items("replicas"))))


def _canary(resource: Resource) -> Iterator[Use]:
    schedule = resource.get("schedule")
    expression = str(schedule.get("expression")) if is_map(schedule) else ""
    if not (found := _RATE.fullmatch(expression)):
        raise UnclearError(f"the runs a month of the schedule {expression!r} are not known")
    minutes = int(found[1]) * (60 if found[2] == "hour" else 1)
    yield Use("canary-run", Decimal(HOURS_A_MONTH * 60) / minutes)


USES: Mapping[str, Callable[[Resource], Iterator[Use]]] = {
    "aws:amp/scraper:Scraper": _one("amp-collector"),
    "aws:cloudfront/monitoringSubscription:MonitoringSubscription": _one("cloudfront-additional-metrics"),
    "aws:cloudwatch/compositeAlarm:CompositeAlarm": _one("composite-alarm"),
    "aws:cloudwatch/dashboard:Dashboard": _one("dashboard"),
    "aws:cloudwatch/metricAlarm:MetricAlarm": _metric_alarm,
    "aws:dynamodb/table:Table": _table,
    "aws:dynamodb/tableReplica:TableReplica": _table_replica,
    "aws:ec2/eip:Eip": _one("public-ipv4"),
    "aws:ec2/natGateway:NatGateway": _one("nat-gateway"),
    "aws:ec2/vpcEndpoint:VpcEndpoint": _endpoint,
    "aws:eks/cluster:Cluster": _one("eks-cluster"),
    "aws:elasticache/replicationGroup:ReplicationGroup": _replication_group,
    "aws:kms/key:Key": _one("kms-key"),
    "aws:lambda/provisionedConcurrencyConfig:ProvisionedConcurrencyConfig": _provisioned_concurrency,
    "aws:lb/loadBalancer:LoadBalancer": _load_balancer,
    "aws:msk/cluster:Cluster": _msk_cluster,
    "aws:rds/cluster:Cluster": _cluster,
    _CLUSTER_INSTANCE: _cluster_instance,
    "aws:rds/proxyEndpoint:ProxyEndpoint": _one("rds-proxy-endpoint"),
    "aws:rds/proxyTarget:ProxyTarget": _proxy_target,
    "aws:route53/healthCheck:HealthCheck": _health_check,
    "aws:secretsmanager/secret:Secret": _secret,
    "aws:synthetics/canary:Canary": _canary,
    "aws:wafv2/webAcl:WebAcl": _web_acl,
}
"""Type → what a resource of it uses all the time."""


def uses(resource: Resource) -> list[Use]:
    """What a resource uses all the time.

    Raises:
        UnclearError: the type is not known, or an input that its quantity depends on.
    """
    if found := USES.get(resource.item["type"]):
        return list(found(resource))
    raise UnclearError("report/usage.py does not know this type")


def _number(key: str, value: object) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UnclearError(f"its {key} is not known")
    return Decimal(str(value))
