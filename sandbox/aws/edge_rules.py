"""Rules for what AWS rejects at the edge and in monitoring: CloudFront, API Gateway, Prometheus, logs.

They are registered like those in `rules.py`, when this module is imported.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import yaml

from sandbox.aws.rules import Change, Finding, rule
from sandbox.aws.store import Row, Store
from sandbox.rpc import ProviderError
from sandbox.sdk_schema import schema
from sandbox.values import is_dict, is_list
from settings.aws_limits import (
    RESOURCE_TAGS,
    RULE_GROUPS,
    RULE_NAMESPACES,
    RULES_FILE_BYTES,
    RULES_PER_GROUP,
)
from settings.tags import FEW_TAGS

# -- what several stacks share ---------------------------------------------------------------------

ONCE_PER_REGION = {
    "aws:apigateway/account:Account": "aws:apigateway/stage:Stage",
    "aws:backup/regionSettings:RegionSettings": "aws:backup/selection:Selection",
    "aws:ebs/defaultKmsKey:DefaultKmsKey": "none",
    "aws:ebs/encryptionByDefault:EncryptionByDefault": "none",
}
"""Types of settings that an account has once in each region → the type that needs them. A second stack
overwrites the first one's."""

_PUT = {
    "aws:iam/rolePolicy:RolePolicy",
    "aws:iam/rolePolicyAttachment:RolePolicyAttachment",
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration",
    "aws:s3/bucketLogging:BucketLogging",
    "aws:s3/bucketOwnershipControls:BucketOwnershipControls",
    "aws:s3/bucketPolicy:BucketPolicy",
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock",
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration",
    "aws:s3/bucketVersioning:BucketVersioning",
}
"""Types that the provider creates with AWS's *Put* operations, or with AttachRolePolicy, which don't fail if
the resource exists (terraform-provider-aws, `internal/service/s3/bucket_*.go` and
`internal/service/iam/role_policy*.go`, 2026)."""


def overwrites(change: Change) -> bool:
    """Whether AWS overwrites a resource that exists already, instead of refusing to create it again."""
    return change.type in {*ONCE_PER_REGION, *_PUT} or bool(change.get("allowOverwrite"))


def check_shared_deletion(store: Store, row: Row, urn: str) -> None:
    """Refuses to delete a setting of the region that another stack needs. AWS deletes it without a word.

    Args:
        store: the account.
        row: the setting, which another stack may have overwritten.
        urn: the URN of the resource that is deleted.

    Raises:
        ProviderError: another stack needs it.
    """
    for user in store.all(ONCE_PER_REGION.get(row.type, "none")):
        if user.region == row.region and _stack(user.urn) != _stack(urn):
            raise ProviderError(
                f"{row.type} {row.name}: {user.name} of the stack {_stack(user.urn)} needs it too, and "
                "AWS would delete it silently: set retain_on_delete"
            )


def _stack(urn: str) -> str:
    return urn.split("::")[0].removeprefix("urn:pulumi:")


# -- tags ------------------------------------------------------------------------------------------


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
    document = yaml.load(data, Loader=yaml.CSafeLoader) if data else None
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


# -- API Gateway -----------------------------------------------------------------------------------

_METHODS = ("get", "head", "post", "put", "patch", "delete", "options", "trace")
_UNSUPPORTED = {"discriminator", "example", "exclusiveMinimum", "oneOf", "readOnly"}
_FORMATS = {"int32", "int64", "decimal"}


@rule("apigateway/restApi:RestApi")
def document_can_be_imported(change: Change) -> Iterator[Finding]:
    """An OpenAPI document must not have what API Gateway refuses or drops at an import.

    Source: "Amazon API Gateway important notes", API Gateway Developer Guide, read in November 2026. The page
    also lists `additionalProperties`, which the import accepts with a warning, and `minItems` and `maxItems`,
    which it only leaves out of the validation.
    """
    body = change.get("body")
    if not body:
        return
    document = json.loads(body) if str(body).startswith("{") else yaml.load(body, Loader=yaml.CSafeLoader)
    if "security" in document:
        yield "body", "security: must be given for each operation; at the root, it has no effect"
    components: dict[str, dict[str, Any]] = document.get("components", {})
    for name, scheme in components.get("securitySchemes", {}).items():
        if scheme.get("type") != "apiKey":
            yield "body", f"securitySchemes.{name}: type {scheme.get('type')!r} must be 'apiKey'"
    for name, schema_ in components.get("schemas", {}).items():
        if not re.fullmatch(r"[A-Za-z0-9]+", name):
            yield "body", f"schemas.{name}: a model's name can only have letters and digits"
        yield from _unsupported(schema_, f"schemas.{name}")
    operations: list[str] = []
    for path, item in document.get("paths", {}).items():
        if not re.fullmatch(r"/|(/([\w.,:-]+|\{[\w.-]+\+?\}))+", path):
            yield "body", f"paths[{path}]: a segment can have letters, digits and -_.,: or be one parameter"
        for method, operation in item.items():
            if method in _METHODS:
                operations += [operation["operationId"]] if "operationId" in operation else []
                yield from _responses(operation.get("responses", {}), f"{method} {path}")
    for name in {name for name in operations if operations.count(name) > 1}:
        yield "body", f"operationId {name} is given twice"


def _responses(responses: dict[str, Any], where: str) -> Iterator[Finding]:
    for status, response in responses.items():
        if "$ref" in response:
            yield "body", f"{where}: response {status} must not be a reference: give it inline"
        for kind, content in response.get("content", {}).items():
            if content.get("schema", {}).get("type", "object") != "object":
                yield "body", f"{where}: response {status} {kind} must have the schema of an object"


def _unsupported(node: Any, where: str) -> Iterator[Finding]:
    if is_list(node):
        for index, item in enumerate(node):
            yield from _unsupported(item, f"{where}[{index}]")
    if not is_dict(node):
        return
    for key in sorted(_UNSUPPORTED & node.keys()):
        yield "body", f"{where}: {key} is not supported in models"
    if node.get("format") in _FORMATS:
        yield "body", f"{where}: format {node['format']} is not supported in models"
    for key, item in node.items():
        below: Any = list(item.values()) if key == "properties" and is_dict(item) else item
        yield from _unsupported(below, f"{where}.{key}")


# -- CloudFront ------------------------------------------------------------------------------------


@rule("cloudfront/distribution:Distribution", at_preview=False)
def aliases_are_unique(change: Change) -> Iterator[Finding]:
    """A host can't be an alias of two distributions."""
    for other in change.others(change.type):
        for alias in set(change.get("aliases", [])) & set(other.inputs.get("aliases", [])):
            yield "aliases", f"CNAMEAlreadyExists: {alias} is an alias of {other.name}"


@rule("cloudfront/function:Function")
def tags_are_not_published_alone(change: Change) -> Iterator[Finding]:
    """Terraform's provider publishes a function whose tags change, with an ETag that CloudFront refuses
    unless the function was updated before (hashicorp/terraform-provider-aws #49572, August 2026)."""
    current = change.current
    if current is None:
        return
    function = ("code", "comment", "keyValueStoreAssociations", "runtime")
    tags = {**change.default_tags, **change.get("tags", {})}
    if tags != current.outputs.get("tagsAll") and all(
        current.inputs.get(name) == change.inputs.get(name) for name in function
    ):
        yield "tags", "PublishFunction: PreconditionFailed: nothing but the tags has changed"
