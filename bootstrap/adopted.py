"""What exists in the account already, which the project takes over instead of failing.

That is what others in the account use, and what has the project's own names, because somebody made it by
hand or the first state is lost.

`pulumi.ResourceOptions(import_=…)` takes a resource over. The engine imports it only if the state doesn't
have it with this id (pulumi/pulumi v3.255.0, `pkg/resource/deploy/step_generator.go`, `isImport`), so the
option can stay when the resource is the project's own, and each question here may have the same answer in
every later deployment. The engine then updates the resource to what the program says
(`continueStepsFromImport`), and fails if it would have to replace it. But if the state has the resource with
another id, the engine imports the new one and deletes the old one, even if it is protected. Only keys have
ids that aren't their names, and so they are retained (`bootstrap/state.py`).

What belongs to a bucket or a role isn't asked for, because the provider's creation overwrites it: it calls
PutBucketVersioning, PutBucketEncryption, PutPublicAccessBlock, PutBucketOwnershipControls,
PutBucketLifecycleConfiguration, PutBucketLogging, PutBucketPolicy and PutRolePolicy, and AttachRolePolicy,
which does nothing if the policy is attached (terraform-provider-aws, `internal/service/s3/bucket_*.go` and
`internal/service/iam/role_policy*.go`, read 2026-11-27). Other policies of a role stay.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import pulumi
import pulumi_aws as aws

_T = TypeVar("_T")
_NOT_FOUND = "couldn't find resource"
"""The text of the AWS provider's `NotFoundError` (hashicorp/terraform-plugin-sdk, `helper/retry/error.go`,
and terraform-provider-aws, `internal/retry`, read 2026-11-27). Look-ups of single resources fail with it."""
_OWN_KEYS = ("SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT", "AWS_KMS")
"""Spec, usage and origin of the keys that the project creates."""


class AdoptionError(Exception):
    """Raised if something exists that the project can't take over. The text says what to do."""


def service_linked_role(service: str, opts: pulumi.InvokeOptions) -> str | None:
    """The ARN of the role of a service. The service chooses its name, but not its path (IAM User Guide,
    "Create a service-linked role", read 2026-11-27)."""
    found = aws.iam.get_roles(path_prefix=f"/aws-service-role/{service}/", opts=opts).arns
    return found[0] if found else None


def identity_provider(issuer: str, opts: pulumi.InvokeOptions) -> tuple[str, list[str]] | None:
    """The ARN and the audiences of the provider of an issuer, of which an account can have only one."""
    found = _found(lambda: aws.iam.get_open_id_connect_provider(url=f"https://{issuer}", opts=opts))
    return (found.arn, list(found.client_id_lists)) if found else None


def cache_rule(prefix: str, registry: str, opts: pulumi.InvokeOptions) -> str | None:
    """The id of the pull through cache rule of a prefix.

    Raises:
        AdoptionError: the prefix belongs to another registry. To change that would replace the rule.
    """
    found = _found(lambda: aws.ecr.get_pull_through_cache_rule(ecr_repository_prefix=prefix, opts=opts))
    if found is None:
        return None
    if found.upstream_registry_url != registry:
        raise AdoptionError(
            f"trading:imageCache.{prefix}: the account caches {found.upstream_registry_url} under this "
            f"prefix, and not {registry}: choose another prefix"
        )
    return prefix


def bucket(name: str, region: str, opts: pulumi.InvokeOptions) -> str | None:
    """The name of a bucket, if the account has it.

    Raises:
        AdoptionError: the bucket belongs to another account, or is in another region. Other accounts can't
            read a bucket's policy, whatever it allows them ("GetBucketPolicy", Amazon S3 API Reference, read
            2026-11-27), so nobody can make the project write states into a bucket of theirs.
    """
    remedy = f"delete it if it is yours, or begin trading:regions with another region than {region}"
    try:
        found = _found(lambda: aws.s3.get_bucket(bucket=name, opts=opts))
        if found is None:
            return None
        _found(lambda: aws.s3.get_bucket_policy(bucket=name, opts=opts))
    except Exception as error:
        raise AdoptionError(
            f"the bucket {name} exists, but not in {region} of this account, or you may not read it "
            f"({error}): {remedy}"
        ) from None
    if found.bucket_region != region:
        raise AdoptionError(
            f"the bucket {name} exists in {found.bucket_region} and not in {region}: {remedy}"
        )
    return name


def key(alias: str, opts: pulumi.InvokeOptions) -> str | None:
    """The id of the key that has an alias.

    Raises:
        AdoptionError: the key is going to be deleted, or isn't one that the project could have created. AWS
            can't change its kind.
    """
    found = _found(lambda: aws.kms.get_key(key_id=alias, opts=opts))
    if found is None:
        return None
    what = f"{alias} exists, and its key {found.id}"
    if (found.key_spec, found.key_usage, found.origin) != _OWN_KEYS:
        raise AdoptionError(
            f"{what} is of the kind {found.key_spec}, {found.key_usage}, {found.origin} and not "
            f"{', '.join(_OWN_KEYS)}: delete the alias if nothing is encrypted with the key"
        )
    if found.key_state not in ("Enabled", "Disabled"):
        raise AdoptionError(
            f"{what} has the state {found.key_state}: cancel its deletion (`aws kms cancel-key-deletion "
            f"--key-id {found.id}`), or delete the alias if nothing is encrypted with the key"
        )
    return str(found.id)


def role(name: str, opts: pulumi.InvokeOptions) -> str | None:
    """The name of a role, if the account has it.

    Raises:
        AdoptionError: the role has a path. AWS can't change it.
    """
    found = _found(lambda: aws.iam.get_role(name=name, opts=opts))
    if found is None:
        return None
    if found.path != "/":
        raise AdoptionError(
            f"the role {name} exists with the path {found.path}, and the project's role has none: delete it"
        )
    return name


def policy(arn: str, opts: pulumi.InvokeOptions) -> str | None:
    """The ARN of a policy, if the account has it. IAM itself refuses a second policy of the same name with
    another path."""
    # A look-up by name would wait minutes for a policy that doesn't exist (terraform-provider-aws,
    # `internal/service/iam/policy_data_source.go`, `RetryWhenNotFound`, read 2026-11-27).
    found = _found(lambda: aws.iam.get_policy(arn=arn, opts=opts))
    return arn if found else None


def _found(look_up: Callable[[], _T]) -> _T | None:
    """What a look-up of a single resource answers; None if there is no such resource."""
    try:
        return look_up()
    except Exception as error:
        if _NOT_FOUND in str(error):  # the SDK raises plain exceptions for what a function answers
            return None
        raise


def adopting(options: pulumi.ResourceOptions, existing: str | None) -> pulumi.ResourceOptions:
    """The options of a resource that is taken over if it exists. It stays when the stack is destroyed,
    because others in the account may use it."""
    return pulumi.ResourceOptions.merge(
        options, pulumi.ResourceOptions(import_=existing, retain_on_delete=True)
    )
