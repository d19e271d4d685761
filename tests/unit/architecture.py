"""Generates the tables of `docs/architecture.md` from the graph of the fixture stack `full`.

Run `python -m tests.unit.architecture` to update them after an intended change, and review their diff like
code. A hop's ports, time-outs, log groups and TLS versions are read from the graph. A test compares the
list of hops with what security groups, routes and endpoints allow.
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from components.database.database import MASTER_USERNAME
from functions.order_intake import handler, order_service
from sandbox.values import is_dict, is_list
from settings import WORKLOAD_NAMESPACE
from settings.aws_parameters import database_parameters
from tests.pages import filled, table
from tests.unit import harness
from tests.unit.harness import Graph, Registered, stack_values
from tests.unit.reachability import THROUGH_NAT, Walk, managed_edges

PAGE = Path(__file__).parents[2] / "docs" / "architecture.md"
STACK = "full"

ORDER_INTAKE = "order intake"
_TABLE_ACTIONS = {
    "read": r"dynamodb:(Batch)?(Get|Query|Scan)",
    "write": r"dynamodb:(BatchWrite|Put|Update)",
    "delete": r"dynamodb:(BatchWrite|Delete)",
}

NLB_IDLE_SECONDS = 350
"""Idle time-out of a TCP connection if the listener does not set one (Network Load Balancer User Guide)."""


@dataclass(frozen=True, kw_only=True)
class Hop:
    """One row of the table: which connection is allowed, and its properties."""

    source: str
    target: str
    protocol: str
    who: str
    tls: str
    timeouts: str
    logged: str


@dataclass(frozen=True, kw_only=True)
class Access:
    """One row of the table: what a service may access, and who may call it."""

    service: str
    tables: dict[str, set[str]]
    """Name in the settings → `read`, `write`, `delete`."""
    produces: set[str]
    consumes: set[str]
    cache: set[str]
    """Key patterns that its cache user may access."""
    database: set[str]
    """Database users as which it may sign in."""
    callers: list[str]


@dataclass(frozen=True, kw_only=True)
class Timeouts:
    """Seconds that each hop of an order waits for the next hop's answer, from the edge inwards."""

    cloudfront: float
    load_balancer: float
    api_gateway: float
    function: float
    order_service: float


class Platform:
    """A stack's graph, and the resources from which the hops of one of its regions are read."""

    def __init__(self, graph: Graph, region: str) -> None:
        self.graph, self.region = graph, region
        vpcs = graph.of("aws:ec2/vpc:Vpc")
        self.vpc = next(vpc for vpc in vpcs if vpc.provider == f"aws-{region}")
        self.here = Graph([r for r in graph.resources if r.provider == self.vpc.provider])
        self.walk = Walk(graph)
        self.edges = self.walk.edges(self.vpc.id) | managed_edges(graph)
        self.distribution = graph.only("aws:cloudfront/distribution:Distribution").inputs
        self.origins = [o for o in self.distribution["origins"] if o.get("customOriginConfig")]
        balancers = {
            balancer.inputs["loadBalancerType"]: balancer
            for balancer in self.here.of("aws:lb/loadBalancer:LoadBalancer")
        }
        self.alb, self.nlb = balancers["application"], balancers["network"]
        api: dict[str, Any] = json.loads(self.here.only("aws:apigateway/restApi:RestApi").inputs["body"])
        self.integrations = [
            found for found in _dicts(api) if "timeoutInMillis" in found and found.get("type")
        ]
        self.function = next(
            f.inputs for f in self.here.of("aws:lambda/function:Function") if f.name.endswith("order-intake")
        )

    def timeouts(self) -> Timeouts:
        """How long each hop of an order waits. Of several values, it is the one closest to a failure."""
        return Timeouts(
            cloudfront=min(o["customOriginConfig"]["originReadTimeout"] for o in self.origins),
            load_balancer=self.alb.inputs["idleTimeout"],
            api_gateway=max(i["timeoutInMillis"] for i in self.integrations) / 1000,
            function=self.function["timeout"],
            order_service=float(self.environment["ORDER_SERVICE_TIMEOUT_SECONDS"]),
        )

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables of the order intake function."""
        return self.function["environment"]["variables"]

    def listeners(self, balancer: Registered) -> list[Registered]:
        """The listeners of a load balancer."""
        listeners = self.here.of("aws:lb/listener:Listener")
        return [r for r in listeners if r.inputs["loadBalancerArn"] == balancer.outputs["arn"]]

    def target_groups(self, balancer: Registered) -> list[Registered]:
        """The target groups that a load balancer's listeners and rules forward to."""
        listeners = self.listeners(balancer)
        arns = {r.outputs["arn"] for r in listeners}
        rules = self.here.of("aws:lb/listenerRule:ListenerRule")
        sources = [*listeners, *(r for r in rules if r.inputs["listenerArn"] in arns)]
        named = {text for source in sources for text in _texts(source.inputs)}
        groups = self.here.of("aws:lb/targetGroup:TargetGroup")
        return [group for group in groups if group.outputs["arn"] in named]

    def log_group(self, suffix: str) -> str:
        """Name of the log group with this suffix in its logical name; `*` is what AWS or Pulumi adds."""
        group = next(g for g in self.here.of("aws:cloudwatch/logGroup:LogGroup") if g.name.endswith(suffix))
        prefix = group.inputs.get("namePrefix")
        return f"`{prefix}*`" if prefix else f"`{re.sub('_[a-z0-9]+/', '_*/', group.inputs['name'])}`"

    def database_parameters(self) -> dict[str, str]:
        """The parameters of the database cluster, including defaults."""
        group = self.here.only("aws:rds/clusterParameterGroup:ClusterParameterGroup").inputs
        known = database_parameters(group["family"])
        defaults = {name: parameter.default for name, parameter in known.items() if parameter.default}
        return defaults | {p["name"]: p["value"] for p in group["parameters"]}

    def ports(self, source: str, target: str) -> str:
        """The ports at which `source` can connect to `target`."""
        return ", ".join(sorted(e.port for e in self.edges if (e.source, e.target) == (source, target)))


