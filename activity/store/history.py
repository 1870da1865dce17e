"""What pages, the API and the board read: statuses with their TTL, and entries newest first across exchanges.

Synchronous, because pages run in threads: rendering must never hold up the event loop that carries the feed.
All functions raise StoreUnavailable on Redis trouble.
"""

import heapq
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from activity.store.client import KeyUnreadable, SyncClient, redis_errors
from activity.store.gone import NOBODY, OWNER_FIELDS, Owner, came_after, read_owner
from activity.store.pipelines import Command, read_many_now
from activity.wire.entries import EntryId, StreamEntry, read_entry
from activity.wire.keys import ownership_key, status_key, stream_key
from activity.wire.status import StatusReading, read_status

log = logging.getLogger(__name__)

#: Entries fetched per exchange in one step while looking for a certain kind.
STEP: Final = 100
#: One page looks at no more entries than this before it hands back what it has, with a cursor that goes on.
SCAN_LIMIT: Final = 10_000
#: And for no longer than this, however large its entries are.
SCAN_SECONDS: Final = 2.0
#: The largest id that there can be: from here, everything is older.
TOP: Final = EntryId((1 << 64) - 1, (1 << 64) - 1)
#: Statuses fetched in one round trip.
_PIPELINE: Final = 500


@dataclass(frozen=True, slots=True)
class RawStatus:
    """A status key as found: its value, None where there is none, and the milliseconds it has left.

    `owner` is what the ownership hash says. `problem` says why a key that exists cannot be read at all.
    """

    value: bytes | None
    ttl_ms: int | None
    owner: Owner = NOBODY
    problem: str = ""

    @property
    def reading(self) -> StatusReading | None:
        """The status as a reader sees it, None where there is no instance."""
        if self.value is None:
            return None
        return StatusReading(self.value, problem=self.problem) if self.problem else read_status(self.value)


@dataclass(frozen=True, slots=True)
class InstanceView:
    """One exchange and the instance that holds it. `reading` is None while there is none.

    `last_known` is, only then, the newest entry that tells a state, and `last_error` the newest error nearby.
    """

    exchange_id: int
    exchange_name: str
    reading: StatusReading | None
    ttl_ms: int | None = None
    last_known: StreamEntry | None = None
    last_error: StreamEntry | None = None
    #: What the ownership hash says; nothing where only older writers were here.
    owner: Owner = NOBODY


class Position(NamedTuple):
    """Where a page ended, in an order across exchanges: newest id first, then by name."""

    entry_id: EntryId
    exchange: str

    def __str__(self) -> str:
        return f"{self.entry_id}@{self.exchange}"

    @property
    def order(self) -> tuple[int, int, str]:
        """Sorts as pages do, where the tuple itself would sort oldest first."""
        return -self.entry_id.milliseconds, -self.entry_id.sequence, self.exchange

    @classmethod
    def parse(cls, text: str) -> "Position":
        """From ``MS-SEQ@name``. Raises ValueError for anything else."""
        entry_id, mark, exchange = text.partition("@")
        if not mark:
            raise ValueError(f"{text[:60]!r} is no cursor: pass back nextCursor as it was given")
        stream_key(exchange)  # raises ValueError for what cannot be an exchange's name
        return cls(EntryId.parse(entry_id), exchange)


@dataclass(frozen=True, slots=True)
class HistoryGap:
    """Entries of an exchange that nobody holds: those between two ids, or after one where the history began anew."""

    exchange: str
    after: EntryId
    first: EntryId | None

    @property
    def position(self) -> Position:
        """It stands right before (newest first) the entry after which entries are missing."""
        return Position(self.after, self.exchange)


@dataclass(frozen=True, slots=True)
class HistoryPage:
    """Entries newest first, each with its exchange's name. `next_cursor` is None at the end of the history.

    `gaps`, newest first too, are the places among these entries where others are missing.
    """

    entries: list[tuple[str, StreamEntry]]
    next_cursor: str | None
    gaps: Sequence[HistoryGap] = ()


