"""What is done to Redis and to the way there: black holes, resets, pauses, kills, restarts, everything forgotten."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import pytest
import redis

from activity.instance.exits import ExitCode
from activity.store.client import AsyncClient, lease_client
from activity.store.ownership import Claimed, Lost, Ownership, Taken
from tests.faults.owners import Owners
from tests.instance.workers import EXCHANGE_ID, Exchange
from tests.proxy import Proxy, proxy_before
from tests.servers import RedisServer, running_redis
from tests.store.test_ownership import status_of
from tests.waiting import eventually


@contextmanager
def owners_on(owners: Owners, server: RedisServer) -> Iterator[Owners]:
    """The same owners on a Redis of their own."""
    owners.workers.redis_url = server.url
    with server.client() as client:
        owners.exchange = Exchange(client)
        yield owners


@contextmanager
def owner_behind(owners: Owners, proxy: Proxy) -> Iterator[None]:
    """Workers that are started here reach Redis through the proxy."""
    direct, owners.workers.redis_url = owners.workers.redis_url, proxy.url
    try:
        yield
    finally:
        owners.workers.redis_url = direct


def test_an_owner_in_a_black_hole_is_fenced_before_anybody_else_starts(
    owners: Owners, redis_server: RedisServer
) -> None:
    """Fault: the owner's connections swallow everything, and deliver it late.

    Holds: its program is dead before its successor's starts; what arrives late renews nothing.
    """
    with proxy_before(redis_server.socket) as proxy:
        with owner_behind(owners, proxy):
            first, before = owners.owner()
        owners.standby()
        proxy.black_hole()
        after = owners.successor_of(before)
        proxy.pass_again()
        assert first.wait() == ExitCode.OWNERSHIP_LOST
        assert (owners.exchange.status or {})["epoch"] == after["epoch"]
        owners.assert_one_at_a_time(processes=2)


def test_heartbeats_whose_replies_are_reset_cost_nothing(owners: Owners, redis_server: RedisServer) -> None:
    """Fault: the connection is reset after the heartbeat has reached Redis, three times.

    Holds: same epoch, same program, no second owner.
    """
    with proxy_before(redis_server.socket) as proxy:
        with owner_behind(owners, proxy):
            first, before = owners.owner(heartbeat_seconds=3)
        proxy.lose_replies(b"Write the full payload and bring the TTL back", 3)
        eventually(lambda: proxy.lost == 3)
        first.says("The heartbeat is back after 3 failures")
        assert (owners.exchange.status or {})["epoch"] == before["epoch"]
        assert first.stop() == ExitCode.STOPPED
        owners.assert_one_at_a_time(processes=1)


def test_a_short_pause_of_writes_ends_nothing(owners: Owners) -> None:
    """Fault: CLIENT PAUSE WRITE for less than the lease.

    Holds: same epoch, same program.
    """
    first, before = owners.owner()
    owners.exchange.client.client_pause(2000, all=False)
    seen = (owners.exchange.status or before)["lastHeartbeat"]
    after = owners.exchange.becomes(lambda status: status["lastHeartbeat"] > seen)
    assert after["epoch"] == before["epoch"]
    assert first.stop() == ExitCode.STOPPED
    owners.assert_one_at_a_time(processes=1)


def test_a_pause_of_writes_beyond_the_lease_fences_the_owner(owners: Owners) -> None:
    """Fault: CLIENT PAUSE WRITE for longer than the TTL.

    Holds: the owner's program is dead before its successor's starts, and the fenced epoch is not renewed by calls
    that Redis had held back.
    """
    first, before = owners.owner()
    owners.standby()
    owners.exchange.client.client_pause(9000, all=False)
    first.says("Fenced: no heartbeat has succeeded")
    after = owners.successor_of(before, within=30)
    assert first.wait() == ExitCode.OWNERSHIP_LOST
    assert (owners.exchange.status or {})["epoch"] == after["epoch"]
    owners.assert_one_at_a_time(processes=2)


def test_killed_connections_are_opened_again(owners: Owners) -> None:
    """Fault: CLIENT KILL of all connections, ten times in a row.

    Holds: same epoch, same program, entries once each.
    """
    first, before = owners.owner(heartbeat_seconds=3)
    for _ in range(10):
        owners.exchange.client.client_kill_filter(_type="normal", skipme=True)
    seen = (owners.exchange.status or before)["lastHeartbeat"]
    after = owners.exchange.becomes(lambda status: status["lastHeartbeat"] > seen)
    assert after["epoch"] == before["epoch"]
    assert first.stop() == ExitCode.STOPPED
    events = [entry["eventId"] for entry in owners.exchange.entries()]
    assert len(events) == len(set(events)) == 5
    owners.assert_one_at_a_time(processes=1)


@pytest.fixture
def frail_redis() -> Iterator[RedisServer]:
    """A Redis of the test's own, without AOF, that allows DEBUG."""
    with running_redis(options=("--enable-debug-command", "yes")) as server:
        yield server


