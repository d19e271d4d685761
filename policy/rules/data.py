"""Rules about data stores: databases, tables, caches, brokers, queues and buckets."""

from __future__ import annotations

from collections.abc import Iterator

from policy.documents.parse import Principal, Statement
from policy.documents.patterns import covers
from policy.rule import (
    SECRET,
    Resource,
    Stack,
    is_map,
    listed,
    must_be,
    must_be_at_least,
    must_be_set,
    rule,
    stack_rule,
)
from policy.rules.access import KEY, SECRET_VALUE_HOLDER, is_our_key, must_be_our_key
from settings.aws_limits import BROKER_ZONES, LEAST_ZONES
from settings.aws_parameters import database_parameters

DB_CLUSTER = "aws:rds/cluster:Cluster"
DB_INSTANCE = "aws:rds/clusterInstance:ClusterInstance"
GLOBAL_CLUSTER = "aws:rds/globalCluster:GlobalCluster"
BACKUP_VAULT = "aws:backup/vault:Vault"
BACKUP_SELECTION = "aws:backup/selection:Selection"
DB_PROXY = "aws:rds/proxy:Proxy"
DB_PARAMETERS = "aws:rds/clusterParameterGroup:ClusterParameterGroup"
EVENT_SUBSCRIPTION = "aws:rds/eventSubscription:EventSubscription"
TABLE = "aws:dynamodb/table:Table"
TABLE_REPLICA = "aws:dynamodb/tableReplica:TableReplica"
SCALING_TARGET = "aws:appautoscaling/target:Target"
CACHE = "aws:elasticache/replicationGroup:ReplicationGroup"
CACHE_USER = "aws:elasticache/user:User"
BROKERS = "aws:msk/cluster:Cluster"
TOPIC = "aws:sns/topic:Topic"
TOPIC_POLICY = "aws:sns/topicPolicy:TopicPolicy"
SUBSCRIPTION = "aws:sns/topicSubscription:TopicSubscription"
QUEUE = "aws:sqs/queue:Queue"
QUEUE_POLICY = "aws:sqs/queuePolicy:QueuePolicy"
WORKSPACE = "aws:amp/workspace:Workspace"
USER_POOL = "aws:cognito/userPool:UserPool"
BUCKET = "aws:s3/bucket:Bucket"
BUCKET_POLICY = "aws:s3/bucketPolicy:BucketPolicy"
PUBLIC_ACCESS_BLOCK = "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock"
OWNERSHIP = "aws:s3/bucketOwnershipControls:BucketOwnershipControls"
LIFECYCLE = "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration"
VERSIONING = "aws:s3/bucketVersioning:BucketVersioning"
ENCRYPTION = "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration"

STATEFUL = (
    *(DB_CLUSTER, DB_INSTANCE, TABLE, CACHE, BROKERS, WORKSPACE, USER_POOL, BUCKET, KEY),
    SECRET_VALUE_HOLDER,
)

FOREIGN_BUCKET_ACTIONS = (
    *("s3:deletebucketpolicy", "s3:putbucketacl", "s3:putbucketpolicy", "s3:putencryptionconfiguration"),
    "s3:putobjectacl",
)
"""Actions, in lower case, that S3.6 denies other accounts (Security Hub User Guide, "Security Hub controls
for Amazon S3")."""


@rule("What holds data in production is deleted only when it is empty", BUCKET, BACKUP_VAULT)
def deletion_needs_emptiness(store: Resource) -> Iterator[str]:
    if store.is_production:
        yield from must_be(store, "forceDestroy", False, unset=True)


@rule("Pulumi protects data stores in production from deletion", *STATEFUL)
def stateful_resource_is_protected(resource: Resource) -> Iterator[str]:
    if resource.is_production and not resource.protect:
        yield "is not protected: set protect=True"


# -- Aurora --------------------------------------------------------------------------------------


