"""Applies AWS's CloudFormation resource schemas, which `cfn-lint` ships, to Pulumi's resource types.

The schemas say which properties force a replacement and which values AWS accepts. Names are matched after
normalization (`dbSubnetGroupName` and `DBSubnetGroupName`, `name` and `FunctionName`, `subnetIds` and
`SubnetId`). Tables have the cases in which Terraform's provider, which Pulumi bridges, differs.
"""

# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false, reportUnknownMemberType=false
# (the schemas are JSON)
from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sandbox.aws import cfn_lint
from sandbox.sdk_schema import Problem, schema, shown, step
from sandbox.values import UNKNOWN, is_dict, is_list

Json = dict[str, Any]

_SERVICES = {
    "acm": "CertificateManager",
    "amp": "APS",
    "appautoscaling": "ApplicationAutoScaling",
    "costexplorer": "CE",
    "lb": "ElasticLoadBalancingV2",
    "vpc": "EC2",
}
_TYPES = {
    "aws:amp/ruleGroupNamespace:RuleGroupNamespace": "AWS::APS::RuleGroupsNamespace",
    "aws:appautoscaling/policy:Policy": "AWS::ApplicationAutoScaling::ScalingPolicy",
    "aws:appautoscaling/target:Target": "AWS::ApplicationAutoScaling::ScalableTarget",
    "aws:backup/plan:Plan": "AWS::Backup::BackupPlan",
    "aws:backup/vault:Vault": "AWS::Backup::BackupVault",
    "aws:cloudwatch/logDelivery:LogDelivery": "AWS::Logs::Delivery",
    "aws:cloudwatch/logDeliveryDestination:LogDeliveryDestination": "AWS::Logs::DeliveryDestination",
    "aws:cloudwatch/logDeliverySource:LogDeliverySource": "AWS::Logs::DeliverySource",
    "aws:cloudwatch/logGroup:LogGroup": "AWS::Logs::LogGroup",
    "aws:cloudwatch/logMetricFilter:LogMetricFilter": "AWS::Logs::MetricFilter",
    "aws:cloudwatch/metricAlarm:MetricAlarm": "AWS::CloudWatch::Alarm",
    "aws:cloudwatch/queryDefinition:QueryDefinition": "AWS::Logs::QueryDefinition",
    "aws:cognito/resourceServer:ResourceServer": "AWS::Cognito::UserPoolResourceServer",
    "aws:iam/openIdConnectProvider:OpenIdConnectProvider": "AWS::IAM::OIDCProvider",
    "aws:iam/policy:Policy": "AWS::IAM::ManagedPolicy",
    "aws:rds/clusterInstance:ClusterInstance": "AWS::RDS::DBInstance",
    "aws:route53/hostedZoneDnsSec:HostedZoneDnsSec": "AWS::Route53::DNSSEC",
    "aws:route53/queryLog:QueryLog": "AWS::Route53::QueryLoggingConfig",
    "aws:route53/record:Record": "AWS::Route53::RecordSet",
    "aws:secretsmanager/secretRotation:SecretRotation": "AWS::SecretsManager::RotationSchedule",
    "aws:sns/topicSubscription:TopicSubscription": "AWS::SNS::Subscription",
    "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule": "AWS::EC2::SecurityGroupEgress",
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule": "AWS::EC2::SecurityGroupIngress",
    "aws:wafv2/webAclLoggingConfiguration:WebAclLoggingConfiguration": "AWS::WAFv2::LoggingConfiguration",
}

