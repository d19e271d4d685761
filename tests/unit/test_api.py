"""The API tier: who gets in, what is asked of them, and where requests go."""

# pyright: reportUnknownMemberType=false
# (jsonschema's stubs leave an overload open)
from __future__ import annotations

import functools
import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pulumi
import pytest
import yaml

from components.api import DOCUMENT, INTEGRATION_TIMEOUT_SECONDS, Api, ApiArgs
from components.identity import Identity, IdentityArgs
from components.order_intake import ORDER_SERVICE_TIMEOUT_SECONDS, TIMEOUT_SECONDS, source_archive
from components.tier import Objective, Signal
from functions.order_intake.handler import MIN_SUBMIT_SECONDS, RESERVE_SECONDS
from functions.order_intake.idempotency import LEASE_SECONDS
from functions.order_intake.problems import Problem
from functions.order_intake.validation import parse_order
from settings import ApiSettings, ObjectiveSettings, Range, RouteSettings
from tests.unit.harness import Graph, deploy

ENDPOINT = "vpce-0123456789abcdef0"
LOAD_BALANCER = (
    "arn:aws:elasticloadbalancing:us-east-1:123456789012:loadbalancer/net/internal/0123456789abcdef"
)
LOAD_BALANCER_GROUP = "sg-0123456789abcdef0"
PORTS = {"orders": 8081, "accounts": 8082, "market-data": 8083, "ledger": 8084}
KEY = "arn:aws:kms:us-east-1:123456789012:key/01234567-89ab-cdef-0123-456789abcdef"
TABLE = "arn:aws:dynamodb:us-east-1:123456789012:table/orders-idempotency"
SIGNALS: list[Signal] = []
OBJECTIVES: dict[str, Objective] = {}


def program(settings: ApiSettings) -> None:
    identity = Identity(
        "identity", IdentityArgs(host="trade.example.com", services=settings.services, protect=True)
    )
    api = Api(
        "api-us-east-1",
        ApiArgs(
            region="us-east-1",
            vpc_id="vpc-0123456789abcdef0",
            private_subnet_ids=["subnet-0123456789abcdef0", "subnet-0123456789abcdef1"],
            key_arn=KEY,
            host_names=["trade.example.com", "health-us-east-1.origin.trade.example.com"],
            certificate_arn="arn:aws:acm:us-east-1:123456789012:certificate/01234567-89ab-cdef-0123-456789abcdef",
            endpoint_id=ENDPOINT,
            user_pool_arn=identity.user_pool_arn,
            scopes=identity.scopes,
            load_balancer_arn=LOAD_BALANCER,
            load_balancer_dns_name="internal.elb.us-east-1.amazonaws.com",
            load_balancer_security_group_id=LOAD_BALANCER_GROUP,
            listener_ports=PORTS,
            order_service_ready_path="/readyz",
            idempotency_table="orders-idempotency",
            idempotency_table_arn=TABLE,
            dynamodb_prefix_list_id="pl-0123456789abcdef0",
            settings=settings,
            objectives=ObjectiveSettings(latency_ms=800),
            log_retention_days=30,
        ),
    )
    SIGNALS[:] = api.signals
    OBJECTIVES.update({objective.name: objective for objective in api.objectives})


@functools.cache
def graph() -> Graph:
    return deploy(lambda: program(ApiSettings()))


def document(of: Graph | None = None) -> dict[str, Any]:
    return json.loads((of or graph()).only("aws:apigateway/restApi:RestApi").inputs["body"])


def methods() -> dict[str, dict[str, Any]]:
    """Path and method → operation, of the document that is imported."""
    return {
        f"{method} {path}": operation
        for path, item in document()["paths"].items()
        for method, operation in item.items()
    }


def policy_denies_all_but_the_endpoint(policy: dict[str, Any]) -> bool:
    (deny,) = [statement for statement in policy["Statement"] if statement["Effect"] == "Deny"]
    return deny["Condition"] == {"StringNotEquals": {"aws:SourceVpce": ENDPOINT}} and deny["Principal"] == "*"


# Who gets in


def test_api_is_private_and_reached_only_through_our_endpoint() -> None:
    rest_api = graph().only("aws:apigateway/restApi:RestApi")
    assert rest_api.inputs["endpointConfiguration"] == {"types": "PRIVATE", "vpcEndpointIds": [ENDPOINT]}
    assert policy_denies_all_but_the_endpoint(document()["x-amazon-apigateway-policy"])


