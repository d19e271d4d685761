"""The OpenAPI document that API Gateway imports: `api/openapi.yaml` with the additions of a stack."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pulumi
import yaml

from components.load_balancer import ORIGIN_SECRET_HEADER
from settings import ORDERS_PATH, RouteSettings
from settings.aws_limits import INTEGRATION_TIMEOUT_SECONDS

DOCUMENT = Path(__file__).parents[2] / "api" / "openapi.yaml"
ORDERS_METHOD = "POST"
READS = ("GET", "HEAD")
WRITES = ("POST", "PUT", "PATCH", "DELETE")
WITH_BODY = ("POST", "PUT", "PATCH")
"""Methods whose body is validated against a model."""


@dataclass(frozen=True, kw_only=True)
class UserPoolAuthorizer:
    """API Gateway's built-in authorizer for tokens of a Cognito user pool."""

    arn: pulumi.Input[str]
    subject: str = "authorizer.claims.sub"
    """Context variable with the caller's subject."""


@dataclass(frozen=True, kw_only=True)
class FunctionAuthorizer:
    """A Lambda authorizer for tokens of an external issuer."""

    invoke_arn: pulumi.Input[str]
    cache_seconds: int
    subject: str = "authorizer.principalId"


Authorizer = UserPoolAuthorizer | FunctionAuthorizer


@dataclass(frozen=True, kw_only=True)
class DocumentArgs:
    """Values that the document refers to."""

    endpoint_id: pulumi.Input[str]
    """The `execute-api` interface endpoint, the only way in."""
    authorizer: Authorizer
    scopes: Mapping[str, str]
    """Service → the scope that a token must have for it."""
    order_service: str
    order_intake_invoke_arn: pulumi.Input[str]
    routes: list[RouteSettings]
    vpc_link_id: pulumi.Input[str]
    load_balancer_arn: pulumi.Input[str]
    service_urls: Mapping[str, pulumi.Input[str]]
    """Service → URL of its listener on the internal load balancer, with scheme, name and port."""


def methods(_route: RouteSettings) -> tuple[str, ...]:
    """The methods of a route, each of which is a separate method in API Gateway."""
    return (*READS, *WRITES)


def paths(route: RouteSettings) -> tuple[str, str]:
    """The two paths of a route: the path itself, and everything below it."""
    return route.path, f"{route.path}/{{proxy+}}"


def opened_by_scope(
    order_service: str, routes: list[RouteSettings], scopes: Mapping[str, str]
) -> dict[str, list[str]]:
    """Scope → operations that it permits, as `METHOD/path` of an `execute-api` ARN.

    Each method is listed, because `*` matches any characters: `*/api/accounts` would also permit
    `GET/api/market-data/api/accounts`.
    """
    opened: dict[str, list[str]] = {scopes[order_service]: [f"{ORDERS_METHOD}{ORDERS_PATH}"]}
    for route in routes:
        opened.setdefault(scopes[route.service], []).extend(
            f"{method}{path}" for path in (route.path, f"{route.path}/*") for method in methods(route)
        )
    return opened


def api_document(args: DocumentArgs) -> dict[str, Any]:
    """The document with the routes in `args.routes` and an integration for every operation.

    An import replaces the whole API and removes everything that isn't in the document, including a
    RestApiPolicy (pulumi/pulumi-aws #4296). Therefore, the policy and the endpoint are part of the document.
    """
    document = _with_responses_inlined(yaml.load(DOCUMENT.read_text(), Loader=yaml.CSafeLoader))
    document["servers"] = [
        {
            "url": "/",
            "x-amazon-apigateway-endpoint-configuration": {"vpcEndpointIds": [args.endpoint_id]},
        }
    ]
    document["x-amazon-apigateway-policy"] = only_through(args.endpoint_id, "execute-api:/*")
    document["components"]["securitySchemes"]["token"] |= _authorizer(args.authorizer)
    function = {
        "type": "aws_proxy",
        "httpMethod": "POST",  # the method of Lambda's API, regardless of the client's method
        "uri": args.order_intake_invoke_arn,
        "timeoutInMillis": INTEGRATION_TIMEOUT_SECONDS * 1000,
    }
    operations = document["paths"]
    operations["/healthz"]["get"]["x-amazon-apigateway-integration"] = function
    orders = operations[ORDERS_PATH][ORDERS_METHOD.lower()]
    orders["x-amazon-apigateway-integration"] = function
    orders["security"] = _security(args, args.order_service)
    for route in args.routes:
        itself, below = paths(route)
        operations[itself] = {
            method.lower(): _operation(args, route, method, route.path) for method in methods(route)
        }
        proxy = {"name": "proxy", "in": "path", "required": True, "schema": {"type": "string"}}
        operations[below] = {
            method.lower(): {
                "parameters": [proxy],
                **_operation(args, route, method, f"{route.path}/$input.params('proxy')"),
            }
            for method in methods(route)
        }
    return document


