"""The API tier: who can call the API, which tokens are required, and where requests go."""

# pyright: reportUnknownMemberType=false
# (The types of an overload in jsonschema's stubs are incomplete.)
from __future__ import annotations

import functools
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jsonschema
import pulumi
import pytest
from openapi_spec_validator import OpenAPIV30SpecValidator

from components.api import Api, ApiArgs, token_authorizer
from components.api.document import DOCUMENT
from components.api.order_intake import ORDER_SERVICE_TIMEOUT_SECONDS, TIMEOUT_SECONDS
from components.common.function import function_package
from components.common.signals import Objective, Signal
from components.identity import Identity, IdentityArgs
from functions.order_intake.handler import MIN_SUBMIT_SECONDS, RESERVE_SECONDS
from functions.order_intake.idempotency import LEASE_SECONDS
from functions.order_intake.problems import Problem
from functions.order_intake.validation import parse_order
from functions.token_authorizer.key_set import TIMEOUT_SECONDS as ISSUER_TIMEOUT_SECONDS
from policy.values import read_yaml
from settings import (
    ApiSettings,
    CanarySettings,
    JwtSettings,
    ObjectiveSettings,
    Range,
    RouteSettings,
)
from settings.aws_limits import INTEGRATION_TIMEOUT_SECONDS
from tests.unit.harness import STACKS, Graph, context, deploy, deploy_platform, platform, stack_values

ENDPOINT = "vpce-0123456789abcdef0"
LOAD_BALANCER = (
    "arn:aws:elasticloadbalancing:us-east-1:123456789012:loadbalancer/net/internal/0123456789abcdef"
)
LOAD_BALANCER_GROUP = "sg-0123456789abcdef0"
PORTS = {"orders": 8081, "accounts": 8082, "market-data": 8083, "ledger": 8084}
URLS = {
    service: f"https://internal-us-east-1.origin.trade.example.com:{port}" for service, port in PORTS.items()
}
KEY = "arn:aws:kms:us-east-1:123456789012:key/01234567-89ab-cdef-0123-456789abcdef"
TABLE = "arn:aws:dynamodb:us-east-1:123456789012:table/orders-idempotency"
SIGNALS: list[Signal] = []
OBJECTIVES: dict[str, Objective] = {}


ISSUER = "https://login.example.com/realms/trading"
JWT = JwtSettings(issuer=ISSUER, audience="https://trade.example.com/api")
ALL_METHODS = ("get", "head", "post", "put", "patch", "delete")
FUNCTION = "api-us-east-1-order-intake"
AUTHORIZER = "api-us-east-1-token-authorizer"


def program(settings: ApiSettings, *, pool: bool | None = None) -> None:
    identity = None
    if not settings.jwt if pool is None else pool:
        identity = Identity(
            "identity",
            IdentityArgs(
                context=context(protect=True),
                host="trade.example.com",
                services=settings.services,
            ),
        )
    api = Api(
        "api-us-east-1",
        ApiArgs(
            context=context(platform="trading-test", region="us-east-1", key_arn=KEY, log_retention_days=30),
            vpc_id="vpc-0123456789abcdef0",
            private_subnet_ids=["subnet-0123456789abcdef0", "subnet-0123456789abcdef1"],
            host_names=["trade.example.com", "health-us-east-1.origin.trade.example.com"],
            certificate_arn="arn:aws:acm:us-east-1:123456789012:certificate/01234567-89ab-cdef-0123-456789abcdef",
            endpoint_id=ENDPOINT,
            user_pool_arn=identity.user_pool_arn if identity else None,
            scopes=identity.scopes if identity else settings.jwt_scopes,
            load_balancer_arn=LOAD_BALANCER,
            service_urls=URLS,
            load_balancer_security_group_id=LOAD_BALANCER_GROUP,
            listener_ports=PORTS,
            order_service_ready_path="/readyz",
            home_region="us-east-1",
            idempotency_table="orders-idempotency",
            idempotency_table_arn=TABLE,
            dynamodb_prefix_list_id="pl-0123456789abcdef0",
            settings=settings,
            objectives=ObjectiveSettings(latency_ms=800),
        ),
    )
    SIGNALS[:] = api.signals
    OBJECTIVES.update({objective.name: objective for objective in api.objectives})


