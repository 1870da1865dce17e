"""The whole history of an exchange: its stream, and the archive where the stream no longer reaches.

The functions have the names and signatures of `store.history`, and serve the same pages, API and board. An entry reads
the same wherever it stands. Where a stream began anew or fell back, both are laid over each other by id; otherwise the
archive is asked only below the stream's oldest entry. While the database is away the stream is still read, and a page
that ends for that reason has a cursor that goes on.
"""

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from activity.archived import ArchiveAway as ArchiveAway
from activity.archived import archived_back, behind_id, database, upto_id
from activity.filters import EVERYTHING, Filter
from activity.missing import gaps_between, next_gap
from activity.models import ArchiveCursor, ArchivedEntry
from activity.models.archive import can_be_kept
from activity.store import history as stream
from activity.store.client import SyncClient
from activity.store.history import (
    STEP,
    TOP,
    Head,
    HistoryGap,
    HistoryPage,
    InstanceView,
    LastKnown,
    Position,
    Unknown,
    before,
)
from activity.store.stream import START
from activity.wire.entries import EntryId, StreamEntry


@dataclass(frozen=True, slots=True)
class Kept:
    """What the archive has of an exchange. `mixed`: the stream may lack entries that are newer than its oldest."""

    exchange_id: int
    mixed: bool


class History:
    """Stream and archive of some exchanges, for the length of one answer."""

    def __init__(self, client: SyncClient, names: Sequence[str], step: int = STEP, where: Filter = EVERYTHING) -> None:
        self._client = client
        self._names = names
        self._step = step
        self._where = where
        #: Some exchange showed nothing at all because the database is away.
        self.incomplete = False
        #: What a page has fetched of each stream beforehand.
        self.heads: dict[str, Head] = {}
        self._trouble: ArchiveAway | None = None

    @cached_property
    def _all_kept(self) -> dict[str, Kept]:
        try:
            with database():
                cursors = ArchiveCursor.objects.filter(exchange__name__in=self._names).values_list(
                    "exchange__name", "exchange_id", "restarts", "ms"
                )
                return {name: Kept(number, bool(restarts)) for name, number, restarts, ms in cursors if ms or restarts}
        except ArchiveAway as error:
            self._trouble = error  # asked once: every further try may wait for seconds
            return {}

    def kept(self, name: str) -> Kept | None:
        """What the archive has of an exchange, None where it has nothing. Raises ArchiveAway."""
        kept = self._all_kept.get(name)
        if self._trouble is not None:
            raise self._trouble
        return kept

    def kept_if_known(self, name: str) -> Kept | None:
        """The same, None too while the database is away."""
        return self._all_kept.get(name)

    def newest_first(self, name: str, upto: EntryId) -> Iterator[StreamEntry]:
        """Every entry of the exchange from an id (inclusive) downwards, once. Raises ArchiveAway where it is needed."""
        kept = self._all_kept.get(name)
        entries = stream.newest_first(self._client, name, upto, self._step, self.heads.get(name))
        if kept is not None and kept.mixed:
            archived = archived_back(kept.exchange_id, upto, self._where.event, self._step)
            yield from each_once(heapq.merge(entries, archived, key=lambda entry: entry.id, reverse=True))
            return
        below: EntryId | None = upto
        for entry in entries:
            below = before(entry.id)
            yield entry
        kept = self.kept(name)
        if kept is not None:
            yield from archived_back(kept.exchange_id, below, self._where.event, self._step)

    def gaps(self, begin: Position | None, end: Position | None) -> list[HistoryGap]:
        """The gaps between two positions; none while the database is away, since nobody can say then."""
        if self._trouble is not None:
            return []
        since = self._where.since
        try:
            with database():
                found = gaps_between(self._client, self._names, begin, end)
        except ArchiveAway as error:
            self._trouble = error
            return []
        return [gap for gap in found if since is None or (gap.first or TOP).milliseconds >= since]

    def source(self, name: str, upto: EntryId) -> Iterator[StreamEntry]:
        """The same for a page, which may end early but must not pass over anything."""
        shown = False
        try:
            for entry in self.newest_first(name, upto):
                if entry.id.milliseconds < (self._where.since or 0):
                    return
                shown = True
                yield entry
        except ArchiveAway as error:
            # A stream that is empty from the top on: what its exchange has is older than what the others show, since
            # all streams are trimmed by the same age. The page goes on without it, and keeps a cursor.
            if shown or upto != TOP:
                raise Unknown from error
            self.incomplete = True