def read_raw_statuses(client: SyncClient, exchange_ids: Sequence[int]) -> list[RawStatus]:
    """The status keys by single-key GETs, in one round trip per 500. Never SCAN or KEYS."""
    found: list[RawStatus] = []
    for start in range(0, len(exchange_ids), _PIPELINE):
        commands: list[Command] = []
        for exchange_id in exchange_ids[start : start + _PIPELINE]:
            key = status_key(exchange_id)
            commands += [("GET", key), ("PTTL", key), ("HMGET", ownership_key(exchange_id), *OWNER_FIELDS)]
        replies = read_many_now(client, commands)
        found += [_raw_status(*replies[at : at + 3]) for at in range(0, len(replies), 3)]
    return found


def _raw_status(value: Any, ttl_ms: Any, told: Any) -> RawStatus:
    """Three replies about one exchange. An error concerns this exchange alone: its key holds no string, say."""
    owner = read_owner(told)
    problem = str(value) if isinstance(value, Exception) else ""
    # -2: expired between the commands; -1: somebody removed the TTL, so nothing says when it was written.
    if value is None or ttl_ms == -2:
        return RawStatus(None, None, owner)
    left = ttl_ms if isinstance(ttl_ms, int) and ttl_ms >= 0 else None
    return RawStatus(b"" if problem else value, left, owner, problem)


def before(entry_id: EntryId) -> EntryId | None:
    """The largest id below an id; None below the first."""
    milliseconds, sequence = entry_id
    if sequence:
        return EntryId(milliseconds, sequence - 1)
    return EntryId(milliseconds - 1, TOP.sequence) if milliseconds else None


@dataclass(frozen=True, slots=True)
class Head:
    """What was fetched of a stream beforehand: up to `count` rows from an id (inclusive) downwards."""

    upto: EntryId
    count: int
    rows: list[Any]


