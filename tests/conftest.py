"""Fixtures for all tests."""

from __future__ import annotations

import pytest

from tests import run


@pytest.fixture(scope="session", autouse=True)
def _shared_folder(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> None:  # pyright: ignore[reportUnusedFunction]
    """Lets the processes of this run share values that are slow to create."""
    own = tmp_path_factory.getbasetemp()
    run.share(own if worker_id == "master" else own.parent)
