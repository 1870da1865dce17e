"""`manage.py worker`: what it refuses before anything is registered, and the journey of real programs."""

import http.client
import json
import re
import signal
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from django.core.management.base import CommandError

from activity.instance.exits import ExitCode
from activity.management.commands.worker import Command
from activity.wire.status import InstanceStatus
from tests.instance.workers import HEARTBEAT_SECONDS, PYTHON, Exchange, Worker, Workers
from tests.servers import RedisServer, free_port


@pytest.fixture
def worker_of(workers: Workers, data_folder: Path) -> "WorkerOf":
    return WorkerOf(workers, data_folder)


class WorkerOf:
    """Starts `manage.py worker` in the data folder."""

    def __init__(self, workers: Workers, data_folder: Path) -> None:
        self._workers = workers
        self._data = str(data_folder)

    def __call__(self, *arguments: str, **environment: str) -> Worker:
        return self._workers.manage(*arguments, **{"PERSEUS_DATA": self._data, **environment})


def of_database(redis_server: RedisServer, data_folder: Path, name: str) -> Exchange:
    with closing(sqlite3.connect(data_folder / "perseus.sqlite3")) as database:
        ((exchange_id,),) = database.execute("SELECT id FROM exchanges WHERE name = ?", [name]).fetchall()
    return Exchange(redis_server.client(), exchange_id, name)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ([], "--exchange"),
        (["--exchange", "kracken"], "Known are: binance, binance_us, coinbase, kraken, kucoin"),
        (["--exchange", "mexc"], "mexc is inactive"),
        (["--exchange", "kraken", "--admin", "nobody@example.org"], "no user has the e-mail 'nobody@example.org'"),
        (["--exchange", "kraken", "--admin", "gone@example.org"], "gone@example.org is deactivated"),
        (["--exchange", "kraken", "--error-pattern", "(", "--", "true"], "argument --error-pattern: '('"),
        (["--exchange", "kraken", "--restart", "on-failure"], "--restart: only for a program"),
        (["--exchange", "kraken", "--", "no-such-program"], "'no-such-program' is no program"),
    ],
)
def test_a_wrong_option_is_named_and_nothing_is_registered(
    worker_of: WorkerOf, redis_server: RedisServer, arguments: list[str], reason: str
) -> None:
    worker = worker_of(*arguments)
    assert worker.wait() == ExitCode.USAGE
    assert reason in worker.output
    with redis_server.client() as client:
        assert client.dbsize() == 0


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--error-pattern", "("),
        ("--ready-pattern", "[a"),
        ("--ready-after", "-1"),
        ("--start-timeout", "soon"),
        ("--stop-grace", "nan"),
        ("--watchdog", "0"),
        ("--symbols", "A,,B"),
        ("--mode", "live mode"),
        ("--restart", "always"),
    ],
)
def test_a_value_that_makes_no_sense_is_refused_with_the_name_of_its_option(option: str, value: str) -> None:
    parser = Command().create_parser("manage.py", "worker")
    with pytest.raises(CommandError, match=f"argument {option}: .*{re.escape(value)}"):
        parser.parse_args(["--exchange", "kraken", f"{option}={value}", "--", "true"])


def test_everything_after_two_dashes_is_the_programs_own() -> None:
    parser = Command().create_parser("manage.py", "worker")
    options = parser.parse_args(["--exchange", "kraken", "--", "npm", "run", "bot", "--", "--exchange", "x"])
    assert options.program == ["npm", "run", "bot", "--", "--exchange", "x"]
    assert options.exchange == "kraken"


def test_a_data_folder_where_nothing_runs_is_said_to_be_one(worker_of: WorkerOf, data_folder: Path) -> None:
    worker = worker_of("--exchange", "kraken", REDIS_URL="")
    assert worker.wait() == ExitCode.REDIS_UNREACHABLE
    assert f"No Redis answers at unix://{data_folder}/redis.sock" in worker.output
    assert f"nothing runs with PERSEUS_DATA={data_folder}; start `make run` there, or set REDIS_URL" in worker.output


