"""Compares the program's limits of AWS with botocore's service models and cfn-lint's schemas."""

from __future__ import annotations

import ast
import functools
import importlib
import ipaddress
import json
import re
from typing import Any, get_args

import botocore.session
import pytest
import yaml

from components.load_balancer import LAST_STEP, PRIORITY_STEP
from sandbox.aws import cfn_lint, cloudformation
from sandbox.folder import CLUSTER_NAME
from settings import aws_limits
from tests.unit.harness import ROOT

MODULE = ROOT / "settings" / "aws_limits.py"
NAMES = {name for name in vars(aws_limits) if re.fullmatch(r"[A-Z][A-Z0-9_]*|RetentionDays", name)}

BY_DOCUMENT = {
    "ADDON_VERSION",
    "AGGREGATION_KEY_UNITS",
    "ALARMS",
    "ALARM_METRICS",
    "ALIAS_VERSIONS",
    "API_POLICY_BYTES",
    "API_RESOURCES",
    "API_THROTTLE_BURST",
    "API_THROTTLE_RATE",
    "AURORA_REPLICAS",
    "AUTO_MODE_NODE_HOURS",
    "BALANCER_CERTIFICATES",
    "BALANCER_LISTENERS",
    "BALANCER_TARGETS",
    "BROKERS",
    "BROKER_EXPORTER_PORTS",
    "BROKER_IAM_CONNECTIONS",
    "BROKER_IAM_PORT",
    "BROKER_PARTITIONS",
    "BROKER_PARTITIONS_MOST",
    "BROKER_SCRAM_PORT",
    "BROKER_SIZES",
    "BROKER_TLS_PORT",
    "BROKER_ZONES",
    "BUCKET_POLICY_BYTES",
    "CACHE_BEHAVIORS",
    "CACHE_CPU_TARGET_MAX",
    "CACHE_CPU_TARGET_MIN",
    "CACHE_USERS",
    "CACHE_USER_ID_LENGTH",
    "CLOUDFRONT_PREFIX_LIST",
    "CLOUDFRONT_PREFIX_LIST_WEIGHT",
    "CLUSTER_VERSIONS",
    "CONNECTIONS",
    "CONNECTIONS_FROM_HALF_A_UNIT",
    "CONNECTION_BYTES",
    "CONTROL_POLICIES",
    "CONTROL_POLICY_LENGTH",
    "DASHBOARD_METRICS",
    "DASHBOARD_WIDGETS",
    "DATABASE_VOLUME_BYTES",
    "DISTRIBUTION_NAMES",
    "DISTRIBUTION_ORIGINS",
    "ECR_LAYERS_BUCKET",
    "ENDPOINT_POLICY_LENGTH",
    "ETCD_LIMIT_BYTES",
    "FUNCTION_ENVIRONMENT_BYTES",
    "GROUP_TARGETS",
    "HEALTH_CHECKERS_SERVICE",
    "INTERFACE_ENDPOINTS",
    "INTERFACE_SECURITY_GROUPS",
    "KAFKA_INTERNAL_PARTITIONS",
    "KEY_POLICY_BYTES",
    "LARGE_INSTANCE_GIB",
    "LEAST_ZONES",
    "LISTENER_RULES",
    "LOGIN_DOMAIN_RESERVED",
    "LOG_POLICY_LENGTH",
    "MANAGED_POLICIES",
    "MANAGED_POLICY_LENGTH",
    "NETWORK_ACL_RULES",
    "POD_IDENTITY_AGENT",
    "POLICY_ARN",
    "PUBLIC_ACCESS_BLOCKS",
    "QUEUE_POLICY_BYTES",
    "RESERVED_DATABASE_ROLES",
    "RESOURCE_TAGS",
    "ROLE_POLICIES_LENGTH",
    "ROUTE_TABLE_ID",
    "RULES_FILE_BYTES",
    "RULES_PER_GROUP",
    "RULE_GROUPS",
    "RULE_GROUP_UNITS",
    "RULE_NAMESPACES",
    "RULE_VALUES",
    "SCALING_CACHE_NODES",
    "SECONDARY_REGIONS",
    "SECURITY_GROUP_RULES",
    "SERVERLESS_UNITS_LEAST_MAX",
    "SERVERLESS_UNIT_GIB",
    "STATEMENT_UNITS",
    "TABLE_CAPACITY",
    "TOPIC_POLICY_BYTES",
    "TRANSFORMATION_UNITS",
    "TRUST_POLICY_LENGTH",
    "UNLOCATED_COUNTRIES",
    "UNSUPPORTED_ZONES",
    "UTILIZATION_TARGET_MAX",
    "UTILIZATION_TARGET_MIN",
    "VENDED_LOGS_PREFIX",
    "VPCS",
    "WEB_ACL_UNITS",
    "WEB_ACL_UNITS_INCLUDED",
    "WIDGET_METRICS",
}
"""Constants that are only in AWS's documentation. Their docstrings name the document."""