def first_region(stack: str) -> Platform:
    """A fixture stack, read in its first region, because the same code creates the other regions."""
    return Platform(harness.platform(stack), stack_values(stack)["trading:regions"][0]["name"])


def hops(platform: Platform) -> list[Hop]:
    """Every hop, in the order of a request."""
    return [
        *_edge_hops(platform),
        *_api_hops(platform),
        *_service_hops(platform),
    ]


def _edge_hops(platform: Platform) -> Iterator[Hop]:
    distribution, origin = platform.distribution, platform.origins[0]
    connection, alb = origin["customOriginConfig"], platform.alb.inputs
    acl = _by_arn(platform.graph.of("aws:wafv2/webAcl:WebAcl"), distribution["webAclId"])
    check = platform.graph.of("aws:route53/healthCheck:HealthCheck")
    https = next(c.inputs for c in check if c.inputs["type"] == "HTTPS")
    listener = next(r.inputs for r in platform.listeners(platform.alb) if r.inputs["protocol"] == "HTTPS")
    yield Hop(
        source="internet",
        target="CloudFront",
        protocol=f"HTTPS (`{distribution['httpVersion']}`); plain HTTP is redirected or refused",
        who=f"anyone whom the web ACL lets through: {_rule_names(acl)}",
        tls=f"CloudFront, `{distribution['viewerCertificate']['minimumProtocolVersion']}`",
        timeouts="CloudFront's own",
        logged=f"requests: {_delivery(platform)}; the web ACL's: {_acl_logs(platform, acl)}",
    )
    yield Hop(
        source="internet",
        target="Cognito",
        protocol="HTTPS (OAuth 2.0)",
        who="anyone; only users and clients that an administrator created can sign in",
        tls="Cognito",
        timeouts="Cognito's own",
        logged="CloudTrail",
    )
    yield Hop(
        source="CloudFront",
        target="web app's bucket",
        protocol="HTTPS, signed (SigV4)",
        who="the platform's distribution (bucket policy, origin access control)",
        tls="S3",
        timeouts="CloudFront's own",
        logged="as CloudFront's requests",
    )
    headers = {h["name"] for o in platform.origins for h in o["customHeaders"]}
    associations = [
        a.inputs["webAclArn"]
        for a in platform.here.of("aws:wafv2/webAclAssociation:WebAclAssociation")
        if a.inputs["resourceArn"] == platform.alb.outputs["arn"]
    ]
    regional = [_by_arn(platform.here.of("aws:wafv2/webAcl:WebAcl"), arn) for arn in associations]
    rules = "".join(f"; the region's web ACL: {_rule_names(acl)}" for acl in regional)
    refused = "".join(f"; the web ACL's: {_acl_logs(platform, acl)}" for acl in regional)
    yield Hop(
        source="CloudFront",
        target="ALB",
        protocol="HTTPS",
        who=f"CloudFront's prefix list, and only with the secret in {_codes(headers)}{rules}",
        tls=f"ALB, `{listener['sslPolicy']}`; CloudFront offers {_codes(connection['originSslProtocols'])}",
        timeouts=f"connect {origin['connectionTimeout']} s, {origin['connectionAttempts']} attempts; "
        f"answer {connection['originReadTimeout']} s; idle {connection['originKeepaliveTimeout']} s",
        logged=f"ALB access and connection logs in the log bucket{refused}",
    )
    yield Hop(
        source="Route 53 health checkers",
        target="ALB",
        protocol="HTTPS",
        who=f"Route 53's prefix list; only `{https['resourcePath']}` of the region's health name",
        tls="ALB, as above",
        timeouts=f"every {https['requestInterval']} s, {https['failureThreshold']} failures; "
        "connect 4 s, answer 2 s (Route 53's own)",
        logged="as above",
    )
    group = platform.target_groups(platform.alb)[0].inputs
    health = group["healthCheck"]
    yield Hop(
        source="ALB",
        target="API endpoint",
        protocol=group["protocol"],
        who="the ALB's security group",
        tls="API Gateway: the ALB re-encrypts",
        timeouts=f"idle {alb['idleTimeout']} s; health check {health['timeout']} s every "
        f"{health['interval']} s; draining {group['deregistrationDelay']} s",
        logged="VPC flow logs",
    )


