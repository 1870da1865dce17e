"""An embedded database of an older schema is carried over with every row, and survives whatever happens on the way."""

import io
import os
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import connections

from activity.models import ApiToken, Exchange, User
from activity.schema import carry_over as steps
from activity.schema.drift import find_drift
from activity.schema.prepare import fill_permissions
from activity.schema.usage import alone
from tests.database.processes import Command


def run(file: Path, *statements: str) -> None:
    with closing(sqlite3.connect(file)) as database, database:
        for statement in statements:
            database.execute(statement)


def rows(file: Path, query: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(file)) as database:
        return database.execute(query).fetchall()


def rebuild(file: Path, table: str, old: str, new: str) -> None:
    """The table as an older version would have made it."""
    [(statement,)] = rows(file, f"SELECT sql FROM sqlite_master WHERE name = '{table}'")
    assert old in str(statement)
    run(
        file,
        "PRAGMA writable_schema=ON",
        f"""UPDATE sqlite_master SET sql = replace(sql, '{old}', '{new}') WHERE name = '{table}'""",
    )


def kept(file: Path) -> list[Path]:
    return sorted(file.parent.glob("perseus-before-*.sqlite3"))


@pytest.fixture
def filled(current_sqlite: Path) -> Path:
    """Two users, three exchanges of which the last was deleted, a token."""
    fill_permissions()
    for name in ("kraken", "coinbase", "gone"):
        Exchange.objects.create(name=name, display_name=name.title(), timeframes=["1m"])
    Exchange.objects.get(name="gone").delete()
    user = User.objects.create_user("ada@example.org", "secret", display_name="Ada")
    User.objects.create_user("grace@example.org", "secret")
    ApiToken.issue(user, "a script")
    connections["default"].close()
    return current_sqlite


@pytest.fixture
def older(filled: Path) -> Path:
    """The same as an older version left it: a column fewer, one more, a table more, an index fewer."""
    run(
        filled,
        "ALTER TABLE users DROP COLUMN time_zone",
        "ALTER TABLE users ADD COLUMN nickname text DEFAULT 'nick'",
        "CREATE TABLE leftover (id int)",
        "INSERT INTO leftover VALUES (1), (2)",
        "DROP INDEX api_tokens_user_id_2db24e1c",
    )
    return filled


