"""The one feed of a process: its hub, its board and the sockets that they serve."""

import asyncio
import logging
import sys
from collections import defaultdict
from typing import Any, Final, Protocol
from weakref import WeakKeyDictionary, WeakSet

from activity.feed.board import Board
from activity.feed.hub import Hub
from activity.store.client import pages_client

log = logging.getLogger(__name__)

#: Seconds that a server which goes down waits for its close frames to leave.
FAREWELL_SECONDS: Final = 2.0
#: Seconds for the close frames to leave the process: the server tells nobody when its buffers are empty.
FLUSH_SECONDS: Final = 0.2


class Socket(Protocol):
    """What the feed knows of a socket."""

    async def restart(self) -> None:
        """Tell the client that the server goes down."""


class Feed:
    """Hub, board and sockets of one event loop."""

    def __init__(self, redis_url: str) -> None:
        self.hub = Hub(redis_url)
        self.board = Board(pages_client(redis_url), self.hub.audiences)
        self.hub.on_entries = self.board.entries_seen
        #: Open sockets, weakly: a socket that its server forgot without a word is not kept alive by us.
        self.sockets: WeakSet[Any] = WeakSet()
        self._of_holder: defaultdict[tuple[str, int], WeakSet[Any]] = defaultdict(WeakSet)

    def admit(self, socket: Any, most: int) -> bool:
        """Take a socket in, unless its holder (a user, a wall link) has `most` of them open already."""
        held = self._of_holder[socket.holder]
        if len(held) >= most:
            return False
        held.add(socket)
        self.sockets.add(socket)
        return True

    def dismiss(self, socket: Any) -> None:
        """A socket is gone."""
        self.sockets.discard(socket)
        held = self._of_holder[socket.holder]
        held.discard(socket)
        if not held:
            del self._of_holder[socket.holder]

    async def farewell(self) -> None:
        """Close every socket with 1012, so that the clients come back at once and resume."""
        goodbyes = [asyncio.create_task(socket.restart(), name="farewell") for socket in list(self.sockets)]
        if goodbyes:
            done, late = await asyncio.wait(goodbyes, timeout=FAREWELL_SECONDS)
            for task in late:
                task.cancel()
            for task in done:
                if (error := task.exception()) is not None:
                    log.warning("a socket could not be told of the restart: %s", error)
            await asyncio.sleep(FLUSH_SECONDS)
        await self.board.close()
        await self.hub.close()


_feeds: WeakKeyDictionary[asyncio.AbstractEventLoop, Feed] = WeakKeyDictionary()


def feed(redis_url: str) -> Feed:
    """The feed of the running event loop, made when the first socket comes."""
    loop = asyncio.get_running_loop()
    existing = _feeds.get(loop)
    if existing is None:
        existing = _feeds[loop] = Feed(redis_url)
        _say_farewell_before_shutdown(existing)
    return existing


def _say_farewell_before_shutdown(ours: Feed) -> None:
    """Under daphne: end the sockets before its reactor stops. Other servers send 1012 themselves."""
    reactor: Any = sys.modules.get("twisted.internet.reactor")
    if reactor is None or not reactor.running:
        return
    from twisted.internet.defer import Deferred

    reactor.addSystemEventTrigger(
        "before",
        "shutdown",
        lambda: Deferred.fromFuture(asyncio.ensure_future(ours.farewell())),
    )