@functools.cache
def graph() -> Graph:
    return deploy(lambda: program(ApiSettings()))


@functools.cache
def with_issuer() -> Graph:
    return deploy(lambda: program(ApiSettings(jwt=JWT)))


def document(of: Graph | None = None) -> dict[str, Any]:
    return json.loads((of or graph()).only("aws:apigateway/restApi:RestApi").inputs["body"])


def methods(of: Graph | None = None) -> dict[str, dict[str, Any]]:
    """Path and method → operation, in the OpenAPI document that is imported."""
    return {
        f"{method} {path}": operation
        for path, item in document(of)["paths"].items()
        for method, operation in item.items()
    }


def policy_denies_all_but_the_endpoint(policy: dict[str, Any]) -> bool:
    (deny,) = [statement for statement in policy["Statement"] if statement["Effect"] == "Deny"]
    return deny["Condition"] == {"StringNotEquals": {"aws:SourceVpce": ENDPOINT}} and deny["Principal"] == "*"


# Access to the API


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
        policy = json.loads(domain.inputs["policy"])
        assert policy_denies_all_but_the_endpoint(policy)
        # AWS expands `execute-api:/*`, which would be a difference in every preview.
        assert {statement["Resource"] for statement in policy["Statement"]} == {"*"}
    for token in (
        "basePathMapping:BasePathMapping",
        "domainNameAccessAssociation:DomainNameAccessAssociation",
    ):
        assert len(graph().of(f"aws:apigateway/{token}")) == len(domains)


def test_every_route_but_health_wants_the_scope_of_its_service() -> None:
    security = {route: operation.get("security") for route, operation in methods().items()}
    assert security.pop("get /healthz") is None
    assert security.pop("post /api/orders") == [{"token": ["trading/orders"]}]
    assert security == {
        f"{method} /api/{service}{below}": [{"token": [f"trading/{service}"]}]
        for service in ("accounts", "market-data")
        for below in ("", "/{proxy+}")
        for method in ALL_METHODS
    }


def test_authorizer_is_the_user_pool() -> None:
    scheme = document()["components"]["securitySchemes"]["token"]
    assert scheme["x-amazon-apigateway-authtype"] == "cognito_user_pools"
    assert scheme["x-amazon-apigateway-authorizer"]["type"] == "cognito_user_pools"
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


# An external issuer instead of the user pool


def test_outside_issuers_tokens_go_to_the_functions_alias_on_every_route_but_health() -> None:
    scheme = document(with_issuer())["components"]["securitySchemes"]["token"]
    assert scheme["x-amazon-apigateway-authtype"] == "custom"
    authorizer = scheme["x-amazon-apigateway-authorizer"]
    assert authorizer["type"] == "token"
    assert authorizer["authorizerUri"].endswith(":live/invocations")
    assert "token-authorizer" in authorizer["authorizerUri"]
    assert authorizer["authorizerResultTtlInSeconds"] == 60
    security = {route: operation.get("security") for route, operation in methods(with_issuer()).items()}
    assert security.pop("get /healthz") is None
    # API Gateway checks scopes only for a user pool. For an external issuer, the function's policy does.
    assert {json.dumps(wanted) for wanted in security.values()} == {'[{"token": []}]'}
    assert security.keys() == methods().keys() - {"get /healthz"}


