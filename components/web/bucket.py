"""The private bucket with the web app's files."""

from __future__ import annotations

from pathlib import PurePosixPath

import pulumi
import pulumi_aws as aws

from components.tier import Tier, policy_document
from components.web.release import CACHE_CONTROL, CONTENT_TYPES, Release


def app_bucket(
    tier: Tier, name: str, *, key_arn: pulumi.Input[str], release: Release, protect: bool
) -> tuple[aws.s3.Bucket, list[pulumi.Resource]]:
    """A closed, encrypted and versioned bucket, and the objects of the release in it.

    Returns:
        The bucket, and the objects, all of which must be there before viewers are sent to the release.
    """
    bucket = aws.s3.Bucket(
        name,
        # Old versions would keep an unprotected stack's bucket from being deleted.
        force_destroy=not protect,
        opts=tier.child(protect=protect),
    )
    aws.s3.BucketPublicAccessBlock(
        name,
        bucket=bucket.id,
        block_public_acls=True,
        block_public_policy=True,
        ignore_public_acls=True,
        restrict_public_buckets=True,
        opts=tier.child(),
    )
    aws.s3.BucketOwnershipControls(
        name,
        bucket=bucket.id,
        rule={"object_ownership": "BucketOwnerEnforced"},
        opts=tier.child(),
    )
    encryption = aws.s3.BucketServerSideEncryptionConfiguration(
        name,
        bucket=bucket.id,
        rules=[
            {
                "apply_server_side_encryption_by_default": {
                    "sse_algorithm": "aws:kms",
                    "kms_master_key_id": key_arn,
                },
                "bucket_key_enabled": True,
            }
        ],
        opts=tier.child(),
    )
    versioning = aws.s3.BucketVersioning(
        name,
        bucket=bucket.id,
        versioning_configuration={"status": "Enabled"},
        opts=tier.child(),
    )
    aws.s3.BucketLifecycleConfiguration(
        name,
        bucket=versioning.bucket,
        rules=[
            {
                "id": "forget-old-versions",
                "status": "Enabled",
                "filter": {"prefix": ""},
                "noncurrent_version_expiration": {"noncurrent_days": 90},
            }
        ],
        opts=tier.child(),
    )
    objects: list[pulumi.Resource] = [
        aws.s3.BucketObjectv2(
            f"{name}/{path}",
            bucket=bucket.id,
            key=pulumi.Output.format("{0}/{1}", release.name, path),
            source=content,
            content_type=CONTENT_TYPES[PurePosixPath(path).suffix],
            cache_control=CACHE_CONTROL,
            # An object keeps the encryption and versioning of the moment it was written.
            opts=tier.child(depends_on=[encryption, versioning]),
        )
        for path, content in release.files.items()
    ]
    return bucket, objects


def app_bucket_policy(
    tier: Tier, name: str, *, bucket: aws.s3.Bucket, distribution_arn: pulumi.Input[str]
) -> None:
    """Admits our distribution alone, over TLS alone."""
    objects = pulumi.Output.format("{0}/*", bucket.arn)
    reader = {
        "Effect": "Allow",
        "Principal": {"Service": "cloudfront.amazonaws.com"},
        "Condition": {"StringEquals": {"aws:SourceArn": distribution_arn}},
    }
    aws.s3.BucketPolicy(
        name,
        bucket=bucket.id,
        policy=policy_document(
            {"Sid": "ReadApp", **reader, "Action": "s3:GetObject", "Resource": objects},
            # With it S3 says 404 for a missing file, not 403. No viewer can list the bucket:
            # the router gives / another path, and query strings are not forwarded.
            {"Sid": "TellMissing", **reader, "Action": "s3:ListBucket", "Resource": bucket.arn},
            {
                "Sid": "RefusePlaintext",
                "Effect": "Deny",
                "Principal": "*",
                "Action": "s3:*",
                "Resource": [bucket.arn, objects],
                "Condition": {"Bool": {"aws:SecureTransport": "false"}},
            },
        ),
        opts=tier.child(),
    )
