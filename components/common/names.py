"""Physical names within AWS's limits."""

from __future__ import annotations

import hashlib

AUTO_NAME_SUFFIX = len("-1234567")
"""What the AWS provider appends to a logical name to make a physical one."""


def limited_name(name: str, limit: int) -> str:
    """A logical name whose automatic physical name stays within AWS's `limit` of characters.

    Too long a name keeps its beginning and ends in a digest of the whole, so two long names that
    begin alike stay different.
    """
    room = limit - AUTO_NAME_SUFFIX
    if len(name) <= room:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:4]
    return f"{name[: room - 5].rstrip('-')}-{digest}"
