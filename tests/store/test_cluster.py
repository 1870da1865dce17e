"""A Redis Cluster is a store like any other: every key of a network on whichever node it falls."""

import asyncio
from collections.abc import Iterator

import pytest
import redis
from pydantic import ValidationError

from activity.store.client import (
    StoreUnavailable,
    async_client,
    blocking_client,
    lease_client,
    name_of,
    require_redis,
    sync_client,
)
from activity.store.history import read_newest_ids, read_raw_statuses
from activity.store.once import append_once
from activity.store.ownership import read_ownership, read_ownership_now
from activity.store.reading import read_on, wait_beyond
from activity.store.stream import START, append, last_generated_id, wait_for_entries
from activity.store.watch import look, read_servers
from activity.wire.keys import reset_key, status_key
from perseus_admin.config import Settings
from tests.redis_cluster import RedisCluster
from tests.servers import RedisServer, free_port, running_redis
from tests.store.test_cancelling import ASKING, Asking, cancel_after

NAMES = [f"exchange-{number}" for number in range(1, 13)]


async def test_streams_are_read_as_from_one_server(cluster: RedisCluster) -> None:
    client, blocking = async_client(cluster.url), blocking_client(cluster.url)
    try:
        for name in NAMES:  # on all three shards
            waiting = asyncio.create_task(wait_for_entries(blocking, name, START, 10), name="a reader")
            first = await append(client, name, {"event": "error", "error": "one"})
            assert [entry.id for entry in await waiting] == [first]
            second = await append_once(client, name, {"event": "error"}, event_id=f"x:{name}", after=first)
            assert await append_once(client, name, {"event": "error"}, event_id=f"x:{name}", after=first) == second
            reading = await read_on(client, name, first, 10)
            assert (reading.fate, reading.last, reading.first, reading.length) == ("whole", second, first, 2)
            assert reading.entries[0].pairs == [b"event", b"error", b"eventId", f"x:{name}".encode()]
            assert await last_generated_id(client, name) == reading.newest == second
            assert await wait_beyond(blocking, name, first)
        nothing = await read_on(client, "never-written", START, 10)
        assert (nothing.fate, nothing.entries, nothing.newest, nothing.length) == ("whole", [], START, 0)
        with sync_client(cluster.url) as pages:
            newest = read_newest_ids(pages, [*NAMES, "never-written"])
        assert newest["never-written"] == "0-0"
        assert "0-0" not in [newest[name] for name in NAMES]
    finally:
        await client.aclose()
        await blocking.aclose()


async def test_many_keys_are_read_in_order_whatever_node_they_are_on(cluster: RedisCluster) -> None:
    ids = list(range(101, 131))
    client = async_client(cluster.url)
    try:
        with cluster.client() as plain:
            for exchange_id in ids:
                plain.set(status_key(exchange_id), f"{exchange_id}", px=60_000)
            plain.delete(status_key(ids[3]))
            plain.rpush(status_key(ids[3]), "no string")
        with sync_client(cluster.url) as pages:
            found = read_raw_statuses(pages, ids)
            assert [raw.value for raw in found] == [b"" if i == ids[3] else str(i).encode() for i in ids]
            assert "WRONGTYPE" in found[3].problem
            assert [one.exchange_id for one in read_ownership_now(pages, ids)] == ids
        assert [one.exchange_id for one in await read_ownership(client, ids)] == ids
        others = [i for i in ids if i != ids[3]]
        assert [sight.value for sight in await look(client, others)] == [str(i).encode() for i in others]
        servers = await read_servers(client, ids)
        assert list(servers) == ids
        assert len({server.run_id for server in servers.values()}) == 3
    finally:
        await client.aclose()


@pytest.mark.parametrize("asking", ASKING.values(), ids=ASKING.keys())
async def test_a_cancellation_is_never_lost_on_a_cluster(cluster: RedisCluster, asking: Asking) -> None:
    client = blocking_client(cluster.url)
    try:
        await append(client, "kraken", {"event": "error"})
        for turns in range(0, 120, 4):
            await cancel_after(client, asking, turns)
    finally:
        await client.aclose()


async def test_a_lease_call_never_takes_longer_than_its_limit(cluster: RedisCluster) -> None:
    client = lease_client(cluster.url)
    node = cluster.primary_of(reset_key("x"))
    try:
        await client.get(reset_key("x"))
        with node.client() as plain:
            plain.client_pause(4000)
        loop = asyncio.get_running_loop()
        began = loop.time()
        with pytest.raises((redis.TimeoutError, TimeoutError)):
            await client.get(reset_key("x"))
        assert loop.time() - began < 4.5
    finally:
        with node.client() as plain:
            plain.client_unpause()
        await client.aclose()


def test_the_kind_of_redis_must_be_the_one_that_the_url_says(cluster: RedisCluster) -> None:
    with sync_client(cluster.url) as client:
        assert require_redis(client).startswith("7.")
    one_node = f"redis://127.0.0.1:{cluster.nodes[0].port}"
    with (
        sync_client(one_node) as client,
        pytest.raises(StoreUnavailable, match=r"node of a Redis Cluster: name it in REDIS_URL as redis\+cluster://"),
    ):
        require_redis(client)


@pytest.fixture
def redis_on_tcp() -> Iterator[RedisServer]:
    with running_redis(port=free_port()) as server:
        yield server


def test_one_redis_that_is_named_as_a_cluster_is_refused(redis_on_tcp: RedisServer) -> None:
    with (
        sync_client(f"redis+cluster://127.0.0.1:{redis_on_tcp.port}") as client,
        pytest.raises(StoreUnavailable, match="one Redis and no cluster: name it in REDIS_URL as redis://"),
    ):
        require_redis(client)


def test_a_cluster_that_is_away_is_told_so_and_asked_again() -> None:
    with sync_client("redis+cluster://127.0.0.1:1,127.0.0.1:2") as client:
        for _ in range(2):
            with pytest.raises(StoreUnavailable, match="Redis Cluster"):
                read_newest_ids(client, ["kraken"])


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("redis+cluster://user:secret@", "needs nodes"),
        ("redis+cluster://user:secret@a:1,b:x", "no host:port"),
        ("rediss+cluster://user:secret@a:1/2", "no database other than 0"),
        ("redis+cluster://user:secret@a:1?ssl=no", "no parameters"),
        ("redis+sentinel://user:secret@a:1", "unknown scheme"),
    ],
)
def test_a_url_that_names_no_cluster_is_refused_without_its_password(url: str, problem: str) -> None:
    with pytest.raises(ValidationError, match=problem) as refused:
        Settings(REDIS_URL=url, _env_file=None)
    assert "secret" not in refused.value.errors()[0]["msg"]


def test_a_cluster_is_named_without_its_password() -> None:
    assert (
        name_of("rediss+cluster://ann:secret@a.example:7000,[::1]:7001") == "rediss+cluster://a.example:7000,[::1]:7001"
    )
