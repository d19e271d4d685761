"""The microservice tier: a service gets exactly the access that it declares."""

import json
from collections.abc import Sequence
from typing import Any

import pulumi_kubernetes as k8s
import pytest
import yaml

from components.common.access import Access
from components.common.context import RegionContext
from components.database import Database, DatabaseArgs
from components.event_streaming import EventStreaming, EventStreamingArgs
from components.service.autoscaler import recording_rules
from components.service.cache import Cache, CacheArgs
from components.service.microservice import Microservice, MicroserviceArgs
from components.service.table import Table, TableArgs, TableReplica, table_access
from settings import (
    AttributeSettings,
    CacheSettings,
    DatabaseSettings,
    ServiceSettings,
    StreamingSettings,
    TableSettings,
    TopicSettings,
)
from tests.unit.harness import KEY_ARN, ROOT, Graph, context, deploy, deploy_platform, stack_values

ACCOUNT = "us-east-1:123456789012"
TABLES_ENDPOINT = "https://vpce-1.dynamodb.us-east-1.vpce.amazonaws.com"
ORDERS_TABLE = TableSettings(name="orders-idempotency", hash_key=AttributeSettings(name="id"))
STREAMING = StreamingSettings(
    topics=[
        TopicSettings(name="executions", partitions=6),
        TopicSettings(name="balances", partitions=6, dead_letter=False),
    ]
)
EVERYTHING: dict[str, Any] = {
    "tables": ["orders-idempotency"],
    "produces": ["orders"],
    "consumes": ["executions"],
    "cache": True,
    "database": True,
}


def access_to_stores(
    place: RegionContext, service: ServiceSettings, asked_by: ServiceSettings | None = None
) -> list[Access]:
    """The access that the stores declared by `service` grant to it, or to `asked_by`."""
    client = asked_by or service
    network: dict[str, Any] = {
        "vpc_id": "vpc-0123456789abcdef0",
        "subnet_ids": ["subnet-0123456789abcdef0", "subnet-0123456789abcdef1"],
    }
    granted: list[Access] = []
    if service.tables:
        tables: dict[str, Table | TableReplica] = {
            table: Table(table, TableArgs(context=place, settings=ORDERS_TABLE)) for table in service.tables
        }
        granted.append(table_access(place, client, tables, TABLES_ENDPOINT))
    if service.cache:
        args = CacheArgs(context=place, settings=CacheSettings(), users=[service.name], **network)
        granted.append(Cache("cache", args).access(client))
    if service.produces or service.consumes:
        brokers = EventStreamingArgs(context=place, settings=STREAMING, services=[service], **network)
        granted.append(EventStreaming("brokers", brokers).access(client))
    if service.database:
        database = DatabaseArgs(
            context=place,
            availability_zones=["us-east-1a", "us-east-1b"],
            alarm_topic_arn=f"arn:aws:sns:{ACCOUNT}:alarms",
            users=[service.database_user],
            settings=DatabaseSettings(),
            **network,
        )
        granted.append(Database("database", database).access(client))
    return granted


def microservice(
    *,
    callers: tuple[str, ...] = (),
    calls: dict[str, int] | None = None,
    access: Sequence[Access] | None = None,
    zones: int = 3,
    **settings: Any,
) -> Graph:
    """The graph of a service. `access` replaces the access that its stores grant."""

    def program() -> None:
        service = ServiceSettings.model_validate({"name": "orders", "listener_port": 8081, **settings})
        place = context()
        Microservice(
            "orders-us-east-1",
            MicroserviceArgs(
                context=place,
                settings=service,
                image=service.image,
                cluster_name="trading-test",
                cluster_arn=f"arn:aws:eks:{ACCOUNT}:cluster/trading-test",
                kubernetes=k8s.Provider("kubernetes", kubeconfig="{}"),
                target_group_arn=f"arn:aws:elasticloadbalancing:{ACCOUNT}:targetgroup/orders/0123456789abcdef",
                vpc_cidr="10.0.0.0/16",
                zones=zones,
                access=access_to_stores(place, service) if access is None else access,
                calls=calls or {},
                workspace_endpoint="https://aps-workspaces.us-east-1.amazonaws.com/workspaces/ws-1/",
                trigger_authentication="managed-prometheus",
                callers=callers,
                ready=[],
            ),
            place.options,
        )

    return deploy(program)


def values(graph: Graph) -> dict[str, Any]:
    return graph.only("kubernetes:helm.sh/v4:Chart").inputs["values"]


def scaling(graph: Graph) -> dict[str, Any]:
    return graph.only("kubernetes:keda.sh/v1alpha1:ScaledObject").inputs["spec"]


