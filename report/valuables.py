"""What holds data or serves traffic: resource types, and what it means if one is replaced or deleted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Valuable:
    """A kind of resource."""

    noun: str
    """As in the label `allow: replace database`."""
    types: tuple[str, ...]
    replaced: str
    """What a replacement means for data, traffic and addresses. Empty if it is harmless."""
    deleted: str
    restarts: tuple[str, ...] = ()
    """Paths whose change interrupts it, although it stays."""
    restarted: str = ""
    """What that means. Sources were read on 2026-11-27."""


VALUABLES: tuple[Valuable, ...] = (
    Valuable(
        noun="database",
        types=("aws:rds/cluster:Cluster", "aws:rds/globalCluster:GlobalCluster", "aws:rds/instance:Instance"),
        replaced="The new database is empty and has another address; the old one is deleted with its data.",
        deleted="Its data is deleted; only a final snapshot and backups remain.",
        restarts=("engineVersion",),
        # Pulumi Registry, `aws.rds.Instance`: an immediate change can cause a brief downtime.
        restarted="All instances restart with the new version, and connections end.",
    ),
    Valuable(
        noun="database instance",
        types=("aws:rds/clusterInstance:ClusterInstance",),
        replaced="Connections to the instance end. The cluster's data stays; if it is the writer, a reader "
        "takes over.",
        deleted="Connections to the instance end, and the cluster has one instance less.",
        restarts=("instanceClass",),
        restarted="Connections to the instance end. If it is the writer, a reader takes over.",
    ),
    Valuable(
        noun="database proxy",
        types=(
            "aws:rds/proxy:Proxy",
            "aws:rds/proxyEndpoint:ProxyEndpoint",
            "aws:rds/proxyDefaultTargetGroup:ProxyDefaultTargetGroup",
            "aws:rds/proxyTarget:ProxyTarget",
        ),
        replaced="Connections through the proxy end, and its address can change.",
        deleted="Connections through the proxy end.",
    ),
    Valuable(
        noun="table",
        types=("aws:dynamodb/table:Table", "aws:dynamodb/tableReplica:TableReplica"),
        replaced="The new table is empty; the old one is deleted with its items.",
        deleted="Its items are deleted; only backups remain.",
    ),
    Valuable(
        noun="cache",
        types=(
            "aws:elasticache/replicationGroup:ReplicationGroup",
            "aws:elasticache/serverlessCache:ServerlessCache",
            "aws:elasticache/globalReplicationGroup:GlobalReplicationGroup",
        ),
        replaced="The new cache is empty and has another address.",
        deleted="Its entries are deleted, and the services lose their cache.",
        restarts=("nodeType", "engineVersion"),
        # ElastiCache User Guide, "Upgrade considerations" and "Online vertical scaling".
        restarted="Writes fail for some seconds while new nodes take over, and connections end.",
    ),
    Valuable(
        noun="brokers",
        types=("aws:msk/cluster:Cluster", "aws:msk/serverlessCluster:ServerlessCluster"),
        replaced="The new cluster is empty and has other addresses; the old one is deleted.",
        deleted="All topics are deleted with their events.",
        restarts=("kafkaVersion", "brokerNodeGroupInfo.instanceType"),
        # MSK Developer Guide, "Update the Amazon MSK cluster broker size".
        restarted="The brokers restart one at a time. Partitions with one replica are unavailable meanwhile.",
    ),
    Valuable(
        noun="topic",
        types=("aws:msk/topic:Topic",),
        replaced="The new topic is empty; consumers start from its beginning.",
        deleted="Its events are deleted.",
    ),
    Valuable(
        noun="queue",
        types=("aws:sqs/queue:Queue", "aws:sns/topic:Topic"),
        replaced="Messages that wait are lost, and the address and the subscriptions change.",
        deleted="Messages that wait are lost.",
    ),
    Valuable(
        noun="bucket",
        types=("aws:s3/bucket:Bucket", "aws:s3/bucketV2:BucketV2"),
        replaced="The new bucket is empty and can have another name; the old one is deleted.",
        deleted="Its objects are deleted, or the deployment fails if it has any.",
    ),
    Valuable(
        noun="key",
        types=("aws:kms/key:Key", "aws:kms/replicaKey:ReplicaKey"),
        replaced="What the old key has encrypted can't be read after its waiting period, unless it is "
        "encrypted again.",
        deleted="What it has encrypted can't be read after the key's waiting period.",
    ),
    Valuable(
        noun="secret",
        types=(
            "aws:secretsmanager/secret:Secret",
            "aws:ssm/parameter:Parameter",
            "random:index/randomPassword:RandomPassword",
        ),
        replaced="The value changes, and programs that have read the old one fail until they read it again.",
        deleted="Programs that read it fail.",
    ),
    Valuable(
        noun="backups",
        types=(
            "aws:backup/vault:Vault",
            "aws:backup/plan:Plan",
            "aws:backup/selection:Selection",
        ),
        replaced="Until the new one exists, no backups are made; recovery points of a vault stay only in it.",
        deleted="No more backups are made; recovery points of a vault are deleted with it.",
    ),
    Valuable(
        noun="logs",
        types=("aws:cloudwatch/logGroup:LogGroup",),
        replaced="The events logged so far are deleted.",
        deleted="The events logged so far are deleted.",
    ),
    Valuable(
        noun="metrics",
        types=("aws:amp/workspace:Workspace",),
        replaced="The metrics recorded so far are deleted, and the workspace has another address.",
        deleted="The metrics recorded so far are deleted.",
    ),
    Valuable(
        noun="users",
        types=(
            "aws:cognito/userPool:UserPool",
            "aws:cognito/userPoolClient:UserPoolClient",
            "aws:cognito/userPoolDomain:UserPoolDomain",
        ),
        replaced="A new pool has no users. A new client or domain ends everyone's session, and apps need the "
        "new ID.",
        deleted="Users can't sign in any more; those of a pool are deleted with it.",
    ),
    Valuable(
        noun="cluster",
        types=("aws:eks/cluster:Cluster", "kubernetes:core/v1:Namespace", "eks:index:Cluster"),
        replaced="Everything that runs in it stops, and must be created again.",
        deleted="Everything that runs in it stops.",
    ),
    Valuable(
        noun="volume",
        types=(
            "kubernetes:core/v1:PersistentVolumeClaim",
            "kubernetes:core/v1:PersistentVolume",
            "aws:ebs/volume:Volume",
            "aws:efs/fileSystem:FileSystem",
        ),
        replaced="The new volume is empty.",
        deleted="Its files are deleted.",
    ),
    Valuable(
        noun="custom resource",
        types=("kubernetes:apiextensions.k8s.io/v1:CustomResourceDefinition",),
        replaced="All objects of the kind are deleted.",
        deleted="All objects of the kind are deleted.",
    ),
    Valuable(
        noun="images",
        types=("aws:ecr/repository:Repository",),
        replaced="The new repository is empty, so that no pod can start from it.",
        deleted="Its images are deleted, so that no pod can start from them.",
    ),
    Valuable(
        noun="workload",
        types=(
            "kubernetes:apps/v1:Deployment",
            "kubernetes:apps/v1:StatefulSet",
            "kubernetes:apps/v1:DaemonSet",
            "kubernetes:core/v1:Service",
            "kubernetes:helm.sh/v3:Release",
            "kubernetes:eks.amazonaws.com/v1:TargetGroupBinding",
        ),
        replaced="If the name stays, the old one is deleted first, and requests fail until the new one is "
        "ready.",
        deleted="Its pods stop, or get no more requests.",
    ),
    Valuable(
        noun="function",
        types=("aws:lambda/function:Function", "aws:lambda/alias:Alias"),
        replaced="Requests fail until the new one exists and its callers know it.",
        deleted="Requests to it fail.",
    ),
    Valuable(
        noun="API",
        types=(
            "aws:apigateway/restApi:RestApi",
            "aws:apigateway/stage:Stage",
            "aws:apigateway/domainName:DomainName",
            "aws:apigateway/basePathMapping:BasePathMapping",
            "aws:apigateway/domainNameAccessAssociation:DomainNameAccessAssociation",
            "aws:apigatewayv2/vpcLink:VpcLink",
        ),
        replaced="Requests fail until the new one exists and is connected; its ID and address change.",
        deleted="Requests to it fail.",
    ),
    Valuable(
        noun="load balancer",
        types=(
            "aws:lb/loadBalancer:LoadBalancer",
            "aws:lb/targetGroup:TargetGroup",
            "aws:lb/listener:Listener",
            "aws:lb/listenerRule:ListenerRule",
            "aws:lb/targetGroupAttachment:TargetGroupAttachment",
        ),
        replaced="A new load balancer has other addresses; a new listener, rule or target group sends no "
        "requests on until its targets are healthy.",
        deleted="Requests to it fail.",
    ),
    Valuable(
        noun="distribution",
        types=("aws:cloudfront/distribution:Distribution",),
        replaced="Two distributions can't have the same alias, so the site is down or the deployment fails; "
        "the address changes.",
        deleted="The site is down.",
    ),
    Valuable(
        noun="firewall",
        types=("aws:wafv2/webAcl:WebAcl", "aws:wafv2/webAclAssociation:WebAclAssociation"),
        replaced="Requests aren't filtered until the new one is associated.",
        deleted="Requests aren't filtered any more.",
    ),
    Valuable(
        noun="DNS",
        types=(
            "aws:route53/record:Record",
            "aws:route53/zone:Zone",
            "aws:route53/keySigningKey:KeySigningKey",
            "aws:route53/hostedZoneDnsSec:HostedZoneDnsSec",
        ),
        replaced="The name can't be resolved until the new one exists. A new zone has other name servers, "
        "and a new signing key needs a new DS record.",
        deleted="The name can't be resolved any more.",
    ),
    Valuable(
        noun="certificate",
        types=("aws:acm/certificate:Certificate",),
        replaced="The new certificate must be validated and in use before the old one can be deleted.",
        deleted="It can't be deleted while something uses it, and TLS fails when nothing replaces it.",
    ),
    Valuable(
        noun="network",
        types=(
            "aws:ec2/vpc:Vpc",
            "aws:ec2/subnet:Subnet",
            "aws:ec2/internetGateway:InternetGateway",
            "aws:ec2/natGateway:NatGateway",
            "aws:ec2/eip:Eip",
            "aws:ec2/routeTable:RouteTable",
            "aws:ec2/routeTableAssociation:RouteTableAssociation",
            "aws:ec2/vpcEndpoint:VpcEndpoint",
            "aws:ec2/securityGroup:SecurityGroup",
            "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule",
            "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule",
        ),
        replaced="Connections through it end, and addresses change.",
        deleted="Connections through it end.",
    ),
)

OF_TYPE: Mapping[str, Valuable] = {token: valuable for valuable in VALUABLES for token in valuable.types}
"""Type token → what it is."""
