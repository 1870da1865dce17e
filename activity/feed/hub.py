"""One blocking XREAD per watched exchange and process, shared by all of its viewers.

The first viewer of an exchange opens its tail, the last one closes it. A tail keeps the newest entries, each encoded
once; a viewer keeps a cursor and nothing else. Whoever falls behind the ring reads on from Redis.
"""

import asyncio
import logging
import time
from bisect import bisect_right
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import orjson

from activity.feed.audience import Audience, Audiences, Batch, Bell, Mark
from activity.feed.reading import read_behind
from activity.store.client import AsyncClient, KeyUnreadable, StoreUnavailable, async_client, blocking_client
from activity.store.stream import START, last_generated_id, wait_for_entries
from activity.wire.entries import EntryId, RawEntry, StreamEntry
from activity.wire.frames import WINDOW_BYTES

log = logging.getLogger(__name__)

#: Entries that a tail keeps per exchange. Older ones are dropped from memory and read from Redis by cursor instead.
RING_ENTRIES: Final = 8192
#: Bytes that a tail keeps per exchange, give or take a read: 8192 entries of 1 KB.
RING_BYTES: Final = 8 * 1024 * 1024
#: Entries that travel in one frame at the most (PERFORMANCE: the cost is per message, not per entry).
BATCH_ENTRIES: Final = 512
#: Bytes of entries in one frame, unless a single entry is larger: a quarter of a viewer's window of 256 KB.
BATCH_BYTES: Final = 64 * 1024
#: Frames kept for viewers in lockstep. The oldest is dropped and encoded again for whoever still needs it.
CACHED_FRAMES: Final = 64
#: Milliseconds that a quiet tail's XREAD waits: the shortest, so much per tail of the process, and the longest. Asking
#: anew every 4 s cost a process with 1,000 tails 8 % of a core; at 15 s it costs 2.
SHORTEST_BLOCK: Final = 4_000
BLOCK_PER_TAIL: Final = 15
LONGEST_BLOCK: Final = 15_000
#: Seconds between two tries while Redis is away.
RETRY_SECONDS: Final = 1.0
#: A message costs about 18 us of the process' one core, whatever is in it. So a tail rests as long as telling its
#: viewers took, at most so many seconds, and what comes meanwhile travels together: at 200 entries/s to 1,000 viewers
#: that is half of the core instead of all of it. Who has few viewers, or few entries, waits for nothing.
LONGEST_PAUSE: Final = 0.1


@dataclass(frozen=True, slots=True)
class Backfill:
    """What a viewer gets that no ring reaches: a frame, or entries that are missing, or nothing; and where it goes on.

    `whole`: from that cursor on the stream holds everything, so that a ring that covers it may be trusted.
    """

    cursor: EntryId
    batch: Batch | None
    gap: tuple[EntryId, EntryId | None] | None
    whole: bool
    #: Entries in the frame: how many to ask for next, so that 70 KB entries are not read by the hundred.
    count: int = 0


class TailFailed(Exception):
    """The reader of an exchange ended with an error. Its viewers close and resume; the next one opens a new tail."""


def encode_entry(entry: RawEntry | StreamEntry) -> str:
    """One entry as the JSON object that travels in a frame."""
    return orjson.dumps(entry.to_json()).decode()


def encode_batch(exchange: str, last: EntryId, encoded: Iterable[str]) -> Batch:
    """An entries frame out of entries that are encoded already."""
    text = f'{{"type":"entries","exchange":{orjson.dumps(exchange).decode()},"entries":[{",".join(encoded)}]}}'
    return Batch(text, last, len(text.encode()))


