"""The conventional way: consumers in a group of a channel layer. `python -m tests.bench.layer_app` publishes to it."""

import asyncio
import os
from typing import Any, Final

import orjson
import redis.asyncio
from channels.generic.websocket import AsyncWebsocketConsumer
from channels.layers import get_channel_layer
from django.conf import settings

_SOCKET: Final = os.environ["BENCH_REDIS"]

if not settings.configured:
    settings.configure(
        CHANNEL_LAYERS={
            "default": {
                "BACKEND": os.environ["BENCH_LAYER"],
                # redis-py 8 ends a quiet socket after 5 s, which the layer takes for a loss of the connection.
                "CONFIG": {"hosts": [{"address": f"unix://{_SOCKET}", "socket_timeout": None}], "capacity": 10_000},
            }
        }
    )


class Consumer(AsyncWebsocketConsumer):
    """One viewer."""

    groups: Final = ["bench"]  # type: ignore[misc]

    async def entry(self, event: dict[str, Any]) -> None:
        """One entry for this viewer."""
        await self.send(text_data=event["text"])


application = Consumer.as_asgi()


async def publish() -> None:
    """Read the stream and send each entry to the group."""
    layer: Any = get_channel_layer()
    client = redis.asyncio.Redis(unix_socket_path=_SOCKET, protocol=2, socket_timeout=30)
    last = b"0-0"
    while True:
        found: Any = await client.xread({"logs:network:bench": last}, count=512, block=4000)
        for _, rows in found or []:
            for entry_id, fields in rows:
                last = entry_id
                entry = {"id": entry_id.decode()} | {name.decode(): value.decode() for name, value in fields.items()}
                await layer.group_send("bench", {"type": "entry", "text": orjson.dumps(entry).decode()})


if __name__ == "__main__":
    asyncio.run(publish())