def granted(graph: Graph) -> dict[str, set[str]]:
    """Action → resources, in the policies of the service's own role."""
    actions: dict[str, set[str]] = {}
    for policy in graph.of("aws:iam/rolePolicy:RolePolicy"):
        if policy.name != "orders-us-east-1-policy":
            continue
        for statement in json.loads(policy.inputs["policy"])["Statement"]:
            for action in statement["Action"]:
                actions.setdefault(action, set()).update(statement["Resource"])
    return actions


def test_service_that_declares_nothing_may_do_nothing():
    graph = microservice()
    assert granted(graph) == {}
    assert graph.only("kubernetes:core/v1:ConfigMap").inputs["data"] == {"AWS_REGION": "us-east-1"}
    assert values(graph)["egress"] == []


def test_no_store_grants_anything_to_a_service_that_does_not_declare_it():
    everything = ServiceSettings(name="orders", listener_port=8081, **EVERYTHING)
    stranger = ServiceSettings(name="accounts", listener_port=8082)
    granted: list[Access] = []
    deploy(lambda: granted.extend(access_to_stores(context(), everything, asked_by=stranger)))
    assert granted == [Access()] * 4


def test_service_reaches_the_tables_topics_and_users_that_it_declares():
    graph = microservice(**EVERYTHING)
    actions = granted(graph)
    table = graph.only("aws:dynamodb/table:Table").outputs["arn"]
    assert actions["dynamodb:PutItem"] == {table, f"{table}/index/*"}
    brokers = graph.only("aws:msk/cluster:Cluster").outputs["arn"]
    topic = brokers.replace(":cluster/", ":topic/")
    dead_letters = f"{topic}/executions.orders.dlq"
    assert actions["kafka-cluster:WriteData"] == {f"{topic}/orders", dead_letters}
    assert actions["kafka-cluster:ReadData"] == {f"{topic}/executions", dead_letters}
    assert actions["kafka-cluster:AlterGroup"] == {brokers.replace(":cluster/", ":group/") + "/orders"}
    transactions = brokers.replace(":cluster/", ":transactional-id/")
    assert actions["kafka-cluster:AlterTransactionalId"] == {f"{transactions}/orders.*"}
    cache = graph.only("aws:elasticache/replicationGroup:ReplicationGroup").outputs["arn"]
    user = graph.only("aws:elasticache/user:User").outputs["arn"]
    assert actions["elasticache:Connect"] == {cache, user}
    proxy = graph.only("aws:rds/proxy:Proxy").outputs["arn"].rsplit(":", 1)[-1]
    assert actions["rds-db:connect"] == {f"arn:aws:rds-db:{ACCOUNT}:dbuser:{proxy}/orders"}


@pytest.mark.parametrize(
    ("least", "zones", "spread"),
    [
        (1, 3, {"zones": 2, "podsPerNode": 1}),
        (3, 3, {"zones": 2, "podsPerNode": 2}),
        (10, 2, {"zones": 1, "podsPerNode": 5}),
    ],
)
def test_a_node_holds_at_most_half_of_the_minimum(least: int, zones: int, spread: dict[str, int]):
    graph = microservice(zones=zones, replicas={"min": least, "max": 30})
    assert values(graph)["spread"] == spread


def test_no_permission_is_for_every_resource_or_action():
    for action, resources in granted(microservice(**EVERYTHING)).items():
        assert "*" not in action
        assert "*" not in resources


def test_network_lets_out_only_to_declared_data_stores():
    cidr = "10.0.0.0/16"
    assert values(microservice(database=True))["egress"] == [{"cidr": cidr, "port": 5432}]
    assert values(microservice(consumes=["orders"], cache=True))["egress"] == [
        {"cidr": cidr, "port": 6379},
        {"cidr": cidr, "port": 9098},
    ]


def test_tables_are_reached_inside_the_vpc():
    graph = microservice(tables=["orders-idempotency"])
    assert values(graph)["egress"] == [{"cidr": "10.0.0.0/16", "port": 443}]
    data = graph.only("kubernetes:core/v1:ConfigMap").inputs["data"]
    assert data["AWS_ENDPOINT_URL_DYNAMODB"] == TABLES_ENDPOINT


def test_caller_knows_the_service_that_it_calls_and_may_connect():
    graph = microservice(calls={"accounts": 8080})
    assert values(graph)["calls"] == [{"name": "accounts", "port": 8080}]
    data = graph.only("kubernetes:core/v1:ConfigMap").inputs["data"]
    assert data["SERVICE_ACCOUNTS"] == "http://accounts:8080"


