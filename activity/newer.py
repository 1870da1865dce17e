"""From a place in the history towards its newest entry: what a page reads that is scrolled upwards.

The seam between archive and stream moves while it is read, since streams are trimmed at any time. So every step asks
the stream for its entries and its first one at the same moment, and the archive for what lies below that one.
"""

import heapq
import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from activity.archived import ArchiveAway, archived_on
from activity.filters import EVERYTHING, Filter
from activity.history import History, each_once
from activity.store.client import KeyUnreadable, SyncClient
from activity.store.history import SCAN_LIMIT, SCAN_SECONDS, STEP, HistoryGap, Position, before
from activity.store.pipelines import read_together_now
from activity.store.stream import after
from activity.wire.entries import EntryId, StreamEntry, read_entry
from activity.wire.keys import stream_key

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class NewerPage:
    """Entries and gaps newest first. `cursor` is where to go on upwards; `complete`: there was nothing above it."""

    entries: list[tuple[str, StreamEntry]]
    gaps: Sequence[HistoryGap]
    cursor: str
    complete: bool


def read_newer(
    client: SyncClient, names: Sequence[str], *, count: int, cursor: str, where: Filter = EVERYTHING
) -> NewerPage:
    """The up to `count` entries right above a cursor, which may be fewer: as `history.read_page` it looks at 10,000.

    Raises ValueError for a malformed cursor, StoreUnavailable, and ArchiveAway where nothing can be said without it.
    """
    position = Position.parse(cursor)
    names = sorted(name for name in set(names) if where.exchange in ("", name))
    history = History(client, names, STEP, where)
    entries: list[tuple[str, StreamEntry]] = []
    last, complete = position, True
    deadline = time.monotonic() + SCAN_SECONDS

    def rows(rank: int, name: str) -> Iterator[tuple[int, int, int, StreamEntry]]:
        # Pages order entries of one id by name; upwards that is the other way round.
        start = position.entry_id if name < position.exchange else EntryId.parse(after(position.entry_id))
        for entry in _oldest_first(client, history, name, max(start, EntryId(where.since or 0, 0))):
            if where.until is not None and entry.id.milliseconds > where.until:
                return
            yield entry.id.milliseconds, entry.id.sequence, -rank, entry

    merged = heapq.merge(*(rows(rank, name) for rank, name in enumerate(names)), key=lambda row: row[:3])
    try:
        for looked_at, (_, _, rank, entry) in enumerate(merged):
            if len(entries) == count or looked_at >= SCAN_LIMIT or (looked_at and time.monotonic() > deadline):
                complete = False
                break
            last = Position(entry.id, names[-rank])
            if where.matches(entry):
                entries.append((last.exchange, entry))
    except ArchiveAway:
        if last == position:
            raise
        complete = False
    gaps = history.gaps(None if complete else last, position)
    return NewerPage(entries[::-1], gaps, str(last), complete)


def _oldest_first(client: SyncClient, history: History, name: str, start: EntryId) -> Iterator[StreamEntry]:
    """Every entry of the exchange from an id (inclusive) upwards, once. Raises ArchiveAway where it is needed."""
    kept = history.kept_if_known(name)
    if kept is not None and kept.mixed:
        streamed, archived = _streamed(client, name, start), archived_on(kept.exchange_id, start, None)
        yield from each_once(heapq.merge((entry for _, entry in streamed if entry), archived, key=lambda one: one.id))
        return
    at = start
    for first, entry in _streamed(client, name, start):
        if first is None or first > at:
            kept = history.kept(name)
            if kept is not None:
                yield from archived_on(kept.exchange_id, at, before(first) if first else None)
        if entry is not None:
            yield entry
            at = EntryId.parse(after(entry.id))


def _streamed(client: SyncClient, name: str, start: EntryId) -> Iterator[tuple[EntryId | None, StreamEntry | None]]:
    """The stream's entries from an id on, each with an id from which on the stream was whole when it was read.

    At the end of a stream that does not reach back to where it was asked from, one pair without an entry says so.
    """
    at = start
    while True:
        try:
            replies = _read(client, name, at)
        except KeyUnreadable as error:
            log.warning("the stream of %s cannot be read: %s", name, error)
            return
        entries = [read_entry(row[0], row[1]) for row in replies[0]]
        first = EntryId.parse(replies[1][0][0].decode("ascii")) if replies[1] else None
        for entry in entries:
            # Only the first one of a step can stand behind a hole that trimming has made.
            yield (first if entry is entries[0] else at), entry
        if len(entries) < STEP:
            if not entries:
                yield first, None
            return
        at = EntryId.parse(after(entries[-1].id))


def _read(client: SyncClient, name: str, at: EntryId) -> list[Any]:
    key = stream_key(name)
    return read_together_now(
        client, key, [("XRANGE", key, str(at), "+", "COUNT", STEP), ("XRANGE", key, "-", "+", "COUNT", 1)]
    )
