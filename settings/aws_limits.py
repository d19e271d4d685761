"""What AWS limits or demands: quotas, ranges, forms of names, reserved names, ports and addresses.

Settings, components, policies and the sandbox import these constants. What the platform chooses within AWS's
limits, such as a default or an alarm's threshold, is where it is used. Instance classes, node types, engine
versions and zones are in `aws_values.json`.

Each docstring names the action of an AWS API or the title of an AWS document that states the limit.
`tests/unit/test_aws_limits.py` compares most constants with botocore's service models and cfn-lint's schemas.
A quota that AWS raises on request is called a default quota.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Literal

# -- all services --------------------------------------------------------------------------------

SERVICE_NAME = "com.amazonaws.{region}.{service}"
"""Name of a service's VPC endpoint, and of its managed prefix list if it has one (AWS PrivateLink Guide, "AWS
services that integrate with AWS PrivateLink"; VPC User Guide, "AWS-managed prefix lists")."""

TAG_KEY_LENGTH = 128
"""Characters (Resource Groups Tagging API, `TagResources`)."""
TAG_VALUE_LENGTH = 256
"""Characters (Resource Groups Tagging API, `TagResources`)."""
TAG_SIGNS = "_.:/=+-@"
"""Characters that tags can contain in addition to letters, digits and spaces of any script (IAM,
`TagRole`)."""
RESERVED_TAG_PREFIX = "aws:"
"""Beginning of keys and values, in any case, that only AWS uses (AWS Tagging Best Practices, "Tag naming
limits and requirements")."""
RESOURCE_TAGS = 50
"""Tags of a resource of most types (AWS Tagging Best Practices, "Tag naming limits and requirements"). The
provider's default tags count, here and below."""
OBJECT_TAGS = 10
"""Tags of an S3 object (S3, `PutObjectTagging`)."""
ROUTE53_TAGS = 10
"""Tags of a health check or hosted zone (Route 53, `ChangeTagsForResource`)."""

ROLE_ARN = r"^arn:aws:iam::[0-9]{12}:role/.+"
"""Form of an IAM role's ARN (IAM User Guide, "IAM identifiers")."""
POLICY_ARN = r"^arn:aws:iam::[0-9]{12}:policy/.+"
"""Form of the ARN of a managed policy of an account (IAM User Guide, "IAM identifiers")."""

# -- policy documents ----------------------------------------------------------------------------

TRUST_POLICY_LENGTH = 2048
"""Default quota of the characters of a role's trust policy. Like for all policies of IAM, white space doesn't
count (IAM User Guide, "IAM and AWS STS quotas", November 2026)."""
ROLE_POLICIES_LENGTH = 10_240
"""Characters of all inline policies of a role, which no request can raise (same document)."""
MANAGED_POLICY_LENGTH = 6144
"""Characters of a managed policy, which no request can raise (same document)."""
MANAGED_POLICIES = 10
"""Default quota of the managed policies that are attached to a role (same document)."""
CONTROL_POLICY_LENGTH = 10_240
"""Characters of a service control policy, including white space (AWS Organizations User Guide, "Quotas and
service limits for AWS Organizations"; 5,120 until AWS doubled it on 2026-05-15)."""
CONTROL_POLICIES = 10
"""Service control policies that are attached to a root, an organizational unit or an account, with
`FullAWSAccess` (same document; 5 until 2026-05-15)."""
KEY_POLICY_BYTES = 32_768
"""Bytes of a key's policy (AWS KMS Developer Guide, "Resource quotas")."""
BUCKET_POLICY_BYTES = 20_480
"""Bytes of a bucket's policy (S3 User Guide, "Bucket policies and user policies")."""
TOPIC_POLICY_BYTES = 30_720
"""Bytes of a topic's policy (SNS Developer Guide, "Amazon SNS API permissions: Actions and resources
reference")."""
QUEUE_POLICY_BYTES = 8192
"""Bytes of a queue's policy (SQS Developer Guide, "Amazon SQS policy quotas")."""
ENDPOINT_POLICY_LENGTH = 20_480
"""Characters of a VPC endpoint's policy, including white space (VPC User Guide, "Amazon VPC quotas")."""
API_POLICY_BYTES = 8192
"""Bytes of a resource policy of API Gateway (API Gateway Developer Guide, "Quotas for configuring and running
a REST API")."""
SECRET_POLICY_LENGTH = 20_480
"""Characters of a secret's policy (Secrets Manager, `PutResourcePolicy`)."""
REPOSITORY_POLICY_LENGTH = 10_240
"""Characters of a repository's policy (ECR, `SetRepositoryPolicy`)."""
LOG_POLICY_LENGTH = 5120
"""Characters of a resource policy of CloudWatch Logs (Step Functions Developer Guide, "Avoiding Amazon
CloudWatch Logs resource policy size restrictions"). `PutResourcePolicy` accepts ten times as many since 2025,
but the services that extend a policy still expect this limit."""
LOG_POLICIES = 10
"""Resource policies of CloudWatch Logs of an account in a region (CloudWatch Logs, `PutResourcePolicy`)."""

