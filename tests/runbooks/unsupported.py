"""Answers to the operations that moto lacks. botocore's models validate each answer.

Each answer to a list also has an item of the other stack, so that a command that doesn't select shows it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import boto3
import botocore.session
from botocore.validate import ParamValidator

NOW = datetime(2026, 1, 31, 14, 5, tzinfo=UTC)
parameters = SimpleNamespace(value=dict[str, Any]())
"""Parameters of the call that is being made."""
Answer = Callable[[Mapping[str, Any]], Mapping[str, Any]]


def answer(model: Any, **_: Any) -> tuple[Any, dict[str, Any]] | None:
    """Answers instead of moto. It is a handler of botocore's event `before-call`."""
    service, operation = model.service_model.service_name, model.name
    found = ANSWERS.get(f"{service}:{operation}")
    if found is None:
        return None
    response = dict(found(parameters.value))
    shape = _session().get_service_model(service).operation_model(operation).output_shape
    if shape is not None:
        report = ParamValidator().validate(response, shape)
        assert not report.has_errors(), f"{service} {operation}: {report.generate_report()}"
    response["ResponseMetadata"] = {"HTTPStatusCode": 200}
    return SimpleNamespace(status_code=200), response


@functools.cache
def _session() -> Any:
    return botocore.session.get_session()


def _items(key: str, *items: Mapping[str, Any]) -> Answer:
    """The same list for every question."""
    return lambda _: {key: [dict(item) for item in items]}


def _nothing(_: Mapping[str, Any]) -> Mapping[str, Any]:
    return {}


def _scaling(asked: Mapping[str, Any]) -> Mapping[str, Any]:
    """What the scaling of a resource did, or of all resources of the service."""
    activity = {
        "ActivityId": "1",
        "ServiceNamespace": asked["ServiceNamespace"],
        "ResourceId": asked.get("ResourceId", "decoy"),
        "ScalableDimension": "dynamodb:table:ReadCapacityUnits",
        "Description": "Setting the capacity",
        "Cause": "an alarm",
        "StartTime": NOW,
        "StatusCode": "Successful",
    }
    return {"ScalingActivities": [activity]}


def _events(asked: Mapping[str, Any]) -> Mapping[str, Any]:
    name = asked.get("SourceIdentifier", "decoy")
    return {"Events": [{"SourceIdentifier": name, "Message": "Snapshot began", "Date": NOW}]}


def _scrapers(asked: Mapping[str, Any]) -> Mapping[str, Any]:
    """AWS's filter compares the beginning of the alias."""
    scraper = {
        "alias": asked["filters"]["alias"][0],
        "scraperId": "s-1",
        "arn": "arn:aws:aps:us-east-1:123456789012:scraper/s-1",
        "roleArn": "arn:aws:iam::123456789012:role/scraper",
        "status": {"statusCode": "ACTIVE"},
        "createdAt": NOW,
        "lastModifiedAt": NOW,
        "source": {"vpcConfiguration": {"securityGroupIds": ["sg-1"], "subnetIds": ["subnet-1"]}},
        "destination": {
            "ampConfiguration": {"workspaceArn": "arn:aws:aps:us-east-1:123456789012:workspace/1"}
        },
    }
    return {"scrapers": [scraper, {**scraper, "alias": f"{scraper['alias']}-decoy", "scraperId": "decoy"}]}


def _backup_jobs(asked: Mapping[str, Any]) -> Mapping[str, Any]:
    name = "database" if "ByBackupVaultName" in asked else "decoy"
    return {
        "BackupJobs": [
            {"CreationDate": NOW, "State": "FAILED", "ResourceName": name, "CreatedBy": {"BackupPlanId": "1"}}
        ]
    }


def _global_clusters(_: Mapping[str, Any]) -> Mapping[str, Any]:
    """moto shows a global database only in the region in which it was created, AWS in all of its regions."""
    boto: Any = boto3
    found = boto.client("rds", region_name="us-east-1").describe_global_clusters()
    return {"GlobalClusters": found["GlobalClusters"]}


def _global_cluster(asked: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"GlobalCluster": {"GlobalClusterIdentifier": asked["GlobalClusterIdentifier"]}}


_KAFKA_OPERATION = {"OperationType": "UPDATE", "OperationState": "DONE", "StartTime": NOW}

