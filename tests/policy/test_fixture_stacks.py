"""The fixture stacks satisfy every rule."""

import pytest

from tests.policy.stacks import findings, fixture
from tests.unit.harness import STACKS


@pytest.mark.parametrize("stack", STACKS)
def test_fixture_stack_passes(stack: str) -> None:
    assert findings(fixture(stack)) == []
