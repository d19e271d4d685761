"""Settings: what a stack file can contain, and the error messages for everything else."""

import copy
import json
import re
import subprocess
import sys
from collections.abc import Callable
from ipaddress import IPv4Network
from typing import Any

import jsonschema
import pytest

from policy.values import read_yaml
from sandbox.aws.cloudformation import document
from settings import COUNTRIES, Settings, SettingsError, stack_schema
from settings.schema import values_schema
from tests.unit import aws_values
from tests.unit.existing_network import existing_vpc
from tests.unit.harness import FIXTURES, ROOT, STACKS, without_namespace

Values = dict[str, Any]
Change = Callable[[Values], object]
LONG_HOST = f"{'a' * 60}.{'b' * 60}.example.com"


def stack_file(stack: str) -> Values:
    return read_yaml(FIXTURES / f"{stack}.yaml")


def stack_values(stack: str) -> Values:
    return without_namespace(stack_file(stack)["config"])


def walk(values: Any, path: str) -> tuple[Any, Any]:
    """The object or list that contains the last part of a path such as `regions.0.cidr`, and that part.

    Missing objects on the path are created.
    """
    node = values
    *parents, last = [int(part) if part.isdigit() else part for part in path.split(".")]
    for part in parents:
        if isinstance(part, str) and part not in node:
            node[part] = {}
        node = node[part]
    return node, last


def put(path: str, value: Any) -> Change:
    """Sets the key at a path."""

    def change(values: Values) -> None:
        node, last = walk(values, path)
        node[last] = value

    return change


def drop(path: str) -> Change:
    """Removes the key at a path."""

    def change(values: Values) -> None:
        node, last = walk(values, path)
        del node[last]

    return change


def append(path: str, value: Any) -> Change:
    """Adds an element to the list at a path."""

    def change(values: Values) -> None:
        node, last = walk(values, path)
        node[last].append(value)

    return change


SERVICE = {"listenerPort": 8090}
SECOND_REGION = {
    "name": "eu-west-1",
    "cidr": "10.48.0.0/16",
    "availabilityZones": ["eu-west-1a", "eu-west-1b", "eu-west-1c"],
}
ROLE = "arn:aws:iam::123456789012:role/operators"
INDEX = {"name": "by-venue", "hashKey": {"name": "venue"}}
VPC = existing_vpc({"cidr": "10.9.0.0/16", "availabilityZones": "abc"})
SUBNET = VPC["publicSubnets"][0]