def test_every_host_name_is_a_private_domain_of_the_stage() -> None:
    domains = graph().of("aws:apigateway/domainName:DomainName")
    assert {r.inputs["domainName"] for r in domains} == {
        "trade.example.com",
        "health-us-east-1.origin.trade.example.com",
    }
    for domain in domains:
        assert domain.inputs["endpointConfiguration"]["types"] == "PRIVATE"
        assert domain.inputs["securityPolicy"] == "TLS_1_2"
        assert policy_denies_all_but_the_endpoint(json.loads(domain.inputs["policy"]))
    for token in (
        "basePathMapping:BasePathMapping",
        "domainNameAccessAssociation:DomainNameAccessAssociation",
    ):
        assert len(graph().of(f"aws:apigateway/{token}")) == len(domains)


def test_every_route_but_health_wants_the_scope_of_its_service() -> None:
    security = {route: operation.get("security") for route, operation in methods().items()}
    assert security.pop("get /healthz") is None
    assert security == {
        "post /api/orders": [{"userPool": ["trading/orders"]}],
        "x-amazon-apigateway-any-method /api/accounts": [{"userPool": ["trading/accounts"]}],
        "x-amazon-apigateway-any-method /api/accounts/{proxy+}": [{"userPool": ["trading/accounts"]}],
        "x-amazon-apigateway-any-method /api/market-data": [{"userPool": ["trading/market-data"]}],
        "x-amazon-apigateway-any-method /api/market-data/{proxy+}": [{"userPool": ["trading/market-data"]}],
    }


def test_authorizer_is_the_user_pool() -> None:
    scheme = document()["components"]["securitySchemes"]["userPool"]
    assert scheme["x-amazon-apigateway-authtype"] == "cognito_user_pools"
    (arn,) = scheme["x-amazon-apigateway-authorizer"]["providerARNs"]
    assert ":userpool/" in arn


def test_users_are_created_by_administrators_and_sign_in_with_two_factors() -> None:
    pool = graph().only("aws:cognito/userPool:UserPool")
    assert pool.inputs["adminCreateUserConfig"] == {"allowAdminCreateUserOnly": True}
    assert pool.inputs["mfaConfiguration"] == "ON"
    assert pool.inputs["deletionProtection"] == "ACTIVE"
    assert pool.protect


def test_clients_may_ask_for_every_scope_and_only_the_machine_has_a_secret() -> None:
    clients = {r.name: r.inputs for r in graph().of("aws:cognito/userPoolClient:UserPoolClient")}
    assert clients["identity-web"]["allowedOauthFlows"] == ["code"]
    assert "generateSecret" not in clients["identity-web"]
    assert clients["identity-machine"]["allowedOauthFlows"] == ["client_credentials"]
    for client in clients.values():
        assert {"trading/orders", "trading/accounts"} <= set(client["allowedOauthScopes"])


# Where requests go


def test_orders_and_health_go_to_the_functions_alias() -> None:
    for route in ("post /api/orders", "get /healthz"):
        integration = methods()[route]["x-amazon-apigateway-integration"]
        assert integration["type"] == "aws_proxy"
        assert integration["uri"].endswith(":live/invocations")


@pytest.mark.parametrize(
    ("route", "path"),
    [("/api/accounts", "/api/accounts"), ("/api/accounts/{proxy+}", "/api/accounts/$input.params('proxy')")],
)
def test_service_sees_the_clients_path_without_the_stage(route: str, path: str) -> None:
    integration = methods()[f"x-amazon-apigateway-any-method {route}"]["x-amazon-apigateway-integration"]
    assert integration["integrationTarget"] == LOAD_BALANCER
    assert integration["connectionType"] == "VPC_LINK"
    assert integration["uri"] == "http://internal.elb.us-east-1.amazonaws.com:8082"
    assert f'requestOverride.path = "{path}"' in integration["requestTemplates"]["application/json"]


def test_caller_and_request_id_that_services_see_are_not_the_clients_word() -> None:
    for route, operation in methods().items():
        integration = operation["x-amazon-apigateway-integration"]
        if integration["type"] == "http_proxy":
            assert integration["requestParameters"] == {
                "integration.request.header.X-Request-Id": "context.requestId",
                "integration.request.header.X-Caller-Subject": "context.authorizer.claims.sub",
                "integration.request.header.X-Origin-Secret": "''",
            }, route


def test_only_the_api_may_invoke_the_function_and_only_for_its_two_routes() -> None:
    permissions = graph().of("aws:lambda/permission:Permission")
    assert {r.inputs["principal"] for r in permissions} == {"apigateway.amazonaws.com"}
    assert {r.inputs["qualifier"] for r in permissions} == {"live"}
    assert {r.inputs["sourceArn"].split("/", 1)[1] for r in permissions} == {
        "live/POST/api/orders",
        "live/GET/healthz",
    }


