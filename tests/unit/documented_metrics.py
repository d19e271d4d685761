"""What AWS's documentation says about the CloudWatch metrics that our alarms compare.

If an alarm compares a metric that does not exist, or uses other dimensions than the metric has, the alarm
never triggers, and nothing reports it. Before you add an alarm on a metric that is not listed here, look the
metric up and add it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

MINUTE = 60

DIRECTORY: Mapping[str, Mapping[str, Any]] = json.loads(
    Path(__file__).with_name("cloudwatch_directory.json").read_text()
)["metrics"]
"""Namespace → metric → the statistic that CloudWatch's console suggests, and the sets of dimensions. It is
the part of AWS's own list that our alarms use; the file names its source and its date."""

ALSO_WITH = {
    ("AWS/RDS", metric): ("DBClusterIdentifier", "Role")
    for metric in ("CPUUtilization", "DatabaseConnections", "FreeableMemory")
}
"""Dimensions that the list lacks, which the Aurora User Guide documents ("Dimensions for Aurora metrics")."""

OTHER_STATISTICS = {
    ("AWS/ApiGateway", "5XXError"): "Average",  # the share of requests
    ("AWS/ApiGateway", "Latency"): "p99 PR",
    ("AWS/ApplicationELB", "TargetResponseTime"): "p99",
    ("AWS/DynamoDB", "ProvisionedReadCapacityUnits"): "Maximum",
    ("AWS/DynamoDB", "ProvisionedWriteCapacityUnits"): "Maximum",
    ("AWS/ElastiCache", "CurrConnections"): "Maximum",  # a level: its sum depends on the period
    ("AWS/Lambda", "Duration"): "p99",
    ("AWS/NetworkELB", "HealthyHostCount"): "Maximum",  # one node that sees a target is enough
    ("AWS/RDS", "DatabaseConnections"): "Maximum",
    ("AWS/RDS", "FreeableMemory"): "Minimum",
    ("AWS/SQS", "ApproximateNumberOfMessagesVisible"): "Maximum",
    ("CloudWatchSynthetics", "Duration"): "Average",
}
"""Statistics other than the console's that an alarm uses, because the metric's page documents them and the
alarm asks another question."""

UNLISTED_STATISTICS = {
    "Average": "ACUUtilization CommitLatency CpuSystem CpuUser DatabaseConnectionsBorrowLatency",
    "Maximum": "ActiveControllerCount AuroraGlobalDBReplicationLag AuroraReplicaLag ConnectionCount "
    "DDoSDetected Deadlocks EstimatedMaxTimeLag HeapMemoryAfterGC HealthyHostCount KafkaDataLogsDiskUsed "
    "MaximumUsedTransactionIDs MessagesInPerSec OfflinePartitionsCount ResourceCount SumOffsetLag "
    "UnHealthyHostCount UnderMinIsrPartitionCount UnderReplicatedPartitions VolumeBytesUsed "
    "apiserver_storage_size_bytes cluster_failed_node_count namespace_number_of_running_pods "
    "node_cpu_utilization node_memory_utilization pod_container_status_waiting_reason_crash_loop_back_off "
    "pod_memory_utilization_over_pod_limit service_number_of_running_pods",
    "Minimum": "DaysToExpiry FreeLocalStorage service_number_of_running_pods",
    "Sum": "AlertManagerAlertsReceived AlertManagerNotificationsFailed BlockedRequests "
    "ClientConnectionsSetupFailedAuth DNSSECInternalFailure DNSSECKeySigningKeysNeedingAction "
    "DatabaseConnectionsSetupFailed DesyncMitigationMode_NonCompliant_Request_Count FunctionExecutionErrors "
    "NumberOfBackupJobsCompleted NumberOfBackupJobsExpired NumberOfBackupJobsFailed NumberOfCopyJobsFailed "
    "PacketsDropped RuleEvaluationFailures SignInThrottles pod_number_of_container_restarts",
    "p99": "OriginLatency",
}
"""Statistic → metrics that are not in the list, whose pages (`Namespace.document`) say that they count events
(`Sum`), or are a level or a latency."""


@dataclass(frozen=True, kw_only=True)
class Namespace:
    """The metrics of one namespace."""

    document: str
    """The page's title, and the guide that contains it."""
    metrics: Mapping[tuple[str, ...], str]
    """Set of dimensions → the metrics that are reported with exactly these dimensions."""
    seconds: int = MINUTE
    """Seconds between two values of a metric."""
    seldom: Mapping[str, int] = field(default_factory=dict[str, int])
    """Metric that is reported less often → seconds between two of its values."""