# For each fault: its name, the change of a valid stack file that causes it, and the texts that the error must
# contain. These are the key, the value, and what would be accepted.
BAD: list[tuple[str, Change, tuple[str, ...]]] = [
    # Networks
    ("cidr-too-small", put("regions.0.cidr", "10.0.0.0/24"), ("regions[0].cidr", "10.0.0.0/24", "/20")),
    ("cidr-too-large", put("regions.0.cidr", "10.0.0.0/8"), ("regions[0].cidr", "10.0.0.0/8", "/16")),
    ("cidr-public", put("regions.0.cidr", "8.8.0.0/16"), ("regions[0].cidr", "8.8.0.0/16", "RFC 1918")),
    ("cidr-loopback", put("regions.0.cidr", "127.0.0.0/16"), ("cidr", "127.0.0.0/16", "10.0.0.0/16")),
    ("cidr-host-bits", put("regions.0.cidr", "10.0.0.1/16"), ("cidr", "10.0.0.1/16", "10.0.0.0/16")),
    ("cidr-not-one", put("regions.0.cidr", "ten"), ("regions[0].cidr", '"ten"', "such as 10.0.0.0/16")),
    (
        "cidrs-overlap",
        append("regions", {**SECOND_REGION, "cidr": "10.32.64.0/20"}),
        ("regions:", "10.32.64.0/20", "overlaps", "10.32.0.0/16", "must not overlap"),
    ),
    (
        "host-too-long-for-a-certificate",
        put("domain.host", f"trade.{'a' * 50}.example.com"),
        ("domain", "68 characters", "have only 64", "trade.example.com"),
    ),
    ("host-reserved", put("domain.host", "aws.example.com"), ("domain", "aws.example.com", "Cognito")),
    ("no-region", put("regions", []), ("regions", "[]", "at least 1")),
    ("region-not-one", put("regions.0.name", "Virginia"), ("regions[0].name", "Virginia", "us-east-1")),
    (
        "region-not-agreed-on",
        put("regions.0.name", "me-south-1"),
        ("regions[0].name", "me-south-1", "'us-east-1'", "1 problem:"),
    ),
    (
        "region-twice",
        append("regions", {**SECOND_REGION, "name": "us-east-1", "availabilityZones": ["us-east-1a"] * 2}),
        ("regions[1].availabilityZones", "contains a zone twice"),
    ),
    (
        "region-given-twice",
        append(
            "regions",
            {"name": "us-east-1", "cidr": "10.48.0.0/16", "availabilityZones": ["us-east-1a", "us-east-1b"]},
        ),
        ("regions", "us-east-1", "each must be unique"),
    ),
    # Roles
    (
        "home-missing",
        append("regions", SECOND_REGION),
        ("homeRegion", "required with several regions", "first of the list", "(us-east-1)", "1 problem:"),
    ),
    (
        "home-not-a-region",
        put("homeRegion", "eu-west-1"),
        ("homeRegion", "eu-west-1 is not in regions", "us-east-1", "Lose a region for good"),
    ),
    (
        "primary-not-a-region",
        put("primaryRegion", "eu-west-1"),
        ("primaryRegion", "eu-west-1 is not in regions", "us-east-1", "Lose a region for good"),
    ),
    ("home-not-one", put("homeRegion", "Virginia"), ("homeRegion", "Virginia", "us-east-1")),
    # Places
    (
        "continent-unknown",
        put("regions.0.serves", {"continents": ["UK"]}),
        ("regions[0].serves.continents[0]", '"UK"', "'AF', 'AN', 'AS', 'EU', 'NA', 'OC' or 'SA'"),
    ),
    (
        "country-unknown",
        put("regions.0.serves", {"countries": ["UK"]}),
        ("regions[0].serves.countries[0]", '"UK"', "ISO 3166-1 alpha-2", "such as GB"),
    ),
    (
        "country-that-route-53-does-not-locate",
        put("regions.0.serves", {"countries": ["CX"]}),
        ("regions[0].serves.countries[0]", '"CX"', "that Route 53 supports"),
    ),
    (
        "continent-claimed-twice",
        lambda values: (
            put("regions.0.serves", {"continents": ["EU"]})(values),
            append("regions", {**SECOND_REGION, "serves": {"continents": ["AF", "EU"]}})(values),
        ),
        ("regions", "eu-west-1's serves.continents contains EU", "as does us-east-1's", "to only one region"),
    ),
    (
        "country-claimed-twice",
        put("regions.0.serves", {"countries": ["CH", "CH"]}),
        ("regions", "us-east-1's serves.countries contains CH", "to only one region"),
    ),
    (
        "serves-misspelled",
        put("regions.0.serves", {"continent": ["EU"]}),
        ("regions[0].serves.continent", "did you mean continents?"),
    ),
    (
        "dnssec-not-a-flag",
        put("domain.dnssec", "always"),
        ("domain.dnssec", '"always"', "must be true or false"),
    ),
    (
        "one-zone",
        put("regions.0.availabilityZones", ["us-east-1a"]),
        ("regions[0].availabilityZones", "us-east-1a", "at least 2"),
    ),
    (
        "four-zones",
        put("regions.0.availabilityZones", [f"us-east-1{zone}" for zone in "abcd"]),
        ("regions[0].availabilityZones", "us-east-1d", "at most 3"),
    ),
    (
        "zone-of-another-region",
        put("regions.0.availabilityZones", ["us-east-1a", "us-west-2b"]),
        ("regions[0].availabilityZones", "us-west-2b", "us-east-1a, us-east-1b"),
    ),
    (
        "nat-gateways",
        put("regions.0.natGateways", "two"),
        ("regions[0].natGateways", '"two"', "'perZone' or 'one'"),
    ),
    (
        "vpc-lacks-a-subnet",
        put("regions.0.existingVpc", {**VPC, "isolatedSubnets": VPC["isolatedSubnets"][:2]}),
        ("regions[0]", "existingVpc.isolatedSubnets", "2 subnets", "one subnet per zone"),
    ),
    (
        "vpc-id",
        put("regions.0.existingVpc", {**VPC, "id": "my-vpc"}),
        ("regions[0].existingVpc.id", "my-vpc", "vpc-0123456789abcdef0"),
    ),
    (
        "subnet-cidr",
        put(
            "regions.0.existingVpc",
            {**VPC, "publicSubnets": [*VPC["publicSubnets"][:2], {**SUBNET, "cidr": "x"}]},
        ),
        ("regions[0].existingVpc.publicSubnets[2].cidr", '"x"', "203.0.113.0/24"),
    ),
    # Names
    (
        "zone-does-not-cover-host",
        put("domain.host", "trade.example.org"),
        ("domain", "trade.example.org", "below zone example.com", "trade.example.com"),
    ),
    ("host-is-the-zone", put("domain.host", "example.com"), ("domain", "example.com", "trade.example.com")),
    ("host-not-qualified", put("domain.host", "trade"), ("domain.host", '"trade"', "trade.example.com")),
    ("host-upper-case", put("domain.zone", "Example.com"), ("domain.zone", "Example.com", "lower case")),
    ("environment", put("environment", "Dev_1"), ("environment", "Dev_1", "such as dev")),
    ("environment-too-long", put("environment", "d" * 25), ("environment", "ddd", "at most 24")),
    ("tag-missing", drop("tags.cost-center"), ("tags", "must contain cost-center", "owner, cost-center")),
    ("tag-empty", put("tags.owner", ""), ("tags", "must contain owner")),
    ("tag-not-a-text", put("tags.owner", True), ("tags.owner", "true", "must be a string")),
    # Minimums and maximums
    (
        "replicas-min-above-max",
        put("services.orders.replicas", {"min": 5, "max": 4}),
        ("services.orders.replicas", "min (5)", "max (4)"),
    ),
    (
        "replicas-none",
        put("services.orders.replicas", {"min": 0, "max": 4}),
        ("services.orders", "replicas.min", "at least 1"),
    ),
    (
        "database-role-unknown",
        put("services.orders.databaseRoles", ["orders_admin"]),
        ("services.orders.databaseRoles[0]", "orders_admin", "orders_rw"),
    ),
    (
        "database-role-twice",
        put("services.orders.databaseRoles", ["orders_rw", "orders_rw"]),
        ("services.orders", "databaseRoles", "orders_rw", "must be unique"),
    ),
    (
        "database-roles-without-database",
        put("services.risk", {**SERVICE, "databaseRoles": ["ledger_ro"]}),
        ("services.risk", "databaseRoles", "`database: true`"),
    ),
    *(
        (
            f"database-user-{name}",
            put(f"services.{name}", {**SERVICE, "database": True}),
            (f"services.{name}", name.replace("-", "_"), f"app-{name}"),
        )
        for name in (
            "trading-owner",
            "trading-admin",
            "ledger-ro",
            "accounts-rw",
            "rds-iam",
            "pg-monitor",
            "public",
        )
    ),
    (
        "readers-min-above-max",
        put("database.readers", {"min": 4, "max": 2}),
        ("database.readers", "min (4)", "max (2)"),
    ),
    (
        "readers-too-many",
        put("database.readers", {"min": 1, "max": 16}),
        ("database.readers", "max (16)", "15"),
    ),
    (
        "serverless-min-above-max",
        put("database.serverless", {"min": 4, "max": 2}),
        ("database.serverless", "min (4.0)", "max (2.0)"),
    ),
    (
        "serverless-not-in-halves",
        put("database.serverless", {"min": 0.7, "max": 2}),
        ("database.serverless.min", "0.7", "multiple of 0.5"),
    ),
    (
        "volume-min-above-max",
        put("streaming.volumeGib", {"min": 500, "max": 100}),
        ("streaming.volumeGib", "min (500)", "max (100)"),
    ),
    (
        "volume-too-large",
        put("streaming.volumeGib", {"min": 500, "max": 20_000}),
        ("streaming.volumeGib", "20000", "16384"),
    ),
    (
        "provisioned-min-above-max",
        put("api.provisionedConcurrency", {"min": 3, "max": 2}),
        ("api.provisionedConcurrency", "min (3)", "max (2)"),
    ),
    (
        "provisioned-above-reserved",
        put("api.provisionedConcurrency", {"min": 1, "max": 21}),
        ("api", "provisionedConcurrency.max (21)", "reservedConcurrency (20)"),
    ),
    (
        "table-min-above-max",
        put("tables.orders-idempotency", {"readCapacity": {"min": 9, "max": 8}}),
        ("tables.orders-idempotency.readCapacity", "min (9)", "max (8)"),
    ),
    (
        "table-write-min-above-max",
        put("tables.orders-idempotency", {"writeCapacity": {"min": 9, "max": 8}}),
        ("tables.orders-idempotency.writeCapacity", "min (9)", "max (8)"),
    ),
    (
        "table-no-capacity",
        put("tables.orders-idempotency", {"writeCapacity": {"min": 0, "max": 8}}),
        ("tables.orders-idempotency", "writeCapacity.min", "at least 1"),
    ),
    (
        "table-utilization",
        put("tables.orders-idempotency", {"targetUtilization": 95}),
        ("tables.orders-idempotency.targetUtilization", "95", "90"),
    ),
    (
        "readers-scale-on-one-thing",
        put("database", {"readerCpuPercent": 70, "readerConnections": 500}),
        ("database", "readerCpuPercent", "readerConnections", "give only one"),
    ),
    (
        "no-readers-connections",
        put("database.readerConnections", 0),
        ("database.readerConnections", "0", "1"),
    ),
    (
        "monthly-backup-retention",
        put("database.monthlyBackupRetentionDays", 7),
        ("database.monthlyBackupRetentionDays", "7", "35"),
    ),
    (
        "pausing-behind-the-proxy",
        put("database.serverless", {"min": 0, "max": 2}),
        ("database.serverless.min", "0", "0.5"),
    ),
    (
        "backup-retention",
        put("database.backupRetentionDays", 36),
        ("database.backupRetentionDays", "36", "35"),
    ),
    ("throttle-rate", put("api.throttleRate", 20_000), ("api.throttleRate", "20000", "10000")),
    ("port", put("services.orders.port", 70_000), ("services.orders.port", "70000", "65535")),
    ("port-zero", put("services.orders.listenerPort", 0), ("services.orders.listenerPort", "0", "1")),
    ("cache-replicas", put("cache.replicas", {"min": 1, "max": 6}), ("cache.replicas.max", "6", "5")),
    (
        "cache-nodes-that-do-not-scale",
        put("cache.replicas", {"min": 1, "max": 2}),
        ("cache", "replicas.max (2)", "cache.t4g.small does not support auto scaling", "cache.r7g.large"),
    ),
    (
        "cache-nodes-too-large-to-scale",
        put("cache", {"nodeType": "cache.r7g.4xlarge"}),
        ("cache", "cache.r7g.4xlarge does not support auto scaling"),
    ),
    (
        "cache-scales-from-nothing",
        put("cache", {"replicas": {"min": 0, "max": 2}}),
        ("cache", "replicas.min must be at least 1"),
    ),
    (
        "cache-replica-cpu",
        put("cache.replicaCpuPercent", 80),
        ("cache.replicaCpuPercent", "80", "70"),
    ),
    (
        "request-units-of-a-provisioned-table",
        put("tables.orders-idempotency", {"maxRequestUnits": {"read": 10, "write": 10}}),
        ("tables.orders-idempotency", "maxRequestUnits requires billing onDemand", "readCapacity"),
    ),
    (
        "no-request-units",
        put(
            "tables.orders-idempotency", {"billing": "onDemand", "maxRequestUnits": {"read": 0, "write": 10}}
        ),
        ("tables.orders-idempotency.maxRequestUnits", "read must be at least 1", "-1 to remove"),
    ),
    (
        "billing",
        put("tables.orders-idempotency", {"billing": "payPerRequest"}),
        ("tables.orders-idempotency.billing", "payPerRequest", "onDemand"),
    ),
    ("no-shards", put("cache.shards", 0), ("cache.shards", "0", "1")),
    (
        "no-partitions",
        put("streaming.topics.orders.partitions", 0),
        ("streaming.topics.orders.partitions", "0", "1"),
    ),
    (
        "cpu-percent",
        put("services.orders.scaling.cpuPercent", 101),
        ("services.orders.scaling.cpuPercent", "101", "100"),
    ),
    (
        "threshold",
        put("services.orders.scaling.threshold", 0),
        ("services.orders.scaling.threshold", "0", "greater"),
    ),
    (
        "errors-that-are-all",
        put("services.orders.alerts", {"errorPercent": 100}),
        ("services.orders.alerts.errorPercent", "100", "less than 100"),
    ),
    (
        "latency-beyond-the-last-bucket",
        put("services.orders.alerts", {"latencyMs": 10_000}),
        ("services.orders.alerts.latencyMs", "10000", "less than 10000"),
    ),
    (
        "log-retention",
        put("monitoring.logRetentionDays", 8),
        ("monitoring.logRetentionDays", "8", "7, 14"),
    ),
    # Tokens of an external issuer, throttles, canaries
    (
        "issuer-without-audience",
        put("api.jwt", {"issuer": "https://login.example.com"}),
        ("trading:api.jwt.audience", "is required", "`aud`"),
    ),
    (
        "issuer-without-tls",
        put("api.jwt", {"issuer": "http://login.example.com", "audience": "a"}),
        ("api.jwt.issuer", '"http://login.example.com"', "https", "such as https://login.example.com/"),
    ),
    (
        "issuer-of-this-machine",
        put("api.jwt", {"issuer": "https://localhost", "audience": "a"}),
        ("api.jwt.issuer", '"https://localhost"', "host name"),
    ),
    (
        "issuer-with-a-query",
        put("api.jwt", {"issuer": "https://login.example.com/?tenant=1", "audience": "a"}),
        ("api.jwt.issuer", "must not contain a query"),
    ),
    (
        "keys-without-tls",
        put("api.jwt", {"issuer": "https://a.example.com", "audience": "a", "jwksUrl": "ftp://a.b/keys"}),
        ("api.jwt.jwksUrl", '"ftp://a.b/keys"', "https"),
    ),
    (
        "scope-prefix-with-a-space",
        put("api.jwt", {"issuer": "https://a.example.com", "audience": "a", "scopePrefix": "trading "}),
        ("api.jwt.scopePrefix", '"trading "'),
    ),
    (
        "policies-kept-too-long",
        put("api.jwt", {"issuer": "https://a.example.com", "audience": "a", "cacheSeconds": 7200}),
        ("api.jwt.cacheSeconds", "7200", "3600"),
    ),
    (
        "route-below-another-services-with-an-issuer",
        put(
            "api",
            {
                "jwt": {"issuer": "https://a.example.com", "audience": "a"},
                "routes": {"/api/accounts/prices": {"service": "market-data"}},
            },
        ),
        ("trading:api", "/api/accounts/prices", "below /api/accounts (accounts)", "another path"),
    ),
    (
        "route-throttle-too-high",
        put("api.routes", {"/api/accounts": {"service": "accounts", "throttleRate": 20_000}}),
        ('api.routes["/api/accounts"].throttleRate', "20000", "10000"),
    ),
    (
        "orders-throttle-of-nothing",
        put("api.ordersThrottleBurst", 0),
        ("api.ordersThrottleBurst", "0", "greater than or equal to 1"),
    ),
    (
        "canary-of-everything",
        put("api.canary", {"stableVersions": {"us-east-1": 7}, "percent": 100}),
        ("api.canary.percent", "100", "less than or equal to 99"),
    ),
    (
        "canary-without-a-stable-version",
        put("api.canary", {"stableVersions": {}, "percent": 10}),
        ("api.canary.stableVersions", "at least 1"),
    ),
    (
        "canary-beside-latest",
        put("api.canary", {"stableVersions": {"us-east-1": "$LATEST"}, "percent": 10}),
        ("api.canary.stableVersions.us-east-1", "$LATEST", "integer"),
    ),
    (
        "canary-in-no-region-of-ours",
        put("api.canary", {"stableVersions": {"eu-west-1": 7}, "percent": 10}),
        ("api.canary.stableVersions", "eu-west-1 is not in regions", "known are us-east-1"),
    ),
    # References: the target must exist exactly once
    (
        "route-to-unknown-service",
        put("api.routes", {"/api/risk": {"service": "risk"}}),
        ('api.routes["/api/risk"].service', "risk", "known are accounts, market-data, orders"),
    ),
    (
        "unknown-order-service",
        put("api.orderService", "order"),
        ("api.orderService", "order is not in services", "known are accounts, market-data, orders"),
    ),
    (
        "unknown-table",
        put("services.orders.tables", ["positions"]),
        ("services.orders.tables", "positions", "known are market-data, orders-idempotency"),
    ),
    (
        "unknown-topic-produced",
        put("services.accounts.produces", ["trades"]),
        ("services.accounts.produces", "trades", "known are balances, executions, market-data, orders"),
    ),
    (
        "unknown-topic-consumed",
        put("services.market-data.consumes", ["trades"]),
        ("services.market-data.consumes", "trades", "known are balances, executions, market-data, orders"),
    ),
    (
        "unknown-service-called",
        put("services.orders.calls", ["risk"]),
        ("services.orders.calls", "risk is not in the other services", "known are accounts, market-data"),
    ),
    (
        "service-calls-itself",
        put("services.orders.calls", ["orders"]),
        ("services.orders.calls", "orders is not in the other services", "known are accounts, market-data"),
    ),
    (
        "secret-of-another-region",
        put(
            "services.orders.secrets",
            {"KEY": "arn:aws:secretsmanager:eu-west-1:123456789012:secret:key-AbCdEf"},
        ),
        ("services.orders.secrets", "is not in us-east-1", "give the secret's name"),
    ),
    (
        "secret-file",
        put("services.orders.secrets", {"partner-key": "trading/partner"}),
        ("services.orders.secrets", "partner-key", "pattern"),
    ),
    (
        "secret-id",
        put("services.orders.secrets", {"KEY": "a secret"}),
        ("services.orders.secrets.KEY", "a secret", "such as trading/partner-api-key"),
    ),
    (
        "fallback-replicas",
        put("services.orders.scaling.fallbackReplicas", 99),
        ("services.orders", "scaling.fallbackReplicas (99)", "within replicas (1 to 3)"),
    ),
    (
        "addon-version",
        put("cluster.addons.metricsServer", "0.9.0"),
        ("cluster.addons.metricsServer", "0.9.0", "such as v0.9.0-eksbuild.11"),
    ),
    ("support", put("cluster.support", "standard"), ("cluster.support", "standard", "'STANDARD'")),
    (
        "service-named-twice",
        put("services.risk", {**SERVICE, "name": "risk"}),
        ("services.risk.name", "name is already given by the key above", "leave it out"),
    ),
    (
        "listener-port-twice",
        put("services.risk", {**SERVICE, "listenerPort": 8081}),
        ("services", "listenerPort 8081", "each must be unique"),
    ),
    (
        "route-named-twice",
        put("api.routes", {"/api/accounts": {"path": "/api/accounts", "service": "accounts"}}),
        ('api.routes["/api/accounts"].path', "path is already given by the key above", "leave it out"),
    ),
    (
        "route-of-order-intake",
        put("api.routes", {"/api/orders": {"service": "orders"}}),
        ("api.routes", "/api/orders", "choose another"),
    ),
    (
        "too-many-routes-that-write",
        put(
            "api.routes",
            {f"/api/accounts-{n}": {"service": "accounts", "writes": True} for n in range(35)},
        ),
        ("api: routes", "37 paths, including /api/orders", "has room for 36", "fewer paths"),
    ),
    (
        "route-outside-the-api",
        put("api.routes", {"/accounts": {"service": "accounts"}}),
        ('api.routes["/accounts"]', "such as /api/accounts"),
    ),
    (
        "topic-named-twice",
        put("streaming.topics.orders.name", "orders"),
        ("streaming.topics.orders.name", "name is already given by the key above"),
    ),
    (
        "topics-with-one-metric",
        put("streaming.topics", {"market_data": {}, "market-data": None, "market.data": {}}),
        ("streaming.topics", "market_data and market.data", "rename one"),
    ),
    (
        "topic-of-kafka",
        put("streaming.topics.__consumer_offsets", {}),
        ("streaming.topics.__consumer_offsets", '"__consumer_offsets"'),
    ),
    (
        "compacted-topic-with-an-age",
        put("streaming.topics.orders", {"cleanupPolicy": "compact", "retentionHours": 24}),
        ("streaming.topics.orders", "orders has retentionHours (24)", "leave retentionHours out"),
    ),
    (
        "dead-letters-gone-before-their-topic",
        put("streaming.deadLetterRetentionHours", 12),
        ("trading:streaming", "deadLetterRetentionHours (12)", "of orders", "deadLetter to false"),
    ),
    (
        "dead-letter-topic-taken",
        lambda values: values["streaming"]["topics"].update({"executions_orders.dlq": {}}),
        ('trading:streaming.topics["executions_orders.dlq"]', "orders's dead-letter topic of executions"),
    ),
    (
        "dead-letter-topic-too-long",
        lambda values: (
            put(f"streaming.topics.{'x' * 240}", {})(values),
            put("services.orders.consumes", ["x" * 240])(values),
        ),
        ("trading:services.orders.consumes", ".orders.dlq has 251 characters", "249"),
    ),
    (
        "topic-consumed-twice",
        put("services.orders.consumes", ["executions", "executions"]),
        ("services.orders.consumes", "name executions is given twice"),
    ),
    (
        "topic-produced-twice",
        put("services.orders.produces", ["orders", "orders"]),
        ("services.orders.produces", "name orders is given twice"),
    ),
    (
        "kafka-with-zookeeper",
        put("streaming.kafkaVersion", "3.9.x"),
        ("streaming.kafkaVersion", "3.9.x", "such as 3.9.x.kraft"),
    ),
    (
        "kafka-without-transactions",
        put("streaming.kafkaVersion", "3.7.x.kraft"),
        ("streaming.kafkaVersion", "3.7.x.kraft", "such as 3.9.x.kraft"),
    ),
    (
        "idempotency-table-missing",
        put("tables", {"orders-idempotency": None}),
        ("tables", "must contain orders-idempotency", "order intake"),
    ),
    (
        "too-many-partitions-for-the-brokers",
        put("streaming.topics", {f"t{number}": {"partitions": 480} for number in range(3)}),
        ("streaming.topics", "partitions", "kafka.m7g.large", "1,500", "brokersPerZone"),
    ),
    (
        "too-many-nodes-of-the-cache",
        put("cache", {"shards": 101, "replicas": {"min": 4, "max": 4}}),
        ("cache", "101 shards", "505 nodes", "at most 500"),
    ),
    (
        "too-much-capacity-of-a-table",
        put("tables.orders-idempotency.writeCapacity", {"min": 5, "max": 40_001}),
        ("tables.orders-idempotency", "writeCapacity.max (40001)", "40000"),
    ),
    (
        "too-many-users-of-the-cache",
        put(
            "services",
            {f"s{number}": {"listenerPort": 9000 + number, "cache": True} for number in range(101)},
        ),
        ("services", "services use the cache", "100 users"),
    ),
    (
        "scaled-table-with-an-index",
        put("tables.orders-idempotency", {"indexes": [INDEX], "writeCapacity": {"min": 5, "max": 5}}),
        ("tables.orders-idempotency.readCapacity", "5 to 1000", "scale the indexes", "billing to onDemand"),
    ),
    (
        "index-twice",
        put("tables.orders-idempotency", {"indexes": [INDEX, INDEX]}),
        ("tables.orders-idempotency.indexes", "name by-venue", "each must be unique"),
    ),
    (
        "attribute-of-two-types",
        put(
            "tables.orders-idempotency",
            {"indexes": [{**INDEX, "hashKey": {"name": "account_id", "type": "N"}}]},
        ),
        ("tables.orders-idempotency", "account_id", "type N", "the same type"),
    ),
    (
        "hash-key-is-range-key",
        put("tables.orders-idempotency", {"rangeKey": {"name": "account_id"}}),
        ("tables.orders-idempotency", "hashKey and rangeKey", "account_id"),
    ),
    # Misspelled, at every depth
    ("misspelled-top", put("databse", {}), ("databse", "did you mean database?")),
    ("misspelled-in-model", put("cache.shard", 3), ("cache.shard", "3", "did you mean shards?")),
    ("misspelled-in-range", put("database.readers.mim", 1), ("database.readers.mim", "did you mean min?")),
    (
        "misspelled-in-list",
        put("services.accounts.listnerPort", 1),
        ("services.accounts.listnerPort", "did you mean listenerPort?"),
    ),
    (
        "misspelled-in-optional",
        put("database.serverless.maximum", 4),
        ("database.serverless.maximum", "known keys here are max, min"),
    ),
    (
        "misspelled-in-list-in-list",
        put("tables.orders-idempotency", {"indexes": [{**INDEX, "hash": {"name": "x"}}]}),
        ("tables.orders-idempotency.indexes[0].hash", "did you mean hashKey?"),
    ),
    (
        "snake-case-for-camel-case",
        put("services.orders.scaling.cpu_percents", 70),
        ("services.orders.scaling.cpu_percents", "did you mean cpuPercent?"),
    ),
    # Missing
    (
        "environment-missing",
        drop("environment"),
        ("trading:environment", "is required", "Name of the environ"),
    ),
    ("domain-missing", drop("domain"), ("trading:domain", "is required", "Route 53")),
    ("regions-missing", drop("regions"), ("trading:regions", "is required")),
    ("tags-missing", drop("tags"), ("trading:tags", "is required", "`owner` and `cost-center`")),
    ("zone-missing", drop("domain.zone"), ("trading:domain.zone", "is required", "hosted zone")),
    ("cidr-missing", drop("regions.0.cidr"), ("trading:regions[0].cidr", "is required", "10.0.0.0/16")),
    (
        "listener-port-missing",
        put("services.risk", {}),
        ("services.risk.listenerPort", "is required", "internal load balancer"),
    ),
    ("max-missing", drop("services.orders.replicas.max"), ("services.orders.replicas.max", "is required")),
    # Wrong type
    ("text-for-number", put("cache.shards", "three"), ("cache.shards", '"three"', "valid integer")),
    ("fraction-for-number", put("cache.shards", 1.5), ("cache.shards", "1.5", "integer")),
    ("string-for-boolean", put("protect", "yes"), ("protect", '"yes"', "true or false")),
    ("fraction-for-text", put("cache.engineVersion", 8.1), ("cache.engineVersion", "8.1", "in quotes")),
    (
        "string-for-list",
        put("services.orders.tables", "market-data"),
        ("services.orders.tables", "market-data", "list"),
    ),
    ("list-for-object", put("cache", []), ("cache", "[]", "must be a mapping")),
    (
        "string-for-object",
        put("services.orders", "orders"),
        ("services.orders", '"orders"', "must be a mapping"),
    ),
    # Wrong form
    (
        "image-unpinned",
        put("services.orders.image", "ghcr.io/example/orders"),
        ("services.orders.image", "ghcr.io/example/orders", "1.4.2"),
    ),
    (
        "image-latest",
        put("services.orders.image", "ghcr.io/example/orders:latest"),
        ("services.orders.image", "ghcr.io/example/orders:latest", "must name a fixed version"),
    ),
    (
        "image-port-is-no-version",
        put("services.orders.image", "registry.example.com:5000/orders"),
        ("services.orders.image", "registry.example.com:5000/orders", "1.4.2"),
    ),
    (
        "image-short-digest",
        put("services.orders.image", "ghcr.io/example/orders@sha256:abc"),
        ("services.orders.image", "ghcr.io/example/orders@sha256:abc", "@sha256:"),
    ),
    (
        "image-of-docker-hub",
        put("services.orders.image", "stefanprodan/podinfo:6.15.0"),
        (
            "services.orders.image",
            "stefanprodan/podinfo:6.15.0",
            "docker-images-prod",
            "cluster.imageMirrors",
        ),
    ),
    (
        "image-of-the-kubernetes-registry",
        put("services.orders.image", "registry.k8s.io/pause:3.10"),
        ("services.orders.image", "registry.k8s.io/pause:3.10", "public.ecr.aws or ghcr.io"),
    ),
    (
        "mirror-that-is-docker-hub",
        put("cluster.imageMirrors", {"ghcr.io": "docker.io/example"}),
        ("cluster.imageMirrors", "docker.io/example", "comes from docker.io"),
    ),
    (
        "mirror-in-upper-case",
        put("cluster.imageMirrors", {"ghcr.io": "Registry.example.com"}),
        ("cluster.imageMirrors", "Registry.example.com", "in lower case, such as"),
    ),
    (
        "mirror-with-a-scheme",
        put("cluster.imageMirrors", {"ghcr.io": "https://registry.example.com"}),
        ("cluster.imageMirrors", "https://registry.example.com", "such as 123456789012.dkr.ecr.REGION"),
    ),
    ("service-name", put("services.Orders", SERVICE), ("services.Orders", '"Orders"', "such as orders")),
    ("memory", put("services.orders.memory", "256MB"), ("services.orders.memory", "256MB", "such as 256Mi")),
    ("node-type", put("cache.nodeType", "r7g.large"), ("cache.nodeType", "r7g.large", "cache.r7g.large")),
    (
        "broker-type",
        put("streaming.instanceType", "express.m7g.large"),
        ("streaming.instanceType", "express.m7g.large", "kafka.m7g.large"),
    ),
    (
        "broker-type-of-older-clusters",
        put("streaming.instanceType", "kafka.t3.small"),
        ("streaming.instanceType", "kafka.t3.small", "kafka.m5 or kafka.m7g size", "such as kafka.m7g.large"),
    ),
    (
        "broker-size",
        put("streaming.instanceType", "kafka.m7g.medium"),
        ("streaming.instanceType", "kafka.m7g.medium", "such as kafka.m7g.large"),
    ),
    (
        "engine-version",
        put("database.engineVersion", "17"),
        ("database.engineVersion", '"17"', "such as 17."),
    ),
    ("kubernetes-version", put("cluster.version", "v1.34"), ("cluster.version", "v1.34", "such as 1.")),
    (
        "kubernetes-version-that-eks-left-behind",
        put("cluster.version", "1.20"),
        ("cluster.version", '"1.20"', "that EKS supports", "1.36"),
    ),
    (
        "kubernetes-version-that-eks-does-not-have-yet",
        put("cluster.version", "1.99"),
        ("cluster.version", '"1.99"', "that EKS supports", "1.36"),
    ),
    (
        "kubernetes-version-that-aws-upgrades",
        put("cluster", {"version": "1.33", "support": "STANDARD"}),
        ("cluster", "version 1.33 left standard support on 2026-07-29", "or EXTENDED"),
    ),
    (
        "market-in-no-time-zone",
        put("cluster.marketHours", {"timeZone": "New York"}),
        ("cluster.marketHours.timeZone", "New York", "such as America/New_York"),
    ),
    (
        "market-that-opens-at-25",
        put("cluster.marketHours", {"opens": "25:00"}),
        ("cluster.marketHours.opens", "25:00", "such as 09:30"),
    ),
    (
        "market-that-never-closes",
        put("cluster.marketHours", {"opens": "09:30", "closes": "09:30"}),
        ("cluster.marketHours", "opens and closes are both 09:30", "`marketHours: null`"),
    ),
    (
        "market-day-twice",
        put("cluster.marketHours", {"days": ["mon", "mon"]}),
        ("cluster.marketHours.days", "day mon is given twice"),
    ),
    (
        "existing-endpoint-of-a-service-that-needs-none",
        put("regions.0.existingVpc", {**VPC, "interfaceEndpoints": ["kms"]}),
        ("existingVpc.interfaceEndpoints[0]", '"kms"', "'secretsmanager'"),
    ),
    (
        "existing-endpoint-twice",
        put("regions.0.existingVpc", {**VPC, "interfaceEndpoints": ["sts", "sts"]}),
        ("existingVpc.interfaceEndpoints", "service sts is given twice"),
    ),
    ("topic-name", put("streaming.topics.orders!", {}), ('streaming.topics["orders!"]', "must match")),
    (
        "cleanup-policy",
        put("streaming.topics.orders.cleanupPolicy", "keep"),
        ("streaming.topics.orders.cleanupPolicy", "keep", "'delete' or 'compact'"),
    ),
    (
        "attribute-type",
        put("tables.orders-idempotency", {"hashKey": {"name": "a", "type": "X"}}),
        ("type", '"X"', "'S'"),
    ),
    ("country", put("web.blockedCountries", ["Cuba"]), ("web.blockedCountries[0]", "Cuba", "such as CH")),
    (
        "two-lists-of-countries",
        put("web", {"allowedCountries": ["CH"], "blockedCountries": ["KP"]}),
        ("web", "allowedCountries and blockedCountries exclude each other"),
    ),
    (
        "country-twice",
        put("web.allowedCountries", ["CH", "DE", "CH"]),
        ("web", "allowedCountries CH is given twice"),
    ),
    ("no-origin-secret", put("loadBalancer.originSecrets", []), ("loadBalancer.originSecrets", "at least 1")),
    (
        "three-origin-secrets",
        put("loadBalancer.originSecrets", [1, 2, 3]),
        ("loadBalancer.originSecrets", "at most 2"),
    ),
    (
        "origin-secret-twice",
        put("loadBalancer.originSecrets", [2, 2]),
        ("loadBalancer.originSecrets", "number 2 is given twice"),
    ),
    (
        "listener-rule-without-an-action",
        put("loadBalancer.rules", [{"priority": 1}]),
        (
            "loadBalancer.rules[0]",
            "priority 1 must have exactly one action",
            "forward: api",
            "respond",
            "redirect",
        ),
    ),
    (
        "listener-rule-with-two-actions",
        put("loadBalancer.rules", [{"priority": 1, "forward": "api", "respond": {}}]),
        ("loadBalancer.rules[0]", "must have exactly one action"),
    ),
    (
        "listener-rule-priority-twice",
        put("loadBalancer.rules", [{"priority": 1, "respond": {}}, {"priority": 1, "forward": "api"}]),
        ("loadBalancer.rules", "priority 1 is given twice"),
    ),
    (
        "listener-rule-priority",
        put("loadBalancer.rules", [{"priority": 49, "respond": {}}]),
        ("loadBalancer.rules[0].priority", "49", "48"),
    ),
    (
        "listener-rule-of-too-many-values",
        put(
            "loadBalancer.rules",
            [{"priority": 1, "paths": [f"/api/{n}" for n in range(4)], "forward": "api"}],
        ),
        (
            "loadBalancer.rules[0]",
            "6 condition values (hosts, paths, the origin's secret)",
            "can have only 5",
        ),
    ),
    (
        "answering-listener-rule-of-too-many-values",
        put(
            "loadBalancer.rules",
            [{"priority": 1, "paths": [f"/api/{n}" for n in range(6)], "respond": {}}],
        ),
        ("loadBalancer.rules[0]", "6 condition values (hosts, paths)", "two rules"),
    ),
    (
        "listener-rule-of-too-many-wildcards",
        put("loadBalancer.rules", [{"priority": 1, "paths": ["/api/*/*/*", "/api/?/*/*"], "respond": {}}]),
        ("loadBalancer.rules[0]", "6 wildcards", "can have only 5"),
    ),
    (
        "listener-rule-for-a-path-that-cloudfront-keeps",
        put("loadBalancer.rules", [{"priority": 1, "paths": ["/admin/*"], "respond": {}}]),
        ("loadBalancer.rules[0].paths[0]", "/admin/*", "such as /api/admin/*"),
    ),
    (
        "listener-rule-host-of-another-zone",
        put("loadBalancer.rules", [{"priority": 1, "hosts": ["api.example.org"], "forward": "api"}]),
        ("loadBalancer.rules", "api.example.org", "below zone example.com", "such as api.example.com"),
    ),
    (
        "listener-rule-host-of-a-region",
        put(
            "loadBalancer.rules",
            [{"priority": 1, "hosts": ["eu.origin.small.trade.example.com"], "forward": "api"}],
        ),
        (
            "loadBalancer.rules",
            "eu.origin.small.trade.example.com",
            "not below origin.small.trade.example.com",
        ),
    ),
    (
        "more-hosts-than-a-certificate-holds",
        put(
            "loadBalancer.rules",
            [{"priority": n, "hosts": [f"api{n}.example.com"], "forward": "api"} for n in range(1, 9)],
        ),
        ("loadBalancer.rules", "8 hosts in addition to small.trade.example.com", "room for only 7"),
    ),
    (
        "listener-rule-that-answers-with-a-redirection",
        put("loadBalancer.rules", [{"priority": 1, "respond": {"status": 302}}]),
        ("loadBalancer.rules[0].respond.status", "302", "redirect"),
    ),
    (
        "host-too-long-for-a-listener-rule",
        put("loadBalancer.rules", [{"priority": 1, "hosts": [LONG_HOST], "respond": {}}]),
        ("loadBalancer.rules[0].hosts[0]", LONG_HOST, "has 133 characters", "only 128"),
    ),
    (
        "host-too-long-for-a-redirection",
        put("loadBalancer.rules", [{"priority": 1, "redirect": {"host": LONG_HOST}}]),
        ("loadBalancer.rules[0].redirect.host", LONG_HOST, "has 133 characters", "only 128"),
    ),
    (
        "redirect-in-a-circle",
        put("loadBalancer.rules", [{"priority": 1, "redirect": {"host": "small.trade.example.com"}}]),
        ("loadBalancer.rules[0]", "priority 1 redirects small.trade.example.com to itself", "hosts"),
    ),
    (
        "redirect-to-nowhere-else",
        put("loadBalancer.rules", [{"priority": 1, "redirect": {"permanent": True}}]),
        ("loadBalancer.rules[0].redirect", "needs a host, a path or both"),
    ),
    (
        "tls-port-is-the-http-port",
        put("services.orders.tlsPort", 9898),
        ("services.orders", "tlsPort 9898 is also used for plain HTTP", "such as 8443"),
    ),
    (
        "tls-to-pods-behind-a-load-balancer-without",
        lambda values: (
            put("services.orders.tlsPort", 8443)(values),
            put("internalLoadBalancer.tls", False)(values),
        ),
        ("services.orders.tlsPort", "8443", "requires internalLoadBalancer.tls"),
    ),
    ("price-class", put("web.priceClass", "All"), ("web.priceClass", '"All"', "'PriceClass_All'")),
    (
        "canary-symbol",
        put("monitoring.canary", {"accountId": "canary", "symbol": "zvzzt"}),
        ("monitoring.canary.symbol", "zvzzt", "such as ZVZZT"),
    ),
    (
        "canary-without-account",
        put("monitoring.canary", {"symbol": "ZVZZT"}),
        ("monitoring.canary.accountId", "is required", "An account that only the canary uses"),
    ),
    ("email", put("monitoring.alarmEmails", ["oncall"]), ("monitoring.alarmEmails[0]", "oncall", "@")),
    (
        "admin-role",
        put("cluster.adminRoleArns", ["admin"]),
        ("cluster.adminRoleArns[0]", "admin", "arn:aws:iam"),
    ),
    (
        "public-access",
        put("cluster.publicAccessCidrs", ["all"]),
        ("publicAccessCidrs[0]", "all", "203.0.113.0/24"),
    ),
    (
        "public-access-for-all",
        put("cluster.publicAccessCidrs", ["203.0.113.0/24", "0.0.0.0/0"]),
        ("publicAccessCidrs[1]", "0.0.0.0/0", "203.0.113.0/24", "not the internet"),
    ),
    (
        "deployer-from-half-the-internet",
        put("cluster.deployerCidrs", ["128.0.0.0/1"]),
        ("deployerCidrs[0]", "128.0.0.0/1", "not the internet"),
    ),
    (
        "chart-unpinned",
        put("cluster.kedaVersion", "2.x"),
        ("cluster.kedaVersion", "2.x", "such as 2.21.0", "must be an exact version"),
    ),
    (
        "viewer-role",
        put("cluster.viewerRoleArns", ["viewer"]),
        ("cluster.viewerRoleArns[0]", "viewer", "arn:aws:iam"),
    ),
    (
        "role-both-admin-and-viewer",
        put("cluster", {"adminRoleArns": [ROLE], "viewerRoleArns": [ROLE]}),
        ("trading:cluster", "adminRoleArns, viewerRoleArns and operatorRoleArns", "operators is given twice"),
    ),
    (
        "deployer-network-twice",
        put("cluster.deployerCidrs", ["10.1.0.0/16", "10.1.0.0/16"]),
        ("cluster.deployerCidrs", "10.1.0.0/16 is given twice"),
    ),
    (
        "private-cluster-in-a-vpc-yet-to-come",
        put("cluster.publicAccessCidrs", []),
        ("trading:cluster.publicAccessCidrs", "us-east-1's VPC", "regions[].existingVpc", "203.0.113.0/24"),
    ),
    (
        "private-cluster-in-one-vpc-yet-to-come",
        lambda values: (
            put("cluster", {"deployerCidrs": ["10.1.0.0/16"]})(values),
            put("regions.0.existingVpc", VPC)(values),
            append("regions", SECOND_REGION)(values),
        ),
        ("trading:cluster.publicAccessCidrs", "eu-west-1's VPC", "regions[].existingVpc"),
    ),
    (
        "private-cluster-that-admits-nobody",
        lambda values: (
            put("cluster", {})(values),
            put("regions.0.existingVpc", VPC)(values),
        ),
        ("trading:cluster.publicAccessCidrs", "cluster.deployerCidrs", "such as [10.0.0.0/24]"),
    ),
    # No effect in combination with another setting
    (
        "instance-class-beside-serverless",
        put("database.instanceClass", "db.r8g.2xlarge"),
        ("database.instanceClass", "db.r8g.2xlarge has no effect with serverless", "give only one of them"),
    ),
    *(
        (
            f"{key}-of-readers-that-do-not-scale",
            put("database", {"readers": {"min": 2, "max": 2}, key: 50}),
            (f"database.{key}", "has no effect", "both 2"),
        )
        for key in ("readerCpuPercent", "readerConnections")
    ),
    (
        "cpu-of-replicas-that-do-not-scale",
        put("cache.replicaCpuPercent", 50),
        ("cache.replicaCpuPercent", "has no effect", "both 1"),
    ),
    *(
        (
            f"{key}-of-pods-that-do-not-scale",
            put("services.orders", {"replicas": {"min": 2, "max": 2}, "scaling": {key: 2}}),
            (f"services.orders.scaling.{key}", "has no effect", "both 2"),
        )
        for key in ("threshold", "cpuPercent", "scaleDownSeconds", "fallbackReplicas")
    ),
    *(
        (
            f"{key}-on-demand",
            put("tables.market-data", {"billing": "onDemand", key: value}),
            (f"tables.market-data.{key}", "has no effect with billing onDemand"),
        )
        for key, value in (
            ("readCapacity", {"min": 1, "max": 2}),
            ("writeCapacity", {"min": 1, "max": 2}),
            ("targetUtilization", 50),
        )
    ),
    (
        "utilization-of-fixed-capacity",
        put(
            "tables.orders-idempotency",
            {
                "targetUtilization": 50,
                **{key: {"min": 2, "max": 2} for key in ("readCapacity", "writeCapacity")},
            },
        ),
        ("tables.orders-idempotency.targetUtilization", "has no effect", "neither"),
    ),
    (
        "dead-letters-of-no-topic",
        put(
            "streaming",
            {
                "deadLetterRetentionHours": 800,
                "topics": {
                    name: {"deadLetter": False}
                    for name in ("orders", "executions", "market-data", "balances")
                },
            },
        ),
        ("streaming.deadLetterRetentionHours", "has no effect", "every topic has deadLetter: false"),
    ),
    (
        "places-of-the-only-region",
        put("regions.0.serves", {"continents": ["EU"]}),
        ("regions[0].serves", "has no effect", "us-east-1 is the only region"),
    ),
    # Refused by AWS
    *(
        (f"tag-{name}", put("tags", {"owner": "a", "cost-center": "b", key: value}), ("tags", *says))
        for name, key, value, says in (
            ("of-aws", "aws:team", "a", ("the key begins with aws:",)),
            ("of-AWS", "AWS:team", "a", ("the key begins with aws:",)),
            ("value-of-aws", "team", "aws:a", ("tags.team", "the value begins with aws:")),
            ("sign", "team", "a;b", ("tags.team", "';'", "letters, digits, spaces")),
            ("key-sign", "te*am", "a", ("the key contains '*'",)),
            ("key-length", "k" * 129, "a", ("129 characters", "1 to 128")),
            ("value-length", "team", "v" * 257, ("257 characters", "256")),
            ("no-key", "", "v", ("the key has 0 characters",)),
            ("of-ours", "environment", "a", ("tags.environment", "the platform sets")),
            ("of-ours-in-another-case", "Platform", "a", ("tags.Platform", "the platform sets")),
            ("twice", "Owner", "a", ("tags.Owner", "differs from owner only in case")),
        )
    ),
    (
        "too-many-services",
        lambda values: values["services"].update(
            {f"s{number}": {**SERVICE, "listenerPort": 9000 + number} for number in range(93)}
        ),
        ("services", "has 96 services", "need 102 rule groups", "accepts only 100"),
    ),
    (
        "too-many-tags",
        lambda values: values["tags"].update({f"tag-{number}": "a" for number in range(6)}),
        ("tags", "has 8 tags", "health check accepts only 7 besides environment, platform, Name"),
    ),
    (
        "instance-class-that-is-none",
        put("database", {"instanceClass": "db.r8g.3xlarge"}),
        ("database.instanceClass", "db.r8g.3xlarge", "not in AWS's list", "db.r8g.xlarge"),
    ),
    (
        "node-type-that-is-none",
        put("cache.nodeType", "cache.t4g.large"),
        ("cache.nodeType", "cache.t4g.large", "not in AWS's list", "such as cache.r7g.large"),
    ),
    (
        "instance-class-that-a-region-lacks",
        lambda values: (
            put("database", {"instanceClass": "db.r8a.large"})(values),
            append(
                "regions",
                {**SECOND_REGION, "name": "eu-west-3", "availabilityZones": ["eu-west-3a", "eu-west-3b"]},
            )(values),
        ),
        ("database.instanceClass", "db.r8a.large is not offered in eu-west-3"),
    ),
    (
        "node-type-that-a-region-lacks",
        lambda values: (
            put("cache", {"nodeType": "cache.c8gn.large"})(values),
            append(
                "regions",
                {**SECOND_REGION, "name": "eu-west-3", "availabilityZones": ["eu-west-3a", "eu-west-3b"]},
            )(values),
        ),
        ("cache.nodeType", "cache.c8gn.large is not offered in eu-west-3"),
    ),
    (
        "broker-size-that-is-none",
        put("streaming.instanceType", "kafka.m7g.24xlarge"),
        ("streaming.instanceType", "kafka.m7g.24xlarge", "kafka.m5.24xlarge"),
    ),
    (
        "database-version-that-was-never",
        put("database.engineVersion", "17.3"),
        ("database.engineVersion", "17.3", "17.4", "17.11"),
    ),
    (
        "database-version-of-no-major",
        put("database.engineVersion", "99.1"),
        ("database.engineVersion", "99.1", "17.11"),
    ),
    ("cache-version-that-was-never", put("cache.engineVersion", "8.0.1"), ("cache.engineVersion", "8.0.1")),
    (
        "cache-version-of-no-major",
        put("cache.engineVersion", "6.2"),
        ("cache.engineVersion", "6.2", "7.2, 8.2, 9.1"),
    ),
    (
        "zone-that-is-none",
        put("regions.0.availabilityZones", ["us-east-1a", "us-east-1z"]),
        ("regions[0].availabilityZones", "us-east-1z is not a zone of us-east-1", "us-east-1f"),
    ),
    *(
        (
            f"query-{name}",
            put("services.orders.scaling.query", query),
            ("services.orders.scaling.query", says),
        )
        for name, query, says in (
            ("unbalanced", 'sum(rate(orders_total{service="SERVICE"}[2m])', "unclosed left parenthesis"),
            ("of-nothing", "", "no expression"),
            ("without-a-quote", 'sum(orders_total{service="SERVICE})', "is not valid PromQL"),
            ("of-a-function-that-is-none", "summe(orders_total)", "unknown function"),
            ("of-a-range", "orders_total[2m]", "must have an instant value"),
            ("of-a-subquery", "orders_total[2m:1m]", "must have an instant value"),
            ("of-a-text", '"orders"', "must have an instant value"),
        )
    ),
    ("no-cpu", put("services.orders.cpu", "0m"), ("services.orders.cpu", "0m", "such as 250m")),
    ("no-memory", put("services.orders.memory", "0Mi"), ("services.orders.memory", "0Mi", "such as 256Mi")),
    (
        "path-with-a-space",
        put("services.orders.healthPath", "/health z"),
        ("services.orders.healthPath", "/health z", "such as /healthz"),
    ),
    (
        "route-with-an-empty-part",
        put("api.routes", {"/api//risk": {"service": "orders"}}),
        ('api.routes["/api//risk"]', "such as /api/accounts"),
    ),
    (
        "no-ttl-attribute",
        put("tables.market-data.ttlAttribute", ""),
        ("tables.market-data.ttlAttribute", '""'),
    ),
    (
        "too-many-indexes",
        put("tables.market-data.indexes", [{**INDEX, "name": f"by-{number:03}"} for number in range(21)]),
        ("tables.market-data.indexes", "at most 20"),
    ),
    (
        "address-twice",
        put("monitoring.alarmEmails", ["a@example.com", "a@example.com"]),
        ("monitoring.alarmEmails", "address a@example.com is given twice"),
    ),
    *(
        (
            f"{key}-twice",
            put(f"services.orders.{key}", [name, name]),
            (f"services.orders.{key}", f"name {name} is given twice"),
        )
        for key, name in (("tables", "market-data"), ("calls", "accounts"))
    ),
    (
        "route-table",
        put("regions.0.existingVpc", {**VPC, "routeTableIds": ["main"]}),
        ("regions[0].existingVpc.routeTableIds[0]", "main", "such as rtb-"),
    ),
    (
        "route-table-twice",
        put("regions.0.existingVpc", {**VPC, "routeTableIds": ["rtb-0123456789abcdef0"] * 2}),
        ("regions[0].existingVpc.routeTableIds", "given twice"),
    ),
    # Settings of another version
    (
        "version-missing",
        drop("settingsVersion"),
        ("settingsVersion: 1", "reads version 2", "by name", "Then set"),
    ),
    ("version-older", put("settingsVersion", 1), ("settingsVersion: 1", "mappings by name")),
    ("version-newer", put("settingsVersion", 3), ("settingsVersion: 3", "up to 2", "update the project")),
    ("version-that-is-none", put("settingsVersion", "two"), ("settingsVersion", '"two"', "valid integer")),
    *(
        (f"{path}-as-a-list", put(path, value), (path, "is a list", f"by {key}", says, *removed))
        for path, key, value, says, removed in (
            (
                "services",
                "name",
                [{"name": "orders", "cpu": "1"}],
                '`"orders": {"cpu": "1"}`',
                ("`accounts: null` and `market-data: null`",),
            ),
            (
                "api.routes",
                "path",
                [{"path": "/api/accounts", "service": "accounts"}],
                '`"/api/accounts": {"service": "accounts"}`',
                ("`/api/market-data: null`",),
            ),
            ("streaming.topics", "name", [{"name": "orders"}], '`"orders": {}`', ("`executions: null`",)),
            ("tables", "name", [], '`"NAME": {}`', ("`market-data: null`",)),
        )
    ),
    (
        "nothing-to-remove",
        put("services.risk", None),
        ("services.risk", "removes nothing", "orders, accounts"),
    ),
    (
        "subnet-too-small",
        put("regions.0.existingVpc", {**VPC, "endpointSubnets": [{**SUBNET, "cidr": "10.8.0.0/30"}] * 3}),
        ("regions[0].existingVpc.endpointSubnets[0].cidr", "10.8.0.0/30", "/28 or larger"),
    ),
    (
        "subnet-given-twice",
        put("regions.0.existingVpc", {**VPC, "isolatedSubnets": VPC["privateSubnets"]}),
        ("existingVpc.isolatedSubnets[0].id", VPC["privateSubnets"][0]["id"], "given twice"),
    ),
    (
        "subnets-overlap",
        put("regions.0.existingVpc", {**VPC, "publicSubnets": [{**SUBNET, "cidr": "10.9.0.0/20"}] * 3}),
        ("existingVpc.privateSubnets[0].cidr", "10.9.3.0/24 overlaps 10.9.0.0/20", "must not overlap"),
    ),
    *(
        (
            f"order-table-{key}",
            put("tables", {"orders-idempotency": {key: value}}),
            (f"tables.orders-idempotency.{key}", "order intake needs", "leave it out"),
        )
        for key, value in (("hashKey", {"name": "id"}), ("rangeKey", None), ("ttlAttribute", None))
    ),
    *(
        (f"version-{version}", put("settingsVersion", version), ("settingsVersion", version, "must be 2"))
        for version in ("0", "-1")
    ),
    ("nested-too-deeply", put("web", "[" * 3000 + "]" * 3000), ("trading:web",)),
    ("version-of-another-script", put("cluster.version", "1.٣٦"), ("cluster.version", "pattern")),
    ("database-of-no-version", put("database.engineVersion", "9.6"), ("engineVersion", "9.6", "17.11")),
    (
        "issuer-without-a-port",
        put("api.jwt", {"issuer": "https://id.example.com:abc", "audience": "a"}),
        ("api.jwt.issuer", "https address", "abc"),
    ),
    (
        "more-than-32-bits",
        put("services.orders.replicas", {"min": 1, "max": 99999999999}),
        ("services.orders.replicas.max", "99999999999", "less than or equal to 2147483647"),
    ),
    ("nothing-in-a-key", put("cache", ""), ("trading:cache", "is empty", "leave the key out")),
    (
        "snake-case",
        put("services.orders.listener_port", 8081),
        ("services.orders.listener_port", "did you mean listenerPort?"),
    ),
]