@rule("Aurora's storage and insights are encrypted with the platform's key", DB_CLUSTER, controls=["RDS.27"])
def rds_cluster_is_encrypted(cluster: Resource) -> Iterator[str]:
    yield from must_be(cluster, "storageEncrypted", True)
    yield from must_be_our_key(cluster, "kmsKeyId")
    if cluster.get("performanceInsightsEnabled"):
        yield from must_be_our_key(cluster, "performanceInsightsKmsKeyId")


@rule("A database in production has deletion protection", DB_CLUSTER, controls=["RDS.7"])
def rds_cluster_is_protected(cluster: Resource) -> Iterator[str]:
    if cluster.is_production:
        yield from must_be(cluster, "deletionProtection", True)
        yield from must_be(cluster, "skipFinalSnapshot", False, unset=True)
        # By default, they end with the cluster.
        yield from must_be(cluster, "deleteAutomatedBackups", False)


@rule("A global database in production has deletion protection", GLOBAL_CLUSTER, controls=["RDS.7"])
def global_database_is_protected(cluster: Resource) -> Iterator[str]:
    if cluster.is_production:
        yield from must_be(cluster, "deletionProtection", True)


@rule("Aurora supports IAM authentication", DB_CLUSTER, controls=["RDS.12"])
def rds_cluster_knows_iam(cluster: Resource) -> Iterator[str]:
    yield from must_be(cluster, "iamDatabaseAuthenticationEnabled", True)


@rule("Aurora is backed up, in production for at least a week", DB_CLUSTER, controls=["RDS.11"])
def rds_cluster_is_backed_up(cluster: Resource) -> Iterator[str]:
    yield from must_be_at_least(cluster, "backupRetentionPeriod", 7 if cluster.is_production else 1)


@rule("Snapshots of Aurora carry its tags", DB_CLUSTER, DB_INSTANCE, controls=["RDS.16", "RDS.17"])
def rds_snapshots_carry_tags(resource: Resource) -> Iterator[str]:
    yield from must_be(resource, "copyTagsToSnapshot", True)


@rule("Aurora is in the platform's own subnets", DB_CLUSTER, controls=["RDS.18"])
def rds_cluster_is_in_vpc(cluster: Resource) -> Iterator[str]:
    yield from must_be_set(cluster, "dbSubnetGroupName", "name a subnet group")


@rule("Aurora's administrator has a custom name", DB_CLUSTER, controls=["RDS.24"])
def rds_administrator_has_own_name(cluster: Resource) -> Iterator[str]:
    if _is_secondary(cluster):
        return  # it uses the primary's administrator
    name = cluster.get("masterUsername")
    if name in (None, "admin", "postgres"):
        yield f"masterUsername is {name or 'not set'}: choose a name that is hard to guess"


def _is_secondary(cluster: Resource) -> bool:
    """Whether the cluster is a secondary cluster of a global database."""
    return bool(cluster.get("globalClusterIdentifier")) and not cluster.get("masterUsername")


@stack_rule(
    "Aurora's clusters and DynamoDB's tables are in a backup plan",
    *(DB_CLUSTER, TABLE, TABLE_REPLICA),
    controls=["DynamoDB.4"],
)
def data_is_in_backup_plan(store: Resource, stack: Stack) -> Iterator[str]:
    if not any(stack.companions(store, BACKUP_SELECTION)):
        yield "is not in any backup.Selection: add its ARN to one"


@rule("Aurora's log is published", DB_CLUSTER, controls=["RDS.37"])
def rds_cluster_publishes_logs(cluster: Resource) -> Iterator[str]:
    if "postgresql" not in listed(cluster.get("enabledCloudwatchLogsExports")):
        yield "enabledCloudwatchLogsExports does not contain postgresql: add it"


@stack_rule("Aurora in production has instances in several zones", DB_CLUSTER, controls=["RDS.15"])
def rds_cluster_spans_zones(cluster: Resource, stack: Stack) -> Iterator[str]:
    instances = list(stack.companions(cluster, DB_INSTANCE))
    # AWS chooses the zone of an instance that names none.
    zones = {instance.get("availabilityZone") or instance.name for instance in instances}
    if cluster.is_production and len(zones) < LEAST_ZONES:
        found = f"has {len(instances)} instances in {len(zones)} zones"
        yield f"{found}: add instances, so that at least {LEAST_ZONES} are in different zones"