# -- VPC -----------------------------------------------------------------------------------------

LARGEST_BLOCK = 16
"""Shortest prefix of the IPv4 block of a VPC or subnet (EC2, `CreateSubnet`)."""
SMALLEST_BLOCK = 28
"""Longest prefix of the IPv4 block of a VPC or subnet (EC2, `CreateSubnet`)."""
RESERVED_FIRST_ADDRESSES = 4
"""Addresses at the beginning of a subnet that AWS reserves (EC2, `CreateSubnet`)."""
RESERVED_LAST_ADDRESSES = 1
"""Addresses at the end of a subnet that AWS reserves (EC2, `CreateSubnet`)."""

VPC_ID = r"^vpc-([0-9a-f]{8}|[0-9a-f]{17})$"
"""Form of a VPC's id, which has 8 or 17 digits (EC2 User Guide, "Resource IDs")."""
SUBNET_ID = r"^subnet-([0-9a-f]{8}|[0-9a-f]{17})$"
"""Form of a subnet's id, which has 8 or 17 digits (EC2 User Guide, "Resource IDs")."""
ROUTE_TABLE_ID = r"^rtb-([0-9a-f]{8}|[0-9a-f]{17})$"
"""Form of a route table's id, which has 8 or 17 digits (EC2 User Guide, "Resource IDs")."""

CLOUDFRONT_PREFIX_LIST = "com.amazonaws.global.cloudfront.origin-facing"
"""Managed prefix list of the servers from which CloudFront calls origins, the same in every region
(CloudFront Developer Guide, "Use the CloudFront managed prefix list")."""
CLOUDFRONT_PREFIX_LIST_WEIGHT = 55
"""Rules for which the list counts in a security group (same document), more than any other list of AWS (VPC
User Guide, "AWS-managed prefix lists")."""
SECURITY_GROUP_RULES = 60
"""Default quota of a security group's rules in one direction. It applies to IPv4 and IPv6 separately, and a
prefix list counts with its weight (VPC User Guide, "Amazon VPC quotas", November 2026)."""
INTERFACE_SECURITY_GROUPS = 5
"""Default quota of the security groups of a network interface (same document)."""
NETWORK_ACL_RULES = 20
"""Default quota of a network ACL's rules in one direction, including AWS's last one (same document)."""
VPCS = 5
"""Default quota of the VPCs of an account in a region (same document)."""
INTERFACE_ENDPOINTS = 50
"""Default quota of a VPC's interface endpoints (same document)."""
HEALTH_CHECKERS_SERVICE = "route53-healthchecks"
"""Service in the name of the managed prefix list of Route 53's health checkers (VPC User Guide, "AWS-managed
prefix lists")."""

ECR_LAYERS_BUCKET = "prod-{region}-starport-layer-bucket"
"""S3 bucket in which Amazon ECR stores the layers of a region's private repositories (ECR User Guide, "Amazon
ECR interface VPC endpoints")."""