@functools.cache
def service(name: str) -> Any:
    return botocore.session.get_session().get_service_model(name)


def shape(path: str) -> Any:
    """A shape of a service's model, such as `elbv2 Path`, or a structure's member, such as
    `elbv2 RedirectActionConfig.Path`. `[]` is the element of a list."""
    name, rest = path.split()
    found, *members = rest.split(".")
    at = service(name).shape_for(found)
    for member in members:
        at = at.member if member == "[]" else at.members[member]
    return at


def documentation(path: str) -> str:
    """The text of an operation, a shape or a member, without tags."""
    name, rest = path.split()
    text = (
        service(name).operation_model(rest).documentation
        if rest in service(name).operation_names
        else shape(path).documentation
    )
    return " ".join(re.sub(r"<[^>]+>", " ", text).split())


def schema(path: str) -> Any:
    """A part of a CloudFormation type's schema, such as `AWS::MSK::Cluster definitions/EBSStorageInfo`."""
    kind, rest = path.split()
    return functools.reduce(lambda node, key: node[key], rest.split("/"), cloudformation.document(kind))


BOUNDS = [
    ("ALARM_ACTIONS", "cloudwatch PutMetricAlarmInput.AlarmActions", "max"),
    ("ALARM_DESCRIPTION_LENGTH", "cloudwatch PutMetricAlarmInput.AlarmDescription", "max"),
    ("ALARM_NAME_LENGTH", "cloudwatch PutCompositeAlarmInput.AlarmName", "max"),
    ("ALARM_NAME_LENGTH", "cloudwatch PutMetricAlarmInput.AlarmName", "max"),
    ("ATTRIBUTE_NAME_LENGTH", "dynamodb KeySchemaElement.AttributeName", "max"),
    ("ATTRIBUTE_NAME_LENGTH", "dynamodb TimeToLiveSpecification.AttributeName", "max"),
    ("BROKER_VOLUME_GIB_MAX", "kafka EBSStorageInfo.VolumeSize", "max"),
    ("BROKER_VOLUME_GIB_MIN", "kafka EBSStorageInfo.VolumeSize", "min"),
    ("CALCULATED_CHECKS", "route53 HealthCheckConfig.ChildHealthChecks", "max"),
    ("CLIENT_SCOPES", "cognito-idp UserPoolClientType.AllowedOAuthScopes", "max"),
    ("COMPOSITE_ALARM_RULE_LENGTH", "cloudwatch PutCompositeAlarmInput.AlarmRule", "max"),
    ("HEALTH_CHECK_PATH_LENGTH", "elbv2 CreateTargetGroupInput.HealthCheckPath", "max"),
    ("KAFKA_NAME_LENGTH", "kafka TopicReplication.TopicsToReplicate.[]", "max"),
    ("LOGIN_DOMAIN_LENGTH", "cognito-idp CreateUserPoolDomainRequest.Domain", "max"),
    ("RATE_LIMIT_MAX", "wafv2 RateBasedStatement.Limit", "max"),
    ("RATE_LIMIT_MIN", "wafv2 RateBasedStatement.Limit", "min"),
    ("REDIRECT_HOST_LENGTH", "elbv2 RedirectActionConfig.Host", "max"),
    ("REDIRECT_PATH_LENGTH", "elbv2 RedirectActionConfig.Path", "max"),
    ("REPOSITORY_POLICY_LENGTH", "ecr SetRepositoryPolicyRequest.policyText", "max"),
    ("SECRET_VALUE_LENGTH", "secretsmanager PutSecretValueRequest.SecretString", "max"),
    ("SECRET_POLICY_LENGTH", "secretsmanager PutResourcePolicyRequest.ResourcePolicy", "max"),
    ("SERVER_SCOPES", "cognito-idp CreateResourceServerRequest.Scopes", "max"),
    ("TAG_KEY_LENGTH", "resourcegroupstaggingapi Tag.Key", "max"),
    ("TAG_VALUE_LENGTH", "resourcegroupstaggingapi Tag.Value", "max"),
]
"""A constant, a shape in botocore's models, and the bound of the shape that the constant equals."""

