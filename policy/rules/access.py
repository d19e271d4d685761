"""Rules about access: IAM, keys and secrets."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Any

from policy.rule import (
    SECRET,
    Resource,
    Stack,
    allowed,
    is_list,
    is_map,
    is_public,
    listed,
    must_be,
    principals,
    rule,
    stack_rule,
)

ROLE = "aws:iam/role:Role"
ROLE_POLICY = "aws:iam/rolePolicy:RolePolicy"
POLICY = "aws:iam/policy:Policy"
ATTACHMENT = "aws:iam/rolePolicyAttachment:RolePolicyAttachment"
KEY = "aws:kms/key:Key"
KEY_POLICY = "aws:kms/keyPolicy:KeyPolicy"
SECRET_VALUE_HOLDER = "aws:secretsmanager/secret:Secret"  # noqa: S105 (a type)
ROTATION = "aws:secretsmanager/secretRotation:SecretRotation"

ACTIONS_WITHOUT_RESOURCES = re.compile(
    r"ec2:(Describe\w+|(Create|Delete)NetworkInterface|(Una|A)ssignPrivateIpAddresses)"
    r"|xray:Put(TelemetryRecords|TraceSegments)"
    r"|cloudwatch:PutMetricData"
    r"|logs:Describe\w+"
    r"|s3:ListAllMyBuckets"
    r"|secretsmanager:GetRandomPassword"
)
"""Actions that don't support resource-level permissions, or whose resources aren't known beforehand (Service
Authorization Reference; for network interfaces: Lambda Developer Guide, "Giving functions access to resources
in an Amazon VPC")."""

ANY_RESOURCE = re.compile(r"[*?]+|arn:[^:]*:[^:]*:[^:]*:([^:]*:|[^:]+:[\w-]+[/:])[*?]+([/:].*)?")
"""Matches all resources, or all of a service or of a type. A bucket's ARN has no account, and begins with the
bucket's name."""

DECRYPTING = ("kms:decrypt", "kms:reencryptfrom")
"""Actions in lower case, because IAM ignores the case of actions."""

SECRET_NAME = re.compile(
    r"(password|passphrase|secret|secretstring|token|privatekey|accesskey|secretkey|apikey)(wo)?$"
)
"""Names of properties, in lower case and without separators, whose values are secrets."""

_UNITS = "tokenValidityUnits"


def is_our_key(key: object) -> bool:
    """Whether a property names a customer managed key."""
    return bool(key) and not re.search(r"(^|:)alias/aws/", str(key))


def must_be_our_key(resource: Resource, path: str) -> Iterator[str]:
    """Yields a problem if a property doesn't name a customer managed key."""
    key = resource.get(path)
    if not is_our_key(key):
        yield f"{path} is {'an AWS managed key' if key else 'not set'}: use the region's key"


@rule(
    "No policy allows all actions of AWS or of a service", ROLE_POLICY, POLICY, controls=["IAM.1", "IAM.21"]
)
def policy_names_its_actions(policy: Resource) -> Iterator[str]:
    for statement in allowed(policy.get("policy")):
        if "NotAction" in statement:
            yield "a statement allows all actions except some (NotAction): name the actions that are needed"
        for action in listed(statement.get("Action")):
            if action == "*" or action.endswith(":*"):
                yield f"allows {action}: name the actions that are needed"


@rule("No role has one of AWS's broad policies", ATTACHMENT, controls=["IAM.1"])
def role_has_no_broad_policy(attachment: Resource) -> Iterator[str]:
    name = str(attachment.get("policyArn") or "").rsplit("/", 1)[-1]
    if name in ("AdministratorAccess", "PowerUserAccess", "IAMFullAccess") or name.endswith("FullAccess"):
        yield f"policyArn is {name}: write a policy that allows only what is needed"


@rule("A policy names its resources", ROLE_POLICY, POLICY)
def policy_names_its_resources(policy: Resource) -> Iterator[str]:
    for statement in allowed(policy.get("policy")):
        if "NotResource" in statement:
            yield "a statement covers all resources except some (NotResource): name the resources"
        for resource in filter(ANY_RESOURCE.fullmatch, listed(statement.get("Resource"))):
            for action in listed(statement.get("Action")):
                if resource != "*" or not ACTIONS_WITHOUT_RESOURCES.fullmatch(action):
                    yield f'allows {action} on "{resource}": name the resources'


@rule("No policy allows decryption with every key", ROLE_POLICY, POLICY, controls=["KMS.1", "KMS.2"])
def policy_decrypts_with_named_keys(policy: Resource) -> Iterator[str]:
    for statement in allowed(policy.get("policy")):
        allows = [str(action).lower() for action in listed(statement.get("Action"))]
        if not any(fnmatchcase(action, pattern) for action in DECRYPTING for pattern in allows):
            continue
        for resource in filter(ANY_RESOURCE.fullmatch, listed(statement.get("Resource"))):
            yield f"allows decryption with {resource}: name the keys"


@rule("A role names who can assume it", ROLE)
def role_trusts_somebody(role: Resource) -> Iterator[str]:
    for statement in allowed(role.get("assumeRolePolicy")):
        if "NotPrincipal" in statement or any("*" in principal for principal in principals(statement)):
            yield "assumeRolePolicy trusts everyone: name who can assume the role"


@rule(
    "There are no IAM users",
    "aws:iam/user:User",
    "aws:iam/accessKey:AccessKey",
    "aws:iam/userLoginProfile:UserLoginProfile",
    "aws:iam/userPolicy:UserPolicy",
    "aws:iam/userPolicyAttachment:UserPolicyAttachment",
    controls=["IAM.2", "IAM.3", "IAM.5", "IAM.8", "IAM.19", "IAM.22"],
)
def no_iam_users(resource: Resource) -> Iterator[str]:
    yield f"{resource.name} belongs to an IAM user, whose long-term keys can leak: use a role"


@rule("A key in production is protected from accidental deletion", KEY, controls=["KMS.3"])
def key_is_hard_to_delete(key: Resource) -> Iterator[str]:
    if not key.is_production:
        return
    if not key.protect:
        yield "is not protected: set protect=True"
    yield from must_be(key, "deletionWindowInDays", 30, unset=True)


@rule("Keys are rotated", KEY, controls=["KMS.4"])
def key_is_rotated(key: Resource) -> Iterator[str]:
    if key.get("keyUsage") in (None, "ENCRYPT_DECRYPT"):  # other keys can't be rotated
        yield from must_be(key, "enableKeyRotation", True)


@rule("Keys are not public", KEY, KEY_POLICY, controls=["KMS.5"])
def key_is_not_public(key: Resource) -> Iterator[str]:
    if is_public(key.get("policy")):
        yield "policy lets everyone use the key: name a principal, or add a condition"


@stack_rule("A secret is rotated", SECRET_VALUE_HOLDER, controls=["SecretsManager.1", "SecretsManager.4"])
def secret_is_rotated(secret: Resource, stack: Stack) -> Iterator[str]:
    if not any(stack.companions(secret, ROTATION)):
        yield "has no SecretRotation: add one"


@rule("A secret is encrypted with the platform's key", SECRET_VALUE_HOLDER)
def secret_is_encrypted(secret: Resource) -> Iterator[str]:
    yield from must_be_our_key(secret, "kmsKeyId")


@rule("Secret values are Pulumi secrets, so that states and logs don't show them")
def secrets_are_secret(resource: Resource) -> Iterator[str]:
    yield from _plain_secrets("", resource.properties)
    if resource.type == "kubernetes:core/v1:Secret":
        for key in ("data", "stringData"):
            values = resource.get(key)
            for name, value in values.items() if is_map(values) else ():
                if value != SECRET:
                    yield f"{key}.{name} is plain text: make it a secret (pulumi.Output.secret)"


def _plain_secrets(path: str, value: Any) -> Iterator[str]:
    if is_list(value):
        for index, item in enumerate(value):
            yield from _plain_secrets(f"{path}[{index}]", item)
    elif is_map(value):
        # A container's environment is a list of names and values.
        if _is_secret(value.get("name"), value.get("value")):
            yield f"{path}.value is plain text: make it a secret (pulumi.Output.secret)"
        for key, item in value.items():
            if key == _UNITS or key.startswith("__"):
                continue
            where = f"{path}.{key}".removeprefix(".")
            if _is_secret(key, item):
                yield f"{where} is plain text: make it a secret (pulumi.Output.secret)"
            else:
                yield from _plain_secrets(where, item)


def _is_secret(name: object, value: object) -> bool:
    return (
        isinstance(name, str)
        and isinstance(value, str)
        and value not in ("", SECRET)
        and SECRET_NAME.search(re.sub("[_-]", "", name.lower())) is not None
    )