# Types for which only Terraform's documentation and schema decide about replacement ("forces new resource"):
# either CloudFormation has no such type, or the provider updates properties that CloudFormation replaces.
_REPLACES: dict[str, str] = {
    "aws:acm/certificateValidation:CertificateValidation": "certificateArn validationRecordFqdns",
    "aws:apigateway/basePathMapping:BasePathMapping": "domainName domainNameId",
    "aws:apigateway/deployment:Deployment": "restApi triggers",
    "aws:apigateway/methodSettings:MethodSettings": "restApi stageName methodPath",
    "aws:apigateway/restApi:RestApi": "",
    "aws:backup/selection:Selection": (
        "planId name iamRoleArn resources notResources selectionTags conditions"
    ),
    "aws:cloudwatch/logResourcePolicy:LogResourcePolicy": "policyName",
    "aws:dynamodb/contributorInsights:ContributorInsights": "tableName indexName",
    "aws:dynamodb/table:Table": "name hashKey rangeKey localSecondaryIndexes importTable restoreSourceName",
    "aws:dynamodb/tableReplica:TableReplica": "globalTableArn kmsKeyArn",
    "aws:ec2/routeTableAssociation:RouteTableAssociation": "subnetId gatewayId",
    "aws:eks/accessPolicyAssociation:AccessPolicyAssociation": (
        "clusterName policyArn principalArn accessScope"
    ),
    "aws:iam/rolePolicyAttachment:RolePolicyAttachment": "role policyArn",
    "aws:kms/keyPolicy:KeyPolicy": "keyId",
    "aws:lambda/provisionedConcurrencyConfig:ProvisionedConcurrencyConfig": "functionName qualifier",
    "aws:lb/targetGroupAttachment:TargetGroupAttachment": "targetGroupArn targetId port availabilityZone",
    "aws:rds/clusterInstance:ClusterInstance": (
        "identifier clusterIdentifier engine availabilityZone dbSubnetGroupName customIamInstanceProfile"
    ),
    "aws:rds/proxyDefaultTargetGroup:ProxyDefaultTargetGroup": "dbProxyName",
    "aws:rds/proxyTarget:ProxyTarget": "dbProxyName targetGroupName dbClusterIdentifier dbInstanceIdentifier",
    "aws:route53/record:Record": "zoneId name",
    "aws:s3/bucketObjectv2:BucketObjectv2": "bucket key",
    "aws:secretsmanager/secretRotation:SecretRotation": "secretId",
    "aws:secretsmanager/secretVersion:SecretVersion": (
        "secretId secretString secretBinary secretStringWoVersion"
    ),
    "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule": "securityGroupId",
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule": "securityGroupId",
}
# Properties that also force a replacement, although neither the schema nor the SDK's documentation says so.
_ALSO_REPLACES: dict[str, str] = {
    "aws:amp/alertManagerDefinition:AlertManagerDefinition": "workspaceId",
    "aws:amp/ruleGroupNamespace:RuleGroupNamespace": "workspaceId",
    "aws:backup/vault:Vault": "kmsKeyArn",
    "aws:elasticache/parameterGroup:ParameterGroup": "family description",
    "aws:iam/rolePolicy:RolePolicy": "role",
    "aws:lambda/permission:Permission": "function statementId qualifier",
    "aws:route53/queryLog:QueryLog": "zoneId cloudwatchLogGroupArn",
    "aws:sns/topicPolicy:TopicPolicy": "arn",
    "aws:cognito/userPool:UserPool": "aliasAttributes usernameAttributes usernameConfiguration",
    "aws:kms/key:Key": "customerMasterKeySpec keyUsage multiRegion customKeyStoreId",
    "aws:lb/loadBalancer:LoadBalancer": "internal loadBalancerType",
    "aws:msk/cluster:Cluster": "encryptionInfo.encryptionAtRestKmsKeyArn",
    "aws:rds/cluster:Cluster": "engine availabilityZones masterUsername",
}
_UPDATES_IN_PLACE: dict[str, str] = {
    "aws:apigateway/domainNameAccessAssociation:DomainNameAccessAssociation": "tags",
    "aws:apigatewayv2/vpcLink:VpcLink": "name",
    "aws:backup/plan:Plan": "name",
    "aws:cloudwatch/queryDefinition:QueryDefinition": "name",
    "aws:cognito/resourceServer:ResourceServer": "name",
    "aws:cognito/userPool:UserPool": "smsConfiguration",
    "aws:cognito/userPoolClient:UserPoolClient": "name",
    "aws:costexplorer/anomalyMonitor:AnomalyMonitor": "name",
    "aws:rds/cluster:Cluster": "storageType publiclyAccessible",
    "aws:amp/scraper:Scraper": "scrapeConfiguration",
    "aws:eks/cluster:Cluster": "encryptionConfig vpcConfig accessConfig",
    "aws:elasticache/replicationGroup:ReplicationGroup": "transitEncryptionEnabled engine",
    "aws:ec2/vpcEndpoint:VpcEndpoint": "privateDnsEnabled",
    "aws:lambda/function:Function": "tenancyConfig",
}
_FORCES_NEW = re.compile(
    r"(forces?|creates?|requires creating|recreates?|re-create|force recreation of) "
    r"(terraform to create )?(a |the )?(new|replacement|resource)|forces? recreation",
    re.IGNORECASE,
)
_CONDITIONAL = re.compile(r"\bif\b|\bwhen\b|except", re.IGNORECASE)

# Properties whose values have another format in Terraform than in CloudFormation.
_OTHER_VALUES = {
    "AWS::ApiGateway::DomainName": {"endpointConfiguration"},
    "AWS::EC2::FlowLog": {"logDestination"},
    "AWS::EC2::SecurityGroupIngress": {"ipProtocol"},
}