UNSUPPORTED_ZONES: Mapping[str, frozenset[str]] = {
    "VPC links of API Gateway": frozenset({"apne1-az3", "cac1-az3", "cac1-az4", "euw3-az2", "use1-az3"}),
    "EKS's control plane": frozenset({"cac1-az3", "use1-az3"}),
    "RDS Proxy": frozenset({"use1-az3"}),
}
"""What the platform needs in each zone → ids of the zones of the platform's regions that don't have it (API
Gateway Developer Guide, "Set up VPC links V2 in API Gateway", whose table names the supported zones; EKS User
Guide, "Amazon EKS networking requirements for VPC and subnets"; RDS User Guide, "Quotas and limitations for
RDS Proxy"; read 2026-11-27)."""
LEAST_ZONES = 2
"""Minimum number of zones for an ALB, a cluster, brokers and a DB subnet group (the user guides of ELB, EKS,
MSK and RDS)."""

# -- Elastic Load Balancing ----------------------------------------------------------------------

BALANCER_NAME_LENGTH = 32
"""Characters of a load balancer's or target group's name (`CreateLoadBalancer`, `CreateTargetGroup`)."""
BALANCER_NAME = r"[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?"
"""Form of a load balancer's or target group's name (`CreateLoadBalancer`, `CreateTargetGroup`)."""
RESERVED_BALANCER_PREFIX = "internal-"
"""Beginning of names that a load balancer can't have (`CreateLoadBalancer`)."""
CLIENT_KEEP_ALIVE_MIN = 60
"""Lowest number of seconds after which an ALB closes a client's connection, although it is in use (attribute
`client_keep_alive.seconds` in `LoadBalancerAttribute`, Elastic Load Balancing API Reference, November
2026)."""
BALANCER_LISTENERS = 50
"""Default quota of a load balancer's listeners ("Quotas for your Application Load Balancers" and "Quotas for
your Network Load Balancers", November 2026)."""
BALANCER_TARGETS = 500
"""Default quota of the targets of a network load balancer in a zone. With cross-zone load balancing, every
target counts in each zone ("Quotas for your Network Load Balancers")."""
GROUP_TARGETS = 1000
"""Default quota of a target group's targets ("Quotas for your Application Load Balancers")."""
LISTENER_RULES = 100
"""Default quota of an application load balancer's rules, without default rules (same document)."""
BALANCER_CERTIFICATES = 25
"""Default quota of a load balancer's certificates, without default certificates (same document)."""
RULE_VALUES = 5
"""Condition values in one listener rule, and also wildcards. Neither quota can be raised ("Quotas for your
Application Load Balancers")."""
RULE_HOST_LENGTH = 128
"""Characters of a host name that a rule matches (`HostHeaderConditionConfig`)."""
RULE_PATH_LENGTH = 128
"""Characters of a path pattern (`PathPatternConditionConfig`)."""
REDIRECT_HOST_LENGTH = 128
"""Characters of a redirection's host (`RedirectActionConfig`)."""
REDIRECT_PATH_LENGTH = 128
"""Characters of a redirection's path (`RedirectActionConfig`)."""
FIXED_RESPONSE_CLASSES = (2, 4, 5)
"""First digits of a fixed response's status (`FixedResponseActionConfig`)."""
HEALTH_CHECK_PATH_LENGTH = 1024
"""Characters of the path of a target group's health checks (`CreateTargetGroup`)."""

# -- ACM -----------------------------------------------------------------------------------------

CERTIFICATE_NAMES = 10
"""Default quota of names on one certificate (`RequestCertificate`)."""
COMMON_NAME_LENGTH = 64
"""Characters of a certificate's first name (`RequestCertificate`)."""
STRONG_KEYS = ("RSA_2048", "RSA_3072", "RSA_4096", "EC_prime256v1", "EC_secp384r1", "EC_secp521r1")
"""Key algorithms without those that are too short (`RequestCertificate`)."""

# -- CloudFront, Route 53 and WAF ----------------------------------------------------------------

