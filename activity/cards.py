"""What a page says about one exchange's instance.

static/js/cards.js makes the same facts of a status frame and paints them into the same markup; a browser test compares
both. Times are milliseconds since 1970 by the server's clock. No instance's own clock is trusted for freshness: the age
of the last heartbeat is what the key's TTL has lost, and other durations are differences within one writer's clock.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final, Literal

from django.urls import reverse
from django.utils.translation import gettext as _

from activity.history import Past
from activity.rows import entry_taken
from activity.store.gone import RESTING, concerns, is_lost
from activity.store.history import InstanceView
from activity.text import (
    HEADLINE_CHARS,
    epoch_parts,
    error_text,
    in_calendar,
    initials,
    milliseconds,
    visible,
)
from activity.wire.clock import parse_timestamp
from activity.wire.entries import StreamEntry
from activity.wire.keys import status_key
from activity.wire.status import HEARTBEAT_SECONDS, ReadStatus, is_late, ttl_seconds

#: fresh: beat within the interval, or a moment later (wire/status.py). late: beyond it, key still there. lost: key gone
#: while somebody owned the exchange. ended: gone in good order. never: no history either. unreadable: the key is there,
#: its value makes no sense. foreign: the key is there, its value is another exchange's. unknown: we could not look.
#: then: of a moment that is past, what the newest entry before it told.
Condition = Literal["fresh", "late", "lost", "ended", "never", "unreadable", "foreign", "unknown", "then"]
#: What has a note of its own.
NOTED: Final[tuple[Condition, ...]] = ("lost", "unreadable", "foreign", "late", "unknown")
#: Seconds after which an instance in a state that it should only pass through is said to be stuck.
STUCK_AFTER: Final = {"starting": 300, "warming": 600, "stopping": 120}
#: Characters of an error on a card; the feed has the whole of it.
ERROR_CHARS: Final = HEADLINE_CHARS


@dataclass(frozen=True, slots=True)
class Card:
    """All facts of one exchange, as shown. An empty text or None is a fact that nobody has told."""

    name: str
    url: str
    status_key: str
    display_name: str = ""
    cond: Condition = "never"
    state: str = ""
    beat_at: int | None = None
    interval: int = HEARTBEAT_SECONDS
    state_since: int | None = None
    running_since: int | None = None
    active_since: int | None = None
    host: str = ""
    ip: str = ""
    country: str = ""
    admin: str = ""
    initials: str = ""
    symbols: str = ""
    mode: str = ""
    version: str = ""
    epoch: str = ""
    instance: str = ""
    pid: str = ""
    error: str = ""
    error_at: int | None = None
    known_at: int | None = None
    heard_at: int | None = None  # the newest entry that we looked at
    lost_at: int | None = None  # when the key went
    looked_at: int | None = None  # while nobody can look: when somebody last could
    problem: str = ""
    stuck: str = ""  # that it is, in words: its state is one to pass through, and it has been in it for too long
    exchange_id: int = 0
    may_claim: str = ""  # what this user may do to it: yes, or empty
    may_command: str = ""

    @property
    def online(self) -> bool:
        """Whether its key exists and says something."""
        return self.cond in ("fresh", "late")

    @property
    def served(self) -> bool:
        """Its owner is active and its key exists."""
        return self.online and self.state == "active"

    @property
    def lifetime(self) -> int:
        """Seconds that the key lives unless a beat renews it."""
        return ttl_seconds(self.interval)

    @property
    def expires_at(self) -> int | None:
        """When the key goes unless a beat renews it."""
        return None if self.beat_at is None else self.beat_at + self.lifetime * 1000

    @property
    def unfenced(self) -> str:
        """Said of an older writer's instance, which reports no epoch."""
        return "no epoch" if self.online and not self.epoch else ""

    @property
    def claim_url(self) -> str:
        """Where this user claims it; empty while somebody answers for it, or it knows no claims."""
        free = self.online and self.instance and not self.admin
        return f"{self.url}command/claim/" if free and self.may_claim else ""

    @property
    def stop_url(self) -> str:
        """Where this user stops it, while it stays in a state that it should have left."""
        held_up = self.online and self.instance and self.stuck
        return f"{self.url}command/stop/" if held_up and self.may_command else ""

    @property
    def noted(self) -> bool:
        """Whether there is something to explain below its facts."""
        return self.cond in NOTED or bool(self.error or self.stuck or self.unfenced or self.claim_url)

    @property
    def epoch_head(self) -> str:
        """What is left out of the epoch where it is narrow."""
        return epoch_parts(self.epoch)[0]

    @property
    def epoch_tail(self) -> str:
        """The part of the epoch that is always shown."""
        return epoch_parts(self.epoch)[1]

    def facts(self) -> dict[str, str | int]:
        """What is known, for the page's scripts. What follows from it they work out: it comes over a phone's line."""
        told = ((name, getattr(self, name)) for name in Card.__slots__ if name != "status_key")
        return {name: value for name, value in told if value is not None and value != ""}


