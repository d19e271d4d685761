"""Tier 4, the API: a private REST API with a function for order intake and a VPC link for all other
routes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from components.api.document import (
    ORDERS_METHOD,
    Authorizer,
    DocumentArgs,
    FunctionAuthorizer,
    UserPoolAuthorizer,
    api_document,
    methods,
    only_through,
    opened_by_scope,
    paths,
)
from components.api.order_intake import OrderIntake, OrderIntakeArgs
from components.api.token_authorizer import TokenAuthorizer, TokenAuthorizerArgs
from components.common.component import Component
from components.common.context import RegionContext
from components.common.logs import count_lines, log_group
from components.common.service_role import api_logs_role
from components.common.signals import FOLLOW_ONE_REQUEST, LOG_METRICS, LogQuery, Objective, Signal
from settings import ORDERS_PATH, ApiSettings, ObjectiveSettings

STAGE = "live"
LEAST_REQUESTS = 100
"""Minimum number of requests a minute for which the share of rejected requests is evaluated. With fewer, a
single scanner may send a large share of all requests."""

QUERIES = {
    "follow-one-request": FOLLOW_ONE_REQUEST,
    "slow-orders": """\
filter resource = "/api/orders"
| sort latency desc
| display @timestamp, latency, integrationLatency, status, caller, request, trace
| limit 50""",
    "failures-by-status-and-integration": """\
