"""Every instance: owners, standbys, and those that wait for an exchange, which are given one here."""

import uuid
from datetime import UTC, datetime
from typing import Any, Final

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe
from pydantic import ValidationError

from activity.access import can, visible_exchanges
from activity.cards import card_of
from activity.history import read_instances
from activity.models import Exchange, User
from activity.steering import Refused, assign
from activity.store.client import StoreUnavailable, pages_client
from activity.store.commands import IdleView, read_idle
from activity.store.standby import read_standbys
from activity.text import milliseconds, visible
from activity.user_settings import settings_of
from activity.wire.commands import Assignment
from activity.wire.said import fault
from activity.wire.status import is_late
from activity.words import spoken
from perseus_admin import config

#: What is said of an exchange that no readable instance holds.
GONE: Final[dict[str, Any]] = {
    "lost": gettext_lazy("lost"),
    "ended": gettext_lazy("ended"),
    "never": gettext_lazy("never"),
    "unknown": gettext_lazy("unknown"),
    "foreign": gettext_lazy("foreign"),
    "unreadable": gettext_lazy("unreadable"),
}


def _steerable(user: User) -> list[Exchange]:
    return [exchange for exchange in visible_exchanges(user) if can(user, exchange, "command")]


@require_safe
@never_cache
def instances(request: HttpRequest) -> HttpResponse:
    """Owners and standbys of the exchanges that the user may view; idle ones for who may steer any of them."""
    assert isinstance(request.user, User)  # LoginRequiredMiddleware
    exchanges = list(visible_exchanges(request.user))
    now = datetime.now(UTC)
    context: dict[str, Any] = {"nav": "instances", "now": now, "cards": [], "standbys": [], "idle": [], "trouble": ""}
    try:
        client = pages_client(config.settings().redis)
        views = read_instances(client, [(exchange.pk, exchange.name) for exchange in exchanges])
        cards = [card_of(view, now, x.display_name) for x, view in zip(exchanges, views, strict=True)]
        context["cards"] = [(card, GONE.get(card.cond, "")) for card in cards]
        for exchange in exchanges:
            context["standbys"] += [
                (exchange.name, one.status, one.left_ms) for one in read_standbys(client, exchange.pk)
            ]
        if _steerable(request.user):
            context["idle"] = [_shown(view, now) for view in read_idle(client)]
    except StoreUnavailable as error:
        context["trouble"] = spoken(error)
    context["page"] = {"now": milliseconds(now)}
    context["may_assign"] = bool(_steerable(request.user))
    return render(request, "instances.html", context, status=503 if context["trouble"] else 200)


def _shown(view: IdleView, now: datetime) -> dict[str, Any]:
    status = view.status
    age = 3 * status.heartbeatSeconds * 1000 - view.left_ms
    return {"status": status, "beat_at": milliseconds(now) - max(0, age), "late": is_late(age, status.heartbeatSeconds)}


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
def assign_exchange(request: HttpRequest, instance_id: str) -> HttpResponse:
    """The form that gives an idle instance an exchange, a mode and symbols."""
    user = request.user
    assert isinstance(user, User)  # LoginRequiredMiddleware
    choices = _steerable(user)
    if not choices:
        return render(request, "403.html", status=403)
    try:
        client = pages_client(config.settings().redis)
        found = next((view for view in read_idle(client) if view.status.instanceId == instance_id), None)
        if found is None:
            return _page(
                request, None, choices, _("This instance waits no longer: it was assigned, or has ended."), 409
            )
        if request.method != "POST":
            return _page(request, found, choices)
        exchange = next((one for one in choices if one.name == request.POST.get("exchange")), None)
        if exchange is None:
            names = ", ".join(one.name for one in choices)
            return _page(request, found, choices, _("exchange: choose one of %s") % names, 400)
        wanted = Assignment(
            exchangeId=exchange.pk,
            exchangeName=exchange.name,
            mode=request.POST.get("mode", "").strip() or None,
            symbols=tuple(dict.fromkeys(request.POST.get("symbols", "").replace(",", " ").split())),
            email=user.email,
            displayName=user.display_name or None,
        )
        assign(
            *(client, user, exchange, instance_id, found.status.hostname),
            payload=wanted.model_dump(mode="json"),
            correlation_id=uuid.UUID(request.POST.get("correlation", "")),
        )
    except StoreUnavailable as error:
        return _page(request, None, choices, spoken(error), 503)
    except Refused as refused:
        return _page(request, found, choices, str(refused), 409)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        words = spoken(fault(".".join(map(str, first["loc"])), first))
        return _page(request, found, choices, visible(words), 400)
    except ValueError as error:
        return _page(request, found, choices, visible(spoken(error)), 400)
    return redirect("exchange", exchange.name)


def _page(
    request: HttpRequest, found: IdleView | None, choices: list[Exchange], words: str = "", status: int = 200
) -> HttpResponse:
    assert isinstance(request.user, User)  # the callers'
    own = settings_of(request.user)
    typed = {name: request.POST.get(name, "") for name in ("exchange", "mode", "symbols")}
    context = {
        "nav": "instances",
        "now": datetime.now(UTC),
        "found": found,
        "choices": choices,
        "words": words,
        "typed": typed,
        "mode": typed["mode"] or own.mode or "",
        "correlation": uuid.uuid4(),
    }
    return render(request, "assign.html", context, status=status)