@pytest.mark.parametrize(
    ("change", "says"),
    [case[1:] for case in BAD],
    ids=[f"{number}-of-{len(BAD)}-{case[0]}" for number, case in enumerate(BAD, start=1)],
)
def test_bad_input_is_named_with_what_would_do(change: Change, says: tuple[str, ...]) -> None:
    values = copy.deepcopy(stack_values("small"))
    change(values)
    with pytest.raises(SettingsError) as raised:
        Settings.parse(values)
    text = str(raised.value)
    assert "trading:" in text
    for part in says:
        assert part in text


def test_every_problem_is_named_at_once() -> None:
    values = stack_values("small")
    for change in (put("cache.shards", "three"), put("databse", {}), drop("tags")):
        change(values)
    with pytest.raises(SettingsError, match="3 problems") as raised:
        Settings.parse(values)
    for key in ("trading:cache.shards", "trading:databse", "trading:tags"):
        assert key in str(raised.value)


def test_private_cluster_is_accepted_where_a_deployer_reaches_it() -> None:
    values = stack_values("full")
    values["regions"] = [{**region, "existingVpc": VPC} for region in values["regions"]]
    values["cluster"] = {"deployerCidrs": ["10.1.0.0/16"]}
    assert Settings.parse(values).cluster.public_access_cidrs == []