def each_once(entries: Iterator[StreamEntry]) -> Iterator[StreamEntry]:
    """Entries in order, without those that stand in both places."""
    last: EntryId | None = None
    for entry in entries:
        if entry.id != last:
            yield entry
        last = entry.id


def read_page(
    client: SyncClient, names: Sequence[str], *, count: int, cursor: str | None = None, where: Filter = EVERYTHING
) -> HistoryPage:
    """Up to `count` entries newest first across the given exchanges, after the cursor of an earlier page.

    From the streams and on through the archive, with the gaps among the entries; short or even empty where `where`
    keeps little, with a cursor that goes on. While the database is away a page may end early, and gaps are not known.
    Raises ValueError for a malformed cursor.
    """
    names = [name for name in names if where.exchange in ("", name)]
    history = History(client, names, min(count + 1, STEP), where)
    begin = _begin(cursor, where)
    history.heads = stream.read_page_heads(client, names, begin, count)
    page = stream.collect(names, history.source, count=count, position=begin, wanted=where.matches)
    if history.incomplete and page.next_cursor is None:
        end = Position(page.entries[-1][1].id, page.entries[-1][0]) if page.entries else Position(TOP, max(names))
        page = HistoryPage(page.entries, str(end))
    reached = Position.parse(page.next_cursor) if page.next_cursor else None
    return HistoryPage(page.entries, page.next_cursor, history.gaps(begin, reached))


def _begin(cursor: str | None, where: Filter) -> Position | None:
    """Behind which position a page begins: no name sorts before the empty one."""
    position = Position.parse(cursor) if cursor is not None else None
    if where.until is None:
        return position
    upto = Position(EntryId(where.until, TOP.sequence), "")
    return max(position, upto, key=lambda one: one.order) if position is not None else upto


def read_last_known(client: SyncClient, name: str) -> LastKnown:
    """Like `store.history.read_last_known`. Raises ArchiveAway where the stream tells nothing and it is needed."""
    return _last_known(client, name, History(client, [name]))


def _last_known(client: SyncClient, name: str, history: History) -> LastKnown:
    try:
        return stream.last_known_of(history.newest_first(name, TOP))
    except ArchiveAway:
        known, error = stream.read_last_known(client, name)
        if known is None:
            raise
        return known, error


def read_downwards(client: SyncClient, name: str, upto: EntryId) -> Iterator[StreamEntry]:
    """Every entry of the exchange from an id (inclusive) downwards, as it is asked for.

    Raises StoreUnavailable, and ArchiveAway where the stream ends and the database cannot be asked.
    """
    return History(client, [name]).newest_first(name, upto)


def read_gaps(client: SyncClient, name: str, begin: EntryId, end: EntryId) -> list[HistoryGap]:
    """Where entries are missing between two ids, newest first. Raises ArchiveAway."""
    with database():
        return gaps_between(client, [name], Position(end, name), Position(begin, name))


@dataclass(frozen=True, slots=True)
class Past:
    """What an exchange's entries told at a moment: the newest that tells a state, the newest error; or why not.

    `gap`: entries are missing between what is known and the moment, so it may have been otherwise.
    """

    known: StreamEntry | None
    error: StreamEntry | None
    gap: HistoryGap | None = None


