"""Tags that every resource carries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

REQUIRED_TAGS = ("owner", "cost-center")


def missing_tags(tags: Mapping[str, str], required: Sequence[str] = REQUIRED_TAGS) -> list[str]:
    """The required tags that have no value; policies hold every provider to the same."""
    return [tag for tag in required if not tags.get(tag)]
