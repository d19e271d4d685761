"""The private buckets with the web app's files: the first one, and its copy in another region."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import pulumi
import pulumi_aws as aws

from components.common.bucket import PrivateBucket, bucket_policy, private_bucket
from components.common.component import Component
from components.common.context import DeploymentContext
from components.common.iam import policy_document
from components.common.key import account_statement
from components.web.release import CACHE_CONTROL, CONTENT_TYPES, Release


@dataclass(frozen=True, kw_only=True)
class AppCopyArgs:
    """Settings of the copy."""

    context: DeploymentContext
    """The context of the copy's region."""
    release: Release


class AppCopy(Component):
    """A second bucket with the web app's files, from which CloudFront reads while the first region fails.

    Each deployment writes both buckets. Replication by S3 would leave open when the copy has a release, so
    viewers couldn't be sent to the release before.
    """

    origin: pulumi.Output[str]
    """Domain name of the bucket."""
    objects: list[pulumi.Resource]
    """The files, all of which must exist before viewers are sent to the release."""

    def __init__(self, name: str, args: AppCopyArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("trading:tier:AppCopy", name, opts)
        self._name = name
        self._key = app_key(self, f"{name}-key", args.context, "Copy of the web app of")
        self._bucket, self.objects = app_bucket(
            self, name, key_arn=self._key.arn, release=args.release, protect=args.context.protect
        )
        self.origin = self._bucket.bucket.bucket_regional_domain_name
        self.register_outputs({"origin": self.origin})

    def admit(self, distribution_arn: pulumi.Input[str]) -> None:
        """Lets only the distribution, which is created after the bucket, read the files."""
        aws.kms.KeyPolicy(
            f"{self._name}-key",
            key_id=self._key.id,
            policy=policy_document(account_statement(self.account_id), reads_with_key(distribution_arn)),
            opts=self.child(),
        )
        admit_distribution(self, self._name, self._bucket, distribution_arn)


def app_key(component: Component, name: str, context: DeploymentContext, purpose: str) -> aws.kms.Key:
    """A key for the web app's files, without a policy, because that names the distribution."""
    key = aws.kms.Key(
        name,
        description=f"{purpose} {context.platform}",
        enable_key_rotation=True,
        opts=component.child(protect=context.protect),
    )
    aws.kms.Alias(name, name=f"alias/{context.platform}-web", target_key_id=key.id, opts=component.child())
    return key


def reads_with_key(distribution_arn: pulumi.Input[str]) -> dict[str, Any]:
    """A statement of a key's policy that lets the distribution read encrypted files."""
    return {
        "Sid": "DistributionReadsApp",
        "Effect": "Allow",
        "Principal": {"Service": "cloudfront.amazonaws.com"},
        "Action": "kms:Decrypt",
        "Resource": "*",
        "Condition": {"StringEquals": {"aws:SourceArn": distribution_arn}},
    }


def app_bucket(
    component: Component, name: str, *, key_arn: pulumi.Input[str], release: Release, protect: bool
) -> tuple[PrivateBucket, list[pulumi.Resource]]:
    """A private, encrypted and versioned bucket with the objects of the release.

    Returns:
        The bucket and the objects, all of which must exist before viewers are sent to the release.
    """
    private = private_bucket(
        component,
        name,
        key_arn=key_arn,
        lifecycle={
            "id": "forget-old-versions",
            "status": "Enabled",
            "filter": {"prefix": ""},
            "noncurrent_version_expiration": {"noncurrent_days": 90},
        },
        protect=protect,
    )
    objects: list[pulumi.Resource] = [
        aws.s3.BucketObjectv2(
            f"{name}/{path}",
            bucket=private.bucket.id,
            key=pulumi.Output.format("{0}/{1}", release.name, path),
            source=content,
            content_type=CONTENT_TYPES[PurePosixPath(path).suffix],
            cache_control=CACHE_CONTROL,
            opts=component.child(depends_on=[*private.ready]),
        )
        for path, content in release.files.items()
    ]
    return private, objects


def admit_distribution(
    component: Component, name: str, app: PrivateBucket, distribution_arn: pulumi.Input[str]
) -> None:
    """Lets only the distribution read the web app's files."""
    reader = {
        "Effect": "Allow",
        "Principal": {"Service": "cloudfront.amazonaws.com"},
        "Condition": {"StringEquals": {"aws:SourceArn": distribution_arn}},
    }
    bucket_policy(
        component,
        name,
        app,
        {
            "Sid": "ReadApp",
            **reader,
            "Action": "s3:GetObject",
            "Resource": pulumi.Output.format("{0}/*", app.bucket.arn),
        },
        # Without this permission, S3 returns 403 instead of 404 for a missing file. Viewers can't list the
        # bucket: the router rewrites the path /, and query strings aren't forwarded.
        {"Sid": "TellMissing", **reader, "Action": "s3:ListBucket", "Resource": app.bucket.arn},
    )
