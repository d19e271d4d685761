"""Insecure configurations, generated from secure ones by changing one thing, and how many of them pass.

`python -m tests.policy.configurations` prints the table. `tests/policy/attacks.py` has the attacks on the
rules about policy documents. Only rules over one resource count, because those refuse a resource before it
is created.
"""

from __future__ import annotations

import base64
import copy
import dataclasses
import datetime
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from policy import exceptions
from policy.rule import Resource
from policy.rules import NAMES, RULES

TODAY = datetime.datetime.now(datetime.UTC).date()
ENTRIES = exceptions.load(known_rules=NAMES)
TAGS = {"owner": "team", "cost-center": "1", "environment": "dev"}
DIGEST = "@sha256:" + "0" * 64
KEY = "arn:aws:kms:us-east-1:123456789012:key/1"

Values = dict[str, Any]


@dataclass(frozen=True)
class Configuration:
    """A resource, as a developer might write it."""

    kind: str
    """What the attack, or the secure variant, is about."""
    label: str
    type: str
    properties: Mapping[str, Any] = field(default_factory=dict[str, Any])
    name: str = "it"
    place: str = ""
    """The types of its parents; empty for a resource of the stack itself."""


def findings(it: Configuration) -> list[str]:
    """What the rules say that no exception covers."""
    known = {item.name for item in dataclasses.fields(Resource)}
    values: Values = {
        "type": it.type,
        "name": it.name,
        "urn": f"urn:pulumi:dev::trading::{it.place}{'$' if it.place else ''}{it.type}::{it.name}",
        "properties": it.properties,
        "provider": {"defaultTags": json.dumps({"tags": TAGS})},
        "protect": True,
        "sources": {},
        "is_production": False,
        "environment": "dev",
    }
    resource = Resource(**{name: value for name, value in values.items() if name in known})
    return [
        text
        for rule in RULES
        if rule.applies_to(resource.type)
        for problem in rule.check(resource)
        if (text := exceptions.judged(ENTRIES, rule.name, resource, problem, TODAY))
    ]


# -- pods ----------------------------------------------------------------------------------------

