"""The private bucket with the web app's files."""

from __future__ import annotations

from pathlib import PurePosixPath

import pulumi
import pulumi_aws as aws

from components.common.bucket import PrivateBucket, bucket_policy, private_bucket
from components.common.component import Component
from components.web.release import CACHE_CONTROL, CONTENT_TYPES, Release


def app_bucket(
    component: Component, name: str, *, key_arn: pulumi.Input[str], release: Release, protect: bool
) -> tuple[PrivateBucket, list[pulumi.Resource]]:
    """A closed, encrypted and versioned bucket, and the objects of the release in it.

    Returns:
        The bucket, and the objects, all of which must be there before viewers are sent to the release.
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
    """Lets the distribution, and nobody else, read the web app's files."""
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
        # Without this permission S3 answers 403 for a missing file, not 404. No viewer can list the bucket:
        # the router gives / another path, and query strings are not forwarded.
        {"Sid": "TellMissing", **reader, "Action": "s3:ListBucket", "Resource": app.bucket.arn},
    )
