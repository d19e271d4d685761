"""The encryption key, topics, log bucket and workspace that the tiers of a region share."""

import json
from typing import Any

from components.foundation import Foundation, FoundationArgs
from tests.unit.harness import Graph, context, deploy


def _deploy(*, protect: bool = True, emails: tuple[str, ...] = ()) -> Graph:
    return deploy(
        lambda: Foundation(
            "foundation",
            FoundationArgs(
                context=context(
                    platform="trading-test", region="us-east-1", log_retention_days=30, protect=protect
                ),
                bucket_log_retention_days=90,
                alarm_emails=emails,
            ),
        )
    )


def _statements(policy: str) -> dict[str, Any]:
    return {statement["Sid"]: statement for statement in json.loads(policy)["Statement"]}


def test_key_rotates_and_is_of_one_region() -> None:
    key = _deploy().only("aws:kms/key:Key")
    assert key.inputs["enableKeyRotation"] is True
    assert not key.inputs.get("multiRegion"), "Managed Prometheus refuses multi-Region keys"


def test_key_serves_log_groups_of_this_account_only() -> None:
    key = _deploy().only("aws:kms/key:Key")
    statement = _statements(key.inputs["policy"])["LogGroupsOfThisAccount"]
    assert statement["Principal"] == {"Service": "logs.us-east-1.amazonaws.com"}
    arn = statement["Condition"]["ArnLike"]["kms:EncryptionContext:aws:logs:arn"]
    assert arn == "arn:aws:logs:us-east-1:123456789012:*"


def test_publishers_may_use_the_key_for_topics_of_this_account_only() -> None:
    """The condition holds for every publisher. Not all of them are known to set `aws:SourceAccount`."""
    key = _deploy().only("aws:kms/key:Key")
    statement = _statements(key.inputs["policy"])["PublishersToEncryptedTopics"]
    assert "cloudwatch.amazonaws.com" in statement["Principal"]["Service"]
    assert statement["Condition"] == {
        "StringLike": {"kms:EncryptionContext:aws:sns:topicArn": "arn:aws:sns:us-east-1:123456789012:*"}
    }


def test_workspace_takes_a_managed_collector() -> None:
    """A workspace with a customer managed key does not (AMP User Guide, "Encryption at rest")."""
    assert "kmsKeyArn" not in _deploy().only("aws:amp/workspace:Workspace").inputs


def test_topics_and_logs_are_encrypted_with_the_key() -> None:
    graph = _deploy()
    for resource in graph.of("aws:sns/topic:Topic"):
        assert "foundation-key" in resource.depends_on
        assert resource.inputs["kmsMasterKeyId"].startswith("arn:aws:kms:")
    assert graph.only("aws:cloudwatch/logGroup:LogGroup").inputs["kmsKeyId"].startswith("arn:aws:kms:")


def test_every_address_is_subscribed_to_both_topics() -> None:
    subscriptions = _deploy(emails=("a@example.com", "b@example.com")).of(
        "aws:sns/topicSubscription:TopicSubscription"
    )
    assert sorted(subscription.inputs["endpoint"] for subscription in subscriptions) == [
        *("a@example.com", "a@example.com"),
        *("b@example.com", "b@example.com"),
    ]


def test_log_bucket_refuses_plain_http() -> None:
    bucket_policy = _deploy().only("aws:s3/bucketPolicy:BucketPolicy")
    deny = _statements(bucket_policy.inputs["policy"])["OnlyTls"]
    assert deny["Effect"] == "Deny"
    assert deny["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    assert len(deny["Resource"]) == 2, "the bucket and what is in it"


def test_load_balancers_of_this_account_alone_may_write_logs() -> None:
    statements = _statements(_deploy().only("aws:s3/bucketPolicy:BucketPolicy").inputs["policy"])
    assert statements["ApplicationLoadBalancers"]["Resource"].endswith("/alb/AWSLogs/123456789012/*")
    assert statements["NetworkLoadBalancers"]["Resource"].endswith("/nlb/AWSLogs/123456789012/*")
    assert statements["NetworkLoadBalancers"]["Condition"]["StringEquals"] == {
        "s3:x-amz-acl": "bucket-owner-full-control",
        "aws:SourceAccount": "123456789012",
    }


def test_log_bucket_blocks_public_access() -> None:
    block = _deploy().only("aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock").inputs
    kinds = ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")
    assert [block[kind] for kind in kinds] == [True] * 4


def test_log_bucket_deletes_logs_after_their_retention() -> None:
    rules = _deploy().only("aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration").inputs["rules"]
    assert [rule["expiration"]["days"] for rule in rules if "expiration" in rule] == [90]


def test_only_an_unprotected_log_bucket_is_deleted_with_its_logs() -> None:
    kept, given_up = (_deploy(protect=protect).only("aws:s3/bucket:Bucket") for protect in (True, False))
    assert (kept.protect, kept.inputs["forceDestroy"]) == (True, False)
    assert (given_up.protect, given_up.inputs["forceDestroy"]) == (False, True)


def test_key_and_workspace_are_protected() -> None:
    graph = _deploy()
    assert graph.only("aws:kms/key:Key").protect
    assert graph.only("aws:amp/workspace:Workspace").protect
