"""An embedded SQLite database of an older schema becomes one of the present schema, with every row.

A new file is made from the models beside the old one, filled and checked, and only then takes its name. Until that one
rename nothing of the old database has changed, and after it the old file still stands under a name with the time.
"""

import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

from django.apps import apps
from django.db.backends.base.base import BaseDatabaseWrapper

from activity.schema.drift import create_tables, scratch_connection
from activity.schema.usage import alone

#: How long to wait for a reader that is about to finish; a process that stays is found by its lock at once.
BUSY_SECONDS: Final = 2

Say = Callable[[str], None]


class CannotCarryOver(Exception):
    """Nothing was changed. `str()` says why and what to do."""


class _Column(NamedTuple):
    name: str
    required: bool  # NOT NULL
    has_default: bool  # in the database, not in the model


def carry_over(connection: BaseDatabaseWrapper, database: Path, say: Say) -> Path:
    """Replace the database by one of the present schema, and return where the old file is kept.

    Raises CannotCarryOver and DatabaseInUse; the database is then as it was.
    """
    with alone(database), _exclusive(database) as rows:
        fresh = _new_database(connection, database)
        try:
            counts = _copy(connection, rows, fresh, say)
            _check(rows, counts, say)
            rows.execute("COMMIT")
            rows.execute("DETACH fresh")
            return _swap(database, fresh)
        except sqlite3.Error as error:
            raise CannotCarryOver(f"SQLite says: {error}. Nothing was changed.") from error
        finally:
            fresh.unlink(missing_ok=True)


@contextmanager
def _exclusive(database: Path) -> Iterator[sqlite3.Connection]:
    """The old database, all of it in one file and locked against every other connection until the end."""
    rows = sqlite3.connect(f"{database.as_uri()}?mode=rw", uri=True, timeout=BUSY_SECONDS, isolation_level=None)
    try:
        try:
            # Leaving WAL moves what the log still holds into the file, and needs to be the only connection.
            rows.execute("PRAGMA journal_mode=DELETE")
            # The lock stays after the COMMIT, until the rename is done and the connection closed.
            rows.execute("PRAGMA main.locking_mode=EXCLUSIVE")
        except sqlite3.OperationalError as error:
            raise CannotCarryOver(
                f"{database} is open in another program ({error}): close it first. Nothing was changed."
            ) from error
        except sqlite3.DatabaseError as error:
            raise CannotCarryOver(f"{database} cannot be read as SQLite: {error}. Nothing was changed.") from error
        rows.execute("PRAGMA foreign_keys=OFF")  # tables are filled one after the other; checked at the end
        yield rows
    finally:
        rows.close()


