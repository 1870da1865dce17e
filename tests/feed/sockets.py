"""A WebSocket client as section 4 of the contract describes one."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import websockets
from websockets.asyncio.client import ClientConnection, connect

from tests.servers import RedisServer
from tests.web import WebServer

Frame = dict[str, Any]


class FeedClient:
    """One socket that keeps what it was told."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.frames: list[Frame] = []

    async def subscribe(self, **after: str) -> None:
        """The first frame: the last id that the client has, per exchange."""
        await self.socket.send(json.dumps({"type": "subscribe", "after": after}))

    async def ack(self, **last: str) -> None:
        """Say what was shown."""
        await self.socket.send(json.dumps({"type": "ack", "last": last}))

    async def next(self, kind: str, *, within: float = 60.0) -> Frame:
        """The next frame of a kind; the others are kept."""
        async with asyncio.timeout(within):
            while True:
                frame: Frame = json.loads(await self.socket.recv())
                self.frames.append(frame)
                if frame["type"] == kind:
                    return frame

    async def entries(self, count: int, *, acknowledge: bool = True) -> list[Frame]:
        """The next `count` entries, acknowledged as they come."""
        found: list[Frame] = []
        while len(found) < count:
            frame = await self.next("entries")
            found += frame["entries"]
            if acknowledge:
                await self.ack(**{frame["exchange"]: frame["entries"][-1]["id"]})
        return found

    async def closed(self, *, within: float = 60.0) -> tuple[int, str]:
        """The code and reason with which the server closed."""
        async with asyncio.timeout(within):
            try:
                while True:
                    self.frames.append(json.loads(await self.socket.recv()))
            except websockets.ConnectionClosed:
                told = [frame["reason"] for frame in self.frames if frame["type"] == "closing"]
                return self.socket.close_code or 0, told[0] if told else ""


@asynccontextmanager
async def feed_of(
    web: WebServer, path: str = "/ws/network/", *, user: str | None = "admin@example.org", **headers: str
) -> AsyncIterator[FeedClient]:
    """An open socket of a signed-in user, or of nobody."""
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    if user is not None:
        sent["Cookie"] = web.cookie(user)
    uri = f"ws://127.0.0.1:{web.port}{path}"
    async with connect(uri, additional_headers=sent, compression=None, max_size=None, open_timeout=10) as socket:
        yield FeedClient(socket)


def write_entries(redis_server: RedisServer, exchange: str, count: int, *, first: int = 0, size: int = 0) -> list[str]:
    """Errors with a running number, as a foreign instance would append them; their ids."""
    with redis_server.client() as client:
        pipeline = client.pipeline(transaction=False)
        for number in range(first, first + count):
            pipeline.xadd(
                f"logs:network:{exchange}",
                {
                    "event": "error",
                    "timestamp": "2026-11-22T14:31:38.907Z",
                    "error": f"number {number} " + "x" * size,
                    "exchangeId": "3",
                    "exchangeName": exchange,
                    "hostname": "host-a",
                    "ip": "",
                    "state": "active",
                },
            )
        return [entry_id.decode() for entry_id in pipeline.execute()]
