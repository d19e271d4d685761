"""The permissions boundary of the roles that stacks create: the most that the platform itself can do.

A deployment creates roles, writes their policies and passes them to services. Without a boundary, it could so
give a pod or a function more permissions than it has itself.

The statements follow the policies of the platform's roles. AWS's managed policies that some of them have
allow more, for services that the platform doesn't use; the tests compare both. A boundary doesn't limit what
a resource policy grants to a session of the role itself (IAM User Guide, "Permissions boundaries for IAM
entities", read 2026-11-27).
"""

from __future__ import annotations

from typing import Any

from account import prepared


def boundary(account: str) -> list[dict[str, Any]]:
    """The statements of the boundary."""
    return [
        _allow("Data", _DATA),
        _allow("Secrets", _SECRETS, f"arn:aws:secretsmanager:*:{account}:secret:*"),
        _allow("Databases", _DATABASES, f"arn:aws:rds:*:{account}:cluster:trading-*"),
        _allow("Keys", _KEYS, f"arn:aws:kms:*:{account}:key/*"),
        _allow(
            "GrantsForServices",
            ["kms:CreateGrant", "kms:ListGrants", "kms:RevokeGrant"],
            f"arn:aws:kms:*:{account}:key/*",
            {"Bool": {"kms:GrantIsForAWSResource": "true"}},
        ),
        _allow("Observability", _OBSERVABILITY),
        _allow("Cluster", _CLUSTER),
        _allow(
            "NodesOfTheCluster",
            ["iam:PassRole"],
            f"arn:aws:iam::{account}:role/cluster-*-node-*",
            {"StringEquals": {"iam:PassedToService": "ec2.amazonaws.com"}},
        ),
        _allow(
            "ProfilesOfNodes",
            ["iam:AddRoleToInstanceProfile"],
            f"arn:aws:iam::{account}:instance-profile/eks*",
        ),
        _allow("RolesOfServices", ["iam:CreateServiceLinkedRole"], "arn:aws:iam::*:role/aws-service-role/*"),
        _allow("Backups", _BACKUPS),
        {
            "Sid": "NotTheStatesAndRegistries",
            "Effect": "Deny",
            "Action": ["s3:*", "secretsmanager:*"],
            "Resource": [
                f"arn:aws:s3:::{prepared.state_bucket(account, '*')}",
                f"arn:aws:secretsmanager:*:{account}:secret:ecr-pullthroughcache/*",
            ],
        },
        {
            "Sid": "NotTheKeysOfTheStates",
            "Effect": "Deny",
            "Action": _KEYS,
            "Resource": "*",
            # The key applies to every operation on a KMS key (KMS Developer Guide, "AWS KMS condition keys",
            # `kms:ResourceAliases`, read 2026-11-27).
            "Condition": {
                "ForAnyValue:StringLike": {
                    "kms:ResourceAliases": [prepared.STATE_ALIAS, prepared.secrets_alias("*")]
                }
            },
        },
    ]


def _allow(
    sid: str, actions: list[str], resource: str = "*", condition: dict[str, Any] | None = None
) -> dict[str, Any]:
    statement: dict[str, Any] = {"Sid": sid, "Effect": "Allow", "Action": actions, "Resource": resource}
    return {**statement, "Condition": condition} if condition else statement