@pytest.mark.parametrize("stack", STACKS)
def test_committed_stack_is_accepted_by_models_and_schema(stack: str) -> None:
    Settings.parse(stack_values(stack))
    jsonschema.validate(stack_file(stack), stack_schema())


@pytest.mark.parametrize("stack", STACKS)
def test_editors_find_the_schema(stack: str) -> None:
    comment, schema = (FIXTURES / f"{stack}.yaml").read_text().splitlines()[0].split("=")
    assert comment == "# yaml-language-server: $schema"
    assert (FIXTURES / schema).resolve() == ROOT / "settings.schema.json"


def test_schema_file_is_what_the_models_say() -> None:
    written = (ROOT / "settings.schema.json").read_text()
    command = [sys.executable, "-m", "settings", "schema"]
    printed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    assert written == printed, "run `python -m settings schema > settings.schema.json`"


def test_schema_refuses_a_misspelled_key() -> None:
    file = stack_file("small")
    file["config"]["trading:cache"]["shard"] = 3
    with pytest.raises(jsonschema.ValidationError, match="shard"):
        jsonschema.validate(file, stack_schema())


def test_schema_leaves_other_namespaces_alone() -> None:
    file = stack_file("small")
    file["config"]["aws:profile"] = "sandbox"
    jsonschema.validate(file, stack_schema())


