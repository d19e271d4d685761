"""Fixtures for all tests."""

from __future__ import annotations

import functools
import gc
import os

import botocore.session
import pytest

from tests import run

# Moto gives each test a new session. A common loader reads the models of the services only once.
botocore.session.create_loader = functools.cache(botocore.session.create_loader)


@pytest.fixture(scope="session", autouse=True)
def _shared_folder(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> None:  # pyright: ignore[reportUnusedFunction]
    """Lets the processes of this run share values that are slow to create."""
    own = tmp_path_factory.getbasetemp()
    run.share(own if worker_id == "master" else own.parent)


def pytest_xdist_auto_num_workers() -> int:
    """Two processes for each core: many tests wait for a database, a server or a deadline."""
    return 2 * (os.cpu_count() or 1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Starts with the folders whose tests mostly wait, while others compute."""
    items.sort(key=lambda item: item.path.parent.name not in ("database", "functions"))


def pytest_collection_finish() -> None:
    """Leaves modules and tests, which last as long as the run, out of all later garbage collections."""
    gc.freeze()


def pytest_sessionfinish() -> None:
    """Keeps what the run still holds out of pytest's last garbage collections, which would take seconds."""
    gc.freeze()
