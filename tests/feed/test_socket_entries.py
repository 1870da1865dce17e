"""Every entry, in order, exactly once: what a socket gets, and what it gets after it was away."""

import asyncio

import pytest

from tests.feed.sockets import feed_of, write_entries
from tests.feed.test_socket_status import payload
from tests.servers import RedisServer
from tests.web import WebServer

pytestmark = pytest.mark.asyncio


async def test_entries_arrive_in_order_and_those_that_come_together_travel_together(
    web: WebServer, redis_server: RedisServer
) -> None:
    async with feed_of(web, "/ws/exchanges/kraken/") as client:
        await client.subscribe()
        await client.next("status")
        written = write_entries(redis_server, "kraken", 300)
        found = await client.entries(300)
    assert [entry["id"] for entry in found] == written
    assert found[7]["error"].startswith("number 7 ")
    assert len([frame for frame in client.frames if frame["type"] == "entries"]) < 100


async def test_an_exchange_left_out_starts_at_its_newest_entries(web: WebServer, redis_server: RedisServer) -> None:
    write_entries(redis_server, "kraken", 5)
    async with feed_of(web) as client:
        await client.subscribe()
        await client.next("status")
        written = write_entries(redis_server, "kraken", 1, first=5)
        assert [entry["id"] for entry in await client.entries(1)] == written


async def test_a_client_that_comes_back_gets_what_it_missed_once(web: WebServer, redis_server: RedisServer) -> None:
    first = write_entries(redis_server, "kraken", 10)
    write_entries(redis_server, "binance", 3)
    async with feed_of(web) as client:
        await client.subscribe(kraken=first[3], binance="0-0")
        entries = [await client.next("entries"), await client.next("entries")]
        by_exchange = {frame["exchange"]: [entry["id"] for entry in frame["entries"]] for frame in entries}
    assert by_exchange["kraken"] == first[4:]
    assert len(by_exchange["binance"]) == 3
    missed = write_entries(redis_server, "kraken", 4, first=10)
    async with feed_of(web) as client:
        await client.subscribe(kraken=first[-1])
        assert [entry["id"] for entry in await client.entries(4)] == missed


async def test_a_client_behind_the_ring_reads_on_from_redis(web: WebServer, redis_server: RedisServer) -> None:
    written = write_entries(redis_server, "kraken", 3000)
    async with feed_of(web, "/ws/exchanges/kraken/") as watcher:
        await watcher.subscribe()
        await watcher.next("status")
        async with feed_of(web, "/ws/exchanges/kraken/") as client:
            await client.subscribe(kraken=written[0])
            await client.next("entries")
            late = write_entries(redis_server, "kraken", 500, first=3000)
            expected = [*written[1:], *late]
            had = [entry for frame in client.frames if frame["type"] == "entries" for entry in frame["entries"]]
            await client.ack(kraken=had[-1]["id"])
            found = had + await client.entries(len(expected) - len(had))
    assert [entry["id"] for entry in found] == expected


async def test_trimmed_entries_are_said_and_never_papered_over(web: WebServer, redis_server: RedisServer) -> None:
    written = write_entries(redis_server, "kraken", 10)
    with redis_server.client() as redis:
        redis.xtrim("logs:network:kraken", maxlen=4, approximate=False)
    async with feed_of(web) as client:
        await client.subscribe(kraken=written[2])
        gap = await client.next("gap")
        assert gap == {"type": "gap", "exchange": "kraken", "after": written[2], "first": written[6]}
        assert [entry["id"] for entry in await client.entries(4)] == written[6:]


async def test_the_newest_entry_gone_is_no_gap(web: WebServer, redis_server: RedisServer) -> None:
    written = write_entries(redis_server, "kraken", 3)
    with redis_server.client() as redis:
        redis.xtrim("logs:network:kraken", maxlen=0, approximate=False)
    async with feed_of(web) as client:
        await client.subscribe(kraken=written[-1])
        await client.next("status")
        later = write_entries(redis_server, "kraken", 1, first=3)
        assert [entry["id"] for entry in await client.entries(1)] == later
    assert not [frame for frame in client.frames if frame["type"] == "gap"]


