"""The types of resources that have no fixed cost, with the reason for each."""

from __future__ import annotations

from collections.abc import Mapping

BY_TRAFFIC: Mapping[str, str] = {
    "aws:amp/workspace:Workspace": "samples ingested, stored and queried",
    "aws:apigateway/restApi:RestApi": "requests, and data out",
    "aws:backup/vault:Vault": "GiB of backups, and copies to other Regions",
    "aws:cloudfront/distribution:Distribution": "requests, and data out",
    "aws:cloudfront/function:Function": "invocations",
    "aws:cloudwatch/logDelivery:LogDelivery": "GiB of delivered logs",
    "aws:cloudwatch/logGroup:LogGroup": "GiB of logs, ingested, stored and queried",
    "aws:cloudwatch/logMetricFilter:LogMetricFilter": "a custom metric, in the hours in which it has data",
    "aws:cognito/userPool:UserPool": "users and clients that sign in",
    "aws:cognito/userPoolClient:UserPoolClient": "tokens for programs",
    "aws:dynamodb/contributorInsights:ContributorInsights": "reads and writes that it counts",
    "aws:ec2/flowLog:FlowLog": "GiB of logs",
    "aws:lambda/function:Function": "requests, and their duration",
    "aws:msk/topic:Topic": "metrics of each topic and broker (the cluster's enhancedMonitoring)",
    "aws:rds/globalCluster:GlobalCluster": "replicated writes",
    "aws:route53/queryLog:QueryLog": "GiB of logs",
    "aws:route53/record:Record": "queries; none for aliases of AWS resources",
    "aws:s3/bucket:Bucket": "GiB stored, and requests",
    "aws:shield/protection:Protection": "data out; the organization's subscription is not part of a stack",
    "aws:sns/topic:Topic": "notifications",
    "aws:sqs/queue:Queue": "requests",
    "kubernetes:karpenter.sh/v1:NodePool": (
        "EC2 instances with their volumes and the fee of EKS Auto Mode, which follow the pods; no pool has a "
        "least number of nodes"
    ),
}
"""Type → what its cost depends on. Load balancers, NAT gateways, endpoints, tables and databases also cost by
traffic, in addition to the fixed cost that `report.cost` knows."""

