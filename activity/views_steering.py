"""Steering an instance: the panel on its page, a form per command, and the receipts of what was asked.

A form carries the identity of the holder that it showed. If somebody else holds the exchange by the time it is sent, or
somebody else answers for it, it is shown again with the changed parts marked, and nothing is done.
"""

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from allauth.core.exceptions import ReauthenticationRequired
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from activity.access import can, visible_exchange
from activity.models import Command, Exchange, User
from activity.models.commands import CLAIMS, OPEN
from activity.settling import settle
from activity.sign_in import proved_lately
from activity.steering import VERBS, Holder, Refused, holder_of, require, send
from activity.store.client import StoreUnavailable, SyncClient, pages_client
from activity.store.standby import read_standbys
from activity.text import visible
from activity.user_settings import settings_of
from activity.wire.commands import CommandType, InstanceCommand
from activity.words import spoken
from perseus_admin import config

#: Receipts that the panel shows.
RECEIPTS: Final = 6
#: Heartbeats after which a claim that the instance has taken should be in its status.
PATIENCE_BEATS: Final = 3
#: What each command is called on a button.
WORDS: Final[dict[CommandType, Any]] = {
    CommandType.CLAIM: gettext_lazy("Claim"),
    CommandType.RELEASE: gettext_lazy("Release"),
    CommandType.START: gettext_lazy("Start"),
    CommandType.STOP: gettext_lazy("Stop"),
    CommandType.PAUSE: gettext_lazy("Pause"),
    CommandType.RESUME: gettext_lazy("Resume"),
    CommandType.SWITCH_MODE: gettext_lazy("Switch mode"),
    CommandType.RELOAD_SETTINGS: gettext_lazy("Reload settings"),
    CommandType.ADD_SYMBOL: gettext_lazy("Add symbol"),
    CommandType.REMOVE_SYMBOL: gettext_lazy("Remove symbol"),
    CommandType.HANDOVER: gettext_lazy("Hand over"),
}
#: What the parts of a holder are called.
PARTS: Final[dict[str, Any]] = {
    "host": gettext_lazy("host"),
    "ip": gettext_lazy("ip"),
    "admin": gettext_lazy("admin"),
    "state": gettext_lazy("state"),
    "epoch": gettext_lazy("epoch"),
    "instance": gettext_lazy("instance"),
    "registered": gettext_lazy("registered"),
}
#: What stands in a part that is not known: forms send and compare it in English, and show it in the reader's language.
LACKING: Final[dict[str, Any]] = {
    "ip": gettext_lazy("not detected"),
    "admin": gettext_lazy("nobody"),
    "epoch": gettext_lazy("none"),
    "instance": gettext_lazy("an older writer"),
    "registered": gettext_lazy("unknown"),
}
#: These are sent from the panel: there is nothing to type and nothing that could not be taken back.
AT_ONCE: Final = (CommandType.RELEASE, CommandType.START, CommandType.PAUSE, CommandType.RESUME)


@dataclass(frozen=True, slots=True)
class Part:
    """One fact about the holder, as a form shows it (`said`), sends it back (`sent`) and marks it."""

    name: str
    label: Any
    sent: str
    said: Any
    changed: bool
    before: str


def _client() -> SyncClient:
    return pages_client(config.settings().redis)


def _me(request: HttpRequest) -> User:
    assert isinstance(request.user, User)  # LoginRequiredMiddleware
    return request.user


@dataclass(frozen=True, slots=True)
class Button:
    """A command that may be offered. `why_not` says why it cannot be sent now."""

    kind: CommandType
    words: Any
    at_once: bool
    why_not: str


def _buttons(user: User, exchange: Exchange, holder: Holder | None, standbys: int) -> list[Button]:
    buttons = []
    state = holder.status.connectionState.value if holder else ""
    paused = bool(holder and holder.status.paused)
    for kind in CommandType:
        if kind in CLAIMS or not can(user, exchange, VERBS[kind]):
            continue
        if (kind == CommandType.PAUSE and paused) or (kind == CommandType.RESUME and not paused):
            continue
        why_not = ""
        try:
            require(user, exchange, kind, holder)
        except Refused as refused:
            why_not = str(refused)
        runs = state in ("starting", "warming", "active")
        if not why_not and kind in (CommandType.STOP, CommandType.PAUSE) and not runs:
            why_not = _("needs an instance that runs")
        elif not why_not and kind == CommandType.START and runs:
            why_not = _("it runs already")
        elif not why_not and kind == CommandType.HANDOVER and not standbys:
            why_not = _("no standby waits")
        buttons.append(Button(kind, WORDS[kind], kind in AT_ONCE, why_not))
    return buttons


