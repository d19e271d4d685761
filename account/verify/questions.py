"""The questions to a deployed stack, from its settings and its state."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from account.question import NewClient, Question, actions, ask, no_clients, unasked
from account.stack import Deployed, Stack
from account.verify import cluster, data, edge, engine, messages, metrics, orders, prometheus
from components.identity import RESOURCE_SERVER
from components.load_balancer import ORIGIN_SECRET_HEADER
from components.monitoring.alerting import WATCHDOG
from components.service.autoscaler import NAMESPACE as AUTOSCALER
from functions.order_canary.order_canary import Target
from settings import ORDERS_PATH, WORKLOAD_NAMESPACE
from settings.aws_limits import EDGE_REGION

ALARM = "aws:cloudwatch/metricAlarm:MetricAlarm"
RECORD = "aws:route53/record:Record"
NAMESPACES = (WORKLOAD_NAMESPACE, AUTOSCALER)
BY_HAND = {
    "budgets.amazonaws.com": "set `monitoring.spending.monthlyUsd` below what the month has cost, and wait a "
    "day for the e-mail",
    "costalerts.amazonaws.com": "set `monitoring.spending.anomalyUsd` to 1 until an e-mail comes",
}
"""Publisher whose messages nobody can cause → what a person does to see that they arrive."""
OTHER_PUBLISHERS = "messages of the other publishers arrive"
RECEIVERS = {"critical": "critical", "warning": "warning"}
"""Severity → the alert manager's receiver (`alert_manager_definition`)."""

TOKEN_VARIABLE = "VERIFY_TOKEN"  # noqa: S105 - a name
"""Environment variable with an access token for the API, for stacks without a canary. Arguments of commands
are visible to other users of the machine."""
TOKEN = "HTTPS POST /oauth2/token"  # noqa: S105 - a request
CLUSTER = "aws:eks/cluster:Cluster"


def application_logs(cluster_name: str) -> str:
    """The log group of a cluster's pods."""
    return f"/aws/containerinsights/{cluster_name}/application"


def questions(
    stack: Stack, clients: NewClient, messages_too: bool = False, token: str = ""
) -> Iterator[Question]:
    """All questions, in the order of a request's way.

    Args:
        stack: the deployed stack.
        clients: makes clients, for questions that need several.
        messages_too: whether to send a message to each topic.
        token: a token for the API; empty to use the canary's account, if there is one.
    """
    for question in _questions(stack, clients, messages_too, token):
        yield dataclasses.replace(question, deployed=True)


def _questions(stack: Stack, clients: NewClient, messages_too: bool, token: str) -> Iterator[Question]:
    yield from _edge(stack, clients)
    yield from _orders(stack, clients)
    yield from _routes(stack, clients, token)
    for region in stack.settings.regions:
        yield from _hops(stack, region.name)
        yield from _cluster(stack, region.name, len(region.availability_zones))
        yield from _data(stack, region.name)
        yield from _prometheus(stack, region.name, messages_too)
    for name in sorted({EDGE_REGION, *(region.name for region in stack.settings.regions)}):
        yield from _metrics(stack, name)
        yield from _messages(stack, name, messages_too)
    yield from _by_hand(stack)
    yield ask("second-preview", "a second preview is empty", "pulumi", "preview", engine.unchanged)


def asked(stack: Stack) -> set[str]:
    """The IAM actions of all questions, also for a stack that is only planned."""
    return actions(questions(stack, no_clients))