KEYWORDS = [
    ("AURORA_BACKUP_DAYS_MAX", "AWS::RDS::DBCluster properties/BackupRetentionPeriod/maximum"),
    ("AURORA_BACKUP_DAYS_MIN", "AWS::RDS::DBCluster properties/BackupRetentionPeriod/minimum"),
    ("BROKER_VOLUME_GIB_MAX", "AWS::MSK::Cluster definitions/EBSStorageInfo/properties/VolumeSize/maximum"),
    ("BROKER_VOLUME_GIB_MIN", "AWS::MSK::Cluster definitions/EBSStorageInfo/properties/VolumeSize/minimum"),
    ("CACHE_REPLICAS", "AWS::ElastiCache::ReplicationGroup properties/ReplicasPerNodeGroup/maximum"),
    ("QUEUE_RETENTION_SECONDS", "AWS::SQS::Queue properties/MessageRetentionPeriod/maximum"),
    ("RATE_LIMIT_MAX", "AWS::WAFv2::WebACL definitions/RateLimit/maximum"),
    ("RATE_LIMIT_MIN", "AWS::WAFv2::WebACL definitions/RateLimit/minimum"),
]
"""A constant, and its place in a schema of cfn-lint."""

SENTENCES = [
    (
        "ADVANCED_INSIGHTS_DAYS",
        "rds CreateDBClusterMessage.DatabaseInsightsMode",
        "PerformanceInsightsRetentionPeriod parameter to {}",
    ),
    (
        "AUTHORIZATION_CACHE_SECONDS",
        "apigateway CreateAuthorizerRequest.authorizerResultTtlInSeconds",
        "maximum value is {}",
    ),
    ("BALANCER_NAME_LENGTH", "elbv2 CreateLoadBalancerInput.Name", "maximum of {} characters"),
    ("BALANCER_NAME_LENGTH", "elbv2 CreateTargetGroupInput.Name", "maximum of {} characters"),
    ("CACHE_NODES", "elasticache CreateReplicationGroup", "a maximum of {} per cluster"),
    (
        "CACHE_SNAPSHOT_DAYS",
        "elasticache CreateServerlessCacheRequest.SnapshotRetentionLimit",
        "maximum value allowed is {} days",
    ),
    (
        "CERTIFICATE_NAMES",
        "acm RequestCertificateRequest.SubjectAlternativeNames",
        "the initial quota is {} domain names",
    ),
    (
        "CLIENT_KEEP_ALIVE_MIN",
        "elbv2 LoadBalancerAttribute.Key",
        "client keep alive value, in seconds. The valid range is {}",
    ),
    ("COMMON_NAME_LENGTH", "acm RequestCertificateRequest.DomainName", "cannot exceed {} octets"),
    ("COMPOSITE_ALARM_CHILDREN", "cloudwatch PutCompositeAlarm", "as many as {} underlying alarms"),
    ("INTEGRATION_TIMEOUT_SECONDS", "apigateway PutIntegrationRequest.timeoutInMillis", "or {} seconds"),
    ("LARGEST_BLOCK", "ec2 CreateSubnet", "and a /{} netmask"),
    ("LOG_METRIC_FILTERS", "logs PutMetricFilter", "associated with a log group is {}"),
    ("LOG_POLICIES", "logs PutResourcePolicy", "maximum of {} policies without resourceARN"),
    (
        "NO_MAXIMUM",
        "dynamodb OnDemandThroughput.MaxReadRequestUnits",
        "set the value of MaxReadRequestUnits to {}",
    ),
    (
        "NO_MAXIMUM",
        "dynamodb OnDemandThroughput.MaxWriteRequestUnits",
        "set the value of MaxWriteRequestUnits to {}",
    ),
    ("OBJECT_TAGS", "s3 PutObjectTagging", "to {} tags per object"),
    (
        "ROUTE53_TAGS",
        "route53 ChangeTagsForResourceRequest.AddTags",
        "maximum of {} tags to a health check or a hosted zone",
    ),
    ("QUEUE_RETENTION_SECONDS", "sqs CreateQueueRequest.Attributes", "to {:,} seconds (14 days)"),
    ("RESERVED_BALANCER_PREFIX", "elbv2 CreateLoadBalancerInput.Name", 'must not begin with "{}"'),
    (
        "RULE_HOST_LENGTH",
        "elbv2 HostHeaderConditionConfig.Values",
        "maximum length of each string is {} characters",
    ),
    (
        "RULE_PATH_LENGTH",
        "elbv2 PathPatternConditionConfig.Values",
        "maximum length of each string is {} characters",
    ),
    (
        "SERVERLESS_UNITS_MAX",
        "rds ServerlessV2ScalingConfiguration.MaxCapacity",
        "largest value that you can use is {}",
    ),
    (
        "SERVERLESS_UNITS_MIN",
        "rds ServerlessV2ScalingConfiguration.MinCapacity",
        "the smallest value that you can use is {}",
    ),
    ("SMALLEST_BLOCK", "ec2 CreateSubnet", "between a /{} netmask"),
    ("TABLE_INDEXES", "dynamodb CreateTableInput.GlobalSecondaryIndexes", "(the maximum is {})"),
    (
        "VAULT_DAYS_MAX",
        "backup PutBackupVaultLockConfigurationInput.MaxRetentionDays",
        "you can specify is {} days",
    ),
    ("WAF_LOGS_PREFIX", "wafv2 PutLoggingConfiguration", "must start with {}"),
]
"""A constant, and what botocore's documentation of an operation or a member says about it."""

