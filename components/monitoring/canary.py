"""Tier 9, the canary: a program that places a test order every minute in the same way as a trader's
program."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import pulumi
import pulumi_aws as aws

from components.common.arns import log_groups
from components.common.bucket import bucket_policy, private_bucket
from components.common.component import Component
from components.common.context import RegionContext
from components.common.iam import policy_document, service_trust
from components.common.logs import log_group
from components.common.signals import Signal
from settings import OrderCanarySettings

RUNTIME = "syn-python-selenium-14.0"
"""The newest Python runtime ("Runtime versions using Python and Selenium Webdriver", CloudWatch User
Guide)."""
SCRIPT = Path("functions/order_canary/order_canary.py")
TIMEOUT_SECONDS = 55
"""Below the schedule's interval of a minute, as Synthetics requires, and above the script's own deadline."""
SLOW_MILLISECONDS = 20_000
KEEP_RUNS_DAYS = 31


@dataclass(frozen=True, kw_only=True)
class OrderCanaryArgs:
    """Settings of the canary."""

    context: RegionContext
    host: str
    """The viewer's host."""
    login_url: pulumi.Input[str]
    """Base URL of the user pool's OAuth endpoints."""
    client_id: pulumi.Input[str]
    """The user pool's machine client."""
    client_secret: pulumi.Input[str]
    scope: str
    """Scope that a token must have to place orders."""
    settings: OrderCanarySettings