EDGE_REGION = "us-east-1"
"""The region of CloudFront's certificates and web ACLs, of Route 53's metrics and query logs, and of the keys
that sign zones (WAF, `CreateWebACL`; the developer guides of CloudFront and Route 53)."""
CACHE_BEHAVIORS = 75
"""Default quota of a distribution's cache behaviors, including the default one (CloudFront Developer Guide,
"Quotas")."""
DISTRIBUTION_NAMES = 100
"""Default quota of a distribution's alternate domain names (same document)."""
DISTRIBUTION_ORIGINS = 100
"""Default quota of a distribution's origins (same document)."""
VIEWER_TLS = ("TLSv1.2_2021", "TLSv1.2_2025", "TLSv1.3_2025")
"""Security policies without old ciphers (CloudFront Developer Guide, "Supported protocols and ciphers between
viewers and CloudFront")."""
UNLOCATED_COUNTRIES = frozenset({"BV", "CX", "EH", "HM"})
"""ISO 3166-1 alpha-2 codes of the countries for which Route 53 has no geolocation (Route 53 Developer Guide,
"Geolocation routing")."""
RATE_LIMIT_MIN = 10
"""Lowest limit of a rate-based rule, in requests (WAF, `RateBasedStatement`)."""
RATE_LIMIT_MAX = 2_000_000_000
"""Highest limit of a rate-based rule, in requests (WAF, `RateBasedStatement`)."""
WAF_LOGS_PREFIX = "aws-waf-logs-"
"""Beginning of the name of a log group for WAF's logs (WAF, `PutLoggingConfiguration`)."""
WEB_ACL_UNITS = 5000
"""Capacity units of a web ACL (AWS WAF Developer Guide, "AWS WAF quotas")."""
WEB_ACL_UNITS_INCLUDED = 1500
"""Capacity units that the base price of a web ACL includes (AWS WAF Developer Guide, "Web ACL capacity units
(WCUs) in AWS WAF")."""
TRANSFORMATION_UNITS = 10
"""Capacity units of a text transformation other than NONE (AWS WAF Developer Guide, "Using match rule
statements in AWS WAF")."""
STATEMENT_UNITS = {
    "asnMatchStatement": 1,
    "byteMatchStatement": 10,
    "geoMatchStatement": 1,
    "ipSetReferenceStatement": 1,
    "labelMatchStatement": 1,
    "rateBasedStatement": 2,
    "regexMatchStatement": 3,
    "regexPatternSetReferenceStatement": 25,
    "sizeConstraintStatement": 1,
    "sqliMatchStatement": 30,
    "xssMatchStatement": 40,
}
"""Statement → capacity units without its transformations (same document). Where they
depend on more than that (string matches: 1 to 10, SQL injection: 20 or 30), it is the highest number."""
AGGREGATION_KEY_UNITS = 30
"""Capacity units of a custom key of a rate-based rule (AWS WAF Developer Guide, "Using rate-based rule
statements in AWS WAF")."""
RULE_GROUP_UNITS = {
    "AWSManagedRulesAmazonIpReputationList": 25,
    "AWSManagedRulesAnonymousIpList": 50,
    "AWSManagedRulesCommonRuleSet": 700,
    "AWSManagedRulesKnownBadInputsRuleSet": 200,
    "AWSManagedRulesSQLiRuleSet": 200,
}
"""Rule group of AWS → capacity units (AWS WAF Developer Guide, "AWS Managed Rules rule groups list")."""
CALCULATED_CHECKS = 256
"""Health checks that a calculated health check monitors (Route 53, `CreateHealthCheck`)."""

# -- API Gateway, Lambda and SQS -----------------------------------------------------------------