@pytest.mark.parametrize(
    ("header", "passes"),
    [
        ("Bearer aa.bb.cc-_9", True),
        ("bearer aa.bb.cc", True),
        ("aa.bb.cc", False),
        ("Bearer aa.bb", False),
        ("Bearer aa.bb.cc.dd.ee", False),
        ("Bearer aa.bb.", False),
        ("Basic dTpw", False),
    ],
)
def test_what_is_no_token_does_not_reach_the_authorizer(header: str, passes: bool) -> None:
    scheme = document(with_issuer())["components"]["securitySchemes"]["token"]
    expression = scheme["x-amazon-apigateway-authorizer"]["identityValidationExpression"]
    assert bool(re.fullmatch(expression, header)) is passes


def test_authorizer_knows_what_each_scope_opens() -> None:
    variables = (
        with_issuer().named(AUTHORIZER, "aws:lambda/function:Function").inputs["environment"]["variables"]
    )
    assert variables["ISSUER"] == ISSUER
    assert variables["AUDIENCE"] == "https://trade.example.com/api"
    opened = json.loads(variables["ROUTES"])
    assert opened == {
        "trading/orders": ["POST/api/orders"],
        **{
            f"trading/{service}": [
                f"{method.upper()}/api/{service}{below}" for below in ("", "/*") for method in ALL_METHODS
            ]
            for service in ("accounts", "market-data")
        },
    }
    declared = {
        f"{method.upper()}{path.replace('{proxy+}', '*')}"
        for path, item in document(with_issuer())["paths"].items()
        for method in item
    }
    assert {route for routes in opened.values() for route in routes} == declared - {"GET/healthz"}


def test_methods_of_what_a_scope_opens_are_named() -> None:
    """`*` matches any characters, so `*/api/accounts` would also allow `GET/api/market-data/api/accounts`."""
    variables = (
        with_issuer().named(AUTHORIZER, "aws:lambda/function:Function").inputs["environment"]["variables"]
    )
    for routes in json.loads(variables["ROUTES"]).values():
        for route in routes:
            assert re.fullmatch(r"[A-Z]+/api/[a-z-]+(/\*)?", route)


def test_callers_subject_is_the_authorizers_principal() -> None:
    for route, operation in methods(with_issuer()).items():
        integration = operation["x-amazon-apigateway-integration"]
        if integration["type"] == "http_proxy":
            subject = integration["requestParameters"]["integration.request.header.X-Caller-Subject"]
            assert subject == "context.authorizer.principalId", route
    stage = with_issuer().only("aws:apigateway/stage:Stage")
    caller = json.loads(stage.inputs["accessLogSettings"]["format"])["caller"]
    assert caller == "$context.authorizer.principalId"


def test_only_the_api_may_ask_the_authorizer() -> None:
    permission = with_issuer().named("api-us-east-1-tokens", "aws:lambda/permission:Permission").inputs
    assert permission["principal"] == "apigateway.amazonaws.com"
    assert permission["qualifier"] == "live"
    assert permission["sourceArn"].endswith("/authorizers/*")
    assert ":execute-api:" in permission["sourceArn"]


def test_authorizer_is_outside_of_the_vpc_encrypted_and_limited() -> None:
    function = with_issuer().named(AUTHORIZER, "aws:lambda/function:Function").inputs
    assert "vpcConfig" not in function
    assert function["kmsKeyArn"] == KEY
    assert function["publish"] is True
    assert function["reservedConcurrentExecutions"] == 100
    assert function["loggingConfig"]["logFormat"] == "JSON"
    policy = json.loads(with_issuer().named(AUTHORIZER, "aws:iam/rolePolicy:RolePolicy").inputs["policy"])
    actions = {s["Sid"]: s["Action"] for s in policy["Statement"]}
    assert actions == {
        "OwnLogs": ["logs:CreateLogStream", "logs:PutLogEvents"],
        "EnvironmentIsEncrypted": "kms:Decrypt",
        "TracesKnowNoResources": ["xray:PutTelemetryRecords", "xray:PutTraceSegments"],
    }


def test_authorizer_has_time_for_a_slow_issuer() -> None:
    # The function makes two requests. Each can take almost the time-out to connect, and again to answer.
    assert token_authorizer.TIMEOUT_SECONDS > 4 * ISSUER_TIMEOUT_SECONDS


