"""Every status, read once per process and period, and at once after a transition was seen on a stream.

A viewer that watches gets a status frame on every change of state, owner or liveness, and on each heartbeat.
"""

import asyncio
import logging
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from channels.db import database_sync_to_async

from activity.history import ArchiveAway, read_last_known
from activity.store.client import StoreUnavailable, SyncClient
from activity.store.history import RawStatus, read_raw_statuses
from activity.wire.entries import StreamEntry
from activity.wire.frames import Status, Store, encode_json

log = logging.getLogger(__name__)

#: In a thread of its own: the one thread that Django's synchronous code shares may be busy with a page.
_read_last_known: Final = database_sync_to_async(read_last_known, thread_sensitive=False)
#: A TTL that is this much longer than it should be by now was renewed.
RISE_MILLISECONDS: Final = 400
#: Seconds between two looks at the least, however many transitions come by.
FLOOR_SECONDS: Final = 0.05
#: Seconds between two looks at all keys: a key that expires is told within the TTL and a second.
PERIOD_SECONDS: Final = 0.5


@dataclass(slots=True)
class _Known:
    """The newest look at one exchange. `change` rises with everything that viewers must be told."""

    exchange_id: int
    raw: RawStatus
    seen_at: float
    last_known: StreamEntry | None
    change: int
    text: str = ""
    text_at: float = 0.0


def _differs(known: _Known, raw: RawStatus, now: float) -> bool:
    """Whether viewers must be told: another value or owner state, or a TTL that rose, which only a heartbeat does."""
    if (known.raw.value, known.raw.owner_state, known.raw.problem) != (raw.value, raw.owner_state, raw.problem):
        return True
    if known.raw.ttl_ms is None or raw.ttl_ms is None:
        return known.raw.ttl_ms is not raw.ttl_ms
    return raw.ttl_ms > known.raw.ttl_ms - (now - known.seen_at) * 1000 + RISE_MILLISECONDS


class Subscription:
    """What one viewer has been told. Keeps one number per exchange: a newer status replaces an unsent older one."""

    def __init__(self, board: "Board", waker: asyncio.Event) -> None:
        self._board = board
        self._waker = waker
        self._told: dict[str, int] = {}
        self._told_away: str | None = None
        self._since = time.monotonic()

    def frames(self, wanted: Mapping[str, int]) -> Iterator[str]:
        """Frames that this viewer lacks, for the exchanges (name to id) that it wants."""
        self._board.want(self, wanted)
        if self._board.tried_at < self._since:
            return  # what was seen before this viewer came may be over: it waits for a look of its own
        if self._told_away != self._board.away:
            self._told_away = self._board.away
            yield self._board.store_frame()
        if self._board.looked_at < self._since:
            return
        for exchange in wanted:
            known = self._board.known.get(exchange)
            if known is not None and self._told.get(exchange) != known.change:
                self._told[exchange] = known.change
                yield self._board.frame(exchange, known)
        for exchange in [name for name in self._told if name not in wanted]:
            del self._told[exchange]

    def close(self) -> None:
        """The viewer is gone."""
        self._board.drop(self, self._waker)


