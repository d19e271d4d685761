"""Reconciles a stack's state with the existing resources after a crash.

The engine records each operation before it calls a provider. If everything is killed, the unfinished ones
remain as *pending operations*, which the provider may or may not have completed. Creations are undone, so
that the next deployment can create the resource. For all others, the engine's own `refresh` determines the
result.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sandbox.project import Sandbox, SandboxError
from sandbox.rpc import Call, Provider
from sandbox.values import SIGNATURE, Properties, is_dict, is_list


def recover(
    sandbox: Sandbox,
    providers: Mapping[str, Provider],
    environment: Mapping[str, str],
    run: Callable[[Sequence[str]], int],
) -> None:
    """Resolves the pending operations of all stacks, if there are any.

    Raises:
        SandboxError: the engine failed, and has reported the reason.
    """
    for stack in sandbox.deployed_stacks():
        pending: list[Any] = sandbox.deployment(stack).get("pending_operations") or []
        if not pending:
            continue
        what = f"stack {stack}, which was interrupted in {len(pending)} operations"
        print(f"sandbox: refreshing {what}", file=sys.stderr)
        export = ["pulumi", "stack", "export", "--show-secrets", "--stack", stack]
        exported = subprocess.run(export, env=environment, stdout=subprocess.PIPE)
        if exported.returncode == 0:
            _take_back(_plain(json.loads(exported.stdout)["deployment"]), providers)
        command = "pulumi refresh --yes --skip-preview --clear-pending-creates --stack"
        if exported.returncode or run([*command.split(), stack]):
            raise SandboxError(f"could not refresh {what}: delete the sandbox with `python -m sandbox reset`")


def _take_back(deployment: dict[str, Any], providers: Mapping[str, Provider]) -> None:
    # There are no resources if the very first operation was interrupted.
    resources: list[dict[str, Any]] = deployment.get("resources", [])
    configurations: dict[str, Properties] = {
        f"{item['urn']}::{item['id']}": item.get("inputs", {}) for item in resources if "id" in item
    }
    for operation in deployment["pending_operations"]:
        resource = operation["resource"]
        provider = providers.get(resource["type"].split(":")[0])
        if operation["type"] == "creating" and resource.get("custom") and provider:
            known = {item["id"] for item in resources if item["urn"] == resource["urn"] and "id" in item}
            configuration = configurations.get(resource.get("provider", ""), {})
            provider.take_back(Call(configuration, resource["urn"], inputs=resource.get("inputs", {})), known)


def _plain(value: Any) -> Any:
    """A state's value with decrypted secrets, which are the only marked objects that have a plaintext."""
    if is_dict(value):
        if SIGNATURE in value and "plaintext" in value:
            return json.loads(value["plaintext"])
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if is_list(value) else value
