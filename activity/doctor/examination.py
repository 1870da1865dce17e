"""Everything that the doctor looks at. Each part answers within seconds, and none keeps the others from being seen."""

import time
from collections.abc import Collection, Iterator
from datetime import UTC, datetime, timedelta
from typing import Final

from django.db import DatabaseError, connection
from django.db.models import Count, QuerySet
from django.utils import timezone

from activity.doctor.lines import Line, error, ok, warning
from activity.doctor.redis_lines import redis_lines, skew
from activity.models import ArchiveCursor, ArchiveGap, Delivery, Exchange, NotificationChannel
from activity.schema.drift import CannotCompare, describe, find_drift, remedy
from activity.store.answers import OwnershipRecord
from activity.store.client import StoreUnavailable, SyncClient, name_of, sync_client
from activity.store.health import read_stream_health
from activity.store.ownership import read_ownership_now
from activity.store.stream import START
from activity.wire.entries import RETENTION_DAYS, EntryId

#: A recorder archives an entry within a second; what waits longer than this waits for a recorder.
LAG_SECONDS: Final = 60


def examine(redis_url: str, *, hidden: Collection[int] = ()) -> list[Line]:
    """Look at everything but the way through the proxy, which needs a URL (`activity.doctor.socket`).

    `hidden` are ids of exchanges that whoever asks may not view: nothing is said of them, nor of channels about them.
    """
    lines: list[Line] = []
    with sync_client(redis_url) as client:
        lines += redis_lines(client, name_of(redis_url))
        lines += _database()
        lines += _exchanges(client, hidden)
    lines += _notifications(hidden)
    return lines


# --- the database ---


def _database() -> Iterator[Line]:
    try:
        yield from _postgres() if connection.vendor == "postgresql" else _sqlite()
        drift = find_drift()
    except DatabaseError as trouble:
        text = str(trouble).strip().partition("\n")[0]
        yield error(
            "Database", f"cannot be used: {text}", "Start it, or look into DATABASE_URL and PERSEUS_DATABASE_CA."
        )
    except CannotCompare as trouble:
        yield error("Database schema", str(trouble), "Do what it says, then run the doctor again.")
    else:
        if drift:
            yield error("Database schema", f"has drifted:\n{describe(drift)}", remedy("default", drift))
        else:
            truth = "schema.sql" if connection.vendor == "postgresql" else "the models"
            yield ok("Database schema", f"equal to {truth}")


def _postgres() -> Iterator[Line]:
    began, wall = time.monotonic(), time.time()
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")  # connects, so that the next statement measures the clock alone
        began, wall = time.monotonic(), time.time()
        cursor.execute(
            "SELECT extract(epoch FROM clock_timestamp()), current_setting('server_version'), ssl, version"
            " FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
        )
        clock, version, encrypted, protocol = cursor.fetchone()
    took = time.monotonic() - began
    yield ok("Database", f"Postgres {version} at {connection.settings_dict['HOST']}, {took * 1000:.1f} ms")
    if encrypted:
        yield ok("Database TLS", f"{protocol}, certificate and host name verified")
    else:
        yield error(
            "Database TLS", "this connection is not encrypted", "Set `ssl = on` with a certificate in postgresql.conf."
        )
    yield skew("Database's clock", (float(clock) - wall - took / 2) * 1000, "the machine of Postgres")


def _sqlite() -> Iterator[Line]:
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA journal_mode")
        mode = cursor.fetchone()[0]
    name = str(connection.settings_dict["NAME"])
    if mode == "wal" or ":memory:" in name or "mode=memory" in name:
        yield ok("Database", f"SQLite in {name}, for one machine")
    else:
        text = f"SQLite in {name} with journal mode {mode}: readers and writers wait for each other"
        yield error("Database", text, "Put the data folder on a local disk: WAL needs shared memory.")


# --- exchanges: streams and the recorder ---


