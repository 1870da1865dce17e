"""The archive's entries, read in steps. Raises ArchiveAway wherever the database cannot be read."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from django.db import InterfaceError, OperationalError
from django.db.models import Q, QuerySet

from activity.models import ArchivedEntry
from activity.models.archive import EVENT_CHARS, LARGEST
from activity.store.client import StoreUnavailable
from activity.store.history import STEP, before
from activity.wire.entries import EntryId, StreamEntry

_READ: Final = ("ms", "seq", "raw")


class ArchiveAway(StoreUnavailable):
    """The database cannot be read, so nobody can say what stands before the stream's oldest entry."""


@contextmanager
def database() -> Iterator[None]:
    """A database that is away becomes ArchiveAway."""
    try:
        yield
    except (OperationalError, InterfaceError) as error:
        words = str(error).strip().partition("\n")[0] or type(error).__name__
        raise ArchiveAway(f"the database, which holds the older entries, cannot be read: {words}") from error


def upto_id(entries: QuerySet[ArchivedEntry], entry_id: EntryId) -> QuerySet[ArchivedEntry]:
    """Those up to an id, inclusive."""
    ms, seq = entry_id
    if ms > LARGEST:
        return entries
    # The first condition is the one that an index can take; the second is exact.
    return entries.filter(Q(ms__lt=ms) | Q(seq__lte=min(seq, LARGEST)), ms__lte=ms)


def behind_id(entries: QuerySet[ArchivedEntry], entry_id: EntryId) -> QuerySet[ArchivedEntry]:
    """Those behind an id, exclusive."""
    ms, seq = entry_id
    if ms > LARGEST:
        return entries.none()
    return entries.filter(Q(ms__gt=ms) | Q(seq__gt=min(seq, LARGEST)), ms__gte=ms)


def archived_back(exchange_id: int, upto: EntryId | None, event: str, step: int) -> Iterator[StreamEntry]:
    """The archive's entries from an id (inclusive) downwards, in steps. Raises ArchiveAway."""
    entries = ArchivedEntry.objects.filter(exchange_id=exchange_id).order_by("-ms", "-seq").only(*_READ)
    if event and len(event) < EVENT_CHARS:
        # The column is decoded and cut as the field is; who reads compares the field itself.
        entries = entries.filter(event=event.replace("\0", "\u2400"))
    while upto is not None:
        with database():
            rows = list(upto_id(entries, upto)[:step])
        for row in rows:
            yield row.entry
        upto = before(rows[-1].entry_id) if len(rows) == step else None


def archived_on(exchange_id: int, start: EntryId, upto: EntryId | None) -> Iterator[StreamEntry]:
    """The archive's entries from an id (inclusive) upwards, up to another (inclusive; None: all), in steps."""
    entries = ArchivedEntry.objects.filter(exchange_id=exchange_id).order_by("ms", "seq").only(*_READ)
    if upto is not None:
        entries = upto_id(entries, upto)
    cursor = before(start)
    while True:
        with database():
            rows = list((behind_id(entries, cursor) if cursor is not None else entries)[:STEP])
        for row in rows:
            yield row.entry
        if len(rows) < STEP:
            return
        cursor = rows[-1].entry_id