def read_heads(client: SyncClient, uptos: Mapping[str, EntryId], wanted: int) -> dict[str, Head]:
    """The first rows of many streams in one round trip, for a page of so many entries of all of them together.

    Of a hundred exchanges a page shows the newest fifty entries: a page's worth of each took 100 round trips, and read
    5,000 entries. A stream that cannot be read is left out: who reads it by itself learns why.
    """
    count = min(STEP, max(4, 2 * wanted // max(1, len(uptos))))
    commands = [("XREVRANGE", stream_key(name), str(upto), "-", "COUNT", count) for name, upto in uptos.items()]
    replies = read_many_now(client, commands)
    found = zip(uptos.items(), replies, strict=True)
    return {name: Head(upto, count, rows) for (name, upto), rows in found if isinstance(rows, list)}


def newest_first(
    client: SyncClient, name: str, upto: EntryId | None, step: int = STEP, head: Head | None = None
) -> Iterator[StreamEntry]:
    """What the stream holds, from an id (inclusive) downwards, fetched in steps as it is asked for.

    With a head of it the steps begin as small as that and double.
    """
    asked = step
    rows: Any = None
    if head is not None and head.upto == upto:
        asked, rows = head.count, head.rows
    while upto is not None:
        if rows is None:
            try:
                with redis_errors():
                    rows = client.xrevrange(stream_key(name), max=str(upto), count=asked)
            except KeyUnreadable as error:
                log.warning("the stream of %s cannot be read: %s", name, error)
                return
        entries = [read_entry(row[0], row[1]) for row in rows]
        yield from entries
        upto = before(entries[-1].id) if len(entries) == asked else None
        asked, rows = min(step, 2 * asked), None


LastKnown = tuple[StreamEntry | None, StreamEntry | None]


def last_known_of(entries: Iterator[StreamEntry]) -> LastKnown:
    """Of entries newest first: the first that tells a state, and the first error before or among the first 100.

    The notice of a death says nothing of an owner that had succeeded before it was written.
    """
    known: StreamEntry | None = None
    notice: StreamEntry | None = None
    error: StreamEntry | None = None
    for looked_at, entry in enumerate(entries, start=1):
        if known is None and entry.state:
            if notice is not None:
                known = entry if came_after(entry, notice) else notice
            elif entry.is_death:
                notice = entry
            else:
                known = entry
        error = error or (entry if entry.kind == "error" else None)
        if known and (error or looked_at >= STEP):
            break
        if looked_at >= SCAN_LIMIT:
            break
    return known or notice, error


def read_last_known(client: SyncClient, name: str) -> LastKnown:
    """The newest entry that tells the exchange's state, and the newest error before or at the first 100 entries."""
    return last_known_of(newest_first(client, name, TOP))


def read_instances(
    client: SyncClient,
    exchanges: Sequence[tuple[int, str]],
    last_known: Callable[[SyncClient, str], LastKnown] = read_last_known,
) -> list[InstanceView]:
    """Every given (id, name), online or not, in the given order. `last_known` is asked for those that are offline."""
    views = []
    statuses = read_raw_statuses(client, [exchange_id for exchange_id, _ in exchanges])
    for (exchange_id, name), raw in zip(exchanges, statuses, strict=True):
        if raw.value is not None:
            views.append(InstanceView(exchange_id, name, raw.reading, raw.ttl_ms, owner=raw.owner))
        else:
            known, error = last_known(client, name)
            views.append(InstanceView(exchange_id, name, None, None, known, error, raw.owner))
    return views


def read_newest_ids(client: SyncClient, names: Sequence[str]) -> dict[str, str]:
    """The newest entry's id per exchange, 0-0 for an empty stream: the cursor from which a page's socket goes on.

    Take it before the entries are read, so that nothing falls between the first paint and the socket.
    """
    replies = read_many_now(client, [("XREVRANGE", stream_key(name), "+", "-", "COUNT", 1) for name in names])
    # An error is a key that holds no stream: for the others it means nothing.
    found = [rows if isinstance(rows, list) else [] for rows in replies]
    return {name: rows[0][0].decode("ascii") if rows else "0-0" for name, rows in zip(names, found, strict=True)}


def read_entry_at(client: SyncClient, name: str, entry_id: EntryId) -> StreamEntry | None:
    """One entry by its id, None where the stream does not hold it."""
    with redis_errors():
        rows: Any = client.xrange(stream_key(name), min=str(entry_id), max=str(entry_id), count=1)
    return read_entry(rows[0][0], rows[0][1]) if rows else None


#: Entries of one exchange (by name) from an id (inclusive) downwards.
Source = Callable[[str, EntryId], Iterator[StreamEntry]]
#: Whether an entry belongs on the page.
Wanted = Callable[[StreamEntry], bool]


class Unknown(Exception):
    """Raised by a source: there may be older entries, and nobody can say now."""


def start_of(name: str, position: Position | None) -> EntryId | None:
    """From which id (inclusive) an exchange's entries belong behind a position; None where it has none there."""
    if position is None:
        return TOP
    # Entries of one id are ordered by name: names after the cursor's still have theirs to show.
    return position.entry_id if name > position.exchange else before(position.entry_id)


def read_page_heads(client: SyncClient, names: Sequence[str], position: Position | None, count: int) -> dict[str, Head]:
    """The heads of all streams of a page of `count` entries behind a position; none where there is but one stream."""
    starts = {name: upto for name in names if (upto := start_of(name, position)) is not None}
    return read_heads(client, starts, count) if len(starts) > 1 else {}


def collect(
    names: Sequence[str], source: Source, *, count: int, position: Position | None, wanted: Wanted
) -> HistoryPage:
    """Up to `count` entries newest first behind a position, over the sources of all exchanges.

    A page may come back short, even empty, with a cursor: it looks at 10,000 entries and for 2 s at the most.

    Where a source ends with `Unknown` the page ends, too, with a cursor that goes on there.
    """
    deadline = time.monotonic() + SCAN_SECONDS
    entries: list[tuple[str, StreamEntry]] = []
    last = position

    def rows(name: str) -> Iterator[tuple[int, int, str, StreamEntry]]:
        upto = start_of(name, position)
        if upto is not None:
            for entry in source(name, upto):
                yield -entry.id.milliseconds, -entry.id.sequence, name, entry

    ordered = sorted(set(names))
    try:
        merged = heapq.merge(*(rows(name) for name in ordered), key=lambda row: row[:3])
        for looked_at, (_, _, name, entry) in enumerate(merged, start=1):
            if len(entries) == count:
                return HistoryPage(entries, str(last))
            last = Position(entry.id, name)
            if wanted(entry):
                entries.append((name, entry))
            if looked_at >= SCAN_LIMIT or time.monotonic() > deadline:
                return HistoryPage(entries, str(last))
    except Unknown:
        return HistoryPage(entries, str(last or Position(TOP, ordered[-1])))
    return HistoryPage(entries, None)