def _unread(_: object) -> str:
    pytest.fail("reads the source of a model")


def test_the_source_of_the_settings_is_read_only_for_descriptions(monkeypatch: pytest.MonkeyPatch) -> None:
    values_schema.cache_clear()
    with monkeypatch.context() as context:
        context.setattr("inspect.getsource", _unread)
        plain = values_schema(Settings, described=False)
    described = values_schema(Settings)
    assert "description" not in plain["properties"]["domain"]
    assert described["properties"].keys() == plain["properties"].keys()


def test_every_required_key_is_explained() -> None:
    """The error for a missing key contains the explanation, and editors show it."""
    schema = values_schema(Settings)
    models: Values = {"Settings": schema, **schema["$defs"]}
    for name, model in models.items():
        for key in model.get("required", ()):
            here = model["properties"][key]
            referred: Values = models[here["$ref"].rsplit("/", 1)[-1]] if "$ref" in here else {}
            assert "description" in {**referred, **here}, f"{name}.{key}"


@pytest.mark.parametrize("cidr", ["10.0.0.0/16", "172.16.0.0/18", "192.168.0.0/20"])
def test_subnets_of_a_plan_lie_in_the_block_and_apart(cidr: str) -> None:
    values = stack_values("full")
    put("regions.0.cidr", cidr)(values)
    plan = Settings.parse(values).regions[0].subnet_plan()
    blocks = [IPv4Network(b) for b in (*plan.public, *plan.private, *plan.isolated, *plan.endpoint)]
    assert len(blocks) == 12
    for index, block in enumerate(blocks):
        assert block.subnet_of(IPv4Network(cidr))
        assert not any(block.overlaps(other) for other in blocks[:index])