class Tail:
    """The newest entries of one exchange, in id order, and the task that reads on."""

    def __init__(
        self,
        exchange: str,
        blocking: AsyncClient,
        client: AsyncClient,
        block: Callable[[], int] = lambda: SHORTEST_BLOCK,
    ) -> None:
        """`block` tells for how many milliseconds the next read may wait."""
        self.exchange = exchange
        #: Rises when the stream was recreated: cursors from before mean nothing in it.
        self.generation = 0
        #: The cursor from which everybody goes on in the present generation.
        self.begins = START
        #: Who is told when this tail moves.
        self.audiences: set[Audience] = set()
        #: Called with every batch of new entries; the board refreshes at once after a transition.
        self.on_entries: Callable[[str, Sequence[RawEntry]], None] | None = None
        self._blocking = blocking
        self._client = client
        self._block = block
        self._floor = START
        self._ids: list[EntryId] = []
        self._encoded: list[str] = []
        self._sizes: list[int] = []
        self._bytes = 0
        self._dropped = 0
        self._frames: OrderedDict[tuple[int, int], Batch] = OrderedDict()
        self._task: asyncio.Task[None] | None = None
        self._stopped = False
        self._failure: BaseException | None = None

    @property
    def last(self) -> EntryId:
        """The newest id that this tail has read."""
        return self._ids[-1] if self._ids else self._floor

    @property
    def failed(self) -> bool:
        """Whether the reader has ended with an error."""
        return self._failure is not None

    async def open(self) -> None:
        """Stand at the stream's newest entry and start reading. Raises StoreUnavailable."""
        with suppress(KeyUnreadable):  # the reader says so and tries again; the viewers' other exchanges go on
            self._floor = await last_generated_id(self._client, self.exchange)
        self._task = asyncio.create_task(self._read_until_stopped(), name=f"tail of {self.exchange}")
        self._task.add_done_callback(self._ended)

    def stop(self) -> "asyncio.Task[None] | None":
        """Stop reading; the task that ends now."""
        self._stopped = True
        if self._task is not None:
            self._task.cancel()
        return self._task

    def covers(self, cursor: EntryId) -> bool:
        """Whether everything after the cursor is in memory. Raises TailFailed where the reader has ended."""
        if self._failure is not None:
            raise TailFailed(self.exchange) from self._failure
        return cursor >= self._floor

    def batch_after(self, cursor: EntryId) -> Batch | None:
        """The next frame after a covered cursor, None at the end. Viewers in lockstep get the same object."""
        start = bisect_right(self._ids, cursor)
        if start == len(self._ids):
            return None
        end, size = start, 0
        while end < len(self._ids) and end - start < BATCH_ENTRIES:
            size += self._sizes[end]
            if size > BATCH_BYTES and end > start:
                break
            end += 1
        key = (self._dropped + start, self._dropped + end)
        batch = self._frames.get(key)
        if batch is None:
            batch = encode_batch(self.exchange, self._ids[end - 1], self._encoded[start:end])
            self._frames[key] = batch
            if len(self._frames) > CACHED_FRAMES:
                self._frames.popitem(last=False)
        return batch

    async def _read_until_stopped(self) -> None:
        try:
            await self._read()
        except asyncio.CancelledError:
            if not self._stopped:
                raise
            # A task keeps how it was cancelled, with all frames that it went through, and asyncio.timeout in one of
            # them the task: of that ring only the collector frees anything, and with it the entries that are held.

    async def _read(self) -> None:
        away = False
        while True:
            try:
                entries = await wait_for_entries(self._blocking, self.exchange, self.last, BATCH_ENTRIES, self._block())
                if away or not entries:
                    newest = await last_generated_id(self._client, self.exchange)
                    if newest < self.last:
                        self._restart(newest)
                        continue
            except StoreUnavailable as error:
                if not away:
                    log.warning("feed of %s waits: %s", self.exchange, error)
                away = True
                await asyncio.sleep(RETRY_SECONDS)
                continue
            if away:
                log.warning("feed of %s goes on after %s", self.exchange, self.last)
                away = False
            if entries:
                began = time.monotonic()
                self._keep(entries)
                if len(entries) < BATCH_ENTRIES:
                    await asyncio.sleep(min(LONGEST_PAUSE, time.monotonic() - began))

    def _keep(self, entries: Sequence[RawEntry]) -> None:
        before = Mark(self, self.last, self.generation)
        for entry in entries:
            encoded = encode_entry(entry)
            size = len(encoded.encode())
            self._ids.append(entry.id)
            self._encoded.append(encoded)
            self._sizes.append(size)
            self._bytes += size
        if len(self._ids) > RING_ENTRIES + BATCH_ENTRIES or self._bytes > RING_BYTES + WINDOW_BYTES:
            self._drop()
        if self.on_entries is not None:
            self.on_entries(self.exchange, entries)
        frames = self._frames_after(before.last)
        for audience in self.audiences:
            audience.deliver(before, frames)

    def _frames_after(self, cursor: EntryId) -> list[Batch]:
        """What is new in frames, as much as a viewer's window takes; none where the ring kept too little of it."""
        frames: list[Batch] = []
        if not self.covers(cursor):
            return frames
        size = 0
        while size < WINDOW_BYTES and (frame := self.batch_after(cursor)) is not None:
            frames.append(frame)
            cursor, size = frame.last, size + frame.size
        return frames

    def _drop(self) -> None:
        """Let the oldest go, a read's worth at a time: dropping half of a ring at once held the feed up for 6 ms."""
        surplus, left = 0, self._bytes
        while surplus < len(self._ids) - 1 and (len(self._ids) - surplus > RING_ENTRIES or left > RING_BYTES):
            left -= self._sizes[surplus]
            surplus += 1
        self._floor = self._ids[surplus - 1]
        del self._ids[:surplus], self._encoded[:surplus], self._sizes[:surplus]
        self._bytes = left
        self._dropped += surplus

    def _restart(self, newest: EntryId) -> None:
        """The stream's newest id lies below ours: Redis lost its end, or it was recreated.

        Where its newest entry is one that we have sent, only the end was lost and nothing is sent again. Else what it
        holds is unknown to us, and all of it is sent.
        """
        place = bisect_right(self._ids, newest)
        common = bool(place) and self._ids[place - 1] == newest
        log.warning(
            "the stream of %s ends at %s below %s: it %s",
            *(self.exchange, newest, self.last, "lost its end" if common else "was recreated"),
        )
        self._announce()
        self.generation += 1
        self.begins = newest if common else START
        self._dropped += len(self._ids)
        self._ids.clear()
        self._encoded.clear()
        self._sizes.clear()
        self._bytes = 0
        self._frames.clear()
        self._floor = self.begins
        self._wake()

    def _announce(self) -> None:
        for audience in self.audiences:
            audience.announce(self)

    def _wake(self) -> None:
        for audience in self.audiences:
            audience.ring()

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and not (self._stopped and task.exception() is None):
            self._announce()
            self._failure = task.exception() or RuntimeError("the reader returned")
            log.error("the reader of %s failed; its viewers resume", self.exchange, exc_info=self._failure)
            self._wake()


