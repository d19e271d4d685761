"""The service-linked roles that the platform's services use.

A service creates its role with its first resource, which can fail because the new role isn't known everywhere
yet. Nothing creates that of Spot instances for Karpenter. So the roles are created before.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class LinkedRole:
    """The role of a service."""

    types: tuple[str, ...]
    """The types of Pulumi whose resources need it. Empty if no resource of a stack stands for its use."""
    source: str
    """Where AWS describes it."""


_RDS = "aws:rds"

LINKED_ROLES: Mapping[str, LinkedRole] = {
    "dynamodb.application-autoscaling.amazonaws.com": LinkedRole(
        ("aws:appautoscaling/target:Target",),
        "Application Auto Scaling User Guide, Service-linked roles for Application Auto Scaling",
    ),
    "eks.amazonaws.com": LinkedRole(
        ("aws:eks/cluster:Cluster",), "Amazon EKS User Guide, Using roles for Amazon EKS clusters"
    ),
    "elasticache.amazonaws.com": LinkedRole(
        (
            "aws:elasticache/parameterGroup:ParameterGroup",
            "aws:elasticache/replicationGroup:ReplicationGroup",
        ),
        "Amazon ElastiCache User Guide, Using Service-Linked Roles for Amazon ElastiCache",
    ),
    "elasticache.application-autoscaling.amazonaws.com": LinkedRole(
        ("aws:appautoscaling/target:Target",),
        "Application Auto Scaling User Guide, Service-linked roles for Application Auto Scaling",
    ),
    "elasticloadbalancing.amazonaws.com": LinkedRole(
        (),  # AWS's schema of a load balancer doesn't name it
        "Elastic Load Balancing User Guide, Elastic Load Balancing service-linked role",
    ),
    "kafka.amazonaws.com": LinkedRole(
        ("aws:msk/cluster:Cluster",),
        "Amazon MSK Developer Guide, Service-linked roles for Amazon MSK",
    ),
    "kafka.application-autoscaling.amazonaws.com": LinkedRole(
        ("aws:appautoscaling/target:Target",),
        "Application Auto Scaling User Guide, Service-linked roles for Application Auto Scaling",
    ),
    "lambda.application-autoscaling.amazonaws.com": LinkedRole(
        ("aws:appautoscaling/target:Target",),
        "Application Auto Scaling User Guide, Service-linked roles for Application Auto Scaling",
    ),
    "management.chatbot.amazonaws.com": LinkedRole(
        ("aws:chatbot/slackChannelConfiguration:SlackChannelConfiguration",),
        "Amazon Q Developer in chat applications Administrator Guide, Using service-linked roles",
    ),
    "ops.apigateway.amazonaws.com": LinkedRole(
        ("aws:apigatewayv2/vpcLink:VpcLink",),
        "API Gateway Developer Guide, Using service-linked roles for API Gateway",
    ),
    "rds.amazonaws.com": LinkedRole(
        (
            f"{_RDS}/cluster:Cluster",
            f"{_RDS}/clusterInstance:ClusterInstance",
            f"{_RDS}/clusterParameterGroup:ClusterParameterGroup",
            f"{_RDS}/eventSubscription:EventSubscription",
            f"{_RDS}/parameterGroup:ParameterGroup",
            f"{_RDS}/subnetGroup:SubnetGroup",
        ),
        "Amazon Aurora User Guide, Using service-linked roles for Amazon Aurora",
    ),
    "rds.application-autoscaling.amazonaws.com": LinkedRole(
        ("aws:appautoscaling/target:Target",),
        "Application Auto Scaling User Guide, Service-linked roles for Application Auto Scaling",
    ),
    "replication.dynamodb.amazonaws.com": LinkedRole(
        ("aws:dynamodb/table:Table",),
        "Amazon DynamoDB Developer Guide, Using IAM with global tables",
    ),
    "spot.amazonaws.com": LinkedRole(
        (),  # Karpenter in EKS Auto Mode asks for Spot instances, and nothing else creates the role
        "Amazon EC2 User Guide, Service-linked role for Spot Instance requests",
    ),
    "wafv2.amazonaws.com": LinkedRole(
        ("aws:wafv2/webAclLoggingConfiguration:WebAclLoggingConfiguration",),
        "AWS WAF Developer Guide, Using service-linked roles for AWS WAF",
    ),
}
"""Service → its role. The services' names were compared on 2026-11-27 with the policies and programs in
public repositories that name them."""

UNPREPARED: Mapping[str, str] = {
    "aws:amp/scraper:Scraper": "each scraper has a role of its own, which is created with it",
    "aws:cognito/userPool:UserPool": "the role sends e-mails with Amazon SES, which the pools don't use",
    "aws:cognito/userPoolClient:UserPoolClient": "the role is for Amazon Pinpoint, which isn't used",
    "aws:ec2/flowLog:FlowLog": "the role delivers to Amazon Data Firehose, and the logs have their own role",
    "aws:shield/protection:Protection": "the role is for automatic mitigation of requests, which is off",
}
"""Types whose schema lets AWS create a service-linked role, and why it isn't prepared."""
