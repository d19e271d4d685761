"""Rules about access: IAM, keys and secrets."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any

from policy.ours import OURS
from policy.rule import SECRET, Resource, Stack, is_list, is_map, must_be, rule, stack_rule

ROLE = "aws:iam/role:Role"
ROLE_POLICY = "aws:iam/rolePolicy:RolePolicy"
POLICY = "aws:iam/policy:Policy"
ATTACHMENT = "aws:iam/rolePolicyAttachment:RolePolicyAttachment"
KEY = "aws:kms/key:Key"
KEY_POLICY = "aws:kms/keyPolicy:KeyPolicy"
SECRET_VALUE_HOLDER = "aws:secretsmanager/secret:Secret"  # noqa: S105 (a type)
ROTATION = "aws:secretsmanager/secretRotation:SecretRotation"

BOUNDARY = "trading:permissionsBoundary"
"""The setting with the permissions boundary of all roles."""

MOST_ROTATION_DAYS = 90
"""Days after which SecretsManager.4 wants a secret to be rotated, unless its parameter names others (Security
Hub User Guide, "Security Hub controls for Secrets Manager")."""
MOST_KEY_ROTATION_DAYS = 365
"""Days after which KMS rotates a key by default (KMS Developer Guide, "Rotate AWS KMS keys")."""

SECRET_NAME = re.compile(
    r"(password|passphrase|secret|secretstring|token|privatekey|accesskey|secretkey|apikey)(wo)?$"
)
"""Names of properties, in lower case and without separators, whose values are secrets."""

_UNITS = "tokenValidityUnits"


_KEY = re.compile(r"arn:aws[a-z-]*:kms:[^:]*:(\d+):(key|alias)/(.+)")


def is_our_key(key: object) -> bool:
    """Whether a property names a customer managed key in one of our accounts."""
    return _foreign_key(key) is None


def must_be_our_key(resource: Resource, path: str) -> Iterator[str]:
    """Yields a problem if a property doesn't name a customer managed key in one of our accounts."""
    if problem := _foreign_key(resource.get(path)):
        yield f"{path} {problem}: use the region's key"


def _foreign_key(key: object) -> str | None:
    if not key:
        return "is not set"
    if re.search(r"(^|:)alias/aws/", str(key)):
        return "is an AWS managed key"
    found = _KEY.fullmatch(str(key))
    if found and found[1] not in OURS.accounts:
        return f"is a key of the account {found[1]}, which is not in policy/ours.yaml"
    return None


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


@rule("A role has the permissions boundary of the stack's settings, if there is one", ROLE)
def role_has_the_boundary(role: Resource) -> Iterator[str]:
    if role.permissions_boundary:
        yield from must_be(role, "permissionsBoundary", role.permissions_boundary)


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
        days = key.get("rotationPeriodInDays")
        if days is not None and days > MOST_KEY_ROTATION_DAYS:
            yield f"rotationPeriodInDays is {days:g}: set it to at most {MOST_KEY_ROTATION_DAYS}"


@stack_rule("A secret is rotated", SECRET_VALUE_HOLDER, controls=["SecretsManager.1", "SecretsManager.4"])
def secret_is_rotated(secret: Resource, stack: Stack) -> Iterator[str]:
    if not any(stack.companions(secret, ROTATION)):
        yield "has no SecretRotation: add one"


@rule(
    f"A rotation takes place at least every {MOST_ROTATION_DAYS} days",
    ROTATION,
    controls=["SecretsManager.4"],
)
def rotation_takes_place(rotation: Resource) -> Iterator[str]:
    days = rotation.get("rotationRules.automaticallyAfterDays")
    schedule = str(rotation.get("rotationRules.scheduleExpression") or "")
    if schedule:
        if _longest_wait(schedule) > MOST_ROTATION_DAYS:
            yield (
                f"scheduleExpression is {schedule}: use rate(… days) with at most {MOST_ROTATION_DAYS} days, "
                "or a cron expression whose year is * and whose month is * or */2"
            )
    elif days is None or days > MOST_ROTATION_DAYS:
        found = "not set" if days is None else f"{days:g}"
        yield f"automaticallyAfterDays is {found}: set it to at most {MOST_ROTATION_DAYS}"


def _longest_wait(schedule: str) -> float:
    """The most days between two rotations, as far as the expression's form shows it; otherwise infinity.

    The fields of a cron expression are minutes, hours, day of the month, month, day of the week and year
    (Secrets Manager User Guide, "Schedule expressions").
    """
    if rate := re.fullmatch(r"rate\((\d+) (hour|day)s?\)", schedule):
        return int(rate[1]) / (24 if rate[2] == "hour" else 1)
    cron = re.fullmatch(r"cron\(\S+ \S+ \S+ (\S+) \S+ \*\)", schedule)
    return {"*": 31, "*/2": 62, "1/2": 62}.get(cron[1], math.inf) if cron else math.inf


@rule("A secret is encrypted with the platform's key", SECRET_VALUE_HOLDER)
def secret_is_encrypted(secret: Resource) -> Iterator[str]:
    yield from must_be_our_key(secret, "kmsKeyId")


@rule("A deleted secret in production can be restored", SECRET_VALUE_HOLDER)
def secret_can_be_restored(secret: Resource) -> Iterator[str]:
    days = secret.get("recoveryWindowInDays")
    if secret.is_production and days == 0:
        yield "recoveryWindowInDays is 0, so a deletion is final at once: set it to at least 7"


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
