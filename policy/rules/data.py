"""Rules about what keeps data: databases, tables, caches, brokers, buckets."""

from __future__ import annotations

from collections.abc import Iterator

from policy.rule import Finding, Resource, Stack, rule, stack_rule

BUCKET = "aws:s3/bucket:Bucket"
PUBLIC_ACCESS_BLOCK = "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock"


@rule(
    "Aurora's storage is encrypted with our key",
    "aws:rds/cluster:Cluster",
    controls=["RDS.27"],
)
def rds_cluster_is_encrypted(cluster: Resource) -> Iterator[str]:
    """Judges `storageEncrypted` and `kmsKeyId`."""
    if not cluster.properties.get("storageEncrypted"):
        yield "storageEncrypted is not set: set it to true"
    if not cluster.properties.get("kmsKeyId"):
        yield "kmsKeyId is not set, so that AWS's own key is used: name the region's key"


@stack_rule("A bucket blocks public access", BUCKET, controls=["S3.1", "S3.8"])
def bucket_blocks_public_access(stack: Stack) -> Iterator[Finding]:
    """Every bucket has a public access block of its own, with all four settings."""
    for bucket in stack.of(BUCKET):
        blocks = list(stack.companions(bucket, PUBLIC_ACCESS_BLOCK))
        if not blocks:
            yield bucket, "has no BucketPublicAccessBlock: give it one"
        for block in blocks:
            for key in ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets"):
                if block.properties.get(key) is not True:
                    yield block, f"{key} is not true: set it to true"
