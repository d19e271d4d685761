"""Values as plain data, and where two of them differ."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policy.rule import SECRET
from report.differences import ABSENT, UNKNOWN, at, clean, compare, properties, same
from sandbox import values

CASES: list[tuple[Any, Any, list[tuple[str, Any, Any]]]] = [
    ({"a": 1}, {"a": 2}, [("a", 1, 2)]),
    ({"a": {"b": 1}}, {"a": {}}, [("a.b", 1, ABSENT)]),
    ({"a.b": 1}, {"a.b": 2}, [('["a.b"]', 1, 2)]),
    ({"a": ["x", "y"]}, {"a": ["new", "x", "y"]}, [("a[0]", ABSENT, "new")]),
    ({"a": ["x", "y", "z"]}, {"a": ["x", "z"]}, [("a[1]", "y", ABSENT)]),
    ({"a": [{"n": 1, "m": 1}]}, {"a": [{"n": 2, "m": 1}]}, [("a[0].n", 1, 2)]),
    ({"a": []}, {"a": ["x"]}, [("a", [], ["x"])]),
    ({"a": True}, {"a": 1}, [("a", True, 1)]),
    ({"a": "x"}, {"a": ["x"]}, [("a", "x", ["x"])]),
]


@pytest.mark.parametrize(("old", "new", "expected"), CASES)
def test_parts_that_differ(old: Any, new: Any, expected: list[tuple[str, Any, Any]]) -> None:
    assert [(item.path, item.old, item.new) for item in compare(old, new)] == expected


SINGLE: st.SearchStrategy[Any] = st.none() | st.booleans() | st.integers(-3, 3) | st.text('ab.["', max_size=3)
VALUES: st.SearchStrategy[Any] = st.recursive(
    SINGLE,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text('ab."', min_size=1, max_size=2), inner)
    ),
    max_leaves=12,
)


@settings(max_examples=80, deadline=None)
@given(st.dictionaries(st.text("ab", min_size=1), VALUES), st.dictionaries(st.text("ab", min_size=1), VALUES))
def test_values_differ_exactly_if_a_part_does(old: dict[str, Any], new: dict[str, Any]) -> None:
    found = list(compare(old, new))
    assert bool(found) == (not same(old, new))
    for item in found:
        assert not same(item.old, item.new)


@given(VALUES)
@settings(max_examples=100, deadline=None)
def test_path_leads_to_its_value(value: Any) -> None:
    for item in compare({"a": value}, {"a": {"quite": "different"}}):
        if item.old is not ABSENT and "\\" not in item.path and '""' not in item.path:
            assert same(at({"a": value}, item.path), item.old)


def test_engines_wrappers_become_plain_data() -> None:
    asset = {values.SIGNATURE: "c44067f5952c0a294b673a41bacd8c17", "hash": "ab12", "path": "/tmp/1/web.js"}
    assert clean({"file": asset, "secret": values.secret("x"), "later": values.UNKNOWN}) == {
        "file": "sha256:ab12",
        "secret": SECRET,
        "later": UNKNOWN,
    }
    assert clean({values.SIGNATURE: values.OUTPUT}) == UNKNOWN
    assert repr(clean([1.0, 1.5])) == "[1, 1.5]"
    assert clean({values.SIGNATURE: values.OUTPUT, "value": "x", "secret": True}) == SECRET


@pytest.mark.parametrize("name", ["password", "master_password", "authToken", "secretString", "passwords"])
def test_secret_that_a_program_has_not_marked_is_masked(name: str) -> None:
    value = ["hunter2"] if name == "passwords" else "hunter2"
    assert properties({"nested": {name: value}}) == {"nested": {name: SECRET}}


def test_names_of_secrets_and_unknown_ones_are_not_masked() -> None:
    inputs = {"secretArn": "arn", "password": values.UNKNOWN, "manageMasterUserPassword": True}
    assert properties(inputs) == {**inputs, "password": UNKNOWN}


def test_secrets_of_kubernetes_are_masked() -> None:
    inputs = {"apiVersion": "v1", "kind": "Secret", "data": {"a": "eA=="}, "metadata": {"name": "n"}}
    assert properties(inputs)["data"] == SECRET
    assert properties({**inputs, "kind": "ConfigMap"})["data"] == {"a": "eA=="}