def _pending(exchange: Exchange, holder: Holder | None) -> dict[str, Any] | None:
    """The newest claim or release, while the instance's status does not say so yet; or that it never did."""
    if holder is None:
        return None
    asked = Command.objects.filter(exchange=exchange, instance_id=holder.instance_id, type__in=CLAIMS).first()
    if asked is None or asked.state in (Command.State.FAILED, Command.State.EXPIRED):
        return None
    wanted = str(asked.payload.get("email", "")).lower()
    if holder.written_by == wanted:
        return None
    since = asked.ended_at or asked.requested_at
    late = (datetime.now(UTC) - since).total_seconds() > PATIENCE_BEATS * holder.status.interval
    if asked.ended_at is not None and late:
        newer = Command.objects.filter(exchange=exchange, type__in=CLAIMS, id__gt=asked.pk).exists()
        return None if newer else {"who": wanted, "never": True}
    return {"who": wanted, "never": False, "shown": holder.written_by}


def steering_context(request: HttpRequest, exchange: Exchange) -> dict[str, Any]:
    """What parts/steering.html needs. Brings open commands forward on the way."""
    user = _me(request)
    trouble, holder, standbys = "", None, 0
    receipts = list(Command.objects.filter(exchange=exchange).select_related("user")[:RECEIPTS])
    opened = list(Command.objects.filter(exchange=exchange, state__in=OPEN))
    try:
        client = _client()
        settle(client, opened)
        fresh = {command.pk: command for command in opened}
        receipts = [fresh.get(command.pk, command) for command in receipts]
        holder = holder_of(client, exchange)
        standbys = len(read_standbys(client, exchange.pk))
    except (StoreUnavailable, Refused) as error:
        trouble = spoken(error)
    claimed = holder.claimed_by if holder else ""
    mine = bool(claimed) and claimed == user.email
    may_claim = can(user, exchange, "claim")
    return {
        "exchange": exchange,
        "s_trouble": trouble,
        "s_holder": holder,
        "s_claimed": claimed,
        "s_claimed_name": visible(holder.status.adminDisplayName or claimed) if holder else "",
        "s_mine": mine,
        "s_may_claim": may_claim and bool(holder and holder.instance_id) and not claimed,
        "s_may_take": can(user, exchange, "takeover") and may_claim and bool(claimed) and not mine,
        "s_may_release": may_claim and mine,
        "s_older": bool(holder and not holder.instance_id),
        "s_pending": _pending(exchange, holder),
        "s_buttons": _buttons(user, exchange, holder, standbys),
        "s_receipts": receipts,
        "s_open": bool([command for command in receipts if command.open]),
        "s_ids": {kind: uuid.uuid4() for kind in CommandType},
        "CommandType": CommandType,
        "now": datetime.now(UTC),
    }


@require_http_methods(["GET", "HEAD"])
@never_cache
def steering(request: HttpRequest, name: str) -> HttpResponse:
    """The panel alone, for the page's script."""
    exchange = visible_exchange(request.user, name)
    if exchange is None:
        return HttpResponse(_("no exchange that you may view"), status=404, content_type="text/plain; charset=utf-8")
    return render(request, "parts/steering.html", steering_context(request, exchange))


class _Wrong(Exception):
    """What was typed cannot be sent. The message names the field."""


def _payload(request: HttpRequest, kind: CommandType, user: User, exchange: Exchange) -> dict[str, Any]:
    """From the form's fields, checked by the command's model. Raises _Wrong."""
    given = {name: request.POST.get(name, "").strip() for name in ("mode", "symbol", "to")}
    payload: dict[str, Any] = {}
    if kind == CommandType.SWITCH_MODE:
        payload = {"mode": given["mode"]}
    elif kind in (CommandType.ADD_SYMBOL, CommandType.REMOVE_SYMBOL):
        payload = {"symbol": given["symbol"]}
    elif kind == CommandType.HANDOVER:
        payload = {"to": given["to"]}
    elif kind == CommandType.CLAIM:
        payload = {"email": user.email, "displayName": user.display_name or None}
    elif kind == CommandType.RELOAD_SETTINGS:
        own = settings_of(user)
        payload = {"mode": own.mode, "symbols": list(own.symbols.get(exchange.name, ()))}
    command = InstanceCommand(correlationId=uuid.uuid4(), type=kind, payload=payload, timestamp=0, issuedBy=user.email)
    try:
        command.read_payload()
    except ValueError as error:
        raise _Wrong(spoken(error).removeprefix("payload.")) from None
    return payload


def _correlation(request: HttpRequest) -> uuid.UUID:
    try:
        return uuid.UUID(request.POST.get("correlation", ""))
    except ValueError:
        raise _Wrong(_("correlation: the form is damaged, open it again")) from None


