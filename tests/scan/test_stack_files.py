"""Checkov's findings on the stack files, whatever their values are."""

from __future__ import annotations

from tests.scan.scans import users_scans
from tests.stack_files.test_stack_files import REMEDY, every_file


@every_file
def test_checkov_finds_nothing_that_is_not_explained(stack: str) -> None:
    assert users_scans()[stack].unexplained() == [], REMEDY