def _new_database(connection: BaseDatabaseWrapper, database: Path) -> Path:
    """An empty database of the present schema beside the old one. What an earlier attempt left there is removed."""
    fresh = database.with_name(f"{database.name}.new")
    for suffix in ("", "-journal", "-wal", "-shm"):
        fresh.with_name(fresh.name + suffix).unlink(missing_ok=True)
    os.close(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    shutil.copymode(database, fresh)
    scratch = scratch_connection(connection, str(fresh))
    try:
        with scratch.schema_editor(atomic=False) as editor:
            create_tables(editor)
    finally:
        scratch.close()
    return fresh


def _copy(connection: BaseDatabaseWrapper, rows: sqlite3.Connection, fresh: Path, say: Say) -> dict[str, int]:
    """Copy every table that is in both. Returns the number of rows of each."""
    rows.execute("ATTACH ? AS fresh", [str(fresh)])
    rows.execute("PRAGMA fresh.synchronous=FULL")
    try:
        rows.execute("BEGIN EXCLUSIVE")
    except sqlite3.OperationalError as error:
        raise CannotCarryOver(f"The database is in use by another program ({error}): close it first.") from error
    old, new = _tables(rows, "main"), _tables(rows, "fresh")
    for table in sorted(old - new):
        count = _count(rows, "main", table)
        say(f"{table}: no longer a table of Perseus; its {count} rows stay in the old file only")
    counts = {}
    for table in sorted(new):
        if table in old:
            counts[table] = _copy_table(connection, rows, table, say)
        else:
            say(f"{table}: new, empty")
    _copy_id_counters(rows)
    return counts


def _copy_table(connection: BaseDatabaseWrapper, rows: sqlite3.Connection, table: str, say: Say) -> int:
    old = {column.name: column for column in _columns(rows, "main", table)}
    new = {column.name: column for column in _columns(rows, "fresh", table)}
    count = _count(rows, "main", table)
    for name in old.keys() - new.keys():
        say(f"{table}.{name}: no longer a column; its values stay in the old file only")
    targets, sources = [], []
    for name, column in new.items():
        default = _model_default(connection, rows, table, name)
        source = _quote(name)
        if name not in old:
            if default is None and (column.has_default or not column.required):
                say(f"{table}.{name}: new, filled by the database's default")
                continue
            if default is None and count:
                raise CannotCarryOver(
                    f"{table}.{name} is new and must have a value, and the model has no default to give to the {count} "
                    f"rows that exist. Give the field a default. Nothing was changed."
                )
            say(f"{table}.{name}: new, filled with the model's default")
            source = default or "NULL"
        elif column.required and not old[name].required and default:
            source = f"coalesce({source}, {default})"
        targets.append(_quote(name))
        sources.append(source)
    try:
        rows.execute(
            f"INSERT INTO fresh.{_quote(table)} ({', '.join(targets)}) "  # noqa: S608 - names of our own models
            f"SELECT {', '.join(sources)} FROM main.{_quote(table)}"
        )
    except sqlite3.IntegrityError as error:
        raise CannotCarryOver(
            f"A row of {table} does not fit the present schema: {error}. Correct it first. Nothing was changed."
        ) from error
    return count


def _model_default(connection: BaseDatabaseWrapper, rows: sqlite3.Connection, table: str, column: str) -> str | None:
    """An SQL expression that gives the model's default, evaluated for each row; None where the model has none."""
    for model in apps.get_models(include_auto_created=True):
        options = model._meta  # noqa: SLF001 - documented by Django under this name
        for field in options.local_concrete_fields:
            if (options.db_table, field.column) == (table, column):
                return _as_function(connection, rows, field, f"default_of_{table}_{column}".lower())
    return None


def _as_function(connection: BaseDatabaseWrapper, rows: sqlite3.Connection, field: Any, name: str) -> str | None:
    editor = connection.schema_editor()

    def value() -> Any:
        # As when Django adds a column: the default, the present moment for auto_now, '' where blank is allowed.
        return _sqlite3_value(editor.effective_default(field))

    if value() is None:
        return None
    rows.create_function(name, 0, value)
    return f"{_quote(name)}()"


def _sqlite3_value(value: Any) -> Any:
    """A value as the sqlite3 module stores it: what it cannot store itself is stored as Django does, as text."""
    return value if value is None or isinstance(value, (int, float, str, bytes)) else str(value)


def _copy_id_counters(rows: sqlite3.Connection) -> None:
    """Ids of deleted rows stay used: an exchange's id keys its status in Redis."""
    if not rows.execute("SELECT 1 FROM main.sqlite_master WHERE name = 'sqlite_sequence'").fetchone():
        return
    tables = _tables(rows, "fresh")
    for table, last in rows.execute("SELECT name, seq FROM main.sqlite_sequence").fetchall():
        if table not in tables:
            continue
        updated = rows.execute("UPDATE fresh.sqlite_sequence SET seq = max(seq, ?) WHERE name = ?", [last, table])
        if not updated.rowcount:
            rows.execute("INSERT INTO fresh.sqlite_sequence (name, seq) VALUES (?, ?)", [table, last])


def _check(rows: sqlite3.Connection, counts: dict[str, int], say: Say) -> None:
    """Refuse a copy that lacks a row, is damaged or points to rows that do not exist."""
    problems = [text for (text,) in rows.execute("PRAGMA fresh.integrity_check") if text != "ok"]
    for table, rowid, parent, _ in rows.execute("PRAGMA fresh.foreign_key_check"):
        problems.append(f"{table}, row {rowid}: points to a row of {parent} that does not exist")
    for table, count in counts.items():
        copied = _count(rows, "fresh", table)
        say(f"{table}: {copied} of {count} rows")
        if copied != count:
            problems.append(f"{table}: {copied} of {count} rows")
    if problems:
        raise CannotCarryOver("The copy is not good, nothing was changed:\n  - " + "\n  - ".join(problems))


def _swap(database: Path, fresh: Path) -> Path:
    """Keep the old file under another name, then give its name to the new one: one rename, which is atomic."""
    for suffix in ("-journal", "-wal"):
        # SQLite would play a log that it finds beside the file into the new file.
        if (log := database.with_name(database.name + suffix)).exists():
            raise CannotCarryOver(f"{log} still exists: another program uses the database. Nothing was changed.")
    kept = _kept_name(database)
    try:
        os.link(database, kept)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        shutil.copy2(database, kept)
    _sync(kept)
    _sync(fresh)
    fresh.replace(database)
    _sync(database.parent)
    return kept


def _kept_name(database: Path) -> Path:
    stem = f"{database.stem}-before-{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    kept, attempt = database.with_name(f"{stem}{database.suffix}"), 1
    while kept.exists():
        attempt += 1
        kept = database.with_name(f"{stem}-{attempt}{database.suffix}")
    return kept


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _tables(rows: sqlite3.Connection, database: str) -> set[str]:
    found = rows.execute(f"SELECT name FROM {database}.sqlite_master WHERE type = 'table'")  # noqa: S608
    return {name for (name,) in found if not name.startswith("sqlite_")}


def _columns(rows: sqlite3.Connection, database: str, table: str) -> list[_Column]:
    found = rows.execute(f"PRAGMA {database}.table_xinfo({_quote(table)})").fetchall()
    return [_Column(row[1], bool(row[3]), row[4] is not None) for row in found if not row[6]]


def _count(rows: sqlite3.Connection, database: str, table: str) -> int:
    count: int = rows.execute(f"SELECT count(*) FROM {database}.{_quote(table)}").fetchone()[0]  # noqa: S608
    return count


def _quote(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
