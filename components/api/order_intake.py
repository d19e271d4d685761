"""The `order_intake` function of the API tier, with everything that it needs to run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws

from components.common.access import HTTPS_PORT
from components.common.component import Component
from components.common.context import RegionContext
from components.common.function import function_logs, python_function
from components.common.logs import count_lines, writes_logs
from components.common.scaling import target_tracking
from components.common.signals import FOLLOW_ONE_REQUEST, LOG_METRICS, LogQuery, Signal
from settings import Canary, Range
from settings.aws_limits import QUEUE_RETENTION_SECONDS

ALIAS = "live"
TIMEOUT_SECONDS = 20
"""Less than API Gateway's 29 s. The function's own deadlines are shorter than this."""
ORDER_SERVICE_TIMEOUT_SECONDS = 10


@dataclass(frozen=True, kw_only=True)
class OrderIntakeArgs:
    """Settings of the function."""

    context: RegionContext
    vpc_id: pulumi.Input[str]
    private_subnet_ids: Sequence[pulumi.Input[str]]
    load_balancer_security_group_id: pulumi.Input[str]
    order_service_url: pulumi.Input[str]
    """URL of the order service, such as `https://NAME:8081`."""
    order_service_port: int
    """Port of the order service's listener on the internal load balancer."""
    order_service_ready_path: str
    home_region: str
    """The region that takes orders until the database moves (`functions/order_intake/gate.py`)."""
    idempotency_table: pulumi.Input[str]
    idempotency_table_arn: pulumi.Input[str]
    dynamodb_prefix_list_id: pulumi.Input[str]
    reserved_concurrency: int
    provisioned_concurrency: Range
    canary: Canary | None