def _edge(stack: Stack, clients: NewClient) -> Iterator[Question]:
    host = stack.settings.domain.host
    route = stack.settings.api.routes[0].path
    paths = list(dict.fromkeys([ORDERS_PATH, *(route.path for route in stack.settings.api.routes)]))
    yield ask("resolver", "the host is found", "dns", "A", edge.resolved, host)
    for check, needs, function, *arguments in (
        ("page", "CloudFront serves the web app", edge.page, host),
        ("certificate", "the host's certificate, its chain and its dates are valid", edge.certificate, host),
        ("old-tls", "TLS 1.0 and 1.1 are refused", edge.old_tls, host),
        ("stranger", "the API refuses a request without a token", edge.stranger, host, route),
        ("encoded-dots", "encoded dots in a path are refused", edge.encoded_dots, host, paths),
        ("unknown-host", "an unknown host is refused", edge.unknown_host, host),
    ):
        yield ask(check, needs, "https", "GET", function, *arguments)
    balancers = [
        (clients("wafv2", region.name), item["arn"])
        for region in stack.settings.regions
        for item in _public_balancers(stack, region.name)
    ]
    needs = "nobody can forge `x-caller-subject`, or another header that only the platform sets"
    also = ("wafv2:GetWebACLForResource",)
    yield ask("forged-subject", needs, "https", "GET", edge.forged_subject, balancers, host, route, also=also)
    deployed = stack.deployed(RECORD)
    wanted = sorted({(item["fqdn"].rstrip("."), item["type"]) for item in deployed})
    for zone in sorted({item["zoneId"] for item in deployed}):
        operation = "ListResourceRecordSets"
        yield ask(
            "records", "the zone has the deployed records", "route53", operation, edge.records, zone, wanted
        )
        if stack.settings.domain.dnssec:
            name = stack.settings.domain.zone
            needs = "the zone is signed, and its parent has the key"
            yield ask("dnssec", needs, "route53", "GetDNSSEC", edge.dnssec, zone, name)
    for item in stack.deployed("aws:route53/healthCheck:HealthCheck"):
        if item["type"] == "HTTPS":
            yield ask(
                f"health-check {item['fqdn']}",
                "Route 53 reaches order intake of each region, and order intake a pod of the order service",
                "route53",
                "GetHealthCheckStatus",
                edge.health_check,
                item.id,
                item["fqdn"],
            )


def _public_balancers(stack: Stack, region: str) -> list[Deployed]:
    found = stack.deployed("aws:lb/loadBalancer:LoadBalancer", region)
    return [item for item in found if item["internal"] is False]


def _canary(stack: Stack) -> tuple[Target, str] | None:
    """Whom the order canary asks, and the ARN of its account's secret; None without a canary."""
    for canary in stack.deployed("aws:synthetics/canary:Canary"):
        variables: dict[str, str] = canary["runConfig"]["environmentVariables"]
        target = Target(**{name: variables.get(name.upper(), "") for name in Target.__dataclass_fields__})
        return target, variables.get("CLIENT_SECRET_ARN", "")
    return None


def _orders(stack: Stack, clients: NewClient) -> Iterator[Question]:
    """With the canary's account, where there is one."""
    home, canary = stack.settings.home, _canary(stack)
    needs = "an order passes every hop to a pod, and its repetition gets the same answer"
    if canary is None:
        remedy = "set `monitoring.canary`: only its account can't cause a trade"
        yield unasked("order", needs, "the stack has no canary", remedy)
        return
    yield ask(
        "order",
        needs,
        "secretsmanager",
        "GetSecretValue",
        orders.order,
        clients("https", home),
        *canary,
        region=home,
        also=(TOKEN, "HTTPS GET /", "HTTPS POST /api/orders"),
    )


def _routes(stack: Stack, clients: NewClient, token: str) -> Iterator[Question]:
    """Routes of services, asked with a token."""
    host, home = stack.settings.domain.host, stack.settings.home
    access = _given(stack, token) if token else _of_canary(stack, clients)
    needs = "a token without the scope is refused"
    if access.opened and access.closed:
        yield ask(
            "scope",
            needs,
            "https",
            tuple(dict.fromkeys(f"GET {path}" for _, path in (access.closed, access.opened))),
            orders.scope,
            host,
            access.tokens,
            access.opened,
            access.closed,
            region=home,
            also=access.also,
        )
    else:
        yield unasked("scope", needs, access.lacking, access.remedy)
    needs = "a service gets the path that the client sent, without the stage's name"
    if access.opened is None:
        yield unasked("path", needs, access.lacking, access.remedy)
        return
    path = access.opened[1]
    # A route that writes leads to the region that takes orders, so that region's log has the request.
    writes = any(route.writes for route in stack.settings.api.routes if route.path == path)
    region = stack.settings.primary if writes else home
    for item in stack.deployed(CLUSTER, region):
        yield ask(
            "path",
            needs,
            "logs",
            "FilterLogEvents",
            orders.path,
            clients("https", home),
            host,
            access.tokens,
            access.opened,
            application_logs(item["name"]),
            region=region,
            also=(*access.also, f"HTTPS GET {path}/verify-…"),
        )