@rule("Aurora's instances are not public", DB_INSTANCE, controls=["RDS.2"])
def rds_instance_is_not_public(instance: Resource) -> Iterator[str]:
    yield from must_be(instance, "publiclyAccessible", False, unset=True)


@rule("Aurora's instances have enhanced monitoring", DB_INSTANCE, controls=["RDS.6"])
def rds_instance_is_monitored(instance: Resource) -> Iterator[str]:
    yield from must_be_at_least(instance, "monitoringInterval", 1)
    yield from must_be_set(instance, "monitoringRoleArn", "name a role")


@stack_rule("Aurora's failure and maintenance events reach a topic", DB_CLUSTER, controls=["RDS.19"])
def rds_events_reach_somebody(cluster: Resource, stack: Stack) -> Iterator[str]:
    if not any(stack.companions(cluster, EVENT_SUBSCRIPTION)):
        yield "has no EventSubscription: add one"


@rule("A subscription to events includes failures and maintenance", EVENT_SUBSCRIPTION, controls=["RDS.19"])
def event_subscription_has_failures(subscription: Resource) -> Iterator[str]:
    categories = listed(subscription.get("eventCategories"))
    missing = {"maintenance", "failure"}.difference(categories)
    if categories and missing:
        yield f"eventCategories lacks {', '.join(sorted(missing))}: add it"
    yield from must_be(subscription, "enabled", True, unset=True)


@rule("Aurora accepts only encrypted connections", DB_PARAMETERS, controls=["RDS.38"])
def rds_parameters_want_tls(group: Resource) -> Iterator[str]:
    # A parameter that isn't set has its default, which can be secure (version 17 and newer).
    defaults = {name: known.default for name, known in database_parameters(str(group.get("family"))).items()}
    given = {str(item.get("name")): item.get("value") for item in listed(group.get("parameters"))}
    parameters = defaults | given
    if parameters.get("rds.force_ssl") != "1":
        yield "parameter rds.force_ssl is not 1: set it to 1"
    if parameters.get("ssl_min_protocol_version") not in ("TLSv1.2", "TLSv1.3"):
        yield "parameter ssl_min_protocol_version is neither TLSv1.2 nor TLSv1.3: set it to one of them"


@rule("Aurora's proxy accepts only encrypted connections", DB_PROXY, controls=["RDS.43"])
def rds_proxy_wants_tls(proxy: Resource) -> Iterator[str]:
    yield from must_be(proxy, "requireTls", True)


# -- DynamoDB ------------------------------------------------------------------------------------


@stack_rule("A table's capacity follows its load", TABLE, controls=["DynamoDB.1"])
def table_capacity_scales(table: Resource, stack: Stack) -> Iterator[str]:
    if table.get("billingMode") == "PAY_PER_REQUEST":
        return
    targets = {target.get("scalableDimension") for target in stack.companions(table, SCALING_TARGET)}
    for dimension in ("ReadCapacityUnits", "WriteCapacityUnits"):
        if f"dynamodb:table:{dimension}" not in targets:
            yield f"no scaling target has its {dimension}: add one, or use on-demand billing"


@rule("A table has point-in-time recovery", TABLE, TABLE_REPLICA, controls=["DynamoDB.2"])
def table_has_point_in_time_recovery(table: Resource) -> Iterator[str]:
    path = "pointInTimeRecovery.enabled" if table.type == TABLE else "pointInTimeRecovery"
    yield from must_be(table, path, True)


@rule("A table in production has deletion protection", TABLE, TABLE_REPLICA, controls=["DynamoDB.6"])
def table_is_protected(table: Resource) -> Iterator[str]:
    if table.is_production:
        yield from must_be(table, "deletionProtectionEnabled", True)


