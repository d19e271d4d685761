"""The `token_authorizer` function of the API tier, for tokens of an external issuer."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from components.common.component import Component
from components.common.context import RegionContext
from components.common.function import function_logs, python_function
from components.common.logs import count_lines, writes_logs
from components.common.signals import Signal
from settings import JwtSettings

ALIAS = "live"
TIMEOUT_SECONDS = 10
"""Enough for two requests to the issuer whose connection and response each take just less than their limit (2
s)."""
METRICS = "Trading/Api"


@dataclass(frozen=True, kw_only=True)
class TokenAuthorizerArgs:
    """Settings of the function."""

    context: RegionContext
    settings: JwtSettings
    opened_by_scope: Mapping[str, Sequence[str]]
    """Scope → operations that it permits, as `METHOD/path`."""


class TokenAuthorizer(Component):
    """A Lambda function that verifies tokens against the issuer's published keys.

    It runs outside the VPC, because it needs the issuer on the internet and none of the platform's resources.
    It receives tokens and returns policies, and logs neither.
    """

    function_name: pulumi.Output[str]
    alias_name: pulumi.Output[str]
    invoke_arn: pulumi.Output[str]
    """ARN of the alias for API Gateway's authorizer."""

    def __init__(
        self, name: str, args: TokenAuthorizerArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("trading:tier:TokenAuthorizer", name, opts)
        log_group = function_logs(self, name, args.context)
        function = python_function(
            self,
            name,
            "token_authorizer",
            args.context,
            description="Verifies access tokens of an outside issuer",
            statements=[
                writes_logs(log_group),
                {
                    "Sid": "EnvironmentIsEncrypted",
                    "Effect": "Allow",
                    "Action": "kms:Decrypt",
                    "Resource": args.context.key_arn,
                },
                {
                    "Sid": "TracesKnowNoResources",
                    "Effect": "Allow",
                    "Action": ["xray:PutTelemetryRecords", "xray:PutTraceSegments"],
                    "Resource": "*",
                },
            ],
            logs=log_group,
            memory_size=512,
            timeout=TIMEOUT_SECONDS,
            environment={
                "ISSUER": args.settings.issuer,
                "AUDIENCE": args.settings.audience,
                "JWKS_URL": args.settings.jwks_url or "",
                "SCOPE_CLAIM": args.settings.scope_claim,
                "ROUTES": json.dumps(args.opened_by_scope, sort_keys=True, separators=(",", ":")),
            },
            publish=True,
            reserved_concurrency=args.settings.reserved_concurrency,
        )
        alias = aws.lambda_.Alias(
            f"{name}-{ALIAS}",
            name=ALIAS,
            function_name=function.name,
            function_version=function.version,
            opts=self.child(),
        )
        self.function_name = function.name
        self.alias_name = alias.name
        self.invoke_arn = alias.invoke_arn
        self._watch(name, function, log_group)
        self.register_outputs({"functionName": self.function_name, "invokeArn": self.invoke_arn})

    def _watch(self, name: str, function: aws.lambda_.Function, log_group: aws.cloudwatch.LogGroup) -> None:
        metric = f"{name}-keys-unavailable"
        count_lines(
            self,
            metric,
            metric,
            log_group_name=log_group.name,
            pattern='{ $.message = "keys unavailable" }',
            namespace=METRICS,
        )
        self.report(
            # `Errors` can't be used: the function must fail for API Gateway to return 401, so each invalid
            # token counts as an error.
            Signal(
                name="token-authorizer-keys-unavailable",
                title="The token authorizer can't fetch the issuer's keys",
                namespace=METRICS,
                metric=metric,
                dimensions={},
                statistic="Sum",
                threshold=0,
                reason="Keys are cached for hours. Without any, all callers get HTTP 500, whatever their "
                "token.",
                severity="critical",
            ),
            Signal(
                name="token-authorizer-duration",
                title="The token authorizer is slow",
                namespace="AWS/Lambda",
                metric="Duration",
                dimensions={"FunctionName": function.name},
                statistic="p99",
                threshold=TIMEOUT_SECONDS * 1000 / 2,
                reason="The threshold is in milliseconds: half of the function's timeout, after which "
                "callers get HTTP 500. The issuer doesn't respond in time.",
                severity="warning",
            ),
            Signal(
                name="token-authorizer-throttles",
                title="Lambda rejects requests because the token authorizer has no concurrency left",
                namespace="AWS/Lambda",
                metric="Throttles",
                dimensions={"FunctionName": function.name},
                statistic="Sum",
                threshold=0,
                reason="The reserved concurrency is exhausted, and every throttle is a rejected request.",
                severity="critical",
            ),
        )
