"""What every bucket of the platform is: closed, without ACLs, encrypted, versioned, free of half uploads."""

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
"""An upload in parts that is never completed is no object: nobody sees it, and it is paid for."""


@dataclass(frozen=True, kw_only=True)
class PrivateBucket:
    """A bucket, and what else a component has to wait for."""

    bucket: aws.s3.Bucket
    access_block: aws.s3.BucketPublicAccessBlock
    """Before a policy: S3 refuses two changes of a bucket's access at a time (OperationAborted)."""
    ready: Sequence[pulumi.Resource]
    """Before an object, which keeps the encryption and versioning of the moment it was written."""


def private_bucket(
    component: Component,
    name: str,
    *,
    key_arn: pulumi.Input[str] | None,
    lifecycle: aws.s3.BucketLifecycleConfigurationRuleArgsDict,
    protect: bool,
) -> PrivateBucket:
    """A closed bucket; without a key it has S3's own encryption. An unprotected one goes with its objects.

    `lifecycle` says how long objects stay.
    """
    bucket = aws.s3.Bucket(name, force_destroy=not protect, opts=component.child(protect=protect))
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
        # From the versioning: a rule about noncurrent versions asks for a versioned bucket.
        bucket=versioning.bucket,
        rules=[lifecycle, FORGET_UPLOADS],
        opts=component.child(),
    )
    return PrivateBucket(bucket=bucket, access_block=access_block, ready=[encryption, versioning])


def bucket_policy(
    component: Component, name: str, private: PrivateBucket, *statements: dict[str, Any]
) -> aws.s3.BucketPolicy:
    """The bucket's policy: `statements`, and that nobody speaks to it without TLS."""
    bucket = private.bucket
    only_tls = deny_without_tls("s3:*", [bucket.arn, pulumi.Output.format("{0}/*", bucket.arn)])
    return aws.s3.BucketPolicy(
        name,
        bucket=bucket.bucket,
        policy=policy_document(*statements, only_tls),
        opts=component.child(depends_on=[private.access_block]),
    )
