"""A throw-away PostgreSQL, and a database on it as the migrations' Job leaves one."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import psycopg

from sandbox.tools import postgresql, tool

DATABASE = Path(__file__).parents[2] / "database"
MASTER = "trading_admin"
"""As in Aurora: no superuser, but one that creates roles and owns the database."""
SERVICES: Mapping[str, Sequence[str]] = {
    "accounts": ["accounts_rw", "ledger_post"],
    "orders": ["ledger_post", "orders_rw"],
    "reports": ["ledger_ro"],
    "idle": [],
}

_numbers = itertools.count(1)


@dataclass(frozen=True)
class Migrated:
    """What a run of `migrate.sh` said."""

    succeeded: bool
    output: str


@dataclass(frozen=True)
class Database:
    """One database of the server."""

    socket: str
    name: str

    def connect(self, user: str, **options: Any) -> psycopg.Connection:
        """A connection of its own, as a user."""
        return psycopg.connect(host=self.socket, dbname=self.name, user=user, **options)

    def run(self, user: str, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """Runs one statement in a transaction of its own; gives its rows."""
        with self.connect(user) as connection:
            cursor = connection.execute(statement.encode(), parameters or None)
            return cursor.fetchall() if cursor.description else []

    def start_migration(
        self,
        services: Mapping[str, Sequence[str]] = SERVICES,
        migrations: Path = DATABASE / "migrations",
        script: Path = DATABASE / "migrate.sh",
        environment: Mapping[str, str] = MappingProxyType({}),
    ) -> subprocess.Popen[str]:
        """Runs what the Job runs, against this database."""
        variables = {
            "PATH": os.pathsep.join(
                (str(postgresql() / "bin"), str(tool("dbmate").parent), os.environ["PATH"])
            ),
            "PGHOST": self.socket,
            "PGPORT": "5432",
            "PGDATABASE": self.name,
            "PGUSER": MASTER,
            "PGSSLMODE": "disable",  # a socket
            "SERVICES": json.dumps(services),
            "DBMATE_MIGRATIONS_DIR": str(migrations),
            **environment,
        }
        return subprocess.Popen(
            ["sh", str(script)],
            env=variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def migrate(
        self,
        services: Mapping[str, Sequence[str]] = SERVICES,
        migrations: Path = DATABASE / "migrations",
        environment: Mapping[str, str] = MappingProxyType({}),
    ) -> Migrated:
        """The same, to its end."""
        return finish(self.start_migration(services, migrations, environment=environment))


def finish(migration: subprocess.Popen[str]) -> Migrated:
    """Waits for a run."""
    output = migration.communicate(timeout=120)[0]
    return Migrated(migration.returncode == 0, output)


@dataclass(frozen=True)
class Server:
    """A running server."""

    socket: str
    extensions: Path
    """Folder of the extensions that it offers, in its own copy of PostgreSQL."""

    def create(self, template: Database | None = None) -> Database:
        """A database as RDS makes it: the master user's; empty, or with what the template has."""
        database = Database(self.socket, f"trading_{next(_numbers)}")
        of = f" TEMPLATE {template.name}" if template else ""
        self._execute(f"CREATE DATABASE {database.name} OWNER {MASTER}{of}")
        return database

    def drop(self, database: Database) -> None:
        """Frees its disk space."""
        self._execute(f"DROP DATABASE {database.name} WITH (FORCE)")

    def _execute(self, statement: str) -> None:
        with psycopg.connect(host=self.socket, dbname="postgres", user="root", autocommit=True) as connection:
            connection.execute(statement.encode())


@contextlib.contextmanager
def running(**settings: str) -> Generator[Server]:
    """Starts a server with settings of `postgresql.conf`, and deletes it at the end.

    Raises:
        ToolError: the pinned PostgreSQL can't be had.
    """
    folder = tempfile.mkdtemp(prefix="trading-postgres-")
    try:
        programs = _copy(Path(folder))
        data = f"{folder}/data"
        initdb = [programs / "bin" / "initdb", "--pgdata", data, "--username=root"]
        _quietly([*initdb, "--auth=trust", "--encoding=UTF8", "--no-locale", "--no-sync"])
        options = {
            "listen_addresses": "",
            "unix_socket_directories": folder,
            "max_connections": "100",
            "fsync": "off",
            "deadlock_timeout": "100ms",
            **settings,
        }
        text = "".join(f"{name} = '{value}'\n" for name, value in options.items())
        with Path(data, "postgresql.conf").open("a") as configuration:
            configuration.write(text)
        pg_ctl = [programs / "bin" / "pg_ctl", "--pgdata", data]
        _quietly([*pg_ctl, "start", "--wait", "--silent", "--log", f"{folder}/log"])
        try:
            with psycopg.connect(host=folder, dbname="postgres", user="root", autocommit=True) as connection:
                connection.execute(f"CREATE ROLE {MASTER} LOGIN CREATEROLE".encode())
                # RDS's own, which its master user may grant.
                connection.execute(
                    f"CREATE ROLE rds_iam; GRANT rds_iam TO {MASTER} WITH ADMIN OPTION".encode()
                )
            (plpgsql,) = programs.rglob("plpgsql.control")
            yield Server(folder, plpgsql.parent)
        finally:
            _quietly([*pg_ctl, "stop", "--mode=immediate", "--silent"])
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _copy(folder: Path) -> Path:
    """A copy of PostgreSQL in the folder. As root, it belongs to `nobody`, who can't read `.tools/`."""
    programs = folder / "postgresql"
    shutil.copytree(postgresql(), programs)
    for path in (folder, programs, *programs.rglob("*")) if not os.geteuid() else ():
        shutil.chown(path, "nobody")
    return programs


def _quietly(command: Sequence[str | Path]) -> None:
    # PostgreSQL refuses to run as root.
    nobody = None if os.geteuid() else pwd.getpwnam("nobody")
    # Its output goes to a file: a server would keep a pipe open for as long as it runs.
    with tempfile.TemporaryFile("w+") as output:
        result = subprocess.run(
            command,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd="/",
            check=False,
            user=nobody and nobody.pw_uid,
            group=nobody and nobody.pw_gid,
            extra_groups=nobody and [],
        )
        output.seek(0)
        if result.returncode:
            raise RuntimeError(f"{' '.join(map(str, command))} failed:\n{output.read()}")