def _api_hops(platform: Platform) -> Iterator[Hop]:
    waits, environment = platform.timeouts(), platform.environment
    table = cast(Any, handler.TABLE_TIMEOUTS)  # its stub has no attributes
    domain = platform.here.of("aws:apigateway/domainName:DomainName")[0].inputs
    private = next(i for i in platform.integrations if i.get("connectionType") == "VPC_LINK")
    listeners = [r.inputs for r in platform.listeners(platform.nlb)]
    encrypted = {r["protocol"] for r in listeners} == {"TLS"}
    inner_tls = f"NLB, {_codes({r['sslPolicy'] for r in listeners})}" if encrypted else "none: within the VPC"
    inner_log = "; NLB access logs in the log bucket" if encrypted else ""
    groups = [group.inputs for group in platform.target_groups(platform.nlb)]
    to_pods = {group["protocol"] for group in groups}
    pod_tls = "the pod: the NLB re-encrypts"
    health = groups[0]["healthCheck"]
    yield Hop(
        source="API endpoint",
        target="API Gateway",
        protocol="HTTPS (PrivateLink)",
        who="the API's endpoint (resource policies of API and domain names), with a token that has the "
        "route's scope; `/healthz` needs none",
        tls=f"API Gateway, `{domain['securityPolicy']}`",
        timeouts=f"answer {_seconds(waits.api_gateway)}",
        logged=f"{platform.log_group('-access')}; errors: {platform.log_group('-execution')}; X-Ray",
    )
    yield Hop(
        source="API Gateway",
        target="order intake",
        protocol="Lambda invocation",
        who="this API's `POST /api/orders` and `GET /healthz` (function policy)",
        tls="Lambda",
        timeouts=f"API Gateway {_seconds(waits.api_gateway)}, function {_seconds(waits.function)}",
        logged=f"{platform.log_group('-order-intake')}; X-Ray",
    )
    capacity = f"{table.retries['total_max_attempts']} attempts of {table.connect_timeout} s to connect"
    yield Hop(
        source="order intake",
        target="DynamoDB",
        protocol="HTTPS, signed (SigV4)",
        who="the function's role, on the idempotency table",
        tls="DynamoDB",
        timeouts=f"{capacity} and {table.read_timeout} s to answer",
        logged="CloudTrail (management events)",
    )
    yield Hop(
        source="order intake",
        target="NLB",
        protocol=_scheme(environment["ORDER_SERVICE_URL"]),
        who="the function's security group",
        tls=inner_tls,
        timeouts=f"connect {_seconds(order_service.CONNECT_TIMEOUT_SECONDS)}; "
        f"answer {_seconds(waits.order_service)}, ending at least "
        f"{_seconds(handler.RESERVE_SECONDS)} before the function's time-out",
        logged=f"the function's log{inner_log}; VPC flow logs",
    )
    yield Hop(
        source="API Gateway",
        target="NLB",
        protocol=f"{_scheme(private['uri'])} through the VPC link",
        who="the VPC link's security group",
        tls=inner_tls,
        timeouts=f"answer {_seconds(waits.api_gateway)}",
        logged=f"the API's access log{inner_log}; VPC flow logs",
    )
    idle = {r.get("tcpIdleTimeoutSeconds") or NLB_IDLE_SECONDS for r in listeners}
    yield Hop(
        source="NLB",
        target="cluster",
        protocol=", ".join(sorted(to_pods)),
        who="the NLB's security group; the services' network policies allow the VPC",
        tls="none"
        if "TLS" not in to_pods
        else pod_tls
        if to_pods == {"TLS"}
        else f"{pod_tls}; none without a `tlsPort`",
        timeouts=f"idle {_one(idle)} s; health check {health['timeout']} s every {health['interval']} s; "
        f"draining {groups[0]['deregistrationDelay']} s",
        logged=f"VPC flow logs; pods' output: {platform.log_group('-pods-application-logs')}",
    )


