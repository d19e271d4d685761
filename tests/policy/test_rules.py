"""Every rule accepts right values and refuses wrong ones, both plain and as the engine sends them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
from pulumi_policy.proxy import UNKNOWN_STRING_VALUE, UnknownValueError, unknown_checking_proxy

from policy.rule import SECRET, Resource, Rule, Stack
from policy.rules import (
    NAMES,
    RULES,
    STACK_RULES,
    access,
    api,
    cluster_access,
    data,
    edge,
    kubernetes,
    network,
    operations,
    quotas,
    secrets,
)
from tests.unit import harness

TAGS = {"owner": "team", "cost-center": "1", "environment": "live"}
OUR_KEY = "arn:aws:kms:us-east-1:123456789012:key/1"
LIMIT = "arn:aws:iam::123456789012:policy/trading-workloads"
PINNED = "ghcr.io/example/orders@sha256:" + "0" * 64


def resource(
    type_: str,
    properties: dict[str, Any] | None = None,
    name: str = "it",
    *,
    refers_to: str = "",
    protect: bool = True,
    is_production: bool = True,
    environment: str = "",
    permissions_boundary: str = "",
) -> Resource:
    return Resource(
        type=type_,
        name=name,
        urn=f"urn:{name}",
        properties=properties or {},
        provider={"defaultTags": json.dumps({"tags": TAGS})},
        protect=protect,
        sources={"it": frozenset([f"urn:{refers_to}"])} if refers_to else {},
        is_production=is_production,
        environment=environment,
        permissions_boundary=permissions_boundary,
    )


def other(type_: str, properties: dict[str, Any] | None = None) -> Resource:
    """A companion of the resource that is checked."""
    return resource(type_, properties, "other", refers_to="it")


def policy(type_: str, key: str = "policy", **statement: Any) -> Resource:
    return resource(type_, {key: json.dumps({"Statement": [{"Effect": "Allow", **statement}]})})


def deny(**changes: Any) -> Resource:
    """A bucket's policy that denies requests without TLS."""
    bucket = "arn:aws:s3:::reports"
    statement = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": [bucket, f"{bucket}/*"],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
    return other(data.BUCKET_POLICY, {"policy": json.dumps({"Statement": [statement | changes]})})


@dataclass(frozen=True)
class Case:
    good: list[Resource]
    """The first is the resource that is checked."""
    bad: list[Resource]
    says: str
    """Text that the finding must contain."""


def one(type_: str, good: dict[str, Any], bad: dict[str, Any], says: str, **more: Any) -> Case:
    return Case([resource(type_, good, **more)], [resource(type_, bad, **more)], says)


def pair(type_: str, companion: Resource, says: str, bad: list[Resource] | None = None, **good: Any) -> Case:
    it = resource(type_, good)
    return Case([it, companion], [it, *(bad or [])], says)


def several(type_: str, count: int, **properties: Any) -> list[Resource]:
    """Resources of one type, which all belong to the same resource."""
    return [resource(type_, properties, f"number-{number}") for number in range(count)]


def parts(type_: str, most: int, says: str, **properties: Any) -> Case:
    return Case(several(type_, most, **properties), several(type_, most + 1, **properties), says)


def container(**properties: Any) -> dict[str, Any]:
    return {"spec": {"template": {"spec": {"containers": [{"name": "app", **properties}]}}}}


def nested(path: str, value: object) -> dict[str, Any]:
    """Properties that have a value at a path such as `vpcConfig.securityGroupIds`."""
    first, _, rest = path.partition(".")
    return {first: nested(rest, value) if rest else value}


def dashboard(widgets: int, metrics: int) -> str:
    """The body of a dashboard, with metrics and an expression in each widget."""
    lines = [["AWS/Lambda", "Errors"]] * metrics + [[{"expression": "a"}]]
    return json.dumps({"widgets": [{"type": "metric", "properties": {"metrics": lines}}] * widgets})


def rule_group(name: str) -> dict[str, Any]:
    return {"name": name, "statement": {"managedRuleGroupStatement": {"name": name}}}


def trigger(ignore: str) -> dict[str, Any]:
    return {"type": "prometheus", "metadata": {"ignoreNullValues": ignore}}


NOT_FROM = {"StringNotEquals": {"aws:SourceVpce": "vpce-0a1b"}}
HEADERS: dict[str, Any] = {
    "strictTransportSecurity": {
        "accessControlMaxAgeSec": 31_536_000,
        "includeSubdomains": True,
        "override": True,
    },
    "contentTypeOptions": {"override": True},
    "frameOptions": {"frameOption": "DENY", "override": True},
}
MANAGED: dict[str, Any] = {"name": "a", "overrideAction": {"none": {}}}
BLOCKED: dict[str, Any] = dict.fromkeys(
    ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets"), True
)
ALL_METHODS = {"methodPath": "*/*", "settings": {"loggingLevel": "ERROR"}}
BY_KEY = {"rules": [{"applyServerSideEncryptionByDefault": {"kmsMasterKeyId": OUR_KEY}}]}
BY_AWS = {"rules": [{"applyServerSideEncryptionByDefault": {"sseAlgorithm": "AES256"}}]}
LAMBDA = "lambda.amazonaws.com"
OURS = {"StringEquals": {"aws:SourceAccount": "123456789012"}}
ROOT = {"AWS": "arn:aws:iam::123456789012:root"}
DEPLOYMENT = "kubernetes:apps/v1:Deployment"
LIMITS = {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"memory": "1Gi"}}
VIEWER = {
    "acmCertificateArn": "arn",
    "sslSupportMethod": "sni-only",
    "minimumProtocolVersion": "TLSv1.2_2025",
}
TLS_ORIGIN = {"originProtocolPolicy": "https-only", "originSslProtocols": ["TLSv1.2"]}
OLD_ORIGIN = {"originProtocolPolicy": "https-only", "originSslProtocols": ["TLSv1", "TLSv1.2"]}
REDIRECT = {"type": "redirect", "redirect": {"protocol": "HTTPS"}}
MIXED = dict.fromkeys(("requireLowercase", "requireUppercase", "requireNumbers", "requireSymbols"), True)
METRICS = {"name": "a", "visibilityConfig": {"cloudwatchMetricsEnabled": True}}
NO_METRICS = {"name": "a", "visibilityConfig": {"cloudwatchMetricsEnabled": False}}
TARGETS = [
    other(data.SCALING_TARGET, {"scalableDimension": f"dynamodb:table:{kind}CapacityUnits"})
    for kind in ("Read", "Write")
]