SECURE_CONTEXT: Values = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "readOnlyRootFilesystem": True,
}
SECURE_CONTAINER: Values = {
    "name": "app",
    "image": f"ghcr.io/example/app:1.2.3{DIGEST}",
    "resources": {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"memory": "1Gi"}},
    "securityContext": SECURE_CONTEXT,
    "ports": [{"containerPort": 8080}],
    "livenessProbe": {"httpGet": {"port": 8080}},
}
SECURE_POD: Values = {
    "automountServiceAccountToken": False,
    "containers": [SECURE_CONTAINER],
    "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
    "volumes": [{"name": "work", "emptyDir": {}}],
}
TEMPLATE = ("spec", "template", "spec")
POD_TYPES: Mapping[str, tuple[str, ...]] = {
    "kubernetes:apps/v1:DaemonSet": TEMPLATE,
    "kubernetes:apps/v1:Deployment": TEMPLATE,
    "kubernetes:apps/v1:DeploymentPatch": TEMPLATE,
    "kubernetes:apps/v1:ReplicaSet": TEMPLATE,
    "kubernetes:apps/v1:StatefulSet": TEMPLATE,
    "kubernetes:apps/v1beta2:StatefulSet": TEMPLATE,
    "kubernetes:batch/v1:CronJob": ("spec", "jobTemplate", *TEMPLATE),
    "kubernetes:batch/v1:CronJobPatch": ("spec", "jobTemplate", *TEMPLATE),
    "kubernetes:batch/v1:Job": TEMPLATE,
    "kubernetes:core/v1:Pod": ("spec",),
    "kubernetes:core/v1:PodPatch": ("spec",),
    "kubernetes:core/v1:PodTemplate": ("template", "spec"),
    "kubernetes:core/v1:ReplicationController": TEMPLATE,
    "kubernetes:extensions/v1beta1:DaemonSet": TEMPLATE,
    "kubernetes:keda.sh/v1alpha1:ScaledJob": ("spec", "jobTargetRef", "template", "spec"),
}
CONTAINER = "containers.0"
CONTEXT = f"{CONTAINER}.securityContext"
POD_CHANGES: Mapping[str, tuple[str, Any]] = {
    "host network": ("hostNetwork", True),
    "host processes": ("hostPID", True),
    "host IPC": ("hostIPC", True),
    "host path": ("volumes.0", {"name": "work", "hostPath": {"path": "/"}}),
    "NFS volume": ("volumes.0", {"name": "work", "nfs": {"server": "a", "path": "/"}}),
    "root by the pod": ("securityContext.runAsUser", 0),
    "root allowed by the pod": ("securityContext.runAsNonRoot", False),
    "root allowed by the container": (f"{CONTEXT}.runAsNonRoot", False),
    "root by the container": (f"{CONTEXT}.runAsUser", 0),
    "unconfined by the pod": ("securityContext.seccompProfile", {"type": "Unconfined"}),
    "unconfined by the container": (f"{CONTEXT}.seccompProfile", {"type": "Unconfined"}),
    "no seccomp profile": ("securityContext.seccompProfile", None),
    "unconfined by AppArmor": (f"{CONTEXT}.appArmorProfile", {"type": "Unconfined"}),
    "SELinux type": ("securityContext.seLinuxOptions", {"type": "spc_t"}),
    "sysctl": ("securityContext.sysctls", [{"name": "kernel.msgmax", "value": "1"}]),
    "host process of Windows": ("securityContext.windowsOptions", {"hostProcess": True}),
    "privileged": (f"{CONTEXT}.privileged", True),
    "escalation": (f"{CONTEXT}.allowPrivilegeEscalation", True),
    "escalation by default": (f"{CONTEXT}.allowPrivilegeEscalation", None),
    "no context": (CONTEXT, None),
    "writes to its image": (f"{CONTEXT}.readOnlyRootFilesystem", False),
    "token of the API": ("automountServiceAccountToken", True),
    "token of the API by default": ("automountServiceAccountToken", None),
    "keeps capabilities": (f"{CONTEXT}.capabilities", None),
    "adds a capability": (f"{CONTEXT}.capabilities.add", ["SYS_ADMIN"]),
    "unmasked proc": (f"{CONTEXT}.procMount", "Unmasked"),
    "host port": (f"{CONTAINER}.ports.0.hostPort", 80),
    "probe of another host": (f"{CONTAINER}.livenessProbe.httpGet.host", "169.254.169.254"),
    "no limits": (f"{CONTAINER}.resources", None),
    "image without version": (f"{CONTAINER}.image", "ghcr.io/example/app"),
    "latest image": (f"{CONTAINER}.image", "ghcr.io/example/app:latest"),
    "image without digest": (f"{CONTAINER}.image", "ghcr.io/example/app:1.2.3"),
    "foreign registry": (f"{CONTAINER}.image", f"evil.example.com/app:1{DIGEST}"),
    "registry that looks like ours": (f"{CONTAINER}.image", f"ghcr.io.example.com/app:1{DIGEST}"),
    "Docker Hub": (f"{CONTAINER}.image", f"example/app:1{DIGEST}"),
}
OTHER_CONTAINERS = ("initContainers", "ephemeralContainers")


def changed(document: Values, path: str, value: Any) -> Values:
    """A copy with another value at a path; None removes it."""
    result = copy.deepcopy(document)
    *parents, last = path.split(".")
    place: Any = result
    for key in parents:
        place = place[int(key)] if key.isdigit() else place.setdefault(key, {})
    if last.isdigit():
        place[int(last)] = value
    elif value is None:
        place.pop(last, None)
    else:
        place[last] = value
    return result


def _below(path: tuple[str, ...], pod: Values) -> Values:
    for key in reversed(path):
        pod = {key: pod}
    return pod


def _pods() -> Iterator[Configuration]:
    for type_, path in POD_TYPES.items():
        for label, (place, value) in POD_CHANGES.items():
            pod = changed(SECURE_POD, place, value)
            yield Configuration("Kubernetes: pods", label, type_, _below(path, pod))
        for key in OTHER_CONTAINERS:
            pod = {**SECURE_POD, key: [changed(SECURE_CONTAINER, "securityContext.privileged", True)]}
            yield Configuration("Kubernetes: pods", f"privileged in {key}", type_, _below(path, pod))


# -- the cluster ---------------------------------------------------------------------------------

