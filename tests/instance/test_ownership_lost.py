"""Losing an exchange while running: the program ends, the key is left alone, and the exit code says so."""

import json
import os
import signal
from pathlib import Path

import pytest

from activity.instance.exits import ExitCode
from activity.wire.keys import ownership_key
from tests.instance.workers import EXCHANGE_ID, PYTHON, Exchange, Workers, processes_with
from tests.proxy import proxy_before
from tests.servers import RedisServer, running_redis
from tests.waiting import eventually

SLEEPER = (PYTHON, "-c", "import time; print('up', flush=True); time.sleep(600)")


def running_program(workers: Workers) -> list[int]:
    return [pid for pid in processes_with(str(workers.folder)) if _command(pid).startswith(f"{PYTHON}\0-c")]


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""


@pytest.mark.parametrize("successor", [{"instanceId": "other", "epoch": 9_999_999_999_999}, {}])
def test_a_worker_whose_exchange_is_taken_stops_its_program_and_leaves_the_key_alone(
    workers: Workers, exchange: Exchange, successor: dict[str, object]
) -> None:
    worker = workers.start(*SLEEPER, ready_pattern="^up")
    exchange.reaches("active")
    assert running_program(workers)
    taken = json.dumps({"hostname": "host-b", "exchangeId": 7, "exchangeName": "kraken", **successor}).encode()
    exchange.client.set(exchange.key, taken, ex=45)
    assert worker.wait() == ExitCode.OWNERSHIP_LOST
    assert exchange.client.get(exchange.key) == taken
    assert not running_program(workers)
    assert any(error.startswith("Fenced: the exchange is now held by") for error in exchange.errors())
    assert "Fenced: the exchange is now held by" in worker.output


def test_a_worker_without_redis_stops_its_program_before_the_key_can_have_run_out(
    workers: Workers, redis_server: RedisServer
) -> None:
    with running_redis() as own, proxy_before(own.socket) as proxy, own.client() as client:
        workers.redis_url = proxy.url
        worker = workers.start(*SLEEPER, ready_pattern="^up", heartbeat_seconds=3)
        exchange = Exchange(client)
        exchange.reaches("active")
        proxy.black_hole()
        worker.says("no heartbeat has succeeded for two intervals")
        eventually(lambda: not running_program(workers))
        assert client.pttl(exchange.key) > 0, "the program was gone before the key was"
        assert worker.wait() == ExitCode.OWNERSHIP_LOST
        assert "Not written to the activity: " in worker.output


def test_a_key_that_was_deleted_is_claimed_anew_under_a_higher_epoch_and_keeps_its_fields(
    workers: Workers, exchange: Exchange
) -> None:
    worker = workers.start(admin_email="ann@example.org", symbols=["A", "B"])
    before = exchange.becomes(lambda status: status["adminEmail"])
    exchange.client.delete(exchange.key, ownership_key(EXCHANGE_ID))
    after = exchange.becomes(lambda status: status["epoch"] > before["epoch"])
    assert after["instanceId"] == before["instanceId"]
    assert (after["adminEmail"], after["symbolCount"], after["connectionState"]) == ("ann@example.org", 2, "active")
    assert after["registeredAt"] == before["registeredAt"]
    assert worker.stop() == ExitCode.STOPPED
    assert exchange.is_gone()


def test_a_claim_whose_reply_was_lost_is_recognised_as_our_own(workers: Workers, redis_server: RedisServer) -> None:
    with proxy_before(redis_server.socket) as proxy, redis_server.client() as client:
        exchange = Exchange(client)
        workers.redis_url = proxy.url
        worker = workers.start(heartbeat_seconds=3)
        before = exchange.reaches("active")
        proxy.lose_replies(b"Take an exchange that nobody holds", 1)
        client.delete(exchange.key)
        eventually(lambda: proxy.lost)
        worker.says("Claimed anew under epoch")
        assert (exchange.status or {})["epoch"] > before["epoch"]
        assert worker.stop() == ExitCode.STOPPED
        assert exchange.is_gone()


def test_an_error_is_recorded_even_while_the_key_is_gone(workers: Workers, exchange: Exchange) -> None:
    worker = workers.start(*SLEEPER, ready_pattern="^up", error_pattern="^up", heartbeat_seconds=20)
    exchange.reaches("active")
    (error,) = exchange.eventually_errors()
    assert error == "up"
    exchange.client.delete(exchange.key)
    for pid in running_program(workers):
        os.kill(pid, signal.SIGKILL)
    assert worker.wait() == ExitCode.PROGRAM_FAILED
    assert "signal SIGKILL" in exchange.errors()[-1]
