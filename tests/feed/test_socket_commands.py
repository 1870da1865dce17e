"""The progress of a command on the sockets of its exchange."""

import json
import uuid

from tests.feed.sockets import feed_of
from tests.web import WebServer


def write(correlation: str) -> str:
    return (
        "from django.utils.timezone import now\n"
        "Command.objects.create(exchange=Exchange.objects.get(name='kraken'), instance_id='one', host='a', epoch='1',\n"
        f"    correlation_id='{correlation}', type='stop', issued_by='marta@example.org', ip='', state='delivered',\n"
        "    requested_at=now(), delivered_at=now())\n"
    )


async def test_whoever_may_view_the_exchange_is_told_how_a_command_goes_on(own_web: WebServer) -> None:
    correlation = str(uuid.uuid4())
    async with (
        feed_of(own_web, "/ws/exchanges/kraken/") as watching,
        feed_of(own_web, "/ws/exchanges/binance/") as elsewhere,
        feed_of(own_web, "/ws/network/", user="nobody@example.org") as nobody,
    ):
        for client in (watching, elsewhere, nobody):
            await client.subscribe()
        await watching.next("status")
        own_web.run(write(correlation))
        told = {"type": "command", "exchange": "kraken", "correlationId": correlation}
        for progress in ("acknowledged", "succeeded"):
            own_web.run(f"Command.objects.update(state='{progress}')")
            assert await watching.next("command") == told | {"progress": progress}
        for client in (elsewhere, nobody):
            await client.socket.send(json.dumps({"type": "nonsense"}))
            assert (await client.closed())[0] == 4400
            assert "command" not in {frame["type"] for frame in client.frames}