WORDS = [
    (
        "EDGE_REGION",
        "us-east-1",
        "wafv2 CreateWebACLRequest.Scope",
        "when you use the CloudFront scope: --scope=CLOUDFRONT --region=us-east-1",
    ),
    ("RESERVED_FIRST_ADDRESSES", 4, "ec2 CreateSubnet", "reserves both the first four and"),
    ("RESERVED_LAST_ADDRESSES", 1, "ec2 CreateSubnet", "the last IPv4 address in each subnet"),
    (
        "SECRET_ARN_SUFFIX",
        6,
        "secretsmanager CreateSecretRequest.Name",
        "adds a hyphen and six random characters",
    ),
    (
        "SERVERLESS_UNITS_STEP",
        0.5,
        "rds ServerlessV2ScalingConfiguration.MaxCapacity",
        "in half-step increments",
    ),
    (
        "BALANCER_NAME",
        "[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?",
        "elbv2 CreateLoadBalancerInput.Name",
        "must contain only alphanumeric characters or hyphens, must not begin or end with a hyphen",
    ),
    (
        "SECRET_NAME",
        "[A-Za-z0-9/_+=.@-]{1,512}",
        "secretsmanager CreateSecretRequest.Name",
        "can contain ASCII letters, numbers, and the following characters: /_+=.@-",
    ),
    ("SUBJECT_LENGTH", 99, "sns PublishInput.Subject", "less than 100 characters long"),
    ("RESERVED_TAG_PREFIX", "aws:", "rds Tag.Key", "can't be prefixed with aws: or"),
    (
        "SERVICE_NAME",
        "com.amazonaws.{region}.{service}",
        "ec2 CreateManagedPrefixListRequest.PrefixListName",
        "cannot start with com.amazonaws",
    ),
]
"""A constant, its value, and what the documentation says about it in words."""

