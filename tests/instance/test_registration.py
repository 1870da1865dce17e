"""Who gets an exchange: the contract's rules of registration, with two hosts played on one machine."""

import asyncio
import json
import os
import signal
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from activity.instance import registration
from activity.instance.exits import ExitCode
from activity.instance.host import HostLock
from activity.instance.options import WorkerConfig
from activity.instance.registration import ConflictError, register
from activity.instance.registry import Registry, fresh_status
from activity.store.client import AsyncClient, lease_client
from activity.store.ownership import Busy, Ownership
from tests.instance.workers import EXCHANGE, EXCHANGE_ID, HEARTBEAT_SECONDS, Exchange, Workers
from tests.servers import RedisServer
from tests.waiting import eventually


def config_of(server: RedisServer, hostname: str = "host-a") -> WorkerConfig:
    return WorkerConfig(EXCHANGE_ID, EXCHANGE, server.url, hostname, heartbeat_seconds=HEARTBEAT_SECONDS)


@pytest.fixture
async def lease(redis_server: RedisServer) -> AsyncIterator[AsyncClient]:
    client = lease_client(redis_server.url)
    yield client
    await client.aclose()


@pytest.fixture
def lock(redis_server: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HostLock]:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    lock = HostLock.acquire(redis_server.url, "host-a", EXCHANGE_ID)
    yield lock
    lock.close()


def registry_of(config: WorkerConfig, lease: AsyncClient, instance: str = "mine") -> Registry:
    return Registry(Ownership(lease, EXCHANGE_ID), fresh_status(config, instance))


def holder(**fields: Any) -> str:
    return json.dumps(
        {
            "exchangeId": EXCHANGE_ID,
            "exchangeName": EXCHANGE,
            "hostname": "host-a",
            "ipAddress": "203.0.113.9",
            "connectionState": "active",
            "symbolCount": 3,
            "connectedAt": "2026-11-22T14:31:38.907Z",
            **fields,
        }
    )


async def test_what_is_registered_is_the_contracts_status_with_nobody_answering_yet(
    redis_server: RedisServer, exchange: Exchange, lease: AsyncClient, lock: HostLock
) -> None:
    config = config_of(redis_server)
    registry = registry_of(config, lease)
    registry.set_admin("ann@example.org", "Ann")
    registry.set_symbol_count(2)
    registry.set_address("203.0.113.7", "DE")
    began = time.monotonic()
    await register(config, lease, registry, lock, asyncio.Event())
    status = exchange.status
    assert status is not None
    assert status == {
        "exchangeId": EXCHANGE_ID,
        "exchangeName": EXCHANGE,
        "hostname": "host-a",
        "ipAddress": None,
        "countryCode": None,
        "adminEmail": None,
        "adminDisplayName": None,
        "connectionState": "idle",
        "symbolCount": 0,
        "connectedAt": None,
        "lastHeartbeat": status["registeredAt"],
        "lastStateChange": status["registeredAt"],
        "registeredAt": status["registeredAt"],
        "lastError": None,
        "lastErrorAt": None,
        "instanceId": "mine",
        "pid": os.getpid(),
        "version": status["version"],
        "mode": None,
        "heartbeatSeconds": HEARTBEAT_SECONDS,
        "paused": False,
        "epoch": registry.status.epoch,
    }
    left: Any = exchange.client.pttl(exchange.key)
    assert 3000 * HEARTBEAT_SECONDS - 1000 * (time.monotonic() - began) - 1 <= left <= 3000 * HEARTBEAT_SECONDS
    registry.record_error("broken", "2026-11-22T14:31:38.907Z")
    await registry.write()
    assert (exchange.status or {})["lastError"] == "broken"
    assert (exchange.status or {})["adminEmail"] is None, "admin info waits for the next heartbeat"
    await registry.beat()
    beaten = exchange.status or {}
    assert (beaten["adminEmail"], beaten["adminDisplayName"]) == ("ann@example.org", "Ann")
    assert (beaten["symbolCount"], beaten["ipAddress"], beaten["countryCode"]) == (2, "203.0.113.7", "DE")


async def test_a_holder_on_another_host_is_named_with_address_since_and_time_left(
    redis_server: RedisServer, exchange: Exchange, lease: AsyncClient, lock: HostLock
) -> None:
    exchange.client.set(exchange.key, holder(hostname="host-b"), ex=31)
    config = config_of(redis_server)
    with pytest.raises(ConflictError) as refused:
        await register(config, lease, registry_of(config, lease), lock, asyncio.Event())
    said = "kraken is held by host host-b (ip 203.0.113.9, connected since 2026-11-22T14:31:38.907Z)"
    assert str(refused.value) in {f"{said}, {left} s of its TTL left" for left in range(1, 32)}
    assert json.loads(exchange.client.get(exchange.key) or b"")["hostname"] == "host-b"


async def test_an_older_writers_payload_from_this_host_is_reclaimed_at_once(
    redis_server: RedisServer, exchange: Exchange, lease: AsyncClient, lock: HostLock
) -> None:
    exchange.client.set(exchange.key, holder(), ex=45)
    config = config_of(redis_server)
    registry = registry_of(config, lease)
    await register(config, lease, registry, lock, asyncio.Event())
    assert (exchange.status or {})["instanceId"] == "mine"


