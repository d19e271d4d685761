"""The private bucket with the web app's files."""

from __future__ import annotations

from pathlib import PurePosixPath

import pulumi
import pulumi_aws as aws

from components.bucket import private_bucket
from components.tier import Tier, policy_document
from components.web.release import CACHE_CONTROL, CONTENT_TYPES, Release


def app_bucket(
    tier: Tier, name: str, *, key_arn: pulumi.Input[str], release: Release, protect: bool
) -> tuple[aws.s3.Bucket, list[pulumi.Resource]]:
    """A closed, encrypted and versioned bucket, and the objects of the release in it.

    Returns:
        The bucket, and the objects, all of which must be there before viewers are sent to the release.
    """
    private = private_bucket(
        tier,
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
            opts=tier.child(depends_on=[*private.ready]),
        )
        for path, content in release.files.items()
    ]
    return private.bucket, objects


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
