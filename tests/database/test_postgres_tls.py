"""Postgres is spoken to over TLS with a verified host name, or not at all."""

from pathlib import Path
from typing import Any

import psycopg
import pytest

from perseus_admin import config
from perseus_admin.config import postgres_options
from tests.database.processes import Command
from tests.postgres import PostgresServer


def connect(options: dict[str, Any]) -> psycopg.Connection[tuple[Any, ...]]:
    """Connect as Django does: each option is handed to libpq by its name."""
    return psycopg.connect(
        host=options["HOST"], port=options["PORT"], user=options["USER"], password=options["PASSWORD"],
        dbname=options["NAME"], **options["OPTIONS"],
    )  # fmt: skip


def encrypted(connection: psycopg.Connection[tuple[Any, ...]]) -> tuple[Any, ...] | None:
    return connection.execute("SELECT ssl, version FROM pg_stat_ssl WHERE pid = pg_backend_pid()").fetchone()


@pytest.fixture
def options(postgres: PostgresServer) -> dict[str, Any]:
    return postgres_options(postgres.url("postgres"), str(postgres.authority))


def test_a_good_connection_is_encrypted(options: dict[str, Any]) -> None:
    with connect(options) as connection:
        assert encrypted(connection) == (True, "TLSv1.3")


def test_a_dsn_may_say_verify_full_itself(postgres: PostgresServer) -> None:
    url = postgres.url("postgres", parameters="?sslmode=verify-full")
    with connect(postgres_options(url, str(postgres.authority))) as connection:
        assert encrypted(connection) == (True, "TLSv1.3")


def test_a_server_without_tls_is_refused(postgres: PostgresServer, options: dict[str, Any]) -> None:
    with postgres.without_tls(), pytest.raises(psycopg.OperationalError, match="server does not support SSL"):
        connect(options)


def test_a_certificate_for_another_host_name_is_refused(postgres: PostgresServer) -> None:
    url = postgres.url("postgres", host="127.0.0.1")  # the certificate says localhost
    with pytest.raises(psycopg.OperationalError, match="does not match host name"):
        connect(postgres_options(url, str(postgres.authority)))


def test_a_certificate_of_an_unknown_authority_is_refused(postgres: PostgresServer) -> None:
    with pytest.raises(psycopg.OperationalError, match="certificate verify failed"):
        connect(postgres_options(postgres.url("postgres"), str(postgres.stranger)))


@pytest.mark.parametrize("mode", ["disable", "allow", "prefer", "require", "verify-ca", "", "VERIFY-FULL"])
def test_a_dsn_with_a_weaker_sslmode_is_refused(mode: str) -> None:
    with pytest.raises(ValueError, match="asks for less than verify-full"):
        postgres_options(f"postgresql://u:p@db.example.org/perseus?sslmode={mode}", "system")


@pytest.mark.parametrize(
    "parameters",
    [
        "sslmode=verify-full&sslmode=disable", "sslrootcert=/tmp/mine.pem", "host=/tmp", "hostaddr=10.0.0.1",
        "gssencmode=require", "service=mine", "SSLMODE=disable", "sslmode=verify-full;sslmode=disable", "options=-c",
    ],
)  # fmt: skip
def test_a_dsn_cannot_go_around_tls(parameters: str) -> None:
    with pytest.raises(ValueError, match=r"sslmode=|is not accepted"):
        postgres_options(f"postgresql://u:p@db.example.org/perseus?{parameters}", "system")


@pytest.mark.parametrize(
    "url",
    [
        "postgresql:///perseus", "postgresql://u@/perseus", "postgresql://u:p@%2Fvar%2Frun%2Fpostgresql/perseus",
        "postgresql://u:p@%40abstract/perseus", "postgresql://u:p@one.example,two.example/perseus",
        "postgresql://u:p@one.example%2C%2Ftmp/perseus", "postgresql://u:p@one.example:1,two.example:2/perseus",
    ],
)  # fmt: skip
def test_sockets_and_lists_of_hosts_are_refused(url: str) -> None:
    with pytest.raises(ValueError, match="DATABASE_URL"):
        postgres_options(url, "system")


