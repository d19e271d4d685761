"""Our own stacks keep every rule."""

import pytest

from tests.policy.stacks import committed, findings
from tests.unit.harness import STACKS


@pytest.mark.parametrize("stack", STACKS)
def test_committed_stack_passes(stack: str) -> None:
    assert findings(committed(stack)) == []
