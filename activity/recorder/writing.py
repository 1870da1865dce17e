"""Entries into the archive: one transaction that locks the exchange's cursor, adds the rows and moves the cursor.

A process that is killed anywhere leaves all of a batch or nothing of it, and whoever goes on starts at the cursor. The
unique id of every row holds even against a writer who does not ask the cursor.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

from django.db import IntegrityError, connections, transaction
from django.db.models import Q
from django.utils import timezone

from activity.models import ArchiveCursor, ArchivedEntry, ArchiveGap
from activity.models.archive import can_be_kept
from activity.recorder.database import set_limits
from activity.recorder.rows import COLUMNS, TEXT_COLUMNS, copy_data, rows
from activity.wire.entries import EntryId, RawEntry

#: Rows of one INSERT on SQLite, ids of one look-up.
ROWS: Final = 1000
_COLUMNS: Final = ", ".join(COLUMNS)
_ARRIVING: Final = """
CREATE TEMPORARY TABLE IF NOT EXISTS arriving_entries (
    exchange_id bigint, ms bigint, seq bigint, raw bytea,
    event text, state text, host text, admin text, text text, recorded_at timestamptz
) ON COMMIT DELETE ROWS
"""

#: stored: the cursor is where the batch ends. moved: it was not where the batch begins, somebody else had gone on.
#: busy: another recorder is at it right now. Nothing was done in the last two cases.
Outcome = Literal["stored", "moved", "busy"]

#: Called with the name of each step when it is done: locked, inserted, advanced (before the commit).
Step = Callable[[str], None]


def no_step(_name: str) -> None:
    """Nobody looks."""


@dataclass(frozen=True, slots=True)
class Gap:
    """Entries that nobody can read any more: after this one, before `first` (None: nothing has come since)."""

    after: EntryId
    first: EntryId | None
    reason: ArchiveGap.Reason


@dataclass(frozen=True, slots=True)
class Batch:
    """What was read behind `begin`, where the cursor must stand, and where it is to stand then."""

    begin: EntryId
    end: EntryId
    entries: Sequence[RawEntry] = ()
    gaps: Sequence[Gap] = field(default=())
    #: The stream began anew, or lacks what it had had.
    restarted: bool = False
    #: The entries as Postgres takes them, where somebody made them `ready`.
    data: bytes = b""


def ready(exchange_id: int, batch: Batch) -> Batch:
    """What can be done of storing it before its turn, while Postgres stores the batch before."""
    if not batch.entries or connections["default"].vendor != "postgresql":
        return batch
    return replace(batch, data=copy_data(exchange_id, batch.entries, timezone.now()))


def load_cursor(exchange_id: int) -> EntryId:
    """How far the exchange is archived, 0-0 for a new one. Its row exists from then on."""
    ArchiveCursor.objects.bulk_create(
        [ArchiveCursor(exchange_id=exchange_id, updated_at=timezone.now())], ignore_conflicts=True
    )
    return ArchiveCursor.objects.get(pk=exchange_id).entry_id


def store(exchange_id: int, batch: Batch, step: Step = no_step) -> Outcome:
    """Add a batch exactly once, whoever else tries the same at the same time. Raises django.db.Error, then did nothing.

    (A connection that is lost during the commit raises too: then the cursor tells what happened.)
    """
    if connections["default"].vendor != "postgresql":
        return _store(exchange_id, batch, step, _insert_by_rows)
    try:
        return _store(exchange_id, batch, step, _insert)
    except IntegrityError:
        # Some of it is there: written by somebody who does not ask the cursor, or before the stream began anew. All of
        # it is tried anew, because a savepoint in every batch would be two more waits for the server each time.
        return _store(exchange_id, batch, step, _insert_the_missing)


def _store(exchange_id: int, batch: Batch, step: Step, insert: Callable[[int, Batch], None]) -> Outcome:
    connection = connections["default"]
    with transaction.atomic():
        with connection.cursor() as sql:
            set_limits(sql, connection.vendor)
        cursor = ArchiveCursor.objects.select_for_update(skip_locked=True).filter(pk=exchange_id).first()
        if cursor is None:
            return "busy"
        step("locked")
        if cursor.entry_id != batch.begin:
            return "moved"
        gaps = list(batch.gaps)
        if batch.entries:
            gaps += _conflicts(cursor, batch.entries)
            insert(exchange_id, batch)
            _close_gaps(exchange_id, batch.entries)
        for gap in gaps:
            _record(exchange_id, gap)
        step("inserted")
        ArchiveCursor.objects.filter(pk=exchange_id).update(
            ms=batch.end.milliseconds,
            seq=batch.end.sequence,
            restarts=cursor.restarts + batch.restarted,
            updated_at=timezone.now(),
        )
        step("advanced")
    return "stored"


def split(entries: Sequence[RawEntry], begin: EntryId) -> tuple[list[RawEntry], list[Gap]]:
    """The entries whose id SQL can hold, and a gap for each run of the others."""
    kept: list[RawEntry] = []
    gaps: list[Gap] = []
    open_after: EntryId | None = None
    for entry in entries:
        if not can_be_kept(entry.id):
            open_after = open_after or (kept[-1].id if kept else begin)
            continue
        if open_after is not None:
            gaps.append(Gap(open_after, entry.id, ArchiveGap.Reason.BEYOND))
            open_after = None
        kept.append(entry)
    if open_after is not None:
        gaps.append(Gap(open_after, None, ArchiveGap.Reason.BEYOND))
    return kept, gaps


def _copy(sql: Any, table: str, data: bytes) -> None:
    # Django hands `copy` through as it is, errors of psycopg included.
    statement = f"COPY {table} ({_COLUMNS}) FROM STDIN (FORMAT BINARY)"
    with connections["default"].wrap_database_errors, sql.copy(statement) as copy:
        copy.write(data)


def _data(exchange_id: int, batch: Batch) -> bytes:
    return batch.data or copy_data(exchange_id, batch.entries, timezone.now())


def _insert(exchange_id: int, batch: Batch) -> None:
    with connections["default"].cursor() as sql:
        _copy(sql, "archived_entries", _data(exchange_id, batch))


def _insert_the_missing(exchange_id: int, batch: Batch) -> None:
    with connections["default"].cursor() as sql:
        sql.execute(_ARRIVING)
        _copy(sql, "arriving_entries", _data(exchange_id, batch))
        sql.execute(
            f"INSERT INTO archived_entries ({_COLUMNS}) SELECT {_COLUMNS} FROM arriving_entries "  # noqa: S608
            "ORDER BY ms, seq ON CONFLICT (exchange_id, ms, seq) DO NOTHING"
        )


def _insert_by_rows(exchange_id: int, batch: Batch) -> None:
    """On SQLite. What is there already stays as it is."""
    now = timezone.now()
    found = [
        ArchivedEntry(
            exchange_id=exchange_id, ms=entry.id.milliseconds, seq=entry.id.sequence, raw=raw, recorded_at=now,
            **dict(zip(TEXT_COLUMNS, (text.decode() for text in texts), strict=True)),
        )
        for entry, raw, texts in rows(batch.entries)
    ]  # fmt: skip
    ArchivedEntry.objects.bulk_create(found, ignore_conflicts=True, batch_size=ROWS)


def _conflicts(cursor: ArchiveCursor, entries: Sequence[RawEntry]) -> Iterator[Gap]:
    """Ids that are archived with other content. Only a stream that began anew can give an id a second time."""
    if not cursor.restarts:
        return
    archived = ArchivedEntry.objects.filter(exchange_id=cursor.pk)
    newest = archived.first()
    if newest is None or newest.entry_id < entries[0].id:
        return
    for start in range(0, len(entries), ROWS):
        some = {entry.id: entry for entry in entries[start : start + ROWS]}
        for row in archived.filter(ms__in={entry_id.milliseconds for entry_id in some}).order_by("ms", "seq"):
            entry = some.get(row.entry_id)
            if entry is not None and row.pairs != entry.pairs:
                yield Gap(_before(entry.id), entry.id, ArchiveGap.Reason.CONFLICT)


def _before(entry_id: EntryId) -> EntryId:
    milliseconds, sequence = entry_id
    return EntryId(milliseconds, sequence - 1) if sequence else EntryId(max(0, milliseconds - 1), (1 << 63) - 1)


def _close_gaps(exchange_id: int, entries: Sequence[RawEntry]) -> None:
    """The first entry behind a gap that had nothing behind it yet."""
    for gap in ArchiveGap.objects.filter(exchange_id=exchange_id, first_ms=None):
        first = next((entry.id for entry in entries if entry.id > gap.after), None)
        if first is not None:
            ArchiveGap.objects.filter(pk=gap.pk, first_ms=None).update(
                first_ms=first.milliseconds, first_seq=first.sequence
            )


def _record(exchange_id: int, gap: Gap) -> None:
    first = gap.first
    same = Q(exchange_id=exchange_id, after_ms=gap.after.milliseconds, after_seq=gap.after.sequence, reason=gap.reason)
    if not ArchiveGap.objects.filter(same).exists():
        ArchiveGap.objects.create(
            exchange_id=exchange_id,
            after_ms=gap.after.milliseconds,
            after_seq=gap.after.sequence,
            first_ms=first.milliseconds if first else None,
            first_seq=first.sequence if first else None,
            reason=gap.reason,
        )