def _exchanges(client: SyncClient, hidden: Collection[int]) -> Iterator[Line]:
    try:
        exchanges = list(Exchange.objects.filter(active=True).exclude(pk__in=hidden).order_by("name"))
        cursors = {cursor.exchange_id: cursor.entry_id for cursor in ArchiveCursor.objects.all()}
        since = timezone.now() - timedelta(days=7)
        gaps = dict(ArchiveGap.objects.filter(found_at__gte=since).values_list("exchange").annotate(number=Count("pk")))
    except DatabaseError:
        return  # said by the database's own lines
    if not exchanges:
        yield warning("Exchanges", "there is none to look at", "Add the first one in the Django admin.")
        return
    try:
        streams = read_stream_health(client, [(one.name, cursors.get(one.pk, START)) for one in exchanges])
        records = read_ownership_now(client, [one.pk for one in exchanges])
    except StoreUnavailable:
        return  # said by Redis' own lines
    now = time.time()
    for exchange, stream, record in zip(exchanges, streams, records, strict=True):
        if not stream.length:
            yield ok(f"Stream of {exchange.name}", "empty")
        else:
            age = _days(now - stream.oldest.milliseconds / 1000)
            oldest = f"the oldest {_moment(stream.oldest)} ({age}; kept for {RETENTION_DAYS} days)"
            yield ok(f"Stream of {exchange.name}", f"{stream.length:,} entries, {oldest}")
        yield _recorder(exchange, cursors.get(exchange.pk), stream.behind, now)
        yield from _deaths(exchange, record, now)
        if number := gaps.get(exchange.pk):
            yield warning(
                f"Archive of {exchange.name}",
                f"{number} gaps were found in the last 7 days",
                "Look at them in the Django admin (gaps in the archive), and keep a recorder running.",
            )


def _recorder(exchange: Exchange, cursor: EntryId | None, behind: EntryId | None, now: float) -> Line:
    name = f"Recorder of {exchange.name}"
    if behind is None:
        return ok(name, "has archived everything")
    lag = now - behind.milliseconds / 1000
    found = f"the oldest entry that is not archived is {_days(lag)} old ({behind})"
    if cursor is None:
        found = f"has never archived this exchange; {found}"
    if lag < LAG_SECONDS:
        return ok(name, found)
    return error(
        name, found, "Start `manage.py recorder` (`up` runs it by itself), or look into its log for what is away."
    )


def _deaths(exchange: Exchange, record: OwnershipRecord, now: float) -> Iterator[Line]:
    """What Redis still keeps of deaths for a recorder to write down."""
    name = f"Deaths of {exchange.name}"
    if record.lost_uncounted:
        yield error(
            name,
            f"{len(record.unreported)} wait to be written down, and of {record.lost_uncounted} more only the number is "
            "left: nobody will know who they were",
            "Start `manage.py recorder` (`up` runs it by itself): it writes down what is left, and the number of the "
            "others as one entry. Keep it running.",
        )
    elif record.unreported and (late := now - record.unreported[0].noticed_ms / 1000) > LAG_SECONDS:
        yield error(
            name,
            f"{len(record.unreported)} wait to be written down, the oldest for {_days(late)}",
            "Start `manage.py recorder` (`up` runs it by itself), or look into its log for what is away.",
        )


def _moment(entry_id: EntryId) -> str:
    try:
        return f"{datetime.fromtimestamp(entry_id.milliseconds / 1000, UTC):%Y-%m-%d %H:%M:%S} UTC"
    except (ValueError, OverflowError, OSError):  # an id that somebody made up
        return str(entry_id)


def _days(seconds: float) -> str:
    if seconds < 120:
        return f"{max(0.0, seconds):.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.0f} h" if seconds < 172_800 else f"{seconds / 86_400:.0f} days"


# --- notifications ---


def _notifications(hidden: Collection[int]) -> Iterator[Line]:
    try:
        channels = list(_channels(hidden))
        for channel in channels:
            waiting = channel.deliveries.filter(state=Delivery.State.WAITING, test=False).order_by("id").first()
            name = f"Notifications to {channel.name}"
            if waiting is None:
                yield ok(name, f"{channel.shown_url}: nothing waits")
            else:
                age = _days((timezone.now() - waiting.created_at).total_seconds())
                yield error(
                    name,
                    f"{channel.shown_url}: delivery {waiting.pk} waits since {age}, "
                    f"{channel.failures} failures in a row: {waiting.reason}",
                    "Correct its URL in the Django admin, or wait until the service is back: nothing is lost.",
                )
    except DatabaseError:
        return  # said by the database's own lines
    if not channels:
        yield ok("Notifications", "no channel; they are added in the Django admin")


def _channels(hidden: Collection[int]) -> QuerySet[NotificationChannel]:
    channels = NotificationChannel.objects.filter(active=True)
    if not hidden:
        return channels
    return channels.filter(exchanges__isnull=False).exclude(exchanges__in=hidden).distinct()