_RBAC = "kubernetes:rbac.authorization.k8s.io/v1"
READS: Values = {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]}
ROLE_CHANGES: Mapping[str, Values] = {
    "all verbs": {"verbs": ["*"]},
    "all resources": {"resources": ["*"]},
    "all groups": {"apiGroups": ["*"]},
    "subresources of all": {"resources": ["*/exec"]},
    "all addresses": {"nonResourceURLs": ["/*"]},
    "escalate": {"verbs": ["escalate"]},
    "bind": {"verbs": ["get", "Bind"]},
    "impersonate": {"resources": ["users"], "verbs": ["impersonate"]},
    "secrets": {"resources": ["secrets"]},
    "creates secrets, and reads them": {"resources": ["secrets"], "verbs": ["create", "list"]},
    "executes in pods": {"resources": ["pods/exec"], "verbs": ["create"]},
    "tokens": {"resources": ["serviceaccounts/token"], "verbs": ["create"]},
    "webhooks": {"resources": ["mutatingwebhookconfigurations"], "verbs": ["update"]},
    "proxies of nodes": {"resources": ["nodes/proxy"], "verbs": ["create"]},
    "changes roles": {"resources": ["roles"], "verbs": ["patch"]},
}
SUBJECT: Values = {"kind": "ServiceAccount", "name": "orders", "namespace": "trading"}
SUBJECTS: Mapping[str, Values] = {
    "anonymous": {"kind": "User", "name": "system:anonymous"},
    "unauthenticated": {"kind": "Group", "name": "system:unauthenticated"},
    "authenticated": {"kind": "Group", "name": "system:authenticated"},
    "masters": {"kind": "Group", "name": "system:masters"},
    "all service accounts": {"kind": "Group", "name": "system:serviceaccounts"},
    "a namespace's service accounts": {"kind": "Group", "name": "system:serviceaccounts:default"},
    "a default service account": {**SUBJECT, "name": "default"},
}
OBJECTS: Mapping[str, tuple[str, Values]] = {
    "load balancer": ("kubernetes:core/v1:Service", {"spec": {"type": "LoadBalancer"}}),
    "load balancer by a patch": ("kubernetes:core/v1:ServicePatch", {"spec": {"type": "LoadBalancer"}}),
    "node port": ("kubernetes:core/v1:Service", {"spec": {"type": "NodePort"}}),
    "external address": ("kubernetes:core/v1:Service", {"spec": {"externalIPs": ["203.0.113.9"]}}),
    "external name": ("kubernetes:core/v1:Service", {"spec": {"type": "ExternalName", "externalName": "a"}}),
    "ingress": ("kubernetes:networking.k8s.io/v1:Ingress", {"spec": {}}),
    "old ingress": ("kubernetes:extensions/v1beta1:Ingress", {"spec": {}}),
    "gateway": ("kubernetes:gateway.networking.k8s.io/v1:Gateway", {"spec": {}}),
    "namespace without label": ("kubernetes:core/v1:Namespace", {"metadata": {"name": "a"}}),
    "privileged namespace": (
        "kubernetes:core/v1:Namespace",
        {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "privileged"}}},
    ),
    "baseline namespace": (
        "kubernetes:core/v1:Namespace",
        {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "baseline"}}},
    ),
    "label of a patch": (
        "kubernetes:core/v1:NamespacePatch",
        {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "privileged"}}},
    ),
    "label that only warns": (
        "kubernetes:core/v1:Namespace",
        {"metadata": {"labels": {"pod-security.kubernetes.io/warn": "restricted"}}},
    ),
    "webhook": ("kubernetes:admissionregistration.k8s.io/v1:MutatingWebhookConfiguration", {}),
    "certificate request": ("kubernetes:certificates.k8s.io/v1:CertificateSigningRequest", {}),
    "volume of a node": ("kubernetes:core/v1:PersistentVolume", {"spec": {"hostPath": {"path": "/"}}}),
    "masters by an access entry": (
        "aws:eks/accessEntry:AccessEntry",
        {"kubernetesGroups": ["system:masters"]},
    ),
}


