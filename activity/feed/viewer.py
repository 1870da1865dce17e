"""One socket's way through the feed: a cursor per exchange, a window of unacknowledged bytes, the statuses it needs.

A viewer that falls behind is not fed from memory: its cursor stands still until it acknowledges, and then it reads on.
It keeps a cursor only where it lags; of every other exchange it has what the exchange's tail has.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from activity.feed.audience import Audience, Batch, Bell, Mark
from activity.feed.board import Board
from activity.feed.hub import BATCH_ENTRIES, RETRY_SECONDS, Hub, Tail
from activity.history import ArchiveAway
from activity.store.client import KeyUnreadable, StoreUnavailable
from activity.store.stream import START
from activity.wire.entries import EntryId
from activity.wire.frames import STALL_SECONDS, STATUS_WINDOW_BYTES, WINDOW_BYTES, Gap

log = logging.getLogger(__name__)

Send = Callable[[str], Awaitable[None]]
#: Sends a text at once, in order with what is sent otherwise. False where that cannot be; then nothing was sent.
Write = Callable[[str], bool]
#: The ASGI extension of a socket's scope that holds its Write. perseus_admin/daphne_sockets.py puts it there.
WRITE_TEXT: Final = "perseus.write_text"
#: Hears a text of the client before anybody else does. False where it is not taken: then it comes once more.
Hear = Callable[[bytes], bool]
#: The ASGI extension of a socket's scope that takes its Hear, and None at the end, where the server can.
HEAR_TEXT: Final = "perseus.hear_text"

#: A socket on which nothing is said looks the same as one that a proxy has lost: something is said at least this often.
SILENCE_SECONDS: Final = 15.0
#: Seconds after which a viewer looks at its stall clock and its exchanges although nothing woke it.
_LOOK_SECONDS: Final = 5.0


class Stalled(Exception):
    """The client acknowledged nothing for 60 s while something waited for it."""


@dataclass(slots=True)
class _Place:
    """Where a viewer stands in an exchange whose newest entries it does not have yet."""

    tail: Tail
    cursor: EntryId
    generation: int
    #: The cursor is the client's own: whether the stream still holds what follows has to be asked first.
    unproven: bool = False
    #: Earliest moment of the next look into an archive that could not be read.
    retry_at: float = 0.0
    #: Entries to ask for in the next read behind the ring.
    count: int = 32

    @property
    def caught_up(self) -> bool:
        """Whether the viewer has what the tail has, so that no cursor of its own is needed."""
        tail = self.tail
        return not self.unproven and self.generation == tail.generation and self.cursor == tail.last


class Viewer:
    """Feeds one socket until it is cancelled, stalls, or a tail fails."""

    def __init__(
        self,
        hub: Hub,
        board: Board,
        send: Send,
        after: Mapping[str, EntryId],
        *,
        statuses_together: bool = False,
        write: Write | None = None,
    ) -> None:
        """`after` are the client's cursors; an exchange left out starts at its newest entries.

        `statuses_together`: the client reads `statuses` frames and acknowledges them. `write`: where the server has it.
        """
        self._hub = hub
        self._board = board
        self._send = send
        self._after = dict(after)
        self._together = statuses_together
        self._wanted: Mapping[str, int] = {}
        self._audience: Audience | None = None
        self._places: dict[str, _Place] = {}
        #: Exchanges whose tail has yet to be opened or looked at.
        self._to_enter: list[str] = []
        #: The newest id that the client has had of an exchange: nobody can have shown more.
        self._had: dict[str, EntryId] = {}
        #: Entries frames sent and not yet acknowledged: last id and bytes. Bounded by the window, over all exchanges.
        self._unacknowledged: dict[str, deque[tuple[EntryId, int]]] = {}
        self._outstanding = 0
        #: The same for frames of statuses: change and bytes.
        self._status_frames: deque[tuple[int, int]] = deque()
        self._status_bytes = 0
        #: Up to which change of the board this client was told, and the most that it ever was.
        self._told = self._told_most = 0
        self._told_away: str | None = None
        self._bell = Bell(self._take if write is not None else None)
        self._write = write
        #: Whether the task waits for its bell and for nothing else, so that frames may go out beside it.
        self._parked = False
        self._since = self._alive_at = self._said_at = time.monotonic()

    def show(self, exchanges: Mapping[str, int]) -> None:
        """Set the exchanges (name to id) that this viewer gets from now on."""
        self._wanted = exchanges
        self._bell.event.set()

    def acknowledge(self, last: Mapping[str, EntryId], statuses: int = 0) -> None:
        """The client has shown everything up to here. Raises ValueError for what was never sent to it."""
        for exchange, entry_id in last.items():
            if self._audience is None or exchange not in self._audience.exchanges:
                continue
            newest = self._had.get(exchange) or max(self._after.get(exchange, START), self._hub.newest(exchange))
            if entry_id > newest > START:
                raise ValueError(f"{exchange}: {entry_id} was not sent, the newest was {newest}")
            waiting = self._unacknowledged.get(exchange)
            while waiting and waiting[0][0] <= entry_id:
                self._outstanding -= waiting.popleft()[1]
                self._alive_at = time.monotonic()
            if waiting is not None and not waiting:
                del self._unacknowledged[exchange]
        if statuses > self._told_most:
            raise ValueError(f"statuses: {statuses} was not sent, the newest was {self._told_most}")
        while self._status_frames and self._status_frames[0][0] <= statuses:
            self._status_bytes -= self._status_frames.popleft()[1]
            self._alive_at = time.monotonic()
        if self._places or self._board.change > self._told:
            self._bell.event.set()

    async def run(self) -> None:
        """Send frames for ever. Raises Stalled, or TailFailed: then the socket closes and the client resumes."""
        self._board.subscribe(self._bell)
        self._since = time.monotonic()
        try:
            while True:
                self._bell.event.clear()
                try:
                    self._seat()
                    await self._send_statuses()
                    await self._enter()
                    self._heed_marks()
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
            self._board.drop(self._bell)
            if self._audience is not None:
                self._hub.leave(self._audience, self._bell)
            self._bell.take = None  # it knew us, and we know it: only the collector would find both

    async def _say(self, text: str) -> None:
        self._said_at = time.monotonic()
        await self._send(text)

    async def _wait(self) -> None:
        self._parked = True
        try:
            async with asyncio.timeout(_LOOK_SECONDS):
                await self._bell.event.wait()
        except TimeoutError:
            return
        finally:
            self._parked = False

    def _take(self, mark: Mark, frames: Sequence[Batch]) -> EntryId:
        """Send what a tail has just read, if this viewer has everything before it and nothing else to do first.

        The id up to which it needs not be woken.
        """
        bell, exchange = self._bell, mark.reader.exchange
        if self._outstanding >= WINDOW_BYTES and exchange in self._places:
            return mark.reader.last  # it lags, and goes on when its client acknowledges: nothing to be woken for
        if not self._parked or bell.event.is_set() or exchange in bell.marks or exchange in self._places:
            return mark.last
        assert self._write is not None
        reached = mark.last
        try:
            for frame in frames:
                if self._outstanding >= WINDOW_BYTES or not self._write(frame.text):
                    break
                self._said_at = time.monotonic()
                if not self._outstanding:
                    self._alive_at = self._said_at
                self._note_sent(exchange, frame)
                reached = frame.last
        except Exception:
            log.exception("a frame could not be written at once")  # the viewer's task tries, and ends its socket
        return reached

    def _note_sent(self, exchange: str, batch: Batch) -> None:
        self._had[exchange] = max(self._had.get(exchange, START), batch.last)
        self._unacknowledged.setdefault(exchange, deque()).append((batch.last, batch.size))
        self._outstanding += batch.size

    def _check_stall(self) -> None:
        if not self._outstanding and self._status_bytes < STATUS_WINDOW_BYTES:
            self._alive_at = time.monotonic()
        elif time.monotonic() - self._alive_at > STALL_SECONDS:
            raise Stalled

    def _seat(self) -> None:
        """Go where those sit who see the same; what is seen no longer is forgotten."""
        before = self._audience
        if before is not None and before.exchanges is self._wanted:
            return
        now = self._audience = self._hub.join(self._wanted, self._bell)
        self._wanted = now.exchanges
        if now is before:
            return
        had = before.exchanges if before is not None else {}
        self._to_enter = [name for name in self._to_enter if name in now.exchanges]
        self._to_enter += [name for name in now.exchanges if name not in had]
        for name in had:
            if name not in now.exchanges:
                self._places.pop(name, None)
                self._bell.marks.pop(name, None)
                self._had.pop(name, None)
                self._outstanding -= sum(size for _, size in self._unacknowledged.pop(name, ()))
        if before is not None:
            self._hub.leave(before, self._bell)
        self._told = 0  # the board may have known before what is new to this viewer
        self._status_frames.clear()
        self._status_bytes = 0
        self._board.look()

    async def _send_statuses(self) -> None:
        """Everything that has changed; what changed twice is told once, as it is now."""
        board, audience = self._board, self._audience
        if board.tried_at < self._since or audience is None:
            return  # what was seen before this viewer came may be over: it waits for a look of its own
        if self._told_away != board.away:
            self._told_away = board.away
            await self._say(board.store_frame())
        if board.looked_at < self._since:
            return
        while board.change > self._told and self._status_bytes < STATUS_WINDOW_BYTES:
            message = board.after(audience, self._told, together=self._together)
            self._told = message.upto
            self._told_most = max(self._told_most, message.upto)
            if self._together and message.texts:
                self._status_frames.append((message.upto, message.size))
                self._status_bytes += message.size
            for text in message.texts:
                await self._say(text)

    async def _enter(self) -> None:
        """Find where the client stands in exchanges that are new to it: nearly always at the newest entry."""
        while self._to_enter and self._audience is not None:
            name = self._to_enter[-1]
            tail = await self._hub.open(self._audience, name)
            if not self._to_enter or self._to_enter[-1] != name:
                continue
            # Only now: a Redis that goes away half-way leaves the cursor for the next try.
            self._to_enter.pop()
            asked = self._after.pop(name, None)
            if asked is None:
                continue
            self._bell.marks.pop(name, None)
            if asked != tail.last or asked == START:
                self._had[name] = max(asked, tail.last)
                unproven = not (START < asked <= tail.last and tail.covers(asked))
                self._places[name] = _Place(tail, asked, tail.generation, unproven)

    def _heed_marks(self) -> None:
        """Where a tail has moved, this viewer lags from now on, by what came since."""
        marks, self._bell.marks = self._bell.marks, {}
        for name, mark in marks.items():
            if name not in self._places:
                assert isinstance(mark.reader, Tail)
                self._places[name] = _Place(mark.reader, mark.last, mark.generation)
                self._had.setdefault(name, mark.last)

    async def _say_gap(self, exchange: str, after: EntryId, first: EntryId | None) -> None:
        gap = Gap(exchange=exchange, after=str(after), first=str(first) if first else None)
        await self._say(gap.model_dump_json())

    async def _send_entries(self) -> bool:
        """One frame per exchange that has something, while the window is open. True when there may be more."""
        more = False
        for exchange, place in list(self._places.items()):
            if place.generation != place.tail.generation:
                place.generation = place.tail.generation
                place.unproven = False
                await self._say_gap(exchange, place.cursor, None)
                place.cursor = place.tail.begins
            if self._outstanding >= WINDOW_BYTES:
                return False  # an acknowledgement wakes us
            had = place.cursor
            batch = await self._next(place)
            if batch is not None:
                place.cursor = batch.last
                self._note_sent(exchange, batch)
                await self._say(batch.text)
            more = more or place.cursor != had
            if place.caught_up:
                # In step with its tail at this very moment: an older mark would send again what was sent.
                self._bell.marks.pop(exchange, None)
                del self._places[exchange]
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
