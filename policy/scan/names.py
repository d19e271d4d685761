"""Translates the names of pulumi-aws to Terraform's names.

The Pulumi provider is generated from the Terraform provider (pulumi/pulumi-terraform-bridge,
`pkg/tfbridge/names.go`): snake case becomes camel case, lists get plural names, and a block that can occur
only once becomes an object. This module reverses these rules; the tables have the names that don't follow
them. The tables cover the types in use, and were compared with the schema of Terraform's AWS provider 6.66.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from sandbox.sdk_schema import Type

_MODULES = {
    "amp": "prometheus",
    "apigateway": "api_gateway",
    "costexplorer": "ce",
    "ec2": "",
}
"""Pulumi's module → prefix of Terraform's types, where the two differ."""

_TYPES = {
    "aws:lb/loadBalancer:LoadBalancer": "aws_lb",
    "aws:route53/hostedZoneDnsSec:HostedZoneDnsSec": "aws_route53_hosted_zone_dnssec",
    "aws:s3/bucketObjectv2:BucketObjectv2": "aws_s3_object",
}

_ATTRIBUTES: Mapping[str, Mapping[str, str]] = {
    "aws_acm_certificate": {"domainValidationOptions": "domain_validation_options"},
    "aws_api_gateway_base_path_mapping": {"restApi": "api_id"},
    "aws_api_gateway_deployment": {"restApi": "rest_api_id"},
    "aws_api_gateway_method_settings": {"restApi": "rest_api_id"},
    "aws_api_gateway_stage": {"restApi": "rest_api_id", "deployment": "deployment_id"},
    "aws_appautoscaling_policy": {"dimensions": "dimensions", "metrics": "metrics"},
    "aws_backup_selection": {"stringEquals": "string_equals", "stringNotEquals": "string_not_equals"},
    "aws_ce_anomaly_subscription": {"monitorArnLists": "monitor_arn_list"},
    "aws_cloudfront_response_headers_policy": {"items": "items"},
    "aws_cloudwatch_metric_alarm": {"name": "alarm_name"},
    "aws_cognito_user_pool": {
        "attributesRequireVerificationBeforeUpdates": "attributes_require_verification_before_update"
    },
    "aws_dynamodb_table": {"headerLists": "header_list"},
    "aws_lambda_function": {"name": "function_name", "commands": "command", "entryPoints": "entry_point"},
    "aws_lambda_permission": {"function": "function_name"},
    "aws_rds_global_cluster": {"globalClusterMembers": "global_cluster_members"},
    "aws_route53_record": {"aliases": "alias", "coordinates": "coordinates"},
    "aws_s3_bucket": {"rules": "rules"},
    "aws_sns_topic_subscription": {"topic": "topic_arn"},
    "aws_wafv2_web_acl": {
        "asnLists": "asn_list",
        "managedRuleGroupConfigs": "managed_rule_group_configs",
    },
    "aws_wafv2_web_acl_logging_configuration": {"redactedFields": "redacted_fields"},
}
"""Terraform's type → Pulumi's property, at any depth → Terraform's name, where the rules give another
name."""


def terraform_type(token: str) -> str:
    """Terraform's type for a token such as `aws:rds/cluster:Cluster`."""
    if token in _TYPES:
        return _TYPES[token]
    _, path, name = token.split(":")
    module, name = path.split("/")[0], _snake(name)
    if module == "rds" and not name.startswith(("cluster", "global_cluster")):
        module = "db"
    return "_".join(part for part in ("aws", _MODULES.get(module, module), name) if part)


def attribute(terraform_type: str, name: str, kind: Type) -> str:
    """Terraform's name of a property with this type."""
    listed = _ATTRIBUTES.get(terraform_type, {}).get(name)
    if listed:
        return listed
    items = kind.option("list")
    of_blocks = items and items.item and items.item.option("object")
    return _singular(_snake(name)) if of_blocks else _snake(name)


def _snake(name: str) -> str:
    return re.sub(r"(?<!^)([A-Z])", r"_\1", name).lower()


def _singular(name: str) -> str:
    if name.endswith("ies"):
        return name[:-3] + "y"
    if name.endswith(("sses", "xes")):
        return name[:-2]
    return name if name.endswith("ss") else name.removesuffix("s")