def test_new_route_is_deployed() -> None:
    routes = [RouteSettings(path="/api/ledger", service="ledger")]
    other = deploy(lambda: program(ApiSettings(routes=routes)))
    token = "aws:apigateway/deployment:Deployment"
    assert other.only(token).inputs["triggers"] != graph().only(token).inputs["triggers"]
    assert "/api/ledger/{proxy+}" in document(other)["paths"]
    assert "/api/accounts" not in document(other)["paths"]


def test_each_group_opens_exactly_the_listeners_that_it_needs() -> None:
    egress = {
        (r.name, r.inputs.get("referencedSecurityGroupId") or r.inputs["prefixListId"], r.inputs["toPort"])
        for r in graph().of("aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule")
    }
    assert egress == {
        ("api-us-east-1-order-intake-to-dynamodb", "pl-0123456789abcdef0", 443),
        ("api-us-east-1-order-intake-to-load-balancer", LOAD_BALANCER_GROUP, 8081),
        ("api-us-east-1-vpc-link-to-accounts", LOAD_BALANCER_GROUP, 8082),
        ("api-us-east-1-vpc-link-to-market-data", LOAD_BALANCER_GROUP, 8083),
    }
    ingress = graph().of("aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule")
    assert {r.inputs["securityGroupId"] for r in ingress} == {LOAD_BALANCER_GROUP}
    assert sorted(r.inputs["fromPort"] for r in ingress) == [8081, 8082, 8083]


# Limits, logs and time


def test_stage_throttles_traces_and_logs_without_bodies() -> None:
    stage = graph().only("aws:apigateway/stage:Stage")
    assert stage.inputs["xrayTracingEnabled"] is True
    assert json.loads(stage.inputs["accessLogSettings"]["format"])["requestId"] == "$context.requestId"
    settings = graph().only("aws:apigateway/methodSettings:MethodSettings").inputs["settings"]
    assert (settings["throttlingRateLimit"], settings["throttlingBurstLimit"]) == (5000, 2500)
    assert settings["dataTraceEnabled"] is False


def test_log_groups_are_encrypted_kept_and_made_before_their_writers() -> None:
    groups = graph().of("aws:cloudwatch/logGroup:LogGroup")
    assert len(groups) == 3
    assert {(r.inputs["kmsKeyId"], r.inputs["retentionInDays"]) for r in groups} == {(KEY, 30)}
    stage = graph().only("aws:apigateway/stage:Stage")
    assert {"api-us-east-1-access", "api-us-east-1-execution"} <= stage.depends_on


def test_stage_waits_for_the_accounts_logging_role() -> None:
    stage = graph().only("aws:apigateway/stage:Stage")
    account = graph().only("aws:apigateway/account:Account")
    assert account.urn in {r.urn for r in graph().resources if r.name in stage.depends_on}


def test_account_is_left_alone_where_another_stack_manages_it() -> None:
    other = deploy(lambda: program(ApiSettings(manage_account=False)))
    assert other.of("aws:apigateway/account:Account") == []


def test_timeouts_shrink_from_the_gateway_inwards() -> None:
    function = graph().only("aws:lambda/function:Function")
    assert function.inputs["timeout"] == TIMEOUT_SECONDS
    integrations = [operation["x-amazon-apigateway-integration"] for operation in methods().values()]
    assert {integration["timeoutInMillis"] for integration in integrations} == {29_000}
    assert INTEGRATION_TIMEOUT_SECONDS > TIMEOUT_SECONDS > ORDER_SERVICE_TIMEOUT_SECONDS + RESERVE_SECONDS
    assert TIMEOUT_SECONDS - RESERVE_SECONDS > MIN_SUBMIT_SECONDS


def test_lease_outlasts_the_function() -> None:
    # Else a retry could take an order over from an invocation that still submits it.
    assert LEASE_SECONDS > TIMEOUT_SECONDS


# The function


def test_function_is_encrypted_traced_and_published() -> None:
    function = graph().only("aws:lambda/function:Function").inputs
    assert function["kmsKeyArn"] == KEY
    assert function["tracingConfig"] == {"mode": "Active"}
    assert function["publish"] is True
    assert function["architectures"] == ["arm64"]
    assert function["loggingConfig"]["logFormat"] == "JSON"
    assert function["deadLetterConfig"]["targetArn"].endswith(
        graph().only("aws:sqs/queue:Queue").inputs.get("name", "")
    )


def test_function_gets_its_permissions_before_it_is_created() -> None:
    assert "api-us-east-1-order-intake" in {
        r.name
        for r in graph().of("aws:iam/rolePolicy:RolePolicy")
        if r.name in graph().only("aws:lambda/function:Function").depends_on
    }


