"""The order of the tests with tools: the longest files first, so that all processes end together."""

from __future__ import annotations

import pytest

LONGEST = (
    "test_promotion",
    "test_full_stack",
    "test_regions",
    "test_kubernetes_provider",
    "test_small_stack",
    "test_one_region",
    "test_services",
    "test_policies",
    "test_bootstrap",
    "test_sandbox_cli",
    "test_snippets",
    "test_database",
    "test_own_stack",
    "test_existing_network",
    "test_approved",
    "test_tables",
    "test_rotation",
    "test_aws_provider",
    "test_stack_files",
    "test_checkov",
)
"""The files that take half a minute or more. `make test` keeps this order."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sorts the files, and leaves the tests of a file in their order."""
    items.sort(key=lambda item: LONGEST.index(item.path.stem) if item.path.stem in LONGEST else len(LONGEST))
