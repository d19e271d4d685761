"""The rotation of the database's master secret by the function `rotate_database_secret`."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from components.common.component import Component
from components.common.context import RegionContext
from components.common.function import function_logs, python_function
from components.common.logs import writes_logs
from components.common.signals import Signal

ROTATION_DAYS = 30
TIMEOUT_SECONDS = 300
"""The function waits until RDS has applied the new password, which takes one or two minutes."""


@dataclass(frozen=True, kw_only=True)
class SecretRotationArgs:
    """Settings of the rotation."""

    context: RegionContext
    secret_arn: pulumi.Input[str]
    cluster_identifier: pulumi.Input[str]
    cluster_arn: pulumi.Input[str]
    ready: list[pulumi.Resource]
    """The secret's first version, and the cluster's instances."""


class SecretRotation(Component):
    """A function that sets a new password for the master user every 30 days through the RDS API.

    It only calls AWS APIs, not PostgreSQL, so it needs neither a driver nor access to the VPC.
    """

    def __init__(
        self, name: str, args: SecretRotationArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("trading:tier:SecretRotation", name, opts)
        log_group = function_logs(self, name, args.context)
        function = python_function(
            self,
            name,
            "rotate_database_secret",
            args.context,
            description="Gives the database's master user a new password",
            statements=[
                {
                    "Sid": "TheSecret",
                    "Effect": "Allow",
                    "Action": [
                        "secretsmanager:DescribeSecret",
                        "secretsmanager:GetSecretValue",
                        "secretsmanager:PutSecretValue",
                        "secretsmanager:UpdateSecretVersionStage",
                    ],
                    "Resource": args.secret_arn,
                },
                {
                    "Sid": "RandomPasswordsAndTracesKnowNoResource",
                    "Effect": "Allow",
                    "Action": [
                        "secretsmanager:GetRandomPassword",
                        "xray:PutTelemetryRecords",
                        "xray:PutTraceSegments",
                    ],
                    "Resource": "*",
                },
                {
                    "Sid": "TheMasterPassword",
                    "Effect": "Allow",
                    "Action": ["rds:DescribeDBClusters", "rds:ModifyDBCluster"],
                    "Resource": args.cluster_arn,
                },
                writes_logs(log_group),
                {
                    "Sid": "SecretAndEnvironmentAreEncrypted",
                    "Effect": "Allow",
                    "Action": ["kms:Decrypt", "kms:GenerateDataKey"],
                    "Resource": args.context.key_arn,
                },
            ],
            logs=log_group,
            memory_size=256,
            timeout=TIMEOUT_SECONDS,
            environment={"CLUSTER_IDENTIFIER": args.cluster_identifier},
        )
        invocation = aws.lambda_.Permission(
            name,
            function=function.name,
            action="lambda:InvokeFunction",
            principal="secretsmanager.amazonaws.com",
            source_account=self.account_id,
            opts=self.child(),
        )
        aws.secretsmanager.SecretRotation(
            name,
            secret_id=args.secret_arn,
            rotation_lambda_arn=function.arn,
            rotation_rules={"automatically_after_days": ROTATION_DAYS},
            # A deployment only tests the function's last step. While a cluster's password is being changed,
            # RDS rejects other changes, such as the secondary cluster that is created next.
            rotate_immediately=False,
            # Secrets Manager invokes the function when the rotation is set up.
            opts=self.child(depends_on=[invocation, *args.ready]),
        )
        self.report(
            Signal(
                name="database-rotation-failed",
                title="The rotation of the database's master password has failed",
                namespace="AWS/Lambda",
                metric="Errors",
                dimensions={"FunctionName": function.name},
                statistic="Sum",
                threshold=0,
                reason="Secrets Manager retries automatically, but the cause of a failure usually persists.",
                severity="warning",
                period_seconds=300,
                periods=1,
            )
        )
        self.register_outputs({})