def test_missing_keys_of_the_issuer_ring() -> None:
    metric = with_issuer().named(f"{AUTHORIZER}-keys-unavailable").inputs
    deploy(lambda: program(ApiSettings(jwt=JWT)))
    (signal,) = [s for s in SIGNALS if s.name == "token-authorizer-keys-unavailable"]
    assert (signal.namespace, signal.metric) == (
        metric["metricTransformation"]["namespace"],
        metric["metricTransformation"]["name"],
    )
    assert metric["pattern"] == '{ $.message = "keys unavailable" }'


@pytest.mark.parametrize(("jwt", "pool"), [(None, False), (JWT, True)])
def test_tokens_have_one_source(jwt: JwtSettings | None, pool: bool) -> None:
    with pytest.raises(ValueError, match="either a user pool or an external token issuer"):
        deploy(lambda: program(ApiSettings(jwt=jwt), pool=pool))


@pytest.fixture(scope="module")
def outside() -> Graph:
    """The whole platform with an external issuer."""
    values = stack_values("small")
    issuer = {"issuer": ISSUER, "audience": "trading", "scopePrefix": "", "scopeClaim": "scp"}
    return deploy_platform("small", values | {"trading:api": {"jwt": issuer}})


def test_outside_issuer_leaves_no_user_pool(outside: Graph) -> None:
    assert [r.name for r in outside.resources if r.type.startswith("aws:cognito/")] == []
    assert [r.name for r in outside.resources if r.type == "trading:tier:Identity"] == []
    assert (
        document(outside)["components"]["securitySchemes"]["token"]["x-amazon-apigateway-authtype"]
        == "custom"
    )
    function = outside.named(AUTHORIZER, "aws:lambda/function:Function")
    variables = function.inputs["environment"]["variables"]
    assert variables["SCOPE_CLAIM"] == "scp"
    assert json.loads(variables["ROUTES"]).keys() == {"orders", "accounts", "market-data"}


# Destinations of requests


def test_orders_and_health_go_to_the_functions_alias() -> None:
    for route in ("post /api/orders", "get /healthz"):
        integration = methods()[route]["x-amazon-apigateway-integration"]
        assert integration["type"] == "aws_proxy"
        assert integration["uri"].endswith(":live/invocations")


@pytest.mark.parametrize("method", ALL_METHODS)
@pytest.mark.parametrize(
    ("route", "path"),
    [("/api/accounts", "/api/accounts"), ("/api/accounts/{proxy+}", "/api/accounts/$input.params('proxy')")],
)
def test_service_sees_the_clients_method_and_path_without_the_stage(
    route: str, path: str, method: str
) -> None:
    integration = methods()[f"{method} {route}"]["x-amazon-apigateway-integration"]
    assert integration["httpMethod"] == method.upper()
    assert integration["integrationTarget"] == LOAD_BALANCER
    assert integration["connectionType"] == "VPC_LINK"
    assert integration["uri"] == "https://internal-us-east-1.origin.trade.example.com:8082"
    assert f'requestOverride.path = "{path}"' in integration["requestTemplates"]["application/json"]


def test_no_deployment_holds_a_vpc_link_that_is_replaced() -> None:
    """API Gateway refuses to delete a link that a deployed document names. The deployment depends on the
    link, so the engine deletes the old deployment first, once the stage has the new one."""
    link = graph().only("aws:apigatewayv2/vpcLink:VpcLink")
    deployment = graph().only("aws:apigateway/deployment:Deployment")
    api = graph().only("aws:apigateway/restApi:RestApi")
    assert link.urn in api.refers_to
    assert {api.urn, link.urn} <= deployment.refers_to
    assert deployment.urn in graph().only("aws:apigateway/stage:Stage").refers_to


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


# Limits, logs and time-outs