filter status like /^[45]/
| stats count(*) as n by status, integrationStatus, error, method, resource
| sort n desc
| limit 100""",
}
"""Saved queries for the access log."""


@dataclass(frozen=True, kw_only=True)
class ApiArgs:
    """Settings of the API tier."""

    context: RegionContext
    vpc_id: pulumi.Input[str]
    private_subnet_ids: Sequence[pulumi.Input[str]]
    host_names: Sequence[str]
    """Names that the API answers to: the viewer's host, and the region's own name for health checks."""
    certificate_arn: pulumi.Input[str]
    endpoint_id: pulumi.Input[str]
    """The `execute-api` interface endpoint, the only way in."""
    user_pool_arn: pulumi.Input[str] | None
    """The user pool whose tokens the API accepts; None if `settings.jwt` configures an external issuer."""
    scopes: Mapping[str, str]
    """Service → the scope that a token must have for it."""
    load_balancer_arn: pulumi.Input[str]
    """The internal load balancer."""
    load_balancer_security_group_id: pulumi.Input[str]
    listener_ports: Mapping[str, int]
    """Service → port of its listener."""
    service_urls: Mapping[str, pulumi.Input[str]]
    """Service → URL of its listener, with scheme, name and port. The name is in the listener's
    certificate."""
    order_service_ready_path: str
    home_region: str
    """The region that takes orders until the database moves."""
    idempotency_table: pulumi.Input[str]
    idempotency_table_arn: pulumi.Input[str]
    dynamodb_prefix_list_id: pulumi.Input[str]
    settings: ApiSettings
    objectives: ObjectiveSettings


class Api(Component):
    """API Gateway (private REST) and its Lambda functions.

    Raises:
        ValueError: there is neither a user pool nor an external issuer, or there are both.
    """

    rest_api_id: pulumi.Output[str]
    stage_name: str
    function_name: pulumi.Output[str]

    def __init__(self, name: str, args: ApiArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("trading:tier:Api", name, opts)
        access_logs = self._access_logs(name, args)
        order_intake = OrderIntake(
            f"{name}-order-intake",
            OrderIntakeArgs(
                context=args.context,
                vpc_id=args.vpc_id,
                private_subnet_ids=args.private_subnet_ids,
                load_balancer_security_group_id=args.load_balancer_security_group_id,
                order_service_url=args.service_urls[args.settings.order_service],
                order_service_port=args.listener_ports[args.settings.order_service],
                order_service_ready_path=args.order_service_ready_path,
                home_region=args.home_region,
                idempotency_table=args.idempotency_table,
                idempotency_table_arn=args.idempotency_table_arn,
                dynamodb_prefix_list_id=args.dynamodb_prefix_list_id,
                reserved_concurrency=args.settings.reserved_concurrency,
                provisioned_concurrency=args.settings.provisioned_concurrency,
                canary=args.settings.canary_in(args.context.region),
            ),
            self.child(),
        )
        vpc_link = self._vpc_link(name, args)
        token_authorizer = self._token_authorizer(name, args)
        authorizer = _authorizer(args, token_authorizer)
        body = pulumi.Output.json_dumps(
            api_document(
                DocumentArgs(
                    endpoint_id=args.endpoint_id,
                    authorizer=authorizer,
                    scopes=args.scopes,
                    order_service=args.settings.order_service,
                    order_intake_invoke_arn=order_intake.invoke_arn,
                    routes=args.settings.routes,
                    vpc_link_id=vpc_link.id,
                    load_balancer_arn=args.load_balancer_arn,
                    service_urls=args.service_urls,
                )
            )
        )
        rest_api = aws.apigateway.RestApi(
            name,
            description="Private API of the trading platform",
            endpoint_configuration={"types": "PRIVATE", "vpc_endpoint_ids": [args.endpoint_id]},
            body=body,
            opts=self.child(),
        )
        self._permissions(name, order_intake, token_authorizer, rest_api)
        deployment = aws.apigateway.Deployment(
            name,
            rest_api=rest_api.id,
            # A deployment is a snapshot, so any change of the document, including its policy, requires a new
            # one.
            triggers={"document": body.apply(lambda text: hashlib.sha256(text.encode()).hexdigest())},
            opts=self.child(),
        )
        stage = self._stage(name, args, authorizer, rest_api, deployment, access_logs)
        self._method_settings(name, args.settings, rest_api, stage)
        for host in args.host_names:
            self._domain_name(f"{name}-{host}", host, args, rest_api, stage)

        self.rest_api_id = rest_api.id
        self.stage_name = STAGE
        self.function_name = order_intake.function_name
        self._watch(rest_api)
        self._promise(rest_api, args.objectives)
        self.register_outputs({"restApiId": self.rest_api_id, "functionName": self.function_name})

    def _vpc_link(self, name: str, args: ApiArgs) -> aws.apigatewayv2.VpcLink:
        """The VPC link to the internal load balancer. It may only connect to the listeners of the routes'
        services."""
        security_group = aws.ec2.SecurityGroup(
            f"{name}-vpc-link",
            vpc_id=args.vpc_id,
            description="VPC link of the API",
            tags={"Name": f"{name}-vpc-link"},
            opts=self.child(),
        )
        for service in sorted({route.service for route in args.settings.routes}):
            self.allow_connection(
                f"{name}-vpc-link-to-{service}",
                f"{name}-{service}-from-vpc-link",
                port=args.listener_ports[service],
                client=security_group.id,
                client_is=f"VPC link of the API to {service}",
                server=args.load_balancer_security_group_id,
                server_is=f"{service} through the internal load balancer",
            )
        return aws.apigatewayv2.VpcLink(
            name,
            subnet_ids=args.private_subnet_ids,
            security_group_ids=[security_group.id],
            opts=self.child(),
        )

    def _token_authorizer(self, name: str, args: ApiArgs) -> TokenAuthorizer | None:
        if not args.settings.jwt:
            return None
        return TokenAuthorizer(
            f"{name}-token-authorizer",
            TokenAuthorizerArgs(
                context=args.context,
                settings=args.settings.jwt,
                opened_by_scope=opened_by_scope(
                    args.settings.order_service, args.settings.routes, args.scopes
                ),
            ),
            self.child(),
        )

    def _permissions(
        self,
        name: str,
        order_intake: OrderIntake,
        token_authorizer: TokenAuthorizer | None,
        rest_api: aws.apigateway.RestApi,
    ) -> None:
        if token_authorizer:
            aws.lambda_.Permission(
                f"{name}-tokens",
                action="lambda:InvokeFunction",
                function=token_authorizer.function_name,
                qualifier=token_authorizer.alias_name,
                principal="apigateway.amazonaws.com",
                # API Gateway generates the authorizer's id when it imports the document.
                source_arn=pulumi.Output.format("{0}/authorizers/*", rest_api.execution_arn),
                opts=self.child(),
            )
        for purpose, route in (("orders", "POST/api/orders"), ("health", "GET/healthz")):
            aws.lambda_.Permission(
                f"{name}-{purpose}",
                action="lambda:InvokeFunction",
                function=order_intake.function_name,
                qualifier=order_intake.alias_name,
                principal="apigateway.amazonaws.com",
                source_arn=pulumi.Output.format("{0}/{1}/{2}", rest_api.execution_arn, STAGE, route),
                opts=self.child(),
            )

    def _access_logs(self, name: str, args: ApiArgs) -> aws.cloudwatch.LogGroup:
        access_logs = log_group(self, f"{name}-access", args.context, name_prefix=f"/aws/apigateway/{name}-")
        self.report(
            *[
                LogQuery(name=name, query=query, log_groups=(access_logs.name,))
                for name, query in QUERIES.items()
            ]
        )
        self._watch_throttles(name, args, access_logs)
        return access_logs

    def _stage(
        self,
        name: str,
        args: ApiArgs,
        authorizer: Authorizer,
        rest_api: aws.apigateway.RestApi,
        deployment: aws.apigateway.Deployment,
        access_logs: aws.cloudwatch.LogGroup,
    ) -> aws.apigateway.Stage:
        execution_logs = log_group(
            self,
            f"{name}-execution",
            args.context,
            # API Gateway's name for the group. If API Gateway created it, it would keep logs forever,
            # unencrypted.
            name=pulumi.Output.format("API-Gateway-Execution-Logs_{0}/{1}", rest_api.id, STAGE),
        )
        # A stage with logging requires the account's role, and its first log line requires the group.
        before: list[pulumi.Resource] = [execution_logs]
        if args.settings.manage_account:
            before.append(self._account(name))
        return aws.apigateway.Stage(
            name,
            rest_api=rest_api.id,
            deployment=deployment.id,
            stage_name=STAGE,
            access_log_settings={
                "destination_arn": access_logs.arn,
                "format": json.dumps(access_log(authorizer.subject)),
            },
            xray_tracing_enabled=True,
            opts=self.child(depends_on=before),
        )

    def _method_settings(
        self,
        name: str,
        settings: ApiSettings,
        rest_api: aws.apigateway.RestApi,
        stage: aws.apigateway.Stage,
    ) -> None:
        """The settings of the stage, and of each method with its own throttle.

        They change the same stage at the same time. The provider retries changes that API Gateway rejects for
        this reason.
        """
        throttles = {"*/*": (settings.throttle_rate, settings.throttle_burst)}
        if settings.orders_throttle_rate or settings.orders_throttle_burst:
            throttles[_method_path(ORDERS_PATH, ORDERS_METHOD)] = (
                settings.orders_throttle_rate or settings.throttle_rate,
                settings.orders_throttle_burst or settings.throttle_burst,
            )
        for route in settings.routes:
            if route.throttle_rate or route.throttle_burst:
                throttles |= {
                    _method_path(path, method): (
                        route.throttle_rate or settings.throttle_rate,
                        route.throttle_burst or settings.throttle_burst,
                    )
                    for path in paths(route)
                    for method in methods(route)
                }
        for method_path, (rate, burst) in throttles.items():
            aws.apigateway.MethodSettings(
                name if method_path == "*/*" else f"{name}-{method_path.replace('~1', '/').lstrip('/')}",
                rest_api=rest_api.id,
                stage_name=stage.stage_name,
                method_path=method_path,
                # A method's settings replace all of the stage's settings, so all of them are set.
                settings={
                    "metrics_enabled": True,
                    "logging_level": "ERROR",
                    # It would write orders and tokens to the logs.
                    "data_trace_enabled": False,
                    "throttling_rate_limit": rate,
                    "throttling_burst_limit": burst,
                },
                opts=self.child(),
            )

    def _account(self, name: str) -> aws.apigateway.Account:
        """The role that every API of the account and region uses to write logs.

        Whichever stack sets it last, the role of any stack serves all APIs of the region. So that the APIs of
        other stacks don't lose their logs when this stack is destroyed, the role and the setting outlive it
        (`AWS::ApiGateway::Account`, CloudFormation Template Reference: a setting of the account and region,
        which the deletion of a stack resets for all of them).
        """
        role, permission = api_logs_role(self, f"{name}-logs")
        return aws.apigateway.Account(
            name,
            cloudwatch_role_arn=role.arn,
            # API Gateway rejects a role without permission to write logs.
            opts=self.child(depends_on=[permission], retain_on_delete=True),
        )

    def _domain_name(
        self,
        name: str,
        host: str,
        args: ApiArgs,
        rest_api: aws.apigateway.RestApi,
        stage: aws.apigateway.Stage,
    ) -> None:
        """Makes the API available as `host` to clients that use our endpoint."""
        domain_name = aws.apigateway.DomainName(
            name,
            domain_name=host,
            certificate_arn=args.certificate_arn,
            endpoint_configuration={"types": "PRIVATE"},
            security_policy="TLS_1_2",
            # Not `execute-api:/*`, which API Gateway expands to an ARN, so that the provider would find a
            # difference in every preview. It reads `*` back unchanged (hashicorp/terraform-provider-aws,
            # `internal/service/apigateway/domain_name_test.go`, 2026).
            policy=pulumi.Output.json_dumps(only_through(args.endpoint_id, "*")),
            opts=self.child(),
        )
        aws.apigateway.BasePathMapping(
            name,
            domain_name=domain_name.domain_name,
            domain_name_id=domain_name.domain_name_id,
            rest_api=rest_api.id,
            stage_name=stage.stage_name,
            opts=self.child(),
        )
        aws.apigateway.DomainNameAccessAssociation(
            name,
            domain_name_arn=domain_name.arn,
            access_association_source=args.endpoint_id,
            access_association_source_type="VPCE",
            opts=self.child(),
        )

    def _watch_throttles(self, name: str, args: ApiArgs, access_logs: aws.cloudwatch.LogGroup) -> None:
        """Counts throttled orders. API Gateway has no metric of them: 429 responses are part of the 4xx
        metric, which doesn't count as failures."""
        metric = f"{args.context.platform}-orders-throttled"
        count_lines(
            self,
            f"{name}-orders-throttled",
            metric,
            log_group_name=access_logs.name,
            pattern=f'{{ $.status = "429" && $.resource = "{ORDERS_PATH}" }}',
        )
        self.report(
            Signal(
                name="api-orders-throttled",
                title="The API's throttle rejects orders",
                namespace=LOG_METRICS,
                metric=metric,
                dimensions={},
                statistic="Sum",
                threshold=10,
                reason="The threshold is in orders per minute, for three minutes, because a burst ends "
                "within a minute. All callers share the throttle, so it rejects anybody's orders.",
                severity="critical",
                customer_impact=True,
            )
        )

    def _watch(self, rest_api: aws.apigateway.RestApi) -> None:
        dimensions: dict[str, pulumi.Input[str]] = {"ApiName": rest_api.name, "Stage": STAGE}
        self.report(
            Signal(
                name="api-server-errors",
                title="The API answers requests with 5xx",
                namespace="AWS/ApiGateway",
                metric="5XXError",
                dimensions=dimensions,
                statistic="Average",
                threshold=0.01,
                reason="More than one request in a hundred fails. Isolated failures come from pods "
                "shutting down.",
                severity="critical",
                customer_impact=True,
            ),
            Signal(
                name="api-client-errors",
                title="The API rejects more than a quarter of all requests",
                namespace="AWS/ApiGateway",
                metric="4XXError",
                dimensions=dimensions,
                statistic="Sum",
                expression=f"IF(requests >= {LEAST_REQUESTS}, metric / requests, 0)",
                others={"requests": ("Count", "Sum")},
                threshold=0.25,
                reason="Some callers always send invalid requests. So many invalid requests mean that our "
                "tokens, routes or throttles are wrong, which no 5xx metric shows.",
                severity="warning",
                periods=10,
            ),
            Signal(
                name="api-latency",
                title="More than one in a hundred requests to the API take longer than two seconds",
                namespace="AWS/ApiGateway",
                metric="Latency",
                dimensions=dimensions,
                statistic="p99",
                threshold=2000,
                reason="The threshold is in milliseconds from request to response. Traders give up waiting "
                "and send their orders again.",
                severity="warning",
                periods=5,
            ),
        )

    def _promise(self, rest_api: aws.apigateway.RestApi, objectives: ObjectiveSettings) -> None:
        """Reports the objectives for orders. A 4xx response is the caller's fault and doesn't count as a
        failure."""
        dimensions: dict[str, pulumi.Input[str]] = {
            "ApiName": rest_api.name,
            "Stage": STAGE,
            "Resource": "/api/orders",
            "Method": "POST",
        }
        self.report(
            Objective(
                name="order-availability",
                title="Too many orders fail",
                target=objectives.availability,
                namespace="AWS/ApiGateway",
                dimensions=dimensions,
                metrics={"requests": ("Count", "Sum"), "failed": ("5XXError", "Sum")},
                bad_share="failed / requests",
            ),
            Objective(
                name="order-latency",
                title="Too many orders are slow",
                target=objectives.latency,
                namespace="AWS/ApiGateway",
                dimensions=dimensions,
                # A percentile rank: the percentage of requests that took no longer than this.
                metrics={
                    "requests": ("Count", "Sum"),
                    "fast": ("Latency", f"PR(:{objectives.latency_ms})"),
                },
                bad_share="1 - fast / 100",
            ),
        )


