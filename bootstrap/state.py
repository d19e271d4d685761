"""The bucket with the states of all stacks, and the keys of the states and of their secrets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from account import prepared
from bootstrap import adopted
from components.common.bucket import bucket_policy, expire_logs, private_bucket
from components.common.component import Component
from components.common.key import symmetric_key


@dataclass(frozen=True, kw_only=True)
class StateBackendArgs:
    """Settings of the state backend."""

    account: str
    region: str
    stacks: Sequence[str]
    """The stacks that get a key for their secrets."""
    log_retention_days: int
    versions_days: int
    """Days for which older versions of a state are kept."""
    protect: bool


class StateBackend(Component):
    """A private, versioned bucket for the states, with a log of all requests, and the keys.

    The secrets in a state are encrypted twice: by the bucket's key, and by the key of the stack. So the role
    of one stack can't read the secrets of another.
    """

    bucket_arn: pulumi.Output[str]
    bucket_name: pulumi.Output[str]
    """Known once the bucket refuses requests without TLS."""
    key_arn: pulumi.Output[str]
    """The key of the bucket."""
    secrets_key_arns: Mapping[str, pulumi.Output[str]]
    """Stack → the key of its secrets."""

    def __init__(self, name: str, args: StateBackendArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("trading:tier:StateBackend", name, opts)
        self.key_arn = self._key(name, "the states of all stacks", prepared.STATE_ALIAS, args)
        self.secrets_key_arns = {
            stack: self._key(
                f"{name}-secrets-{stack}",
                f"the secrets in the state of the stack {stack}",
                prepared.secrets_alias(stack),
                args,
            )
            for stack in args.stacks
        }
        bucket_name = prepared.state_bucket(args.account, args.region)
        private = private_bucket(
            self,
            name,
            key_arn=self.key_arn,
            lifecycle={
                "id": "forget-old-versions",
                "status": "Enabled",
                "filter": {"prefix": ""},
                "noncurrent_version_expiration": {"noncurrent_days": args.versions_days},
            },
            protect=args.protect,
            bucket_name=bucket_name,
            existing=adopted.bucket(bucket_name, args.region, pulumi.InvokeOptions(parent=self)),
        )
        aws.s3.BucketLogging(
            name,
            bucket=private.bucket.bucket,
            target_bucket=self._log_bucket(f"{name}-logs", bucket_name, args),
            target_prefix="state/",
            opts=self.child(),
        )
        policy = bucket_policy(self, name, private)
        self.bucket_arn = private.bucket.arn
        self.bucket_name = policy.bucket
        self.register_outputs({"bucketName": self.bucket_name, "keyArn": self.key_arn})

    def _key(self, name: str, of: str, alias: str, args: StateBackendArgs) -> pulumi.Output[str]:
        existing = adopted.key(alias, pulumi.InvokeOptions(parent=self))
        key = symmetric_key(
            self,
            name,
            description=f"Encrypts {of}",
            account_id=args.account,
            protect=args.protect,
            existing=existing,
            # If somebody points the alias at another key, the engine imports that one and would delete this
            # one in spite of its protection (pulumi/pulumi v3.255.0, `pkg/resource/deploy/step_generator.go`,
            # `NewImportReplacementStep`). Older states still need it.
            retain=args.protect,
        )
        aws.kms.Alias(
            name, name=alias, target_key_id=key.key_id, opts=self.child(import_=alias if existing else None)
        )
        return key.arn

    def _log_bucket(self, name: str, of: str, args: StateBackendArgs) -> pulumi.Output[str]:
        """The bucket of the log, which S3 writes only to a bucket that is encrypted with S3's own keys
        ("Enabling Amazon S3 server access logging", Amazon S3 User Guide)."""
        bucket_name = f"{of}-logs"
        private = private_bucket(
            self,
            name,
            key_arn=None,
            lifecycle=expire_logs(args.log_retention_days),
            protect=args.protect,
            bucket_name=bucket_name,
            existing=adopted.bucket(bucket_name, args.region, pulumi.InvokeOptions(parent=self)),
        )
        policy = bucket_policy(
            self,
            name,
            private,
            {
                "Sid": "AccessLogOfTheState",
                "Effect": "Allow",
                "Principal": {"Service": "logging.s3.amazonaws.com"},
                "Action": "s3:PutObject",
                "Resource": pulumi.Output.format("{0}/state/*", private.bucket.arn),
                "Condition": {
                    "ArnLike": {"aws:SourceArn": f"arn:aws:s3:::{of}"},
                    "StringEquals": {"aws:SourceAccount": args.account},
                },
            },
        )
        return policy.bucket
