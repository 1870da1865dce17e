"""After a day, the archive is what was written. `make soak` runs the same for longer (SOAK_MINUTES, SOAK_RESULT)."""

import dataclasses
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_django import DjangoDbBlocker

from activity.models import Exchange
from perseus_admin.config import BASE_DIR, postgres_options
from tests.database.conftest import default_database
from tests.postgres import PostgresServer, running_postgres
from tests.recorder.archiving import Database
from tests.recorder.conftest import postgres_settings, sqlite_in
from tests.servers import running_redis
from tests.soak.archives import ArchiveOf
from tests.soak.day import Day

EXCHANGES = {number: f"exchange-{number:02d}" for number in range(11, 23)}
#: Seconds of a short day, and of the mean pause between two instances of an exchange.
SHORT_SECONDS, SHORT_PAUSE = 12.0, 0.15
LONG_PAUSE = 0.4


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresServer]:
    with running_postgres() as server:
        yield server


def make_exchanges() -> None:
    Exchange.objects.all().delete()
    Exchange.objects.bulk_create(
        [Exchange(id=number, name=name, display_name=name) for number, name in EXCHANGES.items()]
    )


def test_after_a_day_the_archive_is_what_was_written_except_recorded_gaps(
    postgres: PostgresServer, tmp_path: Path, django_db_blocker: DjangoDbBlocker
) -> None:
    minutes = float(os.environ.get("SOAK_MINUTES", "0"))
    seconds, pause = (minutes * 60, LONG_PAUSE) if minutes else (SHORT_SECONDS, SHORT_PAUSE)
    folders = {kind: tmp_path / kind for kind in ("sqlite", "postgres")}
    for folder in folders.values():
        folder.mkdir()
    with sqlite_in(folders["sqlite"], django_db_blocker) as sqlite:
        make_exchanges()
    # Nothing that Redis has acknowledged is lost when it is killed, and its file is never rewritten: it is the journal.
    options = ("--appendonly", "yes", "--appendfsync", "always", "--auto-aof-rewrite-percentage", "0")
    with (
        postgres.database((BASE_DIR / "schema.sql").read_text()) as name,
        running_redis(options=options) as server,
    ):
        with default_database(postgres_options(postgres.url(name), str(postgres.authority)), django_db_blocker):
            make_exchanges()
        on_postgres = Database(postgres_settings(postgres, name))
        archives = [
            ArchiveOf("SQLite", sqlite, folders["sqlite"], server.url),
            ArchiveOf("Postgres", on_postgres, folders["postgres"], server.url, (postgres, name)),
        ]
        seed = int.from_bytes(os.urandom(4))
        print(f"the day's seed: {seed}")
        day = Day(server, archives, postgres, EXCHANGES, tmp_path, seconds=seconds, pause=pause, seed=seed)
        try:
            figures = day.run()
        finally:
            day.kill()
    assert figures.instances > 100  # on an idle machine more than a thousand
    assert figures.in_order < figures.instances, "nobody was killed: nothing was tried"
    assert min(figures.gaps.values()) > 0, "no stream was trimmed beyond the recorders: nothing was tried"
    if path := os.environ.get("SOAK_RESULT"):
        Path(path).write_text(json.dumps(dataclasses.asdict(figures)))