def _cluster() -> Iterator[Configuration]:
    kind = "Kubernetes: access"
    for type_ in ("Role", "ClusterRole", "ClusterRolePatch"):
        for label, values in ROLE_CHANGES.items():
            yield Configuration(kind, label, f"{_RBAC}:{type_}", {"rules": [READS, {**READS, **values}]})
    yield Configuration(
        kind,
        "named secrets of the cluster",
        f"{_RBAC}:ClusterRole",
        {"rules": [{**READS, "resources": ["secrets"], "resourceNames": ["a"]}]},
    )
    yield Configuration(kind, "aggregation", f"{_RBAC}:ClusterRole", {"aggregationRule": {"a": "b"}})
    yield Configuration(
        kind, "old version", f"{_RBAC}beta1:ClusterRole", {"rules": [{**READS, "verbs": ["*"]}]}
    )
    for type_ in ("RoleBinding", "ClusterRoleBinding"):
        for label, subject in SUBJECTS.items():
            binding = {"roleRef": {"name": "orders"}, "subjects": [SUBJECT, subject]}
            yield Configuration(kind, label, f"{_RBAC}:{type_}", binding)
        for role in ("cluster-admin", "admin", "edit", "system:node"):
            binding = {"roleRef": {"name": role}, "subjects": [SUBJECT]}
            yield Configuration(kind, f"binds {role}", f"{_RBAC}:{type_}", binding)
    for label, (type_, values) in OBJECTS.items():
        yield Configuration(kind, label, type_, values)


# -- secrets -------------------------------------------------------------------------------------

# Each is put together here, so that no scanner takes this file for a leak.
SECRETS: Mapping[str, str] = {
    "AWS access key": "AKIA" + "Z7QWERTYUIOPASDF",
    "AWS session key": "ASIA" + "Z7QWERTYUIOPASDF",
    "AWS secret key": "wJalrXUtn" + "FEMI/K7MDENG/bPxRfiCY" + "9zq4Lk2TQa",
    "private key": "-----BEGIN RSA PRIVATE" + " KEY-----\nMIIE\n",
    "private key of another kind": "-----BEGIN PRIVATE" + " KEY-----\nMIIE\n",
    "JSON Web Token": "eyJhbGciOiJIUzI1NiJ9." + "eyJzdWIiOiIxMjM0NTYifQ." + "c2lnbmF0dXJlMTIz",
    "GitHub token": "ghp_" + "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8",
    "GitHub fine-grained token": "github_pat_" + "11ABCDEFG0abcdefghijkl",
    "Slack token": "xoxb-" + "123456789012-abcdefghijkl",
    "Slack webhook": "https://hooks.slack.com/" + "services/T000/B000/abcdefgh",
    "Stripe key": "sk_live_" + "abcdefghijklmnop1234",
    "Google API key": "AIza" + "SyA1234567890abcdefghijklmnopqrstuv",
    "password in an address": "postgres://app:" + "hunter2@db.example.com/trading",
    "random value": "q7Rt2Vx9Lm4Zp8Kd3Ws6Yb1N",
    "assignment": "DB_PASSWORD=" + "hunter2hunter2",
    "AWS access key in Base64": base64.b64encode(b"key: AKIA" + b"Z7QWERTYUIOPASDF!").decode(),
}


def _places(value: str) -> Iterator[tuple[str, str, Values]]:
    """Where a secret can be: label, type and properties."""
    container = {**SECURE_CONTAINER, "env": [{"name": "SETTING", "value": value}]}
    yield (
        "environment of a container",
        "kubernetes:apps/v1:Deployment",
        _below(TEMPLATE, {**SECURE_POD, "containers": [container]}),
    )
    arguments = {**SECURE_CONTAINER, "args": ["--setting", value]}
    yield "arguments", "kubernetes:batch/v1:Job", _below(TEMPLATE, {**SECURE_POD, "containers": [arguments]})
    yield "ConfigMap", "kubernetes:core/v1:ConfigMap", {"data": {"settings": value}}
    yield "annotation", "kubernetes:core/v1:ServiceAccount", {"metadata": {"annotations": {"note": value}}}
    function: Values = {
        "runtime": "python3.13",
        "tracingConfig": {"mode": "Active"},
        "kmsKeyArn": KEY,
        "environment": {"variables": {"SETTING": value}},
    }
    yield "environment of a function", "aws:lambda/function:Function", function
    yield (
        "user data",
        "aws:iam/role:Role",
        {"assumeRolePolicy": "{}", "userData": f"#!/bin/sh\nuse {value}\n"},
    )
    yield (
        "values of a chart",
        "kubernetes:helm.sh/v4:Chart",
        {
            "chart": "./k8s/charts/microservice",
            "values": {"setting": value},
        },
    )


def _secrets() -> Iterator[Configuration]:
    for what, value in SECRETS.items():
        for place, type_, properties in _places(value):
            yield Configuration("secrets by value", f"{what} in {place}", type_, properties)


