"""Writing audit events: in one chain, in the transaction of what they tell, with who asked and from where.

`record` is the only writer. What changes rows of people, rights, exchanges, tokens and channels is recorded by
signals (`audit_signals.py`), so that no form, command or shell can leave it out.
"""

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from django.contrib.auth.models import AnonymousUser
from django.db import connection, transaction
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone

from activity.models import AuditEvent, Exchange, User
from activity.models.audit import GENESIS

#: Any number will do; writers of the chain on Postgres wait for each other by it.
_ADVISORY_LOCK: Final = 7_377_002
#: Rows that `verify` reads at once.
_ROWS: Final = 2000
_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})

Action = AuditEvent.Action


@dataclass(frozen=True, slots=True)
class Origin:
    """Who asks, and from where."""

    user: User | AnonymousUser | None = None
    ip: str = ""
    via: str = ""


_origin: ContextVar[Callable[[], Origin] | None] = ContextVar("origin of what is done", default=None)


def _of_process() -> Origin:
    script, *words = sys.argv or [""]
    name = Path(script).name
    return Origin(via=f"{name} {words[0]}"[:100] if name == "manage.py" and words else name[:100])


def origin() -> Origin:
    """Of the request that is answered now; outside of one, of this process."""
    asked = _origin.get()
    return asked() if asked else _of_process()


@contextmanager
def acting(request: HttpRequest) -> Iterator[None]:
    """Within the block, what is recorded was asked for by this request."""

    def of_request() -> Origin:
        user = getattr(request, "user", None)
        return Origin(user, str(request.META.get("REMOTE_ADDR") or ""), "web")

    token = _origin.set(of_request)
    try:
        yield
    finally:
        _origin.reset(token)


class AuditMiddleware:
    """A request is the origin of what it changes; a change in the Django admin and its event are one transaction."""

    sync_capable = True
    async_capable = False

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer the request; a failure takes back what it had written."""
        with acting(request):
            if request.method in _SAFE or not request.path.startswith(reverse("admin:index")):
                return self._get_response(request)
            with transaction.atomic():
                response = self._get_response(request)
                if response.status_code >= 500:
                    transaction.set_rollback(True)
            return response


def _text(value: str, most: int) -> str:
    """As both databases keep it: no NUL, which Postgres refuses, and no half of a character."""
    return value.replace("\0", "\u2400").encode("utf-8", "replace").decode("utf-8")[:most]


def _json(value: Mapping[str, Any] | None) -> str:
    if value is None:
        return ""
    return json.dumps(value, ensure_ascii=False, sort_keys=True, default=str)


def record(
    action: AuditEvent.Action,
    subject: str = "",
    *,
    exchange: Exchange | None = None,
    actor: User | None = None,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
    reason: str = "",
    host: str = "",
    correlation_id: UUID | None = None,
) -> AuditEvent:
    """Add one event to the chain, in the present transaction. `actor` is who is signed in where it is not said.

    Events are written one after the other: on Postgres each waits for the transaction of the one before to end.
    """
    asked = origin()
    user = actor or (asked.user if isinstance(asked.user, User) else None)
    with transaction.atomic():
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_ADVISORY_LOCK])
        last = AuditEvent.objects.values_list("number", "hash").first()
        number, previous = last or (0, GENESIS)
        event = AuditEvent(
            number=number + 1,
            at=timezone.now(),
            action=action,
            actor_id=user.pk if user else None,
            actor=_text(user.email if user else "", 254),
            via=_text(asked.via, 100),
            ip=_text(asked.ip, 45),
            exchange_id=exchange.pk if exchange else None,
            exchange=_text(exchange.name if exchange else "", 64),
            host=_text(host, 255),
            subject=_text(subject, 300),
            before=_text(_json(before), 1_000_000),
            after=_text(_json(after), 1_000_000),
            reason=_text(reason, 10_000),
            correlation_id=correlation_id,
            previous=previous,
        )
        event.hash = event.digest()
        event.save(force_insert=True)
    return event


@dataclass(frozen=True, slots=True)
class Verdict:
    """What `verify` found: how many events hold, the newest one's hash, and the first fault, if any."""

    events: int
    head: str
    fault: str = ""


def verify() -> Verdict:
    """Follow the chain from its first event. Rows that were changed, taken out or put in break it where they stand.

    What was cut off at the newest end cannot be seen from within: note the head elsewhere now and then, and compare.
    """
    number, head = 0, GENESIS
    for event in AuditEvent.objects.order_by("number").iterator(chunk_size=_ROWS):
        if event.number != number + 1:
            return Verdict(number, head, f"event {number + 1} is missing: {event.number} follows {number}")
        if event.previous != head:
            return Verdict(number, head, f"event {event.number} does not follow event {number}: its link is another")
        if event.hash != event.digest():
            return Verdict(number, head, f"event {event.number} was changed: its hash is another")
        number, head = event.number, event.hash
    return Verdict(number, head)
