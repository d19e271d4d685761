"""The fixture stacks satisfy every rule, with the children that charts and other components register."""

import pytest

from tests.policy.stacks import findings
from tests.policy.states import whole
from tests.unit.harness import STACKS


@pytest.mark.parametrize("stack", STACKS)
def test_fixture_stack_passes(stack: str) -> None:
    assert findings(whole(stack)) == []
