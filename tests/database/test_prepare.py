"""`manage.py prepare` makes a database ready, and changes nothing when it is run again."""

import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth import authenticate
from django.contrib.auth.models import Permission
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command
from django.http import HttpRequest

from activity.management.known_exchanges import KNOWN_EXCHANGES
from activity.models import Exchange, User
from tests.database.processes import Command

NAMES = ["binance", "binance_us", "coinbase", "kraken", "kucoin", "mexc"]

pytestmark = pytest.mark.usefixtures("fresh_settings")


@pytest.fixture(params=["sqlite_file", "loaded_postgres"])
def database(request: pytest.FixtureRequest) -> None:
    request.getfixturevalue(request.param)


@pytest.mark.usefixtures("database")
def test_it_makes_the_first_admin_with_a_password_that_is_printed_once(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("prepare", exchanges=True, admin=True)
    [password] = re.findall(r"password  (\S+)", capsys.readouterr().out)
    call_command("prepare", exchanges=True, admin=True)
    assert capsys.readouterr().out == "", "nothing is left to do"

    [user] = User.objects.all()
    assert (user.email, user.is_staff, user.is_superuser) == ("admin@localhost", True, True)
    assert authenticate(HttpRequest(), username="Admin@localhost", password=password) == user
    assert list(Exchange.objects.values_list("name", flat=True)) == NAMES


@pytest.mark.usefixtures("database")
def test_the_permissions_that_the_models_name_exist(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("prepare")
    found = Permission.objects.filter(content_type__app_label="activity", content_type__model="exchange")
    assert {f"{verb}_exchange" for verb in ("view", "claim", "command", "takeover", "administer")} <= {
        permission.codename for permission in found
    }


@pytest.mark.usefixtures("sqlite_file")
def test_nobody_and_nothing_is_added_unless_asked_for() -> None:
    call_command("prepare")
    assert (User.objects.count(), Exchange.objects.count()) == (0, 0)


@pytest.mark.usefixtures("current_sqlite")
def test_exchanges_are_added_to_an_empty_table_only() -> None:
    Exchange.objects.create(name="mine")
    call_command("prepare", exchanges=True)
    assert [exchange.name for exchange in Exchange.objects.all()] == ["mine"]


@pytest.mark.usefixtures("current_sqlite")
def test_an_admin_is_made_only_where_there_is_no_user() -> None:
    User.objects.create_user("someone@example.org")
    call_command("prepare", admin=True)
    assert [user.email for user in User.objects.all()] == ["someone@example.org"]


@pytest.mark.usefixtures("sqlite_file")
def test_a_given_password_is_used_and_not_printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PERSEUS_ADMIN_EMAIL", "Ada@Example.org")
    monkeypatch.setenv("PERSEUS_ADMIN_PASSWORD", "a lovelace engine")
    call_command("prepare", admin=True)
    output = capsys.readouterr()
    assert "a lovelace engine" not in output.out + output.err
    assert output.err == ""
    user = authenticate(HttpRequest(), username="ada@example.org", password="a lovelace engine")
    assert user is not None


@pytest.mark.usefixtures("sqlite_file")
def test_a_weak_password_is_said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("PERSEUS_ADMIN_PASSWORD", "12345678")
    call_command("prepare", admin=True)
    assert "PERSEUS_ADMIN_PASSWORD is weak" in capsys.readouterr().err


@pytest.mark.usefixtures("sqlite_file")
def test_an_admin_email_that_is_none_makes_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERSEUS_ADMIN_EMAIL", "the boss")
    with pytest.raises(CommandError, match="PERSEUS_ADMIN_EMAIL=the boss"):
        call_command("prepare", exchanges=True, admin=True)
    assert (User.objects.count(), Exchange.objects.count()) == (0, 0), "all or nothing"


def test_a_first_start_that_is_killed_leaves_no_half_database(sqlite_command: Command, tmp_path: Path) -> None:
    crash = (
        "import os, django; django.setup(); from django.core.management import call_command;"
        "from django.db.backends.sqlite3.schema import DatabaseSchemaEditor as E;"
        "real = E.create_model;"
        "E.create_model = lambda self, model: os._exit(9) if model.__name__ == 'ApiToken' else real(self, model);"
        "call_command('prepare')"
    )
    assert sqlite_command.python("-c", crash).returncode == 9
    with closing(sqlite3.connect(tmp_path / "perseus.sqlite3")) as database:
        assert database.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)
    done = sqlite_command.run("prepare")
    assert (done.stdout, done.stderr, done.returncode) == ("The tables were created.\n", "", 0)


@pytest.mark.usefixtures("empty_postgres")
def test_a_postgres_without_tables_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        call_command("prepare")
    assert "atlas schema apply" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["postgres_command", "sqlite_command"])
def test_two_at_once_make_one_admin(request: pytest.FixtureRequest, kind: str) -> None:
    command: Command = request.getfixturevalue(kind)
    both = [command.start("manage.py", "prepare", "--exchanges", "--admin") for _ in range(2)]
    outputs = [process.communicate(timeout=60)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert sum("password  " in output for output in outputs) == 1
    assert sum("6 known exchanges were added" in output for output in outputs) == 1


def test_a_data_folder_that_does_not_exist_is_said(sqlite_command: Command, tmp_path: Path) -> None:
    refused = sqlite_command.having(PERSEUS_DATA=str(tmp_path / "nowhere")).run("prepare")
    assert refused.returncode == 1
    assert "nowhere/perseus.sqlite3.lock cannot be opened: No such file or directory" in refused.stderr
    assert "Traceback" not in refused.stderr


@pytest.mark.parametrize("fields", KNOWN_EXCHANGES, ids=lambda fields: str(fields["name"]))
def test_the_known_exchanges_are_valid(fields: dict[str, Any]) -> None:
    Exchange(**fields).full_clean(validate_unique=False, validate_constraints=False)


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "Kraken"}, {"name": "kra ken"}, {"name": ""}, {"name": "-kraken"}, {"name": "kraken\n"},
        {"ws_url": "https://example.org"}, {"rest_url": "wss://example.org"}, {"timeframes": {"1m": 1}},
        {"timeframes": [1]}, {"api_limits": [1]}, {"fee_schedule": 1}, {"geo_restrictions": ["Germany"]},
    ],
)  # fmt: skip
def test_an_exchange_that_makes_no_sense_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as refusal:
        Exchange(**{**KNOWN_EXCHANGES[3], **wrong}).full_clean(validate_unique=False, validate_constraints=False)
    assert list(refusal.value.message_dict) == list(wrong)