def test_stage_throttles_traces_and_logs_without_bodies() -> None:
    stage = graph().only("aws:apigateway/stage:Stage")
    assert stage.inputs["xrayTracingEnabled"] is True
    assert json.loads(stage.inputs["accessLogSettings"]["format"])["request"] == "$context.requestId"
    settings = graph().only("aws:apigateway/methodSettings:MethodSettings").inputs
    assert settings["methodPath"] == "*/*"
    assert settings["settings"] == SETTINGS


SETTINGS = {
    "metricsEnabled": True,
    "loggingLevel": "ERROR",
    "dataTraceEnabled": False,
    "throttlingRateLimit": 5000,
    "throttlingBurstLimit": 2500,
}


def method_settings(settings: ApiSettings) -> dict[str, dict[str, Any]]:
    found = deploy(lambda: program(settings)).of("aws:apigateway/methodSettings:MethodSettings")
    assert len({r.name for r in found}) == len(found)
    return {r.inputs["methodPath"]: r.inputs["settings"] for r in found}


def test_routes_throttle_is_each_methods_beside_the_stages() -> None:
    routes = [
        RouteSettings(path="/api/accounts", service="accounts", throttle_rate=50, throttle_burst=20),
        RouteSettings(path="/api/market-data", service="market-data"),
    ]
    found = method_settings(ApiSettings(routes=routes))
    assert found.pop("*/*") == SETTINGS
    # A method's settings replace all settings of the stage, so they must also turn on logs and metrics.
    throttled = {**SETTINGS, "throttlingRateLimit": 50, "throttlingBurstLimit": 20}
    assert found == {
        f"~1api~1accounts{below}/{method.upper()}": throttled
        for below in ("", "~1{proxy+}")
        for method in ALL_METHODS
    }


def test_orders_throttle_is_their_own() -> None:
    found = method_settings(ApiSettings(orders_throttle_rate=700))
    assert found["~1api~1orders/POST"] == {**SETTINGS, "throttlingRateLimit": 700}
    found = method_settings(ApiSettings(orders_throttle_burst=70))
    assert found["~1api~1orders/POST"] == {**SETTINGS, "throttlingBurstLimit": 70}


def test_stage_settings_of_methods_name_methods_that_exist() -> None:
    routes = [RouteSettings(path="/api/accounts", service="accounts", throttle_rate=50)]
    settings = ApiSettings(routes=routes, orders_throttle_rate=700)
    declared = {
        f"{path.replace('/', '~1')}/{method.upper()}"
        for path, item in document(deploy(lambda: program(settings)))["paths"].items()
        for method in item
    }
    assert method_settings(settings).keys() - {"*/*"} <= declared


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


def test_logs_of_other_stacks_outlive_this_one() -> None:
    """An account has one role for the logs of all APIs in a region."""
    account = graph().only("aws:apigateway/account:Account")
    serving = [r for r in graph().resources if r.name == "api-us-east-1-logs"]
    assert {r.type.rsplit(":", 1)[1] for r in serving} == {"Role", "RolePolicyAttachment"}
    assert all(r.retain_on_delete for r in (account, *serving))


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
    # Otherwise, a retry could take over an order while another invocation is still submitting it.
    assert LEASE_SECONDS > TIMEOUT_SECONDS


# The function


def test_function_is_encrypted_traced_and_published() -> None:
    function = graph().only("aws:lambda/function:Function").inputs
    assert function["kmsKeyArn"] == KEY
    assert function["tracingConfig"] == {"mode": "Active"}
    assert function["publish"] is True
    assert function["architectures"] == ["arm64"]
    assert function["loggingConfig"]["logFormat"] == "JSON"
    assert function["reservedConcurrentExecutions"] == 500


