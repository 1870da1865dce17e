"""Who gets no feed, and with which code they are told."""

import pytest
import websockets

from tests.feed.sockets import feed_of
from tests.web import WebServer

pytestmark = pytest.mark.asyncio


@pytest.mark.parametrize("path", ["/ws/network/", "/ws/exchanges/kraken/"])
async def test_nobody_gets_a_feed_without_signing_in(web: WebServer, path: str) -> None:
    async with feed_of(web, path, user=None) as client:
        assert await client.closed() == (4401, "not signed in")
    async with feed_of(web, path, user=None, Cookie="sessionid=made-up") as client:
        assert (await client.closed())[0] == 4401


async def test_an_unknown_exchange_is_an_error_that_names_the_known_ones(web: WebServer) -> None:
    async with feed_of(web, "/ws/exchanges/nasdaq/") as client:
        assert await client.closed() == (4404, "unknown exchange; known: binance, coinbase, kraken")
    async with feed_of(web, "/ws/exchanges/nasdaq/", user="nobody@example.org") as client:
        assert await client.closed() == (4404, "unknown exchange; known: none")


async def test_a_user_without_the_right_to_view_is_refused(web: WebServer) -> None:
    async with feed_of(web, "/ws/exchanges/kraken/", user="nobody@example.org") as client:
        assert (await client.closed())[0] == 4403


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        ("{", "frame: "),
        ("[]", "frame: "),
        ('{"type":"dance"}', "frame: "),
        ('{"type":"subscribe","after":{"kraken":"yesterday"}}', "subscribe.after.kraken: "),
        ('{"type":"subscribe","after":{"kraken":"99999999999999999999-0"}}', "after: "),
        ('{"type":"subscribe","before":{}}', "subscribe.before: "),
        ('{"type":"ack","last":{}}', "ack: subscribe first"),
        ('{"type":"subscribe","after":{"binance":"1-0"}}', "after: 'binance' is not the exchange of this socket"),
        (b"\x00", "binary frames"),
    ],
)
async def test_a_malformed_frame_closes_with_the_field_and_the_fault(
    web: WebServer, sent: str | bytes, reason: str
) -> None:
    async with feed_of(web, "/ws/exchanges/kraken/") as client:
        await client.socket.send(sent)
        code, said = await client.closed()
    assert code == 4400
    assert said.startswith(reason)


async def test_a_second_subscription_on_one_socket_is_refused(web: WebServer) -> None:
    async with feed_of(web) as client:
        await client.subscribe()
        await client.subscribe()
        assert await client.closed() == (4400, "subscribe: only once per connection")


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "http://127.0.0.1:1", "https://127.0.0.1", "null", "http://h:70000"]
)
async def test_a_page_of_another_origin_opens_no_socket(web: WebServer, origin: str) -> None:
    with pytest.raises(websockets.InvalidStatus) as refused:
        async with feed_of(web, Origin=origin):
            pass
    assert refused.value.response.status_code in (400, 403)


async def test_our_own_page_opens_a_socket(web: WebServer) -> None:
    async with feed_of(web, Origin=web.url) as client:
        await client.subscribe()
        assert (await client.next("status"))["online"] is False


async def test_signing_out_ends_the_socket(own_web: WebServer) -> None:
    async with feed_of(own_web) as client:
        await client.subscribe()
        await client.next("status")
        own_web.run("from django.contrib.sessions.models import Session; Session.objects.all().delete()")
        assert await client.closed() == (4401, "not signed in")


async def test_a_deactivated_user_and_a_changed_password_end_the_socket(own_web: WebServer) -> None:
    for change in ("u.is_active = False", "u.is_active = True; u.set_password('another one entirely')"):
        own_web.run("u = User.objects.get(email='admin@example.org'); u.is_active = True; u.save()")
        async with feed_of(own_web) as client:
            await client.subscribe()
            await client.next("status")
            own_web.run(f"u = User.objects.get(email='admin@example.org'); {change}; u.save()")
            assert (await client.closed())[0] == 4401


async def test_losing_the_grant_ends_the_socket_and_getting_it_opens_the_feed(own_web: WebServer) -> None:
    grant = (
        "from guardian.shortcuts import assign_perm, remove_perm\n"
        "u = User.objects.get(email='nobody@example.org')\n"
        "{}('activity.view_exchange', u, Exchange.objects.get(name='kraken'))"
    )
    async with feed_of(own_web, user="nobody@example.org") as network:
        await network.subscribe()
        own_web.run(grant.format("assign_perm"))
        assert (await network.next("status"))["exchange"] == "kraken"
        async with feed_of(own_web, "/ws/exchanges/kraken/", user="nobody@example.org") as client:
            await client.subscribe()
            await client.next("status")
            own_web.run(grant.format("remove_perm"))
            assert (await client.closed())[0] == 4403
        assert {frame["exchange"] for frame in network.frames if "exchange" in frame} == {"kraken"}


async def test_a_program_uses_a_bearer_token(own_web: WebServer) -> None:
    token = own_web.run("print(ApiToken.issue(User.objects.get(email='admin@example.org'), 'test')[1])").strip()
    async with feed_of(own_web, user=None, Authorization=f"Bearer {token}") as client:
        await client.subscribe()
        await client.next("status")
        own_web.run("from django.utils.timezone import now; ApiToken.objects.update(revoked_at=now())")
        assert (await client.closed())[0] == 4401