def _with_responses_inlined(document: dict[str, Any]) -> dict[str, Any]:
    """The document with each response in place of a reference to it.

    API Gateway doesn't support such references ("Amazon API Gateway important notes", API Gateway Developer
    Guide, read in November 2026). It does support references to schemas, which become models.
    """
    responses: dict[str, Any] = document["components"].pop("responses")
    for item in document["paths"].values():
        for operation in item.values():
            operation["responses"] = {
                status: responses[response["$ref"].rsplit("/", 1)[1]] if "$ref" in response else response
                for status, response in operation["responses"].items()
            }
    return document


def only_through(endpoint_id: pulumi.Input[str], resource: str) -> dict[str, Any]:
    """A resource policy that only allows requests through our interface endpoint.

    `resource` stands for everything that the policy is attached to: `execute-api:/*` or `*`.
    """
    everything: dict[str, Any] = {"Principal": "*", "Action": "execute-api:Invoke", "Resource": resource}
    return {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", **everything},
            {
                "Effect": "Deny",
                **everything,
                "Condition": {"StringNotEquals": {"aws:SourceVpce": endpoint_id}},
            },
        ],
    }


def _authorizer(authorizer: Authorizer) -> dict[str, Any]:
    """The authorizer part of the security scheme ("x-amazon-apigateway-authorizer object")."""
    if isinstance(authorizer, UserPoolAuthorizer):
        return {
            "x-amazon-apigateway-authtype": "cognito_user_pools",
            "x-amazon-apigateway-authorizer": {
                "type": "cognito_user_pools",
                "providerARNs": [authorizer.arn],
            },
        }
    return {
        "x-amazon-apigateway-authtype": "custom",
        "x-amazon-apigateway-authorizer": {
            "type": "token",
            "authorizerUri": authorizer.invoke_arn,
            "authorizerResultTtlInSeconds": authorizer.cache_seconds,
            # A value that isn't a token is answered with 401 without invoking the function.
            "identityValidationExpression": r"^[Bb]earer +[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$",
        },
    }


def _security(args: DocumentArgs, service: str) -> list[dict[str, list[str]]]:
    # API Gateway checks a method's scopes only for tokens of a user pool. A Lambda authorizer returns a
    # policy instead.
    scopes = [args.scopes[service]] if isinstance(args.authorizer, UserPoolAuthorizer) else []
    return [{"token": scopes}]


def _operation(args: DocumentArgs, route: RouteSettings, method: str, path: str) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "security": _security(args, route.service),
        "responses": {"200": {"description": f"The answer of the service {route.service}."}},
        "x-amazon-apigateway-integration": _private(args, route.service, method, path),
    }
    if method in WITH_BODY:
        schema = {"$ref": "#/components/schemas/ServiceRequest"}
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
        operation["x-amazon-apigateway-request-validator"] = "body"
    return operation


def _private(args: DocumentArgs, service: str, method: str, path: str) -> dict[str, Any]:
    """An integration with a service's listener on the internal load balancer.

    Without an override, the path that the service receives would start with the stage's name (API Gateway
    Developer Guide, "Private integrations for REST APIs").
    """
    return {
        "type": "http_proxy",
        "httpMethod": method,
        "connectionType": "VPC_LINK",
        "connectionId": args.vpc_link_id,
        "integrationTarget": args.load_balancer_arn,
        "uri": args.service_urls[service],
        "timeoutInMillis": INTEGRATION_TIMEOUT_SECONDS * 1000,
        # The API only supports JSON. Other content types, for which no template would set the path, get 415.
        "passthroughBehavior": "never",
        "requestTemplates": {
            "application/json": f'#set($context.requestOverride.path = "{path}")$input.body'
        },
        # These replace the headers that the client sent, so services can trust them.
        "requestParameters": {
            "integration.request.header.X-Request-Id": "context.requestId",
            "integration.request.header.X-Caller-Subject": f"context.{args.authorizer.subject}",
            # The load balancer's secret must not reach the services or their logs.
            f"integration.request.header.{ORIGIN_SECRET_HEADER}": "''",
        },
    }