INTEGRATION_TIMEOUT_SECONDS = 29
"""Default quota of the time that API Gateway waits for an integration (`PutIntegration`)."""
API_THROTTLE_RATE = 10_000
"""Default quota of an account's requests per second in a region (API Gateway Developer Guide, "Quotas for
configuring and running a REST API")."""
API_THROTTLE_BURST = 5_000
"""Default quota of an account's burst of requests in a region (same document)."""
AUTHORIZATION_CACHE_SECONDS = 3600
"""Longest time for which API Gateway caches an authorization (`CreateAuthorizer`)."""
API_RESOURCES = 300
"""Default quota of an API's resources: its root, and each part of each path (API Gateway Developer Guide,
"Quotas for configuring and running a REST API")."""
ALIAS_VERSIONS = 2
"""Versions of a function between which an alias divides invocations (Lambda, `CreateAlias`)."""
LAMBDA_RUNTIMES = (
    *("python3.11", "python3.12", "python3.13", "python3.14", "nodejs22.x", "nodejs24.x", "dotnet10"),
    *("java8.al2", "java11", "java17", "java21", "java25", "ruby3.3", "ruby3.4", "ruby4.0"),
    *("provided.al2023",),
)
"""Runtimes that AWS supports, in November 2026 (Lambda Developer Guide, "Lambda runtimes")."""
QUEUE_RETENTION_SECONDS = 1_209_600
"""Longest time for which SQS keeps a message (`CreateQueue`)."""
FUNCTION_ENVIRONMENT_BYTES = 4096
"""Bytes of a function's environment variables (Lambda Developer Guide, "Lambda quotas"). Lambda measures them
as a JSON object."""

# -- Cognito -------------------------------------------------------------------------------------

CLIENT_SECRET = r"[\w+]{24,64}"  # noqa: S105 - a form, not a secret
"""Form of a client's secret that isn't generated (`AddUserPoolClientSecret`, November 2026)."""
LOGIN_DOMAIN_LENGTH = 63
"""Characters in the prefix of a user pool's domain (`CreateUserPoolDomain`)."""
LOGIN_DOMAIN_RESERVED = ("aws", "amazon", "cognito")
"""Words that the prefix of a user pool's domain can't contain (Cognito Developer Guide, "Using the Amazon
Cognito domain")."""
CLIENT_SCOPES = 50
"""Scopes that a user pool's client can ask for (`CreateUserPoolClient`)."""
SERVER_SCOPES = 100
"""Scopes of a user pool's resource server (`CreateResourceServer`)."""

# -- EKS -----------------------------------------------------------------------------------------

CLUSTER_NAME = r"[0-9A-Za-z][0-9A-Za-z_-]{0,99}"
"""Form of a cluster's name (`CreateCluster`)."""
PUBLIC_ACCESS_BLOCKS = 40
"""Networks that can reach a cluster's public endpoint, which no request can raise (EKS User Guide, "View and
manage Amazon EKS and Fargate service quotas")."""
CLUSTER_VERSION = r"^1\.[0-9]{2}$"
"""Form of a cluster's Kubernetes version (`CreateCluster`)."""
CLUSTER_VERSIONS: dict[str, tuple[date, date]] = {
    "1.32": (date(2026, 3, 23), date(2027, 3, 23)),
    "1.33": (date(2026, 7, 29), date(2027, 7, 29)),
    "1.34": (date(2026, 12, 2), date(2027, 12, 2)),
    "1.35": (date(2027, 3, 27), date(2028, 3, 27)),
    "1.36": (date(2027, 8, 2), date(2028, 8, 2)),
}
"""Version → the last days of standard and of extended support. EKS creates no cluster of another version (EKS
User Guide, "Understand the Kubernetes version lifecycle on EKS", release calendar, November 2026). Standard
support lasts for 14 months, extended support for 12 more."""
AUTO_MODE_NODE_HOURS = 21 * 24
"""Longest life of an Auto Mode node, in hours. A NodePool whose `expireAfter` and `terminationGracePeriod`
add up to more is refused (EKS User Guide, "Automate cluster infrastructure with EKS Auto Mode";
aws-controllers-k8s/test-infra #1000, June 2026)."""
ADDON_VERSION = r"^v[0-9]+\.[0-9]+\.[0-9]+-eksbuild\.[0-9]+$"
"""Form of an add-on's version (`DescribeAddonVersions`)."""
SERVICE_NETWORKS = ("10.100.0.0/16", "172.20.0.0/16")
"""Networks from which EKS chooses one for Kubernetes Services (`CreateCluster`). The API server has the
address that ends in .1, and DNS the one that ends in .10."""
POD_IDENTITY_AGENT = "169.254.170.23/32"
"""Address of the Pod Identity agent on every node, which answers on port 80 (EKS User Guide, "Learn how EKS
Pod Identity grants pods access to AWS services")."""
ETCD_LIMIT_BYTES = 8 * 2**30
"""Maximum size of the control plane's database (EKS best practices, "etcd database size")."""

