"""The timeline of an exchange: for its page, and alone for the page's script, which asks again as somebody moves it."""

import re
import time
from datetime import UTC, datetime
from typing import Any, Final

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.http import urlencode
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from activity.access import visible_exchange
from activity.history import ArchiveAway
from activity.models import Command, Exchange
from activity.models.commands import CLAIMS
from activity.store.client import StoreUnavailable, SyncClient, pages_client
from activity.store.gone import RESTING, Owner, ended_at, is_lost
from activity.store.history import RawStatus, read_raw_statuses
from activity.text import FIRST_MILLISECOND, LAST_MILLISECOND, from_milliseconds, milliseconds, visible
from activity.timeline import LONGEST_MS, SPANS, Mark, Reach, Timeline, end_as_gone, read_timeline
from activity.wire.clock import parse_timestamp
from activity.wire.status import ConnectionState
from perseus_admin import config

#: Of more that people did within a window, the newest are drawn.
MOST_PEOPLE: Final = 200
DEFAULT_SPAN: Final = "6h"
#: Seconds for which the band of a card is drawn once for everybody: 500 errors took 40 ms. A key that comes or goes
#: ends them, so that no band is greener than its card.
STRIP_SECONDS: Final = 10.0
#: Bands kept at the most, 5 KB each; then all are drawn anew.
MOST_STRIPS: Final = 2000
_STRIPS: dict[tuple[int, str | None], tuple[float, Owner | None, bytes]] = {}
#: In its place where all that is held is younger: the first of these that has all of it.
SHORTER_SPANS: Final = ("15m", "1h")


def moment_of(name: str, value: str) -> int:
    """Milliseconds since 1970 of a number or an ISO 8601 text (UTC where it has no zone). Raises ValueError."""
    if re.fullmatch(r"-?\d{1,16}", value, re.ASCII):
        at = int(value)
    else:
        moment = parse_timestamp(value)
        if moment is None:
            words = _("%(given)s: expected a time such as 2026-11-26T03:00:00Z")
            raise ValueError(words % {"given": f"{name}={value[:40]}"})
        at = milliseconds(moment)
    if not FIRST_MILLISECOND <= at <= LAST_MILLISECOND:
        raise ValueError(_("%(given)s: no calendar has this time") % {"given": f"{name}={value[:40]}"})
    return at


def _window(asked: Any, now: int) -> tuple[int, int, str]:
    """Begin and end in milliseconds, and the span's name where it is one of those that a page offers.

    Nothing is known of what is still to come, as some browser's clock has it: no window ends later than now.
    """
    end = min(moment_of("end", asked["end"]), now) if asked.get("end") else now
    if asked.get("begin"):
        begin = moment_of("begin", asked["begin"])
        if not 1000 <= end - begin <= LONGEST_MS:
            raise ValueError(_("begin, end: a window from one second to 90 days, the end behind the beginning"))
        return begin, end, ""
    span = asked.get("span") or DEFAULT_SPAN
    if span not in SPANS:
        facts = {"given": f"span={span[:40]}", "choices": ", ".join(SPANS)}
        raise ValueError(_("%(given)s: expected %(choices)s") % facts)
    return end - SPANS[span] * 60_000, end, span


def _people(exchange: Exchange, begin: int, end: int) -> list[Mark]:
    """What people asked of the exchange's instances, each at its moment: commands, claims, takeovers, hand-overs."""
    moments = (from_milliseconds(begin), from_milliseconds(end))
    if None in moments:
        return []
    rows = Command.objects.filter(exchange=exchange, requested_at__range=moments).order_by("-id")[:MOST_PEOPLE]
    words = _("%(kind)s, asked for by %(who)s: %(state)s")
    return [
        Mark(
            milliseconds(row.requested_at),
            words % {"kind": row.type, "who": visible(row.issued_by), "state": row.get_state_display()},
            correlation_id="" if row.type in CLAIMS else str(row.correlation_id),
        )
        for row in reversed(rows)
    ]


def _read(asked: Any, exchange: Exchange, begin: int, end: int, span: str, reach: Reach) -> tuple[Timeline, str]:
    """The timeline, and the span that it shows: a short history fills the band, where nobody asked for another span."""
    client = pages_client(config.settings().redis)
    line, span = _spanned(client, asked, exchange, begin, end, span, reach)
    if _ends_with_a_state(line):
        [raw] = read_raw_statuses(client, [exchange.pk])
        _mark_gone(raw, line, reach)
    return line, span


