"""What exists in the account already, which the project takes over instead of failing.

`pulumi.ResourceOptions(import_=…)` takes a resource over. The engine imports it only if the state doesn't
have it (pulumi/pulumi v3.255.0, `pkg/resource/deploy/step_generator.go`, `isImport`), so the option can stay
when the resource is the project's own, and then updates it to what the program says. So each question here
may have the same answer in every later deployment.
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
