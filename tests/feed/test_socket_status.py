"""Liveness as a socket tells it."""

import json
from typing import Any

import pytest

from activity.wire.keys import ownership_key
from tests.feed.sockets import feed_of
from tests.servers import RedisServer
from tests.web import WebServer

pytestmark = pytest.mark.asyncio


def payload(**changed: Any) -> bytes:
    status = {
        "exchangeId": 3,
        "exchangeName": "kraken",
        "hostname": "host-a",
        "ipAddress": None,
        "countryCode": None,
        "adminEmail": None,
        "adminDisplayName": None,
        "connectionState": "active",
        "symbolCount": 4,
        "connectedAt": "2026-11-22T14:31:38.907Z",
        "lastHeartbeat": "2026-11-22T14:31:38.907Z",
        "lastStateChange": "2026-11-22T14:31:38.907Z",
        "registeredAt": "2026-11-22T14:31:38.907Z",
        "lastError": None,
        "lastErrorAt": None,
        "ofTheirOwn": {"kept": True},
    }
    return json.dumps(status | changed).encode()


async def test_an_older_instance_comes_beats_and_goes(web: WebServer, redis_server: RedisServer) -> None:
    with redis_server.client() as redis:
        redis.xadd("logs:network:kraken", {"event": "error", "error": "e", "timestamp": "t", "state": "active"})
        async with feed_of(web, "/ws/exchanges/kraken/") as client:
            await client.subscribe()
            first = await client.next("status")
            assert (first["online"], first["status"], first["lastKnown"]["state"]) == (False, None, "active")
            assert first["lost"] is True
            redis.set("exchange:3:status", payload(), ex=45)
            came = await client.next("status")
            assert came["online"] is True
            assert came["status"] == json.loads(payload())
            assert 0 < came["ttlMs"] <= 45_000
            assert (came["lastKnown"], came["lost"]) == (None, None)
            redis.set("exchange:3:status", payload(lastHeartbeat="2026-11-22T14:31:53.907Z"), px=700)
            assert (await client.next("status"))["status"]["lastHeartbeat"] == "2026-11-22T14:31:53.907Z"
            gone = await client.next("status")
            assert (gone["online"], gone["status"], gone["lastKnown"]["error"]) == (False, None, "e")


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (b"null", "a JSON NoneType instead of an object"),
        (b"{", "not JSON"),
        (b'{"a":NaN}', "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b'{"exchangeId":3,"exchangeName":"kraken","hostname":"h","connectionState":"dancing"}', "connectionState: "),
    ],
)
async def test_a_status_that_cannot_be_read_is_alive_and_says_why(
    web: WebServer, redis_server: RedisServer, value: bytes, problem: str
) -> None:
    with redis_server.client() as redis:
        redis.set("exchange:3:status", value, ex=45)
    async with feed_of(web, "/ws/exchanges/kraken/") as client:
        await client.subscribe()
        frame = await client.next("status")
    assert frame["online"] is True
    assert frame["problem"].startswith(problem)


async def test_numbers_and_texts_that_json_can_hardly_carry_arrive(web: WebServer, redis_server: RedisServer) -> None:
    with redis_server.client() as redis:
        strange = payload(big=1 << 80, half="\ud800", control="\x00\u202e")
        redis.set("exchange:3:status", strange, ex=45)
    async with feed_of(web, "/ws/exchanges/kraken/") as client:
        await client.subscribe()
        status = (await client.next("status"))["status"]
    assert (status["big"], status["half"], status["control"]) == (1 << 80, "\ufffd", "\x00\u202e")


async def test_who_is_offline_is_lost_as_whoever_came_later_tells(web: WebServer, redis_server: RedisServer) -> None:
    """Our owner let go in order; an older writer came after it and died; then one of ours was killed at once."""
    move: dict[Any, Any] = {"event": "state_transition", "timestamp": "t", "fromState": "idle"}
    async with feed_of(web, "/ws/exchanges/kraken/") as client:
        await client.subscribe()
        assert (await client.next("status"))["lost"] is None
        with redis_server.client() as redis:
            redis.hset(ownership_key(3), mapping={"state": "released", "epoch": 5, "beat": 1000, "until": 46_000})
            assert (await client.next("status"))["lost"] is False
            redis.xadd("logs:network:kraken", {**move, "toState": "active", "epoch": "5"})
            assert (await client.next("status"))["lost"] is False
            redis.xadd("logs:network:kraken", {**move, "toState": "active"})
            assert (await client.next("status"))["lost"] is True
            redis.xadd("logs:network:kraken", {**move, "toState": "stopped"})
            assert (await client.next("status"))["lost"] is False
            redis.hset(ownership_key(3), mapping={"state": "held", "epoch": 6, "beat": 1 << 50, "until": 1 << 50})
            assert (await client.next("status"))["lost"] is True


async def test_a_late_notice_about_somebody_who_was_succeeded_is_not_the_last_known(
    web: WebServer, redis_server: RedisServer
) -> None:
    move: dict[Any, Any] = {"event": "state_transition", "timestamp": "t", "fromState": "idle"}
    notice: dict[Any, Any] = {
        "event": "error",
        "timestamp": "t",
        "error": "was lost",
        "kind": "lost",
        "state": "active",
    }
    with redis_server.client() as redis:
        redis.xadd("logs:network:kraken", {**move, "toState": "stopped", "epoch": "6"})
        async with feed_of(web, "/ws/exchanges/kraken/") as client:
            await client.subscribe()
            assert (await client.next("status"))["lost"] is False
            redis.xadd("logs:network:kraken", {**notice, "epoch": "5"})
            redis.hset(ownership_key(3), mapping={"state": "released", "epoch": 6})
            frame = await client.next("status")
            assert (frame["lost"], frame["lastKnown"].get("toState")) == (False, "stopped")
            redis.xadd("logs:network:kraken", {**notice, "epoch": "6"})
            assert (await client.next("status"))["lost"] is True


async def test_an_offline_exchange_learns_its_last_known_from_a_late_entry(
    web: WebServer, redis_server: RedisServer
) -> None:
    async with feed_of(web, "/ws/exchanges/kraken/") as client:
        await client.subscribe()
        assert (await client.next("status"))["lastKnown"] is None
        with redis_server.client() as redis:
            fields = {"event": "state_transition", "timestamp": "t", "fromState": "stopping", "toState": "stopped"}
            redis.xadd("logs:network:kraken", fields)
        assert (await client.next("status"))["lastKnown"]["toState"] == "stopped"
