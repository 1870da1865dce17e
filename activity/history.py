"""The whole history of an exchange: its stream, and the archive where the stream no longer reaches.

The functions have the names and signatures of `store.history`, and serve the same pages, API and board. An entry reads
the same wherever it stands. Where a stream began anew or fell back, both are laid over each other by id; otherwise the
archive is asked only below the stream's oldest entry. While the database is away the stream is still read, and a page
that ends for that reason has a cursor that goes on.
"""

import heapq
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property

from django.db import InterfaceError, OperationalError
from django.db.models import Q, QuerySet

from activity.missing import gaps_between, next_gap
from activity.models import ArchiveCursor, ArchivedEntry
from activity.models.archive import EVENT_CHARS, LARGEST, can_be_kept
from activity.store import history as stream
from activity.store.client import StoreUnavailable, SyncClient
from activity.store.history import (
    STEP,
    TOP,
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


class ArchiveAway(StoreUnavailable):
    """The database cannot be read, so nobody can say what stands before the stream's oldest entry."""


@contextmanager
def _database() -> Iterator[None]:
    try:
        yield
    except (OperationalError, InterfaceError) as error:
        words = str(error).strip().partition("\n")[0] or type(error).__name__
        raise ArchiveAway(f"the database, which holds the older entries, cannot be read: {words}") from error


def _upto(entries: QuerySet[ArchivedEntry], entry_id: EntryId) -> QuerySet[ArchivedEntry]:
    ms, seq = entry_id
    if ms > LARGEST:
        return entries
    # The first condition is the one that an index can take; the second is exact.
    return entries.filter(Q(ms__lt=ms) | Q(seq__lte=min(seq, LARGEST)), ms__lte=ms)


def _behind(entries: QuerySet[ArchivedEntry], entry_id: EntryId) -> QuerySet[ArchivedEntry]:
    ms, seq = entry_id
    if ms > LARGEST:
        return entries.none()
    return entries.filter(Q(ms__gt=ms) | Q(seq__gt=min(seq, LARGEST)), ms__gte=ms)


def _archived(exchange_id: int, upto: EntryId | None, event: str | None, step: int) -> Iterator[StreamEntry]:
    """The archive's entries from an id (inclusive) downwards, in steps. Raises ArchiveAway."""
    entries = ArchivedEntry.objects.filter(exchange_id=exchange_id).order_by("-ms", "-seq").only("ms", "seq", "raw")
    if event is not None and len(event) < EVENT_CHARS:
        # The column is decoded and cut as the field is; who reads compares the field itself.
        entries = entries.filter(event=event.replace("\0", "\u2400"))
    while upto is not None:
        with _database():
            rows = list(_upto(entries, upto)[:step])
        for row in rows:
            yield row.entry
        upto = before(rows[-1].entry_id) if len(rows) == step else None


@dataclass(frozen=True, slots=True)
class _Kept:
    """What the archive has of an exchange. `mixed`: the stream may lack entries that are newer than its oldest."""

    exchange_id: int
    mixed: bool


class _History:
    """Stream and archive of some exchanges, for the length of one answer."""

    def __init__(self, client: SyncClient, names: Sequence[str], step: int = STEP, event: str | None = None) -> None:
        self._client = client
        self._names = names
        self._step = step
        self._event = event
        #: Some exchange showed nothing at all because the database is away.
        self.incomplete = False
        self._trouble: ArchiveAway | None = None

    @cached_property
    def _all_kept(self) -> dict[str, _Kept]:
        try:
            with _database():
                cursors = ArchiveCursor.objects.filter(exchange__name__in=self._names).values_list(
                    "exchange__name", "exchange_id", "restarts", "ms"
                )
                return {name: _Kept(number, bool(restarts)) for name, number, restarts, ms in cursors if ms or restarts}
        except ArchiveAway as error:
            self._trouble = error  # asked once: every further try may wait for seconds
            return {}

    def _kept(self, name: str) -> _Kept | None:
        """Raises ArchiveAway."""
        kept = self._all_kept.get(name)
        if self._trouble is not None:
            raise self._trouble
        return kept

    def newest_first(self, name: str, upto: EntryId) -> Iterator[StreamEntry]:
        """Every entry of the exchange from an id (inclusive) downwards, once. Raises ArchiveAway where it is needed."""
        kept = self._all_kept.get(name)
        entries = stream.newest_first(self._client, name, upto, self._step)
        if kept is not None and kept.mixed:
            archived = _archived(kept.exchange_id, upto, self._event, self._step)
            yield from _each_once(heapq.merge(entries, archived, key=lambda entry: entry.id, reverse=True))
            return
        below: EntryId | None = upto
        for entry in entries:
            below = before(entry.id)
            yield entry
        kept = self._kept(name)
        if kept is not None:
            yield from _archived(kept.exchange_id, below, self._event, self._step)

    def gaps(self, begin: str | None, end: str | None) -> list[HistoryGap]:
        """The gaps between two cursors; none while the database is away, since nobody can say then."""
        if self._trouble is not None:
            return []
        places = [Position.parse(cursor) if cursor else None for cursor in (begin, end)]
        try:
            with _database():
                return gaps_between(self._client, self._names, *places)
        except ArchiveAway as error:
            self._trouble = error
            return []

    def source(self, name: str, upto: EntryId) -> Iterator[StreamEntry]:
        """The same for a page, which may end early but must not pass over anything."""
        shown = False
        try:
            for entry in self.newest_first(name, upto):
                shown = True
                yield entry
        except ArchiveAway as error:
            # A stream that is empty from the top on: what its exchange has is older than what the others show, since
            # all streams are trimmed by the same age. The page goes on without it, and keeps a cursor.
            if shown or upto != TOP:
                raise Unknown from error
            self.incomplete = True


def _each_once(entries: Iterator[StreamEntry]) -> Iterator[StreamEntry]:
    last: EntryId | None = None
    for entry in entries:
        if entry.id != last:
            yield entry
        last = entry.id


def read_page(
    client: SyncClient, names: Sequence[str], *, count: int, cursor: str | None = None, event: str | None = None
) -> HistoryPage:
    """Like `store.history.read_page`, on through the archive, with the gaps among the entries.

    While the database is away a page may end early, and gaps are not known.
    """
    history = _History(client, names, min(count + 1, STEP), event)
    page = stream.collect(names, history.source, count=count, cursor=cursor, event=event)
    if history.incomplete and page.next_cursor is None:
        end = Position(page.entries[-1][1].id, page.entries[-1][0]) if page.entries else Position(TOP, max(names))
        page = HistoryPage(page.entries, str(end))
    return HistoryPage(page.entries, page.next_cursor, history.gaps(cursor, page.next_cursor))


def read_last_known(client: SyncClient, name: str) -> LastKnown:
    """Like `store.history.read_last_known`. Raises ArchiveAway where the stream tells nothing and it is needed."""
    return _last_known(client, name, _History(client, [name]))


def _last_known(client: SyncClient, name: str, history: _History) -> LastKnown:
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
    return _History(client, [name]).newest_first(name, upto)


def read_gaps(client: SyncClient, name: str, begin: EntryId, end: EntryId) -> list[HistoryGap]:
    """Where entries are missing between two ids, newest first. Raises ArchiveAway."""
    with _database():
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
    history = _History(client, [name for _, name in exchanges])
    return stream.read_instances(client, exchanges, lambda client, name: _last_known(client, name, history))


def read_newest_ids(client: SyncClient, names: Sequence[str]) -> dict[str, str]:
    """Like `store.history.read_newest_ids`, with the archive's newest entry where the stream holds none.

    An exchange of which nobody can say now is left out: its socket starts at what comes then.
    """
    newest = stream.read_newest_ids(client, names)
    empty = [name for name, entry_id in newest.items() if entry_id == str(START)]
    try:
        with _database():
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
    with _database():
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
    with _database():
        kept = ArchiveCursor.objects.filter(exchange__name=name).first()
        if kept is None:
            return Stretch([], end, None if cursor == START else (cursor, first))
        gap = next_gap(kept.pk, cursor, first)
        entries = _behind(ArchivedEntry.objects.filter(exchange_id=kept.pk), cursor).order_by("ms", "seq")
        if gap is not None:
            entries = _upto(entries, gap.after)
        elif first is not None:
            entries = _upto(entries, before(first) or START)
        rows = list(entries.only("ms", "seq", "raw")[:count])
    if rows:
        return Stretch([row.entry for row in rows], rows[-1].entry_id)
    if gap is not None:
        behind = gap.first or first
        return Stretch([], (before(behind) if behind else None) or end, (cursor, behind))
    complete = cursor == START or kept.entry_id >= (first or newest)
    return Stretch([], end, None if complete else (cursor, first))
