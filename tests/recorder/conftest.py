"""Both databases that we promise to run on, and a recorder on them."""

import copy
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from django.conf import settings as django_settings
from pytest_django import DjangoDbBlocker

from activity.models import Exchange
from activity.schema.prepare import create_tables_where_empty
from perseus_admin.config import BASE_DIR, postgres_options
from tests.database.conftest import default_database, let_go_of, make_with_tables
from tests.postgres import PostgresServer, running_postgres
from tests.recorder.archiving import Database
from tests.web import EXCHANGES


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """One server per test process, started by the first test that needs it."""
    with running_postgres() as server:
        yield server


@contextmanager
def sqlite_in(folder: Path, blocker: DjangoDbBlocker) -> Iterator[Database]:
    """The same in a folder of the caller's choice, for the length of a `with`."""
    file = folder / "perseus.sqlite3"
    (folder / "secret-key").write_text(secrets.token_urlsafe(48))
    entry = {**copy.deepcopy(django_settings.DATABASES["default"]), "NAME": file}
    make_with_tables(file, blocker)
    with default_database(entry, blocker):
        create_tables_where_empty()  # there are some: from here on this process counts as one that uses it
        _make_exchanges()
        yield Database({"PERSEUS_DATA": str(folder)})
    let_go_of(file)


@pytest.fixture
def sqlite_database(tmp_path: Path, django_db_blocker: DjangoDbBlocker) -> Iterator[Database]:
    """Three exchanges in an SQLite file of their own, as Django's database."""
    with sqlite_in(tmp_path, django_db_blocker) as database:
        yield database


def postgres_settings(postgres: PostgresServer, name: str) -> dict[str, str]:
    """What tells a process of ours of this database."""
    return {
        "DATABASE_URL": postgres.url(name),
        "PERSEUS_DATABASE_CA": str(postgres.authority),
        "PERSEUS_SECRET_KEY": secrets.token_urlsafe(48),
    }


@pytest.fixture
def postgres_database(postgres: PostgresServer, django_db_blocker: DjangoDbBlocker) -> Iterator[Database]:
    """The same on Postgres, over TLS."""
    with (
        postgres.database((BASE_DIR / "schema.sql").read_text()) as name,
        default_database(postgres_options(postgres.url(name), str(postgres.authority)), django_db_blocker),
    ):
        _make_exchanges()
        yield Database(postgres_settings(postgres, name))


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest) -> Database:
    """Once per kind of database."""
    found: Database = request.getfixturevalue(f"{request.param}_database")
    return found


def _make_exchanges() -> None:
    for number, name in EXCHANGES.items():
        Exchange.objects.create(id=number, name=name, display_name=name.title())