def test_a_redis_that_does_not_answer_is_named_without_its_password(worker_of: WorkerOf) -> None:
    worker = worker_of("--exchange", "kraken", REDIS_URL=f"redis://:sesame@127.0.0.1:{free_port()}/0")
    assert worker.wait() == ExitCode.REDIS_UNREACHABLE
    assert "No Redis answers at redis://127.0.0.1:" in worker.output
    assert "sesame" not in worker.output


def test_registration_is_the_contracts_and_admin_and_symbols_come_with_the_next_heartbeat(
    worker_of: WorkerOf, redis_server: RedisServer, data_folder: Path
) -> None:
    exchange = of_database(redis_server, data_folder, "kraken")
    worker = worker_of(
        *("--exchange", "Kraken", "--admin", "ANN@example.org", "--mode", "paper", "--symbols", "BTC/USD,ETH/USD"),
        PERSEUS_HOSTNAME="host-a",
    )
    first = exchange.becomes(lambda _: True)
    status = exchange.reaches("active")
    InstanceStatus.model_validate_json(exchange.client.get(exchange.key) or b"")
    for known in (first, status):
        if known["lastHeartbeat"] == known["registeredAt"]:  # no heartbeat yet
            assert (known["adminEmail"], known["adminDisplayName"], known["symbolCount"]) == (None, None, 0)
    assert status["exchangeName"] == "kraken"
    assert status["hostname"] == "host-a"
    assert status["mode"] == "paper"
    assert status["heartbeatSeconds"] == HEARTBEAT_SECONDS
    assert status["pid"] == worker.process.pid
    assert (status["ipAddress"], status["countryCode"], status["lastError"]) == (None, None, None)
    assert status["connectedAt"] == status["lastStateChange"]
    assert 0 < exchange.client.ttl(exchange.key) <= 3 * HEARTBEAT_SECONDS
    beaten = exchange.becomes(lambda status: status["adminEmail"])
    assert beaten["adminEmail"] == "ann@example.org"
    assert beaten["adminDisplayName"] == "Ann"
    assert beaten["symbolCount"] == 2
    assert beaten["lastHeartbeat"] > beaten["registeredAt"]
    assert worker.stop() == ExitCode.STOPPED
    assert exchange.is_gone()
    assert exchange.path() == ["starting", "warming", "active", "stopping", "stopped"]
    assert f"Worker of kraken (id {status['exchangeId']}) on host host-a" in worker.output.splitlines()[0]
    assert {entry["adminEmail"] for entry in exchange.entries()} == {"ann@example.org"}


def test_a_worker_starts_with_the_settings_and_symbols_of_its_admin_unless_it_is_told_others(
    worker_of: WorkerOf, redis_server: RedisServer, data_folder: Path
) -> None:
    exchange = of_database(redis_server, data_folder, "kraken")
    document = json.dumps({"mode": "paper", "symbols": {"kraken": ["BTC/USD", "ETH/USD", "SOL/USD"], "mexc": ["A/B"]}})
    with closing(sqlite3.connect(data_folder / "perseus.sqlite3")) as database:
        database.execute(
            "INSERT INTO user_settings (user_id, document, changed_at) "
            "SELECT id, ?, '2026-01-01' FROM users WHERE email = 'ann@example.org'",
            [document],
        )
        database.commit()
    try:
        for more, mode, symbols in ((), "paper", 3), (("--mode", "live", "--symbols", "X/Y"), "live", 1):
            worker = worker_of("--exchange", "kraken", "--admin", "ann@example.org", *more)
            status = exchange.becomes(lambda status: status["adminEmail"])
            assert (status["mode"], status["symbolCount"]) == (mode, symbols)
            assert worker.stop() == ExitCode.STOPPED
            assert exchange.is_gone()
    finally:
        with closing(sqlite3.connect(data_folder / "perseus.sqlite3")) as database:
            database.execute("DELETE FROM user_settings")
            database.commit()