FORMS = [
    (
        "CLIENT_SECRET",
        f"(?=.{{24,64}}$){shape('cognito-idp ClientSecretType').metadata['pattern']}",
        ["a" * 24, "b+_9" * 16],
        ["a" * 23, "a" * 65, "-" * 24],
    ),
    (
        "CLUSTER_VERSION",
        schema("AWS::EKS::Cluster properties/Version/pattern"),
        ["1.36"],
        ["1.4", "2.10", "1.360"],
    ),
    (
        "INDEX_NAME",
        f"(?=.{{3,255}}$){shape('dynamodb IndexName').metadata['pattern']}",
        ["abc", "by_venue.2-x", "a" * 255],
        ["ab", "a" * 256, "a b"],
    ),
]
"""A form, the pattern of botocore or cfn-lint, values that both accept, and values that both reject."""

FORMATS = [
    (
        "ROLE_ARN",
        "IamRoleArn",
        ["arn:aws:iam::123456789012:role/admin", "arn:aws:iam::123456789012:role/path/admin"],
        ["arn:aws:iam::1:role/admin", "arn:aws:iam::123456789012:user/admin"],
    ),
    (
        "SUBNET_ID",
        "SubnetId",
        ["subnet-01234567", "subnet-0123456789abcdef0"],
        ["subnet-0123456", "subnet-0123456789abcdef", "subnet-0123456789abcdef01", "vpc-01234567"],
    ),
    (
        "VPC_ID",
        "VpcId",
        ["vpc-01234567", "vpc-0123456789abcdef0"],
        ["vpc-0123456", "vpc-0123456789abcdef", "vpc-0123456789abcdef01", "subnet-01234567"],
    ),
]
"""The same with the name of one of cfn-lint's rules, whose import takes a second."""

RUNTIMES_DATE = "2026-11-26"
"""Day on which AWS supported the runtimes in `LAMBDA_RUNTIMES`."""
OLD_VIEWER_TLS = {"SSLv3", "TLSv1", "TLSv1_2016", "TLSv1.1_2016", "TLSv1.2_2018", "TLSv1.2_2019"}
WEAK_KEYS = {"RSA_1024"}
ELSEWHERE = {
    "CLUSTER_NAME",
    "FIXED_RESPONSE_CLASSES",
    "LAMBDA_RUNTIMES",
    "RetentionDays",
    "SERVICE_NETWORKS",
    "STRONG_KEYS",
    "TAG_SIGNS",
    "VIEWER_TLS",
}
"""Constants that have tests of their own below."""


@pytest.mark.parametrize(("name", "path", "bound"), BOUNDS)
def test_limit_is_that_of_the_api(name: str, path: str, bound: str) -> None:
    assert getattr(aws_limits, name) == shape(path).metadata[bound]


@pytest.mark.parametrize(("name", "path"), KEYWORDS)
def test_limit_is_that_of_cloudformation(name: str, path: str) -> None:
    assert getattr(aws_limits, name) == schema(path)


@pytest.mark.parametrize(("name", "path", "sentence"), SENTENCES)
def test_limit_is_the_documented_one(name: str, path: str, sentence: str) -> None:
    assert re.search(
        rf"(?<!\w){re.escape(sentence.format(getattr(aws_limits, name)))}(?!\d)", documentation(path)
    )


@pytest.mark.parametrize(("name", "value", "path", "words"), WORDS)
def test_limit_is_documented_in_words(name: str, value: object, path: str, words: str) -> None:
    assert getattr(aws_limits, name) == value
    assert words in documentation(path)


