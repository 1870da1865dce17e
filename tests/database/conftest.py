"""Databases of their own for the tests of this folder: Postgres over TLS, and SQLite files."""

import copy
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.contrib.contenttypes.models import ContentType
from django.db import connections
from django.db.utils import ConnectionHandler
from pytest_django import DjangoDbBlocker

from activity.schema import usage
from activity.schema.prepare import create_tables_where_empty
from perseus_admin import config
from perseus_admin.config import BASE_DIR, postgres_options
from tests.database.processes import Command
from tests.environment import FOLDER
from tests.postgres import PostgresServer, running_postgres

#: An SQLite file with the tables of the models, and nothing else: made by the first test of a process that needs one.
_WITH_TABLES = FOLDER / "with-tables.sqlite3"


@contextmanager
def default_database(entry: dict[str, Any], blocker: DjangoDbBlocker) -> Iterator[None]:
    """Within the block, Django's database is the one that the entry of DATABASES names."""
    settings, connection = connections.settings["default"], connections["default"]
    connections.settings["default"] = ConnectionHandler({"default": entry}).settings["default"]
    del connections["default"]
    ContentType.objects.clear_cache()  # ids differ from one database to the next
    try:
        with blocker.unblock():
            yield
            connections["default"].close()
    finally:
        connections.settings["default"] = settings
        connections["default"] = connection
        ContentType.objects.clear_cache()


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """One server per test process, started by the first test that needs it."""
    with running_postgres() as server:
        yield server


@pytest.fixture
def schema_sql() -> str:
    """The text of schema.sql."""
    return (BASE_DIR / "schema.sql").read_text()


@contextmanager
def _postgres_as_default(postgres: PostgresServer, blocker: DjangoDbBlocker, schema: str = "") -> Iterator[str]:
    with (
        postgres.database(schema) as name,
        default_database(postgres_options(postgres.url(name), str(postgres.authority)), blocker),
    ):
        yield name


@pytest.fixture
def empty_postgres(postgres: PostgresServer, django_db_blocker: DjangoDbBlocker) -> Iterator[str]:
    """An empty Postgres database is Django's, connected by the product's own options, over TLS. Gives its name."""
    with _postgres_as_default(postgres, django_db_blocker) as name:
        yield name


@pytest.fixture
def loaded_postgres(postgres: PostgresServer, schema_sql: str, django_db_blocker: DjangoDbBlocker) -> Iterator[str]:
    """The same with schema.sql loaded."""
    with _postgres_as_default(postgres, django_db_blocker, schema_sql) as name:
        yield name


@pytest.fixture
def sqlite_file(tmp_path: Path, django_db_blocker: DjangoDbBlocker) -> Iterator[Path]:
    """An SQLite file that does not exist yet is Django's database, with the product's own options."""
    file = tmp_path / "perseus.sqlite3"
    entry = copy.deepcopy(django_settings.DATABASES["default"])
    with default_database({**entry, "NAME": file}, django_db_blocker):
        yield file
    let_go_of(file)


def let_go_of(file: Path) -> None:
    """As if this process, which goes on with other tests, had ended."""
    connections["default"].close()
    if descriptor := usage._held.pop(file.with_name(f"{file.name}.lock"), None):
        os.close(descriptor)


def make_with_tables(file: Path, blocker: DjangoDbBlocker) -> None:
    """An SQLite file with the tables of the models, as `create_tables_where_empty` makes it, in a tenth of its time."""
    if not _WITH_TABLES.exists():
        entry = copy.deepcopy(django_settings.DATABASES["default"])
        making = _WITH_TABLES.with_suffix(".making")
        with default_database({**entry, "NAME": making}, blocker):
            assert create_tables_where_empty()
            let_go_of(making)
        assert not making.with_name(f"{making.name}-wal").exists(), "its write-ahead log is not folded in"
        making.rename(_WITH_TABLES)
    shutil.copy(_WITH_TABLES, file)


@pytest.fixture
def current_sqlite(sqlite_file: Path, django_db_blocker: DjangoDbBlocker) -> Path:
    """The same with the tables of the models."""
    make_with_tables(sqlite_file, django_db_blocker)
    return sqlite_file


@pytest.fixture
def fresh_settings() -> Iterator[None]:
    """Settings are read from the environment again, and once more after the test."""
    config.settings.cache_clear()
    yield
    config.settings.cache_clear()


@pytest.fixture
def postgres_command(postgres: PostgresServer, schema_sql: str) -> Iterator[Command]:
    """`manage.py` on a Postgres that schema.sql was loaded into."""
    with postgres.database(schema_sql) as name:
        yield Command.on_postgres(postgres, name)


@pytest.fixture
def sqlite_command(tmp_path: Path) -> Command:
    """`manage.py` on a data folder: `tmp_path`."""
    return Command.on_sqlite(tmp_path)