@rule("A table is encrypted with the platform's key", TABLE, TABLE_REPLICA)
def table_is_encrypted(table: Resource) -> Iterator[str]:
    yield from must_be_our_key(
        table, "serverSideEncryption.kmsKeyArn" if table.type == TABLE else "kmsKeyArn"
    )
    if table.type == TABLE:
        yield from must_be(table, "serverSideEncryption.enabled", True)


# -- ElastiCache ---------------------------------------------------------------------------------


@rule("A cache has snapshots", CACHE, controls=["ElastiCache.1"])
def cache_is_backed_up(cache: Resource) -> Iterator[str]:
    yield from must_be_at_least(cache, "snapshotRetentionLimit", 1)


@rule("A cache fails over automatically to another zone", CACHE, controls=["ElastiCache.3"])
def cache_fails_over(cache: Resource) -> Iterator[str]:
    yield from must_be(cache, "automaticFailoverEnabled", True)
    yield from must_be(cache, "multiAzEnabled", True)


@rule("A cache is encrypted at rest with the platform's key", CACHE, controls=["ElastiCache.4"])
def cache_is_encrypted(cache: Resource) -> Iterator[str]:
    yield from must_be(cache, "atRestEncryptionEnabled", True)
    yield from must_be_our_key(cache, "kmsKeyId")


@rule("A cache requires TLS", CACHE, controls=["ElastiCache.5"])
def cache_uses_tls(cache: Resource) -> Iterator[str]:
    yield from must_be(cache, "transitEncryptionEnabled", True)
    yield from must_be(cache, "transitEncryptionMode", "required", unset=True)


@rule("A cache's clients must authenticate", CACHE, controls=["ElastiCache.6"])
def cache_clients_sign_in(cache: Resource) -> Iterator[str]:
    yield from must_be_set(cache, "userGroupIds", "name a user group")


@rule("A cache is in the platform's own subnets", CACHE, controls=["ElastiCache.7"])
def cache_is_in_vpc(cache: Resource) -> Iterator[str]:
    name = cache.get("subnetGroupName")
    if name in (None, "default"):
        yield f"subnetGroupName is {name or 'not set'}: name a subnet group"


@rule("A cache's user must authenticate", CACHE_USER, controls=["ElastiCache.6"])
def cache_user_authenticates(user: Resource) -> Iterator[str]:
    kind = user.get("authenticationMode.type")
    if user.get("noPasswordRequired") or kind == "no-password-required":
        yield "it needs no password: set authenticationMode.type to iam or password"
    elif kind is None and not user.get("passwords"):
        yield "authenticationMode is not set: set its type to iam or password"


@rule("A cache's user has only the commands that it needs", CACHE_USER)
def cache_user_names_its_commands(user: Resource) -> Iterator[str]:
    words = str(user.get("accessString") or "").lower().split()
    if "off" not in words and any(word in words for word in ("+@all", "allcommands")):
        yield "accessString allows all commands: name categories such as +@read, or set it to off -@all"


# -- MSK -----------------------------------------------------------------------------------------


@rule("Kafka is encrypted in transit, and at rest with the platform's key", BROKERS, controls=["MSK.1"])
def brokers_are_encrypted(brokers: Resource) -> Iterator[str]:
    transit = "encryptionInfo.encryptionInTransit"
    yield from must_be(brokers, f"{transit}.inCluster", True, unset=True)
    yield from must_be(brokers, f"{transit}.clientBroker", "TLS", unset=True)
    yield from must_be_our_key(brokers, "encryptionInfo.encryptionAtRestKmsKeyArn")


@rule("Kafka has metrics for every broker and topic", BROKERS, controls=["MSK.2"])
def brokers_are_monitored(brokers: Resource) -> Iterator[str]:
    yield from must_be(brokers, "enhancedMonitoring", "PER_TOPIC_PER_BROKER", "PER_TOPIC_PER_PARTITION")


