"""Holds a deployment to the preview that a reviewer approved.

A preview is reduced to its plan: each resource that it would change, how, and a digest of the values before
and after. The deployment makes a preview of its own, and refuses if its plan differs.
docs/decisions/0006-approved-previews.md says why it isn't one of the engine's update plans."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

FORMAT = 1
"""Number of the plan's format, so that a plan of another version is refused."""

UNCHANGED = ("same", "read", "refresh")
"""Operations that change nothing."""

LISTED = 50
"""Differences that are listed."""

Entry = dict[str, Any]


class PlanError(ValueError):
    """A preview or a plan is not readable."""


def digest_of(text: str) -> dict[str, Any]:
    """The JSON document of `pulumi preview --json`, without what the engine prints before it.

    Raises:
        PlanError: there is none, or it isn't that of a preview that ended well.
    """
    begin = 0 if text.startswith("{") else text.find("\n{") + 1
    try:
        document = json.loads(text[begin:])
    except ValueError as error:
        raise PlanError(f"the preview is not a JSON document: {error}") from error
    if not isinstance(document, dict) or "changeSummary" not in document:
        raise PlanError("the preview has no summary of changes, so it did not end")
    return document


def plan(preview: Mapping[str, Any]) -> list[Entry]:
    """What a preview would change, in an order that does not depend on the engine's."""
    entries = [_entry(step) for step in preview.get("steps", []) if step["op"] not in UNCHANGED]
    return sorted(entries, key=lambda entry: (entry["urn"], entry["operation"], entry["digest"]))


def _entry(step: Mapping[str, Any]) -> Entry:
    old, new = step.get("oldState") or {}, step.get("newState") or {}
    properties = sorted(step.get("detailedDiff") or step.get("diffReasons") or [])
    # Only what the engine decides by: no outputs, times or versions of the state.
    values = [
        *(step["op"], step["urn"], properties, sorted(step.get("replaceReasons") or [])),
        *(old.get("id"), old.get("inputs"), bool(old.get("protect"))),
        *(new.get("inputs"), bool(new.get("protect"))),
    ]
    canonical = json.dumps(values, sort_keys=True, separators=(",", ":"))
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