def assert_forms_agree(name: str, pattern: str, accepted: list[str], rejected: list[str]) -> None:
    for form in (getattr(aws_limits, name), pattern):
        assert all(re.fullmatch(form, value) for value in accepted)
        assert not any(re.fullmatch(form, value) for value in rejected)


@pytest.mark.parametrize(("name", "pattern", "accepted", "rejected"), FORMS)
def test_form_agrees_with_the_outside_pattern(
    name: str, pattern: str, accepted: list[str], rejected: list[str]
) -> None:
    assert_forms_agree(name, pattern, accepted, rejected)


@pytest.mark.parametrize(("name", "rule", "accepted", "rejected"), FORMATS)
def test_form_agrees_with_the_rule_of_cfn_lint(
    name: str, rule: str, accepted: list[str], rejected: list[str]
) -> None:
    module = importlib.import_module(f"cfnlint.rules.formats.{rule}")
    assert_forms_agree(name, getattr(module, rule)().pattern, accepted, rejected)


@pytest.mark.parametrize("name", ["a", "trading-dev_1", "a" * 100, "", "-a", "a.b", "a" * 101])
def test_cluster_names_are_those_of_eks(name: str) -> None:
    eks = shape("eks CreateClusterRequest.name").metadata
    accepted = re.fullmatch(eks["pattern"], name) and eks["min"] <= len(name) <= eks["max"]
    assert bool(re.fullmatch(aws_limits.CLUSTER_NAME, name)) is bool(accepted)


def test_cluster_names_of_the_sandbox_are_the_same() -> None:
    # `sandbox/folder.py` must work without any package, so it can't import settings.
    assert CLUSTER_NAME.pattern == aws_limits.CLUSTER_NAME


def test_capacity_of_every_statement_of_a_web_acl_is_known() -> None:
    # Statements that contain others have their sum, and rule groups have a capacity of their own.
    others = {"AndStatement", "NotStatement", "OrStatement"}
    others |= {"ManagedRuleGroupStatement", "RuleGroupReferenceStatement"}
    statements = set(shape("wafv2 Statement").members) - others
    known = {name[0].upper() + name[1:] for name in aws_limits.STATEMENT_UNITS}
    assert {name.replace("IPSet", "IpSet") for name in statements} == known


def test_ids_of_route_tables_have_the_form_of_other_ids() -> None:
    assert aws_limits.VPC_ID.replace("vpc", "rtb") == aws_limits.ROUTE_TABLE_ID


