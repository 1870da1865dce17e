"""What the tests about deaths share: owners that beat or do not, watchers, and the entries that they wrote."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from activity.recorder.deaths import DeathWatch
from activity.recorder.sightings import DeathOptions
from activity.store.client import AsyncClient, async_client, lease_client
from activity.store.ownership import Claimed, Ownership
from activity.wire.clock import now_timestamp
from activity.wire.keys import stream_key
from activity.wire.status import ConnectionState, InstanceStatus
from tests.servers import RedisServer

#: Seconds after which the key of an owner that does not beat is gone.
TTL = 1
#: No waiting where a test is not about waiting.
AT_ONCE = DeathOptions(settle=0, reset_wait=0)
#: Waits out a reset of the registry.
PATIENT = DeathOptions(settle=0, reset_wait=60)
NAMES = {1: "binance", 2: "coinbase", 3: "kraken", 4: "okx", 5: "bitget"}


def status_of(exchange_id: int, instance: str = "", *, host: str = "host-a") -> InstanceStatus:
    now = now_timestamp()
    return InstanceStatus(
        exchangeId=exchange_id,
        exchangeName=NAMES[exchange_id],
        hostname=host,
        adminEmail="ada@example.org",
        connectionState=ConnectionState.ACTIVE,
        lastHeartbeat=now,
        lastStateChange=now,
        registeredAt=now,
        instanceId=instance or f"instance-{exchange_id}",
        pid=1,
        version="1",
        heartbeatSeconds=15,
        epoch=0,
    )


@asynccontextmanager
async def clients(url: str, count: int = 1) -> AsyncIterator[list[AsyncClient]]:
    made = [async_client(url) for _ in range(count)]
    try:
        yield made
    finally:
        for client in made:
            await client.aclose()


class Owners:
    """Instances as the worker's lease client sees them, without their processes."""

    def __init__(self, url: str) -> None:
        self._client = lease_client(url)

    async def start(self, *ids: int, ttl: int = TTL, instance: str = "", gone: str = "") -> list[InstanceStatus]:
        started = []
        for exchange_id in ids:
            status = status_of(exchange_id, instance)
            answer = await Ownership(self._client, exchange_id).claim(status, ttl_seconds=ttl, gone=gone)
            assert isinstance(answer, Claimed), answer
            started.append(status.model_copy(update={"epoch": answer.epoch}))
        return started

    async def beat(self, status: InstanceStatus, *, ttl: int = TTL) -> Any:
        return await Ownership(self._client, status.exchangeId).heartbeat(
            status.model_copy(update={"lastHeartbeat": now_timestamp()}), ttl_seconds=ttl
        )

    async def release(self, status: InstanceStatus) -> None:
        await Ownership(self._client, status.exchangeId).release(status)

    async def state(self, exchange_id: int) -> str:
        return (await Ownership(self._client, exchange_id).record()).state

    async def close(self) -> None:
        await self._client.aclose()


class Clock:
    """A watcher's clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def watcher(
    client: AsyncClient,
    *,
    options: DeathOptions = AT_ONCE,
    ids: Sequence[int] = tuple(NAMES),
    clock: Callable[[], float] = time.monotonic,
) -> DeathWatch:
    async def exchanges() -> Sequence[tuple[int, str]]:
        return [(exchange_id, NAMES[exchange_id]) for exchange_id in ids]

    return DeathWatch(client, exchanges, host="recorder-host", options=options, clock=clock)


async def watcher_of(
    client: AsyncClient, owners: Owners, living: Sequence[InstanceStatus], clock: Clock, *, ttl: int = TTL
) -> DeathWatch:
    """One that waits out a reset, and has seen all of these beat for longer than it waits."""
    watch = watcher(client, options=PATIENT, clock=clock)
    await watch.look()
    clock.now += 61
    for status in living:
        await owners.beat(status, ttl=ttl)
    await watch.look()
    return watch


def entries(redis: RedisServer, name: str) -> list[dict[str, str]]:
    with redis.client() as client:
        rows: Any = client.xrange(stream_key(name))
    return [{key.decode(): value.decode() for key, value in fields.items()} for _, fields in rows]


def written(redis: RedisServer, kind: str) -> list[dict[str, str]]:
    """All notices of one kind, in all streams."""
    return [entry for name in NAMES.values() for entry in entries(redis, name) if entry.get("kind") == kind]


async def look_until(watch: DeathWatch, condition: Callable[[], Any], *, within: float = 15.0) -> None:
    """Look on until something is so; a test that never gets there fails."""
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, "never"
        await watch.look()
        await asyncio.sleep(0.02)


def gone(redis: RedisServer, *ids: int) -> bool:
    with redis.client() as client:
        return not any(client.exists(f"exchange:{exchange_id}:status") for exchange_id in ids)
