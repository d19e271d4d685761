"""Our own stacks keep every rule."""

import pytest

from tests.policy.stacks import committed, findings, stack_of
from tests.unit.harness import STACKS, deploy_platform, stack_values


@pytest.mark.parametrize("stack", STACKS)
def test_committed_stack_passes(stack: str) -> None:
    assert findings(committed(stack)) == []


def test_second_region_of_production_passes() -> None:
    values = stack_values("prod")
    zones = [f"eu-west-1{letter}" for letter in "abc"]
    second = {"name": "eu-west-1", "cidr": "10.1.0.0/16", "availabilityZones": zones}
    values["trading:regions"] = [*values["trading:regions"], second]
    assert findings(stack_of(deploy_platform("prod", values))) == []
