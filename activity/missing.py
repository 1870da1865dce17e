"""Where entries are missing: what the recorder has written down, and what it cannot have written down yet.

Readers going forward ask for the next gap behind their cursor, pages for those among what they show. Everything here
reads the database inside the caller's guard against one that is away, and Redis last.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from activity.models import ArchiveCursor, ArchiveGap
from activity.models.archive import LARGEST
from activity.store.client import SyncClient
from activity.store.ends import StreamEnds, read_stream_ends
from activity.store.history import HistoryGap, Position
from activity.store.reading import follows
from activity.store.stream import START
from activity.wire.entries import EntryId

#: Gaps whose entries nobody has. (The second entry of an id is missing in the archive, and nothing between two ids is.)
_MISSING: Final = (ArchiveGap.Reason.TRIMMED, ArchiveGap.Reason.RECREATED, ArchiveGap.Reason.BEYOND)


def next_gap(exchange_id: int, cursor: EntryId, first: EntryId | None) -> ArchiveGap | None:
    """The next recorded gap that lies behind the cursor, at least in part, and before the stream's first entry."""
    gaps = ArchiveGap.objects.filter(exchange_id=exchange_id, reason__in=_MISSING)
    for gap in gaps.order_by("after_ms", "after_seq"):
        begin, end = max(cursor, gap.after), gap.first
        ahead = end is None or (end > begin and not follows(end, begin))
        if ahead and (first is None or begin < first):
            return gap
    return None


def gaps_between(
    client: SyncClient, names: Sequence[str], begin: Position | None, end: Position | None
) -> list[HistoryGap]:
    """The gaps of a page that starts behind `begin` (None: at the top) and ends at `end` (None: at the beginning).

    A gap belongs to the page on which the entry before it is or would be, so that it is on one page and no other.
    Newest first, as entries are. Raises StoreUnavailable, and Django's errors of a database that is away.
    """
    recorded = list(_recorded(names, begin, end))
    ends = _Ends(client)
    ends.ask({gap.exchange.name for gap in recorded if gap.reason != ArchiveGap.Reason.RECREATED})
    found = {
        (gap.exchange.name, gap.after): HistoryGap(gap.exchange.name, gap.after, _behind(gap.after, gap.first))
        for gap in recorded
        if gap.reason == ArchiveGap.Reason.RECREATED or ends.of(gap.exchange.name).begin_behind(gap.after)
    }
    for gap in _unrecorded(ends, names, begin, end):
        found.setdefault((gap.exchange, gap.after), gap)
    return sorted(found.values(), key=lambda gap: gap.position.order)


def _behind(after: EntryId, first: EntryId | None) -> EntryId | None:
    """The first entry behind a gap; None too where the stream began anew with ids below."""
    return first if first is not None and first > after else None


def _on_page(gap: Position, begin: Position | None, end: Position | None) -> bool:
    return (begin is None or gap.order > begin.order) and (end is None or gap.order <= end.order)


def _recorded(names: Iterable[str], begin: Position | None, end: Position | None) -> Iterator[ArchiveGap]:
    """One gap per incident of Redis or of a recorder that was down for 90 days: a handful per exchange and year."""
    gaps = ArchiveGap.objects.filter(exchange__name__in=names, reason__in=_MISSING).select_related("exchange")
    if begin is not None:
        gaps = gaps.filter(after_ms__lte=min(begin.entry_id.milliseconds, LARGEST))
    if end is not None:
        gaps = gaps.filter(after_ms__gte=min(end.entry_id.milliseconds, LARGEST))
    for gap in gaps:
        after, first = gap.after, gap.first
        if first is not None and follows(first, after):
            continue
        if _on_page(Position(after, gap.exchange.name), begin, end):
            yield gap


def _unrecorded(
    ends: "_Ends", names: Iterable[str], begin: Position | None, end: Position | None
) -> Iterator[HistoryGap]:
    """Where the archive ends below the stream's first entry: nobody recorded what was trimmed between the two."""

    def cursors(wanted: Iterable[str]) -> dict[str, EntryId]:
        rows = ArchiveCursor.objects.filter(exchange__name__in=wanted).values_list("exchange__name", "ms", "seq")
        return {name: EntryId(ms, seq) for name, ms, seq in rows if EntryId(ms, seq) != START}

    on_page = {name: at for name, at in cursors(names).items() if _on_page(Position(at, name), begin, end)}
    ends.ask(on_page)
    lacking = [name for name, at in on_page.items() if ends.of(name).lack_after(at)]
    if not lacking:
        return
    # A recorder may have gone on since: its cursor, read after the stream's first entry, is the later word.
    for name, at in cursors(lacking).items():
        if at == on_page[name]:
            yield HistoryGap(name, at, _behind(at, ends.of(name).first))


class _Ends:
    """First and newest id of streams, each read once per page and all in one round trip."""

    def __init__(self, client: SyncClient) -> None:
        self._client = client
        self._found: dict[str, StreamEnds] = {}

    def ask(self, names: Iterable[str]) -> None:
        """Read those that were not read before. Raises StoreUnavailable."""
        wanted = sorted(set(names) - self._found.keys())
        if wanted:
            self._found |= read_stream_ends(self._client, wanted)

    def of(self, name: str) -> StreamEnds:
        return self._found[name]