@functools.cache
def _index() -> Mapping[str, tuple[str, str]]:
    """Normalized service and resource → the type's name and its schema file."""
    text = (_data() / "providers" / "us-east-1.json").read_text()
    found: dict[str, tuple[str, str]] = {}
    for name, file in json.loads(text).items():
        parts = name.split("::")
        if len(parts) == 3:
            found[f"{_norm(parts[1])}/{_norm(parts[2])}"] = (name, file)
    return found


def _data() -> Path:
    return cfn_lint.data() / "schemas"


@functools.cache
def resource_type(token: str) -> str | None:
    """`AWS::RDS::DBCluster` for `aws:rds/cluster:Cluster`; `None` if CloudFormation has no such type."""
    if token in _TYPES:
        return _TYPES[token]
    service, name = token.split(":")[1].split("/")[0], token.split(":")[2]
    service = _SERVICES.get(service, service)
    for candidate in (name, f"db{name}"):
        hit = _index().get(f"{_norm(service)}/{_norm(candidate)}")
        if hit:
            return hit[0]
    return None


@functools.cache
def document(type_name: str) -> Json:
    """The schema of a CloudFormation type."""
    service, name = type_name.split("::")[1:]
    _, file = _index()[f"{_norm(service)}/{_norm(name)}"]
    return json.loads((_data() / "resources" / f"{file}.json").read_text())


@functools.cache
def replacing_paths(token: str) -> frozenset[str]:
    """The inputs whose change forces a replacement, as paths without list indices."""
    inputs = schema(token).inputs
    always = {name for name in ("region", "namePrefix") if name in inputs}
    if token in _REPLACES:
        return frozenset(always | set(_REPLACES[token].split()))
    found = always | ({"name"} & set(inputs)) | set(_ALSO_REPLACES.get(token, "").split())
    for name, prop in inputs.items():
        for sentence in re.split(r"(?<=[.])\s|\n", prop.doc):
            if _FORCES_NEW.search(sentence) and not _CONDITIONAL.search(sentence):
                found.add(name)
    if token.startswith("aws:s3/bucket") and "bucket" in inputs:
        found |= {"bucket", "expectedBucketOwner"} & set(inputs)
    type_name = resource_type(token)
    if type_name:
        root = document(type_name)
        for pointer in root.get("createOnlyProperties", []):
            path = _sdk_path(token, root, pointer.split("/")[2:])
            if path:
                found.add(path)
    in_place = set(_UPDATES_IN_PLACE.get(token, "").split())
    return frozenset(path for path in found if path.split(".")[0] not in in_place)


def replaces(token: str, path: str, *blocks: Any) -> bool:
    """Whether a change at `path`, in the format of a difference, forces a replacement.

    Args:
        token: the resource's type.
        path: where the old and the new inputs differ.
        blocks: the plain old and new values at `path`. A property below `path` counts only if one of them
            has it. Without blocks, every property below `path` counts.

    A block that becomes unknown as a whole forces a replacement only if a change of the block itself does:
    `schemaMap.diffList` in the Terraform plugin SDK takes the block's own `ForceNew` then.
    """
    plain = re.sub(r"\[[^\]]*\]", "", path)
    for forced in replacing_paths(token):
        if plain == forced or plain.startswith(f"{forced}."):
            return True
        below = forced.removeprefix(f"{plain}.")
        if below == forced or UNKNOWN in blocks:
            continue
        if not blocks or any(_has(block, below.split(".")) for block in blocks):
            return True
    return False


def _has(block: Any, steps: list[str]) -> bool:
    if is_list(block):
        return any(_has(item, steps) for item in block)
    if not steps:
        return block is not None
    return is_dict(block) and _has(block.get(steps[0]), steps[1:])


def value_problems(token: str, inputs: Mapping[str, Any]) -> Iterator[Problem]:
    """Values that AWS's schema rejects because of enums, patterns, lengths or ranges, at any depth."""
    type_name = resource_type(token)
    if type_name:
        root = document(type_name)
        skipped = _OTHER_VALUES.get(type_name, set[str]())
        given = {name: value for name, value in inputs.items() if name not in skipped}
        yield from _check(root, root, given, "", _word(type_name))


