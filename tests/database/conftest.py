"""The server of a test process and its databases."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from tests.database.server import Database, Server, running


@pytest.fixture(scope="session")
def server() -> Generator[Server]:
    with running() as started:
        yield started


@pytest.fixture
def empty(server: Server) -> Generator[Database]:
    """A database before its first migration."""
    database = server.create()
    yield database
    # Users belong to the server: restore what the test may have taken from them.
    assert database.migrate().succeeded


@pytest.fixture
def migrated(empty: Database) -> Database:
    """A database with the whole schema and the services' users, which a test may migrate further."""
    result = empty.migrate()
    assert result.succeeded, result.output
    return empty


@pytest.fixture(scope="session")
def template(server: Server) -> Database:
    database = server.create()
    result = database.migrate()
    assert result.succeeded, result.output
    return database


@pytest.fixture
def database(server: Server, template: Database) -> Generator[Database]:
    """A copy of a migrated database: the same schema in a fraction of the time."""
    copy = server.create(template)
    yield copy
    server.drop(copy)