def _short(text: str | None) -> str:
    text = text or ""
    return visible(text if len(text) <= ERROR_CHARS else f"{text[:ERROR_CHARS]}…")


def _moment(text: str | None) -> int | None:
    moment = parse_timestamp(text)
    return None if moment is None else milliseconds(moment)


def _online(card: Card, status: ReadStatus, ttl_ms: int | None, now: int) -> Card:
    ttl = ttl_seconds(status.interval) * 1000
    age = max(0, ttl - ttl_ms) if ttl_ms is not None else None
    beat = _moment(status.lastHeartbeat)

    def since(text: str | None) -> int | None:
        moment = _moment(text)
        if moment is None or beat is None or age is None:
            return moment
        # The difference by the writer's clock, laid against ours; of two absurd times it may be beyond any calendar.
        return in_calendar(now - age - (beat - moment))

    admin = status.adminDisplayName or status.adminEmail or ""
    state_since = since(status.lastStateChange)
    return replace(
        card,
        # A key without a TTL tells no age, so nothing says that its writer still lives.
        cond="late" if age is None or is_late(age, status.interval) else "fresh",
        state=status.connectionState.value,
        beat_at=None if age is None else in_calendar(now - age),
        interval=status.interval,
        state_since=state_since,
        stuck=_stuck(status.connectionState.value, state_since, now),
        running_since=since(status.registeredAt),
        active_since=since(status.connectedAt),
        host=_short(status.hostname),
        ip=_short(status.ipAddress),
        country=_short(status.countryCode),
        admin=_short(admin),
        initials=initials(admin),
        symbols=str(status.symbolCount),
        mode=_short(status.mode),
        version=_short(status.version),
        epoch="" if status.epoch is None else str(status.epoch),
        instance=_short(status.instanceId),
        pid="" if status.pid is None else str(status.pid),
        error=_short(status.lastError),
        error_at=_moment(status.lastErrorAt),
    )


#: What wire/status.py says of what it cannot read. Its other words are pydantic's, and name a field.
_NO_OBJECT: Final = re.compile(r"a JSON (\w+) instead of an object")
_NO_JSON: Final = "not JSON: "


def _unreadable(problem: str) -> str:
    if match := _NO_OBJECT.fullmatch(problem):
        return _("a JSON %(type)s instead of an object") % {"type": match[1]}
    if problem.startswith(_NO_JSON):
        return _("not JSON: %(why)s") % {"why": problem.removeprefix(_NO_JSON)}
    return problem


