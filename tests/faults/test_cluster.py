"""Faults of a Redis Cluster of six nodes, with owners, a recorder and a web process on it."""

import asyncio
import itertools
import json
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import redis
from redis.exceptions import RedisClusterException

from activity.instance.exits import ExitCode
from activity.store.client import StoreUnavailable, async_client
from activity.store.once import append_once
from activity.store.stream import START
from activity.wire.keys import status_key, stream_key
from tests.faults.owners import Owners
from tests.feed.sockets import feed_of
from tests.instance.workers import EXCHANGE, Exchange, Workers
from tests.redis_cluster import RedisCluster
from tests.waiting import eventually
from tests.web import EXCHANGES, WebServer, recorder_beside

ID = next(number for number, name in EXCHANGES.items() if name == EXCHANGE)
#: Lease 8 s, key 12 s: a failover takes about three, and a lease must outlast it.
HEARTBEAT_SECONDS = 4


class PatientExchange(Exchange):
    """What stands in the cluster, or nothing yet while a shard has no primary: `eventually` asks again."""

    @property
    def status(self) -> dict[str, Any] | None:
        try:
            return super().status
        except (redis.RedisError, RedisClusterException) as error:
            raise AssertionError(f"the cluster does not answer: {error}") from error


@pytest.fixture
def on_cluster(cluster: RedisCluster, tmp_path: Path) -> Iterator[Owners]:
    """Owners of one exchange on the cluster."""
    with tempfile.TemporaryDirectory(prefix="pw-") as folder, cluster.client() as client:
        workers = Workers(Path(folder), cluster.url)
        try:
            yield Owners(workers, PatientExchange(client, ID), tmp_path)
        finally:
            workers.end()


class Writer:
    """Appends errors one after the other, repeating each until it is acknowledged, as an instance does."""

    def __init__(self, url: str) -> None:
        self._client = async_client(url)
        #: Ids in the order in which they were acknowledged, and how often an append had to be repeated.
        self.acknowledged: list[str] = []
        self.refused = 0

    async def run(self) -> None:
        try:
            for number in itertools.count():
                fields = {"event": "error", "error": f"number {number}", "exchangeName": EXCHANGE, "hostname": "writer"}
                while True:
                    try:
                        found = await append_once(
                            self._client, EXCHANGE, fields, event_id=f"writer:{number}", after=START
                        )
                    except StoreUnavailable:
                        self.refused += 1
                        await asyncio.sleep(0.1)
                    else:
                        self.acknowledged.append(str(found))
                        break
                await asyncio.sleep(0.02)
        finally:
            await self._client.aclose()


class Watcher:
    """One viewer of the exchange's feed."""

    def __init__(self) -> None:
        self.ids: list[str] = []
        self.stores: list[bool] = []

    async def run(self, web: WebServer) -> None:
        async with feed_of(web) as feed:
            await feed.subscribe(**{EXCHANGE: "0-0"})
            while True:
                frame = json.loads(await feed.socket.recv())
                if frame["type"] == "store":
                    self.stores.append(frame["available"])
                elif frame["type"] == "entries" and frame["exchange"] == EXCHANGE:
                    self.ids += [entry["id"] for entry in frame["entries"]]
                    await feed.ack(**{EXCHANGE: self.ids[-1]})


@asynccontextmanager
async def busy(cluster: RedisCluster, web: WebServer) -> AsyncIterator[tuple[Writer, Watcher]]:
    """A writer and a viewer, for the length of a `with`."""
    writer, watcher = Writer(cluster.url), Watcher()
    tasks = [
        asyncio.create_task(writer.run(), name="writer"),
        asyncio.create_task(watcher.run(web), name="watcher"),
    ]
    try:
        yield writer, watcher
        assert not tasks[1].done(), "the socket was closed"
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks, timeout=10)


async def until(condition: Callable[[], Any], *, within: float = 30.0) -> None:
    """`eventually`, while the event loop goes on."""
    await asyncio.to_thread(eventually, condition, within=within)


def in_stream(owners: Owners) -> list[str]:
    rows: Any = owners.exchange.client.xrange(owners.exchange.stream)
    return [entry_id.decode() for entry_id, _ in rows]


def in_archive(web: WebServer) -> list[str]:
    return web.archived(EXCHANGE)


def notices(owners: Owners) -> list[str]:
    """Deaths and resets, of all exchanges."""
    client: Any = owners.exchange.client
    rows = [row for name in EXCHANGES.values() for row in client.xrange(stream_key(name))]
    return [fields[b"error"].decode() for _, fields in rows if fields.get(b"kind") in (b"lost", b"registry_reset")]


@pytest.mark.parametrize("key", [status_key(ID), stream_key(EXCHANGE)], ids=["ownership", "stream"])
async def test_a_cluster_that_loses_a_primary_goes_on_by_itself(
    cluster: RedisCluster, cluster_web: WebServer, on_cluster: Owners, key: str
) -> None:
    """Fault: kill -9 of a primary of a Redis Cluster of six nodes: of the one with a lease, of the one with a stream.

    Holds: one owner, whose epoch never falls; no death and no reset is told; every entry that was acknowledged is
    archived once and fed once; owner, recorder and feed go on by themselves.
    """
    owners, web = on_cluster, cluster_web
    with recorder_beside(web):
        first, before = await asyncio.to_thread(owners.owner, exchange_id=ID, heartbeat_seconds=HEARTBEAT_SECONDS)
        standby = await asyncio.to_thread(owners.standby, exchange_id=ID, heartbeat_seconds=HEARTBEAT_SECONDS)
        async with busy(cluster, web) as (writer, watcher):
            await until(lambda: len(writer.acknowledged) > 50 and len(watcher.ids) > 50)
            await until(lambda: len(in_archive(web)) > 50)
            victim = await asyncio.to_thread(cluster.primary_of, key)
            killed_at = len(writer.acknowledged)
            victim.kill()
            after = await asyncio.to_thread(
                owners.exchange.becomes, lambda status: status["lastHeartbeat"] > before["lastHeartbeat"], within=30
            )
            beaten = after["lastHeartbeat"]
            await until(lambda: len(writer.acknowledged) > killed_at + 100)
            after = await asyncio.to_thread(
                owners.exchange.becomes, lambda status: status["lastHeartbeat"] > beaten, within=30
            )
        assert await asyncio.to_thread(cluster.primary_of, key) is not victim
        assert after["epoch"] >= before["epoch"]
        standing = await asyncio.to_thread(in_stream, owners)
        assert set(writer.acknowledged) <= set(standing)
        assert len(writer.acknowledged) == len(set(writer.acknowledged))
        await until(lambda: set(in_archive(web)) >= set(standing))
        archived = in_archive(web)
        assert len(archived) == len(set(archived))
        fed = [one for one in watcher.ids if one in set(writer.acknowledged)]
        assert fed == writer.acknowledged[: len(fed)]
        assert len(fed) > killed_at + 50
        assert await asyncio.to_thread(notices, owners) == []
        assert await asyncio.to_thread(first.stop) == ExitCode.STOPPED
        await asyncio.to_thread(standby.says, "Registered kraken")
        await asyncio.to_thread(owners.successor_of, before)
        epochs = await asyncio.to_thread(owners.exchange.entries, "state_transition")
        told = [int(entry["epoch"]) for entry in epochs]
        assert told == sorted(told)
        owners.assert_one_at_a_time(processes=2)
