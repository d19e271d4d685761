"""The server of a test process, and databases on it."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from tests.database.server import Database, Server, running


@pytest.fixture(scope="session")
def server() -> Generator[Server]:
    with running() as started:
        yield started


@pytest.fixture
def empty(server: Server) -> Database:
    """A database before its first migration."""
    return server.create()


@pytest.fixture
def database(empty: Database) -> Database:
    """A database with the whole schema and the services' users."""
    result = empty.migrate()
    assert result.succeeded, result.output
    return empty