ANSWERS: Mapping[str, Answer] = {
    "amp:DescribeAlertManagerDefinition": lambda _: {
        "alertManagerDefinition": {
            "status": {"statusCode": "ACTIVE"},
            "data": b"",
            "createdAt": NOW,
            "modifiedAt": NOW,
        }
    },
    "amp:ListScrapers": _scrapers,
    "application-autoscaling:DescribeScalingActivities": _scaling,
    "arc-zonal-shift:StartZonalShift": lambda asked: {
        "zonalShiftId": "00000000-0000-4000-8000-000000000000",
        "resourceIdentifier": asked["resourceIdentifier"],
        "awayFrom": asked["awayFrom"],
        "expiryTime": NOW,
        "startTime": NOW,
        "status": "ACTIVE",
        "comment": asked["comment"],
    },
    "backup:DescribeRegionSettings": lambda _: {"ResourceTypeOptInPreference": {"Aurora": True}},
    "backup:ListBackupJobs": _backup_jobs,
    "backup:ListCopyJobs": _items(
        "CopyJobs",
        {
            "CreationDate": NOW,
            "SourceBackupVaultArn": "arn:aws:backup:us-east-1:123456789012:backup-vault:decoy",
            "StatusMessage": "decoy",
        },
    ),
    "backup:ListRecoveryPointsByBackupVault": lambda asked: {
        "RecoveryPoints": [
            {
                "RecoveryPointArn": "arn:aws:rds:us-east-1:123456789012:cluster-snapshot:awsbackup:job-1",
                "BackupVaultName": asked["BackupVaultName"],
                "CreationDate": NOW,
                "Status": "COMPLETED",
            }
        ]
    },
    "backup:GetRecoveryPointRestoreMetadata": lambda _: {"RestoreMetadata": {"Engine": "aurora-postgresql"}},
    "backup:StartBackupJob": lambda _: {"BackupJobId": "1"},
    "backup:StartRestoreJob": lambda _: {"RestoreJobId": "1"},
    "backup:UpdateRegionSettings": _nothing,
    "cloudwatch:GetInsightRuleReport": _items("Contributors"),
    "dynamodb:DescribeContributorInsights": lambda _: {"ContributorInsightsRuleList": ["rule-1"]},
    "dynamodb:DescribeTableReplicaAutoScaling": lambda asked: {
        "TableAutoScalingDescription": {"TableName": asked["TableName"], "Replicas": []}
    },
    "eks:DescribeAddonVersions": lambda asked: {
        "addons": [
            {
                "addonName": asked["addonName"],
                "addonVersions": [
                    {
                        "addonVersion": "v1-eksbuild.1",
                        "compatibilities": [
                            {"clusterVersion": asked["kubernetesVersion"], "defaultVersion": True}
                        ],
                    }
                ],
            }
        ]
    },
    "eks:DescribeCluster": lambda asked: {
        "cluster": {
            "name": asked["name"],
            "arn": f"arn:aws:eks:us-east-1:123456789012:cluster/{asked['name']}",
            "endpoint": "https://example.com",
            "status": "ACTIVE",
            "certificateAuthority": {"data": "eA=="},
        }
    },
    "eks:ListAccessEntries": _items("accessEntries"),
    "eks:ListInsights": _items("insights", {"name": "upgrade", "insightStatus": {"status": "PASSING"}}),
    "eks:ListPodIdentityAssociations": _items(
        "associations", {"serviceAccount": "orders", "associationArn": "arn:aws:eks:us-east-1:1:a/1"}
    ),
    "elasticache:DescribeEvents": _events,
    "kafka:DescribeTopic": lambda asked: {"TopicName": asked["TopicName"], "PartitionCount": 1},
    "kafka:GetCompatibleKafkaVersions": _items(
        "CompatibleKafkaVersions", {"SourceVersion": "3.9.x.kraft", "TargetVersions": ["4.1.x.kraft"]}
    ),
    "kafka:ListClusterOperationsV2": _items("ClusterOperationInfoList", _KAFKA_OPERATION),
    "kafka:ListNodes": _items(
        "NodeInfoList", {"BrokerNodeInfo": {"BrokerId": 1.0, "ClientVpcIpAddress": "10.0.0.9"}}
    ),
    "kafka:RebootBroker": lambda asked: {"ClusterArn": asked["ClusterArn"]},
    "kafka:UpdateBrokerStorage": lambda asked: {"ClusterArn": asked["ClusterArn"]},
    "lambda:GetAccountSettings": lambda _: {
        "AccountLimit": {"ConcurrentExecutions": 1000, "UnreservedConcurrentExecutions": 900}
    },
    "pi:DescribeDimensionKeys": _items(
        "Keys", {"Dimensions": {"db.sql_tokenized.statement": "SELECT 1"}, "Total": 0.5}
    ),
    "rds:DescribeGlobalClusters": _global_clusters,
    "rds:ModifyGlobalCluster": _global_cluster,
    # moto knows only those members of a global database that are in its own region.
    "rds:DeleteGlobalCluster": _global_cluster,
    "rds:RemoveFromGlobalCluster": _global_cluster,
    "service-quotas:ListServiceQuotas": _items("Quotas", {"QuotaName": "UserAuthentication", "Value": 120.0}),
    "shield:ListAttacks": _items("AttackSummaries"),
    "synthetics:GetCanaryRuns": _items("CanaryRuns"),
    "synthetics:StartCanary": _nothing,
    "xray:BatchGetTraces": _items("Traces"),
}
"""Service and operation → the answer to the call's parameters."""
