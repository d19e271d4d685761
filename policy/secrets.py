"""Replaces secrets in the values that the engine sends, and in the states that it writes."""

from __future__ import annotations

from typing import Any

from pulumi_policy.deserialize import SPECIAL_SECRET_SIG, SPECIAL_SIG_KEY

from policy.rule import SECRET, is_list, is_map


def without_secrets(value: Any) -> Any:
    """The value with `SECRET` in place of secrets, at any depth."""
    if is_map(value):
        if value.get(SPECIAL_SIG_KEY) == SPECIAL_SECRET_SIG:
            return SECRET
        return {key: without_secrets(item) for key, item in value.items()}
    return [without_secrets(item) for item in value] if is_list(value) else value