def test_a_real_daemon_that_speaks_sd_notify_goes_through_all_states(
    worker_of: WorkerOf, redis_server: RedisServer, data_folder: Path, tmp_path: Path
) -> None:
    exchange = of_database(redis_server, data_folder, "kraken")
    worker = worker_of(
        *("--exchange", "kraken", "--mode", "live", "--"),
        *("redis-server", "--port", str(free_port()), "--supervised", "systemd", "--save", "", "--dir", str(tmp_path)),
    )
    exchange.reaches("active")
    assert "Program status: Ready to accept connections" in worker.output
    assert worker.stop() == ExitCode.STOPPED
    assert exchange.path() == ["starting", "warming", "active", "stopping", "stopped"]
    assert exchange.errors() == []
    assert exchange.is_gone()
    assert all(entry["ip"] == "" and entry["adminEmail"] == "" for entry in exchange.entries())


def test_the_failure_of_that_daemon_is_an_error_entry(
    worker_of: WorkerOf, redis_server: RedisServer, data_folder: Path
) -> None:
    exchange = of_database(redis_server, data_folder, "kraken")
    worker = worker_of("--exchange", "kraken", "--", "redis-server", "--supervised", "systemd", "--port", "70000")
    assert worker.wait() == ExitCode.PROGRAM_FAILED
    (error,) = exchange.errors()
    assert "exit code 1" in error
    assert "FATAL CONFIG FILE ERROR" in error


def test_a_real_program_that_does_not_speak_sd_notify_goes_through_all_states(
    worker_of: WorkerOf, redis_server: RedisServer, data_folder: Path
) -> None:
    exchange = of_database(redis_server, data_folder, "binance")
    port = free_port()
    worker = worker_of(
        *("--exchange", "binance", "--ready-pattern", "^Serving HTTP on", "--error-pattern", '" 404 ', "--"),
        *(PYTHON, "-m", "http.server", str(port), "--bind", "127.0.0.1", "--directory", str(data_folder)),
    )
    exchange.reaches("active")
    _get_missing_page(port)
    (error,) = exchange.eventually_errors()
    assert '"GET /nothing HTTP/1.1" 404' in error
    assert worker.stop() == ExitCode.STOPPED
    assert exchange.path() == ["starting", "warming", "active", "stopping", "stopped"]
    assert exchange.is_gone()


def _get_missing_page(port: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", "/nothing")
    answer = connection.getresponse()
    answer.read()
    assert answer.status == 404
    connection.close()


def test_a_worker_killed_with_sigkill_is_lost_and_comes_back_on_the_same_host(
    worker_of: WorkerOf, redis_server: RedisServer, data_folder: Path
) -> None:
    exchange = of_database(redis_server, data_folder, "kraken")
    kept = {"PERSEUS_HEARTBEAT_SECONDS": "15"}  # the key outlives the start of the second, however busy the machine is
    first = worker_of("--exchange", "kraken", "--", PYTHON, "-m", "activity.instance.demo", "quiet", **kept)
    before = exchange.reaches("active")
    first.signal(signal.SIGKILL)
    first.wait()
    second = worker_of("--exchange", "kraken", **kept)  # the key still stands: it need not run out
    exchange.becomes(lambda status: status["instanceId"] != before["instanceId"])
    after = exchange.reaches("active")
    assert after["epoch"] > before["epoch"]
    assert "Reclaiming kraken from the previous process of this host" in second.output
    assert second.stop() == ExitCode.STOPPED


def test_nothing_of_perseus_own_secrets_reaches_the_program(worker_of: WorkerOf, data_folder: Path) -> None:
    worker = worker_of(
        *("--exchange", "kraken", "--mode", "live", "--symbols", "A,B", "--", "env"),
        PERSEUS_SECRET_KEY="opensesame",
        PERSEUS_ADMIN_PASSWORD="opensesame",
        BOT_KEY="kept",
    )
    worker.wait()
    lines = [line.partition("| ")[2] for line in worker.output.splitlines()]
    assert {"PERSEUS_EXCHANGE=kraken", "PERSEUS_MODE=live", "PERSEUS_SYMBOLS=A,B", "BOT_KEY=kept"} <= set(lines)
    assert "opensesame" not in worker.output
    assert not any(line.startswith("DJANGO_SETTINGS_MODULE") for line in lines)
