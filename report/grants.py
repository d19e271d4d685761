"""x"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from report.preview import Change


def granted(change: Change, changes: Sequence[Change]) -> Iterator[str]:
    """x"""
    yield from ()


def published(change: Change, changes: Sequence[Change]) -> Iterator[str]:
    """x"""
    yield from ()
