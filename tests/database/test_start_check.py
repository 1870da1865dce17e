"""A process starts on a database of the present schema, or says what differs and what to run."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from django.core.checks import Error

from activity.checks import check_schema
from activity.schema.catalog import sqlite_catalog
from activity.schema.drift import require_current_schema
from tests.database.processes import Command
from tests.postgres import PostgresServer

START = "import django; django.setup(); from activity.schema.drift import require_current_schema as r; r(); print('up')"

Refusal = Callable[[], str]


@pytest.fixture
def refusal(capsys: pytest.CaptureFixture[str]) -> Refusal:
    """What a start prints when it is refused."""

    def start() -> str:
        with pytest.raises(SystemExit) as end:
            require_current_schema()
        assert end.value.code == 2
        return capsys.readouterr().err

    return start


def change(file: Path, *statements: str) -> None:
    with closing(sqlite3.connect(file)) as database, database:
        for statement in statements:
            database.execute(statement)


def test_a_process_starts_on_the_present_schema(current_sqlite: Path, sqlite_command: Command) -> None:
    started = sqlite_command.python("-c", START)
    assert (started.stdout, started.stderr, started.returncode) == ("up\n", "", 0)


def test_a_process_does_not_start_on_another(current_sqlite: Path, sqlite_command: Command) -> None:
    change(current_sqlite, "DROP TABLE api_tokens")
    refused = sqlite_command.python("-c", START)
    assert refused.returncode == 2
    assert "table api_tokens is missing" in refused.stderr
    assert "manage.py carry_over" in refused.stderr
    assert "Traceback" not in refused.stderr


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        ("ALTER TABLE users ADD COLUMN nickname text", "column users.nickname is not in the models"),
        ("ALTER TABLE users RENAME COLUMN display_name TO shown", "column users.display_name is missing"),
        ("CREATE TABLE leftover (id int)", "table leftover is not in the models"),
        ("DROP INDEX api_tokens_user_id_2db24e1c", "index api_tokens.api_tokens_user_id_2db24e1c is missing"),
        ("CREATE TRIGGER t AFTER DELETE ON users BEGIN SELECT 1; END", "trigger users.t is not in the models"),
    ],
)
def test_a_drifted_sqlite_is_named(current_sqlite: Path, refusal: Refusal, statement: str, named: str) -> None:
    change(current_sqlite, statement)
    assert named in refusal()


def test_a_changed_constraint_is_named(current_sqlite: Path, refusal: Refusal) -> None:
    change(
        current_sqlite,
        "PRAGMA writable_schema=ON",
        "UPDATE sqlite_master SET sql = replace(sql, '\"id\" >= 1', '\"id\" >= 0') WHERE name = 'exchanges'",
    )
    assert "constraint exchanges.exchanges_id_positive is «CHECK" in refusal()


def test_a_folder_without_a_database_is_told_to_prepare_one(sqlite_file: Path, refusal: Refusal) -> None:
    assert "manage.py prepare" in refusal()
    assert not sqlite_file.exists(), "a refusal must not leave an empty database behind"


def test_a_drifted_postgres_is_told_to_apply_the_schema(
    postgres: PostgresServer, loaded_postgres: str, refusal: Refusal
) -> None:
    require_current_schema()
    postgres.run(loaded_postgres, "ALTER TABLE users DROP COLUMN time_zone; CREATE INDEX mine ON users (is_staff)")

    text = refusal()

    assert "column users.time_zone is missing" in text
    assert "index users.mine is not in schema.sql" in text
    assert "atlas schema apply --env postgres" in text


@pytest.mark.usefixtures("empty_postgres")
def test_an_empty_postgres_is_told_to_apply_the_schema() -> None:
    [message] = check_schema(databases=["default"])
    assert isinstance(message, Error)
    assert message.id == "perseus.E001"
    assert "it is empty" in message.msg
    assert "atlas schema apply" in str(message.hint)


def test_a_role_without_temporary_tables_is_told_the_grant(postgres: PostgresServer, loaded_postgres: str) -> None:
    with postgres.connect() as admin:
        # The owner of a database has every right on it, so it is given to someone else.
        admin.execute(f"ALTER DATABASE {loaded_postgres} OWNER TO postgres".encode())
        admin.execute(f"REVOKE TEMPORARY ON DATABASE {loaded_postgres} FROM PUBLIC".encode())

    [message] = check_schema(databases=["default"])

    assert message.id == "perseus.E002"
    assert "GRANT TEMPORARY ON DATABASE" in message.msg


def test_a_database_that_does_not_answer_is_said(postgres: PostgresServer) -> None:
    refused = Command.on_postgres(postgres, "no_such_database").python("-c", START)
    assert refused.returncode == 2
    assert 'database "no_such_database" does not exist' in refused.stderr
    assert "Traceback" not in refused.stderr


def test_the_check_command_of_django_finds_the_drift(current_sqlite: Path, sqlite_command: Command) -> None:
    change(current_sqlite, "DROP TABLE api_tokens")
    failed = sqlite_command.run("check", "--database", "default")
    assert failed.returncode == 1
    assert "perseus.E001" in failed.stderr
    assert "HINT" in failed.stderr


def test_a_table_is_read_part_by_part_whatever_its_text_looks_like() -> None:
    with closing(sqlite3.connect(":memory:")) as database:
        database.execute(
            """CREATE TABLE "odd, name" ( "a" text DEFAULT ('x, (y') , [b c] int,
            d  real CHECK (d IN (1,2)), CONSTRAINT "both" UNIQUE ("a", [b c]), UNIQUE (d)) STRICT"""
        )
        found = {str(part): text for part, text in sqlite_catalog(database.cursor()).items()}
    assert found == {
        "table odd, name": "STRICT",
        "column odd, name.a": "text DEFAULT ('x, (y')",
        "column odd, name.b c": "int",
        "column odd, name.d": "real CHECK (d IN (1,2))",
        "constraint odd, name.both": 'UNIQUE ("a", [b c])',
        "constraint odd, name.UNIQUE (d)": "UNIQUE (d)",
    }
