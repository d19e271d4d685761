# ruff: noqa: S608 (the statements are composed of constants in this file)
"""Stores the resources of the simulated account in one SQLite file."""

from __future__ import annotations

import contextlib
import json
import re
import sqlite3
import threading
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sandbox.folder import SandboxError

ACCOUNT = "123456789012"
"""The account that the sandbox deploys to."""

PREFIXED_ID = re.compile(
    r"(vpc|subnet|sg|sgr|rtb|igw|nat|eipalloc|vpce|eni|acl|dopt|fl|ws|pl|tgw|pcx|vpce-svc|eigw|lt|i|ami|vol)"
    r"-[0-9a-f]{8}([0-9a-f]{9})?"
)
"""Ids whose prefix identifies their type (EC2's *resource IDs*)."""

ARN = re.compile(r"arn:aws:([a-z0-9-]+):([a-z0-9-]*):(\d{12}|aws|):(\S+)")

_TABLES = """
CREATE TABLE IF NOT EXISTS resource (
    type TEXT, region TEXT, id TEXT, scope TEXT, arn TEXT, urn TEXT, inputs TEXT, outputs TEXT,
    PRIMARY KEY (type, region, id, scope)
);
CREATE TABLE IF NOT EXISTS identifier (value TEXT, type TEXT, region TEXT, id TEXT, scope TEXT);
CREATE INDEX IF NOT EXISTS identifier_value ON identifier (value);
CREATE INDEX IF NOT EXISTS identifier_owner ON identifier (type, region, id, scope);
CREATE TABLE IF NOT EXISTS snapshot (type TEXT, region TEXT, name TEXT, PRIMARY KEY (type, region, name));
"""
_OWN = "WHERE type = ? AND region = ? AND id = ? AND scope = ?"


@dataclass(frozen=True)
class Row:
    """A resource that exists.

    Attributes:
        region: the resource's region; empty for a global service.
        scope: distinguishes resources with the same Terraform id.
    """

    type: str
    region: str
    id: str
    scope: str
    arn: str
    urn: str
    inputs: dict[str, Any]
    outputs: dict[str, Any]

    @property
    def name(self) -> str:
        """The resource's logical name in the program."""
        return self.urn.rsplit("::", 1)[-1]

    @property
    def key(self) -> tuple[str, str, str, str]:
        """The resource's unique key in the account."""
        return self.type, self.region, self.id, self.scope

    def owned(self) -> set[str]:
        """All identifiers by which other resources can refer to this one."""
        given = set(strings(self.inputs))
        # They include identifiers of what comes with the resource, such as a VPC's default security group.
        owned = {text for text in strings(self.outputs) if is_identifier(text)} - given
        # An attachment's id can be the ARN of another resource, which doesn't count.
        own = {text for text in (self.id, self.arn) if text}
        return owned | {text for text in own if not (text in given and is_identifier(text))}