# -- ElastiCache ---------------------------------------------------------------------------------

CACHE_USER_ID_LENGTH = 40
"""Characters of a user's id, as for other ElastiCache names. `CreateUser` documents only its form; the AWS
CDK shortens names to this length (`@aws-cdk/aws-elasticache-alpha`)."""
CACHE_NODES = 500
"""Nodes of a cluster, and shards of a cluster without replicas, at the highest quota
(`CreateReplicationGroup`)."""
CACHE_USERS = 100
"""Default quota of the users in a user group (ElastiCache User Guide, "Quotas for ElastiCache", May 2023)."""
CACHE_REPLICAS = 5
"""Replicas of a shard (`CreateReplicationGroup`)."""
CACHE_CPU_TARGET_MIN = 35
"""Lowest target of auto scaling for CPU, in percent (ElastiCache User Guide, "Auto Scaling Valkey and Redis
OSS clusters")."""
CACHE_CPU_TARGET_MAX = 70
"""Highest target of auto scaling for CPU, in percent (same document)."""
CACHE_SNAPSHOT_DAYS = 35
"""Most days for which automatic snapshots are kept (ElastiCache User Guide, "Scheduling automatic
backups")."""
SCALING_CACHE_NODES = r"cache\.(r5|r[678]g|r[678]gd|m5|m[678]g|c[78]gn)\.(large|xlarge|2xlarge)"
"""Node types that support auto scaling of replicas (ElastiCache User Guide, "Auto Scaling Valkey and Redis
OSS clusters")."""

# -- DynamoDB ------------------------------------------------------------------------------------

ATTRIBUTE_NAME_LENGTH = 255
"""Characters of the name of a key or time-to-live attribute (`KeySchemaElement`,
`TimeToLiveSpecification`)."""
INDEX_NAME = r"^[a-zA-Z0-9_.-]{3,255}$"
"""Form of a secondary index's name (`CreateTable`)."""
TABLE_INDEXES = 20
"""Default quota of a table's global secondary indexes (DynamoDB Developer Guide, "Quotas")."""
TABLE_CAPACITY = 40_000
"""Default quota of the read units and of the write units per second of a table, and of an index (DynamoDB
Developer Guide, "Quotas")."""
NO_MAXIMUM = -1
"""Request units that remove an on-demand table's maximum (`OnDemandThroughput`)."""
UTILIZATION_TARGET_MIN = 20
"""Lowest target of auto scaling for the capacity's utilization, in percent (DynamoDB Developer Guide,
"Managing throughput capacity automatically with DynamoDB auto scaling")."""
UTILIZATION_TARGET_MAX = 90
"""Highest target of auto scaling for the capacity's utilization, in percent (same document)."""

# -- MSK -----------------------------------------------------------------------------------------