@rule("Kafka is private, and its clients must authenticate", BROKERS, controls=["MSK.4", "MSK.6"])
def brokers_are_private(brokers: Resource) -> Iterator[str]:
    public = "brokerNodeGroupInfo.connectivityInfo.publicAccess.type"
    yield from must_be(brokers, public, "DISABLED", unset=True)
    yield from must_be(brokers, "clientAuthentication.unauthenticated", False)
    methods = ("sasl.iam", "sasl.scram", "tls.certificateAuthorityArns")
    if not any(brokers.get(f"clientAuthentication.{method}") for method in methods):
        yield "clientAuthentication has no method: set clientAuthentication.sasl.iam to true"


@rule("Kafka writes logs", BROKERS)
def brokers_write_logs(brokers: Resource) -> Iterator[str]:
    logs = "loggingInfo.brokerLogs"
    if not any(brokers.get(f"{logs}.{place}.enabled") for place in ("cloudwatchLogs", "firehose", "s3")):
        yield f"{logs} has no place: set {logs}.cloudwatchLogs.enabled to true"


@rule("Kafka in production uses three zones", BROKERS)
def brokers_span_zones(brokers: Resource) -> Iterator[str]:
    if brokers.is_production:
        yield from must_be_at_least(brokers, "brokerNodeGroupInfo.clientSubnets", BROKER_ZONES)


# -- topics, queues, metrics ---------------------------------------------------------------------


@rule("A topic is encrypted with the platform's key", TOPIC, controls=["SNS.1"])
def topic_is_encrypted(topic: Resource) -> Iterator[str]:
    yield from must_be_our_key(topic, "kmsMasterKeyId")


@rule("A topic's messages are delivered encrypted", SUBSCRIPTION)
def subscription_is_encrypted(subscription: Resource) -> Iterator[str]:
    if subscription.get("protocol") == "http":
        yield 'protocol is "http": use https'


@rule("A queue is encrypted with the platform's key", QUEUE, controls=["SQS.1"])
def queue_is_encrypted(queue: Resource) -> Iterator[str]:
    yield from must_be_our_key(queue, "kmsMasterKeyId")


@rule("Metrics are encrypted with the platform's key", WORKSPACE)
def workspace_is_encrypted(workspace: Resource) -> Iterator[str]:
    yield from must_be_our_key(workspace, "kmsKeyArn")


@rule("Backups are encrypted with the platform's key", BACKUP_VAULT, controls=["Backup.1"])
def backup_vault_is_encrypted(vault: Resource) -> Iterator[str]:
    yield from must_be_our_key(vault, "kmsKeyArn")


# -- S3 ------------------------------------------------------------------------------------------


# A preview doesn't know the values of companions that depend on the bucket or the key, so each companion is
# also checked alone, before it is created.


@stack_rule("A bucket blocks public access", BUCKET, controls=["S3.2", "S3.3", "S3.8"])
def bucket_blocks_public_access(bucket: Resource, stack: Stack) -> Iterator[str]:
    if not any(stack.companions(bucket, PUBLIC_ACCESS_BLOCK)):
        yield "has no BucketPublicAccessBlock: add one"


@rule("A block of public access is complete", PUBLIC_ACCESS_BLOCK, controls=["S3.2", "S3.3", "S3.8"])
def public_access_block_is_complete(block: Resource) -> Iterator[str]:
    for key in ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets"):
        yield from must_be(block, key, True)


@stack_rule("A bucket denies requests without TLS", BUCKET, controls=["S3.5"])
def bucket_wants_tls(bucket: Resource, stack: Stack) -> Iterator[str]:
    if not any(stack.companions(bucket, BUCKET_POLICY)):
        yield "has no BucketPolicy: add one that denies requests where aws:SecureTransport is false"


@rule("A bucket's policy denies requests without TLS", BUCKET_POLICY, controls=["S3.5"])
def bucket_policy_wants_tls(policy: Resource) -> Iterator[str]:
    if policy.get("policy") == SECRET:
        return  # document-is-readable refuses it
    if not any(_denies_plain_http(item) for document in policy.documents() for item in document.statements):
        yield "does not deny everyone everything in the bucket where aws:SecureTransport is false: deny it"