def _service_hops(platform: Platform) -> Iterator[Hop]:
    here, parameters = platform.here, platform.database_parameters()
    brokers = here.only("aws:msk/cluster:Cluster").inputs
    cache = here.only("aws:elasticache/replicationGroup:ReplicationGroup").inputs
    proxy = here.only("aws:rds/proxy:Proxy").inputs
    pool = here.only("aws:rds/proxyDefaultTargetGroup:ProxyDefaultTargetGroup").inputs
    policies = "; services whose network policy allows it"
    yield Hop(
        source="cluster",
        target="cache",
        protocol=f"{cache['engine'].capitalize()} (RESP)",
        who=f"the cluster's security group{policies}; each service's own user, by IAM",
        tls=f"cache node, `{cache['transitEncryptionMode']}`",
        timeouts="the service's",
        logged=f"{platform.log_group('-engine-log')}, {platform.log_group('-slow-log')}",
    )
    yield Hop(
        source="cluster",
        target="brokers",
        protocol="Kafka",
        who=f"the cluster's security group{policies}; topics by IAM",
        tls=f"broker, `{brokers['encryptionInfo']['encryptionInTransit']['clientBroker']}` only",
        timeouts="the service's",
        logged=platform.log_group(f"event-streaming-{platform.region}-brokers"),
    )
    yield Hop(
        source="cluster",
        target="database proxy",
        protocol="PostgreSQL",
        who=f"the cluster's security group{policies}; each service's own user, by IAM",
        tls="proxy, required" if proxy["requireTls"] else "none",
        timeouts=f"a free connection {pool['connectionPoolConfig']['connectionBorrowTimeout']} s; "
        "otherwise the service's",
        logged="connections: [proxy's metrics](operations.md#database-proxy-connections-failed)",
    )
    yield Hop(
        source="database proxy",
        target="database",
        protocol="PostgreSQL",
        who="the proxy's security group; the service's user, by IAM",
        tls=f"database, `{parameters['ssl_min_protocol_version']}` or newer, required",
        timeouts=f"idle in a transaction {int(parameters['idle_in_transaction_session_timeout']) // 1000} s; "
        "otherwise the service's",
        logged=f"{platform.log_group('-postgresql')}, {platform.log_group('-iam-db-auth-error')}",
    )
    yield Hop(
        source="cluster",
        target="database",
        protocol="PostgreSQL",
        who=f"schema migrations and operators, as the master user{policies}",
        tls=f"database, `{parameters['ssl_min_protocol_version']}` or newer, required",
        timeouts="the caller's",
        logged=platform.log_group("-postgresql"),
    )
    aws = [
        e.inputs["serviceName"].rsplit(".", 1)[-1] if ".ecr." not in e.inputs["serviceName"] else "ecr"
        for e in here.of("aws:ec2/vpcEndpoint:VpcEndpoint")
        if e.inputs["vpcEndpointType"] == "Interface" and "execute-api" not in e.inputs["serviceName"]
    ]
    signed = {"protocol": "HTTPS, signed (SigV4)", "timeouts": "the caller's", "logged": "CloudTrail"}
    tables = "this account's tables only (gateway endpoint); services use the interface endpoint"
    yield Hop(source="cluster", target="DynamoDB", who=tables, tls="DynamoDB", **signed)
    images = "gateway endpoint: this account's buckets, and ECR's image layers"
    yield Hop(source="cluster", target="S3", who=images, tls="S3", **signed)
    yield Hop(
        source="cluster",
        target="AWS endpoints",
        who=f"the VPC's addresses, with an AWS role: {_codes(set(aws))}",
        tls="the AWS service",
        **signed,
    )
    yield Hop(
        source="cluster",
        target=THROUGH_NAT,
        protocol="any",
        who="nodes and add-ons (image pulls, AWS services without an endpoint); not services",
        tls="the server",
        timeouts="NAT gateway: idle 350 s",
        logged="VPC flow logs",
    )
    yield Hop(
        source="cluster",
        target="cluster",
        protocol="any",
        who="EKS's security group: nodes, pods and API server; network policies keep services apart",
        tls="by protocol",
        timeouts="by protocol",
        logged=f"Kubernetes API: {platform.log_group('-control-plane-logs')}",
    )
    for edge in sorted(platform.edges):
        if edge.target == "Kubernetes API":
            yield Hop(
                source=edge.source,
                target=edge.target,
                protocol="HTTPS",
                who="deployers with an AWS role that has an access entry (`cluster.publicAccessCidrs`)",
                tls="API server",
                timeouts="the caller's",
                logged=platform.log_group("-control-plane-logs"),
            )
    yield Hop(
        source="metrics scraper",
        target="cluster",
        protocol="HTTP to pods, HTTPS to the API server",
        who="the scraper's security group",
        tls="API server; none for pods' metrics",
        timeouts="every 30 s",
        logged=platform.log_group(f"metrics-scraper-{platform.region}"),
    )
    yield Hop(
        source="metrics scraper",
        target="brokers",
        protocol="HTTP to the brokers' exporters",
        who="the security group of the brokers' scraper",
        tls="none: within the VPC, metrics only",
        timeouts="every 60 s",
        logged=platform.log_group(f"broker-metrics-{platform.region}"),
    )