BROKER_SIZES = r"^kafka\.(m5\.((2|4|8|12|16|24)?x)?large|m7g\.((2|4|8|12|16)?x)?large)$"
"""Sizes of Standard brokers, without kafka.t3 (MSK Developer Guide, "Amazon MSK broker sizes", November
2026)."""
BROKER_ZONES = 3
"""Zones of a cluster (MSK Developer Guide, "Create a provisioned Amazon MSK cluster")."""
BROKERS = 60
"""Default quota of brokers of a KRaft cluster (MSK Developer Guide, "Amazon MSK quota")."""
BROKER_PARTITIONS = {"large": 1500, "xlarge": 1500, "2xlarge": 3000}
"""Size of a broker → partitions, with all of their replicas, up to which MSK can update the broker. Larger
brokers have `BROKER_PARTITIONS_MOST` (MSK Developer Guide, "Best practices for Standard brokers", November
2026)."""
BROKER_PARTITIONS_MOST = 6000
"""Partitions of brokers that are larger than those in `BROKER_PARTITIONS` (same document)."""
KAFKA_INTERNAL_PARTITIONS = 100
"""Partitions of Kafka's own topics for consumers' offsets and for transactions, 50 each by default (Apache
Kafka documentation, "Broker Configs")."""
BROKER_VOLUME_GIB_MIN = 1
"""Smallest volume of a broker, in GiB (`CreateCluster`)."""
BROKER_VOLUME_GIB_MAX = 16_384
"""Largest volume of a broker, in GiB (`CreateCluster`)."""
BROKER_IAM_CONNECTIONS = 3000
"""TCP connections to a broker from clients that use IAM (MSK Developer Guide, "Amazon MSK quota")."""
BROKER_TLS_PORT = 9094
"""Port of brokers for TLS without SASL (MSK Developer Guide, "Port information")."""
BROKER_SCRAM_PORT = 9096
"""Port of brokers for SASL/SCRAM (same document)."""
BROKER_IAM_PORT = 9098
"""Port of brokers for TLS with IAM authentication (same document)."""
BROKER_EXPORTER_PORTS = (11001, 11002)
"""Ports of brokers for the metrics of Kafka (JMX) and of the machines (MSK Developer Guide, "Monitor an MSK
cluster with Prometheus")."""
KAFKA_NAME_LENGTH = 249
"""Characters of a topic's name, which Kafka uses in folder names, followed by a partition number
(`CreateTopic`)."""

# -- Aurora PostgreSQL and AWS Backup ------------------------------------------------------------

AURORA_REPLICAS = 15
"""Readers of a cluster (Aurora User Guide, "Replication with Amazon Aurora")."""
SECONDARY_REGIONS = 10
"""Secondary regions of a global database (Aurora User Guide, "Using Amazon Aurora Global Database", September
2026)."""
AURORA_BACKUP_DAYS_MIN = 1
"""Fewest days for which automated backups are kept (`CreateDBCluster`)."""
AURORA_BACKUP_DAYS_MAX = 35
"""Most days for which automated backups are kept (`CreateDBCluster`)."""
VAULT_DAYS_MAX = 36_500
"""Most days for which AWS Backup keeps a recovery point (`PutBackupVaultLockConfiguration`)."""
ADVANCED_INSIGHTS_DAYS = 465
"""Days of performance history that the advanced mode of Database Insights demands (`CreateDBCluster`)."""
SERVERLESS_UNITS_MIN = 0.5
"""Smallest minimum of capacity units of a Serverless v2 instance that doesn't pause
(`ServerlessV2ScalingConfiguration`)."""
SERVERLESS_UNITS_LEAST_MAX = 1
"""Smallest maximum of capacity units of a Serverless v2 instance (Aurora User Guide, "Performance and scaling
for Aurora Serverless v2")."""
SERVERLESS_UNITS_MAX = 256
"""Most capacity units of a Serverless v2 instance (`ServerlessV2ScalingConfiguration`)."""
SERVERLESS_UNITS_STEP = 0.5
"""Steps of capacity units (`ServerlessV2ScalingConfiguration`)."""
SERVERLESS_UNIT_GIB = 2
"""GiB of memory of a capacity unit (Aurora User Guide, "How Aurora Serverless v2 works")."""
LARGE_INSTANCE_GIB = {"r": 16, "t": 8, "x": 32}
"""Letter of an instance class → GiB of memory of its size `large` (Aurora User Guide, "Hardware
specifications for DB instance classes")."""
DATABASE_VOLUME_BYTES = 128 * 2**40
"""Maximum size of a cluster's volume in every version (Aurora User Guide, "Quotas and constraints for Amazon
Aurora"). Newer versions support more."""
CONNECTION_BYTES = 9_531_392
"""Bytes of memory for each connection that an instance accepts by default. `max_connections` is
`LEAST({DBInstanceClassMemory/9531392},5000)` (Aurora User Guide, "Maximum connections to an Aurora PostgreSQL
DB instance")."""
CONNECTIONS = 5000
"""Connections that an instance accepts at most by default (same document)."""
CONNECTIONS_FROM_HALF_A_UNIT = 2000
"""Connections that a serverless instance accepts at most if its minimum capacity is half a unit (Aurora User
Guide, "Maximum connections for Aurora Serverless v2")."""
RESERVED_DATABASE_ROLES = r"pg_.*|rds.*|postgres|public|none"
"""Roles of PostgreSQL and RDS (PostgreSQL documentation, "CREATE ROLE"; RDS User Guide, "Understanding
PostgreSQL roles and permissions")."""

