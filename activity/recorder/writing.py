"""Entries into the archive: one transaction that locks the exchange's cursor, adds the rows and moves the cursor.

A process that is killed anywhere leaves all of a batch or nothing of it, and whoever goes on starts at the cursor. The
unique id of every row holds even against a writer who does not ask the cursor.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal

from django.db import IntegrityError, connections, transaction
from django.db.models import Q
from django.utils import timezone

from activity.models import ArchiveCursor, ArchivedEntry, ArchiveGap
from activity.models.archive import ADMIN_CHARS, EVENT_CHARS, HOST_CHARS, TEXT_CHARS, can_be_kept, pack
from activity.recorder.database import set_limits
from activity.store.reading import RawEntry
from activity.wire.entries import EntryId, StreamEntry

#: Rows of one INSERT on SQLite, ids of one look-up.
ROWS: Final = 1000
_COLUMNS: Final = "exchange_id, ms, seq, raw, event, state, host, admin, text, recorded_at"
#: What COPY's text format would take for its own.
_ESCAPES: Final = str.maketrans(
    {char: f"\\{letter}" for char, letter in zip("\\\b\f\n\r\t\v", "\\bfnrtv", strict=True)}
)
_SPECIAL: Final = re.compile(r"[\\\x08-\x0d]")
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
            _insert(exchange_id, batch.entries)
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


def _shown(text: str, chars: int) -> str:
    cut = text[:chars]
    return cut.replace("\0", "\u2400") if "\0" in cut else cut


def _text(entry: StreamEntry) -> str:
    if entry.kind == "state_transition":
        return f"{entry.fields['fromState']} → {entry.fields['toState']}"
    return entry.fields.get("error", "")


def _row(exchange_id: int, raw: RawEntry, now: datetime) -> tuple[Any, ...]:
    entry = raw.read()
    fields = entry.fields
    return (
        exchange_id,
        raw.id.milliseconds,
        raw.id.sequence,
        pack(raw.pairs),
        _shown(fields.get("event", ""), EVENT_CHARS),
        entry.state,
        _shown(fields.get("hostname", ""), HOST_CHARS),
        _shown(fields.get("adminEmail", ""), ADMIN_CHARS),
        _shown(_text(entry), TEXT_CHARS),
        now,
    )


def _escaped(text: str) -> str:
    return text.translate(_ESCAPES) if _SPECIAL.search(text) else text


def copy_line(row: tuple[Any, ...], recorded_at: str) -> str:
    """One row of `_COLUMNS` in Postgres' text format of COPY (its chapter on COPY: File Formats).

    psycopg's own `write_row` says the same and takes four times as long, which was a fifth of the archive's time.
    """
    exchange_id, ms, seq, raw, event, state, host, admin, text, _ = row
    words = "\t".join(map(_escaped, (event, state, host, admin, text)))
    return f"{exchange_id}\t{ms}\t{seq}\t\\\\x{raw.hex()}\t{words}\t{recorded_at}\n"


def _copy(sql: Any, table: str, lines: bytes) -> None:
    # Django hands `copy` through as it is, errors of psycopg included.
    with connections["default"].wrap_database_errors, sql.copy(f"COPY {table} ({_COLUMNS}) FROM STDIN") as copy:
        copy.write(lines)


def _insert(exchange_id: int, entries: Sequence[RawEntry]) -> None:
    now = timezone.now()
    connection = connections["default"]
    if connection.vendor == "postgresql":
        recorded_at = now.isoformat()
        lines = "".join([copy_line(_row(exchange_id, entry, now), recorded_at) for entry in entries]).encode()
        with connection.cursor() as sql:
            with suppress(IntegrityError), transaction.atomic():
                _copy(sql, "archived_entries", lines)
                return
            # Some of it is there: written by somebody who does not ask the cursor, or before the stream began anew.
            sql.execute(_ARRIVING)
            _copy(sql, "arriving_entries", lines)
            sql.execute(
                f"INSERT INTO archived_entries ({_COLUMNS}) SELECT {_COLUMNS} FROM arriving_entries "  # noqa: S608
                "ORDER BY ms, seq ON CONFLICT (exchange_id, ms, seq) DO NOTHING"
            )
        return
    names = [name.strip() for name in _COLUMNS.split(",")]
    rows = [ArchivedEntry(**dict(zip(names, _row(exchange_id, entry, now), strict=True))) for entry in entries]
    ArchivedEntry.objects.bulk_create(rows, ignore_conflicts=True, batch_size=ROWS)


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
