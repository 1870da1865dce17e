"""Standbys on the page of their exchange, each with a freshness of its own."""

import asyncio

from activity.store.client import lease_client
from activity.store.standby import beat_standby
from activity.wire.clock import now_timestamp
from activity.wire.keys import standbys_until_key
from activity.wire.standby import StandbyStatus
from tests.pages.writing import put_status
from tests.servers import RedisServer
from tests.web import WebServer


def put_standby(server: RedisServer, instance: str, **fields: object) -> None:
    async def beat() -> None:
        client = lease_client(server.url)
        now = now_timestamp()
        values: dict[str, object] = {
            "exchangeId": 3,
            "exchangeName": "kraken",
            "instanceId": instance,
            "hostname": "ams-edge-01",
            "pid": 4711,
            "version": "2.4.1",
            "mode": "paper",
            "registeredAt": now,
            "lastHeartbeat": now,
            "heartbeatSeconds": 15,
            **fields,
        }
        await beat_standby(client, StandbyStatus.model_validate(values))
        await client.aclose()

    asyncio.run(beat())


def test_standbys_are_on_the_page_of_their_exchange(web: WebServer, redis_server: RedisServer) -> None:
    browser = web.browser().sign_in()
    with redis_server.client() as client:
        put_status(client, "kraken")
        put_standby(redis_server, "standby-one")
        put_standby(redis_server, "<b>two</b>")
        client.zincrby(standbys_until_key(3), -20_000, "standby-one")
    page = browser.get("/exchanges/kraken/")[1]
    assert "Standbys" in page
    assert "standby-one" in page
    assert "&lt;b&gt;two&lt;/b&gt;" in page
    assert "ams-edge-01, pid 4711 · paper · 2.4.1" in page
    one, two = page.index("standby-one"), page.index("&lt;b&gt;two")
    assert "late, beat" in page[one : two if two > one else None]
    fragment = browser.get("/exchanges/kraken/?standbys=1")[1]
    assert "standby-one" in fragment
    assert "<html" not in fragment
    assert "Standbys" not in browser.get("/exchanges/binance/")[1]
    assert browser.get("/exchanges/binance/?standbys=1") == (200, "")