def test_role_reads_and_writes_its_table_only() -> None:
    policy = json.loads(graph().only("aws:iam/rolePolicy:RolePolicy").inputs["policy"])
    statements = {statement["Sid"]: statement for statement in policy["Statement"]}
    assert statements["IdempotencyRecords"]["Resource"] == TABLE
    assert statements["IdempotencyRecords"]["Action"] == [
        "dynamodb:GetItem",
        "dynamodb:PutItem",
        "dynamodb:UpdateItem",
    ]
    anywhere = [sid for sid, statement in statements.items() if statement["Resource"] == "*"]
    assert anywhere == ["NetworkInterfacesAndTracesKnowNoResources"]


def test_provisioned_concurrency_belongs_to_the_autoscaler_after_its_first_value() -> None:
    config = graph().only("aws:lambda/provisionedConcurrencyConfig:ProvisionedConcurrencyConfig")
    assert config.ignore_changes == ("provisionedConcurrentExecutions",)
    target = graph().only("aws:appautoscaling/target:Target")
    assert (target.inputs["minCapacity"], target.inputs["maxCapacity"]) == (10, 100)
    assert target.inputs["resourceId"].endswith(":live")


def test_no_provisioned_concurrency_with_a_minimum_of_zero() -> None:
    settings = ApiSettings(provisioned_concurrency=Range(min=0, max=1))
    other = deploy(lambda: program(settings))
    assert other.of("aws:lambda/provisionedConcurrencyConfig:ProvisionedConcurrencyConfig") == []
    assert other.of("aws:appautoscaling/target:Target") == []


def test_package_holds_the_sources_alone_and_names_no_machine() -> None:
    assets = source_archive().assets
    assert list(assets) == sorted(assets)
    assert "order_intake/handler.py" in assets
    for entry, asset in assets.items():
        assert entry.endswith(".py")
        assert isinstance(asset, pulumi.FileAsset)
        assert not Path(str(asset.path)).is_absolute()


def test_signals_have_names_of_their_own() -> None:
    graph()
    names = [signal.name for signal in SIGNALS]
    assert len(set(names)) == len(names)
    assert {"api-server-errors", "order-intake-throttles"} <= set(names)


# The OpenAPI document


def source() -> dict[str, Any]:
    return yaml.safe_load(DOCUMENT.read_text())


def test_every_reference_of_the_document_leads_somewhere() -> None:
    references = re.findall(r'"\$ref": "#/(.+?)"', json.dumps(source()))
    assert references
    for reference in references:
        node = source()
        for part in reference.split("/"):
            node = node[part]


def test_bodies_of_orders_are_validated_by_the_gateway() -> None:
    name = methods()["post /api/orders"]["x-amazon-apigateway-request-validator"]
    assert document()["x-amazon-apigateway-request-validators"][name]["validateRequestBody"] is True


def test_gateway_responses_are_json() -> None:
    for response in source()["x-amazon-apigateway-gateway-responses"].values():
        template = response["responseTemplates"]["application/json"]
        parsed = json.loads(template.replace("$context.error.messageString", '"a message"'))
        assert {"type", "title", "requestId"} <= set(parsed)


VALID = {
    "account_id": "acc-1",
    "client_order_id": "c-1",
    "symbol": "BRK.B",
    "side": "buy",
    "type": "limit",
    "quantity": "10.5",
    "limit_price": "412.05",
}


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"account_id": "a" * 64},
        {"account_id": "a" * 65},
        {"client_order_id": "a b"},
        {"symbol": "A" * 20},
        {"symbol": "A" * 21},
        {"symbol": ".A"},
        {"side": "short"},
        {"type": "stop"},
        {"quantity": "999999999999.99999999"},
        {"quantity": "1000000000000"},
        {"quantity": ".5"},
        {"quantity": "5."},
        {"quantity": 5},
        {"limit_price": "1e2"},
        {"note": "x"},
        {"symbol": None},
    ],
)
def test_document_and_function_have_the_same_limits(change: dict[str, Any]) -> None:
    order = {**VALID, **change}
    schema = source()["components"]["schemas"]["Order"]
    by_gateway = jsonschema.Draft4Validator(schema).is_valid(order)
    try:
        parse_order(json.dumps(order).encode(), "application/json")
        by_function = True
    except Problem:
        by_function = False
    assert by_gateway == by_function


def test_objectives_are_about_orders_alone() -> None:
    graph()
    for objective in OBJECTIVES.values():
        assert (objective.dimensions["Resource"], objective.dimensions["Method"]) == ("/api/orders", "POST")


def test_latency_objective_counts_what_took_longer_than_the_setting() -> None:
    graph()
    assert OBJECTIVES["order-latency"].metrics["fast"] == ("Latency", "PR(:800)")
