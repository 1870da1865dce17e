"""One socket's way through the feed: a cursor per exchange, a window of unacknowledged bytes, the statuses it needs.

A viewer that falls behind is not fed from memory: its cursor stands still until it acknowledges, and then it reads on.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Final

from activity.feed.board import Board
from activity.feed.hub import BATCH_ENTRIES, RETRY_SECONDS, Batch, Hub, Tail
from activity.history import ArchiveAway
from activity.store.client import KeyUnreadable, StoreUnavailable
from activity.store.stream import START
from activity.wire.entries import EntryId
from activity.wire.frames import STALL_SECONDS, WINDOW_BYTES, Gap

log = logging.getLogger(__name__)

Send = Callable[[str], Awaitable[None]]

#: A socket on which nothing is said looks the same as one that a proxy has lost: something is said at least this often.
SILENCE_SECONDS: Final = 15.0
#: Seconds after which a viewer looks at its stall clock and its exchanges although nothing woke it.
_LOOK_SECONDS: Final = 5.0


class Stalled(Exception):
    """The client acknowledged nothing for 60 s while something waited for it."""


@dataclass(slots=True)
class _Place:
    """Where a viewer stands in one exchange."""

    tail: Tail
    stack: AsyncExitStack
    cursor: EntryId
    generation: int
    #: The cursor is the client's own: whether the stream still holds what follows has to be asked first.
    unproven: bool
    #: Earliest moment of the next look into an archive that could not be read.
    retry_at: float = 0.0
    #: Entries to ask for in the next read behind the ring.
    count: int = 32
    #: The cursor with which the client came.
    entered: EntryId = START
    #: The newest id that was sent: nobody can have shown more.
    sent: EntryId = START
    #: Frames sent and not yet acknowledged: last id and bytes. Bounded by the window, which counts all exchanges.
    unacknowledged: deque[tuple[EntryId, int]] = field(default_factory=deque)


class Viewer:
    """Feeds one socket until it is cancelled, stalls, or a tail fails."""

    def __init__(self, hub: Hub, board: Board, send: Send, after: Mapping[str, EntryId]) -> None:
        """`after` are the client's cursors; an exchange left out starts at its newest entries."""
        self._hub = hub
        self._board = board
        self._send = send
        self._after = dict(after)
        self._wanted: dict[str, int] = {}
        self._places: dict[str, _Place] = {}
        self._waker = asyncio.Event()
        self._outstanding = 0
        self._alive_at = self._said_at = time.monotonic()

    def show(self, exchanges: Mapping[str, int]) -> None:
        """Set the exchanges (name to id) that this viewer gets from now on."""
        self._wanted = dict(exchanges)
        self._waker.set()

    def acknowledge(self, last: Mapping[str, EntryId]) -> None:
        """The client has shown everything up to these ids. Raises ValueError for what was never sent to it."""
        for exchange, entry_id in last.items():
            place = self._places.get(exchange)
            if place and entry_id > max(place.sent, place.entered):
                raise ValueError(f"{exchange}: {entry_id} was not sent, the newest was {place.sent}")
            while place and place.unacknowledged and place.unacknowledged[0][0] <= entry_id:
                self._outstanding -= place.unacknowledged.popleft()[1]
                self._alive_at = time.monotonic()
        self._waker.set()

    async def run(self) -> None:
        """Send frames for ever. Raises Stalled, or TailFailed: then the socket closes and the client resumes."""
        subscription = self._board.subscribe(self._waker)
        try:
            while True:
                self._waker.clear()
                try:
                    for text in subscription.frames(self._wanted):
                        await self._say(text)
                    await self._settle()
                    more = await self._send_entries()
                except StoreUnavailable:
                    # The board says on this same socket that Redis is away; the cursor stays where it is.
                    await asyncio.sleep(RETRY_SECONDS)
                    more = True
                self._check_stall()
                if not more:
                    if time.monotonic() - self._said_at > SILENCE_SECONDS - _LOOK_SECONDS:
                        await self._say(self._board.store_frame())
                    await self._wait()
        finally:
            subscription.close()
            for place in self._places.values():
                await place.stack.aclose()
            self._places.clear()

    async def _say(self, text: str) -> None:
        self._said_at = time.monotonic()
        await self._send(text)

    async def _wait(self) -> None:
        try:
            async with asyncio.timeout(_LOOK_SECONDS):
                await self._waker.wait()
        except TimeoutError:
            return

    def _check_stall(self) -> None:
        if not self._outstanding:
            self._alive_at = time.monotonic()
        elif time.monotonic() - self._alive_at > STALL_SECONDS:
            raise Stalled

    async def _settle(self) -> None:
        """Open the exchanges that are wanted, leave those that no longer are, restart where a stream began anew."""
        for exchange in [name for name in self._places if name not in self._wanted]:
            place = self._places.pop(exchange)
            self._outstanding -= sum(size for _, size in place.unacknowledged)
            await place.stack.aclose()
        for exchange in self._wanted:
            if exchange not in self._places:
                await self._enter(exchange)
        for exchange, place in self._places.items():
            if place.generation != place.tail.generation:
                place.generation = place.tail.generation
                place.unproven = False
                await self._say_gap(exchange, place.cursor, None)
                place.cursor = place.tail.begins

    async def _enter(self, exchange: str) -> None:
        async with AsyncExitStack() as stack:
            tail = await stack.enter_async_context(self._hub.watch(exchange, self._waker))
            asked = self._after.get(exchange)
            unproven = asked is not None and not (START < asked <= tail.last and tail.covers(asked))
            cursor = tail.last if asked is None else asked
            # Only now: a Redis that goes away half-way leaves the cursor for the next try.
            self._after.pop(exchange, None)
            self._places[exchange] = _Place(tail, stack.pop_all(), cursor, tail.generation, unproven, entered=cursor)

    async def _say_gap(self, exchange: str, after: EntryId, first: EntryId | None) -> None:
        gap = Gap(exchange=exchange, after=str(after), first=str(first) if first else None)
        await self._say(gap.model_dump_json())

    async def _send_entries(self) -> bool:
        """One frame per exchange that has something, while the window is open. True when there may be more."""
        more = False
        for place in self._places.values():
            if self._outstanding >= WINDOW_BYTES:
                return False  # an acknowledgement wakes us
            had = place.cursor
            batch = await self._next(place)
            if batch is not None:
                place.cursor = batch.last
                place.sent = max(place.sent, batch.last)
                place.unacknowledged.append((batch.last, batch.size))
                self._outstanding += batch.size
                await self._say(batch.text)
            more = more or place.cursor != had
        return more

    async def _next(self, place: _Place) -> Batch | None:
        """The place's next frame. Moves its cursor over what nobody has, and says so."""
        if not place.unproven and place.tail.covers(place.cursor):
            return place.tail.batch_after(place.cursor)
        if time.monotonic() < place.retry_at:
            return None
        try:
            found = await self._hub.backfill(place.tail, place.cursor, place.count)
        except KeyUnreadable as error:
            log.warning("feed of %s waits: %s", place.tail.exchange, error)
            place.retry_at = time.monotonic() + _LOOK_SECONDS
            return None
        except ArchiveAway as error:
            # Whether entries are missing cannot be said now, so nothing is said; the other exchanges go on.
            log.warning("feed of %s waits: %s", place.tail.exchange, error)
            place.retry_at = time.monotonic() + _LOOK_SECONDS
            return None
        if found.gap is not None:
            await self._say_gap(place.tail.exchange, *found.gap)
        if found.batch is not None:
            # Twice what fitted into this frame: small entries soon travel by the hundred, large ones one by one.
            place.count = min(BATCH_ENTRIES, 2 * found.count)
        place.unproven = not found.whole
        place.cursor = found.cursor if found.batch is None else place.cursor
        return found.batch