NAMESPACES: Mapping[str, Namespace] = {
    "AWS/ApiGateway": Namespace(
        document="Amazon API Gateway dimensions and metrics (API Gateway Developer Guide)",
        metrics={
            ("ApiName", "Stage"): "4XXError 5XXError Count Latency",
            ("ApiName", "Stage", "Resource", "Method"): "5XXError Count Latency",
        },
    ),
    "AWS/ApplicationELB": Namespace(
        document="CloudWatch metrics for your Application Load Balancer (Elastic Load Balancing)",
        metrics={
            ("LoadBalancer",): "DesyncMitigationMode_NonCompliant_Request_Count HTTPCode_ELB_5XX_Count "
            "HTTPCode_Target_5XX_Count RequestCount TargetResponseTime",
            ("LoadBalancer", "TargetGroup"): "HealthyHostCount UnHealthyHostCount",
        },
    ),
    "AWS/Backup": Namespace(
        document="Monitoring AWS Backup metrics with CloudWatch (AWS Backup Developer Guide)",
        metrics={
            (
                "BackupVaultName",
            ): "NumberOfBackupJobsCompleted NumberOfBackupJobsExpired NumberOfBackupJobsFailed "
            "NumberOfCopyJobsFailed"
        },
        seconds=5 * MINUTE,
    ),
    "AWS/CertificateManager": Namespace(
        document="Supported CloudWatch metrics (AWS Certificate Manager User Guide)",
        metrics={("CertificateArn",): "DaysToExpiry"},
        seconds=12 * 60 * MINUTE,
    ),
    "AWS/CloudFront": Namespace(
        document="Types of metrics for CloudFront (CloudFront Developer Guide)",
        metrics={
            ("DistributionId", "Region"): "5xxErrorRate OriginLatency",
            ("FunctionName", "Region"): "FunctionExecutionErrors",
        },
    ),
    "AWS/Cognito": Namespace(
        document="Metrics for Amazon Cognito user pools (Cognito Developer Guide)",
        metrics={("UserPool", "UserPoolClient"): "SignInThrottles"},
    ),
    "AWS/DDoSProtection": Namespace(
        document="AWS Shield Advanced metrics (AWS WAF Developer Guide): each minute during an event",
        metrics={("ResourceArn",): "DDoSDetected"},
    ),
    "AWS/DynamoDB": Namespace(
        document="DynamoDB metrics and dimensions (DynamoDB Developer Guide)",
        metrics={
            ("TableName",): "ProvisionedReadCapacityUnits ProvisionedWriteCapacityUnits ReadThrottleEvents "
            "WriteThrottleEvents",
            ("TableName", "GlobalSecondaryIndexName"): "ReadThrottleEvents WriteThrottleEvents",
            ("TableName", "Operation"): "SystemErrors",
            ("TableName", "ReceivingRegion"): "ReplicationLatency",
        },
        seldom={
            "ProvisionedReadCapacityUnits": 5 * MINUTE,
            "ProvisionedWriteCapacityUnits": 5 * MINUTE,
            "ReplicationLatency": 5 * MINUTE,
        },
    ),
    "AWS/EKS": Namespace(
        document="Basic metrics in Amazon CloudWatch (EKS User Guide)",
        metrics={
            ("ClusterName",): "apiserver_request_total_5XX apiserver_storage_size_bytes "
            "scheduler_pending_pods_UNSCHEDULABLE"
        },
    ),
    "AWS/ElastiCache": Namespace(
        document="Host-level metrics; Metrics for Valkey and Redis OSS (ElastiCache User Guide)",
        metrics={
            ("CacheClusterId",): "CPUUtilization CurrConnections DatabaseMemoryUsagePercentage "
            "EngineCPUUtilization Evictions ReplicationLag"
        },
    ),
    "AWS/Kafka": Namespace(
        document="Metrics for monitoring Standard brokers with CloudWatch (MSK Developer Guide)",
        metrics={
            ("Cluster Name",): "OfflinePartitionsCount",
            ("Cluster Name", "Broker ID"): "ConnectionCount CpuSystem CpuUser HeapMemoryAfterGC "
            "KafkaDataLogsDiskUsed UnderMinIsrPartitionCount UnderReplicatedPartitions",
            ("Cluster Name", "Broker ID", "Topic"): "MessagesInPerSec",
            # The guide omits the dimension of the cluster, but the console lists the metrics with it.
            ("Cluster Name", "Consumer Group", "Topic"): "EstimatedMaxTimeLag SumOffsetLag",
        },
    ),
    "AWS/Lambda": Namespace(
        document="Types of metrics for Lambda functions (Lambda Developer Guide)",
        metrics={
            ("FunctionName",): "ConcurrentExecutions DeadLetterErrors Duration Errors Throttles",
            ("FunctionName", "Resource"): "ProvisionedConcurrencySpilloverInvocations",
            ("FunctionName", "Resource", "ExecutedVersion"): "Errors",
        },
    ),
    "AWS/NATGateway": Namespace(
        document="Monitor NAT gateways with Amazon CloudWatch (VPC User Guide)",
        metrics={
            (
                "NatGatewayId",
            ): "ErrorPortAllocation PacketsDropCount PacketsInFromDestination PacketsInFromSource"
        },
    ),
    "AWS/NetworkELB": Namespace(
        document="CloudWatch metrics for your Network Load Balancer (Elastic Load Balancing)",
        metrics={
            (
                "LoadBalancer",
            ): "ClientTLSNegotiationErrorCount PortAllocationErrorCount TCP_Target_Reset_Count "
            "TargetTLSNegotiationErrorCount",
            ("LoadBalancer", "TargetGroup"): "HealthyHostCount UnHealthyHostCount",
        },
    ),
    "AWS/PrivateLinkEndpoints": Namespace(
        document="CloudWatch metrics for AWS PrivateLink (AWS PrivateLink)",
        metrics={("Endpoint Type", "Service Name", "VPC Endpoint Id", "VPC Id"): "PacketsDropped"},
    ),
    "AWS/Prometheus": Namespace(
        document="Use CloudWatch metrics to monitor Amazon Managed Service for Prometheus resources (AMP "
        "User Guide)",
        metrics={
            ("Workspace",): "AlertManagerAlertsReceived AlertManagerNotificationsFailed",
            ("Workspace", "RuleGroup"): "RuleEvaluationFailures",
        },
    ),
    "AWS/RDS": Namespace(
        document="Amazon CloudWatch metrics for Amazon Aurora; Monitoring RDS Proxy metrics with Amazon "
        "CloudWatch (Aurora User Guide)",
        metrics={
            ("DBClusterIdentifier",): "AuroraGlobalDBReplicationLag Deadlocks FreeLocalStorage "
            "MaximumUsedTransactionIDs VolumeBytesUsed",
            ("DBClusterIdentifier", "Role"): "ACUUtilization AuroraReplicaLag CPUUtilization CommitLatency "
            "DatabaseConnections FreeableMemory",
            # Another page of the guide names this dimension instead of the cluster.
            ("SourceRegion",): "AuroraGlobalDBReplicationLag",
            ("ProxyName",): "ClientConnectionsSetupFailedAuth DatabaseConnectionsBorrowLatency "
            "DatabaseConnectionsSetupFailed",
        },
        seldom={"VolumeBytesUsed": 5 * MINUTE},
    ),
    "AWS/Route53": Namespace(
        document="Monitoring resources with Amazon Route 53 health checks; Monitoring hosted zones (Route 53 "
        "Developer Guide)",
        metrics={
            ("HealthCheckId",): "HealthCheckStatus",
            ("HostedZoneId",): "DNSSECInternalFailure DNSSECKeySigningKeysNeedingAction",
        },
        seldom={
            "DNSSECInternalFailure": 4 * 60 * MINUTE,
            "DNSSECKeySigningKeysNeedingAction": 4 * 60 * MINUTE,
        },
    ),
    "AWS/SNS": Namespace(
        document="Monitoring Amazon SNS topics using CloudWatch (SNS Developer Guide)",
        metrics={("TopicName",): "NumberOfNotificationsFailed"},
        seconds=5 * MINUTE,
    ),
    "AWS/SQS": Namespace(
        document="Available CloudWatch metrics for Amazon SQS (SQS Developer Guide)",
        metrics={("QueueName",): "ApproximateNumberOfMessagesVisible"},
    ),
    "AWS/Usage": Namespace(
        document="Use CloudWatch metrics to monitor Amazon Managed Service for Prometheus resources (AMP "
        "User Guide)",
        metrics={("Service", "Type", "Class", "Resource", "ResourceId"): "ResourceCount"},
    ),
    "AWS/WAFV2": Namespace(
        document="AWS WAF metrics and dimensions (AWS WAF Developer Guide): a Region but for CloudFront",
        metrics={("Rule", "WebACL"): "BlockedRequests", ("Region", "Rule", "WebACL"): "BlockedRequests"},
    ),
    "CloudWatchSynthetics": Namespace(
        document="CloudWatch metrics published by canaries (CloudWatch User Guide)",
        metrics={("CanaryName",): "Duration SuccessPercent"},
    ),
    "ContainerInsights": Namespace(
        document="Enhanced Container Insights (Classic) metric reference (CloudWatch User Guide)",
        # The CloudWatch agent also reports them with only the cluster's name (`awsemf/kubernetes.go`).
        metrics={
            ("ClusterName",): "cluster_failed_node_count node_cpu_utilization node_memory_utilization",
            ("ClusterName", "Namespace"): "namespace_number_of_running_pods",
            (
                "ClusterName",
                "Namespace",
                "PodName",
            ): "pod_container_status_waiting_reason_crash_loop_back_off "
            "pod_memory_utilization_over_pod_limit pod_number_of_container_restarts",
            ("ClusterName", "Namespace", "Service"): "service_number_of_running_pods",
        },
    ),
}
OURS = {"Trading/Api", "Trading/Deployments", "Trading/Logs"}
"""Namespaces of our own metrics."""
