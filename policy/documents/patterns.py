"""Patterns with the wildcards `*` and `?`, as actions and resources of policy documents have them.

Sources (IAM User Guide, September 2026): "IAM JSON policy elements: Action" (the prefix and the name are not
case-sensitive), "IAM JSON policy elements: Resource" (wildcards, also beyond colons), "Identify AWS resources
with Amazon Resource Names (ARNs)" (incomplete ARNs), and "IAM policy elements: Variables and tags".
"""

from __future__ import annotations

import functools
import re

WILDCARD = re.compile(r"[*?]")

SHORTEST_PREFIX = 3
"""How many letters must precede the first wildcard in a name. Fewer name nothing in particular, such as
`*e*` for nearly all actions."""

_VARIABLE = re.compile(r"\$\{([^}]*)\}")

_WITHOUT_TYPE = frozenset({"execute-api", "s3", "sns", "sqs"})
"""Services whose ARNs end with a name, without a resource type in front of it (Service Authorization
Reference, August 2026)."""


@functools.cache
def _expression(pattern: str) -> re.Pattern[str]:
    # In the text that is covered, `*` and `?` are wildcards themselves, so that `?` must not stand for `*`.
    parts = {"*": ".*", "?": "[^*]"}
    return re.compile("".join(parts.get(char) or re.escape(char) for char in pattern), re.DOTALL)


def covers(pattern: str, other: str) -> bool:
    """Whether a pattern matches all that another pattern or a text matches."""
    return _expression(pattern).fullmatch(other) is not None


def without_variables(pattern: str) -> str:
    """The pattern with `*` in place of policy variables, whose values the caller can often choose.

    `${*}`, `${?}` and `${$}` stand for the character itself, so no wildcard remains of them.
    """
    return _VARIABLE.sub(lambda found: "x" if found[1] in ("*", "?", "$") else "*", pattern)


def is_wide_action(action: str) -> bool:
    """Whether a pattern matches actions of several services, or actions that have little in common."""
    service, _, name = action.partition(":")
    if not name or WILDCARD.search(service):
        return True
    return _is_wide_name(name)


def is_wide_resource(resource: str) -> bool:
    """Whether a pattern matches all resources, or all of a service or a type, or nearly all."""
    # In an identity's policy, AWS completes an ARN of fewer than six parts with wildcards.
    parts = without_variables(resource).split(":", 5)
    if len(parts) < 6 or WILDCARD.search(":".join(parts[:3])):
        return True
    names = [part for part in re.split("[:/]", parts[5]) if part]
    if parts[2] not in _WITHOUT_TYPE and names:
        kind, *names = names
        if not names:
            return WILDCARD.search(kind) is not None
        if WILDCARD.search(kind):
            return True
    return not names or _is_wide_name(names[0])


def _is_wide_name(name: str) -> bool:
    found = WILDCARD.search(name)
    return found is not None and found.start() < SHORTEST_PREFIX
