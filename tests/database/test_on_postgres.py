"""The whole product on Postgres over TLS: tables from schema.sql, prepared, served, signed in to."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db import IntegrityError, transaction

from activity.models import Exchange, User
from tests.database.processes import Command
from tests.postgres import PostgresServer
from tests.servers import RedisServer
from tests.web import PASSWORD, WebServer


@pytest.fixture
def site(postgres_command: Command, redis_server: RedisServer, tmp_path: Path) -> Iterator[WebServer]:
    command = postgres_command.having(PERSEUS_ADMIN_EMAIL="admin@example.org", PERSEUS_ADMIN_PASSWORD=PASSWORD)
    prepared = command.run("prepare", "--exchanges", "--admin")
    assert prepared.returncode == 0, prepared.stderr
    (tmp_path / "secret-key").write_text("for this test only" * 4)
    server = WebServer(tmp_path, redis_server.url, **postgres_command.settings)
    yield server
    server.stop()


def test_a_signed_in_user_sees_the_exchanges(site: WebServer, postgres: PostgresServer) -> None:
    browser = site.browser().sign_in()

    status, page = browser.get("/")
    assert status == 200
    assert "kucoin" in page, page
    status, page = browser.get("/admin/activity/exchange/")
    assert status == 200
    assert "binance_us" in page

    database = site.environment["DATABASE_URL"].rpartition("/")[2]
    with postgres.connect(database) as admin:
        assert admin.execute("SELECT count(*) FROM django_session").fetchone() == (1,)
        assert admin.execute("SELECT count(*) FROM axes_accesslog WHERE username = 'admin@example.org'").fetchone() == (
            1,
        )
    assert not (site.folder / "perseus.sqlite3").exists(), "SQLite must not be touched where DATABASE_URL is set"


@pytest.mark.usefixtures("loaded_postgres")
def test_the_database_itself_refuses_names_and_emails_in_upper_case() -> None:
    for model in (Exchange(name="Kraken"), User(email="Ada@example.org")):
        with pytest.raises(IntegrityError, match="_lower"), transaction.atomic():
            model.save()
