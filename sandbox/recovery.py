"""After a crash: a stack's state and what really exists, brought together again.

The engine writes down each operation before it asks a provider for it. What was still open when everything
was killed is a *pending operation*: the stand-in may have done it or not. Creations are taken back, so that
the next deployment can make the resource; for the rest the engine's own `refresh` finds out.
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
    """Resolves the pending operations of every stack; nothing where there are none.

    Raises:
        SandboxError: the engine could not do it; it has said why.
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
            raise SandboxError(f"could not refresh {what}; `python -m sandbox reset` starts anew")


def _take_back(deployment: dict[str, Any], providers: Mapping[str, Provider]) -> None:
    # There are none where the first operation of all was interrupted.
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
    """A state's value without its marks; the only ones with a plain text are secrets."""
    if is_dict(value):
        if SIGNATURE in value and "plaintext" in value:
            return json.loads(value["plaintext"])
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if is_list(value) else value
