"""A damaged key of one exchange is that exchange's trouble: the deaths of the others are written down as ever."""

import logging
from collections.abc import AsyncIterator

import pytest

from activity.wire.keys import ownership_key, status_key, stream_key
from tests.recorder.watching import NAMES, Clock, Owners, clients, entries, look_until, watcher, watcher_of, written
from tests.servers import RedisServer

#: Keys of kraken (3), which comes before okx (4) wherever exchanges are gone through.
KEYS = {"status": status_key(3), "ownership": ownership_key(3), "stream": stream_key("kraken")}
SAID = "kraken: its deaths are not written down, a key of it is damaged"


@pytest.fixture
async def owners(redis_server: RedisServer) -> AsyncIterator[Owners]:
    owners = Owners(redis_server.url)
    yield owners
    await owners.close()


def said(caplog: pytest.LogCaptureFixture, words: str) -> int:
    return sum(words in record.getMessage() for record in caplog.records)


@pytest.mark.parametrize("what", KEYS)
async def test_a_damaged_key_of_one_exchange_keeps_nobody_from_the_deaths_of_another(
    redis_server: RedisServer, owners: Owners, caplog: pytest.LogCaptureFixture, what: str
) -> None:
    await owners.start(3, 4)
    with redis_server.client() as plain:
        plain.delete(KEYS[what])
        plain.sadd(KEYS[what], "of another type")
    async with clients(redis_server.url) as (client,):
        watch = watcher(client)
        with caplog.at_level(logging.WARNING):
            await look_until(watch, lambda: entries(redis_server, "okx"))
            for _ in range(5):
                await watch.look()
    assert [entry["kind"] for entry in entries(redis_server, "okx")] == ["lost"]
    assert await owners.state(4) == "lost_logged"
    assert said(caplog, SAID) == 1


async def test_a_death_waits_for_its_damaged_stream_and_is_written_down_once_it_is_repaired(
    redis_server: RedisServer, owners: Owners, caplog: pytest.LogCaptureFixture
) -> None:
    (status,) = await owners.start(3)
    with redis_server.client() as plain:
        plain.set(stream_key("kraken"), "no stream")
        async with clients(redis_server.url) as (client,):
            watch = watcher(client)
            with caplog.at_level(logging.WARNING):
                await look_until(watch, lambda: plain.hget(ownership_key(3), "state") == b"lost_pending")
                await watch.look()
                plain.delete(stream_key("kraken"))
                for _ in range(3):
                    await watch.look()
    assert [entry["eventId"] for entry in entries(redis_server, "kraken")] == [f"lost:3:{status.epoch}"]
    assert await owners.state(3) == "lost_logged"
    assert (said(caplog, SAID), said(caplog, "kraken: its deaths are written down again")) == (1, 1)


async def test_a_stream_that_gives_out_no_ids_any_more_keeps_nobody_from_the_deaths_of_another(
    redis_server: RedisServer, owners: Owners
) -> None:
    await owners.start(3, 4)
    with redis_server.client() as plain:
        plain.xadd(stream_key("kraken"), {"event": "gossip"}, id=f"{2**64 - 1}-{2**64 - 1}")
    async with clients(redis_server.url) as (client,):
        watch = watcher(client)
        await look_until(watch, lambda: written(redis_server, "lost"))
    assert [notice["exchangeName"] for notice in written(redis_server, "lost")] == ["okx"]


async def test_an_older_writer_that_falls_silent_over_a_damaged_stream_keeps_nobody_from_the_others(
    redis_server: RedisServer, owners: Owners
) -> None:
    clock = Clock()
    with redis_server.client() as plain:
        plain.set(status_key(3), b'{"exchangeId":3}')
        plain.set(stream_key("kraken"), "no stream")
        async with clients(redis_server.url) as (client,):
            watch = watcher(client, clock=clock)
            await watch.look()
            clock.now += 61
            for _ in range(3):
                await watch.look()
            plain.set(status_key(3), b'{"exchangeId":3}', px=500)
            await watch.look()
            await owners.start(4)  # its lease ends after kraken's key has run out
            await look_until(watch, lambda: entries(redis_server, "okx"))
            assert not plain.exists(status_key(3))
    assert [entry["kind"] for entry in entries(redis_server, "okx")] == ["lost"]


async def test_a_reset_is_told_in_the_first_stream_that_takes_it(own_redis: RedisServer) -> None:
    owners, clock = Owners(own_redis.url), Clock()
    living = await owners.start(*NAMES, ttl=60)
    async with clients(own_redis.url) as (client,):
        watch = await watcher_of(client, owners, living, clock, ttl=60)
        with own_redis.client() as plain:
            plain.flushall()
            plain.set(stream_key("binance"), "no stream")  # of all names the first
            await watch.look()
            await owners.start(*NAMES, ttl=60)
            clock.now += 61
            for _ in range(4):
                await watch.look()
            plain.delete(stream_key("binance"))
    await owners.close()
    (notice,) = written(own_redis, "registry_reset")
    assert notice["exchangeName"] == "bitget"
    assert notice["exchanges"] == "binance,bitget,coinbase,kraken,okx"


async def test_a_reset_that_no_stream_takes_keeps_nobody_from_the_deaths(
    own_redis: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    owners, clock = Owners(own_redis.url), Clock()
    living = await owners.start(*NAMES, ttl=60)
    async with clients(own_redis.url) as (client,):
        watch = await watcher_of(client, owners, living, clock, ttl=60)
        with own_redis.client() as plain, caplog.at_level(logging.WARNING):
            plain.flushall()
            for name in NAMES.values():
                plain.set(stream_key(name), "no stream")
            await watch.look()
            await owners.start(1, 2, 3, 5, ttl=60)
            await owners.start(4)
            clock.now += 61
            await watch.look()
            for name in NAMES.values():
                if name != "bitget":
                    plain.delete(stream_key(name))
            await look_until(watch, lambda: entries(own_redis, "okx"))
            plain.delete(stream_key("bitget"))
    await owners.close()
    assert [notice["exchangeName"] for notice in written(own_redis, "lost")] == ["okx"]
    assert said(caplog, "the reset of the registry cannot be written down") >= 1
