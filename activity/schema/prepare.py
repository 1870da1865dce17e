"""A database made ready for use: tables where there are none (SQLite), and the rows that Django derives from models."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from django.core.management.sql import emit_post_migrate_signal
from django.db import connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from activity.schema.drift import create_tables, database_file
from activity.schema.usage import hold

#: Any number will do; it is what two `prepare` at once wait for each other by.
_ADVISORY_LOCK: Final = 7_377_001


def create_tables_where_empty(alias: str = "default") -> bool:
    """SQLite: make the tables of all models in an empty database, all or none. Returns whether it did.

    Raises DatabaseInUse while the database is being carried over. On Postgres it does nothing: Atlas makes tables.
    """
    connection = connections[alias]
    if connection.vendor != "sqlite":
        return False
    if file := database_file(connection):
        hold(file)
    if not _is_empty(connection):
        return False
    with connection.schema_editor(atomic=True) as editor:
        if not _is_empty(connection):  # another process was faster
            return False
        create_tables(editor)
    return True


def _is_empty(connection: BaseDatabaseWrapper) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM sqlite_master")
        return bool(cursor.fetchone()[0] == 0)


@contextmanager
def one_at_a_time(alias: str = "default") -> Iterator[None]:
    """One transaction that no other process is in at the same time, as every one on SQLite is (BEGIN IMMEDIATE)."""
    connection = connections[alias]
    with transaction.atomic(using=alias):
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_ADVISORY_LOCK])
        yield


def fill_permissions(alias: str = "default") -> None:
    """Send `post_migrate`, from which apps make content types and permissions. Rows that exist stay."""
    emit_post_migrate_signal(verbosity=0, interactive=False, db=alias)