async def test_a_stream_that_was_recreated_is_said_and_read_from_its_start(
    web: WebServer, redis_server: RedisServer
) -> None:
    async with feed_of(web, "/ws/exchanges/kraken/") as client:
        old = write_entries(redis_server, "kraken", 2)
        await client.subscribe(kraken=old[1])
        await client.next("status")
        with redis_server.client() as redis:
            redis.delete("logs:network:kraken")
            redis.xadd("logs:network:kraken", {"event": "error", "error": "new life"}, id="5-1")
        assert (await client.next("gap"))["after"] == old[1]
        assert [entry["id"] for entry in await client.entries(1)] == ["5-1"]
    async with feed_of(web, "/ws/exchanges/kraken/") as client:
        await client.subscribe(kraken=old[1])
        assert await client.next("gap") == {"type": "gap", "exchange": "kraken", "after": old[1], "first": "5-1"}


async def test_unacknowledged_bytes_are_bounded_and_the_feed_goes_on_from_the_cursor(
    web: WebServer, redis_server: RedisServer
) -> None:
    async with feed_of(web, "/ws/exchanges/kraken/") as client:
        await client.subscribe()
        await client.next("status")
        written = write_entries(redis_server, "kraken", 600, size=1000)
        await client.next("entries")
        for symbols in range(3):  # what else there is to say goes on
            with redis_server.client() as redis:
                redis.set("exchange:3:status", payload(symbolCount=symbols), ex=45)
            while ((await client.next("status"))["status"] or {}).get("symbolCount") != symbols:
                pass
        told = [entry for frame in client.frames if frame["type"] == "entries" for entry in frame["entries"]]
        taken = [entry["id"] for entry in told]
        assert len(taken) < 600
        assert sum(len(str(entry)) for entry in told) < 400 * 1024
        await client.ack(kraken=taken[-1])
        taken += [entry["id"] for entry in await client.entries(600 - len(taken))]
    assert taken == written


async def test_whatever_stands_in_a_stream_reaches_the_client(web: WebServer, redis_server: RedisServer) -> None:
    async with feed_of(web, "/ws/exchanges/kraken/") as client:
        await client.subscribe()
        await client.next("status")
        with redis_server.client() as redis:
            key = "logs:network:kraken"
            redis.xadd(key, {"event": "error", "error": b"\xff\xfe<script>\x00\x1b"})
            redis.xadd(key, {"event": "brewed_coffee", "cups": "2"})
            redis.xadd(key, {"nothing": "known"})
            redis.execute_command("XADD", key, "*", "a", "1", "a", "2", "id", "mine")
            redis.xadd(key, {"event": "error", "error": "y" * 70_000})
        found = await client.entries(5)
    assert found[0]["error"] == "\ufffd\ufffd<script>\x00\x1b"
    assert found[1]["cups"] == "2"
    assert found[2]["nothing"] == "known"
    assert {name: found[3][name] for name in ("a", "a#2", "field:id")} == {"a": "1", "a#2": "2", "field:id": "mine"}
    assert len(found[4]["error"]) == 70_000


async def test_a_redis_that_goes_away_is_said_and_costs_no_entry(own_web: WebServer, own_redis: RedisServer) -> None:
    async with feed_of(own_web, "/ws/exchanges/kraken/") as client:
        await client.subscribe()
        await client.next("status")
        before = write_entries(own_redis, "kraken", 3)
        found = await client.entries(3)
        await asyncio.to_thread(own_redis.stop)
        while (await client.next("store"))["available"]:
            pass  # said at first, and while it is quiet
        await asyncio.to_thread(own_redis.start)
        after = write_entries(own_redis, "kraken", 3, first=3)
        found += await client.entries(3)
        assert [entry["id"] for entry in found] == before + after
    told = [frame["available"] for frame in client.frames if frame["type"] == "store"]
    assert [one for one, last in zip(told, [None, *told], strict=False) if one != last] == [True, False, True]


async def test_a_restart_of_the_web_process_is_said_with_1012(own_web: WebServer, own_redis: RedisServer) -> None:
    written = write_entries(own_redis, "kraken", 3)
    async with feed_of(own_web) as client:
        await client.subscribe(kraken=written[0])
        shown = await client.entries(2)
        stopping = asyncio.create_task(asyncio.to_thread(own_web.stop))
        assert (await client.closed())[0] == 1012, own_web.log.read_text()
        await stopping
    missed = write_entries(own_redis, "kraken", 2, first=3)
    await asyncio.to_thread(own_web.start)
    async with feed_of(own_web) as client:
        await client.subscribe(kraken=shown[-1]["id"])
        assert [entry["id"] for entry in await client.entries(2)] == missed
