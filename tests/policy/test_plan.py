"""A state is converted to a Terraform plan with its names, blocks and references, and without secrets."""

from __future__ import annotations

import json
from typing import Any

import pytest

from policy.rule import SECRET
from policy.scan.names import terraform_type
from policy.scan.plan import PlanError, State, plan
from sandbox.sdk_schema import UnknownTypeError
from tests.policy.states import SECRET_VALUE

TAGS = {"owner": "team", "environment": "prod"}
PROVIDER: State = {
    "urn": "urn:pulumi:prod::trading::pulumi:providers:aws::aws-eu-west-1",
    "type": "pulumi:providers:aws",
    "id": "11111111",
    "inputs": {"region": "eu-west-1", "defaultTags": json.dumps({"tags": TAGS})},
}


def resource(
    token: str,
    inputs: dict[str, Any] | None = None,
    *,
    name: str = "it",
    sources: dict[str, list[State]] | None = None,
) -> State:
    return {
        "urn": f"urn:pulumi:prod::trading::trading:tier:Tier${token}::{name}",
        "type": token,
        "id": name,
        "provider": f"{PROVIDER['urn']}::{PROVIDER['id']}",
        "inputs": {"__defaults": [], **(inputs or {})},
        "propertyDependencies": {
            key: [item["urn"] for item in items] for key, items in (sources or {}).items()
        },
    }


def planned(*resources: State) -> dict[str, dict[str, Any]]:
    """Address → values."""
    document = plan([PROVIDER, *resources]).document
    return {
        item["address"]: item["values"] for item in document["planned_values"]["root_module"]["resources"]
    }


def values(token: str, inputs: dict[str, Any]) -> dict[str, Any]:
    """The plan's values for one resource's inputs, without the tags."""
    ((_, found),) = planned(resource(token, inputs)).items()
    return {key: value for key, value in found.items() if key != "tags_all"}


def references(*resources: State) -> dict[str, dict[str, list[str]]]:
    """Address → attribute → the address to which it refers."""
    document = plan([PROVIDER, *resources]).document
    return {
        item["address"]: {key: value["references"] for key, value in item["expressions"].items()}
        for item in document["configuration"]["root_module"]["resources"]
    }


@pytest.mark.parametrize(
    ("token", "expected"),
    [
        ("aws:rds/cluster:Cluster", "aws_rds_cluster"),
        ("aws:rds/globalCluster:GlobalCluster", "aws_rds_global_cluster"),
        ("aws:rds/subnetGroup:SubnetGroup", "aws_db_subnet_group"),
        ("aws:ec2/securityGroup:SecurityGroup", "aws_security_group"),
        ("aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule", "aws_vpc_security_group_ingress_rule"),
        ("aws:lb/loadBalancer:LoadBalancer", "aws_lb"),
        ("aws:lb/targetGroup:TargetGroup", "aws_lb_target_group"),
        ("aws:apigateway/restApi:RestApi", "aws_api_gateway_rest_api"),
        ("aws:amp/workspace:Workspace", "aws_prometheus_workspace"),
        ("aws:s3/bucketObjectv2:BucketObjectv2", "aws_s3_object"),
    ],
)
def test_types_have_terraforms_names(token: str, expected: str) -> None:
    assert terraform_type(token) == expected