# -- types ---------------------------------------------------------------------------------------

UNKNOWN_TYPES = (
    *("aws-native:s3:Bucket", "aws:apigatewayv2/route:Route", "aws:apprunner/service:Service"),
    *(
        "aws:appsync/graphQLApi:GraphQLApi",
        "aws:autoscaling/group:Group",
        "aws:cloudcontrol/resource:Resource",
    ),
    *("aws:cloudformation/stack:Stack", "aws:codebuild/project:Project", "aws:dms/endpoint:Endpoint"),
    *("aws:docdb/cluster:Cluster", "aws:ebs/snapshotCreateVolumePermission:SnapshotCreateVolumePermission"),
    *("aws:ec2/amiLaunchPermission:AmiLaunchPermission", "aws:ec2/instance:Instance"),
    *("aws:ec2/launchTemplate:LaunchTemplate", "aws:ec2/vpcPeeringConnection:VpcPeeringConnection"),
    *("aws:ecr/repository:Repository", "aws:efs/fileSystem:FileSystem", "aws:elasticsearch/domain:Domain"),
    *("aws:iam/group:Group", "aws:iam/openIdConnectProvider:OpenIdConnectProvider", "aws:kms/grant:Grant"),
    *("aws:lambda/functionUrl:FunctionUrl", "aws:lambda/layerVersionPermission:LayerVersionPermission"),
    *("aws:lightsail/instance:Instance", "aws:memorydb/cluster:Cluster", "aws:opensearch/domain:Domain"),
    *("aws:ram/principalAssociation:PrincipalAssociation", "aws:rds/instance:Instance"),
    *("aws:redshift/cluster:Cluster", "aws:s3/bucketAcl:BucketAcl", "aws:s3/bucketAclV2:BucketAclV2"),
    *("aws:s3/bucketWebsiteConfiguration:BucketWebsiteConfiguration", "aws:ssm/document:Document"),
    *("aws:ssm/parameter:Parameter", "aws:transfer/server:Server", "command:local:Command"),
    *("command:remote:Command", "docker:index:Image", "kubernetes:helm.sh/v3:Release"),
    *("kubernetes:kustomize/v2:Directory", "kubernetes:yaml/v2:ConfigFile", "pulumi-python:dynamic:Resource"),
    *("pulumi:providers:aws-native", "pulumi:providers:command", "pulumi:pulumi:StackReference"),
)
OTHER_TOKENS: Mapping[str, tuple[str, Values]] = {
    "public listener": (
        "aws:alb/listener:Listener",
        {"protocol": "HTTP", "defaultActions": [{"type": "forward"}]},
    ),
    "old TLS": ("aws:alb/listener:Listener", {"protocol": "HTTPS", "sslPolicy": "ELBSecurityPolicy-2016-08"}),
    "listener by another token": (
        "aws:elasticloadbalancingv2/listener:Listener",
        {"protocol": "HTTP", "defaultActions": [{"type": "forward"}]},
    ),
    "balancer without logs": ("aws:alb/loadBalancer:LoadBalancer", {"dropInvalidHeaderFields": True}),
    "classic balancer": ("aws:elasticloadbalancing/loadBalancer:LoadBalancer", {}),
    "encryption by another token": (
        "aws:s3/bucketServerSideEncryptionConfigurationV2:BucketServerSideEncryptionConfigurationV2",
        {"rules": [{"applyServerSideEncryptionByDefault": {"sseAlgorithm": "AES256"}}]},
    ),
    "versioning by another token": (
        "aws:s3/bucketVersioningV2:BucketVersioningV2",
        {"versioningConfiguration": {"status": "Suspended"}},
    ),
}


def _types() -> Iterator[Configuration]:
    for type_ in UNKNOWN_TYPES:
        yield Configuration("types", "type without a rule", type_)
    for label, (type_, properties) in OTHER_TOKENS.items():
        yield Configuration("types", label, type_, properties)


# -- companions and names ------------------------------------------------------------------------