def test_a_zone_more_moves_no_subnet() -> None:
    values = stack_values("full")
    put("regions.0.availabilityZones", ["us-east-1a", "us-east-1b"])(values)
    two = Settings.parse(values).regions[0].subnet_plan()
    three = Settings.parse(stack_values("full")).regions[0].subnet_plan()
    for kind in ("public", "private", "isolated", "endpoint"):
        assert getattr(three, kind)[:2] == getattr(two, kind)


def test_a_code_may_be_a_continents_and_a_countrys() -> None:
    """SA is the code of South America and of Saudi Arabia."""
    values = stack_values("small")
    values["regions"][0]["serves"] = {"continents": ["SA"]}
    values["regions"].append({**SECOND_REGION, "serves": {"countries": ["SA"]}})
    values["homeRegion"] = "us-east-1"
    first, second = Settings.parse(values).regions
    assert (first.serves.continents, second.serves.countries) == (["SA"], ["SA"])


def test_countries_are_those_that_aws_knows() -> None:
    """CloudFront has its own list of ISO 3166-1 alpha-2 codes."""
    schema = json.dumps(document("AWS::CloudFront::Distribution"))
    (codes,) = re.findall(r'\["AD", [^]]*\]', schema)
    assert set(json.loads(codes)) == COUNTRIES


def test_lists_of_aws_values_are_those_of_the_installed_source() -> None:
    written = (ROOT / "settings" / "aws_values.json").read_text()
    assert written == f"{aws_values.text()}\n", (
        "cfn-lint has other lists: python -m tests.unit.aws_values > settings/aws_values.json"
    )
