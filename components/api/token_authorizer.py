"""The `token_authorizer` function of the API tier, where tokens come from an outside issuer."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from components.function import function_logs, python_function, writes_logs
from components.tier import Signal, Tier
from settings import JwtSettings

ALIAS = "live"
TIMEOUT_SECONDS = 10
"""Above what two requests to the issuer take that connect and answer just in time (2 s each)."""
METRICS = "Trading/Api"


@dataclass(frozen=True, kw_only=True)
class TokenAuthorizerArgs:
    """Settings of the function."""

    key_arn: pulumi.Input[str]
    settings: JwtSettings
    opened_by_scope: Mapping[str, Sequence[str]]
    """Scope → what it opens, as `METHOD/path`."""
    log_retention_days: int


class TokenAuthorizer(Tier):
    """A Lambda function that verifies tokens against the issuer's published keys.

    Outside of the VPC: it needs the issuer on the internet and nothing that is ours. What it is sent are
    tokens, what it answers are policies; neither is logged.
    """

    function_name: pulumi.Output[str]
    alias_name: pulumi.Output[str]
    invoke_arn: pulumi.Output[str]
    """What API Gateway calls: the alias."""

    def __init__(
        self, name: str, args: TokenAuthorizerArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__(name, opts)
        log_group = function_logs(
            self, name, key_arn=args.key_arn, log_retention_days=args.log_retention_days
        )
        function = python_function(
            self,
            name,
            "token_authorizer",
            description="Verifies access tokens of an outside issuer",
            statements=[
                writes_logs(log_group),
                {
                    "Sid": "EnvironmentIsEncrypted",
                    "Effect": "Allow",
                    "Action": "kms:Decrypt",
                    "Resource": args.key_arn,
                },
                {
                    "Sid": "TracesKnowNoResources",
                    "Effect": "Allow",
                    "Action": ["xray:PutTelemetryRecords", "xray:PutTraceSegments"],
                    "Resource": "*",
                },
            ],
            log_group=log_group,
            key_arn=args.key_arn,
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
        aws.cloudwatch.LogMetricFilter(
            metric,
            log_group_name=log_group.name,
            pattern='{ $.message = "keys unavailable" }',
            metric_transformation={"namespace": METRICS, "name": metric, "value": "1"},
            opts=self.child(),
        )
        self.signals += [
            # Not `Errors`: API Gateway wants a failure for a 401, so each wrong token counts as one.
            Signal(
                name="token-authorizer-keys-unavailable",
                title="The issuer's keys cannot be fetched",
                namespace=METRICS,
                metric=metric,
                dimensions={},
                statistic="Sum",
                threshold=0,
                reason="Keys are kept for hours; without any, callers get 500 whatever their token.",
                severity="critical",
            ),
            Signal(
                name="token-authorizer-duration",
                title="Tokens are judged slowly",
                namespace="AWS/Lambda",
                metric="Duration",
                dimensions={"FunctionName": function.name},
                statistic="p99",
                threshold=TIMEOUT_SECONDS * 1000 / 2,
                reason="Half of the time-out (milliseconds), at which callers get 500: the issuer hangs.",
                severity="warning",
            ),
            Signal(
                name="token-authorizer-throttles",
                title="Requests are turned away because their tokens cannot be judged",
                namespace="AWS/Lambda",
                metric="Throttles",
                dimensions={"FunctionName": function.name},
                statistic="Sum",
                threshold=0,
                reason="The reserved concurrency is used up; every throttle is a request refused.",
                severity="critical",
            ),
        ]