def test_a_redis_that_stands_still_beyond_the_lease_fences_the_owner(owners: Owners, frail_redis: RedisServer) -> None:
    """Fault: DEBUG SLEEP for longer than the TTL.

    Holds: the owner's program is dead before its successor's starts.
    """
    with owners_on(owners, frail_redis):
        first, before = owners.owner()
        standby = owners.standby()
        with redis.Redis(unix_socket_path=str(frail_redis.socket), socket_timeout=30) as client:
            client.execute_command("DEBUG", "SLEEP", "8")
        assert first.wait() == ExitCode.OWNERSHIP_LOST
        after = owners.successor_of(before)
        standby.says("Registered kraken")
        assert after["instanceId"] != before["instanceId"]
        owners.assert_one_at_a_time(processes=2)


def test_a_redis_with_aof_that_is_killed_keeps_the_owner(owners: Owners) -> None:
    """Fault: kill -9 of Redis with AOF, started again within the lease.

    Holds: same epoch, same program.
    """
    with (
        running_redis(options=("--appendonly", "yes", "--appendfsync", "always")) as server,
        owners_on(owners, server),
    ):
        first, before = owners.owner(heartbeat_seconds=4)
        server.stop()
        server.start()
        seen = (owners.exchange.status or before)["lastHeartbeat"]
        after = owners.exchange.becomes(lambda status: status["lastHeartbeat"] > seen)
        assert after["epoch"] == before["epoch"]
        assert first.stop() == ExitCode.STOPPED
        owners.assert_one_at_a_time(processes=1)


def test_a_redis_without_aof_that_is_killed_loses_no_order(owners: Owners, frail_redis: RedisServer) -> None:
    """Fault: kill -9 of Redis without AOF, with a standby waiting.

    Holds: the owner stops its program and goes on under a higher epoch; the standby, which remembers the owner's
    time, does not start meanwhile.
    """
    with owners_on(owners, frail_redis):
        first, before = owners.owner()
        standby = owners.standby()
        frail_redis.stop()
        frail_redis.start()
        after = owners.successor_of(before)
        assert after["instanceId"] == before["instanceId"]
        assert "Registered" not in standby.output
        assert first.stop() == ExitCode.STOPPED
        owners.successor_of(after)
        owners.assert_one_at_a_time(processes=3)


def test_a_registry_that_is_flushed_loses_no_order(owners: Owners) -> None:
    """Fault: FLUSHALL, with a standby waiting.

    Holds: the owner stops its program and goes on under a higher epoch though the old one is forgotten; the standby
    does not start meanwhile.
    """
    first, before = owners.owner()
    standby = owners.standby()
    owners.exchange.client.flushall()
    after = owners.successor_of(before)
    assert after["instanceId"] == before["instanceId"]
    assert "Registered" not in standby.output
    assert first.stop() == ExitCode.STOPPED
    owners.successor_of(after)
    owners.assert_one_at_a_time(processes=3)


@pytest.fixture
async def clients(every_redis: RedisServer) -> AsyncIterator[list[AsyncClient]]:
    """60 clients, each with its own connection, on every Redis that we promise to run on."""
    opened = [lease_client(every_redis.url) for _ in range(60)]
    yield opened
    await asyncio.gather(*(client.aclose() for client in opened))


async def test_of_sixty_racing_claims_exactly_one_wins(clients: list[AsyncClient]) -> None:
    """Fault: 60 claims, then 60 takeovers of the same holder, at the same moment.

    Holds: exactly one of each wins.
    """
    racers = [Ownership(client, EXCHANGE_ID) for client in clients]
    claims = await asyncio.gather(*(racer.claim(status_of(f"i{n}"), ttl_seconds=45) for n, racer in enumerate(racers)))
    (won,) = [answer for answer in claims if isinstance(answer, Claimed)]
    token = await racers[0].identify(won.payload)
    takeovers = await asyncio.gather(
        *(racer.takeover(status_of(f"t{n}"), ttl_seconds=45, shown=token) for n, racer in enumerate(racers))
    )
    (taken,) = [answer for answer in takeovers if isinstance(answer, Taken)]
    assert taken.epoch > won.epoch


async def test_of_sixteen_racing_watchers_exactly_one_declares_a_death(
    clients: list[AsyncClient], every_redis: RedisServer
) -> None:
    """Fault: 16 watchers see the same owner gone.

    Holds: exactly one of them declares it lost.
    """
    racers = [Ownership(client, EXCHANGE_ID) for client in clients[:16]]
    claim = await racers[0].claim(status_of("a"), ttl_seconds=1)
    assert isinstance(claim, Claimed)
    with every_redis.client() as client:
        eventually(lambda: not client.exists(f"exchange:{EXCHANGE_ID}:status"))
    answers = await asyncio.gather(*(racer.declare_lost(claim.epoch) for racer in racers))
    (lost,) = [answer for answer in answers if isinstance(answer, Lost)]
    assert (lost.epoch, lost.owner, lost.payload) == (claim.epoch, "a", claim.payload)
