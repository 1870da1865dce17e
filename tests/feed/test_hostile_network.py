"""One strange key, one huge entry, one greedy client: the feed of everybody else goes on."""

import pytest

from tests.api.test_api import call
from tests.feed.sockets import feed_of, write_entries
from tests.feed.test_socket_status import payload
from tests.servers import RedisServer
from tests.web import WebServer

pytestmark = pytest.mark.asyncio


@pytest.mark.parametrize(
    ("count", "text"), [(1, "e" * 70_000), (60, "ж" * 1000), (500, "x" * 15), (3, "m" * 1_200_000)]
)
async def test_entries_of_any_size_pass_a_server_that_limits_what_clients_send(
    web: WebServer, redis_server: RedisServer, count: int, text: str
) -> None:
    async with feed_of(web) as client:
        await client.subscribe()
        await client.next("status")
        with redis_server.client() as redis:
            pipeline = redis.pipeline(transaction=False)
            for _ in range(count):
                pipeline.xadd("logs:network:kraken", {"event": "error", "timestamp": "t", "error": text})
            written = [entry_id.decode() for entry_id in pipeline.execute()]
        found = await client.entries(count)
    assert [entry["id"] for entry in found] == written
    assert {entry["error"] for entry in found} == {text}


async def test_a_client_that_sends_too_much_is_closed(web: WebServer) -> None:
    async with feed_of(web) as client:
        await client.socket.send("x" * 70_000)
        assert (await client.closed())[0] in (1006, 1009)  # daphne drops the connection without a word


async def test_a_key_of_a_wrong_type_concerns_its_exchange_alone(web: WebServer, redis_server: RedisServer) -> None:
    with redis_server.client() as redis:
        redis.set("logs:network:binance", "no stream")
        redis.hset("exchange:2:status", "no", "string")
        redis.set("exchange:3:status", payload(), ex=45)
    status, body = call(web, "/instances")
    assert status == 200
    by_name = {one["exchangeName"]: one for one in body["instances"]}
    assert by_name["kraken"]["online"] is True
    assert by_name["kraken"]["problem"] == ""
    assert by_name["binance"]["online"] is False
    assert by_name["coinbase"]["online"] is True
    assert "WRONGTYPE" in by_name["coinbase"]["problem"]
    assert call(web, "/activity")[0] == 200
    async with feed_of(web) as client:
        await client.subscribe()
        written = []
        while {frame["exchange"] for frame in client.frames if frame["type"] == "status"} != set(by_name):
            await client.next("status")
        written = write_entries(redis_server, "kraken", 2)
        assert [entry["id"] for entry in await client.entries(2)] == written
        assert all(frame["available"] for frame in client.frames if frame["type"] == "store")
        with redis_server.client() as redis:
            redis.delete("logs:network:binance")
        mended = write_entries(redis_server, "binance", 1)
        assert [entry["id"] for entry in await client.entries(1)] == mended


async def test_an_interval_that_nobody_can_mean_counts_as_absent(web: WebServer, redis_server: RedisServer) -> None:
    browser = web.browser().sign_in()
    for absurd in (10**400, 10**15, 0, -1, True, "15", None, 1.5):
        with redis_server.client() as redis:
            redis.set("exchange:3:status", payload(heartbeatSeconds=absurd), ex=45)
        assert browser.get("/")[0] == 200
        assert browser.get("/exchanges/kraken/")[0] == 200
    with redis_server.client() as redis:
        redis.set("exchange:3:status", payload().replace(b'"symbolCount": 4', b'"symbolCount": 4, "x": 1e400'), ex=45)
    assert call(web, "/exchanges/3/status")[1]["status"]["x"] == "1e400"


async def test_an_acknowledgement_of_what_was_never_sent_is_refused(web: WebServer, redis_server: RedisServer) -> None:
    async with feed_of(web) as client:
        await client.subscribe()
        await client.next("status")
        write_entries(redis_server, "kraken", 1)
        await client.next("entries")
        await client.ack(kraken="18446744073709551615-0")
        code, reason = await client.closed()
    assert code == 4400
    assert reason.startswith("ack: kraken: ")


async def test_a_heartbeat_that_changes_nothing_but_the_ttl_is_told(web: WebServer, redis_server: RedisServer) -> None:
    with redis_server.client() as redis:
        redis.set("exchange:3:status", payload(), px=3000)
        async with feed_of(web, "/ws/exchanges/kraken/") as client:
            await client.subscribe()
            await client.next("status")
            redis.set("exchange:3:status", payload(), px=30_000)
            assert (await client.next("status"))["ttlMs"] > 20_000


async def test_a_quiet_socket_hears_that_it_is_alive(web: WebServer) -> None:
    async with feed_of(web) as client:
        await client.subscribe()
        assert (await client.next("store"))["available"] is True
        assert (await client.next("store", within=25))["available"] is True


async def test_a_stream_that_lost_its_end_is_not_sent_again(web: WebServer, redis_server: RedisServer) -> None:
    async with feed_of(web, "/ws/exchanges/kraken/") as client:
        await client.subscribe()
        await client.next("status")
        written = write_entries(redis_server, "kraken", 5)
        await client.entries(5)
        with redis_server.client() as redis:
            kept = redis.xrange("logs:network:kraken")[:3]
            redis.delete("logs:network:kraken")
            for entry_id, fields in kept:
                redis.xadd("logs:network:kraken", fields, id=entry_id)
            await client.next("gap")
            after = int(written[2].split("-")[0])
            redis.xadd("logs:network:kraken", {"event": "error", "error": "new"}, id=f"{after}-99999")
        found = await client.entries(1)
    assert [entry["error"] for entry in found] == ["new"]


async def test_more_than_a_hundred_exchanges_are_all_read(own_web: WebServer, own_redis: object) -> None:
    assert isinstance(own_redis, RedisServer)
    names = [f"x-{number:03d}" for number in range(130)]
    own_web.run(f"Exchange.objects.bulk_create([Exchange(name=n, display_name=n) for n in {names!r}])")
    async with feed_of(own_web) as client:
        await client.subscribe()
        while len([frame for frame in client.frames if frame["type"] == "status"]) < 133:
            await client.next("status")
        for name in names:
            write_entries(own_redis, name, 1)
        found = await client.entries(130)
    assert len({entry["exchangeName"] for entry in found}) == 130


async def test_one_user_cannot_hold_sockets_without_end(web: WebServer) -> None:
    from contextlib import AsyncExitStack

    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(feed_of(web)) for _ in range(50)]
        for client in clients:
            await client.subscribe()
            await client.next("status")
        async with feed_of(web) as one_more:
            assert (await one_more.closed())[0] == 4413
