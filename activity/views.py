"""The pages. Plain synchronous views: they run in threads, so that rendering never holds up the loop of the feed.

What a page shows of Redis and the archive is read here and through history.py alone. The ids from which the page's
socket goes on are read before the entries: an entry that arrives in between is sent once more, never missed.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Any, Final

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.http import FileResponse, Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from activity.access import Verb, can, exchanges_of, visible_exchange, visible_exchanges
from activity.arrangement import COOKIE, COOKIE_AGE, arrangement_of
from activity.cards import Card, blank_card, card_of, past_card, unknown_card, versions_differ
from activity.filters import FilterError
from activity.history import ArchiveAway, read_entry_at, read_instances, read_newest_ids, read_page, read_past
from activity.listing import NOTHING_ASKED, PAGE_ROWS, Asked, blank_rows, list_context, list_facts, rows_response
from activity.models import Exchange, User
from activity.rows import permalink_of
from activity.store.client import StoreUnavailable, name_of, pages_client
from activity.store.history import HistoryPage, InstanceView
from activity.store.standby import read_standbys
from activity.text import milliseconds
from activity.timeline import was_gone
from activity.user_settings import settings_of, told_aloud
from activity.verdict import verdict_of
from activity.views_steering import steering_context
from activity.views_timeline import moment_of, timeline_context
from activity.wire.clock import parse_timestamp
from activity.wire.entries import EntryId
from activity.wire.keys import stream_key
from activity.wire.status import HEARTBEAT_SECONDS, is_late
from perseus_admin import config

SCHEMAS: Final = config.BASE_DIR / "docs" / "schemas"


class _Found:
    """What Redis said for one page, or why it said nothing (`trouble`). Of a moment in the past, what entries told."""

    def __init__(self, exchanges: Sequence[Exchange], asked: Asked) -> None:
        self.cursors: dict[str, str] = {}
        self.page = HistoryPage([], None)
        self.trouble = ""
        views: list[InstanceView] = []
        names = [exchange.name for exchange in exchanges]
        if asked.past is not None:
            self._look_back(exchanges, names, asked, asked.past)
            return
        try:
            client = pages_client(config.settings().redis)
            self.cursors = read_newest_ids(client, names)
            views = read_instances(client, [(exchange.pk, exchange.name) for exchange in exchanges])
            self.now = datetime.now(UTC)  # ages are counted from the TTLs just read
            self.page = read_page(client, names, count=PAGE_ROWS, cursor=asked.before, where=asked.read)
        except StoreUnavailable as error:
            self.now = datetime.now(UTC)
            self.trouble = str(error)
        if self.trouble:
            self.cards = [unknown_card(x.pk, x.name, x.display_name, self.trouble) for x in exchanges]
        else:
            self.cards = [card_of(view, self.now, x.display_name) for x, view in zip(exchanges, views, strict=True)]

    def _look_back(self, exchanges: Sequence[Exchange], names: list[str], asked: Asked, past: int) -> None:
        """Every card from the newest entry before the moment, the entries from there on downwards."""
        self.now = datetime.fromtimestamp(past / 1000, UTC)
        try:
            client = pages_client(config.settings().redis)
            pasts = [read_past(client, name, past) for name in names]
            gone = [
                one.known is not None and one.gap is None and was_gone(client, x.pk, (x.name, one.known), past)
                for x, one in zip(exchanges, pasts, strict=True)
            ]
            self.page = read_page(client, names, count=PAGE_ROWS, cursor=asked.before, where=asked.read)
        except StoreUnavailable as error:
            self.trouble = str(error)
            self.cards = [unknown_card(x.pk, x.name, x.display_name, self.trouble) for x in exchanges]
        else:
            found = zip(exchanges, pasts, gone, strict=True)
            self.cards = [past_card(x.pk, x.name, x.display_name, p, gone=g) for x, p, g in found]


def _past(request: HttpRequest) -> int | None:
    """The moment that the address asks for, in milliseconds since 1970. Raises ValueError for one that is none."""
    asked = request.GET.get("at", "")
    if not asked:
        return None
    at = moment_of("at", asked)
    if at > milliseconds(datetime.now(UTC)):
        raise ValueError(_("%(given)s: this moment is still to come") % {"given": f"at={asked[:40]}"})
    return at


def _context(request: HttpRequest, found: _Found, socket: str, asked: Asked) -> dict[str, Any]:
    assert isinstance(request.user, User)  # LoginRequiredMiddleware
    own = settings_of(request.user)
    return {
        "nav": "network",
        "live": True,
        "feed": True,
        "now": found.now,
        "trouble": found.trouble,
        "notices": told_aloud(own),
        "saved_views": request.user.saved_views.all(),
        "query_here": urlencode(asked.where.query),
        "blank_rows": blank_rows(),
        "blank_card": blank_card(1, "blank"),
        "page": {
            "arranged": None,
            "now": milliseconds(found.now),
            "socket": socket,
            "after": found.cursors,
            "cards": [card.facts() for card in found.cards],
            "heartbeatSeconds": HEARTBEAT_SECONDS,
            "notices": own.notifications.model_dump(mode="json"),
            **list_facts(asked),
        },
        **list_context(asked, found.page, request.path),
    }


def refusal(request: HttpRequest, status: int, title: str, words: str, known: Sequence[str] = ()) -> HttpResponse:
    """A page that says why there is nothing, and where to go on."""
    return render(request, "refusal.html", {"title": title, "words": words, "known": known}, status=status)


def _of_past(past: int | None) -> dict[str, Any]:
    """What a page of a moment that is past has otherwise: it says so, and nothing on it moves."""
    if past is None:
        return {"past": None}
    moment = datetime.fromtimestamp(past / 1000, UTC)
    return {"past": past, "past_local": f"{moment:%Y-%m-%dT%H:%M:%S}", "live": False}


def _damaged_link(request: HttpRequest, error: ValueError) -> HttpResponse:
    why = error.said if isinstance(error, FilterError) else str(error)
    return refusal(request, 400, _("This link is damaged"), _("%(why)s. Open the page without it.") % {"why": why})


def _for(user: User | AnonymousUser, cards: list[Card]) -> list[Card]:
    """The cards with what this user may do about them."""

    def allowed(verb: Verb) -> dict[int, str]:
        return dict.fromkeys(exchanges_of(user, verb).values_list("pk", flat=True), "yes")

    claim, command = allowed("claim"), allowed("command")
    said = [(claim.get(card.exchange_id, ""), command.get(card.exchange_id, "")) for card in cards]
    return [replace(card, may_claim=mc, may_command=mm) for card, (mc, mm) in zip(cards, said, strict=True)]


@require_safe
@never_cache
def network(request: HttpRequest) -> HttpResponse:
    """Every exchange that the user may view, online or not, and the entries of all of them."""
    exchanges = list(visible_exchanges(request.user))
    try:
        past = _past(request)
        asked = Asked.by(request, past)
        if request.GET.get("rows"):
            return rows_response(request, [exchange.name for exchange in exchanges], asked, single=False)
        found = _Found(exchanges, asked)
        found.cards = _for(request.user, found.cards)
        arranged = arrangement_of(request.GET, request.COOKIES.get(COOKIE, ""))
    except ValueError as error:
        return _damaged_link(request, error)
    extra = {
        "cards": found.cards,
        "groups": arranged.groups(found.cards),
        "versions_differ": versions_differ(found.cards),
        "arranged": arranged,
        "verdict": verdict_of(found.cards),
        "no_exchanges": not exchanges and not Exchange.objects.filter(active=True).exists(),
        "live": bool(exchanges),
        "feed": bool(exchanges),
        **_of_past(past),
    }
    context = _context(request, found, "/ws/network/", asked) | extra
    context["page"]["arranged"] = asdict(arranged)
    response = render(request, "network.html", context)
    if arranged.cookie != request.COOKIES.get(COOKIE, ""):
        secure = settings.SESSION_COOKIE_SECURE
        response.set_cookie(COOKIE, arranged.cookie, COOKIE_AGE, secure=secure, httponly=True, samesite="Lax")
    return response


def _unknown_exchange(request: HttpRequest, name: str) -> HttpResponse:
    known = [exchange.name for exchange in visible_exchanges(request.user)]
    words = _("“%(name)s” is none of the exchanges that you may view.") % {"name": name}
    return refusal(request, 404, _("There is no such exchange"), words, known)


def _standbys(exchange: Exchange, now: datetime) -> dict[str, Any]:
    """Who waits for the exchange, each with its freshness by Redis' clock; or why nobody can say."""
    try:
        views = read_standbys(pages_client(config.settings().redis), exchange.pk)
    except StoreUnavailable as error:
        return {"standbys": [], "standbys_trouble": str(error), "now": now}
    standbys = [
        {
            "status": view.status,
            "beat_at": milliseconds(now) - view.age_ms,
            "late": is_late(view.age_ms, view.status.heartbeatSeconds),
            "since": parse_timestamp(view.status.registeredAt),
        }
        for view in views
    ]
    return {"standbys": standbys, "standbys_trouble": "", "now": now}


