"""Everything that the doctor looks at. Each part answers within seconds, and none keeps the others from being seen."""

import time
from collections.abc import Collection, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from django.db import DatabaseError, connection
from django.db.models import Count, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from activity.doctor.lines import Line, error, ok, warning
from activity.doctor.redis_lines import redis_lines, skew
from activity.models import ArchiveCursor, ArchiveGap, Delivery, Exchange, NotificationChannel
from activity.schema.drift import CannotCompare, describe, find_drift, remedy
from activity.store.answers import OwnershipRecord
from activity.store.client import StoreUnavailable, SyncClient, name_of, sync_client
from activity.store.health import DamagedKey, read_damaged_keys, read_stream_health
from activity.store.ownership import read_ownership_now
from activity.store.stream import START
from activity.wire.entries import RETENTION_DAYS, EntryId
from activity.words import number as shown
from activity.words import spoken

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
            _("Database"),
            _("cannot be used: %(problem)s") % {"problem": text},
            _("Start it, or look into DATABASE_URL and PERSEUS_DATABASE_CA."),
        )
    except CannotCompare as trouble:
        yield error(_("Database schema"), spoken(trouble), _("Do what it says, then run the doctor again."))
    else:
        if drift:
            found = _("has drifted:\n%(differences)s") % {"differences": describe(drift)}
            yield error(_("Database schema"), found, remedy("default", drift))
        else:
            equal = _("equal to schema.sql") if connection.vendor == "postgresql" else _("equal to the models")
            yield ok(_("Database schema"), equal)


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
    told = {"version": version, "host": connection.settings_dict["HOST"], "ms": shown(took * 1000, 1)}
    yield ok(_("Database"), _("Postgres %(version)s at %(host)s, %(ms)s ms") % told)
    if encrypted:
        found = _("%(protocol)s, certificate and host name verified") % {"protocol": protocol}
        yield ok(_("Database TLS"), found)
    else:
        yield error(
            _("Database TLS"),
            _("this connection is not encrypted"),
            _("Set `ssl = on` with a certificate in postgresql.conf."),
        )
    ntp = _("Let NTP keep the time on this machine and on the machine of Postgres (timedatectl set-ntp true).")
    yield skew(_("Database's clock"), (float(clock) - wall - took / 2) * 1000, ntp)


def _sqlite() -> Iterator[Line]:
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA journal_mode")
        mode = cursor.fetchone()[0]
    name = str(connection.settings_dict["NAME"])
    if mode == "wal" or ":memory:" in name or "mode=memory" in name:
        yield ok(_("Database"), _("SQLite in %(file)s, for one machine") % {"file": name})
    else:
        text = _("SQLite in %(file)s with journal mode %(mode)s: readers and writers wait for each other")
        remedy = _("Put the data folder on a local disk: WAL needs shared memory.")
        yield error(_("Database"), text % {"file": name, "mode": mode}, remedy)


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
        yield warning(_("Exchanges"), _("there is none to look at"), _("Add the first one in the Django admin."))
        return
    try:
        damaged = read_damaged_keys(client, [(one.pk, one.name) for one in exchanges])
        for exchange in exchanges:
            yield from _damaged(exchange, damaged.get(exchange.pk, []))
        exchanges = [one for one in exchanges if one.pk not in damaged]
        streams = read_stream_health(client, [(one.name, cursors.get(one.pk, START)) for one in exchanges])
        records = read_ownership_now(client, [one.pk for one in exchanges])
    except StoreUnavailable:
        return  # said by Redis' own lines
    now = time.time()
    for exchange, stream, record in zip(exchanges, streams, records, strict=True):
        name = _("Stream of %(exchange)s") % {"exchange": exchange.name}
        if not stream.length:
            yield ok(name, _("empty"))
        else:
            told = {
                "number": shown(stream.length),
                "moment": _moment(stream.oldest),
                "age": _days(now - stream.oldest.milliseconds / 1000),
                "days": RETENTION_DAYS,
            }
            yield ok(name, _("%(number)s entries, the oldest %(moment)s (%(age)s; kept for %(days)s days)") % told)
        yield _recorder(exchange, cursors.get(exchange.pk), stream.behind, now)
        yield from _deaths(exchange, record, now)
        if number := gaps.get(exchange.pk):
            yield warning(
                _("Archive of %(exchange)s") % {"exchange": exchange.name},
                _("%(number)s gaps were found in the last 7 days") % {"number": number},
                _("Look at them in the Django admin (gaps in the archive), and keep a recorder running."),
            )


