"""Holds a deployment to the preview that a reviewer approved.

A preview is reduced to its plan: each resource that it would change, how, and a digest of the values before
and after. The deployment makes a preview of its own, and refuses if its plan differs.
docs/decisions/0006-approved-previews.md says why it isn't one of the engine's update plans.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any, cast

FORMAT = 1
"""Number of the plan's format, so that a plan of another version is refused."""

UNCHANGED = ("same", "read", "refresh")
"""Operations that change nothing."""

CREATING = ("create", "replace", "create-replacement")

RANDOM_NAME = re.compile(r"(-[0-9a-f]{7}|[0-9]{18}[0-9a-f]*)(\.fifo)?$")
"""How an automatic name ends: with 7 hexadecimal digits (`NewUniqueName` in pulumi/pulumi's
sdk/go/common/resource/resource_id.go, 3.255.0), or after a prefix with the time and a counter."""

LISTED = 50
"""Differences that are listed."""

Entry = dict[str, Any]


class PlanError(ValueError):
    """A preview or a plan is not readable."""


def digest_of(text: str) -> dict[str, Any]:
    """The JSON document of `pulumi preview --json`, without what the engine prints before it.

    Raises:
        PlanError: there is none.
    """
    begin = 0 if text.startswith("{") else text.find("\n{") + 1
    try:
        document = json.loads(text[begin:])
    except ValueError as error:
        raise PlanError(f"the preview is not a JSON document: {error}") from error
    if not isinstance(document, dict):
        raise PlanError("the preview is not a JSON object")
    return cast("dict[str, Any]", document)


def plan(preview: Mapping[str, Any]) -> list[Entry]:
    """What a preview would change, in an order that does not depend on the engine's.

    Raises:
        PlanError: the preview did not end: it has no summary.
    """
    if "changeSummary" not in preview:
        raise PlanError("the preview has no summary of its changes, so it did not end")
    steps = [step for step in preview.get("steps", []) if step["op"] not in UNCHANGED]
    names = {name: f"<name of {step['urn']}>" for step in steps for name in _random_names(step)}
    # Longer names first, because one may begin with another.
    pattern = re.compile(
        "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True)) or r"(?!)"
    )
    entries = [_entry(step, lambda text: pattern.sub(lambda found: names[found[0]], text)) for step in steps]
    return sorted(entries, key=lambda entry: (entry["urn"], entry["operation"], entry["digest"]))


def _random_names(step: Mapping[str, Any]) -> Generator[str]:
    """The names that the provider would give to a new resource.

    They end differently in each preview, and occur in other resources too, such as dashboards. A bridged
    provider lists the properties that it added in `__defaults`, and the Kubernetes provider notes it as an
    annotation.
    """
    if step["op"] not in CREATING:
        return
    inputs: Mapping[str, Any] = (step.get("newState") or {}).get("inputs") or {}
    for key in inputs.get("__defaults", []):
        if isinstance(inputs.get(key), str) and RANDOM_NAME.search(inputs[key]):
            yield inputs[key]
    metadata = inputs.get("metadata")
    if isinstance(metadata, dict):
        found = cast("dict[str, Any]", metadata)
        if (found.get("annotations") or {}).get("pulumi.com/autonamed") == "true":
            yield found["name"]


def _entry(step: Mapping[str, Any], named: Callable[[str], str]) -> Entry:
    old, new = step.get("oldState") or {}, step.get("newState") or {}
    properties = sorted(step.get("detailedDiff") or step.get("diffReasons") or [])
    # Only what the engine decides by: no outputs, times or versions of the state.
    values = [
        *(step["op"], step["urn"], properties, sorted(step.get("replaceReasons") or [])),
        *(old.get("id"), old.get("inputs"), bool(old.get("protect"))),
        *(new.get("inputs"), bool(new.get("protect"))),
    ]
    canonical = named(json.dumps(values, sort_keys=True, separators=(",", ":")))
    return {
        "urn": step["urn"],
        "operation": step["op"],
        "properties": properties,
        "digest": hashlib.sha256(canonical.encode()).hexdigest(),
    }


def save(entries: Sequence[Entry], commit: str, stack: str) -> str:
    """The plan as text."""
    return json.dumps({"format": FORMAT, "commit": commit, "stack": stack, "plan": entries}, indent=1)


def load(text: str, commit: str, stack: str) -> list[Entry]:
    """A plan that was saved for the same commit and stack.

    Raises:
        PlanError: it was saved for others, or is not a plan.
    """
    try:
        document = json.loads(text)
        saved = (document["format"], document["commit"], document["stack"])
        entries = document["plan"]
    except (ValueError, KeyError, TypeError) as error:
        raise PlanError(f"the approved plan is not readable: {error!r}") from error
    if saved != (FORMAT, commit, stack):
        raise PlanError(
            f"the approved plan has format {saved[0]} and is for commit {saved[1]} and stack {saved[2]}; "
            f"expected format {FORMAT}, commit {commit} and stack {stack}"
        )
    return entries


def differences(approved: Sequence[Entry], current: Sequence[Entry]) -> list[str]:
    """What differs between two plans, one line for each resource and operation; empty if nothing does."""
    old, new = _by_step(approved), _by_step(current)
    lines: list[str] = []
    for key in sorted(old.keys() | new.keys()):
        operation, urn = key[1], key[0]
        before, after = old.get(key), new.get(key)
        if before == after:
            continue
        if before is None:
            lines.append(f"{operation} {urn}: was not in the approved preview")
        elif after is None:
            lines.append(f"{operation} {urn}: was approved, and would not happen any more")
        else:
            changed = sorted({p for entry in after for p in entry["properties"]})
            lines.append(
                f"{operation} {urn}: has other values than approved ({', '.join(changed) or 'no property'})"
            )
    return lines


def _by_step(entries: Sequence[Entry]) -> dict[tuple[str, str], list[Entry]]:
    found: dict[tuple[str, str], list[Entry]] = {}
    for entry in entries:
        found.setdefault((entry["urn"], entry["operation"]), []).append(entry)
    return found


def refusal(lines: Sequence[str]) -> str:
    """The message of a deployment that would do something else than was approved."""
    shown = "\n".join(f"  {line}" for line in lines[:LISTED])
    more = f"\n  and {len(lines) - LISTED} more" if len(lines) > LISTED else ""
    return (
        f"the deployment would not do what was approved; nothing was changed:\n{shown}{more}\n"
        "Something was deployed, or changed in the account, after the approved preview. Run all jobs of this "
        "workflow again, read the new preview and approve it."
    )