def access_log(subject: str) -> dict[str, str]:
    """Field of the access log → context variable. `subject` is the variable with the caller's subject."""
    return {
        "request": "$context.requestId",
        "time": "$context.requestTimeEpoch",
        "host": "$context.domainName",
        "method": "$context.httpMethod",
        "resource": "$context.resourcePath",
        "path": "$context.path",
        "status": "$context.status",
        "error": "$context.error.responseType",
        "caller": f"$context.{subject}",
        "latency": "$context.responseLatency",
        "integrationStatus": "$context.integration.status",
        "integrationLatency": "$context.integration.latency",
        "userAgent": "$context.identity.userAgent",
        "trace": "$context.xrayTraceId",
    }


def _authorizer(args: ApiArgs, token_authorizer: TokenAuthorizer | None) -> Authorizer:
    jwt = args.settings.jwt
    if jwt and token_authorizer and args.user_pool_arn is None:
        return FunctionAuthorizer(invoke_arn=token_authorizer.invoke_arn, cache_seconds=jwt.cache_seconds)
    if jwt or args.user_pool_arn is None:
        raise ValueError("the API requires either a user pool or an external token issuer, and not both")
    return UserPoolAuthorizer(arn=args.user_pool_arn)


def _method_path(path: str, method: str) -> str:
    """A method's key in the stage's settings, in API Gateway's own format.

    Each slash of the path, including the first, is written as `~1`. The provider passes it on unchanged
    (hashicorp/terraform-provider-aws #9738).
    """
    return f"{path.replace('/', '~1')}/{method}"