def _check(root: Json, node: Json, value: Any, path: str, owner: str) -> Iterator[Problem]:
    node = _resolve(root, node)
    if value is None or value == UNKNOWN:
        return
    if isinstance(value, Mapping):
        known = _properties(root, node)
        for name, item in value.items():
            match = _match(name, tuple(known), owner)
            if match:
                yield from _check(root, known[match], item, step(path, name), _norm(name))
    elif isinstance(value, list):
        items = node.get("items", node if "properties" in node else {})
        for index, item in enumerate(value):
            yield from _check(root, items, item, f"{path}[{index}]", owner)
    elif (path.rpartition(".")[2], value) not in _TAKEN_ALL_THE_SAME:
        message = _scalar_problem(node, value)
        if message:
            yield Problem(path, value, f"{shown(path, value)} {message}")


_TAKEN_ALL_THE_SAME = {("maxReadRequestUnits", -1), ("maxWriteRequestUnits", -1)}
"""Properties and values that AWS accepts although they are outside its schema's range: -1 removes a maximum
(DynamoDB API Reference, `OnDemandThroughput`)."""


def _scalar_problem(node: Json, value: Any) -> str | None:
    kinds = node.get("type", [])
    kinds = kinds if isinstance(kinds, list) else [kinds]
    text = str(value).lower() if isinstance(value, bool) else str(value)
    allowed = node.get("enum") or node.get("enumCaseInsensitive")
    if allowed and text.lower() not in {str(item).lower() for item in allowed}:
        return "is not one of " + ", ".join(map(str, allowed))
    if {"integer", "number"} & set(kinds) and re.fullmatch(r"-?\d+(\.\d+)?", text):
        least, most = node.get("minimum", float(text)), node.get("maximum", float(text))
        if not least <= float(text) <= most:
            return f"is outside AWS's range of {node.get('minimum', '…')} to {node.get('maximum', '…')}"
    if kinds == ["string"] and isinstance(value, str) and value:
        if len(value) < node.get("minLength", 0):
            return f"is shorter than AWS's minimum of {node['minLength']} characters"
        if len(value) > node.get("maxLength", len(value)):
            return f"is longer than AWS's maximum of {node['maxLength']} characters"
        pattern = _pattern(node.get("pattern", ""))
        if pattern and not pattern.search(value):
            return f"does not match AWS's pattern {node['pattern']}"
    return None


@functools.cache
def _pattern(text: str) -> re.Pattern[str] | None:
    try:
        return re.compile(text) if text else None
    except re.error:  # a few of AWS's patterns use Java's syntax
        return None


def _resolve(root: Json, node: Json) -> Json:
    while "$ref" in node:
        target: Any = root
        for part in node["$ref"].lstrip("#/").split("/"):
            target = target[part]
        node = target
    return node


def _properties(root: Json, node: Json) -> dict[str, Json]:
    """The properties of an object, or of a list's objects. Alternatives are merged."""
    node = _resolve(root, node)
    found: dict[str, Json] = dict(node.get("properties", {}))
    for key in ("oneOf", "anyOf", "allOf"):
        for option in node.get(key, []):
            found = {**_properties(root, option), **found}
    if not found and "items" in node:
        return _properties(root, node["items"])
    return found


def _sdk_path(token: str, root: Json, parts: list[str]) -> str | None:
    """The Pulumi path of a CloudFormation property. A nested property can be flat in Terraform."""
    owner = _word(root["typeName"])
    names = schema(token).inputs
    for first in (parts[0], parts[-1]):
        for name in names:
            if _match(name, (first,), owner):
                rest = parts[1:] if first == parts[0] else []
                return ".".join([name, *(part[0].lower() + part[1:] for part in rest if part != "*")])
    return None


@functools.cache
def _match(name: str, known: tuple[str, ...], owner: str) -> str | None:
    """The CloudFormation name among `known` that matches a Pulumi name."""
    wanted = _norm(name)
    by_norm = {_norm(candidate): candidate for candidate in known}
    forms = [wanted, _singular(wanted), f"{wanted}s"]
    forms += [
        f"{prefix}{form}" for prefix in (owner, owner.removeprefix("db"), "db", "cache") for form in forms
    ]
    forms += [f"{wanted}{suffix}" for suffix in ("id", "arn", "url")] if owner else []
    forms += [
        f"group{wanted}",
        f"filter{wanted}",
        f"alarm{wanted}",
        f"policy{wanted}",
        f"cachesubnet{wanted}",
    ]
    forms += [wanted.removeprefix(owner)]
    for form in forms:
        if form in by_norm:
            return by_norm[form]
    return None


def _word(type_name: str) -> str:
    return _norm(type_name.rsplit("::", 1)[1])


@functools.cache
def _norm(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _singular(name: str) -> str:
    return re.sub("ies$", "y", name) if name.endswith("ies") else re.sub("s$", "", name)
