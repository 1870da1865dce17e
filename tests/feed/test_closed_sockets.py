"""What a socket held is free when it is closed: the collector looks at what is old next to never (asgi.py)."""

import asyncio
import gc
import json
from collections.abc import Mapping
from typing import Any, ClassVar
from weakref import WeakSet

import pytest

from activity.consumers import FeedConsumer
from activity.feed.hub import Tail
from activity.feed.service import feed
from activity.feed.viewer import HEAR_TEXT, WRITE_TEXT, Hear
from perseus_admin.config import settings
from tests.feed.sockets import write_entries
from tests.servers import RedisServer

pytestmark = pytest.mark.django_db(transaction=True)


class Connection:
    """As daphne_sockets.py makes one: it knows who hears, and its scope knows it."""

    def __init__(self) -> None:
        self.hear: Hear | None = None
        self.inbox: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.said: list[str] = []
        self.scope = {
            "type": "websocket",
            "headers": [],
            "url_route": {"kwargs": {}},
            "extensions": {HEAR_TEXT: lambda hear: setattr(self, "hear", hear), WRITE_TEXT: self.write},
        }

    def write(self, text: str) -> bool:
        self.said.append(text)
        return True

    async def send(self, message: dict[str, Any]) -> None:
        if "text" in message:
            self.said.append(message["text"])

    async def until(self, kind: str) -> None:
        async with asyncio.timeout(20):
            while not any(json.loads(text)["type"] == kind for text in self.said):
                await asyncio.sleep(0.01)


class Watched(FeedConsumer):
    """Of somebody who may view kraken."""

    opened: ClassVar["WeakSet[FeedConsumer | Tail]"] = WeakSet()

    async def _look(self) -> Mapping[str, int]:
        self.opened.add(self)
        return {"kraken": 3}

    def _follow(self) -> None:
        """Rights do not change here."""

    _unfollow = _follow


async def visit(redis_server: RedisServer) -> None:
    """Open a socket, see an entry, acknowledge it, go."""
    connection = Connection()
    application: Any = Watched.as_asgi()
    serving = asyncio.create_task(application(connection.scope, connection.inbox.get, connection.send), name="a socket")
    connection.inbox.put_nowait({"type": "websocket.connect"})
    connection.inbox.put_nowait({"type": "websocket.receive", "text": '{"type": "subscribe", "after": {}}'})
    await connection.until("status")
    [entry_id] = write_entries(redis_server, "kraken", 1)
    await connection.until("entries")
    assert connection.hear is not None
    assert connection.hear(json.dumps({"type": "ack", "last": {"kraken": entry_id}}).encode())
    Watched.opened.add(feed(settings().redis).hub._tails["kraken"])
    connection.inbox.put_nowait({"type": "websocket.disconnect", "code": 1001})
    async with asyncio.timeout(20):
        await serving


async def test_nothing_of_a_closed_socket_waits_for_the_collector(redis_server: RedisServer) -> None:
    gc.collect()
    gc.disable()
    try:
        for _ in range(3):
            await visit(redis_server)
        async with asyncio.timeout(10):
            while Watched.opened:
                await asyncio.sleep(0.01)
    finally:
        gc.enable()
        await feed(settings().redis).hub.close()