@dataclass(frozen=True, kw_only=True)
class Access:
    """A way to ask routes that need a token."""

    tokens: orders.NewToken
    opened: orders.Route | None = None
    """A route that a token opens; None if there is none."""
    closed: orders.Route | None = None
    """A route that a token doesn't open; None if there is none."""
    lacking: str = ""
    """Why a route is None."""
    remedy: str = ""
    also: tuple[str, ...] = ()
    """What it asks for tokens."""


def _of_canary(stack: Stack, clients: NewClient) -> Access:
    """With the canary's account, whose tokens have the scope that it asks for."""
    api, home, canary = stack.settings.api, stack.settings.home, _canary(stack)
    others = [route for route in api.routes if route.service != api.order_service]
    if canary is None or not others:
        return Access(
            tokens=orders.Given(""),
            lacking="the stack has no canary" if others else "only the order service has routes",
            remedy=f"set `monitoring.canary`, or {TOKEN_VARIABLE} in the environment to an access token",
        )
    route = max(others, key=lambda route: route.writes)
    return Access(
        tokens=orders.Tokens(clients("secretsmanager", home), clients("https", home), *canary),
        opened=(_scope(stack, route.service), route.path),
        closed=(_scope(stack, api.order_service), route.path),
        also=("secretsmanager:GetSecretValue", TOKEN),
    )


def _given(stack: Stack, token: str) -> Access:
    """With the user's token, which has its scopes."""
    jwt, tokens = stack.settings.api.jwt, orders.Given(token)
    try:
        scopes = tokens.scopes(jwt.scope_claim if jwt else "scope")
    except ValueError as error:
        lacking = f"{TOKEN_VARIABLE} can't be read: {error}"
        return Access(tokens=tokens, lacking=lacking, remedy="set it to a JSON Web Token for the API")
    routes = sorted(stack.settings.api.routes, key=lambda route: not route.writes)
    pairs = [(_scope(stack, route.service), route.path) for route in routes]
    named = ", ".join(sorted(scopes)) or "none"
    return Access(
        tokens=tokens,
        opened=next((pair for pair in pairs if pair[0] in scopes), None),
        closed=next(((named, path) for scope, path in pairs if scope not in scopes), None),
        lacking=f"the scopes of {TOKEN_VARIABLE} are {named}",
        remedy=f"set it to a token with the scopes of some routes, and not of all: "
        f"{', '.join(sorted({scope for scope, _ in pairs}))}",
    )


def _scope(stack: Stack, service: str) -> str:
    """The scope that a token must have for a service."""
    return stack.settings.api.jwt_scopes.get(service, f"{RESOURCE_SERVER}/{service}")


def _hops(stack: Stack, region: str) -> Iterator[Question]:
    """The load balancer and the API of a region, which this machine can't reach."""
    here = functools.partial(ask, region=region, named=True)
    health_host = stack.settings.domain.region_health(region)
    for item in _public_balancers(stack, region):
        needs = "the load balancer accepts no connection from elsewhere than CloudFront"
        host = stack.settings.domain.host
        yield here("direct", needs, "https", "connect", edge.direct, item["dnsName"], host)
    for item in stack.deployed("aws:lb/listener:Listener", region):
        if item["protocol"] == "HTTPS":
            yield here(
                "origin-secret",
                "the load balancer forwards only requests with the origin's secret",
                "elbv2",
                "DescribeRules",
                edge.origin_secret,
                item["arn"],
                ORIGIN_SECRET_HEADER,
                health_host,
            )
    domains = [
        (item["domainName"], item["domainNameId"])
        for item in stack.deployed("aws:apigateway/domainName:DomainName", region)
    ]
    needs = "the API's private custom domains are available"
    yield here("custom-domains", needs, "apigateway", "GetDomainName", edge.custom_domains, domains)
    for item in stack.deployed("aws:apigatewayv2/vpcLink:VpcLink", region):
        needs = "the API's VPC link carries requests"
        yield here("vpc-link", needs, "apigatewayv2", "GetVpcLink", edge.vpc_link, item.id)
    certificates = [item["arn"] for item in stack.deployed("aws:acm/certificate:Certificate", region)]
    needs = "certificates are issued, in use and renewed"
    yield here("certificates", needs, "acm", "DescribeCertificate", edge.issued, certificates)


