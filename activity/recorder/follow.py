"""One exchange's stream on its way into the archive, from the cursor on, for as long as the recorder runs.

Any number of recorders may follow the same exchange: the cursor's row decides each batch. Whoever finds that another
one was faster stands by and looks now and then whether the cursor still moves, so that the work is not done twice.
"""

import asyncio
import logging
from dataclasses import dataclass, field, replace
from typing import Final, Literal, NamedTuple

from django.db import IntegrityError, connections

from activity.models import ArchiveGap
from activity.models.archive import can_be_kept
from activity.recorder.database import DatabaseAway, DatabaseThread
from activity.recorder.outages import FIRST_PAUSE, Outages, longer
from activity.recorder.progress import Progress
from activity.recorder.room import Room, Share, bytes_held
from activity.recorder.writing import Batch, Gap, Outcome, Step, load_cursor, no_step, ready, split, store
from activity.store.client import AsyncClient, StoreUnavailable, blocking_client
from activity.store.reading import Reading, read_on, wait_beyond
from activity.store.stream import START, last_generated_id
from activity.wire.entries import EntryId

log = logging.getLogger(__name__)

#: Entries of one reading, fewer where they are large.
MOST_ENTRIES: Final = 1000
FEWEST_ENTRIES: Final = 4
#: Full readings that are stored together while catching up. Postgres: 15 µs per entry, 17 with four and 25 with one by
#: itself, as each transaction waits eight times for the server. SQLite: one, as nobody else can write meanwhile.
TOGETHER: Final = {"postgresql": 8, "sqlite": 1}
#: Bytes that a batch should not exceed: it is held in memory once as read and once as written.
BATCH_BYTES: Final = 8 << 20
#: Bytes that all followers of a process hold together, read and not stored yet. One that catches up alone needs 40 MB.
HELD_BYTES: Final = 64 << 20
#: Bytes of an entry before any was read, for the first reading alone; ours take 2.3 KB (`bytes_held`).
_UNKNOWN_BYTES: Final = 4096
#: Entries that are asked for at first where few are expected, or nobody knows whether Redis answers at all.
FEW_ENTRIES: Final = 100
#: Seconds between two looks of a recorder that stands by.
STAND_BY_SECONDS: Final = 2.0
#: The same while somebody waits for `--once`.
ONCE_SECONDS: Final = 0.2


class Behind(Exception):
    """`--once` cannot catch up now; the message says what is away."""


@dataclass(frozen=True, slots=True)
class Tools:
    """What all followers of a process share."""

    redis_url: str
    database: DatabaseThread
    outages: Outages
    progress: Progress
    #: End when caught up, and raise Behind instead of waiting for what is away.
    once: bool = False
    step: Step = no_step
    room: Room = field(default_factory=lambda: Room(HELD_BYTES))


class Next(NamedTuple):
    """What was read, what of it is to be stored (None: nothing), how far that was read, and the room that it takes."""

    reading: Reading
    batch: Batch | None
    position: EntryId
    share: Share


