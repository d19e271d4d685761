"""The golden resource graph of each fixture stack, which must not change by accident.

Run `python -m tests.unit.golden` to update the files after an intended change, and review their diff like
code. Each line describes one resource: its name, type, parent and protection, and a digest of each property
whose change replaces the resource or must be noticed. If a name, a type or a parent changes, the resource is
replaced. The same is true of most digests.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

from sandbox.aws import cloudformation
from tests.unit.harness import ROOT, STACKS, Graph, Registered, platform

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
"""Properties that are updated in place, but whose changes must be noticed."""


def kept(resource: Registered) -> dict[str, object]:
    """The properties of a resource that the golden graph contains."""
    aws = resource.type.startswith("aws:")
    return {
        name: value
        for name, value in sorted(resource.inputs.items())
        if name in _SIZES_AND_SAFEGUARDS or (aws and cloudformation.replaces(resource.type, name))
    }


def line(resource: Registered) -> str:
    """A resource's name, type, parent (`-` for the stack) and protection, and a digest of each property."""
    held = " ".join(f"{name}={_digest(value)}" for name, value in kept(resource).items())
    protection = "protected" if resource.protect else "unprotected"
    return f"{resource.name} {resource.type} {resource.parent or '-'} {protection} {held}".rstrip()


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:6]


def render(graph: Graph) -> str:
    """The graph as text, one line per resource, in an order that does not depend on timing."""
    return "".join(f"{text}\n" for text in sorted(map(line, graph.resources)))


def difference(graph: Graph, golden: str) -> str:
    """The changes since the golden graph was written, one per line, or an empty string."""
    resources = {(resource.name, resource.type): resource for resource in graph.resources}
    now = {key: line(resource).split(" ")[2:] for key, resource in resources.items()}
    before = {(name, kind): rest for name, kind, *rest in map(str.split, golden.splitlines())}
    changes = [f"{name} ({kind}): is gone" for name, kind in before.keys() - now.keys()]
    changes += [f"{name} ({kind}): is new" for name, kind in now.keys() - before.keys()]
    for key in before.keys() & now.keys():
        for text in _changes(before[key], now[key], kept(resources[key])):
            changes.append(f"{key[0]} ({key[1]}): {text}")
    return "\n".join(sorted(changes))


def _changes(before: list[str], now: list[str], properties: dict[str, object]) -> Iterator[str]:
    """The differences between two lines of one resource, without its name and type."""
    for word, old, new in zip(("parent", "protection"), before, now, strict=False):
        if old != new:
            yield f"{word} {old} → {new}"
    old, new = (dict(item.split("=") for item in rest[2:]) for rest in (before, now))
    for name in sorted(old.keys() | new.keys()):
        if name not in new:
            yield f"{name} is no longer set"
        elif old.get(name) != new[name]:
            yield f"{name} {'has changed' if name in old else 'is newly set'}: {json.dumps(properties[name])}"


def path(stack: str) -> Path:
    """The file that contains the golden graph of a stack."""
    return FOLDER / f"{stack}.txt"


def main() -> None:
    """Writes the golden graph of every fixture stack."""
    FOLDER.mkdir(exist_ok=True)
    for stack in STACKS:
        path(stack).write_text(render(platform(stack)))
        print(f"wrote {path(stack).relative_to(ROOT)}")


if __name__ == "__main__":
    main()