class Store:
    """The account's resources. Every change is committed before the call returns.

    One connection and one lock are enough: the engine's parallel calls are short, and SQLite only has one
    writer.

    Args:
        directory: folder of the file.
        existing: resources that existed before. Others can refer to them, but they are never written.
    """

    def __init__(self, directory: Path, existing: Iterable[Row] = ()) -> None:
        self._existing = {row.key: row for row in existing}
        self._owners: dict[str, Row] = {}
        for row in self._existing.values():
            for value in row.owned():
                self._owners.setdefault(value, row)
        directory.mkdir(parents=True, exist_ok=True)
        self._path = directory / "aws.sqlite"
        self._lock = threading.RLock()
        with self._named():
            self._connection = sqlite3.connect(self._path, check_same_thread=False, timeout=30)
            self._connection.execute("PRAGMA journal_mode=WAL")
            # A killed process loses nothing. Only a power failure could, which a sandbox can afford.
            self._connection.execute("PRAGMA synchronous=NORMAL")
            self._connection.executescript(_TABLES)
            ((found,), *_) = self._connection.execute("PRAGMA quick_check").fetchall()
            if found != "ok":
                raise sqlite3.DatabaseError(" ".join(found.split()))

    @contextlib.contextmanager
    def _named(self) -> Generator[None]:
        """Locks the store, and adds the file's name to errors."""
        with self._lock:
            try:
                yield
            except sqlite3.OperationalError as error:
                raise SandboxError(f"{self._path}: {error}") from None
            except (sqlite3.Error, ValueError, TypeError) as error:
                raise SandboxError(
                    f"{self._path} is damaged ({error}); `python -m sandbox reset` deletes it with the whole "
                    "sandbox"
                ) from None

    def close(self) -> None:
        """Closes the file; the store can't be used afterwards."""
        with self._lock:
            self._connection.close()

    def put(self, row: Row) -> None:
        """Adds or replaces a resource."""
        with self._named(), self._connection:
            self._connection.execute(
                "INSERT OR REPLACE INTO resource VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    *row.key,
                    row.arn,
                    row.urn,
                    json.dumps(row.inputs),
                    json.dumps(row.outputs),
                ),
            )
            self._connection.execute(f"DELETE FROM identifier {_OWN}", row.key)
            self._connection.executemany(
                "INSERT INTO identifier VALUES (?, ?, ?, ?, ?)",
                [(value, *row.key) for value in row.owned()],
            )

    def remove(self, row: Row) -> None:
        """Removes a resource."""
        with self._named(), self._connection:
            self._connection.execute(f"DELETE FROM resource {_OWN}", row.key)
            self._connection.execute(f"DELETE FROM identifier {_OWN}", row.key)

    def keep_snapshot(self, row: Row, name: str) -> None:
        """Remembers the final snapshot of a resource, which outlives the resource and its stack."""
        with self._named(), self._connection:
            self._connection.execute("INSERT INTO snapshot VALUES (?, ?, ?)", (row.type, row.region, name))

    def has_snapshot(self, row: Row, name: str) -> bool:
        """Whether a resource of the type and region has left a final snapshot of this name."""
        query = "SELECT 1 FROM snapshot WHERE type = ? AND region = ? AND name = ?"
        with self._named():
            return self._connection.execute(query, (row.type, row.region, name)).fetchone() is not None

    def get(self, kind: str, region: str, identifier: str, scope: str = "") -> Row | None:
        """The resource with a type and id, whether it was deployed or existed before."""
        key = (kind, region, identifier, scope)
        return next(iter(self._rows(_OWN, key)), None) or self._existing.get(key)

    def all(self, kind: str | None = None) -> list[Row]:
        """All deployed resources, or those of a type."""
        if kind is None:
            return self._rows("ORDER BY type, id", ())
        return self._rows("WHERE type = ? ORDER BY id", (kind,))

    def existing(self, kind: str) -> list[Row]:
        """All resources of a type, both deployed and existing before."""
        return [*self.all(kind), *(row for row in self._existing.values() if row.type == kind)]

    def owner(self, value: str) -> Row | None:
        """The resource that an id, an ARN or another identifier belongs to, deployed or existing before."""
        clause = (
            "WHERE (type, region, id, scope) IN "
            "(SELECT type, region, id, scope FROM identifier WHERE value = :value) "
            "ORDER BY (arn = :value) DESC, (id = :value) DESC"
        )
        found = next(iter(self._rows(clause, {"value": value})), None)
        existing = self._owners.get(value)
        # An existing resource takes precedence over one that merely has its id among the outputs.
        if found and existing and existing.type and value not in (found.id, found.arn):
            return existing
        return found or existing

    def identifiers(self, row: Row) -> set[str]:
        """All identifiers by which other resources can refer to a resource."""
        with self._named():
            found = self._connection.execute(f"SELECT value FROM identifier {_OWN}", row.key).fetchall()
        return {value for (value,) in found}

    def _rows(self, clause: str, arguments: tuple[str, ...] | dict[str, str]) -> list[Row]:
        with self._named():
            found = self._connection.execute(f"SELECT * FROM resource {clause}", arguments).fetchall()
            return [
                Row(kind, region, identifier, scope, arn, urn, json.loads(inputs), json.loads(outputs))
                for kind, region, identifier, scope, arn, urn, inputs, outputs in found
            ]


def strings(value: Any) -> Iterator[str]:
    """Every string at any depth."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():  # pyright: ignore[reportUnknownVariableType]
            yield from strings(item)
    elif isinstance(value, list):
        for item in value:  # pyright: ignore[reportUnknownVariableType]
            yield from strings(item)


def is_identifier(text: str) -> bool:
    """Whether a string is an id of a known form, or an ARN."""
    return bool(PREFIXED_ID.fullmatch(text) or ARN.fullmatch(text))
