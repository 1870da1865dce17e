"""What takes everybody's registration at once is told once; who comes back was never dead, who does not is."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.recorder.watching import (
    NAMES,
    PATIENT,
    Clock,
    Owners,
    clients,
    entries,
    gone,
    look_until,
    watcher,
    watcher_of,
    written,
)
from tests.servers import RedisServer

#: As in life, but the clock of the watcher is moved by the test.


@pytest.fixture
async def owners(own_redis: RedisServer) -> AsyncIterator[Owners]:
    owners = Owners(own_redis.url)
    yield owners
    await owners.close()


async def test_a_restart_of_redis_kills_nobody_who_comes_back(own_redis: RedisServer, owners: Owners) -> None:
    clock = Clock()
    living = await owners.start(*NAMES)
    async with clients(own_redis.url) as (client,):
        watch = await watcher_of(client, owners, living, clock)
        own_redis.stop()
        await asyncio.sleep(1.1)  # longer than any of the keys lives
        own_redis.start()
        assert gone(own_redis, *NAMES)
        await watch.look()
        for status in living:
            await owners.start(status.exchangeId, ttl=60)  # MISSING, so they claim anew
        clock.now += 61
        for _ in range(3):
            await watch.look()
    assert written(own_redis, "lost") == []
    (notice,) = written(own_redis, "registry_reset")
    assert "Redis was restarted" in notice["error"]
    assert notice["exchanges"] == "binance,bitget,coinbase,kraken,okx"
    assert "Not back, each written down in its own stream: none" in notice["error"]
    assert (notice["state"], notice["exchangeName"]) == ("", "binance")


async def test_who_does_not_come_back_after_a_restart_is_dead(own_redis: RedisServer, owners: Owners) -> None:
    clock = Clock()
    living = await owners.start(*NAMES)
    async with clients(own_redis.url) as (client,):
        watch = await watcher_of(client, owners, living, clock)
        own_redis.stop()
        await asyncio.sleep(1.1)
        own_redis.start()
        await watch.look()
        await owners.start(1, 2, 4, 5, ttl=60)
        clock.now += 59
        await watch.look()
        assert written(own_redis, "lost") == written(own_redis, "registry_reset") == []
        clock.now += 2
        for _ in range(3):
            await watch.look()
    (notice,) = written(own_redis, "registry_reset")
    assert "Not back, each written down in its own stream: kraken." in notice["error"]
    (lost,) = written(own_redis, "lost")
    assert lost["exchangeName"] == "kraken"


async def test_an_emptied_redis_is_one_reset_and_no_deaths(own_redis: RedisServer, owners: Owners) -> None:
    clock = Clock()
    living = await owners.start(*NAMES, ttl=60)
    async with clients(own_redis.url) as (client,):
        watch = await watcher_of(client, owners, living, clock, ttl=60)
        with own_redis.client() as plain:
            plain.flushall()
        await watch.look()
        for status in living:
            await owners.start(status.exchangeId, ttl=60)
        clock.now += 61
        for _ in range(3):
            await watch.look()
    assert written(own_redis, "lost") == []
    (notice,) = written(own_redis, "registry_reset")
    assert "5 instances vanished at once" in notice["error"]


async def test_owners_that_lose_their_data_and_never_come_back_are_dead(own_redis: RedisServer, owners: Owners) -> None:
    clock = Clock()
    (status, *_) = await owners.start(3, ttl=60)
    async with clients(own_redis.url, 3) as many:
        watchers = [watcher(client, options=PATIENT, clock=clock) for client in many]
        await asyncio.gather(*(watch.look() for watch in watchers))
        with own_redis.client() as plain:
            plain.flushall()
        clock.now += 61
        for _ in range(3):
            await asyncio.gather(*(watch.look() for watch in watchers))
    (lost,) = written(own_redis, "lost")
    assert lost["eventId"] == f"lost:3:{status.epoch}"
    assert written(own_redis, "registry_reset") == []  # one of one is no mass


async def test_sixteen_watchers_tell_of_one_reset(own_redis: RedisServer, owners: Owners) -> None:
    clock = Clock()
    await owners.start(*NAMES)
    async with clients(own_redis.url, 16) as many:
        watchers = [watcher(client, options=PATIENT, clock=clock) for client in many]
        for turn in range(4):
            await asyncio.gather(*(watch.look() for watch in watchers))
            if turn == 0:
                while not gone(own_redis, *NAMES):
                    await asyncio.sleep(0.05)
            clock.now += 61
        for _ in range(2):
            await asyncio.gather(*(watch.look() for watch in watchers))
    assert len(written(own_redis, "registry_reset")) == 1
    assert sorted(notice["exchangeName"] for notice in written(own_redis, "lost")) == sorted(NAMES.values())


async def test_a_watcher_that_was_cut_off_waits_before_it_judges(own_redis: RedisServer, owners: Owners) -> None:
    clock = Clock()
    (status,) = await owners.start(3, ttl=60)
    async with clients(own_redis.url) as (client,):
        watch = watcher(client, options=PATIENT, clock=clock)
        await watch.look()
        clock.now += 61
        await owners.beat(status)
        await watch.look()
        watch._away = True  # as run() notes it when Redis did not answer
        while not gone(own_redis, 3):
            await asyncio.sleep(0.05)
        for _ in range(3):
            await watch.look()
        assert entries(own_redis, "kraken") == []
        clock.now += 61
        for _ in range(3):
            await watch.look()
    assert [notice["kind"] for notice in entries(own_redis, "kraken")] == ["lost"]


async def test_two_of_five_that_vanish_are_two_deaths_and_no_reset(own_redis: RedisServer, owners: Owners) -> None:
    await owners.start(1, 2, 3, ttl=60)
    await owners.start(4, 5)
    async with clients(own_redis.url) as (client,):
        watch = watcher(client)
        await look_until(watch, lambda: len(written(own_redis, "lost")) == 2)
        await watch.look()
    assert written(own_redis, "registry_reset") == []
