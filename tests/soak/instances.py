"""Instances by the thousand, in one process: ``python -m tests.soak.instances REDIS_URL JOURNAL SEED PAUSE ID=NAME …``.

Each is the product's own registry, lifecycle, logger and heartbeat, without a process and a program of its own. It
starts, fails or not, and stops in order or is killed anywhere. The journal, one JSON array per line, tells what each
instance began, and what it was told to be written; SIGTERM lets all of them stop in order.
"""

import asyncio
import random
import signal
import sys
import uuid
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import orjson
import redis

from activity.instance.heartbeat import beat
from activity.instance.host import boottime
from activity.instance.lifecycle import Lifecycle
from activity.instance.logger import ActivityLogger
from activity.instance.options import WorkerConfig
from activity.instance.redaction import redact
from activity.instance.registry import Registry
from activity.instance.words import fresh_status
from activity.store.client import AsyncClient, StoreUnavailable, async_client, lease_client
from activity.store.ownership import Busy, Claimed, Ownership
from activity.wire.keys import stream_key
from activity.wire.status import ConnectionState, read_status, ttl_seconds

HEARTBEAT_SECONDS = 3
#: Seconds that entries may take to be written when an instance stops; Redis is killed and started within them.
FLUSH_SECONDS = 20.0
_TEXTS = ("order refused", "late\nby two lines", "zero \0 inside", "größer als 😀", "x" * 3000, "=1+1", "")


class Place:
    """One exchange on its host, which knows that what it has killed is gone."""

    def __init__(
        self, url: str, journal: IO[bytes], chance: random.Random, exchange_id: int, name: str, pause: float
    ) -> None:
        self._config = WorkerConfig(exchange_id, name, url, f"host-{exchange_id}", HEARTBEAT_SECONDS)
        self._lease: AsyncClient = lease_client(url)
        self._stream: AsyncClient = async_client(url)
        self._journal = journal
        self._chance = chance
        self._pause = pause
        self._previous = ""
        self.stop = asyncio.Event()

    def _note(self, *words: object) -> None:
        self._journal.write(orjson.dumps(words) + b"\n")  # unbuffered: it outlives a SIGKILL of this process

    async def live(self) -> None:
        """One instance after the other."""
        while not self.stop.is_set():
            await self._instance()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._chance.expovariate(1 / self._pause)):
                    await self.stop.wait()
        await self._lease.aclose()
        await self._stream.aclose()

    async def _claim(self, registry: Registry) -> None:
        ownership = Ownership(self._lease, self._config.exchange_id)
        replace: bytes | None = None
        while True:
            sent_at = boottime()
            try:
                answer = await ownership.claim(
                    registry.status,
                    ttl_seconds=ttl_seconds(HEARTBEAT_SECONDS),
                    replace=replace,
                    gone=self._previous,
                )
            except StoreUnavailable:
                await asyncio.sleep(0.05)
                continue
            if isinstance(answer, Claimed):
                registry.claimed(answer, sent_at)
                return
            if isinstance(answer, Busy):  # the one that was killed, or this one where the reply was lost
                replace = answer.holder
                held = read_status(answer.holder).status
                self._previous = (held and held.instanceId) or ""
            else:
                await asyncio.sleep(0.05)

    async def _instance(self) -> None:
        registry = Registry(
            Ownership(self._lease, self._config.exchange_id), fresh_status(self._config, uuid.uuid4().hex)
        )
        await self._claim(registry)
        instance, epoch = registry.status.instanceId, registry.status.epoch
        self._note("began", self._config.exchange_name, instance, epoch)
        logger = ActivityLogger(self._stream, registry)
        lifecycle = Lifecycle(registry, logger)
        tasks = [
            asyncio.create_task(logger.run(), name="logger"),
            asyncio.create_task(beat(registry, HEARTBEAT_SECONDS), name="heartbeat"),
        ]
        texts: list[str] = []
        killed = self._chance.random() < 0.3 and not self.stop.is_set()
        try:
            await self._work(lifecycle, logger, texts, killed=killed)
            if not killed and await logger.flush(FLUSH_SECONDS) == 0:
                await registry.release()
                self._note("released", self._config.exchange_name, instance, epoch, texts)
        except StoreUnavailable:
            killed = True  # it cannot give the exchange back now: whoever comes next finds it dead
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
        self._previous = instance

    async def _work(self, lifecycle: Lifecycle, logger: ActivityLogger, texts: list[str], *, killed: bool) -> None:
        states = [ConnectionState.STARTING, ConnectionState.WARMING, ConnectionState.ACTIVE]
        steps: list[ConnectionState | str] = [
            *states,
            *(self._chance.choice(_TEXTS) for _ in range(self._chance.randrange(6))),
            ConnectionState.STOPPING,
            ConnectionState.STOPPED,
        ]
        if killed:
            del steps[self._chance.randrange(1, len(steps)) :]
        for step in steps:
            if isinstance(step, ConnectionState):
                texts.append(step)
                await lifecycle.to(step)
            else:
                texts.append(redact(step))  # what is said to be written
                await logger.record_error(step)
        if killed:
            await asyncio.sleep(self._chance.random() * 0.01)  # anywhere in its writing


async def strangers(url: str, chance: random.Random, names: list[str], pause: float, stop: asyncio.Event) -> None:
    """Somebody else, who writes what no schema knows."""
    client = async_client(url)
    appending: Any = client.execute_command  # any bytes, which the typed `xadd` does not take
    while not stop.is_set():
        pairs = [chance.randbytes(chance.randrange(12)) for _ in range(2 * chance.randrange(1, 5))]
        with suppress(redis.RedisError, OSError):  # written or not: Redis' own file tells
            await appending("XADD", stream_key(chance.choice(names)), "*", *pairs)
        await asyncio.sleep(pause)
    await client.aclose()


async def run(url: str, journal: IO[bytes], chance: random.Random, pause: float, exchanges: dict[int, str]) -> None:
    """Until SIGTERM, and then until the last instance has stopped."""
    places = [Place(url, journal, random.Random(chance.random()), i, name, pause) for i, name in exchanges.items()]
    over = asyncio.Event()

    def end() -> None:
        over.set()
        for place in places:
            place.stop.set()

    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, end)
    async with asyncio.TaskGroup() as group:
        for place in places:
            group.create_task(place.live())
        group.create_task(strangers(url, chance, list(exchanges.values()), pause / 4, over))


def main(url: str, journal: str, seed: str, pause: str, *exchanges: str) -> None:
    named = {int(number): name for number, _, name in (exchange.partition("=") for exchange in exchanges)}
    with Path(journal).open("ab", buffering=0) as file:
        asyncio.run(run(url, file, random.Random(seed), float(pause), named))


if __name__ == "__main__":
    main(*sys.argv[1:])