BLOCKED: Values = dict.fromkeys(
    ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets"), True
)
ENCRYPTION = "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration"
_BUCKET = "aws:s3/bucket"
COMPANIONS: Mapping[str, tuple[str, Values]] = {
    **{
        f"{key} is off": (f"{_BUCKET}PublicAccessBlock:BucketPublicAccessBlock", {**BLOCKED, key: False})
        for key in BLOCKED
    },
    "AWS's key": (
        ENCRYPTION,
        {"rules": [{"applyServerSideEncryptionByDefault": {"kmsMasterKeyId": "alias/aws/s3"}}]},
    ),
    "no key": (ENCRYPTION, {"rules": [{"applyServerSideEncryptionByDefault": {"sseAlgorithm": "aws:kms"}}]}),
    "no rule for encryption": (ENCRYPTION, {"rules": []}),
    "versioning suspended": (
        f"{_BUCKET}Versioning:BucketVersioning",
        {"versioningConfiguration": {"status": "Suspended"}},
    ),
    "access control lists": (
        f"{_BUCKET}OwnershipControls:BucketOwnershipControls",
        {"rule": {"objectOwnership": "ObjectWriter"}},
    ),
    "lifecycle disabled": (
        f"{_BUCKET}LifecycleConfiguration:BucketLifecycleConfiguration",
        {"rules": [{"status": "Disabled"}]},
    ),
    "default security group": (
        "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup",
        {"ingress": [{"protocol": "-1", "cidrBlocks": ["0.0.0.0/0"]}]},
    ),
    "flow log of accepted traffic": ("aws:ec2/flowLog:FlowLog", {"trafficType": "ACCEPT"}),
    "methods without logs": (
        "aws:apigateway/methodSettings:MethodSettings",
        {"methodPath": "*/*", "settings": {"loggingLevel": "OFF"}},
    ),
    "events without failures": (
        "aws:rds/eventSubscription:EventSubscription",
        {"eventCategories": ["backup"]},
    ),
    "access control that never signs": (
        "aws:cloudfront/originAccessControl:OriginAccessControl",
        {"signingBehavior": "never"},
    ),
    "cache user without password": (
        "aws:elasticache/user:User",
        {"authenticationMode": {"type": "no-password-required"}},
    ),
}
NAMES_OF_EXCEPTIONS: Mapping[str, tuple[str, Values]] = {
    "foundation-x-logs": (ENCRYPTION, {"rules": [{"applyServerSideEncryptionByDefault": {}}]}),
    "foundation-x-workspace": ("aws:amp/workspace:Workspace", {}),
    "broker-metrics-x": ("aws:amp/workspace:Workspace", {}),
    "identity": (
        "aws:cognito/userPool:UserPool",
        {
            "mfaConfiguration": "ON",
            "adminCreateUserConfig": {"allowAdminCreateUserOnly": True},
            "passwordPolicy": {
                "minimumLength": 8,
                **dict.fromkeys(
                    ("requireLowercase", "requireNumbers", "requireSymbols", "requireUppercase"), True
                ),
            },
        },
    ),
    "cluster-x-add-ons-class": (
        "kubernetes:eks.amazonaws.com/v1:NodeClass",
        {"spec": {"networkPolicy": "DefaultAllow", "ephemeralStorage": {"kmsKeyID": KEY}}},
    ),
    "migrations-x-job": (
        "kubernetes:batch/v1:Job",
        _below(TEMPLATE, changed(SECURE_POD, f"{CONTAINER}.image", "ghcr.io/example/app:1.2.3")),
    ),
    "cluster-x-secrets-store": ("kubernetes:core/v1:Namespace", {"metadata": {"name": "a"}}),
    "autoscaler-x-keda": ("kubernetes:helm.sh/v3:Release", {"chart": "evil", "version": "1.0.0"}),
    "cluster-x-manifests": ("kubernetes:yaml/v2:ConfigGroup", {"files": ["https://evil.example.com/a.yaml"]}),
}


