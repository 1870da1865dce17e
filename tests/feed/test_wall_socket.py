"""The socket of a screen on a wall: its link alone opens it, for as long as it is good."""

import json

import pytest

from tests.feed.sockets import feed_of, write_entries
from tests.servers import RedisServer
from tests.web import WebServer

pytestmark = pytest.mark.asyncio

ISSUE = """
user = User.objects.get(email='admin@example.org')
link, text = WallLink.issue(user, 'office')
link.exchanges.set(Exchange.objects.filter(name__in={names!r}))
print(text)
"""


def issue(web: WebServer, *names: str) -> str:
    return web.run(ISSUE.format(names=list(names))).strip()


async def test_a_link_is_fed_its_exchanges_until_it_is_revoked(own_web: WebServer, own_redis: RedisServer) -> None:
    token = issue(own_web, "kraken")
    async with feed_of(own_web, f"/ws/wall/{token}/", user=None) as client:
        await client.subscribe()
        assert (await client.next("status"))["exchange"] == "kraken"
        write_entries(own_redis, "binance", 3)
        write_entries(own_redis, "kraken", 3)
        assert [entry["exchangeName"] for entry in await client.entries(3)] == ["kraken"] * 3
        own_web.run("from django.utils.timezone import now; WallLink.objects.update(revoked_at=now())")
        assert await client.closed() == (4401, "this link was revoked, or never was one")
    assert {frame["exchange"] for frame in client.frames if "exchange" in frame} == {"kraken"}
    async with feed_of(own_web, f"/ws/wall/{token}/", user="admin@example.org") as client:
        assert (await client.closed())[0] == 4401
    for path in (f"/wall/{token}/", f"/wall/{token}"):
        assert own_web.browser().get(path)[0] == 404
    assert own_web.browser().post(f"/wall/{token}/")[0] == 403
    assert token not in own_web.log.read_text()
    assert "/wall/perseus_wall_[secret]/" in own_web.log.read_text()  # the refused POST was logged


async def test_a_screen_comes_back_when_its_exchanges_are_others(own_web: WebServer) -> None:
    async with feed_of(own_web, f"/ws/wall/{own_web.wall}/", user=None) as client:
        await client.subscribe()
        await client.next("status")
        own_web.run("Exchange.objects.create(id=9, name='mexc', display_name='MEXC')")
        assert (await client.closed())[0] == 1012


async def test_a_link_reads_and_nothing_else(web: WebServer) -> None:
    token = web.wall
    async with feed_of(web, f"/ws/wall/{token}/", user=None) as client:
        await client.socket.send(json.dumps({"type": "command", "exchange": "kraken"}))
        assert (await client.closed())[0] == 4400
    for path in ("/ws/network/", "/ws/exchanges/kraken/"):
        async with feed_of(web, path, user=None, Authorization=f"Bearer {token}") as client:
            assert (await client.closed())[0] == 4401
    assert web.browser().get("/api/v1/instances", Authorization=f"Bearer {token}")[0] == 401
