"""Reading on behind a cursor that no ring covers: in the archive first, where the stream no longer reaches."""

from dataclasses import dataclass
from typing import Final

from channels.db import database_sync_to_async

from activity.history import Stretch, read_stretch
from activity.store.client import AsyncClient
from activity.store.history import before
from activity.store.reading import Reading, read_on
from activity.store.stream import START
from activity.wire.entries import EntryId, StreamEntry

#: In a thread of its own: the one thread that Django's synchronous code shares may be busy with a page.
_read_stretch: Final = database_sync_to_async(read_stretch, thread_sensitive=False)


@dataclass(frozen=True, slots=True)
class Behind:
    """What stands behind a cursor: entries, or a gap (the first id behind it may be unknown), or nothing.

    `cursor` is where to go on, and `whole` says that nothing is missing in the stream from there on.
    """

    entries: list[StreamEntry]
    cursor: EntryId
    gap: tuple[EntryId, EntryId | None] | None
    whole: bool


async def read_behind(client: AsyncClient, exchange: str, cursor: EntryId, count: int) -> Behind:
    """Up to `count` entries behind the cursor, oldest first. Raises StoreUnavailable, and ArchiveAway where needed."""
    reading = await read_on(client, exchange, cursor, count)
    if reading.fate == "recreated":
        return await _before_it_began_anew(exchange, cursor, reading, count)
    if cursor == START or reading.fate == "trimmed":
        found = await _read_stretch(exchange, cursor, reading.first, reading.newest, count)
        if found.entries or found.gap:
            return _of(found, reading)
        if reading.fate == "trimmed":
            # The archive has nothing more, and is complete: from here on the stream has it all.
            return Behind([], found.cursor, None, whole=True)
    last = reading.last or cursor
    return Behind([entry.read() for entry in reading.entries], last, None, whole=True)


def _of(found: Stretch, reading: Reading) -> Behind:
    whole = found.gap is not None and found.gap[1] in (reading.first, None)
    return Behind(found.entries, found.cursor, found.gap, whole)


async def _before_it_began_anew(exchange: str, cursor: EntryId, reading: Reading, count: int) -> Behind:
    """The ids of the stream are below the cursor: what the archive has behind it, then all of the stream."""
    found = await _read_stretch(exchange, cursor, None, cursor, count)
    if found.entries:
        return _of(found, reading)
    begin = before(reading.first) if reading.first else START
    return Behind([], begin or START, (cursor, reading.first), whole=True)