class Follower:
    """Follows one exchange."""

    def __init__(self, exchange_id: int, name: str, tools: Tools) -> None:
        self._id = exchange_id
        self._name = name
        self._tools = tools
        # One connection of its own: it either reads or waits.
        self._client: AsyncClient = blocking_client(tools.redis_url)
        #: Where the cursor's row stands as far as we know; None: not known, ask.
        self._kept: EntryId | None = None
        #: What was read last. Ahead of `_kept` only behind an id that SQL cannot hold.
        self._position = START
        self._count = MOST_ENTRIES // 4
        #: Entries that the next reading begins with, bytes that each of them takes, and whether it had caught up.
        self._first = self._count
        self._entry_bytes = _UNKNOWN_BYTES
        self._live = False
        self._together = TOGETHER[connections["default"].vendor]
        #: The next batch, in the making while one is stored. Only while catching up, and only behind that one.
        self._ahead: asyncio.Task[Next] | None = None
        #: `--once`: the newest id when it began. What comes later is for the next run.
        self._target: EntryId | None = None

    async def run(self) -> None:
        """For ever, through every outage; with `once` until caught up. Raises Behind (only then) and mistakes."""
        try:
            await self._follow()
        finally:
            self._tools.outages.gone(self._name)
            await self._forget_ahead()
            await self._client.aclose()

    async def _follow(self) -> None:
        pause = FIRST_PAUSE
        while True:
            try:
                if await self._turn():
                    return
                pause = FIRST_PAUSE
                continue
            except StoreUnavailable as error:
                self._away("Redis", error)
            except DatabaseAway as error:
                self._away("the database", error)
            except IntegrityError as error:  # its row in `exchanges` is gone: the list of exchanges will say so
                log.warning("%s: the database refuses a batch, trying again: %s", self._name, error)
            await self._forget_ahead()
            self._kept = None  # a commit whose answer was lost may have moved it
            # Hundreds whose shard is silent would else hold all of the room while they wait for it.
            self._first, self._live = min(FEW_ENTRIES, self._count), False
            await asyncio.sleep(pause)
            pause = longer(pause)

    def _away(self, what: str, error: Exception) -> None:
        if self._tools.once:
            raise Behind(f"{what} is away: {error}") from error
        self._tools.outages.away(what, error, to=self._name)

    async def _turn(self) -> bool:
        """One batch, or one wait for entries. True when there is nothing more to do."""
        tools = self._tools
        if self._kept is None:
            self._kept = self._position = await tools.database.run(load_cursor, self._id)
        outcome, caught_up = await self._store_next(self._kept)  # what was read is let go of in there, before any wait
        if outcome == "nothing":
            if tools.once:
                return True
            await wait_beyond(self._client, self._name, self._position)
            return False
        if outcome != "stored":
            await self._forget_ahead()
            self._kept = None
            return await self._stand_by()
        return tools.once and caught_up

    async def _store_next(self, kept: EntryId) -> tuple[Outcome | Literal["nothing"], bool]:
        """Read the next batch and store it; whether the newest entry of `--once` is in the archive then."""
        tools = self._tools
        found = await (self._ahead or self._next(self._position, kept))
        self._ahead = None  # only now: until it is here, whoever forgets it gives its room back
        with found.share:
            reading, batch, position, _ = found
            tools.outages.back("Redis", to=self._name)
            tools.step("read")
            if self._target is None:
                self._target = reading.newest
            if batch is None:
                tools.outages.back("the database", to=self._name)
                return "nothing", True
            if batch.entries and reading.newest > position:
                self._ahead = asyncio.create_task(
                    self._next(position, batch.end), name=f"archive of {self._name}: reading ahead"
                )
            outcome = await tools.database.run(store, self._id, batch, tools.step)
        # Only now: a database on a full disk could be read all the time.
        tools.outages.back("the database", to=self._name)
        if outcome != "stored":
            return outcome, False
        tools.step("stored")
        self._kept, self._position = batch.end, position
        self._say(batch)
        tools.progress.stored(self._name, len(batch.entries), reading.remaining_after(position))
        return outcome, position >= self._target and reading.fate != "recreated"

    async def _next(self, position: EntryId, kept: EntryId) -> Next:
        share = await self._tools.room.take(self._room_for(self._first), live=self._live)
        try:
            reading, held, goes_on = await self._read(position, self._first)
            share.set(held)
            for _ in range(1, self._together):
                if not goes_on or not share.grow(self._room_for(self._count)):
                    break
                more, added, goes_on = await self._read(reading.entries[-1].id, self._count)
                if more.fate != "whole" or not more.entries:
                    share.set(held)
                    break  # it is read again when its turn comes
                held += added
                share.set(held)
                reading = replace(more, fate=reading.fate, entries=reading.entries + more.entries)
            batch, end = self._batch(reading, position, kept)
            self._expect(reading, end)
            return Next(reading, batch and ready(self._id, batch), end, share)
        except BaseException:
            share.give_back()
            raise

    def _room_for(self, count: int) -> int:
        """Bytes for so many entries like those that were read last, and a quarter more: they vary."""
        return count * self._entry_bytes * 5 // 4

    def _expect(self, reading: Reading, end: EntryId) -> None:
        """How many entries to ask for next: all that may be had while behind, about as many as of late while live."""
        self._live = reading.newest <= end
        few = max(FEW_ENTRIES, 2 * len(reading.entries), self._first // 2)
        self._first = min(self._count, few) if self._live else self._count

    async def _read(self, position: EntryId, count: int) -> tuple[Reading, int, bool]:
        """What it takes until it is stored, and whether some more may be added to it.

        That is so where it is full, and all of them will hardly exceed a batch's bytes.
        """
        reading = await read_on(self._client, self._name, position, count)
        size, is_full = sum(sum(map(len, entry.pairs)) for entry in reading.entries), len(reading.entries) == count
        if size > BATCH_BYTES:
            self._count = max(FEWEST_ENTRIES, count // 4)
        elif is_full and size < BATCH_BYTES // 4:
            self._count = min(MOST_ENTRIES, max(self._count, 2 * count))
        held = bytes_held(reading.entries, size)
        if reading.entries:
            self._entry_bytes = held // len(reading.entries)
        return reading, held, is_full and size < BATCH_BYTES // self._together

    async def _forget_ahead(self) -> None:
        """What was read ahead no longer follows what is stored."""
        ahead, self._ahead = self._ahead, None
        if ahead is None:
            return
        if ahead.done() and not ahead.cancelled() and ahead.exception() is None:
            ahead.result().share.give_back()
            return
        ahead.cancel()  # where it has room by now, it gives it back
        await asyncio.gather(ahead, return_exceptions=True)

    def _batch(self, reading: Reading, position: EntryId, kept: EntryId) -> tuple[Batch | None, EntryId]:
        reasons = ArchiveGap.Reason
        if reading.fate == "recreated":
            return Batch(kept, START, gaps=[Gap(kept, None, reasons.RECREATED)], restarted=True), START
        if not reading.entries:
            if reading.fate != "trimmed":
                return None, position
            end = reading.newest if can_be_kept(reading.newest) else kept
            return Batch(kept, end, gaps=[Gap(kept, None, reasons.TRIMMED)]), reading.newest
        entries, gaps = split(reading.entries, kept)
        if reading.fate == "trimmed":
            gaps.insert(0, Gap(kept, entries[0].id if entries else None, reasons.TRIMMED))
        end = entries[-1].id if entries else kept
        return Batch(kept, end, entries, gaps, restarted=reading.fate == "lost"), reading.entries[-1].id

    async def _stand_by(self) -> bool:
        """Another recorder follows this exchange. Returns when it no longer does; True when `once` is done."""
        tools = self._tools
        log.info("%s: another recorder is at it, standing by", self._name)
        tools.progress.gone(self._name)
        seen: EntryId | None = None
        while True:
            await asyncio.sleep(ONCE_SECONDS if tools.once else STAND_BY_SECONDS)
            kept = await tools.database.run(load_cursor, self._id)
            newest = await last_generated_id(self._client, self._name)
            if tools.once and self._target is not None and kept >= self._target:
                return True
            if newest == kept:
                seen = None
            elif seen == kept:
                # Behind at two looks and not moved between them: nobody is at it any more.
                log.info("%s: nobody else goes on after %s, taking over", self._name, kept)
                return False
            else:
                seen = kept

    def _say(self, batch: Batch) -> None:
        for gap in batch.gaps:
            until = f"and before {gap.first}" if gap.first else "and up to now"
            log.warning("%s: entries after %s %s may be missing: %s", self._name, gap.after, until, gap.reason.label)
        if batch.restarted and not batch.gaps:
            log.warning("%s: the stream lacks %s, which it had had; going on behind it", self._name, batch.begin)