METRICS: Values = {
    "name": "a",
    "statement": {"geoMatchStatement": {"countryCodes": ["AQ"]}},
    "visibilityConfig": {"cloudwatchMetricsEnabled": True},
}
SIGNED_IN: Values = {"authenticationMode": {"type": "iam"}}
WEAK_ACLS: Sequence[tuple[str, str, Values]] = (
    ("only counts", "allow", {"action": {"count": {}}}),
    ("only allows", "allow", {"action": {"allow": {}}}),
    ("counts managed rules", "allow", {"overrideAction": {"count": {}}}),
    ("counts, and blocks the rest", "block", {"overrideAction": {"count": {}}}),
    ("no action", "allow", {}),
)
COMBINATIONS: Mapping[str, tuple[str, Values]] = {
    **{
        f"rotation: {label}": ("aws:secretsmanager/secretRotation:SecretRotation", {"rotationRules": values})
        for label, values in {
            "never": {},
            "after three years": {"automaticallyAfterDays": 1000},
            "at a rate of a year": {"scheduleExpression": "rate(365 days)"},
            "at a rate of weeks": {"scheduleExpression": "rate(52 weeks)"},
            "once a year": {"scheduleExpression": "cron(0 8 1 1 ? *)"},
            "in a far year": {"scheduleExpression": "cron(0 8 1 * ? 2099)"},
            "twice a year": {"scheduleExpression": "cron(0 8 1 */6 ? *)"},
            "unreadable": {"scheduleExpression": "sometimes"},
        }.items()
    },
    "key that rotates after seven years": (
        "aws:kms/key:Key",
        {"enableKeyRotation": True, "rotationPeriodInDays": 2560},
    ),
    **{
        f"web ACL: {label}": (
            "aws:wafv2/webAcl:WebAcl",
            {"defaultAction": {default: {}}, "rules": [{**METRICS, **action}]},
        )
        for label, default, action in WEAK_ACLS
    },
    **{
        f"cache user: {label}": ("aws:elasticache/user:User", {**SIGNED_IN, "accessString": access})
        for label, access in (
            ("all commands", "on ~* +@all"),
            ("all commands by the other name", "on ~* allcommands"),
            ("all commands but one", "on ~orders:* +@ALL -flushall"),
        )
    },
    **{
        f"brokers: {label}": ("aws:msk/cluster:Cluster", {"clientAuthentication": values})
        for label, values in {
            "nobody authenticates beside TLS": {"unauthenticated": False},
            "IAM is off": {"unauthenticated": False, "sasl": {"iam": False}},
            "IAM, and everybody": {"unauthenticated": True, "sasl": {"iam": True}},
        }.items()
    },
    "administrator of the cluster": (
        "aws:eks/accessPolicyAssociation:AccessPolicyAssociation",
        {"policyArn": "arn:aws:eks::aws:cluster-access-policy/AmazonEKSClusterAdminPolicy"},
    ),
    "editor of the cluster": (
        "aws:eks/accessPolicyAssociation:AccessPolicyAssociation",
        {"policyArn": "arn:aws-us-gov:eks::aws:cluster-access-policy/AmazonEKSEditPolicy"},
    ),
}


def _companions() -> Iterator[Configuration]:
    for label, (type_, properties) in COMPANIONS.items():
        yield Configuration("unknown at preview", label, type_, properties)


def _combinations() -> Iterator[Configuration]:
    for label, (type_, properties) in COMBINATIONS.items():
        yield Configuration("combinations", label, type_, properties)


def _names() -> Iterator[Configuration]:
    for name, (type_, properties) in NAMES_OF_EXCEPTIONS.items():
        yield Configuration("names as evidence", f"named {name}", type_, properties, name)
        elsewhere = "trading:tier:Other"
        yield Configuration(
            "names as evidence", f"named {name} elsewhere", type_, properties, name, elsewhere
        )


ATTACKS = (*_types(), *_companions(), *_combinations(), *_names(), *_pods(), *_cluster(), *_secrets())


# -- secure variants -----------------------------------------------------------------------------

HARMLESS_VALUES = (
    *(
        "https://api.example.com/v1",
        "arn:aws:kms:us-east-1:123456789012:key/11111111-2222-3333-4444-555555555555",
    ),
    *("vpce-0123456789abcdef0", "trading-prod-database.cluster-ctuua1f9blc3.us-east-1.rds.amazonaws.com"),
    *("3f786850e387550fdab836ed7e6dc881de23001b", "AWSManagedRulesKnownBadInputsRuleSet"),
    *(
        "ELBSecurityPolicy-TLS13-1-2-Res-PQ-2025-09",
        "b-1.trading.abc123.c2.kafka.us-east-1.amazonaws.com:9098",
    ),
    *("/var/run/secrets/pods.eks.amazonaws.com/serviceaccount/eks-pod-identity-token", "verify-full"),
    *("postgres://$DB_USER:$DB_PASSWORD@db/trading", "TOKEN_FILE=/work/token", "password = ${PASSWORD}"),
    *("select rolpassword from pg_authid", "2026-11-27T06:54:38Z", "us-east-1_SAlUdKoSh"),
)


