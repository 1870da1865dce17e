"""A death is written down exactly once; who lives, has signed off or has been succeeded properly is left alone."""

import asyncio
import json
import re
from collections.abc import AsyncIterator

import pytest

from activity.recorder.sightings import DeathOptions
from activity.store.watch import look
from activity.wire.clock import now_timestamp
from activity.wire.entries import read_entry
from activity.wire.keys import ownership_key, status_key, stream_key
from tests.recorder.watching import (
    Clock,
    Owners,
    clients,
    entries,
    gone,
    look_until,
    status_of,
    watcher,
    written,
)
from tests.servers import RedisServer


@pytest.fixture
async def owners(redis_server: RedisServer) -> AsyncIterator[Owners]:
    owners = Owners(redis_server.url)
    yield owners
    await owners.close()


async def test_a_dead_owner_has_one_entry_that_tells_everything(redis_server: RedisServer, owners: Owners) -> None:
    (status,) = await owners.start(3)
    async with clients(redis_server.url) as (client,):
        watch = watcher(client)
        await look_until(watch, lambda: written(redis_server, "lost"))
        for _ in range(5):
            await watch.look()
    (notice,) = entries(redis_server, "kraken")
    assert notice["event"] == "error"
    assert notice["eventId"] == f"lost:3:{status.epoch}"
    assert (notice["epoch"], notice["hostname"], notice["state"]) == (str(status.epoch), "host-a", "active")
    assert (notice["instanceId"], notice["adminEmail"]) == (status.instanceId, "ada@example.org")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", notice["lastHeartbeat"])
    assert int(notice["detectionDelayMs"]) >= 0
    for told in (notice["lastHeartbeat"], "active", "host-a", str(status.epoch), "after its lease had ended"):
        assert told in notice["error"]
    assert await owners.state(3) == "lost_logged"
    with redis_server.client() as plain:
        ((entry_id, fields),) = plain.xrange(stream_key("kraken"))
    pairs = [part for pair in fields.items() for part in pair]
    assert read_entry(entry_id, pairs).kind == "error"


async def test_sixteen_racing_watchers_write_one_notice(redis_server: RedisServer, owners: Owners) -> None:
    await owners.start(1, 3)
    async with clients(redis_server.url, 16) as many:
        watchers = [watcher(client) for client in many]
        while len(written(redis_server, "lost")) < 2:  # their leases do not end at the same moment
            await asyncio.gather(*(watch.look() for watch in watchers))
        for _ in range(3):
            await asyncio.gather(*(watch.look() for watch in watchers))
    assert [len(entries(redis_server, name)) for name in ("binance", "kraken")] == [1, 1]


async def test_who_beats_is_never_declared_dead(redis_server: RedisServer, owners: Owners) -> None:
    living = await owners.start(1, 2, 3, ttl=3)
    await owners.start(4)  # this one dies, so that something happens at all
    async with clients(redis_server.url) as (client,):
        watch = watcher(client)
        while not written(redis_server, "lost"):
            for status in living:
                await owners.beat(status, ttl=3)
            await watch.look()
    assert [notice["exchangeName"] for notice in written(redis_server, "lost")] == ["okx"]


async def test_who_has_released_is_not_dead(redis_server: RedisServer, owners: Owners) -> None:
    (status,) = await owners.start(3)
    async with clients(redis_server.url) as (client,):
        watch = watcher(client)
        await watch.look()
        await owners.release(status)
        for _ in range(5):
            await watch.look()
    assert entries(redis_server, "kraken") == []
    assert await owners.state(3) == "released"


async def test_a_death_that_a_successor_noticed_first_is_written_down_too(
    redis_server: RedisServer, owners: Owners
) -> None:
    (dead,) = await owners.start(3)
    async with clients(redis_server.url, 2) as (one, other):
        while not gone(redis_server, 3):
            await asyncio.sleep(0.05)
        (successor,) = await owners.start(3, ttl=60, instance="successor", gone=dead.instanceId)
        await asyncio.gather(*(watcher(client).look() for client in (one, other)))
        watch = watcher(one)
        await look_until(watch, lambda: written(redis_server, "lost"))
        await watch.look()
        (sight,) = await look(one, [3])
    (notice,) = entries(redis_server, "kraken")
    assert notice["eventId"] == f"lost:3:{dead.epoch}"
    assert (sight.record.unreported, sight.record.state) == ((), "held")
    assert sight.record.epoch == successor.epoch


async def test_deaths_beyond_those_that_are_kept_are_one_entry_with_their_number(
    redis_server: RedisServer, owners: Owners
) -> None:
    await owners.start(3, ttl=60)
    with redis_server.client() as plain:
        plain.hset(ownership_key(3), "lost_uncounted", 250)
        async with clients(redis_server.url, 4) as many:
            watchers = [watcher(client) for client in many]
            for _ in range(3):
                await asyncio.gather(*(watch.look() for watch in watchers))
            (notice,) = entries(redis_server, "kraken")
            plain.hincrby(ownership_key(3), "lost_uncounted", 1)
            for _ in range(3):
                await asyncio.gather(*(watch.look() for watch in watchers))
        assert not plain.hexists(ownership_key(3), "lost_uncounted")
        assert not plain.hexists(ownership_key(3), "uncounted_pending")
    assert (notice["event"], notice["kind"], notice["deaths"]) == ("error", "lost", "250")
    assert notice["error"].startswith("250 further instances of kraken died while no recorder ran.")
    assert [entry["deaths"] for entry in entries(redis_server, "kraken")] == ["250", "1"]


