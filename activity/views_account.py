"""What users keep about themselves: their settings, and where they are signed in."""

import json
from typing import Any, Final, get_args
from zoneinfo import available_timezones

from allauth.usersessions.models import UserSession
from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from activity.access import visible_exchanges
from activity.audit import Action, record
from activity.models import User
from activity.user_settings import (
    CONDITION_WORDS,
    ChangedMeanwhile,
    digest_of,
    save_settings,
    settings_of,
    unknown_exchanges,
)
from activity.wire import settings as wire
from activity.words import spoken

#: Bytes of an imported document at the most: a thousand symbols on each of a hundred exchanges.
IMPORT_BYTES: Final = 2_000_000


def _me(request: HttpRequest) -> User:
    assert isinstance(request.user, User)  # LoginRequiredMiddleware
    return request.user


def _pretty(document: wire.UserSettings) -> str:
    return json.dumps(document.model_dump(mode="json"), indent=2, ensure_ascii=False)


def _of_form(request: HttpRequest, present: wire.UserSettings) -> dict[str, Any]:
    """The document that the form's fields say. Symbols of exchanges that the user may not view stay as they are."""
    visible = {exchange.name for exchange in visible_exchanges(request.user)}
    hidden = {name: list(symbols) for name, symbols in present.symbols.items() if name not in visible}
    typed = {name: request.POST.get(f"symbols.{name}", "").replace(",", " ").split() for name in sorted(visible)}
    return {
        "version": wire.VERSION,
        "timeZone": request.POST.get("timeZone", ""),
        "language": request.POST.get("language", "") or None,
        "mode": request.POST.get("mode", "").strip() or None,
        "symbols": {name: symbols for name, symbols in {**hidden, **typed}.items() if symbols},
        "notifications": {
            "desktop": "desktop" in request.POST,
            "sound": "sound" in request.POST,
            "conditions": request.POST.getlist("conditions"),
            "exchanges": request.POST.getlist("exchanges"),
        },
    }


def _wanted(request: HttpRequest, present: wire.UserSettings) -> wire.UserSettings:
    """What the request asks to be saved: the form, the JSON beside it, or a file. Raises SettingsRefused."""
    source = request.POST.get("from", "")
    if source == "form":
        return wire.check_settings(_of_form(request, present))
    if source == "file":
        file = request.FILES.get("file")
        if file is None:
            raise wire.SettingsRefused([_("file: choose one first")])
        if (file.size or 0) > IMPORT_BYTES:
            words = _("file: it has %(size)s bytes, and %(most)s are the most")
            raise wire.SettingsRefused([words % {"size": file.size, "most": IMPORT_BYTES}])
        return wire.read_settings(file.read())
    return wire.read_settings(request.POST.get("document", ""))


def _settings_page(request: HttpRequest, status: int = 200, **more: Any) -> HttpResponse:
    present = settings_of(_me(request))
    shown = more.pop("document", present)
    exchanges = [
        {
            "name": exchange.name,
            "symbols": " ".join(shown.symbols.get(exchange.name, ())),
            "heard": exchange.name in shown.notifications.exchanges,
        }
        for exchange in visible_exchanges(request.user)
    ]
    context = {
        "nav": "account",
        "document": shown,
        "text": _pretty(shown),
        "digest": digest_of(present),
        "exchanges": exchanges,
        "conditions": [
            (name, CONDITION_WORDS[name], name in shown.notifications.conditions) for name in get_args(wire.Condition)
        ],
        "languages": settings.LANGUAGES,
        "zones": sorted(available_timezones()),
    }
    return render(request, "account/settings.html", context | more, status=status)


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
def user_settings(request: HttpRequest) -> HttpResponse:
    """The user's settings as a form and as JSON. What was sent is shown as a difference first, then saved."""
    user = _me(request)
    if request.method != "POST":
        return _settings_page(request)
    present = settings_of(user)
    try:
        wanted = _wanted(request, present)
        if faults := unknown_exchanges(wanted):
            raise wire.SettingsRefused(faults)
        if request.POST.get("do") == "save":
            save_settings(user, wanted, shown=request.POST.get("digest", ""))
            messages.success(request, _("Saved. A running instance follows when it is told to reload its settings."))
            return redirect("account")
    except wire.SettingsRefused as refused:
        return _settings_page(
            request, 400, faults=[spoken(one) for one in refused.faults], typed=request.POST.get("document")
        )
    except ChangedMeanwhile:
        stale = _("These settings were changed elsewhere meanwhile. What follows is the difference to them as of now.")
        return _review(request, present, wanted, status=409, stale=stale)
    return _review(request, present, wanted)


def _review(
    request: HttpRequest, present: wire.UserSettings, wanted: wire.UserSettings, status: int = 200, stale: str = ""
) -> HttpResponse:
    context = {
        "nav": "account",
        "differences": [
            (name, json.dumps(old, ensure_ascii=False), json.dumps(new, ensure_ascii=False))
            for name, old, new in wire.changes(present, wanted)
        ],
        "text": _pretty(wanted),
        "digest": digest_of(present),
        "stale": stale,
    }
    return render(request, "account/settings_review.html", context, status=status)


@require_http_methods(["GET", "HEAD"])
@never_cache
def export_settings(request: HttpRequest) -> HttpResponse:
    """The document as a file, to be kept or imported elsewhere."""
    user = _me(request)
    response = HttpResponse(_pretty(settings_of(user)) + "\n", content_type="application/json")
    response["Content-Disposition"] = 'attachment; filename="perseus-settings.json"'
    record(Action.EXPORTED, f"settings of {user}")
    return response


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
def sessions(request: HttpRequest) -> HttpResponse:
    """Where the user is signed in. A form ends one session, or all others; their sockets close within seconds."""
    user = _me(request)
    listed = sorted(UserSession.objects.purge_and_list(user), key=lambda session: session.created_at, reverse=True)
    if request.method != "POST":
        return render(request, "account/sessions.html", {"sessions": listed, "nav": "account"})
    others = [session for session in listed if not session.is_current()]
    wanted = request.POST.get("session", "")
    ended = others if wanted == "others" else [session for session in others if str(session.pk) == wanted]
    if not ended and wanted != "others":
        raise Http404
    for session in ended:
        session.end()
        record(Action.SIGNED_OUT, f"session from {session.ip}", actor=user, reason="ended on the page of sessions")
    said = ngettext("%d session was ended.", "%d sessions were ended.", len(ended)) % len(ended)
    messages.success(request, said if ended else _("There was no other session."))
    return redirect("usersessions_list")