def _stuck(state: str, since: int | None, now: int) -> str:
    limit = STUCK_AFTER.get(state)
    if limit is None or since is None or now - since < limit * 1000:
        return ""
    return _("longer than %(minutes)s min") % {"minutes": limit // 60}


def _time_of(entry: StreamEntry | None) -> int | None:
    moment = entry_taken(entry) if entry else None
    return None if moment is None else milliseconds(moment)


def _heard(entry: StreamEntry | None) -> int | None:
    """When its instance was last heard by it: a death notice is the recorder's, and says when that was."""
    if entry is not None and entry.is_death:
        return _moment(entry.fields.get("lastHeartbeat"))
    return _time_of(entry)


def _gone(view: InstanceView) -> Condition:
    """What it means that there is no key."""
    lost = is_lost(view.owner, view.last_known)
    return "never" if lost is None else "lost" if lost else "ended"


def _offline(card: Card, view: InstanceView, now: int | None = None) -> Card:
    known, error = view.last_known, view.last_error
    cond = _gone(view)
    times = [time for time in (_heard(known), _heard(error)) if time is not None]
    until = view.owner.until
    ours = view.owner.state != "released" and (known is None or concerns(view.owner, known))
    if cond == "lost" and ours and until is not None and now is not None and max(times, default=until) <= until <= now:
        # What the ownership kept of its last heartbeat. It is about somebody else where entries came after it: an older
        # writer keeps none. And a key that was to live on was deleted by somebody: nothing tells when.
        card = replace(card, lost_at=in_calendar(until), beat_at=in_calendar(view.owner.beat))
    if cond == "never":
        return card
    if known is None:
        return replace(card, cond=cond, heard_at=max(times, default=None), **_error(error))
    return replace(
        card,
        cond=cond,
        state=known.state,
        known_at=_heard(known),
        heard_at=max(times, default=None),
        host=_short(known.fields.get("hostname")),
        ip=_short(known.fields.get("ip")),
        admin=_short(known.fields.get("adminEmail")),
        initials=initials(known.fields.get("adminEmail", "")),
        epoch=_short(known.fields.get("epoch")),
        **_error(error),
    )


def _error(error: StreamEntry | None) -> dict[str, Any]:
    return {"error": _short(error_text(error.fields["error"])) if error else "", "error_at": _time_of(error)}


def blank_card(exchange_id: int, name: str, display_name: str = "") -> Card:
    """A card that knows nothing but its exchange."""
    shown = "" if display_name.lower() == name else visible(display_name)
    return Card(name, reverse("exchange", args=[name]), status_key(exchange_id), shown, exchange_id=exchange_id)


def card_of(view: InstanceView, now: datetime, display_name: str = "") -> Card:
    """The card of what Redis said at the moment `now`."""
    card = blank_card(view.exchange_id, view.exchange_name, display_name)
    if view.reading is None:
        return _offline(card, view, milliseconds(now))
    status = view.reading.status
    if status is None:
        return replace(card, cond="unreadable", problem=_short(_unreadable(view.reading.problem)))
    if (status.exchangeId, status.exchangeName.lower()) != (view.exchange_id, view.exchange_name):
        holds = {"name": _short(status.exchangeName), "number": status.exchangeId}
        words = _("This key holds the status of %(name)s (%(number)s).") % holds
        return replace(card, cond="foreign", problem=words)
    return _online(card, status, view.ttl_ms, milliseconds(now))


def past_card(exchange_id: int, name: str, display_name: str, past: Past, *, gone: bool = False) -> Card:
    """The card of an exchange as its entries told it at a moment. No entry tells whether an instance beat just then.

    `gone`: it did not, as is known by now. It is not called lost: nobody knew that then.
    """
    card = blank_card(exchange_id, name, display_name)
    known = past.known
    if known is None:
        return replace(card, cond="unknown", problem=_("Before the history that is held."), **_error(past.error))
    if past.gap is not None:
        words = _("Entries after %(entry)s are missing; the last one before told %(state)s.")
        words %= {"entry": past.gap.after, "state": known.state}
        return replace(card, cond="unknown", problem=words)
    view = InstanceView(exchange_id, name, None, None, known, past.error)
    told = _offline(card, view)
    if known.is_death:
        return replace(told, cond="lost")
    if gone:
        return replace(told, cond="unknown", problem=_("By then nothing was heard from it any more."))
    cond: Condition = "ended" if known.state in RESTING else "then"
    return replace(told, cond=cond, state_since=_time_of(known))


def unknown_card(exchange_id: int, name: str, display_name: str, problem: str) -> Card:
    """The card of an exchange that we could not look at."""
    return replace(blank_card(exchange_id, name, display_name), cond="unknown", problem=visible(problem))


def versions_differ(cards: Sequence[Card]) -> bool:
    """Whether the instances that are there run several versions: only then cards say theirs on their face."""
    return len({card.version for card in cards if card.online and card.version}) > 1