# -- CloudWatch ----------------------------------------------------------------------------------

RetentionDays = Literal[
    1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653
]
"""Days for which a log group can keep log events (CloudWatch Logs, `PutRetentionPolicy`)."""
VENDED_LOGS_PREFIX = "/aws/vendedlogs/"
"""Beginning of the name of a log group that AWS services can deliver to without an entry in the account's
resource policy for each group (CloudWatch Logs User Guide, "Enabling logging from AWS services"). Amazon
Managed Service for Prometheus demands it."""
COMPOSITE_ALARM_CHILDREN = 100
"""Alarms in the rule of a composite alarm (`PutCompositeAlarm`)."""
COMPOSITE_ALARM_RULE_LENGTH = 10_240
"""Characters of the rule of a composite alarm (`PutCompositeAlarm`)."""
ALARMS = 5000
"""Default quota of the alarms of an account in a region, which Service Quotas doesn't list (CloudWatch User
Guide, "CloudWatch service quotas", editions until 2023; the current one names only the quota of Metrics
Insights alarms)."""
ALARM_NAME_LENGTH = 255
"""Characters of an alarm's name (`PutMetricAlarm`, `PutCompositeAlarm`)."""
ALARM_DESCRIPTION_LENGTH = 1024
"""Characters of an alarm's description (`PutMetricAlarm`, `PutCompositeAlarm`)."""
ALARM_ACTIONS = 5
"""Actions of an alarm for each state (`PutMetricAlarm`)."""
ALARM_METRICS = 10
"""Metrics that the expression of an alarm uses (CloudWatch User Guide, "CloudWatch service quotas")."""
DASHBOARD_METRICS = 2500
"""Metrics of all widgets of a dashboard, including those that only expressions use (same document)."""
LOG_METRIC_FILTERS = 100
"""Metric filters of a log group (CloudWatch Logs, `PutMetricFilter`)."""
DASHBOARD_WIDGETS = 500
"""Widgets of a dashboard (CloudWatch API Reference, "Dashboard Body Structure and Syntax")."""
WIDGET_METRICS = 100
"""Alarms or metrics of a widget (same document)."""

# -- Managed Service for Prometheus ---------------------------------------------------------------

RULES_PER_GROUP = 20
"""Default quota of rules in a rule group (AMP User Guide, "Amazon Managed Service for Prometheus service
quotas", November 2026)."""
RULE_GROUPS = 100
"""Default quota of a workspace's rule groups (same document)."""
RULE_NAMESPACES = 10
"""Default quota of a workspace's rule group namespaces (same document)."""
RULES_FILE_BYTES = 10**6
"""Size of a namespace's rules file, which no request can raise (same document)."""

# -- Secrets Manager -----------------------------------------------------------------------------

SECRET_NAME = r"[A-Za-z0-9/_+=.@-]{1,512}"  # noqa: S105 - a form, not a secret
"""Form of a secret's name (`CreateSecret`)."""
SECRET_VALUE_LENGTH = 65_536
"""Characters of a secret's value (`PutSecretValue`)."""
SECRET_ARN_SUFFIX = 6
"""Random characters, after a hyphen, that follow the name in a secret's ARN (`CreateSecret`)."""

# -- SNS -----------------------------------------------------------------------------------------

SUBJECT_LENGTH = 99
"""Characters of a message's subject (`Publish`: less than 100)."""