def test_every_row_is_carried_over(older: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = rows(older, "SELECT id, email, password, display_name FROM users ORDER BY id")
    tokens = rows(older, "SELECT * FROM api_tokens")

    call_command("carry_over")

    assert find_drift() == []
    assert rows(older, "SELECT id, email, password, display_name FROM users ORDER BY id") == before
    assert rows(older, "SELECT * FROM api_tokens") == tokens
    assert [exchange.timeframes for exchange in Exchange.objects.all()] == [["1m"], ["1m"]]
    output = capsys.readouterr().out
    assert "users.time_zone: new, filled with the model's default" in output
    assert "users.nickname: no longer a column; its values stay in the old file only" in output
    assert "leftover: no longer a table of Perseus; its 2 rows stay in the old file only" in output
    assert "users: 2 of 2 rows" in output
    assert "exchanges: 2 of 2 rows" in output


def test_a_new_column_gets_the_default_of_its_model(older: Path) -> None:
    call_command("carry_over")
    assert {user.time_zone for user in User.objects.all()} == {"UTC"}


def test_the_old_file_is_kept_whole(older: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("carry_over")
    [old] = kept(older)
    assert str(old) in capsys.readouterr().out
    assert rows(old, "SELECT count(*) FROM leftover") == [(2,)]
    assert rows(old, "SELECT nickname FROM users") == [("nick",), ("nick",)]
    assert sorted(path.name for path in older.parent.iterdir() if path.name.startswith("perseus.sqlite3.new")) == []


def test_an_id_that_was_used_once_is_never_used_again(older: Path) -> None:
    call_command("carry_over")
    assert Exchange.objects.create(name="next").id == 4, "3 belonged to an exchange whose status may still be in Redis"


def test_rows_that_only_the_write_ahead_log_held_are_carried_over(older: Path) -> None:
    code = f"""
import os, sqlite3
db = sqlite3.connect({str(older)!r}); db.execute("PRAGMA journal_mode=WAL"); db.execute("PRAGMA wal_autocheckpoint=0")
db.execute("UPDATE users SET display_name = 'from the log'"); db.commit(); os._exit(0)
"""
    assert Command({}).python("-c", code).returncode == 0
    assert older.with_name("perseus.sqlite3-wal").stat().st_size > 0

    call_command("carry_over")

    assert {user.display_name for user in User.objects.all()} == {"from the log"}


def test_a_database_of_the_present_schema_is_left_alone(filled: Path, capsys: pytest.CaptureFixture[str]) -> None:
    inode = filled.stat().st_ino
    call_command("carry_over")
    assert filled.stat().st_ino == inode
    assert kept(filled) == []
    assert "Nothing to do" in capsys.readouterr().out


def test_permissions_of_new_models_exist_afterwards(older: Path) -> None:
    run(older, "DELETE FROM auth_permission")
    call_command("carry_over")
    assert rows(older, "SELECT count(*) FROM auth_permission WHERE codename = 'takeover_exchange'") == [(1,)]


def test_a_text_that_was_null_becomes_the_default(older: Path) -> None:
    rebuild(older, "users", '"display_name" varchar(100) NOT NULL', '"display_name" varchar(100) NULL')
    run(older, "UPDATE users SET display_name = NULL WHERE id = 1")
    call_command("carry_over")
    assert User.objects.get(id=1).display_name == ""


# --- refusals: each leaves the database as it was ---


@pytest.fixture
def untouched(older: Path) -> Iterator[Path]:
    content = rows(older, "SELECT * FROM users")
    yield older
    assert rows(older, "SELECT * FROM users") == content
    assert kept(older) == []
    assert not older.with_name("perseus.sqlite3.new").exists()


def test_a_required_column_without_a_default_is_named(untouched: Path) -> None:
    run(untouched, "ALTER TABLE api_tokens DROP COLUMN name")
    with pytest.raises(CommandError, match=r"api_tokens\.name is new and must have a value.*the 1 rows"):
        call_command("carry_over")


def test_a_row_that_breaks_a_constraint_of_today_is_said(untouched: Path) -> None:
    rebuild(untouched, "users", '"email" = (LOWER("email"))', "1 = 1")
    run(untouched, "UPDATE users SET email = 'Ada@Example.org' WHERE id = 1")
    with pytest.raises(CommandError, match=r"A row of users does not fit .* users_email_lower"):
        call_command("carry_over")
    run(untouched, "UPDATE users SET email = 'ada@example.org' WHERE id = 1")


def test_a_row_that_points_nowhere_is_said(untouched: Path) -> None:
    run(untouched, "UPDATE api_tokens SET user_id = 99")
    with pytest.raises(CommandError, match="api_tokens, row 1: points to a row of users that does not exist"):
        call_command("carry_over")


def test_what_is_no_database_is_said(sqlite_file: Path) -> None:
    sqlite_file.write_bytes(b"not a database at all" * 100)
    with pytest.raises(CommandError, match="file is not a database"):
        call_command("carry_over")
    assert sqlite_file.read_bytes() == b"not a database at all" * 100


def test_without_a_database_it_names_the_command_that_makes_one(sqlite_file: Path) -> None:
    with pytest.raises(CommandError, match=r"manage\.py prepare"):
        call_command("carry_over")
    assert not sqlite_file.exists()


@pytest.mark.usefixtures("empty_postgres")
def test_on_postgres_it_names_atlas() -> None:
    with pytest.raises(CommandError, match="atlas schema apply --env postgres"):
        call_command("carry_over")


USES = (
    "import sys, django; django.setup(); from activity.schema.usage import hold; from pathlib import Path;"
    "hold(Path(sys.argv[1])); print('holds', flush=True); sys.stdin.read()"
)
OPENS = (
    "import sys, sqlite3; db = sqlite3.connect(sys.argv[1]); db.execute('PRAGMA journal_mode=WAL');"
    "db.execute('SELECT * FROM users').fetchall(); print('open', flush=True); sys.stdin.read()"
)


@pytest.fixture
def beside(sqlite_command: Command) -> Iterator[Callable[[str, Path], subprocess.Popen[str]]]:
    """Start a process that uses the database, and end it with the test."""
    started: list[subprocess.Popen[str]] = []

    def start(code: str, file: Path) -> subprocess.Popen[str]:
        process = sqlite_command.start("-c", code, str(file))
        started.append(process)
        assert process.stdout
        assert process.stdout.readline().strip() in ("holds", "open")
        return process

    yield start
    for process in started:
        process.communicate(timeout=30)


def test_a_running_process_of_perseus_is_named_even_while_it_has_no_connection_open(
    untouched: Path, beside: Callable[[str, Path], subprocess.Popen[str]]
) -> None:
    process = beside(USES, untouched)
    with pytest.raises(CommandError, match=r"in use by a running Perseus .* stop it first"):
        call_command("carry_over")

    process.kill()
    process.wait()
    with alone(untouched):
        pass  # a process that was killed holds nothing


def test_another_program_that_has_the_file_open_is_said(
    untouched: Path, beside: Callable[[str, Path], subprocess.Popen[str]]
) -> None:
    beside(OPENS, untouched)
    with pytest.raises(CommandError, match=r"open in another program .* close it first"):
        call_command("carry_over")


def test_a_process_does_not_start_in_the_middle(older: Path, sqlite_command: Command) -> None:
    with alone(older):
        refused = sqlite_command.run("prepare")
    assert refused.returncode == 1
    assert "is being carried over" in refused.stderr


# --- a crash at every step: SIGKILL's equivalent, then the same command again ---


Step = tuple[object, str]


def in_a_process(work: Callable[[], None]) -> int:
    """Exit code of a copy of this process that does the work. Nothing that Python would do at its end is done."""
    connections["default"].close()
    child = os.fork()
    if child == 0:
        try:
            work()
        finally:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def crash_at(step: Step, when: str) -> None:
    """Carry over, and be gone before or after the step."""
    owner, name = step
    real = getattr(owner, name)

    def crash(*arguments: object, **named: object) -> None:
        if when == "after":
            real(*arguments, **named)
        os._exit(9)

    setattr(owner, name, crash)
    call_command("carry_over", stdout=io.StringIO())


@pytest.mark.parametrize(
    "step",
    [
        (steps, "_new_database"), (steps, "_copy_table"), (steps, "_copy_id_counters"), (steps, "_check"),
        (steps, "_swap"), (steps, "_sync"), (os, "link"), (Path, "replace"),
    ],
    ids=lambda step: step[1],
)  # fmt: skip
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_crash_at_any_step_loses_nothing(older: Path, step: Step, when: str) -> None:
    users = rows(older, "SELECT id, email, password FROM users")

    assert in_a_process(partial(crash_at, step, when)) == 9

    assert rows(older, "SELECT id, email, password FROM users") == users

    if find_drift():
        call_command("carry_over")

    assert find_drift() == []
    assert rows(older, "SELECT id, email, password FROM users") == users
    assert any(rows(old, "SELECT count(*) FROM leftover") == [(2,)] for old in kept(older))