CASES: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    (
        "aws:rds/cluster:Cluster",
        {"engine": "aurora-postgresql", "storageEncrypted": True, "port": 5432.0},
        {"engine": "aurora-postgresql", "storage_encrypted": True, "port": 5432},
    ),
    # A capital letter begins a word, even a word of one letter.
    (
        "aws:ec2/subnet:Subnet",
        {"enableResourceNameDnsARecordOnLaunch": True},
        {"enable_resource_name_dns_a_record_on_launch": True},
    ),
    # A block that can occur once is an object in Pulumi and a list in Terraform, at every depth.
    (
        "aws:msk/cluster:Cluster",
        {"encryptionInfo": {"encryptionInTransit": {"clientBroker": "TLS"}}},
        {"encryption_info": [{"encryption_in_transit": [{"client_broker": "TLS"}]}]},
    ),
    # A block that can occur several times is plural in Pulumi and singular in Terraform…
    (
        "aws:cloudfront/distribution:Distribution",
        {"origins": [{"originId": "a"}, {"originId": "b", "customHeaders": [{"name": "x"}]}]},
        {"origin": [{"origin_id": "a"}, {"origin_id": "b", "custom_header": [{"name": "x"}]}]},
    ),
    ("aws:backup/plan:Plan", {"advancedBackupSettings": [{}]}, {"advanced_backup_setting": [{}]}),
    (
        "aws:route53/record:Record",
        {"latencyRoutingPolicies": [{"region": "eu-west-1"}], "aliases": [{"zoneId": "Z"}]},
        {"latency_routing_policy": [{"region": "eu-west-1"}], "alias": [{"zone_id": "Z"}]},
    ),
    # … except if Terraform's name is a plural or cannot be counted.
    (
        "aws:ec2/securityGroup:SecurityGroup",
        {"ingress": [{"fromPort": 22}]},
        {"ingress": [{"from_port": 22}]},
    ),
    (
        "aws:wafv2/webAclLoggingConfiguration:WebAclLoggingConfiguration",
        {"redactedFields": [{"singleHeader": {"name": "cookie"}}]},
        {"redacted_fields": [{"single_header": [{"name": "cookie"}]}]},
    ),
    # Lists of plain values keep their names.
    (
        "aws:cloudfront/distribution:Distribution",
        {"aliases": ["trade.example.com"]},
        {"aliases": ["trade.example.com"]},
    ),
    # Maps keep their keys, but blocks do not.
    (
        "aws:lambda/function:Function",
        {"environment": {"variables": {"clusterId": "c"}}, "tags": {"costCenter": "1"}},
        {"environment": [{"variables": {"clusterId": "c"}}], "tags": {"costCenter": "1"}},
    ),
    (
        "aws:cloudwatch/metricAlarm:MetricAlarm",
        {"name": "a", "dimensions": {"QueueName": "q"}, "threshold": 0.5},
        {"alarm_name": "a", "dimensions": {"QueueName": "q"}, "threshold": 0.5},
    ),
    # Policies are strings.
    ("aws:s3/bucketPolicy:BucketPolicy", {"policy": '{"Version": "1"}'}, {"policy": '{"Version": "1"}'}),
    ("aws:s3/bucketPolicy:BucketPolicy", {"policy": {"Version": "1"}}, {"policy": '{"Version": "1"}'}),
    # For a Pulumi resource, Terraform has its id.
    (
        "aws:apigateway/stage:Stage",
        {"restApi": "a", "deployment": "d"},
        {"rest_api_id": "a", "deployment_id": "d"},
    ),
    ("aws:wafv2/webAcl:WebAcl", {"defaultAction": {"allow": {}}}, {"default_action": [{"allow": [{}]}]}),
    ("aws:sqs/queue:Queue", {"name": None}, {}),
]


@pytest.mark.parametrize(("token", "inputs", "expected"), CASES)
def test_properties_have_terraforms_names_and_shapes(
    token: str, inputs: dict[str, Any], expected: dict[str, Any]
) -> None:
    assert values(token, inputs) == expected


def test_archive_is_left_out() -> None:
    archive = {"4dabf18193072939515e22adb298388d": "0def7320c3a5731c473e5ecbe6d01bc7", "hash": "1234"}
    assert values("aws:lambda/function:Function", {"code": archive, "runtime": "python3.13"}) == {
        "runtime": "python3.13"
    }


def test_tags_are_with_those_of_the_provider() -> None:
    found = planned(resource("aws:sns/topic:Topic", {"tags": {"owner": "other"}}))["aws_sns_topic.it"]
    assert found == {"tags": {"owner": "other"}, "tags_all": {"owner": "other", "environment": "prod"}}
    assert (
        plan([PROVIDER, resource("aws:sns/topic:Topic")]).resources["aws_sns_topic.it"].default_tags == TAGS
    )


def test_provider_is_there_with_its_region() -> None:
    configured = plan([PROVIDER, resource("aws:sns/topic:Topic")]).document["configuration"]
    assert configured["provider_config"]["aws.aws-eu-west-1"]["expressions"] == {
        "region": {"constant_value": "eu-west-1"}
    }
    assert configured["root_module"]["resources"][0]["provider_config_key"] == "aws.aws-eu-west-1"


def test_no_secret_is_written() -> None:
    cluster = {
        "masterPassword": SECRET_VALUE,
        "serverlessv2ScalingConfiguration": {"minCapacity": SECRET_VALUE},
    }
    function = {"environment": {"variables": {"KEY": SECRET_VALUE}}}
    made = plan(
        [
            resource("aws:rds/cluster:Cluster", cluster),
            resource("aws:lambda/function:Function", function),
            resource("aws:cloudfront/distribution:Distribution", {"origins": SECRET_VALUE}, name="web"),
        ]
    )
    text = json.dumps(made.document)
    assert "ciphertext" not in text
    assert "AAAA" not in text
    assert values("aws:rds/cluster:Cluster", cluster) == {
        "master_password": SECRET,
        "serverlessv2_scaling_configuration": [{"min_capacity": SECRET}],
    }


def test_block_that_is_secret_as_a_whole_is_left_out_and_named() -> None:
    web = resource("aws:cloudfront/distribution:Distribution", {"origins": SECRET_VALUE, "enabled": True})
    assert planned(web)["aws_cloudfront_distribution.it"] == {"enabled": True, "tags_all": TAGS}
    assert plan([web]).hidden == ["origins of aws:cloudfront/distribution:Distribution it"]
    bucket = resource("aws:s3/bucket:Bucket", name="files")
    from_bucket = {**web, "propertyDependencies": {"origins": [bucket["urn"]]}}
    assert references(bucket, from_bucket)["aws_cloudfront_distribution.it"] == {
        "origin": ["aws_s3_bucket.files"]
    }