class OrderCanary(Component):
    """CloudWatch Synthetics runs `functions/order_canary` every minute.

    It uses the public names from outside the VPC, so its requests take the same path as a trader's: DNS,
    CloudFront and its web ACL, load balancer, API, authorizer, order intake, order service. One canary in the
    home region is enough for all regions: there is only one viewer's host, and the orders of a canary in
    any region go to `write.origin`. The health checks show from outside whether each region answers.

    43,200 runs a month cost about USD 52 at USD 0.0012 each (CloudWatch's price list), plus about USD 5 for
    the function, logs and artifacts.
    """

    def __init__(self, name: str, args: OrderCanaryArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("trading:tier:OrderCanary", name, opts)
        canary_name = f"{args.context.platform}-orders"
        secret = aws.secretsmanager.Secret(
            f"{name}-client-secret",
            description="Secret of the user pool's client of programs, for the canary",
            kms_key_id=args.context.key_arn,
            # The value can be read from the user pool again.
            recovery_window_in_days=0,
            opts=self.child(protect=args.context.protect),
        )
        version = aws.secretsmanager.SecretVersion(
            f"{name}-client-secret", secret_id=secret.id, secret_string=args.client_secret, opts=self.child()
        )
        private = private_bucket(
            self,
            name,
            key_arn=args.context.key_arn,
            # The contents can be recreated or are useless after a month.
            lifecycle={
                "id": "forget-runs",
                "status": "Enabled",
                "filter": {"prefix": "runs/"},
                "expiration": {"days": KEEP_RUNS_DAYS},
                "noncurrent_version_expiration": {"noncurrent_days": 1},
            },
            protect=args.context.protect,
        )
        bucket_policy(self, name, private)
        bucket = private.bucket
        root = Path(__file__).parents[2]
        digest = hashlib.sha256((root / SCRIPT).read_bytes()).hexdigest()
        code = aws.s3.BucketObjectv2(
            f"{name}-code",
            bucket=bucket.bucket,
            # Named after its content, so that a preview shows a change and Synthetics detects a new version.
            key=f"code/{digest[:16]}.zip",
            # Synthetics expects Python code in this folder ("Packaging your Python canary files").
            source=pulumi.AssetArchive({f"python/{SCRIPT.name}": pulumi.FileAsset(str(SCRIPT))}),
            opts=self.child(depends_on=[*private.ready]),
        )
        role, permissions = self._role(name, canary_name, args, bucket, secret)
        canary = aws.synthetics.Canary(
            name,
            name=canary_name,
            runtime_version=RUNTIME,
            handler=f"{SCRIPT.stem}.handler",
            s3_bucket=bucket.bucket,
            s3_key=code.key,
            execution_role_arn=role.arn,
            schedule={"expression": "rate(1 minute)"},
            artifact_s3_location=pulumi.Output.format("s3://{0}/runs", bucket.bucket),
            artifact_config={
                "s3_encryption": {"encryption_mode": "SSE_KMS", "kms_key_arn": args.context.key_arn}
            },
            kms_key_arn=args.context.key_arn,
            run_config={
                "timeout_in_seconds": TIMEOUT_SECONDS,
                "memory_in_mb": 960,
                # No active tracing: Synthetics supports it only for Node.js ("Canaries and X-Ray tracing").
                # The script starts a trace itself.
                "environment_variables": {
                    "APP_URL": f"https://{args.host}",
                    "TOKEN_URL": pulumi.Output.format("{0}/oauth2/token", args.login_url),
                    "CLIENT_ID": args.client_id,
                    "CLIENT_SECRET_ARN": secret.arn,
                    "SCOPE": args.scope,
                    "ACCOUNT_ID": args.settings.account_id,
                    "SYMBOL": args.settings.symbol,
                },
            },
            success_retention_period=KEEP_RUNS_DAYS,
            failure_retention_period=KEEP_RUNS_DAYS,
            start_canary=True,
            delete_lambda=True,
            # The first run needs the role's permissions and the secret's value, and neither is an input here.
            opts=self.child(depends_on=[permissions, version]),
        )
        # The function's name contains an id that Synthetics generates. Its role may not create log groups, so
        # that only ours exists. Anything that the function logs before the group exists is lost.
        log_group(
            self,
            name,
            args.context,
            name=canary.engine_arn.apply(lambda arn: f"/aws/lambda/{arn.split(':')[6]}"),
        )
        self._watch(canary_name)
        self.register_outputs({})

    def _role(
        self,
        name: str,
        canary_name: str,
        args: OrderCanaryArgs,
        bucket: aws.s3.Bucket,
        secret: aws.secretsmanager.Secret,
    ) -> tuple[aws.iam.Role, aws.iam.RolePolicy]:
        """The permissions listed in "Required roles and permissions for canaries", except for creating log
        groups."""
        role = aws.iam.Role(name, assume_role_policy=service_trust("lambda.amazonaws.com"), opts=self.child())
        permissions = aws.iam.RolePolicy(
            f"{name}-permissions",
            role=role.id,
            policy=policy_document(
                {
                    "Sid": "OwnArtifacts",
                    "Effect": "Allow",
                    "Action": ["s3:PutObject", "s3:GetObject"],
                    "Resource": pulumi.Output.format("{0}/runs/*", bucket.arn),
                },
                {
                    "Sid": "WhereTheBucketIs",
                    "Effect": "Allow",
                    "Action": "s3:GetBucketLocation",
                    "Resource": bucket.arn,
                },
                {
                    "Sid": "NamesOfBucketsKnowNoResource",
                    "Effect": "Allow",
                    "Action": "s3:ListAllMyBuckets",
                    "Resource": "*",
                },
                {
                    "Sid": "OwnLogs",
                    "Effect": "Allow",
                    "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
                    "Resource": log_groups(
                        self.account_id,
                        args.context.region,
                        f"log-group:/aws/lambda/cwsyn-{canary_name}-*",
                    ),
                },
                {
                    "Sid": "OwnMetrics",
                    "Effect": "Allow",
                    "Action": "cloudwatch:PutMetricData",
                    "Resource": "*",
                    "Condition": {"StringEquals": {"cloudwatch:namespace": "CloudWatchSynthetics"}},
                },
                {
                    "Sid": "ClientSecret",
                    "Effect": "Allow",
                    "Action": "secretsmanager:GetSecretValue",
                    "Resource": secret.arn,
                },
                {
                    "Sid": "SecretArtifactsAndEnvironmentAreEncrypted",
                    "Effect": "Allow",
                    "Action": ["kms:Decrypt", "kms:GenerateDataKey"],
                    "Resource": args.context.key_arn,
                },
            ),
            opts=self.child(),
        )
        return role, permissions

    def _watch(self, canary_name: str) -> None:
        dimensions = {"CanaryName": canary_name}
        self.report(
            Signal(
                name="order-canary",
                title="The canary can't place its test order",
                namespace="CloudWatchSynthetics",
                metric="SuccessPercent",
                dimensions=dimensions,
                statistic="Average",
                comparison="below",
                threshold=100,
                periods=2,
                reason="The threshold is in per cent of successful runs, one run a minute. A single "
                "failure may be a network error, but two in a row, or no runs at all, are a fault of the "
                "platform.",
                severity="critical",
                missing_data="breaching",
                customer_impact=True,
            ),
            Signal(
                name="order-canary-duration",
                title="The canary's test order takes too long",
                namespace="CloudWatchSynthetics",
                metric="Duration",
                dimensions=dimensions,
                statistic="Average",
                threshold=SLOW_MILLISECONDS,
                periods=5,
                reason="The threshold is in milliseconds: half of the script's deadline for a run. A "
                "healthy run spends most of its time starting.",
                severity="warning",
            ),
        )