def _standbys_again(request: HttpRequest, exchange: Exchange) -> HttpResponse:
    """The panel alone, for the page's script; empty where nobody waits."""
    context = _standbys(exchange, datetime.now(UTC))
    if not context["standbys"] and not context["standbys_trouble"]:
        return HttpResponse("")
    return render(request, "parts/standbys.html", context, status=503 if context["standbys_trouble"] else 200)


@require_safe
@never_cache
def exchange(request: HttpRequest, name: str) -> HttpResponse:
    """One exchange: all that is known of its instance, its standbys, and its history, newest first."""
    found_exchange = visible_exchange(request.user, name)
    if found_exchange is None:
        if name != name.lower() and visible_exchange(request.user, name.lower()):
            return redirect("exchange", name.lower())
        return _unknown_exchange(request, name)
    if request.GET.get("standbys"):
        return _standbys_again(request, found_exchange)
    try:
        past = _past(request)
        asked = Asked.by(request, past)
        if request.GET.get("rows"):
            return rows_response(request, [name], asked, single=True)
        found = _Found([found_exchange], asked)
        timeline = timeline_context(request, found_exchange, found.now)
    except ValueError as error:
        return _damaged_link(request, error)
    card: Card = found.cards[0]
    extra = {
        "c": card,
        "verdict": verdict_of(found.cards),
        "single": True,
        "teach": card.cond == "never" and not found.page.entries and asked == NOTHING_ASKED,
        "stream_key": stream_key(name),
        "redis_name": name_of(config.settings().redis),
        **({} if found.trouble or past is not None else _standbys(found_exchange, found.now)),
        **timeline,
        **({} if past is not None else steering_context(request, found_exchange)),
        **_of_past(past),
        "now": found.now,
        "audit": f"{reverse('admin:activity_auditevent_changelist')}?exchange={found_exchange.pk}"
        if getattr(request.user, "is_staff", False) and can(request.user, found_exchange, "administer")
        else "",
    }
    return render(request, "exchange.html", _context(request, found, f"/ws/exchanges/{name}/", asked) | extra)


