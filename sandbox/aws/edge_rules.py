"""Rules for what AWS rejects at the edge and in monitoring: CloudFront, API Gateway, Prometheus, logs.

They are registered like those in `rules.py`, when this module is imported.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml

from sandbox.aws.rules import Change, Finding, rule
from sandbox.sdk_schema import schema
from sandbox.values import is_dict, is_list
from settings.aws_limits import (
    OBJECT_TAGS,
    RESOURCE_TAGS,
    ROUTE53_TAGS,
    RULE_GROUPS,
    RULE_NAMESPACES,
    RULES_FILE_BYTES,
    RULES_PER_GROUP,
)

# -- tags ------------------------------------------------------------------------------------------

FEW_TAGS = {
    "aws:route53/healthCheck:HealthCheck": ROUTE53_TAGS,
    "aws:route53/zone:Zone": ROUTE53_TAGS,
    "aws:s3/bucketObjectv2:BucketObjectv2": OBJECT_TAGS,
}
"""Types that accept fewer tags than most."""


@rule()
def tags_fit(change: Change) -> Iterator[Finding]:
    """A resource can't have more tags than its type accepts, including the provider's default tags."""
    if "tagsAll" not in schema(change.type).outputs:
        return
    tags, most = {**change.default_tags, **change.get("tags", {})}, FEW_TAGS.get(change.type, RESOURCE_TAGS)
    if len(tags) > most:
        yield "tags", f"{len(tags)} tags with the provider's default tags; AWS accepts {most}"


# -- Managed Service for Prometheus ----------------------------------------------------------------

_RULES = "amp/ruleGroupNamespace:RuleGroupNamespace"


def _groups(data: Any) -> list[dict[str, Any]]:
    document = yaml.safe_load(data) if data else None
    groups = document.get("groups") if is_dict(document) else None
    return [group for group in groups if is_dict(group)] if is_list(groups) else []


@rule(_RULES)
def rule_groups_are_small(change: Change) -> Iterator[Finding]:
    """A rules file and its groups can't be larger than the default quotas."""
    data = str(change.get("data", ""))
    if len(data.encode()) > RULES_FILE_BYTES:
        yield "data", f"{len(data.encode())} bytes; a rules file can have {RULES_FILE_BYTES}"
    for group in _groups(data):
        if len(group["rules"]) > RULES_PER_GROUP:
            yield (
                "data",
                f"group {group['name']} has {len(group['rules'])} rules; a group can have {RULES_PER_GROUP}",
            )


@rule(_RULES, at_preview=False)
def workspace_has_room_for_rules(change: Change) -> Iterator[Finding]:
    """A workspace can't have more rule groups and namespaces than the default quotas."""
    workspace = change.get("workspaceId")
    others = [row for row in change.others(change.type) if row.inputs.get("workspaceId") == workspace]
    groups = sum(len(_groups(data)) for data in (change.get("data"), *(row.inputs["data"] for row in others)))
    if groups > RULE_GROUPS:
        yield "data", f"{workspace} would have {groups} rule groups; a workspace can have {RULE_GROUPS}"
    if len(others) >= RULE_NAMESPACES:
        yield "name", f"{workspace} has {len(others)} rule group namespaces already, as many as it can have"


# -- log delivery ----------------------------------------------------------------------------------


@rule("cloudwatch/logDelivery:LogDelivery")
def delivery_keeps_its_fields(change: Change) -> Iterator[Finding]:
    """The fields of a delivery to CloudWatch Logs can't be changed.

    Terraform's provider sends the empty S3 configuration with the new fields
    (hashicorp/terraform-provider-aws #46108 and #48527).
    """
    current = change.current
    if current is None or "s3DeliveryConfigurations" in change.inputs:
        return
    for name in ("recordFields", "fieldDelimiter"):
        if current.inputs.get(name) != change.inputs.get(name):
            yield (
                name,
                "ValidationException: Provided delivery configuration is invalid for the destination type",
            )
