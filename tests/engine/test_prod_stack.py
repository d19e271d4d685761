"""The `prod` stack through the real engine: protected, unchanged, and gone once nothing protects it.

The tests run in this order on one sandbox; each leaves it for the next.
"""

from __future__ import annotations

import pytest

from tests.engine.project import Project


@pytest.fixture(scope="module")
def prod(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return Project.make(tmp_path_factory.mktemp("prod"))


def test_protected_stack_refuses_to_go_down(prod: Project) -> None:
    prod.sandbox_command("up", "--stack", "prod")
    before = len(prod.resources("prod"))
    output = prod.sandbox_command("down", "--stack", "prod", expect=1)
    assert "database-us-east-1" in output
    assert "trading:protect" in output
    assert len(prod.resources("prod")) == before


def test_checkov_finds_nothing_that_is_not_explained(prod: Project) -> None:
    verdict = prod.scan("--stack", "prod")
    assert verdict["failed"] == []
    assert verdict["passed"] > 1500


def test_second_up_changes_nothing(prod: Project) -> None:
    assert prod.preview("prod") == {}


def test_refresh_finds_no_drift(prod: Project) -> None:
    prod.pulumi("refresh", "--stack", "prod", "--yes", "--skip-preview", "--expect-no-changes")


def test_unprotected_stack_changes_in_place_and_goes_down(prod: Project) -> None:
    prod.change("prod", lambda values: values.update({"trading:protect": False}))
    operations = prod.preview("prod")
    # All that goes: the vaults' locks, which have the vaults' names, and the names of caches' last snapshots.
    gone = {name for name, operation in operations.items() if operation != "update"}
    regions = ("us-east-1", "eu-west-1")
    assert gone == {
        name for region in regions for name in (f"backups-{region}", f"cache-{region}-final-snapshot")
    }
    assert {operations[name] for name in gone} == {"delete"}
    # The rules want production protected.
    prod.sandbox_command("up", "--stack", "prod", "--no-policies")
    prod.sandbox_command("down", "--stack", "prod")
    assert prod.status()["aws"] == {}