def _damaged(exchange: Exchange, keys: Sequence[DamagedKey]) -> Iterator[Line]:
    for one in keys:
        yield error(
            _("Keys of %(exchange)s") % {"exchange": exchange.name},
            _("%(key)s is of type %(type)s and not %(wanted)s: nobody can use it, and no death is noticed")
            % {"key": one.key, "type": one.type, "wanted": one.wanted},
            _("Find out who writes it, then delete it (redis-cli DEL '%(key)s').") % {"key": one.key},
        )


def _recorder(exchange: Exchange, cursor: EntryId | None, behind: EntryId | None, now: float) -> Line:
    name = _("Recorder of %(exchange)s") % {"exchange": exchange.name}
    if behind is None:
        return ok(name, _("has archived everything"))
    lag = now - behind.milliseconds / 1000
    told = {"age": _days(lag), "id": behind}
    found = _("the oldest entry that is not archived is %(age)s old (%(id)s)") % told
    if cursor is None:
        found = (
            _("has never archived this exchange; the oldest entry that is not archived is %(age)s old (%(id)s)") % told
        )
    if lag < LAG_SECONDS:
        return ok(name, found)
    remedy = _("Start `manage.py recorder` (`up` runs it by itself), or look into its log for what is away.")
    return error(name, found, remedy)


def _deaths(exchange: Exchange, record: OwnershipRecord, now: float) -> Iterator[Line]:
    """What Redis still keeps of deaths for a recorder to write down."""
    name = _("Deaths of %(exchange)s") % {"exchange": exchange.name}
    if record.lost_uncounted:
        yield error(
            name,
            _(
                "%(number)s wait to be written down, and of %(lost)s more only the number is left: nobody will know "
                "who they were"
            )
            % {"number": len(record.unreported), "lost": record.lost_uncounted},
            _(
                "Start `manage.py recorder` (`up` runs it by itself): it writes down what is left, and the number of "
                "the others as one entry. Keep it running."
            ),
        )
    elif record.unreported and (late := now - record.unreported[0].noticed_ms / 1000) > LAG_SECONDS:
        yield error(
            name,
            _("%(number)s wait to be written down, the oldest for %(age)s")
            % {"number": len(record.unreported), "age": _days(late)},
            _("Start `manage.py recorder` (`up` runs it by itself), or look into its log for what is away."),
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
    if seconds < 172_800:
        return f"{seconds / 3600:.0f} h"
    return _("%(days)s days") % {"days": f"{seconds / 86_400:.0f}"}


# --- notifications ---


def _notifications(hidden: Collection[int]) -> Iterator[Line]:
    try:
        channels = list(_channels(hidden))
        for channel in channels:
            waiting = channel.deliveries.filter(state=Delivery.State.WAITING, test=False).order_by("id").first()
            name = _("Notifications to %(channel)s") % {"channel": channel.name}
            if waiting is None:
                yield ok(name, _("%(url)s: nothing waits") % {"url": channel.shown_url})
            else:
                told = {
                    "url": channel.shown_url,
                    "number": waiting.pk,
                    "age": _days((timezone.now() - waiting.created_at).total_seconds()),
                    "failures": channel.failures,
                    "reason": waiting.reason,
                }
                yield error(
                    name,
                    _("%(url)s: delivery %(number)s waits since %(age)s, %(failures)s failures in a row: %(reason)s")
                    % told,
                    _("Correct its URL in the Django admin, or wait until the service is back: nothing is lost."),
                )
    except DatabaseError:
        return  # said by the database's own lines
    if not channels:
        yield ok(_("Notifications"), _("no channel; they are added in the Django admin"))


def _channels(hidden: Collection[int]) -> QuerySet[NotificationChannel]:
    channels = NotificationChannel.objects.filter(active=True)
    if not hidden:
        return channels
    return channels.filter(exchanges__isnull=False).exclude(exchanges__in=hidden).distinct()