def test_fixed_responses_have_the_statuses_of_the_api() -> None:
    pattern = shape("elbv2 FixedResponseActionConfig.StatusCode").metadata["pattern"]
    accepted = {status // 100 for status in range(100, 600) if re.fullmatch(pattern, str(status))}
    assert accepted == set(aws_limits.FIXED_RESPONSE_CLASSES)


def test_retention_days_are_those_of_log_groups() -> None:
    assert [*get_args(aws_limits.RetentionDays)] == schema(
        "AWS::Logs::LogGroup properties/RetentionInDays/enum"
    )


def test_signs_of_tags_are_those_of_iam() -> None:
    pattern = shape("iam Tag.Key").metadata["pattern"]
    (signs,) = re.findall(r"\\p\{N\}(.*)\]\+$", pattern)
    assert set(signs.replace("\\", "")) == set(aws_limits.TAG_SIGNS)


def test_keys_of_certificates_are_all_but_the_weak_ones() -> None:
    assert {*aws_limits.STRONG_KEYS} == {*shape("acm KeyAlgorithm").enum} - WEAK_KEYS


def test_security_policies_are_all_but_the_old_ones() -> None:
    assert {*aws_limits.VIEWER_TLS} == {*shape("cloudfront MinimumProtocolVersion").enum} - OLD_VIEWER_TLS


def test_runtimes_are_those_that_aws_supports() -> None:
    file = cfn_lint.data() / "AdditionalSpecs" / "LmbdRuntimeLifecycle.json"
    lives = json.loads(file.read_text())
    supported = {name for name, life in lives.items() if life["deprecated"] > RUNTIMES_DATE}
    assert {*aws_limits.LAMBDA_RUNTIMES} == supported, "change the list and RUNTIMES_DATE"


def test_networks_of_kubernetes_services_are_those_of_eks() -> None:
    text = documentation("eks KubernetesNetworkConfigRequest.serviceIpv4Cidr")
    assert "either the {} or {} CIDR blocks".format(*aws_limits.SERVICE_NETWORKS) in text


def test_manifests_name_the_addresses_of_dns_and_pod_identity() -> None:
    policies = yaml.safe_load_all((ROOT / "k8s/manifests/network-policies.yaml").read_text())
    (policy,) = (item for item in policies if item["metadata"]["name"] == "dns-and-pod-identity")
    dns, identity = ({peer["ipBlock"]["cidr"] for peer in rule["to"]} for rule in policy["spec"]["egress"])
    assert dns == {f"{ipaddress.ip_network(network)[10]}/32" for network in aws_limits.SERVICE_NETWORKS}
    assert identity == {aws_limits.POD_IDENTITY_AGENT}


def test_priorities_of_listener_rules_fit() -> None:
    # The standard rules use the last step, with one priority for each secret.
    assert shape("elbv2 RulePriority").metadata["max"] >= LAST_STEP * PRIORITY_STEP + PRIORITY_STEP


def test_every_limit_is_compared_or_known_from_a_document_alone() -> None:
    compared = {name for name, *_ in [*BOUNDS, *KEYWORDS, *SENTENCES, *WORDS, *FORMS, *FORMATS]} | ELSEWHERE
    assert not compared & BY_DOCUMENT
    assert compared | BY_DOCUMENT == NAMES


def test_every_limit_names_its_source() -> None:
    body = ast.parse(MODULE.read_text()).body
    for statement, docstring in zip(body, [*body[1:], None], strict=True):
        if not isinstance(statement, ast.Assign):
            continue
        name = ast.unparse(statement.targets[0])
        text = ast.literal_eval(docstring.value) if isinstance(docstring, ast.Expr) else ""
        assert re.search(r"`[A-Z]\w+`|\"\w|same document|guides", text), name


@functools.cache
def strings(module: str) -> set[str]:
    """The strings of a module, without docstrings."""
    tree = ast.parse((ROOT / module).read_text())
    docstrings = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    constants = (
        node for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in docstrings
    )
    return {str(node.value) for node in constants}


PARTS = [
    path.relative_to(ROOT).as_posix()
    for part in ("__main__.py", "components", "composition", "policy", "sandbox", "settings")
    for path in ([ROOT / part] if part.endswith(".py") else sorted((ROOT / part).rglob("*.py")))
    if path != MODULE
]


@pytest.mark.parametrize(
    "text",
    [
        "com.amazonaws.",
        aws_limits.WAF_LOGS_PREFIX,
        aws_limits.VENDED_LOGS_PREFIX,
        aws_limits.POD_IDENTITY_AGENT,
        *(network.removesuffix(".0.0/16") for network in aws_limits.SERVICE_NETWORKS),
        *map(str, (aws_limits.BROKER_TLS_PORT, aws_limits.BROKER_SCRAM_PORT, aws_limits.BROKER_IAM_PORT)),
        *map(str, aws_limits.BROKER_EXPORTER_PORTS),
        *map(str, (aws_limits.BROKER_VOLUME_GIB_MAX, aws_limits.VAULT_DAYS_MAX, aws_limits.RATE_LIMIT_MAX)),
        *map(str, (aws_limits.CONNECTION_BYTES, aws_limits.QUEUE_RETENTION_SECONDS)),
        *map(str, (aws_limits.ROLE_POLICIES_LENGTH, aws_limits.MANAGED_POLICY_LENGTH)),
    ],
)
def test_no_other_module_repeats_a_limit(text: str) -> None:
    """Only limits that can be distinguished from other numbers and strings are checked."""
    assert [module for module in PARTS if any(text in constant for constant in strings(module))] == []
