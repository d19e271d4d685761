"""A private bucket: no public access, no ACLs, encrypted, versioned, and cleared of incomplete uploads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws

from components.common.component import Component
from components.common.iam import deny_without_tls, policy_document

FORGET_UPLOADS: aws.s3.BucketLifecycleConfigurationRuleArgsDict = {
    "id": "forget-uploads",
    "status": "Enabled",
    "filter": {"prefix": ""},
    "abort_incomplete_multipart_upload": {"days_after_initiation": 7},
}
"""The parts of an incomplete multipart upload aren't listed as an object, but they are billed."""


def expire_logs(days: int) -> aws.s3.BucketLifecycleConfigurationRuleArgsDict:
    """The rule of a bucket of logs that are kept for this number of days."""
    return {
        "id": "expire",
        "status": "Enabled",
        "filter": {"prefix": ""},
        "expiration": {"days": days},
        # Log files are written only once, so versioning costs nothing, and deletions can be undone.
        "noncurrent_version_expiration": {"noncurrent_days": 30},
    }


@dataclass(frozen=True, kw_only=True)
class PrivateBucket:
    """A bucket, and the resources that other resources must wait for."""

    bucket: aws.s3.Bucket
    access_block: aws.s3.BucketPublicAccessBlock
    """A bucket policy must wait for it: S3 rejects concurrent changes of a bucket's access
    (OperationAborted)."""
    ready: Sequence[pulumi.Resource]
    """Objects must wait for these: an object keeps the encryption and versioning in force when it was
    written."""


def private_bucket(
    component: Component,
    name: str,
    *,
    key_arn: pulumi.Input[str] | None,
    lifecycle: aws.s3.BucketLifecycleConfigurationRuleArgsDict,
    protect: bool,
    bucket_name: str | None = None,
    existing: str | None = None,
) -> PrivateBucket:
    """A private bucket. Without `key_arn`, it is encrypted with S3's own keys.

    `lifecycle` sets how long objects are kept. If the bucket isn't protected, deleting it deletes its
    objects. `bucket_name` replaces the automatic name, for a bucket that people name in commands. `existing`
    is the same name if the bucket exists already and is taken over.
    """
    bucket = aws.s3.Bucket(
        name,
        bucket=bucket_name,
        force_destroy=not protect,
        opts=component.child(protect=protect, import_=existing),
    )
    access_block = aws.s3.BucketPublicAccessBlock(
        name,
        bucket=bucket.bucket,
        block_public_acls=True,
        block_public_policy=True,
        ignore_public_acls=True,
        restrict_public_buckets=True,
        opts=component.child(),
    )
    aws.s3.BucketOwnershipControls(
        name,
        bucket=bucket.bucket,
        rule={"object_ownership": "BucketOwnerEnforced"},
        opts=component.child(),
    )
    rule: aws.s3.BucketServerSideEncryptionConfigurationRuleArgsDict
    if key_arn is None:
        rule = {"apply_server_side_encryption_by_default": {"sse_algorithm": "AES256"}}
    else:
        rule = {
            "apply_server_side_encryption_by_default": {
                "sse_algorithm": "aws:kms",
                "kms_master_key_id": key_arn,
            },
            "bucket_key_enabled": True,
        }
    encryption = aws.s3.BucketServerSideEncryptionConfiguration(
        name, bucket=bucket.bucket, rules=[rule], opts=component.child()
    )
    versioning = aws.s3.BucketVersioning(
        name, bucket=bucket.bucket, versioning_configuration={"status": "Enabled"}, opts=component.child()
    )
    aws.s3.BucketLifecycleConfiguration(
        name,
        # Taken from the versioning, because a rule on noncurrent versions requires a versioned bucket.
        bucket=versioning.bucket,
        rules=[lifecycle, FORGET_UPLOADS],
        opts=component.child(),
    )
    return PrivateBucket(bucket=bucket, access_block=access_block, ready=[encryption, versioning])


def bucket_policy(
    component: Component, name: str, private: PrivateBucket, *statements: dict[str, Any]
) -> aws.s3.BucketPolicy:
    """The bucket's policy: `statements`, and a statement that denies requests without TLS."""
    bucket = private.bucket
    only_tls = deny_without_tls("s3:*", [bucket.arn, pulumi.Output.format("{0}/*", bucket.arn)])
    return aws.s3.BucketPolicy(
        name,
        bucket=bucket.bucket,
        policy=policy_document(*statements, only_tls),
        opts=component.child(depends_on=[private.access_block]),
    )
