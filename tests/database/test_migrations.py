"""The migrations, run as their Job runs them: `database/migrate.sh` with dbmate and psql."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from components.service.migrations import files
from tests.database.server import DATABASE, MASTER, SERVICES, Database, finish, running

MIGRATIONS = sorted((DATABASE / "migrations").glob("*.sql"))

SNAPSHOT = """
SELECT format('%s %s', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname NOT LIKE 'pg\\_%%' AND n.nspname <> 'information_schema' ORDER BY 1
"""


def applied(database: Database) -> list[str]:
    return [
        version for (version,) in database.run("root", "SELECT version FROM migrations.applied ORDER BY 1")
    ]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the migrations, to which a test can add files."""
    return Path(shutil.copytree(DATABASE / "migrations", tmp_path / "migrations"))


def migration(folder: Path, name: str, sql: str) -> None:
    (folder / name).write_text(f"-- migrate:up\n{sql}\n-- migrate:down\n")


def test_every_file_is_a_migration_with_a_number_of_its_own() -> None:
    numbers = [re.fullmatch(r"(\d{4})_[a-z_]+\.sql", path.name) for path in MIGRATIONS]
    assert all(numbers)
    assert len({match[1] for match in numbers if match}) == len(MIGRATIONS) > 0


def test_migrations_repeat_harmlessly(migrated: Database) -> None:
    before = migrated.run("root", SNAPSHOT), applied(migrated)
    again = migrated.migrate()
    assert again.succeeded, again.output
    assert again.output == "", "nothing to do, nothing to say"
    assert (migrated.run("root", SNAPSHOT), applied(migrated)) == before
    assert applied(migrated) == [path.name[:4] for path in MIGRATIONS]


def test_failed_migration_leaves_nothing_half_done_and_mended_goes_through(
    migrated: Database, copy: Path
) -> None:
    before = migrated.run("root", SNAPSHOT), applied(migrated)
    migration(
        copy,
        "9001_broken.sql",
        "CREATE TABLE ledger.extra (id int); INSERT INTO ledger.assets VALUES ('X', 'currency', 2);"
        " ALTER TABLE ledger.accounts DROP COLUMN blocked; SELECT 1/0;",
    )
    failed = migrated.migrate(migrations=copy)
    assert not failed.succeeded
    assert "division by zero" in failed.output
    assert "a migration failed" in failed.output
    assert (migrated.run("root", SNAPSHOT), applied(migrated)) == before
    assert migrated.run("reports", "SELECT blocked FROM ledger.accounts") == []
    assert migrated.run("reports", "SELECT FROM ledger.assets") == []

    migration(copy, "9001_broken.sql", "CREATE TABLE ledger.extra (id int);")
    mended = migrated.migrate(migrations=copy)
    assert mended.succeeded, mended.output
    assert applied(migrated)[-1] == "9001"


def test_failed_migration_keeps_the_ones_before_it(empty: Database, copy: Path) -> None:
    migration(copy, "9001_good.sql", "CREATE TABLE ledger.good (id int);")
    migration(copy, "9002_broken.sql", "CREATE TABLE ledger.bad (id int); SELECT no_such_column;")
    assert not empty.migrate(migrations=copy).succeeded
    assert applied(empty)[-1] == "9001"


def test_users_change_only_after_the_migrations(empty: Database, copy: Path) -> None:
    """A service that needs the new schema must not be able to sign in while the old one is in place."""
    migration(copy, "9001_broken.sql", "SELECT 1/0;")
    assert not empty.migrate({"newcomer": ["ledger_ro"]}, copy).succeeded
    assert empty.run("root", "SELECT FROM pg_roles WHERE rolname = 'newcomer'") == []


def test_two_runs_at_once_do_not_collide(empty: Database) -> None:
    runs = [empty.start_migration() for _ in range(4)]
    results = [finish(run) for run in runs]
    assert [result.output for result in results if not result.succeeded] == []
    working = [result for result in results if "Applied" in result.output]
    assert len(working) == 1, "one did all of it, the others waited and found nothing to do"
    assert applied(empty) == [path.name[:4] for path in MIGRATIONS]


def test_a_run_waits_for_another_one_whatever_limit_its_role_has(migrated: Database) -> None:
    with migrated.connect(MASTER) as other:
        other.execute("SELECT pg_advisory_lock(7226463528)")
        waiting = migrated.start_migration(environment={"PGOPTIONS": "-c lock_timeout=100ms"})
        with pytest.raises(subprocess.TimeoutExpired):
            waiting.wait(timeout=1)
    result = finish(waiting)
    assert result.succeeded, result.output


def test_object_names_are_audited_from_the_first_change_on() -> None:
    """A stand-in for pgaudit records when it was created: the tests' PostgreSQL doesn't have the library."""
    with running() as server:
        for suffix, text in {
            ".control": "default_version = '1'\ntrusted = true\n",
            "--1.sql": "CREATE TABLE public.roles_before AS SELECT rolname FROM pg_roles;",
        }.items():
            (server.extensions / f"pgaudit{suffix}").write_text(text)
        database = server.create()
        for _ in range(2):
            result = database.migrate()
            assert result.succeeded, result.output
        before = {name for (name,) in database.run("root", "SELECT rolname FROM public.roles_before")}
        assert MASTER in before
        assert "trading_owner" not in before


def test_migration_that_comes_before_an_applied_one_is_refused(migrated: Database, copy: Path) -> None:
    """Two branches were merged in the wrong order: on a new database, this migration would run first."""
    migration(copy, "0000_late.sql", "SELECT 1;")
    late = migrated.migrate(migrations=copy)
    assert not late.succeeded
    assert "0000" not in applied(migrated)


def test_migration_that_was_edited_after_it_was_applied_is_refused(migrated: Database, copy: Path) -> None:
    migration(copy, "9001_first.sql", "CREATE TABLE ledger.first (id int);")
    assert migrated.migrate(migrations=copy).succeeded
    migration(copy, "9001_first.sql", "CREATE TABLE ledger.first (id bigint);")
    migration(copy, "9002_second.sql", "CREATE TABLE ledger.second (id int);")
    edited = migrated.migrate(migrations=copy)
    assert not edited.succeeded
    assert "migration 9001 was edited after it had been applied: restore it" in edited.output
    assert applied(migrated)[-1] == "9001", "nothing was done"

    migration(copy, "9001_first.sql", "CREATE TABLE ledger.first (id int);")
    back = migrated.migrate(migrations=copy)
    assert back.succeeded, back.output
    assert applied(migrated)[-1] == "9002"


def test_what_was_applied_before_a_failure_may_not_be_edited_either(empty: Database, copy: Path) -> None:
    migration(copy, "9001_good.sql", "CREATE TABLE ledger.good (id int);")
    migration(copy, "9002_broken.sql", "SELECT no_such_column;")
    assert not empty.migrate(migrations=copy).succeeded
    migration(copy, "9001_good.sql", "CREATE TABLE ledger.other (id int);")
    migration(copy, "9002_broken.sql", "SELECT 1;")
    assert "migration 9001 was edited" in empty.migrate(migrations=copy).output


def test_migration_that_cannot_get_a_lock_gives_up(migrated: Database, copy: Path) -> None:
    migration(copy, "9001_alter.sql", "ALTER TABLE ledger.accounts ADD COLUMN note text;")
    with migrated.connect("reports") as reader:
        reader.execute("SELECT FROM ledger.accounts")  # holds its lock until the transaction ends
        blocked = migrated.migrate(migrations=copy)
    assert not blocked.succeeded
    assert "lock timeout" in blocked.output
    assert migrated.migrate(migrations=copy).succeeded


def test_everything_belongs_to_the_owner_who_cannot_sign_in(database: Database) -> None:
    owners = database.run(
        "root",
        "SELECT DISTINCT pg_get_userbyid(relowner) FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace"
        " WHERE nspname IN ('ledger', 'orders', 'migrations')"
        " UNION SELECT DISTINCT pg_get_userbyid(proowner) FROM pg_proc p JOIN pg_namespace n"
        " ON n.oid = pronamespace WHERE nspname IN ('ledger', 'orders')",
    )
    assert owners == [("trading_owner",)]
    flags = "SELECT rolcanlogin, rolsuper, rolcreaterole FROM pg_roles WHERE rolname = 'trading_owner'"
    assert database.run("root", flags) == [(False, False, False)]


def test_functions_that_run_as_the_owner_have_a_fixed_search_path(database: Database) -> None:
    functions = database.run(
        "root",
        "SELECT proname, proconfig FROM pg_proc p JOIN pg_namespace n ON n.oid = pronamespace"
        " WHERE prosecdef AND nspname IN ('ledger', 'orders')",
    )
    assert len(functions) > 5
    assert {tuple(configuration or ()) for _, configuration in functions} == {
        ("search_path=pg_catalog, pg_temp",)
    }


def test_every_table_has_a_primary_key_and_times_have_a_zone(database: Database) -> None:
    keyless = database.run(
        "root",
        "SELECT relname FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace WHERE relkind = 'r'"
        " AND nspname IN ('ledger', 'orders') AND NOT EXISTS (SELECT FROM pg_index WHERE indrelid = c.oid"
        " AND indisprimary)",
    )
    assert keyless == []
    zoneless = database.run(
        "root",
        "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema IN ('ledger',"
        " 'orders') AND data_type = 'timestamp without time zone'",
    )
    assert zoneless == []


def test_secret_of_the_master_user_is_read_from_the_file_of_secrets_manager(
    empty: Database, tmp_path: Path
) -> None:
    """The script signs in as the secret's user: no other user may create roles."""
    secret = tmp_path / "master.json"
    for user, succeeds in (("nobody_of_that_name", False), (MASTER, True)):
        secret.write_text(f'{{"engine": "postgres", "host": "x", "username": "{user}", "password": "p"}}')
        assert empty.migrate(SERVICES, environment={"MASTER_FILE": str(secret)}).succeeded is succeeds


def test_jobs_files_do_it_from_a_mounted_config_map(empty: Database, tmp_path: Path) -> None:
    """All files are links in one folder, to files in another one, as the kubelet mounts a ConfigMap."""
    (tmp_path / "..data").mkdir()
    for name, text in files("us-east-1").items():
        (tmp_path / "..data" / name).write_text(text)
        (tmp_path / name).symlink_to(Path("..data", name))
    result = finish(empty.start_migration(migrations=tmp_path, script=tmp_path / "migrate.sh"))
    assert result.succeeded, result.output
    assert applied(empty) == [path.name[:4] for path in MIGRATIONS]