def hop_table(platform: Platform) -> str:
    """The hops as a Markdown table."""
    rows = [
        (
            hop.source,
            hop.target,
            hop.protocol,
            platform.ports(hop.source, hop.target),
            hop.who,
            hop.tls,
            hop.timeouts,
            hop.logged,
        )
        for hop in hops(platform)
    ]
    return table(
        ("from", "to", "protocol", "port", "who may connect", "TLS ends at", "time-outs", "logged"), rows
    )


def subnet_table(platform: Platform) -> str:
    """The kinds of subnets of a region's VPC, their routes out of the VPC, and what is in them."""
    kinds: dict[str, list[Registered]] = {}
    for subnet in platform.here.of("aws:ec2/subnet:Subnet"):
        zone = subnet.inputs["availabilityZone"]
        kind = subnet.name.removesuffix(f"-{zone}").rsplit("-", 1)[-1]
        kinds.setdefault(kind, []).append(subnet)
    rows: list[tuple[str, ...]] = []
    for kind, subnets in kinds.items():
        ids = {subnet.id for subnet in subnets}
        blocks = sorted(ipaddress.IPv4Network(s.inputs["cidrBlock"]) for s in subnets)
        ways = {
            _way(route.destination, route.via)
            for subnet in subnets
            for route in platform.walk.routes[subnet.id]
        }
        here = {place.name for place in platform.walk.places if place.subnets & ids}
        nats = platform.here.of("aws:ec2/natGateway:NatGateway")
        here |= {"NAT gateways" for nat in nats if nat.inputs["subnetId"] in ids}
        rows.append(
            (
                kind,
                _codes(str(block) for block in blocks),
                ", ".join(sorted(ways)) or "none",
                ", ".join(sorted(here)),
            )
        )
    return table(("subnets", "blocks", "routes out of the VPC", "contains"), sorted(rows, key=_by_block))


def accesses(platform: Platform) -> list[Access]:
    """What order intake and each service may access, according to their roles' policies."""
    function = platform.function["role"].rsplit("/", 1)[-1]
    associations = [
        a.inputs for a in platform.here.of("aws:eks/podIdentityAssociation:PodIdentityAssociation")
    ]
    roles = {
        a["serviceAccount"]: a["roleArn"].rsplit("/", 1)[-1]
        for a in associations
        if a["namespace"] == WORKLOAD_NAMESPACE
    }
    callers = _callers(platform)
    return [
        _access(platform, name, role, callers.get(name, []))
        for name, role in {ORDER_INTAKE: function, **dict(sorted(roles.items()))}.items()
    ]


