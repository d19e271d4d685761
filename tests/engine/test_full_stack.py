"""The `full` stack under the real engine: protected, unchanged, and destroyed once protection is off.

The tests run in this order in one sandbox; each begins with the state that the previous one left.
"""

from __future__ import annotations

import pytest

from tests.engine.project import Project
from tests.unit.harness import stack_values


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return Project.make(tmp_path_factory.mktemp("full"))


def test_protected_stack_refuses_to_go_down(full: Project) -> None:
    full.sandbox_command("up", "--stack", "full")
    before = len(full.resources("full"))
    output = full.sandbox_command("down", "--stack", "full", expect=1)
    assert "database-us-east-1" in output
    assert "trading:protect" in output
    assert len(full.resources("full")) == before


def test_every_role_has_the_permissions_boundary(full: Project) -> None:
    """That of the EKS component too, which only the engine's transforms reach."""
    roles = [item for item in full.resources("full") if item["type"] == "aws:iam/role:Role"]
    assert {item["inputs"].get("permissionsBoundary") for item in roles} == {
        stack_values("full")["trading:permissionsBoundary"]
    }
    assert any("$eks:index:ServiceRole$" in item["urn"] for item in roles)


def test_checkov_finds_nothing_that_is_not_explained(full: Project) -> None:
    verdict = full.scan("--stack", "full")
    assert verdict["failed"] == []
    assert verdict["passed"] > 1500


def test_second_up_changes_nothing(full: Project) -> None:
    assert full.preview("full") == {}


def test_refresh_finds_no_drift(full: Project) -> None:
    full.pulumi("refresh", "--stack", "full", "--yes", "--skip-preview", "--expect-no-changes")


def test_unprotected_stack_changes_in_place_and_goes_down(full: Project) -> None:
    full.change("full", lambda values: values.update({"trading:protect": False}))
    operations = full.preview("full")
    # The only deletions: the vaults' locks, which have the vaults' names, and the names of caches' last
    # snapshots.
    gone = {name for name, operation in operations.items() if operation != "update"}
    regions = ("us-east-1", "eu-west-1")
    assert gone == {
        name for region in regions for name in (f"backups-{region}", f"cache-{region}-final-snapshot")
    }
    assert {operations[name] for name in gone} == {"delete"}
    # The rules require protection in production.
    full.sandbox_command("up", "--stack", "full", "--no-policies")
    full.sandbox_command("down", "--stack", "full")
    assert full.remaining() == []