def _secure() -> Iterator[Configuration]:
    for type_, path in POD_TYPES.items():
        yield Configuration("Kubernetes: pods", "secure pod", type_, _below(path, SECURE_POD))
        pod = changed(SECURE_POD, f"{CONTEXT}.capabilities.add", ["NET_BIND_SERVICE"])
        yield Configuration("Kubernetes: pods", "binds low ports", type_, _below(path, pod))
        own = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}, **SECURE_CONTEXT}
        pod = changed(changed(SECURE_POD, "securityContext", None), CONTEXT, own)
        yield Configuration("Kubernetes: pods", "context of the container", type_, _below(path, pod))
        image = f"123456789012.dkr.ecr.eu-west-1.amazonaws.com/app:1{DIGEST}"
        pod = changed(SECURE_POD, f"{CONTAINER}.image", image)
        yield Configuration("Kubernetes: pods", "private registry", type_, _below(path, pod))
    for type_ in ("Role", "ClusterRole"):
        yield Configuration("Kubernetes: access", "reads", f"{_RBAC}:{type_}", {"rules": [READS]})
    named = {**READS, "resources": ["secrets"], "resourceNames": ["a"]}
    creates = {**READS, "resources": ["secrets"], "verbs": ["create"]}
    yield Configuration("Kubernetes: access", "creates secrets", f"{_RBAC}:Role", {"rules": [creates]})
    yield Configuration("Kubernetes: access", "named secrets", f"{_RBAC}:Role", {"rules": [named]})
    binding = {"roleRef": {"name": "orders"}, "subjects": [SUBJECT]}
    yield Configuration("Kubernetes: access", "binding", f"{_RBAC}:RoleBinding", binding)
    yield Configuration("Kubernetes: access", "service", "kubernetes:core/v1:Service", {"spec": {}})
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    namespace = {"metadata": {"labels": labels}}
    yield Configuration("Kubernetes: access", "namespace", "kubernetes:core/v1:Namespace", namespace)
    for value in HARMLESS_VALUES:
        for place, type_, properties in _places(value):
            yield Configuration("secrets by value", f"{value} in {place}", type_, properties)
    key = {"rules": [{"applyServerSideEncryptionByDefault": {"kmsMasterKeyId": KEY}}]}
    yield Configuration("unknown at preview", "our key", ENCRYPTION, key)
    block = f"{_BUCKET}PublicAccessBlock:BucketPublicAccessBlock"
    yield Configuration("unknown at preview", "blocked", block, BLOCKED)
    for schedule in ("rate(30 days)", "rate(4 hours)", "cron(0 8 1 * ? *)", "cron(0 8 ? * MON#1 *)"):
        rules = {"rotationRules": {"scheduleExpression": schedule}}
        yield Configuration(
            "combinations", schedule, "aws:secretsmanager/secretRotation:SecretRotation", rules
        )
    managed: Values = {**METRICS, "overrideAction": {"none": {}}}
    counts: Values = {**METRICS, "action": {"count": {}}}
    acl: Values = {"defaultAction": {"allow": {}}, "rules": [managed, counts]}
    yield Configuration("combinations", "managed rules", "aws:wafv2/webAcl:WebAcl", acl)
    yield Configuration(
        "combinations",
        "user that is off",
        "aws:elasticache/user:User",
        {**SIGNED_IN, "accessString": "off -@all"},
    )
    foundation = ("foundation-x-logs", "trading:tier:Foundation")
    yield Configuration(
        "names as evidence",
        "at its place",
        ENCRYPTION,
        NAMES_OF_EXCEPTIONS["foundation-x-logs"][1],
        *foundation,
    )


SECURE = tuple(_secure())


def main() -> None:
    """Prints how many attacks are refused, and how many secure variants, by kind."""
    print("| kind | attacks | refused | secure | refused |\n|---|---|---|---|---|")
    for kind in dict.fromkeys(it.kind for it in ATTACKS):
        attacks = [it for it in ATTACKS if it.kind == kind]
        secure = [it for it in SECURE if it.kind == kind]
        counts = (len(attacks), sum(bool(findings(it)) for it in attacks))
        others = (len(secure), sum(bool(findings(it)) for it in secure))
        print(f"| {kind} | {' | '.join(map(str, (*counts, *others)))} |")


if __name__ == "__main__":
    main()