@pytest.mark.parametrize(
    "url",
    [
        "mysql://u:p@h/n", "h", "postgresql://h/n", "postgresql://u:p@h", "postgresql://u:p@h:port/n",
        "postgresql://u:p#w@h/n", "postgresql://u:p@h/n#x", "postgresql://u:p@h:99999/n",
    ],
)  # fmt: skip
def test_a_malformed_dsn_is_refused_without_showing_its_password(url: str) -> None:
    with pytest.raises(ValueError, match=r"^DATABASE_URL: ") as refusal:
        postgres_options(url, "system")
    assert "p#w" not in str(refusal.value)


# What each would do if it were heard: no TLS, unverified TLS, another server, another authority, a parameter file.
@pytest.mark.parametrize(
    "variables",
    [
        {"PGSSLMODE": "disable"},
        {"PGSSLMODE": "prefer", "PGREQUIRESSL": "0"},
        {"PGSSLROOTCERT": "/nonexistent"},
        {"PGSSLNEGOTIATION": "direct"},
        {"PGSSLMAXPROTOCOLVERSION": "TLSv1.2", "PGSSLMINPROTOCOLVERSION": "TLSv1"},
        {"PGGSSENCMODE": "require"},
        {"PGHOST": "/tmp", "PGPORT": "1", "PGDATABASE": "other", "PGUSER": "other"},
        {"PGHOSTADDR": "192.0.2.1"},
        {"PGCHANNELBINDING": "require"},
        {"PGOPTIONS": "-c search_path=nowhere"},
        {"PGTARGETSESSIONATTRS": "standby"},
        {"PGCONNECT_TIMEOUT": "1"},
    ],
    ids=lambda variables: " ".join(variables),
)
def test_no_variable_of_the_environment_weakens_the_connection(
    options: dict[str, Any], monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with connect(options) as connection:
        assert (encrypted(connection) or (None,))[0] is True
        assert connection.execute("SHOW search_path").fetchone() == ('"$user", public',)


def test_no_service_file_weakens_the_connection(
    options: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    keys = tmp_path / "keys"
    service = tmp_path / "service.conf"
    service.write_text(
        "[weak]\nsslmode=disable\nhostaddr=192.0.2.1\nhost=/tmp\nsslrootcert=/nonexistent\ngssencmode=require\n"
        f"sslkeylogfile={keys}\noptions=-c search_path=nowhere\nssl_min_protocol_version=TLSv1\n"
    )
    monkeypatch.setenv("PGSERVICEFILE", str(service))
    monkeypatch.setenv("PGSERVICE", "weak")
    with connect(options) as connection:
        assert encrypted(connection) == (True, "TLSv1.3")
        assert connection.execute("SHOW search_path").fetchone() == ('"$user", public',)
    assert not keys.exists()


def test_unset_the_systems_own_authorities_are_trusted(
    postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(config, "SYSTEM_AUTHORITIES", ("/nonexistent", str(postgres.authority)))
    with connect(postgres_options(postgres.url("postgres"), "system")) as connection:
        assert encrypted(connection) == (True, "TLSv1.3")


def test_missing_authorities_stop_the_start_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    url = "postgresql://u:p@db.example.org/perseus"
    with pytest.raises(ValueError, match="PERSEUS_DATABASE_CA: /nonexistent is no file"):
        postgres_options(url, "/nonexistent")
    monkeypatch.setattr(config, "SYSTEM_AUTHORITIES", ("/nonexistent",))
    with pytest.raises(ValueError, match="PERSEUS_DATABASE_CA is not set"):
        postgres_options(url, "system")


def test_the_start_is_refused_with_the_name_of_the_setting(postgres: PostgresServer) -> None:
    command = Command.on_postgres(postgres, "postgres")
    weak = command.having(DATABASE_URL=postgres.url("postgres", parameters="?sslmode=require")).run("check")
    assert weak.returncode == 2
    assert "DATABASE_URL: sslmode=require asks for less than verify-full" in weak.stderr
    assert "Traceback" not in weak.stderr


def test_a_process_does_not_start_on_a_server_without_tls(postgres: PostgresServer) -> None:
    with postgres.without_tls():
        refused = Command.on_postgres(postgres, "postgres").run("prepare")
    assert refused.returncode == 2
    assert "server does not support SSL" in refused.stderr
    assert "Traceback" not in refused.stderr