@require_safe
@never_cache
def find(request: HttpRequest) -> HttpResponse:
    """Where the search box leads: to the exchange, to the entry, or to the whole history searched for the text."""
    wanted = request.GET.get("q", "").strip()
    if visible_exchange(request.user, wanted.lower()):
        return redirect("exchange", wanted.lower())
    if re.fullmatch(r"\d{1,20}-\d{1,20}", wanted, re.ASCII):
        entry_id = EntryId.parse(wanted)
        client = pages_client(config.settings().redis)
        for name in visible_exchanges(request.user).values_list("name", flat=True):
            try:
                if read_entry_at(client, name, entry_id) is not None:
                    return redirect(permalink_of(name, entry_id))
            except StoreUnavailable as error:
                return refusal(request, 503, _("Nobody can look now"), f"{error}.")
    query = f"?{urlencode({'text': wanted})}" if wanted else ""
    return redirect(f"{reverse('network')}{query}#activity")


@require_safe
@never_cache
def entry(request: HttpRequest, name: str, entry_id: str) -> HttpResponse:
    """One whole entry as a JSON file, ``{"id": …, …fields}``, whatever its size."""
    if visible_exchange(request.user, name) is None:
        return _unknown_exchange(request, name)
    try:
        wanted = EntryId.parse(entry_id)
        found = read_entry_at(pages_client(config.settings().redis), name, wanted)
    except ValueError as error:
        return refusal(request, 404, _("There is no such entry"), f"{error}.")
    except ArchiveAway as error:
        words = _("%(why)s. Redis no longer holds the entry.") % {"why": error}
        return refusal(request, 503, _("The database cannot be reached"), words)
    except StoreUnavailable as error:
        words = _("%(why)s. The entry is read from there.") % {"why": error}
        return refusal(request, 503, _("Redis cannot be reached"), words)
    if found is None:
        words = _("Neither the stream of %(name)s nor the archive holds an entry %(entry)s.")
        return refusal(request, 404, _("There is no such entry"), words % {"name": name, "entry": wanted})
    response = JsonResponse(found.to_json(), json_dumps_params={"ensure_ascii": False})
    response["Content-Disposition"] = f'attachment; filename="{name}-{wanted}.json"'
    return response


@require_safe
def schemas(request: HttpRequest) -> HttpResponse:
    """The JSON Schemas of the wire contract."""
    listed = []
    for path in sorted(SCHEMAS.glob("*.json")):
        schema = json.loads(path.read_text(encoding="utf-8"))
        words = str(schema.get("description", "")).partition("\n")[0]
        listed.append({"file": path.name, "title": schema.get("title", path.stem), "words": words})
    return render(request, "schemas.html", {"schemas": listed})


@require_safe
def schema(request: HttpRequest, file: str) -> FileResponse:
    """One schema file, as it stands in docs/schemas."""
    path = SCHEMAS / file
    if path.parent != SCHEMAS or path.suffix != ".json" or not path.is_file():
        raise Http404
    return FileResponse(path.open("rb"), content_type="application/schema+json")