_FREE_BY_REASON: Mapping[str, tuple[str, ...]] = {
    "public certificates of ACM cost nothing": (
        "aws:acm/certificate:Certificate",
        "aws:acm/certificateValidation:CertificateValidation",
    ),
    "settings of a resource that is counted itself": (
        "aws:amp/alertManagerDefinition:AlertManagerDefinition",
        "aws:amp/ruleGroupNamespace:RuleGroupNamespace",
        "aws:amp/scraperLoggingConfiguration:ScraperLoggingConfiguration",
        "aws:apigateway/account:Account",
        "aws:apigateway/basePathMapping:BasePathMapping",
        "aws:apigateway/deployment:Deployment",
        "aws:apigateway/domainNameAccessAssociation:DomainNameAccessAssociation",
        "aws:apigateway/methodSettings:MethodSettings",
        "aws:backup/plan:Plan",
        "aws:backup/selection:Selection",
        "aws:backup/vaultLockConfiguration:VaultLockConfiguration",
        "aws:cloudfront/originAccessControl:OriginAccessControl",
        "aws:cloudfront/responseHeadersPolicy:ResponseHeadersPolicy",
        "aws:cloudwatch/logDeliveryDestination:LogDeliveryDestination",
        "aws:cloudwatch/logDeliverySource:LogDeliverySource",
        "aws:cloudwatch/logResourcePolicy:LogResourcePolicy",
        "aws:cloudwatch/queryDefinition:QueryDefinition",
        "aws:cognito/managedLoginBranding:ManagedLoginBranding",
        "aws:cognito/resourceServer:ResourceServer",
        "aws:cognito/userPoolDomain:UserPoolDomain",
        "aws:elasticache/parameterGroup:ParameterGroup",
        "aws:elasticache/subnetGroup:SubnetGroup",
        "aws:elasticache/user:User",
        "aws:elasticache/userGroup:UserGroup",
        "aws:kms/alias:Alias",
        "aws:kms/keyPolicy:KeyPolicy",
        "aws:lambda/alias:Alias",
        "aws:lambda/permission:Permission",
        "aws:lb/listener:Listener",
        "aws:lb/listenerRule:ListenerRule",
        "aws:lb/targetGroup:TargetGroup",
        "aws:lb/targetGroupAttachment:TargetGroupAttachment",
        "aws:msk/configuration:Configuration",
        "aws:rds/clusterParameterGroup:ClusterParameterGroup",
        "aws:rds/eventSubscription:EventSubscription",
        "aws:rds/parameterGroup:ParameterGroup",
        "aws:rds/subnetGroup:SubnetGroup",
        "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration",
        "aws:s3/bucketObjectv2:BucketObjectv2",
        "aws:s3/bucketOwnershipControls:BucketOwnershipControls",
        "aws:s3/bucketPolicy:BucketPolicy",
        "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock",
        "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration",
        "aws:s3/bucketVersioning:BucketVersioning",
        "aws:secretsmanager/secretRotation:SecretRotation",
        "aws:secretsmanager/secretVersion:SecretVersion",
        "aws:sns/topicPolicy:TopicPolicy",
        "aws:sns/topicSubscription:TopicSubscription",
        "aws:wafv2/webAclAssociation:WebAclAssociation",
        "aws:wafv2/webAclLoggingConfiguration:WebAclLoggingConfiguration",
    ),
    "a REST API costs by its requests, whatever its stages, domain names and VPC links": (
        "aws:apigateway/domainName:DomainName",
        "aws:apigateway/stage:Stage",
        "aws:apigatewayv2/vpcLink:VpcLink",
    ),
    "Application Auto Scaling costs nothing; its alarms are AWS's own": (
        "aws:appautoscaling/policy:Policy",
        "aws:appautoscaling/target:Target",
    ),
    "AWS Budgets without actions, Cost Anomaly Detection and chat channels cost nothing": (
        "aws:budgets/budget:Budget",
        "aws:chatbot/slackChannelConfiguration:SlackChannelConfiguration",
        "aws:costexplorer/anomalyMonitor:AnomalyMonitor",
        "aws:costexplorer/anomalySubscription:AnomalySubscription",
    ),
    "a VPC costs by its gateways, endpoints and addresses, which are counted themselves": (
        "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup",
        "aws:ec2/internetGateway:InternetGateway",
        "aws:ec2/routeTable:RouteTable",
        "aws:ec2/routeTableAssociation:RouteTableAssociation",
        "aws:ec2/securityGroup:SecurityGroup",
        "aws:ec2/subnet:Subnet",
        "aws:ec2/vpc:Vpc",
        "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule",
        "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule",
    ),
    "an EKS cluster costs by the hour, whatever its access entries, add-ons and identities": (
        "aws:eks/accessEntry:AccessEntry",
        "aws:eks/accessPolicyAssociation:AccessPolicyAssociation",
        "aws:eks/addon:Addon",
        "aws:eks/podIdentityAssociation:PodIdentityAssociation",
    ),
    "IAM costs nothing": (
        "aws:iam/role:Role",
        "aws:iam/rolePolicy:RolePolicy",
        "aws:iam/rolePolicyAttachment:RolePolicyAttachment",
    ),
    "counted with its target (ProxyTarget), whose instances set its cost": (
        "aws:rds/proxy:Proxy",
        "aws:rds/proxyDefaultTargetGroup:ProxyDefaultTargetGroup",
    ),
    "the key that signs a zone is counted as a KMS key": (
        "aws:route53/hostedZoneDnsSec:HostedZoneDnsSec",
        "aws:route53/keySigningKey:KeySigningKey",
    ),
}

FREE: Mapping[str, str] = {kind: reason for reason, kinds in _FREE_BY_REASON.items() for kind in kinds}
"""Type → why it costs nothing."""