def test_failed_asynchronous_invocations_are_kept_encrypted_and_ring() -> None:
    queue = graph().only("aws:sqs/queue:Queue")
    assert queue.inputs["kmsMasterKeyId"] == KEY
    function = graph().only("aws:lambda/function:Function").inputs
    assert function["deadLetterConfig"] == {"targetArn": queue.outputs["arn"]}
    statements = json.loads(graph().only("aws:iam/rolePolicy:RolePolicy").inputs["policy"])["Statement"]
    (sending,) = [s for s in statements if s["Action"] == "sqs:SendMessage"]
    assert sending["Resource"] == queue.outputs["arn"]
    deploy(lambda: program(ApiSettings()))
    metrics = {(s.metric, s.anchor) for s in SIGNALS if s.name.startswith("order-intake-dead-letters")}
    assert metrics == {
        ("ApproximateNumberOfMessagesVisible", "order-intake-dead-letters"),
        ("DeadLetterErrors", "order-intake-dead-letters"),
    }


# Canaries


def alias(of: Graph) -> dict[str, Any]:
    return of.named(f"{FUNCTION}-live", "aws:lambda/alias:Alias").inputs


def canary(percent: int, stable: int = 7, region: str = "us-east-1") -> ApiSettings:
    return ApiSettings(canary=CanarySettings(stable_versions={region: stable}, percent=percent))


def test_alias_is_all_of_the_newest_version() -> None:
    function = graph().only("aws:lambda/function:Function")
    assert alias(graph())["functionVersion"] == function.outputs["version"]
    assert "routingConfig" not in alias(graph())


def test_canary_gets_its_share_and_the_stable_version_the_rest() -> None:
    running = deploy(lambda: program(canary(10)))
    newest = running.only("aws:lambda/function:Function").outputs["version"]
    assert newest != "7"
    assert alias(running)["functionVersion"] == "7"
    assert alias(running)["routingConfig"] == {"additionalVersionWeights": {newest: 0.1}}


def test_canary_of_no_per_cent_takes_the_newest_version_back() -> None:
    back = alias(deploy(lambda: program(canary(0))))
    assert (back["functionVersion"], back.get("routingConfig")) == ("7", None)


def test_stable_version_is_not_its_own_canary_before_a_newer_one_is_published() -> None:
    newest = int(graph().only("aws:lambda/function:Function").outputs["version"])
    early = alias(deploy(lambda: program(canary(10, stable=newest))))
    assert early["functionVersion"] == str(newest)
    assert early.get("routingConfig") is None


def test_canary_of_another_region_is_none_of_ours() -> None:
    assert alias(deploy(lambda: program(canary(10, region="eu-west-1")))) == alias(graph())


def test_scaling_waits_while_the_alias_has_weights() -> None:
    target = deploy(lambda: program(canary(10))).only("aws:appautoscaling/target:Target")
    assert target.inputs["suspendedState"] == {
        "dynamicScalingInSuspended": True,
        "dynamicScalingOutSuspended": True,
    }
    assert "suspendedState" not in graph().only("aws:appautoscaling/target:Target").inputs


def test_canarys_errors_are_watched_by_its_version() -> None:
    running = deploy(lambda: program(canary(10)))
    signal = next(s for s in SIGNALS if s.name == "order-intake-canary-errors")
    assert set(signal.dimensions) == {"FunctionName", "Resource", "ExecutedVersion"}
    assert signal.anchor == "order-intake-errors"
    deploy(lambda: program(ApiSettings()))
    assert "order-intake-canary-errors" not in {s.name for s in SIGNALS}
    assert running


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
        "dynamodb:DeleteItem",
        "dynamodb:GetItem",
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


@pytest.mark.parametrize("function", ["order_intake", "token_authorizer"])
def test_package_holds_the_sources_alone_and_names_no_machine(function: str) -> None:
    assets = function_package(function).assets
    assert list(assets) == sorted(assets)
    assert f"{function}/handler.py" in assets
    for entry, asset in assets.items():
        assert entry.endswith(".py")
        assert entry.startswith(f"{function}/")
        assert isinstance(asset, pulumi.FileAsset)
        assert not Path(str(asset.path)).is_absolute()


def test_signals_have_names_of_their_own() -> None:
    graph()
    names = [signal.name for signal in SIGNALS]
    assert len(set(names)) == len(names)
    assert {"api-server-errors", "order-intake-throttles"} <= set(names)