def _access(platform: Platform, name: str, role: str, callers: list[str]) -> Access:
    allowed = [
        (action, resource)
        for policy in platform.here.of("aws:iam/rolePolicy:RolePolicy")
        if policy.inputs["role"] == role
        for statement in json.loads(policy.inputs["policy"])["Statement"]
        for action in _several(statement["Action"])
        for resource in _several(statement["Resource"])
    ]
    stores = ("*", "dynamodb:", "elasticache:", "kafka-cluster:", "rds-db:")
    wide = {action for action, _ in allowed if "*" in action and action.startswith(stores)}
    assert not wide, f"{name}: {wide} is more than the table can show"

    def last(pattern: str, kind: str) -> set[str]:
        return {r.rsplit("/", 1)[-1] for action, r in allowed if re.match(pattern, action) and kind in r}

    names = {
        table.outputs["arn"]: table.name.removeprefix("table-").removesuffix(f"-{platform.region}")
        for token in ("aws:dynamodb/table:Table", "aws:dynamodb/tableReplica:TableReplica")
        for table in platform.here.of(token)
    }
    tables: dict[str, set[str]] = {}
    for action, resource in allowed:
        # If a resource is not one of the tables, such as a wildcard, its text is shown unchanged.
        table = names.get(resource.partition("/index/")[0], resource)
        for verb, pattern in _TABLE_ACTIONS.items():
            if re.match(pattern, action):
                tables.setdefault(table, set()).add(verb)
    keys = {
        user.outputs["arn"]: {word[1:] for word in user.inputs["accessString"].split() if word[0] == "~"}
        for user in platform.here.of("aws:elasticache/user:User")
    }
    users = [r for action, r in allowed if action == "elasticache:Connect" and ":user:" in r]
    masters = {
        secret.outputs["arn"]: {MASTER_USERNAME}
        for secret in platform.here.of("aws:secretsmanager/secret:Secret")
        if secret.name == f"database-{platform.region}-master"
    }
    read = [r for action, r in allowed if action == "secretsmanager:GetSecretValue"]
    return Access(
        service=name,
        tables=tables,
        produces=last("kafka-cluster:WriteData$", ":topic/"),
        consumes=last("kafka-cluster:ReadData$", ":topic/"),
        cache={pattern for user in users for pattern in keys[user]},
        database=last("rds-db:connect$", ":dbuser:").union(*(masters.get(secret, ()) for secret in read)),
        callers=callers,
    )


def _callers(platform: Platform) -> dict[str, list[str]]:
    """Service → what calls it: order intake, and the routes of the API with the scope that each requires."""
    bindings = {
        binding.inputs["spec"]["targetGroupARN"]: binding.inputs["spec"]["serviceRef"]["name"]
        for binding in platform.graph.of("kubernetes:eks.amazonaws.com/v1:TargetGroupBinding")
    }
    ports = {
        f":{listener.inputs['port']}": bindings[action["targetGroupArn"]]
        for listener in platform.listeners(platform.nlb)
        for action in listener.inputs["defaultActions"]
    }
    found: dict[str, list[str]] = {}
    found.setdefault(ports[_port(platform.environment["ORDER_SERVICE_URL"])], []).append(ORDER_INTAKE)
    body = json.loads(platform.here.only("aws:apigateway/restApi:RestApi").inputs["body"])
    for path, methods in sorted(body["paths"].items()):
        if path.endswith("/{proxy+}"):
            continue  # the paths below a path lead to the same service
        ways: dict[tuple[str, str], list[str]] = {}
        for method, operation in methods.items():
            integration = operation.get("x-amazon-apigateway-integration") if is_dict(operation) else None
            if not integration:
                continue
            service = ORDER_INTAKE if ":function:" in integration["uri"] else ports[_port(integration["uri"])]
            scopes = {
                scope
                for entry in operation.get("security", [])
                for names in entry.values()
                for scope in names
            }
            token = f" with {_codes(scopes)}" if scopes else ", no token"
            ways.setdefault((service, token), []).append(method.upper())
        for (service, token), verbs in ways.items():
            verb = f"{verbs[0]} " if len(verbs) == 1 else ""
            found.setdefault(service, []).append(f"API Gateway: `{verb}{path}`{token}")
    return found