class Hub:
    """The tails of one process."""

    def __init__(self, redis_url: str) -> None:
        self.client = async_client(redis_url)
        #: Called with every batch of new entries of any watched exchange.
        self.on_entries: Callable[[str, Sequence[RawEntry]], None] | None = None
        self.audiences = Audiences()
        self._blocking = blocking_client(redis_url, LONGEST_BLOCK)
        self._tails: dict[str, Tail] = {}
        #: Tails that nobody watches any more, until their tasks have ended.
        self._ending: set[asyncio.Task[None]] = set()
        #: One lock per exchange ever watched, so that a slow Redis holds up each exchange once and not each viewer.
        self._opening: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        #: What the newest try of an exchange found, and when: those who waited for it need no try of their own.
        self._refused: dict[str, tuple[float, StoreUnavailable]] = {}

    def join(self, exchanges: Mapping[str, int], bell: Bell) -> Audience:
        """Watch these exchanges: `bell` rings when there may be something new. What no viewer had yet, `open` opens."""
        audience = self.audiences.join(exchanges, bell)
        for exchange in exchanges:
            tail = self._tails.get(exchange)
            if tail is not None and not tail.failed:
                tail.audiences.add(audience)
        return audience

    def leave(self, audience: Audience, bell: Bell) -> None:
        """Watch them no longer. The last viewer of an exchange closes its tail."""
        if not self.audiences.leave(audience, bell):
            return
        for exchange in audience.exchanges:
            tail = self._tails.get(exchange)
            if tail is not None:
                tail.audiences.discard(audience)
                if not tail.audiences:
                    del self._tails[exchange]
                    self._end(tail)

    async def open(self, audience: Audience, exchange: str) -> Tail:
        """The exchange's tail, opened by the first who asks. Raises StoreUnavailable where Redis is away."""
        tail = self._tails.get(exchange)
        if tail is not None and not tail.failed and audience in tail.audiences:
            return tail
        asked_at = time.monotonic()
        async with self._opening[exchange]:
            tail = self._tails.get(exchange)
            if tail is None or tail.failed:
                refused = self._refused.get(exchange)
                if refused is not None and refused[0] >= asked_at:
                    raise StoreUnavailable(str(refused[1])) from refused[1]
                tail = Tail(exchange, self._blocking, self.client, self._block)
                tail.on_entries = self.on_entries
                try:
                    await tail.open()
                except StoreUnavailable as error:
                    self._refused[exchange] = (time.monotonic(), error)
                    raise
                self._refused.pop(exchange, None)
                self._tails[exchange] = tail
            tail.audiences.add(audience)
            if not audience.members:  # everybody left while it was opened
                tail.audiences.discard(audience)
                if not tail.audiences:
                    del self._tails[exchange]
                    self._end(tail)
            return tail

    def _block(self) -> int:
        return min(LONGEST_BLOCK, max(SHORTEST_BLOCK, BLOCK_PER_TAIL * len(self._tails)))

    def _end(self, tail: Tail) -> None:
        task = tail.stop()
        if task is not None and not task.done():
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)

    @property
    def watched(self) -> frozenset[str]:
        """The exchanges that somebody watches."""
        return frozenset(self._tails)

    def newest(self, exchange: str) -> EntryId:
        """The newest id that the exchange's tail has read, 0-0 where it has none."""
        tail = self._tails.get(exchange)
        return tail.last if tail is not None else START

    async def backfill(self, tail: Tail, cursor: EntryId, count: int = BATCH_ENTRIES) -> Backfill:
        """The next frame of up to `count` entries behind a cursor, from the archive or the stream.

        Raises StoreUnavailable, ArchiveAway.
        """
        found = await read_behind(self.client, tail.exchange, cursor, count)
        taken: list[str] = []
        size = 0
        for entry in found.entries:
            encoded = encode_entry(entry)
            size += len(encoded.encode())
            if taken and size > BATCH_BYTES:
                break
            taken.append(encoded)
        if not taken:
            return Backfill(found.cursor, None, found.gap, found.whole)
        batch = encode_batch(tail.exchange, found.entries[len(taken) - 1].id, taken)
        return Backfill(batch.last, batch, None, found.whole, len(taken))

    async def close(self) -> None:
        """End every tail and connection."""
        for tail in self._tails.values():
            self._end(tail)
        self._tails.clear()
        if self._ending:
            await asyncio.wait(set(self._ending))
        await self._blocking.aclose()
        await self.client.aclose()