# The OpenAPI document


def source() -> dict[str, Any]:
    return read_yaml(DOCUMENT)


def test_every_reference_of_the_document_leads_somewhere() -> None:
    references = re.findall(r'"\$ref": "#/(.+?)"', json.dumps(source()))
    assert references
    for reference in references:
        node = source()
        for part in reference.split("/"):
            node = node[part]


def test_document_in_the_repository_is_valid_openapi() -> None:
    OpenAPIV30SpecValidator(source()).validate()


def valid_openapi(imported: Mapping[str, Any]) -> None:
    """OpenAPI has no greedy path parameters (`{proxy+}`). The rest of the document must be valid OpenAPI."""
    paths = {path.replace("{proxy+}", "{proxy}"): item for path, item in imported["paths"].items()}
    OpenAPIV30SpecValidator({**imported, "paths": paths}).validate()


@pytest.mark.parametrize("stack", STACKS)
def test_imported_document_is_valid_openapi(stack: str) -> None:
    for api in platform(stack).of("aws:apigateway/restApi:RestApi"):
        valid_openapi(json.loads(api.inputs["body"]))


def test_imported_document_is_valid_openapi_with_an_outside_issuer() -> None:
    valid_openapi(document(with_issuer()))


def test_validation_of_the_document_can_fail() -> None:
    broken = document()
    broken["paths"]["/api/accounts/{proxy+}"]["get"]["parameters"] = []
    with pytest.raises(Exception, match="proxy"):
        valid_openapi(broken)


@pytest.mark.parametrize("stack", STACKS)
def test_imported_document_refers_to_schemas_only(stack: str) -> None:
    for api in platform(stack).of("aws:apigateway/restApi:RestApi"):
        imported = json.loads(api.inputs["body"])
        references = set(re.findall(r'"\$ref": "#/(\w+/\w+)', json.dumps(imported)))
        assert references == {"components/schemas"}
        problem = imported["paths"]["/api/orders"]["post"]["responses"]["409"]
        assert problem == source()["components"]["responses"]["Problem"]


def test_every_operation_is_integrated() -> None:
    for of in (graph(), with_issuer()):
        for route, operation in methods(of).items():
            assert operation["x-amazon-apigateway-integration"]["type"] in ("aws_proxy", "http_proxy"), route


def test_every_body_is_held_to_a_model_by_the_gateway() -> None:
    validators = document()["x-amazon-apigateway-request-validators"]
    with_body = {route: o for route, o in methods().items() if route.split()[0] in ("post", "put", "patch")}
    assert len(with_body) == 13
    for route, operation in with_body.items():
        assert validators[operation["x-amazon-apigateway-request-validator"]]["validateRequestBody"], route
        ((kind, content),) = operation["requestBody"]["content"].items()
        assert kind == "application/json"
        name = content["schema"]["$ref"].rsplit("/", 1)[1]
        assert name == ("Order" if route == "post /api/orders" else "ServiceRequest")
        assert document()["components"]["schemas"][name]["type"] == "object"
    assert [r for r, o in methods().items() if "requestBody" in o and r not in with_body] == []


def test_gateway_responses_are_json() -> None:
    responses = source()["x-amazon-apigateway-gateway-responses"]
    for response in responses.values():
        template = response["responseTemplates"]["application/json"]
        parsed = json.loads(template.replace("$context.error.messageString", '"a message"'))
        assert {"type", "title", "requestId"} <= set(parsed)
        assert parsed.get("status") == response.get("statusCode")
    assert {"DEFAULT_4XX", "DEFAULT_5XX", "UNAUTHORIZED", "ACCESS_DENIED", "AUTHORIZER_FAILURE"} <= set(
        responses
    )
    challenge = responses["UNAUTHORIZED"]["responseParameters"]["gatewayresponse.header.WWW-Authenticate"]
    assert challenge == "'Bearer'"  # RFC 6750, section 3


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