def read_past(client: SyncClient, name: str, at_ms: int) -> Past:
    """The exchange as of a moment, from raw entries alone. Raises StoreUnavailable and ArchiveAway."""
    moment = EntryId(at_ms, TOP.sequence)
    known, error = stream.last_known_of(read_downwards(client, name, moment))
    if known is None:
        return Past(None, error)
    gaps = read_gaps(client, name, known.id, moment)
    return Past(known, error, gaps[0] if gaps else None)


def read_instances(client: SyncClient, exchanges: Sequence[tuple[int, str]]) -> list[InstanceView]:
    """Like `store.history.read_instances`."""
    history = History(client, [name for _, name in exchanges])
    return stream.read_instances(client, exchanges, lambda client, name: _last_known(client, name, history))


def read_newest_ids(client: SyncClient, names: Sequence[str]) -> dict[str, str]:
    """Like `store.history.read_newest_ids`, with the archive's newest entry where the stream holds none.

    An exchange of which nobody can say now is left out: its socket starts at what comes then.
    """
    newest = stream.read_newest_ids(client, names)
    empty = [name for name, entry_id in newest.items() if entry_id == str(START)]
    try:
        with database():
            cursors = ArchiveCursor.objects.filter(exchange__name__in=empty) if empty else ArchiveCursor.objects.none()
            for name, exchange_id in cursors.values_list("exchange__name", "exchange_id"):
                row = ArchivedEntry.objects.filter(exchange_id=exchange_id).only("ms", "seq").first()
                if row is not None:
                    newest[name] = str(row.entry_id)
    except ArchiveAway:
        return {name: entry_id for name, entry_id in newest.items() if name not in empty}
    return newest


def read_entry_at(client: SyncClient, name: str, entry_id: EntryId) -> StreamEntry | None:
    """Like `store.history.read_entry_at`. Raises ArchiveAway where the stream does not hold it."""
    found = stream.read_entry_at(client, name, entry_id)
    if found is not None or not can_be_kept(entry_id):
        return found
    with database():
        row = ArchivedEntry.objects.filter(exchange__name=name, ms=entry_id.milliseconds, seq=entry_id.sequence).first()
    return row.entry if row else None


@dataclass(frozen=True, slots=True)
class Stretch:
    """What the archive says of the entries behind a cursor: entries, or a gap (first may be unknown), or neither.

    Neither means that there is nothing up to the stream's first entry. `cursor` is where to go on.
    """

    entries: list[StreamEntry]
    cursor: EntryId
    gap: tuple[EntryId, EntryId | None] | None = None


def read_stretch(name: str, cursor: EntryId, first: EntryId | None, newest: EntryId, count: int) -> Stretch:
    """Up to `count` archived entries behind a cursor that the stream no longer reaches, oldest first.

    `first` is the stream's first entry (None: it holds none), `newest` the last id that it gave out. A gap is told
    where the archive has recorded one, or ends before the stream begins. Raises ArchiveAway.
    """
    end = (before(first) if first else None) or max(newest, cursor)
    with database():
        kept = ArchiveCursor.objects.filter(exchange__name=name).first()
        if kept is None:
            return Stretch([], end, None if cursor == START else (cursor, first))
        gap = next_gap(kept.pk, cursor, first)
        entries = behind_id(ArchivedEntry.objects.filter(exchange_id=kept.pk), cursor).order_by("ms", "seq")
        if gap is not None:
            entries = upto_id(entries, gap.after)
        elif first is not None:
            entries = upto_id(entries, before(first) or START)
        rows = list(entries.only("ms", "seq", "raw")[:count])
    if rows:
        return Stretch([row.entry for row in rows], rows[-1].entry_id)
    if gap is not None:
        behind = gap.first or first
        return Stretch([], (before(behind) if behind else None) or end, (cursor, behind))
    complete = cursor == START or kept.entry_id >= (first or newest)
    return Stretch([], end, None if complete else (cursor, first))