CASES = {
    # -- network
    "security-group-admits-no-internet": one(
        network.INGRESS_RULE, {"cidrIpv4": "10.0.0.0/16"}, {"cidrIpv4": "0.0.0.0/0"}, "allows 0.0.0.0/0"
    ),
    "default-security-group-is-empty": pair(
        network.VPC, other(network.DEFAULT_SECURITY_GROUP), "its default security group has AWS's rules"
    ),
    "default-security-group-admits-nobody": one(
        network.DEFAULT_SECURITY_GROUP, {}, {"egress": [{"protocol": "-1"}]}, "has egress rules: remove them"
    ),
    "flow-log-records-rejections": one(
        network.FLOW_LOG, {"trafficType": "ALL"}, {"trafficType": "ACCEPT"}, 'trafficType is "ACCEPT"'
    ),
    "security-group-rules-stay-small": Case(
        [
            resource(network.SECURITY_GROUP, {"ingress": [{"cidrBlocks": ["203.0.113.0/24", "10.0.0.0/8"]}]}),
            other(network.INGRESS_RULE, {"cidrIpv4": "198.51.0.0/16"}),
        ],
        [
            resource(network.SECURITY_GROUP, {"ingress": [{"cidrBlocks": ["52.0.0.0/16", "52.1.0.0/16"]}]}),
            other(network.INGRESS_RULE, {"cidrIpv4": "52.2.0.0/16"}),
            other(network.SECURITY_GROUP_RULE, {"type": "ingress", "cidrBlocks": ["52.3.0.0/16"]}),
            other(network.INGRESS_RULE, {"cidrIpv4": "52.4.0.0/32"}),
        ],
        "its rules admit 262,145 public addresses of IPv4 together, but at most 262,144 are accepted",
    ),
    "vpc-has-flow-logs": pair(network.VPC, other(network.FLOW_LOG, {"trafficType": "ALL"}), "FlowLog"),
    "subnet-assigns-no-public-addresses": one(
        "aws:ec2/subnet:Subnet",
        {"mapPublicIpOnLaunch": False},
        {"mapPublicIpOnLaunch": True},
        "mapPublicIpOnLaunch is true: set it to false",
    ),
    "elastic-ip-is-in-use": pair("aws:ec2/eip:Eip", other("aws:ec2/natGateway:NatGateway"), "is not in use"),
    "vpc-has-registry-endpoints": Case(
        [
            resource(network.VPC),
            other(network.ENDPOINT, {"serviceName": "com.amazonaws.us-east-1.ecr.api"}),
            resource(network.ENDPOINT, {"serviceName": "a.ecr.dkr"}, "third", refers_to="it"),
        ],
        [
            resource(network.VPC),
            other(network.ENDPOINT, {"serviceName": "com.amazonaws.us-east-1.ecr.api"}),
        ],
        "no VpcEndpoint for ecr.dkr",
    ),
    # -- edge
    "cloudfront-has-default-root-object": one(
        edge.DISTRIBUTION, {"defaultRootObject": "index.html"}, {}, "index.html"
    ),
    "cloudfront-viewers-use-https": one(
        edge.DISTRIBUTION,
        {"defaultCacheBehavior": {"viewerProtocolPolicy": "https-only"}},
        {
            "defaultCacheBehavior": {"viewerProtocolPolicy": "https-only"},
            "orderedCacheBehaviors": [{"viewerProtocolPolicy": "allow-all"}],
        },
        "viewerProtocolPolicy is allow-all",
    ),
    "response-headers-protect-browsers": one(
        edge.RESPONSE_HEADERS,
        {"securityHeadersConfig": HEADERS},
        {"securityHeadersConfig": {**HEADERS, "strictTransportSecurity": {"accessControlMaxAgeSec": 300}}},
        "accessControlMaxAgeSec is 300: set it to at least 31536000",
    ),
    "web-acl-blocks": one(
        edge.WEB_ACL,
        {"defaultAction": {"allow": {}}, "rules": [MANAGED, {"name": "b", "action": {"count": {}}}]},
        {"defaultAction": {"allow": {}}, "rules": [{"name": "b", "action": {"count": {}}}]},
        "no rule blocks a request",
    ),
    "listener-forwards-only-proven-requests": Case(
        [
            resource(edge.LISTENER, {"defaultActions": [{"type": "fixed-response"}]}, refers_to="balancer"),
            resource(edge.LOAD_BALANCER, name="balancer"),
            other(
                edge.LISTENER_RULE,
                {
                    "actions": [{"type": "forward"}],
                    "conditions": [{"httpHeader": {"httpHeaderName": "x-origin", "values": [SECRET]}}],
                },
            ),
        ],
        [
            resource(edge.LISTENER, {"defaultActions": [{"type": "fixed-response"}]}, refers_to="balancer"),
            resource(edge.LOAD_BALANCER, name="balancer"),
            other(
                edge.LISTENER_RULE,
                {
                    "actions": [{"type": "forward"}],
                    "conditions": [{"httpHeader": {"httpHeaderName": "x-origin", "values": ["*"]}}],
                },
            ),
        ],
        "other forwards requests of everybody",
    ),
    "cloudfront-is-logged": pair(
        edge.DISTRIBUTION, other(edge.LOG_DELIVERY_SOURCE), "neither a LogDeliverySource"
    ),
    "cloudfront-has-web-acl": one(edge.DISTRIBUTION, {"webAclId": "arn"}, {}, "webAclId is not set"),
    "cloudfront-viewers-use-modern-tls": one(
        edge.DISTRIBUTION,
        {"viewerCertificate": VIEWER},
        {"viewerCertificate": {**VIEWER, "minimumProtocolVersion": "TLSv1"}},
        'minimumProtocolVersion is "TLSv1"',
    ),
    "cloudfront-origins-use-tls": one(
        edge.DISTRIBUTION,
        {"origins": [{"originId": "api", "customOriginConfig": TLS_ORIGIN}]},
        {"origins": [{"originId": "api", "customOriginConfig": OLD_ORIGIN}]},
        "origin api: originSslProtocols",
    ),
    "cloudfront-has-origin-access-control": one(
        edge.DISTRIBUTION,
        {"origins": [{"originId": "app", "originAccessControlId": "E1"}]},
        {"origins": [{"originId": "app"}]},
        "origin app: originAccessControlId",
    ),
    "origin-access-control-signs": one(
        edge.ORIGIN_ACCESS_CONTROL,
        {"signingBehavior": "always"},
        {"signingBehavior": "no-override"},
        'signingBehavior is "no-override": set it to "always"',
    ),
    "certificate-renews-itself": one(
        edge.CERTIFICATE, {"validationMethod": "DNS"}, {"validationMethod": "EMAIL"}, '"DNS"'
    ),
    "certificate-key-is-strong": one(
        edge.CERTIFICATE, {"keyAlgorithm": "RSA_2048"}, {"keyAlgorithm": "RSA_1024"}, "RSA_2048"
    ),
    "alb-redirects-http": one(
        edge.LISTENER,
        {"protocol": "HTTP", "defaultActions": [REDIRECT]},
        {"protocol": "HTTP", "defaultActions": [{"type": "forward"}]},
        "does not redirect to HTTPS",
    ),
    "listener-uses-modern-tls": one(
        edge.LISTENER,
        {"protocol": "HTTPS", "sslPolicy": "ELBSecurityPolicy-TLS13-1-2-Res-PQ-2025-09"},
        {"protocol": "HTTPS", "sslPolicy": "ELBSecurityPolicy-2016-08"},
        "sslPolicy is ELBSecurityPolicy-2016-08",
    ),
    "alb-drops-invalid-headers": one(
        edge.LOAD_BALANCER, {"dropInvalidHeaderFields": True}, {}, "dropInvalidHeaderFields is not set"
    ),
    "load-balancer-is-logged": one(
        edge.LOAD_BALANCER, {"accessLogs": {"enabled": True}}, {}, "accessLogs.enabled is not set"
    ),
    "load-balancer-is-protected": one(
        edge.LOAD_BALANCER, {"enableDeletionProtection": True}, {}, "enableDeletionProtection"
    ),
    "alb-mitigates-desync": one(
        edge.LOAD_BALANCER, {}, {"desyncMitigationMode": "monitor"}, 'desyncMitigationMode is "monitor"'
    ),
    "load-balancer-spans-zones": one(
        edge.LOAD_BALANCER, {"subnets": ["a", "b"]}, {"subnets": ["a"]}, "subnets has 1: name at least 2"
    ),
    "alb-has-web-acl": pair(edge.LOAD_BALANCER, other(edge.WEB_ACL_ASSOCIATION), "WebAclAssociation"),
    "only-albs-face-the-internet": one(
        edge.LOAD_BALANCER,
        {"loadBalancerType": "network", "internal": True},
        {"loadBalancerType": "network", "internal": False},
        "internal is false: set it to true",
    ),
    "web-acl-has-rules": one(edge.WEB_ACL, {"rules": [METRICS]}, {"rules": []}, "rules has 0"),
    "web-acl-is-logged": pair(edge.WEB_ACL, other(edge.WEB_ACL_LOGGING), "WebAclLoggingConfiguration"),
    "web-acl-rules-have-metrics": one(
        edge.WEB_ACL, {"rules": [METRICS]}, {"rules": [NO_METRICS]}, "rule a: visibilityConfig"
    ),
    # -- api
    "api-stage-is-logged": pair(
        api.STAGE,
        other(api.METHOD_SETTINGS, ALL_METHODS),
        "has no MethodSettings for */*",
        [other(api.METHOD_SETTINGS, {**ALL_METHODS, "methodPath": "orders/GET"})],
    ),
    "method-settings-write-logs": one(
        api.METHOD_SETTINGS,
        {"settings": {"loggingLevel": "INFO"}},
        {"settings": {"loggingLevel": "OFF"}},
        'loggingLevel is "OFF"',
    ),
    "api-stage-is-traced": one(api.STAGE, {"xrayTracingEnabled": True}, {}, "xrayTracingEnabled"),
    "api-stage-has-access-log": one(
        api.STAGE, {"accessLogSettings": {"destinationArn": "arn"}}, {}, "destinationArn is not set"
    ),
    "api-keeps-data-to-itself": one(
        api.METHOD_SETTINGS,
        {"settings": {"cachingEnabled": True, "cacheDataEncrypted": True}},
        {"settings": {"cachingEnabled": True}},
        "cacheDataEncrypted",
    ),
    "api-is-private": one(
        api.REST_API,
        {"endpointConfiguration": {"types": "PRIVATE"}},
        {"endpointConfiguration": {"types": "REGIONAL"}},
        'types is "REGIONAL"',
    ),
    "api-domain-uses-modern-tls": one(
        api.DOMAIN_NAME, {"securityPolicy": "TLS_1_2"}, {"securityPolicy": "TLS_1_0"}, "TLS_1_0"
    ),
    "lambda-is-not-public": one(
        api.PERMISSION,
        {"principal": LAMBDA, "sourceArn": "arn:aws:events:us-east-1:123456789012:rule/a"},
        {"principal": LAMBDA},
        "for any account",
    ),
    "lambda-runtime-is-supported": one(
        api.FUNCTION, {"runtime": "python3.13"}, {"runtime": "python3.7"}, 'runtime is "python3.7"'
    ),
    "lambda-is-in-several-zones": one(
        api.FUNCTION,
        {"vpcConfig": {"subnetIds": ["a", "b"]}},
        {"vpcConfig": {"subnetIds": ["a"]}},
        "vpcConfig.subnetIds",
    ),
    "lambda-is-traced-and-encrypted": one(
        api.FUNCTION,
        {"tracingConfig": {"mode": "Active"}, "kmsKeyArn": OUR_KEY},
        {"tracingConfig": {"mode": "Active"}},
        "kmsKeyArn is not set",
    ),
    "user-pool-stops-suspicious-sign-ins": one(
        api.USER_POOL,
        {"userPoolAddOns": {"advancedSecurityMode": "ENFORCED"}},
        {"userPoolAddOns": {"advancedSecurityMode": "AUDIT"}},
        'advancedSecurityMode is "AUDIT"',
    ),
    "user-pool-wants-second-factor": one(
        api.USER_POOL,
        {"mfaConfiguration": "ON", "adminCreateUserConfig": {"allowAdminCreateUserOnly": True}},
        {"mfaConfiguration": "OPTIONAL", "adminCreateUserConfig": {"allowAdminCreateUserOnly": True}},
        'mfaConfiguration is "OPTIONAL"',
    ),
    "user-pool-wants-strong-passwords": one(
        api.USER_POOL,
        {"passwordPolicy": {"minimumLength": 8, **MIXED}},
        {"passwordPolicy": {"minimumLength": 6, **MIXED}},
        "minimumLength is 6: set it to at least 8",
    ),
    "user-pool-is-protected": one(
        api.USER_POOL, {"deletionProtection": "ACTIVE"}, {"deletionProtection": "INACTIVE"}, '"ACTIVE"'
    ),
    # -- data
    "stateful-resource-is-protected": Case(
        [resource(data.TABLE)], [resource(data.TABLE, protect=False)], "protect=True"
    ),
    "rds-cluster-is-encrypted": one(
        data.DB_CLUSTER,
        {"storageEncrypted": True, "kmsKeyId": OUR_KEY},
        {"storageEncrypted": True},
        "kmsKeyId is not set",
    ),
    "rds-cluster-is-protected": one(
        data.DB_CLUSTER,
        {"deletionProtection": True, "deleteAutomatedBackups": False},
        {"deleteAutomatedBackups": False},
        "deletionProtection is not set",
    ),
    "rds-cluster-knows-iam": one(
        data.DB_CLUSTER, {"iamDatabaseAuthenticationEnabled": True}, {}, "iamDatabaseAuthenticationEnabled"
    ),
    "rds-cluster-is-backed-up": one(
        data.DB_CLUSTER, {"backupRetentionPeriod": 7}, {"backupRetentionPeriod": 1}, "at least 7"
    ),
    "rds-snapshots-carry-tags": one(data.DB_CLUSTER, {"copyTagsToSnapshot": True}, {}, "copyTagsToSnapshot"),
    "rds-cluster-is-in-vpc": one(data.DB_CLUSTER, {"dbSubnetGroupName": "ours"}, {}, "subnet group"),
    "rds-administrator-has-own-name": one(
        data.DB_CLUSTER,
        {"masterUsername": "trading_admin"},
        {"masterUsername": "postgres"},
        "masterUsername is postgres",
    ),
    "rds-cluster-publishes-logs": one(
        data.DB_CLUSTER, {"enabledCloudwatchLogsExports": ["postgresql"]}, {}, "does not contain postgresql"
    ),
    "data-is-in-backup-plan": Case(
        [resource(data.DB_CLUSTER, {"masterUsername": "ledger"}), other(data.BACKUP_SELECTION)],
        [
            resource(data.DB_CLUSTER, {"globalClusterIdentifier": "g"}),
            resource(data.BACKUP_SELECTION, name="other", refers_to="another"),
        ],
        "is not in any backup.Selection",
    ),
    "rds-cluster-spans-zones": Case(
        [
            resource(data.DB_CLUSTER),
            other(data.DB_INSTANCE, {"availabilityZone": "us-east-1a"}),
            resource(data.DB_INSTANCE, {"availabilityZone": "us-east-1b"}, "third", refers_to="it"),
        ],
        [
            resource(data.DB_CLUSTER),
            other(data.DB_INSTANCE, {"availabilityZone": "us-east-1a"}),
            resource(data.DB_INSTANCE, {"availabilityZone": "us-east-1a"}, "third", refers_to="it"),
        ],
        "has 2 instances in 1 zones",
    ),
    "rds-instance-is-not-public": one(
        data.DB_INSTANCE, {}, {"publiclyAccessible": True}, "publiclyAccessible is true: set it to false"
    ),
    "rds-instance-is-monitored": one(
        data.DB_INSTANCE,
        {"monitoringInterval": 15, "monitoringRoleArn": "arn"},
        {"monitoringInterval": 0, "monitoringRoleArn": "arn"},
        "monitoringInterval is 0",
    ),
    "rds-events-reach-somebody": pair(
        data.DB_CLUSTER, other(data.EVENT_SUBSCRIPTION), "has no EventSubscription"
    ),
    "event-subscription-has-failures": one(
        data.EVENT_SUBSCRIPTION,
        {"eventCategories": ["failure", "maintenance"]},
        {"eventCategories": ["failure"]},
        "eventCategories lacks maintenance",
    ),
    "rds-parameters-want-tls": one(
        data.DB_PARAMETERS,
        {
            "parameters": [
                {"name": "rds.force_ssl", "value": "1"},
                {"name": "ssl_min_protocol_version", "value": "TLSv1.2"},
            ]
        },
        {"parameters": [{"name": "ssl_min_protocol_version", "value": "TLSv1.2"}]},
        "rds.force_ssl is not 1",
    ),
    "rds-proxy-wants-tls": one(
        data.DB_PROXY, {"requireTls": True}, {"requireTls": False}, "requireTls is false: set it to true"
    ),
    "table-capacity-scales": Case(
        [resource(data.TABLE), *TARGETS], [resource(data.TABLE), TARGETS[0]], "WriteCapacityUnits"
    ),
    "deletion-needs-emptiness": one(
        data.BUCKET, {"forceDestroy": False}, {"forceDestroy": True}, "forceDestroy is true"
    ),
    "global-database-is-protected": one(
        data.GLOBAL_CLUSTER,
        {"deletionProtection": True},
        {"deletionProtection": False},
        "deletionProtection is false",
    ),
    "cache-user-names-its-commands": one(
        data.CACHE_USER,
        {"accessString": "on ~orders:* +@read"},
        {"accessString": "on ~* +@all"},
        "allows all commands",
    ),
    "brokers-write-logs": one(
        data.BROKERS,
        {"loggingInfo": {"brokerLogs": {"cloudwatchLogs": {"enabled": True}}}},
        {"loggingInfo": {"brokerLogs": {"cloudwatchLogs": {"enabled": False}}}},
        "loggingInfo.brokerLogs has no place",
    ),
    "rotation-takes-place": one(
        access.ROTATION,
        {"rotationRules": {"automaticallyAfterDays": 30}},
        {"rotationRules": {"automaticallyAfterDays": 1000}},
        "automaticallyAfterDays is 1000",
    ),
    "secret-can-be-restored": one(
        access.SECRET_VALUE_HOLDER,
        {"recoveryWindowInDays": 30},
        {"recoveryWindowInDays": 0},
        "recoveryWindowInDays is 0",
    ),
    "table-has-point-in-time-recovery": one(
        data.TABLE, {"pointInTimeRecovery": {"enabled": True}}, {}, "pointInTimeRecovery.enabled is not set"
    ),
    "table-is-protected": one(data.TABLE, {"deletionProtectionEnabled": True}, {}, "deletionProtection"),
    "table-is-encrypted": one(
        data.TABLE,
        {"serverSideEncryption": {"enabled": True, "kmsKeyArn": OUR_KEY}},
        {
            "serverSideEncryption": {
                "enabled": True,
                "kmsKeyArn": "arn:aws:kms:us-east-1:1:alias/aws/dynamodb",
            }
        },
        "kmsKeyArn is an AWS managed key",
    ),
    "cache-is-backed-up": one(
        data.CACHE, {"snapshotRetentionLimit": 1}, {"snapshotRetentionLimit": 0}, "at least 1"
    ),
    "cache-fails-over": one(
        data.CACHE,
        {"automaticFailoverEnabled": True, "multiAzEnabled": True},
        {"automaticFailoverEnabled": True},
        "multiAzEnabled is not set",
    ),
    "cache-is-encrypted": one(
        data.CACHE,
        {"atRestEncryptionEnabled": True, "kmsKeyId": OUR_KEY},
        {"atRestEncryptionEnabled": True},
        "kmsKeyId",
    ),
    "cache-uses-tls": one(
        data.CACHE, {"transitEncryptionEnabled": True}, {}, "transitEncryptionEnabled is not set"
    ),
    "cache-clients-sign-in": one(data.CACHE, {"userGroupIds": ["ours"]}, {}, "user group"),
    "cache-user-authenticates": one(
        data.CACHE_USER,
        {"authenticationMode": {"type": "iam"}},
        {"authenticationMode": {"type": "no-password-required"}},
        "it needs no password: set authenticationMode.type",
    ),
    "subscription-is-encrypted": one(
        data.SUBSCRIPTION, {"protocol": "https"}, {"protocol": "http"}, 'protocol is "http": use https'
    ),
    "user-pool-client-uses-codes": one(
        api.USER_POOL_CLIENT,
        {"allowedOauthFlows": ["client_credentials"], "generateSecret": True},
        {"allowedOauthFlows": ["code", "implicit"]},
        "allowedOauthFlows contains implicit",
    ),
    "cache-is-in-vpc": one(data.CACHE, {"subnetGroupName": "a"}, {"subnetGroupName": "default"}, "default"),
    "brokers-are-encrypted": one(
        data.BROKERS,
        {"encryptionInfo": {"encryptionAtRestKmsKeyArn": OUR_KEY}},
        {
            "encryptionInfo": {
                "encryptionAtRestKmsKeyArn": OUR_KEY,
                "encryptionInTransit": {"clientBroker": "TLS_PLAINTEXT"},
            }
        },
        'clientBroker is "TLS_PLAINTEXT"',
    ),
    "brokers-are-monitored": one(
        data.BROKERS,
        {"enhancedMonitoring": "PER_TOPIC_PER_BROKER"},
        {"enhancedMonitoring": "DEFAULT"},
        "PER_TOPIC_PER_BROKER",
    ),
    "brokers-are-private": one(
        data.BROKERS,
        {"clientAuthentication": {"unauthenticated": False, "sasl": {"iam": True}}},
        {"clientAuthentication": {"unauthenticated": True, "sasl": {"iam": True}}},
        "unauthenticated is true",
    ),
    "brokers-span-zones": one(
        data.BROKERS,
        {"brokerNodeGroupInfo": {"clientSubnets": ["a", "b", "c"]}},
        {"brokerNodeGroupInfo": {"clientSubnets": ["a", "b"]}},
        "at least 3",
    ),
    "topic-is-encrypted": one(
        data.TOPIC, {"kmsMasterKeyId": OUR_KEY}, {"kmsMasterKeyId": "alias/aws/sns"}, "an AWS managed key"
    ),
    "queue-is-encrypted": one(data.QUEUE, {"kmsMasterKeyId": OUR_KEY}, {}, "kmsMasterKeyId is not set"),
    "workspace-is-encrypted": one(data.WORKSPACE, {"kmsKeyArn": OUR_KEY}, {}, "kmsKeyArn is not set"),
    "backup-vault-is-encrypted": one(data.BACKUP_VAULT, {"kmsKeyArn": OUR_KEY}, {}, "kmsKeyArn is not set"),
    "bucket-blocks-public-access": pair(
        data.BUCKET, other(data.PUBLIC_ACCESS_BLOCK), "has no BucketPublicAccessBlock"
    ),
    "public-access-block-is-complete": one(
        data.PUBLIC_ACCESS_BLOCK,
        BLOCKED,
        {**BLOCKED, "restrictPublicBuckets": False},
        "restrictPublicBuckets is false",
    ),
    "bucket-wants-tls": pair(data.BUCKET, deny(), "has no BucketPolicy"),
    "bucket-policy-wants-tls": Case(
        [deny()],
        [policy(data.BUCKET_POLICY, Principal=ROOT, Action="s3:GetObject")],
        "where aws:SecureTransport is false: deny it",
    ),
    "bucket-policy-gives-no-control": Case(
        [policy(data.BUCKET_POLICY, Principal=ROOT, Action=["s3:GetObject"])],
        [policy(data.BUCKET_POLICY, Principal=ROOT, Action="s3:PutBucketPolicy")],
        "allows s3:putbucketpolicy",
    ),
    "bucket-keeps-versions": Case(
        [
            resource(data.BUCKET),
            other(data.VERSIONING),
            resource(data.LIFECYCLE, name="third", refers_to="other"),
        ],
        [
            resource(data.BUCKET),
            resource(data.LIFECYCLE, name="third", refers_to="it"),
        ],
        "has no BucketVersioning: add one",
    ),
    "bucket-has-no-acls": pair(data.BUCKET, other(data.OWNERSHIP), "has no BucketOwnershipControls"),
    "ownership-excludes-acls": one(
        data.OWNERSHIP,
        {"rule": {"objectOwnership": "BucketOwnerEnforced"}},
        {"rule": {"objectOwnership": "ObjectWriter"}},
        "BucketOwnerEnforced",
    ),
    "versioning-is-enabled": one(
        data.VERSIONING,
        {"versioningConfiguration": {"status": "Enabled"}},
        {"versioningConfiguration": {"status": "Suspended"}},
        'status is "Suspended": set it to "Enabled"',
    ),
    "lifecycle-is-in-force": one(
        data.LIFECYCLE,
        {"rules": [{"status": "Disabled"}, {"status": "Enabled"}]},
        {"rules": [{"status": "Disabled"}]},
        "no rule has status Enabled",
    ),
    "bucket-is-encrypted": pair(
        data.BUCKET, other(data.ENCRYPTION), "has no BucketServerSideEncryptionConfiguration"
    ),
    "bucket-encryption-uses-our-key": one(
        data.ENCRYPTION, BY_KEY, BY_AWS, "a rule does not use the region's key: set kmsMasterKeyId"
    ),
    # -- access
    "no-iam-users": Case([resource(access.ROLE)], [resource("aws:iam/user:User")], "use a role"),
    "role-has-the-boundary": one(
        access.ROLE,
        {"permissionsBoundary": LIMIT},
        {},
        f'permissionsBoundary is not set: set it to "{LIMIT}"',
        permissions_boundary=LIMIT,
    ),
    "key-is-hard-to-delete": one(
        access.KEY,
        {"deletionWindowInDays": 30},
        {"deletionWindowInDays": 7},
        "deletionWindowInDays is 7: set it to 30",
    ),
    "key-is-rotated": one(access.KEY, {"enableKeyRotation": True}, {}, "enableKeyRotation is not set"),
    "secret-is-rotated": pair(access.SECRET_VALUE_HOLDER, other(access.ROTATION), "SecretRotation"),
    "secret-is-encrypted": one(access.SECRET_VALUE_HOLDER, {"kmsKeyId": OUR_KEY}, {}, "kmsKeyId is not set"),
    "secrets-are-secret": one(
        data.DB_CLUSTER,
        {"masterPassword": SECRET, "tokenValidityUnits": {"accessToken": "minutes"}},
        {"masterPassword": "hunter2"},
        "masterPassword is plain text",
    ),
    # -- documents
    "document-is-readable": Case(
        [policy(data.TOPIC_POLICY, Principal=ROOT, Action="sns:Publish")],
        [resource(data.TOPIC_POLICY, {"policy": SECRET})],
        "policy is secret as a whole",
    ),
    "document-admits-only-us": Case(
        [policy(data.TOPIC_POLICY, Principal={"Service": LAMBDA}, Action="sns:Publish", Condition=OURS)],
        [policy(data.TOPIC_POLICY, Principal={"AWS": "*"}, Action="sns:Publish")],
        "policy allows sns:publish to everyone (*): name principals",
    ),
    "endpoint-reaches-only-us": Case(
        [policy(network.ENDPOINT, Principal="*", Action="s3:GetObject", Resource="arn:aws:s3:::reports/*")],
        [policy(network.ENDPOINT, Principal="*", Action="s3:GetObject", Resource="*")],
        'lets everyone through to "*"',
    ),
    "policy-names-its-actions": Case(
        [policy(access.ROLE_POLICY, Action="s3:GetObject", Resource="arn")],
        [policy(access.ROLE_POLICY, Action=["s3:*"], Resource="arn")],
        "policy allows s3:*: name the actions",
    ),
    "policy-names-its-resources": Case(
        [policy(access.ROLE_POLICY, Action="ec2:DescribeSubnets", Resource="*")],
        [policy(access.ROLE_POLICY, Action="s3:GetObject", Resource="*")],
        'policy allows s3:getobject on "*"',
    ),
    "policy-decrypts-with-named-keys": Case(
        [policy(access.ROLE_POLICY, Action="kms:Decrypt", Resource=OUR_KEY)],
        [policy(access.ROLE_POLICY, Action="kms:Decrypt", Resource="arn:aws:kms:*:123456789012:key/*")],
        "name the keys",
    ),
    "policy-gives-no-way-up": Case(
        [policy(access.ROLE_POLICY, Action="iam:PassRole", Resource="arn:aws:iam::123456789012:role/a")],
        [policy(access.ROLE_POLICY, Action="iam:PassRole", Resource="arn:aws:iam::123456789012:role/a*")],
        "name each resource, without a wildcard",
    ),
    "managed-policy-is-listed": one(
        access.ATTACHMENT,
        {"policyArn": "arn:aws:iam::aws:policy/CloudWatchAgentServerPolicy"},
        {"policyArn": "arn:aws:iam::aws:policy/AmazonS3FullAccess"},
        "policyArn is AmazonS3FullAccess",
    ),
    "attached-policy-is-known": Case(
        [
            replace(
                resource(access.ATTACHMENT, {"policyArn": "arn:aws:iam::123456789012:policy/a"}),
                sources={"policyArn": frozenset(["urn:other"])},
            ),
            other(access.POLICY),
        ],
        [resource(access.ATTACHMENT, {"policyArn": "arn:aws:iam::123456789012:policy/a"})],
        "which no rule can check",
    ),
    "nothing-is-shared-with-strangers": one(
        "aws:kms/grant:Grant",
        {"granteePrincipal": "arn:aws:iam::123456789012:role/a"},
        {"granteePrincipal": "arn:aws:iam::999999999999:role/a"},
        "granteePrincipal is arn:aws:iam::999999999999:role/a",
    ),
    # -- operations
    "resource-is-tagged": one(
        operations.PROVIDER,
        {"defaultTags": json.dumps({"tags": TAGS})},
        {"defaultTags": {"tags": {**TAGS, "owner": ""}}},
        "do not contain owner",
    ),
    "provider-names-the-environment": one(
        operations.PROVIDER,
        {"defaultTags": {"tags": {"environment": "dev"}}},
        {"defaultTags": json.dumps({"tags": {"environment": "Dev"}})},
        "the tag environment in defaultTags is Dev, but the stack's settings say dev",
        environment="dev",
    ),
    "region-is-allowed": one(
        operations.PROVIDER, {"region": "us-east-1"}, {"region": "me-south-1"}, 'region is "me-south-1"'
    ),
    "log-group-forgets": one(
        operations.LOG_GROUP, {"retentionInDays": 30}, {"retentionInDays": 0}, "retentionInDays is 0"
    ),
    "log-group-is-encrypted": one(operations.LOG_GROUP, {"kmsKeyId": OUR_KEY}, {}, "kmsKeyId is not set"),
    "alarm-tells-somebody": pair(operations.METRIC_ALARM, other(operations.COMPOSITE_ALARM), "name a topic"),
    "composite-alarm-tells-somebody": one(
        operations.COMPOSITE_ALARM, {"alarmActions": ["arn"]}, {"alarmActions": []}, "name a topic"
    ),
    "condition-names-our-network": Case(
        [
            replace(deny(Condition=NOT_FROM), sources={"policy": frozenset(["urn:third"])}),
            resource(network.ENDPOINT, name="third"),
        ],
        [deny(Condition=NOT_FROM), resource(network.ENDPOINT, name="third")],
        "policy has a condition on vpce-0a1b, which this program does not create",
    ),
    # -- kubernetes
    "cluster-is-protected": one(
        kubernetes.CLUSTER, {"deletionProtection": True}, {}, "deletionProtection is not set"
    ),
    "cluster-version-is-supported": one(
        kubernetes.CLUSTER, {"version": "1.36"}, {"version": "1.30"}, "version is 1.30"
    ),
    "cluster-secrets-are-encrypted": one(
        kubernetes.CLUSTER,
        {"encryptionConfig": {"provider": {"keyArn": OUR_KEY}}},
        {},
        "encryptionConfig.provider.keyArn is not set",
    ),
    "cluster-is-audited": one(
        kubernetes.CLUSTER,
        {"enabledClusterLogTypes": ["api", "audit"]},
        {"enabledClusterLogTypes": ["api"]},
        "does not contain audit",
    ),
    "cluster-endpoint-is-not-open": one(
        kubernetes.CLUSTER,
        {"vpcConfig": {"endpointPublicAccess": True, "publicAccessCidrs": ["203.0.113.0/24"]}},
        {"vpcConfig": {"endpointPublicAccess": True}},
        "whole internet",
    ),
    "node-disks-are-encrypted": one(
        kubernetes.NODE_CLASS,
        {"spec": {"ephemeralStorage": {"kmsKeyID": OUR_KEY}}},
        {},
        "kmsKeyID is not set",
    ),
    "nodes-deny-by-default": one(
        kubernetes.NODE_CLASS, {"spec": {"networkPolicy": "DefaultDeny"}}, {}, '"DefaultDeny"'
    ),
    "chart-is-pinned": one(
        kubernetes.RELEASE,
        {"chart": "keda", "version": "2.21.0"},
        {"chart": "keda"},
        "version is not set",
    ),
    "image-is-pinned": one(
        DEPLOYMENT, container(image=PINNED), container(image="ghcr.io/example/orders"), "must name a version"
    ),
    "containers-have-fixed-files": one(
        DEPLOYMENT,
        container(securityContext={"readOnlyRootFilesystem": True}),
        container(securityContext={"readOnlyRootFilesystem": False}),
        "container app: readOnlyRootFilesystem is not true",
    ),
    "pods-get-no-token": one(
        DEPLOYMENT,
        {"spec": {"template": {"spec": {"automountServiceAccountToken": False}}}},
        container(),
        "automountServiceAccountToken is not false",
    ),
    "image-is-reachable": one(
        DEPLOYMENT, container(image=PINNED), container(image="nginx:1.29.4"), "comes from docker.io"
    ),
    "image-has-digest": one(
        DEPLOYMENT,
        container(image=PINNED),
        container(image="ghcr.io/example/orders:1.4.2"),
        "image ghcr.io/example/orders:1.4.2 has no digest",
    ),
    "image-is-trusted": one(
        DEPLOYMENT,
        container(image=PINNED),
        container(image=PINNED.replace("ghcr.io", "ghcr.example.com")),
        "comes from ghcr.example.com: use a private registry of Amazon ECR",
    ),
    "pods-are-isolated": one(
        DEPLOYMENT, container(), {"spec": {"template": {"spec": {"hostNetwork": True}}}}, "hostNetwork is set"
    ),
    "containers-have-no-privileges": one(
        DEPLOYMENT,
        container(securityContext={"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}),
        container(securityContext={"allowPrivilegeEscalation": False}),
        "container app: capabilities.drop does not contain ALL: add it",
    ),
    "containers-run-as-users": one(
        DEPLOYMENT,
        container(securityContext={"runAsNonRoot": True}),
        container(securityContext={"runAsNonRoot": True, "runAsUser": 0}),
        "container app: runAsUser is 0: use another user",
    ),
    "containers-are-confined": one(
        DEPLOYMENT,
        container(securityContext={"seccompProfile": {"type": "Localhost"}}),
        container(securityContext={"seccompProfile": {"type": "Unconfined"}}),
        "container app: seccompProfile.type is Unconfined: set it to RuntimeDefault",
    ),
    "containers-have-limits": one(
        DEPLOYMENT,
        container(resources=LIMITS),
        container(resources={**LIMITS, "limits": {}}),
        "resources.limits.memory is not set",
    ),
    "scaling-survives-missing-metrics": one(
        kubernetes.SCALED_OBJECT,
        {"spec": {"triggers": [trigger("false")], "fallback": {"replicas": 3}}},
        {"spec": {"triggers": [trigger("true")], "fallback": {"replicas": 3}}},
        "ignoreNullValues",
    ),
    "access-entry-names-no-masters": one(
        kubernetes.ACCESS_ENTRY,
        {"kubernetesGroups": ["readers"]},
        {"kubernetesGroups": ["system:masters"]},
        "kubernetesGroups contains system:masters",
    ),
    "cluster-role-is-narrow": one(
        "kubernetes:rbac.authorization.k8s.io/v1:ClusterRole",
        {"rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]},
        {"rules": [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}]},
        "a rule allows secrets of the whole cluster",
    ),
    "cluster-binding-is-narrow": one(
        "kubernetes:rbac.authorization.k8s.io/v1:RoleBinding",
        {"roleRef": {"name": "reader"}, "subjects": [{"kind": "Group", "name": "operators"}]},
        {"roleRef": {"name": "reader"}, "subjects": [{"kind": "Group", "name": "system:authenticated"}]},
        "subjects contains system:authenticated",
    ),
    "namespace-is-restricted": one(
        cluster_access.NAMESPACES[0],
        {"metadata": {"labels": {cluster_access.ENFORCE: "restricted"}}},
        {"metadata": {"labels": {cluster_access.ENFORCE: "baseline"}}},
        "enforce is baseline: set it to restricted",
    ),
    "service-is-internal": one(
        cluster_access.SERVICES[0],
        {"spec": {"type": "ClusterIP"}},
        {"spec": {"type": "LoadBalancer"}},
        "spec.type is LoadBalancer: use ClusterIP and a TargetGroupBinding",
    ),
    # -- secrets
    "values-are-no-secrets": one(
        "kubernetes:core/v1:ConfigMap",
        {"data": {"settings": "region=us-east-1"}},
        {"data": {"settings": "key=" + "AKIA" + "Z7QWERTYUIOPASDF"}},
        "data.settings contains an AWS access key",
    ),
    "stack-shows-no-secrets": one(
        secrets.STACK,
        {
            "outputs": {"url": "https://trade.example.com"},
            secrets.CONFIGURATION: {"trading:environment": "dev"},
        },
        {"outputs": {"login": "postgres://app:" + "hunter2@db/trading"}},
        "outputs.login contains a password in an address",
    ),
    # -- types
    "type-is-known": Case(
        [resource(data.BUCKET)],
        [resource("aws:lambda/functionUrl:FunctionUrl")],
        "no rule checks aws:lambda/functionUrl:FunctionUrl",
    ),
    # -- quotas
    "policy-fits": one(
        access.ROLE,
        {"assumeRolePolicy": "{}" + " \n" * 2048},  # white space doesn't count
        {"assumeRolePolicy": "x" * 2049},
        "assumeRolePolicy has 2,049 characters without white space, but AWS accepts 2,048",
    ),
    "inline-policies-fit": parts(
        access.ROLE_POLICY, 10, "have 11,264 characters", role="a", policy="x" * 1024
    ),
    "list-fits": one(
        edge.LOAD_BALANCER,
        {"securityGroups": ["a"] * 5},
        {"securityGroups": ["a"] * 6},
        "securityGroups has 6 entries, but AWS accepts 5",
    ),
    "text-fits": one(
        operations.METRIC_ALARM,
        {"name": "a" * 255},
        {"name": "a" * 256},
        "name has 256 characters, but AWS accepts 255",
    ),
    "tags-fit": one(
        operations.HEALTH_CHECK,
        {"tags": {f"tag-{number}": "a" for number in range(7)}},
        {"tags": {f"tag-{number}": "a" for number in range(8)}},
        "has 11 tags with the provider's defaultTags, but AWS accepts 10",
    ),
    "parts-fit": parts(edge.LISTENER, 50, "is one of 51 listeners of the load balancer", loadBalancerArn="a"),
    "security-group-has-room": Case(
        [
            *several(network.INGRESS_RULE, 5, securityGroupId="a", cidrIpv4="10.0.0.0/16"),
            resource(network.INGRESS_RULE, {"securityGroupId": "a", "prefixListId": "pl-1"}),
            *several(quotas.EGRESS_RULE, 60, securityGroupId="a", referencedSecurityGroupId="b"),
            *several(network.INGRESS_RULE, 60, securityGroupId="b", referencedSecurityGroupId="b"),
        ],
        [
            *several(network.INGRESS_RULE, 6, securityGroupId="a", cidrIpv4="10.0.0.0/16"),
            resource(network.INGRESS_RULE, {"securityGroupId": "a", "prefixListId": "pl-1"}),
        ],
        "IPv4 rules that count as 61 in this direction, but AWS accepts 60",
    ),
    "vpc-has-room-for-endpoints": parts(
        network.ENDPOINT,
        50,
        "51 interface endpoints of the VPC",
        vpcId="a",
        vpcEndpointType="Interface",
    ),
    "network-acl-has-room": parts(
        quotas.NETWORK_ACL_RULE, 19, "20 rules of the network ACL, but AWS accepts 19", networkAclId="a"
    ),
    "region-has-room-for-log-policies": parts(
        quotas.LOG_POLICY, 10, "11 resource policies for logs in us-east-1", region="us-east-1"
    ),
    "composite-alarm-fits": one(
        operations.COMPOSITE_ALARM,
        {"alarmRule": " OR ".join(f'ALARM("{number}")' for number in [*range(100), *range(100)])},
        {"alarmRule": " OR ".join(f'ALARM("{number}")' for number in range(101))},
        "alarmRule names 101 alarms, but CloudWatch accepts 100",
    ),
    "alarm-metrics-fit": one(
        operations.METRIC_ALARM,
        {"metricQueries": [{"expression": "a"}, *[{"metric": {"metricName": "a"}}] * 10]},
        {"metricQueries": [{"expression": "a"}, *[{"metric": {"metricName": "a"}}] * 11]},
        "metricQueries has 11 metrics",
    ),
    "dashboard-fits": one(
        quotas.DASHBOARD,
        {"dashboardBody": dashboard(25, 100)},
        {"dashboardBody": dashboard(26, 100)},
        "dashboardBody has 2600 metrics, but CloudWatch accepts 2500",
    ),
    "function-environment-fits": one(
        api.FUNCTION,
        {"environment": {"variables": {"ROUTES": "x" * 4081}}},
        {"environment": {"variables": {"ROUTES": "x" * 4084}}},
        "environment.variables have 4,097 bytes, of which ROUTES has the most",
    ),
    "web-acl-fits": one(
        edge.WEB_ACL,
        {"rules": [rule_group("AWSManagedRulesCommonRuleSet")] * 2},
        {"rules": [rule_group("AWSManagedRulesCommonRuleSet")] * 3},
        "rules use up to 2,100 capacity units, but the base price includes 1,500",
    ),
}

WRONG_TOO = [
    *(
        ("stack-shows-no-secrets", resource(secrets.STACK, {place: {"a": "q7Rt2Vx9Lm4Zp8Kd3Ws6Yb1N"}}))
        for place in ("outputs", secrets.CONFIGURATION)
    ),
    ("cache-user-authenticates", resource(data.CACHE_USER, {"noPasswordRequired": True})),
    ("cache-user-authenticates", resource(data.CACHE_USER)),
    (
        "user-pool-client-uses-codes",
        resource(api.USER_POOL_CLIENT, {"explicitAuthFlows": ["ALLOW_USER_PASSWORD_AUTH"]}),
    ),
    (
        "user-pool-client-uses-codes",
        resource(api.USER_POOL_CLIENT, {"allowedOauthFlows": ["client_credentials"]}),
    ),
    ("policy-fits", resource(data.BUCKET_POLICY, {"policy": " " * 20_481})),
    ("policy-fits", resource(access.KEY, {"policy": "é" * 16_385})),
    ("text-fits", resource(operations.COMPOSITE_ALARM, {"alarmRule": "x" * 10_241})),
    ("dashboard-fits", resource(quotas.DASHBOARD, {"dashboardBody": dashboard(501, 0)})),
    ("web-acl-fits", resource(edge.WEB_ACL, {"rules": [rule_group("AWSManagedRulesNew")]})),
    *(
        ("list-fits", resource(type_, nested(path, ["a"] * (most + 1))))
        for type_, lists in quotas.LISTS.items()
        for path, most in lists
    ),
    ("security-group-admits-no-internet", resource(network.INGRESS_RULE, {"cidrIpv4": "128.0.0.0/1"})),
    ("security-group-admits-no-internet", resource(network.INGRESS_RULE, {"cidrIpv6": "::/0"})),
    (
        "cluster-endpoint-is-not-open",
        resource(kubernetes.CLUSTER, {"vpcConfig": {"publicAccessCidrs": ["203.0.113.0/24", "0.0.0.0/0"]}}),
    ),
    ("chart-is-pinned", resource(kubernetes.RELEASE, {"chart": "keda", "version": "^2.21.0"})),
    ("image-is-pinned", resource(DEPLOYMENT, container(image="ghcr.io/example/orders:latest"))),
    (
        "policy-names-its-resources",
        policy(access.ROLE_POLICY, Action="s3:GetObject", Resource="arn:aws:s3:::*"),
    ),
    (
        "policy-names-its-resources",
        policy(access.ROLE_POLICY, Action="dynamodb:GetItem", Resource="arn:aws:dynamodb:*:1:table/*"),
    ),
    (
        "policy-names-its-resources",
        policy(access.POLICY, Action="iam:PassRole", Resource="arn:aws:iam::123456789012:role/*"),
    ),
    ("policy-names-its-resources", policy(access.POLICY, Action="s3:GetObject", NotResource="arn")),
    *(
        ("policy-names-its-resources", policy(access.POLICY, Action="s3:GetObject", Resource=resources))
        for resources in (
            "**",
            "arn:aws:s3:::*/*",
            "arn:aws:dynamodb:*:*:table/*/index/*",
            "arn:aws:iam::*:role/**",
        )
    ),
    *(
        ("policy-decrypts-with-named-keys", policy(access.POLICY, Action=action, Resource="*"))
        for action in ("kms:De*", "KMS:Decrypt", "kms:ReEncryptFrom", "*")
    ),
    *(
        (
            "document-admits-only-us",
            policy(data.TOPIC_POLICY, Principal="*", Action="sns:Publish", Condition=condition),
        )
        for condition in (
            {"Bool": {"aws:SecureTransport": "true"}},
            {"StringLike": {"aws:SourceArn": "*"}},
            {"StringNotEquals": {"aws:SourceAccount": "123456789012"}},
            {"StringEqualsIfExists": {"aws:SourceAccount": "123456789012"}},
        )
    ),
    (
        "document-admits-only-us",
        policy(access.ROLE, "assumeRolePolicy", NotPrincipal={"AWS": "1"}, Action="sts:AssumeRole"),
    ),
    ("document-admits-only-us", policy(data.TOPIC_POLICY, NotPrincipal={"AWS": "1"}, Action="sns:Publish")),
    ("document-admits-only-us", policy(data.BUCKET_POLICY, Principal="*", Action="s3:GetObject")),
    ("bucket-policy-gives-no-control", policy(data.BUCKET_POLICY, Principal=ROOT, NotAction="s3:GetObject")),
    *(
        (
            "table-is-encrypted",
            resource(data.TABLE, {"serverSideEncryption": {"enabled": True, "kmsKeyArn": key}}),
        )
        for key in (
            "arn:aws:kms:us-east-1:999999999999:key/1",
            "arn:aws:kms:us-east-1:999999999999:alias/ours",
        )
    ),
    (
        "lambda-is-traced-and-encrypted",
        resource(
            api.FUNCTION,
            {"tracingConfig": {"mode": "Active"}, "kmsKeyArn": "arn:aws:kms:a:1:alias/aws/lambda"},
        ),
    ),
]
"""Wrong resources in addition to the cases above."""

RIGHT_TOO = [
    (
        "policy-names-its-resources",
        policy(access.ROLE_POLICY, Action="s3:GetObject", Resource="arn:aws:s3:::bucket/*"),
    ),
    (
        "policy-names-its-resources",
        policy(
            access.ROLE_POLICY,
            Action="dynamodb:Query",
            Resource="arn:aws:dynamodb:us-east-1:123456789012:table/market-data/index/*",
        ),
    ),
    (
        "document-admits-only-us",
        policy(
            data.TOPIC_POLICY,
            Principal="*",
            Action="sns:Publish",
            Condition={"StringEquals": {"aws:SourceAccount": "123456789012"}},
        ),
    ),
    ("chart-is-pinned", resource(kubernetes.CHART, {"chart": "./k8s/charts/microservice"})),
]
"""Right resources that a stricter rule would refuse."""

BY_NAME = {rule.name: rule for rule in (*RULES, *STACK_RULES)}


def judge(name: str, resources: list[Resource]) -> Iterator[str]:
    """The findings of a rule for the first of these resources."""
    rule, it = BY_NAME[name], resources[0]
    if rule.applies_to(it.type):
        yield from rule.check(it) if isinstance(rule, Rule) else rule.check(it, Stack(resources))


def as_the_engine_has_it(it: Resource) -> Resource:
    """The resource as the engine sends it: with its wrappers, and with all numbers as floats."""
    floats = json.loads(json.dumps(it.properties), parse_int=float)
    return replace(it, properties=unknown_checking_proxy(floats))


def test_every_rule_has_a_case() -> None:
    assert sorted(CASES) == sorted(NAMES)
    assert len(set(NAMES)) == len(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_rule_passes_what_is_right_and_refuses_what_is_wrong(name: str) -> None:
    case = CASES[name]
    assert list(judge(name, case.good)) == []
    assert case.says in "\n".join(judge(name, case.bad))


@pytest.mark.parametrize(("name", "it"), WRONG_TOO)
def test_rule_refuses_this_too(name: str, it: Resource) -> None:
    assert len(list(judge(name, [it]))) == 1


@pytest.mark.parametrize(("name", "it"), RIGHT_TOO)
def test_rule_passes_this_too(name: str, it: Resource) -> None:
    assert list(judge(name, [it])) == []


@pytest.mark.parametrize("name", NAMES)
def test_rule_judges_the_same_in_the_engine(name: str) -> None:
    case = CASES[name]
    for resources in (case.good, case.bad):
        wrapped = [as_the_engine_has_it(it) for it in resources]
        assert list(judge(name, wrapped)) == list(judge(name, resources))


@pytest.mark.parametrize("name", NAMES)
def test_rule_finds_nothing_wrong_in_what_a_preview_does_not_know(name: str) -> None:
    good = CASES[name].good
    for index, it in enumerate(good):
        for key in it.properties:
            unknown = replace(
                it, properties=unknown_checking_proxy({**it.properties, key: UNKNOWN_STRING_VALUE})
            )
            try:
                found = list(judge(name, [*good[:index], unknown, *good[index + 1 :]]))
            except UnknownValueError:
                continue
            assert found == [], f"{it.name}: {key}"


@pytest.mark.parametrize("name", NAMES)
def test_rule_finds_nothing_wrong_in_a_secret(name: str) -> None:
    for key in ("policy", "assumeRolePolicy"):
        for it in CASES[name].bad[:1]:
            if key in it.properties and name != "document-is-readable":
                assert list(judge(name, [replace(it, properties={key: SECRET})])) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"Effect": "Allow"},
        {"Principal": {"AWS": "123456789012"}},
        {"Action": "s3:GetObject"},
        {"Resource": "arn:aws:s3:::reports"},
        {"Resource": "arn:aws:s3:::reports/*"},
        {"Condition": {"Bool": {"aws:SecureTransport": "true"}}},
        {"Condition": {"Bool": {"aws:SecureTransport": "false", "aws:ViaAWSService": "false"}}},
        {"Condition": {"Bool": {"aws:SecureTransport": "false"}, "StringEquals": {"aws:UserAgent": "a"}}},
        {"Condition": {"Bool": {"aws:SecureTransport": ["false", "true"]}}},
    ],
)
def test_deny_of_plain_http_covers_everyone_and_everything(changes: dict[str, Any]) -> None:
    """The last change denies more than needed, even requests with TLS, which can't be meant."""
    assert list(judge("bucket-policy-wants-tls", [deny()])) == []
    assert len(list(judge("bucket-policy-wants-tls", [deny(**changes)]))) == 1


