"""The order of the tests with the real engine: the longest files first, so that both workers end together."""

from __future__ import annotations

import pytest

LONGEST = (
    "test_bootstrap",
    "test_small_stack",
    "test_full_stack",
    "test_promotion",
    "test_regions",
    "test_services",
    "test_own_stack",
    "test_existing_network",
    "test_rotation",
    "test_stack_files",
    "test_database",
    "test_approved",
)
"""The files that deploy a whole platform, or deploy often. `make test` keeps this order."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sorts the files, and leaves the tests of a file in their order."""
    items.sort(key=lambda item: LONGEST.index(item.path.stem) if item.path.stem in LONGEST else len(LONGEST))
