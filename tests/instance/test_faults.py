"""A fault in the worker itself is loud: a traceback, an error entry, the program ended in order, an exit code."""

import asyncio
from pathlib import Path

import pytest

from activity.instance import agent
from activity.instance.agent import run_worker
from activity.instance.console import LOG
from activity.instance.exits import ExitCode
from activity.instance.options import WorkerConfig
from activity.instance.registry import Registry
from tests.instance.workers import EXCHANGE, EXCHANGE_ID, PYTHON, Exchange
from tests.servers import RedisServer


async def test_a_fault_before_the_registration_is_no_failure_of_the_program(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("a fault")

    monkeypatch.setattr(agent, "take_lock", broken)
    config = WorkerConfig(EXCHANGE_ID, EXCHANGE, redis_server.url, "host-a", heartbeat_seconds=15)
    assert await run_worker(config) == ExitCode.INTERNAL_ERROR


@pytest.mark.parametrize("task", ["beat", "guard_lease"])
async def test_a_side_task_that_dies_stops_the_worker_loudly(
    redis_server: RedisServer,
    exchange: Exchange,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    task: str,
) -> None:
    async def dies(registry: Registry, *_: object) -> None:
        while registry.status.connectionState != "active":
            await asyncio.sleep(0.01)
        raise ZeroDivisionError("a fault")

    monkeypatch.setattr(agent, task, dies)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(LOG, "propagate", True)
    config = WorkerConfig(
        EXCHANGE_ID,
        EXCHANGE,
        redis_server.url,
        "host-a",
        heartbeat_seconds=15,
        program=(PYTHON, "-c", "import time; time.sleep(600)"),
        ready_after=0.1,
    )
    assert await run_worker(config) == ExitCode.INTERNAL_ERROR
    assert exchange.path() == ["starting", "warming", "active", "stopping", "stopped"]
    assert "died: ZeroDivisionError('a fault')" in exchange.errors()[0]
    assert exchange.is_gone()
    assert any(record.exc_info and record.exc_info[0] is ZeroDivisionError for record in caplog.records)