def _was_sent(request: HttpRequest, user: User, exchange: Exchange) -> bool:
    try:
        correlation_id = _correlation(request)
    except _Wrong:
        return False  # said further below, in its turn
    return Command.objects.filter(correlation_id=correlation_id, user=user, exchange=exchange).exists()


def _check(request: HttpRequest, kind: CommandType, exchange: Exchange, holder: Holder, *, takes: bool) -> None:
    """What is asked for in proportion to what may be broken. Raises _Wrong, and ReauthenticationRequired."""
    active = holder.status.connectionState.value == "active"
    if kind == CommandType.STOP and active and request.POST.get("confirm", "").strip() != exchange.name:
        raise _Wrong(_("confirm: type the name of the exchange, %s, to stop a live instance") % exchange.name)
    if takes and not request.POST.get("reason", "").strip():
        raise _Wrong(_("reason: say why, whoever is taken over from will read it"))
    if takes and active and not proved_lately(request):
        raise ReauthenticationRequired


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
def command(request: HttpRequest, name: str, kind: str) -> HttpResponse:
    """The form of one command. Sent: back to the exchange, where the receipt is. Otherwise: the form again, and why."""
    exchange = visible_exchange(request.user, name)
    if exchange is None or kind not in set(CommandType):
        return render(request, "404.html", status=404)
    user, wanted = _me(request), CommandType(kind)
    if not can(user, exchange, VERBS[wanted]):
        return render(request, "403.html", status=403)
    client = _client()
    try:
        holder = require(user, exchange, wanted, holder_of(client, exchange))
    except Refused as refused:
        return _form(request, exchange, wanted, None, str(refused), status=409)
    except StoreUnavailable as error:
        return _form(request, exchange, wanted, None, spoken(error), status=503)
    if request.method != "POST":
        return _form(request, exchange, wanted, holder)
    if _was_sent(request, user, exchange):
        return redirect("exchange", exchange.name)  # this very form was sent before
    takes = wanted == CommandType.CLAIM and holder.claimed_by not in ("", user.email)
    shown = {part: request.POST[f"shown.{part}"] for part in holder.shown if f"shown.{part}" in request.POST}
    changed = [part for part, value in shown.items() if part != "state" and value != holder.shown[part]]
    if changed or request.POST.get("token", holder.token) != holder.token or (takes and not shown):
        words = _("Somebody else was faster: what has changed is marked. Nothing was done.")
        return _form(request, exchange, wanted, holder, words if shown else "", shown=shown, status=409)
    try:
        payload = _payload(request, wanted, user, exchange)
        _check(request, wanted, exchange, holder, takes=takes)
        send(
            *(client, user, exchange, wanted, holder),
            payload=payload,
            reason=request.POST.get("reason", ""),
            correlation_id=_correlation(request),
        )
    except (_Wrong, Refused) as error:
        return _form(request, exchange, wanted, holder, str(error), status=400)
    return redirect("exchange", exchange.name)


def _form(
    request: HttpRequest,
    exchange: Exchange,
    kind: CommandType,
    holder: Holder | None,
    words: str = "",
    *,
    shown: dict[str, str] | None = None,
    status: int = 200,
) -> HttpResponse:
    user = _me(request)
    standbys = []
    if kind == CommandType.HANDOVER and holder is not None:
        standbys = read_standbys(_client(), exchange.pk)
    takes = bool(holder and kind == CommandType.CLAIM and holder.claimed_by not in ("", user.email))
    own = settings_of(user) if kind == CommandType.RELOAD_SETTINGS else None
    lacking = {*holder.lacking} if holder else set()
    parts = [
        Part(
            *(part, PARTS[part], value, LACKING[part] if part in lacking else value),
            *(bool(shown and part in shown and shown[part] != value), (shown or {}).get(part, "")),
        )
        for part, value in (holder.shown.items() if holder else ())
    ]
    context = {
        "nav": "network",
        "exchange": exchange,
        "kind": kind.value,
        "heading": _("Take over") if takes else WORDS[kind],
        "holder": holder,
        "parts": parts,
        "takes": takes,
        "words": words,
        "standbys": [view.status for view in standbys],
        "own": own,
        "own_symbols": " ".join(own.symbols.get(exchange.name, ())) if own else "",
        "correlation": request.POST.get("correlation") if words and request.POST.get("correlation") else uuid.uuid4(),
        "typed": {name: request.POST.get(name, "") for name in ("reason", "mode", "symbol", "confirm", "to")},
        "names_it": bool(holder and kind == CommandType.STOP and holder.status.connectionState.value == "active"),
    }
    return render(request, "command.html", context, status=status)