def test_called_service_admits_its_callers():
    assert values(microservice())["callers"] == []
    assert values(microservice(callers=("accounts",)))["callers"] == ["accounts"]


def test_role_reads_exactly_the_declared_secrets():
    arn = f"arn:aws:secretsmanager:{ACCOUNT}:secret:shared/ca-AbCdEf"
    graph = microservice(secrets={"PARTNER_KEY": "trading/partner", "CA": arn})
    actions = granted(graph)
    named = f"arn:aws:secretsmanager:{ACCOUNT}:secret:trading/partner-??????"
    assert actions["secretsmanager:GetSecretValue"] == {named, arn}
    assert actions["kms:Decrypt"] == {KEY_ARN}
    assert values(graph)["secrets"] == {"PARTNER_KEY": "trading/partner", "CA": arn}
    assert not [action for action in granted(microservice()) if action.startswith("secretsmanager:")]


def test_changed_endpoint_restarts_the_pods():
    def checksum(writer: str) -> str:
        graph = microservice(access=[Access(environment={"DATABASE_WRITER": writer})])
        return values(graph)["endpoints"]["checksum"]

    assert checksum("one.example.com") == checksum("one.example.com")
    assert checksum("one.example.com") != checksum("another.example.com")


def test_producers_wait_for_all_replicas_and_write_once():
    data = microservice(produces=["orders"]).only("kubernetes:core/v1:ConfigMap").inputs["data"]
    assert data["KAFKA_ACKS"] == "all"
    assert data["KAFKA_ENABLE_IDEMPOTENCE"] == "true"


def environment(**settings: Any) -> dict[str, str]:
    return microservice(**settings).only("kubernetes:core/v1:ConfigMap").inputs["data"]


def test_producers_try_for_longer_than_a_leader_takes_to_change():
    data = environment(produces=["orders"])
    assert int(data["KAFKA_RETRIES"]) == 2**31 - 1
    assert int(data["KAFKA_DELIVERY_TIMEOUT_MS"]) > 3 * int(data["KAFKA_REQUEST_TIMEOUT_MS"])
    # With more requests in flight, a retry could change their order, so idempotence doesn't allow more.
    assert int(data["KAFKA_MAX_IN_FLIGHT_REQUESTS_PER_CONNECTION"]) <= 5


def test_consumers_commit_what_they_have_done_and_read_what_is_committed():
    data = environment(consumes=["executions"])
    assert data["KAFKA_GROUP_ID"] == "orders"
    assert data["KAFKA_ENABLE_AUTO_COMMIT"] == "false"
    assert data["KAFKA_ISOLATION_LEVEL"] == "read_committed"
    assert data["KAFKA_AUTO_OFFSET_RESET"] == "earliest"


def test_consumers_know_where_dead_letters_go_and_write_them_safely():
    data = environment(consumes=["executions"])
    assert data["KAFKA_DEAD_LETTER_TOPICS"] == "executions=executions.orders.dlq"
    assert data["KAFKA_ACKS"] == "all"
    graph = microservice(consumes=["executions"])
    actions = granted(graph)
    brokers = graph.only("aws:msk/cluster:Cluster").outputs["arn"]
    topic = brokers.replace(":cluster/", ":topic/")
    assert actions["kafka-cluster:WriteData"] == {f"{topic}/executions.orders.dlq"}
    assert "kafka-cluster:WriteDataIdempotently" in actions


def test_consumer_without_dead_letters_writes_nothing():
    graph = microservice(consumes=["balances"])
    assert "KAFKA_DEAD_LETTER_TOPICS" not in graph.only("kubernetes:core/v1:ConfigMap").inputs["data"]
    assert not [action for action in granted(graph) if "Write" in action or "Transactional" in action]


def test_transactions_are_for_who_reads_and_writes_and_begin_with_an_own_name():
    assert environment(**EVERYTHING)["KAFKA_TRANSACTIONAL_ID_PREFIX"] == "orders."
    assert "KAFKA_TRANSACTIONAL_ID_PREFIX" not in environment(produces=["orders"])


def test_order_path_stays_off_spot_capacity():
    assert values(microservice())["nodePools"] == ["on-demand"]
    assert values(microservice())["priorityClassName"] == "trading-critical"
    assert values(microservice(spot=True))["nodePools"] == ["spot", "on-demand"]


def test_graviton_only_where_the_image_is_built_for_it():
    assert values(microservice())["architectures"] == ["amd64"]
    assert values(microservice(arm64=True))["architectures"] == ["amd64", "arm64"]