def _spanned(
    client: SyncClient, asked: Any, exchange: Exchange, begin: int, end: int, span: str, reach: Reach
) -> tuple[Timeline, str]:
    line = read_timeline(client, exchange.name, begin, end, reach)
    if asked.get("span") or asked.get("begin") or line.left_out is not None or len(line.states) < 2:
        return line, span
    first = line.states[0]
    for shorter in SHORTER_SPANS if first.what == "unknown" else ():
        start = end - SPANS[shorter] * 60_000
        if first.end > start:
            return read_timeline(client, exchange.name, start, end, reach), shorter
    return line, span


def timeline_context(request: HttpRequest, exchange: Exchange, now: datetime) -> dict[str, Any]:
    """What parts/timeline.html needs. Raises ValueError for a window that is none."""
    at = milliseconds(now)
    begin, end, span = _window(request.GET, at)
    here = request.path.removesuffix("timeline/")
    width = end - begin
    follows = end >= at
    reach: Reach = "then" if request.GET.get("at") else "now" if follows else "past"

    def link(**more: Any) -> str:
        return f"{here}?{urlencode({name: value for name, value in more.items() if value})}"

    trouble = ""
    line = Timeline(exchange.name, begin, end)
    try:
        line, span = _read(request.GET, exchange, begin, end, span, reach)
        begin, width = line.begin, line.end - line.begin
        line.people = _people(exchange, begin, end)
    except (StoreUnavailable, ArchiveAway) as error:
        trouble = str(error)
    half = width // 2
    return {
        "t": line,
        "t_trouble": trouble,
        "t_now": follows,
        "t_spans": [(name, link(span=name, end="" if follows else end), name == span) for name in SPANS],
        "t_earlier": link(begin=begin - half, end=end - half),
        "t_later": link() if end + half >= at else link(begin=begin + half, end=end + half),
        "t_legend": [state.value for state in ConnectionState],
        "here": here,
    }


def _unknown(name: str) -> HttpResponse:
    words = _("%(name)s: no exchange that you may view") % {"name": name}
    return HttpResponse(words, status=404, content_type="text/plain; charset=utf-8")


@require_safe
@never_cache
def strip(request: HttpRequest, name: str) -> HttpResponse:
    """The band of a card: states and errors of the last six hours. 404 as below, 503 while nobody can say."""
    exchange = visible_exchange(request.user, name)
    if exchange is None:
        return _unknown(name)
    try:
        client = pages_client(config.settings().redis)
        [raw] = read_raw_statuses(client, [exchange.pk])
        owner = raw.owner if raw.value is None else None
        drawn = _STRIPS.get((exchange.pk, get_language()))
        if drawn is None or drawn[1] != owner or time.monotonic() - drawn[0] > STRIP_SECONDS:
            began = time.monotonic()
            line = _six_hours(client, exchange, raw)
            drawn = began, owner, render(request, "parts/strip.html", {"t": line}).content
            if len(_STRIPS) >= MOST_STRIPS:
                _STRIPS.clear()
            _STRIPS[exchange.pk, get_language()] = drawn
    except (StoreUnavailable, ArchiveAway) as error:
        return HttpResponse(str(error), status=503, content_type="text/plain; charset=utf-8")
    return HttpResponse(drawn[2])


def _six_hours(client: SyncClient, exchange: Exchange, raw: RawStatus) -> Timeline:
    end = milliseconds(datetime.now(UTC))
    line = read_timeline(client, exchange.name, end - SPANS[DEFAULT_SPAN] * 60_000, end)
    if _ends_with_a_state(line):
        _mark_gone(raw, line, "now")
    return line


def _ends_with_a_state(line: Timeline) -> bool:
    return bool(line.states) and line.states[-1].what == "state" and not line.later


def _mark_gone(raw: RawStatus, line: Timeline, reach: Reach) -> None:
    """No entry need say that an exchange was lost, or ended: where its key is gone a band is no greener than its card.

    Of a window of the past that is so from the moment on which the ownership tells, if it lies in there.
    """
    last = line.last
    if raw.value is not None or last is None:
        return
    lost = is_lost(raw.owner, last)
    if not lost and last.state in RESTING:
        return
    at = ended_at(raw.owner, last)
    if reach == "now" or (at is not None and at <= line.end):
        end_as_gone(line, "lost" if lost and reach != "then" else "unknown", at)


@require_safe
@never_cache
def timeline(request: HttpRequest, name: str) -> HttpResponse:
    """The panel alone. 404 for an exchange that the user may not view, 400 for a window that is none."""
    exchange = visible_exchange(request.user, name)
    if exchange is None:
        return _unknown(name)
    try:
        context = timeline_context(request, exchange, datetime.now(UTC))
    except ValueError as error:
        return HttpResponse(str(error), status=400, content_type="text/plain; charset=utf-8")
    return render(request, "parts/timeline.html", context, status=503 if context["t_trouble"] else 200)
