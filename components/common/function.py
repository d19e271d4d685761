"""A Lambda function of the platform: its package, log group, role and runtime settings."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pulumi
import pulumi_aws as aws

from components.common.component import Component
from components.common.context import RegionContext
from components.common.iam import policy_document, service_trust
from components.common.logs import log_group

FUNCTIONS = Path("functions")


def function_package(function: str, root: Path | None = None) -> pulumi.AssetArchive:
    """The package of `functions/<function>`: only its Python sources.

    The engine writes archives with a fixed time and mode for each file, so the same sources have the same
    hash on every machine. Functions use only the libraries of Lambda's Python runtime, so nothing has to be
    built.
    """
    root = root or Path(__file__).parents[2]
    sources = sorted(path.relative_to(root) for path in (root / FUNCTIONS / function).rglob("*.py"))
    # Paths are relative to the project, where the engine runs, so the state contains no machine's paths.
    return pulumi.AssetArchive(
        {path.relative_to(FUNCTIONS).as_posix(): pulumi.FileAsset(path.as_posix()) for path in sources}
    )


def function_logs(component: Component, name: str, context: RegionContext) -> aws.cloudwatch.LogGroup:
    """The log group of a function."""
    return log_group(component, name, context, name_prefix=f"/aws/lambda/{name}-")


def python_function(
    component: Component,
    name: str,
    folder: str,
    context: RegionContext,
    *,
    description: str,
    statements: list[dict[str, Any]],
    logs: aws.cloudwatch.LogGroup,
    memory_size: int,
    timeout: int,
    environment: Mapping[str, pulumi.Input[str]],
    publish: bool | None = None,
    reserved_concurrency: int | None = None,
    vpc_config: aws.lambda_.FunctionVpcConfigArgsDict | None = None,
    dead_letters_arn: pulumi.Input[str] | None = None,
) -> aws.lambda_.Function:
    """The function in `functions/<folder>`, on arm64, with JSON logs, tracing and an encrypted environment.

    Args:
        component: the parent.
        name: logical name of the function, its role and the role's policy.
        folder: the package, with a function `handler` in its module `handler`.
        context: the region's context. Its key encrypts the environment.
        description: what the function does.
        statements: IAM statements of the function's role.
        logs: log group of the function.
        memory_size: memory in MiB.
        timeout: timeout in seconds.
        environment: environment variables.
        publish: whether each change publishes a version. Versions are deleted only with the function.
        reserved_concurrency: executions that are reserved for the function, and also its maximum.
        vpc_config: subnets and security groups, if the function runs in the VPC.
        dead_letters_arn: queue for asynchronous invocations that fail permanently.
    """
    role = aws.iam.Role(
        name, assume_role_policy=service_trust("lambda.amazonaws.com"), opts=component.child()
    )
    permissions = aws.iam.RolePolicy(
        name, role=role.id, policy=policy_document(*statements), opts=component.child()
    )
    return aws.lambda_.Function(
        name,
        description=description,
        runtime=aws.lambda_.Runtime.PYTHON3D13,
        architectures=["arm64"],
        handler=f"{folder}.handler.handler",
        code=function_package(folder),
        role=role.arn,
        memory_size=memory_size,
        timeout=timeout,
        publish=publish,
        reserved_concurrent_executions=reserved_concurrency,
        vpc_config=vpc_config,
        # Lambda keeps its network interfaces for a while, which would block the deletion of the group.
        replace_security_groups_on_destroy=True if vpc_config else None,
        kms_key_arn=context.key_arn,
        environment={"variables": environment},
        logging_config={
            "log_format": "JSON",
            "log_group": logs.name,
            "application_log_level": "INFO",
            "system_log_level": "WARN",
        },
        tracing_config={"mode": "Active"},
        dead_letter_config={"target_arn": dead_letters_arn} if dead_letters_arn is not None else None,
        # The function refers only to the role, but Lambda checks the role's permissions at creation.
        opts=component.child(depends_on=[permissions]),
    )