def test_pods_start_after_their_endpoints_role_and_binding():
    chart = microservice().only("kubernetes:helm.sh/v4:Chart")
    assert {
        "orders-us-east-1-endpoints",
        "orders-us-east-1-identity",
        "orders-us-east-1-binding",
    } <= chart.depends_on


def test_binding_names_the_group_by_arn_and_leaves_security_groups_alone():
    spec = microservice().only("kubernetes:eks.amazonaws.com/v1:TargetGroupBinding").inputs["spec"]
    assert spec["targetType"] == "ip"
    assert spec["targetGroupARN"].startswith("arn:aws:elasticloadbalancing:")
    assert spec["serviceRef"] == {"name": "orders", "port": 9898}
    assert "networking" not in spec


def test_binding_is_made_anew_for_another_target_group():
    binding = microservice().only("kubernetes:eks.amazonaws.com/v1:TargetGroupBinding")
    assert binding.replace_on_changes == ("spec.targetGroupARN", "spec.targetType")
    assert binding.delete_before_replace


def test_a_dead_exporter_does_not_scale_the_service_down():
    spec = scaling(microservice(replicas={"min": 2, "max": 9}))
    prometheus = spec["triggers"][0]
    assert prometheus["metadata"]["ignoreNullValues"] == "false"
    assert spec["fallback"] == {
        "failureThreshold": 3,
        "replicas": 2,
        "behavior": "currentReplicasIfHigher",
    }
    assert (spec["minReplicaCount"], spec["maxReplicaCount"]) == (2, 9)


def test_prometheus_trigger_has_the_form_that_keda_wants():
    metadata = scaling(microservice())["triggers"][0]["metadata"]
    assert metadata["serverAddress"] == "https://aps-workspaces.us-east-1.amazonaws.com/workspaces/ws-1"
    assert metadata["query"] == 'trading:scaling_load{service="orders"}'
    assert all(isinstance(value, str) for value in metadata.values())


def test_scaling_reads_the_series_that_the_rules_record():
    recorded = json.loads(recording_rules({"orders": "vector(1)"}))["groups"][0]["rules"][0]
    query = scaling(microservice())["triggers"][0]["metadata"]["query"]
    assert query == f'{recorded["record"]}{{service="{recorded["labels"]["service"]}"}}'


def test_scaling_follows_the_settings():
    settings = {"threshold": 12.5, "cpuPercent": 55, "scaleDownSeconds": 900, "fallbackReplicas": 8}
    spec = scaling(microservice(scaling=settings))
    assert spec["triggers"][0]["metadata"]["threshold"] == "12.5"
    assert spec["triggers"][1]["metadata"] == {"value": "55"}
    assert spec["fallback"]["replicas"] == 8
    behavior = spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
    assert behavior["scaleDown"]["stabilizationWindowSeconds"] == 900


def test_every_change_of_a_value_shows_in_a_preview():
    """If a single value is unknown, a preview registers none of the chart's objects."""
    assert all(value is not None for value in values(microservice(**EVERYTHING)).values())


def test_service_with_tls_is_registered_and_told_at_its_tls_port():
    graph = microservice(tls_port=8443)
    binding = graph.named("orders-us-east-1-binding")
    assert binding.inputs["spec"]["serviceRef"] == {"name": "orders", "port": 8443}
    assert values(graph)["tlsPort"] == 8443
    told = graph.named("orders-us-east-1-endpoints").inputs["data"]
    assert told["TLS_PORT"] == "8443"
    assert {told["TLS_CERTIFICATE_FILE"], told["TLS_KEY_FILE"]} == {"/tls/tls.crt", "/tls/tls.key"}
    assert "TLS_PORT" not in microservice().named("orders-us-east-1-endpoints").inputs["data"]


def test_service_more_is_under_ten_lines_of_a_stack_file():
    """The example in the documentation creates every part of a service."""
    page = (ROOT / "docs/configuration.md").read_text()
    (example,) = (part.split("```")[0] for part in page.split("```yaml\n")[1:] if "positions:" in part)
    stack = stack_values("small")
    added = yaml.safe_load(example)
    assert len(yaml.safe_dump(added["trading:services"]).splitlines()) < 10
    stack["trading:services"] |= added["trading:services"]
    stack["trading:api"] |= added["trading:api"]
    names = {resource.name for resource in deploy_platform("small", stack).resources}
    parts = ("chart", "endpoints", "role", "policy", "identity", "binding", "scaling")
    assert {f"positions-us-east-1-{part}" for part in parts} <= names
    assert {name for name in names if "positions" in name and name.startswith("monitoring")}
    assert {name for name in names if "positions" in name and name.startswith("nlb")}