@pytest.mark.parametrize(
    "name",
    [
        "load-balancer-is-protected",
        "stateful-resource-is-protected",
        "rds-cluster-is-protected",
        "rds-cluster-is-backed-up",
        "rds-cluster-spans-zones",
        "cluster-is-protected",
        "deletion-needs-emptiness",
        "global-database-is-protected",
        "secret-can-be-restored",
        "table-is-protected",
        "user-pool-is-protected",
        "brokers-span-zones",
        "key-is-hard-to-delete",
    ],
)
def test_only_production_is_held_to_it(name: str) -> None:
    it, *others = CASES[name].bad
    assert list(judge(name, [replace(it, is_production=False), *others])) == []


@pytest.mark.parametrize("kind", [data.TABLE, data.TABLE_REPLICA])
def test_tables_and_replicas_are_backed_up_too(kind: str) -> None:
    backed_up = [resource(kind), other(data.BACKUP_SELECTION)]
    assert list(judge("data-is-in-backup-plan", backed_up)) == []
    assert list(judge("data-is-in-backup-plan", [resource(kind)])) != []


def test_no_message_shows_a_secret() -> None:
    assert all(
        "hunter2" not in problem for problem in judge("secrets-are-secret", CASES["secrets-are-secret"].bad)
    )


def test_secrets_look_alike_in_mocks_and_engine() -> None:
    assert harness.SECRET == SECRET


