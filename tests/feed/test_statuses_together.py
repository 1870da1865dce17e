"""Statuses in one message: what a client gets that reads `statuses` frames, and what waits while it reads nothing."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from activity.wire.frames import SERVER_FRAME
from tests.feed.sockets import FeedClient, feed_of, write_entries
from tests.feed.test_socket_status import payload
from tests.servers import RedisServer
from tests.web import WebServer

pytestmark = pytest.mark.asyncio

NAMES = {"binance", "coinbase", "kraken"}


async def subscribed(client: FeedClient) -> FeedClient:
    await client.socket.send(json.dumps({"type": "subscribe", "after": {}, "statuses": True}))
    return client


def named(frame: Mapping[str, Any], kind: str = "frames") -> set[str]:
    return {one["exchange"] for one in frame[kind]}


async def test_the_first_look_at_every_exchange_is_one_frame(web: WebServer, redis_server: RedisServer) -> None:
    with redis_server.client() as redis:
        redis.set("exchange:3:status", payload(), ex=45)
    async with feed_of(web) as client:
        frame = await (await subscribed(client)).next("statuses")
    assert named(frame) == NAMES
    kraken = next(one for one in frame["frames"] if one["exchange"] == "kraken")
    assert (kraken["type"], kraken["online"], kraken["status"]) == ("status", True, json.loads(payload()))
    assert 0 < kraken["ttlMs"] <= 45_000
    assert not any(one["type"] == "status" for one in client.frames)
    for one in client.frames:
        SERVER_FRAME.validate_json(json.dumps(one), strict=True)


async def test_a_heartbeat_travels_without_what_it_did_not_change(web: WebServer, redis_server: RedisServer) -> None:
    with redis_server.client() as redis:
        redis.set("exchange:3:status", payload(), ex=45)
        async with feed_of(web) as client:
            first = await (await subscribed(client)).next("statuses")
            redis.set("exchange:3:status", payload(lastHeartbeat="2026-11-22T14:31:53.907Z"), ex=45)
            beat = await client.next("statuses")
            assert beat["upto"] > first["upto"]
            assert beat["frames"] == []
            [kraken] = beat["beats"]
            assert (kraken["exchange"], kraken["lastHeartbeat"]) == ("kraken", "2026-11-22T14:31:53.907Z")
            assert 40_000 < kraken["ttlMs"] <= 45_000
            redis.set("exchange:3:status", payload(lastHeartbeat="2026-11-22T14:32:08.907Z", symbolCount=5), ex=45)
            changed = await client.next("statuses")
    assert changed["beats"] == []
    assert changed["frames"][0]["status"]["symbolCount"] == 5


async def test_whoever_comes_between_two_heartbeats_gets_all_of_the_status(
    web: WebServer, redis_server: RedisServer
) -> None:
    with redis_server.client() as redis:
        redis.set("exchange:3:status", payload(), ex=45)
        async with feed_of(web) as early:
            await (await subscribed(early)).next("statuses")
            redis.set("exchange:3:status", payload(lastHeartbeat="2026-11-22T14:31:53.907Z"), ex=45)
            assert named(await early.next("statuses"), "beats") == {"kraken"}
            async with feed_of(web) as late:
                frame = await (await subscribed(late)).next("statuses")
    kraken = next(one for one in frame["frames"] if one["exchange"] == "kraken")
    assert kraken["status"]["lastHeartbeat"] == "2026-11-22T14:31:53.907Z"


async def test_a_client_that_acknowledges_no_statuses_is_told_the_newest_of_each_once_it_does(
    web: WebServer, redis_server: RedisServer
) -> None:
    with redis_server.client() as redis:
        async with feed_of(web) as client:
            last = await (await subscribed(client)).next("statuses")
            # Seven or eight of these fill the window of 512 KB.
            for turn in range(7):
                redis.set("exchange:3:status", payload(symbolCount=turn, filler="x" * 70_000), ex=45)
                last = await client.next("statuses")
            redis.set("exchange:3:status", payload(symbolCount=7, filler="x" * 70_000), ex=45)
            last = await client.next("statuses")
            redis.set("exchange:3:status", payload(symbolCount=8, filler="x" * 70_000), ex=45)
            # Entries still come: their window is another one. Nothing was told of the status meanwhile.
            written = write_entries(redis_server, "kraken", 1)
            assert [entry["id"] for entry in await client.entries(1)] == written
            redis.set("exchange:3:status", payload(symbolCount=9, filler="x" * 70_000), ex=45)
            redis.set("exchange:2:status", payload(exchangeId=2, exchangeName="coinbase"), ex=45)
            written = write_entries(redis_server, "kraken", 1, first=1)
            assert [entry["id"] for entry in await client.entries(1)] == written
            assert client.frames[-1]["type"] == "entries"
            seen: dict[str, list[int]] = {}
            while set(seen) != {"coinbase", "kraken"}:
                await client.socket.send(json.dumps({"type": "ack", "last": {}, "statuses": last["upto"]}))
                last = await client.next("statuses")
                for one in last["frames"]:
                    seen.setdefault(one["exchange"], []).append(one["status"]["symbolCount"])
    assert seen == {"coinbase": [4], "kraken": [9]}


async def test_an_acknowledgement_of_statuses_that_were_never_sent_is_refused(web: WebServer) -> None:
    async with feed_of(web) as client:
        frame = await (await subscribed(client)).next("statuses")
        await client.socket.send(json.dumps({"type": "ack", "last": {}, "statuses": frame["upto"] + 10**6}))
        code, reason = await client.closed()
    assert (code, reason[:15]) == (4400, "ack: statuses: ")