class OrderIntake(Component):
    """A Lambda function in the private subnets that may only connect to DynamoDB and the order service."""

    function_name: pulumi.Output[str]
    alias_name: pulumi.Output[str]
    invoke_arn: pulumi.Output[str]
    """ARN of the alias for an API Gateway integration."""

    def __init__(self, name: str, args: OrderIntakeArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("trading:tier:OrderIntake", name, opts)
        security_group = self._security_group(name, args)
        log_group = function_logs(self, name, args.context)
        # API Gateway invokes the function synchronously and receives every failure. The queue is for failed
        # asynchronous invocations by others, such as an operator's replay.
        dead_letters = aws.sqs.Queue(
            f"{name}-dead-letters",
            kms_master_key_id=args.context.key_arn,
            message_retention_seconds=QUEUE_RETENTION_SECONDS,
            opts=self.child(),
        )
        function = python_function(
            self,
            name,
            "order_intake",
            args.context,
            description="Validates orders, makes them idempotent, hands them to the order service",
            statements=_statements(args, log_group, dead_letters),
            logs=log_group,
            memory_size=512,
            timeout=TIMEOUT_SECONDS,
            environment={
                "TABLE_NAME": args.idempotency_table,
                "HOME_REGION": args.home_region,
                "ORDER_SERVICE_URL": args.order_service_url,
                "ORDER_SERVICE_READY_PATH": args.order_service_ready_path,
                "ORDER_SERVICE_TIMEOUT_SECONDS": str(ORDER_SERVICE_TIMEOUT_SECONDS),
            },
            publish=True,  # so that the alias can be rolled back to any version
            reserved_concurrency=args.reserved_concurrency,
            vpc_config={"subnet_ids": args.private_subnet_ids, "security_group_ids": [security_group.id]},
            dead_letters_arn=dead_letters.arn,
        )
        alias = self._alias(name, args.canary, function)
        if args.provisioned_concurrency.min:
            self._scale(name, args, function, alias)

        self.function_name = function.name
        self.alias_name = alias.name
        self.invoke_arn = alias.invoke_arn
        self._watch(function, dead_letters, args.reserved_concurrency)
        if args.canary:
            self._watch_canary(function)
        self._watch_log(name, args.context.platform, log_group)
        self.register_outputs({"functionName": self.function_name, "invokeArn": self.invoke_arn})

    def _alias(self, name: str, canary: Canary | None, function: aws.lambda_.Function) -> aws.lambda_.Alias:
        """The alias, which points to the newest version, or to the stable version and a share of the newest
        one.

        The stable version remains the alias's first version, so starting and rolling back a canary only
        change weights. Changing the first version would move the provisioned concurrency to another version.
        """
        if not canary:
            return aws.lambda_.Alias(
                f"{name}-{ALIAS}",
                name=ALIAS,
                function_name=function.name,
                function_version=function.version,
                opts=self.child(),
            )
        stable, share = str(canary.stable_version), canary.percent / 100
        return aws.lambda_.Alias(
            f"{name}-{ALIAS}",
            name=ALIAS,
            function_name=function.name,
            function_version=stable,
            # Until a new version is published, the newest version is the stable one, and an alias can't have
            # the same version twice. An alias without weights has no block: the provider would read back none
            # (hashicorp/terraform-provider-aws, `internal/service/lambda/alias.go`, 2026).
            routing_config=_weights(function.version, stable, share) if share else None,
            opts=self.child(),
        )

    def _security_group(self, name: str, args: OrderIntakeArgs) -> aws.ec2.SecurityGroup:
        # No endpoints for logs, traces or keys: the Lambda service accesses these outside the VPC.
        security_group = aws.ec2.SecurityGroup(
            name,
            vpc_id=args.vpc_id,
            description="Order intake function",
            tags={"Name": name},
            opts=self.child(),
        )
        aws.vpc.SecurityGroupEgressRule(
            f"{name}-to-dynamodb",
            security_group_id=security_group.id,
            prefix_list_id=args.dynamodb_prefix_list_id,
            description="DynamoDB through its gateway endpoint",
            ip_protocol="tcp",
            from_port=HTTPS_PORT,
            to_port=HTTPS_PORT,
            opts=self.child(),
        )
        self.allow_connection(
            f"{name}-to-load-balancer",
            f"{name}-from-order-intake",
            port=args.order_service_port,
            client=security_group.id,
            client_is="Order intake function",
            server=args.load_balancer_security_group_id,
            server_is="Order service through the internal load balancer",
        )
        return security_group

    def _scale(
        self, name: str, args: OrderIntakeArgs, function: aws.lambda_.Function, alias: aws.lambda_.Alias
    ) -> None:
        concurrency = args.provisioned_concurrency
        provisioned = aws.lambda_.ProvisionedConcurrencyConfig(
            name,
            function_name=function.name,
            qualifier=alias.name,
            provisioned_concurrent_executions=concurrency.min,
            # This is only the initial value. Afterwards, target tracking manages it.
            opts=self.child(ignore_changes=["provisionedConcurrentExecutions"]),
        )
        target_tracking(
            self,
            name,
            dimension="lambda:function:ProvisionedConcurrency",
            resource_id=pulumi.Output.format("function:{0}:{1}", function.name, alias.name),
            capacity=(concurrency.min, concurrency.max),
            metric="LambdaProvisionedConcurrencyUtilization",
            # A share between 0 and 1, unlike most of these metrics. 70 % leaves room while more capacity
            # starts.
            target=0.7,
            # Lambda refuses to change the concurrency of an alias with weights (Lambda Developer Guide,
            # "Configuring provisioned concurrency").
            suspended=args.canary is not None,
            # Otherwise, scaling could start before any concurrency is provisioned.
            depends_on=[provisioned],
        )

    def _watch_log(self, name: str, platform: str, log_group: aws.cloudwatch.LogGroup) -> None:
        metric = f"{platform}-order-intake-errors"
        count_lines(
            self, f"{name}-errors", metric, log_group_name=log_group.name, pattern='{ $.level = "ERROR" }'
        )
        self.report(
            Signal(
                name="order-intake-error-lines",
                title="The order intake function logs errors",
                namespace=LOG_METRICS,
                metric=metric,
                dimensions={},
                statistic="Sum",
                threshold=5,
                reason="Each error line is an order with an unknown outcome or an unexpected failure. A "
                "few lines a minute come from pods shutting down.",
                severity="warning",
            )
        )
        self.report(
            LogQuery(name="follow-one-request", query=FOLLOW_ONE_REQUEST, log_groups=(log_group.name,))
        )

    def _watch(
        self, function: aws.lambda_.Function, dead_letters: aws.sqs.Queue, reserved_concurrency: int
    ) -> None:
        dimensions = {"FunctionName": function.name}
        live = {**dimensions, "Resource": pulumi.Output.format("{0}:{1}", function.name, ALIAS)}
        self.report(
            Signal(
                name="order-intake-errors",
                title="The order intake function crashes or times out",
                namespace="AWS/Lambda",
                metric="Errors",
                dimensions=dimensions,
                statistic="Sum",
                threshold=0,
                reason="The function handles every known failure and answers the request, so any error is "
                "an unknown failure.",
                severity="critical",
                customer_impact=True,
            ),
            Signal(
                name="order-intake-throttles",
                title="Lambda rejects orders because the order intake function has no concurrency left",
                namespace="AWS/Lambda",
                metric="Throttles",
                dimensions=dimensions,
                statistic="Sum",
                threshold=0,
                reason="The reserved concurrency is exhausted, and every throttle is a rejected order.",
                severity="critical",
                customer_impact=True,
            ),
            Signal(
                name="order-intake-concurrency",
                title="The order intake function uses most of its reserved concurrency",
                namespace="AWS/Lambda",
                metric="ConcurrentExecutions",
                dimensions=dimensions,
                statistic="Maximum",
                threshold=0.8 * reserved_concurrency,
                reason="The threshold is four fifths of the reserved concurrent executions. The rest is "
                "for bursts, and orders beyond it are rejected.",
                severity="warning",
                periods=5,
            ),
            Signal(
                name="order-intake-duration",
                title="The order intake function is slow",
                namespace="AWS/Lambda",
                metric="Duration",
                dimensions=dimensions,
                statistic="p99",
                threshold=ORDER_SERVICE_TIMEOUT_SECONDS * 1000 / 2,
                reason="The threshold is in milliseconds: half of the timeout for calls to the order "
                "service, beyond which the outcome of an order is unknown.",
                severity="warning",
            ),
            Signal(
                name="order-intake-spillover",
                title="Orders wait for cold starts of the order intake function",
                namespace="AWS/Lambda",
                metric="ProvisionedConcurrencySpilloverInvocations",
                dimensions=live,
                statistic="Sum",
                threshold=0,
                reason="Target tracking adds provisioned concurrency within minutes. If orders wait for "
                "longer, its maximum is too low.",
                severity="warning",
                periods=10,
            ),
            Signal(
                name="order-intake-dead-letters",
                title="Asynchronous invocations of the order intake function have failed",
                namespace="AWS/SQS",
                metric="ApproximateNumberOfMessagesVisible",
                dimensions={"QueueName": dead_letters.name},
                statistic="Maximum",
                threshold=0,
                reason="Each message in the dead-letter queue is an invocation that failed permanently and "
                "needs investigation.",
                severity="warning",
                period_seconds=300,
                periods=1,
            ),
            Signal(
                name="order-intake-dead-letters-lost",
                runbook="order-intake-dead-letters",
                title="Lambda can't send a failed invocation of order intake to the dead-letter queue",
                namespace="AWS/Lambda",
                metric="DeadLetterErrors",
                dimensions=dimensions,
                statistic="Sum",
                threshold=0,
                reason="The queue, its key or the function's permission is missing, and the request is lost.",
                severity="warning",
                period_seconds=300,
                periods=1,
            ),
        )

    def _watch_canary(self, function: aws.lambda_.Function) -> None:
        self.report(
            Signal(
                name="order-intake-canary-errors",
                runbook="order-intake-errors",
                title="The new version of the order intake function crashes or times out",
                namespace="AWS/Lambda",
                metric="Errors",
                dimensions={
                    "FunctionName": function.name,
                    "Resource": pulumi.Output.format("{0}:{1}", function.name, ALIAS),
                    "ExecutedVersion": function.version,
                },
                statistic="Sum",
                threshold=0,
                reason="The metric covers only the newest version while it gets a share of the orders. "
                "Roll it back.",
                severity="critical",
                periods=1,
            )
        )


def _weights(
    newest: pulumi.Output[str], stable: str, share: float
) -> pulumi.Output[aws.lambda_.AliasRoutingConfigArgsDict | None]:
    """The share of the newest version, or None if that is the stable version."""

    def weights(version: str) -> aws.lambda_.AliasRoutingConfigArgsDict | None:
        return {"additional_version_weights": {version: share}} if version != stable else None

    return newest.apply(weights)


def _statements(
    args: OrderIntakeArgs, log_group: aws.cloudwatch.LogGroup, dead_letters: aws.sqs.Queue
) -> list[dict[str, Any]]:
    """IAM statements of the function's role."""
    return [
        {
            "Sid": "IdempotencyRecords",
            "Effect": "Allow",
            "Action": ["dynamodb:DeleteItem", "dynamodb:GetItem", "dynamodb:UpdateItem"],
            "Resource": args.idempotency_table_arn,
        },
        writes_logs(log_group),
        {
            "Sid": "DeadLetters",
            "Effect": "Allow",
            "Action": "sqs:SendMessage",
            "Resource": dead_letters.arn,
        },
        {
            "Sid": "TableQueueAndEnvironmentAreEncrypted",
            "Effect": "Allow",
            "Action": ["kms:Decrypt", "kms:GenerateDataKey"],
            "Resource": args.context.key_arn,
        },
        {
            "Sid": "NetworkInterfacesAndTracesKnowNoResources",
            "Effect": "Allow",
            "Action": [
                "ec2:AssignPrivateIpAddresses",
                "ec2:CreateNetworkInterface",
                "ec2:DeleteNetworkInterface",
                "ec2:DescribeNetworkInterfaces",
                "ec2:DescribeSubnets",
                "ec2:UnassignPrivateIpAddresses",
                "xray:PutTelemetryRecords",
                "xray:PutTraceSegments",
            ],
            "Resource": "*",
        },
    ]