def test_parts_are_counted_before_their_owner_exists() -> None:
    def of(owner: str) -> list[Resource]:
        return [
            replace(
                listener,
                properties=unknown_checking_proxy({"loadBalancerArn": UNKNOWN_STRING_VALUE}),
                sources={"loadBalancerArn": frozenset([owner])},
            )
            for listener in several(edge.LISTENER, 30)
        ]

    assert list(judge("parts-fit", [*of("urn:nlb"), *of("urn:alb")])) == []
    assert len(list(judge("parts-fit", [*of("urn:nlb"), *of("urn:nlb")]))) == 1


def test_capacity_of_statements_is_that_of_the_developer_guide() -> None:
    path: dict[str, Any] = {"fieldToMatch": {"uriPath": {}}, "textTransformations": [{"type": "URL_DECODE"}]}
    plain: dict[str, Any] = {"fieldToMatch": {"uriPath": {}}, "textTransformations": [{"type": "NONE"}]}
    units: dict[int, dict[str, Any]] = {
        1: {"geoMatchStatement": {"countryCodes": ["CU", "KP"]}},
        2: {"rateBasedStatement": {"limit": 100}},
        10: {"byteMatchStatement": plain},
        20: {"byteMatchStatement": path},
        21: {"andStatement": {"statements": [{"byteMatchStatement": path}, {"labelMatchStatement": {}}]}},
        22: {"notStatement": {"statement": {"rateBasedStatement": {}}}} | {"byteMatchStatement": path},
        33: {"rateBasedStatement": {"customKeys": [{}], "scopeDownStatement": {"geoMatchStatement": {}}}},
        12: {"sizeConstraintStatement": {**path, "fieldToMatch": {"jsonBody": {}}}},
        13: {"regexMatchStatement": {**plain, "fieldToMatch": {"allQueryArguments": {}}}},
    }
    assert {expected: quotas.statement_units(statement) for expected, statement in units.items()} == {
        expected: expected for expected in units
    }


