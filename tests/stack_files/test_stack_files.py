"""Every stack file must satisfy these tests, whatever its values are. They read `Pulumi.*.yaml`.

If a value is wrong, a test fails with the error that names the value.
"""

from __future__ import annotations

import pytest

from settings.show import problems
from settings.stack_file import read
from tests.policy.stacks import USERS_FILES, findings, stack_of, users_graph

REMEDY = "change the value, or say in policy/exceptions.yaml why it is right"

every_file = pytest.mark.parametrize("stack", USERS_FILES, ids=[path.name for path in USERS_FILES.values()])


@every_file
def test_stack_file_is_accepted_by_settings(stack: str) -> None:
    """Uses the check, because the schema is for editors and lacks the forms that the engine writes."""
    assert [str(problem) for problem in problems(read(USERS_FILES[stack]))] == []


@every_file
def test_stack_keeps_every_rule_of_the_policy_pack(stack: str) -> None:
    assert findings(stack_of(users_graph(stack))) == [], REMEDY