async def test_a_death_is_settled_for_one_interval_of_its_owner(redis_server: RedisServer, owners: Owners) -> None:
    await owners.start(3)
    async with clients(redis_server.url) as (client,):
        watch = watcher(client, options=DeathOptions(reset_wait=0))  # heartbeatSeconds of the owner: 15
        while not gone(redis_server, 3):
            await watch.look()
        for _ in range(5):
            await watch.look()
    assert written(redis_server, "lost") == []


# --- older writers: no instanceId, no epoch, no ownership hash ---


def older(registered: str = "2026-11-22T10:00:00.000Z") -> str:
    fields = status_of(3).model_dump(mode="json")
    for name in ("instanceId", "epoch", "heartbeatSeconds", "pid", "version", "mode"):
        del fields[name]
    return json.dumps({**fields, "registeredAt": registered, "lastHeartbeat": now_timestamp()})


async def test_an_older_writer_whose_key_runs_out_is_dead_once(redis_server: RedisServer) -> None:
    with redis_server.client() as plain:
        plain.set(status_key(3), older(), px=400)
    async with clients(redis_server.url, 4) as many:
        watchers = [watcher(client) for client in many]
        await asyncio.gather(*(watch.look() for watch in watchers))
        while not written(redis_server, "lost"):
            await asyncio.gather(*(watch.look() for watch in watchers))
        await asyncio.gather(*(watch.look() for watch in watchers))
    (notice,) = entries(redis_server, "kraken")
    assert notice["epoch"] == ""
    assert "older writer" in notice["error"]


async def test_an_older_writer_that_signs_off_is_not_dead(redis_server: RedisServer) -> None:
    async with clients(redis_server.url) as (client,):
        watch = watcher(client)
        with redis_server.client() as plain:
            plain.set(status_key(3), older(), ex=45)
            await watch.look()
            plain.delete(status_key(3))
        for _ in range(3):
            await watch.look()
    assert entries(redis_server, "kraken") == []


async def test_an_older_writer_that_said_stopped_is_not_dead_when_its_key_runs_out(redis_server: RedisServer) -> None:
    said = {"event": "state_transition", "timestamp": now_timestamp(), "fromState": "stopping", "toState": "stopped"}
    async with clients(redis_server.url) as (client,):
        watch = watcher(client)
        with redis_server.client() as plain:
            plain.set(status_key(3), older(), px=300)
            await watch.look()
            plain.xadd(stream_key("kraken"), said)
        while not gone(redis_server, 3):
            await watch.look()
        for _ in range(3):
            await watch.look()
    assert len(entries(redis_server, "kraken")) == 1


async def test_a_status_that_stays_without_changing_for_sixty_seconds_is_dead(redis_server: RedisServer) -> None:
    clock = Clock()
    with redis_server.client() as plain:
        plain.set(status_key(3), older())  # no TTL: it would look alive for ever
    async with clients(redis_server.url) as (client,):
        watch = watcher(client, clock=clock)
        await watch.look()
        await watch.look()
        clock.now += 59
        await watch.look()
        assert entries(redis_server, "kraken") == []
        clock.now += 2
        for _ in range(3):
            await watch.look()
    (notice,) = entries(redis_server, "kraken")
    assert "has not changed for 61 s" in notice["error"]


async def test_a_long_interval_is_not_mistaken_for_silence(redis_server: RedisServer, owners: Owners) -> None:
    clock = Clock()
    status = status_of(3).model_copy(update={"heartbeatSeconds": 60, "epoch": 5})
    with redis_server.client() as plain:
        plain.set(status_key(3), status.model_dump_json(), ex=180)
    async with clients(redis_server.url) as (client,):
        watch = watcher(client, clock=clock)
        await watch.look()
        clock.now += 120
        await watch.look()
        await watch.look()
    assert entries(redis_server, "kraken") == []


async def test_a_watcher_goes_on_after_redis_was_away(own_redis: RedisServer) -> None:
    owners = Owners(own_redis.url)
    async with clients(own_redis.url) as (client,):
        task = asyncio.create_task(watcher(client, options=DeathOptions(period=0.05, settle=0, reset_wait=0)).run())
        own_redis.stop()
        await asyncio.sleep(0.2)
        own_redis.start()
        await owners.start(3)
        while not written(own_redis, "lost"):
            assert not task.done()
            await asyncio.sleep(0.05)
        task.cancel()
        await asyncio.wait({task})
    await owners.close()
    assert len(entries(own_redis, "kraken")) == 1