def _cluster(stack: Stack, region: str, zones: int) -> Iterator[Question]:
    accounts = [
        (item["namespace"], item["serviceAccount"])
        for item in stack.deployed("aws:eks/podIdentityAssociation:PodIdentityAssociation", region)
    ]
    for check, needs, function, *arguments in (
        ("nodes", "nodes of the platform's own node classes are ready", cluster.nodes),
        ("deployments", "all pods are available", cluster.deployments, NAMESPACES),
        ("pod-zones", "pods are ready in as many zones as promised", cluster.zones, NAMESPACES, zones),
        ("pod-identities", "pods have the credentials of their service", cluster.identities, accounts),
        (
            "scaled-objects",
            "KEDA reads the metrics of each service",
            cluster.scaled_objects,
            WORKLOAD_NAMESPACE,
        ),
        (
            "network-policies",
            "EKS has made policy endpoints of each network policy",
            cluster.network_policies,
        ),
        (
            "closed-ports",
            "nodes drop what no policy allows from outside the pods",
            cluster.closed_ports,
            WORKLOAD_NAMESPACE,
        ),
    ):
        yield ask(check, needs, "kubernetes", "get", function, *arguments, region=region, named=True)


def _data(stack: Stack, region: str) -> Iterator[Question]:
    here = functools.partial(ask, region=region, named=True)
    for item in stack.deployed("aws:rds/cluster:Cluster", region):
        needs = "the database runs in several zones"
        operations = ("DescribeDBClusters", "DescribeDBInstances")
        yield here("database", needs, "rds", operations, data.database, item["clusterIdentifier"])
    for item in stack.deployed("aws:rds/proxy:Proxy", region):
        needs = "the proxy can sign in to each instance"
        yield here("database-proxy", needs, "rds", "DescribeDBProxyTargets", data.proxy, item["name"])
    regions = [item.name for item in stack.settings.regions]
    for item in stack.deployed("aws:rds/globalCluster:GlobalCluster", region):
        needs = "the global database has a connected member in each region"
        name = item["globalClusterIdentifier"]
        yield here(
            "global-database", needs, "rds", "DescribeGlobalClusters", data.global_database, name, regions
        )
    for item in stack.deployed("aws:dynamodb/table:Table", region):
        needs = "tables are active, with a replica in each other region"
        others = [name for name in regions if name != region]
        yield ask(
            f"table {item['name']}",
            needs,
            "dynamodb",
            "DescribeTable",
            data.table,
            item["name"],
            others,
            region=region,
        )
    for item in stack.deployed("aws:backup/selection:Selection", region):
        needs = "each protected resource has been backed up within two days"
        since = _created(item)
        yield here("backups", needs, "backup", "ListBackupJobs", data.backups, item["resources"], since)
    for item in stack.deployed("aws:secretsmanager/secretRotation:SecretRotation", region):
        needs = "the database's password changes on time"
        arguments = (item["secretId"], _created(item))
        yield here("rotation", needs, "secretsmanager", "DescribeSecret", data.rotation, *arguments)
    for item in stack.deployed("aws:msk/cluster:Cluster", region):
        needs = "the Kafka cluster works"
        yield here("brokers", needs, "kafka", "DescribeClusterV2", data.brokers, item["arn"])
    for item in stack.deployed("aws:elasticache/replicationGroup:ReplicationGroup", region):
        needs = "the cache has nodes in several zones"
        yield here("cache", needs, "elasticache", "DescribeReplicationGroups", data.cache, item.id)


