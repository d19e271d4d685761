"""What every Lambda function of the platform has: its package, its log, its role, and how it runs."""

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
    """The package of `functions/<function>`: its Python sources alone.

    The engine writes archives with a fixed time and mode for each file, so the same sources give the same
    hash on every machine. Libraries are what Lambda's Python brings: none that would have to be built.
    """
    root = root or Path(__file__).parents[2]
    sources = sorted(path.relative_to(root) for path in (root / FUNCTIONS / function).rglob("*.py"))
    # Paths relative to the project, where the engine runs: the state says nothing of the machine.
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
    """`functions/<folder>` on arm64 with JSON logs, traced, its environment encrypted with our key.

    Args:
        component: the parent.
        name: of the function, its role and the role's policy.
        folder: the package, with a `handler` in its module `handler`.
        context: of the region; its key encrypts the environment.
        description: what it does.
        statements: all that its role may do.
        logs: where it logs.
        memory_size: MiB.
        timeout: seconds.
        environment: its variables.
        publish: makes each change a version; none is deleted before the function is.
        reserved_concurrency: executions kept for it, and the most that it has.
        vpc_config: where it stands, if it is in the VPC.
        dead_letters_arn: the queue of asynchronous invocations that fail for good.
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
        # Lambda keeps its network interfaces for a while, and they would keep the group from going.
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
        # The function names the role only, but Lambda tries the role's permissions when it creates it.
        opts=component.child(depends_on=[permissions]),
    )