def access_table(platform: Platform) -> str:
    """What each service may access, as a Markdown table."""
    head = ("service", "called by", "tables", "topics written", "topics read", "cache keys", "database user")
    rows = [
        (
            a.service,
            "; ".join(a.callers),
            "; ".join(
                f"`{table}`: {', '.join(sorted(verbs, key=list(_TABLE_ACTIONS).index))}"
                for table, verbs in a.tables.items()
            ),
            *(_codes(values) for values in (a.produces, a.consumes, a.cache, a.database)),
        )
        for a in accesses(platform)
    ]
    return table(head, rows)


def render(page: str, platform: Platform) -> str:
    """The page with its generated tables updated.

    Raises:
        ValueError: the page doesn't have the part of a table.
    """
    tables = {
        "hops": hop_table(platform),
        "subnets": subnet_table(platform),
        "services": access_table(platform),
    }
    for name, text in tables.items():
        page = filled(page, name, f"\n{text}\n")
    return page


def main() -> None:
    """Updates the page."""
    PAGE.write_text(render(PAGE.read_text(), first_region(STACK)))
    print(f"wrote {PAGE.relative_to(Path.cwd())}")


def uncovered(platform: Platform) -> tuple[set[tuple[str, str]], set[tuple[str, str]]]:
    """Connections that the graph allows but the table does not contain, and the other way round."""
    listed = {(hop.source, hop.target) for hop in hops(platform)}
    there = {(edge.source, edge.target) for edge in platform.edges}
    return there - listed, listed - there


def _by_block(row: tuple[str, ...]) -> int:
    first = row[1].split(",")[0].strip("`")
    return int(ipaddress.IPv4Network(first).network_address)


def _way(destination: str, via: str) -> str:
    if via == "endpoint":
        return f"{destination} by gateway endpoint"
    return "internet gateway" if via.startswith("igw-") else "NAT gateway" if via.startswith("nat-") else via


def _delivery(platform: Platform) -> str:
    destinations = platform.graph.of("aws:cloudwatch/logDeliveryDestination:LogDeliveryDestination")
    configurations = [d.inputs["deliveryDestinationConfiguration"] for d in destinations]
    return ", ".join(sorted({_destination(c["destinationResourceArn"]) for c in configurations}))


def _acl_logs(platform: Platform, acl: Registered) -> str:
    logging = platform.graph.of("aws:wafv2/webAclLoggingConfiguration:WebAclLoggingConfiguration")
    own = next(c.inputs for c in logging if c.inputs["resourceArn"] == acl.outputs["arn"])
    return ", ".join(_destination(arn) for arn in own["logDestinationConfigs"])


def _rule_names(acl: Registered) -> str:
    return _codes(rule["name"] for rule in acl.inputs["rules"])


def _destination(arn: str) -> str:
    return f"`{arn.split(':log-group:', 1)[1]}`" if ":log-group:" in arn else "an S3 bucket"


def _by_arn(resources: Iterable[Registered], arn: str) -> Registered:
    return next(resource for resource in resources if resource.outputs["arn"] == arn)


def _one(values: set[Any]) -> Any:
    assert len(values) == 1, f"expected one value, found {values}"
    return next(iter(values))


def _several(value: str | list[str]) -> list[str]:
    """A policy document's value as a list. In the document, it can be one value or a list."""
    return [value] if isinstance(value, str) else value


def _port(url: str) -> str:
    return url[url.rindex(":") :]


def _scheme(url: str) -> str:
    return url.partition(":")[0].upper()


def _seconds(value: float) -> str:
    return f"{value:g} s"


def _codes(values: Iterable[str]) -> str:
    ordered = list(values) if not isinstance(values, set) else sorted(values)
    return ", ".join(f"`{value}`" for value in ordered)


def _dicts(value: Any) -> Iterator[dict[str, Any]]:
    if is_dict(value):
        yield value
        for item in value.values():
            yield from _dicts(item)
    elif is_list(value):
        for item in value:
            yield from _dicts(item)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    for found in _dicts(value):
        yield from (item for item in found.values() if isinstance(item, str))


if __name__ == "__main__":
    main()