def _created(item: Deployed) -> datetime:
    """When a resource was created; `UNKNOWN_DATE` if the state doesn't say."""
    return datetime.fromisoformat(item.created) if item.created else data.UNKNOWN_DATE


def _configurations(stack: Stack, workspace: Deployed) -> list[str]:
    """The configurations of the scrapers of a workspace."""
    return [
        item["scrapeConfiguration"]
        for item in stack.deployed("aws:amp/scraper:Scraper")
        if item["destination"]["amp"]["workspaceArn"] == workspace["arn"]
    ]


def _prometheus(stack: Stack, region: str, messages_too: bool) -> Iterator[Question]:
    here = functools.partial(ask, region=region)
    for item in stack.deployed("aws:amp/scraper:Scraper", region):
        needs = "scrapers are active"
        yield here(f"scraper {item['alias']}", needs, "amp", "DescribeScraper", prometheus.scraper, item.id)
    services = [service.name for service in stack.settings.services]
    namespaces: dict[str, list[str]] = {}
    for item in stack.deployed("aws:amp/ruleGroupNamespace:RuleGroupNamespace", region):
        namespaces.setdefault(item["workspaceId"], []).append(item["name"])
    for item in stack.deployed("aws:amp/workspace:Workspace", region):
        endpoint, alias = item["prometheusEndpoint"], item["alias"]
        needs = "everything that the scrapers promise is scraped, and up"
        arguments = (endpoint, _configurations(stack, item), services)
        yield here(f"targets {alias}", needs, "prometheus", "QueryMetrics", prometheus.targets, *arguments)
        if item.id in namespaces:
            needs = "the rules and the alert manager's definition are active"
            operations = ("DescribeRuleGroupsNamespace", "DescribeAlertManagerDefinition")
            names = sorted(namespaces[item.id])
            yield here(
                f"definitions {alias}", needs, "amp", operations, prometheus.definitions, item.id, names
            )
            needs = "rules are evaluated"
            yield here(f"rules {alias}", needs, "prometheus", "ListRules", prometheus.rules, endpoint)
            needs = "alerts reach the alert manager"
            operation = "ListAlertManagerAlerts"
            yield here(
                f"alert-manager {alias}",
                needs,
                "prometheus",
                operation,
                prometheus.alert_manager,
                endpoint,
                WATCHDOG,
            )
            yield _by_alert_manager(region, alias, endpoint, messages_too)


def _by_alert_manager(region: str, alias: str, endpoint: str, messages_too: bool) -> Question:
    """Whether messages of a workspace's alert manager arrive."""
    check = f"messages aps.amazonaws.com {alias}"
    if not messages_too:
        remedy = "run `make verify STACK=NAME MESSAGES=1`, which sends a message to each alarm topic"
        return unasked(check, OTHER_PUBLISHERS, "nothing has been sent to see whether it arrives", remedy)
    operations = ("CreateAlertManagerAlerts", "ListAlertManagerAlerts")
    function = prometheus.sent_by_alert_manager
    return ask(
        check, OTHER_PUBLISHERS, "prometheus", operations, function, endpoint, RECEIVERS, region=region
    )


def _metrics(stack: Stack, region: str) -> Iterator[Question]:
    here = functools.partial(ask, region=region, named=True)
    alarms = {item["name"]: item.properties for item in stack.deployed(ALARM, region)}
    needs = "each alarm's metric exists under our dimensions"
    yield here("alarm-metrics", needs, "cloudwatch", "ListMetrics", metrics.exist, alarms)
    needs = "no alarm rings or lacks data"
    names = sorted(alarms)
    yield here("alarms", needs, "cloudwatch", "DescribeAlarms", metrics.states, names, stack.platform)
    groups = sorted(item["name"] for item in stack.deployed("aws:cloudwatch/logGroup:LogGroup", region))
    needs = "each log group has events"
    yield here("logs", needs, "logs", "DescribeLogStreams", metrics.logs, groups)
    yield from _lags(stack, region, alarms)
    partitions = _on(alarms, "OfflinePartitionsCount")
    if partitions:
        choices = _choices(partitions)
        needs = "MSK reports the metric of offline partitions"
        yield here("offline-partitions", needs, "cloudwatch", "ListMetrics", metrics.either, choices)