async def test_the_instance_that_this_host_remembers_is_reclaimed_at_once(
    redis_server: RedisServer, exchange: Exchange, lease: AsyncClient, lock: HostLock
) -> None:
    lock.previous = "predecessor"
    exchange.client.set(exchange.key, holder(instanceId="predecessor", epoch=1), ex=45)
    config = config_of(redis_server)
    await register(config, lease, registry_of(config, lease), lock, asyncio.Event())
    assert (exchange.status or {})["instanceId"] == "mine"


async def test_an_instance_of_this_hosts_name_that_this_host_did_not_start_is_watched_and_refuses_us_when_it_beats(
    redis_server: RedisServer, exchange: Exchange, lease: AsyncClient, lock: HostLock
) -> None:
    exchange.client.set(exchange.key, holder(instanceId="container", epoch=1, heartbeatSeconds=2), ex=45)
    config = config_of(redis_server)
    waiting = asyncio.create_task(register(config, lease, registry_of(config, lease), lock, asyncio.Event()))
    await asyncio.sleep(0.5)
    assert not waiting.done()
    beaten = holder(instanceId="container", epoch=1, heartbeatSeconds=2, symbolCount=4)
    exchange.client.set(exchange.key, beaten, ex=45)
    with pytest.raises(ConflictError, match="carries this host's name and is alive"):
        await waiting
    assert exchange.client.get(exchange.key) == beaten.encode()


async def test_one_that_stays_silent_for_its_interval_is_reclaimed(
    redis_server: RedisServer,
    exchange: Exchange,
    lease: AsyncClient,
    lock: HostLock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(registration, "_LATE_SECONDS", 0.1)
    exchange.client.set(exchange.key, holder(instanceId="before-reboot", epoch=1, heartbeatSeconds=1), ex=45)
    config = config_of(redis_server)
    await register(config, lease, registry_of(config, lease), lock, asyncio.Event())
    assert (exchange.status or {})["instanceId"] == "mine"


async def test_a_key_that_vanished_after_it_was_seen_is_claimed(
    redis_server: RedisServer,
    exchange: Exchange,
    lease: AsyncClient,
    lock: HostLock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    exchange.client.set(exchange.key, holder(), ex=45)
    claim = Ownership.claim
    answers = []

    async def claim_then_delete(self: Ownership, *arguments: Any, **options: Any) -> Any:
        answer = await claim(self, *arguments, **options)
        if isinstance(answer, Busy):
            exchange.client.delete(exchange.key)
        answers.append(answer)
        return answer

    monkeypatch.setattr(Ownership, "claim", claim_then_delete)
    config = config_of(redis_server)
    await register(config, lease, registry_of(config, lease), lock, asyncio.Event())
    assert len(answers) == 2
    assert (exchange.status or {})["instanceId"] == "mine"


async def test_a_holder_that_keeps_writing_while_we_replace_it_is_alive(
    redis_server: RedisServer,
    exchange: Exchange,
    lease: AsyncClient,
    lock: HostLock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    exchange.client.set(exchange.key, holder(), ex=45)
    claim = Ownership.claim
    count = 0

    async def claim_then_write(self: Ownership, *arguments: Any, **options: Any) -> Any:
        nonlocal count
        answer = await claim(self, *arguments, **options)
        count += 1
        exchange.client.set(exchange.key, holder(symbolCount=count), ex=45)
        return answer

    monkeypatch.setattr(Ownership, "claim", claim_then_write)
    config = config_of(redis_server)
    with pytest.raises(ConflictError, match="it writes while we look"):
        await register(config, lease, registry_of(config, lease), lock, asyncio.Event())
    assert count < 10


def test_a_worker_of_another_host_is_refused_and_the_first_goes_on(workers: Workers, exchange: Exchange) -> None:
    first = workers.start(hostname="host-a")
    before = exchange.reaches("active")
    second = workers.start(hostname="host-b")
    assert second.wait() == ExitCode.CONFLICT
    assert f"host host-a (ip unknown, connected since {before['connectedAt']})" in second.output
    assert (exchange.status or {})["instanceId"] == before["instanceId"]
    assert first.stop() == ExitCode.STOPPED


def test_a_second_live_worker_of_one_host_is_refused_even_while_the_first_stands_still(
    workers: Workers, exchange: Exchange
) -> None:
    first = workers.start()
    exchange.reaches("active")
    second = workers.start()
    assert second.wait() == ExitCode.CONFLICT
    assert f"on this host it is held by pid {first.process.pid}" in second.output
    first.signal(signal.SIGSTOP)
    eventually(exchange.is_gone)
    third = workers.start()
    assert third.wait() == ExitCode.CONFLICT
    assert exchange.is_gone()
    first.signal(signal.SIGCONT)
    assert first.wait() == ExitCode.OWNERSHIP_LOST


def test_a_worker_without_its_redis_does_not_register(workers: Workers) -> None:
    workers.redis_url = f"unix://{workers.folder}/nothing.sock"
    worker = workers.start()
    assert worker.wait() == ExitCode.REDIS_UNREACHABLE
    assert "could not be registered" in worker.output