def _denies_plain_http(statement: Statement) -> bool:
    """Whether a statement denies everyone all actions on the bucket and its objects without TLS."""
    condition = {operator.removesuffix("IfExists"): keys for operator, keys in statement.condition.items()}
    buckets = [text for text in statement.resources if "/" not in text]
    return (
        not statement.allows
        and Principal("AWS", "*") in statement.principals
        and any(covers(action, "s3:*") for action in statement.actions)
        # With a second key, the statement would deny only the requests that match both.
        and condition == {"Bool": {"aws:securetransport": ("false",)}}
        and len(statement.condition) == 1
        and any(covers(text, f"{name}/*") for name in buckets for text in statement.resources)
    )


@rule("No bucket policy gives away control of the bucket", BUCKET_POLICY, controls=["S3.6"])
def bucket_policy_gives_no_control(policy: Resource) -> Iterator[str]:
    for document in policy.documents():
        for statement in document.allowed:
            if statement.not_actions:
                yield "policy allows all actions except some (NotAction): name the actions that are needed"
            for action in statement.actions:
                if any(covers(action, control) for control in FOREIGN_BUCKET_ACTIONS):
                    yield f"policy allows {action}: name the actions that are needed"


@stack_rule("A bucket keeps versions, and deletes old ones", BUCKET, controls=["S3.10", "S3.13", "S3.14"])
def bucket_keeps_versions(bucket: Resource, stack: Stack) -> Iterator[str]:
    versionings = list(stack.companions(bucket, VERSIONING))
    if not versionings:
        yield "has no BucketVersioning: add one"
    # A lifecycle configuration for old versions depends on versioning, so it can refer to that for the name.
    if not any(any(stack.companions(owner, LIFECYCLE)) for owner in (bucket, *versionings)):
        yield "has no BucketLifecycleConfiguration: add one"


@rule("Versioning is enabled", VERSIONING, controls=["S3.14"])
def versioning_is_enabled(versioning: Resource) -> Iterator[str]:
    yield from must_be(versioning, "versioningConfiguration.status", "Enabled")


@rule("A lifecycle configuration has a rule in force", LIFECYCLE, controls=["S3.10", "S3.13"])
def lifecycle_is_in_force(lifecycle: Resource) -> Iterator[str]:
    rules = [entry for entry in listed(lifecycle.get("rules")) if is_map(entry)]
    if not any(entry.get("status") == "Enabled" for entry in rules):
        yield "no rule has status Enabled: enable one"


@stack_rule("A bucket has no access control lists", BUCKET, controls=["S3.12"])
def bucket_has_no_acls(bucket: Resource, stack: Stack) -> Iterator[str]:
    if not any(stack.companions(bucket, OWNERSHIP)):
        yield "has no BucketOwnershipControls: add them"


@rule("Ownership controls turn access control lists off", OWNERSHIP, controls=["S3.12"])
def ownership_excludes_acls(controls: Resource) -> Iterator[str]:
    yield from must_be(controls, "rule.objectOwnership", "BucketOwnerEnforced")


@stack_rule("A bucket has a default encryption", BUCKET, controls=["S3.17"])
def bucket_is_encrypted(bucket: Resource, stack: Stack) -> Iterator[str]:
    if not any(stack.companions(bucket, ENCRYPTION)):
        yield "has no BucketServerSideEncryptionConfiguration: add one"


@rule("A bucket's default encryption uses the platform's key", ENCRYPTION, controls=["S3.17"])
def bucket_encryption_uses_our_key(configuration: Resource) -> Iterator[str]:
    rules = listed(configuration.get("rules"))
    if not rules:
        yield "rules is not set: add one with the region's key"
    for entry in rules:
        default = entry.get("applyServerSideEncryptionByDefault") if is_map(entry) else None
        if not is_map(default) or not is_our_key(default.get("kmsMasterKeyId")):
            yield "a rule does not use the region's key: set kmsMasterKeyId"