def test_policy_that_is_secret_as_a_whole_is_left_out_and_named() -> None:
    key = resource("aws:kms/key:Key", {"policy": SECRET_VALUE, "enableKeyRotation": True})
    assert "policy" not in planned(key)["aws_kms_key.it"]
    assert plan([key]).hidden == ["policy of aws:kms/key:Key it"]


def test_secret_within_a_policy_is_not_written() -> None:
    shown = {**SECRET_VALUE, "plaintext": '"hunter2"'}
    policy = {"Statement": [{"Effect": "Allow", "Condition": {"StringEquals": {"aws:SourceArn": shown}}}]}
    written = values("aws:s3/bucketPolicy:BucketPolicy", {"policy": policy})["policy"]
    assert json.loads(written)["Statement"][0]["Condition"] == {"StringEquals": {"aws:SourceArn": SECRET}}


def test_secret_that_an_export_shows_is_not_written_either() -> None:
    shown = {key: value for key, value in SECRET_VALUE.items() if key != "ciphertext"} | {
        "plaintext": '"hunter2"'
    }
    assert values("aws:rds/cluster:Cluster", {"masterPassword": shown}) == {"master_password": SECRET}


def test_reference_is_to_the_resource_whose_output_it_is() -> None:
    key = resource("aws:kms/key:Key", name="key")
    topic = resource("aws:sns/topic:Topic", {"kmsMasterKeyId": "1234"}, sources={"kmsMasterKeyId": [key]})
    assert references(key, topic)["aws_sns_topic.it"] == {"kms_master_key_id": ["aws_kms_key.key"]}


def test_reference_leads_through_what_only_passes_a_value_on() -> None:
    bucket = resource("aws:s3/bucket:Bucket", name="files")
    versioning = resource(
        "aws:s3/bucketVersioning:BucketVersioning",
        {"bucket": "files-1234"},
        name="files",
        sources={"bucket": [bucket]},
    )
    lifecycle = resource(
        "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration",
        {"bucket": "files-1234"},
        sources={"bucket": [versioning]},
    )
    assert references(bucket, versioning, lifecycle)["aws_s3_bucket_lifecycle_configuration.it"] == {
        "bucket": ["aws_s3_bucket_versioning.files", "aws_s3_bucket.files"]
    }
    other = {**lifecycle, "inputs": {"bucket": "another"}}
    assert references(bucket, versioning, other)["aws_s3_bucket_lifecycle_configuration.it"] == {
        "bucket": ["aws_s3_bucket_versioning.files"]
    }


def test_reference_of_a_block_is_by_terraforms_name() -> None:
    bucket = resource("aws:s3/bucket:Bucket", name="files")
    web = resource("aws:cloudfront/distribution:Distribution", {"origins": []}, sources={"origins": [bucket]})
    assert references(bucket, web)["aws_cloudfront_distribution.it"] == {"origin": ["aws_s3_bucket.files"]}


def test_what_has_no_value_has_no_reference() -> None:
    key = resource("aws:kms/key:Key", name="key")
    topic = resource("aws:sns/topic:Topic", sources={"kmsMasterKeyId": [key]})
    assert references(key, topic)["aws_sns_topic.it"] == {}


def test_addresses_are_unique_and_lead_back() -> None:
    first = resource("aws:sns/topic:Topic", name="alarms us-east-1/critical")
    second = {**first, "urn": first["urn"].replace("tier:Tier", "tier:Other")}
    made = plan([PROVIDER, first, second])
    assert {address: item.urn for address, item in made.resources.items() if item.type == first["type"]} == {
        "aws_sns_topic.alarms_us-east-1_critical": first["urn"],
        "aws_sns_topic.alarms_us-east-1_critical_2": second["urn"],
    }
    assert made.resources["aws_sns_topic.alarms_us-east-1_critical"].name == "alarms us-east-1/critical"


def test_what_is_not_awss_or_waits_for_its_deletion_is_left_out() -> None:
    old = {**resource("aws:sns/topic:Topic", name="old"), "delete": True}
    assert list(planned(resource("aws:sns/topic:Topic"), old, resource("kubernetes:core/v1:Secret"))) == [
        "aws_sns_topic.it"
    ]


def test_what_the_sdk_does_not_know_is_an_error_and_not_left_out() -> None:
    with pytest.raises(PlanError, match=r"aws:sns/topic:Topic it has the property encrypted, which"):
        plan([resource("aws:sns/topic:Topic", {"encrypted": True})])
    with pytest.raises(UnknownTypeError, match="aws:sns/topik:Topik"):
        plan([resource("aws:sns/topik:Topik")])