_DATA = [
    *(
        "dynamodb:BatchGetItem",
        "dynamodb:BatchWriteItem",
        "dynamodb:ConditionCheckItem",
        "dynamodb:DeleteItem",
    ),
    *("dynamodb:DescribeTable", "dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:Query", "dynamodb:Scan"),
    *("dynamodb:UpdateItem", "elasticache:Connect", "kafka-cluster:*", "rds-db:connect"),
    *("s3:GetBucketLocation", "s3:GetObject", "s3:ListAllMyBuckets", "s3:PutObject"),
    *("secretsmanager:GetRandomPassword", "sqs:SendMessage"),
]
_SECRETS = [
    *("secretsmanager:DescribeSecret", "secretsmanager:GetSecretValue", "secretsmanager:PutSecretValue"),
    "secretsmanager:UpdateSecretVersionStage",
]
_DATABASES = ["rds:DescribeDBClusters", "rds:ModifyDBCluster"]
_KEYS = ["kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey*", "kms:ReEncrypt*"]
_OBSERVABILITY = [
    *("aps:GetLabels", "aps:GetMetricMetadata", "aps:GetSeries", "aps:QueryMetrics"),
    *("application-autoscaling:Describe*", "autoscaling:Describe*"),
    *("cloudwatch:BatchGet*", "cloudwatch:Describe*"),
    *("cloudwatch:GenerateQuery", "cloudwatch:Get*", "cloudwatch:List*", "cloudwatch:PutMetricData"),
    *("logs:CreateLogGroup", "logs:CreateLogStream", "logs:Describe*", "logs:FilterLogEvents", "logs:Get*"),
    *("logs:List*", "logs:PutLogEvents", "logs:PutRetentionPolicy", "logs:StartLiveTail", "logs:StartQuery"),
    *("logs:StopLiveTail", "logs:StopQuery", "logs:TestMetricFilter", "sns:Get*", "sns:List*"),
    *("synthetics:Describe*", "synthetics:Get*", "synthetics:List*"),
    *("xray:BatchGet*", "xray:Get*", "xray:List*", "xray:PutTelemetryRecords", "xray:PutTraceSegments"),
]
_CLUSTER = [
    *("autoscaling:UpdateAutoScalingGroup", "ec2:AssignIpv6Addresses", "ec2:AssignPrivateIpAddresses"),
    *("ec2:AssociateTrunkInterface", "ec2:AttachNetworkInterface", "ec2:AttachVolume"),
    *("ec2:AuthorizeSecurityGroupIngress", "ec2:CreateFleet", "ec2:CreateLaunchTemplate"),
    *("ec2:CreateNetworkInterface", "ec2:CreateRoute", "ec2:CreateSecurityGroup", "ec2:CreateSnapshot"),
    *("ec2:CreateTags", "ec2:CreateVolume", "ec2:DeleteNetworkInterface", "ec2:DeleteRoute"),
    *("ec2:DeleteSecurityGroup", "ec2:DeleteVolume", "ec2:Describe*", "ec2:DetachNetworkInterface"),
    *("ec2:DetachVolume", "ec2:DisassociateTrunkInterface", "ec2:EnableFastSnapshotRestores"),
    *("ec2:GetSecurityGroupsForVpc", "ec2:ModifyInstanceAttribute", "ec2:ModifyNetworkInterfaceAttribute"),
    *("ec2:ModifyVolume", "ec2:RevokeSecurityGroupIngress", "ec2:RunInstances", "ec2:UnassignIpv6Addresses"),
    *("ec2:UnassignPrivateIpAddresses", "ecr:BatchGetImage", "ecr:BatchImportUpstreamImage"),
    *("ecr:GetAuthorizationToken", "ecr:GetDownloadUrlForLayer", "eks-auth:AssumeRoleForPodIdentity"),
    "elasticloadbalancing:*",
]
_BACKUPS = [
    *("backup:CopyFromBackupVault", "backup:CopyIntoBackupVault", "backup:DescribeBackupVault"),
    *("backup:DescribeRestoreJob", "backup:List*", "backup:StartRestoreJob", "backup:TagResource"),
    *(
        "dynamodb:CreateBackup",
        "dynamodb:DeleteBackup",
        "dynamodb:DescribeBackup",
        "dynamodb:ListTagsOfResource",
    ),
    *("dynamodb:RestoreTableFromAwsBackup", "dynamodb:RestoreTableFromBackup", "dynamodb:StartAwsBackupJob"),
    *("rds:AddTagsToResource", "rds:CopyDBClusterSnapshot", "rds:CreateDBClusterSnapshot"),
    *("rds:DeleteDBClusterAutomatedBackup", "rds:DeleteDBClusterSnapshot", "rds:Describe*"),
    *("rds:ListTagsForResource", "rds:ModifyDBClusterSnapshotAttribute", "rds:RestoreDBClusterFromSnapshot"),
    *("rds:RestoreDBClusterToPointInTime", "tag:GetResources"),
]