@pytest.mark.parametrize("component", [kubernetes.COMPONENT, kubernetes.CHART])
def test_component_without_inputs_is_not_judged(component: str) -> None:
    empty = [resource(component)]
    assert [name for name in NAMES for _ in judge(name, empty)] == []


def test_kubernetes_secrets_are_secret() -> None:
    plain = resource("kubernetes:core/v1:Secret", {"stringData": {"user": "me"}})
    environment = resource(DEPLOYMENT, container(env=[{"name": "API_TOKEN", "value": "abc"}]))
    assert list(judge("secrets-are-secret", [plain])) == [
        "stringData.user is plain text: make it a secret (pulumi.Output.secret)"
    ]
    assert "env[0].value is plain text" in "".join(judge("secrets-are-secret", [environment]))


def test_resource_of_the_default_provider_is_refused() -> None:
    stray = replace(resource(data.BUCKET), provider={})
    assert "do not contain owner, cost-center, environment" in "".join(judge("resource-is-tagged", [stray]))


def test_conditions_that_are_secret_as_a_whole_prove_a_request() -> None:
    """After a refresh, the engine passes a list that contains a secret as one secret."""
    (found,) = [rule for rule in STACK_RULES if rule.name == "listener-forwards-only-proven-requests"]
    listener = resource(edge.LISTENER, {"defaultActions": [{"type": "fixed-response"}]}, refers_to="balancer")
    forward = other(edge.LISTENER_RULE, {"actions": [{"type": "forward"}], "conditions": SECRET})
    stack = Stack([listener, resource(edge.LOAD_BALANCER, name="balancer"), forward])
    assert list(found.check(listener, stack)) == []
