"""The golden resource graph of each stack: what must not change by accident.

`python -m tests.unit.golden` renews the files after an intended change; review their diff like code.
A type, a name or a parent that changes is a replacement of the resource, and so is a change of most of
the properties that are kept here.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from sandbox.aws import cloudformation
from tests.unit.harness import STACKS, Graph, Registered, deploy_platform

FOLDER = Path(__file__).parent / "golden"

_SIZES_AND_SAFEGUARDS = {
    "deletionProtection",
    "deletionProtectionEnabled",
    "enableDeletionProtection",
    "engineVersion",
    "instanceClass",
    "instanceType",
    "kmsKeyId",
    "kmsMasterKeyId",
    "maxCapacity",
    "minCapacity",
    "nodeType",
    "numberOfBrokerNodes",
    "numNodeGroups",
    "replicasPerNodeGroup",
    "reservedConcurrentExecutions",
    "retentionInDays",
    "spec",
    "storageEncrypted",
    "threshold",
    "version",
}
"""Properties that update in place, and still must not change unseen."""


def _entry(resource: Registered) -> dict[str, Any]:
    aws = resource.type.startswith("aws:")
    replacing = {name for name in resource.inputs if aws and cloudformation.replaces(resource.type, name)}
    kept = {
        name: value
        for name, value in sorted(resource.inputs.items())
        if name in replacing | _SIZES_AND_SAFEGUARDS
    }
    return {
        "type": resource.type,
        "parent": resource.parent,
        **({"protect": True} if resource.protect else {}),
        **({"properties": kept} if kept else {}),
    }


def render(graph: Graph) -> str:
    """The graph as text, in an order that does not depend on timing."""
    entries = sorted(
        ((resource.name, resource.type, _entry(resource)) for resource in graph.resources),
        key=lambda entry: entry[:2],
    )
    return json.dumps([{"name": name, **e} for name, _, e in entries], indent=1, sort_keys=True) + "\n"


def path(stack: str) -> Path:
    """Where the golden graph of a stack stands."""
    return FOLDER / f"{stack}.json"


def main() -> None:
    """Writes the golden graph of every committed stack."""
    FOLDER.mkdir(exist_ok=True)
    for stack in STACKS:
        path(stack).write_text(render(deploy_platform(stack)))
        print(f"wrote {path(stack).relative_to(Path.cwd())}")


if __name__ == "__main__":
    main()