def _lags(stack: Stack, region: str, alarms: Mapping[str, metrics.Properties]) -> Iterator[Question]:
    """How far the data of a region lags behind, where there is more than one."""
    here = functools.partial(ask, region=region, named=True)
    of_database = _on(alarms, "AuroraGlobalDBReplicationLag")
    of_tables = _on(alarms, "ReplicationLatency")
    if of_database and region != stack.settings.primary:
        choices = _choices(of_database)
        needs = "the metric of the global database's lag has one of the documented dimensions"
        yield here("lag-dimensions", needs, "cloudwatch", "ListMetrics", metrics.either, choices)
    groups = [{name: alarm} for name, alarm in sorted(of_tables.items())]
    # The secondary regions report how far they are behind.
    groups += [of_database] if of_database and region != stack.settings.primary else []
    if groups:
        needs = "databases and tables of other regions don't lag behind"
        yield here("lag", needs, "cloudwatch", "GetMetricStatistics", metrics.below, groups)


def _on(alarms: Mapping[str, metrics.Properties], metric: str) -> dict[str, metrics.Properties]:
    """The alarms that compare a metric."""
    return {
        name: alarm
        for name, alarm in alarms.items()
        if any(found.name == metric for found in metrics.metrics(alarm))
    }


def _choices(alarms: Mapping[str, metrics.Properties]) -> dict[str, metrics.Metric]:
    """The metric of each alarm."""
    return {name: next(metrics.metrics(alarm)) for name, alarm in alarms.items()}


def _messages(stack: Stack, region: str, messages_too: bool) -> Iterator[Question]:
    here = functools.partial(ask, region=region)
    alarms = [item["name"] for item in stack.deployed(ALARM, region)]
    for topic in stack.deployed("aws:sns/topic:Topic", region):
        arn, name = topic["arn"], topic.name
        needs = "each topic has subscribers, and all have confirmed"
        yield here(
            f"subscribers {name}", needs, "sns", "ListSubscriptionsByTopic", messages.subscriptions, arn
        )
        # It is part of no other alarm, and each topic reports the other's failures (`AlarmTopics`).
        scope = "edge" if name.startswith("monitoring") else "regional"
        other = "warning" if name.endswith("critical") else "critical"
        failing = [alarm for alarm in alarms if alarm.endswith(f"{scope}-{other}-notifications-failed")]
        needs = "CloudWatch publishes to each topic"
        operations = ("DescribeAlarmHistory", *(("SetAlarmState",) if messages_too else ()))
        function = messages.sent_by_alarm if messages_too else messages.from_alarms
        for alarm in failing:
            yield here(f"alarm-messages {name}", needs, "cloudwatch", operations, function, arn, alarm)
    names = [item["name"] for item in stack.deployed("aws:rds/eventSubscription:EventSubscription", region)]
    if names:
        needs = "RDS may publish its events"
        operation = "DescribeEventSubscriptions"
        yield here("database-messages", needs, "rds", operation, messages.from_database, names, named=True)
    queues = [item["url"] for item in stack.deployed("aws:sqs/queue:Queue", region)]
    if queues:
        needs = "no event has failed for good"
        operation = "GetQueueAttributes"
        yield here("dead-letters", needs, "sqs", operation, messages.dead_letters, queues, named=True)


def _by_hand(stack: Stack) -> Iterator[Question]:
    """What no API says."""
    for publisher, remedy in BY_HAND.items() if stack.settings.monitoring.spending else ():
        found = f"no API makes {publisher} publish, or says whether its messages arrive"
        yield unasked(f"messages {publisher}", OTHER_PUBLISHERS, found, remedy)
    monitors = [item["arn"] for item in stack.deployed("aws:costexplorer/anomalyMonitor:AnomalyMonitor")]
    if monitors:
        needs = "the anomaly monitor evaluates costs"
        yield ask("anomalies", needs, "ce", "GetAnomalyMonitors", messages.anomalies, monitors)
