"""Physical names within AWS's limits."""

from __future__ import annotations

import hashlib

AUTO_NAME_SUFFIX = len("-1234567")
"""Length of the suffix that the AWS provider appends to a logical name to create a physical name."""


def limited_name(name: str, limit: int) -> str:
    """A name with at most `limit` characters.

    A name that is too long is shortened and ends in a digest of the whole name, so two long names with the
    same beginning remain different.
    """
    if len(name) <= limit:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:4]
    return f"{name[: limit - 5].rstrip('-')}-{digest}"


def limited_logical_name(name: str, limit: int) -> str:
    """A logical name whose automatic physical name stays within AWS's `limit` of characters."""
    return limited_name(name, limit - AUTO_NAME_SUFFIX)