class Board:
    """The statuses of all exchanges that any viewer of this process wants."""

    def __init__(self, client: SyncClient) -> None:
        """`client` is the process' sync client: reads run in a thread, off the event loop."""
        self.known: dict[str, _Known] = {}
        #: Why Redis cannot be read at present; empty while it can.
        self.away = ""
        #: When the newest look that succeeded began, and the newest of all, by the monotonic clock.
        self.looked_at = self.tried_at = -math.inf
        self._client = client
        self._wanted: dict[Subscription, Mapping[str, int]] = {}
        self._wakers: set[asyncio.Event] = set()
        self._stale: set[str] = set()
        #: Entries that came by for offline exchanges and tell their state: one per exchange, the newest.
        self._heard: dict[str, StreamEntry] = {}
        #: Exchanges whose last known state waits for the database, so that it is said once.
        self._unasked: set[str] = set()
        self._poke = asyncio.Event()
        #: Somebody subscribed after the last look began.
        self._newcomers = False
        self._task: asyncio.Task[None] | None = None
        self._changes = 0

    def subscribe(self, waker: asyncio.Event) -> Subscription:
        """Take part; the first viewer starts the loop. `waker` is set when there may be a frame."""
        self._wakers.add(waker)
        self._newcomers = True
        self._poke.set()
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(), name="board")
            self._task.add_done_callback(self._ended)
        return Subscription(self, waker)

    def want(self, subscription: Subscription, wanted: Mapping[str, int]) -> None:
        """Note what a viewer wants; something new is read at once."""
        if self._wanted.get(subscription) is not wanted:
            self._wanted[subscription] = wanted
            if any(name not in self.known for name in wanted):
                self._poke.set()

    def drop(self, subscription: Subscription, waker: asyncio.Event) -> None:
        """A viewer left; the last one ends the loop."""
        self._wakers.discard(waker)
        self._wanted.pop(subscription, None)
        if not self._wakers and self._task is not None:
            self._task.cancel()
            self._task = None
            self.known.clear()
            self._heard.clear()
            self._stale.clear()

    def entries_seen(self, exchange: str, entries: Sequence[StreamEntry]) -> None:
        """New entries came by: a transition moves its card at once, and an offline card learns its last known."""
        telling = [entry for entry in entries if entry.state]
        known = self.known.get(exchange)
        if telling and known is not None and known.raw.value is None:
            self._heard[exchange] = telling[-1]
            self._poke.set()
        elif any(entry.kind == "state_transition" for entry in telling):
            self._poke.set()

    def store_frame(self) -> str:
        """Whether Redis can be read, as of the last look."""
        return Store(available=not self.away, problem=self.away).model_dump_json()

    def frame(self, exchange: str, known: _Known) -> str:
        """The status frame, encoded once per change; its TTL is the one at the moment of the look, aged until now."""
        now = time.monotonic()
        if not known.text or now - known.text_at > PERIOD_SECONDS:
            known.text, known.text_at = self._encode(exchange, known, now), now
        return known.text

    async def close(self) -> None:
        """End the loop."""
        if self._task is not None:
            task, self._task = self._task, None
            task.cancel()
            await asyncio.wait({task})

    async def _run(self) -> None:
        while True:
            self._poke.clear()
            newcomers, self._newcomers = self._newcomers, False
            began = time.monotonic()
            wanted = {name: number for exchanges in self._wanted.values() for name, number in exchanges.items()}
            try:
                changed = await self._look(wanted)
                self.looked_at = began
                if self.away:
                    log.warning("statuses are read again")
                    self.away, changed = "", True
            except StoreUnavailable as error:
                changed = not self.away
                if changed:
                    log.warning("statuses cannot be read: %s", error)
                    self.away = str(error)
            self.tried_at = began
            if changed or newcomers:
                for waker in self._wakers:
                    waker.set()
            await asyncio.sleep(FLOOR_SECONDS)
            try:
                async with asyncio.timeout(PERIOD_SECONDS - FLOOR_SECONDS):
                    await self._poke.wait()
            except TimeoutError:
                continue

    async def _look(self, wanted: Mapping[str, int]) -> bool:
        found = await asyncio.to_thread(read_raw_statuses, self._client, list(wanted.values()))
        seen_at = time.monotonic()
        heard, self._heard = self._heard, {}
        stale, self._stale = self._stale, set()
        changed = False
        try:
            for (name, exchange_id), raw in zip(wanted.items(), found, strict=True):
                known = self.known.get(name)
                last_known = await self._last_known(name, known, raw, heard.get(name), ask_again=name in stale)
                if known is not None and known.last_known == last_known and not _differs(known, raw, seen_at):
                    continue
                self._changes += 1
                self.known[name] = _Known(exchange_id, raw, seen_at, last_known, self._changes)
                changed = True
        except StoreUnavailable:
            self._heard, self._stale = heard | self._heard, stale | self._stale
            raise
        for name in [name for name in self.known if name not in wanted]:
            del self.known[name]
        return changed

    async def _last_known(
        self, name: str, known: _Known | None, raw: RawStatus, heard: StreamEntry | None, *, ask_again: bool
    ) -> StreamEntry | None:
        """What to show while the exchange is offline. Read once when it goes, then kept up to date by what comes by."""
        if raw.value is not None:
            return None
        if heard is not None:
            return heard
        if known is not None and known.raw.value is None and not ask_again:
            return known.last_known
        try:
            last_known = (await _read_last_known(self._client, name))[0]
            self._unasked.discard(name)
            return last_known
        except ArchiveAway as error:
            # The stream tells nothing and the archive cannot be asked: what was known stays, and it is asked again.
            if name not in self._unasked:
                log.warning("the last known state of %s has to wait: %s", name, error)
            self._unasked.add(name)
            self._stale.add(name)
            return known.last_known if known else None

    def _encode(self, exchange: str, known: _Known, now: float) -> str:
        raw = known.raw
        reading = raw.reading
        aged = int((now - known.seen_at) * 1000)
        frame = Status(
            exchange=exchange,
            online=reading is not None,
            status=(reading.fields or None) if reading else None,
            lastKnown=known.last_known.to_json() if known.last_known else None,
            ttlMs=max(0, raw.ttl_ms - aged) if raw.ttl_ms is not None else None,
            problem=reading.problem if reading else "",
            ownerState=raw.owner_state,
        )
        return encode_json(frame.model_dump())

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("the board failed and starts anew", exc_info=error)
            if self._wakers:
                self._task = asyncio.create_task(self._run(), name="board")
                self._task.add_done_callback(self._ended)
