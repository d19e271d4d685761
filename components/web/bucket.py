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
